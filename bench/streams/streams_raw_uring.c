/* SPDX-License-Identifier: MIT
 *
 * streams_raw_uring.c: an echo server as one writes it by hand on liburing: one thread, a multishot accept, and for
 * each connection a receive or a send under way. The kernel completes them when it is entered (DEFER_TASKRUN). One
 * system call submits all that the last completions made and waits for the next.
 *
 * Spinning, it enters the kernel when it has something to submit, or when the ring's flags say that there is work.
 */
#include "bench/streams/streams.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SQ_ENTRIES 4096u
#define CQ_ENTRIES 16384u

struct connection {
	int fd;
	bool sending;
	char buffer[STREAMS_BUFFER_SIZE];
};

static struct io_uring ring;

static struct io_uring_sqe *
take_entry(void)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

	while (entry == NULL) {
		(void) io_uring_submit(&ring);
		entry = io_uring_get_sqe(&ring);
	}
	return entry;
}

static void
receive(struct connection *c)
{
	struct io_uring_sqe *entry = take_entry();

	c->sending = false;
	io_uring_prep_recv(entry, c->fd, c->buffer, sizeof(c->buffer), 0);
	io_uring_sqe_set_data(entry, c);
}

static void
send_back(struct connection *c, size_t size)
{
	struct io_uring_sqe *entry = take_entry();

	c->sending = true;
	io_uring_prep_send(entry, c->fd, c->buffer, size, MSG_NOSIGNAL);
	io_uring_sqe_set_data(entry, c);
}

static void
accept_more(int listener)
{
	struct io_uring_sqe *entry = take_entry();

	io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(entry, NULL);
}

static void
welcome(int fd)
{
	struct connection *c = malloc(sizeof(*c));
	int on = 1;

	if (c == NULL) {
		abort();
	}
	c->fd = fd;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	receive(c);
}

static void
on_completion(int listener, const struct io_uring_cqe *completion)
{
	struct connection *c = io_uring_cqe_get_data(completion);

	if (c == NULL) {
		if (completion->res >= 0) {
			welcome(completion->res);
		}
		if ((completion->flags & IORING_CQE_F_MORE) == 0) {
			accept_more(listener);
		}
	} else if (completion->res <= 0) {
		(void) close(c->fd);
		free(c);
	} else if (c->sending) {
		receive(c);
	} else {
		send_back(c, (size_t) completion->res);
	}
}

static void
enter_spinning(void)
{
	while (io_uring_cq_ready(&ring) == 0) {
		if (io_uring_sq_ready(&ring) != 0 || (IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_TASKRUN) != 0) {
			(void) io_uring_submit_and_get_events(&ring);
		} else {
			__builtin_ia32_pause();
		}
	}
}

void
streams_serve_raw_uring(const struct streams_order *order)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		    IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	int port;
	int listener = streams_listen(&port);
	int result = io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);

	if (listener < 0 || result < 0) {
		errno = listener < 0 ? errno : -result;
		return;
	}
	(void) io_uring_register_ring_fd(&ring);
	accept_more(listener);
	streams_announce(port);
	for (;;) {
		struct io_uring_cqe *completion;
		unsigned head, count = 0;

		if (order->spin) {
			enter_spinning();
		} else {
			(void) io_uring_submit_and_wait(&ring, 1);
		}
		io_uring_for_each_cqe(&ring, head, completion)
		{
			on_completion(listener, completion);
			count++;
		}
		io_uring_cq_advance(&ring, count);
	}
}

/* SPDX-License-Identifier: MIT
 *
 * poller_test.c: the laws of poller.h, the same suite on every back end over real sockets: epoll, io_uring as it is
 * opened, io_uring with each of the lesser sets of setup flags that older kernels force, and io_uring on a kernel
 * that answers EAGAIN on non-blocking descriptors. At the end, behind seccomp filters that stay: epoll on a kernel
 * without epoll_pwait2, and io_uring whose kernel refuses a full submission queue outside of wait. A back end that
 * the machine refuses is skipped with its error.
 *
 * PW_TEST_POLLER=epoll or =uring runs one family only (valgrind knows io_uring in part).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

#include "engine/base/atomic.h"
#include "engine/base/clock.h"
#include "engine/base/node.h"
#include "engine/shard/arena.h"
#include "engine/shard/park.h"
#include "engine/shard/poller_private.h"

#define BUDGET 64u
#define MANY 2100u  /* sockets: far more than the submission queue */
#define CROWD 6000u /* operations that end at one instant: more than the completion queue */

struct backend {
	const char *name;
	enum pw_poller_kind kind;
	bool plain; /* opened by pw_poller_open, not with the flags below */
	unsigned setup_flags;
	bool answers_eagain;
	void (*restrict_process)(void); /* for good: such suites run last */
};

static void filter_pwait2(void);
static void filter_full_submission(void);

static const struct backend backends[] = {
	{ .name = "epoll", .kind = PW_POLLER_EPOLL, .plain = true },
	{ .name = "io_uring", .kind = PW_POLLER_URING, .plain = true },
	{
	    .name = "io_uring, flags of Linux 6.0",
	    .kind = PW_POLLER_URING,
	    .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	},
	{
	    .name = "io_uring, flags of Linux 5.19",
	    .kind = PW_POLLER_URING,
	    .setup_flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	},
	{ .name = "io_uring, no flags", .kind = PW_POLLER_URING },
	{
	    .name = "io_uring that answers EAGAIN",
	    .kind = PW_POLLER_URING,
	    .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	    .answers_eagain = true,
	},
	{
	    .name = "epoll without epoll_pwait2",
	    .kind = PW_POLLER_EPOLL,
	    .plain = true,
	    .restrict_process = filter_pwait2,
	},
	{
	    .name = "io_uring that refuses a full queue",
	    .kind = PW_POLLER_URING,
	    .plain = true,
	    .restrict_process = filter_full_submission,
	},
};

static const struct backend *backend; /* of the suite that runs */
static uint64_t seed;

/* What one direction of a subject has seen. */
struct record {
	unsigned calls;
	int result;
};

/* A file under test and what its operations reported. */
struct subject {
	struct pw_file file;
	struct record in;
	struct record out;
	void (*then)(struct subject *subject, struct pw_io *io); /* called by on_done */
	void *arg;
	char buffer[64];
};

static struct pw_poller poller;
static int bell;

/* The fixture. */

static int
open_backend(struct pw_poller *p, int bell_fd)
{
	if (backend->plain) {
		return pw_poller_open(p, backend->kind, bell_fd);
	}
	return pw_poller_open_uring_with(p, bell_fd, backend->setup_flags, backend->answers_eagain, false);
}

static int
set_up(void **unused)
{
	(void) unused;
	if (pw_bell_open(&bell) != 0) {
		return -1;
	}
	return open_backend(&poller, bell);
}

/* Law for every test: nothing is left in flight. */
static int
tear_down(void **unused)
{
	(void) unused;
	if (poller.in_flight != 0) {
		return -1;
	}
	pw_poller_close(&poller);
	return close(bell);
}

static uint32_t
scaled(uint32_t count)
{
	const char *percent = getenv("PW_TEST_SCALE");
	uint32_t share = percent != NULL ? (uint32_t) atoi(percent) : 100;

	return count * share / 100 + 1;
}

static uint32_t
random_below(uint64_t *state, uint32_t limit)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t) (*state >> 32) % limit;
}

static void
on_done(struct pw_io *io, int result)
{
	struct subject *subject = PW_CONTAINER_OF(io->file, struct subject, file);
	struct record *record = io == &io->file->in ? &subject->in : &subject->out;

	record->calls++;
	record->result = result;
	if (subject->then != NULL) {
		subject->then(subject, io);
	}
}

static void
attach(struct subject *subject, int fd)
{
	*subject = (struct subject){ .file = { .fd = fd } };
	assert_int_equal(pw_poller_attach(&poller, &subject->file), 0);
}

static void
detach(struct subject *subject)
{
	pw_poller_detach(&poller, &subject->file);
	assert_int_equal(close(subject->file.fd), 0);
	subject->file.fd = -1;
}

static struct pw_io *
prepare(struct subject *subject, enum pw_io_op op, const void *data, size_t size)
{
	bool input = op == PW_IO_RECV || op == PW_IO_ACCEPT || op == PW_IO_POLL_IN;
	struct pw_io *io = input ? &subject->file.in : &subject->file.out;

	io->file = &subject->file;
	io->on_done = on_done;
	io->op = (uint8_t) op;
	io->niov = 1;
	io->iov[0] = (struct iovec){ .iov_base = (void *) (uintptr_t) data, .iov_len = size };
	return io;
}

static void
submit(struct subject *subject, enum pw_io_op op, const void *data, size_t size)
{
	pw_poller_submit(&poller, prepare(subject, op, data, size));
}

static void
submit_recv(struct subject *subject)
{
	submit(subject, PW_IO_RECV, subject->buffer, sizeof(subject->buffer));
}

static void
submit_connect(struct subject *subject, const void *address, socklen_t size)
{
	struct pw_io *io = prepare(subject, PW_IO_CONNECT, NULL, 0);

	memcpy(&io->address, address, size);
	io->address_size = size;
	pw_poller_submit(&poller, io);
}

/* Waits until the record has so many calls. A completion that never comes makes the test hang. */
static void
wait_for(const struct record *record, unsigned calls)
{
	while (record->calls < calls) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
}

/* Everything that can happen without another cause has happened. */
static void
settle(void)
{
	do {
		(void) pw_poller_wait(&poller, 0, BUDGET);
	} while (pw_poller_pending(&poller));
}

static void
make_pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
}

static int
make_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static int
make_tcp_listener(struct sockaddr_in *address, int backlog)
{
	int fd = make_tcp();
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *) address, size), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) address, &size), 0);
	return fd;
}

static int
make_unix(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* On an abstract name that the kernel chooses. */
static int
make_unix_listener(struct sockaddr_un *address, socklen_t *size, int backlog)
{
	int fd = make_unix();

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_int_equal(bind(fd, (struct sockaddr *) address, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	*size = sizeof(*address);
	assert_int_equal(getsockname(fd, (struct sockaddr *) address, size), 0);
	return fd;
}

/* A connected TCP pair: [0] accepted, [1] connected. */
static void
make_tcp_pair(int fd[2])
{
	struct sockaddr_in address;
	int listener = make_tcp_listener(&address, 1);

	fd[1] = make_tcp();
	(void) connect(fd[1], (struct sockaddr *) &address, sizeof(address));
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	assert_int_equal(poll(&ready, 1, -1), 1);
	fd[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd[0] >= 0);
	assert_int_equal(close(listener), 0);
}

static int
lowest_free_fd(void)
{
	int fd = dup(0);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	return fd;
}

/* Lets the process open `left` more descriptors until limit_restore. */
static struct rlimit
limit_reached(int left)
{
	struct rlimit old, low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t) (lowest_free_fd() + left);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	return old;
}

static void
limit_restore(struct rlimit old)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* Raises the soft descriptor limit as far as it may go; false: there is no room for so many. */
static bool
room_for(unsigned descriptors)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < descriptors + 64) {
		limit.rlim_cur = limit.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	if (limit.rlim_cur >= descriptors + 64) {
		return true;
	}
	print_message("skipped: needs %u descriptors, the limit is %llu\n", descriptors + 64,
	    (unsigned long long) limit.rlim_cur);
	return false;
}

/* Fills the socket until it takes no more. */
static void
fill(int fd)
{
	static const char block[4096];

	while (send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
	}
	assert_int_equal(errno, EAGAIN);
}

/* Data. */

/* Law: recv reports what was sent, whether it was there before the submit or came after. */
static void
recv_reports_what_was_sent(void **unused)
{
	struct subject a;
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	assert_int_equal(write(fd[1], "before", 6), 6);
	submit_recv(&a);
	assert_int_equal(a.in.calls, 0); /* never from inside submit */
	wait_for(&a.in, 1);
	assert_int_equal(a.in.result, 6);
	assert_memory_equal(a.buffer, "before", 6);

	submit_recv(&a);
	settle();
	assert_int_equal(a.in.calls, 1);
	assert_int_equal(write(fd[1], "after", 5), 5);
	wait_for(&a.in, 2);
	assert_int_equal(a.in.result, 5);
	assert_memory_equal(a.buffer, "after", 5);
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

/* Law: the end of the file is the result 0, every time it is asked for, and data before it comes first. */
static void
recv_at_end_of_file_is_zero(void **unused)
{
	(void) unused;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct subject a;
		int fd[2];
		if (tcp != 0) {
			make_tcp_pair(fd);
		} else {
			make_pair(fd);
		}
		attach(&a, fd[0]);
		submit_recv(&a);
		settle();
		assert_int_equal(write(fd[1], "last", 4), 4);
		assert_int_equal(close(fd[1]), 0);
		wait_for(&a.in, 1);
		assert_int_equal(a.in.result, 4);
		for (unsigned again = 2; again < 4; again++) {
			submit_recv(&a);
			wait_for(&a.in, again);
			assert_int_equal(a.in.result, 0);
		}
		detach(&a);
	}
}

/* Law: a reset ends the waiting recv with ECONNRESET and a later send with EPIPE, without a signal. */
static void
reset_is_reported_without_a_signal(void **unused)
{
	struct linger hard = { .l_onoff = 1 };
	struct subject a;
	int fd[2];

	(void) unused;
	make_tcp_pair(fd);
	attach(&a, fd[0]);
	submit_recv(&a);
	settle();
	assert_int_equal(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	assert_int_equal(close(fd[1]), 0);
	wait_for(&a.in, 1);
	assert_int_equal(a.in.result, -ECONNRESET);
	submit(&a, PW_IO_SEND, "x", 1);
	wait_for(&a.out, 1);
	assert_int_equal(a.out.result, -EPIPE);
	detach(&a);
}

/* Law: urgent data ends a read early, and what is behind it is still reported. Method: no later edge comes. */
static void
recv_past_urgent_data_is_not_lost(void **unused)
{
	struct subject a;
	int fd[2];

	(void) unused;
	make_tcp_pair(fd);
	attach(&a, fd[0]);
	submit_recv(&a);
	settle();
	assert_int_equal(send(fd[1], "one!", 4, MSG_OOB), 4);
	assert_int_equal(send(fd[1], "two", 3, 0), 3);
	char got[8] = { 0 };
	size_t size = 0;
	for (unsigned call = 1; size < 6; call++) {
		wait_for(&a.in, call);
		assert_true(a.in.result > 0 && size + (size_t) a.in.result <= 6);
		memcpy(got + size, a.buffer, (size_t) a.in.result);
		size += (size_t) a.in.result;
		if (size < 6) {
			submit_recv(&a);
		}
	}
	assert_memory_equal(got, "onetwo", 6);
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

#define PAIRS 40u

static void
submit_all(struct subject *near)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		near[i].in.calls = 0;
		submit_recv(&near[i]);
	}
}

static void
write_all(const int *far, const char *text, size_t size)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_int_equal(write(far[i], text, size), (ssize_t) size);
	}
}

/* What `size` bytes to each of the near ends make; the first receives are submitted. */
static void
receive_all(struct subject *near, const char *text, size_t size)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		size_t got = 0;
		for (unsigned call = 1; got < size; call++) {
			wait_for(&near[i].in, call);
			assert_true(near[i].in.result > 0 && got + (size_t) near[i].in.result <= size);
			assert_memory_equal(near[i].buffer, text + got, (size_t) near[i].in.result);
			got += (size_t) near[i].in.result;
			if (got < size) {
				submit_recv(&near[i]);
			}
		}
	}
}

/* Law: in a crowd, a receive that left something behind needs nothing new to go on, and one that left nothing goes on
 * with what comes. Method: many pairs at once, of TCP and of Unix sockets; messages shorter, as long as and longer than
 * the buffer, sent before the receives are submitted, or after they wait. */
static void
a_crowd_of_receives_misses_nothing(void **unused)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 128, 150 };
	static struct subject near[PAIRS];
	int far[PAIRS];
	char text[150];

	(void) unused;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char) ('0' + i % 75);
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		int fd[2];
		if (i % 2 == 0) {
			make_tcp_pair(fd);
		} else {
			make_pair(fd);
		}
		attach(&near[i], fd[0]);
		far[i] = fd[1];
	}
	for (unsigned round = 0; round < 4 * sizeof(sizes) / sizeof(sizes[0]); round++) {
		size_t size = sizes[round % (sizeof(sizes) / sizeof(sizes[0]))];
		if (round % 4 >= 2) { /* they wait, are called off, and wait again */
			submit_all(near);
			settle();
			for (unsigned i = 0; i < PAIRS; i++) {
				pw_poller_cancel(&poller, &near[i].file.in);
				wait_for(&near[i].in, 1);
				assert_int_equal(near[i].in.result, -ECANCELED);
			}
		}
		if (round % 2 == 0) {
			write_all(far, text, size);
			submit_all(near);
		} else {
			submit_all(near);
			settle();
			write_all(far, text, size);
		}
		receive_all(near, text, size);
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		detach(&near[i]);
		assert_int_equal(close(far[i]), 0);
	}
}

/* Law: after detach the owner's close is the last one. Method: the peer reads the end of the stream, and need not wait
 * for it; a receive has waited before. */
static void
close_after_detach_is_seen_at_once(void **unused)
{
	static struct subject a;
	char byte;

	(void) unused;
	for (unsigned round = 0; round < 20; round++) {
		int fd[2];
		if (round % 2 == 0) {
			make_tcp_pair(fd);
		} else {
			make_pair(fd);
		}
		attach(&a, fd[0]);
		submit_recv(&a);
		if (round % 4 < 2) {
			settle();
		}
		pw_poller_cancel(&poller, &a.file.in);
		wait_for(&a.in, 1);
		assert_int_equal(a.in.result, -ECANCELED);
		detach(&a);
		assert_int_equal(recv(fd[1], &byte, 1, MSG_DONTWAIT), 0);
		assert_int_equal(close(fd[1]), 0);
	}
}

/* Law: both directions take a list of buffers, in order. Method: 8 pieces out of one end, 3 into the other. */
static void
scatter_and_gather_keep_the_order(void **unused)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz012345";
	char got[32] = { 0 };
	struct subject a, b;
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	attach(&b, fd[1]);
	struct pw_io *io = prepare(&a, PW_IO_SEND, NULL, 0);
	io->niov = PW_IO_IOV_MAX;
	for (size_t i = 0; i < PW_IO_IOV_MAX; i++) {
		io->iov[i] = (struct iovec){ .iov_base = (char *) (uintptr_t) text + 4 * i, .iov_len = 4 };
	}
	pw_poller_submit(&poller, io);
	wait_for(&a.out, 1);
	assert_int_equal(a.out.result, 32);

	io = prepare(&b, PW_IO_RECV, NULL, 0);
	io->niov = 3;
	io->iov[0] = (struct iovec){ .iov_base = got + 31, .iov_len = 1 };
	io->iov[1] = (struct iovec){ .iov_base = got, .iov_len = 0 };
	io->iov[2] = (struct iovec){ .iov_base = got, .iov_len = 31 };
	pw_poller_submit(&poller, io);
	wait_for(&b.in, 1);
	assert_int_equal(b.in.result, 32);
	assert_int_equal(got[31], 'a');
	assert_memory_equal(got, text + 1, 31);
	detach(&a);
	detach(&b);
}

/* A transfer of `size` bytes through one pair, driven by on_done alone. */
struct transfer {
	size_t size;
	size_t sent;
	size_t received;
	size_t wrong;
	unsigned short_sends;
	unsigned char *data;
	unsigned char chunk[3000];
};

static void
send_on(struct subject *subject, struct pw_io *io)
{
	struct transfer *transfer = subject->arg;

	(void) io;
	if (subject->out.result > 0) {
		transfer->sent += (size_t) subject->out.result;
	}
	if (transfer->sent < transfer->size && subject->out.result >= 0) {
		transfer->short_sends++;
		submit(subject, PW_IO_SEND, transfer->data + transfer->sent, transfer->size - transfer->sent);
	}
}

static void
recv_on(struct subject *subject, struct pw_io *io)
{
	struct transfer *transfer = subject->arg;

	(void) io;
	for (int i = 0; i < subject->in.result; i++) {
		transfer->wrong += transfer->chunk[i] != transfer->data[transfer->received++];
	}
	if (transfer->received < transfer->size && subject->in.result > 0) {
		submit(subject, PW_IO_RECV, transfer->chunk, sizeof(transfer->chunk));
	}
}

/* Law: a send that the socket cannot take at once waits and reports what it took; every byte arrives in order. */
static void
send_waits_for_room_and_loses_nothing(void **unused)
{
	struct transfer transfer = { .size = 2000000 };
	uint64_t random = seed;
	struct subject a, b;

	(void) unused;
	transfer.data = test_malloc(transfer.size);
	for (size_t i = 0; i < transfer.size; i++) {
		transfer.data[i] = (unsigned char) random_below(&random, 256);
	}
	for (int tcp = 0; tcp < 2; tcp++) {
		int fd[2];
		if (tcp != 0) {
			make_tcp_pair(fd);
		} else {
			make_pair(fd);
		}
		int small = 8192;
		assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
		transfer.sent = transfer.received = transfer.wrong = transfer.short_sends = 0;
		attach(&a, fd[0]);
		attach(&b, fd[1]);
		a.then = send_on;
		b.then = recv_on;
		a.arg = b.arg = &transfer;
		submit(&a, PW_IO_SEND, transfer.data, transfer.size);
		settle();
		submit(&b, PW_IO_RECV, transfer.chunk, sizeof(transfer.chunk));
		while (a.file.out.in_flight || b.file.in.in_flight) {
			(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
		}
		assert_int_equal(transfer.sent, transfer.size);
		assert_int_equal(transfer.received, transfer.size);
		assert_int_equal(transfer.wrong, 0);
		assert_true(transfer.short_sends > 0);
		detach(&a);
		detach(&b);
	}
	test_free(transfer.data);
}

/* Law: the two directions of one file do not disturb each other. */
static void
both_directions_are_in_flight_at_once(void **unused)
{
	char drain[4096];
	struct subject a;
	int fd[2];

	(void) unused;
	make_pair(fd);
	fill(fd[0]);
	attach(&a, fd[0]);
	submit_recv(&a);
	submit(&a, PW_IO_SEND, "x", 1);
	settle();
	assert_int_equal(a.in.calls + a.out.calls, 0);
	assert_int_equal(poller.in_flight, 2);
	while (read(fd[1], drain, sizeof(drain)) > 0) {
	}
	wait_for(&a.out, 1);
	assert_int_equal(a.out.result, 1);
	assert_int_equal(a.in.calls, 0);
	assert_int_equal(write(fd[1], "y", 1), 1);
	wait_for(&a.in, 1);
	assert_int_equal(a.in.result, 1);
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

/* Connections. */

static void
check_accepted(const struct subject *listener)
{
	assert_true(listener->in.result >= 0);
	assert_true((fcntl(listener->in.result, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(listener->in.result, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(close(listener->in.result), 0);
}

/* Law: accept and connect meet, whichever comes first; what accept gives is non-blocking and closed on exec. */
static void
accept_and_connect_meet(void **unused)
{
	struct sockaddr_in in;
	struct sockaddr_un un;
	socklen_t un_size;
	struct subject listener, dialer;

	(void) unused;
	for (int round = 0; round < 4; round++) {
		bool tcp = round % 2 == 0, accept_first = round / 2 == 0;
		attach(&listener, tcp ? make_tcp_listener(&in, 5) : make_unix_listener(&un, &un_size, 5));
		attach(&dialer, tcp ? make_tcp() : make_unix());
		if (accept_first) {
			submit(&listener, PW_IO_ACCEPT, NULL, 0);
			settle();
			assert_int_equal(listener.in.calls, 0);
		}
		if (tcp) {
			submit_connect(&dialer, &in, sizeof(in));
		} else {
			submit_connect(&dialer, &un, un_size);
		}
		assert_int_equal(dialer.out.calls, 0);
		wait_for(&dialer.out, 1);
		assert_int_equal(dialer.out.result, 0);
		if (!accept_first) {
			submit(&listener, PW_IO_ACCEPT, NULL, 0);
		}
		wait_for(&listener.in, 1);
		check_accepted(&listener);
		detach(&dialer);
		detach(&listener);
	}
}

/* Law: a connect to nobody reports who refused. */
static void
connect_reports_a_refusal(void **unused)
{
	struct sockaddr_un nowhere = { .sun_family = AF_UNIX, .sun_path = "/nonexistent/pinwheel" };
	struct sockaddr_in in;
	struct sockaddr_un un;
	socklen_t un_size;
	struct subject a;

	(void) unused;
	assert_int_equal(close(make_tcp_listener(&in, 1)), 0);
	attach(&a, make_tcp());
	submit_connect(&a, &in, sizeof(in));
	wait_for(&a.out, 1);
	assert_int_equal(a.out.result, -ECONNREFUSED);
	detach(&a);

	assert_int_equal(close(make_unix_listener(&un, &un_size, 1)), 0);
	attach(&a, make_unix());
	submit_connect(&a, &un, un_size);
	wait_for(&a.out, 1);
	assert_int_equal(a.out.result, -ECONNREFUSED);
	submit_connect(&a, &nowhere, sizeof(nowhere));
	wait_for(&a.out, 2);
	assert_int_equal(a.out.result, -ENOENT);
	detach(&a);
}

/* Law: a Unix-domain connect waits for room in a full backlog, is ended by cancel, and blocks nobody meanwhile. */
static void
connect_waits_for_room_in_the_backlog(void **unused)
{
	struct sockaddr_un un;
	socklen_t un_size;
	struct subject dialer[2];

	(void) unused;
	int listener = make_unix_listener(&un, &un_size, 0);
	int first = make_unix();
	assert_int_equal(connect(first, (struct sockaddr *) &un, un_size), 0);
	for (int i = 0; i < 2; i++) {
		attach(&dialer[i], make_unix());
		submit_connect(&dialer[i], &un, un_size);
	}
	/* Several tries long: the poller sleeps in between and still has them. */
	for (int i = 0; i < 5; i++) {
		(void) pw_poller_wait(&poller, PW_CONNECT_RETRY_NS, BUDGET);
	}
	assert_int_equal(dialer[0].out.calls + dialer[1].out.calls, 0);
	pw_poller_cancel(&poller, &dialer[0].file.out);
	wait_for(&dialer[0].out, 1);
	assert_int_equal(dialer[0].out.result, -ECANCELED);

	int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	wait_for(&dialer[1].out, 1);
	assert_int_equal(dialer[1].out.result, 0);
	assert_int_equal(dialer[0].out.calls, 1);
	detach(&dialer[0]);
	detach(&dialer[1]);
	assert_int_equal(close(accepted), 0);
	assert_int_equal(close(first), 0);
	assert_int_equal(close(listener), 0);
}

/* Law: accept at the descriptor limit reports EMFILE, loses no connection, and works when there is room again. */
static void
accept_reports_the_descriptor_limit(void **unused)
{
	struct subject listener;
	struct sockaddr_in in;

	(void) unused;
	if (RUNNING_ON_VALGRIND) {
		print_message("skipped: valgrind plays the descriptor limit and closes what the kernel accepted\n");
		return;
	}
	attach(&listener, make_tcp_listener(&in, 5));
	int dialer = make_tcp();
	(void) connect(dialer, (struct sockaddr *) &in, sizeof(in));
	struct rlimit old = limit_reached(0);
	submit(&listener, PW_IO_ACCEPT, NULL, 0);
	wait_for(&listener.in, 1);
	int at_limit = listener.in.result;
	limit_restore(old);
	assert_int_equal(at_limit, -EMFILE);
	submit(&listener, PW_IO_ACCEPT, NULL, 0);
	wait_for(&listener.in, 2);
	check_accepted(&listener);
	detach(&listener);
	assert_int_equal(close(dialer), 0);
}

/* Readiness. */

/* Law: a poll operation ends with 0 when the descriptor is ready, already or later, also when it can only fail, and
 * takes nothing from it. */
static void
poll_tells_readiness_and_takes_nothing(void **unused)
{
	struct subject a;
	char drain[4096];
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	submit(&a, PW_IO_POLL_IN, NULL, 0);
	submit(&a, PW_IO_POLL_OUT, NULL, 0);
	wait_for(&a.out, 1);
	assert_int_equal(a.out.result, 0);
	settle();
	assert_int_equal(a.in.calls, 0);
	assert_int_equal(write(fd[1], "z", 1), 1);
	for (unsigned call = 1; call < 4; call++) {
		wait_for(&a.in, call); /* level: ready as long as nobody reads */
		assert_int_equal(a.in.result, 0);
		submit(&a, PW_IO_POLL_IN, NULL, 0);
	}
	wait_for(&a.in, 4);
	assert_int_equal(read(fd[0], drain, sizeof(drain)), 1);

	fill(fd[0]);
	submit(&a, PW_IO_POLL_OUT, NULL, 0);
	settle();
	assert_int_equal(a.out.calls, 1);
	while (read(fd[1], drain, sizeof(drain)) > 0) {
	}
	wait_for(&a.out, 2);
	assert_int_equal(a.out.result, 0);

	submit(&a, PW_IO_POLL_IN, NULL, 0);
	settle();
	assert_int_equal(close(fd[1]), 0);
	wait_for(&a.in, 5);
	assert_int_equal(a.in.result, 0);
	detach(&a);
}

/* Cancel. */

/* Law: each kind of operation that waits is ended by cancel, once, with ECANCELED; a second cancel adds nothing.
 * Method: a connect that waits is one to a listener whose queue is full: its SYN is not answered. */
static void
cancel_ends_each_operation_once(void **unused)
{
	static const uint8_t ops[] = { PW_IO_RECV, PW_IO_SEND, PW_IO_ACCEPT, PW_IO_CONNECT, PW_IO_POLL_IN,
		PW_IO_POLL_OUT };
	struct sockaddr_in full;
	struct subject a;
	int fd[2], first[8];

	(void) unused;
	int listener = make_tcp_listener(&full, 0);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		first[i] = make_tcp();
		(void) connect(first[i], (struct sockaddr *) &full, sizeof(full));
	}
	for (size_t i = 0; i < sizeof(ops); i++) {
		/* cancelled in the submission queue, and when the kernel waits */
		for (int settled = 0; settled < 2; settled++) {
			struct sockaddr_in in;
			make_pair(fd);
			fill(fd[0]);
			if (ops[i] == PW_IO_ACCEPT || ops[i] == PW_IO_CONNECT) {
				assert_int_equal(close(fd[0]), 0);
				fd[0] = ops[i] == PW_IO_ACCEPT ? make_tcp_listener(&in, 5) : make_tcp();
			}
			attach(&a, fd[0]);
			if (ops[i] == PW_IO_CONNECT) {
				submit_connect(&a, &full, sizeof(full));
			} else {
				submit(&a, (enum pw_io_op) ops[i], a.buffer, sizeof(a.buffer));
			}
			if (settled != 0) {
				settle();
			}
			struct pw_io *io = a.file.in.in_flight ? &a.file.in : &a.file.out;
			struct record *record = io == &a.file.in ? &a.in : &a.out;
			pw_poller_cancel(&poller, io);
			pw_poller_cancel(&poller, io);
			assert_int_equal(record->calls, 0); /* never from inside cancel */
			wait_for(record, 1);
			assert_int_equal(record->result, -ECANCELED);
			settle();
			assert_int_equal(a.in.calls + a.out.calls, 1);
			detach(&a);
			assert_int_equal(close(fd[1]), 0);
		}
	}
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		assert_int_equal(close(first[i]), 0);
	}
	assert_int_equal(close(listener), 0);
}

/* Law: cancel of an idle operation has no effect, not on the next one either; a result that is there stays. */
static void
late_cancel_hits_nothing(void **unused)
{
	static struct subject a;
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	pw_poller_cancel(&poller, &a.file.in);
	for (unsigned round = 1; round < 100; round++) {
		submit_recv(&a);
		assert_int_equal(write(fd[1], "abc", 3), 3);
		(void) pw_poller_wait(&poller, 0, 0); /* the kernel has decided; nothing is delivered */
		if (round % 2 == 0) {
			pw_poller_cancel(&poller, &a.file.in);
		}
		wait_for(&a.in, 2 * round - 1);
		assert_int_equal(a.in.result, 3);
		pw_poller_cancel(&poller, &a.file.in);
		submit_recv(&a);
		settle();
		assert_int_equal(a.in.calls, 2 * round - 1); /* the next one lives */
		assert_int_equal(write(fd[1], "d", 1), 1);
		wait_for(&a.in, 2 * round);
		assert_int_equal(a.in.result, 1);
	}
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

struct writer {
	int fd;
	uint32_t count;
	uint64_t random;
	pw_a32 cancelled; /* the reader's */
	bool failed;
};

#define BURST 100u

/* Until a receive has found nothing and was cancelled; but not for ever: the next one may not be cancelled at all. */
static void
let_one_be_cancelled(struct writer *writer)
{
	uint32_t before = pw_load_acquire_32(&writer->cancelled);

	for (unsigned looks = 0; looks < 1000 && pw_load_acquire_32(&writer->cancelled) == before; looks++) {
		(void) sched_yield();
	}
}

/* Sends bytes 0, 1, 2, ... at random distances, and leaves off for a while after each burst. */
static void *
write_slowly(void *arg)
{
	struct writer *writer = arg;

	for (uint32_t i = 0; i < writer->count; i++) {
		unsigned char byte = (unsigned char) i;
		if (i % BURST == 0) {
			let_one_be_cancelled(writer);
		}
		for (uint32_t spin = random_below(&writer->random, 300); spin > 0; spin--) {
			pw_cpu_relax();
		}
		/* A socket that is full: its reader is on the other thread. */
		while (send(writer->fd, &byte, 1, MSG_NOSIGNAL) != 1) {
			struct pollfd ready = { .fd = writer->fd, .events = POLLOUT };
			if (errno != EAGAIN || poll(&ready, 1, -1) != 1) {
				writer->failed = true;
				return NULL;
			}
		}
	}
	return NULL;
}

/* Law: an operation that races with its cancel ends once, and a cancelled recv has taken nothing. Method: another
 * thread sends numbered bytes while each recv is cancelled at a random moment; no number may be missing or double. */
static void
cancel_racing_with_data_loses_none(void **unused)
{
	struct writer writer = { .count = scaled(10000), .random = seed };
	uint64_t random = seed + 1;
	uint32_t received = 0;
	static struct subject a;
	pthread_t thread;
	int fd[2];

	(void) unused;
	make_pair(fd);
	writer.fd = fd[1];
	attach(&a, fd[0]);
	assert_int_equal(pthread_create(&thread, NULL, write_slowly, &writer), 0);
	bool in_order = true, sane = true;
	for (unsigned call = 1; received < writer.count && sane; call++) {
		submit_recv(&a);
		for (uint32_t turns = random_below(&random, 3); turns > 0; turns--) {
			(void) pw_poller_wait(&poller, 0, BUDGET);
		}
		if (random_below(&random, 4) != 0) {
			pw_poller_cancel(&poller, &a.file.in);
		}
		wait_for(&a.in, call);
		sane = a.in.calls == call && (a.in.result > 0 || a.in.result == -ECANCELED);
		if (a.in.result == -ECANCELED) {
			pw_store_release_32(&writer.cancelled, pw_load_relaxed_32(&writer.cancelled) + 1);
		}
		for (int i = 0; i < a.in.result; i++) {
			in_order = in_order && (unsigned char) a.buffer[i] == (unsigned char) received;
			received++;
		}
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(writer.failed);
	assert_true(sane);
	assert_true(in_order);
	assert_int_equal(received, writer.count);
	assert_true(pw_load_relaxed_32(&writer.cancelled) > 0);
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

/* Law: the same for accept: a connection is either reported or still there. Method: each accept is cancelled around
 * the moment a connection comes; in the end as many were accepted as dialed. */
static void
cancel_racing_with_a_connection_loses_none(void **unused)
{
	uint32_t rounds = scaled(1000), accepted = 0;
	uint64_t random = seed;
	static struct subject listener;
	struct sockaddr_un un;
	socklen_t un_size;

	(void) unused;
	attach(&listener, make_unix_listener(&un, &un_size, 4096));
	for (unsigned call = 1; call <= rounds; call++) {
		int dialer = make_unix();
		bool dial_first = random_below(&random, 2) != 0;
		submit(&listener, PW_IO_ACCEPT, NULL, 0);
		if (random_below(&random, 2) != 0) {
			(void) pw_poller_wait(&poller, 0, BUDGET);
		}
		if (dial_first) {
			assert_int_equal(connect(dialer, (struct sockaddr *) &un, un_size), 0);
			pw_poller_cancel(&poller, &listener.file.in);
		} else {
			pw_poller_cancel(&poller, &listener.file.in);
			assert_int_equal(connect(dialer, (struct sockaddr *) &un, un_size), 0);
		}
		wait_for(&listener.in, call);
		assert_true(listener.in.result >= 0 || listener.in.result == -ECANCELED);
		if (listener.in.result >= 0) {
			accepted++;
			assert_int_equal(close(listener.in.result), 0);
		}
		assert_int_equal(close(dialer), 0);
	}
	for (int fd; (fd = accept(listener.file.fd, NULL, NULL)) >= 0; accepted++) {
		assert_int_equal(close(fd), 0);
	}
	assert_int_equal(accepted, rounds);
	detach(&listener);
}

static void
cancel_output(struct subject *subject, struct pw_io *io)
{
	if (io == &subject->file.in) {
		pw_poller_cancel(&poller, &subject->file.out);
	}
}

/* Law: on_done may cancel the other direction. */
static void
cancel_from_on_done(void **unused)
{
	struct subject a;
	int fd[2];

	(void) unused;
	make_pair(fd);
	fill(fd[0]);
	attach(&a, fd[0]);
	a.then = cancel_output;
	submit_recv(&a);
	submit(&a, PW_IO_SEND, "x", 1);
	settle();
	assert_int_equal(write(fd[1], "y", 1), 1);
	wait_for(&a.out, 1);
	assert_int_equal(a.in.result, 1);
	assert_int_equal(a.out.result, -ECANCELED);
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

/* Resubmission. */

static void
answer(struct subject *subject, struct pw_io *io)
{
	uint32_t *rounds = subject->arg;

	if (io == &subject->file.out) {
		submit_recv(subject);
	} else if (subject->in.result == 1 && *rounds > 0) {
		(*rounds)--;
		submit(subject, PW_IO_SEND, "p", 1);
	}
}

/* Law: on_done may submit its own io and the other one. Method: one byte goes back and forth. */
static void
resubmission_from_on_done(void **unused)
{
	uint32_t rounds = scaled(10000);
	struct subject a, b;
	int fd[2];

	(void) unused;
	make_tcp_pair(fd);
	attach(&a, fd[0]);
	attach(&b, fd[1]);
	a.then = b.then = answer;
	a.arg = b.arg = &rounds;
	submit_recv(&a);
	submit(&b, PW_IO_SEND, "p", 1);
	while (rounds > 0 || a.file.out.in_flight || b.file.out.in_flight) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	settle();
	a.then = b.then = NULL;
	pw_poller_cancel(&poller, &a.file.in);
	pw_poller_cancel(&poller, &b.file.in);
	settle();
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	assert_true(a.in.calls + b.in.calls > 2);
	detach(&a);
	detach(&b);
}

struct reuse {
	int other; /* the far end of the subject's pair */
	uint32_t left;
	uint32_t wrong;
	uint32_t same_number;
};

/* Detaches and closes from on_done, and lives on as another file, as a rule with the same descriptor number. */
static void
be_another_file(struct subject *subject, struct pw_io *io)
{
	struct reuse *reuse = subject->arg;
	int old = subject->file.fd;
	int fd[2];

	(void) io;
	reuse->wrong += subject->in.result != 1 || subject->buffer[0] != (char) reuse->left;
	pw_poller_detach(&poller, &subject->file);
	(void) close(old);
	(void) close(reuse->other);
	if (--reuse->left == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0) {
		return;
	}
	reuse->same_number += fd[0] == old;
	reuse->other = fd[1];
	subject->file.fd = fd[0];
	if (pw_poller_attach(&poller, &subject->file) != 0) {
		reuse->wrong++;
		return;
	}
	submit_recv(subject);
	char byte = (char) reuse->left;
	reuse->wrong += write(fd[1], &byte, 1) != 1;
}

/* Law: after detach the struct and the descriptor's number belong to a new life; nothing of the old one shows. */
static void
detach_then_reuse_of_struct_and_number(void **unused)
{
	struct reuse reuse = { .left = scaled(2000) };
	static struct subject a;
	char byte = (char) reuse.left;
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	a.then = be_another_file;
	a.arg = &reuse;
	reuse.other = fd[1];
	submit_recv(&a);
	pw_poller_cancel(&poller, &a.file.out); /* idle */
	assert_int_equal(write(fd[1], &byte, 1), 1);
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	assert_int_equal(reuse.left, 0);
	assert_int_equal(reuse.wrong, 0);
	assert_true(reuse.same_number > 0);
}

/* Law: a duplicate of the descriptor elsewhere brings no event of a file that was detached. Method: the peer's data
 * comes after detach and close, while a duplicate keeps the socket open. */
static void
detached_file_is_silent_although_a_duplicate_lives(void **unused)
{
	struct subject a;
	int fd[2];

	(void) unused;
	make_pair(fd);
	int duplicate = dup(fd[0]);
	assert_true(duplicate >= 0);
	attach(&a, fd[0]);
	submit_recv(&a);
	settle();
	pw_poller_cancel(&poller, &a.file.in);
	wait_for(&a.in, 1);
	detach(&a);
	settle();
	assert_int_equal(write(fd[1], "x", 1), 1);
	struct pollfd quiet = { .fd = poller.fd, .events = POLLIN };
	assert_int_equal(poll(&quiet, 1, 0), 0);
	assert_int_equal(pw_poller_wait(&poller, 0, BUDGET), 0);
	assert_int_equal(close(duplicate), 0);
	assert_int_equal(close(fd[1]), 0);
}

/* The wait. */

/* Law: one wait calls at most `budget` on_done, and what is left comes without a new cause. */
static void
wait_keeps_its_budget(void **unused)
{
	static struct subject a[40];
	int other[40];
	unsigned total = 0;

	(void) unused;
	for (size_t i = 0; i < 40; i++) {
		int fd[2];
		make_pair(fd);
		other[i] = fd[1];
		attach(&a[i], fd[0]);
		submit_recv(&a[i]);
	}
	settle();
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(write(other[i], "b", 1), 1);
	}
	assert_int_equal(pw_poller_wait(&poller, PW_NEVER_NS, 0), 0);
	while (total < 40) {
		unsigned count = pw_poller_wait(&poller, PW_NEVER_NS, 7);
		assert_true(count <= 7);
		total += count;
		assert_int_equal(poller.in_flight, 40 - total);
	}
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(a[i].in.calls, 1);
		detach(&a[i]);
		assert_int_equal(close(other[i]), 0);
	}
}

static void
again(struct subject *subject, struct pw_io *io)
{
	(void) io;
	if (subject->arg != NULL) {
		submit(subject, PW_IO_POLL_OUT, NULL, 0);
	}
}

/* Law: operations that are always ready at once hide neither the bell nor another file. Method: more of them than the
 * budget, each submitted again by its on_done; the bell must become silent, and a recv must end. */
static void
busy_files_do_not_starve_others(void **unused)
{
	static struct subject busy[20], quiet;
	int other[20], fd[2];

	(void) unused;
	for (size_t i = 0; i < 20; i++) {
		int pair[2];
		make_pair(pair);
		other[i] = pair[1];
		attach(&busy[i], pair[0]);
		busy[i].then = again;
		busy[i].arg = &busy[i];
		submit(&busy[i], PW_IO_POLL_OUT, NULL, 0);
	}
	make_pair(fd);
	attach(&quiet, fd[0]);
	submit_recv(&quiet);
	for (int i = 0; i < 50; i++) {
		assert_true(pw_poller_wait(&poller, PW_NEVER_NS, 5) <= 5);
	}
	assert_int_equal(write(fd[1], "q", 1), 1);
	pw_bell_ring(bell);
	struct pollfd rung = { .fd = bell, .events = POLLIN };
	while (quiet.in.calls == 0 || poll(&rung, 1, 0) != 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, 5);
	}
	for (size_t i = 0; i < 20; i++) {
		assert_true(busy[i].out.calls > 0);
		busy[i].arg = NULL;
		while (busy[i].file.out.in_flight) {
			(void) pw_poller_wait(&poller, PW_NEVER_NS, 5);
		}
		detach(&busy[i]);
		assert_int_equal(close(other[i]), 0);
	}
	detach(&quiet);
	assert_int_equal(close(fd[1]), 0);
}

/* Law: a wait in which nothing comes is never shorter than its timeout, to the nanosecond. */
static void
wait_never_ends_early(void **unused)
{
	static const uint64_t timeouts_ns[] = { 1, 999, 64000, 999999, 1000001, 2500000 };

	(void) unused;
	settle();
	for (size_t i = 0; i < sizeof(timeouts_ns) / sizeof(timeouts_ns[0]); i++) {
		uint64_t before_ns = pw_clock_now_ns();
		assert_int_equal(pw_poller_wait(&poller, timeouts_ns[i], BUDGET), 0);
		assert_true(pw_clock_now_ns() - before_ns >= timeouts_ns[i]);
	}
	assert_int_equal(pw_poller_wait(&poller, 0, BUDGET), 0);
}

static void
on_signal(int number)
{
	(void) number;
}

struct pest {
	pthread_t victim;
	pw_a32 stop;
};

static void *
send_signals(void *arg)
{
	struct pest *pest = arg;

	while (pw_load_acquire_32(&pest->stop) == 0) {
		(void) pthread_kill(pest->victim, SIGUSR1);
		pw_clock_sleep_ns(50 * PW_NS_PER_US);
	}
	return NULL;
}

/* Law: signals neither end an operation nor lose one. Method: bytes go back and forth under a rain of signals. */
static void
signals_disturb_nothing(void **unused)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct pest pest = { .victim = pthread_self() };
	pthread_t thread;

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	pw_store_relaxed_32(&pest.stop, 0);
	assert_int_equal(pthread_create(&thread, NULL, send_signals, &pest), 0);
	resubmission_from_on_done(unused);
	accept_and_connect_meet(unused);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pw_poller_wait(&poller, 100 * PW_NS_PER_US, BUDGET), 0);
	}
	pw_store_release_32(&pest.stop, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

struct ringer {
	pw_a32 answered;
	uint32_t rounds;
	int acknowledge; /* an eventfd: the ringer sleeps here until it was heard */
};

static void *
ring_and_wait(void *arg)
{
	struct ringer *ringer = arg;
	uint64_t heard;

	for (uint32_t i = 0; i < ringer->rounds; i++) {
		pw_bell_ring(bell);
		if (read(ringer->acknowledge, &heard, sizeof(heard)) != sizeof(heard)) {
			break;
		}
		(void) pw_fetch_add_relaxed_32(&ringer->answered, 1);
	}
	return NULL;
}

/* Law: every ring makes a wait return, also one without a timeout, and is cleared by it. Method: the ringer rings
 * again only when it was heard, so a ring that is lost is a hang. */
static void
bell_always_wakes(void **unused)
{
	struct ringer ringer = { .rounds = scaled(5000), .acknowledge = eventfd(0, EFD_CLOEXEC) };
	struct pollfd rung = { .fd = bell, .events = POLLIN };
	uint64_t one = 1;
	pthread_t thread;
	uint32_t heard = 0;
	bool silent = true;

	(void) unused;
	assert_true(ringer.acknowledge >= 0);
	pw_store_relaxed_32(&ringer.answered, 0);
	pw_bell_ring(bell); /* before the wait */
	assert_int_equal(pw_poller_wait(&poller, PW_NEVER_NS, BUDGET), 0);
	assert_int_equal(poll(&rung, 1, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, ring_and_wait, &ringer), 0);
	while (heard < ringer.rounds) {
		uint32_t before = pw_load_relaxed_32(&ringer.answered);
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
		silent = silent && (poll(&rung, 1, 0) == 0 || before != pw_load_relaxed_32(&ringer.answered));
		/* A wait may return for nothing; the ringer has rung when its last answer was taken. */
		if (pw_load_relaxed_32(&ringer.answered) == heard) {
			heard++;
			assert_int_equal(write(ringer.acknowledge, &one, sizeof(one)), sizeof(one));
			while (pw_load_relaxed_32(&ringer.answered) < heard) {
				(void) sched_yield();
			}
		}
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(silent);
	assert_int_equal(pw_load_relaxed_32(&ringer.answered), ringer.rounds);
	assert_int_equal(close(ringer.acknowledge), 0);
}

/* Numbers. */

/* Law: operations in flight are bounded by memory alone, and so are cancels. Method: far more than the submission
 * queue, submitted in one go, ended by data; again, ended by cancels in one go; nothing is left. */
static void
many_operations_end_by_data_and_by_cancel(void **unused)
{
	uint32_t count = scaled(MANY);
	static struct subject a[MANY + 1];
	static int other[MANY + 1];

	(void) unused;
	if (!room_for(2 * count)) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		int fd[2];
		make_pair(fd);
		other[i] = fd[1];
		attach(&a[i], fd[0]);
		submit_recv(&a[i]);
	}
	assert_int_equal(poller.in_flight, count);
	settle();
	assert_int_equal(poller.in_flight, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(write(other[i], "m", 1), 1);
	}
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(a[i].in.calls, 1);
		assert_int_equal(a[i].in.result, 1);
		submit_recv(&a[i]);
	}
	settle();
	for (uint32_t i = 0; i < count; i++) {
		pw_poller_cancel(&poller, &a[i].file.in);
	}
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(a[i].in.calls, 2);
		assert_int_equal(a[i].in.result, -ECANCELED);
		detach(&a[i]);
		assert_int_equal(close(other[i]), 0);
	}
	settle();
}

/* Law: more operations that end at one instant than the completion queue holds all report, and the bell is heard
 * among them and after them. Method: duplicates of one eventfd, each polled; one write makes all ready. */
static void
a_crowd_that_ends_at_once_is_complete(void **unused)
{
	uint32_t count = scaled(CROWD);
	static struct subject a[CROWD + 1];
	uint64_t one = 1;

	(void) unused;
	if (!room_for(count)) {
		return;
	}
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(fd >= 0);
	for (uint32_t i = 0; i < count; i++) {
		attach(&a[i], dup(fd));
		submit(&a[i], PW_IO_POLL_IN, NULL, 0);
	}
	settle();
	assert_int_equal(poller.in_flight, count);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	pw_bell_ring(bell);
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	settle();
	struct pollfd rung = { .fd = bell, .events = POLLIN };
	assert_int_equal(poll(&rung, 1, 0), 0);
	pw_bell_ring(bell);
	do {
		assert_int_equal(pw_poller_wait(&poller, PW_NEVER_NS, BUDGET), 0);
	} while (poll(&rung, 1, 0) != 0);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(a[i].in.calls, 1);
		assert_int_equal(a[i].in.result, 0);
		detach(&a[i]);
	}
	assert_int_equal(close(fd), 0);
}

/* Law: operations and cancels for which the submission queue has no room end too, once, and a cancelled one has taken
 * nothing. Method: more of both than it holds between two waits; every second is cancelled, and half of those have no
 * data that could end them, the others have it before they are submitted. */
static void
what_finds_no_room_in_the_queue_ends_too(void **unused)
{
	enum {
		COUNT = 700
	};
	static struct subject a[COUNT];
	static int other[COUNT];

	(void) unused;
	if (!room_for(2 * COUNT)) {
		return;
	}
	for (int i = 0; i < COUNT; i++) {
		int fd[2];
		make_pair(fd);
		other[i] = fd[1];
		attach(&a[i], fd[0]);
		if (i % 4 != 2) {
			assert_int_equal(write(fd[1], "n", 1), 1);
		}
	}
	for (int i = 0; i < COUNT; i++) {
		submit_recv(&a[i]);
	}
	for (int i = 0; i < COUNT; i += 2) {
		pw_poller_cancel(&poller, &a[i].file.in);
	}
	assert_int_equal(poller.in_flight, COUNT);
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	settle();
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(a[i].in.calls, 1);
		if (i % 4 == 2 || (i % 4 == 0 && a[i].in.result < 0)) {
			assert_int_equal(a[i].in.result, -ECANCELED);
			assert_int_equal(read(a[i].file.fd, a[i].buffer, sizeof(a[i].buffer)), i % 4 == 2 ? -1 : 1);
		} else {
			assert_int_equal(a[i].in.result, 1);
		}
		detach(&a[i]);
		assert_int_equal(close(other[i]), 0);
	}
}

/* One pair of the random walk: bytes go from the poller's `near` to the test's `far` and back, numbered. */
struct walker {
	struct subject near;
	int far;
	unsigned submitted_in, submitted_out;
	unsigned char sent, seen_far, received, written_far;
	char out;
	bool wrong;
};

static void
on_step(struct subject *subject, struct pw_io *io)
{
	struct walker *walker = PW_CONTAINER_OF(subject, struct walker, near);

	if (io == &subject->file.out) {
		walker->wrong = walker->wrong || (subject->out.result != 1 && subject->out.result != -ECANCELED);
		walker->sent = (unsigned char) (walker->sent + (subject->out.result == 1));
		return;
	}
	walker->wrong = walker->wrong || (subject->in.result <= 0 && subject->in.result != -ECANCELED);
	for (int i = 0; i < subject->in.result; i++) {
		walker->wrong = walker->wrong || (unsigned char) subject->buffer[i] != walker->received++;
	}
}

static void
step(struct walker *walker, uint32_t choice)
{
	unsigned char byte;

	switch (choice) {
	case 0:
		if (!walker->near.file.in.in_flight) {
			walker->submitted_in++;
			submit_recv(&walker->near);
		}
		break;
	case 1:
		if (!walker->near.file.out.in_flight) {
			walker->submitted_out++;
			walker->out = (char) walker->sent;
			submit(&walker->near, PW_IO_SEND, &walker->out, 1);
		}
		break;
	case 2:
		pw_poller_cancel(&poller, &walker->near.file.in);
		break;
	case 3:
		pw_poller_cancel(&poller, &walker->near.file.out);
		break;
	case 4:
		byte = walker->written_far;
		walker->written_far = (unsigned char) (byte + (write(walker->far, &byte, 1) == 1));
		break;
	case 5:
		while (read(walker->far, &byte, 1) == 1) {
			walker->wrong = walker->wrong || byte != walker->seen_far++;
		}
		break;
	default:
		(void) pw_poller_wait(&poller, 0, choice - 5);
	}
}

/* TCP takes its time, also on one machine. */
static void
read_to_the_end(struct walker *walker)
{
	struct pollfd ready = { .fd = walker->far, .events = POLLIN };
	unsigned char byte;
	ssize_t n;

	while ((n = read(walker->far, &byte, 1)) != 0) {
		if (n == 1) {
			walker->wrong = walker->wrong || byte != walker->seen_far++;
		} else {
			assert_int_equal(errno, EAGAIN);
			assert_int_equal(poll(&ready, 1, -1), 1);
		}
	}
}

/* Law: any order of submit, cancel, data and wait: every submission ends once, and the bytes of each direction come
 * in order, none lost, none double. Method: a random walk over several pairs, numbered bytes on both sides. */
static void
every_submission_ends_once(void **unused)
{
	static struct walker walker[8];
	uint64_t random = seed;

	(void) unused;
	for (size_t i = 0; i < 8; i++) {
		int fd[2];
		make_tcp_pair(fd);
		walker[i] = (struct walker){ .far = fd[1] };
		attach(&walker[i].near, fd[0]);
		walker[i].near.then = on_step;
	}
	for (uint32_t i = 0; i < scaled(40000); i++) {
		step(&walker[random_below(&random, 8)], random_below(&random, 9));
	}
	for (size_t i = 0; i < 8; i++) {
		step(&walker[i], 2);
		step(&walker[i], 3);
	}
	while (poller.in_flight > 0) {
		(void) pw_poller_wait(&poller, PW_NEVER_NS, BUDGET);
	}
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(walker[i].near.in.calls, walker[i].submitted_in);
		assert_int_equal(walker[i].near.out.calls, walker[i].submitted_out);
		assert_int_equal(shutdown(walker[i].near.file.fd, SHUT_WR), 0);
		read_to_the_end(&walker[i]);
		assert_false(walker[i].wrong);
		assert_int_equal(walker[i].seen_far, walker[i].sent);
		detach(&walker[i].near);
		assert_int_equal(close(walker[i].far), 0);
	}
}

/* The descriptor. */

static bool
fd_is_readable(int timeout_ms)
{
	struct pollfd p = { .fd = poller.fd, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

struct cause {
	int fd; /* to write to; -1: the bell */
	uint64_t random;
};

/* After a random while, so that it comes before the other thread sleeps, after, and in between. */
static void *
cause_once(void *arg)
{
	struct cause *cause = arg;

	pw_clock_sleep_ns(random_below(&cause->random, 150) * PW_NS_PER_US);
	if (cause->fd < 0) {
		pw_bell_ring(bell);
		return cause;
	}
	return write(cause->fd, "t", 1) == 1 ? cause : NULL;
}

/* Law: the descriptor of a lent poller wakes who sleeps on it, for the bell and for data. Method: another thread is
 * the cause, around the moment in which this one begins to sleep; a wake that is lost is a hang. */
static void
lent_descriptor_wakes_who_sleeps_on_it(void **unused)
{
	struct cause cause = { .random = seed };
	unsigned received = 0;
	static struct subject a;
	int fd[2];

	(void) unused;
	assert_int_equal(pw_poller_lend(&poller), 0);
	make_pair(fd);
	attach(&a, fd[0]);
	submit_recv(&a);
	for (uint32_t round = 0; round < scaled(300); round++) {
		pthread_t thread;
		void *done;
		settle();
		cause.fd = round % 2 == 0 ? -1 : fd[1];
		assert_int_equal(pthread_create(&thread, NULL, cause_once, &cause), 0);
		assert_true(fd_is_readable(-1));
		assert_int_equal(pthread_join(thread, &done), 0);
		assert_non_null(done);
		settle();
		received += round % 2;
		assert_int_equal(a.in.calls, received);
		if (!a.file.in.in_flight) {
			submit_recv(&a);
		}
	}
	pw_poller_cancel(&poller, &a.file.in);
	wait_for(&a.in, received + 1);
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

/* Law: the descriptor is readable when wait(0) would find something and not otherwise: for the bell, for data, for a
 * connect's next try. Method: poll(2), without a timeout where it must come; as it is opened, and lent. */
static void
descriptor_is_readable_for_every_cause(void **unused)
{
	struct subject a, dialer;
	struct sockaddr_un un;
	socklen_t un_size;
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	for (unsigned lent = 0; lent < 2; lent++) {
		if (lent != 0) {
			assert_int_equal(pw_poller_lend(&poller), 0);
		}
		settle();
		assert_false(fd_is_readable(0));
		pw_bell_ring(bell);
		assert_true(fd_is_readable(-1));
		settle();
		assert_false(fd_is_readable(0));

		submit_recv(&a);
		settle();
		assert_false(fd_is_readable(0));
		assert_int_equal(write(fd[1], "r", 1), 1);
		assert_true(fd_is_readable(-1));
		settle();
		assert_int_equal(a.in.calls, lent + 1);
		assert_false(fd_is_readable(0));
	}
	int listener = make_unix_listener(&un, &un_size, 0);
	int first = make_unix();
	assert_int_equal(connect(first, (struct sockaddr *) &un, un_size), 0);
	attach(&dialer, make_unix());
	submit_connect(&dialer, &un, un_size);
	settle();
	assert_int_equal(close(listener), 0);
	while (dialer.out.calls == 0) {
		assert_true(fd_is_readable(-1));
		settle();
	}
	assert_int_equal(dialer.out.result, -ECONNREFUSED);
	detach(&dialer);
	detach(&a);
	assert_int_equal(close(first), 0);
	assert_int_equal(close(fd[1]), 0);
}

/* Law: pending is true from submit until the kernel has the operation, and while a result waits. */
static void
pending_tells_of_work_without_the_kernel(void **unused)
{
	struct subject a;
	int fd[2];

	(void) unused;
	make_pair(fd);
	attach(&a, fd[0]);
	settle();
	assert_false(pw_poller_pending(&poller));
	submit(&a, PW_IO_SEND, "x", 1);
	assert_true(pw_poller_pending(&poller));
	(void) pw_poller_wait(&poller, 0, 0);
	assert_true(pw_poller_pending(&poller));
	wait_for(&a.out, 1);
	assert_false(pw_poller_pending(&poller));
	detach(&a);
	assert_int_equal(close(fd[1]), 0);
}

/* Opening. */

/* Law: what is no descriptor is not attached. */
static void
attach_of_a_closed_descriptor_is_an_error(void **unused)
{
	struct subject a = { .file = { .fd = lowest_free_fd() } };

	(void) unused;
	assert_int_equal(pw_poller_attach(&poller, &a.file), -EBADF);
	assert_false(a.file.attached);
}

/* Law: an open that fails leaves nothing open and says why; one that succeeds leaves nothing after close. Method: the
 * lowest free descriptor before and after. */
static void
open_and_close_leak_nothing(void **unused)
{
	struct pw_poller other;
	int before = lowest_free_fd();

	(void) unused;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(open_backend(&other, bell), 0);
		if (i % 2 != 0) {
			assert_int_equal(pw_poller_lend(&other), 0);
		}
		pw_poller_close(&other);
		assert_int_equal(lowest_free_fd(), before);
	}
	pw_memory_fail_after(0);
	assert_int_equal(open_backend(&other, bell), -ENOMEM);
	pw_memory_fail_after(-1);
	assert_int_equal(lowest_free_fd(), before);
	struct rlimit old = limit_reached(0);
	int result = open_backend(&other, bell);
	limit_restore(old);
	assert_int_equal(result, -EMFILE);
	assert_int_equal(lowest_free_fd(), before);

	assert_int_equal(open_backend(&other, bell), 0);
	int own_fd = other.fd;
	for (int left = 0; left < 2; left++) {
		old = limit_reached(left);
		result = pw_poller_lend(&other);
		limit_restore(old);
		assert_int_equal(result, other.ops->lend != NULL ? -EMFILE : 0);
		assert_int_equal(other.fd, own_fd);
	}
	pw_poller_close(&other);
	assert_int_equal(lowest_free_fd(), before);
}

static void
install_filter(struct sock_filter *program, size_t size)
{
	struct sock_fprog filter = { .len = (unsigned short) (size / sizeof(program[0])), .filter = program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
		print_error("seccomp: %s\n", strerror(errno));
		_exit(99);
	}
}

static void
filter_call(unsigned call, int error)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install_filter(program, sizeof(program));
}

static void
filter_pwait2(void)
{
	filter_call(SYS_epoll_pwait2, ENOSYS);
}

/* io_uring_enter with more than one submission that does not also take completions, which is how the poller makes
 * room in a full queue, is told EAGAIN, as by a kernel without memory. (Low halves: little endian.) */
static void
filter_full_submission(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, IORING_ENTER_GETEVENTS, 3, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install_filter(program, sizeof(program));
}

static bool
io_uring_is_offered(void)
{
	struct pw_poller p;
	int bell_fd;

	assert_int_equal(pw_bell_open(&bell_fd), 0);
	bool offered = pw_poller_open(&p, PW_POLLER_URING, bell_fd) == 0;
	if (offered) {
		pw_poller_close(&p);
	}
	assert_int_equal(close(bell_fd), 0);
	return offered;
}

struct refusal {
	unsigned call;
	int error;  /* what the filter answers */
	int result; /* what a forced io_uring then reports */
	const char *why;
};

/* One recv of a byte that is there; the filter of the caller is in place. */
static bool
receives(struct pw_poller *p, struct subject *a)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0) {
		return false;
	}
	a->file.fd = fd[0];
	if (pw_poller_attach(p, &a->file) != 0 || write(fd[1], "s", 1) != 1) {
		return false;
	}
	pw_poller_submit(p, prepare(a, PW_IO_RECV, a->buffer, sizeof(a->buffer)));
	(void) pw_poller_wait(p, PW_NEVER_NS, 1);
	pw_poller_detach(p, &a->file);
	return a->in.calls == 1 && a->in.result == 1;
}

/* In a child process: the number of the first check that fails, 0: none. */
static int
check_refusal(const struct refusal *refusal)
{
	struct subject a = { .file = { .fd = -1 } };
	struct pw_poller p;
	int bell_fd;

	filter_call(refusal->call, refusal->error);
	if (pw_bell_open(&bell_fd) != 0) {
		return 1;
	}
	int before = dup(0);
	if (pw_poller_open(&p, PW_POLLER_URING, bell_fd) != refusal->result || close(before) != 0 ||
	    dup(0) != before) {
		return 2;
	}
	if (pw_poller_open(&p, PW_POLLER_AUTO, bell_fd) != 0 || strcmp(p.ops->name, "epoll") != 0) {
		return 3;
	}
	if (strcmp(p.why, refusal->why) != 0) {
		return 4;
	}
	if (!receives(&p, &a)) {
		return 5;
	}
	pw_poller_close(&p);
	return 0;
}

/* Law: where io_uring is refused, in whatever step, a forced one reports the error and leaves nothing open, and AUTO
 * works on epoll and says why. Method: child processes install seccomp filters. */
static void
refused_io_uring_falls_back_to_epoll(void **unused)
{
	static const struct refusal refusals[] = {
		{ SYS_io_uring_setup, EPERM, -EPERM, "io_uring refused: Operation not permitted" },
		{ SYS_io_uring_setup, ENOSYS, -ENOSYS, "io_uring refused: Function not implemented" },
		{ SYS_io_uring_setup, ENOMEM, -ENOMEM, "io_uring refused: Cannot allocate memory" },
		{ SYS_io_uring_setup, EINVAL, -EINVAL, "io_uring refused: Invalid argument" },
		{ SYS_io_uring_register, EPERM, -EOPNOTSUPP, "io_uring refused: Operation not supported" },
		{ SYS_io_uring_enter, EPERM, -EPERM, "io_uring refused: Operation not permitted" },
	};

	(void) unused;
	if (!io_uring_is_offered()) {
		print_message("skipped: io_uring is refused without a filter\n");
		return;
	}
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		int status;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			_exit(check_refusal(&refusals[i]));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* A wait that would hand over two submissions or more and sleep is told EAGAIN. */
static void
filter_submission_by_wait(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install_filter(program, sizeof(program));
}

static int
check_refused_wait(void)
{
	struct subject a = { .file = { .fd = -1 } };
	struct pw_poller p;
	int bell_fd, fd[2];

	if (pw_bell_open(&bell_fd) != 0 || pw_poller_open(&p, PW_POLLER_URING, bell_fd) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0) {
		return 1;
	}
	filter_submission_by_wait();
	a.file.fd = fd[0];
	if (pw_poller_attach(&p, &a.file) != 0 || write(fd[1], "s", 1) != 1) {
		return 2;
	}
	pw_poller_submit(&p, prepare(&a, PW_IO_POLL_IN, NULL, 0));
	pw_poller_submit(&p, prepare(&a, PW_IO_POLL_OUT, NULL, 0));
	if (pw_poller_wait(&p, PW_NEVER_NS, BUDGET) != 0 || !pw_poller_pending(&p)) {
		return 3;
	}
	pw_bell_ring(bell_fd);
	(void) pw_poller_wait(&p, PW_NEVER_NS, BUDGET);
	struct pollfd rung = { .fd = bell_fd, .events = POLLIN };
	if (poll(&rung, 1, 0) != 0) {
		return 4;
	}
	while (p.in_flight > 0) {
		(void) pw_poller_wait(&p, 0, BUDGET);
	}
	pw_poller_detach(&p, &a.file);
	pw_poller_close(&p);
	return a.in.calls == 1 && a.in.result == 0 && a.out.calls == 1 && a.out.result == 0 ? 0 : 5;
}

/* Law: a wait whose submissions the kernel refuses returns soon although it was to last for ever, hears the bell, and
 * loses no operation. Method: in a child process, a seccomp filter; then waits of length 0, which it lets through. */
static void
refused_submissions_are_kept(void **unused)
{
	int status;

	(void) unused;
	if (!io_uring_is_offered()) {
		print_message("skipped: io_uring is refused\n");
		return;
	}
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		_exit(check_refused_wait());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Law: AUTO opens a poller, io_uring if a forced one opens, and says why it is the one. */
static void
auto_prefers_io_uring_and_says_why(void **unused)
{
	struct pw_poller p;
	int bell_fd;

	(void) unused;
	assert_int_equal(pw_bell_open(&bell_fd), 0);
	bool offered = pw_poller_open(&p, PW_POLLER_URING, bell_fd) == 0;
	if (offered) {
		assert_string_equal(p.why, "asked for");
		pw_poller_close(&p);
	}
	assert_int_equal(pw_poller_open(&p, PW_POLLER_AUTO, bell_fd), 0);
	assert_string_equal(p.ops->name, offered ? "io_uring" : "epoll");
	assert_true(strncmp(p.why, offered ? "the kernel offers" : "io_uring refused: ", 17) == 0);
	pw_poller_close(&p);
	assert_int_equal(close(bell_fd), 0);
}

#define LAW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int
run_suite(void)
{
	const struct CMUnitTest tests[] = {
		LAW(recv_reports_what_was_sent),
		LAW(recv_at_end_of_file_is_zero),
		LAW(reset_is_reported_without_a_signal),
		LAW(recv_past_urgent_data_is_not_lost),
		LAW(a_crowd_of_receives_misses_nothing),
		LAW(close_after_detach_is_seen_at_once),
		LAW(scatter_and_gather_keep_the_order),
		LAW(send_waits_for_room_and_loses_nothing),
		LAW(both_directions_are_in_flight_at_once),
		LAW(accept_and_connect_meet),
		LAW(connect_reports_a_refusal),
		LAW(connect_waits_for_room_in_the_backlog),
		LAW(accept_reports_the_descriptor_limit),
		LAW(poll_tells_readiness_and_takes_nothing),
		LAW(cancel_ends_each_operation_once),
		LAW(late_cancel_hits_nothing),
		LAW(cancel_racing_with_data_loses_none),
		LAW(cancel_racing_with_a_connection_loses_none),
		LAW(cancel_from_on_done),
		LAW(resubmission_from_on_done),
		LAW(detach_then_reuse_of_struct_and_number),
		LAW(detached_file_is_silent_although_a_duplicate_lives),
		LAW(wait_keeps_its_budget),
		LAW(busy_files_do_not_starve_others),
		LAW(wait_never_ends_early),
		LAW(signals_disturb_nothing),
		LAW(bell_always_wakes),
		LAW(many_operations_end_by_data_and_by_cancel),
		LAW(a_crowd_that_ends_at_once_is_complete),
		LAW(what_finds_no_room_in_the_queue_ends_too),
		LAW(every_submission_ends_once),
		LAW(descriptor_is_readable_for_every_cause),
		LAW(lent_descriptor_wakes_who_sleeps_on_it),
		LAW(pending_tells_of_work_without_the_kernel),
		LAW(attach_of_a_closed_descriptor_is_an_error),
		LAW(open_and_close_leak_nothing),
	};

	return cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
}

/* True: the machine has this back end and the caller wants it. */
static bool
wanted(void)
{
	const char *only = getenv("PW_TEST_POLLER");
	bool is_epoll = backend->kind == PW_POLLER_EPOLL;
	struct pw_poller p;
	int bell_fd;

	if (only != NULL && strcmp(only, is_epoll ? "epoll" : "uring") != 0) {
		print_message("%s: skipped: PW_TEST_POLLER=%s\n", backend->name, only);
		return false;
	}
	if (pw_bell_open(&bell_fd) != 0) {
		return true; /* the suite will say so */
	}
	int result = open_backend(&p, bell_fd);
	if (result == 0) {
		pw_poller_close(&p);
	}
	(void) close(bell_fd);
	if (result == 0 || is_epoll) {
		return true;
	}
	print_message("%s: skipped: refused: %s (%s)\n", backend->name, strerrordesc_np(-result),
	    strerrorname_np(-result));
	return false;
}

int
main(void)
{
	const struct CMUnitTest choice[] = {
		cmocka_unit_test(refused_io_uring_falls_back_to_epoll),
		cmocka_unit_test(refused_submissions_are_kept),
		cmocka_unit_test(auto_prefers_io_uring_and_says_why),
	};
	const char *given = getenv("PW_TEST_SEED");
	int failed;

	seed = given != NULL ? strtoull(given, NULL, 0) | 1 : UINT64_C(0x9e3779b97f4a7c15);
	print_message("PW_TEST_SEED=%#llx\n", (unsigned long long) seed);
	failed = cmocka_run_group_tests_name("choice", choice, NULL, NULL);
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		backend = &backends[i];
		if (wanted()) {
			if (backend->restrict_process != NULL) {
				backend->restrict_process();
			}
			failed += run_suite();
		}
	}
	return failed != 0;
}

/* SPDX-License-Identifier: MIT
 *
 * streams_raw_epoll.c: an echo server as one writes it by hand on epoll(7): level triggered, one thread, and three
 * system calls for a message that comes alone.
 */
#include "bench/streams/streams.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

struct connection {
	int fd;
	char buffer[STREAMS_BUFFER_SIZE];
};

static bool
watch(int epoll_fd, int fd, void *data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void
accept_all(int epoll_fd, int listener)
{
	int on = 1;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct connection *c = fd >= 0 ? malloc(sizeof(*c)) : NULL;
		if (c == NULL) {
			return;
		}
		c->fd = fd;
		(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (!watch(epoll_fd, fd, c)) {
			abort();
		}
	}
}

/* A message fits any socket's buffer: the send is whole, or the connection is gone. */
static void
serve(struct connection *c)
{
	ssize_t n = recv(c->fd, c->buffer, sizeof(c->buffer), 0);

	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0 || send(c->fd, c->buffer, (size_t) n, MSG_NOSIGNAL) != n) {
		(void) close(c->fd);
		free(c);
	}
}

void
streams_serve_raw_epoll(const struct streams_order *order)
{
	struct epoll_event event[EVENTS];
	int port;
	int listener = streams_listen(&port);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (listener < 0 || epoll_fd < 0 || !watch(epoll_fd, listener, NULL)) {
		return;
	}
	streams_announce(port);
	for (;;) {
		int count = epoll_wait(epoll_fd, event, EVENTS, order->spin ? 0 : -1);
		for (int i = 0; i < count; i++) {
			if (event[i].data.ptr == NULL) {
				accept_all(epoll_fd, listener);
			} else {
				serve(event[i].data.ptr);
			}
		}
	}
}

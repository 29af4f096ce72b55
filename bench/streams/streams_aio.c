/* SPDX-License-Identifier: MIT
 *
 * streams_aio.c: an echo server on nng_stream_*: one handle for each connection, which receives, sends what came, and
 * receives again. The file is compiled twice, against Debian's <nng/nng.h> and against pinwheel's; what differs is that
 * pinwheel's is told which poller to use.
 */
#include "bench/streams/streams.h"

#include <nng/nng.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef PINWHEEL_NNG_H
#include <pinwheel/pinwheel.h>
#endif

struct connection {
	nng_stream *stream;
	nng_aio *aio;
	bool sending;
	size_t filled;
	size_t sent;
	char buffer[STREAMS_BUFFER_SIZE];
};

static const struct streams_order *order_now;
static nng_stream_listener *listener;
static nng_aio *accept_aio;

static void
receive(struct connection *c)
{
	nng_iov iov = { c->buffer, sizeof(c->buffer) };

	c->sending = false;
	(void) nng_aio_set_iov(c->aio, 1, &iov);
	nng_stream_recv(c->stream, c->aio);
}

static void
send_rest(struct connection *c)
{
	nng_iov iov = { c->buffer + c->sent, c->filled - c->sent };

	c->sending = true;
	(void) nng_aio_set_iov(c->aio, 1, &iov);
	nng_stream_send(c->stream, c->aio);
}

static void
on_transfer(void *arg)
{
	struct connection *c = arg;

	if (nng_aio_result(c->aio) != 0) {
		nng_stream_close(c->stream); /* the process ends soon, and with it what it holds */
	} else if (!c->sending) {
		c->filled = nng_aio_count(c->aio);
		c->sent = 0;
		send_rest(c);
	} else {
		c->sent += nng_aio_count(c->aio);
		if (c->sent < c->filled) {
			send_rest(c);
		} else {
			receive(c);
		}
	}
}

static void
on_accept(void *arg)
{
	(void) arg;
	if (nng_aio_result(accept_aio) == 0) {
		struct connection *c = malloc(sizeof(*c));
		if (c == NULL || nng_aio_alloc(&c->aio, on_transfer, c) != 0) {
			abort();
		}
		c->stream = nng_aio_get_output(accept_aio, 0);
		if (order_now->deadlines) {
			nng_aio_set_timeout(c->aio, STREAMS_DEADLINE_MS);
		}
		receive(c);
	}
	nng_stream_listener_accept(listener, accept_aio);
}

static void
serve(const struct streams_order *order)
{
	int port;

	order_now = order;
	int rv = (int) nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0");
	if (rv == 0) {
		rv = (int) nng_stream_listener_listen(listener);
	}
	if (rv == 0) {
		rv = (int) nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port);
	}
	if (rv == 0) {
		rv = (int) nng_aio_alloc(&accept_aio, on_accept, NULL);
	}
	if (rv != 0) {
		(void) fprintf(stderr, "streams_bench: %s\n", nng_strerror(rv));
		return;
	}
	nng_stream_listener_accept(listener, accept_aio);
	streams_announce(port);
	for (;;) {
		(void) pause();
	}
}

#ifdef PINWHEEL_NNG_H
static void
serve_with(const struct streams_order *order, enum pinwheel_poller poller)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	config.poller = poller;
	config.idle = order->spin ? PINWHEEL_IDLE_BUSY : PINWHEEL_IDLE_DEFAULT;
	nng_err error = pinwheel_start(&config);
	if (error != NNG_OK) {
		(void) fprintf(stderr, "streams_bench: %s\n", nng_strerror(error));
		return;
	}
	serve(order);
}

void
streams_serve_pinwheel_uring(const struct streams_order *order)
{
	serve_with(order, PINWHEEL_POLLER_URING);
}

void
streams_serve_pinwheel_epoll(const struct streams_order *order)
{
	serve_with(order, PINWHEEL_POLLER_EPOLL);
}
#else
void
streams_serve_nng(const struct streams_order *order)
{
	serve(order);
}
#endif

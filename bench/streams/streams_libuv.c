/* SPDX-License-Identifier: MIT
 *
 * streams_libuv.c: an echo server on libuv. A deadline is a timer of the connection's.
 */
#include "bench/streams/streams.h"

#include <stdlib.h>
#include <uv.h>

struct connection {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_write_t write;
	bool has_deadline;
	char buffer[STREAMS_BUFFER_SIZE];
};

static const struct streams_order *order_now;

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
on_closed(uv_handle_t *handle)
{
	struct connection *c = handle->data;

	if (c->has_deadline) {
		uv_close((uv_handle_t *) &c->timer, on_timer_closed);
	} else {
		free(c);
	}
}

static void
drop(struct connection *c)
{
	if (!uv_is_closing((uv_handle_t *) &c->tcp)) {
		uv_close((uv_handle_t *) &c->tcp, on_closed);
	}
}

static void
on_deadline(uv_timer_t *timer)
{
	drop(timer->data);
}

static void
begin_deadline(struct connection *c)
{
	if (c->has_deadline) {
		(void) uv_timer_start(&c->timer, on_deadline, STREAMS_DEADLINE_MS, 0);
	}
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct connection *c = handle->data;

	(void) suggested;
	*buffer = uv_buf_init(c->buffer, sizeof(c->buffer));
}

static void
on_written(uv_write_t *write, int status)
{
	if (status < 0) {
		drop(write->data);
	}
}

/* The client has one message under way, so the buffer is free again when the next one comes. */
static void
on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct connection *c = stream->data;

	if (size < 0) {
		drop(c);
	} else if (size > 0) {
		uv_buf_t back = uv_buf_init(buffer->base, (unsigned) size);
		begin_deadline(c);
		if (uv_write(&c->write, stream, &back, 1, on_written) != 0) {
			drop(c);
		}
	}
}

static void
on_connection(uv_stream_t *listener, int status)
{
	struct connection *c = malloc(sizeof(*c));

	if (status != 0 || c == NULL || uv_tcp_init(listener->loop, &c->tcp) != 0) {
		abort();
	}
	c->tcp.data = c;
	c->write.data = c;
	c->has_deadline = order_now->deadlines;
	if (c->has_deadline) {
		(void) uv_timer_init(listener->loop, &c->timer);
		c->timer.data = c;
	}
	if (uv_accept(listener, (uv_stream_t *) &c->tcp) != 0) {
		abort();
	}
	(void) uv_tcp_nodelay(&c->tcp, 1);
	begin_deadline(c);
	(void) uv_read_start((uv_stream_t *) &c->tcp, on_alloc, on_read);
}

void
streams_serve_libuv(const struct streams_order *order)
{
	uv_loop_t *loop = uv_default_loop();
	static uv_tcp_t listener;
	int port;
	int fd = streams_listen(&port);

	order_now = order;
	if (fd < 0 || loop == NULL || uv_tcp_init(loop, &listener) != 0 || uv_tcp_open(&listener, fd) != 0 ||
	    uv_listen((uv_stream_t *) &listener, SOMAXCONN, on_connection) != 0) {
		return;
	}
	streams_announce(port);
	(void) uv_run(loop, UV_RUN_DEFAULT);
}

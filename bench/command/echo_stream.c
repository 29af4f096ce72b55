/* SPDX-License-Identifier: MIT
 *
 * echo_stream.c: see echo.h: a service over byte streams.
 *
 * One aio for each connection, which receives, then sends until all of it is sent, then receives again; so a
 * connection's buffer has one user at any time. A listener has one accept outstanding for each shard. Deadlines are
 * the aio's: one for receives (the peer is silent), one for sends (it takes nothing).
 *
 * Memory: the buffer is part of the connection and small, for there may be very many that say little; one that fills
 * it gets a large one, once.
 *
 * Who frees a connection: its own callback, when an operation fails (the peer has gone, its time is over, or main has
 * closed the stream). Main only closes, under the lock that keeps the list, so a connection on the list is a live
 * one.
 *
 * When descriptors run out accept fails with NNG_ENOFILES; the acceptor then pauses on its own aio and goes on.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bench/command/echo.h"

#define SMALL_SIZE 1024u
#define LARGE_SIZE 65536u

struct service;

struct connection {
	struct connection *next;
	struct connection *prev;
	struct service *service;
	nng_stream *stream;
	nng_aio *aio;
	bool sending;
	size_t filled; /* received */
	size_t sent;
	size_t capacity;
	char *buffer; /* `small`, or from malloc */
	char small[SMALL_SIZE];
};

struct acceptor {
	struct service *service;
	nng_aio *aio;
	bool pausing;
};

struct service {
	struct pw_echo_service *echo;
	nng_stream_listener *listener;
	struct acceptor *acceptors;
	unsigned acceptor_count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct connection *connections; /* under the lock */
};

/* ---- connections ---- */

static void
receive(struct connection *c)
{
	nng_iov iov = { c->buffer, c->capacity };

	c->sending = false;
	nng_aio_set_timeout(c->aio, pw_echo_options.idle_ms);
	(void) nng_aio_set_iov(c->aio, 1, &iov);
	nng_stream_recv(c->stream, c->aio);
}

static void
send_rest(struct connection *c)
{
	nng_iov iov = { c->buffer + c->sent, c->filled - c->sent };

	c->sending = true;
	nng_aio_set_timeout(c->aio, pw_echo_options.timeout_ms);
	(void) nng_aio_set_iov(c->aio, 1, &iov);
	nng_stream_send(c->stream, c->aio);
}

/* What it held has been sent. Without the memory it stays as it is. */
static void
enlarge(struct connection *c)
{
	char *large = malloc(LARGE_SIZE);

	if (large != NULL) {
		c->buffer = large;
		c->capacity = LARGE_SIZE;
	}
}

static void
release(struct connection *c)
{
	if (c->buffer != c->small) {
		free(c->buffer);
	}
	free(c);
}

static void
leave_list(struct connection *c)
{
	struct service *service = c->service;

	pthread_mutex_lock(&service->lock);
	if (c->next != NULL) {
		c->next->prev = c->prev;
	}
	if (c->prev != NULL) {
		c->prev->next = c->next;
	} else {
		service->connections = c->next;
	}
	pthread_cond_signal(&service->changed);
	pthread_mutex_unlock(&service->lock);
}

static void
count_end(struct connection *c, nng_err why)
{
	struct pw_echo_tally *tally = pw_echo_tally(c->service->echo);

	pw_count_add(&tally->closed, 1);
	switch (why) {
	case NNG_ECONNSHUT:
	case NNG_ECLOSED:
		break;
	case NNG_ETIMEDOUT:
		pw_count_add(c->sending ? &tally->stalled : &tally->silent, 1);
		break;
	default:
		pw_count_add(&tally->failed, 1);
		break;
	}
}

/* In the connection's own callback: nothing of it is under way. The stream and the aio go when the callback has
 * returned. */
static void
drop(struct connection *c, nng_err why)
{
	count_end(c, why);
	nng_stream *stream = c->stream;
	nng_aio *aio = c->aio;
	/* Off the list first: main closes the streams of those that are on it. When the last one is off it, main may
	 * release the service, so what is left to do knows nothing of it. */
	leave_list(c);
	nng_stream_free(stream);
	nng_aio_reap(aio);
	release(c);
}

static void
on_transfer(void *arg)
{
	struct connection *c = arg;
	nng_err result = nng_aio_result(c->aio);
	size_t count = nng_aio_count(c->aio);

	if (result != NNG_OK) {
		drop(c, result);
	} else if (!c->sending) {
		c->filled = count;
		c->sent = 0;
		send_rest(c);
	} else {
		c->sent += count;
		pw_count_add(&pw_echo_tally(c->service->echo)->bytes, count);
		if (c->sent < c->filled) {
			send_rest(c);
			return;
		}
		if (c->filled == SMALL_SIZE && c->buffer == c->small) {
			enlarge(c);
		}
		receive(c);
	}
}

static void
enter_list(struct connection *c)
{
	struct service *service = c->service;

	pthread_mutex_lock(&service->lock);
	c->next = service->connections;
	c->prev = NULL;
	if (c->next != NULL) {
		c->next->prev = c;
	}
	service->connections = c;
	pthread_mutex_unlock(&service->lock);
}

static struct connection *
make_connection(struct service *service, nng_stream *stream)
{
	struct connection *c = malloc(sizeof(*c));

	if (c == NULL) {
		return NULL;
	}
	c->service = service;
	c->stream = stream;
	c->capacity = SMALL_SIZE;
	c->buffer = c->small;
	if (nng_aio_alloc(&c->aio, on_transfer, c) != NNG_OK) {
		free(c);
		return NULL;
	}
	return c;
}

static void
welcome(struct service *service, nng_stream *stream)
{
	struct connection *c = make_connection(service, stream);

	if (c == NULL) {
		pw_count_add(&pw_echo_tally(service->echo)->refused, 1);
		nng_stream_free(stream);
	} else {
		enter_list(c);
		pw_count_add(&pw_echo_tally(service->echo)->accepted, 1);
		receive(c);
	}
}

/* ---- accepting ---- */

static void
accept_next(struct acceptor *a)
{
	a->pausing = false;
	nng_stream_listener_accept(a->service->listener, a->aio);
}

static void
on_accept(void *arg)
{
	struct acceptor *a = arg;
	nng_err result = nng_aio_result(a->aio);

	switch (result) {
	case NNG_OK:
		if (!a->pausing) {
			welcome(a->service, nng_aio_get_output(a->aio, 0));
		}
		accept_next(a);
		break;
	case NNG_ECLOSED:
	case NNG_ESTOPPED:
		break;
	case NNG_ENOFILES:
	case NNG_ENOMEM:
		pw_count_add(&pw_echo_tally(a->service->echo)->refused, 1);
		a->pausing = true;
		nng_sleep_aio(PW_ECHO_PAUSE_MS, a->aio);
		break;
	default: /* the peer had gone before it was accepted */
		accept_next(a);
		break;
	}
}

/* ---- the service ---- */

static nng_err
make_acceptors(struct service *service)
{
	unsigned count = (unsigned) pw_command_shards();

	service->acceptors = calloc(count, sizeof(*service->acceptors));
	if (service->acceptors == NULL) {
		return NNG_ENOMEM;
	}
	for (; service->acceptor_count < count; service->acceptor_count++) {
		struct acceptor *a = &service->acceptors[service->acceptor_count];
		a->service = service;
		nng_err err = nng_aio_alloc(&a->aio, on_accept, a);
		if (err != NNG_OK) {
			return err;
		}
	}
	return NNG_OK;
}

nng_err
pw_echo_stream_open(struct pw_echo_service *echo, int *port, bool *usage)
{
	struct service *service = calloc(1, sizeof(*service));

	*usage = false;
	if (service == NULL) {
		return NNG_ENOMEM;
	}
	echo->state = service;
	service->echo = echo;
	pthread_mutex_init(&service->lock, NULL);
	pthread_cond_init(&service->changed, NULL);
	nng_err err = nng_stream_listener_alloc(&service->listener, echo->url);
	if (err != NNG_OK) {
		*usage = err != NNG_ENOMEM;
		return err;
	}
	err = nng_stream_listener_listen(service->listener);
	if (err == NNG_OK) {
		err = make_acceptors(service);
	}
	for (unsigned i = 0; err == NNG_OK && i < service->acceptor_count; i++) {
		accept_next(&service->acceptors[i]);
	}
	if (nng_stream_listener_get_int(service->listener, NNG_OPT_BOUND_PORT, port) != NNG_OK) {
		*port = 0;
	}
	return err;
}

/* Nothing is accepted any more. */
static void
close_connections(struct service *service)
{
	pthread_mutex_lock(&service->lock);
	for (struct connection *c = service->connections; c != NULL; c = c->next) {
		nng_stream_close(c->stream);
	}
	while (service->connections != NULL) {
		pthread_cond_wait(&service->changed, &service->lock);
	}
	pthread_mutex_unlock(&service->lock);
}

void
pw_echo_stream_close(struct pw_echo_service *echo)
{
	struct service *service = echo->state;

	if (service == NULL) {
		return;
	}
	nng_stream_listener_close(service->listener);
	for (unsigned i = 0; i < service->acceptor_count; i++) {
		nng_aio_stop(service->acceptors[i].aio);
		nng_aio_free(service->acceptors[i].aio);
	}
	free(service->acceptors);
	nng_stream_listener_free(service->listener);
	close_connections(service);
	pthread_cond_destroy(&service->changed);
	pthread_mutex_destroy(&service->lock);
	free(service);
}

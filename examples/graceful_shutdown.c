/* SPDX-License-Identifier: MIT
 *
 * graceful_shutdown.c: a service that ends well. On SIGTERM or SIGINT it accepts no more connections and closes those
 * that ask for nothing; requests under way may finish until a deadline; then they are aborted. In the end every handle
 * and every stream has been freed, and the exit status is 0.
 *
 *	graceful_shutdown tcp://127.0.0.1:7000 5000
 *
 * A request is a line with a number; the answer is the same line, when so many milliseconds have passed.
 *
 * Each connection has one handle, which receives, sleeps, sends, in turn. Its callback starts the next operation, or,
 * when one has failed, releases the connection: nobody else does. So main has only to end the operations, and to wait
 * until the list is empty. Both start and end operations under the lock, and look at the phase there: an operation that
 * main does not see on its way through the list is not started after it.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

#define LINE_SIZE 32
#define PAUSE_MS 10

enum phase {
	SERVING,
	DRAINING,
	ABORTING
};
enum activity {
	RECEIVING,
	WORKING,
	SENDING
};

struct connection {
	struct connection *next;
	struct connection *previous;
	nng_stream *stream;
	nng_aio *aio;
	enum activity activity;
	char line[LINE_SIZE];
	size_t size; /* received */
	size_t sent;
};

static struct {
	nng_mtx *lock; /* over all below */
	nng_cv *changed;
	enum phase phase;
	struct connection *connections;
	unsigned finished; /* requests */
	unsigned aborted;
	nng_stream_listener *listener;
	nng_aio *accepting;
} service;

/* ---- a connection, under the lock ---- */

static void
receive(struct connection *c)
{
	nng_iov iov = { c->line + c->size, sizeof(c->line) - c->size };

	c->activity = RECEIVING;
	nng_aio_set_iov(c->aio, 1, &iov);
	nng_stream_recv(c->stream, c->aio);
}

static void
send_rest(struct connection *c)
{
	nng_iov iov = { c->line + c->sent, c->size - c->sent };

	c->activity = SENDING;
	nng_aio_set_iov(c->aio, 1, &iov);
	nng_stream_send(c->stream, c->aio);
}

static void
work(struct connection *c)
{
	printf("working: %.*s", (int) c->size, c->line);
	fflush(stdout);
	c->activity = WORKING;
	nng_sleep_aio(atoi(c->line), c->aio);
}

/* Released when the callback has returned: free and reap never wait in it. */
static void
drop(struct connection *c)
{
	if (c->previous != NULL) {
		c->previous->next = c->next;
	} else {
		service.connections = c->next;
	}
	if (c->next != NULL) {
		c->next->previous = c->previous;
	}
	nng_stream_free(c->stream);
	nng_aio_reap(c->aio);
	free(c);
	nng_cv_wake(service.changed);
}

/* The last operation has succeeded. False: there is no next one. */
static bool
go_on(struct connection *c)
{
	switch (c->activity) {
	case RECEIVING:
		c->size += nng_aio_count(c->aio);
		if (memchr(c->line, '\n', c->size) != NULL) {
			work(c);
			return true;
		}
		if (c->size == sizeof(c->line) || service.phase != SERVING) {
			return false; /* not a request; or only the beginning of one, and too late */
		}
		receive(c);
		return true;
	case WORKING:
		c->sent = 0;
		send_rest(c);
		return true;
	case SENDING:
		c->sent += nng_aio_count(c->aio);
		if (c->sent < c->size) {
			send_rest(c);
			return true;
		}
		service.finished++;
		if (service.phase != SERVING) {
			return false;
		}
		c->size = 0;
		receive(c);
		return true;
	}
	return false;
}

/* The handle's callback. */
static void
on_connection(void *arg)
{
	struct connection *c = arg;

	nng_mtx_lock(service.lock);
	if (nng_aio_result(c->aio) != NNG_OK || service.phase == ABORTING || !go_on(c)) {
		if (service.phase == ABORTING && c->activity != RECEIVING) {
			service.aborted++;
		}
		drop(c);
	}
	nng_mtx_unlock(service.lock);
}

static nng_err
welcome(nng_stream *stream)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		return NNG_ENOMEM;
	}
	nng_err err = nng_aio_alloc(&c->aio, on_connection, c);
	if (err != NNG_OK) {
		free(c);
		return err;
	}
	c->stream = stream;
	c->next = service.connections;
	if (c->next != NULL) {
		c->next->previous = c;
	}
	service.connections = c;
	receive(c);
	return NNG_OK;
}

/* ---- accepting ---- */

/* Of an accept; or of the pause after one that failed, which has no stream. */
static void
on_accept(void *arg)
{
	(void) arg;
	nng_err err = nng_aio_result(service.accepting);
	nng_stream *stream = err == NNG_OK ? nng_aio_get_output(service.accepting, 0) : NULL;

	nng_mtx_lock(service.lock);
	if (service.phase != SERVING) {
		nng_stream_free(stream);
	} else if (err != NNG_OK) {
		nng_sleep_aio(PAUSE_MS, service.accepting); /* no memory, say: again after a while */
	} else {
		if (stream != NULL && welcome(stream) != NNG_OK) {
			nng_stream_free(stream);
		}
		nng_stream_listener_accept(service.listener, service.accepting);
	}
	nng_mtx_unlock(service.lock);
}

static nng_err
open_service(const char *url)
{
	int port;
	nng_err err = nng_mtx_alloc(&service.lock);

	if (err == NNG_OK) {
		err = nng_cv_alloc(&service.changed, service.lock);
	}
	if (err == NNG_OK) {
		err = nng_aio_alloc(&service.accepting, on_accept, NULL);
	}
	if (err == NNG_OK) {
		err = nng_stream_listener_alloc(&service.listener, url);
	}
	if (err == NNG_OK) {
		err = nng_stream_listener_listen(service.listener);
	}
	if (err == NNG_OK) {
		if (nng_stream_listener_get_int(service.listener, NNG_OPT_BOUND_PORT, &port) == NNG_OK) {
			printf("port: %d\n", port); /* TCP, and port 0 may have been asked for */
		}
		printf("listening\n");
		fflush(stdout);
		nng_stream_listener_accept(service.listener, service.accepting);
	}
	return err;
}

/* ---- the end ---- */

/* Whom a shutdown should not wait for: who has not asked for anything. */
static void
cancel(enum phase phase)
{
	nng_mtx_lock(service.lock);
	service.phase = phase;
	for (struct connection *c = service.connections; c != NULL; c = c->next) {
		if (phase == ABORTING || c->activity == RECEIVING) {
			nng_aio_cancel(c->aio); /* no effect on what has ended: its callback sees the phase */
		}
	}
	nng_mtx_unlock(service.lock);
}

/* True: no connection is left. */
static bool
wait_until(nng_time deadline)
{
	nng_err err = NNG_OK;

	nng_mtx_lock(service.lock);
	while (service.connections != NULL && err == NNG_OK) {
		err = nng_cv_until(service.changed, deadline);
	}
	bool empty = service.connections == NULL;
	nng_mtx_unlock(service.lock);
	return empty;
}

static void
shut_down(nng_duration grace_ms)
{
	nng_time deadline = nng_clock() + (nng_time) grace_ms;

	cancel(DRAINING);
	nng_stream_listener_close(service.listener);
	nng_aio_stop(service.accepting); /* its callback has returned */
	if (!wait_until(deadline)) {
		cancel(ABORTING);
		wait_until(~(nng_time) 0); /* every operation ends when it is canceled */
	}
	printf("finished: %u, aborted: %u\n", service.finished, service.aborted);
}

static void
close_service(void)
{
	nng_aio_free(service.accepting);
	nng_stream_listener_free(service.listener);
	nng_cv_free(service.changed);
	nng_mtx_free(service.lock);
}

int
main(int argc, char **argv)
{
	sigset_t signals;
	int signal;

	if (argc != 3) {
		fprintf(stderr, "usage: %s URL GRACE_MS\n", argv[0]);
		return 2;
	}
	/* Before there are threads: they inherit it, and main alone takes the signal. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	nng_err err = nng_init(NULL);
	if (err != NNG_OK) {
		fprintf(stderr, "%s: %s\n", argv[0], nng_strerror(err));
		return 1;
	}
	err = open_service(argv[1]);
	if (err == NNG_OK) {
		sigwait(&signals, &signal);
		shut_down(atoi(argv[2]));
	} else {
		fprintf(stderr, "%s: %s: %s\n", argv[0], argv[1], nng_strerror(err));
	}
	close_service();
	nng_fini();
	return err == NNG_OK ? 0 : 1;
}

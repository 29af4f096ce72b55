/* SPDX-License-Identifier: MIT
 *
 * echo.c: `pinwheel echo URL...`: sends back what it receives.
 *
 * Everything happens in callbacks on the shards; the only other thread is main, which waits for SIGINT or SIGTERM.
 * One aio for each connection, which receives, then sends until all of it is sent, then receives again; so a
 * connection's buffer has one user at any time. A listener has one accept outstanding for each shard.
 *
 * Who frees a connection: its own callback, when an operation fails (the peer has gone, or main has closed the
 * stream). Main only closes, under the lock that keeps the list, so a connection on the list is a live one.
 *
 * When descriptors run out accept fails with NNG_ENOFILES; the acceptor then pauses on its own aio and goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command/command.h"
#include "bench/command/report.h"

#define BUFFER_SIZE 65536u
#define URLS_MAX 64u
#define URL_LENGTH_MAX 512u
#define PAUSE_MS 20

struct connection {
	struct connection *next;
	struct connection *prev;
	nng_stream *stream;
	nng_aio *aio;
	bool sending;
	size_t filled; /* received */
	size_t sent;
	char buffer[BUFFER_SIZE];
};

struct acceptor {
	nng_stream_listener *listener;
	nng_aio *aio;
	bool pausing;
};

struct service {
	nng_stream_listener *listener;
	struct acceptor *acceptors;
	unsigned acceptor_count;
};

static struct {
	const char *urls[URLS_MAX];
	unsigned url_count;
	bool json;
	struct pw_engine_options engine;
} options;

static struct {
	struct service services[URLS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct connection *connections; /* under the lock */
	uint64_t connection_count;      /* under the lock: on the list */
	bool closing;                   /* under the lock */
	_Atomic uint64_t accepted;
	_Atomic uint64_t refused; /* accepts that failed for lack of descriptors or memory */
	_Atomic uint64_t failed;  /* connections that ended otherwise than by their peer's end of file, or ours */
	_Atomic uint64_t bytes;
} echo = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- connections ---- */

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
leave_list(struct connection *c)
{
	pthread_mutex_lock(&echo.lock);
	if (c->next != NULL) {
		c->next->prev = c->prev;
	}
	if (c->prev != NULL) {
		c->prev->next = c->next;
	} else {
		echo.connections = c->next;
	}
	echo.connection_count--;
	pthread_cond_signal(&echo.changed);
	pthread_mutex_unlock(&echo.lock);
}

/* In the connection's own callback: nothing of it is under way. The stream and the aio go when the callback has
 * returned. */
static void
drop(struct connection *c, nng_err why)
{
	if (why != NNG_ECONNSHUT && why != NNG_ECLOSED) {
		atomic_fetch_add(&echo.failed, 1);
	}
	leave_list(c); /* first: main closes the streams of those that are on it */
	nng_stream_free(c->stream);
	nng_aio_reap(c->aio);
	free(c);
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
		atomic_fetch_add_explicit(&echo.bytes, count, memory_order_relaxed);
		if (c->sent < c->filled) {
			send_rest(c);
		} else {
			receive(c);
		}
	}
}

/* Puts it on the list, unless the service is closing. */
static bool
enter_list(struct connection *c)
{
	pthread_mutex_lock(&echo.lock);
	bool open = !echo.closing;
	if (open) {
		c->next = echo.connections;
		c->prev = NULL;
		if (c->next != NULL) {
			c->next->prev = c;
		}
		echo.connections = c;
		echo.connection_count++;
	}
	pthread_mutex_unlock(&echo.lock);
	return open;
}

static void
welcome(nng_stream *stream)
{
	struct connection *c = malloc(sizeof(*c));

	if (c == NULL) {
		atomic_fetch_add(&echo.refused, 1);
		nng_stream_free(stream);
		return;
	}
	c->stream = stream;
	if (nng_aio_alloc(&c->aio, on_transfer, c) != NNG_OK) {
		atomic_fetch_add(&echo.refused, 1);
		nng_stream_free(stream);
		free(c);
		return;
	}
	if (!enter_list(c)) {
		nng_stream_free(stream);
		nng_aio_free(c->aio);
		free(c);
		return;
	}
	atomic_fetch_add(&echo.accepted, 1);
	receive(c);
}

/* ---- accepting ---- */

static void
accept_next(struct acceptor *a)
{
	a->pausing = false;
	nng_stream_listener_accept(a->listener, a->aio);
}

static void
on_accept(void *arg)
{
	struct acceptor *a = arg;
	nng_err result = nng_aio_result(a->aio);

	switch (result) {
	case NNG_OK:
		if (!a->pausing) {
			welcome(nng_aio_get_output(a->aio, 0));
		}
		accept_next(a);
		break;
	case NNG_ECLOSED:
	case NNG_ESTOPPED:
		break;
	case NNG_ENOFILES:
	case NNG_ENOMEM:
		atomic_fetch_add(&echo.refused, 1);
		a->pausing = true;
		nng_sleep_aio(PAUSE_MS, a->aio);
		break;
	default: /* the peer had gone before it was accepted */
		accept_next(a);
		break;
	}
}

/* ---- the service ---- */

/* The URL with the port that was bound, where 0 was asked for. */
static void
print_listening(nng_stream_listener *listener, const char *url)
{
	const char *colon = strrchr(url, ':');
	int port = 0;

	if (strncmp(url, "tcp", 3) == 0 && colon != NULL && strcmp(colon, ":0") == 0 &&
	    nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port) == NNG_OK) {
		printf("listening %.*s:%d\n", (int) (colon - url), url, port);
	} else {
		printf("listening %s\n", url);
	}
	fflush(stdout);
}

static bool
open_service(struct service *service, const char *url)
{
	unsigned count = (unsigned) pinwheel_shard_count();
	nng_err err = nng_stream_listener_alloc(&service->listener, url);

	if (err == NNG_OK) {
		err = nng_stream_listener_listen(service->listener);
	}
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel echo: %s: %s\n", url, nng_strerror(err));
		return false;
	}
	service->acceptors = calloc(count, sizeof(*service->acceptors));
	for (unsigned i = 0; service->acceptors != NULL && i < count; i++) {
		struct acceptor *a = &service->acceptors[i];
		a->listener = service->listener;
		err = nng_aio_alloc(&a->aio, on_accept, a);
		if (err != NNG_OK) {
			break;
		}
		service->acceptor_count++;
	}
	if (service->acceptors == NULL || err != NNG_OK) {
		fprintf(stderr, "pinwheel echo: %s: out of memory\n", url);
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		accept_next(&service->acceptors[i]);
	}
	print_listening(service->listener, url);
	return true;
}

static void
close_service(struct service *service)
{
	nng_stream_listener_close(service->listener);
	for (unsigned i = 0; i < service->acceptor_count; i++) {
		nng_aio_stop(service->acceptors[i].aio);
		nng_aio_free(service->acceptors[i].aio);
	}
	free(service->acceptors);
	nng_stream_listener_free(service->listener);
}

static void
close_connections(void)
{
	pthread_mutex_lock(&echo.lock);
	echo.closing = true;
	for (struct connection *c = echo.connections; c != NULL; c = c->next) {
		nng_stream_close(c->stream);
	}
	while (echo.connection_count != 0) {
		pthread_cond_wait(&echo.changed, &echo.lock);
	}
	pthread_mutex_unlock(&echo.lock);
}

static void
print_counts(void)
{
	uint64_t accepted = atomic_load(&echo.accepted);
	uint64_t bytes = atomic_load(&echo.bytes);
	uint64_t refused = atomic_load(&echo.refused);
	uint64_t failed = atomic_load(&echo.failed);

	if (options.json) {
		struct pw_json json = { stdout, false };
		pw_json_open(&json, NULL);
		pw_json_number(&json, "connections", accepted);
		pw_json_number(&json, "bytes", bytes);
		pw_json_number(&json, "refused", refused);
		pw_json_number(&json, "failed", failed);
		pw_json_close(&json);
		putchar('\n');
	} else {
		printf("stopped: %" PRIu64 " connections, %" PRIu64 " bytes echoed, %" PRIu64
		       " accepts refused, %" PRIu64 " connections failed\n",
		    accepted, bytes, refused, failed);
	}
	fflush(stdout);
}

/* ---- the command ---- */

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options.engine;
		return 0;
	case 'J':
		options.json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options.url_count == URLS_MAX || strlen(arg) >= URL_LENGTH_MAX) {
			argp_error(state, "at most %u URLs of at most %u characters", URLS_MAX, URL_LENGTH_MAX - 1);
			return EINVAL;
		}
		options.urls[options.url_count++] = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected a URL, such as tcp://127.0.0.1:0 or ipc:///tmp/echo");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
pw_echo_command(int argc, char **argv)
{
	static const struct argp_option list[] = { { "json", 'J', NULL, 0, "Print the counts as one JSON object", 0 },
		{ NULL, 0, NULL, 0, NULL, 0 } };
	static const struct argp_child children[] = { { &pw_engine_argp, 0, "Engine:", 1 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = { list, parse, "URL...",
		"Sends back whatever it receives, until SIGINT or SIGTERM.\v"
		"Prints \"listening URL\", with the port that was bound, for each URL.\n"
		"Exit status: 0 stopped by a signal, 2 usage, 3 a URL cannot be listened on.",
		children, NULL, NULL };
	sigset_t signals;
	int received = 0;
	int status = PW_EXIT_OK;
	unsigned opened = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (!pw_engine_start(&options.engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	while (opened < options.url_count && status == PW_EXIT_OK) {
		status =
		    open_service(&echo.services[opened], options.urls[opened]) ? PW_EXIT_OK : PW_EXIT_ENVIRONMENT;
		opened++;
	}
	if (status == PW_EXIT_OK) {
		(void) sigwait(&signals, &received);
	}
	for (unsigned i = 0; i < opened; i++) {
		close_service(&echo.services[i]);
	}
	close_connections();
	if (status == PW_EXIT_OK) {
		print_counts();
	}
	nng_fini();
	return status;
}

/* SPDX-License-Identifier: MIT
 *
 * load.c: `pinwheel load URL`: a closed-loop load generator for an echo service.
 *
 * Each connection sends a message, receives as many bytes, compares every one of them, notes the time and sends the
 * next. One aio for each connection does all of it: it dials, sends, receives. The callbacks run on the shards; main
 * waits until all connections have ended.
 *
 * A message carries its connection and its number, then bytes that depend on both; a message from another connection,
 * an older one, or a shifted one differs in most of them. Messages shorter than the head carry its first bytes.
 *
 * Every operation has a deadline (OPERATION_MS), so a lost byte ends the run instead of stopping it.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command/command.h"
#include "bench/command/report.h"

#define OPERATION_MS 10000
#define CONNECTIONS_MAX 100000u
#define SIZE_MAX_BYTES (16u << 20)

enum step {
	STEP_DIAL,
	STEP_SEND,
	STEP_RECEIVE
};

struct connection {
	uint32_t number;
	enum step step;
	nng_aio *aio;
	nng_stream *stream;
	uint64_t message; /* number of the one under way */
	uint64_t sent_ns;
	size_t done; /* bytes of the step under way */
	unsigned char *out;
	unsigned char *in;
};

static struct {
	const char *url;
	uint32_t connections;
	size_t size;
	uint32_t seconds;
	bool json;
	struct pw_engine_options engine;
} options = { .connections = 1, .size = 64, .seconds = 5 };

static struct {
	nng_stream_dialer *dialer;
	struct connection *connections;
	struct pw_histogram *round_trip; /* one for each shard */
	_Atomic uint64_t *messages;      /* likewise; 8 apart */
	uint64_t start_ns;
	uint64_t end_ns;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t left; /* under the lock: connections that have not ended */
	uint32_t unconnected;
	uint32_t failed;
	uint32_t corrupt;
	char why[200]; /* under the lock: the first failure */
} load = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- content ---- */

static void
fill(struct connection *c)
{
	uint64_t head[2] = { c->number, c->message };
	uint64_t z = (c->message + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t) c->number << 40;

	for (size_t i = 0; i < options.size; i++) {
		if (i % 8 == 0) {
			z ^= z << 13;
			z ^= z >> 7;
			z ^= z << 17;
		}
		c->out[i] = (unsigned char) (z >> (i % 8 * 8));
	}
	memcpy(c->out, head, options.size < sizeof(head) ? options.size : sizeof(head));
}

static size_t
first_difference(const struct connection *c)
{
	size_t i = 0;

	while (i < options.size && c->out[i] == c->in[i]) {
		i++;
	}
	return i;
}

/* ---- a connection's steps, in its callback ---- */

static void
finish(struct connection *c, uint32_t *tally, const char *why)
{
	pthread_mutex_lock(&load.lock);
	if (tally != NULL) {
		*tally += 1;
		if (load.why[0] == '\0') {
			snprintf(load.why, sizeof(load.why), "connection %" PRIu32 ", message %" PRIu64 ": %s",
			    c->number, c->message, why);
		}
	}
	load.left--;
	pthread_cond_signal(&load.changed);
	pthread_mutex_unlock(&load.lock);
}

static void
transfer(struct connection *c)
{
	unsigned char *buffer = c->step == STEP_SEND ? c->out : c->in;
	nng_iov iov = { buffer + c->done, options.size - c->done };

	(void) nng_aio_set_iov(c->aio, 1, &iov);
	if (c->step == STEP_SEND) {
		nng_stream_send(c->stream, c->aio);
	} else {
		nng_stream_recv(c->stream, c->aio);
	}
}

static void
begin_step(struct connection *c, enum step step)
{
	c->step = step;
	c->done = 0;
	transfer(c);
}

static void
next_message(struct connection *c)
{
	uint64_t now_ns = pinwheel_clock_ns();

	if (now_ns >= load.end_ns) {
		finish(c, NULL, NULL);
		return;
	}
	c->message++;
	fill(c);
	memset(c->in, 0, options.size);
	c->sent_ns = now_ns;
	begin_step(c, STEP_SEND);
}

static void
on_echo(struct connection *c)
{
	unsigned shard = (unsigned) pinwheel_shard_self();
	size_t at = first_difference(c);

	if (at != options.size) {
		char why[80];
		snprintf(why, sizeof(why), "byte %zu came back as %u, sent %u", at, c->in[at], c->out[at]);
		finish(c, &load.corrupt, why);
		return;
	}
	pw_histogram_record(&load.round_trip[shard], pinwheel_clock_ns() - c->sent_ns);
	atomic_fetch_add_explicit(&load.messages[shard * 8], 1, memory_order_relaxed);
	next_message(c);
}

static void
on_step(void *arg)
{
	struct connection *c = arg;
	nng_err result = nng_aio_result(c->aio);

	if (result != NNG_OK) {
		finish(c, c->step == STEP_DIAL ? &load.unconnected : &load.failed, nng_strerror(result));
		return;
	}
	if (c->step == STEP_DIAL) {
		c->stream = nng_aio_get_output(c->aio, 0);
		next_message(c);
		return;
	}
	c->done += nng_aio_count(c->aio);
	if (c->done < options.size) {
		transfer(c);
	} else if (c->step == STEP_SEND) {
		begin_step(c, STEP_RECEIVE);
	} else {
		on_echo(c);
	}
}

/* ---- the run ---- */

static bool
open_connection(struct connection *c, uint32_t number)
{
	c->number = number;
	c->step = STEP_DIAL;
	c->out = malloc(options.size);
	c->in = malloc(options.size);
	if (c->out == NULL || c->in == NULL || nng_aio_alloc(&c->aio, on_step, c) != NNG_OK) {
		return false;
	}
	nng_aio_set_timeout(c->aio, OPERATION_MS);
	return true;
}

static void
close_connection(struct connection *c)
{
	nng_aio_free(c->aio);
	nng_stream_free(c->stream);
	free(c->out);
	free(c->in);
}

static bool
open_all(void)
{
	size_t shards = (size_t) pinwheel_shard_count();

	load.connections = calloc(options.connections, sizeof(*load.connections));
	load.round_trip = calloc(shards, sizeof(*load.round_trip));
	load.messages = calloc(shards * 8, sizeof(*load.messages));
	if (load.connections == NULL || load.round_trip == NULL || load.messages == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < options.connections; i++) {
		if (!open_connection(&load.connections[i], i)) {
			return false;
		}
	}
	return true;
}

static void
close_all(void)
{
	for (uint32_t i = 0; load.connections != NULL && i < options.connections; i++) {
		close_connection(&load.connections[i]);
	}
	nng_stream_dialer_free(load.dialer);
	free(load.connections);
	free(load.round_trip);
	free((void *) load.messages);
}

static void
run(void)
{
	load.start_ns = pinwheel_clock_ns();
	load.end_ns = load.start_ns + options.seconds * UINT64_C(1000000000);
	load.left = options.connections;
	for (uint32_t i = 0; i < options.connections; i++) {
		nng_stream_dialer_dial(load.dialer, load.connections[i].aio);
	}
	pthread_mutex_lock(&load.lock);
	while (load.left != 0) {
		pthread_cond_wait(&load.changed, &load.lock);
	}
	pthread_mutex_unlock(&load.lock);
}

static int
report(double seconds)
{
	static struct pw_summary round_trip;
	uint64_t messages = 0;
	bool ok = load.failed == 0 && load.corrupt == 0 && load.unconnected == 0;

	for (int i = 0; i < pinwheel_shard_count(); i++) {
		pw_summary_add(&round_trip, &load.round_trip[i]);
		messages += load.messages[i * 8];
	}
	if (options.json) {
		struct pw_json json = { stdout, false };
		pw_json_open(&json, NULL);
		pw_json_bool(&json, "ok", ok);
		pw_json_string(&json, "url", options.url);
		pw_json_number(&json, "connections", options.connections);
		pw_json_number(&json, "size", options.size);
		pw_json_real(&json, "seconds", seconds);
		pw_json_number(&json, "messages", messages);
		pw_json_real(&json, "messages_per_second", (double) messages / seconds);
		pw_json_number(&json, "failed", load.failed);
		pw_json_number(&json, "corrupt", load.corrupt);
		pw_json_number(&json, "unconnected", load.unconnected);
		pw_json_latency(&json, "round_trip", &round_trip);
		pw_json_close(&json);
		putchar('\n');
	} else {
		pw_report_latency_heading(stdout, options.url);
		pw_report_latency(stdout, "round trip", &round_trip);
		printf("%.0f messages/s of %zu bytes on %" PRIu32 " connections, every byte compared; %" PRIu32
		       " failed, %" PRIu32 " corrupt, %" PRIu32 " not connected\n",
		    (double) messages / seconds, options.size, options.connections, load.failed, load.corrupt,
		    load.unconnected);
	}
	if (!ok) {
		fprintf(stderr, "pinwheel load: %s\n", load.why);
	}
	return ok && messages > 0 ? PW_EXIT_OK : PW_EXIT_FAILED;
}

static int
run_and_report(void)
{
	nng_err err = nng_stream_dialer_alloc(&load.dialer, options.url);

	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel load: %s: %s\n", options.url, nng_strerror(err));
		return err == NNG_ENOMEM ? PW_EXIT_ENVIRONMENT : PW_EXIT_USAGE;
	}
	if (!open_all()) {
		fprintf(stderr, "pinwheel load: out of memory for %" PRIu32 " connections\n", options.connections);
		return PW_EXIT_ENVIRONMENT;
	}
	run();
	if (load.unconnected == options.connections) {
		fprintf(stderr, "pinwheel load: nobody answers at %s: %s\n", options.url, load.why);
		return PW_EXIT_ENVIRONMENT;
	}
	return report((double) (pinwheel_clock_ns() - load.start_ns) / 1e9);
}

/* ---- the command ---- */

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options.engine;
		return 0;
	case 'c':
		options.connections = (uint32_t) pw_command_number(state, "--connections", arg, 1, CONNECTIONS_MAX);
		return 0;
	case 'b':
		options.size = (size_t) pw_command_number(state, "--size", arg, 1, SIZE_MAX_BYTES);
		return 0;
	case 't':
		options.seconds = (uint32_t) pw_command_number(state, "--seconds", arg, 1, 1000000);
		return 0;
	case 'J':
		options.json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options.url != NULL) {
			argp_error(state, "%s: one URL is expected", arg);
			return EINVAL;
		}
		options.url = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected the URL of an echo service");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
pw_load_command(int argc, char **argv)
{
	static const struct argp_option list[] = {
		{ "connections", 'c', "C", 0, "Connections, each with one message under way (default 1)", 0 },
		{ "size", 'b', "B", 0, "Bytes of a message (default 64)", 0 },
		{ "seconds", 't', "S", 0, "How long (default 5)", 0 },
		{ "json", 'J', NULL, 0, "Print the result as one JSON object", 0 },
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	static const struct argp_child children[] = { { &pw_engine_argp, 0, "Engine:", 1 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = { list, parse, "URL",
		"Sends messages to an echo service and compares what comes back.\v"
		"Exit status: 0 every byte came back, 1 not, 2 usage, 3 nobody answers.",
		children, NULL, NULL };

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (!pw_engine_start(&options.engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	int status = run_and_report();
	close_all();
	nng_fini();
	return status;
}

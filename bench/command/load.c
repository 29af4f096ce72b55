/* SPDX-License-Identifier: MIT
 *
 * load.c: `pinwheel load URL...`: a load generator for echo services: the command line. load.h says where the rest
 * is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench/command/load.h"
#include "bench/command/load_content.h"
#include "bench/command/udp_address.h"

#define SIZE_DEFAULT 64u
#define SIZE_MAX_STREAM (16u << 20)
#define SIZE_MAX_UDP 65507u
#define SECONDS_DEFAULT 5u
#define SECONDS_MAX 86400u
#define RATE_MAX 100000000u
#define TIMEOUT_MS_MAX 3600000u
#define PID_MAX 4194304u
#define FINE_TICK_NS 4096u

enum option_key {
	OPTION_HOLD = 0x100,
	OPTION_PID,
	OPTION_PROGRESS,
};

static error_t
add_url(struct argp_state *state, char *url)
{
	struct pw_load_options *options = &pw_load.options;

	if (options->url_count == PW_LOAD_URLS_MAX) {
		argp_error(state, "%s: at most %u URLs", url, PW_LOAD_URLS_MAX);
		return EINVAL;
	}
	options->urls[options->url_count++] = url;
	return 0;
}

/* What only the whole command line shows. */
static error_t
check(struct argp_state *state)
{
	const struct pw_load_options *options = &pw_load.options;

	for (unsigned i = 0; i < options->url_count; i++) {
		if (!pw_udp_is(options->urls[i])) {
			continue;
		}
		if (options->size < PW_CONTENT_HEAD || options->size > SIZE_MAX_UDP) {
			argp_error(state, "--size=%u: a datagram has %u to %u bytes (%s)", options->size,
			    PW_CONTENT_HEAD, SIZE_MAX_UDP, options->urls[i]);
			return EINVAL;
		}
		if (options->hold) {
			argp_error(state, "--hold: %s: UDP has no connections to hold", options->urls[i]);
			return EINVAL;
		}
	}
	if (options->hold && options->rate != 0) {
		argp_error(state, "--hold and --rate exclude each other");
		return EINVAL;
	}
	if (options->connections != 0 && options->connections < options->url_count) {
		argp_error(state, "--connections=%u: fewer than the %u URLs", options->connections,
		    options->url_count);
		return EINVAL;
	}
	return 0;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct pw_load_options *options = &pw_load.options;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->engine;
		return 0;
	case 'c':
		options->connections_max = strcmp(arg, "max") == 0;
		options->connections = options->connections_max
		    ? 0
		    : (uint32_t) pw_command_number(state, "--connections", arg, 1, PW_LOAD_CONNECTIONS_MAX);
		return 0;
	case 'b':
		options->size = (uint32_t) pw_command_number(state, "--size", arg, 1, SIZE_MAX_STREAM);
		return 0;
	case 't':
		options->seconds = (uint32_t) pw_command_number(state, "--seconds", arg, 1, SECONDS_MAX);
		return 0;
	case 'r':
		options->rate = pw_command_number(state, "--rate", arg, 1, RATE_MAX);
		options->engine.tick_ns = FINE_TICK_NS;
		return 0;
	case 'T':
		options->timeout_ms = (uint32_t) pw_command_number(state, "--timeout", arg, 1, TIMEOUT_MS_MAX);
		return 0;
	case OPTION_HOLD:
		options->hold = true;
		return 0;
	case OPTION_PID:
		options->pid = (pid_t) pw_command_number(state, "--pid", arg, 1, PID_MAX);
		return 0;
	case OPTION_PROGRESS:
		options->progress = true;
		return 0;
	case 'J':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		return add_url(state, arg);
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected the URL of an echo service");
		return EINVAL;
	case ARGP_KEY_SUCCESS:
		return check(state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option list[] = {
	{ "connections", 'c', "C|max", 0,
	    "Connections in all, spread over the URLs (default 1 for each URL); max: as many as the limit of "
	    "descriptors allows",
	    0 },
	{ "size", 'b', "BYTES", 0, "Bytes of a message, up to 16777216; 16 to 65507 with UDP (default 64)", 0 },
	{ "seconds", 't', "S", 0, "How long messages are due, or connections held (default 5)", 0 },
	{ "rate", 'r', "R", 0,
	    "R messages a second in all are due, at times fixed in advance, whether answers come or not (default: "
	    "each connection sends the next message when it has the answer)",
	    0 },
	{ "timeout", 'T', "MS", 0,
	    "Milliseconds that each dial, send and receive may take (default 10000; with UDP 1000)", 0 },
	{ "hold", OPTION_HOLD, NULL, 0,
	    "Hold the connections idle, each with a receive and a far deadline pending; then send one message on "
	    "each",
	    0 },
	{ "pid", OPTION_PID, "PID", 0, "The server's process, whose memory and CPU time are reported too", 0 },
	{ "progress", OPTION_PROGRESS, NULL, 0,
	    "A line a second on stderr; on a terminal there is a table without it", 0 },
	{ "json", 'J', NULL, 0, "Print the result as one JSON object; README.md lists the keys", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char description[] =
    "Sends messages to echo services and compares every byte that comes back.\v"
    "URLs: tcp, tcp4, tcp6, ipc, unix, abstract; udp, udp4, udp6.\n\n"
    "Latency is counted from the time a message was due, not from when it could be sent: with --rate a message that "
    "waits behind a stalled one has the delay in its figure (no coordinated omission). What is due is never skipped; "
    "what could not be sent until one timeout after the end is counted as unsent, and stands in the percentiles with "
    "the time it has waited. Percentiles have three significant digits.\n\n"
    "An operation that runs out of time is counted as expired and made again; after the end of the run it fails its "
    "connection. A datagram that is not answered within the timeout is lost, or late if it comes all the same; that "
    "is counted and is no failure, unless nothing at all comes back.\n\n"
    "SIGINT and SIGTERM end the run at once, with a report; a hold goes on to its messages.\n\n"
    "Memory is the resident set, without what the kernel has for sockets.\n\n"
    "Exit status: 0 every byte came back, 1 not, or a connection failed, 2 usage, 3 nobody answers, or the limit of "
    "descriptors, or the engine does not start.";

int
pw_load_command(int argc, char **argv)
{
	static const struct argp_child children[] = { { &pw_engine_argp, 0, "Engine:", 1 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = { list, parse, "URL...", description, children, NULL, NULL };
	sigset_t signals;

	pw_load.options.size = SIZE_DEFAULT;
	pw_load.options.seconds = SECONDS_DEFAULT;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are other threads */
	if (!pw_engine_start(&pw_load.options.engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	int status = pw_load_run();
	nng_fini();
	return status;
}

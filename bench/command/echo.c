/* SPDX-License-Identifier: MIT
 *
 * echo.c: `pinwheel echo URL...`: sends back what it receives: the command line, the life of the services, the
 * counts. echo.h says where the rest is.
 */
#include "bench/command/echo.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/command/progress.h"
#include "bench/command/report.h"
#include "bench/command/udp_address.h"

#define DEADLINE_MS_MAX 86400000u

struct pw_echo_options pw_echo_options = { .idle_ms = NNG_DURATION_INFINITE, .timeout_ms = NNG_DURATION_INFINITE };

static struct pw_echo_service services[PW_ECHO_URLS_MAX];

struct pw_echo_tally *
pw_echo_tally(struct pw_echo_service *service)
{
	return &service->tallies[pinwheel_shard_self()];
}

/* ---- counts ---- */

struct sum {
	uint64_t accepted;
	uint64_t closed;
	uint64_t refused;
	uint64_t failed;
	uint64_t silent;
	uint64_t stalled;
	uint64_t datagrams;
	uint64_t bytes;
};

static void
add(struct sum *sum, struct pw_echo_service *service)
{
	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct pw_echo_tally *tally = &service->tallies[i];
		sum->closed += pw_load_relaxed_64(&tally->closed);
		sum->accepted += pw_load_relaxed_64(&tally->accepted);
		sum->refused += pw_load_relaxed_64(&tally->refused);
		sum->failed += pw_load_relaxed_64(&tally->failed);
		sum->silent += pw_load_relaxed_64(&tally->silent);
		sum->stalled += pw_load_relaxed_64(&tally->stalled);
		sum->datagrams += pw_load_relaxed_64(&tally->datagrams);
		sum->bytes += pw_load_relaxed_64(&tally->bytes);
	}
}

static struct sum
sum_of_all(void)
{
	struct sum all = { 0 };

	for (unsigned i = 0; i < pw_echo_options.url_count; i++) {
		add(&all, &services[i]);
	}
	return all;
}

static void
json_sum(struct pw_json *json, const struct sum *sum)
{
	pw_json_number(json, "connections", sum->accepted);
	pw_json_number(json, "datagrams", sum->datagrams);
	pw_json_number(json, "bytes", sum->bytes);
	pw_json_number(json, "refused", sum->refused);
	pw_json_number(json, "failed", sum->failed);
	pw_json_number(json, "silent", sum->silent);
	pw_json_number(json, "stalled", sum->stalled);
}

static void
print_json(const struct sum *all)
{
	struct pw_json json = { stdout, false };

	pw_json_open(&json, NULL);
	json_sum(&json, all);
	pw_json_list(&json, "urls");
	for (unsigned i = 0; i < pw_echo_options.url_count; i++) {
		struct sum one = { 0 };
		add(&one, &services[i]);
		pw_json_open(&json, NULL);
		pw_json_string(&json, "url", services[i].place);
		json_sum(&json, &one);
		pw_json_close(&json);
	}
	pw_json_list_end(&json);
	pw_json_close(&json);
	putchar('\n');
}

static void
print_counts(void)
{
	struct sum all = sum_of_all();

	if (pw_echo_options.json) {
		print_json(&all);
	} else {
		printf("stopped: %" PRIu64 " connections, %" PRIu64 " datagrams, %" PRIu64 " bytes echoed, %" PRIu64
		       " accepts refused, %" PRIu64 " failed, %" PRIu64 " closed as silent, %" PRIu64 " as stalled\n",
		    all.accepted, all.datagrams, all.bytes, all.refused, all.failed, all.silent, all.stalled);
	}
	fflush(stdout);
}

/* ---- while it serves ---- */

static void
show_second(struct pw_progress *progress, uint64_t second, const struct sum *before, const struct sum *now)
{
	pw_progress_begin(progress);
	if (progress->in_place) {
		pw_progress_row(progress, "%-40s %8s %12s %16s", "since the start", "open", "datagrams", "bytes");
		for (unsigned i = 0; i < pw_echo_options.url_count; i++) {
			struct sum one = { 0 };
			add(&one, &services[i]);
			pw_progress_row(progress, "%-40.40s %8" PRIu64 " %12" PRIu64 " %16" PRIu64, services[i].place,
			    one.accepted - one.closed, one.datagrams, one.bytes);
		}
	}
	pw_progress_total(progress,
	    "%3" PRIu64 " s: %" PRIu64 " open, %" PRIu64 " accepted/s, %" PRIu64 " datagrams/s, %" PRIu64
	    " bytes/s, %" PRIu64 " silent, %" PRIu64 " stalled, %" PRIu64 " failed",
	    second, now->accepted - now->closed, now->accepted - before->accepted, now->datagrams - before->datagrams,
	    now->bytes - before->bytes, now->silent, now->stalled, now->failed);
}

static void
serve_until_signal(const sigset_t *signals)
{
	static const struct timespec second = { 1, 0 };
	struct pw_progress progress;
	struct sum before = { 0 };
	int received = 0;

	pw_progress_open(&progress, pw_echo_options.progress, false);
	if (!pw_progress_shown(&progress)) {
		(void) sigwait(signals, &received);
		return;
	}
	for (uint64_t n = 1; sigtimedwait(signals, NULL, &second) < 0; n++) {
		struct sum now = sum_of_all();
		show_second(&progress, n, &before, &now);
		before = now;
	}
	pw_progress_close(&progress);
}

/* ---- the services ---- */

static void
print_listening(struct pw_echo_service *service, int port)
{
	nng_url *url = NULL;

	snprintf(service->place, sizeof(service->place), "%s", service->url);
	if (port != 0 && nng_url_parse(&url, service->url) == NNG_OK && nng_url_port(url) == 0) {
		nng_url_resolve_port(url, (uint32_t) port);
		(void) nng_url_sprintf(service->place, sizeof(service->place), url);
	}
	printf("listening %s\n", service->place);
	fflush(stdout);
	nng_url_free(url);
}

/* The exit status. */
static int
open_service(struct pw_echo_service *service, const char *url)
{
	int port = 0;
	bool usage = false;
	nng_err err = NNG_ENOMEM;

	service->url = url;
	service->udp = pw_udp_is(url);
	service->tallies = calloc((size_t) pinwheel_shard_count(), sizeof(*service->tallies));
	if (service->tallies != NULL) {
		err = service->udp ? pw_echo_udp_open(service, &port, &usage)
				   : pw_echo_stream_open(service, &port, &usage);
	}
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel echo: %s: %s\n", url, nng_strerror(err));
		return usage ? PW_EXIT_USAGE : PW_EXIT_ENVIRONMENT;
	}
	print_listening(service, port);
	return PW_EXIT_OK;
}

static void
close_services(unsigned opened)
{
	for (unsigned i = 0; i < opened; i++) {
		if (services[i].udp) {
			pw_echo_udp_close(&services[i]);
		} else {
			pw_echo_stream_close(&services[i]);
		}
	}
}

static int
serve(const sigset_t *signals)
{
	int status = PW_EXIT_OK;
	unsigned opened = 0;

	(void) pw_command_descriptors_left(); /* as many connections as the system lets it have */
	while (opened < pw_echo_options.url_count && status == PW_EXIT_OK) {
		status = open_service(&services[opened], pw_echo_options.urls[opened]);
		opened++;
	}
	if (status == PW_EXIT_OK) {
		serve_until_signal(signals);
	}
	close_services(opened);
	if (status == PW_EXIT_OK) {
		print_counts();
	}
	for (unsigned i = 0; i < opened; i++) {
		free(services[i].tallies);
	}
	return status;
}

/* ---- the command ---- */

enum option_key {
	OPTION_IDLE_TIMEOUT = 0x100,
	OPTION_PROGRESS,
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct pw_echo_options *options = &pw_echo_options;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->engine;
		return 0;
	case OPTION_IDLE_TIMEOUT:
		options->idle_ms = (nng_duration) pw_command_number(state, "--idle-timeout", arg, 1, DEADLINE_MS_MAX);
		return 0;
	case 'T':
		options->timeout_ms = (nng_duration) pw_command_number(state, "--timeout", arg, 1, DEADLINE_MS_MAX);
		return 0;
	case OPTION_PROGRESS:
		options->progress = true;
		return 0;
	case 'J':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->url_count == PW_ECHO_URLS_MAX) {
			argp_error(state, "%s: at most %u URLs", arg, PW_ECHO_URLS_MAX);
			return EINVAL;
		}
		options->urls[options->url_count++] = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected a URL, such as tcp://127.0.0.1:0, udp://127.0.0.1:0 or ipc:///tmp/echo");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option list[] = {
	{ "idle-timeout", OPTION_IDLE_TIMEOUT, "MS", 0,
	    "Close a connection that has sent nothing for so many milliseconds (default: never)", 0 },
	{ "timeout", 'T', "MS", 0,
	    "Close a connection that has taken nothing for so many milliseconds (default: never)", 0 },
	{ "progress", OPTION_PROGRESS, NULL, 0, "Every second a table on stderr; a line if that is no terminal", 0 },
	{ "json", 'J', NULL, 0, "Print the counts as one JSON object; README.md lists the keys", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

int
pw_echo_command(int argc, char **argv)
{
	static const struct argp_child children[] = { { &pw_engine_argp, 0, "Engine:", 1 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = { list, parse, "URL...",
		"Sends back whatever it receives, until SIGINT or SIGTERM.\v"
		"URLs: tcp, tcp4, tcp6, ipc, unix, abstract; udp, udp4, udp6.\n\n"
		"Prints \"listening URL\", with the port that was bound, for each URL.\n\n"
		"Exit status: 0 stopped by a signal, 2 usage, a URL that is none among it, 3 a URL cannot be "
		"listened on, or the engine does not start.",
		children, NULL, NULL };
	sigset_t signals;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are other threads */
	if (!pw_engine_start(&pw_echo_options.engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	int status = serve(&signals);
	nng_fini();
	return status;
}

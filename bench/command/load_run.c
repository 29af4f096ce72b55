/* SPDX-License-Identifier: MIT
 *
 * load_run.c: see load.h: the phases of a run, on main.
 *
 * Main sleeps in ppoll on two descriptors: a signal has come; what it waits for has happened. So a second that is
 * over, a deadline and Ctrl-C need no thread and no handler.
 *
 * It always ends. Every operation has a deadline, and one that expires after the end of the run ends its connection.
 * What trickles on all the same (each receive gets a byte in time) is stopped by main after twice the timeout.
 */
#include "bench/command/load.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/command/load_content.h"
#include "bench/command/udp_address.h"

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)
#define DESCRIPTORS_KEPT 32u /* for lookups of names and whatever else the process opens */
#define STREAM_TIMEOUT_MS 10000u
#define UDP_TIMEOUT_MS 1000u

static int signals_fd;

/* ---- main waits ---- */

enum event {
	ALL_SETTLED,
	TIME_OVER,
	SIGNALLED,
};

static bool
all_settled(void)
{
	pthread_mutex_lock(&pw_load.lock);
	bool settled = pw_load.awaited == 0;
	pthread_mutex_unlock(&pw_load.lock);
	return settled;
}

static void
sleep_until(uint64_t until_ns, uint64_t now_ns, struct pollfd fds[2])
{
	uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	struct timespec left = { (time_t) (left_ns / SECOND_NS), (long) (left_ns % SECOND_NS) };

	fds[0].revents = fds[1].revents = 0;
	(void) ppoll(fds, 2, &left, NULL);
}

static enum event
await(uint64_t until_ns)
{
	static uint64_t next_second_ns;
	struct pollfd fds[2] = { { pw_load.awaited_fd, POLLIN, 0 }, { signals_fd, POLLIN, 0 } };

	while (!all_settled()) {
		uint64_t now_ns = pinwheel_clock_ns();
		if (now_ns >= until_ns) {
			return TIME_OVER;
		}
		if (now_ns >= next_second_ns) {
			if (next_second_ns != 0) {
				pw_load_progress_second();
			}
			next_second_ns = now_ns + SECOND_NS;
		}
		sleep_until(until_ns < next_second_ns ? until_ns : next_second_ns, now_ns, fds);
		if (fds[1].revents != 0) {
			struct signalfd_siginfo info;
			(void) !read(signals_fd, &info, sizeof(info));
			return SIGNALLED;
		}
	}
	return ALL_SETTLED;
}

static void
expect(uint32_t connections)
{
	eventfd_t none;

	(void) eventfd_read(pw_load.awaited_fd, &none); /* it does not block */
	pthread_mutex_lock(&pw_load.lock);
	pw_load.awaited = connections;
	pthread_mutex_unlock(&pw_load.lock);
}

/* Every operation of now and later ends with NNG_ESTOPPED. */
static void
close_handles(void)
{
	for (uint32_t i = 0; i < pw_load.connection_count; i++) {
		pinwheel_aio_close(pw_load.connections[i]->send_aio);
		pinwheel_aio_close(pw_load.connections[i]->recv_aio);
	}
}

/* Waits until all are settled, by themselves or by force. */
static void
await_all(uint64_t until_ns)
{
	enum event event = await(until_ns);

	if (event != ALL_SETTLED) {
		atomic_store(&pw_load.interrupted, event == SIGNALLED);
		close_handles();
		while (await(UINT64_MAX) != ALL_SETTLED) {
			/* a second signal changes nothing: it ends at once */
		}
	}
}

/* ---- the phases ---- */

static bool
look_at_usage(enum pw_load_moment moment)
{
	pid_t pid = pw_load.options.pid;

	if (!pw_command_usage_of(getpid(), &pw_load.own[moment])) {
		fprintf(stderr, "pinwheel load: /proc/self/statm: %s\n", strerror(errno));
		return false;
	}
	if (pid != 0 && !pw_command_usage_of(pid, &pw_load.server[moment])) {
		fprintf(stderr, "pinwheel load: --pid=%ld: /proc/%ld/statm: %s\n", (long) pid, (long) pid,
		    strerror(errno));
		return false;
	}
	return true;
}

static void
open_connections(void)
{
	expect(pw_load.connection_count);
	for (uint32_t i = 0; i < PW_LOAD_DIALS; i++) {
		pw_load_open_next();
	}
	await_all(UINT64_MAX); /* each of them has its deadline */
}

static uint32_t
timeout_ms_max(void)
{
	uint32_t most = 0;

	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		most = pw_load.targets[t].timeout_ms > most ? pw_load.targets[t].timeout_ms : most;
	}
	return most;
}

static void
kick_open(void)
{
	for (uint32_t i = 0; i < pw_load.connection_count; i++) {
		if (pw_load.connections[i]->opened) {
			pw_load_kick(pw_load.connections[i]);
		}
	}
}

/* Until the end of the hold, or a signal; then the connections are to show that they live. */
static bool
hold(void)
{
	switch (await(pw_load.end_ns)) {
	case SIGNALLED:
		pw_load.end_ns = pinwheel_clock_ns();
		break;
	case TIME_OVER:
	case ALL_SETTLED: /* none is left */
		break;
	}
	bool looked = look_at_usage(PW_LOAD_FINISH);
	kick_open();
	await_all(pw_load.end_ns + MS_NS * timeout_ms_max());
	return looked;
}

static bool
run_connections(uint32_t open)
{
	if (!look_at_usage(PW_LOAD_BEGIN)) {
		return false;
	}
	expect(open);
	pw_load.start_ns = pinwheel_clock_ns();
	pw_load.end_ns = pw_load.start_ns + pw_load.options.seconds * SECOND_NS;
	kick_open();
	if (pw_load.mode == PW_LOAD_HOLD) {
		return hold();
	}
	await_all(pw_load.end_ns + 2 * MS_NS * timeout_ms_max() + SECOND_NS);
	return look_at_usage(PW_LOAD_FINISH);
}

/* ---- before and after ---- */

static bool
open_descriptors(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	signals_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	pw_load.awaited_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals_fd < 0 || pw_load.awaited_fd < 0) {
		fprintf(stderr, "pinwheel load: no descriptor: %s\n", strerror(errno));
		return false;
	}
	return true;
}

static int
open_target(struct pw_load_target *target, const char *url)
{
	uint32_t timeout_ms = pw_load.options.timeout_ms;
	nng_err err;

	target->url = url;
	target->udp = pw_udp_is(url);
	target->timeout_ms = timeout_ms != 0 ? timeout_ms : target->udp ? UDP_TIMEOUT_MS : STREAM_TIMEOUT_MS;
	err = target->udp ? pw_udp_address(url, false, &target->address)
			  : nng_stream_dialer_alloc(&target->dialer, url);
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel load: %s: %s\n", url, nng_strerror(err));
		return err == NNG_ENOMEM || (target->udp && err == NNG_EADDRINVAL) ? PW_EXIT_ENVIRONMENT
										   : PW_EXIT_USAGE;
	}
	target->tallies = calloc((size_t) pw_load.shards, sizeof(*target->tallies));
	if (target->tallies == NULL) {
		fprintf(stderr, "pinwheel load: out of memory\n");
		return PW_EXIT_ENVIRONMENT;
	}
	return PW_EXIT_OK;
}

static bool
count_connections(uint32_t *count)
{
	uint64_t left = pw_command_descriptors_left();

	left = left > DESCRIPTORS_KEPT ? left - DESCRIPTORS_KEPT : 0;
	uint64_t most = left < PW_LOAD_CONNECTIONS_MAX ? left : PW_LOAD_CONNECTIONS_MAX;
	*count = pw_load.options.connections_max ? (uint32_t) most
	    : pw_load.options.connections != 0   ? pw_load.options.connections
						 : pw_load.options.url_count;
	if (*count > left || *count < pw_load.options.url_count) {
		fprintf(stderr,
		    "pinwheel load: %" PRIu32 " connections: the limit of descriptors (ulimit -n) leaves %" PRIu64
		    "\n",
		    *count > left ? *count : pw_load.options.url_count, left);
		return false;
	}
	return true;
}

static bool
make_connection(uint32_t number)
{
	uint32_t urls = pw_load.options.url_count;
	struct pw_load_target *target = &pw_load.targets[number % urls];
	const struct pw_load_carrier *carrier = target->udp ? &pw_load_udp : &pw_load_stream;
	struct pw_load_connection *c = calloc(1, carrier->size);

	if (c == NULL) {
		return false;
	}
	pw_load.connections[number] = c;
	c->carrier = carrier;
	c->target = target;
	c->number = number;
	/* So that each URL's connections go round the shards, each beginning with another one. */
	c->shard = (int) ((number / urls + number % urls) % (uint32_t) pw_load.shards);
	c->tally = &target->tallies[c->shard];
	target->connections++;
	return carrier->prepare(c);
}

static bool
make_connections(uint32_t count)
{
	pw_load.connections = calloc(count, sizeof(struct pw_load_connection *));
	if (pw_load.connections == NULL) {
		return false;
	}
	pw_load.connection_count = count;
	for (uint32_t i = 0; i < count; i++) {
		if (!make_connection(i)) {
			return false;
		}
	}
	return true;
}

static void
release_all(void)
{
	for (uint32_t i = 0; i < pw_load.connection_count; i++) {
		struct pw_load_connection *c = pw_load.connections[i];
		if (c != NULL) {
			nng_aio_free(c->send_aio);
			nng_aio_free(c->recv_aio);
			c->carrier->release(c);
			free(c);
		}
	}
	free(pw_load.connections);
	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		nng_stream_dialer_free(pw_load.targets[t].dialer);
		free(pw_load.targets[t].tallies);
	}
	close(pw_load.awaited_fd);
	close(signals_fd);
}

/* False: what the run used is not known. */
static bool
go(void)
{
	uint32_t open = 0;
	bool looked = true;

	pw_load_progress_open();
	open_connections();
	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		open += pw_load.targets[t].open;
	}
	if (open != 0 && !atomic_load(&pw_load.interrupted)) {
		looked = run_connections(open);
	}
	pw_load_progress_close();
	return looked;
}

static int
prepare_and_go(void)
{
	uint32_t count;

	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		int status = open_target(&pw_load.targets[t], pw_load.options.urls[t]);
		if (status != PW_EXIT_OK) {
			return status;
		}
	}
	if (!count_connections(&count) || !look_at_usage(PW_LOAD_BEFORE)) {
		return PW_EXIT_ENVIRONMENT;
	}
	if (!make_connections(count)) {
		fprintf(stderr, "pinwheel load: out of memory for %" PRIu32 " connections\n", count);
		return PW_EXIT_ENVIRONMENT;
	}
	bool looked = go();
	int status = pw_load_report();
	return status == PW_EXIT_OK && !looked ? PW_EXIT_ENVIRONMENT : status;
}

int
pw_load_run(void)
{
	const struct pw_load_options *options = &pw_load.options;

	pw_load.mode = options->hold ? PW_LOAD_HOLD : options->rate != 0 ? PW_LOAD_OPEN : PW_LOAD_CLOSED;
	pw_load.identity = pw_content_mix(pinwheel_clock_ns() ^ (uint64_t) getpid() << 32);
	pw_load.shards = pw_command_shards();
	if (!open_descriptors()) {
		return PW_EXIT_ENVIRONMENT;
	}
	int status = prepare_and_go();
	release_all();
	return status;
}

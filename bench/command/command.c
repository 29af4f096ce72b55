/* SPDX-License-Identifier: MIT
 *
 * command.c: see command.h.
 */
#include "bench/command/command.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t
pw_command_number(struct argp_state *state, const char *option, const char *text, uint64_t min, uint64_t max)
{
	char *end = NULL;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < min || value > max) {
		argp_error(state, "%s=%s: expected a number from %" PRIu64 " to %" PRIu64, option, text, min, max);
		exit(PW_EXIT_USAGE);
	}
	return value;
}

static const struct argp_option options[] = {
	{ "shards", 's', "N", 0, "Event loops to run (default: one for each usable CPU)", 0 },
	{ "idle", 'i', "park|spin|busy", 0, "What a shard does when there is nothing to do", 0 },
	{ "poller", 'p', "auto|uring|epoll", 0, "How shards wait for I/O", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

/* The position of `text` in the list, counted from 1, or a usage error. */
static int
choice(struct argp_state *state, const char *option, const char *text, const char *const names[3])
{
	for (int i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			return i + 1;
		}
	}
	argp_error(state, "%s=%s: expected %s, %s or %s", option, text, names[0], names[1], names[2]);
	exit(PW_EXIT_USAGE);
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	static const char *const idle[3] = { "park", "spin", "busy" };
	static const char *const poller[3] = { "auto", "uring", "epoll" };
	struct pw_engine_options *engine = state->input;

	switch (key) {
	case 's':
		engine->shards = (int) pw_command_number(state, "--shards", arg, 1, 1024);
		return 0;
	case 'i':
		engine->idle = (enum pinwheel_idle) choice(state, "--idle", arg, idle);
		return 0;
	case 'p':
		engine->poller = (enum pinwheel_poller) choice(state, "--poller", arg, poller);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

_Static_assert(PINWHEEL_IDLE_PARK == 1 && PINWHEEL_IDLE_SPIN == 2 && PINWHEEL_IDLE_BUSY == 3, "choice's order");
_Static_assert(PINWHEEL_POLLER_AUTO == 1 && PINWHEEL_POLLER_URING == 2 && PINWHEEL_POLLER_EPOLL == 3,
    "choice's order");

const struct argp pw_engine_argp = { options, parse, NULL, NULL, NULL, NULL, NULL };

bool
pw_engine_start(const struct pw_engine_options *engine)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	config.shards = engine->shards;
	config.idle = engine->idle;
	config.poller = engine->poller;
	config.on_thread_start = engine->on_thread_start;
	config.tick_ns = getenv("PINWHEEL_TICK") == NULL ? engine->tick_ns : 0;
	nng_err err = pinwheel_start(&config);
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel: the engine does not start: %s\n", nng_strerror(err));
		return false;
	}
	return true;
}

int
pw_command_shards(void)
{
	int threads = 0;

	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		threads += pinwheel_stats(i, &stats) == NNG_OK && !stats.lent;
	}
	return threads;
}

static uint64_t
descriptors_open(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t open = 0;

	if (folder == NULL) {
		return 0;
	}
	while (readdir(folder) != NULL) {
		open++;
	}
	closedir(folder);
	return open - 3; /* ".", ".." and the folder itself */
}

uint64_t
pw_command_descriptors_left(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return 0;
	}
	struct rlimit raised = { limit.rlim_max, limit.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
		limit = raised;
	}
	uint64_t open = descriptors_open();
	return limit.rlim_cur > open ? limit.rlim_cur - open : 0;
}

bool
pw_command_usage_of(pid_t pid, struct pw_command_usage *usage)
{
	char path[64];
	uint64_t pages;
	clockid_t clock;
	struct timespec used;

	snprintf(path, sizeof(path), "/proc/%ld/statm", (long) pid);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return false;
	}
	int found = fscanf(file, "%*u %" SCNu64, &pages);
	fclose(file);
	int error = clock_getcpuclockid(pid, &clock);
	if (found != 1 || error != 0) { /* it has just ended */
		errno = error != 0 ? error : ESRCH;
		return false;
	}
	if (clock_gettime(clock, &used) != 0) {
		return false;
	}
	usage->rss_bytes = pages * (uint64_t) sysconf(_SC_PAGESIZE);
	usage->cpu_ns = (uint64_t) used.tv_sec * UINT64_C(1000000000) + (uint64_t) used.tv_nsec;
	return true;
}

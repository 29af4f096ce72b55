/* SPDX-License-Identifier: MIT
 *
 * info.c: `pinwheel info`: what the engine found on this machine, what it chose and why, and every setting with
 * where its value came from.
 *
 * It starts the engine, as a program would, so a setting that is wrong shows here as it would there.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/command/command.h"
#include "bench/command/report.h"

static struct {
	bool json;
	struct pw_engine_options engine;
} options;

struct text {
	char text[256];
};

/* ---- the machine ---- */

/* The affinity mask as a list of ranges: 0-3,8. */
static struct text
affinity(const cpu_set_t *set)
{
	struct text list = { "" };
	size_t length = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE && length < sizeof(list.text) - 16; cpu++) {
		if (!CPU_ISSET(cpu, set)) {
			continue;
		}
		int last = cpu;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set)) {
			last++;
		}
		const char *comma = length == 0 ? "" : ",";
		int n = last > cpu
		    ? snprintf(list.text + length, sizeof(list.text) - length, "%s%d-%d", comma, cpu, last)
		    : snprintf(list.text + length, sizeof(list.text) - length, "%s%d", comma, cpu);
		length += (size_t) n;
		cpu = last;
	}
	return list;
}

/* The cgroup's folder below /sys/fs/cgroup, "" at the root or where there is none. */
static struct text
own_cgroup(void)
{
	struct text group = { "" };
	char line[512];
	FILE *file = fopen("/proc/self/cgroup", "re");

	if (file == NULL) {
		return group;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "0::", 3) == 0) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(group.text, sizeof(group.text), "%.*s", (int) sizeof(group.text) - 1, line + 3);
		}
	}
	fclose(file);
	return group;
}

/* The smallest cpu.max from the own cgroup up, in CPUs; 0: no limit found. */
static double
cgroup_quota(void)
{
	struct text group = own_cgroup();
	double smallest = 0;

	for (;;) {
		char path[512];
		double quota;
		double period;
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max",
		    strcmp(group.text, "/") == 0 ? "" : group.text);
		FILE *file = fopen(path, "re");
		if (file != NULL) {
			if (fscanf(file, "%lf %lf", &quota, &period) == 2 && period > 0 &&
			    (smallest == 0 || quota / period < smallest)) {
				smallest = quota / period;
			}
			fclose(file);
		}
		char *slash = strrchr(group.text, '/');
		if (slash == NULL) {
			return smallest;
		}
		*slash = '\0';
	}
}

static struct text
quota_text(void)
{
	struct text text;
	double quota = cgroup_quota();

	if (quota > 0) {
		snprintf(text.text, sizeof(text.text), "%.2f CPUs", quota);
	} else {
		snprintf(text.text, sizeof(text.text), "none");
	}
	return text;
}

/* ---- the build ---- */

#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
#define BUILD_ALLOCATOR "jemalloc"
#else
#define BUILD_ALLOCATOR "system"
#endif
#ifdef PW_ATOMIC_CK
#define BUILD_ATOMIC "ck"
#else
#define BUILD_ATOMIC "c11"
#endif
#ifdef PINWHEEL_URING
#define BUILD_URING "built in"
#else
#define BUILD_URING "left out"
#endif
#if defined(__SANITIZE_THREAD__)
#define BUILD_SANITIZER "thread"
#elif defined(__SANITIZE_ADDRESS__)
#define BUILD_SANITIZER "address"
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BUILD_SANITIZER "thread"
#elif __has_feature(address_sanitizer)
#define BUILD_SANITIZER "address"
#endif
#endif
#ifndef BUILD_SANITIZER
#define BUILD_SANITIZER "none"
#endif
#ifndef PINWHEEL_IOV_MAX
#define PINWHEEL_IOV_MAX 4
#endif

static const char *
compiler(void)
{
#ifdef __clang__
	return "clang " __clang_version__;
#else
	return "gcc " __VERSION__;
#endif
}

/* The thread counts of nng_init_params, as this library takes them. */
static const char thread_counts[] = "accepted, and add no threads: there is one thread for each shard and no other";

/* ---- text ---- */

static void
print_setting(const char *name, const char *value, const char *source, const char *meaning, void *arg)
{
	(void) arg;
	printf("  %-22s %-16s %-24s %s\n", name, value, source, meaning);
}

static void
print_shard(const struct pinwheel_shard_stats *s)
{
	char cpu[32] = "-";

	if (s->pinned) {
		snprintf(cpu, sizeof(cpu), "CPU %d", s->cpu);
	}
	printf("  %-5d %-8s %-9s %-9s %s%s%s\n", s->shard, s->pinned ? cpu : "unpinned",
	    s->lent ? "lent" : "own thread", s->poller, s->poller_reason, s->pin_reason[0] != '\0' ? "; " : "",
	    s->pin_reason);
}

static void
print_text(const cpu_set_t *set)
{
	printf("pinwheel %s, interface of NNG %d.%d.%d\n", nng_version(), NNG_MAJOR_VERSION, NNG_MINOR_VERSION,
	    NNG_PATCH_VERSION);
	printf("\nbuild\n  allocator %s, atomics %s, io_uring %s, iov %d, sanitizer %s, %s\n", BUILD_ALLOCATOR,
	    BUILD_ATOMIC, BUILD_URING, PINWHEEL_IOV_MAX, BUILD_SANITIZER, compiler());
	printf("\nmachine\n  CPUs online %ld, affinity mask %s (%d), cgroup quota %s\n",
	    sysconf(_SC_NPROCESSORS_ONLN), affinity(set).text, CPU_COUNT(set), quota_text().text);
	printf("\nshards: %d\n  %-5s %-8s %-9s %-9s %s\n", pinwheel_shard_count(), "shard", "pinned", "thread",
	    "poller", "why");
	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		if (pinwheel_stats(i, &stats) == NNG_OK) {
			print_shard(&stats);
		}
	}
	printf("\nsettings\n  %-22s %-16s %-24s %s\n", "name", "value", "from", "meaning");
	pinwheel_settings_each(print_setting, NULL);
	printf("  thread counts of nng_init_params: %s\n", thread_counts);
}

/* ---- JSON ---- */

static void
add_setting(const char *name, const char *value, const char *source, const char *meaning, void *arg)
{
	struct pw_json *json = arg;

	pw_json_open(json, NULL);
	pw_json_string(json, "name", name);
	pw_json_string(json, "value", value);
	pw_json_string(json, "from", source);
	pw_json_string(json, "meaning", meaning);
	pw_json_close(json);
}

static void
add_shard(struct pw_json *json, const struct pinwheel_shard_stats *s)
{
	pw_json_open(json, NULL);
	pw_json_number(json, "shard", (uint64_t) s->shard);
	pw_json_bool(json, "pinned", s->pinned);
	if (s->pinned) {
		pw_json_number(json, "cpu", (uint64_t) s->cpu);
	}
	pw_json_string(json, "pin_reason", s->pin_reason);
	pw_json_bool(json, "lent", s->lent);
	pw_json_string(json, "poller", s->poller);
	pw_json_string(json, "poller_reason", s->poller_reason);
	pw_json_close(json);
}

static void
print_json(const cpu_set_t *set)
{
	struct pw_json json = { stdout, false };

	pw_json_open(&json, NULL);
	pw_json_string(&json, "version", nng_version());
	pw_json_open(&json, "build");
	pw_json_string(&json, "allocator", BUILD_ALLOCATOR);
	pw_json_string(&json, "atomics", BUILD_ATOMIC);
	pw_json_string(&json, "io_uring", BUILD_URING);
	pw_json_number(&json, "iov_max", PINWHEEL_IOV_MAX);
	pw_json_string(&json, "sanitizer", BUILD_SANITIZER);
	pw_json_string(&json, "compiler", compiler());
	pw_json_close(&json);
	pw_json_open(&json, "machine");
	pw_json_number(&json, "cpus_online", (uint64_t) sysconf(_SC_NPROCESSORS_ONLN));
	pw_json_string(&json, "affinity", affinity(set).text);
	pw_json_number(&json, "affinity_count", (uint64_t) CPU_COUNT(set));
	pw_json_string(&json, "cgroup_quota", quota_text().text);
	pw_json_close(&json);
	pw_json_list(&json, "shards");
	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		if (pinwheel_stats(i, &stats) == NNG_OK) {
			add_shard(&json, &stats);
		}
	}
	pw_json_list_end(&json);
	pw_json_list(&json, "settings");
	pinwheel_settings_each(add_setting, &json);
	pw_json_list_end(&json);
	pw_json_string(&json, "nng_init_thread_counts", thread_counts);
	pw_json_close(&json);
	putchar('\n');
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
		argp_error(state, "%s: no argument is expected", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
pw_info_command(int argc, char **argv)
{
	static const struct argp_option list[] = { { "json", 'J', NULL, 0, "Print it as one JSON object", 0 },
		{ NULL, 0, NULL, 0, NULL, 0 } };
	static const struct argp_child children[] = { { &pw_engine_argp, 0, "Engine:", 1 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = { list, parse, NULL,
		"Starts the engine and shows what it found, what it chose and why.\v"
		"Exit status: 0, 2 usage, 3 the engine does not start.",
		children, NULL, NULL };
	cpu_set_t set;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0) {
		fprintf(stderr, "pinwheel info: no affinity mask: %s\n", strerror(errno));
	}
	if (!pw_engine_start(&options.engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	if (options.json) {
		print_json(&set);
	} else {
		print_text(&set);
	}
	nng_fini();
	return PW_EXIT_OK;
}

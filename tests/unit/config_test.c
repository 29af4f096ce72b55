/* SPDX-License-Identifier: MIT
 *
 * config_test.c: the laws of engine/shard/config.c: where a setting comes from, what is refused and in which words,
 * and what the machine allows. No test looks at the environment or the control groups of the machine it runs on, but
 * the last. Random choices come from PW_TEST_SEED (printed).
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/shard/config.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t seed = 20240607;

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A machine with `cpus` CPUs, 0 and up, and a quota. */
static struct pw_host
host_of(unsigned cpus, uint64_t quota_millicpus)
{
	struct pw_host host = { .quota_millicpus = quota_millicpus };
	host.mask.count = cpus;
	for (unsigned i = 0; i < cpus; i++) {
		host.mask.cpu[i] = (uint16_t) i;
	}
	return host;
}

/* Loads on a machine with 4 CPUs and no quota, with one variable ("NAME=value") or none. */
static nng_err
load(struct pw_config *config, const struct pinwheel_config *given, const char *variable)
{
	struct pw_host host = host_of(4, 0);
	char text[400] = "";
	char *environment[] = { "PATH=/bin", text, "PINWHEE=1", "APINWHEEL_IDLE=x", NULL };
	if (variable != NULL) {
		(void) snprintf(text, sizeof(text), "%s", variable);
	} else {
		(void) snprintf(text, sizeof(text), "HOME=/");
	}
	return pw_config_load(config, given, environment, &host);
}

static struct pw_config config; /* large: not on the stack */

struct row {
	const char *variable;
	const char *value;
	const char *source;
};

struct rows {
	unsigned count;
	char name[PW_SETTING_COUNT + 1][40];
	char value[PW_SETTING_COUNT + 1][PW_SHARDS_MAX * 5 + 1];
	char source[PW_SETTING_COUNT + 1][200];
	char meaning[PW_SETTING_COUNT + 1][200];
};

static void
note_row(const char *name, const char *value, const char *source, const char *meaning, void *arg)
{
	struct rows *rows = arg;
	if (rows->count <= PW_SETTING_COUNT) {
		(void) snprintf(rows->name[rows->count], sizeof(rows->name[0]), "%s", name);
		(void) snprintf(rows->value[rows->count], sizeof(rows->value[0]), "%s", value);
		(void) snprintf(rows->source[rows->count], sizeof(rows->source[0]), "%s", source);
		(void) snprintf(rows->meaning[rows->count], sizeof(rows->meaning[0]), "%s", meaning);
	}
	rows->count++;
}

static struct rows rows;

/* With nothing said, every setting has its default and says so. Method: the whole list. */
static void
config_defaults_are_these(void **state)
{
	(void) state;
	static const struct row expected[] = {
		{ "PINWHEEL_CPUS", "0-3", "default (the affinity mask)" },
		{ "PINWHEEL_SHARDS", "4", "default (4 CPUs in the mask, no cgroup quota: 4 shards)" },
		{ "PINWHEEL_LENT", "0", "default" },
		{ "PINWHEEL_IDLE", "park", "default" },
		{ "PINWHEEL_POLLER", "auto", "default" },
		{ "PINWHEEL_PRIORITY", "0", "default" },
		{ "PINWHEEL_TURN_BUDGET", "256", "default" },
		{ "PINWHEEL_TICK", "65.536us", "default" },
		{ "PINWHEEL_SPIN", "20us", "default" },
		{ "PINWHEEL_LONG_TURN", "10ms", "default" },
	};
	struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
	for (unsigned with = 0; with < 2; with++) {
		assert_int_equal(load(&config, with ? &given : NULL, NULL), NNG_OK);
		memset(&rows, 0, sizeof(rows));
		pw_config_each(&config, note_row, &rows);
		assert_int_equal(rows.count, COUNT(expected));
		assert_int_equal(rows.count, PW_SETTING_COUNT);
		for (unsigned i = 0; i < COUNT(expected); i++) {
			assert_string_equal(rows.name[i], expected[i].variable);
			assert_string_equal(rows.value[i], expected[i].value);
			assert_string_equal(rows.source[i], expected[i].source);
			assert_true(strlen(rows.meaning[i]) > 10);
		}
	}
}

/* For each setting: a variable, what it makes, a field that says something else, and what that makes. */
static const struct sample {
	enum pw_setting which;
	const char *variable;
	uint64_t from_variable;
	struct pinwheel_config given;
	uint64_t from_given;
} samples[] = {
	{ PW_SETTING_SHARDS, "PINWHEEL_SHARDS=3", 3, { .shards = 1024 }, 1024 },
	{ PW_SETTING_LENT, "PINWHEEL_LENT=2", 2, { .lent_shards = 1 }, 1 },
	{ PW_SETTING_LENT, "PINWHEEL_LENT=2", 2, { .lent_shards = PINWHEEL_NONE }, 0 },
	{ PW_SETTING_IDLE, "PINWHEEL_IDLE=busy", PW_IDLE_BUSY, { .idle = PINWHEEL_IDLE_SPIN }, PW_IDLE_SPIN },
	{ PW_SETTING_IDLE, "PINWHEEL_IDLE=spin", PW_IDLE_SPIN, { .idle = PINWHEEL_IDLE_PARK }, PW_IDLE_PARK },
	{ PW_SETTING_IDLE, "PINWHEEL_IDLE=park", PW_IDLE_PARK, { .idle = PINWHEEL_IDLE_BUSY }, PW_IDLE_BUSY },
	{ PW_SETTING_POLLER, "PINWHEEL_POLLER=uring", PW_POLLER_URING, { .poller = PINWHEEL_POLLER_AUTO },
	    PW_POLLER_AUTO },
	{ PW_SETTING_POLLER, "PINWHEEL_POLLER=epoll", PW_POLLER_EPOLL, { .poller = PINWHEEL_POLLER_URING },
	    PW_POLLER_URING },
	{ PW_SETTING_POLLER, "PINWHEEL_POLLER=auto", PW_POLLER_AUTO, { .poller = PINWHEEL_POLLER_EPOLL },
	    PW_POLLER_EPOLL },
	{ PW_SETTING_PRIORITY, "PINWHEEL_PRIORITY=99", 99, { .priority = 1 }, 1 },
	{ PW_SETTING_PRIORITY, "PINWHEEL_PRIORITY=0", 0, { .priority = 99 }, 99 },
	{ PW_SETTING_PRIORITY, "PINWHEEL_PRIORITY=5", 5, { .priority = PINWHEEL_NONE }, 0 },
	{ PW_SETTING_TURN_BUDGET, "PINWHEEL_TURN_BUDGET=1", 1, { .turn_budget = 65536 }, 65536 },
	{ PW_SETTING_TICK, "PINWHEEL_TICK=64us", 65536, { .tick_ns = 1000 }, 1024 },
	{ PW_SETTING_TICK, "PINWHEEL_TICK=65.536us", 65536, { .tick_ns = 65537 }, 131072 },
	{ PW_SETTING_TICK, "PINWHEEL_TICK=8ms", UINT64_C(1) << 23, { .tick_ns = 1024 }, 1024 },
	{ PW_SETTING_SPIN, "PINWHEEL_SPIN=0", 0, { .spin_ns = 1 }, 1 },
	{ PW_SETTING_SPIN, "PINWHEEL_SPIN=1.5ms", 1500000, { .spin_ns = UINT64_C(60000000000) },
	    UINT64_C(60000000000) },
	{ PW_SETTING_LONG_TURN, "PINWHEEL_LONG_TURN=1us", 1000, { .long_turn_ns = 250000 }, 250000 },
};

static struct pinwheel_config
sized(const struct pinwheel_config *given)
{
	struct pinwheel_config copy = *given;
	copy.size = sizeof(copy);
	return copy;
}

/* I1: configuration before environment before default, for each setting; a field left 0 says nothing. Method: each
 * sample three ways. */
static void
config_precedence_is_program_environment_default(void **state)
{
	(void) state;
	for (unsigned i = 0; i < COUNT(samples); i++) {
		const struct sample *s = &samples[i];
		struct pinwheel_config none = PINWHEEL_CONFIG_INIT, given = sized(&s->given);
		assert_int_equal(load(&config, &none, s->variable), NNG_OK);
		assert_int_equal(config.value[s->which], s->from_variable);
		assert_int_equal(config.source[s->which], PW_SOURCE_ENVIRONMENT);
		assert_int_equal(load(&config, &given, s->variable), NNG_OK);
		assert_int_equal(config.value[s->which], s->from_given);
		assert_int_equal(config.source[s->which], PW_SOURCE_CONFIGURATION);
		assert_int_equal(load(&config, &given, NULL), NNG_OK);
		assert_int_equal(config.value[s->which], s->from_given);
		assert_int_equal(config.source[s->which], PW_SOURCE_CONFIGURATION);
		for (unsigned other = 0; other < PW_SETTING_COUNT; other++) {
			assert_int_equal(config.source[other],
			    other == s->which ? PW_SOURCE_CONFIGURATION : PW_SOURCE_DEFAULT);
		}
	}

	struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
	given.cpus = "7,1";
	assert_int_equal(load(&config, NULL, "PINWHEEL_CPUS=2-3"), NNG_OK);
	assert_int_equal(config.cpus.count, 2);
	assert_int_equal(config.cpus.cpu[0], 2);
	assert_int_equal(config.source[PW_SETTING_CPUS], PW_SOURCE_ENVIRONMENT);
	assert_int_equal(load(&config, &given, "PINWHEEL_CPUS=2-3"), NNG_OK);
	assert_int_equal(config.cpus.count, 2);
	assert_int_equal(config.cpus.cpu[0], 7);
	assert_int_equal(config.cpus.cpu[1], 1);
	assert_int_equal(config.source[PW_SETTING_CPUS], PW_SOURCE_CONFIGURATION);
}

/* The hooks are the program's, and pass through, also when a setting is refused: the line goes to the hook. */
static void
config_hooks_pass_through(void **state)
{
	(void) state;
	struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
	int a = 0, b = 0;
	given.on_thread_start_arg = &a;
	given.on_log_arg = &b;
	assert_int_equal(load(&config, &given, "PINWHEEL_IDLE=fast"), NNG_EINVAL);
	assert_ptr_equal(config.on_thread_start_arg, &a);
	assert_ptr_equal(config.on_log_arg, &b);
}

/* I3: what is printed can be put into the variable and gives the same. Method: each sample's list, printed, set
 * variable by variable, and printed again. */
static void
config_printed_values_are_accepted(void **state)
{
	(void) state;
	static struct rows again;
	for (unsigned i = 0; i < COUNT(samples); i++) {
		assert_int_equal(load(&config, NULL, samples[i].variable), NNG_OK);
		memset(&rows, 0, sizeof(rows));
		pw_config_each(&config, note_row, &rows);
		char *environment[PW_SETTING_COUNT + 1] = { NULL };
		for (unsigned r = 0; r < rows.count; r++) {
			size_t size = strlen(rows.name[r]) + strlen(rows.value[r]) + 2;
			environment[r] = malloc(size);
			assert_non_null(environment[r]);
			(void) snprintf(environment[r], size, "%s=%s", rows.name[r], rows.value[r]);
		}
		struct pw_host host = host_of(1, 1000);
		assert_int_equal(pw_config_load(&config, NULL, environment, &host), NNG_OK);
		memset(&again, 0, sizeof(again));
		pw_config_each(&config, note_row, &again);
		for (unsigned r = 0; r < rows.count; r++) {
			assert_string_equal(again.value[r], rows.value[r]);
			assert_memory_equal(again.source[r], "environment", 11);
			free(environment[r]);
		}
	}
}

static const struct refused {
	const char *variable;
	const char *line;
} refused[] = {
	{ "PINWHEEL_IDLE=fast", "PINWHEEL_IDLE=fast: not an idle strategy; use park, spin or busy" },
	{ "PINWHEEL_IDLE=", "PINWHEEL_IDLE=: not an idle strategy; use park, spin or busy" },
	{ "PINWHEEL_IDLE", "PINWHEEL_IDLE=: not an idle strategy; use park, spin or busy" },
	{ "PINWHEEL_IDLE=Park", "PINWHEEL_IDLE=Park: not an idle strategy; use park, spin or busy" },
	{ "PINWHEEL_IDLE=parks", "PINWHEEL_IDLE=parks: not an idle strategy; use park, spin or busy" },
	{ "PINWHEEL_POLLER=select", "PINWHEEL_POLLER=select: not a poller; use auto, uring or epoll" },
	{ "PINWHEEL_SHARDS=0", "PINWHEEL_SHARDS=0: no shard at all; use 1 to 1024, or lend some with PINWHEEL_LENT" },
	{ "PINWHEEL_SHARDS=1025", "PINWHEEL_SHARDS=1025: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS=-1", "PINWHEEL_SHARDS=-1: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS=+1", "PINWHEEL_SHARDS=+1: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS= 1", "PINWHEEL_SHARDS= 1: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS=2 ", "PINWHEEL_SHARDS=2 : not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS=0x2", "PINWHEEL_SHARDS=0x2: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS=two", "PINWHEEL_SHARDS=two: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_SHARDS=18446744073709551617",
	    "PINWHEEL_SHARDS=18446744073709551617: not a number of shards; use 1 to 1024" },
	{ "PINWHEEL_LENT=1024", "PINWHEEL_LENT=1024: not a number of lent shards; use 0 to 1023" },
	{ "PINWHEEL_LENT=", "PINWHEEL_LENT=: not a number of lent shards; use 0 to 1023" },
	{ "PINWHEEL_PRIORITY=100",
	    "PINWHEEL_PRIORITY=100: not a priority; use 1 to 99 for SCHED_FIFO, or 0 for none" },
	{ "PINWHEEL_TURN_BUDGET=0", "PINWHEEL_TURN_BUDGET=0: not a budget; use 1 to 65536" },
	{ "PINWHEEL_TURN_BUDGET=65537", "PINWHEEL_TURN_BUDGET=65537: not a budget; use 1 to 65536" },
	{ "PINWHEEL_TICK=64", "PINWHEEL_TICK=64: not a tick; use 1us to 8ms, as in 64us" },
	{ "PINWHEEL_TICK=0", "PINWHEEL_TICK=0: not a tick; use 1us to 8ms, as in 64us" },
	{ "PINWHEEL_TICK=999ns", "PINWHEEL_TICK=999ns: not a tick; use 1us to 8ms, as in 64us" },
	{ "PINWHEEL_TICK=9ms", "PINWHEEL_TICK=9ms: not a tick; use 1us to 8ms, as in 64us" },
	{ "PINWHEEL_TICK=64 us", "PINWHEEL_TICK=64 us: not a tick; use 1us to 8ms, as in 64us" },
	{ "PINWHEEL_TICK=-64us", "PINWHEEL_TICK=-64us: not a tick; use 1us to 8ms, as in 64us" },
	{ "PINWHEEL_SPIN=61s", "PINWHEEL_SPIN=61s: not a time to spin; use 0 to 60s, as in 20us" },
	{ "PINWHEEL_SPIN=20usec", "PINWHEEL_SPIN=20usec: not a time to spin; use 0 to 60s, as in 20us" },
	{ "PINWHEEL_SPIN=99999999999999999999s",
	    "PINWHEEL_SPIN=99999999999999999999s: not a time to spin; use 0 to 60s, as in 20us" },
	{ "PINWHEEL_LONG_TURN=0", "PINWHEEL_LONG_TURN=0: not a duration of a turn; use 1us to 60s, as in 10ms" },
	{ "PINWHEEL_LONG_TURN=forever",
	    "PINWHEEL_LONG_TURN=forever: not a duration of a turn; use 1us to 60s, as in 10ms" },
	{ "PINWHEEL_CPUS=", "PINWHEEL_CPUS=: not a list of CPUs; use numbers and ranges, as in 0-3,8" },
	{ "PINWHEEL_CPUS=all", "PINWHEEL_CPUS=all: not a list of CPUs; use numbers and ranges, as in 0-3,8" },
	{ "PINWHEEL_CPUS=3-1", "PINWHEEL_CPUS=3-1: a range runs backwards; write the smaller number first" },
	{ "PINWHEEL_CPUS=4096", "PINWHEEL_CPUS=4096: not the number of a CPU; use 0 to 4095" },
	{ "PINWHEEL_CPUS=0-1,1",
	    "PINWHEEL_CPUS=0-1,1: a CPU is named twice; name each once (PINWHEEL_SHARDS may exceed the CPUs)" },
	{ "PINWHEEL_CPUS=0-4095", "PINWHEEL_CPUS=0-4095: too many CPUs; use at most 1024" },
	{ "PINWHEEL_IDEL=park", "PINWHEEL_IDEL=park: not a setting; the nearest one is PINWHEEL_IDLE" },
	{ "PINWHEEL_idle=park", "PINWHEEL_idle=park: not a setting; the nearest one is PINWHEEL_IDLE" },
	{ "PINWHEEL_CPU=0", "PINWHEEL_CPU=0: not a setting; the nearest one is PINWHEEL_CPUS" },
	{ "PINWHEEL_TURNBUDGET=9", "PINWHEEL_TURNBUDGET=9: not a setting; the nearest one is PINWHEEL_TURN_BUDGET" },
	{ "PINWHEEL_LENT_SHARD=1", "PINWHEEL_LENT_SHARD=1: not a setting; the nearest one is PINWHEEL_SHARDS" },
	{ "PINWHEEL_TICK_NS=1", "PINWHEEL_TICK_NS=1: not a setting; the nearest one is PINWHEEL_TICK" },
	{ "PINWHEEL_=1", "PINWHEEL_=1: not a setting; the nearest one is PINWHEEL_CPUS" },
	{ "PINWHEEL_IDLE=\033[31mred\n", "PINWHEEL_IDLE=?[31mred?: not an idle strategy; use park, spin or busy" },
};

/* I2: every kind of bad value and every unknown name is NNG_EINVAL with a line that says what would be right; also
 * where the program has set the same thing. Method: the table above, against the exact text. */
static void
config_refuses_and_says_what_would_be_right(void **state)
{
	(void) state;
	struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
	for (unsigned i = 0; i < COUNT(refused); i++) {
		assert_int_equal(load(&config, NULL, refused[i].variable), NNG_EINVAL);
		assert_string_equal(config.error, refused[i].line);
	}
	given.idle = PINWHEEL_IDLE_BUSY;
	assert_int_equal(load(&config, &given, "PINWHEEL_IDLE=fast"), NNG_EINVAL);
	assert_string_equal(config.error, refused[0].line);
}

/* A value of any length makes one line of bounded length that still says what would be right. */
static void
config_long_values_make_short_lines(void **state)
{
	(void) state;
	struct pw_host host = host_of(1, 0);
	static char variable[100000];
	static const char *const names[] = { "PINWHEEL_CPUS=", "PINWHEEL_IDLE=", "PINWHEEL_TICK=", "PINWHEEL_" };
	for (unsigned i = 0; i < COUNT(names); i++) {
		memset(variable, 'x', sizeof(variable) - 1);
		memcpy(variable, names[i], strlen(names[i]));
		char *environment[] = { variable, NULL };
		assert_int_equal(pw_config_load(&config, NULL, environment, &host), NNG_EINVAL);
		assert_true(strlen(config.error) < sizeof(config.error) - 1);
		assert_true(strstr(config.error, "; ") != NULL);
	}
}

/* A bad field of the program's configuration is refused by name. */
static void
config_refuses_bad_fields(void **state)
{
	(void) state;
	static const struct {
		struct pinwheel_config given;
		const char *line;
	} bad[] = {
		{ { .cpus = "0,,1" },
		    "pinwheel_config.cpus=0,,1: not a list of CPUs; use numbers and ranges, as in 0-3,8" },
		{ { .cpus = "" }, "pinwheel_config.cpus=: not a list of CPUs; use numbers and ranges, as in 0-3,8" },
		{ { .shards = -2 }, "pinwheel_config.shards=-2: not a number of shards; use 1 to 1024" },
		{ { .shards = 1025 }, "pinwheel_config.shards=1025: not a number of shards; use 1 to 1024" },
		{ { .shards = PINWHEEL_NONE },
		    "pinwheel_config.shards=PINWHEEL_NONE: no shard at all; use 1 to 1024, "
		    "or lend some with PINWHEEL_LENT" },
		{ { .shards = 1024, .lent_shards = 1 },
		    "pinwheel_config.shards=1024: too many with the lent ones; use at most 1024 together" },
		{ { .lent_shards = 1024 },
		    "pinwheel_config.lent_shards=1024: not a number of lent shards; use 0 to 1023" },
		{ { .idle = 4 }, "pinwheel_config.idle=4: not an idle strategy; use park, spin or busy" },
		{ { .poller = 77 }, "pinwheel_config.poller=77: not a poller; use auto, uring or epoll" },
		{ { .priority = 100 },
		    "pinwheel_config.priority=100: not a priority; use 1 to 99 for SCHED_FIFO, or 0 for none" },
		{ { .turn_budget = 65537 }, "pinwheel_config.turn_budget=65537: not a budget; use 1 to 65536" },
		{ { .tick_ns = 999 }, "pinwheel_config.tick_ns=999: not a tick; use 1us to 8ms, as in 64us" },
		{ { .spin_ns = UINT64_MAX },
		    "pinwheel_config.spin_ns=18446744073709551615: not a time to spin; use 0 to 60s, as in 20us" },
		{ { .long_turn_ns = 1 },
		    "pinwheel_config.long_turn_ns=1: not a duration of a turn; use 1us to 60s, as in 10ms" },
	};
	for (unsigned i = 0; i < COUNT(bad); i++) {
		struct pinwheel_config given = sized(&bad[i].given);
		assert_int_equal(load(&config, &given, NULL), NNG_EINVAL);
		assert_string_equal(config.error, bad[i].line);
	}
}

/* `size` says which fields there are: a shorter struct leaves the rest at the default, a longer one may have nothing
 * set that is not known here, and a size that is none is refused. Method: a struct inside a larger buffer. */
static void
config_size_tells_the_version(void **state)
{
	(void) state;
	union {
		struct pinwheel_config given;
		unsigned char bytes[4096];
	} u;
	memset(&u, 0, sizeof(u));
	u.given.idle = PINWHEEL_IDLE_BUSY;
	u.given.shards = 2;

	u.given.size = offsetof(struct pinwheel_config, idle);
	assert_int_equal(load(&config, &u.given, NULL), NNG_OK);
	assert_int_equal(config.value[PW_SETTING_SHARDS], 2);
	assert_int_equal(config.value[PW_SETTING_IDLE], PW_IDLE_PARK);

	u.given.size = sizeof(u);
	assert_int_equal(load(&config, &u.given, NULL), NNG_OK);
	assert_int_equal(config.value[PW_SETTING_IDLE], PW_IDLE_BUSY);

	u.bytes[sizeof(u) - 1] = 1;
	assert_int_equal(load(&config, &u.given, NULL), NNG_EINVAL);
	assert_string_equal(config.error,
	    "pinwheel_config.size=4096: a newer struct, with a field set that this library "
	    "does not know; leave it 0");
	u.given.size = 0;
	assert_int_equal(load(&config, &u.given, NULL), NNG_EINVAL);
	assert_string_equal(config.error,
	    "pinwheel_config.size=0: not the size of the struct; start from PINWHEEL_CONFIG_INIT");
	u.given.size = 4097;
	assert_int_equal(load(&config, &u.given, NULL), NNG_EINVAL);
}

/* The number of shards: one per CPU, less when the quota is less (rounded up), as many as asked for when asked; the
 * words say why. Method: a table of machines and wishes. */
static void
config_number_of_shards_and_why(void **state)
{
	(void) state;
	static const struct {
		unsigned cpus;
		uint64_t quota;
		const char *list;
		int shards, lent;
		unsigned expected;
		bool oversubscribed;
		const char *why;
	} cases[] = {
		{ 2, 1500, NULL, 0, 0, 2, false, "2 CPUs in the mask, cgroup quota 1.5: 2 shards" },
		{ 2, 0, NULL, 0, 0, 2, false, "2 CPUs in the mask, no cgroup quota: 2 shards" },
		{ 1, 0, NULL, 0, 0, 1, false, "1 CPU in the mask, no cgroup quota: 1 shard" },
		{ 8, 1500, NULL, 0, 0, 2, false, "8 CPUs in the mask, cgroup quota 1.5: 2 shards" },
		{ 8, 1001, NULL, 0, 0, 2, false, "8 CPUs in the mask, cgroup quota 1.001: 2 shards" },
		{ 8, 1000, NULL, 0, 0, 1, false, "8 CPUs in the mask, cgroup quota 1: 1 shard" },
		{ 8, 50, NULL, 0, 0, 1, false, "8 CPUs in the mask, cgroup quota 0.05: 1 shard" },
		{ 8, 10000, NULL, 0, 0, 8, false, "8 CPUs in the mask, cgroup quota 10: 8 shards" },
		{ 8, 1500, NULL, 0, 3, 2, false, "8 CPUs in the mask, cgroup quota 1.5: 2 shards" },
		{ 2, 1000, NULL, 5, 0, 5, true, "2 CPUs in the mask, cgroup quota 1: 5 shards, oversubscribed" },
		{ 2, 1000, NULL, 2, 9, 2, false, "2 CPUs in the mask, cgroup quota 1: 2 shards" },
		{ 2, 0, NULL, PINWHEEL_NONE, 1, 0, false, "2 CPUs in the mask, no cgroup quota: 0 shards" },
		{ 2, 1000, "4-6", 0, 0, 3, false, "3 CPUs named by the configuration, cgroup quota 1: 3 shards" },
		{ 2, 0, "9", 2, 0, 2, true,
		    "1 CPU named by the configuration, no cgroup quota: 2 shards, oversubscribed" },
		{ 1024, 0, NULL, 0, 4, 1020, false, "1024 CPUs in the mask, no cgroup quota: 1020 shards" },
		{ 0, 0, NULL, 0, 0, 1, false, "the affinity mask cannot be read, no cgroup quota: 1 shard" },
	};
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
		struct pw_host host = host_of(cases[i].cpus, cases[i].quota);
		given.cpus = cases[i].list;
		given.shards = cases[i].shards;
		given.lent_shards = cases[i].lent;
		assert_int_equal(pw_config_load(&config, &given, NULL, &host), NNG_OK);
		assert_int_equal(config.value[PW_SETTING_SHARDS], cases[i].expected);
		assert_int_equal(pw_config_shards(&config), cases[i].expected + (unsigned) cases[i].lent);
		assert_int_equal(config.oversubscribed, cases[i].oversubscribed);
		assert_string_equal(config.why_shards, cases[i].why);
	}
}

/* A shard's settings are the configuration's; threads are pinned round-robin in the order of the list, lent shards
 * come last and are neither pinned nor scheduled. Method: five shards with a thread on three CPUs, two lent. */
static void
config_shards_are_pinned_round_robin(void **state)
{
	(void) state;
	static const int cpus[] = { 8, 0, 1, 8, 0, -1, -1 };
	struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
	struct pw_shard_settings settings;
	given.cpus = "8,0-1";
	given.shards = 5;
	given.lent_shards = 2;
	given.priority = 7;
	given.idle = PINWHEEL_IDLE_SPIN;
	given.poller = PINWHEEL_POLLER_EPOLL;
	given.tick_ns = 2048;
	given.spin_ns = 300;
	given.long_turn_ns = 4000;
	given.turn_budget = 17;
	assert_int_equal(load(&config, &given, NULL), NNG_OK);
	assert_int_equal(pw_config_shards(&config), COUNT(cpus));
	for (unsigned id = 0; id < COUNT(cpus); id++) {
		pw_config_shard(&config, id, &settings);
		assert_int_equal(settings.id, id);
		assert_int_equal(settings.cpu, cpus[id]);
		assert_int_equal(settings.lent, id >= 5);
		assert_int_equal(settings.priority, id >= 5 ? 0 : 7);
		assert_int_equal(settings.idle, PW_IDLE_SPIN);
		assert_int_equal(settings.poller, PW_POLLER_EPOLL);
		assert_int_equal(settings.tick_shift, 11);
		assert_int_equal(settings.spin_ns, 300);
		assert_int_equal(settings.long_turn_ns, 4000);
		assert_int_equal(settings.budget, 17);
	}
	struct pw_host unknown = host_of(0, 0);
	assert_int_equal(pw_config_load(&config, NULL, NULL, &unknown), NNG_OK);
	pw_config_shard(&config, 0, &settings);
	assert_int_equal(settings.cpu, -1);
}

/* Who spins gets a finer tick, unless it is given. */
static void
config_tick_is_finer_when_spinning(void **state)
{
	(void) state;
	assert_int_equal(load(&config, NULL, "PINWHEEL_IDLE=busy"), NNG_OK);
	assert_int_equal(config.value[PW_SETTING_TICK], 4096);
	assert_int_equal(config.source[PW_SETTING_TICK], PW_SOURCE_DEFAULT);
	struct pinwheel_config given = PINWHEEL_CONFIG_INIT;
	given.tick_ns = 65536;
	assert_int_equal(load(&config, &given, "PINWHEEL_IDLE=busy"), NNG_OK);
	assert_int_equal(config.value[PW_SETTING_TICK], 65536);
}

static struct pw_cpu_list list;

/* A list is read as it is written, order kept, and printed so that it reads the same. */
static void
cpu_list_reads_numbers_and_ranges(void **state)
{
	(void) state;
	static const struct {
		const char *text;
		unsigned count;
		uint16_t cpu[8];
		const char *printed;
	} good[] = {
		{ "0", 1, { 0 }, "0" },
		{ "0-3,8", 5, { 0, 1, 2, 3, 8 }, "0-3,8" },
		{ "8,0-3", 5, { 8, 0, 1, 2, 3 }, "8,0-3" },
		{ "3,2,1", 3, { 3, 2, 1 }, "3,2,1" },
		{ "1,2,3", 3, { 1, 2, 3 }, "1-3" },
		{ "5-5", 1, { 5 }, "5" },
		{ "007,4095", 2, { 7, 4095 }, "7,4095" },
	};
	char text[100];
	for (unsigned i = 0; i < COUNT(good); i++) {
		assert_null(pw_cpu_list_parse(good[i].text, &list));
		assert_int_equal(list.count, good[i].count);
		assert_memory_equal(list.cpu, good[i].cpu, good[i].count * sizeof(list.cpu[0]));
		assert_string_equal(pw_cpu_list_print(&list, text, sizeof(text)), good[i].printed);
	}
	assert_null(pw_cpu_list_parse("0-1023", &list));
	assert_int_equal(list.count, 1024);
	memset(text, '#', sizeof(text));
	assert_null(pw_cpu_list_parse("100,200,300", &list));
	assert_string_equal(pw_cpu_list_print(&list, text, 6), "100,2");
	assert_int_equal(text[6], '#');
}

/* What is no list is refused, never misread. Method: a table, then random strings over the alphabet of lists: each is
 * refused, or what was read, printed and read again is the same, with each CPU once. */
static void
cpu_list_refuses_what_is_none(void **state)
{
	(void) state;
	static const char *const bad[] = { "", ",", "0,", ",0", "0,,1", "-", "-1", "1-", "1-2-3", "1 ", " 1", "1, 2",
		"a", "0x1", "1;2", "1-a", "4096", "4095-4096", "99999999999999999999", "0-99999999999999999999",
		"2-1", "1,1", "0-3,2", "0-1024", "1\n", "+1", "1.5", "0-3:2" };
	for (unsigned i = 0; i < COUNT(bad); i++) {
		const char *why = pw_cpu_list_parse(bad[i], &list);
		assert_non_null(why);
		assert_non_null(strchr(why, ';'));
	}
	static const char alphabet[] = "0123456789-,,--0 x";
	static struct pw_cpu_list again;
	uint64_t random = seed;
	unsigned accepted = 0;
	for (unsigned i = 0; i < 100000; i++) {
		char text[16], printed[PW_SHARDS_MAX * 5 + 1];
		size_t length = next_random(&random) % (sizeof(text) - 1);
		for (size_t c = 0; c < length; c++) {
			text[c] = alphabet[next_random(&random) % (sizeof(alphabet) - 1)];
		}
		text[length] = '\0';
		if (pw_cpu_list_parse(text, &list) != NULL) {
			continue;
		}
		accepted++;
		assert_in_range(list.count, 1, PW_SHARDS_MAX);
		uint8_t seen[PW_CPUS_MAX] = { 0 };
		for (unsigned c = 0; c < list.count; c++) {
			assert_true(list.cpu[c] < PW_CPUS_MAX && seen[list.cpu[c]]++ == 0);
		}
		assert_null(pw_cpu_list_parse(pw_cpu_list_print(&list, printed, sizeof(printed)), &again));
		assert_int_equal(again.count, list.count);
		assert_memory_equal(again.cpu, list.cpu, list.count * sizeof(list.cpu[0]));
	}
	assert_true(accepted > 100);
}

/* A duration is a decimal number with a unit, read exactly or not at all; printed, it reads the same. */
static void
duration_reads_exactly(void **state)
{
	(void) state;
	static const struct {
		const char *text;
		uint64_t ns;
		const char *printed;
	} good[] = {
		{ "0", 0, "0ns" },
		{ "0s", 0, "0ns" },
		{ "1ns", 1, "1ns" },
		{ "64us", 64000, "64us" },
		{ "65.536us", 65536, "65.536us" },
		{ "1.5ms", 1500000, "1.5ms" },
		{ "1.05s", 1050000000, "1.05s" },
		{ "0.000000001s", 1, "1ns" },
		{ "1.000000001s", 1000000001, "1.000000001s" },
		{ "1000us", 1000000, "1ms" },
		{ "90s", UINT64_C(90000000000), "90s" },
		{ "1.0ns", 1, "1ns" },
		{ "18000000000s", UINT64_C(18000000000000000000), "18000000000s" },
	};
	static const char *const bad[] = { "", "1", "us", ".5us", "5.us", "1.2.3us", "1,5us", "-1us", "+1us", " 1us",
		"1 us", "1us ", "1US", "1m", "1h", "1e3us", "0.5ns", "1.0001us", "0.0000000001s", "18446744074s",
		"18446744073709551616ns", "18446744073709551615ns", "99999999999999999999999ns", "0.0", "00x" };
	uint64_t ns = 0;
	char text[40];
	for (unsigned i = 0; i < COUNT(good); i++) {
		assert_true(pw_duration_parse(good[i].text, &ns));
		assert_int_equal(ns, good[i].ns);
		assert_string_equal(pw_duration_print(ns, text, sizeof(text)), good[i].printed);
	}
	for (unsigned i = 0; i < COUNT(bad); i++) {
		assert_false(pw_duration_parse(bad[i], &ns));
	}
	uint64_t random = seed + 1, again = 0;
	for (unsigned i = 0; i < 100000; i++) {
		ns = next_random(&random) % UINT64_C(100000000000000000) >> next_random(&random) % 50;
		assert_true(pw_duration_parse(pw_duration_print(ns, text, sizeof(text)), &again));
		assert_int_equal(again, ns);
	}
}

/* A tree of files that stands for the machine's, in a new folder. */
static char tree[200];

static void
tree_path(char *path, size_t size, const char *file)
{
	int n = snprintf(path, size, "%s%s", tree, file);
	assert_true(n > 0 && (size_t) n < size);
}

static void
put(const char *file, const char *text)
{
	char path[1000];
	tree_path(path, sizeof(path), file);
	for (char *slash = path + strlen(tree); (slash = strchr(slash + 1, '/')) != NULL;) {
		*slash = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
make_tree(void **state)
{
	const char *folder = getenv("TMPDIR");
	(void) state;
	(void) snprintf(tree, sizeof(tree), "%s/config_test.XXXXXX", folder != NULL ? folder : "/tmp");
	return mkdtemp(tree) != NULL ? 0 : -1;
}

static int
remove_tree(void **state)
{
	char command[300];
	(void) state;
	(void) snprintf(command, sizeof(command), "rm -rf '%s'", tree);
	return system(command);
}

#define MOUNT_V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1                                                                                                     \
	"24 1 0:22 / /proc rw - proc proc rw\n"                                                                      \
	"31 30 0:27 / /sys/fs/cgroup/cpuset rw shared:5 - cgroup cgroup rw,cpuset\n"                                 \
	"32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct\n"

/* Version 2: the smallest quota of the own group and its ancestors. */
static void
quota_v2_is_the_smallest_up_the_tree(void **state)
{
	(void) state;
	put("/proc/self/cgroup", "0::/user.slice/app.service\n");
	put("/proc/self/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n" MOUNT_V2);
	assert_int_equal(pw_host_quota(tree), 0);
	put("/sys/fs/cgroup/user.slice/app.service/cpu.max", "max 100000\n");
	assert_int_equal(pw_host_quota(tree), 0);
	put("/sys/fs/cgroup/user.slice/cpu.max", "300000 100000\n");
	assert_int_equal(pw_host_quota(tree), 3000);
	put("/sys/fs/cgroup/user.slice/app.service/cpu.max", "150000 100000\n");
	assert_int_equal(pw_host_quota(tree), 1500);
	put("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
	assert_int_equal(pw_host_quota(tree), 500);
	put("/sys/fs/cgroup/other/cpu.max", "1000 100000\n");
	assert_int_equal(pw_host_quota(tree), 500);
	put("/sys/fs/cgroup/cpu.max", "100001 300000\n");
	assert_int_equal(pw_host_quota(tree), 334);
	put("/sys/fs/beside/cpu.max", "1000 100000\n");
	put("/proc/self/cgroup", "0::/../beside\n"); /* above the namespace's top: a path that leaves the mount */
	assert_int_equal(pw_host_quota(tree), 334);
}

/* Version 1: the same from the cpu controller's own hierarchy, and from no other. */
static void
quota_v1_is_the_smallest_up_the_tree(void **state)
{
	(void) state;
	put("/proc/self/cgroup", "5:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/abc\n0::/unified\n");
	put("/proc/self/mountinfo", MOUNT_V1);
	put("/sys/fs/cgroup/cpuset/elsewhere/cpu.cfs_quota_us", "1000\n");
	put("/sys/fs/cgroup/cpuset/elsewhere/cpu.cfs_period_us", "100000\n");
	assert_int_equal(pw_host_quota(tree), 0);
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
	assert_int_equal(pw_host_quota(tree), 0);
	put("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "250000\n");
	assert_int_equal(pw_host_quota(tree), 0); /* no period beside it */
	put("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
	assert_int_equal(pw_host_quota(tree), 2500);
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "25000\n");
	assert_int_equal(pw_host_quota(tree), 250);
}

/* A container's mount shows its own group at the top, under the name that the outside gave it, at a place whose name
 * needs escapes; and a group above the mount's top leaves the top. */
static void
quota_is_found_from_inside_a_container(void **state)
{
	(void) state;
	put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/abc/sub\n");
	put("/proc/self/mountinfo", "32 30 0:28 /docker/abc /my\\040groups rw - cgroup cgroup rw,cpu,cpuacct\n");
	put("/my groups/cpu.cfs_quota_us", "200000\n");
	put("/my groups/cpu.cfs_period_us", "100000\n");
	put("/my groups/sub/cpu.cfs_quota_us", "120000\n");
	put("/my groups/sub/cpu.cfs_period_us", "100000\n");
	assert_int_equal(pw_host_quota(tree), 1200);
	put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/abcdef/sub\n");
	assert_int_equal(pw_host_quota(tree), 2000);
	put("/proc/self/cgroup", "4:cpu,cpuacct:/../sub\n");
	assert_int_equal(pw_host_quota(tree), 2000);
	put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/abc\n");
	assert_int_equal(pw_host_quota(tree), 2000);
}

/* Files that are not as expected are no limit, and nothing worse. Method: a table of contents for each file, then
 * random bytes in all of them. */
static void
quota_malformed_files_are_no_limit(void **state)
{
	(void) state;
	static const char *const contents[] = { "", "\n", "max", "150000", "150000 ", " 100000", "x y", "150000 0",
		"0 100000", "-5 100000", "1.5 100000", "150000 100000x", "99999999999999999999 1",
		"18446744073709551615 1" };
	static const char *const groups[] = { "", "0", "0:", "0:/a\n", ":::\n", "x::/a\n", "1:cpuset:/a\n" };
	static const char *const mounts[] = { "", " - ", "1 2 3 - cgroup2\n", "1 2 3 4 5 6 cgroup2\n",
		"30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2\n" };
	put("/proc/self/cgroup", "0::/a\n");
	put("/proc/self/mountinfo", MOUNT_V2);
	put("/sys/fs/cgroup/a/cpu.max", "150000 100000");
	assert_int_equal(pw_host_quota(tree), 1500);
	for (unsigned i = 0; i < COUNT(groups); i++) {
		put("/proc/self/cgroup", groups[i]);
		assert_int_equal(pw_host_quota(tree), 0);
	}
	put("/proc/self/cgroup", "0::/a\n");
	for (unsigned i = 0; i + 1 < COUNT(mounts); i++) {
		put("/proc/self/mountinfo", mounts[i]);
		assert_int_equal(pw_host_quota(tree), 0);
	}
	put("/proc/self/mountinfo", mounts[COUNT(mounts) - 1]); /* the fields behind the type are not needed */
	assert_int_equal(pw_host_quota(tree), 1500);
	for (unsigned i = 0; i < COUNT(contents); i++) {
		put("/sys/fs/cgroup/a/cpu.max", contents[i]);
		assert_int_equal(pw_host_quota(tree), 0);
	}

	/* A line too long for the buffer (overlay mounts have such) is passed over whole: no part of it is a line. */
	static char lines[20000];
	memset(lines, 'x', 4095);
	(void) snprintf(lines + 4095, 1000, "30 23 0:26 / /wrong rw - cgroup2 cgroup2 rw\n%s", MOUNT_V2);
	put("/proc/self/mountinfo", lines);
	put("/sys/fs/cgroup/a/cpu.max", "150000 100000");
	assert_int_equal(pw_host_quota(tree), 1500);

	static const char alphabet[] = "0123456789 :/,-\n\\ cpu max cgroup2 - ";
	uint64_t random = seed + 2;
	for (unsigned i = 0; i < 300; i++) {
		static const char *const files[] = { "/proc/self/cgroup", "/proc/self/mountinfo",
			"/sys/fs/cgroup/a/cpu.max" };
		char text[200];
		size_t length = next_random(&random) % (sizeof(text) - 1);
		for (size_t c = 0; c < length; c++) {
			text[c] = alphabet[next_random(&random) % (sizeof(alphabet) - 1)];
		}
		text[length] = '\0';
		put(files[next_random(&random) % COUNT(files)], text);
		(void) pw_host_quota(tree); /* whatever it says: no sanitizer has anything to say */
	}
}

/* The mask is the calling thread's, whatever machine this is. Method: the thread shrinks its mask to one CPU. */
static void
host_mask_is_the_calling_threads(void **state)
{
	(void) state;
	static struct pw_host host;
	cpu_set_t before, one;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	pw_host_discover(&host, "");
	assert_int_equal(host.mask.count, CPU_COUNT(&before));
	uint16_t last = host.mask.cpu[host.mask.count - 1];
	CPU_ZERO(&one);
	CPU_SET(last, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	pw_host_discover(&host, "");
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(host.mask.count, 1);
	assert_int_equal(host.mask.cpu[0], last);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_defaults_are_these),
		cmocka_unit_test(config_precedence_is_program_environment_default),
		cmocka_unit_test(config_hooks_pass_through),
		cmocka_unit_test(config_printed_values_are_accepted),
		cmocka_unit_test(config_refuses_and_says_what_would_be_right),
		cmocka_unit_test(config_long_values_make_short_lines),
		cmocka_unit_test(config_refuses_bad_fields),
		cmocka_unit_test(config_size_tells_the_version),
		cmocka_unit_test(config_number_of_shards_and_why),
		cmocka_unit_test(config_shards_are_pinned_round_robin),
		cmocka_unit_test(config_tick_is_finer_when_spinning),
		cmocka_unit_test(cpu_list_reads_numbers_and_ranges),
		cmocka_unit_test(cpu_list_refuses_what_is_none),
		cmocka_unit_test(duration_reads_exactly),
		cmocka_unit_test_setup_teardown(quota_v2_is_the_smallest_up_the_tree, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(quota_v1_is_the_smallest_up_the_tree, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(quota_is_found_from_inside_a_container, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(quota_malformed_files_are_no_limit, make_tree, remove_tree),
		cmocka_unit_test(host_mask_is_the_calling_threads),
	};
	if (getenv("PW_TEST_SEED") != NULL) {
		seed = strtoull(getenv("PW_TEST_SEED"), NULL, 0) | 1;
	}
	print_message("PW_TEST_SEED=%llu\n", (unsigned long long) seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * self_test.c: the explorer finds the bugs that were put in, and does not find any where there is none.
 *
 * Each test is one small scenario. A faulty one must fail within bound 2, the replay string must lead to the same
 * failure, and with fewer preemptions than the bug needs it must pass; a correct one must be explored to its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/base/lock.h"
#include "engine/shard/park.h"
#include "tests/explore/explore.h"
#include "tests/explore/plain.h"
#include "tests/explore/scenarios.h"
#include "tests/explore/seam.h"

static struct pw_explore_report
run_under(enum pw_explore_memory memory, const struct pw_explore_scenario *scenario, unsigned bound,
    const char *replay)
{
	struct pw_explore_options options = {
		.bound = bound, .replay = replay, .quiet = true, .memory = memory, .stale = 2
	};
	struct pw_explore_report report;
	assert_true(pw_explore_run(scenario, &options, &report));
	assert_false(report.stopped);
	return report;
}

static struct pw_explore_report
run(const struct pw_explore_scenario *scenario, unsigned bound, const char *replay)
{
	return run_under(PW_MEMORY_SC, scenario, bound, replay);
}

/* Fails with `bound` preemptions and a message that contains `message`, not with fewer; and replays. */
static void
assert_found(const struct pw_explore_scenario *scenario, unsigned bound, const char *message)
{
	struct pw_explore_report found = run(scenario, 2, NULL);
	assert_true(found.failed);
	assert_int_equal(found.bound, bound);
	assert_non_null(strstr(found.message, message));
	struct pw_explore_report again = run(scenario, 0, found.replay);
	assert_true(again.failed);
	assert_string_equal(again.message, found.message);
	assert_string_equal(again.replay, found.replay);
	if (bound > 0) {
		assert_false(run(scenario, bound - 1, NULL).failed);
	}
}

static void
assert_clean(const struct pw_explore_scenario *scenario, unsigned bound)
{
	struct pw_explore_report report = run(scenario, bound, NULL);
	assert_false(report.failed);
	assert_true(report.schedules > 1);
}

/* ---- a counter */

static pw_a64 counter;
static uint64_t seen_mask;

static void
counter_setup(void)
{
	pw_store_relaxed_64(&counter, 0);
}

static void
increment_torn(void)
{
	pw_store_relaxed_64(&counter, pw_load_relaxed_64(&counter) + 1);
}

static void
increment_whole(void)
{
	(void) pw_fetch_add_relaxed_64(&counter, 1);
}

static void
counter_check(void)
{
	uint64_t value = pw_load_relaxed_64(&counter);
	PW_EXPLORE_ASSERT(value == 2, "two increments made %lu", (unsigned long) value);
}

static void
explorer_finds_a_torn_increment(void **state)
{
	/* Law: an increment that is a load and a store loses one. Method: one preemption between the two. */
	static const struct pw_explore_scenario scenario = { .name = "torn",
		.setup = counter_setup,
		.check = counter_check,
		.fiber = { { "a", increment_torn, 0 }, { "b", increment_torn, 0 } } };
	(void) state;
	assert_found(&scenario, 1, "two increments made 1");
}

static void
explorer_passes_a_whole_increment(void **state)
{
	/* Law: what is correct is explored to its end, with every bound, without a failure. */
	static const struct pw_explore_scenario scenario = { .name = "whole",
		.setup = counter_setup,
		.check = counter_check,
		.fiber = { { "a", increment_whole, 0 }, { "b", increment_whole, 0 } } };
	(void) state;
	for (unsigned bound = 0; bound <= PW_EXPLORE_BOUND_MAX; bound++) {
		assert_clean(&scenario, bound);
	}
	assert_clean(&scenario, PW_EXPLORE_BOUND_NONE);
}

static void
store_twice(void)
{
	pw_store_release_64(&counter, 1);
	pw_store_release_64(&counter, 2);
}

static void
load_twice(void)
{
	uint64_t first = pw_load_acquire_64(&counter);
	uint64_t second = pw_load_acquire_64(&counter);
	PW_EXPLORE_ASSERT(first != 0 || second != 1, "saw the first store, and not before it");
}

static void
explorer_counts_preemptions(void **state)
{
	/* Law: what needs two preemptions is found with two and not with one. Method: one fiber must stop between its
	 * loads, the other between its stores. */
	static const struct pw_explore_scenario scenario = { .name = "between",
		.setup = counter_setup,
		.fiber = { { "reader", load_twice, 0 }, { "writer", store_twice, 0 } } };
	(void) state;
	assert_found(&scenario, 2, "saw the first store");
}

/* ---- Dekker's store buffering: what sequential consistency allows, all of it, and nothing else */

static pw_a64 flag[2];
static uint64_t other_seen[2];

static void
flags_setup(void)
{
	for (int i = 0; i < 2; i++) {
		pw_store_relaxed_64(&flag[i], 0);
		other_seen[i] = 2;
	}
}

static void
raise_flag(void)
{
	unsigned self = pw_explore_self();
	pw_store_relaxed_64(&flag[self], 1);
	pw_explore_set(&other_seen[self], pw_load_relaxed_64(&flag[1 - self]));
}

static void
flags_check(void)
{
	seen_mask |= UINT64_C(1) << (other_seen[0] * 2 + other_seen[1]);
}

static void
explorer_sees_every_outcome_of_two_flags(void **state)
{
	/* Law: of (0,0) (0,1) (1,0) (1,1) sequential consistency allows all but the first. Method: collect them. */
	static const struct pw_explore_scenario scenario = { .name = "flags",
		.setup = flags_setup,
		.check = flags_check,
		.fiber = { { "a", raise_flag, 0 }, { "b", raise_flag, 0 } } };
	(void) state;
	seen_mask = 0;
	assert_clean(&scenario, 1);
	assert_int_equal(seen_mask, 1u << 1 | 1u << 2 | 1u << 3);
	seen_mask = 0;
	assert_clean(&scenario, PW_EXPLORE_BOUND_NONE);
	assert_int_equal(seen_mask, 1u << 1 | 1u << 2 | 1u << 3);
}

/* ---- litmus tests: what each memory model allows, all of it, and nothing else */

#define SB_FORBIDDEN UINT64_C(1) /* both read 0 */

static uint64_t
outcomes_under(enum pw_explore_memory memory, const struct pw_explore_scenario *scenario)
{
	seen_mask = 0;
	struct pw_explore_report report = run_under(memory, scenario, PW_EXPLORE_BOUND_NONE, NULL);
	assert_false(report.failed);
	return seen_mask;
}

static void
raise_flag_fenced(void)
{
	unsigned self = pw_explore_self();
	pw_store_relaxed_64(&flag[self], 1);
	pw_fence_seq_cst();
	pw_explore_set(&other_seen[self], pw_load_relaxed_64(&flag[1 - self]));
}

static void
raise_flag_by_rmw(void)
{
	unsigned self = pw_explore_self();
	(void) pw_exchange_acq_rel_64(&flag[self], 1);
	pw_explore_set(&other_seen[self], pw_load_acquire_64(&flag[1 - self]));
}

static void
memory_knows_store_buffering(void **state)
{
	/* Law: two fibers that each store and then load the other's word may both read 0 under tso and c11, and not when
	 * each has a fence in between; an RMW instead of the store is a fence for tso and none for c11. */
	static const struct pw_explore_scenario bare = { .name = "sb",
		.setup = flags_setup,
		.check = flags_check,
		.fiber = { { "a", raise_flag, 0 }, { "b", raise_flag, 0 } } };
	static const struct pw_explore_scenario fenced = { .name = "sb_fenced",
		.setup = flags_setup,
		.check = flags_check,
		.fiber = { { "a", raise_flag_fenced, 0 }, { "b", raise_flag_fenced, 0 } } };
	static const struct pw_explore_scenario rmw = { .name = "sb_rmw",
		.setup = flags_setup,
		.check = flags_check,
		.fiber = { { "a", raise_flag_by_rmw, 0 }, { "b", raise_flag_by_rmw, 0 } } };
	(void) state;
	assert_int_equal(outcomes_under(PW_MEMORY_SC, &bare), 0xe);
	assert_int_equal(outcomes_under(PW_MEMORY_TSO, &bare), 0xf);
	assert_int_equal(outcomes_under(PW_MEMORY_C11, &bare), 0xf);
	assert_int_equal(outcomes_under(PW_MEMORY_TSO, &fenced), 0xe);
	assert_int_equal(outcomes_under(PW_MEMORY_C11, &fenced), 0xe);
	assert_int_equal(outcomes_under(PW_MEMORY_TSO, &rmw), 0xe);
	assert_int_equal(outcomes_under(PW_MEMORY_C11, &rmw), 0xf);
}

/* Message passing: two words are written in order, and read in the other order. */
static void
pass_release(void)
{
	pw_store_relaxed_64(&flag[0], 1);
	pw_store_release_64(&flag[1], 1);
}

static void
pass_relaxed(void)
{
	pw_store_relaxed_64(&flag[0], 1);
	pw_store_relaxed_64(&flag[1], 1);
}

static void
pass_fenced(void)
{
	pw_store_relaxed_64(&flag[0], 1);
	pw_fence_seq_cst();
	pw_store_relaxed_64(&flag[1], 1);
}

static void
see(uint64_t later, uint64_t earlier)
{
	pw_explore_set(&other_seen[0], later);
	pw_explore_set(&other_seen[1], earlier);
}

static void
receive_acquire(void)
{
	uint64_t later = pw_load_acquire_64(&flag[1]);
	see(later, pw_load_relaxed_64(&flag[0]));
}

static void
receive_relaxed(void)
{
	uint64_t later = pw_load_relaxed_64(&flag[1]);
	see(later, pw_load_relaxed_64(&flag[0]));
}

static void
receive_fenced(void)
{
	uint64_t later = pw_load_relaxed_64(&flag[1]);
	pw_fence_seq_cst();
	see(later, pw_load_relaxed_64(&flag[0]));
}

static void
memory_knows_message_passing(void **state)
{
	/* Law: who has read the later store by acquire, from a release, reads the earlier one; with relaxed on either side
	 * only tso says so; fences on both sides do what release and acquire do. Outcome bit 2: later without earlier. */
	static void (*const sender[])(void) = { pass_release, pass_relaxed, pass_fenced };
	static void (*const receiver[])(void) = { receive_acquire, receive_relaxed, receive_fenced };
	static const bool passes[3][3] = { { true, false, true }, { false, false, false }, { true, false, true } };
	(void) state;
	for (unsigned s = 0; s < 3; s++) {
		for (unsigned r = 0; r < 3; r++) {
			const struct pw_explore_scenario scenario = { .name = "mp",
				.setup = flags_setup,
				.check = flags_check,
				.fiber = { { "sender", sender[s], 0 }, { "receiver", receiver[r], 0 } } };
			assert_int_equal(outcomes_under(PW_MEMORY_SC, &scenario), 0xb);
			assert_int_equal(outcomes_under(PW_MEMORY_TSO, &scenario), 0xb);
			assert_int_equal(outcomes_under(PW_MEMORY_C11, &scenario), passes[s][r] ? 0xb : 0xf);
		}
	}
}

static void
pass_on_by_rmw(void)
{
	(void) pw_fetch_add_relaxed_64(&flag[1], 1);
}

static void
receive_second(void)
{
	uint64_t later = pw_load_acquire_64(&flag[1]);
	see(later == 2, pw_load_relaxed_64(&flag[0]));
}

static void
memory_knows_release_sequences(void **state)
{
	/* Law: a relaxed RMW of another fiber on top of a release store hands on what the store released; a plain store of
	 * that fiber does not. */
	static const struct pw_explore_scenario by_rmw = { .name = "sequence",
		.setup = flags_setup,
		.check = flags_check,
		.fiber = { { "sender", pass_release, 0 },
		    { "between", pass_on_by_rmw, 0 },
		    { "receiver", receive_second, 0 } } };
	(void) state;
	assert_int_equal(outcomes_under(PW_MEMORY_C11, &by_rmw) & 1u << 2, 0);
}

static void
write_twice(void)
{
	pw_store_relaxed_64(&flag[0], 1);
	pw_store_relaxed_64(&flag[0], 2);
}

static void
read_twice(void)
{
	uint64_t first = pw_load_relaxed_64(&flag[0]);
	uint64_t second = pw_load_relaxed_64(&flag[0]);
	PW_EXPLORE_ASSERT(first <= second, "a load went back behind the one before it");
	seen_mask |= UINT64_C(1) << (first * 3 + second);
}

static void
memory_is_coherent(void **state)
{
	/* Law: loads of one word by one fiber never go back, however old what they read. Method: all pairs that may be
	 * seen of 0, 1, 2, and no others. */
	static const struct pw_explore_scenario scenario = { .name = "coherence",
		.setup = flags_setup,
		.fiber = { { "writer", write_twice, 0 }, { "reader", read_twice, 0 } } };
	(void) state;
	for (unsigned memory = PW_MEMORY_SC; memory <= PW_MEMORY_C11; memory++) {
		assert_int_equal(outcomes_under(memory, &scenario),
		    1u << 0 | 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8);
	}
}

static void
write_crosswise(void)
{
	unsigned self = pw_explore_self();
	pw_store_relaxed_64(&flag[self], 1);
	pw_store_relaxed_64(&flag[1 - self], 2);
}

static void
crosswise_check(void)
{
	seen_mask |= UINT64_C(1) << (pw_load_relaxed_64(&flag[0]) * 3 + pw_load_relaxed_64(&flag[1]));
}

static void
memory_knows_stores_crosswise(void **state)
{
	/* Law: of two fibers that store to two words in opposite order, both first stores may come last under c11, with
	 * relaxed stores; never under tso. Outcome 1, 1. */
	static const struct pw_explore_scenario scenario = { .name = "2+2w",
		.setup = flags_setup,
		.check = crosswise_check,
		.fiber = { { "a", write_crosswise, 0 }, { "b", write_crosswise, 0 } } };
	(void) state;
	assert_int_equal(outcomes_under(PW_MEMORY_SC, &scenario), 1u << 5 | 1u << 7 | 1u << 8);
	assert_int_equal(outcomes_under(PW_MEMORY_TSO, &scenario), 1u << 5 | 1u << 7 | 1u << 8);
	assert_int_equal(outcomes_under(PW_MEMORY_C11, &scenario), 1u << 4 | 1u << 5 | 1u << 7 | 1u << 8);
}

static pw_a64 seen_first[2];

static void
write_own(void)
{
	pw_store_release_64(&flag[pw_explore_self()], 1);
}

static void
read_both(void)
{
	unsigned first = pw_explore_self() - 2;
	uint64_t one = pw_load_acquire_64(&flag[first]);
	uint64_t other = pw_load_acquire_64(&flag[1 - first]);
	pw_explore_set(&seen_first[first].v, one != 0 && other == 0);
}

static void
both_check(void)
{
	seen_mask |= UINT64_C(1) << (seen_first[0].v * 2 + seen_first[1].v);
}

static void
memory_knows_independent_reads(void **state)
{
	/* Law: two readers may disagree on the order of two independent stores under c11, although they acquire; never
	 * under tso. */
	static const struct pw_explore_scenario scenario = { .name = "iriw",
		.setup = flags_setup,
		.check = both_check,
		.fiber = { { "writer 0", write_own, 0 },
		    { "writer 1", write_own, 0 },
		    { "reader 0", read_both, 0 },
		    { "reader 1", read_both, 0 } } };
	(void) state;
	assert_int_equal(outcomes_under(PW_MEMORY_SC, &scenario) & 8, 0);
	assert_int_equal(outcomes_under(PW_MEMORY_TSO, &scenario) & 8, 0);
	assert_int_equal(outcomes_under(PW_MEMORY_C11, &scenario) & 8, 8);
}

static void
memory_needs_the_fences_of_the_sleep_pair(void **state)
{
	/* Law: the fences of the sleep pair (P10) are needed: without them the owner sleeps beside a mail that no wake
	 * follows, on x86 too; with them never. Method: the engine's own inbox, with fences that do nothing. */
	struct pw_explore_report report;
	(void) state;
	for (unsigned memory = PW_MEMORY_SC; memory <= PW_MEMORY_C11; memory++) {
		struct pw_explore_options options = { .bound = 1, .stale = 1, .memory = memory, .quiet = true };
		assert_true(pw_explore_run(&pw_scenario_inbox_sleep_pair, &options, &report));
		assert_false(report.failed);
		options.no_fences = true;
		assert_true(pw_explore_run(&pw_scenario_inbox_sleep_pair, &options, &report));
		assert_int_equal(report.failed, memory != PW_MEMORY_SC);
	}
}

/* ---- plain memory */

static struct pw_lock lock[2];
static struct pw_plain planted;

static void
planted_setup(void)
{
	memset(&planted, 0, sizeof(planted));
	memset(lock, 0, sizeof(lock));
	flags_setup();
}

static void
write_plain(void)
{
	pw_plain_write(&planted, 1);
}

static void
read_plain(void)
{
	(void) pw_plain_read(&planted);
}

static void
write_left(void)
{
	pw_plain_write_left(&planted);
}

static void
write_right(void)
{
	pw_plain_write_right(&planted);
}

static void
write_and_release(void)
{
	pw_plain_write(&planted, 1);
	pw_store_release_64(&flag[0], 1);
}

static void
write_and_tell(void)
{
	pw_plain_write(&planted, 1);
	pw_store_relaxed_64(&flag[0], 1);
}

static void
acquire_and_read(void)
{
	if (pw_load_acquire_64(&flag[0]) != 0) {
		(void) pw_plain_read(&planted);
	}
}

static void
look_and_read(void)
{
	if (pw_load_relaxed_64(&flag[0]) != 0) {
		(void) pw_plain_read(&planted);
	}
}

static void
write_locked(void)
{
	pw_lock_acquire(&lock[0]);
	pw_plain_write(&planted, pw_plain_read(&planted) + 1);
	pw_lock_release(&lock[0]);
}

static void
join_and_read(void)
{
	(void) pw_explore_join(0);
	(void) pw_plain_read(&planted);
}

static void
explorer_finds_races_of_plain_accesses(void **state)
{
	/* Law: two plain accesses of one place, one of them a store, that nothing orders are a race, also where each runs
	 * long after the other; release and acquire, a lock and a join order them, a relaxed store or load does not; two
	 * bytes are two places. */
	static const struct {
		void (*run[2])(void);
		bool races;
	} pair[] = {
		{ { write_plain, write_plain }, true },
		{ { write_plain, read_plain }, true },
		{ { read_plain, write_plain }, true },
		{ { read_plain, read_plain }, false },
		{ { write_left, write_right }, false },
		{ { write_left, write_left }, true },
		{ { write_and_release, acquire_and_read }, false },
		{ { write_and_tell, acquire_and_read }, true },
		{ { write_and_release, look_and_read }, true },
		{ { write_locked, write_locked }, false },
		{ { write_plain, join_and_read }, false },
	};
	(void) state;
	for (unsigned i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		const struct pw_explore_scenario scenario = { .name = "race",
			.setup = planted_setup,
			.fiber = { { "a", pair[i].run[0], 0 }, { "b", pair[i].run[1], 0 } } };
		for (unsigned memory = PW_MEMORY_SC; memory <= PW_MEMORY_C11; memory++) {
			struct pw_explore_report report = run_under(memory, &scenario, 2, NULL);
			assert_int_equal(report.failed, pair[i].races);
			assert_true(!report.failed || strstr(report.message, "race: ") != NULL);
			assert_true(!report.failed || run_under(memory, &scenario, 0, report.replay).failed);
		}
	}
}

static void
release_memory(void)
{
	pw_explore_poison(&planted, sizeof(planted), true);
	(void) pw_exchange_acq_rel_64(&flag[0], 1);
}

static void
reuse_memory(void)
{
	release_memory();
	pw_explore_poison(&planted, sizeof(planted), false);
	read_plain();
}

static void
explorer_finds_a_touch_of_freed_memory(void **state)
{
	/* Law: who touches memory after its release is found, however well ordered; once it is in use again nobody is. */
	static const struct pw_explore_scenario freed = { .name = "freed",
		.setup = planted_setup,
		.fiber = { { "owner", release_memory, 0 }, { "reader", acquire_and_read, 0 } } };
	static const struct pw_explore_scenario reused = { .name = "reused",
		.setup = planted_setup,
		.fiber = { { "owner", reuse_memory, 0 } } };
	(void) state;
	assert_found(&freed, 0, "C6: reader reads");
	assert_false(run(&reused, 2, NULL).failed);
}

/* ---- random programs: what is reduced against what is not */

#define WORDS 3u
#define OPERATIONS 3u
#define OUTCOMES_MAX 4096u

static pw_a64 word[WORDS];
static uint64_t program[3][OPERATIONS]; /* random bits: what to do, and to which word */
static uint64_t observed[3];
static uint64_t outcome[2][OUTCOMES_MAX]; /* sorted sets */
static unsigned outcomes[2];
static unsigned collecting;

static uint64_t
hash(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 29;
}

static void
program_setup(void)
{
	for (unsigned i = 0; i < 3; i++) {
		pw_store_relaxed_64(&word[i], 0);
		observed[i] = 0;
	}
}

static void
run_program(void)
{
	unsigned self = pw_explore_self();
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t bits = program[self][i];
		pw_a64 *at = &word[bits / 8 % WORDS];
		uint64_t expected = bits / 64 % 3;
		uint64_t seen = 0;
		switch (bits % 8) {
		case 0:
		case 1:
		case 2:
			seen = pw_load_acquire_64(at);
			break;
		case 3:
		case 4:
			pw_store_release_64(at, bits / 64 % 3);
			break;
		case 5:
			seen = pw_fetch_add_relaxed_64(at, 1);
			break;
		case 6:
			(void) pw_cas_acq_rel_64(at, &expected, 2);
			seen = expected;
			break;
		default:
			seen = pw_explore_choose(2);
			break;
		}
		observed[self] = hash(observed[self], seen + 1);
	}
}

static void
program_check(void)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < 3; i++) {
		all = hash(hash(all, observed[i]), pw_load_relaxed_64(&word[i]) + 1);
	}
	uint64_t *set = outcome[collecting];
	for (unsigned i = 0; i < outcomes[collecting]; i++) {
		if (set[i] == all) {
			return;
		}
	}
	PW_EXPLORE_ASSERT(outcomes[collecting] < OUTCOMES_MAX, "more outcomes than the test has room for");
	set[outcomes[collecting]++] = all;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static void
explorer_loses_no_outcome(void **state)
{
	/* Law: what the explorer leaves out (private words, known states) loses no outcome, with any bound. Method:
	 * random programs for three fibers; the set of all that they can observe, with and without the reduction. */
	static const struct pw_explore_scenario scenario = { .name = "random",
		.setup = program_setup,
		.check = program_check,
		.fiber = { { "a", run_program, 0 }, { "b", run_program, 0 }, { "c", run_program, 0 } } };
	static const unsigned bounds[] = { 0, 1, 2, 3, PW_EXPLORE_BOUND_NONE };
	const char *seed_text = getenv("PW_TEST_SEED");
	uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : 20;
	struct pw_explore_report report;
	uint64_t saved = 0;

	(void) state;
	print_message("seed %lu\n", (unsigned long) seed);
	for (unsigned n = 0; n < 40; n++) {
		for (unsigned i = 0; i < 3 * OPERATIONS; i++) {
			program[i / OPERATIONS][i % OPERATIONS] = hash(hash(seed, n), i) >> 20;
		}
		for (unsigned b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++) {
			for (collecting = 0; collecting < 2; collecting++) {
				struct pw_explore_options options = { .bound = bounds[b],
					.memory = n % 3,
					.stale = n % 3 != PW_MEMORY_SC && bounds[b] < 3,
					.plain = collecting == 1,
					.quiet = true };
				outcomes[collecting] = 0;
				assert_true(pw_explore_run(&scenario, &options, &report));
				assert_false(report.failed);
				saved += collecting == 1 ? report.schedules : 0;
				saved -= collecting == 0 ? report.schedules : 0;
				qsort(outcome[collecting], outcomes[collecting], sizeof(uint64_t), compare);
			}
			assert_int_equal(outcomes[0], outcomes[1]);
			assert_memory_equal(outcome[0], outcome[1], outcomes[0] * sizeof(uint64_t));
		}
	}
	assert_true((int64_t) saved > 0);
}

/* ---- every order of three fibers: none may be lost to what prunes the search */

static pw_a64 digits;
static uint64_t orders_seen[8];

static void
digits_setup(void)
{
	pw_store_relaxed_64(&digits, 0);
}

static void
append_digit(void)
{
	uint64_t old = pw_load_relaxed_64(&digits);
	while (!pw_cas_acq_rel_64(&digits, &old, old * 4 + pw_explore_self() + 1)) {
	}
}

static void
digits_check(void)
{
	uint64_t value = pw_load_relaxed_64(&digits);
	orders_seen[value / 64 % 8] |= UINT64_C(1) << (value % 64);
}

static void
explorer_sees_every_order_of_three(void **state)
{
	/* Law: three fibers that each append their digit can do so in six orders. Method: collect the numbers. */
	static const struct pw_explore_scenario scenario = { .name = "digits",
		.setup = digits_setup,
		.check = digits_check,
		.fiber = { { "a", append_digit, 0 }, { "b", append_digit, 0 }, { "c", append_digit, 0 } } };
	(void) state;
	for (unsigned bound = 0; bound <= 2; bound++) {
		int orders = 0;
		memset(orders_seen, 0, sizeof(orders_seen));
		assert_clean(&scenario, bound);
		for (int i = 0; i < 8; i++) {
			orders += __builtin_popcountll(orders_seen[i]);
		}
		assert_int_equal(orders, 6);
	}
}

static void
explorer_draws_schedules(void **state)
{
	/* Law: random and pct search find a bug, from every seed, with a replay string that leads there; and they run as
	 * many schedules as they were asked for where there is none. */
	static const struct pw_explore_scenario torn = { .name = "torn",
		.setup = counter_setup,
		.check = counter_check,
		.fiber = { { "a", increment_torn, 0 }, { "b", increment_torn, 0 }, { "c", increment_torn, 0 } } };
	static const struct pw_explore_scenario whole = { .name = "whole",
		.setup = counter_setup,
		.check = counter_check,
		.fiber = { { "a", increment_whole, 0 }, { "b", increment_whole, 0 } } };
	struct pw_explore_report report;
	(void) state;
	for (unsigned search = PW_SEARCH_RANDOM; search <= PW_SEARCH_PCT; search++) {
		for (uint64_t seed = 1; seed <= 5; seed++) {
			struct pw_explore_options options = {
				.search = search, .seed = seed, .depth = 3, .schedules_max = 1000, .quiet = true
			};
			assert_true(pw_explore_run(&whole, &options, &report));
			assert_false(report.failed || report.stopped);
			assert_int_equal(report.schedules, 1000);
			options.search = search;
			assert_true(pw_explore_run(&torn, &options, &report));
			assert_true(report.failed);
			assert_true(run(&torn, 0, report.replay).failed);
		}
	}
}

/* ---- sleeping */

static pw_a64 door;

static void
door_setup(void)
{
	pw_store_relaxed_64(&door, 0);
}

/* Looks, and then sleeps whatever has happened since. */
static void
wait_careless(void)
{
	uint64_t value = pw_load_acquire_64(&door);
	if (value == 0) {
		(void) pw_futex_wait(&door, (uint32_t) pw_load_acquire_64(&door), PW_NEVER_NS);
	}
}

static void
wait_careful(void)
{
	while (pw_load_acquire_64(&door) == 0) {
		(void) pw_futex_wait(&door, 0, PW_NEVER_NS);
	}
}

/* Takes one return of the futex for the truth. */
static void
wait_trusting(void)
{
	if (pw_load_acquire_64(&door) == 0) {
		(void) pw_futex_wait(&door, 0, PW_NEVER_NS);
		PW_EXPLORE_ASSERT(pw_load_acquire_64(&door) == 1, "woken for no reason");
	}
}

static void
open_door(void)
{
	pw_store_release_64(&door, 1);
	pw_futex_wake_all(&door);
}

static void
explorer_finds_a_lost_wake(void **state)
{
	/* Law: who looks at the word again after deciding to sleep on it, sleeps on the wrong value. Method: the wake
	 * comes between the two looks. */
	static const struct pw_explore_scenario scenario = { .name = "lost_wake",
		.setup = door_setup,
		.fiber = { { "waiter", wait_careless, 0 }, { "opener", open_door, 0 } } };
	(void) state;
	assert_found(&scenario, 1, "deadlock: waiter");
}

static void
explorer_passes_a_careful_wait(void **state)
{
	/* Law: a loop around the futex loses no wake and stands a return for no reason. */
	static const struct pw_explore_scenario scenario = { .name = "careful",
		.setup = door_setup,
		.spurious = 2,
		.fiber = { { "waiter", wait_careful, 0 }, { "opener", open_door, 0 } } };
	(void) state;
	assert_clean(&scenario, PW_EXPLORE_BOUND_NONE);
}

static void
explorer_wakes_for_no_reason(void **state)
{
	/* Law: a futex wait may return for no reason, and who relies on the contrary is found. */
	static const struct pw_explore_scenario scenario = { .name = "trusting",
		.setup = door_setup,
		.spurious = 1,
		.fiber = { { "waiter", wait_trusting, 0 }, { "opener", open_door, 0 } } };
	(void) state;
	assert_found(&scenario, 0, "woken for no reason");
}

/* ---- locks */

static void
locks_setup(void)
{
	memset(lock, 0, sizeof(lock));
}

static void
lock_both(unsigned first)
{
	pw_lock_acquire(&lock[first]);
	pw_lock_acquire(&lock[1 - first]);
	pw_lock_release(&lock[1 - first]);
	pw_lock_release(&lock[first]);
}

static void
lock_0_1(void)
{
	lock_both(0);
}

static void
lock_1_0(void)
{
	lock_both(1);
}

static void
explorer_finds_a_deadlock(void **state)
{
	/* Law: two locks taken in two orders can end in a deadlock. Method: one preemption between the first two. */
	static const struct pw_explore_scenario scenario = { .name = "locks",
		.setup = locks_setup,
		.fiber = { { "a", lock_0_1, 0 }, { "b", lock_1_0, 0 } } };
	(void) state;
	assert_found(&scenario, 1, "deadlock");
}

static void
explorer_passes_ordered_locks(void **state)
{
	/* Law: taken in one order they cannot. */
	static const struct pw_explore_scenario scenario = { .name = "ordered",
		.setup = locks_setup,
		.fiber = { { "a", lock_0_1, 0 }, { "b", lock_0_1, 0 }, { "c", lock_0_1, 0 } } };
	(void) state;
	assert_clean(&scenario, 3);
}

/* ---- a fiber that stops for ever, time, and no end */

static void
increment_locked(void)
{
	pw_lock_acquire(&lock[0]);
	increment_torn();
	pw_lock_release(&lock[0]);
}

static void
frozen_setup(void)
{
	locks_setup();
	counter_setup();
}

static void
explorer_finds_who_waits_for_a_frozen_fiber(void **state)
{
	/* Law: a fiber that stops while it holds a lock stops who waits for the lock. */
	static const struct pw_explore_scenario scenario = { .name = "frozen",
		.setup = frozen_setup,
		.fiber = { { "a", increment_locked, PW_EXPLORE_FREEZES }, { "b", increment_locked, 0 } } };
	(void) state;
	assert_found(&scenario, 0, "deadlock: b");
}

static void
explorer_excuses_who_may_wait_for_a_frozen_fiber(void **state)
{
	/* Law: a fiber that may wait for a frozen one does not fail the scenario; with nobody frozen it has to end. */
	static const struct pw_explore_scenario scenario = { .name = "excused",
		.setup = frozen_setup,
		.fiber = { { "a", increment_locked, PW_EXPLORE_FREEZES },
		    { "b", increment_locked, PW_EXPLORE_EXCUSED } } };
	(void) state;
	assert_clean(&scenario, 2);
}

static void
wait_until_late(void)
{
	uint64_t deadline_ns = pw_clock_now_ns() + 5;
	while (pw_futex_wait(&door, 0, deadline_ns)) {
	}
	PW_EXPLORE_ASSERT(pw_clock_now_ns() >= deadline_ns, "the wait ended before its deadline");
	pw_clock_sleep_ns(7);
	PW_EXPLORE_ASSERT(pw_clock_now_ns() >= deadline_ns + 7, "the sleep ended early");
}

static void
let_time_pass(void)
{
	pw_explore_advance_ns(3);
	pw_explore_advance_ns(3);
}

static void
explorer_lets_time_pass(void **state)
{
	/* Law: a wait with a deadline ends, when a fiber moves the clock there or when all sleep; never before. */
	static const struct pw_explore_scenario scenario = { .name = "time",
		.setup = door_setup,
		.fiber = { { "waiter", wait_until_late, 0 }, { "time", let_time_pass, 0 } } };
	(void) state;
	assert_clean(&scenario, PW_EXPLORE_BOUND_NONE);
}

static void
sleep_alone(void)
{
	uint64_t before_ns = pw_clock_now_ns();
	pw_clock_sleep_ns(7);
	PW_EXPLORE_ASSERT(pw_clock_now_ns() == before_ns + 7, "the clock did not jump to the deadline");
}

static void
explorer_lets_time_jump(void **state)
{
	/* Law: when every fiber sleeps the clock jumps to the earliest deadline, also for the one who fell asleep last. */
	static const struct pw_explore_scenario scenario = { .name = "jump",
		.setup = door_setup,
		.fiber = { { "sleeper", sleep_alone, 0 } } };
	(void) state;
	struct pw_explore_report report = run(&scenario, 0, NULL);
	assert_false(report.failed);
	assert_int_equal(report.schedules, 1);
}

static void
spin_on_door(void)
{
	while (pw_load_acquire_64(&door) == 0) {
		pw_cpu_relax();
	}
}

static void
explorer_finds_a_livelock(void **state)
{
	/* Law: an execution that does not end is reported. Method: nobody opens the door. */
	static const struct pw_explore_scenario scenario = { .name = "livelock",
		.setup = door_setup,
		.steps_max = 500,
		.fiber = { { "spinner", spin_on_door, 0 }, { "other", increment_whole, 0 } } };
	(void) state;
	assert_found(&scenario, 0, "livelock");
}

static void
explorer_lets_spinners_wait(void **state)
{
	/* Law: a spinner gives way until somebody has written, so spinning ends where its wish is fulfilled. */
	static const struct pw_explore_scenario scenario = { .name = "spinner",
		.setup = door_setup,
		.steps_max = 500,
		.fiber = { { "spinner", spin_on_door, 0 }, { "opener", open_door, 0 } } };
	(void) state;
	assert_clean(&scenario, 3);
}

/* ---- data */

static uint64_t chosen_mask;

static void
choose_twice(void)
{
	unsigned first = pw_explore_choose(3);
	unsigned second = pw_explore_choose(2);
	chosen_mask |= UINT64_C(1) << (first * 2 + second);
}

static void
explorer_tries_every_choice(void **state)
{
	/* Law: choices among 3 and 2 make 6 executions, all different. */
	static const struct pw_explore_scenario scenario = { .name = "choices",
		.setup = door_setup,
		.fiber = { { "chooser", choose_twice, 0 } } };
	(void) state;
	chosen_mask = 0;
	struct pw_explore_report report = run(&scenario, 0, NULL);
	assert_false(report.failed);
	assert_int_equal(report.schedules, 6);
	assert_int_equal(chosen_mask, 63);
}

static void
explorer_says_where_it_stopped(void **state)
{
	/* Law: a search that hit a limit is not complete, and says so. */
	static const struct pw_explore_scenario scenario = { .name = "stopped",
		.setup = locks_setup,
		.fiber = { { "a", lock_0_1, 0 }, { "b", lock_0_1, 0 }, { "c", lock_0_1, 0 } } };
	struct pw_explore_options options = { .bound = 2, .schedules_max = 2, .quiet = true };
	struct pw_explore_report report;
	(void) state;
	assert_true(pw_explore_run(&scenario, &options, &report));
	assert_true(report.stopped);
	assert_false(report.failed);
}

static unsigned executions;

static void
choose_otherwise_each_time(void)
{
	(void) pw_explore_choose(2 + executions++ % 2);
	(void) pw_explore_choose(2);
}

static void
explorer_refuses_what_is_not_deterministic(void **state)
{
	/* Law: a scenario that does something else each time is refused, not explored. Method: a fiber whose choices
	 * depend on how often it has run. */
	static const struct pw_explore_scenario scenario = { .name = "random",
		.setup = door_setup,
		.fiber = { { "chooser", choose_otherwise_each_time, 0 } } };
	struct pw_explore_options options = { .quiet = true };
	struct pw_explore_report report;
	(void) state;
	executions = 0;
	assert_false(pw_explore_run(&scenario, &options, &report));
	assert_non_null(strstr(report.message, "not deterministic"));
}

static void
explorer_refuses_a_wrong_replay_string(void **state)
{
	/* Law: a replay string that is malformed, or names a choice that is not there, is refused. */
	static const struct pw_explore_scenario scenario = { .name = "choices",
		.setup = door_setup,
		.fiber = { { "chooser", choose_twice, 0 } } };
	static const char *const wrong[] = { "", "1c", "c1", "1q1", "0c9", "0c1." };
	struct pw_explore_report report;
	(void) state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct pw_explore_options options = { .replay = wrong[i], .quiet = true };
		assert_false(pw_explore_run(&scenario, &options, &report));
		assert_non_null(strstr(report.message, "replay string"));
	}
}

int
main(void)
{
	pw_seam_install();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explorer_finds_a_torn_increment),
		cmocka_unit_test(explorer_passes_a_whole_increment),
		cmocka_unit_test(explorer_counts_preemptions),
		cmocka_unit_test(explorer_sees_every_outcome_of_two_flags),
		cmocka_unit_test(memory_knows_store_buffering),
		cmocka_unit_test(memory_knows_message_passing),
		cmocka_unit_test(memory_knows_release_sequences),
		cmocka_unit_test(memory_is_coherent),
		cmocka_unit_test(memory_knows_stores_crosswise),
		cmocka_unit_test(memory_knows_independent_reads),
		cmocka_unit_test(memory_needs_the_fences_of_the_sleep_pair),
		cmocka_unit_test(explorer_finds_races_of_plain_accesses),
		cmocka_unit_test(explorer_finds_a_touch_of_freed_memory),
		cmocka_unit_test(explorer_draws_schedules),
		cmocka_unit_test(explorer_sees_every_order_of_three),
		cmocka_unit_test(explorer_loses_no_outcome),
		cmocka_unit_test(explorer_finds_a_lost_wake),
		cmocka_unit_test(explorer_passes_a_careful_wait),
		cmocka_unit_test(explorer_wakes_for_no_reason),
		cmocka_unit_test(explorer_finds_a_deadlock),
		cmocka_unit_test(explorer_passes_ordered_locks),
		cmocka_unit_test(explorer_finds_who_waits_for_a_frozen_fiber),
		cmocka_unit_test(explorer_excuses_who_may_wait_for_a_frozen_fiber),
		cmocka_unit_test(explorer_lets_time_pass),
		cmocka_unit_test(explorer_lets_time_jump),
		cmocka_unit_test(explorer_finds_a_livelock),
		cmocka_unit_test(explorer_lets_spinners_wait),
		cmocka_unit_test(explorer_tries_every_choice),
		cmocka_unit_test(explorer_says_where_it_stopped),
		cmocka_unit_test(explorer_refuses_what_is_not_deterministic),
		cmocka_unit_test(explorer_refuses_a_wrong_replay_string),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

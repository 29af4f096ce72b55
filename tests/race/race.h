/* SPDX-License-Identifier: MIT
 *
 * race.h: what the programs of tests/race share: seed and scale, threads, a claim that decides which thread may
 * finish an operation, and a ledger that stands outside the handle.
 *
 * What it is not: an oracle of its own. Other threads and callbacks only write the ledger; the test's own thread
 * reads it and asserts. A completion that is lost shows as a test that does not end: ctest's time limit names it.
 *
 * The claim. nng_aio_finish names no operation, so a provider must know that the operation it finishes is the one
 * it means: a word with the operation's generation, which the submitter opens when start has accepted it, and which
 * the finisher or the cancel function takes by CAS. The cancel function may come before the submitter has opened
 * it, and takes it then too; a finisher does not.
 */
#ifndef PINWHEEL_TESTS_RACE_H
#define PINWHEEL_TESTS_RACE_H

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include "engine/aio/aio.h"
#include "engine/base/atomic.h"
#include "engine/base/clock.h"
#include "engine/shard/fleet.h"

/* ---- chance */

static inline uint64_t
race_seed(void)
{
	const char *text = getenv("PW_TEST_SEED");
	return text != NULL ? strtoull(text, NULL, 0) : UINT64_C(20250914);
}

/* Call once, at the start of main. */
static inline void
race_print_seed(void)
{
	printf("PW_TEST_SEED=%llu\n", (unsigned long long) race_seed());
	(void) fflush(stdout);
}

/* A generator for one thread; streams of different numbers differ. */
static inline uint64_t
race_stream(unsigned number)
{
	return (race_seed() + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
	    (uint64_t) (number + 1) * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline uint64_t
race_below(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

static inline unsigned
race_scaled(unsigned count, unsigned least)
{
	const char *percent = getenv("PW_TEST_SCALE");
	unsigned long share = percent != NULL ? strtoul(percent, NULL, 10) : 100;
	unsigned scaled = (unsigned) ((uint64_t) count * share / 100);
	return scaled < least ? least : scaled;
}

/* Shifts a thread against the others by nothing up to about a microsecond. */
static inline void
race_jitter(uint64_t *state)
{
	for (uint64_t spins = race_below(state, 64); spins > 0; spins--) {
		pw_cpu_relax();
	}
}

/* ---- shared figures */

/* Acquires and releases, as race_set and race_get do: who sees a figure sees what was written before it. */
static inline uint64_t
race_add(pw_a64 *figure, uint64_t n)
{
	uint64_t old = pw_load_relaxed_64(figure);
	while (!pw_cas_acq_rel_64(figure, &old, old + n)) {
	}
	return old;
}

static inline uint64_t
race_get(const pw_a64 *figure)
{
	return pw_load_acquire_64(figure);
}

static inline void
race_set(pw_a64 *figure, uint64_t value)
{
	pw_store_release_64(figure, value);
}

/* Until *figure is at least `value`. The processor is given away: there may be fewer than threads. */
static inline void
race_await(const pw_a64 *figure, uint64_t value)
{
	while (race_get(figure) < value) {
		(void) sched_yield();
	}
}

/* ---- threads */

static inline pthread_t
race_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
	return thread;
}

static inline void
race_join(pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static inline void
race_meet(pthread_barrier_t *barrier)
{
	(void) pthread_barrier_wait(barrier);
}

/* ---- the engine */

/* With `shards` threads; turn_budget 0: the default. */
static inline void
race_engine_with(int shards, int lent, unsigned turn_budget)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	config.shards = shards;
	config.lent_shards = lent;
	config.turn_budget = turn_budget;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
}

static inline void
race_engine(int shards)
{
	race_engine_with(shards, PINWHEEL_NONE, 0);
}

static inline struct pinwheel_shard_stats
race_stats(int shard)
{
	struct pinwheel_shard_stats stats = { .size = sizeof stats };
	assert_int_equal(pinwheel_stats(shard, &stats), NNG_OK);
	return stats;
}

/* Handles that are neither freed nor reaped to the end, over all records. */
static inline uint64_t
race_live_handles(void)
{
	uint64_t live = 0;
	for (unsigned i = 0; i < pw_load_acquire_32(&pw_fleet.records); i++) {
		struct pw_arena *arena = &pw_fleet_nth(i)->arena;
		uint64_t released = pw_load_relaxed_64(&arena->released);
		live += pw_load_relaxed_64(&arena->allocated) - released;
	}
	return live;
}

/* The end of the engine; every handle must have come back to its arena. */
static inline void
race_engine_end(void)
{
	nng_fini();
	assert_int_equal(race_live_handles(), 0);
	for (unsigned i = 0; i < pw_load_acquire_32(&pw_fleet.records); i++) {
		pw_arena_check(&pw_fleet_nth(i)->arena);
		pw_inbox_check(&pw_fleet_nth(i)->inbox);
	}
}

/* Keeps a shard's thread inside a callback until the word is 1. */
struct race_hold {
	pw_a64 held;
	pw_a64 let_go;
};

static inline void
race_hold_run(void *arg)
{
	struct race_hold *hold = arg;
	race_set(&hold->held, 1);
	race_await(&hold->let_go, 1);
	race_set(&hold->held, 2); /* the last touch */
}

static inline void
race_hold(struct race_hold *hold, int shard)
{
	race_set(&hold->held, 0);
	race_set(&hold->let_go, 0);
	assert_int_equal(pinwheel_run_on(shard, race_hold_run, hold), NNG_OK);
	race_await(&hold->held, 1);
}

static inline void
race_let_go(struct race_hold *hold)
{
	race_set(&hold->let_go, 1);
	race_await(&hold->held, 2);
}

static inline void
race_mark_run(void *arg)
{
	race_set(arg, 1);
}

/* Returns when the shard has worked off what was sent to it before, as long as its ring did not overflow. */
static inline void
race_flush(int shard)
{
	pw_a64 ran;
	race_set(&ran, 0);
	assert_int_equal(pinwheel_run_on(shard, race_mark_run, &ran), NNG_OK);
	race_await(&ran, 1);
}

/* ---- one handle, its provider and its ledger */

enum race_claim {
	RACE_NONE = 0,     /* no operation, or somebody has taken it */
	RACE_STARTING = 1, /* the submitter is inside start: the cancel function alone may take it */
	RACE_OPEN = 2,     /* any may take it */
};

struct race_op {
	nng_aio *aio;
	void (*then)(struct race_op *op); /* at the end of the callback, NULL: nothing */
	void *context;
	pw_a64 claim; /* generation << 2 | enum race_claim */
	/* what the callback must see: written by who starts (a refusal) and by who takes the claim, then handed
	 * over by start and finish */
	nng_err expected;
	size_t expected_count;
	/* the ledger */
	pw_a64 accepted;
	pw_a64 refused;
	pw_a64 finished; /* by somebody else than the cancel function */
	pw_a64 cancelled;
	pw_a64 cancel_calls;
	pw_a64 cancel_generation; /* of the last operation whose cancel function was called */
	pw_a64 callbacks;
	pw_a64 last_result;
	/* broken laws, to stay 0 */
	pw_a64 cancelled_twice;
	pw_a64 overlapping; /* two callbacks, or a callback beside its operation's cancel function */
	pw_a64 wrong_result;
	pw_a64 wrong_count;
	pw_a64 idle_in_callback;
	/* who is inside */
	pw_a64 in_callback;
	pw_a64 in_cancel;
};

static inline uint64_t
race_generation(const struct race_op *op)
{
	return race_get(&op->claim) >> 2;
}

static inline bool
race_take(struct race_op *op, bool also_starting)
{
	uint64_t claim = race_get(&op->claim);
	for (;;) {
		enum race_claim state = (enum race_claim)(claim & 3);
		if (state == RACE_NONE || (state == RACE_STARTING && !also_starting)) {
			return false;
		}
		if (pw_cas_acq_rel_64(&op->claim, &claim, claim & ~UINT64_C(3))) {
			return true;
		}
	}
}

/* Finishes the operation if it is to be had. */
static inline bool
race_finish(struct race_op *op, nng_err result, size_t count)
{
	if (!race_take(op, false)) {
		return false;
	}
	op->expected = result;
	op->expected_count = count;
	race_add(&op->finished, 1);
	pw_aio_finish(op->aio, result, count);
	return true;
}

static inline void
race_on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct race_op *op = arg;
	uint64_t generation = race_generation(op);
	race_set(&op->in_cancel, 1);
	race_add(&op->cancel_calls, 1);
	if (race_get(&op->cancel_generation) == generation) {
		race_add(&op->cancelled_twice, 1);
	}
	race_set(&op->cancel_generation, generation);
	if (race_take(op, true)) {
		op->expected = reason;
		op->expected_count = 0;
		race_add(&op->cancelled, 1);
		pw_aio_finish(aio, reason, 0);
	}
	race_set(&op->in_cancel, 0);
}

static inline void
race_on_done(void *arg)
{
	struct race_op *op = arg;
	if (race_add(&op->in_callback, 1) != 0 || race_get(&op->in_cancel) != 0) {
		race_add(&op->overlapping, 1);
	}
	nng_err result = nng_aio_result(op->aio);
	if (result != op->expected) {
		race_add(&op->wrong_result, 1);
	}
	if (nng_aio_count(op->aio) != op->expected_count) {
		race_add(&op->wrong_count, 1);
	}
	if (!nng_aio_busy(op->aio)) {
		race_add(&op->idle_in_callback, 1);
	}
	race_set(&op->last_result, (uint64_t) result);
	race_add(&op->callbacks, 1);
	race_add(&op->in_callback, UINT64_MAX);
	if (op->then != NULL) {
		op->then(op);
	}
}

/* Before start or begin: a new generation, and what a refusal would show. */
static inline uint64_t
race_opening(struct race_op *op)
{
	uint64_t generation = race_generation(op) + 1;
	op->expected = NNG_ESTOPPED;
	op->expected_count = 0;
	race_set(&op->claim, generation << 2 | RACE_STARTING);
	return generation;
}

/* After start: from now on finishers may take it. */
static inline void
race_opened(struct race_op *op, uint64_t generation)
{
	uint64_t starting = generation << 2 | RACE_STARTING;
	race_add(&op->accepted, 1);
	(void) pw_cas_acq_rel_64(&op->claim, &starting, generation << 2 | RACE_OPEN);
}

static inline bool
race_start(struct race_op *op)
{
	uint64_t generation = race_opening(op);
	if (nng_aio_start(op->aio, race_on_cancel, op)) {
		race_opened(op, generation);
		return true;
	}
	race_add(&op->refused, 1);
	return false;
}

/* Zeroes the ledger and allocates the handle; shard -1: anywhere, free to move. */
static inline void
race_op_init(struct race_op *op, int shard)
{
	memset(op, 0, sizeof *op);
	if (shard < 0) {
		assert_int_equal(nng_aio_alloc(&op->aio, race_on_done, op), NNG_OK);
	} else {
		assert_int_equal(pinwheel_aio_alloc_on(&op->aio, shard, race_on_done, op), NNG_OK);
	}
}

/* C1, C2: as many callbacks as operations, none beside another, each with what its one winner gave. */
static inline void
race_op_check(struct race_op *op)
{
	assert_int_equal(race_get(&op->callbacks), race_get(&op->accepted) + race_get(&op->refused));
	assert_int_equal(race_get(&op->finished) + race_get(&op->cancelled), race_get(&op->accepted));
	assert_int_equal(race_get(&op->cancelled_twice), 0);
	assert_int_equal(race_get(&op->overlapping), 0);
	assert_int_equal(race_get(&op->wrong_result), 0);
	assert_int_equal(race_get(&op->wrong_count), 0);
	assert_int_equal(race_get(&op->idle_in_callback), 0);
}

#endif

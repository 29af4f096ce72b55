/* SPDX-License-Identifier: MIT
 *
 * counts_test.c: what an operation costs in locked operations and fences: exactly, and on which thread.
 *
 * The engine is the build that counts (engine/base/atomic_count.h). The home shard is lent and this thread polls it,
 * so nothing runs but what the test asks for. *At home* is in a function that the shard calls; another thread, where
 * a law needs one, runs and ends between two polls.
 *
 * Method of all: the same work on HANDLES and on twice as many handles. What a turn costs by itself, a wake, a
 * thread's start, is the same in both; the difference is what so many operations cost.
 *
 * A change of the protocol changes these numbers: then they are changed here, with it.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include "engine/aio/aio.h"
#include "engine/base/atomic.h"

/* Twice as many are less than a turn's budget; and of a thread's posts each 64th leaves its time, for the statistics,
 * if the one before has been read: once in both. */
#define HANDLES 64u
#define LENT 0
#define HOUR_MS (60 * 60 * 1000)
#define LINE 64u

static nng_aio *aio[2 * HANDLES];
static unsigned callbacks;

static void
on_end(void *arg)
{
	(void) arg;
	callbacks++;
}

static void
on_cancel(nng_aio *canceled, void *arg, nng_err reason)
{
	(void) arg;
	nng_aio_finish(canceled, reason);
}

static void
poll_all(void)
{
	int done;
	while ((done = pinwheel_poll(LENT, 0)) > 0) {
	}
	assert_int_equal(done, 0);
}

static int
open_engine(void **state)
{
	(void) state;
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	config.shards = PINWHEEL_NONE;
	config.lent_shards = 1;
	if (pinwheel_start(&config) != NNG_OK) {
		return -1;
	}
	poll_all(); /* from now on this thread is the shard's */
	for (unsigned i = 0; i < 2 * HANDLES; i++) {
		if (pinwheel_aio_alloc_on(&aio[i], LENT, on_end, NULL) != NNG_OK) {
			return -1;
		}
	}
	return 0;
}

static int
close_engine(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 2 * HANDLES; i++) {
		nng_aio_free(aio[i]);
	}
	poll_all();
	nng_fini();
	return 0;
}

#define LAW(f) cmocka_unit_test_setup_teardown(f, open_engine, close_engine)

/* ---- costs */

struct cost {
	struct pw_counts home, outside;
};

static struct pw_counts
difference(const struct pw_counts *after, const struct pw_counts *before)
{
	return (struct pw_counts){
		.locked = after->locked - before->locked,
		.fences = after->fences - before->fences,
		.fences_after_rmw = after->fences_after_rmw - before->fences_after_rmw,
	};
}

/* What the outside thread does, and what that has cost it. */
struct errand {
	void (*each)(nng_aio *handle);
	unsigned count;
	struct pw_counts cost;
};

static void *
run_errand(void *arg)
{
	struct errand *errand = arg;
	struct pw_counts before, after;
	pw_counts_own(&before);
	for (unsigned i = 0; i < errand->count; i++) {
		errand->each(aio[i]);
	}
	pw_counts_own(&after);
	errand->cost = difference(&after, &before);
	return NULL;
}

static struct pw_counts
outside(void (*each)(nng_aio *handle), unsigned count)
{
	struct errand errand = { .each = each, .count = count };
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, run_errand, &errand), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return errand.cost;
}

typedef struct pw_counts (*work_fn)(unsigned count); /* returns what it has cost outside */

static struct cost
cost_of(work_fn work, unsigned count)
{
	struct cost cost;
	struct pw_counts before, after;
	pw_counts_own(&before);
	cost.outside = work(count);
	pw_counts_own(&after);
	cost.home = difference(&after, &before);
	return cost;
}

/* Locked operations of each piece of work, at home and outside; and no fence. The work is done twice before it is
 * counted, so that what only the first time costs is not in it. */
static void
assert_locked(work_fn work, uint64_t home, uint64_t outside_home)
{
	(void) work(2 * HANDLES);
	(void) work(2 * HANDLES);
	struct cost once = cost_of(work, HANDLES), twice = cost_of(work, 2 * HANDLES);
	assert_int_equal(twice.home.locked - once.home.locked, HANDLES * home);
	assert_int_equal(twice.home.fences - once.home.fences, 0);
	assert_int_equal(twice.outside.locked - once.outside.locked, HANDLES * outside_home);
	assert_int_equal(twice.outside.fences - once.outside.fences, 0);
}

/* ---- operations */

static void
start(nng_aio *handle)
{
	assert_true(nng_aio_start(handle, on_cancel, NULL));
}

static void
finish(nng_aio *handle)
{
	nng_aio_finish(handle, NNG_OK);
}

static void
cancel(nng_aio *handle)
{
	nng_aio_cancel(handle);
}

struct task {
	void (*first)(nng_aio *handle);
	void (*second)(nng_aio *handle); /* may be NULL */
	unsigned count;
};

static void
run_task(void *arg)
{
	const struct task *task = arg;
	for (unsigned i = 0; i < task->count; i++) {
		task->first(aio[i]);
		if (task->second != NULL) {
			task->second(aio[i]);
		}
	}
}

/* The shard calls the functions for each handle, and then `expected` callbacks. */
static void
at_home(void (*first)(nng_aio *handle), void (*second)(nng_aio *handle), unsigned count, unsigned expected)
{
	struct task task = { first, second, count };
	callbacks = 0;
	assert_int_equal(pinwheel_run_on(LENT, run_task, &task), NNG_OK);
	poll_all();
	assert_int_equal(callbacks, expected);
}

static void
set_timeouts(nng_duration timeout_ms)
{
	for (unsigned i = 0; i < 2 * HANDLES; i++) {
		nng_aio_set_timeout(aio[i], timeout_ms);
	}
}

static void
expect_results(unsigned count, nng_err result)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(nng_aio_result(aio[i]), result);
	}
}

static void
expect_callbacks(unsigned count, nng_err result)
{
	callbacks = 0;
	poll_all();
	assert_int_equal(callbacks, count);
	expect_results(count, result);
}

static struct pw_counts
finish_at_home(unsigned count)
{
	at_home(start, finish, count, count);
	expect_results(count, NNG_OK);
	return (struct pw_counts){ .locked = 0 };
}

static struct pw_counts
finish_outside(unsigned count)
{
	at_home(start, NULL, count, 0);
	struct pw_counts cost = outside(finish, count);
	expect_callbacks(count, NNG_OK);
	return cost;
}

static struct pw_counts
abort_at_home(unsigned count)
{
	at_home(start, cancel, count, count);
	expect_results(count, NNG_ECANCELED);
	return (struct pw_counts){ .locked = 0 };
}

static struct pw_counts
abort_outside(unsigned count)
{
	at_home(start, NULL, count, 0);
	struct pw_counts cost = outside(cancel, count);
	expect_callbacks(count, NNG_ECANCELED);
	return cost;
}

static void
sleep_an_hour(nng_aio *handle)
{
	nng_sleep_aio(HOUR_MS, handle);
}

static struct pw_counts
sleep_and_cancel(unsigned count)
{
	at_home(sleep_an_hour, cancel, count, count);
	expect_results(count, NNG_ECANCELED);
	return (struct pw_counts){ .locked = 0 };
}

static struct pw_counts
sleep_and_cancel_outside(unsigned count)
{
	at_home(sleep_an_hour, NULL, count, 0);
	struct pw_counts cost = outside(cancel, count);
	expect_callbacks(count, NNG_ECANCELED);
	return cost;
}

static struct pw_counts
wait_for_idle(unsigned count)
{
	return outside(nng_aio_wait, count);
}

/* ---- the laws */

/* Start, finish and callback on the home shard cost so many locked operations and no fence. */
static void
finish_at_home_costs(void **state)
{
	(void) state;
	assert_locked(finish_at_home, 3, 0);
}

/* A deadline that does not come costs none: the timer of the operation before is still linked (DESIGN.md, section
 * 4). */
static void
deadline_that_does_not_come_costs_nothing(void **state)
{
	(void) state;
	set_timeouts(HOUR_MS);
	assert_locked(finish_at_home, 3, 0);
}

/* Finish on another thread: the word, the reservation and the publication there, one more look at home. */
static void
finish_outside_costs(void **state)
{
	(void) state;
	assert_locked(finish_outside, 2, 3);
}

static void
abort_at_home_costs(void **state)
{
	(void) state;
	assert_locked(abort_at_home, 4, 0);
}

static void
abort_outside_costs(void **state)
{
	(void) state;
	assert_locked(abort_outside, 4, 3);
}

/* The same with a deadline: nothing more. */
static void
abort_outside_with_a_deadline_costs(void **state)
{
	(void) state;
	set_timeouts(HOUR_MS);
	assert_locked(abort_outside, 4, 3);
}

static void
sleep_and_cancel_costs(void **state)
{
	(void) state;
	assert_locked(sleep_and_cancel, 3, 0);
}

static void
sleep_and_cancel_outside_costs(void **state)
{
	(void) state;
	assert_locked(sleep_and_cancel_outside, 4, 3);
}

/* A wait that need not wait only looks. */
static void
wait_for_an_idle_handle_costs_nothing(void **state)
{
	(void) state;
	assert_locked(wait_for_idle, 0, 0);
}

/* A wait that sleeps costs the waiter one locked operation and the home shard none: WAITERS goes in the change that
 * ends the operation. Method: the thread certainly sleeps, or is about to, when WAITERS is seen in the word. */
static void *
wait_once(void *arg)
{
	struct pw_counts *cost = arg, before, after;
	pw_counts_own(&before);
	nng_aio_wait(aio[0]);
	pw_counts_own(&after);
	*cost = difference(&after, &before);
	return NULL;
}

static struct pw_counts
finish_home_cost(struct pw_counts *waiter)
{
	struct pw_counts before, after;
	pthread_t thread;
	start(aio[0]);
	if (waiter != NULL) {
		assert_int_equal(pthread_create(&thread, NULL, wait_once, waiter), 0);
		while ((pw_load_acquire_64(&aio[0]->word) & PW_WAITERS) == 0) {
			(void) sched_yield();
		}
	}
	pw_counts_own(&before);
	finish(aio[0]);
	expect_callbacks(1, NNG_OK);
	pw_counts_own(&after);
	if (waiter != NULL) {
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	return difference(&after, &before);
}

static void
wait_that_sleeps_costs_the_waiter_one(void **state)
{
	(void) state;
	struct pw_counts waiter;
	struct pw_counts alone = finish_home_cost(NULL);
	struct pw_counts waited_for = finish_home_cost(&waiter);
	assert_int_equal(waited_for.locked, alone.locked);
	assert_int_equal(waited_for.fences, alone.fences);
	assert_int_equal(waiter.locked, 1);
	assert_int_equal(waiter.fences, 0);
}

/* A sleep changes two cache lines of its aio, from its beginning to its callback. Method: the bytes before and after,
 * with the links of neighbours out of the game: it is the only sleep. */
static unsigned
lines_changed(const unsigned char *before, const nng_aio *handle)
{
	unsigned changed = 0;
	for (size_t line = 0; line < sizeof *handle / LINE; line++) {
		changed += memcmp(before + line * LINE, (const unsigned char *) handle + line * LINE, LINE) != 0;
	}
	return changed;
}

static void
sleep_changes_two_lines_of_its_aio(void **state)
{
	(void) state;
	unsigned char before[sizeof *aio[0]];
	memcpy(before, aio[0], sizeof before);
	at_home(sleep_an_hour, NULL, 1, 0);
	assert_in_range(lines_changed(before, aio[0]), 1, 2);
	at_home(cancel, NULL, 1, 1);
	assert_in_range(lines_changed(before, aio[0]), 1, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LAW(finish_at_home_costs),
		LAW(deadline_that_does_not_come_costs_nothing),
		LAW(finish_outside_costs),
		LAW(abort_at_home_costs),
		LAW(abort_outside_costs),
		LAW(abort_outside_with_a_deadline_costs),
		LAW(sleep_and_cancel_costs),
		LAW(sleep_and_cancel_outside_costs),
		LAW(wait_for_an_idle_handle_costs_nothing),
		LAW(wait_that_sleeps_costs_the_waiter_one),
		LAW(sleep_changes_two_lines_of_its_aio),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

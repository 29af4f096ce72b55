/* SPDX-License-Identifier: MIT
 *
 * Law: wait returns only after a moment at which the handle was idle, and every waiter that slept before such a
 * moment returns, even if another thread starts the handle again at once and that operation never ends. (C9;
 * DESIGN.md section 2: WAITERS, EPOCH; life.pml RESTARTER.)
 *
 * Method: two waiters; the provider ends the first operation at once, or when both sleep on the word, and starts a
 * second one as soon as the handle is idle. The second is finished when all sleep, and then who slept on the first
 * must have returned.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

#define WAITERS 2u
#define FIRST_WAITER 2u

static struct pw_handle handle;
static uint64_t finished_late;     /* ledger: both waiters slept when the first operation was finished */
static uint64_t returned[WAITERS]; /* ledger */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	finished_late = 0;
	returned[0] = 0;
	returned[1] = 0;
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
wait_for_it(void)
{
	nng_aio_wait(handle.aio);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) >= 1,
	    "C9: wait returned, and the handle has not been idle");
	pw_explore_set(&returned[pw_explore_self() - FIRST_WAITER], 1);
}

static void
provide(void)
{
	if (pw_explore_choose(2) != 0) {
		pw_clock_sleep_ns(1); /* until all sleep */
		pw_explore_set(&finished_late,
		    pw_explore_sleeps(FIRST_WAITER) && pw_explore_sleeps(FIRST_WAITER + 1));
	}
	(void) pw_handle_finish(&handle, NNG_OK);
	while (nng_aio_busy(handle.aio)) {
		pw_explore_yield();
	}
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_clock_sleep_ns(1000); /* until all sleep */
	PW_EXPLORE_ASSERT(pw_explore_get(&finished_late) == 0 ||
		(pw_explore_get(&returned[0]) != 0 && pw_explore_get(&returned[1]) != 0),
	    "C9: a waiter missed the idle moment between two operations");
	(void) pw_handle_finish(&handle, NNG_OK);
	(void) pw_explore_join(FIRST_WAITER);
	(void) pw_explore_join(FIRST_WAITER + 1);
	pw_handle_free(&handle);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(handle.callbacks == 2, "there were %lu callbacks", (unsigned long) handle.callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_waiters = {
	.name = "waiters",
	.law = "wait returns after an idle moment, and no waiter misses one",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "waiter 0", wait_for_it, 0 },
		{ "waiter 1", wait_for_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: free returns, and nobody touches the slot after its release, while a finish has just been made and an abort is
 * between its compare-and-swap and its enqueue, suspended there for ever if need be: QUEUED holds the slot, and free
 * does not wait for it. (C6, C10; DESIGN.md section 2: free.)
 *
 * Method: the finisher finishes, the aborter aborts and may freeze. The consumer frees without waiting for an aborter
 * that is past its compare-and-swap (ABORT has been seen), which the contract would not let it know; else it waits
 * for the aborter's return. A released slot is filled with a pattern.
 */
#include "tests/explore/world.h"

#define ABORTER 3

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
}

static void
consume(void)
{
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	(void) pw_explore_join(2);
	if ((pw_handle_seen(&handle) & PW_ABORT) != 0 || pw_explore_join(ABORTER)) {
		pw_handle_free(&handle);
		PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "free returned before the callback");
	}
}

static void
finish(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1 || pw_explore_frozen(ABORTER), "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_free_inflight = {
	.name = "free_inflight",
	.law = "free beside a finish and a suspended abort: returns, and nobody touches the slot after its release",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_it, PW_EXPLORE_FREEZES },
	},
};

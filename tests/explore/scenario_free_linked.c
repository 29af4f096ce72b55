/* SPDX-License-Identifier: MIT
 *
 * Law: a handle whose timer is linked, its deadline far or just passing, can be freed and reaped at any time, with
 * its operation under way or over: it is aborted, unlinked, released once and soon, and the wheel forgets it. (C6;
 * DESIGN.md section 2: free, reap; section 4.)
 *
 * Method: an operation with a timeout of 1 ms, or none, is finished or not, and freed or reaped, while the clock
 * passes the deadline or not. In the end no wheel entry is left.
 */
#include "engine/base/clock.h"
#include "engine/shard/fleet.h"
#include "tests/explore/world.h"

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
	if (pw_explore_choose(2) != 0) {
		nng_aio_set_timeout(handle.aio, 1);
	}
	bool finishes = pw_explore_choose(2) != 0, reaps = pw_explore_choose(2) != 0;
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	if (finishes) {
		(void) pw_handle_finish(&handle, NNG_OK);
		nng_aio_wait(handle.aio);
	}
	if (reaps) {
		nng_aio_reap(handle.aio);
	} else {
		pw_handle_free(&handle);
		PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "free returned before the callback");
	}
}

static void
pass_time(void)
{
	if (pw_explore_choose(2) != 0) {
		pw_explore_advance_ns(2 * PW_NS_PER_MS);
	}
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	PW_EXPLORE_ASSERT(pw_fleet_nth(0)->wheel.count == 0, "the wheel still holds an entry");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_free_linked = {
	.name = "free_linked",
	.law = "free and reap of a linked handle, under way or over: aborted, unlinked, released once",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "clock", pass_time, 0 },
	},
};

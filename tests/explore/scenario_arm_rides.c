/* SPDX-License-Identifier: MIT
 *
 * Law: a start whose deadline must be armed while the entry of an earlier operation's abort is still on its way, or
 * just being processed, rides on it: the timer is linked at the deadline of the operation that home finds. (C7;
 * DESIGN.md section 2: QUEUED, ARM; P1.)
 *
 * Method: an operation is aborted and finished; the next has a deadline of 1 ms, and nothing else ends it.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	nng_aio_set_timeout(handle.aio, 1);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_handle_wait(&handle);
	int result = nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(result == NNG_ETIMEDOUT || result == NNG_ECANCELED, "the result is %d", result);
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
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
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_arm_rides = {
	.name = "arm_rides",
	.law = "a deadline armed while an earlier entry is on its way is linked all the same",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
	},
};

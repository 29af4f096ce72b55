/* SPDX-License-Identifier: MIT
 *
 * Law: nng_aio_skip_callback is for the thread that asked: an operation that another thread finishes calls the
 * callback as usual, although it has not gone asynchronous, and *skipped stays false; or, if the one who asked was
 * the first to finish it, there is no callback. Never both, never neither. (C1; CONTRACT.md: skip_callback.)
 *
 * Method: the consumer asks and begins; then both it and the finisher try to finish.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t skips; /* ledger */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	skips = 0;
}

static void
consume(void)
{
	bool skipped = true;
	nng_aio_skip_callback(handle.aio, &skipped);
	pw_handle_enter(&handle);
	PW_EXPLORE_ASSERT(nng_aio_begin(handle.aio), "an idle handle refuses to begin");
	pw_handle_leave(&handle, true);
	bool mine = pw_handle_finish(&handle, NNG_ECLOSED);
	PW_EXPLORE_ASSERT(skipped == mine, "skipped is %d, and %s thread has finished", skipped,
	    mine ? "this" : "another");
	pw_explore_add(&skips, skipped);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(mine || pw_explore_get(&handle.callbacks) == 1, "C9: wait returned before the callback");
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == (mine ? NNG_ECLOSED : NNG_OK), "the result is %d",
	    nng_aio_result(handle.aio));
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
}

static void
finish(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
check(void)
{
	handle.callbacks += skips;
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_skip_elsewhere = {
	.name = "skip_elsewhere",
	.law = "an operation that another thread finishes calls its callback, although a skip was asked for",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
	},
};

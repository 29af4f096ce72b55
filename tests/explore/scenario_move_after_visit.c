/* SPDX-License-Identifier: MIT
 *
 * Law: when home has visited a stale timer entry the aio may move, and its next timer is another shard's: what the
 * first home did to the entry is done. (C6, C7; P6.)
 *
 * Method: two shards; an operation with a timeout of 1 ms is started on shard 1 and finished. The clock passes 1 ms,
 * shard 1 visits the entry at some time, and the consumer starts on shard 0 with a timeout of 1 ms, which alone ends
 * the operation.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(2);
	pw_handle_open(&handle, "aio", NULL);
	nng_aio_set_timeout(handle.aio, 1);
}

static void
consume(void)
{
	PW_EXPLORE_ASSERT(pw_handle_start_on(&handle, 1), "an idle handle refuses to start");
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	pw_explore_advance_ns(2 * PW_NS_PER_MS);
	if (pw_explore_choose(2) != 0) {
		pw_clock_sleep_ns(1); /* until all sleep: the visit is over */
	}
	PW_EXPLORE_ASSERT(pw_handle_start_on(&handle, 0), "an idle handle refuses to start");
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_ETIMEDOUT, "the result is %d",
	    nng_aio_result(handle.aio));
	pw_handle_free(&handle);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_move_after_visit = {
	.name = "move_after_visit",
	.law = "after the visit of a stale timer entry the aio may move, and link elsewhere",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: between reset and finish, and between reset and start, a handle counts as idle: an abort there has no effect, now
 * or later; a stop there refuses the start, and a finish straight from reset keeps its own result, also on a stopped
 * handle. (C1, C4; CONTRACT.md: reset, R4, stop.)
 *
 * Method: the consumer resets, and then finishes or starts; the aborter aborts and returns at any time, the stopper stops.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static pw_a32 aborted; /* the abort has returned: said and heard as programs do */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	pw_store_relaxed_32(&aborted, 0);
}

static void
consume(void)
{
	bool starts = pw_explore_choose(2) != 0;
	bool accepted = true;
	pw_handle_enter(&handle);
	nng_aio_reset(handle.aio);
	PW_EXPLORE_ASSERT(!nng_aio_busy(handle.aio), "reset alone makes it busy");
	bool early = pw_load_acquire_32(&aborted) != 0; /* and then it cannot hit what starts now */
	if (starts) {
		accepted = nng_aio_start(handle.aio, pw_handle_cancel, &handle);
	}
	pw_handle_leave(&handle, accepted);
	pw_explore_add(&handle.refused, !accepted);
	bool mine = pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	int result = nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(starts || (mine && result == NNG_OK), "the finish from reset is told %d", result);
	PW_EXPLORE_ASSERT(!early || result != NNG_ECANCELED, "C4: an abort in the window has hit the operation after it");
	(void) pw_explore_join(2);
	(void) pw_explore_join(3);
	pw_handle_free(&handle);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
	pw_store_release_32(&aborted, 1);
}

static void
stop_it(void)
{
	nng_aio_stop(handle.aio);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_reset_window = {
	.name = "reset_window",
	.law = "between reset and finish or start a handle is idle: an abort there is nothing",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
		{ "stopper", stop_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: a finish and an abort of the same operation, in any order, lead to one callback with the result of the one who
 * won; what comes later changes nothing, and the handle can be freed beside the loser's entry. (C1, C2, C4, C6.)
 *
 * Method: one shard; the finisher finishes with 0 once the start has returned, the aborter aborts whenever it likes.
 * After the callback the consumer aborts once more, reads the result again, and frees.
 */
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
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "C9: wait returned before the callback");
	uint64_t result = (uint64_t) nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(result == 0 || result == NNG_ECANCELED, "the result is %lu", (unsigned long) result);
	nng_aio_abort(handle.aio, NNG_ECLOSED);
	PW_EXPLORE_ASSERT((uint64_t) nng_aio_result(handle.aio) == result, "C4: a late abort has changed the result");
	pw_explore_join(2);
	pw_explore_join(3);
	PW_EXPLORE_ASSERT((uint64_t) nng_aio_result(handle.aio) == result, "C2: the result has changed");
	pw_handle_free(&handle);
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
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_finish_abort = {
	.name = "finish_abort",
	.law = "finish against abort: one completion with the winner's result, immutable",
	.setup = setup,
	.check = check,
	.spurious = 1,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_it, 0 },
	},
};

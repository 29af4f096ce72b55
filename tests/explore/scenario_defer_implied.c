/* SPDX-License-Identifier: MIT
 *
 * Law: defer without begin implies begin and is not refused: on a stopped handle, or one that is being stopped, the cancel
 * function is called with NNG_ESTOPPED; an abort before it has no effect, one after it calls the cancel function, once.
 * (C1, C3, C5; CONTRACT.md R12, R13.)
 *
 * Method: the consumer defers without begin, with a cancel function; the stopper stops and the aborter aborts at any time.
 * Nothing but the two ends the operation.
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
	pw_handle_enter(&handle);
	nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	pw_handle_leave(&handle, true);
	(void) pw_explore_join(2);
	(void) pw_explore_join(3);
	pw_handle_wait(&handle);
	int result = nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(result == NNG_ESTOPPED || result == NNG_ECANCELED, "the result is %d", result);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.cancels) == 1, "the cancel function was called %lu times",
	    (unsigned long) pw_explore_get(&handle.cancels));
	pw_handle_free(&handle);
}

static void
stop_it(void)
{
	nng_aio_stop(handle.aio);
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

const struct pw_explore_scenario pw_scenario_defer_implied = {
	.name = "defer_implied",
	.law = "a defer without begin on a stopped handle is cancelled, not refused",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "stopper", stop_it, 0 },
		{ "aborter", abort_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: a callback may defer its own handle without a begin, and start another one whose deadline its shard links at once;
 * both operations end like any other, whoever finishes or aborts them from elsewhere. (C1, C2, C3, C7; CONTRACT.md R12.)
 *
 * Method: the first handle's callback defers that handle and starts the second one, with a deadline. Outside the
 * first is finished, then aborted in its next operation; the second one is finished, unless its deadline is faster.
 */
#include "tests/explore/world.h"

static struct pw_handle first;
static struct pw_handle second;

static void
on_callback(struct pw_handle *handle)
{
	if (pw_explore_get(&handle->callbacks) != 1) {
		return;
	}
	pw_handle_enter(handle);
	nng_aio_defer(handle->aio, pw_handle_cancel, handle);
	pw_handle_leave(handle, true);
	PW_EXPLORE_ASSERT(pw_handle_start(&second), "an idle handle refuses to start");
	pw_explore_event_set(&handle->started);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&first, "first", on_callback);
	pw_handle_open(&second, "second", NULL);
	nng_aio_set_timeout(second.aio, 1);
	PW_EXPLORE_ASSERT(pw_handle_start(&first), "an idle handle refuses to start");
}

static void
provide(void)
{
	(void) pw_handle_finish(&first, NNG_OK);
	pw_explore_event_wait(&first.started);
	(void) pw_handle_finish(&second, NNG_OK);
}

static void
consume(void)
{
	pw_explore_event_wait(&first.started);
	nng_aio_abort(first.aio, NNG_ECANCELED);
	pw_handle_wait(&first);
	PW_EXPLORE_ASSERT(nng_aio_result(first.aio) == NNG_ECANCELED,
	    "C3: the abort has not ended the deferred operation");
	pw_handle_wait(&second);
	PW_EXPLORE_ASSERT(pw_explore_get(&second.callbacks) == 1, "C9: wait returned before the callback");
	(void) pw_explore_join(1);
	pw_handle_free(&first);
	pw_handle_free(&second);
}

static void
check(void)
{
	pw_handle_check(&first);
	pw_handle_check(&second);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "%u slots were released", pw_world_released());
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_callback_starts = {
	.name = "callback_starts",
	.law = "a callback defers its own handle and starts another one, and both end",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "consumer", consume, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: stop and free on the thread that lends a shard poll it while they wait, so a handle of that shard ends; and they
 * see what its callback did. (C5, C9; R26; P5.)
 *
 * Method: one lent shard. The lender starts an operation whose provider, outside, finishes it or is overtaken by the
 * abort; the lender stops the handle, and frees it, and ends the engine.
 */
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle;

static void
setup(void)
{
	pw_life_setup(0, 1, true);
	pw_handle_open(&handle, "aio", NULL);
}

static void
lend(void)
{
	PW_EXPLORE_ASSERT(pinwheel_poll(0, 0) >= 0, "it cannot be lent");
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	if (pw_explore_choose(2) == 0) {
		pw_handle_stop(&handle);
		PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "C5: stop returned before the callback");
	}
	pw_handle_free(&handle);
	nng_fini();
}

static void
finish(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_lent_stop = {
	.name = "lent_stop",
	.law = "stop and free on a lending thread poll its shard while they wait",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "lender", lend, 0 },
		{ "provider", finish, 0 },
	},
};

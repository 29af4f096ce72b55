/* SPDX-License-Identifier: MIT
 *
 * Law: with a reap pending an operation that asked for skip_callback calls its callback as usual, and says so,
 * because behind it home releases the slot; else it skips. (C1, C6; CONTRACT.md: skip_callback; provider.c.)
 *
 * Method: the asker begins and finishes; the reaper reaps at any time after begin has returned.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event asked;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	handle.engine_provides = true;
	asked = (struct pw_explore_event){ { 0 } };
}

static void
operate(void)
{
	bool skipped = false;
	nng_aio_skip_callback(handle.aio, &skipped);
	PW_EXPLORE_ASSERT(nng_aio_begin(handle.aio), "an idle handle refuses to begin");
	pw_explore_event_set(&asked);
	nng_aio_finish(handle.aio, NNG_ESTOPPED);
	pw_explore_set(&handle.accepted, !skipped);
}

static void
reap_it(void)
{
	pw_explore_event_wait(&asked);
	nng_aio_reap(handle.aio);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_skip_reap = {
	.name = "skip_reap",
	.law = "with a reap pending an operation that asked for skip_callback calls its callback",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "asker", operate, 0 },
		{ "reaper", reap_it, 0 },
	},
};

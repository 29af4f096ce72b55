/* SPDX-License-Identifier: MIT
 *
 * Law: who polls nng_aio_busy until it says no sees what the callback has done, and who polls nng_aio_result until it
 * is not 0 sees the count that came with it. (C2, C9; P2, P5.)
 *
 * Method: the consumer starts and polls one of the two; the provider finishes with an error. The consumer then reads
 * what was handed over, plainly, and reaps.
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
	if (pw_explore_choose(2) != 0) {
		while (nng_aio_result(handle.aio) == NNG_OK) {
			pw_explore_yield();
		}
		PW_EXPLORE_ASSERT(nng_aio_count(handle.aio) != 0, "C2: the result is seen, and the count is not");
	}
	while (nng_aio_busy(handle.aio)) {
		pw_explore_yield();
	}
	PW_EXPLORE_ASSERT(pw_plain_read(&handle.effect) == 1,
	    "not busy any more, and the callback's effect is not seen");
	nng_aio_reap(handle.aio);
}

static void
finish(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_ECLOSED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_poll_busy = {
	.name = "poll_busy",
	.law = "who polls busy or the result sees what was handed over",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "provider", finish, 0 },
	},
};

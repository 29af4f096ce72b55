/* SPDX-License-Identifier: MIT
 *
 * Law: a handle that its callback has left for OPEN does not move before the callback is over: the shard that has it
 * on its stack still clears RUNNING. (C1, C6; DESIGN.md section 2: moving home.)
 *
 * Method: two shards; the callback on shard 0 resets the handle and lets the consumer go, who starts it for shard 1
 * and finishes it.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event left;

static void
leave(struct pw_handle *h)
{
	PW_EXPLORE_ASSERT(pw_shard_self() == pw_fleet_nth((unsigned) pinwheel_aio_home(h->aio)),
	    "a callback runs away from home");
	if (pw_explore_get(&h->callbacks) == 1) {
		nng_aio_reset(h->aio);
		pw_explore_event_set(&left);
	}
}

static void
setup(void)
{
	pw_world_setup(2);
	pw_handle_open(&handle, "aio", leave);
	left = (struct pw_explore_event){ { 0 } };
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_explore_event_wait(&left);
	PW_EXPLORE_ASSERT(pw_handle_start_on(&handle, 1), "a start during the callback is refused");
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 2, "C9: wait returned before the callback");
	pw_handle_free(&handle);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_left_elsewhere = {
	.name = "left_elsewhere",
	.law = "a handle that its callback has left does not move before the callback is over",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

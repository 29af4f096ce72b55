/* SPDX-License-Identifier: MIT
 *
 * Law: a start from another thread is legal from the beginning of the callback on, whatever home does at its end: it
 * is never taken for misuse, and the operation is delivered once. (C1; CONTRACT.md: RUNNING forbids no start; P16.)
 *
 * Method: the callback of the first operation lets the consumer go, who starts the second one and finishes it.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event calling;

static void
tell(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) == 1) {
		pw_explore_event_set(&calling);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", tell);
	calling = (struct pw_explore_event){ { 0 } };
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_explore_event_wait(&calling);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "a start during the callback is refused");
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

const struct pw_explore_scenario pw_scenario_restart_at_end = {
	.name = "restart_at_end",
	.law = "a start from another thread while the callback ends is a start like any other",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

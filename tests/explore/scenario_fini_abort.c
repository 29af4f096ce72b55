/* SPDX-License-Identifier: MIT
 *
 * Law: nng_fini waits for a requester who is between its compare-and-swap and its enqueue: no entry comes to a shard
 * that has ended, and the handle survives without holds; but it waits for no deadline. (C6; DESIGN 2: QUEUED is a hold;
 * engine.c, steps 3 and 5.)
 *
 * Method: the engine runs, one shard. The consumer starts an operation with a deadline far away, so that a timer is
 * linked, and aborts it; beside it nng_fini.
 */
#include "engine/base/clock.h"
#include "tests/explore/life.h"
#include "tests/explore/world.h"

#define FAR_MS 500 /* a nap of nng_fini is 5 ms at most, and a few are enough */

static struct pw_handle handle;
static uint64_t deadline_ns; /* at the earliest */

static void
setup(void)
{
	pw_life_setup(1, 0, true);
	pw_handle_open(&handle, "aio", NULL);
	nng_aio_set_timeout(handle.aio, FAR_MS);
	deadline_ns = pw_explore_now_ns() + FAR_MS * PW_NS_PER_MS;
}

static void
consume(void)
{
	bool accepted = pw_handle_start(&handle);
	pw_explore_set(&handle.refused, !accepted);
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
end(void)
{
	nng_fini();
	PW_EXPLORE_ASSERT(pw_explore_now_ns() < deadline_ns, "nng_fini has waited for the deadline");
	pw_explore_join(1);
	uint64_t word = pw_handle_peek(&handle);
	PW_EXPLORE_ASSERT((word & (PW_QUEUED | PW_TIMER | PW_ARM)) == 0 && pw_word_state(word) == PW_IDLE,
	    "the handle that survives is held");
	pw_handle_free(&handle);
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(handle.callbacks >= handle.accepted && handle.callbacks <= handle.accepted + handle.refused,
	    "C1: %lu operations, %lu callbacks", (unsigned long) handle.accepted, (unsigned long) handle.callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "C6: free has not released the slot at once");
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_fini_abort = {
	.name = "fini_abort",
	.law = "nng_fini waits for a requester between its compare-and-swap and its enqueue",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "ender", end, 0 },
	},
};

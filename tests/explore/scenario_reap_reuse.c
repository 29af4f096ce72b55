/* SPDX-License-Identifier: MIT
 *
 * Law: when a slot is given out again, everything that the last owner did to it is done, also if he reaped it while
 * its callback ran and home gave it back. (C6; P5: the callback's end acquires a reaper's DESTROY; P11.)
 *
 * Method: the consumer starts, looks at the handle and reaps it, at any time; the provider finishes, and allocates a
 * handle when all is over, which gets the slot.
 */
#include "engine/base/clock.h"
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
	PW_EXPLORE_ASSERT(nng_aio_get_input(handle.aio, 0) == NULL, "an input that nobody has set");
	nng_aio_reap(handle.aio);
}

static void
nothing(void *arg)
{
	(void) arg;
}

static void
provide(void)
{
	nng_aio *next;
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_clock_sleep_ns(1); /* until all sleep */
	PW_EXPLORE_ASSERT(nng_aio_alloc(&next, nothing, NULL) == NNG_OK, "no handle");
	nng_aio_free(next);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "the slot was released %u times", pw_world_released());
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_reap_reuse = {
	.name = "reap_reuse",
	.law = "a slot given out again was left by everyone who had it before",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "provider", provide, 0 },
	},
};

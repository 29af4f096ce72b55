/* SPDX-License-Identifier: MIT
 *
 * Law: any thread may be suspended for ever at any instruction, and who has nothing to do with its handle goes on:
 * start, finish, abort, wait, stop and free of another handle on the same shard return. (C10.)
 *
 * Method: two threads operate on the first handle (start with a deadline, stop, free; finish, abort) and one of them may
 * freeze at any of its steps, so that entries, gaps in the ring and half-made requests are left behind; they may wait
 * for each other. The third takes the second handle through its whole life and must end.
 */
#include "tests/explore/world.h"

static struct pw_handle first;
static struct pw_handle second;

/* The provider finishes. No lock: one that a frozen thread holds would stop home, and be the scenario's fault. */
static void
ignore(nng_aio *aio, void *arg, nng_err reason)
{
	(void) aio;
	(void) arg;
	(void) reason;
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&first, "first", NULL);
	pw_handle_open(&second, "second", NULL);
	first.engine_provides = true;
	nng_aio_set_timeout(first.aio, 1);
}

static void
consume_first(void)
{
	PW_EXPLORE_ASSERT(nng_aio_start(first.aio, ignore, NULL), "an idle handle refuses to start");
	pw_explore_event_set(&first.started);
	nng_aio_stop(first.aio);
}

static void
provide_first(void)
{
	pw_explore_event_wait(&first.started);
	nng_aio_abort(first.aio, NNG_ECANCELED);
	nng_aio_finish(first.aio, NNG_OK);
}

static void
live_second(void)
{
	PW_EXPLORE_ASSERT(pw_handle_start(&second), "an idle handle refuses to start");
	if (pw_explore_choose(2) != 0) {
		nng_aio_abort(second.aio, NNG_ECANCELED);
	} else {
		(void) pw_handle_finish(&second, NNG_OK);
	}
	pw_handle_wait(&second);
	pw_handle_stop(&second);
	pw_handle_free(&second);
}

static void
check(void)
{
	pw_handle_check(&second);
	PW_EXPLORE_ASSERT(second.callbacks == 1, "there were %lu callbacks", (unsigned long) second.callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_frozen_any = {
	.name = "frozen_any",
	.law = "whoever is suspended for ever, another handle on the same shard lives and dies as usual",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer 1", consume_first, PW_EXPLORE_FREEZES | PW_EXPLORE_EXCUSED },
		{ "provider 1", provide_first, PW_EXPLORE_FREEZES | PW_EXPLORE_EXCUSED },
		{ "owner 2", live_second, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: no completion waits for a suspended requester: an aborter that stops for ever, between its compare-and-swap
 * and its enqueue or in the middle of the enqueue, delays neither the completion of that operation nor that of
 * another, though the ring is full of its gap and the rest goes over the overflow stack. (C10; DESIGN.md sections 2,
 * 3.)
 *
 * Method: two handles on one shard, a ring of two slots. The aborter aborts the first and may freeze at each step;
 * the provider finishes both and waits for both, and must return.
 */
#include "tests/explore/world.h"

static struct pw_handle first;
static struct pw_handle second;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&first, "first", NULL);
	pw_handle_open(&second, "second", NULL);
	PW_EXPLORE_ASSERT(pw_handle_start(&first) && pw_handle_start(&second), "an idle handle refuses to start");
}

static void
provide(void)
{
	(void) pw_handle_finish(&first, NNG_OK);
	(void) pw_handle_finish(&second, NNG_OK);
	pw_handle_wait(&first);
	pw_handle_wait(&second);
	PW_EXPLORE_ASSERT(nng_aio_result(second.aio) == 0, "the other handle's result is %d",
	    nng_aio_result(second.aio));
}

static void
abort_it(void)
{
	nng_aio_abort(first.aio, NNG_ECANCELED);
}

static void
check(void)
{
	pw_handle_check(&first);
	pw_handle_check(&second);
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_frozen_abort = {
	.name = "frozen_abort",
	.law = "no completion waits for an aborter that is suspended for ever",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "aborter", abort_it, PW_EXPLORE_FREEZES },
	},
};

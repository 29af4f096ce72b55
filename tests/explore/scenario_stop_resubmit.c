/* SPDX-License-Identifier: MIT
 *
 * Law: stop ends although the callback resubmits blindly, from several threads at once; when it has returned, no
 * callback of an operation accepted before runs. A start after it is refused and delivers one completion with
 * NNG_ESTOPPED, except to the callback that is told NNG_ESTOPPED. (C5; CONTRACT.md R8, R9, R10; NNG #1431.)
 *
 * Method: the callback always starts again (after a reset, where the refusal must be silent); two threads stop, one
 * of them after it has finished an operation. That one's start after its stop is refused.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t stopped;     /* ledger: stop has returned somewhere */
static uint64_t late_starts; /* ledger: starts made after that, outside the callback */
static uint64_t late_calls;  /* ledger: callbacks after that */

static void
resubmit(struct pw_handle *h)
{
	bool told = nng_aio_result(h->aio) == NNG_ESTOPPED;
	if (pw_explore_get(&stopped) != 0) {
		pw_explore_add(&late_calls, 1);
		PW_EXPLORE_ASSERT(pw_explore_get(&late_calls) <= pw_explore_get(&late_starts),
		    "C5: a callback of an operation accepted before runs after stop has returned");
		PW_EXPLORE_ASSERT(told, "R9: a refused start is not told NNG_ESTOPPED");
	}
	if (told) {
		nng_aio_reset(h->aio); /* clears the result; what the shard recorded decides */
	}
	if (!pw_handle_start(h) && !told) {
		pw_explore_add(&h->refused, 1); /* R9; told NNG_ESTOPPED: R10, no further callback */
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", resubmit);
	stopped = 0;
	late_starts = 0;
	late_calls = 0;
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_stop(&handle);
	pw_explore_set(&stopped, 1);
	pw_explore_add(&late_starts, 1);
	PW_EXPLORE_ASSERT(!pw_handle_start(&handle), "C5: a stopped handle accepts a start");
	pw_explore_add(&handle.refused, 1);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_ESTOPPED, "R9: the refusal's result is %d",
	    nng_aio_result(handle.aio));
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
}

static void
stop_too(void)
{
	nng_aio_stop(handle.aio);
	pw_explore_set(&stopped, 1);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_stop_resubmit = {
	.name = "stop_resubmit",
	.law = "stop ends beside a callback that resubmits, and nothing accepted before runs after it",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "stopper", stop_too, 0 },
	},
};

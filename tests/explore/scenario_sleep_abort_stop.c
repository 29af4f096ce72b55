/* SPDX-License-Identifier: MIT
 *
 * Law: a sleep ends once: with 0 by its own end and not before it, or with the reason of the abort or the stop that
 * came first; stop returns after its callback. (C1, C5, C7; CONTRACT.md section 3, R8, R16.)
 *
 * Method: nng_sleep_aio of 1 ms from outside, on the engine's own provider, which has no lock; the clock passes its
 * end right after the start; the aborter aborts, the stopper stops, at any time.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t started_ns; /* ledger: no later than the start */
static uint64_t stopped;    /* ledger: stop has returned */

static void
look(struct pw_handle *h)
{
	int result = nng_aio_result(h->aio);
	PW_EXPLORE_ASSERT(result == NNG_OK || result == NNG_ECANCELED || result == NNG_ESTOPPED, "the result is %d",
	    result);
	if (result == NNG_OK) {
		PW_EXPLORE_ASSERT(pw_clock_now_ns() >= pw_explore_get(&started_ns) + PW_NS_PER_MS,
		    "C7: the sleep ended early");
	}
	PW_EXPLORE_ASSERT(pw_explore_get(&stopped) == 0 || result == NNG_ESTOPPED,
	    "C5: a callback of an operation accepted before runs after stop has returned");
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", look);
	handle.engine_provides = true;
	handle.accepted = 1; /* or refused: one callback either way */
	started_ns = 0;
	stopped = 0;
}

static void
consume(void)
{
	pw_explore_set(&started_ns, pw_clock_now_ns());
	nng_sleep_aio(1, handle.aio);
	pw_explore_advance_ns(2 * PW_NS_PER_MS);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "C9: wait returned before the callback");
	(void) pw_explore_join(2);
	(void) pw_explore_join(3);
	pw_handle_free(&handle);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
stop_it(void)
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

const struct pw_explore_scenario pw_scenario_sleep_abort_stop = {
	.name = "sleep_abort_stop",
	.law = "a sleep ends once, not early, whatever an abort and a stop do",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
		{ "stopper", stop_it, 0 },
	},
};

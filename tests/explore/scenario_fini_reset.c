/* SPDX-License-Identifier: MIT
 *
 * Law: nng_fini against a finish straight from reset, which no stop refuses: it has its callback while an engine
 * calls any, and none afterwards; then the handle is left IDLE with NNG_ESTOPPED, and nobody is woken for nothing or
 * left asleep. (C1, C5, C9; P12; DESIGN 5.)
 *
 * Method: the engine runs, one shard. Outside, a provider resets and finishes; beside it nng_fini, and then free.
 */
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t over;    /* ledger: nng_fini has returned */
static uint64_t expects; /* ledger: the finish said that the callback will come */

static void
on_callback(struct pw_handle *h)
{
	(void) h;
	PW_EXPLORE_ASSERT(pw_explore_get(&over) == 0, "C5: a callback after nng_fini has returned");
}

static void
setup(void)
{
	pw_life_setup(1, 0, true);
	pw_handle_open(&handle, "aio", on_callback);
	handle.bare = true;
	over = 0;
	expects = 0;
}

static void
provide(void)
{
	pw_handle_enter(&handle);
	nng_aio_reset(handle.aio);
	pw_explore_set(&handle.claim, 0);
	pw_explore_set(&handle.won, 1);
	pw_explore_set(&handle.won_result, NNG_ECLOSED);
	pw_lock_release(&handle.lock);
	pw_explore_set(&expects, pw_aio_finish(handle.aio, NNG_ECLOSED, 0));
	nng_aio_wait(handle.aio);
	uint64_t result = (uint64_t) nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(result == (pw_explore_get(&expects) != 0 ? NNG_ECLOSED : NNG_ESTOPPED), "the result is %lu",
	    (unsigned long) result);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == pw_explore_get(&expects), "C9: the callback is missing");
}

static void
end(void)
{
	nng_fini();
	pw_explore_set(&over, 1);
	pw_explore_join(1);
	PW_EXPLORE_ASSERT(!nng_aio_busy(handle.aio), "C9: busy, and no engine runs");
	pw_handle_free(&handle);
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(handle.callbacks == expects, "C1: the callback is missing, or one too many");
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "C6: free has not released the slot at once");
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_fini_reset = {
	.name = "fini_reset",
	.law = "nng_fini against a finish straight from reset: its callback before nng_fini returns, or none",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "ender", end, 0 },
	},
};

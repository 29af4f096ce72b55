/* SPDX-License-Identifier: MIT
 *
 * Law: a sleep that is aborted on its home's own thread ends once, with the reason of whoever was first, whatever an abort
 * elsewhere, a stop and its own end do at the same time. (C1, C2, C5; home.h: a sleep has no provider to ask.)
 *
 * Method: the callback of another handle on the same shard aborts the sleep; two threads abort and stop it, and the clock
 * passes its end.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle sleeper, other;
static uint64_t stopped; /* ledger: stop has returned */

static void
look(struct pw_handle *h)
{
	int result = nng_aio_result(h->aio);
	PW_EXPLORE_ASSERT(result == NNG_OK || result == NNG_ECANCELED || result == NNG_ECLOSED || result == NNG_ESTOPPED,
	    "the result is %d", result);
	PW_EXPLORE_ASSERT(pw_explore_get(&stopped) == 0, "C5: a callback runs after stop has returned");
}

static void
abort_at_home(struct pw_handle *h)
{
	(void) h;
	nng_aio_abort(sleeper.aio, NNG_ECLOSED);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&sleeper, "sleeper", look);
	pw_handle_open(&other, "other", abort_at_home);
	sleeper.engine_provides = true;
	sleeper.accepted = 1;
	stopped = 0;
	nng_sleep_aio(1, sleeper.aio);
	PW_EXPLORE_ASSERT(pw_handle_start(&other), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&other, NNG_OK);
	pw_explore_advance_ns(2 * PW_NS_PER_MS);
	nng_aio_wait(other.aio);
	nng_aio_wait(sleeper.aio);
	PW_EXPLORE_ASSERT(pw_explore_get(&sleeper.callbacks) == 1, "C9: wait returned before the callback");
	(void) pw_explore_join(2);
	(void) pw_explore_join(3);
	nng_aio_free(other.aio);
	nng_aio_free(sleeper.aio);
}

static void
abort_it(void)
{
	nng_aio_abort(sleeper.aio, NNG_ECANCELED);
}

static void
stop_it(void)
{
	nng_aio_stop(sleeper.aio);
	pw_explore_set(&stopped, 1);
}

static void
check(void)
{
	pw_handle_check(&sleeper);
	pw_handle_check(&other);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "a slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_sleep_abort_at_home = {
	.name = "sleep_abort_at_home",
	.law = "a sleep that its home's own thread aborts ends once, with the first reason",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
		{ "stopper", stop_it, 0 },
	},
};

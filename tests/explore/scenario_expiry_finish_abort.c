/* SPDX-License-Identifier: MIT
 *
 * Law: expiry, finish and abort of one operation, in any order: one callback with the winner's result, and none that
 * says NNG_ETIMEDOUT before the deadline. (C1, C2, C7; DESIGN.md section 4.)
 *
 * Method: a start from outside with a timeout of 1 ms, so that home arms the timer by a request entry, which the
 * abort may share; the clock passes the deadline when the start has returned, whatever home is doing then.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

#define TIMEOUT_NS PW_NS_PER_MS

static struct pw_handle handle;
static uint64_t started_ns; /* ledger: no later than the start */

static void
look_at_clock(struct pw_handle *h)
{
	if (nng_aio_result(h->aio) == NNG_ETIMEDOUT) {
		PW_EXPLORE_ASSERT(pw_clock_now_ns() >= pw_explore_get(&started_ns) + TIMEOUT_NS,
		    "C7: the deadline fired early");
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", look_at_clock);
	nng_aio_set_timeout(handle.aio, 1);
}

static void
consume(void)
{
	pw_explore_set(&started_ns, pw_clock_now_ns());
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	pw_explore_advance_ns(2 * TIMEOUT_NS);
	pw_handle_wait(&handle);
	uint64_t result = (uint64_t) nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "C9: wait returned before the callback");
	PW_EXPLORE_ASSERT(result == pw_explore_get(&handle.result[0]), "C2: the result has changed");
	for (unsigned i = 2; i < 4; i++) {
		(void) pw_explore_join(i);
	}
	PW_EXPLORE_ASSERT((uint64_t) nng_aio_result(handle.aio) == result, "C2: the result has changed");
	pw_handle_free(&handle);
}

static void
finish(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_expiry_finish_abort = {
	.name = "expiry_finish_abort",
	.law = "expiry against finish against abort: one completion, nothing early",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: of two aborts, and an abort before the deadline, the first gives the reason; the cancel function is told it,
 * and nothing else, also if the operation is finished at the same time. (C2, C3; CONTRACT.md R5; DESIGN.md section 2:
 * expiry.)
 *
 * Method: the aborter aborts twice with different reasons, at any time; the clock passes the deadline, or the
 * provider finishes.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t aborted; /* ledger: before the clock passed the deadline */

static void
cancel(nng_aio *aio, void *arg, nng_err reason)
{
	bool first = reason == NNG_ECANCELED || (reason == NNG_ETIMEDOUT && pw_explore_get(&aborted) == 0);
	PW_EXPLORE_ASSERT(first, "R5: the cancel function is told %d", reason);
	pw_handle_cancel(aio, arg, reason);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	nng_aio_set_timeout(handle.aio, 1);
	aborted = 0;
}

static void
consume(void)
{
	pw_handle_enter(&handle);
	bool accepted = nng_aio_start(handle.aio, cancel, &handle);
	pw_handle_leave(&handle, accepted);
	PW_EXPLORE_ASSERT(accepted, "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	if (pw_explore_choose(2) != 0) {
		(void) pw_handle_finish(&handle, NNG_OK);
	} else {
		pw_explore_set(&aborted, (pw_load_acquire_64(&handle.aio->word) & PW_ABORT) != 0);
		pw_explore_advance_ns(2 * PW_NS_PER_MS);
	}
	pw_handle_wait(&handle);
	int result = nng_aio_result(handle.aio);
	bool first =
	    result == NNG_OK || result == NNG_ECANCELED || (result == NNG_ETIMEDOUT && pw_explore_get(&aborted) == 0);
	PW_EXPLORE_ASSERT(first, "R5: the result is %d", result);
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
}

static void
abort_twice(void)
{
	pw_explore_event_wait(&handle.started);
	nng_aio_abort(handle.aio, NNG_ECANCELED);
	nng_aio_abort(handle.aio, NNG_ECLOSED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_first_reason = {
	.name = "first_reason",
	.law = "of several aborts and an expiry the first gives the reason",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_twice, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: a start that is refused is one completion with the reason, count 0, or none where skip was asked for (and *skipped
 * says so); the reasons are tested in the order stopped, deadline; the provider's cancel function is never called, and
 * an abort changes nothing. (C1, C4, C5; CONTRACT.md R9, R15, skip_callback.)
 *
 * Method: the consumer starts with a timeout of zero or with none, with and without asking for skip, by start or by begin
 * (which knows no deadline); the stopper stops and the aborter aborts at any time.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t skips; /* ledger */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	skips = 0;
}

static void
consume(void)
{
	bool skipped = false;
	bool asks = pw_explore_choose(2) != 0;
	bool late = pw_explore_choose(2) != 0;
	bool begins = !late && pw_explore_choose(2) != 0;

	if (late) {
		nng_aio_set_timeout(handle.aio, NNG_DURATION_ZERO);
	}
	if (asks) {
		nng_aio_skip_callback(handle.aio, &skipped);
	}
	pw_handle_enter(&handle);
	bool accepted = begins ? nng_aio_begin(handle.aio) : nng_aio_start(handle.aio, pw_handle_cancel, &handle);
	pw_handle_leave(&handle, accepted);
	if (!accepted) {
		pw_explore_add(&handle.refused, 1);
		PW_EXPLORE_ASSERT(skipped == asks, "a refused start: asked %d, skipped %d", asks, skipped);
	} else {
		PW_EXPLORE_ASSERT(!late, "R15: a start with a timeout of zero is accepted");
		(void) pw_handle_finish(&handle, NNG_OK);
		PW_EXPLORE_ASSERT(!skipped || (asks && begins), "an operation that went asynchronous is skipped");
	}
	pw_explore_add(&skips, skipped);
	pw_handle_wait(&handle);
	int result = nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(accepted || result == NNG_ESTOPPED || (late && result == NNG_ETIMEDOUT),
	    "the result of the refusal is %d", result);
	PW_EXPLORE_ASSERT(accepted || pw_explore_get(&handle.cancels) == 0, "a refused start's cancel function is called");
	(void) pw_explore_join(2);
	(void) pw_explore_join(3);
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == result, "C2: the result has changed");
	pw_handle_free(&handle);
}

static void
stop_it(void)
{
	nng_aio_stop(handle.aio);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
check(void)
{
	handle.callbacks += skips;
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_refused_start = {
	.name = "refused_start",
	.law = "a refused start is one completion with the reason, or none where skip was asked for",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "stopper", stop_it, 0 },
		{ "aborter", abort_it, 0 },
	},
};

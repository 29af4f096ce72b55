/* SPDX-License-Identifier: MIT
 *
 * Law: reap from outside never blocks, in whatever state the operation is, aborts it with NNG_ESTOPPED where it is under
 * way, and home releases the slot once everything is over: after the callback, with the entry of an abort, with the timer.
 * (C1, C6; DESIGN.md section 2: reap in one CAS.)
 *
 * Method: an operation with or without a deadline, begun or started, or none; the provider finishes it at any time and the
 * aborter aborts; the consumer reaps at any time after the aborter has got beyond its compare-and-swap or has returned.
 */
#include "tests/explore/world.h"

#define ABORTER 3

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
	if (pw_explore_choose(2) != 0) {
		nng_aio_set_timeout(handle.aio, 1000);
	}
	if (pw_explore_choose(2) != 0) {
		PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	}
	pw_explore_event_set(&handle.started);
	if ((pw_handle_seen(&handle) & PW_ABORT) == 0) {
		(void) pw_explore_join(ABORTER);
	}
	nng_aio_reap(handle.aio);
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

const struct pw_explore_scenario pw_scenario_reap_outside = {
	.name = "reap_outside",
	.law = "reap from outside, in any state: one completion, one release, nobody blocks",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_it, 0 },
	},
};

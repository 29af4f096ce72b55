/* SPDX-License-Identifier: MIT
 *
 * Law: an abort that has returned before an operation starts never hits it, wherever its request entry then is; an
 * operation that the callback starts is an operation like any other. (C4; DESIGN.md section 2: a request carries no
 * operation.)
 *
 * Method: the callback of the first operation starts a second one; the aborter aborts once. The finisher finishes
 * what it finds, after each start.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event restarted;
static uint64_t abort_returned; /* ledger */
static uint64_t abort_was_over; /* ledger: when the second operation began */

static void
restart(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) == 1) {
		pw_explore_set(&abort_was_over, pw_explore_get(&abort_returned));
		PW_EXPLORE_ASSERT(pw_handle_start(h), "the callback's start is refused");
		pw_explore_event_set(&restarted);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", restart);
	restarted = (struct pw_explore_event){ { 0 } };
	abort_returned = 0;
	abort_was_over = 0;
}

static void
consume(void)
{
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 2,
	    "C9: wait returned between a callback and the operation it started");
	(void) pw_explore_join(2);
	(void) pw_explore_join(3);
	pw_handle_free(&handle);
}

static void
finish(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_explore_event_wait(&restarted);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
	pw_explore_set(&abort_returned, 1);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(abort_was_over == 0 || handle.result[1] == 0,
	    "C4: the abort of an earlier operation has hit this one");
	PW_EXPLORE_ASSERT(handle.result[0] == 0 || handle.result[1] == 0, "C4: one abort has ended two operations");
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_late_abort = {
	.name = "late_abort",
	.law = "a late abort never hits the next operation",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: a handle may be reaped in its own callback while an abort's entry, and a timer linked far in the future, still
 * hold it: it is released soon, once, and never at the deadline; nobody touches it afterwards. reap from outside
 * likewise. (C6; DESIGN.md section 2: reap; life.pml NOMAILDESTROY.)
 *
 * Method: with and without a timeout of 1 s. The callback reaps if the abort has returned or is past its
 * compare-and-swap; else the consumer reaps when the aborter has returned. The clock never reaches the deadline.
 */
#include "tests/explore/world.h"

#define ABORTER 3

static struct pw_handle handle;
static struct pw_explore_event called;
static uint64_t abort_returned; /* ledger */
static uint64_t reaped;         /* ledger */

static void
reap_if_allowed(struct pw_handle *h)
{
	if (pw_explore_get(&abort_returned) != 0 || (pw_handle_seen(h) & PW_ABORT) != 0) {
		pw_explore_set(&reaped, 1);
		nng_aio_reap(h->aio);
	}
	pw_explore_event_set(&called);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", reap_if_allowed);
	called = (struct pw_explore_event){ { 0 } };
	abort_returned = 0;
	reaped = 0;
}

static void
consume(void)
{
	if (pw_explore_choose(2) != 0) {
		nng_aio_set_timeout(handle.aio, 1000);
	}
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	pw_explore_event_wait(&called);
	if (pw_explore_get(&reaped) == 0) {
		(void) pw_explore_join(ABORTER);
		pw_explore_set(&reaped, 1);
		nng_aio_reap(handle.aio);
	}
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
	pw_explore_set(&abort_returned, 1);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_reap_in_callback = {
	.name = "reap_in_callback",
	.law = "reap in the own callback, or outside, beside an abort and a far timer: released soon, once, untouched after",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_it, 0 },
	},
};

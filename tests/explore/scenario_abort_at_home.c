/* SPDX-License-Identifier: MIT
 *
 * Law: an abort on the home thread ends an operation like any other: once, also beside an abort from elsewhere whose
 * entry has the request node, and in the window between begin and defer, where it is remembered. (C1, C3; home.c, I3;
 * aio.c.)
 *
 * Method: the callback of one handle aborts the other, which the consumer begins and defers meanwhile; the aborter
 * aborts it too, from outside. Nothing but the two ends the operation. With and without a deadline, far, whose
 * request for the timer has the node, too. The ring is full of the gaps of two senders that never come back, so
 * entries are linked by their nodes.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/world.h"

#define ABORTER 2

static struct pw_handle other;
static struct pw_handle handle;

static void
abort_here(struct pw_handle *h)
{
	(void) h;
	nng_aio_abort(handle.aio, NNG_ECLOSED);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&other, "other", abort_here);
	pw_handle_open(&handle, "aio", NULL);
	pw_store_relaxed_64(&pw_fleet_nth(0)->inbox.tail, PW_INBOX_SLOTS);
	PW_EXPLORE_ASSERT(pw_handle_start(&other), "an idle handle refuses to start");
}

static void
consume(void)
{
	if (pw_explore_choose(2) != 0) {
		nng_aio_set_timeout(handle.aio, 1000); /* defer arms: the request node is in use */
	}
	pw_handle_enter(&handle);
	PW_EXPLORE_ASSERT(nng_aio_begin(handle.aio), "an idle handle refuses to begin");
	(void) pw_handle_finish(&other, NNG_OK);
	nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	pw_handle_leave(&handle, true);
	pw_handle_wait(&handle); /* the callback of the other aborts after begin: it must end */
	int result = nng_aio_result(handle.aio);
	PW_EXPLORE_ASSERT(result == NNG_ECANCELED || result == NNG_ECLOSED, "the result is %d", result);
	(void) pw_explore_join(ABORTER);
	pw_handle_wait(&other);
	pw_handle_free(&handle);
	pw_handle_free(&other);
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
	pw_handle_check(&other);
	PW_EXPLORE_ASSERT(handle.cancels == 1, "the cancel function was called %lu times",
	    (unsigned long) handle.cancels);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "a slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_abort_at_home = {
	.name = "abort_at_home",
	.law = "an abort on the home thread, beside one from elsewhere, cancels once, in begin's window too",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: a handle may be reset twice, and what was reset may be begun, or deferred at once, like what was not, whatever the
 * operation before has left behind: a linked timer that is visited meanwhile, the entry of an abort that came too late.
 * None of that has an effect on the new operation. (C1, C2, C4; DESIGN.md section 2: OPEN counts as idle.)
 *
 * Method: an operation with a deadline is started, finished and awaited, beside an abort; the consumer resets twice and
 * goes on with begin and defer, or with defer alone; time passes the first operation's deadline at any moment.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

#define ABORTER 2

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	nng_aio_set_timeout(handle.aio, 1);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	bool begins = pw_explore_choose(2) != 0;
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 1, "C9: wait returned before the callback");
	nng_aio_set_timeout(handle.aio, NNG_DURATION_INFINITE);
	pw_handle_enter(&handle);
	nng_aio_reset(handle.aio);
	nng_aio_reset(handle.aio);
	PW_EXPLORE_ASSERT(!nng_aio_busy(handle.aio) && nng_aio_result(handle.aio) == NNG_OK,
	    "reset leaves something behind");
	PW_EXPLORE_ASSERT(!begins || nng_aio_begin(handle.aio), "a handle that was reset refuses to begin");
	nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	pw_handle_leave(&handle, true);
	(void) pw_explore_join(ABORTER); /* whatever it has hit, it is over */
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) != NNG_ETIMEDOUT, "C7: a deadline of the operation before");
	pw_handle_free(&handle);
}

static void
abort_it(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
pass_time(void)
{
	pw_explore_advance_ns(2 * PW_NS_PER_MS);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(handle.result[0] != NNG_ECANCELED || handle.result[1] == NNG_OK,
	    "C4: one abort has ended two operations");
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_reopen = {
	.name = "reopen",
	.law = "what was reset begins and defers, whatever the operation before has left behind",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
		{ "clock", pass_time, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: a shard's thread is home to its own aios alone: what a callback on one shard does to an aio of another (abort,
 * finish, start with a deadline) is done like any thread's, by the word and an entry. (C1, C3, C7; DESIGN.md section
 * 1.)
 *
 * Method: two shards; the callback of a handle on shard 0 finishes or aborts the operation of one on shard 1, or
 * starts it, linked there with a far deadline, with a near one.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle here;
static struct pw_handle there;

enum act {
	FINISH,
	ABORT,
	START,
	ACTS
};
static uint64_t act; /* ledger */

static void
act_there(struct pw_handle *h)
{
	(void) h;
	switch ((enum act) pw_explore_get(&act)) {
	case FINISH:
		(void) pw_handle_finish(&there, NNG_OK);
		return;
	case ABORT:
		nng_aio_abort(there.aio, NNG_ECANCELED);
		return;
	default:
		PW_EXPLORE_ASSERT(pw_handle_start(&there), "an idle handle refuses to start");
	}
}

static void
setup(void)
{
	pw_world_setup(2);
	pw_handle_open(&here, "here", act_there);
	pw_handle_open(&there, "there", NULL);
	act = ACTS;
	PW_EXPLORE_ASSERT(pw_handle_start(&here), "an idle handle refuses to start");
}

static void
consume(void)
{
	enum act chosen = (enum act) pw_explore_choose(ACTS);
	pw_explore_set(&act, chosen);
	if (chosen == START) {
		nng_aio_set_timeout(there.aio, 1000);
	}
	PW_EXPLORE_ASSERT(pw_handle_start_on(&there, 1), "an idle handle refuses to start");
	if (chosen == START) {
		pw_clock_sleep_ns(1); /* until all sleep: the timer is linked */
		(void) pw_handle_finish(&there, NNG_OK);
		pw_handle_wait(&there);
		nng_aio_set_timeout(there.aio, 1);
	}
	(void) pw_handle_finish(&here, NNG_OK);
	pw_handle_wait(&here);
	pw_handle_wait(&there);
	int result = nng_aio_result(there.aio);
	int expected = chosen == START ? NNG_ETIMEDOUT : chosen == ABORT ? NNG_ECANCELED : NNG_OK;
	PW_EXPLORE_ASSERT(result == expected, "the result is %d", result);
	PW_EXPLORE_ASSERT(pinwheel_aio_home(there.aio) == 1, "the home has moved");
	pw_handle_free(&here);
	pw_handle_free(&there);
}

static void
check(void)
{
	pw_handle_check(&here);
	pw_handle_check(&there);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "a slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_other_shard = {
	.name = "other_shard",
	.law = "what a callback does to an aio of another shard goes by the word and an entry",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

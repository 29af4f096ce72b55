/* SPDX-License-Identifier: MIT
 *
 * Law: an aio may change its home at a start, and only when nothing holds it where it is (TIMER, QUEUED, RUNNING):
 * each completion is delivered once, on the shard that is home then, and what home alone does to the word is done
 * there, with an abort, a finish, a linked timer or a running callback behind. (C1, C6; DESIGN.md section 2: moving
 * home; move.pml.)
 *
 * Method: two shards; the first operation is served by shard 1, the second by shard 0; each is finished as soon as it
 * has started, the second is aborted before. What may hold the handle between the two is a request of the aborter,
 * who aborts at any time; or a far deadline of the first; or its callback, in which the second is started from
 * outside.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event calling;
static struct pw_explore_event aborting; /* the aborter may begin */

enum hold {
	QUEUED,
	TIMER,
	RUNNING,
	HOLDS
};
static uint64_t held_by; /* ledger */

static void
on_callback(struct pw_handle *h)
{
	PW_EXPLORE_ASSERT(pw_shard_self() == pw_fleet_nth((unsigned) pinwheel_aio_home(h->aio)),
	    "a callback runs away from home");
	if (pw_explore_get(&held_by) == RUNNING) {
		pw_explore_event_set(&calling);
	}
}

static void
setup(void)
{
	pw_world_setup(2);
	pw_handle_open(&handle, "aio", on_callback);
	held_by = HOLDS;
	calling = aborting = (struct pw_explore_event){ { 0 } };
}

static void
consume(void)
{
	enum hold hold = (enum hold) pw_explore_choose(HOLDS);
	pw_explore_set(&held_by, hold);
	if (hold == QUEUED) {
		pw_explore_event_set(&aborting);
	} else if (hold == TIMER) {
		nng_aio_set_timeout(handle.aio, 1000);
	}
	PW_EXPLORE_ASSERT(pw_handle_start_on(&handle, 1), "an idle handle refuses to start");
	PW_EXPLORE_ASSERT(pinwheel_aio_home(handle.aio) == 1, "an aio that nothing holds has not moved");
	(void) pw_handle_finish(&handle, NNG_OK);
	if (hold == RUNNING) {
		pw_explore_event_wait(&calling);
	} else {
		pw_handle_wait(&handle);
	}
	PW_EXPLORE_ASSERT(pw_handle_start_on(&handle, 0), "an idle handle refuses to start");
	nng_aio_abort(handle.aio, NNG_ECLOSED);
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 2, "C9: wait returned before the callback");
	if (hold == QUEUED) {
		(void) pw_explore_join(3);
	}
	pw_handle_free(&handle);
}

static void
abort_it(void)
{
	pw_explore_event_wait(&aborting);
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(handle.callbacks == 2, "there were %lu callbacks", (unsigned long) handle.callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_moving_home = {
	.name = "moving_home",
	.law = "an aio moves between two shards only when nothing holds it, and is delivered once, at home",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, PW_EXPLORE_DAEMON },
	},
};

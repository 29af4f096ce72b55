/* SPDX-License-Identifier: MIT
 *
 * Law: a request entry can be sent again as soon as home has taken the one before: the node is the sender's again,
 * also where it goes over the overflow stack and carries a link. (C3; P4.)
 *
 * Method: the ring is full of the gaps of two senders that never come back. The consumer starts with a far deadline
 * (ARM), the aborter aborts; nothing else ends the operation, unless the abort came before it.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/world.h"

#define ABORTER 2

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	nng_aio_set_timeout(handle.aio, 1000);
	pw_store_relaxed_64(&pw_fleet_nth(0)->inbox.tail, PW_INBOX_SLOTS);
}

static void
consume(void)
{
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	(void) pw_explore_join(ABORTER);
	if ((pw_handle_seen(&handle) & PW_ABORT) == 0) {
		(void) pw_handle_finish(&handle, NNG_OK);
	}
	pw_handle_wait(&handle);
	pw_handle_free(&handle);
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

const struct pw_explore_scenario pw_scenario_request_overflow = {
	.name = "request_overflow",
	.law = "a request entry can be sent again as soon as home has taken the one before",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
	},
};

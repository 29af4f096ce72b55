/* SPDX-License-Identifier: MIT
 *
 * Law: a foreign thread that is suspended for ever inside start, with the timer to be armed, holds back that timer and
 * nothing else: an operation that it has begun can be finished and awaited, and those of other handles run as ever,
 * their deadlines included. (C10; DESIGN.md section 2, "not covered": a frozen foreign starter with ARM.)
 *
 * Method: the starter starts the first handle with a timeout of 1 ms and may freeze at each step. The provider finishes
 * that operation if it has come to be, waits for it, and then lets one on the second handle expire.
 */
#include "tests/explore/world.h"

#define STARTER 1

static struct pw_handle first;
static struct pw_handle second;

/* The provider finishes; a lock that a frozen starter holds would be the scenario's fault, so there is none. */
static void
ignore(nng_aio *aio, void *arg, nng_err reason)
{
	(void) aio;
	(void) arg;
	(void) reason;
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&first, "first", NULL);
	pw_handle_open(&second, "second", NULL);
	first.engine_provides = true;
	nng_aio_set_timeout(first.aio, 1);
	nng_aio_set_timeout(second.aio, 1);
}

static void
start_first(void)
{
	PW_EXPLORE_ASSERT(nng_aio_start(first.aio, ignore, NULL), "an idle handle refuses to start");
}

static void
provide(void)
{
	(void) pw_explore_join(STARTER);
	if (nng_aio_busy(first.aio)) { /* it has begun, and this thread knows what was begun */
		pw_explore_add(&first.accepted, 1);
		nng_aio_finish(first.aio, NNG_OK);
		nng_aio_wait(first.aio);
		PW_EXPLORE_ASSERT(pw_explore_get(&first.callbacks) == 1, "C9: wait returned before the callback");
	}
	PW_EXPLORE_ASSERT(pw_handle_start(&second), "an idle handle refuses to start");
	pw_handle_wait(&second);
	PW_EXPLORE_ASSERT(nng_aio_result(second.aio) == NNG_ETIMEDOUT, "the result is %d", nng_aio_result(second.aio));
	pw_handle_free(&second);
}

static void
check(void)
{
	pw_handle_check(&first);
	pw_handle_check(&second);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_frozen_starter = {
	.name = "frozen_starter",
	.law = "a starter suspended for ever with its timer to be armed holds back that timer only",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "starter", start_first, PW_EXPLORE_FREEZES },
		{ "provider", provide, 0 },
	},
};

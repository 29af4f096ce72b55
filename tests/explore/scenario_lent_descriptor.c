/* SPDX-License-Identifier: MIT
 *
 * Law: a poll that returned 0 has left nothing undone, and what comes later makes the descriptor readable: mail of other
 * threads and the next deadline. (C1, C7; P10 with a lent shard; lent.c.)
 *
 * Method: one lent shard. The lender polls until the handle's callback has run twice, and sleeps on the descriptor
 * whenever there is nothing to do: once ended by a finish from outside, once by its deadline. A signal may end a wait.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle;

static void
setup(void)
{
	pw_life_setup(0, 1, true);
	pw_handle_open(&handle, "aio", NULL);
}

static void
poll_until(uint64_t callbacks)
{
	while (pw_explore_get(&handle.callbacks) < callbacks) {
		int rv = pinwheel_poll(0, 0);
		PW_EXPLORE_ASSERT(rv >= 0, "pinwheel_poll says %d", rv);
		if (rv == 0) {
			pw_life_await(pinwheel_poll_fd(0));
		}
	}
}

static void
lend(void)
{
	PW_EXPLORE_ASSERT(pinwheel_poll(0, 0) >= 0, "it cannot be lent");
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_explore_event_set(&handle.started);
	poll_until(1);
	nng_aio_set_timeout(handle.aio, 1);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	poll_until(2);
	PW_EXPLORE_ASSERT(handle.result[1] == NNG_ETIMEDOUT, "the deadline's result is %lu", (unsigned long) handle.result[1]);
	nng_aio_free(handle.aio);
	nng_fini();
}

static void
finish(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
check(void)
{
	pw_handle_check(&handle);
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_lent_descriptor = {
	.name = "lent_descriptor",
	.law = "what comes after a poll that returned 0 makes the lent shard's descriptor readable",
	.setup = setup,
	.check = check,
	.interrupts = 1,
	.fiber = {
		{ "lender", lend, 0 },
		{ "finisher", finish, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: one thread at a time is a lent shard: a thread that would lend itself and nng_fini, which runs those that are
 * nobody's, claim it by compare-and-swap; what was started there ends, and the lender's next poll says that the engine
 * has. (C1, C5; P12: up, phase; lent.c; launch.c, await_lender.)
 *
 * Method: the engine has one shard, and it is lent. The lender polls until it is told to stop, sleeping on the descriptor
 * when there is nothing to do; outside, an operation is started and finished; beside them nng_fini, and the next engine's
 * start and end.
 */
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t over; /* ledger: the last nng_fini has returned */

static void
on_callback(struct pw_handle *h)
{
	(void) h;
	PW_EXPLORE_ASSERT(pw_explore_get(&over) == 0, "C5: a callback after the last nng_fini has returned");
}

static void
setup(void)
{
	pw_life_setup(0, 1, true);
	pw_handle_open(&handle, "aio", on_callback);
	over = 0;
}

static void
lend(void)
{
	(void) pw_life_lend(0);
}

static void
consume(void)
{
	bool accepted = pw_handle_start(&handle);
	pw_explore_set(&handle.refused, !accepted);
	if (accepted) {
		(void) pw_handle_finish(&handle, NNG_OK);
	}
}

static void
end(void)
{
	nng_fini();
	(void) nng_init(NULL); /* it writes the records anew, and the lender may lend himself again */
	nng_fini();
	pw_explore_set(&over, 1);
	pw_explore_join(1);
	PW_EXPLORE_ASSERT(!nng_aio_busy(handle.aio), "C9: busy, and no engine runs");
	pw_handle_free(&handle);
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(handle.callbacks >= handle.accepted && handle.callbacks <= handle.accepted + handle.refused,
	    "C1: %lu operations, %lu callbacks", (unsigned long) handle.accepted, (unsigned long) handle.callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "C6: free has not released the slot at once");
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_lent_fini = {
	.name = "lent_fini",
	.law = "a lent shard is claimed by its lender or by nng_fini, and ends with what was started there",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "lender", lend, 0 },
		{ "consumer", consume, 0 },
		{ "ender", end, 0 },
	},
};

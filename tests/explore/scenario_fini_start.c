/* SPDX-License-Identifier: MIT
 *
 * Law: nng_fini against a start and a finish of threads outside: what was accepted has its one callback before nng_fini
 * returns, a refusal has one or none, no callback comes after, and the handle that survives is STOPPED and IDLE
 * without holds: it refuses without a callback, and free releases it at once. (C1, C3, C5, C6; P12; engine.c, steps 1
 * to 7.)
 *
 * Method: the engine runs, one shard. The consumer starts (in two steps or one) an operation with a deadline, its
 * provider finishes it, unless nng_fini's abort is faster; nng_fini runs beside them.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t over;     /* ledger: nng_fini has returned */
static uint64_t callbacks; /* ledger: so many had been then */

static void
on_callback(struct pw_handle *h)
{
	(void) h;
	PW_EXPLORE_ASSERT(pw_explore_get(&over) == 0, "C5: a callback after nng_fini has returned");
}

static void
setup(void)
{
	pw_life_setup(1, 0, true);
	pw_handle_open(&handle, "aio", on_callback);
	nng_aio_set_timeout(handle.aio, 1);
	over = 0;
	callbacks = 0;
}

static bool
start(void)
{
	if (pw_explore_choose(2) == 0) {
		return pw_handle_start(&handle);
	}
	pw_handle_enter(&handle);
	bool accepted = nng_aio_begin(handle.aio);
	if (accepted) {
		nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	}
	pw_handle_leave(&handle, accepted);
	return accepted;
}

static void
consume(void)
{
	pw_explore_set(&handle.refused, !start());
	pw_explore_event_set(&handle.started);
}

static void
provide(void)
{
	pw_explore_event_wait(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
end(void)
{
	nng_fini();
	pw_explore_set(&over, 1);
	pw_explore_set(&callbacks, pw_explore_get(&handle.callbacks));
	pw_explore_join(1);
	pw_explore_join(2);
	PW_EXPLORE_ASSERT(!nng_aio_busy(handle.aio), "C9: busy, and no engine runs");
	PW_EXPLORE_ASSERT(!nng_aio_start(handle.aio, pw_handle_cancel, &handle), "an engine that is gone accepts");
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_ESTOPPED, "the refusal says %d", nng_aio_result(handle.aio));
	pw_handle_free(&handle);
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(callbacks >= handle.accepted && callbacks <= handle.accepted + handle.refused,
	    "C1: %lu operations, %lu refusals, %lu callbacks", (unsigned long) handle.accepted,
	    (unsigned long) handle.refused, (unsigned long) callbacks);
	PW_EXPLORE_ASSERT(handle.callbacks == callbacks, "C5: a callback after nng_fini has returned");
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "C6: free has not released the slot at once");
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_fini_start = {
	.name = "fini_start",
	.law = "nng_fini against a start and a finish: every accepted operation ends before it, and no callback comes after",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "provider", provide, 0 },
		{ "ender", end, 0 },
	},
};

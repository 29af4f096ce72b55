/* SPDX-License-Identifier: MIT
 *
 * Law: a handle that is made beside nng_fini belongs to the engine that ends, and is stopped, or to the next one,
 * which its maker has started, and works; and the records that both engines use are handed from one to the other.
 * (C1, C5; P12; engine.c, stop_slot; DESIGN 5: re-initialisation.)
 *
 * Method: the engine runs, one shard with a thread. The consumer allocates, starts, finishes by itself, waits and frees,
 * beside nng_fini; then the engine that may have been started is ended too.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t worked; /* ledger */

static void
setup(void)
{
	pw_life_setup(1, 0, true);
	nng_aio *slot = (nng_aio *) pw_fleet_nth(0)->arena.slabs->base;
	pw_store_relaxed_64(&slot->word, PW_IDLE | PW_STOPPED | PW_FREEING); /* it has been a handle before */
	worked = 0;
}

static void
consume(void)
{
	pw_handle_open(&handle, "aio", NULL);
	bool accepted = pw_handle_start(&handle);
	pw_explore_set(&worked, accepted);
	pw_explore_set(&handle.refused, !accepted);
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	uint64_t callbacks = pw_explore_get(&handle.callbacks);
	PW_EXPLORE_ASSERT(callbacks == 1 || !accepted, "C1: %lu callbacks", (unsigned long) callbacks);
	PW_EXPLORE_ASSERT(accepted || nng_aio_result(handle.aio) == NNG_ESTOPPED, "a fresh handle is refused, and not stopped");
	pw_handle_free(&handle);
}

static void
end(void)
{
	nng_fini();
	pw_explore_join(1);
	nng_fini();
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(handle.callbacks >= handle.accepted && handle.callbacks <= handle.accepted + handle.refused,
	    "C1: %lu operations, %lu callbacks", (unsigned long) handle.accepted, (unsigned long) handle.callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "%u slots were released", pw_world_released());
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_fini_alloc = {
	.name = "fini_alloc",
	.law = "a handle made beside nng_fini is stopped with the engine that ends, or works in the next one",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "ender", end, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: nng_fini ends although callbacks start another handle, and that one's the first again; what is refused on the
 * shard's thread has its callback as long as nng_fini waits for callbacks. (C1, C5; P12; engine.c, why calm is calm.)
 *
 * Method: the engine runs, one shard, two handles. The first one is reset and finished outside; each callback starts the
 * other handle, up to four operations in all. Beside it nng_fini. Both handles are freed after it.
 */
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle first;
static struct pw_handle second;
static uint64_t over;   /* ledger: nng_fini has returned */
static uint64_t starts; /* ledger: made in callbacks */

#define STARTS 3u

static void
start_other(struct pw_handle *handle)
{
	struct pw_handle *other = handle == &first ? &second : &first;
	PW_EXPLORE_ASSERT(pw_explore_get(&over) == 0, "C5: a callback after nng_fini has returned");
	if (pw_explore_get(&starts) == STARTS) {
		return;
	}
	pw_explore_add(&starts, 1);
	if (pw_handle_start(other)) {
		(void) pw_handle_finish(other, NNG_OK);
	} else {
		pw_explore_add(&other->refused, 1);
	}
}

static void
setup(void)
{
	pw_life_setup(1, 0, true);
	pw_handle_open(&first, "first", start_other);
	pw_handle_open(&second, "second", start_other);
	first.bare = true;
	second.bare = true;
	over = 0;
	starts = 0;
}

static void
begin(void)
{
	if (pw_handle_start(&first)) {
		(void) pw_handle_finish(&first, NNG_OK);
	}
}

static void
end(void)
{
	nng_fini();
	pw_explore_set(&over, 1);
	pw_explore_join(1);
	PW_EXPLORE_ASSERT(!nng_aio_busy(first.aio) && !nng_aio_busy(second.aio), "C9: busy, and no engine runs");
	pw_handle_free(&first);
	pw_handle_free(&second);
}

static void
check(void)
{
	uint64_t accepted = first.accepted + second.accepted, refused = first.refused + second.refused;
	uint64_t callbacks = first.callbacks + second.callbacks;
	PW_EXPLORE_ASSERT(callbacks >= accepted + refused, "C1: %lu operations, %lu refusals in callbacks, %lu callbacks",
	    (unsigned long) accepted, (unsigned long) refused, (unsigned long) callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "C6: free has not released the slots at once");
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_fini_callback = {
	.name = "fini_callback",
	.law = "nng_fini ends although callbacks start other handles, and their refusals have callbacks until then",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "outside", begin, 0 },
		{ "ender", end, 0 },
	},
};

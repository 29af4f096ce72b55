/* SPDX-License-Identifier: MIT
 *
 * Law: an operation that the callback begins is under way before the one before is over: who waits returns at its
 * end, and until then nothing is left of the result before. (C2, C9; DESIGN.md section 2: WAITERS stays; the high
 * half.)
 *
 * Method: the callback of the first operation begins a second one; the provider finishes that when all sleep, or at
 * once. The waiter waits for the first.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event begun;

static void
begin_next(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) == 1) {
		pw_handle_enter(h);
		PW_EXPLORE_ASSERT(nng_aio_begin(h->aio), "a begin in the callback is refused");
		pw_handle_leave(h, true);
		pw_explore_event_set(&begun);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", begin_next);
	begun = (struct pw_explore_event){ { 0 } };
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
provide(void)
{
	(void) pw_handle_finish(&handle, NNG_ECLOSED);
	pw_explore_event_wait(&begun);
	PW_EXPLORE_ASSERT(pw_word_reason(pw_handle_peek(&handle)) == 0, "the result before is still in the word");
	if (pw_explore_choose(2) != 0) {
		pw_clock_sleep_ns(1); /* until all sleep */
	}
	(void) pw_handle_finish(&handle, NNG_OK);
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
}

static void
wait_for_it(void)
{
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 2,
	    "C9: wait returned between a callback and the operation that it began");
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_begin_in_callback = {
	.name = "begin_in_callback",
	.law = "who waits returns at the end of the operation that the callback began",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "waiter", wait_for_it, 0 },
	},
};

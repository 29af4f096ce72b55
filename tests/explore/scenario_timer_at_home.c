/* SPDX-License-Identifier: MIT
 *
 * Law: an operation that the callback starts, at home, with a deadline expires at it: the timer is linked once, by
 * the starting thread itself, whether it was linked later, earlier, or not at all. (C7; DESIGN.md section 4; home.c,
 * I4.)
 *
 * Method: a first operation with a timeout of 2 ms, or none, is finished; its callback starts a second one with 1 or
 * 4 ms. The clock passes 2 ms at any time after that. The second ends by its deadline alone; or the consumer finishes
 * it, and frees the handle with its timer linked.
 */
#include "engine/base/clock.h"
#include "engine/shard/fleet.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event restarted;
static struct pw_explore_event finished; /* the first operation, so that the clock may pass */
static uint64_t timeout_ms;              /* ledger: of the second operation */
static uint64_t started_ns;              /* ledger: no later than its start */

static void
restart(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) == 1) {
		nng_aio_set_timeout(h->aio, (nng_duration) pw_explore_get(&timeout_ms));
		pw_explore_set(&started_ns, pw_clock_now_ns());
		PW_EXPLORE_ASSERT(pw_handle_start(h), "the callback's start is refused");
		pw_explore_event_set(&restarted);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", restart);
	restarted = finished = (struct pw_explore_event){ { 0 } };
	timeout_ms = 0;
	started_ns = 0;
}

static void
consume(void)
{
	if (pw_explore_choose(2) != 0) {
		nng_aio_set_timeout(handle.aio, 2);
	}
	pw_explore_set(&timeout_ms, pw_explore_choose(2) != 0 ? 4 : 1);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_explore_event_set(&finished);
	if (pw_explore_choose(2) != 0) {
		nng_aio_wait(handle.aio);
	} else {
		pw_explore_event_wait(&restarted);
		(void) pw_handle_finish(&handle, NNG_OK);
	}
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 2, "C9: wait returned before the second callback");
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == (int) pw_explore_get(&handle.won_result),
	    "C2: the result is %d", nng_aio_result(handle.aio));
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) != NNG_ETIMEDOUT ||
		pw_clock_now_ns() >= pw_explore_get(&started_ns) + pw_explore_get(&timeout_ms) * PW_NS_PER_MS,
	    "C7: it expired early");
	pw_handle_free(&handle);
}

static void
pass_time(void)
{
	pw_explore_event_wait(&finished);
	pw_explore_advance_ns(2 * PW_NS_PER_MS + (UINT64_C(1) << 16));
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	PW_EXPLORE_ASSERT(pw_fleet_nth(0)->wheel.count == 0, "the wheel still holds an entry");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_timer_at_home = {
	.name = "timer_at_home",
	.law = "an operation that the callback starts with a deadline expires at it",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "clock", pass_time, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: an expiry belongs to its operation: whatever home is doing with the timer while the operation is finished and the
 * callback starts the next one, that one ends by its own deadline, not before it, or by its finish. (C1, C2, C7;
 * DESIGN.md section 4: a racing start sees TIMER or wins.)
 *
 * Method: a first operation with a timeout of 1 ms races its finish and the clock; its callback starts a second one with
 * 4 ms. The finisher finishes that as well, or leaves it to its deadline.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t started_ns[2]; /* ledger: no later than the starts */

static void
on_callback(struct pw_handle *h)
{
	uint64_t n = pw_explore_get(&h->callbacks);
	uint64_t timeout_ns = (n == 1 ? 1 : 4) * PW_NS_PER_MS;
	if (nng_aio_result(h->aio) == NNG_ETIMEDOUT) {
		PW_EXPLORE_ASSERT(pw_clock_now_ns() >= pw_explore_get(&started_ns[n - 1]) + timeout_ns,
		    "C7: operation %lu expired early", (unsigned long) n);
	}
	if (n == 1) {
		nng_aio_set_timeout(h->aio, 4);
		pw_explore_set(&started_ns[1], pw_clock_now_ns());
		PW_EXPLORE_ASSERT(pw_handle_start(h), "the callback's start is refused");
		pw_explore_event_set(&h->started);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", on_callback);
	nng_aio_set_timeout(handle.aio, 1);
	started_ns[0] = pw_clock_now_ns();
	started_ns[1] = 0;
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_explore_event_wait(&handle.started);
	if (pw_explore_choose(2) != 0) {
		(void) pw_handle_finish(&handle, NNG_OK);
	}
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) == 2, "C9: wait returned before the last callback");
	pw_handle_free(&handle);
}

static void
pass_time(void)
{
	pw_explore_advance_ns(2 * PW_NS_PER_MS);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_expiry_restart = {
	.name = "expiry_restart",
	.law = "an expiry that races finish and restart ends its own operation or none",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "clock", pass_time, 0 },
	},
};

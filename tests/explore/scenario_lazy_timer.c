/* SPDX-License-Identifier: MIT
 *
 * Law: an operation with a deadline expires, never early and not late, although the timer is lazy: the entry of the
 * operation before it is still linked, and home may be visiting it at this moment. (C7; DESIGN.md section 4: ARM,
 * TIMER.)
 *
 * Method: a first operation with a timeout of 2 ms is finished; a second one is started from outside with 1 ms (must
 * arm) or 4 ms (must not), while the clock passes 2 ms and home visits the stale entry. Nothing but its deadline ends
 * the second: if its timer is lost, all sleep.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

#define TICK_NS (UINT64_C(1) << 16)
#define PASSED_NS (2 * PW_NS_PER_MS + TICK_NS)

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
}

static void
consume(void)
{
	nng_aio_set_timeout(handle.aio, 2);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);

	nng_duration timeout_ms = pw_explore_choose(2) != 0 ? 4 : 1;
	nng_aio_set_timeout(handle.aio, timeout_ms);
	uint64_t before_ns = pw_clock_now_ns();
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
	pw_handle_wait(&handle);
	uint64_t after_ns = pw_clock_now_ns();
	uint64_t deadline_ns = before_ns + (uint64_t) timeout_ms * PW_NS_PER_MS;
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_ETIMEDOUT, "the result is %d",
	    nng_aio_result(handle.aio));
	PW_EXPLORE_ASSERT(after_ns >= deadline_ns, "C7: it expired %lu ns early",
	    (unsigned long) (deadline_ns - after_ns));
	/* The clock's one jump may come between start's reading and its deadline, or when the deadline has passed. */
	PW_EXPLORE_ASSERT(after_ns <= deadline_ns + PASSED_NS + 2 * TICK_NS, "C7: it expired %lu ns late",
	    (unsigned long) (after_ns - deadline_ns));
	pw_handle_free(&handle);
}

static void
pass_time(void)
{
	pw_explore_advance_ns(PASSED_NS);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(handle.accepted == 2, "there were %lu operations", (unsigned long) handle.accepted);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_lazy_timer = {
	.name = "lazy_timer",
	.law = "a restart while home visits the stale timer entry expires at its own deadline",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "clock", pass_time, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: sleeps on several shards that are aborted, stopped, started anew in their callbacks and freed end once each, not
 * early, and nothing touches them afterwards. (C1, C5, C6, C7.)
 *
 * Method: three sleeps of different lengths on two shards, each started again once by its callback; an aborter, a stopper,
 * and a consumer that lets the clock pass some of the ends and frees. For random and pct search.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

#define SLEEPS 3u

static struct pw_handle handle[SLEEPS];
static uint64_t started_ns[SLEEPS]; /* ledger: no later than the last start */

static void
sleep_again(struct pw_handle *h)
{
	unsigned i = (unsigned) (h - handle);
	int result = nng_aio_result(h->aio);
	PW_EXPLORE_ASSERT(result == NNG_OK || result == NNG_ECANCELED || result == NNG_ESTOPPED, "the result is %d",
	    result);
	if (result == NNG_OK) {
		PW_EXPLORE_ASSERT(pw_clock_now_ns() >= pw_explore_get(&started_ns[i]) + (i + 1) * PW_NS_PER_MS,
		    "C7: sleep %u ended early", i);
	}
	if (pw_explore_get(&h->callbacks) == 1 && result != NNG_ESTOPPED) {
		pw_explore_set(&started_ns[i], pw_clock_now_ns());
		pw_explore_add(&h->accepted, 1); /* or refused: one callback either way */
		nng_sleep_aio((nng_duration) i + 1, h->aio);
	}
}

static void
setup(void)
{
	static const char *const name[SLEEPS] = { "sleep 0", "sleep 1", "sleep 2" };
	pw_world_setup(2);
	for (unsigned i = 0; i < SLEEPS; i++) {
		pw_handle_open(&handle[i], name[i], sleep_again);
		handle[i].engine_provides = true;
		handle[i].accepted = 1;
		started_ns[i] = pw_clock_now_ns();
		nng_sleep_aio((nng_duration) i + 1, handle[i].aio);
	}
}

static void
consume(void)
{
	pw_explore_advance_ns(PW_NS_PER_MS);
	pw_explore_advance_ns(PW_NS_PER_MS);
	nng_aio_wait(handle[0].aio);
	(void) pw_explore_join(3);
	(void) pw_explore_join(4);
	for (unsigned i = 0; i < SLEEPS; i++) {
		pw_handle_free(&handle[i]);
	}
}

static void
abort_them(void)
{
	for (unsigned i = 0; i < SLEEPS; i++) {
		nng_aio_abort(handle[i].aio, NNG_ECANCELED);
	}
}

static void
stop_two(void)
{
	nng_aio_stop(handle[2].aio);
	nng_aio_stop(handle[1].aio);
}

static void
check(void)
{
	for (unsigned i = 0; i < SLEEPS; i++) {
		pw_handle_check(&handle[i]);
	}
	PW_EXPLORE_ASSERT(pw_world_released() == SLEEPS, "%u slots were released", pw_world_released());
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_large_sleeps = {
	.name = "large_sleeps",
	.law = "three sleeps on two shards, aborted, stopped, restarted and freed at once",
	.setup = setup,
	.check = check,
	.large = true,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_them, 0 },
		{ "stopper", stop_two, 0 },
	},
};

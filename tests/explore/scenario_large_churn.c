/* SPDX-License-Identifier: MIT
 *
 * Law: all of them at once: every accepted operation and every owed refusal is one completion on the shard that is home,
 * with the winner's result; stop and free end; released slots are not touched. (C1, C2, C5, C6, C7, C9.)
 *
 * Method: two shards, two handles that are restarted by their callbacks on the shard they are on, or on the other one from
 * outside, with a deadline in the first and none in the second; three threads finish, abort, stop and let time pass. Too
 * large to be explored to its end: for random and pct search.
 */
#include "engine/base/clock.h"
#include "tests/explore/world.h"

#define RESTARTS 3u

static struct pw_handle handle[2];

static void
on_callback(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) >= RESTARTS) {
		return;
	}
	bool told = nng_aio_result(h->aio) == NNG_ESTOPPED;
	if (!pw_handle_start_on(h, (unsigned) pw_explore_choose(2))) {
		pw_explore_add(&h->refused, !told); /* R9, R10 */
	}
}

static void
setup(void)
{
	pw_world_setup(2);
	pw_handle_open(&handle[0], "first", on_callback);
	pw_handle_open(&handle[1], "second", on_callback);
	nng_aio_set_timeout(handle[0].aio, 1);
}

static void
consume(void)
{
	for (unsigned i = 0; i < 2; i++) {
		PW_EXPLORE_ASSERT(pw_handle_start_on(&handle[i], 1 - i), "an idle handle refuses to start");
		pw_explore_event_set(&handle[i].started);
	}
	pw_explore_advance_ns(2 * PW_NS_PER_MS);
	(void) pw_explore_join(3);
	nng_aio_stop(handle[1].aio);
	nng_aio_stop(handle[0].aio);
	(void) pw_explore_join(4);
	pw_handle_free(&handle[0]);
	pw_handle_free(&handle[1]);
}

static void
finish(void)
{
	for (unsigned i = 0; i < 2 * RESTARTS; i++) {
		pw_explore_event_wait(&handle[i % 2].started);
		(void) pw_handle_finish(&handle[i % 2], NNG_OK);
	}
}

static void
abort_them(void)
{
	for (unsigned i = 0; i < 2 * RESTARTS; i++) {
		nng_aio_abort(handle[i % 2].aio, NNG_ECANCELED);
	}
}

static void
check(void)
{
	pw_handle_check(&handle[0]);
	pw_handle_check(&handle[1]);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "%u slots were released", pw_world_released());
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_large_churn = {
	.name = "large_churn",
	.law = "two shards, two handles, five threads: everything at once",
	.setup = setup,
	.check = check,
	.large = true,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish, 0 },
		{ "aborter", abort_them, 0 },
	},
};

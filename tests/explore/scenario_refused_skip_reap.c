/* SPDX-License-Identifier: MIT
 *
 * Law: with a reap pending a refused start calls the callback as usual, although skip_callback was asked for, and
 * *skipped says so; behind that callback home releases the slot. (C1, C6; CONTRACT.md: skip_callback, R9.)
 *
 * Method: the callback of a finished operation closes the handle or does not, asks for skip and starts again; the
 * reaper reaps at any time. The start is refused, or the reap aborts what it began.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t reaped; /* ledger: the reap has returned */

static void
start_again(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) != 1 || nng_aio_result(h->aio) == NNG_ESTOPPED) {
		return;
	}
	if (pw_explore_choose(2) != 0) {
		pinwheel_aio_close(h->aio);
	}
	bool skipped = false, pending = pw_explore_get(&reaped) != 0;
	nng_aio_skip_callback(h->aio, &skipped);
	if (!pw_handle_start(h)) {
		PW_EXPLORE_ASSERT(!(pending && skipped), "the callback is skipped, and a reap is pending");
		pw_explore_add(&h->refused, !skipped);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", start_again);
	reaped = 0;
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
provide(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
reap_it(void)
{
	nng_aio_reap(handle.aio);
	pw_explore_set(&reaped, 1);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_refused_skip_reap = {
	.name = "refused_skip_reap",
	.law = "with a reap pending a refused start calls the callback, although skip was asked for",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "reaper", reap_it, 0 },
	},
};

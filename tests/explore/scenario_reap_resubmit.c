/* SPDX-License-Identifier: MIT
 *
 * Law: a reap ends a handle whose callback resubmits blindly: the operation is aborted, the next start refused, the
 * slot released. (C5, C6; DESIGN.md section 2: reap sets STOPPED.)
 *
 * Method: the callback always starts again; the provider finishes the first operation; the reaper reaps at any time,
 * and nothing else ends the second.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;

static void
resubmit(struct pw_handle *h)
{
	bool told = nng_aio_result(h->aio) == NNG_ESTOPPED;
	if (!pw_handle_start(h) && !told) {
		pw_explore_add(&h->refused, 1); /* R9; told NNG_ESTOPPED: R10, no further callback */
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", resubmit);
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
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_reap_resubmit = {
	.name = "reap_resubmit",
	.law = "a reap ends a handle whose callback resubmits",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "provider", provide, 0 },
		{ "reaper", reap_it, 0 },
	},
};

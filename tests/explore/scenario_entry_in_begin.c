/* SPDX-License-Identifier: MIT
 *
 * Law: the entry of an abort that hit an earlier operation, and comes to home while the next one is begun and itself
 * has an abort to remember, carries nothing out: the abort waits for defer, and calls the cancel function then, once.
 * (C3, C4; CONTRACT.md R12; DESIGN.md section 2: a request carries no operation.)
 *
 * Method: an operation is finished and awaited; then reset, begin and defer. The aborter aborts twice, at any time. Where
 * the second operation was not aborted it is finished.
 */
#include "tests/explore/world.h"

#define ABORTER 2

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	uint64_t before = pw_explore_get(&handle.cancels);
	pw_handle_enter(&handle);
	nng_aio_reset(handle.aio);
	PW_EXPLORE_ASSERT(nng_aio_begin(handle.aio), "an idle handle refuses to begin");
	nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	pw_handle_leave(&handle, true);
	(void) pw_explore_join(ABORTER);
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(pw_explore_get(&handle.cancels) <= before + 1, "cancelled twice");
	pw_handle_free(&handle);
}

static void
abort_twice(void)
{
	nng_aio_abort(handle.aio, NNG_ECANCELED);
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_entry_in_begin = {
	.name = "entry_in_begin",
	.law = "the entry of an earlier abort carries nothing out between begin and defer",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_twice, 0 },
	},
};

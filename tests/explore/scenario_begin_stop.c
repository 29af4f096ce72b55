/* SPDX-License-Identifier: MIT
 *
 * Law: once a stop has returned every begin is refused, however it raced with one before; an operation that was begun
 * first ends. (C5; CONTRACT.md R8, R9.)
 *
 * Method: the consumer begins and finishes while the stopper stops, and once more when the stop has returned.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t stopped; /* ledger: stop has returned */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	stopped = 0;
}

static void
begin_and_finish(void)
{
	bool late = pw_explore_get(&stopped) != 0;
	pw_handle_enter(&handle);
	bool accepted = nng_aio_begin(handle.aio);
	pw_handle_leave(&handle, accepted);
	PW_EXPLORE_ASSERT(!(late && accepted), "C5: a stopped handle begins");
	pw_explore_add(&handle.refused, !accepted);
	(void) pw_handle_finish(&handle, NNG_OK);
	pw_handle_wait(&handle);
}

static void
consume(void)
{
	begin_and_finish();
	(void) pw_explore_join(2);
	begin_and_finish();
	pw_handle_free(&handle);
}

static void
stop_it(void)
{
	nng_aio_stop(handle.aio);
	pw_explore_set(&stopped, 1);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_begin_stop = {
	.name = "begin_stop",
	.law = "once a stop has returned every begin is refused",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "stopper", stop_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: the abort of a close or stop goes to the shard that the operation it hits was started on, though the aio has
 * just moved there. (C3, C5; P3: `home` is stored before start's compare-and-swap, and read after the abort's.)
 *
 * Method: two shards; the consumer starts on shard 1 while the closer closes the handle. The start is refused, or the
 * close ends the operation; nothing else does.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;

static void
setup(void)
{
	pw_world_setup(2);
	pw_handle_open(&handle, "aio", NULL);
}

static void
consume(void)
{
	if (!pw_handle_start_on(&handle, 1)) {
		pw_explore_add(&handle.refused, 1);
	}
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_ESTOPPED, "the result is %d", nng_aio_result(handle.aio));
	(void) pw_explore_join(3);
	pw_handle_free(&handle);
}

static void
close_it(void)
{
	pinwheel_aio_close(handle.aio);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_close_finds_home = {
	.name = "close_finds_home",
	.law = "the abort of a close goes to the shard that its operation was started on",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "shard 0", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "closer", close_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: two threads that need the engine first start it once, and both see it whole: the number of its shards, its
 * configuration and its records. (P12: the fleet's state; engine.c, pw_engine_ensure.)
 *
 * Method: no engine runs. Two threads allocate a handle each, start it, finish it and free it; then nng_fini.
 */
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_handle handle[2];

static void
setup(void)
{
	pw_life_setup(1, 0, false);
}

static void
live(void)
{
	unsigned i = pw_explore_self() - 1;
	if (pinwheel_shard_count() != 0) { /* the other one has started it */
		(void) pw_plain_read(&pw_life_settings);
	}
	pw_handle_open(&handle[i], i == 0 ? "first" : "second", NULL);
	PW_EXPLORE_ASSERT(pw_handle_start(&handle[i]), "an idle handle refuses to start");
	(void) pw_handle_finish(&handle[i], NNG_OK);
	pw_handle_free(&handle[i]);
}

static void
end(void)
{
	pw_explore_join(1);
	pw_explore_join(2);
	nng_fini();
}

static void
check(void)
{
	pw_handle_check(&handle[0]);
	pw_handle_check(&handle[1]);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "%u slots were released", pw_world_released());
	pw_life_check_ended();
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_start_once = {
	.name = "start_once",
	.law = "two threads that need the engine first start it once, and both see it whole",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "first", live, 0 },
		{ "second", live, 0 },
		{ "ender", end, 0 },
	},
};

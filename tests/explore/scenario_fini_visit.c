/* SPDX-License-Identifier: MIT
 *
 * Law: between pw_fleet_visit and pw_fleet_leave the shards' settings stay as they are: nng_fini waits for who is inside,
 * and the next start, which writes them, comes after; who comes later is let in when they are written, or not at all.
 * (P12; fleet.h, visitors.)
 *
 * Method: the engine runs, one shard. Two visitors read settings plainly, as pinwheel_stats does; beside them nng_fini,
 * and a start of the next engine, and its end.
 */
#include "engine/shard/fleet.h"
#include "tests/explore/life.h"
#include "tests/explore/world.h"

static struct pw_plain description; /* written under a closed door only, as settings are */
static uint64_t visits;             /* ledger */

static void
setup(void)
{
	pw_life_setup(1, 0, true);
	visits = 0;
}

static void
visit(void)
{
	if (pw_fleet_visit()) {
		(void) pw_plain_read(&description);
		pw_explore_add(&visits, 1);
		pw_fleet_leave();
	}
}

static void
end(void)
{
	nng_fini();
	pw_plain_write(&description, 1);
	(void) nng_init(NULL);
	nng_fini();
}

static void
check(void)
{
	pw_life_check_ended();
}

const struct pw_explore_scenario pw_scenario_fini_visit = {
	.name = "fini_visit",
	.law = "nng_fini waits for visitors, and the next start lets them in when all is written",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_life_thread, PW_EXPLORE_DAEMON },
		{ "ender", end, 0 },
		{ "visitor", visit, 0 },
		{ "second", visit, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * engine_life.c: the engine's engine.c, whole, with a door to what it keeps between its starts, so that each execution
 * can begin with the same.
 */
#include "engine/aio/engine.c"

#include "tests/explore/life.h"

void
pw_life_keep_engine(void)
{
	pw_explore_keep(&starter, sizeof(starter));
	pw_explore_keep(&users, sizeof(users));
	pw_explore_keep(&adopted.count, sizeof(adopted.count));
}

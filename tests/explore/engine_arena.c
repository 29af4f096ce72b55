/* SPDX-License-Identifier: MIT
 *
 * engine_arena.c: the engine's arena.c, whole, with a door to what it keeps for the life of the process, so that each
 * execution can begin with an arena that has never grown.
 */
#include "engine/shard/arena.c"

#include "tests/explore/seam.h"

void
pw_seam_arena_keep(void)
{
	pw_explore_keep(&slab_numbers_used, sizeof(slab_numbers_used));
	pw_explore_keep(&memory_calls, sizeof(memory_calls));
}

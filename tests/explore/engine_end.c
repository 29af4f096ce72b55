/* SPDX-License-Identifier: MIT
 *
 * engine_end.c: the engine's end.c, whole, with a door to what it keeps for the life of the process, so that each
 * execution can begin with pools that are empty.
 */
#include "engine/stream/end.c"

#include "tests/explore/object.h"

void
pw_object_keep(void)
{
	pw_explore_keep(state_of, 2 * sizeof(state_of[0]));
}

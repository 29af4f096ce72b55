/* SPDX-License-Identifier: MIT
 *
 * Law: a slot is given out to one at a time and never lost, whoever allocates and gives back while the arena grows; where
 * there is no memory to grow, an allocation says so and changes nothing. (P11, P15; arena.c I1 to I4.)
 *
 * Method: an arena without a slab. Two threads allocate, write to the slot and give it back, twice each. The allocator may
 * fail once, at any of its calls.
 */
#include <string.h>

#include "engine/shard/arena.h"
#include "tests/explore/explore.h"
#include "tests/explore/plain.h"
#include "tests/explore/seam.h"

static struct pw_arena arena;
static uint64_t refused; /* ledger: allocations that got nothing */

static void
setup(void)
{
	if (pw_explore_first()) {
		pw_explore_on_access = NULL;
		pw_seam_heap_begin();
		pw_memory_set_allocator(pw_seam_heap_alloc, pw_seam_heap_zalloc, pw_seam_heap_free);
		pw_seam_heap_keep(NULL, 0, 0);
		pw_seam_arena_keep();
		pw_explore_name(&arena, sizeof(arena), "arena", NULL);
	}
	pw_arena_init(&arena);
	refused = 0;
	pw_seam_allocations_fail(1);
}

static void
use_slots(void)
{
	for (int i = 0; i < 2; i++) {
		uint32_t number;
		char *slot = pw_arena_alloc(&arena, &number);
		if (slot == NULL) {
			pw_explore_add(&refused, 1);
			continue;
		}
		pw_plain_write((struct pw_plain *) (void *) (slot + sizeof(pw_a64)), 1);
		PW_EXPLORE_ASSERT(pw_arena_of(number) == &arena, "slot %u belongs to another arena", number);
		pw_arena_release(&arena, number);
	}
}

static void
check(void)
{
	pw_seam_allocations_fail(0);
	pw_arena_check(&arena);
	PW_EXPLORE_ASSERT(refused <= 1, "one failure of the allocator, and %lu allocations have got nothing",
	    (unsigned long) refused);
	PW_EXPLORE_ASSERT(pw_load_relaxed_64(&arena.allocated) == 4 - refused &&
		pw_load_relaxed_64(&arena.released) == 4 - refused, "slots are lost");
}

const struct pw_explore_scenario pw_scenario_arena_grows = {
	.name = "arena_grows",
	.law = "slots are given out to one at a time and never lost, while the arena grows or cannot",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "first", use_slots, 0 },
		{ "second", use_slots, 0 },
	},
};

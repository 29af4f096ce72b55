/* SPDX-License-Identifier: MIT
 *
 * Law: a slot given back to a slab that had none left is found again, and a slab is listed once, whoever gives back
 * and allocates at the same time. (P11, P15; arena.c I1 to I4.)
 *
 * Method: two slabs, both full, the second one current. Two threads give back a slot of the first each, in different
 * words of its map; the third allocates twice.
 */
#include "engine/shard/arena.h"
#include "tests/explore/explore.h"
#include "tests/explore/plain.h"
#include "tests/explore/seam.h"

static struct pw_arena arena;
static uint32_t first; /* the first slab's first slot */

static void
fill(void)
{
	uint32_t number;
	void *base[2] = { NULL, NULL };
	pw_arena_init(&arena);
	for (unsigned i = 0; i < 2 * PW_SLOTS_PER_SLAB; i++) {
		void *slot = pw_arena_alloc(&arena, &number);
		PW_EXPLORE_ASSERT(slot != NULL, "no slab");
		if (i % PW_SLOTS_PER_SLAB == 0) {
			base[i / PW_SLOTS_PER_SLAB] = slot;
			first = i == 0 ? number : first;
		}
	}
	pw_seam_heap_keep(base, 2, PW_SLAB_SIZE);
	pw_seam_arena_keep();
	pw_explore_keep(&arena, sizeof(arena));
}

static void
setup(void)
{
	if (pw_explore_first()) {
		pw_explore_on_access = NULL;
		pw_seam_heap_begin();
		pw_memory_set_allocator(pw_seam_heap_alloc, pw_seam_heap_zalloc, pw_seam_heap_free);
		pw_explore_name(&arena, sizeof(arena), "arena", NULL);
		fill();
	}
}

static void
use(void *slot)
{
	pw_plain_write((struct pw_plain *) (void *) ((char *) slot + sizeof(pw_a64)), 1);
}

/* Thread i gives back a slot of the map's word i. */
static void
give_back(void)
{
	uint32_t number = first + pw_explore_self() * 64;
	use(pw_slot_address(number));
	pw_arena_release(&arena, number);
}

static void
allocate_two(void)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t number;
		void *slot = pw_arena_alloc(&arena, &number);
		PW_EXPLORE_ASSERT(slot != NULL, "no memory");
		use(slot);
	}
}

static void
check(void)
{
	pw_arena_check(&arena);
}

const struct pw_explore_scenario pw_scenario_arena_full = {
	.name = "arena_full",
	.law = "a slot given back to a full slab is found again, and a slab is listed once",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "first", give_back, 0 },
		{ "second", give_back, 0 },
		{ "allocator", allocate_two, 0 },
	},
};

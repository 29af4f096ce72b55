/* SPDX-License-Identifier: MIT
 *
 * arena.h: the slots of one shard: type-stable 256-byte cells in 64 KiB slabs. See arena.c for its book.
 *
 * who          function            progress
 * any thread   pw_arena_alloc      takes the arena's lock: may block on another allocator of the same arena, for
 *                                  as long as it needs for two allocations of memory
 * any thread   pw_arena_release    lock-free
 * any thread   pw_arena_walk       takes the arena's lock
 *
 * A slot's memory is never returned while the process lives, and its first 64-bit word is only changed by RMW, so
 * a late reader of the word is harmless.
 */
#ifndef PINWHEEL_SHARD_ARENA_H
#define PINWHEEL_SHARD_ARENA_H

#include <stddef.h>

#include "engine/base/atomic.h"
#include "engine/base/lock.h"
#include "engine/shard/slot.h"

#define PW_SLAB_WORDS (PW_SLOTS_PER_SLAB / 64)
#define PW_SLABS_PER_CHUNK 32u /* slabs in one allocation of memory, at most: 2 MiB */

struct pw_arena;

struct pw_slab {
	/* Bit set: the slot is free. */
	_Alignas(64) pw_a64 free_map[PW_SLAB_WORDS];
	struct pw_slab *room_next; /* while listed: the next one with room */
	pw_a32 listed;             /* 1: on the arena's room stack or room list, or about to be pushed there */
	uint32_t number;           /* in pw_slot_table */
	char *base;
	struct pw_slab *next; /* all slabs of the arena; pushed under the lock */
	struct pw_arena *arena;
};

struct pw_arena {
	struct pw_lock lock;
	/* under the lock */
	struct pw_slab *slabs;     /* all of them, newest first */
	struct pw_slab *current;   /* where the next allocation looks first; NULL before the first one */
	struct pw_slab *room_list; /* taken off the room stack, not yet looked at */
	unsigned memory_arena;     /* jemalloc's arena index; unused with the system allocator */
	/* written under the lock, read by anyone */
	pw_a64 slab_count;
	pw_a64 allocated; /* slots given out, ever */
	/* RMW, any thread; on a line of their own */
	_Alignas(64) pw_aptr room_stack; /* slabs in which a slot was released */
	pw_a64 released;                 /* slots given back, ever */
};

void pw_arena_init(struct pw_arena *arena);
/* A slot whose word (its first 8 bytes) is what its last life left, 0 if it had none; everything else is undefined.
 * *slot_number as slot.h. NULL: out of memory, or the slot table is full. */
void *pw_arena_alloc(struct pw_arena *arena, uint32_t *slot_number);
/* The arena that a slot given out belongs to. */
struct pw_arena *pw_arena_of(uint32_t slot_number);
/* Gives back a slot of this arena. The caller has touched it for the last time. */
void pw_arena_release(struct pw_arena *arena, uint32_t slot_number);
/* Calls visit for every slot that is given out during the whole call. One that is released meanwhile, or was given
 * out just before and is not written yet, may be visited too: visit looks at the word first, and at nothing else
 * where the word tells it that the slot is not its to read. Takes the lock, so no slot is given out during the
 * walk; visit may release slots, not allocate. */
void pw_arena_walk(struct pw_arena *arena, void (*visit)(void *context, void *slot, uint32_t slot_number),
    void *context);
/* Debug: every invariant of arena.c by brute force; aborts with the number of the broken one. The caller sees to it
 * that no thread is inside pw_arena_release. */
void pw_arena_check(struct pw_arena *arena);

/* Memory for engine records (slabs, shards, streams): zeroed, 64-byte aligned, from the arena's allocator; NULL:
 * none. A failure can be injected: pw_memory_fail_after(n) makes the (n+1)th call from now fail, once;
 * negative: never. Any thread. */
void *pw_memory_alloc(unsigned memory_arena, size_t size);
/* NULL: no effect. */
void pw_memory_free(void *memory, size_t size);
/* 0, the allocator's common arena, where no new one can be had. */
unsigned pw_memory_arena_new(void);
void pw_memory_fail_after(int64_t calls);
uint64_t pw_memory_calls(void);

/* The application's allocator (nng_init_params), from the next pw_memory_alloc on; all three NULL: the built-in one
 * again. What was allocated before goes back to where it came from. No other call may run beside this one. */
void pw_memory_set_allocator(void *(*alloc)(size_t), void *(*zalloc)(size_t, size_t),
    void (*release)(void *, size_t));

#endif

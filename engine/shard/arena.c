/* SPDX-License-Identifier: MIT
 *
 * arena.c: the slots of one shard, and the only door to the allocator.
 *
 * What it is: a free map of 256 bits per slab, a list of the slabs that may have room, and the table that turns a
 * slot number into an address. What it is not: a general allocator (one size; memory is never returned while the
 * process lives, which is what lets a late reader look at a slot's word), or a thing with caches per thread (an aio
 * is allocated once and started a million times).
 *
 * Allocation is under the arena's lock and looks at one slab, `current`, until that is full; then at the next one
 * that is known to have room; then it grows. It never searches: ten million slots with one free among them cost
 * what an empty arena costs. Release sets the slot's bit, and, when it has turned a word of the map from 0 to not 0,
 * makes the slab known:
 *
 *   release, any thread                          alloc, under the lock
 *   1  old = map |= bit        (P11 release)      1  take the room stack (or the list that is left of it)
 *   2  old was not 0: done                        2  listed = 0                       (exchange, P15)
 *   3  listed was 1 before = 1: done  (P15)       3  take bits until all words are 0  (P11 acquire)
 *   4  push the slab on the room stack            4  go to 1
 *
 * Nothing is lost: a bit that step 3 of alloc did not see was set after that word was seen 0, so its release found
 * old = 0 (or another release did, between the two) and goes on to its step 3. There it either is first, and pushes,
 * or finds listed = 1, and the exchange that clears listed comes later and has acquired its bit. A releaser that is
 * suspended between 1 and 4 hides the free slots of its word, 64 at most, until it goes on (the arena grows instead),
 * and stops nobody.
 * The stack has one consumer at a time (the lock) that takes everything, so it knows no ABA.
 *
 * Invariants, tested by pw_arena_check when no release is under way:
 *   I1  a slab with a free slot is `current`, or listed
 *   I2  listed slabs are on the room stack or the room list, each exactly once, and only they are
 *   I3  256 * slabs = free slots + allocated - released
 *   I4  pw_slot_table and slab_record agree with the slab, and its slots are 64-byte aligned
 *
 * Limits: 2^20 slabs in the process (268 million slots, 64 GiB). Growth is by an eighth of what is there, one slab
 * at least and 2 MiB at most, so that memory which nobody uses stays below 12 %, and far below 1 % with a million
 * slots. A slab's record costs 128 bytes, half a byte per slot. The two tables are 16 MiB of address space, of
 * which only the pages in use are ever touched.
 *
 * The idea: Bonwick's slab allocator; the free lists of mimalloc's pages, one owner and many who give back.
 */
#include "engine/shard/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define PW_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PW_ARENA_ASAN 1
#endif
#endif

#if defined(PW_ARENA_ASAN)
#include <sanitizer/asan_interface.h>
#elif (!defined(NDEBUG) || defined(PINWHEEL_VALGRIND)) && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define PW_ARENA_VALGRIND 1
#endif
#endif

#define WORD_SIZE sizeof(pw_a64) /* the part of a slot that late readers may look at */

char *pw_slot_table[PW_SLABS_MAX];
/* As pw_slot_table: written once per slab, before any slot of it is given out. */
static struct pw_slab *slab_record[PW_SLABS_MAX];
static pw_a64 slab_numbers_used;

/* A free slot may not be touched, but for its word. */
static void
poison(void *slot)
{
#if defined(PW_ARENA_ASAN)
	ASAN_POISON_MEMORY_REGION((char *) slot + WORD_SIZE, PW_SLOT_SIZE - WORD_SIZE);
#elif defined(PW_ARENA_VALGRIND)
	(void) VALGRIND_MAKE_MEM_NOACCESS((char *) slot + WORD_SIZE, PW_SLOT_SIZE - WORD_SIZE);
#else
	(void) slot;
#endif
}

static void
unpoison(void *slot)
{
#if defined(PW_ARENA_ASAN)
	ASAN_UNPOISON_MEMORY_REGION((char *) slot + WORD_SIZE, PW_SLOT_SIZE - WORD_SIZE);
#elif defined(PW_ARENA_VALGRIND)
	(void) VALGRIND_MAKE_MEM_UNDEFINED((char *) slot + WORD_SIZE, PW_SLOT_SIZE - WORD_SIZE);
#else
	(void) slot;
#endif
}

void
pw_arena_init(struct pw_arena *arena)
{
	memset(arena, 0, sizeof(*arena));
	arena->lock = (struct pw_lock) PW_LOCK_INITIALIZER;
	arena->memory_arena = pw_memory_arena_new();
}

/* `count` successive slab numbers; false: the table has no room for them. */
static bool
reserve_numbers(uint32_t count, uint32_t *first)
{
	/* Relaxed: the number is handed over by what hands over the slot. */
	uint64_t used = pw_load_relaxed_64(&slab_numbers_used);
	do {
		if (used + count > PW_SLABS_MAX) {
			return false;
		}
	} while (!pw_cas_relaxed_64(&slab_numbers_used, &used, used + count));
	*first = (uint32_t) used;
	return true;
}

static void
add_slab(struct pw_arena *arena, struct pw_slab *slab, char *base, uint32_t number)
{
	slab->base = base;
	slab->number = number;
	slab->arena = arena;
	for (unsigned w = 0; w < PW_SLAB_WORDS; w++) {
		/* Relaxed: no other thread has a slot of it yet. */
		pw_store_relaxed_64(&slab->free_map[w], UINT64_MAX);
	}
	for (unsigned i = 0; i < PW_SLOTS_PER_SLAB; i++) {
		poison(base + i * PW_SLOT_SIZE);
	}
	pw_slot_table[number] = base;
	slab_record[number] = slab;
	slab->next = arena->slabs;
	arena->slabs = slab;
	pw_store_relaxed_32(&slab->listed, 1); /* relaxed: as the map */
	slab->room_next = arena->room_list;
	arena->room_list = slab;
}

/* Under the lock. New slabs on the room list; false: out of memory, and nothing has changed. */
static bool
grow(struct pw_arena *arena)
{
	uint64_t eighth = pw_load_relaxed_64(&arena->slab_count) / 8;
	uint32_t count = eighth < PW_SLABS_PER_CHUNK ? (uint32_t) eighth + (eighth == 0) : PW_SLABS_PER_CHUNK;
	size_t records_size = count * sizeof(struct pw_slab);
	uint32_t first = 0;
	struct pw_slab *records = pw_memory_alloc(arena->memory_arena, records_size);
	char *base = records != NULL ? pw_memory_alloc(arena->memory_arena, (size_t) count * PW_SLAB_SIZE) : NULL;
	if (base == NULL || !reserve_numbers(count, &first)) {
		pw_memory_free(base, (size_t) count * PW_SLAB_SIZE);
		pw_memory_free(records, records_size);
		return false;
	}
	if (count == PW_SLABS_PER_CHUNK) { /* fewer TLB misses with millions of slots; refused: small pages, no matter */
		(void) madvise(base, (size_t) count * PW_SLAB_SIZE, MADV_HUGEPAGE);
	}
	/* The lowest address ends on top of the list: pages are touched in order. */
	for (uint32_t i = count; i-- > 0;) {
		add_slab(arena, &records[i], base + (size_t) i * PW_SLAB_SIZE, first + i);
	}
	pw_count_add(&arena->slab_count, count);
	return true;
}

/* Under the lock. Takes a free slot of the slab; PW_SLOT_NONE: every word was 0 when it was looked at. */
static uint32_t
take_slot(struct pw_slab *slab)
{
	for (unsigned w = 0; w < PW_SLAB_WORDS; w++) {
		uint64_t map = pw_load_relaxed_64(&slab->free_map[w]); /* relaxed: the RMW below acquires */
		if (map != 0) {
			unsigned bit = (unsigned) __builtin_ctzll(map);
			/* P11 acquire. Without it the new owner's first writes may come before the last owner's last.
			 * Only the lock's holder clears bits, so the bit is still ours. */
			(void) pw_fetch_and_acq_rel_64(&slab->free_map[w], ~(UINT64_C(1) << bit));
			return slab->number * PW_SLOTS_PER_SLAB + w * 64 + bit;
		}
	}
	return PW_SLOT_NONE;
}

/* Under the lock. The next slab that may have room; NULL: out of memory. */
static struct pw_slab *
next_with_room(struct pw_arena *arena)
{
	if (arena->room_list == NULL) {
		/* P15: over room_next of every slab on the stack. */
		arena->room_list = pw_exchange_acquire_ptr(&arena->room_stack, NULL);
	}
	if (arena->room_list == NULL && !grow(arena)) {
		return NULL;
	}
	struct pw_slab *slab = arena->room_list;
	arena->room_list = slab->room_next; /* before listed: the next lister writes room_next */
	/* P15: acquires the bits of all who found the slab listed. Without it they are neither seen nor listed. */
	(void) pw_exchange_acq_rel_32(&slab->listed, 0);
	return slab;
}

void *
pw_arena_alloc(struct pw_arena *arena, uint32_t *slot_number)
{
	uint32_t number = PW_SLOT_NONE;
	pw_lock_acquire(&arena->lock);
	if (arena->current != NULL) {
		number = take_slot(arena->current);
	}
	/* A round that finds nothing has used up a listing, and each listing was somebody's release. */
	while (number == PW_SLOT_NONE) {
		struct pw_slab *slab = next_with_room(arena);
		if (slab == NULL) {
			pw_lock_release(&arena->lock);
			return NULL;
		}
		arena->current = slab;
		number = take_slot(slab);
	}
	pw_count_add(&arena->allocated, 1);
	pw_lock_release(&arena->lock);

	void *slot = pw_slot_address(number);
	unpoison(slot);
	*slot_number = number;
	return slot;
}

struct pw_arena *
pw_arena_of(uint32_t slot_number)
{
	return slab_record[slot_number / PW_SLOTS_PER_SLAB]->arena;
}

void
pw_arena_release(struct pw_arena *arena, uint32_t slot_number)
{
	struct pw_slab *slab = slab_record[slot_number / PW_SLOTS_PER_SLAB];
	unsigned index = slot_number % PW_SLOTS_PER_SLAB;
	uint64_t bit = UINT64_C(1) << (index % 64);
	assert(slab != NULL && slab->arena == arena);

	poison(pw_slot_address(slot_number));
	/* Relaxed: a statistic; before the bit, so that it is never below what was given out again. */
	(void) pw_fetch_add_relaxed_64(&arena->released, 1);
	/* P11 release. Without it the new owner's fields are overwritten. From here on the slot is another's. */
	uint64_t old = pw_fetch_or_acq_rel_64(&slab->free_map[index / 64], bit);
	assert((old & bit) == 0); /* released twice */
	if (old != 0) {
		return; /* who made it not 0 lists the slab */
	}
	/* P15: releases our bit to the exchange that clears listed. */
	if (pw_exchange_acq_rel_32(&slab->listed, 1) != 0) {
		return;
	}
	/* Relaxed: the CAS confirms it, and it is not followed. */
	void *top = pw_load_relaxed_ptr(&arena->room_stack);
	do {
		slab->room_next = top;
		/* P15: over room_next. Without it the consumer follows a link that is not written. */
	} while (!pw_cas_release_ptr(&arena->room_stack, &top, slab));
}

void
pw_arena_walk(struct pw_arena *arena, void (*visit)(void *context, void *slot, uint32_t slot_number), void *context)
{
	pw_lock_acquire(&arena->lock);
	for (struct pw_slab *slab = arena->slabs; slab != NULL; slab = slab->next) {
		uint32_t first = slab->number * PW_SLOTS_PER_SLAB;
		for (unsigned w = 0; w < PW_SLAB_WORDS; w++) {
			/* Relaxed: who gave the slot out held the lock; one released now may be visited or not. */
			for (uint64_t used = ~pw_load_relaxed_64(&slab->free_map[w]); used != 0; used &= used - 1) {
				unsigned index = w * 64 + (unsigned) __builtin_ctzll(used);
				visit(context, slab->base + index * PW_SLOT_SIZE, first + index);
			}
		}
	}
	pw_lock_release(&arena->lock);
}

static void
expect(bool holds, unsigned invariant)
{
	if (!holds) {
		(void) fprintf(stderr, "pinwheel: arena: I%u does not hold\n", invariant);
		abort();
	}
}

/* The number of slabs on a chain, each of which must be listed; more than `limit`: one stands on it twice. */
static uint64_t
count_listed(const struct pw_slab *slab, uint64_t limit)
{
	uint64_t count = 0;
	for (; slab != NULL && count <= limit; slab = slab->room_next) {
		expect(pw_load_relaxed_32(&slab->listed) == 1, 2);
		count++;
	}
	return count;
}

void
pw_arena_check(struct pw_arena *arena)
{
	pw_lock_acquire(&arena->lock);
	uint64_t slabs = 0, listed = 0, free_slots = 0;
	for (struct pw_slab *slab = arena->slabs; slab != NULL; slab = slab->next) {
		uint64_t room = 0;
		for (unsigned w = 0; w < PW_SLAB_WORDS; w++) {
			room += (uint64_t) __builtin_popcountll(pw_load_relaxed_64(&slab->free_map[w]));
		}
		slabs++;
		listed += pw_load_relaxed_32(&slab->listed);
		free_slots += room;
		expect(room == 0 || slab == arena->current || pw_load_relaxed_32(&slab->listed) == 1, 1);
		expect(slab->arena == arena && slab_record[slab->number] == slab, 4);
		expect(pw_slot_table[slab->number] == slab->base && (uintptr_t) slab->base % 64 == 0, 4);
	}
	/* Both chains hold listed slabs only, and together as many as are listed: none is on them twice, unless
	 * another is on neither, which I1 or the next take would show. */
	uint64_t chained = count_listed(arena->room_list, slabs);
	chained += count_listed(pw_load_acquire_ptr(&arena->room_stack), slabs);
	expect(chained == listed, 2);
	uint64_t in_use = pw_load_relaxed_64(&arena->allocated) - pw_load_relaxed_64(&arena->released);
	expect(slabs == pw_load_relaxed_64(&arena->slab_count), 3);
	expect(slabs * PW_SLOTS_PER_SLAB == free_slots + in_use, 3);
	pw_lock_release(&arena->lock);
}

/*
 * Memory. A block of the built-in allocator is aligned to 128 bytes; one of the application's stands at an odd
 * multiple of 64, with a struct foreign before it. So the address itself says where a block goes back to, and the
 * common case carries no header (which would push a 2 MiB chunk into the next size class).
 */
#define BLOCK_ALIGN 128u
#define HUGE_PAGE ((size_t) 2 << 20) /* a whole chunk: PW_SLABS_PER_CHUNK slabs */

/* Stands right before a block of the application's allocator. */
struct foreign {
	void *raw;
	size_t raw_size;
	void (*release)(void *, size_t);
};

_Static_assert(BLOCK_ALIGN / 2 % _Alignof(struct foreign) == 0, "the record before a foreign block is aligned");

/* Set while nothing else runs; handed over with the fleet's state (P12). */
static void *(*foreign_zalloc)(size_t, size_t);
static void (*foreign_release)(void *, size_t);

static pw_a64 memory_calls;
static pw_a64 memory_fail_call = { UINT64_MAX }; /* the call, counted from 0, that fails */

static void *
foreign_alloc(size_t size)
{
	size_t raw_size = size + sizeof(struct foreign) + BLOCK_ALIGN;
	char *raw = foreign_zalloc(1, raw_size);
	if (raw == NULL) {
		return NULL;
	}
	/* The first odd multiple of 64 that leaves room for the record. */
	uintptr_t least = (uintptr_t) raw + sizeof(struct foreign);
	uintptr_t place = ((least + BLOCK_ALIGN / 2 - 1) & ~(uintptr_t) (BLOCK_ALIGN - 1)) + BLOCK_ALIGN / 2;
	char *block = raw + (place - (uintptr_t) raw);
	struct foreign *record = (struct foreign *) (void *) block - 1;
	*record = (struct foreign){ .raw = raw, .raw_size = raw_size, .release = foreign_release };
	return block;
}

static void *
builtin_alloc(unsigned memory_arena, size_t size)
{
#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
	size_t align = size % HUGE_PAGE == 0 ? HUGE_PAGE : BLOCK_ALIGN;
	return mallocx(size,
	    (int) (MALLOCX_ARENA(memory_arena) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(align) | MALLOCX_ZERO));
#else
	(void) memory_arena;
	size = (size + BLOCK_ALIGN - 1) & ~(size_t) (BLOCK_ALIGN - 1);
	void *block = aligned_alloc(BLOCK_ALIGN, size);
	return block != NULL ? memset(block, 0, size) : NULL;
#endif
}

void *
pw_memory_alloc(unsigned memory_arena, size_t size)
{
	/* Relaxed: a count, and a wish of a test that is made before the calls it means. */
	uint64_t call = pw_fetch_add_relaxed_64(&memory_calls, 1);
	if (call == pw_load_relaxed_64(&memory_fail_call) || size == 0 || size > PTRDIFF_MAX / 2) {
		return NULL;
	}
	return foreign_zalloc != NULL ? foreign_alloc(size) : builtin_alloc(memory_arena, size);
}

void
pw_memory_free(void *memory, size_t size)
{
	(void) size;
	if (memory == NULL) {
		return;
	}
	if ((uintptr_t) memory % BLOCK_ALIGN != 0) {
		struct foreign *record = (struct foreign *) memory - 1;
		record->release(record->raw, record->raw_size);
		return;
	}
#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
	dallocx(memory, MALLOCX_TCACHE_NONE);
#else
	free(memory);
#endif
}

unsigned
pw_memory_arena_new(void)
{
#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
	unsigned index = 0;
	size_t size = sizeof(index);
	if (mallctl("arenas.create", &index, &size, NULL, 0) == 0) {
		return index;
	}
#endif
	return 0;
}

void
pw_memory_fail_after(int64_t calls)
{
	uint64_t now = pw_load_relaxed_64(&memory_calls);
	pw_store_relaxed_64(&memory_fail_call, calls < 0 ? UINT64_MAX : now + (uint64_t) calls);
}

uint64_t
pw_memory_calls(void)
{
	return pw_load_relaxed_64(&memory_calls);
}

void
pw_memory_set_allocator(void *(*alloc)(size_t), void *(*zalloc)(size_t, size_t), void (*release)(void *, size_t))
{
	assert((alloc == NULL) == (zalloc == NULL) && (alloc == NULL) == (release == NULL));
	(void) alloc; /* the engine's records are all zeroed */
	foreign_zalloc = zalloc;
	foreign_release = release;
}

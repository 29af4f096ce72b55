/* SPDX-License-Identifier: MIT
 *
 * arena_test.c: the laws of engine/shard/arena.c: a slot has one owner, none is lost, and memory that runs out is
 * an answer. Random choices come from PW_TEST_SEED (printed), sizes are scaled by PW_TEST_SCALE percent.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/shard/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef UNDER_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define THREADS 4

static uint64_t seed = 20240607;
static unsigned scale_percent = 100;

static size_t
scaled(size_t n)
{
	size_t s = n * scale_percent / 100;
	return s < 1024 ? 1024 : s;
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Arenas are never destroyed, like those of shards: each test has its own, static. */
static struct pw_arena *
fresh_arena(void)
{
	static struct pw_arena arenas[16];
	static unsigned used;
	assert_true(used < 16);
	pw_arena_init(&arenas[used]);
	return &arenas[used++];
}

/* The test's view of a slot: the word, which is atomic, and the rest, which is its owner's. */
struct cell {
	pw_a64 word; /* 1: owned */
	uint64_t owner;
	uint64_t fill[30];
};

_Static_assert(sizeof(struct cell) == PW_SLOT_SIZE, "a cell is a slot");

static void
own(struct cell *cell, uint64_t owner)
{
	cell->owner = owner;
	for (unsigned i = 0; i < 30; i++) {
		cell->fill[i] = owner * 31 + i;
	}
}

static bool
owned_by(const struct cell *cell, uint64_t owner)
{
	bool same = cell->owner == owner;
	for (unsigned i = 0; i < 30; i++) {
		same = same && cell->fill[i] == owner * 31 + i;
	}
	return same;
}

static struct cell *
alloc_cell(struct pw_arena *arena, uint32_t *number)
{
	return pw_arena_alloc(arena, number);
}

/* A slot's number and its address are two names of one place: pw_slot_address is inverse to alloc, slots are 64-byte
 * aligned and 256 apart, numbers are distinct, and the word of a cell that was never used is 0. Method: three slabs'
 * worth, each cell marked with its number, all looked at afterwards through the number. */
static void
arena_number_and_address_agree(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	enum {
		N = 3 * PW_SLOTS_PER_SLAB
	};
	uint32_t numbers[N];
	for (unsigned i = 0; i < N; i++) {
		struct cell *cell = alloc_cell(arena, &numbers[i]);
		assert_non_null(cell);
		assert_ptr_equal(cell, pw_slot_address(numbers[i]));
		assert_int_equal((uintptr_t) cell % 64, 0);
		assert_int_equal(pw_load_relaxed_64(&cell->word), 0);
		assert_int_equal((size_t) ((char *) cell - pw_slot_table[numbers[i] / PW_SLOTS_PER_SLAB]),
		    numbers[i] % PW_SLOTS_PER_SLAB * PW_SLOT_SIZE);
		own(cell, numbers[i]);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_true(owned_by(pw_slot_address(numbers[i]), numbers[i]));
	}
	assert_ptr_equal(pw_slot_timer(numbers[7]), (char *) pw_slot_address(numbers[7]) + PW_SLOT_TIMER_OFFSET);
	assert_int_equal(pw_load_relaxed_64(&arena->slab_count), 3);
	pw_arena_check(arena);
}

/* The word, which late readers look at, survives release and the next allocation unchanged. Method: a word is set,
 * the slot released and taken again, until the same number comes back. */
static void
arena_keeps_the_word_of_a_released_slot(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	uint32_t number = 0, again = 0;
	struct cell *cell = alloc_cell(arena, &number);
	pw_store_relaxed_64(&cell->word, UINT64_C(0xfeedfacecafebeef));
	pw_arena_release(arena, number);
	assert_int_equal(pw_load_relaxed_64(&cell->word), UINT64_C(0xfeedfacecafebeef));
	do {
		assert_non_null(pw_arena_alloc(arena, &again));
	} while (again != number);
	assert_int_equal(pw_load_relaxed_64(&cell->word), UINT64_C(0xfeedfacecafebeef));
	pw_arena_check(arena);
}

/* A free slot may not be touched but for its word, a given one may, under AddressSanitizer. Method: its own
 * predicate, for a slot that was never used, one in use and one released. */
static void
arena_poisons_free_slots(void **state)
{
	(void) state;
#ifdef UNDER_ASAN
	struct pw_arena *arena = fresh_arena();
	uint32_t number = 0;
	char *slot = pw_arena_alloc(arena, &number);
	assert_non_null(slot);
	assert_null(__asan_region_is_poisoned(slot, PW_SLOT_SIZE));
	char *never_used = slot + PW_SLOT_SIZE;
	assert_null(__asan_region_is_poisoned(never_used, 8));
	assert_true(__asan_address_is_poisoned(never_used + 8));
	assert_true(__asan_address_is_poisoned(never_used + PW_SLOT_SIZE - 1));
	pw_arena_release(arena, number);
	assert_null(__asan_region_is_poisoned(slot, 8));
	assert_true(__asan_address_is_poisoned(slot + 8));
	assert_true(__asan_address_is_poisoned(slot + PW_SLOT_SIZE - 1));
#else
	print_message("skipped: not built with AddressSanitizer\n");
	skip();
#endif
}

/* What is released is used again before the arena grows. Method: an arena is filled to its last slot; then random
 * slots are released, in numbers from one to all, and as many taken, and the number of slabs stays what it was. */
static void
arena_reuses_before_it_grows(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	uint64_t random = seed;
	size_t count = 0, capacity = scaled(20000);
	uint32_t *numbers = malloc((capacity + PW_SLABS_PER_CHUNK * PW_SLOTS_PER_SLAB) * sizeof(*numbers));
	assert_non_null(numbers);
	while (count < capacity || count < pw_load_relaxed_64(&arena->slab_count) * PW_SLOTS_PER_SLAB) {
		assert_non_null(pw_arena_alloc(arena, &numbers[count++]));
	}
	uint64_t slabs = pw_load_relaxed_64(&arena->slab_count);
	for (unsigned round = 0; round < 50; round++) {
		size_t out = round == 0 ? 1 : round == 49 ? count : 1 + next_random(&random) % (count / 8);
		for (size_t i = 0; i < out; i++) {
			size_t j = i + next_random(&random) % (count - i);
			uint32_t number = numbers[j];
			numbers[j] = numbers[i];
			numbers[i] = number;
			pw_arena_release(arena, number);
		}
		pw_arena_check(arena);
		for (size_t i = 0; i < out; i++) {
			assert_non_null(pw_arena_alloc(arena, &numbers[i]));
		}
		pw_arena_check(arena);
		assert_int_equal(pw_load_relaxed_64(&arena->slab_count), slabs);
	}
	free(numbers);
}

struct seen {
	uint8_t *live; /* by slot number: 1 given out, 2 visited */
	size_t limit;
	size_t visited;
	size_t wrong;
};

static void
visit_live(void *context, void *slot, uint32_t slot_number)
{
	struct seen *seen = context;
	seen->visited++;
	if (slot != pw_slot_address(slot_number) || slot_number >= seen->limit || seen->live[slot_number] != 1) {
		seen->wrong++;
		return;
	}
	seen->live[slot_number] = 2;
}

/* A walk sees exactly the slots that are given out. Method: two arenas; of one, a random half is released; the walk
 * is compared with the test's own map, which knows nothing of the other arena's slots. */
static void
arena_walk_sees_exactly_the_live_ones(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena(), *other = fresh_arena();
	uint64_t random = seed + 1;
	size_t live = 0;
	struct seen seen = { .limit = 1 << 20 };
	seen.live = calloc(seen.limit, 1);
	assert_non_null(seen.live);
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t number = 0;
		assert_non_null(pw_arena_alloc(other, &number));
		assert_non_null(pw_arena_alloc(arena, &number));
		assert_true(number < seen.limit);
		if (next_random(&random) % 2 == 0) {
			pw_arena_release(arena, number);
		} else {
			assert_int_equal(seen.live[number], 0);
			seen.live[number] = 1;
			live++;
		}
	}
	pw_arena_walk(arena, visit_live, &seen);
	assert_int_equal(seen.wrong, 0);
	assert_int_equal(seen.visited, live);
	assert_int_equal(live, pw_load_relaxed_64(&arena->allocated) - pw_load_relaxed_64(&arena->released));
	free(seen.live);
}

static void
visit_and_release(void *context, void *slot, uint32_t slot_number)
{
	(void) slot;
	pw_arena_release(context, slot_number);
}

/* A walk's visitor may release what it visits: release takes no lock. Method: release all of them so; the arena is
 * empty, and full again without growth. */
static void
arena_walk_may_release(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	uint32_t number = 0;
	for (unsigned i = 0; i < 4 * PW_SLOTS_PER_SLAB; i++) {
		assert_non_null(pw_arena_alloc(arena, &number));
	}
	pw_arena_walk(arena, visit_and_release, arena);
	assert_int_equal(pw_load_relaxed_64(&arena->released), 4 * PW_SLOTS_PER_SLAB);
	pw_arena_check(arena);
	for (unsigned i = 0; i < 4 * PW_SLOTS_PER_SLAB; i++) {
		assert_non_null(pw_arena_alloc(arena, &number));
	}
	assert_int_equal(pw_load_relaxed_64(&arena->slab_count), 4);
	pw_arena_check(arena);
}

/* Out of memory is NULL, and nothing is lost. Method: each allocation of memory that growth makes fails once, in
 * turn, at each growth; the failed alloc changes nothing, what was given out keeps its contents, the next alloc
 * succeeds. */
static void
arena_out_of_memory_loses_nothing(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	size_t count = 0;
	uint32_t numbers[64 * PW_SLOTS_PER_SLAB];
	while (pw_load_relaxed_64(&arena->slab_count) < 20) {
		while (count < pw_load_relaxed_64(&arena->slab_count) * PW_SLOTS_PER_SLAB) {
			struct cell *cell = alloc_cell(arena, &numbers[count]);
			assert_non_null(cell);
			own(cell, numbers[count++]);
		}
		for (int64_t fail = 0; fail < 2; fail++) {
			uint64_t slabs = pw_load_relaxed_64(&arena->slab_count);
			uint64_t calls = pw_memory_calls();
			pw_memory_fail_after(fail);
			assert_null(pw_arena_alloc(arena, &numbers[count]));
			assert_int_equal(pw_memory_calls() - calls, fail + 1);
			assert_int_equal(pw_load_relaxed_64(&arena->slab_count), slabs);
			assert_int_equal(pw_load_relaxed_64(&arena->allocated), count);
			pw_arena_check(arena);
		}
		struct cell *cell = alloc_cell(arena, &numbers[count]);
		assert_non_null(cell);
		own(cell, numbers[count++]);
	}
	pw_memory_fail_after(-1);
	for (size_t i = 0; i < count; i++) {
		assert_true(owned_by(pw_slot_address(numbers[i]), numbers[i]));
	}
	/* With memory gone, what is released is still to be had. */
	for (size_t i = 0; i < count; i += 3) {
		pw_arena_release(arena, numbers[i]);
	}
	for (size_t i = 0; i < count; i += 3) {
		uint64_t calls = pw_memory_calls();
		assert_non_null(pw_arena_alloc(arena, &numbers[i]));
		assert_int_equal(pw_memory_calls(), calls);
	}
	pw_arena_check(arena);
}

/* The threads of one race: each owns cells, fills them, and sees whether they stay its own; some it gives to the next
 * thread to release. */
struct racer {
	pthread_t thread;
	struct pw_arena *arena;
	struct racer *next;
	pw_a64 gift; /* slot number + 1 that the thread before gave; 0: none */
	uint64_t id;
	size_t rounds;
	size_t held_max;
	uint64_t taken_by_two; /* another was owner when we got the cell, or when we gave it back */
	uint64_t no_memory;
	size_t held;
	uint32_t *numbers;
};

static void
give_back(struct racer *racer, uint32_t number)
{
	struct cell *cell = pw_slot_address(number);
	uint64_t expected = 1;
	if (!pw_cas_acquire_64(&cell->word, &expected, 0)) {
		racer->taken_by_two++;
	}
	pw_arena_release(racer->arena, number);
}

static void
take_one(struct racer *racer, uint64_t owner)
{
	uint32_t number = 0;
	struct cell *cell = alloc_cell(racer->arena, &number);
	uint64_t expected = 0;
	if (cell == NULL) {
		racer->no_memory++;
		return;
	}
	if (!pw_cas_acquire_64(&cell->word, &expected, 1)) {
		racer->taken_by_two++;
	}
	own(cell, owner);
	racer->numbers[racer->held++] = number;
}

static void
drop_one(struct racer *racer, uint64_t owner_mask, uint64_t random)
{
	size_t i = random % racer->held;
	uint32_t number = racer->numbers[i];
	struct cell *cell = pw_slot_address(number);
	uint64_t none = 0;
	racer->numbers[i] = racer->numbers[--racer->held];
	if ((cell->owner & owner_mask) != racer->id || !owned_by(cell, cell->owner)) {
		racer->taken_by_two++;
	}
	if (random >> 62 == 0 && pw_cas_acq_rel_64(&racer->next->gift, &none, (uint64_t) number + 1)) {
		return; /* the next thread releases it */
	}
	give_back(racer, number);
}

static void *
race(void *arg)
{
	struct racer *racer = arg;
	uint64_t random = seed * 7919 + racer->id + 1;
	for (size_t round = 0; round < racer->rounds; round++) {
		uint64_t r = next_random(&random);
		uint64_t gift = pw_exchange_acq_rel_64(&racer->gift, 0);
		if (gift != 0) {
			give_back(racer, (uint32_t) (gift - 1));
		}
		/* Up for half of a period, down for the other: the arena is full and empty again and again. */
		bool up = (round / racer->held_max) % 2 == 0;
		bool take = r % 8 == 0 ? !up : up;
		if (take && racer->held < racer->held_max) {
			take_one(racer, (uint64_t) round << 8 | racer->id);
		} else if (racer->held > 0) {
			drop_one(racer, 0xff, next_random(&random));
		}
	}
	while (racer->held > 0) {
		give_back(racer, racer->numbers[--racer->held]);
	}
	return NULL;
}

/* No slot has two owners, and none is lost, whatever threads allocate and release. Method: threads take and give back
 * at random, a quarter of the slots by another thread than took it; the owner is noted in the word by CAS and the
 * whole cell is filled. At the end everything is free, and as much can be had as the arena holds, without growth. */
static void
arena_never_gives_a_slot_twice(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	struct racer racers[THREADS];
	memset(racers, 0, sizeof(racers));
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i].arena = arena;
		racers[i].next = &racers[(i + 1) % THREADS];
		racers[i].id = i;
		racers[i].rounds = scaled(200000);
		racers[i].held_max = 600;
		racers[i].numbers = calloc(racers[i].held_max, sizeof(uint32_t));
		assert_non_null(racers[i].numbers);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		uint64_t gift = pw_load_acquire_64(&racers[i].gift);
		if (gift != 0) {
			give_back(&racers[i], (uint32_t) (gift - 1));
		}
		assert_int_equal(racers[i].taken_by_two, 0);
		assert_int_equal(racers[i].no_memory, 0);
		free(racers[i].numbers);
	}
	pw_arena_check(arena);
	assert_int_equal(pw_load_relaxed_64(&arena->allocated), pw_load_relaxed_64(&arena->released));
	uint64_t slabs = pw_load_relaxed_64(&arena->slab_count);
	for (uint64_t i = 0; i < slabs * PW_SLOTS_PER_SLAB; i++) {
		uint32_t number = 0;
		assert_non_null(pw_arena_alloc(arena, &number));
	}
	assert_int_equal(pw_load_relaxed_64(&arena->slab_count), slabs);
	pw_arena_check(arena);
}

static size_t
chain_length(const struct pw_slab *slab)
{
	size_t length = 0;
	for (; slab != NULL; slab = slab->room_next) {
		length++;
	}
	return length;
}

/* An arena that is nearly full does not search: the work of one alloc does not grow with the arena. Method: a full
 * arena of many slabs, in which one slot of a slab that is not the current one is released and taken again; at each time
 * the arena lists that slot's slab and at most one more (the one that was current before), so there is nothing else
 * that alloc could have looked at. */
static void
arena_nearly_full_does_not_search(void **state)
{
	(void) state;
	struct pw_arena *arena = fresh_arena();
	uint64_t random = seed + 2;
	size_t count = 0;
	uint32_t number = 0, first = 0, again = 0;
	assert_non_null(pw_arena_alloc(arena, &first));
	for (count = 1; count < scaled(100000) || count < pw_load_relaxed_64(&arena->slab_count) * PW_SLOTS_PER_SLAB;
	     count++) {
		assert_non_null(pw_arena_alloc(arena, &number));
		assert_true(number / PW_SLOTS_PER_SLAB >= first / PW_SLOTS_PER_SLAB);
	}
	for (unsigned i = 0; i < 1000; i++) {
		/* The arena's slabs were numbered one after the other: no other arena grew meanwhile. */
		uint32_t victim;
		do {
			victim = first - first % PW_SLOTS_PER_SLAB + (uint32_t) (next_random(&random) % count);
		} while (victim / PW_SLOTS_PER_SLAB == arena->current->number);
		pw_arena_release(arena, victim);
		size_t listed =
		    chain_length(arena->room_list) + chain_length(pw_load_acquire_ptr(&arena->room_stack));
		assert_in_range(listed, 1, 2);
		assert_non_null(pw_arena_alloc(arena, &again));
		assert_int_equal(again, victim);
	}
	pw_arena_check(arena);
}

/* Memory is zeroed and 64-byte aligned for every size, is the caller's alone, and absurd sizes are refused. Method:
 * blocks of many sizes are looked at, filled, and freed in another order. */
static void
memory_is_zeroed_and_aligned(void **state)
{
	(void) state;
	unsigned memory_arena = pw_memory_arena_new();
	enum {
		N = 60
	};
	unsigned char *blocks[N];
	size_t sizes[N];
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N; i++) {
			sizes[i] = i < 40 ? (size_t) i * 13 + 1 : (size_t) i * 4999;
			blocks[i] = pw_memory_alloc(memory_arena, sizes[i]);
			assert_non_null(blocks[i]);
			assert_int_equal((uintptr_t) blocks[i] % 64, 0);
			for (size_t b = 0; b < sizes[i]; b++) {
				assert_int_equal(blocks[i][b], 0);
			}
			memset(blocks[i], (int) i + 1, sizes[i]);
		}
		for (unsigned i = 0; i < N; i++) {
			unsigned j = i * 7 % N;
			assert_int_equal(blocks[j][0], j + 1);
			assert_int_equal(blocks[j][sizes[j] - 1], j + 1);
			pw_memory_free(blocks[j], sizes[j]);
		}
	}
	assert_null(pw_memory_alloc(memory_arena, 0));
	assert_null(pw_memory_alloc(memory_arena, SIZE_MAX));
	assert_null(pw_memory_alloc(memory_arena, (size_t) PTRDIFF_MAX));
	pw_memory_free(NULL, 10);
}

/* An injected failure hits the call it names, once. Method: for several distances, the calls before and after it
 * succeed. */
static void
memory_failure_hits_the_named_call_once(void **state)
{
	(void) state;
	for (int64_t n = 0; n < 5; n++) {
		pw_memory_fail_after(n);
		for (int64_t i = 0; i < 8; i++) {
			void *memory = pw_memory_alloc(0, 100);
			assert_int_equal(memory == NULL, i == n);
			pw_memory_free(memory, 100);
		}
	}
	pw_memory_fail_after(2);
	pw_memory_fail_after(-1);
	for (unsigned i = 0; i < 8; i++) {
		void *memory = pw_memory_alloc(0, 100);
		assert_non_null(memory);
		pw_memory_free(memory, 100);
	}
}

static unsigned foreign_blocks, foreign_zallocs;
static size_t foreign_bytes;
static bool foreign_empty;

static void *
count_alloc(size_t size)
{
	(void) size;
	return NULL;
}

/* Off by 8 in turn, as an allocator that promises no more than a pointer's alignment may be. */
static void *
count_zalloc(size_t n, size_t size)
{
	if (foreign_empty) {
		return NULL;
	}
	foreign_blocks++;
	foreign_bytes += n * size;
	unsigned shift = foreign_zallocs++ % 16 * 8;
	unsigned char *raw = calloc(1, n * size + 128 + 8);
	if (raw == NULL) {
		return NULL;
	}
	uint64_t back = shift + 8;
	memcpy(raw + shift, &back, 8);
	return raw + shift + 8;
}

static void
count_release(void *memory, size_t size)
{
	uint64_t back;
	memcpy(&back, (unsigned char *) memory - 8, 8);
	foreign_blocks--;
	foreign_bytes -= size;
	free((unsigned char *) memory - back);
}

/* With the application's allocator set, memory comes from it, aligned and zeroed; and every block goes back to where
 * it came from, with the size that was asked for, also after the setting has changed. Method: blocks from before,
 * during and after; the application's allocator counts. */
static void
memory_goes_back_to_its_own_allocator(void **state)
{
	(void) state;
	unsigned char *before = pw_memory_alloc(0, 1000);
	assert_non_null(before);
	pw_memory_set_allocator(count_alloc, count_zalloc, count_release);
	unsigned char *during[32];
	for (unsigned i = 0; i < 32; i++) {
		during[i] = pw_memory_alloc(0, 300 + i);
		assert_non_null(during[i]);
		assert_int_equal((uintptr_t) during[i] % 64, 0);
		for (unsigned b = 0; b < 300 + i; b++) {
			assert_int_equal(during[i][b], 0);
		}
		memset(during[i], 0xa5, 300 + i);
	}
	assert_int_equal(foreign_blocks, 32);
	pw_memory_free(before, 1000);
	assert_int_equal(foreign_blocks, 32);
	for (unsigned i = 0; i < 16; i++) {
		pw_memory_free(during[i], 300 + i);
	}
	assert_int_equal(foreign_blocks, 16);

	foreign_empty = true;
	assert_null(pw_memory_alloc(0, 64));
	struct pw_arena *arena = fresh_arena();
	uint32_t number = 0;
	assert_null(pw_arena_alloc(arena, &number));
	foreign_empty = false;
	pw_memory_fail_after(0);
	assert_null(pw_memory_alloc(0, 64));

	pw_memory_set_allocator(NULL, NULL, NULL);
	unsigned char *after = pw_memory_alloc(0, 1000);
	assert_non_null(after);
	assert_int_equal(foreign_blocks, 16);
	pw_memory_free(after, 1000);
	for (unsigned i = 16; i < 32; i++) {
		pw_memory_free(during[i], 300 + i);
	}
	assert_int_equal(foreign_blocks, 0);
	assert_int_equal(foreign_bytes, 0);
	assert_non_null(pw_arena_alloc(arena, &number));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_number_and_address_agree),
		cmocka_unit_test(arena_keeps_the_word_of_a_released_slot),
		cmocka_unit_test(arena_poisons_free_slots),
		cmocka_unit_test(arena_reuses_before_it_grows),
		cmocka_unit_test(arena_walk_sees_exactly_the_live_ones),
		cmocka_unit_test(arena_walk_may_release),
		cmocka_unit_test(arena_out_of_memory_loses_nothing),
		cmocka_unit_test(arena_never_gives_a_slot_twice),
		cmocka_unit_test(arena_nearly_full_does_not_search),
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(memory_failure_hits_the_named_call_once),
		cmocka_unit_test(memory_goes_back_to_its_own_allocator),
	};
	if (getenv("PW_TEST_SEED") != NULL) {
		seed = strtoull(getenv("PW_TEST_SEED"), NULL, 0) | 1;
	}
	if (getenv("PW_TEST_SCALE") != NULL) {
		scale_percent = (unsigned) strtoul(getenv("PW_TEST_SCALE"), NULL, 10);
	}
	print_message("PW_TEST_SEED=%llu\n", (unsigned long long) seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

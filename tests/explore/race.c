/* SPDX-License-Identifier: MIT
 *
 * race.c: the engine's plain fields, checked for races by happens-before, and freed memory for any access.
 *
 * What it is: the functions that gcc and clang call before every plain load and store of code that is compiled with
 * -fsanitize=thread. The engine is compiled so and linked without the sanitizer's own library: these are the callees.
 * Two accesses to the same bytes by two fibers, one of them a store, must be ordered by what the verbs of atomic.h
 * acquire and release (memory.c), a lock, or a join; else the execution fails, under every memory model, in whatever
 * order they were executed. What it is not: a scheduling point. And it does not see what the C library does (memset,
 * memcpy), the stacks of the fibers, or the scenarios, which are not compiled so.
 *
 * For every four bytes of the program's data there is a cell: the last store and, for each fiber, the last load since,
 * each with the fiber's clock at that time. An access by fiber f at time t is ordered before what g does now if g's
 * clock for f is at least t. Stores to different bytes of one cell replace each other, so a race on bytes that share
 * four with others can be missed; none is reported that is not there.
 *
 * An execution in which a word turns out to be shared reports nothing: who handed over what by it is not known.
 *
 * The idea: Flanagan and Freund, "FastTrack" (PLDI 2009), with one clock for each reader, of which there are few.
 */
#include "tests/explore/race.h"

#include <stdint.h>
#include <sys/mman.h>

#include "tests/explore/core.h"
#include "tests/explore/memory.h"
#include "tests/explore/trace.h"

#define CELL_BYTES 4u

struct cell {
	uint32_t execution; /* what follows is of this one */
	uint32_t poisoned;  /* the execution in which these bytes have been freed */
	uint32_t store_time;
	uint32_t load_time[PW_EXPLORE_FIBERS]; /* 0: none since the last store */
	uint8_t store_fiber;
	uint8_t store_mask; /* which bytes; 0: no store yet */
	uint8_t load_mask;
	uint8_t load_fiber; /* the last one */
	const void *store_site;
	const void *load_site;
};

/* The linker's: from where to where the program's data is. */
extern char __data_start;
extern char _end;

static struct cell *cells;

bool
pw_race_begin(void)
{
	size_t count = (size_t) (&_end - &__data_start) / CELL_BYTES + 1;
	if (cells == NULL) {
		void *map = mmap(NULL, count * sizeof(*cells), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		cells = map != MAP_FAILED ? map : NULL;
	}
	return cells != NULL;
}

/* NULL: not the program's data. */
static struct cell *
cell_at(uintptr_t address)
{
	uintptr_t first = (uintptr_t) &__data_start;
	return address >= first && address < (uintptr_t) &_end ? &cells[(address - first) / CELL_BYTES] : NULL;
}

void
pw_explore_poison(void *memory, size_t size, bool poisoned)
{
	for (size_t at = 0; at < size; at += CELL_BYTES) {
		cell_at((uintptr_t) memory + at)->poisoned = poisoned ? pw_core.execution : 0;
	}
}

__attribute__((noreturn)) static void
fail(uintptr_t address, const void *site, bool stores, unsigned other, const void *other_site, bool other_stored)
{
	char where[96];
	char function[96];
	char other_function[96];
	pw_explore_fail("race: %s %s %s in %s, and %s has %s it in %s: nothing orders the two",
	    pw_core_fiber_name((unsigned) pw_core.self), stores ? "writes" : "reads",
	    pw_trace_where((const void *) address, where, sizeof(where)),
	    pw_trace_function(site, function, sizeof(function)), pw_core_fiber_name(other),
	    other_stored ? "written" : "read", pw_trace_function(other_site, other_function, sizeof(other_function)));
}

static void
check_stored(const struct cell *cell, uintptr_t address, unsigned mask, const void *site, bool stores)
{
	unsigned other = cell->store_fiber;
	if ((cell->store_mask & mask) != 0 && (int) other != pw_core.self &&
	    cell->store_time > pw_memory_clock()[other]) {
		fail(address, site, stores, other, cell->store_site, true);
	}
}

static void
check_loaded(const struct cell *cell, uintptr_t address, unsigned mask, const void *site)
{
	for (unsigned i = 0; (cell->load_mask & mask) != 0 && i < pw_core.fibers; i++) {
		if ((int) i != pw_core.self && cell->load_time[i] > pw_memory_clock()[i]) {
			fail(address, site, true, i, cell->load_fiber == i ? cell->load_site : NULL, false);
		}
	}
}

/* The bytes of mask in one cell. */
static void
touch(struct cell *cell, uintptr_t address, unsigned mask, const void *site, bool stores)
{
	unsigned self = (unsigned) pw_core.self;
	if (cell->poisoned == pw_core.execution) {
		char where[96];
		char function[96];
		pw_explore_fail("C6: %s %s %s in %s, after its release", pw_core_fiber_name(self),
		    stores ? "writes" : "reads", pw_trace_where((const void *) address, where, sizeof(where)),
		    pw_trace_function(site, function, sizeof(function)));
	}
	if (cell->execution != pw_core.execution) {
		*cell = (struct cell){ .execution = pw_core.execution };
	} else if (!pw_core.incomplete && !pw_core.races) {
		check_stored(cell, address, mask, site, stores);
		if (stores) {
			check_loaded(cell, address, mask, site);
		}
	}
	uint32_t now = pw_memory_clock()[self];
	if (!stores) {
		cell->load_time[self] = now;
		cell->load_mask |= (uint8_t) mask;
		cell->load_fiber = (uint8_t) self;
		cell->load_site = site;
		return;
	}
	for (unsigned i = 0; cell->load_mask != 0 && i < pw_core.fibers; i++) {
		cell->load_time[i] = 0;
	}
	cell->load_mask = 0;
	cell->store_time = now;
	cell->store_fiber = (uint8_t) self;
	cell->store_mask = (uint8_t) mask;
	cell->store_site = site;
}

static void
plain(const void *memory, size_t size, const void *site, bool stores)
{
	uintptr_t at = (uintptr_t) memory;
	struct cell *cell = cell_at(at);
	if (pw_core.self == PW_NOBODY || cell == NULL) {
		return;
	}
	for (uintptr_t end = at + size; at < end; cell++) {
		unsigned first = (unsigned) (at % CELL_BYTES);
		unsigned bytes = end - at < CELL_BYTES - first ? (unsigned) (end - at) : CELL_BYTES - first;
		touch(cell, at, ((1u << bytes) - 1) << first, site, stores);
		at += bytes;
	}
}

void
pw_race_touch(const void *memory, size_t size, const void *site, bool stores)
{
	plain(memory, size, site, stores);
}

/* ---- what the compilers call */

#define ACCESS(NAME, SIZE, STORES)                                                                                   \
	void NAME(const void *memory);                                                                               \
	void NAME(const void *memory)                                                                                \
	{                                                                                                            \
		plain(memory, SIZE, __builtin_return_address(0), STORES);                                            \
	}

ACCESS(__tsan_read1, 1, false)
ACCESS(__tsan_read2, 2, false)
ACCESS(__tsan_read4, 4, false)
ACCESS(__tsan_read8, 8, false)
ACCESS(__tsan_read16, 16, false)
ACCESS(__tsan_write1, 1, true)
ACCESS(__tsan_write2, 2, true)
ACCESS(__tsan_write4, 4, true)
ACCESS(__tsan_write8, 8, true)
ACCESS(__tsan_write16, 16, true)
ACCESS(__tsan_unaligned_read2, 2, false)
ACCESS(__tsan_unaligned_read4, 4, false)
ACCESS(__tsan_unaligned_read8, 8, false)
ACCESS(__tsan_unaligned_read16, 16, false)
ACCESS(__tsan_unaligned_write2, 2, true)
ACCESS(__tsan_unaligned_write4, 4, true)
ACCESS(__tsan_unaligned_write8, 8, true)
ACCESS(__tsan_unaligned_write16, 16, true)

void __tsan_read_range(const void *memory, size_t size);
void
__tsan_read_range(const void *memory, size_t size)
{
	plain(memory, size, __builtin_return_address(0), false);
}

void __tsan_write_range(const void *memory, size_t size);
void
__tsan_write_range(const void *memory, size_t size)
{
	plain(memory, size, __builtin_return_address(0), true);
}

/* The start of the program, and of every function: nothing to do. */
void __tsan_init(void);
void
__tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void
__tsan_func_entry(void *caller)
{
	(void) caller;
}

void __tsan_func_exit(void);
void
__tsan_func_exit(void)
{
}

/* SPDX-License-Identifier: MIT
 *
 * wheel.c: the deadlines of one shard: link and unlink in O(1), what is due in bounded batches, the next expiry
 * in O(levels).
 *
 * What it is not: a clock (ticks come in as a parameter), a policy (what an expiry means is on_expire's), or
 * thread-safe: only the home shard calls, and advance is not called from on_expire.
 *
 * Shape. Four levels of 512 lists. A list of level k spans 256^k ticks, so a level spans two rotations of 256:
 *
 *   level      one list spans      the level holds ticks            at 64 us per tick, a list is
 *     0             1              [passed_tick, edge[0])            64 us
 *     1           256              [edge[0], edge[1])                16 ms
 *     2        65,536              [edge[1], edge[2])                 4 s
 *     3    16,777,216              [edge[2], now + 2^31)             18 min
 *
 * An entry goes to the level whose interval holds its tick. Beside the levels are the due list, and for each
 * upper level one list that is being moved down (cascaded).
 *
 * Ahead of time. When now enters the rotation before a list of level k (256^k ticks before its first tick), the
 * list's range has room in level k - 1. Then the list is detached as MOVING(k), in O(1), and edge[k-1] jumps over
 * its range, so new entries go straight to the lower level. Its entries are moved one per step in whatever budget
 * the due ones leave, a whole rotation before the first of them can be due. So a list of 300,000 delays nothing:
 * at 256 steps a turn and a turn per tick it takes 75 ms, and level 2 has 4 s for them, level 3 18 min. Level 1 has
 * 16 ms, enough for 65,536: a list that is longer has more entries due within 16 ms than those turns could give out
 * either, so it is late for that, and moving adds at most as much again.
 *
 * Due entries do not wait behind a cascade: they come first. But a shard with due entries in every turn must not
 * starve the cascade until its entries are late, so after DUE_SHARE entries given out one is moved down. The list
 * that begins first is moved first. An entry found due while its list is moved is given out in that same step.
 *
 * After a long sleep nothing is walked tick by tick. A list that is wholly due is spliced to the due list in
 * O(1), whatever its level and length; occupied lists are found by bitmap; only the at most one list per
 * level in whose range now lies is taken apart. A step does at most one splice, so a step stays O(levels). One
 * exception: when now is more than 2^31 ticks beyond edge[2] (38 hours asleep at 64 us) all splices are made at
 * once, at most 2,048 of them, since entries of two laps would share a list otherwise.
 *
 * Order. Direct entries are appended; a moved list is walked from its end and its entries are put in front. What
 * comes from above was always linked earlier, so entries of one tick come out in the order of linking, for free.
 * This ends where the wheel is behind: a wholly due list of an upper level comes out in link order across its
 * ticks, and a list that is still being moved when it is due comes out from its end.
 *
 * Never early. An entry is given out from the due list or by the cascade. The cascade compares its tick with now.
 * To the due list come: an entry linked at or before now; the list of a tick that is not after now; a list whose
 * whole range is not after now; and, by pw_wheel_flush alone, everything.
 *
 * No endless advance: on_expire may link at or before now; that entry goes behind all that is due, and giving it
 * out is a step. Nor do such entries starve others: due lists are spliced whether or not the due list is empty.
 *
 * Idle. pw_wheel_next names the tick of the first occupied list of level 0 or the tick at which the first
 * occupied list of an upper level is to be detached, the earliest of them. A lone entry wakes the shard at most
 * PW_WHEEL_LEVELS times: once for each level it is moved down from, and when it is due.
 *
 * Costs. Link touches the entry, its list's head, the last entry and one bitmap word. Unlink touches the entry's
 * neighbours, and the bitmap word when its list becomes empty. Two 32-bit slot numbers are the links; the list's
 * number with PW_WHEEL_HEAD set stands for the head, so no case distinguishes first, middle and last.
 *
 * Invariants, tested by pw_wheel_check by brute force. I1 to I3 hold at all times; during advance they may be
 * broken inside catch_up and leap only, never when on_expire runs.
 *   I1  passed_tick <= now + 1; passed_tick <= edge[0] <= edge[1] <= edge[2]; edge[k] is a multiple of
 *       256^(k+1); no level spans more than 512 lists; now <= edge[2] + 2^31.
 *   I2  each list is a ring through its head, forwards and backwards alike; its bit in `occupied` is set if and
 *       only if it has entries; `count` is the number of entries of all lists.
 *   I3  an entry of level k lies in the level's interval and in the list of its tick; at most now + 2^31 - 1.
 *       An entry of MOVING(k) lies in [moving[k], moving[k] + 256^k), which ends at or before edge[k-1].
 *   I4  when advance has returned less than its budget: passed_tick is now + 1, the edges are more than one
 *       rotation ahead of now, and the due list and all moving lists are empty.
 *
 * Limits: 2^31 ticks ahead; 2^31 slots.
 *
 * From: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987); the bitmaps from W. Ahern's
 * timeout.c; the bounded advance from J. Snellman's Ratas.
 */
#include "engine/shard/wheel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/shard/slot.h"

#define UPPER (PW_WHEEL_LEVELS - 1) /* levels 1 to UPPER cascade */
#define TURN_MASK ((uint64_t) PW_WHEEL_TURN - 1)
#define WORDS_PER_LEVEL (PW_WHEEL_TURN / 64)
#define WORK_WORD (PW_WHEEL_DUE / 64) /* the bits of the due list and of the moving lists, and no others */
#define DUE_BIT UINT64_C(1)
#define DUE_SHARE 3u /* entries given out for one moved down, where both wait */

_Static_assert(PW_WHEEL_TURN == 2u << PW_WHEEL_BITS, "a level has two rotations");
_Static_assert(PW_WHEEL_DUE % 64 == 0 && PW_WHEEL_LISTS - PW_WHEEL_DUE <= 64, "due and moving share one word");
_Static_assert(PW_WHEEL_BITS *PW_WHEEL_LEVELS == 32, "level 3 spans twice the 32 bits of an entry's tick");
_Static_assert((uint64_t) PW_SLABS_MAX *PW_SLOTS_PER_SLAB <= PW_WHEEL_HEAD, "a slot number is never a head");
_Static_assert(PW_SLOT_TIMER_OFFSET + sizeof(struct pw_timer) <= PW_SLOT_SIZE, "the entry is inside its slot");

/* Arithmetic of ticks. A *unit* of level k is the ticks that one of its lists spans. */

static inline unsigned
shift_of(unsigned level)
{
	return level * PW_WHEEL_BITS;
}

static inline uint64_t
unit_of(unsigned level)
{
	return UINT64_C(1) << shift_of(level);
}

static inline uint64_t
floor_to(unsigned level, uint64_t tick)
{
	return tick & ~(unit_of(level) - 1);
}

static inline uint64_t
min_tick(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The full tick of an entry that lies at or after `from`, by less than 2^32. */
static inline uint64_t
full_tick(uint64_t from, uint32_t at)
{
	return from + (uint32_t) (at - (uint32_t) from);
}

/* Lists. */

static inline uint32_t *
next_link(struct pw_wheel *wheel, uint32_t link)
{
	return (link & PW_WHEEL_HEAD) != 0 ? &wheel->list[link ^ PW_WHEEL_HEAD].next : &pw_slot_timer(link)->next;
}

static inline uint32_t *
prev_link(struct pw_wheel *wheel, uint32_t link)
{
	return (link & PW_WHEEL_HEAD) != 0 ? &wheel->list[link ^ PW_WHEEL_HEAD].prev : &pw_slot_timer(link)->prev;
}

static inline bool
is_occupied(const struct pw_wheel *wheel, uint32_t list)
{
	return (wheel->occupied[list / 64] >> (list % 64) & 1) != 0;
}

static inline void
set_occupied(struct pw_wheel *wheel, uint32_t list)
{
	wheel->occupied[list / 64] |= UINT64_C(1) << (list % 64);
}

static inline void
clear_occupied(struct pw_wheel *wheel, uint32_t list)
{
	wheel->occupied[list / 64] &= ~(UINT64_C(1) << (list % 64));
}

static inline void
reset_list(struct pw_wheel *wheel, uint32_t list)
{
	wheel->list[list].next = list | PW_WHEEL_HEAD;
	wheel->list[list].prev = list | PW_WHEEL_HEAD;
}

static inline void
append(struct pw_wheel *wheel, uint32_t list, uint32_t slot)
{
	struct pw_timer *timer = pw_slot_timer(slot);
	uint32_t last = wheel->list[list].prev;
	timer->next = list | PW_WHEEL_HEAD;
	timer->prev = last;
	wheel->list[list].prev = slot;
	*next_link(wheel, last) = slot;
	set_occupied(wheel, list);
}

static inline void
prepend(struct pw_wheel *wheel, uint32_t list, uint32_t slot)
{
	struct pw_timer *timer = pw_slot_timer(slot);
	uint32_t first = wheel->list[list].next;
	timer->next = first;
	timer->prev = list | PW_WHEEL_HEAD;
	wheel->list[list].next = slot;
	*prev_link(wheel, first) = slot;
	set_occupied(wheel, list);
}

/* Takes an entry out of whatever list it is in. The entry's own links stay as they were. */
static inline void
detach(struct pw_wheel *wheel, const struct pw_timer *timer)
{
	uint32_t next = timer->next;
	uint32_t prev = timer->prev;
	*next_link(wheel, prev) = next;
	*prev_link(wheel, next) = prev;
	if (next == prev) { /* the head on both sides: it was the only one */
		clear_occupied(wheel, next ^ PW_WHEEL_HEAD);
	}
}

/* Moves a whole list that is not empty to the end of another. */
static void
splice(struct pw_wheel *wheel, uint32_t from, uint32_t to)
{
	uint32_t first = wheel->list[from].next;
	uint32_t last = wheel->list[from].prev;
	uint32_t before = wheel->list[to].prev;
	assert(is_occupied(wheel, from));
	*prev_link(wheel, first) = before;
	*next_link(wheel, last) = to | PW_WHEEL_HEAD;
	*next_link(wheel, before) = first;
	wheel->list[to].prev = last;
	set_occupied(wheel, to);
	reset_list(wheel, from);
	clear_occupied(wheel, from);
}

/* Levels. */

static inline uint32_t
list_of(unsigned level, uint64_t tick)
{
	return level * PW_WHEEL_TURN + (uint32_t) (tick >> shift_of(level) & TURN_MASK);
}

/* The list for a tick after now. The sum instead of a chain of tests: a random tick costs no misprediction. */
static inline uint32_t
list_for(const struct pw_wheel *wheel, uint64_t tick)
{
	unsigned level = (unsigned) (tick >= wheel->edge[0]) + (unsigned) (tick >= wheel->edge[1]) +
	    (unsigned) (tick >= wheel->edge[2]);
	return list_of(level, tick);
}

/* The first tick of the first occupied list of a level in [from, end), else end. Both are multiples of the unit;
 * a range of more than 512 lists is cut to 512. */
static uint64_t
first_occupied(const struct pw_wheel *wheel, unsigned level, uint64_t from, uint64_t end)
{
	unsigned shift = shift_of(level);
	uint64_t at = from >> shift;
	uint64_t stop = min_tick(end >> shift, at + PW_WHEEL_TURN);
	while (at < stop) {
		unsigned bit = (unsigned) (at & TURN_MASK);
		uint64_t word = wheel->occupied[level * WORDS_PER_LEVEL + bit / 64] >> (bit % 64);
		if (word != 0) {
			at += (unsigned) __builtin_ctzll(word);
			return at < stop ? at << shift : end;
		}
		at += 64 - bit % 64;
	}
	return end;
}

/* The first tick that a level does not hold; the last level's is beyond what any entry can have. */
static inline uint64_t
end_of(const struct pw_wheel *wheel, unsigned level)
{
	return level < UPPER ? wheel->edge[level]
			     : floor_to(UPPER, wheel->now_tick + PW_WHEEL_RANGE) + unit_of(UPPER);
}

/* Catching up with now. */

/* Splices the first list of a level from 0 up that is wholly due. Levels below are empty when a level is looked
 * at. False: no list is wholly due, so of each level only the list in whose range now lies may hold due entries. */
static bool
gather_level(struct pw_wheel *wheel)
{
	uint64_t from = wheel->passed_tick;
	for (unsigned level = 0; level <= UPPER; level++) {
		uint64_t end = min_tick(end_of(wheel, level), floor_to(level, wheel->now_tick + 1));
		uint64_t tick = from < end ? first_occupied(wheel, level, from, end) : end;
		if (tick < end) {
			splice(wheel, list_of(level, tick), PW_WHEEL_DUE);
			wheel->passed_tick = tick + unit_of(level);
			for (unsigned below = 0; below < level; below++) {
				wheel->edge[below] = wheel->passed_tick;
			}
			return true;
		}
		if (end_of(wheel, level) > wheel->now_tick) {
			return false;
		}
		from = end_of(wheel, level);
	}
	return false;
}

/* Splices one wholly due list, if there is any, to the due list. */
static bool
gather(struct pw_wheel *wheel)
{
	for (unsigned level = UPPER; level >= 1; level--) {
		if (is_occupied(wheel, PW_WHEEL_MOVING(level)) &&
		    wheel->moving[level] + unit_of(level) <= wheel->now_tick + 1) {
			splice(wheel, PW_WHEEL_MOVING(level), PW_WHEEL_DUE);
			return true;
		}
	}
	return gather_level(wheel);
}

/* Nothing is wholly due: lets the edges jump over what is empty. Where now lies in a list of level k, edge[k-1]
 * then is that list's beginning, and raise_edges, which must follow, detaches it. */
static void
skip_empty(struct pw_wheel *wheel)
{
	wheel->passed_tick = wheel->now_tick + 1;
	for (unsigned level = 1; level <= UPPER; level++) {
		uint64_t begin = floor_to(level, wheel->now_tick);
		if (wheel->edge[level - 1] < begin) {
			wheel->edge[level - 1] = begin;
		}
	}
}

/* Raises the edge below `level` to two rotations ahead of now, or as far as there is room: over empty lists, and
 * over one occupied list if MOVING(level) is free for it. */
static void
raise_edge(struct pw_wheel *wheel, unsigned level)
{
	uint64_t unit = unit_of(level);
	uint64_t *edge = &wheel->edge[level - 1];
	uint64_t goal = floor_to(level, wheel->now_tick) + 2 * unit;
	if (*edge >= goal) {
		return;
	}
	uint64_t below = level == 1 ? wheel->passed_tick : wheel->edge[level - 2];
	goal = min_tick(goal, floor_to(level, below) + 2 * unit);
	goal = min_tick(goal, end_of(wheel, level));
	while (*edge < goal) {
		*edge = first_occupied(wheel, level, *edge, goal);
		if (*edge >= goal || is_occupied(wheel, PW_WHEEL_MOVING(level))) {
			return;
		}
		splice(wheel, list_of(level, *edge), PW_WHEEL_MOVING(level));
		wheel->moving[level] = *edge;
		*edge += unit;
	}
}

static void
raise_edges(struct pw_wheel *wheel)
{
	for (unsigned level = UPPER; level >= 1; level--) {
		raise_edge(wheel, level);
	}
}

static inline void
catch_up(struct pw_wheel *wheel)
{
	if (wheel->passed_tick <= wheel->now_tick && !gather(wheel)) {
		skip_empty(wheel);
	}
	raise_edges(wheel);
}

/* The exception of the head comment: more than 2^31 ticks behind, all splices are made at once. */
static void
leap(struct pw_wheel *wheel)
{
	while (gather(wheel)) {
		continue;
	}
	skip_empty(wheel);
	raise_edges(wheel);
}

/* Steps. */

/* The moving list whose range begins first; of two that begin together the shorter range. 0: none. */
static unsigned
first_moving(const struct pw_wheel *wheel)
{
	unsigned first = 0;
	for (unsigned level = 1; level <= UPPER; level++) {
		if (is_occupied(wheel, PW_WHEEL_MOVING(level)) &&
		    (first == 0 || wheel->moving[level] < wheel->moving[first])) {
			first = level;
		}
	}
	return first;
}

static inline void
prefetch(uint32_t link)
{
	if ((link & PW_WHEEL_HEAD) == 0) {
		__builtin_prefetch(pw_slot_address(link), 1); /* what its owner looks at first */
		__builtin_prefetch(pw_slot_timer(link), 1);
	}
}

static void
expire_one(struct pw_wheel *wheel, pw_wheel_on_expire on_expire, void *context)
{
	uint32_t slot = wheel->list[PW_WHEEL_DUE].next;
	struct pw_timer *timer = pw_slot_timer(slot);
	detach(wheel, timer);
	prefetch(timer->next);
	wheel->count--;
	wheel->due_streak++;
	on_expire(context, slot);
}

/* The last entry of a moving list goes to the front of a list below, or out if it is due already. */
static void
move_one(struct pw_wheel *wheel, unsigned level, pw_wheel_on_expire on_expire, void *context)
{
	uint32_t slot = wheel->list[PW_WHEEL_MOVING(level)].prev;
	struct pw_timer *timer = pw_slot_timer(slot);
	uint64_t tick = full_tick(wheel->moving[level], timer->at);
	assert(tick < wheel->edge[level - 1]);
	prefetch(timer->prev);
	detach(wheel, timer);
	wheel->due_streak = 0;
	if (tick > wheel->now_tick) {
		prepend(wheel, list_for(wheel, tick), slot);
		wheel->cascades++;
		return;
	}
	wheel->count--;
	on_expire(context, slot);
}

/* One step of whichever kind has its turn. `work` is the word of the due list and of the moving lists, not 0. */
static inline void
step(struct pw_wheel *wheel, uint64_t work, pw_wheel_on_expire on_expire, void *context)
{
	bool due = (work & DUE_BIT) != 0;
	bool moving = (work & ~DUE_BIT) != 0;
	if (due && (!moving || wheel->due_streak < DUE_SHARE)) {
		expire_one(wheel, on_expire, context);
	} else {
		move_one(wheel, first_moving(wheel), on_expire, context);
	}
}

void
pw_wheel_init(struct pw_wheel *wheel, uint64_t now_tick)
{
	*wheel = (struct pw_wheel){ .now_tick = now_tick, .passed_tick = now_tick + 1 };
	for (unsigned level = 1; level <= UPPER; level++) {
		wheel->edge[level - 1] = floor_to(level, now_tick) + 2 * unit_of(level);
	}
	for (uint32_t list = 0; list < PW_WHEEL_LISTS; list++) {
		reset_list(wheel, list);
	}
}

void
pw_wheel_link(struct pw_wheel *wheel, uint32_t slot, uint64_t at_tick)
{
	uint64_t now = wheel->now_tick;
	assert(slot < PW_WHEEL_HEAD);
	wheel->count++;
	if (at_tick <= now) {
		pw_slot_timer(slot)->at = (uint32_t) now;
		append(wheel, PW_WHEEL_DUE, slot);
		return;
	}
	if (at_tick - now >= PW_WHEEL_RANGE) {
		at_tick = now + PW_WHEEL_RANGE - 1;
	}
	pw_slot_timer(slot)->at = (uint32_t) at_tick;
	append(wheel, list_for(wheel, at_tick), slot);
}

void
pw_wheel_unlink(struct pw_wheel *wheel, uint32_t slot)
{
	assert(slot < PW_WHEEL_HEAD && wheel->count > 0);
	detach(wheel, pw_slot_timer(slot));
	wheel->count--;
}

unsigned
pw_wheel_advance(struct pw_wheel *wheel, uint64_t now_tick, unsigned budget, pw_wheel_on_expire on_expire,
    void *context)
{
	if (now_tick > wheel->now_tick) {
		wheel->now_tick = now_tick;
		if (now_tick > wheel->edge[UPPER - 1] + PW_WHEEL_RANGE) {
			leap(wheel);
		}
	}
	for (unsigned done = 0; done < budget; done++) {
		uint64_t work = wheel->occupied[WORK_WORD];
		if (work == 0 || wheel->passed_tick <= wheel->now_tick) {
			catch_up(wheel);
			work = wheel->occupied[WORK_WORD];
			if (work == 0) {
				return done;
			}
		}
		step(wheel, work, on_expire, context);
	}
	return budget;
}

uint64_t
pw_wheel_next(const struct pw_wheel *wheel)
{
	if (wheel->occupied[WORK_WORD] != 0) {
		return wheel->now_tick;
	}
	uint64_t end = end_of(wheel, 0);
	uint64_t tick = first_occupied(wheel, 0, wheel->passed_tick, end);
	uint64_t next = tick < end ? tick : UINT64_MAX;
	for (unsigned level = 1; level <= UPPER; level++) {
		end = end_of(wheel, level);
		tick = first_occupied(wheel, level, wheel->edge[level - 1], end);
		if (tick < end) {
			next = min_tick(next, tick - unit_of(level));
		}
	}
	return next > wheel->now_tick ? next : wheel->now_tick;
}

bool
pw_wheel_pending(const struct pw_wheel *wheel)
{
	return pw_wheel_next(wheel) <= wheel->now_tick;
}

void
pw_wheel_flush(struct pw_wheel *wheel)
{
	for (unsigned level = 1; level <= UPPER; level++) {
		if (is_occupied(wheel, PW_WHEEL_MOVING(level))) {
			splice(wheel, PW_WHEEL_MOVING(level), PW_WHEEL_DUE);
		}
	}
	uint64_t from = wheel->passed_tick;
	for (unsigned level = 0; level <= UPPER; level++) {
		uint64_t end = end_of(wheel, level);
		uint64_t tick;
		while ((tick = first_occupied(wheel, level, from, end)) < end) {
			splice(wheel, list_of(level, tick), PW_WHEEL_DUE);
			from = tick + unit_of(level);
		}
		from = end;
	}
}

/* The check. */

static void
require(bool holds, unsigned invariant, const char *what)
{
	if (!holds) {
		(void) fprintf(stderr, "pw_wheel_check: I%u: %s\n", invariant, what);
		abort();
	}
}

static void
check_edges(const struct pw_wheel *wheel)
{
	uint64_t from = wheel->passed_tick;
	require(from <= wheel->now_tick + 1, 1, "ticks after now are passed");
	for (unsigned level = 0; level < UPPER; level++) {
		uint64_t edge = wheel->edge[level];
		require(from <= edge, 1, "the edges are not in order");
		require(edge == floor_to(level + 1, edge), 1, "an edge is not a multiple of the unit above");
		require((edge - floor_to(level, from)) >> shift_of(level) <= PW_WHEEL_TURN, 1,
		    "a level spans too many lists");
		from = edge;
	}
	require(wheel->now_tick <= from + PW_WHEEL_RANGE, 1, "the last level lags behind now");
	for (unsigned level = 1; level <= UPPER; level++) {
		require(!is_occupied(wheel, PW_WHEEL_MOVING(level)) ||
			wheel->moving[level] + unit_of(level) <= wheel->edge[level - 1],
		    3, "a list being moved down reaches beyond the level below");
	}
}

static void
check_entry(const struct pw_wheel *wheel, uint32_t list, uint32_t at)
{
	if (list == PW_WHEEL_DUE) {
		return;
	}
	if (list > PW_WHEEL_DUE) {
		unsigned level = list - PW_WHEEL_DUE;
		require(full_tick(wheel->moving[level], at) - wheel->moving[level] < unit_of(level), 3,
		    "an entry lies outside of the list being moved down");
		return;
	}
	unsigned level = list / PW_WHEEL_TURN;
	uint64_t from = level == 0 ? wheel->passed_tick : wheel->edge[level - 1];
	uint64_t tick = full_tick(from, at);
	require(tick < end_of(wheel, level), 3, "an entry lies outside of its level");
	require(list_of(level, tick) == list, 3, "an entry is in another tick's list");
	require(tick <= wheel->now_tick || tick - wheel->now_tick < PW_WHEEL_RANGE, 3, "an entry is out of range");
}

static uint64_t
check_list(const struct pw_wheel *wheel, uint32_t list, uint64_t count_max)
{
	uint64_t count = 0;
	uint32_t prev = list | PW_WHEEL_HEAD;
	uint32_t slot = wheel->list[list].next;
	while ((slot & PW_WHEEL_HEAD) == 0) {
		const struct pw_timer *timer = pw_slot_timer(slot);
		require(++count <= count_max, 2, "more entries than are counted, or a ring without its head");
		require(timer->prev == prev, 2, "a back link differs from the forward link");
		check_entry(wheel, list, timer->at);
		prev = slot;
		slot = timer->next;
	}
	require(slot == (list | PW_WHEEL_HEAD), 2, "a list ends at another's head");
	require(wheel->list[list].prev == prev, 2, "a head does not name the last entry");
	require(is_occupied(wheel, list) == (count != 0), 2, "a bit does not tell whether the list has entries");
	return count;
}

void
pw_wheel_check(const struct pw_wheel *wheel)
{
	uint64_t count = 0;
	check_edges(wheel);
	for (uint32_t list = 0; list < PW_WHEEL_LISTS; list++) {
		count += check_list(wheel, list, wheel->count - count);
	}
	require(count == wheel->count, 2, "fewer entries than are counted");
}

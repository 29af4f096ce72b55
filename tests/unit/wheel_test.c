/* SPDX-License-Identifier: MIT
 *
 * wheel_test.c: the laws of engine/shard/wheel.c, against a brute-force oracle: an array of the ticks that were
 * asked for. Time is a number here, so nothing waits. Random choices come from PW_TEST_SEED (printed), sizes are
 * scaled by PW_TEST_SCALE percent. on_expire records what it sees; the test function judges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/shard/arena.h"
#include "engine/shard/slot.h"
#include "engine/shard/wheel.h"

#define NOT_LINKED UINT64_MAX
#define LAP (UINT64_C(1) << 32) /* where an entry's 32-bit tick begins again */

static uint64_t seed = 20240611;
static unsigned scale_percent = 100;

static unsigned
scaled(unsigned n, unsigned least)
{
	unsigned s = (unsigned) ((uint64_t) n * scale_percent / 100);
	return s < least ? least : s;
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t
below(uint64_t *state, uint64_t n)
{
	return (next_random(state) >> 11) % n;
}

/* The world: a wheel, the slots, and what the oracle knows of them. */

enum habit {
	HABIT_NONE,
	HABIT_RELINK_AT_ONCE, /* every entry links itself again, at or before now */
	HABIT_CROWD_RELINKS,  /* the same, the first `crowd` entries only */
	HABIT_RANDOM,         /* relinks, links others, unlinks others */
};

struct world {
	struct pw_wheel wheel;
	uint64_t random;
	unsigned size;
	uint32_t *slot;     /* by index */
	uint64_t *due;      /* by index: the tick, clamped as the wheel says; NOT_LINKED */
	uint64_t *sequence; /* by index: the how manieth link */
	uint64_t links;
	uint64_t linked;
	enum habit habit;
	unsigned crowd;
	bool flushed; /* early is allowed: a flush was asked for */
	/* what on_expire saw */
	uint64_t given_out;
	uint64_t early;
	uint64_t unasked; /* given out, but not linked */
	uint64_t disordered;
	uint64_t late_max;
	uint64_t last_due;
	uint64_t last_sequence;
	uint64_t *times; /* by index: how often given out */
};

/* The test's own field in a slot: the way back from a slot number to the index. */
#define INDEX_OFFSET 128

static uint32_t *
index_of(uint32_t slot)
{
	return (uint32_t *) ((char *) pw_slot_address(slot) + INDEX_OFFSET);
}

/* Slots are never returned: worlds take turns on the same ones. */
static uint32_t *
borrow_slots(unsigned size)
{
	static struct pw_arena arena;
	static uint32_t *slots;
	static unsigned have;
	if (have == 0) {
		pw_arena_init(&arena);
	}
	if (size > have) {
		slots = realloc(slots, size * sizeof(*slots));
		assert_non_null(slots);
	}
	for (; have < size; have++) {
		assert_non_null(pw_arena_alloc(&arena, &slots[have]));
		*index_of(slots[have]) = have;
	}
	return slots;
}

static struct world *
world_new(unsigned size, uint64_t now_tick)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->random = seed;
	w->size = size;
	w->slot = borrow_slots(size);
	w->due = malloc(size * sizeof(*w->due));
	w->sequence = calloc(size, sizeof(*w->sequence));
	w->times = calloc(size, sizeof(*w->times));
	assert_true(w->due != NULL && w->sequence != NULL && w->times != NULL);
	memset(w->due, 0xff, size * sizeof(*w->due));
	pw_wheel_init(&w->wheel, now_tick);
	return w;
}

static void
world_free(struct world *w)
{
	free(w->due);
	free(w->sequence);
	free(w->times);
	free(w);
}

static void
world_link(struct world *w, unsigned i, uint64_t at_tick)
{
	uint64_t now = w->wheel.now_tick;
	pw_wheel_link(&w->wheel, w->slot[i], at_tick);
	if (at_tick < now) {
		at_tick = now;
	}
	if (at_tick - now >= PW_WHEEL_RANGE) {
		at_tick = now + PW_WHEEL_RANGE - 1;
	}
	w->due[i] = at_tick;
	w->sequence[i] = ++w->links;
	w->linked++;
}

static void
world_unlink(struct world *w, unsigned i)
{
	pw_wheel_unlink(&w->wheel, w->slot[i]);
	w->due[i] = NOT_LINKED;
	w->linked--;
}

/* A distance ahead of now: near, at the seams of a level, anywhere in it, beyond the range, or in the past. */
static uint64_t
random_at(struct world *w)
{
	uint64_t now = w->wheel.now_tick;
	uint64_t *r = &w->random;
	unsigned level = (unsigned) below(r, PW_WHEEL_LEVELS + 1);
	uint64_t unit = UINT64_C(1) << (8 * level);
	switch (below(r, 8)) {
	case 0:
		return now - (now < 5 ? now : below(r, 5));
	case 1:
		return now + 1 + below(r, 600);
	case 2: /* a seam of the levels, give or take two */
		return (now & ~(unit - 1)) + unit * below(r, 4) + below(r, 5) - 2;
	case 3:
		return now + unit * (1 + below(r, 3)) + below(r, 3) - 1;
	case 4:
		return now + PW_WHEEL_RANGE - 2 + below(r, 4);
	case 5:
		return below(r, 2) != 0 ? UINT64_MAX : now + LAP + below(r, 100);
	default:
		return now + below(r, unit * 512);
	}
}

/* How far time jumps: mostly a little, sometimes over lists of a level, over a level, or over a lap. */
static uint64_t
random_jump(struct world *w)
{
	uint64_t *r = &w->random;
	uint64_t pick = below(r, 64);
	if (pick < 16) {
		return below(r, 3);
	}
	if (pick < 32) {
		return below(r, 300);
	}
	if (pick < 44) {
		return below(r, 2000);
	}
	if (pick < 52) {
		return below(r, UINT64_C(1) << 17);
	}
	if (pick < 58) {
		return below(r, UINT64_C(1) << 25);
	}
	if (pick < 63) {
		return below(r, UINT64_C(1) << 31);
	}
	return below(r, 3 * LAP);
}

static void
behave_at_random(struct world *w, unsigned i)
{
	uint64_t *r = &w->random;
	unsigned other = (unsigned) below(r, w->size);
	switch (below(r, 8)) {
	case 0:
		world_link(w, i, w->wheel.now_tick); /* again at once */
		break;
	case 1:
	case 2:
		world_link(w, i, random_at(w));
		break;
	case 3:
	case 4:
		if (w->due[other] != NOT_LINKED) {
			world_unlink(w, other);
		}
		break;
	case 5:
		if (w->due[other] == NOT_LINKED) {
			world_link(w, other, random_at(w));
		}
		break;
	default:
		break;
	}
}

static void
on_expire(void *context, uint32_t slot)
{
	struct world *w = context;
	unsigned i = *index_of(slot);
	uint64_t due = w->due[i];
	uint64_t now = w->wheel.now_tick;
	w->given_out++;
	w->times[i]++;
	if (due == NOT_LINKED) {
		w->unasked++;
		return;
	}
	w->early += due > now && !w->flushed;
	w->late_max = due < now && now - due > w->late_max ? now - due : w->late_max;
	w->disordered += due == w->last_due && w->sequence[i] < w->last_sequence;
	w->last_due = due;
	w->last_sequence = w->sequence[i];
	w->due[i] = NOT_LINKED;
	w->linked--;
	if (w->habit == HABIT_RELINK_AT_ONCE || (w->habit == HABIT_CROWD_RELINKS && i < w->crowd)) {
		world_link(w, i, now - (now > 3 ? i % 3 : 0));
	} else if (w->habit == HABIT_RANDOM) {
		behave_at_random(w, i);
	}
}

static uint64_t
earliest_due(const struct world *w)
{
	uint64_t earliest = NOT_LINKED;
	for (unsigned i = 0; i < w->size; i++) {
		earliest = w->due[i] < earliest ? w->due[i] : earliest;
	}
	return earliest;
}

/* One advance and every law that holds after it, whatever came before. */
static unsigned
world_advance(struct world *w, uint64_t now_tick, unsigned budget)
{
	uint64_t given_out = w->given_out;
	uint64_t moved = w->wheel.cascades;
	unsigned done = pw_wheel_advance(&w->wheel, now_tick, budget, on_expire, w);
	pw_wheel_check(&w->wheel);
	assert_true(done <= budget);
	assert_int_equal(done, w->given_out - given_out + (w->wheel.cascades - moved));
	assert_int_equal(w->early, 0);
	assert_int_equal(w->unasked, 0);
	assert_int_equal(w->wheel.count, w->linked);
	uint64_t now = w->wheel.now_tick;
	uint64_t next = pw_wheel_next(&w->wheel);
	uint64_t earliest = earliest_due(w);
	assert_true(next <= (earliest > now ? earliest : now));
	assert_true(next >= now);
	assert_int_equal(pw_wheel_pending(&w->wheel), next == now);
	if (done < budget) {
		assert_true(earliest > now);
		assert_false(pw_wheel_pending(&w->wheel));
		assert_int_equal(w->wheel.passed_tick, now + 1); /* I4 */
		for (unsigned level = 1; level < PW_WHEEL_LEVELS; level++) {
			assert_true(w->wheel.edge[level - 1] > now + (UINT64_C(1) << (8 * level)));
		}
		assert_int_equal(next == UINT64_MAX, w->linked == 0);
	}
	return done;
}

static const unsigned budgets[] = { 1, 7, 256 };

/* Wheels do not begin at tick 0 only: before every seam, and where the 32 bits of an entry's tick wrap. */
static const uint64_t beginnings[] = {
	0,
	1,
	255,
	256,
	511,
	65535,
	65536,
	(UINT64_C(1) << 24) - 1,
	UINT64_C(1) << 24,
	PW_WHEEL_RANGE - 3,
	LAP - 300,
	LAP - 1,
	5 * LAP + 12345,
};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Law: whatever is linked, unlinked and however time goes: nothing comes early, nothing that was unlinked comes,
 * nothing due is left when advance has budget left, next is not late, the count is right.
 * Method: random sequences against the oracle, from every beginning, with every budget, with callbacks that link
 * and unlink; the wheel's own check after every step. */
static void
wheel_agrees_with_the_oracle(void **state)
{
	(void) state;
	unsigned rounds = scaled(3000, 100);
	for (unsigned begin = 0; begin < COUNT_OF(beginnings); begin++) {
		for (unsigned b = 0; b < COUNT_OF(budgets); b++) {
			struct world *w = world_new(100, beginnings[begin]);
			w->random = seed + begin * 16 + b;
			w->habit = HABIT_RANDOM;
			for (unsigned round = 0; round < rounds; round++) {
				for (uint64_t n = below(&w->random, 12); n > 0; n--) {
					unsigned i = (unsigned) below(&w->random, w->size);
					if (w->due[i] == NOT_LINKED) {
						world_link(w, i, random_at(w));
					} else if (below(&w->random, 3) == 0) {
						world_unlink(w, i);
					}
				}
				pw_wheel_check(&w->wheel);
				assert_true(pw_wheel_next(&w->wheel) <= earliest_due(w) ||
				    pw_wheel_next(&w->wheel) == w->wheel.now_tick);
				(void) world_advance(w, w->wheel.now_tick + random_jump(w), budgets[b]);
			}
			assert_true(w->given_out > rounds / 4);
			world_free(w);
		}
	}
}

/* Law: an entry comes out at its tick exactly, if the wheel is woken when it asks for it, and from no distance
 * is it woken more than once per level for that.
 * Method: a single entry at the seams of every level and at random, from every beginning; time goes from next to
 * next. */
static void
wheel_wakes_at_most_once_per_level(void **state)
{
	(void) state;
	unsigned rounds = scaled(400, 50);
	unsigned wakes_max = 0;
	for (unsigned begin = 0; begin < COUNT_OF(beginnings); begin++) {
		struct world *w = world_new(1, beginnings[begin]);
		for (unsigned round = 0; round < rounds; round++) {
			world_link(w, 0, random_at(w));
			uint64_t due = w->due[0];
			unsigned wakes = 0;
			while (w->linked != 0) {
				(void) world_advance(w, pw_wheel_next(&w->wheel), 8);
				wakes++;
			}
			assert_int_equal(w->wheel.now_tick, due);
			wakes_max = wakes > wakes_max ? wakes : wakes_max;
			assert_true(wakes <= PW_WHEEL_LEVELS);
			/* sleep on with nothing linked, so that the next entry finds a wheel that lags */
			(void) world_advance(w, w->wheel.now_tick + random_jump(w), 8);
		}
		world_free(w);
	}
	assert_int_equal(wakes_max, PW_WHEEL_LEVELS);
}

/* Law: far deadlines, however many, do not wake an idle process: the first wake is not earlier than one list of
 * the third level before the first of them, and every wake does work.
 * Method: many entries in the same stretch, far ahead; the steps of each wake are counted until all are out. */
static void
wheel_of_many_far_deadlines_sleeps(void **state)
{
	(void) state;
	unsigned size = scaled(20000, 1000);
	uint64_t far = UINT64_C(1) << 30;
	uint64_t list = UINT64_C(1) << 24;
	struct world *w = world_new(size, 777);
	for (unsigned i = 0; i < size; i++) {
		world_link(w, i, far + below(&w->random, list));
	}
	assert_true(pw_wheel_next(&w->wheel) >= far - 2 * list);
	while (w->linked != 0) {
		uint64_t next = pw_wheel_next(&w->wheel);
		unsigned done = pw_wheel_advance(&w->wheel, next, 256, on_expire, w);
		assert_true(done > 0);
	}
	pw_wheel_check(&w->wheel);
	assert_int_equal(w->late_max, 0);
	assert_int_equal(w->early, 0);
	assert_int_equal(w->given_out, size);
	assert_true(w->wheel.cascades <= (uint64_t) size * (PW_WHEEL_LEVELS - 1));
	world_free(w);
}

/* Law: entries of one tick come out in the order they were linked, if the wheel keeps up.
 * Method: entries on few ticks, linked at all times before, so that they come by all levels; some are unlinked.
 * The budget is small against the entries, so that some are linked while their list is being moved down. */
static void
wheel_keeps_the_order_within_a_tick(void **state)
{
	(void) state;
	unsigned size = scaled(4000, 400);
	static const uint64_t spans[] = { 300, 1000, 70000, 200000, UINT64_C(1) << 25 };
	for (unsigned s = 0; s < COUNT_OF(spans); s++) {
		struct world *w = world_new(size, 4242);
		uint64_t due = w->wheel.now_tick + spans[s];
		unsigned i = 0;
		while (w->wheel.now_tick < due - 1) {
			uint64_t now = w->wheel.now_tick;
			for (uint64_t n = below(&w->random, 40); n > 0 && i < size; n--) {
				world_link(w, i++, due + below(&w->random, 3));
			}
			if (i > 0 && below(&w->random, 2) == 0) {
				unsigned other = (unsigned) below(&w->random, i);
				if (w->due[other] != NOT_LINKED) {
					world_unlink(w, other);
				}
			}
			uint64_t jump = pw_wheel_pending(&w->wheel) ? below(&w->random, 2)
								    : 1 + below(&w->random, (due - now + 7) / 8);
			(void) world_advance(w, now + jump < due ? now + jump : due - 1, 16);
		}
		while (pw_wheel_pending(&w->wheel)) {
			(void) world_advance(w, due - 1, 16);
		}
		assert_int_equal(w->given_out, 0);
		for (; w->linked != 0; due++) {
			while (world_advance(w, due, 7) == 7) {
				continue;
			}
		}
		assert_true(w->given_out > 0);
		assert_int_equal(w->disordered, 0);
		world_free(w);
	}
}

/* Law: unlink works in every place, a list that is being moved down and the due list included.
 * Method: one long list per level, advance with a small budget until it is half moved (half given out for level
 * 0), then every second entry is unlinked; of the others each comes once, of these none. */
static void
wheel_unlinks_anywhere(void **state)
{
	(void) state;
	unsigned size = 1000;
	for (unsigned level = 0; level < PW_WHEEL_LEVELS; level++) {
		uint64_t unit = UINT64_C(1) << (8 * level);
		struct world *w = world_new(size, 99);
		for (unsigned i = 0; i < size; i++) {
			world_link(w, i, 100 * unit + below(&w->random, unit));
		}
		uint64_t wake = pw_wheel_next(&w->wheel);
		assert_true(wake >= 99 * unit && wake <= 100 * unit);
		(void) world_advance(w, wake, size / 2);
		assert_int_equal(w->given_out + w->wheel.cascades, size / 2);
		uint32_t half = level == 0 ? PW_WHEEL_DUE : PW_WHEEL_MOVING(level);
		assert_true((w->wheel.occupied[half / 64] >> (half % 64) & 1) != 0);
		unsigned unlinked = 0;
		for (unsigned i = 0; i < size; i += 2) {
			if (w->due[i] != NOT_LINKED) {
				world_unlink(w, i);
				unlinked++;
				pw_wheel_check(&w->wheel);
			}
		}
		while (w->linked != 0) {
			(void) world_advance(w, pw_wheel_next(&w->wheel), 7);
		}
		assert_true(unlinked > size / 8);
		assert_int_equal(w->given_out, size - unlinked);
		assert_int_equal(w->late_max, 0);
		for (unsigned i = 0; i < size; i++) {
			assert_true(w->times[i] <= 1);
		}
		world_free(w);
	}
}

/* Law: an entry that links itself again at once costs one step each time; it neither keeps advance from returning
 * nor others from coming out. (libuv #4250)
 * Method: a crowd of such entries, more than the budget, and others at later ticks and in all levels; time goes
 * on by ticks and by jumps. */
static void
wheel_relinking_at_once_starves_nobody(void **state)
{
	(void) state;
	for (unsigned b = 0; b < COUNT_OF(budgets); b++) {
		unsigned crowd = 300;
		unsigned others = 40;
		struct world *w = world_new(crowd + others, 1000);
		w->habit = HABIT_RELINK_AT_ONCE;
		for (unsigned i = 0; i < crowd; i++) {
			world_link(w, i, 1000);
		}
		for (unsigned i = crowd; i < crowd + others; i++) {
			world_link(w, i, random_at(w));
		}
		for (unsigned round = 0; round < 40; round++) {
			uint64_t now = w->wheel.now_tick + (round % 4 == 0 ? random_jump(w) : 1);
			assert_int_equal(world_advance(w, now, budgets[b]), budgets[b]);
		}
		assert_int_equal(world_advance(w, w->wheel.now_tick + PW_WHEEL_RANGE, budgets[b]), budgets[b]);
		for (unsigned round = 0; round < 4 * (crowd + others) / budgets[b] + 4; round++) {
			assert_int_equal(world_advance(w, w->wheel.now_tick, budgets[b]), budgets[b]);
		}
		for (unsigned i = 0; i < crowd + others; i++) {
			assert_true(w->times[i] > 0);
		}
		world_free(w);
	}
}

/* Law: a shard whose every turn is full of due entries still moves lists down and takes in new ticks: what it
 * linked ahead is late by the length of the queue before it, not for ever.
 * Method: a crowd that links itself at once, more than a budget; others ahead in level 0 and long lists in levels 1
 * and 2; three ticks per turn, so that several lists come due in each. */
static void
wheel_full_turns_starve_no_cascade(void **state)
{
	(void) state;
	unsigned crowd = 400;
	unsigned others = 2000;
	struct world *w = world_new(crowd + others, 1000);
	for (unsigned i = 0; i < crowd; i++) {
		world_link(w, i, 1000);
	}
	w->habit = HABIT_CROWD_RELINKS;
	w->crowd = crowd;
	for (unsigned i = crowd; i < crowd + others; i++) {
		uint64_t ahead = i % 4 == 0 ? below(&w->random, 500) : 1000 + below(&w->random, 199000);
		world_link(w, i, w->wheel.now_tick + 1 + ahead);
	}
	for (uint64_t now = 1000; now < 202000; now += 3) {
		assert_int_equal(pw_wheel_advance(&w->wheel, now, 256, on_expire, w), 256);
	}
	pw_wheel_check(&w->wheel);
	for (unsigned i = crowd; i < crowd + others; i++) {
		assert_int_equal(w->times[i], 1);
	}
	assert_true(w->late_max <= 3 * 6); /* the queue is 400 and what came in between, a turn at least 192 of it */
	assert_int_equal(w->early, 0);
	world_free(w);
}

/* Law: nothing is early when a list is due but for its last tick.
 * Method: a list of each upper level whose entries are all on its last tick; its cascade is begun with one step, then
 * cut short until the tick before the last, which must give out none; the last gives out all. */
static void
wheel_never_fires_early(void **state)
{
	(void) state;
	for (unsigned level = 1; level < PW_WHEEL_LEVELS; level++) {
		for (unsigned begun = 0; begun < 2; begun++) {
			uint64_t unit = UINT64_C(1) << (8 * level);
			uint64_t last = 101 * unit - 1;
			struct world *w = world_new(50, 3);
			for (unsigned i = 0; i < w->size; i++) {
				world_link(w, i, last);
			}
			if (begun != 0) {
				assert_int_equal(world_advance(w, 99 * unit, 1), 1);
			}
			(void) world_advance(w, last - 1, 1000);
			assert_int_equal(w->given_out, 0);
			(void) world_advance(w, last, 1000);
			assert_int_equal(w->given_out, w->size);
			world_free(w);
		}
	}
}

/* Law: time never goes backwards: an earlier tick is the same as the latest.
 * Method: an entry is linked after such a call; it counts from the latest tick. */
static void
wheel_time_never_goes_back(void **state)
{
	(void) state;
	struct world *w = world_new(2, 1000);
	world_link(w, 0, 1200);
	assert_int_equal(world_advance(w, 1100, 8), 0);
	assert_int_equal(world_advance(w, 3, 8), 0);
	assert_int_equal(w->wheel.now_tick, 1100);
	world_link(w, 1, 1100);
	assert_int_equal(world_advance(w, 1099, 8), 1);
	assert_int_equal(w->times[1], 1);
	assert_int_equal(world_advance(w, 1200, 8), 1);
	world_free(w);
}

/* Law: an entry linked at once from on_expire is not dropped in the tick it fires. (tokio #3229)
 * Method: an entry that links itself at once, budget for exactly its steps; it is in the wheel after each. */
static void
wheel_keeps_an_entry_linked_while_it_fires(void **state)
{
	(void) state;
	struct world *w = world_new(1, 0);
	w->habit = HABIT_RELINK_AT_ONCE;
	world_link(w, 0, 5);
	for (unsigned turn = 1; turn <= 20; turn++) {
		assert_int_equal(world_advance(w, 5, 1), 1);
		assert_int_equal(w->times[0], turn);
		assert_int_equal(w->wheel.count, 1);
	}
	world_free(w);
}

/* Law: however many entries a jump of time makes due, they come out in steps, each once, all of them.
 * Method: entries over all levels; jumps over one list, several, a level, two laps; small budgets; while the wheel
 * is behind, near entries are linked, which must not come early either. */
static void
wheel_catches_up_after_a_long_sleep(void **state)
{
	(void) state;
	static const uint64_t jumps[] = { 256, 511, 513, 70000, 131073, UINT64_C(1) << 24, UINT64_C(1) << 26,
		PW_WHEEL_RANGE - 2, PW_WHEEL_RANGE + 1, LAP - 1, LAP + 5, 4 * LAP, UINT64_C(1) << 60 };
	unsigned size = scaled(1200, 300);
	for (unsigned j = 0; j < COUNT_OF(jumps); j++) {
		for (unsigned b = 0; b < COUNT_OF(budgets); b++) {
			struct world *w = world_new(size, LAP - 1000);
			unsigned far = size / 2;
			for (unsigned i = 0; i < far; i++) {
				world_link(w, i, random_at(w));
			}
			(void) world_advance(w, w->wheel.now_tick + jumps[j], budgets[b]);
			for (unsigned i = far; i < size; i++) {
				world_link(w, i, w->wheel.now_tick + 1 + below(&w->random, 700));
				(void) world_advance(w, w->wheel.now_tick + below(&w->random, 2), budgets[b]);
			}
			uint64_t steps = 0;
			while (w->linked != 0) {
				steps += world_advance(w, pw_wheel_next(&w->wheel), budgets[b]);
			}
			assert_true(steps <= (uint64_t) size * PW_WHEEL_LEVELS);
			for (unsigned i = 0; i < size; i++) {
				assert_int_equal(w->times[i], 1);
			}
			world_free(w);
		}
	}
}

/* Law: a wheel that lags by almost a lap, because it is jumped with no budget to catch up, keeps entries of
 * different laps apart.
 * Method: jumps of up to half a lap with a budget of one step, far entries linked after each. */
static void
wheel_keeps_laps_apart(void **state)
{
	(void) state;
	struct world *w = world_new(400, 12);
	unsigned i = 0;
	while (i < w->size) {
		for (unsigned n = 0; n < 8; n++) {
			world_link(w, i++, w->wheel.now_tick + PW_WHEEL_RANGE - 1 - below(&w->random, 3 * 65536));
		}
		uint64_t jump = PW_WHEEL_RANGE / 2 + below(&w->random, PW_WHEEL_RANGE);
		(void) world_advance(w, w->wheel.now_tick + jump, 1);
	}
	while (w->linked != 0) {
		(void) world_advance(w, pw_wheel_next(&w->wheel), 1);
	}
	for (i = 0; i < w->size; i++) {
		assert_int_equal(w->times[i], 1);
	}
	world_free(w);
}

/* Law: after flush everything comes out, in batches, with time standing still; what on_expire links for later
 * stays.
 * Method: entries everywhere, some being moved down; flush; advance with every budget. */
static void
wheel_flush_gives_out_everything(void **state)
{
	(void) state;
	for (unsigned b = 0; b < COUNT_OF(budgets); b++) {
		unsigned size = 500;
		struct world *w = world_new(size, 70000);
		for (unsigned i = 0; i < size - 1; i++) {
			world_link(w, i, i < 200 ? 100 * 256 * 256 + i : random_at(w));
		}
		(void) world_advance(w, 99 * 256 * 256, 60);
		uint64_t given_out = w->given_out;
		uint64_t linked = w->linked;
		w->flushed = true;
		pw_wheel_flush(&w->wheel);
		pw_wheel_check(&w->wheel);
		pw_wheel_flush(&w->wheel);
		assert_int_equal(pw_wheel_next(&w->wheel), w->wheel.now_tick);
		world_link(w, size - 1, w->wheel.now_tick + 10);
		unsigned done;
		do {
			done = pw_wheel_advance(&w->wheel, w->wheel.now_tick, budgets[b], on_expire, w);
			pw_wheel_check(&w->wheel);
		} while (done == budgets[b]);
		assert_int_equal(w->given_out - given_out, linked);
		assert_int_equal(w->wheel.count, 1);
		assert_true(w->due[size - 1] != NOT_LINKED);
		world_free(w);
	}
}

/* A driver of one turn per tick with a budget of 256, and a foreground: every turn links a few near entries,
 * whose lateness it returns; `background` entries are there from the beginning. */
struct lateness {
	uint64_t foreground;
	uint64_t background;
	unsigned steps_max;
};

static struct lateness
drive(struct world *w, unsigned background, uint64_t ticks)
{
	struct lateness late = { 0, 0, 0 };
	unsigned near = w->size - background;
	unsigned i = background;
	uint64_t begin = w->wheel.now_tick;
	for (uint64_t now = begin; now <= begin + ticks; now++) {
		unsigned done = pw_wheel_advance(&w->wheel, now, 256, on_expire, w);
		late.steps_max = done > late.steps_max ? done : late.steps_max;
		for (unsigned n = 0; n < 16; n++) {
			i = i + 1 < w->size ? i + 1 : background;
			if (w->due[i] == NOT_LINKED) {
				world_link(w, i, now + 1 + below(&w->random, near / 16));
			} else if (w->due[i] < now) {
				late.foreground =
				    now - w->due[i] > late.foreground ? now - w->due[i] : late.foreground;
			}
		}
	}
	late.background = w->late_max;
	return late;
}

/* Law: moving a long list down makes nothing late: neither what is due meanwhile nor the list's own entries, as
 * long as they are not due faster than the budget.
 * Method: 300,000 entries in one list of the third level; another 20,000 in one list of the second, which must be
 * moved while the first still is; 16 others due in every tick; a turn of 256 steps per tick; the worst lateness is
 * 0 ticks. */
static void
wheel_cascade_makes_nothing_late(void **state)
{
	(void) state;
	unsigned third = scaled(300000, 10000);
	unsigned second = scaled(20000, 1000);
	unsigned background = third + second;
	struct world *w = world_new(background + 6400, 65536 * 3 + 17);
	for (unsigned i = 0; i < third; i++) {
		world_link(w, i, 65536 * 6 + below(&w->random, 65536));
	}
	for (unsigned i = third; i < background; i++) {
		world_link(w, i, 65536 * 5 + 768 + below(&w->random, 256));
	}
	struct lateness late = drive(w, background, 65536 * 4);
	pw_wheel_check(&w->wheel);
	for (unsigned i = 0; i < background; i++) {
		assert_int_equal(w->times[i], 1);
	}
	print_message("%u and %u entries moved down: worst lateness %llu ticks, most steps in a turn %u\n", third,
	    second, (unsigned long long) late.background, late.steps_max);
	assert_int_equal(late.foreground, 0);
	assert_int_equal(late.background, 0);
	assert_int_equal(w->early, 0);
	assert_true(late.steps_max <= 256);
	world_free(w);
}

/* Law: next names the time to begin a cascade early enough: a shard that sleeps until then makes nothing late.
 * Method: 60,000 entries in one list of each upper level in turn, spread over 256 or more ticks, a driver that sleeps
 * until next and then takes a turn of 256 steps per tick; the worst lateness is 0 ticks. */
static void
wheel_sleeper_is_woken_ahead_of_a_long_cascade(void **state)
{
	(void) state;
	for (unsigned level = 1; level < PW_WHEEL_LEVELS; level++) {
		uint64_t unit = UINT64_C(1) << (8 * level);
		unsigned size = level == 1 ? scaled(20000, 1000) : scaled(60000, 3000);
		uint64_t spread = unit < 65536 ? unit : 65536;
		struct world *w = world_new(size, 5);
		for (unsigned i = 0; i < size; i++) {
			world_link(w, i, 20 * unit + below(&w->random, spread));
		}
		while (w->linked != 0) {
			uint64_t now = w->wheel.now_tick + 1;
			uint64_t next = pw_wheel_next(&w->wheel);
			(void) pw_wheel_advance(&w->wheel, next > now ? next : now, 256, on_expire, w);
		}
		assert_int_equal(w->given_out, size);
		assert_int_equal(w->late_max, 0);
		assert_int_equal(w->early, 0);
		world_free(w);
	}
}

/* Law: a million entries due at the same tick are spread over turns: none takes more than its budget, what is due
 * later waits for those before it and for no more, and it is over when the budget allows.
 * Method: all on one tick, 16 others per tick; lateness is at most entries / (256 - 16 - 16 moved) turns, and a
 * quarter more for what the cascades may take. */
static void
wheel_spreads_a_million_at_one_tick(void **state)
{
	(void) state;
	unsigned background = scaled(1000000, 10000);
	struct world *w = world_new(background + 6400, 1);
	for (unsigned i = 0; i < background; i++) {
		world_link(w, i, 20000);
	}
	struct lateness late = drive(w, background, 40000);
	pw_wheel_check(&w->wheel);
	for (unsigned i = 0; i < background; i++) {
		assert_int_equal(w->times[i], 1);
	}
	uint64_t least = background / 256;
	print_message("%u due at one tick: worst lateness %llu ticks (%llu turns' worth), most steps in a turn %u\n",
	    background, (unsigned long long) late.background, (unsigned long long) least, late.steps_max);
	assert_true(late.steps_max <= 256);
	assert_true(late.background >= least - 1);
	assert_true(late.background <= background / 224 + background / 896 + 300);
	assert_int_equal(w->early, 0);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wheel_agrees_with_the_oracle),
		cmocka_unit_test(wheel_wakes_at_most_once_per_level),
		cmocka_unit_test(wheel_of_many_far_deadlines_sleeps),
		cmocka_unit_test(wheel_keeps_the_order_within_a_tick),
		cmocka_unit_test(wheel_unlinks_anywhere),
		cmocka_unit_test(wheel_relinking_at_once_starves_nobody),
		cmocka_unit_test(wheel_full_turns_starve_no_cascade),
		cmocka_unit_test(wheel_never_fires_early),
		cmocka_unit_test(wheel_time_never_goes_back),
		cmocka_unit_test(wheel_keeps_an_entry_linked_while_it_fires),
		cmocka_unit_test(wheel_catches_up_after_a_long_sleep),
		cmocka_unit_test(wheel_keeps_laps_apart),
		cmocka_unit_test(wheel_flush_gives_out_everything),
		cmocka_unit_test(wheel_cascade_makes_nothing_late),
		cmocka_unit_test(wheel_sleeper_is_woken_ahead_of_a_long_cascade),
		cmocka_unit_test(wheel_spreads_a_million_at_one_tick),
	};
	const char *text = getenv("PW_TEST_SEED");
	if (text != NULL && strtoull(text, NULL, 10) != 0) {
		seed = strtoull(text, NULL, 10);
	}
	text = getenv("PW_TEST_SCALE");
	if (text != NULL && atoi(text) > 0) {
		scale_percent = (unsigned) atoi(text);
	}
	print_message("PW_TEST_SEED=%llu PW_TEST_SCALE=%u\n", (unsigned long long) seed, scale_percent);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

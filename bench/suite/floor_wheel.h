/* SPDX-License-Identifier: MIT
 *
 * floor_wheel.h: a timing wheel with nothing around it, to measure the engine's against. For C files.
 *
 * The textbook: levels of 256 lists each, doubly linked, a bitmap of the lists that are not empty; an entry lies on
 * the level of the highest byte in which its tick differs from now, and moves down when now reaches its list. Arm and
 * cancel are O(1), the next tick is O(levels). A list is moved down and an instant is expired at once, however long
 * that takes: no promise of ../engine/shard/wheel.c is kept. Never early.
 */
#ifndef PINWHEEL_BENCH_FLOOR_WHEEL_H
#define PINWHEEL_BENCH_FLOOR_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_TICK_BITS 16 /* a tick is 65.536 us */
#define FLOOR_LEVELS 5u
#define FLOOR_LISTS 256u
#define FLOOR_NEVER UINT64_MAX

struct floor_timer {
	struct floor_timer *next, *prev; /* next NULL: not armed */
	uint64_t tick;
	uint32_t list; /* of all levels */
	int32_t owner; /* the owner's */
};

struct floor_wheel {
	uint64_t now_tick;
	uint64_t armed;
	uint64_t occupied[FLOOR_LEVELS][FLOOR_LISTS / 64];
	struct floor_timer head[FLOOR_LEVELS * FLOOR_LISTS];
};

static inline void
floor_wheel_init(struct floor_wheel *wheel, uint64_t now_ns)
{
	*wheel = (struct floor_wheel){ .now_tick = now_ns >> FLOOR_TICK_BITS };
	for (unsigned i = 0; i < FLOOR_LEVELS * FLOOR_LISTS; i++) {
		wheel->head[i].next = wheel->head[i].prev = &wheel->head[i];
	}
}

static inline void
floor_wheel_link(struct floor_wheel *wheel, struct floor_timer *timer)
{
	uint64_t differs = (timer->tick ^ wheel->now_tick) | 1;
	unsigned level = (63u - (unsigned) __builtin_clzll(differs)) / 8;
	unsigned index = (unsigned) (timer->tick >> (8 * level)) % FLOOR_LISTS;
	struct floor_timer *head = &wheel->head[level * FLOOR_LISTS + index];
	wheel->occupied[level][index / 64] |= UINT64_C(1) << (index % 64);
	timer->list = level * FLOOR_LISTS + index;
	timer->next = head;
	timer->prev = head->prev;
	head->prev->next = timer;
	head->prev = timer;
}

static inline void
floor_wheel_unlink(struct floor_wheel *wheel, struct floor_timer *timer)
{
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	if (timer->next == timer->prev) { /* the head alone */
		unsigned index = timer->list % FLOOR_LISTS;
		wheel->occupied[timer->list / FLOOR_LISTS][index / 64] &= ~(UINT64_C(1) << (index % 64));
	}
	timer->next = NULL;
}

static inline void
floor_wheel_arm(struct floor_wheel *wheel, struct floor_timer *timer, uint64_t deadline_ns)
{
	uint64_t tick = (deadline_ns + (UINT64_C(1) << FLOOR_TICK_BITS) - 1) >> FLOOR_TICK_BITS;
	timer->tick = tick > wheel->now_tick ? tick : wheel->now_tick + 1;
	floor_wheel_link(wheel, timer);
	wheel->armed++;
}

static inline void
floor_wheel_cancel(struct floor_wheel *wheel, struct floor_timer *timer)
{
	floor_wheel_unlink(wheel, timer);
	wheel->armed--;
}

/* The first list of a level above `index`; FLOOR_LISTS: none. */
static inline unsigned
floor_wheel_above(const uint64_t *occupied, unsigned index)
{
	for (unsigned bit = index + 1; bit < FLOOR_LISTS; bit = (bit | 63) + 1) {
		uint64_t word = occupied[bit / 64] >> (bit % 64);
		if (word != 0) {
			return bit + (unsigned) __builtin_ctzll(word);
		}
	}
	return FLOOR_LISTS;
}

/* The next tick at which an entry expires or moves down. */
static inline uint64_t
floor_wheel_next(const struct floor_wheel *wheel)
{
	for (unsigned level = 0; level < FLOOR_LEVELS; level++) {
		unsigned now = (unsigned) (wheel->now_tick >> (8 * level)) % FLOOR_LISTS;
		unsigned index = floor_wheel_above(wheel->occupied[level], now);
		if (index != FLOOR_LISTS) {
			uint64_t above = wheel->now_tick >> (8 * level) >> 8 << 8;
			return (above | index) << (8 * level);
		}
	}
	return FLOOR_NEVER;
}

/* on_expire finds the entry not armed. */
static inline void
floor_wheel_advance(struct floor_wheel *wheel, uint64_t now_ns, void (*on_expire)(struct floor_timer *timer))
{
	uint64_t target = now_ns >> FLOOR_TICK_BITS, tick;
	while ((tick = floor_wheel_next(wheel)) <= target) {
		wheel->now_tick = tick;
		for (unsigned level = FLOOR_LEVELS; level-- != 0;) {
			if ((tick & ((UINT64_C(1) << (8 * level)) - 1)) != 0) {
				continue;
			}
			struct floor_timer *head =
			    &wheel->head[level * FLOOR_LISTS + (unsigned) (tick >> (8 * level)) % FLOOR_LISTS];
			while (head->next != head) {
				struct floor_timer *timer = head->next;
				floor_wheel_unlink(wheel, timer);
				if (timer->tick == tick) {
					wheel->armed--;
					on_expire(timer);
				} else {
					floor_wheel_link(wheel, timer);
				}
			}
		}
	}
	if (target > wheel->now_tick) {
		wheel->now_tick = target;
	}
}

#endif

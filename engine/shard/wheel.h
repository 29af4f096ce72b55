/* SPDX-License-Identifier: MIT
 *
 * wheel.h: a hierarchical timing wheel of one shard. See wheel.c for its book.
 *
 * Single-threaded: only the home shard calls. Knows no clock (time is a parameter, in ticks), no aio and no
 * nanosecond. An entry is a struct pw_timer embedded at a fixed place in a slot of the slot table (slot.h), so
 * that its links are two 32-bit slot numbers.
 */
#ifndef PINWHEEL_SHARD_WHEEL_H
#define PINWHEEL_SHARD_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/atomic.h"
#include "engine/base/node.h"

/* An entry. `ready` overlays the links: an entry that the wheel has given out may be queued by its owner. */
struct pw_timer {
	union {
		struct {
			uint32_t next; /* slot number; for the last one, its list's number with PW_WHEEL_HEAD set */
			uint32_t prev; /* the same towards the front */
		};
		struct pw_node ready;
	};
	uint32_t at; /* the tick it is linked at, modulo 2^32; written by link only */
	pw_a32 note; /* the owner's: the wheel does not look at it */
};

#define PW_WHEEL_HEAD UINT32_C(0x80000000)
#define PW_WHEEL_BITS 8 /* a list of one level spans 2^8 lists of the level below */
#define PW_WHEEL_LEVELS 4
#define PW_WHEEL_TURN 512u                 /* lists in a level: two rotations */
#define PW_WHEEL_RANGE (UINT64_C(1) << 31) /* ticks ahead of now that an entry may lie; further ones are clamped */

typedef void (*pw_wheel_on_expire)(void *context, uint32_t slot);

/* Beside the levels: the due list, and for each upper level the list that is being moved down. */
#define PW_WHEEL_DUE (PW_WHEEL_LEVELS * PW_WHEEL_TURN)
#define PW_WHEEL_MOVING(level) (PW_WHEEL_DUE + (level)) /* level 1 to 3 */
#define PW_WHEEL_LISTS (PW_WHEEL_DUE + PW_WHEEL_LEVELS)

/* A list's head stands in the ring of its entries, where an entry's links would. */
struct pw_wheel_list {
	uint32_t next;
	uint32_t prev;
};

/* Embedded in the shard; the members are private to wheel.c, but for the three that are marked. 17 KiB. */
struct pw_wheel {
	uint64_t now_tick;                  /* readable: the latest tick given to advance */
	uint64_t count;                     /* readable: entries linked, due ones included */
	uint64_t cascades;                  /* readable: entries moved down, ever */
	uint64_t passed_tick;               /* first-level lists before this tick are empty */
	uint64_t edge[PW_WHEEL_LEVELS - 1]; /* the first tick that is beyond level 0, 1, 2 */
	uint64_t moving[PW_WHEEL_LEVELS];   /* the first tick of the list being moved down from level 1, 2, 3 */
	uint32_t due_streak;                /* entries given out since one was last moved down */
	uint64_t occupied[(PW_WHEEL_LISTS + 63) / 64];
	struct pw_wheel_list list[PW_WHEEL_LISTS];
};

void pw_wheel_init(struct pw_wheel *wheel, uint64_t now_tick);
/* Links the entry of slot `slot` to come due at tick `at_tick`. at_tick <= now: due at once. Beyond the range:
 * linked at the end of the range (the owner looks at its own deadline when it comes out, and links it again).
 * The slot's `at` is the tick after clamping to [now_tick, now_tick + PW_WHEEL_RANGE - 1]. */
void pw_wheel_link(struct pw_wheel *wheel, uint32_t slot, uint64_t at_tick);
/* Takes a linked entry out, wherever it is (due list included). */
void pw_wheel_unlink(struct pw_wheel *wheel, uint32_t slot);
/* Moves time to now_tick (never backwards) and does at most `budget` steps of work: a step is one entry given
 * to on_expire (already unlinked; it may link again, unlink others, and free the slot) or one entry moved down.
 * Returns the steps done; less than the budget means nothing is left to do before pw_wheel_next(). Entries of
 * one tick come out in the order they were linked, as long as the wheel keeps up. on_expire must not advance. */
unsigned pw_wheel_advance(struct pw_wheel *wheel, uint64_t now_tick, unsigned budget, pw_wheel_on_expire on_expire,
    void *context);
/* Due entries or unfinished cascades: advance has work now, at the same tick. */
bool pw_wheel_pending(const struct pw_wheel *wheel);
/* The tick at which advance will next have something to do, UINT64_MAX: never. O(levels). */
uint64_t pw_wheel_next(const struct pw_wheel *wheel);
/* Makes every linked entry due, however far (shutdown); advance then gives them out in bounded batches. */
void pw_wheel_flush(struct pw_wheel *wheel);
/* The full tick of an entry's 32-bit `at`, given a time not more than half the range away from the wheel's. */
static inline uint64_t
pw_wheel_tick(uint32_t at, uint64_t near_tick)
{
	return near_tick + (uint64_t) (int64_t) (int32_t) (at - (uint32_t) near_tick);
}
/* Debug: every invariant by brute force; aborts with the number of the broken one. */
void pw_wheel_check(const struct pw_wheel *wheel);

#endif

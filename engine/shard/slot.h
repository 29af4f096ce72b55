/* SPDX-License-Identifier: MIT
 *
 * slot.h: slots, the type-stable 256-byte cells that aios live in, by number.
 *
 * A slot number is global to the process and never changes its meaning: slab number * 256 + index. It is half
 * the size of a pointer, which is what lets an aio's timer links fit its second cache line.
 * pw_slot_table is written once per slab, under the arena's lock, before any slot of the slab is given out.
 */
#ifndef PINWHEEL_SHARD_SLOT_H
#define PINWHEEL_SHARD_SLOT_H

#include <stdint.h>

#include "engine/shard/wheel.h"

/* 256 bytes for the default of four iov; a build that raises PINWHEEL_IOV_MAX pays in whole cache lines. */
#ifndef PINWHEEL_IOV_MAX
#define PINWHEEL_IOV_MAX 4
#endif
#define PW_SLOT_SIZE (256u + (PINWHEEL_IOV_MAX - 4u) * 16u / 64u * 64u + ((PINWHEEL_IOV_MAX - 4u) % 4u != 0 ? 64u : 0u))
#define PW_SLOTS_PER_SLAB 256u
#define PW_SLAB_SIZE (PW_SLOT_SIZE * PW_SLOTS_PER_SLAB) /* 64 KiB of slots; the slab's record is elsewhere */
#define PW_SLABS_MAX (UINT32_C(1) << 20)               /* 268 million slots */
#define PW_SLOT_NONE UINT32_MAX
#define PW_SLOT_TIMER_OFFSET 64u /* where a slot's struct pw_timer stands; aio.h asserts it */

extern char *pw_slot_table[PW_SLABS_MAX];

static inline void *
pw_slot_address(uint32_t slot)
{
	return pw_slot_table[slot / PW_SLOTS_PER_SLAB] + (slot % PW_SLOTS_PER_SLAB) * PW_SLOT_SIZE;
}

static inline struct pw_timer *
pw_slot_timer(uint32_t slot)
{
	return (struct pw_timer *) ((char *) pw_slot_address(slot) + PW_SLOT_TIMER_OFFSET);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * spsc.h: a ring of pointers from one thread to another, busy polling: how workloads hand handles to the outside
 * thread, and what peers without such a thing of their own hand them back with. For C files.
 *
 * Each side keeps the other's index as it last saw it, and looks again only when the ring seems full or empty.
 */
#ifndef PINWHEEL_BENCH_SPSC_H
#define PINWHEEL_BENCH_SPSC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/atomic.h"

#define BENCH_SPSC_SLOTS 4096u

struct bench_spsc {
	_Alignas(64) pw_a64 tail; /* the producer's line */
	uint64_t head_seen;
	_Alignas(64) pw_a64 head; /* the consumer's */
	uint64_t tail_seen;
	_Alignas(64) void *slot[BENCH_SPSC_SLOTS];
};

/* Nothing runs. */
static inline void
bench_spsc_init(struct bench_spsc *ring)
{
	pw_store_relaxed_64(&ring->tail, 0);
	pw_store_relaxed_64(&ring->head, 0);
	ring->head_seen = ring->tail_seen = 0;
}

/* The producer; waits while the ring is full. */
static inline void
bench_spsc_push(struct bench_spsc *ring, void *entry)
{
	uint64_t tail = pw_load_relaxed_64(&ring->tail); /* relaxed: our own */
	while (tail - ring->head_seen == BENCH_SPSC_SLOTS) {
		ring->head_seen = pw_load_acquire_64(&ring->head);
	}
	ring->slot[tail % BENCH_SPSC_SLOTS] = entry;
	pw_store_release_64(&ring->tail, tail + 1);
}

/* The consumer. NULL: empty. */
static inline void *
bench_spsc_pop(struct bench_spsc *ring)
{
	uint64_t head = pw_load_relaxed_64(&ring->head); /* relaxed: our own */
	if (head == ring->tail_seen) {
		ring->tail_seen = pw_load_acquire_64(&ring->tail);
		if (head == ring->tail_seen) {
			return NULL;
		}
	}
	void *entry = ring->slot[head % BENCH_SPSC_SLOTS];
	pw_store_release_64(&ring->head, head + 1);
	return entry;
}

#endif

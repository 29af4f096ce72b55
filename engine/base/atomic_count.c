/* SPDX-License-Identifier: MIT
 *
 * atomic_count.c: the counters of atomic_count.h: one set for each thread, in a table that is never given back, so
 * that what an ended thread has done stays counted.
 */
#include "engine/base/atomic.h"

#include <stdlib.h>

#define THREADS_MAX 4096u /* ever */

static struct pw_counts_words table[THREADS_MAX];
static _Atomic uint32_t taken;
_Thread_local struct pw_counts_words *pw_counts_words;

struct pw_counts_words *
pw_counts_take(void)
{
	uint32_t index = atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
	if (index >= THREADS_MAX) {
		abort(); /* a build for counting, not for as many threads */
	}
	pw_counts_words = &table[index];
	return pw_counts_words;
}

static void
add(struct pw_counts *counts, struct pw_counts_words *words)
{
	counts->loads += atomic_load_explicit(&words->loads, memory_order_relaxed);
	counts->stores += atomic_load_explicit(&words->stores, memory_order_relaxed);
	counts->locked += atomic_load_explicit(&words->locked, memory_order_relaxed);
	counts->fences += atomic_load_explicit(&words->fences, memory_order_relaxed);
	counts->fences_after_rmw += atomic_load_explicit(&words->fences_after_rmw, memory_order_relaxed);
}

void
pw_counts_own(struct pw_counts *counts)
{
	*counts = (struct pw_counts){ .loads = 0 };
	add(counts, pw_counts_here());
}

void
pw_counts_all(struct pw_counts *counts)
{
	uint32_t count = atomic_load_explicit(&taken, memory_order_relaxed);
	*counts = (struct pw_counts){ .loads = 0 };
	for (uint32_t i = 0; i < count && i < THREADS_MAX; i++) {
		add(counts, &table[i]);
	}
}

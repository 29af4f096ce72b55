/* SPDX-License-Identifier: MIT
 *
 * countdown.h: callbacks that are still to come, counted down by whichever threads they come on; and what workloads
 * share.
 *
 * Neighbouring items live on different loops, and a word that all loops change for each callback would be what is
 * measured. So each item counts down its own stripe, and the last of a stripe the whole.
 */
#ifndef PINWHEEL_BENCH_COUNTDOWN_H
#define PINWHEEL_BENCH_COUNTDOWN_H

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/suite/workload.h"
#include "engine/base/atomic.h"

#define BENCH_STRIPES 16u

struct bench_countdown {
	struct {
		_Alignas(64) pw_a64 items;
	} stripe[BENCH_STRIPES];
	_Alignas(64) pw_a64 stripes;
};

/* True: it was the last. Acquires what all others released. */
static inline bool
bench_count_down(pw_a64 *count)
{
	uint64_t value = pw_load_relaxed_64(count); /* relaxed: the CAS decides */
	while (!pw_cas_acq_rel_64(count, &value, value - 1)) {
	}
	return value == 1;
}

/* A countdown for items numbered 0 to count - 1, and for the caller, who counts like one more stripe. Nothing runs;
 * what starts the operations hands it over. */
static inline void
bench_countdown_set(struct bench_countdown *countdown, uint32_t count)
{
	uint64_t stripes = 1;
	for (uint32_t i = 0; i < BENCH_STRIPES; i++) {
		uint64_t items = count / BENCH_STRIPES + (i < count % BENCH_STRIPES);
		stripes += items != 0;
		pw_store_relaxed_64(&countdown->stripe[i].items, items);
	}
	pw_store_relaxed_64(&countdown->stripes, stripes);
}

/* True: it was the last of all. */
static inline bool
bench_countdown_item(struct bench_countdown *countdown, uint32_t number)
{
	return bench_count_down(&countdown->stripe[number % BENCH_STRIPES].items) &&
	    bench_count_down(&countdown->stripes);
}

static inline bool
bench_countdown_caller(struct bench_countdown *countdown)
{
	return bench_count_down(&countdown->stripes);
}

#define BENCH_NS_PER_MS UINT64_C(1000000)
#define BENCH_NS_PER_S UINT64_C(1000000000)
#define BENCH_WAIT_MAX_NS (600 * BENCH_NS_PER_S) /* callbacks that have not come by then never will */

/* False: it was not posted before the deadline. */
bool bench_wait_until(sem_t *over, uint64_t deadline_ns);

/* Around what is measured: processor time, and the counts of a library that counts. */
void bench_measure_begin(const struct bench_ops *ops, struct bench_outcome *outcome);
void bench_measure_end(const struct bench_ops *ops, struct bench_outcome *outcome);

#endif

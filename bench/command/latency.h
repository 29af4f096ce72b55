/* SPDX-License-Identifier: MIT
 *
 * latency.h: a log-linear histogram of nanoseconds for figures that are judged: 1,024 sub-buckets for each power of
 * two, so a figure read back is at most 0.1 % above what was recorded: three significant digits.
 *
 * What it is not: engine/base/histogram.h, which is 64 times smaller and is what each shard keeps all the time.
 *
 * One thread records; any thread may read meanwhile (relaxed: it may see a count late, never torn). It never
 * allocates. Values of 2^40 ns (18 minutes) and more share the last bucket; the maximum is exact. 248 KiB each, of
 * which only the pages that values fall into are touched.
 *
 * The idea: Gil Tene's HdrHistogram.
 */
#ifndef PINWHEEL_BENCH_LATENCY_H
#define PINWHEEL_BENCH_LATENCY_H

#include "engine/base/atomic.h"

#define PW_LATENCY_SUB_BITS 10
#define PW_LATENCY_SUB (1u << PW_LATENCY_SUB_BITS)
#define PW_LATENCY_BUCKETS ((40 - PW_LATENCY_SUB_BITS + 1) * PW_LATENCY_SUB)

struct pw_latency {
	pw_a64 count;
	pw_a64 sum_ns;
	pw_a64 max_ns;
	pw_a64 bucket[PW_LATENCY_BUCKETS];
};

static inline unsigned
pw_latency_index(uint64_t ns)
{
	if (ns < PW_LATENCY_SUB) {
		return (unsigned) ns;
	}
	unsigned top = 63u - (unsigned) __builtin_clzll(ns);
	unsigned index = (top - PW_LATENCY_SUB_BITS + 1) * PW_LATENCY_SUB +
	    (unsigned) ((ns >> (top - PW_LATENCY_SUB_BITS)) & (PW_LATENCY_SUB - 1));
	return index < PW_LATENCY_BUCKETS ? index : PW_LATENCY_BUCKETS - 1;
}

/* The largest value that falls into a bucket. */
static inline uint64_t
pw_latency_top_ns(unsigned index)
{
	if (index < PW_LATENCY_SUB) {
		return index;
	}
	unsigned shift = index / PW_LATENCY_SUB - 1;
	uint64_t sub = PW_LATENCY_SUB + index % PW_LATENCY_SUB;
	return ((sub + 1) << shift) - 1;
}

static inline void
pw_latency_record(struct pw_latency *latency, uint64_t ns)
{
	pw_count_add(&latency->count, 1);
	pw_count_add(&latency->sum_ns, ns);
	pw_count_max(&latency->max_ns, ns);
	pw_count_add(&latency->bucket[pw_latency_index(ns)], 1);
}

/* Adds `from` to `sum`, which is the caller's alone. */
void pw_latency_add(struct pw_latency *sum, struct pw_latency *from);
/* Leaves in `now` what came since `before`, an earlier state of it; both are the caller's alone. The maximum is then
 * the top of the highest bucket. */
void pw_latency_subtract(struct pw_latency *now, struct pw_latency *before);
/* The smallest value that `percent` of all are not above; 0 when nothing was recorded. */
uint64_t pw_latency_percentile_ns(struct pw_latency *latency, double percent);

#endif

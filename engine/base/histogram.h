/* SPDX-License-Identifier: MIT
 *
 * histogram.h: a fixed-size log-linear histogram of nanoseconds: 16 sub-buckets per power of two, so a figure
 * read back is at most 6.25 % above what was recorded. One thread records; any thread may read (relaxed: a
 * reader may see a count late, never torn). Never allocates. Values of 2^40 ns (18 minutes) and more share
 * the last bucket; the maximum is kept exactly.
 * The idea: Gil Tene's HdrHistogram.
 */
#ifndef PINWHEEL_BASE_HISTOGRAM_H
#define PINWHEEL_BASE_HISTOGRAM_H

#include "engine/base/atomic.h"

#define PW_HISTOGRAM_SUB_BITS 4
#define PW_HISTOGRAM_SUB (1u << PW_HISTOGRAM_SUB_BITS)
#define PW_HISTOGRAM_BUCKETS ((40 - PW_HISTOGRAM_SUB_BITS + 1) * PW_HISTOGRAM_SUB)

struct pw_histogram {
	pw_a64 count;
	pw_a64 sum_ns;
	pw_a64 max_ns;
	pw_a64 bucket[PW_HISTOGRAM_BUCKETS];
};

static inline unsigned
pw_histogram_index(uint64_t ns)
{
	if (ns < PW_HISTOGRAM_SUB) {
		return (unsigned) ns;
	}
	unsigned top = 63u - (unsigned) __builtin_clzll(ns);
	unsigned index = (top - PW_HISTOGRAM_SUB_BITS + 1) * PW_HISTOGRAM_SUB +
	    (unsigned) ((ns >> (top - PW_HISTOGRAM_SUB_BITS)) & (PW_HISTOGRAM_SUB - 1));
	return index < PW_HISTOGRAM_BUCKETS ? index : PW_HISTOGRAM_BUCKETS - 1;
}

/* The largest value that falls into a bucket. */
static inline uint64_t
pw_histogram_top_ns(unsigned index)
{
	if (index < PW_HISTOGRAM_SUB) {
		return index;
	}
	unsigned shift = index / PW_HISTOGRAM_SUB - 1;
	uint64_t sub = PW_HISTOGRAM_SUB + index % PW_HISTOGRAM_SUB;
	return ((sub + 1) << shift) - 1;
}

static inline void
pw_histogram_record(struct pw_histogram *h, uint64_t ns)
{
	pw_count_add(&h->count, 1);
	pw_count_add(&h->sum_ns, ns);
	pw_count_max(&h->max_ns, ns);
	pw_count_add(&h->bucket[pw_histogram_index(ns)], 1);
}

#endif

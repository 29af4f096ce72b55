/* SPDX-License-Identifier: MIT
 *
 * latency.c: see latency.h. The loops end at the bucket of the maximum: most histograms are empty above it.
 */
#include "bench/command/latency.h"

static unsigned
buckets_used(struct pw_latency *latency)
{
	return pw_latency_index(pw_load_relaxed_64(&latency->max_ns)) + 1;
}

void
pw_latency_add(struct pw_latency *sum, struct pw_latency *from)
{
	/* Relaxed: single-writer counters, whose parts may be of slightly different moments. The count is what the
	 * buckets say, so that percentiles are of what is there. */
	uint64_t max_ns = pw_load_relaxed_64(&from->max_ns);
	unsigned used = buckets_used(from);

	pw_count_max(&sum->max_ns, max_ns);
	pw_count_add(&sum->sum_ns, pw_load_relaxed_64(&from->sum_ns));
	for (unsigned i = 0; i < used; i++) {
		uint64_t n = pw_load_relaxed_64(&from->bucket[i]);
		if (n != 0) {
			pw_count_add(&sum->bucket[i], n);
			pw_count_add(&sum->count, n);
		}
	}
}

void
pw_latency_subtract(struct pw_latency *now, struct pw_latency *before)
{
	unsigned used = buckets_used(now);
	uint64_t count = 0;
	uint64_t top_ns = 0;

	for (unsigned i = 0; i < used; i++) {
		uint64_t n = pw_load_relaxed_64(&now->bucket[i]) - pw_load_relaxed_64(&before->bucket[i]);
		pw_store_relaxed_64(&now->bucket[i], n);
		count += n;
		top_ns = n != 0 ? pw_latency_top_ns(i) : top_ns;
	}
	uint64_t max_ns = pw_load_relaxed_64(&now->max_ns);
	pw_store_relaxed_64(&now->count, count);
	pw_store_relaxed_64(&now->sum_ns, pw_load_relaxed_64(&now->sum_ns) - pw_load_relaxed_64(&before->sum_ns));
	pw_store_relaxed_64(&now->max_ns, top_ns < max_ns ? top_ns : max_ns);
}

uint64_t
pw_latency_percentile_ns(struct pw_latency *latency, double percent)
{
	double wanted = (double) pw_load_relaxed_64(&latency->count) * percent / 100.0;
	uint64_t max_ns = pw_load_relaxed_64(&latency->max_ns);
	unsigned used = buckets_used(latency);
	uint64_t seen = 0;

	for (unsigned i = 0; i < used; i++) {
		seen += pw_load_relaxed_64(&latency->bucket[i]);
		if (seen > 0 && (double) seen >= wanted) {
			uint64_t top_ns = pw_latency_top_ns(i);
			return top_ns < max_ns ? top_ns : max_ns;
		}
	}
	return max_ns;
}

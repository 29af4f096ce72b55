/* SPDX-License-Identifier: MIT
 *
 * render_stats.h: the statistics of a report: medians, spreads, ratios pair by pair, and whether two samples differ.
 *
 * The test is Mann and Whitney's U, two-sided: it asks nothing of the distribution, and what machines do to times
 * follows none. Exact where no two values are equal and neither sample has more than 20, else by the normal
 * approximation, corrected for ties and for continuity. The size of a difference is Hodges and Lehmann's: the median
 * of all quotients of a new value and an old one.
 *
 * NAN in a sample is a missing repetition.
 */
#ifndef PINWHEEL_BENCH_RENDER_STATS_H
#define PINWHEEL_BENCH_RENDER_STATS_H

#include "bench/page/render_results.h"

struct bench_spread {
	unsigned count; /* 0: there is no value, and the others are NAN */
	double median;
	double least;
	double largest;
};

/* Of the values that are not NAN. */
struct bench_spread bench_spread_of(const double *value, unsigned count);

/* Of left[i] / right[i], where both are there. */
struct bench_spread bench_spread_of_ratios(const struct bench_series *left, const struct bench_series *right);

/* The probability that two samples of the same distribution differ as much as these; 1 if one is empty. */
double bench_mann_whitney(const double *old, unsigned old_count, const double *new, unsigned new_count);

/* new / old; NAN if one is empty. */
double bench_hodges_lehmann(const double *old, unsigned old_count, const double *new, unsigned new_count);

#endif

/* SPDX-License-Identifier: MIT
 *
 * compare.h: two runs of the suite on one host: what of pinwheel's has become slower, and what is only noise.
 *
 * The peers and the floors are the same code in both runs, so what changed in them is the machine: the median of
 * their changes in a case is taken out of ours (where there are three of them or more). What is left is a change if
 * it is
 *   - beyond chance: p <= 0.01 in Mann and Whitney's U test (render_stats.h) on the repetitions of both runs, and
 *   - beyond noise: above 5 %, and above what half of the peers have changed beside each other (the median of their
 *     distances from the median).
 * Fewer than five repetitions in each run cannot be beyond chance at that level: such a metric is not compared, and
 * the summary counts it. Of a hundred that did not change, one passes the first of the two by chance: a second run
 * tells. Extremes (p99.9, the maximum) are not compared: they are noise. Counts (locked operations, early callbacks)
 * have hardly any noise: the worst repetition counts, and a change above 2 %.
 *
 * Different hosts (processor, CPUs, kernel) are refused: a ratio between machines is not a regression.
 */
#ifndef PINWHEEL_BENCH_COMPARE_H
#define PINWHEEL_BENCH_COMPARE_H

#include "bench/page/render_results.h"

#define BENCH_CHANCE 0.01
#define BENCH_NOISE 0.05
#define BENCH_COMPARED_MIN 5u

/* Prints what changed and a summary. BENCH_STATUS_BAD: there is a regression, or a benchmark of the new run failed,
 * or one of pinwheel's is missing in it. */
enum bench_status bench_compare(const struct bench_results *old, const struct bench_results *new, FILE *out,
    FILE *errors);

#endif

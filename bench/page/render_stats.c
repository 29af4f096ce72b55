/* SPDX-License-Identifier: MIT
 *
 * render_stats.c: see render_stats.h.
 */
#include "bench/page/render_stats.h"

#include <math.h>
#include <stdlib.h>

#define EXACT_MAX 20u

static int
compare(const void *left, const void *right)
{
	double l = *(const double *) left, r = *(const double *) right;
	return (l > r) - (l < r);
}

/* Copies those that are there; returns their number. */
static unsigned
present(double *to, const double *from, unsigned count)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < count; i++) {
		if (!isnan(from[i])) {
			to[kept++] = from[i];
		}
	}
	return kept;
}

static double
median_of_sorted(const double *value, unsigned count)
{
	return count % 2 == 1 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

struct bench_spread
bench_spread_of(const double *value, unsigned count)
{
	double sorted[BENCH_REPETITIONS_MAX];
	unsigned kept = present(sorted, value, count);
	if (kept == 0) {
		return (struct bench_spread){ .median = NAN, .least = NAN, .largest = NAN };
	}
	qsort(sorted, kept, sizeof *sorted, compare);
	return (struct bench_spread){
		.count = kept,
		.median = median_of_sorted(sorted, kept),
		.least = sorted[0],
		.largest = sorted[kept - 1],
	};
}

struct bench_spread
bench_spread_of_ratios(const struct bench_series *left, const struct bench_series *right)
{
	double ratio[BENCH_REPETITIONS_MAX];
	unsigned count = left->count < right->count ? left->count : right->count;
	for (unsigned i = 0; i < count; i++) {
		ratio[i] = right->value[i] != 0 ? left->value[i] / right->value[i] : NAN;
	}
	return bench_spread_of(ratio, count);
}

/* In how many of the orders of n new and m old values, all different, does the new sample have this U: new values
 * behind old ones, counted in pairs? ways[n][m][u], by which sample the largest value is from. */
static double
probability_exact(unsigned n, unsigned m, unsigned u)
{
	static double ways[EXACT_MAX + 1][EXACT_MAX + 1][EXACT_MAX * EXACT_MAX + 1];
	for (unsigned i = 0; i <= n; i++) {
		for (unsigned j = 0; j <= m; j++) {
			for (unsigned k = 0; k <= i * j; k++) {
				double count = i == 0 || j == 0;
				if (i != 0 && j != 0) {
					count = k >= j && k - j <= (i - 1) * j ? ways[i - 1][j][k - j] : 0;
					count += k <= i * (j - 1) ? ways[i][j - 1][k] : 0;
				}
				ways[i][j][k] = count;
			}
		}
	}
	unsigned tail = u < n * m - u ? u : n * m - u;
	double below = 0, all = 0;
	for (unsigned k = 0; k <= n * m; k++) {
		all += ways[n][m][k];
		below += k <= tail ? ways[n][m][k] : 0;
	}
	return fmin(1, 2 * below / all);
}

/* The sum of t^3 - t over groups of t equal values. */
static double
ties(const double *old, unsigned m, const double *new, unsigned n)
{
	double both[2 * BENCH_REPETITIONS_MAX], sum = 0;
	for (unsigned i = 0; i < m + n; i++) {
		both[i] = i < m ? old[i] : new[i - m];
	}
	qsort(both, m + n, sizeof *both, compare);
	for (unsigned i = 0, next; i < m + n; i = next) {
		for (next = i + 1; next < m + n && both[next] == both[i]; next++) {
		}
		double t = next - i;
		sum += t * t * t - t;
	}
	return sum;
}

double
bench_mann_whitney(const double *old, unsigned old_count, const double *new, unsigned new_count)
{
	double x[BENCH_REPETITIONS_MAX], y[BENCH_REPETITIONS_MAX];
	unsigned m = present(x, old, old_count), n = present(y, new, new_count);
	if (m == 0 || n == 0) {
		return 1;
	}
	double u = 0;
	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = 0; j < m; j++) {
			u += y[i] > x[j] ? 1 : y[i] == x[j] ? 0.5 : 0;
		}
	}
	double tied = ties(x, m, y, n);
	if (tied == 0 && m <= EXACT_MAX && n <= EXACT_MAX) {
		return probability_exact(n, m, (unsigned) u);
	}
	double all = m + n;
	double variance = (double) n * m / 12 * (all + 1 - tied / (all * (all - 1)));
	double away = fabs(u - (double) n * m / 2) - 0.5;
	return variance <= 0 || away <= 0 ? 1 : erfc(away / sqrt(2 * variance));
}

double
bench_hodges_lehmann(const double *old, unsigned old_count, const double *new, unsigned new_count)
{
	static double quotient[BENCH_REPETITIONS_MAX * BENCH_REPETITIONS_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < new_count; i++) {
		for (unsigned j = 0; j < old_count; j++) {
			if (!isnan(new[i]) && !isnan(old[j]) && old[j] != 0) {
				quotient[count++] = new[i] / old[j];
			}
		}
	}
	if (count == 0) {
		return NAN;
	}
	qsort(quotient, count, sizeof *quotient, compare);
	return median_of_sorted(quotient, count);
}

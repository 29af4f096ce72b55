/* SPDX-License-Identifier: MIT
 *
 * render_text.h: numbers as a report prints them, and the names of its plots.
 */
#ifndef PINWHEEL_BENCH_RENDER_TEXT_H
#define PINWHEEL_BENCH_RENDER_TEXT_H

#include "bench/page/render_stats.h"

struct bench_number {
	char text[40];
};

struct bench_text {
	char text[512];
};

/* Three digits and, for times, a unit: "41.3 ns", "1.27 us". A dash where there is no value. */
struct bench_number bench_text_value(const char *metric, double value);
/* "41.3 ns (40.1 ns .. 45 ns)" */
struct bench_text bench_text_spread(const char *metric, struct bench_spread spread);
/* "1.32 (1.28 .. 1.41)"; below a tenth "1/53 (1/57 .. 1/49)" */
struct bench_text bench_text_ratio(struct bench_spread ratio);

bool bench_is_floor(const char *library);

/* "report-b6-outstanding.svg" of the page "x/report.md" and two words. What is no letter or digit becomes '-'. */
struct bench_text bench_plot_name(const char *page, const char *question, const char *what);

#endif

/* SPDX-License-Identifier: MIT
 *
 * render_plot.h: the plots of a report, as files for gnuplot. Each file holds its data and names the SVG it makes.
 */
#ifndef PINWHEEL_BENCH_RENDER_PLOT_H
#define PINWHEEL_BENCH_RENDER_PLOT_H

#include "bench/page/render_page.h"

/* Each writes the plot if the run has what it shows, and prints the image to `out`, the page. False: it cannot be
 * written, and it said why. */

/* What is measured over what is allowed, goal by goal. */
bool bench_plot_goals(const struct bench_page *page, FILE *out);
/* Cost over the number of outstanding aios: cases with a part "outstanding:". */
bool bench_plot_growth(const struct bench_page *page, FILE *out, const char *question);
/* p50 to max of each library, one plot for each case that has latencies. */
bool bench_plot_latency(const struct bench_page *page, FILE *out, const char *question);
/* What each library needs over what pinwheel needs. */
bool bench_plot_ratios(const struct bench_page *page, FILE *out, const char *question);

#endif

/* SPDX-License-Identifier: MIT
 *
 * render_page.h: a run of the suite as a page of Markdown, with plots.
 *
 * A page stands on its own: the host, the goals with their verdicts, then a chapter for each question with every
 * figure. Plots are SVG files beside it, named PAGE-QUESTION-WHAT.svg, that gnuplot makes of the files written here.
 * Medians everywhere; the spread is the least and the largest repetition. Ratios are made pair by pair.
 */
#ifndef PINWHEEL_BENCH_RENDER_PAGE_H
#define PINWHEEL_BENCH_RENDER_PAGE_H

#include "bench/page/goals.h"

struct bench_page {
	const struct bench_results *results;
	const char *path;  /* of the page, "report.md" */
	const char *plots; /* a folder: PLOT.gnuplot are written there */
	FILE *errors;
};

/* Writes the page and the gnuplot files. False: it said why. */
bool bench_page_write(const struct bench_page *page);

/* The goals that were run, with their verdicts, as a table of Markdown that reads as text; and a line that counts. */
void bench_page_goals(FILE *out, const struct bench_results *results);

/* Replaces what stands in a Markdown file between the lines "<!-- bench: begin -->" and "<!-- bench: end -->" by the
 * host, the goals, and two plots of the page. False: it said why. */
bool bench_page_readme(const struct bench_page *page, const char *readme);

#endif

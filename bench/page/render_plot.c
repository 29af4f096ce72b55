/* SPDX-License-Identifier: MIT
 *
 * render_plot.c: see render_plot.h.
 */
#include "bench/page/render_plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/page/render_text.h"

#define OURS "pinwheel"

/* ---- a plot's file */

struct plot {
	FILE *file;
	struct bench_text svg;
	unsigned blocks; /* of data */
};

/* False: it cannot be written, and it said why. */
static bool
plot_open(struct plot *plot, const struct bench_page *page, const char *question, const char *what, unsigned width,
    unsigned height)
{
	char path[4096];
	*plot = (struct plot){ .svg = bench_plot_name(page->path, question, what) };
	(void) snprintf(path, sizeof path, "%s/%s.gnuplot", page->plots, plot->svg.text);
	plot->file = fopen(path, "w");
	if (plot->file == NULL) {
		(void) fprintf(page->errors, "%s: %s\n", path, strerror(errno));
		return false;
	}
	const char *slash = strrchr(page->path, '/');
	int folder = slash == NULL ? 0 : (int) (slash + 1 - page->path);
	(void) fprintf(plot->file,
	    "set terminal svg size %u,%u font 'sans-serif,13' background 'white' noenhanced\n"
	    "set output '%.*s%s'\n"
	    "set border 3\nset tics nomirror\n",
	    width, height, folder, page->path, plot->svg.text);
	return true;
}

/* Puts the image on the page. */
static bool
plot_close(struct plot *plot, const struct bench_page *page, FILE *out, const char *alternative)
{
	bool written = fclose(plot->file) == 0;
	if (!written) {
		(void) fprintf(page->errors, "%s/%s.gnuplot: %s\n", page->plots, plot->svg.text, strerror(errno));
	}
	(void) fprintf(out, "![%s](%s)\n\n", alternative, plot->svg.text);
	return written;
}

static void
times_on_y(struct plot *plot)
{
	(void) fputs(
	    "set logscale y\nset grid y\n"
	    "set ytics ('1 ns' 1, '10 ns' 10, '100 ns' 100, '1 us' 1e3, '10 us' 1e4, '100 us' 1e5, '1 ms' 1e6, "
	    "'10 ms' 1e7, '100 ms' 1e8, '1 s' 1e9, '10 s' 1e10, '100 s' 1e11)\n",
	    plot->file);
}

/* Lines: ours thick, peers thin, floors dashed. */
static void
line(struct plot *plot, const char *how, const char *library, const char *title)
{
	unsigned block = plot->blocks++;
	bool ours = strcmp(library, OURS) == 0;
	(void) fprintf(plot->file, "%s $d%u %s title '%s' lw %s dt %u", block == 0 ? "plot" : ",\\\n    ", block, how,
	    title, ours ? "3 lc rgb '#c00000'" : "1.5", bench_is_floor(library) ? 2u : 1u);
}

/* ---- what a run has */

/* The series of a question's metric, one after another; begins with NULL. */
static const struct bench_series *
next_of(const struct bench_results *results, const char *question, const char *metric,
    const struct bench_series *last)
{
	for (size_t i = last == NULL ? 0 : (size_t) (last - results->series) + 1; i < results->series_count; i++) {
		const struct bench_series *series = &results->series[i];
		if (strcmp(series->question, question) == 0 && strcmp(series->metric, metric) == 0) {
			return series;
		}
	}
	return NULL;
}

/* ---- bars: one beneath the other, from the left edge to the median, on a log axis */

struct bars {
	struct plot plot;
	unsigned places; /* on the axis, from the top */
	double least;    /* of all values */
};

struct bar_kind {
	const char *name, *color;
};

static void
bars_add(struct bars *bars, struct bench_spread spread)
{
	bars->places++;
	if (spread.least > 0 && spread.least < bars->least) {
		bars->least = spread.least;
	}
}

static void
bars_label(struct bars *bars, unsigned at, const char *first, const char *second)
{
	(void) fprintf(bars->plot.file, "set ytics add (\"%s %s\" %u)\n", first, second, at); /* may have a ' */
}

/* The head of a file whose size is known by now. */
static bool
bars_open(struct bars *bars, const struct bench_page *page, const char *question, const char *what, const char *axis,
    unsigned width)
{
	unsigned places = bars->places;
	double edge = pow(10, floor(log10(fmin(bars->least / 2, 0.99))));
	if (!plot_open(&bars->plot, page, question, what, width, 130 + 22 * places)) {
		return false;
	}
	(void) fprintf(bars->plot.file,
	    "set logscale x\nset grid x\nset xrange [%g:]\nset yrange [%u.6:-0.6]\n"
	    "set xlabel '%s (least, median, largest)'\nset ytics () scale 0 font ',11'\n"
	    "set lmargin at screen 0.5\nset rmargin at screen 0.97\nset key outside top center horizontal\n"
	    "set style fill solid 0.8\nset arrow from 1, graph 0 to 1, graph 1 nohead front lw 1.5\nedge = %g\n",
	    edge, places - 1, axis, edge);
	return true;
}

static void
bars_block_begin(struct bars *bars)
{
	(void) fprintf(bars->plot.file, "$d%u << END\n", bars->plot.blocks++);
}

static void
bars_block_end(struct bars *bars)
{
	(void) fputs("-9 1 1 1\nEND\n", bars->plot.file); /* out of sight: gnuplot takes no empty block */
}

static void
bars_put(struct bars *bars, unsigned at, struct bench_spread spread)
{
	if (spread.median > 0) {
		(void) fprintf(bars->plot.file, "%u %g %g %g\n", at, spread.median,
		    spread.least > 0 ? spread.least : bars->least, spread.largest);
	}
}

static void
bars_draw(struct bars *bars, const struct bar_kind *kind)
{
	for (unsigned i = 0; i < bars->plot.blocks; i++) {
		(void) fprintf(bars->plot.file,
		    "%s $d%u using 2:1:(edge):2:($1-0.35):($1+0.35) with boxxyerror lc rgb '%s' title '%s', $d%u "
		    "using 2:1:3:4 with xerrorbars lc rgb 'black' pt 0 ps 0 notitle",
		    i == 0 ? "plot" : ",\\\n    ", i, kind[i].color, kind[i].name, i);
	}
	(void) fputs("\n", bars->plot.file);
}

/* ---- goals */

/* A goal's place among the bars: measured over allowed. A goal of nothing has no ratio, and no bar. */
static bool
goal_bar(const struct bench_page *page, const struct bench_goal *goal, struct bench_judged *judged)
{
	*judged = bench_goal_judge(page->results, goal);
	if (judged->ratio.count == 0 || goal->factor == 0) {
		return false;
	}
	judged->ratio.median /= goal->factor;
	judged->ratio.least /= goal->factor;
	judged->ratio.largest /= goal->factor;
	return true;
}

static void
goal_block(const struct bench_page *page, struct bars *bars, enum bench_verdict verdict)
{
	struct bench_judged judged;
	unsigned at = 0;
	bars_block_begin(bars);
	for (size_t i = 0; i < bench_goal_count; i++) {
		if (goal_bar(page, &bench_goals[i], &judged)) {
			if (judged.verdict == verdict) {
				bars_put(bars, at, judged.ratio);
			}
			at++;
		}
	}
	bars_block_end(bars);
}

bool
bench_plot_goals(const struct bench_page *page, FILE *out)
{
	static const struct bar_kind kind[] = {
		{ "reached", "#2e8b57" },
		{ "limit shown", "#808080" },
		{ "missed", "#c00000" },
	};
	struct bars bars = { .least = 1 };
	struct bench_judged judged;
	for (size_t i = 0; i < bench_goal_count; i++) {
		if (goal_bar(page, &bench_goals[i], &judged)) {
			bars_add(&bars, judged.ratio);
		}
	}
	if (bars.places == 0) {
		return true;
	}
	if (!bars_open(&bars, page, "goals", "all", "measured / allowed", 1300)) {
		return false;
	}
	for (size_t i = 0, at = 0; i < bench_goal_count; i++) {
		if (goal_bar(page, &bench_goals[i], &judged)) {
			struct bench_text text;
			(void) snprintf(text.text, sizeof text.text, "%s: %s", bench_goals[i].what,
			    bench_goals[i].text);
			bars_label(&bars, (unsigned) at++, bench_goals[i].question, text.text);
		}
	}
	goal_block(page, &bars, BENCH_REACHED);
	goal_block(page, &bars, BENCH_LIMIT);
	goal_block(page, &bars, BENCH_MISSED);
	bars_draw(&bars, kind);
	return plot_close(&bars.plot, page, out, "what is measured over what each goal allows");
}

/* ---- growth */

/* How many are outstanding in a case; 0: it does not say. *rest: the case without that part. */
static double
outstanding_in(const char *place, struct bench_text *rest)
{
	static const char part[] = "outstanding:";
	const char *found = strstr(place, part);
	if (found == NULL) {
		return 0;
	}
	char *end;
	double number = strtod(found + sizeof part - 1, &end);
	number *= *end == 'k' ? 1e3 : *end == 'M' ? 1e6 : 1;
	end += *end == 'k' || *end == 'M';
	end += *end == ',' || *end == '/';
	(void) snprintf(rest->text, sizeof rest->text, "%.*s%s", (int) (found - place), place, end);
	return number;
}

/* Whether an earlier series belongs to the same line. */
static bool
line_has_begun(const struct bench_results *results, const struct bench_series *series, const struct bench_text *rest)
{
	const struct bench_series *one = NULL;
	struct bench_text other;
	while ((one = next_of(results, series->question, "ns", one)) != series) {
		if (outstanding_in(one->place, &other) != 0 && strcmp(other.text, rest->text) == 0 &&
		    strcmp(one->library, series->library) == 0) {
			return true;
		}
	}
	return false;
}

/* All lines: their data, or the commands that draw them. Returns the largest number of points of a line. */
static unsigned
growth_lines(const struct bench_page *page, const char *question, struct plot *plot, bool draw)
{
	const struct bench_series *first = NULL;
	unsigned points_max = 0, block = 0;
	while ((first = next_of(page->results, question, "ns", first)) != NULL) {
		struct bench_text rest, other, title;
		if (outstanding_in(first->place, &rest) == 0 || line_has_begun(page->results, first, &rest)) {
			continue;
		}
		if (draw) {
			(void) snprintf(title.text, sizeof title.text, "%s %.400s", first->library, rest.text);
			line(plot, "using 1:2:3:4 with yerrorlines", first->library, title.text);
			continue;
		}
		if (plot != NULL) {
			(void) fprintf(plot->file, "$d%u << END\n", block++);
		}
		unsigned points = 0;
		for (const struct bench_series *one = first; one != NULL;
		     one = next_of(page->results, question, "ns", one)) {
			double outstanding = outstanding_in(one->place, &other);
			if (outstanding == 0 || strcmp(one->library, first->library) != 0 ||
			    strcmp(other.text, rest.text) != 0) {
				continue;
			}
			struct bench_spread spread = bench_spread_of(one->value, one->count);
			points++;
			if (plot != NULL) {
				(void) fprintf(plot->file, "%g %g %g %g\n", outstanding, spread.median, spread.least,
				    spread.largest);
			}
		}
		if (plot != NULL) {
			(void) fputs("END\n", plot->file);
		}
		points_max = points > points_max ? points : points_max;
	}
	return points_max;
}

bool
bench_plot_growth(const struct bench_page *page, FILE *out, const char *question)
{
	struct plot plot;
	if (growth_lines(page, question, NULL, false) < 2) {
		return true;
	}
	if (!plot_open(&plot, page, question, "outstanding", 860, 480)) {
		return false;
	}
	times_on_y(&plot);
	(void) fputs("set logscale x\nset xtics ('1 k' 1e3, '10 k' 1e4, '100 k' 1e5, '1 M' 1e6, '10 M' 1e7)\n"
		     "set xlabel 'outstanding aios'\nset ylabel 'cost (least, median, largest)'\n"
		     "set key outside right\n",
	    plot.file);
	(void) growth_lines(page, question, &plot, false);
	(void) growth_lines(page, question, &plot, true);
	(void) fputs("\n", plot.file);
	return plot_close(&plot, page, out, "cost as outstanding aios grow");
}

/* ---- latency */

static const struct {
	const char *metric, *label;
} percentiles[] = {
	{ "p50_ns", "p50" },
	{ "p90_ns", "p90" },
	{ "p99_ns", "p99" },
	{ "p999_ns", "p99.9" },
	{ "max_ns", "max" },
};
#define PERCENTILES (sizeof percentiles / sizeof *percentiles)

static bool
latency_of_case(const struct bench_page *page, FILE *out, const char *question, const char *place)
{
	struct plot plot;
	struct bench_text what;
	(void) snprintf(what.text, sizeof what.text, "%.400s-latency", place);
	if (!plot_open(&plot, page, question, what.text, 860, 480)) {
		return false;
	}
	times_on_y(&plot);
	(void) fprintf(plot.file,
	    "set title '%s'\nset ylabel 'median of the repetitions'\nset key outside right\n"
	    "set xrange [-0.2:%zu.2]\nset xtics (",
	    place, PERCENTILES - 1);
	for (size_t p = 0; p < PERCENTILES; p++) {
		(void) fprintf(plot.file, "%s'%s' %zu", p == 0 ? "" : ", ", percentiles[p].label, p);
	}
	(void) fputs(")\n", plot.file);
	unsigned blocks = 0;
	for (const struct bench_series *one = NULL;
	     (one = next_of(page->results, question, "p50_ns", one)) != NULL;) {
		if (strcmp(one->place, place) != 0) {
			continue;
		}
		(void) fprintf(plot.file, "$d%u << END\n", blocks++);
		for (size_t p = 0; p < PERCENTILES; p++) {
			const struct bench_series *series =
			    bench_results_find(page->results, question, place, one->library, percentiles[p].metric);
			double value = series == NULL ? NAN : bench_spread_of(series->value, series->count).median;
			if (value > 0) {
				(void) fprintf(plot.file, "%zu %g\n", p, value);
			}
		}
		(void) fputs("NaN NaN\nEND\n", plot.file); /* a block without a value is none to gnuplot */
	}
	for (const struct bench_series *one = NULL;
	     (one = next_of(page->results, question, "p50_ns", one)) != NULL;) {
		if (strcmp(one->place, place) == 0) {
			line(&plot, "using 1:2 with linespoints", one->library, one->library);
		}
	}
	(void) fputs("\n", plot.file);
	struct bench_text alternative;
	(void) snprintf(alternative.text, sizeof alternative.text, "latencies, %.400s", place);
	return plot_close(&plot, page, out, alternative.text);
}

bool
bench_plot_latency(const struct bench_page *page, FILE *out, const char *question)
{
	const struct bench_series *one = NULL;
	while ((one = next_of(page->results, question, "p50_ns", one)) != NULL) {
		const struct bench_series *earlier = NULL;
		do {
			earlier = next_of(page->results, question, "p50_ns", earlier);
		} while (strcmp(earlier->place, one->place) != 0);
		if (earlier == one && !latency_of_case(page, out, question, one->place)) {
			return false;
		}
	}
	return true;
}

/* ---- ratios */

/* Steps through the bars of a question: each library's of each case beside ours. A gap stands between cases. */
static const struct bench_series *
next_bar(const struct bench_page *page, const char *question, const struct bench_series *last, unsigned *at,
    struct bench_spread *ratio)
{
	const struct bench_series *one = last;
	while ((one = next_of(page->results, question, "ns", one)) != NULL) {
		const struct bench_series *ours = bench_results_find(page->results, question, one->place, OURS, "ns");
		if (ours != NULL && ours != one) {
			*at += last == NULL ? 0 : strcmp(last->place, one->place) == 0 ? 1 : 2;
			*ratio = bench_spread_of_ratios(one, ours);
			return one;
		}
	}
	return NULL;
}

bool
bench_plot_ratios(const struct bench_page *page, FILE *out, const char *question)
{
	static const struct bar_kind kind[] = { { "peers", "#4682b4" }, { "floors", "#a0a0a0" } };
	const struct bench_series *one = NULL;
	struct bars bars = { .least = 1 };
	struct bench_spread ratio;
	unsigned at = 0;
	while ((one = next_bar(page, question, one, &at, &ratio)) != NULL) {
		bars_add(&bars, ratio);
		bars.places = at + 1;
	}
	if (bars.places == 0) {
		return true;
	}
	if (!bars_open(&bars, page, question, "ratios", "times what pinwheel needs", 1000)) {
		return false;
	}
	for (at = 0; (one = next_bar(page, question, one, &at, &ratio)) != NULL;) {
		bars_label(&bars, at, one->place, one->library);
	}
	for (unsigned floors = 0; floors < 2; floors++) {
		bars_block_begin(&bars);
		for (at = 0; (one = next_bar(page, question, one, &at, &ratio)) != NULL;) {
			if (bench_is_floor(one->library) == (floors != 0)) {
				bars_put(&bars, at, ratio);
			}
		}
		bars_block_end(&bars);
	}
	bars_draw(&bars, kind);
	return plot_close(&bars.plot, page, out, "what each library needs over what pinwheel needs");
}

/* SPDX-License-Identifier: MIT
 *
 * render_page.c: see render_page.h.
 */
#include "bench/page/render_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/page/render_plot.h"
#include "bench/page/render_text.h"

#define OURS "pinwheel"
#define METRICS_MAX 32u

/* ---- the goals */

static void
goal_row(FILE *out, const struct bench_results *results, const struct bench_goal *goal, unsigned *count)
{
	struct bench_judged judged = bench_goal_judge(results, goal);
	count[judged.verdict]++;
	if (judged.verdict == BENCH_NOT_RUN) {
		return;
	}
	bool beside = goal->reference->library != NULL;
	struct bench_text ours, what, verdict;
	(void) snprintf(ours.text, sizeof ours.text, "%s",
	    beside ? bench_text_value(goal->metric, judged.ours.median).text
		   : bench_text_spread(goal->metric, judged.ours).text);
	(void) snprintf(what.text, sizeof what.text, "%s %s", goal->question, goal->what);
	(void) snprintf(verdict.text, sizeof verdict.text, "%s", bench_verdict_text(judged.verdict));
	if (judged.verdict == BENCH_LIMIT) {
		(void) snprintf(verdict.text, sizeof verdict.text, "limit shown: %s, %.60s", goal->limit_text,
		    bench_text_value(goal->metric, judged.limit.median).text);
	}
	if (judged.verdict == BENCH_LACKING) {
		(void) fprintf(out, "| %-58s | %-24s | %-9s | %-22s | %-45s | %s |\n", what.text, "", "", "",
		    goal->text, verdict.text);
		return;
	}
	(void) fprintf(out, "| %-58s | %-24s | %-9s | %-22s | %-45s | %s |\n", what.text, ours.text,
	    beside ? bench_text_value(goal->metric, judged.reference.median).text : "",
	    beside ? bench_text_ratio(judged.ratio).text : "", goal->text, verdict.text);
}

void
bench_page_goals(FILE *out, const struct bench_results *results)
{
	unsigned count[BENCH_LIMIT + 1] = { 0 };
	(void) fprintf(out, "| %-58s | %-24s | %-9s | %-22s | %-45s | %s |\n|---|---|---|---|---|---|\n", "",
	    "pinwheel", "reference", "ratio", "goal: at most", "");
	for (size_t i = 0; i < bench_goal_count; i++) {
		goal_row(out, results, &bench_goals[i], count);
	}
	(void) fprintf(out,
	    "\n%zu goals: %u reached, %u with the limit shown, %u missed, %u not measured, %u not run\n",
	    bench_goal_count, count[BENCH_REACHED], count[BENCH_LIMIT], count[BENCH_MISSED], count[BENCH_LACKING],
	    count[BENCH_NOT_RUN]);
}

/* ---- where it was run */

/* What a run says of itself, joined; what it does not say is left out. */
static void
provenance(FILE *out, const struct bench_results *results)
{
	static const struct {
		const char *key, *before;
	} said[] = {
		{ "pinning", "; " },
		{ "governor", "; governor " },
		{ "loadavg", "; load before the run " },
		{ "idle_before", ", idle " },
		{ "steal_before", ", stolen " },
		{ "command", ".\nCommand: " },
		{ "commit", "; commit " },
		{ "date", "; " },
	};
	(void) fputs(bench_results_host(results).text, out);
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		const char *text = bench_results_context(results, said[i].key);
		if (*text != '\0') {
			(void) fprintf(out, "%s%s", said[i].before, text);
		}
	}
	(void) fputs(".\n", out);
}

/* ---- a chapter */

static bool
is_of(const struct bench_series *series, const char *question, const char *metric)
{
	return strcmp(series->question, question) == 0 && strcmp(series->metric, metric) == 0;
}

struct metrics {
	const char *name[METRICS_MAX];
	unsigned count;
};

static void
add_metric(struct metrics *metrics, const char *name)
{
	for (unsigned i = 0; i < metrics->count; i++) {
		if (strcmp(metrics->name[i], name) == 0) {
			return;
		}
	}
	if (metrics->count < METRICS_MAX) {
		metrics->name[metrics->count++] = name;
	}
}

/* What a question has measured but "ns": the usual ones first. */
static struct metrics
metrics_of(const struct bench_results *results, const char *question)
{
	static const char *const usual[] = { "cpu_ns", "cores", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns",
		"bytes", "locked", "fences", "early", "lost" };
	struct metrics metrics = { .count = 0 };
	for (size_t u = 0; u < sizeof usual / sizeof *usual; u++) {
		for (size_t i = 0; i < results->series_count; i++) {
			if (is_of(&results->series[i], question, usual[u])) {
				add_metric(&metrics, usual[u]);
			}
		}
	}
	for (size_t i = 0; i < results->series_count; i++) {
		if (strcmp(results->series[i].question, question) == 0 &&
		    strcmp(results->series[i].metric, "ns") != 0) {
			add_metric(&metrics, results->series[i].metric);
		}
	}
	return metrics;
}

static void
figures_row(FILE *out, const struct bench_results *results, const struct bench_series *ns,
    const struct metrics *metrics)
{
	const struct bench_series *ours = bench_results_find(results, ns->question, ns->place, OURS, "ns");
	(void) fprintf(out, "| %s | %s | %s | %s |", ns->place, ns->library,
	    bench_text_spread("ns", bench_spread_of(ns->value, ns->count)).text,
	    ours == NULL || ours == ns ? "" : bench_text_ratio(bench_spread_of_ratios(ns, ours)).text);
	for (unsigned i = 0; i < metrics->count; i++) {
		const struct bench_series *series =
		    bench_results_find(results, ns->question, ns->place, ns->library, metrics->name[i]);
		(void) fprintf(out, " %s |",
		    series == NULL
			? ""
			: bench_text_value(metrics->name[i], bench_spread_of(series->value, series->count).median)
			      .text);
	}
	(void) fputs("\n", out);
}

static void
figures(FILE *out, const struct bench_results *results, const struct bench_question *question)
{
	struct metrics metrics = metrics_of(results, question->name);
	(void) fprintf(out, "| case | library | %s | times pinwheel's |", question->unit);
	for (unsigned i = 0; i < metrics.count; i++) {
		(void) fprintf(out, " %s |", metrics.name[i]);
	}
	(void) fputs("\n|---|---|---|---|", out);
	for (unsigned i = 0; i < metrics.count; i++) {
		(void) fputs("---|", out);
	}
	(void) fputs("\n", out);
	for (size_t i = 0; i < results->series_count; i++) {
		if (is_of(&results->series[i], question->name, "ns")) {
			figures_row(out, results, &results->series[i], &metrics);
		}
	}
	(void) fputs("\n", out);
}

static bool
was_run(const struct bench_results *results, const char *question)
{
	for (size_t i = 0; i < results->series_count; i++) {
		if (strcmp(results->series[i].question, question) == 0) {
			return true;
		}
	}
	return false;
}

static bool
chapter(const struct bench_page *page, FILE *out, const struct bench_question *question)
{
	if (!was_run(page->results, question->name)) {
		return true;
	}
	(void) fprintf(out, "## %s: %s\n\n", question->name, question->title);
	figures(out, page->results, question);
	return bench_plot_growth(page, out, question->name) && bench_plot_latency(page, out, question->name) &&
	    bench_plot_ratios(page, out, question->name);
}

static bool
write_page(const struct bench_page *page, FILE *out)
{
	(void) fputs("# pinwheel beside its peers\n\n", out);
	provenance(out, page->results);
	(void) fputs(
	    "\nMedians over the repetitions, with the least and the largest. A ratio is made of two libraries' "
	    "figures of the same\nrepetition; floors keep no promise and show what the question itself costs.\n\n"
	    "## Goals\n\n",
	    out);
	bench_page_goals(out, page->results);
	(void) fputs("\n", out);
	bool written = bench_plot_goals(page, out);
	for (size_t i = 0; written && i < bench_question_count; i++) {
		written = chapter(page, out, &bench_questions[i]);
	}
	if (page->results->failure_count != 0) {
		(void) fputs("## Failed\n\n", out);
	}
	for (size_t i = 0; i < page->results->failure_count; i++) {
		(void) fprintf(out, "- %s: %s\n", page->results->failure[i].name, page->results->failure[i].message);
	}
	return written;
}

bool
bench_page_write(const struct bench_page *page)
{
	FILE *out = fopen(page->path, "w");
	if (out == NULL) {
		(void) fprintf(page->errors, "%s: %s\n", page->path, strerror(errno));
		return false;
	}
	bool written = write_page(page, out);
	if (fclose(out) != 0) {
		(void) fprintf(page->errors, "%s: %s\n", page->path, strerror(errno));
		return false;
	}
	return written;
}

/* ---- README */

static const char begin_line[] = "<!-- bench: begin -->\n", end_line[] = "<!-- bench: end -->\n";

/* The whole file, to be freed; NULL: it cannot be read, and it said why. */
static char *
read_whole(const char *path, FILE *errors)
{
	FILE *in = fopen(path, "r");
	long size = in == NULL || fseek(in, 0, SEEK_END) != 0 ? -1 : ftell(in);
	char *text = size < 0 ? NULL : malloc((size_t) size + 1);
	if (text != NULL) {
		rewind(in);
		text[fread(text, 1, (size_t) size, in)] = '\0';
	} else {
		(void) fprintf(errors, "%s: %s\n", path, strerror(errno));
	}
	if (in != NULL) {
		(void) fclose(in);
	}
	return text;
}

static void
readme_section(const struct bench_page *page, FILE *out)
{
	const char *slash = strrchr(page->path, '/');
	int folder = slash == NULL ? 0 : (int) (slash + 1 - page->path);
	provenance(out, page->results);
	(void) fputs("\n", out);
	bench_page_goals(out, page->results);
	(void) fprintf(out, "\n![measured over allowed](%.*s%s)\n\n![cost as outstanding aios grow](%.*s%s)\n\n",
	    folder, page->path, bench_plot_name(page->path, "goals", "all").text, folder, page->path,
	    bench_plot_name(page->path, "B6", "outstanding").text);
	(void) fprintf(out, "All figures: [%s](%s).\n", page->path, page->path);
}

bool
bench_page_readme(const struct bench_page *page, const char *readme)
{
	char *text = read_whole(readme, page->errors);
	if (text == NULL) {
		return false;
	}
	char *begin = strstr(text, begin_line);
	char *end = begin == NULL ? NULL : strstr(begin, end_line);
	FILE *out = end == NULL ? NULL : fopen(readme, "w");
	if (out == NULL) {
		(void) fprintf(page->errors, "%s: %s\n", readme,
		    end == NULL ? "it has no lines \"<!-- bench: begin -->\" and \"<!-- bench: end -->\""
				: strerror(errno));
		free(text);
		return false;
	}
	(void) fprintf(out, "%.*s%s", (int) (begin - text), text, begin_line);
	readme_section(page, out);
	(void) fputs(end, out);
	free(text);
	if (fclose(out) != 0) {
		(void) fprintf(page->errors, "%s: %s\n", readme, strerror(errno));
		return false;
	}
	return true;
}

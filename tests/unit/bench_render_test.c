/* SPDX-License-Identifier: MIT
 *
 * bench_render_test.c: what is made of the suite's JSON: reading it, statistics, goals, comparison of two runs,
 * pages. Runs are made by hand, so that it is known what is in them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/page/compare.h"
#include "bench/page/render_page.h"

#define REPETITIONS 7u

static char folder[] = "bench_render.XXXXXX";

/* ---- files */

static const char *
path_of(const char *name)
{
	static char path[2][256];
	static unsigned turn;
	turn = !turn;
	(void) snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
	return path[turn];
}

static void
write_text(const char *name, const char *text)
{
	FILE *out = fopen(path_of(name), "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

/* The whole file, to be freed. */
static char *
read_text(const char *name)
{
	FILE *in = fopen(path_of(name), "r");
	char *text = calloc(1, 65536);
	assert_non_null(in);
	assert_non_null(text);
	assert_true(fread(text, 1, 65535, in) > 0);
	assert_int_equal(fclose(in), 0);
	return text;
}

/* ---- runs */

struct run {
	FILE *out;
	bool any;
};

static struct run
run_begin(const char *name, const char *kernel)
{
	struct run run = { .out = fopen(path_of(name), "w") };
	assert_non_null(run.out);
	(void) fprintf(run.out,
	    "{\n\"context\": {\"cpu_model\": \"Abacus\", \"cpus\": \"2 of 4\", \"kernel\": \"%s\", "
	    "\"commit\": \"abc1234\"},\n\"benchmarks\": [",
	    kernel);
	return run;
}

static void
run_put(struct run *run, const char *name, unsigned repetition, double ns, const char *more)
{
	(void) fprintf(run->out,
	    "%s\n{\"name\": \"%s/manual_time\", \"run_name\": \"%s/iterations:1/repeats:7/manual_time\", "
	    "\"run_type\": "
	    "\"iteration\", \"repetitions\": 7, \"repetition_index\": %u, \"threads\": 1, \"iterations\": 1, "
	    "\"real_time\": %g, \"cpu_time\": 1, \"time_unit\": \"us\"%s}",
	    run->any ? "," : "", name, name, repetition, ns / 1000, more);
	run->any = true;
}

/* One benchmark: values around `ns`, up to 6 % apart, in an order that `shift` turns. */
static void
run_put_all(struct run *run, const char *name, double ns, unsigned shift)
{
	for (unsigned i = 0; i < REPETITIONS; i++) {
		run_put(run, name, i, ns * (0.97 + 0.01 * ((i + shift) % REPETITIONS) + 0.0001 * shift), "");
	}
}

static void
run_end(struct run *run)
{
	(void) fputs("\n]\n}\n", run->out);
	assert_int_equal(fclose(run->out), 0);
}

/* Four libraries in one case. */
static void
write_run(const char *name, const char *kernel, double pinwheel_ns, double machine, unsigned shift)
{
	struct run run = run_begin(name, kernel);
	run_put_all(&run, "B1/depth:1024/pinwheel", pinwheel_ns * machine, shift);
	run_put_all(&run, "B1/depth:1024/nng", 400 * machine, shift + 1);
	run_put_all(&run, "B1/depth:1024/asio", 40 * machine, shift + 2);
	run_put_all(&run, "B1/depth:1024/floor:raw-queue", 8 * machine, shift + 3);
	run_end(&run);
}

/* *text: what it said; to be freed. */
static enum bench_status
load(struct bench_results *results, const char *name, char **text)
{
	size_t size;
	FILE *errors = open_memstream(text, &size);
	assert_non_null(errors);
	enum bench_status status = bench_results_load(results, path_of(name), errors);
	assert_int_equal(fclose(errors), 0);
	return status;
}

static void
load_good(struct bench_results *results, const char *name)
{
	char *text;
	assert_int_equal(load(results, name, &text), BENCH_STATUS_GOOD);
	assert_string_equal(text, "");
	free(text);
}

static enum bench_status
compare(const char *old_name, const char *new_name, char **text)
{
	struct bench_results old = { 0 }, new = { 0 };
	size_t size;
	FILE *out = open_memstream(text, &size);
	assert_non_null(out);
	load_good(&old, old_name);
	load_good(&new, new_name);
	enum bench_status status = bench_compare(&old, &new, out, out);
	assert_int_equal(fclose(out), 0);
	bench_results_free(&old);
	bench_results_free(&new);
	return status;
}

/* ---- reading */

/* Law: a name is question, case and library, whatever Google Benchmark adds; each number is a series by repetition;
 * times become nanoseconds; a counter "ns" stands for the time; what was skipped is no figure. */
static void
results_are_series_by_repetition(void **state)
{
	struct bench_results results = { 0 };
	struct run run = run_begin("series.json", "Linux 6.1");

	(void) state;
	run_put(&run, "B5/order:in/outstanding:1M/floor:raw-queue+wheel", 2, 1500, ", \"locked\": 3");
	run_put(&run, "B5/order:in/outstanding:1M/floor:raw-queue+wheel", 0, 1700, ", \"locked\": 4");
	run_put(&run, "B7/x/pinwheel", 0, 9999, ", \"ns\": 12.5");
	run_put(&run, "B7/x/libuv", 0, 0, ", \"label\": \"skipped: it cannot run here\"");
	run_end(&run);
	load_good(&results, "series.json");
	assert_int_equal(results.series_count, 3);

	const struct bench_series *ns =
	    bench_results_find(&results, "B5", "order:in/outstanding:1M", "floor:raw-queue+wheel", "ns");
	assert_non_null(ns);
	assert_int_equal(ns->count, 3);
	assert_float_equal(ns->value[0], 1700, 1e-9);
	assert_true(isnan(ns->value[1]));
	assert_float_equal(ns->value[2], 1500, 1e-9);
	const struct bench_series *locked =
	    bench_results_find(&results, "B5", "order:in/outstanding:1M", "floor:raw-queue+wheel", "locked");
	assert_non_null(locked);
	assert_float_equal(locked->value[2], 3, 0);
	ns = bench_results_find(&results, "B7", "x", "pinwheel", "ns");
	assert_non_null(ns);
	assert_float_equal(ns->value[0], 12.5, 0);
	assert_string_equal(bench_results_host(&results).text, "Abacus, CPUs: 2 of 4, Linux 6.1");
	bench_results_free(&results);
}

/* Law: what is no run is refused, and the message names the file and the line, or the benchmark. */
static void
results_refuse_what_is_no_run(void **state)
{
	static const struct {
		const char *text, *said;
	} wrong[] = {
		{ "{\n\"context\": {},\n\"benchmarks\": [1 2]\n}", "wrong.json:3: " },
		{ "{\n\"context\": {", "wrong.json:2: " },
		{ "", "wrong.json:1: " },
		{ "{\n\"context\": {\"load\": NaN}}", "wrong.json:2: " },
		{ "[]", "wrong.json: no \"context\"" },
		{ "{\"context\": {\"cpu_model\": \"Abacus\"}, \"benchmarks\": []}",
		    "wrong.json: its context does not say" },
	};
	static const char *const runs[] = {
		"{\"run_type\": \"iteration\"}",
		"{\"run_type\": \"iteration\", \"run_name\": \"BM_old/7\"}",
		"{\"run_type\": \"iteration\", \"run_name\": \"B1/a/b\", \"real_time\": 1}",
		"{\"run_type\": \"iteration\", \"run_name\": \"B1/a/b\", \"repetition_index\": 64}",
		"7",
	};
	char *text, file[1024];

	(void) state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct bench_results results = { 0 };
		write_text("wrong.json", wrong[i].text);
		assert_int_equal(load(&results, "wrong.json", &text), BENCH_STATUS_UNREADABLE);
		assert_non_null(strstr(text, wrong[i].said));
		free(text);
		bench_results_free(&results);
	}
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct bench_results results = { 0 };
		(void) snprintf(file, sizeof file,
		    "{\"context\": {\"cpu_model\": \"a\", \"cpus\": \"1\", \"kernel\": \"b\"}, \"benchmarks\": [%s]}",
		    runs[i]);
		write_text("wrong.json", file);
		assert_int_equal(load(&results, "wrong.json", &text), BENCH_STATUS_UNREADABLE);
		assert_non_null(strstr(text, "wrong.json: benchmark 1"));
		free(text);
		bench_results_free(&results);
	}
	struct bench_results results = { 0 };
	assert_int_equal(load(&results, "missing.json", &text), BENCH_STATUS_UNREADABLE);
	assert_non_null(strstr(text, "missing.json"));
	free(text);
}

/* Law: parts of a run are put together, but not twice the same, and not of two hosts. */
static void
results_of_parts_are_one_run(void **state)
{
	struct bench_results results = { 0 };
	struct run run = run_begin("part.json", "Linux 6.1");
	char *text;

	(void) state;
	run_put_all(&run, "B9/x/pinwheel", 10, 0);
	run_end(&run);
	write_run("whole.json", "Linux 6.1", 20, 1, 0);
	write_run("elsewhere.json", "Linux 6.2", 20, 1, 0);
	load_good(&results, "whole.json");
	load_good(&results, "part.json");
	assert_int_equal(results.series_count, 5);
	assert_int_equal(load(&results, "part.json", &text), BENCH_STATUS_UNREADABLE);
	assert_non_null(strstr(text, "twice"));
	free(text);
	assert_int_equal(load(&results, "elsewhere.json", &text), BENCH_STATUS_HOST);
	free(text);
	bench_results_free(&results);
}

/* ---- statistics */

/* Law: the exact test has the probabilities of the tables; ties and large samples go by the normal distribution,
 * which agrees with it; the same on both sides is no difference. */
static void
mann_whitney_has_the_known_probabilities(void **state)
{
	static const double low[] = { 1, 2, 3, 4, 5 }, high[] = { 6, 7, 8, 9, 10 };
	double even[20], odd[20], many_even[40], many_odd[40];

	(void) state;
	assert_float_equal(bench_mann_whitney(low, 5, high, 5), 2 / 252.0, 1e-12);
	assert_float_equal(bench_mann_whitney(high, 5, low, 5), 2 / 252.0, 1e-12);
	assert_float_equal(bench_mann_whitney(low, 3, high, 3), 2 / 20.0, 1e-12);
	/* 6 before 5 only: U = 1, two orders of 252 on each side. */
	static const double mixed_low[] = { 1, 2, 3, 4, 6 }, mixed_high[] = { 5, 7, 8, 9, 10 };
	assert_float_equal(bench_mann_whitney(mixed_low, 5, mixed_high, 5), 4 / 252.0, 1e-12);
	assert_float_equal(bench_mann_whitney(low, 5, low, 5), 1, 1e-12);
	assert_float_equal(bench_mann_whitney(low, 0, high, 5), 1, 0);
	for (unsigned i = 0; i < 40; i++) {
		many_even[i] = 2 * i;
		many_odd[i] = 2 * i + 9;
		if (i < 20) {
			even[i] = 2 * i;
			odd[i] = 2 * i + 9;
		}
	}
	double exact = bench_mann_whitney(even, 20, odd, 20);
	even[3] = even[2];
	double approximated = bench_mann_whitney(even, 20, odd, 20);
	assert_true(exact > 0.02 && exact < 0.1);
	assert_float_equal(approximated, exact, exact / 5);
	double many = bench_mann_whitney(many_even, 40, many_odd, 40);
	assert_float_equal(bench_mann_whitney(many_odd, 40, many_even, 40), many, 1e-12);
	assert_true(many > 0.02 && many < 0.5);
	assert_float_equal(bench_hodges_lehmann(low, 5, low, 5), 1, 1e-12);
	assert_float_equal(bench_hodges_lehmann(high, 5, high, 5), 1, 1e-12);
	assert_true(isnan(bench_hodges_lehmann(low, 0, high, 5)));
}

/* Law: a ratio is made within a repetition, and its median is the median of the ratios, not the ratio of medians; a
 * repetition that one of the two lacks is left out. */
static void
ratios_are_made_pair_by_pair(void **state)
{
	struct bench_series ours = { .count = 4, .value = { 10, 40, 20, 7 } };
	struct bench_series theirs = { .count = 4, .value = { 5, 80, 20, NAN } };
	struct bench_spread ratio = bench_spread_of_ratios(&ours, &theirs);

	(void) state;
	assert_int_equal(ratio.count, 3);
	assert_float_equal(ratio.median, 1, 1e-12);
	assert_float_equal(ratio.least, 0.5, 1e-12);
	assert_float_equal(ratio.largest, 2, 1e-12);
	theirs.value[0] = theirs.value[1] = theirs.value[2] = 0;
	ratio = bench_spread_of_ratios(&ours, &theirs);
	assert_int_equal(ratio.count, 0);
	assert_true(isnan(ratio.median));
}

/* ---- goals */

/* Law: each verdict is given where it belongs: by the median, or by the worst where the goal says "every"; a limit
 * counts only when it is above what the goal allows, and was measured. */
static void
goals_have_the_verdict_they_deserve(void **state)
{
	struct bench_goal goal = {
		.question = "B1",
		.place = "depth:1024",
		.metric = "ns",
		.text = "",
		.factor = 3,
		.reference = { { .factor = 1, .library = "floor:raw-queue" } },
		.limit_text = "",
	};
	struct bench_results results = { 0 };

	(void) state;
	write_run("goals.json", "Linux 6.1", 20, 1, 0);
	load_good(&results, "goals.json");
	struct bench_judged judged = bench_goal_judge(&results, &goal);
	assert_int_equal(judged.verdict, BENCH_REACHED);
	assert_float_equal(judged.ratio.median, 2.5, 0.1);
	goal.factor = judged.ratio.median;
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_REACHED);
	goal.every = true;
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_MISSED);
	goal.every = false;
	goal.factor = 2;
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_MISSED);

	goal.limit[0] = (struct bench_term){ .factor = 2.1, .library = "floor:raw-queue" };
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_LIMIT);
	goal.limit[0].factor = 1.9;
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_MISSED);
	goal.limit[0] = (struct bench_term){ .factor = 100, .library = "floor:unknown" };
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_MISSED);

	/* A sum: 2 x 8 + 0.1 x 40 is 20. */
	goal.reference[0].factor = 2;
	goal.reference[1] = (struct bench_term){ .factor = 0.1, .library = "asio" };
	goal.factor = 1;
	assert_float_equal(bench_goal_judge(&results, &goal).ratio.median, 1, 0.05);
	goal.reference[1].library = "unknown";
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_LACKING);
	goal.reference[0] = goal.reference[1] = (struct bench_term){ 0 };
	goal.factor = 25;
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_REACHED);
	goal.place = "depth:1";
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_LACKING);
	goal.question = "B2";
	assert_int_equal(bench_goal_judge(&results, &goal).verdict, BENCH_NOT_RUN);
	bench_results_free(&results);
}

/* Law: every goal is of a question that has a chapter, and has words. */
static void
goals_are_of_known_questions(void **state)
{
	(void) state;
	for (size_t i = 0; i < bench_goal_count; i++) {
		bool known = false;
		for (size_t q = 0; q < bench_question_count; q++) {
			known = known || strcmp(bench_goals[i].question, bench_questions[q].name) == 0;
		}
		assert_true(known);
		assert_non_null(bench_goals[i].what);
		assert_non_null(bench_goals[i].text);
		assert_true(bench_goals[i].limit->library == NULL || bench_goals[i].limit_text != NULL);
	}
}

/* ---- comparison */

/* Law: what is slower beyond noise is found, also where the machine became faster meanwhile; what is faster is no
 * regression. */
static void
compare_finds_a_regression(void **state)
{
	char *text;

	(void) state;
	write_run("old.json", "Linux 6.1", 20, 1, 0);
	write_run("slow.json", "Linux 6.1", 23, 1, 1);
	assert_int_equal(compare("old.json", "slow.json", &text), BENCH_STATUS_BAD);
	assert_non_null(strstr(text, "SLOWER   B1/depth:1024 ns: x 1.15"));
	free(text);
	assert_int_equal(compare("slow.json", "old.json", &text), BENCH_STATUS_GOOD);
	assert_non_null(strstr(text, "faster   B1/depth:1024 ns"));
	free(text);
	write_run("slow.json", "Linux 6.1", 23, 0.8, 1);
	assert_int_equal(compare("old.json", "slow.json", &text), BENCH_STATUS_BAD);
	assert_non_null(strstr(text, "SLOWER   B1/depth:1024 ns: x 1.15"));
	free(text);
}

/* Law: noise is none: the same figures in another order, 3 % more, and a machine that is slower for everybody. */
static void
compare_does_not_mistake_noise(void **state)
{
	static const struct {
		double pinwheel_ns, machine;
		unsigned shift;
	} noise[] = { { 20, 1, 0 }, { 20, 1, 4 }, { 20.6, 1, 2 }, { 20, 1.5, 1 }, { 20, 0.5, 1 } };
	char *text;

	(void) state;
	write_run("old.json", "Linux 6.1", 20, 1, 0);
	for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
		write_run("noise.json", "Linux 6.1", noise[i].pinwheel_ns, noise[i].machine, noise[i].shift);
		assert_int_equal(compare("old.json", "noise.json", &text), BENCH_STATUS_GOOD);
		assert_non_null(strstr(text, "1 metrics of pinwheel: 0 slower, 0 faster, 0 missing, 1 unchanged"));
		free(text);
	}
}

/* Law: where the peers themselves are apart by half, 15 % say nothing. */
static void
compare_takes_the_noise_of_the_peers(void **state)
{
	char *text;

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct run run = run_begin(i == 0 ? "old.json" : "new.json", "Linux 6.1");
		run_put_all(&run, "B1/depth:1024/pinwheel", i == 0 ? 20 : 23, i);
		run_put_all(&run, "B1/depth:1024/nng", i == 0 ? 400 : 600, i);
		run_put_all(&run, "B1/depth:1024/asio", 40, i);
		run_put_all(&run, "B1/depth:1024/libuv", i == 0 ? 30 : 20, i);
		run_end(&run);
	}
	assert_int_equal(compare("old.json", "new.json", &text), BENCH_STATUS_GOOD);
	assert_non_null(strstr(text, "1 unchanged"));
	free(text);
}

/* Law: a count has no noise; a benchmark that is gone or failed is bad; a few repetitions are not compared. */
static void
compare_counts_what_is_not_a_time(void **state)
{
	static const struct {
		unsigned locked, repetitions;
		const char *name, *said;
		enum bench_status status;
	} cases[] = {
		{ 3, 7, "B1/a/pinwheel", "2 unchanged", BENCH_STATUS_GOOD },
		{ 4, 7, "B1/a/pinwheel", "SLOWER   B1/a locked: x 1.333", BENCH_STATUS_BAD },
		{ 2, 7, "B1/a/pinwheel", "faster   B1/a locked", BENCH_STATUS_GOOD },
		{ 3, 7, "B1/b/pinwheel", "MISSING  B1/a locked", BENCH_STATUS_BAD },
		{ 3, 4, "B1/a/pinwheel", "1 unchanged, 1 not compared", BENCH_STATUS_GOOD },
		{ 3, 7, "B2/a/pinwheel", "no question in common", BENCH_STATUS_UNREADABLE },
	};
	char *text, more[64];

	(void) state;
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		for (unsigned i = 0; i < 2; i++) {
			struct run run = run_begin(i == 0 ? "old.json" : "new.json", "Linux 6.1");
			for (unsigned r = 0; r < (i == 0 ? 7 : cases[c].repetitions); r++) {
				(void) snprintf(more, sizeof more, ", \"locked\": %u", i == 0 ? 3 : cases[c].locked);
				run_put(&run, i == 0 ? "B1/a/pinwheel" : cases[c].name, r, 100 + r, more);
			}
			run_end(&run);
		}
		assert_int_equal(compare("old.json", "new.json", &text), cases[c].status);
		assert_non_null(strstr(text, cases[c].said));
		free(text);
	}
	struct run run = run_begin("new.json", "Linux 6.1");
	for (unsigned r = 0; r < 7; r++) {
		run_put(&run, "B1/a/pinwheel", r, 100 + r, ", \"locked\": 3");
	}
	run_put(&run, "B1/b/pinwheel", 0, 1, ", \"error_occurred\": true, \"error_message\": \"it rained\"");
	run_end(&run);
	assert_int_equal(compare("old.json", "new.json", &text), BENCH_STATUS_BAD);
	assert_non_null(strstr(text, "FAILED   B1/b/pinwheel: it rained"));
	free(text);
}

/* Law: runs of different hosts are not compared, and both are named. */
static void
compare_refuses_other_hosts(void **state)
{
	char *text;

	(void) state;
	write_run("old.json", "Linux 6.1", 20, 1, 0);
	write_run("new.json", "Linux 6.2", 20, 1, 0);
	assert_int_equal(compare("old.json", "new.json", &text), BENCH_STATUS_HOST);
	assert_non_null(strstr(text, "Abacus, CPUs: 2 of 4, Linux 6.1"));
	assert_non_null(strstr(text, "Abacus, CPUs: 2 of 4, Linux 6.2"));
	free(text);
}

/* ---- pages */

static bool
exists(const char *name)
{
	return access(path_of(name), R_OK) == 0;
}

/* Law: a page shows the host, each goal that was run with its verdict, each library's figures, and has its plots
 * written; README's section is replaced, and nothing else of it. */
static void
page_shows_what_was_measured(void **state)
{
	struct bench_results results = { 0 };
	struct run run = run_begin("page.json", "Linux 6.1");
	char path[256], *said;
	size_t size;

	(void) state;
	run_put_all(&run, "B6/outstanding:1k/pinwheel", 20, 0);
	run_put_all(&run, "B6/outstanding:1k/floor:wheel", 15, 1);
	run_put_all(&run, "B6/outstanding:1M/pinwheel", 100, 2);
	run_put_all(&run, "B6/outstanding:1M/floor:wheel", 90, 3);
	for (unsigned r = 0; r < REPETITIONS; r++) {
		run_put(&run, "B3/spinning/pinwheel", r, 200, ", \"p50_ns\": 190, \"p99_ns\": 2500");
	}
	run_put(&run, "B2/depth:512/pinwheel", 0, 1, ", \"error_occurred\": true, \"error_message\": \"it rained\"");
	run_end(&run);
	load_good(&results, "page.json");
	FILE *errors = open_memstream(&said, &size);
	assert_non_null(errors);
	(void) snprintf(path, sizeof path, "%s", path_of("page.md"));
	struct bench_page page = { .results = &results, .path = path, .plots = folder, .errors = errors };
	assert_true(bench_page_write(&page));

	char *text = read_text("page.md");
	assert_non_null(strstr(text, "commit abc1234"));
	assert_non_null(strstr(text, "Abacus, CPUs: 2 of 4, Linux 6.1"));
	assert_non_null(strstr(text, "1.5 x the bare wheel                          | reached |"));
	assert_non_null(strstr(text, "0.75 x the bare wheel                         | MISSED |"));
	assert_non_null(strstr(text, "| not measured |"));
	assert_non_null(strstr(text, "| spinning | pinwheel | 200 ns |  | 190 ns | 2.5 us |"));
	assert_non_null(strstr(text, "- B2/depth:512/pinwheel: it rained"));
	assert_non_null(strstr(text, "(page-b6-outstanding.svg)"));
	assert_null(strstr(text, "## B1:"));
	free(text);
	assert_true(exists("page-goals-all.svg.gnuplot"));
	assert_true(exists("page-b6-outstanding.svg.gnuplot"));
	assert_true(exists("page-b6-ratios.svg.gnuplot"));
	assert_true(exists("page-b3-spinning-latency.svg.gnuplot"));

	write_text("readme.md", "before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n");
	assert_true(bench_page_readme(&page, path_of("readme.md")));
	text = read_text("readme.md");
	assert_memory_equal(text, "before\n<!-- bench: begin -->\n", strlen("before\n<!-- bench: begin -->\n"));
	assert_non_null(strstr(text, "| reached |"));
	assert_null(strstr(text, "old\n"));
	assert_string_equal(strstr(text, "<!-- bench: end -->"), "<!-- bench: end -->\nafter\n");
	free(text);
	assert_int_equal(fflush(errors), 0);
	assert_string_equal(said, "");

	write_text("readme.md", "before\n<!-- bench: begin -->\nold\n");
	assert_false(bench_page_readme(&page, path_of("readme.md")));
	text = read_text("readme.md");
	assert_string_equal(text, "before\n<!-- bench: begin -->\nold\n");
	free(text);
	page.plots = path_of("no-such-folder");
	assert_false(bench_page_write(&page));
	assert_int_equal(fclose(errors), 0);
	assert_non_null(strstr(said, "no-such-folder"));
	free(said);
	bench_results_free(&results);
}

static int
open_folder(void **state)
{
	(void) state;
	return mkdtemp(folder) == NULL;
}

static int
remove_folder(void **state)
{
	char command[64];

	(void) state;
	(void) snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_are_series_by_repetition),
		cmocka_unit_test(results_refuse_what_is_no_run),
		cmocka_unit_test(results_of_parts_are_one_run),
		cmocka_unit_test(mann_whitney_has_the_known_probabilities),
		cmocka_unit_test(ratios_are_made_pair_by_pair),
		cmocka_unit_test(goals_have_the_verdict_they_deserve),
		cmocka_unit_test(goals_are_of_known_questions),
		cmocka_unit_test(compare_finds_a_regression),
		cmocka_unit_test(compare_does_not_mistake_noise),
		cmocka_unit_test(compare_takes_the_noise_of_the_peers),
		cmocka_unit_test(compare_counts_what_is_not_a_time),
		cmocka_unit_test(compare_refuses_other_hosts),
		cmocka_unit_test(page_shows_what_was_measured),
	};
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}

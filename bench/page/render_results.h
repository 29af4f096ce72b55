/* SPDX-License-Identifier: MIT
 *
 * render_results.h: what a run of the suite has measured, read from the JSON that Google Benchmark writes.
 *
 * A benchmark is named QUESTION/CASE/LIBRARY, "B6/outstanding:1M/libuv"; the case may have several parts. What
 * Google Benchmark adds to the name (/repeats:5, /manual_time) is dropped. Each of its numbers is a series: one value
 * for each repetition. Repetition i of all libraries of a case was measured at about the same time: a pair.
 *
 * The metric "ns" is the counter of that name, or else the time of an iteration.
 *
 * What it is not: a judge. goals.h and compare.h are.
 */
#ifndef PINWHEEL_BENCH_RENDER_RESULTS_H
#define PINWHEEL_BENCH_RENDER_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The exit status of bench_render. */
enum bench_status {
	BENCH_STATUS_GOOD = 0,
	BENCH_STATUS_BAD = 1,        /* a regression; a benchmark that failed; a file that cannot be written */
	BENCH_STATUS_UNREADABLE = 2, /* not JSON, or not of the suite; usage */
	BENCH_STATUS_HOST = 3,       /* other hosts */
};

#define BENCH_REPETITIONS_MAX 64u

struct bench_series {
	char *question;
	char *place; /* the case */
	char *library;
	char *metric;
	unsigned count;                      /* one more than the last repetition */
	double value[BENCH_REPETITIONS_MAX]; /* NAN: that repetition is missing */
};

/* A benchmark that ended with an error. */
struct bench_failure {
	char *name;
	char *message;
};

struct bench_results {
	struct bench_series *series; /* in the order of the file */
	size_t series_count;
	struct bench_failure *failure;
	size_t failure_count;
	struct json_t *context; /* of the first file */
};

/* Adds what a file holds to *results, which begins as zeros. On a failure, one line on `errors`: the file, and the
 * line or the benchmark. BENCH_STATUS_HOST: it is not of the host of the files before it. */
enum bench_status bench_results_load(struct bench_results *results, const char *path, FILE *errors);
void bench_results_free(struct bench_results *results);

/* NULL: it was not measured. */
const struct bench_series *bench_results_find(const struct bench_results *results, const char *question,
    const char *place, const char *library, const char *metric);

/* What the run says of itself in words: "date", "commit", "kernel". "": nothing. */
const char *bench_results_context(const struct bench_results *results, const char *key);

/* Which machine it ran on: processor, number of CPUs, kernel. */
struct bench_host {
	char text[512];
};

struct bench_host bench_results_host(const struct bench_results *results);

#endif

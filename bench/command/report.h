/* SPDX-License-Identifier: MIT
 *
 * report.h: figures for people and for programs: merged histograms with percentiles, durations and sizes in a
 * readable unit, a table of latencies, and enough JSON for one report.
 *
 * What it is not: thread-safe. One thread reports; the histograms it merges may be written meanwhile (each by its
 * one writer), so a figure may be a moment old, never torn.
 */
#ifndef PINWHEEL_BENCH_REPORT_H
#define PINWHEEL_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/command/latency.h"
#include "engine/base/histogram.h"

/* Several histograms as one. A percentile is the top of its bucket: at most 6.25 % above what was recorded. */
struct pw_summary {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t bucket[PW_HISTOGRAM_BUCKETS];
};

void pw_summary_add(struct pw_summary *summary, const struct pw_histogram *histogram);
/* The smallest recorded value that `percent` of all are not above; 0 when nothing was recorded. */
uint64_t pw_summary_percentile_ns(const struct pw_summary *summary, double percent);

/* What a report says of a distribution; all 0 when nothing was recorded. */
struct pw_quantiles {
	uint64_t count;
	uint64_t mean_ns;
	uint64_t p50_ns;
	uint64_t p90_ns;
	uint64_t p99_ns;
	uint64_t p999_ns;
	uint64_t p9999_ns;
	uint64_t max_ns;
};
struct pw_quantiles pw_quantiles_of_summary(const struct pw_summary *summary);
struct pw_quantiles pw_quantiles_of_latency(struct pw_latency *latency);

struct pw_report_text {
	char text[24];
};
struct pw_report_text pw_report_duration(uint64_t ns);
struct pw_report_text pw_report_size(uint64_t bytes);

/* The heading and one line of a table: count, p50, p90, p99, p99.9, p99.99, max. */
void pw_report_latency_heading(FILE *out, const char *title);
void pw_report_quantiles(FILE *out, const char *name, const struct pw_quantiles *quantiles);
void pw_report_latency(FILE *out, const char *name, const struct pw_summary *summary);

/* JSON: objects inside objects, numbers, strings, booleans. `key` is NULL for the outermost object. */
struct pw_json {
	FILE *out;
	bool comma;
};
void pw_json_open(struct pw_json *json, const char *key);
void pw_json_close(struct pw_json *json);
void pw_json_list(struct pw_json *json, const char *key);
void pw_json_list_end(struct pw_json *json);
void pw_json_number(struct pw_json *json, const char *key, uint64_t value);
void pw_json_real(struct pw_json *json, const char *key, double value);
void pw_json_bool(struct pw_json *json, const char *key, bool value);
void pw_json_string(struct pw_json *json, const char *key, const char *value);
void pw_json_quantiles(struct pw_json *json, const char *key, const struct pw_quantiles *quantiles);
void pw_json_latency(struct pw_json *json, const char *key, const struct pw_summary *summary);

#endif

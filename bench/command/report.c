/* SPDX-License-Identifier: MIT
 *
 * report.c: see report.h.
 */
#include "bench/command/report.h"

#include <inttypes.h>

void
pw_summary_add(struct pw_summary *summary, const struct pw_histogram *histogram)
{
	struct pw_histogram *from = (struct pw_histogram *) (uintptr_t) histogram;

	/* Racy reads of single-writer counters: the parts may be of slightly different moments. */
	uint64_t max_ns = pw_load_relaxed_64(&from->max_ns);
	summary->sum_ns += pw_load_relaxed_64(&from->sum_ns);
	if (max_ns > summary->max_ns) {
		summary->max_ns = max_ns;
	}
	for (unsigned i = 0; i < PW_HISTOGRAM_BUCKETS; i++) {
		uint64_t n = pw_load_relaxed_64(&from->bucket[i]);
		summary->bucket[i] += n;
		summary->count += n;
	}
}

uint64_t
pw_summary_percentile_ns(const struct pw_summary *summary, double percent)
{
	double wanted = (double) summary->count * percent / 100.0;
	uint64_t seen = 0;

	for (unsigned i = 0; i < PW_HISTOGRAM_BUCKETS; i++) {
		seen += summary->bucket[i];
		if (seen > 0 && (double) seen >= wanted) {
			uint64_t top_ns = pw_histogram_top_ns(i);
			return top_ns < summary->max_ns ? top_ns : summary->max_ns;
		}
	}
	return summary->max_ns;
}

struct pw_report_text
pw_report_duration(uint64_t ns)
{
	struct pw_report_text text;

	if (ns < 1000) {
		snprintf(text.text, sizeof(text.text), "%" PRIu64 " ns", ns);
	} else if (ns < 1000000) {
		snprintf(text.text, sizeof(text.text), "%.1f us", (double) ns / 1e3);
	} else if (ns < 1000000000) {
		snprintf(text.text, sizeof(text.text), "%.2f ms", (double) ns / 1e6);
	} else {
		snprintf(text.text, sizeof(text.text), "%.2f s", (double) ns / 1e9);
	}
	return text;
}

struct pw_report_text
pw_report_size(uint64_t bytes)
{
	struct pw_report_text text;

	if (bytes < 10 * 1024) {
		snprintf(text.text, sizeof(text.text), "%" PRIu64 " bytes", bytes);
	} else if (bytes < UINT64_C(10) << 20) {
		snprintf(text.text, sizeof(text.text), "%.1f KiB", (double) bytes / 1024);
	} else {
		snprintf(text.text, sizeof(text.text), "%.1f MiB", (double) bytes / (1 << 20));
	}
	return text;
}

struct pw_quantiles
pw_quantiles_of_summary(const struct pw_summary *summary)
{
	return (struct pw_quantiles){
		.count = summary->count,
		.mean_ns = summary->count != 0 ? summary->sum_ns / summary->count : 0,
		.p50_ns = pw_summary_percentile_ns(summary, 50),
		.p90_ns = pw_summary_percentile_ns(summary, 90),
		.p99_ns = pw_summary_percentile_ns(summary, 99),
		.p999_ns = pw_summary_percentile_ns(summary, 99.9),
		.p9999_ns = pw_summary_percentile_ns(summary, 99.99),
		.max_ns = summary->max_ns,
	};
}

struct pw_quantiles
pw_quantiles_of_latency(struct pw_latency *latency)
{
	uint64_t count = pw_load_relaxed_64(&latency->count);

	return (struct pw_quantiles){
		.count = count,
		.mean_ns = count != 0 ? pw_load_relaxed_64(&latency->sum_ns) / count : 0,
		.p50_ns = pw_latency_percentile_ns(latency, 50),
		.p90_ns = pw_latency_percentile_ns(latency, 90),
		.p99_ns = pw_latency_percentile_ns(latency, 99),
		.p999_ns = pw_latency_percentile_ns(latency, 99.9),
		.p9999_ns = pw_latency_percentile_ns(latency, 99.99),
		.max_ns = pw_load_relaxed_64(&latency->max_ns),
	};
}

void
pw_report_latency_heading(FILE *out, const char *title)
{
	fprintf(out, "%-26s %12s %10s %10s %10s %10s %10s %10s\n", title, "count", "p50", "p90", "p99", "p99.9",
	    "p99.99", "max");
}

void
pw_report_quantiles(FILE *out, const char *name, const struct pw_quantiles *q)
{
	fprintf(out, "%-26s %12" PRIu64 " %10s %10s %10s %10s %10s %10s\n", name, q->count,
	    pw_report_duration(q->p50_ns).text, pw_report_duration(q->p90_ns).text,
	    pw_report_duration(q->p99_ns).text, pw_report_duration(q->p999_ns).text,
	    pw_report_duration(q->p9999_ns).text, pw_report_duration(q->max_ns).text);
}

void
pw_report_latency(FILE *out, const char *name, const struct pw_summary *summary)
{
	struct pw_quantiles quantiles = pw_quantiles_of_summary(summary);

	pw_report_quantiles(out, name, &quantiles);
}

static void
print_string(FILE *out, const char *text)
{
	putc('"', out);
	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\') {
			fprintf(out, "\\%c", *c);
		} else if (*c < 0x20) {
			fprintf(out, "\\u%04x", *c);
		} else {
			putc(*c, out);
		}
	}
	putc('"', out);
}

static void
print_key(struct pw_json *json, const char *key)
{
	if (json->comma) {
		fputs(", ", json->out);
	}
	json->comma = true;
	if (key != NULL) {
		print_string(json->out, key);
		fputs(": ", json->out);
	}
}

void
pw_json_open(struct pw_json *json, const char *key)
{
	print_key(json, key);
	putc('{', json->out);
	json->comma = false;
}

void
pw_json_close(struct pw_json *json)
{
	putc('}', json->out);
	json->comma = true;
}

void
pw_json_list(struct pw_json *json, const char *key)
{
	print_key(json, key);
	putc('[', json->out);
	json->comma = false;
}

void
pw_json_list_end(struct pw_json *json)
{
	putc(']', json->out);
	json->comma = true;
}

void
pw_json_number(struct pw_json *json, const char *key, uint64_t value)
{
	print_key(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void
pw_json_real(struct pw_json *json, const char *key, double value)
{
	print_key(json, key);
	fprintf(json->out, "%.3f", value);
}

void
pw_json_bool(struct pw_json *json, const char *key, bool value)
{
	print_key(json, key);
	fputs(value ? "true" : "false", json->out);
}

void
pw_json_string(struct pw_json *json, const char *key, const char *value)
{
	print_key(json, key);
	print_string(json->out, value);
}

void
pw_json_quantiles(struct pw_json *json, const char *key, const struct pw_quantiles *q)
{
	pw_json_open(json, key);
	pw_json_number(json, "count", q->count);
	pw_json_number(json, "mean_ns", q->mean_ns);
	pw_json_number(json, "p50_ns", q->p50_ns);
	pw_json_number(json, "p90_ns", q->p90_ns);
	pw_json_number(json, "p99_ns", q->p99_ns);
	pw_json_number(json, "p999_ns", q->p999_ns);
	pw_json_number(json, "p9999_ns", q->p9999_ns);
	pw_json_number(json, "max_ns", q->max_ns);
	pw_json_close(json);
}

void
pw_json_latency(struct pw_json *json, const char *key, const struct pw_summary *summary)
{
	struct pw_quantiles quantiles = pw_quantiles_of_summary(summary);

	pw_json_quantiles(json, key, &quantiles);
}

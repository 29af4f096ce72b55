/* SPDX-License-Identifier: MIT
 *
 * render_results.c: see render_results.h.
 *
 * Series are few (some thousand): they are searched from the front.
 */
#include "bench/page/render_results.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What Google Benchmark itself says of a run; every other number is a counter of ours. */
static const char *const not_a_counter[] = { "family_index", "per_family_instance_index", "repetitions",
	"repetition_index", "threads", "iterations", "real_time", "cpu_time" };

struct reading {
	struct bench_results *results;
	const char *path;
	FILE *errors;
};

static void *
need(void *memory)
{
	if (memory == NULL) {
		(void) fputs("bench_render: out of memory\n", stderr);
		abort();
	}
	return memory;
}

/* ---- names */

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* A part of a name that Google Benchmark added. */
static bool
is_added(const char *part)
{
	static const char *const numbered[] = { "iterations:", "repeats:", "threads:", "min_time:",
		"min_warmup_time:" };
	static const char *const whole[] = { "manual_time", "real_time", "process_time" };

	for (size_t i = 0; i < sizeof numbered / sizeof *numbered; i++) {
		if (begins(part, numbered[i])) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		if (strcmp(part, whole[i]) == 0) {
			return true;
		}
	}
	return false;
}

struct name {
	char text[256];
	const char *question;
	const char *place;
	const char *library;
};

/* False: it is not QUESTION/CASE/LIBRARY. */
static bool
split(struct name *name, const char *text)
{
	if (strlen(text) >= sizeof name->text) {
		return false;
	}
	(void) strcpy(name->text, text);
	for (;;) {
		char *last = strrchr(name->text, '/');
		if (last == NULL) {
			return false;
		}
		*last = '\0';
		if (!is_added(last + 1)) {
			char *first = strchr(name->text, '/');
			if (first == NULL) {
				return false;
			}
			*first = '\0';
			name->question = name->text;
			name->place = first + 1;
			name->library = last + 1;
			return *name->question != '\0' && *name->place != '\0' && *name->library != '\0';
		}
	}
}

/* ---- series */

const struct bench_series *
bench_results_find(const struct bench_results *results, const char *question, const char *place, const char *library,
    const char *metric)
{
	for (size_t i = 0; i < results->series_count; i++) {
		const struct bench_series *series = &results->series[i];
		if (strcmp(series->metric, metric) == 0 && strcmp(series->library, library) == 0 &&
		    strcmp(series->place, place) == 0 && strcmp(series->question, question) == 0) {
			return series;
		}
	}
	return NULL;
}

static struct bench_series *
series_of(struct bench_results *results, const struct name *name, const char *metric)
{
	const struct bench_series *found =
	    bench_results_find(results, name->question, name->place, name->library, metric);
	if (found != NULL) {
		return &results->series[found - results->series];
	}
	results->series = need(realloc(results->series, (results->series_count + 1) * sizeof *results->series));
	struct bench_series *series = &results->series[results->series_count++];
	*series = (struct bench_series){
		.question = need(strdup(name->question)),
		.place = need(strdup(name->place)),
		.library = need(strdup(name->library)),
		.metric = need(strdup(metric)),
	};
	for (unsigned i = 0; i < BENCH_REPETITIONS_MAX; i++) {
		series->value[i] = NAN;
	}
	return series;
}

/* False: this repetition has a value already. */
static bool
put(struct bench_results *results, const struct name *name, const char *metric, unsigned repetition, double value)
{
	struct bench_series *series = series_of(results, name, metric);
	if (!isnan(series->value[repetition])) {
		return false;
	}
	series->value[repetition] = value;
	if (series->count <= repetition) {
		series->count = repetition + 1;
	}
	return true;
}

static void
put_failure(struct bench_results *results, const struct name *name, const char *message)
{
	char text[sizeof name->text];
	(void) snprintf(text, sizeof text, "%s/%s/%s", name->question, name->place, name->library);
	results->failure = need(realloc(results->failure, (results->failure_count + 1) * sizeof *results->failure));
	results->failure[results->failure_count++] = (struct bench_failure){
		.name = need(strdup(text)),
		.message = need(strdup(message)),
	};
}

/* ---- one benchmark */

static double
ns_per(const char *unit)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (unit != NULL && strcmp(unit, units[i].name) == 0) {
			return units[i].ns;
		}
	}
	return 0;
}

static bool
is_counter(const char *key, const json_t *value)
{
	for (size_t i = 0; i < sizeof not_a_counter / sizeof *not_a_counter; i++) {
		if (strcmp(key, not_a_counter[i]) == 0) {
			return false;
		}
	}
	return json_is_number(value);
}

static enum bench_status
wrong(const struct reading *reading, size_t index, const char *name, const char *what)
{
	(void) fprintf(reading->errors, "%s: benchmark %zu%s%s: %s\n", reading->path, index + 1,
	    name == NULL ? "" : ", ", name == NULL ? "" : name, what);
	return BENCH_STATUS_UNREADABLE;
}

static enum bench_status
read_run(const struct reading *reading, size_t index, json_t *run)
{
	const char *type = json_string_value(json_object_get(run, "run_type"));
	const char *text = json_string_value(json_object_get(run, "run_name"));
	if (type == NULL || text == NULL) {
		return wrong(reading, index, text, "no run_name, or no run_type");
	}
	if (strcmp(type, "aggregate") == 0) {
		return BENCH_STATUS_GOOD; /* they are made here, from pairs */
	}
	struct name name;
	if (!split(&name, text)) {
		return wrong(reading, index, text, "its name is not QUESTION/CASE/LIBRARY");
	}
	if (json_is_true(json_object_get(run, "error_occurred"))) {
		const char *message = json_string_value(json_object_get(run, "error_message"));
		put_failure(reading->results, &name, message != NULL ? message : "it failed");
		return BENCH_STATUS_GOOD;
	}
	const char *label = json_string_value(json_object_get(run, "label"));
	if (label != NULL && begins(label, "skipped")) {
		return BENCH_STATUS_GOOD; /* it cannot run on that host */
	}
	json_t *number = json_object_get(run, "repetition_index");
	json_int_t repetition = number == NULL ? 0 : json_integer_value(number);
	if ((number != NULL && !json_is_integer(number)) || repetition < 0 || repetition >= BENCH_REPETITIONS_MAX) {
		return wrong(reading, index, text, "its repetition_index is no number from 0 to 63");
	}
	json_t *time = json_object_get(run, "real_time");
	double unit_ns = ns_per(json_string_value(json_object_get(run, "time_unit")));
	if (!json_is_number(time) || unit_ns == 0) {
		return wrong(reading, index, text, "no real_time, or no time_unit");
	}
	bool fresh = true;
	if (!json_is_number(json_object_get(run, "ns"))) {
		fresh = put(reading->results, &name, "ns", (unsigned) repetition, json_number_value(time) * unit_ns);
	}
	const char *key;
	json_t *value;
	json_object_foreach(run, key, value)
	{
		if (is_counter(key, value)) {
			fresh = put(reading->results, &name, key, (unsigned) repetition, json_number_value(value)) &&
			    fresh;
		}
	}
	return fresh ? BENCH_STATUS_GOOD : wrong(reading, index, text, "this repetition of it comes twice");
}

/* ---- the host */

const char *
bench_results_context(const struct bench_results *results, const char *key)
{
	const char *text = json_string_value(json_object_get(results->context, key));
	return text == NULL ? "" : text;
}

struct bench_host
bench_results_host(const struct bench_results *results)
{
	struct bench_host host;
	(void) snprintf(host.text, sizeof host.text, "%s, CPUs: %s, %s", bench_results_context(results, "cpu_model"),
	    bench_results_context(results, "cpus"), bench_results_context(results, "kernel"));
	return host;
}

static enum bench_status
read_context(const struct reading *reading, json_t *context)
{
	static const char *const needed[] = { "cpu_model", "cpus", "kernel" };
	struct bench_results other = { .context = context };

	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		if (*bench_results_context(&other, needed[i]) == '\0') {
			(void) fprintf(reading->errors, "%s: its context does not say \"%s\": no run of the suite\n",
			    reading->path, needed[i]);
			return BENCH_STATUS_UNREADABLE;
		}
	}
	if (reading->results->context == NULL) {
		reading->results->context = json_incref(context);
		return BENCH_STATUS_GOOD;
	}
	struct bench_host before = bench_results_host(reading->results), now = bench_results_host(&other);
	if (strcmp(before.text, now.text) != 0) {
		(void) fprintf(reading->errors, "%s: another host: %s, and before: %s\n", reading->path, now.text,
		    before.text);
		return BENCH_STATUS_HOST;
	}
	return BENCH_STATUS_GOOD;
}

enum bench_status
bench_results_load(struct bench_results *results, const char *path, FILE *errors)
{
	struct reading reading = { .results = results, .path = path, .errors = errors };
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	if (root == NULL) {
		if (error.line > 0) {
			(void) fprintf(errors, "%s:%d: %s\n", path, error.line, error.text);
		} else {
			(void) fprintf(errors, "%s: %s\n", path, error.text);
		}
		return BENCH_STATUS_UNREADABLE;
	}
	enum bench_status status = BENCH_STATUS_GOOD;
	json_t *context = json_object_get(root, "context"), *runs = json_object_get(root, "benchmarks");
	if (!json_is_object(context) || !json_is_array(runs)) {
		(void) fprintf(errors, "%s: no \"context\", or no \"benchmarks\": not written by Google Benchmark\n",
		    path);
		status = BENCH_STATUS_UNREADABLE;
	} else {
		status = read_context(&reading, context);
	}
	for (size_t i = 0; status == BENCH_STATUS_GOOD && i < json_array_size(runs); i++) {
		status = read_run(&reading, i, json_array_get(runs, i));
	}
	json_decref(root);
	return status;
}

void
bench_results_free(struct bench_results *results)
{
	for (size_t i = 0; i < results->series_count; i++) {
		free(results->series[i].question);
		free(results->series[i].place);
		free(results->series[i].library);
		free(results->series[i].metric);
	}
	for (size_t i = 0; i < results->failure_count; i++) {
		free(results->failure[i].name);
		free(results->failure[i].message);
	}
	free(results->series);
	free(results->failure);
	json_decref(results->context);
	*results = (struct bench_results){ 0 };
}

/* SPDX-License-Identifier: MIT
 *
 * render_text.c: see render_text.h.
 */
#include "bench/page/render_text.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static bool
is_time(const char *metric)
{
	size_t length = strlen(metric);
	return strncmp(metric, "ns", 2) == 0 || (length > 3 && strcmp(metric + length - 3, "_ns") == 0);
}

struct bench_number
bench_text_value(const char *metric, double value)
{
	static const char *const unit[] = { "ns", "us", "ms", "s" };
	struct bench_number text = { "-" };

	if (isnan(value)) {
		return text;
	}
	if (!is_time(metric)) {
		(void) snprintf(text.text, sizeof text.text, fabs(value) >= 1000 ? "%.0f" : "%.3g", value);
		return text;
	}
	unsigned i = 0;
	while (i < 3 && fabs(value) >= 999.5) {
		value /= 1000;
		i++;
	}
	(void) snprintf(text.text, sizeof text.text, "%.3g %s", value, unit[i]);
	return text;
}

static struct bench_text
with_spread(struct bench_number median, struct bench_number least, struct bench_number largest, bool spread)
{
	struct bench_text text;
	int used = snprintf(text.text, sizeof text.text, "%s", median.text);
	if (spread) {
		(void) snprintf(text.text + used, sizeof text.text - (size_t) used, " (%s .. %s)", least.text,
		    largest.text);
	}
	return text;
}

struct bench_text
bench_text_spread(const char *metric, struct bench_spread spread)
{
	return with_spread(bench_text_value(metric, spread.median), bench_text_value(metric, spread.least),
	    bench_text_value(metric, spread.largest), spread.count > 1 && spread.least < spread.largest);
}

static struct bench_number
one_ratio(double ratio)
{
	struct bench_number text = { "-" };
	if (ratio > 0 && ratio < 0.1) {
		(void) snprintf(text.text, sizeof text.text, "1/%.3g", 1 / ratio);
	} else if (!isnan(ratio)) {
		(void) snprintf(text.text, sizeof text.text, ratio >= 100 ? "%.0f" : "%.3g", ratio);
	}
	return text;
}

struct bench_text
bench_text_ratio(struct bench_spread ratio)
{
	return with_spread(one_ratio(ratio.median), one_ratio(ratio.least), one_ratio(ratio.largest),
	    ratio.count > 1);
}

bool
bench_is_floor(const char *library)
{
	return strncmp(library, "floor:", strlen("floor:")) == 0;
}

struct bench_text
bench_plot_name(const char *page, const char *question, const char *what)
{
	struct bench_text text;
	const char *slash = strrchr(page, '/');
	const char *name = slash == NULL ? page : slash + 1;
	const char *dot = strrchr(name, '.');
	int stem = (int) (dot == NULL ? strlen(name) : (size_t) (dot - name));
	int begin = snprintf(text.text, sizeof text.text, "%.*s", stem, name);
	(void) snprintf(text.text + begin, sizeof text.text - (size_t) begin, "-%s-%s", question, what);
	for (char *c = text.text + begin; *c != '\0'; c++) {
		*c = isalnum((unsigned char) *c) ? (char) tolower((unsigned char) *c) : '-';
	}
	(void) strncat(text.text, ".svg", sizeof text.text - strlen(text.text) - 1);
	return text;
}

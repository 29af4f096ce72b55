/* SPDX-License-Identifier: MIT
 *
 * compare.c: see compare.h.
 */
#include "bench/page/compare.h"

#include <math.h>
#include <string.h>

#include "bench/page/render_stats.h"

#define OURS "pinwheel"
#define CONTROLS_MAX 32u

enum change {
	CHANGE_NONE,
	CHANGE_WORSE,
	CHANGE_BETTER,
	CHANGE_FEW,  /* too few repetitions to tell */
	CHANGE_GONE, /* not in the new run */
};

struct verdict {
	enum change change;
	double quotient; /* new / old, the machine's share taken out */
	double machine;  /* that share */
	double noise;
	double chance;
};

/* A few retries are in counts, too. */
#define COUNT_NOISE 0.02

static bool
is_among(const char *metric, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(metric, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool
is_count(const char *metric)
{
	static const char *const counts[] = { "early", "fences", "late", "locked", "stalled" };
	return is_among(metric, counts, sizeof counts / sizeof *counts);
}

/* The rest says how the work was done, or is an extreme, or follows from these. All are better when smaller. */
static bool
is_compared(const char *metric)
{
	static const char *const times[] = { "ns", "cpu_ns", "p50_ns", "p99_ns", "bytes", "cores" };
	return is_count(metric) || is_among(metric, times, sizeof times / sizeof *times);
}

/* Sets machine and noise from what the others of the case have changed. */
static void
look_at_controls(struct verdict *verdict, const struct bench_results *old, const struct bench_results *new,
    const struct bench_series *ours)
{
	double change[CONTROLS_MAX], distance[CONTROLS_MAX];
	unsigned count = 0;
	for (size_t i = 0; i < old->series_count && count < CONTROLS_MAX; i++) {
		const struct bench_series *one = &old->series[i];
		if (strcmp(one->question, ours->question) != 0 || strcmp(one->place, ours->place) != 0 ||
		    strcmp(one->metric, ours->metric) != 0 || strcmp(one->library, OURS) == 0) {
			continue;
		}
		const struct bench_series *other =
		    bench_results_find(new, one->question, one->place, one->library, one->metric);
		double quotient =
		    other == NULL ? NAN : bench_hodges_lehmann(one->value, one->count, other->value, other->count);
		if (isfinite(quotient) && quotient > 0) {
			change[count++] = quotient;
		}
	}
	verdict->machine = 1;
	verdict->noise = BENCH_NOISE;
	if (count < 3) {
		return;
	}
	verdict->machine = bench_spread_of(change, count).median;
	for (unsigned i = 0; i < count; i++) {
		double away = change[i] / verdict->machine;
		distance[i] = away > 1 ? away - 1 : 1 / away - 1;
	}
	verdict->noise = fmax(BENCH_NOISE, bench_spread_of(distance, count).median);
}

static struct verdict
judge_count(const struct bench_series *old, const struct bench_series *new)
{
	double before = bench_spread_of(old->value, old->count).largest;
	double now = bench_spread_of(new->value, new->count).largest;
	return (struct verdict){
		.change = now > before * (1 + COUNT_NOISE) ? CHANGE_WORSE
		    : now * (1 + COUNT_NOISE) < before     ? CHANGE_BETTER
							   : CHANGE_NONE,
		.quotient = before != 0 ? now / before : NAN,
		.machine = 1,
	};
}

static struct verdict
judge(const struct bench_results *old_run, const struct bench_results *new_run, const struct bench_series *old)
{
	struct verdict verdict = { .change = CHANGE_GONE, .quotient = NAN, .machine = 1, .chance = 1 };
	const struct bench_series *new =
	    bench_results_find(new_run, old->question, old->place, old->library, old->metric);
	if (new == NULL) {
		return verdict;
	}
	if (is_count(old->metric)) {
		return judge_count(old, new);
	}
	look_at_controls(&verdict, old_run, new_run, old);
	double level[BENCH_REPETITIONS_MAX];
	for (unsigned i = 0; i < new->count; i++) {
		level[i] = new->value[i] / verdict.machine;
	}
	verdict.quotient = bench_hodges_lehmann(old->value, old->count, level, new->count);
	verdict.chance = bench_mann_whitney(old->value, old->count, level, new->count);
	if (bench_spread_of(old->value, old->count).count < BENCH_COMPARED_MIN ||
	    bench_spread_of(new->value, new->count).count < BENCH_COMPARED_MIN) {
		verdict.change = CHANGE_FEW;
	} else if (verdict.chance > BENCH_CHANCE) {
		verdict.change = CHANGE_NONE;
	} else if (verdict.quotient > 1 + verdict.noise) {
		verdict.change = CHANGE_WORSE;
	} else if (verdict.quotient < 1 / (1 + verdict.noise)) {
		verdict.change = CHANGE_BETTER;
	} else {
		verdict.change = CHANGE_NONE;
	}
	return verdict;
}

static void
say(FILE *out, const struct bench_series *series, const struct verdict *verdict)
{
	static const char *const word[] = {
		[CHANGE_NONE] = "",
		[CHANGE_WORSE] = "SLOWER",
		[CHANGE_BETTER] = "faster",
		[CHANGE_FEW] = "",
		[CHANGE_GONE] = "MISSING",
	};
	(void) fprintf(out, "%-8s %s/%s %s", word[verdict->change], series->question, series->place, series->metric);
	if (verdict->change != CHANGE_GONE && !isnan(verdict->quotient)) {
		(void) fprintf(out, ": x %.3f (p = %.2g; the machine x %.3f, noise %.0f %%)", verdict->quotient,
		    verdict->chance, verdict->machine, verdict->noise * 100);
	}
	(void) fprintf(out, "\n");
}

/* A question that the new run left out on purpose misses nothing. */
static bool
has_question(const struct bench_results *results, const char *question)
{
	for (size_t i = 0; i < results->series_count; i++) {
		if (strcmp(results->series[i].question, question) == 0) {
			return true;
		}
	}
	return false;
}

enum bench_status
bench_compare(const struct bench_results *old, const struct bench_results *new, FILE *out, FILE *errors)
{
	struct bench_host before = bench_results_host(old), now = bench_results_host(new);
	if (strcmp(before.text, now.text) != 0) {
		(void) fprintf(errors, "different hosts cannot be compared:\n  old: %s\n  new: %s\n", before.text,
		    now.text);
		return BENCH_STATUS_HOST;
	}
	unsigned count[CHANGE_GONE + 1] = { 0 }, all = 0;
	for (size_t i = 0; i < old->series_count; i++) {
		const struct bench_series *series = &old->series[i];
		if (strcmp(series->library, OURS) != 0 || !is_compared(series->metric) ||
		    !has_question(new, series->question)) {
			continue;
		}
		struct verdict verdict = judge(old, new, series);
		count[verdict.change]++;
		all++;
		if (verdict.change == CHANGE_WORSE || verdict.change == CHANGE_BETTER ||
		    verdict.change == CHANGE_GONE) {
			say(out, series, &verdict);
		}
	}
	for (size_t i = 0; i < new->failure_count; i++) {
		(void) fprintf(out, "FAILED   %s: %s\n", new->failure[i].name, new->failure[i].message);
	}
	(void) fprintf(out,
	    "%u metrics of pinwheel: %u slower, %u faster, %u missing, %u unchanged, %u not compared (fewer than %u "
	    "repetitions); Mann-Whitney U, p <= %g\n",
	    all, count[CHANGE_WORSE], count[CHANGE_BETTER], count[CHANGE_GONE], count[CHANGE_NONE], count[CHANGE_FEW],
	    BENCH_COMPARED_MIN, BENCH_CHANCE);
	if (all == 0) {
		(void) fprintf(errors, "the two runs have no question in common\n");
		return BENCH_STATUS_UNREADABLE;
	}
	bool bad = count[CHANGE_WORSE] != 0 || count[CHANGE_GONE] != 0 || new->failure_count != 0;
	return bad ? BENCH_STATUS_BAD : BENCH_STATUS_GOOD;
}

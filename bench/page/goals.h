/* SPDX-License-Identifier: MIT
 *
 * goals.h: what is asked of pinwheel beside its peers, as one table, and whether a run reaches it.
 *
 * A goal compares a metric of pinwheel's, in one case of one question, with a sum of measured metrics times their
 * factors (mostly one: a peer or a floor), repetition by repetition, so that what the machine did meanwhile is on
 * both sides. Its verdict is by the median of these ratios, and by the worst repetition where the table says "every".
 *
 * A goal that is missed may have a limit: what the floors of the same run show that any such operation needs. If that
 * is more than the goal allows, the verdict is "limit", and not "missed".
 */
#ifndef PINWHEEL_BENCH_GOALS_H
#define PINWHEEL_BENCH_GOALS_H

#include "bench/page/render_stats.h"

#define BENCH_TERMS_MAX 4

/* factor x a metric. NULL: as the goal itself. */
struct bench_term {
	double factor;
	const char *library; /* of the first unused term: NULL */
	const char *place;
	const char *metric;
	const char *question;
};

struct bench_goal {
	const char *question;
	const char *place;
	const char *metric;
	const char *what; /* is measured, in a few words */
	const char *text; /* the goal */
	double factor;    /* the metric is at most so many times the reference; without one: at most so much */
	struct bench_term reference[BENCH_TERMS_MAX];
	double plus; /* is added to the reference */
	bool every;  /* repetition must reach it */
	struct bench_term limit[BENCH_TERMS_MAX];
	const char *limit_text; /* what the limit is made of */
};

enum bench_verdict {
	BENCH_NOT_RUN, /* none of its question was run */
	BENCH_LACKING, /* the question was, but not what this goal needs */
	BENCH_REACHED,
	BENCH_MISSED,
	BENCH_LIMIT, /* missed, and the limit is above the goal */
};

struct bench_judged {
	enum bench_verdict verdict;
	struct bench_spread ours;
	struct bench_spread reference; /* count 0: there is none */
	struct bench_spread ratio;     /* ours / reference; without one: ours */
	struct bench_spread limit;     /* count 0: there is none, or it was not measured */
};

/* A question: one chapter of a report. */
struct bench_question {
	const char *name;
	const char *title;
	const char *unit; /* of the metric "ns" */
};

extern const struct bench_goal bench_goals[];
extern const size_t bench_goal_count;
extern const struct bench_question bench_questions[];
extern const size_t bench_question_count;

struct bench_judged bench_goal_judge(const struct bench_results *results, const struct bench_goal *goal);

/* "reached", "MISSED", ...; "": not run. */
const char *bench_verdict_text(enum bench_verdict verdict);

#endif

/* SPDX-License-Identifier: MIT
 *
 * goals.c: see goals.h.
 */
#include "bench/page/goals.h"

#include <math.h>
#include <string.h>

#define OURS "pinwheel"

const struct bench_question bench_questions[] = {
	{ "B0", "what the machine itself costs", "each" },
	{ "B1", "start, finish, callback on one loop", "per operation" },
	{ "B2", "the same, finished by another core", "per operation" },
	{ "B3", "from finish on another core to the callback, both spinning", "per message" },
	{ "B4", "the same with the default idle strategy: back to back, and after 1 ms idle", "per operation" },
	{ "B5", "a request with a deadline of 5 s, finished before it, 1 M outstanding", "per request" },
	{ "B6", "arm, cancel, callback, in random order, as outstanding aios grow", "per operation" },
	{ "B7", "1 M outstanding, 16,900 of them expiring per second: how long a call of cancel takes",
	    "per cancel" },
	{ "B8", "1 M due within 2 s", "CPU per timer" },
	{ "B9", "abort from another core", "per operation" },
	{ "B10", "memory of an outstanding sleep", "per operation" },
	{ "B11", "the longest turn of the loop, and a heartbeat beside a crowd", "CPU per beat" },
	{ "B12", "from one shard to more shards than CPUs", "per operation" },
};
const size_t bench_question_count = sizeof bench_questions / sizeof *bench_questions;

/* clang-format off */
#define AT_MOST(times, name) .factor = (times), .reference = { { .factor = 1, .library = (name) } }

/* What a protocol needs in which other threads may abort, stop or free at any moment: the floor's work, and so many
 * compare-and-swaps in the cache (tests/counts). */
#define CAS(count) { .factor = (count), .library = "floor:cas", .place = "machine", .metric = "ns", .question = "B0" }
#define CLOCK { .factor = 1, .library = "floor:clock", .place = "machine", .metric = "ns", .question = "B0" }
#define LIMIT_QUEUE .limit = { { .factor = 1, .library = "floor:raw-queue" }, CAS(3) }, \
	.limit_text = "the raw queue and 3 CAS"
#define LIMIT_REQUEST .limit = { { .factor = 1, .library = "floor:raw-queue+wheel" }, CAS(2), CLOCK }, \
	.limit_text = "the raw queue + wheel, 2 CAS and a clock reading"
#define LIMIT_SLEEP .limit = { { .factor = 1, .library = "floor:raw-queue+wheel" }, CAS(2) }, \
	.limit_text = "the wheel with a callback and 2 CAS"

const struct bench_goal bench_goals[] = {
	{ "B1", "depth:1024", "ns", "start, finish, callback", "2 x the raw queue",
	    AT_MOST(2, "floor:raw-queue"),
	    LIMIT_QUEUE },
	{ "B1", "depth:1024", "ns", "start, finish, callback", "0.6 x Asio", AT_MOST(0.6, "Asio"),
	    LIMIT_QUEUE },
	{ "B1", "depth:1024", "ns", "start, finish, callback", "1/20 of NNG", AT_MOST(1 / 20.0, "NNG"),
	    LIMIT_QUEUE },
	{ "B1", "depth:1024,deadline:5s", "ns", "the same with a relative deadline", "one clock reading more",
	    .factor = 1, .reference = { { .factor = 1, .library = OURS, .place = "depth:1024" },
		{ .factor = 1, .library = "floor:clock", .place = "machine", .question = "B0" } } },

	{ "B2", "depth:1024", "ns", "finished by another core", "1.3 x ring + word",
	    AT_MOST(1.3, "floor:ring+word") },
	{ "B2", "depth:1024", "ns", "finished by another core", "1/5 of NNG", AT_MOST(1 / 5.0, "NNG") },

	{ "B3", "spinning", "p50_ns", "finish to callback, p50", "1.3 x ring + word",
	    AT_MOST(1.3, "floor:ring+word") },
	{ "B3", "spinning", "p99_ns", "finish to callback, p99", "1.3 x ring + word",
	    AT_MOST(1.3, "floor:ring+word") },

	{ "B4", "back-to-back", "ns", "round trip, back to back", "0.3 x libuv", AT_MOST(0.3, "libuv") },
	{ "B4", "idle:1ms", "p50_ns", "finish to callback after 1 ms idle, p50", "1.05 x raw eventfd",
	    AT_MOST(1.05, "floor:eventfd") },
	{ "B4", "asleep:1s", "cpu_ns", "CPU in 1 s of idling", "none (100 us)", .factor = 100e3 },

	{ "B5", "outstanding:1M,order:in", "ns", "request with a deadline, in order",
	    "1.6 x (raw queue + wheel), and a clock reading", .factor = 1,
	    .reference = { { .factor = 1.6, .library = "floor:raw-queue+wheel" },
		{ .factor = 1, .library = "floor:clock", .place = "machine", .question = "B0" } },
	    LIMIT_REQUEST },
	{ "B5", "outstanding:1M,order:random", "ns", "the same in random order",
	    "1.0 x (raw queue + wheel), and a clock reading", .factor = 1,
	    .reference = { { .factor = 1, .library = "floor:raw-queue+wheel" },
		{ .factor = 1, .library = "floor:clock", .place = "machine", .question = "B0" } },
	    LIMIT_REQUEST },

	{ "B6", "outstanding:1k", "ns", "arm, cancel, callback beside 1 k", "1.5 x the bare wheel",
	    AT_MOST(1.5, "floor:wheel"),
	    LIMIT_SLEEP },
	{ "B6", "outstanding:1M", "ns", "the same beside 1 M", "0.75 x the bare wheel",
	    AT_MOST(0.75, "floor:wheel"),
	    LIMIT_SLEEP },
	{ "B6", "outstanding:1M", "ns", "the same beside 1 M", "1/50 of NNG", AT_MOST(1 / 50.0, "NNG"),
	    LIMIT_SLEEP },
	{ "B6", "outstanding:10M", "ns", "the same beside 10 M", "1.0 x the bare wheel",
	    AT_MOST(1, "floor:wheel"),
	    LIMIT_SLEEP },

	{ "B7", "outstanding:1M", "p99_ns", "a call of cancel, p99", "1.0 x the bare wheel",
	    AT_MOST(1, "floor:wheel") },
	{ "B7", "outstanding:1M", "cores", "cores used", "1.0 x the bare wheel",
	    AT_MOST(1, "floor:wheel") },

	{ "B8", "due:1M", "early", "early callbacks", "none", .factor = 0, .every = true },
	{ "B8", "due:1M", "cpu_ns", "CPU per timer", "0.35 x libev", AT_MOST(0.35, "libev") },
	{ "B8", "due:1M", "p50_ns", "lateness, p50", "60 us", .factor = 60e3 },
	{ "B8", "due:1M", "p99_ns", "lateness, p99", "0.6 x Asio", AT_MOST(0.6, "Asio") },
	{ "B8", "due:1M", "max_ns", "lateness, the worst", "1.5 ms", .factor = 1.5e6 },

	{ "B9", "latency,spinning", "p50_ns", "abort from another core to callback, p50", "1.3 x ring + word",
	    AT_MOST(1.3, "floor:ring+word") },
	{ "B9", "latency,spinning", "p99_ns", "abort from another core to callback, p99", "1.3 x ring + word",
	    AT_MOST(1.3, "floor:ring+word") },
	/* Its ring + word arms a bare wheel: 1.3 x that, less 0.3 x an arm. */
	{ "B9", "depth:1024,deadline:5s", "ns", "the same, 1024 at a time, with a deadline",
	    "1.3 x ring + word, and the bare wheel's arm", .factor = 1,
	    .reference = { { .factor = 1.3, .library = "floor:ring+word" },
		{ .factor = -0.3, .library = "floor:wheel", .place = "outstanding:1k", .question = "B6" } } },

	{ "B10", "sleeps:1M", "bytes", "resident bytes per sleep", "264", .factor = 264 },

	{ "B11", "turn:1M", "own_max_ns", "longest turn beside 1 M", "100 us more than a bare loop's",
	    .factor = 1, .reference = { { .factor = 1, .library = "floor:spin" } }, .plus = 100e3 },
	{ "B11", "turn:10M", "own_max_ns", "the same beside 10 M", "100 us more than a bare loop's",
	    .factor = 1, .reference = { { .factor = 1, .library = "floor:spin" } }, .plus = 100e3 },
	{ "B11", "heartbeat:10ms", "cpu_ns", "10 ms heartbeat beside 1 M, CPU per beat", "1.05 x the bare wheel",
	    AT_MOST(1.05, "floor:wheel") },

	{ "B12", "B1,shards:cpus", "ns_per_cpu", "a shard on every CPU, cost per CPU", "1.1 x one shard",
	    .factor = 1.1, .reference = { { .factor = 1, .library = OURS, .place = "B1,shards:1" } } },
	{ "B12", "B1,shards:twice", "ns_per_cpu", "two shards on every CPU, cost per CPU, B1",
	    "1.5 x one on every CPU",
	    .factor = 1.5, .reference = { { .factor = 1, .library = OURS, .place = "B1,shards:cpus" } } },
	{ "B12", "B2,shards:twice", "ns_per_cpu", "the same, B2", "1.5 x one on every CPU",
	    .factor = 1.5, .reference = { { .factor = 1, .library = OURS, .place = "B2,shards:cpus" } } },
	{ "B12", "B9,shards:twice", "ns_per_cpu", "the same, B9", "1.5 x one on every CPU",
	    .factor = 1.5, .reference = { { .factor = 1, .library = OURS, .place = "B9,shards:cpus" } } },
	{ "B12", "stalled-producer", "stalled", "calls that waited for a suspended thread", "none",
	    .factor = 0, .every = true },
};
/* clang-format on */
const size_t bench_goal_count = sizeof bench_goals / sizeof *bench_goals;

/* A sum of terms, repetition by repetition. count 0: a term is missing, or there is none. */
static struct bench_series
sum_of(const struct bench_results *results, const struct bench_goal *goal, const struct bench_term *term, double plus)
{
	struct bench_series sum = { .count = BENCH_REPETITIONS_MAX };
	for (unsigned i = 0; i < BENCH_REPETITIONS_MAX; i++) {
		sum.value[i] = plus;
	}
	for (unsigned t = 0; t < BENCH_TERMS_MAX && term[t].library != NULL; t++) {
		const struct bench_series *one =
		    bench_results_find(results, term[t].question != NULL ? term[t].question : goal->question,
			term[t].place != NULL ? term[t].place : goal->place, term[t].library,
			term[t].metric != NULL ? term[t].metric : goal->metric);
		if (one == NULL) {
			sum.count = 0;
			return sum;
		}
		for (unsigned i = 0; i < one->count; i++) {
			sum.value[i] += term[t].factor * one->value[i];
		}
		sum.count = one->count < sum.count ? one->count : sum.count;
	}
	if (term->library == NULL) {
		sum.count = 0;
	}
	return sum;
}

static bool
was_run(const struct bench_results *results, const char *question)
{
	for (size_t i = 0; i < results->series_count; i++) {
		if (strcmp(results->series[i].question, question) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < results->failure_count; i++) {
		size_t length = strlen(question);
		if (strncmp(results->failure[i].name, question, length) == 0 &&
		    results->failure[i].name[length] == '/') {
			return true;
		}
	}
	return false;
}

/* The limit is measured against what the goal allows: factor x reference. */
static bool
limit_is_above(const struct bench_goal *goal, const struct bench_judged *judged)
{
	double allowed = goal->factor * (judged->reference.count != 0 ? judged->reference.median : 1);
	return judged->limit.count != 0 && judged->limit.median > allowed;
}

struct bench_judged
bench_goal_judge(const struct bench_results *results, const struct bench_goal *goal)
{
	struct bench_judged judged = { .verdict = BENCH_NOT_RUN };
	if (!was_run(results, goal->question)) {
		return judged;
	}
	judged.verdict = BENCH_LACKING;
	const struct bench_series *ours =
	    bench_results_find(results, goal->question, goal->place, OURS, goal->metric);
	if (ours == NULL) {
		return judged;
	}
	judged.ours = bench_spread_of(ours->value, ours->count);
	judged.ratio = judged.ours;
	if (goal->reference->library != NULL) {
		struct bench_series reference = sum_of(results, goal, goal->reference, goal->plus);
		judged.reference = bench_spread_of(reference.value, reference.count);
		judged.ratio = bench_spread_of_ratios(ours, &reference);
	}
	struct bench_series limit = sum_of(results, goal, goal->limit, 0);
	judged.limit = bench_spread_of(limit.value, limit.count);
	if (judged.ratio.count == 0) {
		return judged;
	}
	bool reached = (goal->every ? judged.ratio.largest : judged.ratio.median) <= goal->factor;
	judged.verdict = reached ? BENCH_REACHED : limit_is_above(goal, &judged) ? BENCH_LIMIT : BENCH_MISSED;
	return judged;
}

const char *
bench_verdict_text(enum bench_verdict verdict)
{
	static const char *const text[] = {
		[BENCH_NOT_RUN] = "",
		[BENCH_LACKING] = "not measured",
		[BENCH_REACHED] = "reached",
		[BENCH_MISSED] = "MISSED",
		[BENCH_LIMIT] = "limit shown",
	};
	return text[verdict];
}

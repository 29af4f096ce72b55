/* SPDX-License-Identifier: MIT
 *
 * workload_sleep.c: a crowd of sleeps: what it weighs, what it costs to cancel one of them, what it does to one
 * sleep beside it, and what happens when all of them end within a second.
 *
 * A handle's callbacks never overlap and each is seen by the next, so a handle counts in its own cache line,
 * whichever threads its callbacks come from. What a callback does depends on what the crowd is doing, `on_end`; it
 * is changed only while no callback is due.
 */
#include "bench/suite/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/suite/countdown.h"

#define LONG_SLEEP_MS 600000 /* and as much again, at random */

struct crowd_item {
	_Alignas(64) void *aio;
	struct bench_crowd *crowd;
	uint32_t number;
	uint64_t deadline_ns;
	uint64_t lateness_ns;
	uint64_t wrong; /* callbacks that were not due, too early, or had a result that they should not have */
	pw_a64 called;  /* one writer, the callback */
};

struct bench_crowd {
	const struct bench_ops *ops;
	uint32_t count;
	struct crowd_item *item;
	uint32_t *order; /* all items, shuffled */
	void **victim;   /* their handles in that order: what cancels needs no look at a cold item */
	uint64_t resident_before;
	double bytes_per_sleep;

	void (*on_end)(struct bench_crowd *crowd, struct crowd_item *item);
	uint64_t ended_ns;
	sem_t over;
	struct bench_countdown open; /* burst */

	/* churn; one thread at a time, handed over by canceled */
	_Alignas(64) uint64_t left; /* not canceled yet */
	uint32_t next;              /* in `victim` */
	unsigned window;
	_Alignas(64) pw_a64 canceled; /* not called back yet, and one for the thread that cancels */
};

/* xorshift: deadlines need no quality, only no order. One state per thread. */
static uint32_t
random_below(uint32_t limit)
{
	static _Thread_local uint64_t state;
	if (state == 0) {
		state = (uint64_t) (uintptr_t) &state * UINT64_C(0x9e3779b97f4a7c15) | 1;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t) ((state >> 32) * limit >> 32);
}

static uint64_t
resident_bytes(void)
{
	unsigned long total = 0, resident = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	if (statm != NULL) {
		if (fscanf(statm, "%lu %lu", &total, &resident) != 2) {
			resident = 0;
		}
		(void) fclose(statm);
	}
	return (uint64_t) resident * (uint64_t) sysconf(_SC_PAGESIZE);
}

/* ---- the crowd */

static void
on_callback(void *arg)
{
	struct crowd_item *item = arg;
	item->crowd->on_end(item->crowd, item);
}

/* Nothing is due: a callback that comes nevertheless is wrong. */
static void
on_unexpected(struct bench_crowd *crowd, struct crowd_item *item)
{
	(void) crowd;
	item->wrong++;
}

static void
called(struct crowd_item *item, enum bench_result expected)
{
	item->wrong += item->crowd->ops->result(item->aio) != expected;
	pw_store_release_64(&item->called, pw_load_relaxed_64(&item->called) + 1); /* relaxed: our own */
}

static void
sleep_long(struct bench_crowd *crowd, struct crowd_item *item)
{
	crowd->ops->sleep(item->aio, LONG_SLEEP_MS + (int32_t) random_below(LONG_SLEEP_MS));
}

static void
shuffle(struct bench_crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->count; i++) {
		uint32_t other = random_below(i + 1);
		crowd->order[i] = crowd->order[other];
		crowd->order[other] = i;
	}
}

struct bench_crowd *
bench_crowd_open(const struct bench_ops *ops, enum bench_place place, uint32_t count)
{
	struct bench_crowd *crowd = aligned_alloc(64, sizeof *crowd);
	if (crowd == NULL) {
		return NULL;
	}
	*crowd = (struct bench_crowd){ .ops = ops, .count = count, .on_end = on_unexpected };
	(void) sem_init(&crowd->over, 0, 0);
	crowd->item = aligned_alloc(64, count * sizeof *crowd->item);
	crowd->order = malloc(count * sizeof *crowd->order);
	crowd->victim = malloc(count * sizeof *crowd->victim);
	if (crowd->item == NULL || crowd->order == NULL || crowd->victim == NULL) {
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		crowd->item[i] = (struct crowd_item){ .crowd = crowd, .number = i };
	}
	shuffle(crowd);
	for (uint32_t i = 0; i < count; i++) {
		crowd->victim[i] = &crowd->item[i]; /* resident, too */
	}
	crowd->resident_before = resident_bytes(); /* what is ours is resident by now */
	for (uint32_t i = 0; i < count; i++) {
		crowd->item[i].aio = ops->alloc(place, on_callback, &crowd->item[i]);
		if (crowd->item[i].aio == NULL) {
			return NULL;
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		crowd->victim[i] = crowd->item[crowd->order[i]].aio;
	}
	return crowd;
}

void
bench_crowd_sleep(struct bench_crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->count; i++) {
		sleep_long(crowd, &crowd->item[crowd->order[i]]);
	}
	crowd->bytes_per_sleep = (double) (resident_bytes() - crowd->resident_before) / crowd->count;
}

double
bench_crowd_bytes_per_sleep(const struct bench_crowd *crowd)
{
	return crowd->bytes_per_sleep;
}

/* Nothing runs: what the callbacks have counted; sets it back. error: known already. */
static const char *
check(struct bench_crowd *crowd, uint64_t expected, const char *error)
{
	uint64_t called_sum = 0, wrong_sum = 0;
	for (uint32_t i = 0; i < crowd->count; i++) {
		called_sum += pw_load_acquire_64(&crowd->item[i].called);
		wrong_sum += crowd->item[i].wrong;
		pw_store_relaxed_64(&crowd->item[i].called, 0); /* relaxed: nothing runs */
		crowd->item[i].wrong = 0;
	}
	if (error != NULL) {
		return error;
	}
	if (called_sum != expected) {
		return "too few or too many callbacks";
	}
	return wrong_sum != 0 ? "a callback was early, not due, or had the wrong result" : NULL;
}

struct bench_outcome
bench_crowd_idle(struct bench_crowd *crowd, unsigned seconds)
{
	struct bench_outcome outcome = { .operations = crowd->count };
	uint64_t began_ns = bench_now_ns();
	uint64_t cpu_before_ns = bench_cpu_ns();
	(void) bench_wait_until(&crowd->over, began_ns + seconds * BENCH_NS_PER_S); /* nobody posts it */
	outcome.cpu_ns = bench_cpu_ns() - cpu_before_ns;
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	outcome.error = check(crowd, 0, NULL);
	return outcome;
}

/* ---- churn */

/* True: it was the last. The window is canceled from a callback too, so one thread is all there is. */
static bool
count_down(struct bench_crowd *crowd)
{
	if (!crowd->ops->one_thread) {
		return bench_count_down(&crowd->canceled);
	}
	uint64_t left = pw_load_relaxed_64(&crowd->canceled) - 1; /* relaxed: our own */
	pw_store_relaxed_64(&crowd->canceled, left);
	return left == 0;
}

static void
cancel_window(void *arg)
{
	struct bench_crowd *crowd = arg;
	for (;;) {
		uint32_t from = crowd->next;
		unsigned window = crowd->left < crowd->window ? (unsigned) crowd->left : crowd->window;
		if (window == 0) {
			crowd->ended_ns = bench_now_ns();
			(void) sem_post(&crowd->over);
			return;
		}
		crowd->left -= window;
		crowd->next = (from + window) % crowd->count;
		pw_store_release_64(&crowd->canceled, window + 1);
		for (unsigned i = 0; i < window; i++) {
			crowd->ops->cancel(crowd->victim[(from + i) % crowd->count]);
		}
		if (!count_down(crowd)) {
			return; /* the last callback goes on */
		}
	}
}

static void
on_churned(struct bench_crowd *crowd, struct crowd_item *item)
{
	called(item, BENCH_CANCELED);
	sleep_long(crowd, item);
	if (count_down(crowd)) {
		cancel_window(crowd);
	}
}

struct bench_outcome
bench_crowd_churn(struct bench_crowd *crowd, uint64_t operations, unsigned window)
{
	struct bench_outcome outcome = { .operations = operations };
	uint64_t cpu_before_ns = bench_cpu_ns();
	uint64_t began_ns = bench_now_ns();

	crowd->left = operations;
	crowd->window = window;
	crowd->on_end = on_churned;
	if (!crowd->ops->run(cancel_window, crowd) || !bench_wait_until(&crowd->over, began_ns + BENCH_WAIT_MAX_NS)) {
		outcome.error = "the callbacks do not come";
	}
	outcome.elapsed_ns = crowd->ended_ns - began_ns;
	outcome.cpu_ns = bench_cpu_ns() - cpu_before_ns;
	crowd->on_end = on_unexpected;
	outcome.error = check(crowd, operations, outcome.error);
	return outcome;
}

/* ---- beside */

struct sleeper {
	const struct bench_ops *ops;
	void *aio;
	int32_t duration_ms;
	unsigned count;
	unsigned ended;
	unsigned wrong;
	uint64_t deadline_ns;
	uint64_t *lateness_ns;
	sem_t over;
};

static uint64_t
lateness_of(uint64_t now_ns, uint64_t deadline_ns)
{
	return now_ns > deadline_ns ? now_ns - deadline_ns : 0;
}

/* Before a sleep of `duration_ms` begins: the moment before which it must not end. */
static uint64_t
deadline_of(uint64_t now_ns, int32_t duration_ms)
{
	return now_ns + (uint64_t) duration_ms * BENCH_NS_PER_MS;
}

static void
sleeper_go(struct sleeper *sleeper)
{
	sleeper->deadline_ns = deadline_of(bench_now_ns(), sleeper->duration_ms);
	sleeper->ops->sleep(sleeper->aio, sleeper->duration_ms);
}

static void
on_sleeper(void *arg)
{
	struct sleeper *sleeper = arg;
	uint64_t now_ns = bench_now_ns();
	sleeper->wrong += now_ns + sleeper->ops->clock_step_ns < sleeper->deadline_ns ||
	    sleeper->ops->result(sleeper->aio) != BENCH_DONE;
	sleeper->lateness_ns[sleeper->ended++] = lateness_of(now_ns, sleeper->deadline_ns);
	if (sleeper->ended < sleeper->count) {
		sleeper_go(sleeper);
	} else {
		(void) sem_post(&sleeper->over);
	}
}

struct bench_outcome
bench_crowd_beside(struct bench_crowd *crowd, int32_t duration_ms, unsigned count, uint64_t *lateness_ns)
{
	struct bench_outcome outcome = { .operations = count };
	struct sleeper sleeper = {
		.ops = crowd->ops,
		.duration_ms = duration_ms,
		.count = count,
		.lateness_ns = lateness_ns,
	};
	(void) sem_init(&sleeper.over, 0, 0);
	sleeper.aio = crowd->ops->alloc(BENCH_ONE_LOOP, on_sleeper, &sleeper);
	if (sleeper.aio == NULL) {
		outcome.error = "out of memory";
		return outcome;
	}
	uint64_t cpu_before_ns = bench_cpu_ns();
	uint64_t began_ns = bench_now_ns();
	sleeper_go(&sleeper);
	bool came = bench_wait_until(&sleeper.over, began_ns + BENCH_WAIT_MAX_NS);
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	outcome.cpu_ns = bench_cpu_ns() - cpu_before_ns;
	crowd->ops->free(sleeper.aio);
	(void) sem_destroy(&sleeper.over);
	outcome.error = !came    ? "the callbacks do not come"
	    : sleeper.wrong != 0 ? "a callback was early or had the wrong result"
				 : NULL;
	outcome.error = check(crowd, 0, outcome.error);
	return outcome;
}

/* ---- burst */

static void
on_burst(struct bench_crowd *crowd, struct crowd_item *item)
{
	uint64_t now_ns = bench_now_ns();
	item->lateness_ns = lateness_of(now_ns, item->deadline_ns);
	item->wrong += now_ns + crowd->ops->clock_step_ns < item->deadline_ns;
	called(item, BENCH_DONE);
	if (bench_countdown_item(&crowd->open, item->number)) {
		crowd->ended_ns = now_ns;
		(void) sem_post(&crowd->over);
	}
}

/* The last of the deadlines; 0: the first has come before all are asleep. */
static uint64_t
arm_burst(struct bench_crowd *crowd, int32_t lead_ms)
{
	uint64_t first_ns = deadline_of(bench_now_ns(), lead_ms);
	uint64_t last_ns = 0;
	for (uint32_t i = 0; i < crowd->count; i++) {
		struct crowd_item *item = &crowd->item[crowd->order[i]];
		uint64_t now_ns = bench_now_ns();
		if (now_ns >= first_ns) {
			return 0;
		}
		int32_t duration_ms =
		    (int32_t) ((first_ns + random_below((uint32_t) BENCH_NS_PER_S) - now_ns) / BENCH_NS_PER_MS);
		item->deadline_ns = deadline_of(now_ns, duration_ms);
		last_ns = item->deadline_ns > last_ns ? item->deadline_ns : last_ns;
		crowd->ops->sleep(item->aio, duration_ms);
	}
	return last_ns;
}

static int
compare(const void *left, const void *right)
{
	uint64_t l = *(const uint64_t *) left, r = *(const uint64_t *) right;
	return (l > r) - (l < r);
}

/* What has fired by now; callbacks may still come. */
static const char *
summarise(const struct bench_crowd *crowd, struct bench_burst *burst)
{
	uint64_t *sorted = malloc(crowd->count * sizeof *sorted);
	uint64_t wrong = 0, called_twice = 0;
	if (sorted == NULL) {
		return "out of memory";
	}
	for (uint32_t i = 0; i < crowd->count; i++) {
		const struct crowd_item *item = &crowd->item[i];
		uint64_t times = pw_load_acquire_64(&item->called);
		if (times != 0) {
			sorted[burst->fired++] = item->lateness_ns;
			called_twice += times > 1;
			wrong += item->wrong;
		}
	}
	if (burst->fired != 0) {
		qsort(sorted, burst->fired, sizeof *sorted, compare);
		burst->lateness_p50_ns = sorted[burst->fired / 2];
		burst->lateness_p99_ns = sorted[burst->fired * 99 / 100];
		burst->lateness_max_ns = sorted[burst->fired - 1];
	}
	free(sorted);
	return called_twice != 0 ? "too many callbacks"
	    : wrong != 0         ? "a callback was early or had the wrong result"
				 : NULL;
}

struct bench_outcome
bench_crowd_burst(struct bench_crowd *crowd, int32_t lead_ms, int32_t limit_ms, struct bench_burst *burst)
{
	struct bench_outcome outcome = { .operations = crowd->count };
	*burst = (struct bench_burst){ .last_ns = (uint64_t) limit_ms * BENCH_NS_PER_MS };
	crowd->on_end = on_burst;
	bench_countdown_set(&crowd->open, crowd->count);
	(void) bench_countdown_caller(&crowd->open); /* there are more callbacks to come than ours */

	uint64_t cpu_before_ns = bench_cpu_ns();
	uint64_t began_ns = bench_now_ns();
	uint64_t last_ns = arm_burst(crowd, lead_ms);
	if (last_ns == 0) {
		burst->too_slow = true;
		return outcome;
	}
	bool all = bench_wait_until(&crowd->over, last_ns + burst->last_ns);
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	outcome.cpu_ns = bench_cpu_ns() - cpu_before_ns;
	outcome.error = summarise(crowd, burst);
	if (all) {
		burst->last_ns = lateness_of(crowd->ended_ns, last_ns);
		crowd->on_end = on_unexpected;
		outcome.error = check(crowd, crowd->count, outcome.error);
	}
	return outcome;
}

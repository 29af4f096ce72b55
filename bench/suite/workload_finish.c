/* SPDX-License-Identifier: MIT
 *
 * workload_finish.c: start -> finish -> callback on one loop, the price of an operation that does nothing; and what
 * all workloads share.
 *
 * A handle's callbacks never overlap and each is seen by the next, so a handle counts in plain memory of its own
 * cache line, whichever threads its callbacks come from. What all handles count together is plain where one thread
 * has all callbacks, else a countdown.
 */
#include "bench/suite/workload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/suite/countdown.h"

uint64_t
bench_now_ns(void)
{
	struct timespec now;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * BENCH_NS_PER_S + (uint64_t) now.tv_nsec;
}

uint64_t
bench_cpu_ns(void)
{
	struct rusage use;
	(void) getrusage(RUSAGE_SELF, &use);
	return (uint64_t) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * BENCH_NS_PER_S +
	    (uint64_t) (use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000;
}

bool
bench_wait_until(sem_t *over, uint64_t deadline_ns)
{
	struct timespec deadline = {
		.tv_sec = (time_t) (deadline_ns / BENCH_NS_PER_S),
		.tv_nsec = (long) (deadline_ns % BENCH_NS_PER_S),
	};
	while (sem_clockwait(over, CLOCK_MONOTONIC, &deadline) != 0) {
		if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

void
bench_measure_begin(const struct bench_ops *ops, struct bench_outcome *outcome)
{
	if (ops->counts != NULL) {
		ops->counts(&outcome->counts);
	}
	outcome->cpu_ns = bench_cpu_ns();
}

void
bench_measure_end(const struct bench_ops *ops, struct bench_outcome *outcome)
{
	outcome->cpu_ns = bench_cpu_ns() - outcome->cpu_ns;
	if (ops->counts != NULL) {
		struct bench_counts now;
		ops->counts(&now);
		outcome->counts = (struct bench_counts){
			.loads = now.loads - outcome->counts.loads,
			.stores = now.stores - outcome->counts.stores,
			.locked = now.locked - outcome->counts.locked,
			.fences = now.fences - outcome->counts.fences,
		};
	}
}

struct call {
	void (*function)(void *);
	void *arg;
	sem_t over;
};

static void
on_call(void *arg)
{
	struct call *call = arg;
	call->function(call->arg);
	(void) sem_post(&call->over);
}

bool
bench_call(const struct bench_ops *ops, int loop, void (*function)(void *), void *arg)
{
	struct call call = { .function = function, .arg = arg };
	(void) sem_init(&call.over, 0, 0);
	bool came =
	    ops->run(loop, on_call, &call) && bench_wait_until(&call.over, bench_now_ns() + BENCH_WAIT_MAX_NS);
	(void) sem_destroy(&call.over);
	return came;
}

/* ---- finish */

struct finish_run;

struct finish_item {
	_Alignas(64) void *handle;
	struct finish_run *run;
	uint32_t number;
	uint64_t called;
	uint64_t wrong; /* callbacks with a result that they should not have */
};

struct finish_run {
	const struct bench_ops *ops;
	struct finish_item *item;
	unsigned depth;
	bool alloc_failed;
	int32_t timeout_ms;
	void (*callback)(void *);
	uint64_t rounds;
	uint64_t round; /* by last */
	uint64_t began_ns, ended_ns;
	uint64_t open_plain;
	struct bench_countdown open;
	sem_t over;
};

static void
set_open(struct finish_run *run)
{
	if (run->ops->one_thread) {
		run->open_plain = run->depth + 1;
	} else {
		bench_countdown_set(&run->open, run->depth);
	}
}

/* True: it was the last. */
static bool
count_item(struct finish_run *run, uint32_t number)
{
	return run->ops->one_thread ? --run->open_plain == 0 : bench_countdown_item(&run->open, number);
}

static bool
count_caller(struct finish_run *run)
{
	return run->ops->one_thread ? --run->open_plain == 0 : bench_countdown_caller(&run->open);
}

static void
go(const struct finish_run *run, struct finish_item *item)
{
	if (run->ops->start(item->handle)) {
		run->ops->finish(item->handle);
	}
}

static void
over(struct finish_run *run)
{
	run->ended_ns = bench_now_ns();
	(void) sem_post(&run->over);
}

static void
on_done_by_each(void *arg)
{
	struct finish_item *item = arg;
	struct finish_run *run = item->run;
	item->wrong += run->ops->result(item->handle) != BENCH_DONE;
	if (++item->called < run->rounds) {
		go(run, item);
	} else if (count_item(run, item->number)) {
		over(run);
	}
}

/* True: the callbacks of all have come meanwhile. */
static bool
start_all(struct finish_run *run)
{
	set_open(run);
	for (unsigned i = 0; i < run->depth; i++) {
		go(run, &run->item[i]);
	}
	return count_caller(run);
}

static void
start_first(void *arg)
{
	struct finish_run *run = arg;
	run->began_ns = bench_now_ns();
	if (start_all(run)) {
		over(run);
	}
}

/* The thread that had the last callback of a round. */
static void
next_rounds(struct finish_run *run)
{
	do {
		if (++run->round == run->rounds) {
			over(run);
			return;
		}
	} while (start_all(run));
}

static void
start_rounds(void *arg)
{
	struct finish_run *run = arg;
	run->began_ns = bench_now_ns();
	if (start_all(run)) {
		next_rounds(run);
	}
}

static void
on_done_by_last(void *arg)
{
	struct finish_item *item = arg;
	struct finish_run *run = item->run;
	item->wrong += run->ops->result(item->handle) != BENCH_DONE;
	item->called++;
	if (count_item(run, item->number)) {
		next_rounds(run);
	}
}

static void (*const on_done[])(void *arg) = {
	[BENCH_BY_EACH] = on_done_by_each,
	[BENCH_BY_LAST] = on_done_by_last,
};

static void (*const begin[])(void *arg) = {
	[BENCH_BY_EACH] = start_first,
	[BENCH_BY_LAST] = start_rounds,
};

static void
alloc_items(void *arg)
{
	struct finish_run *run = arg;
	unsigned wanted = run->depth;
	for (run->depth = 0; run->depth < wanted; run->depth++) {
		struct finish_item *item = &run->item[run->depth];
		*item = (struct finish_item){ .run = run, .number = run->depth };
		item->handle = run->ops->alloc(0, run->callback, item);
		if (item->handle == NULL) {
			run->alloc_failed = true;
			return;
		}
		if (run->timeout_ms >= 0) {
			run->ops->set_timeout(item->handle, run->timeout_ms);
		}
	}
}

static void
free_items(void *arg)
{
	struct finish_run *run = arg;
	for (unsigned i = 0; i < run->depth; i++) {
		run->ops->free(run->item[i].handle);
	}
}

static const char *
check(const struct finish_run *run)
{
	for (unsigned i = 0; i < run->depth; i++) {
		if (run->item[i].called != run->rounds) {
			return "a handle had too few or too many callbacks";
		}
		if (run->item[i].wrong != 0) {
			return "a callback had the wrong result";
		}
	}
	return NULL;
}

struct bench_outcome
bench_finish(const struct bench_ops *ops, enum bench_driver driver, unsigned depth, uint64_t rounds,
    int32_t timeout_ms)
{
	struct bench_outcome outcome = { .operations = depth * rounds };
	struct finish_run run = {
		.ops = ops,
		.depth = depth,
		.rounds = rounds,
		.timeout_ms = timeout_ms,
		.callback = on_done[driver],
		.item = aligned_alloc(64, depth * sizeof(struct finish_item)),
	};
	(void) sem_init(&run.over, 0, 0);
	if (run.item == NULL || !bench_call(ops, 0, alloc_items, &run) || run.alloc_failed) {
		outcome.error = "out of memory";
	} else {
		bench_measure_begin(ops, &outcome);
		bool came = ops->run(0, begin[driver], &run) &&
		    bench_wait_until(&run.over, bench_now_ns() + BENCH_WAIT_MAX_NS);
		outcome.elapsed_ns = run.ended_ns - run.began_ns;
		bench_measure_end(ops, &outcome);
		outcome.error = came ? check(&run) : "the callbacks do not come";
	}
	if (run.item != NULL && !bench_call(ops, 0, free_items, &run)) {
		outcome.error = "the handles cannot be freed";
	}
	free(run.item);
	(void) sem_destroy(&run.over);
	return outcome;
}

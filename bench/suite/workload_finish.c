/* SPDX-License-Identifier: MIT
 *
 * workload_finish.c: start -> finish -> callback, the price of an operation that does nothing.
 *
 * A handle's callbacks never overlap and each is seen by the next, so a handle counts in plain memory of its own
 * cache line, whichever threads its callbacks come from.
 */
#include "bench/suite/workload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/suite/countdown.h"

struct finish_run;

struct finish_item {
	_Alignas(64) void *aio;
	struct finish_run *run;
	uint32_t number;
	uint64_t called;
	uint64_t wrong; /* callbacks with a result that they should not have */
};

struct finish_run {
	const struct bench_ops *ops;
	struct finish_item *item;
	unsigned depth;
	uint64_t rounds;
	uint64_t round; /* by last */
	uint64_t ended_ns;
	struct bench_countdown open;
	sem_t over;
};

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

static void
go(const struct finish_run *run, struct finish_item *item)
{
	if (run->ops->start(item->aio)) {
		run->ops->finish(item->aio);
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
	item->wrong += run->ops->result(item->aio) != BENCH_DONE;
	if (++item->called < run->rounds) {
		go(run, item);
	} else if (bench_countdown_item(&run->open, item->number)) {
		over(run);
	}
}

/* True: all have been called back in this round. */
static bool
count(struct finish_item *item)
{
	struct finish_run *run = item->run;
	item->wrong += run->ops->result(item->aio) != BENCH_DONE;
	item->called++;
	return bench_countdown_item(&run->open, item->number);
}

/* True: the callbacks of all have come meanwhile. */
static bool
start_all(struct finish_run *run)
{
	bench_countdown_set(&run->open, run->depth);
	for (unsigned i = 0; i < run->depth; i++) {
		go(run, &run->item[i]);
	}
	return bench_countdown_caller(&run->open);
}

static void
start_first(void *arg)
{
	struct finish_run *run = arg;
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
	if (start_all(run)) {
		next_rounds(run);
	}
}

static void
on_done_by_last(void *arg)
{
	struct finish_item *item = arg;
	if (count(item)) {
		next_rounds(item->run);
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

static bool
alloc_items(struct finish_run *run, void (*callback)(void *))
{
	unsigned wanted = run->depth;
	run->item = aligned_alloc(64, wanted * sizeof *run->item);
	if (run->item == NULL) {
		wanted = 0;
	}
	for (run->depth = 0; run->depth < wanted; run->depth++) {
		struct finish_item *item = &run->item[run->depth];
		*item = (struct finish_item){ .run = run, .number = run->depth };
		item->aio = run->ops->alloc(BENCH_ONE_LOOP, callback, item);
		if (item->aio == NULL) {
			return false;
		}
	}
	return wanted != 0;
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
bench_finish(const struct bench_ops *ops, enum bench_driver driver, unsigned depth, uint64_t rounds)
{
	struct bench_outcome outcome = { .operations = depth * rounds };
	struct finish_run run = { .ops = ops, .depth = depth, .rounds = rounds };

	(void) sem_init(&run.over, 0, 0);
	if (!alloc_items(&run, on_done[driver])) {
		outcome.error = "out of memory";
	} else {
		uint64_t cpu_before_ns = bench_cpu_ns();
		uint64_t began_ns = bench_now_ns();
		bool came =
		    ops->run(begin[driver], &run) && bench_wait_until(&run.over, began_ns + BENCH_WAIT_MAX_NS);
		outcome.elapsed_ns = run.ended_ns - began_ns;
		outcome.cpu_ns = bench_cpu_ns() - cpu_before_ns;
		outcome.error = came ? check(&run) : "the callbacks do not come";
	}
	for (unsigned i = 0; i < run.depth; i++) {
		ops->free(run.item[i].aio);
	}
	free(run.item);
	(void) sem_destroy(&run.over);
	return outcome;
}

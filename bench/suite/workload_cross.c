/* SPDX-License-Identifier: MIT
 *
 * workload_cross.c: operations that a loop starts and another CPU ends: how many a second, and how long from the end
 * to the callback.
 *
 * The loop hands each started handle to the outside thread, which is the caller, pinned, through a ring (spsc.h)
 * that the outside thread polls; it ends it at once, or after a gap, and touches nothing else of ours. That way of
 * the handle is the same for every library; the way back is the library's own.
 */
#include "bench/suite/workload.h"

#include <pthread.h>
#include <stdlib.h>

#include "bench/suite/countdown.h"
#include "bench/suite/host.h"
#include "bench/suite/spsc.h"
#include "engine/base/cycles.h"

#define LOOKS_PER_CLOCK 4096u /* empty looks at the ring until the clock is read */

struct cross_run;

struct cross_item {
	_Alignas(64) void *handle;
	struct cross_run *run;
	uint64_t called;
	uint64_t started;
};

struct cross_run {
	const struct bench_ops *ops;
	struct cross_item *item;
	unsigned depth;
	int32_t timeout_ms;
	enum bench_end end;
	uint64_t operations;
	uint64_t *latency_cycles; /* NULL: nobody asks */
	bool alloc_failed;

	/* the loop's; under the lock where callbacks come on several threads */
	_Alignas(64) pthread_mutex_t lock;
	uint64_t to_start;
	uint64_t called;
	uint64_t wrong;
	uint64_t refused;
	uint64_t ended_ns;

	_Alignas(64) uint64_t began_cycles; /* the outside thread's, before it ends the operation; depth is 1 */
	_Alignas(64) pw_a32 over;
	struct bench_spsc handed;
};

static void
lock(struct cross_run *run)
{
	if (!run->ops->one_thread) {
		(void) pthread_mutex_lock(&run->lock);
	}
}

static void
unlock(struct cross_run *run)
{
	if (!run->ops->one_thread) {
		(void) pthread_mutex_unlock(&run->lock);
	}
}

static void
hand_over(struct cross_run *run, struct cross_item *item)
{
	run->to_start--;
	item->started++;
	if (run->ops->start(item->handle)) {
		bench_spsc_push(&run->handed, item->handle);
	} else {
		run->refused++;
	}
}

static void
on_ended(void *arg)
{
	struct cross_item *item = arg;
	struct cross_run *run = item->run;
	const enum bench_result expected = run->end == BENCH_END_FINISH ? BENCH_DONE : BENCH_CANCELED;
	uint64_t now_cycles = run->latency_cycles == NULL ? 0 : pw_cycles();
	bool right = run->ops->result(item->handle) == expected;
	lock(run);
	run->wrong += !right;
	item->called++;
	if (run->latency_cycles != NULL) {
		run->latency_cycles[run->called] = now_cycles - run->began_cycles;
	}
	if (++run->called == run->operations) {
		run->ended_ns = bench_now_ns();
		pw_store_release_32(&run->over, 1);
	} else if (run->to_start != 0) {
		hand_over(run, item);
	}
	unlock(run);
}

static void
alloc_items(void *arg)
{
	struct cross_run *run = arg;
	unsigned wanted = run->depth;
	for (run->depth = 0; run->depth < wanted; run->depth++) {
		struct cross_item *item = &run->item[run->depth];
		*item = (struct cross_item){ .run = run };
		item->handle = run->ops->alloc(0, on_ended, item);
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
start_all(void *arg)
{
	struct cross_run *run = arg;
	lock(run);
	for (unsigned i = 0; i < run->depth && run->to_start != 0; i++) {
		hand_over(run, &run->item[i]);
	}
	unlock(run);
}

static void
free_items(void *arg)
{
	struct cross_run *run = arg;
	for (unsigned i = 0; i < run->depth; i++) {
		run->ops->free(run->item[i].handle);
	}
}

static void
spin(uint64_t gap_ns)
{
	uint64_t until_ns = bench_now_ns() + gap_ns;
	while (bench_now_ns() < until_ns) {
		pw_cpu_relax();
	}
}

static void
end(struct cross_run *run, void *handle)
{
	if (run->latency_cycles != NULL) {
		run->began_cycles = pw_cycles();
	}
	if (run->end == BENCH_END_FINISH) {
		run->ops->finish_outside(handle);
	} else {
		run->ops->cancel_outside(handle);
	}
}

/* The outside thread. False: the callbacks do not come. */
static bool
end_all(struct cross_run *run, uint64_t gap_ns)
{
	uint64_t limit_ns = bench_now_ns() + BENCH_WAIT_MAX_NS;
	unsigned looks = 0;
	while (pw_load_acquire_32(&run->over) == 0) {
		void *handle = bench_spsc_pop(&run->handed);
		if (handle != NULL) {
			if (gap_ns != 0) {
				spin(gap_ns);
			}
			end(run, handle);
			looks = 0;
		} else if (++looks % LOOKS_PER_CLOCK == 0 && bench_now_ns() > limit_ns) {
			return false;
		} else {
			pw_cpu_relax();
		}
	}
	return true;
}

static const char *
check(const struct cross_run *run)
{
	uint64_t called = 0;
	if (run->refused != 0) {
		return "a start was refused";
	}
	for (unsigned i = 0; i < run->depth; i++) {
		if (run->item[i].called != run->item[i].started) {
			return "a handle had too few or too many callbacks";
		}
		called += run->item[i].called;
	}
	if (called != run->operations || run->called != run->operations) {
		return "too few or too many callbacks";
	}
	return run->wrong != 0 ? "a callback had the wrong result" : NULL;
}

static void
run_all(struct cross_run *run, uint64_t gap_ns, struct bench_outcome *outcome)
{
	bench_spsc_init(&run->handed);
	(void) bench_pin(bench_cpu_outside(0));
	bench_measure_begin(run->ops, outcome);
	uint64_t began_ns = bench_now_ns();
	bool came = run->ops->run(0, start_all, run) && end_all(run, gap_ns);
	outcome->elapsed_ns = run->ended_ns - began_ns;
	bench_measure_end(run->ops, outcome);
	bench_unpin();
	outcome->error = came ? check(run) : "the callbacks do not come";
}

static struct bench_outcome
cross(struct cross_run *run, uint64_t gap_ns)
{
	struct bench_outcome outcome = { .operations = run->operations };
	run->to_start = run->operations;
	run->item = aligned_alloc(64, run->depth * sizeof *run->item);
	if (run->item == NULL || !bench_call(run->ops, 0, alloc_items, run) || run->alloc_failed) {
		outcome.error = "out of memory";
	} else {
		run_all(run, gap_ns, &outcome);
	}
	if (run->item != NULL && !bench_call(run->ops, 0, free_items, run)) {
		outcome.error = "the handles cannot be freed";
	}
	free(run->item);
	return outcome;
}

static struct cross_run *
new_run(const struct bench_ops *ops, enum bench_end end, uint64_t operations)
{
	struct cross_run *run = aligned_alloc(64, sizeof *run);
	if (run != NULL) {
		*run = (struct cross_run){ .ops = ops, .end = end, .operations = operations };
		(void) pthread_mutex_init(&run->lock, NULL);
	}
	return run;
}

struct bench_outcome
bench_cross(const struct bench_ops *ops, enum bench_end end, unsigned depth, uint64_t operations, int32_t timeout_ms)
{
	struct bench_outcome outcome = { .error = "out of memory" };
	struct cross_run *run = new_run(ops, end, operations);
	if (run != NULL) {
		run->depth = depth;
		run->timeout_ms = timeout_ms;
		outcome = cross(run, 0);
		free(run);
	}
	return outcome;
}

static double
ns_per_cycle(uint64_t cycles_before, uint64_t ns_before)
{
	uint64_t ns = bench_now_ns() - ns_before, cycles = pw_cycles() - cycles_before;
	return (double) ns / (double) cycles;
}

struct bench_outcome
bench_latency(const struct bench_ops *ops, enum bench_end end, uint64_t count, int32_t timeout_ms, uint64_t gap_ns,
    uint64_t *latency_ns)
{
	struct bench_outcome outcome = { .error = "out of memory" };
	struct cross_run *run = new_run(ops, end, count);
	if (run != NULL) {
		uint64_t cycles_before = pw_cycles(), ns_before = bench_now_ns();
		run->depth = 1;
		run->timeout_ms = timeout_ms;
		run->latency_cycles = latency_ns;
		outcome = cross(run, gap_ns);
		double factor = ns_per_cycle(cycles_before, ns_before);
		for (uint64_t i = 0; i < count; i++) {
			/* Counters of two CPUs may differ by what is nothing beside a latency: not below 0. */
			int64_t cycles = (int64_t) latency_ns[i];
			latency_ns[i] = cycles > 0 ? (uint64_t) ((double) cycles * factor) : 0;
		}
		free(run);
	}
	return outcome;
}

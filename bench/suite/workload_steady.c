/* SPDX-License-Identifier: MIT
 *
 * workload_steady.c: see workload_steady.h.
 *
 * The rate is steady from the beginning: first deadlines are spread evenly over a period, and each later sleep lasts
 * a period.
 *
 * Turns. A turn that is long because the thread did not run is the machine's doing, or the scheduler's: the thread's
 * own processor time says so. What a hypervisor or an interrupt takes is in that time, too; that is what the bare
 * thread shows. The processor time is a system call per turn, which makes each turn some 200 ns longer.
 */
#include "bench/suite/workload_steady.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/countdown.h"
#include "bench/suite/host.h"
#include "bench/command/latency.h"

#define CANCELS_PER_MS 10u

struct steady_item {
	void *handle;
	struct bench_steady *steady;
};

struct bench_steady {
	const struct bench_ops *ops;
	uint32_t count;
	int32_t period_ms;
	struct steady_item *item;
	bool alloc_failed;
	pw_a32 closing;
	pw_a64 asleep; /* closing: handles whose last callback has not come, and one for who cancels them */
	pw_a64 expired;
	pw_a64 wrong;

	/* cancel */
	pthread_t canceling; /* the thread that the last batch ran on */
	pw_a32 busy;         /* a batch is on its way */
	uint64_t calls;
	uint64_t sum_ns;
	struct pw_latency *call;

	/* turns */
	void *probe;
	uint64_t end_ns;
	struct clock_reading *last;
	struct pw_latency *wall;
	struct bench_turns *turns;
	sem_t over;
};

/* xorshift, as in the other workloads. */
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

static struct bench_times
times_of(struct pw_latency *latency, uint64_t sum_ns)
{
	uint64_t count = pw_load_relaxed_64(&latency->count); /* relaxed: nothing runs */
	return (struct bench_times){
		.count = count,
		.mean_ns = count == 0 ? 0 : (double) sum_ns / (double) count,
		.p50_ns = pw_latency_percentile_ns(latency, 50),
		.p90_ns = pw_latency_percentile_ns(latency, 90),
		.p99_ns = pw_latency_percentile_ns(latency, 99),
		.p999_ns = pw_latency_percentile_ns(latency, 99.9),
		.max_ns = pw_load_relaxed_64(&latency->max_ns),
	};
}

/* ---- the crowd */

static void
awake(struct bench_steady *steady)
{
	if (bench_count_down(&steady->asleep)) {
		(void) sem_post(&steady->over);
	}
}

static void
on_end(void *arg)
{
	struct steady_item *item = arg;
	struct bench_steady *steady = item->steady;
	if (pw_load_acquire_32(&steady->closing) != 0) {
		awake(steady);
		return;
	}
	enum bench_result result = steady->ops->result(item->handle);
	if (result == BENCH_DONE) {
		(void) pw_fetch_add_relaxed_64(&steady->expired, 1);
	} else if (result != BENCH_CANCELED) {
		(void) pw_fetch_add_relaxed_64(&steady->wrong, 1);
	}
	steady->ops->sleep(item->handle, steady->period_ms);
}

static void
alloc_all(void *arg)
{
	struct bench_steady *steady = arg;
	for (uint32_t i = 0; i < steady->count; i++) {
		struct steady_item *item = &steady->item[i];
		*item = (struct steady_item){ .steady = steady };
		item->handle = steady->ops->alloc(0, on_end, item);
		if (item->handle == NULL) {
			steady->alloc_failed = true;
			steady->count = i;
			return;
		}
	}
}

static void
begin_all(void *arg)
{
	struct bench_steady *steady = arg;
	for (uint32_t i = 0; i < steady->count; i++) {
		steady->ops->sleep(steady->item[i].handle, 1 + (int32_t) random_below((uint32_t) steady->period_ms));
	}
}

/* Each handle sleeps, so each has one callback to come; a silent one has none. */
static void
end_all(void *arg)
{
	struct bench_steady *steady = arg;
	pw_store_release_32(&steady->closing, 1);
	for (uint32_t i = 0; i < steady->count; i++) {
		steady->ops->cancel(steady->item[i].handle);
		if (steady->ops->silent_cancel) {
			awake(steady);
		}
	}
	awake(steady);
}

static void
free_all(void *arg)
{
	struct bench_steady *steady = arg;
	for (uint32_t i = 0; i < steady->count; i++) {
		steady->ops->free(steady->item[i].handle);
	}
}

static void
release(struct bench_steady *steady)
{
	(void) sem_destroy(&steady->over);
	free(steady->item);
	free(steady->call);
	free(steady->wall);
	free(steady);
}

struct bench_steady *
bench_steady_open(const struct bench_ops *ops, uint32_t count, int32_t period_ms)
{
	struct bench_steady *steady = calloc(1, sizeof *steady);
	if (steady == NULL) {
		return NULL;
	}
	*steady = (struct bench_steady){ .ops = ops, .count = count, .period_ms = period_ms };
	(void) sem_init(&steady->over, 0, 0);
	steady->item = malloc(count * sizeof *steady->item);
	steady->call = calloc(1, sizeof *steady->call);
	steady->wall = calloc(1, sizeof *steady->wall);
	if (steady->item != NULL && steady->call != NULL && steady->wall != NULL &&
	    bench_call(ops, 0, alloc_all, steady)) {
		if (!steady->alloc_failed && bench_call(ops, 0, begin_all, steady)) {
			return steady;
		}
		(void) bench_call(ops, 0, free_all, steady);
	}
	release(steady);
	return NULL;
}

bool
bench_steady_close(struct bench_steady *steady)
{
	pw_store_relaxed_64(&steady->asleep, (uint64_t) steady->count + 1); /* relaxed: run hands it over */
	if (!bench_call(steady->ops, 0, end_all, steady) ||
	    !bench_wait_until(&steady->over, bench_now_ns() + BENCH_WAIT_MAX_NS) ||
	    !bench_call(steady->ops, 0, free_all, steady)) {
		return false;
	}
	release(steady);
	return true;
}

static const char *
check(struct bench_steady *steady)
{
	return pw_load_relaxed_64(&steady->wrong) != 0 ? "a callback had the wrong result" : NULL;
}

/* ---- cancel */

static void
cancel_batch(void *arg)
{
	struct bench_steady *steady = arg;
	const struct bench_ops *ops = steady->ops;
	for (unsigned i = 0; i < CANCELS_PER_MS; i++) {
		struct steady_item *victim = &steady->item[random_below(steady->count)];
		void *handle = victim->handle; /* ours, and cold: not what is measured */
		uint64_t began_ns = bench_now_ns();
		ops->cancel(handle);
		uint64_t took_ns = bench_now_ns() - began_ns;
		pw_latency_record(steady->call, took_ns);
		steady->sum_ns += took_ns;
		steady->calls++;
		if (ops->silent_cancel) {
			ops->sleep(handle, steady->period_ms);
		}
	}
	steady->canceling = pthread_self();
	pw_store_release_32(&steady->busy, 0);
}

static uint64_t
thread_cpu_ns(void)
{
	struct timespec now;
	(void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t) now.tv_sec * BENCH_NS_PER_S + (uint64_t) now.tv_nsec;
}

/* Every millisecond a batch, unless the last one is still under way. False: it never ended. */
static bool
keep_pace(struct bench_steady *steady, uint64_t began_ns, uint32_t duration_ms)
{
	const uint64_t end_ns = began_ns + duration_ms * BENCH_NS_PER_MS;
	for (uint64_t now_ns = began_ns; now_ns < end_ns; now_ns = bench_now_ns()) {
		uint64_t next_ns = now_ns + BENCH_NS_PER_MS - (now_ns - began_ns) % BENCH_NS_PER_MS;
		(void) bench_wait_until(&steady->over, next_ns); /* nobody posts it */
		if (pw_load_acquire_32(&steady->busy) == 0) {
			pw_store_relaxed_32(&steady->busy, 1); /* relaxed: run hands it over */
			if (!steady->ops->run(0, cancel_batch, steady)) {
				return false;
			}
		}
	}
	uint64_t limit_ns = bench_now_ns() + BENCH_WAIT_MAX_NS;
	while (pw_load_acquire_32(&steady->busy) != 0 && bench_now_ns() < limit_ns) {
		(void) bench_wait_until(&steady->over, bench_now_ns() + BENCH_NS_PER_MS);
	}
	return pw_load_acquire_32(&steady->busy) == 0;
}

struct bench_outcome
bench_steady_cancel(struct bench_steady *steady, uint32_t duration_ms, struct bench_times *call, uint64_t *expired)
{
	struct bench_outcome outcome = { .error = NULL };
	memset(steady->call, 0, sizeof *steady->call);
	steady->calls = steady->sum_ns = 0;
	uint64_t expired_before = pw_load_relaxed_64(&steady->expired); /* relaxed: a counter */

	bench_measure_begin(steady->ops, &outcome);
	uint64_t own_before_ns = thread_cpu_ns();
	uint64_t began_ns = bench_now_ns();
	if (!keep_pace(steady, began_ns, duration_ms)) {
		outcome.error = "the loop does not come";
		return outcome;
	}
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	uint64_t own_ns = thread_cpu_ns() - own_before_ns;
	bench_measure_end(steady->ops, &outcome);
	if (!pthread_equal(steady->canceling, pthread_self())) {
		outcome.cpu_ns -= own_ns;
	}
	outcome.operations = steady->calls;
	*expired = pw_load_relaxed_64(&steady->expired) - expired_before;
	*call = times_of(steady->call, steady->sum_ns);
	outcome.error = check(steady);
	return outcome;
}

/* ---- turns */

struct clock_reading {
	uint64_t wall_ns;
	uint64_t own_ns;
};

static struct clock_reading
read_clocks(void)
{
	struct clock_reading now = { .own_ns = thread_cpu_ns() };
	now.wall_ns = bench_now_ns();
	return now;
}

/* A turn has ended, and the next begins. */
static void
record_turn(struct bench_turns *turns, struct pw_latency *wall, struct clock_reading *last)
{
	struct clock_reading now = read_clocks();
	uint64_t wall_ns = now.wall_ns - last->wall_ns, own_ns = now.own_ns - last->own_ns;
	own_ns = own_ns < wall_ns ? own_ns : wall_ns;
	pw_latency_record(wall, wall_ns);
	turns->own_max_ns = own_ns > turns->own_max_ns ? own_ns : turns->own_max_ns;
	turns->own_long += own_ns > BENCH_LONG_TURN_NS;
	*last = now;
}

static void
turn_bare(uint64_t end_ns, struct bench_turns *turns, struct pw_latency *wall)
{
	struct clock_reading last = read_clocks();
	uint64_t began_ns = last.wall_ns;
	while (last.wall_ns < end_ns) {
		record_turn(turns, wall, &last);
	}
	turns->wall = times_of(wall, last.wall_ns - began_ns);
}

static void
on_probe(void *arg)
{
	struct bench_steady *steady = arg;
	record_turn(steady->turns, steady->wall, steady->last);
	if (steady->last->wall_ns >= steady->end_ns) {
		(void) sem_post(&steady->over);
	} else if (steady->ops->start(steady->probe)) {
		(void) steady->ops->finish(steady->probe);
	}
}

static void
begin_probe(void *arg)
{
	struct bench_steady *steady = arg;
	steady->probe = steady->ops->alloc(0, on_probe, steady);
	*steady->last = read_clocks();
	if (steady->probe != NULL && steady->ops->start(steady->probe)) {
		(void) steady->ops->finish(steady->probe);
	}
}

static void
free_probe(void *arg)
{
	struct bench_steady *steady = arg;
	if (steady->probe != NULL) {
		steady->ops->free(steady->probe);
	}
}

struct bench_outcome
bench_steady_turns(struct bench_steady *steady, uint32_t duration_ms, struct bench_turns *turns)
{
	struct bench_outcome outcome = { .error = "out of memory" };
	struct clock_reading last;
	struct bench_turns beside = { .own_max_ns = 0 };
	struct pw_latency *beside_wall = calloc(1, sizeof *beside_wall);
	if (beside_wall == NULL) {
		return outcome;
	}
	*turns = (struct bench_turns){ .own_max_ns = 0 };
	memset(steady->wall, 0, sizeof *steady->wall);
	steady->turns = turns;
	steady->last = &last;
	(void) bench_pin(bench_cpu_outside(0));
	bench_measure_begin(steady->ops, &outcome);
	uint64_t began_ns = bench_now_ns();
	steady->end_ns = began_ns + duration_ms * BENCH_NS_PER_MS;
	outcome.error = NULL;
	if (!bench_call(steady->ops, 0, begin_probe, steady)) {
		outcome.error = "the loop does not come";
	} else {
		turn_bare(steady->end_ns, &beside, beside_wall);
		if (!bench_wait_until(&steady->over, steady->end_ns + BENCH_WAIT_MAX_NS)) {
			outcome.error = "the loop does not come";
		}
	}
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	bench_measure_end(steady->ops, &outcome);
	bench_unpin();
	if (!bench_call(steady->ops, 0, free_probe, steady) && outcome.error == NULL) {
		outcome.error = "the probe cannot be freed";
	}
	turns->wall = times_of(steady->wall, outcome.elapsed_ns);
	turns->beside_max_ns = beside.own_max_ns;
	outcome.operations = turns->wall.count;
	if (outcome.error == NULL) {
		outcome.error = turns->wall.count == 0 ? "the probe was not called" : check(steady);
	}
	free(beside_wall);
	return outcome;
}

struct bare_run {
	uint64_t end_ns;
	struct bench_turns *turns;
	struct pw_latency *wall;
};

static void *
bare_thread(void *arg)
{
	struct bare_run *run = arg;
	turn_bare(run->end_ns, run->turns, run->wall);
	return NULL;
}

struct bench_outcome
bench_bare_turns(uint32_t duration_ms, struct bench_turns *turns)
{
	struct bench_outcome outcome = { .error = "out of memory" };
	struct bench_turns beside = { .own_max_ns = 0 };
	struct pw_latency *wall = calloc(2, sizeof *wall);
	uint64_t began_ns = bench_now_ns();
	uint64_t cpu_before_ns = bench_cpu_ns();
	struct bare_run run = { .end_ns = began_ns + duration_ms * BENCH_NS_PER_MS, .turns = turns, .wall = wall };
	pthread_t thread;
	*turns = (struct bench_turns){ .own_max_ns = 0 };
	if (wall != NULL && bench_thread_start(&thread, bench_cpu_of_loop(0), bare_thread, &run)) {
		(void) bench_pin(bench_cpu_outside(0));
		turn_bare(run.end_ns, &beside, &wall[1]);
		bench_unpin();
		(void) pthread_join(thread, NULL);
		turns->beside_max_ns = beside.own_max_ns;
		outcome = (struct bench_outcome){
			.operations = turns->wall.count,
			.elapsed_ns = bench_now_ns() - began_ns,
			.cpu_ns = bench_cpu_ns() - cpu_before_ns,
		};
	}
	free(wall);
	return outcome;
}

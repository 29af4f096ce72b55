/* SPDX-License-Identifier: MIT
 *
 * workload_stall.c: a thread that is suspended while it finishes an operation: does another thread that finishes its
 * own wait for it? See bench_stalled in workload_shards.h.
 *
 * The *victim* finishes one operation after the other, as fast as its callbacks come. A signal suspends it wherever
 * it is: the handler sleeps until it is let go, 2 ms at most. Meanwhile the *witness*, which is the caller, finishes
 * operations of a handle of its own and measures them. Both are on the same CPU, as threads are when there are more
 * of them than CPUs; the loop is on another. The handler sleeps, so the witness has the CPU.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bench/suite/countdown.h"
#include "bench/suite/host.h"
#include "bench/suite/workload_shards.h"
#include "engine/base/cycles.h"

#define SUSPENDED_MAX_NS (2 * BENCH_NS_PER_MS)
#define LOOK_NS 50000

/* One thread's handle. The loop starts it again and tells by `ready`. */
struct side {
	const struct bench_ops *ops;
	void *handle;
	bool last; /* the callback starts it no more */
	bool failed;
	_Alignas(64) pw_a32 ready; /* it is started */
	uint64_t called_cycles;    /* before ready is set */
};

struct stall_run {
	struct side victim, witness;
	_Alignas(64) pw_a32 over;
};

/* What the handler knows: one run at a time. */
static pw_a32 entered, left; /* how often the victim has entered and left the handler */
static pw_a32 let_go;

static void
sleep_ns(long ns)
{
	struct timespec wait = { .tv_nsec = ns };
	(void) nanosleep(&wait, NULL);
}

static void
on_suspend(int number)
{
	int saved = errno;
	(void) number;
	uint64_t until_ns = bench_now_ns() + SUSPENDED_MAX_NS;
	(void) pw_fetch_add_relaxed_32(&entered, 1);
	while (pw_load_acquire_32(&let_go) == 0 && bench_now_ns() < until_ns) {
		sleep_ns(LOOK_NS);
	}
	(void) pw_fetch_add_relaxed_32(&left, 1);
	errno = saved;
}

static void
on_done(void *arg)
{
	struct side *side = arg;
	side->called_cycles = pw_cycles();
	side->failed |= side->ops->result(side->handle) != BENCH_DONE;
	if (!side->last) {
		side->failed |= !side->ops->start(side->handle);
	}
	pw_store_release_32(&side->ready, 1);
}

static void
begin_side(void *arg)
{
	struct side *side = arg;
	side->handle = side->ops->alloc(0, on_done, side);
	side->failed = side->handle == NULL || !side->ops->start(side->handle);
	pw_store_release_32(&side->ready, 1);
}

static void
free_side(void *arg)
{
	struct side *side = arg;
	if (side->handle != NULL) {
		side->ops->free(side->handle);
	}
}

/* Finishes the side's operation when it is ready. False: `over` came first. */
static bool
finish_next(struct side *side, const pw_a32 *over, uint64_t *began_cycles)
{
	while (pw_load_acquire_32(&side->ready) == 0) {
		if (over != NULL && pw_load_acquire_32((pw_a32 *) (uintptr_t) over) != 0) {
			return false;
		}
		pw_cpu_relax();
	}
	pw_store_relaxed_32(&side->ready, 0); /* relaxed: the finish hands it over */
	*began_cycles = pw_cycles();
	side->ops->finish_outside(side->handle);
	return true;
}

/* The side's own thread is gone: it is or will be started, and ends here. */
static void
end_side(struct side *side)
{
	uint64_t began_cycles;
	while (pw_load_acquire_32(&side->ready) == 0) {
		pw_cpu_relax();
	}
	side->last = true; /* handed over by the finish */
	(void) finish_next(side, NULL, &began_cycles);
	while (pw_load_acquire_32(&side->ready) == 0) {
		pw_cpu_relax();
	}
}

static void *
victim_thread(void *arg)
{
	struct stall_run *run = arg;
	uint64_t began_cycles;
	while (pw_load_acquire_32(&run->over) == 0 && finish_next(&run->victim, &run->over, &began_cycles)) {
	}
	return NULL;
}

/* What the calling thread has used, and how often it has waited. */
struct use {
	uint64_t wall_ns;
	uint64_t cpu_ns;
	long waits;
};

static struct use
use_now(void)
{
	struct rusage thread;
	(void) getrusage(RUSAGE_THREAD, &thread);
	struct timespec cpu;
	(void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	return (struct use){
		.wall_ns = bench_now_ns(),
		.cpu_ns = (uint64_t) cpu.tv_sec * BENCH_NS_PER_S + (uint64_t) cpu.tv_nsec,
		.waits = thread.ru_nvcsw,
	};
}

/* A call was long because it waited: it spun, or it slept. A thread that was preempted did neither. */
static bool
has_waited(struct use before)
{
	struct use now = use_now();
	return now.wall_ns - before.wall_ns > BENCH_STALL_NS &&
	    (now.cpu_ns - before.cpu_ns > BENCH_STALL_NS / 2 || now.waits != before.waits);
}

/* The witness's operations of one suspension; true: one of its calls has waited. */
static bool
witness_all(struct stall_run *run, unsigned each, double ns_per_cycle, uint64_t *latency_ns)
{
	struct side *side = &run->witness;
	bool stalled = false;
	for (unsigned i = 0; i < each; i++) {
		uint64_t began_cycles;
		struct use before = use_now();
		(void) finish_next(side, NULL, &began_cycles);
		stalled = has_waited(before) || stalled;
		uint64_t limit_ns = bench_now_ns() + BENCH_WAIT_MAX_NS;
		while (pw_load_acquire_32(&side->ready) == 0 && !side->failed) {
			side->failed = bench_now_ns() > limit_ns;
		}
		int64_t cycles = (int64_t) (side->called_cycles - began_cycles);
		latency_ns[i] = cycles > 0 ? (uint64_t) ((double) cycles * ns_per_cycle) : 0;
	}
	return stalled;
}

static void
await(pw_a32 *count, uint32_t wanted)
{
	while (pw_load_relaxed_32(count) != wanted) { /* relaxed: nothing is handed over */
		sleep_ns(LOOK_NS);
	}
}

static double
measure_cycle(void)
{
	uint64_t began_ns = bench_now_ns(), began_cycles = pw_cycles();
	while (bench_now_ns() < began_ns + 10 * BENCH_NS_PER_MS) {
	}
	return (double) (bench_now_ns() - began_ns) / (double) (pw_cycles() - began_cycles);
}

static void
suspend_again_and_again(struct stall_run *run, pthread_t victim, unsigned rounds, unsigned each, uint64_t *latency_ns,
    struct bench_stall *stall)
{
	double ns_per_cycle = measure_cycle();
	pw_store_relaxed_32(&entered, 0); /* relaxed: no signal is under way */
	pw_store_relaxed_32(&left, 0);
	for (unsigned round = 0; round < rounds && !run->witness.failed; round++) {
		pw_store_release_32(&let_go, 0);
		sleep_ns(LOOK_NS); /* the victim runs */
		(void) pthread_kill(victim, SIGUSR1);
		await(&entered, round + 1);
		stall->stalled += witness_all(run, each, ns_per_cycle, &latency_ns[round * each]);
		stall->rounds++;
		pw_store_release_32(&let_go, 1);
		await(&left, round + 1);
	}
}

static const char *
run_threads(struct stall_run *run, unsigned rounds, unsigned each, uint64_t *latency_ns, struct bench_stall *stall)
{
	struct sigaction suspend = { .sa_handler = on_suspend, .sa_flags = SA_RESTART }, before;
	const struct bench_ops *ops = run->victim.ops;
	pthread_t victim;
	if (!bench_call(ops, 0, begin_side, &run->victim) || !bench_call(ops, 0, begin_side, &run->witness) ||
	    run->victim.failed || run->witness.failed) {
		return "out of memory";
	}
	(void) sigemptyset(&suspend.sa_mask);
	(void) sigaction(SIGUSR1, &suspend, &before);
	(void) bench_pin(bench_cpu_outside(0));
	if (!bench_thread_start(&victim, bench_cpu_outside(0), victim_thread, run)) {
		bench_unpin();
		return "no thread can be started";
	}
	suspend_again_and_again(run, victim, rounds, each, latency_ns, stall);
	pw_store_release_32(&run->over, 1);
	(void) pthread_join(victim, NULL);
	bench_unpin();
	(void) sigaction(SIGUSR1, &before, NULL);
	return run->witness.failed || run->victim.failed ? "a callback did not come, or had the wrong result" : NULL;
}

struct bench_outcome
bench_stalled(const struct bench_ops *ops, unsigned rounds, unsigned each, uint64_t *latency_ns,
    struct bench_stall *stall)
{
	struct bench_outcome outcome = { .operations = (uint64_t) rounds * each };
	struct stall_run *run = aligned_alloc(64, sizeof *run);
	*stall = (struct bench_stall){ .rounds = 0 };
	if (run == NULL) {
		outcome.error = "out of memory";
		return outcome;
	}
	*run = (struct stall_run){ .victim = { .ops = ops }, .witness = { .ops = ops } };
	bench_measure_begin(ops, &outcome);
	uint64_t began_ns = bench_now_ns();
	outcome.error = run_threads(run, rounds, each, latency_ns, stall);
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	bench_measure_end(ops, &outcome);
	if (outcome.error == NULL) {
		end_side(&run->victim);
		end_side(&run->witness);
		if (bench_call(ops, 0, free_side, &run->victim) && bench_call(ops, 0, free_side, &run->witness)) {
			free(run);
		} else {
			outcome.error = "the handles cannot be freed";
		}
	}
	return outcome; /* with an error the handles may still be under way: they are left alone */
}

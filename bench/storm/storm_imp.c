/* SPDX-License-Identifier: MIT
 *
 * storm_imp.c: the faults that befall the process as a whole, made by a thread of their own while the race runs.
 *
 *   ring-full   a shard is kept inside a function, more functions are sent to it than its ring has slots; the overflow
 *               is what the shard then says it took over its stack
 *   clock       storm_wrap.c's window
 *   suspend     a signal whose handler sleeps, to any thread; a shard's thread blocks all signals, but for this one,
 *               which it lets in before it runs anything
 *   affinity    what taskset or a cpuset does to a running process: one CPU for all threads, and back again
 *   few-cpus    before the engine starts: at most two CPUs, and more shards than that
 *
 * The handler sleeps wherever the thread is, inside a CAS loop as well as inside malloc; it touches nothing but its
 * time and a count. It is installed without SA_RESTART: who sleeps in the kernel is interrupted too.
 */
#include "bench/storm/storm.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "engine/shard/inbox.h"

#define OCCASION_NS UINT64_C(1000000)
#define BURST (PW_INBOX_SLOTS + 1024u)
#define FEW 2

static pthread_t shard_threads[PW_LEDGER_TALLIES_MAX];
static pthread_t imp;
static bool imp_runs;
static _Atomic bool leave;

/* ---- suspend ---- */

static _Atomic uint64_t suspend_ns;

static int
suspend_signal(void)
{
	return SIGRTMIN + 1;
}

static void
on_suspend(int number)
{
	int error = errno;

	(void) number;
	pw_fault_pause_ns(atomic_load(&suspend_ns));
	pw_fault_struck(PW_FAULT_SUSPEND, 1);
	errno = error;
}

static bool
take_signal(void)
{
	struct sigaction action = { .sa_handler = on_suspend };

	sigemptyset(&action.sa_mask);
	return sigaction(suspend_signal(), &action, NULL) == 0;
}

static void
on_shard_start(int shard, void *arg)
{
	sigset_t ours;

	(void) arg;
	if (shard < (int) PW_LEDGER_TALLIES_MAX) {
		shard_threads[shard] = pthread_self();
	}
	sigemptyset(&ours);
	sigaddset(&ours, suspend_signal());
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

static pthread_t
thread_of(unsigned worker)
{
	unsigned threads = pw_storm.options.threads;
	return worker < threads ? pw_storm.workers[worker].thread : shard_threads[worker - threads];
}

static void
suspend_one(void)
{
	atomic_store(&suspend_ns, 50000 + (uint64_t) pw_fault_dice(20000) * 1000);
	(void) pthread_kill(thread_of(pw_fault_dice(pw_storm.worker_count)), suspend_signal());
}

/* ---- ring-full ---- */

static struct burst {
	sem_t held;
	sem_t let_go;
	_Atomic unsigned left;
} burst;

static void
await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0 && errno == EINTR) {
	}
}

static void
hold_shard(void *arg)
{
	(void) arg;
	sem_post(&burst.held);
	await(&burst.let_go);
	atomic_fetch_sub(&burst.left, 1);
}

static void
one_of_burst(void *arg)
{
	(void) arg;
	atomic_fetch_sub(&burst.left, 1);
}

static uint64_t
overflowed(int shard)
{
	struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
	return pinwheel_stats(shard, &stats) == NNG_OK ? stats.mails_overflowed : 0;
}

static void
fill_ring(void)
{
	int shard = (int) pw_fault_dice((uint32_t) pw_storm.shards);
	uint64_t before = overflowed(shard);

	atomic_store(&burst.left, 1);
	if (pinwheel_run_on(shard, hold_shard, NULL) != NNG_OK) {
		return;
	}
	await(&burst.held);
	for (unsigned i = 0; i < BURST; i++) {
		atomic_fetch_add(&burst.left, 1);
		if (pinwheel_run_on(shard, one_of_burst, NULL) != NNG_OK) {
			atomic_fetch_sub(&burst.left, 1); /* no memory: the fault of that name */
		}
	}
	sem_post(&burst.let_go);
	while (atomic_load(&burst.left) != 0) {
		pw_fault_pause_ns(OCCASION_NS / 10);
	}
	pw_fault_struck(PW_FAULT_RING_FULL, overflowed(shard) - before);
}

/* ---- clock ---- */

static void
stall_clock(void)
{
	static uint64_t until_ns;
	uint64_t now_ns = pw_fault_real_ns();

	if (now_ns > until_ns) {
		uint64_t from_ns = now_ns + 1000000;
		until_ns = from_ns + 1000000 + (uint64_t) pw_fault_dice(19000) * 1000;
		pw_fault_freeze(from_ns, until_ns);
	}
}

/* ---- affinity ---- */

static struct {
	uint64_t until_ns; /* 0: not shrunk */
	cpu_set_t mask[PW_LEDGER_TALLIES_MAX];
} shrunk;

static void
widen(void)
{
	for (unsigned i = 0; shrunk.until_ns != 0 && i < pw_storm.worker_count; i++) {
		(void) pthread_setaffinity_np(thread_of(i), sizeof(shrunk.mask[i]), &shrunk.mask[i]);
	}
	shrunk.until_ns = 0;
}

/* The n-th CPU of the set. */
static int
nth_cpu(const cpu_set_t *set, uint32_t n)
{
	int cpu = 0;

	while (!CPU_ISSET(cpu, set) || n-- > 0) {
		cpu++;
	}
	return cpu;
}

static void
shrink(void)
{
	cpu_set_t all, one;
	bool every = true;

	if (shrunk.until_ns != 0 || pthread_getaffinity_np(pthread_self(), sizeof(all), &all) != 0) {
		return;
	}
	CPU_ZERO(&one);
	CPU_SET(nth_cpu(&all, pw_fault_dice((uint32_t) CPU_COUNT(&all))), &one);
	for (unsigned i = 0; i < pw_storm.worker_count; i++) {
		every = pthread_getaffinity_np(thread_of(i), sizeof(shrunk.mask[i]), &shrunk.mask[i]) == 0 &&
		    pthread_setaffinity_np(thread_of(i), sizeof(one), &one) == 0 && every;
	}
	shrunk.until_ns = pw_fault_real_ns() + 5000000 + (uint64_t) pw_fault_dice(45000) * 1000;
	pw_fault_struck(PW_FAULT_AFFINITY, every);
}

/* ---- few-cpus ---- */

static int
cpus_allowed(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
}

static bool
keep_cpus(int count)
{
	cpu_set_t all, few;

	if (sched_getaffinity(0, sizeof(all), &all) != 0) {
		return false;
	}
	CPU_ZERO(&few);
	for (int i = 0; i < count; i++) {
		CPU_SET(nth_cpu(&all, (uint32_t) i), &few);
	}
	return sched_setaffinity(0, sizeof(few), &few) == 0;
}

static bool
want_few_cpus(struct pw_engine_options *engine)
{
	int cpus = cpus_allowed() < FEW ? cpus_allowed() : FEW;

	if (engine->shards == 1) {
		return pw_fault_skip(PW_FAULT_FEW_CPUS, "one shard was asked for");
	}
	if (engine->shards != 0 && engine->shards <= cpus) {
		cpus = engine->shards - 1;
	}
	if (cpus == 0 || !keep_cpus(cpus)) {
		return pw_fault_skip(PW_FAULT_FEW_CPUS, "the CPUs of this process cannot be chosen");
	}
	engine->shards = engine->shards != 0 ? engine->shards : 2 * cpus + 1;
	return true;
}

/* Shards that share a CPU with another one. */
static void
count_crowded(void)
{
	cpu_set_t taken;

	CPU_ZERO(&taken);
	for (int i = 0; i < pw_storm.shards; i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		if (pinwheel_stats(i, &stats) != NNG_OK || stats.cpu < 0) {
			continue;
		}
		if (CPU_ISSET((size_t) stats.cpu, &taken)) {
			pw_fault_struck(PW_FAULT_FEW_CPUS, 1);
		}
		CPU_SET((size_t) stats.cpu, &taken);
	}
}

/* ---- io_uring's ---- */

static bool
want_uring_refused(struct pw_engine_options *engine)
{
	const char *forced = getenv("PINWHEEL_POLLER");
	bool by_name = pw_fault_asked(PW_FAULT_URING_REFUSED) == PW_FAULT_BY_NAME;

	if (engine->poller == PINWHEEL_POLLER_DEFAULT && (by_name || forced == NULL)) {
		engine->poller = PINWHEEL_POLLER_AUTO;
	}
	if (engine->poller != PINWHEEL_POLLER_AUTO) {
		return pw_fault_skip(PW_FAULT_URING_REFUSED, "it needs --poller=auto, which falls back");
	}
	return true;
}

static bool
some_shard_has_uring(void)
{
	for (int i = 0; i < pw_storm.shards; i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		if (pinwheel_stats(i, &stats) == NNG_OK && strcmp(stats.poller, "io_uring") == 0) {
			return true;
		}
	}
	return false;
}

/* ---- the thread ---- */

static void *
run_imp(void *arg)
{
	(void) arg;
	while (!atomic_load(&leave)) {
		pw_fault_pause_ns(OCCASION_NS);
		if (pw_fault_roll(PW_FAULT_CLOCK)) {
			stall_clock();
		}
		if (pw_fault_roll(PW_FAULT_SUSPEND)) {
			suspend_one();
		}
		if (pw_fault_roll(PW_FAULT_RING_FULL)) {
			fill_ring();
		}
		if (shrunk.until_ns != 0 && pw_fault_real_ns() > shrunk.until_ns) {
			widen();
		}
		if (pw_fault_roll(PW_FAULT_AFFINITY)) {
			shrink();
		}
	}
	widen();
	return NULL;
}

static bool
asked(enum pw_fault fault)
{
	return pw_fault_asked(fault) != PW_FAULT_NOT_ASKED;
}

bool
pw_storm_imp_before(struct pw_engine_options *engine)
{
	bool ok = true;

	pw_fault_seed(pw_storm.options.seed);
	if (asked(PW_FAULT_FEW_CPUS)) {
		ok = want_few_cpus(engine) && ok;
	}
	if (asked(PW_FAULT_URING_REFUSED)) {
		ok = want_uring_refused(engine) && ok;
	}
	if (asked(PW_FAULT_AFFINITY) && cpus_allowed() < 2) {
		ok = pw_fault_skip(PW_FAULT_AFFINITY, "this process may use one CPU only") && ok;
	}
	if (asked(PW_FAULT_SUSPEND)) {
		engine->on_thread_start = on_shard_start;
		ok = (take_signal() || pw_fault_skip(PW_FAULT_SUSPEND, "the signal cannot be taken")) && ok;
	} else if (asked(PW_FAULT_AFFINITY)) {
		engine->on_thread_start = on_shard_start;
	}
	return ok;
}

bool
pw_storm_imp_started(void)
{
	bool ok = true;

	if (asked(PW_FAULT_SQ_FULL) && !some_shard_has_uring()) {
		ok = pw_fault_skip(PW_FAULT_SQ_FULL, "no shard runs on io_uring");
	}
	if (asked(PW_FAULT_FEW_CPUS)) {
		count_crowded();
	}
	return ok;
}

bool
pw_storm_imp_start(void)
{
	if (!asked(PW_FAULT_CLOCK) && !asked(PW_FAULT_SUSPEND) && !asked(PW_FAULT_RING_FULL) &&
	    !asked(PW_FAULT_AFFINITY)) {
		return true;
	}
	imp_runs = sem_init(&burst.held, 0, 0) == 0 && sem_init(&burst.let_go, 0, 0) == 0 &&
	    pthread_create(&imp, NULL, run_imp, NULL) == 0;
	return imp_runs;
}

void
pw_storm_imp_stop(void)
{
	if (imp_runs) {
		atomic_store(&leave, true);
		pthread_join(imp, NULL);
		imp_runs = false;
	}
}

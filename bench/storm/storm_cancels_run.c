/* SPDX-License-Identifier: MIT
 *
 * storm_cancels_run.c: `pinwheel storm --cancels N`: sets up the pairs of threads of storm_cancels.c, a rival for
 * each shard, on the CPUs that no shard has; watches them until there are N races, the time is over or a signal
 * comes; prints what they have counted. By default there is a shard for every two CPUs.
 *
 * Exit status: 0 the ledger balances; 1 it does not, or, of 1,000,000 races or more, a kind was hardly raced or has
 * one side that hardly ever won: then this machine has not shown much.
 */
#include "bench/storm/storm_cancels.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/storm/storm.h"

#define FAIR_FROM 1000000u /* races from which on the shares are judged: */
#define KIND_ONE_IN 500u   /* of all of them each kind must have, */
#define SIDE_ONE_IN 200u   /* and of a kind's each side must have won */
#define STILL_S 10u        /* says so when nothing has moved for so long */

static struct {
	unsigned count;
	char poller[16];
	double seconds;
} run;

/* ---- set-up ---- */

static void
on_misuse(const struct pinwheel_misuse *misuse)
{
	char detail[160];

	snprintf(detail, sizeof(detail), "%s%s%s: %s", misuse->function,
	    misuse->aio != NULL ? " on an aio that is " : "", misuse->state, misuse->reason);
	pw_storm_violation("misuse was reported", detail);
}

/* A CPU of the mask that no shard is pinned to and no rival has; -1: none. */
static int
take_cpu(cpu_set_t *left)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t) cpu, left)) {
			CPU_CLR((size_t) cpu, left);
			return cpu;
		}
	}
	return -1;
}

/* PW_EXIT_OK, or why not. */
static int
set_up(void)
{
	struct pw_storm_options *o = &pw_storm.options;
	cpu_set_t left;

	CPU_ZERO(&left);
	(void) sched_getaffinity(0, sizeof(left), &left); /* none known: the rivals run where they may */
	if (o->engine.shards == 0) {
		o->engine.shards = CPU_COUNT(&left) > 3 ? CPU_COUNT(&left) / 2 : 1;
	}
	if (!pw_engine_start(&o->engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	pinwheel_set_misuse_handler(on_misuse);
	run.count = (unsigned) pinwheel_shard_count();
	if (!pw_cancels_open(run.count)) {
		return PW_EXIT_ENVIRONMENT;
	}
	for (unsigned i = 0; i < run.count; i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		if (pinwheel_stats((int) i, &stats) == NNG_OK && stats.cpu >= 0) {
			CPU_CLR((size_t) stats.cpu, &left);
		}
		snprintf(run.poller, sizeof(run.poller), "%s", stats.poller);
	}
	for (unsigned i = 0; i < run.count; i++) {
		uint64_t races = o->cancels / run.count + (i < o->cancels % run.count);
		if (!pw_cancels_prepare(i, o->seed + i, races, take_cpu(&left))) {
			return PW_EXIT_ENVIRONMENT;
		}
	}
	return PW_EXIT_OK;
}

/* ---- the command's thread ---- */

/* Waits up to 20 ms for SIGINT or SIGTERM; true: it came. */
static bool
interrupted(void)
{
	struct timespec moment = { 0, 20000000 };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	return sigtimedwait(&signals, NULL, &moment) > 0;
}

static void
watch(void)
{
	uint64_t start_ns = pinwheel_clock_ns();
	uint64_t last_turns = 0, moved_ns = start_ns, shown_s = 0, still_s = 0;

	while (!pw_cancels_are_over()) {
		bool wanted = !interrupted();
		uint64_t now_ns = pinwheel_clock_ns();
		uint64_t elapsed_s = (now_ns - start_ns) / UINT64_C(1000000000);
		struct pw_cancels_sums sums;

		pw_cancels_sum(&sums);
		if (!wanted || (pw_storm.options.seconds != 0 && elapsed_s >= pw_storm.options.seconds)) {
			pw_cancels_stop();
		}
		if (sums.turns != last_turns) {
			last_turns = sums.turns;
			moved_ns = now_ns;
			still_s = 0;
		} else if ((now_ns - moved_ns) / UINT64_C(1000000000) >= still_s + STILL_S) {
			still_s += STILL_S;
			pw_cancels_print_still(still_s);
		}
		if (now_ns - moved_ns > PW_CANCELS_STALL_S * UINT64_C(1000000000)) {
			pw_cancels_report_stall();
		}
		if (elapsed_s >= shown_s + 5) {
			shown_s = elapsed_s;
			fprintf(stderr, "%4" PRIu64 " s  %" PRIu64 " of %" PRIu64 " raced cancels, %.2f million/s\n",
			    elapsed_s, sums.all_raced, pw_storm.options.cancels,
			    (double) sums.all_raced / ((double) (now_ns - start_ns) / 1e9) / 1e6);
		}
	}
	run.seconds = (double) (pinwheel_clock_ns() - start_ns) / 1e9;
}

/* ---- the result ---- */

/* The kind of which one side has hardly won a race, PW_CANCELS_KINDS: none. */
static unsigned
unfair(const struct pw_cancels_sums *sums)
{
	for (unsigned kind = 0; sums->all_raced >= FAIR_FROM && kind < PW_CANCELS_KINDS; kind++) {
		uint64_t raced = sums->raced[kind], least = sums->canceled[kind];
		least = least < raced - least ? least : raced - least;
		if (raced * KIND_ONE_IN < sums->all_raced ||
		    (!pw_cancels_books[kind].one_sided && least * SIDE_ONE_IN < raced)) {
			return kind;
		}
	}
	return PW_CANCELS_KINDS;
}

static void
print_text(const struct pw_cancels_sums *sums, const char *verdict, bool ok)
{
	printf("\n%-30s %-20s %13s %13s %13s %13s\n", "home", "at the same time", "operations", "raced", "cancel won",
	    "other won");
	for (unsigned kind = 0; kind < PW_CANCELS_KINDS; kind++) {
		printf("%-30s %-20s %13" PRIu64 " %13" PRIu64 " %13" PRIu64 " %13" PRIu64 "  %s\n",
		    pw_cancels_books[kind].home, pw_cancels_books[kind].rival, sums->operations[kind],
		    sums->raced[kind], sums->canceled[kind], sums->raced[kind] - sums->canceled[kind],
		    pw_cancels_books[kind].other);
	}
	printf("%-30s %-20s %13" PRIu64 " %13" PRIu64 " %13" PRIu64 " %13" PRIu64 "\n", "all", "",
	    sums->all_operations, sums->all_raced, sums->all_canceled, sums->all_raced - sums->all_canceled);
	printf("\n%.2f million raced cancels/s over %.1f s, %u pair%s, poller %s, time by %s\n",
	    (double) sums->all_raced / run.seconds / 1e6, run.seconds, run.count, run.count == 1 ? "" : "s",
	    run.poller, pw_cancels_by_cycles() ? "the processor's counter" : "the clock");
	printf("ledger: %" PRIu64 " races and %" PRIu64
	       " operations after one, a callback each; the shard may have slept "
	       "before %" PRIu64 " of %" PRIu64 " turns\n",
	    sums->all_operations, sums->witnesses, sums->rests, sums->turns);
	printf("verdict: %s: %s (seed %" PRIu64 ")\n", ok ? "PASS" : "FAIL", verdict, pw_storm.options.seed);
}

static void
print_json(const struct pw_cancels_sums *sums, const char *verdict, bool ok)
{
	struct pw_json json = { stdout, false };
	char key[48];

	pw_json_open(&json, NULL);
	pw_json_string(&json, "verdict", verdict);
	pw_json_bool(&json, "ok", ok);
	pw_json_number(&json, "seed", pw_storm.options.seed);
	pw_json_string(&json, "poller", run.poller);
	pw_json_number(&json, "pairs", run.count);
	pw_json_real(&json, "seconds", run.seconds);
	pw_json_number(&json, "operations", sums->all_operations);
	pw_json_number(&json, "raced", sums->all_raced);
	pw_json_number(&json, "cancel_won", sums->all_canceled);
	pw_json_number(&json, "witnesses", sums->witnesses);
	pw_json_number(&json, "rests", sums->rests);
	for (unsigned kind = 0; kind < PW_CANCELS_KINDS; kind++) {
		snprintf(key, sizeof(key), "%s_operations", pw_cancels_books[kind].name);
		pw_json_number(&json, key, sums->operations[kind]);
		snprintf(key, sizeof(key), "%s_raced", pw_cancels_books[kind].name);
		pw_json_number(&json, key, sums->raced[kind]);
		snprintf(key, sizeof(key), "%s_cancel_won", pw_cancels_books[kind].name);
		pw_json_number(&json, key, sums->canceled[kind]);
	}
	pw_json_close(&json);
	putchar('\n');
}

static int
judge(const struct pw_cancels_sums *sums)
{
	unsigned kind = unfair(sums);
	char verdict[200];

	if (kind != PW_CANCELS_KINDS) {
		snprintf(verdict, sizeof(verdict), "the ledger balances, but the races %s were not fair",
		    pw_cancels_books[kind].name);
	} else {
		snprintf(verdict, sizeof(verdict),
		    "%" PRIu64 " raced cancels, each operation completed once, by its winner", sums->all_raced);
	}
	if (pw_storm.options.json) {
		print_json(sums, verdict, kind == PW_CANCELS_KINDS);
	} else {
		print_text(sums, verdict, kind == PW_CANCELS_KINDS);
	}
	fflush(stdout);
	return kind == PW_CANCELS_KINDS ? PW_EXIT_OK : PW_EXIT_FAILED;
}

int
pw_storm_cancels(void)
{
	struct pw_cancels_sums sums;
	int status = set_up();

	if (status != PW_EXIT_OK) {
		return status;
	}
	fprintf(stderr,
	    "pinwheel storm: seed %" PRIu64 ", %" PRIu64 " raced cancels, %u pairs of threads, poller %s\n",
	    pw_storm.options.seed, pw_storm.options.cancels, run.count, run.poller);
	if (!pw_cancels_start()) {
		exit(PW_EXIT_ENVIRONMENT);
	}
	watch();
	pw_cancels_balance(&sums);
	status = judge(&sums);
	pw_cancels_close();
	nng_fini();
	return status;
}

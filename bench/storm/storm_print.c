/* SPDX-License-Identifier: MIT
 *
 * storm_print.c: what `pinwheel storm` shows: a line a second on stderr, the result on stdout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/storm/storm.h"

void
pw_storm_print_head(void)
{
	const struct pw_storm_options *o = &pw_storm.options;

	fprintf(stderr, "pinwheel storm: seed %" PRIu64 ", %" PRIu32 " aios, %u threads, %d shards, %" PRIu32 " s\n",
	    o->seed, o->aios, o->threads, pw_storm.shards, o->seconds);
}

void
pw_storm_merge(void)
{
	memset(&pw_storm.finish_to_callback, 0, sizeof(pw_storm.finish_to_callback));
	memset(&pw_storm.abort_to_callback, 0, sizeof(pw_storm.abort_to_callback));
	memset(&pw_storm.lateness, 0, sizeof(pw_storm.lateness));
	for (unsigned i = 0; i < pw_storm.worker_count; i++) {
		pw_summary_add(&pw_storm.finish_to_callback, &pw_storm.workers[i].finish_to_callback);
		pw_summary_add(&pw_storm.abort_to_callback, &pw_storm.workers[i].abort_to_callback);
		pw_summary_add(&pw_storm.lateness, &pw_storm.workers[i].lateness);
	}
}

static bool
is_terminal(void)
{
	static int terminal = -1;

	if (terminal < 0) {
		terminal = isatty(STDERR_FILENO);
	}
	return terminal != 0;
}

static const char *
line_end(void)
{
	return is_terminal() ? "\033[K\r" : "\n";
}

static uint64_t
ended(const struct pw_ledger_counts *sum)
{
	return sum->called_back + sum->skipped + sum->silent;
}

void
pw_storm_print_progress(uint64_t second, uint64_t ended_before, double elapsed_s)
{
	struct pw_ledger_counts sum;

	if (!is_terminal() && second % 5 != 0) {
		return;
	}
	pw_ledger_sum(&pw_storm.ledger, &sum);
	pw_storm_merge();
	double rate = elapsed_s > 0 ? (double) (ended(&sum) - ended_before) / elapsed_s : 0;
	uint64_t started = sum.started;
	uint64_t done = ended(&sum);
	fprintf(stderr,
	    "%4" PRIu64 " s  %.0f ops/s  %" PRIu64 " outstanding  cancels %" PRIu64 " won, %" PRIu64
	    " without effect  lateness p99 %s%s",
	    second, rate, started > done ? started - done : 0, (uint64_t) sum.aborts_won,
	    sum.aborts > sum.aborts_won ? sum.aborts - sum.aborts_won : 0,
	    pw_report_duration(pw_summary_percentile_ns(&pw_storm.lateness, 99)).text, line_end());
	fflush(stderr);
}

void
pw_storm_print_phase(const char *what, uint64_t done)
{
	fprintf(stderr, "%s: %" PRIu64 " of %" PRIu32 "%s", what, done, pw_storm.options.aios, line_end());
	fflush(stderr);
}

void
pw_storm_print_violation(const struct pw_ledger_violation *violation)
{
	fprintf(stderr, "%spinwheel storm: VIOLATION: %s (%s)", is_terminal() ? "\n" : "", violation->what,
	    violation->detail);
	if (violation->index != PW_LEDGER_NO_SEAT) {
		fprintf(stderr, ": aio %" PRIu32 ", handle %" PRIu64 ", operation %" PRIu64, violation->index,
		    violation->handle, violation->operation);
	}
	fprintf(stderr, ", seed %" PRIu64 "\n", pw_storm.options.seed);
	if (pw_storm.options.json) {
		struct pw_json json = { stdout, false };
		pw_json_open(&json, NULL);
		pw_json_string(&json, "verdict", "violated");
		pw_json_string(&json, "what", violation->what);
		pw_json_string(&json, "detail", violation->detail);
		if (violation->index != PW_LEDGER_NO_SEAT) {
			pw_json_number(&json, "aio", violation->index);
			pw_json_number(&json, "handle", violation->handle);
			pw_json_number(&json, "operation", violation->operation);
		}
		pw_json_number(&json, "seed", pw_storm.options.seed);
		pw_json_close(&json);
		putchar('\n');
	}
	fflush(stdout);
	fflush(stderr);
}

/* ---- the result ---- */

static void
print_matrix(const struct pw_ledger_counts *sum)
{
	printf("\nwinner matrix: who ended the operation, by the state it met; in () attempts without effect\n%-14s",
	    "");
	for (unsigned column = 0; column < PW_LEDGER_COLUMNS; column++) {
		printf("%13s", pw_ledger_column_name[column]);
	}
	putchar('\n');
	for (unsigned row = 0; row < PW_LEDGER_ROWS; row++) {
		printf("%-14s", pw_ledger_row_name[row]);
		for (unsigned column = 0; column < PW_LEDGER_COLUMNS; column++) {
			char text[32];
			uint64_t n = sum->cell[row][column];
			switch (pw_ledger_effect[row][column]) {
			case PW_LEDGER_ENDS:
				snprintf(text, sizeof(text), "%" PRIu64, n);
				break;
			case PW_LEDGER_NO_EFFECT:
				snprintf(text, sizeof(text), "(%" PRIu64 ")", n);
				break;
			default:
				snprintf(text, sizeof(text), n == 0 ? "-" : "! %" PRIu64, n);
				break;
			}
			printf("%13s", text);
		}
		putchar('\n');
	}
}

static void
print_faults(void)
{
	uint64_t messages, bytes;
	const char *between = "faults: ";

	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		if (pw_fault_asked((enum pw_fault) i) != PW_FAULT_NOT_ASKED) {
			printf("%s%s %" PRIu64, between, pw_fault_text[i].name, pw_fault_hits((enum pw_fault) i));
			between = ", ";
		}
	}
	if (!pw_fault_any()) {
		return;
	}
	putchar('\n');
	pw_storm_net_counts(&messages, &bytes);
	if (bytes != 0) {
		printf("streams: %" PRIu64 " messages came back and were compared, %" PRIu64 " bytes echoed\n", messages,
		    bytes);
	}
}

static void
print_text(const struct pw_ledger_counts *sum, const char *verdict, bool ok)
{
	print_matrix(sum);
	putchar('\n');
	pw_report_latency_heading(stdout, "latency");
	pw_report_latency(stdout, "finish to callback", &pw_storm.finish_to_callback);
	pw_report_latency(stdout, "abort to callback", &pw_storm.abort_to_callback);
	pw_report_latency(stdout, "deadline to callback", &pw_storm.lateness);
	printf("\n%.0f operations/s over %.1f s, %.0f bytes of RSS per outstanding aio, shut down in %.1f s\n",
	    (double) pw_storm.ended_in_run / pw_storm.seconds_run, pw_storm.seconds_run, pw_storm.bytes_per_aio,
	    pw_storm.seconds_down);
	printf("ledger: %" PRIu64 " starts = %" PRIu64 " callbacks + %" PRIu64 " skipped + %" PRIu64
	       " silent (%" PRIu64 " refusals among them); messages %" PRIu64 " made, %" PRIu64 " gone\n",
	    (uint64_t) sum->started, (uint64_t) sum->called_back, (uint64_t) sum->skipped, (uint64_t) sum->silent,
	    (uint64_t) sum->refused, (uint64_t) sum->messages_made, (uint64_t) sum->messages_gone);
	print_faults();
	printf("verdict: %s: %s (seed %" PRIu64 ")\n", ok ? "PASS" : "FAIL", verdict, pw_storm.options.seed);
}

static void
print_json(const struct pw_ledger_counts *sum, const char *verdict, bool ok)
{
	struct pw_json json = { stdout, false };

	pw_json_open(&json, NULL);
	pw_json_string(&json, "verdict", verdict);
	pw_json_bool(&json, "ok", ok);
	pw_json_number(&json, "seed", pw_storm.options.seed);
	pw_json_number(&json, "aios", pw_storm.options.aios);
	pw_json_number(&json, "threads", pw_storm.options.threads);
	pw_json_number(&json, "shards", (uint64_t) pw_storm.shards);
	pw_json_real(&json, "seconds", pw_storm.seconds_run);
	pw_json_real(&json, "shutdown_seconds", pw_storm.seconds_down);
	pw_json_real(&json, "operations_per_second", (double) pw_storm.ended_in_run / pw_storm.seconds_run);
	pw_json_real(&json, "rss_bytes_per_aio", pw_storm.bytes_per_aio);
	pw_json_number(&json, "started", sum->started);
	pw_json_number(&json, "called_back", sum->called_back);
	pw_json_number(&json, "skipped", sum->skipped);
	pw_json_number(&json, "silent", sum->silent);
	pw_json_number(&json, "refused", sum->refused);
	pw_json_number(&json, "aborts", sum->aborts);
	pw_json_number(&json, "aborts_won", sum->aborts_won);
	pw_json_number(&json, "messages_made", sum->messages_made);
	pw_json_number(&json, "messages_gone", sum->messages_gone);
	pw_json_latency(&json, "finish_to_callback", &pw_storm.finish_to_callback);
	pw_json_latency(&json, "abort_to_callback", &pw_storm.abort_to_callback);
	pw_json_latency(&json, "deadline_to_callback", &pw_storm.lateness);
	pw_json_open(&json, "faults");
	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		if (pw_fault_asked((enum pw_fault) i) != PW_FAULT_NOT_ASKED) {
			pw_json_number(&json, pw_fault_text[i].name, pw_fault_hits((enum pw_fault) i));
		}
	}
	pw_json_close(&json);
	pw_json_open(&json, "matrix");
	for (unsigned row = 0; row < PW_LEDGER_ROWS; row++) {
		pw_json_open(&json, pw_ledger_row_name[row]);
		for (unsigned column = 0; column < PW_LEDGER_COLUMNS; column++) {
			if (pw_ledger_effect[row][column] != PW_LEDGER_UNREACHABLE) {
				pw_json_number(&json, pw_ledger_column_name[column], sum->cell[row][column]);
			}
		}
		pw_json_close(&json);
	}
	pw_json_close(&json);
	pw_json_close(&json);
	putchar('\n');
}

void
pw_storm_print_result(const struct pw_ledger_counts *sum, const char *verdict, bool ok)
{
	pw_storm_merge();
	if (pw_storm.options.json) {
		print_json(sum, verdict, ok);
	} else {
		print_text(sum, verdict, ok);
	}
	fflush(stdout);
}

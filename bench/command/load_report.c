/* SPDX-License-Identifier: MIT
 *
 * load_report.c: see load.h: the table while a run goes on, and the figures at its end, as text or as JSON, whose
 * keys README.md lists: they keep their names and their units.
 *
 * What was wrong is named on stderr in either case.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/command/load.h"
#include "bench/command/progress.h"
#include "bench/command/report.h"

/* The tallies of a URL, or of all of them. */
struct sum {
	uint64_t connections;
	uint64_t open;
	uint64_t unconnected;
	uint64_t failed;
	uint64_t corrupt;
	uint64_t sent;
	uint64_t answered;
	uint64_t late;
	uint64_t duplicate;
	uint64_t stray;
	uint64_t expired;
	uint64_t unsent;
	uint64_t abandoned;
	uint64_t lost; /* at the end; before, those whose answers are awaited are among them */
	uint64_t last_ns;
	struct pw_latency *latency; /* the caller's, zero at first */
	struct pw_latency *delay;   /* likewise, or NULL */
};

static void
add_tally(struct sum *sum, struct pw_load_tally *tally)
{
	/* Answers before sent: what is read as answered has been sent. */
	sum->answered += pw_load_relaxed_64(&tally->answered);
	sum->late += pw_load_relaxed_64(&tally->late);
	sum->abandoned += pw_load_relaxed_64(&tally->abandoned);
	sum->duplicate += pw_load_relaxed_64(&tally->duplicate);
	sum->stray += pw_load_relaxed_64(&tally->stray);
	sum->expired += pw_load_relaxed_64(&tally->expired);
	sum->unsent += pw_load_relaxed_64(&tally->unsent);
	sum->sent += pw_load_relaxed_64(&tally->sent);
	uint64_t last_ns = pw_load_relaxed_64(&tally->last_ns);
	sum->last_ns = last_ns > sum->last_ns ? last_ns : sum->last_ns;
	pw_latency_add(sum->latency, &tally->latency);
	if (sum->delay != NULL) {
		pw_latency_add(sum->delay, &tally->delay);
	}
}

static void
add_target(struct sum *sum, struct pw_load_target *target)
{
	pthread_mutex_lock(&pw_load.lock);
	sum->connections += target->connections;
	sum->open += target->open;
	sum->unconnected += target->unconnected;
	sum->failed += target->failed;
	sum->corrupt += target->corrupt;
	pthread_mutex_unlock(&pw_load.lock);
	for (int i = 0; i < pw_load.shards; i++) {
		add_tally(sum, &target->tallies[i]);
	}
	uint64_t found = sum->answered + sum->late + sum->abandoned;
	sum->lost = sum->sent > found ? sum->sent - found : 0;
}

/* ---- while it runs ---- */

struct second {
	struct pw_latency now;
	struct pw_latency before;
	struct pw_latency scratch;
};

static struct {
	struct pw_progress progress;
	struct second *seconds; /* one for each URL, and the last one for all */
	uint64_t seconds_shown;
	uint64_t at_ns;
} live;

void
pw_load_progress_open(void)
{
	pw_progress_open(&live.progress, pw_load.options.progress, true);
	if (pw_progress_shown(&live.progress)) {
		live.seconds = calloc(pw_load.options.url_count + 1, sizeof(*live.seconds));
	}
	live.at_ns = pinwheel_clock_ns();
}

void
pw_load_progress_close(void)
{
	pw_progress_close(&live.progress);
	free(live.seconds);
	live.seconds = NULL;
}

/* What came in the second that is over. `sum` has filled second->now. */
static struct pw_quantiles
quantiles_of_second(struct second *second)
{
	second->scratch = second->now;
	pw_latency_subtract(&second->scratch, &second->before);
	second->before = second->now;
	return pw_quantiles_of_latency(&second->scratch);
}

static void
show_target(unsigned t, double passed_s)
{
	struct second *second = &live.seconds[t];
	struct sum sum = { .latency = &second->now };

	second->now = (struct pw_latency){ 0 };
	add_target(&sum, &pw_load.targets[t]);
	struct pw_quantiles q = quantiles_of_second(second);
	pw_progress_row(&live.progress, "%-26.26s %7" PRIu64 " %11.0f %10s %10s %10s %9" PRIu64 " %9" PRIu64,
	    pw_load.targets[t].url, sum.open, (double) q.count / passed_s, pw_report_duration(q.p50_ns).text,
	    pw_report_duration(q.p99_ns).text, pw_report_duration(q.max_ns).text, sum.lost, sum.expired);
}

static void
show_all(double passed_s)
{
	struct second *second = &live.seconds[pw_load.options.url_count];
	struct sum sum = { .latency = &second->now };

	second->now = (struct pw_latency){ 0 };
	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		add_target(&sum, &pw_load.targets[t]);
	}
	struct pw_quantiles q = quantiles_of_second(second);
	pw_progress_total(&live.progress,
	    "%3" PRIu64 " s: %" PRIu64 " open, %.0f messages/s, p50 %s, p99 %s, max %s, %" PRIu64 " awaited, %" PRIu64
	    " expired",
	    live.seconds_shown, sum.open, (double) q.count / passed_s, pw_report_duration(q.p50_ns).text,
	    pw_report_duration(q.p99_ns).text, pw_report_duration(q.max_ns).text, sum.lost, sum.expired);
}

void
pw_load_progress_second(void)
{
	uint64_t now_ns = pinwheel_clock_ns();
	double passed_s = (double) (now_ns - live.at_ns) / 1e9;

	if (live.seconds == NULL) {
		return;
	}
	live.at_ns = now_ns;
	live.seconds_shown++;
	pw_progress_begin(&live.progress);
	pw_progress_row(&live.progress, "%-26s %7s %11s %10s %10s %10s %9s %9s", "this second", "open", "messages/s",
	    "p50", "p99", "max", "awaited", "expired");
	if (live.progress.in_place) {
		for (unsigned t = 0; t < pw_load.options.url_count; t++) {
			show_target(t, passed_s);
		}
	}
	show_all(passed_s);
}

/* ---- at the end ---- */

static const char *
mode_name(void)
{
	static const char
	    *const names[] = { [PW_LOAD_CLOSED] = "closed", [PW_LOAD_OPEN] = "open", [PW_LOAD_HOLD] = "hold" };

	return names[pw_load.mode];
}

/* From the beginning to the end of the time, or to the last answer if that came later. */
static double
seconds_of(const struct sum *sum)
{
	uint64_t end_ns = pw_load.end_ns;

	if (atomic_load(&pw_load.interrupted) || sum->last_ns > end_ns) {
		end_ns = sum->last_ns;
	}
	return end_ns > pw_load.start_ns ? (double) (end_ns - pw_load.start_ns) / 1e9 : 0;
}

static double
per_second(uint64_t count, double seconds)
{
	return seconds > 0 ? (double) count / seconds : 0;
}

static void
json_sum(struct pw_json *json, const struct sum *sum)
{
	double seconds = seconds_of(sum);

	pw_json_number(json, "connections", sum->connections);
	pw_json_number(json, "unconnected", sum->unconnected);
	pw_json_number(json, "failed", sum->failed);
	pw_json_number(json, "corrupt", sum->corrupt);
	pw_json_real(json, "seconds", seconds);
	pw_json_number(json, "messages", sum->answered);
	pw_json_real(json, "messages_per_second", per_second(sum->answered, seconds));
	pw_json_number(json, "sent", sum->sent);
	pw_json_number(json, "lost", sum->lost);
	pw_json_number(json, "late", sum->late);
	pw_json_number(json, "duplicate", sum->duplicate);
	pw_json_number(json, "stray", sum->stray);
	pw_json_number(json, "expired", sum->expired);
	pw_json_number(json, "unsent", sum->unsent);
	pw_json_number(json, "abandoned", sum->abandoned);
	struct pw_quantiles latency = pw_quantiles_of_latency(sum->latency);
	pw_json_quantiles(json, "latency", &latency);
	if (pw_load.mode == PW_LOAD_OPEN) {
		struct pw_quantiles delay = pw_quantiles_of_latency(sum->delay);
		pw_json_quantiles(json, "send_delay", &delay);
	}
}

static double
bytes_per_connection(const struct pw_command_usage *usage, const struct sum *sum)
{
	uint64_t before = usage[PW_LOAD_BEFORE].rss_bytes;
	uint64_t after = usage[PW_LOAD_FINISH].rss_bytes;
	uint64_t opened = sum->connections - sum->unconnected;

	return opened != 0 && after > before ? (double) (after - before) / (double) opened : 0;
}

static double
cpu_per_message(const struct pw_command_usage *usage, const struct sum *sum)
{
	uint64_t used_ns = usage[PW_LOAD_FINISH].cpu_ns - usage[PW_LOAD_BEGIN].cpu_ns;

	return sum->answered != 0 ? (double) used_ns / (double) sum->answered : 0;
}

static void
json_usage(struct pw_json *json, const char *key, const struct pw_command_usage *usage, const struct sum *sum)
{
	pw_json_open(json, key);
	pw_json_number(json, "rss_bytes_before", usage[PW_LOAD_BEFORE].rss_bytes);
	pw_json_number(json, "rss_bytes", usage[PW_LOAD_FINISH].rss_bytes);
	if (pw_load.mode == PW_LOAD_HOLD) {
		pw_json_real(json, "rss_bytes_per_connection", bytes_per_connection(usage, sum));
	} else {
		pw_json_real(json, "cpu_ns_per_message", cpu_per_message(usage, sum));
	}
	pw_json_close(json);
}

static void
print_json(const struct sum *all, const struct sum *each, bool ok)
{
	struct pw_json json = { stdout, false };

	pw_json_open(&json, NULL);
	pw_json_bool(&json, "ok", ok);
	pw_json_string(&json, "mode", mode_name());
	pw_json_bool(&json, "interrupted", atomic_load(&pw_load.interrupted));
	pw_json_number(&json, "size", pw_load.options.size);
	if (pw_load.mode == PW_LOAD_OPEN) {
		pw_json_number(&json, "intended_per_second", pw_load.options.rate);
	}
	json_sum(&json, all);
	json_usage(&json, "client", pw_load.own, all);
	if (pw_load.options.pid != 0) {
		json_usage(&json, "server", pw_load.server, all);
	}
	pw_json_list(&json, "urls");
	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		pw_json_open(&json, NULL);
		pw_json_string(&json, "url", pw_load.targets[t].url);
		json_sum(&json, &each[t]);
		pw_json_close(&json);
	}
	pw_json_list_end(&json);
	pw_json_close(&json);
	putchar('\n');
}

static void
print_table(const struct sum *all, const struct sum *each)
{
	struct pw_quantiles q = pw_quantiles_of_latency(all->latency);

	pw_report_latency_heading(stdout, pw_load.mode == PW_LOAD_OPEN ? "from the time due" : "round trip");
	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		struct pw_quantiles one = pw_quantiles_of_latency(each[t].latency);
		pw_report_quantiles(stdout, pw_load.targets[t].url, &one);
	}
	if (pw_load.options.url_count > 1) {
		pw_report_quantiles(stdout, "all", &q);
	}
	if (pw_load.mode == PW_LOAD_OPEN) {
		q = pw_quantiles_of_latency(all->delay);
		pw_report_quantiles(stdout, "of it, until sent", &q);
	}
}

static void
print_rate(const struct sum *sum)
{
	double seconds = seconds_of(sum);

	if (pw_load.mode == PW_LOAD_HOLD) {
		printf("%" PRIu64 " connections held for %.1f s, each with a receive pending, then a message of"
		       " %" PRIu32 " bytes on each, every byte compared\n",
		    sum->connections - sum->unconnected - sum->failed - sum->corrupt,
		    (double) (pw_load.end_ns - pw_load.start_ns) / 1e9, pw_load.options.size);
		return;
	}
	printf("%.0f messages/s of %" PRIu32 " bytes", per_second(sum->answered, seconds), pw_load.options.size);
	if (pw_load.mode == PW_LOAD_OPEN) {
		printf(", %" PRIu64 "/s intended,", pw_load.options.rate);
	}
	printf(" on %" PRIu64 " connections for %.2f s, every byte compared\n", sum->connections, seconds);
}

static void
print_counts(const struct sum *sum)
{
	printf("messages: %" PRIu64 " sent, %" PRIu64 " answered, %" PRIu64 " late, %" PRIu64 " lost, %" PRIu64
	       " duplicate, %" PRIu64 " stray, %" PRIu64 " unsent, %" PRIu64 " abandoned\n",
	    sum->sent, sum->answered, sum->late, sum->lost, sum->duplicate, sum->stray, sum->unsent, sum->abandoned);
	printf("connections: %" PRIu64 " failed, %" PRIu64 " corrupt, %" PRIu64 " not connected; %" PRIu64
	       " operations expired\n",
	    sum->failed, sum->corrupt, sum->unconnected, sum->expired);
}

static void
print_usage(const char *who, const struct pw_command_usage *usage, const struct sum *sum)
{
	printf("%s: RSS %s, %s before the first connection", who,
	    pw_report_size(usage[PW_LOAD_FINISH].rss_bytes).text,
	    pw_report_size(usage[PW_LOAD_BEFORE].rss_bytes).text);
	if (pw_load.mode == PW_LOAD_HOLD) {
		printf(": %.0f bytes per connection\n", bytes_per_connection(usage, sum));
	} else {
		printf("; CPU %.2f us per message\n", cpu_per_message(usage, sum) / 1e3);
	}
}

static void
print_text(const struct sum *all, const struct sum *each)
{
	print_table(all, each);
	print_rate(all);
	print_counts(all);
	if (pw_load.mode == PW_LOAD_HOLD) {
		print_usage("this process", pw_load.own, all);
	}
	if (pw_load.options.pid != 0) {
		char who[40];
		snprintf(who, sizeof(who), "process %ld", (long) pw_load.options.pid);
		print_usage(who, pw_load.server, all);
	}
}

static bool
nobody_answers(const struct pw_load_target *target, const struct sum *sum)
{
	return sum->unconnected == sum->connections ||
	    (target->udp && sum->lost != 0 && sum->answered + sum->late == 0);
}

/* A lost message is a broken promise of a stream, and none of UDP. */
static int
judge(const struct sum *each)
{
	int status = PW_EXIT_OK;

	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		const struct pw_load_target *target = &pw_load.targets[t];
		const struct sum *sum = &each[t];
		if (sum->failed != 0 || sum->corrupt != 0 || (!target->udp && sum->lost != 0)) {
			return PW_EXIT_FAILED;
		}
		if (sum->unconnected != 0 || nobody_answers(target, sum)) {
			status = PW_EXIT_ENVIRONMENT;
		}
	}
	return status;
}

static void
explain(const struct sum *each)
{
	for (unsigned t = 0; t < pw_load.options.url_count; t++) {
		if (nobody_answers(&pw_load.targets[t], &each[t])) {
			fprintf(stderr, "pinwheel load: nobody answers at %s\n", pw_load.targets[t].url);
		}
	}
	if (pw_load.why[0] != '\0') {
		fprintf(stderr, "pinwheel load: %s\n", pw_load.why);
	}
}

int
pw_load_report(void)
{
	unsigned count = pw_load.options.url_count;
	struct pw_latency *latencies = calloc(2 * (count + 1u), sizeof(*latencies));
	struct sum *sums = calloc(count + 1u, sizeof(*sums));

	if (latencies == NULL || sums == NULL) {
		fprintf(stderr, "pinwheel load: out of memory for the report\n");
		free(latencies);
		free(sums);
		return PW_EXIT_ENVIRONMENT;
	}
	for (unsigned i = 0; i <= count; i++) {
		sums[i].latency = &latencies[2 * i];
		sums[i].delay = &latencies[2 * i + 1];
	}
	for (unsigned t = 0; t < count; t++) {
		add_target(&sums[t], &pw_load.targets[t]);
		add_target(&sums[count], &pw_load.targets[t]);
	}
	int status = judge(sums);
	if (pw_load.options.json) {
		print_json(&sums[count], sums, status == PW_EXIT_OK);
	} else {
		print_text(&sums[count], sums);
	}
	explain(sums);
	fflush(stdout);
	free(latencies);
	free(sums);
	return status;
}

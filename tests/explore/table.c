/* SPDX-License-Identifier: MIT
 *
 * table.c: runs explorations, each in a child process, and prints how far each one came: to its end, and with which
 * bound, or which limit stopped it and where.
 *
 * What it is not: the search (explore.c). A child writes its row into a pipe, which holds it whole, and exits with its
 * status; the parent prints rows in the order of the entries. A child that ends without a row has crashed: then the
 * parent says so, and the trace is on stderr. A single exploration needs no child.
 */
#include "tests/explore/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/explore/rows.h"

#define ROW_SIZE 4096u /* PIPE_BUF: written at once */
#define ENDED_SIZE 640u

const char *const pw_table_memory[] = { [PW_MEMORY_SC] = "sc", [PW_MEMORY_TSO] = "tso", [PW_MEMORY_C11] = "c11" };
static const char *const search_name[] = {
	[PW_SEARCH_ALL] = "all",
	[PW_SEARCH_RANDOM] = "random",
	[PW_SEARCH_PCT] = "pct",
};

static const char tsv_head[] =
    "scenario\tmemory\tsearch\tverdict\tcomplete\tbound\tschedules\tlimit\tseconds\tended\tlaw\n";

const char pw_table_help[] =
    "The machine's form (--tsv): a head line with the names of the columns, then a line for each exploration, its "
    "columns separated by single tabs, in this order:\n"
    "  scenario   its name\n"
    "  memory     the memory model: sc, tso, c11\n"
    "  search     all, random or pct\n"
    "  verdict    complete, stopped (at a limit), drawn (random, pct: as many schedules as were asked for), failed, "
    "broken (cannot be explored)\n"
    "  complete   the greatest bound on preemptions that was explored to its end: 0 to 3; all: no bound withheld "
    "anything, these are all schedules; -: none was\n"
    "  bound      of the search that ended last, or was stopped, or failed; none: no limit on preemptions\n"
    "  schedules  run with that bound\n"
    "  limit      what stopped it: schedules, seconds; -: nothing did\n"
    "  seconds    the whole took, two decimals\n"
    "  ended      the same as a sentence: \"complete at bound 3\", \"complete unbounded\", \"stopped: N schedules / S "
    "seconds at bound B, complete at bound A\", \"FAILED at bound B: ...\"\n"
    "  law        what the scenario checks\n"
    "Exit status: 0 all passed, each to its end; 1 one failed; 2 usage, or one cannot be explored; 4 none failed, and "
    "one was stopped at a limit.\n";

static const char *
bound_text(unsigned bound, const char *none, char *text, size_t size)
{
	(void) snprintf(text, size, "%u", bound);
	return bound == PW_EXPLORE_BOUND_NONE ? none : text;
}

static const char *
complete_text(const struct pw_explore_report *r, char *text, size_t size)
{
	return r->complete == PW_EXPLORE_NOTHING ? "-" : bound_text((unsigned) r->complete, "all", text, size);
}

static const char *
verdict(const struct pw_explore_options *options, const struct pw_explore_report *r)
{
	return r->failed                            ? "failed"
	    : r->stopped                            ? "stopped"
	    : options->replay != NULL               ? "replayed"
	    : options->search != PW_SEARCH_ALL      ? "drawn"
						    : "complete";
}

/* How it ended, as a sentence. */
static const char *
ended(const struct pw_explore_options *options, const struct pw_explore_report *r, char *text)
{
	char bound[16], whole[16];
	const char *at = bound_text(r->bound, "none", bound, sizeof(bound));
	if (r->failed) {
		(void) snprintf(text, ENDED_SIZE, "FAILED at bound %s: %s", at, r->message);
	} else if (r->stopped) {
		int used = snprintf(text, ENDED_SIZE, "stopped: %" PRIu64 " schedules / %.0f seconds at bound %s",
		    r->schedules, r->seconds, at);
		if (r->complete != PW_EXPLORE_NOTHING) {
			(void) snprintf(text + used, ENDED_SIZE - (size_t) used, ", complete at bound %s",
			    complete_text(r, whole, sizeof(whole)));
		}
	} else if (options->replay != NULL) {
		(void) snprintf(text, ENDED_SIZE, "replayed");
	} else if (options->search == PW_SEARCH_PCT) {
		(void) snprintf(text, ENDED_SIZE, "drawn: pct of depth %u, seed %" PRIu64, options->depth, options->seed);
	} else if (options->search == PW_SEARCH_RANDOM) {
		(void) snprintf(text, ENDED_SIZE, "drawn: at random, seed %" PRIu64, options->seed);
	} else if (r->complete == PW_EXPLORE_BOUND_NONE) {
		(void) snprintf(text, ENDED_SIZE, "complete unbounded");
	} else {
		(void) snprintf(text, ENDED_SIZE, "complete at bound %s", at);
	}
	return text;
}

#define HUMAN_HEAD "%-26s %-6s %10s %10s %8s  %s\n"
#define HUMAN_ROW "%-26s %-6s %10" PRIu64 " %10" PRIu64 " %8.2f  %s\n"

static void
print_head(enum pw_table_form form)
{
	if (form == PW_TABLE_TSV) {
		(void) fputs(tsv_head, stdout);
	} else {
		(void) printf(HUMAN_HEAD, "scenario", "memory", "schedules", "states", "seconds", "ended");
	}
	(void) fflush(stdout);
}

static void
format_row(char *row, const struct pw_table_entry *e, enum pw_table_form form, const struct pw_explore_report *r)
{
	static const char *const limit[] = {
		[PW_LIMIT_NONE] = "-",
		[PW_LIMIT_SCHEDULES] = "schedules",
		[PW_LIMIT_SECONDS] = "seconds",
	};
	char bound[16], complete[16], text[ENDED_SIZE];
	const char *memory = pw_table_memory[e->options.memory];
	if (form == PW_TABLE_HUMAN) {
		(void) snprintf(row, ROW_SIZE, HUMAN_ROW, e->scenario->name, memory, r->schedules, r->states, r->seconds,
		    ended(&e->options, r, text));
		return;
	}
	(void) snprintf(row, ROW_SIZE, "%s\t%s\t%s\t%s\t%s\t%s\t%" PRIu64 "\t%s\t%.2f\t%s\t%s\n", e->scenario->name, memory,
	    search_name[e->options.search], verdict(&e->options, r), complete_text(r, complete, sizeof(complete)),
	    bound_text(r->bound, "none", bound, sizeof(bound)), r->schedules, limit[r->limit], r->seconds,
	    ended(&e->options, r, text), e->scenario->law);
}

/* The row of an exploration that cannot be made, or that has ended with the process. */
static void
format_broken(char *row, const struct pw_table_entry *e, enum pw_table_form form, bool failed, const char *why)
{
	const char *memory = pw_table_memory[e->options.memory];
	if (form == PW_TABLE_HUMAN) {
		(void) snprintf(row, ROW_SIZE, "%-26s %-6s %10s %10s %8s  %s: %s\n", e->scenario->name, memory, "-", "-", "-",
		    failed ? "FAILED" : "cannot be explored", why);
	} else {
		(void) snprintf(row, ROW_SIZE, "%s\t%s\t%s\t%s\t-\t-\t0\t-\t0.00\t%s: %s\t%s\n", e->scenario->name, memory,
		    search_name[e->options.search], failed ? "failed" : "broken",
		    failed ? "FAILED" : "cannot be explored", why, e->scenario->law);
	}
}

/* ---- the child */

/* Its exit status; the row goes to fd. */
static int
explore(const struct pw_table_entry *e, enum pw_table_form form, int fd)
{
	struct pw_explore_report report;
	char row[ROW_SIZE];
	int status = 2;
	pw_rows_scenario(e->number);
	if (pw_explore_run(e->scenario, &e->options, &report)) {
		format_row(row, e, form, &report);
		status = report.failed ? 1 : report.stopped ? 4 : 0;
	} else {
		format_broken(row, e, form, false, report.message);
	}
	return write(fd, row, strlen(row)) == (ssize_t) strlen(row) ? status : 2;
}

/* ---- the parent */

struct job {
	pid_t pid; /* 0: not begun, or over */
	int fd;
	char *row; /* NULL: not over */
};

static void
begin(struct job *job, const struct pw_table_entry *e, enum pw_table_form form)
{
	int end[2];
	(void) fflush(NULL);
	if (pipe(end) != 0 || (job->pid = fork()) < 0) {
		perror("explore");
		exit(2);
	}
	if (job->pid == 0) {
		static char trace[1 << 16]; /* a failure is printed as one piece */
		(void) setvbuf(stderr, trace, _IOFBF, sizeof(trace));
		(void) close(end[0]);
		int status = explore(e, form, end[1]);
		(void) fflush(NULL);
		_exit(status);
	}
	(void) close(end[1]);
	job->fd = end[0];
}

/* Its status. */
static int
end(struct job *job, const struct pw_table_entry *e, enum pw_table_form form, int wait_status)
{
	char row[ROW_SIZE];
	ssize_t size = read(job->fd, row, sizeof(row) - 1);
	(void) close(job->fd);
	job->pid = 0;
	if (size > 0) {
		row[size] = '\0';
	} else {
		format_broken(row, e, form, true, "the engine called abort(), or touched what is not memory");
	}
	job->row = strdup(row);
	if (job->row == NULL) {
		perror("explore");
		exit(2);
	}
	return size > 0 && WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
}

/* The worse of two. */
static int
worse(int a, int b)
{
	static const int rank[] = { [0] = 0, [4] = 1, [1] = 2, [2] = 3 };
	return rank[a] > rank[b] ? a : b;
}

int
pw_table_run(const struct pw_table_entry *entry, unsigned count, enum pw_table_form form, unsigned jobs)
{
	struct job *job = calloc(count, sizeof(*job));
	unsigned begun = 0, over = 0, printed = 0;
	int status = 0, wait_status;
	if (job == NULL) {
		return 2;
	}
	print_head(form);
	if (count == 1) {
		free(job);
		return explore(entry, form, STDOUT_FILENO); /* here, for a debugger */
	}
	while (over < count) {
		if (begun < count && begun - over < jobs) {
			begin(&job[begun], &entry[begun], form);
			begun++;
			continue;
		}
		pid_t pid = wait(&wait_status);
		unsigned i = 0;
		while (i < begun && job[i].pid != pid) {
			i++;
		}
		if (pid <= 0 || i == begun) {
			continue;
		}
		status = worse(status, end(&job[i], &entry[i], form, wait_status));
		over++;
		for (; printed < count && job[printed].row != NULL; printed++) {
			(void) fputs(job[printed].row, stdout);
			free(job[printed].row);
		}
		(void) fflush(stdout);
	}
	free(job);
	return status;
}

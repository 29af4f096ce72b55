/* SPDX-License-Identifier: MIT
 *
 * main.c: the command `explore`: runs scenarios, or replays one schedule of one.
 *
 * Exit status: 0 every scenario passed and was explored to its end, 1 one failed (the trace and the replay string are
 * on stderr), 2 usage, or a scenario that cannot be explored, 4 none failed and one was stopped at a limit. Of several
 * the first of 2, 1, 4 that applies. With --rows: 0 every transition has occurred, 1 one has not.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/shard/inbox.h"
#include "tests/explore/explore.h"
#include "tests/explore/rows.h"
#include "tests/explore/scenarios.h"
#include "tests/explore/seam.h"
#include "tests/explore/table.h"

static const struct pw_explore_scenario *const scenarios[] = {
#define PW_SCENARIO_ENTRY(NAME) &pw_scenario_##NAME,
	PW_SCENARIOS(PW_SCENARIO_ENTRY)
#undef PW_SCENARIO_ENTRY
};

#define SLOTS_EXPECTED 2u
#define SCHEDULES_DEFAULT 10000u /* drawn, where no limit is given */
#define BOUND_DEFAULT 2u
#define BOUND_DEFAULT_ALL 3u
#define BOUND_UNSET UINT32_MAX
#define JOBS_MAX 1024u
#define MODELS 3u
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

struct settings {
	struct pw_explore_options options;
	const char *scenario; /* NULL: all */
	enum pw_table_form form;
	unsigned jobs;
	bool list;
	bool all;
	bool rows;
	const char *notes; /* NULL: none */
};

enum option_key {
	KEY_TSV = 0x100,
	KEY_NOTES,
	KEY_ROWS,
};

static const struct argp_option option_table[] = {
	{ "scenario", 's', "NAME", 0, "Explore this scenario only", 0 },
	{ "bound", 'b', "N", 0, "At most N preemptions, 0 to 3, or 'none' for no limit (default 2; with --all 3)", 0 },
	{ "memory", 'M', "MODEL", 0, "Memory model: sc (default), tso, c11", 0 },
	{ "stale", 'S', "N", 0, "tso, c11: stores overlooked in one execution, at most N (default 1)", 0 },
	{ "search", 'k', "KIND", 0, "all (default), random or pct; the latter two draw schedules until a limit", 0 },
	{ "seed", 'e', "N", 0, "random, pct: where the drawing begins (default 1)", 0 },
	{ "depth", 'd', "N", 0, "pct: N - 1 changes of priority in a schedule (default 3)", 0 },
	{ "max-schedules", 'm', "N", 0, "Stop a scenario after N schedules (it is then not complete)", 0 },
	{ "schedules", 'm', NULL, OPTION_ALIAS, NULL, 0 },
	{ "seconds", 't', "S", 0, "Stop a scenario after S seconds (it is then not complete)", 0 },
	{ "replay", 'r', "STRING", 0, "Run one schedule of the scenario and print its trace", 0 },
	{ "all", 'a', NULL, 0, "The table: every scenario (or the one named) under every memory model", 0 },
	{ "jobs", 'j', "N", 0, "N explorations at a time (default 1); the rows' order stays", 0 },
	{ "tsv", KEY_TSV, NULL, 0, "Print the table for a machine, as described below", 0 },
	{ "notes", KEY_NOTES, "FILE", 0, "Note in FILE which transitions of the state word occur", 0 },
	{ "rows", KEY_ROWS, NULL, 0,
	    "Explore nothing; print what is noted in FILE: where each transition occurred; it fails if one never did", 0 },
	{ "list", 'l', NULL, 0, "List the scenarios and their laws", 0 },
	{ 0 },
};

static unsigned long long
number(const char *text, unsigned long long max, struct argp_state *state)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || *text == '-' || value > max) {
		argp_error(state, "'%s' is not a number from 0 to %llu", text, max);
	}
	return value;
}

static enum pw_explore_memory
memory_named(const char *name, struct argp_state *state)
{
	for (unsigned i = 0; i < MODELS; i++) {
		if (strcmp(name, pw_table_memory[i]) == 0) {
			return (enum pw_explore_memory) i;
		}
	}
	argp_error(state, "'%s' is no memory model: sc, tso or c11", name);
	return PW_MEMORY_SC;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct settings *settings = state->input;
	switch (key) {
	case 's':
		settings->scenario = arg;
		return 0;
	case 'b':
		settings->options.bound = strcmp(arg, "none") == 0
		    ? PW_EXPLORE_BOUND_NONE
		    : (unsigned) number(arg, PW_EXPLORE_BOUND_MAX, state);
		return 0;
	case 'k':
		settings->options.search = strcmp(arg, "random") == 0 ? PW_SEARCH_RANDOM
		    : strcmp(arg, "pct") == 0                         ? PW_SEARCH_PCT
								      : PW_SEARCH_ALL;
		if (settings->options.search == PW_SEARCH_ALL && strcmp(arg, "all") != 0) {
			argp_error(state, "'%s' is no search: all, random or pct", arg);
		}
		return 0;
	case 'e':
		settings->options.seed = number(arg, UINT64_MAX, state);
		return 0;
	case 'd':
		settings->options.depth = (unsigned) number(arg, 17, state);
		return 0;
	case 'M':
		settings->options.memory = memory_named(arg, state);
		return 0;
	case 'S':
		settings->options.stale = (unsigned) number(arg, 1000, state);
		return 0;
	case 'm':
		settings->options.schedules_max = number(arg, UINT64_MAX, state);
		return 0;
	case 't':
		settings->options.seconds_max = (double) number(arg, 1000000, state);
		return 0;
	case 'r':
		settings->options.replay = arg;
		settings->options.trace = true;
		return 0;
	case 'a':
		settings->all = true;
		return 0;
	case 'l':
		settings->list = true;
		return 0;
	case 'j':
		settings->jobs = (unsigned) number(arg, JOBS_MAX, state);
		settings->jobs += settings->jobs == 0;
		return 0;
	case KEY_NOTES:
		settings->notes = arg;
		return 0;
	case KEY_ROWS:
		settings->rows = true;
		return 0;
	case KEY_TSV:
		settings->form = PW_TABLE_TSV;
		return 0;
	case ARGP_KEY_END:
		if (settings->options.bound == BOUND_UNSET) {
			settings->options.bound = settings->all ? BOUND_DEFAULT_ALL : BOUND_DEFAULT;
		}
		if (settings->options.search != PW_SEARCH_ALL && settings->options.schedules_max == 0 &&
		    settings->options.seconds_max <= 0) {
			settings->options.schedules_max = SCHEDULES_DEFAULT;
		}
		if (settings->options.replay != NULL && settings->scenario == NULL) {
			argp_error(state, "--replay needs --scenario");
		}
		if (settings->rows && settings->notes == NULL) {
			argp_error(state, "--rows needs --notes");
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Large scenarios are drawn where no search was asked for. */
static struct pw_explore_options
options_for(const struct pw_explore_scenario *scenario, const struct pw_explore_options *options)
{
	struct pw_explore_options result = *options;
	if (scenario->large && result.search == PW_SEARCH_ALL && result.replay == NULL) {
		result.search = PW_SEARCH_PCT;
		result.schedules_max = result.schedules_max != 0 ? result.schedules_max : SCHEDULES_DEFAULT;
	}
	return result;
}

static void
list(const char *name)
{
	for (size_t i = 0; i < SCENARIOS; i++) {
		if (name == NULL || strcmp(name, scenarios[i]->name) == 0) {
			(void) printf("%-32s %s\n", scenarios[i]->name, scenarios[i]->law);
		}
	}
}

static const char *
name_of(unsigned index)
{
	return scenarios[index]->name;
}

int
main(int argc, char **argv)
{
	struct settings settings = {
		.options = { .bound = BOUND_UNSET, .stale = 1, .seed = 1, .depth = 3 },
		.jobs = 1,
	};
	static char doc[8192];
	static const struct argp argp = { option_table, parse, NULL, doc, NULL, NULL, NULL };
	static struct pw_table_entry entry[SCENARIOS * MODELS];
	unsigned count = 0;

	(void) snprintf(doc, sizeof(doc),
	    "Runs the engine's sources under every schedule with a bounded number of preemptions.\v%s", pw_table_help);
	argp_err_exit_status = 2;
	(void) argp_parse(&argp, argc, argv, 0, NULL, &settings);
	if (PW_INBOX_SLOTS != SLOTS_EXPECTED) {
		(void) fprintf(stderr, "explore: built with PW_INBOX_SLOTS=%u; the scenarios fill a ring of %u\n",
		    PW_INBOX_SLOTS, SLOTS_EXPECTED);
		return 2;
	}
	if (settings.list) {
		list(settings.scenario);
		return 0;
	}
	if (settings.notes != NULL && !pw_rows_open(settings.notes)) {
		perror(settings.notes);
		return 2;
	}
	if (settings.rows) {
		return pw_rows_print(name_of, SCENARIOS) == 0 ? 0 : 1;
	}
	for (size_t i = 0; i < SCENARIOS; i++) {
		if (settings.scenario != NULL && strcmp(settings.scenario, scenarios[i]->name) != 0) {
			continue;
		}
		struct pw_explore_options options = options_for(scenarios[i], &settings.options);
		for (unsigned memory = 0; memory < (settings.all ? MODELS : 1); memory++) {
			options.memory = settings.all ? (enum pw_explore_memory) memory : options.memory;
			entry[count++] = (struct pw_table_entry){ scenarios[i], options, (unsigned) i };
		}
	}
	if (count == 0) {
		(void) fprintf(stderr, "explore: no scenario '%s'; --list shows them\n", settings.scenario);
		return 2;
	}
	pw_seam_install();
	return pw_table_run(entry, count, settings.form, settings.jobs);
}

/* SPDX-License-Identifier: MIT
 *
 * main.c: the command `explore`: runs scenarios, or replays one schedule of one.
 *
 * Exit status: 0 every scenario passed and was explored to its end, 1 one failed (the trace and the replay string are
 * on stderr), 2 usage, or a scenario that cannot be explored, 4 none failed and one was stopped at a limit. Of several
 * the first of 2, 1, 4 that applies.
 */
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/shard/inbox.h"
#include "tests/explore/explore.h"
#include "tests/explore/scenarios.h"
#include "tests/explore/seam.h"

static const struct pw_explore_scenario *const scenarios[] = {
#define PW_SCENARIO_ENTRY(NAME) &pw_scenario_##NAME,
	PW_SCENARIOS(PW_SCENARIO_ENTRY)
#undef PW_SCENARIO_ENTRY
};

#define SLOTS_EXPECTED 2u
#define SCHEDULES_DEFAULT 10000u /* drawn, where no limit is given */
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

struct settings {
	struct pw_explore_options options;
	const char *scenario; /* NULL: all */
	bool list;
	bool all;
};

static const struct argp_option option_table[] = {
	{ "scenario", 's', "NAME", 0, "Explore this scenario only", 0 },
	{ "bound", 'b', "N", 0, "At most N preemptions, 0 to 3, or 'none' for no limit (default 2)", 0 },
	{ "memory", 'M', "MODEL", 0, "Memory model: sc (default), tso, c11", 0 },
	{ "stale", 'S', "N", 0, "tso, c11: stores overlooked in one execution, at most N (default 1)", 0 },
	{ "search", 'k', "KIND", 0, "all (default), random or pct; the latter two draw schedules until a limit", 0 },
	{ "seed", 'e', "N", 0, "random, pct: where the drawing begins (default 1)", 0 },
	{ "depth", 'd', "N", 0, "pct: N - 1 changes of priority in a schedule (default 3)", 0 },
	{ "max-schedules", 'm', "N", 0, "Stop a scenario after N schedules (it is then not complete)", 0 },
	{ "schedules", 'm', NULL, OPTION_ALIAS, NULL, 0 },
	{ "seconds", 't', "S", 0, "Stop a scenario after S seconds (it is then not complete)", 0 },
	{ "replay", 'r', "STRING", 0, "Run one schedule of the scenario and print its trace", 0 },
	{ "all", 'a', NULL, 0, "The table: every scenario under every memory model", 0 },
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

static const char *const memory_name[] = { [PW_MEMORY_SC] = "sc", [PW_MEMORY_TSO] = "tso", [PW_MEMORY_C11] = "c11" };

static enum pw_explore_memory
memory_named(const char *name, struct argp_state *state)
{
	for (unsigned i = 0; i < sizeof(memory_name) / sizeof(memory_name[0]); i++) {
		if (strcmp(name, memory_name[i]) == 0) {
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
	case ARGP_KEY_END:
		if (settings->options.search != PW_SEARCH_ALL && settings->options.schedules_max == 0 &&
		    settings->options.seconds_max <= 0) {
			settings->options.schedules_max = SCHEDULES_DEFAULT;
		}
		if (settings->options.replay != NULL && settings->scenario == NULL) {
			argp_error(state, "--replay needs --scenario");
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void
print_verdict(const struct pw_explore_scenario *scenario, const struct pw_explore_options *options,
    const struct pw_explore_report *r)
{
	char bound[8] = "none";
	if (r->bound != PW_EXPLORE_BOUND_NONE) {
		(void) snprintf(bound, sizeof(bound), "%u", r->bound);
	}
	const char *verdict = r->failed ? "FAILED"
	    : r->stopped                ? "stopped in"
	    : options->replay != NULL   ? "replayed"
	    : options->search != PW_SEARCH_ALL ? "drawn"
					: "complete";
	(void) printf("%-32s %-6s %-10s %5s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %7u %7u %8.2f s\n",
	    scenario->name, memory_name[options->memory], verdict, bound, r->schedules, r->pruned, r->states, r->shared, r->deepest, r->seconds);
	(void) fflush(stdout);
}

/* The exit status. */
static int
run_one(const struct pw_explore_scenario *scenario, const struct pw_explore_options *options)
{
	struct pw_explore_report report;
	if (!pw_explore_run(scenario, options, &report)) {
		(void) fprintf(stderr, "%s: cannot be explored: %s\n", scenario->name, report.message);
		return 2;
	}
	print_verdict(scenario, options, &report);
	return report.failed ? 1 : report.stopped ? 4 : 0;
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

/* The worse of two. */
static int
worse(int a, int b)
{
	static const int rank[] = { [0] = 0, [4] = 1, [1] = 2, [2] = 3 };
	return rank[a] > rank[b] ? a : b;
}

int
main(int argc, char **argv)
{
	struct settings settings = { .options = { .bound = 2, .stale = 1, .seed = 1, .depth = 3 } };
	static const struct argp argp = { option_table, parse, NULL,
		"Runs the engine's sources under every schedule with a bounded number of preemptions.", NULL, NULL,
		NULL };
	int status = 0;
	bool found = false;

	argp_err_exit_status = 2;
	(void) argp_parse(&argp, argc, argv, 0, NULL, &settings);
	if (PW_INBOX_SLOTS != SLOTS_EXPECTED) {
		(void) fprintf(stderr, "explore: built with PW_INBOX_SLOTS=%u; the scenarios fill a ring of %u\n",
		    PW_INBOX_SLOTS, SLOTS_EXPECTED);
		return 2;
	}
	pw_seam_install();
	if (!settings.list) {
		(void) printf("%-32s %-6s %-10s %5s %10s %10s %10s %7s %7s %10s\n", "scenario", "memory", "verdict", "bound",
		    "schedules", "pruned", "states", "words", "deepest", "time");
	}
	for (size_t i = 0; i < SCENARIOS; i++) {
		if (settings.scenario != NULL && strcmp(settings.scenario, scenarios[i]->name) != 0) {
			continue;
		}
		found = true;
		if (settings.list) {
			(void) printf("%-32s %s\n", scenarios[i]->name, scenarios[i]->law);
			continue;
		}
		struct pw_explore_options options = options_for(scenarios[i], &settings.options);
		if (!settings.all) {
			status = worse(status, run_one(scenarios[i], &options));
			continue;
		}
		for (unsigned memory = PW_MEMORY_SC; memory <= PW_MEMORY_C11; memory++) {
			options.memory = (enum pw_explore_memory) memory;
			status = worse(status, run_one(scenarios[i], &options));
		}
	}
	if (!found) {
		(void) fprintf(stderr, "explore: no scenario '%s'; --list shows them\n", settings.scenario);
		return 2;
	}
	return status;
}

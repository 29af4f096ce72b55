/* SPDX-License-Identifier: MIT
 *
 * main.c: the command `explore`: runs scenarios, or replays one schedule of one.
 *
 * Exit status: 0 every scenario passed, 1 one failed (the trace and the replay string are on stderr), 2 usage, or a
 * scenario that cannot be explored.
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
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

struct settings {
	struct pw_explore_options options;
	const char *scenario; /* NULL: all */
	bool list;
};

static const struct argp_option option_table[] = {
	{ "scenario", 's', "NAME", 0, "Explore this scenario only", 0 },
	{ "bound", 'b', "N", 0, "At most N preemptions, 0 to 3, or 'none' for no limit (default 2)", 0 },
	{ "max-schedules", 'm', "N", 0, "Stop a scenario after N schedules (it is then not complete)", 0 },
	{ "seconds", 't', "S", 0, "Stop a scenario after S seconds (it is then not complete)", 0 },
	{ "replay", 'r', "STRING", 0, "Run one schedule of the scenario and print its trace", 0 },
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
	case 'l':
		settings->list = true;
		return 0;
	case ARGP_KEY_END:
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
	    : r->stopped                ? "stopped at"
	    : options->replay != NULL   ? "replayed"
					: "complete";
	(void) printf("%-32s %-10s %5s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %7u %7u %8.2f s\n", scenario->name,
	    verdict, bound, r->schedules, r->pruned, r->states, r->shared, r->deepest, r->seconds);
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
	return report.failed ? 1 : 0;
}

int
main(int argc, char **argv)
{
	struct settings settings = { .options = { .bound = 2 } };
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
		(void) printf("%-32s %-10s %5s %10s %10s %10s %7s %7s %10s\n", "scenario", "verdict", "bound",
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
		int one = run_one(scenarios[i], &settings.options);
		status = one > status ? one : status;
	}
	if (!found) {
		(void) fprintf(stderr, "explore: no scenario '%s'; --list shows them\n", settings.scenario);
		return 2;
	}
	return status;
}

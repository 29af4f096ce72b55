/* SPDX-License-Identifier: MIT
 *
 * pinwheel.c: the command `pinwheel`: finds the subcommand and hands over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command/command.h"

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{ "storm", pw_storm_command },
	{ "echo", pw_echo_command },
	{ "load", pw_load_command },
	{ "info", pw_info_command },
};

static void
print_version(FILE *out, struct argp_state *state)
{
	(void) state;
	fprintf(out, "pinwheel %s (interface of NNG %d.%d.%d)\n", nng_version(), NNG_MAJOR_VERSION, NNG_MINOR_VERSION,
	    NNG_PATCH_VERSION);
}

static const struct subcommand *
find_subcommand(const char *name)
{
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
		if (strcmp(subcommands[i].name, name) == 0) {
			return &subcommands[i];
		}
	}
	return NULL;
}

/* Everything from the subcommand's name on is the subcommand's own command line. */
struct selection {
	const struct subcommand *subcommand;
	int first;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct selection *selection = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		selection->subcommand = find_subcommand(arg);
		if (selection->subcommand == NULL) {
			argp_error(state, "%s: expected storm, echo, load or info", arg);
			return EINVAL;
		}
		selection->first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected storm, echo, load or info");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	NULL,
	parse,
	"storm|echo|load|info [OPTION...]",
	"pinwheel: asynchronous I/O handles on pinned event loops.\v"
	"  storm   races every call of the aio interface against every other, and keeps a ledger\n"
	"  echo    an echo service on TCP, Unix-domain sockets and UDP\n"
	"  load    a load generator for it, closed or open loop, with percentiles and verified content\n"
	"  info    what the engine found on this machine, and every setting\n\n"
	"`pinwheel storm --help` and so on describe each.\n"
	"Exit status: 0 all well, 1 a promise was broken, 2 usage, 3 the machine does not allow it.",
	NULL,
	NULL,
	NULL,
};

int
main(int argc, char **argv)
{
	struct selection selection = { NULL, 0 };
	char name[64];

	argp_err_exit_status = PW_EXIT_USAGE;
	argp_program_version_hook = print_version;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &selection) != 0 || selection.subcommand == NULL) {
		return PW_EXIT_USAGE;
	}
	snprintf(name, sizeof(name), "pinwheel %s", selection.subcommand->name);
	argv[selection.first] = name;
	return selection.subcommand->run(argc - selection.first, argv + selection.first);
}

/* SPDX-License-Identifier: MIT
 *
 * command.h: what the subcommands of `pinwheel` share: their entry points, the exit status, the options that
 * configure the engine, numbers on a command line, and what the system says of a process.
 */
#ifndef PINWHEEL_BENCH_COMMAND_H
#define PINWHEEL_BENCH_COMMAND_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <pinwheel/pinwheel.h>

/* VERIFICATION: figures never decide these, only what was wrong does. */
enum {
	PW_EXIT_OK = 0,
	PW_EXIT_FAILED = 1,      /* a promise was broken, a byte lost */
	PW_EXIT_USAGE = 2,       /* the command line */
	PW_EXIT_ENVIRONMENT = 3, /* the machine: memory, descriptors, nobody listens, the engine cannot start */
};

/* argv[0] is "pinwheel NAME". Each returns the exit status. */
int pw_storm_command(int argc, char **argv);
int pw_echo_command(int argc, char **argv);
int pw_load_command(int argc, char **argv);
int pw_info_command(int argc, char **argv);

/* The options --shards, --idle and --poller. A subcommand names pw_engine_argp among its argp children and gives
 * a struct pw_engine_options as that child's input. */
struct pw_engine_options {
	int shards;
	enum pinwheel_idle idle;
	enum pinwheel_poller poller;
	/* Not options: what the subcommand wants. */
	pinwheel_thread_start_fn on_thread_start;
	uint64_t tick_ns; /* unless the environment says another; 0: the engine's default */
};
extern const struct argp pw_engine_argp;

/* Starts the engine. False: it has said on stderr why not, and the exit status is PW_EXIT_ENVIRONMENT. */
bool pw_engine_start(const struct pw_engine_options *options);

/* A decimal number in [min, max], or a usage error that names the option; does not return then. */
uint64_t pw_command_number(struct argp_state *state, const char *option, const char *text, uint64_t min,
    uint64_t max);

/* The shards that have a thread: those that the application would have to poll are not among them. */
int pw_command_shards(void);

/* Raises the limit of descriptors as far as the system lets it; returns how many more this process can open. */
uint64_t pw_command_descriptors_left(void);

/* What a process has used so far. False: errno says why not. */
struct pw_command_usage {
	uint64_t rss_bytes; /* resident memory, the kernel's share for sockets not counted */
	uint64_t cpu_ns;    /* of all its threads */
};
bool pw_command_usage_of(pid_t pid, struct pw_command_usage *usage);

#endif

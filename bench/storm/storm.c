/* SPDX-License-Identifier: MIT
 *
 * storm.c: `pinwheel storm`: its options and its phases.
 *
 *   fill     N handles, an operation on each; then RSS is read
 *   race     the threads of storm_race.c, for the time asked; this thread shows figures and looks for completions
 *            that do not come
 *   end      nothing is started any more, what is under way is ended; then stop on every handle, free or reap on
 *            every handle, until the engine has none left, nng_fini; then the ledger is balanced
 *
 * Faults (--fault, storm_fault.h) strike from the fill to the end, those of storm_imp.c during the race, with streams
 * beside it where they need some. The race goes on, AWAIT_FAULT_S at most, while one has not struck.
 *
 * A violation prints one line and ends the process at once, with 1: what has gone wrong inside cannot be trusted to
 * shut down. The seed steers what every thread intends; the interleaving is the machine's, so a seed makes a run
 * similar, not equal.
 *
 * Limits: 2^28 aios, 64 threads, 128 threads and shards together, 2^36 operations on one seat. A completion is called
 * lost after STALL_S seconds in which nothing came.
 */
#include "bench/storm/storm.h"
#include "bench/storm/storm_foreign.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define STALL_S 60u
#define SETTLE_S 120
#define AWAIT_FAULT_S 30u
#define SECONDS_DEFAULT 10u
#define CANCELS_MAX UINT64_C(1000000000000)
#define LATE_S 5u /* at the end: what has been due for longer is waited for as long as others complete */
#define THREADS_MAX 64u
#define RECORD_BYTES 300u /* what the engine takes for one aio, generously */

struct pw_storm pw_storm;

const char *const pw_storm_share_name[PW_STORM_SHARES] = {
	[PW_STORM_START] = "start",
	[PW_STORM_BEGIN] = "begin",
	[PW_STORM_DEFER] = "defer",
	[PW_STORM_SYNC] = "sync",
	[PW_STORM_SLEEP] = "sleep",
	[PW_STORM_FINISH] = "finish",
	[PW_STORM_ABORT] = "abort",
	[PW_STORM_CANCEL] = "cancel",
	[PW_STORM_REAP] = "reap",
	[PW_STORM_STOP] = "stop",
	[PW_STORM_FREE] = "free",
	[PW_STORM_WAIT] = "wait",
	[PW_STORM_NEAR] = "near",
	[PW_STORM_RESUBMIT] = "resubmit",
	[PW_STORM_SKIP] = "skip",
};

static const uint32_t share_default[PW_STORM_SHARES] = {
	[PW_STORM_START] = 50,
	[PW_STORM_BEGIN] = 25,
	[PW_STORM_DEFER] = 5,
	[PW_STORM_SYNC] = 5,
	[PW_STORM_SLEEP] = 15,
	[PW_STORM_FINISH] = 50,
	[PW_STORM_ABORT] = 20,
	[PW_STORM_CANCEL] = 10,
	[PW_STORM_REAP] = 2,
	[PW_STORM_STOP] = 3,
	[PW_STORM_FREE] = 3,
	[PW_STORM_WAIT] = 3,
	[PW_STORM_NEAR] = 10,
	[PW_STORM_RESUBMIT] = 50,
	[PW_STORM_SKIP] = 12,
};

/* ---- options ---- */

enum {
	KEY_MATRIX = 256,
	KEY_JSON,
	KEY_FAULT,
	KEY_PROVIDER,
	KEY_CANCELS,
};

static const struct argp_option own_options[] = {
	{ "aios", 'n', "N", 0, "Operations outstanding at all times (default 100000)", 0 },
	{ "seconds", 't', "S", 0, "How long to race (default 10; with --cancels: until there are N)", 0 },
	{ "seed", 'x', "X", 0, "What the threads intend (default: random, printed)", 0 },
	{ "threads", 'j', "T", 0,
	    "Racing threads, at least 2; every second one also makes the calls that wait (default 4)", 0 },
	{ "mix", 'm', "NAME=N,...", 0,
	    "Weights of the forms start, begin, defer, sync, sleep and of the acts finish, abort, cancel, reap, "
	    "stop, free, wait; percentages near (deadlines), resubmit (callbacks that start again), skip (callbacks)",
	    0 },
	{ "require-matrix", KEY_MATRIX, NULL, 0, "Fail when a reachable cell of the winner matrix stays empty", 0 },
	{ "json", KEY_JSON, NULL, 0, "Print the result as one JSON object", 0 },
	{ "provider", KEY_PROVIDER, "FILE.so", 0, "Race the operations of this provider, see <pinwheel/test.h>", 0 },
	{ "cancels", KEY_CANCELS, "N", 0,
	    "Instead: a few handles that stay in the cache, and cancels that race a finish, a start, a deadline or "
	    "another abort, until N of them have overlapped. Takes --seconds, --seed, --json and the engine's",
	    0 },
	{ "fault", KEY_FAULT, "NAME[=N]", 0,
	    "Make this go wrong, at N of 1000 occasions; several times, or all. The run fails if it never struck",
	    0 },
};

#define OWN_OPTIONS (sizeof(own_options) / sizeof(own_options[0]))

static struct argp_option option_list[OWN_OPTIONS + 1 + PW_FAULT_COUNT + 1];

/* The options, then the names of the faults. */
static void
list_options(void)
{
	memcpy(option_list, own_options, sizeof(own_options));
	option_list[OWN_OPTIONS] = (struct argp_option){ .doc = "Faults (and their occasions):", .group = 2 };
	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		option_list[OWN_OPTIONS + 1 + i] = (struct argp_option){
			.name = pw_fault_text[i].name,
			.flags = OPTION_DOC | OPTION_NO_USAGE,
			.doc = pw_fault_text[i].text,
			.group = 2,
		};
	}
}

static void
parse_fault(struct argp_state *state, const char *request)
{
	const char *wrong = pw_fault_ask(request);

	if (wrong != NULL) {
		argp_error(state, "--fault=%s: %s", request, wrong);
	}
}

static void
parse_share(struct argp_state *state, char *item)
{
	char *value = strchr(item, '=');

	if (value != NULL) {
		*value++ = '\0';
		for (unsigned i = 0; i < PW_STORM_SHARES; i++) {
			if (strcmp(item, pw_storm_share_name[i]) == 0) {
				uint64_t max = i >= PW_STORM_NEAR ? 100 : 1000000;
				pw_storm.options.share[i] = (uint32_t) pw_command_number(state, item, value, 0, max);
				return;
			}
		}
	}
	argp_error(state,
	    "--mix: %s: expected NAME=NUMBER with one of start, begin, defer, sync, sleep, finish, abort, "
	    "cancel, reap, stop, free, wait, near, resubmit, skip",
	    item);
}

static void
parse_mix(struct argp_state *state, const char *list)
{
	char *copy = strdup(list);
	char *rest = NULL;

	for (char *item = copy == NULL ? NULL : strtok_r(copy, ",", &rest); item != NULL;
	     item = strtok_r(NULL, ",", &rest)) {
		parse_share(state, item);
	}
	free(copy);
}

/* The last option given that only the storm over many handles has, NULL: none. */
static const char *storm_option;

static void
note_option(int key)
{
	switch (key) {
	case 'n':
	case 'j':
	case 'm':
	case KEY_MATRIX:
	case KEY_FAULT:
	case KEY_PROVIDER:
		for (unsigned i = 0; i < OWN_OPTIONS; i++) {
			storm_option = own_options[i].key == key ? own_options[i].name : storm_option;
		}
		break;
	default:
		break;
	}
}

/* Whether --cancels goes with the options that were given. */
static void
check_cancels(struct argp_state *state)
{
	struct pw_storm_options *o = &pw_storm.options;

	if (o->cancels != 0 && storm_option != NULL) {
		argp_error(state, "--cancels: --%s does not go with it", storm_option);
	}
	if (o->cancels == 0 && o->seconds == 0) {
		o->seconds = SECONDS_DEFAULT;
	}
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct pw_storm_options *o = &pw_storm.options;

	note_option(key);
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->engine;
		return 0;
	case 'n':
		o->aios = (uint32_t) pw_command_number(state, "--aios", arg, 1, PW_LEDGER_SEATS_MAX);
		return 0;
	case 't':
		o->seconds = (uint32_t) pw_command_number(state, "--seconds", arg, 1, 1000000);
		return 0;
	case 'x':
		o->seed = pw_command_number(state, "--seed", arg, 0, UINT64_MAX);
		return 0;
	case 'j':
		o->threads = (unsigned) pw_command_number(state, "--threads", arg, 2, THREADS_MAX);
		return 0;
	case 'm':
		parse_mix(state, arg);
		return 0;
	case KEY_MATRIX:
		o->require_matrix = true;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_FAULT:
		parse_fault(state, arg);
		return 0;
	case KEY_PROVIDER:
		o->provider = arg;
		return 0;
	case KEY_CANCELS:
		o->cancels = pw_command_number(state, "--cancels", arg, 1, CANCELS_MAX);
		return 0;
	case ARGP_KEY_END:
		check_cancels(state);
		if (o->provider != NULL && o->require_matrix) {
			argp_error(state, "--require-matrix: its cells are those of the storm's own provider");
		}
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no argument is expected", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void
parse_options(int argc, char **argv)
{
	static const struct argp_child children[] = { { &pw_engine_argp, 0, "Engine:", 3 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = { option_list, parse, NULL,
		"Races start, begin, defer, finish, abort, cancel, timeout, stop, free, reap, sleep, wait, "
		"skip_callback and resubmission over N outstanding aios, and checks every completion against a "
		"ledger kept outside "
		"them.\v"
		"Exit status: 0 balanced, 1 not, 2 usage, 3 the machine does not allow it.",
		children, NULL, NULL };
	struct pw_storm_options *o = &pw_storm.options;

	list_options();
	o->aios = 100000;
	o->threads = 4;
	memcpy(o->share, share_default, sizeof(o->share));
	if (getrandom(&o->seed, sizeof(o->seed), 0) != (ssize_t) sizeof(o->seed)) {
		o->seed = (uint64_t) time(NULL);
	}
	o->seed &= INT64_MAX;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

/* ---- violations ---- */

static void
on_violation(const struct pw_ledger_violation *violation, void *arg)
{
	static _Atomic bool reported;

	(void) arg;
	if (!atomic_exchange(&reported, true)) {
		pw_storm_print_violation(violation);
		_Exit(PW_EXIT_FAILED);
	}
	for (;;) {
		pause(); /* the first one is being printed, and ends the process */
	}
}

void
pw_storm_violation(const char *what, const char *detail)
{
	struct pw_ledger_violation violation = { what, PW_LEDGER_NO_SEAT, 0, 0, "" };

	snprintf(violation.detail, sizeof(violation.detail), "%s", detail);
	on_violation(&violation, NULL);
}

/* The storm keeps to the contract, so a misuse that is reported is a violation, the engine's or the storm's. */
static void
on_misuse(const struct pinwheel_misuse *misuse)
{
	struct pw_ledger_violation violation = { "misuse was reported", PW_LEDGER_NO_SEAT, 0, 0, "" };

	for (uint32_t i = 0; misuse->aio != NULL && i < pw_storm.options.aios; i++) {
		if (atomic_load(&pw_storm.seats[i].aio) == misuse->aio) {
			violation.index = i;
			violation.handle = pw_ledger_handle_of(&pw_storm.ledger, i);
			violation.operation = pw_ledger_operation_of(atomic_load(&pw_storm.ledger.entries[i].op));
		}
	}
	snprintf(violation.detail, sizeof(violation.detail), "%s%s%s: %s", misuse->function,
	    misuse->aio != NULL ? " on an aio that is " : "", misuse->state, misuse->reason);
	on_violation(&violation, NULL);
}

/* ---- memory ---- */

static bool
read_number(const char *path, const char *key, uint64_t *value)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	if (file == NULL) {
		return false;
	}
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		size_t skip = strlen(key);
		found = strncmp(line, key, skip) == 0 && sscanf(line + skip, "%" SCNu64, value) == 1;
	}
	fclose(file);
	return found;
}

static uint64_t
memory_available(void)
{
	uint64_t bytes = UINT64_MAX;
	uint64_t kib;
	uint64_t max;
	uint64_t used;

	if (read_number("/proc/meminfo", "MemAvailable:", &kib)) {
		bytes = kib * 1024;
	}
	if (read_number("/sys/fs/cgroup/memory.max", "", &max) &&
	    read_number("/sys/fs/cgroup/memory.current", "", &used)) {
		uint64_t left = max > used ? max - used : 0;
		bytes = left < bytes ? left : bytes;
	}
	return bytes;
}

static uint64_t
resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = 0;

	if (file != NULL) {
		if (fscanf(file, "%*u %" SCNu64, &pages) != 1) {
			pages = 0;
		}
		fclose(file);
	}
	return pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static size_t
bytes_per_seat(void)
{
	return sizeof(struct pw_storm_seat) + sizeof(struct pw_ledger_entry) + sizeof(struct pw_claim) +
	    2 * sizeof(uint32_t) + RECORD_BYTES;
}

static bool
memory_suffices(void)
{
	uint64_t available = memory_available();
	uint64_t needed = (uint64_t) pw_storm.options.aios * bytes_per_seat();

	if (needed < available) {
		return true;
	}
	fprintf(stderr,
	    "pinwheel storm: not enough memory for %" PRIu32 " aios: %" PRIu64 " MiB needed, %" PRIu64
	    " MiB available; --aios %" PRIu64 " would fit\n",
	    pw_storm.options.aios, needed >> 20, available >> 20, available / 10 * 9 / bytes_per_seat());
	return false;
}

/* ---- set-up ---- */

static bool
open_seats(void)
{
	size_t size = (size_t) pw_storm.options.aios * sizeof(struct pw_storm_seat);

	pw_storm.seats = pw_ledger_table(size);
	return pw_storm.seats != NULL;
}

static bool
open_workers(void)
{
	unsigned threads = pw_storm.options.threads;

	pw_storm.worker_count = threads + (unsigned) pw_storm.shards;
	if (pw_storm.worker_count > PW_LEDGER_TALLIES_MAX) {
		fprintf(stderr, "pinwheel storm: %u threads and %d shards are more than %u together\n", threads,
		    pw_storm.shards, PW_LEDGER_TALLIES_MAX);
		return false;
	}
	size_t size = pw_storm.worker_count * sizeof(struct pw_storm_worker);
	pw_storm.workers = aligned_alloc(64, size);
	if (pw_storm.workers == NULL) {
		return false;
	}
	memset((void *) pw_storm.workers, 0, size);
	for (unsigned i = 0; i < pw_storm.worker_count; i++) {
		struct pw_storm_worker *worker = &pw_storm.workers[i];
		worker->may_block = i < threads && i % 2 == 1;
		worker->actor.dice =
		    (pw_storm.options.seed + 1) * UINT64_C(0x2545f4914f6cdd1d) + i * UINT64_C(0x9e3779b97f4a7c15);
		worker->actor.tally = pw_ledger_add_tally(&pw_storm.ledger);
		if (worker->actor.tally == NULL) {
			return false;
		}
	}
	atomic_store(&pw_storm.blockers, threads / 2);
	return true;
}

/* PW_EXIT_OK, or why not. */
static int
set_up(void)
{
	uint32_t aios = pw_storm.options.aios;

	if (!memory_suffices() || !pw_storm_imp_before(&pw_storm.options.engine) ||
	    !pw_engine_start(&pw_storm.options.engine)) {
		return PW_EXIT_ENVIRONMENT;
	}
	pw_storm.shards = pinwheel_shard_count();
	if (!pw_storm_imp_started()) {
		return PW_EXIT_ENVIRONMENT;
	}
	if (!pw_ledger_open(&pw_storm.ledger, aios) || !open_seats() || !pw_pile_open(&pw_storm.idle, aios) ||
	    !pw_provider_open(&pw_storm.provider, &pw_storm.ledger, aios, pw_storm_actor) || !open_workers()) {
		fprintf(stderr, "pinwheel storm: no memory for a ledger of %" PRIu32 " aios: %s\n", aios,
		    strerror(errno));
		return PW_EXIT_ENVIRONMENT;
	}
	if (!pw_foreign_open(aios)) {
		return PW_EXIT_ENVIRONMENT;
	}
	pw_storm.ledger.on_violation = on_violation;
	pinwheel_set_misuse_handler(on_misuse);
	pw_storm_print_head();
	return PW_EXIT_OK;
}

/* ---- phases ---- */

struct slice {
	void (*work)(struct pw_storm_worker *worker, uint32_t from, uint32_t to);
	struct pw_storm_worker *worker;
	uint32_t from;
	uint32_t to;
};

static _Atomic unsigned slices_left;

static void *
run_slice(void *arg)
{
	struct slice *slice = arg;

	slice->work(slice->worker, slice->from, slice->to);
	atomic_fetch_sub(&slices_left, 1);
	return NULL;
}

static bool
start_thread(struct pw_storm_worker *worker, void *(*run)(void *), void *arg)
{
	int err = pthread_create(&worker->thread, NULL, run, arg);

	if (err != 0) {
		fprintf(stderr, "pinwheel storm: no thread: %s\n", strerror(err));
		exit(PW_EXIT_ENVIRONMENT);
	}
	return true;
}

/* Waits up to a second for SIGINT or SIGTERM; true: it came. */
static bool
interrupted(long ns)
{
	struct timespec second = { ns / 1000000000, ns % 1000000000 };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	return sigtimedwait(&signals, NULL, &second) > 0;
}

/* Something should move, and does not. */
static void
report_stall(const char *phase)
{
	for (uint32_t i = 0; i < pw_storm.options.aios; i++) {
		uint64_t op = atomic_load(&pw_storm.ledger.entries[i].op);
		if (pw_ledger_phase_of(op) != PW_LEDGER_IDLE) {
			pw_ledger_report(&pw_storm.ledger, i, "nothing moves any more", phase);
		}
	}
	pw_ledger_report(&pw_storm.ledger, 0, "nothing moves any more, with every operation ended", phase);
}

/* Every thread does its part of the seats; this one shows how far they are. */
static void
run_phase(const char *name, void (*work)(struct pw_storm_worker *worker, uint32_t from, uint32_t to))
{
	unsigned threads = pw_storm.options.threads;
	struct slice slices[THREADS_MAX];
	uint64_t last = 0;
	unsigned quiet = 0;

	atomic_store(&pw_storm.progress, 0);
	atomic_store(&slices_left, threads);
	for (unsigned i = 0; i < threads; i++) {
		uint64_t aios = pw_storm.options.aios;
		slices[i] = (struct slice){ work, &pw_storm.workers[i], (uint32_t) (aios * i / threads),
			(uint32_t) (aios * (i + 1) / threads) };
		start_thread(&pw_storm.workers[i], run_slice, &slices[i]);
	}
	for (unsigned tenth = 1; atomic_load(&slices_left) != 0; tenth++) {
		(void) interrupted(20000000);
		uint64_t done = atomic_load(&pw_storm.progress);
		quiet = done == last ? quiet + 1 : 0;
		last = done;
		if (tenth % 50 == 0) {
			pw_storm_print_phase(name, done);
		}
		if (quiet > STALL_S * 50) {
			report_stall(name);
		}
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(pw_storm.workers[i].thread, NULL);
	}
}

static void *
run_race(void *arg)
{
	pw_storm_race(arg);
	return NULL;
}

static uint64_t
ended_so_far(void)
{
	struct pw_ledger_counts sum;

	pw_ledger_sum(&pw_storm.ledger, &sum);
	return sum.called_back + sum.skipped + sum.silent;
}

static uint64_t
outstanding(void)
{
	struct pw_ledger_counts sum;

	pw_ledger_sum(&pw_storm.ledger, &sum);
	return sum.started - (sum.called_back + sum.skipped + sum.silent);
}

static double
seconds_since(uint64_t start_ns)
{
	return (double) (pinwheel_clock_ns() - start_ns) / 1e9;
}

static void
look_for_lost(void)
{
	uint64_t now_ns = pinwheel_clock_ns();

	for (uint32_t i = 0; i < pw_storm.options.aios; i++) {
		pw_ledger_overdue(&pw_storm.ledger, i, now_ns, STALL_S * UINT64_C(1000000000));
	}
}

/* Those that wait for an operation are let go by the others, who finish it; unless it was lost. */
static void
await_blockers(void)
{
	for (unsigned quiet = 0; atomic_load(&pw_storm.blockers) != 0; quiet++) {
		if (quiet > STALL_S * 100) {
			report_stall("a stop, free or wait does not return");
		}
		(void) interrupted(10000000);
	}
}

/* For the time asked, and for longer where a fault that was asked for is rare on this machine and has not struck. */
static bool
goes_on(uint64_t second)
{
	uint64_t asked = pw_storm.options.seconds;
	return second <= asked || (second <= asked + AWAIT_FAULT_S && pw_fault_awaited());
}

static void
race(void)
{
	unsigned threads = pw_storm.options.threads;

	atomic_store(&pw_storm.race_ns, pinwheel_clock_ns());
	uint64_t before = ended_so_far();
	uint64_t start_ns = pinwheel_clock_ns();

	for (unsigned i = 0; i < threads; i++) {
		start_thread(&pw_storm.workers[i], run_race, &pw_storm.workers[i]);
	}
	if (!pw_storm_imp_start()) {
		fprintf(stderr, "pinwheel storm: no thread for the faults\n");
		exit(PW_EXIT_ENVIRONMENT);
	}
	for (uint64_t second = 1; goes_on(second); second++) {
		uint64_t until_ns = start_ns + second * UINT64_C(1000000000);
		uint64_t now_ns = pinwheel_clock_ns();
		if (now_ns < until_ns && interrupted((long) (until_ns - now_ns))) {
			break;
		}
		pw_storm_print_progress(second, before, seconds_since(start_ns));
		look_for_lost();
	}
	pw_storm.seconds_run = seconds_since(start_ns);
	pw_storm.ended_in_run = ended_so_far() - before;
	atomic_store(&pw_storm.race_ns, PINWHEEL_NEVER_NS);
	pw_storm_imp_stop();
	atomic_store(&pw_storm.calm, true);
	await_blockers();
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(pw_storm.workers[i].thread, NULL);
	}
}

static void
pass_shard(void *arg)
{
	atomic_fetch_sub((_Atomic unsigned *) arg, 1);
}

/* When it returns, every callback that had begun before has ended. */
static void
pass_all_shards(void)
{
	static _Atomic unsigned left;
	unsigned quiet = 0;

	atomic_store(&left, (unsigned) pw_storm.shards);
	for (int i = 0; i < pw_storm.shards; i++) {
		nng_err err;
		do {
			err = pinwheel_run_on(i, pass_shard, (void *) &left);
		} while (pw_storm_starved(err));
		if (err != NNG_OK) {
			pw_ledger_report(&pw_storm.ledger, 0, "a shard takes no function to run", nng_strerror(err));
		}
	}
	while (atomic_load(&left) != 0) {
		(void) interrupted(1000000);
		if (++quiet > STALL_S * 1000) {
			report_stall("a shard does not run");
		}
	}
}

/* Filling is a start of everything at once. The race begins when the shards have caught up with it, and each has passed
 * twice; on a machine that is too busy for them ever to catch up, after SETTLE_S. */
static void
settle(void)
{
	uint64_t start_ns = pinwheel_clock_ns(), last = 0;

	for (unsigned quiet = 0; pw_ledger_backlog(&pw_storm.ledger) > 1000 && seconds_since(start_ns) < SETTLE_S;) {
		uint64_t ended = ended_so_far();
		quiet = ended == last ? quiet + 1 : 0;
		last = ended;
		if (quiet > STALL_S * 100) {
			report_stall("the backlog of the start");
		}
		(void) interrupted(10000000);
	}
	if (pw_ledger_backlog(&pw_storm.ledger) > 1000) {
		fprintf(stderr,
		    "the shards have not caught up with the start in %d s; the race begins all the same\n", SETTLE_S);
	}
	pass_all_shards();
	pass_all_shards();
}

static void
await_all_ended(void)
{
	uint64_t last = UINT64_MAX;
	unsigned quiet = 0;

	for (uint64_t left = outstanding(); left != 0; left = outstanding()) {
		quiet = left == last ? quiet + 1 : 0;
		last = left;
		if (quiet > STALL_S * 100) {
			report_stall("ended, and not all complete");
		}
		(void) interrupted(10000000);
	}
}

/* Handles that were given out and not released. */
static uint64_t
unreleased(void)
{
	uint64_t n = 0;

	for (int i = 0; i < pw_storm.shards; i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
		if (pinwheel_stats(i, &stats) == NNG_OK) {
			n += stats.slots_allocated - stats.slots_released;
		}
	}
	return n;
}

/* A reaped handle is released by its home shard, soon. */
static void
await_all_released(void)
{
	char text[64];

	for (unsigned quiet = 0; unreleased() > pw_storm.unreleased_before; quiet++) {
		if (quiet > STALL_S * 100) {
			snprintf(text, sizeof(text), "%" PRIu64 " of them",
			    unreleased() - pw_storm.unreleased_before);
			pw_ledger_report(&pw_storm.ledger, 0, "handles were freed or reaped, and never released",
			    text);
		}
		(void) interrupted(10000000);
	}
}

static uint64_t
late_operations(void)
{
	uint64_t now_ns = pinwheel_clock_ns(), late = 0;

	for (uint32_t i = 0; i < pw_storm.options.aios; i++) {
		late += pw_ledger_is_overdue(&pw_storm.ledger, i, now_ns, LATE_S * UINT64_C(1000000000));
		late += pw_ledger_is_unanswered(&pw_storm.ledger, i);
	}
	return late;
}

/* No thread starts any more. A machine that is busy with something else works off its backlog for a while; a completion
 * or an abort that is lost never comes: a violation when none of the late ones has come for STALL_S. */
static void
await_late(void)
{
	uint64_t late = late_operations(), least = late;

	if (late != 0) {
		fprintf(stderr,
		    "%" PRIu64
		    " operations are due for more than %u s, or aborted and not answered: waiting for them\n",
		    late, LATE_S);
	}
	for (unsigned quiet = 0; late != 0; quiet++) {
		if (quiet > STALL_S * 10) {
			look_for_lost();
			for (uint32_t i = 0; i < pw_storm.options.aios; i++) {
				pw_ledger_unanswered(&pw_storm.ledger, i);
			}
		}
		(void) interrupted(100000000);
		late = late_operations();
		if (late < least) {
			least = late;
			quiet = 0;
		}
	}
}

static void
end(void)
{
	uint64_t start_ns = pinwheel_clock_ns();

	/* From here on no thread starts, and once each shard has passed, no callback does either. */
	atomic_store(&pw_storm.over, true);
	atomic_store(&pw_storm.provider.over, true);
	pass_all_shards();
	pass_all_shards();
	await_late();
	run_phase("ending", pw_storm_end);
	await_all_ended();
	pass_all_shards();
	run_phase("stopping", pw_storm_stop);
	run_phase("freeing", pw_storm_free);
	pw_storm_net_close();
	await_all_released();
	pw_foreign_close();
	nng_fini();
	pw_storm.seconds_down = seconds_since(start_ns);
}

static int
verdict(void)
{
	struct pw_ledger_counts sum;

	if (!pw_ledger_balance(&pw_storm.ledger, &sum)) {
		return PW_EXIT_FAILED;
	}
	char cells[200] = "";
	unsigned empty = pw_ledger_empty_cells(&sum, cells, sizeof(cells));
	enum pw_fault missed = pw_fault_missed();
	bool ok = missed == PW_FAULT_COUNT && (empty == 0 || !pw_storm.options.require_matrix);
	char text[320];
	if (pw_foreign_name() != NULL && missed == PW_FAULT_COUNT) {
		snprintf(text, sizeof(text), "the ledger balances, with the provider %.100s", pw_foreign_name());
	} else if (missed != PW_FAULT_COUNT) {
		snprintf(text, sizeof(text), "the ledger balances, but the fault %s never struck",
		    pw_fault_text[missed].name);
	} else if (empty == 0) {
		snprintf(text, sizeof(text), "the ledger balances, every reachable cell was reached");
	} else {
		snprintf(text, sizeof(text), "the ledger balances, %u reachable cell%s stayed empty: %s", empty,
		    empty == 1 ? "" : "s", cells);
	}
	pw_storm_print_result(&sum, text, ok);
	return ok ? PW_EXIT_OK : PW_EXIT_FAILED;
}

static void
block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void
close_all(void)
{
	pw_provider_close(&pw_storm.provider);
	pw_pile_close(&pw_storm.idle);
	pw_ledger_close(&pw_storm.ledger);
	pw_ledger_table_free(pw_storm.seats, (size_t) pw_storm.options.aios * sizeof(struct pw_storm_seat));
	free(pw_storm.workers);
}

int
pw_storm_command(int argc, char **argv)
{
	parse_options(argc, argv);
	block_signals();
	if (pw_storm.options.cancels != 0) {
		return pw_storm_cancels();
	}
	int status = pw_storm.options.provider != NULL ? pw_foreign_load(pw_storm.options.provider) : PW_EXIT_OK;
	if (status != PW_EXIT_OK) {
		return status;
	}
	status = set_up();
	if (status != PW_EXIT_OK) {
		return status;
	}
	pw_storm.unreleased_before = unreleased();
	uint64_t before = resident();
	atomic_store(&pw_storm.race_ns, PINWHEEL_NEVER_NS);
	pw_fault_arm(true);
	run_phase("filling", pw_storm_fill);
	if (atomic_load(&pw_storm.progress) != pw_storm.options.aios) {
		fprintf(stderr, "pinwheel storm: out of memory after %" PRIu64 " of %" PRIu32 " aios\n",
		    (uint64_t) atomic_load(&pw_storm.progress), pw_storm.options.aios);
		return PW_EXIT_ENVIRONMENT;
	}
	pw_storm.bytes_per_aio = (double) (resident() - before) / pw_storm.options.aios;
	if (!pw_storm_net_open()) {
		return PW_EXIT_ENVIRONMENT;
	}
	settle();
	race();
	end();
	status = verdict();
	close_all();
	return status;
}

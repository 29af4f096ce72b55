/* SPDX-License-Identifier: MIT
 *
 * start_test.c: the contract of starting: nng_init, pinwheel_start, the start on first use, and what each may refuse.
 * Bad settings, exhausted descriptors and a forbidden io_uring are tried in processes of their own.
 */
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/contract/contract.h"

#include "engine/shard/arena.h"

/* Threads of this process whose name begins with "pw/". */
static unsigned
count_shard_threads(void)
{
	unsigned count = 0;
	DIR *tasks = opendir("/proc/self/task");
	for (struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
		char path[300], name[32] = "";
		(void) snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
		FILE *file = fopen(path, "r");
		if (file != NULL) {
			count += fgets(name, sizeof name, file) != NULL && strncmp(name, "pw/", 3) == 0;
			(void) fclose(file);
		}
	}
	if (tasks != NULL) {
		(void) closedir(tasks);
	}
	return count;
}

/* A thread that has been joined is still listed for a moment: the kernel wakes the joiner first. One that has not ended
 * stays, and this does not return. */
static void
await_no_shard_threads(void)
{
	while (count_shard_threads() != 0) {
		(void) sched_yield();
	}
}

/* ---- nng_init */

/* "nng_init(const nng_init_params *): the struct as in NNG 2.x; NULL or zeros: defaults; thread counts are accepted
 * and do not add threads". Method: NULL; zeros; counts of 7 everywhere: as many shard threads each time. */
static void
init_takes_null_zeros_and_thread_counts(void **unused)
{
	const nng_init_params zeros = { 0 };
	const nng_init_params many = {
		.num_task_threads = 7,
		.max_task_threads = 7,
		.num_expire_threads = 7,
		.max_expire_threads = 7,
		.num_poller_threads = 7,
		.max_poller_threads = 7,
		.num_resolver_threads = 7,
	};
	const nng_init_params *const all[] = { NULL, &zeros, &many };
	unsigned threads = 0;

	(void) unused;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		assert_int_equal(nng_init(all[i]), NNG_OK);
		if (i == 0) {
			threads = count_shard_threads();
			assert_true(threads > 0);
		}
		assert_int_equal(count_shard_threads(), threads);
		assert_int_equal(pinwheel_shard_count(), threads);
		nng_fini();
		await_no_shard_threads();
	}
}

static pw_a64 given, taken, plain_calls;

static void *
count_malloc(size_t size)
{
	(void) pw_fetch_add_relaxed_64(&plain_calls, 1);
	return malloc(size);
}

static void *
count_calloc(size_t number, size_t size)
{
	void *memory = calloc(number, size);
	(void) pw_fetch_add_relaxed_64(&given, memory != NULL);
	return memory;
}

static void
count_free(void *memory, size_t size)
{
	(void) size;
	(void) pw_fetch_add_relaxed_64(&taken, memory != NULL);
	free(memory);
}

/* "a partial set of allocators NNG_EINVAL". Method: the six sets of one or two. Nothing is started. */
static void
init_refuses_some_allocators(void **unused)
{
	(void) unused;
	for (unsigned set = 1; set < 7; set++) {
		const nng_init_params params = {
			.malloc_fn = (set & 1) != 0 ? count_malloc : NULL,
			.calloc_fn = (set & 2) != 0 ? count_calloc : NULL,
			.free_fn = (set & 4) != 0 ? count_free : NULL,
		};
		assert_int_equal(nng_init(&params), NNG_EINVAL);
		assert_int_equal(pinwheel_shard_count(), 0);
	}
	await_no_shard_threads();
}

/* Handles beyond what the slabs that are there can hold, so that memory must be had. */
static void
use_new_slabs(void)
{
	nng_aio **aios;
	size_t count = 0;
	uint64_t slabs = shard_stats(0).slabs;
	aios = calloc((slabs + 2) * 256, sizeof *aios);
	assert_non_null(aios);
	while (shard_stats(0).slabs == slabs) {
		assert_int_equal(pinwheel_aio_alloc_on(&aios[count++], 0, NULL, NULL), NNG_OK);
	}
	for (size_t i = 0; i < count; i++) {
		nng_aio_free(aios[i]);
	}
	free(aios);
}

/* "a full set is used for messages and slabs", and "NULL or zeros: defaults". Method: with a full set new slabs come
 * from it; after nng_fini and an nng_init with NULL, with zeros, or a start on first use, they do not. */
static void
init_uses_a_full_set_of_allocators_until_fini(void **unused)
{
	const nng_init_params params = { .malloc_fn = count_malloc,
		.calloc_fn = count_calloc,
		.free_fn = count_free };
	const nng_init_params zeros = { 0 };

	(void) unused;
	for (int next = 0; next < 3; next++) {
		uint64_t before = pw_load_relaxed_64(&given);
		assert_int_equal(nng_init(&params), NNG_OK);
		use_new_slabs();
		nng_fini();
		uint64_t after = pw_load_relaxed_64(&given);
		assert_true(after > before);
		if (next < 2) {
			assert_int_equal(nng_init(next == 0 ? NULL : &zeros), NNG_OK);
		} else {
			nng_aio *aio;
			assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
			nng_aio_free(aio);
		}
		use_new_slabs();
		nng_fini();
		assert_int_equal(pw_load_relaxed_64(&given), after);
	}
}

/* "a second call with params NNG_EBUSY." Method: on a running engine, started by nng_init, by pinwheel_start or by
 * first use; it does not count as a user: one nng_fini ends the first two. NULL counts. pinwheel_start with a
 * configuration is the same. */
static void
init_with_params_on_a_running_engine_is_busy(void **unused)
{
	const nng_init_params params = { 0 };
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	nng_aio *aio;

	(void) unused;
	for (int by = 0; by < 3; by++) {
		if (by == 0) {
			assert_int_equal(nng_init(&params), NNG_OK);
		} else if (by == 1) {
			assert_int_equal(pinwheel_start(&config), NNG_OK);
		} else {
			assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
			nng_aio_free(aio);
		}
		assert_int_equal(nng_init(&params), NNG_EBUSY);
		assert_int_equal(pinwheel_start(&config), NNG_EBUSY);
		assert_int_equal(nng_init(NULL), NNG_OK);
		assert_int_equal(pinwheel_start(NULL), NNG_OK);
		nng_fini();
		assert_true(pinwheel_shard_count() > 0);
		nng_fini();
		if (by < 2) {
			assert_true(pinwheel_shard_count() > 0);
			nng_fini();
		}
		assert_int_equal(pinwheel_shard_count(), 0);
	}
}

/* ---- settings */

struct setting_seen {
	const char *name;
	char value[64];
	char source[64];
	unsigned found;
};

static void
note_setting(const char *name, const char *value, const char *source, const char *meaning, void *arg)
{
	struct setting_seen *seen = arg;
	if (strcmp(name, seen->name) == 0 && meaning[0] != '\0') {
		(void) snprintf(seen->value, sizeof seen->value, "%s", value);
		(void) snprintf(seen->source, sizeof seen->source, "%s", source);
		seen->found++;
	}
}

/* "Precedence: configuration, environment, default." Method: the number of shards from each; what
 * pinwheel_settings_each says of its source. */
static void
settings_come_from_configuration_environment_default(void **unused)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	struct setting_seen seen = { .name = "PINWHEEL_TURN_BUDGET" };

	(void) unused;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	pinwheel_settings_each(note_setting, &seen);
	assert_int_equal(seen.found, 1);
	assert_string_equal(seen.value, "256");
	assert_int_equal(strncmp(seen.source, "default", 7), 0);
	nng_fini();

	assert_int_equal(setenv("PINWHEEL_SHARDS", "3", 1), 0);
	assert_int_equal(setenv("PINWHEEL_TURN_BUDGET", "77", 1), 0);
	pinwheel_settings_each(note_setting, &seen); /* no engine: what a start would take */
	assert_string_equal(seen.value, "77");
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	assert_int_equal(pinwheel_shard_count(), 3);
	pinwheel_settings_each(note_setting, &seen);
	assert_string_equal(seen.value, "77");
	assert_int_equal(strncmp(seen.source, "environment", 11), 0);
	nng_fini();

	config.shards = 2;
	config.turn_budget = 78;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	assert_int_equal(pinwheel_shard_count(), 2);
	pinwheel_settings_each(note_setting, &seen);
	assert_string_equal(seen.value, "78");
	assert_int_equal(strncmp(seen.source, "configuration", 13), 0);
	nng_fini();
	assert_int_equal(unsetenv("PINWHEEL_SHARDS"), 0);
	assert_int_equal(unsetenv("PINWHEEL_TURN_BUDGET"), 0);
}

/* pinwheel_start: "a size this library does not know": NNG_EINVAL; nothing is started. */
static void
start_refuses_a_size_it_does_not_know(void **unused)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	(void) unused;
	config.size = 0;
	assert_int_equal(pinwheel_start(&config), NNG_EINVAL);
	config.size = sizeof config - 1;
	config.shards = -7;
	assert_int_equal(pinwheel_start(&config), NNG_EINVAL);
	assert_int_equal(pinwheel_shard_count(), 0);
	await_no_shard_threads();
}

struct hook {
	pthread_mutex_t mutex;
	unsigned calls;
	unsigned wrong;
	unsigned shards_seen;
};

static void
on_thread_start(int shard, void *arg)
{
	struct hook *hook = arg;
	char name[16] = "", expected[16];
	(void) pthread_getname_np(pthread_self(), name, sizeof name);
	(void) snprintf(expected, sizeof expected, "pw/%d", shard);
	(void) pthread_mutex_lock(&hook->mutex);
	hook->calls++;
	hook->shards_seen |= 1u << shard;
	hook->wrong += strcmp(name, expected) != 0 || pinwheel_shard_self() != shard;
	(void) pthread_mutex_unlock(&hook->mutex);
}

/* pinwheel_thread_start_fn: "Called on each shard's own thread after it is pinned and named, before it runs anything;
 * not for lent shards." Method: two shards and a lent one. */
static void
thread_start_hook_runs_on_each_shards_thread(void **unused)
{
	struct hook hook = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	(void) unused;
	config.shards = 2;
	config.lent_shards = 1;
	config.on_thread_start = on_thread_start;
	config.on_thread_start_arg = &hook;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	(void) pthread_mutex_lock(&hook.mutex);
	assert_int_equal(hook.calls, 2);
	assert_int_equal(hook.shards_seen, 3);
	assert_int_equal(hook.wrong, 0);
	(void) pthread_mutex_unlock(&hook.mutex);
	nng_fini();
}

/* ---- refusals, in children; the exit status is 0 when all is as it should be, else the number of the step */

static nng_err
start_by(int way)
{
	static nng_aio *const mark = (nng_aio *) (void *) &given;
	nng_aio *aio = mark;
	nng_err rv;
	switch (way) {
	case 0:
		rv = nng_aio_alloc(&aio, NULL, NULL);
		if (rv != NNG_OK) {
			return aio == mark ? rv : NNG_EINTERNAL; /* written on success only */
		}
		nng_aio_free(aio);
		return rv;
	case 1:
		return nng_init(NULL);
	case 2:
		return pinwheel_start(NULL);
	default:
		rv = pinwheel_aio_alloc_on(&aio, 0, NULL, NULL);
		if (rv != NNG_OK) {
			return aio == mark ? rv : NNG_EINTERNAL;
		}
		nng_aio_free(aio);
		return rv;
	}
}

static bool
nothing_started(void)
{
	await_no_shard_threads();
	return pinwheel_shard_count() == 0;
}

static int
child_bad_setting(void)
{
	for (int way = 0; way < 4; way++) {
		if (start_by(way) != NNG_EINVAL || !nothing_started()) {
			return 1 + way;
		}
	}
	/* and it can be cured */
	for (char **variable = environ; *variable != NULL;) {
		char name[128];
		(void) snprintf(name, sizeof name, "%.*s", (int) strcspn(*variable, "="), *variable);
		if (strncmp(name, "PINWHEEL_", 9) == 0 && strcmp(name, "PINWHEEL_POLLER") != 0) {
			(void) unsetenv(name);
			variable = environ;
		} else {
			variable++;
		}
	}
	return start_by(0) == NNG_OK ? 0 : 5;
}

/* "NNG_EINVAL (a bad setting, named on stderr with what would be right) ...; nothing is left started." And of bad
 * inputs: "a bad setting in the environment". Method: a value that is none, and a name that is none; each way to
 * start. */
static void
bad_setting_is_refused_and_named(void **unused)
{
	static const struct {
		const char *name, *value, *right;
	} bad[] = {
		{ "PINWHEEL_IDLE", "fast", "park, spin or busy" },
		{ "PINWHEEL_SHARDS", "many", "" },
		{ "PINWHEEL_TICK", "64", "" },
		{ "PINWHEEL_CPUS", "0-", "" },
		{ "PINWHEEL_SHRADS", "2", "PINWHEEL_SHARDS" },
	};

	(void) unused;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct child child = child_run("bad_setting", bad[i].name, bad[i].value);
		child_expect_exit(&child, 0);
		assert_non_null(strstr(child.err, bad[i].name));
		assert_non_null(strstr(child.err, bad[i].right));
	}
}

static int
child_out_of_memory(void)
{
	nng_err rv = NNG_ENOMEM;
	int64_t call;
	for (call = 0; rv != NNG_OK && call < 1000; call++) {
		pw_memory_fail_after(call);
		rv = start_by((int) (call % 4));
		pw_memory_fail_after(-1);
		if (rv != NNG_OK && rv != NNG_ENOMEM) {
			return 1;
		}
		if (rv != NNG_OK && pinwheel_shard_count() == 0) {
			await_no_shard_threads();
		}
	}
	return rv == NNG_OK && call > 1 ? 0 : 3;
}

/* "NNG_ENOMEM; nothing is left started." Method: the first, second, ... allocation fails, until none does. */
static void
start_out_of_memory_is_enomem(void **unused)
{
	(void) unused;
	struct child child = child_run("out_of_memory", NULL, NULL);
	child_expect_exit(&child, 0);
}

/* A start that succeeds, and no memory for the handle it was for. */
static int
child_no_handle(void)
{
	nng_err rv = NNG_ENOMEM;
	unsigned left_running = 0;
	for (int call = 0; rv != NNG_OK && call < 1000; call++) {
		nng_aio *aio = NULL;
		pw_memory_fail_after(call);
		rv = nng_aio_alloc(&aio, NULL, NULL);
		pw_memory_fail_after(-1);
		if (rv != NNG_OK && pinwheel_shard_count() != 0) {
			unsigned threads = count_shard_threads();
			left_running++;
			if (rv != NNG_ENOMEM || aio != NULL || nng_aio_alloc(&aio, NULL, NULL) != NNG_OK ||
			    count_shard_threads() != threads) {
				return 1;
			}
			nng_sleep_aio(0, aio);
			nng_aio_wait(aio);
		}
		nng_aio_free(aio);
		nng_fini();
		if (!nothing_started()) {
			return 2;
		}
	}
	return rv == NNG_OK && left_running != 0 ? 0 : 3;
}

/* nng_aio_alloc: "The engine starts itself on first use": when the start succeeds and the handle cannot be had
 * (NNG_ENOMEM) the engine runs, as other threads may use it already; the next call finds it, and nng_fini ends it.
 * Method: the first, second, ... allocation fails, until none does. */
static void
engine_of_a_handle_that_cannot_be_had_serves_the_next(void **unused)
{
	(void) unused;
	struct child child = child_run("no_handle", NULL, NULL);
	child_expect_exit(&child, 0);
}

static int
child_out_of_files(void)
{
	struct rlimit limit;
	int next = dup(0), refused = 0;
	nng_err rv = NNG_ENOFILES;
	if (next < 0 || close(next) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return 1;
	}
	for (rlim_t more = 0; rv != NNG_OK && more < 100; more++) {
		limit.rlim_cur = (rlim_t) next + more;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
			return 2;
		}
		rv = start_by((int) (more % 4));
		limit.rlim_cur = (rlim_t) next + 200 < limit.rlim_max ? (rlim_t) next + 200 : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
			return 3;
		}
		if (rv != NNG_OK && (rv != NNG_ENOFILES || !nothing_started())) {
			(void) fprintf(stderr, "with %d descriptors more: %d\n", (int) more, rv);
			return 4;
		}
		refused += rv != NNG_OK;
	}
	return rv == NNG_OK && refused > 0 ? 0 : 5;
}

/* "NNG_ENOFILES; nothing is left started." Method: no descriptor is left, one, two, ... until the start succeeds. */
static void
start_out_of_descriptors_is_enofiles(void **unused)
{
	(void) unused;
	struct child child = child_run("out_of_files", NULL, NULL);
	child_expect_exit(&child, 0);
}

/* Makes io_uring_setup fail with EPERM, as container runtimes do. (The architecture is not checked: this process
 * makes native calls only.) */
static bool
forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int
child_no_uring_forced(void)
{
	if (!forbid_io_uring()) {
		return 77;
	}
	for (int way = 0; way < 4; way++) {
		if (start_by(way) != NNG_EPERM || !nothing_started()) {
			return 1 + way;
		}
	}
	return 0;
}

static int
child_no_uring_auto(void)
{
	struct pinwheel_shard_stats stats = { .size = sizeof stats };
	nng_aio *aio;
	if (!forbid_io_uring()) {
		return 77;
	}
	if (nng_aio_alloc(&aio, NULL, NULL) != NNG_OK || pinwheel_stats(0, &stats) != NNG_OK) {
		return 1;
	}
	if (strcmp(stats.poller, "epoll") != 0 || strstr(stats.poller_reason, "io_uring") == NULL) {
		(void) fprintf(stderr, "poller %s: %s\n", stats.poller, stats.poller_reason);
		return 2;
	}
	nng_sleep_aio(1, aio);
	nng_aio_wait(aio);
	return nng_aio_result(aio) == NNG_OK ? 0 : 3;
}

/* "NNG_EPERM (a forced poller refused)"; and of faults: "io_uring refused by seccomp (falls back, says so)". Method:
 * a seccomp filter in a child; forced: NNG_EPERM from every way to start; chosen freely: epoll, with the reason, and
 * a sleep. */
static void
forbidden_io_uring_is_eperm_when_forced_else_epoll(void **unused)
{
	(void) unused;
	struct child forced = child_run("no_uring_forced", "PINWHEEL_POLLER", "uring");
	if (WIFEXITED(forced.status) && WEXITSTATUS(forced.status) == 77) {
		print_message("skipped: no seccomp filters here\n");
		skip();
	}
	child_expect_exit(&forced, 0);
	struct child chosen = child_run("no_uring_auto", "PINWHEEL_POLLER", "auto");
	child_expect_exit(&chosen, 0);
}

/* ---- constants */

/* "nng_version is pinwheel's own; NNG_MAJOR_VERSION 2, NNG_MINOR_VERSION 0, NNG_PATCH_VERSION 0, NNG_MAXADDRLEN,
 * NNG_DECL are defined, PINWHEEL_VERSION_* too." Method: as it says. */
static void
version_is_pinwheels_own(void **unused)
{
	char text[32];

	(void) unused;
#if NNG_MAJOR_VERSION != 2 || NNG_MINOR_VERSION != 0 || NNG_PATCH_VERSION != 0 || !defined(NNG_DECL) ||              \
    NNG_MAXADDRLEN <= 0
#error "the interface's version"
#endif
	(void) snprintf(text, sizeof text, "%d.%d.%d", PINWHEEL_VERSION_MAJOR, PINWHEEL_VERSION_MINOR,
	    PINWHEEL_VERSION_PATCH);
	assert_string_equal(nng_version(), text);
	assert_string_equal(PINWHEEL_VERSION_STRING, text);
}

/* "nng_err: OK 0, EINTR 1, ... ESTOPPED 999 (R20), EINTERNAL 1000, ESYSERR 0x10000000 + errno, ETRANERR 0x20000000 +
 * n. nng_strerror: non-empty, distinct, never NULL; ESYSERR gives the system's text". Method: the table, written
 * again; the texts compared in pairs. */
static void
codes_have_their_values_and_texts(void **unused)
{
	/* clang-format off */
	static const struct {
		nng_err code, value;
	} codes[] = {
		{ NNG_OK, 0 }, { NNG_EINTR, 1 }, { NNG_ENOMEM, 2 }, { NNG_EINVAL, 3 }, { NNG_EBUSY, 4 },
		{ NNG_ETIMEDOUT, 5 }, { NNG_ECONNREFUSED, 6 }, { NNG_ECLOSED, 7 }, { NNG_EAGAIN, 8 },
		{ NNG_ENOTSUP, 9 }, { NNG_EADDRINUSE, 10 }, { NNG_ESTATE, 11 }, { NNG_ENOENT, 12 },
		{ NNG_EPROTO, 13 }, { NNG_EUNREACHABLE, 14 }, { NNG_EADDRINVAL, 15 }, { NNG_EPERM, 16 },
		{ NNG_EMSGSIZE, 17 }, { NNG_ECONNABORTED, 18 }, { NNG_ECONNRESET, 19 }, { NNG_ECANCELED, 20 },
		{ NNG_ENOFILES, 21 }, { NNG_ENOSPC, 22 }, { NNG_EEXIST, 23 }, { NNG_EREADONLY, 24 },
		{ NNG_EWRITEONLY, 25 }, { NNG_ECRYPTO, 26 }, { NNG_EPEERAUTH, 27 }, { NNG_ENOARG, 28 },
		{ NNG_EAMBIGUOUS, 29 }, { NNG_EBADTYPE, 30 }, { NNG_ECONNSHUT, 31 }, { NNG_ESTOPPED, 999 },
		{ NNG_EINTERNAL, 1000 },
	};
	/* clang-format on */
	const size_t count = sizeof codes / sizeof codes[0];

	(void) unused;
	assert_int_equal(NNG_ESYSERR, 0x10000000);
	assert_int_equal(NNG_ETRANERR, 0x20000000);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(codes[i].code, codes[i].value);
		assert_true(nng_strerror(codes[i].code)[0] != '\0');
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(nng_strerror(codes[i].code), nng_strerror(codes[k].code));
		}
	}
	assert_string_equal(nng_strerror(NNG_ESYSERR + ENOENT), strerrordesc_np(ENOENT));
	assert_non_null(nng_strerror(INT32_MIN));
	assert_non_null(nng_strerror(NNG_ETRANERR + 5));
}

static const struct scenario scenarios[] = {
	{ "bad_setting", child_bad_setting },
	{ "out_of_memory", child_out_of_memory },
	{ "no_handle", child_no_handle },
	{ "out_of_files", child_out_of_files },
	{ "no_uring_forced", child_no_uring_forced },
	{ "no_uring_auto", child_no_uring_auto },
};

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_takes_null_zeros_and_thread_counts),
		cmocka_unit_test(init_refuses_some_allocators),
		cmocka_unit_test(init_uses_a_full_set_of_allocators_until_fini),
		cmocka_unit_test(init_with_params_on_a_running_engine_is_busy),
		cmocka_unit_test(settings_come_from_configuration_environment_default),
		cmocka_unit_test(start_refuses_a_size_it_does_not_know),
		cmocka_unit_test(thread_start_hook_runs_on_each_shards_thread),
		cmocka_unit_test(bad_setting_is_refused_and_named),
		cmocka_unit_test(start_out_of_memory_is_enomem),
		cmocka_unit_test(engine_of_a_handle_that_cannot_be_had_serves_the_next),
		cmocka_unit_test(start_out_of_descriptors_is_enofiles),
		cmocka_unit_test(forbidden_io_uring_is_eperm_when_forced_else_epoll),
		cmocka_unit_test(version_is_pinwheels_own),
		cmocka_unit_test(codes_have_their_values_and_texts),
	};

	child_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * fleet_test.c: the laws of engine/shard/fleet.c and launch.c: records, threads, pinning, and that idle is idle.
 * Looked at from outside: /proc/self/task, the counters, and functions run on the shards.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/race/race.h"

#define SHARDS 3

/* ---- what the kernel says of our threads */

static unsigned threads_before; /* of this process, before the first engine: the test's own, and a sanitizer's */

struct tasks {
	unsigned count;
	unsigned named;    /* of them, "pw/N" */
	uint64_t names;    /* bit N */
	uint64_t switches; /* of the named ones, voluntary or not */
	uint64_t awake;    /* of the named ones: not asleep in the kernel */
};

static uint64_t
number_behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void
look_at_task(struct tasks *tasks, const char *id)
{
	char path[300], text[4096];
	unsigned number;
	(void) snprintf(path, sizeof path, "/proc/self/task/%s/status", id);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return; /* it has ended meanwhile */
	}
	size_t size = fread(text, 1, sizeof text - 1, file);
	(void) fclose(file);
	text[size] = '\0';
	tasks->count++;
	if (sscanf(text, "Name:\tpw/%u", &number) == 1) {
		tasks->named++;
		tasks->names |= UINT64_C(1) << number;
		tasks->switches += number_behind(text, "\nvoluntary_ctxt_switches:");
		tasks->switches += number_behind(text, "\nnonvoluntary_ctxt_switches:");
		tasks->awake += strstr(text, "\nState:\tS") == NULL;
	}
}

static struct tasks
look_at_tasks(void)
{
	struct tasks tasks = { 0 };
	DIR *folder = opendir("/proc/self/task");
	assert_non_null(folder);
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (entry->d_name[0] != '.') {
			look_at_task(&tasks, entry->d_name);
		}
	}
	(void) closedir(folder);
	return tasks;
}

/* A thread that has been joined stands in /proc for a moment yet. One that has not ended stays: then this does not
 * end. */
static struct tasks
look_when_ended(void)
{
	struct tasks tasks = look_at_tasks();
	while (tasks.count > threads_before) {
		(void) sched_yield();
		tasks = look_at_tasks();
	}
	return tasks;
}

static void *
note_id(void *arg)
{
	*(pid_t *) arg = gettid();
	return NULL;
}

/* A sanitizer starts a thread of its own beside the first one: so there is one first, until it is gone. */
static unsigned
count_own_threads(void)
{
	char path[64];
	pid_t id = 0;
	race_join(race_thread(note_id, &id));
	(void) snprintf(path, sizeof path, "/proc/self/task/%d", (int) id);
	while (access(path, F_OK) == 0) {
		(void) sched_yield();
	}
	return look_at_tasks().count;
}

static unsigned
open_files(void)
{
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/fd");
	assert_non_null(folder);
	while (readdir(folder) != NULL) {
		count++;
	}
	(void) closedir(folder);
	return count;
}

/* ---- records and threads */

/* Law: records are made once: a later start uses them again, with their bells, whether it has fewer shards or
 * more. */
static void
fleet_reuses_its_records(void **unused)
{
	static const int shards[] = { 3, 1, 2, 4, 3 };
	struct pw_shard *known[4] = { NULL };
	int bell[4] = { 0 };
	(void) unused;
	for (size_t round = 0; round < sizeof shards / sizeof shards[0]; round++) {
		race_engine(shards[round]);
		assert_int_equal(pinwheel_shard_count(), shards[round]);
		for (int i = 0; i < shards[round]; i++) {
			struct pw_shard *shard = pw_fleet_nth((unsigned) i);
			if (known[i] == NULL) {
				known[i] = shard;
				bell[i] = shard->bell_fd;
			}
			assert_ptr_equal(shard, known[i]);
			assert_int_equal(shard->bell_fd, bell[i]);
			race_flush(i); /* and it works */
		}
		nng_fini();
		assert_int_equal(pinwheel_shard_count(), 0);
	}
	assert_int_equal(pw_load_acquire_32(&pw_fleet.records), 4);
}

/* Law: one thread per shard, named pw/N, and no other thread in the process, whatever it does; after nng_fini
 * none. */
static void
fleet_has_one_thread_per_shard_and_no_other(void **unused)
{
	nng_aio *aio[100];
	(void) unused;
	race_engine(SHARDS);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(nng_aio_alloc(&aio[i], NULL, NULL), NNG_OK);
		nng_sleep_aio(i % 2 == 0 ? 1 : NNG_DURATION_INFINITE, aio[i]);
	}
	nng_aio_wait(aio[0]);
	struct tasks running = look_at_tasks();
	assert_int_equal(running.count, threads_before + SHARDS);
	assert_int_equal(running.named, SHARDS);
	assert_int_equal(running.names, (1u << SHARDS) - 1);
	for (int i = 0; i < 100; i++) {
		nng_aio_free(aio[i]);
	}
	nng_fini();
	struct tasks after = look_when_ended();
	assert_int_equal(after.count, threads_before);
	assert_int_equal(after.named, 0);
}

struct self_portrait {
	pw_a64 done;
	sigset_t blocked;
	cpu_set_t cpus;
	int slack;
	int shard;
	char name[16];
};

static void
portray(void *arg)
{
	struct self_portrait *self = arg;
	(void) pthread_sigmask(SIG_SETMASK, NULL, &self->blocked);
	(void) sched_getaffinity(0, sizeof self->cpus, &self->cpus);
	(void) pthread_getname_np(pthread_self(), self->name, sizeof self->name);
	self->slack = prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
	self->shard = pinwheel_shard_self();
	race_set(&self->done, 1);
}

static struct self_portrait
portrait_of(int shard)
{
	struct self_portrait self;
	memset(&self, 0, sizeof self);
	assert_int_equal(pinwheel_run_on(shard, portray, &self), NNG_OK);
	race_await(&self.done, 1);
	return self;
}

/* Law: a shard's thread blocks every signal that can be blocked (they are the application's), has its name and a
 * timer slack of 1 ns; and the starter's own mask is as before. */
static void
fleet_threads_block_signals(void **unused)
{
	sigset_t before, after;
	(void) unused;
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	race_engine(SHARDS);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (int signal = 1; signal <= SIGRTMAX; signal++) {
		assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
	}
	for (int i = 0; i < SHARDS; i++) {
		struct self_portrait self = portrait_of(i);
		char name[16];
		(void) snprintf(name, sizeof name, "pw/%d", i);
		assert_string_equal(self.name, name);
		assert_int_equal(self.shard, i);
		assert_int_equal(self.slack, 1);
		for (int signal = 1; signal <= SIGRTMAX; signal++) {
			bool libc = signal >= 32 && signal < SIGRTMIN; /* the C library's own */
			if (signal != SIGKILL && signal != SIGSTOP && !libc) {
				assert_int_equal(sigismember(&self.blocked, signal), 1);
			}
		}
	}
	nng_fini();
}

static pw_a64 hook_calls[8];

static void
count_hook(int shard, void *arg)
{
	race_add(&hook_calls[shard], (uint64_t) (uintptr_t) arg);
}

/* Law: the thread-start hook runs once per shard, and before pinwheel_start returns. */
static void
fleet_calls_the_start_hook_once_per_shard(void **unused)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	(void) unused;
	config.shards = SHARDS;
	config.on_thread_start = count_hook;
	config.on_thread_start_arg = (void *) (uintptr_t) 7;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(race_get(&hook_calls[i]), i < SHARDS ? 7 : 0);
	}
	nng_fini();
}

/* ---- pinning */

/* Law: a shard is pinned to one CPU of the mask, round robin, and the statistics say to which. */
static void
fleet_pins_and_reports_it(void **unused)
{
	cpu_set_t mask;
	int cpu[CPU_SETSIZE], cpus = 0;
	(void) unused;
	assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET((size_t) i, &mask)) {
			cpu[cpus++] = i;
		}
	}
	race_engine(cpus + 1);
	for (int i = 0; i <= cpus; i++) {
		struct pinwheel_shard_stats stats = race_stats(i);
		struct self_portrait self = portrait_of(i);
		assert_true(stats.pinned);
		assert_int_equal(stats.cpu, cpu[i % cpus]);
		assert_string_equal(stats.pin_reason, "");
		assert_int_equal(CPU_COUNT(&self.cpus), 1);
		assert_true(CPU_ISSET((size_t) stats.cpu, &self.cpus));
	}
	nng_fini();
}

/* From here on sched_setaffinity is refused in this process. */
static bool
refuse_pinning(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };
	return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum {
	CHILD_OK = 0,
	CHILD_NO_SECCOMP = 77
};

/* In the child no assertion: its exit status is the line that found something. */
static int
run_unpinned(void)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	struct pinwheel_shard_stats stats = { .size = sizeof stats };
	nng_aio *aio;
	if (!refuse_pinning()) {
		return CHILD_NO_SECCOMP;
	}
	config.shards = 2;
	if (pinwheel_start(&config) != NNG_OK) {
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		if (pinwheel_stats(i, &stats) != NNG_OK || stats.pinned || stats.cpu != -1) {
			return 2;
		}
		if (strstr(stats.pin_reason, "refused") == NULL ||
		    strstr(stats.pin_reason, strerror(EPERM)) == NULL) {
			return 3;
		}
		if (pinwheel_aio_alloc_on(&aio, i, NULL, NULL) != NNG_OK) {
			return 4;
		}
		nng_sleep_aio(1, aio);
		nng_aio_wait(aio);
		if (nng_aio_result(aio) != NNG_OK) {
			return 5;
		}
		nng_aio_free(aio);
	}
	nng_fini();
	return CHILD_OK;
}

/* Law: pinning that is refused is no error: the shards run unpinned, work, and say why. Method: a child process
 * under a seccomp filter. */
static void
fleet_runs_unpinned_when_pinning_is_refused(void **unused)
{
	int status;
	(void) unused;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		_exit(run_unpinned());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CHILD_NO_SECCOMP) {
		print_message("skipped: the kernel refuses a seccomp filter\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), CHILD_OK);
}

/* ---- starts that fail */

/* Law: a start that fails for want of memory leaves no thread and no descriptor, and the next one works. Method: the
 * nth allocation fails, n from 0 until none does. */
static void
fleet_start_that_fails_leaves_nothing(void **unused)
{
	unsigned failed = 0;
	(void) unused;
	race_engine(2);
	nng_fini();
	unsigned files = open_files();
	for (int64_t n = 0;; n++) {
		struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
		config.shards = 2;
		pw_memory_fail_after(n);
		nng_err rv = pinwheel_start(&config);
		pw_memory_fail_after(-1);
		if (rv == NNG_OK) {
			nng_fini();
		}
		assert_int_equal(look_when_ended().count, threads_before);
		assert_int_equal(open_files(), files);
		if (rv == NNG_OK && n > 8) {
			break;
		}
		assert_true(rv == NNG_OK || rv == NNG_ENOMEM);
		failed += rv != NNG_OK;
	}
	assert_true(failed > 0);
	race_engine(2);
	race_flush(0);
	race_flush(1);
	nng_fini();
}

/* Law: the same for want of descriptors, with the code that says so. */
static void
fleet_start_without_descriptors_says_so(void **unused)
{
	struct rlimit old, low;
	(void) unused;
	race_engine(2); /* the records and their bells are there */
	nng_fini();
	int next = dup(0);
	assert_true(next >= 0);
	assert_int_equal(close(next), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t) next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	config.shards = 2;
	nng_err rv = pinwheel_start(&config);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(rv, NNG_ENOFILES);
	assert_int_equal(look_when_ended().count, threads_before);
	assert_int_equal(pinwheel_shard_count(), 0);
	race_engine(2);
	race_flush(1);
	nng_fini();
}

/* ---- idle is idle */

struct activity {
	uint64_t parks;
	uint64_t turns;
	uint64_t wakes;
	uint64_t switches;
	uint64_t awake;
};

static struct activity
activity_now(void)
{
	struct activity sum = { 0 };
	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct pinwheel_shard_stats stats = race_stats(i);
		sum.parks += stats.parks;
		sum.turns += stats.turns;
		sum.wakes += stats.wakes;
	}
	struct tasks tasks = look_at_tasks();
	sum.switches = tasks.switches;
	sum.awake = tasks.awake;
	return sum;
}

/* Law: idle is idle: with many far deadlines outstanding no shard wakes, for whatever reason. Method: when all shards
 * have gone to sleep, their counters and the kernel's count of context switches stand still over an interval that is
 * thousands of ticks long. */
static void
fleet_idle_is_idle(void **unused)
{
	enum {
		HOUR_MS = 3600000
	};
	unsigned count = race_scaled(200000, 3000);
	nng_aio **aio = calloc(count, sizeof *aio);
	uint64_t random = race_stream(1);
	(void) unused;
	assert_non_null(aio);
	race_engine(2);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(nng_aio_alloc(&aio[i], NULL, NULL), NNG_OK);
		nng_sleep_aio((nng_duration) (2 * HOUR_MS + race_below(&random, HOUR_MS)), aio[i]);
	}
	race_flush(0);
	race_flush(1);
	struct activity before = activity_now(), after;
	for (;;) { /* until they sleep: the last mail and the spin after it are over */
		pw_clock_sleep_ns(20 * PW_NS_PER_MS);
		after = activity_now();
		if (after.awake == 0 && memcmp(&before, &after, sizeof before) == 0) {
			break; /* a starved thread stands still too, but it is not asleep */
		}
		before = after;
	}
	uint64_t linked = race_stats(0).timers_linked + race_stats(1).timers_linked;
	assert_int_equal(linked, count);
	pw_clock_sleep_ns(300 * PW_NS_PER_MS);
	after = activity_now();
	assert_int_equal(after.parks, before.parks);
	assert_int_equal(after.turns, before.turns);
	assert_int_equal(after.wakes, before.wakes);
	assert_int_equal(after.switches, before.switches);
	for (unsigned i = 0; i < count; i++) {
		nng_aio_reap(aio[i]);
	}
	free(aio);
	race_engine_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fleet_runs_unpinned_when_pinning_is_refused), /* first: it forks */
		cmocka_unit_test(fleet_reuses_its_records),
		cmocka_unit_test(fleet_has_one_thread_per_shard_and_no_other),
		cmocka_unit_test(fleet_threads_block_signals),
		cmocka_unit_test(fleet_calls_the_start_hook_once_per_shard),
		cmocka_unit_test(fleet_pins_and_reports_it),
		cmocka_unit_test(fleet_start_that_fails_leaves_nothing),
		cmocka_unit_test(fleet_start_without_descriptors_says_so),
		cmocka_unit_test(fleet_idle_is_idle),
	};

	race_print_seed();
	threads_before = count_own_threads();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

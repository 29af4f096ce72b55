/* SPDX-License-Identifier: MIT
 *
 * contract.h: what the contract tests share: a gate, a consumer and a provider that record what happens to them, a
 * shard that is passed through or held still, a recorder of misuse, a program run as a child.
 *
 * What it is not: a test, or an assertion on another thread. Callbacks and cancel functions record; the test waits
 * at a gate and checks.
 *
 * How a test shows that something did not happen: by cause, never by waiting a while. A shard takes its mail and its
 * ready queue in order, so when a function sent to it later has run (shard_pass), what was sent before has; and a
 * wheel hands out deadlines in order, so when a later sleep of the same shard has ended, an earlier deadline has been
 * seen. Order between threads is told by moment(), numbers from one counter.
 */
#ifndef PINWHEEL_TESTS_CONTRACT_H
#define PINWHEEL_TESTS_CONTRACT_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include "engine/base/atomic.h"

#define MS UINT64_C(1000000) /* in nanoseconds */
#define HOUR_MS (60 * 60 * 1000)

#if defined(__SANITIZE_THREAD__)
#define CONTRACT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CONTRACT_TSAN 1
#endif
#endif

#ifdef CONTRACT_TSAN
/* ThreadSanitizer ends a forked child that starts a thread, and lets a process that has threads sleep for a second at
 * its end, unless told not to. */
const char *__tsan_default_options(void);

const char *
__tsan_default_options(void)
{
	return "die_after_fork=0:atexit_sleep_ms=0";
}
#endif

/* ---- gates and moments */

/* Counts how often it was opened; passing waits for a number. Who has passed may end the gate's life: the opener's
 * last touch is the unlock. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned opened;
};

/* clang-format off */
#define GATE { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }
/* clang-format on */

static inline void
gate_open(struct gate *gate)
{
	(void) pthread_mutex_lock(&gate->mutex);
	gate->opened++;
	(void) pthread_cond_broadcast(&gate->cond);
	(void) pthread_mutex_unlock(&gate->mutex);
}

static inline void
gate_pass(struct gate *gate, unsigned times)
{
	(void) pthread_mutex_lock(&gate->mutex);
	while (gate->opened < times) {
		(void) pthread_cond_wait(&gate->cond, &gate->mutex);
	}
	(void) pthread_mutex_unlock(&gate->mutex);
}

static inline unsigned
gate_count(struct gate *gate)
{
	(void) pthread_mutex_lock(&gate->mutex);
	unsigned opened = gate->opened;
	(void) pthread_mutex_unlock(&gate->mutex);
	return opened;
}

/* Later is larger, over all threads. */
static inline uint64_t
moment(void)
{
	static pw_a64 last;
	return pw_fetch_add_relaxed_64(&last, 1) + 1;
}

/* ---- a consumer */

/* What its last callback saw. step runs inside the callback, after the record is made; the gate opens at its end. */
struct consumer {
	struct gate called;
	nng_aio *aio;
	nng_err result;
	size_t count;
	nng_msg *msg;
	void *output;
	int shard;
	int home;
	bool busy;
	uint64_t entered;
	uint64_t left;
	void (*step)(struct consumer *consumer);
	void *arg;
	bool gone; /* step has reaped or freed the handle */
};

static inline void
consumer_call(void *arg)
{
	struct consumer *consumer = arg;
	nng_aio *aio = consumer->aio;
	consumer->entered = moment();
	consumer->result = nng_aio_result(aio);
	consumer->count = nng_aio_count(aio);
	consumer->msg = nng_aio_get_msg(aio);
	consumer->output = nng_aio_get_output(aio, 0);
	consumer->busy = nng_aio_busy(aio);
	consumer->shard = pinwheel_shard_self();
	consumer->home = pinwheel_aio_home(aio);
	if (consumer->step != NULL) {
		consumer->step(consumer);
	}
	consumer->left = moment();
	gate_open(&consumer->called);
}

/* clang-format off */
#define CONSUMER { .called = GATE }
/* clang-format on */

static inline void
consumer_open(struct consumer *consumer, int shard)
{
	assert_int_equal(pinwheel_aio_alloc_on(&consumer->aio, shard, consumer_call, consumer), NNG_OK);
}

static inline unsigned
consumer_calls(struct consumer *consumer)
{
	return gate_count(&consumer->called);
}

/* ---- a provider that finishes when it is told to */

struct provider {
	struct gate canceled; /* once per call of the cancel function, last thing it does */
	struct gate entered;  /* once per call, first thing it does */
	struct gate *leave;   /* not NULL: the cancel function passes it before it ends */
	bool ignores;         /* the cancel; else it finishes with the reason */
	nng_aio *aio;
	nng_err reason;
	int shard;
	uint64_t began;
	uint64_t ended;
	void (*step)(struct provider *provider);
	void *arg;
};

/* clang-format off */
#define PROVIDER { .canceled = GATE, .entered = GATE }
/* clang-format on */

static inline void
provider_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct provider *provider = arg;
	provider->began = moment();
	provider->aio = aio;
	provider->reason = reason;
	provider->shard = pinwheel_shard_self();
	gate_open(&provider->entered);
	if (provider->step != NULL) {
		provider->step(provider);
	}
	if (!provider->ignores) {
		nng_aio_finish(aio, reason);
	}
	if (provider->leave != NULL) {
		gate_pass(provider->leave, 1);
	}
	provider->ended = moment();
	gate_open(&provider->canceled);
}

static inline unsigned
provider_cancels(struct provider *provider)
{
	return gate_count(&provider->entered);
}

static inline bool
provider_start(struct provider *provider, nng_aio *aio)
{
	return nng_aio_start(aio, provider_cancel, provider);
}

/* ---- shards */

static inline void
open_gate(void *arg)
{
	gate_open(arg);
}

/* Returns when the shard has run all that this thread sent to it before, and twice over what that caused. */
static inline void
shard_pass(int shard)
{
	struct gate gate = GATE;
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(pinwheel_run_on(shard, open_gate, &gate), NNG_OK);
		gate_pass(&gate, i);
	}
}

/* Keeps a shard inside a function, so that it takes no mail until it is let go. */
struct hold {
	struct gate in;
	struct gate out;
};

/* clang-format off */
#define HOLD { GATE, GATE }
/* clang-format on */

static inline void
hold_call(void *arg)
{
	struct hold *hold = arg;
	gate_open(&hold->in);
	gate_pass(&hold->out, 1);
}

static inline void
shard_hold(struct hold *hold, int shard)
{
	assert_int_equal(pinwheel_run_on(shard, hold_call, hold), NNG_OK);
	gate_pass(&hold->in, 1);
}

static inline void
shard_let_go(struct hold *hold, int shard)
{
	gate_open(&hold->out);
	shard_pass(shard);
}

/* Runs fn(arg) on a shard and waits for its end. */
struct errand {
	void (*fn)(void *);
	void *arg;
	struct gate done;
};

static inline void
errand_call(void *arg)
{
	struct errand *errand = arg;
	errand->fn(errand->arg);
	gate_open(&errand->done);
}

static inline void
shard_run(int shard, void (*fn)(void *), void *arg)
{
	struct errand errand = { .fn = fn, .arg = arg, .done = GATE };
	assert_int_equal(pinwheel_run_on(shard, errand_call, &errand), NNG_OK);
	gate_pass(&errand.done, 1);
	shard_pass(shard); /* errand_call has returned */
}

static inline struct pinwheel_shard_stats
shard_stats(int shard)
{
	struct pinwheel_shard_stats stats = { .size = sizeof stats };
	assert_int_equal(pinwheel_stats(shard, &stats), NNG_OK);
	return stats;
}

struct census {
	int shard;
	uint64_t slots;
};

static inline void
census_take(void *arg)
{
	struct census *census = arg;
	struct pinwheel_shard_stats stats = { .size = sizeof stats };
	(void) pinwheel_stats(census->shard, &stats);
	census->slots = stats.slots_allocated - stats.slots_released - 1; /* this very call's */
}

/* Handles of the shard that are not released. Counted on the shard, so that nothing of it is under way. */
static inline uint64_t
shard_slots(int shard)
{
	struct census census = { .shard = shard };
	shard_pass(shard);
	shard_run(shard, census_take, &census);
	return census.slots;
}

/* ---- the engine around a test */

static inline int
start_shards(int shards)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	config.shards = shards;
	config.lent_shards = PINWHEEL_NONE;
	return pinwheel_start(&config);
}

static inline int
one_shard(void **state)
{
	(void) state;
	return start_shards(1);
}

static inline int
two_shards(void **state)
{
	(void) state;
	return start_shards(2);
}

static inline int
engine_end(void **state)
{
	(void) state;
	nng_fini();
	return pinwheel_shard_count() == 0 ? 0 : -1;
}

#define TEST_ONE(f) cmocka_unit_test_setup_teardown(f, one_shard, engine_end)
#define TEST_TWO(f) cmocka_unit_test_setup_teardown(f, two_shards, engine_end)

/* ---- misuse, recorded in place of abort() */

struct misuse_seen {
	unsigned count;
	char function[64];
	char state[128];
	char reason[300];
	char thread[16];
	const nng_aio *aio;
};

struct misuse_desk {
	pthread_mutex_t mutex;
	struct misuse_seen seen;
};

static inline struct misuse_desk *
misuse_desk(void)
{
	static struct misuse_desk desk = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	return &desk;
}

static inline void
misuse_record(const struct pinwheel_misuse *misuse)
{
	struct misuse_desk *desk = misuse_desk();
	(void) pthread_mutex_lock(&desk->mutex);
	struct misuse_seen *seen = &desk->seen;
	seen->count++;
	(void) snprintf(seen->function, sizeof seen->function, "%s", misuse->function);
	(void) snprintf(seen->state, sizeof seen->state, "%s", misuse->state);
	(void) snprintf(seen->reason, sizeof seen->reason, "%s", misuse->reason);
	(void) snprintf(seen->thread, sizeof seen->thread, "%s", misuse->thread);
	seen->aio = misuse->aio;
	(void) pthread_mutex_unlock(&desk->mutex);
}

/* What was recorded since the last call; forgets it. */
static inline struct misuse_seen
misuse_take(void)
{
	struct misuse_desk *desk = misuse_desk();
	(void) pthread_mutex_lock(&desk->mutex);
	struct misuse_seen seen = desk->seen;
	desk->seen = (struct misuse_seen){ 0 };
	(void) pthread_mutex_unlock(&desk->mutex);
	return seen;
}

/* Exactly one misuse since the last look: of this function, on this handle, in this state (the beginning of it). */
static inline struct misuse_seen
misuse_expect(const char *function, const nng_aio *aio, const char *state)
{
	struct misuse_seen seen = misuse_take();
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.function, function);
	assert_ptr_equal(seen.aio, aio);
	assert_int_equal(strncmp(seen.state, state, strlen(state)), 0);
	assert_true(seen.reason[0] != '\0');
	assert_true(seen.thread[0] != '\0');
	return seen;
}

static inline int
recorded_two_shards(void **state)
{
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	return two_shards(state);
}

static inline int
recorded_end(void **state)
{
	int rv = engine_end(state);
	pinwheel_set_misuse_handler(NULL);
	struct misuse_seen seen = misuse_take();
	if (seen.count != 0) {
		print_error("%u misuses that no test took, the last by %s\n", seen.count, seen.function);
	}
	return seen.count == 0 ? rv : -1;
}

#define TEST_RECORDED(f) cmocka_unit_test_setup_teardown(f, recorded_two_shards, recorded_end)

/* ---- lines on stderr, through the log hook */

struct log_seen {
	pthread_mutex_t mutex;
	unsigned lines;
	char last[512];
};

static inline void
log_record(const char *line, void *arg)
{
	struct log_seen *seen = arg;
	(void) pthread_mutex_lock(&seen->mutex);
	seen->lines++;
	(void) snprintf(seen->last, sizeof seen->last, "%s", line);
	(void) pthread_mutex_unlock(&seen->mutex);
}

/* ---- children: this program again, with a scenario's name */

struct scenario {
	const char *name;
	int (*run)(void); /* the exit status */
};

struct child {
	int status;     /* of waitpid */
	char err[8192]; /* what it wrote to stderr */
};

/* To be called first by main: does not return in a child. */
static inline void
child_main(int argc, char **argv, const struct scenario *scenarios, size_t count)
{
	struct rlimit none = { 0, 0 };
	if (argc < 2) {
		return;
	}
	(void) setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(argv[1], scenarios[i].name) == 0) {
			int status = scenarios[i].run();
			(void) fflush(NULL);
			_exit(status); /* an engine may run: nothing is to be torn down under it */
		}
	}
	(void) fprintf(stderr, "no scenario %s\n", argv[1]);
	exit(127);
}

/* Runs a scenario with one variable more in its environment (name NULL: none). */
static inline struct child
child_run(const char *scenario, const char *name, const char *value)
{
	struct child child = { .status = -1 };
	char *const argv[] = { (char *) "child", (char *) scenario, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t pid;
	char *before = name != NULL && getenv(name) != NULL ? strdup(getenv(name)) : NULL;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO), 0);
	if (name != NULL) {
		assert_int_equal(setenv(name, value, 1), 0);
	}
	int rv = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
	if (name != NULL) {
		assert_int_equal(before != NULL ? setenv(name, before, 1) : unsetenv(name), 0);
	}
	free(before);
	assert_int_equal(rv, 0);
	assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
	assert_int_equal(close(ends[1]), 0);

	size_t used = 0, room = sizeof child.err - 1;
	for (ssize_t got; used < room && (got = read(ends[0], child.err + used, room - used)) > 0;) {
		used += (size_t) got;
	}
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(waitpid(pid, &child.status, 0), pid);
	return child;
}

static inline void
child_expect_exit(const struct child *child, int status)
{
	if (!WIFEXITED(child->status) || WEXITSTATUS(child->status) != status) {
		print_error("%s", child->err);
	}
	assert_true(WIFEXITED(child->status));
	assert_int_equal(WEXITSTATUS(child->status), status);
}

/* ---- threads */

static inline pthread_t
thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	return thread;
}

static inline void
thread_end(pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * fork_test.c: the contract of handles across fork(): the parent's are misuse in the child, which gets an engine of
 * its own.
 *
 * A child here is a copy of this process, so it asserts nothing: it says by its exit status which step failed.
 */
#include "tests/contract/contract.h"

/* Forks; the child runs fn and leaves with what it returns. The parent gets the child's status. */
static int
fork_and_run(int (*fn)(nng_aio *parents), nng_aio *parents)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		(void) setrlimit(RLIMIT_CORE, &none);
		_exit(fn(parents));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
expect_exit_0(int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In the child: an operation with a callback, a sleep, a cancel. 0, or the step that failed. */
static int
use_an_engine(void)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	if (nng_aio_alloc(&c.aio, consumer_call, &c) != NNG_OK) {
		return 1;
	}
	if (pinwheel_shard_count() < 1) {
		return 2;
	}
	nng_sleep_aio(1, c.aio);
	nng_aio_wait(c.aio);
	if (c.result != NNG_OK || consumer_calls(&c) != 1) {
		return 3;
	}
	if (!provider_start(&p, c.aio)) {
		return 4;
	}
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	if (c.result != NNG_ECANCELED || consumer_calls(&c) != 2) {
		return 5;
	}
	nng_aio_free(c.aio);
	return 0;
}

static int
child_uses_an_engine(nng_aio *parents)
{
	(void) parents;
	if (pinwheel_shard_count() != 0 || pinwheel_shard_self() != -1) {
		return 20; /* the parent's shards are not here */
	}
	nng_fini(); /* nothing to end */
	int step = use_an_engine();
	if (step != 0) {
		return step;
	}
	nng_fini();
	if (pinwheel_shard_count() != 0) {
		return 21;
	}
	return nng_init(NULL) == NNG_OK ? use_an_engine() : 22;
}

/* "(the child's first nng_aio_alloc starts a fresh engine)". Method: fork beside a running engine with an operation
 * under way; the child uses its own, ends it, starts it again; the parent's goes on. Twice: children have numbers of
 * their own. */
static void
child_gets_a_fresh_engine(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	for (int i = 0; i < 2; i++) {
		expect_exit_0(fork_and_run(child_uses_an_engine, c.aio));
	}
	assert_int_equal(pinwheel_shard_count(), 2);
	assert_int_equal(consumer_calls(&c), 0);
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ECANCELED);
	assert_int_equal(consumer_calls(&c), 1);
	nng_aio_free(c.aio);
}

static int
grandchild_uses_an_engine(nng_aio *parents)
{
	int step = use_an_engine();
	if (step != 0) {
		return step;
	}
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		_exit(child_uses_an_engine(parents));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		return 30;
	}
	return WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : use_an_engine();
}

/* The same in the child's child; the child's engine goes on. */
static void
grandchild_gets_a_fresh_engine(void **unused)
{
	(void) unused;
	expect_exit_0(fork_and_run(grandchild_uses_an_engine, NULL));
}

#define CALL(name, call)                                                                                             \
	do {                                                                                                         \
		call;                                                                                                \
		struct misuse_seen seen = misuse_take();                                                             \
		step++;                                                                                              \
		if (seen.count != 1 || strcmp(seen.function, name) != 0) {                                           \
			(void) fprintf(stderr, "%s in the child: %u reports, %s\n", name, seen.count,                \
			    seen.function);                                                                          \
			return step;                                                                                 \
		}                                                                                                    \
	} while (0)

static int
child_misuses_the_parents(nng_aio *parents)
{
	int step = 40;
	bool skipped;
	for (int engine = 0; engine < 2; engine++) { /* without an engine of its own, and with one */
		step = 40;
		CALL("nng_aio_start", (void) nng_aio_start(parents, NULL, NULL));
		CALL("nng_aio_begin", (void) nng_aio_begin(parents));
		CALL("nng_aio_reset", nng_aio_reset(parents));
		CALL("nng_aio_defer", nng_aio_defer(parents, NULL, NULL));
		CALL("nng_aio_finish", nng_aio_finish(parents, NNG_OK));
		CALL("nng_sleep_aio", nng_sleep_aio(0, parents));
		CALL("nng_aio_abort", nng_aio_abort(parents, NNG_EPROTO));
		CALL("nng_aio_stop", nng_aio_stop(parents));
		CALL("pinwheel_aio_close", pinwheel_aio_close(parents));
		CALL("nng_aio_wait", nng_aio_wait(parents));
		CALL("pinwheel_aio_wait_until", (void) pinwheel_aio_wait_until(parents, 0));
		CALL("nng_aio_busy", (void) nng_aio_busy(parents));
		CALL("nng_aio_result", (void) nng_aio_result(parents));
		CALL("nng_aio_count", (void) nng_aio_count(parents));
		CALL("nng_aio_get_msg", (void) nng_aio_get_msg(parents));
		CALL("nng_aio_set_timeout", nng_aio_set_timeout(parents, 0));
		CALL("nng_aio_set_input", (void) nng_aio_set_input(parents, 0, NULL));
		CALL("nng_aio_skip_callback", nng_aio_skip_callback(parents, &skipped));
		CALL("nng_aio_reap", nng_aio_reap(parents));
		CALL("nng_aio_free", nng_aio_free(parents));
		if (engine == 0 && use_an_engine() != 0) {
			return 39;
		}
	}
	return 0;
}

/* "Misuse also: ... a parent's handle in a forked child". Method: every call on a handle of the parent, one that is
 * busy and one that is idle, in the child: reported; the parent's operation has not noticed. */
static void
parents_handle_in_the_child_is_misuse(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	nng_aio *idle;

	(void) unused;
	consumer_open(&c, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&idle, 1, NULL, NULL), NNG_OK);
	assert_true(provider_start(&p, c.aio));
	expect_exit_0(fork_and_run(child_misuses_the_parents, c.aio));
	expect_exit_0(fork_and_run(child_misuses_the_parents, idle));
	nng_aio_finish(c.aio, NNG_EPROTO);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_EPROTO);
	nng_aio_free(c.aio);
	nng_aio_free(idle);
}

static int
child_frees_the_parents(nng_aio *parents)
{
	pinwheel_set_misuse_handler(NULL);
	nng_aio_free(parents);
	return 0;
}

/* "then abort()". Method: no handler: the child ends by SIGABRT. */
static void
parents_handle_in_the_child_aborts(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	int status = fork_and_run(child_frees_the_parents, aio);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	nng_aio_free(aio);
}

/* gcc's ThreadSanitizer loses its own records in a forked child that starts threads ("dup thread with used id"); clang's
 * does not, and runs these tests. */
#if defined(__SANITIZE_THREAD__)
#define RUNTIME_FOLLOWS_FORK false
#else
#define RUNTIME_FOLLOWS_FORK true
#endif

enum {
	SKIPPED = 77
};

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(child_gets_a_fresh_engine),
		TEST_TWO(grandchild_gets_a_fresh_engine),
		TEST_RECORDED(parents_handle_in_the_child_is_misuse),
		TEST_RECORDED(parents_handle_in_the_child_aborts),
	};

	if (!RUNTIME_FOLLOWS_FORK) {
		print_message("skipped: this sanitizer does not follow the threads of a forked child\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

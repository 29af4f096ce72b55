/* SPDX-License-Identifier: MIT
 *
 * thread_test.c: nng_thread, nng_mtx, nng_cv and nng_random as nng.h says of them. No engine runs, but where a test
 * says so.
 */
#include "tests/contract/contract.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "engine/shard/arena.h"

#define THREADS 4

/* ---- threads */

struct run {
	struct gate entered;
	struct gate go;
	pw_a64 ended;
	sigset_t mask;
	char name[16];
};

static void
run_thread(void *arg)
{
	struct run *run = arg;
	gate_open(&run->entered);
	gate_pass(&run->go, 1);
	(void) pthread_sigmask(SIG_BLOCK, NULL, &run->mask);
	(void) pthread_getname_np(pthread_self(), run->name, sizeof run->name);
	pw_store_release_64(&run->ended, 1);
}

/* "starts a thread that calls func(arg)"; destroy "waits until func has returned"; "SIGPIPE is blocked in it"; the
 * name is "the first 15 bytes". Method: a thread held inside func while it gets its name. */
static void
thread_runs_func_and_destroy_waits_for_it(void **unused)
{
	struct run run = { .entered = GATE, .go = GATE };
	nng_thread *thr;

	(void) unused;
	assert_int_equal(nng_thread_create(&thr, run_thread, &run), NNG_OK);
	gate_pass(&run.entered, 1);
	nng_thread_set_name(thr, "a name of more than fifteen");
	gate_open(&run.go);
	nng_thread_destroy(thr);
	assert_int_equal(pw_load_acquire_64(&run.ended), 1);
	assert_string_equal(run.name, "a name of more ");
	assert_int_equal(sigismember(&run.mask, SIGPIPE), 1);
	assert_int_equal(sigismember(&run.mask, SIGTERM), 0);
	nng_thread_destroy(NULL);
}

static void
run_named(void *arg)
{
	nng_thread_set_name(NULL, "mine");
	(void) pthread_getname_np(pthread_self(), arg, 16);
}

/* "NULL thread: the calling one", in which SIGPIPE's mask, too, is its own: the creator's is as it was. */
static void
thread_names_itself_and_leaves_its_creator_alone(void **unused)
{
	char before[16], after[16], name[16] = "";
	nng_thread *thr;
	sigset_t mask;

	(void) unused;
	assert_int_equal(pthread_getname_np(pthread_self(), before, sizeof before), 0);
	assert_int_equal(nng_thread_create(&thr, run_named, name), NNG_OK);
	nng_thread_destroy(thr);
	assert_int_equal(pthread_getname_np(pthread_self(), after, sizeof after), 0);
	assert_string_equal(name, "mine");
	assert_string_equal(after, before);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	assert_int_equal(sigismember(&mask, SIGPIPE), 0);
}

/* "NNG_ENOMEM (no memory, or no more threads)"; "*thrp is written on success only"; locks and condition variables the
 * same. Method: the record's allocation fails; then a stack larger than the address space. */
static void
creation_without_memory_is_enomem(void **unused)
{
	struct run run = { .entered = GATE, .go = GATE };
	nng_thread *thr = (nng_thread *) (void *) &run, *before = thr;
	nng_mtx *mtx, *no_mtx = NULL;
	nng_cv *no_cv = NULL;
	pthread_attr_t usual, huge;

	(void) unused;
	pw_memory_fail_after(0);
	assert_int_equal(nng_thread_create(&thr, run_thread, &run), NNG_ENOMEM);
	pw_memory_fail_after(0);
	assert_int_equal(nng_mtx_alloc(&no_mtx), NNG_ENOMEM);
	assert_int_equal(nng_mtx_alloc(&mtx), NNG_OK);
	pw_memory_fail_after(0);
	assert_int_equal(nng_cv_alloc(&no_cv, mtx), NNG_ENOMEM);
	assert_ptr_equal(thr, before);
	assert_null(no_mtx);
	assert_null(no_cv);
	nng_mtx_free(mtx);

	assert_int_equal(pthread_getattr_default_np(&usual), 0);
	assert_int_equal(pthread_attr_init(&huge), 0);
	assert_int_equal(pthread_attr_setstacksize(&huge, (size_t) 1 << 50), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	assert_int_equal(nng_thread_create(&thr, run_thread, &run), NNG_ENOMEM);
	assert_int_equal(pthread_setattr_default_np(&usual), 0);
	assert_int_equal(pthread_attr_destroy(&huge), 0);
	assert_int_equal(pthread_attr_destroy(&usual), 0);
	assert_ptr_equal(thr, before);
	assert_int_equal(gate_count(&run.entered), 0);
}

struct suicide {
	struct gate go;
	nng_thread *thr;
};

static void
run_suicide(void *arg)
{
	struct suicide *suicide = arg;
	gate_pass(&suicide->go, 1);
	nng_thread_destroy(suicide->thr);
}

static void
idle_thread(void *arg)
{
	(void) arg;
}

/* What is misuse of threads: destroying oneself, and NULL where nng.h says so. Method: by name, and no effect. */
static void
thread_misuse_is_reported(void **unused)
{
	struct suicide suicide = { .go = GATE };
	nng_thread *thr;

	(void) unused;
	assert_int_equal(nng_thread_create(&suicide.thr, run_suicide, &suicide), NNG_OK);
	gate_open(&suicide.go);
	nng_thread_destroy(suicide.thr);
	(void) misuse_expect("nng_thread_destroy", NULL, "");
	assert_int_equal(nng_thread_create(NULL, idle_thread, NULL), NNG_EINVAL);
	(void) misuse_expect("nng_thread_create", NULL, "");
	assert_int_equal(nng_thread_create(&thr, NULL, NULL), NNG_EINVAL);
	(void) misuse_expect("nng_thread_create", NULL, "");
	nng_thread_set_name(NULL, NULL);
	(void) misuse_expect("nng_thread_set_name", NULL, "");
}

/* ---- locks */

struct counter {
	nng_mtx *mtx;
	uint64_t value;
	unsigned times;
};

static void
run_count(void *arg)
{
	struct counter *counter = arg;
	for (unsigned i = 0; i < counter->times; i++) {
		nng_mtx_lock(counter->mtx);
		counter->value++;
		nng_mtx_unlock(counter->mtx);
	}
}

/* "a lock that one thread holds at a time". Method: four threads count under it. */
static void
lock_is_held_by_one_thread_at_a_time(void **unused)
{
	struct counter counter = { .times = 5000 };
	nng_thread *thr[THREADS];

	(void) unused;
	assert_int_equal(nng_mtx_alloc(&counter.mtx), NNG_OK);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(nng_thread_create(&thr[i], run_count, &counter), NNG_OK);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		nng_thread_destroy(thr[i]);
	}
	assert_int_equal(counter.value, THREADS * counter.times);
	nng_mtx_free(counter.mtx);
	nng_mtx_free(NULL);
}

#ifndef CONTRACT_TSAN /* which reports these itself, and ends the program */

static void
run_unlock(void *arg)
{
	nng_mtx_unlock(arg);
}

/* "a lock by the thread that holds it, an unlock by a thread that does not: misuse (R27), no effect"; "Freeing a lock
 * that is held is misuse"; waits without the lock too. Method: by name; afterwards the lock still works. */
static void
lock_misuse_is_reported_and_has_no_effect(void **unused)
{
	nng_mtx *mtx;
	nng_cv *cv;
	nng_thread *thr;

	(void) unused;
	assert_int_equal(nng_mtx_alloc(&mtx), NNG_OK);
	assert_int_equal(nng_cv_alloc(&cv, mtx), NNG_OK);
	nng_mtx_unlock(mtx);
	(void) misuse_expect("nng_mtx_unlock", NULL, "");
	nng_cv_wait(cv);
	(void) misuse_expect("nng_cv_wait", NULL, "");
	assert_int_equal(nng_cv_until(cv, nng_clock() + HOUR_MS), NNG_EINVAL);
	(void) misuse_expect("nng_cv_until", NULL, "");
	nng_mtx_lock(mtx);
	nng_mtx_lock(mtx);
	(void) misuse_expect("nng_mtx_lock", NULL, "");
	assert_int_equal(nng_thread_create(&thr, run_unlock, mtx), NNG_OK);
	nng_thread_destroy(thr);
	(void) misuse_expect("nng_mtx_unlock", NULL, "");
	nng_mtx_free(mtx);
	(void) misuse_expect("nng_mtx_free", NULL, "");
	nng_mtx_unlock(mtx);
	nng_mtx_lock(mtx);
	nng_mtx_unlock(mtx);
	nng_cv_free(cv);
	nng_mtx_free(mtx);
}
#endif

/* H5: "A NULL handle is misuse where a function does not say that it has no effect there." */
static void
null_lock_is_misuse(void **unused)
{
	nng_cv *cv;
	nng_mtx *mtx;

	(void) unused;
	assert_int_equal(nng_mtx_alloc(NULL), NNG_EINVAL);
	(void) misuse_expect("nng_mtx_alloc", NULL, "");
	nng_mtx_lock(NULL);
	(void) misuse_expect("nng_mtx_lock", NULL, "");
	nng_mtx_unlock(NULL);
	(void) misuse_expect("nng_mtx_unlock", NULL, "");
	assert_int_equal(nng_cv_alloc(&cv, NULL), NNG_EINVAL);
	(void) misuse_expect("nng_cv_alloc", NULL, "");
	assert_int_equal(nng_mtx_alloc(&mtx), NNG_OK);
	assert_int_equal(nng_cv_alloc(NULL, mtx), NNG_EINVAL);
	(void) misuse_expect("nng_cv_alloc", NULL, "");
	nng_mtx_free(mtx);
	nng_cv_wait(NULL);
	(void) misuse_expect("nng_cv_wait", NULL, "");
	assert_int_equal(nng_cv_until(NULL, 0), NNG_EINVAL);
	(void) misuse_expect("nng_cv_until", NULL, "");
	nng_cv_wake(NULL);
	(void) misuse_expect("nng_cv_wake", NULL, "");
	nng_cv_wake1(NULL);
	(void) misuse_expect("nng_cv_wake1", NULL, "");
	nng_cv_free(NULL);
	assert_int_equal(misuse_take().count, 0);
}

/* ---- condition variables */

struct queue {
	nng_mtx *mtx;
	nng_cv *cv;   /* tickets, or the end */
	nng_cv *sits; /* a waiter has come */
	unsigned waiting;
	unsigned tickets;
	unsigned served;
	bool timed;
	bool early; /* a timed wait ended by time */
};

static void
queue_open(struct queue *queue)
{
	assert_int_equal(nng_mtx_alloc(&queue->mtx), NNG_OK);
	assert_int_equal(nng_cv_alloc(&queue->cv, queue->mtx), NNG_OK);
	assert_int_equal(nng_cv_alloc(&queue->sits, queue->mtx), NNG_OK);
}

static void
queue_close(struct queue *queue)
{
	nng_cv_free(queue->cv);
	nng_cv_free(queue->sits);
	nng_mtx_free(queue->mtx);
}

static void
run_take_ticket(void *arg)
{
	struct queue *queue = arg;
	nng_mtx_lock(queue->mtx);
	queue->waiting++;
	nng_cv_wake1(queue->sits);
	while (queue->tickets == 0) {
		if (!queue->timed) {
			nng_cv_wait(queue->cv);
		} else if (nng_cv_until(queue->cv, UINT64_MAX) != NNG_OK) {
			queue->early = true;
		}
	}
	queue->tickets--;
	queue->served++;
	nng_cv_wake1(queue->sits);
	nng_mtx_unlock(queue->mtx);
}

/* "wake all who wait, or one of them"; until with "All ones: never". Method: four waiters; one ticket and wake1
 * serves one, three tickets and wake serve the rest: a wake that is lost is a test that does not end. */
static void
waiters_are_woken_one_or_all(void **unused)
{
	(void) unused;
	for (unsigned timed = 0; timed < 2; timed++) {
		struct queue queue = { .timed = timed != 0 };
		nng_thread *thr[THREADS];
		queue_open(&queue);
		for (unsigned i = 0; i < THREADS; i++) {
			assert_int_equal(nng_thread_create(&thr[i], run_take_ticket, &queue), NNG_OK);
		}
		nng_mtx_lock(queue.mtx);
		while (queue.waiting < THREADS) {
			nng_cv_wait(queue.sits);
		}
		queue.tickets = 1;
		nng_cv_wake1(queue.cv);
		while (queue.served < 1) {
			nng_cv_wait(queue.sits);
		}
		queue.tickets = THREADS - 1;
		nng_cv_wake(queue.cv);
		while (queue.served < THREADS) {
			nng_cv_wait(queue.sits);
		}
		nng_mtx_unlock(queue.mtx);
		for (unsigned i = 0; i < THREADS; i++) {
			nng_thread_destroy(thr[i]);
		}
		assert_false(queue.early);
		queue_close(&queue);
	}
}

/* until: "milliseconds on nng_clock; never early", "A time in the past, 0 included": NNG_ETIMEDOUT, and "The lock is
 * held again in every case". Method: nobody wakes; the clock afterwards. */
static void
wait_until_ends_at_its_time_and_not_before(void **unused)
{
	struct queue queue = { 0 };

	(void) unused;
	queue_open(&queue);
	nng_mtx_lock(queue.mtx);
	for (unsigned i = 0; i < 20; i++) {
		nng_time when = nng_clock() + i % 4;
		while (nng_cv_until(queue.cv, when) != NNG_ETIMEDOUT) {
		}
		assert_true(nng_clock() >= when);
	}
	assert_int_equal(nng_cv_until(queue.cv, nng_clock() - 1), NNG_ETIMEDOUT);
	assert_int_equal(nng_cv_until(queue.cv, 0), NNG_ETIMEDOUT);
	nng_mtx_unlock(queue.mtx); /* misuse, were it not held */
	assert_int_equal(misuse_take().count, 0);
	queue_close(&queue);
}

static void
slept(void *arg)
{
	struct queue *queue = arg;
	nng_mtx_lock(queue->mtx);
	queue->tickets++;
	nng_cv_wake(queue->cv);
	nng_mtx_unlock(queue->mtx);
}

/* A program of NNG's kind: a callback under a lock wakes the thread that waits for it. With an engine. */
static void
callback_wakes_a_waiting_thread(void **unused)
{
	struct queue queue = { 0 };
	nng_aio *aio;

	(void) unused;
	queue_open(&queue);
	assert_int_equal(nng_aio_alloc(&aio, slept, &queue), NNG_OK);
	for (unsigned i = 1; i <= 20; i++) {
		nng_mtx_lock(queue.mtx);
		nng_sleep_aio(1, aio); /* under the lock that the callback takes */
		while (queue.tickets < i) {
			nng_cv_wait(queue.cv);
		}
		nng_mtx_unlock(queue.mtx);
		nng_aio_wait(aio);
	}
	nng_aio_free(aio);
	queue_close(&queue);
}

/* ---- random */

/* "32 bits that nobody can foresee": here, that all 32 move, and that nothing comes twice as often as chance allows.
 * Method: 4096 numbers; each bit is set in 1600 to 2500 of them (14 standard deviations), and fewer than 20 pairs are
 * alike (2 in 1000 times one is). */
static void
random_numbers_use_all_bits(void **unused)
{
	static uint32_t numbers[4096];
	unsigned alike = 0;

	(void) unused;
	for (unsigned i = 0; i < 4096; i++) {
		numbers[i] = nng_random();
		for (unsigned k = 0; k < i; k++) {
			alike += numbers[k] == numbers[i];
		}
	}
	assert_true(alike < 20);
	for (unsigned bit = 0; bit < 32; bit++) {
		unsigned set = 0;
		for (unsigned i = 0; i < 4096; i++) {
			set += numbers[i] >> bit & 1;
		}
		assert_true(set > 1600 && set < 2500);
	}
}

/* From here on getrandom(2) answers ENOSYS to this thread. */
static int
refuse_getrandom(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned) offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
	    ? 0
	    : -1;
}

static int
random_from_device(void)
{
	uint32_t all = 0;
	if (refuse_getrandom() != 0) {
		return 77;
	}
	for (unsigned i = 0; i < 64; i++) {
		all |= nng_random();
	}
	return all == UINT32_MAX ? 0 : 1;
}

static int
random_from_nowhere(void)
{
	struct rlimit none = { 0, 0 };
	if (refuse_getrandom() != 0) {
		return 77;
	}
	(void) setrlimit(RLIMIT_NOFILE, &none);
	(void) nng_random();
	return 0;
}

static const struct scenario scenarios[] = {
	{ "random from device", random_from_device },
	{ "random from nowhere", random_from_nowhere },
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* "where the system has no such numbers the process is ended with a line on stderr", and before that the system's
 * other source is asked. Method: children in which a filter refuses getrandom, and then every open. */
static void
random_falls_back_and_never_makes_do(void **unused)
{
	(void) unused;
	struct child child = child_run("random from device", NULL, NULL);
	if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == 77) {
		print_message("no seccomp filter may be set here\n");
		skip();
	}
	child_expect_exit(&child, 0);
	child = child_run("random from nowhere", NULL, NULL);
	assert_true(WIFSIGNALED(child.status));
	assert_int_equal(WTERMSIG(child.status), SIGABRT);
	assert_non_null(strstr(child.err, "nng_random"));
}

static int
recorded(void **state)
{
	(void) state;
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	return 0;
}

#define TEST_ALONE(f) cmocka_unit_test_setup_teardown(f, recorded, recorded_end)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thread_runs_func_and_destroy_waits_for_it),
		cmocka_unit_test(thread_names_itself_and_leaves_its_creator_alone),
		cmocka_unit_test(creation_without_memory_is_enomem),
		TEST_ALONE(thread_misuse_is_reported),
		cmocka_unit_test(lock_is_held_by_one_thread_at_a_time),
#ifndef CONTRACT_TSAN
		TEST_ALONE(lock_misuse_is_reported_and_has_no_effect),
#endif
		TEST_ALONE(null_lock_is_misuse),
		cmocka_unit_test(waiters_are_woken_one_or_all),
		TEST_ALONE(wait_until_ends_at_its_time_and_not_before),
		TEST_TWO(callback_wakes_a_waiting_thread),
		cmocka_unit_test(random_numbers_use_all_bits),
		cmocka_unit_test(random_falls_back_and_never_makes_do),
	};
	child_main(argc, argv, scenarios, SCENARIOS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * misuse_test.c: R27: what is misuse, what is reported, what happens then. Of waits in callbacks: wait_test.c;
 * reaping twice: reap_test.c; a parent's handle: fork_test.c; lent shards: lent_test.c.
 */
#include "tests/contract/contract.h"

#include "engine/aio/aio.h"

/* ---- a handle in each state */

struct specimen {
	struct consumer c;
	struct provider p;
	struct hold hold;
};

enum state {
	IDLE,
	OPEN,
	BEGUN,
	DEFERRED,
	CANCELING,
	DONE,
	STATES
};

static const char *const state_names[STATES] = { "IDLE", "OPEN", "BUSY", "DEFERRED", "CANCELING", "DONE" };

static void
bring_to(struct specimen *s, enum state state)
{
	*s = (struct specimen){ .c = CONSUMER, .p = PROVIDER, .hold = HOLD };
	s->p.ignores = true;
	consumer_open(&s->c, 0);
	switch (state) {
	case OPEN:
		nng_aio_reset(s->c.aio);
		break;
	case BEGUN:
		assert_true(nng_aio_begin(s->c.aio));
		break;
	case DEFERRED:
	case CANCELING:
		assert_true(provider_start(&s->p, s->c.aio));
		if (state == CANCELING) {
			nng_aio_cancel(s->c.aio);
			gate_pass(&s->p.canceled, 1);
		}
		break;
	case DONE:
		shard_hold(&s->hold, 0);
		assert_true(nng_aio_begin(s->c.aio));
		nng_aio_finish(s->c.aio, NNG_EPROTO);
		break;
	default:
		break;
	}
}

/* Ends the operation, if there is one, and shows that it was the only one, with its own result. */
static void
conclude(struct specimen *s, enum state state)
{
	if (state == DONE) {
		shard_let_go(&s->hold, 0);
	} else if (state != IDLE) {
		nng_aio_finish(s->c.aio, NNG_EPROTO);
	}
	nng_aio_wait(s->c.aio);
	shard_pass(0);
	assert_int_equal(consumer_calls(&s->c), state != IDLE);
	assert_int_equal(nng_aio_result(s->c.aio), state != IDLE ? NNG_EPROTO : NNG_OK);
	assert_int_equal(provider_cancels(&s->p), state == CANCELING);
	assert_false(nng_aio_busy(s->c.aio));
	nng_aio_free(s->c.aio);
}

/* ---- starting what is under way */

static bool
try_start(nng_aio *aio, struct provider *p)
{
	return provider_start(p, aio);
}

static bool
try_begin(nng_aio *aio, struct provider *p)
{
	(void) p;
	return nng_aio_begin(aio);
}

static bool
try_reset(nng_aio *aio, struct provider *p)
{
	(void) p;
	nng_aio_reset(aio);
	return false;
}

static bool
try_sleep(nng_aio *aio, struct provider *p)
{
	(void) p;
	nng_sleep_aio(0, aio);
	return false;
}

static bool
try_sleep_ns(nng_aio *aio, struct provider *p)
{
	(void) p;
	pinwheel_sleep_ns(1, aio);
	return false;
}

static const struct {
	bool (*call)(nng_aio *aio, struct provider *p);
	const char *name;
} starts[] = {
	{ try_start, "nng_aio_start" },
	{ try_begin, "nng_aio_begin" },
	{ try_reset, "nng_aio_reset" },
	{ try_sleep, "nng_sleep_aio" },
	{ try_sleep_ns, "pinwheel_sleep_ns" },
};

/* "starting a handle whose operation is under way (begun, deferred, cancelling, finished and not delivered): misuse",
 * and "when it returns, the call has had no effect: ... start returns false without a completion". Method: every way
 * to start in every such state; reported with function, handle and state; the operation under way ends as if nothing
 * had been called. */
static void
start_of_an_operation_under_way_is_misuse_without_effect(void **unused)
{
	struct provider other = PROVIDER;

	(void) unused;
	for (int state = BEGUN; state < STATES; state++) {
		for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
			struct specimen s;
			bring_to(&s, (enum state) state);
			assert_false(starts[i].call(s.c.aio, &other));
			(void) misuse_expect(starts[i].name, s.c.aio, state_names[state]);
			conclude(&s, (enum state) state);
		}
	}
	assert_int_equal(provider_cancels(&other), 0);
}

struct found {
	int64_t left_ns;
	unsigned count;
};

static void
note_left(const struct pinwheel_outstanding *one, void *arg)
{
	struct found *found = arg;
	found->left_ns = one->deadline_in_ns;
	found->count++;
}

/* "the call has had no effect": a start that is misuse does not consume the expiration that was set for the next
 * operation. Method: an operation under way, an expiration of an hour set, a misused start in each form; the next
 * operation has the hour. */
static void
start_that_is_misuse_leaves_the_expiration(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		struct specimen s;
		struct found found = { .count = 0 };
		bring_to(&s, DEFERRED);
		nng_aio_set_expire(s.c.aio, nng_clock() + HOUR_MS);
		(void) starts[i].call(s.c.aio, &s.p);
		(void) misuse_expect(starts[i].name, s.c.aio, "DEFERRED");
		nng_aio_finish(s.c.aio, NNG_OK);
		nng_aio_wait(s.c.aio);
		assert_true(provider_start(&s.p, s.c.aio));
		(void) pinwheel_dump_each(note_left, &found);
		assert_int_equal(found.count, 1);
		assert_in_range(found.left_ns, 1, HOUR_MS * MS);
		nng_aio_finish(s.c.aio, NNG_OK);
		nng_aio_wait(s.c.aio);
		nng_aio_free(s.c.aio);
	}
}

/* The table of DESIGN 2: "defer in DEFERRED, CANCELING: misuse: nothing changes". Method: both states. */
static void
defer_twice_is_misuse_without_effect(void **unused)
{
	struct provider other = PROVIDER;

	(void) unused;
	for (int state = DEFERRED; state <= CANCELING; state++) {
		struct specimen s;
		bring_to(&s, (enum state) state);
		nng_aio_defer(s.c.aio, provider_cancel, &other);
		(void) misuse_expect("nng_aio_defer", s.c.aio, state_names[state]);
		conclude(&s, (enum state) state);
	}
	assert_int_equal(provider_cancels(&other), 0);
}

/* ---- finish */

/* "A second finish is misuse, recognised by the word in every state", "finish and reap are ignored". Method: on a
 * fresh handle; on one whose operation has been delivered; on one that is finished and not delivered: the result
 * stays. */
static void
finish_without_an_operation_is_misuse_and_ignored(void **unused)
{
	struct specimen s;

	(void) unused;
	bring_to(&s, IDLE);
	nng_aio_finish(s.c.aio, NNG_EINTR);
	(void) misuse_expect("nng_aio_finish", s.c.aio, "IDLE");
	conclude(&s, IDLE);

	bring_to(&s, DONE);
	nng_aio_finish(s.c.aio, NNG_EINTR);
	(void) misuse_expect("nng_aio_finish", s.c.aio, "DONE");
	pw_aio_finish(s.c.aio, NNG_EINTR, 42);
	(void) misuse_expect("nng_aio_finish", s.c.aio, "DONE");
	assert_int_equal(nng_aio_count(s.c.aio), 0);
	conclude(&s, DONE);

	for (int state = OPEN; state <= CANCELING; state++) {
		bring_to(&s, (enum state) state);
		nng_aio_finish(s.c.aio, NNG_EPROTO);
		nng_aio_wait(s.c.aio);
		nng_aio_finish(s.c.aio, NNG_EINTR);
		(void) misuse_expect("nng_aio_finish", s.c.aio, "IDLE");
		assert_int_equal(nng_aio_result(s.c.aio), NNG_EPROTO);
		assert_int_equal(consumer_calls(&s.c), 1);
		nng_aio_free(s.c.aio);
	}
}

static void
finish_again(struct consumer *c)
{
	nng_aio_finish(c->aio, NNG_EINTR);
}

/* The same "in every state": while the callback of the finished operation runs. Method: the callback finishes. */
static void
finish_in_the_callback_is_misuse(void **unused)
{
	struct specimen s;

	(void) unused;
	bring_to(&s, BEGUN);
	s.c.step = finish_again;
	nng_aio_finish(s.c.aio, NNG_EPROTO);
	nng_aio_wait(s.c.aio);
	struct misuse_seen seen = misuse_expect("nng_aio_finish", s.c.aio, "DONE|RUNNING");
	assert_string_equal(seen.thread, "pw/0");
	assert_int_equal(consumer_calls(&s.c), 1);
	assert_int_equal(nng_aio_result(s.c.aio), NNG_EPROTO);
	nng_aio_free(s.c.aio);
}

static void
finish_twice(struct provider *p)
{
	nng_aio_finish(p->aio, NNG_EPROTO); /* provider_cancel finishes again */
}

/* The same between a cancel function and the provider. Method: the cancel function finishes twice. */
static void
finish_twice_in_the_cancel_function_is_misuse(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	p.step = finish_twice;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	(void) misuse_expect("nng_aio_finish", c.aio, "DONE");
	assert_int_equal(c.result, NNG_EPROTO);
	assert_int_equal(consumer_calls(&c), 1);
	nng_aio_free(c.aio);
}

/* ---- NULL */

/* nng.h, H5: "A NULL handle is misuse where a function does not say that it has no effect there." Method: every other
 * function of the interface that takes a handle; each reports its own name, and answers what is harmless. */
static void
null_handle_is_misuse_by_name(void **unused)
{
	struct provider p = PROVIDER;
	nng_iov iov = { &p, 1 };
	bool skipped = true;

	(void) unused;
#define NULL_MISUSE(name, call)                                                                                      \
	do {                                                                                                         \
		call;                                                                                                \
		(void) misuse_expect(name, NULL, "");                                                                \
	} while (0)
	NULL_MISUSE("nng_aio_alloc", assert_int_equal(nng_aio_alloc(NULL, NULL, NULL), NNG_EINVAL));
	NULL_MISUSE("pinwheel_aio_alloc_on",
	    assert_int_equal(pinwheel_aio_alloc_on(NULL, 0, NULL, NULL), NNG_EINVAL));
	NULL_MISUSE("nng_aio_set_timeout", nng_aio_set_timeout(NULL, 1));
	NULL_MISUSE("nng_aio_set_expire", nng_aio_set_expire(NULL, 1));
	NULL_MISUSE("pinwheel_aio_set_timeout_ns", pinwheel_aio_set_timeout_ns(NULL, 1));
	NULL_MISUSE("pinwheel_aio_set_deadline_ns", pinwheel_aio_set_deadline_ns(NULL, 1));
	NULL_MISUSE("nng_aio_set_iov", assert_int_equal(nng_aio_set_iov(NULL, 1, &iov), NNG_EINVAL));
	NULL_MISUSE("nng_aio_set_input", assert_int_equal(nng_aio_set_input(NULL, 0, &p), NNG_EINVAL));
	NULL_MISUSE("nng_aio_get_input", assert_null(nng_aio_get_input(NULL, 0)));
	NULL_MISUSE("nng_aio_set_output", assert_int_equal(nng_aio_set_output(NULL, 0, &p), NNG_EINVAL));
	NULL_MISUSE("nng_aio_get_output", assert_null(nng_aio_get_output(NULL, 0)));
	NULL_MISUSE("nng_aio_set_msg", nng_aio_set_msg(NULL, NULL));
	NULL_MISUSE("nng_aio_get_msg", assert_null(nng_aio_get_msg(NULL)));
	NULL_MISUSE("nng_aio_skip_callback", nng_aio_skip_callback(NULL, &skipped));
	assert_false(skipped);
	NULL_MISUSE("nng_aio_busy", assert_false(nng_aio_busy(NULL)));
	NULL_MISUSE("nng_aio_result", assert_int_not_equal(nng_aio_result(NULL), NNG_OK));
	NULL_MISUSE("nng_aio_count", assert_int_equal(nng_aio_count(NULL), 0));
	NULL_MISUSE("nng_aio_reset", nng_aio_reset(NULL));
	NULL_MISUSE("nng_aio_begin", assert_false(nng_aio_begin(NULL)));
	NULL_MISUSE("nng_aio_defer", nng_aio_defer(NULL, provider_cancel, &p));
	NULL_MISUSE("nng_aio_start", assert_false(nng_aio_start(NULL, provider_cancel, &p)));
	NULL_MISUSE("nng_aio_finish", nng_aio_finish(NULL, NNG_OK));
	NULL_MISUSE("nng_sleep_aio", nng_sleep_aio(1, NULL));
	NULL_MISUSE("pinwheel_sleep_ns", pinwheel_sleep_ns(1, NULL));
	NULL_MISUSE("pinwheel_aio_home", assert_int_equal(pinwheel_aio_home(NULL), -1));
#undef NULL_MISUSE
}

/* ---- the report */

static struct log_seen lines = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static int
logged_and_recorded(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	(void) state;
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	config.shards = 1;
	config.lent_shards = PINWHEEL_NONE;
	config.on_log = log_record;
	config.on_log_arg = &lines;
	return pinwheel_start(&config);
}

/* "R27, misuse: one line on stderr (function, aio, state, thread; the same through the log hook)". Method: a second
 * finish by a thread of this test, with the hook set: one line, with all four. On stderr: the children below. */
static void
report_is_one_line_with_function_handle_state_and_thread(void **unused)
{
	char name[32], thread[16];
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pthread_getname_np(pthread_self(), thread, sizeof thread), 0);
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	nng_aio_finish(aio, NNG_OK);
	struct misuse_seen seen = misuse_expect("nng_aio_finish", aio, "IDLE");
	assert_string_equal(seen.thread, thread);
	assert_int_equal(lines.lines, 1);
	(void) snprintf(name, sizeof name, "%p", (void *) aio);
	assert_non_null(strstr(lines.last, "nng_aio_finish"));
	assert_non_null(strstr(lines.last, name));
	assert_non_null(strstr(lines.last, "state IDLE"));
	assert_non_null(strstr(lines.last, thread));
	assert_null(strchr(lines.last, '\n'));
	nng_aio_free(aio);
}

/* pinwheel.h, on_log_arg: "the hooks' args must live until nng_fini returns": afterwards they are not used. Method: a
 * line after nng_fini does not reach the hook. */
static void
log_hook_is_not_called_after_fini(void **unused)
{
	(void) unused;
	nng_fini();
	unsigned before = lines.lines;
	(void) nng_aio_result(NULL);
	(void) misuse_expect("nng_aio_result", NULL, "");
	assert_int_equal(lines.lines, before);
}

/* "`pinwheel_set_misuse_handler(fn)` replaces the abort", pinwheel.h: "may be called before the engine starts and
 * holds across nng_fini". Method: set before a start, used with no engine, across a stop, and with an engine. */
static void
misuse_handler_holds_without_an_engine(void **unused)
{
	nng_aio *aio;

	(void) unused;
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	assert_int_equal(nng_aio_result(NULL), NNG_EINVAL);
	(void) misuse_expect("nng_aio_result", NULL, "");
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_free(aio);
	nng_fini();
	assert_int_equal(nng_aio_result(NULL), NNG_EINVAL);
	(void) misuse_expect("nng_aio_result", NULL, "");
	pinwheel_set_misuse_handler(NULL);
}

/* ---- "then abort()": one child for each */

static nng_aio *
child_aio(void)
{
	nng_aio *aio;
	if (start_shards(2) != NNG_OK || pinwheel_aio_alloc_on(&aio, 0, NULL, NULL) != NNG_OK) {
		exit(3);
	}
	return aio;
}

static int
child_finish_idle(void)
{
	nng_aio_finish(child_aio(), NNG_OK);
	return 0;
}

static int
child_finish_twice(void)
{
	struct hold hold = HOLD;
	nng_aio *aio = child_aio();
	shard_hold(&hold, 0);
	(void) nng_aio_start(aio, NULL, NULL);
	nng_aio_finish(aio, NNG_OK);
	nng_aio_finish(aio, NNG_OK);
	return 0;
}

static int
child_start_busy(void)
{
	nng_aio *aio = child_aio();
	(void) nng_aio_start(aio, NULL, NULL);
	(void) nng_aio_start(aio, NULL, NULL);
	return 0;
}

static int
child_begin_busy(void)
{
	nng_aio *aio = child_aio();
	(void) nng_aio_begin(aio);
	(void) nng_aio_begin(aio);
	return 0;
}

static int
child_reset_busy(void)
{
	nng_aio *aio = child_aio();
	(void) nng_aio_begin(aio);
	nng_aio_reset(aio);
	return 0;
}

static int
child_defer_twice(void)
{
	nng_aio *aio = child_aio();
	nng_aio_defer(aio, NULL, NULL);
	nng_aio_defer(aio, NULL, NULL);
	return 0;
}

static int
child_sleep_busy(void)
{
	nng_aio *aio = child_aio();
	nng_sleep_aio(HOUR_MS, aio);
	nng_sleep_aio(HOUR_MS, aio);
	return 0;
}

static int
child_reap_twice(void)
{
	nng_aio *aio = child_aio();
	(void) nng_aio_start(aio, NULL, NULL);
	nng_aio_reap(aio);
	nng_aio_reap(aio);
	return 0;
}

static int
child_free_after_reap(void)
{
	nng_aio *aio = child_aio();
	(void) nng_aio_start(aio, NULL, NULL);
	nng_aio_reap(aio);
	nng_aio_free(aio);
	return 0;
}

static int
child_null(void)
{
	nng_aio_finish(NULL, NNG_OK);
	return 0;
}

static void
wait_for(void *arg)
{
	nng_aio_wait(arg);
}

static void
stop_it(void *arg)
{
	nng_aio_stop(arg);
}

static void
free_it(void *arg)
{
	nng_aio_free(arg);
}

static void
fini_here(void *arg)
{
	(void) arg;
	nng_fini();
}

static int
child_in_callback(void (*fn)(void *))
{
	nng_aio *aio = child_aio();
	(void) nng_aio_start(aio, NULL, NULL);
	shard_run(0, fn, aio);
	return 0;
}

static int
child_wait_in_callback(void)
{
	return child_in_callback(wait_for);
}

static int
child_stop_in_callback(void)
{
	return child_in_callback(stop_it);
}

static int
child_free_in_callback(void)
{
	return child_in_callback(free_it);
}

static int
child_fini_in_callback(void)
{
	return child_in_callback(fini_here);
}

static int
child_poll_no_lent_shard(void)
{
	(void) child_aio();
	(void) pinwheel_poll(0, 0);
	return 0;
}

static int
child_handler_taken_back(void)
{
	pinwheel_set_misuse_handler(misuse_record);
	nng_aio_finish(NULL, NNG_OK);
	pinwheel_set_misuse_handler(NULL);
	return misuse_take().count == 1 ? child_null() : 3;
}

static const struct scenario scenarios[] = {
	{ "nng_aio_finish(idle)", child_finish_idle },
	{ "nng_aio_finish(twice)", child_finish_twice },
	{ "nng_aio_start(busy)", child_start_busy },
	{ "nng_aio_begin(busy)", child_begin_busy },
	{ "nng_aio_reset(busy)", child_reset_busy },
	{ "nng_aio_defer(twice)", child_defer_twice },
	{ "nng_sleep_aio(busy)", child_sleep_busy },
	{ "nng_aio_reap(twice)", child_reap_twice },
	{ "nng_aio_free(after reap)", child_free_after_reap },
	{ "nng_aio_finish(NULL)", child_null },
	{ "nng_aio_wait(in a callback)", child_wait_in_callback },
	{ "nng_aio_stop(in a callback)", child_stop_in_callback },
	{ "nng_aio_free(in a callback)", child_free_in_callback },
	{ "nng_fini(in a callback)", child_fini_in_callback },
	{ "pinwheel_poll(no lent shard)", child_poll_no_lent_shard },
	{ "nng_aio_finish(handler taken back)", child_handler_taken_back },
};

#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* "one line on stderr (function, aio, state, thread...), then abort()." Method: each misuse in a process of its own:
 * it ends by SIGABRT, and what it wrote names the function. */
static void
misuse_aborts_with_a_line_on_stderr(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < SCENARIOS; i++) {
		char function[64];
		struct child child = child_run(scenarios[i].name, NULL, NULL);
		(void) snprintf(function, sizeof function, "misuse: %.*s", (int) strcspn(scenarios[i].name, "("),
		    scenarios[i].name);
		if (!WIFSIGNALED(child.status) || strstr(child.err, function) == NULL) {
			print_error("%s: status %x, wrote:\n%s\n", scenarios[i].name, (unsigned) child.status,
			    child.err);
		}
		assert_true(WIFSIGNALED(child.status));
		assert_int_equal(WTERMSIG(child.status), SIGABRT);
		assert_non_null(strstr(child.err, function));
		assert_non_null(strstr(child.err, "thread "));
		if (strstr(scenarios[i].name, "(NULL)") == NULL && strncmp(scenarios[i].name, "nng_aio", 7) == 0 &&
		    strstr(scenarios[i].name, "taken back") == NULL) {
			assert_non_null(strstr(child.err, "(0x"));
			assert_non_null(strstr(child.err, "state "));
		}
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_RECORDED(start_of_an_operation_under_way_is_misuse_without_effect),
		TEST_RECORDED(start_that_is_misuse_leaves_the_expiration),
		TEST_RECORDED(defer_twice_is_misuse_without_effect),
		TEST_RECORDED(finish_without_an_operation_is_misuse_and_ignored),
		TEST_RECORDED(finish_in_the_callback_is_misuse),
		TEST_RECORDED(finish_twice_in_the_cancel_function_is_misuse),
		TEST_RECORDED(null_handle_is_misuse_by_name),
		cmocka_unit_test_setup_teardown(report_is_one_line_with_function_handle_state_and_thread,
		    logged_and_recorded, recorded_end),
		cmocka_unit_test_setup_teardown(log_hook_is_not_called_after_fini, logged_and_recorded, recorded_end),
		cmocka_unit_test(misuse_handler_holds_without_an_engine),
		cmocka_unit_test(misuse_aborts_with_a_line_on_stderr),
	};

	child_main(argc, argv, scenarios, SCENARIOS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

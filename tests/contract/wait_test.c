/* SPDX-License-Identifier: MIT
 *
 * wait_test.c: the contract of nng_aio_wait, nng_aio_busy and pinwheel_aio_wait_until, and of waiting on a shard
 * thread (R26). What lending threads do is lent_test.c's.
 */
#include <sched.h>

#include "tests/contract/contract.h"

#include "engine/aio/aio.h"

struct waiter {
	nng_aio *aio;
	pw_a32 *finishing;
	bool after;
};

static void *
wait_and_look(void *arg)
{
	struct waiter *w = arg;
	nng_aio_wait(w->aio);
	w->after = w->finishing == NULL || pw_load_acquire_32(w->finishing) != 0;
	return NULL;
}

/* Returns when some thread sleeps on the handle, or is about to: what it saw then is what it must be woken from. */
static void
await_waiter(const nng_aio *aio)
{
	while ((pw_load_acquire_64(&aio->word) & PW_WAITERS) == 0) {
		(void) sched_yield();
	}
}

/* "nng_aio_wait(aio): returns at once when idle". Method: fresh, reset and not started, completed: this thread would
 * hang. */
static void
wait_returns_at_once_when_idle(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_wait(aio);
	nng_aio_reset(aio);
	nng_aio_wait(aio);
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);
	nng_aio_wait(aio);
	nng_aio_free(aio);
}

static void
start_second(struct consumer *c)
{
	struct provider *p = c->arg;
	if (consumer_calls(c) == 0) {
		(void) provider_start(p, c->aio);
	}
}

/* "else once the handle was not busy at some moment during the call: the callback and whatever it started included".
 * "Any number of threads." Method: eight threads wait; the first callback starts a second operation, which is
 * finished later; each thread says, when it is back, whether that finish had been begun. */
static void
wait_includes_the_callback_and_what_it_started(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct waiter w[8];
	pthread_t thread[8];
	pw_a32 finishing;

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	consumer_open(&c, 0);
	c.step = start_second;
	c.arg = &p;
	assert_true(nng_aio_start(c.aio, NULL, NULL));
	for (int i = 0; i < 8; i++) {
		w[i] = (struct waiter){ .aio = c.aio, .finishing = &finishing };
		thread[i] = thread_start(wait_and_look, &w[i]);
	}
	await_waiter(c.aio);
	nng_aio_finish(c.aio, NNG_OK);
	gate_pass(&c.called, 1);
	shard_pass(0);
	assert_true(nng_aio_busy(c.aio));
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(c.aio, NNG_OK);
	for (int i = 0; i < 8; i++) {
		thread_end(thread[i]);
		assert_true(w[i].after);
	}
	assert_int_equal(consumer_calls(&c), 2);
	nng_aio_free(c.aio);
}

static void
start_held(void *arg)
{
	(void) nng_aio_start(arg, NULL, NULL);
}

/* "once the handle was not busy at some moment during the call". Method: a thread sleeps on the handle; in one turn its
 * shard delivers the operation and then runs a function that starts the next, which is not finished before the sleeper
 * is back. */
static void
wait_is_content_with_one_idle_moment(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	for (int round = 0; round < 20; round++) {
		struct hold hold = HOLD;
		assert_true(nng_aio_start(aio, NULL, NULL));
		struct waiter w = { .aio = aio };
		pthread_t thread = thread_start(wait_and_look, &w);
		await_waiter(aio);
		shard_hold(&hold, 0);
		nng_aio_finish(aio, NNG_OK);
		assert_int_equal(pinwheel_run_on(0, start_held, aio), NNG_OK);
		shard_let_go(&hold, 0);
		assert_true(nng_aio_busy(aio));
		thread_end(thread);
		nng_aio_finish(aio, NNG_OK);
		nng_aio_wait(aio);
	}
	nng_aio_free(aio);
}

static void
wait_for_self(struct consumer *c)
{
	nng_aio_wait(c->aio);
	c->result = pinwheel_aio_wait_until(c->aio, PINWHEEL_NEVER_NS);
	if (c->arg != NULL && consumer_calls(c) == 0) { /* with an operation of its own under way too */
		(void) provider_start(c->arg, c->aio);
		nng_aio_wait(c->aio);
		c->result = pinwheel_aio_wait_until(c->aio, PINWHEEL_NEVER_NS);
	}
}

/* "In the own callback: returns at once (R21)." Method: the callback waits for its own handle, in both ways, also
 * after it has started it again; it would never return. */
static void
wait_in_the_own_callback_returns_at_once(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = wait_for_self;
	c.arg = &p;
	nng_sleep_aio(0, c.aio);
	gate_pass(&c.called, 1);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	nng_aio_free(c.aio);
}

/* "nng_aio_busy(aio): the same predicate; true inside the own callback." Method: looked at in every state. */
static void
busy_is_what_wait_waits_on(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	consumer_open(&c, 0);
	assert_false(nng_aio_busy(c.aio));
	nng_aio_reset(c.aio);
	assert_false(nng_aio_busy(c.aio));
	assert_true(nng_aio_begin(c.aio));
	assert_true(nng_aio_busy(c.aio));
	nng_aio_defer(c.aio, provider_cancel, &p);
	assert_true(nng_aio_busy(c.aio));
	p.ignores = true;
	nng_aio_cancel(c.aio);
	gate_pass(&p.canceled, 1);
	assert_true(nng_aio_busy(c.aio));
	shard_hold(&hold, 0);
	nng_aio_finish(c.aio, NNG_OK);
	assert_true(nng_aio_busy(c.aio)); /* finished and not delivered */
	shard_let_go(&hold, 0);
	nng_aio_wait(c.aio);
	assert_true(c.busy);
	assert_false(nng_aio_busy(c.aio));
	nng_aio_free(c.aio);
}

/* pinwheel.h: "NNG_ETIMEDOUT: the deadline passed first; the operation goes on, nothing has been aborted. A deadline
 * in the past only looks." Method: an operation that is held; a wait that times out, not before its deadline; a look.
 * Then it is finished: 0, with a deadline and without. */
static void
wait_until_gives_up_at_the_deadline_and_aborts_nothing(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_int_equal(pinwheel_aio_wait_until(aio, 0), NNG_OK);
	assert_true(provider_start(&p, aio));
	uint64_t deadline_ns = pinwheel_clock_ns() + 3 * MS;
	assert_int_equal(pinwheel_aio_wait_until(aio, deadline_ns), NNG_ETIMEDOUT);
	assert_true(pinwheel_clock_ns() >= deadline_ns);
	assert_int_equal(pinwheel_aio_wait_until(aio, 0), NNG_ETIMEDOUT);
	assert_int_equal(pinwheel_aio_wait_until(aio, deadline_ns), NNG_ETIMEDOUT);
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 0);
	assert_true(nng_aio_busy(aio));
	nng_aio_finish(aio, NNG_OK);
	assert_int_equal(pinwheel_aio_wait_until(aio, PINWHEEL_NEVER_NS), NNG_OK);
	assert_int_equal(pinwheel_aio_wait_until(aio, 0), NNG_OK);
	nng_aio_free(aio);
}

/* ---- R26: on a shard thread */

/* What a function of shard 0 does to a handle, inside a callback. */
struct inside {
	nng_aio *aio;
	void (*call)(nng_aio *aio);
	pw_a32 *finishing;
	bool after;
	uint64_t returned;
};

static void
inside_call(void *arg)
{
	struct inside *in = arg;
	in->call(in->aio);
	in->after = in->finishing == NULL || pw_load_acquire_32(in->finishing) != 0;
	in->returned = moment();
}

static void
inside_step(struct consumer *c)
{
	inside_call(c->arg);
}

static void
wait_until_never(nng_aio *aio)
{
	(void) pinwheel_aio_wait_until(aio, PINWHEEL_NEVER_NS);
}

static const struct {
	void (*call)(nng_aio *aio);
	const char *name;
} waits[] = {
	{ nng_aio_wait, "nng_aio_wait" },
	{ nng_aio_stop, "nng_aio_stop" },
	{ nng_aio_free, "nng_aio_free" },
	{ wait_until_never, "pinwheel_aio_wait_until" },
};

#define WAITS (sizeof waits / sizeof waits[0])

/* "Busy, homed on the same shard: certain deadlock, misuse by name (both handles, both states) before anything
 * blocks." Method: in the callback of one handle, each call that waits on another, busy, of the same shard: reported
 * with both; the call returns, the other operation has been neither aborted nor stopped. */
static void
wait_in_a_callback_on_the_same_shard_is_misuse(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < WAITS; i++) {
		struct consumer caller = CONSUMER, other = CONSUMER;
		struct provider p = PROVIDER;
		char name[32];
		consumer_open(&caller, 0);
		consumer_open(&other, 0);
		assert_true(provider_start(&p, other.aio));
		struct inside in = { .aio = other.aio, .call = waits[i].call };
		caller.step = inside_step;
		caller.arg = &in;
		nng_sleep_aio(0, caller.aio);
		nng_aio_wait(caller.aio);
		struct misuse_seen seen = misuse_expect(waits[i].name, other.aio, "DEFERRED");
		(void) snprintf(name, sizeof name, "%p", (void *) caller.aio);
		assert_non_null(strstr(seen.reason, name));
		assert_non_null(strstr(seen.reason, "DONE|RUNNING"));
		assert_string_equal(seen.thread, "pw/0");
		shard_pass(0);
		assert_int_equal(provider_cancels(&p), 0);
		nng_aio_finish(other.aio, NNG_OK);
		nng_aio_wait(other.aio);
		assert_int_equal(other.result, NNG_OK);
		assert_true(provider_start(&p, other.aio)); /* not stopped either */
		nng_aio_finish(other.aio, NNG_OK);
		nng_aio_free(other.aio);
		nng_aio_free(caller.aio);
	}
}

static void
inside_cancel(struct provider *p)
{
	inside_call(p->arg);
}

/* The same "in any callback or cancel function", the own handle's included, which is busy there for certain. Method:
 * the cancel function of one handle waits for another of its shard, and for its own. */
static void
wait_in_a_cancel_function_on_the_same_shard_is_misuse(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < 2 * WAITS; i++) {
		struct consumer caller = CONSUMER, other = CONSUMER;
		struct provider canceled = PROVIDER, p = PROVIDER;
		consumer_open(&caller, 0);
		consumer_open(&other, 0);
		assert_true(provider_start(&p, other.aio));
		struct inside in = { .aio = i < WAITS ? other.aio : caller.aio, .call = waits[i % WAITS].call };
		canceled.step = inside_cancel;
		canceled.arg = &in;
		assert_true(provider_start(&canceled, caller.aio));
		nng_aio_cancel(caller.aio);
		nng_aio_wait(caller.aio);
		(void) misuse_expect(waits[i % WAITS].name, in.aio, i < WAITS ? "DEFERRED" : "CANCELING");
		assert_int_equal(caller.result, NNG_ECANCELED);
		nng_aio_finish(other.aio, NNG_OK);
		nng_aio_free(other.aio);
		nng_aio_free(caller.aio);
	}
}

/* "Not busy: done at once." Method: on shard 0, each call on an idle handle of the same shard, and of the other one:
 * no misuse, and free has freed. */
static void
wait_in_a_callback_for_an_idle_handle_is_done_at_once(void **unused)
{
	(void) unused;
	for (int shard = 0; shard < 2; shard++) {
		for (size_t i = 0; i < WAITS; i++) {
			nng_aio *aio;
			assert_int_equal(pinwheel_aio_alloc_on(&aio, shard, NULL, NULL), NNG_OK);
			struct inside in = { .aio = aio, .call = waits[i].call };
			shard_run(0, inside_call, &in);
			if (waits[i].call != nng_aio_free) {
				nng_aio_free(aio);
			}
			assert_int_equal(shard_slots(shard), 0);
		}
	}
}

struct remote {
	struct inside in;
	struct gate done;
};

static void
remote_call(void *arg)
{
	struct remote *r = arg;
	inside_call(&r->in);
	gate_open(&r->done);
}

/* "Busy, on another shard: waits". Method: shard 0 waits in each way for an operation of shard 1 whose provider
 * ignores cancels; it says whether the finish had been begun when it was back; stop and free have aborted it. The
 * waits are counted. */
static void
wait_in_a_callback_for_another_shard_waits(void **unused)
{
	uint64_t counted = shard_stats(0).blocking_waits;

	(void) unused;
	for (size_t i = 0; i < WAITS; i++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct remote r = { .done = GATE };
		pw_a32 finishing;
		bool aborts = waits[i].call == nng_aio_stop || waits[i].call == nng_aio_free;
		pw_store_relaxed_32(&finishing, 0);
		p.ignores = true;
		consumer_open(&c, 1);
		assert_true(provider_start(&p, c.aio));
		r.in = (struct inside){ .aio = c.aio, .call = waits[i].call, .finishing = &finishing };
		assert_int_equal(pinwheel_run_on(0, remote_call, &r), NNG_OK);
		if (aborts) {
			gate_pass(&p.canceled, 1);
			assert_int_equal(p.reason, NNG_ESTOPPED);
		}
		await_waiter(c.aio);
		pw_store_release_32(&finishing, 1);
		nng_aio_finish(c.aio, NNG_OK);
		gate_pass(&r.done, 1);
		assert_true(r.in.after);
		assert_int_equal(consumer_calls(&c), 1);
		assert_true(c.left < r.in.returned);
		if (waits[i].call != nng_aio_free) {
			nng_aio_free(c.aio);
		}
	}
	assert_int_equal(shard_stats(0).blocking_waits - counted, WAITS);
}

static struct log_seen lines = { .mutex = PTHREAD_MUTEX_INITIALIZER };
static struct gate line_printed = GATE;

static void
on_line(const char *line, void *arg)
{
	log_record(line, arg);
	gate_open(&line_printed);
}

static int
two_shards_logged(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	(void) state;
	config.shards = 2;
	config.lent_shards = PINWHEEL_NONE;
	config.on_log = on_line;
	config.on_log_arg = &lines;
	return pinwheel_start(&config);
}

/* "waits, counted as a long turn, one line naming both after 1 s." Method: a callback of shard 0 waits for an
 * operation of shard 1, which is finished more than two seconds later: one line in all. The wait was no less than the
 * second. A wait that gives up before says nothing. */
static void
wait_for_another_shard_is_named_once_after_a_second(void **unused)
{
	struct consumer caller = CONSUMER;
	struct provider p = PROVIDER;
	nng_aio *other;
	char name[2][32];

	(void) unused;
	consumer_open(&caller, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&other, 1, NULL, NULL), NNG_OK);
	assert_true(provider_start(&p, other));
	struct inside in = { .aio = other, .call = nng_aio_wait };
	caller.step = inside_step;
	caller.arg = &in;
	uint64_t long_turns = shard_stats(0).long_turns;
	uint64_t before_ns = pinwheel_clock_ns();
	nng_sleep_aio(0, caller.aio);
	gate_pass(&line_printed, 1);
	assert_true(pinwheel_clock_ns() - before_ns >= 1000 * MS);
	nng_msleep(1200); /* in which a second line would come */
	nng_aio_finish(other, NNG_OK);
	nng_aio_wait(caller.aio);
	shard_pass(0);
	assert_int_equal(lines.lines, 1);
	(void) snprintf(name[0], sizeof name[0], "%p", (void *) caller.aio);
	(void) snprintf(name[1], sizeof name[1], "%p", (void *) other);
	assert_non_null(strstr(lines.last, name[0]));
	assert_non_null(strstr(lines.last, name[1]));
	assert_true(shard_stats(0).long_turns > long_turns);
	nng_aio_free(caller.aio);
	nng_aio_free(other);
}

static void
look_for_a_while(nng_aio *aio)
{
	(void) pinwheel_aio_wait_until(aio, pinwheel_clock_ns() + 5 * MS);
}

static void
look_for_long(nng_aio *aio)
{
	(void) pinwheel_aio_wait_until(aio, pinwheel_clock_ns() + 700 * MS);
}

/* Two shards; a callback of shard 0 waits as `call` does for a handle of shard 1 that stays busy. For how many lines is
 * it named? `meanwhile`: once it waits. -1: no engine. */
static int
lines_of_a_wait(void (*call)(nng_aio *aio), void (*meanwhile)(void))
{
	struct provider p = PROVIDER;
	struct remote r = { .done = GATE };
	nng_aio *other;

	lines.lines = 0;
	if (two_shards_logged(NULL) != 0 || pinwheel_aio_alloc_on(&other, 1, NULL, NULL) != NNG_OK) {
		return -1;
	}
	(void) provider_start(&p, other);
	r.in = (struct inside){ .aio = other, .call = call };
	(void) pinwheel_run_on(0, remote_call, &r);
	if (meanwhile != NULL) {
		await_waiter(other);
		meanwhile();
	}
	gate_pass(&r.done, 1);
	nng_aio_finish(other, NNG_OK);
	nng_aio_free(other);
	nng_fini();
	return (int) lines.lines;
}

/* "one line naming both after 1 s": not of a wait that gives up before that. Method: a callback waits 5 ms for another
 * shard's handle. Its deadline is the earlier one, whenever the machine lets it see it. */
static void
wait_that_gives_up_within_a_second_is_not_named(void **unused)
{
	(void) unused;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(lines_of_a_wait(look_for_a_while, NULL), 0);
	}
}

/* The shell's parent is this process. */
static void
stand_still(void)
{
	if (system("kill -STOP $PPID; sleep 1.3; kill -CONT $PPID") != 0) {
		_exit(3);
	}
}

static int
child_stands_still(void)
{
	return lines_of_a_wait(look_for_long, stand_still);
}

/* The same on a machine that stands still for longer than the second. Method: a process of its own is stopped while its
 * callback waits 700 ms, and goes on after 1300. */
static void
wait_that_the_machine_made_long_is_not_named(void **unused)
{
	(void) unused;
	struct child child = child_run("stands_still", NULL, NULL);
	child_expect_exit(&child, 0);
}

static void
call_fini(nng_aio *aio)
{
	(void) aio;
	nng_fini();
}

/* "R26, waiting on a shard thread: ... nng_fini", and of R27: "Misuse also: nng_fini on a shard thread". Method:
 * reported from a callback; the engine runs on. */
static void
fini_on_a_shard_thread_is_misuse(void **unused)
{
	struct inside in = { .call = call_fini };

	(void) unused;
	shard_run(0, inside_call, &in);
	struct misuse_seen seen = misuse_expect("nng_fini", NULL, "");
	assert_string_equal(seen.thread, "pw/0");
	assert_int_equal(pinwheel_shard_count(), 2);
	shard_pass(0);
	shard_pass(1);
}

static void
close_and_reap(nng_aio *aio)
{
	pinwheel_aio_close(aio);
	nng_aio_reap(aio);
}

/* "For use in callbacks: `pinwheel_aio_close(aio)` = stop without waiting (mark, abort), then reap." "reap never
 * block[s] anywhere." Method: both on a busy handle of the same shard, whose provider ignores its cancel, and of the
 * other: no misuse; the cancel function gets NNG_ESTOPPED, the handle goes with its finish. */
static void
close_and_reap_never_wait(void **unused)
{
	(void) unused;
	for (int shard = 0; shard < 2; shard++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		p.ignores = true;
		consumer_open(&c, shard);
		assert_true(provider_start(&p, c.aio));
		struct inside in = { .aio = c.aio, .call = close_and_reap };
		shard_run(0, inside_call, &in);
		gate_pass(&p.canceled, 1);
		assert_int_equal(p.reason, NNG_ESTOPPED);
		assert_int_equal(consumer_calls(&c), 0);
		nng_aio_finish(c.aio, NNG_OK);
		gate_pass(&c.called, 1);
		assert_int_equal(shard_slots(shard), 0);
	}
}

static void
sleep_in_thread(nng_aio *aio)
{
	(void) aio;
	nng_msleep(15);
}

/* "nng_msleep on a shard thread works and is counted as a long turn." Method: 15 ms, above the default of 10. */
static void
msleep_on_a_shard_thread_is_a_long_turn(void **unused)
{
	struct inside in = { .call = sleep_in_thread };

	(void) unused;
	uint64_t before = shard_stats(0).long_turns;
	uint64_t began_ns = pinwheel_clock_ns();
	shard_run(0, inside_call, &in);
	assert_true(pinwheel_clock_ns() - began_ns >= 15 * MS);
	shard_pass(0);
	assert_true(shard_stats(0).long_turns > before);
	assert_true(shard_stats(0).longest_turn_ns >= 15 * MS);
}

static const struct scenario scenarios[] = {
	{ "stands_still", child_stands_still },
};

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(wait_returns_at_once_when_idle),
		TEST_TWO(wait_includes_the_callback_and_what_it_started),
		TEST_TWO(wait_is_content_with_one_idle_moment),
		TEST_TWO(wait_in_the_own_callback_returns_at_once),
		TEST_TWO(busy_is_what_wait_waits_on),
		TEST_TWO(wait_until_gives_up_at_the_deadline_and_aborts_nothing),
		TEST_RECORDED(wait_in_a_callback_on_the_same_shard_is_misuse),
		TEST_RECORDED(wait_in_a_cancel_function_on_the_same_shard_is_misuse),
		TEST_RECORDED(wait_in_a_callback_for_an_idle_handle_is_done_at_once),
		TEST_RECORDED(wait_in_a_callback_for_another_shard_waits),
		cmocka_unit_test_setup_teardown(wait_for_another_shard_is_named_once_after_a_second,
		    two_shards_logged, engine_end),
		cmocka_unit_test(wait_that_gives_up_within_a_second_is_not_named),
		cmocka_unit_test(wait_that_the_machine_made_long_is_not_named),
		TEST_RECORDED(fini_on_a_shard_thread_is_misuse),
		TEST_RECORDED(close_and_reap_never_wait),
		TEST_TWO(msleep_on_a_shard_thread_is_a_long_turn),
	};

	child_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

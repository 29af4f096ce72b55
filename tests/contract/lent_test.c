/* SPDX-License-Identifier: MIT
 *
 * lent_test.c: the contract of lent shards: pinwheel_poll, pinwheel_poll_fd, waiting on the thread that polls,
 * nng_fini there.
 */
#include <poll.h>

#include "tests/contract/contract.h"

static int
start_with(int shards, int lent)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	config.shards = shards;
	config.lent_shards = lent;
	return pinwheel_start(&config);
}

/* Shard 0 has a thread, shard 1 is lent. */
static int
one_and_one(void **state)
{
	(void) state;
	return start_with(1, 1);
}

static int
recorded_one_and_one(void **state)
{
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	return one_and_one(state);
}

#define LENT 1
#define TEST_LENT(f) cmocka_unit_test_setup_teardown(f, one_and_one, engine_end)
#define TEST_LENT_RECORDED(f) cmocka_unit_test_setup_teardown(f, recorded_one_and_one, recorded_end)

/* Polls until nothing is left to do. */
static unsigned
poll_all(int shard)
{
	unsigned done = 0;
	int n;
	while ((n = pinwheel_poll(shard, 0)) > 0) {
		done += (unsigned) n;
	}
	assert_int_equal(n, 0);
	return done;
}

static bool
readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, timeout_ms) == 1;
}

/* pinwheel_poll: "does what a lent shard has to do ... and returns; never sleeps. Callbacks, cancel functions and
 * functions of pinwheel_run_on run inside this call. While no thread polls, operations homed there do not complete."
 * Method: each of them is caused, and the shard with a thread certainly runs meanwhile: nothing has been called
 * before the poll. */
static void
poll_runs_callbacks_inside_the_call(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct gate ran = GATE;

	(void) unused;
	consumer_open(&c, LENT);
	assert_true(provider_start(&p, c.aio));
	nng_aio_cancel(c.aio);
	assert_int_equal(pinwheel_run_on(LENT, open_gate, &ran), NNG_OK);
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 0);
	assert_int_equal(gate_count(&ran), 0);
	assert_true(nng_aio_busy(c.aio));
	assert_true(poll_all(LENT) > 0);
	assert_int_equal(provider_cancels(&p), 1);
	assert_int_equal(p.shard, LENT);
	assert_int_equal(gate_count(&ran), 1);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_ECANCELED);
	assert_int_equal(c.shard, LENT);
	assert_false(nng_aio_busy(c.aio));
	assert_int_equal(pinwheel_shard_self(), LENT); /* "or to which it has lent itself" */
	assert_int_equal(pinwheel_poll(LENT, 0), 0);
	nng_aio_free(c.aio);
}

/* "returns the number of things done, at most about budget in each stage of the loop". Method: ten functions are
 * sent; with budget 1 each poll runs one at most, and all are run in the end; with the default one poll runs the
 * ten. */
static void
poll_keeps_its_budget(void **unused)
{
	struct gate ran = GATE;

	(void) unused;
	(void) poll_all(LENT);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pinwheel_run_on(LENT, open_gate, &ran), NNG_OK);
	}
	for (unsigned before = 0; before < 10;) {
		assert_true(pinwheel_poll(LENT, 1) > 0);
		unsigned now = gate_count(&ran);
		assert_in_range(now - before, 0, 1);
		before = now;
	}
	(void) poll_all(LENT);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pinwheel_run_on(LENT, open_gate, &ran), NNG_OK);
	}
	assert_true(pinwheel_poll(LENT, 0) >= 10);
	assert_int_equal(gate_count(&ran), 20);
}

static void
send_call(void *arg)
{
	(void) pinwheel_run_on(LENT, open_gate, arg);
}

static void *
send_call_there(void *arg)
{
	send_call(arg);
	return NULL;
}

/* pinwheel_poll_fd: "a descriptor that is readable when pinwheel_poll would find something: mail ..."; pinwheel_poll:
 * "0: nothing is left to do, and pinwheel_poll_fd becomes readable when there is." "It stays the same until
 * nng_fini." Method: silent after a poll that returned 0; readable once another thread, this one, or the other shard
 * has sent something; silent again. */
static void
poll_fd_is_readable_for_mail(void **unused)
{
	struct gate ran = GATE;
	int fd = pinwheel_poll_fd(LENT);

	(void) unused;
	assert_true(fd >= 0);
	(void) poll_all(LENT);
	assert_false(readable(fd, 0));
	for (unsigned sender = 0; sender < 3; sender++) {
		if (sender == 0) {
			thread_end(thread_start(send_call_there, &ran));
		} else if (sender == 1) {
			send_call(&ran);
		} else {
			shard_run(0, send_call, &ran);
		}
		assert_true(readable(fd, -1));
		assert_int_equal(gate_count(&ran), sender);
		assert_true(poll_all(LENT) > 0);
		assert_int_equal(gate_count(&ran), sender + 1);
		assert_false(readable(fd, 0));
		assert_int_equal(pinwheel_poll_fd(LENT), fd);
	}
}

/* What this thread starts and finishes between polls makes it readable too. Method: a start with a deadline, an
 * abort, a finish; one after the other. */
static void
poll_fd_is_readable_for_what_the_lender_does_itself(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	int fd = pinwheel_poll_fd(LENT);

	(void) unused;
	p.ignores = true;
	consumer_open(&c, LENT);
	(void) poll_all(LENT);
	assert_false(readable(fd, 0));
	assert_true(provider_start(&p, c.aio));
	nng_aio_cancel(c.aio);
	assert_true(readable(fd, -1));
	(void) poll_all(LENT);
	assert_int_equal(provider_cancels(&p), 1);
	assert_false(readable(fd, 0));
	nng_aio_finish(c.aio, NNG_OK);
	assert_true(readable(fd, -1));
	(void) poll_all(LENT);
	assert_int_equal(consumer_calls(&c), 1);
	assert_false(readable(fd, 0));
	nng_aio_free(c.aio);
}

/* "... a deadline." Method: a sleep of 5 ms and one of an hour, started here or in a function of the shard, and no
 * mail: after a poll that returned 0 the descriptor becomes readable, not before the time; polls then end the
 * sleep. */
static void
poll_fd_is_readable_for_a_deadline(void **unused)
{
	struct consumer c = CONSUMER, far = CONSUMER;
	int fd = pinwheel_poll_fd(LENT);

	(void) unused;
	consumer_open(&c, LENT);
	consumer_open(&far, LENT);
	nng_sleep_aio(HOUR_MS, far.aio);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t before_ns = pinwheel_clock_ns();
		nng_sleep_aio(5, c.aio);
		while (consumer_calls(&c) == i) {
			if (pinwheel_poll(LENT, 0) == 0 && consumer_calls(&c) == i) {
				assert_true(readable(fd, -1));
			}
		}
		assert_true(pinwheel_clock_ns() - before_ns >= 5 * MS);
		assert_int_equal(c.result, NNG_OK);
	}
	(void) poll_all(LENT);
	assert_false(readable(fd, 0)); /* the hour is not over */
	nng_aio_cancel(far.aio);
	nng_aio_wait(far.aio);
	nng_aio_free(far.aio);
	nng_aio_free(c.aio);
}

/* R26: "On a thread that lends a shard, outside callbacks, these calls poll that shard while they wait". Method:
 * wait, wait_until, stop and free of a handle of the lent shard, on the thread that lends it, which nobody else
 * polls: they return, and the callbacks ran here. */
static void
waits_on_the_lending_thread_poll(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	(void) poll_all(LENT);
	consumer_open(&c, LENT);
	nng_sleep_aio(3, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.shard, LENT);
	nng_sleep_aio(3, c.aio);
	assert_int_equal(pinwheel_aio_wait_until(c.aio, PINWHEEL_NEVER_NS), NNG_OK);
	assert_int_equal(consumer_calls(&c), 2);
	nng_sleep_aio(HOUR_MS, c.aio);
	uint64_t deadline_ns = pinwheel_clock_ns() + 3 * MS;
	assert_int_equal(pinwheel_aio_wait_until(c.aio, deadline_ns), NNG_ETIMEDOUT);
	assert_true(pinwheel_clock_ns() >= deadline_ns);
	nng_aio_stop(c.aio);
	assert_int_equal(consumer_calls(&c), 3);
	assert_int_equal(c.result, NNG_ESTOPPED);
	nng_aio_free(c.aio);

	struct consumer d = CONSUMER;
	consumer_open(&d, LENT);
	assert_true(provider_start(&p, d.aio));
	nng_aio_free(d.aio);
	assert_int_equal(consumer_calls(&d), 1);
	assert_int_equal(d.result, NNG_ESTOPPED);
}

static void
finish_the_other(struct consumer *c)
{
	nng_aio_finish(c->arg, NNG_OK);
}

/* The same for a handle of another shard, whose end needs the lent one. Method: the lending thread waits for a handle
 * of shard 0, which is finished by the callback of a sleep on the lent shard. */
static void
wait_on_the_lending_thread_for_another_shard_polls(void **unused)
{
	struct consumer sleeper = CONSUMER, other = CONSUMER;

	(void) unused;
	(void) poll_all(LENT);
	consumer_open(&sleeper, LENT);
	consumer_open(&other, 0);
	assert_true(nng_aio_start(other.aio, NULL, NULL));
	sleeper.step = finish_the_other;
	sleeper.arg = other.aio;
	nng_sleep_aio(3, sleeper.aio);
	nng_aio_wait(other.aio);
	assert_int_equal(consumer_calls(&other), 1);
	assert_int_equal(other.shard, 0);
	nng_aio_wait(sleeper.aio);
	nng_aio_free(sleeper.aio);
	nng_aio_free(other.aio);
}

/* "descriptor ... readable ..." also after such a wait: the next poll that returns 0 makes it good again. Method:
 * wait, poll until 0, send, look. */
static void
poll_fd_is_good_after_a_wait(void **unused)
{
	struct gate ran = GATE;
	struct consumer c = CONSUMER;
	int fd = pinwheel_poll_fd(LENT);

	(void) unused;
	consumer_open(&c, LENT);
	nng_sleep_aio(1, c.aio);
	nng_aio_wait(c.aio);
	(void) poll_all(LENT);
	thread_end(thread_start(send_call_there, &ran));
	assert_true(readable(fd, -1));
	(void) poll_all(LENT);
	assert_int_equal(gate_count(&ran), 1);
	nng_aio_free(c.aio);
}

/* ---- misuse */

struct answer {
	int poll;
	int fd;
};

static void
poll_here(void *arg)
{
	struct answer *a = arg;
	a->poll = pinwheel_poll(LENT, 0);
	a->fd = pinwheel_poll_fd(LENT);
}

/* R26: "polling inside a callback is misuse." Method: a function of the lent shard polls it. And of the shard with a
 * thread. */
static void
poll_inside_a_callback_is_misuse(void **unused)
{
	struct answer a = { 7, 7 };

	(void) unused;
	assert_int_equal(pinwheel_run_on(LENT, poll_here, &a), NNG_OK);
	(void) poll_all(LENT);
	assert_true(a.poll < 0);
	assert_true(a.fd < 0);
	struct misuse_seen seen = misuse_take();
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.function, "pinwheel_poll_fd");
	a = (struct answer){ 7, 7 };
	shard_run(0, poll_here, &a);
	assert_true(a.poll < 0);
	assert_true(a.fd < 0);
	assert_int_equal(misuse_take().count, 2);
}

static void *
poll_there(void *arg)
{
	poll_here(arg);
	return NULL;
}

/* "negative: misuse (R27), that is no lent shard of that number, another thread's shard, inside a callback." Method:
 * numbers that are none, the shard with a thread, a second thread. */
static void
poll_of_what_is_not_ours_is_misuse(void **unused)
{
	static const int wrong[] = { -1, 0, 2, INT32_MAX };

	(void) unused;
	for (int i = 0; i < 4; i++) {
		assert_true(pinwheel_poll(wrong[i], 0) < 0);
		(void) misuse_expect("pinwheel_poll", NULL, "");
		assert_true(pinwheel_poll_fd(wrong[i]) < 0);
		(void) misuse_expect("pinwheel_poll_fd", NULL, "");
	}
	(void) poll_all(LENT);
	struct answer a = { 7, 7 };
	thread_end(thread_start(poll_there, &a));
	assert_true(a.poll < 0);
	assert_true(a.fd < 0);
	assert_int_equal(misuse_take().count, 2);
	(void) poll_all(LENT); /* ours still */
}

static void
wait_inside(struct consumer *c)
{
	nng_aio_wait(c->arg);
}

/* "Busy, homed on the same shard: certain deadlock, misuse", inside a callback of a lent shard as of any. Method: the
 * callback of one handle waits for another of the lent shard. */
static void
wait_in_a_callback_of_a_lent_shard_is_misuse(void **unused)
{
	struct consumer c = CONSUMER, other = CONSUMER;

	(void) unused;
	consumer_open(&c, LENT);
	consumer_open(&other, LENT);
	assert_true(nng_aio_start(other.aio, NULL, NULL));
	c.step = wait_inside;
	c.arg = other.aio;
	nng_sleep_aio(0, c.aio);
	(void) poll_all(LENT);
	(void) misuse_expect("nng_aio_wait", other.aio, "DEFERRED");
	nng_aio_finish(other.aio, NNG_OK);
	nng_aio_free(other.aio);
	nng_aio_free(c.aio);
}

static void
fini_inside(void *arg)
{
	(void) arg;
	nng_fini();
}

/* "nng_fini on a shard thread" is misuse: also inside a callback of a lent shard; outside it is not. Method: as it
 * says; the engine still runs. */
static void
fini_in_a_callback_of_a_lent_shard_is_misuse(void **unused)
{
	(void) unused;
	assert_int_equal(pinwheel_run_on(LENT, fini_inside, NULL), NNG_OK);
	(void) poll_all(LENT);
	(void) misuse_expect("nng_fini", NULL, "");
	assert_int_equal(pinwheel_shard_count(), 2);
}

/* ---- nng_fini */

/* R26: "these calls poll that shard while they wait, nng_fini included". Method: operations of both shards are
 * pending when the lending thread calls nng_fini; their callbacks have run when it returns, those of the lent shard
 * here. The thread may lend itself again to the next engine. */
static void
fini_on_the_lending_thread_polls(void **unused)
{
	(void) unused;
	for (int round = 0; round < 3; round++) {
		struct consumer c[4];
		struct provider p[4];
		assert_int_equal(start_with(1, 1), NNG_OK);
		(void) poll_all(LENT);
		for (int i = 0; i < 4; i++) {
			c[i] = (struct consumer) CONSUMER;
			p[i] = (struct provider) PROVIDER;
			consumer_open(&c[i], i % 2);
			nng_aio_set_timeout(c[i].aio, i < 2 ? HOUR_MS : NNG_DURATION_DEFAULT);
			assert_true(provider_start(&p[i], c[i].aio));
		}
		nng_fini();
		assert_int_equal(pinwheel_shard_count(), 0);
		assert_int_equal(pinwheel_shard_self(), -1);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(consumer_calls(&c[i]), 1);
			assert_int_equal(c[i].result, NNG_ESTOPPED);
			assert_int_equal(c[i].shard, i % 2);
			nng_aio_free(c[i].aio);
		}
	}
}

/* "what is pending ends with NNG_ESTOPPED", also on lent shards that no thread has polled yet. Method: one, two and
 * three of them beside none and one with a thread; an operation with a deadline pending on each; nng_fini by this
 * thread. */
static void
fini_ends_what_is_pending_on_lent_shards_nobody_polled(void **unused)
{
	(void) unused;
	for (int lent = 1; lent <= 3; lent++) {
		for (int shards = 0; shards < 2; shards++) {
			struct consumer c[3];
			struct provider p[3];
			assert_int_equal(start_with(shards == 0 ? PINWHEEL_NONE : shards, lent), NNG_OK);
			assert_int_equal(pinwheel_shard_count(), shards + lent);
			for (int i = 0; i < lent; i++) {
				c[i] = (struct consumer) CONSUMER;
				p[i] = (struct provider) PROVIDER;
				consumer_open(&c[i], shards + i);
				nng_aio_set_timeout(c[i].aio, HOUR_MS);
				assert_true(provider_start(&p[i], c[i].aio));
			}
			nng_fini();
			for (int i = 0; i < lent; i++) {
				assert_int_equal(consumer_calls(&c[i]), 1);
				assert_int_equal(c[i].result, NNG_ESTOPPED);
				nng_aio_free(c[i].aio);
			}
		}
	}
}

/* The same by a thread that has lent itself to one of them. Method: two lent shards, one is polled. */
static void
fini_on_a_lending_thread_ends_the_other_lent_shards_too(void **unused)
{
	struct consumer c[2];
	struct provider p[2];

	(void) unused;
	assert_int_equal(start_with(PINWHEEL_NONE, 2), NNG_OK);
	(void) poll_all(0);
	for (int i = 0; i < 2; i++) {
		c[i] = (struct consumer) CONSUMER;
		p[i] = (struct provider) PROVIDER;
		consumer_open(&c[i], i);
		nng_aio_set_timeout(c[i].aio, HOUR_MS);
		assert_true(provider_start(&p[i], c[i].aio));
	}
	nng_fini();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(consumer_calls(&c[i]), 1);
		assert_int_equal(c[i].result, NNG_ESTOPPED);
		nng_aio_free(c[i].aio);
	}
}

/* pinwheel.h, on lent shards: "numbered after the others"; of the statistics: "lent". Method: two and two. */
static void
lent_shards_are_numbered_after_the_others(void **unused)
{
	(void) unused;
	assert_int_equal(start_with(2, 2), NNG_OK);
	assert_int_equal(pinwheel_shard_count(), 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(shard_stats(i).lent, i >= 2);
		assert_true(i < 2 || !shard_stats(i).pinned);
	}
	nng_fini();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_LENT(poll_runs_callbacks_inside_the_call),
		TEST_LENT(poll_keeps_its_budget),
		TEST_LENT(poll_fd_is_readable_for_mail),
		TEST_LENT(poll_fd_is_readable_for_what_the_lender_does_itself),
		TEST_LENT(poll_fd_is_readable_for_a_deadline),
		TEST_LENT(waits_on_the_lending_thread_poll),
		TEST_LENT(wait_on_the_lending_thread_for_another_shard_polls),
		TEST_LENT(poll_fd_is_good_after_a_wait),
		TEST_LENT_RECORDED(poll_inside_a_callback_is_misuse),
		TEST_LENT_RECORDED(poll_of_what_is_not_ours_is_misuse),
		TEST_LENT_RECORDED(wait_in_a_callback_of_a_lent_shard_is_misuse),
		TEST_LENT_RECORDED(fini_in_a_callback_of_a_lent_shard_is_misuse),
		cmocka_unit_test(fini_on_the_lending_thread_polls),
		cmocka_unit_test(fini_ends_what_is_pending_on_lent_shards_nobody_polled),
		cmocka_unit_test(fini_on_a_lending_thread_ends_the_other_lent_shards_too),
		cmocka_unit_test(lent_shards_are_numbered_after_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* "-NNG_EINVAL: misuse (R27), that is no lent shard of that number, another thread's shard, inside a callback." Method:
 * numbers that are none, the shard with a thread, a second thread. */
static void
poll_of_what_is_not_ours_is_misuse(void **unused)
{
	static const int wrong[] = { -1, 0, 2, INT32_MAX };

	(void) unused;
	for (int lent = 0; lent < 2; lent++) { /* this thread has lent itself to none, and then to another one */
		for (int i = 0; i < 4; i++) {
			assert_int_equal(pinwheel_poll(wrong[i], 0), -NNG_EINVAL);
			(void) misuse_expect("pinwheel_poll", NULL, "");
			assert_int_equal(pinwheel_poll_fd(wrong[i]), -NNG_EINVAL);
			(void) misuse_expect("pinwheel_poll_fd", NULL, "");
		}
		(void) poll_all(LENT);
	}
	struct answer a = { 7, 7 };
	thread_end(thread_start(poll_there, &a));
	assert_int_equal(a.poll, -NNG_EINVAL);
	assert_int_equal(a.fd, -NNG_EINVAL);
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

struct lender {
	struct gate lent;
	int shard;
	int last;       /* what the poll returned that was not a number of things done */
	int after[2];   /* and what the next ones did */
	uint64_t ended; /* when it came */
};

static void *
lend_until_the_end(void *arg)
{
	struct lender *l = arg;
	while ((l->last = pinwheel_poll(l->shard, 0)) > 0) {
	}
	gate_open(&l->lent);
	int fd = pinwheel_poll_fd(l->shard);
	while (l->last >= 0) {
		l->last = pinwheel_poll(l->shard, 0);
		if (l->last == 0) {
			struct pollfd p = { .fd = fd, .events = POLLIN };
			(void) poll(&p, 1, -1);
		}
	}
	l->ended = moment();
	l->after[0] = pinwheel_poll(l->shard, 0);
	l->after[1] = pinwheel_poll_fd(l->shard);
	return NULL;
}

/* pinwheel_poll: "-NNG_ESTOPPED: nng_fini is shutting down or has, or no engine runs; this thread lends itself to no
 * shard any more"; its descriptor: "nng_fini ... makes it readable". Method: a thread polls, and sleeps on the
 * descriptor when there is nothing to do, until a poll is negative; another one calls nng_fini with operations of
 * the lent shard pending. No misuse; nng_fini has waited for that poll; more polls say the same. */
static void
poll_says_when_another_thread_has_shut_down(void **unused)
{
	(void) unused;
	for (int round = 0; round < 20; round++) {
		struct lender l = { .lent = GATE, .shard = LENT };
		struct consumer c[3];
		struct provider p[3];
		(void) recorded_one_and_one(NULL);
		pthread_t thread = thread_start(lend_until_the_end, &l);
		gate_pass(&l.lent, 1);
		for (int i = 0; i < 3; i++) {
			c[i] = (struct consumer) CONSUMER;
			p[i] = (struct provider) PROVIDER;
			consumer_open(&c[i], LENT);
			nng_aio_set_timeout(c[i].aio, i == 0 ? HOUR_MS : NNG_DURATION_DEFAULT);
			assert_true(provider_start(&p[i], c[i].aio));
		}
		nng_fini();
		thread_end(thread);
		assert_int_equal(pinwheel_shard_count(), 0);
		assert_int_equal(l.last, -NNG_ESTOPPED);
		assert_int_equal(l.after[0], -NNG_ESTOPPED);
		assert_int_equal(l.after[1], -NNG_ESTOPPED);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(consumer_calls(&c[i]), 1);
			assert_int_equal(c[i].result, NNG_ESTOPPED);
			assert_int_equal(c[i].shard, LENT);
			assert_true(c[i].left < l.ended);
			nng_aio_free(c[i].aio);
		}
		assert_int_equal(recorded_end(NULL), 0);
	}
}

/* "... or no engine runs": no misuse, as for pinwheel_run_on. Method: before any engine of this test, and after one. */
static void
poll_without_an_engine_is_estopped(void **unused)
{
	(void) unused;
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(pinwheel_poll(LENT, 0), -NNG_ESTOPPED);
		assert_int_equal(pinwheel_poll_fd(LENT), -NNG_ESTOPPED);
		assert_int_equal(one_and_one(NULL), NNG_OK);
		assert_int_equal(poll_all(LENT), 0);
		nng_fini();
	}
	assert_int_equal(recorded_end(NULL), 0);
}

/* "-NNG_ENOFILES ...: the first call could not open the shard's poller; the thread has not lent itself, and may try
 * again." Method: no descriptor is left, one, two, ... until it succeeds; another thread then has it. */
static void
poll_without_descriptors_may_be_tried_again(void **unused)
{
	struct rlimit before, limit;
	int next = dup(0), refused = 0, rv = -NNG_ENOFILES;

	(void) unused;
	assert_true(next >= 0);
	assert_int_equal(close(next), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t more = 0; rv < 0 && more < 100; more++) {
		limit = before;
		limit.rlim_cur = (rlim_t) next + more;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		rv = pinwheel_poll(LENT, 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_true(rv >= 0 || rv == -NNG_ENOFILES);
		assert_int_equal(pinwheel_shard_self(), rv >= 0 ? LENT : -1);
		refused += rv < 0;
	}
	assert_true(refused > 0);
	(void) poll_all(LENT);
	struct answer a = { 7, 7 };
	thread_end(thread_start(poll_there, &a));
	assert_int_equal(a.poll, -NNG_EINVAL);
	assert_int_equal(misuse_take().count, 2);
}

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

/* ---- what threads outside make */

static void *
allocate_there(void *arg)
{
	nng_aio **aio = arg;
	for (int i = 0; i < 8; i++) {
		if (nng_aio_alloc(&aio[i], NULL, NULL) != NNG_OK) {
			aio[i] = NULL;
		}
	}
	return NULL;
}

/* pinwheel.h: "What a thread outside makes (handles, ...) is spread over the shards with threads of their own; over the
 * lent ones only if there are no others." Method: some threads allocate, beside one, two and no shard with a thread:
 * where each handle lives. Beside one, a sleep on each ends though nobody polls. */
static void
handles_of_outside_threads_live_where_a_thread_is(void **unused)
{
	static const int own[] = { 1, 2, PINWHEEL_NONE };

	(void) unused;
	for (int i = 0; i < 3; i++) {
		nng_aio *aio[4][8];
		unsigned homes = 0;
		int first_lent = own[i] > 0 ? own[i] : 0;
		assert_int_equal(start_with(own[i], 2), NNG_OK);
		for (int t = 0; t < 4; t++) {
			thread_end(thread_start(allocate_there, aio[t]));
			for (int k = 0; k < 8; k++) {
				assert_non_null(aio[t][k]);
				homes |= 1u << pinwheel_aio_home(aio[t][k]);
				if (own[i] > 0) {
					nng_sleep_aio(0, aio[t][k]);
					nng_aio_wait(aio[t][k]);
					assert_int_equal(nng_aio_result(aio[t][k]), NNG_OK);
				}
				nng_aio_free(aio[t][k]);
			}
		}
		assert_int_equal(homes, own[i] > 0 ? (1u << first_lent) - 1 : 3);
		nng_fini();
	}
}

/* A thread that lends itself is not outside in this sense: its handles live on its shard. Method: as it says. */
static void
handles_of_a_lending_thread_live_on_its_shard(void **unused)
{
	(void) unused;
	(void) poll_all(LENT);
	for (int i = 0; i < 4; i++) {
		nng_aio *aio;
		assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
		assert_int_equal(pinwheel_aio_home(aio), LENT);
		nng_aio_free(aio);
	}
}

/* "... dialers, listeners, accepted connections ..." Method: a listener, and dialers that connect to it, several times,
 * and a byte through each connection, on a thread that waits and does not poll: with anything on the lent shard, a
 * wait would not end. */
static void
streams_of_outside_threads_live_where_a_thread_is(void **unused)
{
	nng_stream_listener *listener;
	nng_aio *here, *there;
	char url[64];
	int port;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&here, NULL, NULL), NNG_OK);
	assert_int_equal(nng_aio_alloc(&there, NULL, NULL), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	(void) snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
	for (int i = 0; i < 6; i++) {
		nng_stream_dialer *dialer;
		char sent = (char) ('a' + i), got = 0;
		nng_iov out = { &sent, 1 }, in = { &got, 1 };
		assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
		nng_stream_dialer_dial(dialer, here);
		nng_stream_listener_accept(listener, there);
		nng_aio_wait(here);
		nng_aio_wait(there);
		nng_stream *dialed = nng_aio_get_output(here, 0), *accepted = nng_aio_get_output(there, 0);
		assert_non_null(dialed);
		assert_non_null(accepted);
		assert_int_equal(nng_aio_set_iov(here, 1, &out), NNG_OK);
		assert_int_equal(nng_aio_set_iov(there, 1, &in), NNG_OK);
		nng_stream_send(dialed, here);
		nng_stream_recv(accepted, there);
		nng_aio_wait(here);
		nng_aio_wait(there);
		assert_int_equal(got, sent);
		nng_stream_free(dialed);
		nng_stream_free(accepted);
		nng_stream_dialer_free(dialer);
	}
	nng_stream_listener_free(listener);
	nng_aio_free(here);
	nng_aio_free(there);
}

/* DESIGN 5: "survivors whose home no longer runs are re-homed": nor does one that has only been lent. Method: handles
 * of an engine with two threads; the next one has a lent shard in the second one's place, which nobody polls: starts
 * are refused, and their completions come. One that was allocated on that very shard stays there. */
static void
survivors_are_rehomed_to_where_a_thread_is(void **unused)
{
	struct consumer c[6], pinned = CONSUMER;

	(void) unused;
	assert_int_equal(start_with(2, PINWHEEL_NONE), NNG_OK);
	for (int i = 0; i < 6; i++) {
		c[i] = (struct consumer) CONSUMER;
		assert_int_equal(nng_aio_alloc(&c[i].aio, consumer_call, &c[i]), NNG_OK);
	}
	consumer_open(&pinned, LENT);
	nng_fini();
	assert_int_equal(one_and_one(NULL), NNG_OK);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pinwheel_aio_home(c[i].aio), 0);
		assert_false(nng_aio_start(c[i].aio, NULL, NULL));
		nng_aio_wait(c[i].aio);
		assert_int_equal(consumer_calls(&c[i]), 1);
		nng_aio_free(c[i].aio);
	}
	assert_int_equal(pinwheel_aio_home(pinned.aio), LENT);
	assert_false(nng_aio_start(pinned.aio, NULL, NULL));
	(void) poll_all(LENT);
	assert_int_equal(consumer_calls(&pinned), 1);
	assert_int_equal(pinned.shard, LENT);
	nng_aio_free(pinned.aio);
	nng_fini();
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
		cmocka_unit_test(poll_says_when_another_thread_has_shut_down),
		cmocka_unit_test(poll_without_an_engine_is_estopped),
		TEST_LENT_RECORDED(poll_without_descriptors_may_be_tried_again),
		cmocka_unit_test(handles_of_outside_threads_live_where_a_thread_is),
		TEST_LENT(handles_of_a_lending_thread_live_on_its_shard),
		TEST_LENT(streams_of_outside_threads_live_where_a_thread_is),
		cmocka_unit_test(survivors_are_rehomed_to_where_a_thread_is),
		cmocka_unit_test(lent_shards_are_numbered_after_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

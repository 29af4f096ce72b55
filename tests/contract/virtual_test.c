/* SPDX-License-Identifier: MIT
 *
 * virtual_test.c: the contract of time by hand, <pinwheel/test.h>: linked with pinwheel_test in the place of
 * pinwheel.
 */
#include <poll.h>
#include <time.h>

#include <pinwheel/test.h>

#include "tests/contract/contract.h"

#define TICK_NS UINT64_C(65536) /* the default of PINWHEEL_TICK */
#define S (1000 * MS)

/* One lent shard and no other: everything runs on the test's thread. */
static int
alone(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	(void) state;
	config.shards = PINWHEEL_NONE;
	config.lent_shards = 1;
	return pinwheel_start(&config);
}

#define TEST_ALONE(f) cmocka_unit_test_setup_teardown(f, alone, engine_end)

static uint64_t
real_ns(void)
{
	struct timespec now;
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t) now.tv_sec * S + (uint64_t) now.tv_nsec;
}

/* Law: the clock moves when it is told to, by as much, and otherwise stands still. Method: it is read while real time
 * passes, and around each of the functions that move it. */
static void
time_moves_only_by_hand(void **unused)
{
	uint64_t began_ns = pinwheel_clock_ns(), real_began_ns = real_ns();

	(void) unused;
	assert_true(began_ns >= PINWHEEL_TEST_START_NS);
	while (real_ns() - real_began_ns < MS) {
		assert_int_equal(pinwheel_clock_ns(), began_ns);
	}
	pinwheel_test_advance_ns(7);
	assert_int_equal(pinwheel_clock_ns(), began_ns + 7);
	nng_msleep(5000);
	assert_int_equal(pinwheel_clock_ns(), began_ns + 7 + 5 * S);
	assert_int_equal(pinwheel_test_run_ns(0, 3 * S), 0);
	assert_int_equal(pinwheel_clock_ns(), began_ns + 7 + 8 * S);
	assert_int_equal(nng_clock(), (began_ns + 7 + 8 * S) / MS);
}

/* Law: a sleep ends at its time, within a tick, never before. Method: one of a minute; the time is moved to just
 * before, to its very end, and by a tick. */
static void
sleep_ends_at_its_time_and_not_before(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	nng_sleep_aio(60000, c.aio);
	(void) pinwheel_test_run_ns(0, 60 * S - 1);
	assert_int_equal(consumer_calls(&c), 0);
	assert_true(nng_aio_busy(c.aio));
	(void) pinwheel_test_run_ns(0, 1 + TICK_NS);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_OK);
	assert_false(nng_aio_busy(c.aio));
	nng_aio_free(c.aio);
}

/* Callbacks in the order in which they came, with the time of each. */
struct diary {
	unsigned count;
	struct {
		const struct consumer *who;
		uint64_t at_ns;
	} line[16];
};

static void
write_diary(struct consumer *consumer)
{
	struct diary *diary = consumer->arg;

	diary->line[diary->count].who = consumer;
	diary->line[diary->count++].at_ns = pinwheel_clock_ns();
}

/* Law: a run visits each deadline at its own time, in order: not all of them at the end. Method: timeouts and sleeps
 * between 1 ms and 3 days, started in another order; one run over all of them; the diary. */
static void
run_goes_from_deadline_to_deadline(void **unused)
{
	static const uint64_t after_ms[8] = { 3600000, 1, 259200000, 20, 5000, 86400000, 100, 60000 };
	static const unsigned order[8] = { 1, 3, 6, 4, 7, 0, 5, 2 };
	struct consumer c[8];
	struct provider p = PROVIDER;
	struct diary diary = { 0 };
	uint64_t began_ns = pinwheel_clock_ns(), real_began_ns = real_ns();

	(void) unused;
	for (unsigned i = 0; i < 8; i++) {
		c[i] = (struct consumer) CONSUMER;
		c[i].step = write_diary;
		c[i].arg = &diary;
		consumer_open(&c[i], 0);
		if (i % 2 == 0) {
			nng_sleep_aio((nng_duration) after_ms[i], c[i].aio);
		} else {
			nng_aio_set_timeout(c[i].aio, (nng_duration) after_ms[i]);
			assert_true(provider_start(&p, c[i].aio));
		}
	}
	assert_true(pinwheel_test_run_ns(0, 4 * 86400 * S) > 0);
	assert_int_equal(diary.count, 8);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t due_ns = began_ns + after_ms[order[i]] * MS;
		assert_ptr_equal(diary.line[i].who, &c[order[i]]);
		assert_true(diary.line[i].at_ns >= due_ns);
		assert_true(diary.line[i].at_ns <= due_ns + TICK_NS);
		assert_int_equal(c[order[i]].result, order[i] % 2 == 0 ? NNG_OK : NNG_ETIMEDOUT);
	}
	assert_int_equal(pinwheel_clock_ns(), began_ns + 4 * 86400 * S);
	assert_true(real_ns() - real_began_ns < 86400 * S);
	for (unsigned i = 0; i < 8; i++) {
		nng_aio_free(c[i].aio);
	}
}

/* Law: what a callback starts is part of the run. Method: a sleep that starts itself again, a second each: in 10 s it
 * has ended 10 times (a tick late each time), in 20 s 20 times. */
static void
beat(struct consumer *consumer)
{
	nng_sleep_aio(1000, consumer->aio);
}

static void
run_includes_what_callbacks_start(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	c.step = beat;
	consumer_open(&c, 0);
	nng_sleep_aio(1000, c.aio);
	(void) pinwheel_test_run_ns(0, 10 * S + 20 * TICK_NS);
	assert_int_equal(consumer_calls(&c), 10);
	(void) pinwheel_test_run_ns(0, 10 * S + 20 * TICK_NS);
	assert_int_equal(consumer_calls(&c), 20);
	c.step = NULL;
	nng_aio_free(c.aio);
}

/* Law: between two polls nothing happens, and a poll does what was asked before it: a test decides every order.
 * Method: both orders of a finish and a cancel, and of a deadline and a finish. */
static void
test_decides_who_comes_first(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	nng_aio_cancel(c.aio);
	assert_int_equal(provider_cancels(&p), 0);
	assert_true(pinwheel_poll(0, 0) > 0);
	assert_int_equal(provider_cancels(&p), 1);
	(void) pinwheel_test_run_ns(0, 0);
	assert_int_equal(c.result, NNG_ECANCELED);

	assert_true(provider_start(&p, c.aio));
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_cancel(c.aio);
	(void) pinwheel_test_run_ns(0, 0);
	assert_int_equal(c.result, NNG_OK);

	nng_aio_set_timeout(c.aio, 10);
	assert_true(provider_start(&p, c.aio));
	pinwheel_test_advance_ns(11 * MS); /* due, and the shard has not looked */
	nng_aio_finish(c.aio, NNG_OK);
	(void) pinwheel_test_run_ns(0, 0);
	assert_int_equal(c.result, NNG_OK);
	assert_int_equal(provider_cancels(&p), 1);
	assert_int_equal(consumer_calls(&c), 3);
	nng_aio_free(c.aio);
}

/* Law: after a poll that returned 0 the descriptor tells that the time was moved. */
static void
moved_time_makes_the_descriptor_readable(void **unused)
{
	struct pollfd p = { .fd = pinwheel_poll_fd(0), .events = POLLIN };

	(void) unused;
	(void) pinwheel_test_run_ns(0, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	pinwheel_test_advance_ns(1);
	assert_int_equal(poll(&p, 1, -1), 1);
	(void) pinwheel_test_run_ns(0, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static int
busy(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	(void) state;
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	config.shards = 1;
	config.lent_shards = PINWHEEL_NONE;
	config.idle = PINWHEEL_IDLE_BUSY;
	return pinwheel_start(&config);
}

/* Law: a busy shard with a thread of its own goes by the same time. Method: an hour's sleep on it; the time is moved
 * to its end, and passed through the shard; then by a tick. */
static void
busy_shard_goes_by_the_same_time(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	nng_sleep_aio(HOUR_MS, c.aio);
	pinwheel_test_advance_ns(HOUR_MS * MS - 1);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 0);
	pinwheel_test_advance_ns(1 + TICK_NS);
	gate_pass(&c.called, 1);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

/* Law: misuse of pinwheel_poll is misuse here, and moves no time. */
static void
run_of_a_shard_with_a_thread_is_misuse(void **unused)
{
	uint64_t now_ns = pinwheel_clock_ns();

	(void) unused;
	assert_true(pinwheel_test_run_ns(0, S) < 0);
	(void) misuse_expect("pinwheel_poll", NULL, "");
	assert_int_equal(pinwheel_clock_ns(), now_ns);
}

static int
parked_shard(void)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	config.shards = 1;
	config.idle = PINWHEEL_IDLE_PARK;
	(void) pinwheel_start(&config);
	nng_fini(); /* its thread has read the time by then */
	return 0;
}

/* Law: a shard that would spin and sleep by a time that stands still is misuse, said before anything hangs. */
static void
parking_shard_is_misuse(void **unused)
{
	struct child child = child_run("parked_shard", NULL, NULL);

	(void) unused;
	assert_true(WIFSIGNALED(child.status));
	assert_int_equal(WTERMSIG(child.status), SIGABRT);
	assert_non_null(strstr(child.err, "with pinwheel_test a shard is lent"));
}

int
main(int argc, char **argv)
{
	static const struct scenario scenarios[] = { { "parked_shard", parked_shard } };
	const struct CMUnitTest tests[] = {
		TEST_ALONE(time_moves_only_by_hand),
		TEST_ALONE(sleep_ends_at_its_time_and_not_before),
		TEST_ALONE(run_goes_from_deadline_to_deadline),
		TEST_ALONE(run_includes_what_callbacks_start),
		TEST_ALONE(test_decides_who_comes_first),
		TEST_ALONE(moved_time_makes_the_descriptor_readable),
		cmocka_unit_test_setup_teardown(busy_shard_goes_by_the_same_time, busy, recorded_end),
		cmocka_unit_test_setup_teardown(run_of_a_shard_with_a_thread_is_misuse, busy, recorded_end),
		cmocka_unit_test(parking_shard_is_misuse),
	};

	child_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

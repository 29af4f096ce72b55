/* SPDX-License-Identifier: MIT
 *
 * clock_test.c: the laws of engine/base/clock.h that go beyond one thread: one time for all threads. (Signals
 * during a sleep, and the coarse clock, are in park_test.c.)
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "engine/base/atomic.h"
#include "engine/base/clock.h"

static unsigned
scaled(unsigned n, unsigned least)
{
	const char *percent = getenv("PW_TEST_SCALE");
	unsigned s = (unsigned) ((uint64_t) n * (percent != NULL ? strtoul(percent, NULL, 10) : 100) / 100);
	return s < least ? least : s;
}

/* Law: never earlier than an earlier answer on the same thread. */
static void
clock_never_goes_back(void **unused)
{
	uint64_t last_ns = pw_clock_now_ns();
	(void) unused;
	for (unsigned i = 0; i < scaled(1000000, 20000); i++) {
		uint64_t now_ns = pw_clock_now_ns();
		assert_true(now_ns >= last_ns);
		last_ns = now_ns;
	}
}

struct relay {
	pw_a64 latest_ns; /* an answer that some thread has had */
	unsigned rounds;
	pw_a64 earlier;
};

/* Passes on the latest answer that it knows of, and asks after having seen another's. */
static void *
compare(void *arg)
{
	struct relay *relay = arg;
	for (unsigned i = 0; i < relay->rounds; i++) {
		uint64_t seen_ns = pw_load_acquire_64(&relay->latest_ns);
		uint64_t now_ns = pw_clock_now_ns();
		if (now_ns < seen_ns) {
			(void) pw_fetch_add_relaxed_64(&relay->earlier, 1);
		}
		while (seen_ns < now_ns && !pw_cas_acq_rel_64(&relay->latest_ns, &seen_ns, now_ns)) {
		}
	}
	return NULL;
}

/* Law: a deadline that one thread computes has the same meaning on another: an answer is never earlier than one
 * that was had before it on another thread. Method: three threads hand the latest answer around. */
static void
clock_agrees_between_threads(void **unused)
{
	struct relay relay = { .rounds = scaled(300000, 10000) };
	pthread_t thread[3];
	(void) unused;
	pw_store_relaxed_64(&relay.latest_ns, 0);
	pw_store_relaxed_64(&relay.earlier, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&thread[i], NULL, compare, &relay), 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	}
	assert_int_equal(pw_load_relaxed_64(&relay.earlier), 0);
}

/* Law: it is CLOCK_MONOTONIC, on which the kernel's timers run, in nanoseconds. */
static void
clock_is_the_kernels_monotonic_one(void **unused)
{
	(void) unused;
	for (int i = 0; i < 1000; i++) {
		struct timespec t;
		uint64_t before_ns = pw_clock_now_ns();
		assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
		uint64_t between_ns = (uint64_t) t.tv_sec * PW_NS_PER_S + (uint64_t) t.tv_nsec;
		uint64_t after_ns = pw_clock_now_ns();
		assert_in_range(between_ns, before_ns, after_ns);
	}
}

/* Law: a sleep takes at least as long as was asked, from nothing to some milliseconds. */
static void
clock_sleep_is_at_least(void **unused)
{
	(void) unused;
	for (uint64_t ns = 0; ns <= 4 * PW_NS_PER_MS; ns = ns * 3 + 1) {
		uint64_t before_ns = pw_clock_now_ns();
		pw_clock_sleep_ns(ns);
		assert_true(pw_clock_now_ns() - before_ns >= ns);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_never_goes_back),
		cmocka_unit_test(clock_agrees_between_threads),
		cmocka_unit_test(clock_is_the_kernels_monotonic_one),
		cmocka_unit_test(clock_sleep_is_at_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * histogram_test.c: the laws of engine/base/histogram.h. The buckets are checked over the whole range by their edges.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/histogram.h"

#define LIMIT (UINT64_C(1) << 40)

/* Law: every value below 2^40 falls into the bucket whose top is the first one not below it. Method: both sides of
 * every bucket's edge. */
static void
histogram_buckets_meet_without_gap(void **unused)
{
	(void) unused;
	assert_int_equal(pw_histogram_index(0), 0);
	for (unsigned i = 0; i + 1 < PW_HISTOGRAM_BUCKETS; i++) {
		uint64_t top = pw_histogram_top_ns(i);
		assert_int_equal(pw_histogram_index(top), i);
		assert_int_equal(pw_histogram_index(top + 1), i + 1);
		assert_true(pw_histogram_top_ns(i + 1) > top);
	}
	assert_int_equal(pw_histogram_top_ns(PW_HISTOGRAM_BUCKETS - 1), LIMIT - 1);
	assert_int_equal(pw_histogram_index(LIMIT - 1), PW_HISTOGRAM_BUCKETS - 1);
}

/* Law: a figure read back is never below what was recorded and at most 6.25 % above it. */
static void
histogram_error_is_at_most_a_sixteenth(void **unused)
{
	const char *text = getenv("PW_TEST_SEED");
	uint64_t random = text != NULL ? strtoull(text, NULL, 0) | 1 : 20250914;
	(void) unused;
	printf("PW_TEST_SEED=%llu\n", (unsigned long long) random);
	for (unsigned i = 0; i < 200000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint64_t value = (random >> 8) % (UINT64_C(1) << (1 + i % 40));
		uint64_t top = pw_histogram_top_ns(pw_histogram_index(value));
		assert_true(top >= value);
		assert_true(top - value <= value / 16);
	}
}

/* Law: what is too large shares the last bucket, and the maximum is exact all the same. */
static void
histogram_clamps_and_keeps_the_maximum(void **unused)
{
	static struct pw_histogram h;
	(void) unused;
	memset(&h, 0, sizeof h);
	pw_histogram_record(&h, LIMIT);
	pw_histogram_record(&h, UINT64_MAX / 4);
	pw_histogram_record(&h, 5);
	assert_int_equal(pw_load_relaxed_64(&h.bucket[PW_HISTOGRAM_BUCKETS - 1]), 2);
	assert_int_equal(pw_load_relaxed_64(&h.bucket[5]), 1);
	assert_int_equal(pw_load_relaxed_64(&h.max_ns), UINT64_MAX / 4);
	assert_int_equal(pw_load_relaxed_64(&h.count), 3);
	assert_int_equal(pw_load_relaxed_64(&h.sum_ns), LIMIT + UINT64_MAX / 4 + 5);
}

#define RECORDS 200000

static void *
record_many(void *arg)
{
	struct pw_histogram *h = arg;
	for (uint64_t i = 0; i < RECORDS; i++) {
		pw_histogram_record(h, i % 1000);
	}
	return NULL;
}

/* Law: one records, any may read: never a torn figure, never one that goes back. */
static void
histogram_reader_sees_no_torn_figure(void **unused)
{
	static struct pw_histogram h;
	pthread_t thread;
	uint64_t seen = 0, worst = 0;
	(void) unused;
	memset(&h, 0, sizeof h);
	assert_int_equal(pthread_create(&thread, NULL, record_many, &h), 0);
	while (seen < RECORDS) {
		uint64_t count = pw_load_relaxed_64(&h.count), max_ns = pw_load_relaxed_64(&h.max_ns);
		assert_true(count >= seen);
		assert_true(max_ns >= worst && max_ns < 1000);
		seen = count;
		worst = max_ns;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	uint64_t sum = 0;
	for (unsigned i = 0; i < PW_HISTOGRAM_BUCKETS; i++) {
		sum += pw_load_relaxed_64(&h.bucket[i]);
	}
	assert_int_equal(sum, RECORDS);
	assert_int_equal(pw_load_relaxed_64(&h.max_ns), 999);
	assert_int_equal(pw_load_relaxed_64(&h.sum_ns), (uint64_t) RECORDS / 1000 * 499500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histogram_buckets_meet_without_gap),
		cmocka_unit_test(histogram_error_is_at_most_a_sixteenth),
		cmocka_unit_test(histogram_clamps_and_keeps_the_maximum),
		cmocka_unit_test(histogram_reader_sees_no_torn_figure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * latency_test.c: the histogram that `pinwheel load` judges by: bench/command/latency.h.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/command/latency.h"

#define VALUES 20000u
#define LAST_NS (UINT64_C(1) << 40)

static struct pw_latency latency, other;

static uint64_t
seed(void)
{
	const char *given = getenv("PW_TEST_SEED");
	uint64_t value = given != NULL ? strtoull(given, NULL, 10) : 20240607;

	printf("PW_TEST_SEED=%" PRIu64 "\n", value);
	return value;
}

/* Values of all magnitudes alike. */
static uint64_t
draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 24) >> (*state % 40);
}

static int
ascending(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *) a, right = *(const uint64_t *) b;
	return left < right ? -1 : left > right;
}

/* Law: buckets are in the order of the values, without a gap, and no wider than 1/1024 of what is in them. Method:
 * the top of each bucket is in it, the next value in the next one. */
static void
latency_buckets_are_a_thousandth_wide(void **state)
{
	(void) state;
	uint64_t below_ns = 0; /* the first value of the bucket */

	for (unsigned i = 0; i < PW_LATENCY_BUCKETS; i++) {
		uint64_t top_ns = pw_latency_top_ns(i);
		assert_true(top_ns >= below_ns);
		assert_int_equal(pw_latency_index(below_ns), i);
		assert_int_equal(pw_latency_index(top_ns), i);
		assert_true((top_ns - below_ns) * PW_LATENCY_SUB <= below_ns);
		below_ns = top_ns + 1;
	}
	assert_int_equal(below_ns, LAST_NS);
	assert_int_equal(pw_latency_index(LAST_NS), PW_LATENCY_BUCKETS - 1);
	assert_int_equal(pw_latency_index(UINT64_MAX), PW_LATENCY_BUCKETS - 1);
}

/* Law: a percentile is never below the true one and at most 0.1 % above it, the maximum is exact; of two histograms
 * added likewise. Method: random values in two halves, against the sorted list. */
static void
latency_percentiles_are_of_three_digits(void **state)
{
	(void) state;
	static const double percents[] = { 0, 1, 50, 90, 99, 99.9, 99.99, 100 };
	static uint64_t values[VALUES];
	uint64_t random = seed(), sum_ns = 0;

	memset(&latency, 0, sizeof(latency));
	memset(&other, 0, sizeof(other));
	for (unsigned i = 0; i < VALUES; i++) {
		values[i] = draw(&random);
		sum_ns += values[i];
		pw_latency_record(i % 2 == 0 ? &latency : &other, values[i]);
	}
	pw_latency_add(&latency, &other);
	qsort(values, VALUES, sizeof(values[0]), ascending);
	assert_int_equal(pw_load_relaxed_64(&latency.count), VALUES);
	assert_int_equal(pw_load_relaxed_64(&latency.sum_ns), sum_ns);
	assert_int_equal(pw_load_relaxed_64(&latency.max_ns), values[VALUES - 1]);
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		double wanted = VALUES * percents[i] / 100;
		unsigned rank = (unsigned) wanted;
		rank += rank < wanted || rank == 0; /* the first that as many are not above */
		uint64_t truth_ns = values[rank - 1];
		uint64_t read_ns = pw_latency_percentile_ns(&latency, percents[i]);
		assert_true(read_ns >= truth_ns);
		assert_true(read_ns - truth_ns <= truth_ns / 1000);
	}
}

/* Law: what is left of a histogram without its earlier state is what came since. Method: values before and after,
 * whose maximum came before. */
static void
latency_difference_is_what_came_since(void **state)
{
	(void) state;
	static struct pw_latency now;

	memset(&latency, 0, sizeof(latency));
	pw_latency_record(&latency, 5000000);
	pw_latency_record(&latency, 700);
	other = latency;
	for (unsigned i = 0; i < 10; i++) {
		pw_latency_record(&latency, 900 + i);
	}
	now = latency;
	pw_latency_subtract(&now, &other);
	assert_int_equal(pw_load_relaxed_64(&now.count), 10);
	assert_int_equal(pw_load_relaxed_64(&now.sum_ns), 9045);
	assert_int_equal(pw_load_relaxed_64(&now.max_ns), 909);
	assert_int_equal(pw_latency_percentile_ns(&now, 50), 904);
	assert_int_equal(pw_latency_percentile_ns(&now, 100), 909);
	now = latency;
	pw_latency_subtract(&now, &latency);
	assert_int_equal(pw_load_relaxed_64(&now.count), 0);
	assert_int_equal(pw_latency_percentile_ns(&now, 99), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latency_buckets_are_a_thousandth_wide),
		cmocka_unit_test(latency_percentiles_are_of_three_digits),
		cmocka_unit_test(latency_difference_is_what_came_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

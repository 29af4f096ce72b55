/* SPDX-License-Identifier: MIT
 *
 * msg_share_test.c: what messages share, what they copy and what needs no memory; and messages that share a body on
 * several threads. Random choices come from PW_TEST_SEED (printed), the threads' steps are scaled by PW_TEST_SCALE
 * percent.
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
#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include "engine/base/atomic.h"
#include "engine/msg/msg.h"
#include "engine/shard/arena.h"

#define LONG 4000 /* a body that does not fit into a message */

static uint64_t seed = 20251004;
static unsigned scale_percent = 100;

static nng_msg *
message(size_t size)
{
	nng_msg *msg;
	assert_int_equal(nng_msg_alloc(&msg, 0), NNG_OK);
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t) (i * 7);
		assert_int_equal(nng_msg_append(msg, &byte, 1), NNG_OK);
	}
	return msg;
}

static nng_msg *
dup_of(const nng_msg *msg)
{
	nng_msg *dup;
	assert_int_equal(nng_msg_dup(&dup, msg), NNG_OK);
	return dup;
}

/* Law: a message with a short body is one allocation, with a long one two; a duplicate is one either way. Method: the
 * allocator's count of calls, at each side of the border. */
static void
msg_costs_one_allocation_or_two(void **state)
{
	(void) state;
	static const size_t sizes[] = { 0, 1, PW_MSG_BODY_OWN, PW_MSG_BODY_OWN + 1, LONG };
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		nng_msg *msg, *dup;
		uint64_t before = pw_memory_calls();
		assert_int_equal(nng_msg_alloc(&msg, sizes[i]), NNG_OK);
		assert_int_equal(pw_memory_calls() - before, sizes[i] <= PW_MSG_BODY_OWN ? 1 : 2);
		before = pw_memory_calls();
		assert_int_equal(nng_msg_dup(&dup, msg), NNG_OK);
		assert_int_equal(pw_memory_calls() - before, 1);
		nng_msg_free(msg);
		nng_msg_free(dup);
	}
}

/* Law: duplicates of a long body hold it together; dropping bytes keeps it shared, the first change leaves it, and
 * the last holder keeps it without a copy. Method: holders and addresses at each step. */
static void
msg_shares_a_long_body_until_a_change(void **state)
{
	(void) state;
	nng_msg *first = message(LONG);
	const uint8_t *bytes = pinwheel_msg_body(first);
	nng_msg *second = dup_of(first), *third = dup_of(second);
	assert_int_equal(pw_msg_holders(first), 3);
	assert_ptr_equal(pinwheel_msg_body(third), bytes);
	assert_int_equal(nng_msg_capacity(second), LONG);

	uint16_t number;
	assert_int_equal(nng_msg_trim(second, 8), NNG_OK);
	assert_int_equal(nng_msg_chop_u16(second, &number), NNG_OK);
	assert_int_equal(nng_msg_realloc(second, 100), NNG_OK);
	assert_ptr_equal(pinwheel_msg_body(second), bytes + 8);
	assert_int_equal(pw_msg_holders(second), 3);

	assert_int_equal(nng_msg_append_u32(second, 1), NNG_OK);
	assert_int_equal(pw_msg_holders(second), 1);
	assert_int_equal(pw_msg_holders(first), 2);
	uint8_t *written = nng_msg_body(third);
	assert_ptr_not_equal(written, bytes);
	written[0] ^= 0xff;
	assert_int_equal(pw_msg_holders(first), 1);
	assert_int_equal(bytes[0], 0);

	uint64_t calls = pw_memory_calls();
	assert_ptr_equal(nng_msg_body(first), bytes);
	assert_int_equal(pw_memory_calls(), calls);
	nng_msg_free(first);
	nng_msg_free(second);
	nng_msg_free(third);
}

/* nng.h: "While a pointer from nng_msg_body is good the body is copied here instead". Method: an address is taken, a
 * duplicate made, the address written through: the duplicate does not see it. */
static void
msg_with_an_address_out_is_copied_by_dup(void **state)
{
	(void) state;
	nng_msg *msg = message(LONG);
	uint8_t *address = nng_msg_body(msg);
	nng_msg *dup = dup_of(msg);
	address[5] = 99;
	assert_int_equal(((const uint8_t *) pinwheel_msg_body(dup))[5], 35);
	assert_ptr_equal(nng_msg_body(msg), address);
	assert_int_equal(nng_msg_trim(msg, 0), NNG_OK); /* changes no length: the address is still good */
	assert_int_equal(nng_msg_reserve(msg, 1), NNG_OK);
	nng_msg_free(dup);
	dup = dup_of(msg);
	assert_int_equal(pw_msg_holders(msg), 1);
	nng_msg_free(dup);
	nng_msg_free(msg);
}

static nng_err
clear_and_fill(nng_msg *msg)
{
	nng_msg_clear(msg);
	return nng_msg_realloc(msg, LONG);
}

static nng_err
call_changing(nng_msg *msg, unsigned which)
{
	uint32_t number;
	switch (which) {
	case 0:
		return nng_msg_append(msg, "x", 1);
	case 1:
		return nng_msg_insert(msg, "x", 1);
	case 2:
		return nng_msg_trim(msg, 1);
	case 3:
		return nng_msg_chop(msg, 1);
	case 4:
		return nng_msg_realloc(msg, LONG / 2);
	case 5:
		return nng_msg_realloc(msg, nng_msg_len(msg) + 1);
	case 6:
		return nng_msg_reserve(msg, nng_msg_capacity(msg) + 1);
	case 7:
		return nng_msg_chop_u32(msg, &number);
	default:
		return clear_and_fill(msg);
	}
}

/* nng.h: an address "holds until the next call that changes the body's length or capacity": from then on duplicates
 * share again. Method: the address taken before each of these calls, the holders after a duplicate. */
static void
msg_is_shared_again_when_its_address_is_void(void **state)
{
	(void) state;
	for (unsigned which = 0; which < 9; which++) {
		nng_msg *msg = message(LONG);
		(void) nng_msg_body(msg);
		assert_int_equal(call_changing(msg, which), NNG_OK);
		nng_msg *dup = dup_of(msg);
		assert_int_equal(pw_msg_holders(msg), 2);
		nng_msg_free(dup);
		nng_msg_free(msg);
	}
}

/* nng.h: a fresh body has "at least 32 bytes of headroom before it"; what was trimmed is headroom too; an append up
 * to the capacity needs no memory. Method: addresses, and the allocator's count, for short and long bodies. */
static void
msg_inserts_into_headroom_and_appends_into_capacity_in_place(void **state)
{
	(void) state;
	static const size_t sizes[] = { 0, 64, PW_MSG_BODY_OWN, 1024, 65536 };
	uint8_t bytes[32] = { 1 };
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		nng_msg *msg;
		assert_int_equal(nng_msg_alloc(&msg, sizes[i]), NNG_OK);
		const uint8_t *start = pinwheel_msg_body(msg);
		uint64_t calls = pw_memory_calls();
		assert_int_equal(nng_msg_insert(msg, bytes, 32), NNG_OK);
		assert_ptr_equal(pinwheel_msg_body(msg), start - 32);
		assert_int_equal(nng_msg_trim(msg, 32), NNG_OK);
		assert_int_equal(nng_msg_insert(msg, bytes, 32), NNG_OK);
		while (nng_msg_len(msg) < nng_msg_capacity(msg)) {
			assert_int_equal(nng_msg_append(msg, bytes, 1), NNG_OK);
		}
		assert_ptr_equal(pinwheel_msg_body(msg), start - 32);
		assert_int_equal(pw_memory_calls(), calls);
		nng_msg_free(msg);
	}
}

/* nng.h: "any number of small ones costs a constant each"; and a message used as a queue (append, trim) does not
 * grow. Method: the allocator's count over 100,000 small appends, inserts, and steps of a queue. */
static void
msg_growth_is_rare(void **state)
{
	(void) state;
	nng_msg *msg = message(0);
	uint64_t calls = pw_memory_calls();
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal(nng_msg_append_u16(msg, (uint16_t) i), NNG_OK);
		assert_int_equal(nng_msg_insert_u16(msg, (uint16_t) i), NNG_OK);
	}
	assert_true(pw_memory_calls() - calls < 100);
	nng_msg_free(msg);

	msg = message(100);
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal(nng_msg_append_u64(msg, i), NNG_OK);
		assert_int_equal(nng_msg_trim(msg, 8), NNG_OK);
	}
	assert_int_equal(nng_msg_len(msg), 100);
	assert_true(nng_msg_capacity(msg) < 1000);
	nng_msg_free(msg);

	msg = message(0); /* one that runs empty stays where it is */
	calls = pw_memory_calls();
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(nng_msg_append_u64(msg, i), NNG_OK);
		assert_int_equal(nng_msg_trim(msg, 8), NNG_OK);
	}
	assert_int_equal(pw_memory_calls(), calls);
	nng_msg_free(msg);
}

/* nng.h: "it may lie in this very body". Method: a body appended to itself, and inserted before itself, from 1 byte
 * to thousands, so that it meets every border. */
static void
msg_may_be_appended_to_itself(void **state)
{
	(void) state;
	for (unsigned front = 0; front < 2; front++) {
		nng_msg *msg;
		assert_int_equal(nng_msg_alloc(&msg, 0), NNG_OK);
		assert_int_equal(nng_msg_append(msg, "ab", 2), NNG_OK);
		while (nng_msg_len(msg) < 10000) {
			const void *body = pinwheel_msg_body(msg);
			size_t len = nng_msg_len(msg);
			nng_err rv = front ? nng_msg_insert(msg, body, len) : nng_msg_append(msg, body, len);
			assert_int_equal(rv, NNG_OK);
		}
		const char *body = pinwheel_msg_body(msg);
		for (size_t i = 0; i < nng_msg_len(msg); i++) {
			assert_int_equal(body[i], i % 2 == 0 ? 'a' : 'b');
		}
		nng_msg_free(msg);
	}
}

/* nng.h: "on an error nothing has changed", and a shared body that cannot be copied has no address. Method: the next
 * allocation fails; sizes that no memory has. */
static void
msg_without_memory_stays_as_it_was(void **state)
{
	(void) state;
	nng_msg *msg = message(LONG), *dup = dup_of(msg);
	pw_memory_fail_after(0);
	assert_null(nng_msg_body(dup));
	assert_int_equal(pw_msg_holders(msg), 2);
	assert_non_null(nng_msg_body(dup));

	static const size_t absurd[] = { SIZE_MAX, SIZE_MAX - 3, SIZE_MAX / 2, PTRDIFF_MAX, PTRDIFF_MAX / 2 };
	for (unsigned i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
		nng_msg *none = msg;
		assert_int_equal(nng_msg_alloc(&none, absurd[i]), NNG_ENOMEM);
		assert_ptr_equal(none, msg);
		assert_int_equal(nng_msg_realloc(msg, absurd[i]), NNG_ENOMEM);
		assert_int_equal(nng_msg_reserve(msg, absurd[i]), NNG_ENOMEM);
		assert_int_equal(nng_msg_append(msg, NULL, absurd[i]), NNG_ENOMEM);
		assert_int_equal(nng_msg_insert(msg, NULL, absurd[i]), NNG_ENOMEM);
		assert_int_equal(nng_msg_trim(msg, absurd[i]), NNG_EINVAL);
		assert_int_equal(nng_msg_chop(msg, absurd[i]), NNG_EINVAL);
		assert_int_equal(nng_msg_header_append(msg, NULL, absurd[i]), NNG_EINVAL);
		assert_int_equal(nng_msg_header_insert(msg, NULL, absurd[i]), NNG_EINVAL);
		assert_int_equal(nng_msg_header_trim(msg, absurd[i]), NNG_EINVAL);
		assert_int_equal(nng_msg_header_chop(msg, absurd[i]), NNG_EINVAL);
	}
	assert_int_equal(nng_msg_len(msg), LONG);
	assert_int_equal(nng_msg_header_len(msg), 0);
	nng_msg_free(msg);
	nng_msg_free(dup);
}

/* ---- threads */

#define THREADS 4
#define STEPS 50000
#define DESKS 3

struct exchange {
	const nng_msg *source;
	pw_aptr desk[DESKS]; /* messages that one thread lays down and another takes */
	pw_a64 wrong;
};

struct worker {
	struct exchange *exchange;
	uint64_t random;
	unsigned steps;
};

static uint64_t
below(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

/* Every byte of the source is its index times 7; a message of these threads is a piece of it, with the index of its
 * first byte in the pipe, and what one thread writes it puts back before the message goes on. */
static bool
is_piece(const nng_msg *msg)
{
	const uint8_t *body = pinwheel_msg_body(msg);
	uint32_t first = nng_msg_get_pipe(msg).id;
	bool same = true;
	for (size_t i = 0; i < nng_msg_len(msg); i += 61) {
		same = same && body[i] == (uint8_t) ((first + i) * 7);
	}
	return same;
}

static bool
change(nng_msg *msg, uint64_t *random)
{
	uint32_t first = nng_msg_get_pipe(msg).id;
	size_t len = nng_msg_len(msg), drop = below(random, len / 4 + 1);
	switch (below(random, 4)) {
	case 0:
		nng_msg_set_pipe(msg, (nng_pipe){ .id = first + (uint32_t) drop });
		return nng_msg_trim(msg, drop) == NNG_OK;
	case 1:
		return nng_msg_chop(msg, drop) == NNG_OK;
	case 2: {
		uint8_t next = (uint8_t) ((first + len) * 7);
		return nng_msg_append(msg, &next, 1) == NNG_OK;
	}
	default: {
		uint8_t *body = nng_msg_body(msg);
		bool there = body != NULL;
		for (size_t i = 0; there && i < len; i += 61) {
			body[i] ^= 0xff;
		}
		for (size_t i = 0; there && i < len; i += 61) {
			there = body[i] == (uint8_t) ~(uint8_t) ((first + i) * 7);
			body[i] ^= 0xff;
		}
		return there;
	}
	}
}

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct exchange *exchange = worker->exchange;
	nng_msg *msg = NULL;
	for (unsigned i = 0; i < worker->steps; i++) {
		bool fine = true;
		if (msg == NULL) {
			fine = nng_msg_dup(&msg, exchange->source) == NNG_OK;
		} else if (below(&worker->random, 4) == 0) {
			nng_msg *copy = NULL; /* another thread gets it, and both are holders */
			fine = nng_msg_dup(&copy, msg) == NNG_OK;
			nng_msg_free(pw_exchange_acq_rel_ptr(&exchange->desk[below(&worker->random, DESKS)], copy));
		}
		fine = fine && is_piece(msg) && change(msg, &worker->random) && is_piece(msg);
		if (!fine) {
			(void) pw_fetch_add_relaxed_64(&exchange->wrong, 1);
		}
		if (msg != NULL && nng_msg_len(msg) < 64) {
			nng_msg_free(msg);
			msg = NULL;
		}
		if (below(&worker->random, 8) == 0) {
			msg = pw_exchange_acq_rel_ptr(&exchange->desk[below(&worker->random, DESKS)], msg);
		}
	}
	nng_msg_free(msg);
	return NULL;
}

/* Law: threads may duplicate one message at a time, change and free the duplicates, and hand them on, and nobody sees
 * another's writes. Method: four threads over three desks where messages change hands; each writes what only it may
 * see. ThreadSanitizer looks at the rest. */
static void
msg_duplicates_live_on_several_threads(void **state)
{
	(void) state;
	nng_msg *source = message(LONG);
	struct exchange exchange = { .source = source };
	struct worker worker[THREADS];
	pthread_t thread[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		unsigned steps = STEPS * scale_percent / 100;
		worker[i] = (struct worker){ &exchange, seed * 8 + i + 1, steps < 500 ? 500 : steps };
		assert_int_equal(pthread_create(&thread[i], NULL, work, &worker[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	}
	for (unsigned i = 0; i < DESKS; i++) {
		nng_msg_free(pw_load_acquire_ptr(&exchange.desk[i]));
	}
	assert_int_equal(pw_load_acquire_64(&exchange.wrong), 0);
	assert_int_equal(pw_msg_holders(source), 1);
	assert_true(is_piece(source));
	nng_msg_free(source);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msg_costs_one_allocation_or_two),
		cmocka_unit_test(msg_shares_a_long_body_until_a_change),
		cmocka_unit_test(msg_with_an_address_out_is_copied_by_dup),
		cmocka_unit_test(msg_is_shared_again_when_its_address_is_void),
		cmocka_unit_test(msg_inserts_into_headroom_and_appends_into_capacity_in_place),
		cmocka_unit_test(msg_growth_is_rare),
		cmocka_unit_test(msg_may_be_appended_to_itself),
		cmocka_unit_test(msg_without_memory_stays_as_it_was),
		cmocka_unit_test(msg_duplicates_live_on_several_threads),
	};
	const char *text = getenv("PW_TEST_SEED");
	if (text != NULL) {
		seed = strtoull(text, NULL, 0);
	}
	text = getenv("PW_TEST_SCALE");
	if (text != NULL) {
		scale_percent = (unsigned) strtoul(text, NULL, 0);
	}
	printf("PW_TEST_SEED=%llu\n", (unsigned long long) seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

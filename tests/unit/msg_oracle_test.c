/* SPDX-License-Identifier: MIT
 *
 * msg_oracle_test.c: messages against plain byte arrays. Random sequences of every function of the interface run on a
 * few messages that share bodies, and beside each message stands an array that nobody shares; after each step every
 * message must say what its array says. Random choices come from PW_TEST_SEED (printed), the number of steps is
 * scaled by PW_TEST_SCALE percent.
 */
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

#include "engine/msg/msg.h"
#include "engine/shard/arena.h"

#define MODELS 6
#define LEN_MAX 6000 /* steps that would make a body longer are left out */
#define STEPS 200000

static uint64_t seed = 20251004;
static unsigned scale_percent = 100;
static uint64_t random_state;

static uint64_t
below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % n;
}

/* Mostly a few bytes, often around the size of a message's own room, sometimes a lot. */
static size_t
some_size(void)
{
	switch (below(8)) {
	case 0:
		return below(2000);
	case 1:
	case 2:
		return 100 + below(80);
	default:
		return below(40);
	}
}

struct model {
	nng_msg *msg; /* NULL: there is none */
	size_t len;
	size_t header_len;
	uint32_t pipe;
	uint8_t *address; /* from nng_msg_body, and still good; else NULL */
	uint8_t body[LEN_MAX];
	uint8_t header[PW_MSG_HEADER_MAX];
};

static struct model model[MODELS];

static void
check(const struct model *m)
{
	if (m->msg == NULL) {
		return;
	}
	pw_msg_check(m->msg);
	assert_int_equal(nng_msg_len(m->msg), m->len);
	assert_int_equal(nng_msg_header_len(m->msg), m->header_len);
	assert_int_equal(nng_msg_get_pipe(m->msg).id, m->pipe);
	assert_true(nng_msg_capacity(m->msg) >= m->len);
	assert_memory_equal(pinwheel_msg_body(m->msg), m->body, m->len);
	assert_memory_equal(nng_msg_header(m->msg), m->header, m->header_len);
	if (m->address != NULL) {
		assert_ptr_equal(pinwheel_msg_body(m->msg), m->address);
		assert_int_equal(pw_msg_holders(m->msg), 1);
	}
}

static void
check_all(void)
{
	for (unsigned i = 0; i < MODELS; i++) {
		check(&model[i]);
	}
}

/* What a step may have met: memory ran out (then nothing has changed), or all went well. */
static bool
happened(nng_err rv, bool may_fail)
{
	if (rv == NNG_ENOMEM && may_fail) {
		return false;
	}
	assert_int_equal(rv, NNG_OK);
	return true;
}

static void
splice(uint8_t *bytes, size_t *len, size_t at, const uint8_t *data, size_t size)
{
	uint8_t copy[LEN_MAX];
	memcpy(copy, data, size); /* data may lie in bytes */
	memmove(bytes + at + size, bytes + at, *len - at);
	memcpy(bytes + at, copy, size);
	*len += size;
}

static void
cut(uint8_t *bytes, size_t *len, size_t at, size_t size)
{
	memmove(bytes + at, bytes + at + size, *len - at - size);
	*len -= size;
}

/* Bytes to append or insert: fresh ones, zeros (NULL), or a piece of the message's own body. */
static const void *
some_bytes(const struct model *m, size_t *size, uint8_t *bytes)
{
	uint64_t kind = below(8);
	if (kind == 0) {
		memset(bytes, 0, *size);
		return NULL;
	}
	if (kind == 1 && m->len > 0) {
		size_t at = below(m->len);
		*size = *size < m->len - at ? *size : m->len - at;
		memcpy(bytes, m->body + at, *size);
		return (const uint8_t *) pinwheel_msg_body(m->msg) + at;
	}
	for (size_t i = 0; i < *size; i++) {
		bytes[i] = (uint8_t) below(256);
	}
	return bytes;
}

/* ---- steps; may_fail: an allocation of this step has been made to fail */

static void
step_life(struct model *m, bool may_fail)
{
	struct model *other = &model[below(MODELS)];
	if (m->msg != NULL) {
		nng_msg_free(m->msg);
		m->msg = NULL;
		return;
	}
	if (other->msg != NULL && below(4) != 0) {
		nng_msg *dup = (nng_msg *) (void *) &seed;
		if (happened(nng_msg_dup(&dup, other->msg), may_fail)) {
			*m = *other;
			m->msg = dup;
			m->address = NULL;
		} else {
			assert_ptr_equal(dup, &seed);
		}
		return;
	}
	size_t size = some_size();
	if (happened(nng_msg_alloc(&m->msg, size), may_fail)) {
		memset(m->body, 0, size);
		m->len = size;
		m->header_len = 0;
		m->pipe = 0;
		m->address = NULL;
	} else {
		assert_null(m->msg);
	}
}

static void
step_add(struct model *m, bool may_fail)
{
	uint8_t bytes[LEN_MAX];
	size_t size = some_size();
	bool front = below(3) == 0;
	if (m->len + size > LEN_MAX) {
		return;
	}
	const void *data = some_bytes(m, &size, bytes);
	if (happened(front ? nng_msg_insert(m->msg, data, size) : nng_msg_append(m->msg, data, size), may_fail)) {
		splice(m->body, &m->len, front ? 0 : m->len, bytes, size);
		m->address = size != 0 ? NULL : m->address;
	}
}

static void
step_drop(struct model *m, bool may_fail)
{
	size_t size = below(4) == 0 ? some_size() : below(m->len + 1);
	bool front = below(2) == 0;
	nng_err rv = front ? nng_msg_trim(m->msg, size) : nng_msg_chop(m->msg, size);
	(void) may_fail; /* dropping needs no memory */
	if (size > m->len) {
		assert_int_equal(rv, NNG_EINVAL);
		return;
	}
	assert_int_equal(rv, NNG_OK);
	cut(m->body, &m->len, front ? 0 : m->len - size, size);
	m->address = size != 0 ? NULL : m->address;
}

static void
step_resize(struct model *m, bool may_fail)
{
	size_t size = some_size();
	if (below(10) == 0) {
		nng_msg_clear(m->msg);
		m->address = m->len != 0 ? NULL : m->address;
		m->len = 0;
		return;
	}
	if (below(2) == 0) {
		size_t before = nng_msg_capacity(m->msg);
		if (happened(nng_msg_reserve(m->msg, size), may_fail)) {
			size_t after = nng_msg_capacity(m->msg);
			assert_true(after >= size && after >= before);
			m->address = size > before ? NULL : m->address;
		}
		return;
	}
	bool needs_none = size <= nng_msg_capacity(m->msg);
	if (happened(nng_msg_realloc(m->msg, size), may_fail && !needs_none)) {
		if (size > m->len) {
			memset(m->body + m->len, 0, size - m->len);
		}
		m->address = size != m->len ? NULL : m->address;
		m->len = size;
	}
}

/* Through the body's address: a new one, or one that was taken some steps ago and is still good. */
static void
step_write(struct model *m, bool may_fail)
{
	uint8_t *address = m->address != NULL && below(2) == 0 ? m->address : nng_msg_body(m->msg);
	if (address == NULL) {
		assert_true(may_fail);
		return;
	}
	m->address = address;
	for (size_t i = below(8); i < m->len; i += 1 + below(64)) {
		address[i] = m->body[i] = (uint8_t) below(256);
	}
}

static void
step_header(struct model *m, bool may_fail)
{
	uint8_t bytes[80];
	size_t size = below(sizeof(bytes));
	bool front = below(2) == 0;
	(void) may_fail; /* the header needs no memory */
	for (size_t i = 0; i < size; i++) {
		bytes[i] = (uint8_t) below(256);
	}
	switch (below(4)) {
	case 0:
		m->pipe = (uint32_t) below(1000);
		nng_msg_set_pipe(m->msg, (nng_pipe){ .id = m->pipe });
		return;
	case 1: {
		nng_err rv = front ? nng_msg_header_trim(m->msg, size) : nng_msg_header_chop(m->msg, size);
		assert_int_equal(rv, size > m->header_len ? NNG_EINVAL : NNG_OK);
		if (rv == NNG_OK) {
			cut(m->header, &m->header_len, front ? 0 : m->header_len - size, size);
		}
		return;
	}
	case 2: {
		size %= 24;
		nng_err rv =
		    front ? nng_msg_header_insert(m->msg, bytes, size) : nng_msg_header_append(m->msg, bytes, size);
		assert_int_equal(rv, size > PW_MSG_HEADER_MAX - m->header_len ? NNG_EINVAL : NNG_OK);
		if (rv == NNG_OK) {
			splice(m->header, &m->header_len, front ? 0 : m->header_len, bytes, size);
		}
		return;
	}
	default:
		if (below(8) == 0) {
			nng_msg_header_clear(m->msg);
			m->header_len = 0;
		}
	}
}

/* The forms with numbers, one table for each of the two parts. */
struct forms {
	nng_err (*append_u16)(nng_msg *, uint16_t);
	nng_err (*append_u32)(nng_msg *, uint32_t);
	nng_err (*append_u64)(nng_msg *, uint64_t);
	nng_err (*insert_u16)(nng_msg *, uint16_t);
	nng_err (*insert_u32)(nng_msg *, uint32_t);
	nng_err (*insert_u64)(nng_msg *, uint64_t);
	nng_err (*trim_u16)(nng_msg *, uint16_t *);
	nng_err (*trim_u32)(nng_msg *, uint32_t *);
	nng_err (*trim_u64)(nng_msg *, uint64_t *);
	nng_err (*chop_u16)(nng_msg *, uint16_t *);
	nng_err (*chop_u32)(nng_msg *, uint32_t *);
	nng_err (*chop_u64)(nng_msg *, uint64_t *);
};

static const struct forms forms[2] = {
	{
	    nng_msg_append_u16,
	    nng_msg_append_u32,
	    nng_msg_append_u64,
	    nng_msg_insert_u16,
	    nng_msg_insert_u32,
	    nng_msg_insert_u64,
	    nng_msg_trim_u16,
	    nng_msg_trim_u32,
	    nng_msg_trim_u64,
	    nng_msg_chop_u16,
	    nng_msg_chop_u32,
	    nng_msg_chop_u64,
	},
	{
	    nng_msg_header_append_u16,
	    nng_msg_header_append_u32,
	    nng_msg_header_append_u64,
	    nng_msg_header_insert_u16,
	    nng_msg_header_insert_u32,
	    nng_msg_header_insert_u64,
	    nng_msg_header_trim_u16,
	    nng_msg_header_trim_u32,
	    nng_msg_header_trim_u64,
	    nng_msg_header_chop_u16,
	    nng_msg_header_chop_u32,
	    nng_msg_header_chop_u64,
	},
};

static nng_err
put_form(const struct forms *f, nng_msg *msg, bool front, size_t size, uint64_t value)
{
	switch (size) {
	case 2:
		return (front ? f->insert_u16 : f->append_u16)(msg, (uint16_t) value);
	case 4:
		return (front ? f->insert_u32 : f->append_u32)(msg, (uint32_t) value);
	default:
		return (front ? f->insert_u64 : f->append_u64)(msg, value);
	}
}

static nng_err
take_form(const struct forms *f, nng_msg *msg, bool front, size_t size, uint64_t *value)
{
	uint16_t small = 0xa5a5;
	uint32_t middle = 0xa5a5a5a5;
	nng_err rv;
	switch (size) {
	case 2:
		rv = (front ? f->trim_u16 : f->chop_u16)(msg, &small);
		*value = small;
		return rv;
	case 4:
		rv = (front ? f->trim_u32 : f->chop_u32)(msg, &middle);
		*value = middle;
		return rv;
	default:
		*value = UINT64_C(0xa5a5a5a5a5a5a5a5);
		return (front ? f->trim_u64 : f->chop_u64)(msg, value);
	}
}

static void
step_number(struct model *m, bool may_fail)
{
	static const size_t sizes[] = { 2, 4, 8 };
	bool header = below(3) == 0, front = below(2) == 0;
	size_t size = sizes[below(3)];
	uint8_t *bytes = header ? m->header : m->body, wire[8];
	size_t *len = header ? &m->header_len : &m->len;
	size_t room = header ? PW_MSG_HEADER_MAX : LEN_MAX;
	uint64_t value = 0;
	for (size_t i = 0; i < size; i++) {
		wire[i] = (uint8_t) below(256);
		value = value << 8 | wire[i];
	}
	if (below(2) == 0) {
		if (*len + size > room && !header) {
			return;
		}
		nng_err rv = put_form(&forms[header], m->msg, front, size, value);
		if (*len + size > room) {
			assert_int_equal(rv, NNG_EINVAL);
		} else if (happened(rv, may_fail && !header)) {
			splice(bytes, len, front ? 0 : *len, wire, size);
			m->address = header ? m->address : NULL;
		}
		return;
	}
	uint64_t got, wanted = 0;
	nng_err rv = take_form(&forms[header], m->msg, front, size, &got);
	if (*len < size) {
		assert_int_equal(rv, NNG_EINVAL);
		assert_int_equal(got & 0xffff, 0xa5a5); /* not written */
		return;
	}
	assert_int_equal(rv, NNG_OK);
	for (size_t i = 0; i < size; i++) {
		wanted = wanted << 8 | bytes[(front ? 0 : *len - size) + i];
	}
	assert_true(got == wanted);
	cut(bytes, len, front ? 0 : *len - size, size);
	m->address = header ? m->address : NULL;
}

static void
run_steps(unsigned steps)
{
	static void (*const kinds[])(struct model *, bool) = { step_add, step_add, step_drop, step_resize, step_write,
		step_header, step_number, step_number };
	for (unsigned i = 0; i < steps; i++) {
		struct model *m = &model[below(MODELS)];
		bool may_fail = below(8) == 0;
		if (may_fail) {
			pw_memory_fail_after((int64_t) below(2));
		}
		if (m->msg == NULL || below(6) == 0) {
			step_life(m, may_fail);
		} else {
			kinds[below(sizeof(kinds) / sizeof(kinds[0]))](m, may_fail);
		}
		pw_memory_fail_after(-1);
		check_all();
	}
	for (unsigned i = 0; i < MODELS; i++) {
		nng_msg_free(model[i].msg);
		model[i].msg = NULL;
	}
}

static unsigned
scaled(unsigned n)
{
	unsigned s = n * scale_percent / 100;
	return s < 2000 ? 2000 : s;
}

/* Law: a message is its own byte arrays whatever others share its body, and one call in eight whose allocation fails
 * changes nothing. What was written through an address that nng_msg_body gave out before a duplicate was made reaches
 * the one message only. Method: the head of this file. */
static void
msg_is_the_byte_array_it_was_made(void **state)
{
	(void) state;
	random_state = seed * 2 + 1;
	run_steps(scaled(STEPS));
}

static struct {
	uint64_t blocks;
	uint64_t bytes;
	uint64_t calls;
} out;

static void *
counted_zalloc(size_t n, size_t size)
{
	out.blocks++;
	out.bytes += n * size;
	out.calls++;
	return calloc(n, size);
}

static void *
counted_alloc(size_t size)
{
	return counted_zalloc(1, size);
}

static void
counted_free(void *memory, size_t size)
{
	out.blocks--;
	out.bytes -= size;
	free(memory);
}

/* Law: no memory is kept or given back twice, failures included, and the application's allocator serves messages.
 * Method: the same steps over an allocator that counts blocks and bytes. */
static void
msg_memory_balances_to_nothing(void **state)
{
	(void) state;
	pw_memory_set_allocator(counted_alloc, counted_zalloc, counted_free);
	random_state = seed * 2 + 3;
	run_steps(scaled(STEPS / 4));
	pw_memory_set_allocator(NULL, NULL, NULL);
	assert_true(out.calls > 200);
	assert_int_equal(out.blocks, 0);
	assert_int_equal(out.bytes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msg_is_the_byte_array_it_was_made),
		cmocka_unit_test(msg_memory_balances_to_nothing),
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

/* SPDX-License-Identifier: MIT
 *
 * msg_test.c: messages and memory as nng.h says of them: byte order, the header, the pipe, misuse, no engine needed;
 * and messages in the slot of a handle: success moves one once, failure leaves it with the caller (C8).
 *
 * What it is not: the test of what a body does when it grows or is shared: msg_oracle_test.c, msg_share_test.c.
 */
#include "tests/contract/contract.h"

#include <limits.h>

#include "engine/base/thread.h"
#include "engine/msg/msg.h"
#include "engine/shard/arena.h"
#include "engine/shard/fleet.h"

#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#define LONG 5000

/* ---- what a message says */

/* "in network byte order in the message and in the host's in the call". Method: every form, against bytes written
 * out; append and insert give the ends, chop and trim take them. */
static void
numbers_are_in_network_byte_order(void **unused)
{
	static const uint8_t body[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x11, 0x12, 0x13, 0x14, 0x21,
		0x22, 0x31, 0x32, 0x41, 0x42, 0x43, 0x44, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58 };
	nng_msg *msg;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	(void) unused;
	assert_int_equal(nng_msg_alloc(&msg, 0), NNG_OK);
#define CHECK_FORMS(part, at, length)                                                                                \
	do {                                                                                                         \
		assert_int_equal(nng_##part##_insert_u16(msg, 0x2122), NNG_OK);                                      \
		assert_int_equal(nng_##part##_insert_u32(msg, 0x11121314), NNG_OK);                                  \
		assert_int_equal(nng_##part##_insert_u64(msg, UINT64_C(0x0102030405060708)), NNG_OK);                \
		assert_int_equal(nng_##part##_append_u16(msg, 0x3132), NNG_OK);                                      \
		assert_int_equal(nng_##part##_append_u32(msg, 0x41424344), NNG_OK);                                  \
		assert_int_equal(nng_##part##_append_u64(msg, UINT64_C(0x5152535455565758)), NNG_OK);                \
		assert_int_equal(length, sizeof body);                                                               \
		assert_memory_equal(at, body, sizeof body);                                                          \
		assert_int_equal(nng_##part##_chop_u64(msg, &u64), NNG_OK);                                          \
		assert_true(u64 == UINT64_C(0x5152535455565758));                                                    \
		assert_int_equal(nng_##part##_chop_u32(msg, &u32), NNG_OK);                                          \
		assert_int_equal(u32, 0x41424344);                                                                   \
		assert_int_equal(nng_##part##_chop_u16(msg, &u16), NNG_OK);                                          \
		assert_int_equal(u16, 0x3132);                                                                       \
		assert_int_equal(nng_##part##_trim_u64(msg, &u64), NNG_OK);                                          \
		assert_true(u64 == UINT64_C(0x0102030405060708));                                                    \
		assert_int_equal(nng_##part##_trim_u32(msg, &u32), NNG_OK);                                          \
		assert_int_equal(u32, 0x11121314);                                                                   \
		assert_int_equal(nng_##part##_trim_u16(msg, NULL), NNG_OK);                                          \
		assert_int_equal(length, 0);                                                                         \
	} while (0)
	CHECK_FORMS(msg, nng_msg_body(msg), nng_msg_len(msg));
	CHECK_FORMS(msg_header, nng_msg_header(msg), nng_msg_header_len(msg));
#undef CHECK_FORMS
	nng_msg_free(msg);
}

/* "a body of `size` zero bytes, an empty header and no pipe"; realloc: "Longer: zero bytes are added", also where
 * other bytes have been before. Method: sizes on both sides of the border, and a body cut and lengthened. */
static void
fresh_bytes_are_zero(void **unused)
{
	static const uint8_t zeros[LONG];

	(void) unused;
	for (unsigned i = 0; i < 2; i++) {
		nng_msg *msg;
		size_t size = i == 0 ? 100 : LONG;
		assert_int_equal(nng_msg_alloc(&msg, size), NNG_OK);
		assert_int_equal(nng_msg_len(msg), size);
		assert_int_equal(nng_msg_header_len(msg), 0);
		assert_int_equal(nng_msg_get_pipe(msg).id, 0);
		assert_memory_equal(nng_msg_body(msg), zeros, size);
		memset(nng_msg_body(msg), 0xff, size);
		assert_int_equal(nng_msg_chop(msg, size / 2), NNG_OK);
		assert_int_equal(nng_msg_realloc(msg, size), NNG_OK);
		assert_memory_equal((char *) nng_msg_body(msg) + size / 2, zeros, size / 2);
		nng_msg_clear(msg);
		assert_int_equal(nng_msg_append(msg, NULL, size), NNG_OK);
		assert_memory_equal(nng_msg_body(msg), zeros, size);
		nng_msg_free(msg);
	}
}

/* nng_pipe_id: "the pipe's id, a positive number; -1: none". */
static void
pipe_id_is_positive_or_none(void **unused)
{
	(void) unused;
	assert_int_equal(nng_pipe_id((nng_pipe) NNG_PIPE_INITIALIZER), -1);
	assert_int_equal(nng_pipe_id((nng_pipe){ .id = 1 }), 1);
	assert_int_equal(nng_pipe_id((nng_pipe){ .id = INT_MAX }), INT_MAX);
	assert_int_equal(nng_pipe_id((nng_pipe){ .id = (uint32_t) INT_MAX + 1 }), -1);
}

/* "makes a second message of the same body, header and pipe"; "the two are changed and freed independently". Method:
 * both ways round, short and long. */
static void
duplicate_is_the_same_and_its_own(void **unused)
{
	(void) unused;
	for (unsigned i = 0; i < 4; i++) {
		nng_msg *msg, *dup;
		size_t size = i % 2 == 0 ? 40 : LONG;
		assert_int_equal(nng_msg_alloc(&msg, size), NNG_OK);
		assert_int_equal(nng_msg_header_append_u32(msg, 77), NNG_OK);
		nng_msg_set_pipe(msg, (nng_pipe){ .id = 5 });
		assert_int_equal(nng_msg_dup(&dup, msg), NNG_OK);
		assert_int_equal(nng_msg_len(dup), size);
		assert_int_equal(nng_msg_header_len(dup), 4);
		assert_int_equal(nng_msg_get_pipe(dup).id, 5);
		nng_msg *changed = i < 2 ? msg : dup, *kept = i < 2 ? dup : msg;
		((char *) nng_msg_body(changed))[0] = 'x';
		((char *) nng_msg_header(changed))[3] = 'y';
		nng_msg_set_pipe(changed, (nng_pipe) NNG_PIPE_INITIALIZER);
		nng_msg_free(changed);
		assert_int_equal(((char *) nng_msg_body(kept))[0], 0);
		assert_int_equal(((char *) nng_msg_header(kept))[3], 77);
		assert_int_equal(nng_msg_get_pipe(kept).id, 5);
		nng_msg_free(kept);
	}
}

/* "at most 64 bytes, its beginning always at the address that nng_msg_header returns". */
static void
header_holds_64_bytes_where_it_stands(void **unused)
{
	nng_msg *msg;
	uint8_t bytes[64];

	(void) unused;
	for (unsigned i = 0; i < sizeof bytes; i++) {
		bytes[i] = (uint8_t) i;
	}
	assert_int_equal(nng_msg_alloc(&msg, 0), NNG_OK);
	const uint8_t *header = nng_msg_header(msg);
	assert_int_equal((uintptr_t) header % sizeof(uint64_t), 0);
	assert_int_equal(nng_msg_header_insert(msg, bytes + 10, 54), NNG_OK);
	assert_int_equal(nng_msg_header_insert(msg, bytes, 10), NNG_OK);
	assert_int_equal(nng_msg_header_append(msg, bytes, 1), NNG_EINVAL);
	assert_int_equal(nng_msg_header_insert_u16(msg, 1), NNG_EINVAL);
	assert_int_equal(nng_msg_header_trim(msg, 65), NNG_EINVAL);
	assert_memory_equal(header, bytes, 64);
	assert_int_equal(nng_msg_header_trim(msg, 3), NNG_OK);
	assert_memory_equal(header, bytes + 3, 61);
	assert_int_equal(nng_msg_header_insert(msg, header + 1, 3), NNG_OK); /* its own bytes */
	assert_memory_equal(header, bytes + 4, 3);
	assert_memory_equal(header + 3, bytes + 3, 61);
	nng_msg_header_clear(msg);
	assert_int_equal(nng_msg_header_len(msg), 0);
	assert_int_equal(nng_msg_header_chop(msg, 1), NNG_EINVAL);
	assert_ptr_equal(nng_msg_header(msg), header);
	nng_msg_free(msg);
}

/* "A NULL message is misuse (R27), but for nng_msg_free", and the call returns what tells the caller so. */
static void
null_message_is_misuse(void **unused)
{
	nng_msg *msg;

	(void) unused;
	nng_msg_free(NULL);
	assert_int_equal(misuse_take().count, 0);
#define NULL_MISUSE(call)                                                                                            \
	do {                                                                                                         \
		assert_true(call);                                                                                   \
		struct misuse_seen seen = misuse_take();                                                             \
		assert_int_equal(seen.count, 1);                                                                     \
		assert_int_equal(strncmp(#call, seen.function, strlen(seen.function)), 0);                           \
		assert_int_equal(#call[strlen(seen.function)], '(');                                                 \
	} while (0)
	NULL_MISUSE(nng_msg_alloc(NULL, 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_dup(&msg, NULL) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_realloc(NULL, 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_reserve(NULL, 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_capacity(NULL) == 0);
	NULL_MISUSE(nng_msg_body(NULL) == NULL);
	NULL_MISUSE(nng_msg_len(NULL) == 0);
	NULL_MISUSE(nng_msg_header(NULL) == NULL);
	NULL_MISUSE(nng_msg_header_len(NULL) == 0);
	NULL_MISUSE(nng_msg_append(NULL, "x", 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_insert(NULL, "x", 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_trim(NULL, 0) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_chop(NULL, 0) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_append_u16(NULL, 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_insert_u32(NULL, 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_trim_u64(NULL, NULL) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_chop_u16(NULL, NULL) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_header_append(NULL, "x", 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_header_insert(NULL, "x", 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_header_trim(NULL, 0) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_header_chop(NULL, 0) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_header_append_u64(NULL, 1) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_header_chop_u32(NULL, NULL) == NNG_EINVAL);
	NULL_MISUSE(nng_msg_get_pipe(NULL).id == 0);
	NULL_MISUSE(pinwheel_msg_body(NULL) == NULL);
	NULL_MISUSE(nng_strdup(NULL) == NULL);
#undef NULL_MISUSE
	nng_msg_clear(NULL);
	assert_string_equal(misuse_take().function, "nng_msg_clear");
	nng_msg_header_clear(NULL);
	assert_string_equal(misuse_take().function, "nng_msg_header_clear");
	nng_msg_set_pipe(NULL, (nng_pipe) NNG_PIPE_INITIALIZER);
	assert_string_equal(misuse_take().function, "nng_msg_set_pipe");
}

/* ---- memory */

/* "zero bytes, aligned to 64. NULL: size is 0, or there is no memory"; strdup by it; NULL to free: no effect. */
static void
alloc_gives_zeroed_aligned_memory(void **unused)
{
	(void) unused;
	for (size_t size = 1; size < 3000; size = size * 3 + 1) {
		unsigned char *memory = nng_alloc(size);
		assert_non_null(memory);
		assert_int_equal((uintptr_t) memory % 64, 0);
		for (size_t i = 0; i < size; i++) {
			assert_int_equal(memory[i], 0);
		}
		memset(memory, 0xff, size);
		nng_free(memory, size);
	}
	assert_null(nng_alloc(0));
	assert_null(nng_alloc(SIZE_MAX));
	pw_memory_fail_after(0);
	assert_null(nng_alloc(1));
	pw_memory_fail_after(0);
	assert_null(nng_strdup("x"));
	nng_free(NULL, 5);
	nng_strfree(NULL);

	char *copy = nng_strdup("pinwheel");
	assert_string_equal(copy, "pinwheel");
	nng_strfree(copy);
	copy = nng_strdup("");
	assert_string_equal(copy, "");
	nng_free(copy, 1);
}

/* "no running engine needed". Method: no engine before, none after. */
static void
messages_and_memory_need_no_engine(void **unused)
{
	nng_msg *msg, *dup;

	(void) unused;
	assert_int_equal(pinwheel_shard_count(), 0);
	assert_int_equal(nng_msg_alloc(&msg, LONG), NNG_OK);
	assert_int_equal(nng_msg_dup(&dup, msg), NNG_OK);
	nng_msg_free(msg);
	nng_strfree(nng_strdup("x"));
	assert_int_equal(pinwheel_shard_count(), 0);
	assert_int_equal(start_shards(1), NNG_OK);
	assert_non_null(nng_msg_body(dup)); /* from before the engine, released after it */
	nng_fini();
	nng_msg_free(dup);
}

struct made {
	nng_msg *msg;
	unsigned arena; /* of the shard that made it */
	nng_err rv;
};

static void
make_on_shard(void *arg)
{
	struct made *made = arg;
	made->arena = pw_thread_self()->shard->arena.memory_arena;
	made->rv = nng_msg_alloc(&made->msg, LONG);
}

static void
free_on_shard(void *arg)
{
	struct made *made = arg;
	nng_msg_free(made->msg);
}

/* "memory comes from the arena of the shard that the caller is", and nng_msg_free "on any thread, whichever made it".
 * Method: made on one shard, freed on the other, and here; where jemalloc can be asked, the arenas are compared. */
static void
message_has_memory_of_its_shard_and_is_freed_anywhere(void **unused)
{
	struct made made[3] = { { 0 } };

	(void) unused;
	for (int i = 0; i < 3; i++) {
		shard_run(i % 2, make_on_shard, &made[i]);
		assert_int_equal(made[i].rv, NNG_OK);
#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
		const void *places[] = { made[i].msg, pinwheel_msg_body(made[i].msg) };
		for (unsigned k = 0; k < 2; k++) {
			unsigned arena = 0;
			size_t size = sizeof arena;
			assert_int_equal(mallctl("arenas.lookup", &arena, &size, &places[k], sizeof places[k]), 0);
			assert_int_equal(arena, made[i].arena);
		}
#endif
	}
#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
	assert_int_not_equal(made[0].arena, made[1].arena);
#endif
	shard_run(1, free_on_shard, &made[0]);
	shard_run(0, free_on_shard, &made[1]);
	nng_msg_free(made[2].msg);
}

/* ---- C8: messages in the slot of a handle, over an allocator that counts */

static pw_a64 blocks_out;

static void *
counted_calloc(size_t n, size_t size)
{
	(void) pw_fetch_add_relaxed_64(&blocks_out, 1);
	return calloc(n, size);
}

static void *
counted_malloc(size_t size)
{
	(void) pw_fetch_add_relaxed_64(&blocks_out, 1);
	return malloc(size);
}

static void
counted_free(void *memory, size_t size)
{
	(void) size;
	(void) pw_fetch_add_relaxed_64(&blocks_out, UINT64_MAX);
	free(memory);
}

static int
counted_engine(void **state)
{
	nng_init_params params = { .malloc_fn = counted_malloc,
		.calloc_fn = counted_calloc,
		.free_fn = counted_free };
	(void) state;
	return nng_init(&params);
}

/* The engine is gone; the next one has the built-in allocator again. */
static int
counted_end(void **state)
{
	int rv = engine_end(state);
	return rv == 0 && start_shards(1) == NNG_OK ? engine_end(state) : -1;
}

/* A provider of one place: a send waits for a receive and the other way round; the cancel function gives either back
 * untouched. The lock is the provider's own. */
struct place {
	nng_mtx *mtx;
	nng_aio *sender;
	nng_aio *receiver;
};

static void
place_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct place *place = arg;
	nng_mtx_lock(place->mtx);
	bool mine = aio == place->sender || aio == place->receiver;
	if (aio == place->sender) {
		place->sender = NULL;
	} else if (aio == place->receiver) {
		place->receiver = NULL;
	}
	nng_mtx_unlock(place->mtx);
	if (mine) {
		nng_aio_finish(aio, reason);
	}
}

static void
place_start(struct place *place, nng_aio *aio, bool sends)
{
	nng_aio *sender = NULL, *receiver = NULL;
	nng_mtx_lock(place->mtx);
	if (nng_aio_start(aio, place_cancel, place)) {
		*(sends ? &place->sender : &place->receiver) = aio;
		if (place->sender != NULL && place->receiver != NULL) {
			sender = place->sender;
			receiver = place->receiver;
			place->sender = place->receiver = NULL;
			nng_aio_set_msg(receiver, nng_aio_get_msg(sender));
			nng_aio_set_msg(sender, NULL);
		}
	}
	nng_mtx_unlock(place->mtx);
	if (sender != NULL) {
		nng_aio_finish(sender, NNG_OK);
		nng_aio_finish(receiver, NNG_OK);
	}
}

/* C8: "success moves ownership once, failure leaves it with the caller; the balance is zero". Method: messages with
 * short and long bodies, duplicated before they are sent, so that sender and receiver share; each send either meets a
 * receive, or is cancelled, or times out. Afterwards the allocator has what it had. */
static void
ownership_moves_once_or_stays_and_the_balance_is_zero(void **unused)
{
	struct place place = { 0 };
	nng_aio *send, *receive;

	(void) unused;
	assert_int_equal(nng_mtx_alloc(&place.mtx), NNG_OK);
	assert_int_equal(nng_aio_alloc(&send, NULL, NULL), NNG_OK);
	assert_int_equal(nng_aio_alloc(&receive, NULL, NULL), NNG_OK);
	shard_pass(0); /* what the shard allocates on first use it has */
	uint64_t before = pw_load_relaxed_64(&blocks_out);
	assert_true(before > 0);
	for (unsigned i = 0; i < 300; i++) {
		nng_msg *msg, *kept;
		assert_int_equal(nng_msg_alloc(&msg, 0), NNG_OK);
		assert_int_equal(nng_msg_append(msg, NULL, i % 2 == 0 ? 10 : LONG), NNG_OK);
		assert_int_equal(nng_msg_append_u32(msg, i), NNG_OK);
		assert_int_equal(nng_msg_dup(&kept, msg), NNG_OK);
		nng_aio_set_msg(send, msg);
		if (i % 3 == 0) {
			place_start(&place, receive, false);
			place_start(&place, send, true);
			nng_aio_wait(send);
			nng_aio_wait(receive);
			assert_int_equal(nng_aio_result(send), NNG_OK);
			assert_int_equal(nng_aio_result(receive), NNG_OK);
			assert_null(nng_aio_get_msg(send));
			assert_ptr_equal(nng_aio_get_msg(receive), msg);
			nng_aio_set_msg(receive, NULL);
			uint32_t number;
			assert_int_equal(nng_msg_chop_u32(msg, &number), NNG_OK);
			assert_int_equal(number, i);
			((char *) nng_msg_body(msg))[0] = 'x';
			nng_msg_free(msg);
		} else {
			nng_aio_set_timeout(send, i % 3 == 1 ? NNG_DURATION_INFINITE : 1);
			place_start(&place, send, true);
			if (i % 3 == 1) {
				nng_aio_cancel(send);
			}
			nng_aio_wait(send);
			assert_int_equal(nng_aio_result(send), i % 3 == 1 ? NNG_ECANCELED : NNG_ETIMEDOUT);
			assert_ptr_equal(nng_aio_get_msg(send), msg);
			nng_aio_set_msg(send, NULL);
			nng_aio_set_timeout(send, NNG_DURATION_INFINITE);
			nng_msg_free(msg);
		}
		assert_int_equal(((char *) nng_msg_body(kept))[0], 0);
		nng_msg_free(kept);
	}
	assert_int_equal(pw_load_relaxed_64(&blocks_out), before);
	nng_aio_free(send);
	nng_aio_free(receive);
	nng_mtx_free(place.mtx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_in_network_byte_order),
		cmocka_unit_test(fresh_bytes_are_zero),
		cmocka_unit_test(pipe_id_is_positive_or_none),
		cmocka_unit_test(duplicate_is_the_same_and_its_own),
		cmocka_unit_test(header_holds_64_bytes_where_it_stands),
		TEST_RECORDED(null_message_is_misuse),
		cmocka_unit_test(alloc_gives_zeroed_aligned_memory),
		cmocka_unit_test(messages_and_memory_need_no_engine),
		TEST_TWO(message_has_memory_of_its_shard_and_is_freed_anywhere),
		cmocka_unit_test_setup_teardown(ownership_moves_once_or_stays_and_the_balance_is_zero, counted_engine,
		    counted_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

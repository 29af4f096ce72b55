/* SPDX-License-Identifier: MIT
 *
 * msg.c: messages: a header, a body with room on both sides, a pipe.
 *
 * What it is not: what sends them. A message is memory with an owner; nng_aio_set_msg hands it on.
 *
 * A message is one block of 256 bytes, in which a short body lies as well:
 *
 *     | start len room pipe ... | header (64) |  own room (160): 32 of headroom, then a body of up to 128  |
 *
 * A longer body lies in a room of its own, which duplicates share:
 *
 *     nng_msg A  --room--> +---------+-----------------------------------------------+
 *     nng_msg B  --room--> | holders |  headroom  |  the bytes of A's and B's body   |  room behind
 *                          +---------+-----------------------------------------------+
 *                                      A.start ---^      ^--- B.start (B was trimmed)
 *
 * Start and length are the message's, so trim, chop and clear need no copy. Bytes are written by a sole holder only:
 * who wants to write and is not moves his body to a fresh room first. A body never moves within its room: growth that
 * does not fit makes a new one, and the old one is given up last, so that bytes appended or inserted may be those of
 * the body itself. Room is made for half as much again, so n appends (or inserts) copy O(n) bytes.
 *
 * The difficulty of sharing behind an interface of pointers: nng_msg_body hands out an address, and what is written
 * through it afterwards must not appear in a duplicate made in between. So a body whose address is out is *lent* and
 * is copied by dup, until a call of which the contract says that it invalidates the address.
 *
 * Threads: one at a time per message, any thread; functions that take a const message may run beside each other. What
 * messages of different owners share is a room: its count, and bytes that nobody writes while there are two holders.
 * Lock-free but for the allocator's lock.
 *
 * Invariants, tested by pw_msg_check:
 *   I1  room begin <= start, start + len <= room end
 *   I2  a lent body has one holder
 *   I3  a room has a holder at least, and a size above 0
 *   I4  header_len <= 64
 *
 * Limits: a body of PTRDIFF_MAX / 4 bytes; 2^32 - 1 holders (1 TiB of messages).
 *
 * The idea: the headroom of BSD's mbufs and Linux's sk_buffs, whose clones share data the same way; the lent mark is
 * libstdc++'s, whose shared strings had the same difficulty with operator[].
 */
#include "engine/msg/msg.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinwheel/pinwheel.h>

#include "engine/base/atomic.h"
#include "engine/base/misuse.h"
#include "engine/platform/memory.h"

#define BODY_MAX ((size_t) PTRDIFF_MAX / 4) /* sums of a few lengths do not wrap */
#define SLACK PW_MSG_HEADROOM               /* behind a fresh body */

struct room {
	pw_a32 holders; /* messages */
	size_t size;    /* of bytes */
	uint8_t bytes[];
};

struct nng_msg {
	uint8_t *start; /* of the body */
	size_t len;
	struct room *room; /* NULL: the body lies in own */
	uint32_t pipe;
	uint8_t header_len;
	bool lent; /* an address that nng_msg_body gave out is good: the room must not get a second holder */
	_Alignas(8) uint8_t header[PW_MSG_HEADER_MAX]; /* programs read it as numbers */
	uint8_t own[PW_MSG_HEADROOM + PW_MSG_BODY_OWN];
};

_Static_assert(sizeof(struct nng_msg) == PW_MSG_SIZE, "four cache lines");
_Static_assert(offsetof(struct nng_msg, own) + PW_MSG_HEADROOM == 128, "a short body has cache lines of its own");

/* ---- rooms */

static const uint8_t *
room_begin(const nng_msg *msg)
{
	return msg->room != NULL ? msg->room->bytes : msg->own;
}

static const uint8_t *
room_end(const nng_msg *msg)
{
	return msg->room != NULL ? msg->room->bytes + msg->room->size : msg->own + sizeof(msg->own);
}

static size_t
headroom(const nng_msg *msg)
{
	return (size_t) (msg->start - room_begin(msg));
}

/* From the body's first byte to the room's end. */
static size_t
tailroom(const nng_msg *msg)
{
	return (size_t) (room_end(msg) - msg->start);
}

uint32_t
pw_msg_holders(const nng_msg *msg)
{
	/* P17 acquire: what the others read there they have read. Without it we overwrite what a duplicate, freed on
	 * another thread, was still being copied from. */
	return msg->room != NULL ? pw_load_acquire_32(&msg->room->holders) : 1;
}

/* The body may be written. Nobody else can make it false: a second holder comes from a message that holds already. */
static bool
is_sole(const nng_msg *msg)
{
	return pw_msg_holders(msg) == 1;
}

/* NULL: no effect. */
static void
leave_room(struct room *room)
{
	if (room == NULL) {
		return;
	}
	uint32_t holders = pw_load_acquire_32(&room->holders); /* P17: as is_sole */
	while (holders != 1) {
		/* P17 release: our reads of the bytes, to the holder that writes or releases them. */
		if (pw_cas_acq_rel_32(&room->holders, &holders, holders - 1)) {
			return;
		}
	}
	pw_near_free(room, sizeof(*room) + room->size);
}

/*
 * Gives the body another room, of its own: with `head` bytes before it and `tail` from its beginning to the room's
 * end. *left is the room it was in, to be left when its bytes are not needed any more (NULL: the message's own).
 * False: out of memory, and nothing has changed.
 */
static bool
move_body(nng_msg *msg, size_t head, size_t tail, struct room **left)
{
	struct room *room = NULL;
	uint8_t *begin = msg->own;
	assert(tail >= msg->len);
	if (msg->room == NULL || head + tail > sizeof(msg->own)) {
		room = pw_near_alloc(sizeof(*room) + head + tail);
		if (room == NULL) {
			return false;
		}
		room->size = head + tail;
		pw_store_relaxed_32(&room->holders, 1); /* relaxed: nobody else knows it */
		begin = room->bytes;
	}
	memcpy(begin + head, msg->start, msg->len);
	*left = msg->room;
	msg->room = room;
	msg->start = begin + head;
	msg->lent = false;
	return true;
}

/* Bytes for the message, from data, or zeros. */
static void
fill(uint8_t *to, const void *data, size_t size)
{
	if (size == 0) {
		return; /* data may be NULL */
	}
	if (data != NULL) {
		memcpy(to, data, size);
	} else {
		memset(to, 0, size);
	}
}

/* ---- the body; the message is not NULL */

/* The capacity will be `size` at least, and the body may be written up to it. spare: more than that, if it moves. */
static bool
make_tail(nng_msg *msg, size_t size, size_t spare, struct room **left)
{
	*left = NULL;
	if (size > BODY_MAX) {
		return false;
	}
	return (is_sole(msg) && size <= tailroom(msg)) || move_body(msg, PW_MSG_HEADROOM, size + spare, left);
}

static nng_err
body_append(nng_msg *msg, const void *data, size_t size)
{
	struct room *left;
	if (size == 0) {
		return NNG_OK;
	}
	if (size > BODY_MAX || !make_tail(msg, msg->len + size, SLACK + (msg->len + size) / 2, &left)) {
		return NNG_ENOMEM;
	}
	fill(msg->start + msg->len, data, size);
	msg->len += size;
	msg->lent = false;
	leave_room(left);
	return NNG_OK;
}

static nng_err
body_insert(nng_msg *msg, const void *data, size_t size)
{
	struct room *left = NULL;
	bool sole = is_sole(msg);
	if (size == 0) {
		return NNG_OK;
	}
	if (size > BODY_MAX) {
		return NNG_ENOMEM;
	}
	if (!sole || size > headroom(msg)) {
		size_t tail = sole ? tailroom(msg) : msg->len + SLACK; /* the capacity does not fall by an insert */
		if (!move_body(msg, PW_MSG_HEADROOM + size + (msg->len + size) / 2, tail, &left)) {
			return NNG_ENOMEM;
		}
	}
	fill(msg->start - size, data, size);
	msg->start -= size;
	msg->len += size;
	msg->lent = false;
	leave_room(left);
	return NNG_OK;
}

/* Drops `front` bytes at the beginning and all beyond the next `len`. An empty body goes back to where a fresh one
 * starts, so that a message used as a queue does not wander through its room. */
static void
shorten(nng_msg *msg, size_t front, size_t len)
{
	if (front == 0 && len == msg->len) {
		return; /* an address that is out is still good */
	}
	msg->start += front;
	msg->len = len;
	msg->lent = false;
	if (len == 0 && headroom(msg) > PW_MSG_HEADROOM) {
		msg->start -= headroom(msg) - PW_MSG_HEADROOM;
	}
}

static nng_err
body_trim(nng_msg *msg, size_t size)
{
	if (size > msg->len) {
		return NNG_EINVAL;
	}
	shorten(msg, size, msg->len - size);
	return NNG_OK;
}

static nng_err
body_chop(nng_msg *msg, size_t size)
{
	if (size > msg->len) {
		return NNG_EINVAL;
	}
	shorten(msg, 0, msg->len - size);
	return NNG_OK;
}

static nng_err
body_resize(nng_msg *msg, size_t size)
{
	struct room *left;
	const uint8_t *was = msg->start;
	if (size <= msg->len) {
		return body_chop(msg, msg->len - size);
	}
	if (!make_tail(msg, size, SLACK, &left)) {
		return NNG_ENOMEM;
	}
	if (msg->start == was || msg->room == NULL) { /* a new room is zeroed */
		fill(msg->start + msg->len, NULL, size - msg->len);
	}
	msg->len = size;
	msg->lent = false;
	leave_room(left);
	return NNG_OK;
}

static const uint8_t *
body_bytes(const nng_msg *msg)
{
	return msg->start;
}

static size_t
body_len(const nng_msg *msg)
{
	return msg->len;
}

/* ---- the header */

static nng_err
header_append(nng_msg *msg, const void *data, size_t size)
{
	if (size > PW_MSG_HEADER_MAX - msg->header_len) {
		return NNG_EINVAL;
	}
	fill(msg->header + msg->header_len, data, size);
	msg->header_len = (uint8_t) (msg->header_len + size);
	return NNG_OK;
}

static nng_err
header_insert(nng_msg *msg, const void *data, size_t size)
{
	uint8_t header[PW_MSG_HEADER_MAX]; /* data may lie in the old one */
	if (size > PW_MSG_HEADER_MAX - msg->header_len) {
		return NNG_EINVAL;
	}
	fill(header, data, size);
	memcpy(header + size, msg->header, msg->header_len);
	msg->header_len = (uint8_t) (msg->header_len + size);
	memcpy(msg->header, header, msg->header_len);
	return NNG_OK;
}

static nng_err
header_trim(nng_msg *msg, size_t size)
{
	if (size > msg->header_len) {
		return NNG_EINVAL;
	}
	msg->header_len = (uint8_t) (msg->header_len - size);
	memmove(msg->header, msg->header + size, msg->header_len);
	return NNG_OK;
}

static nng_err
header_chop(nng_msg *msg, size_t size)
{
	if (size > msg->header_len) {
		return NNG_EINVAL;
	}
	msg->header_len = (uint8_t) (msg->header_len - size);
	return NNG_OK;
}

static const uint8_t *
header_bytes(const nng_msg *msg)
{
	return msg->header;
}

static size_t
header_len(const nng_msg *msg)
{
	return msg->header_len;
}

/* ---- life */

static bool
usable(const void *object, const char *function)
{
	if (object == NULL) {
		pw_misuse(function, NULL, 0, "the message, or the place for it, is NULL");
	}
	return object != NULL;
}

nng_err
nng_msg_alloc(nng_msg **msgp, size_t size)
{
	if (!usable(msgp, __func__)) {
		return NNG_EINVAL;
	}
	nng_msg *msg = pw_near_alloc(sizeof(*msg));
	if (msg == NULL) {
		return NNG_ENOMEM;
	}
	msg->start = msg->own + PW_MSG_HEADROOM;
	nng_err rv = body_resize(msg, size);
	if (rv != NNG_OK) {
		pw_near_free(msg, sizeof(*msg));
		return rv;
	}
	*msgp = msg;
	return NNG_OK;
}

void
nng_msg_free(nng_msg *msg)
{
	if (msg != NULL) {
		leave_room(msg->room);
		pw_near_free(msg, sizeof(*msg));
	}
}

/* The duplicate's body, of the same capacity where it is copied. False: out of memory. */
static bool
dup_body(nng_msg *dup, const nng_msg *msg)
{
	struct room *left = NULL;
	*dup = *msg;
	dup->lent = false; /* nobody has its address */
	if (msg->room == NULL) {
		dup->start = dup->own + headroom(msg);
		return true;
	}
	if (!msg->lent) {
		/* Relaxed: the room stays, since msg holds it; what it holds was ours to read already. */
		(void) pw_fetch_add_relaxed_32(&msg->room->holders, 1);
		return true;
	}
	return move_body(dup, PW_MSG_HEADROOM, tailroom(msg), &left); /* *left is msg's, and stays */
}

nng_err
nng_msg_dup(nng_msg **dupp, const nng_msg *msg)
{
	if (!usable(dupp, __func__) || !usable(msg, __func__)) {
		return NNG_EINVAL;
	}
	nng_msg *dup = pw_near_alloc(sizeof(*dup));
	if (dup == NULL || !dup_body(dup, msg)) {
		pw_near_free(dup, sizeof(*dup));
		return NNG_ENOMEM;
	}
	*dupp = dup;
	return NNG_OK;
}

/* ---- the public functions */

nng_err
nng_msg_realloc(nng_msg *msg, size_t size)
{
	return usable(msg, __func__) ? body_resize(msg, size) : NNG_EINVAL;
}

nng_err
nng_msg_reserve(nng_msg *msg, size_t capacity)
{
	struct room *left;
	if (!usable(msg, __func__)) {
		return NNG_EINVAL;
	}
	if (!make_tail(msg, capacity > msg->len ? capacity : msg->len, 0, &left)) {
		return NNG_ENOMEM;
	}
	leave_room(left);
	return NNG_OK;
}

size_t
nng_msg_capacity(nng_msg *msg)
{
	if (!usable(msg, __func__)) {
		return 0;
	}
	return is_sole(msg) ? tailroom(msg) : msg->len;
}

void *
nng_msg_body(nng_msg *msg)
{
	struct room *left = NULL;
	if (!usable(msg, __func__)) {
		return NULL;
	}
	if (!is_sole(msg) && !move_body(msg, PW_MSG_HEADROOM, msg->len + SLACK, &left)) {
		return NULL;
	}
	leave_room(left);
	msg->lent = true;
	return msg->start;
}

const void *
pinwheel_msg_body(const nng_msg *msg)
{
	return usable(msg, __func__) ? body_bytes(msg) : NULL;
}

size_t
nng_msg_len(const nng_msg *msg)
{
	return usable(msg, __func__) ? body_len(msg) : 0;
}

void
nng_msg_clear(nng_msg *msg)
{
	if (usable(msg, __func__)) {
		shorten(msg, 0, 0);
	}
}

void *
nng_msg_header(nng_msg *msg)
{
	return usable(msg, __func__) ? msg->header : NULL;
}

size_t
nng_msg_header_len(const nng_msg *msg)
{
	return usable(msg, __func__) ? header_len(msg) : 0;
}

void
nng_msg_header_clear(nng_msg *msg)
{
	if (usable(msg, __func__)) {
		msg->header_len = 0;
	}
}

void
nng_msg_set_pipe(nng_msg *msg, nng_pipe pipe)
{
	if (usable(msg, __func__)) {
		msg->pipe = pipe.id;
	}
}

nng_pipe
nng_msg_get_pipe(const nng_msg *msg)
{
	return (nng_pipe){ .id = usable(msg, __func__) ? msg->pipe : 0 };
}

int
nng_pipe_id(nng_pipe pipe)
{
	return pipe.id != 0 && pipe.id <= INT_MAX ? (int) pipe.id : -1;
}

/* Network byte order: the first byte is the highest. */
static void
put_number(uint8_t *to, size_t size, uint64_t value)
{
	for (size_t i = size; i-- > 0; value >>= 8) {
		to[i] = (uint8_t) value;
	}
}

static uint64_t
get_number(const uint8_t *from, size_t size)
{
	uint64_t value = 0;
	for (size_t i = 0; i < size; i++) {
		value = value << 8 | from[i];
	}
	return value;
}

/* nng_msg_append and the like (part body), nng_msg_header_append and the like (part header). */
#define BYTES(name, part)                                                                                            \
	nng_err nng_##name##_append(nng_msg *msg, const void *data, size_t size)                                     \
	{                                                                                                            \
		return usable(msg, __func__) ? part##_append(msg, data, size) : NNG_EINVAL;                          \
	}                                                                                                            \
	nng_err nng_##name##_insert(nng_msg *msg, const void *data, size_t size)                                     \
	{                                                                                                            \
		return usable(msg, __func__) ? part##_insert(msg, data, size) : NNG_EINVAL;                          \
	}                                                                                                            \
	nng_err nng_##name##_trim(nng_msg *msg, size_t size)                                                         \
	{                                                                                                            \
		return usable(msg, __func__) ? part##_trim(msg, size) : NNG_EINVAL;                                  \
	}                                                                                                            \
	nng_err nng_##name##_chop(nng_msg *msg, size_t size)                                                         \
	{                                                                                                            \
		return usable(msg, __func__) ? part##_chop(msg, size) : NNG_EINVAL;                                  \
	}

/* nng_msg_append_u16 and the like: the same with a number of `bits`. */
#define NUMBERS(name, part, bits)                                                                                    \
	nng_err nng_##name##_append_u##bits(nng_msg *msg, uint##bits##_t value)                                      \
	{                                                                                                            \
		uint8_t bytes[sizeof(value)];                                                                        \
		put_number(bytes, sizeof(bytes), value);                                                             \
		return usable(msg, __func__) ? part##_append(msg, bytes, sizeof(bytes)) : NNG_EINVAL;                \
	}                                                                                                            \
	nng_err nng_##name##_insert_u##bits(nng_msg *msg, uint##bits##_t value)                                      \
	{                                                                                                            \
		uint8_t bytes[sizeof(value)];                                                                        \
		put_number(bytes, sizeof(bytes), value);                                                             \
		return usable(msg, __func__) ? part##_insert(msg, bytes, sizeof(bytes)) : NNG_EINVAL;                \
	}                                                                                                            \
	nng_err nng_##name##_trim_u##bits(nng_msg *msg, uint##bits##_t *value)                                       \
	{                                                                                                            \
		if (!usable(msg, __func__) || part##_len(msg) < sizeof(*value)) {                                    \
			return NNG_EINVAL;                                                                           \
		}                                                                                                    \
		if (value != NULL) {                                                                                 \
			*value = (uint##bits##_t) get_number(part##_bytes(msg), sizeof(*value));                     \
		}                                                                                                    \
		return part##_trim(msg, sizeof(*value));                                                             \
	}                                                                                                            \
	nng_err nng_##name##_chop_u##bits(nng_msg *msg, uint##bits##_t *value)                                       \
	{                                                                                                            \
		if (!usable(msg, __func__) || part##_len(msg) < sizeof(*value)) {                                    \
			return NNG_EINVAL;                                                                           \
		}                                                                                                    \
		size_t rest = part##_len(msg) - sizeof(*value);                                                      \
		if (value != NULL) {                                                                                 \
			*value = (uint##bits##_t) get_number(part##_bytes(msg) + rest, sizeof(*value));              \
		}                                                                                                    \
		return part##_chop(msg, sizeof(*value));                                                             \
	}

/* clang-format off */
BYTES(msg, body)
NUMBERS(msg, body, 16)
NUMBERS(msg, body, 32)
NUMBERS(msg, body, 64)
BYTES(msg_header, header)
NUMBERS(msg_header, header, 16)
NUMBERS(msg_header, header, 32)
NUMBERS(msg_header, header, 64)
/* clang-format on */

/* ---- check */

static void
expect(bool holds, unsigned invariant)
{
	if (!holds) {
		(void) fprintf(stderr, "pinwheel: message: I%u does not hold\n", invariant);
		abort();
	}
}

void
pw_msg_check(const nng_msg *msg)
{
	expect(room_begin(msg) <= msg->start && msg->start <= room_end(msg) && msg->len <= tailroom(msg), 1);
	expect(!msg->lent || pw_msg_holders(msg) == 1, 2);
	expect(pw_msg_holders(msg) >= 1 && room_begin(msg) < room_end(msg), 3);
	expect(msg->header_len <= PW_MSG_HEADER_MAX, 4);
}

/* SPDX-License-Identifier: MIT
 *
 * inbox.c: the one way into a shard for other threads.
 *
 * What it is: a bounded multi-producer ring of mails (tagged node pointers) that its single owner empties *out
 * of order*, an overflow stack behind it, and the generation word of the sleep pair. What it is not: FIFO.
 * Entries are independent of each other (a request carries no operation, a completion is its own hold), and
 * that is what the structure is built on.
 *
 * Why not a plain MPSC ring: in those a producer that has reserved its place and is then preempted hides every
 * later entry until it runs again, and in ck_ring's it also makes all later producers spin. On a machine with
 * more threads than cores that is a scheduler quantum. Here such a gap costs its own entry's delay and no one
 * else's.
 *
 *   tail ---------------------------------------------+
 *   head ----+                                        |
 *            v                                        v
 *   EMPTY | gap | TAKEN | TAKEN | mail | gap | mail | EMPTY ...
 *           ^reserved, its producer has not stored yet
 *
 *   producer  1 tail = load acquire; head = load acquire      (in this order: an old tail with a new head shows
 *               as a negative distance, which means "look again", never "full")
 *             2 CAS tail -> tail + 1, relaxed                 the slot is reserved
 *             3 exchange slot, EMPTY -> mail, acq_rel         published (P7)
 *             4 full fence; load parked                       the sleep pair (P10)
 *   full ring: instead of 2 and 3, push the mail's own node on the overflow stack (P9).
 *   owner     1 for each slot of the reserved window that holds a mail: slot = TAKEN (EMPTY if it is head's), take
 *             2 slot[head] TAKEN -> EMPTY, head + 1, repeat; head stored with release (P8)
 *             3 exchange the overflow stack with empty, acquire; take.
 *
 * The scan goes on where it stopped, and at tail it starts over: a gap at head that lasts hides nothing that lies
 * beyond the 256 slots of one drain. Nor does it make the owner turn in vain: behind such a gap most slots are TAKEN,
 * so a drain that has found nothing yet looks on, once round the window. What pw_inbox_ready sees, the next drain
 * takes. That is 4096 loads from 32 KiB at most, a few microseconds, and only while the window holds nothing else;
 * a drain that has taken something stops at 256.
 *
 * The overflow stack is popped whole, and the whole of it is taken before it is popped again, newest first. So
 * nothing starves: what is pushed after a pop never comes before what that pop got, and an entry waits for the rest of
 * the batch before its own and for its own, however many are pushed meanwhile. In the order of arrival it would wait
 * for one of the two, so in the worst case half as long. That order costs a second pass over nodes that are not in the
 * cache (there may be a million), which would have to be made before the first of them is taken, by an owner that
 * cannot keep up as it is. Overload is not where we pay twice.
 *
 * The sleep pair (P10). parked is a generation: odd while the owner sleeps or is about to.
 *   sender    publish; full fence; g = parked; g odd: wake the owner, *then* CAS parked g -> g + 1
 *   owner     parked = next odd; full fence; look again; sleep; parked = next even
 * One of the two sees the other. Waking twice is harmless, owing a wake is not: a sender that died between a
 * CAS and the wake would leave the others believing that someone wakes. So each wakes for itself first.
 * "Look again" counts filled slots, not tail != head: a gap would keep the owner from ever sleeping.
 *
 * Invariants (pw_inbox_check):
 *   I1  head <= tail <= head + PW_INBOX_SLOTS
 *   I2  a slot outside [head, tail) is EMPTY, unless a producer reserved it meanwhile
 *   I3  after a drain slot[head] is not TAKEN
 *   I4  a drain takes at least one entry if there was one before it (a test's, not pw_inbox_check's)
 * Limits: PW_INBOX_SLOTS entries in the ring, any number in the stack; no allocation.
 */
#include "engine/shard/inbox.h"

#include <assert.h>
#include <stdlib.h>

#define EMPTY UINT64_C(0)
#define TAKEN UINT64_MAX

_Static_assert((PW_INBOX_SLOTS & (PW_INBOX_SLOTS - 1)) == 0, "the ring's size is a power of two");

static inline pw_a64 *
slot_at(struct pw_inbox *inbox, uint64_t position)
{
	return &inbox->slot[position & (PW_INBOX_SLOTS - 1)];
}

static inline bool
is_mail(uint64_t content)
{
	return content != EMPTY && content != TAKEN;
}

void
pw_inbox_init(struct pw_inbox *inbox)
{
	pw_store_relaxed_64(&inbox->tail, 0);
	pw_store_relaxed_64(&inbox->head, 0);
	pw_store_relaxed_64(&inbox->overflow, 0);
	pw_store_relaxed_64(&inbox->parked, 0);
	pw_store_relaxed_64(&inbox->overflowed, 0);
	inbox->scan = 0;
	inbox->remainder = 0;
	for (unsigned i = 0; i < PW_INBOX_SLOTS; i++) {
		pw_store_relaxed_64(&inbox->slot[i], EMPTY);
	}
}

/* Reserves a slot. False: the ring is full. */
static bool
reserve(struct pw_inbox *inbox, uint64_t *position)
{
	uint64_t tail = pw_load_acquire_64(&inbox->tail); /* P8: tail first, then head */
	for (;;) {
		uint64_t head = pw_load_acquire_64(&inbox->head); /* P8 acquire: the EMPTY of the lap before */
		int64_t used = (int64_t) (tail - head);
		if (used < 0) {
			tail = pw_load_acquire_64(&inbox->tail);
			continue;
		}
		if (used >= (int64_t) PW_INBOX_SLOTS) {
			return false;
		}
		if (pw_cas_relaxed_64(&inbox->tail, &tail, tail + 1)) { /* relaxed: reserves, publishes nothing */
			*position = tail;
			return true;
		}
	}
}

static void
overflow_push(struct pw_inbox *inbox, pw_mail mail)
{
	uint64_t top = pw_load_relaxed_64(&inbox->overflow); /* relaxed: the CAS decides */
	do {
		pw_mail_node(mail)->next = (pw_mail) top;
	} while (!pw_cas_release_64(&inbox->overflow, &top, mail)); /* P9 release */
}

bool
pw_inbox_post(struct pw_inbox *inbox, pw_mail mail, uint64_t *generation)
{
	uint64_t position;
	if (reserve(inbox, &position)) {
		uint64_t before = pw_exchange_acq_rel_64(slot_at(inbox, position), mail); /* P7 release */
		assert(before == EMPTY);
		(void) before;
	} else {
		overflow_push(inbox, mail);
	}
	pw_fence_after_rmw(); /* P10, the sender's side */
	*generation = pw_load_relaxed_64(&inbox->parked); /* relaxed: ordered by the fence */
	return (*generation & 1) != 0;
}

void
pw_inbox_woken(struct pw_inbox *inbox, uint64_t generation)
{
	uint64_t expected = generation;
	(void) pw_cas_relaxed_64(&inbox->parked, &expected, generation + 1); /* a hint to later senders; nothing rests on it */
}

static unsigned
drain_ring(struct pw_inbox *inbox, unsigned budget, pw_inbox_take take, void *context)
{
	uint64_t tail = pw_load_acquire_64(&inbox->tail);
	uint64_t head = pw_load_relaxed_64(&inbox->head); /* relaxed: our own word */
	uint64_t first = head, window = tail - head, looked = 0;
	uint64_t next = inbox->scan >= head && inbox->scan < tail ? inbox->scan : head;
	unsigned taken = 0;

	for (; looked < window && taken < budget && (looked < PW_INBOX_SCAN || taken == 0); looked++) {
		uint64_t at = next;
		pw_a64 *slot = slot_at(inbox, at);
		uint64_t content = pw_load_acquire_64(slot); /* P7 acquire */
		next = at + 1 != tail ? at + 1 : first; /* at the end: start over, however many come meanwhile */
		if (!is_mail(content)) {
			continue;
		}
		if (at == head) {
			pw_store_relaxed_64(slot, EMPTY); /* P8: before head */
			head++;
		} else {
			pw_store_relaxed_64(slot, TAKEN); /* relaxed: only the owner looks at a reserved slot */
		}
		take(context, (pw_mail) content);
		taken++;
	}
	while (head != tail && pw_load_relaxed_64(slot_at(inbox, head)) == TAKEN) {
		pw_store_relaxed_64(slot_at(inbox, head), EMPTY);
		head++;
	}
	pw_store_release_64(&inbox->head, head); /* P8 release: after every EMPTY */
	inbox->scan = next;
	return taken;
}

static unsigned
drain_overflow(struct pw_inbox *inbox, unsigned budget, pw_inbox_take take, void *context)
{
	if (inbox->remainder == 0 && pw_load_relaxed_64(&inbox->overflow) != 0) { /* relaxed: the exchange decides */
		inbox->remainder = (pw_mail) pw_exchange_acquire_64(&inbox->overflow, 0); /* P9 acquire */
	}
	unsigned taken = 0;
	while (inbox->remainder != 0 && taken < budget) {
		pw_mail mail = inbox->remainder;
		inbox->remainder = pw_mail_node(mail)->next; /* read before take: the node may be linked elsewhere then */
		take(context, mail);
		taken++;
	}
	pw_count_add(&inbox->overflowed, taken);
	return taken;
}

unsigned
pw_inbox_drain(struct pw_inbox *inbox, unsigned budget, pw_inbox_take take, void *context)
{
	unsigned taken = drain_ring(inbox, budget, take, context);
	return taken + drain_overflow(inbox, budget, take, context);
}

bool
pw_inbox_ready(const struct pw_inbox *inbox)
{
	if (inbox->remainder != 0 || pw_load_relaxed_64(&inbox->overflow) != 0) { /* relaxed: after P10's fence */
		return true;
	}
	uint64_t tail = pw_load_acquire_64(&inbox->tail);
	for (uint64_t at = pw_load_relaxed_64(&inbox->head); at != tail; at++) {
		if (is_mail(pw_load_relaxed_64(&inbox->slot[at & (PW_INBOX_SLOTS - 1)]))) {
			return true;
		}
	}
	return false;
}

bool
pw_inbox_park(struct pw_inbox *inbox)
{
	uint64_t generation = pw_load_relaxed_64(&inbox->parked); /* even: unpark stored it last */
	pw_store_relaxed_64(&inbox->parked, generation + 1);
	pw_fence_seq_cst(); /* P10, the owner's side */
	if (pw_inbox_ready(inbox)) {
		pw_inbox_unpark(inbox);
		return false;
	}
	return true;
}

void
pw_inbox_unpark(struct pw_inbox *inbox)
{
	uint64_t generation = pw_load_relaxed_64(&inbox->parked);
	/* A sender's CAS odd -> even may come between; it stores the same value that we do. */
	pw_store_relaxed_64(&inbox->parked, generation + (generation & 1));
}

static void
broken(int invariant)
{
	(void) invariant; /* seen in the debugger's backtrace */
	abort();
}

void
pw_inbox_check(const struct pw_inbox *inbox)
{
	uint64_t head = pw_load_relaxed_64(&inbox->head);
	uint64_t tail = pw_load_acquire_64(&inbox->tail);
	if (tail < head || tail - head > PW_INBOX_SLOTS) {
		broken(1);
	}
	for (uint64_t at = tail; at < head + PW_INBOX_SLOTS; at++) {
		if (pw_load_acquire_64(&inbox->slot[at & (PW_INBOX_SLOTS - 1)]) != EMPTY && /* P7: and so its reservation */
		    pw_load_acquire_64(&inbox->tail) <= at) {
			broken(2);
		}
	}
	if (head != tail && pw_load_relaxed_64(&inbox->slot[head & (PW_INBOX_SLOTS - 1)]) == TAKEN) {
		broken(3);
	}
}

/* SPDX-License-Identifier: MIT
 *
 * inbox.h: how other threads hand entries to a shard. See inbox.c for the book: the ring that is emptied out of
 * order, the overflow stack, the sleep pair.
 *
 * who          function            progress
 * any thread   pw_inbox_post       lock-free; waits for nobody (a full ring goes to the overflow stack)
 * owner        pw_inbox_drain      wait-free: at most 2 x `budget` entries; at most PW_INBOX_SCAN slots of the ring,
 *                                  or PW_INBOX_SLOTS if the ones before hold nothing
 * owner        pw_inbox_park etc.  wait-free
 */
#ifndef PINWHEEL_SHARD_INBOX_H
#define PINWHEEL_SHARD_INBOX_H

#include "engine/base/atomic.h"
#include "engine/base/node.h"

#ifndef PW_INBOX_SLOTS
#define PW_INBOX_SLOTS 4096u /* a power of two; 32 KiB */
#endif
#define PW_INBOX_SCAN 256u /* slots looked at in one drain, unless it finds nothing in them */

struct pw_inbox {
	_Alignas(64) pw_a64 tail;     /* next slot to reserve: producers' CAS */
	_Alignas(64) pw_a64 overflow; /* a stack of mails, newest first; 0: empty */
	_Alignas(64) pw_a64 parked;   /* generation: odd while the owner sleeps or is about to */
	_Alignas(64) pw_a64 head;     /* oldest slot not yet given back: the owner's store */
	/* the owner's own */
	uint64_t scan;     /* where the next drain goes on looking: in [head, tail] or stale */
	pw_mail remainder; /* popped from the overflow stack, not yet taken */
	pw_a64 overflowed; /* entries that came over the stack: a statistic */
	_Alignas(64) pw_a64 slot[PW_INBOX_SLOTS]; /* 0: empty */
};

typedef void (*pw_inbox_take)(void *context, pw_mail mail);

void pw_inbox_init(struct pw_inbox *inbox);
/* Publishes the mail. True: the owner was parked, and the caller must wake it and then call pw_inbox_woken with
 * *generation. After the publish the sender touches the mail's memory no more. */
bool pw_inbox_post(struct pw_inbox *inbox, pw_mail mail, uint64_t *generation);
/* After the wake has been sent: no later sender needs to send another for this sleep. */
void pw_inbox_woken(struct pw_inbox *inbox, uint64_t generation);

/* Takes at most `budget` entries from the ring and as many from the overflow stack; returns their number. */
unsigned pw_inbox_drain(struct pw_inbox *inbox, unsigned budget, pw_inbox_take take, void *context);
/* There is an entry that drain would take. */
bool pw_inbox_ready(const struct pw_inbox *inbox);
/* The owner is about to sleep: from now on senders wake. False: there are entries, do not sleep (parked is even again). */
bool pw_inbox_park(struct pw_inbox *inbox);
/* The owner is awake. */
void pw_inbox_unpark(struct pw_inbox *inbox);
/* Owner, debug: the invariants of inbox.c by brute force. */
void pw_inbox_check(const struct pw_inbox *inbox);

#endif

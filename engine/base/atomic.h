/* SPDX-License-Identifier: MIT
 *
 * atomic.h: every word that two threads share goes through the verbs of this file.
 *
 * What it is: named loads, stores and read-modify-writes, each with its order in its name, over one of four
 * back ends chosen when the engine is compiled:
 *   PW_ATOMIC_CK       Concurrency Kit's ck_pr_* (what users run)
 *   PW_ATOMIC_C11      <stdatomic.h> (ThreadSanitizer does not see ck's inline assembly)
 *   PW_ATOMIC_EXPLORE  scheduling points of tests/explore (every access may be preempted there)
 *   PW_ATOMIC_COUNT    <stdatomic.h>, counted (tests/counts holds what an operation costs)
 * What it is not: a lock, a queue, or a place for policy.
 *
 * A shared word is one of the types below, so that no plain access compiles by accident.
 *
 * The pairs. A site names its pair and its side in a comment ("P3 release"); this list says what is handed
 * over and what breaks without it.
 *
 *   P1  begin/reset/start/defer CAS (acq_rel, failure acquire)  ->  home's next look at the word (acquire)
 *         over: deadline, fn, fn_arg, home.                  Loss: home links or calls what is half written.
 *       and it acquires home's last touch of the previous operation (linked tick, unlinking).
 *   P2  finish CAS (acq_rel)                                 ->  deliver CAS (acq_rel)
 *         over: count, message, outputs.                     Loss: the callback sees another result.
 *   P3  start's CAS                                          ->  abort, stop CAS (acquire on success)
 *         over: `home`.                                      Loss: the request goes to a shard that left.
 *   P4  drain RMW clearing QUEUED/ARM (acq_rel)              ->  the next request's CAS, free, the next home
 *         over: home's reads of the request node.            Loss: a node is linked twice.
 *   P5  the RMW that ends busy (acq_rel): the callback's end, ->  wait, busy, result, free (acquire)
 *       skip_callback's finish
 *         over: the callback's effects, home's last touch.   Loss: use after free; a wait that returns early.
 *   P6  expiry's clear of TIMER (acq_rel)                    ->  a racing start (P1)
 *         over: the linked tick.                             Loss: a deadline is compared with a torn tick.
 *   P7  inbox slot publish (exchange acq_rel)                ->  owner's slot load (acquire)
 *         over: the entry's node.                            Loss: home reads a node not yet written.
 *   P8  slot EMPTY (relaxed), then head (release)            ->  producer: tail load, then head load (acquire)
 *         over: the slot of the previous lap.                Loss: an entry is overwritten.
 *   P9  overflow push (CAS release)                          ->  pop all (exchange acquire)
 *         over: nodes.                                       Loss: a broken list.
 *   P10 the sleep pair: publish; fence; load parked          ||  parked odd; fence; re-check
 *         a store-to-load hand-over, needs the fence on x86 too. Loss: a wake is never sent.
 *   P11 slot release (fetch_or release)                      ->  slot taken again (CAS/and acquire)
 *         over: everything the last owner did to the slot.   Loss: the new owner's fields are overwritten.
 *   P12 fleet state (store release); visitors: admit, leave (RMW)  ->  load acquire; visit, dismiss
 *         over: shard records, configuration.
 *   P13 stream submission push (CAS release)                 ->  pop all (exchange acquire) on the stream's shard
 *         over: the operation's aio fields.
 *   P14 stream word: QUEUED 0->1 (acq_rel)                   ->  home's clear of QUEUED (acq_rel)
 *         over: marks of cancelled operations, close wishes.
 *   P15 slab listed (exchange acq_rel); push (CAS release)   ->  pop all (exchange acquire); unlist (exchange acq_rel)
 *         over: the free bits of releases that found the slab listed, room_next.  Loss: slots are never found again.
 *   P16 the callback's end (P5), then `running` cleared (release)  ->  a start in DONE: running (acquire), then the word
 *         over: the end of the callback.                     Loss: a legal restart is taken for misuse.
 *   P17 a holder of a message's room leaves (CAS acq_rel)    ->  holders == 1 seen (load acquire)
 *         over: its reads of the bytes.                      Loss: a copy under way reads what the next owner writes.
 *
 * Relaxed is used for: statistics (a reader may be late), the racy read of `home` in a check whose answer is
 * confirmed by the word, hints. Each such site says so.
 */
#ifndef PINWHEEL_BASE_ATOMIC_H
#define PINWHEEL_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#if defined(PW_ATOMIC_EXPLORE)
#include "engine/base/atomic_explore.h"
#elif defined(PW_ATOMIC_COUNT)
#include "engine/base/atomic_count.h"
#elif defined(PW_ATOMIC_C11)
#include "engine/base/atomic_c11.h"
#elif defined(PW_ATOMIC_CK)
#include "engine/base/atomic_ck.h"
#else
#error "choose an atomic back end: PW_ATOMIC_CK, PW_ATOMIC_C11, PW_ATOMIC_EXPLORE or PW_ATOMIC_COUNT"
#endif

/* The verbs, for T in 64 (pw_a64), 32 (pw_a32), ptr (pw_aptr, void *):
 *
 *   T    pw_load_relaxed_T(a)  pw_load_acquire_T(a)
 *   void pw_store_relaxed_T(a, v)  pw_store_release_T(a, v)
 *   T    pw_exchange_acq_rel_T(a, v)   pw_exchange_acquire_T(a, v)
 *   bool pw_cas_acq_rel_T(a, T *expected, desired)     failure: *expected is loaded with acquire
 *   bool pw_cas_release_T(a, T *expected, desired)     failure: relaxed
 *   bool pw_cas_acquire_T(a, T *expected, desired)     failure: acquire
 *   bool pw_cas_relaxed_T(a, T *expected, desired)
 * and for 64, 32:
 *   T    pw_fetch_add_relaxed_T(a, v)  pw_fetch_or_acq_rel_T(a, v)  pw_fetch_and_acq_rel_T(a, v)
 * for 16 (pw_a16) and 8 (pw_a8): load_relaxed, store_relaxed, load_acquire, store_release only.
 *   void pw_fence_seq_cst(void)      the sleep pair only (P10): the owner's side
 *   void pw_fence_after_rmw(void)    the sleep pair only (P10): the sender's side, directly after the RMW that
 *                                    published; free where an RMW is a full fence already (x86)
 *   void pw_cpu_relax(void)
 */

/* A relaxed load from a slot that may have been released, and poisoned: its memory stays. For walks over all slots. */
#if !defined(PW_ATOMIC_C11)
#define pw_peek_64 pw_load_relaxed_64
#define pw_peek_32 pw_load_relaxed_32
#define pw_peek_16 pw_load_relaxed_16
#endif

/* A counter that one thread writes and any thread may read: a relaxed load and store, no locked operation. */
static inline void
pw_count_add(pw_a64 *counter, uint64_t n)
{
	pw_store_relaxed_64(counter, pw_load_relaxed_64(counter) + n);
}

static inline void
pw_count_max(pw_a64 *counter, uint64_t value)
{
	if (value > pw_load_relaxed_64(counter)) {
		pw_store_relaxed_64(counter, value);
	}
}

#endif

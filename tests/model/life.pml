/* SPDX-License-Identifier: MIT
 *
 * life.pml: one aio, from its first operation to the release of its slot.
 *
 * What it is: the state word with all who change it (consumer, provider, aborters, a thread the callback hands the
 * handle to, home's drain, expiry, cancel item, delivery), the three nodes and where they are, the shard's `running`,
 * the lazy timer, free, reap and the futex. What it is not: the inbox's ring and the sleep pair (ring.pml: here home is
 * always awake and the inbox a set), a move of the home (move.pml), nng_fini (fini.pml), many waiters (wait.pml),
 * weak memory (tests/explore).
 *
 * Grain. A compare-and-swap loop is one atomic step: what it loads besides the word is the caller's own, or home's, or
 * `running`, and that one is read in a step of its own. A post is a step of its own, so is every plain store that
 * another thread may look at. The words are computed by engine/shard/word.h itself (calls.pml), and every change must
 * be one of its table (swap). Time: an EARLY deadline comes due at any moment after it is linked, a FAR one never.
 *
 * What is checked, always: no two completions for one operation, no overlap of callbacks, nor of a callback and its
 * operation's cancel function (C1); the callback sees the winner's result (C2, C4); no callback of an accepted
 * operation after stop has returned (C5); nobody touches a released slot, and nothing lists it (C6); no deadline is
 * taken that was not due, none is left unarmed (C7); no node is in two places; a legal start is never taken for misuse,
 * nor the contrary; every run comes to its end, where everything is delivered and the slot released (invalid end
 * states). The formulas, under weak fairness: an operation is delivered (delivers, C1), an abort ends it (aborts, C3),
 * stop returns (stops, C5), the slot is released (released, C6).
 *
 * What may be in it:
 *   SYNC       operations straight from reset too            SKIP      begin and finish under skip_callback
 *   FAR_TOO    far deadlines, so the timer is lazy           SILENT    the provider never finishes by itself: abort and
 *   ABORTERS=n threads that abort, once each (0..2)                    expiry must (C3, C7)
 *   HOME_ABORT an abort on home's thread, in the callback    FREEZE    the first aborter may stop for ever between its
 *              and outside                                             CAS and its post (C10)
 *   HAND_OVER  the callback may hand the handle to another   MISUSER   a thread looks whether it may start what is
 *              thread, which starts it, during the callback            finished and not delivered
 *              or after it                                   BLIND     the callback starts again, always
 *   RESUB=n    operations begun by the callback or that      SLEEP     the engine's own provider, without a thread:
 *              thread, together                                        home ends it by one CAS, with no cancel item
 *   NO_DEADLINES
 * Not in it: a handle without a callback, an operation without a cancel function, defer without begin.
 *
 * tests/model/runs is the table of what scripts/model runs: flags, property, states. Each mutant is a flag MUT_..., at
 * the place of its fault, with what it breaks.
 */
#include "calls.pml"

#ifndef RESUB
#define RESUB 1
#endif
#ifndef ABORTERS
#define ABORTERS 2
#endif

/* ---- the aio and its home */

int word;
byte running;          /* the shard's: whose callback is on its stack. 0: none, else 1 + the DONE's LAP */
byte running_result;   /* the shard's: the result that it delivers */
#define LAP_OF(w) (1 + (((w) & LAP) != 0))

#define EARLY 0
#define FAR 1
#define NEVER 2
byte deadline = NEVER; /* of the operation under way */
byte linked_at;        /* the timer's, while TIMER is set */

#define NOWHERE 0
#define INBOX 1
#define READY 2
byte done_at, request_at, timer_at; /* where the nodes are */
#define DONE_NODE 1
#define REQUEST_NODE 2
#define TIMER_NODE 3
chan ready = [3] of { byte };

/* ---- what no part of the engine knows: the users, and what is checked */

#ifdef SLEEP
#define SLEEPS true
#define SILENT
#else
#define SLEEPS false
#endif
bool claim;                         /* the provider's, under its lock: the operation is pending */
bool owed;                          /* a completion that has not been called back */
bool accepted;                      /* ... of an operation that was accepted: not refused, not straight from reset */
byte won;                           /* the winner's result */
bool gone;                          /* the slot was released */
bool calling_back, canceling, canceled;
bool stop_returned, ended;          /* the user has given the handle up, or is about to */
bool visiting;                      /* the consumer is inside stop */
bool handed;                        /* to the other thread, which has not started it yet */
bool asleep;                        /* the consumer, in the kernel */
byte resub = RESUB;
#ifdef FREEZE
bool frozen;
#endif

inline touch() { assert(!gone) }

/* The compare-and-swap that succeeds. */
inline swap()
{
	assert(ALLOWED(STATE(word), STATE(after)));
	word = after;
	after = 0
}

inline release()
{
	touch();
	assert(done_at == NOWHERE && request_at == NOWHERE && timer_at == NOWHERE);
	assert(!calling_back && !canceling && !claim && !owed);
	gone = true
}

/* ---- entries */

inline list(node, at)
{
	assert(at == NOWHERE);
	at = READY;
	ready!node
}

inline post(at)
{
	atomic { touch(); assert(at == NOWHERE); at = INBOX }
}

inline post_if(condition, at)
{
	if
	:: condition -> post(at)
	:: else
	fi
}

/* ---- the provider's calls. Locals: told (a completion entry is owed), asks (a request entry is), ok, wake, seen */

/* What the mutants change where DONE is left. */
inline mutate_leaving()
{
#ifdef MUT_NO_LAP /* home takes the next operation for the one it has delivered, and ends it (C1) */
	if
	:: STATE(word) == DONE -> after = after ^ LAP
	:: else
	fi;
#endif
#ifdef MUT_NO_RUNNING /* the handle looks idle while the callback is on the stack (C6) */
	if
	:: STATE(word) == DONE -> after = after & ~RUNNING
	:: else
	fi;
#endif
	skip
}

inline finish(home, result)
{
	atomic {
		touch();
		after = word;
		assert(FINISHABLE);
		if
		:: STATE(word) == OPEN -> assert(!owed); owed = true; accepted = false
		:: else
		fi;
		finished(DONE, result);
		told = true;
#ifdef MUT_ONE_KIND /* a request entry on its way stands for the completion too (C1, C10) */
		told = !(word & QUEUED);
		after = after | QUEUED;
#endif
		swap();
		won = result;
		deadline = NEVER;
		if
		:: told && home -> list(DONE_NODE, done_at)
		:: else
		fi
	}
#ifdef MUT_ONE_KIND
	post_if(told && !home, request_at)
#else
	post_if(!home, done_at)
#endif
}

/* On the thread that asked for skip_callback, before the operation went asynchronous; not with a reap pending. */
inline finish_skipping()
{
	atomic {
		touch();
		after = word;
		assert(FINISHABLE && STATE(word) == BUSY);
		told = (word & FREEING) != 0;
		if
		:: told -> finished(DONE, OK)
		:: else -> finished(IDLE, OK); quiet(); owed = false
		fi;
		wake = (word & ~after & WAITERS) != 0;
		swap();
		won = OK
	}
	post_if(told, done_at);
	if
	:: wake -> asleep = false
	:: else
	fi
}

/* `after` goes asynchronous: its deadline, and what is owed then. */
inline go_deferred(home)
{
	if
	:: deadline = NEVER
#ifndef NO_DEADLINES
	:: deadline = EARLY
#endif
#ifdef FAR_TOO
	:: deadline = FAR
#endif
	fi;
	if
	:: deadline != NEVER &&
#ifdef MUT_LINKED_IS_ENOUGH /* an earlier deadline than the linked one is not armed (C7) */
	    !(word & TIMER) ->
#else
	    (!(word & TIMER) || deadline < linked_at) ->
#endif
		if
		:: home -> after = after | TIMER; linked_at = deadline
		:: else -> after = after | ARM | QUEUED
		fi
	:: else
	fi;
	/* A deadline is armed, or about to be. */
	assert(deadline == NEVER || (after & ARM) || ((after & TIMER) && linked_at <= deadline));
#ifndef MUT_WINDOW /* an abort between begin and defer is forgotten (C3) */
	if
	:: after & ABORT -> after = after | QUEUED
	:: else
	fi;
#endif
	asks = (after & ~word & QUEUED) != 0;
	claim = true
}

/* reset, begin, start: the CAS, on a word that was found startable. To OPEN, BUSY, DEFERRED, or refused. */
inline start_swap(home, to)
{
	assert(STATE(word) != DONE || calling_back); /* only the callback's handle may leave DONE */
	after = word;
	told = false;
	asks = false;
	if
	:: to != OPEN && (word & STOPPED) ->
		ok = false;
		accepted = false;
		won = ESTOPPED;
		if
#ifdef MUT_REFUSAL_BY_WORD /* the word's result decides, which reset has cleared: refusals for ever (C5) */
		:: home && calling_back && REASON(word) == ESTOPPED -> refused(IDLE, ESTOPPED)
#else
		:: home && running != 0 && running_result == ESTOPPED -> refused(IDLE, ESTOPPED)
#endif
		:: else -> refused(DONE, ESTOPPED); told = true
		fi
	:: else ->
		ok = true;
		accepted = true;
		begun(to);
		if
		:: to == DEFERRED -> go_deferred(home)
		:: else
		fi
	fi;
	mutate_leaving();
	canceled = false;
	if
	:: told || (ok && to != OPEN) -> assert(!owed); owed = true
	:: else
	fi;
	swap();
	if
	:: told && home -> list(DONE_NODE, done_at)
	:: else
	fi
}

/* At home the callback cannot end meanwhile. */
inline start_home(to)
{
	atomic {
		touch();
		after = word;
		assert(STARTABLE || (running == LAP_OF(word) && STARTABLE_INSIDE));
		start_swap(true, to)
	}
	post_if(asks, request_at)
}

/* Elsewhere, in DONE, `running` is read between the look at the word and the CAS. In other states a CAS that succeeds
 * has seen the word of its own step. */
inline start_outside(to)
{
	do
	:: atomic {
			touch();
			if
			:: STATE(word) != DONE ->
				after = word;
				assert(STARTABLE);
				start_swap(false, to);
				break
			:: else -> seen = word
			fi
		}
		inside = (running == LAP_OF(seen));
		atomic {
			touch();
			if
			:: word == seen ->
				after = word;
				/* Else it would be reported as misuse. */
				assert(STARTABLE || (inside && STARTABLE_INSIDE));
				start_swap(false, to);
				break
			:: else
			fi
		}
	od;
	seen = 0;
	post_if(told, done_at);
	post_if(asks, request_at)
}

/* begin has succeeded. What came since then is remembered. */
inline defer(home)
{
	atomic {
		touch();
		assert(STATE(word) == BUSY);
		after = word;
		with_state(DEFERRED);
		if
		:: (word & STOPPED) && ABORTABLE -> aborted(ESTOPPED)
		:: else
		fi;
		go_deferred(home);
		swap()
	}
	post_if(asks, request_at)
}

/* All ways to begin an operation. START: start_home or start_outside. */
#ifdef SYNC
#define STRAIGHT_FROM_RESET(home, START) \
	:: START(OPEN); finish(home, OK) \
	:: START(OPEN); START(DEFERRED)
#else
#define STRAIGHT_FROM_RESET(home, START)
#endif
#ifdef SKIP
#define SKIPPED :: ok -> finish_skipping()
#else
#define SKIPPED
#endif
#define OPERATE(home, START) \
	if \
	:: START(DEFERRED) \
	:: START(BUSY); \
		if \
		:: ok -> defer(home) \
		:: ok -> finish(home, OK) \
		SKIPPED \
		:: !ok \
		fi \
	STRAIGHT_FROM_RESET(home, START) \
	fi

/* ---- the consumer's calls */

/* Home has ended a sleep by the CAS to DONE. */
inline end_sleep(result)
{
	claim = false;
	won = result;
	deadline = NEVER;
	list(DONE_NODE, done_at)
}

/* abort, stop, free's first step: `bits` in any state, and the abort where one has an effect. */
inline mark_swap(home, bits, reason)
{
	touch();
	asks = false;
	after = word;
	if
	:: ABORTABLE ->
		after = after | bits;
		if
#ifdef MUT_HOME_ABORT_QUEUED /* the abort at home takes the request node although another has it */
		:: home && STATE(word) == DEFERRED ->
#else
		:: home && STATE(word) == DEFERRED && !(word & QUEUED) ->
#endif
			aborted_at_home(SLEEPS, reason);
			swap();
			if
			:: SLEEPS -> end_sleep(reason)
			:: else -> list(REQUEST_NODE, request_at)
			fi
		:: else ->
			aborted(reason);
			asks = (after & ~word & QUEUED) != 0;
			swap()
		fi
#ifdef MUT_LATE_ABORT /* an abort that comes too late changes the result (C2, C4) */
	:: STATE(word) == DONE -> after = after | bits; with_reason(reason); swap()
	:: !ABORTABLE && STATE(word) != DONE ->
#else
	:: else ->
#endif
		after = after | bits;
		swap()
	fi
}

inline mark(home, bits, reason)
{
	atomic { mark_swap(home, bits, reason) }
	post_if(asks, request_at)
}

inline reap()
{
	atomic {
		touch();
		assert(!(word & FREEING));
		after = word;
		if
		:: ABORTABLE -> after = after | FREEING | STOPPED | DESTROY; aborted(ESTOPPED)
#ifndef MUT_TIMER_NOT_TOLD /* a far timer keeps the slot (C6) */
		:: !ABORTABLE && !IS_BUSY && (word & TIMER) -> after = after | FREEING | STOPPED | DESTROY | QUEUED
		:: !ABORTABLE && (IS_BUSY || !(word & TIMER)) -> after = after | FREEING | STOPPED | DESTROY
#else
		:: !ABORTABLE -> after = after | FREEING | STOPPED | DESTROY
#endif
		fi;
		asks = (after & ~word & QUEUED) != 0;
		told = !asks && RELEASABLE && !(after & TIMER);
		swap();
		if
		:: told -> release()
		:: else
		fi
	}
	post_if(asks, request_at)
}

/* Until the handle is not busy, or (moment) has not been since. */
inline wait_idle(moment)
{
	do
	:: atomic {
			touch();
			after = word;
			if
			:: !IS_BUSY || (moment && seen != 0 && EPOCH(word) != EPOCH(seen)) -> after = 0; break
			:: else -> after = word | WAITERS; seen = after; swap()
			fi
		}
		atomic {
			touch();
			if
			:: LOW(word) == LOW(seen) -> asleep = true
			:: else
			fi
		}
		!asleep
	od;
	seen = 0
}

inline free()
{
	mark(false, FREEING | STOPPED, ESTOPPED);
	wait_idle(false);
	atomic {
		touch();
		asks = false;
		if
#ifdef MUT_FREE_IGNORES_QUEUED /* the slot goes while a request entry is on its way (C6) */
		:: word & TIMER ->
#else
		:: word & (QUEUED | TIMER) ->
#endif
			after = word | DESTROY | QUEUED;
			asks = !(word & QUEUED);
			swap()
		:: else -> release()
		fi
	}
	post_if(asks, request_at)
}

/* ---- home */

inline on_request()
{
	atomic {
		touch();
		request_at = NOWHERE;
		after = word & ~(QUEUED | ARM);
		if
		:: STATE(word) == DEFERRED && (word & ABORT) ->
#ifdef MUT_QUEUED_KEPT /* QUEUED is not cleared for a cancel item: the slot stays for ever (C6) */
			after = after | QUEUED;
#endif
			with_state(CANCELING);
			swap();
			list(REQUEST_NODE, request_at)
		:: else ->
			if
			:: STATE(word) == DEFERRED && (word & ARM) && deadline != NEVER &&
			    (!(word & TIMER) || deadline < linked_at) ->
				after = after | TIMER;
				linked_at = deadline
			:: else
			fi;
#ifdef MUT_ONE_KIND
			mine = (STATE(word) == DONE);
#endif
#ifdef MUT_ARM_LOST /* ARM is cleared, the timer not linked (C7) */
			after = (after & ~TIMER) | (word & TIMER);
#endif
			over = RELEASABLE;
			swap();
			assert(STATE(word) != DEFERRED || deadline == NEVER ||
			    ((word & TIMER) && linked_at <= deadline));
			if
			:: over -> linked_at = 0; over = false; release()
			:: else
			fi;
#ifdef MUT_ONE_KIND
			if
			:: mine -> list(DONE_NODE, done_at)
			:: else
			fi;
			mine = false
#endif
		fi
	}
}

/* The timer has come out of the wheel. */
inline on_expire()
{
	atomic {
		touch();
		after = word;
		if
#ifdef MUT_STALE_FIRES /* an entry that an earlier operation has left ends this one (C7) */
		:: STATE(word) == DEFERRED ->
#else
		:: STATE(word) == DEFERRED && deadline <= linked_at ->
#endif
			assert(deadline == EARLY);
			reason = TIMEDOUT;
			if
			:: word & ABORT -> reason = REASON(word)
			:: else
			fi;
			linked_at = 0;
			if
			:: SLEEPS -> finished(DONE, reason)
			:: else -> with_reason(reason); with_state(CANCELING)
			fi;
			after = after & ~TIMER;
			swap();
			if
			:: SLEEPS -> end_sleep(reason)
			:: else -> list(TIMER_NODE, timer_at)
			fi;
			reason = 0
#ifndef MUT_STALE_FIRES
		:: STATE(word) == DEFERRED && deadline == FAR -> after = 0; linked_at = FAR
#endif
		:: else ->
			linked_at = 0;
			if
			:: RELEASABLE -> after = 0; release()
			:: else -> after = word & ~TIMER; swap()
			fi
		fi
	}
}

inline call_cancel(at)
{
	atomic {
		touch();
		at = NOWHERE;
		mine = (STATE(word) == CANCELING);
		if
		:: mine ->
			assert(!canceled && !calling_back && owed);
			canceled = true;
			canceling = true;
			reason = REASON(word)
		:: else
		fi
	}
	if
	:: mine ->
		if
		:: atomic { claim -> claim = false } finish(true, reason)
#ifndef SILENT
		:: true /* it has, or will be, finished by the provider */
#else
		:: !claim
#endif
		fi;
		atomic { canceling = false; reason = 0; mine = false }
	:: else
	fi
}

inline call_back()
{
#ifdef BLIND
	if
	:: start_home(DEFERRED)
	:: start_home(OPEN); start_home(DEFERRED)
	fi
#else
	if
	:: true
	:: resub != 0 -> resub--; OPERATE(true, start_home)
#ifdef HOME_ABORT
		; mark(true, 0, CANCELED)
#endif
#ifdef HAND_OVER
	:: atomic { resub != 0 && !ended -> resub--; handed = true }
#endif
	:: atomic { !ended && !handed && !visiting -> ended = true }
		if
		:: resub != 0 -> resub--; OPERATE(true, start_home)
		:: true
		fi;
		reap()
	fi
#endif
}

#define LEFT ((word ^ delivered) & LAP)

inline deliver()
{
	atomic {
		touch();
		done_at = NOWHERE;
		delivered = word;
		assert(STATE(word) == DONE && !calling_back && !canceling && !claim);
		assert(owed && REASON(word) == won);
		assert(!(stop_returned && accepted));
		owed = false;
		calling_back = true;
		running = LAP_OF(word);
		running_result = REASON(word)
	}
	call_back();
#ifdef MUT_RUNNING_FIRST /* `running` is cleared before the word: a legal start is taken for misuse (P16) */
	running = 0;
#endif
	atomic {
		touch();
		calling_back = false;
		after = word;
		over = true;
		if
		:: !LEFT ->
			with_state(IDLE);
#ifdef MUT_LAP_KEPT /* the next DONE is like this one, while `running` still stands: misuse is taken for a start */
			after = after & ~RUNNING
#else
			after = (after ^ LAP) & ~RUNNING
#endif
		:: LEFT && STATE(word) <= BUSY -> after = after & ~RUNNING
		:: LEFT && STATE(word) > BUSY -> over = false
		fi;
#ifdef MUT_WAITERS_LOST /* WAITERS is cleared although the handle is busy again: nobody wakes them (C5, C9) */
		over = true;
		after = after & ~WAITERS;
#else
		quiet();
#endif
		wake = !IS_BUSY && (word & ~after & WAITERS);
		if
		:: over ->
#ifdef MUT_END_IGNORES_QUEUED /* the slot goes although a request entry is on its way (C6) */
			over = (after & DESTROY) && !IS_BUSY;
#else
			over = RELEASABLE;
#endif
			swap()
		:: else -> after = 0
		fi;
		delivered = 0
	}
	running = 0;
	if
	:: over -> atomic { linked_at = 0; release() }
	:: else
	fi;
	if
	:: wake -> asleep = false
	:: else
	fi
}

active proctype shard()
{
	bool told, asks, ok, wake, over, mine;
	byte reason;
	int delivered;
#ifdef HOME_ABORT
	bool aborted_here;
#endif
end:	do
	:: done_at == INBOX ->
#ifdef MUT_DELIVER_AT_ONCE /* a completion overtakes its operation's cancel item (C1, R24) */
		deliver()
#else
		atomic { touch(); done_at = NOWHERE; list(DONE_NODE, done_at) }
#endif
	:: request_at == INBOX -> on_request()
	:: ready?DONE_NODE -> deliver()
	:: ready?REQUEST_NODE -> call_cancel(request_at)
	:: ready?TIMER_NODE -> call_cancel(timer_at)
	:: !gone && (word & TIMER) && linked_at == EARLY -> on_expire()
#ifdef HOME_ABORT
	:: atomic { /* in the callback of another handle */
			!aborted_here && !ended -> aborted_here = true;
			mark_swap(true, 0, CANCELED)
		}
		post_if(asks, request_at)
#endif
	od
}

/* ---- the users */

#ifndef SILENT
active proctype provider()
{
	bool told;
end:	do
	:: atomic { claim -> claim = false }
		finish(false, OK)
	:: gone -> break
	od
}
#endif

#if ABORTERS > 0
active [ABORTERS] proctype aborter()
{
	bool asks;
	if
	:: atomic { !ended -> mark_swap(false, 0, CANCELED) }
		if
#ifdef FREEZE
		:: atomic { asks && !frozen -> frozen = true }
#endif
		:: post_if(asks, request_at)
		fi
	:: true
	fi
}
#endif

#ifdef HAND_OVER
active proctype other()
{
	bool told, asks, ok, wake, inside;
	int seen;
end:	do
	:: handed ->
		OPERATE(false, start_outside)
		handed = false
	:: gone -> break
	od
}
#endif

#ifdef MISUSER
/* Finished and not delivered: a start is misuse, and must be seen to be. */
active proctype misuser()
{
	bool inside;
	int seen;
end:	do
	:: atomic { owed && STATE(word) == DONE -> seen = word }
		inside = (running == LAP_OF(seen));
		atomic {
			assert(!(owed && word == seen && inside));
			seen = 0;
			break
		}
	:: gone -> break
	od
}
#endif

active proctype consumer()
{
	bool told, asks, ok, wake, inside;
	int seen;
	OPERATE(false, start_outside)
	if
	:: atomic { !ended -> visiting = true } /* nobody gives the handle up while another is inside a call */
		mark(false, STOPPED, ESTOPPED);
		wait_idle(true);
		atomic { stop_returned = true; visiting = false; assert(!owed || !accepted) }
	:: true
	fi;
	if
	:: atomic { !ended && !handed -> ended = true }
#ifndef HAND_OVER
		if
		:: stop_returned -> start_outside(DEFERRED); assert(!ok)
		:: true
		fi;
#endif
		if
		:: free()
		:: reap()
		fi
	:: ended /* the callback has reaped it */
	fi;
#ifdef FREEZE
end:
#endif
	gone
}

ltl released { <> gone }
ltl stops { <> (stop_returned || gone) }
ltl aborts { [] ((word & ABORT) -> <> !(word & ABORT)) }
ltl delivers { [] (owed -> <> !owed) }

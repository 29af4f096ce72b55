/* SPDX-License-Identifier: MIT
 *
 * move.pml: an aio whose home moves between two shards.
 *
 * What it is: operations that are started by a thread outside, or in the callback, for a stream of one shard or the
 * other; a finisher, two aborts, and the lazy timer that keeps an aio where it is linked. What it is not: stop, free
 * and waiters (life.pml), the inbox (ring.pml).
 *
 * Grain: as life.pml; the load and the store of `home` are steps of their own, beside the CAS, for that is where the
 * faults are.
 *
 * What is checked: entries reach the shard that is the home when it takes them; only the home's shard links, visits,
 * cancels and delivers; the timer is linked on one shard at most, and there when TIMER says so; two callbacks never
 * overlap, nor one and its operation's cancel function (C1); every run ends with everything delivered.
 *
 *   OPS=n  operations, callback's included
 *
 * tests/model/runs: what scripts/model runs, with states. Mutants: flags MUT_..., at the place of the fault.
 */
#include "calls.pml"

#ifndef OPS
#define OPS 3
#endif

int word;
byte home;                 /* a shard's number */
byte linked;               /* 0: not linked, else 1 + the shard in whose wheel */
byte running[2];
#define LAP_OF(w) (1 + (((w) & LAP) != 0))
bool done_in[2], request_in[2];    /* inboxes */
bool cancel_in[2], expired_in[2];  /* cancel items on the ready queue: on the request node, on the timer node */
bool done_ready[2];

bool claim, owed, deadlined, canceling;
byte calling_back;         /* 0, or 1 + the shard */
byte ops = OPS;
bool aborts_over, quit;

inline swap()
{
	assert(ALLOWED(STATE(word), STATE(after)));
	word = after;
	after = 0
}

inline post_request()
{
#ifndef MUT_HOME_EARLY
	at = home;
#endif
	atomic {
		assert(!request_in[0] && !request_in[1] && !cancel_in[0] && !cancel_in[1]);
		request_in[at] = true
	}
}

#ifdef MUT_MOVE_TIMER /* moves although the old home's wheel holds it */
#define MAY_MOVE(w) (!((w) & (QUEUED | RUNNING)) && STATE(w) != DONE)
#else
#ifdef MUT_MOVE_QUEUED /* moves although an entry is on its way to the old home */
#define MAY_MOVE(w) (!((w) & (TIMER | RUNNING)) && STATE(w) != DONE)
#else
#ifdef MUT_MOVE_DONE /* moves although the old home has its callback on the stack */
#define MAY_MOVE(w) (!((w) & (TIMER | QUEUED | RUNNING)))
#else
#define MAY_MOVE(w) (!((w) & (TIMER | QUEUED | RUNNING)) && STATE(w) != DONE)
#endif
#endif
#endif

/* from: 0, 1: on that shard's thread; 2: outside. to: the shard that serves the operation. */
inline start(from, to)
{
	/* What a CAS that succeeds has seen: nobody else starts, and home only takes flags away. */
	atomic { seen = word; was = home }
#ifndef MUT_MOVE_AFTER
	if
	:: MAY_MOVE(seen) -> home = to
	:: else
	fi;
#endif
	do
	:: atomic {
			if
			:: word == seen ->
				after = word;
				assert(STARTABLE || (running[home] == LAP_OF(word) && STARTABLE_INSIDE));
				begun(DEFERRED);
				if
				:: deadlined = true
				:: deadlined = false
				fi;
				if
				:: deadlined && !(word & TIMER) ->
					if
					:: from == home -> after = after | TIMER; assert(linked == 0); linked = from + 1
					:: else -> after = after | ARM | QUEUED
					fi
				:: else
				fi;
				asks = (after & ~word & QUEUED) != 0;
				assert(!owed);
				owed = true;
				claim = true;
				swap();
				break
			:: else -> /* as go_deferred: the word is new, and home is looked at again */
				seen = word
			fi
		}
#ifndef MUT_MOVE_AFTER
		if
		:: MAY_MOVE(seen) -> home = to
		:: else
		fi
#endif
	od;
#ifdef MUT_MOVE_AFTER /* home is stored behind the CAS: the operation's entries go to the old one */
	if
	:: MAY_MOVE(seen) -> home = to
	:: else
	fi;
#endif
	if
	:: asks -> post_request()
	:: else
	fi;
	atomic { seen = 0; was = 0; asks = false }
}

inline finish(from)
{
	at = home; /* the operation is ours */
	atomic {
		after = word;
		assert(FINISHABLE);
		finished(DONE, OK);
		deadlined = false;
		swap()
	}
	if
	:: from == at -> done_ready[at] = true
	:: else -> atomic { assert(!done_in[0] && !done_in[1]); done_in[at] = true }
	fi;
	at = 0
}

proctype shard(byte me)
{
	byte at, to, was;
	int seen, delivered;
	bool asks, mine;
end:	do
	:: atomic { done_in[me] -> done_in[me] = false; done_ready[me] = true }
	:: request_in[me] ->
		atomic {
			request_in[me] = false;
			assert(home == me);
			after = word & ~(QUEUED | ARM);
			if
			:: STATE(word) == DEFERRED && (word & ABORT) ->
				with_state(CANCELING);
				swap();
				cancel_in[me] = true
			:: STATE(word) == DEFERRED && !(word & ABORT) && (word & ARM) && deadlined && !(word & TIMER) ->
				after = after | TIMER;
				assert(linked == 0);
				linked = me + 1;
				swap()
			:: else -> swap()
			fi
		}
	:: linked == me + 1 -> /* comes due */
		atomic {
			assert(home == me && (word & TIMER));
			linked = 0;
			after = word & ~TIMER;
			if
			:: STATE(word) == DEFERRED && deadlined -> with_state(CANCELING); expired_in[me] = true
			:: else
			fi;
			swap()
		}
	:: cancel_in[me] || expired_in[me] -> /* before a completion: it was listed first */
		atomic {
			assert(!cancel_in[me] || !expired_in[me]);
			cancel_in[me] = false;
			expired_in[me] = false;
			mine = (STATE(word) == CANCELING);
			canceling = mine;
			assert(!mine || (home == me && calling_back == 0));
			if
			:: mine && claim -> claim = false
			:: else -> mine = false
			fi
		}
		if
		:: mine -> finish(me)
		:: else
		fi;
		canceling = false
	:: done_ready[me] && !cancel_in[me] && !expired_in[me] ->
		atomic {
			done_ready[me] = false;
			assert(home == me && STATE(word) == DONE && owed && !canceling && !claim);
			assert(calling_back == 0);
			owed = false;
			calling_back = me + 1;
			delivered = word;
			running[me] = LAP_OF(word)
		}
		if
		:: ops != 0 -> ops--;
			if
			:: to = 0
			:: to = 1
			fi;
			start(me, to);
			to = 0
		:: true
		fi;
		atomic {
			calling_back = 0;
			after = word;
			if
			:: !((word ^ delivered) & LAP) -> with_state(IDLE); after = (after ^ LAP) & ~RUNNING; swap()
			:: else -> assert(STATE(word) >= DEFERRED); after = 0
			fi;
			delivered = 0
		}
		running[me] = 0
	od
}

active proctype finisher()
{
	byte at;
end:	do
	:: atomic { claim -> claim = false }
		finish(2)
	:: quit -> break
	od
}

active proctype aborter()
{
	byte at, n = 2;
	bool asks;
	do
	:: n != 0 -> n--;
#ifdef MUT_HOME_EARLY /* the aborter reads home before its CAS */
		at = home;
#endif
		atomic {
			after = word;
			asks = false;
			if
			:: ABORTABLE -> aborted(CANCELED); asks = (after & ~word & QUEUED) != 0; swap()
			:: else -> after = 0
			fi
		}
		if
		:: asks -> post_request(); at = 0
		:: else
		fi
	:: break
	od;
	aborts_over = true
}

active proctype consumer()
{
	byte at, to, was;
	int seen;
	bool asks;
	run shard(0);
	run shard(1);
	do
	:: ops != 0 -> ops--;
		if
		:: to = 0
		:: to = 1
		fi;
		start(2, to);
		to = 0;
		!owed && STATE(word) == IDLE /* nng_aio_wait */
	:: break
	od;
	!owed && STATE(word) == IDLE && aborts_over && !(word & QUEUED) && linked == 0;
	assert(!(word & TIMER) && !done_in[0] && !done_in[1] && !request_in[0] && !request_in[1]);
	quit = true
}

ltl ends { <> quit }

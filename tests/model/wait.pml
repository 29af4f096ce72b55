/* SPDX-License-Identifier: MIT
 *
 * wait.pml: threads that wait for a handle which others start again and again.
 *
 * What it is: WAITERS and EPOCH of the state word, the futex's compare and wake, two waiters, home's end of the
 * callback, and a thread that starts the handle whenever it may, for ever (RESTARTS: so often), at times with a
 * callback skipped, so that not only home makes the word not busy. What it is not: stop, free (life.pml).
 *
 * Grain: as life.pml. The epoch never comes round here: instead of counting it, the model keeps for each waiter whether
 * it has moved since he slept (in the engine 2^16 idle moments would have to pass while one waiter returns from the
 * kernel).
 *
 * What is checked: a waiter returns only if the handle was not busy at some moment of his call (C9); with RESTARTS
 * every run ends, so no wake is lost (invalid end states); without, both waiters return although the handle is
 * hardly ever idle (returns, under weak fairness).
 *
 * tests/model/runs: what scripts/model runs, with states. Mutants: flags MUT_..., at the place of the fault.
 */
#include "calls.pml"

#ifdef MUT_NO_EPOCH
#define NO_EPOCH true
#else
#define NO_EPOCH false
#endif

int word;
byte running;
#define LAP_OF(w) (1 + (((w) & LAP) != 0))

bool posted, calling_back; /* the completion entry is on its way; the callback is on the stack */
bool asleep[2], moved[2], was_idle[2], returned[2];

inline swap()
{
	assert(ALLOWED(STATE(word), STATE(after)));
	if
	:: EPOCH(after) != EPOCH(word) -> moved[0] = true; moved[1] = true; after = after & ~EPOCH_MASK
	:: else
	fi;
	if
	:: !IS_BUSY -> was_idle[0] = true; was_idle[1] = true
	:: else
	fi;
	word = after;
	after = 0
}

inline wake_all()
{
#ifdef MUT_WAKE_ONE /* WAITERS is cleared for all, one is woken */
	if
	:: asleep[0] -> asleep[0] = false
	:: else -> asleep[1] = false
	fi
#else
	d_step { asleep[0] = false; asleep[1] = false }
#endif
}

/* The RMW that may make the word not busy; its author wakes. */
inline swap_quiet()
{
#ifdef MUT_WAITERS_LOST /* WAITERS is cleared although the word is busy still */
	wake = !IS_BUSY && (word & WAITERS);
	after = after & ~WAITERS;
#else
#ifdef MUT_NO_QUIET /* WAITERS stays, and nobody is woken */
	wake = false;
#else
	quiet();
	wake = (word & ~after & WAITERS) != 0;
#endif
#endif
	swap()
}

active proctype home()
{
	bool wake;
	int delivered;
end:	do
	:: posted ->
		atomic { posted = false; delivered = word; calling_back = true; running = LAP_OF(word) }
#ifdef MUT_WAKE_FIRST /* the wake comes before the word */
		wake_all();
#endif
		atomic {
			calling_back = false;
			after = word;
			if
			:: !((word ^ delivered) & LAP) ->
				with_state(IDLE);
				after = (after ^ LAP) & ~RUNNING;
				swap_quiet()
			:: ((word ^ delivered) & LAP) && STATE(word) <= BUSY -> after = after & ~RUNNING; swap_quiet()
			:: else ->
				wake = false;
#ifdef MUT_WAITERS_LOST
				swap_quiet();
#endif
				after = 0
			fi;
			delivered = 0
		}
		running = 0;
#ifndef MUT_WAKE_FIRST
		if
		:: wake -> wake_all()
		:: else
		fi
#endif
	od
}

/* Starts an operation, which ends at once: with a callback or, under skip_callback, without. */
active proctype starter()
{
	bool wake;
#ifdef RESTARTS
/* During the callback too, so the handle may stay busy from one operation to the next. */
#define MAY_START (!posted && (STATE(word) != DONE || running == LAP_OF(word)))
	byte left = RESTARTS;
end:	do
	:: left != 0 -> left--;
#else
/* Behind an idle moment, however short. */
#define MAY_START (!posted && !(word & RUNNING) && STATE(word) == IDLE)
	do
	::
#endif
		atomic { MAY_START -> after = word; begun(BUSY); swap() }
		if
		:: atomic { after = word; finished(DONE, OK); swap() } posted = true
		:: atomic { after = word; finished(IDLE, OK); swap_quiet() }
			if
			:: wake -> wake_all()
			:: else
			fi
		fi
#ifdef RESTARTS
	:: else -> break
#endif
	od
}

active [2] proctype waiter()
{
	int seen;
	byte me = _pid - 2;
	atomic {
		was_idle[me] = false;
		after = word;
		if
		:: !IS_BUSY -> was_idle[me] = true
		:: else
		fi;
		after = 0
	}
	do
	:: atomic { /* the load behind a sleep is what the next sleep is based on: no moment between the two is missed */
			after = word;
			if
#ifndef MUT_NO_EPOCH /* only a look at an idle word ends a wait */
			:: seen != 0 && moved[me] -> after = 0; break
#endif
			:: !(seen != 0 && moved[me]) || NO_EPOCH ->
				if
				:: !IS_BUSY -> after = 0; break
				:: else -> after = word | WAITERS
				fi;
				if
				:: seen == 0 -> moved[me] = false
				:: else
				fi;
				seen = after;
				swap()
			fi
		}
		atomic {
			if
			:: LOW(word) == LOW(seen) && (!moved[me] || NO_EPOCH) -> asleep[me] = true
			:: else
			fi
		}
		!asleep[me]
	od;
	assert(was_idle[me]);
	atomic { returned[me] = true; was_idle[me] = false; moved[me] = false; seen = 0 }
}

ltl returns { <> (returned[0] && returned[1]) }

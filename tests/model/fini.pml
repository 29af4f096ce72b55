/* SPDX-License-Identifier: MIT
 *
 * fini.pml: nng_fini (engine/aio/engine.c) beside everything that may still post a completion.
 *
 * What it is: two shards; three handles: one that a thread outside starts, finishes straight from reset, and starts
 * again; two on different shards whose callbacks start each other; a provider; an aborter; a thread that allocates a
 * handle meanwhile and starts it. The fleet's state: RUNNING, DRAINING, SETTLING, CLOSING, NONE. What it is not: timers
 * (all are visited at step 3), lent shards, visitors, a second engine.
 *
 * Grain: those who may post load the word, then the fleet's state, then do their CAS: three steps. A walk is a step per
 * slot. The number of completions after which chains are cut off (CHAIN_LEAST ...) is any number here: CLOSING may come
 * at any moment after SETTLING.
 *
 * What is checked: nothing is ever posted to a shard whose loop has ended; what survives is STOPPED, IDLE and without
 * holds; a slot that was given out during nng_fini is stopped too; a callback of one that is accepted is never lost;
 * every run ends (invalid end states; ends, under weak fairness, with STARTS unlimited).
 *
 *   STARTS=n  what the outside thread starts (0: for ever)
 *   NO_OUTSIDE, NO_CHAIN, NO_LATECOMER, NO_ABORTER  without the first handle, the two, the last, the aborter
 *
 * tests/model/runs: what scripts/model runs, with states. Mutants: flags MUT_..., at the place of the fault.
 */
#include "calls.pml"

#define RUNS 0
#define DRAINS 1
#define SETTLES 2
#define CLOSES 3
#define NONE 4
byte fleet = RUNS;

#define HANDLES 4
#define OUTSIDE 0          /* home 0; the outside thread's */
#define PING 1             /* home 0; its callback starts PONG */
#define PONG 2             /* home 1; its callback starts PING */
#define LATECOMER 3        /* home 1; allocated meanwhile */
#define HOME(h) (((h) == PONG || (h) == LATECOMER) -> 1 : 0)

int word[HANDLES];
bool given[HANDLES];       /* the slot is in the arena's walk */
bool done_in[HANDLES], request_in[HANDLES];
bool claim[HANDLES], owed[HANDLES];
bool shard_ended[2], end_phase;
bool finished_fini;
bool set_up;
bool used;                 /* the latecomer was handed out */
byte census;               /* held slots that a walk has found */
bool calm;

#ifndef STARTS
#define STARTS 2
#endif
byte running[2];           /* 0, or which DONE's callback is on the shard's stack */
#define RUN_OF(h, w) (1 + 2 * (h) + (((w) & LAP) != 0))
#define HELD(w) (STATE(w) >= BUSY || ((w) & (RUNNING | QUEUED)))

inline swap(h)
{
	assert(ALLOWED(STATE(word[h]), STATE(after)));
	word[h] = after;
	after = 0
}

inline post_done(h)
{
	atomic { assert(!shard_ended[HOME(h)] && !done_in[h]); done_in[h] = true }
}

inline post_request(h)
{
	atomic { assert(!shard_ended[HOME(h)] && !request_in[h]); request_in[h] = true }
}

#define DELIVERED (fleet == RUNS || fleet == DRAINS || (fleet == SETTLES && on_shard))

/* start (to DEFERRED) and reset (to OPEN). on_shard: a callback's. */
inline start(h, to)
{
	do
	::
#ifdef MUT_STATE_FIRST /* the state is loaded before the word: the change of every word does not stop the CAS */
		runs = DELIVERED;
		seen = word[h];
#else
		seen = word[h];
		inside = (running[HOME(h)] == RUN_OF(h, seen));
		runs = DELIVERED;
#endif
		atomic {
			if
			:: word[h] == seen ->
				after = seen;
				assert(STARTABLE || (inside && STARTABLE_INSIDE));
				told = false;
				if
				:: to == OPEN -> begun(OPEN)
				:: to == DEFERRED && (seen & STOPPED) && runs ->
					refused(DONE, ESTOPPED);
					told = true;
					assert(!owed[h]);
					owed[h] = true
				:: to == DEFERRED && (seen & STOPPED) && !runs -> refused(IDLE, ESTOPPED)
				:: to == DEFERRED && !(seen & STOPPED) ->
					begun(DEFERRED);
					assert(fleet < CLOSES && !owed[h]);
					owed[h] = true;
					claim[h] = true
				fi;
				swap(h);
				seen = 0;
				break
			:: else
			fi
		}
	od;
	if
	:: told -> post_done(h)
	:: else
	fi;
	told = false
}

/* Straight from reset. */
inline finish_open(h)
{
	do
	:: seen = word[h];
		runs = DELIVERED;
		atomic {
			if
			:: word[h] == seen ->
				after = seen;
				assert(FINISHABLE);
				if
				:: runs -> finished(DONE, OK); assert(!owed[h]); owed[h] = true
				:: else -> finished(IDLE, ESTOPPED)
				fi;
				swap(h);
				seen = 0;
				break
			:: else
			fi
		}
	od;
	if
	:: runs -> post_done(h)
	:: else
	fi
}

inline finish(h, result)
{
	atomic { after = word[h]; assert(FINISHABLE); finished(DONE, result); swap(h) }
	post_done(h)
}

/* Stop, or abort. */
inline mark(h, bits, reason)
{
	atomic {
		after = word[h] | bits;
		asks = false;
		if
		:: ABORTABLE -> aborted(reason); asks = (after & ~word[h] & QUEUED) != 0
		:: else
		fi;
		swap(h)
	}
	if
	:: asks -> post_request(h)
	:: else
	fi;
	asks = false
}

inline deliver(h)
{
	atomic {
		done_in[h] = false;
		delivered = word[h];
		assert(STATE(delivered) == DONE && owed[h] && !claim[h]);
		owed[h] = false;
		running[me] = RUN_OF(h, delivered)
	}
#ifndef NO_CHAIN
	if
	:: h == PING -> start(PONG, DEFERRED)
	:: h == PONG -> start(PING, DEFERRED)
	:: else
	fi;
#endif
	atomic {
		after = word[h];
		if
		:: !((after ^ delivered) & LAP) -> with_state(IDLE); after = (after ^ LAP) & ~RUNNING; quiet(); swap(h)
		:: ((after ^ delivered) & LAP) && STATE(after) <= BUSY -> after = after & ~RUNNING; quiet(); swap(h)
		:: else -> after = 0
		fi;
		delivered = 0
	}
	running[me] = 0
}

inline on_request(h)
{
	atomic {
		request_in[h] = false;
		after = word[h] & ~(QUEUED | ARM);
		mine = false;
		if
		:: STATE(after) == DEFERRED && (after & ABORT) ->
			with_state(CANCELING);
			if
			:: claim[h] -> claim[h] = false; mine = true
			:: true
			fi
		:: else
		fi;
		swap(h)
	}
	if
	:: mine -> mine = false; finish(h, CANCELED)
	:: else
	fi
}

proctype shard(byte me)
{
	int seen, delivered;
	bool runs, inside, told, mine, on_shard = true;
	byte h;
end:	do
	:: me == 0 && done_in[OUTSIDE] -> deliver(OUTSIDE)
	:: me == 0 && request_in[OUTSIDE] -> on_request(OUTSIDE)
#ifndef NO_CHAIN
	:: me == 0 && done_in[PING] -> deliver(PING)
	:: me == 0 && request_in[PING] -> on_request(PING)
	:: me == 1 && done_in[PONG] -> deliver(PONG)
	:: me == 1 && request_in[PONG] -> on_request(PONG)
#endif
#ifndef NO_LATECOMER
	:: me == 1 && done_in[LATECOMER] -> deliver(LATECOMER)
	:: me == 1 && request_in[LATECOMER] -> on_request(LATECOMER)
#endif
	:: atomic { end_phase -> shard_ended[me] = true }
		break
	od
}

active proctype provider()
{
end:	do
	:: atomic { claim[OUTSIDE] -> claim[OUTSIDE] = false }
		finish(OUTSIDE, OK)
#ifndef NO_CHAIN
	:: atomic { claim[PING] -> claim[PING] = false }
		finish(PING, OK)
	:: atomic { claim[PONG] -> claim[PONG] = false }
		finish(PONG, OK)
#endif
#ifndef NO_LATECOMER
	:: atomic { claim[LATECOMER] -> claim[LATECOMER] = false }
		finish(LATECOMER, OK)
#endif
	od
}

#ifndef NO_OUTSIDE
active proctype outside()
{
	int seen;
	bool runs, inside, told, on_shard;
	byte n = STARTS;
end:	do
	:: STARTS == 0 || n != 0 ->
		if
		:: STARTS != 0 -> n--
		:: else
		fi;
		if
		:: start(OUTSIDE, DEFERRED)
		:: start(OUTSIDE, OPEN); finish_open(OUTSIDE)
		fi;
		!owed[OUTSIDE]
	:: else -> break
	od
}

#endif

#ifndef NO_ABORTER
active proctype aborter()
{
	bool asks;
	mark(OUTSIDE, 0, CANCELED)
}
#endif

#ifndef NO_LATECOMER
/* nng_aio_alloc, and a first operation. The slot shows what its last life left: FREEING. */
active proctype allocator()
{
	int seen;
	bool runs, inside, told, on_shard;
	set_up;
	given[LATECOMER] = true;
	word[LATECOMER] = IDLE;
	if
#ifdef MUT_ALLOC_BLIND /* the state is not looked at again: a handle that no walk has stopped */
	:: true ->
#else
	:: fleet == RUNS ->
#endif
		used = true;
		start(LATECOMER, DEFERRED)
	:: fleet != RUNS ->
		atomic { given[LATECOMER] = false; word[LATECOMER] = FREEING } /* released */
	fi
}
#endif

inline walk_count()
{
	census = 0;
	under_way = false;
	h = 0;
	do
	:: h < HANDLES ->
		atomic {
			if
			:: given[h] && HELD(word[h]) ->
				census++;
				under_way = under_way || (STATE(word[h]) >= BUSY && STATE(word[h]) <= CANCELING)
			:: else
			fi;
			h++
		}
	:: else -> break
	od;
	h = 0
}

active proctype fini()
{
	byte h;
	bool asks, under_way;
	atomic {
#ifndef NO_OUTSIDE
		given[OUTSIDE] = true;
#endif
		word[LATECOMER] = FREEING;
#ifndef NO_CHAIN
		given[PING] = true;
		given[PONG] = true;
		/* The chain is on its way: PING is about to be delivered. */
		word[PING] = DONE;
		owed[PING] = true;
		done_in[PING] = true;
#endif
		run shard(0);
		run shard(1);
		set_up = true
	}
	fleet = DRAINS;
	do
	:: h < HANDLES ->
		if
		:: given[h] && !(word[h] & FREEING) -> mark(h, STOPPED, ESTOPPED)
		:: else
		fi;
		h++
	:: else -> break
	od;
	h = 0;
	/* settle */
	do
	:: walk_count();
		if
#ifndef MUT_NO_SETTLING /* who starts a stopped handle for ever keeps nng_fini from its end */
		:: !under_way && fleet == DRAINS -> fleet = SETTLES
#endif
		:: else
		fi;
		if
		:: census == 0 && calm -> break
		:: census == 0 && !calm -> calm = true
		:: census != 0 -> calm = false
		fi;
		/* Enough completions: chains of callbacks are cut off. */
#ifndef MUT_NO_CUT /* two handles that start each other keep nng_fini from its end */
		if
		:: fleet == SETTLES -> break
#ifndef CUT_AT_ONCE
		:: true
#else
		:: else
#endif
		fi
#endif
	od;
	atomic { calm = false; under_way = false }
	fleet = CLOSES;
#ifndef MUT_NO_CHANGE /* words stay as they are: a CAS that was prepared before still succeeds */
	do
	:: census = 0;
		h = 0;
		do
		:: h < HANDLES ->
			atomic {
				if
#ifdef MUT_QUEUED_IS_NOTHING /* requesters between their CAS and their post are not waited for */
				:: given[h] && (STATE(word[h]) >= BUSY || (word[h] & RUNNING)) -> census++
#else
				:: given[h] && HELD(word[h]) -> census++
#endif
				:: given[h] && !HELD(word[h]) ->
					word[h] = (word[h] & ~EPOCH_MASK) | ((word[h] + EPOCH_ONE) & EPOCH_MASK)
				:: else
				fi;
				h++
			}
		:: else -> break
		od;
		h = 0;
		if
		:: census == 0 -> break
		:: else
		fi;
		do
		:: walk_count();
			if
			:: census == 0 -> break
			:: else
			fi
		od
	od;
#else
	do
	:: walk_count();
		if
		:: census == 0 -> break
		:: else
		fi
	od;
#endif
	census = 0;
	under_way = false;
	end_phase = true;
	shard_ended[0] && shard_ended[1];
	fleet = NONE;
	do
	:: h < HANDLES ->
		assert(!given[h] || (h == LATECOMER && !used) || (word[h] & STOPPED));
		assert(!given[h] || (!HELD(word[h]) && !owed[h] && !done_in[h] && !request_in[h]));
		h++
	:: else -> break
	od;
	finished_fini = true
}

ltl ends { <> finished_fini }

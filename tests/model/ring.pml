/* SPDX-License-Identifier: MIT
 *
 * ring.pml: the inbox (engine/shard/inbox.c) and the sleep pair: two slots, the overflow stack, the park word.
 *
 * What it is: PRODUCERS threads that post one entry each (producer 0: POSTS, the next one after the first was taken, as
 * a node does), and an owner that drains, and sleeps when there is nothing. What it is not: the entries' meaning
 * (life.pml).
 *
 * Grain: every load, store and RMW on a shared word is a step. Memory is sequentially consistent but for one thing that
 * matters on x86 too: with MUT_NO_FENCE a producer's publish and its load of `parked` may change places. (Weaker
 * orders: tests/explore.) The owner's scan of a window is a step per slot. The order within the stack is not modelled.
 *
 * What is checked: a slot is EMPTY when its producer fills it (P8); no entry is taken twice; pw_inbox_check's
 * invariants after each drain; every run ends with the owner asleep and all entries taken (invalid end states):
 * so a lost wake is a deadlock. With FREEZE producer 0 may stop for ever at any step: the others' entries are
 * taken all the same (C10).
 *
 * tests/model/runs: what scripts/model runs, with states. Mutants: flags MUT_..., at the place of the fault.
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#ifndef POSTS
#define POSTS 1
#endif

#define SLOTS 2
#define EMPTY 0
#define TAKEN 255
byte slot[SLOTS], head, tail;
bool stack[PRODUCERS];
byte parked;                /* a generation, modulo 16: odd, the owner sleeps or is about to */
bool bell;                  /* the eventfd */
byte taken[PRODUCERS];
bool frozen, over;

#ifdef FREEZE
#define MAY_FREEZE if :: true :: me == 0 -> frozen = true; goto stuck fi
#else
#define MAY_FREEZE skip
#endif

inline publish()
{
	atomic { assert(slot[t % SLOTS] == EMPTY); slot[t % SLOTS] = me + 1 }
}

inline push()
{
	atomic { assert(!stack[me]); stack[me] = true }
}

inline look()
{
	seen = parked
}

active [PRODUCERS] proctype producer()
{
	byte me = _pid, t, h, seen, n;
	bool no_room;
	do
	:: n < (me == 0 -> POSTS : 1) ->
		n++;
		(taken[me] == n - 1);
		do
		:: t = tail;
			h = head;
			if
			:: t < h -> skip /* look again */
			:: t >= h && t - h >= SLOTS -> no_room = true; break
			:: else ->
				MAY_FREEZE;
				atomic {
					if
					:: tail == t -> tail = t + 1; no_room = false; break
					:: else
					fi
				}
			fi
		od;
		MAY_FREEZE;
#ifdef MUT_NO_FENCE /* `parked` may be loaded before the entry can be seen (P10) */
		if
		:: no_room -> push(); look()
		:: !no_room -> publish(); look()
		:: !no_room -> look(); publish()
		fi;
#else
		if
		:: no_room -> push()
		:: else -> publish()
		fi;
		MAY_FREEZE;
		look();
#endif
		if
		:: seen % 2 == 1 ->
			MAY_FREEZE;
#ifdef MUT_CLAIM_FIRST /* the wake is claimed before it is made: a frozen sender owes it to the others (C10) */
			atomic {
				if
				:: parked == seen -> parked = (seen + 1) % 16
				:: else -> seen = 0
				fi
			}
			MAY_FREEZE;
			if
			:: seen != 0 -> bell = true
			:: else
			fi
#else
			bell = true;
			MAY_FREEZE;
#ifdef MUT_BLIND_CLEAR /* a plain store, late: it ends a later sleep's generation */
			parked = (seen + 1) % 16
#else
			atomic {
				if
				:: parked == seen -> parked = (seen + 1) % 16
				:: else
				fi
			}
#endif
#endif
		:: else
		fi;
		seen = 0; t = 0; h = 0; no_room = false
	:: else -> break
	od;
#ifdef FREEZE
stuck:
#endif
	skip
}

inline take(id)
{
	taken[id]++;
	any = true
}

inline drain()
{
	/* The window of this drain; what lies behind a gap is taken out of order. */
	atomic { last = tail; at = head; any = false }
	do
	:: at == last -> break
	:: else ->
		atomic {
			content = slot[at % SLOTS];
			if
			:: content != EMPTY && content != TAKEN -> slot[at % SLOTS] = TAKEN; take(content - 1)
#ifdef MUT_STOP_AT_GAP /* a gap hides what lies behind it (C10) */
			:: content == EMPTY -> at = last - 1
#endif
			:: else
			fi;
			content = 0;
			at++
		}
	od;
	do
	:: head != last && slot[head % SLOTS] == TAKEN ->
#ifdef MUT_HEAD_FIRST /* head is published before the slot is EMPTY (P8) */
		head++;
		slot[(head - 1) % SLOTS] = EMPTY
#else
		slot[head % SLOTS] = EMPTY;
		head++
#endif
	:: else -> break
	od;
	assert(head <= tail && tail - head <= SLOTS);
	atomic { /* one exchange */
		at = 0;
		do
		:: at < PRODUCERS ->
			if
			:: stack[at] -> stack[at] = false; take(at)
			:: else
			fi;
			at++
		:: else -> break
		od;
		at = 0;
		last = 0
	}
}

/* "Look again": filled slots, and the stack. */
inline ready()
{
	any = false;
	atomic { last = tail; at = head }
	do
	:: at == last -> break
	:: else ->
		atomic {
			if
			:: slot[at % SLOTS] != EMPTY && slot[at % SLOTS] != TAKEN -> any = true
#ifdef MUT_GAP_IS_READY /* a reserved slot counts: the owner turns for ever for a frozen producer */
			:: slot[at % SLOTS] == EMPTY -> any = true
#endif
			:: else
			fi;
			at++
		}
	od;
	atomic {
		at = 0;
		do
		:: at < PRODUCERS ->
			if
			:: stack[at] -> any = true
			:: else
			fi;
			at++
		:: else -> break
		od;
		at = 0;
		last = 0
	}
}

#if PRODUCERS > 2
#define OTHERS_TAKEN (taken[1] == 1 && taken[2] == 1)
#else
#define OTHERS_TAKEN (taken[1] == 1)
#endif
#define ALL_TAKEN (OTHERS_TAKEN && (frozen || taken[0] == POSTS))

active proctype owner()
{
	byte at, last, content;
	bool any;
	do
	:: drain();
		if
		:: any
		:: else ->
			parked = (parked + 1) % 16;
#ifndef MUT_NO_LOOK /* sleeps without looking again (P10) */
			ready();
#endif
			if
			:: any
			:: else ->
				if
				:: bell -> bell = false
				:: ALL_TAKEN -> break
				fi
			fi;
			parked = (parked + parked % 2) % 16
		fi
	od;
	over = true
}

ltl ends { <> over }

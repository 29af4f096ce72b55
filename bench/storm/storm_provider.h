/* SPDX-License-Identifier: MIT
 *
 * storm_provider.h: the provider of a storm: it performs no operation, it only decides who ends one. See
 * storm_provider.c for its book.
 */
#ifndef PINWHEEL_BENCH_STORM_PROVIDER_H
#define PINWHEEL_BENCH_STORM_PROVIDER_H

#include "bench/storm/storm_ledger.h"
#include "bench/storm/storm_pile.h"

/* What the cancel function does. */
enum pw_provider_manner {
	PW_PROVIDER_AT_ONCE,   /* finishes with the reason */
	PW_PROVIDER_IGNORE,    /* nothing: the operation goes on */
	PW_PROVIDER_HAND_OVER, /* another thread is to finish with the reason */
	PW_PROVIDER_NONE,      /* there is no cancel function */
};

struct pw_claim {
	_Atomic uint64_t word; /* operation << 3 | state */
	_Atomic(nng_aio *) aio;
	_Atomic uint32_t manner;
	_Atomic int32_t reason;    /* of the cancel that was handed over */
	_Atomic uint32_t pressing; /* threads that wait for this seat's operation to end */
};

/* The thread that acts: whose tally counts, its dice, and where it is. */
struct pw_provider_actor {
	_Atomic uint32_t hot; /* the seat it is at, + 1: others aim there */
	struct pw_ledger_tally *tally;
	uint64_t dice;
};

struct pw_provider {
	struct pw_ledger *ledger;
	struct pw_claim *claims;
	uint32_t count;
	struct pw_pile pile;                      /* seats that a finisher should look at */
	_Atomic bool over;                        /* cancels are no longer ignored or handed over */
	struct pw_provider_actor *(*actor)(void); /* of the calling thread */
};

/* What is asked of one operation. */
struct pw_provider_request {
	uint32_t index;
	uint64_t operation;
	nng_aio *aio;
	bool finish_begun; /* form BEGIN: finish instead of deferring */
	bool abort_begun;  /* form BEGIN: abort before deferring */
	bool unopened;     /* nobody but the cancel function ends it */
	enum pw_provider_manner manner;
	unsigned linger; /* turns of a loop in the windows that have no name */
	struct pw_ledger_spec spec;
};

/* What became of it when the call returned. */
enum pw_provider_outcome {
	PW_PROVIDER_ACCEPTED, /* asynchronous: it may have ended by now */
	PW_PROVIDER_FINISHED, /* on this thread, before it became asynchronous */
	PW_PROVIDER_REFUSED,
};

/* Only one provider at a time: cancel functions find it by themselves. False: no memory. */
bool pw_provider_open(struct pw_provider *provider, struct pw_ledger *ledger, uint32_t count,
    struct pw_provider_actor *(*actor)(void) );
void pw_provider_close(struct pw_provider *provider);

/* The provider's entry point, any form but SLEEP. The caller has the ledger's right to start. */
enum pw_provider_outcome pw_provider_submit(struct pw_provider *provider, struct pw_provider_request *request);
/* An operation that another provider performs: whether a cancel ends it. */
void pw_provider_adopt(struct pw_provider *provider, uint32_t index, enum pw_provider_manner manner);
/* Finishes the seat's operation, if there is one that nobody has claimed. */
bool pw_provider_finish(struct pw_provider *provider, uint32_t index);
/* The operation under way has a cancel function. */
bool pw_provider_cancelable(const struct pw_provider *provider, uint32_t index);
/* Around a call that waits for the seat: the operation under way, and each later one, is finished before long. */
void pw_provider_press(struct pw_provider *provider, uint32_t index);
void pw_provider_unpress(struct pw_provider *provider, uint32_t index);
bool pw_provider_pressed(const struct pw_provider *provider, uint32_t index);

/* Dice: a number below `sides`. */
static inline uint32_t
pw_provider_roll(struct pw_provider_actor *actor, uint32_t sides)
{
	/* splitmix64 */
	uint64_t z = actor->dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t) (((z ^ (z >> 31)) >> 32) * sides >> 32);
}

void pw_provider_linger(unsigned turns);

#endif

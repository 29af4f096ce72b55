/* SPDX-License-Identifier: MIT
 *
 * Law: a slot that is given out again while its last home has not yet said that the callback of its last life is over
 * is a handle like any other: a defer of an operation that another thread has finished has no effect. (C1, C6;
 * word.h: LAP; P11.)
 *
 * Method: a handle is freed as soon as it is quiet, and another one allocated, which gets the slot. Then begin and
 * defer beside a thread that finishes what was begun.
 */
#include "tests/explore/world.h"

static struct pw_handle first;
static struct pw_handle second;
static struct pw_explore_event begun;
static struct pw_explore_event told; /* the callback of what was begun */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&first, "first", NULL);
	second = (struct pw_handle){ .bare = true };
	begun = told = (struct pw_explore_event){ { 0 } };
	PW_EXPLORE_ASSERT(pw_handle_start(&first), "an idle handle refuses to start");
}

static void
count_it(void *arg)
{
	struct pw_handle *handle = arg;
	pw_explore_add(&handle->callbacks, 1);
	pw_explore_event_set(&told);
}

static void
consume(void)
{
	nng_aio *slot = first.aio;
	(void) pw_handle_finish(&first, NNG_OK);
	pw_handle_wait(&first);
	nng_aio_free(first.aio);
	PW_EXPLORE_ASSERT(nng_aio_alloc(&second.aio, count_it, &second) == NNG_OK, "no handle");
	PW_EXPLORE_ASSERT(second.aio == slot, "another slot is given out");
	PW_EXPLORE_ASSERT(nng_aio_begin(second.aio), "an idle handle refuses to begin");
	pw_explore_event_set(&begun);
	nng_aio_defer(second.aio, NULL, NULL);
	(void) pw_explore_join(2);
	uint64_t operations = 1;
	if (pw_word_state(pw_explore_learn(second.aio->word.v)) == PW_DEFERRED) { /* it found the callback begun: R13 */
		pw_explore_event_wait(&told);
		nng_aio_finish(second.aio, NNG_OK);
		operations = 2;
	}
	nng_aio_wait(second.aio);
	PW_EXPLORE_ASSERT(pw_explore_get(&second.callbacks) == operations, "C1: %lu operations, %lu callbacks",
	    (unsigned long) operations, (unsigned long) pw_explore_get(&second.callbacks));
	nng_aio_free(second.aio);
}

static void
finish_it(void)
{
	pw_explore_event_wait(&begun);
	nng_aio_finish(second.aio, NNG_OK);
}

static void
check(void)
{
	pw_handle_check(&first);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "the slot was released %u times", pw_world_released());
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_next_life = {
	.name = "next_life",
	.law = "a slot given out again while its last callback ends is a handle like any other",
	.setup = setup,
	.check = check,
	.races = true, /* begin to defer without the lock that the finisher takes: defer reads flags in vain */
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "provider", finish_it, 0 },
	},
};

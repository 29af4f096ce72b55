/* SPDX-License-Identifier: MIT
 *
 * Law: a defer that comes after its operation was finished on another thread has no effect, also when that happens in the
 * moment in which the callback before is over and its shard has not yet said so. (C1; CONTRACT.md, nng_aio_defer; word.h:
 * LAP.)
 *
 * Method: an operation is finished and its callback awaited; then begin, and defer, beside a thread that finishes what was
 * begun. A defer that finds the callback begun begins an operation of its own (R13), which must not cost that callback.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_explore_event begun;
static struct pw_explore_event second; /* the callback of what was begun has been told its result */

static void
tell(struct pw_handle *h)
{
	if (pw_explore_get(&h->callbacks) == 2) {
		pw_explore_event_set(&second);
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", tell);
	handle.bare = true; /* a defer that finds the callback begun starts the next operation, which clears the outputs */
	begun = second = (struct pw_explore_event){ { 0 } };
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&handle, NNG_OK);
	nng_aio_wait(handle.aio);
	pw_handle_enter(&handle);
	bool accepted = nng_aio_begin(handle.aio);
	pw_handle_leave(&handle, accepted);
	PW_EXPLORE_ASSERT(accepted, "an idle handle refuses to begin");
	pw_explore_event_set(&begun);
	nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	(void) pw_explore_join(2);
	if (pw_word_state(pw_handle_peek(&handle)) == PW_DEFERRED) { /* what was begun is finished: this is another */
		pw_explore_event_wait(&second);
		pw_handle_enter(&handle);
		pw_handle_leave(&handle, true);
		(void) pw_handle_finish(&handle, NNG_OK);
	}
	nng_aio_wait(handle.aio);
	nng_aio_free(handle.aio);
}

static void
finish_it(void)
{
	pw_explore_event_wait(&begun);
	(void) pw_handle_finish(&handle, NNG_OK); /* what a start in the callback makes of the result, too */
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_finish_defer = {
	.name = "finish_defer",
	.law = "a defer after the finish has no effect, however little ago the callback before ended",
	.setup = setup,
	.check = check,
	.races = true, /* begin to defer without the lock that the finisher takes: defer reads flags in vain */
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "provider", finish_it, 0 },
	},
};

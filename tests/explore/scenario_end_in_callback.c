/* SPDX-License-Identifier: MIT
 *
 * Law: stop, wait and free in the own callback return at once: stop marks, wait does nothing, free acts as reap; beside a
 * stop from outside, which returns when the callback is over, and whatever the callback has begun before. (C5, C6, C9;
 * CONTRACT.md R21, R10.)
 *
 * Method: the callback waits, stops, and starts again, which is refused; or it frees. Two threads try to finish; one of
 * them stops as well, where the handle is not freed.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t frees; /* ledger: this run's callback frees */

static void
on_callback(struct pw_handle *h)
{
	nng_aio_wait(h->aio);
	nng_aio_stop(h->aio);
	bool told = nng_aio_result(h->aio) == NNG_ESTOPPED;
	if (pw_explore_get(&frees) != 0) {
		nng_aio_free(h->aio);
	} else if (pw_explore_get(&h->callbacks) == 1) {
		PW_EXPLORE_ASSERT(!pw_handle_start(h), "C5: a stopped handle accepts a start");
		pw_explore_add(&h->refused, !told); /* R9, R10 */
	}
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", on_callback);
	frees = 0;
	PW_EXPLORE_ASSERT(pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	pw_explore_set(&frees, pw_explore_choose(2));
	pw_explore_event_set(&handle.started);
	(void) pw_handle_finish(&handle, NNG_OK);
	if (pw_explore_get(&frees) == 0) {
		pw_handle_stop(&handle);
		PW_EXPLORE_ASSERT(pw_explore_get(&handle.callbacks) >= 1, "C5: stop returned before the callback");
		(void) pw_explore_join(2);
		pw_handle_free(&handle);
	}
}

static void
finish_it(void)
{
	pw_explore_event_wait(&handle.started); /* and not before it is known what the callback does */
	(void) pw_handle_finish(&handle, NNG_ECLOSED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_end_in_callback = {
	.name = "end_in_callback",
	.law = "stop, wait and free in the own callback return at once and do what they can",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "finisher", finish_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: an operation that ends on the thread that asked for nng_aio_skip_callback, before it goes asynchronous, makes
 * *skipped true and calls nothing; any other calls the callback. Refused or finished, beside a stop, which returns.
 * (C1, C5, C9; CONTRACT.md: skip_callback, reset, R9.)
 *
 * Method: the consumer asks, and then ends the operation by reset and finish, by begin and finish, or by begin, defer
 * and finish; then once more by reset and finish without asking. The stopper stops the handle at any time.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static uint64_t skips; /* ledger: operations and refusals that called nothing */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	skips = 0;
}

enum form {
	RESET_FINISH,
	BEGIN_FINISH,
	BEGIN_DEFER_FINISH,
	FORMS
};

/* The operation is over on this thread, or (asynchronous) finished. */
static void
operate(enum form form)
{
	bool accepted = true;
	pw_handle_enter(&handle);
	if (form == RESET_FINISH) {
		nng_aio_reset(handle.aio);
	} else {
		accepted = nng_aio_begin(handle.aio);
	}
	if (accepted && form == BEGIN_DEFER_FINISH) {
		nng_aio_defer(handle.aio, pw_handle_cancel, &handle);
	}
	pw_handle_leave(&handle, accepted);
	pw_explore_add(&handle.refused, !accepted);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
consume(void)
{
	bool skipped = true;
	enum form form = (enum form) pw_explore_choose(FORMS);

	nng_aio_skip_callback(handle.aio, &skipped);
	PW_EXPLORE_ASSERT(!skipped, "the request itself says that a callback was skipped");
	operate(form);
	bool refused = pw_explore_get(&handle.refused) != 0;
	PW_EXPLORE_ASSERT(skipped == (form != BEGIN_DEFER_FINISH || refused), "skipped is %d", skipped);
	PW_EXPLORE_ASSERT(!skipped || nng_aio_result(handle.aio) == (refused ? NNG_ESTOPPED : NNG_OK),
	    "the result is %d", nng_aio_result(handle.aio));
	pw_explore_add(&skips, skipped);
	pw_handle_wait(&handle);

	skipped = false;
	operate(RESET_FINISH);
	PW_EXPLORE_ASSERT(!skipped, "a callback is skipped, and nobody asked");
	pw_handle_wait(&handle);
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_OK, "a finish straight from reset was refused");
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
}

static void
stop_it(void)
{
	nng_aio_stop(handle.aio);
}

static void
check(void)
{
	handle.callbacks += skips;
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_skip_callback = {
	.name = "skip_callback",
	.law = "a synchronous end on the thread that asked skips the callback, and only that",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "stopper", stop_it, 0 },
	},
};

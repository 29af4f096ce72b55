/* SPDX-License-Identifier: MIT
 *
 * Law: an abort that comes between begin and defer is kept: the cancel function is called right after defer, with the
 * abort's reason. Without a cancel function the operation runs on; one that is finished there keeps its own result.
 * (C3; CONTRACT.md R12; NNG #1236, #2208.)
 *
 * Method: begin, then one of defer with a cancel function, defer without, finish; the aborter aborts at any time. If
 * it began after begin had returned, nothing but the abort may end the deferred operation: a lost one is a deadlock.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static pw_a32 begun;    /* begin has returned: said and heard as programs do, an aborter that was not told may be early */
static uint64_t inside; /* ledger: the aborter was told before it aborted */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	pw_store_relaxed_32(&begun, 0);
	inside = 0;
}

enum form {
	DEFER,
	DEFER_WITHOUT,
	FINISH,
	FORMS
};

static void
consume(void)
{
	pw_handle_enter(&handle);
	PW_EXPLORE_ASSERT(nng_aio_begin(handle.aio), "an idle handle refuses to begin");
	pw_store_release_32(&begun, 1);
	enum form form = (enum form) pw_explore_choose(FORMS);
	if (form != FINISH) {
		nng_aio_defer(handle.aio, form == DEFER ? pw_handle_cancel : NULL, &handle);
	}
	pw_handle_leave(&handle, true);
	if (form == DEFER) {
		(void) pw_explore_join(2);
	}
	if (form != DEFER || pw_explore_get(&inside) == 0) {
		(void) pw_handle_finish(&handle, NNG_OK);
	}
	pw_handle_wait(&handle);
	int result = nng_aio_result(handle.aio);
	if (form == DEFER) {
		PW_EXPLORE_ASSERT(result == NNG_ECANCELED || (result == 0 && pw_explore_get(&inside) == 0),
		    "C3: the abort in the window is lost: result %d", result);
	} else {
		PW_EXPLORE_ASSERT(result == 0, "the abort has changed the result of the provider's finish: %d",
		    result);
		PW_EXPLORE_ASSERT(pw_explore_get(&handle.cancels) == 0,
		    "a cancel function was called that nobody gave");
	}
	(void) pw_explore_join(2);
	pw_handle_free(&handle);
}

static void
abort_it(void)
{
	pw_explore_set(&inside, pw_load_acquire_32(&begun));
	nng_aio_abort(handle.aio, NNG_ECANCELED);
}

static void
check(void)
{
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_begin_window = {
	.name = "begin_window",
	.law = "an abort between begin and defer is kept",
	.setup = setup,
	.check = check,
	.spurious = 1,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
	},
};

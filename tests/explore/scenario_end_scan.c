/* SPDX-License-Identifier: MIT
 *
 * Law: a cancel function that runs elsewhere than on the object's shard only marks, and the mark is found: by the shard
 * when it takes the operation, or by a scan; the operation ends with the abort's reason, and a late mark hits nothing.
 * (C3, C6; P13, P14; end.c, who may touch an operation.)
 *
 * Method: an object on one shard, a handle that is pinned to another one. The consumer submits and waits; beside it an
 * abort, which nothing else but the object's close at the end would replace.
 */
#include <string.h>

#include "tests/explore/object.h"
#include "tests/explore/world.h"

static struct pw_end *object;
static nng_aio *operation;
static uint64_t callbacks; /* ledger */
static struct pw_explore_event submitted;

static void
callback(void *arg)
{
	(void) arg;
	PW_EXPLORE_ASSERT(nng_aio_result(operation) == NNG_ECANCELED, "the result is %d", nng_aio_result(operation));
	pw_explore_add(&callbacks, 1);
}

static void
setup(void)
{
	pw_world_setup(2);
	object = pw_object_open(0);
	callbacks = 0;
	memset(&submitted, 0, sizeof(submitted));
	PW_EXPLORE_ASSERT(pinwheel_aio_alloc_on(&operation, 1, callback, NULL) == NNG_OK, "no handle");
}

static void
consume(void)
{
	bool accepted = pw_end_start(object, operation, pw_object_cancel);
	PW_EXPLORE_ASSERT(accepted, "an idle handle refuses to start");
	pw_explore_event_set(&submitted); /* it has been started, and is submitted now */
	pw_end_submit(object, operation, 1);
	nng_aio_wait(operation);
	PW_EXPLORE_ASSERT(pw_explore_get(&callbacks) == 1, "C9: wait returned before the callback");
	pw_end_free(object, "free");
	nng_aio_free(operation);
}

static void
abort_it(void)
{
	pw_explore_event_wait(&submitted);
	nng_aio_abort(operation, NNG_ECANCELED);
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(callbacks == 1, "C1: %lu callbacks", (unsigned long) callbacks);
	PW_EXPLORE_ASSERT(pw_world_released() == 1, "the slot was not released");
	pw_object_check(object);
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_end_scan = {
	.name = "end_scan",
	.law = "a cancel function elsewhere than on the object's shard marks, and the mark is found",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "object's", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
		{ "aborter", abort_it, 0 },
	},
};

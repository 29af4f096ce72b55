/* SPDX-License-Identifier: MIT
 *
 * Law: what threads submit to an object reaches its shard, whole and once, and ends by its abort or with the object's
 * close; the object is released when that is over, by whom it may. (C1, C3, C6; P13, P14; end.c, I2.)
 *
 * Method: an object on the only shard. Two threads submit an operation each, beside an abort of the first and the
 * object's stop and free. In check each has had one callback.
 */
#include "tests/explore/object.h"
#include "tests/explore/world.h"

static struct pw_end *object;
static nng_aio *operation[2];
static uint64_t callbacks[2]; /* ledger */

static void
callback(void *arg)
{
	uint64_t *count = arg;
	int result = nng_aio_result(operation[count - callbacks]);
	PW_EXPLORE_ASSERT(result == NNG_ECLOSED || (result == NNG_ECANCELED && count == callbacks),
	    "the result is %d", result);
	pw_explore_add(count, 1);
}

static void
setup(void)
{
	pw_world_setup(1);
	object = pw_object_open(0);
	for (unsigned i = 0; i < 2; i++) {
		callbacks[i] = 0;
		PW_EXPLORE_ASSERT(nng_aio_alloc(&operation[i], callback, &callbacks[i]) == NNG_OK, "no handle");
	}
}

static void
submit(void)
{
	unsigned i = pw_explore_self() - 1;
	PW_EXPLORE_ASSERT(pw_object_submit(object, operation[i]), "an idle handle refuses to start");
	if (i == 0) {
		nng_aio_abort(operation[0], NNG_ECANCELED);
	}
	nng_aio_wait(operation[i]);
	PW_EXPLORE_ASSERT(pw_explore_get(&callbacks[i]) == 1, "C9: wait returned before the callback");
}

static void
end_it(void)
{
	pw_end_stop(object, "stop");
	(void) pw_explore_join(1); /* the contract: free is the last call */
	(void) pw_explore_join(2);
	pw_end_free(object, "free");
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(callbacks[0] == 1 && callbacks[1] == 1, "C1: %lu and %lu callbacks",
	    (unsigned long) callbacks[0], (unsigned long) callbacks[1]);
	pw_object_check(object);
}

const struct pw_explore_scenario pw_scenario_end_submit = {
	.name = "end_submit",
	.law = "what threads submit to an object ends by its abort or the object's close, once",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "first", submit, 0 },
		{ "second", submit, 0 },
		{ "stopper", end_it, 0 },
	},
};

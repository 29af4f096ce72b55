/* SPDX-License-Identifier: MIT
 *
 * Law: an operation that ends by skip_callback wakes who waits for it, and he sees all of it: result, count, output,
 * and *skipped, which may be in a frame that ends with his return. (C2, C9; DESIGN.md section 2: bool first, then the
 * compare-and-swap, then wake, no touch after; P5.)
 *
 * Method: the asker begins, lets the waiter go, and finishes. The waiter returns when the operation is over.
 */
#include "tests/explore/world.h"

static struct pw_handle handle;
static struct pw_plain frame; /* its first byte is *skipped: the race check sees who touches it when */

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&handle, "aio", NULL);
	frame = (struct pw_plain){ 0 };
}

static void
operate(void)
{
	nng_aio_skip_callback(handle.aio, (bool *) (void *) &frame);
	PW_EXPLORE_ASSERT(nng_aio_begin(handle.aio), "an idle handle refuses to begin");
	pw_explore_event_set(&handle.started);
	(void) nng_aio_set_output(handle.aio, 0, &handle);
	(void) pw_aio_finish(handle.aio, NNG_ECLOSED, 7);
}

static void
wait_for_it(void)
{
	pw_explore_event_wait(&handle.started);
	nng_aio_wait(handle.aio);
	PW_EXPLORE_ASSERT(pw_plain_read(&frame) != 0, "the operation is over, and *skipped does not say so");
	PW_EXPLORE_ASSERT(nng_aio_result(handle.aio) == NNG_ECLOSED && nng_aio_count(handle.aio) == 7 &&
		nng_aio_get_output(handle.aio, 0) == &handle,
	    "C2: the waiter does not see the operation's end");
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(handle.callbacks == 0, "the callback was called");
}

const struct pw_explore_scenario pw_scenario_skip_waiter = {
	.name = "skip_waiter",
	.law = "an operation that ends by skip_callback wakes who waits, and he sees all of it",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "asker", operate, 0 },
		{ "waiter", wait_for_it, 0 },
	},
};

/* SPDX-License-Identifier: MIT
 *
 * Law: an operation's cancel item stands on the ready queue before its completion: when the callback runs nothing of
 * the operation is left there, and the slot may go. (C6; home.c, I2.)
 *
 * Method: the callback of one handle aborts the other's operation, which lists its cancel item at once, and then
 * finishes it as its provider. The other's callback reaps.
 */
#include "tests/explore/world.h"

static struct pw_handle other;
static struct pw_handle handle;

static void
abort_and_finish(struct pw_handle *h)
{
	(void) h;
	nng_aio_abort(handle.aio, NNG_ECANCELED);
	(void) pw_handle_finish(&handle, NNG_OK);
}

static void
reap_here(struct pw_handle *h)
{
	nng_aio_reap(h->aio);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&other, "other", abort_and_finish);
	pw_handle_open(&handle, "aio", reap_here);
	PW_EXPLORE_ASSERT(pw_handle_start(&other) && pw_handle_start(&handle), "an idle handle refuses to start");
}

static void
consume(void)
{
	(void) pw_handle_finish(&other, NNG_OK);
	pw_handle_wait(&other);
	pw_handle_free(&other);
}

static void
check(void)
{
	pw_handle_check(&other);
	pw_handle_check(&handle);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "a slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_item_before_end = {
	.name = "item_before_end",
	.law = "an operation's cancel item stands on the ready queue before its completion",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

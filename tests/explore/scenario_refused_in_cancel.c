/* SPDX-License-Identifier: MIT
 *
 * Law: a start that is refused in another handle's cancel function, on the home thread and after a callback that was
 * told NNG_ESTOPPED, is one completion: only in that callback it would be silent. (C5; CONTRACT.md R9, R10; P16:
 * `running` is cleared when the callback is over.)
 *
 * Method: a handle is stopped; then the cancel function of another one starts it.
 */
#include "tests/explore/world.h"

static struct pw_handle stopped;
static struct pw_handle other;

static void
start_the_stopped(nng_aio *aio, void *arg, nng_err reason)
{
	pw_handle_cancel(aio, arg, reason);
	PW_EXPLORE_ASSERT(!pw_handle_start(&stopped), "C5: a stopped handle accepts a start");
	pw_explore_add(&stopped.refused, 1);
}

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&stopped, "stopped", NULL);
	pw_handle_open(&other, "other", NULL);
	PW_EXPLORE_ASSERT(pw_handle_start(&stopped), "an idle handle refuses to start");
}

static void
consume(void)
{
	pw_handle_stop(&stopped);
	pw_handle_enter(&other);
	bool accepted = nng_aio_start(other.aio, start_the_stopped, &other);
	pw_handle_leave(&other, accepted);
	PW_EXPLORE_ASSERT(accepted, "an idle handle refuses to start");
	nng_aio_abort(other.aio, NNG_ECANCELED);
	pw_handle_wait(&other);
	pw_handle_free(&other);
	pw_handle_free(&stopped);
}

static void
check(void)
{
	pw_handle_check(&stopped);
	pw_handle_check(&other);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "a slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_refused_in_cancel = {
	.name = "refused_in_cancel",
	.law = "a start refused in another handle's cancel function is one completion",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

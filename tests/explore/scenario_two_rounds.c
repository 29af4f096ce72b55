/* SPDX-License-Identifier: MIT
 *
 * Law: what stands on the ready queue together is run in its order, each once, and carries nothing over to the next
 * time it stands there: several cancel items and completions, twice. (C1; shard.h: the ready queue.)
 *
 * Method: two handles are started, aborted or finished, and awaited; then the first is started and finished once
 * more.
 */
#include "tests/explore/world.h"

static struct pw_handle first;
static struct pw_handle second;

static void
setup(void)
{
	pw_world_setup(1);
	pw_handle_open(&first, "first", NULL);
	pw_handle_open(&second, "second", NULL);
	PW_EXPLORE_ASSERT(pw_handle_start(&first) && pw_handle_start(&second), "an idle handle refuses to start");
}

static void
end(struct pw_handle *handle, bool aborts)
{
	if (aborts) {
		nng_aio_abort(handle->aio, NNG_ECANCELED);
	} else {
		(void) pw_handle_finish(handle, NNG_OK);
	}
}

static void
consume(void)
{
	bool aborts = pw_explore_choose(2) != 0;
	end(&first, aborts);
	end(&second, aborts);
	pw_handle_wait(&first);
	pw_handle_wait(&second);
	PW_EXPLORE_ASSERT(pw_handle_start(&first), "an idle handle refuses to start");
	(void) pw_handle_finish(&first, NNG_OK);
	pw_handle_wait(&first);
	PW_EXPLORE_ASSERT(pw_explore_get(&first.cancels) == aborts,
	    "C4: an operation that nobody aborted was cancelled");
	pw_handle_free(&first);
	pw_handle_free(&second);
}

static void
check(void)
{
	pw_handle_check(&first);
	pw_handle_check(&second);
	PW_EXPLORE_ASSERT(pw_world_released() == 2, "a slot was not released");
	pw_world_check();
}

const struct pw_explore_scenario pw_scenario_two_rounds = {
	.name = "two_rounds",
	.law = "what stands on the ready queue together is run in its order, each once",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "home", pw_world_shard, PW_EXPLORE_DAEMON },
		{ "consumer", consume, 0 },
	},
};

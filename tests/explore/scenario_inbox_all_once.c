/* SPDX-License-Identifier: MIT
 *
 * Law: what is sent to an inbox is taken exactly once, whether it went through the ring or over the overflow stack,
 * and whatever gaps slower senders leave in the ring. (DESIGN.md section 3; pairs P7, P8, P9.)
 *
 * Method: three senders, one mail each, a ring of two slots; the owner drains and sleeps. In the end all sleep, and
 * every place in the ring has been given back.
 */
#include "tests/explore/explore.h"
#include "tests/explore/inbox_owner.h"

/* Fiber 0 is the owner; sender i sends mail i - 1. */
static void
send_own(void)
{
	pw_owner_send(pw_explore_self() - 1);
}

static void
check(void)
{
	for (unsigned i = 0; i < 3; i++) {
		pw_owner_check(i);
	}
	pw_inbox_check(&pw_owner.inbox);
	PW_EXPLORE_ASSERT(pw_load_relaxed_64(&pw_owner.inbox.head) == pw_load_relaxed_64(&pw_owner.inbox.tail),
	    "all was taken, and the ring is not empty");
}

const struct pw_explore_scenario pw_scenario_inbox_all_once = {
	.name = "inbox_all_once",
	.law = "what is sent is taken exactly once, through ring or overflow",
	.setup = pw_owner_setup,
	.check = check,
	.fiber = {
		{ "owner", pw_owner_run, PW_EXPLORE_DAEMON },
		{ "sender 0", send_own, 0 },
		{ "sender 1", send_own, 0 },
		{ "sender 2", send_own, 0 },
	},
};

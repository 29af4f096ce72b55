/* SPDX-License-Identifier: MIT
 *
 * Law: the owner never sleeps beside a mail that no wake follows, over several sleeps; waking twice, and a late note
 * that somebody woke, hurt no later sleep. (DESIGN.md section 3, the sleep pair; P10.)
 *
 * Method: two senders. Each sends its mail again as soon as it has been taken, so that the owner sleeps in between
 * and a sender may still be about to ring, or to say that it rang, for the sleep before.
 */
#include "tests/explore/explore.h"
#include "tests/explore/inbox_owner.h"

static void
setup(void)
{
	pw_owner_setup();
	pw_owner.tells = true;
}

static void
send_twice(void)
{
	unsigned mail = pw_explore_self() - 1;
	pw_owner_send(mail);
	pw_owner_await(mail);
	pw_owner_send(mail);
}

static void
check(void)
{
	pw_owner_check(0);
	pw_owner_check(1);
}

const struct pw_explore_scenario pw_scenario_inbox_sleep_pair = {
	.name = "inbox_sleep_pair",
	.law = "the owner never sleeps beside a mail that no wake follows",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "owner", pw_owner_run, PW_EXPLORE_DAEMON },
		{ "sender 0", send_twice, 0 },
		{ "sender 1", send_twice, 0 },
	},
};

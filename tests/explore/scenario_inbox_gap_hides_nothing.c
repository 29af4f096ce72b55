/* SPDX-License-Identifier: MIT
 *
 * Law: a sender that is suspended for ever, wherever it stands, delays nobody's mail but its own: the mails of the
 * others are taken, and the owner does not spin on the gap. (DESIGN.md section 3; C10.)
 *
 * Method: sender 0 may freeze at each of its steps; sender 1 sends three mails, one after the other, so that the ring
 * of two slots is full of the gap and one more, and the rest goes over the overflow stack.
 */
#include "tests/explore/explore.h"
#include "tests/explore/inbox_owner.h"

static void
send_0(void)
{
	pw_owner_send(0);
}

static void
send_others(void)
{
	for (unsigned i = 1; i < 4; i++) {
		pw_owner_send(i);
	}
}

static void
check(void)
{
	for (unsigned i = 1; i < 4; i++) {
		pw_owner_check(i);
	}
	if (!pw_explore_frozen(1)) {
		pw_owner_check(0);
	}
}

const struct pw_explore_scenario pw_scenario_inbox_gap_hides_nothing = {
	.name = "inbox_gap_hides_nothing",
	.law = "a sender that is suspended for ever delays its own mail only",
	.setup = pw_owner_setup,
	.check = check,
	.fiber = {
		{ "owner", pw_owner_run, PW_EXPLORE_DAEMON },
		{ "sender 0", send_0, PW_EXPLORE_FREEZES },
		{ "sender 1", send_others, 0 },
	},
};

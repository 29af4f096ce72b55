/* SPDX-License-Identifier: MIT
 *
 * Law: an owner that takes one mail at a time, and then looks whether it may sleep, takes everything, too: what was
 * popped from the overflow stack and not taken yet keeps it awake and is not popped over. (DESIGN.md section 3: a
 * popped remainder; a lent shard is polled so.)
 *
 * Method: the ring is full of the gaps of two senders that never come back, so all four mails go over the overflow
 * stack; a budget of one.
 */
#include "engine/base/clock.h"
#include "engine/shard/poller.h"
#include "tests/explore/explore.h"
#include "tests/explore/inbox_owner.h"

static void
setup(void)
{
	pw_owner_setup();
	pw_store_relaxed_64(&pw_owner.inbox.tail, PW_INBOX_SLOTS);
}

static void
take(void *context, pw_mail mail)
{
	struct pw_owner *owner = context;
	unsigned i = (unsigned) (pw_mail_node(mail) - owner->node);
	PW_EXPLORE_ASSERT(i < PW_OWNER_MAILS, "took what nobody sent");
	owner->node[i].next = ~(pw_mail) 0; /* the owner's now: nothing may still need the link */
	pw_explore_add(&owner->taken[i], 1);
}

static void
own(void)
{
	struct pw_poller poller;
	(void) pw_poller_open(&poller, PW_POLLER_AUTO, pw_owner.bell_fd);
	for (;;) {
		(void) pw_inbox_drain(&pw_owner.inbox, 1, take, &pw_owner);
		pw_inbox_check(&pw_owner.inbox);
		if (pw_inbox_park(&pw_owner.inbox)) {
			(void) pw_poller_wait(&poller, PW_NEVER_NS, 1);
			pw_inbox_unpark(&pw_owner.inbox);
		}
	}
}

/* Sender s sends mails 2s and 2s + 1. */
static void
send_two(void)
{
	unsigned first = (pw_explore_self() - 1) * 2;
	pw_owner_send(first);
	pw_owner_send(first + 1);
}

static void
check(void)
{
	for (unsigned i = 0; i < 4; i++) {
		pw_owner_check(i);
	}
	pw_inbox_check(&pw_owner.inbox);
}

const struct pw_explore_scenario pw_scenario_inbox_small_budget = {
	.name = "inbox_small_budget",
	.law = "an owner that takes one mail at a time takes everything",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "owner", own, PW_EXPLORE_DAEMON },
		{ "sender 0", send_two, 0 },
		{ "sender 1", send_two, 0 },
	},
};

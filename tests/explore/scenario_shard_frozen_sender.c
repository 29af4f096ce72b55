/* SPDX-License-Identifier: MIT
 *
 * Law: a sender that is suspended for ever inside pw_shard_post keeps no other sender's mail from running: nobody
 * relies on a wake that somebody else owes. (inbox.c, the sleep pair; C10.)
 *
 * Method: a shard runs shard.c's own loop; sender 0 may freeze at each of its steps, sender 1 posts once, and again
 * when its mail has run.
 */
#include <string.h>

#include "engine/shard/shard.h"
#include "tests/explore/world.h"

static struct pw_shard shard;
static struct pw_node node[2];
static uint64_t ran[2]; /* ledger */
static struct pw_explore_event first_ran; /* of sender 1's mail: its node is the sender's again */

static void
on_mail(struct pw_shard *home, struct pw_node *mail)
{
	pw_shard_ready(home, pw_mail_of(mail, PW_KIND_DONE));
}

static void
on_ready(struct pw_shard *home, struct pw_node *mail)
{
	(void) home;
	pw_explore_add(&ran[mail - node], 1);
	if (mail == &node[1]) {
		pw_explore_event_set(&first_ran);
	}
}

static const struct pw_shard_ops ops = {
	.on_mail[PW_KIND_DONE] = on_mail,
	.on_ready[PW_KIND_DONE] = on_ready,
};

static void
setup(void)
{
	memset(&shard, 0, sizeof(shard));
	memset(node, 0, sizeof(node));
	memset(ran, 0, sizeof(ran));
	first_ran = (struct pw_explore_event){ { 0 } };
	(void) pw_shard_init(&shard, &ops);
	pw_world_enter(&shard);
	pw_explore_name(&shard, sizeof(shard), "shard", NULL);
	pw_explore_name(&shard.inbox.parked, sizeof(pw_a64), "parked", NULL);
	pw_explore_name(&shard.inbox.tail, sizeof(pw_a64), "tail", NULL);
	pw_explore_name(&shard.inbox.head, sizeof(pw_a64), "head", NULL);
	pw_explore_name(&shard.inbox.overflow, sizeof(pw_a64), "overflow", NULL);
	pw_explore_name(&shard.inbox.slot[0], sizeof(pw_a64), "slot[0]", NULL);
	pw_explore_name(&shard.inbox.slot[1], sizeof(pw_a64), "slot[1]", NULL);
}

static void
run_shard(void)
{
	pw_world_run(&shard);
}

static void
post_once(void)
{
	pw_shard_post(&shard, pw_mail_of(&node[0], PW_KIND_DONE));
}

static void
post_twice(void)
{
	pw_shard_post(&shard, pw_mail_of(&node[1], PW_KIND_DONE));
	pw_explore_event_wait(&first_ran);
	pw_shard_post(&shard, pw_mail_of(&node[1], PW_KIND_DONE));
}

static void
check(void)
{
	PW_EXPLORE_ASSERT(ran[1] == 2, "the shard sleeps, and sender 1's mail has run %lu times",
	    (unsigned long) ran[1]);
	PW_EXPLORE_ASSERT(ran[0] == 1 || (ran[0] == 0 && pw_explore_frozen(1)),
	    "the shard sleeps, and sender 0's mail has run %lu times", (unsigned long) ran[0]);
}

const struct pw_explore_scenario pw_scenario_shard_frozen_sender = {
	.name = "shard_frozen_sender",
	.law = "a sender suspended inside post keeps no other sender's mail from running",
	.setup = setup,
	.check = check,
	.fiber = {
		{ "shard", run_shard, PW_EXPLORE_DAEMON },
		{ "sender 0", post_once, PW_EXPLORE_FREEZES },
		{ "sender 1", post_twice, 0 },
	},
};

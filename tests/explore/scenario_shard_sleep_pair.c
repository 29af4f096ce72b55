/* SPDX-License-Identifier: MIT
 *
 * Law: a shard that sleeps is woken by mail, whatever the moment; what one shard's handler posts to another arrives;
 * a mail runs once, on its shard. (shard.c I1, I3; P10.)
 *
 * Method: two shards run shard.c's own loop. An outside thread posts a mail to each; when shard 0's ready entry runs
 * it posts a third one to shard 1.
 */
#include <string.h>

#include "engine/shard/shard.h"
#include "tests/explore/world.h"

static struct pw_shard shard[2];
static struct pw_node node[3];
static uint64_t ran[3]; /* ledger */

static void
on_mail(struct pw_shard *home, struct pw_node *mail)
{
	pw_shard_ready(home, pw_mail_of(mail, PW_KIND_DONE));
}

static void
on_ready(struct pw_shard *home, struct pw_node *mail)
{
	long i = mail - node;
	PW_EXPLORE_ASSERT(pw_shard_self() == home && home == (i == 0 ? &shard[0] : &shard[1]),
	    "mail %ld runs elsewhere", i);
	pw_explore_add(&ran[i], 1);
	if (i == 0) {
		pw_shard_post(&shard[1], pw_mail_of(&node[2], PW_KIND_DONE));
	}
}

static void
on_expire(struct pw_shard *home, uint32_t slot)
{
	(void) home;
	pw_explore_fail("slot %u expired, and none was linked", slot);
}

static const struct pw_shard_ops ops = {
	.on_mail[PW_KIND_DONE] = on_mail,
	.on_ready[PW_KIND_DONE] = on_ready,
	.on_expire = on_expire,
};

static void
setup(void)
{
	memset(shard, 0, sizeof(shard));
	memset(node, 0, sizeof(node));
	memset(ran, 0, sizeof(ran));
	for (int i = 0; i < 2; i++) {
		(void) pw_shard_init(&shard[i], &ops);
		shard[i].settings.id = (uint32_t) i;
		pw_world_enter(&shard[i]);
	}
	pw_explore_name(&shard[0], sizeof(shard[0]), "shard 0", NULL);
	pw_explore_name(&shard[1], sizeof(shard[1]), "shard 1", NULL);
	pw_explore_name(&shard[0].inbox.parked, sizeof(pw_a64), "parked 0", NULL);
	pw_explore_name(&shard[1].inbox.parked, sizeof(pw_a64), "parked 1", NULL);
}

static void
run_shard(void)
{
	pw_world_run(&shard[pw_explore_self()]);
}

static void
post(void)
{
	pw_shard_post(&shard[0], pw_mail_of(&node[0], PW_KIND_DONE));
	pw_shard_post(&shard[1], pw_mail_of(&node[1], PW_KIND_DONE));
}

static void
check(void)
{
	for (int i = 0; i < 3; i++) {
		PW_EXPLORE_ASSERT(ran[i] == 1, "all sleep, and mail %d has run %lu times", i, (unsigned long) ran[i]);
	}
}

const struct pw_explore_scenario pw_scenario_shard_sleep_pair = {
	.name = "shard_sleep_pair",
	.law = "a sleeping shard is woken by mail, from outside and from another shard",
	.setup = setup,
	.check = check,
	.interrupts = 1,
	.fiber = {
		{ "shard 0", run_shard, PW_EXPLORE_DAEMON },
		{ "shard 1", run_shard, PW_EXPLORE_DAEMON },
		{ "outside", post, 0 },
	},
};

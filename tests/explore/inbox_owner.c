/* SPDX-License-Identifier: MIT
 *
 * inbox_owner.c: see inbox_owner.h.
 */
#include "tests/explore/inbox_owner.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/shard/park.h"
#include "engine/shard/poller.h"
#include "tests/explore/explore.h"

struct pw_owner pw_owner;

void
pw_owner_setup(void)
{
	memset(&pw_owner, 0, sizeof(pw_owner));
	pw_inbox_init(&pw_owner.inbox);
	(void) pw_bell_open(&pw_owner.bell_fd);
	pw_explore_name(&pw_owner.inbox.tail, sizeof(pw_a64), "tail", NULL);
	pw_explore_name(&pw_owner.inbox.head, sizeof(pw_a64), "head", NULL);
	pw_explore_name(&pw_owner.inbox.overflow, sizeof(pw_a64), "overflow", NULL);
	pw_explore_name(&pw_owner.inbox.parked, sizeof(pw_a64), "parked", NULL);
	pw_explore_name(&pw_owner.inbox.slot[0], sizeof(pw_a64), "slot[0]", NULL);
	pw_explore_name(&pw_owner.inbox.slot[1], sizeof(pw_a64), "slot[1]", NULL);
}

static void
take(void *context, pw_mail mail)
{
	struct pw_owner *owner = context;
	unsigned i = (unsigned) (pw_mail_node(mail) - owner->node);
	PW_EXPLORE_ASSERT(i < PW_OWNER_MAILS && pw_mail_kind(mail) == PW_KIND_DONE, "took what nobody sent");
	owner->node[i].next = ~(pw_mail) 0; /* the owner's now: nothing may still need the link */
	pw_explore_add(&owner->taken[i], 1);
	PW_EXPLORE_ASSERT(pw_plain_read(&owner->load[i]) == i + 1u, "mail %u came without what it is about", i);
	pw_plain_write(&owner->load[i], 0);
	PW_EXPLORE_ASSERT(pw_explore_get(&owner->taken[i]) <= pw_explore_get(&owner->sent[i]),
	    "mail %u was taken twice", i);
	if (owner->tells) {
		pw_explore_event_set(&owner->first_taken[i]);
	}
}

void
pw_owner_run(void)
{
	struct pw_poller poller;
	(void) pw_poller_open(&poller, PW_POLLER_AUTO, pw_owner.bell_fd);
	for (;;) {
		if (pw_inbox_drain(&pw_owner.inbox, PW_OWNER_MAILS, take, &pw_owner) != 0) {
			pw_inbox_check(&pw_owner.inbox);
		} else if (pw_inbox_park(&pw_owner.inbox)) {
			(void) pw_poller_wait(&poller, PW_NEVER_NS, 1);
			pw_inbox_unpark(&pw_owner.inbox);
		}
	}
}

void
pw_owner_send(unsigned mail)
{
	uint64_t generation;
	pw_explore_add(&pw_owner.sent[mail], 1);
	pw_plain_write(&pw_owner.load[mail], mail + 1u);
	if (pw_inbox_post(&pw_owner.inbox, pw_mail_of(&pw_owner.node[mail], PW_KIND_DONE), &generation)) {
		pw_bell_ring(pw_owner.bell_fd);
		pw_inbox_woken(&pw_owner.inbox, generation);
	}
}

void
pw_owner_await(unsigned mail)
{
	pw_explore_event_wait(&pw_owner.first_taken[mail]);
}

void
pw_owner_check(unsigned mail)
{
	PW_EXPLORE_ASSERT(pw_owner.taken[mail] == pw_owner.sent[mail],
	    "the owner sleeps and mail %u was sent %lu times, taken %lu", mail, (unsigned long) pw_owner.sent[mail],
	    (unsigned long) pw_owner.taken[mail]);
}

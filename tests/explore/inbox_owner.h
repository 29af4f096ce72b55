/* SPDX-License-Identifier: MIT
 *
 * inbox_owner.h: the owner and the senders of the inbox scenarios: the loop of a shard, cut down to its inbox, and
 * pw_shard_post's steps. The ring has two slots (PW_INBOX_SLOTS), so a third mail goes over the overflow stack.
 */
#ifndef PINWHEEL_EXPLORE_INBOX_OWNER_H
#define PINWHEEL_EXPLORE_INBOX_OWNER_H

#include "engine/shard/inbox.h"
#include "tests/explore/explore.h"
#include "tests/explore/plain.h"

#define PW_OWNER_MAILS 4

struct pw_owner {
	struct pw_inbox inbox;
	struct pw_node node[PW_OWNER_MAILS];
	struct pw_plain load[PW_OWNER_MAILS]; /* what a mail is about: the sender's before, the owner's after */
	int bell_fd;
	bool tells; /* the scenario's wish: the owner says when it has taken a mail */
	struct pw_explore_event first_taken[PW_OWNER_MAILS];
	uint64_t sent[PW_OWNER_MAILS];  /* ledger */
	uint64_t taken[PW_OWNER_MAILS]; /* ledger */
};

extern struct pw_owner pw_owner;

void pw_owner_setup(void);
/* The owner's fiber: drain, and sleep when there is nothing. */
void pw_owner_run(void);
void pw_owner_send(unsigned mail);
/* Sleeps until the mail has been taken once, and its node is the sender's again. pw_owner.tells. */
void pw_owner_await(unsigned mail);
/* What was sent has been taken, once. */
void pw_owner_check(unsigned mail);

#endif

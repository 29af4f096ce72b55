/* SPDX-License-Identifier: MIT
 *
 * node.h: what an inbox, an overflow stack and a ready queue hold: a link that is embedded in the object it
 * stands for, and a *mail*, the node's address with the kind of the entry in its low three bits.
 *
 * The shard that takes a mail out looks the kind up in a table (shard.h); so no structure below knows what an
 * aio or a stream is. A node is in one structure at a time; who may link it is written where it is embedded.
 */
#ifndef PINWHEEL_BASE_NODE_H
#define PINWHEEL_BASE_NODE_H

#include <stddef.h>
#include <stdint.h>

typedef uintptr_t pw_mail; /* 0: none */

struct pw_node {
	_Alignas(8) pw_mail next;
};

enum pw_kind {
	PW_KIND_DONE = 0,    /* an aio's completion entry */
	PW_KIND_REQUEST = 1, /* an aio's request entry; on the ready queue: the cancel item of an abort */
	PW_KIND_EXPIRED = 2, /* ready queue only: the cancel item of an expiry (timer node) */
	PW_KIND_STREAM = 3,  /* a stream, dialer or listener with submissions or marks */
	PW_KIND_COUNT = 4,
};

#define PW_KIND_MASK ((pw_mail) 7)

static inline pw_mail
pw_mail_of(struct pw_node *node, enum pw_kind kind)
{
	return (pw_mail) node | (pw_mail) kind;
}

static inline struct pw_node *
pw_mail_node(pw_mail mail)
{
	return (struct pw_node *) (mail & ~PW_KIND_MASK);
}

static inline enum pw_kind
pw_mail_kind(pw_mail mail)
{
	return (enum pw_kind) (mail & PW_KIND_MASK);
}

#define PW_CONTAINER_OF(ptr, type, member) ((type *) (void *) ((char *) (ptr) -offsetof(type, member)))

#endif

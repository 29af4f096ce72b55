/* SPDX-License-Identifier: MIT
 *
 * lent.h: a shard without a thread: an application's thread runs its turns and waits on a descriptor between them.
 * Everything here runs on the lending thread.
 */
#ifndef PINWHEEL_SHARD_LENT_H
#define PINWHEEL_SHARD_LENT_H

#include "engine/shard/shard.h"

/* Any thread: true to one, which must then enter the shard. */
bool pw_lent_claim(struct pw_shard *shard);
/* The calling thread, which has claimed it, becomes the shard's. 0 or a negative errno value: claim it again. */
int pw_lent_enter(struct pw_shard *shard);
/* One turn. 0: nothing is left to do, and lent_fd becomes readable when there is; or nng_fini, on another thread, has
 * ended the shard, and the caller is not lent any more. budget 0: the setting. */
unsigned pw_lent_poll(struct pw_shard *shard, unsigned budget);
/* In phase END: ends the shard. */
void pw_lent_leave(struct pw_shard *shard);

#endif

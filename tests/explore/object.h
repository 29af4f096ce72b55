/* SPDX-License-Identifier: MIT
 *
 * object.h: a record of end.c with nothing behind it: operations submitted to it wait until they are cancelled or it is
 * closed. What it stands for is every class of the stream layer; what it leaves out is I/O.
 */
#ifndef PINWHEEL_EXPLORE_OBJECT_H
#define PINWHEEL_EXPLORE_OBJECT_H

#include "engine/stream/end.h"
#include "tests/explore/explore.h"

/* setup, after the world's: a live object on that shard. */
struct pw_end *pw_object_open(unsigned shard);
/* Starts an operation and submits it. False: refused, the completion comes. */
bool pw_object_submit(struct pw_end *object, nng_aio *aio);
/* The cancel function: arg is the object. */
void pw_object_cancel(nng_aio *aio, void *arg, nng_err reason);
/* check: it was released, once, and its descriptor was closed before. */
void pw_object_check(const struct pw_end *object);

/* For end.c, as it is compiled here. */
void pw_object_keep(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * end.h: what streams, listeners, dialers and UDP sockets have in common: a record that lives on one shard, takes
 * operations from any thread, is closed, waited for and released. See end.c for its book.
 *
 * who            function                          progress
 * any thread     pw_end_submit, pw_end_close       lock-free
 * home of aio    pw_end_cancel                     lock-free
 * any thread     pw_end_stop                       may block on the record's shard
 * any thread     pw_end_free                       as stop; inside user code lock-free but for the shard's pool
 * any thread     pw_end_alloc                      takes the pool's lock of that shard, for an allocation of memory
 * the shard      everything else
 */
#ifndef PINWHEEL_STREAM_END_H
#define PINWHEEL_STREAM_END_H

#include <nng/nng.h>

#include "engine/aio/aio.h"
#include "engine/base/atomic.h"
#include "engine/base/lock.h"
#include "engine/base/node.h"
#include "engine/shard/shard.h"

/* The word. Changed by RMW only, in every life of the record. */
#define PW_END_QUEUED UINT64_C(0x001)  /* the node is, or is about to be, in the shard's inbox */
#define PW_END_SCAN UINT64_C(0x002)    /* an operation was marked as cancelled by another thread */
#define PW_END_LIVE UINT64_C(0x004)    /* the fields are those of an object; set last, cleared by the release */
#define PW_END_CLOSE UINT64_C(0x008)   /* close was asked for: nothing new is accepted */
#define PW_END_RELEASE UINT64_C(0x010) /* the owner has let go of it */
#define PW_END_QUIET UINT64_C(0x020)   /* closed, nothing pending, nothing in the kernel */
#define PW_END_ORPHAN UINT64_C(0x040)  /* the shard has stopped with the object alive: nobody reads mail for it */
#define PW_END_WAITERS UINT64_C(0x080) /* someone sleeps on the low half */
#define PW_END_BOUND UINT64_C(0x100)   /* a listener listens */
#define PW_END_BINDING UINT64_C(0x200) /* a listen is under way, or was successful */
#define PW_END_HOLD_ONE (UINT64_C(1) << 32) /* the high half counts the threads that use the descriptor */

/* nng_aio.mark, one operation's: */
enum pw_end_mark {
	PW_MARK_NEW = 0,
	PW_MARK_LINKED = 1, /* written only where the aio's home is the record's shard: it is in the record's queue */
	PW_MARK_CANCELED = 2, /* its cancel function has been called */
};

struct pw_end;

enum pw_end_class {
	PW_CLASS_STREAM = 0,
	PW_CLASS_LISTENER = 1,
	PW_CLASS_DIALER = 2,
	PW_CLASS_UDP = 3,
	PW_CLASS_COUNT = 4,
};

/* What a class of records does. All on the record's shard, but for `would_wait`. None runs user code. */
struct pw_end_kind {
	const char *name;
	enum pw_end_class number;
	size_t size;
	/* A record's first life begins: the memory is zero. Under the pool's lock, any thread. */
	void (*on_birth)(struct pw_end *end);
	/* A submitted operation: link it, or end it. `tag`: as submitted. */
	void (*on_take)(struct pw_end *end, nng_aio *aio, unsigned tag);
	/* The operation is marked as cancelled, and linked: end it, now or when the kernel lets go. */
	void (*on_cancel)(struct pw_end *end, nng_aio *aio);
	/* on_cancel for every linked operation that is marked. */
	void (*on_scan)(struct pw_end *end);
	/* CLOSE was set: end what is pending. Called once or more often. */
	void (*on_close)(struct pw_end *end);
	/* CLOSE is set; on_close has run, or is still to come: is nothing pending, and nothing in the kernel? Then lets go
	 * of everything but the descriptor. */
	bool (*on_settle)(struct pw_end *end);
	/* Closes the descriptor, if there is one. The shard, or the last thread that held it. */
	void (*on_unhold)(struct pw_end *end);
	/* Would a stop, called in user code of `shard`, wait for what that shard must do first? */
	bool (*would_wait)(struct pw_end *end, const struct pw_shard *shard);
};

struct pw_end {
	pw_a64 word;                    /* P14, and the futex of stop */
	pw_a64 submitted;               /* P13: a stack of mails: provider nodes, the operation's tag as their kind */
	struct pw_node node;            /* whoever turned QUEUED 0 -> 1, then the shard */
	bool looking;                   /* the shard's, through all lives */
	struct pw_shard *shard;         /* constant through all lives */
	const struct pw_end_kind *kind; /* constant through all lives */
	struct pw_end *next_free;       /* under the pool's lock, while free */
};

/* A fresh record on that shard, not LIVE; NULL: out of memory. */
struct pw_end *pw_end_alloc(struct pw_shard *shard, enum pw_end_class number);
/* Its fields are written: from now on mails are served. */
void pw_end_publish(struct pw_end *end);
/* Gives back a record that was never published. */
void pw_end_discard(struct pw_end *end);

/* A public function's first look: not NULL, not a parent's in a forked child. Else misuse. */
bool pw_end_usable(const struct pw_end *end, const char *function);
/* The same for an operation: the aio is not NULL either. */
bool pw_end_operable(const struct pw_end *end, const nng_aio *aio, const char *function);
/* CLOSE has been asked for. */
bool pw_end_closed(const struct pw_end *end);

/* Starts an operation: the checks of the starter are done. fn: pw_end_cancel under a name of the operation's own.
 * False: refused, the aio belongs to its completion. */
bool pw_end_start(struct pw_end *end, nng_aio *aio, nng_aio_cancelfn fn);
/* Hands over an operation that start accepted. tag: below 8. */
void pw_end_submit(struct pw_end *end, nng_aio *aio, unsigned tag);
/* What every cancel function does. */
void pw_end_cancel(struct pw_end *end, nng_aio *aio);
/* Any thread: sets the bits and has the shard look, by mail also if that is the caller's own. */
void pw_end_wish(struct pw_end *end, uint64_t bits);

void pw_end_close(struct pw_end *end);
void pw_end_stop(struct pw_end *end, const char *function);
void pw_end_free(struct pw_end *end, const char *function);

/* Any thread: the descriptor stays open until unhold. False: closed. */
bool pw_end_hold(struct pw_end *end);
/* bits: set in the same RMW. */
void pw_end_unhold(struct pw_end *end, uint64_t set, uint64_t clear);

/* The shard: something ended; if the object is closed and nothing is left, it becomes quiet, and is released if its
 * owner has let go of it. The record may be gone afterwards. */
void pw_end_settle(struct pw_end *end);
/* The shard: close, settle and release an object that no user has a handle of. */
void pw_end_abandon(struct pw_end *end);

/* ---- operations in a record's queue; the shard */

static inline bool
pw_end_marked(const nng_aio *aio)
{
	return pw_load_acquire_8(&aio->mark) == PW_MARK_CANCELED;
}

/* Ends a marked operation with the reason that its word holds. */
void pw_end_finish_canceled(nng_aio *aio);

/* A FIFO of operations, linked by slot numbers. */
struct pw_op_queue {
	uint32_t first; /* PW_SLOT_NONE: empty */
	uint32_t last;
};

static inline nng_aio *
pw_op_first(const struct pw_op_queue *queue)
{
	return queue->first == PW_SLOT_NONE ? NULL : pw_aio_of_slot(queue->first);
}

static inline nng_aio *
pw_op_after(const nng_aio *aio)
{
	return aio->provider.link.next == PW_SLOT_NONE ? NULL : pw_aio_of_slot(aio->provider.link.next);
}

void pw_op_queue_init(struct pw_op_queue *queue);
void pw_op_push(struct pw_op_queue *queue, nng_aio *aio);
void pw_op_remove(struct pw_op_queue *queue, nng_aio *aio);

/* Ends an operation that came too late: cancelled before it arrived, or after close. False: it did not. */
bool pw_end_refused(struct pw_end *end, nng_aio *aio);

/* The running shards in turn, as pw_fleet_spread has them, each counter by itself; NULL: no engine runs. */
struct pw_shard *pw_end_next_shard(pw_a32 *turn);
/* Where a new object should live: the caller's own shard, or the one it lends itself to, else as above. */
struct pw_shard *pw_end_near_shard(pw_a32 *turn);

/* One state per shard: its pools, and its resolver (resolver.c). */
struct pw_resolver;

struct pw_end_pool {
	struct pw_end *free;
	struct pw_end_chunk *chunks; /* all records ever made */
};

struct pw_stream_shard {
	struct pw_lock lock;
	struct pw_end_pool pool[PW_CLASS_COUNT];
	struct pw_resolver *resolver; /* the shard's own */
};

/* NULL: out of memory. Any thread. */
struct pw_stream_shard *pw_stream_shard_of(const struct pw_shard *shard);

/* The stream layer's entries in the table of aio.h. on_stop begins to close everything that is open on the shard;
 * it is closed when the poller has nothing in flight. */
void pw_stream_on_mail(struct pw_shard *shard, struct pw_node *node);
void pw_stream_on_stop(struct pw_shard *shard);

#endif

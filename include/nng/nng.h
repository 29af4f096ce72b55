/* SPDX-License-Identifier: MIT
 *
 * Copyright (c) 2025 the pinwheel authors
 *
 * nng.h: asynchronous operations, byte streams, messages, threads, logs: the interface of pinwheel.
 *
 * What it is: the nng_aio_* and nng_stream_* functions, and what an NNG program has beside its aios (nng_msg_*,
 * threads and locks, memory, logs), under the names, types and values of NNG 2.x, so that a program written for NNG
 * compiles unchanged where the two overlap: for 2.x in C and in C++, for 1.x in C. The engine behind them is
 * pinwheel's own. An independent implementation of NNG's interface, not endorsed by NNG's authors; their notice,
 * under which the interface is used, stands below.
 * What it is not: NNG's sockets, protocols, contexts, HTTP or TLS. What only a sharded engine has (shards,
 * nanoseconds, statistics, polling from the application's own loop) is in <pinwheel/pinwheel.h>.
 *
 * Words used below.
 *   consumer    allocates the handle, submits operations with it, waits for them
 *   provider    performs the operation: start (2.x) or begin and defer (1.x), then finish, once
 *   operation   from the moment the provider accepts it until its callback has returned; it yields exactly one
 *               completion with one result
 *   busy        an operation is accepted and not completed, or the callback runs
 *   home        the shard (one event loop on one thread) that moves a handle's timer, cancel function, callback
 *
 * What lives how long.
 *   with the handle        stopped (for good), timeout, inputs, message slot, iov
 *   for one operation      expiration, skip request
 *   until the next start   result, count, outputs: a new operation clears them
 *
 * What holds for every function here.
 *   H1  Callbacks and cancel functions run on the home shard's thread only, one at a time per handle, and never on
 *       the stack of a call into this library (R23). So every function may be called with locks held that a
 *       callback takes, except those that wait: wait, stop, free, fini.
 *   H2  A completion is delivered only after a running cancel function of that operation has returned (R24).
 *   H3  A callback or cancel function must not block on a lock that another thread holds while it waits, stops or
 *       frees: the handle waited for may live on the same shard.
 *   H4  Waiting on a shard thread, that is in any callback or cancel function (R26: wait, stop, free, the stop and
 *       free of streams, dialers and listeners, nng_fini). The own handle: as each function says (R21). A handle
 *       that is not busy: done at once. Busy and homed on the same shard: certain deadlock, reported as misuse with
 *       both handles and both states before anything blocks. Busy on another shard: it waits, is counted as a long
 *       turn, and one line names both after 1 s. pinwheel_aio_close and nng_aio_reap never wait. On a thread that
 *       lends itself to a shard (pinwheel_poll), outside callbacks, these calls poll that shard while they wait.
 *   H5  Misuse (R27) prints one line on stderr with the function, the handle, its state and the thread (the log
 *       hook gets the same line), then abort(). With pinwheel_set_misuse_handler a function of yours is called in
 *       place of abort(); when it returns, the call has had no effect: finish, defer and reap are ignored, start and
 *       begin return false without a completion, wait, stop and free return at once (after a stop or free that
 *       could not wait, do not release what the callback uses). A NULL handle is misuse where a function does not say
 *       that it has no effect there.
 *   H6  "Any thread" includes callbacks, cancel functions and threads the library has never seen. A signal handler
 *       is not a thread here: no function may be called from one. After fork() the child may use no handle of the
 *       parent (misuse); its first nng_aio_alloc starts a fresh engine.
 *
 * Progress, as each "Context" says it: *wait-free*, a bounded number of steps; *lock-free*, a loop over one
 * compare-and-swap that is repeated only when another thread changed the handle meanwhile; *may block*, and on whom.
 * A lock-free call may make one system call that does not block, to wake a sleeping shard or a waiter.
 *
 * "Source" names the text a contract comes from: *chapter* is NNG 2.x's "Asynchronous Operations", *page* is 1.x's
 * nng_aio_defer(3). R with a number is a place where the sources, or the text and NNG's behaviour, disagree, or are
 * silent, with what holds here.
 *
 * Names in the binary: the library exports no nng_* symbol. Each prototype carries an assembler label, so that a
 * process may hold libnng and libpinwheel side by side. Take addresses and call through this header; dlsym wants
 * "pinwheel_nng_aio_alloc" and the like.
 *
 * ------------------------------------------------------------------------------------------------------------
 * Copyright 2025 Staysail Systems, Inc. <info@staysail.tech>
 * Copyright 2018 Capitar IT Group BV <info@capitar.com>
 *
 * The MIT License
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
 * documentation files (the "Software"), to deal in the Software without restriction, including without limitation
 * the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
 * to permit persons to whom the Software is furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all copies or substantial portions of
 * the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
 * THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
 * CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS
 * IN THE SOFTWARE.
 */
#ifndef NNG_NNG_H
#define NNG_NNG_H
#define PINWHEEL_NNG_H /* this nng.h and no other: pinwheel.h asks */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef NNG_DECL
#define NNG_DECL __attribute__((visibility("default")))
#endif

/* A public function's symbol in the binary: nng_x is pinwheel_nng_x, which cannot meet a pinwheel_* function. */
#define PINWHEEL_SYM(name) __asm__("pinwheel_" #name)

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Versions, limits -------------------------------------------------------------------------------------- */

/* The version of NNG's interface that this header follows; nng_version() and PINWHEEL_VERSION_* are the library's. */
#define NNG_MAJOR_VERSION 2
#define NNG_MINOR_VERSION 0
#define NNG_PATCH_VERSION 0
#define NNG_RELEASE_SUFFIX ""

#define NNG_MAXADDRLEN (128)                    /* bytes of a path in an nng_sockaddr, its NUL included */
#define NNG_MAXADDRSTRLEN (NNG_MAXADDRLEN + 16) /* bytes that hold any nng_str_sockaddr, its NUL included */

/* ---- Codes ------------------------------------------------------------------------------------------------- */

/*
 * Results and error codes. 0 is success. An int with named constants, not an enum type, so that a cancel function
 * declared with int and one declared with nng_err are the same type, in C and in C++ (R25). NNG_ENOARG and
 * NNG_EAMBIGUOUS exist for 1.x programs; nothing here returns them. A stopped handle answers NNG_ESTOPPED, as in 2.x
 * (R20); 1.5 answers NNG_ECANCELED or NNG_ECLOSED there.
 */
typedef int nng_err;

enum nng_errno_enum {
	NNG_OK = 0,
	NNG_EINTR = 1,
	NNG_ENOMEM = 2,
	NNG_EINVAL = 3,
	NNG_EBUSY = 4,
	NNG_ETIMEDOUT = 5,
	NNG_ECONNREFUSED = 6,
	NNG_ECLOSED = 7,
	NNG_EAGAIN = 8,
	NNG_ENOTSUP = 9,
	NNG_EADDRINUSE = 10,
	NNG_ESTATE = 11,
	NNG_ENOENT = 12,
	NNG_EPROTO = 13,
	NNG_EUNREACHABLE = 14,
	NNG_EADDRINVAL = 15,
	NNG_EPERM = 16,
	NNG_EMSGSIZE = 17,
	NNG_ECONNABORTED = 18,
	NNG_ECONNRESET = 19,
	NNG_ECANCELED = 20,
	NNG_ENOFILES = 21,
	NNG_ENOSPC = 22,
	NNG_EEXIST = 23,
	NNG_EREADONLY = 24,
	NNG_EWRITEONLY = 25,
	NNG_ECRYPTO = 26,
	NNG_EPEERAUTH = 27,
	NNG_ENOARG = 28,
	NNG_EAMBIGUOUS = 29,
	NNG_EBADTYPE = 30,
	NNG_ECONNSHUT = 31,
	NNG_ESTOPPED = 999,
	NNG_EINTERNAL = 1000,
	NNG_ESYSERR = 0x10000000, /* plus an errno value */
	NNG_ETRANERR = 0x20000000 /* plus a transport's own number */
};

/*
 * nng_strerror: the text of a code.
 *
 * Context:    any thread, any value; never blocks.
 * Ownership:  the library's. The texts of the codes above, and of errno values that the system knows, live as long as
 *             the process. Other texts are made in storage of the calling thread and hold until its next call that
 *             makes one.
 * Effect:     never NULL, never empty, in English; two codes never share a text. NNG_ESYSERR + e gives the system's
 *             text for the errno value e. NNG_ETRANERR + n and numbers that are no code are named with their number.
 * Source:     NNG 2.x's header; NNG makes its texts for unknown codes in one static buffer.
 */
NNG_DECL const char *nng_strerror(nng_err err) PINWHEEL_SYM(nng_strerror);

/* ---- The library ------------------------------------------------------------------------------------------- */

typedef struct nng_aio nng_aio;
typedef struct nng_msg nng_msg; /* what is in it: see Messages */

/*
 * What NNG 2.x lets one choose at start. The thread counts are accepted and add no threads: a shard per chosen CPU is
 * all there is (`pinwheel info` says so). The allocators are all set or all NULL; they then serve messages, nng_alloc
 * and slabs, from this start to the next one. While they are set, or taken away by a start without them, no other
 * thread may allocate; what was allocated before goes back to where it came from.
 */
typedef struct {
	int16_t num_task_threads;
	int16_t max_task_threads;
	int16_t num_expire_threads;
	int16_t max_expire_threads;
	int16_t num_poller_threads;
	int16_t max_poller_threads;
	int16_t num_resolver_threads;
	void *(*malloc_fn)(size_t);
	void *(*calloc_fn)(size_t, size_t);
	void (*free_fn)(void *, size_t);
} nng_init_params;

/*
 * nng_init: starts the engine, or counts one more user of a running one.
 *
 * Context:    any thread; may block on another thread's start or nng_fini. Optional: nng_aio_alloc and the alloc
 *             functions of streams start the engine themselves (R0).
 * Ownership:  params is read during the call only.
 * Effect:     NULL, or a struct of zeros, means defaults. Environment variables PINWHEEL_* apply as pinwheel.h says.
 *             Each success is to be undone by one nng_fini. On an error nothing is left started.
 * Errors:     NNG_EINVAL (some but not all allocators; or a bad setting, which a line on stderr names together with
 *             what would be right), NNG_EBUSY (params given while the engine runs), NNG_ENOMEM, NNG_ENOFILES,
 *             NNG_EPERM (a forced poller was refused), NNG_ESTOPPED (on a shard thread while nng_fini shuts down).
 * Source:     NNG 2.x's header. R0: a 2.x program calls it first, a 1.x program never; both run.
 */
NNG_DECL nng_err nng_init(const nng_init_params *params) PINWHEEL_SYM(nng_init);

/*
 * nng_fini: undoes one nng_init (or pinwheel_start); the last one shuts the engine down.
 *
 * Context:    any thread but a shard's: there it is misuse (R26, R27). May block until every callback and cancel
 *             function has returned and every provider has finished what it accepted. On a thread that lends itself
 *             to a shard it polls that shard while it waits (H4).
 * Ownership:  handles that survive stay the caller's: nng_aio_free releases them at once, nng_aio_start and
 *             nng_aio_begin return false with result NNG_ESTOPPED and no callback.
 * Effect:     with no nng_init to undo (1.x programs) it shuts down at once. Every live handle is stopped: what is
 *             pending ends with NNG_ESTOPPED, its callback runs and may reap the handle; reaps are carried out;
 *             threads are joined. Meanwhile nng_aio_alloc and nng_init wait on outside threads and return
 *             NNG_ESTOPPED on a shard thread; starts are refused as on a stopped handle, and on threads other than
 *             a shard's, once what was accepted before has ended, as with no engine running. Afterwards the library
 *             can be started again. With no engine running it has no effect.
 * Source:     NNG 2.x's header, which leaves the survivors open.
 */
NNG_DECL void nng_fini(void) PINWHEEL_SYM(nng_fini);

/*
 * nng_version: the library's own version, "0.1.0"; the interface it follows is NNG_MAJOR_VERSION and so on.
 *
 * Context:    any thread; wait-free.
 * Ownership:  static text.
 */
NNG_DECL const char *nng_version(void) PINWHEEL_SYM(nng_version);

/* ---- Time -------------------------------------------------------------------------------------------------- */

typedef int32_t nng_duration; /* milliseconds; negative values have meanings of their own */
typedef uint64_t nng_time;    /* milliseconds on nng_clock */

#define NNG_DURATION_INFINITE (-1) /* no limit */
#define NNG_DURATION_DEFAULT (-2)  /* what the provider says; else no limit */
#define NNG_DURATION_ZERO (0)      /* at once or not at all */

/*
 * nng_clock: the time now.
 *
 * Context:    any thread; wait-free. Needs no running engine.
 * Effect:     monotonic (CLOCK_MONOTONIC), rounded down; its zero is arbitrary. pinwheel_clock_ns is the same clock.
 * Units:      milliseconds.
 */
NNG_DECL nng_time nng_clock(void) PINWHEEL_SYM(nng_clock);

/*
 * nng_msleep: waits in the calling thread.
 *
 * Context:    any thread; blocks it. On a shard thread it works, holds up that shard, and is counted as a long turn.
 * Effect:     returns after at least ms; zero or negative: at once.
 * Units:      milliseconds.
 */
NNG_DECL void nng_msleep(nng_duration ms) PINWHEEL_SYM(nng_msleep);

/*
 * nng_sleep_aio: an operation that ends by itself after a time.
 *
 * Context:    any thread; lock-free. The handle must not be busy (misuse, R27).
 * Effect:     result 0 after at least ms, count 0; NNG_ETIMEDOUT at the handle's timeout or expiration if that comes
 *             first. When both fall together the result is 0, also when both are 0: a sleep is exempt from R15 (R16).
 *             ms 0 or less: as soon as possible; NNG_DURATION_INFINITE: never (R22). Cancel, abort and stop end it as
 *             they end any operation; a stopped handle refuses it as nng_aio_start says. The handle's timeout is left
 *             as it was.
 * Units:      milliseconds, at least; never early.
 * Source:     NNG 2.x's header. R16: NNG compares with the timeout only and lets the sleep replace an expiration.
 *             R22: an infinite sleep ends at once in 1.5 and never in 2.x.
 */
NNG_DECL void nng_sleep_aio(nng_duration ms, nng_aio *aio) PINWHEEL_SYM(nng_sleep_aio);

/* ---- Consumer side: the handle ----------------------------------------------------------------------------- */

/*
 * nng_aio_alloc: makes a handle.
 *
 * Context:    any thread; takes a lock of the shard it allocates from, so it may block for as long as another thread
 *             needs to add a slab there. The first call starts the engine when nothing else has (R0). While another
 *             thread shuts down it waits for that, except on a shard thread.
 * Ownership:  the caller's, until nng_aio_free or nng_aio_reap. arg is passed on, never looked at.
 * Effect:     *aiop is written on success only. cb is called with arg once per completion, on the home shard; NULL:
 *             completions are seen by nng_aio_wait, nng_aio_busy and nng_aio_result. A fresh handle is not busy:
 *             result 0, count 0, no message, inputs and outputs NULL, no iov, timeout NNG_DURATION_DEFAULT.
 * Errors:     NNG_ENOMEM; NNG_ESTOPPED (on a shard thread while nng_fini shuts down); when it had to start the engine
 *             also what nng_init returns, and then nothing is left started.
 * Source:     chapter, "Create Handle".
 */
NNG_DECL nng_err nng_aio_alloc(nng_aio **aiop, void (*cb)(void *), void *arg) PINWHEEL_SYM(nng_aio_alloc);

/*
 * nng_aio_free: stops a handle and releases it.
 *
 * Context:    any thread. May block until the operation's provider has finished it and the callback has returned; on
 *             a shard thread see H4 (R26). From the handle's own callback it does not wait: it acts as nng_aio_reap
 *             (R21). NULL: no effect.
 * Ownership:  takes the handle. While it runs no other thread may be inside, or enter, a call on the handle, stop and
 *             wait included; an abort or cancel that has returned is harmless. A message in the slot is not freed.
 * Effect:     marks the handle stopped and aborts with NNG_ESTOPPED; the callback of a pending operation runs, once,
 *             before free returns. A provider that ignores its cancel function makes free wait for its finish.
 * Errors:     freeing twice, or free after reap, is misuse (R27).
 * Source:     chapter, "Destroy Handle". R21: NNG forbids the call in callbacks and deadlocks there.
 */
NNG_DECL void nng_aio_free(nng_aio *aio) PINWHEEL_SYM(nng_aio_free);

/*
 * nng_aio_reap: stops a handle and releases it later.
 *
 * Context:    any thread, also in the handle's own callback; lock-free, never waits. NULL: no effect.
 * Ownership:  takes the handle: the caller does not touch it afterwards. Other threads as for nng_aio_free. A message
 *             in the slot is not freed.
 * Effect:     marks the handle stopped, aborts with NNG_ESTOPPED; the callback of a pending operation still runs,
 *             once; then the home shard releases the handle. No thread waits for that, so a provider that ignores its
 *             cancel function delays nobody else's reap. nng_fini carries out what is still to be reaped.
 * Errors:     reaping twice, or reap after free, is misuse (R27).
 * Source:     chapter, "Destroy Handle"; there a reaper thread does it, one handle after the other.
 */
NNG_DECL void nng_aio_reap(nng_aio *aio) PINWHEEL_SYM(nng_aio_reap);

/*
 * nng_aio_abort: asks for the end of the operation, with a reason.
 *
 * Context:    any thread; lock-free; never waits. NULL: no effect.
 * Effect:     the operation's cancel function is called with err, later, on the home shard (R24), at most once per
 *             operation; whether and with what result the operation ends is the provider's answer.
 *             - Idle, finished, or the callback running with no new operation accepted: no effect, now or on the next
 *               operation. A result is immutable once the operation has finished (R4).
 *             - In a callback that has started the handle again, or when another thread has: acts on that operation.
 *             - Begun, not yet deferred: remembered for that operation, see nng_aio_defer. Reset and not yet started:
 *               counts as idle.
 *             - Aborted twice: the first reason wins (R5). err 0 is passed on as it is.
 *             - No cancel function: no effect on the operation, which ends when the provider finishes it. An
 *               operation whose provider ignored the cancel has no deadline any more (R18).
 * Source:     chapter, "Destroy Handle". R4: NNG 2.x and 1.12 overwrite the result of a finished operation. R5, R18:
 *             the texts are silent.
 */
NNG_DECL void nng_aio_abort(nng_aio *aio, nng_err err) PINWHEEL_SYM(nng_aio_abort);

/* nng_aio_cancel: nng_aio_abort(aio, NNG_ECANCELED). */
NNG_DECL void nng_aio_cancel(nng_aio *aio) PINWHEEL_SYM(nng_aio_cancel);

/*
 * nng_aio_stop: ends the operation, forbids further ones, and waits.
 *
 * Context:    any thread, several at once. May block until the provider has finished the operation and the callback
 *             has returned; on a shard thread see H4 (R26). From the own callback it marks and returns without
 *             waiting for itself (R21). NULL: no effect. pinwheel_aio_close is the form that never waits.
 * Ownership:  the handle stays the caller's.
 * Effect:     marks the handle stopped, for good; aborts with NNG_ESTOPPED (R6). The operation's callback has
 *             returned before stop returns (R8). On an idle handle nothing else happens: no callback. The result of a
 *             finished operation is never changed. Idempotent.
 *             Later starts are refused, as nng_aio_start says (R9, R10), so stop returns even if the callback
 *             resubmits blindly. A finish straight from nng_aio_reset is not refused (a message may have changed
 *             hands): it is delivered with its own result, also after stop has returned. A provider that may complete
 *             synchronously for ever therefore calls nng_aio_begin or nng_aio_start first, as all of this library do.
 * Source:     chapter, "Destroy Handle". R6: 1.5 aborts with NNG_ECANCELED there. R9, R10: see nng_aio_start.
 */
NNG_DECL void nng_aio_stop(nng_aio *aio) PINWHEEL_SYM(nng_aio_stop);

/* ---- Consumer side: before an operation -------------------------------------------------------------------- */

/*
 * nng_aio_set_timeout: how long each operation of this handle may take, from its start.
 *
 * Context:    the consumer; wait-free. Not while another thread starts an operation on the handle. Set while busy it
 *             takes effect at the next start.
 * Effect:     sticky: holds for every later operation. NNG_DURATION_INFINITE and, unless the provider puts its own in
 *             its place, NNG_DURATION_DEFAULT: none. NNG_DURATION_ZERO and other negative values: expired already, so
 *             nng_aio_start refuses with NNG_ETIMEDOUT and never registers the cancel function; the 1.x form calls it
 *             right after nng_aio_defer (R15). When the time is over the cancel function is called with
 *             NNG_ETIMEDOUT; an operation without one has no deadline. Drops an expiration set earlier: the last
 *             setter wins (R17).
 * Units:      milliseconds; never early, and late by a tick of the wheel plus one turn of the home shard.
 * Source:     chapter, "Set Timeout". R15: the chapter does not mention zero; NNG's header calls it a poll.
 */
NNG_DECL void nng_aio_set_timeout(nng_aio *aio, nng_duration timeout_ms) PINWHEEL_SYM(nng_aio_set_timeout);

/*
 * nng_aio_set_expire: when the next operation of this handle is to end at the latest.
 *
 * Context:    as nng_aio_set_timeout.
 * Effect:     for one operation: consumed by it however it ends, after which the timeout is back (R17). The last of
 *             nng_aio_set_timeout and nng_aio_set_expire wins. In the past: the start is refused with NNG_ETIMEDOUT
 *             (the 1.x form as R15 says). All ones: never. Otherwise as a timeout.
 * Units:      milliseconds on nng_clock; never early.
 * Source:     chapter, "Set Timeout". R17: in NNG the expiration stays behind and hits later operations.
 */
NNG_DECL void nng_aio_set_expire(nng_aio *aio, nng_time expire_ms) PINWHEEL_SYM(nng_aio_set_expire);

/* Scatter and gather: one piece of memory. */
typedef struct nng_iov {
	void *iov_buf;
	size_t iov_len;
} nng_iov;

/*
 * nng_aio_set_iov: the memory that the next operations read or fill.
 *
 * Context:    the consumer, while the handle is not busy; wait-free.
 * Ownership:  the n elements are copied; the memory they name stays the caller's and must outlive the operation.
 * Effect:     sticky. n may be 0. On an error the old vector stays.
 * Units:      bytes. Operations may move fewer than asked: see nng_aio_count.
 * Errors:     NNG_EINVAL: n above four, or above what the build option PINWHEEL_IOV_MAX says (R2); iov NULL with n
 *             above 0.
 * Source:     chapter, "I/O Vector" and "Scatter Gather Vectors". R1: the two declare it differently (int or void,
 *             const or not); callers of both forms compile. R2: four is the text's number; NNG takes eight.
 */
NNG_DECL nng_err nng_aio_set_iov(nng_aio *aio, unsigned n, const nng_iov *iov) PINWHEEL_SYM(nng_aio_set_iov);

/*
 * nng_aio_set_input, nng_aio_get_input: parameters of the next operation; their meaning is the provider's.
 *
 * Context:    set: the consumer, while the handle is not busy; get: also the provider. Wait-free.
 * Ownership:  the pointer only; never followed.
 * Effect:     sticky: inputs survive operations. index is 0 to 3. Above: set has no effect, get returns NULL.
 * Errors:     NNG_EINVAL from set: index above 3 (R3).
 * Source:     chapter, "Inputs and Outputs". R3: the chapter has set return nothing, NNG 2.x a code.
 */
NNG_DECL nng_err nng_aio_set_input(nng_aio *aio, unsigned index, void *param) PINWHEEL_SYM(nng_aio_set_input);
NNG_DECL void *nng_aio_get_input(nng_aio *aio, unsigned index) PINWHEEL_SYM(nng_aio_get_input);

/*
 * nng_aio_set_msg, nng_aio_get_msg: the one message slot of a handle.
 *
 * Context:    the consumer while the handle is not busy, the provider while it is; wait-free.
 * Ownership:  the handle holds a pointer and no more: nothing here frees, copies or looks into a message.
 *             Send: on success the provider has taken the message and cleared the slot; on any error it is still
 *             there and the consumer's. Receive: on success the slot holds the message and the consumer takes it; on
 *             any error nothing is stored.
 * Effect:     sticky. What the provider stores before nng_aio_finish is published together with the result: who sees
 *             the one sees the other.
 * Source:     chapter, "Message Ownership".
 */
NNG_DECL void nng_aio_set_msg(nng_aio *aio, nng_msg *msg) PINWHEEL_SYM(nng_aio_set_msg);
NNG_DECL nng_msg *nng_aio_get_msg(nng_aio *aio) PINWHEEL_SYM(nng_aio_get_msg);

/*
 * nng_aio_skip_callback: asks that an operation which ends at once be reported through a bool, not by a callback.
 *
 * Context:    the consumer, on the thread that will submit, while the handle is not busy; wait-free.
 * Ownership:  *skipped belongs to the library until the submitting call has returned.
 * Effect:     *skipped becomes false now. If the next operation ends (finish, or a refused start or begin, R10
 *             included) on this thread before start or defer made it asynchronous, *skipped becomes true, there is no
 *             callback, and the result is there. In every other case, on another thread or with a reap pending, the
 *             callback is called as usual. For one operation; nng_aio_reset does not withdraw it.
 * Source:     NNG 2.x's header.
 */
NNG_DECL void nng_aio_skip_callback(nng_aio *aio, bool *skipped) PINWHEEL_SYM(nng_aio_skip_callback);

/* ---- Consumer side: after an operation --------------------------------------------------------------------- */

/*
 * nng_aio_wait: waits until the handle is not busy.
 *
 * Context:    any number of threads. May block on the provider's finish and on the callback; so the caller must not
 *             hold a lock that the callback takes. In the own callback it returns at once (R21); on a shard thread
 *             see H4 (R26). NULL: no effect.
 * Effect:     returns at once when the handle is idle; else once it was not busy at some moment during the call. An
 *             operation that the callback started belongs to what is waited for.
 * Source:     chapter, "Wait for Completion". R21: the chapter warns of a deadlock there. pinwheel_aio_wait_until
 *             waits with a deadline.
 */
NNG_DECL void nng_aio_wait(nng_aio *aio) PINWHEEL_SYM(nng_aio_wait);

/*
 * nng_aio_busy: whether an operation is accepted and not completed, or the callback runs.
 *
 * Context:    any thread; wait-free.
 * Effect:     the condition that nng_aio_wait waits on. True inside the own callback. False after nng_aio_reset and
 *             before a start. The answer may be old when it arrives if others use the handle.
 * Source:     chapter, "Test for Completion".
 */
NNG_DECL bool nng_aio_busy(nng_aio *aio) PINWHEEL_SYM(nng_aio_busy);

/*
 * nng_aio_result: how the last operation ended.
 *
 * Context:    any thread; wait-free. Meant for the callback, or after nng_aio_wait.
 * Effect:     what the provider gave to nng_aio_finish; after a refused start or begin, the reason. 0 on a fresh
 *             handle and while an operation is under way.
 * Source:     chapter, "Result of Operation", which leaves the value during an operation undefined.
 */
NNG_DECL nng_err nng_aio_result(nng_aio *aio) PINWHEEL_SYM(nng_aio_result);

/*
 * nng_aio_count: how many bytes the last operation moved.
 *
 * Context:    as nng_aio_result.
 * Effect:     0 for sleeps, refused starts, and providers outside this library.
 * Units:      bytes.
 * Source:     chapter, "Result of Operation".
 */
NNG_DECL size_t nng_aio_count(nng_aio *aio) PINWHEEL_SYM(nng_aio_count);

/*
 * nng_aio_set_output, nng_aio_get_output: further results; their meaning is the provider's.
 *
 * Context:    set: the provider, before its finish; get: the consumer, in the callback or after a wait. Wait-free.
 * Ownership:  as the operation says; the handle holds the pointer only.
 * Effect:     a new operation clears all four. index is 0 to 3. Above: set has no effect, get returns NULL.
 * Errors:     NNG_EINVAL from set: index above 3 (R3).
 * Source:     chapter, "Inputs and Outputs".
 */
NNG_DECL nng_err nng_aio_set_output(nng_aio *aio, unsigned index, void *param) PINWHEEL_SYM(nng_aio_set_output);
NNG_DECL void *nng_aio_get_output(nng_aio *aio, unsigned index) PINWHEEL_SYM(nng_aio_get_output);

/* ---- Provider side ----------------------------------------------------------------------------------------- */

/*
 * A cancel function: called when an operation is to end early, with the arg of nng_aio_start or nng_aio_defer and the
 * reason (NNG_ECANCELED, NNG_ETIMEDOUT, NNG_ESTOPPED, or what nng_aio_abort was given).
 *
 * Context:    the home shard's thread, at most once per operation, never on the stack of a call into the library
 *             (R23), possibly at the same time as the provider's own finish on another thread: the provider decides
 *             under its own lock which of the two counts. May take locks as H3 says; may not wait (H4).
 * Ownership:  the completion is delivered only after it has returned (R24), so it never hits the next operation. arg
 *             must stay valid until the callback begins (without a callback: until the handle is not busy). A
 *             provider whose object can go earlier passes memory that outlives it: type-stable, or released by the
 *             consumer after the callback.
 * Effect:     it may finish the operation at once, hand that over to another thread, or do nothing: then the
 *             operation ends with the provider's own finish.
 * Source:     page; chapter. R25: the page's last parameter is int, the chapter's nng_err; here they are one type.
 *             R24: in NNG the callback may run beside the cancel function of the same operation.
 */
typedef void (*nng_aio_cancelfn)(nng_aio *aio, void *arg, nng_err err);

/*
 * nng_aio_reset: makes the handle ready for an operation that may complete synchronously (2.x form).
 *
 * Context:    the provider, at its entry, on a handle that is not under way, also while its callback runs; lock-free.
 * Effect:     clears result, count and outputs. The handle is not busy. Only after it may nng_aio_finish act on an
 *             idle handle. Optional before nng_aio_start, which includes it. A skip request stays.
 * Errors:     an operation is under way, or finished and not delivered: misuse (R27).
 * Source:     NNG 2.x's header.
 */
NNG_DECL void nng_aio_reset(nng_aio *aio) PINWHEEL_SYM(nng_aio_reset);

/*
 * nng_aio_start: accepts an operation and makes it asynchronous (2.x form).
 *
 * Context:    any thread, also in the handle's own callback and with the provider's lock held; lock-free: one
 *             compare-and-swap when the deadline needs no earlier wake-up.
 * Ownership:  on true the provider owns the operation until nng_aio_finish, and arg stays valid as nng_aio_cancelfn
 *             says. On false the provider forgets the handle.
 * Effect:     true: busy; result, count and outputs cleared; the timeout or expiration runs; fn will be called if the
 *             operation is to end early. fn NULL: it cannot be cancelled and has no deadline.
 *             False: refused, with exactly one completion that carries the reason and count 0. Reasons, tested in
 *             this order: NNG_ESTOPPED, stopped, each time (R9); NNG_ETIMEDOUT, a zero timeout or a deadline in the
 *             past (R15: fn is never registered).
 *             Exception (R10): on the thread that runs the handle's own callback, when what that callback delivers is
 *             NNG_ESTOPPED, a refusal for being stopped yields false and result NNG_ESTOPPED, and no further
 *             callback. With no engine running (after nng_fini): false, NNG_ESTOPPED, no callback.
 * Errors:     an operation is begun, deferred, being cancelled, or finished and not delivered: misuse (R27). While
 *             the callback runs a start is legal, from any thread.
 * Source:     chapter; NNG 2.x's header. R10: NNG 2.x calls back for ever or panics there.
 */
NNG_DECL bool nng_aio_start(nng_aio *aio, nng_aio_cancelfn fn, void *arg) PINWHEEL_SYM(nng_aio_start);

/*
 * nng_aio_begin: accepts an operation (1.x form); nng_aio_defer makes it asynchronous, or nng_aio_finish ends it.
 *
 * Context:    as nng_aio_start. A provider that begins holds its own lock over begin to defer.
 * Effect:     true: busy; result, count and outputs cleared; the deadline is fixed now and armed by defer. An abort
 *             or stop from here on is remembered (R12).
 *             False: stopped, with one completion of result NNG_ESTOPPED, count 0, as R9, or none as R10 (R11). A
 *             zero or past deadline is not refused here: see nng_aio_defer.
 * Errors:     as nng_aio_start: misuse (R27).
 * Source:     NNG 1.x's header. R11: in 1.5 a refused begin has no completion at all.
 */
NNG_DECL bool nng_aio_begin(nng_aio *aio) PINWHEEL_SYM(nng_aio_begin);

/*
 * nng_aio_defer: makes a begun operation asynchronous (1.x form).
 *
 * Context:    the provider, with the lock held that its finish takes; lock-free. fn is never called inside defer.
 * Ownership:  as nng_aio_start.
 * Effect:     never fails (R12). An abort, a stop, or a deadline that passed between begin and defer was remembered:
 *             fn is called with the reason right after, on the home shard. A zero timeout counts as such a deadline:
 *             fn gets NNG_ETIMEDOUT (R15 is nng_aio_start's). fn NULL: the operation runs on.
 *             Without begin it implies begin and is not refused: on a stopped handle fn(NNG_ESTOPPED) is called
 *             (R13). No effect while a finished operation is not yet delivered. After its delivery a defer cannot be
 *             told from one without begin and starts an operation: never defer after finish.
 *             With no engine running the handle stays idle with NNG_ESTOPPED and no callback.
 * Errors:     deferred already, or being cancelled: misuse (R27).
 * Source:     page. R12: NNG loses the abort in that window (nanomsg/nng #1236, #2208). R13: the page is silent.
 */
NNG_DECL void nng_aio_defer(nng_aio *aio, nng_aio_cancelfn fn, void *arg) PINWHEEL_SYM(nng_aio_defer);

/*
 * nng_aio_finish: ends an operation with a result.
 *
 * Context:    any thread: the submitter's own stack, the cancel function, and with locks held that the callback
 *             takes; the callback never runs inside finish (R23). Lock-free.
 * Ownership:  gives the operation back: the provider does not touch the handle afterwards. Message and outputs are
 *             set before.
 * Effect:     exactly once per accepted operation, also directly after begin or reset. The callback runs on the home
 *             shard; result, count, message and outputs are published together. err is any number, 0 success. With no
 *             engine running a finish after reset leaves the handle idle with NNG_ESTOPPED and no callback.
 * Errors:     a second finish, or a finish on a handle that is idle and not reset: misuse, recognised in every state
 *             (R27), unless the handle has been started or reset again meanwhile: a finish names no operation, so
 *             nothing can see that one.
 * Source:     chapter; page; NNG 2.x's header. R23: NNG's own providers run some callbacks on the finisher's stack.
 */
NNG_DECL void nng_aio_finish(nng_aio *aio, nng_err err) PINWHEEL_SYM(nng_aio_finish);

/* ---- Messages ---------------------------------------------------------------------------------------------- */

/* The connection a message came by or is to go by. A number that travels with a message; pinwheel makes no pipes. */
typedef struct nng_pipe_s {
	uint32_t id; /* 0: none */
} nng_pipe;

/* clang-format off */
#define NNG_PIPE_INITIALIZER { 0 }
/* clang-format on */

/*
 * A message is a body of any length, a header of up to 64 bytes and a pipe. It belongs to one owner at a time, who
 * alone changes and frees it; nng_aio_set_msg says when an operation takes it or gives it back.
 *
 * What holds for every nng_msg_* function.
 *   Context:    any thread, no running engine needed, never blocks on I/O or on an operation; memory comes from the
 *               arena of the shard that the caller is, or is near to, and its lock may be waited for (by a call that
 *               allocates, and by free). One thread at a time per message; the functions that take a const nng_msg *
 *               may run beside each other on one message. Messages that share a body count as different messages.
 *   Effect:     on an error nothing has changed. A pointer from nng_msg_body holds until the next call that changes
 *               the body's length or capacity; nng_msg_header's holds until nng_msg_free.
 *   Errors:     a NULL message is misuse (R27), but for nng_msg_free.
 *   Source:     NNG 2.x's header and its messages chapter.
 */

/*
 * nng_msg_alloc: makes a message with a body of `size` zero bytes, an empty header and no pipe.
 *
 * Ownership:  the caller's, until nng_msg_free or until an operation takes it.
 * Effect:     *msgp is written on success only. The body has at least 32 bytes of headroom before it, which
 *             nng_msg_insert uses, and some room behind.
 * Units:      bytes.
 * Errors:     NNG_ENOMEM.
 */
NNG_DECL nng_err nng_msg_alloc(nng_msg **msgp, size_t size) PINWHEEL_SYM(nng_msg_alloc);

/*
 * nng_msg_free: releases a message, on any thread, whichever made it. NULL: no effect.
 *
 * Ownership:  takes the message. A body shared with duplicates is released with the last of them.
 */
NNG_DECL void nng_msg_free(nng_msg *msg) PINWHEEL_SYM(nng_msg_free);

/*
 * nng_msg_dup: makes a second message of the same body, header and pipe.
 *
 * Ownership:  the duplicate is the caller's; the two are changed and freed independently, on different threads too.
 * Effect:     *dupp is written on success only. A body too large for the message's own 256 bytes is shared and not
 *             copied, until one of its holders changes it or takes a pointer from nng_msg_body; trim, chop, clear and
 *             a shrinking realloc keep it shared. While a pointer from nng_msg_body is good the body is copied here
 *             instead, so that what is written through it reaches this message alone.
 * Errors:     NNG_ENOMEM.
 * Source:     messages chapter. NNG always copies.
 */
NNG_DECL nng_err nng_msg_dup(nng_msg **dupp, const nng_msg *msg) PINWHEEL_SYM(nng_msg_dup);

/*
 * nng_msg_realloc: gives the body a new length; its beginning is kept.
 *
 * Effect:     shorter: bytes at the end are dropped, and no memory is needed. Longer: zero bytes are added; no memory
 *             is needed up to nng_msg_capacity.
 * Units:      bytes.
 * Errors:     NNG_ENOMEM.
 * Source:     messages chapter, which leaves the added bytes open.
 */
NNG_DECL nng_err nng_msg_realloc(nng_msg *msg, size_t size) PINWHEEL_SYM(nng_msg_realloc);

/*
 * nng_msg_reserve: makes the capacity at least this.
 *
 * Effect:     never makes it smaller. A later nng_msg_dup that shares the body gives up what is reserved.
 * Units:      bytes.
 * Errors:     NNG_ENOMEM.
 */
NNG_DECL nng_err nng_msg_reserve(nng_msg *msg, size_t capacity) PINWHEEL_SYM(nng_msg_reserve);

/*
 * nng_msg_capacity: the length that append and realloc can give the body without more memory.
 *
 * Effect:     headroom is not counted. While the body is shared with a duplicate: its length, since the first change
 *             copies it.
 * Units:      bytes.
 */
NNG_DECL size_t nng_msg_capacity(nng_msg *msg) PINWHEEL_SYM(nng_msg_capacity);

/*
 * nng_msg_body, nng_msg_len: the body's bytes, to read and to write, and how many they are.
 *
 * Ownership:  the message's; see above for how long the pointer holds.
 * Effect:     a body shared with duplicates is copied first, since the caller may write. pinwheel_msg_body reads
 *             without that.
 * Errors:     body: NULL when that copy finds no memory. It is never NULL for a body that is not shared.
 */
NNG_DECL void *nng_msg_body(nng_msg *msg) PINWHEEL_SYM(nng_msg_body);
NNG_DECL size_t nng_msg_len(const nng_msg *msg) PINWHEEL_SYM(nng_msg_len);

/* nng_msg_clear: makes the body empty. The capacity does not fall by it; the message may stay a holder of memory. */
NNG_DECL void nng_msg_clear(nng_msg *msg) PINWHEEL_SYM(nng_msg_clear);

/*
 * nng_msg_append, nng_msg_insert: put bytes behind the body, before the body.
 *
 * Ownership:  data is copied; it may lie in this very body. NULL: as many zero bytes.
 * Effect:     no memory is needed for an append up to the capacity, or for an insert up to the headroom (32 bytes at
 *             first, and what was trimmed), unless the body is shared. Otherwise the body moves, with room for half
 *             as much again on that side, so that any number of small ones costs a constant each.
 * Units:      bytes.
 * Errors:     NNG_ENOMEM.
 */
NNG_DECL nng_err nng_msg_append(nng_msg *msg, const void *data, size_t size) PINWHEEL_SYM(nng_msg_append);
NNG_DECL nng_err nng_msg_insert(nng_msg *msg, const void *data, size_t size) PINWHEEL_SYM(nng_msg_insert);

/*
 * nng_msg_trim, nng_msg_chop: drop bytes at the beginning, at the end of the body. Never need memory.
 *
 * Units:      bytes.
 * Errors:     NNG_EINVAL: the body is shorter than that.
 */
NNG_DECL nng_err nng_msg_trim(nng_msg *msg, size_t size) PINWHEEL_SYM(nng_msg_trim);
NNG_DECL nng_err nng_msg_chop(nng_msg *msg, size_t size) PINWHEEL_SYM(nng_msg_chop);

/*
 * The forms with _u16, _u32 and _u64: the same with one number of two, four or eight bytes, in network byte order in
 * the message and in the host's in the call. trim and chop write *value on success only; NULL: the number is dropped.
 *
 * Errors:     as those of the form without a number.
 */
NNG_DECL nng_err nng_msg_append_u16(nng_msg *msg, uint16_t value) PINWHEEL_SYM(nng_msg_append_u16);
NNG_DECL nng_err nng_msg_append_u32(nng_msg *msg, uint32_t value) PINWHEEL_SYM(nng_msg_append_u32);
NNG_DECL nng_err nng_msg_append_u64(nng_msg *msg, uint64_t value) PINWHEEL_SYM(nng_msg_append_u64);
NNG_DECL nng_err nng_msg_insert_u16(nng_msg *msg, uint16_t value) PINWHEEL_SYM(nng_msg_insert_u16);
NNG_DECL nng_err nng_msg_insert_u32(nng_msg *msg, uint32_t value) PINWHEEL_SYM(nng_msg_insert_u32);
NNG_DECL nng_err nng_msg_insert_u64(nng_msg *msg, uint64_t value) PINWHEEL_SYM(nng_msg_insert_u64);
NNG_DECL nng_err nng_msg_trim_u16(nng_msg *msg, uint16_t *value) PINWHEEL_SYM(nng_msg_trim_u16);
NNG_DECL nng_err nng_msg_trim_u32(nng_msg *msg, uint32_t *value) PINWHEEL_SYM(nng_msg_trim_u32);
NNG_DECL nng_err nng_msg_trim_u64(nng_msg *msg, uint64_t *value) PINWHEEL_SYM(nng_msg_trim_u64);
NNG_DECL nng_err nng_msg_chop_u16(nng_msg *msg, uint16_t *value) PINWHEEL_SYM(nng_msg_chop_u16);
NNG_DECL nng_err nng_msg_chop_u32(nng_msg *msg, uint32_t *value) PINWHEEL_SYM(nng_msg_chop_u32);
NNG_DECL nng_err nng_msg_chop_u64(nng_msg *msg, uint64_t *value) PINWHEEL_SYM(nng_msg_chop_u64);

/*
 * nng_msg_header_*: the same of the header, which protocols use and applications leave alone.
 *
 * Effect:     the header lies in the message, at most 64 bytes, its beginning always at the address that
 *             nng_msg_header returns; it is never shared and never needs memory.
 * Errors:     NNG_EINVAL: longer than 64 bytes by append or insert; shorter than what trim or chop is to drop.
 */
NNG_DECL void *nng_msg_header(nng_msg *msg) PINWHEEL_SYM(nng_msg_header);
NNG_DECL size_t nng_msg_header_len(const nng_msg *msg) PINWHEEL_SYM(nng_msg_header_len);
NNG_DECL void nng_msg_header_clear(nng_msg *msg) PINWHEEL_SYM(nng_msg_header_clear);
NNG_DECL nng_err nng_msg_header_append(nng_msg *msg, const void *data, size_t size)
    PINWHEEL_SYM(nng_msg_header_append);
NNG_DECL nng_err nng_msg_header_insert(nng_msg *msg, const void *data, size_t size)
    PINWHEEL_SYM(nng_msg_header_insert);
NNG_DECL nng_err nng_msg_header_trim(nng_msg *msg, size_t size) PINWHEEL_SYM(nng_msg_header_trim);
NNG_DECL nng_err nng_msg_header_chop(nng_msg *msg, size_t size) PINWHEEL_SYM(nng_msg_header_chop);
NNG_DECL nng_err nng_msg_header_append_u16(nng_msg *msg, uint16_t value) PINWHEEL_SYM(nng_msg_header_append_u16);
NNG_DECL nng_err nng_msg_header_append_u32(nng_msg *msg, uint32_t value) PINWHEEL_SYM(nng_msg_header_append_u32);
NNG_DECL nng_err nng_msg_header_append_u64(nng_msg *msg, uint64_t value) PINWHEEL_SYM(nng_msg_header_append_u64);
NNG_DECL nng_err nng_msg_header_insert_u16(nng_msg *msg, uint16_t value) PINWHEEL_SYM(nng_msg_header_insert_u16);
NNG_DECL nng_err nng_msg_header_insert_u32(nng_msg *msg, uint32_t value) PINWHEEL_SYM(nng_msg_header_insert_u32);
NNG_DECL nng_err nng_msg_header_insert_u64(nng_msg *msg, uint64_t value) PINWHEEL_SYM(nng_msg_header_insert_u64);
NNG_DECL nng_err nng_msg_header_trim_u16(nng_msg *msg, uint16_t *value) PINWHEEL_SYM(nng_msg_header_trim_u16);
NNG_DECL nng_err nng_msg_header_trim_u32(nng_msg *msg, uint32_t *value) PINWHEEL_SYM(nng_msg_header_trim_u32);
NNG_DECL nng_err nng_msg_header_trim_u64(nng_msg *msg, uint64_t *value) PINWHEEL_SYM(nng_msg_header_trim_u64);
NNG_DECL nng_err nng_msg_header_chop_u16(nng_msg *msg, uint16_t *value) PINWHEEL_SYM(nng_msg_header_chop_u16);
NNG_DECL nng_err nng_msg_header_chop_u32(nng_msg *msg, uint32_t *value) PINWHEEL_SYM(nng_msg_header_chop_u32);
NNG_DECL nng_err nng_msg_header_chop_u64(nng_msg *msg, uint64_t *value) PINWHEEL_SYM(nng_msg_header_chop_u64);

/* nng_msg_set_pipe, nng_msg_get_pipe: the pipe, kept as it is given; a fresh message's id is 0. */
NNG_DECL void nng_msg_set_pipe(nng_msg *msg, nng_pipe pipe) PINWHEEL_SYM(nng_msg_set_pipe);
NNG_DECL nng_pipe nng_msg_get_pipe(const nng_msg *msg) PINWHEEL_SYM(nng_msg_get_pipe);
/* nng_pipe_id: the pipe's id, a positive number; -1: none. */
NNG_DECL int nng_pipe_id(nng_pipe pipe) PINWHEEL_SYM(nng_pipe_id);

/* ---- Memory ------------------------------------------------------------------------------------------------ */

/*
 * nng_alloc: memory from where messages have theirs.
 *
 * Context:    any thread, no running engine needed; may wait for the allocator's lock.
 * Ownership:  the caller's, until nng_free; never the C library's free().
 * Effect:     zero bytes, aligned to 64. NULL: size is 0, or there is no memory.
 * Units:      bytes.
 * Source:     NNG 2.x's header and its memory chapter, which promises 8 bytes of alignment and no zeros.
 */
NNG_DECL void *nng_alloc(size_t size) PINWHEEL_SYM(nng_alloc);

/* nng_free: gives it back, on any thread; size is what nng_alloc was given. NULL: no effect. */
NNG_DECL void nng_free(void *memory, size_t size) PINWHEEL_SYM(nng_free);

/* nng_strdup: a copy of a string, by nng_alloc; NULL: no memory. A NULL text is misuse (R27). */
NNG_DECL char *nng_strdup(const char *text) PINWHEEL_SYM(nng_strdup);

/* nng_strfree: nng_free(text, strlen(text) + 1). NULL: no effect. */
NNG_DECL void nng_strfree(char *text) PINWHEEL_SYM(nng_strfree);

/* ---- Threads and synchronization ---------------------------------------------------------------------------- */

typedef struct nng_thread nng_thread;
typedef struct nng_mtx nng_mtx;
typedef struct nng_cv nng_cv;

/*
 * nng_thread_create: starts a thread that calls func(arg), and ends with it.
 *
 * Context:    any thread, no running engine needed; does not wait for func. The thread is one of the system's, not a
 *             shard: it may block. SIGPIPE is blocked in it.
 * Ownership:  the handle is the caller's, until nng_thread_destroy. arg is passed on, never looked at.
 * Effect:     *thrp is written on success only; func may run before that.
 * Errors:     NNG_ENOMEM (no memory, or no more threads). A NULL func or thrp is misuse (R27).
 * Source:     NNG 2.x's header and its threads chapter.
 */
NNG_DECL nng_err nng_thread_create(nng_thread **thrp, void (*func)(void *), void *arg)
    PINWHEEL_SYM(nng_thread_create);

/*
 * nng_thread_destroy: waits until func has returned, and releases the handle. NULL: no effect.
 *
 * Context:    any thread but that one, where it is misuse (R27); may block on func, so the caller must hold no lock
 *             that func takes. In a callback it holds up the shard, and func must not wait for that shard.
 * Ownership:  takes the handle.
 */
NNG_DECL void nng_thread_destroy(nng_thread *thr) PINWHEEL_SYM(nng_thread_destroy);

/*
 * nng_thread_set_name: what debuggers and top call the thread; NULL thread: the calling one.
 *
 * Context:    any thread; does not block.
 * Ownership:  name is read during the call only. A NULL name is misuse (R27).
 * Effect:     the first 15 bytes of the name.
 */
NNG_DECL void nng_thread_set_name(nng_thread *thr, const char *name) PINWHEEL_SYM(nng_thread_set_name);

/*
 * nng_mtx_alloc, nng_mtx_free: a lock that one thread holds at a time.
 *
 * Context:    any thread, no running engine needed. free: nobody holds it, waits for it, or has a condition variable
 *             of it. free of NULL: no effect.
 * Ownership:  the caller's, until nng_mtx_free. *mtxp is written on success only.
 * Errors:     NNG_ENOMEM. Freeing a lock that is held is misuse (R27).
 * Source:     NNG 2.x's header and its synchronization chapter.
 */
NNG_DECL nng_err nng_mtx_alloc(nng_mtx **mtxp) PINWHEEL_SYM(nng_mtx_alloc);
NNG_DECL void nng_mtx_free(nng_mtx *mtx) PINWHEEL_SYM(nng_mtx_free);

/*
 * nng_mtx_lock, nng_mtx_unlock: takes the lock, gives it back.
 *
 * Context:    lock may block on its holder; in a callback that holds up the shard (see H3 for what it must not wait
 *             for). unlock never blocks.
 * Errors:     a lock by the thread that holds it, an unlock by a thread that does not: misuse (R27), no effect.
 */
NNG_DECL void nng_mtx_lock(nng_mtx *mtx) PINWHEEL_SYM(nng_mtx_lock);
NNG_DECL void nng_mtx_unlock(nng_mtx *mtx) PINWHEEL_SYM(nng_mtx_unlock);

/*
 * nng_cv_alloc, nng_cv_free: a condition variable that belongs to a lock.
 *
 * Context:    any thread, no running engine needed. free: nobody waits, but for threads that have been woken and are
 *             about to return: it may block until they have. free of NULL: no effect.
 * Ownership:  the caller's, until nng_cv_free. *cvp is written on success only. The lock must outlive it.
 * Errors:     NNG_ENOMEM.
 */
NNG_DECL nng_err nng_cv_alloc(nng_cv **cvp, nng_mtx *mtx) PINWHEEL_SYM(nng_cv_alloc);
NNG_DECL void nng_cv_free(nng_cv *cv) PINWHEEL_SYM(nng_cv_free);

/*
 * nng_cv_wait, nng_cv_until: give the lock back, sleep until woken, take the lock again.
 *
 * Context:    the thread that holds the lock; may block on a wake, and on the lock. In a callback that holds up the
 *             shard: what wakes it must not need that shard.
 * Effect:     may return without a wake, so the condition is tested in a loop. The lock is held again in every case.
 * Units:      until: milliseconds on nng_clock; never early. All ones: never. A time in the past, 0 included: the
 *             lock is given up for a moment and the answer is NNG_ETIMEDOUT.
 * Errors:     until: NNG_ETIMEDOUT. Without the lock: misuse (R27), no effect (until: NNG_EINVAL).
 * Source:     NNG 2.x's header and its synchronization chapter; NNG answers NNG_EAGAIN to the time 0.
 */
NNG_DECL void nng_cv_wait(nng_cv *cv) PINWHEEL_SYM(nng_cv_wait);
NNG_DECL nng_err nng_cv_until(nng_cv *cv, nng_time when) PINWHEEL_SYM(nng_cv_until);

/* nng_cv_wake, nng_cv_wake1: wake all who wait, or one of them. Any thread, the lock held or not; never block. */
NNG_DECL void nng_cv_wake(nng_cv *cv) PINWHEEL_SYM(nng_cv_wake);
NNG_DECL void nng_cv_wake1(nng_cv *cv) PINWHEEL_SYM(nng_cv_wake1);

/*
 * nng_random: 32 bits that nobody can foresee, from the system's generator; good for keys.
 *
 * Context:    any thread; a system call, which may block early in the system's boot.
 * Errors:     none: where the system has no such numbers the process is ended with a line on stderr.
 */
NNG_DECL uint32_t nng_random(void) PINWHEEL_SYM(nng_random);

/* ---- Log --------------------------------------------------------------------------------------------------- */

/* How bad it is: a smaller number is worse. The values are syslog's. */
typedef enum nng_log_level {
	NNG_LOG_NONE = 0, /* for nng_log_set_level only: nothing passes */
	NNG_LOG_ERR = 3,
	NNG_LOG_WARN = 4,
	NNG_LOG_NOTICE = 5,
	NNG_LOG_INFO = 6,
	NNG_LOG_DEBUG = 7
} nng_log_level;

/* Who says it. The values are syslog's; NNG_LOG_AUTH is its AUTHPRIV. */
typedef enum nng_log_facility {
	NNG_LOG_USER = 1,
	NNG_LOG_DAEMON = 3,
	NNG_LOG_AUTH = 10,
	NNG_LOG_LOCAL0 = 16,
	NNG_LOG_LOCAL1 = 17,
	NNG_LOG_LOCAL2 = 18,
	NNG_LOG_LOCAL3 = 19,
	NNG_LOG_LOCAL4 = 20,
	NNG_LOG_LOCAL5 = 21,
	NNG_LOG_LOCAL6 = 22,
	NNG_LOG_LOCAL7 = 23
} nng_log_facility;

/*
 * A logger: where messages go.
 *
 * Context:    called on the thread that logs, several at once; on a shard's thread too, which it holds up. It must
 *             not start or stop the engine, nor call a function that waits.
 * Ownership:  msgid (may be NULL) and msg (without a newline, unless the caller's text has one) hold during the call.
 */
typedef void (*nng_logger)(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg);

/*
 * The loggers of the library.
 *
 *   nng_null_logger    drops the message; the one that is set at first
 *   nng_stderr_logger  one line on stderr: local time, level, msgid, text; in colours by level on a terminal, unless
 *                      NO_COLOR or NNG_LOG_NO_COLOR is in the environment
 *   nng_system_logger  syslog(3), as the program's openlog() arranged it
 */
NNG_DECL void nng_null_logger(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
    PINWHEEL_SYM(nng_null_logger);
NNG_DECL void nng_stderr_logger(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
    PINWHEEL_SYM(nng_stderr_logger);
NNG_DECL void nng_system_logger(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
    PINWHEEL_SYM(nng_system_logger);

/*
 * nng_log_set_logger: the logger from now on; NULL: nng_null_logger.
 *
 * Context:    any thread; wait-free. A message that another thread is logging may still reach the old one.
 * Effect:     holds across nng_fini. The library's own lines (misuse, a bad setting, a call that waits too long) are
 *             on stderr and in pinwheel_config.on_log as ever; a logger gets them as well, with msgid "pinwheel",
 *             NNG_LOG_ERR for misuse and NNG_LOG_WARN for others, but nng_stderr_logger does not say them twice.
 * Source:     NNG 2.x's header and its logging chapter.
 */
NNG_DECL void nng_log_set_logger(nng_logger logger) PINWHEEL_SYM(nng_log_set_logger);

/* nng_log_set_level, nng_log_get_level: the mildest level that passes, NNG_LOG_NOTICE at first. Any thread;
 * wait-free. */
NNG_DECL void nng_log_set_level(nng_log_level level) PINWHEEL_SYM(nng_log_set_level);
NNG_DECL nng_log_level nng_log_get_level(void) PINWHEEL_SYM(nng_log_get_level);

/* nng_log_set_facility: what the logger is told as facility, NNG_LOG_USER at first. Any thread; wait-free. */
NNG_DECL void nng_log_set_facility(nng_log_facility facility) PINWHEEL_SYM(nng_log_set_facility);

/*
 * nng_log_err, _warn, _notice, _info, _debug, nng_log_auth: log a message, made as printf makes it.
 *
 * Context:    any thread; blocks as the logger does. Below the level nothing is formatted and nobody is called.
 * Ownership:  msgid names the kind of message; NULL: none. All is read during the call only. A NULL msg is misuse
 *             (R27).
 * Effect:     the logger is called with the text, cut to 1023 bytes. auth: with facility NNG_LOG_AUTH, and at the
 *             level it is given; NNG_LOG_NONE and what is no level: not logged.
 */
NNG_DECL void nng_log_err(const char *msgid, const char *msg, ...) PINWHEEL_SYM(nng_log_err);
NNG_DECL void nng_log_warn(const char *msgid, const char *msg, ...) PINWHEEL_SYM(nng_log_warn);
NNG_DECL void nng_log_notice(const char *msgid, const char *msg, ...) PINWHEEL_SYM(nng_log_notice);
NNG_DECL void nng_log_info(const char *msgid, const char *msg, ...) PINWHEEL_SYM(nng_log_info);
NNG_DECL void nng_log_debug(const char *msgid, const char *msg, ...) PINWHEEL_SYM(nng_log_debug);
NNG_DECL void nng_log_auth(nng_log_level level, const char *msgid, const char *msg, ...) PINWHEEL_SYM(nng_log_auth);

/* ---- Addresses --------------------------------------------------------------------------------------------- */

enum nng_sockaddr_family {
	NNG_AF_UNSPEC = 0,
	NNG_AF_INPROC = 1,
	NNG_AF_IPC = 2, /* a Unix-domain socket with a path */
	NNG_AF_INET = 3,
	NNG_AF_INET6 = 4,
	NNG_AF_ABSTRACT = 5 /* a Unix-domain socket with a name of Linux's abstract namespace, or unnamed (length 0) */
};

struct nng_sockaddr_inproc {
	uint16_t sa_family;
	char sa_name[NNG_MAXADDRLEN];
};

struct nng_sockaddr_path {
	uint16_t sa_family;
	char sa_path[NNG_MAXADDRLEN]; /* NUL-terminated */
};

struct nng_sockaddr_in6 {
	uint16_t sa_family;
	uint16_t sa_port;    /* network byte order */
	uint32_t sa_scope;   /* interface index, host byte order; 0: none */
	uint8_t sa_addr[16]; /* network byte order */
};

struct nng_sockaddr_in {
	uint16_t sa_family;
	uint16_t sa_port; /* network byte order */
	uint32_t sa_addr; /* network byte order */
};

struct nng_sockaddr_abstract {
	uint16_t sa_family;
	uint16_t sa_len;      /* bytes of sa_name in use, 0 to 107 */
	uint8_t sa_name[107]; /* without the leading NUL; may hold any byte */
};

/* As large as any of them. */
struct nng_sockaddr_storage {
	uint16_t sa_family;
	uint64_t sa_pad[16];
};

typedef struct nng_sockaddr_inproc nng_sockaddr_inproc;
typedef struct nng_sockaddr_path nng_sockaddr_path;
typedef struct nng_sockaddr_path nng_sockaddr_ipc;
typedef struct nng_sockaddr_in nng_sockaddr_in;
typedef struct nng_sockaddr_in6 nng_sockaddr_in6;
typedef struct nng_sockaddr_abstract nng_sockaddr_abstract;
typedef struct nng_sockaddr_storage nng_sockaddr_storage;

typedef union nng_sockaddr {
	uint16_t s_family; /* enum nng_sockaddr_family: which member holds */
	nng_sockaddr_ipc s_ipc;
	nng_sockaddr_inproc s_inproc;
	nng_sockaddr_in6 s_in6;
	nng_sockaddr_in s_in;
	nng_sockaddr_abstract s_abstract;
	nng_sockaddr_storage s_storage;
} nng_sockaddr;

/*
 * nng_str_sockaddr: an address as text, for people; not made to be parsed.
 *
 * Context:    any thread; never blocks.
 * Ownership:  writes into buf, at most bufsz bytes, always terminated, cut short if it must be; returns buf.
 *             NNG_MAXADDRSTRLEN bytes hold every address.
 * Effect:     "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%2]:80", a path, "abstract[name]", "inproc[name]";
 *             "unknown" for any other family. bufsz 0: nothing is written.
 */
NNG_DECL const char *nng_str_sockaddr(const nng_sockaddr *sa, char *buf, size_t bufsz) PINWHEEL_SYM(nng_str_sockaddr);

/*
 * nng_sockaddr_port: the port of an internet address, in host byte order; 0 for families that have none.
 *
 * Context:    any thread; wait-free.
 */
NNG_DECL uint32_t nng_sockaddr_port(const nng_sockaddr *sa) PINWHEEL_SYM(nng_sockaddr_port);

/*
 * nng_sockaddr_equal: do the two say the same address?
 *
 * Context:    any thread; wait-free.
 * Effect:     compares the family and what it means there: the scope and the port too, a path or name up to its end;
 *             never padding. Two addresses of NNG_AF_UNSPEC are equal.
 */
NNG_DECL bool nng_sockaddr_equal(const nng_sockaddr *sa1, const nng_sockaddr *sa2) PINWHEEL_SYM(nng_sockaddr_equal);

/*
 * nng_sockaddr_hash: a number that stands for an address, to find it in a table.
 *
 * Context:    any thread; wait-free.
 * Effect:     never 0; the same for equal addresses, another for most others. Of this machine and this version only.
 */
NNG_DECL uint64_t nng_sockaddr_hash(const nng_sockaddr *sa) PINWHEEL_SYM(nng_sockaddr_hash);

/*
 * nng_socket_pair: two descriptors that are connected with one another, for a listener of socket:// or for a child.
 *
 * Context:    any thread; never blocks.
 * Ownership:  the caller closes them, or gives one away with NNG_OPT_SOCKET_FD.
 * Effect:     Unix-domain stream sockets, as socketpair(2) makes them: blocking, and inherited by exec.
 * Errors:     NNG_EINVAL (NULL), NNG_ENOFILES, NNG_ENOMEM.
 */
NNG_DECL nng_err nng_socket_pair(int fds[2]) PINWHEEL_SYM(nng_socket_pair);

/* ---- URLs -------------------------------------------------------------------------------------------------- */

/* A URL in its parts. Its functions: any thread; a URL that no thread changes may be read by several. NULL, where it
 * is not said to have no effect, is misuse. */
typedef struct nng_url nng_url;

/*
 * nng_url_parse: takes a URL apart.
 *
 * Context:    any thread; allocates; makes no system call.
 * Ownership:  *urlp is the caller's, until nng_url_free; the text is not kept.
 * Effect:     *urlp is written on success only. scheme://[user@]host[:port][/path][?query][#fragment], in normal
 *             form: scheme and host in lower case; in the other parts escapes of letters, digits, "-._~" and of UTF-8
 *             are decoded; in a path "//", "." and ".." are carried out. A host in brackets is an IPv6 address.
 *             Without a port: the scheme's own (http 80, wss 443, ...), else 0. inproc, ipc, unix, abstract and
 *             socket have a path alone: the rest, as it stands.
 * Errors:     NNG_EINVAL (NULL, malformed, a port above 65535, a host of more than 253 bytes, a text of more than
 *             8191), NNG_ENOTSUP (a scheme that is not known: see Streams for those that streams speak), NNG_ENOMEM.
 * Source:     NNG 2.x's header and its chapter on URLs. NNG takes a scheme that is the beginning of a known one, has
 *             schemes in lower case only, takes names of services as ports, and has no bounds but the host's.
 */
NNG_DECL nng_err nng_url_parse(nng_url **urlp, const char *text) PINWHEEL_SYM(nng_url_parse);

/*
 * nng_url_clone: a copy, with a life of its own.
 *
 * Errors:     NNG_ENOMEM, NNG_EINVAL (NULL).
 */
NNG_DECL nng_err nng_url_clone(nng_url **urlp, const nng_url *url) PINWHEEL_SYM(nng_url_clone);

/* nng_url_free: releases it, and the texts that were got from it. NULL: no effect. */
NNG_DECL void nng_url_free(nng_url *url) PINWHEEL_SYM(nng_url_free);

/*
 * nng_url_sprintf: writes the URL as a text, as snprintf does.
 *
 * Effect:     at most bufsz bytes, terminated if bufsz is not 0 (then buf may be NULL); returns the length of the
 *             whole text. The port is left out where it is the scheme's own, or 0; the user is left out always: it
 *             may hold a password. Parsed again it gives the same URL, but for the user.
 */
NNG_DECL int nng_url_sprintf(char *buf, size_t bufsz, const nng_url *url) PINWHEEL_SYM(nng_url_sprintf);

/*
 * nng_url_scheme, _userinfo, _hostname, _port, _path, _query, _fragment: the parts.
 *
 * Context:    any thread; wait-free.
 * Ownership:  the URL's: texts hold until nng_url_free.
 * Effect:     without their delimiters. userinfo, query, fragment: NULL where the URL has none. hostname: NULL where
 *             the scheme has none, else perhaps empty. path: never NULL. port: in the machine's byte order.
 */
NNG_DECL const char *nng_url_scheme(const nng_url *url) PINWHEEL_SYM(nng_url_scheme);
NNG_DECL const char *nng_url_userinfo(const nng_url *url) PINWHEEL_SYM(nng_url_userinfo);
NNG_DECL const char *nng_url_hostname(const nng_url *url) PINWHEEL_SYM(nng_url_hostname);
NNG_DECL uint32_t nng_url_port(const nng_url *url) PINWHEEL_SYM(nng_url_port);
NNG_DECL const char *nng_url_path(const nng_url *url) PINWHEEL_SYM(nng_url_path);
NNG_DECL const char *nng_url_query(const nng_url *url) PINWHEEL_SYM(nng_url_query);
NNG_DECL const char *nng_url_fragment(const nng_url *url) PINWHEEL_SYM(nng_url_fragment);

/*
 * nng_url_resolve_port: gives a URL with port 0 the port that the system chose.
 *
 * Effect:     none on a URL that has a port, or whose scheme has no host; none with a port above 65535.
 */
NNG_DECL void nng_url_resolve_port(nng_url *url, uint32_t port) PINWHEEL_SYM(nng_url_resolve_port);

/* ---- Streams ----------------------------------------------------------------------------------------------- */

/*
 * Byte streams over TCP (v4, v6) and Unix-domain sockets. A stream comes from a dialer or a listener.
 *
 * URLs:
 *   tcp://host:port     host is an IPv4 address, an IPv6 address in brackets, a name, or nothing: a listener's every
 *                       local address. Without a port: 0, which a listener lets the system choose; a dialer needs
 *                       one.
 *   tcp4:// tcp6://     the same, with addresses of that family only
 *   ipc:// unix://      a path of at most 107 bytes
 *   abstract://name     at most 107 bytes, escapes (%00) decoded; a listener without a name lets the system choose
 *   one
 *                       (NNG_OPT_LOCADDR)
 *   socket://           a listener alone: its streams are the descriptors that NNG_OPT_SOCKET_FD gives it
 * tls+tcp, ws, wss, udp and every other scheme: NNG_ENOTSUP.
 *
 * The functions that take an nng_aio are providers in the sense above: they submit and return, lock-free, from any
 * thread; the handle must not be busy (misuse, R27); a stopped handle, or a deadline that is over, refuses with one
 * completion (R9, R10, R15); timeout, abort, cancel and stop work on every one of them. Callbacks run on the handle's
 * home shard, which need not be the stream's. None of them is called on an object being freed.
 */
typedef struct nng_stream nng_stream;
typedef struct nng_stream_dialer nng_stream_dialer;
typedef struct nng_stream_listener nng_stream_listener;

/* Options; nng_stream_get_bool says what they share. */
#define NNG_OPT_LOCADDR "local-address"  /* address: the own end; of a dialer: what its streams are bound to */
#define NNG_OPT_REMADDR "remote-address" /* address, read only: the other end; 1.x */
#define NNG_OPT_BOUND_PORT "bound-port"           /* int, read only: the local port */
#define NNG_OPT_TCP_BOUND_PORT NNG_OPT_BOUND_PORT /* its name in 1.x */
#define NNG_OPT_TCP_NODELAY "tcp-nodelay"         /* bool, on unless set otherwise: small writes leave at once */
#define NNG_OPT_TCP_KEEPALIVE "tcp-keepalive"     /* bool, off unless set otherwise: a silent peer is probed */
#define NNG_OPT_LISTEN_FD "listen-fd"             /* int, write only: a socket that listens (socket activation) */
#define NNG_OPT_SOCKET_FD "socket:fd"             /* int, write only: a connection, for a listener of socket:// */
#define NNG_OPT_IPC_PERMISSIONS "ipc:permissions" /* int, write only: the mode of the socket's file, 0 to 07777 */
#define NNG_OPT_PEER_UID "ipc:peer-uid"           /* int, read only: the other process's user, ... */
#define NNG_OPT_PEER_GID "ipc:peer-gid"           /* ... its group, ... */
#define NNG_OPT_PEER_PID "ipc:peer-pid"           /* ... and its number, when it connected or listened */
#define NNG_OPT_PEER_ZONEID "ipc:peer-zoneid"     /* of other systems: not supported here */
#define NNG_OPT_IPC_PEER_UID NNG_OPT_PEER_UID
#define NNG_OPT_IPC_PEER_GID NNG_OPT_PEER_GID
#define NNG_OPT_IPC_PEER_PID NNG_OPT_PEER_PID
#define NNG_OPT_IPC_PEER_ZONEID NNG_OPT_PEER_ZONEID

/*
 * nng_stream_send: sends bytes from the handle's iov.
 *
 * Context:    as all stream operations, above.
 * Ownership:  the iov's memory is the library's until the completion.
 * Effect:     completes after at least one byte; nng_aio_count says how many, possibly fewer than asked. Several may
 *             be outstanding; the operations end in the order of submission (the callbacks of handles that live on
 *             different shards may still overtake each other).
 * Errors:     NNG_EINVAL (an iov of total length 0), NNG_ECLOSED (the peer has closed; or this stream is, now or
 *             before), NNG_ECONNRESET, NNG_ETIMEDOUT, NNG_ECANCELED, NNG_ESTOPPED, NNG_ESYSERR + errno.
 * Source:     NNG 2.x's header and its stream chapter. A send to a peer that has closed is NNG_ECLOSED (EPIPE).
 */
NNG_DECL void nng_stream_send(nng_stream *stream, nng_aio *aio) PINWHEEL_SYM(nng_stream_send);

/*
 * nng_stream_recv: receives bytes into the handle's iov.
 *
 * Context:    as all stream operations, above.
 * Ownership:  the iov's memory is the library's until the completion.
 * Effect:     completes after at least one byte; nng_aio_count says how many. Several may be outstanding; the
 *             operations end in the order of submission, as nng_stream_send says. The end of the stream is
 *             NNG_ECONNSHUT, after all bytes have been delivered, and for every later receive: never result 0 with
 *             count 0.
 * Errors:     NNG_ECONNSHUT, NNG_EINVAL (an iov of total length 0: it would read as the end), NNG_ECONNRESET,
 *             NNG_ECLOSED (this stream is closed, now or before), NNG_ETIMEDOUT, NNG_ECANCELED, NNG_ESTOPPED,
 *             NNG_ESYSERR + errno.
 */
NNG_DECL void nng_stream_recv(nng_stream *stream, nng_aio *aio) PINWHEEL_SYM(nng_stream_recv);

/*
 * nng_stream_close: ends the stream.
 *
 * Context:    any thread; lock-free; never waits. NULL: no effect.
 * Effect:     pending and later operations end with NNG_ECLOSED. Idempotent. The object stays until nng_stream_free.
 */
NNG_DECL void nng_stream_close(nng_stream *stream) PINWHEEL_SYM(nng_stream_close);

/*
 * nng_stream_stop: closes, and waits until nothing is pending and the kernel holds nothing of the stream.
 *
 * Context:    any thread; may block on the kernel and on the callbacks of its operations; on a shard thread see H4
 *             (R26). NULL: no effect.
 */
NNG_DECL void nng_stream_stop(nng_stream *stream) PINWHEEL_SYM(nng_stream_stop);

/*
 * nng_stream_free: stops and releases the stream.
 *
 * Context:    as nng_stream_stop; but inside a callback or cancel function it never blocks: it closes, and releases
 *             later, as nng_aio_reap does (R26). NULL: no effect.
 * Ownership:  takes the stream; no other thread may be inside, or enter, a call on it.
 */
NNG_DECL void nng_stream_free(nng_stream *stream) PINWHEEL_SYM(nng_stream_free);

/*
 * nng_stream_peer_addr, nng_stream_self_addr: the two ends of a stream.
 *
 * Context:    any thread; wait-free.
 * Ownership:  the stream's: valid until nng_stream_free. Network byte order.
 */
NNG_DECL const nng_sockaddr *nng_stream_peer_addr(nng_stream *stream) PINWHEEL_SYM(nng_stream_peer_addr);
NNG_DECL const nng_sockaddr *nng_stream_self_addr(nng_stream *stream) PINWHEEL_SYM(nng_stream_self_addr);

/*
 * nng_stream_get_*, nng_stream_set_*, and the same for dialers and listeners below: options.
 *
 *                         type     stream           dialer           listener
 * NNG_OPT_LOCADDR         addr     get              get, set: TCP    get
 * NNG_OPT_REMADDR         addr     get              -                -
 * NNG_OPT_BOUND_PORT      int      get: TCP         -                get: TCP
 * NNG_OPT_TCP_NODELAY     bool     get, set: TCP    get, set: TCP    get, set: TCP
 * NNG_OPT_TCP_KEEPALIVE   bool     get, set: TCP    get, set: TCP    get, set: TCP
 * NNG_OPT_LISTEN_FD       int      -                -                set: all but socket://
 * NNG_OPT_SOCKET_FD       int      -                -                set: socket://
 * NNG_OPT_IPC_PERMISSIONS int      -                -                set: ipc, unix, abstract (no effect there)
 * NNG_OPT_PEER_UID, _GID, _PID
 *                         int      get: not TCP     -                -
 *
 * Context:    any thread; may take a lock for a moment, never waits for I/O.
 * Ownership:  addresses are copied. A descriptor that NNG_OPT_LISTEN_FD or NNG_OPT_SOCKET_FD took is the library's,
 *             which makes it non-blocking and closes it; after an error it is the caller's still.
 * Effect:     a get writes *value on success only. A dialer's or listener's TCP options are those its later streams
 *             start with; a stream's act at once. A dialer's NNG_OPT_LOCADDR is an address with port 0, which later
 *             streams are bound to before they connect; NNG_AF_UNSPEC, as at first: any. A listener's is
 *             NNG_AF_UNSPEC before it listens; the addresses of socket:// are NNG_AF_UNSPEC always.
 *             NNG_OPT_LISTEN_FD stands in place of nng_stream_listener_listen; the file of such a socket is not
 *             removed at the end. NNG_OPT_SOCKET_FD may be set again and again: each descriptor is one stream.
 * Errors:     NNG_ENOTSUP (an option this object does not have: an unknown name, another transport's, a peer of a
 *             socket:// descriptor that is no Unix-domain one), NNG_EREADONLY, NNG_EWRITEONLY, NNG_EBADTYPE (not of
 *             that type), tested in this order; NNG_ECLOSED.
 *             NNG_EINVAL: a name or a pointer that is NULL; a mode outside 0 to 07777; a descriptor that is not open,
 *             or is no stream socket that listens (NNG_OPT_LISTEN_FD), or that does not (NNG_OPT_SOCKET_FD).
 *             NNG_EADDRINVAL: a local address with a port, or of another family; a socket that listens on another
 *             family than the URL's scheme has. NNG_ESTATE: a listener's port before listen. NNG_EBUSY:
 *             NNG_OPT_LISTEN_FD or NNG_OPT_IPC_PERMISSIONS of a listener that listens. NNG_ENOSPC: 16 descriptors
 *             wait in a listener of socket:// already.
 *             No option is of type ms, size, uint64 or string: those forms answer one of the first four.
 * Source:     NNG 2.x's header and its chapters on streams, tcp, ipc and socket; nng_stream_set_* and *_get_addr from
 *             1.x, where 2.x has none. NNG answers a descriptor that is none with NNG_ECLOSED, and a dialer's local
 *             address of NNG_AF_UNSPEC with NNG_EADDRINVAL.
 */
NNG_DECL nng_err nng_stream_get_bool(nng_stream *stream, const char *name, bool *value)
    PINWHEEL_SYM(nng_stream_get_bool);
NNG_DECL nng_err nng_stream_get_int(nng_stream *stream, const char *name, int *value)
    PINWHEEL_SYM(nng_stream_get_int);
NNG_DECL nng_err nng_stream_get_ms(nng_stream *stream, const char *name, nng_duration *value)
    PINWHEEL_SYM(nng_stream_get_ms);
NNG_DECL nng_err nng_stream_get_size(nng_stream *stream, const char *name, size_t *value)
    PINWHEEL_SYM(nng_stream_get_size);
NNG_DECL nng_err nng_stream_get_uint64(nng_stream *stream, const char *name, uint64_t *value)
    PINWHEEL_SYM(nng_stream_get_uint64);
NNG_DECL nng_err nng_stream_get_string(nng_stream *stream, const char *name, const char **value)
    PINWHEEL_SYM(nng_stream_get_string);
NNG_DECL nng_err nng_stream_get_addr(nng_stream *stream, const char *name, nng_sockaddr *value)
    PINWHEEL_SYM(nng_stream_get_addr);
NNG_DECL nng_err nng_stream_set_bool(nng_stream *stream, const char *name, bool value)
    PINWHEEL_SYM(nng_stream_set_bool);
NNG_DECL nng_err nng_stream_set_int(nng_stream *stream, const char *name, int value) PINWHEEL_SYM(nng_stream_set_int);
NNG_DECL nng_err nng_stream_set_ms(nng_stream *stream, const char *name, nng_duration value)
    PINWHEEL_SYM(nng_stream_set_ms);
NNG_DECL nng_err nng_stream_set_size(nng_stream *stream, const char *name, size_t value)
    PINWHEEL_SYM(nng_stream_set_size);
NNG_DECL nng_err nng_stream_set_uint64(nng_stream *stream, const char *name, uint64_t value)
    PINWHEEL_SYM(nng_stream_set_uint64);
NNG_DECL nng_err nng_stream_set_string(nng_stream *stream, const char *name, const char *value)
    PINWHEEL_SYM(nng_stream_set_string);
NNG_DECL nng_err nng_stream_set_addr(nng_stream *stream, const char *name, const nng_sockaddr *value)
    PINWHEEL_SYM(nng_stream_set_addr);

/*
 * TLS is not here. The types exist so that programs compile; the functions answer NNG_ENOTSUP and touch nothing.
 */
typedef struct nng_tls_config nng_tls_config;
typedef struct nng_tls_cert nng_tls_cert;

NNG_DECL nng_err nng_stream_peer_cert(nng_stream *stream, nng_tls_cert **certp) PINWHEEL_SYM(nng_stream_peer_cert);

/* ---- Dialers ----------------------------------------------------------------------------------------------- */

/*
 * nng_stream_dialer_alloc, nng_stream_dialer_alloc_url: makes a dialer for a URL.
 *
 * Context:    any thread; starts the engine when nothing else has (R0), otherwise does not block. No name is resolved
 *             here.
 * Ownership:  the caller's, until nng_stream_dialer_free. The URL is copied.
 * Effect:     *dialerp is written on success only.
 * Errors:     NNG_ENOTSUP (scheme; socket://), NNG_EINVAL (NULL, malformed, too long, a port above 65535; a user, a
 *             path, a query or a fragment with tcp; a dialer without a host, a port, or an abstract name),
 *             NNG_EADDRINVAL (an address that tcp4 or tcp6 excludes), NNG_ENOMEM; and what nng_init returns when it
 *             had to start the engine.
 */
NNG_DECL nng_err nng_stream_dialer_alloc(nng_stream_dialer **dialerp, const char *url)
    PINWHEEL_SYM(nng_stream_dialer_alloc);
NNG_DECL nng_err nng_stream_dialer_alloc_url(nng_stream_dialer **dialerp, const nng_url *url)
    PINWHEEL_SYM(nng_stream_dialer_alloc_url);

/*
 * nng_stream_dialer_dial: makes a connection.
 *
 * Context:    as all stream operations, above; takes two short locks (the pool of stream records, the dialer's list
 *             of dials). Names are resolved on a shard's own poller, under the handle's deadline, and can be
 *             cancelled there.
 * Ownership:  on success output 0 is an nng_stream of the consumer. On any error output 0 is NULL.
 * Effect:     several may be outstanding on one dialer, each its own connection. The addresses of a name are tried in
 *             turn.
 * Errors:     NNG_ECONNREFUSED (also a Unix-domain path where nothing is), NNG_EADDRINVAL (the name is not found, or
 *             its lookup failed; or NNG_OPT_LOCADDR is no address of this machine, or of another family),
 *             NNG_EUNREACHABLE, NNG_ETIMEDOUT (the name server's silence too), NNG_ECANCELED, NNG_ESTOPPED,
 *             NNG_ECLOSED, NNG_EPERM, NNG_ENOFILES, NNG_ENOMEM, NNG_ESYSERR + errno.
 */
NNG_DECL void nng_stream_dialer_dial(nng_stream_dialer *dialer, nng_aio *aio) PINWHEEL_SYM(nng_stream_dialer_dial);

/*
 * nng_stream_dialer_close, _stop, _free: as nng_stream_close, _stop and _free (R26): what is being dialled ends with
 * NNG_ECLOSED. The streams it has made live on.
 */
NNG_DECL void nng_stream_dialer_close(nng_stream_dialer *dialer) PINWHEEL_SYM(nng_stream_dialer_close);
NNG_DECL void nng_stream_dialer_stop(nng_stream_dialer *dialer) PINWHEEL_SYM(nng_stream_dialer_stop);
NNG_DECL void nng_stream_dialer_free(nng_stream_dialer *dialer) PINWHEEL_SYM(nng_stream_dialer_free);

/* Options of a dialer: see nng_stream_get_bool. */
NNG_DECL nng_err nng_stream_dialer_get_bool(nng_stream_dialer *dialer, const char *name, bool *value)
    PINWHEEL_SYM(nng_stream_dialer_get_bool);
NNG_DECL nng_err nng_stream_dialer_get_int(nng_stream_dialer *dialer, const char *name, int *value)
    PINWHEEL_SYM(nng_stream_dialer_get_int);
NNG_DECL nng_err nng_stream_dialer_get_ms(nng_stream_dialer *dialer, const char *name, nng_duration *value)
    PINWHEEL_SYM(nng_stream_dialer_get_ms);
NNG_DECL nng_err nng_stream_dialer_get_size(nng_stream_dialer *dialer, const char *name, size_t *value)
    PINWHEEL_SYM(nng_stream_dialer_get_size);
NNG_DECL nng_err nng_stream_dialer_get_uint64(nng_stream_dialer *dialer, const char *name, uint64_t *value)
    PINWHEEL_SYM(nng_stream_dialer_get_uint64);
NNG_DECL nng_err nng_stream_dialer_get_string(nng_stream_dialer *dialer, const char *name, const char **value)
    PINWHEEL_SYM(nng_stream_dialer_get_string);
NNG_DECL nng_err nng_stream_dialer_get_addr(nng_stream_dialer *dialer, const char *name, nng_sockaddr *value)
    PINWHEEL_SYM(nng_stream_dialer_get_addr);
NNG_DECL nng_err nng_stream_dialer_set_bool(nng_stream_dialer *dialer, const char *name, bool value)
    PINWHEEL_SYM(nng_stream_dialer_set_bool);
NNG_DECL nng_err nng_stream_dialer_set_int(nng_stream_dialer *dialer, const char *name, int value)
    PINWHEEL_SYM(nng_stream_dialer_set_int);
NNG_DECL nng_err nng_stream_dialer_set_ms(nng_stream_dialer *dialer, const char *name, nng_duration value)
    PINWHEEL_SYM(nng_stream_dialer_set_ms);
NNG_DECL nng_err nng_stream_dialer_set_size(nng_stream_dialer *dialer, const char *name, size_t value)
    PINWHEEL_SYM(nng_stream_dialer_set_size);
NNG_DECL nng_err nng_stream_dialer_set_uint64(nng_stream_dialer *dialer, const char *name, uint64_t value)
    PINWHEEL_SYM(nng_stream_dialer_set_uint64);
NNG_DECL nng_err nng_stream_dialer_set_string(nng_stream_dialer *dialer, const char *name, const char *value)
    PINWHEEL_SYM(nng_stream_dialer_set_string);
NNG_DECL nng_err nng_stream_dialer_set_addr(nng_stream_dialer *dialer, const char *name, const nng_sockaddr *value)
    PINWHEEL_SYM(nng_stream_dialer_set_addr);

/* See nng_tls_config. */
NNG_DECL nng_err nng_stream_dialer_get_tls(nng_stream_dialer *dialer, nng_tls_config **configp)
    PINWHEEL_SYM(nng_stream_dialer_get_tls);
NNG_DECL nng_err nng_stream_dialer_set_tls(nng_stream_dialer *dialer, nng_tls_config *config)
    PINWHEEL_SYM(nng_stream_dialer_set_tls);

/* ---- Listeners --------------------------------------------------------------------------------------------- */

/*
 * nng_stream_listener_alloc, _alloc_url: makes a listener for a URL; nng_stream_listener_listen binds it.
 *
 * Context, Ownership, Effect, Errors: as nng_stream_dialer_alloc, but for what a dialer alone must have.
 */
NNG_DECL nng_err nng_stream_listener_alloc(nng_stream_listener **listenerp, const char *url)
    PINWHEEL_SYM(nng_stream_listener_alloc);
NNG_DECL nng_err nng_stream_listener_alloc_url(nng_stream_listener **listenerp, const nng_url *url)
    PINWHEEL_SYM(nng_stream_listener_alloc_url);

/*
 * nng_stream_listener_listen: binds and listens.
 *
 * Context:    any thread; done in the caller. Does not block, unless the URL has a name that is not an address: that
 *             is looked up in the caller. Port 0: the system chooses, see NNG_OPT_BOUND_PORT. A listener of socket://
 *             needs no listen; one that NNG_OPT_LISTEN_FD was set of listens already.
 * Errors:     NNG_EADDRINUSE, NNG_EADDRINVAL (no such local address), NNG_ENOENT (no such folder), NNG_EPERM,
 *             NNG_ENOFILES, NNG_ESTATE (listens already), NNG_ECLOSED, NNG_ESYSERR + errno.
 */
NNG_DECL nng_err nng_stream_listener_listen(nng_stream_listener *listener) PINWHEEL_SYM(nng_stream_listener_listen);

/*
 * nng_stream_listener_accept: takes a connection.
 *
 * Context:    as all stream operations, above.
 * Ownership:  on success output 0 is an nng_stream of the consumer. On any error output 0 is NULL.
 * Effect:     several may be outstanding. Connections are spread over the shards. With descriptors exhausted the
 *             accept stays pending and is tried again every 10 ms, as long as one is pending.
 * Errors:     NNG_ESTATE (not listening), NNG_ECLOSED, NNG_ENOMEM, NNG_ETIMEDOUT, NNG_ECANCELED, NNG_ESTOPPED,
 *             NNG_ESYSERR + errno.
 */
NNG_DECL void nng_stream_listener_accept(nng_stream_listener *listener, nng_aio *aio)
    PINWHEEL_SYM(nng_stream_listener_accept);

/*
 * nng_stream_listener_close, _stop, _free: as nng_stream_close, _stop and _free (R26): pending accepts end with
 * NNG_ECLOSED. The streams it has made live on.
 */
NNG_DECL void nng_stream_listener_close(nng_stream_listener *listener) PINWHEEL_SYM(nng_stream_listener_close);
NNG_DECL void nng_stream_listener_stop(nng_stream_listener *listener) PINWHEEL_SYM(nng_stream_listener_stop);
NNG_DECL void nng_stream_listener_free(nng_stream_listener *listener) PINWHEEL_SYM(nng_stream_listener_free);

/* Options of a listener: see nng_stream_get_bool. */
NNG_DECL nng_err nng_stream_listener_get_bool(nng_stream_listener *listener, const char *name, bool *value)
    PINWHEEL_SYM(nng_stream_listener_get_bool);
NNG_DECL nng_err nng_stream_listener_get_int(nng_stream_listener *listener, const char *name, int *value)
    PINWHEEL_SYM(nng_stream_listener_get_int);
NNG_DECL nng_err nng_stream_listener_get_ms(nng_stream_listener *listener, const char *name, nng_duration *value)
    PINWHEEL_SYM(nng_stream_listener_get_ms);
NNG_DECL nng_err nng_stream_listener_get_size(nng_stream_listener *listener, const char *name, size_t *value)
    PINWHEEL_SYM(nng_stream_listener_get_size);
NNG_DECL nng_err nng_stream_listener_get_uint64(nng_stream_listener *listener, const char *name, uint64_t *value)
    PINWHEEL_SYM(nng_stream_listener_get_uint64);
NNG_DECL nng_err nng_stream_listener_get_string(nng_stream_listener *listener, const char *name, const char **value)
    PINWHEEL_SYM(nng_stream_listener_get_string);
NNG_DECL nng_err nng_stream_listener_get_addr(nng_stream_listener *listener, const char *name, nng_sockaddr *value)
    PINWHEEL_SYM(nng_stream_listener_get_addr);
NNG_DECL nng_err nng_stream_listener_set_bool(nng_stream_listener *listener, const char *name, bool value)
    PINWHEEL_SYM(nng_stream_listener_set_bool);
NNG_DECL nng_err nng_stream_listener_set_int(nng_stream_listener *listener, const char *name, int value)
    PINWHEEL_SYM(nng_stream_listener_set_int);
NNG_DECL nng_err nng_stream_listener_set_ms(nng_stream_listener *listener, const char *name, nng_duration value)
    PINWHEEL_SYM(nng_stream_listener_set_ms);
NNG_DECL nng_err nng_stream_listener_set_size(nng_stream_listener *listener, const char *name, size_t value)
    PINWHEEL_SYM(nng_stream_listener_set_size);
NNG_DECL nng_err nng_stream_listener_set_uint64(nng_stream_listener *listener, const char *name, uint64_t value)
    PINWHEEL_SYM(nng_stream_listener_set_uint64);
NNG_DECL nng_err nng_stream_listener_set_string(nng_stream_listener *listener, const char *name, const char *value)
    PINWHEEL_SYM(nng_stream_listener_set_string);
NNG_DECL nng_err nng_stream_listener_set_addr(
    nng_stream_listener *listener, const char *name, const nng_sockaddr *value)
    PINWHEEL_SYM(nng_stream_listener_set_addr);

/* See nng_tls_config. */
NNG_DECL nng_err nng_stream_listener_get_tls(nng_stream_listener *listener, nng_tls_config **configp)
    PINWHEEL_SYM(nng_stream_listener_get_tls);
NNG_DECL nng_err nng_stream_listener_set_tls(nng_stream_listener *listener, nng_tls_config *config)
    PINWHEEL_SYM(nng_stream_listener_set_tls);
/* A concern of another system: NNG_ENOTSUP. */
NNG_DECL nng_err nng_stream_listener_set_security_descriptor(nng_stream_listener *listener, void *descriptor)
    PINWHEEL_SYM(nng_stream_listener_set_security_descriptor);

/* ---- UDP --------------------------------------------------------------------------------------------------- */

/*
 * A socket for datagrams, IPv4 or IPv6. Its operations are providers as those of streams: from any thread, lock-free,
 * with cancel, timeout, abort and stop; each direction is served in the order of submission.
 */
typedef struct nng_udp nng_udp;

/*
 * nng_udp_open: makes a socket and binds it.
 *
 * Context:    any thread; starts the engine when nothing else has (R0), otherwise does not block.
 * Ownership:  *udpp is the caller's, until nng_udp_close; the address is read during the call only.
 * Effect:     *udpp is written on success only. Port 0: the system chooses, see nng_udp_sockname.
 * Errors:     NNG_EADDRINVAL (not an internet address, none of this machine, or NULL), NNG_EADDRINUSE, NNG_EPERM,
 *             NNG_ENOFILES, NNG_ENOMEM, NNG_EINVAL (udpp is NULL), NNG_ESYSERR + errno; and what nng_init returns.
 * Source:     NNG 2.x's header.
 */
NNG_DECL nng_err nng_udp_open(nng_udp **udpp, nng_sockaddr *sa) PINWHEEL_SYM(nng_udp_open);

/*
 * nng_udp_stop: ends all operations with NNG_ECLOSED, now and later, and waits until nothing is pending.
 *
 * Context:    as nng_stream_stop (R26). NULL: no effect.
 */
NNG_DECL void nng_udp_stop(nng_udp *udp) PINWHEEL_SYM(nng_udp_stop);

/*
 * nng_udp_close: stops and releases it.
 *
 * Context:    as nng_stream_free: inside a callback it never blocks, and releases later (R26). NULL: no effect.
 * Ownership:  takes the socket; no other thread may be inside, or enter, a call on it.
 */
NNG_DECL void nng_udp_close(nng_udp *udp) PINWHEEL_SYM(nng_udp_close);

/*
 * nng_udp_sockname: the address it is bound to.
 *
 * Context:    any thread; never blocks.
 * Errors:     NNG_EINVAL (NULL), NNG_ECLOSED.
 */
NNG_DECL nng_err nng_udp_sockname(nng_udp *udp, nng_sockaddr *sa) PINWHEEL_SYM(nng_udp_sockname);

/*
 * nng_udp_send: sends one datagram: the bytes of the iov, none perhaps, to the address that input 0 points to.
 *
 * Context:    as all stream operations, above.
 * Ownership:  the iov's memory and the address are the library's until the completion.
 * Effect:     the whole datagram or nothing; nng_aio_count says its size.
 * Errors:     NNG_EADDRINVAL (input 0 is NULL, or no internet address of the socket's family), NNG_EMSGSIZE,
 *             NNG_EPERM (a broadcast, a firewall), NNG_EUNREACHABLE, NNG_ECONNREFUSED, NNG_ECLOSED, NNG_ETIMEDOUT,
 *             NNG_ECANCELED, NNG_ESTOPPED, NNG_ESYSERR + errno.
 */
NNG_DECL void nng_udp_send(nng_udp *udp, nng_aio *aio) PINWHEEL_SYM(nng_udp_send);

/*
 * nng_udp_recv: receives one datagram into the iov, and its sender's address into what input 0 points to (NULL: not
 * wanted).
 *
 * Context:    as all stream operations, above.
 * Ownership:  the iov's memory and the address are the library's until the completion.
 * Effect:     nng_aio_count says the datagram's size, which may be 0.
 * Errors:     NNG_EMSGSIZE (it did not fit: the iov has its beginning, the rest is lost; the sender's address is
 *             there, count is 0), NNG_ECLOSED, NNG_ETIMEDOUT, NNG_ECANCELED, NNG_ESTOPPED, NNG_ENOMEM, NNG_ESYSERR +
 *             errno.
 */
NNG_DECL void nng_udp_recv(nng_udp *udp, nng_aio *aio) PINWHEEL_SYM(nng_udp_recv);

/*
 * nng_udp_multicast_membership: joins a multicast group, or leaves it.
 *
 * Context:    any thread; never blocks.
 * Effect:     IPv4: on the link of the address that the socket is bound to, or, where that is any, on the one the
 *             system chooses; IPv6: on the link of sa_scope, 0: the one the system chooses.
 * Errors:     NNG_EADDRINVAL (no multicast address, or not of the socket's family; left what was not joined),
 *             NNG_EADDRINUSE (joined already), NNG_EINVAL (NULL), NNG_ECLOSED, NNG_ENOMEM, NNG_ESYSERR + errno (no
 *             such link: ENODEV).
 */
NNG_DECL nng_err nng_udp_multicast_membership(nng_udp *udp, nng_sockaddr *sa, bool join)
    PINWHEEL_SYM(nng_udp_multicast_membership);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT
 *
 * thread.h: what the engine knows of the calling thread: the shard it is, if any, and an identity.
 *
 * A seam: in the explorer a thread is a fiber, and pw_thread_self answers for the running fiber.
 */
#ifndef PINWHEEL_BASE_THREAD_H
#define PINWHEEL_BASE_THREAD_H

struct pw_shard;

struct pw_thread {
	struct pw_shard *shard; /* the shard that this thread is at this moment: its own, or a lent one inside a poll */
	struct pw_shard *lent;  /* the shard that this thread lends itself to, between polls too */
	unsigned allocations;   /* outside threads spread their aios over the shards, each from its own start */
	unsigned posts;         /* mails sent: one in 64 is timed */
};

#if defined(PW_ATOMIC_EXPLORE)
struct pw_thread *pw_thread_self(void);
#else
/* initial-exec: one load off the thread pointer also in the shared library; 24 bytes of static TLS. */
extern _Thread_local struct pw_thread pw_thread_own __attribute__((tls_model("initial-exec")));

/* The address also serves as the thread's identity. */
static inline struct pw_thread *
pw_thread_self(void)
{
	return &pw_thread_own;
}
#endif

#endif

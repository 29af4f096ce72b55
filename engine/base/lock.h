/* SPDX-License-Identifier: MIT
 *
 * lock.h: the one mutex of the engine, for what is rare: growing and allocating in an arena, starting and
 * stopping the fleet. No operation of an aio that exists (start, finish, abort, wait, callback) takes one.
 * A seam: the explorer has its own.
 */
#ifndef PINWHEEL_BASE_LOCK_H
#define PINWHEEL_BASE_LOCK_H

#if defined(PW_ATOMIC_EXPLORE)
struct pw_lock {
	int held;
};
#define PW_LOCK_INITIALIZER { 0 }
void pw_lock_acquire(struct pw_lock *lock);
void pw_lock_release(struct pw_lock *lock);
#else
#include <pthread.h>
struct pw_lock {
	pthread_mutex_t mutex;
};
#define PW_LOCK_INITIALIZER { PTHREAD_MUTEX_INITIALIZER }
static inline void
pw_lock_acquire(struct pw_lock *lock)
{
	(void) pthread_mutex_lock(&lock->mutex);
}
static inline void
pw_lock_release(struct pw_lock *lock)
{
	(void) pthread_mutex_unlock(&lock->mutex);
}
#endif

#endif

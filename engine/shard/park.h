/* SPDX-License-Identifier: MIT
 *
 * park.h: the only two places where a thread of this library sleeps for another: on a state word (futex), and
 * in a shard's poller, from which the shard's bell (an eventfd) wakes it.
 *
 * Both are seams: the explorer links its own definitions. Bells are made once per shard record and never closed
 * while the process lives, so a sender may ring at any time.
 */
#ifndef PINWHEEL_SHARD_PARK_H
#define PINWHEEL_SHARD_PARK_H

#include "engine/base/atomic.h"

/* Sleeps while the low half of the word is `low`. Returns for any reason or none: the caller loops, and looks at
 * the word again; the memory may by then be a released slot (type-stable), never unmapped. deadline_ns is on
 * pw_clock_now_ns(), PW_NEVER_NS: none; false: the deadline passed. */
bool pw_futex_wait(pw_a64 *word, uint32_t low, uint64_t deadline_ns);
/* Wakes all that sleep on the word. Touches no memory: the address alone is used. Any thread; never blocks. */
void pw_futex_wake_all(pw_a64 *word);

/* 0 or a negative errno value. */
int pw_bell_open(int *fd);
/* Makes the shard's poller return. Any thread; never blocks; lock-free. */
void pw_bell_ring(int fd);
/* Home: silences the bell. */
void pw_bell_clear(int fd);

#endif

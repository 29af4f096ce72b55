/* SPDX-License-Identifier: MIT
 *
 * park.c: park.h on futex(2) and eventfd(2).
 *
 * What it is not: a condition variable. Nothing is kept here between two calls; the words and the descriptors
 * are the caller's, and every protocol (WAITERS and EPOCH of the state word, the sleep pair of the inbox) is his.
 *
 * I1  The kernel compares the low half with `low` under the futex's own lock, so a word that changed before the
 *     sleep began returns at once: a waker that changes the word first and wakes second is never missed.
 * I2  A deadline is absolute, so a caller that loops needs no clock.
 * I3  A bell that was rung stays readable until it is cleared, however often it was rung.
 */
#include "engine/shard/park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"

_Static_assert(sizeof(pw_a64) == 8, "the futex is half of the word");

/* The kernel is told an address; nothing is read or written through it here. */
static void *
low_half(pw_a64 *word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return (char *) word + 4;
#else
	return word;
#endif
}

bool
pw_futex_wait(pw_a64 *word, uint32_t low, uint64_t deadline_ns)
{
	struct timespec deadline = {
		.tv_sec = (time_t) (deadline_ns / PW_NS_PER_S),
		.tv_nsec = (long) (deadline_ns % PW_NS_PER_S),
	};
	/* The plain FUTEX_WAIT takes a relative time; the bit set one an absolute time on CLOCK_MONOTONIC. */
	long result = syscall(SYS_futex, low_half(word), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, low,
	    deadline_ns == PW_NEVER_NS ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);

	/* EAGAIN: the word is another already. EINTR: a signal. Both: the caller looks again. */
	return result == 0 || errno != ETIMEDOUT;
}

void
pw_futex_wake_all(pw_a64 *word)
{
	(void) syscall(SYS_futex, low_half(word), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

int
pw_bell_open(int *fd)
{
	*fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return *fd >= 0 ? 0 : -errno;
}

/* EAGAIN, the only refusal of a descriptor that is open, means that the counter is full: the bell rings already. */
void
pw_bell_ring(int fd)
{
	(void) eventfd_write(fd, 1);
}

/* EAGAIN: it was silent. */
void
pw_bell_clear(int fd)
{
	eventfd_t rung;

	(void) eventfd_read(fd, &rung);
}

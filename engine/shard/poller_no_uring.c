/* SPDX-License-Identifier: MIT
 *
 * poller_no_uring.c: stands in for poller_uring.c in a build without liburing (PINWHEEL_URING=OFF): AUTO then
 * finds io_uring refused and takes epoll, and a forced io_uring is an error.
 */
#include "engine/shard/poller_private.h"

#include <errno.h>

int
pw_poller_open_uring(struct pw_poller *poller, int bell_fd, bool forced)
{
	(void) poller;
	(void) bell_fd;
	(void) forced;
	return -ENOSYS;
}

int
pw_poller_open_uring_with(struct pw_poller *poller, int bell_fd, unsigned setup_flags, bool answers_eagain, bool forced)
{
	(void) setup_flags;
	(void) answers_eagain;
	return pw_poller_open_uring(poller, bell_fd, forced);
}

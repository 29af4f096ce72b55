/* SPDX-License-Identifier: MIT
 *
 * random.c: nng_random.
 *
 * Each number is asked from the system anew. A buffer would save the system call, and would have to be kept from a
 * forked child, who must not draw what its parent draws, and from a dump of the memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <nng/nng.h>

#include "engine/base/misuse.h"

/* Where getrandom is refused (an old kernel, a seccomp filter). Returns 0 or an errno value. */
static int
read_device(void *bytes, size_t size)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return errno;
	}
	ssize_t got;
	do {
		got = read(fd, bytes, size);
	} while (got < 0 && errno == EINTR);
	int error = got < 0 ? errno : (size_t) got < size ? EIO : 0;
	(void) close(fd);
	return error;
}

uint32_t
nng_random(void)
{
	uint32_t number;
	ssize_t got;
	do {
		got = getrandom(&number, sizeof(number), 0); /* up to 256 bytes come whole */
	} while (got < 0 && errno == EINTR);
	if (got == (ssize_t) sizeof(number)) {
		return number;
	}
	int error = read_device(&number, sizeof(number));
	if (error != 0) {
		pw_log("pinwheel: nng_random: the system has no random numbers: %s", strerrordesc_np(error));
		abort(); /* a number that can be foreseen is worse than none */
	}
	return number;
}

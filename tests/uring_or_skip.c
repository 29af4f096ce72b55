/* SPDX-License-Identifier: MIT
 *
 * uring_or_skip PROGRAM [ARGUMENT...]: becomes PROGRAM where the kernel grants an io_uring; elsewhere (an old
 * kernel, a container whose seccomp filter refuses it) says why and exits with 77, which ctest counts as skipped.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct io_uring_params params = { 0 };

	if (argc < 2) {
		fprintf(stderr, "usage: uring_or_skip PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	int fd = (int) syscall(SYS_io_uring_setup, 1u, &params);
	if (fd < 0) {
		printf("skipped: io_uring refused: %s\n", strerror(errno));
		return 77;
	}
	(void) close(fd);
	execvp(argv[1], argv + 1);
	fprintf(stderr, "uring_or_skip: %s: %s\n", argv[1], strerror(errno));
	return 2;
}

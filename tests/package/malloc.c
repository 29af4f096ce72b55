/* SPDX-License-Identifier: MIT
 *
 * malloc.c: whose malloc a program gets that links pinwheel. The engine's jemalloc must not replace it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinwheel/pinwheel.h>

int
main(void)
{
	Dl_info info;
	void *(*function)(size_t) = malloc;
	void *address;

	memcpy(&address, &function, sizeof(address));
	if (pinwheel_clock_ns() == 0 || dladdr(address, &info) == 0) {
		return 1;
	}
	printf("malloc is from %s\n", info.dli_fname);
	return strstr(info.dli_fname, "/libc.so") == NULL;
}

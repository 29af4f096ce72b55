/* SPDX-License-Identifier: MIT
 *
 * coexist_main.c: runs both halves, each once before and once after the other. See coexist.h.
 */
#include <stdio.h>

#include "coexist.h"

int
main(void)
{
	const char *(*const halves[])(void) = { coexist_ours, coexist_theirs, coexist_ours };

	for (unsigned i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
		const char *error = halves[i]();
		if (error != NULL) {
			fprintf(stderr, "%s\n", error);
			return 1;
		}
	}
	return 0;
}

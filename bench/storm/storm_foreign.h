/* SPDX-License-Identifier: MIT
 *
 * storm_foreign.h: the provider of --provider. See storm_foreign.c.
 */
#ifndef PINWHEEL_BENCH_STORM_FOREIGN_H
#define PINWHEEL_BENCH_STORM_FOREIGN_H

#include <pinwheel/test.h>

/* PW_EXIT_OK, or why not: it has been said. */
int pw_foreign_load(const char *file);
/* Without one loaded: true, and nothing to do. False: it has been said. */
bool pw_foreign_open(uint32_t aios);
void pw_foreign_close(void);
/* NULL: none is loaded, and nothing below may be called. */
const char *pw_foreign_name(void);
bool pw_foreign_cancels(void);
void pw_foreign_start(nng_aio *aio);
void pw_foreign_complete(nng_aio *aio);
/* NULL: all well. */
const char *pw_foreign_check(nng_aio *aio);

#endif

/* SPDX-License-Identifier: MIT
 *
 * coexist.h: one process, two libraries that offer nng_*: pinwheel (coexist_ours.c) and libnng (coexist_theirs.c).
 * Each function runs its own library's operations and returns NULL, or what went wrong.
 */
#ifndef PINWHEEL_TESTS_COEXIST_H
#define PINWHEEL_TESTS_COEXIST_H

const char *coexist_ours(void);
const char *coexist_theirs(void);

#endif

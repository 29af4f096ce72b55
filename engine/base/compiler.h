/* SPDX-License-Identifier: MIT
 *
 * compiler.h: what is said to the compiler about the few paths that every operation takes.
 */
#ifndef PINWHEEL_BASE_COMPILER_H
#define PINWHEEL_BASE_COMPILER_H

/* On the path of every operation, with its arguments known where it is called: a call would cost as much as it does. */
#define PW_INLINE static inline __attribute__((always_inline))
/* Not on that path: kept out of it, so that it stays short. */
#define PW_COLD __attribute__((cold, noinline))

#endif

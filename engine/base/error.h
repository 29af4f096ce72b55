/* SPDX-License-Identifier: MIT
 *
 * error.h: from the system's errno values to the codes of <nng/nng.h>. Their texts (nng_strerror) are in error.c.
 *
 * Any thread; wait-free; no state.
 */
#ifndef PINWHEEL_BASE_ERROR_H
#define PINWHEEL_BASE_ERROR_H

#include <nng/nng.h>

/* The code for an errno value (0 or positive): NNG_OK for 0, a code of its own where one means the same,
 * NNG_ESYSERR + errnum for the rest. EBADF and EFAULT are among the rest on purpose: they would be faults of this
 * library, and their numbers must stay visible. */
nng_err pw_error_from_errno(int errnum);

/* The same for a connect: a Unix-domain path where nothing is (ENOENT) is a refused connection, as in NNG, whose
 * programs retry on that code. */
nng_err pw_error_from_connect_errno(int errnum);

#endif

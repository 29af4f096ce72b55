/* SPDX-License-Identifier: MIT
 *
 * log.h: the program's logger (nng_log_*), and how a line of the engine reaches it.
 *
 * The public half is in <nng/nng.h>. pw_log (misuse.h) is what the engine itself says; it is on stderr and in the log
 * hook whatever logger is set.
 */
#ifndef PINWHEEL_BASE_LOG_H
#define PINWHEEL_BASE_LOG_H

#include <nng/nng.h>

#define PW_LOG_TEXT_SIZE 1024u /* of a message of nng_log_*, its NUL included; a longer one is cut */

/* A line of the engine that stands on stderr already, to the program's logger, if its level passes. Any thread. */
void pw_log_pass(nng_log_level level, const char *line);

#endif

/* SPDX-License-Identifier: MIT
 *
 * misuse.h: what happens when a caller breaks the contract in a way that can be recognised (CONTRACT.md R27).
 *
 * One line on stderr (function, aio, state, thread), the same through the log hook and to the program's logger if one
 * is set, then abort(), unless a handler set by pinwheel_set_misuse_handler replaces the abort; when the handler
 * returns, the call that was misuse has no effect. Any thread. Never called with an engine lock held.
 */
#ifndef PINWHEEL_BASE_MISUSE_H
#define PINWHEEL_BASE_MISUSE_H

#include <stdint.h>

/* function: the public name; aio: NULL where none is concerned; word: its state word; why: a clause. */
void pw_misuse(const char *function, const void *aio, uint64_t word, const char *why);

/* One line on stderr, through the log hook, and to the program's logger (log.h). */
__attribute__((format(printf, 1, 2))) void pw_log(const char *format, ...);
void pw_log_set_hook(void (*hook)(const char *line, void *arg), void *arg);

/* "DEFERRED|QUEUED|TIMER" into text; returns text. */
const char *pw_word_text(uint64_t word, char *text, unsigned size);

#endif

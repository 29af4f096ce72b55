/* SPDX-License-Identifier: MIT
 *
 * trace.h: what one execution did, printed: a fiber a column, time downward. See trace.c.
 */
#ifndef PINWHEEL_EXPLORE_TRACE_H
#define PINWHEEL_EXPLORE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pw_trace_line {
	const char *verb;             /* what was done */
	const volatile void *address; /* NULL: to nothing */
	const void *site;             /* a return address in the function that did it, NULL: not known */
	uint64_t value;               /* of the word afterwards */
	uint8_t fiber;
	bool wrote;
	bool stale; /* it read an older store than the newest */
	bool waits; /* its store is in the fiber's buffer */
	bool shown; /* its word is touched by more than one fiber, or it is no access */
};

typedef const char *(*pw_trace_format)(uint64_t value, char *text, unsigned size);

void pw_trace_name(const volatile void *address, size_t size, const char *name, pw_trace_format format);
void pw_trace_forget_names(void);
/* The last `lines_max` shown lines of count; names: of the fibers. Line i is step i. */
void pw_trace_print(FILE *out, const struct pw_trace_line *line, unsigned count, const char *const *names,
    unsigned fibers, unsigned lines_max);
/* The name of the memory, or its address, into text; returns text. */
const char *pw_trace_where(const volatile void *address, char *text, unsigned size);

/* The function that the site is in, into text; returns text. NULL: not known. */
const char *pw_trace_function(const void *site, char *text, unsigned size);

#endif

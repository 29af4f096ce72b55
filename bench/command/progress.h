/* SPDX-License-Identifier: MIT
 *
 * progress.h: figures of a run that goes on, on stderr: a table that stays in its place on a terminal, else, if asked
 * for, one line a second. stdout is never written.
 *
 * What it is not: thread-safe, or a clock: the thread that reports calls it when a second is over.
 */
#ifndef PINWHEEL_BENCH_PROGRESS_H
#define PINWHEEL_BENCH_PROGRESS_H

#include <stdbool.h>

struct pw_progress {
	bool in_place; /* stderr is a terminal: rows are written over those of the last time */
	bool lines;    /* not a terminal: only what is meant for lines is printed */
	unsigned rows; /* that are on the terminal, below which the cursor stands */
	unsigned rows_max;
	unsigned columns;
};

/* `wanted`: --progress was given. Without it there is a table on a terminal if `on_terminal`, else nothing. */
void pw_progress_open(struct pw_progress *progress, bool wanted, bool on_terminal);
/* Anything is to be printed. */
bool pw_progress_shown(const struct pw_progress *progress);

/* A new table begins; its rows follow. */
void pw_progress_begin(struct pw_progress *progress);
/* A row of the table, on a terminal only. It is cut at the right edge; rows that do not fit are left out. */
void pw_progress_row(struct pw_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The row that says it all: the table's last on a terminal, the second's only line otherwise. */
void pw_progress_total(struct pw_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the table off the terminal. */
void pw_progress_close(struct pw_progress *progress);

#endif

/* SPDX-License-Identifier: MIT
 *
 * progress.c: see progress.h. The cursor goes up by the rows printed last, and each row clears the rest of its line,
 * so a row must never wrap: it is cut to the terminal's width.
 */
#include "bench/command/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROW_SIZE 512u

static void
measure(struct pw_progress *progress)
{
	struct winsize size;
	bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && size.ws_row > 2;

	progress->columns = known && size.ws_col <= ROW_SIZE ? size.ws_col : 80;
	progress->rows_max = known ? size.ws_row - 1u : 23;
}

void
pw_progress_open(struct pw_progress *progress, bool wanted, bool on_terminal)
{
	bool terminal = isatty(STDERR_FILENO) != 0;

	*progress = (struct pw_progress){
		.in_place = terminal && (wanted || on_terminal),
		.lines = !terminal && wanted,
	};
}

bool
pw_progress_shown(const struct pw_progress *progress)
{
	return progress->in_place || progress->lines;
}

void
pw_progress_begin(struct pw_progress *progress)
{
	if (progress->in_place) {
		measure(progress);
		if (progress->rows != 0) {
			fprintf(stderr, "\033[%uA", progress->rows);
		}
		fputs("\r\033[J", stderr);
		progress->rows = 0;
	}
}

static void
print_row(struct pw_progress *progress, const char *format, va_list arguments)
{
	char row[ROW_SIZE];

	vsnprintf(row, sizeof(row), format, arguments);
	if (progress->in_place) {
		fprintf(stderr, "%.*s\n", (int) progress->columns - 1, row);
		progress->rows++;
	} else if (progress->lines) {
		fprintf(stderr, "%s\n", row);
	}
}

void
pw_progress_row(struct pw_progress *progress, const char *format, ...)
{
	va_list arguments;

	if (!progress->in_place || progress->rows + 1 >= progress->rows_max) { /* the last one is the total's */
		return;
	}
	va_start(arguments, format);
	print_row(progress, format, arguments);
	va_end(arguments);
}

void
pw_progress_total(struct pw_progress *progress, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_row(progress, format, arguments);
	va_end(arguments);
	fflush(stderr);
}

void
pw_progress_close(struct pw_progress *progress)
{
	if (progress->in_place && progress->rows != 0) {
		pw_progress_begin(progress);
		fflush(stderr);
	}
}

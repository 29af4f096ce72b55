/* SPDX-License-Identifier: MIT
 *
 * table.h: what `explore` prints of its explorations, a row each. See table.c.
 */
#ifndef PINWHEEL_EXPLORE_TABLE_H
#define PINWHEEL_EXPLORE_TABLE_H

#include "tests/explore/explore.h"

enum pw_table_form {
	PW_TABLE_HUMAN,
	PW_TABLE_TSV,
};

struct pw_table_entry {
	const struct pw_explore_scenario *scenario;
	struct pw_explore_options options;
	unsigned number; /* the scenario's, for rows.h */
};

/* Explores each entry, up to `jobs` of them at a time, each in a process of its own, so that one that crashes ends no
 * other, and prints the rows in the entries' order. The exit status. */
int pw_table_run(const struct pw_table_entry *entry, unsigned count, enum pw_table_form form, unsigned jobs);

extern const char pw_table_help[]; /* for --help: the columns of the machine's form */
extern const char *const pw_table_memory[];

#endif

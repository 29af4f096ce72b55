/* SPDX-License-Identifier: MIT
 *
 * rows.h: which rows of the state word's table have occurred. See rows.c.
 */
#ifndef PINWHEEL_EXPLORE_ROWS_H
#define PINWHEEL_EXPLORE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

/* Before any exploration: they are to be noted down in this file, beside what explorations before have noted there.
 * False: it cannot be had; errno says why. */
bool pw_rows_open(const char *path);
/* The scenario that runs from now on, by its number. */
void pw_rows_scenario(unsigned index);
/* A word was `word`, and the access at `site` made it `after`. */
void pw_rows_note(uint64_t word, uint64_t after, const void *site);
/* Prints the table; name: of a scenario, by its number. How many rows have not occurred. */
unsigned pw_rows_print(const char *(*name)(unsigned index), unsigned scenarios);

#endif

/* SPDX-License-Identifier: MIT
 *
 * trace.c: the explorer's printed trace.
 *
 *    step  consumer            home                 aborter
 *      14  word = IDLE                                                load_acquire    nng_aio_start
 *      15                                           word = IDLE       load_acquire    nng_aio_abort
 *      16  word := DEFERRED                                           cas_acq_rel     nng_aio_start
 *
 * `:=` the step wrote, `=` it read (a compare-and-swap that lost reads). `(old)`: a newer store was there, and the
 * memory model lets it be overlooked; `(buffered)`: others do not see the store before it arrives. The last column names the function that
 * used the verb: the symbol table of the running program is read, so that static functions have their names too.
 * A function that was inlined shows as the one it was inlined into.
 *
 * What it is not: fast. It runs once, after a failure or for a replay.
 */
#include "tests/explore/trace.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 256
#define STEP_WIDTH 8
#define WIDTH 116
#define VERB_WIDTH 18

static struct {
	const volatile char *address;
	size_t size;
	const char *name;
	pw_trace_format format;
} names[NAMES_MAX];
static unsigned names_count;

extern const char __executable_start; /* the linker's: where the program is mapped */

void
pw_trace_name(const volatile void *address, size_t size, const char *name, pw_trace_format format)
{
	if (names_count < NAMES_MAX) {
		names[names_count].address = address;
		names[names_count].size = size;
		names[names_count].name = name;
		names[names_count].format = format;
		names_count++;
	}
}

void
pw_trace_forget_names(void)
{
	names_count = 0;
}

/* The smallest named piece of memory that holds the address; NAMES_MAX: none. */
static unsigned
name_of(const volatile void *address)
{
	const volatile char *at = address;
	unsigned best = NAMES_MAX;
	for (unsigned i = 0; i < names_count; i++) {
		if (at >= names[i].address && at < names[i].address + names[i].size &&
		    (best == NAMES_MAX || names[i].size < names[best].size)) {
			best = i;
		}
	}
	return best;
}

const char *
pw_trace_where(const volatile void *address, char *text, unsigned size)
{
	unsigned i = name_of(address);
	if (address == NULL) {
		text[0] = '\0';
	} else if (i == NAMES_MAX) {
		(void) snprintf(text, size, "@%lx", (unsigned long) (uintptr_t) address & 0xffffffful);
	} else {
		size_t offset = (size_t) ((const volatile char *) address - names[i].address);
		if (offset == 0) {
			(void) snprintf(text, size, "%s", names[i].name);
		} else {
			(void) snprintf(text, size, "%s+%zu", names[i].name, offset);
		}
	}
	return text;
}

/* ---- the program's own symbols */

static const char *image; /* the program's file, NULL: not readable */

static void
image_open(void)
{
	struct stat status;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &status) == 0 && (size_t) status.st_size > sizeof(Elf64_Ehdr)) {
		void *map = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED && memcmp(map, ELFMAG, SELFMAG) == 0 &&
		    ((const Elf64_Ehdr *) map)->e_ident[EI_CLASS] == ELFCLASS64) {
			image = map;
		}
	}
	if (fd >= 0) {
		(void) close(fd);
	}
}

static const char *
symbol_in(const Elf64_Shdr *table, const Elf64_Shdr *strings, uint64_t at)
{
	const Elf64_Sym *symbol = (const void *) (image + table->sh_offset);
	for (size_t i = 0; i < table->sh_size / sizeof(*symbol); i++) {
		if (ELF64_ST_TYPE(symbol[i].st_info) == STT_FUNC && at > symbol[i].st_value &&
		    at <= symbol[i].st_value + symbol[i].st_size) {
			return image + strings->sh_offset + symbol[i].st_name;
		}
	}
	return "";
}

static const char *
symbol_of(const void *site)
{
	if (image == NULL) {
		image_open();
	}
	if (image == NULL || site == NULL) {
		return "";
	}
	const Elf64_Ehdr *header = (const void *) image;
	const Elf64_Shdr *section = (const void *) (image + header->e_shoff);
	uint64_t base = header->e_type == ET_DYN ? (uint64_t) (uintptr_t) &__executable_start : 0;
	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (section[i].sh_type == SHT_SYMTAB) {
			return symbol_in(&section[i], &section[section[i].sh_link],
			    (uint64_t) (uintptr_t) site - base);
		}
	}
	return "";
}

const char *
pw_trace_function(const void *site, char *text, unsigned size)
{
	const char *name = symbol_of(site);
	int length = (int) strcspn(name, "."); /* behind it: a part that the compiler has split off */
	(void) snprintf(text, size, "%.*s", length != 0 ? length : 10, length != 0 ? name : "a function");
	return text;
}

/* ---- printing */

static void
print_line(FILE *out, const struct pw_trace_line *line, unsigned step, int width, int fibers)
{
	char where[96];
	char value[96];
	char cell[224];
	unsigned i = name_of(line->address);

	if (i != NAMES_MAX && names[i].format != NULL) {
		(void) names[i].format(line->value, value, sizeof(value));
	} else {
		(void) snprintf(value, sizeof(value), line->value < 10 ? "%lx" : "0x%lx",
		    (unsigned long) line->value);
	}
	if (line->site == NULL || line->address == NULL) {
		(void) snprintf(cell, sizeof(cell), "%s %s", line->verb,
		    pw_trace_where(line->address, where, sizeof(where)));
	} else {
		(void) snprintf(cell, sizeof(cell), "%s %s %s%s", pw_trace_where(line->address, where, sizeof(where)),
		    line->wrote ? ":=" : "=", value, line->stale ? " (old)" : line->waits ? " (buffered)" : "");
	}
	int indent = line->fiber * width;
	(void) fprintf(out, "%*u  %*s%-*s", STEP_WIDTH - 2, step, indent, "", fibers * width - indent, cell);
	if (line->site != NULL) {
		(void) fprintf(out, " %-*s %s", VERB_WIDTH, line->verb, pw_trace_function(line->site, where, sizeof(where)));
	}
	(void) fputc('\n', out);
}

void
pw_trace_print(FILE *out, const struct pw_trace_line *line, unsigned count, const char *const *fiber_names,
    unsigned fibers, unsigned lines_max)
{
	unsigned shown = 0;
	unsigned first = count;
	while (first > 0 && shown < lines_max) {
		shown += line[--first].shown;
	}
	int width = (WIDTH - STEP_WIDTH) / (int) (fibers != 0 ? fibers : 1);
	width = width > 34 ? 34 : width < 20 ? 20 : width;
	(void) fprintf(out, "%*s  ", STEP_WIDTH - 2, "step");
	for (unsigned i = 0; i < fibers; i++) {
		(void) fprintf(out, "%-*s", width, fiber_names[i]);
	}
	(void) fputc('\n', out);
	for (unsigned i = first; i < count; i++) {
		if (line[i].shown) {
			print_line(out, &line[i], i, width, (int) fibers);
		}
	}
}

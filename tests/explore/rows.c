/* SPDX-License-Identifier: MIT
 *
 * rows.c: the transitions of the state word, row for row, and which scenarios have shown each of them.
 *
 * What it is: the design's table as data, finer than its prose where flags make a difference: an event, the functions of
 * the engine that cause it, the state before and after, flags that the change sets, clears, or finds. Every change of a
 * word in a fiber is held against it, and what never occurred in any exploration is a gap: `explore --rows` fails.
 * What it is not: a judge of what may occur (word.h's table, world.c). Misuse changes nothing and has no row.
 *
 * The function is that of the access, from the program's symbols (trace.c): inlined ones show as their caller.
 * Explorations run in processes of their own, at the same time or one after the other, so the notes are a file that they
 * share: a byte for each row and scenario, which is set and never cleared. Those of another build are forgotten.
 */
#include "tests/explore/rows.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/misuse.h"
#include "engine/shard/word.h"
#include "tests/explore/trace.h"

#define SCENARIOS_MAX 256u
#define SITES_MAX 128u
#define NAME_SIZE 64u

#define STARTS "nng_aio_start pw_aio_start start_provider sleep_until start go_deferred"
#define DEFERS "nng_aio_defer go_deferred"
#define REFUSES "refuse nng_aio_begin start nng_aio_defer"
#define FREES "nng_aio_free claim_for_free"
#define ENDS "on_done_ready end_delivery"

static const struct row {
	const char *event;
	const char *by; /* one of them */
	enum pw_state from;
	enum pw_state to;
	uint64_t set;     /* the change sets all of these, */
	uint64_t cleared; /* clears all of these, */
	uint64_t found;   /* finds all of these set, */
	uint64_t absent;  /* and none of these */
} rows[] = {
	{ "reset", "nng_aio_reset", PW_IDLE, PW_OPEN, 0, 0, 0, 0 },
	{ "reset", "nng_aio_reset", PW_OPEN, PW_OPEN, 0, 0, 0, 0 },
	{ "reset in the callback", "nng_aio_reset", PW_DONE, PW_OPEN, PW_RUNNING, 0, 0, 0 },
	{ "begin", "nng_aio_begin", PW_IDLE, PW_BUSY, 0, 0, 0, 0 },
	{ "begin", "nng_aio_begin", PW_OPEN, PW_BUSY, 0, 0, 0, 0 },
	{ "begin in the callback", "nng_aio_begin", PW_DONE, PW_BUSY, PW_RUNNING, 0, 0, 0 },
	{ "defer", DEFERS, PW_BUSY, PW_DEFERRED, 0, 0, 0, PW_ABORT | PW_STOPPED },
	{ "defer with an abort pending", DEFERS, PW_BUSY, PW_DEFERRED, PW_QUEUED, 0, PW_ABORT, 0 },
	{ "defer with an abort pending, at an entry", DEFERS, PW_BUSY, PW_DEFERRED, 0, 0, PW_ABORT | PW_QUEUED, 0 },
	{ "defer implies begin", DEFERS, PW_IDLE, PW_DEFERRED, 0, 0, 0, PW_STOPPED },
	{ "defer implies begin", DEFERS, PW_OPEN, PW_DEFERRED, 0, 0, 0, PW_STOPPED },
	{ "defer implies begin, stopped", DEFERS, PW_IDLE, PW_DEFERRED, PW_ABORT | PW_QUEUED, 0, PW_STOPPED, 0 },
	{ "defer in the callback", DEFERS, PW_DONE, PW_DEFERRED, 0, 0, 0, 0 },
	{ "start", STARTS, PW_IDLE, PW_DEFERRED, 0, 0, 0, PW_TIMER },
	{ "start", STARTS, PW_OPEN, PW_DEFERRED, 0, 0, 0, 0 },
	{ "start in the callback", STARTS, PW_DONE, PW_DEFERRED, 0, 0, 0, 0 },
	{ "start arms at home", STARTS, PW_IDLE, PW_DEFERRED, PW_TIMER, 0, 0, 0 },
	{ "start arms at home, in the callback", STARTS, PW_DONE, PW_DEFERRED, PW_TIMER, 0, 0, 0 },
	{ "start arms elsewhere", STARTS, PW_IDLE, PW_DEFERRED, PW_ARM | PW_QUEUED, 0, 0, PW_TIMER },
	{ "start arms elsewhere, linked too late", STARTS, PW_IDLE, PW_DEFERRED, PW_ARM | PW_QUEUED, 0, PW_TIMER, 0 },
	{ "start at a request's entry", STARTS, PW_IDLE, PW_DEFERRED, 0, 0, PW_QUEUED, 0 },
	{ "start with a timer linked", STARTS, PW_IDLE, PW_DEFERRED, 0, 0, PW_TIMER, 0 },
	{ "refused", REFUSES, PW_IDLE, PW_DONE, 0, 0, PW_STOPPED, 0 },
	{ "refused", REFUSES, PW_OPEN, PW_DONE, 0, 0, PW_STOPPED, 0 },
	{ "refused for its deadline", REFUSES, PW_IDLE, PW_DONE, 0, 0, 0, PW_STOPPED },
	{ "refused in the callback", REFUSES, PW_DONE, PW_DONE, PW_RUNNING, 0, PW_STOPPED, 0 },
	{ "refused in the callback of a refusal", REFUSES, PW_DONE, PW_IDLE, 0, 0, PW_STOPPED, 0 },
	{ "refused, and no callback", REFUSES, PW_IDLE, PW_IDLE, 0, 0, 0, 0 },
	{ "refused, and no callback", REFUSES, PW_OPEN, PW_IDLE, 0, 0, 0, 0 },
	{ "finish", "pw_aio_finish", PW_OPEN, PW_DONE, 0, 0, 0, 0 },
	{ "finish", "pw_aio_finish", PW_BUSY, PW_DONE, 0, 0, 0, PW_ABORT },
	{ "finish, an abort remembered", "pw_aio_finish", PW_BUSY, PW_DONE, 0, PW_ABORT, 0, 0 },
	{ "finish", "pw_aio_finish", PW_DEFERRED, PW_DONE, 0, 0, 0, PW_ABORT },
	{ "finish before the abort", "pw_aio_finish", PW_DEFERRED, PW_DONE, 0, PW_ABORT, PW_QUEUED, 0 },
	{ "finish", "pw_aio_finish", PW_CANCELING, PW_DONE, 0, 0, 0, 0 },
	{ "finish without a callback", "pw_aio_finish", PW_OPEN, PW_IDLE, 0, 0, 0, 0 },
	{ "finish without a callback", "pw_aio_finish", PW_BUSY, PW_IDLE, 0, 0, 0, 0 },
	{ "finish without a callback, waited for", "pw_aio_finish", PW_BUSY, PW_IDLE, 0, PW_WAITERS, 0, 0 },
	{ "abort", "mark", PW_DEFERRED, PW_DEFERRED, PW_ABORT | PW_QUEUED, 0, 0, 0 },
	{ "abort at a request's entry", "mark", PW_DEFERRED, PW_DEFERRED, PW_ABORT, 0, PW_QUEUED, 0 },
	{ "abort is remembered", "mark", PW_BUSY, PW_BUSY, PW_ABORT, 0, 0, 0 },
	{ "abort at home", "mark", PW_DEFERRED, PW_CANCELING, PW_ABORT, 0, 0, 0 },
	{ "abort of a sleep at home", "mark", PW_DEFERRED, PW_DONE, 0, 0, 0, 0 },
	{ "stop", "mark", PW_IDLE, PW_IDLE, PW_STOPPED, 0, 0, 0 },
	{ "stop", "mark", PW_OPEN, PW_OPEN, PW_STOPPED, 0, 0, 0 },
	{ "stop", "mark", PW_BUSY, PW_BUSY, PW_STOPPED | PW_ABORT, 0, 0, 0 },
	{ "stop", "mark", PW_DEFERRED, PW_DEFERRED, PW_STOPPED | PW_ABORT, 0, 0, 0 },
	{ "stop", "mark", PW_CANCELING, PW_CANCELING, PW_STOPPED, 0, 0, 0 },
	{ "stop", "mark", PW_DONE, PW_DONE, PW_STOPPED, 0, 0, 0 },
	{ "free", FREES, PW_IDLE, PW_IDLE, PW_FREEING, 0, 0, PW_TIMER | PW_QUEUED },
	{ "free", FREES, PW_DEFERRED, PW_DEFERRED, PW_FREEING | PW_ABORT, 0, 0, 0 },
	{ "free", FREES, PW_CANCELING, PW_CANCELING, PW_FREEING, 0, 0, 0 },
	{ "free", FREES, PW_DONE, PW_DONE, PW_FREEING, 0, 0, 0 },
	{ "free leaves the rest to home, linked", FREES, PW_IDLE, PW_IDLE, PW_DESTROY | PW_QUEUED, 0, PW_TIMER, 0 },
	{ "free leaves the rest to a request's entry", FREES, PW_IDLE, PW_IDLE, PW_DESTROY, 0, PW_QUEUED, 0 },
	{ "reap", "reap", PW_IDLE, PW_IDLE, PW_DESTROY, 0, 0, PW_TIMER | PW_QUEUED },
	{ "reap, linked", "reap", PW_IDLE, PW_IDLE, PW_DESTROY | PW_QUEUED, 0, PW_TIMER, 0 },
	{ "reap", "reap", PW_BUSY, PW_BUSY, PW_DESTROY | PW_ABORT, 0, 0, 0 },
	{ "reap", "reap", PW_DEFERRED, PW_DEFERRED, PW_DESTROY | PW_ABORT | PW_QUEUED, 0, 0, 0 },
	{ "reap", "reap", PW_CANCELING, PW_CANCELING, PW_DESTROY, 0, 0, 0 },
	{ "reap", "reap", PW_DONE, PW_DONE, PW_DESTROY, 0, 0, 0 },
	{ "home takes an abort", "on_request_mail", PW_DEFERRED, PW_CANCELING, 0, PW_QUEUED, PW_ABORT, 0 },
	{ "home arms", "on_request_mail", PW_DEFERRED, PW_DEFERRED, PW_TIMER, PW_ARM | PW_QUEUED, 0, 0 },
	{ "home arms earlier", "on_request_mail", PW_DEFERRED, PW_DEFERRED, 0, PW_ARM | PW_QUEUED, PW_TIMER, 0 },
	{ "a request finds nothing to do", "on_request_mail", PW_IDLE, PW_IDLE, 0, PW_QUEUED, 0, PW_DESTROY },
	{ "a request finds nothing to do", "on_request_mail", PW_OPEN, PW_OPEN, 0, PW_QUEUED, 0, 0 },
	{ "a request finds nothing to do", "on_request_mail", PW_BUSY, PW_BUSY, 0, PW_QUEUED, 0, 0 },
	{ "a request finds the next operation", "on_request_mail", PW_DEFERRED, PW_DEFERRED, 0, PW_QUEUED, 0,
	    PW_ABORT | PW_ARM },
	{ "a request finds nothing to do", "on_request_mail", PW_CANCELING, PW_CANCELING, 0, PW_QUEUED, 0, 0 },
	{ "a request finds nothing to do", "on_request_mail", PW_DONE, PW_DONE, 0, PW_QUEUED, 0, 0 },
	{ "home releases with a request", "on_request_mail", PW_IDLE, PW_IDLE, 0, PW_QUEUED, PW_DESTROY, PW_TIMER },
	{ "home unlinks and releases", "on_request_mail", PW_IDLE, PW_IDLE, 0, PW_QUEUED, PW_DESTROY | PW_TIMER, 0 },
	{ "expiry", "on_expire", PW_DEFERRED, PW_CANCELING, 0, PW_TIMER, 0, PW_ABORT },
	{ "expiry, an abort pending", "on_expire", PW_DEFERRED, PW_CANCELING, 0, PW_TIMER, PW_ABORT, 0 },
	{ "expiry of a sleep", "on_expire", PW_DEFERRED, PW_DONE, 0, PW_TIMER, 0, PW_ABORT },
	{ "expiry of a sleep, an abort pending", "on_expire", PW_DEFERRED, PW_DONE, 0, PW_TIMER | PW_ABORT, 0, 0 },
	{ "stale visit", "on_expire", PW_IDLE, PW_IDLE, 0, PW_TIMER, 0, 0 },
	{ "stale visit", "on_expire", PW_OPEN, PW_OPEN, 0, PW_TIMER, 0, 0 },
	{ "stale visit", "on_expire", PW_BUSY, PW_BUSY, 0, PW_TIMER, 0, 0 },
	{ "stale visit, no deadline or an engine that ends", "on_expire", PW_DEFERRED, PW_DEFERRED, 0, PW_TIMER, 0, 0 },
	{ "stale visit", "on_expire", PW_CANCELING, PW_CANCELING, 0, PW_TIMER, 0, 0 },
	{ "stale visit", "on_expire", PW_DONE, PW_DONE, 0, PW_TIMER, 0, 0 },
	{ "the callback has returned", ENDS, PW_DONE, PW_IDLE, 0, 0, 0, PW_DESTROY },
	{ "the callback has returned, waited for", ENDS, PW_DONE, PW_IDLE, 0, PW_WAITERS, 0, 0 },
	{ "the callback has returned, and home releases", ENDS, PW_DONE, PW_IDLE, 0, 0, PW_DESTROY, PW_QUEUED },
	{ "the callback has returned, a request will release", ENDS, PW_DONE, PW_IDLE, 0, 0, PW_DESTROY | PW_QUEUED, 0 },
	{ "the callback was refused", ENDS, PW_IDLE, PW_IDLE, 0, PW_RUNNING, 0, 0 },
	{ "the callback has reset", ENDS, PW_OPEN, PW_OPEN, 0, PW_RUNNING, 0, 0 },
	{ "the callback has begun", ENDS, PW_BUSY, PW_BUSY, 0, PW_RUNNING, 0, 0 },
	{ "wait", "wait_idle", PW_BUSY, PW_BUSY, PW_WAITERS, 0, 0, 0 },
	{ "wait", "wait_idle", PW_DEFERRED, PW_DEFERRED, PW_WAITERS, 0, 0, 0 },
	{ "wait", "wait_idle", PW_CANCELING, PW_CANCELING, PW_WAITERS, 0, 0, 0 },
	{ "wait", "wait_idle", PW_DONE, PW_DONE, PW_WAITERS, 0, 0, 0 },
	{ "wait for a callback that was refused", "wait_idle", PW_IDLE, PW_IDLE, PW_WAITERS, 0, PW_RUNNING, 0 },
	{ "nng_fini's last change", "close_slot", PW_IDLE, PW_IDLE, 0, 0, PW_STOPPED, 0 },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

struct notes {
	uint64_t build;
	uint8_t seen[ROWS][SCENARIOS_MAX];
};

static struct notes *notes; /* NULL: not asked for */
static unsigned current;

/* Tells one build of this program from another. */
static uint64_t
build_number(void)
{
	struct stat status;
	if (stat("/proc/self/exe", &status) != 0) {
		return 1;
	}
	return (uint64_t) status.st_mtim.tv_sec * 1000000000u + (uint64_t) status.st_mtim.tv_nsec;
}

/* Under the file's lock: nobody notes in a file of another build while it is cleared. */
static bool
open_notes(int fd)
{
	if (ftruncate(fd, sizeof(*notes)) != 0) {
		return false;
	}
	void *memory = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		return false;
	}
	notes = memory;
	if (notes->build != build_number()) {
		memset(notes, 0, sizeof(*notes));
		notes->build = build_number();
	}
	return true;
}

bool
pw_rows_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	bool opened = fd >= 0 && flock(fd, LOCK_EX) == 0 && open_notes(fd);
	if (fd >= 0) {
		(void) close(fd); /* and unlocks */
	}
	return opened;
}

void
pw_rows_scenario(unsigned index)
{
	current = index;
}

/* The function of that access, as its source names it. */
static const char *
function_at(const void *site)
{
	static struct {
		const void *site;
		char name[NAME_SIZE];
	} known[SITES_MAX];
	unsigned i = 0;
	while (i < SITES_MAX - 1 && known[i].site != NULL && known[i].site != site) {
		i++;
	}
	if (known[i].site != site) {
		char text[NAME_SIZE];
		const char *prefix = "pinwheel_nng_";
		const char *name = pw_trace_function(site, text, sizeof(text));
		name += strncmp(name, prefix, strlen(prefix)) == 0 ? strlen("pinwheel_") : 0;
		(void) snprintf(known[i].name, NAME_SIZE, "%s", name);
		known[i].site = site;
	}
	return known[i].name;
}

static bool
is_by(const struct row *row, const char *function)
{
	size_t length = strlen(function);
	for (const char *at = row->by; (at = strstr(at, function)) != NULL; at += length) {
		if ((at == row->by || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
			return true;
		}
	}
	return false;
}

static bool
is_of(const struct row *row, uint64_t word, uint64_t after)
{
	return pw_word_state(word) == row->from && pw_word_state(after) == row->to &&
	    (~word & after & row->set) == row->set && (word & ~after & row->cleared) == row->cleared &&
	    (word & row->found) == row->found && (word & row->absent) == 0;
}

void
pw_rows_note(uint64_t word, uint64_t after, const void *site)
{
	if (notes == NULL) {
		return;
	}
	const char *function = function_at(site);
	for (size_t i = 0; i < ROWS; i++) {
		if (notes->seen[i][current] == 0 && is_of(&rows[i], word, after) && is_by(&rows[i], function)) {
			notes->seen[i][current] = 1;
		}
	}
}

static const char *
flags(uint64_t bits, char sign, char *text, size_t size)
{
	char names[128];
	text[0] = '\0';
	if (bits != 0) { /* behind the state's name and a bar */
		(void) snprintf(text, size, " %c%s", sign, strchr(pw_word_text(bits, names, sizeof(names)), '|') + 1);
	}
	return text;
}

unsigned
pw_rows_print(const char *(*name)(unsigned index), unsigned scenarios)
{
	static const char *const state[] = { "IDLE", "OPEN", "BUSY", "DEFERRED", "CANCELING", "DONE" };
	unsigned missing = 0;
	(void) printf("%-50s %-22s %-38s %9s  %s\n", "event", "from -> to",
	    "flags: =found, +set, -cleared, !absent", "scenarios", "the first");
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		char change[32], text[160], part[4][96];
		unsigned count = 0, first = 0;
		for (unsigned k = scenarios; k-- > 0;) {
			count += notes->seen[i][k];
			first = notes->seen[i][k] != 0 ? k : first;
		}
		(void) snprintf(change, sizeof(change), "%s -> %s", state[row->from], state[row->to]);
		(void) snprintf(text, sizeof(text), "%s%s%s%s", flags(row->found, '=', part[0], sizeof(part[0])),
		    flags(row->set, '+', part[1], sizeof(part[1])), flags(row->cleared, '-', part[2], sizeof(part[2])),
		    flags(row->absent, '!', part[3], sizeof(part[3])));
		(void) printf("%-50s %-22s %-38s %9u  %s\n", row->event, change, text, count,
		    count != 0 ? name(first) : "NEVER");
		missing += count == 0;
	}
	(void) printf("%u of %zu rows have occurred\n", (unsigned) (ROWS - missing), ROWS);
	return missing;
}

/* SPDX-License-Identifier: MIT
 *
 * dump.c: what is outstanding: the question of every service that hangs.
 *
 * Slots are type-stable, so they can be read while they are used. The word is read first, what goes with it by
 * relaxed loads, and the word again: a slot whose operation ended meanwhile is left out. What is printed of
 * another thread's operation is a moment's view, never a pointer that is followed.
 */
#include <pinwheel/pinwheel.h>

#include <dlfcn.h>
#include <string.h>

#include "engine/aio/home.h"
#include "engine/base/clock.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"

struct walk {
	pinwheel_outstanding_fn fn;
	void *arg;
	size_t count;
	uint64_t now_ns;
};

/* "libfoo.so+0x1234", and the symbol if the function is one. */
static void
name_function(uintptr_t function, char *module, size_t size, const char **symbol)
{
	Dl_info info;
	module[0] = '\0';
	*symbol = "";
	if (function == 0 || dladdr((void *) function, &info) == 0 || info.dli_fname == NULL) {
		return;
	}
	const char *slash = strrchr(info.dli_fname, '/');
	(void) snprintf(module, size, "%s+0x%zx", slash != NULL ? slash + 1 : info.dli_fname,
	    (size_t) (function - (uintptr_t) info.dli_fbase));
	if (info.dli_sname != NULL) {
		*symbol = info.dli_sname;
	}
}

static void
visit(void *context, void *slot, uint32_t slot_number)
{
	struct walk *walk = context;
	nng_aio *aio = slot;
	uint64_t word = pw_load_acquire_64(&aio->word);
	(void) slot_number;
	if (!pw_word_busy(word)) {
		return;
	}
	uint64_t deadline_ns = pw_peek_64(&aio->deadline_ns);
	uint32_t age_ms = pw_peek_32(&aio->timer.note);
	uintptr_t function = (uintptr_t) pw_peek_64(&aio->fn);
	unsigned home = pw_peek_16(&aio->home) & PW_HOME_MASK;
	uint64_t again = pw_load_acquire_64(&aio->word);
	if (!pw_word_busy(again)) {
		return;
	}

	char state[128], module[256];
	const char *symbol;
	enum pw_state now = pw_word_state(again);
	bool asynchronous = now == PW_DEFERRED || now == PW_CANCELING;
	name_function(asynchronous ? function : 0, module, sizeof module, &symbol);
	struct pinwheel_outstanding one = {
		.aio = aio,
		.home = (int) pw_fleet_index(home),
		.state = pw_word_text(pw_aio_shown(aio, again), state, sizeof state),
		.age_ms = (uint32_t) (walk->now_ns / PW_NS_PER_MS) - age_ms,
		.deadline_in_ns = now == PW_DEFERRED && deadline_ns != PW_NEVER_NS
		    ? (int64_t) (deadline_ns - walk->now_ns) : INT64_MAX,
		.cancel_function = asynchronous ? function : 0,
		.module = module,
		.symbol = symbol,
	};
	if ((int32_t) one.age_ms < 0) {
		one.age_ms = 0; /* started after the walk began */
	}
	walk->fn(&one, walk->arg);
	walk->count++;
}

size_t
pinwheel_dump_each(pinwheel_outstanding_fn fn, void *arg)
{
	struct walk walk = { .fn = fn, .arg = arg, .now_ns = pw_clock_now_ns() };
	pw_fleet_walk(visit, &walk);
	return walk.count;
}

static void
print_one(const struct pinwheel_outstanding *one, void *arg)
{
	char deadline[32] = "never";
	if (one->deadline_in_ns != INT64_MAX) {
		(void) snprintf(deadline, sizeof deadline, "%.3f", (double) one->deadline_in_ns / (double) PW_NS_PER_MS);
	}
	(void) fprintf(arg, "%-18p %5d %10llu %14s  %-28s %s%s%s\n", (const void *) one->aio, one->home,
	    (unsigned long long) one->age_ms, deadline, one->state, one->module, one->symbol[0] != '\0' ? " " : "",
	    one->symbol);
}

size_t
pinwheel_dump(FILE *out)
{
	(void) fprintf(out, "%-18s %5s %10s %14s  %-28s %s\n", "aio", "shard", "age ms", "deadline ms", "state",
	    "cancel function");
	size_t count = pinwheel_dump_each(print_one, out);
	(void) fprintf(out, "%zu outstanding\n", count);
	return count;
}

/* SPDX-License-Identifier: MIT
 *
 * memory.c: which store a load may read, and what one fiber knows of another.
 *
 * What it is: three memory models for the words of atomic.h, and happens-before for everything else (race.c), which
 * goes by the orders in the verbs' names under every model. What it is not: plain memory, the clock, locks and bells:
 * those are the same for all at once.
 *
 *   sc    every load reads the newest store.
 *   tso   x86. A fiber's stores pass through its own buffer, first in, first out, and its loads look there first. An
 *         RMW, the fences and a system call empty it. A store arrives when another fiber is about
 *         to touch its word, or does not: that is the choice, made there and nowhere earlier because until then nobody
 *         can tell.
 *   c11   C11 without consume and without the order of seq_cst accesses, which atomic.h does not have. Each word has
 *         its last HISTORY stores. A load may read any that is not older than what its fiber has seen of the word:
 *         read or written itself, or been told of by an acquire of a release (fences, RMWs in between, and release
 *         sequences included). A compare-and-swap that fails is such a load too. Relaxed stores pass through a
 *         buffer as in tso, but to different words in any order; a release (store, RMW, fence) empties it. That is how
 *         a store comes behind another fiber's to the same word although it was executed earlier.
 *
 * To leave an arriving store out, and to read an old one, costs one of a small number of stale reads (--stale) that
 * an execution may have, so that the search ends.
 *
 * How c11 is computed: views. A view holds, for every shared word, the oldest store that may still be read, and a
 * vector clock. A fiber has three: what it has seen (`now`), what an acquire fence would add (`acquired`), what a
 * relaxed store hands on since the last fence (`released`). A store carries a view; a load joins it to one of the
 * reader's. Fences are in one order, and each sees what those before it saw (`fenced`). This is the operational C11
 * of Kang et al. ("A promising semantics", POPL 2017) without promises.
 *
 * Not covered: a load that reads a store made later (load buffering), a release store that comes behind a store executed
 * later, more than HISTORY stores back, a buffer of more than BUFFER_MAX stores.
 *
 * Invariants
 *   I1  memory itself holds the newest store that has arrived
 *   I2  a fiber's clock advances with each of its stores, so what it does afterwards is not covered by them
 *   I3  the views are functions of the fibers' histories (explore.c), so they are no part of a state's name
 */
#include "tests/explore/memory.h"

#include <string.h>

#define PLACES_MAX 1024u
#define HISTORY 4u
#define BUFFER_MAX 8u

struct view {
	uint32_t clock[PW_EXPLORE_FIBERS];
	uint16_t seen[PLACES_MAX]; /* by place: the number of a store to it; older ones cannot be read any more */
};

struct message {
	uint64_t value;
	uint64_t version;
	struct view view;
};

struct place {
	uint32_t execution; /* what follows is of this one */
	uint16_t newest;    /* number of the last store */
	uint16_t count;     /* stores that are remembered */
	struct message message[HISTORY];
};

struct entry {
	struct pw_word *word;
	unsigned size;
	uint64_t value;
	uint64_t history;
	uint32_t clock[PW_EXPLORE_FIBERS]; /* what it hands on */
};

struct fiber {
	struct view now;
	struct view acquired;
	struct view released;
	struct entry entry[BUFFER_MAX];
	unsigned entries;
};

static struct {
	enum pw_explore_memory model;
	unsigned stale_max;
	unsigned stale;
	bool everything;
	unsigned places;      /* numbers given */
	unsigned view_places; /* numbers that are in use in this execution */
	struct view fenced;
	struct fiber fiber[PW_EXPLORE_FIBERS];
	struct place place[PLACES_MAX];
} memory;

/* ---- memory itself */

uint64_t
pw_memory_peek(const volatile void *address, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *) address;
	case 2:
		return *(const volatile uint16_t *) address;
	case 4:
		return *(const volatile uint32_t *) address;
	default:
		return *(const volatile uint64_t *) address;
	}
}

void
pw_memory_poke(volatile void *address, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *) address = (uint8_t) value;
		return;
	case 2:
		*(volatile uint16_t *) address = (uint16_t) value;
		return;
	case 4:
		*(volatile uint32_t *) address = (uint32_t) value;
		return;
	default:
		*(volatile uint64_t *) address = value;
		return;
	}
}

/* ---- views */

static struct fiber *
self(void)
{
	return &memory.fiber[pw_core.self];
}

static void
clear(struct view *view)
{
	memset(view->clock, 0, sizeof(view->clock));
	memset(view->seen, 0, memory.view_places * sizeof(view->seen[0]));
}

static void
join_seen(struct view *to, const struct view *from)
{
	for (unsigned i = 1; i < memory.view_places; i++) {
		to->seen[i] = to->seen[i] > from->seen[i] ? to->seen[i] : from->seen[i];
	}
}

static void
join(struct view *to, const struct view *from)
{
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		to->clock[i] = to->clock[i] > from->clock[i] ? to->clock[i] : from->clock[i];
	}
	if (memory.model == PW_MEMORY_C11) {
		join_seen(to, from);
	}
}

static void
copy(struct view *to, const struct view *from)
{
	memcpy(to->clock, from->clock, sizeof(to->clock));
	if (memory.model == PW_MEMORY_C11) {
		memcpy(to->seen, from->seen, memory.view_places * sizeof(to->seen[0]));
	}
}

/* ---- places */

void
pw_memory_begin(enum pw_explore_memory model, unsigned stale_max, bool everything)
{
	memory.model = model;
	memory.stale_max = model == PW_MEMORY_SC ? 0 : stale_max;
	memory.everything = everything;
	memory.places = 1;
}

void
pw_memory_reset(void)
{
	memory.stale = 0;
	memory.view_places = memory.everything ? PLACES_MAX : memory.places;
	clear(&memory.fenced);
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		struct fiber *fiber = &memory.fiber[i];
		clear(&fiber->now);
		clear(&fiber->acquired);
		clear(&fiber->released);
		fiber->now.clock[i] = 1;
		fiber->entries = 0;
	}
}

void
pw_memory_number(struct pw_word *word)
{
	if (word->place != 0) {
		return;
	}
	if (memory.places == PLACES_MAX) {
		pw_explore_fail("more than %u shared words", PLACES_MAX);
	}
	word->place = (uint16_t) memory.places++;
	word->place_since = pw_core.execution;
}

/* NULL: one fiber alone touches the word, as far as is known. */
static struct place *
place_of(struct pw_word *word, unsigned size)
{
	if (memory.everything) {
		pw_memory_number(word);
	} else if (word->place == 0 || word->place_since == pw_core.execution) {
		return NULL;
	}
	struct place *place = &memory.place[word->place];
	if (place->execution != pw_core.execution) {
		place->execution = pw_core.execution;
		place->newest = 0;
		place->count = 1;
		place->message[0].value = pw_memory_peek(word->address, size);
		place->message[0].version = word->version;
		clear(&place->message[0].view);
	}
	return place;
}

static struct message *
newest(struct place *place)
{
	return &place->message[place->newest % HISTORY];
}

/* view: with what the store hands on; the place itself is added. */
static void
append(struct pw_word *word, struct place *place, uint64_t value, uint64_t version, const struct view *view)
{
	place->newest++;
	place->count = (uint16_t) (place->count < HISTORY ? place->count + 1u : HISTORY);
	struct message *message = newest(place);
	message->value = value;
	message->version = version;
	copy(&message->view, view);
	message->view.seen[word->place] = place->newest;
}

/* ---- tso: the buffers */

static bool
holds(unsigned fiber, const struct pw_word *word)
{
	for (unsigned i = 0; i < memory.fiber[fiber].entries; i++) {
		if (memory.fiber[fiber].entry[i].word == word) {
			return true;
		}
	}
	return false;
}

/* The fibers that hold a store to the word, but for those in the mask. */
static unsigned
holders(const struct pw_word *word, unsigned but_mask, unsigned holder[PW_EXPLORE_FIBERS])
{
	unsigned count = 0;
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		if ((but_mask >> i & 1) == 0 && holds(i, word)) {
			holder[count++] = i;
		}
	}
	return count;
}

/* Entry i of the fiber's buffer becomes the word's newest store. */
static void
arrives(unsigned fiber, unsigned i)
{
	struct fiber *f = &memory.fiber[fiber];
	struct entry entry = f->entry[i];
	memmove(&f->entry[i], &f->entry[i + 1], (--f->entries - i) * sizeof(f->entry[0]));
	struct place *place = place_of(entry.word, entry.size);
	uint64_t version = pw_core_mix(entry.history, entry.word->version);
	if (memory.model == PW_MEMORY_C11) {
		append(entry.word, place, entry.value, version, &f->released); /* as it was: fences empty the buffer */
		f->now.seen[entry.word->place] = place->newest;
	} else {
		static struct view view;
		memcpy(view.clock, entry.clock, sizeof(view.clock));
		append(entry.word, place, entry.value, version, &view);
	}
	pw_memory_poke((volatile void *) (uintptr_t) entry.word->address, entry.size, entry.value);
	pw_core_stored(fiber, entry.word, version, entry.value);
}

static void arrive_word(unsigned fiber, const struct pw_word *word, unsigned but_mask);

/* Entry i of the fiber's buffer reaches memory; before it, perhaps, those of other fibers to the same word. but_mask:
 * fibers whose own store waits for this one to arrive. */
static void
arrive(unsigned fiber, unsigned i, unsigned but_mask)
{
	const struct pw_word *word = memory.fiber[fiber].entry[i].word;
	unsigned holder[PW_EXPLORE_FIBERS];
	but_mask |= 1u << fiber;
	for (;;) {
		unsigned count = holders(word, but_mask, holder);
		unsigned first = count != 0 ? pw_core_choose_read(count + 1) : 0;
		if (first == 0) {
			break;
		}
		arrive_word(holder[first - 1], word, but_mask);
	}
	arrives(fiber, i);
}

/* The fiber's next store to this word reaches memory; tso: after all that are older. */
static void
arrive_word(unsigned fiber, const struct pw_word *word, unsigned but_mask)
{
	const struct fiber *f = &memory.fiber[fiber];
	if (memory.model == PW_MEMORY_TSO) {
		while (f->entry[0].word != word) {
			arrive(fiber, 0, but_mask);
		}
	}
	for (unsigned i = 0; i < f->entries; i++) {
		if (f->entry[i].word == word) {
			arrive(fiber, i, but_mask);
			return;
		}
	}
}

/* The running fiber is about to touch the word, which others hold stores to. One of them after the other arrives, in any
 * order; where some may stay out, that has its price. */
static void
arrivals(const struct pw_word *word, bool may_stay_out, unsigned price)
{
	for (;;) {
		unsigned holder[PW_EXPLORE_FIBERS];
		unsigned count = holders(word, 1u << pw_core.self, holder);
		if (count == 0) {
			return;
		}
		unsigned choice =
		    pw_core_choose_read(count + (may_stay_out && memory.stale + price <= memory.stale_max));
		if (choice == count) {
			memory.stale += price;
			return;
		}
		arrive_word(holder[choice], word, 0);
	}
}

void
pw_memory_before_load(struct pw_word *word)
{
	if (memory.model != PW_MEMORY_SC && !holds((unsigned) pw_core.self, word)) {
		arrivals(word, memory.model == PW_MEMORY_TSO, 1); /* c11: an old store can be read as well */
	}
}

bool
pw_memory_drains(enum pw_explore_order order)
{
	return self()->entries != 0 &&
	    (memory.model == PW_MEMORY_TSO || (order & PW_EXPLORE_RELEASE) != 0);
}

void
pw_memory_before_rmw(struct pw_word *word, enum pw_explore_order order)
{
	if (pw_memory_drains(order)) {
		pw_memory_drain();
	}
	while (holds((unsigned) pw_core.self, word)) {
		arrive_word((unsigned) pw_core.self, word, 0);
	}
	if (memory.model != PW_MEMORY_SC) {
		arrivals(word, true, 1);
	}
}

static bool
drain(unsigned fiber)
{
	bool any = memory.fiber[fiber].entries != 0;
	while (memory.fiber[fiber].entries != 0) {
		arrive(fiber, 0, 0);
	}
	return any;
}

void
pw_memory_drain(void)
{
	(void) drain((unsigned) pw_core.self);
}

bool
pw_memory_drain_all(void)
{
	bool any = false;
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		any |= drain(i);
	}
	return any;
}

/* ---- the accesses */

static void
tick(struct fiber *fiber)
{
	fiber->now.clock[pw_core.self]++; /* I2 */
}

/* How many stores back the fiber reads: among those that it may read, and (a CAS that is to fail) that differ. */
static unsigned
choose_age(const struct pw_word *word, const struct place *place, bool may_fail, uint64_t expected)
{
	unsigned age[HISTORY] = { 0 };
	unsigned count = 1;
	unsigned oldest = self()->now.seen[word->place];
	if (memory.model != PW_MEMORY_C11 || memory.stale >= memory.stale_max) {
		return 0;
	}
	for (unsigned back = 1; back < place->count && place->newest - back >= oldest; back++) {
		if (!may_fail || place->message[(place->newest - back) % HISTORY].value != expected) {
			age[count++] = back;
		}
		if (place->newest == back) {
			break; /* that was the first of all */
		}
	}
	unsigned choice = count > 1 ? pw_core_choose_read(count) : 0;
	memory.stale += choice != 0;
	return age[choice];
}

static struct pw_read
read_message(struct pw_word *word, struct place *place, unsigned back, enum pw_explore_order order)
{
	struct fiber *fiber = self();
	unsigned number = place->newest - back;
	const struct message *message = &place->message[number % HISTORY];
	if (memory.model == PW_MEMORY_C11 && fiber->now.seen[word->place] < number) {
		fiber->now.seen[word->place] = (uint16_t) number;
	}
	join((order & PW_EXPLORE_ACQUIRE) != 0 ? &fiber->now : &fiber->acquired, &message->view);
	return (struct pw_read){ message->value, message->version, back != 0 };
}

struct pw_read
pw_memory_load(struct pw_word *word, unsigned size, enum pw_explore_order order)
{
	struct place *place = place_of(word, size);
	if (place == NULL) {
		return (struct pw_read){ pw_memory_peek(word->address, size), word->version, false };
	}
	for (unsigned i = self()->entries; i-- > 0;) {
		const struct entry *own = &self()->entry[i];
		if (own->word == word) {
			return (struct pw_read){ own->value, own->history, false };
		}
	}
	return read_message(word, place, choose_age(word, place, false, 0), order);
}

struct pw_read
pw_memory_rmw(struct pw_word *word, unsigned size, enum pw_explore_order order, bool may_fail, uint64_t expected)
{
	struct place *place = place_of(word, size);
	if (place == NULL) {
		return (struct pw_read){ pw_memory_peek(word->address, size), word->version, false };
	}
	return read_message(word, place, may_fail ? choose_age(word, place, true, expected) : 0, order);
}

void
pw_memory_rmw_store(struct pw_word *word, unsigned size, enum pw_explore_order order, uint64_t value, uint64_t version)
{
	struct fiber *fiber = self();
	struct place *place = place_of(word, size);
	pw_memory_poke((volatile void *) (uintptr_t) word->address, size, value);
	if (place == NULL) {
		return;
	}
	/* The release sequence: what the store before handed on is handed on. */
	struct view view;
	copy(&view, &newest(place)->view);
	fiber->now.seen[word->place] = (uint16_t) (place->newest + 1u);
	join(&view, (order & PW_EXPLORE_RELEASE) != 0 ? &fiber->now : &fiber->released);
	append(word, place, value, version, &view);
	tick(fiber);
}

bool
pw_memory_store(struct pw_word *word, unsigned size, enum pw_explore_order order, uint64_t value, uint64_t history,
    uint64_t version)
{
	struct fiber *fiber = self();
	struct place *place = place_of(word, size);
	const struct view *view = (order & PW_EXPLORE_RELEASE) != 0 ? &fiber->now : &fiber->released;
	bool releases = (order & PW_EXPLORE_RELEASE) != 0;
	if (place != NULL && (memory.model == PW_MEMORY_TSO || (memory.model == PW_MEMORY_C11 && !releases))) {
		if (fiber->entries == BUFFER_MAX) {
			arrive((unsigned) pw_core.self, 0, 0);
		}
		struct entry *entry = &fiber->entry[fiber->entries++];
		*entry = (struct entry){ .word = word, .size = size, .value = value, .history = history };
		memcpy(entry->clock, view->clock, sizeof(entry->clock));
		tick(fiber);
		return false;
	}
	pw_memory_poke((volatile void *) (uintptr_t) word->address, size, value);
	if (place != NULL) {
		fiber->now.seen[word->place] = (uint16_t) (place->newest + 1u);
		append(word, place, value, version, view);
		tick(fiber);
	}
	return true;
}

void
pw_memory_fence(void)
{
	struct fiber *fiber = self();
	pw_memory_drain();
	join(&fiber->now, &fiber->acquired);
	if (memory.model == PW_MEMORY_C11) {
		join_seen(&fiber->now, &memory.fenced);
		join_seen(&memory.fenced, &fiber->now);
	}
	copy(&fiber->released, &fiber->now);
	tick(fiber);
}

void
pw_memory_join(unsigned fiber)
{
	(void) drain(fiber);
	join(&self()->now, &memory.fiber[fiber].now);
}

/* ---- for explore.c and race.c */

uint64_t
pw_memory_name(void)
{
	uint64_t name = memory.stale;
	for (unsigned i = 0; memory.model != PW_MEMORY_SC && i < pw_core.fibers; i++) {
		for (unsigned k = 0; k < memory.fiber[i].entries; k++) {
			name = pw_core_mix(name, memory.fiber[i].entry[k].history);
		}
	}
	return name;
}

const uint32_t *
pw_memory_clock(void)
{
	return self()->now.clock;
}

/* SPDX-License-Identifier: MIT
 *
 * explore.c: runs a scenario under every schedule with at most `bound` preemptions.
 *
 * What it is: a stateless search. An execution is started from the beginning, follows the choices on the search
 * stack, takes the first alternative at every new choice until it ends, and the last choice that has another
 * alternative is changed for the next one (depth first). What it is not: a model checker of weak memory (every
 * access is sequentially consistent), or of plain data races (fibers switch at the verbs of atomic.h only).
 *
 * A choice is: which fiber goes on before an access to a shared word; which one after a fiber fell asleep, ended or
 * spins; what pw_explore_choose returns; whether a fiber that may freeze does. A switch away from a fiber that
 * could have gone on is a preemption and counts; all other choices are free.
 *
 * What keeps the number of executions small, without losing a behaviour:
 *   - Words that one fiber alone touches, or that nobody writes, are no scheduling points. The set of shared words
 *     is not given but found: every search starts with those found so far, and when an execution shows a new one
 *     the search begins anew. The last search, in which none appeared, is the one that counts. (A switch before a
 *     private access can be moved behind it without a further preemption, so nothing is lost.)
 *   - States that are known are not entered again. The state of a program without data races is determined by what
 *     each fiber has read, that is, by which write it read from at each of its steps. So each fiber has a hash of
 *     its history (the words it touched and the version each had), each word a version (the history of its last
 *     writer at that moment), and the sum of these is the state's name. An execution that comes to a known state
 *     with the same running fiber, and with no fewer preemptions used than before, ends there. This is the
 *     happens-before caching of Musuvathi and Qadeer, which unlike sleep sets is sound under a preemption bound.
 * What that rests on: the scenario is deterministic (checked: every choice replayed must offer the same
 * alternatives), memory has the same addresses in every execution, fibers hand each other nothing but through
 * atomic.h and the ledger (explore.h), and 61 bits of hash do not collide.
 *
 * Time is a number. It moves when a fiber advances it, and when every fiber sleeps: then to the earliest deadline.
 *
 * Found and reported: a failed assertion (a scenario's, or abort and a bad access in the engine), a deadlock (every
 * fiber sleeps, and one that has to end did not), an execution that does not end.
 *
 * Invariants
 *   I1  between pw_explore_point and pw_explore_done no other fiber runs
 *   I2  a step is numbered whether or not there was a choice, so a replay string holds for every bound
 *   I3  a state enters the table with the fewest preemptions it has been reached with
 * Limits: 8 fibers, PW_EXPLORE_STEPS steps, 8192 words, 25 million states remembered in 256 MiB (further ones are
 * explored, and forgotten).
 */
#include "tests/explore/explore.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/explore/fiber.h"
#include "tests/explore/trace.h"

#define WORDS 16384u /* a power of two */
#define STATES_MIN (UINT64_C(1) << 16)
#define STATES_MAX (UINT64_C(1) << 25) /* entries of the table; three in four are used */
#define KEPT_MAX 16
#define DEVIATIONS_MAX 128
#define CHOICES_MAX 64
#define TRACE_LINES 160
#define START_NS UINT64_C(1000000000000)
#define NEVER_NS UINT64_MAX
#define FREEZE 0xfe /* an alternative that is no fiber */
#define NOBODY (-1)

enum fiber_state {
	READY,
	BLOCKED,
	FINISHED,
	FROZEN
};

struct fiber {
	struct pw_fiber *stack;
	enum fiber_state state;
	uint64_t history;
	const volatile void *channel; /* BLOCKED: on what, how it is called, until when */
	const char *what;
	uint64_t deadline_ns;
	bool timed_out;
};

struct word {
	const volatile void *address; /* NULL: the entry is free */
	uint64_t version;
	uint32_t execution; /* version, touched and wrote are of this one */
	uint8_t touched;    /* a bit for each fiber */
	uint8_t wrote;
	bool shared;
};

enum choice_kind {
	CHOOSE_FIBER = 'f',
	CHOOSE_DATA = 'c'
};

struct choice {
	uint32_t step;
	uint8_t kind;
	uint8_t count;
	uint8_t at; /* the alternative taken */
	uint8_t alternative[CHOICES_MAX];
};

/* Where an execution left the beaten track: what a replay string is made of. */
struct deviation {
	uint32_t step;
	uint8_t kind;
	uint8_t value;
};

enum outcome {
	ENDED,
	PRUNED,
	FAILED,
	BROKEN
};

static struct {
	const struct pw_explore_scenario *scenario;
	struct pw_explore_report *report;
	unsigned fibers;
	unsigned bound;
	unsigned steps_max;

	/* one execution */
	struct fiber fiber[PW_EXPLORE_FIBERS];
	int self; /* the running fiber */
	unsigned step;
	unsigned preemptions;
	unsigned spurious_left;
	bool anyone_frozen;
	uint8_t spinning; /* a bit for each fiber that waits for a write of another one */
	uint64_t now_ns;
	uint64_t words_sum; /* of the versions of all words */
	struct word *pending;
	struct pw_trace_line *pending_line;
	uint32_t execution;
	enum outcome outcome;
	struct deviation deviation[DEVIATIONS_MAX];
	unsigned deviations;
	struct pw_trace_line *line;

	/* the search */
	struct choice *choice;
	size_t choices;
	size_t choices_size;
	size_t depth;
	bool restart;
	unsigned shared;
	struct word word[WORDS];
	unsigned words;

	/* the options */
	bool plain;
	bool replaying;
	struct deviation replay[DEVIATIONS_MAX];
	unsigned replays;

	jmp_buf outside; /* where a failure in setup or check goes */
} m = { .self = NOBODY };

static uint64_t *states;
static uint64_t states_size;
static uint64_t states_used;

static struct {
	void *memory;
	void *copy;
	size_t size;
} kept[KEPT_MAX];
static unsigned kept_count;
static bool first_execution;

bool (*pw_explore_on_idle)(void);
void (*pw_explore_on_access)(const volatile void *address, bool wrote, uint64_t value);
void (*pw_explore_on_reset)(void);

__attribute__((noreturn)) static void leave(enum outcome outcome);

static uint64_t
mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a + UINT64_C(0x9e3779b97f4a7c15)) ^ (b * UINT64_C(0xff51afd7ed558ccd));
	x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 29) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 32;
}

/* ---- failures */

static void
replay_text(char *text, size_t size)
{
	size_t used = 0;
	(void) snprintf(text, size, "-");
	for (unsigned i = 0; i < m.deviations && used + 24 < size; i++) {
		const struct deviation *d = &m.deviation[i];
		const char *dot = i != 0 ? "." : "";
		int n = d->kind == CHOOSE_FIBER && d->value == FREEZE
		    ? snprintf(text + used, size - used, "%s%ux", dot, d->step)
		    : snprintf(text + used, size - used, "%s%u%c%u", dot, d->step, d->kind, d->value);
		used += (size_t) n;
	}
}

static void
record_failure(const char *format, va_list arguments)
{
	m.report->failed = true;
	m.report->bound = m.bound;
	(void) vsnprintf(m.report->message, sizeof(m.report->message), format, arguments);
	replay_text(m.report->replay, sizeof(m.report->replay));
}

void
pw_explore_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	record_failure(format, arguments);
	va_end(arguments);
	if (m.self != NOBODY) {
		leave(FAILED);
	}
	longjmp(m.outside, 1);
}

/* Not the scenario's fault, nor the engine's: the exploration itself cannot go on. */
__attribute__((noreturn, format(printf, 1, 2))) static void
give_up(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	record_failure(format, arguments);
	va_end(arguments);
	m.outcome = BROKEN;
	if (m.self != NOBODY) {
		leave(BROKEN);
	}
	longjmp(m.outside, 1);
}

/* What this execution alone shows to be shared, whatever the search has found. */
static bool
is_shared_here(const volatile void *address)
{
	unsigned touched = 0;
	bool wrote = false;
	for (unsigned i = 0; i < m.step; i++) {
		if (m.line[i].address == address) {
			touched |= 1u << m.line[i].fiber;
			wrote |= m.line[i].wrote;
		}
	}
	return wrote && (touched & (touched - 1)) != 0;
}

static void
print_failure(void)
{
	const char *names[PW_EXPLORE_FIBERS];
	for (unsigned i = 0; i < m.fibers; i++) {
		names[i] = m.scenario->fiber[i].name;
	}
	for (unsigned i = 0; i < m.step; i++) {
		m.line[i].shown = m.line[i].site == NULL || is_shared_here(m.line[i].address);
	}
	(void) fflush(stdout);
	pw_trace_print(stderr, m.line, m.step, names, m.fibers, TRACE_LINES);
	(void) fprintf(stderr, "%s: %s\nreplay: --scenario %s --replay %s\n", m.report->failed ? "FAILED" : "passed",
	    m.report->failed ? m.report->message : m.scenario->law, m.scenario->name, m.report->replay);
}

/* abort() in the engine (an assertion, misuse) and bad accesses. The state is lost: report and end. */
static void
on_signal(int number)
{
	(void) signal(number, SIG_DFL);
	if (m.scenario != NULL && m.report != NULL) {
		m.report->failed = true;
		(void) snprintf(m.report->message, sizeof(m.report->message), "%s",
		    number == SIGABRT ? "the engine called abort()" : "a bad memory access");
		replay_text(m.report->replay, sizeof(m.report->replay));
		print_failure();
	}
	_exit(1);
}

static bool
catch_signals(void)
{
	static char own_stack[64 * 1024];
	stack_t stack = { .ss_sp = own_stack, .ss_size = sizeof(own_stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER };
	return sigaltstack(&stack, NULL) == 0 && sigaction(SIGABRT, &action, NULL) == 0 &&
	    sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0;
}

/* ---- words and histories */

static struct word *
word_at(const volatile void *address)
{
	unsigned i = (unsigned) mix(0, (uint64_t) (uintptr_t) address) & (WORDS - 1);
	while (m.word[i].address != address && m.word[i].address != NULL) {
		i = (i + 1) & (WORDS - 1);
	}
	struct word *word = &m.word[i];
	if (word->address == NULL) {
		if (++m.words > WORDS / 2) {
			give_up("more than %u words: is memory at another address in each execution?", WORDS / 2);
		}
		word->address = address;
	}
	if (word->execution != m.execution) {
		word->execution = m.execution;
		word->version = 0;
		word->touched = 0;
		word->wrote = 0;
	}
	return word;
}

static void
set_version(struct word *word, uint64_t version)
{
	uint64_t key = (uint64_t) (uintptr_t) word->address;
	m.words_sum -= word->version != 0 ? mix(key, word->version) : 0;
	m.words_sum += version != 0 ? mix(key, version) : 0;
	word->version = version;
}

/* The running fiber touches the word: what it read becomes part of its history, what it wrote the word's version. */
static void
observe(struct word *word, bool wrote)
{
	struct fiber *fiber = &m.fiber[m.self];
	fiber->history = mix(mix(fiber->history, (uint64_t) (uintptr_t) word->address), word->version);
	if (wrote) {
		set_version(word, fiber->history);
	}
}

/* The name of the state: what each fiber has seen, the words, who could run. */
static uint64_t
state_name(uint64_t salt)
{
	uint64_t sum = m.words_sum;
	uint64_t ready = 0;
	for (unsigned i = 0; i < m.fibers; i++) {
		sum += mix(i + 1, m.fiber[i].history);
		ready |= (uint64_t) (m.fiber[i].state == READY) << i;
	}
	return mix(mix(sum, ready << 8 | m.spinning), salt);
}

/* ---- states that are known */

static uint64_t *
states_find(uint64_t *table, uint64_t size, uint64_t name)
{
	uint64_t i = name >> 3 & (size - 1);
	while (table[i] != 0 && table[i] >> 3 != name >> 3) {
		i = (i + 1) & (size - 1);
	}
	return &table[i];
}

static void
states_grow(void)
{
	uint64_t size = states_size * 2;
	uint64_t *table = calloc(size, sizeof(*table));
	if (table == NULL) {
		return; /* the table is full sooner */
	}
	for (uint64_t i = 0; i < states_size; i++) {
		if (states[i] != 0) {
			*states_find(table, size, states[i]) = states[i];
		}
	}
	free(states);
	states = table;
	states_size = size;
}

/* True: the state has been explored with at least as many preemptions left. Else it is remembered as it is now. */
static bool
state_known(uint64_t name)
{
	uint64_t used = m.bound == PW_EXPLORE_BOUND_NONE ? 0 : m.preemptions;
	name |= 8; /* never the free entry */
	uint64_t *entry = states_find(states, states_size, name);
	if (*entry != 0) {
		bool known = (*entry & 7) <= used;
		if (!known) {
			*entry = (*entry & ~UINT64_C(7)) | used;
		}
		return known;
	}
	if (states_used * 4 >= states_size * 3 && states_size < STATES_MAX) {
		states_grow();
		entry = states_find(states, states_size, name);
	}
	if (states_used * 4 < states_size * 3) {
		*entry = (name & ~UINT64_C(7)) | used;
		states_used++;
	}
	return false;
}

static void
states_clear(void)
{
	memset(states, 0, states_size * sizeof(*states));
	states_used = 0;
}

/* ---- steps and choices */

static struct pw_trace_line *
next_line(const char *verb, const volatile void *address, const void *site)
{
	if (m.step >= m.steps_max) {
		pw_explore_fail("livelock: the execution has not ended after %u steps", m.steps_max);
	}
	struct pw_trace_line *line = &m.line[m.step++];
	line->verb = verb;
	line->address = address;
	line->site = site;
	line->value = 0;
	line->fiber = (uint8_t) (m.self != NOBODY ? m.self : 0);
	line->wrote = false;
	return line;
}

static uint8_t
replayed(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	for (unsigned i = 0; i < m.replays; i++) {
		if (m.replay[i].step == m.step && m.replay[i].kind == kind) {
			for (unsigned k = 0; k < count; k++) {
				if (alternative[k] == m.replay[i].value) {
					return (uint8_t) k;
				}
			}
			give_up("the replay string does not fit: no such choice at step %u", m.step);
		}
	}
	return 0;
}

static uint8_t
stacked(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	if (m.depth < m.choices) {
		const struct choice *choice = &m.choice[m.depth++];
		if (choice->step != m.step || choice->kind != kind || choice->count != count ||
		    memcmp(choice->alternative, alternative, count) != 0) {
			give_up("the scenario is not deterministic: step %u is not what it was", m.step);
		}
		return choice->at;
	}
	if (m.choices == m.choices_size) {
		m.choices_size = m.choices_size != 0 ? m.choices_size * 2 : 1024;
		m.choice = realloc(m.choice, m.choices_size * sizeof(*m.choice));
		if (m.choice == NULL) {
			give_up("out of memory");
		}
	}
	struct choice *choice = &m.choice[m.choices++];
	choice->step = m.step;
	choice->kind = (uint8_t) kind;
	choice->count = (uint8_t) count;
	choice->at = 0;
	memcpy(choice->alternative, alternative, count);
	m.depth = m.choices;
	return 0;
}

static uint8_t
choose(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	if (count == 1) {
		return alternative[0];
	}
	uint8_t at = m.replaying ? replayed(kind, alternative, count) : stacked(kind, alternative, count);
	if (at != 0) {
		if (m.deviations == DEVIATIONS_MAX) {
			give_up("more than %u deviations in one schedule", DEVIATIONS_MAX);
		}
		m.deviation[m.deviations++] = (struct deviation){ m.step, (uint8_t) kind, alternative[at] };
	}
	return alternative[at];
}

/* Ends the execution here if what can follow is known. */
static void
prune(uint64_t salt)
{
	if (!m.replaying && !m.plain && m.depth == m.choices && state_known(state_name(salt))) {
		leave(PRUNED);
	}
}

/* ---- the scheduler: runs on the stack of the fiber that gives way */

static void
fiber_wakes(struct fiber *fiber, bool timed_out)
{
	fiber->state = READY;
	fiber->timed_out = timed_out;
}

static void
set_time(uint64_t now_ns)
{
	m.now_ns = now_ns;
	set_version(word_at(&m.now_ns), mix(1, now_ns));
	for (unsigned i = 0; i < m.fibers; i++) {
		if (m.fiber[i].state == BLOCKED && m.fiber[i].deadline_ns <= now_ns) {
			fiber_wakes(&m.fiber[i], true);
		}
	}
}

/* Everybody sleeps: on to the earliest deadline. False: there is none, or nobody who has to end needs it. */
static bool
time_jumps(void)
{
	uint64_t earliest_ns = NEVER_NS;
	bool wanted = false;
	for (unsigned i = 0; i < m.fibers; i++) {
		if (m.fiber[i].state == BLOCKED) {
			earliest_ns = m.fiber[i].deadline_ns < earliest_ns ? m.fiber[i].deadline_ns : earliest_ns;
			wanted |= (m.scenario->fiber[i].flags & PW_EXPLORE_DAEMON) == 0;
		}
	}
	if (earliest_ns == NEVER_NS || !wanted) {
		return false;
	}
	next_line("--- time jumps", NULL, NULL);
	set_time(earliest_ns);
	return true;
}

/* Who may go on: the running fiber first, so that the first alternative is never a preemption. */
static unsigned
candidates(bool can_continue, uint8_t *alternative)
{
	unsigned count = 0;
	bool spins = m.self != NOBODY && (m.spinning >> m.self & 1) != 0;
	bool keeps = can_continue && !spins;
	if (keeps) {
		alternative[count++] = (uint8_t) m.self;
	}
	if (!keeps || m.replaying || m.bound == PW_EXPLORE_BOUND_NONE || m.preemptions < m.bound) {
		for (unsigned k = 1; k <= m.fibers; k++) {
			unsigned i = ((unsigned) (m.self + (int) k)) % m.fibers;
			bool offered = keeps && (int) i == m.self;
			if (!offered && m.fiber[i].state == READY && (m.spinning >> i & 1) == 0) {
				alternative[count++] = (uint8_t) i;
			}
		}
	}
	if (keeps && !m.anyone_frozen && (m.scenario->fiber[m.self].flags & PW_EXPLORE_FREEZES) != 0) {
		alternative[count++] = FREEZE;
	}
	return count;
}

static void
freeze(void)
{
	next_line("--- frozen for ever", NULL, NULL);
	m.fiber[m.self].state = FROZEN;
	m.fiber[m.self].history = mix(m.fiber[m.self].history, 'x');
	m.anyone_frozen = true;
	pw_explore_wake(&m.fiber[m.self]); /* who joins it */
}

/* Nobody can go on as things are. False: the execution is over. */
static bool
stir(void)
{
	if (pw_explore_on_idle != NULL && pw_explore_on_idle()) {
		return true;
	}
	if (time_jumps()) {
		return true;
	}
	bool spinner = m.spinning != 0;
	m.spinning = 0; /* let them spin: the limit on steps ends it */
	return spinner;
}

/* Chooses who goes on, and goes on there. Returns when the caller is chosen. */
static void
schedule(bool can_continue)
{
	uint8_t alternative[CHOICES_MAX];
	int self = m.self;
	for (;;) {
		unsigned count = candidates(can_continue, alternative);
		if (count == 0) {
			if (stir()) {
				continue;
			}
			leave(ENDED);
		}
		prune(can_continue ? (uint64_t) self + 1 : 0);
		uint8_t next = choose(CHOOSE_FIBER, alternative, count);
		if (next == FREEZE) {
			freeze();
			can_continue = false;
			continue;
		}
		if (next == self) {
			return;
		}
		if (can_continue && (m.spinning >> self & 1) == 0) {
			m.preemptions++;
		}
		m.self = next;
		pw_fiber_switch(self != NOBODY ? m.fiber[self].stack : NULL, m.fiber[next].stack);
		return;
	}
}

static void
leave(enum outcome outcome)
{
	int self = m.self;
	m.outcome = outcome;
	if (self != NOBODY) {
		m.self = NOBODY;
		pw_fiber_switch(m.fiber[self].stack, NULL);
	}
	longjmp(m.outside, 1);
}

/* ---- what the verbs of atomic.h call */

void
pw_explore_point(enum pw_explore_kind kind, const volatile void *address, const char *verb)
{
	if (m.self == NOBODY) {
		return;
	}
	if (kind == PW_EXPLORE_FENCE) {
		return; /* memory is sequentially consistent */
	}
	struct word *word = word_at(address);
	if (word->shared || m.replaying || m.plain) {
		schedule(true);
	}
	m.pending = word;
	m.pending_line = next_line(verb, address, __builtin_return_address(0));
}

void
pw_explore_done(bool wrote, uint64_t value)
{
	if (m.self == NOBODY) {
		return;
	}
	struct word *word = m.pending;
	m.pending_line->value = value;
	m.pending_line->wrote = wrote;
	word->touched |= (uint8_t) (1u << m.self);
	word->wrote |= (uint8_t) (wrote ? 1u << m.self : 0);
	if (!word->shared && word->wrote != 0 && (word->touched & (word->touched - 1)) != 0) {
		word->shared = true;
		m.shared++;
		m.restart = true;
	}
	if (wrote) {
		m.spinning &= (uint8_t) (1u << m.self); /* whoever spins may look again */
	}
	if (word->shared) {
		observe(word, wrote);
	}
	if (pw_explore_on_access != NULL) {
		pw_explore_on_access(word->address, wrote, value);
	}
}

void
pw_explore_yield(void)
{
	if (m.self == NOBODY) {
		return;
	}
	next_line("spins", NULL, NULL);
	m.fiber[m.self].history = mix(m.fiber[m.self].history, 'y');
	m.spinning |= (uint8_t) (1u << m.self);
	schedule(true);
	m.spinning &= (uint8_t) ~(1u << m.self);
}

unsigned
pw_explore_choose(unsigned count)
{
	uint8_t alternative[CHOICES_MAX];
	if (m.self == NOBODY || count < 2) {
		return 0;
	}
	if (count > CHOICES_MAX) {
		give_up("a choice among %u: at most %d", count, CHOICES_MAX);
	}
	for (unsigned i = 0; i < count; i++) {
		alternative[i] = (uint8_t) i;
	}
	prune(64u + (uint64_t) m.self);
	uint8_t value = choose(CHOOSE_DATA, alternative, count);
	next_line("chooses", NULL, NULL)->value = value;
	m.fiber[m.self].history = mix(m.fiber[m.self].history, UINT64_C(0x100) + value);
	return value;
}

bool
pw_explore_block(const volatile void *channel, uint64_t deadline_ns, const char *what)
{
	struct fiber *fiber = &m.fiber[m.self];
	if (m.self == NOBODY) {
		pw_explore_fail("setup or check would sleep: %s", what);
	}
	if (deadline_ns <= m.now_ns) {
		return false;
	}
	struct word *word = word_at(channel);
	next_line(what, channel, NULL);
	observe(word, true);
	fiber->state = BLOCKED;
	fiber->channel = channel;
	fiber->what = what;
	fiber->deadline_ns = deadline_ns;
	schedule(false);
	observe(word, false);
	fiber->history = mix(fiber->history, fiber->timed_out);
	return !fiber->timed_out;
}

void
pw_explore_wake(const volatile void *channel)
{
	if (m.self != NOBODY) {
		observe(word_at(channel), true);
	}
	for (unsigned i = 0; i < m.fibers; i++) {
		if (m.fiber[i].state == BLOCKED && m.fiber[i].channel == channel) {
			fiber_wakes(&m.fiber[i], false);
		}
	}
}

bool
pw_explore_spurious(void)
{
	if (m.spurious_left == 0 || pw_explore_choose(2) == 0) {
		return false;
	}
	m.spurious_left--;
	return true;
}

void
pw_explore_note(const char *text, uint64_t value)
{
	if (m.self != NOBODY) {
		next_line(text, NULL, NULL)->value = value;
	}
}

/* ---- what scenarios call */

unsigned
pw_explore_self(void)
{
	return m.self != NOBODY ? (unsigned) m.self : PW_EXPLORE_FIBERS;
}

bool
pw_explore_frozen(unsigned index)
{
	return m.fiber[index].state == FROZEN;
}

bool
pw_explore_sleeps(unsigned index)
{
	return m.fiber[index].state == BLOCKED;
}

bool
pw_explore_join(unsigned index)
{
	const struct fiber *fiber = &m.fiber[index];
	observe(word_at(fiber), false);
	while (fiber->state != FINISHED && fiber->state != FROZEN) {
		(void) pw_explore_block(fiber, NEVER_NS, "waits for the end of");
	}
	return fiber->state == FINISHED;
}

void
pw_explore_event_set(struct pw_explore_event *event)
{
	pw_store_release_32(&event->set, 1);
	pw_explore_wake(event);
}

void
pw_explore_event_wait(struct pw_explore_event *event)
{
	while (pw_load_acquire_32(&event->set) == 0) {
		(void) pw_explore_block(event, NEVER_NS, "waits for");
	}
}

uint64_t
pw_explore_get(const uint64_t *word)
{
	if (m.self != NOBODY) {
		observe(word_at(word), false);
	}
	return *word;
}

void
pw_explore_set(uint64_t *word, uint64_t value)
{
	*word = value;
	if (m.self != NOBODY) {
		observe(word_at(word), true);
	}
}

uint64_t
pw_explore_now_ns(void)
{
	pw_explore_point(PW_EXPLORE_LOAD, &m.now_ns, "clock");
	pw_explore_done(false, m.now_ns);
	return m.now_ns;
}

void
pw_explore_advance_ns(uint64_t ns)
{
	pw_explore_point(PW_EXPLORE_STORE, &m.now_ns, "time passes");
	uint64_t now_ns = m.now_ns + ns;
	pw_explore_done(true, now_ns);
	set_time(now_ns);
}

void
pw_explore_name(const volatile void *address, size_t size, const char *name, pw_trace_format format)
{
	if (first_execution) {
		pw_trace_name(address, size, name, format);
	}
}

void
pw_explore_keep(void *memory, size_t size)
{
	if (!first_execution) {
		return;
	}
	void *copy = malloc(size);
	if (kept_count == KEPT_MAX || copy == NULL) {
		give_up("no room to keep %zu bytes", size);
	}
	memcpy(copy, memory, size);
	kept[kept_count].memory = memory;
	kept[kept_count].copy = copy;
	kept[kept_count].size = size;
	kept_count++;
}

bool
pw_explore_first(void)
{
	return first_execution;
}

/* ---- one execution */

static void
fiber_main(void *arg)
{
	struct fiber *fiber = arg;
	m.scenario->fiber[m.self].run();
	next_line("--- ends", NULL, NULL);
	fiber->state = FINISHED;
	fiber->history = mix(fiber->history, 'f');
	pw_explore_wake(fiber);
	schedule(false);
}

static void
restore_kept(void)
{
	for (unsigned i = 0; i < kept_count; i++) {
		memcpy(kept[i].memory, kept[i].copy, kept[i].size);
	}
}

static void
reset(void)
{
	m.execution++;
	m.self = NOBODY;
	m.step = 0;
	m.preemptions = 0;
	m.depth = 0;
	m.deviations = 0;
	m.spinning = 0;
	m.anyone_frozen = false;
	m.spurious_left = m.scenario->spurious;
	m.words_sum = 0;
	m.now_ns = START_NS;
	m.outcome = ENDED;
	for (unsigned i = 0; i < m.fibers; i++) {
		struct fiber *fiber = &m.fiber[i];
		fiber->state = READY;
		fiber->history = i + 1;
		fiber->channel = NULL;
		pw_fiber_reset(fiber->stack, fiber_main, fiber);
	}
	if (pw_explore_on_reset != NULL) {
		pw_explore_on_reset();
	}
}

/* Every fiber sleeps, has ended or is frozen: is that how it should end? */
static void
check_deadlock(void)
{
	char where[96];
	for (unsigned i = 0; i < m.fibers; i++) {
		unsigned flags = m.scenario->fiber[i].flags;
		bool excused =
		    (flags & PW_EXPLORE_DAEMON) != 0 || (m.anyone_frozen && (flags & PW_EXPLORE_EXCUSED) != 0);
		if (m.fiber[i].state == BLOCKED && !excused) {
			pw_explore_fail("deadlock: %s %s %s", m.scenario->fiber[i].name, m.fiber[i].what,
			    pw_trace_where(m.fiber[i].channel, where, sizeof(where)));
		}
	}
}

static enum outcome
execute(void)
{
	if (setjmp(m.outside) == 0) {
		restore_kept();
		reset();
		m.scenario->setup();
		first_execution = false;
		schedule(false); /* comes back through leave() */
		if (m.outcome == ENDED) {
			check_deadlock();
			if (m.scenario->check != NULL) {
				m.scenario->check();
			}
		}
	} else if (m.outcome != BROKEN && m.report->failed) {
		m.outcome = FAILED;
	}
	return m.outcome;
}

/* ---- the search */

/* The next schedule on the stack; false: that was the last. */
static bool
backtrack(void)
{
	while (m.choices > 0) {
		struct choice *choice = &m.choice[m.choices - 1];
		if (++choice->at < choice->count) {
			return true;
		}
		m.choices--;
	}
	return false;
}

static double
seconds_now(void)
{
	struct timespec now;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
search_begin(void)
{
	m.choices = 0;
	m.restart = false;
	states_clear();
	m.report->schedules = 0;
	m.report->pruned = 0;
}

/* With the bound m.bound. True: go on with the next bound. */
static bool
search(const struct pw_explore_options *options, double began)
{
	struct pw_explore_report *report = m.report;
	search_begin();
	report->bound = m.bound;
	for (;;) {
		enum outcome outcome = execute();
		report->steps += m.step;
		report->deepest = m.step > report->deepest ? m.step : report->deepest;
		if (outcome == FAILED || outcome == BROKEN) {
			return false;
		}
		report->schedules += outcome == ENDED;
		report->pruned += outcome == PRUNED;
		report->states = states_used;
		if ((options->schedules_max != 0 && report->schedules >= options->schedules_max) ||
		    (options->seconds_max > 0 && seconds_now() - began > options->seconds_max)) {
			report->stopped = true;
			return false;
		}
		if (m.restart) {
			report->restarts++;
			search_begin();
		} else if (!backtrack()) {
			return true;
		}
	}
}

static bool
parse_replay(const char *text)
{
	m.replays = 0;
	if (strcmp(text, "-") == 0) {
		return true;
	}
	while (m.replays < DEVIATIONS_MAX) {
		char *end;
		struct deviation *d = &m.replay[m.replays++];
		d->step = (uint32_t) strtoul(text, &end, 10);
		d->kind = (uint8_t) (*end == 'x' ? CHOOSE_FIBER : *end);
		if (end == text || (*end != 'x' && *end != CHOOSE_FIBER && *end != CHOOSE_DATA)) {
			return false;
		}
		bool frozen = *end++ == 'x';
		text = end;
		d->value = (uint8_t) (frozen ? FREEZE : strtoul(text, &end, 10));
		if (!frozen && end == text) {
			return false;
		}
		if (*end == '\0') {
			return true;
		}
		if (*end != '.') {
			return false;
		}
		text = end + 1;
	}
	return false;
}

static bool
prepare(const struct pw_explore_scenario *scenario, struct pw_explore_report *report)
{
	static bool caught;
	memset(report, 0, sizeof(*report));
	m.scenario = scenario;
	m.report = report;
	m.steps_max = scenario->steps_max != 0 ? scenario->steps_max : PW_EXPLORE_STEPS;
	m.shared = 0;
	m.words = 0;
	memset(m.word, 0, sizeof(m.word));
	for (unsigned i = 0; i < kept_count; i++) {
		free(kept[i].copy);
	}
	kept_count = 0;
	first_execution = true;
	pw_trace_forget_names();
	pw_trace_name(&m.now_ns, sizeof(m.now_ns), "clock", NULL);
	for (m.fibers = 0; m.fibers < PW_EXPLORE_FIBERS && scenario->fiber[m.fibers].name != NULL; m.fibers++) {
		struct fiber *fiber = &m.fiber[m.fibers];
		fiber->stack = fiber->stack != NULL ? fiber->stack : pw_fiber_new();
		if (fiber->stack == NULL) {
			return false;
		}
		pw_trace_name(fiber, sizeof(*fiber), scenario->fiber[m.fibers].name, NULL);
	}
	free(m.line);
	m.line = calloc(m.steps_max + 1, sizeof(*m.line));
	free(states);
	states_size = STATES_MIN;
	states = calloc(states_size, sizeof(*states));
	caught = caught || catch_signals();
	return m.line != NULL && states != NULL && caught;
}

bool
pw_explore_run(const struct pw_explore_scenario *scenario, const struct pw_explore_options *options,
    struct pw_explore_report *report)
{
	double began = seconds_now();
	if (!prepare(scenario, report)) {
		(void) snprintf(report->message, sizeof(report->message), "out of memory");
		return false;
	}
	m.plain = options->plain;
	m.replaying = options->replay != NULL;
	if (m.replaying) {
		if (!parse_replay(options->replay)) {
			(void) snprintf(report->message, sizeof(report->message), "malformed replay string");
			return false;
		}
		m.bound = PW_EXPLORE_BOUND_NONE;
		enum outcome outcome = execute();
		report->schedules = outcome == ENDED;
		report->steps = m.step;
		report->deepest = m.step;
		replay_text(report->replay, sizeof(report->replay));
	} else {
		/* The simplest failure first: with as few preemptions as possible. */
		for (m.bound = 0; search(options, began) && m.bound < options->bound;) {
			m.bound = m.bound < PW_EXPLORE_BOUND_MAX ? m.bound + 1 : PW_EXPLORE_BOUND_NONE;
		}
	}
	report->shared = m.shared;
	report->seconds = seconds_now() - began;
	bool sound = m.outcome != BROKEN;
	report->failed = report->failed && sound;
	if (!options->quiet && (!sound || report->failed || options->trace)) {
		print_failure();
	}
	return sound;
}

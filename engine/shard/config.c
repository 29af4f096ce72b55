/* SPDX-License-Identifier: MIT
 *
 * config.c: where an engine's settings come from.
 *
 * What it is: one table with a row per setting (its name, its variable, its field, its bounds, its words) and the
 * three parsers, for numbers, durations and CPU lists, that the rows share. What it is not: the place where a setting
 * is tried. That a CPU exists, that io_uring or SCHED_FIFO is permitted, the shards find out (fleet.c) and say.
 * Prints nothing: an error is a line in config->error.
 *
 * Invariants, tested by config_test:
 *   I1  A setting's value comes from the configuration if its field there is not 0 (NULL), else from its variable if
 *       that is in the environment, else it is the default. PINWHEEL_NONE in the configuration is a 0 that counts.
 *   I2  What is wrong is an error wherever it stands, also where a stronger source hides it: an unknown variable that
 *       begins with PINWHEEL_, an empty value, a value out of bounds.
 *   I3  A value printed by pw_config_each and put into the variable gives the same value.
 *   I4  1 <= shards + lent <= PW_SHARDS_MAX, tick a power of two.
 *
 * How many shards, where no one says: one for each CPU of the list that was given; without a list one for each CPU of
 * the affinity mask, but not more than the cgroup's quota rounded up: of two shards on a quota of 1.5 each gets three
 * quarters of a CPU, while one could not use what is granted. A list may name CPUs outside the mask (isolated ones);
 * they are tried later.
 *
 * Limits: CPU numbers below 4096, 1024 shards, lines of the cgroup files up to 4095 bytes (longer ones are passed
 * over: none of ours is).
 */
#include "engine/shard/config.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"

#define PREFIX "PINWHEEL_"
#define CONFIG_SIZE_MAX 4096u /* a larger `size` is no version of the struct but an uninitialised one */
#define LINE_SIZE 4096

_Static_assert(PW_CPUS_MAX <= UINT16_MAX, "a CPU number fits the list");

/* ---- Lists of CPUs -------------------------------------------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A CPU number at *text, which moves behind it; PW_CPUS_MAX: too large; -1: none stands there. */
static int
read_cpu(const char **text)
{
	int cpu = 0;
	if (!is_digit(**text)) {
		return -1;
	}
	for (; is_digit(**text); (*text)++) {
		cpu = cpu < (int) PW_CPUS_MAX ? cpu * 10 + (**text - '0') : (int) PW_CPUS_MAX;
	}
	return cpu < (int) PW_CPUS_MAX ? cpu : (int) PW_CPUS_MAX;
}

const char *
pw_cpu_list_parse(const char *text, struct pw_cpu_list *list)
{
	static const char form[] = "not a list of CPUs; use numbers and ranges, as in 0-3,8";
	uint64_t seen[PW_CPUS_MAX / 64] = { 0 };
	list->count = 0;
	for (;; text++) {
		int first = read_cpu(&text), last = first;
		if (*text == '-') {
			text++;
			last = read_cpu(&text);
		}
		if (first < 0 || last < 0 || (*text != ',' && *text != '\0')) {
			return form;
		}
		if (first >= (int) PW_CPUS_MAX || last >= (int) PW_CPUS_MAX) {
			return "not the number of a CPU; use 0 to 4095";
		}
		if (last < first) {
			return "a range runs backwards; write the smaller number first";
		}
		for (int cpu = first; cpu <= last; cpu++) {
			if ((seen[cpu / 64] >> (cpu % 64) & 1) != 0) {
				return "a CPU is named twice; name each once (PINWHEEL_SHARDS may exceed the CPUs)";
			}
			if (list->count == PW_SHARDS_MAX) {
				return "too many CPUs; use at most 1024";
			}
			seen[cpu / 64] |= UINT64_C(1) << (cpu % 64);
			list->cpu[list->count++] = (uint16_t) cpu;
		}
		if (*text == '\0') {
			return NULL;
		}
	}
}

const char *
pw_cpu_list_print(const struct pw_cpu_list *list, char *text, size_t size)
{
	size_t used = 0;
	if (size > 0) {
		text[0] = '\0';
	}
	for (unsigned i = 0, end; i < list->count && used < size; i = end) {
		for (end = i + 1; end < list->count && list->cpu[end] == list->cpu[end - 1] + 1; end++) {
		}
		int n = snprintf(text + used, size - used, "%s%u", i > 0 ? "," : "", list->cpu[i]);
		used += n > 0 ? (size_t) n : 0;
		if (end - i > 1 && used < size) {
			n = snprintf(text + used, size - used, "-%u", list->cpu[end - 1]);
			used += n > 0 ? (size_t) n : 0;
		}
	}
	return text;
}

/* ---- Numbers and durations ------------------------------------------------------------------------------------ */

/* Decimal digits and nothing else. */
static bool
parse_number(const char *text, uint64_t *number)
{
	uint64_t n = 0;
	if (*text == '\0') {
		return false;
	}
	for (; *text != '\0'; text++) {
		if (!is_digit(*text) || n > (UINT64_MAX - 9) / 10) {
			return false;
		}
		n = n * 10 + (uint64_t) (*text - '0');
	}
	*number = n;
	return true;
}

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "s", PW_NS_PER_S },
	{ "ms", PW_NS_PER_MS },
	{ "us", PW_NS_PER_US },
	{ "ns", 1 },
};

#define UNITS (sizeof(units) / sizeof(units[0]))

/* number * times / by, of which one divides the other; false: a remainder, or too large. */
static bool
scale_exactly(uint64_t number, uint64_t times, uint64_t by, uint64_t *result)
{
	if (times >= by) {
		*result = number * (times / by);
		return number < UINT64_MAX / (times / by);
	}
	*result = number / (by / times);
	return number % (by / times) == 0;
}

bool
pw_duration_parse(const char *text, uint64_t *ns)
{
	uint64_t number = 0, scale = 1; /* the value is number / scale units */
	bool fraction = false;
	if (!is_digit(*text)) {
		return false;
	}
	for (; is_digit(*text) || (*text == '.' && !fraction && is_digit(text[1])); text++) {
		if (*text == '.') {
			fraction = true;
			continue;
		}
		if (number > UINT64_MAX / 100 || scale > PW_NS_PER_S / 10) {
			return false;
		}
		number = number * 10 + (uint64_t) (*text - '0');
		scale *= fraction ? 10 : 1;
	}
	if (*text == '\0' && number == 0 && !fraction) {
		*ns = 0;
		return true;
	}
	for (size_t u = 0; u < UNITS; u++) {
		if (strcmp(text, units[u].name) == 0) {
			return scale_exactly(number, units[u].ns, scale, ns);
		}
	}
	return false;
}

const char *
pw_duration_print(uint64_t ns, char *text, size_t size)
{
	size_t u = 0;
	while (u < UNITS - 1 && ns < units[u].ns) {
		u++;
	}
	uint64_t whole = ns / units[u].ns, rest = ns % units[u].ns;
	int digits = 9 - 3 * (int) u;
	while (rest != 0 && rest % 10 == 0) {
		rest /= 10;
		digits--;
	}
	if (rest != 0) {
		(void) snprintf(text, size, "%llu.%0*llu%s", (unsigned long long) whole, digits,
		    (unsigned long long) rest, units[u].name);
	} else {
		(void) snprintf(text, size, "%llu%s", (unsigned long long) whole, units[u].name);
	}
	return text;
}

/* ---- The machine ---------------------------------------------------------------------------------------------- */

static void
read_mask(struct pw_cpu_list *list)
{
	cpu_set_t mask[PW_CPUS_MAX / CPU_SETSIZE];
	list->count = 0;
	/* Refused only for a mask that is too short, on a machine with more CPUs than PW_CPUS_MAX. */
	if (sched_getaffinity(0, sizeof(mask), mask) != 0) {
		return;
	}
	for (unsigned cpu = 0; cpu < PW_CPUS_MAX && list->count < PW_SHARDS_MAX; cpu++) {
		if (CPU_ISSET_S(cpu, sizeof(mask), mask)) {
			list->cpu[list->count++] = (uint16_t) cpu;
		}
	}
}

/* One line without its newline, as fgets; a longer one is passed over. */
static bool
read_line(FILE *file, char line[LINE_SIZE])
{
	while (fgets(line, LINE_SIZE, file) != NULL) {
		size_t length = strcspn(line, "\n");
		if (line[length] == '\n' || length < LINE_SIZE - 1) {
			line[length] = '\0';
			return true;
		}
		for (int c = 0; c != '\n' && c != EOF;) {
			c = fgetc(file);
		}
	}
	return false;
}

/* The file `folder/name` under root, first line; false: there is none, or it does not end where it should. */
static bool
read_file(const char *root, const char *folder, const char *name, char line[LINE_SIZE])
{
	char path[LINE_SIZE];
	int n = snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
	FILE *file = n > 0 && (size_t) n < sizeof(path) ? fopen(path, "re") : NULL;
	if (file == NULL) {
		return false;
	}
	bool found = read_line(file, line);
	(void) fclose(file);
	return found;
}

/* Is the word one of the comma-separated ones? */
static bool
has_word(const char *list, const char *word)
{
	for (size_t length = strlen(word);;) {
		size_t end = strcspn(list, ",");
		if (end == length && strncmp(list, word, length) == 0) {
			return true;
		}
		if (list[end] == '\0') {
			return false;
		}
		list += end + 1;
	}
}

/* CPUs of a quota, in thousandths, rounded up; 0: no limit. */
static uint64_t
millicpus(uint64_t quota_us, uint64_t period_us)
{
	if (quota_us == 0 || period_us == 0 || quota_us > UINT64_MAX / 1000 - period_us) {
		return 0;
	}
	return (quota_us * 1000 + period_us - 1) / period_us;
}

/* "150000 100000", "max 100000" */
static uint64_t
quota_v2(const char *root, const char *folder)
{
	char line[LINE_SIZE];
	uint64_t quota_us = 0, period_us = 0;
	if (!read_file(root, folder, "cpu.max", line)) {
		return 0; /* the root group has none */
	}
	char *period = strchr(line, ' ');
	if (period == NULL) {
		return 0;
	}
	*period++ = '\0';
	return parse_number(line, &quota_us) && parse_number(period, &period_us) ? millicpus(quota_us, period_us) : 0;
}

/* "150000", "-1" */
static uint64_t
quota_v1(const char *root, const char *folder)
{
	char line[LINE_SIZE];
	uint64_t quota_us = 0, period_us = 0;
	if (!read_file(root, folder, "cpu.cfs_quota_us", line) || !parse_number(line, &quota_us)) {
		return 0;
	}
	if (!read_file(root, folder, "cpu.cfs_period_us", line) || !parse_number(line, &period_us)) {
		return 0;
	}
	return millicpus(quota_us, period_us);
}

/* A hierarchy of control groups that can limit CPU time: where it is mounted, which group the mount shows at its top,
 * and our own group. */
struct hierarchy {
	bool v2;
	char mount[LINE_SIZE];
	char top[LINE_SIZE];
	char own[LINE_SIZE];
};

/* Our group: "0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1. */
static bool
find_own(const char *root, struct hierarchy *h)
{
	char line[LINE_SIZE], path[LINE_SIZE];
	(void) snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	FILE *file = fopen(path, "re");
	bool found = false;
	while (file != NULL && !found && read_line(file, line)) {
		char *controllers = strchr(line, ':');
		char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		if (group == NULL) {
			continue;
		}
		*group++ = '\0';
		found = h->v2 ? strcmp(line, "0:") == 0 : has_word(controllers + 1, "cpu");
		if (found) {
			(void) snprintf(h->own, sizeof(h->own), "%s", group);
		}
	}
	if (file != NULL) {
		(void) fclose(file);
	}
	return found;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void
decode_octal(char *text)
{
	char *to = text;
	while (*text != '\0') {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && is_digit(text[2]) && is_digit(text[3])) {
			*to++ = (char) ((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* "36 25 0:31 /top /mount/point options [tags] - type source superoptions": is it the mount we look for? */
static bool
parse_mount(char *line, struct hierarchy *h)
{
	char *tail = strstr(line, " - ");
	char *field[5];
	char *save = NULL;
	if (tail == NULL) {
		return false;
	}
	*tail = '\0';
	for (unsigned i = 0; i < 5; i++) {
		field[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (field[i] == NULL) {
			return false;
		}
	}
	const char *type = strtok_r(tail + 3, " ", &save);
	const char *source = type != NULL ? strtok_r(NULL, " ", &save) : NULL;
	const char *options = source != NULL ? strtok_r(NULL, " ", &save) : NULL;
	if (type == NULL || strcmp(type, h->v2 ? "cgroup2" : "cgroup") != 0) {
		return false;
	}
	if (!h->v2 && (options == NULL || !has_word(options, "cpu"))) {
		return false;
	}
	decode_octal(field[3]);
	decode_octal(field[4]);
	(void) snprintf(h->top, sizeof(h->top), "%s", field[3]);
	(void) snprintf(h->mount, sizeof(h->mount), "%s", field[4]);
	return true;
}

static bool
find_mount(const char *root, struct hierarchy *h)
{
	char line[LINE_SIZE], path[LINE_SIZE];
	(void) snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	FILE *file = fopen(path, "re");
	bool found = false;
	while (file != NULL && !found && read_line(file, line)) {
		found = parse_mount(line, h);
	}
	if (file != NULL) {
		(void) fclose(file);
	}
	return found;
}

static uint64_t
smaller_limit(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The smallest quota of our group and its ancestors, as far up as the mount shows them. */
static uint64_t
quota_of(const char *root, bool v2)
{
	struct hierarchy h = { .v2 = v2 };
	uint64_t least = 0;
	if (!find_own(root, &h) || !find_mount(root, &h)) {
		return 0;
	}
	/* A container may see its own group as the mount's top, under the name that the outside knows it by; a group
	 * that is not below the top ("/../x", seen from another namespace) leaves the top itself. */
	size_t top = strcmp(h.top, "/") == 0 ? 0 : strlen(h.top);
	bool below = strncmp(h.own, h.top, top) == 0 && (h.own[top] == '/' || h.own[top] == '\0') &&
	    strstr(h.own, "/..") == NULL;
	char folder[2 * LINE_SIZE];
	(void) snprintf(folder, sizeof(folder), "%s%s", h.mount, below ? h.own + top : "");
	for (size_t mount = strlen(h.mount);;) {
		least = smaller_limit(least, v2 ? quota_v2(root, folder) : quota_v1(root, folder));
		char *slash = strrchr(folder, '/');
		if (slash == NULL || slash < folder + mount) {
			return least;
		}
		*slash = '\0';
	}
}

uint64_t
pw_host_quota(const char *root)
{
	/* A mixed setup has the CPU controller in one of the two; the other has no such files. */
	return smaller_limit(quota_of(root, true), quota_of(root, false));
}

void
pw_host_discover(struct pw_host *host, const char *root)
{
	read_mask(&host->mask);
	host->quota_millicpus = pw_host_quota(root);
}

/* ---- The table ------------------------------------------------------------------------------------------------ */

enum form {
	FORM_CPUS,
	FORM_NUMBER,
	FORM_DURATION,
	FORM_CHOICE,
};

struct choice {
	const char *word;
	uint64_t value;
	unsigned given; /* the public enumerator */
};

static const struct choice idle_choices[] = {
	{ "park", PW_IDLE_PARK, PINWHEEL_IDLE_PARK },
	{ "spin", PW_IDLE_SPIN, PINWHEEL_IDLE_SPIN },
	{ "busy", PW_IDLE_BUSY, PINWHEEL_IDLE_BUSY },
	{ NULL, 0, 0 },
};

static const struct choice poller_choices[] = {
	{ "auto", PW_POLLER_AUTO, PINWHEEL_POLLER_AUTO },
	{ "uring", PW_POLLER_URING, PINWHEEL_POLLER_URING },
	{ "epoll", PW_POLLER_EPOLL, PINWHEEL_POLLER_EPOLL },
	{ NULL, 0, 0 },
};

enum given_type {
	GIVEN_INT,
	GIVEN_UNSIGNED, /* unsigned, and enumerations, which are unsigned here */
	GIVEN_U64,
	GIVEN_TEXT,
};

struct setting {
	const char *field; /* in struct pinwheel_config, for messages */
	const char *variable;
	enum form form;
	size_t given_offset; /* in struct pinwheel_config */
	enum given_type given_type;
	uint64_t least;
	uint64_t most;
	const struct choice *choices;
	const char *expected; /* after "NAME=value: " */
	const char *meaning;
};

#define GIVEN(field) offsetof(struct pinwheel_config, field)
#define TICK_MOST_NS (UINT64_C(1) << 23)
#define DURATION_MOST_NS (60 * PW_NS_PER_S)

_Static_assert(sizeof(enum pinwheel_idle) == sizeof(unsigned) && sizeof(enum pinwheel_poller) == sizeof(unsigned),
    "enumerations are read as unsigned");
_Static_assert(PW_SHARDS_MAX == 1024 && PW_CPUS_MAX == 4096, "the messages say so");

static const struct setting settings_table[PW_SETTING_COUNT] = {
	[PW_SETTING_CPUS] = { "cpus", PREFIX "CPUS", FORM_CPUS, GIVEN(cpus), GIVEN_TEXT, 0, 0, NULL, "",
	    "CPUs that shards are pinned to, in this order" },
	[PW_SETTING_SHARDS] = { "shards", PREFIX "SHARDS", FORM_NUMBER, GIVEN(shards), GIVEN_INT, 0, PW_SHARDS_MAX,
	    NULL, "not a number of shards; use 1 to 1024",
	    "shards with a thread; more than CPUs are pinned round-robin" },
	[PW_SETTING_LENT] = { "lent_shards", PREFIX "LENT", FORM_NUMBER, GIVEN(lent_shards), GIVEN_INT, 0,
	    PW_SHARDS_MAX - 1, NULL, "not a number of lent shards; use 0 to 1023",
	    "shards without, which the application polls" },
	[PW_SETTING_IDLE] = { "idle", PREFIX "IDLE", FORM_CHOICE, GIVEN(idle), GIVEN_UNSIGNED, 0, 0, idle_choices,
	    "not an idle strategy; use park, spin or busy", "what a shard with nothing to do does" },
	[PW_SETTING_POLLER] = { "poller", PREFIX "POLLER", FORM_CHOICE, GIVEN(poller), GIVEN_UNSIGNED, 0, 0,
	    poller_choices, "not a poller; use auto, uring or epoll", "how a shard waits for the kernel" },
	[PW_SETTING_PRIORITY] = { "priority", PREFIX "PRIORITY", FORM_NUMBER, GIVEN(priority), GIVEN_INT, 0, 99, NULL,
	    "not a priority; use 1 to 99 for SCHED_FIFO, or 0 for none",
	    "SCHED_FIFO priority of the shards' threads, 0: the ordinary scheduler" },
	[PW_SETTING_TURN_BUDGET] = { "turn_budget", PREFIX "TURN_BUDGET", FORM_NUMBER, GIVEN(turn_budget),
	    GIVEN_UNSIGNED, 1, 65536, NULL, "not a budget; use 1 to 65536",
	    "entries that one stage of one turn handles at most" },
	[PW_SETTING_TICK] = { "tick_ns", PREFIX "TICK", FORM_DURATION, GIVEN(tick_ns), GIVEN_U64, PW_NS_PER_US,
	    TICK_MOST_NS, NULL, "not a tick; use 1us to 8ms, as in 64us",
	    "resolution of deadlines, rounded up to a power of two of ns" },
	[PW_SETTING_SPIN] = { "spin_ns", PREFIX "SPIN", FORM_DURATION, GIVEN(spin_ns), GIVEN_U64, 0, DURATION_MOST_NS,
	    NULL, "not a time to spin; use 0 to 60s, as in 20us", "the longest a shard spins before it sleeps" },
	[PW_SETTING_LONG_TURN] = { "long_turn_ns", PREFIX "LONG_TURN", FORM_DURATION, GIVEN(long_turn_ns), GIVEN_U64,
	    PW_NS_PER_US, DURATION_MOST_NS, NULL, "not a duration of a turn; use 1us to 60s, as in 10ms",
	    "a turn that takes longer is counted, and what it called is named" },
};

static nng_err
refuse(struct pw_config *config, const char *name, const char *value, const char *expected)
{
	/* A value may be long and is not ours: what matters is the end of the line. */
	(void) snprintf(config->error, sizeof(config->error), "%.40s=%.60s%s: %s", name, value,
	    strlen(value) > 60 ? "..." : "", expected);
	for (char *c = config->error; *c != '\0'; c++) {
		if ((unsigned char) *c < ' ' || *c == 0x7f) {
			*c = '?'; /* one line, and no escape sequences */
		}
	}
	return NNG_EINVAL;
}

static uint64_t
round_tick(uint64_t ns)
{
	uint64_t tick = 1;
	while (tick < ns) {
		tick *= 2;
	}
	return tick;
}

static void
store(struct pw_config *config, enum pw_setting which, uint64_t value, enum pw_source source)
{
	config->value[which] = which == PW_SETTING_TICK ? round_tick(value) : value;
	config->source[which] = source;
}

/* ---- From the environment ------------------------------------------------------------------------------------- */

/* Reads the value of a variable. */
static nng_err
take_text(struct pw_config *config, enum pw_setting which, const char *name, const char *text, enum pw_source source)
{
	const struct setting *s = &settings_table[which];
	uint64_t value = 0;
	bool good = false;
	const char *why = NULL;
	switch (s->form) {
	case FORM_CPUS:
		why = pw_cpu_list_parse(text, &config->cpus);
		if (why != NULL) {
			return refuse(config, name, text, why);
		}
		good = true;
		break;
	case FORM_NUMBER:
		good = parse_number(text, &value) && value >= s->least && value <= s->most;
		break;
	case FORM_DURATION:
		good = pw_duration_parse(text, &value) && value >= s->least && value <= s->most;
		break;
	case FORM_CHOICE:
		for (const struct choice *c = s->choices; c->word != NULL && !good; c++) {
			good = strcmp(c->word, text) == 0;
			value = c->value;
		}
		break;
	}
	if (!good) {
		return refuse(config, name, text, s->expected);
	}
	store(config, which, value, source);
	return NNG_OK;
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char) (c - 'a' + 'A') : c;
}

/* Levenshtein's distance of two names, at most 64 long; small letters of the first count as capitals. */
static unsigned
distance(const char *a, size_t a_length, const char *b)
{
	unsigned row[65];
	size_t b_length = strlen(b);
	a_length = a_length < 64 ? a_length : 64;
	b_length = b_length < 64 ? b_length : 64;
	for (unsigned j = 0; j <= b_length; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned) i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned replaced = diagonal + (upper(a[i - 1]) != b[j - 1]);
			unsigned changed = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			diagonal = row[j];
			row[j] = replaced < changed ? replaced : changed;
		}
	}
	return row[b_length];
}

static nng_err
refuse_name(struct pw_config *config, const char *name, size_t length)
{
	const char *nearest = NULL;
	unsigned least = UINT_MAX;
	char shown[41];
	for (unsigned i = 0; i < PW_SETTING_COUNT; i++) {
		unsigned d = distance(name, length, settings_table[i].variable);
		if (d < least) {
			least = d;
			nearest = settings_table[i].variable;
		}
	}
	(void) snprintf(shown, sizeof(shown), "%.*s", length < 40 ? (int) length : 40, name);
	char expected[100];
	(void) snprintf(expected, sizeof(expected), "not a setting; the nearest one is %s", nearest);
	return refuse(config, shown, name[length] == '=' ? name + length + 1 : "", expected);
}

/* PW_SETTING_COUNT: none. */
static enum pw_setting
setting_of(const char *name, size_t length)
{
	unsigned i = 0;
	for (; i < PW_SETTING_COUNT; i++) {
		const char *variable = settings_table[i].variable;
		if (strlen(variable) == length && strncmp(name, variable, length) == 0) {
			break;
		}
	}
	return i;
}

static nng_err
take_environment(struct pw_config *config, char *const *environment)
{
	for (; environment != NULL && *environment != NULL; environment++) {
		const char *name = *environment;
		size_t length = strcspn(name, "=");
		if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) != 0) {
			continue;
		}
		enum pw_setting which = setting_of(name, length);
		if (which == PW_SETTING_COUNT) {
			return refuse_name(config, name, length);
		}
		const char *text = name[length] == '=' ? name + length + 1 : "";
		nng_err rv = take_text(config, which, settings_table[which].variable, text, PW_SOURCE_ENVIRONMENT);
		if (rv != NNG_OK) {
			return rv;
		}
	}
	return NNG_OK;
}

/* ---- From the program ----------------------------------------------------------------------------------------- */

/* A copy in this library's version of the struct: a shorter one is filled up with zeros (defaults); in a longer one
 * nothing may be set that this library does not know. */
static nng_err
copy_given(struct pw_config *config, const struct pinwheel_config *given, struct pinwheel_config *copy)
{
	char size[24];
	memset(copy, 0, sizeof(*copy));
	if (given == NULL) {
		return NNG_OK;
	}
	(void) snprintf(size, sizeof(size), "%zu", given->size);
	if (given->size < sizeof(given->size) || given->size > CONFIG_SIZE_MAX) {
		return refuse(config, "pinwheel_config.size", size,
		    "not the size of the struct; start from PINWHEEL_CONFIG_INIT");
	}
	for (size_t i = sizeof(*copy); i < given->size; i++) {
		if (((const unsigned char *) given)[i] != 0) {
			return refuse(config, "pinwheel_config.size", size,
			    "a newer struct, with a field set that this library does not know; leave it 0");
		}
	}
	memcpy(copy, given, given->size < sizeof(*copy) ? given->size : sizeof(*copy));
	return NNG_OK;
}

/* A field that is not a text: its value, and as text for a message. False: not set. */
static bool
given_number(const struct setting *s, const struct pinwheel_config *given, uint64_t *number, char text[24])
{
	const char *field = (const char *) given + s->given_offset;
	int i = 0;
	unsigned u = 0;
	uint64_t value = 0;
	switch (s->given_type) {
	case GIVEN_INT:
		memcpy(&i, field, sizeof(i));
		(void) snprintf(text, 24, "%d", i);
		/* PINWHEEL_NONE is a 0 that counts; what else is negative is beyond every bound. */
		*number = i == PINWHEEL_NONE ? 0 : (uint64_t) i;
		return i != 0;
	case GIVEN_UNSIGNED:
		memcpy(&u, field, sizeof(u));
		value = u;
		break;
	case GIVEN_U64:
		memcpy(&value, field, sizeof(value));
		break;
	case GIVEN_TEXT:
		break;
	}
	(void) snprintf(text, 24, "%llu", (unsigned long long) value);
	*number = value;
	return value != 0;
}

static nng_err
take_field(struct pw_config *config, enum pw_setting which, const struct pinwheel_config *given)
{
	const struct setting *s = &settings_table[which];
	char name[48], text[24];
	(void) snprintf(name, sizeof(name), "pinwheel_config.%s", s->field);
	if (s->given_type == GIVEN_TEXT) {
		const char *value = NULL;
		memcpy(&value, (const char *) given + s->given_offset, sizeof(value));
		return value != NULL ? take_text(config, which, name, value, PW_SOURCE_CONFIGURATION) : NNG_OK;
	}
	uint64_t value = 0;
	if (!given_number(s, given, &value, text)) {
		return NNG_OK;
	}
	if (s->form != FORM_CHOICE) {
		if (value < s->least || value > s->most) {
			return refuse(config, name, text, s->expected);
		}
		store(config, which, value, PW_SOURCE_CONFIGURATION);
		return NNG_OK;
	}
	for (const struct choice *c = s->choices; c->word != NULL; c++) {
		if (c->given == value) {
			store(config, which, c->value, PW_SOURCE_CONFIGURATION);
			return NNG_OK;
		}
	}
	return refuse(config, name, text, s->expected);
}

/* ---- The whole ------------------------------------------------------------------------------------------------ */

/* What depends on nothing, or on the idle strategy: who spins wants a finer tick and is given the time for it. */
static void
set_defaults(struct pw_config *config)
{
	bool parks = config->value[PW_SETTING_IDLE] == PW_IDLE_PARK;
	const uint64_t defaults[PW_SETTING_COUNT] = {
		[PW_SETTING_IDLE] = PW_IDLE_PARK,
		[PW_SETTING_POLLER] = PW_POLLER_AUTO,
		[PW_SETTING_TURN_BUDGET] = 256,
		[PW_SETTING_TICK] = parks ? UINT64_C(1) << 16 : UINT64_C(1) << 12,
		[PW_SETTING_SPIN] = parks ? 20 * PW_NS_PER_US : PW_NS_PER_MS,
		[PW_SETTING_LONG_TURN] = 10 * PW_NS_PER_MS,
	};
	for (unsigned i = 0; i < PW_SETTING_COUNT; i++) {
		if (config->source[i] == PW_SOURCE_DEFAULT) {
			config->value[i] = defaults[i];
		}
	}
}

static const char *
source_text(enum pw_source source)
{
	static const char *const texts[] = {
		[PW_SOURCE_DEFAULT] = "default",
		[PW_SOURCE_ENVIRONMENT] = "environment",
		[PW_SOURCE_CONFIGURATION] = "configuration",
	};
	return texts[source];
}

/* "1.5" for 1500 */
static void
print_millicpus(uint64_t millicpus_count, char *text, size_t size)
{
	unsigned rest = (unsigned) (millicpus_count % 1000);
	int n = snprintf(text, size, "%llu.%03u", (unsigned long long) (millicpus_count / 1000), rest);
	while (n > 0 && text[n - 1] == '0') {
		text[--n] = '\0';
	}
	if (n > 0 && text[n - 1] == '.') {
		text[n - 1] = '\0';
	}
}

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* "2 CPUs in the mask" */
static void
describe_cpus(const struct pw_config *config, char *text, size_t size)
{
	static const char *const whence[] = {
		[PW_SOURCE_DEFAULT] = "in the mask",
		[PW_SOURCE_ENVIRONMENT] = "named by the environment",
		[PW_SOURCE_CONFIGURATION] = "named by the configuration",
	};
	if (config->cpus.count == 0) {
		(void) snprintf(text, size, "the affinity mask cannot be read");
		return;
	}
	(void) snprintf(text, size, "%u CPU%s %s", config->cpus.count, plural(config->cpus.count),
	    whence[config->source[PW_SETTING_CPUS]]);
}

/* "cgroup quota 1.5" */
static void
describe_quota(const struct pw_host *host, char *text, size_t size)
{
	if (host->quota_millicpus == 0) {
		(void) snprintf(text, size, "no cgroup quota");
		return;
	}
	char number[24];
	print_millicpus(host->quota_millicpus, number, sizeof(number));
	(void) snprintf(text, size, "cgroup quota %s", number);
}

/* The CPUs, the number of shards, and the words for it. */
static void
settle_shards(struct pw_config *config, const struct pw_host *host)
{
	char cpus[64], quota[64];
	bool listed = config->source[PW_SETTING_CPUS] != PW_SOURCE_DEFAULT;
	if (!listed) {
		config->cpus = host->mask;
	}
	uint64_t cpu_count = config->cpus.count > 0 ? config->cpus.count : 1;
	uint64_t quota_cpus = (host->quota_millicpus + 999) / 1000;
	if (config->source[PW_SETTING_SHARDS] == PW_SOURCE_DEFAULT) {
		bool limited = !listed && quota_cpus != 0 && quota_cpus < cpu_count;
		uint64_t room = PW_SHARDS_MAX - config->value[PW_SETTING_LENT];
		uint64_t wanted = limited ? quota_cpus : cpu_count;
		config->value[PW_SETTING_SHARDS] = wanted < room ? wanted : room;
	}
	uint64_t shards = config->value[PW_SETTING_SHARDS];
	config->oversubscribed = shards > cpu_count;
	describe_cpus(config, cpus, sizeof(cpus));
	describe_quota(host, quota, sizeof(quota));
	(void) snprintf(config->why_shards, sizeof(config->why_shards), "%s, %s: %llu shard%s%s", cpus, quota,
	    (unsigned long long) shards, plural(shards), config->oversubscribed ? ", oversubscribed" : "");
}

/* What only both together show. */
static nng_err
check_shards(struct pw_config *config)
{
	uint64_t shards = config->value[PW_SETTING_SHARDS], lent = config->value[PW_SETTING_LENT];
	bool given = config->source[PW_SETTING_SHARDS] == PW_SOURCE_CONFIGURATION;
	const char *name = given ? "pinwheel_config.shards" : PREFIX "SHARDS";
	char text[24];
	(void) snprintf(text, sizeof(text), "%llu", (unsigned long long) shards);
	if (shards + lent == 0) {
		return refuse(config, name, given ? "PINWHEEL_NONE" : text,
		    "no shard at all; use 1 to 1024, or lend some with " PREFIX "LENT");
	}
	if (shards + lent > PW_SHARDS_MAX) {
		return refuse(config, name, text, "too many with the lent ones; use at most 1024 together");
	}
	return NNG_OK;
}

nng_err
pw_config_load(struct pw_config *config, const struct pinwheel_config *given, char *const *environment,
    const struct pw_host *host)
{
	struct pinwheel_config copy;
	memset(config, 0, sizeof(*config));
	nng_err rv = copy_given(config, given, &copy);
	if (rv != NNG_OK) {
		return rv;
	}
	config->on_thread_start = copy.on_thread_start;
	config->on_thread_start_arg = copy.on_thread_start_arg;
	config->on_log = copy.on_log;
	config->on_log_arg = copy.on_log_arg;

	rv = take_environment(config, environment);
	for (unsigned i = 0; i < PW_SETTING_COUNT && rv == NNG_OK; i++) {
		rv = take_field(config, i, &copy);
	}
	if (rv != NNG_OK) {
		return rv;
	}
	set_defaults(config);
	settle_shards(config, host);
	return check_shards(config);
}

void
pw_config_shard(const struct pw_config *config, uint32_t id, struct pw_shard_settings *settings)
{
	bool lent = id >= config->value[PW_SETTING_SHARDS];
	*settings = (struct pw_shard_settings){
		.id = id,
		.tick_shift = (unsigned) __builtin_ctzll(config->value[PW_SETTING_TICK]),
		.idle = (enum pw_idle) config->value[PW_SETTING_IDLE],
		.poller = (enum pw_poller_kind) config->value[PW_SETTING_POLLER],
		.spin_ns = config->value[PW_SETTING_SPIN],
		.long_turn_ns = config->value[PW_SETTING_LONG_TURN],
		.budget = (unsigned) config->value[PW_SETTING_TURN_BUDGET],
		.lent = lent,
		.cpu = lent || config->cpus.count == 0 ? -1 : config->cpus.cpu[id % config->cpus.count],
		.priority = lent ? 0 : (int) config->value[PW_SETTING_PRIORITY],
	};
}

static const char *
print_value(const struct pw_config *config, enum pw_setting which, char *text, size_t size)
{
	const struct setting *s = &settings_table[which];
	uint64_t value = config->value[which];
	switch (s->form) {
	case FORM_CPUS:
		return pw_cpu_list_print(&config->cpus, text, size);
	case FORM_NUMBER:
		break;
	case FORM_DURATION:
		return pw_duration_print(value, text, size);
	case FORM_CHOICE:
		for (const struct choice *c = s->choices; c->word != NULL; c++) {
			if (c->value == value) {
				return c->word;
			}
		}
		break;
	}
	(void) snprintf(text, size, "%llu", (unsigned long long) value);
	return text;
}

void
pw_config_each(const struct pw_config *config, pinwheel_setting_fn fn, void *arg)
{
	char text[PW_SHARDS_MAX * 5 + 1]; /* "4095," for each CPU */
	char source[sizeof(config->why_shards) + 20];
	for (unsigned i = 0; i < PW_SETTING_COUNT; i++) {
		const char *whence = source_text(config->source[i]);
		if (i == PW_SETTING_SHARDS) {
			(void) snprintf(source, sizeof(source), "%s (%s)", whence, config->why_shards);
		} else if (i == PW_SETTING_CPUS && config->source[i] == PW_SOURCE_DEFAULT) {
			(void) snprintf(source, sizeof(source), "%s (the affinity mask)", whence);
		} else {
			(void) snprintf(source, sizeof(source), "%s", whence);
		}
		fn(settings_table[i].variable, print_value(config, i, text, sizeof(text)), source,
		    settings_table[i].meaning, arg);
	}
}

/* SPDX-License-Identifier: MIT
 *
 * log_test.c: nng_log_* as nng.h says of them: what passes, what the logger is told, the three loggers of the
 * library, and the library's own lines.
 */
#include "tests/contract/contract.h"

#include <syslog.h>

/* ---- a logger that records */

struct said {
	unsigned count;
	nng_log_level level;
	nng_log_facility facility;
	char msgid[64]; /* "(null)" for NULL */
	char text[2048];
};

static struct said said;

static void
recorder(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
{
	said.count++;
	said.level = level;
	said.facility = facility;
	(void) snprintf(said.msgid, sizeof said.msgid, "%s", msgid != NULL ? msgid : "(null)");
	(void) snprintf(said.text, sizeof said.text, "%s", msg);
}

static struct said
said_take(void)
{
	struct said taken = said;
	said = (struct said){ 0 };
	return taken;
}

static int
recording(void **state)
{
	(void) state;
	(void) said_take();
	nng_log_set_logger(recorder);
	return 0;
}

static int
as_at_first(void **state)
{
	(void) state;
	nng_log_set_logger(NULL);
	nng_log_set_level(NNG_LOG_NOTICE);
	nng_log_set_facility(NNG_LOG_USER);
	return 0;
}

#define TEST_LOG(f) cmocka_unit_test_setup_teardown(f, recording, as_at_first)

static const nng_log_level levels[] = { NNG_LOG_ERR, NNG_LOG_WARN, NNG_LOG_NOTICE, NNG_LOG_INFO, NNG_LOG_DEBUG };
#define LEVELS (sizeof levels / sizeof levels[0])

static void
say_at(nng_log_level level)
{
	switch (level) {
	case NNG_LOG_ERR:
		nng_log_err("ID", "text %d", 3);
		break;
	case NNG_LOG_WARN:
		nng_log_warn("ID", "text %d", 4);
		break;
	case NNG_LOG_NOTICE:
		nng_log_notice("ID", "text %d", 5);
		break;
	case NNG_LOG_INFO:
		nng_log_info("ID", "text %d", 6);
		break;
	case NNG_LOG_DEBUG:
		nng_log_debug("ID", "text %d", 7);
		break;
	case NNG_LOG_NONE:
		break;
	}
}

/* ---- what passes */

/* nng_log_set_level: "the mildest level that passes, NNG_LOG_NOTICE at first", NNG_LOG_NONE: "nothing passes".
 * Method: every level said at every level set. */
static void
level_lets_pass_what_is_as_bad_or_worse(void **unused)
{
	(void) unused;
	assert_int_equal(nng_log_get_level(), NNG_LOG_NOTICE);
	for (unsigned set = 0; set <= LEVELS; set++) {
		nng_log_level limit = set < LEVELS ? levels[set] : NNG_LOG_NONE;
		nng_log_set_level(limit);
		assert_int_equal(nng_log_get_level(), limit);
		for (unsigned i = 0; i < LEVELS; i++) {
			char text[] = "text 0";
			text[5] = (char) ('0' + (int) levels[i]);
			say_at(levels[i]);
			struct said heard = said_take();
			assert_int_equal(heard.count, levels[i] <= limit ? 1 : 0);
			if (heard.count != 0) {
				assert_int_equal(heard.level, levels[i]);
				assert_string_equal(heard.msgid, "ID");
				assert_string_equal(heard.text, text);
			}
		}
	}
}

/* "what the logger is told as facility, NNG_LOG_USER at first"; auth: "with facility NNG_LOG_AUTH, and at the level
 * it is given; NNG_LOG_NONE and what is no level: not logged". */
static void
facility_is_the_one_set_or_auth(void **unused)
{
	(void) unused;
	nng_log_err(NULL, "plain");
	struct said heard = said_take();
	assert_int_equal(heard.facility, NNG_LOG_USER);
	assert_string_equal(heard.msgid, "(null)");
	nng_log_set_facility(NNG_LOG_LOCAL3);
	nng_log_err("ID", "plain");
	assert_int_equal(said_take().facility, NNG_LOG_LOCAL3);
	nng_log_auth(NNG_LOG_WARN, "ID", "%s is not let in", "nobody");
	heard = said_take();
	assert_int_equal(heard.facility, NNG_LOG_AUTH);
	assert_int_equal(heard.level, NNG_LOG_WARN);
	assert_string_equal(heard.text, "nobody is not let in");
	nng_log_auth(NNG_LOG_DEBUG, "ID", "too mild");
	nng_log_auth(NNG_LOG_NONE, "ID", "no level");
	nng_log_auth((nng_log_level) 1, "ID", "no level");
	nng_log_set_level((nng_log_level) 100);
	nng_log_auth((nng_log_level) 8, "ID", "no level");
	assert_int_equal(said_take().count, 0);
}

/* "the text, cut to 1023 bytes". */
static void
long_text_is_cut(void **unused)
{
	char text[3000];

	(void) unused;
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	nng_log_err("ID", "%s", text);
	struct said heard = said_take();
	assert_int_equal(strlen(heard.text), 1023);
	assert_int_equal(strspn(heard.text, "x"), 1023);
}

/* "The logger from now on; NULL: nng_null_logger", which "drops the message; the one that is set at first": a child
 * that sets none writes nothing. */
static void
null_logger_is_the_first_and_says_nothing(void **unused)
{
	(void) unused;
	nng_log_set_logger(NULL);
	nng_log_err("ID", "lost");
	nng_log_set_logger(nng_null_logger);
	nng_log_err("ID", "lost");
	nng_null_logger(NNG_LOG_ERR, NNG_LOG_USER, NULL, "lost");
	assert_int_equal(said_take().count, 0);
	struct child child = child_run("says an error", NULL, NULL);
	child_expect_exit(&child, 0);
	assert_string_equal(child.err, "");
}

/* "A NULL msg is misuse (R27)". */
static void
null_message_is_misuse(void **unused)
{
	const char *volatile none = NULL; /* not to be seen by the compiler, who knows printf */

	(void) unused;
	nng_log_set_logger(NULL); /* misuse is a line too */
	nng_log_warn("ID", none);
	(void) misuse_expect("nng_log_warn", NULL, "");
	nng_log_auth(NNG_LOG_ERR, "ID", none);
	(void) misuse_expect("nng_log_auth", NULL, "");
}

/* ---- the library's own lines */

/* "a logger gets them as well, with msgid "pinwheel", NNG_LOG_ERR for misuse and NNG_LOG_WARN for others"; "Holds
 * across nng_fini". Method: a misuse with the hook and a logger set: both get the line; then with a level that keeps
 * it out; and a start that a bad setting refuses. */
static void
logger_gets_the_lines_of_the_library(void **unused)
{
	struct log_seen lines = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	(void) unused;
	config.shards = 1;
	config.lent_shards = PINWHEEL_NONE;
	config.on_log = log_record;
	config.on_log_arg = &lines;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	nng_log_set_logger(recorder);
	(void) said_take();
	(void) nng_aio_result(NULL);
	(void) misuse_expect("nng_aio_result", NULL, "");
	struct said heard = said_take();
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.level, NNG_LOG_ERR);
	assert_string_equal(heard.msgid, "pinwheel");
	assert_int_equal(lines.lines, 1);
	assert_int_equal(strncmp(lines.last, "pinwheel: ", 10), 0);
	assert_string_equal(heard.text, lines.last + 10);

	nng_log_set_level(NNG_LOG_NONE);
	(void) nng_aio_result(NULL);
	(void) misuse_expect("nng_aio_result", NULL, "");
	assert_int_equal(said_take().count, 0);
	assert_int_equal(lines.lines, 2);
	nng_fini();

	nng_log_set_level(NNG_LOG_WARN);
	config.cpus = "none such";
	assert_int_equal(pinwheel_start(&config), NNG_EINVAL);
	heard = said_take();
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.level, NNG_LOG_WARN);
	assert_non_null(strstr(heard.text, "none such"));
	assert_int_equal(as_at_first(NULL), 0);
}

static int
recorded_only(void **state)
{
	(void) state;
	(void) misuse_take();
	pinwheel_set_misuse_handler(misuse_record);
	return 0;
}

static int
says_an_error(void)
{
	nng_log_err("ID", "an error");
	return 0;
}

static int
misuses_with_the_stderr_logger(void)
{
	pinwheel_set_misuse_handler(misuse_record);
	nng_log_set_logger(nng_stderr_logger);
	(void) nng_aio_result(NULL);
	return misuse_take().count == 1 ? 0 : 1;
}

static const struct scenario scenarios[] = {
	{ "says an error", says_an_error },
	{ "misuses with the stderr logger", misuses_with_the_stderr_logger },
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* "nng_stderr_logger does not say them twice": R27 is one line on stderr. Method: a child, its stderr counted. */
static void
misuse_is_one_line_on_stderr_whatever_the_logger(void **unused)
{
	(void) unused;
	struct child child = child_run("misuses with the stderr logger", NULL, NULL);
	child_expect_exit(&child, 0);
	assert_int_equal(strncmp(child.err, "pinwheel: misuse: nng_aio_result", 32), 0);
	assert_ptr_equal(strchr(child.err, '\n'), child.err + strlen(child.err) - 1);
}

/* ---- loggers */

/* What the calls between the two write to stderr, which is `writer` meanwhile. */
struct captured {
	int before;
	int reader;
	char text[4096];
};

static void
capture_begin(struct captured *captured, int reader, int writer)
{
	captured->reader = reader;
	captured->before = dup(STDERR_FILENO);
	assert_true(captured->before >= 0);
	assert_int_equal(dup2(writer, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(writer), 0);
}

/* Up to `lines` newlines: a terminal has no end that one could read to. */
static void
capture_end(struct captured *captured, unsigned lines)
{
	size_t used = 0;
	(void) dup2(captured->before, STDERR_FILENO);
	while (lines > 0 && used < sizeof captured->text - 1) {
		ssize_t got = read(captured->reader, captured->text + used, 1);
		if (got <= 0) {
			break;
		}
		lines -= captured->text[used++] == '\n';
	}
	captured->text[used] = '\0';
	assert_int_equal(close(captured->before), 0);
	assert_int_equal(close(captured->reader), 0);
}

/* "12:34:56.789 " */
static const char *
skip_time(const char *line)
{
	int hours, minutes, seconds, ms, used = 0;
	assert_int_equal(sscanf(line, "%2d:%2d:%2d.%3d%n", &hours, &minutes, &seconds, &ms, &used), 4);
	assert_int_equal(used, 12);
	assert_int_equal(line[used], ' ');
	return line + used + 1;
}

/* "one line on stderr: local time, level, msgid, text". Method: into a pipe, which gets no colours. */
static void
stderr_logger_writes_a_line(void **unused)
{
	struct captured captured;
	int ends[2];

	(void) unused;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	capture_begin(&captured, ends[0], ends[1]);
	nng_log_set_logger(nng_stderr_logger);
	nng_log_warn("ID", "first");
	nng_log_err(NULL, "second\n");
	nng_log_debug("ID", "too mild");
	nng_stderr_logger(NNG_LOG_NOTICE, NNG_LOG_DAEMON, "", "");
	capture_end(&captured, 4);

	const char *line = skip_time(captured.text);
	assert_int_equal(strncmp(line, "WARN   ID: first\n", 17), 0);
	line = skip_time(line + 17);
	assert_int_equal(strncmp(line, "ERROR  second\n", 14), 0);
	assert_string_equal(skip_time(line + 14), "NOTICE : \n");
}

/* "in colours by level on a terminal, unless NO_COLOR or NNG_LOG_NO_COLOR is in the environment". Method: a
 * pseudo-terminal. */
static void
stderr_logger_has_colours_on_a_terminal(void **unused)
{
	static const char *const names[] = { NULL, "NO_COLOR", "NNG_LOG_NO_COLOR" };

	(void) unused;
	for (unsigned i = 0; i < 3; i++) {
		struct captured captured;
		int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (terminal < 0) {
			print_message("there are no pseudo-terminals here\n");
			skip();
		}
		assert_int_equal(grantpt(terminal), 0);
		assert_int_equal(unlockpt(terminal), 0);
		int line = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(line >= 0);
		const char *no_color = getenv("NO_COLOR");
		char *before = no_color != NULL ? strdup(no_color) : NULL;
		(void) unsetenv("NO_COLOR");
		if (names[i] != NULL) {
			assert_int_equal(setenv(names[i], "", 1), 0);
		}
		capture_begin(&captured, terminal, line);
		nng_stderr_logger(NNG_LOG_ERR, NNG_LOG_USER, "ID", "text");
		nng_stderr_logger(NNG_LOG_INFO, NNG_LOG_USER, "ID", "text");
		capture_end(&captured, 2);
		if (names[i] != NULL) {
			(void) unsetenv(names[i]);
		}
		if (before != NULL) {
			(void) setenv("NO_COLOR", before, 1);
		}
		free(before);
		const char *second = strchr(captured.text, '\n');
		assert_non_null(second);
		assert_int_equal(captured.text[0] == '\033', names[i] == NULL);
		assert_null(strchr(second, '\033')); /* the mildest but one has none */
	}
}

/* The program's syslog(3) in place of the system's. */
static struct said logged;

void
syslog(int priority, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	logged.count++;
	logged.level = (nng_log_level) (priority & LOG_PRIMASK);
	logged.facility = (nng_log_facility) ((priority & LOG_FACMASK) >> 3);
	(void) vsnprintf(logged.text, sizeof logged.text, format, args);
	va_end(args);
}

/* nng_system_logger: "syslog(3)", with priorities of its own. Method: this program's syslog. */
static void
system_logger_calls_syslog(void **unused)
{
	(void) unused;
	nng_log_set_logger(nng_system_logger);
	nng_log_set_level(NNG_LOG_DEBUG);
	nng_log_set_facility(NNG_LOG_LOCAL7);
	for (unsigned i = 0; i < LEVELS; i++) {
		logged = (struct said){ 0 };
		say_at(levels[i]);
		assert_int_equal(logged.count, 1);
		assert_int_equal(logged.level, levels[i]);
		assert_int_equal(logged.facility << 3, LOG_LOCAL7);
		assert_int_equal(strncmp(logged.text, "ID: text ", 9), 0);
	}
	nng_log_auth(NNG_LOG_ERR, NULL, "%s", "100%s");
	assert_int_equal(logged.facility << 3, LOG_AUTHPRIV);
	assert_string_equal(logged.text, "100%s");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_LOG(level_lets_pass_what_is_as_bad_or_worse),
		TEST_LOG(facility_is_the_one_set_or_auth),
		TEST_LOG(long_text_is_cut),
		TEST_LOG(null_logger_is_the_first_and_says_nothing),
		TEST_RECORDED(null_message_is_misuse),
		cmocka_unit_test_setup_teardown(logger_gets_the_lines_of_the_library, recorded_only, recorded_end),
		cmocka_unit_test(misuse_is_one_line_on_stderr_whatever_the_logger),
		TEST_LOG(stderr_logger_writes_a_line),
		TEST_LOG(stderr_logger_has_colours_on_a_terminal),
		TEST_LOG(system_logger_calls_syslog),
	};
	child_main(argc, argv, scenarios, SCENARIOS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

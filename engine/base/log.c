/* SPDX-License-Identifier: MIT
 *
 * log.c: nng_log_*: a level, a facility, a logger; and the three loggers of the library. See log.h.
 *
 * Any thread; nothing here takes a lock of the engine or allocates. What a logger does is its own affair.
 *
 * The three settings are words of their own; a message that races with a change of one goes by the old or the new.
 * Level and facility are relaxed: they carry nothing but themselves. The logger is stored with release and loaded
 * with acquire: what the program made ready for its logger is there when the logger is called.
 *
 * The time that nng_stderr_logger prints is the wall's, for people to read. It decides nothing, so it is no business
 * of clock.h.
 */
#include "engine/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/atomic.h"
#include "engine/base/misuse.h"

#define ENGINE_PREFIX "pinwheel: " /* of a line on stderr; to a logger it is the msgid */
#define ENGINE_MSGID "pinwheel"

static pw_a32 log_level = { NNG_LOG_NOTICE };
static pw_a32 log_facility = { NNG_LOG_USER };
static pw_a64 log_logger; /* an nng_logger; 0: nng_null_logger */

/* ---- settings */

void
nng_log_set_level(nng_log_level level)
{
	pw_store_relaxed_32(&log_level, (uint32_t) level);
}

nng_log_level
nng_log_get_level(void)
{
	return (nng_log_level) pw_load_relaxed_32(&log_level);
}

void
nng_log_set_facility(nng_log_facility facility)
{
	pw_store_relaxed_32(&log_facility, (uint32_t) facility);
}

void
nng_log_set_logger(nng_logger logger)
{
	pw_store_release_64(&log_logger, logger == nng_null_logger ? 0 : (uint64_t) (uintptr_t) logger);
}

/* NULL: none, or the level does not pass. */
static nng_logger
logger_for(nng_log_level level)
{
	if (level < NNG_LOG_ERR || level > NNG_LOG_DEBUG || (int) level > (int) nng_log_get_level()) {
		return NULL;
	}
	return (nng_logger) (uintptr_t) pw_load_acquire_64(&log_logger);
}

/* ---- messages */

static void
submit(const char *function, nng_log_level level, bool auth, const char *msgid, const char *format, va_list args)
{
	if (format == NULL) {
		pw_misuse(function, NULL, 0, "the message is NULL");
		return;
	}
	nng_logger logger = logger_for(level);
	if (logger == NULL) {
		return;
	}
	char text[PW_LOG_TEXT_SIZE];
	(void) vsnprintf(text, sizeof(text), format, args);
	logger(level, auth ? NNG_LOG_AUTH : (nng_log_facility) pw_load_relaxed_32(&log_facility), msgid, text);
}

#define SUBMIT(level, auth)                                                                                          \
	do {                                                                                                         \
		va_list args;                                                                                        \
		va_start(args, msg);                                                                                 \
		submit(__func__, level, auth, msgid, msg, args);                                                     \
		va_end(args);                                                                                        \
	} while (0)

void
nng_log_err(const char *msgid, const char *msg, ...)
{
	SUBMIT(NNG_LOG_ERR, false);
}

void
nng_log_warn(const char *msgid, const char *msg, ...)
{
	SUBMIT(NNG_LOG_WARN, false);
}

void
nng_log_notice(const char *msgid, const char *msg, ...)
{
	SUBMIT(NNG_LOG_NOTICE, false);
}

void
nng_log_info(const char *msgid, const char *msg, ...)
{
	SUBMIT(NNG_LOG_INFO, false);
}

void
nng_log_debug(const char *msgid, const char *msg, ...)
{
	SUBMIT(NNG_LOG_DEBUG, false);
}

void
nng_log_auth(nng_log_level level, const char *msgid, const char *msg, ...)
{
	SUBMIT(level, true);
}

void
pw_log_pass(nng_log_level level, const char *line)
{
	nng_logger logger = logger_for(level);
	if (logger == NULL || logger == nng_stderr_logger) {
		return; /* one line on stderr, not two */
	}
	size_t prefix = strncmp(line, ENGINE_PREFIX, sizeof(ENGINE_PREFIX) - 1) == 0 ? sizeof(ENGINE_PREFIX) - 1 : 0;
	logger(level, (nng_log_facility) pw_load_relaxed_32(&log_facility), ENGINE_MSGID, line + prefix);
}

/* ---- loggers */

void
nng_null_logger(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
{
	(void) level;
	(void) facility;
	(void) msgid;
	(void) msg;
}

static bool
wants_colour(void)
{
	return isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL && getenv("NNG_LOG_NO_COLOR") == NULL;
}

/* What a level is called, and what switches its colour on; "" where it has none. */
struct face {
	const char *name;
	const char *colour;
};

static struct face
face_of(nng_log_level level)
{
	switch (level) {
	case NNG_LOG_ERR:
		return (struct face){ "ERROR", "\033[31m" };
	case NNG_LOG_WARN:
		return (struct face){ "WARN", "\033[33m" };
	case NNG_LOG_NOTICE:
		return (struct face){ "NOTICE", "\033[1m" };
	case NNG_LOG_DEBUG:
		return (struct face){ "DEBUG", "\033[2m" };
	case NNG_LOG_INFO:
	case NNG_LOG_NONE:
		break;
	}
	return (struct face){ "INFO", "" };
}

void
nng_stderr_logger(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
{
	struct face face = face_of(level);
	const char *reset = "\033[0m";
	struct timespec now;
	struct tm local;
	char clock[sizeof("hh:mm:ss")] = "";
	(void) facility;

	(void) clock_gettime(CLOCK_REALTIME, &now);
	if (localtime_r(&now.tv_sec, &local) != NULL) {
		(void) strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	}
	if (face.colour[0] == '\0' || !wants_colour()) {
		face.colour = reset = "";
	}
	size_t length = strlen(msg);
	bool ended = length > 0 && msg[length - 1] == '\n';
	/* One call: stderr has no buffer, and one call is one write. */
	(void) fprintf(stderr, "%s%s.%03ld %-6s %s%s%.*s%s\n", face.colour, clock, now.tv_nsec / 1000000, face.name,
	    msgid != NULL ? msgid : "", msgid != NULL ? ": " : "", (int) (length - ended), msg, reset);
}

_Static_assert(NNG_LOG_ERR == LOG_ERR && NNG_LOG_WARN == LOG_WARNING && NNG_LOG_NOTICE == LOG_NOTICE, "levels");
_Static_assert(NNG_LOG_INFO == LOG_INFO && NNG_LOG_DEBUG == LOG_DEBUG, "levels");
_Static_assert(NNG_LOG_USER << 3 == LOG_USER && NNG_LOG_DAEMON << 3 == LOG_DAEMON, "facilities");
_Static_assert(NNG_LOG_AUTH << 3 == LOG_AUTHPRIV && NNG_LOG_LOCAL0 << 3 == LOG_LOCAL0, "facilities");
_Static_assert(NNG_LOG_LOCAL7 << 3 == LOG_LOCAL7, "facilities");

void
nng_system_logger(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
{
	int priority = (int) level | (int) facility << 3;
	if (msgid != NULL) {
		syslog(priority, "%s: %s", msgid, msg);
	} else {
		syslog(priority, "%s", msg);
	}
}

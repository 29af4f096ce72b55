/* SPDX-License-Identifier: MIT
 *
 * misuse.c: the report of a broken contract, and the library's lines on stderr. See misuse.h.
 *
 * Hooks are two words each, stored relaxed: they are set before use or in a quiet moment, and a racing reader sees
 * the old one or the new one.
 */
#include "engine/base/misuse.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinwheel/pinwheel.h>

#include "engine/base/atomic.h"
#include "engine/base/log.h"
#include "engine/shard/word.h"

#define LINE_SIZE 512

static pw_a64 misuse_handler; /* a pinwheel_misuse_fn */
static pw_a64 log_hook;       /* a pinwheel_log_fn */
static pw_aptr log_hook_arg;

void
pw_log_set_hook(void (*hook)(const char *line, void *arg), void *arg)
{
	pw_store_relaxed_ptr(&log_hook_arg, arg);
	pw_store_release_64(&log_hook, (uint64_t) (uintptr_t) hook);
}

static void
say(nng_log_level level, const char *format, va_list args)
{
	char line[LINE_SIZE];
	(void) vsnprintf(line, sizeof line, format, args);
	(void) fprintf(stderr, "%s\n", line);

	pinwheel_log_fn hook = (pinwheel_log_fn) (uintptr_t) pw_load_acquire_64(&log_hook);
	if (hook != NULL) {
		hook(line, pw_load_relaxed_ptr(&log_hook_arg));
	}
	pw_log_pass(level, line);
}

void
pw_log(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(NNG_LOG_WARN, format, args);
	va_end(args);
}

__attribute__((format(printf, 1, 2))) static void
say_misuse(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(NNG_LOG_ERR, format, args);
	va_end(args);
}

void
pinwheel_set_misuse_handler(pinwheel_misuse_fn fn)
{
	pw_store_release_64(&misuse_handler, (uint64_t) (uintptr_t) fn);
}

void
pw_misuse(const char *function, const void *aio, uint64_t word, const char *why)
{
	char state[128] = "";
	char thread[16] = "?";
	(void) pthread_getname_np(pthread_self(), thread, sizeof thread);
	if (aio != NULL) {
		(void) pw_word_text(word, state, sizeof state);
		say_misuse("pinwheel: misuse: %s(%p): %s (state %s, thread %s)", function, aio, why, state, thread);
	} else {
		say_misuse("pinwheel: misuse: %s: %s (thread %s)", function, why, thread);
	}

	pinwheel_misuse_fn handler = (pinwheel_misuse_fn) (uintptr_t) pw_load_acquire_64(&misuse_handler);
	if (handler == NULL) {
		abort();
	}
	struct pinwheel_misuse misuse = {
		.function = function, .aio = aio, .state = state, .reason = why, .thread = thread,
	};
	handler(&misuse);
}

const char *
pw_word_text(uint64_t word, char *text, unsigned size)
{
	static const char *const states[8] = { "IDLE", "OPEN", "BUSY", "DEFERRED", "CANCELING", "DONE", "?", "?" };
	static const struct {
		uint64_t bit;
		const char *name;
	} flags[] = {
		{ PW_RUNNING, "|RUNNING" }, { PW_STOPPED, "|STOPPED" }, { PW_FREEING, "|FREEING" },
		{ PW_ABORT, "|ABORT" }, { PW_QUEUED, "|QUEUED" }, { PW_ARM, "|ARM" }, { PW_DESTROY, "|DESTROY" },
		{ PW_TIMER, "|TIMER" }, { PW_WAITERS, "|WAITERS" },
	};
	size_t used = (size_t) snprintf(text, size, "%s", states[pw_word_state(word)]);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0] && used < size; i++) {
		if ((word & flags[i].bit) != 0) {
			used += (size_t) snprintf(text + used, size - used, "%s", flags[i].name);
		}
	}
	return text;
}

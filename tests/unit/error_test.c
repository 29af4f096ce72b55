/* SPDX-License-Identifier: MIT
 *
 * error_test.c: the texts of codes, and the codes of errno values.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/error.h"

#define ERRNO_END 4096 /* the kernel's own bound: results in [-4095, -1] are errors */

static const nng_err codes[] = {
	NNG_OK, NNG_EINTR, NNG_ENOMEM, NNG_EINVAL, NNG_EBUSY, NNG_ETIMEDOUT, NNG_ECONNREFUSED, NNG_ECLOSED, NNG_EAGAIN,
	NNG_ENOTSUP, NNG_EADDRINUSE, NNG_ESTATE, NNG_ENOENT, NNG_EPROTO, NNG_EUNREACHABLE, NNG_EADDRINVAL, NNG_EPERM,
	NNG_EMSGSIZE, NNG_ECONNABORTED, NNG_ECONNRESET, NNG_ECANCELED, NNG_ENOFILES, NNG_ENOSPC, NNG_EEXIST,
	NNG_EREADONLY, NNG_EWRITEONLY, NNG_ECRYPTO, NNG_EPEERAUTH, NNG_ENOARG, NNG_EAMBIGUOUS, NNG_EBADTYPE,
	NNG_ECONNSHUT, NNG_ESTOPPED, NNG_EINTERNAL,
};
#define CODE_COUNT (sizeof(codes) / sizeof(codes[0]))

struct named {
	nng_err err;
	char text[80];
};

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(((const struct named *) a)->text, ((const struct named *) b)->text);
}

/* Law: the text of a code is there, and no other code has it; the system's texts are no exception.
 * Method: the named codes, the system's 4096, and some numbers of each other kind, sorted by text. Made texts share a
 * buffer, so all are copied first. */
static void
error_texts_are_distinct(void **state)
{
	(void) state;
	static const nng_err others[] = { NNG_ETRANERR, NNG_ETRANERR + 1, NNG_ETRANERR + 999, INT_MAX, INT_MIN, -1, 32, 998,
		1001, NNG_ESYSERR - 1, NNG_ETRANERR - 1 };
	enum { OTHERS = sizeof(others) / sizeof(others[0]), ALL = CODE_COUNT + ERRNO_END + OTHERS };
	static struct named all[ALL];
	for (size_t i = 0; i < CODE_COUNT; i++) {
		all[i].err = codes[i];
	}
	for (int e = 0; e < ERRNO_END; e++) {
		all[CODE_COUNT + (size_t) e].err = NNG_ESYSERR + e;
	}
	for (size_t i = 0; i < OTHERS; i++) {
		all[CODE_COUNT + ERRNO_END + i].err = others[i];
	}
	for (size_t i = 0; i < ALL; i++) {
		const char *text = nng_strerror(all[i].err);
		assert_non_null(text);
		assert_in_range(strlen(text), 1, sizeof(all[i].text) - 1);
		strcpy(all[i].text, text);
	}
	qsort(all, ALL, sizeof(all[0]), compare_texts);
	for (size_t i = 1; i < ALL; i++) {
		if (strcmp(all[i - 1].text, all[i].text) == 0) {
			fail_msg("%d and %d are both \"%s\"", all[i - 1].err, all[i].err, all[i].text);
		}
	}
}

/* Law: every constant of the enum has a text of its own, not one made of its number.
 * Method: the named codes; a hole in the table would be NULL or an "Unknown error". */
static void
error_text_names_every_code(void **state)
{
	(void) state;
	for (size_t i = 0; i < CODE_COUNT; i++) {
		assert_null(strstr(nng_strerror(codes[i]), "Unknown"));
	}
}

/* Law: NNG_ESYSERR + e has the system's text for e. */
static void
error_text_of_the_system_is_the_systems(void **state)
{
	(void) state;
	for (int e = 0; e < ERRNO_END; e++) {
		const char *expected = strerrordesc_np(e);
		const char *text = nng_strerror(NNG_ESYSERR + e);
		if (expected != NULL) {
			assert_string_equal(text, expected);
		} else {
			char number[16];
			(void) snprintf(number, sizeof(number), " %d", e);
			assert_non_null(strstr(text, number));
		}
	}
}

/* Law: numbers that are no code are named with their number. */
static void
error_text_of_a_number_carries_it(void **state)
{
	(void) state;
	assert_non_null(strstr(nng_strerror(NNG_ETRANERR + 7), " 7"));
	assert_non_null(strstr(nng_strerror(-5), " -5"));
	assert_non_null(strstr(nng_strerror(12345), " 12345"));
	assert_non_null(strstr(nng_strerror(INT_MIN), " -2147483648"));
	assert_non_null(strstr(nng_strerror(NNG_ESYSERR + 4000), " 4000"));
}

#define THREADS 4
#define ROUNDS 2000

struct reader {
	int number;
	unsigned wrong;
};

static void *
read_texts(void *arg)
{
	struct reader *reader = arg;
	char expected[64];
	for (int i = 0; i < ROUNDS; i++) {
		int number = 2000 + reader->number * ROUNDS + i;
		(void) snprintf(expected, sizeof(expected), "Unknown error %d", number);
		const char *text = nng_strerror(number);
		(void) nng_strerror(NNG_ECLOSED); /* keeps the made text */
		reader->wrong += strcmp(text, expected) != 0;
	}
	return NULL;
}

/* Law: a made text is the calling thread's, until that thread makes another.
 * Method: threads make different texts at once and each compares its own; they count, the test's thread asserts. */
static void
error_text_is_the_callers_alone(void **state)
{
	(void) state;
	pthread_t thread[THREADS];
	struct reader reader[THREADS];
	for (int i = 0; i < THREADS; i++) {
		reader[i] = (struct reader){ .number = i };
		assert_int_equal(pthread_create(&thread[i], NULL, read_texts, &reader[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(reader[i].wrong, 0);
	}
}

/* Law: an errno value that a socket call reports has the code that the contract names. */
static void
error_from_errno_follows_the_contract(void **state)
{
	(void) state;
	static const struct {
		int errnum;
		nng_err code;
	} row[] = {
		{ 0, NNG_OK },
		{ ECONNREFUSED, NNG_ECONNREFUSED },
		{ ECONNRESET, NNG_ECONNRESET },
		{ ECONNABORTED, NNG_ECONNABORTED },
		{ EPIPE, NNG_ECLOSED },
		{ ENOTCONN, NNG_ECLOSED },
		{ ETIMEDOUT, NNG_ETIMEDOUT },
		{ EADDRINUSE, NNG_EADDRINUSE },
		{ EADDRNOTAVAIL, NNG_EADDRINVAL },
		{ EACCES, NNG_EPERM },
		{ EPERM, NNG_EPERM },
		{ EMFILE, NNG_ENOFILES },
		{ ENFILE, NNG_ENOFILES },
		{ ENOMEM, NNG_ENOMEM },
		{ ENOBUFS, NNG_ENOMEM },
		{ EHOSTUNREACH, NNG_EUNREACHABLE },
		{ ENETUNREACH, NNG_EUNREACHABLE },
		{ EAFNOSUPPORT, NNG_ENOTSUP },
		{ ENOENT, NNG_ENOENT },
		{ ECANCELED, NNG_ECANCELED },
		{ EINTR, NNG_EINTR },
		{ EAGAIN, NNG_EAGAIN },
		{ EBADF, NNG_ESYSERR + EBADF },
		{ EFAULT, NNG_ESYSERR + EFAULT },
		{ EXDEV, NNG_ESYSERR + EXDEV },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(pw_error_from_errno(row[i].errnum), row[i].code);
	}
}

/* Law: no errno value but 0 becomes success, and a wrapped one can be unwrapped. */
static void
error_from_errno_is_never_success(void **state)
{
	(void) state;
	for (int e = 1; e < ERRNO_END; e++) {
		nng_err err = pw_error_from_errno(e);
		assert_true(err != NNG_OK);
		assert_true(err < 32 || err == NNG_ESYSERR + e);
	}
}

/* Law: dialling a Unix-domain path where nothing is, is a refused connection; every other errno is as always. */
static void
error_from_connect_differs_in_enoent_alone(void **state)
{
	(void) state;
	for (int e = 0; e < ERRNO_END; e++) {
		nng_err expected = e == ENOENT ? NNG_ECONNREFUSED : pw_error_from_errno(e);
		assert_int_equal(pw_error_from_connect_errno(e), expected);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_texts_are_distinct),
		cmocka_unit_test(error_text_names_every_code),
		cmocka_unit_test(error_text_of_the_system_is_the_systems),
		cmocka_unit_test(error_text_of_a_number_carries_it),
		cmocka_unit_test(error_text_is_the_callers_alone),
		cmocka_unit_test(error_from_errno_follows_the_contract),
		cmocka_unit_test(error_from_errno_is_never_success),
		cmocka_unit_test(error_from_connect_differs_in_enoent_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

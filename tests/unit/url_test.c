/* SPDX-License-Identifier: MIT
 *
 * url_test.c: the laws of engine/stream/url.c: a URL is its parts in normal form, or an error that says which kind it
 * is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include "engine/shard/arena.h"
#include "engine/stream/url.h"

static nng_url *
parsed(const char *text)
{
	nng_url *url = NULL;
	nng_err error = nng_url_parse(&url, text);
	if (error != NNG_OK) {
		print_error("%s: %s\n", text, nng_strerror(error));
	}
	assert_int_equal(error, NNG_OK);
	assert_non_null(url);
	return url;
}

static void
expect_error(const char *text, nng_err error)
{
	nng_url *url = NULL;
	nng_err got = nng_url_parse(&url, text);
	if (got != error) {
		print_error("%s: %s, not %s\n", text != NULL ? text : "(NULL)", nng_strerror(got),
		    nng_strerror(error));
	}
	assert_int_equal(got, error);
	assert_null(url); /* written on success only */
}

static void
expect_text(const char *got, const char *wanted)
{
	if (wanted == NULL) {
		assert_null(got);
	} else {
		assert_non_null(got);
		assert_string_equal(got, wanted);
	}
}

struct parts {
	const char *text;
	const char *scheme;
	const char *userinfo;
	const char *hostname;
	uint32_t port;
	const char *path;
	const char *query;
	const char *fragment;
};

static void
expect_parts(const nng_url *url, const struct parts *parts)
{
	assert_string_equal(nng_url_scheme(url), parts->scheme);
	expect_text(nng_url_userinfo(url), parts->userinfo);
	expect_text(nng_url_hostname(url), parts->hostname);
	assert_int_equal(nng_url_port(url), parts->port);
	assert_string_equal(nng_url_path(url), parts->path);
	expect_text(nng_url_query(url), parts->query);
	expect_text(nng_url_fragment(url), parts->fragment);
}

/* Every part is told apart from the others, and what is absent from what is empty. */
static void
url_has_its_parts(void **state)
{
	static const struct parts all[] = {
		{ "http://www.example.com", "http", NULL, "www.example.com", 80, "", NULL, NULL },
		{ "http://www.example.com:1234", "http", NULL, "www.example.com", 1234, "", NULL, NULL },
		{ "http://www.example.com:1234/some/path", "http", NULL, "www.example.com", 1234, "/some/path", NULL,
		    NULL },
		{ "http://u@h:1/p?q#f", "http", "u", "h", 1, "/p", "q", "f" },
		{ "http://u:pw@h/p?q", "http", "u:pw", "h", 80, "/p", "q", NULL },
		{ "http://@h?#", "http", "", "h", 80, "", "", "" },
		{ "http://h?a?b/c", "http", NULL, "h", 80, "", "a?b/c", NULL },
		{ "http://h#a?b/c#d", "http", NULL, "h", 80, "", NULL, "a?b/c#d" },
		{ "https://h:443/", "https", NULL, "h", 443, "/", NULL, NULL },
		{ "ws6://h", "ws6", NULL, "h", 80, "", NULL, NULL },
		{ "wss4://h", "wss4", NULL, "h", 443, "", NULL, NULL },
		{ "tcp://", "tcp", NULL, "", 0, "", NULL, NULL },
		{ "tcp://:9999", "tcp", NULL, "", 9999, "", NULL, NULL },
		{ "tcp://h:0", "tcp", NULL, "h", 0, "", NULL, NULL },
		{ "tls+tcp://h:1", "tls+tcp", NULL, "h", 1, "", NULL, NULL },
		{ "udp://127.0.0.1:5", "udp", NULL, "127.0.0.1", 5, "", NULL, NULL },
		{ "tcp://[::1]:80", "tcp", NULL, "::1", 80, "", NULL, NULL },
		{ "http://[FE80::1%Eth0]", "http", NULL, "fe80::1%Eth0", 80, "", NULL, NULL },
		{ "http://u@[::1]:9/p", "http", "u", "::1", 9, "/p", NULL, NULL },
		{ "ipc:///run/x?y#z", "ipc", NULL, NULL, 0, "/run/x?y#z", NULL, NULL },
		{ "unix://x.sock", "unix", NULL, NULL, 0, "x.sock", NULL, NULL },
		{ "inproc://a b://%", "inproc", NULL, NULL, 0, "a b://%", NULL, NULL },
		{ "abstract://a%00b", "abstract", NULL, NULL, 0, "a%00b", NULL, NULL },
		{ "socket://", "socket", NULL, NULL, 0, "", NULL, NULL },
		{ "ipc://", "ipc", NULL, NULL, 0, "", NULL, NULL },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		nng_url *url = parsed(all[i].text);
		expect_parts(url, &all[i]);
		nng_url_free(url);
	}
}

/* The normal form: case, escapes, "//", "." and "..". */
static void
url_is_in_normal_form(void **state)
{
	static const struct parts all[] = {
		{ "HTTP://WWW.Example.Com", "http", NULL, "www.example.com", 80, "", NULL, NULL },
		{ "http://h/%41%2d%2E%7e%5f", "http", NULL, "h", 80, "/A-.~_", NULL, NULL },
		{ "http://h/%2f%3f%c2%a2", "http", NULL, "h", 80, "/%2F%3F\xc2\xa2", NULL, NULL },
		{ "http://h/a?%41%2f#%42%3b", "http", NULL, "h", 80, "/a", "A%2F", "B%3B" },
		{ "http://u%41@h", "http", "uA", "h", 80, "", NULL, NULL },
		{ "http://h//a///b/", "http", NULL, "h", 80, "/a/b/", NULL, NULL },
		{ "http://h/a/./b/../c", "http", NULL, "h", 80, "/a/c", NULL, NULL },
		{ "http://h/a/%2e%2E/b", "http", NULL, "h", 80, "/b", NULL, NULL },
		{ "http://h/../../a", "http", NULL, "h", 80, "/a", NULL, NULL },
		{ "http://h/a/b/..", "http", NULL, "h", 80, "/a", NULL, NULL },
		{ "http://h/a/.", "http", NULL, "h", 80, "/a", NULL, NULL },
		{ "http://h/..", "http", NULL, "h", 80, "", NULL, NULL },
		{ "http://h/...", "http", NULL, "h", 80, "/...", NULL, NULL },
		{ "http://h/.a/..b/c.", "http", NULL, "h", 80, "/.a/..b/c.", NULL, NULL },
		{ "http://h/a?b/../c//d#e/./f", "http", NULL, "h", 80, "/a", "b/../c//d", "e/./f" },
		{ "http://h/\xf0\x9f\x92\xa9", "http", NULL, "h", 80, "/\xf0\x9f\x92\xa9", NULL, NULL },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		nng_url *url = parsed(all[i].text);
		expect_parts(url, &all[i]);
		nng_url_free(url);
	}
}

/* Malformed is NNG_EINVAL. Method: one of every kind that the grammar in url.c excludes. */
static void
url_malformed_is_invalid(void **state)
{
	static const char *const text[] = {
		/* no URL at all, no scheme, a scheme that is none */
		"",
		":",
		"//",
		"://",
		"http",
		"http:",
		"http:/",
		"http:/h",
		"h:80",
		"http:h",
		"://h",
		"1http://h",
		"+http://h",
		"ht tp://h",
		" http://h",
		"ht\xc3\xa4://x",
		"http ://h",
		/* users */
		"http://a@b@c",
		"http://a b@c",
		"http://a%4@c",
		"http://a%zz@c",
		"http://\x01@c",
		"http://%ff@c",
		/* ports */
		"http://h:",
		"http://h:x",
		"http://h:80x",
		"http://h:-1",
		"http://h:+1",
		"http://h: 1",
		"http://h:0x10",
		"http://h:1.5",
		"http://h:http",
		"http://h:65536",
		"http://h:4294967376",
		"http://h:18446744073709551696",
		"http://h:1:2",
		"http://:",
		"http://[::1]:",
		"http://[::1]:x",
		/* hosts */
		"http://a b",
		"http://a\tb",
		"http://a\x7f",
		"http://\xc3\xa4",
		"http://a\"b",
		"http://a<b",
		"http://a\\b",
		"http://a^b",
		"http://a`b",
		"http://a{b",
		"http://a|b",
		"http://a%4",
		"http://a%zz",
		"http://]",
		/* in brackets */
		"http://[",
		"http://[]",
		"http://[]:1",
		"http://[::1",
		"http://::1]",
		"http://::1",
		"http://[::1]x",
		"http://[::1]x:1",
		"http://x[::1]",
		"http://[127.0.0.1]",
		"http://[g::]",
		"http://[::1 ]",
		"http://[::1%a b]",
		"http://[::1%a%b]",
		"http://[[::1]]",
		/* path, query, fragment: bytes, escapes, UTF-8 */
		"http://h/a b",
		"http://h/\n",
		"http://h/\x7f",
		"http://h?a b",
		"http://h#a b",
		"http://h/%",
		"http://h/%4",
		"http://h/%4g",
		"http://h?%g4",
		"http://h#%",
		"http://h/%ff",
		"http://h/\xff",
		"http://h/%c0%81",
		"http://h/%c2",
		"http://h/%c2x",
		"http://h/\x80",
		"http://h/%e0%80%80",
		"http://h/%ed%a0%80",
		"http://h/%f4%90%80%80",
		"http://h/%f8%88%80%80%80",
		"http://h/%f0%80%80%80",
		"http://h?%ff",
		"http://h#%ff",
	};

	(void) state;
	expect_error(NULL, NNG_EINVAL);
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		expect_error(text[i], NNG_EINVAL);
	}
	assert_int_equal(nng_url_parse(NULL, "http://h"), NNG_EINVAL);
}

/* A scheme that is not known is NNG_ENOTSUP: the beginning of a known one, too. */
static void
url_unknown_scheme_is_not_supported(void **state)
{
	static const char *const text[] = { "zt://h", "t://h", "tc://h", "tcpp://h", "tcp46://h", "httpx://h",
		"x+y-z.1://h" };

	(void) state;
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		expect_error(text[i], NNG_ENOTSUP);
	}
}

/* The bounds: a host of 253 bytes, a text of 8191. Method: the longest good one, and one byte more. */
static void
url_too_long_is_invalid(void **state)
{
	char *text = malloc(2 * PW_URL_LENGTH_MAX);

	(void) state;
	for (unsigned more = 0; more < 2; more++) {
		int n = sprintf(text, "http://");
		memset(text + n, 'h', 253 + more);
		text[n + 253 + (int) more] = '\0';
		if (more == 0) {
			nng_url *url = parsed(text);
			assert_int_equal(strlen(nng_url_hostname(url)), 253);
			nng_url_free(url);
		} else {
			expect_error(text, NNG_EINVAL);
		}
		n = sprintf(text, "http://h/");
		memset(text + n, 'p', PW_URL_LENGTH_MAX - (size_t) n + more);
		text[PW_URL_LENGTH_MAX + more] = '\0';
		if (more == 0) {
			nng_url *url = parsed(text);
			assert_int_equal(strlen(nng_url_path(url)), PW_URL_LENGTH_MAX - strlen("http://h"));
			nng_url_free(url);
		} else {
			expect_error(text, NNG_EINVAL);
		}
	}
	free(text);
}

/* Nothing is read beyond the bound. Method: a text without an end, in memory of exactly the bound's size, which the
 * address sanitizer watches. */
static void
url_reads_no_further_than_its_bound(void **state)
{
	char *text = malloc(PW_URL_LENGTH_MAX + 1);

	(void) state;
	memset(text, 'a', PW_URL_LENGTH_MAX + 1);
	memcpy(text, "http://", 7);
	expect_error(text, NNG_EINVAL);
	free(text);
}

static char *
printed(const nng_url *url)
{
	int length = nng_url_sprintf(NULL, 0, url);
	assert_true(length > 0);
	char *text = malloc((size_t) length + 1);
	assert_int_equal(nng_url_sprintf(text, (size_t) length + 1, url), length);
	assert_int_equal(strlen(text), length);
	return text;
}

/* The text of a URL is its normal form: no port where it is the scheme's, no user; parsed again it is the same, and
 * printed again too. */
static void
url_prints_what_it_is(void **state)
{
	static const char *const pair[][2] = {
		{ "HTTP://u:p@H:80/a/../b?%41#%42", "http://h/b?A#B" },
		{ "http://h:81/", "http://h:81/" },
		{ "https://h:443", "https://h" },
		{ "https://h:80?#", "https://h:80?#" },
		{ "tcp://:0", "tcp://" },
		{ "tcp://[::1%lo]:9", "tcp://[::1%lo]:9" },
		{ "ws://[::1]", "ws://[::1]" },
		{ "ipc:///run/../x", "ipc:///run/../x" },
		{ "UNIX://a", "unix://a" },
		{ "abstract://%00", "abstract://%00" },
		{ "socket://", "socket://" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		nng_url *url = parsed(pair[i][0]);
		char *text = printed(url);
		assert_string_equal(text, pair[i][1]);
		nng_url *again = parsed(text);
		char *text2 = printed(again);
		assert_string_equal(text2, text);
		nng_url_free(url);
		nng_url_free(again);
		free(text);
		free(text2);
	}
}

/* As snprintf: a short buffer is cut and terminated, the length is that of the whole. */
static void
url_prints_into_any_buffer(void **state)
{
	static const char whole[] = "http://host:8080/path?query#fragment";
	nng_url *url = parsed(whole);
	char cut[64];

	(void) state;
	for (size_t size = 0; size < sizeof(cut); size++) {
		memset(cut, '#', sizeof(cut));
		assert_int_equal(nng_url_sprintf(cut, size, url), strlen(whole));
		if (size == 0) {
			assert_int_equal(cut[0], '#');
			continue;
		}
		size_t length = strlen(whole) < size - 1 ? strlen(whole) : size - 1;
		assert_int_equal(strlen(cut), length);
		assert_memory_equal(cut, whole, length);
	}
	nng_url_free(url);
}

/* A clone has the same parts, and lives on without the first. */
static void
url_clone_is_its_own(void **state)
{
	static const struct parts parts = { NULL, "http", "u", "h", 1, "/p", "q", "f" };
	nng_url *url = parsed("http://u@h:1/p?q#f"), *clone, *second;

	(void) state;
	assert_int_equal(nng_url_clone(&clone, url), NNG_OK);
	nng_url_free(url);
	expect_parts(clone, &parts);
	assert_int_equal(nng_url_clone(&second, clone), NNG_OK);
	nng_url_free(clone);
	expect_parts(second, &parts);
	nng_url_free(second);
	nng_url_free(NULL); /* no effect */
}

/* resolve_port fills in a port that is 0, and nothing else; a clone's is its own. */
static void
url_port_is_resolved_once(void **state)
{
	nng_url *url = parsed("tcp://h:0"), *clone, *path = parsed("ipc://x"), *bad = parsed("tcp://h");

	(void) state;
	assert_int_equal(nng_url_clone(&clone, url), NNG_OK);
	nng_url_resolve_port(url, 4711);
	assert_int_equal(nng_url_port(url), 4711);
	nng_url_resolve_port(url, 4712);
	assert_int_equal(nng_url_port(url), 4711);
	assert_int_equal(nng_url_port(clone), 0);
	nng_url_resolve_port(path, 1);
	assert_int_equal(nng_url_port(path), 0);
	nng_url_resolve_port(bad, 65536);
	assert_int_equal(nng_url_port(bad), 0);
	nng_url_free(url);
	nng_url_free(clone);
	nng_url_free(path);
	nng_url_free(bad);
}

/* Out of memory is NNG_ENOMEM, and nothing is written. */
static void
url_out_of_memory_is_enomem(void **state)
{
	nng_url *url = NULL, *clone = NULL;

	(void) state;
	pw_memory_fail_after(0);
	assert_int_equal(nng_url_parse(&url, "http://h"), NNG_ENOMEM);
	assert_null(url);
	url = parsed("http://h");
	pw_memory_fail_after(0);
	assert_int_equal(nng_url_clone(&clone, url), NNG_ENOMEM);
	assert_null(clone);
	pw_memory_fail_after(-1);
	nng_url_free(url);
}

static unsigned misused;

static void
count_misuse(const struct pinwheel_misuse *misuse)
{
	(void) misuse;
	misused++;
}

/* No URL where one is needed is misuse; the answer is then nothing. */
static void
url_null_is_misuse(void **state)
{
	nng_url *clone = NULL;

	(void) state;
	pinwheel_set_misuse_handler(count_misuse);
	misused = 0;
	assert_null(nng_url_scheme(NULL));
	assert_null(nng_url_userinfo(NULL));
	assert_null(nng_url_hostname(NULL));
	assert_int_equal(nng_url_port(NULL), 0);
	assert_null(nng_url_path(NULL));
	assert_null(nng_url_query(NULL));
	assert_null(nng_url_fragment(NULL));
	assert_int_equal(nng_url_sprintf(NULL, 0, NULL), 0);
	nng_url_resolve_port(NULL, 1);
	assert_int_equal(nng_url_clone(&clone, NULL), NNG_EINVAL);
	assert_int_equal(misused, 10);
	assert_null(clone);
	pinwheel_set_misuse_handler(NULL);
}

/* Whatever the text, the parser ends with one of three codes, and what it accepts prints as a URL that is the same.
 * Method: random edits of good URLs; the sanitizers watch. */
static void
url_survives_any_bytes(void **state)
{
	static const char *const good[] = { "http://u@host.example:80/a/../b%20?q=%41#f", "tcp://[fe80::1%1]:80",
		"ipc:///a/b", "abstract://a%00", "wss://h/./%c2%a2//x", "tls+tcp://x:1" };
	const char *given = getenv("PW_TEST_SEED");
	uint64_t x = given != NULL ? strtoull(given, NULL, 0) : 88172645463325252u;
	unsigned accepted = 0;

	(void) state;
	print_message("seed %llu\n", (unsigned long long) x);
	const char *percent = getenv("PW_TEST_SCALE");
	unsigned rounds = 1000 * (percent != NULL ? (unsigned) strtoul(percent, NULL, 10) : 100);
	for (unsigned i = 0; i < rounds; i++) {
		nng_url *url;
		char text[64];
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		(void) snprintf(text, sizeof(text), "%s", good[x % 6]);
		size_t length = strlen(text);
		for (unsigned edit = 0; edit <= (x >> 8) % 3; edit++) {
			text[(x >> (16 + 8 * edit)) % length] = (char) (x >> (32 + 8 * edit));
		}
		nng_err error = nng_url_parse(&url, text);
		assert_true(error == NNG_OK || error == NNG_EINVAL || error == NNG_ENOTSUP);
		if (error == NNG_OK) {
			char *first = printed(url);
			nng_url *again = parsed(first);
			char *second = printed(again);
			assert_string_equal(first, second);
			assert_int_equal(nng_url_port(url), nng_url_port(again));
			nng_url_free(url);
			nng_url_free(again);
			free(first);
			free(second);
			accepted++;
		}
	}
	assert_in_range(accepted, 1, rounds - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url_has_its_parts),
		cmocka_unit_test(url_is_in_normal_form),
		cmocka_unit_test(url_malformed_is_invalid),
		cmocka_unit_test(url_unknown_scheme_is_not_supported),
		cmocka_unit_test(url_too_long_is_invalid),
		cmocka_unit_test(url_reads_no_further_than_its_bound),
		cmocka_unit_test(url_prints_what_it_is),
		cmocka_unit_test(url_prints_into_any_buffer),
		cmocka_unit_test(url_clone_is_its_own),
		cmocka_unit_test(url_port_is_resolved_once),
		cmocka_unit_test(url_out_of_memory_is_enomem),
		cmocka_unit_test(url_null_is_misuse),
		cmocka_unit_test(url_survives_any_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * url_parts_test.c: URLs and addresses through the public interface: parts, copies, texts, what is malformed. Every
 * corner of the grammar is in unit/url_test.c and unit/place_test.c.
 */
#include "stream.h"

#include "engine/shard/arena.h"

static nng_url *
parsed(const char *text)
{
	nng_url *url = NULL;
	assert_int_equal(nng_url_parse(&url, text), NNG_OK);
	assert_non_null(url);
	return url;
}

static void
expect_text(const nng_url *url, const char *wanted)
{
	char text[200];
	int length = nng_url_sprintf(NULL, 0, url);
	assert_int_equal(nng_url_sprintf(text, sizeof(text), url), length);
	assert_string_equal(text, wanted);
	assert_int_equal(strlen(text), length);
	assert_int_equal(nng_url_sprintf(text, 4, url), length); /* cut short, and terminated */
	assert_int_equal(strlen(text), 3);
	assert_memory_equal(text, wanted, 3);
}

/* "without their delimiters. userinfo, query, fragment: NULL where the URL has none. hostname: NULL where the scheme
 * has none". */
static void
url_gives_its_parts(void **state)
{
	nng_url *url = parsed("HTTP://me@Www.Example.com:8080/a/./b?q=1#end");

	(void) state;
	assert_string_equal(nng_url_scheme(url), "http");
	assert_string_equal(nng_url_userinfo(url), "me");
	assert_string_equal(nng_url_hostname(url), "www.example.com");
	assert_int_equal(nng_url_port(url), 8080);
	assert_string_equal(nng_url_path(url), "/a/b");
	assert_string_equal(nng_url_query(url), "q=1");
	assert_string_equal(nng_url_fragment(url), "end");
	expect_text(url, "http://www.example.com:8080/a/b?q=1#end"); /* never the user */
	nng_url_free(url);

	url = parsed("ipc:///run/x");
	assert_string_equal(nng_url_scheme(url), "ipc");
	assert_null(nng_url_userinfo(url));
	assert_null(nng_url_hostname(url));
	assert_int_equal(nng_url_port(url), 0);
	assert_string_equal(nng_url_path(url), "/run/x");
	assert_null(nng_url_query(url));
	assert_null(nng_url_fragment(url));
	expect_text(url, "ipc:///run/x");
	nng_url_free(url);
	nng_url_free(NULL);
}

/* "a copy, with a life of its own"; "gives a URL with port 0 the port that the system chose". */
static void
url_clone_lives_on(void **state)
{
	nng_url *url = parsed("tcp://127.0.0.1:0"), *copy = NULL;

	(void) state;
	assert_int_equal(nng_url_clone(&copy, url), NNG_OK);
	nng_url_resolve_port(url, 4242);
	assert_int_equal(nng_url_port(url), 4242);
	nng_url_resolve_port(url, 4243); /* it has one */
	assert_int_equal(nng_url_port(url), 4242);
	expect_text(url, "tcp://127.0.0.1:4242");
	nng_url_free(url);
	assert_int_equal(nng_url_port(copy), 0);
	assert_string_equal(nng_url_hostname(copy), "127.0.0.1");
	expect_text(copy, "tcp://127.0.0.1");
	nng_url_free(copy);
}

/* A URL that is malformed, in whichever way, is refused by parse, dialer and listener, writes nothing, leaves no
 * descriptor and no memory. Method: one of each kind, three times; the third time asks for no more memory than the
 * second, and the handles in use are as many as before. (Leaks are for AddressSanitizer.) */
static void
malformed_urls_leave_nothing(void **state)
{
	static const struct {
		const char *text;
		nng_err error;
	} bad[] = {
		{ "", NNG_EINVAL },
		{ "tcp", NNG_EINVAL },
		{ "tcp:/127.0.0.1:80", NNG_EINVAL },
		{ "://127.0.0.1:80", NNG_EINVAL },
		{ "1tcp://127.0.0.1:80", NNG_EINVAL },
		{ "t cp://127.0.0.1:80", NNG_EINVAL },
		{ "tc://127.0.0.1:80", NNG_ENOTSUP },
		{ "nosuch://127.0.0.1:80", NNG_ENOTSUP },
		{ "tcp://127.0.0.1:", NNG_EINVAL },
		{ "tcp://127.0.0.1:-1", NNG_EINVAL },
		{ "tcp://127.0.0.1:65536", NNG_EINVAL },
		{ "tcp://127.0.0.1:18446744073709551696", NNG_EINVAL },
		{ "tcp://127.0.0.1:http", NNG_EINVAL },
		{ "tcp://a b:80", NNG_EINVAL },
		{ "tcp://[::1:80", NNG_EINVAL },
		{ "tcp://[::g]:80", NNG_EINVAL },
		{ "tcp://[]:80", NNG_EINVAL },
		{ "http://h/%", NNG_EINVAL },
		{ "http://h/%4g", NNG_EINVAL },
		{ "http://h/%c0%80", NNG_EINVAL },
		{ "http://a@b@h/", NNG_EINVAL },
	};
	uint64_t memory = 0;
	char longest[9000];

	(void) state;
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "ipc://", 6);
	longest[sizeof(longest) - 1] = '\0';
	unsigned descriptors = open_descriptors();
	uint64_t slots = shard_slots(0) + shard_slots(1);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t before = pw_memory_calls();
		for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
			bool last = i == sizeof(bad) / sizeof(bad[0]);
			const char *text = last ? longest : bad[i].text;
			nng_url *url = (nng_url *) (void *) &memory;
			nng_stream_dialer *dialer = (nng_stream_dialer *) (void *) &memory;
			nng_stream_listener *listener = (nng_stream_listener *) (void *) &memory;
			nng_err error = last ? NNG_EINVAL : bad[i].error;
			assert_int_equal(nng_url_parse(&url, text), error);
			nng_err made = nng_stream_dialer_alloc(&dialer, text);
			assert_true(made == error || (made == NNG_ENOTSUP && strncmp(text, "http", 4) == 0));
			assert_int_equal(nng_stream_listener_alloc(&listener, text), made);
			assert_ptr_equal(url, &memory);
			assert_ptr_equal(dialer, &memory);
			assert_ptr_equal(listener, &memory);
		}
		assert_true(round < 2 || pw_memory_calls() - before == memory);
		memory = pw_memory_calls() - before;
	}
	assert_int_equal(open_descriptors(), descriptors);
	assert_int_equal(shard_slots(0) + shard_slots(1), slots);
}

/* The ends of a connection name each other: equal addresses have equal texts and equal hashes, and the ports of the two
 * ends tell them apart. */
static void
addresses_of_a_connection(struct ends *ends)
{
	const nng_sockaddr *here = nng_stream_self_addr(ends->accepted), *there = nng_stream_peer_addr(ends->dialed);
	char text[2][NNG_MAXADDRSTRLEN];

	assert_true(nng_sockaddr_equal(here, there));
	assert_true(nng_sockaddr_hash(here) != 0);
	assert_true(nng_sockaddr_hash(here) == nng_sockaddr_hash(there));
	assert_ptr_equal(nng_str_sockaddr(here, text[0], sizeof(text[0])), text[0]);
	assert_ptr_equal(nng_str_sockaddr(there, text[1], sizeof(text[1])), text[1]);
	assert_string_equal(text[0], text[1]);
	assert_int_equal(nng_sockaddr_port(here), nng_sockaddr_port(there));
	there = nng_stream_peer_addr(ends->accepted);
	assert_false(nng_sockaddr_equal(here, there));
	assert_true(nng_sockaddr_hash(here) != nng_sockaddr_hash(there));
}

static void
sockaddr_helpers_agree(void **state)
{
	(void) state;
	over_each(addresses_of_a_connection);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(url_gives_its_parts),
		TEST_TWO(url_clone_lives_on),
		TEST_TWO(malformed_urls_leave_nothing),
		TEST_TWO(sockaddr_helpers_agree),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

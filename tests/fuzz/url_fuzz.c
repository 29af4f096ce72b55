/* SPDX-License-Identifier: MIT
 *
 * url_fuzz.c: any bytes as a URL: the parser, its normal form, its text, its copies, and the place that it leads to.
 *
 * The laws, each an abort when it is broken:
 *   - a text is a URL, NNG_EINVAL or NNG_ENOTSUP; a URL is a place, NNG_EINVAL, NNG_ENOTSUP or NNG_EADDRINVAL;
 *   - every part ends inside the URL's memory, which here is exactly as large as was asked for;
 *   - the text of a URL, parsed again, is the same URL but for its user, and prints the same;
 *   - a copy has the same parts, and the same place;
 *   - a place is in bounds: a host that ends, an abstract name of 0 to 107 bytes, a path that ends.
 *
 * The parser's allocator and its misuse are ours here, so that the sanitizer sees every byte beyond a URL's end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/misuse.h"
#include "engine/platform/memory.h"
#include "engine/stream/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void *
pw_near_alloc(size_t size)
{
	return calloc(1, size);
}

void
pw_near_free(void *memory, size_t size)
{
	(void) size;
	free(memory);
}

void
pw_misuse(const char *function, const void *aio, uint64_t word, const char *why)
{
	(void) aio;
	(void) word;
	(void) fprintf(stderr, "%s: %s\n", function, why);
	abort();
}

static void
law(bool kept, const char *what)
{
	if (!kept) {
		(void) fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_parts(const nng_url *a, const nng_url *b)
{
	return same_text(nng_url_scheme(a), nng_url_scheme(b)) &&
	    same_text(nng_url_hostname(a), nng_url_hostname(b)) && nng_url_port(a) == nng_url_port(b) &&
	    same_text(nng_url_path(a), nng_url_path(b)) && same_text(nng_url_query(a), nng_url_query(b)) &&
	    same_text(nng_url_fragment(a), nng_url_fragment(b));
}

static char *
print(const nng_url *url)
{
	int length = nng_url_sprintf(NULL, 0, url);
	law(length > 0, "a URL has a text");
	char *text = malloc((size_t) length + 1);
	law(text != NULL && nng_url_sprintf(text, (size_t) length + 1, url) == length, "a text has one length");
	law(strlen(text) == (size_t) length, "a text ends where it says");
	return text;
}

static void
check_place(const struct pw_place *place)
{
	law(memchr(place->host, '\0', sizeof(place->host)) != NULL, "a host ends");
	switch (place->kind) {
	case PW_URL_TCP:
		law(!place->numeric || nng_sockaddr_port(&place->address) == place->port, "an address has its port");
		law(!place->numeric || place->family == NNG_AF_UNSPEC || place->address.s_family == place->family,
		    "an address is of its family");
		break;
	case PW_URL_PATH: {
		size_t length = strnlen(place->address.s_ipc.sa_path, NNG_MAXADDRLEN);
		law(length >= 1 && length <= 107, "a path fits");
		break;
	}
	case PW_URL_ABSTRACT:
		law(place->address.s_abstract.sa_len <= 107, "an abstract name fits");
		break;
	case PW_URL_SOCKET:
		break;
	case PW_URL_OTHER:
		law(false, "a place is of a kind");
	}
}

static nng_err
check_url(const nng_url *url)
{
	struct pw_place place;
	nng_err error = pw_place_of_url(&place, url);

	law(error == NNG_OK || error == NNG_EINVAL || error == NNG_ENOTSUP || error == NNG_EADDRINVAL,
	    "a place's code");
	if (error == NNG_OK) {
		check_place(&place);
	}
	return error;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	nng_url *url = NULL, *again = NULL, *copy = NULL;

	if (text == NULL) {
		return 0;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	nng_err error = nng_url_parse(&url, text);
	law(error == NNG_OK || error == NNG_EINVAL || error == NNG_ENOTSUP, "a text's code");
	if (error == NNG_OK) {
		nng_err place = check_url(url);
		char *first = print(url);
		law(nng_url_clone(&copy, url) == NNG_OK && same_parts(url, copy), "a copy is the same");
		law(same_text(nng_url_userinfo(url), nng_url_userinfo(copy)), "a copy has the user");
		law(check_url(copy) == place, "a copy leads to the same place");

		law(nng_url_parse(&again, first) == NNG_OK && same_parts(url, again), "a text is the URL");
		char *second = print(again);
		law(strcmp(first, second) == 0, "a text is in normal form");
		law(nng_url_userinfo(url) != NULL || check_url(again) == place, "a text leads to the same place");
		nng_url_resolve_port(copy, 65536);
		law(same_parts(url, copy), "no port above 65535");
		nng_url_resolve_port(copy, 4711);
		law(nng_url_port(copy) ==
			(nng_url_port(url) == 0 && nng_url_hostname(url) != NULL ? 4711 : nng_url_port(url)),
		    "a port is resolved once");
		free(first);
		free(second);
	}
	nng_url_free(url);
	nng_url_free(again);
	nng_url_free(copy);
	free(text);
	return 0;
}

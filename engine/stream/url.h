/* SPDX-License-Identifier: MIT
 *
 * url.h: a URL in its parts. See url.c for the grammar.
 *
 * Any thread. Parsing allocates once; nothing here makes a system call or keeps state.
 */
#ifndef PINWHEEL_STREAM_URL_H
#define PINWHEEL_STREAM_URL_H

#include <stdbool.h>
#include <stdint.h>

#include <nng/nng.h>

#define PW_URL_LENGTH_MAX 8191u /* of a text, its NUL not counted */

/* What the schemes that streams know lead to. */
enum pw_url_kind {
	PW_URL_OTHER = 0, /* known, and not spoken by streams */
	PW_URL_TCP,
	PW_URL_PATH,
	PW_URL_ABSTRACT,
	PW_URL_SOCKET,
};

struct pw_scheme {
	const char *name;
	uint16_t port; /* when the URL has none; 0: no such */
	bool opaque;   /* the rest is a path as it stands */
	enum pw_url_kind kind;
	enum nng_sockaddr_family family; /* of TCP: NNG_AF_UNSPEC: either */
};

/* One allocation; the parts are offsets into the text, so that a copy is a copy. */
struct nng_url {
	const struct pw_scheme *scheme;
	uint32_t port;
	uint16_t capacity; /* of text */
	uint16_t size;     /* of what is used of it */
	uint16_t userinfo; /* 0: none, here and below */
	uint16_t hostname;
	uint16_t path; /* never 0 */
	uint16_t query;
	uint16_t fragment;
	char text[];
};

/* -1: no digit. */
static inline int
pw_url_hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif

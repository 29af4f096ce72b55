/* SPDX-License-Identifier: MIT
 *
 * url.c: the parser of stream URLs.
 *
 * What it is not: a general URI parser. No user, query, fragment or percent escape is known; what is not in the
 * grammar is an error, so that no typing mistake becomes a different address.
 *
 *   url   = "tcp://" [ host ] ":" port  |  ( "ipc://" | "unix://" ) path
 *   host  = IPv4 in dotted decimal  |  "[" IPv6 [ "%" zone ] "]"  |  name
 *   name  = letters, digits, "-", "_" and ".", up to 253; a name of digits and dots alone must be an IPv4 address
 *   port  = decimal, 0 to 65535
 *   path  = any bytes but NUL, 1 to 107 of them, taken as they are
 *
 * The scheme is compared without regard to case (RFC 3986).
 *
 * I1  Nothing is read beyond the first PW_URL_SIZE bytes of the text.
 * I2  Every copy into *url was measured before it was made.
 */
#include "engine/stream/url.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <strings.h>

#define SCHEME_END "://"
#define PORT_MAX 65535u
#define NAME_MAX_LENGTH (PW_URL_HOST_SIZE - 1)

/* A piece of the text; not ended by a NUL. */
struct span {
	const char *at;
	size_t length;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A letter, then letters, digits, "+", "-" and "." (RFC 3986). */
static bool
scheme_is_well_formed(struct span scheme)
{
	for (size_t i = 0; i < scheme.length; i++) {
		char c = scheme.at[i];
		if (!is_letter(c) && (i == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.'))) {
			return false;
		}
	}
	return scheme.length != 0;
}

static bool
span_is(struct span span, const char *word)
{
	return span.length == strlen(word) && strncasecmp(span.at, word, span.length) == 0;
}

/* ---- path */

static nng_err
parse_path(struct pw_url *url, struct span path)
{
	if (path.length == 0 || path.length >= PW_URL_PATH_SIZE) {
		return NNG_EINVAL;
	}
	url->kind = PW_URL_PATH;
	url->address.s_ipc.sa_family = NNG_AF_IPC;
	memcpy(url->address.s_ipc.sa_path, path.at, path.length); /* the rest is zero */
	return NNG_OK;
}

/* ---- tcp */

static bool
parse_port(struct span text, uint16_t *port)
{
	unsigned value = 0;

	for (size_t i = 0; i < text.length; i++) {
		if (!is_digit(text.at[i])) {
			return false;
		}
		value = value * 10 + (unsigned) (text.at[i] - '0');
		if (value > PORT_MAX) {
			return false;
		}
	}
	*port = (uint16_t) value;
	return text.length != 0;
}

static bool
parse_zone(const char *zone, uint32_t *scope)
{
	uint32_t value = 0;
	size_t i = 0;

	for (; is_digit(zone[i]) && i < 9; i++) {
		value = value * 10 + (uint32_t) (zone[i] - '0');
	}
	*scope = i != 0 && zone[i] == '\0' ? value : if_nametoindex(zone);
	return *scope != 0;
}

static bool
parse_ipv6(struct pw_url *url, struct span text)
{
	char copy[INET6_ADDRSTRLEN + IF_NAMESIZE];
	uint32_t scope = 0;

	if (text.length >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text.at, text.length);
	copy[text.length] = '\0';
	char *zone = strchr(copy, '%');
	if (zone != NULL) {
		*zone = '\0';
		if (!parse_zone(zone + 1, &scope)) {
			return false;
		}
	}
	url->numeric = true;
	url->address.s_in6.sa_family = NNG_AF_INET6;
	url->address.s_in6.sa_port = htons(url->port);
	url->address.s_in6.sa_scope = scope;
	return inet_pton(AF_INET6, copy, url->address.s_in6.sa_addr) == 1;
}

static bool
parse_name(struct pw_url *url, struct span text)
{
	bool only_digits = true;

	if (text.length > NAME_MAX_LENGTH) {
		return false;
	}
	for (size_t i = 0; i < text.length; i++) {
		char c = text.at[i];
		if (!is_digit(c) && c != '.') {
			only_digits = false;
			if (!is_letter(c) && c != '-' && c != '_') {
				return false;
			}
		}
	}
	memcpy(url->host, text.at, text.length);
	if (!only_digits || text.length == 0) {
		return true;
	}
	url->numeric = true;
	url->address.s_in.sa_family = NNG_AF_INET;
	url->address.s_in.sa_port = htons(url->port);
	return inet_pton(AF_INET, url->host, &url->address.s_in.sa_addr) == 1;
}

static nng_err
parse_tcp(struct pw_url *url, struct span text)
{
	const char *colon = memrchr(text.at, ':', text.length);

	url->kind = PW_URL_TCP;
	if (colon == NULL) {
		return NNG_EINVAL;
	}
	struct span host = { text.at, (size_t) (colon - text.at) };
	struct span port = { colon + 1, text.length - host.length - 1 };
	if (!parse_port(port, &url->port)) {
		return NNG_EINVAL;
	}
	bool bracketed = host.length >= 2 && host.at[0] == '[' && host.at[host.length - 1] == ']';
	bool good =
	    bracketed ? parse_ipv6(url, (struct span){ host.at + 1, host.length - 2 }) : parse_name(url, host);
	return good ? NNG_OK : NNG_EINVAL;
}

nng_err
pw_url_parse(struct pw_url *url, const char *text)
{
	size_t length = text != NULL ? strnlen(text, PW_URL_SIZE) : 0;

	memset(url, 0, sizeof(*url));
	if (length == 0 || length == PW_URL_SIZE) {
		return NNG_EINVAL;
	}
	const char *end = strstr(text, SCHEME_END);
	if (end == NULL) {
		return NNG_EINVAL;
	}
	struct span scheme = { text, (size_t) (end - text) };
	struct span rest = { end + strlen(SCHEME_END), length - scheme.length - strlen(SCHEME_END) };
	if (!scheme_is_well_formed(scheme)) {
		return NNG_EINVAL;
	}
	if (span_is(scheme, "tcp")) {
		return parse_tcp(url, rest);
	}
	if (span_is(scheme, "ipc") || span_is(scheme, "unix")) {
		return parse_path(url, rest);
	}
	return NNG_ENOTSUP;
}

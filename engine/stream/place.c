/* SPDX-License-Identifier: MIT
 *
 * place.c: from a URL in its parts to the place where a stream goes or listens.
 *
 * What it is not: the parser (url.c), or the resolver. What a stream cannot heed is refused, not ignored.
 *
 *   tcp, tcp4, tcp6   an IPv4 address in dotted decimal, an IPv6 address, a name of letters, digits, "-", "_" and
 *   ".",
 *                     or no host; a name of digits and dots alone must be an address. No user, query, fragment; no
 *                     path but "/". Port 0 where the URL has none.
 *   ipc, unix         a path of 1 to 107 bytes, taken as it stands
 *   abstract          a name of 0 to 107 bytes, escapes decoded: it may hold any byte
 *   socket            nothing more
 *
 * I1  Every copy into *place was measured before it was made.
 */
#include "engine/stream/place.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#define PATH_SIZE 108u /* sun_path of the system's sockaddr_un, its NUL included */

/* ---- paths and names of this machine */

static nng_err
read_path(struct pw_place *place, const char *path)
{
	size_t length = strlen(path);

	if (length == 0 || length >= PATH_SIZE) {
		return NNG_EINVAL;
	}
	place->address.s_ipc.sa_family = NNG_AF_IPC;
	memcpy(place->address.s_ipc.sa_path, path, length); /* the rest is zero */
	return NNG_OK;
}

/* The byte at *text, an escape decoded; -1: an escape that is none. *text is moved on. */
static int
take_byte(const char **text)
{
	const char *at = *text;

	if (at[0] != '%') {
		*text = at + 1;
		return (unsigned char) at[0];
	}
	int high = pw_url_hex_value(at[1]), low = high >= 0 ? pw_url_hex_value(at[2]) : -1;
	*text = at + 3;
	return low >= 0 ? high * 16 + low : -1;
}

static nng_err
read_abstract(struct pw_place *place, const char *name)
{
	nng_sockaddr_abstract *out = &place->address.s_abstract;

	out->sa_family = NNG_AF_ABSTRACT;
	while (*name != '\0') {
		int byte = take_byte(&name);
		if (byte < 0 || out->sa_len == sizeof(out->sa_name)) {
			return NNG_EINVAL;
		}
		out->sa_name[out->sa_len++] = (uint8_t) byte;
	}
	return NNG_OK;
}

/* ---- internet */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
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
read_ipv6(struct pw_place *place, const char *text)
{
	char copy[INET6_ADDRSTRLEN + IF_NAMESIZE];
	size_t length = strlen(text);
	nng_sockaddr_in6 *out = &place->address.s_in6;

	if (length >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text, length + 1);
	char *zone = strchr(copy, '%');
	if (zone != NULL) {
		*zone = '\0';
		if (!parse_zone(zone + 1, &out->sa_scope)) {
			return false;
		}
	}
	place->numeric = true;
	out->sa_family = NNG_AF_INET6;
	out->sa_port = htons(place->port);
	return inet_pton(AF_INET6, copy, out->sa_addr) == 1;
}

static bool
read_ipv4(struct pw_place *place, const char *text)
{
	nng_sockaddr_in *out = &place->address.s_in;

	place->numeric = true;
	out->sa_family = NNG_AF_INET;
	out->sa_port = htons(place->port);
	return inet_pton(AF_INET, text, &out->sa_addr) == 1;
}

static bool
read_name(struct pw_place *place, const char *text)
{
	size_t length = strlen(text);
	bool only_digits = true;

	if (length >= sizeof(place->host)) {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (!is_digit(c) && c != '.') {
			only_digits = false;
			bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
			if (!letter && c != '-' && c != '_') {
				return false;
			}
		}
	}
	memcpy(place->host, text, length);
	return !only_digits || length == 0 || read_ipv4(place, text);
}

static nng_err
read_tcp(struct pw_place *place, const nng_url *url)
{
	const char *host = url->text + url->hostname, *path = url->text + url->path;

	if (url->userinfo != 0 || url->query != 0 || url->fragment != 0 ||
	    (path[0] != '\0' && strcmp(path, "/") != 0)) {
		return NNG_EINVAL;
	}
	place->port = (uint16_t) url->port;
	place->family = url->scheme->family;
	if (strchr(host, ':') != NULL ? !read_ipv6(place, host) : !read_name(place, host)) {
		return NNG_EINVAL;
	}
	bool excluded = place->numeric && place->family != NNG_AF_UNSPEC && place->address.s_family != place->family;
	return excluded ? NNG_EADDRINVAL : NNG_OK;
}

nng_err
pw_place_of_url(struct pw_place *place, const nng_url *url)
{
	const char *path = url->text + url->path;

	memset(place, 0, sizeof(*place));
	place->kind = url->scheme->kind;
	switch (place->kind) {
	case PW_URL_TCP:
		return read_tcp(place, url);
	case PW_URL_PATH:
		return read_path(place, path);
	case PW_URL_ABSTRACT:
		return read_abstract(place, path);
	case PW_URL_SOCKET:
		return path[0] == '\0' ? NNG_OK : NNG_EINVAL;
	case PW_URL_OTHER:
		break;
	}
	return NNG_ENOTSUP;
}

nng_err
pw_place_of_text(struct pw_place *place, const char *text)
{
	nng_url *url;
	nng_err error = nng_url_parse(&url, text);

	if (error == NNG_OK) {
		error = pw_place_of_url(place, url);
		nng_url_free(url);
	}
	return error;
}

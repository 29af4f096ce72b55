/* SPDX-License-Identifier: MIT
 *
 * url.c: nng_url: a URL taken apart, in normal form.
 *
 * What it is not: a judgement whether streams can go there (place.c), or a resolver of relative references. What the
 * grammar does not have is an error, so that no typing mistake becomes a different address.
 *
 *   url        = scheme "://" ( opaque | [ userinfo "@" ] host [ ":" port ] [ path ] [ "?" query ] [ "#" fragment ] )
 *   opaque     = any bytes but NUL, taken as they are: inproc, ipc, unix, abstract, socket
 *   host       = name  |  "[" IPv6 [ "%" zone ] "]"  |  nothing
 *   name       = letters, digits, "-._~", "!$&'()*+,;=" and escapes, up to 253
 *   port       = decimal, 0 to 65535
 *   path       = "/", then no bytes of query and fragment
 *   query, fragment, userinfo, path: no space, no control character, escapes of two hex digits, valid UTF-8
 *
 * Normal form (RFC 3986, 6.2.2): scheme and host in lower case (a zone keeps its case: it is the name of a link);
 * in path, query and fragment escapes of letters, digits, "-._~" and bytes above 127 are decoded, the others are
 * written in upper case; in a path "//" is "/", and the segments "." and ".." are carried out. As in NNG a path that
 * ends in one of these two loses its last "/" with it.
 *
 * I1  Nothing is read beyond the first PW_URL_LENGTH_MAX + 1 bytes of the text.
 * I2  The parts with their NULs fit: each is at most as long as its source, and a delimiter stood before each.
 */
#include "engine/stream/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/misuse.h"
#include "engine/platform/memory.h"

#define SCHEME_END "://"
#define PORT_MAX 65535u
#define NAME_MAX_LENGTH 253u

/* The byte at offset 0, which no part has, and the NULs of host and path, which replace no delimiter. */
#define TEXT_EXTRA 3u

_Static_assert(PW_URL_LENGTH_MAX + TEXT_EXTRA <= UINT16_MAX, "offsets have 16 bits");

static const struct pw_scheme schemes[] = {
	{ "tcp", 0, false, PW_URL_TCP, NNG_AF_UNSPEC },
	{ "tcp4", 0, false, PW_URL_TCP, NNG_AF_INET },
	{ "tcp6", 0, false, PW_URL_TCP, NNG_AF_INET6 },
	{ "ipc", 0, true, PW_URL_PATH, NNG_AF_UNSPEC },
	{ "unix", 0, true, PW_URL_PATH, NNG_AF_UNSPEC },
	{ "abstract", 0, true, PW_URL_ABSTRACT, NNG_AF_UNSPEC },
	{ "socket", 0, true, PW_URL_SOCKET, NNG_AF_UNSPEC },
	{ "inproc", 0, true, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "tls+tcp", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "tls+tcp4", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "tls+tcp6", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "udp", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "udp4", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "udp6", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "dtls", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "dtls4", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "dtls6", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "ws", 80, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "ws4", 80, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "ws6", 80, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "wss", 443, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "wss4", 443, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "wss6", 443, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "http", 80, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "http4", 80, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "http6", 80, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "https", 443, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "https4", 443, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "https6", 443, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "file", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "ftp", 21, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "git", 9418, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "gopher", 70, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "imap", 143, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "imaps", 993, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "irc", 6667, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "mailto", 0, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "ssh", 22, false, PW_URL_OTHER, NNG_AF_UNSPEC },
	{ "telnet", 23, false, PW_URL_OTHER, NNG_AF_UNSPEC },
};

/* A piece of the text; not ended by a NUL. */
struct span {
	const char *at;
	size_t length;
};

/* ---- characters */

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

static bool
is_unreserved(char c)
{
	return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool
is_sub_delimiter(char c)
{
	return c != '\0' && strchr("!$&'()*+,;=", c) != NULL;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* The byte that the escape at i stands for; -1: there is none. */
static int
escape_at(struct span span, size_t i)
{
	if (span.length - i < 3) {
		return -1;
	}
	int high = pw_url_hex_value(span.at[i + 1]), low = pw_url_hex_value(span.at[i + 2]);
	return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

/* The length of the shortest form of the UTF-8 character at s; 0: it is none. The text ends with a NUL. */
static size_t
utf8_length(const unsigned char *s)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;

	if (length < 2) {
		return length;
	}
	uint32_t value = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (s[i] >> 6 != 2) {
			return 0;
		}
		value = value << 6 | (s[i] & 0x3fu);
	}
	bool surrogate = value >= 0xd800 && value <= 0xdfff;
	return value >= least[length] && value <= 0x10ffff && !surrogate ? length : 0;
}

static bool
is_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *) text;

	while (*s != 0) {
		size_t length = utf8_length(s);
		if (length == 0) {
			return false;
		}
		s += length;
	}
	return true;
}

/* ---- parts */

/* Where the next part begins. */
static char *
part_begin(struct nng_url *url)
{
	return url->text + url->size;
}

/* `length` bytes stand there: they are a part. */
static uint16_t
part_end(struct nng_url *url, size_t length)
{
	uint16_t part = url->size;

	url->text[part + length] = '\0';
	url->size = (uint16_t) (part + length + 1);
	return part;
}

static uint16_t
part_copy(struct nng_url *url, struct span span)
{
	memcpy(part_begin(url), span.at, span.length);
	return part_end(url, span.length);
}

/* Escapes in normal form. False: a byte that a URL has not, or an escape that is none. */
static bool
copy_normal(char *out, struct span span, size_t *length)
{
	size_t n = 0;

	for (size_t i = 0; i < span.length; i++) {
		char c = span.at[i];
		if ((unsigned char) c <= ' ' || c == 0x7f) {
			return false;
		}
		if (c != '%') {
			out[n++] = c;
			continue;
		}
		int value = escape_at(span, i);
		if (value < 0) {
			return false;
		}
		if (value >= 0x80 || is_unreserved((char) value)) {
			out[n++] = (char) value;
		} else {
			static const char digit[] = "0123456789ABCDEF";
			out[n++] = '%';
			out[n++] = digit[value / 16];
			out[n++] = digit[value % 16];
		}
		i += 2;
	}
	*length = n;
	return true;
}

/* Carries out "//", "." and ".."; the path is empty or begins with "/". The new length. */
static size_t
reduce_path(char *path, size_t length)
{
	size_t out = 0;

	for (size_t in = 0; in < length;) {
		while (in + 1 < length && path[in + 1] == '/') {
			in++;
		}
		const char *slash = memchr(path + in + 1, '/', length - in - 1);
		size_t end = slash != NULL ? (size_t) (slash - path) : length, size = end - in;
		if (size == 3 && memcmp(path + in, "/..", 3) == 0) {
			while (out > 0 && path[--out] != '/') {
			}
		} else if (size != 2 || path[in + 1] != '.') {
			memmove(path + out, path + in, size);
			out += size;
		}
		in = end;
	}
	return out;
}

static bool
read_normal(struct nng_url *url, struct span span, bool path, uint16_t *part)
{
	char *out = part_begin(url);
	size_t length;

	if (!copy_normal(out, span, &length)) {
		return false;
	}
	*part = part_end(url, path ? reduce_path(out, length) : length);
	return is_utf8(url->text + *part);
}

/* ---- the authority */

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

static const struct pw_scheme *
scheme_find(struct span span)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		const struct pw_scheme *scheme = &schemes[i];
		if (span.length == strlen(scheme->name) && strncasecmp(span.at, scheme->name, span.length) == 0) {
			return scheme;
		}
	}
	return NULL;
}

static bool
read_port(struct nng_url *url, struct span text)
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
	url->port = value;
	return text.length != 0;
}

static bool
read_name(struct nng_url *url, struct span name)
{
	if (name.length > NAME_MAX_LENGTH) {
		return false;
	}
	url->hostname = part_copy(url, name);
	for (size_t i = 0; i < name.length; i++) {
		char *c = &url->text[url->hostname + i];
		if (!is_unreserved(*c) && !is_sub_delimiter(*c) && (*c != '%' || escape_at(name, i) < 0)) {
			return false;
		}
		*c = lower(*c);
	}
	return true;
}

/* What stands in the brackets. Whether it is an address is the concern of who goes there. */
static bool
read_ipv6(struct nng_url *url, struct span text)
{
	bool zone = false, colon = false;

	if (text.length > NAME_MAX_LENGTH) {
		return false;
	}
	url->hostname = part_copy(url, text);
	for (size_t i = 0; i < text.length; i++) {
		char *c = &url->text[url->hostname + i];
		if (zone ? !is_unreserved(*c) : pw_url_hex_value(*c) < 0 && *c != ':' && *c != '.' && *c != '%') {
			return false;
		}
		zone = zone || *c == '%';
		colon = colon || *c == ':';
		*c = zone ? *c : lower(*c);
	}
	return colon;
}

static bool
read_host(struct nng_url *url, struct span text)
{
	bool bracketed = text.length != 0 && text.at[0] == '[';
	char last = bracketed ? ']' : ':';
	const char *end = memchr(text.at, last, text.length);

	if (bracketed && end == NULL) {
		return false;
	}
	size_t length = end != NULL ? (size_t) (end - text.at) : text.length;
	struct span rest = { text.at + length, text.length - length };
	if (bracketed) {
		rest.at++;
		rest.length--;
	}
	if (bracketed ? !read_ipv6(url, (struct span){ text.at + 1, length - 1 })
		      : !read_name(url, (struct span){ text.at, length })) {
		return false;
	}
	url->port = url->scheme->port;
	return rest.length == 0 ||
	    (rest.at[0] == ':' && read_port(url, (struct span){ rest.at + 1, rest.length - 1 }));
}

static bool
read_authority(struct nng_url *url, struct span text)
{
	const char *at = memchr(text.at, '@', text.length);

	if (at != NULL) {
		struct span user = { text.at, (size_t) (at - text.at) };
		if (!read_normal(url, user, false, &url->userinfo)) {
			return false;
		}
		text = (struct span){ at + 1, text.length - user.length - 1 };
	}
	return read_host(url, text);
}

/* ---- the whole */

/* Cuts off what comes before the first of `stops`. */
static struct span
cut(struct span *rest, const char *stops)
{
	struct span head = { rest->at, 0 };

	while (head.length < rest->length && strchr(stops, head.at[head.length]) == NULL) {
		head.length++;
	}
	rest->at += head.length;
	rest->length -= head.length;
	return head;
}

/* The part that `mark` begins, if it is the next. */
static bool
read_marked(struct nng_url *url, struct span *rest, char mark, const char *stops, uint16_t *part)
{
	if (rest->length == 0 || rest->at[0] != mark) {
		return true;
	}
	rest->at++;
	rest->length--;
	return read_normal(url, cut(rest, stops), false, part);
}

static bool
read_parts(struct nng_url *url, struct span rest)
{
	if (url->scheme->opaque) {
		url->path = part_copy(url, rest);
		return true;
	}
	return read_authority(url, cut(&rest, "/?#")) && read_normal(url, cut(&rest, "?#"), true, &url->path) &&
	    read_marked(url, &rest, '?', "#", &url->query) && read_marked(url, &rest, '#', "", &url->fragment);
}

static struct nng_url *
record_alloc(size_t capacity)
{
	struct nng_url *url = pw_near_alloc(sizeof(*url) + capacity);

	if (url != NULL) {
		url->capacity = (uint16_t) capacity;
		url->size = 1;
	}
	return url;
}

static void
record_free(struct nng_url *url)
{
	pw_near_free(url, sizeof(*url) + url->capacity);
}

/* False: misuse. */
static bool
is_usable(const nng_url *url, const char *function)
{
	if (url == NULL) {
		pw_misuse(function, NULL, 0, "the URL is NULL");
	}
	return url != NULL;
}

nng_err
nng_url_parse(nng_url **urlp, const char *text)
{
	size_t length = text != NULL ? strnlen(text, PW_URL_LENGTH_MAX + 1) : 0;

	if (urlp == NULL || length == 0 || length > PW_URL_LENGTH_MAX) {
		return NNG_EINVAL;
	}
	const char *end = memmem(text, length, SCHEME_END, strlen(SCHEME_END));
	if (end == NULL) {
		return NNG_EINVAL;
	}
	struct span scheme = { text, (size_t) (end - text) };
	struct span rest = { end + strlen(SCHEME_END), length - scheme.length - strlen(SCHEME_END) };
	if (!scheme_is_well_formed(scheme)) {
		return NNG_EINVAL;
	}
	const struct pw_scheme *known = scheme_find(scheme);
	if (known == NULL) {
		return NNG_ENOTSUP;
	}
	struct nng_url *url = record_alloc(rest.length + TEXT_EXTRA);
	if (url == NULL) {
		return NNG_ENOMEM;
	}
	url->scheme = known;
	if (!read_parts(url, rest)) {
		record_free(url);
		return NNG_EINVAL;
	}
	*urlp = url;
	return NNG_OK;
}

nng_err
nng_url_clone(nng_url **urlp, const nng_url *url)
{
	if (!is_usable(url, __func__) || urlp == NULL) {
		return NNG_EINVAL;
	}
	struct nng_url *copy = record_alloc(url->size);
	if (copy == NULL) {
		return NNG_ENOMEM;
	}
	memcpy(copy, url, sizeof(*url) + url->size);
	copy->capacity = url->size;
	*urlp = copy;
	return NNG_OK;
}

void
nng_url_free(nng_url *url)
{
	if (url != NULL) {
		record_free(url);
	}
}

static const char *
text_or_null(const nng_url *url, uint16_t part)
{
	return part != 0 ? url->text + part : NULL;
}

static const char *
text_or_empty(const nng_url *url, uint16_t part)
{
	return part != 0 ? url->text + part : "";
}

int
nng_url_sprintf(char *buf, size_t bufsz, const nng_url *url)
{
	char port[8] = "";

	if (!is_usable(url, __func__)) {
		return 0;
	}
	if (url->port != url->scheme->port) {
		(void) snprintf(port, sizeof(port), ":%u", (unsigned) url->port);
	}
	const char *host = text_or_empty(url, url->hostname);
	bool bracketed = strchr(host, ':') != NULL;
	return snprintf(buf, bufsz, "%s://%s%s%s%s%s%s%s%s%s", url->scheme->name, bracketed ? "[" : "", host,
	    bracketed ? "]" : "", port, url->text + url->path, url->query != 0 ? "?" : "",
	    text_or_empty(url, url->query), url->fragment != 0 ? "#" : "", text_or_empty(url, url->fragment));
}

const char *
nng_url_scheme(const nng_url *url)
{
	return is_usable(url, __func__) ? url->scheme->name : NULL;
}

uint32_t
nng_url_port(const nng_url *url)
{
	return is_usable(url, __func__) ? url->port : 0;
}

void
nng_url_resolve_port(nng_url *url, uint32_t port)
{
	if (is_usable(url, __func__) && url->hostname != 0 && url->port == 0 && port <= PORT_MAX) {
		url->port = port;
	}
}

const char *
nng_url_hostname(const nng_url *url)
{
	return is_usable(url, __func__) ? text_or_null(url, url->hostname) : NULL;
}

const char *
nng_url_userinfo(const nng_url *url)
{
	return is_usable(url, __func__) ? text_or_null(url, url->userinfo) : NULL;
}

const char *
nng_url_path(const nng_url *url)
{
	return is_usable(url, __func__) ? url->text + url->path : NULL;
}

const char *
nng_url_query(const nng_url *url)
{
	return is_usable(url, __func__) ? text_or_null(url, url->query) : NULL;
}

const char *
nng_url_fragment(const nng_url *url)
{
	return is_usable(url, __func__) ? text_or_null(url, url->fragment) : NULL;
}

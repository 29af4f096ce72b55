/* SPDX-License-Identifier: MIT
 *
 * url.h: what a stream URL says. See url.c for the grammar.
 *
 * Any thread; wait-free; no allocation, no state, no system call but the name of an IPv6 zone (if_nametoindex).
 */
#ifndef PINWHEEL_STREAM_URL_H
#define PINWHEEL_STREAM_URL_H

#include <stdbool.h>
#include <stdint.h>

#include <nng/nng.h>

#define PW_URL_SIZE 512u      /* the longest URL, its NUL included */
#define PW_URL_HOST_SIZE 254u /* the longest name that DNS can hold, 253, and its NUL */
#define PW_URL_PATH_SIZE 108u /* sun_path of the system's sockaddr_un, its NUL included */

enum pw_url_kind {
	PW_URL_TCP,
	PW_URL_PATH,
};

struct pw_url {
	enum pw_url_kind kind;
	bool numeric;         /* TCP: `address` is complete; else `host` is a name, or empty (any address) */
	uint16_t port;        /* TCP, in the machine's order */
	nng_sockaddr address; /* numeric TCP, or the path */
	char host[PW_URL_HOST_SIZE];
};

/* NNG_OK, and *url is filled; NNG_ENOTSUP: a scheme that pinwheel does not speak; NNG_EINVAL: malformed, too long,
 * a port above 65535, a path that does not fit a Unix socket's address. On an error *url is undefined. */
nng_err pw_url_parse(struct pw_url *url, const char *text);

#endif

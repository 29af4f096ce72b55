/* SPDX-License-Identifier: MIT
 *
 * place.h: where the URL of a stream leads: an address, or a name to look up. See place.c.
 *
 * Any thread; wait-free; no allocation, no state, no system call but the name of an IPv6 zone (if_nametoindex).
 */
#ifndef PINWHEEL_STREAM_PLACE_H
#define PINWHEEL_STREAM_PLACE_H

#include "engine/stream/url.h"

#define PW_PLACE_HOST_SIZE 254u /* the longest name that DNS can hold, 253, and its NUL */

struct pw_place {
	enum pw_url_kind kind;           /* never PW_URL_OTHER */
	enum nng_sockaddr_family family; /* TCP: which addresses of the name; NNG_AF_UNSPEC: either */
	bool numeric;         /* TCP: `address` is complete; else `host` is a name, or empty (any address) */
	uint16_t port;        /* TCP, in the machine's order */
	nng_sockaddr address; /* numeric TCP, a path, a name of the abstract namespace */
	char host[PW_PLACE_HOST_SIZE];
};

/* NNG_OK, and *place is filled; NNG_ENOTSUP: a scheme that streams do not speak; NNG_EINVAL: what stands in the URL
 * is no such place; NNG_EADDRINVAL: an address of the family that the scheme excludes. On an error *place is
 * undefined. */
nng_err pw_place_of_url(struct pw_place *place, const nng_url *url);
/* The same for a URL's text, with the errors of nng_url_parse. */
nng_err pw_place_of_text(struct pw_place *place, const char *text);

#endif

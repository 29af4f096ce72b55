/* SPDX-License-Identifier: MIT
 *
 * udp_address.h: the address that a URL udp://host:port, udp4:// or udp6:// stands for. A name is looked up in the
 * caller, which waits for it; streams, whose names the engine looks up itself, do not come here.
 */
#ifndef PINWHEEL_BENCH_UDP_ADDRESS_H
#define PINWHEEL_BENCH_UDP_ADDRESS_H

#include <stdbool.h>

#include <nng/nng.h>

/* The URL's scheme is one of the three. */
bool pw_udp_is(const char *url);

/* NNG_EINVAL: malformed, or, unless `own`, without a host or a port; NNG_EADDRINVAL: there is no such host. An own
 * address without a host is every local one of IPv4 (of IPv6 with udp6). */
nng_err pw_udp_address(const char *url, bool own, nng_sockaddr *address);

/* A datagram from `from` may be an answer to one sent to `to`: the same port, and the same host unless `to` is no
 * host in particular. */
bool pw_udp_answers(const nng_sockaddr *from, const nng_sockaddr *to);

#endif

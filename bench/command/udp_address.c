/* SPDX-License-Identifier: MIT
 *
 * udp_address.c: see udp_address.h.
 */
#include "bench/command/udp_address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

bool
pw_udp_is(const char *url)
{
	return strncasecmp(url, "udp://", 6) == 0 || strncasecmp(url, "udp4://", 7) == 0 ||
	    strncasecmp(url, "udp6://", 7) == 0;
}

static bool
well_formed(const nng_url *url, bool own)
{
	const char *path = nng_url_path(url);

	return nng_url_userinfo(url) == NULL && nng_url_query(url) == NULL && nng_url_fragment(url) == NULL &&
	    (path[0] == '\0' || strcmp(path, "/") == 0) &&
	    (own || (nng_url_port(url) != 0 && nng_url_hostname(url)[0] != '\0'));
}

static bool
convert(const struct sockaddr *from, nng_sockaddr *to)
{
	memset(to, 0, sizeof(*to));
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) from;
		to->s_in.sa_family = NNG_AF_INET;
		to->s_in.sa_port = in->sin_port;
		to->s_in.sa_addr = in->sin_addr.s_addr;
		return true;
	}
	if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) (const void *) from;
		to->s_in6.sa_family = NNG_AF_INET6;
		to->s_in6.sa_port = in6->sin6_port;
		to->s_in6.sa_scope = in6->sin6_scope_id;
		memcpy(to->s_in6.sa_addr, &in6->sin6_addr, sizeof(to->s_in6.sa_addr));
		return true;
	}
	return false;
}

static nng_err
look_up(const nng_url *url, bool own, nng_sockaddr *address)
{
	const char *scheme = nng_url_scheme(url);
	const char *host = nng_url_hostname(url);
	bool any = host[0] == '\0';
	struct addrinfo hints = {
		.ai_family = strcmp(scheme, "udp6") == 0 ? AF_INET6
		    : strcmp(scheme, "udp4") == 0 || any ? AF_INET
							 : AF_UNSPEC,
		.ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_NUMERICSERV | (own ? AI_PASSIVE : 0),
	};
	struct addrinfo *found = NULL;
	char port[16];

	snprintf(port, sizeof(port), "%u", (unsigned) nng_url_port(url));
	if (getaddrinfo(any ? NULL : host, port, &hints, &found) != 0) {
		return NNG_EADDRINVAL;
	}
	bool converted = convert(found->ai_addr, address);
	freeaddrinfo(found);
	return converted ? NNG_OK : NNG_EADDRINVAL;
}

nng_err
pw_udp_address(const char *text, bool own, nng_sockaddr *address)
{
	nng_url *url = NULL;
	nng_err err = nng_url_parse(&url, text);

	if (err != NNG_OK) {
		return err;
	}
	err = well_formed(url, own) ? look_up(url, own, address) : NNG_EINVAL;
	nng_url_free(url);
	return err;
}

bool
pw_udp_answers(const nng_sockaddr *from, const nng_sockaddr *to)
{
	static const uint8_t any6[16];

	if (nng_sockaddr_port(from) != nng_sockaddr_port(to)) {
		return false;
	}
	if (to->s_family == NNG_AF_INET) {
		return to->s_in.sa_addr == INADDR_ANY || nng_sockaddr_equal(from, to);
	}
	return memcmp(to->s_in6.sa_addr, any6, sizeof(any6)) == 0 || nng_sockaddr_equal(from, to);
}

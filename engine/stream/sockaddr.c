/* SPDX-License-Identifier: MIT
 *
 * sockaddr.c: nng_sockaddr to and from the system's addresses, as text, as an index; the pair of sockets.
 *
 * I1  Every text ends with a NUL inside the caller's buffer; a short buffer cuts it.
 * I2  A path is copied with the size the kernel gave: it need not end with a NUL there.
 * I3  Two addresses are equal if their packed forms are, and the hash is that of the packed form; so equal addresses
 *     have one hash, whatever lies in the bytes that mean nothing (padding, what follows a name's end).
 */
#include "engine/stream/sockaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "engine/base/error.h"

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

_Static_assert(sizeof(((struct sockaddr_un *) 0)->sun_path) < NNG_MAXADDRLEN, "a path fits, its NUL included");
_Static_assert(sizeof(((struct sockaddr_un *) 0)->sun_path) - 1 <= sizeof(((nng_sockaddr_abstract *) 0)->sa_name),
    "an abstract name fits");

/* ---- from the system */

static void
from_un(nng_sockaddr *out, const struct sockaddr_un *in, socklen_t size)
{
	size_t length = size > PATH_OFFSET ? size - PATH_OFFSET : 0;

	if (length > sizeof(in->sun_path)) {
		length = sizeof(in->sun_path);
	}
	if (length == 0 || in->sun_path[0] == '\0') { /* unnamed, or a name of the abstract namespace */
		size_t name = length == 0 ? 0 : length - 1;
		out->s_abstract.sa_family = NNG_AF_ABSTRACT;
		out->s_abstract.sa_len = (uint16_t) name;
		memcpy(out->s_abstract.sa_name, in->sun_path + 1, name);
		return;
	}
	out->s_ipc.sa_family = NNG_AF_IPC;
	memcpy(out->s_ipc.sa_path, in->sun_path, strnlen(in->sun_path, length));
}

void
pw_sockaddr_from_system(nng_sockaddr *out, const struct sockaddr_storage *in, socklen_t size)
{
	const void *any = in;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(in->ss_family)) {
		return;
	}
	switch (in->ss_family) {
	case AF_INET: {
		const struct sockaddr_in *v4 = any;
		out->s_in.sa_family = NNG_AF_INET;
		out->s_in.sa_port = v4->sin_port;
		out->s_in.sa_addr = v4->sin_addr.s_addr;
		break;
	}
	case AF_INET6: {
		const struct sockaddr_in6 *v6 = any;
		out->s_in6.sa_family = NNG_AF_INET6;
		out->s_in6.sa_port = v6->sin6_port;
		out->s_in6.sa_scope = v6->sin6_scope_id;
		memcpy(out->s_in6.sa_addr, &v6->sin6_addr, sizeof(out->s_in6.sa_addr));
		break;
	}
	case AF_UNIX:
		from_un(out, any, size);
		break;
	default:
		break;
	}
}

/* ---- to the system */

socklen_t
pw_sockaddr_to_system(const nng_sockaddr *in, struct sockaddr_storage *out)
{
	void *any = out;

	memset(out, 0, sizeof(*out));
	switch (in->s_family) {
	case NNG_AF_INET: {
		struct sockaddr_in *v4 = any;
		v4->sin_family = AF_INET;
		v4->sin_port = in->s_in.sa_port;
		v4->sin_addr.s_addr = in->s_in.sa_addr;
		return sizeof(*v4);
	}
	case NNG_AF_INET6: {
		struct sockaddr_in6 *v6 = any;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = in->s_in6.sa_port;
		v6->sin6_scope_id = in->s_in6.sa_scope;
		memcpy(&v6->sin6_addr, in->s_in6.sa_addr, sizeof(in->s_in6.sa_addr));
		return sizeof(*v6);
	}
	case NNG_AF_IPC: {
		struct sockaddr_un *un = any;
		size_t length = strnlen(in->s_ipc.sa_path, sizeof(in->s_ipc.sa_path));
		if (length >= sizeof(un->sun_path)) {
			return 0;
		}
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, in->s_ipc.sa_path, length);
		return (socklen_t) (PATH_OFFSET + length + 1);
	}
	case NNG_AF_ABSTRACT: {
		struct sockaddr_un *un = any;
		size_t length = in->s_abstract.sa_len;
		if (length > sizeof(in->s_abstract.sa_name)) {
			return 0;
		}
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path + 1, in->s_abstract.sa_name, length);
		/* Without a name, not even its NUL: bind chooses one. */
		return (socklen_t) (length == 0 ? PATH_OFFSET : PATH_OFFSET + 1 + length);
	}
	default:
		return 0;
	}
}

int
pw_sockaddr_system_family(enum nng_sockaddr_family family)
{
	switch (family) {
	case NNG_AF_INET:
		return AF_INET;
	case NNG_AF_INET6:
		return AF_INET6;
	case NNG_AF_IPC:
	case NNG_AF_ABSTRACT:
		return AF_UNIX;
	default:
		return AF_UNSPEC;
	}
}

void
pw_sockaddr_of_socket(nng_sockaddr *out, int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *) &address, &size) != 0) {
		size = 0;
	}
	pw_sockaddr_from_system(out, &address, size);
}

/* ---- comparing */

#define PACKED_SIZE (sizeof(uint16_t) + NNG_MAXADDRLEN) /* the largest: a name or path without an end */

struct packer {
	uint8_t *at;
};

static void
pack(struct packer *packer, const void *bytes, size_t size)
{
	memcpy(packer->at, bytes, size);
	packer->at += size;
}

/* The size. Fields in the order in which they stand there, without what lies between them. */
static size_t
pack_address(const nng_sockaddr *sa, uint8_t *out)
{
	struct packer packer = { out };

	pack(&packer, &sa->s_family, sizeof(sa->s_family));
	switch (sa->s_family) {
	case NNG_AF_INPROC:
		pack(&packer, sa->s_inproc.sa_name, strnlen(sa->s_inproc.sa_name, sizeof(sa->s_inproc.sa_name)));
		break;
	case NNG_AF_IPC:
		pack(&packer, sa->s_ipc.sa_path, strnlen(sa->s_ipc.sa_path, sizeof(sa->s_ipc.sa_path)));
		break;
	case NNG_AF_INET:
		pack(&packer, &sa->s_in.sa_port, sizeof(sa->s_in.sa_port));
		pack(&packer, &sa->s_in.sa_addr, sizeof(sa->s_in.sa_addr));
		break;
	case NNG_AF_INET6:
		pack(&packer, &sa->s_in6.sa_port, sizeof(sa->s_in6.sa_port));
		pack(&packer, &sa->s_in6.sa_scope, sizeof(sa->s_in6.sa_scope));
		pack(&packer, sa->s_in6.sa_addr, sizeof(sa->s_in6.sa_addr));
		break;
	case NNG_AF_ABSTRACT: {
		size_t length = sa->s_abstract.sa_len;
		size_t bound = sizeof(sa->s_abstract.sa_name);
		pack(&packer, sa->s_abstract.sa_name, length < bound ? length : bound);
		break;
	}
	default:
		break;
	}
	return (size_t) (packer.at - out);
}

bool
nng_sockaddr_equal(const nng_sockaddr *sa1, const nng_sockaddr *sa2)
{
	uint8_t packed1[PACKED_SIZE], packed2[PACKED_SIZE];
	size_t size = pack_address(sa1, packed1);

	return size == pack_address(sa2, packed2) && memcmp(packed1, packed2, size) == 0;
}

/* FNV-1a, and the last steps of splitmix64, so that addresses that differ in one bit differ in half of the hash. */
uint64_t
nng_sockaddr_hash(const nng_sockaddr *sa)
{
	uint8_t packed[PACKED_SIZE];
	size_t size = pack_address(sa, packed);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++) {
		hash = (hash ^ packed[i]) * UINT64_C(0x100000001b3);
	}
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	hash ^= hash >> 31;
	return hash != 0 ? hash : 1;
}

/* ---- text */

/* Bytes that do not print as themselves are written as \xNN. */
static void
print_abstract(const nng_sockaddr_abstract *sa, char *buf, size_t size)
{
	size_t length = sa->sa_len <= sizeof(sa->sa_name) ? sa->sa_len : sizeof(sa->sa_name);
	int used = snprintf(buf, size, "abstract[");

	for (size_t i = 0; i < length && (size_t) used < size; i++) {
		bool plain = sa->sa_name[i] > ' ' && sa->sa_name[i] < 0x7f && sa->sa_name[i] != '\\';
		used += snprintf(buf + used, size - (size_t) used, plain ? "%c" : "\\x%02x", sa->sa_name[i]);
	}
	if ((size_t) used < size) {
		(void) snprintf(buf + used, size - (size_t) used, "]");
	}
}

static void
print_in(const nng_sockaddr_in *sa, char *buf, size_t size)
{
	char text[INET_ADDRSTRLEN];

	(void) inet_ntop(AF_INET, &sa->sa_addr, text, sizeof(text));
	(void) snprintf(buf, size, "%s:%u", text, (unsigned) ntohs(sa->sa_port));
}

static void
print_in6(const nng_sockaddr_in6 *sa, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN];

	(void) inet_ntop(AF_INET6, sa->sa_addr, text, sizeof(text));
	if (sa->sa_scope != 0) {
		(void) snprintf(buf, size, "[%s%%%u]:%u", text, (unsigned) sa->sa_scope,
		    (unsigned) ntohs(sa->sa_port));
	} else {
		(void) snprintf(buf, size, "[%s]:%u", text, (unsigned) ntohs(sa->sa_port));
	}
}

const char *
nng_str_sockaddr(const nng_sockaddr *sa, char *buf, size_t bufsz)
{
	switch (sa->s_family) {
	case NNG_AF_INPROC:
		(void) snprintf(buf, bufsz, "inproc[%.*s]", NNG_MAXADDRLEN, sa->s_inproc.sa_name);
		break;
	case NNG_AF_IPC:
		(void) snprintf(buf, bufsz, "%.*s", NNG_MAXADDRLEN, sa->s_ipc.sa_path);
		break;
	case NNG_AF_INET:
		print_in(&sa->s_in, buf, bufsz);
		break;
	case NNG_AF_INET6:
		print_in6(&sa->s_in6, buf, bufsz);
		break;
	case NNG_AF_ABSTRACT:
		print_abstract(&sa->s_abstract, buf, bufsz);
		break;
	default:
		(void) snprintf(buf, bufsz, "unknown");
		break;
	}
	return buf;
}

uint32_t
nng_sockaddr_port(const nng_sockaddr *sa)
{
	switch (sa->s_family) {
	case NNG_AF_INET:
		return ntohs(sa->s_in.sa_port);
	case NNG_AF_INET6:
		return ntohs(sa->s_in6.sa_port);
	default:
		return 0;
	}
}

/* ---- the pair */

nng_err
nng_socket_pair(int fds[2])
{
	if (fds == NULL) {
		return NNG_EINVAL;
	}
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 ? NNG_OK : pw_error_from_errno(errno);
}

const char *
pw_sockaddr_loopback(const char *host, int family)
{
	static const char name[] = "localhost";
	size_t length = strlen(host), least = sizeof(name) - 1;

	if (length > least && host[length - 1] == '.') {
		length--;
	}
	if (length < least || strncasecmp(host + length - least, name, least) != 0 ||
	    (length > least && host[length - least - 1] != '.')) {
		return NULL;
	}
	return family == AF_INET6 ? "::1" : "127.0.0.1";
}

/* SPDX-License-Identifier: MIT
 *
 * sockaddr.h: between the system's socket addresses and nng_sockaddr, whose ports and addresses are in network order
 * too. Any thread; wait-free.
 */
#ifndef PINWHEEL_STREAM_SOCKADDR_H
#define PINWHEEL_STREAM_SOCKADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include <nng/nng.h>

/* What the kernel wrote into `in`, `size` bytes of it. A family that has no nng_sockaddr: NNG_AF_UNSPEC. */
void pw_sockaddr_from_system(nng_sockaddr *out, const struct sockaddr_storage *in, socklen_t size);
/* The other way, for a family that sockets have. The size to hand to the kernel; 0: no such family. */
socklen_t pw_sockaddr_to_system(const nng_sockaddr *in, struct sockaddr_storage *out);
/* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC for any other. */
int pw_sockaddr_system_family(enum nng_sockaddr_family family);
/* RFC 6761: "localhost", and what ends in ".localhost", is the loopback address even where no hosts file says so, and is
 * no server's business. The address as text, for a system's family; NULL: another name. */
const char *pw_sockaddr_loopback(const char *host, int family);
/* What the socket is bound to; a failure: NNG_AF_UNSPEC. */
void pw_sockaddr_of_socket(nng_sockaddr *out, int fd);

#endif

/* SPDX-License-Identifier: MIT
 *
 * liar.c MODE [PORT]: an echo service that is wrong in one way, or a client that is, for load_wrong.sh and
 * load_right.sh; on blocking sockets, so that nothing of pinwheel's judges itself.
 *
 *   tcp-flip     changes a byte of the 10th message it gets
 *   tcp-more     sends a byte too many after the 10th
 *   tcp-silent   answers 10, then nothing
 *   tcp-shut     answers 10, then ends the stream
 *   tcp-pause    half a second after the first message stands still for 1.5 s; changes nothing
 *   udp-pause    likewise
 *   tcp-full     neither accepts connections nor has room for one that waits
 *   udp-stray    sends each answer from another socket before
 *   udp-drop     answers three datagrams of four
 *   udp-late     answers every fourth datagram only after the next one
 *   udp-twice    answers each datagram twice
 *   udp-flip     changes a byte of the 10th
 *   udp-longer   answers the 10th with a byte too many
 *   stall PORT   connects, sends as much as fits, reads nothing; ends when the other end has closed
 *
 * A service prints "listening URL" and serves one connection after another until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE 65536

static char buffer[BUFFER_SIZE + 1];

static void
give_up(const char *what)
{
	fprintf(stderr, "liar: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t) port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static int
bind_socket(int type)
{
	struct sockaddr_in address = loopback(0);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(address)) != 0 ||
	    (type == SOCK_STREAM && listen(fd, 16) != 0)) {
		give_up("bind");
	}
	return fd;
}

static void
print_place(int fd, const char *scheme)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *) &address, &size) != 0) {
		give_up("getsockname");
	}
	printf("listening %s://127.0.0.1:%d\n", scheme, ntohs(address.sin_port));
	fflush(stdout);
}

static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Once, half a second after it was called first. */
static void
pause_once(void)
{
	static const struct timespec pause = { 1, 500000000 };
	static double first_s;
	static bool paused;

	if (first_s == 0) {
		first_s = now_s();
	} else if (!paused && now_s() - first_s >= 0.5) {
		paused = true;
		nanosleep(&pause, NULL);
	}
}

/* False: the connection has ended. The messages of a closed loop come one by one. */
static bool
answer(int fd, const char *how, int number, ssize_t size)
{
	bool wrong = number >= 10;

	if (strcmp(how, "pause") == 0) {
		pause_once();
	}
	if (wrong && strcmp(how, "silent") == 0) {
		return true;
	}
	if (wrong && strcmp(how, "shut") == 0) {
		return false;
	}
	if (wrong && strcmp(how, "flip") == 0) {
		buffer[size - 1] ^= 1;
	}
	size += wrong && strcmp(how, "more") == 0;
	return send(fd, buffer, (size_t) size, MSG_NOSIGNAL) == size;
}

/* A connection is established while the queue has room, that is one more than listen was told. */
static void
fill_up(int listener)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	if (listen(listener, 0) != 0 || getsockname(listener, (struct sockaddr *) &address, &size) != 0) {
		give_up("listen");
	}
	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0 || (connect(fd, (const struct sockaddr *) &address, size) != 0 && errno != EINPROGRESS)) {
			give_up("connect");
		}
	}
}

static void
serve_tcp(const char *how)
{
	int listener = bind_socket(SOCK_STREAM);

	if (strcmp(how, "full") == 0) {
		fill_up(listener);
	}
	print_place(listener, "tcp");
	while (strcmp(how, "full") == 0) {
		pause();
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t size;
		if (fd < 0) {
			give_up("accept");
		}
		for (int n = 1; (size = recv(fd, buffer, BUFFER_SIZE, 0)) > 0 && answer(fd, how, n, size); n++) {
		}
		close(fd);
	}
}

static void
send_back(int fd, const char *bytes, ssize_t size, const struct sockaddr_in *to)
{
	if (sendto(fd, bytes, (size_t) size, 0, (const struct sockaddr *) to, sizeof(*to)) != size) {
		give_up("sendto");
	}
}

static void
serve_udp(const char *how)
{
	static char held[BUFFER_SIZE];
	ssize_t held_size = 0;
	int fd = bind_socket(SOCK_DGRAM), elsewhere = bind_socket(SOCK_DGRAM);

	print_place(fd, "udp");
	for (int n = 1;; n++) {
		struct sockaddr_in from;
		socklen_t from_size = sizeof(from);
		ssize_t size = recvfrom(fd, buffer, BUFFER_SIZE, 0, (struct sockaddr *) &from, &from_size);
		if (size < 0) {
			give_up("recvfrom");
		}
		if (strcmp(how, "pause") == 0) {
			pause_once();
		}
		bool fourth = n % 4 == 0;
		if (fourth && strcmp(how, "drop") == 0) {
			continue;
		}
		if (fourth && strcmp(how, "late") == 0) {
			memcpy(held, buffer, (size_t) size);
			held_size = size;
			continue;
		}
		if (held_size != 0) {
			send_back(fd, held, held_size, &from);
			held_size = 0;
		}
		if (n == 10 && strcmp(how, "flip") == 0) {
			buffer[size - 1] ^= 1;
		}
		if (strcmp(how, "stray") == 0) {
			send_back(elsewhere, buffer, size, &from);
		}
		send_back(fd, buffer, size + (n == 10 && strcmp(how, "longer") == 0), &from);
		if (strcmp(how, "twice") == 0) {
			send_back(fd, buffer, size, &from);
		}
	}
}

static int
stall(int port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) != 0) {
		give_up("connect");
	}
	while (send(fd, buffer, BUFFER_SIZE, MSG_NOSIGNAL) > 0) {
	}
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "stall") == 0) {
		return stall(atoi(argv[2]));
	}
	if (argc == 2 && strncmp(argv[1], "tcp-", 4) == 0) {
		serve_tcp(argv[1] + 4);
	}
	if (argc == 2 && strncmp(argv[1], "udp-", 4) == 0) {
		serve_udp(argv[1] + 4);
	}
	fprintf(stderr, "liar: a mode is expected\n");
	return 2;
}

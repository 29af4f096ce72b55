/* SPDX-License-Identifier: MIT
 *
 * storm_net.c: streams beside the storm, for the faults that need I/O: an echo service on a TCP port of this machine,
 * clients of it, and a thread of peers that misbehave.
 *
 * A client dials, sends messages of up to 8 KiB and compares every byte that comes back; one in 16 of its operations
 * has a deadline of less than 5 ms, and is made again when that passes (no byte is lost by it). After some messages
 * it closes and dials anew. A connection of the service receives, sends back until all is sent, and receives again.
 *
 * The peers use plain sockets and calls that storm_wrap.c does not wrap:
 *   reset       sends, perhaps receives a part, and closes with a linger of 0
 *   half-close  sends, ends its direction, and must receive exactly what it sent, then the end
 *   emfile      makes its sockets, takes every further descriptor away from the process, connects, waits, gives them
 *               back; then each connection must be served as any other. (io_uring notes the limit when an accept is
 *               submitted, so one connection is not enough.)
 *
 * What is a violation: a callback that nobody owes, an operation that never ends, a wrong byte, a result that neither
 * the peers nor the faults asked for explain.
 *
 * Context: callbacks on shards; the peers' thread; open and close on the main thread.
 */
#include "bench/storm/storm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CLIENTS 16u
#define ACCEPTS 4u
#define MESSAGE_MAX 8192u
#define PATIENCE_S 60
#define OCCASION_NS UINT64_C(1000000)
#define EXHAUSTED_NS UINT64_C(15000000) /* longer than a listener pauses */
#define CROWD 3u                        /* connections made meanwhile */

enum step {
	STEP_DIAL,
	STEP_SEND,
	STEP_RECEIVE,
	STEP_REST,
};

/* One aio and what it is doing. */
struct party {
	nng_aio *aio;
	nng_stream *stream;
	enum step step;
	_Atomic bool under_way; /* an operation is, and its one callback is to come */
	bool hurried;           /* it has a near deadline */
	unsigned messages;      /* clients: until they dial anew */
	size_t size;            /* of the message */
	size_t done;            /* bytes of this step */
	struct party *next;     /* connections: all of them, under the lock */
	struct party *previous;
	unsigned char out[MESSAGE_MAX];
	unsigned char in[MESSAGE_MAX];
};

static struct {
	nng_stream_listener *listener;
	nng_stream_dialer *dialer;
	nng_aio *accepts[ACCEPTS];
	struct party *clients;
	int port;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct party *connections; /* under the lock */
	bool closing;              /* under the lock */
	unsigned clients_left;     /* under the lock */
	_Atomic bool leave;        /* clients and peers end */
	pthread_t peers;
	bool open;
	_Atomic uint64_t messages;
	_Atomic uint64_t bytes;
} net = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static bool
asked(enum pw_fault fault)
{
	return pw_fault_asked(fault) != PW_FAULT_NOT_ASKED;
}

static void
allocate(nng_aio **aio, void (*callback)(void *), void *arg)
{
	nng_err err;

	do {
		err = nng_aio_alloc(aio, callback, arg);
	} while (pw_storm_starved(err));
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel storm: no aio for a stream: %s\n", nng_strerror(err));
		_Exit(PW_EXIT_ENVIRONMENT);
	}
}

/* ---- operations ---- */

static void
owe(struct party *party)
{
	if (atomic_exchange(&party->under_way, true)) {
		pw_storm_violation("an operation was started beside another one", "streams");
	}
}

static void
settle(struct party *party)
{
	if (!atomic_exchange(&party->under_way, false)) {
		pw_storm_violation("a callback without an operation", "streams");
	}
}

static void
set_deadline(struct party *party, bool may_hurry)
{
	party->hurried = may_hurry && pw_fault_dice(16) == 0;
	pinwheel_aio_set_timeout_ns(party->aio,
	    party->hurried ? 50000 + (int64_t) pw_fault_dice(5000000) : NNG_DURATION_INFINITE);
}

/* Bytes [done, end) of the buffer; in two pieces now and then. */
static void
transfer(struct party *party, unsigned char *buffer, size_t end, bool may_hurry)
{
	size_t left = end - party->done;
	size_t first = left > 1 && pw_fault_dice(4) == 0 ? left / 2 : left;
	nng_iov iov[2] = { { buffer + party->done, first }, { buffer + party->done + first, left - first } };

	(void) nng_aio_set_iov(party->aio, first == left ? 1 : 2, iov);
	set_deadline(party, may_hurry);
	owe(party);
	if (party->step == STEP_SEND) {
		nng_stream_send(party->stream, party->aio);
	} else {
		nng_stream_recv(party->stream, party->aio);
	}
}

/* ---- the service ---- */

static void
receive(struct party *c)
{
	c->step = STEP_RECEIVE;
	c->done = 0;
	transfer(c, c->in, MESSAGE_MAX, false);
}

/* Off the list first: what is on it, its stream may be closed by another thread. */
static void
drop(struct party *c)
{
	pthread_mutex_lock(&net.lock);
	if (c->next != NULL) {
		c->next->previous = c->previous;
	}
	if (c->previous != NULL) {
		c->previous->next = c->next;
	} else {
		net.connections = c->next;
	}
	pthread_cond_signal(&net.changed);
	pthread_mutex_unlock(&net.lock);
	nng_stream_free(c->stream);
	nng_aio_reap(c->aio);
	free(c);
}

/* What the other end may have done. */
static void
judge_end(const struct party *c, nng_err result)
{
	bool reset = result == NNG_ECONNRESET || (c->step == STEP_SEND && result == NNG_ECLOSED);

	if (result == NNG_ECONNRESET) {
		pw_fault_struck(PW_FAULT_RESET, 1);
	}
	if (result == NNG_ECONNSHUT || result == NNG_ECLOSED || (reset && asked(PW_FAULT_RESET))) {
		return;
	}
	pw_storm_violation("a connection of the service ended as nothing explains", nng_strerror(result));
}

static void
on_served(void *arg)
{
	struct party *c = arg;
	nng_err result = nng_aio_result(c->aio);
	size_t count = nng_aio_count(c->aio);

	settle(c);
	if (result != NNG_OK) {
		judge_end(c, result);
		drop(c);
		return;
	}
	if (c->step == STEP_RECEIVE) {
		c->size = count;
		c->done = 0;
		c->step = STEP_SEND;
	} else {
		c->done += count;
		atomic_fetch_add_explicit(&net.bytes, count, memory_order_relaxed);
	}
	if (c->done < c->size) {
		transfer(c, c->in, c->size, false);
	} else {
		receive(c);
	}
}

static void
welcome(nng_stream *stream)
{
	struct party *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		fprintf(stderr, "pinwheel storm: no memory for a connection\n");
		_Exit(PW_EXIT_ENVIRONMENT);
	}
	c->stream = stream;
	allocate(&c->aio, on_served, c);
	pthread_mutex_lock(&net.lock);
	bool open = !net.closing;
	if (open) {
		c->next = net.connections;
		if (c->next != NULL) {
			c->next->previous = c;
		}
		net.connections = c;
	}
	pthread_mutex_unlock(&net.lock);
	if (open) {
		receive(c);
	} else {
		nng_stream_free(stream);
		nng_aio_reap(c->aio);
		free(c);
	}
}

static void
on_accept(void *arg)
{
	nng_aio *aio = *(nng_aio **) arg;
	nng_err result = nng_aio_result(aio);

	if (result == NNG_ECLOSED || result == NNG_ESTOPPED) {
		return;
	}
	if (result == NNG_OK) {
		welcome(nng_aio_get_output(aio, 0));
	} else if (!pw_storm_starved(result)) {
		pw_storm_violation("an accept failed", nng_strerror(result));
	}
	nng_stream_listener_accept(net.listener, aio);
}

/* ---- clients ---- */

static void
client_leaves(struct party *c)
{
	nng_stream_free(c->stream);
	c->stream = NULL;
	pthread_mutex_lock(&net.lock);
	net.clients_left--;
	pthread_cond_signal(&net.changed);
	pthread_mutex_unlock(&net.lock);
}

static void
dial(struct party *c)
{
	c->step = STEP_DIAL;
	c->messages = 1 + pw_fault_dice(64);
	set_deadline(c, false);
	owe(c);
	nng_stream_dialer_dial(net.dialer, c->aio);
}

static void
rest(struct party *c)
{
	c->step = STEP_REST;
	set_deadline(c, false);
	owe(c);
	nng_sleep_aio(1, c->aio);
}

static void
next_message(struct party *c)
{
	if (atomic_load(&net.leave)) {
		client_leaves(c);
		return;
	}
	if (c->messages-- == 0) {
		nng_stream_free(c->stream);
		c->stream = NULL;
		dial(c);
		return;
	}
	c->size = 1 + pw_fault_dice(MESSAGE_MAX);
	uint32_t mark = pw_fault_dice(UINT32_MAX);
	for (size_t i = 0; i < c->size; i++) {
		c->out[i] = (unsigned char) ((mark + i * 167) >> (i % 3 * 8));
	}
	c->step = STEP_SEND;
	c->done = 0;
	transfer(c, c->out, c->size, true);
}

static void
client_transferred(struct party *c, size_t count)
{
	c->done += count;
	if (c->done < c->size) {
		transfer(c, c->step == STEP_SEND ? c->out : c->in, c->size, true);
	} else if (c->step == STEP_SEND) {
		c->step = STEP_RECEIVE;
		c->done = 0;
		transfer(c, c->in, c->size, true);
	} else if (memcmp(c->out, c->in, c->size) != 0) {
		pw_storm_violation("other bytes came back than were sent", "streams");
	} else {
		atomic_fetch_add_explicit(&net.messages, 1, memory_order_relaxed);
		next_message(c);
	}
}

static bool
may_fail_dial(nng_err result)
{
	return pw_storm_starved(result) || (result == NNG_ENOFILES && asked(PW_FAULT_EMFILE));
}

static void
on_client(void *arg)
{
	struct party *c = arg;
	nng_err result = nng_aio_result(c->aio);

	settle(c);
	if (c->step == STEP_REST || (c->step == STEP_DIAL && result != NNG_OK)) {
		if (result != NNG_OK && !may_fail_dial(result)) {
			pw_storm_violation("a dial failed", nng_strerror(result));
		}
		if (atomic_load(&net.leave)) {
			client_leaves(c);
		} else if (c->step == STEP_REST) {
			dial(c);
		} else {
			rest(c);
		}
	} else if (c->step == STEP_DIAL) {
		c->stream = nng_aio_get_output(c->aio, 0);
		next_message(c);
	} else if (result == NNG_OK) {
		client_transferred(c, nng_aio_count(c->aio));
	} else if (result == NNG_ETIMEDOUT && c->hurried) {
		transfer(c, c->step == STEP_SEND ? c->out : c->in, c->size, true);
	} else {
		pw_storm_violation("a client's transfer failed", nng_strerror(result));
	}
}

/* ---- peers ---- */

/* -1: no descriptor, for the moment. */
static int
peer_socket(void)
{
	struct timeval patience = { PATIENCE_S, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		(void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	}
	return fd;
}

static bool
peer_connect(int fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t) net.port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };

	return connect(fd, (const struct sockaddr *) &address, sizeof(address)) == 0;
}

static bool
peer_send(int fd, const unsigned char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t sent = sendto(fd, bytes + done, size - done, MSG_NOSIGNAL, NULL, 0);
		if (sent < 0) {
			return false;
		}
		done += (size_t) sent;
	}
	return true;
}

static void
reset_one(void)
{
	static const unsigned char bytes[4096] = { 1 };
	struct linger now = { 1, 0 };
	unsigned char back[512];
	int fd = peer_socket();

	if (fd < 0) {
		return;
	}
	if (peer_connect(fd) && peer_send(fd, bytes, 1 + pw_fault_dice(sizeof(bytes))) && pw_fault_dice(2) == 0) {
		(void) recvfrom(fd, back, 1 + pw_fault_dice(sizeof(back)), 0, NULL, NULL);
	}
	(void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* Sends, ends its direction, and has all of it come back, then the end. Closes. */
static void
half_close(int fd)
{
	unsigned char out[MESSAGE_MAX], in[MESSAGE_MAX];
	size_t size = 1 + pw_fault_dice(sizeof(out)), got = 0;
	ssize_t more = 1;

	for (size_t i = 0; i < size; i++) {
		out[i] = (unsigned char) pw_fault_dice(256);
	}
	if (!peer_send(fd, out, size) || shutdown(fd, SHUT_WR) != 0) {
		pw_storm_violation("a peer could not send to the service", strerror(errno));
	}
	while (more > 0) {
		/* One byte more than was sent: the end must come, not more. */
		more = recvfrom(fd, in + got, got < size ? size - got : 1, 0, NULL, NULL);
		got += more > 0 ? (size_t) more : 0;
		if (got > size) {
			break;
		}
	}
	if (more != 0 || got != size || memcmp(out, in, size) != 0) {
		char text[120];
		snprintf(text, sizeof(text), "%zu bytes sent, %zu came back, then %s", size, got,
		    more == 0      ? "the end"
			: more > 0 ? "more"
				   : strerror(errno));
		pw_storm_violation("a peer that ended its direction did not get everything back", text);
	}
	close(fd);
}

static void
half_close_one(void)
{
	int fd = peer_socket();

	if (fd < 0) {
		return;
	}
	if (peer_connect(fd)) {
		half_close(fd);
		pw_fault_struck(PW_FAULT_HALF_CLOSE, 1);
	} else {
		close(fd);
	}
}

static void
exhaust(void)
{
	struct rlimit before, none;
	int fd[CROWD];
	bool connected[CROWD];

	for (unsigned i = 0; i < CROWD; i++) {
		fd[i] = peer_socket();
	}
	if (getrlimit(RLIMIT_NOFILE, &before) != 0) {
		return;
	}
	none = (struct rlimit){ 3, before.rlim_max }; /* 0, 1 and 2 are in use */
	(void) setrlimit(RLIMIT_NOFILE, &none);
	for (unsigned i = 0; i < CROWD; i++) {
		connected[i] = fd[i] >= 0 && peer_connect(fd[i]);
		pw_fault_pause_ns(EXHAUSTED_NS / CROWD);
	}
	(void) setrlimit(RLIMIT_NOFILE, &before);
	for (unsigned i = 0; i < CROWD; i++) {
		if (connected[i]) {
			half_close(fd[i]);
		} else if (fd[i] >= 0) {
			close(fd[i]);
		}
	}
}

static void *
run_peers(void *arg)
{
	(void) arg;
	while (!atomic_load(&net.leave)) {
		pw_fault_pause_ns(OCCASION_NS);
		if (pw_fault_roll(PW_FAULT_RESET)) {
			reset_one();
		}
		if (pw_fault_roll(PW_FAULT_HALF_CLOSE)) {
			half_close_one();
		}
		if (pw_fault_roll(PW_FAULT_EMFILE)) {
			exhaust();
		}
	}
	return NULL;
}

/* ---- the whole ---- */

static bool
listen_and_dial(void)
{
	char url[64];
	nng_err err;

	do {
		err = nng_stream_listener_alloc(&net.listener, "tcp://127.0.0.1:0");
	} while (pw_storm_starved(err));
	if (err == NNG_OK) {
		err = nng_stream_listener_listen(net.listener);
	}
	if (err == NNG_OK) {
		err = nng_stream_listener_get_int(net.listener, NNG_OPT_BOUND_PORT, &net.port);
	}
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", net.port);
	while (err == NNG_OK && net.dialer == NULL) {
		nng_err tried = nng_stream_dialer_alloc(&net.dialer, url);
		err = pw_storm_starved(tried) ? NNG_OK : tried;
	}
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel storm: no streams on this machine: %s\n", nng_strerror(err));
	}
	return err == NNG_OK;
}

static bool
wanted(void)
{
	return asked(PW_FAULT_SQ_FULL) || asked(PW_FAULT_EINTR) || asked(PW_FAULT_SHORT) || asked(PW_FAULT_RESET) ||
	    asked(PW_FAULT_HALF_CLOSE) || asked(PW_FAULT_EMFILE);
}

bool
pw_storm_net_open(void)
{
	if (!wanted()) {
		return true;
	}
	net.clients = calloc(CLIENTS, sizeof(*net.clients));
	if (net.clients == NULL || !listen_and_dial()) {
		return false;
	}
	net.open = true;
	for (unsigned i = 0; i < ACCEPTS; i++) {
		allocate(&net.accepts[i], on_accept, &net.accepts[i]);
		nng_stream_listener_accept(net.listener, net.accepts[i]);
	}
	net.clients_left = CLIENTS;
	for (unsigned i = 0; i < CLIENTS; i++) {
		allocate(&net.clients[i].aio, on_client, &net.clients[i]);
		dial(&net.clients[i]);
	}
	return pthread_create(&net.peers, NULL, run_peers, NULL) == 0;
}

/* Waits for a condition under the lock; what nobody signals for PATIENCE_S will not come. */
static void
await(const char *what, bool (*done)(void))
{
	struct timespec limit;

	pthread_mutex_lock(&net.lock);
	while (!done()) {
		(void) clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += PATIENCE_S;
		if (pthread_cond_timedwait(&net.changed, &net.lock, &limit) == ETIMEDOUT && !done()) {
			pw_storm_violation("an operation of a stream never ended", what);
		}
	}
	pthread_mutex_unlock(&net.lock);
}

static bool
no_clients(void)
{
	return net.clients_left == 0;
}

static bool
no_connections(void)
{
	return net.connections == NULL;
}

void
pw_storm_net_close(void)
{
	if (!net.open) {
		return;
	}
	atomic_store(&net.leave, true);
	pthread_join(net.peers, NULL);
	await("a client's", no_clients);
	nng_stream_listener_stop(net.listener);
	for (unsigned i = 0; i < ACCEPTS; i++) {
		nng_aio_stop(net.accepts[i]);
		nng_aio_free(net.accepts[i]);
	}
	pthread_mutex_lock(&net.lock);
	net.closing = true;
	for (struct party *c = net.connections; c != NULL; c = c->next) {
		nng_stream_close(c->stream);
	}
	pthread_mutex_unlock(&net.lock);
	await("a connection's", no_connections);
	for (unsigned i = 0; i < CLIENTS; i++) {
		nng_aio_free(net.clients[i].aio);
	}
	nng_stream_dialer_free(net.dialer);
	nng_stream_listener_free(net.listener);
	free(net.clients);
	net.open = false;
}

void
pw_storm_net_counts(uint64_t *messages, uint64_t *bytes)
{
	*messages = atomic_load(&net.messages);
	*bytes = atomic_load(&net.bytes);
}

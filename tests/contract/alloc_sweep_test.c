/* SPDX-License-Identifier: MIT
 *
 * alloc_sweep_test.c: no memory, everywhere: a program that calls every public function that allocates is run again
 * and again, and its Nth allocation fails, N = 0, 1, 2 ... until none does.
 *
 * Law: what fails says NNG_ENOMEM (a function that returns a pointer: NULL), or goes on in a way that its text names;
 * the same call made again succeeds; nothing crashes, hangs, or is left behind.
 *
 * Each run is a process of its own, since the engine keeps records and slabs for the next start. The program is a
 * list of steps. A step does one thing and undoes it if it fails. Around each the allocations are counted, so it is
 * known in which step the failing one fell: that step must fail, or be one that may go on without, and show how;
 * every other step must succeed. At the end everything is released, and the descriptors and slots in use must be as
 * many as after a run without a failure. (AddressSanitizer's builds look for leaks as well.)
 *
 * Three places allocate, and each is swept: the engine (its seam, arena.h), c-ares (its own hook), and the C
 * library's CPU sets (whose function this program defines).
 */
#include "contract.h"

#include <ares.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include "engine/shard/arena.h"
#include "engine/stream/stream.h"

#define MANY 300u  /* more than a slab holds */
#define CROWD 17u  /* more than a chunk of stream records holds */
#define BODY 4096u /* more than a message holds in itself */
#define FAIL "PW_SWEEP_FAIL"
#define LOOKUP_MS 60000 /* c-ares gives up before */

enum {
	STRUCK = 0,  /* exit status: the Nth allocation failed, and all was as it must be */
	BEYOND = 40, /* there are fewer */
};

/* ---- who allocates */

struct place {
	const char *name;
	uint64_t (*calls)(void);
	void (*fail_call)(int64_t call); /* the one so far from now; negative: none */
	bool prefers_uring;              /* and may fall back */
	const struct step *steps;
};

static pw_a64 hook_calls;
static pw_a64 hook_fails = { UINT64_MAX };

/* Shall this call fail? */
static bool
hook_strikes(void)
{
	return pw_fetch_add_relaxed_64(&hook_calls, 1) == pw_load_relaxed_64(&hook_fails);
}

static uint64_t
hook_count(void)
{
	return pw_load_relaxed_64(&hook_calls);
}

static void
hook_fail(int64_t call)
{
	pw_store_relaxed_64(&hook_fails, call < 0 ? UINT64_MAX : hook_count() + (uint64_t) call);
}

static void *
ares_malloc(size_t size)
{
	return hook_strikes() ? NULL : malloc(size);
}

static void *
ares_realloc(void *memory, size_t size)
{
	return hook_strikes() ? NULL : realloc(memory, size);
}

static void
names_fail(int64_t call)
{
	if (ares_library_init_mem(ARES_LIB_INIT_ALL, ares_malloc, free, ares_realloc) != ARES_SUCCESS) {
		abort();
	}
	hook_fail(call);
}

static bool sweeps_cpus;

/* The C library's, behind CPU_ALLOC. */
cpu_set_t *
__sched_cpualloc(size_t count)
{
	return sweeps_cpus && hook_strikes() ? NULL : malloc(CPU_ALLOC_SIZE(count));
}

void
__sched_cpufree(cpu_set_t *set)
{
	free(set);
}

static void
cpus_fail(int64_t call)
{
	sweeps_cpus = true;
	hook_fail(call);
}

/* ---- what the steps work on */

static struct {
	const struct place *place;
	nng_aio *handles[MANY];
	nng_aio *pinned[MANY];
	nng_stream_listener *listeners[CROWD];
	nng_stream_dialer *dialers[CROWD];
	nng_stream *ends[3 * (CROWD + 2)]; /* of each connection the dialled one, then the accepted */
	unsigned end_count;
	nng_aio *aio; /* two that the steps use */
	nng_aio *other;
	int port;
	int name_fd;
	char name_servers[64];
	uint64_t slots; /* in use at the end */
} world;

struct step {
	const char *name;
	nng_err (*run)(void);
	bool (*goes_on)(void); /* the allocation failed, the step did not: is this how? NULL: it must fail */
};

static nng_err
result_of(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

static struct pinwheel_shard_stats
stats_of(int shard)
{
	struct pinwheel_shard_stats stats = { .size = sizeof(stats) };
	(void) pinwheel_stats(shard, &stats);
	return stats;
}

/* ---- steps: the engine */

static nng_err
start_with(int shards, int lent)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	config.shards = shards;
	config.lent_shards = lent;
	config.poller = world.place->prefers_uring ? PINWHEEL_POLLER_AUTO : PINWHEEL_POLLER_DEFAULT;
	nng_err err = pinwheel_start(&config);
	if (err != NNG_OK && pinwheel_shard_count() != 0) {
		return NNG_EINTERNAL; /* nothing is left started */
	}
	return err;
}

static nng_err
run_start(void)
{
	return start_with(2, PINWHEEL_NONE);
}

/* "io_uring, or epoll where the kernel lacks or refuses it"; "a pinning that is refused is no error: its statistics
 * say so and why". */
static bool
start_goes_on(void)
{
	bool without_uring = false, unpinned = false;

	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct pinwheel_shard_stats stats = stats_of(i);
		without_uring |= strcmp(stats.poller, "epoll") == 0 &&
		    strstr(stats.poller_reason, "Cannot allocate memory") != NULL;
		unpinned |= !stats.pinned && strstr(stats.pin_reason, "Cannot allocate memory") != NULL;
	}
	return (world.place->prefers_uring && without_uring) || (sweeps_cpus && unpinned);
}

/* Every engine that ends leaves nothing behind; the next one starts with what is there. */
static nng_err
run_start_lent(void)
{
	return start_with(PINWHEEL_NONE, 1);
}

/* The first poll opens the shard's poller. */
static nng_err
run_poll(void)
{
	int done = pinwheel_poll(0, 0);
	return done < 0 ? -done : NNG_OK;
}

static bool
poll_goes_on(void)
{
	return start_goes_on();
}

/* ---- steps: handles */

static nng_err
allocate(nng_aio **handles, unsigned count, bool pinned)
{
	nng_err err = NNG_OK;
	unsigned made = 0;

	while (made < count && err == NNG_OK) {
		err = pinned ? pinwheel_aio_alloc_on(&handles[made], 0, NULL, NULL)
			     : nng_aio_alloc(&handles[made], NULL, NULL);
		made += err == NNG_OK;
	}
	while (err != NNG_OK && made != 0) {
		nng_aio_free(handles[--made]);
	}
	return err;
}

static nng_err
run_handles(void)
{
	return allocate(world.handles, MANY, false);
}

static nng_err
run_pinned(void)
{
	return allocate(world.pinned, MANY, true);
}

static nng_err
run_pair(void)
{
	nng_aio *pair[2];
	nng_err err = allocate(pair, 2, false);

	if (err == NNG_OK) {
		world.aio = pair[0];
		world.other = pair[1];
	}
	return err;
}

static void
pass_gate(void *arg)
{
	gate_pass(arg, 1);
}

/* So many at once that slots must be made for them: the shard is held meanwhile. */
static nng_err
run_run_on(void)
{
	struct gate hold = GATE, ran = GATE;
	unsigned accepted = 0;
	nng_err err = pinwheel_run_on(0, pass_gate, &hold);

	if (err != NNG_OK) {
		return err;
	}
	while (accepted < MANY && err == NNG_OK) {
		err = pinwheel_run_on(0, open_gate, &ran);
		accepted += err == NNG_OK;
	}
	gate_open(&hold);
	gate_pass(&ran, accepted); /* each that was accepted runs */
	return err;
}

/* Nothing that is started allocates. */
static nng_err
run_operations(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		nng_aio_set_timeout(world.handles[i], 1 + (nng_duration) i % 7);
		nng_sleep_aio(i % 2 == 0 ? 1 : HOUR_MS, world.handles[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 3 == 0) {
			nng_aio_cancel(world.handles[i]);
		}
		nng_aio_wait(world.handles[i]);
	}
	return NNG_OK;
}

/* ---- steps: messages, memory, threads */

static nng_err
change_message(nng_msg *msg)
{
	nng_err err = nng_msg_append(msg, NULL, BODY);

	err = err == NNG_OK ? nng_msg_insert(msg, NULL, BODY) : err;
	err = err == NNG_OK ? nng_msg_reserve(msg, 5 * BODY) : err;
	return err == NNG_OK ? nng_msg_realloc(msg, 9 * BODY) : err;
}

static nng_err
run_message(void)
{
	nng_msg *msg = NULL, *dup = NULL;
	nng_err err = nng_msg_alloc(&msg, BODY);

	if (err == NNG_OK) {
		err = change_message(msg);
	}
	if (err == NNG_OK) {
		err = nng_msg_dup(&dup, msg);
	}
	if (err == NNG_OK && nng_msg_body(dup) == NULL) { /* shared: this copies it */
		err = NNG_ENOMEM;
	}
	nng_msg_free(dup);
	nng_msg_free(msg);
	return err;
}

static nng_err
run_memory(void)
{
	void *memory = nng_alloc(100);
	char *text = nng_strdup("text");
	bool both = memory != NULL && text != NULL;

	nng_free(memory, 100);
	nng_strfree(text);
	return both ? NNG_OK : NNG_ENOMEM;
}

static nng_err
run_threads(void)
{
	struct gate ran = GATE;
	nng_thread *thread = NULL;
	nng_mtx *mtx = NULL;
	nng_cv *cv = NULL;
	nng_err err = nng_mtx_alloc(&mtx);

	err = err == NNG_OK ? nng_cv_alloc(&cv, mtx) : err;
	err = err == NNG_OK ? nng_thread_create(&thread, open_gate, &ran) : err;
	if (err == NNG_OK) {
		gate_pass(&ran, 1);
	}
	nng_thread_destroy(thread);
	nng_cv_free(cv);
	nng_mtx_free(mtx);
	return err;
}

/* ---- steps: streams */

static nng_err
run_listeners(void)
{
	nng_err err = NNG_OK;
	unsigned made = 0;

	while (made < CROWD && err == NNG_OK) {
		err = nng_stream_listener_alloc(&world.listeners[made], "tcp://127.0.0.1:0");
		made += err == NNG_OK;
	}
	while (err != NNG_OK && made != 0) {
		nng_stream_listener_free(world.listeners[--made]);
	}
	return err;
}

static nng_err
run_listen(void)
{
	nng_err err = nng_stream_listener_listen(world.listeners[0]);

	return err == NNG_OK ? nng_stream_listener_get_int(world.listeners[0], NNG_OPT_BOUND_PORT, &world.port) : err;
}

static nng_err
run_dialers(void)
{
	char url[64];
	nng_err err = NNG_OK;
	unsigned made = 0;

	(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", world.port);
	while (made < CROWD && err == NNG_OK) {
		err = nng_stream_dialer_alloc(&world.dialers[made], url);
		made += err == NNG_OK;
	}
	while (err != NNG_OK && made != 0) {
		nng_stream_dialer_free(world.dialers[--made]);
	}
	return err;
}

static void
drop_ends(unsigned down_to)
{
	while (world.end_count > down_to) {
		nng_stream_free(world.ends[--world.end_count]);
	}
}

/* The stream that the operation made, if it made one, is kept. */
static void
keep_end(nng_aio *aio, nng_err result)
{
	if (result == NNG_OK) {
		world.ends[world.end_count++] = nng_aio_get_output(aio, 0);
	}
}

/* One connection; if one side finds no memory, the other is called off. */
static nng_err
connect_once(nng_stream_dialer *dialer)
{
	unsigned before = world.end_count;

	nng_stream_listener_accept(world.listeners[0], world.other);
	nng_stream_dialer_dial(dialer, world.aio);
	nng_err dialed = result_of(world.aio);
	if (dialed != NNG_OK) {
		nng_aio_cancel(world.other);
	}
	nng_err accepted = result_of(world.other);
	keep_end(world.aio, dialed);
	keep_end(world.other, accepted);
	if (dialed == NNG_OK && accepted == NNG_OK) {
		return NNG_OK;
	}
	drop_ends(before);
	return dialed != NNG_OK ? dialed : accepted;
}

/* An accept that found no memory leaves its connection in the backlog, where the next one would meet it. */
static nng_err
clear_backlog(nng_err err)
{
	if (err == NNG_OK) {
		return err;
	}
	for (;;) {
		nng_aio_set_timeout(world.other, 50);
		nng_stream_listener_accept(world.listeners[0], world.other);
		nng_err accepted = result_of(world.other);
		nng_aio_set_timeout(world.other, NNG_DURATION_INFINITE);
		if (accepted == NNG_ETIMEDOUT) {
			return err;
		}
		if (accepted != NNG_OK) {
			return accepted;
		}
		nng_stream_free(nng_aio_get_output(world.other, 0));
	}
}

static nng_err
run_connections(void)
{
	nng_err err = NNG_OK;

	for (unsigned i = 0; i < CROWD && err == NNG_OK; i++) {
		err = connect_once(world.dialers[i]);
	}
	if (err != NNG_OK) {
		drop_ends(0);
	}
	return clear_backlog(err);
}

/* Bytes go over every connection, and nothing of that allocates. */
static nng_err
run_transfers(void)
{
	for (unsigned i = 0; i < world.end_count; i += 2) {
		char out = (char) i, in = 0;
		nng_iov from = { &out, 1 }, to = { &in, 1 };
		(void) nng_aio_set_iov(world.aio, 1, &from);
		(void) nng_aio_set_iov(world.other, 1, &to);
		nng_stream_recv(world.ends[i + 1], world.other);
		nng_stream_send(world.ends[i], world.aio);
		if (result_of(world.aio) != NNG_OK || result_of(world.other) != NNG_OK || in != out) {
			return NNG_EINTERNAL;
		}
	}
	return NNG_OK;
}

/* A URL, a copy, a dialer and a listener made of it. */
static nng_err
run_urls(void)
{
	nng_url *url = NULL, *clone = NULL;
	nng_stream_dialer *dialer = NULL;
	nng_stream_listener *listener = NULL;
	nng_err err = nng_url_parse(&url, "tcp://me.example:80");

	err = err == NNG_OK ? nng_url_clone(&clone, url) : err;
	err = err == NNG_OK ? nng_stream_dialer_alloc_url(&dialer, clone) : err;
	err = err == NNG_OK ? nng_stream_listener_alloc_url(&listener, clone) : err;
	nng_stream_listener_free(listener);
	nng_stream_dialer_free(dialer);
	nng_url_free(clone);
	nng_url_free(url);
	return err;
}

/* Descriptors that are given away become streams: more than a chunk of records holds. What was not taken is closed
 * here. */
static nng_err
run_offers(void)
{
	nng_stream_listener *listener = NULL;
	nng_err err = nng_stream_listener_alloc(&listener, "socket://");
	unsigned before = world.end_count;

	for (unsigned i = 0; i < CROWD && err == NNG_OK; i++) {
		int fds[2];
		if (nng_socket_pair(fds) != NNG_OK) {
			return NNG_EINTERNAL;
		}
		(void) close(fds[1]);
		err = nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, fds[0]);
		if (err != NNG_OK) {
			(void) close(fds[0]);
			break;
		}
		nng_stream_listener_accept(listener, world.aio);
		err = result_of(world.aio);
		keep_end(world.aio, err);
	}
	drop_ends(before);
	nng_stream_listener_free(listener);
	return err;
}

/* ---- steps: UDP */

static nng_err
send_datagram(nng_udp *from, nng_udp *to)
{
	char out = 'x', in = 0;
	nng_iov source = { &out, 1 }, target = { &in, 1 };
	nng_sockaddr address, sender;

	(void) nng_udp_sockname(to, &address);
	(void) nng_aio_set_iov(world.aio, 1, &source);
	(void) nng_aio_set_iov(world.other, 1, &target);
	(void) nng_aio_set_input(world.aio, 0, &address);
	(void) nng_aio_set_input(world.other, 0, &sender);
	nng_udp_recv(to, world.other);
	nng_udp_send(from, world.aio);
	nng_err sent = result_of(world.aio);
	if (sent != NNG_OK) {
		nng_aio_cancel(world.other);
	}
	nng_err received = result_of(world.other);
	(void) nng_aio_set_input(world.aio, 0, NULL);
	(void) nng_aio_set_input(world.other, 0, NULL);
	if (sent == NNG_OK && received == NNG_OK && in != out) {
		return NNG_EINTERNAL;
	}
	return sent != NNG_OK ? sent : received;
}

/* A ring of sockets, each of which sends to the next one. */
static nng_err
run_udp(void)
{
	nng_sockaddr any = { .s_in = { .sa_family = NNG_AF_INET, .sa_addr = htonl(INADDR_LOOPBACK) } };
	nng_udp *udp[CROWD];
	nng_err err = NNG_OK;
	unsigned made = 0;

	while (made < CROWD && err == NNG_OK) {
		err = nng_udp_open(&udp[made], &any);
		made += err == NNG_OK;
	}
	for (unsigned i = 0; i < CROWD && err == NNG_OK; i++) {
		err = send_datagram(udp[i], udp[(i + 1) % CROWD]);
	}
	while (made != 0) {
		nng_udp_close(udp[--made]);
	}
	return err;
}

/* ---- steps: names */

/* Answers each question of the socket: type A with 127.0.0.1, any other with nothing. Ends with an empty message. */
static void *
serve_names(void *arg)
{
	static const uint8_t address[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1 };
	int fd = *(int *) arg;

	for (;;) {
		uint8_t m[512 + sizeof(address)];
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t got = recvfrom(fd, m, 512, 0, (struct sockaddr *) &from, &size);
		if (got < 12) {
			return NULL;
		}
		size_t end = 12;
		while (end < (size_t) got && m[end] != 0) {
			end += m[end] + 1u;
		}
		size_t length = end + 5; /* behind the question */
		if (length > (size_t) got) {
			continue;
		}
		m[2] = 0x81;
		m[3] = 0x80;
		memset(m + 6, 0, 6);
		if (m[end + 2] == 1) {
			m[7] = 1;
			memcpy(m + length, address, sizeof(address));
			length += sizeof(address);
		}
		(void) sendto(fd, m, length, 0, (struct sockaddr *) &from, size);
	}
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (
	    struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port, .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static pthread_t
names_open(void)
{
	struct sockaddr_in in = loopback(0);
	socklen_t size = sizeof(in);
	pthread_t thread;

	world.name_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(world.name_fd, (struct sockaddr *) &in, size) != 0 ||
	    getsockname(world.name_fd, (struct sockaddr *) &in, &size) != 0 ||
	    pthread_create(&thread, NULL, serve_names, &world.name_fd) != 0) {
		abort();
	}
	(void) snprintf(world.name_servers, sizeof(world.name_servers), "127.0.0.1:%d", ntohs(in.sin_port));
	pw_resolver_use_servers(world.name_servers);
	return thread;
}

static void
names_close(pthread_t thread)
{
	struct sockaddr_in in;
	socklen_t size = sizeof(in);

	(void) getsockname(world.name_fd, (struct sockaddr *) &in, &size);
	(void) sendto(world.name_fd, "", 0, 0, (struct sockaddr *) &in, size);
	(void) pthread_join(thread, NULL);
	(void) close(world.name_fd);
}

static nng_err
run_name(void)
{
	nng_stream_dialer *dialer;
	char url[64];

	(void) snprintf(url, sizeof(url), "tcp://yes.test:%d", world.port);
	nng_err err = nng_stream_dialer_alloc(&dialer, url);
	if (err != NNG_OK) {
		return err;
	}
	nng_aio_set_timeout(world.aio, LOOKUP_MS);
	err = connect_once(dialer);
	nng_aio_set_timeout(world.aio, NNG_DURATION_INFINITE);
	nng_stream_dialer_free(dialer);
	return clear_backlog(err);
}

/* c-ares can do without some of what it asks for (it then has no hosts file, say). */
static bool
name_goes_on(void)
{
	return world.place->calls == hook_count;
}

/* ---- the end */

static unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (dir != NULL && readdir(dir) != NULL) {
		count++;
	}
	if (dir != NULL) {
		(void) closedir(dir);
	}
	return count;
}

static nng_err
release_streams(void)
{
	drop_ends(0);
	for (unsigned i = 0; i < CROWD; i++) {
		nng_stream_dialer_free(world.dialers[i]);
		nng_stream_listener_free(world.listeners[i]);
	}
	return NNG_OK;
}

static nng_err
release_handles(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		nng_aio_free(world.handles[i]);
		nng_aio_reap(world.pinned[i]);
	}
	nng_aio_free(world.aio);
	nng_aio_free(world.other);
	return NNG_OK;
}

struct count {
	struct gate done;
	int shard;
	uint64_t slots;
};

/* On the shard, so that nothing of it is under way but this very call's handle. */
static void
take_count(void *arg)
{
	struct count *count = arg;
	struct pinwheel_shard_stats stats = stats_of(count->shard);

	count->slots = stats.slots_allocated - stats.slots_released - 1;
	gate_open(&count->done);
}

/* Slots in use, of an engine that has just been started: what the one before it has left. */
static nng_err
count_slots(void)
{
	world.slots = 0;
	for (int i = 0; i < pinwheel_shard_count(); i++) {
		struct count count = { .done = GATE, .shard = i };
		nng_err err = pinwheel_run_on(i, take_count, &count);
		if (err != NNG_OK) {
			return err;
		}
		gate_pass(&count.done, 1);
		world.slots += count.slots;
	}
	return NNG_OK;
}

static nng_err
run_fini(void)
{
	nng_fini();
	return pinwheel_shard_count() == 0 ? NNG_OK : NNG_EINTERNAL;
}

/* ---- the program */

static const struct step engine_steps[] = {
	{ "start", run_start, start_goes_on },
	{ "handles", run_handles, NULL },
	{ "handles of a shard", run_pinned, NULL },
	{ "two handles", run_pair, NULL },
	{ "functions to run", run_run_on, NULL },
	{ "operations", run_operations, NULL },
	{ "messages", run_message, NULL },
	{ "memory", run_memory, NULL },
	{ "threads", run_threads, NULL },
	{ "listeners", run_listeners, NULL },
	{ "listen", run_listen, NULL },
	{ "dialers", run_dialers, NULL },
	{ "connections", run_connections, NULL },
	{ "transfers", run_transfers, NULL },
	{ "URLs", run_urls, NULL },
	{ "descriptors given away", run_offers, NULL },
	{ "datagrams", run_udp, NULL },
	{ "a name", run_name, name_goes_on },
	{ "another name", run_name, name_goes_on },
	{ "release of streams", release_streams, NULL },
	{ "release of handles", release_handles, NULL },
	{ "end", run_fini, NULL },
	{ "start after it", run_start, start_goes_on },
	{ "slots in use", count_slots, NULL },
	{ "end of that", run_fini, NULL },
	{ "start of a lent shard", run_start_lent, start_goes_on },
	{ "first poll", run_poll, poll_goes_on },
	{ "handles of a lent shard", run_pinned, NULL },
	{ "two handles of it", run_pair, NULL },
	{ "its listeners", run_listeners, NULL },
	{ "its listen", run_listen, NULL },
	{ "its dialers", run_dialers, NULL },
	{ "its connections", run_connections, NULL },
	{ "its transfers", run_transfers, NULL },
	{ "its descriptors given away", run_offers, NULL },
	{ "its datagrams", run_udp, NULL },
	{ "a name there", run_name, name_goes_on },
	{ "release of its streams", release_streams, NULL },
	{ "end of the lent shard", run_fini, NULL },
	{ NULL, NULL, NULL },
};

static const struct step name_steps[] = {
	{ "start", run_start, NULL },
	{ "two handles", run_pair, NULL },
	{ "listeners", run_listeners, NULL },
	{ "listen", run_listen, NULL },
	{ "dialers", run_dialers, NULL },
	{ "a name", run_name, name_goes_on },
	{ "another name", run_name, name_goes_on },
	{ "release of streams", release_streams, NULL },
	{ "end", run_fini, NULL },
	{ NULL, NULL, NULL },
};

static const struct step cpu_steps[] = {
	{ "start", run_start, start_goes_on },
	{ "end", run_fini, NULL },
	{ NULL, NULL, NULL },
};

static const struct place engine = { "engine", pw_memory_calls, pw_memory_fail_after, false, engine_steps };
static const struct place engine_auto = { "engine, poller auto", pw_memory_calls, pw_memory_fail_after, true,
	engine_steps };
static const struct place names = { "c-ares", hook_count, names_fail, false, name_steps };
static const struct place cpus = { "CPU sets", hook_count, cpus_fail, false, cpu_steps };

/* What a step may say when the allocation fell into it: that there is no memory or, of a name and if it was c-ares
 * that had none, that its lookup failed. */
static bool
is_want(const struct step *step, nng_err err)
{
	return err == NNG_ENOMEM ||
	    (step->run == run_name && world.place->calls == hook_count &&
		(err == NNG_EADDRINVAL || err == NNG_ETIMEDOUT));
}

static void
trace(const struct step *step, const char *what)
{
	if (getenv("PW_SWEEP_TRACE") != NULL) {
		(void) fprintf(stderr, "%s: %s\n", step->name, what);
	}
}

static void
fail_step(const struct step *step, const char *what, nng_err err)
{
	(void) fprintf(stderr, "%s: step \"%s\": %s (%s)\n", world.place->name, step->name, what, nng_strerror(err));
	_exit(1);
}

static void
take_step(const struct step *step, uint64_t fails)
{
	uint64_t before = world.place->calls();
	nng_err err = step->run();
	bool struck = before <= fails && fails < world.place->calls();

	if (err != NNG_OK && (!struck || !is_want(step, err))) {
		fail_step(step, struck ? "failed, but not for want of memory" : "failed, and no allocation did", err);
	}
	if (err == NNG_OK && struck && (step->goes_on == NULL || !step->goes_on())) {
		fail_step(step, "an allocation failed, and nobody was told", err);
	}
	if (struck) {
		trace(step, err == NNG_OK ? "goes on without" : nng_strerror(err));
	}
	if (err != NNG_OK) {
		err = step->run();
		if (err != NNG_OK) {
			fail_step(step, "failed again, with memory", err);
		}
	}
}

static int
run_program(const struct place *place)
{
	const char *number = getenv(FAIL);
	int64_t n = strtoll(number, NULL, 10);
	uint64_t fails = place->calls() + (uint64_t) n;
	pthread_t servers = names_open();

	world.place = place;
	(void) setenv("RES_OPTIONS", "retrans:200", 1); /* ms until c-ares asks again */
	place->fail_call(n);
	for (const struct step *step = place->steps; step->name != NULL; step++) {
		take_step(step, fails);
	}
	bool struck = fails < place->calls();
	names_close(servers);
	(void) fprintf(stderr, "left: %u descriptors, %u slots\n", open_descriptors(), (unsigned) world.slots);
	(void) fflush(stderr);
	exit(struck ? STRUCK : BEYOND); /* not _exit: what looks for leaks looks now */
}

static int
run_engine(void)
{
	return run_program(&engine);
}

static int
run_engine_auto(void)
{
	return run_program(&engine_auto);
}

static int
run_names(void)
{
	return run_program(&names);
}

static int
run_cpus(void)
{
	return run_program(&cpus);
}

/* ---- the sweep */

/* The last line. */
static const char *
left_of(const struct child *child)
{
	const char *left = NULL;

	for (const char *at = strstr(child->err, "left: "); at != NULL; at = strstr(at + 1, "left: ")) {
		left = at;
	}
	return left != NULL ? left : "nothing was said";
}

static void
sweep(const char *scenario, unsigned least)
{
	struct child whole = child_run(scenario, FAIL, "1000000000");
	unsigned n = 0;

	child_expect_exit(&whole, BEYOND);
	for (bool struck = true; struck; n += struck) {
		char number[16];
		(void) snprintf(number, sizeof(number), "%u", n);
		struct child child = child_run(scenario, FAIL, number);
		struck = WIFEXITED(child.status) && WEXITSTATUS(child.status) == STRUCK;
		if (!struck) {
			child_expect_exit(&child, BEYOND);
		}
		if (strcmp(left_of(&child), left_of(&whole)) != 0) {
			print_error("allocation %u failed; %s", n, child.err);
		}
		assert_string_equal(left_of(&child), left_of(&whole));
	}
	print_message("%s: each of %u allocations has failed once\n", scenario, n);
	assert_true(n >= least);
}

/* Law: above. Method: the whole program, each allocation of the engine. */
static void
every_failed_allocation_of_the_engine_is_told(void **state)
{
	(void) state;
	sweep("engine", 30);
}

/* The same, where io_uring may be given up for epoll. */
static void
a_poller_without_memory_is_given_up_for_another(void **state)
{
	(void) state;
	sweep("engine_auto", 30);
}

/* The same of c-ares: a lookup fails, says so, and the next one works. */
static void
every_failed_allocation_of_a_lookup_is_told(void **state)
{
	(void) state;
	sweep("names", 20);
}

/* "A pinning that is refused is no error". */
static void
shard_without_memory_for_its_cpu_set_runs_unpinned(void **state)
{
	(void) state;
	sweep("cpus", 1);
}

int
main(int argc, char **argv)
{
	static const struct scenario scenarios[] = {
		{ "engine", run_engine },
		{ "engine_auto", run_engine_auto },
		{ "names", run_names },
		{ "cpus", run_cpus },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failed_allocation_of_the_engine_is_told),
		cmocka_unit_test(a_poller_without_memory_is_given_up_for_another),
		cmocka_unit_test(every_failed_allocation_of_a_lookup_is_told),
		cmocka_unit_test(shard_without_memory_for_its_cpu_set_runs_unpinned),
	};

	child_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

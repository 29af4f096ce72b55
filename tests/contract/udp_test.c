/* SPDX-License-Identifier: MIT
 *
 * udp_test.c: UDP sockets: datagrams and their addresses, order, cancel and deadline, errors, multicast, and the end,
 * over IPv4 and IPv6.
 *
 * Sending over the loopback never has to wait for room, so sendmsg is replaced here by one that can say EAGAIN.
 */
#include "stream.h"

#include <net/if.h>
#include <sys/syscall.h>

/* ---- the system call */

static pw_a32 refusals; /* so many sends say EAGAIN */
static pw_a32 refused;

ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	uint32_t left = pw_load_acquire_32(&refusals);

	while (left != 0 && !pw_cas_acq_rel_32(&refusals, &left, left - 1)) {
	}
	if (left != 0) {
		(void) pw_fetch_add_relaxed_32(&refused, 1);
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, msg, flags);
}

/* ---- what the tests share */

static nng_sockaddr
address_of(unsigned v6, uint16_t port)
{
	nng_sockaddr sa = { .s_in = { .sa_family = NNG_AF_INET, .sa_port = htons(port) } };
	if (v6 != 0) {
		sa = (nng_sockaddr){ .s_in6 = { .sa_family = NNG_AF_INET6, .sa_port = htons(port) } };
		sa.s_in6.sa_addr[15] = 1;
	} else {
		sa.s_in.sa_addr = htonl(INADDR_LOOPBACK);
	}
	return sa;
}

struct two {
	unsigned descriptors;
	unsigned v6;
	nng_udp *a;
	nng_udp *b;
	nng_sockaddr at_a;
	nng_sockaddr at_b;
	nng_aio *aio;
	nng_aio *other;
};

static nng_udp *
udp_open(nng_sockaddr *sa, nng_sockaddr *bound)
{
	nng_udp *udp = NULL;
	assert_int_equal(nng_udp_open(&udp, sa), NNG_OK);
	assert_non_null(udp);
	assert_int_equal(nng_udp_sockname(udp, bound), NNG_OK);
	assert_int_not_equal(nng_sockaddr_port(bound), 0);
	return udp;
}

static void
two_open(struct two *two, unsigned v6)
{
	nng_sockaddr any = address_of(v6, 0);
	*two = (struct two){ .descriptors = open_descriptors(), .v6 = v6, .aio = new_aio(), .other = new_aio() };
	two->a = udp_open(&any, &two->at_a);
	two->b = udp_open(&any, &two->at_b);
}

static void
two_close(struct two *two)
{
	nng_udp_close(two->a);
	nng_udp_close(two->b);
	nng_aio_free(two->aio);
	nng_aio_free(two->other);
	assert_int_equal(open_descriptors(), two->descriptors);
}

static void
over_both(void (*body)(struct two *two))
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct two two;
		two_open(&two, v6);
		body(&two);
		two_close(&two);
	}
}

static nng_err
send_to(nng_udp *udp, nng_aio *aio, nng_sockaddr *to, const void *buf, size_t size)
{
	set_buffer(aio, buf, size);
	assert_int_equal(nng_aio_set_input(aio, 0, to), NNG_OK);
	nng_udp_send(udp, aio);
	return result_of(aio);
}

static void
recv_start(nng_udp *udp, nng_aio *aio, nng_sockaddr *from, void *buf, size_t size)
{
	set_buffer(aio, buf, size);
	assert_int_equal(nng_aio_set_input(aio, 0, from), NNG_OK);
	nng_udp_recv(udp, aio);
}

static nng_err
recv_from(nng_udp *udp, nng_aio *aio, nng_sockaddr *from, void *buf, size_t size)
{
	recv_start(udp, aio, from, buf, size);
	return result_of(aio);
}

/* ---- datagrams */

/* A datagram arrives whole, with its sender's address; one of no bytes too. Method: every size of interest, before
 * and after the receive; an answer to the address that came. */
static void
datagrams(struct two *two)
{
	static const size_t sizes[] = { 0, 1, 2, 512, 1472, 1473, 9000, 65487 };
	static char out[65536], in[65536];

	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] = (char) (i * 2654435761u >> 24);
	}
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		nng_sockaddr from = { .s_family = NNG_AF_UNSPEC };
		memset(in, 0, sizeof(in));
		if (i % 2 == 0) { /* it waits */
			recv_start(two->b, two->other, &from, in, sizeof(in));
		}
		assert_int_equal(send_to(two->a, two->aio, &two->at_b, out, sizes[i]), NNG_OK);
		assert_int_equal(nng_aio_count(two->aio), sizes[i]);
		if (i % 2 != 0) { /* it is there */
			recv_start(two->b, two->other, &from, in, sizeof(in));
		}
		assert_int_equal(result_of(two->other), NNG_OK);
		assert_int_equal(nng_aio_count(two->other), sizes[i]);
		assert_memory_equal(in, out, sizes[i]);
		assert_int_equal(in[sizes[i]], 0);
		assert_true(nng_sockaddr_equal(&from, &two->at_a));
		assert_int_equal(send_to(two->b, two->aio, &from, "back", 4), NNG_OK);
		assert_int_equal(recv_from(two->a, two->other, &from, in, sizeof(in)), NNG_OK);
		assert_memory_equal(in, "back", 4);
		assert_true(nng_sockaddr_equal(&from, &two->at_b));
	}
}

static void
udp_carries_datagrams(void **state)
{
	(void) state;
	over_both(datagrams);
}

/* The iov is gathered and scattered; without an input 0 the sender is not told. */
static void
scattered(struct two *two)
{
	char in[4][4] = { "", "", "", "" };
	const nng_iov out_iov[4] = { { "ab", 2 }, { NULL, 0 }, { "cdefg", 5 }, { "h", 1 } };
	const nng_iov in_iov[4] = { { in[0], 1 }, { in[1], 3 }, { NULL, 0 }, { in[3], 4 } };

	assert_int_equal(nng_aio_set_iov(two->aio, 4, out_iov), NNG_OK);
	assert_int_equal(nng_aio_set_input(two->aio, 0, &two->at_b), NNG_OK);
	nng_udp_send(two->a, two->aio);
	assert_int_equal(result_of(two->aio), NNG_OK);
	assert_int_equal(nng_aio_count(two->aio), 8);
	assert_int_equal(nng_aio_set_iov(two->other, 4, in_iov), NNG_OK);
	assert_int_equal(nng_aio_set_input(two->other, 0, NULL), NNG_OK);
	nng_udp_recv(two->b, two->other);
	assert_int_equal(result_of(two->other), NNG_OK);
	assert_int_equal(nng_aio_count(two->other), 8);
	assert_memory_equal(in[0], "a", 1);
	assert_memory_equal(in[1], "bcd", 3);
	assert_memory_equal(in[3], "efgh", 4);

	assert_int_equal(nng_aio_set_iov(two->aio, 0, out_iov), NNG_OK); /* no iov at all: an empty datagram */
	nng_udp_send(two->a, two->aio);
	assert_int_equal(result_of(two->aio), NNG_OK);
	assert_int_equal(nng_aio_set_iov(two->other, 0, in_iov), NNG_OK);
	nng_udp_recv(two->b, two->other);
	assert_int_equal(result_of(two->other), NNG_OK);
	assert_int_equal(nng_aio_count(two->other), 0);
}

static void
udp_gathers_and_scatters(void **state)
{
	(void) state;
	over_both(scattered);
}

/* "If the UDP payload will not fit, then NNG_EMSGSIZE": the beginning is there, and the sender; the next one is
 * whole. */
static void
too_long(struct two *two)
{
	nng_sockaddr from = { .s_family = NNG_AF_UNSPEC };
	char in[4] = "";

	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "12345", 5), NNG_OK);
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "abcd", 4), NNG_OK);
	assert_int_equal(recv_from(two->b, two->other, &from, in, 4), NNG_EMSGSIZE);
	assert_int_equal(nng_aio_count(two->other), 0);
	assert_memory_equal(in, "1234", 4);
	assert_true(nng_sockaddr_equal(&from, &two->at_a));
	assert_int_equal(recv_from(two->b, two->other, &from, in, 4), NNG_OK);
	assert_int_equal(nng_aio_count(two->other), 4);
	assert_memory_equal(in, "abcd", 4);
}

static void
udp_too_long_is_emsgsize(void **state)
{
	(void) state;
	over_both(too_long);
}

/* What cannot be sent has its code: no address, another family's, a port of 0, too much. And the socket goes on. */
static void
bad_sends(struct two *two)
{
	static char huge[70000];
	nng_sockaddr path = { .s_ipc = { NNG_AF_IPC, "x" } }, other = address_of(1 - two->v6, 80);
	nng_sockaddr portless = two->at_b, none = { .s_family = NNG_AF_UNSPEC };
	nng_sockaddr *bad[] = { NULL, &path, &other, &portless, &none };
	char byte;

	portless.s_in.sa_port = 0; /* in both families at the same place */
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(send_to(two->a, two->aio, bad[i], "x", 1), NNG_EADDRINVAL);
		assert_int_equal(nng_aio_count(two->aio), 0);
	}
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, huge, sizeof(huge)), NNG_EMSGSIZE);
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "y", 1), NNG_OK);
	assert_int_equal(recv_from(two->b, two->other, NULL, &byte, 1), NNG_OK);
	assert_int_equal(byte, 'y');
}

static void
udp_bad_sends_have_their_codes(void **state)
{
	(void) state;
	over_both(bad_sends);
}

/* Each direction is served in the order of submission. Method: 64 receives on handles of both shards, then as many
 * sends; the nth receive got the nth datagram. */
#define MANY 64u

static void
in_order(struct two *two)
{
	struct consumer in[MANY], out[MANY];
	char from[MANY], to[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		in[i] = (struct consumer) CONSUMER;
		out[i] = (struct consumer) CONSUMER;
		consumer_open(&in[i], (int) (i / 2 % 2));
		consumer_open(&out[i], (int) (i % 2));
		from[i] = (char) ('A' + i);
		recv_start(two->b, in[i].aio, NULL, &to[i], 1);
	}
	for (unsigned i = 0; i < MANY; i++) {
		set_buffer(out[i].aio, &from[i], 1);
		assert_int_equal(nng_aio_set_input(out[i].aio, 0, &two->at_b), NNG_OK);
		nng_udp_send(two->a, out[i].aio);
	}
	for (unsigned i = 0; i < MANY; i++) {
		gate_pass(&out[i].called, 1);
		gate_pass(&in[i].called, 1);
		assert_int_equal(out[i].result, NNG_OK);
		assert_int_equal(in[i].result, NNG_OK);
		assert_int_equal(in[i].count, 1);
		assert_int_equal(to[i], from[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		nng_aio_free(in[i].aio);
		nng_aio_free(out[i].aio);
		assert_int_equal(consumer_calls(&in[i]), 1);
		assert_int_equal(consumer_calls(&out[i]), 1);
	}
}

static void
udp_serves_in_order(void **state)
{
	(void) state;
	over_both(in_order);
}

/* A send that finds no room waits for it, in order, and can be cancelled meanwhile. Method: a sendmsg that says
 * EAGAIN, a few times and for a while. */
static void
no_room(struct two *two)
{
	nng_aio *aio[3];
	char byte;

	pw_store_release_32(&refusals, 3);
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "w", 1), NNG_OK);
	assert_int_equal(pw_load_acquire_32(&refusals), 0);
	assert_int_equal(recv_from(two->b, two->other, NULL, &byte, 1), NNG_OK);
	assert_int_equal(byte, 'w');

	pw_store_release_32(&refusals, UINT32_MAX);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		set_buffer(aio[i], i == 1 ? "1" : i == 0 ? "0" : "2", 1);
		assert_int_equal(nng_aio_set_input(aio[i], 0, &two->at_b), NNG_OK);
		nng_udp_send(two->a, aio[i]);
	}
	nng_aio_cancel(aio[0]);
	assert_int_equal(result_of(aio[0]), NNG_ECANCELED);
	assert_true(nng_aio_busy(aio[1]) && nng_aio_busy(aio[2]));
	pw_store_release_32(&refusals, 0);
	assert_int_equal(result_of(aio[1]), NNG_OK);
	assert_int_equal(result_of(aio[2]), NNG_OK);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(recv_from(two->b, two->other, NULL, &byte, 1), NNG_OK);
		assert_int_equal(byte, '0' + (int) i);
	}
	pw_store_release_32(&refusals, UINT32_MAX);
	nng_udp_send(two->a, aio[1]);
	nng_udp_stop(two->a);
	pw_store_release_32(&refusals, 0);
	assert_int_equal(result_of(aio[1]), NNG_ECLOSED);
	for (unsigned i = 0; i < 3; i++) {
		nng_aio_free(aio[i]);
	}
}

static void
udp_send_waits_for_room(void **state)
{
	(void) state;
	over_both(no_room);
	assert_true(pw_load_relaxed_32(&refused) > 6);
}

/* ---- cancel and deadline */

/* Cancel, abort, deadline and stop work at every place of the queue, and the others go on. Method: five receives on
 * handles of both shards; then a zero timeout, and a stopped handle. */
static void
cancel_anywhere(struct two *two)
{
	nng_aio *aio[5];
	char to[5] = { 0 };

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		nng_aio_set_timeout(aio[i], i == 4 ? SOON_MS : NNG_DURATION_INFINITE);
		recv_start(two->b, aio[i], NULL, &to[i], 1);
	}
	nng_aio_cancel(aio[2]);
	assert_int_equal(result_of(aio[2]), NNG_ECANCELED);
	nng_aio_abort(aio[0], NNG_EPROTO);
	assert_int_equal(result_of(aio[0]), NNG_EPROTO);
	assert_int_equal(result_of(aio[4]), NNG_ETIMEDOUT);
	assert_true(nng_aio_busy(aio[1]) && nng_aio_busy(aio[3]));
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "y", 1), NNG_OK);
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "z", 1), NNG_OK);
	assert_int_equal(result_of(aio[1]), NNG_OK);
	assert_int_equal(result_of(aio[3]), NNG_OK);
	assert_int_equal(to[1], 'y');
	assert_int_equal(to[3], 'z');
	for (unsigned i = 0; i < 5;
	     i++) { /* the last one goes: the readiness request is called off, and asked for again */
		nng_aio_set_timeout(aio[i], NNG_DURATION_INFINITE);
		recv_start(two->b, aio[i], NULL, &to[i], 1);
		nng_aio_cancel(aio[i]);
		assert_int_equal(result_of(aio[i]), NNG_ECANCELED);
	}
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "w", 1), NNG_OK);
	assert_int_equal(recv_from(two->b, two->other, NULL, to, 1), NNG_OK);
	assert_int_equal(to[0], 'w');
	nng_aio_set_timeout(two->aio, NNG_DURATION_ZERO);
	assert_int_equal(send_to(two->a, two->aio, &two->at_b, "x", 1), NNG_ETIMEDOUT);
	assert_int_equal(recv_from(two->b, two->aio, NULL, to, 1), NNG_ETIMEDOUT);
	for (unsigned i = 0; i < 5; i++) {
		nng_aio_stop(aio[i]);
		recv_start(two->b, aio[i], NULL, &to[i], 1);
		assert_int_equal(result_of(aio[i]), NNG_ESTOPPED);
		nng_aio_free(aio[i]);
	}
}

static void
udp_cancels_anywhere_in_the_queue(void **state)
{
	(void) state;
	over_both(cancel_anywhere);
}

/* A cancel and a datagram at once: the operation has one of the two, and no datagram is lost to one that was
 * cancelled. Method: many rounds; what a cancelled receive did not take the next one gets. */
static void
cancel_race(struct two *two)
{
	unsigned taken = 0, sent = 0;
	unsigned char number;

	for (unsigned i = 0; i < 300; i++) {
		number = (unsigned char) sent;
		recv_start(two->b, two->other, NULL, &number, 1);
		unsigned char out = (unsigned char) sent;
		assert_int_equal(send_to(two->a, two->aio, &two->at_b, &out, 1), NNG_OK);
		sent++;
		nng_aio_cancel(two->other);
		if (result_of(two->other) == NNG_OK) {
			assert_int_equal(number, (unsigned char) taken);
			taken++;
		} else {
			assert_int_equal(nng_aio_result(two->other), NNG_ECANCELED);
		}
		if (sent - taken > 64) { /* the socket's buffer has its bounds */
			assert_int_equal(recv_from(two->b, two->other, NULL, &number, 1), NNG_OK);
			assert_int_equal(number, (unsigned char) taken);
			taken++;
		}
	}
	for (; taken < sent; taken++) {
		assert_int_equal(recv_from(two->b, two->other, NULL, &number, 1), NNG_OK);
		assert_int_equal(number, (unsigned char) taken);
	}
}

static void
udp_loses_no_datagram_to_a_cancel(void **state)
{
	(void) state;
	over_both(cancel_race);
}

/* ---- opening */

/* What cannot be opened has its code, writes nothing and leaves nothing open. */
static void
udp_open_has_its_codes(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_sockaddr path = { .s_ipc = { NNG_AF_IPC, "x" } }, none = { .s_family = NNG_AF_UNSPEC }, bound;
	nng_sockaddr strange = address_of(0, 0), loopback = address_of(0, 0);
	nng_udp *udp = NULL;

	(void) state;
	strange.s_in.sa_addr = htonl(0xc6336401); /* 198.51.100.1, of documentation */
	assert_int_equal(nng_udp_open(&udp, &path), NNG_EADDRINVAL);
	assert_int_equal(nng_udp_open(&udp, &none), NNG_EADDRINVAL);
	assert_int_equal(nng_udp_open(&udp, &strange), NNG_EADDRINVAL);
	assert_int_equal(nng_udp_open(&udp, NULL), NNG_EADDRINVAL);
	assert_int_equal(nng_udp_open(NULL, &loopback), NNG_EINVAL);
	nng_udp *first = udp_open(&loopback, &bound);
	assert_int_equal(nng_udp_open(&udp, &bound), NNG_EADDRINUSE);
	struct rlimit before = exhaust_descriptors();
	nng_err no_files = nng_udp_open(&udp, &loopback);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(no_files, NNG_ENOFILES);
	assert_null(udp);
	nng_udp_close(first);
	assert_int_equal(open_descriptors(), descriptors);
}

/* Out of memory is NNG_ENOMEM from open, with nothing left. Method: the Nth allocation fails, until none does; each
 * on fresh records. */
static void
udp_out_of_memory_is_enomem(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	nng_sockaddr loopback = address_of(0, 0);
	unsigned failures = 0;

	(void) state;
	config.shards = 2;
	for (bool whole = false; !whole; failures += !whole) {
		nng_udp *udp = NULL;
		pw_fleet_forget();
		assert_int_equal(pinwheel_start(&config), NNG_OK);
		unsigned descriptors = open_descriptors();
		pw_memory_fail_after(failures);
		nng_err error = nng_udp_open(&udp, &loopback);
		pw_memory_fail_after(-1);
		whole = error == NNG_OK;
		assert_true(whole || (error == NNG_ENOMEM && udp == NULL));
		nng_udp_close(udp);
		assert_int_equal(open_descriptors(), descriptors);
		nng_fini();
	}
	assert_true(failures > 0);
}

/* ---- the end */

/* Own close: what is pending ends with NNG_ECLOSED, and what comes later; stop twice; the name is gone. */
static void
own_close(struct two *two)
{
	nng_aio *aio[4];
	nng_sockaddr name;
	char byte;

	unsigned descriptors = open_descriptors();
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		recv_start(two->b, aio[i], NULL, &byte, 1);
	}
	nng_udp_stop(two->b);
	assert_int_equal(open_descriptors(), descriptors - 1);
	nng_udp_stop(two->b);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(result_of(aio[i]), NNG_ECLOSED);
		nng_aio_free(aio[i]);
	}
	assert_int_equal(recv_from(two->b, two->aio, NULL, &byte, 1), NNG_ECLOSED);
	assert_int_equal(send_to(two->b, two->aio, &two->at_a, "x", 1), NNG_ECLOSED);
	assert_int_equal(nng_udp_sockname(two->b, &name), NNG_ECLOSED);
	assert_int_equal(nng_udp_multicast_membership(two->b, &two->at_a, true), NNG_EADDRINVAL); /* no group */
	recv_start(two->a, two->aio, NULL, &byte, 1);
	nng_udp_close(two->a); /* stops implicitly */
	assert_int_equal(result_of(two->aio), NNG_ECLOSED);
	two->a = NULL;
}

static void
udp_own_close_is_eclosed(void **state)
{
	(void) state;
	over_both(own_close);
}

static void
stop_here(void *arg)
{
	nng_udp_stop(arg);
}

static int
home_of(const nng_udp *udp)
{
	return (int) pw_fleet_index(udp->end.shard->settings.id);
}

struct look {
	const nng_udp *udp;
	bool in_flight;
};

static void
look_here(void *arg)
{
	struct look *look = arg;
	look->in_flight = look->udp->file.in.in_flight;
}

/* R26: stop in a callback of the same shard with something pending is misuse and has no effect; of another shard it
 * waits; with nothing pending any more, once the poller has let go, it is done at once. */
static void
udp_stop_inside_a_callback(void **state)
{
	struct two two;
	char byte;

	(void) state;
	two_open(&two, 0);
	int here = home_of(two.b);
	recv_start(two.b, two.other, NULL, &byte, 1);
	shard_pass(here);
	shard_run(here, stop_here, two.b);
	(void) misuse_expect("nng_udp_stop", NULL, "");
	assert_true(nng_aio_busy(two.other));
	assert_int_equal(send_to(two.a, two.aio, &two.at_b, "x", 1), NNG_OK);
	assert_int_equal(result_of(two.other), NNG_OK);
	recv_start(two.b, two.other, NULL, &byte, 1);
	shard_run(1 - here, stop_here, two.b);
	assert_int_equal(result_of(two.other), NNG_ECLOSED);

	struct look look = { two.a, true };
	recv_start(two.a, two.other, NULL, &byte, 1);
	nng_aio_cancel(two.other);
	assert_int_equal(result_of(two.other), NNG_ECANCELED);
	while (look.in_flight) {
		shard_run(home_of(two.a), look_here, &look);
	}
	shard_run(home_of(two.a), stop_here, two.a);
	assert_int_equal(recv_from(two.a, two.other, NULL, &byte, 1), NNG_ECLOSED);
	assert_int_equal(misuse_take().count, 0);
	two_close(&two);
}

static void
close_arg(struct consumer *consumer)
{
	nng_udp_close(consumer->arg);
}

/* Close inside a callback never blocks, and releases later. Method: in the callback of its own receive, on both
 * shards, with another receive pending. */
static void
udp_close_inside_a_callback(void **state)
{
	(void) state;
	for (int home = 0; home < 2; home++) {
		struct consumer consumer = CONSUMER;
		struct two two;
		char byte;
		two_open(&two, 0);
		unsigned descriptors = open_descriptors();
		consumer_open(&consumer, home);
		consumer.step = close_arg;
		consumer.arg = two.b;
		recv_start(two.b, consumer.aio, NULL, &byte, 1);
		recv_start(two.b, two.other, NULL, &byte, 1);
		assert_int_equal(send_to(two.a, two.aio, &two.at_b, "x", 1), NNG_OK);
		gate_pass(&consumer.called, 1);
		assert_int_equal(result_of(two.other), NNG_ECLOSED);
		await_descriptors(descriptors - 1);
		two.b = NULL;
		nng_aio_free(consumer.aio);
		two_close(&two);
	}
}

/* NULL: close and stop have no effect, everything else is misuse. */
static void
udp_null_has_its_rules(void **state)
{
	struct two two;

	(void) state;
	nng_udp_close(NULL);
	nng_udp_stop(NULL);
	assert_int_equal(misuse_take().count, 0);
	two_open(&two, 0);
	nng_udp_send(NULL, two.aio);
	(void) misuse_expect("nng_udp_send", NULL, "");
	nng_udp_recv(two.a, NULL);
	(void) misuse_expect("nng_udp_recv", NULL, "");
	assert_int_equal(nng_udp_sockname(NULL, &two.at_a), NNG_EINVAL);
	(void) misuse_expect("nng_udp_sockname", NULL, "");
	assert_int_equal(nng_udp_multicast_membership(NULL, &two.at_a, true), NNG_EINVAL);
	(void) misuse_expect("nng_udp_multicast_membership", NULL, "");
	assert_int_equal(nng_udp_sockname(two.a, NULL), NNG_EINVAL);
	assert_int_equal(nng_udp_multicast_membership(two.a, NULL, true), NNG_EINVAL);
	assert_int_equal(misuse_take().count, 0);
	two_close(&two);
}

/* nng_fini with a socket left and a receive pending: it ends with NNG_ESTOPPED, the descriptor is closed, the handle
 * may be closed afterwards, then or in the next engine's time. */
static void
udp_survives_nng_fini(void **state)
{
	(void) state;
	for (unsigned later = 0; later < 2; later++) {
		struct two two;
		char byte;
		assert_int_equal(start_shards(2), NNG_OK);
		two_open(&two, 0);
		unsigned descriptors = open_descriptors();
		recv_start(two.b, two.other, NULL, &byte, 1);
		nng_fini();
		assert_true(open_descriptors() <= descriptors - 2);
		assert_int_equal(nng_aio_result(two.other), NNG_ESTOPPED);
		if (later == 1) {
			assert_int_equal(start_shards(1), NNG_OK);
			nng_aio *aio = new_aio();
			assert_int_equal(recv_from(two.a, aio, NULL, &byte, 1), NNG_ECLOSED);
			nng_aio_free(aio);
		}
		nng_udp_close(two.a);
		nng_udp_close(two.b);
		nng_aio_free(two.aio);
		nng_aio_free(two.other);
		if (later == 1) {
			two_open(&two, 0); /* and the records serve again */
			datagrams(&two);
			two_close(&two);
			nng_fini();
		}
	}
}

/* ---- multicast */

/* A group's datagrams come between join and leave, and not before or after. Method: a socket on every address, one
 * that sends to the group, each datagram followed by one to the socket itself, so that what did not come is known not
 * to. Where the machine has no route for the group (ENODEV, a network that is not reachable): skipped. */
static bool
group_step(struct two *two, nng_sockaddr *group, nng_sockaddr *direct, bool expected)
{
	char in = 0;

	if (send_to(two->a, two->aio, group, "g", 1) != NNG_OK) {
		return false;
	}
	assert_int_equal(send_to(two->a, two->aio, direct, "d", 1), NNG_OK);
	if (expected) {
		assert_int_equal(recv_from(two->b, two->other, NULL, &in, 1), NNG_OK);
		assert_int_equal(in, 'g');
	}
	assert_int_equal(recv_from(two->b, two->other, NULL, &in, 1), NNG_OK);
	assert_int_equal(in, 'd');
	return true;
}

static bool
group_whole(struct two *two, nng_sockaddr *group, nng_sockaddr *direct)
{
	nng_err joined = nng_udp_multicast_membership(two->b, group, true);

	if (joined != NNG_OK) {
		print_message("join: %s\n", nng_strerror(joined));
		assert_int_equal(joined, NNG_ESYSERR + ENODEV);
		return false;
	}
	if (!group_step(two, group, direct, true)) {
		print_message("send: %s\n", nng_strerror(nng_aio_result(two->aio)));
		assert_int_equal(nng_udp_multicast_membership(two->b, group, false), NNG_OK);
		return false;
	}
	assert_int_equal(nng_udp_multicast_membership(two->b, group, true), NNG_EADDRINUSE);
	assert_int_equal(nng_udp_multicast_membership(two->b, group, false), NNG_OK);
	assert_int_equal(nng_udp_multicast_membership(two->b, group, false), NNG_EADDRINVAL);
	return group_step(two, group, direct, false);
}

/* Any link of the machine that carries the group. */
static bool
group_somewhere(struct two *two, nng_sockaddr *group, nng_sockaddr *direct)
{
	bool whole = two->v6 == 0 && group_whole(two, group, direct);
	struct if_nameindex *links = if_nameindex();

	assert_non_null(links);
	for (unsigned i = 0; two->v6 != 0 && !whole && links[i].if_index != 0; i++) {
		group->s_in6.sa_scope = links[i].if_index;
		whole = group_whole(two, group, direct);
		print_message("%s: %s\n", links[i].if_name, whole ? "carries it" : "does not");
	}
	if_freenameindex(links);
	return whole;
}

static void
udp_joins_and_leaves_groups(void **state)
{
	unsigned skipped = 0;

	(void) state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct two two = { .descriptors = open_descriptors(),
			.v6 = v6,
			.aio = new_aio(),
			.other = new_aio() };
		nng_sockaddr any = address_of(v6, 0), group = address_of(v6, 1), direct = address_of(v6, 0);
		if (v6 == 0) {
			any.s_in.sa_addr = 0;
			group.s_in.sa_addr = htonl(0xefff1234); /* 239.255.18.52 */
		} else {
			any.s_in6.sa_addr[15] = 0;
			memcpy(group.s_in6.sa_addr, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\x12\x34", 16);
		}
		two.a = udp_open(&any, &two.at_a);
		two.b = udp_open(&any, &two.at_b);
		direct.s_in.sa_port = group.s_in.sa_port = two.at_b.s_in.sa_port;
		skipped += !group_somewhere(&two, &group, &direct);
		assert_int_equal(nng_udp_multicast_membership(two.b, &direct, true), NNG_EADDRINVAL); /* no group */
		group = address_of(1 - v6, 1);
		assert_int_equal(nng_udp_multicast_membership(two.b, &group, true), NNG_EADDRINVAL);
		two_close(&two);
	}
	if (skipped == 2) {
		skip();
	}
}

/* Has the link joined the group? As the kernel lists them: a line for each link, "1\tlo ...", then its groups in hex. */
static bool
link_has_group(const char *link, const nng_sockaddr *group)
{
	char line[256], device[64] = "", wanted[16];
	FILE *file = fopen("/proc/net/igmp", "re");
	bool found = false;

	assert_non_null(file);
	(void) snprintf(wanted, sizeof(wanted), "%08X", group->s_in.sa_addr);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] != '\t') {
			(void) sscanf(line, "%*d %63[^ \t:]", device);
		} else {
			found = found || (strcmp(device, link) == 0 && strstr(line, wanted) != NULL);
		}
	}
	(void) fclose(file);
	return found;
}

/* A group is joined on the link of the address that the socket is bound to: on the loopback, which is always there.
 * */
static void
udp_joins_on_its_own_link(void **state)
{
	struct two two;
	nng_sockaddr group = address_of(0, 1);

	(void) state;
	two_open(&two, 0);
	group.s_in.sa_addr = htonl(0xefff1235);
	assert_false(link_has_group("lo", &group));
	assert_int_equal(nng_udp_multicast_membership(two.a, &group, true), NNG_OK);
	assert_true(link_has_group("lo", &group));
	assert_int_equal(nng_udp_multicast_membership(two.a, &group, true), NNG_EADDRINUSE);
	assert_int_equal(nng_udp_multicast_membership(two.a, &group, false), NNG_OK);
	assert_false(link_has_group("lo", &group));
	assert_int_equal(nng_udp_multicast_membership(two.a, &group, false), NNG_EADDRINVAL);
	nng_udp_stop(two.a);
	assert_int_equal(nng_udp_multicast_membership(two.a, &group, true), NNG_ECLOSED);
	two_close(&two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(udp_carries_datagrams),
		TEST_TWO(udp_gathers_and_scatters),
		TEST_TWO(udp_too_long_is_emsgsize),
		TEST_TWO(udp_bad_sends_have_their_codes),
		TEST_TWO(udp_serves_in_order),
		TEST_TWO(udp_send_waits_for_room),
		TEST_TWO(udp_cancels_anywhere_in_the_queue),
		TEST_TWO(udp_loses_no_datagram_to_a_cancel),
		TEST_TWO(udp_open_has_its_codes),
		cmocka_unit_test(udp_out_of_memory_is_enomem),
		TEST_TWO(udp_own_close_is_eclosed),
		TEST_RECORDED(udp_stop_inside_a_callback),
		TEST_TWO(udp_close_inside_a_callback),
		TEST_RECORDED(udp_null_has_its_rules),
		cmocka_unit_test(udp_survives_nng_fini),
		TEST_TWO(udp_joins_and_leaves_groups),
		TEST_TWO(udp_joins_on_its_own_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

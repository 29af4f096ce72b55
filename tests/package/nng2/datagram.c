/* SPDX-License-Identifier: MIT
 *
 * datagram.c: a program for NNG 2.x, C and C++: messages whose bodies go out and come in as datagrams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

static void
must(const char *what, int rv)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror((nng_err) rv));
		exit(1);
	}
}

static void
must_be(const char *what, int truth)
{
	must(what, truth ? NNG_OK : NNG_EINTERNAL);
}

/* A message with a header of 4 bytes and a body of text between two numbers. */
static nng_msg *
compose(const char *text)
{
	nng_msg *msg;
	nng_pipe none = NNG_PIPE_INITIALIZER;

	must("nng_msg_alloc", nng_msg_alloc(&msg, 0));
	must("nng_msg_reserve", nng_msg_reserve(msg, 100));
	must_be("nng_msg_capacity", nng_msg_capacity(msg) >= 100);
	must("nng_msg_append", nng_msg_append(msg, text, strlen(text)));
	must("nng_msg_insert_u16", nng_msg_insert_u16(msg, (uint16_t) strlen(text)));
	must("nng_msg_append_u64", nng_msg_append_u64(msg, UINT64_C(0x0123456789abcdef)));
	must("nng_msg_header_append_u32", nng_msg_header_append_u32(msg, 0x80000001u));
	nng_msg_set_pipe(msg, none);
	must_be("nng_msg_get_pipe", nng_msg_get_pipe(msg).id == none.id);
	return msg;
}

static void
take_apart(nng_msg *msg)
{
	uint16_t length = 0;
	uint64_t mark = 0;

	must("nng_msg_trim_u16", nng_msg_trim_u16(msg, &length));
	must("nng_msg_chop_u64", nng_msg_chop_u64(msg, &mark));
	must_be("mark", mark == UINT64_C(0x0123456789abcdef) && nng_msg_len(msg) == length);
	printf("%u bytes: %.*s\n", (unsigned) length, (int) nng_msg_len(msg), (char *) nng_msg_body(msg));
}

/* The body of `out` goes from one socket to the other, and is the body of what is returned. */
static nng_msg *
carry(nng_udp *from, nng_udp *to, nng_msg *out)
{
	nng_aio *send_aio, *recv_aio;
	nng_sockaddr to_addr, from_addr, sender;
	nng_iov iov;
	nng_msg *in;

	must("nng_udp_sockname", nng_udp_sockname(to, &to_addr));
	must("nng_udp_sockname", nng_udp_sockname(from, &from_addr));
	must("nng_msg_alloc", nng_msg_alloc(&in, 1500));
	must("nng_aio_alloc", nng_aio_alloc(&send_aio, NULL, NULL));
	must("nng_aio_alloc", nng_aio_alloc(&recv_aio, NULL, NULL));

	iov.iov_buf = nng_msg_body(in);
	iov.iov_len = nng_msg_len(in);
	must("nng_aio_set_iov", nng_aio_set_iov(recv_aio, 1, &iov));
	must("nng_aio_set_input", nng_aio_set_input(recv_aio, 0, &sender));
	nng_aio_set_timeout(recv_aio, 10000);
	nng_udp_recv(to, recv_aio);

	iov.iov_buf = nng_msg_body(out);
	iov.iov_len = nng_msg_len(out);
	must("nng_aio_set_iov", nng_aio_set_iov(send_aio, 1, &iov));
	must("nng_aio_set_input", nng_aio_set_input(send_aio, 0, &to_addr));
	nng_udp_send(from, send_aio);

	nng_aio_wait(send_aio);
	must("nng_udp_send", nng_aio_result(send_aio));
	nng_aio_wait(recv_aio);
	must("nng_udp_recv", nng_aio_result(recv_aio));
	must_be("sender", nng_sockaddr_equal(&sender, &from_addr));
	must("nng_msg_realloc", nng_msg_realloc(in, nng_aio_count(recv_aio)));
	nng_aio_free(send_aio);
	nng_aio_free(recv_aio);
	return in;
}

int
main(void)
{
	nng_udp *a, *b;
	nng_sockaddr addr;
	nng_msg *msg, *dup, *got;
	nng_aio *aio;
	char *copy;

	must("nng_init", nng_init(NULL));
	memset(&addr, 0, sizeof(addr));
	addr.s_in.sa_family = NNG_AF_INET;
	memcpy(&addr.s_in.sa_addr, "\x7f\0\0\1", 4);
	must("nng_udp_open", nng_udp_open(&a, &addr));
	must("nng_udp_open", nng_udp_open(&b, &addr));

	msg = compose("two sockets");
	must("nng_msg_dup", nng_msg_dup(&dup, msg));
	nng_msg_free(msg);
	must_be("nng_msg_header_len", nng_msg_header_len(dup) == 4);
	got = carry(a, b, dup);
	take_apart(got);
	nng_msg_free(got);
	nng_msg_free(dup);

	/* Nobody sends: the receive ends by its time. */
	must("nng_aio_alloc", nng_aio_alloc(&aio, NULL, NULL));
	char byte;
	nng_iov iov = { &byte, 1 };
	must("nng_aio_set_iov", nng_aio_set_iov(aio, 1, &iov));
	nng_aio_set_timeout(aio, 10);
	nng_udp_recv(a, aio);
	nng_aio_wait(aio);
	printf("nothing more: %d\n", nng_aio_result(aio) == NNG_ETIMEDOUT);
	nng_aio_free(aio);

	copy = nng_strdup("the end");
	must_be("nng_strdup", copy != NULL);
	printf("%s\n", copy);
	nng_strfree(copy);
	void *block = nng_alloc(100);
	must_be("nng_alloc", block != NULL);
	nng_free(block, 100);
	nng_udp_close(a);
	nng_udp_close(b);
	nng_fini();
	return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * stream.c: a program for NNG 2.x, C and C++: a stream between a listener and a dialer that are made of URLs, driven by
 * callbacks, with options and addresses. It knows of no other library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

static void
fatal(const char *what, int rv)
{
	fprintf(stderr, "%s: %s\n", what, nng_strerror((nng_err) rv));
	exit(1);
}

static void
must(const char *what, int rv)
{
	if (rv != NNG_OK) {
		fatal(what, rv);
	}
}

enum state {
	ACCEPT,
	RECV,
	SEND
};

struct server {
	nng_stream_listener *listener;
	nng_stream *stream;
	nng_aio *aio;
	enum state state;
	char buf[64];
};

/* Upper case comes back. */
static void
server_cb(void *arg)
{
	struct server *s = (struct server *) arg;
	nng_iov iov;

	switch (nng_aio_result(s->aio)) {
	case NNG_OK:
		break;
	case NNG_ECONNSHUT:
	case NNG_ECONNRESET:
	case NNG_ECLOSED:
	case NNG_ESTOPPED:
	case NNG_ECANCELED:
		return;
	default:
		fatal("server", nng_aio_result(s->aio));
	}
	if (s->state == ACCEPT) {
		s->stream = (nng_stream *) nng_aio_get_output(s->aio, 0);
	}
	if (s->state == RECV) {
		iov.iov_buf = s->buf;
		iov.iov_len = nng_aio_count(s->aio);
		for (size_t i = 0; i < iov.iov_len; i++) {
			s->buf[i] = (char) (s->buf[i] >= 'a' && s->buf[i] <= 'z' ? s->buf[i] - 'a' + 'A' : s->buf[i]);
		}
		s->state = SEND;
		must("nng_aio_set_iov", nng_aio_set_iov(s->aio, 1, &iov));
		nng_stream_send(s->stream, s->aio);
	} else {
		iov.iov_buf = s->buf;
		iov.iov_len = sizeof(s->buf);
		s->state = RECV;
		must("nng_aio_set_iov", nng_aio_set_iov(s->aio, 1, &iov));
		nng_stream_recv(s->stream, s->aio);
	}
}

static void
show_url(const nng_url *url)
{
	char text[128];

	if (nng_url_sprintf(text, sizeof(text), url) >= (int) sizeof(text)) {
		fatal("nng_url_sprintf", NNG_EMSGSIZE);
	}
	if (strncmp(text, nng_url_scheme(url), strlen(nng_url_scheme(url))) != 0) {
		fatal(text, NNG_EINVAL);
	}
	printf("scheme %s, host %s, path \"%s\", query %s, fragment %s, user %s\n", nng_url_scheme(url),
	    nng_url_hostname(url), nng_url_path(url), nng_url_query(url) == NULL ? "none" : nng_url_query(url),
	    nng_url_fragment(url) == NULL ? "none" : nng_url_fragment(url),
	    nng_url_userinfo(url) == NULL ? "none" : nng_url_userinfo(url));
}

static void
talk(nng_stream *stream, nng_aio *aio)
{
	char one[] = "hello, ", two[] = "stream", got[64];
	nng_iov iov[2];
	size_t want = strlen(one) + strlen(two), have = 0;

	iov[0].iov_buf = one;
	iov[0].iov_len = strlen(one);
	iov[1].iov_buf = two;
	iov[1].iov_len = strlen(two);
	must("nng_aio_set_iov", nng_aio_set_iov(aio, 2, iov));
	nng_stream_send(stream, aio);
	nng_aio_wait(aio);
	must("nng_stream_send", nng_aio_result(aio));
	if (nng_aio_count(aio) != want) {
		fatal("a short send", NNG_EINTERNAL);
	}
	while (have < want) {
		iov[0].iov_buf = got + have;
		iov[0].iov_len = sizeof(got) - have;
		must("nng_aio_set_iov", nng_aio_set_iov(aio, 1, iov));
		nng_stream_recv(stream, aio);
		nng_aio_wait(aio);
		must("nng_stream_recv", nng_aio_result(aio));
		have += nng_aio_count(aio);
	}
	printf("%.*s\n", (int) have, got);
}

static void
show_options(nng_stream *stream, nng_stream_dialer *dialer)
{
	char here[NNG_MAXADDRSTRLEN];
	const nng_sockaddr *self = nng_stream_self_addr(stream), *peer = nng_stream_peer_addr(stream);
	bool on = false;
	int number = 0;

	must("NNG_OPT_TCP_NODELAY", nng_stream_get_bool(stream, NNG_OPT_TCP_NODELAY, &on));
	printf("nodelay %s", on ? "on" : "off");
	must("NNG_OPT_TCP_KEEPALIVE", nng_stream_dialer_get_bool(dialer, NNG_OPT_TCP_KEEPALIVE, &on));
	printf(", keepalive %s", on ? "on" : "off");
	printf(", wrong type: %d", nng_stream_get_int(stream, NNG_OPT_TCP_NODELAY, &number) == NNG_EBADTYPE);
	printf(", no such option: %d\n", nng_stream_get_int(stream, "bogus", &number) == NNG_ENOTSUP);
	if (self->s_family != NNG_AF_INET || peer->s_in.sa_family != NNG_AF_INET || nng_sockaddr_equal(self, peer) ||
	    nng_sockaddr_port(self) == nng_sockaddr_port(peer) || nng_sockaddr_hash(self) == 0) {
		fatal("addresses", NNG_EADDRINVAL);
	}
	printf("%.*s\n", (int) strcspn(nng_str_sockaddr(self, here, sizeof(here)), ":"), here);
}

int
main(void)
{
	struct server s;
	nng_url *url = NULL, *copy = NULL;
	nng_stream_dialer *dialer = NULL;
	nng_aio *aio = NULL;
	int port = 0;

	memset(&s, 0, sizeof(s));
	must("nng_init", nng_init(NULL));
	must("nng_url_parse", nng_url_parse(&url, "tcp://127.0.0.1:0"));
	must("nng_url_clone", nng_url_clone(&copy, url));
	show_url(copy);
	nng_url_free(copy);

	must("nng_aio_alloc", nng_aio_alloc(&s.aio, server_cb, &s));
	must("nng_stream_listener_alloc_url", nng_stream_listener_alloc_url(&s.listener, url));
	must("nng_stream_listener_listen", nng_stream_listener_listen(s.listener));
	must("NNG_OPT_BOUND_PORT", nng_stream_listener_get_int(s.listener, NNG_OPT_BOUND_PORT, &port));
	nng_url_resolve_port(url, (uint32_t) port);
	if (nng_url_port(url) != (uint32_t) port) {
		fatal("nng_url_resolve_port", NNG_EINVAL);
	}
	nng_stream_listener_accept(s.listener, s.aio);

	must("nng_aio_alloc", nng_aio_alloc(&aio, NULL, NULL));
	nng_aio_set_timeout(aio, 10000);
	must("nng_stream_dialer_alloc_url", nng_stream_dialer_alloc_url(&dialer, url));
	must("NNG_OPT_TCP_KEEPALIVE", nng_stream_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE, true));
	nng_stream_dialer_dial(dialer, aio);
	nng_aio_wait(aio);
	must("nng_stream_dialer_dial", nng_aio_result(aio));
	nng_stream *stream = (nng_stream *) nng_aio_get_output(aio, 0);
	talk(stream, aio);
	show_options(stream, dialer);

	nng_stream_close(stream);
	nng_stream_stop(stream);
	nng_stream_free(stream);
	nng_aio_stop(s.aio);
	nng_stream_stop(s.stream);
	nng_stream_free(s.stream);
	nng_stream_dialer_close(dialer);
	nng_stream_dialer_free(dialer);
	nng_stream_listener_stop(s.listener);
	nng_stream_listener_free(s.listener);
	nng_aio_free(s.aio);
	nng_aio_free(aio);
	nng_url_free(url);
	nng_fini();
	return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * tls.c: what NNG's stream interface has for TLS and for another system's security descriptors, and pinwheel has not.
 *
 * Each function answers NNG_ENOTSUP and writes nothing. Any thread; wait-free.
 */
#include <nng/nng.h>

nng_err
nng_stream_peer_cert(nng_stream *stream, nng_tls_cert **certp)
{
	(void) stream;
	(void) certp;
	return NNG_ENOTSUP;
}

nng_err
nng_stream_dialer_get_tls(nng_stream_dialer *dialer, nng_tls_config **configp)
{
	(void) dialer;
	(void) configp;
	return NNG_ENOTSUP;
}

nng_err
nng_stream_dialer_set_tls(nng_stream_dialer *dialer, nng_tls_config *config)
{
	(void) dialer;
	(void) config;
	return NNG_ENOTSUP;
}

nng_err
nng_stream_listener_get_tls(nng_stream_listener *listener, nng_tls_config **configp)
{
	(void) listener;
	(void) configp;
	return NNG_ENOTSUP;
}

nng_err
nng_stream_listener_set_tls(nng_stream_listener *listener, nng_tls_config *config)
{
	(void) listener;
	(void) config;
	return NNG_ENOTSUP;
}

nng_err
nng_stream_listener_set_security_descriptor(nng_stream_listener *listener, void *descriptor)
{
	(void) listener;
	(void) descriptor;
	return NNG_ENOTSUP;
}

/* SPDX-License-Identifier: MIT
 *
 * coexist_theirs.c: the half that sees libnng's <nng/nng.h>. libnng calls its own public functions through the PLT
 * (nng_recvmsg its nng_aio_alloc), so it would run into ours if we exported the same names.
 */
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>

#include <string.h>

#include "coexist.h"

static int
round_trip(nng_socket a, nng_socket b)
{
	nng_msg *msg;
	int err;

	if ((err = nng_listen(a, "inproc://coexist", NULL, 0)) != 0 ||
	    (err = nng_dial(b, "inproc://coexist", NULL, 0)) != 0) {
		return err;
	}
	if ((err = nng_msg_alloc(&msg, 0)) != 0 || (err = nng_msg_append(msg, "pinwheel", 9)) != 0) {
		return err;
	}
	if ((err = nng_sendmsg(a, msg, 0)) != 0 || (err = nng_recvmsg(b, &msg, 0)) != 0) {
		return err;
	}
	err = strcmp(nng_msg_body(msg), "pinwheel") == 0 ? 0 : NNG_EINTERNAL;
	nng_msg_free(msg);
	return err;
}

const char *
coexist_theirs(void)
{
	nng_socket a, b;
	nng_aio *aio;

	if (strcmp(nng_version(), "1.") < 0 || nng_aio_alloc(&aio, NULL, NULL) != 0) {
		return "libnng: no aio";
	}
	nng_sleep_aio(1, aio);
	nng_aio_wait(aio);
	int slept = nng_aio_result(aio);
	nng_aio_free(aio);
	if (slept != 0) {
		return "libnng: a sleep failed";
	}
	if (nng_pair1_open(&a) != 0 || nng_pair1_open(&b) != 0) {
		return "libnng: no sockets";
	}
	int err = round_trip(a, b);
	nng_close(a);
	nng_close(b);
	return err == 0 ? NULL : nng_strerror(err);
}

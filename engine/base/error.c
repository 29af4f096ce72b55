/* SPDX-License-Identifier: MIT
 *
 * error.c: what a code is called, and which code an errno value is.
 *
 * Any thread, any value; nothing here blocks or allocates. The only state is one buffer of 48 bytes per thread, for
 * the texts that carry a number.
 *
 * I1  No two codes have one text: ours differ from each other and from every text that the system has for an errno
 *     value (tests/unit/error_test.c compares them all), and a made text carries its number.
 * I2  Every constant of the enum but the two ranges has a text in the table (the test walks the enum's values; a hole
 *     would be answered as an unknown number).
 *
 * The system's texts come from strerrordesc_np (glibc 2.32): constant strings, the same in every locale, which is why
 * nothing here needs strerror_r's buffer or can race with setlocale.
 */
#include "engine/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ERROR_TEXT_SIZE 48 /* the longest: "Transport error -2147483648" */

static const char *const error_text[] = {
	[NNG_OK] = "No error",
	[NNG_EINTR] = "Operation interrupted",
	[NNG_ENOMEM] = "Out of memory",
	[NNG_EINVAL] = "Argument not valid",
	[NNG_EBUSY] = "In use",
	[NNG_ETIMEDOUT] = "Deadline passed",
	[NNG_ECONNREFUSED] = "Peer refused the connection",
	[NNG_ECLOSED] = "Object is closed",
	[NNG_EAGAIN] = "Not now, try again",
	[NNG_ENOTSUP] = "Not supported here",
	[NNG_EADDRINUSE] = "Address in use",
	[NNG_ESTATE] = "Wrong state for this call",
	[NNG_ENOENT] = "Not found",
	[NNG_EPROTO] = "Protocol violated",
	[NNG_EUNREACHABLE] = "Peer cannot be reached",
	[NNG_EADDRINVAL] = "Address not valid",
	[NNG_EPERM] = "Not permitted",
	[NNG_EMSGSIZE] = "Message too large",
	[NNG_ECONNABORTED] = "Connection aborted",
	[NNG_ECONNRESET] = "Connection reset",
	[NNG_ECANCELED] = "Operation was cancelled",
	[NNG_ENOFILES] = "Out of file descriptors",
	[NNG_ENOSPC] = "Out of space",
	[NNG_EEXIST] = "Exists already",
	[NNG_EREADONLY] = "Can only be read",
	[NNG_EWRITEONLY] = "Can only be written",
	[NNG_ECRYPTO] = "Cryptography failed",
	[NNG_EPEERAUTH] = "Peer not authenticated",
	[NNG_ENOARG] = "Option lacks its argument",
	[NNG_EAMBIGUOUS] = "Option is ambiguous",
	[NNG_EBADTYPE] = "Value has the wrong type",
	[NNG_ECONNSHUT] = "Peer has ended the stream",
};

static const char *
numbered_text(const char *kind, int number)
{
	static _Thread_local char text[ERROR_TEXT_SIZE];
	(void) snprintf(text, sizeof(text), "%s %d", kind, number);
	return text;
}

const char *
nng_strerror(nng_err err)
{
	if (err >= 0 && (size_t) err < sizeof(error_text) / sizeof(error_text[0])) {
		return error_text[err];
	}
	if (err == NNG_ESTOPPED) {
		return "Handle is stopped";
	}
	if (err == NNG_EINTERNAL) {
		return "Internal error";
	}
	if (err >= NNG_ETRANERR) {
		return numbered_text("Transport error", err - NNG_ETRANERR);
	}
	if (err >= NNG_ESYSERR) {
		const char *text = strerrordesc_np(err - NNG_ESYSERR);
		return text != NULL ? text : numbered_text("Unknown system error", err - NNG_ESYSERR);
	}
	return numbered_text("Unknown error", err);
}

nng_err
pw_error_from_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return NNG_OK;
	case EINTR:
		return NNG_EINTR;
	case ENOMEM:
	case ENOBUFS:
		return NNG_ENOMEM;
	case EINVAL:
	case ENAMETOOLONG:
	case ENOTSOCK:
		return NNG_EINVAL;
	case EBUSY:
	case EISCONN:
		return NNG_EBUSY;
	case ETIMEDOUT:
	case ETIME:
		return NNG_ETIMEDOUT;
	case ECONNREFUSED:
		return NNG_ECONNREFUSED;
	case EPIPE:
	case ENOTCONN:
	case ESHUTDOWN:
		return NNG_ECLOSED;
	case EAGAIN: /* EWOULDBLOCK is the same number on Linux */
		return NNG_EAGAIN;
	case ENOTSUP: /* EOPNOTSUPP too */
	case ENOSYS:
	case ENOPROTOOPT:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
		return NNG_ENOTSUP;
	case EADDRINUSE:
		return NNG_EADDRINUSE;
	case ENOENT:
		return NNG_ENOENT;
	case EPROTO:
		return NNG_EPROTO;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return NNG_EUNREACHABLE;
	case EADDRNOTAVAIL:
		return NNG_EADDRINVAL;
	case EACCES:
	case EPERM:
		return NNG_EPERM;
	case EMSGSIZE:
		return NNG_EMSGSIZE;
	case ECONNABORTED:
		return NNG_ECONNABORTED;
	case ECONNRESET:
		return NNG_ECONNRESET;
	case ECANCELED:
		return NNG_ECANCELED;
	case EMFILE:
	case ENFILE:
		return NNG_ENOFILES;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return NNG_ENOSPC;
	case EEXIST:
		return NNG_EEXIST;
	default:
		return NNG_ESYSERR + errnum;
	}
}

nng_err
pw_error_from_connect_errno(int errnum)
{
	return errnum == ENOENT ? NNG_ECONNREFUSED : pw_error_from_errno(errnum);
}

/* SPDX-License-Identifier: MIT
 *
 * msg.h: what the library and its tests see of a message beyond <nng/nng.h>. See msg.c for its book.
 */
#ifndef PINWHEEL_MSG_MSG_H
#define PINWHEEL_MSG_MSG_H

#include <stdint.h>

#include <nng/nng.h>

#define PW_MSG_SIZE 256u /* of a message with a body of up to PW_MSG_BODY_OWN bytes, all in all */
#define PW_MSG_HEADER_MAX 64u
#define PW_MSG_HEADROOM 32u  /* before a fresh body, at least */
#define PW_MSG_BODY_OWN 128u /* the longest fresh body that lies in the message itself */

/* How many messages the body's memory serves, this one included; 1 too for a body in the message itself. */
uint32_t pw_msg_holders(const nng_msg *msg);
/* Debug: every invariant of msg.c; aborts with the number of the broken one. */
void pw_msg_check(const nng_msg *msg);

#endif

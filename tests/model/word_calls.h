/* SPDX-License-Identifier: MIT
 *
 * word_calls.h: the engine's own arithmetic of the state word, for the verifiers that spin makes of the models.
 *
 * A Promela int has 32 bits, the word 64. A model's word keeps state and flags where they are (bits 0 to 12), two bits
 * of the epoch (13, 14) and a small number for the reason (from 16 on). Two bits: a model ends before its epoch comes
 * round; in the engine that takes 2^16 moments.
 */
#ifndef PINWHEEL_MODEL_WORD_CALLS_H
#define PINWHEEL_MODEL_WORD_CALLS_H

#include "engine/shard/word.h"

#define MODEL_FLAGS 0x1fffu
#define MODEL_EPOCH_SHIFT 13u
#define MODEL_EPOCH_MASK 0x6000u
#define MODEL_LOW_MASK (MODEL_FLAGS | MODEL_EPOCH_MASK)
#define MODEL_REASON_SHIFT 16u

static inline uint64_t
model_unpack(int word)
{
	uint64_t bits = (uint64_t) (unsigned) word;
	return (bits & MODEL_FLAGS) | ((bits & MODEL_EPOCH_MASK) >> MODEL_EPOCH_SHIFT) * PW_EPOCH_ONE |
	    (bits >> MODEL_REASON_SHIFT) << 32;
}

static inline int
model_pack(uint64_t word)
{
	uint64_t epoch = (word & PW_EPOCH_MASK) / PW_EPOCH_ONE;
	return (int) ((word & MODEL_FLAGS) | (epoch << MODEL_EPOCH_SHIFT & MODEL_EPOCH_MASK) |
	    (uint64_t) (uint32_t) pw_word_reason(word) << MODEL_REASON_SHIFT);
}

/* ---- what calls.pml calls */

static inline int
model_busy(int word)
{
	return pw_word_busy(model_unpack(word));
}

static inline int
model_startable(int word, int in_callback)
{
	return pw_word_startable(model_unpack(word), in_callback != 0);
}

static inline int
model_finishable(int word)
{
	return pw_word_finishable(model_unpack(word));
}

static inline int
model_abortable(int word)
{
	return pw_word_abortable(model_unpack(word));
}

static inline int
model_releasable(int word)
{
	return pw_word_releasable(model_unpack(word));
}

static inline int
model_begun(int word, int state)
{
	return model_pack(pw_word_begun(model_unpack(word), (enum pw_state) state));
}

static inline int
model_refused(int word, int state, int reason)
{
	return model_pack(pw_word_refused(model_unpack(word), (enum pw_state) state, reason));
}

static inline int
model_ended(int word, int state, int result)
{
	return model_pack(pw_word_ended(model_unpack(word), (enum pw_state) state, result));
}

static inline int
model_aborted(int word, int reason)
{
	return model_pack(pw_word_aborted(model_unpack(word), reason));
}

static inline int
model_aborted_at_home(int word, int sleep, int reason)
{
	return model_pack(pw_word_aborted_at_home(model_unpack(word), sleep != 0, reason));
}

static inline int
model_with_state(int word, int state)
{
	return model_pack(pw_word_with_state(model_unpack(word), (enum pw_state) state));
}

static inline int
model_with_reason(int word, int reason)
{
	return model_pack(pw_word_with_reason(model_unpack(word), reason));
}

static inline int
model_quiet(int word)
{
	return model_pack(pw_word_quiet(model_unpack(word)));
}

#endif

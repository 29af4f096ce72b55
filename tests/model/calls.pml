/* SPDX-License-Identifier: MIT
 *
 * calls.pml: the functions of engine/shard/word.h, for Promela. Each takes the word in `after`, and yields a value or
 * leaves the new word there; a model computes the next word as the engine does, then stores it, all in one atomic step
 * (the engine's compare-and-swap that succeeds). Between steps `after` is 0.
 *
 * (spin takes a call in an expression for a side effect unless the function's name is in parentheses, and does not
 * replace an inline's parameters within C, hence `of_state` and `of_reason`.)
 */
#include "word.pml"

c_decl {
\#include "word_calls.h"
}

int after;
byte of_state, of_reason;

#define IS_BUSY c_expr { (model_busy)(now.after) }
#define FINISHABLE c_expr { (model_finishable)(now.after) }
#define ABORTABLE c_expr { (model_abortable)(now.after) }
#define RELEASABLE c_expr { (model_releasable)(now.after) }
#define STARTABLE c_expr { (model_startable)(now.after, 0) }
#define STARTABLE_INSIDE c_expr { (model_startable)(now.after, 1) }

inline begun(state)
{
	of_state = state;
	after = c_expr { (model_begun)(now.after, now.of_state) };
	of_state = 0
}

inline refused(state, reason)
{
	of_state = state;
	of_reason = reason;
	after = c_expr { (model_refused)(now.after, now.of_state, now.of_reason) };
	of_state = 0;
	of_reason = 0
}

inline finished(state, result)
{
	of_state = state;
	of_reason = result;
	after = c_expr { (model_ended)(now.after, now.of_state, now.of_reason) };
	of_state = 0;
	of_reason = 0
}

inline aborted(reason)
{
	of_reason = reason;
	after = c_expr { (model_aborted)(now.after, now.of_reason) };
	of_reason = 0
}

inline aborted_at_home(sleep, reason)
{
	of_state = sleep;
	of_reason = reason;
	after = c_expr { (model_aborted_at_home)(now.after, now.of_state, now.of_reason) };
	of_state = 0;
	of_reason = 0
}

inline with_state(state)
{
	of_state = state;
	after = c_expr { (model_with_state)(now.after, now.of_state) };
	of_state = 0
}

inline with_reason(reason)
{
	of_reason = reason;
	after = c_expr { (model_with_reason)(now.after, now.of_reason) };
	of_reason = 0
}

inline quiet()
{
	after = c_expr { (model_quiet)(now.after) }
}

/* Why an operation ended. */
#define OK 0
#define CANCELED 1
#define ESTOPPED 2
#define TIMEDOUT 3

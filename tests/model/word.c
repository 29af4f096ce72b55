/* SPDX-License-Identifier: MIT
 *
 * word.c: prints what engine/shard/word.h says of the state word, in Promela: its constants, and the table of allowed
 * transitions (pw_word_allowed) as ALLOWED(from, to). scripts/model compiles and runs it before every run, so the
 * models have no table of their own that could grow old. The arithmetic itself the verifiers take from word.h
 * directly, through word_calls.h.
 */
#include <stdio.h>

#include "word_calls.h"

static const char *const state_name[] = {
	[PW_IDLE] = "IDLE",
	[PW_OPEN] = "OPEN",
	[PW_BUSY] = "BUSY",
	[PW_DEFERRED] = "DEFERRED",
	[PW_CANCELING] = "CANCELING",
	[PW_DONE] = "DONE",
};

#define STATES (sizeof state_name / sizeof state_name[0])

static void
print_allowed(void)
{
	(void) printf("#define ALLOWED(from, to) ( \\\n");
	for (unsigned from = 0; from < STATES; from++) {
		(void) printf("\t%s(from) == %s && (false", from == 0 ? "" : "|| ", state_name[from]);
		for (unsigned to = 0; to < STATES; to++) {
			if (pw_word_allowed((enum pw_state) from, (enum pw_state) to)) {
				(void) printf(" || (to) == %s", state_name[to]);
			}
		}
		(void) printf(") \\\n");
	}
	(void) printf("\t)\n");
}

int
main(void)
{
	static const struct {
		const char *name;
		uint64_t bit;
	} flag[] = {
		{ "RUNNING", PW_RUNNING }, { "STOPPED", PW_STOPPED }, { "FREEING", PW_FREEING }, { "ABORT", PW_ABORT },
		{ "QUEUED", PW_QUEUED }, { "ARM", PW_ARM }, { "DESTROY", PW_DESTROY }, { "TIMER", PW_TIMER },
		{ "WAITERS", PW_WAITERS }, { "LAP", PW_LAP },
	};
	(void) printf("/* Made from engine/shard/word.h by tests/model/word.c. */\n");
	for (unsigned i = 0; i < STATES; i++) {
		(void) printf("#define %s %u\n", state_name[i], i);
	}
	(void) printf("#define STATE(w) ((w) & %u)\n", (unsigned) PW_STATE_MASK);
	for (unsigned i = 0; i < sizeof flag / sizeof flag[0]; i++) {
		if (flag[i].bit > MODEL_FLAGS) {
			(void) fprintf(stderr, "word_calls.h has no room for %s\n", flag[i].name);
			return 1;
		}
		(void) printf("#define %s %u\n", flag[i].name, (unsigned) flag[i].bit);
	}
	(void) printf("#define REASON(w) ((w) >> %u)\n", MODEL_REASON_SHIFT);
	(void) printf("#define LOW(w) ((w) & %u)\n", MODEL_LOW_MASK);
	(void) printf("#define EPOCH_MASK %u\n#define EPOCH_ONE %u\n", MODEL_EPOCH_MASK, 1u << MODEL_EPOCH_SHIFT);
	(void) printf("#define EPOCH(w) ((w) & EPOCH_MASK)\n");
	print_allowed();
	return 0;
}

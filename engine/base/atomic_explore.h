/* SPDX-License-Identifier: MIT
 *
 * atomic_explore.h: the back end of atomic.h for tests/explore: every access is a scheduling point.
 *
 * What it is: the verbs of atomic.h on plain values. All fibers of the explorer run on one thread, so a plain
 * access is atomic; between pw_explore_point and pw_explore_done nothing else runs. Memory is sequentially
 * consistent: the order in a verb's name is part of the trace and changes nothing here.
 * What it is not: something for several threads. Include only through atomic.h.
 *
 * Each verb tells the explorer what it is about to touch (which may run other fibers first), touches it, and then
 * tells whether it wrote and which value the word has. A CAS that fails is a load. Outside a fiber (a scenario's
 * setup and check) the calls do nothing.
 */
#ifndef PINWHEEL_BASE_ATOMIC_EXPLORE_H
#define PINWHEEL_BASE_ATOMIC_EXPLORE_H

enum pw_explore_kind {
	PW_EXPLORE_LOAD,
	PW_EXPLORE_STORE,
	PW_EXPLORE_RMW,
	PW_EXPLORE_FENCE,
};

void pw_explore_point(enum pw_explore_kind kind, const volatile void *address, const char *verb);
void pw_explore_done(bool wrote, uint64_t value);
/* The caller spins: it cannot go on until another fiber has written something. */
void pw_explore_yield(void);

typedef struct {
	uint64_t v;
} pw_a64;
typedef struct {
	uint32_t v;
} pw_a32;
typedef struct {
	uint16_t v;
} pw_a16;
typedef struct {
	uint8_t v;
} pw_a8;
typedef struct {
	void *v;
} pw_aptr;

/* Always inlined, so that the explorer's trace names the function that uses the verb. */
#define PW_EXPLORE_VERB static inline __attribute__((always_inline))

#define PW_EXPLORE_LOAD_VERB(NAME, W, A, T)                                                                          \
	PW_EXPLORE_VERB T pw_##NAME##_##W(const A *a)                                                                \
	{                                                                                                            \
		pw_explore_point(PW_EXPLORE_LOAD, a, #NAME);                                                         \
		T v = a->v;                                                                                          \
		pw_explore_done(false, (uint64_t) v);                                                                \
		return v;                                                                                            \
	}

#define PW_EXPLORE_STORE_VERB(NAME, W, A, T)                                                                         \
	PW_EXPLORE_VERB void pw_##NAME##_##W(A *a, T v)                                                              \
	{                                                                                                            \
		pw_explore_point(PW_EXPLORE_STORE, a, #NAME);                                                        \
		a->v = v;                                                                                            \
		pw_explore_done(true, (uint64_t) v);                                                                 \
	}

#define PW_EXPLORE_EXCHANGE_VERB(NAME, W, A, T)                                                                      \
	PW_EXPLORE_VERB T pw_##NAME##_##W(A *a, T v)                                                                 \
	{                                                                                                            \
		pw_explore_point(PW_EXPLORE_RMW, a, #NAME);                                                          \
		T old = a->v;                                                                                        \
		a->v = v;                                                                                            \
		pw_explore_done(true, (uint64_t) v);                                                                 \
		return old;                                                                                          \
	}

#define PW_EXPLORE_CAS_VERB(NAME, W, A, T)                                                                           \
	PW_EXPLORE_VERB bool pw_##NAME##_##W(A *a, T *expected, T desired)                                           \
	{                                                                                                            \
		pw_explore_point(PW_EXPLORE_RMW, a, #NAME);                                                          \
		T old = a->v;                                                                                        \
		bool won = old == *expected;                                                                         \
		if (won) {                                                                                           \
			a->v = desired;                                                                              \
		}                                                                                                    \
		*expected = old;                                                                                     \
		pw_explore_done(won, (uint64_t) a->v);                                                               \
		return won;                                                                                          \
	}

#define PW_EXPLORE_FETCH_VERB(NAME, OP, W, A, T)                                                                     \
	PW_EXPLORE_VERB T pw_##NAME##_##W(A *a, T v)                                                                 \
	{                                                                                                            \
		pw_explore_point(PW_EXPLORE_RMW, a, #NAME);                                                          \
		T old = a->v;                                                                                        \
		a->v = old OP v;                                                                                     \
		pw_explore_done(true, (uint64_t) a->v);                                                              \
		return old;                                                                                          \
	}

#define PW_EXPLORE_LOAD_STORE(W, A, T)                                                                               \
	PW_EXPLORE_LOAD_VERB(load_relaxed, W, A, T)                                                                  \
	PW_EXPLORE_LOAD_VERB(load_acquire, W, A, T)                                                                  \
	PW_EXPLORE_STORE_VERB(store_relaxed, W, A, T)                                                                \
	PW_EXPLORE_STORE_VERB(store_release, W, A, T)

#define PW_EXPLORE_RMW_VERBS(W, A, T)                                                                                \
	PW_EXPLORE_EXCHANGE_VERB(exchange_acq_rel, W, A, T)                                                          \
	PW_EXPLORE_EXCHANGE_VERB(exchange_acquire, W, A, T)                                                          \
	PW_EXPLORE_CAS_VERB(cas_relaxed, W, A, T)                                                                    \
	PW_EXPLORE_CAS_VERB(cas_acquire, W, A, T)                                                                    \
	PW_EXPLORE_CAS_VERB(cas_release, W, A, T)                                                                    \
	PW_EXPLORE_CAS_VERB(cas_acq_rel, W, A, T)

#define PW_EXPLORE_ARITHMETIC(W, A, T)                                                                               \
	PW_EXPLORE_FETCH_VERB(fetch_add_relaxed, +, W, A, T)                                                         \
	PW_EXPLORE_FETCH_VERB(fetch_or_acq_rel, |, W, A, T)                                                          \
	PW_EXPLORE_FETCH_VERB(fetch_and_acq_rel, &, W, A, T)

PW_EXPLORE_LOAD_STORE(8, pw_a8, uint8_t)
PW_EXPLORE_LOAD_STORE(16, pw_a16, uint16_t)
PW_EXPLORE_LOAD_STORE(32, pw_a32, uint32_t)
PW_EXPLORE_LOAD_STORE(64, pw_a64, uint64_t)
PW_EXPLORE_LOAD_STORE(ptr, pw_aptr, void *)
PW_EXPLORE_RMW_VERBS(32, pw_a32, uint32_t)
PW_EXPLORE_RMW_VERBS(64, pw_a64, uint64_t)
PW_EXPLORE_RMW_VERBS(ptr, pw_aptr, void *)
PW_EXPLORE_ARITHMETIC(32, pw_a32, uint32_t)
PW_EXPLORE_ARITHMETIC(64, pw_a64, uint64_t)

PW_EXPLORE_VERB void
pw_fence_seq_cst(void)
{
	pw_explore_point(PW_EXPLORE_FENCE, 0, "fence_seq_cst");
}

PW_EXPLORE_VERB void
pw_fence_after_rmw(void)
{
	pw_explore_point(PW_EXPLORE_FENCE, 0, "fence_after_rmw");
}

PW_EXPLORE_VERB void
pw_cpu_relax(void)
{
	pw_explore_yield();
}

#endif

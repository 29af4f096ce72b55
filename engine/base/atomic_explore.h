/* SPDX-License-Identifier: MIT
 *
 * atomic_explore.h: the back end of atomic.h for tests/explore: every access is a scheduling point.
 *
 * What it is: the verbs of atomic.h as calls of the explorer, each with the order that its name says. What a load may
 * read, and when a store is seen, is decided there, by the memory model of the run (tests/explore/memory.c).
 * What it is not: something for several threads: all fibers of the explorer run on one. Include only through atomic.h.
 *
 * A CAS that fails is a load. Outside a fiber (a scenario's setup and check) the calls touch memory and do nothing else.
 */
#ifndef PINWHEEL_BASE_ATOMIC_EXPLORE_H
#define PINWHEEL_BASE_ATOMIC_EXPLORE_H

enum pw_explore_order {
	PW_EXPLORE_RELAXED = 0,
	PW_EXPLORE_ACQUIRE = 1,
	PW_EXPLORE_RELEASE = 2,
	PW_EXPLORE_ACQ_REL = 3,
};

uint64_t pw_explore_load(const volatile void *address, unsigned size, enum pw_explore_order order, const char *verb);
void pw_explore_store(volatile void *address, unsigned size, uint64_t value, enum pw_explore_order order,
    const char *verb);
/* The value that the word has, and then what becomes of it; nothing else runs between the two calls. */
uint64_t pw_explore_rmw(volatile void *address, unsigned size, enum pw_explore_order order, const char *verb);
void pw_explore_rmw_done(bool wrote, uint64_t value);
/* As atomic.h: *expected becomes what was found. It may find an older value, and fail. */
bool pw_explore_cas(volatile void *address, unsigned size, uint64_t *expected, uint64_t desired,
    enum pw_explore_order order, const char *verb);
void pw_explore_fence(const char *verb);
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

#define PW_EXPLORE_LOAD_VERB(NAME, ORDER, W, A, T)                                                                   \
	PW_EXPLORE_VERB T pw_##NAME##_##W(const A *a)                                                                \
	{                                                                                                            \
		return (T) (PW_EXPLORE_UINT_##W) pw_explore_load(&a->v, sizeof(a->v), ORDER, #NAME);                 \
	}

#define PW_EXPLORE_STORE_VERB(NAME, ORDER, W, A, T)                                                                  \
	PW_EXPLORE_VERB void pw_##NAME##_##W(A *a, T v)                                                              \
	{                                                                                                            \
		pw_explore_store(&a->v, sizeof(a->v), (PW_EXPLORE_UINT_##W) v, ORDER, #NAME);                        \
	}

#define PW_EXPLORE_EXCHANGE_VERB(NAME, ORDER, W, A, T)                                                               \
	PW_EXPLORE_VERB T pw_##NAME##_##W(A *a, T v)                                                                 \
	{                                                                                                            \
		T old = (T) (PW_EXPLORE_UINT_##W) pw_explore_rmw(&a->v, sizeof(a->v), ORDER, #NAME);                 \
		pw_explore_rmw_done(true, (PW_EXPLORE_UINT_##W) v);                                                  \
		return old;                                                                                          \
	}

#define PW_EXPLORE_CAS_VERB(NAME, ORDER, W, A, T)                                                                    \
	PW_EXPLORE_VERB bool pw_##NAME##_##W(A *a, T *expected, T desired)                                           \
	{                                                                                                            \
		uint64_t found = (PW_EXPLORE_UINT_##W) *expected;                                                    \
		bool won =                                                                                           \
		    pw_explore_cas(&a->v, sizeof(a->v), &found, (PW_EXPLORE_UINT_##W) desired, ORDER, #NAME);        \
		*expected = (T) (PW_EXPLORE_UINT_##W) found;                                                         \
		return won;                                                                                          \
	}

#define PW_EXPLORE_FETCH_VERB(NAME, OP, ORDER, W, A, T)                                                              \
	PW_EXPLORE_VERB T pw_##NAME##_##W(A *a, T v)                                                                 \
	{                                                                                                            \
		T old = (T) pw_explore_rmw(&a->v, sizeof(a->v), ORDER, #NAME);                                       \
		pw_explore_rmw_done(true, (T) (old OP v));                                                           \
		return old;                                                                                          \
	}

#define PW_EXPLORE_UINT_8 uint8_t
#define PW_EXPLORE_UINT_16 uint16_t
#define PW_EXPLORE_UINT_32 uint32_t
#define PW_EXPLORE_UINT_64 uint64_t
#define PW_EXPLORE_UINT_ptr uintptr_t

#define PW_EXPLORE_LOAD_STORE(W, A, T)                                                                               \
	PW_EXPLORE_LOAD_VERB(load_relaxed, PW_EXPLORE_RELAXED, W, A, T)                                              \
	PW_EXPLORE_LOAD_VERB(load_acquire, PW_EXPLORE_ACQUIRE, W, A, T)                                              \
	PW_EXPLORE_STORE_VERB(store_relaxed, PW_EXPLORE_RELAXED, W, A, T)                                            \
	PW_EXPLORE_STORE_VERB(store_release, PW_EXPLORE_RELEASE, W, A, T)

#define PW_EXPLORE_RMW_VERBS(W, A, T)                                                                                \
	PW_EXPLORE_EXCHANGE_VERB(exchange_acq_rel, PW_EXPLORE_ACQ_REL, W, A, T)                                      \
	PW_EXPLORE_EXCHANGE_VERB(exchange_acquire, PW_EXPLORE_ACQUIRE, W, A, T)                                      \
	PW_EXPLORE_CAS_VERB(cas_relaxed, PW_EXPLORE_RELAXED, W, A, T)                                                \
	PW_EXPLORE_CAS_VERB(cas_acquire, PW_EXPLORE_ACQUIRE, W, A, T)                                                \
	PW_EXPLORE_CAS_VERB(cas_release, PW_EXPLORE_RELEASE, W, A, T)                                                \
	PW_EXPLORE_CAS_VERB(cas_acq_rel, PW_EXPLORE_ACQ_REL, W, A, T)

#define PW_EXPLORE_ARITHMETIC(W, A, T)                                                                               \
	PW_EXPLORE_FETCH_VERB(fetch_add_relaxed, +, PW_EXPLORE_RELAXED, W, A, T)                                     \
	PW_EXPLORE_FETCH_VERB(fetch_or_acq_rel, |, PW_EXPLORE_ACQ_REL, W, A, T)                                      \
	PW_EXPLORE_FETCH_VERB(fetch_and_acq_rel, &, PW_EXPLORE_ACQ_REL, W, A, T)

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
	pw_explore_fence("fence_seq_cst");
}

PW_EXPLORE_VERB void
pw_fence_after_rmw(void)
{
	pw_explore_fence("fence_after_rmw");
}

PW_EXPLORE_VERB void
pw_cpu_relax(void)
{
	pw_explore_yield();
}

#endif

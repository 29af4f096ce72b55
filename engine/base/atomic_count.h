/* SPDX-License-Identifier: MIT
 *
 * atomic_count.h: the back end of atomic.h that counts: what an operation costs in loads, stores, locked operations
 * and fences. Such counts are exact, unlike times: a test holds them (tests/counts), and the benches print them.
 *
 * What it is: the verbs of atomic.h on <stdatomic.h>, each counted for its thread. What it is not: something to take
 * times with. Include only through atomic.h; the program compiles atomic_count.c.
 *
 * Counted is what the verb costs with Concurrency Kit's back end on x86-64: a read-modify-write is one locked
 * operation, also one that fails; fence_after_rmw is none there and is counted on its own. A fetch_or or fetch_and is
 * one, as long as nobody else changes the word.
 */
#ifndef PINWHEEL_BASE_ATOMIC_COUNT_H
#define PINWHEEL_BASE_ATOMIC_COUNT_H

#include <stdatomic.h>
#include <stddef.h>

struct pw_counts {
	uint64_t loads;
	uint64_t stores;
	uint64_t locked;
	uint64_t fences;
	uint64_t fences_after_rmw;
};

/* The calling thread's, since it began. */
void pw_counts_own(struct pw_counts *counts);
/* Of all threads, ended ones included. Any thread; what another does meanwhile may be missed. */
void pw_counts_all(struct pw_counts *counts);

struct pw_counts_words {
	_Alignas(64) _Atomic uint64_t loads; /* one writer, the thread: relaxed, because a reader may be late */
	_Atomic uint64_t stores;
	_Atomic uint64_t locked;
	_Atomic uint64_t fences;
	_Atomic uint64_t fences_after_rmw;
};

extern _Thread_local struct pw_counts_words *pw_counts_words;
struct pw_counts_words *pw_counts_take(void);

static inline struct pw_counts_words *
pw_counts_here(void)
{
	struct pw_counts_words *words = pw_counts_words;
	return words != NULL ? words : pw_counts_take();
}

#define PW_COUNT(WHAT)                                                                                               \
	do {                                                                                                         \
		_Atomic uint64_t *pw_word = &pw_counts_here()->WHAT;                                                 \
		atomic_store_explicit(pw_word, atomic_load_explicit(pw_word, memory_order_relaxed) + 1,              \
		    memory_order_relaxed);                                                                           \
	} while (0)

typedef struct {
	_Atomic uint64_t v;
} pw_a64;
typedef struct {
	_Atomic uint32_t v;
} pw_a32;
typedef struct {
	_Atomic uint16_t v;
} pw_a16;
typedef struct {
	_Atomic uint8_t v;
} pw_a8;
typedef struct {
	void *_Atomic v;
} pw_aptr;

#define PW_COUNT_LOAD_VERB(NAME, ORDER, W, A, T)                                                                     \
	static inline T pw_##NAME##_##W(const A *a)                                                                  \
	{                                                                                                            \
		PW_COUNT(loads);                                                                                     \
		return atomic_load_explicit(&a->v, ORDER);                                                           \
	}

#define PW_COUNT_STORE_VERB(NAME, ORDER, W, A, T)                                                                    \
	static inline void pw_##NAME##_##W(A *a, T v)                                                                \
	{                                                                                                            \
		PW_COUNT(stores);                                                                                    \
		atomic_store_explicit(&a->v, v, ORDER);                                                              \
	}

#define PW_COUNT_RMW_VERB(NAME, OP, ORDER, W, A, T)                                                                  \
	static inline T pw_##NAME##_##W(A *a, T v)                                                                   \
	{                                                                                                            \
		PW_COUNT(locked);                                                                                    \
		return atomic_##OP##_explicit(&a->v, v, ORDER);                                                      \
	}

#define PW_COUNT_CAS_VERB(NAME, ORDER, FAILURE, W, A, T)                                                             \
	static inline bool pw_##NAME##_##W(A *a, T *expected, T desired)                                             \
	{                                                                                                            \
		PW_COUNT(locked);                                                                                    \
		return atomic_compare_exchange_strong_explicit(&a->v, expected, desired, ORDER, FAILURE);            \
	}

#define PW_COUNT_LOAD_STORE(W, A, T)                                                                                 \
	PW_COUNT_LOAD_VERB(load_relaxed, memory_order_relaxed, W, A, T)                                              \
	PW_COUNT_LOAD_VERB(load_acquire, memory_order_acquire, W, A, T)                                              \
	PW_COUNT_STORE_VERB(store_relaxed, memory_order_relaxed, W, A, T)                                            \
	PW_COUNT_STORE_VERB(store_release, memory_order_release, W, A, T)

#define PW_COUNT_EXCHANGE_CAS(W, A, T)                                                                               \
	PW_COUNT_RMW_VERB(exchange_acq_rel, exchange, memory_order_acq_rel, W, A, T)                                 \
	PW_COUNT_RMW_VERB(exchange_acquire, exchange, memory_order_acquire, W, A, T)                                 \
	PW_COUNT_CAS_VERB(cas_relaxed, memory_order_relaxed, memory_order_relaxed, W, A, T)                          \
	PW_COUNT_CAS_VERB(cas_acquire, memory_order_acquire, memory_order_acquire, W, A, T)                          \
	PW_COUNT_CAS_VERB(cas_release, memory_order_release, memory_order_relaxed, W, A, T)                          \
	PW_COUNT_CAS_VERB(cas_acq_rel, memory_order_acq_rel, memory_order_acquire, W, A, T)

#define PW_COUNT_ARITHMETIC(W, A, T)                                                                                 \
	PW_COUNT_RMW_VERB(fetch_add_relaxed, fetch_add, memory_order_relaxed, W, A, T)                               \
	PW_COUNT_RMW_VERB(fetch_or_acq_rel, fetch_or, memory_order_acq_rel, W, A, T)                                 \
	PW_COUNT_RMW_VERB(fetch_and_acq_rel, fetch_and, memory_order_acq_rel, W, A, T)

PW_COUNT_LOAD_STORE(8, pw_a8, uint8_t)
PW_COUNT_LOAD_STORE(16, pw_a16, uint16_t)
PW_COUNT_LOAD_STORE(32, pw_a32, uint32_t)
PW_COUNT_LOAD_STORE(64, pw_a64, uint64_t)
PW_COUNT_LOAD_STORE(ptr, pw_aptr, void *)
PW_COUNT_EXCHANGE_CAS(32, pw_a32, uint32_t)
PW_COUNT_EXCHANGE_CAS(64, pw_a64, uint64_t)
PW_COUNT_EXCHANGE_CAS(ptr, pw_aptr, void *)
PW_COUNT_ARITHMETIC(32, pw_a32, uint32_t)
PW_COUNT_ARITHMETIC(64, pw_a64, uint64_t)

static inline void
pw_fence_seq_cst(void)
{
	PW_COUNT(fences);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
pw_fence_after_rmw(void)
{
	PW_COUNT(fences_after_rmw);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
pw_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif

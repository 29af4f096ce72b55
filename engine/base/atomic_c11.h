/* SPDX-License-Identifier: MIT
 *
 * atomic_c11.h: the back end of atomic.h on <stdatomic.h>, for ThreadSanitizer and for compilers without ck.
 * Include only through atomic.h.
 */
#ifndef PINWHEEL_BASE_ATOMIC_C11_H
#define PINWHEEL_BASE_ATOMIC_C11_H

#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define PW_ATOMIC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PW_ATOMIC_TSAN 1
#endif
#endif

typedef struct { _Atomic uint64_t v; } pw_a64;
typedef struct { _Atomic uint32_t v; } pw_a32;
typedef struct { _Atomic uint16_t v; } pw_a16;
typedef struct { _Atomic uint8_t v; } pw_a8;
typedef struct { void *_Atomic v; } pw_aptr;

#define PW_C11_LOAD_STORE(W, A, T)                                                                                    \
	static inline T pw_load_relaxed_##W(const A *a) { return atomic_load_explicit(&a->v, memory_order_relaxed); }  \
	static inline T pw_load_acquire_##W(const A *a) { return atomic_load_explicit(&a->v, memory_order_acquire); }  \
	static inline void pw_store_relaxed_##W(A *a, T v) { atomic_store_explicit(&a->v, v, memory_order_relaxed); }  \
	static inline void pw_store_release_##W(A *a, T v) { atomic_store_explicit(&a->v, v, memory_order_release); }

/* A function of its own, compiled without AddressSanitizer. */
#define PW_C11_PEEK(W, A, T)                                                                                          \
	__attribute__((no_sanitize("address"), noinline, unused)) static T pw_peek_##W(const A *a)                      \
	{                                                                                                              \
		return atomic_load_explicit(&a->v, memory_order_relaxed);                                              \
	}

#define PW_C11_RMW(W, A, T)                                                                                           \
	static inline T pw_exchange_acq_rel_##W(A *a, T v)                                                             \
	{                                                                                                              \
		return atomic_exchange_explicit(&a->v, v, memory_order_acq_rel);                                       \
	}                                                                                                              \
	static inline T pw_exchange_acquire_##W(A *a, T v)                                                             \
	{                                                                                                              \
		return atomic_exchange_explicit(&a->v, v, memory_order_acquire);                                       \
	}                                                                                                              \
	static inline bool pw_cas_relaxed_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		return atomic_compare_exchange_strong_explicit(&a->v, expected, desired, memory_order_relaxed,         \
		    memory_order_relaxed);                                                                             \
	}                                                                                                              \
	static inline bool pw_cas_acquire_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		return atomic_compare_exchange_strong_explicit(&a->v, expected, desired, memory_order_acquire,         \
		    memory_order_acquire);                                                                             \
	}                                                                                                              \
	static inline bool pw_cas_release_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		return atomic_compare_exchange_strong_explicit(&a->v, expected, desired, memory_order_release,         \
		    memory_order_relaxed);                                                                             \
	}                                                                                                              \
	static inline bool pw_cas_acq_rel_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		return atomic_compare_exchange_strong_explicit(&a->v, expected, desired, memory_order_acq_rel,         \
		    memory_order_acquire);                                                                             \
	}

#define PW_C11_ARITHMETIC(W, A, T)                                                                                    \
	static inline T pw_fetch_add_relaxed_##W(A *a, T n)                                                            \
	{                                                                                                              \
		return atomic_fetch_add_explicit(&a->v, n, memory_order_relaxed);                                      \
	}                                                                                                              \
	static inline T pw_fetch_or_acq_rel_##W(A *a, T bits)                                                          \
	{                                                                                                              \
		return atomic_fetch_or_explicit(&a->v, bits, memory_order_acq_rel);                                    \
	}                                                                                                              \
	static inline T pw_fetch_and_acq_rel_##W(A *a, T bits)                                                         \
	{                                                                                                              \
		return atomic_fetch_and_explicit(&a->v, bits, memory_order_acq_rel);                                   \
	}

PW_C11_LOAD_STORE(8, pw_a8, uint8_t)
PW_C11_LOAD_STORE(16, pw_a16, uint16_t)
PW_C11_PEEK(64, pw_a64, uint64_t)
PW_C11_PEEK(32, pw_a32, uint32_t)
PW_C11_PEEK(16, pw_a16, uint16_t)
PW_C11_LOAD_STORE(32, pw_a32, uint32_t)
PW_C11_LOAD_STORE(64, pw_a64, uint64_t)
PW_C11_LOAD_STORE(ptr, pw_aptr, void *)
PW_C11_RMW(32, pw_a32, uint32_t)
PW_C11_RMW(64, pw_a64, uint64_t)
PW_C11_RMW(ptr, pw_aptr, void *)
PW_C11_ARITHMETIC(32, pw_a32, uint32_t)
PW_C11_ARITHMETIC(64, pw_a64, uint64_t)

/* ThreadSanitizer does not model fences. The pair hands over no data (the inbox does), so what is needed is the
 * machine's store-to-load order alone: a seq_cst exchange on a word of the thread's own gives it, and tells
 * ThreadSanitizer of no order that the release build does not have. */
static inline void
pw_fence_seq_cst(void)
{
#if defined(PW_ATOMIC_TSAN)
	static _Thread_local _Atomic uint32_t own;
	(void) atomic_exchange_explicit(&own, 1, memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void
pw_fence_after_rmw(void)
{
	pw_fence_seq_cst();
}

static inline void
pw_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif

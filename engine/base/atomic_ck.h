/* SPDX-License-Identifier: MIT
 *
 * atomic_ck.h: the back end of atomic.h that users run, on Concurrency Kit's ck_pr_*.
 *
 * ck_pr's own read-modify-writes promise no order off x86, so each verb places the fence that its name says;
 * on x86-64 (TSO) those fences are compiler barriers and the RMWs are full ones. Include only through atomic.h.
 */
#ifndef PINWHEEL_BASE_ATOMIC_CK_H
#define PINWHEEL_BASE_ATOMIC_CK_H

#include <ck_pr.h>

typedef struct { uint64_t v; } pw_a64;
typedef struct { uint32_t v; } pw_a32;
typedef struct { uint16_t v; } pw_a16;
typedef struct { uint8_t v; } pw_a8;
typedef struct { void *v; } pw_aptr;

#define PW_CK_LOAD_STORE(W, A, T)                                                                                     \
	static inline T pw_load_relaxed_##W(const A *a) { return ck_pr_load_##W(&a->v); }                              \
	static inline T pw_load_acquire_##W(const A *a)                                                                \
	{                                                                                                              \
		T v = ck_pr_load_##W(&a->v);                                                                           \
		ck_pr_fence_acquire();                                                                                 \
		return v;                                                                                              \
	}                                                                                                              \
	static inline void pw_store_relaxed_##W(A *a, T v) { ck_pr_store_##W(&a->v, v); }                              \
	static inline void pw_store_release_##W(A *a, T v)                                                             \
	{                                                                                                              \
		ck_pr_fence_release();                                                                                 \
		ck_pr_store_##W(&a->v, v);                                                                             \
	}

#define PW_CK_RMW(W, A, T)                                                                                            \
	static inline T pw_exchange_acq_rel_##W(A *a, T v)                                                             \
	{                                                                                                              \
		ck_pr_fence_release();                                                                                 \
		v = ck_pr_fas_##W(&a->v, v);                                                                           \
		ck_pr_fence_acquire();                                                                                 \
		return v;                                                                                              \
	}                                                                                                              \
	static inline T pw_exchange_acquire_##W(A *a, T v)                                                             \
	{                                                                                                              \
		v = ck_pr_fas_##W(&a->v, v);                                                                           \
		ck_pr_fence_acquire();                                                                                 \
		return v;                                                                                              \
	}                                                                                                              \
	static inline bool pw_cas_relaxed_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		return ck_pr_cas_##W##_value(&a->v, *expected, desired, expected);                                     \
	}                                                                                                              \
	static inline bool pw_cas_acquire_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		bool won = ck_pr_cas_##W##_value(&a->v, *expected, desired, expected);                                 \
		ck_pr_fence_acquire();                                                                                 \
		return won;                                                                                            \
	}                                                                                                              \
	static inline bool pw_cas_release_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		ck_pr_fence_release();                                                                                 \
		return ck_pr_cas_##W##_value(&a->v, *expected, desired, expected);                                     \
	}                                                                                                              \
	static inline bool pw_cas_acq_rel_##W(A *a, T *expected, T desired)                                            \
	{                                                                                                              \
		ck_pr_fence_release();                                                                                 \
		bool won = ck_pr_cas_##W##_value(&a->v, *expected, desired, expected);                                 \
		ck_pr_fence_acquire();                                                                                 \
		return won;                                                                                            \
	}

#define PW_CK_ARITHMETIC(W, A, T)                                                                                     \
	static inline T pw_fetch_add_relaxed_##W(A *a, T n) { return ck_pr_faa_##W(&a->v, n); }                        \
	static inline T pw_fetch_or_acq_rel_##W(A *a, T bits)                                                          \
	{                                                                                                              \
		T old = pw_load_relaxed_##W(a);                                                                        \
		while (!pw_cas_acq_rel_##W(a, &old, old | bits)) {                                                     \
		}                                                                                                      \
		return old;                                                                                            \
	}                                                                                                              \
	static inline T pw_fetch_and_acq_rel_##W(A *a, T bits)                                                         \
	{                                                                                                              \
		T old = pw_load_relaxed_##W(a);                                                                        \
		while (!pw_cas_acq_rel_##W(a, &old, old & bits)) {                                                     \
		}                                                                                                      \
		return old;                                                                                            \
	}

PW_CK_LOAD_STORE(8, pw_a8, uint8_t)
PW_CK_LOAD_STORE(16, pw_a16, uint16_t)
PW_CK_LOAD_STORE(32, pw_a32, uint32_t)
PW_CK_LOAD_STORE(64, pw_a64, uint64_t)
PW_CK_LOAD_STORE(ptr, pw_aptr, void *)
PW_CK_RMW(32, pw_a32, uint32_t)
PW_CK_RMW(64, pw_a64, uint64_t)
PW_CK_RMW(ptr, pw_aptr, void *)
PW_CK_ARITHMETIC(32, pw_a32, uint32_t)
PW_CK_ARITHMETIC(64, pw_a64, uint64_t)

static inline void
pw_fence_seq_cst(void)
{
	ck_pr_fence_strict_memory();
}

static inline void
pw_fence_after_rmw(void)
{
#if defined(__x86_64__)
	ck_pr_barrier(); /* a locked instruction is a full fence: only the compiler must be told */
#else
	ck_pr_fence_strict_memory();
#endif
}

static inline void
pw_cpu_relax(void)
{
	ck_pr_stall();
}

#endif

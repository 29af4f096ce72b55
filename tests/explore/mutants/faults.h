/* SPDX-License-Identifier: MIT
 *
 * faults.h: what a mutant may say that atomic.h has, on purpose, no verb for. Included before everything else in the
 * files that a mutant changes; the macros are used behind atomic.h.
 */
#ifndef PINWHEEL_EXPLORE_MUTANTS_FAULTS_H
#define PINWHEEL_EXPLORE_MUTANTS_FAULTS_H

/* A compare-and-swap of a pw_a64 in two steps. The store is an exchange, so that it has the order of the whole. */
#define FAULT_CAS_SPLIT(ADDRESS, EXPECTED, DESIRED)                                                                  \
	__extension__({                                                                                              \
		uint64_t found_ = pw_load_acquire_64(ADDRESS);                                                       \
		bool won_ = found_ == *(EXPECTED);                                                                   \
		if (won_) {                                                                                          \
			(void) pw_exchange_acq_rel_64(ADDRESS, DESIRED);                                             \
		}                                                                                                    \
		*(EXPECTED) = found_;                                                                                \
		won_;                                                                                                \
	})

/* Read-modify-writes without an order. T: the type of the value. */
#define FAULT_RMW(SUFFIX, T, ORDER, ADDRESS, VALUE)                                                                  \
	__extension__({                                                                                              \
		T old_ = pw_load_relaxed_##SUFFIX(ADDRESS);                                                          \
		while (!pw_cas_##ORDER##_##SUFFIX(ADDRESS, &old_, VALUE)) {                                          \
		}                                                                                                    \
		old_;                                                                                                \
	})
#define FAULT_EXCHANGE_RELAXED_64(ADDRESS, VALUE) FAULT_RMW(64, uint64_t, relaxed, ADDRESS, VALUE)
#define FAULT_EXCHANGE_RELAXED_32(ADDRESS, VALUE) FAULT_RMW(32, uint32_t, relaxed, ADDRESS, VALUE)
#define FAULT_EXCHANGE_RELAXED_PTR(ADDRESS, VALUE) FAULT_RMW(ptr, void *, relaxed, ADDRESS, VALUE)
#define FAULT_FETCH_OR_RELAXED_64(ADDRESS, VALUE) FAULT_RMW(64, uint64_t, relaxed, ADDRESS, (old_ | (VALUE)))
#define FAULT_FETCH_AND_RELAXED_64(ADDRESS, VALUE) FAULT_RMW(64, uint64_t, relaxed, ADDRESS, (old_ & (VALUE)))

#endif

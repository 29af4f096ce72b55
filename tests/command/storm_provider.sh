#!/bin/sh
# SPDX-License-Identifier: MIT
#
# storm_provider.sh PROVIDER.so OTHER.so PROGRAM...: law: `pinwheel storm --provider` races a right provider to a
# balanced ledger, with faults too, and finds a wrong one; what is no provider of its version ends with 2, what cannot
# be loaded or does not open with 3, and each says why. OTHER.so is a shared object without a provider; then the
# command and what stands before it.
set -eu
provider=$1 other=$2
shift 2
program=$*
work=$(mktemp -d storm_provider.XXXXXX)
trap 'rm -rf "$work"' EXIT
aios=$((100 * ${PW_TEST_SCALE:-100}))

# storm STATUS STREAM TEXT BREAK OPTION...: ends with that status and says the text there.
storm() {
	expected=$1 stream=$2 text=$3 break=$4
	shift 4
	status=0 tsan=${TSAN_OPTIONS:-}
	# A provider that is wrong races its operations. That is for the ledger to find, before ThreadSanitizer does.
	[ "$expected" -ne 1 ] || tsan=$tsan:report_bugs=0
	# shellcheck disable=SC2086 # the program and what stands before it are words
	TSAN_OPTIONS=$tsan QUEUE_BREAK=$break $program storm --aios "$aios" --seed 1 --seconds 2 "$@" >"$work/out" 2>"$work/err" || status=$?
	if [ "$status" -ne "$expected" ] || ! grep -q -e "$text" "$work/$stream"; then
		cat "$work/out" "$work/err"
		echo "storm $* with QUEUE_BREAK=$break: exit status $status, expected $expected and: $text"
		exit 1
	fi
}

storm 0 out 'PASS: the ledger balances, with the provider queue' '' --provider "$provider"
storm 0 out 'PASS: .* with the provider queue' reluctant --provider "$provider"
storm 0 out 'PASS: .* with the provider queue' '' --provider "$provider" --fault suspend --fault ring-full \
	--fault memory

# Misuse, or another operation of the handle that it ended.
storm 1 err 'VIOLATION: ' finish-twice --provider "$provider"
storm 1 err 'VIOLATION: cancelled, and nobody asked' cancelled-alone --provider "$provider" --mix cancel=0
storm 1 err 'VIOLATION: \(timed out without a deadline\|fired early\)' timed-out-alone --provider "$provider"
# Which of three is seen first: the start after a stop, the start in the callback, the completion that nobody owes.
storm 1 err 'VIOLATION: \(started on a handle whose stop\|refused in the callback\|ended without a callback, and\)' \
	never-refused --provider "$provider"
storm 1 err 'VIOLATION: the provider.s own check (the check is broken)' check --provider "$provider"

storm 3 err 'the provider queue does not open' open --provider "$provider"
storm 3 err "--provider: .*$work/missing.so" '' --provider "$work/missing.so"
storm 2 err 'it exports no pinwheel_provider_get' '' --provider "$other"
storm 2 err 'it is a provider of version 99, this command knows version 1' version --provider "$provider"
storm 2 err 'it promises what this command does not know' promise --provider "$provider"
storm 2 err 'name, open, start, complete and close must be set' function --provider "$provider"
storm 2 err 'pinwheel_provider_get returned NULL' null --provider "$provider"
storm 2 err '--require-matrix' '' --provider "$provider" --require-matrix

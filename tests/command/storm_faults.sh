#!/bin/sh
# SPDX-License-Identifier: MIT
#
# storm_faults.sh PROGRAM...: law: `pinwheel storm --fault` makes what it was asked for strike, with the ledger
# balanced all the same, and counts it; what never struck fails the run and is named; what cannot be made here ends
# with 3, or is skipped among all; what is not known ends with 2. The arguments are the command and what stands before
# it.
set -eu
program=$*
work=$(mktemp -d storm_faults.XXXXXX)
trap 'rm -rf "$work"' EXIT
aios=$((200 * ${PW_TEST_SCALE:-100}))

# storm STATUS OPTION...: the run ends with that status.
storm() {
	expected=$1
	shift
	status=0
	# shellcheck disable=SC2086 # the program and what stands before it are words
	$program storm --aios "$aios" --seed 1 --seconds 2 "$@" >"$work/out" 2>"$work/err" || status=$?
	[ "$status" -eq "$expected" ] || {
		cat "$work/out" "$work/err"
		echo "storm $*: exit status $status, expected $expected"
		exit 1
	}
}

# says out|err TEXT
says() {
	grep -q -e "$2" "$work/$1" || {
		cat "$work/out" "$work/err"
		echo "it does not say: $2"
		exit 1
	}
}

storm 0 --fault all
says out '^verdict: PASS'
for fault in memory ring-full eintr short reset half-close emfile clock suspend few-cpus; do
	says out "^faults: .*$fault [1-9]"
done

# One of 1000 shards: none of these.
storm 1 --fault uring-refused=1 --poller auto --seconds 1
says out 'FAIL: .* the fault uring-refused never struck'
storm 0 --fault uring-refused --poller auto --seconds 1
says out '^faults: uring-refused [1-9]'

storm 3 --fault sq-full --poller epoll
says err 'fault sq-full cannot be made here'
storm 3 --fault few-cpus --shards 1
says err 'fault few-cpus cannot be made here'
storm 2 --fault rain
says err 'no such fault'
storm 2 --fault eintr=1000
says err 'eintr=N'

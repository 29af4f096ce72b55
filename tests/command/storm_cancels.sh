#!/bin/sh
# SPDX-License-Identifier: MIT
#
# storm_cancels.sh PROGRAM...: law: `pinwheel storm --cancels N` counts races and no others: what it prints adds up, it
# ends with the N-th race, with --seconds or with a signal, whichever is first, with 0 and the ledger balanced; what does
# not go with it ends with 2. The arguments are the command and what stands before it.
set -eu
program=$*
work=$(mktemp -d storm_cancels.XXXXXX)
trap 'rm -rf "$work"' EXIT

# storm STATUS OPTION...
storm() {
	expected=$1
	shift
	status=0
	# shellcheck disable=SC2086 # the program and what stands before it are words
	$program storm "$@" >"$work/out" 2>"$work/err" || status=$?
	[ "$status" -eq "$expected" ] || {
		cat "$work/out" "$work/err"
		echo "storm $*: exit status $status, expected $expected"
		exit 1
	}
}

# adds_up CONDITION: an expression of awk over the numbers of the JSON.
adds_up() {
	tr ',{}' '[\n*]' <"$work/out" | awk -F '[":]+' '{ n[$2] = $3 + 0 } END {
		for (k in n) {
			if (k ~ /._raced$/) raced += n[k]
			if (k ~ /._cancel_won$/) won += n[k]
			if (k ~ /._operations$/) operations += n[k]
			if (k ~ /._raced$/) { o = k; sub(/_raced$/, "_operations", o); if (n[k] > n[o]) odd++ }
			if (k ~ /._cancel_won$/) { o = k; sub(/_cancel_won$/, "_raced", o); if (n[k] > n[o]) odd++ }
		}
		exit !(raced == n["raced"] && won == n["cancel_won"] && operations == n["operations"] && operations > 0 &&
			odd == 0 && ('"$1"')) }' || {
		cat "$work/out"
		echo "it does not add up, or not: $1"
		exit 1
	}
}

storm 0 --cancels 1000 --seconds 10 --seed 5 --json
adds_up 'n["seed"] == 5 && n["witnesses"] > 0 && (raced >= 1000 || n["seconds"] >= 10)'
storm 0 --cancels 1000000000000 --seconds 1 --json
adds_up 'n["seconds"] >= 1'

rm "$work/err"
# shellcheck disable=SC2086
$program storm --cancels 1000000000000 --json >"$work/out" 2>"$work/err" &
storm_pid=$!
until grep -q -s 'raced cancels' "$work/err"; do
	kill -0 "$storm_pid"
	sleep 0.05
done
kill -TERM "$storm_pid"
wait "$storm_pid"
adds_up 'n["pairs"] > 0'

for option in "--aios 10" "--threads 4" "--mix abort=1" --require-matrix "--fault eintr" "--provider x.so"; do
	# shellcheck disable=SC2086
	storm 2 --cancels 1000 $option
	grep -q 'does not go with it' "$work/err"
done
storm 2 --cancels 0

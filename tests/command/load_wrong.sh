#!/bin/sh
# SPDX-License-Identifier: MIT
#
# load_wrong.sh LIAR PROGRAM...: law: `pinwheel load` sees what a service does wrong (a changed byte, one too many,
# silence, an early end, no room; over UDP also loss, delay and repetition, which are counted and are no failure), and
# both commands say what is wrong with a command line or a place, with the exit status of --help. LIAR is the program
# of liar.c; then the command and what stands before it.
set -eu
liar=$1
shift
program=$*
work=$(mktemp -d load_wrong.XXXXXX)
pids=
trap 'kill -9 $pids 2>/dev/null || :; rm -rf "$work"' EXIT

# await FILE: the place that a service prints there, in url.
await() {
	until url=$(sed -n 's/^listening //p' "$1") && [ -n "$url" ]; do
		sleep 0.05
	done
}

# run_into FILE STATUS TEXT ARGUMENT...: ends with that status, and says the text on one of both streams.
run_into() {
	said=$1 expected=$2 text=$3
	shift 3
	status=0
	# shellcheck disable=SC2086 # the program and what stands before it are words
	$program "$@" >"$said" 2>&1 || status=$?
	[ "$status" -eq "$expected" ] && grep -q -e "$text" "$said" && return
	cat "$said"
	echo "pinwheel $*: exit status $status, expected $expected and: $text"
	exit 1
}

run() {
	run_into "$work/said" "$@"
}

# lied MODE STATUS TEXT OPTION...: the same against a liar, beside the others; in judges: who waits for it.
lies=0 judges=
lied() {
	lies=$((lies + 1))
	lie=$work/lie$lies mode=$1 expected=$2 text=$3
	shift 3
	: >"$lie"
	"$liar" "$mode" >"$lie" &
	pids="$pids $!"
	await "$lie"
	run_into "$lie.said" "$expected" "$text" load "$url" --seconds 1 "$@" &
	judges="$judges $!"
}

lied tcp-flip 1 'connection 0, message 9: byte 63 came back as '
lied tcp-more 1 'connection 0, message 1[01]*: .*came back'
lied tcp-silent 1 'connection 0, message 9: Deadline passed' --timeout 300
lied tcp-shut 1 'connection 0, message 9: Peer has ended the stream'
lied tcp-silent 1 'connection 0, message [0-9]*: Deadline passed' --timeout 300 --rate 20
lied tcp-shut 1 ' [1-9][0-9]* lost, 0 duplicate, 0 stray, [1-9][0-9]* unsent' --rate 20
lied udp-flip 1 'connection 0, message 9: byte 63 of a datagram came back as '
lied udp-longer 1 'connection 0, message 9: a datagram of 65 bytes came back'
lied udp-drop 0 '200 sent, [0-9]* answered, [0-9]* late, 50 lost, 0 duplicate' --rate 200
lied udp-drop 0 ' [1-9][0-9]* lost, 0 duplicate' --timeout 20
lied udp-twice 0 ' 0 lost, [1-9][0-9]* duplicate'
lied udp-stray 0 ' 0 lost, 0 duplicate, [1-9][0-9]* stray'
lied tcp-full 3 '^connections: 0 failed, 0 corrupt, 1 not connected; 1 operations expired' --timeout 300
lied udp-late 0 ' [1-9][0-9]* late, ' --timeout 30
for judge in $judges; do
	wait "$judge"
done

# A peer that takes nothing is closed by echo's deadline, so the client ends.
: >"$work/echo"
# shellcheck disable=SC2086
$program echo tcp://127.0.0.1:0 --timeout 300 >"$work/echo" &
echo_pid=$!
pids="$pids $echo_pid"
await "$work/echo"
"$liar" stall "${url##*:}"
kill -TERM "$echo_pid"
wait "$echo_pid"
grep -q ' 1 as stalled$' "$work/echo" || {
	cat "$work/echo"
	echo "echo: nobody stalled"
	exit 1
}

run 3 'nobody answers at tcp://127.0.0.1:1$' load tcp://127.0.0.1:1
run 3 'tcp://127.0.0.1:1: connection 0, message 0: Peer refused the connection' load tcp://127.0.0.1:1
run 3 'nobody answers at tcp://127.0.0.1:1$' load udp://127.0.0.1:1 tcp://127.0.0.1:1 --seconds 1
run 3 'nobody answers at udp://127.0.0.1:1$' load udp://127.0.0.1:1 --seconds 1
run 3 'udp://nowhere.invalid:1: Address not valid' load udp://nowhere.invalid:1
# shellcheck disable=SC3045 # the shells of Linux have it
(ulimit -n 200 && run 3 '1000 connections: the limit of descriptors' load tcp://127.0.0.1:1 --connections 1000)
run 3 '--pid=4194304: /proc/4194304/statm: No such' load tcp://127.0.0.1:1 --pid 4194304
run 2 'expected the URL' load
run 2 'tcp://127.0.0.1: Argument not valid' load tcp://127.0.0.1
run 2 'udp://127.0.0.1: Argument not valid' load udp://127.0.0.1
run 2 'udp://127.0.0.1:1/path: Argument not valid' load udp://127.0.0.1:1/path
run 2 'tcp://127.0.0.1:65536: Argument not valid' load tcp://127.0.0.1:65536
run 2 'http://127.0.0.1: Not supported here' load http://127.0.0.1
run 2 '--connections=0: expected a number' load tcp://127.0.0.1:1 --connections 0
run 2 '--connections=1: fewer than the 2 URLs' load tcp://127.0.0.1:1 tcp://127.0.0.1:2 --connections 1
run 2 '--size=0: expected' load tcp://127.0.0.1:1 --size 0
run 2 '--size=8: a datagram has 16 to 65507 bytes (udp://127.0.0.1:1)' load udp://127.0.0.1:1 --size 8
run 2 '--seconds=1.5: expected' load tcp://127.0.0.1:1 --seconds 1.5
run 2 '--rate=-1: expected' load tcp://127.0.0.1:1 --rate=-1
run 2 '--timeout=soon: expected' load tcp://127.0.0.1:1 --timeout soon
run 2 '--hold and --rate exclude each other' load tcp://127.0.0.1:1 --hold --rate 1
run 2 '--hold: udp://127.0.0.1:1: UDP has no connections' load udp://127.0.0.1:1 --hold
run 2 '--pid=0: expected' load tcp://127.0.0.1:1 --pid 0
run 2 '--idle=never: expected park, spin or busy' load tcp://127.0.0.1:1 --idle never

run 2 'expected a URL' echo
run 2 'http://127.0.0.1: Not supported here' echo http://127.0.0.1
run 2 'udp://127.0.0.1:65536: Argument not valid' echo udp://127.0.0.1:65536
run 2 '--idle-timeout=0: expected' echo tcp://127.0.0.1:0 --idle-timeout 0
run 2 '--timeout=-: expected' echo tcp://127.0.0.1:0 --timeout -
run 3 'tcp://192.0.2.1:0: Address not valid' echo tcp://192.0.2.1:0
run 3 'udp://192.0.2.1:0: Address not valid' echo udp://192.0.2.1:0
run 3 'ipc://.*/missing/socket: Not found' echo "ipc://$work/missing/socket"

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# echo_client.sh COMMAND CLIENT: law: the client prints what `pinwheel echo` sends back, over TCP and over a Unix-domain
# socket; with nobody there it says so and ends with 1.
set -eu
command=$1 client=$2
work=$(mktemp -d example.XXXXXX) # relative: a socket's path is at most 107 bytes
echo_pid=
trap '[ -z "$echo_pid" ] || kill -9 "$echo_pid" 2>/dev/null || :; rm -rf "$work"' EXIT

"$command" echo tcp://127.0.0.1:0 "ipc://$work/socket" >"$work/listening" &
echo_pid=$!
until [ "$(grep -c '^listening ' "$work/listening")" -eq 2 ]; do
	kill -0 "$echo_pid"
	sleep 0.05
done

long=$(seq 1 10000) # more than a stream moves at once
while read -r _ url; do
	printf '%s\n' hello "two words" "$long" >"$work/expected"
	"$client" "$url" hello "two words" "$long" >"$work/out"
	cmp "$work/expected" "$work/out"
done <"$work/listening"

kill -TERM "$echo_pid"
wait "$echo_pid"
echo_pid=
status=0
"$client" "ipc://$work/socket" hello >"$work/out" 2>"$work/err" || status=$?
[ "$status" -eq 1 ]
grep -q 'Peer refused the connection' "$work/err"
[ ! -s "$work/out" ]

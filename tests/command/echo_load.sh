#!/bin/sh
# SPDX-License-Identifier: MIT
#
# echo_load.sh PROGRAM...: law: `pinwheel echo` says where it listens, serves TCP (v4, v6) and Unix sockets until
# SIGTERM and then ends with 0; `pinwheel load` verifies what comes back and ends with 0.
# The arguments are the command and what stands before it.
set -eu
work=$(mktemp -d echo_load.XXXXXX) # relative: a socket's path is at most 107 bytes
echo_pid=
trap '[ -z "$echo_pid" ] || kill -9 "$echo_pid" 2>/dev/null || :; rm -rf "$work"' EXIT

urls="tcp://127.0.0.1:0 ipc://$work/socket"
[ ! -e /proc/net/if_inet6 ] || ! grep -q ' lo$' /proc/net/if_inet6 || urls="$urls tcp://[::1]:0"
# shellcheck disable=SC2086 # URLs are words
"$@" echo $urls >"$work/listening" &
echo_pid=$!
wanted=$(echo "$urls" | wc -w)
until [ "$(grep -c '^listening ' "$work/listening")" -eq "$wanted" ]; do
	kill -0 "$echo_pid" || {
		echo "echo ended early"
		exit 1
	}
	sleep 0.05
done

sed -n 's/^listening //p' "$work/listening" >"$work/urls"
while read -r url; do
	echo "-- $url"
	"$@" load "$url" --connections 4 --size 1000 --seconds 1
done <"$work/urls"

kill -TERM "$echo_pid"
status=0
wait "$echo_pid" || status=$?
echo_pid=
[ "$status" -eq 0 ] || {
	echo "echo ended with $status after SIGTERM"
	exit 1
}

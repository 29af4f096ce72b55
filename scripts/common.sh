# SPDX-License-Identifier: MIT
#
# common.sh: how scripts/run and scripts/test begin. Sourced by them, with $root set to the source tree. Until
# ensure_packages has returned nothing is used but sh, coreutils and dpkg. Everything is written below $root/build.

# Exit status of both scripts.
status_failed=1
status_usage=2
status_environment=3

heading() {
	printf '\n== %s\n' "$*"
}

fail() {
	status=$1
	shift
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit "$status"
}

apt_get() {
	$as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=600 "$@"
}

# `update` takes a lock of its own, for which apt does not wait: waits for it here, 10 minutes at most.
apt_update() {
	log=$root/build/apt-update.log
	tries=0
	until apt_get update >"$log" 2>&1; do
		tries=$((tries + 1))
		case $(cat "$log") in
		*"Could not get lock"*) [ "$tries" -le 120 ] && sleep 5 && continue ;;
		esac
		cat "$log" >&2
		return 1
	done
}

# ensure_packages PACKAGE...: installs those that are missing; with nothing missing, apt is not touched.
ensure_packages() {
	missing=
	for package in "$@"; do
		# shellcheck disable=SC2016 # the format is dpkg-query's
		case $(dpkg-query -W -f '${db:Status-Status} ' "$package" 2>/dev/null) in
		installed*) ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0

	if [ "$(id -u)" -eq 0 ]; then
		as_root=
	elif sudo -n true 2>/dev/null; then
		as_root="sudo -n"
	elif [ -t 0 ] && command -v sudo >/dev/null && sudo -v; then
		as_root=sudo
	else
		echo "Packages are missing, and there is no right to install them. For an administrator:" >&2
		echo "apt-get update && apt-get install -y --no-install-recommends$missing"
		exit "$status_environment"
	fi
	heading "install:$missing"
	mkdir -p "$root/build"
	apt_update || fail "$status_environment" "apt-get update failed"
	# shellcheck disable=SC2086 # package names are words
	apt_get install -y --no-install-recommends $missing || fail "$status_environment" "apt-get install failed"
}

# number_in FILE: the number in a control group's file, or nothing (no file, "max").
number_in() {
	value=
	[ ! -r "$1" ] || read -r value <"$1" || :
	case $value in
	*[!0-9]*) ;;
	*) printf '%s' "$value" ;;
	esac
}

# cap_memory FOLDER GROUP LIMIT USED: lowers memory_mib to what a control group and those above it leave; LIMIT and
# USED are the files that say so.
cap_memory() {
	group=$2
	while :; do
		limit=$(number_in "$1$group/$3")
		used=$(number_in "$1$group/$4")
		if [ -n "$limit" ] && [ -n "$used" ] && [ $(((limit - used) / 1048576)) -lt "$memory_mib" ]; then
			memory_mib=$(((limit - used) / 1048576))
		fi
		[ -n "${group%/}" ] || break
		group=${group%/*}
	done
}

# Sets memory_mib: what is available, control groups (version 2 or 1) considered.
measure_memory() {
	memory_mib=0
	while read -r key value _; do
		[ "$key" != MemAvailable: ] || memory_mib=$((value / 1024))
	done </proc/meminfo
	while IFS=: read -r hierarchy controllers group; do
		case $hierarchy:$controllers in
		0:) cap_memory /sys/fs/cgroup "$group" memory.max memory.current ;;
		*:memory) cap_memory /sys/fs/cgroup/memory "$group" memory.limit_in_bytes memory.usage_in_bytes ;;
		esac
	done </proc/self/cgroup
}

# Sets jobs, memory_mib and TMPDIR, and raises the descriptor limit; says what it found.
prepare() {
	ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || :
	measure_memory
	jobs=$(nproc)
	# One compiler needs up to 512 MiB.
	if [ $((memory_mib / 512)) -lt "$jobs" ]; then
		jobs=$((memory_mib / 512 > 0 ? memory_mib / 512 : 1))
	fi
	mkdir -p "$root/build/tmp"
	TMPDIR=$root/build/tmp
	export TMPDIR
	echo "$(nproc) CPUs, $memory_mib MiB of memory available, $(ulimit -S -n) descriptors; $jobs jobs at a time"
}

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages.sh SOURCE WORK: law: with every package there apt is not touched; with one missing, root and a user of
# `sudo -n` update and install exactly it, waiting for apt's lock; a user without that right gets one line for the
# administrator, exit status 3, and nothing is written. Method: scripts/common.sh on a path of stand-ins for
# dpkg-query, apt-get, sudo and id, which record their calls and answer as each case wants.
set -eu
source=$1 work=$2
rm -rf "$work"
mkdir -p "$work/bin"

stand_in() {
	{
		echo "#!/bin/sh"
		cat
	} >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}
# shellcheck disable=SC2154 # the variables are the stand-ins' own
{
	stand_in dpkg-query <<'END'
for package; do :; done
case " $case_missing " in *" $package "*) exit 1 ;; esac
echo "installed "
END
	stand_in apt-get <<'END'
echo "apt-get $*" >>"$case_calls"
if [ "$case_locked" = yes ] && [ ! -e "$case_calls.locked" ]; then
	: >"$case_calls.locked"
	echo "E: Could not get lock /var/lib/apt/lists/lock."
	exit 100
fi
END
	stand_in sudo <<'END'
[ "$case_sudo" = yes ] || exit 1
shift
exec "$@"
END
	stand_in id <<'END'
echo "$case_uid"
END
	stand_in sleep <<'END'
END
}

# begin NAME WANTED_STATUS: runs ensure_packages as a script would; leaves output, calls and tree in $work/NAME.
begin() {
	root=$work/$1
	mkdir -p "$root"
	case_calls=$work/$1.calls
	export case_calls case_missing case_locked case_sudo case_uid root
	status=0
	PATH=$work/bin:$PATH sh -euc ". '$source/scripts/common.sh'; ensure_packages one two three" \
		>"$work/$1.out" 2>"$work/$1.err" </dev/null || status=$?
	[ "$status" -eq "$2" ] || {
		cat "$work/$1.out" "$work/$1.err"
		echo "$1: exit status $status, expected $2"
		exit 1
	}
}

# expect FILE: its content is what stands on standard input.
expect() {
	diff -u - "$1" || {
		echo "$1: not as expected (-)"
		exit 1
	}
}

installing="apt-get -q -o DPkg::Lock::Timeout=600"

case_missing="" case_locked=no case_sudo=no case_uid=1000
begin complete 0
[ ! -e "$case_calls" ]

case_missing="two" case_uid=0
begin root 0
expect "$case_calls" <<END
$installing update
$installing install -y --no-install-recommends two
END

case_missing="one three" case_locked=yes case_uid=1000 case_sudo=yes
begin sudo 0
expect "$case_calls" <<END
$installing update
$installing update
$installing install -y --no-install-recommends one three
END

case_missing="one three" case_locked=no case_sudo=no
begin nobody 3
[ ! -e "$case_calls" ]
[ -z "$(ls -A "$work/nobody")" ]
expect "$work/nobody.out" <<END
apt-get update && apt-get install -y --no-install-recommends one three
END

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# lib.sh - what the acts of the demo share: how a step looks, disks, the two
# writers that must not notice anything, and proofs. Sourced.

if [[ ! ${QMIRROR_KVER-} ]]; then
	echo "This makes disks and file systems: use 'make demo'" >&2
	exit 2
fi

MB=64
SIZE=$((MB * 2048))
work=$(mktemp -d -p /dev/shm)
failed=0
writers=() writers_failed=0

# --- how a step looks --------------------------------------------------------

n=0
title() { printf '\n=== %d. %s\n\n' $((++n)) "$*"; }
say()   { printf '%s\n' "$@"; }
# What a user would type, and what it says.
run()   { printf '\n# %s\n' "$1"; eval "$1"; }

# run_tty COMMAND: on a terminal, where there is a progress bar. Redrawn in
# place it would be gone at the end, so each look at it gets a line here.
run_tty()
{
	printf '\n# %s\n' "$1"
	script -qec "stty cols 100; $1" /dev/null < /dev/null |
		sed -u -e 's/\r\x1b\[2K/\n/g' -e 's/\r$//' | sed -u '/^$/d'
}

# prove WHAT COMMAND...
prove()
{
	local what=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	if ((rc)); then
		say "FAILED: $what"
		failed=1
	else
		say "PROVED: $what"
	fi
	[[ ! $out ]] || printf '        %s\n' "${out//$'\n'/$'\n        '}"
}

# --- the stage ---------------------------------------------------------------

# disk NAME MB: /dev/NAME, in memory
disk()
{
	local cfg=/sys/kernel/config/nullb/$1
	mkdir "$cfg"
	echo 1 > "$cfg/memory_backed"
	echo "$2" > "$cfg/size"
	echo 1 > "$cfg/power"
}

# What has been read through another device may be old in the page cache.
same()
{
	blockdev --flushbufs "$1" "$2"
	cmp "$1" "$2" && say "$(blockdev --getsize64 "$1") bytes, no difference"
}

fsck_clean() { e2fsck -fn "$1" 2>&1 | tail -n 1; return "${PIPESTATUS[0]}"; }

ledger() { "$here/ledger.pl" "$@"; }

# ledger_of DEVICE [T0 T1]: the ledger as it is on that disk
ledger_of()
{
	local rc=0
	mkdir -p "$work/look"
	mount "$1" "$work/look"
	ledger check "$work/look/ledger" "$work/acks" "${@:2}" || rc=$?
	umount "$work/look"
	return "$rc"
}

# copy_of DEVICE: to /dev/copy
copy_of()
{
	dd if="$1" of=/dev/copy bs=1M iflag=direct oflag=direct status=none
}

# Writes 16 MiB at random and reads them back, again and again.
fio_rounds()
{
	local rounds=0
	cd "$work" || return
	while [[ ! -e stop ]]; do
		fio --name=busy --filename=/mnt/busy --size=16M --bs=4k \
		    --rw=randwrite --direct=1 --ioengine=libaio --iodepth=4 \
		    --rate_iops=,500 --randrepeat=0 --verify=crc32c \
		    --verify_fatal=1 --verify_state_save=0 --disk_util=0 --output=fio.out
		echo $((++rounds)) > rounds
	done
}

start_writers()
{
	fio_rounds &
	writers+=($!)
	"$here/ledger.pl" write /mnt/ledger "$work/acks" &
	writers+=($!)
	until [[ -s $work/acks ]]; do sleep 0.1; done
}

# Both end in their own time; sets writers_failed.
stop_writers()
{
	local pid
	touch "$work/stop"
	kill "${writers[1]}" || true
	for pid in "${writers[@]}"; do
		wait "$pid" || writers_failed=1
	done
	writers=()
}

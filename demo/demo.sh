#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh - a tour: the disk under a mounted, busy file system is exchanged
# while everything keeps running, and then it is proved that nothing was lost.
# `make demo` runs it in a virtual machine. Ends with 0 only if every proof
# holds.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

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

# Nearly always there when the suspend returns: the target's flush is given
# five seconds. Resuming without it would lose what the target lacks.
wait_final()
{
	local nr
	while nr=$(dmsetup info -c --noheadings -o events data) &&
	      [[ $(dmsetup status data) != *" pending final "* ]]; do
		timeout 30 dmsetup wait data "$nr" > /dev/null
	done
}

fsck_clean() { e2fsck -fn "$1" 2>&1 | tail -n 1; return "${PIPESTATUS[0]}"; }

ledger() { "$here/ledger.pl" "$@"; }

# ledger_of DEVICE [T0 T1]: the ledger as it is on that disk
ledger_of()
{
	local rc=0
	mount "$1" /mnt
	ledger check /mnt/ledger "$work/acks" "${@:2}" || rc=$?
	umount /mnt
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
	cd "$work"
	while [[ ! -e stop ]]; do
		fio --name=busy --filename=/mnt/busy --size=16M --bs=4k \
		    --rw=randwrite --direct=1 --ioengine=libaio --iodepth=4 \
		    --rate_iops=,500 --randrepeat=0 --verify=crc32c \
		    --verify_fatal=1 --verify_state_save=0 --output=fio.out
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

clean_up()
{
	local rc=$?
	trap - EXIT
	set +e
	if ((${#writers[@]})); then
		say "" "The demo ended early ($rc)."
		dmsetup status
		dmsetup resume data
		stop_writers
	fi
	! mountpoint -q /mnt || umount /mnt
	dmsetup remove --force data newdisk 2> /dev/null
	rm -rf "$work"
	exit "$rc"
}
trap clean_up EXIT

modprobe null_blk nr_devices=0
disk old $MB
disk new $MB
disk spare $MB
disk copy $MB
disk record 1024
dmsetup create data --table "0 $SIZE linear /dev/old 0"
# Remembers each write to /dev/new, for the proof at the end.
dmsetup create newdisk --table "0 $SIZE log-writes /dev/new /dev/record"
mkfs.ext4 -q -b 4096 /dev/mapper/data
mount /dev/mapper/data /mnt
start_writers
SECONDS=0

# --- the tour ----------------------------------------------------------------

title "The scene"
say "A file system on a device-mapper device, and two who write to it: fio, random" \
    "4 KiB writes that it verifies, and a small database that waits for fsync" \
    "before it acknowledges a transaction. They will not stop until the end."
run "dmsetup table data"
run "df -h /mnt"

title "What is going to happen"
say "The disk below is to be exchanged. --dry-run shows the steps and does nothing."
run "qmirrorctl mirror start data /dev/mapper/newdisk --copy-mode write-blocking --dry-run"

title "Start the mirror and wait until it is ready"
say "Slowed down to 16 MiB/s, or there would be nothing to see."
run_tty "qmirrorctl mirror start data /dev/mapper/newdisk --copy-mode write-blocking --speed 16M --wait"

title "Look at it"
say "Both disks hold the same data now, and every write goes to both."
run "qmirrorctl status"
run "qmirrorctl status --json data"
run "dmsetup status data"

title "Move over"
say "In one go: ask for the end, wait until nothing is left to copy, suspend, make" \
    "sure that the kernel says 'final', resume with the new disk below."
t0=$(ledger now)
run "qmirrorctl mirror complete data"
t1=$(ledger now)
run "dmsetup table data"
say "" "What the database noticed: $(ledger slowest "$work/acks" "$t0" "$t1")."

title "Once more, by hand and in slow motion"
say "From the new disk to a third one, with nothing but dmsetup. In between the" \
    "device stays suspended, long enough to look at both disks."
run "dmsetup load data --table '0 $SIZE qmirror /dev/mapper/newdisk 0 /dev/spare 0 2 copy_mode write-blocking'"
run "dmsetup suspend data"
run "dmsetup resume data"
run "qmirrorctl mirror wait data"
run "dmsetup message data 0 complete"
run "qmirrorctl mirror wait data --for pending"
run "dmsetup load data --table '0 $SIZE linear /dev/spare 0'"
run "dmsetup suspend data"
wait_final
run "dmsetup status data"
say "" "'final': the device is quiet, both legs are the same. Are they?" ""
prove "under 'final', source and target are equal in every byte" \
	same /dev/mapper/newdisk /dev/spare
run "dmsetup resume data"

title "The proofs"
say "The writers are stopped now. Is everything there that they were promised?" ""
stop_writers
prove "both writers ran through two switches without an error" \
	test $writers_failed = 0
prove "fio found what it had written, $(cat "$work/rounds") times 16 MiB" \
	grep -q 'err= 0' "$work/fio.out"
umount /mnt
dmsetup remove data
dmsetup remove newdisk

say "" "The disk it ended on:"
prove "its file system is clean" fsck_clean /dev/spare
prove "the database has lost nothing" ledger_of /dev/spare

say "" "The old disk, untouched since the first switch, as if the power had failed" \
    "right then (a copy of it, because a mount replays the journal):"
copy_of /dev/old
prove "it has all that was acknowledged before the switch, and nothing later" \
	ledger_of /dev/copy "$t0" "$t1"
prove "its file system is clean" fsck_clean /dev/copy

say "" "The new disk at the first switch: all writes it ever got were recorded."
prove "at the switch, old and new disk were equal in every byte" \
	"$here/replay.pl" /dev/record /dev/old "$SIZE"

say "" "What the kernel had to say:"
dmesg | sed -n 's/.*device-mapper: qmirror: /        /p'
say ""
if ((failed)); then
	say "NOT everything could be proved."
	exit 1
fi
say "All of this holds. It took $SECONDS seconds."

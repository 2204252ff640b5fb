#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh - the first act: the disk under a mounted, busy file system is
# exchanged while everything keeps running, and then it is proved that nothing
# was lost. `make demo` runs it in a virtual machine, and snapshot.sh after it.
# Ends with 0 only if every proof holds.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

. "$here/lib.sh"

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

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# snapshot.sh - the second act: a snapshot of a mounted, busy file system, a
# backup from it while the writers go on, and stores that run full on purpose,
# under each policy. `make demo` runs it in a virtual machine, after demo.sh.
# Ends with 0 only if every proof holds.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

clean_up()
{
	local rc=$?
	trap - EXIT
	set +e
	if ((${#writers[@]})); then
		say "" "The demo ended early ($rc)."
		dmsetup status
		stop_writers
	fi
	exit "$rc"
}
trap clean_up EXIT

# What must be as it was: the view, read once more, against the first copy.
unchanged() { same /dev/mapper/data-snap /dev/copy; }
# Until the status of the filter says so; sleeps on its events.
until_state()
{
	local nr
	while nr=$(dmsetup info -c --noheadings -o events data) &&
	      [[ $(dmsetup status data) != *" cbw $1 "* ]]; do
		timeout 30 dmsetup wait data "$nr" > /dev/null
	done
}

modprobe null_blk nr_devices=0
disk disk $MB
disk room 256
disk little 24
disk copy $MB
disk plain $MB
dmsetup create data --table "0 $SIZE linear /dev/disk 0"
dmsetup create scratch --table "0 $SIZE linear /dev/plain 0"
mkfs.ext4 -q -b 4096 /dev/mapper/data
mount /dev/mapper/data /mnt
for d in room little; do
	mkdir "$work/$d"
	mkfs.ext4 -q -O ^has_journal -b 4096 /dev/$d
	mount /dev/$d "$work/$d"
done
cd "$work"
start_writers
# The database begins with an empty file; let it have all its pages.
until (($(wc -l < acks) >= 256)); do sleep 0.2; done
SECONDS=0

title "The scene"
say "The same two writers on the same kind of file system: fio, which verifies, and" \
    "a database that waits for fsync. This time the disk stays, and is backed up."
run "dmsetup table data"

title "A snapshot"
say "The store is a file that does not exist yet; it takes what is overwritten." \
    "The file system is frozen for the moment of arming, and only then."
t0=$(ledger now)
run "qmirrorctl snapshot create data=room/store --on-cbw-error break-snapshot"
t1=$(ledger now)
say "" "What the database noticed: $(ledger slowest "$work/acks" "$t0" "$t1")."
run "ls -l room"
run "qmirrorctl status"

title "A backup"
say "The view is the disk of that instant, however long the copy takes."
run "dd if=/dev/mapper/data-snap of=/dev/copy bs=1M iflag=direct oflag=direct status=none"
acks=$(wc -l < "$work/acks")
until (($(wc -l < "$work/acks") >= acks + 100)); do sleep 0.2; done
run "qmirrorctl status --json data"
prove "after all these writes the view is what it was" unchanged
prove "the backup has all that was acknowledged before, and nothing later" \
	ledger_of /dev/copy "$t0" "$t1"
prove "its file system is clean" fsck_clean /dev/copy

title "Done with it"
run "qmirrorctl snapshot remove data"
run "dmsetup table data"
say "" "The store is gone, and so is its space."
run "df -h --output=used,avail room"

title "A store that runs full: break-snapshot"
say "24 MiB for a disk of $MB MiB. The tool warns, and goes on. When the store is" \
    "full the snapshot is lost, and the writers do not notice."
run "qmirrorctl snapshot create data=little/store --on-cbw-error break-snapshot"
run "dd if=/dev/zero of=/mnt/junk bs=1M count=28 oflag=direct status=none"
until_state broken
run "qmirrorctl status data"
prove "the view is dead, also where it had been saved" \
	bash -c '! dd if=/dev/mapper/data-snap of=/dev/null bs=1M iflag=direct 2> /dev/null'
run "qmirrorctl snapshot remove data"
run "rm /mnt/junk"

title "A store that runs full: break-guest-write"
say "The other choice, on a device of its own: the write fails, with the real cause," \
    "and the snapshot is whole."
dd if=/dev/urandom of=/dev/mapper/scratch bs=1M oflag=direct status=none 2> /dev/null || true
cksum < /dev/mapper/scratch > before
run "qmirrorctl snapshot create scratch=little/store --on-cbw-error break-guest-write"
run "dd if=/dev/zero of=/dev/mapper/scratch bs=1M count=40 oflag=direct || true"
run "qmirrorctl status scratch"
prove "the view is what the device was" \
	bash -c 'cksum < /dev/mapper/scratch-snap | cmp - before'
run "qmirrorctl snapshot remove scratch"

title "The proofs"
stop_writers
prove "both writers ran through all of this without an error" \
	test $writers_failed = 0
prove "fio found what it had written, $(cat "$work/rounds") times 16 MiB" \
	grep -q 'err= 0' "$work/fio.out"
umount /mnt
prove "the file system is clean" fsck_clean /dev/mapper/data
prove "the database has lost nothing" ledger_of /dev/mapper/data
dmsetup remove data
dmsetup remove scratch
prove "nothing is left: no device, no loop device, no file" \
	bash -c '[[ -z $(losetup -a) && $(dmsetup ls) == "No devices found" && ! -e room/store && ! -e little/store ]]'

say "" "What the kernel had to say:"
dmesg | sed -n 's/.*device-mapper: cbw: /        /p'
say ""
if ((failed)); then
	say "NOT everything could be proved."
	exit 1
fi
say "All of this holds. It took $SECONDS seconds."

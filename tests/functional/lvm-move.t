#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Moving a volume from one group to another, as Documentation/lvm.rst has it:
# mirror, READY, stop the writer, cancel, exchange the names, mount again. What
# the writer was told is on the disk is on the new one, and LVM's metadata and
# the kernel agree: a refresh and a deactivation change nothing.
# vm: --timeout 600

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

plan_later
SIZE=32
vg slow 64
vg fast 64
lv slow data
mkfs.ext4 -q -F $DM/slow-data && mkdir -p /tmp/mnt && mount /dev/slow/data /tmp/mnt ||
	bail "no file system"
at_exit umount /tmp/mnt
head -c 4M /dev/urandom > /tmp/mnt/big
(cd /tmp/mnt && md5sum big) > /tmp/sums

# The writer: a file, on the disk; only then its checksum goes to the list.
writer()
{
	local n=0 f
	while [[ ! -e /tmp/stop ]]; do
		f=f$((++n % 200))
		head -c $((1 + RANDOM)) /dev/urandom > "/tmp/mnt/$f" &&
			sync "/tmp/mnt/$f" &&
			md5sum < "/tmp/mnt/$f" | sed "s,-,$f," >> /tmp/sums || exit 1
	done
}
# all files are as the list says at its end
all_there()
{
	tac /tmp/sums | awk '!seen[$2]++' > /tmp/last
	(cd /tmp/mnt && md5sum --quiet -c /tmp/last)
}
writer &
W=$!
until_true 20 test -e /tmp/mnt/f3

# --- with everything running ---
lv fast data
tool 0 "start" mirror start slow-data /dev/fast/data --copy-mode write-blocking --wait
n=$(wc -l < /tmp/sums)
ok "the writer goes on" until_true 20 eval '(($(wc -l < /tmp/sums) > n + 3))'
tool 4 "complete onto a volume of LVM's is refused" mirror complete slow-data
like "$ERR" 'slow-data belongs to LVM, whose metadata still names the old disk.*--force' "  with what to do instead"
is "$(job_state slow-data)" ready "  and changes nothing"

# --- the outage ---
touch /tmp/stop
wait $W
is $? 0 "the writer found no error"
ok "umount" umount /tmp/mnt
cleanups=()
tool 0 "cancel" mirror cancel slow-data
ok "the new volume equals the old" legs_equal $DM/slow-data 0 $DM/fast-data 0 $((SIZE * 2048))
says 0 'Renamed' "lvrename of the old one" lvrename slow data data_old
ok "mount of the new one" mount /dev/fast/data /tmp/mnt
at_exit umount /tmp/mnt
echo 3 > /proc/sys/vm/drop_caches
diag "$(wc -l < /tmp/sums) times written"
ok "every file the writer was told of is there" all_there

# --- the old one may go, LVM may do what it likes ---
says 0 'successfully removed' "lvremove of the old one" lvremove -y slow/data_old
says 0 'data +fast +-wi-ao' "lvs" lvs -o name,vg_name,attr
unlike "$OUT" 'mismatch|WARNING' "  has nothing to complain of"
says 0 '' "lvchange --refresh" lvchange --refresh fast/data
says 0 'resized' "lvextend" lvextend -L $((SIZE + 4))M fast/data
ok "the file system grows" resize2fs $DM/fast-data
umount /tmp/mnt
cleanups=()
says 0 'now active' "vgchange -an" vgchange -an fast
says 0 'now active' "vgchange -ay" vgchange -ay fast
ok "it is clean" fsck.ext4 -fn $DM/fast-data
mount /dev/fast/data /tmp/mnt
at_exit umount /tmp/mnt
ok "and every file is still there" all_there
tool 0 "status" status
is "$OUT" 'no mirrors, no snapshots' "  nothing of ours is left"
rm -f /tmp/stop

done_testing

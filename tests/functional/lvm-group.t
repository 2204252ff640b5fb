#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Two logical volumes with ext4 and xfs on them, both in use: one group snapshot,
# and both restored from its views to what they were at that instant.
# vm: --timeout 600

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

plan_later
# the smallest file system that mkfs.xfs makes has 16 MiB when told so
XFS=300
modprobe ext4 && modprobe xfs || bail "modules are missing"
vg one 64
vg two $((XFS + 16))
lv one a 24
lv two b $XFS
sa=$(mk_null sa 24) sb=$(mk_null sb $XFS) || bail "no stores"
mkfs.ext4 -q -F $DM/one-a && mkfs.xfs -q -f $DM/two-b || bail "no file systems"
A=/tmp/a B=/tmp/b
mkdir -p $A $B /tmp/va /tmp/vb
mount $DM/one-a $A && mount $DM/two-b $B || bail "not mounted"
at_exit umount $B
at_exit umount $A
for d in $A $B; do
	for i in {1..20}; do head -c $((i * 4321)) /dev/urandom > "$d/old$i"; done
	(cd $d && md5sum old*) > "/tmp/sums${d##*/}"
done

# A ledger over both: an entry is written to A and only then, when it is on the
# disk, to B. B is never ahead of A, in no instant.
ledger()
{
	local n=0
	while ((++n)); do
		echo "$n" > $A/.n && sync $A/.n && mv $A/.n $A/ledger && sync -f $A &&
			echo "$n" > $B/.n && sync $B/.n && mv $B/.n $B/ledger &&
			sync -f $B || exit 1
	done
}
ledger &
W=$!
at_exit kill $W
until_true 20 test -e $B/ledger

tool 0 "one group snapshot" snapshot create one-a=$sa two-b=$sb
like "$OUT" 'one-a: snapshot armed.*consistency: filesystem' "  of ext4"
like "$OUT" 'two-b: snapshot armed.*consistency: filesystem' "  of xfs"
like "$OUT" 'group: 2 devices, instant ' "  of one instant"
last=$(< $B/ledger)

# --- life goes on, and everything is lost ---
rm -f $A/old? $B/old?
for d in $A $B; do
	for i in {10..20}; do head -c 9999 /dev/urandom > "$d/old$i"; done
done
ok "the writer goes on" until_true 20 eval '(($(< $B/ledger) > last + 1))'
kill $W
wait $W 2> /dev/null
sync -f $A
sync -f $B

# --- the views, as file systems ---
ok "ext4's view mounts" mount -o ro,noload $DM/one-a-snap /tmp/va
ok "xfs' view mounts" mount -o ro,norecovery,nouuid $DM/two-b-snap /tmp/vb
ok "ext4's view has all files" eval 'cd /tmp/va && md5sum --quiet -c /tmp/sumsa'
ok "xfs' view has all files" eval 'cd /tmp/vb && md5sum --quiet -c /tmp/sumsb'
va=$(< /tmp/va/ledger) vb=$(< /tmp/vb/ledger)
diag "the ledger says $va and $vb, and $last after create"
ok "of one instant: B is not ahead of A" test $((va - vb)) -ge 0 -a $((va - vb)) -le 1
ok "and that was before create returned" test "$vb" -le "$last"
umount /tmp/va /tmp/vb

# --- restore: copy the views, put them back when the snapshot is gone ---
for v in one-a two-b; do
	dd if=$DM/$v-snap of=/dev/shm/$v bs=1M iflag=direct conv=sparse status=none || fail "$v-snap cannot be read"
done
umount $A $B
cleanups=()
tool 0 "remove" snapshot remove one-a two-b
for v in one-a two-b; do
	dd if=/dev/shm/$v of=$DM/$v bs=1M oflag=direct status=none || fail "$v cannot be written"
	rm /dev/shm/$v
done
mount $DM/one-a $A && mount $DM/two-b $B
at_exit umount $A $B
ok "ext4 has its old files" eval "cd $A && md5sum --quiet -c /tmp/sumsa"
ok "xfs has its old files" eval "cd $B && md5sum --quiet -c /tmp/sumsb"
is "$(< $A/ledger) $(< $B/ledger)" "$va $vb" "and both the ledger of the instant"
umount $A $B
cleanups=()
ok "ext4 is clean" fsck.ext4 -fn $DM/one-a
# its log was replayed by the mount
ok "xfs is clean" xfs_repair -n $DM/two-b

# --- LVM knows of nothing and is content ---
says 0 'b +two' "lvs" lvs -o name,vg_name,attr
unlike "$OUT" 'mismatch|WARNING' "  has nothing to complain of"
says 0 '' "lvchange --refresh" lvchange --refresh one/a two/b

done_testing

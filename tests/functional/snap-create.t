#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qmirrorctl snapshot create, status, release and remove, of a device with a
# mounted file system and fio on it: slid under and taken away while all goes on,
# and the view is what was on the disk at the instant of arming.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=32
members data
stores data
fs_begin

# --- under a mounted file system ---
echo before > /tmp/mnt/marker
tool 0 "create under a mounted file system" snapshot create "data=${S[data]}"
like "$OUT" '^data: snapshot armed, view /dev/mapper/data-snap, store /dev/s-data, on-cbw-error: break-guest-write, consistency: filesystem' "says what there is"
like "$OUT" 'instant [0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z, frozen for [0-9]+ µs' "and when, and for how long"
ok "armed, and nothing suspended" all_armed
like "$(table_of data)" " cbw $(dmsetup info -c --noheadings --separator : -o major,minor data-qsrc) 0 $(stat -c '%Hr:%Lr' "${S[data]}") 0 " "data is the cbw"
like "$(dmsetup info -c --noheadings -o uuid data-snap)" '^QMIRROR-' "the view has a uuid of ours"
like "$(dmsetup info -c --noheadings -o attr data-snap)" '^L.*r' "and is read-only"
ok "a write to it is refused" eval '! dd if=/dev/zero of=$DM/data-snap bs=4k count=1 oflag=direct 2>/dev/null'
echo after > /tmp/mnt/marker
sync -f /tmp/mnt
mkdir -p /tmp/view
ok "the view can be mounted as it is" mount -o ro "$DM/data-snap" /tmp/view
is "$(< /tmp/view/marker)" before "it shows the past"
is "$(< /tmp/mnt/marker)" after "and the device the present"
refuses 4 'already carries a snapshot' "a second snapshot" snapshot create "data=${S[data]}"
refuses 4 'already carries a snapshot' "a mirror of it" mirror start data "${S[data]}"
refuses 4 'snapshot remove data' "remove of the device" remove data
refuses 4 'snapshot remove data' "remove of the view" remove data-snap
refuses 4 'data-snap is in use' "remove while the view is mounted" snapshot remove data
umount /tmp/view
ok "a clean file system" fsck.ext4 -fn "$DM/data-snap"
tool 0 "status" status data
like "$OUT" '^data: snapshot armed, [1-9][0-9]* of 512 clusters copied' "says how much was copied"
like "$OUT" 'view /dev/mapper/data-snap live, store /dev/s-data' "and where"
tool 0 "release" snapshot release data 0 128K 1M 64K
ok "what was released cannot be read" eval '! dd if=$DM/data-snap bs=64k count=1 iflag=direct of=/dev/null 2>/dev/null'
ok "the rest can" dd if=$DM/data-snap bs=64k skip=2 count=1 iflag=direct of=/dev/null status=none
refuses 2 'past the end' "release past the end" snapshot release data 32M 64K
tool 0 "remove" snapshot remove data
like "$OUT" 'back on its old table' "says so"
ok "all is as before" as_before
refuses 5 'carries no snapshot' "remove of none" snapshot remove data
refuses 5 'carries no snapshot' "release of none" snapshot release data 0 64K

# --- the view is the disk of that instant ---
for freeze in '' --no-freeze; do
	# not by ok, which runs it in a subshell
	create_hung "data=${S[data]}" $freeze && pass "stopped right after arming${freeze:+, $freeze}" ||
		fail "stopped right after arming${freeze:+, $freeze}"
	dd if="${DISK[data]}" of=/tmp/then bs=1M iflag=direct status=none
	hung_dies
	ok "its watchdog has let the device go, armed" all_armed
	# the first MiBs change now, below the eyes of the view
	dd if=/dev/urandom of=/tmp/mnt/junk bs=1M count=2 conv=fsync status=none
	ok "the view is what was on the disk" same /tmp/then $DM/data-snap
	isnt "$(dd if="${DISK[data]}" bs=1M iflag=direct status=none | cksum)" "$(cksum < /tmp/then)" "which has changed since"
	rm /tmp/mnt/junk
	tool 0 "remove" snapshot remove data
	ok "all is as before" as_before
done

# --- what was copied to a disk does not look like a file system afterwards ---
is "$(blkid -p -o value -s TYPE "${S[data]}")" '' "no signature is left on the store"

# --- options arrive ---
tool 0 "with all options" snapshot create "data=${S[data]}" --cluster-size 4K --on-cbw-error break-snapshot \
	--cbw-timeout 1500ms --sync-first --format raw
like "$(table_of data)" 'cluster_size 8 ' "cluster size"
like "$(table_of data)" 'on_cbw_error break-snapshot' "policy"
like "$(table_of data)" 'cbw_timeout 1500' "time-out"
like "$OUT" 'on-cbw-error: break-snapshot' "create prints the policy"
tool 0 "remove by path" snapshot remove $DM/data
printf '0 65536\n1048576 131072\n' > /tmp/map
tool 0 "--protect" snapshot create "data=${S[data]}" --protect data=/tmp/map
ok "a protected cluster can be read" dd if=$DM/data-snap bs=64k skip=17 count=1 iflag=direct of=/dev/null status=none
ok "others cannot" eval '! dd if=$DM/data-snap bs=64k skip=18 count=1 iflag=direct of=/dev/null 2>/dev/null'
tool 0 "remove" snapshot remove data
ok "all is as before" as_before

fs_end
umount /tmp/mnt
cleanups=()
ok "the file system is clean" fsck.ext4 -fn $DM/data
tool 0 "not mounted" snapshot create "data=${S[data]}"
like "$OUT" 'consistency: crash' "is crash-consistent"
tool 0 "remove" snapshot remove data

done_testing

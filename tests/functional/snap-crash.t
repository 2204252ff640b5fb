#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A crash-consistent view is read-only and cannot replay its journal; the manual's
# recipe, a dm-snapshot over it, can: it mounts, is clean after that, and has what
# was synced. The view itself stays as it is.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=64
members data
stores data
need_modules dm_snapshot
mkfs.ext4 -q -F $DM/data && mkdir -p /tmp/mnt /tmp/view && mount $DM/data /tmp/mnt || bail "no file system"
at_exit umount /tmp/mnt
# a journal with something in it
for ((i = 0; i < 200; i++)); do mkdir -p "/tmp/mnt/dir$i"; echo "$i" > "/tmp/mnt/dir$i/f"; done
sync -f /tmp/mnt
(while :; do for ((i = 0; i < 50; i++)); do echo x > "/tmp/mnt/churn$i"; rm "/tmp/mnt/churn$i"; done; sync -f /tmp/mnt; done) 2> /dev/null &
W=$!
at_exit kill $W
tool 0 "create without a freeze" snapshot create "data=${S[data]}" --no-freeze
like "$OUT" 'consistency: crash' "says crash"
like "$(dumpe2fs -h $DM/data-snap 2>/dev/null)" 'needs_recovery' "its journal has to be replayed"
ok "which a read-only view does not allow" eval '! mount -o ro $DM/data-snap /tmp/view 2>/dev/null'
SUM=$(dd if=$DM/data-snap bs=1M iflag=direct status=none | cksum)

# the recipe of the manual page
truncate -s 32M /tmp/cow
cow=$(losetup -f --show /tmp/cow)
view=$DM/data-snap
ok "a throw-away layer over it" dmsetup create data-rw --table "0 $(blockdev --getsz $view) snapshot $view $cow N 8"
ok "mounts, with its journal replayed" mount $DM/data-rw /tmp/view
is "$(cat /tmp/view/dir*/f | sort -n | md5sum)" "$(seq 0 199 | md5sum)" "has all that was synced"
umount /tmp/view
ok "and is clean" fsck.ext4 -fn $DM/data-rw
dmsetup remove data-rw
losetup -d "$cow"
is "$(dd if=$DM/data-snap bs=1M iflag=direct status=none | cksum)" "$SUM" "the view itself is unchanged"
kill $W
wait $W 2> /dev/null
tool 0 "remove" snapshot remove data
umount /tmp/mnt
cleanups=()
ok "the device itself is clean" fsck.ext4 -fn $DM/data
ok "all is as before" as_before

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A STORE that is a path: sparse, direct I/O, autoclear, 0600, unlinked; and it
# leaves nothing behind, not after remove, not after a failure, not when the
# devices are taken down by hand.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
members a b
store_fs

tool 0 "create with a path" snapshot create a=/tmp/st/store
ok "armed" eval '[[ $(snap_state a) == armed ]]'
ok "the path is not there" eval '[[ ! -e /tmp/st/store ]]'
is "$(losetup -nlO AUTOCLEAR,DIO,SIZELIMIT,OFFSET | xargs)" "1 1 0 0" "autoclear and direct I/O"
like "$(losetup -nlO BACK-FILE)" '^/tmp/st/store \(deleted\)' "unlinked"
LOOP=$(losetup -nlO NAME)
is "$(blockdev --getsize64 "$LOOP")" $((MB << 20)) "as large as the device"
ok "and sparse" test "$(($(st_used) - ST_USED))" -lt 64
dd if=/dev/zero of=$DM/a bs=1M count=2 oflag=direct status=none
ok "what is overwritten goes there" test "$(($(st_used) - ST_USED))" -ge 2048
tool 0 "status" status a
like "$OUT" 'store /tmp/st/store \([0-9.]+ MiB free\)' "shows the path and the room"
tool 0 "remove" snapshot remove a --verbose
is "$ERR" "" "says nothing of a store that goes by itself"
ok "nothing is left" st_clean_soon

# --- by hand, in any order ---
tool 0 "create again, the same path" snapshot create a=/tmp/st/store
dmsetup remove a-snap
dmsetup suspend a && dmsetup load a --table "${TABLE[a]}" && dmsetup resume a
ok "removed by hand, nothing is left" st_clean_soon
tool 0 "status" status
like "$OUT" 'a-qsrc: orphan' "but NAME-qsrc is, and status says so"
tool 0 "remove takes it away" remove a-qsrc
ok "all is as before" as_before

# --- without its cbw the view is a leftover ---
tool 0 "create" snapshot create a=/tmp/st/store
dmsetup suspend a && dmsetup load a --table "${TABLE[a]}" && dmsetup resume a
tool 0 "status" status
like "$OUT" 'a-snap: orphan: the view of a snapshot that is gone' "the view is an orphan"
tool 0 "remove the view" remove a-snap
tool 0 "and the source" remove a-qsrc
ok "nothing is left" st_clean_soon

# --- room ---
fallocate -l 56M /tmp/st/fill
tool 0 "little room" snapshot create a=/tmp/st/store
like "$ERR" 'warning: the file system of /tmp/st/store has room for .*, and a is 16.0 MiB' "is warned about"
THEN=$(dd if=$DM/a bs=1M iflag=direct status=none | cksum)
dd if=/dev/zero of=$DM/a bs=64k oflag=direct status=none 2> /tmp/dd.err
isnt "$?" 0 "when it is full, writes fail"
like "$(< /tmp/dd.err)" 'No space left on device' "with the real cause"
is "$(dd if=$DM/a-snap bs=1M iflag=direct status=none | cksum)" "$THEN" "and the snapshot is whole"
tool 0 "status" status a
like "$OUT" 'snapshot armed' "it is still armed"
like "$OUT" 'first error write:ENOSPC:[0-9]+, [1-9][0-9]* guest writes failed' "and status says so"
tool 0 "remove" snapshot remove a
rm /tmp/st/fill

# --- two at once ---
tool 0 "two files" snapshot create a=/tmp/st/sa b=/tmp/st/sb
ok "both armed" all_armed
tool 0 "remove both" snapshot remove a b
ok "nothing is left" st_clean_soon
ok "all is as before" as_before

# --- block sizes ---
DISK4=$(mk_null d-k "$MB" blocksize=4096)
mk_dm k "0 $LEN linear $DISK4 0"
tool 0 "a device of 4096-byte blocks" snapshot create k=/tmp/st/store
dd if=/dev/zero of=$DM/k bs=4k count=1 oflag=direct status=none
ok "its view can be read" dd if=$DM/k-snap bs=4k count=1 iflag=direct of=/dev/null status=none
tool 0 "remove" snapshot remove k
FS4=$(mk_null fs4 64 blocksize=4096)
mkfs.ext4 -q -F -O ^has_journal "$FS4" && mkdir -p /tmp/st4 && mount "$FS4" /tmp/st4
tool 0 "a file on a disk of larger blocks" snapshot create a=/tmp/st4/store
like "$ERR" 'no direct I/O: its disk has blocks of 4096 bytes' "works, without direct I/O, and says so"
dd if=/dev/zero of=$DM/a bs=512 count=1 oflag=direct status=none
ok "its view can be read" dd if=$DM/a-snap bs=512 count=1 iflag=direct of=/dev/null status=none
tool 0 "for a device of such blocks" snapshot create k=/tmp/st4/store4
is "$ERR" '' "there is nothing to say"
is "$(losetup -nlO BACK-FILE,LOG-SEC,DIO | grep store4 | xargs)" "/tmp/st4/store4 (deleted) 4096 1" "direct I/O"
tool 0 "remove" snapshot remove a k
ok "nothing is left" st_clean_soon
umount /tmp/st4
dmsetup remove k

# --- file systems that do no direct I/O, or only say that they do ---
mkdir -p /tmp/tm && mount -t tmpfs none /tmp/tm
mkdir -p /tmp/tm/u /tmp/tm/w /tmp/ov && mount -t overlay none -o "lowerdir=/tmp/st,upperdir=/tmp/tm/u,workdir=/tmp/tm/w" /tmp/ov
for dir in /tmp/tm /tmp/ov; do
	# Since 6.6 a tmpfs does it.
	direct=0
	! dd if=/dev/zero of=$dir/probe bs=4k count=1 oflag=direct status=none 2> /dev/null || direct=1
	rm -f $dir/probe
	tool 0 "a store on $(stat -f -c %T $dir)" snapshot create a=$dir/store
	if ((direct)); then
		is "$ERR" '' "does direct I/O here: there is nothing to say"
	else
		like "$ERR" 'no direct I/O: its file system does none' "works, and says so"
	fi
	is "$(losetup -nlO BACK-FILE,DIO | awk -v f="$dir/store" '$1 == f { print $NF }')" $direct "the loop device does as the file system"
	ok "a write goes through" dd if=/dev/urandom of=$DM/a bs=64k count=4 oflag=direct status=none
	tool 0 "status" status a
	like "$OUT" ' 4 of [0-9]+ clusters copied' "what was there is copied"
	ok "and can be read" dd if=$DM/a-snap bs=64k count=4 iflag=direct of=/dev/null status=none
	tool 0 "remove" snapshot remove a
done
ok "no loop device is left" until_true 5 eval '[[ ! $(losetup -anO NAME) ]]'
umount /tmp/ov /tmp/tm

# --- refusals ---
cd /tmp/st || bail "no /tmp/st"
json_says()
{
	local want=$1
	shift
	"$CTL" --json "$@" > /tmp/ctl.out 2> /dev/null
	is "$(python3 -S -c 'import json; e=json.load(open("/tmp/ctl.out"))["error"]; print(e["class"],e["stage"],e["errno"],e["device"],e["file"])')" "$want" "  $want"
}
refused() # STATUS REGEX "CLASS STAGE ERRNO DEVICE FILE" NAME ARG...
{
	refuses "$1" "$2" "$4" snapshot create "${@:5}"
	json_says "$3" snapshot create "${@:5}"
}
touch /tmp/st/there
refused 1 'the path exists' "OpenFileFailed create-store EEXIST a /tmp/st/there" "a file that exists" a=/tmp/st/there
ln -s /nowhere /tmp/st/link
refused 1 'the path exists' "OpenFileFailed create-store EEXIST a /tmp/st/link" "a dangling link" a=/tmp/st/link
refused 1 'No such file' "OpenFileFailed create-store ENOENT a /tmp/st/no/x" "no such folder" a=/tmp/st/no/x
refused 1 'no such device' "OpenFileFailed create-store ENODEV a /dev/nosuch" "a mistyped device" a=/dev/nosuch
rm /tmp/st/there /tmp/st/link
mkdir -p /tmp/ro && mount -o bind,ro /tmp/st /tmp/ro
refused 1 'Read-only' "OpenFileFailed create-store EROFS a /tmp/ro/x" "a read-only file system" a=/tmp/ro/x
umount /tmp/ro
refused 4 'named twice' "DeviceInUse check EBUSY b /tmp/st/x" "one file for two" a=/tmp/st/x b=/tmp/st/x
mkfs.ext4 -q -F $DM/b && mkdir -p /tmp/onb && mount $DM/b /tmp/onb
refused 4 'STORE /tmp/onb/x is stacked on member b' "DeviceInUse check EBUSY b /tmp/onb/x" "a file on its own device" b=/tmp/onb/x
refused 4 'STORE /tmp/onb/x is stacked on member b' "DeviceInUse check EBUSY b /tmp/onb/x" "a file on a later member" a=/tmp/onb/x b=/tmp/st/y
umount /tmp/onb
ok "nothing is left" st_clean_soon
ok "all is as before" as_before
cd /

done_testing

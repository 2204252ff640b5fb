#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What qmirrorctl does not do: each refusal in one line, with its status, and
# with nothing changed.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
disks
start() { refuses "$1" "$2" "$3" mirror start "${@:4}"; }

# --- lookup ---
start 3 'SOURCE nosuch not found' "no SOURCE" nosuch "$B"
start 3 'TARGET /dev/nosuch not found' "no TARGET" data /dev/nosuch
start 3 'TARGET nosuch not found' "no TARGET of that name" data nosuch
start 3 'no block device' "TARGET is a file" data /etc/passwd
start 3 'no block device' "TARGET is a character device" data /dev/null
start 3 'SOURCE  not found' "SOURCE is empty" '' "$B"
for v in 'mirror pause' 'mirror resume' 'mirror wait' 'mirror complete' 'mirror cancel' status events remove; do
	# shellcheck disable=SC2086
	refuses 3 'nosuch' "$v of nothing" $v nosuch
done
for v in 'mirror pause' 'mirror resume' 'mirror wait' 'mirror complete' 'mirror cancel' status events; do
	# shellcheck disable=SC2086
	refuses 5 'data carries no mirror' "$v of what is no mirror" $v data
done
refuses 4 'no device of qmirrorctl' "remove of another's device" remove data

# --- TARGET in use ---
start 4 'same device' "onto itself" data data
start 4 'SOURCE data is stacked on TARGET a' "onto its own leg" data "$A"
mk_dm up "0 $LEN linear $DM/data 0"
start 4 'TARGET up is stacked on SOURCE data' "onto what stands on it" data up
dmsetup remove up
mkfs.ext4 -q -F "$B"
start 4 'carries a signature \(ext4\); --force' "a signature" data "$B"
mkdir -p /tmp/mnt2
mount "$B" /tmp/mnt2
start 4 'is mounted on /tmp/mnt2' "mounted, --force or not" data "$B" --force
umount /tmp/mnt2
mk_dm hold "0 8 linear $B 0"
start 4 'is held by hold' "held" data "$B" --force
dmsetup remove hold
mkswap "$B" > /dev/null 2>&1
swapon "$B" && {
	start 4 'is used as swap' "swap" data "$B" --force
	swapoff "$B"
}
wipefs -qa "$B"
# one MBR entry of type 83, from sector 8
{ head -c 446 /dev/zero; printf '\0\0\0\0\203\0\0\0\10\0\0\0\10\0\0\0'
  head -c 48 /dev/zero; printf '\125\252'; } | dd of="$B" conv=fsync status=none
start 4 'partition table \(dos\)' "a partition table" data "$B"
dd if=/dev/zero of="$B" bs=4k count=1 conv=fsync status=none
mk_dm susp "0 $LEN linear $B 0"
dmsetup suspend susp
start 4 'TARGET susp is suspended' "a suspended target is not even read" data susp
dmsetup resume susp
dmsetup remove susp

# --- TARGET on SOURCE through a file ---
mkfs.ext4 -q -F $DM/data && mkdir -p /tmp/mnt && mount $DM/data /tmp/mnt
truncate -s "${MB}M" /tmp/mnt/file
L=$(losetup -f --show /tmp/mnt/file)
start 4 'stacked on SOURCE data' "a loop over a file on SOURCE" data "$L"
losetup -d "$L"
umount /tmp/mnt

# --- it does not fit ---
small=$(mk_null small 16)
big4k=$(mk_null big4k $MB blocksize=4096)
start 1 'smaller than SOURCE' "a smaller TARGET" data "$small"
start 1 'logical blocks of 4096' "4096-byte blocks under 512" data "$big4k"
blockdev --setro "$B"
start 1 'read-only' "a read-only TARGET" data "$B"
blockdev --setrw "$B"

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What qmirrorctl does not do, part two: what SOURCE is not good for, options
# that need the devices, and devices of another manager.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
disks
start() { refuses "$1" "$2" "$3" mirror start "${@:4}"; }
mkdir -p /tmp/mnt
small=$(mk_null small 16)
big4k=$(mk_null big4k $MB blocksize=4096)

# --- SOURCE ---
dmsetup suspend data
start 4 'data is suspended' "SOURCE is suspended" data "$B"
dmsetup resume data
dmsetup load data --table "$OLD"
start 4 'inactive table' "SOURCE has an inactive table" data "$B"
dmsetup clear data
dmsetup create data-qsrc --notable
start 4 'data-qsrc is there already' "NAME-qsrc is taken" data "$B"
dmsetup remove data-qsrc
dmsetup create notable --notable
start 1 'has no table' "SOURCE has no table" notable "$B"
dmsetup remove notable
mk_dm snap0 "0 $LEN snapshot-origin $DM/data" &&
	start 4 'snapshot-origin table.*stack it above' "a table that cannot be slid under" snap0 "$B"
dmsetup remove snap0
tool 0 "but stacked above it may be" mirror start data "$B" --name above
tool 0 "" mirror cancel above --force
tool 0 "" remove above
long=$(printf 'n%.0s' {1..125})
mk_dm "$long" "0 $LEN linear $A 0" && start 1 'leaves no room' "a name without room for -qsrc" "$long" "$B"
dmsetup remove "$long"
mkfs.ext4 -q -F "$small" && mount "$small" /tmp/mnt
start 4 'mounted on /tmp/mnt' "a mounted plain SOURCE, without --name" "$small" "$B"
start 4 'mounted on /tmp/mnt.*only I/O through /dev/mapper/n' "a mounted plain SOURCE" "$small" "$B" --name n
umount /tmp/mnt
start 4 'held by data.*only I/O' "a plain SOURCE in use by dm" "$A" "$B" --name n

# --- options that only make sense with the devices known ---
start 2 'not in the range' "granularity 256" data "$B" --granularity 256
start 2 'power of two' "granularity 96K" data "$B" --granularity 96K
start 2 'less than a logical block' "granularity below a block" "$big4k" "$B" --name n --granularity 512
echo "$((LEN * 512)) 512" > /tmp/map
start 2 'line 1: past the end' "a bitmap past the end" data "$B" --sync bitmap --bitmap /tmp/map
start 1 'cannot be opened' "no bitmap" data "$B" --sync bitmap --bitmap /nosuch
start 2 'replaces needs a SOURCE' "--replaces over a plain device" "$small" "$B" --name n --replaces data

# --- what the kernel says of a table ---
mk_dm huge "0 4294967296 zero"
mk_dm huget "0 4294967296 zero"
start 1 'huge: the kernel refused the qmirror table.*everything is as it was' "2^32 chunks" huge huget --granularity 512
dmsetup remove huge huget
is "$(suspended)" '' "nothing is suspended"

# --- another manager ---
dmsetup remove data
dmsetup create vg-data --uuid LVM-abcdef --table "$OLD"
tool 0 "an LVM device may be mirrored" mirror start vg-data "$B" --wait
refuses 4 'vg-data belongs to LVM, whose metadata still names the old disk; the next LVM command or reboot would bring the old data back\. Use --replaces, or cancel and exchange the volumes \(lvm\.rst\), or --force' \
	"but not completed" mirror complete vg-data
is "$(dm_field vg-data ending)" - "no message was sent"
tool 4 "in JSON too" mirror complete vg-data --json
ok "which is valid" valid_json
is "$(json 'd["error"]["class"]')" DeviceInUse "with the class"
tool 0 "cancel is fine" mirror cancel vg-data
tool 0 "start" mirror start vg-data "$B" --wait --force
tool 0 "complete --force" mirror complete vg-data --force
dmsetup remove vg-data

done_testing

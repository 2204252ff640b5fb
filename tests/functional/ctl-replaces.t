#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# --replaces DEV: DEV moves to the target, SOURCE gets its old table back; and
# not when another opener has appeared.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
disks
mk_dm top "0 $LEN linear $DM/data 0"
TOP=$(table_of top)
mk_dm half "0 8 linear $DM/data 0"
start() { refuses "$1" "$2" "$3" mirror start data "$B" "${@:4}"; }

start 4 'half cannot be replaced: its table is not one linear line' "a device over a part of SOURCE" --replaces half
dmsetup remove half
start 4 'not one linear line' "a device over something else" --replaces data
start 3 'not found' "no device" --replaces nosuch
start 4 'no device-mapper device' "a plain one" --replaces "$A"
exec 8< $DM/data
start 4 'data has other users' "SOURCE has another opener" --replaces top
exec 8<&-

mkfs.ext4 -q -F $DM/top && mkdir -p /tmp/mnt && mount $DM/top /tmp/mnt
dd if=/dev/urandom of=/tmp/mnt/file bs=64k count=16 status=none
sum=$(md5sum < /tmp/mnt/file)
tool 0 "start with --replaces" mirror start data "$B" --replaces top --wait

# --- another opener appears ---
tables=$(dmsetup table | sort)
exec 8< $DM/data
tool 4 "complete with another opener is refused" mirror complete data --json
like "$ERR" 'data: can no longer be replaced: top is no longer its only user; nothing was swapped and the job stays pending' "it says so"
is "$(json 'd["error"]["errno"]')" EPERM "EPERM"
ok "valid JSON" valid_json
is "$(job_state data)" pending "the job stays pending"
is "$(dm_field data ending)" complete "with the request kept"
is "$(suspended)" '' "nothing is suspended"
is "$(dmsetup table | sort)" "$tables" "nothing was swapped"
dd if=/dev/urandom of=/tmp/mnt/file2 bs=64k count=4 status=none conv=fsync
pass "writes go on"
exec 8<&-

# --- its table has changed ---
dmsetup load top --table "0 $LEN linear $DM/data 0" && dmsetup suspend top
tool 4 "complete with DEV suspended is refused" mirror complete data
dmsetup resume top

# --- and now it works ---
tool 0 "complete" mirror complete data
like "$OUT" '^top: completed, now on /dev/b' "says where top is"
is "$(table_of top)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "top is on the target"
is "$(table_of data)" "$OLD" "data has its old table"
ok "data-qsrc is gone" eval '! exists data-qsrc'
ok "nothing of the job is left in /run" eval '! ls /run/qmirrorctl/job.* 2>/dev/null'
echo 3 > /proc/sys/vm/drop_caches
is "$(md5sum < /tmp/mnt/file)" "$sum" "the file is as it was"
umount /tmp/mnt
ok "the file system is clean" fsck.ext4 -fn $DM/top

# --- a job of the same name without --replaces ---
dmsetup remove top
tool 0 "start without" mirror start data "$B" --force --wait
tool 0 "complete" mirror complete data
is "$(table_of data)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "data itself moves"

# --- DEV of another manager ---
dmsetup create lv --uuid LVM-x --table "0 $LEN linear $DM/data 0"
tool 0 "start" mirror start data "$A" --replaces lv --force --wait
refuses 4 'lv belongs to LVM' "complete onto an LVM device" mirror complete data
tool 0 "cancel" mirror cancel data
is "$(table_of lv)" "0 $LEN linear $(dmsetup info -c --noheadings --separator : -o major,minor data) 0" "and lv was never touched"

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What finds no tag in the target is sent once more, as it was: also the part of
# a write that begins in the middle of a page of its copy and is no larger than
# a page. Taken for one segment (the block layer of 6.1 goes by the count of
# pages) it ends in a BUG of the SCSI layer. So the target is a SCSI disk and
# nothing, which would hand down a clone of its own, lies between.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((16 * 2048))
modprobe -a sd_mod && modprobe scsi_debug dev_size_mb=16 max_queue=1 delay=0 \
	ndelay=1000000 2>/dev/null || skip_all "no scsi_debug"
at_exit rmmod scsi_debug
until_true 5 test -b /dev/sda
echo none > /sys/block/sda/queue/scheduler

# The first chunk is dirty and stays it: the job is paused.
dm_make m "0 $LEN qmirror $DM/src 0 /dev/sda 0 4 sync bitmap copy_mode write-blocking"
dmsetup message m 0 mark_dirty 0 $CH
t_wait "paused, one chunk dirty" '^paused .* 1/256 ' 5

# One tag, and always somebody who has it.
for i in 1 2; do
	while [[ ! -e /tmp/enough ]]; do
		dd if=/dev/zero of=$DM/m bs=4k oflag=direct seek=$((i * 1024)) count=256 status=none
	done &
done

# 4.5 KiB: a sector of the dirty chunk, then a page's worth of the clean one.
bad=0
for i in {1..12}; do
	head -c 4608 /dev/urandom > /tmp/pat
	dd if=/tmp/pat of=$DM/m bs=4608 oflag=direct seek=$((CH * 512 - 512)) \
		oflag=seek_bytes count=1 status=none || bad=1
	dd if=/dev/sda bs=4k iflag=direct skip=$((CH / 8)) count=1 status=none |
		cmp - <(tail -c 4096 /tmp/pat) || bad=1
done
: > /tmp/enough
wait
t_is $bad 0 "every write is on the target, as it was written"
t_wait "no error, nothing else dirty" '^paused .* 1/256 ok - 0 0 ' 5
unmirror
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# measure.sh - runs in the guest of bench and prints "result DEVICE IO COST"
# lines, see lib.sh; COST is that of a 4 KiB I/O. With QUICK set only what a bar
# of instructions needs.

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

QUICK=${QUICK:-}
null_blk
null_disk a
null_disk b
null_disk slow-a irqmode=2 completion_nsec=50000 queue_mode=2
null_disk slow-b irqmode=2 completion_nsec=50000 queue_mode=2

# two_legs A B IO...: every kind of mirror over the two
two_legs()
{
	local a=$1 b=$2 q
	shift 2
	q="0 $LEN qmirror $a 0 $b 0"
	[[ $QUICK ]] || {
		device mirror "0 $LEN mirror core 2 1024 nosync 2 $a 0 $b 0" "$@"
		device raid1 "0 $LEN raid raid1 2 0 nosync 2 - $a - $b" "$@"
	}
	[[ $1 == latency* ]] ||
		device qmirror-background "$q 2 sync none" "$@"
	device qmirror-bounce "$q 4 sync none copy_mode write-blocking" "$@"
	device qmirror-nobounce \
		"$q 5 sync none copy_mode write-blocking no_bounce" "$@"
}

share=$(own_share)
echo "fio itself: $share per I/O"
device linear "0 $LEN linear /dev/a 0" write read
two_legs /dev/a /dev/b write read
if [[ ! $QUICK ]]; then
	cost null_blk write /dev/a
	cost null_blk read /dev/a
	dmsetup create below --table "0 $LEN linear /dev/a 0"
	device linear2 "0 $LEN linear /dev/mapper/below 0" write
	dmsetup remove below

	cost leg-50us latency /dev/slow-a
	cost leg-50us latency-aio /dev/slow-a
	device linear "0 $LEN linear /dev/slow-a 0" latency latency-aio
	two_legs /dev/slow-a /dev/slow-b latency latency-aio
fi

# First writes: one in each cluster, on devices that have seen none.
first() # NAME IO DEV: what one costs
{
	echo "result $1 $2 $((share + $(fio_ns latency "$3" --rw=write:60k \
		--number_ios="$FIRST")))"
}
# The order for dm-snapshot is that of its manual: the origin's line comes last.
snapshot_first() # IO STORE SECTORS
{
	dmsetup create origin --table "0 $3 linear /dev/a 0"
	dmsetup create snap --table "0 $3 snapshot /dev/mapper/origin $2 N 128"
	dmsetup create x --table "0 $3 snapshot-origin /dev/mapper/origin"
	first snapshot "$1" /dev/mapper/x
	dmsetup remove x
	dmsetup remove snap
	dmsetup remove origin
}
cbw_first() # IO STORE SECTORS
{
	dmsetup create cbw --table "0 $3 cbw /dev/a 0 $2 0"
	first cbw "$1" /dev/mapper/cbw
	dmsetup remove cbw
}
# What one 128 KiB read of a sequential reader costs.
seqread() # NAME DEV
{
	fio_ns latency "$2" --rw=read --bs=128k --number_ios=100 > /dev/null
	echo "result $1 seqread $((share + $(fio_ns latency "$2" --rw=read \
		--bs=128k --number_ios=2000)))"
}

SMALL=$((512 * 2048)) FIRST=4000
modprobe -q dm-snapshot && snapshot_first first /dev/b "$SMALL"
if modprobe -q dm-cbw; then
	cbw_first first /dev/b "$SMALL"
	dmsetup create cbw --table "0 $SMALL cbw /dev/a 0 /dev/b 0"
	dmsetup create view -r --table "0 $SMALL cbw-snapshot /dev/a 0 /dev/b 0"
	seqread cbw /dev/mapper/cbw
	seqread view /dev/mapper/view
	fio --name=fill --filename=/dev/mapper/cbw --rw=write --bs=1M \
		--direct=1 --output=/dev/null
	seqread view-saved /dev/mapper/view
	dmsetup remove view
	cost cbw-copied write /dev/mapper/cbw
	cost cbw-copied read /dev/mapper/cbw
	dmsetup message cbw 0 disarm
	cost cbw-idle write /dev/mapper/cbw
	dmsetup remove cbw
fi

# The same with a store that takes time, and has all its pages already.
modprobe brd rd_nr=1 rd_size=$((160 * 1024))
fio --name=fill --filename=/dev/ram0 --rw=write --bs=1M --direct=1 \
	--output=/dev/null
SMALL=$((128 * 2048)) FIRST=2000
modprobe -q dm-snapshot && snapshot_first first-brd /dev/ram0 "$SMALL"
modprobe -q dm-cbw && cbw_first first-brd /dev/ram0 "$SMALL"
echo "result end"

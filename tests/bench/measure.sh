#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# measure.sh - runs in the guest of bench and prints "result DEVICE IO COST"
# lines, COST being nanoseconds of guest time per 4 KiB I/O, which under icount
# are instructions. psync, one I/O at a time: then costs add up and nothing
# hides them. null_blk stores nothing and completes in the submitter's context.

set -euo pipefail

N=${N:-10000}		# I/Os a measurement
MB=1024			# size of the null disks; nothing is stored
LEN=$((MB * 2048))

null_disk() # NAME [ATTR=VALUE...]
{
	local cfg=/sys/kernel/config/nullb/$1 a
	shift
	mkdir "$cfg"
	for a in size=$MB memory_backed=0 queue_mode=0 irqmode=0 "$@"; do
		echo "${a#*=}" > "$cfg/${a%%=*}"
	done
	echo 1 > "$cfg/power"
}

# fio_ns FIELD DEV FIO-OPTION...: nanoseconds per I/O, by fio's latency (exact,
# but without what fio does between two I/Os) or by its runtime (in ms).
fio_ns()
{
	local field=$1 dev=$2
	shift 2
	[[ -b $dev ]] || { echo "$dev is no block device" >&2; exit 1; }
	fio --name=x --filename="$dev" --ioengine=psync --direct=1 --bs=4k \
		--thread --norandommap --randrepeat=1 --output-format=json "$@" |
	/usr/bin/python3 -c '
import json, sys
text = sys.stdin.read()
job = json.loads(text[text.index("{"):])["jobs"][0]
assert job["error"] == 0, text
for d in (job["read"], job["write"]):
    if d["total_ios"]:
        print(round(d["lat_ns"]["mean"] if sys.argv[1] == "latency"
                    else d["runtime"] * 1e6 / d["total_ios"]))' "$field"
}

# What a user pays includes what the program does per I/O, and the bars were
# set that way: fio's own share, the same for all devices, measured once with
# enough I/Os for its clock of milliseconds.
own_share()
{
	local io=(/dev/a --rw=randwrite --number_ios=200000)
	echo $(($(fio_ns runtime "${io[@]}") - $(fio_ns latency "${io[@]}")))
}

# cost NAME IO DEV: after a first short run, that warms up what the first I/Os
# of a device pay for. "latency" is what the caller of one write waits.
cost()
{
	local rw=rand$2 plus=$share
	[[ $2 != latency ]] || rw=randwrite plus=0
	fio_ns latency "$3" --rw="$rw" --number_ios=500 > /dev/null
	echo "result $1 $2 $((plus +
		$(fio_ns latency "$3" --rw="$rw" --number_ios="$N")))"
}

# device NAME TABLE IO...: make it, measure each IO, remove it. A target whose
# module is not there is left out; one that is and refuses the table is a fault.
device()
{
	local name=$1 table=$2 io target
	shift 2
	target=$(cut -d' ' -f3 <<< "$table")
	if ! dmsetup targets | grep -q "^$target " &&
	   ! modprobe -q "dm-$target"; then
		echo "$name: no module dm-$target"
		return
	fi
	dmsetup create "$name" --table "$table"
	[[ $target != qmirror ]] || settled "$name"
	for io; do
		cost "$name" "$io" "/dev/mapper/$name"
	done
	dmsetup remove "$name"
}

# A mirror that copies nothing: READY came, or the figures mean nothing. In
# background mode it is never in sync, and each write would give the copier
# work whose cost is not the write's: paused, it stays idle.
settled()
{
	local nr status
	while :; do
		nr=$(dmsetup info -c --noheadings -o events "$1")
		status=$(dmsetup status "$1")
		case $status in
		*" qmirror ready "*"copy_mode background"*)
			dmsetup message "$1" 0 pause
			return 0 ;;
		*" qmirror ready yes "*)
			return 0 ;;
		esac
		timeout 20 dmsetup wait "$1" "$nr" > /dev/null
	done
}

modprobe -a dm-mod null_blk nr_devices=0 2>/dev/null ||
	modprobe null_blk nr_devices=0
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
	device mirror "0 $LEN mirror core 2 1024 nosync 2 $a 0 $b 0" "$@"
	device raid1 "0 $LEN raid raid1 2 0 nosync 2 - $a - $b" "$@"
	[[ $1 == latency ]] ||
		device qmirror-background "$q 2 sync none" "$@"
	device qmirror-bounce "$q 4 sync none copy_mode write-blocking" "$@"
	device qmirror-nobounce \
		"$q 5 sync none copy_mode write-blocking no_bounce" "$@"
}

share=$(own_share)
echo "fio itself: $share per I/O"
cost null_blk write /dev/a
cost null_blk read /dev/a
device linear "0 $LEN linear /dev/a 0" write read
dmsetup create below --table "0 $LEN linear /dev/a 0"
device linear2 "0 $LEN linear /dev/mapper/below 0" write
dmsetup remove below
two_legs /dev/a /dev/b write read

cost leg-50us latency /dev/slow-a
device linear "0 $LEN linear /dev/slow-a 0" latency
two_legs /dev/slow-a /dev/slow-b latency

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

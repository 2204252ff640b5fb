#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# matrix.sh - runs in the guest of bench --matrix and prints "result DEVICE IO
# COST" lines: reads and writes of 4 and 64 KiB, random and sequential, on every
# device that somebody might use instead of ours, in every state that ours have.
# See lib.sh for what COST is.

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

N=${N:-2000}
BS=(4 64) PATTERN=(rand seq) OP=(write read)

# What is made is removed in reverse order.
made=()
mk() # NAME TABLE [OPTION...]
{
	local name=$1 table=$2
	shift 2
	dmsetup create "$name" "$@" --table "$table"
	made=("$name" "${made[@]}")
}
down()
{
	local name
	for name in "${made[@]}"; do
		dmsetup remove "$name"
	done
	made=()
}
fill() # DEV: write all of it once
{
	fio --name=fill --filename="$1" --rw=write --bs=1M --direct=1 \
		--output=/dev/null
}

# One function a kind of device: makes $dev, by default /dev/mapper/x.
null_blk_up()	{ dev=/dev/a; }
linear_up()	{ mk x "0 $LEN linear /dev/a 0"; }
mirror_up()	{ mk x "0 $LEN mirror core 2 1024 nosync 2 /dev/a 0 /dev/b 0"; }
raid1_up()	{ mk x "0 $LEN raid raid1 2 0 nosync 2 - /dev/a - /dev/b"; }
clone_up() # fully hydrated: what is overwritten as a whole need not be copied
{
	mk x "0 $LEN clone /dev/ram0 /dev/a /dev/b 128 1 no_hydration"
	fill /dev/mapper/x
	[[ $(dmsetup status x) == *" $((LEN / 128))/$((LEN / 128)) "* ]]
}

qmirror() # SETTLED OPTIONS
{
	mk x "0 $LEN qmirror /dev/a 0 /dev/b 0 $2"
	"$1" x
}
qmirror-background_up()	{ qmirror settled "2 sync none"; }
qmirror-bounce_up()	{ qmirror settled "4 sync none copy_mode write-blocking"; }
qmirror-nobounce_up()	{ qmirror settled "5 sync none copy_mode write-blocking no_bounce"; }
# While it copies, ahead of the copier: chunks are dirty. The copier itself rests,
# or its work would be counted as that of the write that it interrupts.
rests() { dmsetup message "$1" 0 pause; }
qmirror-copying_up()	{ qmirror rests "4 speed 2048 copy_mode write-blocking"; }

# Snapshots of a part, so that all of it can be copied in a short time.
PART=$((128 * 2048))
origin-idle_up()	{ mk x "0 $PART snapshot-origin /dev/a"; }
origin() # STORE
{
	mk snap "0 $PART snapshot /dev/a $1 N 128"
	mk x "0 $PART snapshot-origin /dev/a"
	fill /dev/mapper/x
}
origin-copied_up()	{ origin /dev/b; }
origin-broken_up() # its store was too small
{
	mk tiny "0 2048 linear /dev/b 0"
	origin /dev/mapper/tiny
	[[ $(dmsetup status snap) == *Invalid* ]]
}

cbw() # STORE [OPTIONS]
{
	mk x "0 $PART cbw /dev/a 0 $1 0 ${2:-}"
}
cbw-idle_up()	{ cbw /dev/b; dmsetup message x 0 disarm; }
cbw-copied_up()	{ cbw /dev/b; fill /dev/mapper/x; }
cbw-broken_up() # its store fails
{
	mk bad "0 $PART error"
	cbw /dev/mapper/bad "2 on_cbw_error break-snapshot"
	fill /dev/mapper/x
	[[ $(dmsetup status x) == *broken* ]]
}

thin() # a pool, and in it a device that is all there
{
	dd if=/dev/zero of=/dev/ram0 bs=4k count=1 status=none
	mk pool "0 $LEN thin-pool /dev/ram0 /dev/b 128 0 1 skip_block_zeroing"
	dmsetup message pool 0 "create_thin 0"
	mk x "0 $PART thin /dev/mapper/pool 0"
	fill /dev/mapper/x
}
thin_up()	{ thin; }
thin-copied_up() # has a snapshot, and shares nothing with it any more
{
	thin
	dmsetup suspend x
	dmsetup message pool 0 "create_snap 1 0"
	dmsetup resume x
	fill /dev/mapper/x
}
era_up()
{
	dd if=/dev/zero of=/dev/ram0 bs=4k count=1 status=none
	mk x "0 $LEN era /dev/ram0 /dev/a 128"
}

# All I/O on one device by one fio, job by job, each after a warm-up of its own.
jobs()
{
	local bs pattern op rw
	echo "[global]"
	printf '%s\n' "filename=$dev" ioengine=psync direct=1 thread norandommap \
		randrepeat=1 stonewall
	for bs in "${BS[@]}"; do for pattern in "${PATTERN[@]}"; do
	for op in "${OP[@]}"; do
		rw=$op
		[[ $pattern == seq ]] || rw=rand$op
		printf '%s\n' "[warm-up]" "rw=$rw" "bs=${bs}k" number_ios=200 \
			"[$op-$pattern-${bs}k]" "rw=$rw" "bs=${bs}k" \
			number_ios="$N"
	done; done; done
}
matrix() # KIND
{
	dev=/dev/mapper/x
	"$1_up"
	fio --output-format=json <(jobs) | /usr/bin/python3 -c '
import json, sys
text = sys.stdin.read()
for job in json.loads(text[text.index("{"):])["jobs"]:
    assert job["error"] == 0, text
    if job["jobname"] == "warm-up":
        continue
    d = max(job["read"], job["write"], key=lambda d: d["total_ios"])
    print("result", sys.argv[1], job["jobname"],
          round(d["lat_ns"]["mean"]) + int(sys.argv[2]))' "$1" "$share"
	down
}

null_blk
null_disk a
null_disk b
modprobe brd rd_nr=1 rd_size=$((32 * 1024))
share=$(own_share)
while read -r kind module; do
	if [[ $module ]] && ! modprobe -q "$module"; then
		echo "$kind: no module $module"
		continue
	fi
	matrix "$kind" < /dev/null
done << END
null_blk
linear
qmirror-background	dm-qmirror
qmirror-nobounce	dm-qmirror
qmirror-bounce		dm-qmirror
qmirror-copying		dm-qmirror
mirror			dm-mirror
raid1			dm-raid
clone			dm-clone
cbw-idle		dm-cbw
cbw-copied		dm-cbw
cbw-broken		dm-cbw
origin-idle		dm-snapshot
origin-copied		dm-snapshot
origin-broken		dm-snapshot
thin			dm-thin-pool
thin-copied		dm-thin-pool
era			dm-era
END
echo "result end"

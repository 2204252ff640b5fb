#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# wall.sh - runs in a guest with time (not instructions) and prints "result
# DEVICE IO VALUE" lines. The machine is shared, so nothing is compared but with
# what ran right before and right after it: each figure is the median of ROUNDS
# ratios to dm-linear (random writes) or to a plain copy (initial copy).

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-5}
MS=${MS:-400}		# a measurement
tmp=$(mktemp -d)

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

# IOPS, and the percentiles of completion in ns: "iops p50 p99 p99.9"
load() # DEV DEPTH JOBS
{
	fio --name=x --filename="$1" --rw=randwrite --bs=4k --direct=1 \
		--ioengine=io_uring --iodepth="$2" --numjobs="$3" \
		--group_reporting --thread --norandommap --time_based \
		--runtime="${MS}ms" --ramp_time=50ms \
		--output-format=json | /usr/bin/python3 -c '
import json, sys
text = sys.stdin.read()
w = json.loads(text[text.index("{"):])["jobs"][0]["write"]
p = w["clat_ns"]["percentile"]
print(round(w["iops"]), p["50.000000"], p["99.000000"], p["99.900000"])'
}

# All devices at once, each over null disks of its own, so that they can take
# turns without being made anew.
disk=0
two_disks() { a=n$((disk++)) b=n$((disk++)); null_disk "$a"; null_disk "$b"; }
devices=()
mk() # NAME MODULE TABLE: @a and @b are its disks
{
	[[ ! $2 ]] || modprobe -q "$2" || { echo "$1: no $2"; return 0; }
	two_disks
	local table=${3//@a//dev/$a}
	dmsetup create "$1" --table "${table//@b//dev/$b}"
	devices+=("$1")
}
make_all()
{
	local q="0 $LEN qmirror @a 0 @b 0"
	mk linear "" "0 $LEN linear @a 0"
	# How far is a ratio of 1 from 1 on this machine?
	mk linear-again "" "0 $LEN linear @a 0"
	mk qmirror-background dm-qmirror "$q 2 sync none"
	mk qmirror-nobounce dm-qmirror \
		"$q 5 sync none copy_mode write-blocking no_bounce"
	mk qmirror-bounce dm-qmirror "$q 4 sync none copy_mode write-blocking"
	settled qmirror-background
	settled qmirror-nobounce
	settled qmirror-bounce
	mk mirror dm-mirror "0 $LEN mirror core 2 1024 nosync 2 @a 0 @b 0"
	mk raid1 dm-raid "0 $LEN raid raid1 2 0 nosync 2 - @a - @b"
	mk cbw-idle dm-cbw "0 $LEN cbw @a 0 @b 0"
	[[ ! -b /dev/mapper/cbw-idle ]] || dmsetup message cbw-idle 0 disarm
}

# Each figure over the mean of dm-linear's before and after.
turns() # DEPTH JOBS
{
	local i name before after mine
	for ((i = 0; i < ROUNDS; i++)); do
		before=$(load /dev/mapper/linear "$1" "$2")
		for name in "${devices[@]}"; do
			[[ $name != linear ]] || continue
			mine=$(load "/dev/mapper/$name" "$1" "$2")
			after=$(load /dev/mapper/linear "$1" "$2")
			awk -v m="$mine" -v b="$before" -v a="$after" \
				-v file="$tmp/$name" 'BEGIN {
				split(m, M); split(b, B); split(a, A)
				split("iops p50 p99 p99.9", key)
				for (k = 1; k <= 4; k++)
					printf "%.4f\n", M[k] / ((A[k] + B[k]) / 2) \
						>> (file "." key[k])
			}'
			before=$after
		done
	done
	for name in "${devices[@]}"; do
		[[ $name != linear ]] || continue
		for k in iops p50 p99 p99.9; do
			echo "result $name qd$1-cpus$2-$k $(median < "$tmp/$name.$k")"
			rm "$tmp/$name.$k"
		done
	done
}

now() { echo "${EPOCHREALTIME/./}"; }
ready() # NAME: wait for it
{
	local nr
	while :; do
		nr=$(dmsetup info -c --noheadings -o events "$1")
		[[ $(dmsetup status "$1") != *" qmirror ready "* ]] || return 0
		timeout 60 dmsetup wait "$1" "$nr" > /dev/null
	done
}

# The initial copy against what anybody would copy with, in turns.
SYNC_MB=512
initial_copy()
{
	local i t0 t1 t2 t3 len=$((SYNC_MB * 2048))
	modprobe brd rd_nr=2 rd_size=$((SYNC_MB * 1024))
	dd if=/dev/urandom of=/dev/ram0 bs=1M count="$SYNC_MB" status=none
	dd if=/dev/zero of=/dev/ram1 bs=1M count="$SYNC_MB" status=none
	for ((i = 0; i < ROUNDS; i++)); do
		t0=$(now)
		dd if=/dev/ram0 of=/dev/ram1 bs=1M iflag=direct oflag=direct \
			status=none
		t1=$(now)
		dmsetup create sync --table "0 $len qmirror /dev/ram0 0 /dev/ram1 0"
		ready sync
		t2=$(now)
		dmsetup remove sync
		t3=$(now)
		qemu-img convert -n -f raw -O raw -t none -T none -W -m 16 \
			/dev/ram0 /dev/ram1
		echo "$(now) $t3" | awk -v d=$((t1 - t0)) -v q=$((t2 - t1)) \
			-v f="$tmp/sync" '{
			printf "%.4f\n", d / q >> (f ".dd")
			printf "%.4f\n", ($1 - $2) / q >> (f ".img") }'
	done
	echo "result qmirror sync-over-dd $(median < "$tmp/sync.dd")"
	echo "result qmirror sync-over-qemu-img $(median < "$tmp/sync.img")"
}

# A reader and writer at depth 1 while the copy runs: how long does it wait?
while_copying() # LABEL TABLE-OPTIONS: p99 over that of dm-linear on that disk
{
	local i len=$((SYNC_MB * 2048)) before mine
	for ((i = 0; i < ROUNDS; i++)); do
		dmsetup create plain --table "0 $len linear /dev/ram0 0"
		before=$(MS=200 load /dev/mapper/plain 1 1)
		dmsetup remove plain
		dmsetup create busy --table \
			"0 $len qmirror /dev/ram0 0 /dev/ram1 0 $2"
		mine=$(MS=200 load /dev/mapper/busy 1 1)
		dmsetup remove busy
		awk -v m="$mine" -v b="$before" 'BEGIN {
			split(m, M); split(b, B); printf "%.4f\n", M[3] / B[3] }' \
			>> "$tmp/$1"
	done
	echo "result qmirror copying-p99-$1 $(median < "$tmp/$1")"
}

# Wait until somebody has written that many times.
wrote() # NAME COUNT
{
	local stat
	stat=/sys/dev/block/$(dmsetup info -c --noheadings -o major,minor \
		--separator : "$1")/stat
	until (($(awk '{print $5}' "$stat") > $2)); do :; done
}

# Somebody writes all over the device as fast as it goes, and did so before the
# copy got going: when is it in sync?
converge()
{
	local i t0 pid len=$((SYNC_MB * 2048))
	for ((i = 0; i < ROUNDS; i++)); do
		dmsetup create busy --table "0 $len qmirror /dev/ram0 0 \
			/dev/ram1 0 4 copy_mode write-blocking speed 2048"
		fio --name=x --filename=/dev/mapper/busy --rw=randwrite --bs=4k \
			--direct=1 --ioengine=io_uring --iodepth=32 --thread \
			--norandommap --time_based --runtime=300 \
			--output=/dev/null &
		pid=$!
		wrote busy 20000
		t0=$(now)
		dmsetup message busy 0 set speed 0
		ready busy
		awk -v t=$(($(now) - t0)) 'BEGIN {printf "%.3f\n", t / 1e6}' \
			>> "$tmp/converge"
		kill -TERM "$pid"
		wait "$pid" || true
		dmsetup remove busy
	done
	echo "result qmirror converge-seconds $(median < "$tmp/converge")"
}

null_blk
make_all
for depth in 1 32; do for cpus in 1 2; do
	turns "$depth" "$cpus"
done; done
dmsetup remove_all
initial_copy
while_copying unlimited "2 copy_mode write-blocking"
while_copying limited "4 copy_mode write-blocking speed 131072"
converge
echo "result end"

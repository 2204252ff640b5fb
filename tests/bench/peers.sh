#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# peers.sh - runs in the guest of peers and prints "result DEVICE IO COST" lines:
# what the machine executes altogether, user space included, for one I/O on our
# devices and on what a user might take instead, on the same disks. PARTS says which
# parts: exports, guest (while mirrored), copied (snapshots), sync (the first copy).

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/bench/peers-lib.sh
. "$(dirname "$0")/peers-lib.sh"

N=3000
PARTS=${PARTS:-exports guest copied sync}
MS=${MS:-150}		# of the guest's time, a measurement

# NAME RW BS DEPTH of the loads, in the order of the table
loads()
{
	cat <<- END
		write-4k-qd1 randwrite 4k 1
		read-4k-qd1 randread 4k 1
		write-4k-qd32 randwrite 4k 32
		read-4k-qd32 randread 4k 32
		write-64k-qd8 write 64k 8
		read-64k-qd8 read 64k 8
	END
}
# One fio for all loads, each after a warm-up of its own. Whoever does not do the
# I/O in the caller's context has the same processor: time is what all of them take.
jobs()
{
	local name rw bs depth
	printf '%s\n' "[global]" "filename=$dev" "size=${MB}m" ioengine=io_uring \
		direct=1 thread norandommap randrepeat=1 stonewall time_based \
		"runtime=${MS}ms" ramp_time=50ms
	while read -r name rw bs depth; do
		printf '%s\n' "[$name]" "rw=$rw" "bs=$bs" "iodepth=$depth"
	done < <(loads)
}
measure() # NAME: $dev under every load
{
	fio --output-format=json <(jobs) | /usr/bin/python3 -c '
import json, sys
text = sys.stdin.read()
for job in json.loads(text[text.index("{"):])["jobs"]:
    assert job["error"] == 0, text
    d = max(job["read"], job["write"], key=lambda d: d["total_ios"])
    print("result", sys.argv[1], job["jobname"],
          round(d["runtime"] * 1e6 / d["total_ios"]))' "$1" | tee -a $run/results
}
cost_of() { awk -v d="$1" -v i="$2" '$2 == d && $3 == i {print $4}' $run/results; }

# The same disk through each way out of the daemon, with nothing else in it; the
# cheapest is the one that its jobs are measured through.
part_exports()
{
	local e best='' c
	for e in $available; do
		qsd "$(node a /dev/a)"
		"${e}_up" a
		measure "qsd-$e"
		"${e}_down"
		qsd_end
		c=$(($(cost_of "qsd-$e" write-4k-qd1) + $(cost_of "qsd-$e" write-4k-qd32)))
		if [[ ! $best ]] || ((c < best)); then way=$e best=$c; fi
	done
	echo "the daemon's cheapest export here: $way"
}

target() # NAME MODULE TABLE
{
	modprobe -q "$2" || { echo "$1: no $2"; return 0; }
	dev=/dev/mapper/$1
	dmsetup create "$1" --table "0 $LEN $3"
	[[ $3 != qmirror* ]] || settled "$1"
	measure "$1"
	dmsetup remove "$1"
}
# A mirror that was ready: what each I/O of the guest costs. In background mode the
# copier of both is paused, as its share would be as large as the scheduler lets it.
part_guest()
{
	local q='qmirror /dev/a 0 /dev/b 0' mode
	dev=/dev/a
	measure null_blk
	target linear dm-mod "linear /dev/a 0"
	target qmirror-background dm-qmirror "$q 2 sync none"
	target qmirror-write-blocking dm-qmirror \
		"$q 4 sync none copy_mode write-blocking"
	target qmirror-no-bounce dm-qmirror \
		"$q 5 sync none copy_mode write-blocking no_bounce"
	target dm-mirror dm-mirror "mirror core 2 1024 nosync 2 /dev/a 0 /dev/b 0"
	target md-raid1 dm-raid "raid raid1 2 0 nosync 2 - /dev/a - /dev/b"
	for mode in background write-blocking; do
		qsd "$(node a /dev/a)" "$(node b /dev/b)"
		"${way}_up" a
		mirror $mode none
		[[ $mode != background ]] ||
			"$qmp" $run/qmp job-pause '{"id": "m"}'
		measure "qsd-$mode"
		"${way}_down"
		qsd_end
	done
}

PART_MB=64
# What the first 4 KiB write to each 64 KiB costs, and then what any costs.
snapshot_costs() # NAME
{
	echo "result $1 snapshot-first-write $((share + $(fio_ns latency "$dev" \
		--rw=write:60k --number_ios=$((PART_MB * 16)))))"
	cost "$1" write "$dev" | sed 's/ write / snapshot-write /'
	cost "$1" read "$dev" | sed 's/ read / snapshot-read /'
}
part_copied()
{
	local len=$((PART_MB * 2048))
	stores
	share=$(own_share)
	dev=/dev/mapper/x
	dmsetup create x --table "0 $len linear /dev/d0 0"
	snapshot_costs linear
	dmsetup remove x
	modprobe dm-cbw
	dmsetup create x --table "0 $len cbw /dev/d0 0 /dev/d1 0"
	snapshot_costs cbw
	dmsetup remove x

	dmsetup create part --table "0 $len linear /dev/d0 0"
	qsd "$(node a /dev/mapper/part)" "$(node b /dev/d1)" \
		driver=copy-before-write,node-name=cbw,file=a,target=b
	"${way}_up" cbw
	snapshot_costs qsd-cbw
	"${way}_down"
	qsd_end
	dmsetup remove part
	part_copied_lvm
}
part_copied_lvm()
{
	modprobe dm-snapshot
	modprobe dm-thin-pool
	wipe /dev/d0
	wipe /dev/d1
	lvm_on /dev/d0 /dev/d1
	lv lvcreate -y -Wn -Zn -L ${PART_MB}M -n thick vg /dev/d0
	lv lvcreate -y -s -c 64k -L $((PART_MB + 16))M -n snap vg/thick /dev/d1
	dev=/dev/mapper/vg-thick
	snapshot_costs lvm-snapshot
	lv vgremove -y -f vg

	lv vgcreate -s 1M vg /dev/d0 /dev/d1
	lv lvcreate -y -Zn -c 64k -L $((PART_MB * 2 + 32))M -T vg/pool
	lv lvcreate -y -Wn -V ${PART_MB}M -T vg/pool -n thin
	dev=/dev/mapper/vg-thin
	fio --name=fill --filename=$dev --rw=write --bs=1M --direct=1 --output=/dev/null
	lv lvcreate -y -s -n snap vg/thin
	snapshot_costs lvm-thin-snapshot
	lv vgremove -y -f vg
	wipe /dev/d0
	wipe /dev/d1
}

# What this processor did that was not idling, in ns: a copy that waits for its
# timer, or for a file of the host, does not cost that time.
busy() { awk '$1 == "cpu0" {print $8}' /proc/schedstat; }

SMALL_MB=32 LARGE_MB=160
# The difference of two sizes: what programs cost to start is in neither.
copies() # NAME
{
	local t0 t1 t2
	"copy_$1" 8	# warm
	t0=$(busy)
	"copy_$1" $SMALL_MB
	t1=$(busy)
	"copy_$1" $LARGE_MB
	t2=$(busy)
	echo "result $1 copy-1m $((((t2 - t1) - (t1 - t0)) / (LARGE_MB - SMALL_MB)))"
}
part_sync()
{
	local what
	stores
	modprobe dm-qmirror
	modprobe dm-mirror
	for what in dd qemu-img qmirror dm-mirror qsd-mirror; do
		copies $what
	done
	wipe /dev/d0
	wipe /dev/d1
	lvm_on /dev/d0 /dev/d1
	copies pvmove
	lv vgremove -y -f vg
}

null_blk
null_disk a
null_disk b
: > $run/results
available=$(exports)
way=${EXPORT:-$(tail -1 <<< "$available")}
for part in $PARTS; do
	"part_$part"
done
echo "result end"

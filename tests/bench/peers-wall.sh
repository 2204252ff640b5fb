#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# peers-wall.sh - runs in a guest with time and prints "result DEVICE IO VALUE"
# lines: dm-qmirror against QEMU's storage daemon and LVM, by the clock. The machine
# is shared, so nothing is compared but with what ran right before or after it, the
# order changing from round to round; each figure is the median of ROUNDS ratios.
# Where the kernel has no export of the daemon only the first copy is measured.

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
STORE_MB=544
# shellcheck source=tests/bench/peers-lib.sh
. "$(dirname "$0")/peers-lib.sh"

ROUNDS=${ROUNDS:-5}
MS=${MS:-400}		# a measurement
COPY_MB=512

# figure NAME IO < RATIOS: the median, and how far the rounds were apart
figure()
{
	sort -n | awk -v what="result $1 $2" '{v[NR] = $1} END {
		print what, v[int((NR + 1) / 2)]
		print what "-lowest", v[1]
		print what "-highest", v[NR] }'
}
now() { echo "${EPOCHREALTIME/./}"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.4f\n", a / b}'; }

iops() # DEV RW BS DEPTH
{
	fio --name=x --filename="$1" --size="${MB}m" --rw="$2" --bs="$3" \
		--iodepth="$4" --direct=1 --ioengine=io_uring --thread --norandommap \
		--time_based --runtime="${MS}ms" --ramp_time=50ms \
		--output-format=json | jq '.jobs[0] | .read.iops + .write.iops'
}
# pairs LABEL RW BS DEPTH: of the mirror x and the daemon's $dev, who is faster
pairs()
{
	local label=$1 i mine theirs
	shift
	for ((i = 0; i < ROUNDS; i++)); do
		if ((i % 2)); then
			theirs=$(iops "$dev" "$@")
			mine=$(iops /dev/mapper/x "$@")
		else
			mine=$(iops /dev/mapper/x "$@")
			theirs=$(iops "$dev" "$@")
		fi
		ratio "$mine" "$theirs"
	done > $run/pairs
	figure qmirror/qsd "$label" < $run/pairs
}
# Both mirrors are there all the time, each with two disks of its own, in sync and
# with a copier that has work to do when the mode is background.
guest()
{
	local way mode n
	way=$(exports | tail -1)
	[[ $way ]] || { echo "no export of the daemon on this kernel"; return 0; }
	echo "the daemon's export: $way"
	for n in a b c d; do null_disk $n; done
	for mode in background write-blocking; do
		dmsetup create x --table \
			"0 $LEN qmirror /dev/a 0 /dev/b 0 4 sync none copy_mode $mode"
		wait_status x ' qmirror ready '
		qsd "$(node a /dev/c)" "$(node b /dev/d)"
		"${way}_up" a
		mirror $mode none
		pairs $mode-write-4k-qd1 randwrite 4k 1
		pairs $mode-write-4k-qd32 randwrite 4k 32
		pairs $mode-read-4k-qd1 randread 4k 1
		pairs $mode-read-4k-qd32 randread 4k 32
		pairs $mode-write-64k-qd8 write 64k 8
		pairs $mode-read-64k-qd8 read 64k 8
		"${way}_down"
		qsd_end
		dmsetup remove x
	done
}

# What pvmove does is over when the kernel says so, or when who polls was first and
# took the device away; that it looks once a second is not charged to it.
copy_pvmove()
{
	local nr
	lv pvmove -b -i 1 /dev/d0 /dev/d1
	while nr=$(dmsetup info -c --noheadings -o events vg-pvmove0) &&
	      [[ $(dmsetup status vg-pvmove0) != *" $COPY_MB/$COPY_MB "* ]]; do
		timeout 60 dmsetup wait vg-pvmove0 "$nr"
	done > $run/log 2>&1
}
pvmove_up()
{
	lvm_on /dev/d0 /dev/d1
	lv lvcreate -y -Wn -Zn -L ${COPY_MB}M -n data vg /dev/d0
}
pvmove_down()
{
	# waits for the one that runs
	lvm pvmove -qq -i 1 > $run/log 2>&1 || true
	lv vgremove -y -f vg
	lvm pvremove -qq /dev/d0 /dev/d1
}
took() # WHAT: one copy, in microseconds
{
	local t0 t1
	t0=$(now)
	"copy_$1" $COPY_MB
	t1=$(now)
	echo $((t1 - t0))
}
first_copy()
{
	local i what us order
	local -A t
	stores
	modprobe dm-mirror
	for ((i = 0; i < ROUNDS; i++)); do
		if ((i % 2)); then
			order=(pvmove qmirror qsd-mirror qemu-img dd)
		else
			order=(dd qemu-img qsd-mirror qmirror pvmove)
		fi
		for what in "${order[@]}"; do
			[[ $what != pvmove ]] || pvmove_up > $run/log
			us=$(took "$what")
			[[ $what != pvmove ]] || pvmove_down > $run/log
			t[$what]=$us
		done
		for what in dd qemu-img qsd-mirror pvmove; do
			ratio "${t[$what]}" "${t[qmirror]}" >> "$run/copy-$what"
		done
	done
	for what in dd qemu-img qsd-mirror pvmove; do
		figure "qmirror/$what" first-copy < "$run/copy-$what"
	done
}

null_blk
modprobe dm-qmirror
for part in ${PARTS:-first_copy guest}; do "$part"; done
echo "result end"

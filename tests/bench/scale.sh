#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# scale.sh - runs in a guest and prints "result WHAT X VALUE" lines: how memory
# (KiB) and time (microseconds) grow with the size of a mirror, its granularity and the number of mirrors. Each
# time includes the program that asks, "nothing" is that program alone. Medians of
# ROUNDS.

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-5}
tmp=$(mktemp -d)

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
now() { echo "${EPOCHREALTIME/./}"; }

# What the kernel has given away, in KiB: free lists of CPUs count as free.
used()
{
	echo 3 > /proc/sys/vm/drop_caches
	awk '$1 == "MemTotal:" {t = $2} $1 == "MemFree:" {f = $2}
		END {print t - f}' /proc/meminfo
}

# us WHAT X COMMAND...: its median time
us()
{
	local what=$1 x=$2 t0 i
	shift 2
	for ((i = 0; i < ROUNDS; i++)); do
		t0=$(now)
		"$@" > /dev/null
		echo $(($(now) - t0))
	done | median | sed "s/^/result $what $x /"
}

big_disk() # NAME GIB
{
	null_disk "$1" size=$(($2 * 1024))
}
q() # GIB GRANULARITY_KIB [MORE...]: a table line
{
	local sectors=$(($1 * 2097152)) g=$(($2 * 2))
	shift 2
	echo "0 $sectors qmirror /dev/big-a 0 /dev/big-b 0 $((4 + $#))" \
		"sync none granularity $g $*"
}

# A mirror of this size: memory, and the time of all that is done to it.
mirror() # X-LABEL GIB GRANULARITY_KIB
{
	local x=$1 m0 m1 i table
	table=$(q "$2" "$3")
	for ((i = 0; i < ROUNDS; i++)); do
		m0=$(used)
		t0=$(now)
		dmsetup create x --table "$table"
		echo $(($(now) - t0)) >> "$tmp/create"
		m1=$(used)
		echo $((m1 - m0)) >> "$tmp/kib"
		t0=$(now)
		dmsetup remove x
		echo $(($(now) - t0)) >> "$tmp/remove"
	done
	for i in create remove kib; do
		echo "result $x-$i $(($2 * 1048576 / $3)) $(median < "$tmp/$i")"
		rm "$tmp/$i"
	done
	dmsetup create x --table "$table"
	us "$x-status" $(($2 * 1048576 / $3)) dmsetup status --noflush x
	us "$x-message" $(($2 * 1048576 / $3)) dmsetup message x 0 set speed 0
	dmsetup remove x
}

null_blk
# Chunks of 64 KiB, 1 GiB to 16 TiB; then 1 TiB in chunks of 4 KiB to 1 MiB.
big_disk big-a 16384
big_disk big-b 16384
dmsetup create warm-up --table "$(q 1 64)" && dmsetup remove warm-up
us nothing 0 dmsetup status
for gib in 1 4 16 64 256 1024 4096 16384; do
	mirror size "$gib" 64
done
for kib in 4 16 64 256 1024; do
	mirror granularity 1024 "$kib"
done

# More than 2^31 chunks: refused, and nothing left behind.
if dmsetup create x --table "$(q 16384 4)" 2> /dev/null; then
	echo "result limit-accepted $((16384 * 1048576 / 4)) 1"
	dmsetup remove x
else
	echo "result limit-refused $((16384 * 1048576 / 4)) 1"
fi

# One dirty chunk of many, at the end of the device: from `resume` to nothing
# dirty. Made in background mode, paused; found in write-blocking mode, because
# background mode lets writes gather for a while.
dirty_last() # GIB
{
	local i t0
	dmsetup create x --table "$(q "$1" 64)"
	settled x
	for ((i = 0; i < ROUNDS; i++)); do
		dmsetup message x 0 pause
		dd if=/dev/zero of=/dev/mapper/x bs=4k count=1 oflag=direct \
			seek=$(($1 * 262144 - 1)) status=none
		dmsetup message x 0 set copy_mode write-blocking
		t0=$(now)
		dmsetup message x 0 resume
		until [[ $(dmsetup status --noflush x) =~ \ 0/[0-9]+\ ok ]]; do :; done
		echo $(($(now) - t0))
		dmsetup message x 0 set copy_mode background
	done | median | sed "s/^/result last-dirty $(($1 * 16384)) /"
	dmsetup remove x
}

for gib in 1 16 256 4096 16384; do
	dirty_last "$gib"
done

# Many mirrors at once, 1 GiB each; and as many linear devices, since a part of
# the memory is what any dm device takes.
linears() # N
{
	local n=$1 i m0
	m0=$(used)
	for ((i = 0; i < n; i++)); do
		dmsetup create "l$i" --table \
			"0 2097152 linear /dev/big-a $((i * 2097152))"
	done
	echo "result linear-kib $n $((($(used) - m0) / n))"
	for ((i = 0; i < n; i++)); do
		dmsetup remove "l$i"
	done
}
many() # N
{
	local n=$1 i m0 t0 t1
	m0=$(used)
	t0=$(now)
	for ((i = 0; i < n; i++)); do
		dmsetup create "m$i" --table "0 2097152 qmirror /dev/big-a \
			$((i * 2097152)) /dev/big-b $((i * 2097152)) 2 sync none"
	done
	t1=$(now)
	echo "result many-create $n $(((t1 - t0) / n))"
	echo "result many-kib $n $((($(used) - m0) / n))"
	us many-status "$n" dmsetup status --noflush m0
	for ((i = 0; i < n; i++)); do
		dmsetup remove "m$i"
	done
}
for n in 1 2 4 8 16 32 64; do
	many "$n"
done
linears 64
echo "result end"

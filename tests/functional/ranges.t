#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The range lock seen from outside, with a source whose writes take their time.
#
# Guards invariant 2 (a write-blocking write keeps its range until its last leg
# ends, also when it goes to the source only) and invariant 3 (a copy that was
# refused three times queues): on a fast source either can be broken for long
# without being noticed.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

need_modules dm-delay
plan 11
legs 8192			# 64 chunks
fill $DM/src 1
slow_source() { dm_swap src "0 $LEN delay ${RAW[src]} 0 0 ${RAW[src]} 0 $1"; }
in_flight() # N: at least N writes of the guest are under way
{
	local f
	read -r -a f < "/sys/block/$MIRROR/inflight"
	((f[1] >= $1))
}

# --- part of a dirty chunk, source only: no copy while it is under way
for how in "" no_bounce; do
	fill $DM/tgt 1
	# shellcheck disable=SC2086
	mirror sync bitmap copy_mode write-blocking $how
	MIRROR=dm-$(dmsetup info -c --noheadings -o minor m)
	slow_source 4000
	msg mark_dirty 256 128
	dio $DM/m w:264:8:g7 > /tmp/write &
	w=$!
	until_true 20 in_flight 1 || bail "the write is not under way"
	msg resume
	t_ok "$how: the write succeeds" wait $w
	t_wait "$how: ready" '^ready yes ' 10
	unmirror
	dm_swap src "$(linear_line src)"
	t_equal "$how: the copy has what the write wrote"
	fill $DM/src 1
done

# --- always a write under way in the chunk: the copy gets its turn all the same
for how in "" no_bounce; do
	fill $DM/tgt 2
	# shellcheck disable=SC2086
	mirror sync bitmap copy_mode write-blocking $how
	MIRROR=dm-$(dmsetup info -c --noheadings -o minor m)
	slow_source 30
	msg mark_dirty 0 $LEN
	fio --name=load --filename=$DM/m --direct=1 --ioengine=libaio --iodepth=32 \
		--rw=randwrite --bs=4k --offset=1m --size=64k --time_based --runtime=60 \
		--randrepeat=0 --randseed="${SEED:-42}" > /tmp/fio 2>&1 &
	fio=$!
	until_true 20 in_flight 16 || bail "the load is not under way"
	msg resume
	t_wait "$how: READY though the chunk is never free" '^ready ' 30
	kill -INT $fio
	wait $fio
	unmirror
	dm_swap src "$(linear_line src)"
	t_equal "$how: legs equal"
	[[ $how ]] || fill $DM/src 1
done
t_is "$(dmesg | grep -c 'qmirror.*error')" 0 "no error of a leg"

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# memory.sh OUT - runs in a guest of scale: creates mirrors of many sizes, and many at
# once, and leaves in OUT what was allocated meanwhile, for `allocs`: WHAT-X.trace,
# .vmalloc and .threads, X being chunks or mirrors; WHAT "linear" is a dm device
# without anything of ours.

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

OUT=$1
DMQ=$(dirname "$0")/../../build/tools/dmq
fault() { echo "memory.sh: $*" >&2; exit 1; }

# Events of dmq, which is all we start, and of kthreadd, which makes our threads.
trace=/sys/kernel/tracing/instances/memory
trace_init()
{
	local e
	[[ -d /sys/kernel/tracing/events ]] || mount -t tracefs none /sys/kernel/tracing
	mkdir $trace
	echo 0 > $trace/tracing_on
	echo 65536 > $trace/buffer_size_kb
	for e in stacktrace sym-offset event-fork; do echo 1 > $trace/options/$e; done
	for e in kmem/{kmalloc,kmalloc_node,kfree,mm_page_alloc,mm_page_free} \
		 kmem/kmem_cache_{alloc,alloc_node,free} \
		 percpu/percpu_{alloc,free}_percpu; do
		# The _node ones are gone in newer kernels.
		[[ ! -d $trace/events/$e ]] || echo 1 > "$trace/events/$e/enable"
	done
	echo "$$ 2" > $trace/set_event_pid
}

# Our queues' rescuers: named after the queue, cut off at 15 characters.
threads() { cat /proc/[0-9]*/comm 2> /dev/null | grep -c '^kqmirror_' || true; }

memory() # WHAT X TABLE...: devices m0, m1, ..., made and removed again
{
	local what=$1 x=$2 table i=0 before
	shift 2
	before=$(threads)
	: > $trace/trace
	echo 1 > $trace/tracing_on
	for table; do
		"$DMQ" create m$((i++)) "$table"
	done
	echo 0 > $trace/tracing_on
	if grep -h '^overrun' $trace/per_cpu/cpu*/stats | grep -qv ' 0$'; then
		fault "the trace was too small"
	fi
	cat $trace/trace > "$OUT/$what-$x.trace"
	cat /proc/vmallocinfo > "$OUT/$what-$x.vmalloc"
	echo $(($(threads) - before)) > "$OUT/$what-$x.threads"
	while ((i--)); do
		"$DMQ" remove m$i
	done
}

q() # GIB GRANULARITY_KIB: a table line
{
	echo "0 $(($1 * 2097152)) qmirror /dev/big-a 0 /dev/big-b 0 \
		4 sync none granularity $(($2 * 2))"
}

null_blk
modprobe dm-qmirror
null_disk big-a size=$((16384 * 1024))
null_disk big-b size=$((16384 * 1024))
# What the first one pays for and stays with the modules.
"$DMQ" create x "$(q 1 64)"
"$DMQ" remove x
trace_init
memory linear 1 "0 2097152 linear /dev/big-a 0"
for gib in 1 16 256 1024 4096 16384; do
	memory size $((gib * 16384)) "$(q $gib 64)"
done
for kib in 4 16 64 256 1024; do
	memory granularity $((1024 * 1048576 / kib)) "$(q 1024 $kib)"
done
# Many: with the smallest buffer, so that the rest can be told.
for n in 1 8 64; do
	tables=()
	for ((i = 0; i < n; i++)); do
		tables+=("0 2097152 qmirror /dev/big-a $((i * 2097152)) \
			/dev/big-b $((i * 2097152)) 4 sync none buf_size 2048")
	done
	memory many "$n" "${tables[@]}"
done
echo "result end"

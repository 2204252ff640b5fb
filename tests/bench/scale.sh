#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# scale.sh - runs in the guest of scale and prints "result WHAT X VALUE" lines: what
# a mirror costs by its size, its granularity, how much of it is dirty, and how many
# others there are. X is chunks, or what the name says. Costs are instructions of
# all tasks together (dmq cost), the median of ROUNDS.

set -euo pipefail
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-3}
DMQ=$(dirname "$0")/../../build/tools/dmq
tmp=$(mktemp -d)

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
fault() { echo "scale.sh: $*" >&2; exit 1; }

q() # GIB GRANULARITY_KIB [ARG...]: a table line
{
	local sectors=$(($1 * 2097152)) g=$(($2 * 2))
	shift 2
	echo "0 $sectors qmirror /dev/big-a 0 /dev/big-b 0 $((2 + $#)) granularity $g $*"
}
status() { "$DMQ" status "$1"; }
until_status() # NAME REGEX
{
	local nr
	while :; do
		nr=$("$DMQ" events "$1")
		[[ ! $(status "$1") =~ $2 ]] || return 0
		timeout 60 dmsetup wait "$1" "$nr" > /dev/null
	done
}

# cost WHAT X N VERB NAME [WORD...]
cost_of()
{
	local what=$1 x=$2 i
	shift 2
	for ((i = 0; i < ROUNDS; i++)); do
		"$DMQ" cost "$@" || fault "cost $*"
	done | median | sed "s/^/result $what $x /"
}

# --- sizes and granularities -------------------------------------------------

# All that is done to a mirror of this size.
mirror() # LABEL GIB GRANULARITY_KIB
{
	local label=$1 x=$(($2 * 1048576 / $3)) sync i
	for sync in none full; do
		for ((i = 0; i < ROUNDS; i++)); do
			"$DMQ" cost 1 load empty "$(q "$2" "$3" sync $sync speed 1)" >> "$tmp/create"
			"$DMQ" cost 1 clear empty >> "$tmp/remove"
		done
		echo "result $label-create-$sync $x $(median < "$tmp/create")"
		echo "result $label-remove-$sync $x $(median < "$tmp/remove")"
		rm "$tmp/create" "$tmp/remove"
	done
	"$DMQ" create x "$(q "$2" "$3" sync none copy_mode write-blocking)"
	until_status x ' qmirror ready yes '
	cost_of "$label-status" "$x" 100 status x
	cost_of "$label-message" "$x" 100 msg x set speed 0
	last_dirty "$label" "$x"
	"$DMQ" remove x
}

# One dirty chunk of many, the last: until it is copied. Less what the same takes
# with nothing dirty.
last_dirty() # LABEL X
{
	local i last sectors none found
	sectors=$(blockdev --getsz /dev/mapper/x)
	last=$((sectors - 1))
	for ((i = 0; i < ROUNDS; i++)); do
		"$DMQ" msg x pause > /dev/null
		none=$("$DMQ" cost 1 msg x resume)
		"$DMQ" msg x pause > /dev/null
		"$DMQ" msg x mark_dirty "$last" 1 > /dev/null
		found=$("$DMQ" cost 1 msg x resume)
		[[ $(status x) == *" ready yes "*" 0/"* ]] || fault "not copied: $(status x)"
		echo $((found - none))
	done | median | sed "s/^/result $1-last-dirty $2 /"
}

# --- dirty chunks ------------------------------------------------------------

# So many dirty chunks, apart from each other, of 2^28: what one costs.
dirty() # N
{
	local n=$1 i
	for ((i = 0; i < ROUNDS; i++)); do
		"$DMQ" create x "$(q 16384 64 sync none)"
		until_status x ' qmirror ready '
		"$DMQ" msg x pause > /dev/null
		fio --name=x --filename=/dev/mapper/x --bs=4k --direct=1 --ioengine=psync \
			--rw="write:$((16384 * 1048576 / n - 4))k" --number_ios="$n" \
			--output=/dev/null
		[[ $(status x) == *" $n/268435456 "* ]] || fault "not $n dirty: $(status x)"
		"$DMQ" cost 100 status x >> "$tmp/status"
		"$DMQ" cost 1 msg x resume >> "$tmp/copy"
		until_status x " 0/268435456 "
		"$DMQ" remove x
	done
	echo "result dirty-copy $n $(($(median < "$tmp/copy") / n))"
	echo "result dirty-status $n $(median < "$tmp/status")"
	rm "$tmp/copy" "$tmp/status"
}

# So many dirty chunks that wait, since the target failed there: what does it
# cost to copy another one?
waiting() # N
{
	local n=$1 i errors bad=$((1048576 * 2))
	dmsetup create bad --table "0 $bad linear /dev/big-b 0
$bad $((n * 128)) error
$((bad + n * 128)) $bad linear /dev/big-b $bad"
	"$DMQ" create x "0 $((2 * bad + n * 128)) qmirror /dev/big-a 0 /dev/mapper/bad 0 \
		6 sync none copy_mode write-blocking on_target_error ignore"
	until_status x ' qmirror ready yes '
	"$DMQ" msg x mark_dirty $bad $((n * 128)) > /dev/null
	# They are tried again after 100 ms, 200 ms, ...: between two times.
	for ((i = 0; i < ROUNDS; i++)); do
		while :; do
			errors=$(status x | awk '{print $11}')
			sleep 1
			(($(status x | awk '{print $11}') == errors)) || continue
			((errors >= n)) || continue
			"$DMQ" cost 1 msg x mark_dirty 4096 1 > "$tmp/one"
			(($(status x | awk '{print $11}') != errors)) || break
		done
		[[ $(status x) == *" $n/"* ]] || fault "not copied: $(status x)"
		cat "$tmp/one"
	done | median | sed "s/^/result waiting-copy $n /"
	"$DMQ" remove x
	dmsetup remove bad
}

# --- many at once ------------------------------------------------------------

# What one more costs to create; the status of one; 4 KiB writes to all of them.
many() # N
{
	local n=$1 i jobs=() table ms
	for ((i = 0; i < n; i++)); do
		"$DMQ" create "m$i" "0 2097152 qmirror /dev/big-a $((i * 2097152)) \
			/dev/big-b $((i * 2097152)) 4 sync none copy_mode write-blocking"
	done
	until_status "m$((n - 1))" ' qmirror ready yes '
	table="0 2097152 qmirror /dev/big-a $((n * 2097152)) /dev/big-b $((n * 2097152)) 2 sync none"
	for ((i = 0; i < ROUNDS; i++)); do
		"$DMQ" cost 1 load empty "$table"
		"$DMQ" clear empty
	done | median | sed "s/^/result many-create $n /"
	cost_of many-status "$n" 100 status m0
	for ((i = 0; i < n; i++)); do
		jobs+=(--name="m$i" --filename="/dev/mapper/m$i")
	done
	ms=$(fio --rw=randwrite --bs=4k --direct=1 --ioengine=psync --thread --norandommap \
		--randrepeat=1 --number_ios=$((32768 / n)) --group_reporting \
		--output-format=json "${jobs[@]}" | sed -n '/^{/,$p' | jq '.jobs[0].write.runtime')
	echo "result many-write $n $((ms * 1000000 / 32768))"
	for ((i = 0; i < n; i++)); do
		"$DMQ" remove "m$i"
	done
}

# -----------------------------------------------------------------------------

null_blk
modprobe dm-qmirror
null_disk big-a size=$((16384 * 1024))
null_disk big-b size=$((16384 * 1024))
# A device whose inactive table comes and goes.
dmsetup create empty --notable

# More than 2^31 chunks: refused, with nothing left behind; 2^31 are not.
"$DMQ" load empty "$(q 8192 4 sync none)"
"$DMQ" clear empty
over="0 $((8192 * 2097152 + 8)) qmirror /dev/big-a 0 /dev/big-b 0 4 sync none granularity 8"
"$DMQ" load empty "$over" 2> /dev/null && fault "2^31 + 1 chunks were accepted"
"$DMQ" log | tail -n 2
"$DMQ" remove empty
[[ $(lsmod | awk '$1 == "dm_qmirror" {print $3}') == 0 ]] || fault "2^31 + 1 chunks left something"
dmsetup create empty --notable
echo "result limit-refused 2147483649 1"

for gib in 1 4 16 64 256 1024 4096 16384; do
	mirror size $gib 64
done
for kib in 4 16 64 256 1024; do
	mirror granularity 1024 $kib
done
for n in 1 16 256 1024 4096 16384; do
	dirty $n
done
for n in 1 16 256 4096; do
	waiting $n
done
for n in 1 2 4 8 16 32 64; do
	many $n
done
echo "result end"

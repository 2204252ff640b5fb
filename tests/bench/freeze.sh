#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# freeze.sh - runs in a guest: for how long a group snapshot stops its members,
# against the same suspends and resumes of dm-linear devices, in turns. ROUNDS
# rounds (9); prints the means in microseconds as "result KIND freeze US", then
# the ratios with their bars, and ends with 1 when one is missed. Wall clock: a
# busy machine spoils it.
#
# Means of many, because a suspend waits for grace periods, which take one to
# three ticks or, as often, five: a median is in the one heap or the other.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lib.sh
. tests/functional/ctl-lib.sh
. tests/functional/snap-lib.sh

ROUNDS=${ROUNDS:-9}
MB=4
sizes=(1 8 64)
declare -A turns=([1]=8 [8]=4 [64]=1)
modprobe dm-cbw
# The console is part of the machine that is measured: keep it out.
dmesg -n 1
mapfile -t all < <(seq -f m%g 64)
members "${all[@]}"
stores "${all[@]}"

declare -A times=()
for ((round = 0; round < ROUNDS; round++)); do
	echo "# round $((round + 1)) of $ROUNDS"
	for n in "${sizes[@]}"; do for ((turn = 0; turn < turns[$n]; turn++)); do
		names=("${all[@]:0:n}") pairs=()
		for name in "${names[@]}"; do pairs+=("$name=${S[$name]}"); done
		took=$("$TOOLS/dmfreeze" -l "${names[@]}")
		times[linear-$n]+=" ${took##* }"
		took=$("$CTL" snapshot create --json "${pairs[@]}" |
			jq '.. | .["frozen-us"]? // empty')
		times[group-$n]+=" $took"
		"$CTL" snapshot remove "${names[@]}" > /dev/null
	done; done
done

mean() { awk '{ for (i = 1; i <= NF; i++) s += $i; printf "%d\n", s / NF }' <<< "${times[$1]}"; }
declare -A us=()
for n in "${sizes[@]}"; do
	for kind in linear-$n group-$n; do
		us[$kind]=$(mean "$kind")
		echo "result $kind freeze ${us[$kind]}"
		echo "# $kind:${times[$kind]}"
	done
done

rc=0
bar() # A B RATIO
{
	awk -v a="${us[$1]}" -v b="${us[$2]}" -v bar="$3" -v what="$1 / $2" 'BEGIN {
		printf "%-24s %6.2f  bar %.2f  %s\n", what, a / b, bar, a <= b * bar ? "ok" : "MISSED"
		exit a > b * bar }' || rc=1
}
for n in "${sizes[@]}"; do bar "group-$n" "linear-$n" 1.3; done
bar group-64 group-1 3
exit "$rc"

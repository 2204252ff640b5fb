#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Logical blocks of 4096 bytes on both legs, or on the source alone: limits,
# chunks of one block, a last chunk of one block, edges, loads.
#
# Guards invariant 1.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
LEN=$((8 * 2048 + 8))
for n in src tgt; do
	RAW[$n]=$(raw_disk null$n $LEN blocksize=4096)
	dm_make $n "0 $LEN linear ${RAW[$n]} 0"
done
raw=$(raw_disk null512 $LEN)
dm_make t512 "0 $LEN linear $raw 0"

for tgt in tgt t512; do
	for g in 8 128; do
		CH=$g
		for how in "" no_bounce; do
			n="4096 to $tgt, granularity $g $how"
			fill $DM/src 1
			fill $DM/$tgt 2
			# shellcheck disable=SC2086
			set -- granularity $g copy_mode write-blocking $how
			dm_make m "0 $LEN qmirror $DM/src 0 $DM/$tgt 0 $# $*"
			t_is "$(blockdev --getss $DM/m)" 4096 "$n: logical blocks of 4096"
			t_ok "$n: the mixer's model" "$TOOLS/mixer" -d 2 ${SEED:+-r $SEED} $DM/m
			dio $DM/m w:$((LEN - 8)):8:g3 > /dev/null
			t_wait "$n: synced" "^ready yes .* 0/$(((LEN + g - 1) / g)) ok - 0 0 0 " 20
			unmirror
			t_equal "$n: legs equal" $DM/src $DM/$tgt
		done
	done
done
CH=128
fill $DM/src 1
fill $DM/tgt 2
mirror sync none copy_mode write-blocking
wait_st '^ready ' && msg pause && wait_st '^standby '
msg mark_dirty 128 8 $((LEN - 8)) 1
mark tgt
dio $DM/m w:120:16:g3 w:$((LEN - 8)):8:g3 > /dev/null
t_is "$(since tgt wsec)" 16 "edges: clean tail and the full last chunk"
t_ok "edges: content" dio $DM/tgt r:120:8:g3 r:128:8:g2 r:$((LEN - 8)):8:g3
t_is "$(field dirty)" 1 "edges: dirty count"
unmirror

finish

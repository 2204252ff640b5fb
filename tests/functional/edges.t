#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The edge table of write-blocking mode (QEMU semantics 1.8), row by row, seen
# through the target's own counters and its content. Row 5 differs from QEMU
# on purpose: a write that covers the last, partial chunk to its end is full.
#
# Guards invariant 2 (a write-blocking write looks at the dirty bits in its
# place in the range lock) and 1 (a chunk whose legs may differ is dirty).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((16 * 2048 + 72))		# 257 chunks, the last one 72 sectors
LAST=$((16 * 2048))

# A standby job with nothing copied: the source holds generation 1 and the
# target 2, so that every sector that arrives can be told. DIRTY: ranges.
fresh() # ARGS-STRING DIRTY...
{
	local args=$1
	shift
	# shellcheck disable=SC2086
	mirror sync none copy_mode write-blocking $args
	wait_st '^ready ' && msg pause && wait_st '^standby ' || fail "standby"
	(($# == 0)) || msg mark_dirty "$@" || fail "mark_dirty $*"
	dirty0=$(field dirty)
	mark tgt
}

# row DESC WRITE DIRTY-CHANGE TARGET-SECTORS WRITTEN-RANGES KEPT-RANGES
# ranges are START:COUNT words; written ones hold generation 3 on the target,
# kept ones generation 2.
row()
{
	local desc=$1 write=$2 change=$3 sectors=$4 r out ops=()
	out=$(dio $DM/m "$write") || diag "$out"
	t_is "$(since tgt wsec)" "$sectors" "$desc: sectors written to the target"
	t_is "$(($(field dirty) - dirty0))" "$change" "$desc: change of the dirty count"
	for r in $5; do ops+=("r:$r:g3"); done
	for r in $6; do ops+=("r:$r:g2"); done
	t_ok "$desc: content of the target" dio $DM/tgt "${ops[@]}"
	r=${write#?:}
	t_ok "$desc: content of the source" dio $DM/src "r:${r%:*}:g3"
	unmirror
	# Sentinels back where the write was.
	dio $DM/tgt "w:${r%:*}:g2" > /dev/null
	dio $DM/src "w:${r%:*}:g1" > /dev/null
}

fill $DM/src 1
fill $DM/tgt 2

for how in "" no_bounce; do
	n=${how:-bounce}
	fresh "$how"
	row "$n: full chunk, clean" w:0:128:g3 0 128 0:128 128:8
	fresh "$how" 128 1
	row "$n: full chunk, dirty" w:128:128:g3 -1 128 128:128 "120:8 256:8"
	fresh "$how" 128 1 512 1
	row "$n: four full chunks, two dirty" w:128:512:g3 -2 512 128:512 "120:8 640:8"
	fresh "$how" 128 1
	row "$n: part of a dirty chunk" w:136:8:g3 0 0 "" 128:128
	fresh "$how" 128 1
	row "$n: head of a dirty chunk" w:128:120:g3 0 0 "" 128:128
	fresh "$how" 128 1
	row "$n: tail of a dirty chunk" w:136:120:g3 0 0 "" 128:128
	fresh "$how"
	row "$n: part of a clean chunk" w:136:8:g3 0 8 136:8 "128:8 144:112"
	fresh "$how"
	row "$n: one sector of a clean chunk" w:255:1:g3 0 1 255:1 "254:1 256:1"
	fresh "$how" 128 1 256 1
	row "$n: dirty head, full dirty middle, clean tail" w:192:320:g3 -1 256 \
		256:256 "128:128 512:8"
	fresh "$how" 512 1 256 1
	row "$n: clean head, full dirty middle, dirty tail" w:192:384:g3 -1 320 \
		192:320 "184:8 512:128"
	fresh "$how" 128 1 512 1
	row "$n: dirty head, clean middle, dirty tail" w:192:384:g3 0 256 \
		256:256 "128:128 512:128"
	fresh "$how" 128 256
	row "$n: two dirty edges and nothing between" w:192:128:g3 0 0 "" 128:256
	fresh "$how" 128 1
	row "$n: dirty head, clean tail, nothing between" w:192:128:g3 0 64 256:64 \
		"128:128 320:8"
	fresh "$how" 256 1
	row "$n: clean head, dirty tail, nothing between" w:192:128:g3 0 64 192:64 256:128
	fresh "$how" $LAST 1
	row "$n: the last, partial chunk to its end, dirty" w:$LAST:72:g3 -1 72 $LAST:72 \
		$((LAST - 8)):8
	fresh "$how" $LAST 1
	row "$n: the last chunk not from its start, dirty" w:$((LAST + 8)):64:g3 0 0 "" $LAST:72
	fresh "$how" $LAST 1
	row "$n: the last chunk not to its end, dirty" w:$LAST:64:g3 0 0 "" $LAST:72
	fresh "$how"
	row "$n: the last sector, clean" w:$((LAST + 71)):1:g3 0 1 $((LAST + 71)):1 $LAST:71
	fresh "$how" $((LAST - 128)) 200
	row "$n: the last two chunks, dirty" w:$((LAST - 128)):200:g3 -2 200 \
		$((LAST - 128)):200 $((LAST - 136)):8
done

# Larger than any piece a private copy may be cut into: 3 MiB from the middle
# of a dirty chunk to the middle of a dirty chunk; 48 chunks between, 3 dirty.
fresh "" 128 1 $((128 + 6144)) 1 1024 1 2048 1 4096 1
row "3 MiB between two dirty edges" w:192:6144:g3 -3 $((6144 - 128)) 256:6016 \
	"128:128 $((128 + 6144)):128"

# The same table holds with other chunk sizes.
CH=8
fresh "granularity 8" 128 8
row "granularity 8: full chunk, dirty" w:128:8:g3 -1 8 128:8 "120:8 136:8"
fresh "granularity 8" 128 8
row "granularity 8: dirty head, clean tail" w:132:12:g3 0 8 136:8 "128:8 144:8"
CH=1
fresh "granularity 1" 128 3
row "granularity 1: every chunk is a full one" w:126:8:g3 -3 8 126:8 "118:8 134:8"
CH=128

# A failed target write: attempted, and every touched chunk dirty.
for policy in stop ignore; do
	fresh "on_target_error $policy"
	dm_swap tgt "0 $LEN error" --noflush
	t_ok "$policy: the guest's write ends well when the target fails" \
		dio $DM/m w:192:320:g3
	wait_st ' target:write:' 5
	t_is "$(($(field dirty) - dirty0))" 3 "$policy: all three touched chunks are dirty"
	t_like "$(field error)" '^target:write:EIO:192$' "$policy: the first failed sector"
	dm_swap tgt "$(linear_line tgt)" --noflush
	unmirror
	dio $DM/src w:192:320:g1 > /dev/null
done

# The same while the job runs with nothing paused: exactly the write's sectors.
mirror sync none copy_mode write-blocking
wait_st '^ready yes'
mark tgt
dio $DM/m w:8:8:g3 w:1000:1:g3 w:3000:200:g3 > /dev/null
t_is "$(since tgt wsec)" 209 "ready: exactly the written sectors reach the target"
t_is "$(since tgt wio)" 3 "ready: one write each"
t_is "$(field dirty)" 0 "ready: nothing becomes dirty"
unmirror

# Background mode: nothing at once, every touched chunk dirty.
mirror sync none
wait_st '^ready ' && msg pause
wait_st '^standby '
mark tgt
dio $DM/m w:8:8:g3 w:1000:100:g3 w:$((LAST + 71)):1:g3 > /dev/null
t_is "$(since tgt wsec)" 0 "background: the write itself sends nothing"
t_is "$(field dirty)" 4 "background: each touched chunk is dirty"
unmirror

# Zeroes keep to the same edges (plain writes here; WRITE_ZEROES in zeroes.t).
fresh "" 128 1 256 1
dio $DM/m z:192:320 > /dev/null
t_ok "zeroes: dirty head untouched" dio $DM/tgt r:128:128:g2
t_ok "zeroes: full middle and clean tail written" dio $DM/tgt r:256:256:x00
t_is "$(($(field dirty) - dirty0))" -1 "zeroes: the full chunk is clean"
unmirror

finish

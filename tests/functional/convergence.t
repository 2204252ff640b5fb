#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Convergence: in write-blocking mode, and after complete, a guest write never
# raises the dirty count, and READY comes under any load. NOWAIT writes end
# with AGAIN before a leg is touched, or not at all.
#
# Guards invariant 3 (a copy that was refused three times queues, so every
# dirty chunk is copied in bounded time).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs 65536			# 512 chunks
fill $DM/src 1

# load NAME FIO-WORD...: in the background; stop with unload
load()
{
	fio --name=load --filename=$DM/m --direct=1 --ioengine=libaio --rw=randwrite \
		--time_based --runtime=40 --randrepeat=0 --randseed=${SEED:-42} "$@" > /tmp/fio 2>&1 &
	FIO=$!
	# it writes
	local i=0 w
	mark src
	while w=$(since src wio) && ((w < 50 && i++ < 500)); do sleep 0.02; done
}
unload() { kill -INT $FIO 2>/dev/null; wait $FIO; }
# how often the dirty count went up in a record of dmpoll
rises() { awk '$4 ~ /^(running|paused|ready|standby|pending)$/ { split($7, d, "/"); if (NR > 1 && d[1] + 0 > last + 0) n++; last = d[1] } END { print n + 0 }' "$1"; }

# --- the saturating loads
for job in "one chunk:--bs=4k --iodepth=32 --offset=1m --size=64k" \
	   "everything, 4k:--bs=4k --iodepth=32" \
	   "everything, mixed:--bsrange=512-256k --iodepth=32 --numjobs=2 --group_reporting"; do
	name=${job%%:*}
	for how in "" no_bounce; do
		fill $DM/tgt 2
		# paused at first, so that the load is there before the copy
		# shellcheck disable=SC2086
		mirror sync bitmap copy_mode write-blocking $how
		msg mark_dirty 0 $LEN
		# shellcheck disable=SC2086
		load ${job#*:}
		"$TOOLS/dmpoll" -a -i 2 -n 30 -u '^ready ' m > /tmp/poll &
		p=$!
		msg resume
		t0=$(now)
		t_ok "$name $how: READY under load" wait $p
		diag "after $(($(now) - t0)) ms"
		t_is "$(rises /tmp/poll)" 0 "$name $how: the dirty count never rises"
		t_wait "$name $how: synced under load" '^ready yes ' 10
		unload
		st
		t_is "${S[state]} ${S[dirty]} ${S[terr]} ${S[serr]}" "ready 0 0 0" "$name $how: nothing dirty, no error"
		unmirror
		t_equal "$name $how: legs equal"
	done
done

# --- full rewrites make chunks clean, partial ones change nothing, while paused
fill $DM/tgt 2 $((LEN / 2))	# the other half is equal
mirror sync bitmap copy_mode write-blocking
msg mark_dirty 0 $((LEN / 2))
"$TOOLS/dmpoll" -a -i 2 -n 4 m > /tmp/poll &
p=$!
"$TOOLS/overlap" -d 3 -m 512 -n $LEN ${SEED:+-r $SEED} $DM/m > /tmp/overlap
wait $p
diag "$(< /tmp/overlap)"
t_is "$(rises /tmp/poll)" 0 "paused: guest writes never raise the dirty count"
t_between "paused: full writes have made chunks clean" "$(field dirty)" 0 255
msg resume
t_wait "then ready" '^ready yes ' 20
unmirror
t_equal "paused: legs equal"

# --- background mode asked to complete under load
fill $DM/tgt 2
mirror
wait_st '^ready ' 30
load --bs=4k --iodepth=32
msg complete
"$TOOLS/dmpoll" -a -i 2 -n 30 -u '^pending ' m > /tmp/poll
t_is $? 0 "complete in background mode under load: pending"
diag "$(tail -n 1 /tmp/poll)"
unload
t_is "$(field terr)" 0 "complete under load: no error"
unmirror
t_equal "complete under load: legs equal"

# --- switched to write-blocking under load: synced comes
fill $DM/tgt 2
mirror
load --bs=4k --iodepth=32
msg set copy_mode write-blocking
t_wait "switched under load: synced" '^ready yes ' 30
unload
unmirror
t_equal "switched under load: legs equal"

# --- NOWAIT writes while the copy runs and other writers get in the way
for how in "" no_bounce; do
	fill $DM/tgt 2
	# shellcheck disable=SC2086
	mirror sync bitmap copy_mode write-blocking $how
	msg mark_dirty 0 $LEN
	"$TOOLS/overlap" -d 4 -s 32768 -n 2048 -m 512 $DM/m > /tmp/overlap 2>&1 &
	o=$!
	"$TOOLS/dmpoll" -a -i 2 -n 4 m > /tmp/poll &
	p=$!
	"$TOOLS/nowait" -t 4 -d 4 -n 32768 ${SEED:+-r $SEED} $DM/m > /tmp/nowait 2>&1 &
	w=$!
	sleep 1
	msg resume
	t_ok "nowait $how: good or AGAIN, and an AGAIN has changed nothing" wait $w
	diag "$(< /tmp/nowait)"
	wait $o $p
	t_is "$(rises /tmp/poll)" 0 "nowait $how: the dirty count never rises"
	t_wait "nowait $how: synced" '^ready yes ' 20
	st
	t_is "${S[error]} ${S[serr]} ${S[terr]} ${S[io]}" "- 0 0 ok" "nowait $how: AGAIN is no error"
	unmirror
	t_equal "nowait $how: legs equal"
done
# AGAIN for certain: the range is held by a write whose target hangs
mirror sync none copy_mode write-blocking
wait_st '^ready yes '
hang
dio $DM/m w:0:8:g7 > /dev/null &
w=$!
for ((i = 0; i < 250; i++)); do dio $DM/src r:0:8:g7 > /dev/null && break; sleep 0.02; done
out=$(timeout 5 "$TOOLS/dio" $DM/m N:0:8:g8 | cut -d' ' -f2)
t_is "$out" EAGAIN "NOWAIT into a held range ends with AGAIN at once"
t_ok "and before a leg is touched" dio $DM/src r:0:8:g7
t_is "$(field dirty)" 0 "and marks nothing"
unhang
wait $w
t_wait "and the mirror is synced" '^ready yes .* ok - 0 0 ' 5
unmirror
t_equal "NOWAIT: legs equal"

finish

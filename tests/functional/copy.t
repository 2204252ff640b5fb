#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The background copy: the three words of sync, chunk sizes from one logical
# block to 64 MiB, a 512-byte tail, the smallest buffer, the first MiB last,
# mark_dirty, pause, resume, progress numbers.
#
# Guards invariant 1 (nothing that may differ is clean).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((16 * 2048 + 1))
fill $DM/src 1

# --- sync full, every kind of chunk; the target holds something else before
for g in 1 8 128 2048 131072; do
	CH=$g
	fill $DM/tgt 2
	mirror granularity $g
	t_wait "granularity $g: ready" '^ready ' 30
	st
	t_is "${S[dirty]}/${S[chunks]}" "0/$(((LEN + g - 1) / g))" "granularity $g: nothing dirty of all chunks"
	t_is "${S[offset]}" "${S[len]}" "granularity $g: offset is len at READY"
	t_is "${S[inflight]} ${S[serr]} ${S[terr]} ${S[error]}" "0 0 0 -" "granularity $g: no error, nothing in flight"
	unmirror
	t_equal "granularity $g: legs equal, to the last sector"
done
CH=128
for b in 1 128 2048; do
	fill $DM/tgt 2
	mirror buf_size $b granularity 128
	t_wait "buf_size $b: ready" '^ready ' 60
	unmirror
	t_equal "buf_size $b: legs equal"
done
# lengths around a chunk's end
for n in 1 7 127 128 129 255 2047 2049; do
	fill $DM/tgt 2 2304
	for mode in background write-blocking; do
		dm_make m "0 $n qmirror $DM/src 3 $DM/tgt 5 2 copy_mode $mode"
		t_wait "length $n, $mode: ready" '^ready ' 10
		dio $DM/m "w:$((n - 1)):1:g3" > /dev/null
		t_wait "length $n, $mode: clean again" ' 0/[0-9]+ ' 10
		wait_st '^ready .* 0/[0-9]+ ok - 0 0 0 '
		unmirror
		t_ok "length $n, $mode: equal" "$TOOLS/blkcmp" -a 3 -b 5 -n $n $DM/src $DM/tgt
		t_ok "length $n, $mode: not a sector more" dio $DM/tgt "r:$((n + 5)):1:g2" r:4:1:g2
	done
	dio $DM/src "w:$((n + 2)):1:g1" > /dev/null
done

# --- sync none: ready at once, nothing copied; background writes copied later
fill $DM/src 1
fill $DM/tgt 2
mark tgt
mirror sync none
t_wait "sync none: ready at once" '^ready .* 0/0 0/257 ' 5
t_is "$(since tgt wsec)" 0 "sync none: nothing was written"
dio $DM/m w:1000:8:g3 > /dev/null
t_wait "sync none: the write was copied" '^ready .* 0/257 ok - 0 0 0 ' 5
for ((i = 0; i < 100 && $(since tgt wsec) == 0; i++)); do sleep 0.02; done
t_is "$(since tgt wsec)" 128 "sync none: one chunk was copied"
t_ok "sync none: it is the chunk of the write" dio $DM/tgt r:1000:8:g3 r:896:104:g1 r:895:1:g2 r:1024:8:g2
msg mark_dirty 0 1 $((LEN - 1)) 1
t_wait "mark_dirty: clean again" '^ready .* 0/257 ok - 0 0 0 ' 5
t_ok "mark_dirty: whole chunks of the ranges" dio $DM/tgt r:0:128:g1 r:128:8:g2 r:$((LEN - 1)):1:g1 r:$((LEN - 2)):1:g2
unmirror

# --- sync bitmap
fill $DM/tgt 2
mirror sync bitmap granularity 128
t_is "$(field state)" paused "sync bitmap: starts paused"
t_is "$(field dirty)" 0 "sync bitmap: with nothing dirty"
msg mark_dirty 128 1 255 2 4096 1024
t_is "$(field dirty)" 10 "sync bitmap: chunks touched by the ranges"
mark tgt
dio $DM/m w:20000:8:g3 > /dev/null
t_is "$(field dirty)" 11 "sync bitmap: a guest write while paused marks too"
t_is "$(since tgt wsec)" 0 "sync bitmap: nothing is copied while paused"
msg resume
t_wait "sync bitmap: ready after resume" '^ready .* 0/257 ' 10
t_is "$(since tgt wsec)" $((11 * 128)) "sync bitmap: exactly the marked chunks"
t_ok "sync bitmap: the right ones" dio $DM/tgt r:127:1:g2 r:128:256:g1 r:384:1:g2 \
	r:4095:1:g2 r:4096:1024:g1 r:5120:1:g2 r:20000:8:g3
unmirror

# --- the first MiB last
fill $DM/tgt 2
mirror speed 8192 buf_size 2048
wait_st '^running .* (1[0-9]{4}|2[0-9]{4})/[0-9]+ '
msg pause
wait_st '^paused '
off=$(field offset)
t_between "halfway: some of it is copied" "$off" 8192 $((LEN - 2048 - 1))
t_ok "halfway: the first MiB of the target is untouched" dio $DM/tgt r:0:2048:g2
mark tgt
# while paused nothing moves, and guest writes are marked
dio $DM/m w:8:8:g4 > /dev/null
t_is "$(field offset)" "$off" "paused: the offset stands still"
t_is "$(since tgt wsec)" 0 "paused: nothing is sent"
t_is "$(field inflight)" 0 "paused: nothing is in flight"
msg set speed 0
msg resume
t_wait "resume: ready" '^ready ' 20
unmirror
t_equal "first MiB last: legs equal in the end"

# --- a chunk much larger than a piece of copy: paused, written and reloaded in
# its middle it is not forgotten
for how in "" "write-blocking" "write-blocking no_bounce"; do
	fill $DM/src 1
	fill $DM/tgt 2
	n="one chunk of 16 MiB ${how:-background}"
	# shellcheck disable=SC2086
	set -- granularity 32768 speed 8192 ${how:+copy_mode} $how
	mirror "$@"
	wait_st '^running .* ([1-9][0-9]{3,4})/[0-9]+ ' 10
	t_ok "$n: writes in its middle" dio $DM/m w:100:8:g3 w:16000:8:g3 w:32000:8:g3
	t_between "$n: dirty or in flight" "$(st; echo $((S[dirty] + S[inflight])))" 1 99999
	msg pause
	t_wait "$n: paused" '^paused ' 10
	t_between "$n: paused in its middle it is dirty" "$(field dirty)" 1 2
	dm_swap m "$(line "$@")"
	t_is "$(field state)" paused "$n: reloaded"
	t_between "$n: and still dirty" "$(field dirty)" 1 2
	msg set speed 0
	msg resume
	"$TOOLS/overlap" -d 1 -n $LEN ${SEED:+-r $SEED} $DM/m > /dev/null
	t_wait "$n: ready" '^ready .* 0/2 ok - 0 0 0 ' 20
	unmirror
	t_equal "$n: legs equal"
done

# --- paused in write-blocking mode still mirrors (K-27)
fill $DM/tgt 2
mirror sync none copy_mode write-blocking
wait_st '^ready ' && msg pause && wait_st '^standby '
dio $DM/m w:512:8:g5 > /dev/null
t_ok "standby: a write-blocking write reaches the target" dio $DM/tgt r:512:8:g5
t_is "$(field dirty)" 0 "standby: and marks nothing"
unmirror

# --- progress: offset only grows, len never shrinks, READY with one event
# The second kind of chunk is copied in pieces. len counts the last, partial chunk
# as a whole one until it is copied (M-16).
for g in 8192 128; do
	fill $DM/tgt 2
	mirror speed 16384 buf_size 2048 granularity $g
	"$TOOLS/dmpoll" -i 3 -n 30 -u '^ready ' m > /tmp/progress &
	p=$!
	for ((i = 0; i < 10; i++)); do dio $DM/m "w:$((i * 3000)):64:g6" > /dev/null; done
	wait $p
	back=$(awk -v short=$(((LEN + g - 1) / g * g - LEN)) '{
		split($6, o, "/")
		if (o[1] < lo || o[2] < ll && !(ll - o[2] == short && !seen++))
			print prev "\n" $0
		lo = o[1]; ll = o[2]; prev = $0 }' /tmp/progress)
	t_is "$back" "" "granularity $g: offset and len only grow"
	t_between "granularity $g: looked at often enough" "$(wc -l < /tmp/progress)" 20 9999
	t_is "$(awk '$4 == "ready" && $6 { split($6, o, "/"); print (o[1] == o[2]) }' /tmp/progress)" 1 \
		"granularity $g: at READY offset is len"
	[[ $g == 128 ]] || unmirror
done
ev=$(events)
for i in 1 2 3; do
	dio $DM/m w:0:8:g7 > /dev/null
	wait_st ' 0/[0-9]+ ok - 0 0 0 '
done
t_is "$(field state)" ready "READY is not withdrawn by new writes"
unmirror
t_equal "progress: legs equal"

# write-blocking: an event when synced comes
mirror copy_mode write-blocking
t_wait "write-blocking: synced comes with READY or after" '^ready yes ' 20
t_between "write-blocking: events for ready and synced" "$(events)" 1 4
ev=$(events)
msg set copy_mode background
dio $DM/m w:0:8:g7 > /dev/null
t_wait "background: synced goes with the first write" '^ready no ' 5
msg set copy_mode write-blocking
t_wait "write-blocking again: synced comes back" '^ready yes ' 5
t_between "synced coming back raises an event" $(($(events) - ev)) 1 9
unmirror

finish

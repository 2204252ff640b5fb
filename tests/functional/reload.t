#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The job belongs to the device, not to the table: a reload of the same line
# joins it, with everything that is dirty, in every sync and under load.
#
# Guards invariants 1 (not one dirty chunk is forgotten), 7 (suspend never
# waits without a bound, presuspend can be undone) and 9 (quiet flag).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs 32769			# 257 chunks, the last of one sector
modprobe dm-flakey 2>/dev/null

# --- dirty chunks in every sync, in every state that has some
for sync in full none bitmap; do
	for mode in background write-blocking; do
		n="$sync, $mode"
		fill $DM/src 1
		fill $DM/tgt 2
		mirror sync $sync copy_mode $mode speed 2048 buf_size 128
		case $sync in
		full)	wait_st '^running .* [1-9][0-9]*/[0-9]+ '; msg pause; wait_st '^paused ' ;;
		none)	"$TOOLS/blkcmp" $DM/src $DM/tgt > /dev/null && fail "$n: set-up"
			wait_st '^ready '; msg pause; wait_st '^standby '
			msg mark_dirty 0 $LEN ;;
		bitmap)	msg mark_dirty 0 $LEN ;;
		esac
		dio $DM/m w:8:8:g3 w:20000:300:g3 w:32768:1:g3 > /dev/null
		st
		before="${S[state]} ${S[offset]} ${S[dirty]} ${S[chunks]} ${S[io]} ${S[error]} ${S[serr]} ${S[terr]} ${S[ending]}"
		t_between "$n: there is something dirty" "${S[dirty]}" 2 257
		for other in full none bitmap; do
			dm_swap m "$(line sync $other copy_mode $mode speed 2048 buf_size 128)" || fail "reload"
			st
			t_is "${S[state]} ${S[offset]} ${S[dirty]} ${S[chunks]} ${S[io]} ${S[error]} ${S[serr]} ${S[terr]} ${S[ending]}" \
				"$before" "$n: reload with sync $other changes nothing"
		done
		dm_suspend m
		dm_resume m
		t_is "$(field dirty)" "${S[dirty]}" "$n: nor do suspend and resume"
		dm_load m "$(line sync $sync)"
		dmsetup clear m
		t_is "$(field dirty)" "${S[dirty]}" "$n: nor a table that is loaded and cleared"
		msg set speed 0
		msg resume
		t_wait "$n: ready" '^ready .* 0/257 ' 20
		wait_st '^ready .* 0/257 ok - 0 0 0 ' 5
		unmirror
		t_equal "$n: legs equal"
	done
done

# --- with a job that still runs: a reload in the middle, ten times
fill $DM/tgt 2
mirror speed 16384 buf_size 256
"$TOOLS/dmcycle" -c 30 -i 20 -l $LEN -p "$DM/src 0 $DM/tgt 0 4 speed 16384 buf_size 256" \
	-p "$DM/src 0 $DM/tgt 0 6 sync none speed 16384 buf_size 512" m > /tmp/cycle 2>&1 ||
	fail "cycles: $(< /tmp/cycle)"
diag "$(< /tmp/cycle)"
msg set speed 0
t_wait "running: ready after reloads in the middle" '^ready ' 20
unmirror
t_equal "running: legs equal"

# --- sticky errors stay
fill $DM/tgt 2
dm_swap tgt "0 $LEN error"
mirror on_target_error stop
wait_st '^paused .* failed target:write:EIO:' 20
st
before="${S[state]} ${S[dirty]} ${S[io]} ${S[error]} ${S[terr]}"
dm_swap m "$(line on_target_error stop)"
st
t_is "${S[state]} ${S[dirty]} ${S[io]} ${S[error]} ${S[terr]}" "$before" "a reload keeps errors, counters and the stop"
dm_swap tgt "$(linear_line tgt)"
msg resume
t_wait "and resume goes on" '^ready .* ok - ' 20
unmirror
t_equal "sticky: legs equal"

# --- the asked ending and READY stay
mirror copy_mode write-blocking
wait_st '^ready yes ' && msg complete && wait_st '^pending '
dm_swap m "$(line copy_mode write-blocking)"
t_wait "pending stays over a reload" '^pending yes .* complete 0' 5
unmirror

# --- 200 cycles of suspend, resume, reload under load, both modes
for mode in background write-blocking; do
	fill $DM/tgt 2
	mirror copy_mode $mode
	"$TOOLS/mixer" -t 3 -d 12 ${SEED:+-r $SEED} $DM/m > /tmp/mixer 2>&1 &
	mix=$!
	rc=0
	"$TOOLS/dmcycle" -c 200 -l $LEN ${SEED:+-r $SEED} \
		-p "$DM/src 0 $DM/tgt 0 2 copy_mode background" \
		-p "$DM/src 0 $DM/tgt 0 2 copy_mode write-blocking" \
		-p "$DM/src 0 $DM/tgt 0 4 sync none copy_mode write-blocking" \
		-p "$DM/src 0 $DM/tgt 0 4 copy_mode write-blocking buf_size 256" m > /tmp/cycle 2>&1 || rc=$?
	t_is $rc 0 "$mode: 200 cycles of suspend, resume and reload"
	diag "$(< /tmp/cycle)"
	t_ok "$mode: the load went through, its model holds" in_time 60 $mix
	diag "$(< /tmp/mixer)"
	msg set copy_mode write-blocking
	t_wait "$mode: synced afterwards" '^ready yes .* 0/257 ok - ' 20
	t_is "$(field orphans)" 0 "$mode: no orphans"
	unmirror
	t_equal "$mode: legs equal"
done

finish

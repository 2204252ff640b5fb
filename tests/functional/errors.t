#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Errors on both legs under every policy and in both modes: the guest's result
# is the source's, the chunks are dirty, the job does what the policy says,
# and after healing only dirty chunks are copied and the legs are equal.
#
# Guards invariant 1 (failures mark) and the policy table of the contract.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs 16384			# 128 chunks
modprobe -a dm-flakey dm-delay 2>/dev/null
dm_make err "0 16384 error"
for n in src tgt; do
	dm_make "flk$n" "0 $LEN flakey ${RAW[$n]} 0 0 60 1 error_writes"
done

# Tables with a bad range [1024, 1032): reads, writes, or flushes only
seg() { # LEG BAD-SEGMENT
	printf '0 1024 linear %s 0\n1024 8 %s\n1032 %d linear %s 1032\n' "${RAW[$1]}" "$2" $((LEN - 1032)) "${RAW[$1]}"
}
bad_write() { seg "$1" "delay ${RAW[$1]} 1024 0 $DM/flk$1 1024 0 ${RAW[$1]} 1024 0"; }
bad_read()  { seg "$1" "delay $DM/err 1024 0 ${RAW[$1]} 1024 0"; }
swap_in() { dm_swap "$1" "$2"; }
heal() { swap_in "$1" "$(linear_line "$1")"; }

# The rig itself: what we call a failing range fails, and only there
swap_in tgt "$(bad_write tgt)"
t_is "$(dio $DM/tgt w:1024:8:g1 w:1016:8:g1 r:1024:8 | cut -d' ' -f2 | xargs)" "EIO ok ok" "rig: writes to the range fail"
heal tgt
swap_in src "$(bad_read src)"
t_is "$(dio $DM/src r:1024:8 w:1024:8:g1 r:1032:8 | cut -d' ' -f2 | xargs)" "EIO ok ok" "rig: reads of the range fail"
heal src

# --- the copier's writes fail: each policy, before READY
fill $DM/src 1
for policy in report stop ignore enospc auto; do
	fill $DM/tgt 2
	swap_in tgt "$(bad_write tgt)"
	mirror on_target_error $policy
	case $policy in
	report|enospc|auto)
		t_wait "target write, $policy: concluded" '^concluded ' 20
		t_is "$(field io)" ok "target write, $policy: io_status unchanged" ;;
	stop)
		t_wait "target write, stop: paused" '^paused ' 20
		t_is "$(field io)" failed "target write, stop: io_status failed" ;;
	ignore)
		t_wait "target write, ignore: only the bad chunk stays" '^running no .* 1/128 ' 20
		t_is "$(field io)" ok "target write, ignore: io_status unchanged" ;;
	esac
	st
	t_is "${S[error]}" target:write:EIO:1024 "target write, $policy: first error, first sector of the chunk"
	t_between "target write, $policy: counted" "${S[terr]}" 1 1000000
	t_is "${S[serr]}" 0 "target write, $policy: no source error"
	t_between "target write, $policy: the chunk is dirty" "${S[dirty]}" 1 128
	heal tgt
	case $policy in
	report|enospc|auto)
		dio $DM/m w:2048:8:g3 > /dev/null
		t_ok "target write, $policy: then linear to the source" dio $DM/src r:2048:8:g3
		dio $DM/src w:2048:8:g1 > /dev/null ;;
	stop)
		d=$(field dirty)
		mark tgt
		msg resume
		t_wait "target write, stop: ready after healing and resume" '^ready ' 20
		t_is "$(since tgt wsec)" $((d * 128)) "target write, stop: only what was dirty is copied"
		t_is "$(field io) $(field error)" "ok -" "target write, stop: resume clears io_status and error"
		unmirror
		t_equal "target write, stop: legs equal" ;;
	ignore)
		t_wait "target write, ignore: ready after healing, by itself" '^ready ' 25
		unmirror
		t_equal "target write, ignore: legs equal" ;;
	esac
	[[ $policy == stop || $policy == ignore ]] || unmirror
done

# --- ignore backs off: bounded attempts, bounded log
fill $DM/tgt 2
swap_in tgt "$(bad_write tgt)"
log_mark
mirror on_target_error ignore
wait_st '^running .* 1/128 '
e1=$(field terr)
sleep 3
e2=$(field terr)
t_between "ignore: it does retry, but slowly" $((e2 - e1)) 1 16
t_between "ignore: the log stays short" "$(log_new | grep -c 'qmirror')" 1 8
mark tgt
dio $DM/m w:4096:8:g3 > /dev/null
t_wait "ignore: the rest goes on" '^running .* 1/128 ' 10
t_ok "ignore: a write elsewhere is copied meanwhile" dio $DM/tgt r:4096:8:g3
log_mark
msg cancel force
t_wait "ignore: cancel force ends it" '^concluded ' 10
heal tgt
unmirror
dio $DM/src w:4096:8:g1 > /dev/null

# --- the copier's reads fail: on_source_error
for policy in report stop ignore; do
	fill $DM/tgt 2
	swap_in src "$(bad_read src)"
	mirror on_source_error $policy on_target_error stop
	case $policy in
	report)	t_wait "source read, report: concluded" '^concluded ' 20 ;;
	stop)	t_wait "source read, stop: paused" '^paused .* failed ' 20 ;;
	ignore)	t_wait "source read, ignore: only the bad chunk stays" '^running .* 1/128 ' 20 ;;
	esac
	st
	t_is "${S[error]}" source:read:EIO:1024 "source read, $policy: the error"
	t_is "$((S[serr] > 0)) ${S[terr]}" "1 0" "source read, $policy: counted on its side"
	t_is "$(dio $DM/m r:1024:8 | cut -d' ' -f2)" EIO "source read, $policy: the guest's read gets its own error"
	heal src
	[[ $policy != stop ]] || msg resume
	if [[ $policy != report ]]; then
		t_wait "source read, $policy: ready after healing" '^ready ' 25
	fi
	unmirror
	[[ $policy == report ]] || t_equal "source read, $policy: legs equal"
done

# --- ENOSPC, from a thin pool that fails instead of queueing
modprobe dm-thin-pool 2>/dev/null
meta=$(raw_disk nullmeta 8192)
data=$(raw_disk nulldata $((2 * LEN)))
for policy in enospc auto stop report; do
	dd if=/dev/zero of="$meta" bs=4096 count=1 oflag=direct status=none
	dm_make data "0 4096 linear $data 0"
	dm_make pool "0 4096 thin-pool $meta $DM/data 128 0 1 error_if_no_space"
	dmsetup message pool 0 create_thin 0
	dm_make thin "0 $LEN thin $DM/pool 0"
	dm_make m "0 $LEN qmirror $DM/src 0 $DM/thin 0 2 on_target_error $policy"
	case $policy in
	report)	t_wait "no space, report: concluded" '^concluded .* ok target:write:ENOSPC:' 30 ;;
	*)	t_wait "no space, $policy: paused with nospace" '^paused .* nospace target:write:ENOSPC:' 30 ;;
	esac
	if [[ $policy != report ]]; then
		d=$(field dirty)
		t_between "no space, $policy: what fitted was copied" "$d" 1 120
		swap_in data "0 $((2 * LEN)) linear $data 0"
		swap_in pool "0 $((2 * LEN)) thin-pool $meta $DM/data 128 0 1 error_if_no_space"
		SYS[thin]=
		mark thin
		msg resume
		t_wait "no space, $policy: more room, resume, ready (M-59)" '^ready .* ok - ' 30
		t_is "$(since thin wsec)" $((d * 128)) "no space, $policy: without copying all again"
		unmirror
		t_equal "no space, $policy: legs equal" $DM/src $DM/thin
	else
		unmirror
	fi
	dm_remove thin
	dm_remove pool
	dm_remove data
done
# the same for guest writes, in the states after READY
for policy in enospc auto; do
	dd if=/dev/zero of="$meta" bs=4096 count=1 oflag=direct status=none
	dm_make data "0 4096 linear $data 0"
	dm_make pool "0 4096 thin-pool $meta $DM/data 128 0 1 error_if_no_space"
	dmsetup message pool 0 create_thin 0
	dm_make thin "0 $LEN thin $DM/pool 0"
	dm_make m "0 $LEN qmirror $DM/src 0 $DM/thin 0 6 sync none copy_mode write-blocking on_target_error $policy"
	wait_st '^ready yes '
	t_ok "no space, $policy, guest: its writes succeed" dio $DM/m w:0:2048:g1 w:2048:2048:g1 w:4096:2048:g1
	t_wait "no space, $policy, guest: standby with nospace" '^standby no .* nospace target:write:ENOSPC:4096 ' 10
	swap_in data "0 $((2 * LEN)) linear $data 0"
	swap_in pool "0 $((2 * LEN)) thin-pool $meta $DM/data 128 0 1 error_if_no_space"
	msg resume
	t_wait "no space, $policy, guest: synced with more room" '^ready yes .* ok - ' 10
	t_ok "no space, $policy, guest: the write is there" "$TOOLS/blkcmp" -n 6144 $DM/src $DM/thin
	unmirror
	dm_remove thin
	dm_remove pool
	dm_remove data
done
# and any other error is as report
swap_in tgt "$(bad_write tgt)"
mirror sync none copy_mode write-blocking on_target_error enospc
wait_st '^ready '
dio $DM/m w:1024:8:g1 > /dev/null
t_wait "enospc, guest write, EIO: as report" '^concluded .* ok target:write:EIO:1024 ' 10
heal tgt
unmirror

# --- guest writes, target fails, READY: all of it in write-blocking mode
declare -A low=([ignore]=1)
for policy in report stop ignore; do
	mirror copy_mode write-blocking on_target_error $policy
	wait_st '^ready yes ' 20
	swap_in tgt "$(bad_write tgt)"
	ev=$(events)
	t_ok "guest write, $policy: succeeds" dio $DM/m w:1020:16:g4
	t_ok "guest write, $policy: is on the source" dio $DM/src r:1020:16:g4
	case $policy in
	report)	t_wait "guest write, report: concluded" '^concluded ' 10 ;;
	stop)	t_wait "guest write, stop: standby" '^standby no ' 10 ;;
	ignore)	t_wait "guest write, ignore: not synced" '^ready no ' 10 ;;
	esac
	t_is "$(field error)" target:write:EIO:1020 "guest write, $policy: the error names the write's sector"
	t_between "guest write, $policy: an event" $(($(events) - ev)) 1 99
	# the good one may have been copied again already
	t_between "guest write, $policy: its chunks are dirty" "$(field dirty)" ${low[$policy]-2} 2
	ev=$(events)
	if [[ $policy == stop ]]; then
		# more errors and other writes while stopped
		t_ok "guest write, stop: again" dio $DM/m w:1024:8:g5
		mark tgt
		t_ok "guest write, stop: elsewhere" dio $DM/m w:8192:8:g5
		t_ok "guest write, stop: writes elsewhere still reach the target" dio $DM/tgt r:8192:8:g5
		t_is "$(field error)" target:write:EIO:1020 "guest write, stop: the first error stays"
		heal tgt
		mark tgt
		msg resume
		t_wait "guest write, stop: synced after resume" '^ready yes ' 10
		t_is "$(since tgt wsec)" 256 "guest write, stop: only the dirty chunks are copied"
	else
		heal tgt
	fi
	[[ $policy != ignore ]] || t_wait "guest write, ignore: synced by itself" '^ready yes ' 20
	unmirror
	[[ $policy == report ]] || t_equal "guest write, $policy: legs equal"
done

# --- guest writes that fail on the source mark their chunks in both modes
for mode in background write-blocking; do
	for how in "" no_bounce; do
		# shellcheck disable=SC2086
		mirror copy_mode $mode on_target_error stop $how
		wait_st '^ready ' 20
		wait_st ' 0/128 ' && msg pause && wait_st '^standby '
		swap_in src "$(bad_write src)"
		t_is "$(dio $DM/m w:1020:16:g6 | cut -d' ' -f2)" EIO "source write, $mode $how: the guest sees it"
		t_is "$(field dirty)" 2 "source write, $mode $how: both chunks are dirty"
		st
		t_is "${S[state]} ${S[io]} ${S[terr]}" "standby ok 0" "source write, $mode $how: no job error"
		heal src
		msg resume
		t_wait "source write, $mode $how: clean after healing" '^ready .* 0/128 ok - ' 10
		wait_st '^ready .* 0/128 ok - [0-9]+ [0-9]+ 0 '
		unmirror
		t_equal "source write, $mode $how: legs equal"
	done
done

# --- policies set while running count at once
fill $DM/tgt 2
swap_in tgt "$(bad_write tgt)"
mirror on_target_error ignore speed 2048 buf_size 128
msg set on_target_error stop
msg set speed 0
t_wait "set on_target_error while running" '^paused .* failed ' 20
heal tgt
msg set on_target_error report
msg resume
t_wait "and on" '^ready ' 20
unmirror
t_equal "set on_target_error: legs equal"

finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The two endings: complete and cancel, pending, final, what withdraws it, and
# the switch of the table with the guest at work.
#
# Guards invariant 4 (final implies equal legs, a flushed target and a quiet
# device) and 9 (quiet flag).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
modprobe -a dm-flakey dm-delay 2>/dev/null
legs 32768 cache_size=4		# 256 chunks, with a write cache
pend() { mirror copy_mode write-blocking "$@" && wait_st '^ready yes ' && msg complete && wait_st '^pending yes '; }

# --- complete, by the book
fill $DM/src 1
fill $DM/tgt 2
mirror
wait_st '^ready '
t_is "$(field ending)" - "nothing asked for"
dm_suspend m
t_is "$(field synced)" "no" "suspended without an ending asked for: not final"
dm_resume m
msg complete
t_wait "complete: pending" '^pending yes .* complete 0' 10
t_ok "pending: the guest can write" timeout 5 "$TOOLS/dio" $DM/m w:64:16:g3
t_ok "pending: writes are mirrored at once" dio $DM/tgt r:64:16:g3
t_is "$(field state)" pending "pending: a mirrored write does not end it"
mark src
mark tgt
t_ok "pending: a discard succeeds" dio $DM/m d:1024:1024
t_is "$(since src dsec) $(since tgt dsec)" "0 0" "pending: and reaches neither leg"
t_ok "pending: a flush succeeds" dio $DM/m f
dm_load m "0 $LEN linear ${RAW[tgt]} 0"
dm_suspend m
t_is "$(field synced)" final "suspended: final"
t_is "$(field state)" pending "suspended: still pending"
t_equal "final: legs equal"
dm_resume m
t_is "$(dmsetup table m | cut -d' ' -f3)" linear "the device is on the target"
dio $DM/m w:128:8:g4 > /dev/null
t_ok "writes go to the target" dio $DM/tgt r:128:8:g4
t_ok "and no longer to the source" dio $DM/src r:128:8:g1
unmirror

# --- cancel in ready: a point-in-time copy
mirror
wait_st '^ready '
dio $DM/m w:2000:8:g5 > /dev/null
msg cancel
t_wait "cancel: pending" '^pending yes .* cancel 0' 10
dm_load m "$(linear_line src)"
dm_suspend m
t_is "$(field synced)" final "cancel: final"
dm_resume m
dio $DM/m w:2000:8:g6 > /dev/null
t_ok "cancel: the target keeps the moment of the end" dio $DM/tgt r:2000:8:g5
t_ok "cancel: the source went on" dio $DM/src r:2000:8:g6
unmirror

# --- what withdraws final
for how in resume mark_dirty "cancel force"; do
	pend
	dm_suspend m
	t_is "$(field synced)" final "$how: final first"
	case $how in
	resume)
		dm_resume m
		t_is "$(field synced)" yes "resume withdraws it"
		t_is "$(field state)" pending "resume: the job goes on" ;;
	mark_dirty)
		timeout 10 dmsetup message m 0 mark_dirty 0 8
		t_like "$(field synced)" '^(no|yes)$' "mark_dirty withdraws it"
		t_is "$(field dirty)" 1 "mark_dirty: one chunk dirty"
		dm_resume m
		t_wait "mark_dirty: after resume it is pending again" '^pending yes .* 0/256 .* complete 0' 10
		dm_suspend m
		t_is "$(field synced)" final "mark_dirty: and final at the next suspend"
		dmsetup resume m ;;
	"cancel force")
		timeout 10 dmsetup message m 0 cancel force
		t_like "$(field synced)" '^(no|yes)$' "cancel force withdraws it"
		dm_resume m
		t_wait "cancel force: concluded" '^concluded ' 10 ;;
	esac
	unmirror
done

# --- no final without flush
pend
dm_suspend m --noflush
t_like "$(field synced)" '^(no|yes)$' "suspend --noflush: not final"
dm_resume m
unmirror

# --- chunks that become dirty in pending, by policy
errtab() { printf '0 1024 linear %s 0\n1024 8 error\n1032 %d linear %s 1032\n' "${RAW[$1]}" $((LEN - 1032)) "${RAW[$1]}"; }
swap_in() { dm_swap "$1" "$2"; }
for policy in report enospc stop ignore; do
	pend on_target_error $policy
	swap_in tgt "$(errtab tgt)"
	t_ok "$policy: the guest's write succeeds" dio $DM/m w:1024:8:g7
	case $policy in
	report|enospc)	t_wait "$policy: the job ends" '^concluded .* target:write:EIO:1024 ' 10 ;;
	stop)		t_wait "stop: standby, the request kept" '^standby no .* failed .* complete 0' 10 ;;
	ignore)		t_wait "ignore: ready, the request kept" '^ready no .* complete 0' 10 ;;
	esac
	swap_in tgt "$(linear_line tgt)"
	[[ $policy != stop ]] || msg resume
	if [[ $policy == stop || $policy == ignore ]]; then
		t_wait "$policy: pending again when clean" '^pending yes .* complete 0' 20
		dm_suspend m
		t_is "$(field synced)" final "$policy: final"
		t_equal "$policy: legs equal"
		dm_resume m
	fi
	unmirror
done
# a failed source write marks, too
pend on_target_error report
swap_in src "$(errtab src)"
t_is "$(dio $DM/m w:1024:8:g8 | cut -d' ' -f2)" EIO "failed guest write: the guest sees it"
t_wait "failed guest write: not pending" '^(ready|standby|aborting|concluded) no .* 1/256 ' 10
swap_in src "$(linear_line src)"
dio $DM/m w:1024:8:g8 > /dev/null
unmirror
pend on_source_error ignore
swap_in src "$(errtab src)"
dio $DM/m w:1024:8:g8 > /dev/null
t_wait "failed guest write: back to ready with the request kept" '^ready no .* complete 0' 10
swap_in src "$(linear_line src)"
t_wait "failed guest write: pending again when clean" '^pending yes .* complete 0' 20
unmirror
t_equal "failed guest write: legs equal"

# --- the flush at the end fails
dm_make flk "0 $LEN flakey ${RAW[tgt]} 0 0 60 1 error_writes"
noflush="0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 0 $DM/flk 0 0"
pend on_target_error stop
dio $DM/m w:0:8:g9 w:8192:8:g9 > /dev/null
swap_in tgt "$noflush"
t_is "$(dio $DM/tgt w:0:8:g9 f | cut -d' ' -f2 | xargs)" "ok EIO" "rig: only flushes fail"
dm_suspend m
t_like "$(field synced)" '^(no|yes)$' "a failed flush at the suspend: not final"
dm_resume m
t_wait "stop: standby with the request kept" '^standby no .* failed target:flush:EIO:.* complete 0' 10
t_between "what was written since the last good flush is dirty (M-53)" "$(field dirty)" 1 256
swap_in tgt "$(linear_line tgt)"
msg resume
t_wait "healed and resumed: pending" '^pending yes .* complete 0' 20
dm_suspend m
t_is "$(field synced)" final "and final"
dm_resume m
unmirror
# the flush before pending fails: no pending
mirror copy_mode write-blocking on_target_error stop
wait_st '^ready yes '
dio $DM/m w:0:8:g9 > /dev/null
swap_in tgt "$noflush"
msg complete
t_wait "a failed flush before pending: standby with the request" '^standby .* failed target:flush:EIO:.* complete 0' 10
swap_in tgt "$(linear_line tgt)"
msg resume
t_wait "and pending after healing" '^pending yes ' 20
unmirror
dm_remove flk

# --- the target hangs at the suspend: bounded, and no final
pend
dio $DM/m w:0:8:g9 > /dev/null
hang
t_between "a hanging flush: the suspend takes 5 s at most" \
	"$(timeout 60 "$TOOLS/dmq" ms suspend m)" 0 7000
t_like "$(field synced)" '^(no|yes)$' "a hanging flush: not final"
unhang
dm_resume m
t_wait "the job goes on" '^pending yes .* 0$' 20
dm_suspend m
t_is "$(field synced)" final "final with a target that answers"
t_equal "final: equal"
dm_resume m
unmirror

# --- after complete every write is mirrored, whatever copy_mode says
mirror sync none
wait_st '^ready ' && msg pause && wait_st '^standby '
msg set speed 64
msg mark_dirty 0 8192
msg complete
msg resume
wait_st '^ready .* complete '
t_ok "asked to complete, background: a write to a clean chunk" dio $DM/m w:20000:8:g3
t_ok "is on the target at once" dio $DM/tgt r:20000:8:g3
mark src
mark tgt
t_ok "a discard succeeds" dio $DM/m d:20480:128
t_is "$(since src dsec) $(since tgt dsec)" "0 0" "and reaches neither leg"
msg set speed 0
t_wait "then pending" '^pending ' 10
unmirror

# --- a background-mode write in flight holds back synced and pending (M-14)
in_flight() { local f; read -r -a f < "/sys/block/${SYS[m]}/inflight"; ((f[1] > 0)); }
dm_swap src "0 $LEN delay ${RAW[src]} 0 0 ${RAW[src]} 0 4000"
for what in "set copy_mode write-blocking" complete; do
	mirror sync none
	wait_st '^ready '
	SYS[m]=
	count m
	dio $DM/m w:4096:8:g7 > /dev/null &
	w=$!
	# on its way when dm counts it as in flight
	until_true 3 in_flight
	# shellcheck disable=SC2086
	msg $what
	if kill -0 $w 2>/dev/null; then
		st
		t_is "${S[synced]}" no "$what: not synced while a background write is in flight"
		t_is "${S[state]}" ready "$what: ready while a background write is in flight"
	else
		fail "$what: the write was over too soon to see it"
	fi
	wait $w
	st
	[[ ${S[synced]} == no ]] || dio $DM/tgt r:4096:8:g7 > /dev/null ||
		fail "$what: synced, but the write is not on the target"
	t_wait "$what: synced after it" '^(ready|pending) yes .* 0/256 ok - 0 0 0 ' 10
	t_ok "$what: and the write is on the target" dio $DM/tgt r:4096:8:g7
	unmirror
done
dm_swap src "$(linear_line src)"

# --- the whole ending with the guest at work, both modes: the model follows
# the data over the switch from source to target
for mode in background write-blocking; do
	fill $DM/tgt 2
	mirror copy_mode $mode
	"$TOOLS/mixer" -t 2 -d 8 -D 0 ${SEED:+-r $SEED} $DM/m > /tmp/mixer 2>&1 &
	mix=$!
	t_wait "$mode, under load: ready" '^ready ' 30
	msg complete
	t_wait "$mode, under load: pending" '^pending ' 30
	dm_load m "0 $LEN linear ${RAW[tgt]} 0"
	dm_suspend m
	t_is "$(field synced)" final "$mode, under load: final"
	t_equal "$mode, under load: legs equal at the switch"
	dm_resume m
	t_ok "$mode, under load: the guest saw nothing of it" in_time 60 $mix
	diag "$(< /tmp/mixer)"
	unmirror
done

finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Flush and FUA: write-blocking sends both to both legs, background mode to
# the source only; a failed target flush re-dirties what was written since the
# last good one (M-53) and never reaches the guest.
#
# Guards invariant 1.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
modprobe -a dm-flakey dm-delay 2>/dev/null
legs 16384 cache_size=4

# The raw disks know flushes as requests of their own
flushes() { local f; read -r -a f < "/sys/block/${RAW[$1]#/dev/}/stat"; echo "${f[15]}"; }
t_is "$(< "/sys/block/${RAW[tgt]#/dev/}/queue/write_cache")" "write back" "rig: the legs have a write cache"

for how in "" no_bounce; do
	# shellcheck disable=SC2086
	mirror sync none copy_mode write-blocking $how
	wait_st '^ready yes '
	s=$(flushes src) t=$(flushes tgt)
	t_ok "write-blocking $how: flush" dio $DM/m f
	t_is "$(($(flushes src) - s)) $(($(flushes tgt) - t))" "1 1" "write-blocking $how: one flush on each leg"
	# FUA is seen by tracing: what the block layer was given
	if [[ -d /sys/kernel/tracing/events || -d /sys/kernel/debug/tracing/events ]] ||
	   mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null; then
		tr=/sys/kernel/tracing
		[[ -d $tr/events ]] || tr=/sys/kernel/debug/tracing
		# Not a patch of the scheduler each time (trace_on in mirror.sh).
		echo 0 > $tr/options/record-cmd
		echo > $tr/trace
		echo 1 > $tr/events/block/block_bio_queue/enable
		dio $DM/m W:64:8:g1 > /dev/null
		echo 0 > $tr/events/block/block_bio_queue/enable
		for leg in src tgt; do
			min=$(dmsetup info -c --noheadings -o minor $leg)
			maj=$(dmsetup info -c --noheadings -o major $leg)
			t_like "$(grep "$maj,$min " $tr/trace)" "$maj,$min F?WFS? 64 \+ 8 " "FUA $how: reaches $leg as FUA" ||
				diag "$(grep block_bio_queue $tr/trace)"
		done
	else
		diag "no tracing: only the content of the FUA write is looked at"
		dio $DM/m W:64:8:g1 > /dev/null
	fi
	t_ok "FUA $how: content" dio $DM/tgt r:64:8:g1
	unmirror
done

mirror sync none
wait_st '^ready ' && msg pause
wait_st '^standby '
s=$(flushes src) t=$(flushes tgt)
t_ok "background: flush" dio $DM/m f W:64:8:g1
t_between "background: reaches the source" $(($(flushes src) - s)) 1 4
t_is $(($(flushes tgt) - t)) 0 "background: and not the target"
unmirror

# the job's own: before READY, and before pending
t=$(flushes tgt)
mirror copy_mode write-blocking
wait_st '^ready yes '
t_between "before READY the target is flushed" $(($(flushes tgt) - t)) 1 99
dio $DM/m w:0:8:g1 > /dev/null
t=$(flushes tgt)
msg complete
wait_st '^pending '
t_between "before pending the target is flushed" $(($(flushes tgt) - t)) 1 99
dio $DM/m w:0:8:g1 > /dev/null
t=$(flushes tgt)
dm_suspend m
t_is "$(field synced)" final "final"
t_between "before final the target is flushed" $(($(flushes tgt) - t)) 1 99
dm_resume m
unmirror

# --- a target whose flushes fail: the guest never sees it (M-50), and what was
# written since the last good flush is dirty
dm_make flk "0 $LEN flakey ${RAW[tgt]} 0 0 60 1 error_writes"
noflush="0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 0 $DM/flk 0 0"
for policy in stop report ignore; do
	mirror copy_mode write-blocking on_target_error $policy
	wait_st '^ready yes '
	dio $DM/m w:0:8:g2 > /dev/null
	t_ok "$policy: a good flush" dio $DM/m f
	dm_swap tgt "$noflush"
	dio $DM/m w:1024:8:g2 w:4096:256:g2 > /dev/null
	t_is "$(field dirty)" 0 "$policy: nothing dirty before the flush"
	t_ok "$policy: the guest's flush succeeds" dio $DM/m f
	case $policy in
	stop)	t_wait "stop: standby" '^standby no .* failed target:flush:EIO:' 10 ;;
	report)	t_wait "report: concluded" '^concluded no .* target:flush:EIO:' 10 ;;
	ignore)	wait_st ' target:flush:EIO:' 10; pass "ignore: goes on" ;;
	esac
	if [[ $policy != ignore ]]; then
		t_between "$policy: what was written since the last good flush is dirty" "$(field dirty)" 3 4
	fi
	t_ok "$policy: the guest's FUA write succeeds" dio $DM/m W:8192:8:g3
	# the drive lost what was in its cache: only a copy brings it back
	dm_swap tgt "$(linear_line tgt)"
	dio $DM/tgt w:1024:8:g9 w:4096:256:g9 > /dev/null
	if [[ $policy == stop ]]; then
		msg resume
		t_wait "stop: synced after healing" '^ready yes .* ok - ' 10
		unmirror
		t_equal "stop: legs equal, although the target had lost the writes"
	elif [[ $policy == ignore ]]; then
		t_wait "ignore: synced after healing" '^ready yes ' 20
		unmirror
	else
		unmirror
	fi
done

finish

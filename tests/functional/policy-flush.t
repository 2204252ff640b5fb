#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy matrix, part 3: flushes of the target that fail, a guest's and the
# job's own; and a target that loses what was written and then fails the flush:
# all of that is dirty, and copied again (M-53).
#
# Guards invariants 1 and 4 and the policy table of the contract (qemu-semantics
# 1.12, M-52, M-53, K-22).
# vm: --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
rig
dm_make drop "0 $LEN flakey ${RAW[tgt]} 0 0 60 1 drop_writes"

rig_is flakey-flush "ok EIO" w:1032:8:g1 f
fill $DM/src 1
fill $DM/tgt 1

walk stock flush

# --- a drive that loses its cache: writes are dropped, the next flush fails ----

LOSSY="0 $LEN delay ${RAW[tgt]} 0 0 $DM/drop 0 0 $DM/flk 0 0"
dm swap tgt "$LOSSY"
t_is "$(dio $DM/tgt w:0:8:g77 f r:0:8:g77 | cut -d' ' -f2 | xargs)" "ok EIO EILSEQ" \
	"rig: writes are lost, the flush fails"
heal tgt
t_equal "rig: nothing was written"

# lossy_writes GEN: what the guest writes, in 6 chunks
lossy_writes() { dio $DM/m "w:256:8:g$1" "w:510:4:g$1" "w:2048:128:g$1" "w:3000:8:g$1" "u:3200:8"; }

# a guest's flush, write-blocking, after READY
for policy in report stop; do
	mirror sync none copy_mode write-blocking on_target_error $policy
	wait_st '^ready yes '
	lossy_writes 300 > /dev/null
	t_ok "lossy, $policy: a good flush" dio $DM/m f
	dm swap tgt "$LOSSY"
	t_ok "lossy, $policy: the guest's writes succeed" lossy_writes 301
	t_is "$(field dirty)" 0 "lossy, $policy: nothing is known yet"
	t_ok "lossy, $policy: yet the legs differ" bash -c "! '$TOOLS/blkcmp' $DM/src $DM/tgt"
	t_ok "lossy, $policy: the guest's flush succeeds" dio $DM/m f
	t_wait "lossy, $policy: all that was written since is dirty" \
		"^[a-z]+ no [^ ]+ 6/32 [a-z]+ target:flush:EIO:0 0 1 0 " 10
	t_is "$(field state)" "$([[ $policy == stop ]] && echo standby || echo concluded)" "lossy, $policy: the state"
	heal tgt
	if [[ $policy == stop ]]; then
		mark tgt
		msg resume
		t_wait "lossy, $policy: synced after healing" '^ready yes [^ ]+ 0/32 ok ' 20
		t_is "$(since tgt wsec)" 768 "lossy, $policy: no more was copied"
		unmirror
		t_equal "lossy, $policy: legs equal, although the target had lost the writes"
	else
		unmirror
		mirror sync full
		wait_st '^ready ' 20
		unmirror
	fi
done

# the copier's own: the flush before READY
dio $DM/src w:1280:512:g310 > /dev/null
mirror sync bitmap on_target_error stop
msg mark_dirty 1280 512
dm swap tgt "$LOSSY"
msg resume
t_wait "lossy copy: paused by the flush, all of it dirty" \
	'^paused no [^ ]+ 4/32 failed target:flush:EIO:0 0 1 0 ' 10
t_ok "lossy copy: the legs do differ" bash -c "! '$TOOLS/blkcmp' $DM/src $DM/tgt"
heal tgt
mark tgt
msg resume
t_wait "lossy copy: ready after healing" '^ready ' 20
t_is "$(since tgt wsec)" 512 "lossy copy: only that was copied again"
unmirror
t_equal "lossy copy: legs equal"

# the flush of the suspend in pending: never final with what was lost
mirror sync none copy_mode write-blocking on_target_error stop
wait_st '^ready yes '
msg complete
wait_st '^pending yes '
dm swap tgt "$LOSSY"
dio $DM/m w:1300:8:g311 w:2000:200:g311 > /dev/null
dmsetup suspend m
t_like "$(field synced)" '^(no|yes)$' "lossy end: not final"
dmsetup resume m
t_wait "lossy end: standby, all of it dirty, the request kept" \
	'^standby no [^ ]+ 4/32 failed target:flush:EIO:0 .* complete 0' 10
heal tgt
msg resume
t_wait "lossy end: pending after healing" '^pending yes ' 20
dmsetup suspend m
t_is "$(field synced)" final "lossy end: final"
t_equal "lossy end: legs equal"
dmsetup resume m
unmirror

# nothing older than the last good flush is copied again
mirror sync none copy_mode write-blocking on_target_error stop
wait_st '^ready yes '
dio $DM/m w:0:1024:g312 f > /dev/null
bad_table flakey-flush
dm swap tgt "$TABLE"
dio $DM/m w:2048:8:g312 f > /dev/null
t_wait "a good flush in between: only what came after it is dirty" '^standby no [^ ]+ 1/32 failed target:flush:EIO:0 ' 10
heal tgt
msg resume
t_wait "a good flush in between: synced" '^ready yes ' 10
unmirror
t_equal "a good flush in between: legs equal"


# A flush that fails again and again, ignored: each time the mirror is in sync
# again at once, which is the guest's pace and so no line of log each time. How
# often it was there are events of; they go on until there are twice as many as
# may be lines by then, which on any machine takes one process of dio, or a few.
events() { dmsetup info -c --noheadings -o events m; }
mirror sync none copy_mode write-blocking on_target_error ignore
wait_st '^ready yes '
dm swap tgt "$TABLE"
log_mark
for ((n = 0, rounds = 0; rounds < 40; rounds++)); do some+=(w:2048:8:g313 f s:20); done
begin=${EPOCHREALTIME/./} before=$(events) took=0 may=0 synced=0
while ((synced <= 2 * may && took < 60)); do
	dio $DM/m "${some[@]}" > /dev/null && wait_st '^ready yes ' 10 || break
	((n += rounds))
	synced=$(($(events) - before))
	took=$(((${EPOCHREALTIME/./} - begin) / 1000000))
	# ten in each five seconds, as printk_ratelimit() has it
	may=$((10 * (took / 5 + 1) + 5))
done
t_is "$(field terr)" "$n" "ignore: each flush fails and is made good"
t_ok "ignore: synced $synced times in $took s" test "$synced" -gt $((2 * may))
t_between "ignore: few lines of log" "$(log_new | grep -c 'm: ')" 1 "$may"
heal tgt
unmirror

rig_down
finish

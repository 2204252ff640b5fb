#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The mirror when memory cannot be had and requests fail before they reach a leg:
# each allocation of loading the module, the table, each message, suspend, resume
# and remove fails once; then all kinds in all tasks at random under I/O; then
# requests to either leg. Refused or done, never half; the guest never hears of
# memory; afterwards the legs are equal, and everything unloads.
#
# Guards invariants 1 (failures mark), 5 (the guest's result is its source's) and
# 7 (the destructor drops what was taken).
# vm: --kernel 7.2-* --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/../tools/faults.sh"

plan_later
need_faults
legs 8192

# --- one allocation after the other ------------------------------------------------

sweep_load dm_block_copy
modprobe dm_block_copy
sweep_load dm_qmirror
modprobe dm_qmirror
aim_module dm_qmirror

for args in "" "sync none copy_mode write-blocking granularity 8 buf_size 1" \
	"sync bitmap no_bounce target_is_zero zero_detect buf_size 1024"; do
	# shellcheck disable=SC2086 # words
	sweep "table: ${args:-defaults}" unmirror "no_dm m" \
		"$TOOLS/dmq" create m "$(line $args)"
done

# message_sweep STATE WORD...: each from the same state; a message that had no
# memory is an errno and changes nothing. None allocates today: then one will do.
verbs=0
verb() # CONFIG -- WORD...
{
	local config=() n
	while [[ $1 != -- ]]; do config+=("$1"); shift; done
	shift
	for ((n = 1; n < 50; n++)); do
		mirror "${config[@]}" || return
		wait_st '^(ready yes|paused)' || return
		with_nth "$n" "$TOOLS/dmq" msg m "$@" || return
		if [[ $(< /tmp/nth.out) != ok ]]; then
			((FAILED)) || { diag "$*: $(< /tmp/nth.out)"; return 1; }
			"$TOOLS/dmq" msg m "$@" | grep -qx ok || return
		fi
		unmirror || return
		((FAILED)) || { ((++verbs)); return 0; }
	done
	return 1
}
W="sync none copy_mode write-blocking"
# shellcheck disable=SC2086 # words
{
	t_ok "messages: pause" verb $W -- pause
	t_ok "messages: resume" verb sync bitmap -- resume
	t_ok "messages: set" verb $W -- set speed 8
	t_ok "messages: mark_dirty" verb $W -- mark_dirty 0 8 4096 8
	t_ok "messages: complete" verb $W -- complete
	t_ok "messages: cancel" verb $W -- cancel
	t_ok "messages: cancel force" verb $W -- cancel force
}

# Suspend, resume and remove do not fail for memory.
for ((n = 1; n < 50; n++)); do
	mirror copy_mode write-blocking || break
	any=0
	for c in suspend resume remove; do
		with_nth $n "$TOOLS/dmq" $c m || { fail "$c with allocation $n: $(< /tmp/nth.out)"; break 2; }
		((any |= FAILED)) || :
	done
	((any)) || break
done
t_is "$((any)) $(no_dm m && echo gone)" "0 gone" "suspend, resume, remove: $n rounds"

# --- at random, under I/O -------------------------------------------------------------

# in_use CONFIG...: the guest sees nothing of it
in_use()
{
	local left p
	rnd 60
	p=$((20 + REPLY))
	fill $DM/tgt 99
	mirror "$@" || bail "no mirror"
	left=$(times_left)
	faults_on $p
	if ! "$TOOLS/mixer" -t 3 -d "$SOAK" -r "$SEED" $DM/m > /tmp/mixer.out 2>&1; then
		fail "in use, $p %: ${*:-defaults}"
		diag "$(< /tmp/mixer.out)"
	else
		pass "in use, $p %: ${*:-defaults}: $((left - $(times_left))) failures"
	fi
	t_ok "some did fail" test "$left" -ne "$(times_left)"
	t_wait "becomes ready with them" "$CLEAN" 30
	faults_off
	t_equal "legs equal"
	unmirror
}
SOAK=${QMIRROR_SOAK:-4}
# in background mode synced is no until the end is asked for
CLEAN='^ready (yes|no) [^ ]+ 0/[0-9]+ ok [^ ]+ [0-9]+ [0-9]+ 0 '
in_use
in_use copy_mode write-blocking
in_use copy_mode write-blocking no_bounce zero_detect granularity 8

# Writes larger than the reserve: whole when there is memory, else cut to what it
# holds, one at a time.
fill $DM/tgt 95
mirror sync none copy_mode write-blocking
wait_st '^ready yes'
mark tgt
t_ok "1 MiB with memory" dio $DM/m w:0:2048:g31
t_is "$(since tgt wio) $(since tgt wsec)" "1 2048" "is one write"
faults_on 100
mark tgt
t_ok "large writes without any" dio $DM/m w:0:2048:g32 w:2148:2000:g33 w:7000:512:g34
faults_off
t_is "$(since tgt wio) $(since tgt wsec)" "10 4560" "are cut to what the reserve holds"
t_wait "and nothing is dirty" '^ready yes [^ ]+ 0/64 ok - 0 0 0 ' 5
t_ok "what was written is there" dio $DM/tgt r:0:2048:g32 r:2148:2000:g33 r:7000:512:g34
unmirror

# Whole lives. Nothing but ENOMEM may come of it; what was refused is as before,
# and goes when asked again.
ops=0 refused=0 bad=''
life_op() # COMMAND...
{
	local out
	((++ops))
	if out=$("$@" 2>&1) && [[ $out != E* ]]; then return 0; fi
	((++refused))
	[[ $out == *'Cannot allocate memory'* || $out == ENOMEM ]] || bad+=" [$*: $out]"
	return 1
}
life()
{
	rnd 3
	local args=("" "copy_mode write-blocking" "sync none granularity 8 copy_mode write-blocking")
	local a=${args[REPLY]} again=0
	rnd 40
	p=$((1 + REPLY))
	faults_on $p
	# shellcheck disable=SC2086 # words
	until life_op "$TOOLS/dmq" create m "$(line buf_size 256 $a)"; do
		no_dm m || bad+=" [left behind]"
		((++again < 5)) || faults_off
	done
	# The thousand pages of a table are hardly ever all had: this is for the rest.
	faults_on $p
	dio $DM/m w:0:8:g5 w:100:300:g6 d:4096:1024 z:512:64 f > /dev/null || bad+=" [guest I/O]"
	# shellcheck disable=SC2086 # words
	life_op "$TOOLS/dmq" swap m "$(line buf_size 256 $a)" || :
	life_op "$TOOLS/dmq" resume m || { faults_off; life_op "$TOOLS/dmq" resume m; }
	life_op "$TOOLS/dmq" msg m mark_dirty 0 1024 || :
	dio $DM/m r:0:8:g5 r:100:300:g6 w:8000:100:g7 > /dev/null || bad+=" [guest I/O after a reload]"
	wait_st "$CLEAN" 30 || bad+=" [$("$TOOLS/dmq" status m)]"
	legs_cmp > /tmp/life.cmp || bad+=" [legs: $(< /tmp/life.cmp)]"
	life_op "$TOOLS/dmq" remove m || { faults_off; dm_remove m; }
	faults_off
}
for ((i = 0; i < 20; i++)); do life; done
t_is "$bad" "" "20 lives: $ops operations, $refused of them refused for want of memory"
t_ok "some were refused" test "$refused" -gt 0

# --- requests that fail ------------------------------------------------------------------

# The target: nothing the guest sees, nothing forgotten.
for mode in background write-blocking; do
	fill $DM/tgt 98
	mirror copy_mode $mode on_target_error ignore
	requests_fail tgt 20
	t_ok "target, $mode: the guest sees nothing" "$TOOLS/mixer" -t 3 -d "$SOAK" -r "$SEED" $DM/m
	n=$(requests_failed)
	t_ok "target, $mode: $n failed, and are counted" test "$n" -gt 0 -a "$(field terr)" -gt 0
	requests_heal tgt
	t_wait "target, $mode: ready once it is well" "$CLEAN" 30
	t_equal "target, $mode: legs equal"
	unmirror
done
fill $DM/tgt 97
requests_fail tgt 100
mirror copy_mode write-blocking
t_wait "target, report: ends with the error" \
	'^concluded no [^ ]+ [1-9][0-9]*/64 ok target:(write|discard|flush):EIO:[0-9]+ ' 60
requests_heal tgt
t_ok "target, report: the device is its source" "$TOOLS/mixer" -t 2 -d 1 -r "$SEED" $DM/m
unmirror

# The source: the guest gets what its own request got. What succeeded is there.
for mode in background write-blocking; do
	fill $DM/src 1
	fill $DM/tgt 96
	mirror copy_mode $mode on_source_error ignore
	requests_fail src 20
	ops=()
	for ((i = 0; i < 256; i++)); do
		rnd 24
		ops+=("w:$((i * 32)):$((1 + REPLY)):g$((2 + i))")
	done
	dio $DM/m "${ops[@]}" > /tmp/writes
	requests_heal src
	said=$(awk '{ n[$2]++ } END { print (n["ok"] > 0) + 0, (n["EIO"] > 0) + 0, n["ok"] + n["EIO"] }' /tmp/writes)
	t_is "$said" "1 1 256" "source, $mode: the guest's writes are good or EIO"
	mapfile -t reads < <(awk '$2 == "ok" { sub(/^w/, "r", $1); print $1 }' /tmp/writes)
	t_ok "source, $mode: what was good is there" dio $DM/m "${reads[@]}"
	t_wait "source, $mode: ready once it is well" "$CLEAN" 30
	t_equal "source, $mode: legs equal"
	unmirror
done

finish

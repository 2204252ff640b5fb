#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Snapshots when memory cannot be had and requests fail before they reach source
# or store: each allocation of loading the module, the tables of filter and view,
# each message, suspend, resume and remove fails once; then all kinds in all tasks
# at random under I/O; then requests to either disk. Refused or done, never half;
# no view ever shows a wrong byte; afterwards everything unloads.
#
# Guards invariant 9 (a view never lies) and 7 (the destructor drops what was taken).
# vm: --kernel 7.2-* --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"
. "$(dirname "$0")/../tools/faults.sh"

plan_later
need_faults
snap_legs 8192
REF=$(raw_disk nullref "$LEN") || bail "no null_blk"
SOAK=${QMIRROR_SOAK:-4}
# reference: what the view has to show, of a source that is suspended or at rest
reference() { dd if="${RAW[src]}" of="$REF" bs=$((LEN * 512)) count=1 iflag=direct oflag=direct status=none; }

# --- one allocation after the other ------------------------------------------------

modprobe dm_block_copy
sweep_load dm_cbw
modprobe dm_cbw
aim_module dm_cbw

for args in "" "idle cluster_size 8 on_cbw_error break-snapshot cbw_timeout 100"; do
	# shellcheck disable=SC2086 # words
	sweep "filter: ${args:-defaults}" "dm_remove f" "no_dm f" \
		"$TOOLS/dmq" create f "$(cbw_line $args)"
done
filter
sweep "view" "dm_remove v" "no_dm v" "$TOOLS/dmq" create v "$(view_line)"
dm_remove f

# Each from the same state; a message that had no memory is an errno and changes
# nothing, but for the space that release gives back, which it need not.
verb() # CONFIG SUSPENDED WORD...
{
	local n
	for ((n = 1; n < 50; n++)); do
		# shellcheck disable=SC2086 # words
		filter $1 || return
		[[ $1 == idle ]] || dio $DM/f w:0:300:g2 > /dev/null || return
		((!$2)) || dm_suspend f || return
		with_nth "$n" "$TOOLS/dmq" msg f "${@:3}" || return
		if [[ $(< /tmp/nth.out) != ok ]]; then
			((FAILED)) || { diag "${*:3}: $(< /tmp/nth.out)"; return 1; }
			"$TOOLS/dmq" msg f "${@:3}" | grep -qx ok || return
		fi
		((!$2)) || dm_resume f || return
		dm_remove f || return
		((FAILED)) || return 0
	done
	return 1
}
t_ok "messages: arm" verb idle 1 arm
t_ok "messages: disarm" verb "cluster_size 8" 0 disarm
t_ok "messages: release" verb "cluster_size 8" 0 release 0 128 512 64
t_ok "messages: protect" verb idle 0 protect 0 128 512 64

# Suspend, resume and remove, of both, do not fail for memory.
for ((n = 1; n < 50; n++)); do
	filter && view || break
	any=0
	for c in "suspend f" "resume f" "suspend v" "resume v" "remove v" "remove f"; do
		# shellcheck disable=SC2086 # words
		with_nth $n "$TOOLS/dmq" $c || { fail "$c with allocation $n: $(< /tmp/nth.out)"; break 2; }
		((any |= FAILED)) || :
	done
	((any)) || break
done
t_is "$((any)) $(no_dm f && echo gone)" "0 gone" "suspend, resume, remove: $n rounds"

# --- at random, under I/O -------------------------------------------------------------

# watched CONFIG...: filter and view armed over known data
watched()
{
	fill $DM/src 1
	reference
	filter "$@" && view || bail "no snapshot"
}
for args in "" "cluster_size 8 on_cbw_error break-snapshot" "cluster_size 2048"; do
	rnd 60
	p=$((20 + REPLY))
	# shellcheck disable=SC2086 # words
	watched $args
	left=$(times_left)
	faults_on $p
	"$TOOLS/viewcmp" -t 2 -d "$SOAK" -r "$SEED" "$REF" $DM/v > /tmp/viewcmp.out 2>&1 & V=$!
	t_ok "in use, $p %: ${args:-defaults}: the guest sees nothing" \
		"$TOOLS/mixer" -t 3 -d "$SOAK" -r "$SEED" $DM/f
	t_ok "no reader saw a wrong byte" wait $V
	t_ok "some allocations did fail: $((left - $(times_left)))" test "$left" -ne "$(times_left)"
	t_like "$(field state) $(view_st)" 'armed live -' "armed and live"
	faults_off
	t_ok "the view is equal to the copy" legs_cmp "$REF" $DM/v
	unsnap
done

# Whole lives: nothing but ENOMEM may come of it.
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
# until_op GONE COMMAND...: at the 5th refusal without faults, for this operation:
# a table's thousand pages are hardly ever all had
until_op()
{
	local again=0
	until life_op "${@:2}"; do
		[[ ! $1 ]] || no_dm "$1" || bad+=" [left behind: $1]"
		((++again < 5)) || faults_off
		((again < 7)) || return
	done
	faults_on "$p"
}
life()
{
	local size
	rnd 6
	size=$((8 << REPLY))
	fill $DM/src 1
	rnd 40
	p=$((1 + REPLY))
	faults_on "$p"
	until_op f "$TOOLS/dmq" create f "$(cbw_line idle cluster_size $size)"
	until_op v "$TOOLS/dmq" create v "$(view_line)"
	until_op '' "$TOOLS/dmq" suspend f
	until_op '' "$TOOLS/dmq" msg f arm
	until_op '' "$TOOLS/dmq" resume f
	dio $DM/f w:0:8:g5 w:100:300:g6 d:4096:1024 z:512:64 f r:0:8:g5 > /dev/null || bad+=" [guest I/O]"
	life_op "$TOOLS/dmq" swap f "$(cbw_line cluster_size $size)" || :
	until_op '' "$TOOLS/dmq" resume f
	dio $DM/f w:8000:100:g7 > /dev/null || bad+=" [guest I/O after a reload]"
	legs_cmp "$REF" $DM/v > /tmp/life.cmp || bad+=" [view: $(< /tmp/life.cmp)]"
	until_op '' "$TOOLS/dmq" msg f release 0 4096
	until_op '' "$TOOLS/dmq" msg f disarm
	rnd 2
	if ((REPLY)); then set -- v f; else set -- f v; fi
	until_op '' "$TOOLS/dmq" remove "$1"
	until_op '' "$TOOLS/dmq" remove "$2"
	faults_off
}
fill $DM/src 1
reference
for ((i = 0; i < 20; i++)); do life; done
t_is "$bad" "" "20 lives: $ops operations, $refused of them refused for want of memory"
t_ok "some were refused" test "$refused" -gt 0

# --- requests that fail ------------------------------------------------------------------

# writes: 256 of the guest's, each to sectors of its own
writes()
{
	local i ops=()
	for ((i = 0; i < 256; i++)); do
		rnd 24
		ops+=("w:$((i * 32)):$((1 + REPLY)):g$((2 + i))")
	done
	dio $DM/f "${ops[@]}" > /tmp/writes
	[[ $(awk '{ n[$2]++ } END { print n["ok"] + n["EIO"] }' /tmp/writes) == 256 ]]
}
# good: what a good write wrote is there, and what was not good left the old data
good()
{
	local reads
	mapfile -t reads < <(awk '$2 == "ok" { sub(/^w/, "r", $1); print $1 }' /tmp/writes)
	((${#reads[@]})) && dio $DM/f "${reads[@]}"
}
none_overwritten()
{
	local reads
	mapfile -t reads < <(awk '$2 != "ok" { sub(/^w/, "r", $1); sub(/g[0-9]+$/, "g1", $1); print $1 }' /tmp/writes)
	((${#reads[@]})) && dio $DM/f "${reads[@]}"
}
# honest: the view, sector by sector, is right or cannot be read
honest()
{
	local s reads=()
	for ((s = 0; s < LEN; s += 32)); do reads+=("r:$s:32:g1"); done
	dio $DM/v "${reads[@]}" > /tmp/reads
	awk '$2 != "ok" && $2 != "EIO" { print; bad = 1 } END { exit bad }' /tmp/reads
}
for d in store src; do
	watched cluster_size 32
	requests_fail $d 20
	t_ok "$d: the guest's writes are good or EIO" writes
	t_ok "$d: and the view right or EIO" honest
	n=$(requests_failed)
	t_ok "$d: $n requests did fail" test "$n" -gt 0
	requests_heal $d
	t_ok "$d: what was good is there" good
	[[ $d == src ]] || t_ok "$d: what was not has overwritten nothing" none_overwritten
	t_like "$(field state) $(view_st)" '^armed live ' "$d: the snapshot is whole"
	t_ok "$d: the view is equal to the copy" legs_cmp "$REF" $DM/v
	t_ok "$d: the same writes again" dio $DM/f "$(awk '{ print $1 }' /tmp/writes | tail -1)" w:0:4096:g9
	t_ok "$d: the view is equal still" legs_cmp "$REF" $DM/v
	unsnap
done

watched cluster_size 8 on_cbw_error break-snapshot
requests_fail store 5
"$TOOLS/viewcmp" -t 2 -d "$SOAK" -e -r "$SEED" "$REF" $DM/v > /tmp/viewcmp.out 2>&1 & V=$!
t_ok "break-snapshot: the guest sees nothing" "$TOOLS/mixer" -t 2 -d "$SOAK" -r "$SEED" $DM/f
t_ok "break-snapshot: every byte was right until it broke" wait $V
diag "$(< /tmp/viewcmp.out)"
t_like "$(field state) $(field error) $(view_st)" '^broken write:EIO:[0-9]+ broken ' "broken, and says of what"
requests_heal store
unsnap

finish

# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# snap-kill-lib.sh - dying at every step of snapshot create and remove, as
# ctl-kill-lib.sh does for mirrors: all members have their snapshot, or all is
# as before, and of the stores nothing is left.

# settled: STATE is "armed" or "before", else WHY says what is half done
settled()
{
	STATE='' WHY=''
	look
	local none=$WHY why
	if are_all_armed; then
		STATE=armed
		return
	fi
	why=$WHY WHY=$none
	if is_as_before && st_clean_soon > /dev/null; then
		STATE=before
		return
	fi
	WHY="not armed:$why; not as before: $WHY"
	return 1
}

# die_everywhere HOW FIRST SETUP UNDO ARG...: K = FIRST, FIRST + 2, ... until the
# run gets through. Every second one: after a step is before the next, and with
# and without a watchdog take turns.
die_everywhere()
{
	local how=$1 first=$2 setup=$3 undo=$4 k rc seen=''
	shift 4
	for ((k = first; k < 200; k += 2)); do
		$setup || { fail "$how:$k: cannot set up"; return; }
		rc=0
		{ QMIRROR_FAULT=$how:$k "$FAULTS" "$@" > /tmp/ctl.out 2>&1 || rc=$?; } 2> /dev/null
		if ((rc != 0 && rc != 137)); then
			fail "$how:$k ended with $rc"
			diag "$(< /tmp/ctl.out)"
			return
		fi
		# after kill it only waits for the watchdog, which has the lock
		"$CTL" recover > /tmp/recover.out 2>&1 || diag "recover: $(< /tmp/recover.out)"
		if ! settled; then
			fail "$how:$k leaves things whole"
			diag "$WHY"
			diag "$(dmsetup info -c; dmsetup table)"
			return
		fi
		seen+=" $k:$STATE"
		$undo || { fail "$how:$k: cannot clean up"; diag "$(< /tmp/undo.out)"; return; }
		((rc)) || break
	done
	diag "$seen"
	((k > 10 && k < 200)) && pass "$how at each second of $((k - 1)) points: all or nothing" ||
		fail "$how went through $k points"
	like "$seen" armed "some ended with snapshots"
	like "$seen" before "some ended as before"
}
remove_if_armed()
{
	[[ $STATE == before ]] || "$CTL" snapshot remove "${!TABLE[@]}" > /tmp/undo.out 2>&1
	[[ $STATE == before ]] || { as_before > /tmp/undo.out && st_clean_soon > /tmp/undo.out; }
}

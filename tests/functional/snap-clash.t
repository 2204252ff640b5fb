#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Two overlapping groups at once: one gets all of its members, the other is told
# which one is in use and leaves nothing. And a run that is killed together with
# its cgroup, inside the window: the watchdog lives elsewhere. All of it with
# writers on the members, who notice nothing.
# vm: --timeout 300

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b c
stores a b c
store_fs 32
"$TOOLS/stamps" write -l 1 -p 500 -r "$SEED" $DM/a $DM/b $DM/c > /tmp/stamps.out 2>&1 &
W=$!
at_exit kill $W

# --- two groups with b in both ---
# begin WHO ARG...: its status, document and complaint are in /tmp/WHO.*
begin()
{
	local who=$1
	shift
	{ "$CTL" --json snapshot create "$@" --force > "/tmp/$who.out" 2> "/tmp/$who.err"; echo $? > "/tmp/$who.rc"; } &
	RUNS+=($!)
}
look_for() { [[ ${STA[$1]-} == *" $2 "* && ${STA[$1-snap]-} == *" $3 "* ]]; }
bad='' won=''
for ((i = 0; i < 6; i++)); do
	RUNS=()
	# who is first takes turns
	one=(one a=/tmp/st/a "b=${S[b]}") two=(two "c=${S[c]}" b=/tmp/st/b)
	if ((i % 2)); then begin "${two[@]}"; begin "${one[@]}"; else begin "${one[@]}"; begin "${two[@]}"; fi
	wait "${RUNS[@]}"
	case "$(< /tmp/one.rc) $(< /tmp/two.rc)" in
	"0 4")	winner='a b' loser=c who=two ;;
	"4 0")	winner='c b' loser=a who=one ;;
	*)	bad+=" $i: $(cat /tmp/one.* /tmp/two.*)"; break ;;
	esac
	won+=" ${winner% *}"
	look
	for n in $winner; do
		look_for "$n" 'cbw armed' 'cbw-snapshot live' || bad+=" $i: $n is ${STA[$n]-}"
	done
	[[ ${TAB[$loser]} == "${TABLE[$loser]}" ]] || bad+=" $i: $loser is ${TAB[$loser]}"
	! grep -q "^$loser-" <<< "$INFO" || bad+=" $i: left of $loser: $INFO"
	[[ ! $WHY ]] || bad+=" $i:$WHY"
	[[ $(losetup -nlO NAME | wc -l) == 1 ]] || bad+=" $i: loop devices: $(losetup -nl)"
	says=$(python3 -S -c 'import json,sys; e=json.load(open(sys.argv[1]))["error"]; print(e["class"],e["stage"],e["errno"],e["device"])' /tmp/$who.out)
	[[ $says == "DeviceInUse check EBUSY b" ]] || bad+=" $i: $says"
	# shellcheck disable=SC2086 # words
	"$CTL" snapshot remove $winner > /tmp/ctl.out 2>&1 || bad+=" $i: $(< /tmp/ctl.out)"
	rm -f /tmp/one.* /tmp/two.*
	[[ ! $bad ]] || break
done
is "$bad" '' "of two overlapping groups one gets all, the other names b and leaves nothing, $i times"
diag "won by that of:$won"
ok "all is as before" as_before
ok "nothing is left" st_clean_soon

# --- cgroup kill, before the last arm and after it ---
cg=/sys/fs/cgroup
[[ -e $cg/cgroup.procs ]] || mount -t cgroup2 none $cg || bail "no cgroup2"
mkdir $cg/run || bail "no cgroup"
GROUP=(a=/tmp/st/a "b=${S[b]}" "c=${S[c]}")
P=$(arm_point "${GROUP[@]}")
# the window in points: three suspends, three arms, three resumes
for at in "first suspend:-10:1:before" "last suspend:-6:3:before" "first arm:-4:3:before" "last arm:0:3:armed" "first resume:2:2:armed"; do
	IFS=: read -r what k n want <<< "$at"
	QMIRROR_FAULT=hang:$((P + k)) bash -c 'echo $$ > '$cg'/run/cgroup.procs; exec "$@"' - "$FAULTS" snapshot create "${GROUP[@]}" --force > /dev/null 2>&1 &
	H=$!
	# not suspended by the slides: the views are there
	ok "after the $what: $n are suspended" until_true 30 eval '[[ $(suspended | wc -l) == '"$n"' ]] && exists c-snap'
	if [[ -e $cg/run/cgroup.kill ]]; then
		echo 1 > $cg/run/cgroup.kill
	else
		xargs kill -9 < $cg/run/cgroup.procs
	fi
	wait $H 2> /dev/null
	ok "  killed with its cgroup, the lock is free soon" until_true 30 flock -n /run/qmirrorctl/lock true
	if [[ $want == before ]]; then
		ok "  all is as before" as_before
		ok "  nothing is left" st_clean_soon
	else
		ok "  all have their snapshot" all_armed
		ok "  of one instant" "$TOOLS/stamps" check $DM/{a,b,c}-snap
		tool 0 "  remove" snapshot remove a b c
	fi
done
rmdir $cg/run
ok "the writers found no error" kill -0 $W
kill $W
wait $W 2> /dev/null
cleanups=("${cleanups[0]}")

done_testing

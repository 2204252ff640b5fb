#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each step of snapshot create of a group of three fails in its turn: the first
# failure is the only one told, with its member and stage, and all is as before.
# Death with a part of them suspended and I/O that does not end do the same.
# vm: --turns --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b c
stores b c
store_fs 32
GROUP=(a=/tmp/st/store "b=${S[b]}" "c=${S[c]}")

# --- every step ---
"$CTL" snapshot create "${GROUP[@]}" --dry-run > /tmp/plan
STEPS=$(wc -l < /tmp/plan)
# past the last arm there is only forward
ARMED=$(grep -n ': arm$' /tmp/plan | tail -1)
ARMED=${ARMED%%:*}
bad='' stages='' dev='' stage=''
for ((k = 1; k <= ARMED; k++)); do
	rc=0
	QMIRROR_FAULT=fail:$k "$FAULTS" --json snapshot create "${GROUP[@]}" --force > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	[[ $rc == 1 && $(wc -l < /tmp/ctl.err) == 1 ]] || bad+=" $k: status $rc $(< /tmp/ctl.err)"
	as_before > /tmp/why || bad+=" $k: $(< /tmp/why)"
	st_clean_soon > /tmp/why || bad+=" $k: $(< /tmp/why)"
	# python is dear here, 40 times
	[[ $(< /tmp/ctl.out) =~ \"device\":\ *\"([a-z]*)\" ]] && dev=${BASH_REMATCH[1]}
	[[ $(< /tmp/ctl.out) =~ \"stage\":\ *\"([a-z-]*)\" ]] && stage=${BASH_REMATCH[1]}
	[[ $stages == *" $dev:$stage" ]] || stages+=" $dev:$stage"
	# the member whose step it is
	[[ $(sed -n "${k}p" /tmp/plan) =~ \ $dev(-qsrc|-snap)?( |:|$) || $stage == create-store ]] || bad+=" $k: named $dev"
	[[ ! $bad ]] || break
done
is "$bad" '' "each of $ARMED failing steps leaves all as before and names its member"
diag "$stages"
like "$stages" ' a:create-store a:load .*a:suspend a:resume a:view b:load .*c:view a:suspend b:suspend c:suspend a:arm b:arm c:arm' "with its stage"
bad=''
for ((; k <= STEPS; k++)); do
	QMIRROR_FAULT=fail:$k "$FAULTS" snapshot create "${GROUP[@]}" --force > /tmp/ctl.out 2>&1 || bad+=" $k: $(< /tmp/ctl.out)"
	all_armed > /tmp/why || bad+=" $k: $(< /tmp/why)"
	grep -q 'frozen for [1-9]' /tmp/ctl.out || bad+=" $k: $(< /tmp/ctl.out)"
	"$CTL" snapshot remove a b c > /tmp/ctl.out 2>&1 || bad+=" $k: $(< /tmp/ctl.out)"
done
is "$bad" '' "a resume that fails once does not cost the snapshots: it is tried again"
tool 0 "and without a failure" snapshot create "${GROUP[@]}" --force
ok "all three have a snapshot" all_armed
tool 0 "remove" snapshot remove a b c
ok "all is as before" as_before

# --- killed with two of three suspended ---
P=$(arm_point "${GROUP[@]}")
QMIRROR_FAULT=hang:$((P - 8)) "$FAULTS" snapshot create "${GROUP[@]}" --force > /dev/null 2>&1 &
H=$!
ok "two of three are suspended" until_true 20 eval '[[ $(suspended | wc -l) == 2 ]]'
kill -KILL "$H"
wait "$H" 2>/dev/null
until_true 20 flock -n /run/qmirrorctl/lock true
ok "killed then, all is as before" as_before
ok "nothing is left" st_clean_soon

# --- it hangs with all of them suspended: the watchdog does not wait for ever ---
QMIRROR_FAULT=hang:$((P - 4)) "$FAULTS" snapshot create "${GROUP[@]}" --force --timeout 1s > /dev/null 2>&1 &
H=$!
ok "all are suspended" until_true 20 eval '[[ $(suspended | wc -l) == 3 ]]'
wait "$H" 2>/dev/null
is "$?" 137 "a run that hangs is killed"
until_true 20 flock -n /run/qmirrorctl/lock true
ok "and all is as before" as_before
ok "nothing is left" st_clean_soon

# --- a device that cannot be suspended in time: nobody stays frozen ---
mk_dm slow "0 $LEN delay ${DISK[c]} 0 20000"
mk_dm victim "0 $LEN linear $DM/slow 0"
"$TOOLS/dio" $DM/victim w:0:8:g1 > /dev/null 2>&1 &
D=$!
sleep 0.3
T0=${EPOCHREALTIME/./}
tool 6 "a suspend that takes too long" snapshot create a=/tmp/st/store "victim=${S[c]}" --force --timeout 1s
ok "is given up in time" test $((${EPOCHREALTIME/./} - T0)) -lt 8000000
like "$ERR" 'victim: I/O in flight did not end in time' "says which"
is "$(suspended)" '' "nothing is suspended"
ok "a is as before" eval '[[ $(table_of a) == "${TABLE[a]}" && $(table_of victim) == *linear* ]]'
ok "nothing is left" st_clean_soon
wait "$D"
is "$?" 0 "the slow write has ended well"
dmsetup remove victim slow

# --- Ctrl-C while one is suspended and another still waited for ---
mk_dm slow "0 $LEN delay ${DISK[c]} 0 3000"
mk_dm victim "0 $LEN linear $DM/slow 0"
tool 0 "create" snapshot create "victim=${S[c]}" --force
"$TOOLS/dio" $DM/victim w:0:8:g1 > /dev/null 2>&1 &
D=$!
sleep 0.3
tool 6 "a remove that takes too long" snapshot remove victim --timeout 1s
like "$ERR" 'victim: I/O in flight did not end in time, .*; the snapshot has ended, its old table is not back' "says what is done and what is not"
unlike "$ERR" 'nothing was changed' "and nothing else"
ok "so it is" eval '! exists victim-snap && [[ $(table_of victim) == *cbw* ]]'
wait "$D"
tool 0 "again" snapshot remove victim
# Four writers, spread over the 3 s: at no moment is nothing in flight.
D=()
for i in 0 1 2 3; do
	while "$TOOLS/dio" $DM/victim w:$((i * 8)):8:g1 > /dev/null 2>&1; do :; done &
	D+=($!)
	sleep 0.7
done
at_exit kill "${D[@]}"
# bash starts jobs with SIGINT ignored
perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$CTL" snapshot create a=/tmp/st/store "victim=${S[c]}" --force > /tmp/ctl.out 2>&1 &
H=$!
ok "one is suspended, the other is waited for" until_true 30 eval 'exists victim-snap && [[ $(suspended) == a* ]]'
kill -INT "$H"
wait "$H"
is "$?" 1 "Ctrl-C ends it"
like "$(< /tmp/ctl.out)" 'victim: interrupted; nothing was changed' "says so"
is "$(suspended)" '' "nothing is suspended"
ok "a is as before" eval '[[ $(table_of a) == "${TABLE[a]}" && $(table_of victim) == *linear* ]]'
ok "nothing is left" st_clean_soon
kill "${D[@]}"
wait "${D[@]}" 2> /dev/null
cleanups=("${cleanups[0]}")

done_testing

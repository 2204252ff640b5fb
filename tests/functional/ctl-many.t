#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Several names in one command: one that cannot be done is told before the first
# is done; and a group of which one is not final any more when the run dies.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=4
disks
C=$(mk_null c $MB) D=$(mk_null d $MB) || bail "no disks"
OLD2="0 $LEN linear $(stat -c '%Hr:%Lr' "$C") 0"
mk_dm two "$OLD2"

start_both()
{
	"$CTL" mirror start data "$B" --force --wait &&
		"$CTL" mirror start two "$D" --force --wait
}
ok "two mirrors" start_both

# --- a name that is none, or the same twice -------------------------------------

for verb in complete cancel pause resume; do
	refuses 3 'nosuch' "$verb: a name that is none" mirror $verb data nosuch
done
refuses 4 'data is named twice' "complete: a name twice" mirror complete data data
refuses 4 'data is named twice' "cancel: a name twice" mirror cancel data data
is "$(job_state data) $(dm_field data ending)" "ready -" "nothing was asked for"

# --- one in a state that does not take it ---------------------------------------

tool 0 "pause two" mirror pause two
refuses 5 'two is standby' "complete: one is paused" mirror complete data two
refuses 5 'two is standby' "cancel: one is paused" mirror cancel data two
is "$(job_state data) $(dm_field data ending)" "ready -" "nothing was asked for"
ok "cancel force" dmsetup message two 0 cancel force
wait_for_state two concluded
refuses 5 'two is concluded, which does not take .pause.' "pause: one has ended" mirror pause data two
refuses 5 'two is concluded, which does not take .resume.' "resume: one has ended" mirror resume data two
refuses 5 'two: the job ended' "complete: one has ended" mirror complete data two
is "$(job_state data) $(dm_field data ending)" "ready -" "nothing was done"
tool 0 "cancel both" mirror cancel data two
is "$(dmsetup table | grep -v '^$')" "data: $OLD"$'\n'"two: $OLD2" "both are back"

# --- a group, killed when the first is swapped and the second not final any more -

state_of() { local s; read -r _ _ s _ < "/proc/$1/stat" 2>/dev/null && echo "$s"; }
stopped() { [[ $(state_of "$1") == [TZ] || ! -e /proc/$1 ]]; }
ok "two mirrors again" start_both
hit=''
dmesg_mark
for ((k = 1; k < 40; k++)); do
	QMIRROR_FAULT=stop:$k "$FAULTS" mirror complete data two --group > /tmp/ctl.out 2>&1 &
	P=$!
	until_true 60 stopped $P
	[[ $(state_of $P) == T ]] || break
	if [[ $(table_of data) == *linear* && $(table_of two) == *qmirror* ]]; then
		dmsetup message two 0 mark_dirty 0 8
		hit=$k
	fi
	kill -KILL $P
	wait $P 2>/dev/null
	until_true 60 eval '[[ ! -e /run/qmirrorctl/journal ]]'
	[[ ! $hit ]] || break
done
isnt "$hit" '' "stopped between the two swaps"
like "$(table_of data) / $(table_of two)" 'linear.*/.*qmirror' "one is swapped, the other goes on as a mirror"
is "$(suspended)" '' "nothing is suspended"
ok "the watchdog says so" until_true 10 eval "dmesg_since | grep -q 'not all were final'"
tool 0 "the next run" recover
like "$ERR" 'mirror complete of data .* not all were final any more: those go on as mirrors' "says so, too"
tool 0 "and only" recover
is "$ERR" '' "once"
wait_for_state two pending
tool 0 "the other can be completed" mirror complete two
done_testing

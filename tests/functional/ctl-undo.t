#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Steps that fail, are interrupted or take too long: the run itself, or its
# watchdog, leaves all as it was.
# vm: --turns

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=4
disks
free() { flock -n /run/qmirrorctl/lock true; }

# --- signals ---
for sig in INT TERM HUP; do
	# bash starts jobs with SIGINT ignored
	QMIRROR_FAULT=hang:9 perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$FAULTS" mirror start data "$B" --force > /dev/null 2>&1 &
	H=$!
	until_true 10 eval '[[ -e /run/qmirrorctl/journal ]]'
	sleep 0.3
	kill -$sig "$H"
	wait "$H" 2>/dev/null
	ok "SIG$sig: the lock is free soon" until_true 10 free
	is "$(suspended)$(dmsetup table)" "data: $OLD" "SIG$sig: all is as before"
done

# --- I/O that does not end: the suspend is given up in time ---
mk_dm slow "0 $LEN delay $A 0 20000"
dmsetup create victim --table "0 $LEN linear $DM/slow 0" && dmsetup mknodes
"$TOOLS/dio" $DM/victim w:0:8:g1 > /dev/null 2>&1 &
D=$!
sleep 0.3
tool 6 "a suspend that takes too long" mirror start victim "$B" --force --timeout 500ms
like "$ERR" 'victim: I/O in flight did not end in time, so it could not be suspended; nothing was changed' "says so"
is "$(suspended)" '' "nothing is suspended"
is "$(table_of victim)" "0 $LEN linear $(dmsetup info -c --noheadings --separator : -o major,minor slow) 0" "it has its table"
ok "victim-qsrc is gone" eval '! exists victim-qsrc'
wait "$D"
is "$?" 0 "the slow write has ended well"
dmsetup load slow --table "0 $LEN delay $A 0 3000" && dmsetup resume slow
tool 0 "a mirror of it" mirror start victim "$B" --sync none --copy-mode write-blocking --wait
"$TOOLS/dio" $DM/victim w:0:8:g1 > /dev/null 2>&1 &
D=$!
sleep 0.3
tool 6 "an ending that takes too long" mirror complete victim --force --timeout 500ms
like "$ERR" 'victim: I/O in flight did not end in time, so it could not be suspended; nothing was swapped' "says so"
is "$(job_state victim)" pending "for the job has been asked"
wait "$D"
tool 0 "back" mirror cancel victim --force

# --- a failing step is undone by the run itself ---
bad=''
for ((k = 1; k < 30; k++)); do
	rc=0
	QMIRROR_FAULT=fail:$k "$FAULTS" mirror start data "$B" --force > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	((rc)) || break
	[[ $rc == 1 && $(wc -l < /tmp/ctl.err) == 1 && ! $(suspended) && ! -e /run/qmirrorctl/journal &&
	   $(table_of data) == "$OLD" ]] && ! exists data-qsrc || bad+=" $k"
done
is "$bad" '' "start: each of $((k - 1)) failing steps leaves all as before"
ok "nine of them" test "$k" = 10
ok "cancel" "$CTL" mirror cancel data --force
bad=''
echo "0 65536" > /tmp/map
bitmap=(mirror start data "$B" --force --sync bitmap --bitmap /tmp/map)
for ((k = 1; k < 30; k++)); do
	rc=0
	QMIRROR_FAULT=fail:$k "$FAULTS" "${bitmap[@]}" > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	((rc)) || break
	[[ $rc == 1 && $(wc -l < /tmp/ctl.err) == 1 && ! $(suspended) && ! -e /run/qmirrorctl/journal &&
	   $(table_of data) == "$OLD" ]] && ! exists data-qsrc || bad+=" $k:$rc:$(< /tmp/ctl.err)"
done
is "$bad" '' "start with a bitmap: each of $((k - 1)) failing steps leaves all as before"
ok "the messages are two more" test "$k" = 12
ok "cancel" "$CTL" mirror cancel data --force
tool 0 "start" mirror start data "$B" --force
bad=''
tool 0 "wait" mirror wait data
M=$(table_of data)
for ((k = 1; k < 30; k++)); do
	rc=0
	QMIRROR_FAULT=fail:$k "$FAULTS" mirror complete data > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	((rc)) || break
	# what fails after the swap is a leftover, and said
	[[ $rc == 1 && $(wc -l < /tmp/ctl.err) == 1 && ! $(suspended) && ! -e /run/qmirrorctl/journal ]] || bad+=" $k"
	[[ $(table_of data) == "$M" ]] || break
done
is "$bad" '' "complete: each of $((k - 1)) failing steps leaves a mirror"
like "$(table_of data)" linear "and in the end it is complete"

# --- the same for one over a plain device ---
for d in data data-qsrc victim slow; do dmsetup remove $d; done
bad=''
bitmap=(mirror start "$A" "$B" --name plain --force --sync bitmap --bitmap /tmp/map)
for ((k = 1; k < 30; k++)); do
	rc=0
	QMIRROR_FAULT=fail:$k "$FAULTS" "${bitmap[@]}" > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	((rc)) || break
	[[ $rc == 1 && ! -e /run/qmirrorctl/journal ]] && ! exists plain || bad+=" $k:$rc:$(< /tmp/ctl.err)"
done
is "$bad" '' "plain: each of $((k - 1)) failing steps leaves nothing"
is "$k" 6 "five of them"

done_testing

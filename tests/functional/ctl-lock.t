#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# One run at a time; and what the watchdog, `recover` and the next run do for
# one that died, hangs, or was killed with its cgroup.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=4
disks
locked() { ! flock -n /run/qmirrorctl/lock true 2>/dev/null; }
free() { ! locked; }

# --- contention ---
# the 16th point is after `suspend data`: see --dry-run and plan.c
QMIRROR_FAULT=nhang:10 "$FAULTS" mirror start data "$B" --force > /dev/null 2>&1 &
H=$!
ok "a run hangs between two steps" until_true 20 eval '[[ -e /run/qmirrorctl/journal ]] && locked'
sleep 0.5
s=$EPOCHREALTIME
tool 4 "the second waits, then gives up" mirror start data "$B" --timeout 1 --json
t=$(((${EPOCHREALTIME/./} - ${s/./}) / 1000))
like "$ERR" "another qmirrorctl is at work \(pid $H, mirror start\)" "and names the holder"
ok "after --timeout" test "$t" -ge 1000 -a "$t" -lt 15000
is "$(json 'd["error"]["class"]')" DeviceInUse "DeviceInUse"
tool 0 "status needs no lock" status
unlike "$OUT" orphan "and takes what is in the making for no orphan"
kill -9 "$H"
wait "$H" 2>/dev/null
tool 0 "status" status --json
is "$(json '[o["device"] for o in d["orphans"]]')" "['data', 'data-qsrc']" "now it is an orphan"
ok "valid" valid_json
tool 0 "status, text" status
like "$OUT" 'data: orphan: mirror start \(pid [0-9]+\) died half-way; qmirrorctl recover puts it right' "with what to do"
tool 0 "recover" recover
like "$ERR" 'mirror start of data had died half-way: undone' "says what it did"
is "$(dmsetup table)" "data: $OLD" "all is as before"
tool 0 "recover with nothing to do" recover

# --- the next run recovers too ---
QMIRROR_FAULT=nkill:15 "$FAULTS" mirror start data "$B" --force > /dev/null 2>&1
like "$(suspended)" data "a dead run left it suspended"
tool 0 "the next run" mirror start data "$B" --force --wait
like "$ERR" 'undone' "undid that first"
tool 0 "cancel" mirror cancel data

# --- the watchdog: at once, and nobody else needed ---
QMIRROR_FAULT=kill:15 "$FAULTS" mirror start data "$B" --force > /dev/null 2>&1
ok "the lock is free soon" until_true 10 free
is "$(suspended)" '' "nothing is suspended"
is "$(dmsetup table)" "data: $OLD" "all is as before"
ok "the journal is gone" test ! -e /run/qmirrorctl/journal
like "$(dmesg | tail -n 20)" 'qmirrorctl: watchdog: mirror start of data \(pid [0-9]+\) died: undone' "one line in the log"

# --- a run that hangs with the device suspended is killed at its deadline ---
QMIRROR_FAULT=hang:15 "$FAULTS" mirror start data "$B" --force --timeout 10ms > /dev/null 2>&1 &
H=$!
ok "suspended" until_true 10 eval '[[ $(suspended) ]]'
rc=0
wait "$H" 2>/dev/null || rc=$?
is "$rc" 137 "it was killed"
ok "the lock is free soon" until_true 10 free
is "$(suspended)$(dmsetup table)" "data: $OLD" "all is as before"

# --- cgroup kill: the watchdog is elsewhere ---
cg=/sys/fs/cgroup
[[ -e $cg/cgroup.procs ]] || { mkdir -p /tmp/cg && mount -t cgroup2 none $cg 2>/dev/null; }
if mkdir $cg/run 2>/dev/null; then
	QMIRROR_FAULT=hang:15 bash -c 'echo $$ > '$cg'/run/cgroup.procs; exec "$@"' - "$FAULTS" mirror start data "$B" --force > /dev/null 2>&1 &
	H=$!
	ok "suspended" until_true 10 eval '[[ $(suspended) ]]'
	if [[ -e $cg/run/cgroup.kill ]]; then
		echo 1 > $cg/run/cgroup.kill
	else
		xargs kill -9 < $cg/run/cgroup.procs
	fi
	wait "$H" 2>/dev/null
	ok "the lock is free soon" until_true 10 free
	is "$(suspended)$(dmsetup table)" "data: $OLD" "all is as before"
	rmdir $cg/run
else
	skip "no cgroup2"
fi

# --- signals ---
for sig in INT TERM HUP; do
	QMIRROR_FAULT=hang:9 "$FAULTS" mirror start data "$B" --force > /dev/null 2>&1 &
	H=$!
	until_true 10 eval '[[ -e /run/qmirrorctl/journal ]]'
	sleep 0.3
	kill -$sig "$H"
	wait "$H" 2>/dev/null
	ok "SIG$sig: the lock is free soon" until_true 10 free
	is "$(suspended)$(dmsetup table)" "data: $OLD" "SIG$sig: all is as before"
done

# --- I/O that does not end: the suspend is given up in time ---
mk_dm slow "0 $LEN delay $A 0 4000"
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

done_testing

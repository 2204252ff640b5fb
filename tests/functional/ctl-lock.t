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
# two points a step, in the order of --dry-run: before `load data`
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
tool 0 "nor has recover anything to do" recover --dry-run
is "$OUT" "" "so its dry run names none"
like "$ERR" 'another qmirrorctl is at work' "but says why"
kill -9 "$H"
wait "$H" 2>/dev/null
tool 0 "recover --dry-run when it is dead" recover --dry-run
is "$OUT" "recover: mirror start of pid $H" "names it"
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

done_testing

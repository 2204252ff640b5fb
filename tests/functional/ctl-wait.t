#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# mirror wait: its ends and their status, Ctrl-C, and the progress bar on a
# terminal but not in a pipe.
# vm: --turns

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=8
disks

# later NAME STATUS REGEX: the wait in the background ends so
bg_wait() { "$CTL" mirror wait data "$@" > /tmp/w.out 2> /tmp/w.err & W=$!; sleep 0.7; }
ends()
{
	local rc=0
	wait "$W" || rc=$?
	is "$rc" "$2" "$1: status $2"
	like "$(< /tmp/w.err)" "$3" "$1: says so"
}

tool 0 "start, slowly" mirror start data "$B" --speed 128K --on-target-error stop
tool 6 "wait with --timeout" mirror wait data --timeout 300ms
like "$ERR" 'data: not ready in time; the job goes on' "says so"
tool 6 "timeout 0" mirror wait data --timeout 0
bg_wait --for paused
tool 0 "pause" mirror pause data
ends "for paused" 0 '^$'
tool 7 "a stopped job does not get ready" mirror wait data
like "$ERR" 'type next: qmirrorctl mirror resume data' "what to type"
tool 0 "paused already" mirror wait data --for paused
tool 0 "resume" mirror resume data
bg_wait
tool 0 "pause while somebody waits" mirror pause data
ends "a wait that is stopped" 7 'mirror resume data'

tool 0 "resume" mirror resume data
bg_wait
kill -INT "$W"
rc=0
wait "$W" || rc=$?
is "$rc" 130 "Ctrl-C ends the wait"
like "$(< /tmp/w.err)" '^qmirrorctl: interrupted; the job on data goes on: .*mirror wait data.*mirror cancel data' "and says that the job goes on"
is "$(job_state data)" running "which it does"

# --- the bar ---
timeout 20 script -qec "$CTL mirror wait data --timeout 2" /tmp/tty > /dev/null < /dev/null
like "$(< /tmp/tty)" $'\r\e\\[2K''data: running \[[#.]+\] +[0-9.]+ %  [0-9.]+ [KM]?i?B of 8\.0 MiB ' "a bar on a terminal"
like "$(< /tmp/tty)" '[KM]iB/s  ETA [0-9:-]+' "with rate and ETA"
"$CTL" mirror wait data --timeout 1 2>&1 | cat > /tmp/pipe
is "$(< /tmp/pipe)" "qmirrorctl: data: not ready in time; the job goes on" "nothing of that in a pipe"
timeout 20 script -qec "$CTL mirror wait data --timeout 1 --quiet" /tmp/tty > /dev/null < /dev/null
unlike "$(< /tmp/tty)" '\[[#.]+\]' "nor with --quiet"
timeout 20 script -qec "$CTL mirror wait data --timeout 1 --json" /tmp/tty > /dev/null < /dev/null
unlike "$(< /tmp/tty)" '\[[#.]+\]' "nor with --json"
tool 0 "full speed" mirror set data speed=0
script -qec "$CTL mirror wait data" /tmp/tty > /dev/null < /dev/null
like "$(< /tmp/tty)" $'data: ready\r' "ready is its own word"
timeout 20 script -qec "$CTL mirror wait data --for pending --timeout 1" /tmp/tty > /dev/null < /dev/null
like "$(< /tmp/tty)" $'data: ready  8\.0 MiB of 8\.0 MiB' "also while there is something to wait for"
unlike "$(< /tmp/tty)" '%' "and no per cent"

# --- goals ---
tool 0 "ready already" mirror wait data --for ready
bg_wait --for pending
tool 0 "complete" mirror complete data
rc=0
wait "$W" || rc=$?
[[ $rc == 0 || $rc == 7 ]] && pass "the wait for pending ended ($rc)" || fail "wait for pending: $rc"
tool 5 "nothing to wait for" mirror wait data

tool 0 "start" mirror start data "$A" --force --speed 128K
bg_wait --for concluded
tool 0 "cancel" mirror cancel data
ends "for concluded, and it goes" 0 '^$'
tool 0 "start" mirror start data "$A" --force --speed 128K
bg_wait
tool 0 "cancel" mirror cancel data
ends "for ready, and it goes" 7 'the (mirror is gone|job ended)'

# --- stopped and ended by an error ---
mk_dm bad "0 64 linear $A 0" "64 $((LEN - 64)) error"
tool 0 "start, stop on error" mirror start data bad --force --on-target-error stop
tool 7 "wait" mirror wait data
like "$ERR" 'data: the job is paused \(target:write:EIO:[0-9]+\), so ready cannot come by itself; type next: qmirrorctl mirror resume data' "the error and the command"
tool 5 "complete --wait does not resume it" mirror complete data --wait
like "$ERR" '^qmirrorctl: data is paused \(target:write:EIO:[0-9]+\); type next: qmirrorctl mirror resume data$' "the error and the command"
tool 5 "cancel needs --force" mirror cancel data
tool 0 "cancel --force" mirror cancel data --force
tool 0 "start, report" mirror start data bad --force
tool 7 "wait" mirror wait data
tool 7 "for concluded it is 7 too" mirror wait data --for concluded
tool 7 "complete --wait" mirror complete data --wait
tool 0 "cancel" mirror cancel data
tool 7 "start --wait" mirror start data bad --force --wait
tool 0 "cancel" mirror cancel data

# --- taken by somebody else, while a run of ours is at work on another device ---
dmsetup remove bad
tool 0 "start" mirror start data "$A" --force --speed 128K
OLD=$(dmsetup table data-qsrc)
bg_wait --for concluded
exec 9< /run/qmirrorctl/lock
flock -x 9
"$TOOLS/dmq" swap data "$OLD"
ends "a mirror that is taken meanwhile" 7 '^qmirrorctl: data: the mirror is lost'
exec 9<&-
tool 0 "what is left can be removed" remove data-qsrc

# --- ended by hand, with dmsetup, as the target's documentation has it ---
tool 0 "start" mirror start data "$A" --force --wait
bg_wait --for concluded
dmsetup message data 0 complete
"$TOOLS/dmq" load data "0 $LEN linear $A 0"
until_true 10 eval '[[ $(job_state data) == pending ]]'
dmsetup suspend data
is "$(dm_field data synced)" final "final"
sleep 0.7
dmsetup resume data
ends "a mirror that is completed by hand" 0 '^$'
tool 0 "what is left can be removed" remove data-qsrc
"$TOOLS/dmq" swap data "$OLD"

# --- renamed, it goes on; and taken then ---
tool 0 "start" mirror start data "$A" --force --speed 128K
bg_wait --for concluded
dmsetup rename data other
sleep 0.7
ok "a mirror that is renamed is waited for" kill -0 "$W"
"$TOOLS/dmq" swap other "$OLD"
ends "and is lost" 7 '^qmirrorctl: other: the mirror is lost'
dmsetup rename other data
tool 0 "what is left can be removed" remove data-qsrc

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# --json: every document holds against the schema, and says the right things;
# events; --watch; --dry-run changes nothing.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=8
disks
BYTES=$((LEN * 512))
# Starting python is dear in the guest: documents are collected and checked in one
# go at the end, and each is flattened once into J[mirrors.0.type] and so on.
declare -A J
: > /tmp/docs
valid()
{
	local k v
	J=()
	while IFS='=' read -r k v; do
		J[$k]=$v
	done < <(/usr/bin/python3 -S -c '
import json
d = json.load(open("/tmp/ctl.out"))
open("/tmp/docs", "a").write(json.dumps(d) + "\n")
def flat(p, x):
    if isinstance(x, (dict, list)):
        print("%s=%d" % (p or ".", len(x)))
        for k, v in (x.items() if isinstance(x, dict) else enumerate(x)):
            flat("%s.%s" % (p, k) if p else str(k), v)
    else:
        print("%s=%s" % (p, x))
flat("", d)' 2>&1)
	ok "$1 is JSON" test "${J[version]-}" = 1
}
field() { is "${J[mirrors.0.$1]-}" "$2" "$1 is $2"; }

tool 0 "status of nothing" status --json
valid "it"
is "${J[mirrors]}${J[snapshots]}" 00 "[] for none"
tool 0 "dry run" mirror start data "$B" --dry-run --json --speed 1M
valid "it"
steps=''
for ((i = 0; i < J[dry-run]; i++)); do steps+=" ${J[dry-run.$i.op]}"; done
is "$steps" " create load resume load load suspend suspend resume resume" "the steps"
is "$(table_of data)" "$OLD" "nothing was done"
ok "nor was a module loaded" eval '! grep -q dm_qmirror /proc/modules'
before=$(machine)
tool 0 "dry run, text" mirror start data "$B" --dry-run
like "$OUT" 'load data: 0 [0-9]+ qmirror /dev/mapper/data-qsrc 0 ' "has the table"
is "$(machine)" "$before" "nothing was done"

"$CTL" events --json > /tmp/events 2> /tmp/events.err &
EV=$!
"$CTL" status --watch --json > /tmp/seen 2> /tmp/seen.err &
WATCH=$!
tool 0 "start" mirror start data "$B" --json --speed 512K --on-target-error stop
valid "it"
field type mirror
field device data
field speed $((512 << 10))
field granularity 65536
field paused False
field io-status ok
field error None
field source /dev/mapper/data-qsrc
field target /dev/b
field on-target-error stop
field ending None
field final False
field rate None
field eta None
ok "--watch tells a rate and an ETA" until_true 10 grep -Eq '"rate":[1-9][0-9]*,"eta":[0-9]' /tmp/seen
tool 0 "pause" mirror pause data --json
valid "it"
ok "and sees it paused" until_true 10 grep -q '"status":"paused"' /tmp/seen
tool 0 "status" status data --json
valid "it"
field paused True
field status paused
dirty=${J[mirrors.0.dirty]}
ok "dirty is in bytes" test "$dirty" -gt 0 -a "$dirty" -le "$BYTES" -a $((dirty % 65536)) = 0
before=$(machine)
for v in "complete data --force" "cancel data --force" "resume data" "set data speed=0"; do
	# shellcheck disable=SC2086
	"$CTL" mirror $v --dry-run > /tmp/ctl.dry 2>&1
done
is "$(machine)" "$before" "dry runs of all verbs change nothing"
is "$(job_state data)" paused "and send nothing"
tool 0 "set" mirror set data speed=0 --json
valid "it"
tool 0 "resume" mirror resume data --json
tool 0 "wait" mirror wait data --json
valid "it"
field ready True
field dirty 0
is "${J[mirrors.0.offset]}" "${J[mirrors.0.len]}" "offset is len"
tool 0 "write-blocking" mirror set data copy-mode=write-blocking --json
tool 0 "wait for synced" mirror wait data --for synced --json
valid "it"
field actively-synced True
ok "which is an event, too" until_true 10 grep -q BLOCK_JOB_SYNCED /tmp/events
timeout 3 "$CTL" status --watch --json > /tmp/watch
ok "status --watch is JSON lines" valid_json /tmp/watch lines
ok "and more than one" test "$(wc -l < /tmp/watch)" -gt 1
tool 0 "complete" mirror complete data --json
valid "it"
is "${J[mirrors]}" 0 "no mirror any more"

# --- a job that ends with an error ---
mk_dm bad "0 64 linear $A 0" "64 $((LEN - 64)) error"
tool 0 "start onto a bad disk" mirror start data bad --force --json
tool 7 "wait" mirror wait data --json
valid "it"
is "${J[error.class]}" GenericError "its class"
ok "--watch sees the second job" until_true 10 grep -q '"target":"/dev/mapper/bad"' /tmp/seen
kill "$WATCH"
is "$(/usr/bin/python3 -S -c '
import json
last = None
for l in open("/tmp/seen"):
    m = (json.loads(l)["mirrors"] or [None])[0]
    if m and m["status"] != "running" and m["eta"] is not None:
        print(m["status"], "with an ETA")
    if m and (not last or last["target"] != m["target"]) and m["rate"] is not None:
        print("onto", m["target"], "from its first line with a rate")
    last = m' | sort -u)" "" "an ETA while it runs only, no rate of another job"
like "$ERR" 'data: the job ended \(target:write:EIO:[0-9]+\), so ready cannot come any more; type next: qmirrorctl mirror cancel data' "says what and what next"
tool 0 "status" status --json
valid "it"
field status concluded
like "${J[mirrors.0.error]}" '^target:write:EIO:' "the error"
tool 7 "complete of it" mirror complete data --json
valid "it"
tool 0 "cancel" mirror cancel data --json
valid "it"
dmsetup remove bad

sleep 0.5
kill "$EV"
wait "$EV" 2>/dev/null
ok "events are JSON lines" valid_json /tmp/events lines
seen=$(/usr/bin/python3 -c '
import json
for l in open("/tmp/events"):
    d = json.loads(l)
    print(d["event"] + ("=" + d["data"]["status"] if "status" in d["data"] else "") + ("!" if "error" in d["data"] else ""))' | tr '\n' ' ')
diag "$seen"
like "$seen" 'JOB_STATUS_CHANGE=ready BLOCK_JOB_READY .*BLOCK_JOB_COMPLETED JOB_STATUS_CHANGE=null' "ready, completed, gone, in QEMU's order"
like "$seen" 'BLOCK_JOB_ERROR! .*BLOCK_JOB_COMPLETED! ' "then the error, and COMPLETED with it"
like "$seen" 'BLOCK_JOB_READY .*BLOCK_JOB_SYNCED .*BLOCK_JOB_COMPLETED' "and synced in between"
is "$(grep -c BLOCK_JOB_READY /tmp/events)" 1 "READY once"

# --- errors of each kind ---
for e in "3 DeviceNotFound lookup mirror wait nosuch" "4 DeviceInUse check mirror start data data" \
	 "2 GenericError None mirror start data" "5 GenericError lookup mirror pause data" \
	 "1 GenericError check mirror start data /dev/b --sync bitmap --bitmap /nosuch" \
	 "4 DeviceInUse check remove data"; do
	read -r st class stage args <<< "$e"
	[[ $args != *bitmap* ]] || args="mirror start data $A --sync bitmap --bitmap /nosuch"
	# shellcheck disable=SC2086
	tool "$st" "$args" $args --json
	valid "it"
	is "${J[error.class]} ${J[error.stage]}" "$class $stage" "class and stage"
done
ok "all $(wc -l < /tmp/docs) documents hold against the schema" valid_json /tmp/docs lines

done_testing

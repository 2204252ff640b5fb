#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# snapshot --json: documents against the schema, numbers, events; --dry-run changes
# nothing; what breaks a snapshot is told.
# vm: --turns

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b
stores a b
: > /tmp/docs
valid() { cat /tmp/ctl.out >> /tmp/docs; ok "$1 is JSON" python3 -S -c 'import json; json.load(open("/tmp/ctl.out"))'; }
get() { python3 -S -c 'import json,sys; d=json.load(open("/tmp/ctl.out")); print(eval(sys.argv[1]))' "$1"; }

before=$(machine)
tool 0 "dry run" snapshot create "a=${S[a]}" b=/tmp/store.b --dry-run --json
valid "it"
is "$(get '" ".join(s["op"] for s in d["dry-run"])')" "create load resume load load suspend suspend resume resume create load resume create-store create load resume load load suspend suspend resume resume create load resume suspend suspend message message resume resume" "the steps"
is "$(machine)" "$before" "nothing was done"
ok "no file was made" test ! -e /tmp/store.b
ok "nor was a module loaded" eval '! grep -q dm_cbw /proc/modules'

"$CTL" events --json > /tmp/events 2> /tmp/events.err &
EV=$!
at_exit kill $EV
tool 0 "create" snapshot create "a=${S[a]}" b=/tmp/store.b --json --on-cbw-error break-snapshot --cbw-timeout 2s
valid "it"
is "$(get '[s["device"] for s in d["snapshots"]]')" "['a', 'b']" "both, in the order given"
is "$(get '[s["consistency"] for s in d["snapshots"]]')" "['crash', 'crash']" "consistency"
ok "the time frozen" test "$(get 'd["group"]["frozen-us"]')" -gt 0
is "$(get 'd["snapshots"][0]["view"]')" /dev/mapper/a-snap "view"
is "$(get 'd["snapshots"][0]["store"]')" /dev/s-a "store"
is "$(get 'd["snapshots"][1]["store"]')" /tmp/store.b "store, a file"
is "$(get 'd["snapshots"][0]["state"]')" armed "state"
is "$(get 'd["snapshots"][0]["cluster-size"]')" 65536 "cluster-size in bytes"
is "$(get 'd["snapshots"][0]["clusters"]')" $((MB * 16)) "clusters"
is "$(get 'd["snapshots"][0]["copied"]')" 0 "copied"
is "$(get 'd["snapshots"][0]["on-cbw-error"]')" break-snapshot "on-cbw-error"
is "$(get 'd["snapshots"][0]["cbw-timeout"]')" 2000 "cbw-timeout"
is "$(get 'd["snapshots"][0]["failed-writes"]')" 0 "failed-writes"
is "$(get 'd["snapshots"][0]["error"]')" None "error"
dd if=/dev/zero of=$DM/a bs=64k count=2 oflag=direct status=none
tool 0 "status" status a --json
valid "it"
is "$(get 'd["snapshots"][0]["copied"]')" 2 "two clusters copied"
is "$(get 'd["mirrors"]')" '[]' "no mirrors"
tool 0 "status of all" status --json
valid "it"
is "$(get 'len(d["snapshots"])')" 2 "both"
tool 0 "dry run of two" snapshot remove a b --dry-run --json
valid "it"
is "$(get '" ".join(s["device"] for s in d["dry-run"] if s["op"] == "remove")')" "a-snap a-qsrc b-snap b-qsrc" "both in one document"
tool 0 "release" snapshot release a 0 64K --json
valid "it"
tool 0 "remove" snapshot remove b --json
valid "it"

# --- a store that fails breaks the snapshot, and that is told ---
tool 0 "remove" snapshot remove a
# who listens may learn of the arming only when it is over: it is told nevertheless
until_true 10 eval "grep -c '\"null\"' /tmp/events | grep -qx 2"
kill -STOP $EV
mk_dm bad "0 512 linear ${S[a]} 0" "512 $((LEN - 512)) error"
tool 0 "create on a bad store" snapshot create a=bad --on-cbw-error break-snapshot --force
dd if=/dev/zero of=$DM/a bs=64k seek=8 count=1 oflag=direct status=none
until_true 10 eval '[[ $(snap_state a) == broken ]]'
kill -CONT $EV
until_true 10 grep -q '"broken"' /tmp/events
tool 0 "status" status a --json
valid "it"
is "$(get 'd["snapshots"][0]["state"]')" broken "broken"
like "$(get 'd["snapshots"][0]["error"]')" '^write:EIO:' "with the first error"
is "$(get 'd["snapshots"][0]["view-state"]')" broken "and so is the view"
tool 0 "remove a broken one" snapshot remove a
ok "all is as before" as_before
until_true 10 eval "grep -c '\"null\"' /tmp/events | grep -qx 3"
kill $EV
wait $EV 2> /dev/null
cleanups=()
ok "events hold against the schema" valid_json /tmp/events lines
is "$(python3 -S -c '
import json
for l in open("/tmp/events"):
    e = json.loads(l)
    if e["data"].get("id", e["data"].get("device")) == "a":
        print(e["event"], e["data"].get("status", e["data"].get("action")))' | uniq | grep -v idle | xargs)" \
	"JOB_STATUS_CHANGE armed JOB_STATUS_CHANGE null JOB_STATUS_CHANGE armed BLOCK_JOB_ERROR stop JOB_STATUS_CHANGE broken JOB_STATUS_CHANGE null" \
	"and say what happened"

# --- break-guest-write: the guest is told, the snapshot stays ---
tool 0 "create" snapshot create a=bad --force
ok "the write fails" eval '! dd if=/dev/zero of=$DM/a bs=64k seek=9 count=1 oflag=direct 2>/dev/null'
tool 0 "status" status a
like "$OUT" 'snapshot armed' "still armed"
like "$OUT" 'first error write:EIO:[0-9]+, 1 guest writes failed' "and status says so"
tool 0 "remove" snapshot remove a
dmsetup remove bad

python3 - "$SCHEMA" <<'PY' && pass "all of it holds against the schema" || fail "all of it holds against the schema"
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
text, dec = open("/tmp/docs").read(), json.JSONDecoder()
while text.strip():
    d, end = dec.raw_decode(text.lstrip())
    text = text.lstrip()[end:]
    jsonschema.validate(d, schema)
PY

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What snapshot create does not do: each refusal in one line, with its status and
# JSON class, the first of several, and with nothing changed.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
members a b
stores a b
SA=${S[a]} SB=${S[b]}

# refused STATUS REGEX "CLASS STAGE ERRNO DEVICE FILE" NAME ARG...
refused()
{
	refuses "$1" "$2" "$4" snapshot create "${@:5}"
	"$CTL" --json snapshot create "${@:5}" > /tmp/ctl.out 2> /dev/null
	cat /tmp/ctl.out >> /tmp/docs
	is "$(python3 -S -c 'import json; e=json.load(open("/tmp/ctl.out"))["error"]; print(e["class"],e["stage"],e["errno"],e["device"],e["file"])')" "$3" "  $3"
}

# --- DEV ---
refused 3 'DEV nosuch not found' "DeviceNotFound lookup ENODEV nosuch None" "no DEV" "nosuch=$SA"
refused 3 'DEV nosuch not found' "DeviceNotFound lookup ENODEV nosuch None" "no second DEV" "a=$SA" "nosuch=$SB"
refused 3 'no block device' "DeviceNotFound lookup ENOTBLK /etc/passwd None" "a file" "/etc/passwd=$SA"
refused 4 'plain block device' "DeviceInUse check EOPNOTSUPP d-a None" "a plain device" "/dev/d-a=$SA"
refused 4 'a is named twice' "DeviceInUse check EBUSY a None" "a device twice" "a=$SA" "a=$SB"
refused 4 'a is named twice' "DeviceInUse check EBUSY a None" "a device twice, by path" "a=$SA" "$DM/a=$SB"
dmsetup suspend a
refused 4 'a is suspended' "DeviceInUse check EBUSY a None" "a suspended device" "a=$SA"
dmsetup resume a
dmsetup load b --table "0 $LEN zero"
refused 4 'b has an inactive table' "DeviceInUse check EBUSY b None" "an inactive table" "a=$SA" "b=$SB"
dmsetup clear b
mk_dm a-snap "0 8 zero"
refused 4 'a-snap is there already' "DeviceInUse check EEXIST a None" "the view's name is taken" "a=$SA"
dmsetup remove a-snap
tool 0 "a mirror on b" mirror start b "$SB" --force
refused 4 'b already carries a mirror' "DeviceInUse check EBUSY b None" "a device with a job" "a=$SA" "b=$SB"
tool 0 "cancel" mirror cancel b --force
wipefs -qa "$SB"

# --- STORE ---
refused 4 'same device as member a' "DeviceInUse check EBUSY a a" "onto itself" a=a
refused 4 'a is stacked on STORE /dev/d-a' "DeviceInUse check EBUSY a /dev/d-a" "onto its own disk" a=/dev/d-a
refused 1 'is held by b' "OpenFileFailed open-store EBUSY a /dev/d-b" "onto another member's disk" a=/dev/d-b "b=$SB"
refused 4 'b is stacked on STORE /dev/d-b' "DeviceInUse check EBUSY b /dev/d-b" "onto its own disk, the second" "a=$SA" b=/dev/d-b
mk_dm up "0 $LEN linear $DM/a 0"
refused 4 'STORE up is stacked on member a' "DeviceInUse check EBUSY a up" "onto what stands on it" a=up
refused 4 'STORE up is stacked on member a' "DeviceInUse check EBUSY a up" "onto what stands on a later member" b=up "a=$SA"
dmsetup remove up
refused 4 'same device as STORE' "DeviceInUse check EBUSY b $SA" "one store for two" "a=$SA" "b=$SA"
mk_dm part "0 $LEN linear $SA 0"
refused 1 'is held by part' "OpenFileFailed open-store EBUSY a $SA" "a held store" "a=$SA" --force
refused 4 'part is stacked on STORE' "DeviceInUse check EBUSY b $SA" "a store under a store" a=part "b=$SA"
dmsetup remove part
mkfs.ext4 -q -F "$SA"
refused 1 'a signature \(ext4\)' "InvalidBlockFormat check EBUSY a $SA" "a signature" "a=$SA"
mkdir -p /tmp/m && mount "$SA" /tmp/m
refused 1 'is mounted on /tmp/m' "OpenFileFailed open-store EBUSY a $SA" "mounted, --force or not" "a=$SA" --force
umount /tmp/m
mkswap "$SA" > /dev/null 2>&1
swapon "$SA" && {
	refused 1 'is used as swap' "OpenFileFailed open-store EBUSY a $SA" "swap" "a=$SA" --force
	swapoff "$SA"
}
wipefs -qa "$SA"
SMALL=$(mk_null small $((MB / 2)))
refused 1 "is smaller than a" "InvalidBlockFormat check ENOSPC a $SMALL" "too small" "a=$SMALL"
BIG=$(mk_null big4k "$MB" blocksize=4096)
refused 1 "logical blocks of 4096" "InvalidBlockFormat check EINVAL a $BIG" "larger blocks" "a=$BIG"
blockdev --setro "$SA"
refused 1 'read-only' "OpenFileFailed open-store EROFS a $SA" "read-only" "a=$SA"
blockdev --setrw "$SA"
refused 1 "unknown format 'qcow2'" "InvalidBlockFormat check EINVAL None None" "an unknown format" "a=$SA" --format qcow2

# --- the first failure is the only one told ---
refused 1 "is smaller than a" "InvalidBlockFormat check ENOSPC a $SMALL" "the first of two failures" "a=$SMALL" "nosuch=$SB"
refused 3 'DEV nosuch' "DeviceNotFound lookup ENODEV nosuch None" "the first of two failures, the other way" "nosuch=$SB" "a=$SMALL"

# --- tables that nothing can be slid under ---
mk_dm odd "0 $LEN snapshot-origin $SB" 2>/dev/null && {
	refused 4 'odd has a snapshot-origin table' "DeviceInUse check EOPNOTSUPP odd None" "another target" "odd=$SA"
	dmsetup remove odd
}

python3 - "$SCHEMA" <<'PY' && pass "all of it holds against the schema" || fail "all of it holds against the schema"
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
text, dec, n = open("/tmp/docs").read(), json.JSONDecoder(), 0
while text.strip():
    d, end = dec.raw_decode(text.lstrip())
    text = text.lstrip()[end:]
    jsonschema.validate(d, schema)
    n += 1
assert n > 20, n
PY
ok "all is as before" as_before

done_testing

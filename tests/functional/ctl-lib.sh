# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# ctl-lib.sh - what the tests of qmirrorctl share; sourced after tests/lib.sh.
# "data" is a dm-linear device over a null_blk disk "a", in use; "b" is the
# disk to mirror to.

CTL=$QMIRROR_TOP/build/userspace/qmirrorctl
FAULTS=$QMIRROR_TOP/build/userspace/qmirrorctl-faults
SCHEMA=$QMIRROR_TOP/userspace/qmirrorctl.schema.json
TOOLS=$QMIRROR_TOP/build/tools
DM=/dev/mapper
export DM_DISABLE_UDEV=1

[[ -x $CTL ]] || make -s -C "$QMIRROR_TOP/userspace" all faults ||
	bail "qmirrorctl does not build"
[[ -x $TOOLS/blkcmp ]] || make -s -C "$QMIRROR_TOP/tests/tools" ||
	bail "the test programs do not build"

MB=32
# disks [ATTR=VALUE...]: a and b, and data over a
disks()
{
	A=$(mk_null a "$MB" "$@") && B=$(mk_null b "$MB" "$@") || bail "no disks"
	LEN=$(dev_size "$A")
	OLD="0 $LEN linear $(stat -c '%Hr:%Lr' "$A") 0"
	mk_dm data "$OLD"
}

# tool STATUS NAME ARG...: runs qmirrorctl; OUT and ERR are what it said
tool()
{
	local want=$1 name=$2 rc=0
	shift 2
	"$CTL" "$@" > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	OUT=$(< /tmp/ctl.out) ERR=$(< /tmp/ctl.err)
	[[ $rc == "$want" ]] && { pass "$name"; return; }
	fail "$name"
	diag "'qmirrorctl $*' ended with $rc, not $want"
	diag "$OUT $ERR"
	return 1
}

# refuses STATUS REGEX NAME ARG...: the status, one line of that text, and
# not one table, message or journal different from before
refuses()
{
	local status=$1 re=$2 name=$3 before after
	shift 3
	before=$(machine)
	tool "$status" "$name" "$@" || return
	after=$(machine)
	like "$ERR" "^qmirrorctl: [^"$'\n'"]*${re}[^"$'\n'"]*\$" "  says so in one line"
	is "$after" "$before" "  and nothing has changed"
}

# Everything the tool could have changed. No sorting: dmsetup's order is stable.
machine()
{
	dmsetup table 2>/dev/null
	dmsetup info -c --noheadings -o name,uuid,suspended,tables_loaded
	echo /run/qmirrorctl/j*
}

table_of() { dmsetup table "$1" 2>/dev/null; }
suspended() { dmsetup info -c --noheadings --separator ' ' -o name,suspended | grep Suspended; }
exists() { dmsetup info "$1" > /dev/null 2>&1; }
job_state() { dm_field "$1" state; }

# valid_json [FILE]: every line, or the whole, holds against the schema
valid_json()
{
	/usr/bin/python3 - "$SCHEMA" "${1:-/tmp/ctl.out}" "${2:-whole}" <<-'PY'
	import json, sys, jsonschema
	schema = json.load(open(sys.argv[1]))
	text = open(sys.argv[2]).read()
	docs = text.splitlines() if sys.argv[3] == "lines" else [text]
	assert docs, "nothing was printed"
	for d in docs:
	    jsonschema.validate(json.loads(d), schema)
	PY
}
# jq-less: json EXPRESSION with the document as d
json() { /usr/bin/python3 -c 'import json,sys; d=json.load(open("/tmp/ctl.out")); print(eval(sys.argv[1]))' "$1"; }

# stop_at K ARG...: qmirrorctl stops at its K-th point; true when it stands there
# with nothing suspended. go_on lets it go, RC is its status.
stop_at()
{
	local k=$1
	shift
	QMIRROR_FAULT=stop:$k "$FAULTS" "$@" > /tmp/ctl.out 2> /tmp/ctl.err &
	P=$!
	until_true 60 stopped $P
	[[ $(state_of $P) == T && ! $(suspended) ]]
}
go_on() { kill -CONT $P; RC=0; wait $P || RC=$?; }
state_of() { local s; read -r _ _ s _ < "/proc/$1/stat" 2>/dev/null && echo "$s"; }
stopped() { [[ $(state_of "$1") == [TZ] || ! -e /proc/$1 ]]; }

# fs_begin/fs_end: ext4 on data, mounted, and fio on it that verifies itself
fs_begin()
{
	mkfs.ext4 -q -F "$DM/data" && mkdir -p /tmp/mnt &&
		mount "$DM/data" /tmp/mnt || bail "no file system"
	at_exit umount /tmp/mnt
	fio --name=w --directory=/tmp/mnt --size=4m --rw=randwrite --bs=4k \
	    --ioengine=psync --fsync=32 --verify=crc32c --do_verify=1 \
	    --verify_backlog=64 --time_based --runtime="${1:-900}" \
	    --rate_iops="${2:-200}" > /tmp/fio.log 2>&1 &
	FIO=$!
	at_exit kill_fio
}
kill_fio() { [[ ! ${FIO-} ]] || { kill "$FIO" 2>/dev/null; wait "$FIO" 2>/dev/null; FIO=''; }; }
# fio still runs and has found no error; then it is stopped
fs_end()
{
	ok "fio ran all the time" kill -0 "$FIO"
	kill -INT "$FIO"
	wait "$FIO"
	FIO=''
	unlike "$(< /tmp/fio.log)" 'err= *[1-9]|verify: bad' "and found no wrong block"
	sync -f /tmp/mnt
}

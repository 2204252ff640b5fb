# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# lvm-lib.sh - what the tests of qmirrorctl on logical volumes share; sourced
# after ctl-lib.sh. slow/data is the volume in question (slow-data to
# device-mapper), fast/data the other one.

command -v lvm > /dev/null || bail "no lvm2"
SIZE=4
# shellcheck source=tests/tools/lvm.sh
. "$QMIRROR_TOP/tests/tools/lvm.sh"
lvm_config /run/lvm-test '^/dev/pv'

# vg NAME MB: a group over a disk of its own
declare -A PV
vg()
{
	PV[$1]=$(mk_null "pv$1" "$2") || bail "no disk for $1"
	pvcreate -qq "${PV[$1]}" && vgcreate -qq -s 1M "$1" "${PV[$1]}" > /dev/null 2>&1 ||
		bail "no volume group $1"
}

# lv VG NAME [MB]
lv()
{
	lvcreate -qq -y -Wn -Zn -L "${3:-$SIZE}M" -n "$2" "$1" > /dev/null 2>&1 &&
		[[ -b $DM/$1-$2 ]] || bail "no volume $1/$2"
}

# volumes: slow/data, which holds random data, and fast/data. ON_PV is LVM's own
# table of slow-data.
volumes()
{
	vg slow 16
	vg fast 16
	lv slow data
	lv fast data
	randomize slow-data
	ON_PV=$(table_of slow-data)
}

# loads_tables SETUP CHECK [WITH-SN]: LVM's commands that load a table over what
# SETUP has made of slow-data; CHECK NAME TABLE is what has to hold then, and
# WITH-SN what else while the volume has a snapshot of LVM's.
loads_tables()
{
	local setup=$1 check=$2

	$setup
	says 0 'resized' "lvextend" lvextend -L $((SIZE + 1))M slow/data
	$check slow-data "${ON_PV/0 $((SIZE * 2048))/0 $(((SIZE + 1) * 2048))}"
	lvreduce -qq -f -L ${SIZE}M slow/data > /dev/null 2>&1

	$setup
	says 0 'Renamed "data" to "neu"' "lvrename" lvrename slow data neu
	$check slow-neu "$ON_PV"
	lvrename -qq slow neu data > /dev/null 2>&1

	$setup
	says 0 'Logical volume "sn" created' "lvcreate -s" lvcreate -s -n sn -L 1M slow/data
	$check slow-data "0 $((SIZE * 2048)) snapshot-origin $(dmsetup info -c --noheadings --separator : -o major,minor slow-data-real)"
	[[ ! ${3-} ]] || $3
	lvremove -qq -y slow/sn > /dev/null 2>&1
}

# says STATUS REGEX NAME COMMAND...: an LVM command, its status and what it
# says; '' is for nothing at all
says()
{
	local want=$1 re=$2 name=$3 rc=0
	shift 3
	OUT=$("$@" 2>&1) || rc=$?
	OUT=$(grep -v 'metadata update is NOT backed up' <<< "$OUT")
	if [[ $rc != "$want" ]]; then
		fail "$name"
		diag "'$*' ended with $rc, not $want: $OUT"
	elif [[ $re ]]; then
		like "$OUT" "$re" "$name: ${re//\\/}"
	else
		is "$OUT" '' "$name: silently"
	fi
}

# What a device holds, past the page cache
sum() { dd if="$DM/$1" bs=1M count="$SIZE" iflag=direct status=none | md5sum; }
randomize() { dd if=/dev/urandom of="$DM/$1" bs=1M count="$SIZE" oflag=direct status=none; }

# watch_events: everything that qmirrorctl events has to say, in /tmp/ev
watch_events()
{
	"$CTL" events --json > /tmp/ev 2> /tmp/ev.err &
	EVENTS=$!
	at_exit kill $EVENTS
}
# all of it is valid, and it is still there
end_events()
{
	ok "events went on all the time" kill -0 "$EVENTS"
	kill "$EVENTS"
	wait "$EVENTS" 2> /dev/null
	cleanups=()
	ok "what they said is valid" valid_json /tmp/ev lines
}
# how often that was said
told() { grep -c "$1" /tmp/ev; }
told_since() { (($(told "$1") > $2)); }
TAKEN='"error":"table replaced or removed by somebody else"'

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# lib.sh - what every functional test starts with: results as TAP, devices to
# test on, waiting for a mirror's state, and taking everything down again.
# Sourced by tests/functional/*.t, inside a guest (`make functional`): all of
# the machine is the test's own, so teardown is by what is there and not by
# what somebody remembered.
#
#	. "$(dirname "$0")/../lib.sh"
#	plan 2				# or plan_later
#	src=$(mk_null src 64) tgt=$(mk_null tgt 64)
#	mk_dm m "0 131072 qmirror $src 0 $tgt 0"
#	wait_for_state m ready 20	&& pass "becomes ready"
#	is "$(dm_field m synced)" yes "and is in sync"
#	done_testing

set -u

if [[ ! ${QMIRROR_KVER-} ]]; then
	echo "Bail out! This needs the rig: tests/vm/run -- $0"
	exit 125
fi

# How many times as long as elsewhere waiting may take on this kernel: set by the
# rig. What a test expects is the same everywhere.
readonly QMIRROR_SLOW=${QMIRROR_SLOW:-1}
timeout()
{
	local o=()
	while [[ $1 == -* ]]; do
		o+=("$1" "$2")
		shift 2
	done
	command timeout "${o[@]}" $(($1 * QMIRROR_SLOW)) "${@:2}"
}

# --- TAP ---------------------------------------------------------------------

tap_run=0 tap_failed=0 tap_planned='' tap_done=''

plan()       { tap_planned=$1; }
plan_later() { tap_planned=''; }

# Results go where our stdout went at the start: "t_ok NAME COMMAND > /dev/null"
# is meant for the command, and would take the result's line with it.
exec {TAP}>&1

# A result from within ( ), $( ) or a pipe would be counted there and forgotten.
tap()
{
	[[ $BASHPID == "$$" ]] || bail "a result from a subshell: $*"
	echo "$*" >&"$TAP"
}

diag() { local l; while IFS= read -r l; do echo "# $l"; done <<< "$*" >&"$TAP"; }
pass() { tap "ok $((++tap_run)) - ${*//#/}"; }
fail()
{
	tap "not ok $((++tap_run)) - ${*//#/}"
	((++tap_failed))
	diag "at ${BASH_SOURCE[-1]##*/}:${BASH_LINENO[-2]}"
	return 1
}
skip() { tap "ok $((++tap_run)) - # SKIP $*"; }
# todo NAME: known to fail, and not counted
todo() { tap "not ok $((++tap_run)) - $1 # TODO ${2-}"; }

# skip_all WHY: nothing of this test can run here
skip_all()
{
	tap "1..0 # SKIP $*"
	tap_done=yes
	exit 0
}

bail()
{
	echo "Bail out! ${0##*/}: $*" >&"$TAP"
	tap_done=yes
	exit 125
}

# ok NAME COMMAND...: COMMAND succeeds
ok()
{
	local name=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	((rc)) || { pass "$name"; return; }
	fail "$name"
	diag "'$*' ended with $rc"
	[[ ! $out ]] || diag "$out"
	return 1
}

# is GOT EXPECTED NAME
is()
{
	[[ $1 == "$2" ]] && { pass "$3"; return; }
	fail "$3"
	diag "got:      '$1'"
	diag "expected: '$2'"
	return 1
}

isnt()
{
	[[ $1 != "$2" ]] && { pass "$3"; return; }
	fail "$3"
	diag "got: '$1'"
	return 1
}

# like GOT REGEX NAME
like()
{
	[[ $1 =~ $2 ]] && { pass "$3"; return; }
	fail "$3"
	diag "got:        '$1'"
	diag "should match: $2"
	return 1
}

unlike()
{
	[[ $1 =~ $2 ]] || { pass "$3"; return; }
	fail "$3"
	diag "got:            '$1'"
	diag "should not match: $2"
	return 1
}

# fails_with STATUS REGEX NAME COMMAND...: COMMAND ends with STATUS ("any": not
# 0), and what it says matches REGEX
fails_with()
{
	local status=$1 re=$2 name=$3 out rc=0
	shift 3
	out=$("$@" 2>&1) || rc=$?
	if [[ $rc != "$status" && ! ($status == any && $rc != 0) ]]; then
		fail "$name"
		diag "'$*' ended with $rc, not $status: $out"
		return 1
	fi
	like "$out" "$re" "$name"
}

# --- the end -----------------------------------------------------------------

OUR_MODULES=(dm_cbw dm_qmirror dm_block_copy)
cleanups=()

# at_exit COMMAND...: before the devices are taken down, the last one first.
# Not from within $( ): a subshell's list dies with it.
at_exit() { cleanups+=("$(printf '%q ' "$@")"); }

# until_true SECONDS COMMAND...: for what raises no event (a reference count)
until_true()
{
	local end=$((${EPOCHREALTIME/./} + $1 * QMIRROR_SLOW * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.05
	done
}

# Suspended devices first get their I/O going again, or those above them could
# never be removed. Then whatever is not open, until nothing is left.
remove_dm_devices()
{
	local name open
	dmsetup info -c --noheadings --separator ' ' -o suspended,name 2>/dev/null |
	while read -r open name; do
		[[ $open != Suspended ]] || timeout 20 dmsetup resume "$name"
	done
	dmsetup info -c --noheadings --separator ' ' -o open,name 2>/dev/null |
	while read -r open name; do
		[[ $open != 0 ]] || timeout 20 dmsetup remove "$name" 2>/dev/null
	done
	no_dm_devices
}
no_dm_devices() { [[ $(dmsetup ls 2>/dev/null) == "No devices found" ]]; }

unload_module()
{
	[[ ! -d /sys/module/$1 ]] || rmmod "$1" 2>/dev/null
}

teardown()
{
	local i cfg m left=''
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}"
	done
	cleanups=()
	until_true 10 remove_dm_devices ||
		left+="devices: $(dmsetup ls | tr '\t\n' '  ')"
	losetup -D
	for cfg in /sys/kernel/config/nullb/*/; do
		[[ ! -d $cfg ]] || rmdir "$cfg"
	done
	for m in "${OUR_MODULES[@]}"; do
		until_true 10 unload_module "$m" ||
			left+=" module $m has $(<"/sys/module/$m/refcnt") references"
	done
	[[ ! $left ]] || { diag "left over: $left"; return 1; }
}

done_testing()
{
	local planned=${tap_planned:-$tap_run} run=$tap_run
	tap_done=yes
	# Part of every test: nothing we made keeps a device or a module.
	if teardown; then
		pass "everything can be taken down, and the modules unloaded"
	else
		fail "everything can be taken down, and the modules unloaded"
	fi
	tap "1..$((planned + 1))"
	((run == planned)) || diag "$run results instead of $planned"
	((tap_failed == 0 && run == planned)) || exit 1
	exit 0
}
finish() { done_testing; }

# A test that just ends is a failed one, whatever its last status was.
on_exit()
{
	local rc=$?
	[[ $tap_done ]] && return
	diag "${0##*/} ended with $rc before done_testing"
	teardown
	((rc)) || exit 125
}
trap on_exit EXIT

# --- chance ------------------------------------------------------------------

# Everything random comes from here: SEED=N repeats a run.
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((SEED % 32768))
diag "SEED=$SEED"

# rnd N: 0 ... N-1. Sets REPLY: in $( ) each call would give the same number.
rnd() { REPLY=$(((RANDOM * 32768 + RANDOM) % $1)); }

# --- devices -----------------------------------------------------------------

need_modules()
{
	local m
	for m; do
		modprobe "$m" || bail "module $m cannot be loaded"
	done
}

# mk_brd COUNT MB: /dev/ram0 ... ; once per test
mk_brd()
{
	modprobe brd rd_nr="$1" rd_size=$(($2 * 1024)) max_part=0 &&
		[[ -b /dev/ram0 ]] || bail "no RAM disks"
}

# mk_null NAME MB [ATTR=VALUE...]: a null_blk disk with memory; prints its path.
# Its requests end at once, or on debug kernels in an interrupt (tests/vm/common.sh).
mk_null()
{
	local name=$1 mb=$2 cfg=/sys/kernel/config/nullb/$1 a
	shift 2
	[[ -d /sys/kernel/config/nullb ]] || modprobe null_blk nr_devices=0
	mkdir "$cfg" || return
	for a in memory_backed=1 discard=1 irqmode="${QMIRROR_IRQMODE:-0}" \
		 size="$mb" "$@"; do
		echo "${a#*=}" > "$cfg/${a%%=*}" || return
	done
	echo 1 > "$cfg/power" && [[ -b /dev/$name ]] || return
	echo "/dev/$name"
}

# mk_loop FILE MB [LOSETUP-OPTION...]: a sparse file as a disk; prints its path
mk_loop()
{
	local file=$1 mb=$2
	shift 2
	truncate -s "${mb}M" "$file" && losetup -f --show "$@" "$file"
}

# mk_dm NAME TABLE-LINE...: without udev libdevmapper makes the node itself; a
# test that wrote to a plain file of that name would pass against nothing.
mk_dm()
{
	local name=$1
	shift
	printf '%s\n' "$@" | dmsetup create "$name" || return
	[[ -b /dev/mapper/$name ]] ||
		bail "/dev/mapper/$name is not a block device"
}

dev_size() { blockdev --getsz "$1"; }

# --- a mirror's status ---------------------------------------------------------

dm_status() { dmsetup status --noflush "$1"; }

# dm_field NAME FIELD: one word of a qmirror's status line. Fields: state synced
# offset len dirty chunks io_status error source_errors target_errors in_flight
# args ending orphans
dm_field()
{
	local w n
	# start length target state synced off/len dirty/chunks ...
	read -r -a w <<< "$(dm_status "$1" 2>/dev/null)"
	n=$((13 + ${w[12]:-0}))
	case $2 in
	state)		echo "${w[3]-}" ;;
	synced)		echo "${w[4]-}" ;;
	offset)		echo "${w[5]%/*}" ;;
	len)		echo "${w[5]#*/}" ;;
	dirty)		echo "${w[6]%/*}" ;;
	chunks)		echo "${w[6]#*/}" ;;
	io_status)	echo "${w[7]-}" ;;
	error)		echo "${w[8]-}" ;;
	source_errors)	echo "${w[9]-}" ;;
	target_errors)	echo "${w[10]-}" ;;
	in_flight)	echo "${w[11]-}" ;;
	args)		echo "${w[*]:13:${w[12]:-0}}" ;;
	ending)		echo "${w[n]-}" ;;
	orphans)	echo "${w[n + 1]-}" ;;
	*)		bail "dm_field: no field '$2'" ;;
	esac
}

dm_events() { dmsetup info -c --noheadings -o events "$1"; }

# wait_for_state NAME STATE [SECONDS]: sleeps on dm events. The event number is
# read before the state, so a change in between is not missed.
wait_for_state()
{
	local name=$1 want=$2 end=$((SECONDS + ${3:-20} * QMIRROR_SLOW)) nr
	while :; do
		nr=$(dm_events "$name") || return
		[[ $(dm_field "$name" state) != "$want" ]] || return 0
		if ((SECONDS >= end)); then
			diag "$name is not $want in time: $(dm_status "$name")"
			return 1
		fi
		command timeout "$((end - SECONDS + 1))" dmsetup wait "$name" "$nr" \
			> /dev/null 2>&1
	done
}

# legs_equal A OFFSET-A B OFFSET-B SECTORS: with O_DIRECT, the page cache of a
# leg shows what once was. Says where they differ.
legs_equal()
{
	"$QMIRROR_TOP/build/tools/blkcmp" -a "$2" -b "$4" -n "$5" "$1" "$3"
}

# --- the kernel's log --------------------------------------------------------

dmesg_mark()
{
	DMESG_MARK="mark $RANDOM $EPOCHREALTIME"
	echo "$DMESG_MARK" > /dev/kmsg
}
dmesg_since() { dmesg | sed "1,/$DMESG_MARK\$/d"; }

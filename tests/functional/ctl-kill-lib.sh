# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# ctl-kill-lib.sh - dying at every step. qmirrorctl-faults kills itself at its
# K-th point (one before and one after each step): with its watchdog ("kill"),
# or without ("nkill"), when the next run has to put things right. fio writes to
# the device all the time and verifies what it wrote.

writer_begin()
{
	MINOR=$(dmsetup info -c --noheadings -o minor data)
	fio --name=w --filename=$DM/data --size=2m --rw=randwrite --bs=4k --direct=1 \
	    --ioengine=psync --verify=crc32c --verify_backlog=32 --time_based \
	    --runtime=900 --rate_iops=50 --exitall_on_error > /tmp/fio.log 2>&1 &
	FIO=$!
	at_exit kill_fio
}
# the fifth word of a dm device's stat: writes done
writes() { local f; read -r -a f < "/sys/block/dm-$MINOR/stat"; W=${f[4]}; }
writer_goes_on()
{
	local n i
	writes
	n=$W
	for ((i = 0; i < 500; i++)); do
		writes
		((W <= n + 1)) || { kill -0 "$FIO"; return; }
		sleep 0.02
	done
	return 1
}

# Nothing suspended, no inactive table, no journal, no leftovers; data is in one
# of two states: STATE is "mirror" or "plain".
whole()
{
	local name susp tables src=''
	WHY=''
	while read -r name susp tables; do
		[[ $susp == Active ]] || WHY+=" $name is suspended"
		[[ $tables == Live ]] || WHY+=" $name has tables: $tables"
		[[ $name != data-qsrc ]] || src=yes
	done < <(dmsetup info -c --noheadings --separator ' ' -o name,suspended,tables_loaded)
	[[ ! -e /run/qmirrorctl/journal ]] || WHY+=" the journal is there"
	dmsetup table > /tmp/tables
	case $(grep '^data:' /tmp/tables) in
	*' qmirror '*)
		STATE=mirror
		grep -qxF "data-qsrc: $LEG_OLD" /tmp/tables || WHY+=" a mirror without its source" ;;
	*' linear '*)
		STATE=plain
		[[ ! $src ]] || WHY+=" data-qsrc was left" ;;
	*)	WHY+=" data has a strange table" ;;
	esac
	[[ ! $WHY ]]
}

# die_everywhere HOW SETUP ARG...: K = 1, 2, ... until the run gets through.
# SETUP makes the state before.
die_everywhere()
{
	local how=$1 setup=$2 k rc seen=''
	shift 2
	for ((k = 1; k < 60; k++)); do
		$setup || { fail "$how:$k: cannot set up"; return; }
		rc=0
		{ QMIRROR_FAULT=$how:$k "$FAULTS" "$@" > /tmp/ctl.out 2>&1 || rc=$?; } 2> /dev/null
		if ((rc != 0 && rc != 137)); then
			fail "$how:$k ended with $rc"
			diag "$(< /tmp/ctl.out)"
			return
		fi
		# after kill it only waits for the watchdog, which has the lock
		"$CTL" recover > /tmp/recover.out 2>&1 || diag "recover: $(< /tmp/recover.out)"
		if ! whole; then
			fail "$how:$k leaves things whole"
			diag "$WHY"
			diag "$(dmsetup info -c; dmsetup table)"
			return
		elif ! writer_goes_on; then
			fail "$how:$k: the writer goes on"
			diag "$(< /tmp/fio.log)"
			return
		fi
		seen+=" $k:$STATE"
		[[ $STATE != mirror ]] || "$CTL" mirror cancel data --force > /dev/null ||
			{ fail "$how:$k: cannot clean up"; return; }
		((rc)) || break
	done
	diag "$seen"
	((k > 5 && k < 60)) && pass "$how at each of $((k - 1)) points: whole, and the writer went on" ||
		fail "$how went through $k points"
	like "$seen" mirror "some ended as a mirror"
	like "$seen" plain "some ended as a plain device"
}

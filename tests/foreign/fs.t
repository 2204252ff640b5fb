#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# xfstests' fsx (every operation compared with a model of the file) and fsstress (ten
# processes, every system call there is) on ext4 and xfs, while the device below is
# mirrored, becomes READY and moves to the target; and while a snapshot is taken in
# the middle. Run by tests/foreign/run, which builds both.
#
# Wrong if fsx finds a byte that it did not write, if the legs differ once nothing is
# mounted, if the target or the origin is no clean file system, or if the view changes.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../functional/ctl-lib.sh"
. "$(dirname "$0")/cells.sh"

BIN=$QMIRROR_TOP/build/foreign
OPS=${FOREIGN_OPS:-20000}	# of each fsx, a round
MB=320				# the least that xfs takes
MNT=/tmp/mnt VIEW=/tmp/view

plan_later
[[ -x $BIN/fsx && -x $BIN/fsstress ]] || bail "no fsx: run tests/foreign/run"
need_modules dm-snapshot ext4
mkdir -p $MNT $VIEW /tmp/load
disks
S=$(mk_null s "$MB") && COW=$(mk_null cow 64) || bail "no disks"

# --- the loads -----------------------------------------------------------------
#
# Rounds with a seed of their own, until /tmp/load/stop is there: at least one. So
# the load lasts as long as what is done below it, on every machine.

# User-mode Linux with two processors loses mapped writes, on a dm-linear just as
# well; so nothing is mapped there.
UNMAPPED=()
if grep -q 'User Mode Linux' /proc/cpuinfo; then
	UNMAPPED=(-R -W)
fi

# rounds NAME COMMAND...: COMMAND ROUND-SEED; says how many, or what failed
rounds()
{
	local name=$1 n=0
	shift
	until [[ $n -gt 0 && -e /tmp/load/stop ]]; do
		"$@" $((LOAD_SEED + n)) > "/tmp/load/$name.out" 2>&1 || {
			echo "round $n, seed $((LOAD_SEED + n)): status $?"
			grep -a -m 1 -A 4 BAD "/tmp/load/$name.out"
			tail -n 20 "/tmp/load/$name.out"
			return 1
		}
		((++n))
	done > "/tmp/load/$name.bad"
	echo $n > "/tmp/load/$name.rounds"
}

# Through the page cache and mapped; the same, thrown out of it after each I/O; and
# past it, asynchronously.
fsx_cached() { "$BIN/fsx" -q "${UNMAPPED[@]}" -N "$OPS" -S "$1" -l 1048576 -P /tmp/load $MNT/cached; }
fsx_flush()  { "$BIN/fsx" -q -f "${UNMAPPED[@]}" -N "$OPS" -S "$1" -l 1048576 -P /tmp/load $MNT/flush; }
fsx_direct()
{
	"$BIN/fsx" -q -A -Z -R -W -r 4096 -w 4096 -t 4096 -N "$OPS" -S "$1" \
		-l 1048576 -P /tmp/load $MNT/direct
}
# The tree of the last round but one goes, or the disk would just be full.
stress()
{
	rm -rf "$MNT/stress"
	mkdir "$MNT/stress"
	"$BIN/fsstress" -d "$MNT/stress" -p 10 -n $((OPS / 20)) -s "$1"
}

load_start() # fsx|fsstress
{
	local w
	rm -rf /tmp/load/*
	rnd 1000000
	LOAD_SEED=$REPLY LOAD=()
	case $1 in
	fsx)		w='fsx_cached fsx_flush fsx_direct' ;;
	fsstress)	w=stress ;;
	esac
	diag "$1: seeds from $LOAD_SEED"
	for w in $w; do
		rounds "$w" "$w" &
		LOAD+=($!)
	done
	writes_from
	t_written "$CELL: the load has begun" 100
}

# load_end: each has ended its round, and found nothing
load_end()
{
	local p rc=0
	: > /tmp/load/stop
	for p in "${LOAD[@]}"; do
		wait "$p" || rc=1
	done
	is "$rc" 0 "$CELL: all rounds ended well" ||
		diag "$(cat /tmp/load/*.bad)"
	diag "rounds: $(cd /tmp/load && grep -H . -- *.rounds | xargs)"
}

# Waiting for work done, not for time: the writes that have reached the device.
writes() { local f; read -r -a f < "/sys/dev/block/$DATA_DEV/stat"; echo "${f[4]}"; }
writes_from() { WRITES=$(writes); }
written() { (($(writes) >= WRITES + $1)); }
t_written() # NAME N
{
	until_true 120 written "$2" && pass "$1" ||
		fail "$1 ($(($(writes) - WRITES)) writes, not $2)"
}
t_loaded() { ok "$CELL: $1" alive; }
alive() { local p; for p in "${LOAD[@]}"; do kill -0 "$p" || return; done; }

# --- file systems ---------------------------------------------------------------

fs_make() # FS
{
	dmsetup remove data 2> /dev/null
	wipe "$A" && mk_dm data "$OLD" || bail "no device"
	DATA_DEV=$(dmsetup info -c --noheadings --separator : -o major,minor data)
	case $1 in
	ext4)	mkfs.ext4 -q -F $DM/data ;;
	# Debian's 6.1 gives fsx wrong bytes of shared extents, on a dm-linear just
	# as well (fsx -S 758819 -l 1048576, operation 12606).
	xfs)	mkfs.xfs -q -f -m reflink=0 $DM/data ;;
	esac
	mount $DM/data $MNT || bail "$1 does not mount"
}
fsck_n() # FS DEV
{
	case $1 in
	ext4)	e2fsck -fn "$2" ;;
	xfs)	xfs_repair -n "$2" ;;
	esac
}
view_opts() { [[ $1 == xfs ]] && echo ro,norecovery,nouuid || echo ro; }
copy_opts() { [[ $1 == xfs ]] && echo nouuid || echo rw; }

# Names, kinds, sizes and times; and what is in the files that fsx knows
listing()
{
	(cd "$1" && find . -printf '%P %y %m %s %i %T@\n' | sort &&
		find . -maxdepth 1 -type f -exec cksum {} +) | cksum
}
sum() { dd if="$1" bs=1M iflag=direct status=none | sha256sum; }

# --- what file system and kernel do without us --------------------------------------

plain() # FS LOAD
{
	cell "$2" "$1, dm-linear, to compare"
	fs_make "$1"
	load_start "$2"
	load_end
	ok "$CELL: unmount" umount $MNT
	ok "$CELL: a clean file system" fsck_n "$1" $DM/data
	cell_end
}

# --- (a) mirrored, READY, moved to the target -------------------------------------

all_copied() { [[ "$(dm_field data dirty) $(dm_field data in_flight)" == "0 0" ]]; }
# Slow at first, so that the load meets the copying; then as fast as it goes.
# Background mode does not promise READY under a load, so there it may come after.
mirrored() # FS LOAD COPY-MODE
{
	local before
	cell "$2" "$1, mirror, $3"
	fs_make "$1"
	load_start "$2"
	tool 0 "$CELL: start" mirror start data "$B" --copy-mode "$3" --speed 8M --force
	writes_from
	t_written "$CELL: writes while it copies" 500
	is "$(dm_field data state)" running "$CELL: it still copies"
	t_loaded "and the load runs"
	tool 0 "$CELL: full speed" mirror set data speed=0
	if [[ $3 == write-blocking ]]; then
		tool 0 "$CELL: READY under the load" mirror wait data --timeout 5m
		writes_from
		t_written "$CELL: writes once it is READY" 500
		t_loaded "still under the load"
	fi
	load_end
	sync -f $MNT
	before=$(listing $MNT)
	ok "$CELL: unmount" umount $MNT
	tool 0 "$CELL: READY" mirror wait data --for ready --timeout 5m
	# In background mode it was READY before; what unmounting wrote comes after.
	ok "$CELL: nothing is dirty" until_true 60 all_copied
	is "$(dm_field data source_errors) $(dm_field data target_errors)" "0 0" "$CELL: no errors"
	ok "$CELL: the legs are equal" legs_equal "$A" 0 "$B" 0 "$LEN"
	tool 0 "$CELL: complete" mirror complete data --wait --timeout 2m
	is "$(table_of data)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "$CELL: on the target"
	# Whoever reads the old leg now would be seen.
	wipe "$A"
	echo 3 > /proc/sys/vm/drop_caches
	ok "$CELL: a clean file system there" fsck_n "$1" $DM/data
	ok "$CELL: mounts" mount $DM/data $MNT
	is "$(listing $MNT)" "$before" "$CELL: and is what it was"
	umount $MNT
	cell_end
}

# --- (b) a snapshot in the middle ---------------------------------------------------

snapshotted() # FS LOAD
{
	local sum
	cell "$2" "$1, snapshot"
	fs_make "$1"
	load_start "$2"
	tool 0 "$CELL: create" snapshot create "data=$S" --force
	like "$OUT" 'consistency: filesystem' "$CELL: of a frozen file system"
	sum=$(sum $DM/data-snap)
	ok "$CELL: the view mounts" mount -o "$(view_opts "$1")" $DM/data-snap $VIEW
	ok "$CELL: and can be read" listing $VIEW
	umount $VIEW
	writes_from
	t_written "$CELL: writes meanwhile" 500
	t_loaded "the load runs"
	load_end
	ok "$CELL: unmount" umount $MNT
	is "$(snap_state)" armed "$CELL: it holds"
	is "$(sum $DM/data-snap)" "$sum" "$CELL: the view is what it was"
	isnt "$(sum $DM/data)" "$sum" "$CELL: and the device is not"
	view_clean "$1"
	is "$(sum $DM/data-snap)" "$sum" "$CELL: nor has this changed it"
	tool 0 "$CELL: remove" snapshot remove data
	ok "$CELL: the origin is a clean file system" fsck_n "$1" $DM/data
	cell_end
}
snap_state() { local w; read -r -a w <<< "$(dm_status data)"; echo "${w[3]-}"; }

# The view as it is, but not of xfs: that leaves its log to be replayed when it is
# frozen, with free blocks to be counted anew, for which xfs_repair -n ends with 1 on a
# plain copy, too. And, as files that were open and deleted are still to be cleared, a
# dm-snapshot over it after its recovery.
view_clean() # FS
{
	[[ $1 == xfs ]] || ok "$CELL: fsck -n of the view" fsck_n "$1" $DM/data-snap
	wipe "$COW"
	mk_dm over "0 $LEN snapshot $DM/data-snap $COW N 8"
	ok "$CELL: a writable copy of the view mounts" mount -o "$(copy_opts "$1")" $DM/over $VIEW
	umount $VIEW
	ok "$CELL: and is clean" fsck_n "$1" $DM/over
	dmsetup remove over
}

for fs in ${FOREIGN_FS:-ext4 xfs}; do
	if ! modprobe -q $fs; then
		skip "no $fs in this kernel"
		diag "cell: fsx, fsstress|$fs|not run: no $fs in this kernel|0 s"
		continue
	fi
	for load in ${FOREIGN_LOADS:-fsx fsstress}; do
		plain $fs $load
		mirrored $fs $load background
		mirrored $fs $load write-blocking
		snapshotted $fs $load
	done
done
done_testing

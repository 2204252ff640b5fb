# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# snap-lib.sh - what the tests of qmirrorctl snapshot share; sourced after
# ctl-lib.sh. Members are dm-linear devices over null_blk disks, stores are
# null_blk disks or files under /tmp/st, a file system of its own.

MB=16

# members NAME...: NAME is linear over disk d-NAME; the disks carry random data.
# TABLE[NAME] is the old table.
declare -A TABLE DISK
members()
{
	local n
	for n; do
		DISK[$n]=$(mk_null "d-$n" "$MB") || bail "no disk for $n"
		dd if=/dev/urandom of="${DISK[$n]}" bs=1M count=1 oflag=direct status=none
		LEN=$(dev_size "${DISK[$n]}")
		TABLE[$n]="0 $LEN linear $(stat -c '%Hr:%Lr' "${DISK[$n]}") 0"
		mk_dm "$n" "${TABLE[$n]}"
	done
}
# stores NAME...: disks S[NAME] as large as the members
declare -A S
stores() { local n; for n; do S[$n]=$(mk_null "s-$n" "$MB") || bail "no store"; done; }

# store_fs [MB]: /tmp/st, a file system for stores that are files
store_fs()
{
	STFS=$(mk_null stfs "${1:-64}") && mkfs.ext4 -q -F -O ^has_journal "$STFS" &&
		mkdir -p /tmp/st && mount "$STFS" /tmp/st || bail "no file system for stores"
	at_exit umount /tmp/st
	ST_USED=$(st_used)
}
st_used() { sync -f /tmp/st; df --output=used /tmp/st | tail -1; }
# nothing in the folder, no loop device, no block used
st_clean()
{
	WHY=''
	[[ ! $(find /tmp/st -mindepth 1 ! -name lost+found) ]] || WHY+=" $(ls -A /tmp/st)"
	[[ ! $(losetup -anO NAME) ]] || WHY+=" $(losetup -an)"
	[[ $(st_used) == "$ST_USED" ]] || WHY+=" used: $(st_used), not $ST_USED"
	[[ ! $WHY ]] || { echo "left:$WHY"; return 1; }
}
st_clean_soon() { until_true 5 st_clean; }

# look: what there is, asked three times only; starting dmsetup is dear in the guest
look()
{
	local name rest
	INFO=$(dmsetup info -c --noheadings --separator ' ' -o name,suspended,tables_loaded)
	declare -gA TAB=() STA=()
	while IFS=: read -r name rest; do TAB[$name]=${rest# }; done < <(dmsetup table)
	while IFS=: read -r name rest; do STA[$name]=${rest# }; done < <(dmsetup status --noflush)
	WHY=''
	! grep -q Suspended <<< "$INFO" || WHY+=" suspended: $(grep Suspended <<< "$INFO" | xargs)"
	[[ ! -e /run/qmirrorctl/journal ]] || WHY+=" the journal is there"
}
# no snapshots: each member has its old table, nothing of ours is left
is_as_before()
{
	local n
	for n in "${!TABLE[@]}"; do
		[[ ${TAB[$n]-} == "${TABLE[$n]}" ]] || WHY+=" $n: ${TAB[$n]-}"
		! grep -q "^$n-\(qsrc\|snap\) " <<< "$INFO" || WHY+=" $(grep "^$n-" <<< "$INFO" | xargs)"
	done
	! grep -qv ' Live$' <<< "$INFO" || WHY+=" tables: $(grep -v ' Live$' <<< "$INFO" | xargs)"
	[[ ! $WHY ]]
}
as_before() { look; is_as_before || { echo "not as before:$WHY"; return 1; }; }
# all members armed, with views, nothing suspended
are_all_armed()
{
	local n
	for n in "${!TABLE[@]}"; do
		[[ ${STA[$n]-} == *' cbw armed '* ]] || WHY+=" $n is ${STA[$n]-}"
		[[ ${STA[$n-snap]-} == *' cbw-snapshot live '* ]] || WHY+=" view of $n is ${STA[$n-snap]-}"
		[[ ${TAB[$n-qsrc]-} == "${TABLE[$n]}" ]] || WHY+=" $n-qsrc: ${TAB[$n-qsrc]-}"
	done
	[[ ! $WHY ]]
}
all_armed() { look; are_all_armed || { echo "not armed:$WHY"; return 1; }; }
snap_state() { local w; read -r -a w <<< "$(dm_status "$1" 2>/dev/null)"; [[ ${w[2]-} == cbw ]] && echo "${w[3]}"; }
view_state() { local w; read -r -a w <<< "$(dm_status "$1-snap" 2>/dev/null)"; [[ ${w[2]-} == cbw-snapshot ]] && echo "${w[3]}"; }

# arm_point ARG...: the fault point right after the last device was armed
arm_point()
{
	local n plan
	plan=$("$CTL" snapshot create "$@" --dry-run)
	n=$(grep -n ': arm$' <<< "$plan" | tail -1)
	# one point after the journal, two a step, and one more within that of a file
	echo $((1 + 2 * ${n%%:*} + $(grep -c '(sparse, ' <<< "$plan")))
}

# all members suspended and armed
all_hung()
{
	local n
	look
	(($(grep -c Suspended <<< "$INFO") == ${#TABLE[@]})) || return
	for n in "${!TABLE[@]}"; do
		[[ ${STA[$n]-} == *' cbw armed '* ]] || return
	done
}
# create_hung ARG...: snapshot create stops right after arming, with all members
# suspended: what is on the disks now is what the views have to show.
create_hung()
{
	local p
	p=$(arm_point "$@")
	QMIRROR_FAULT=hang:$p "$FAULTS" snapshot create "$@" > /tmp/hung.out 2>&1 &
	HUNG=$!
	until_true 120 all_hung
}
# it dies; the watchdog only resumes
hung_dies()
{
	kill -KILL "$HUNG"
	wait "$HUNG" 2>/dev/null
	until_true 20 flock -n /run/qmirrorctl/lock true
}
same() { cmp "$1" <(dd if="$2" bs=1M iflag=direct status=none); }

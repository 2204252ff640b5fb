#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What LVM's commands do to a volume that carries a mirror (Documentation/lvm.rst
# has the table). LVM itself says nothing when it loads its own table over ours;
# then kernel log, events, wait and status do, and no data is lost.
# vm: --turns --timeout 600

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

plan_later
volumes
watch_events
# of a volume that is renamed under way, events may know the new name already
LOST="\"BLOCK_JOB_COMPLETED\".*\"slow-\(data\|neu\)\".*$TAKEN"

mirror()
{
	"$CTL" mirror start slow-data $DM/fast-data --force \
		--copy-mode write-blocking --wait > /tmp/ctl.out 2> /tmp/ctl.err ||
		bail "no mirror: $(< /tmp/ctl.err)"
	SUM=$(sum slow-data)
	TOLD=$(told "$LOST")
	dmesg_mark
}

# The mirror goes on: what is written reaches both volumes.
lives()
{
	is "$(job_state slow-data) $(dm_field slow-data synced)" "ready yes" "  the mirror lives"
	dd if=/dev/urandom of=$DM/slow-data bs=64k count=1 seek=5 oflag=direct status=none
	ok "  and mirrors" legs_equal $DM/slow-data-qsrc 0 $DM/fast-data 0 $((SIZE * 2048))
	SUM=$(sum slow-data)
}

# lost NAME TABLE: LVM's table is there, the data too, and we say it. NAME is ''
# when the device is gone.
lost()
{
	[[ ! $1 ]] || is "$(table_of "$1")" "$2" "  the table is LVM's"
	[[ ! $1 ]] || is "$(sum "$1")" "$SUM" "  the data is all there"
	like "$(dmesg_since)" 'qmirror: slow-data: table replaced or removed in state ready: the mirror is lost, the source has everything' "  the log says it"
	ok "  events say it" until_true 10 told_since "$LOST" "$TOLD"
	tool 0 "  status" status
	like "$OUT" '^slow-data-qsrc: orphan: the source of a job that is gone; qmirrorctl remove' "  says what is left"
	tool 0 "  and that can be removed" remove slow-data-qsrc
}

# --- what only looks, or writes metadata, is harmless ---
tool 0 "start" mirror start slow-data $DM/fast-data --force --copy-mode write-blocking --wait
like "$ERR" 'slow-data belongs to LVM, which does not know of the mirror: .*lvm\.rst' "start says what to beware of"
says 0 'Device mismatch detected for slow/data which is accessing .*-qsrc, .* instead of /dev/pvslow' "lvs" lvs -o name,vg_name,attr
like "$OUT" 'data +slow +-wi-XX--X-' "  its columns of kernel state are X"
says 0 'successfully created|changed' "lvchange --addtag" lvchange --addtag x slow/data
says 0 '1 logical volume.* now active' "vgchange -ay" vgchange -ay slow
lives

# --- in use: LVM refuses by itself ---
exec 8< $DM/slow-data
says 5 'Logical volume slow/data in use' "vgchange -an, in use" vgchange -an slow
says 5 'Logical volume slow/data in use' "lvremove, in use" lvremove -y slow/data
exec 8<&-
lives

# --- the target is a volume like any other that is in use ---
says 5 'fast/data is used by another device' "vgchange -an of the target's group" vgchange -an fast
says 5 'fast/data is used by another device' "lvremove of the target" lvremove -y fast/data
says 0 '' "lvchange --refresh of the target" lvchange --refresh fast/data
lives

# --- what loads a table ends the mirror ---
"$CTL" mirror wait slow-data --for concluded 2> /tmp/wait.err &
W=$!
SUM=$(sum slow-data) TOLD=$(told "$LOST")
dmesg_mark
until_true 10 grep -q poll /proc/$W/wchan
says 0 '' "lvchange --refresh" lvchange --refresh slow/data
wait $W
is $? 7 "  who waits for the end is told"
like "$(< /tmp/wait.err)" 'slow-data: the mirror is lost \(ready when last seen\): somebody else' "  and why"
lost slow-data "$ON_PV"

with_sn()
{
	is "$(sum slow-sn)" "$SUM" "  and LVM's snapshot is good"
	tool 4 "a mirror cannot be slid under a volume with LVM's snapshots" mirror start slow-data $DM/fast-data --force
	like "$ERR" 'slow-data has a snapshot-origin table' "  it says why"
}
loads_tables mirror lost with_sn

mirror
says 0 '0 logical volume.* now active' "vgchange -an, not in use" vgchange -an slow
lost ''
vgchange -qq -ay slow > /dev/null 2>&1
is "$(sum slow-data)" "$SUM" "  the data is there when it is active again"

mirror
says 0 'Logical volume "data" successfully removed' "lvremove, not in use" lvremove -y slow/data
lost ''

# --- an end that was asked for is told without an error ---
lv slow data
mirror
tool 0 "cancel" mirror cancel slow-data
ok "  events tell it" until_true 10 eval 'tail -1 /tmp/ev | grep -q "\"status\":\"null\""'
unlike "$(tail -2 /tmp/ev)" '"error"' "  without an error"
end_events

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What LVM's commands do to a volume that has a snapshot (Documentation/lvm.rst
# has the table): when LVM loads its own table over the filter the snapshot is
# lost, its view fails and never shows new data, and kernel log, events and
# status say so. The volume's data is never touched.
# vm: --turns --timeout 600

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

plan_later
volumes
watch_events
LOST="\"JOB_STATUS_CHANGE\".*\"null\".*$TAKEN"

# VIEW is what the view has to show, SUM what the volume holds
snapshot()
{
	VIEW=$(sum slow-data)
	"$CTL" snapshot create slow-data=$DM/fast-data --force > /tmp/ctl.out 2> /tmp/ctl.err ||
		bail "no snapshot: $(< /tmp/ctl.err)"
	dd if=/dev/urandom of=$DM/slow-data bs=64k count=4 seek=3 oflag=direct status=none
	SUM=$(sum slow-data)
	TOLD=$(told "$LOST")
	dmesg_mark
}

lives()
{
	like "$(dm_status slow-data)" 'cbw armed ' "  the snapshot lives"
	is "$(sum slow-data-snap)" "$VIEW" "  its view shows the old data"
	is "$(sum slow-data)" "$SUM" "  the volume has the new"
}

# lost NAME TABLE: NAME is '' when the device is gone
lost()
{
	[[ ! $1 ]] || is "$(table_of "$1")" "$2" "  the table is LVM's"
	[[ ! $1 ]] || is "$(sum "$1")" "$SUM" "  the volume's data is all there"
	fails_with any 'Input/output error' "  the view fails" dd if=$DM/slow-data-snap of=/dev/null bs=64k count=1 iflag=direct
	like "$(dmesg_since)" 'cbw: slow-data: table replaced or removed while armed: the snapshot is lost' "  the log says it"
	ok "  events say it" until_true 10 told_since "$LOST" "$TOLD"
	tool 0 "  status" status
	like "$OUT" '^slow-data-snap: orphan: the view of a snapshot that is gone; qmirrorctl remove' "  says what is left"
	tool 0 "  the view can be removed" remove slow-data-snap
	tool 0 "  and then the source" remove slow-data-qsrc
}

# --- what only looks, and what LVM refuses ---
snapshot
like "$(< /tmp/ctl.err)" 'slow-data belongs to LVM, which does not know of the snapshot: .*lvm\.rst' "create says what to beware of"
says 0 'Device mismatch detected for slow/data which is accessing .*-qsrc, .* instead of /dev/pvslow' "lvs" lvs -o name,vg_name,attr
like "$OUT" 'data +slow +-wi-XX--X-' "  its columns of kernel state are X"
exec 8< $DM/slow-data
says 5 'Logical volume slow/data in use' "vgchange -an, in use" vgchange -an slow
exec 8<&-
says 5 'fast/data is used by another device' "lvremove of the store" lvremove -y fast/data
lives

# --- what loads a table ends the snapshot ---
says 0 '' "lvchange --refresh" lvchange --refresh slow/data
lost slow-data "$ON_PV"

loads_tables snapshot lost

snapshot
says 0 '0 logical volume.* now active' "vgchange -an, not in use" vgchange -an slow
lost ''
vgchange -qq -ay slow > /dev/null 2>&1
is "$(sum slow-data)" "$SUM" "  the data is there when it is active again"

# --- an end that was asked for is told without an error ---
snapshot
tool 0 "remove" snapshot remove slow-data
ok "  events tell it" until_true 10 eval 'tail -1 /tmp/ev | grep -q "\"status\":\"null\""'
unlike "$(tail -2 /tmp/ev)" '"error"' "  without an error"
end_events

done_testing

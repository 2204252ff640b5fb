#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A volume that `mirror complete --force` has put on another disk, behind LVM's
# back (Documentation/lvm.rst): LVM warns in lvs and refuses what is in use, but
# whatever loads the table brings the old data back without a word. What had been
# written is on the new disk then, whole, and comes back by exchanging the volumes.
# vm: --turns --timeout 600

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

plan_later
volumes
ON_NEW="0 $((SIZE * 2048)) linear $(dmsetup info -c --noheadings --separator : -o major,minor fast-data) 0"

# OLD is what the old disk keeps, NEW what was written since
pivot()
{
	"$CTL" mirror start slow-data $DM/fast-data --force --wait > /tmp/ctl.out 2>&1 ||
		bail "no mirror: $(< /tmp/ctl.out)"
	OLD=$(sum slow-data)
	"$CTL" mirror complete slow-data --force > /tmp/ctl.out 2> /tmp/ctl.err ||
		bail "no forced switch: $(< /tmp/ctl.err)"
	dd if=/dev/urandom of=$DM/slow-data bs=64k count=8 seek=9 oflag=direct status=none
	NEW=$(sum slow-data)
}
stays()
{
	is "$(table_of slow-data)" "$ON_NEW" "  it is still on the new disk"
	is "$(sum slow-data)" "$NEW" "  with what was written since"
	tool 0 "  status" status
	like "$OUT" '^slow-data: is on /dev/mapper/fast-data by force, of which LVM does not know' "  says so"
}
# back NAME TABLE: the old data is back, the new is where it was
back()
{
	is "$(table_of "$1")" "$2" "  it is on the old disk again"
	is "$(sum "$1")" "$OLD" "  with the data of the switch"
	is "$(sum fast-data)" "$NEW" "  what was written since is on the new one, whole"
	tool 0 "  status" status
	like "$OUT" "^$1: was put on /dev/mapper/fast-data by force, and has another table since" "  says so"
}

# --- what is refused, and what is said ---
"$CTL" mirror start slow-data $DM/fast-data --force --wait > /dev/null 2>&1
refuses 4 'slow-data belongs to LVM, whose metadata still names the old disk' "complete without --force" mirror complete slow-data
tool 0 "cancel" mirror cancel slow-data
pivot
cp /tmp/ctl.err /tmp/force.err
tool 0 "status --json" status --json
ok "  is valid" valid_json
like "$(json 'd["orphans"][0]["desc"]')" 'is on /dev/mapper/fast-data by force' "  and has it"
like "$(< /tmp/force.err)" "slow-data was moved by force: LVM's metadata still names the old disk, .*lvm\.rst" "with --force it says what to beware of"

# --- what is harmless ---
says 0 'Device mismatch detected for slow/data which is accessing /dev/fast/data instead of /dev/pvslow' "lvs" lvs -o name,vg_name,attr
says 0 'now active' "vgchange -ay" vgchange -ay slow
exec 8< $DM/slow-data
says 5 'Logical volume slow/data in use' "vgchange -an, in use" vgchange -an slow
says 5 'Logical volume slow/data in use' "lvremove, in use" lvremove -y slow/data
exec 8<&-
says 5 'fast/data is used by another device' "vgchange -an of the new group" vgchange -an fast
stays

# --- what brings the old data back; in use or not ---
exec 8< $DM/slow-data
says 0 '' "lvchange --refresh, in use" lvchange --refresh slow/data
back slow-data "$ON_PV"
exec 8<&-

with_sn() { is "$(sum slow-sn)" "$OLD" "  and LVM's snapshot is of the old disk"; }
loads_tables pivot back with_sn

pivot
says 0 '0 logical volume.* now active' "vgchange -an, not in use" vgchange -an slow
vgchange -qq -ay slow > /dev/null 2>&1
back slow-data "$ON_PV"

# --- the way back to what was written: exchange the volumes, as lvm.rst has it ---
pivot
lvchange --refresh slow/data
says 0 'Renamed' "lvrename of the old one" lvrename slow data data_old
is "$(sum fast-data)" "$NEW" "what was written is on the other volume"
says 0 '' "and is LVM's own there: lvchange --refresh" lvchange --refresh fast/data
is "$(sum fast-data)" "$NEW" "  changes nothing"
says 0 'successfully removed' "lvremove of the old one" lvremove -y slow/data_old
tool 0 "status" status
is "$OUT" 'no mirrors, no snapshots' "  has nothing more to say"

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tables of all kinds are slid under, and come back to the letter; 4096-byte
# blocks; a group.
# vm: --turns

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=8
disks
dmsetup remove data
C=$(mk_null c $MB)
T=$(mk_null t 16)
half=$((LEN / 2))

all_copied() { [[ $(dm_field d dirty)/$(dm_field d in_flight) == 0/0 ]]; }

# slides NAME TABLE-LINE...: start, wait, data is the same through it, cancel
slides()
{
	local name=$1 old
	shift
	printf '%s\n' "$@" | dmsetup create d || { fail "$name: cannot be made"; return; }
	dmsetup mknodes
	old=$(table_of d)
	local discards=''
	# what could not discard before need not afterwards
	[[ ${NODISCARD-} ]] || ! blkdiscard -o 0 -l 32768 $DM/d 2>/dev/null || discards=yes
	"$TOOLS/dio" $DM/d w:0:64:g1 w:$((half - 64)):128:g2 > /dev/null
	tool 0 "$name: start" mirror start d "${TGT:-$T}" --force --wait --timeout 30
	is "$(table_of d-qsrc)" "$old" "$name: the old table is in d-qsrc"
	[[ ! $discards ]] || ok "$name: discards still reach it" blkdiscard -o 0 -l 32768 $DM/d
	# in the background a discard makes dirty, and the copy comes after it
	until_true 20 all_copied
	[[ ${NODATA-} ]] || ok "$name: the legs are equal" legs_equal $DM/d-qsrc 0 "${TGT:-$T}" 0 "$(dev_size $DM/d)"
	tool 0 "$name: cancel" mirror cancel d
	is "$(table_of d)" "$old" "$name: it came back"
	dmsetup remove d || fail "$name: it is held"
}

slides linear "0 $LEN linear $A 0"
slides "two lines" "0 $half linear $A 0" "$half $half linear $C 8"
slides striped "0 $LEN striped 2 128 $A 0 $C 0"
modprobe dm-delay && NODISCARD=1 slides delay "0 $LEN delay $A 0 1"
modprobe dm-flakey && slides flakey "0 $LEN flakey $A 0 3600 0"
modprobe dm-zero && slides "with zero" "0 $half linear $A 0" "$half $half zero"
NODATA=1
slides "all zero" "0 $LEN zero"
NODATA=''
if modprobe dm-thin-pool; then
	M=$(mk_null meta 4)
	mk_dm pool "0 $LEN thin-pool $M $A 128 0"
	dmsetup message pool 0 "create_thin 0"
	slides thin "0 $LEN thin $DM/pool 0"
	dmsetup remove pool
else
	skip "no dm-thin-pool"
fi
modprobe -n dm-crypt 2>/dev/null && mk_dm cr "0 $LEN crypt null-ecb - 0 $A 0" 2>/dev/null && {
	refuses 4 'cr has a crypt table.*stack it above' "crypt" mirror start cr "$T" --force
	dmsetup remove cr
}

# --- read-only ---
echo "0 $LEN linear $A 0" | dmsetup create -r ro && dmsetup mknodes
tool 0 "read-only: start" mirror start ro "$T" --force --wait
is "$(blockdev --getro $DM/ro)" 1 "read-only: it still is"
tool 0 "read-only: cancel" mirror cancel ro
is "$(blockdev --getro $DM/ro)" 1 "read-only: and is"
dmsetup remove ro

# --- 4096-byte logical blocks ---
NODISCARD=1
S4=$(mk_null s4 $MB blocksize=4096)
T4=$(mk_null t4 $MB blocksize=4096)
TGT=$T4
slides "4096 on 4096" "0 $LEN linear $S4 0"
TGT=$T
slides "512 under 4096" "0 $LEN linear $S4 0"
mk_dm d "0 $LEN linear $S4 0"
tool 0 "4096: start" mirror start d "$T4" --force --wait
ok "4096: discards still reach it" blkdiscard -o 0 -l 32768 $DM/d
is "$(blockdev --getss $DM/d)" 4096 "4096: the mirror has 4096-byte blocks"
is "$(blockdev --getss $DM/d-qsrc)" 4096 "4096: and so has its source"
tool 0 "4096: complete" mirror complete d
is "$(blockdev --getss $DM/d)" 4096 "4096: and the end"
dmsetup remove d

# --- a group ---
mk_dm g1 "0 8192 linear $A 0"
mk_dm g2 "0 8192 linear $C 0"
mk_dm t1 "0 8192 linear $T 0"
mk_dm t2 "0 8192 linear $T 8192"
tool 0 "group: start one" mirror start g1 t1 --force
tool 0 "group: start two" mirror start g2 t2 --force --speed 1M
refuses 4 'g1 is named twice' "group: twice" mirror complete g1 $DM/g1 --group --wait
tool 0 "group: full speed" mirror set g2 speed=0
tool 0 "group: complete both" mirror complete g1 g2 --group --wait --timeout 60
like "$(table_of g1)$(table_of g2)" ' linear .* linear ' "group: both moved"
tool 0 "status" status
is "$OUT" "no mirrors, no snapshots" "nothing is left"
dmsetup remove g1 g2
dmsetup remove t1 t2

done_testing

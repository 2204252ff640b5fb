#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Table lines and messages: what is accepted is printed, what is malformed is
# refused with one sentence that names it and changes nothing; devices that do
# not fit; who else uses them; the two targets' lines over each other.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
snap_legs $((64 * CL))
raw_disk nullsmall 2048 > /dev/null
raw_disk null4k $((64 * CL)) blocksize=4096 > /dev/null
dm_make other "0 $LEN linear ${RAW[src]} 0"

# refused DESC REGEX TABLE: load fails, the kernel says why, nothing is made
refused()
{
	log_mark
	if "$TOOLS/dmq" create x "$3" > /dev/null 2>&1; then
		fail "$1"
		diag "was accepted: $3"
		dm_remove x
		return
	fi
	"$TOOLS/dmq" remove x > /dev/null 2>&1
	t_like "$(log_new)" "$2" "$1"
}
C="0 $LEN cbw"
SS="$DM/src 0 $DM/store 0"

refused "no words" 'are required' "$C"
refused "three words" 'are required' "$C $DM/src 0 $DM/store"
refused "no such source" 'Cannot open the source' "$C $DM/nosuch 0 $DM/store 0"
refused "no such store" 'Cannot open the store' "$C $DM/src 0 $DM/nosuch 0"
refused "source offset no number" 'Invalid source offset: "x"' "$C $DM/src x $DM/store 0"
refused "store offset negative" 'Invalid store offset: "-8"' "$C $DM/src 0 $DM/store -8"
refused "store offset huge" 'Invalid store offset' "$C $DM/src 0 $DM/store 99999999999999999999"
refused "source too small" 'Source is smaller' "$C $DM/src 8 $DM/store 0"
refused "store too small" 'Store is smaller' "$C $DM/src 0 /dev/nullsmall 0"
refused "store too small with its offset" 'Store is smaller' "$C $DM/src 0 $DM/store 8"
refused "source is store" 'overlap' "$C $DM/src 0 $DM/src 0"
refused "larger blocks in the store" 'larger logical blocks' "$C $DM/src 0 /dev/null4k 0"
refused "length not of whole blocks" 'not a multiple' "0 $((LEN - 1)) cbw /dev/null4k 0 $DM/store 0"
refused "wrong number of arguments" 'Number of arguments is wrong: "2"' "$C $SS 2 idle"
refused "number is no number" 'Number of arguments is wrong: "x"' "$C $SS x idle"
refused "too few words" 'Number of arguments is wrong' "$C $SS 3 cluster_size 128"
refused "unknown argument" 'Unknown argument: "fast"' "$C $SS 1 fast"
refused "argument twice" 'given twice: "idle"' "$C $SS 2 idle idle"
refused "value missing" 'cluster_size must be' "$C $SS 1 cluster_size"
for v in 0 4 7 100 129 131073 262144 -8 8x '' 1k; do
	[[ $v ]] && refused "cluster_size $v" "cluster_size must be a power of two, 8 to 131072: \"$v\"" "$C $SS 2 cluster_size $v"
done
refused "policy unknown" 'on_cbw_error must be break-guest-write or break-snapshot: "stop"' "$C $SS 2 on_cbw_error stop"
refused "policy in capitals" 'on_cbw_error must be' "$C $SS 2 on_cbw_error Break-Snapshot"
refused "timeout no number" 'cbw_timeout must be' "$C $SS 2 cbw_timeout 1s"
refused "timeout negative" 'cbw_timeout must be' "$C $SS 2 cbw_timeout -1"
refused "timeout too large" 'cbw_timeout must be' "$C $SS 2 cbw_timeout 4294967296"
refused "not alone in its table" 'singleton|alone|single' "0 128 cbw $DM/src 0 $DM/store 0
128 128 linear $DM/src 128"
blockdev --setro /dev/nullsmall
refused "a read-only store" 'read-only|Cannot open the store' "0 2048 cbw $DM/src 0 /dev/nullsmall 0"
blockdev --setrw /dev/nullsmall
V="0 $LEN cbw-snapshot"
refused "a view without filter" 'No cbw has this store' "$V $SS"
refused "a view with too few words" 'are required' "$V $DM/src 0 $DM/store"
refused "a view with too many" 'and no more' "$V $SS 1 idle"

# --- what is accepted -----------------------------------------------------------------

for args in "" "cluster_size 8" "cluster_size 131072" "cbw_timeout 0 on_cbw_error break-snapshot" \
	    "idle" "idle cbw_timeout 2147483647 cluster_size 16 on_cbw_error break-guest-write"; do
	# shellcheck disable=SC2086
	t_ok "args '$args'" filter $args
	t1=$(table_m f)
	dm_remove f
	t_ok "args '$args': what the table says" dm_make f "$t1"
	t_is "$(table_m f)" "$t1" "args '$args': comes out as it went in"
	dm_remove f
done
t_ok "a larger store, with offsets" dm_make f "0 2048 cbw $DM/src 8 $DM/store 16 2 cluster_size 8"
fill $DM/src 1
dio $DM/f w:0:8:g2 > /dev/null
t_is "$(dio -o 8 $DM/store r:16:8 | cut -d' ' -f2) $(dio -o 0 $DM/store r:16:8:g1 2>&1 | cut -d' ' -f2)" "ok EILSEQ" "cluster 0 is at the store's offset"
t_ok "with what was on the source" bash -c "cmp <(dd if=${RAW[store]} bs=512 skip=16 count=8 iflag=direct status=none) <($TOOLS/dio -o 0 /dev/nullsmall w:8:8:g1 > /dev/null; dd if=/dev/nullsmall bs=512 skip=8 count=8 iflag=direct status=none)"

# --- who else uses them ----------------------------------------------------------------

refused "the store of a live cbw" 'in use by another mirror or snapshot' "0 2048 cbw $DM/other 4096 $DM/store 16"
refused "a range of it" 'in use by another mirror or snapshot' "0 8 cbw $DM/other 4096 $DM/store 2056"
need_modules dm-qmirror
refused "the store as a mirror's target" 'in use by another mirror or snapshot' "0 2048 qmirror $DM/other 4096 $DM/store 0"
refused "the source as a mirror's target" 'in use by another mirror or snapshot' "0 2048 qmirror $DM/other 4096 $DM/src 0"
refused "a view of another length" 'another source, offset or length' "0 1024 cbw-snapshot $DM/src 8 $DM/store 16"
refused "a view of another source" 'another source, offset or length' "0 2048 cbw-snapshot $DM/other 8 $DM/store 16"
t_ok "other sectors of the store are free" dm_make y "0 1024 cbw $DM/other 5120 $DM/store 4096"
dm_remove y
t_ok "a view that stands on itself is refused" bash -c "! '$TOOLS/dmq' load f '0 2048 cbw-snapshot $DM/f 0 $DM/store 16' 2>/dev/null"

# --- lines over each other ----------------------------------------------------------------

log_mark
t_ok "a mirror's line over an armed snapshot is refused" bash -c "! '$TOOLS/dmq' load f '0 2048 qmirror $DM/src 8 $DM/store 16' 2>/dev/null"
t_like "$(log_new)" 'is not over' "with the reason"
t_ok "another cluster size is" bash -c "! '$TOOLS/dmq' load f '0 2048 cbw $DM/src 8 $DM/store 16 2 cluster_size 16' 2>/dev/null"
t_ok "another length is" bash -c "! '$TOOLS/dmq' load f '0 1024 cbw $DM/src 8 $DM/store 16 2 cluster_size 8' 2>/dev/null"
t_is "$(field state)" armed "nothing changed"
t_msg "idle" ok disarm
t_ok "then another cluster size loads" dm_swap f "0 2048 cbw $DM/src 8 $DM/store 16 2 cluster_size 16"
t_is "$(field state) $(field clusters)" "armed 128" "and is a new snapshot"
msg disarm
t_ok "and a mirror's line" dm_swap f "0 2048 qmirror $DM/src 8 $DM/store 16 4 sync none copy_mode write-blocking"
log_mark
t_ok "over which a cbw's is refused" bash -c "! '$TOOLS/dmq' load f '0 2048 cbw $DM/src 8 $DM/store 16' 2>/dev/null"
t_like "$(log_new)" 'is not over' "with the reason"
dm_remove f

# --- messages ----------------------------------------------------------------------------

filter
armed_told
for bad in "foo" "arm now" "disarm all" "Arm" "arm arm" "protect" "release"; do
	log_mark
	# shellcheck disable=SC2086
	t_msg "message '$bad'" EINVAL $bad
	t_is "$(log_new | grep -c 'cbw: f: ')" 1 "message '$bad': one line in the log"
done
t_is "$(field state)" armed "nothing changed"
dm_remove f
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The life of a snapshot by hand: armed by the first resume or by message, what
# the view shows while the guest writes, zeroes and discards, what is copied and
# what is not, disarm, the next arming, and which arming a view shows.
#
# Guards invariants 5, 6 and 9; C-8, C-10, C-11, C-21, K-42.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
snap_legs $((64 * CL + 1))	# the last cluster has one sector
fill $DM/src 1

# --- armed by the first resume ---------------------------------------------------

t_ok "a filter" filter
st
t_is "${S[state]} ${S[copied]}/${S[clusters]} ${S[inflight]} ${S[error]} ${S[failed]}" \
	"armed 0/65 0 - 0" "is armed by its first resume"
t_is "${S[nargs]} ${S[args]}" "6 cluster_size 128 on_cbw_error break-guest-write cbw_timeout 0" "its args"
t_ok "a view" view
t_is "$(view_st)" "live -" "is live"
t_is "$(blockdev --getsz $DM/v)" "$LEN" "and as long as the device"
t_vio "which shows the source" "ok ok" r:0:2048:g1 r:$((LEN - 1)):1:g1

mark store
mark src
t_io "a write of 8 sectors" "ok" w:128:8:g2
t_is "$(since store wsec) $(since src rsec) $(since src wsec)" "128 128 8" "copies its cluster first"
t_io "again, in the same cluster" "ok" w:140:8:g3
t_is "$(since store wsec)" 128 "and copies nothing more"
t_io "the guest reads its own" "ok ok ok" r:128:8:g2 r:140:8:g3 r:0:128:g1
t_vio "the view shows what was" "ok ok" r:0:128:g1 r:128:128:g1
t_vio "also in one read over saved and unsaved clusters" "ok" r:0:1024:g1
t_is "$(field copied)" 1 "one is copied"

mark store
t_io "a write over 8 clusters" "ok" w:1024:1024:g4
t_is "$(since store wio) $(since store wsec)" "1 1024" "is one copy in one I/O"
mark store
t_io "a write over two clusters, one saved" "ok" w:2040:16:g5
t_is "$(since store wsec)" 128 "copies only the other"
mark store
t_io "the last, partial cluster" "ok" w:$((LEN - 1)):1:g6
t_is "$(since store wsec)" 1 "is copied to its end"
t_vio "the view still shows what was" "ok ok ok" r:1024:1024:g1 r:2040:16:g1 r:$((LEN - 1)):1:g1

# --- discards and zeroes -----------------------------------------------------------

mark store
mark src
t_io "a discard over saved and unsaved clusters" "ok" d:896:1408
# 896..1024 unsaved, 1024..2176 saved, 2176..2304 unsaved
t_is "$(since store wsec) $(since src dsec)" "0 1152" "copies nothing and passes where it is saved"
t_vio "and the view still shows what was" "ok ok ok" r:896:128:g1 r:1024:1024:g1 r:2048:256:g1
t_io "and the guest's unsaved data are still there" "ok ok" r:896:128:g1 r:2176:128:g1
mark store
t_io "zeroes copy first" "ok" z:4096:200
t_is "$(since store wsec)" 256 "both clusters"
t_vio "which the view shows" "ok" r:4096:256:g1
t_io "while the guest reads zeroes" "ok" r:4096:200:x00
t_is "$(queue f write_zeroes_max_bytes)" "$(($(queue src write_zeroes_max_bytes) ? 1048576 : 0))" \
	"zeroes are limited to a MiB"
for a in max_sectors_kb max_hw_sectors_kb discard_max_bytes discard_granularity logical_block_size \
	 physical_block_size minimum_io_size optimal_io_size max_segments; do
	t_is "$(queue f $a)" "$(queue src $a)" "$a is the source's"
done
t_io "flush and FUA" "ok ok" f W:0:8:g7
t_vio "copied as well" ok r:0:128:g1
t_io "a write without waiting to an unsaved cluster" EAGAIN N:6000:8:g8
t_io "and to a saved one" ok N:128:8:g8

# --- writes to the view ------------------------------------------------------------

t_vio "writes to the view fail" "EIO" w:0:8:g9
t_vio "and change nothing" "ok" r:0:128:g1

# --- what reload and suspend change ------------------------------------------------

t_msg "arm without suspend is refused" EBUSY arm
dm_suspend f
t_msg "arm while armed is refused" EBUSY arm
dm_resume f
n=$(field copied)
t_ok "the same line again" dm_swap f "$(cbw_line on_cbw_error break-snapshot cbw_timeout 5000)"
t_is "$(field state) $(field copied) $(field args)" \
	"armed $n cluster_size 128 on_cbw_error break-snapshot cbw_timeout 5000" \
	"joins: all stays but the args"
t_is "$(table_m f | cut -d' ' -f8-)" "6 cluster_size 128 on_cbw_error break-snapshot cbw_timeout 5000" "and the table says so"
t_is "$(view_st)" "live -" "the view is live"
t_vio "and unchanged" "ok" r:0:2048:g1
t_ok "another line is refused" bash -c "! '$TOOLS/dmq' load f '$(cbw_line cluster_size 64)' 2>/dev/null"
t_is "$(field state)" armed "and changes nothing"
dm_suspend v
dm_resume v
t_vio "a view suspended and resumed shows the same" "ok" r:0:2048:g1

# --- disarm, arm -------------------------------------------------------------------

ev=$(events f) vev=$(events v)
t_msg "disarm" ok disarm
t_wait "is seen" '^idle 0/65 0 - 0 '
t_is "$(view_st)" "ended -" "the view has ended"
t_vio "and cannot be read, neither what was saved" "EIO EIO" r:128:8 r:5000:8
until_true 5 test "$(events f)" != "$ev"
t_ok "with an event on the filter" until_true 5 eval '(($(events f) > ev))'
t_ok "and on the view" until_true 5 eval '(($(events v) > vev))'
t_msg "disarm again" ok disarm
mark store
t_io "writes copy nothing" "ok" w:3000:8:g10
t_is "$(since store wsec)" 0 "indeed"
view v2
t_is "$(view_st v2)" "ended -" "a view of an idle filter"
t_is "$(dio $DM/v2 r:0:8 | cut -d' ' -f2)" EIO "has nothing to show"
fill $DM/f 11
t_ok "arm once more" arm
t_is "$(field state) $(field copied)" "armed 0" "starts afresh"
t_is "$(view_st v2) $(view_st v)" "live - ended -" "the waiting view is live, the old one is not"
t_io "a write" ok w:0:8:g12
t_is "$(dio $DM/v2 r:0:2048:g11 | cut -d' ' -f2)" ok "the view shows the new moment"
t_vio "the old one nothing" EIO r:0:8
t_ok "the old one's table, loaded again" dm_swap v "$(view_line)"
t_is "$(view_st)" "live -" "is live"
t_vio "and shows the new moment" ok r:0:128:g11

# --- idle, and after the filter is gone --------------------------------------------

dm_remove v2
dm_swap f "0 $LEN linear $DM/src 0"
t_is "$(view_st)" "ended -" "with another table on the device the view has ended"
t_vio "and never falls back to the source" "EIO EIO" r:0:8 r:5000:8
dm_remove v
dm_remove f
t_ok "an idle filter" filter idle
t_is "$(field state)" idle "is idle"
t_is "$(table_m f | cut -d' ' -f8-)" "7 cluster_size 128 on_cbw_error break-guest-write cbw_timeout 0 idle" "and its table says so"
t_ok "its view" view
t_ok "armed" arm
t_is "$(view_st)" "live -" "shows that"
t_ok "the filter goes first" dm_remove f
t_is "$(view_st)" "ended -" "then the view has ended"
t_vio "and fails" EIO r:0:8
t_ok "the view goes" dm_remove v

# --- gone as soon as it is armed: the log has both, in order -----------------------

GONE='^cbw: f: armed\|cbw: f: table replaced or removed while armed: the snapshot is lost\|$'
f_said() { dmesg_since | grep -o 'cbw: f: .*' | tr '\n' '|'; }
dmesg_mark
filter && dm_remove f
t_like "$(f_said)" "$GONE" "removed at once it has been armed, and is lost"
dmesg_mark
filter && view && dm_swap f "0 $LEN linear $DM/src 0"
t_like "$(f_said)" "$GONE" "replaced at once, too"
dm_remove v
dm_remove f

finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# release and protect: what the reader is done with, and what was never wanted.
# Rounding, spans that are partly accessible, writes and reads that race, and
# what of it outlives disarm.
#
# Guards invariant 6; C-31 ... C-35, K-43, T-182, T-184, T-185.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
need_modules dm-delay
snap_legs $((64 * CL + 8))
fill $DM/src 1
filter
view

# --- release ------------------------------------------------------------------------

t_io "two clusters are saved" ok w:$((2 * CL)):$((2 * CL)):g2
mark store
t_msg "less than a cluster: rounded inwards, nothing" ok release $((2 * CL + 8)) $((CL - 8))
t_vio "and still readable" ok r:$((2 * CL)):$((2 * CL)):g1
t_msg "over two clusters, one of them whole" ok release $((2 * CL - 8)) $((CL + 16))
t_vio "the whole one fails, the others do not" "EIO ok ok" r:$((2 * CL)):8 r:$((CL)):$CL:g1 r:$((3 * CL)):$CL:g1
t_vio "a read over accessible and released clusters fails" EIO r:$((CL)):$((3 * CL))
t_is "$(field copied)" 1 "one is left in the store"
t_ok "the other's space is given back" until_true 5 eval "((\$(since store dsec) == $CL))"
mark store
t_io "writes there copy nothing" "ok ok" w:$((2 * CL)):8:g3 w:$((2 * CL + 16)):8:g3
t_is "$(since store wsec)" 0 "indeed"
t_msg "an unsaved one" ok release $((10 * CL)) $CL
t_io "a write there copies nothing" ok w:$((10 * CL)):$CL:g3
t_is "$(since store wsec)" 0 "indeed"
mark src
t_io "a discard over a released cluster passes there" ok d:$((9 * CL)):$((3 * CL))
t_is "$(since src dsec)" $CL "only there"
t_msg "the last, partial cluster" ok release $((64 * CL)) 8
t_vio "is released when covered to its end" EIO r:$((64 * CL)):8
t_msg "several ranges" ok release $((20 * CL)) $CL $((22 * CL)) $CL
t_vio "each" "EIO ok EIO" r:$((20 * CL)):8 r:$((21 * CL)):8:g1 r:$((22 * CL)):8
t_msg "again" ok release $((20 * CL)) $CL

# nothing of a bad message happens
for bad in "" "$((30 * CL))" "$((30 * CL)) 0" "$((30 * CL)) $CL $((31 * CL))" "$((30 * CL)) $LEN" "x 128" \
	   "$((30 * CL)) $CL $LEN 8" "-1 8" "$((30 * CL)) 1x"; do
	# shellcheck disable=SC2086
	t_msg "release '$bad'" EINVAL release $bad
done
t_vio "changed nothing" ok r:$((30 * CL)):$CL:g1
t_msg "protect while armed" EBUSY protect all

# a write that waits for a copy of what is being released
dm_suspend store --noflush
dio $DM/f w:$((40 * CL)):8:g4 > /tmp/write.out 2>&1 & w=$!
t_wait "a copy hangs" '^armed [0-9]+/65 1 '
t_msg "its cluster is released" ok release $((40 * CL)) $CL
t_ok "its write goes on" in_time 5 $w
t_like "$(< /tmp/write.out)" ' ok ' "and succeeds"
n=$(field copied)
mark store
dm_resume store
t_wait "the copy ends" '^armed [0-9]+/65 0 '
t_is "$(field copied)" "$n" "and counts for nothing"
t_ok "its space is given back" until_true 5 eval "((\$(since store dsec) == $CL))"
t_vio "and cannot be read" EIO r:$((40 * CL)):8

# a read in flight of what is being released; it goes on when the table does
dm_swap src "0 $LEN delay ${RAW[src]} 0 600000 ${RAW[src]} 0 0"
dio $DM/v r:$((50 * CL)):8 > /tmp/read.out 2>&1 & r=$!
sleep 0.1
msg release $((50 * CL)) $CL
t_io "a write to it passes at once" ok w:$((50 * CL)):8:g5
t_ok "while the read is in flight" kill -0 $r
dm_swap src "0 $LEN linear ${RAW[src]} 0" --noflush
wait $r
t_like "$(< /tmp/read.out)" ' EIO ' "which fails, and returns no new data"

# --- what outlives disarm -------------------------------------------------------------

t_msg "disarm" ok disarm
t_msg "release with nothing armed" ok release 0 $CL
fill $DM/f 6
t_ok "arm" arm
dm_swap v "$(view_line)"
t_vio "what was released is whole again" "ok ok" r:0:4096:g6 r:4096:$((LEN - 4096)):g6
t_io "and copied again" ok w:$((2 * CL)):8:g7
t_is "$(field copied)" 1 "indeed"
t_vio "and readable" ok r:$((2 * CL)):$CL:g6

# --- release on a broken snapshot -------------------------------------------------------

dm_swap f "$(cbw_line on_cbw_error break-snapshot)"
dm_swap store "0 $LEN error"
t_io "broken" ok w:$((5 * CL)):8:g7
dm_swap store "0 $LEN linear ${RAW[store]} 0" --noflush
t_is "$(field state)" broken "it is"
mark store
t_msg "release works" ok release 0 $((8 * CL))
t_ok "and gives the space back" until_true 5 eval "((\$(since store dsec) >= $CL))"
t_msg "disarm" ok disarm

# --- protect ------------------------------------------------------------------------------

for bad in "" "some" "0" "0 0" "0 8 8" "0 $((LEN + 1))" "all none"; do
	# shellcheck disable=SC2086
	t_msg "protect '$bad'" EINVAL protect $bad
done
t_msg "nothing" ok protect none
t_msg "but one sector of cluster 3, and clusters 5 and 6" ok protect $((3 * CL + 7)) 1 $((5 * CL)) $((2 * CL))
t_msg "and more" ok protect $((7 * CL + CL - 1)) 2
fill $DM/f 8
t_ok "arm" arm
dm_swap v "$(view_line)"
t_vio "ranges round outwards and add up" "EIO ok EIO ok EIO" r:0:8 r:$((3 * CL)):$CL:g8 r:$((4 * CL)):8 \
	r:$((5 * CL)):$((4 * CL)):g8 r:$((9 * CL)):8
mark store
t_io "writes copy what is protected" ok w:$((2 * CL)):$((8 * CL)):g9
t_is "$(since store wsec)" $((5 * CL)) "and no more"
t_is "$(field copied)" 5 "five"
t_vio "the view shows it" "ok ok EIO" r:$((3 * CL)):$CL:g8 r:$((5 * CL)):$((4 * CL)):g8 r:$((4 * CL)):8
mark src
t_io "a discard passes where nothing is protected" ok d:$((10 * CL)):$((20 * CL))
t_is "$(since src dsec)" $((20 * CL)) "all of it"
t_msg "disarm" ok disarm
t_ok "arm" arm
dm_swap v "$(view_line)"
t_vio "the bitmap is kept" "EIO ok" r:0:8 r:$((3 * CL)):8:g9
msg disarm
t_msg "protect all" ok protect all
t_ok "arm" arm
dm_swap v "$(view_line)"
t_vio "all is protected" "ok" r:0:8:g8
unsnap
finish

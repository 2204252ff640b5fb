#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What copies may use, and what a flush reaches: at most 64 copies and 4 MiB are
# in flight whatever the guest sends; who finds nothing free waits for its turn, in
# order, and gets it; nothing but the source is flushed. And a discard of the whole
# device, which copies nothing and waits for nothing, even over a store that hangs.
#
# Guards invariant 7; C-15, C-42, K-48, K-49, K-52.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
snap_legs $((256 * CL)) cache_size=4

# ops COUNT STEP: writes of 8 sectors, one each STEP sectors
ops() { local i; for ((i = 0; i < $1; i++)); do echo "w:$((i * $2)):8:g2"; done; }
open_fds() { ulimit -n 4096; }
open_fds

# cluster size, how many writes, how many clusters are in flight
for row in "8 200 64" "128 200 64" "256 100 32" "2048 12 4" "4096 6 4"; do
	read -r cl n most <<< "$row"
	s="cluster $cl"
	fill $DM/src 1
	filter cluster_size "$cl"
	view
	dm_suspend store --noflush
	# shellcheck disable=SC2046
	dio -p $DM/f $(ops "$n" "$cl") > /tmp/write.out 2>&1 & w=$!
	t_wait "$s: as many copies as there may be" "^armed 0/[0-9]+ $most - 0 "
	t_ok "$s: all the others wait" kill -0 $w
	t_io "$s: reads do not" ok r:0:8:g1
	mark src
	t_io "$s: nor does a discard of everything" ok d:0:$LEN
	t_is "$(since src dsec) $(field inflight)" "0 $most" "$s: which does nothing while nothing is saved"
	dm_resume store
	t_ok "$s: all get their turn" in_time 30 $w
	t_is "$(cut -d' ' -f2 /tmp/write.out | sort | uniq -c | xargs)" "$n ok" "$s: and succeed"
	t_is "$(field copied) $(field inflight)" "$n 0" "$s: one copy each"
	t_vio "$s: the view is whole" "ok ok" r:0:4096:g1 r:$((LEN - 4096)):4096:g1
	unsnap
done

# One bio over alternately saved and unsaved clusters: a copy a run, at once.
fill $DM/src 1
filter cluster_size 16
view
# shellcheck disable=SC2046
dio $DM/f $(for ((i = 0; i < 16; i++)); do echo "w:$((i * 32)):8:g2"; done) > /dev/null
dm_suspend store --noflush
dio $DM/f w:0:512:g3 > /tmp/write.out 2>&1 & w=$!
t_wait "holes: all its runs are copied at the same time" '^armed 16/2048 16 - 0 '
mark store
dm_resume store
t_ok "holes: the write ends" in_time 20 $w
t_is "$(since store wsec)" 256 "holes: only what was missing is copied"
t_vio "holes: the view is whole" ok r:0:1024:g1

# --- flush ------------------------------------------------------------------------

# Of the disks themselves: dm counts no flushes.
SYS[nullsrc]=nullsrc SYS[nullstore]=nullstore
mark nullsrc
mark nullstore
t_io "flushes and FUA, to saved and unsaved clusters" "ok ok ok" f W:0:8:g4 W:8192:8:g4
t_between "reach the source" "$(since nullsrc fio)" 1 9
t_is "$(since nullstore fio)" 0 "and not the store"
unsnap
finish

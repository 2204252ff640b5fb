#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Another table takes the filter's place: from its resume on the guest's writes
# bypass us, while the old table's destructor may still wait for the registry
# (here for a constructor that makes large bitmaps). The view must not show what
# is written meanwhile.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
snap_legs $((64 * CL))
BIG=$((1 << 34))
dm_make big1 "0 $BIG zero"
dm_make big2 "0 $BIG zero"
dmsetup create g --notable
fill $DM/src 1
filter
view
t_io "a first write" ok w:0:8:g2
( while [[ ! -e /tmp/stop ]]; do
	"$TOOLS/dmq" load g "0 $BIG cbw $DM/big1 0 $DM/big2 0 2 cluster_size 8" > /tmp/load.out 2>&1
	dmsetup clear g
  done ) & loader=$!
dm_load f "0 $LEN linear $DM/src 0"
dmsetup resume f & resumer=$!
until [[ $(dmsetup table f) == *linear* ]]; do :; done
for ((c = 10; c < 40; c++)); do
	dio $DM/f w:$((c * CL)):8:g9 > /dev/null
	dio $DM/v r:$((c * CL)):8:g1 >> /tmp/v.out 2>&1
done
touch /tmp/stop
wait $resumer $loader
diag "$(cut -d' ' -f2- /tmp/v.out | sort | uniq -c | head -20)"
diag "$(< /tmp/load.out)"
t_ok "no read of the view shows what another table wrote" bash -c "! grep -v EIO /tmp/v.out"
dmsetup remove g
unsnap
finish

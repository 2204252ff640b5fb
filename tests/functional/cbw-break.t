#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A write breaks the snapshot and then cannot be submitted at once: its first part
# is on the source, the second has to wait for a tag of another disk. A view shows
# none of it at any time: the snapshot is over before the write is let go.
#
# Guards invariant 6; C-7.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
LEN=$((64 * CL)) AT=$((10 * CL))
HALF=$((AT + CL / 2))
X=$(raw_disk nullx $HALF) && store=$(raw_disk nullstore $LEN) || bail "no null_blk"
# one request at a time, a second each
Y=$(raw_disk nully $LEN hw_queue_depth=1 submit_queues=1 irqmode=2 completion_nsec=1000000000) ||
	bail "no slow null_blk"
dm_make src "0 $HALF linear $X 0
$HALF $((LEN - HALF)) linear $Y 0"
dm_make store "0 $LEN linear $store 0"

dio $DM/src w:$AT:$CL:g1 > /tmp/dio.out || bail "no first write"
filter on_cbw_error break-snapshot
view
t_vio "the view has what was there" ok r:$AT:$((CL / 2)):g1
dm_swap store "0 $LEN error" --noflush

dio $DM/f w:$AT:$CL:g2 > /tmp/write.out 2>&1 & w=$!
t_wait "its copy is in flight" '^armed 0/64 1 ' 20
# they wait for the one tag of the second disk, before the write does
dio -p "$Y" r:0:8 r:8:8 r:16:8 r:24:8 r:32:8 > /tmp/busy.out & busy=$!

early=0 results=''
while kill -0 $w 2> /dev/null; do
	r=$(dio $DM/v r:$AT:8:g1 2>&1 | cut -d' ' -f2)
	new=$(dio $DM/src r:$AT:8:g2 > /tmp/new.out 2>&1 && echo y)
	results+="$r"$'\n'
	# on the disk already, while the write is still waiting
	[[ ! $new ]] || ! kill -0 $w 2> /dev/null || ((++early))
done
wait $w
t_is $? 0 "the write ends well"
t_is "$(sort -u <<< "${results%$'\n'}" | xargs)" "EIO ok" "a read of the view is the old data or fails, never the new"
t_between "the first part was on the source while the write waited, so often" $early 1 100000
t_is "$(field state)" broken "the snapshot is broken"
wait $busy
unsnap

done_testing

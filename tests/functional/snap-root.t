#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The root file system is on a member of the group: the tool, its libraries, its
# folder in /run and the shell are on the very device that is suspended, with
# nothing of them cached before. It gets through; and when it is killed with its
# root suspended, the watchdog, which has the same root, puts it right.
# vm: --timeout 300

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=64
members root data
stores root data
R=/tmp/newroot
mkfs.ext4 -q -F $DM/root && mkdir -p $R && mount $DM/root $R || bail "no root"
at_exit umount -R -l $R
mkdir -p $R/{bin,dev,proc,sys,run,tmp,var}
# everything that the tool and a shell need, and no more
copy()
{
	local program f
	for program; do
		for f in "$program" $(ldd "$program" | grep -o '/[^ ]*'); do
			mkdir -p "$R$(dirname "$f")"
			cp -L "$f" "$R$f"
		done
	done
}
copy /bin/bash /bin/sync /bin/sleep "$CTL" "$FAULTS" "$TOOLS/dio" 2> /tmp/copy.err
for fs in dev proc sys; do mount --rbind /$fs $R/$fs; done
: > $R/var/log

in_root() { chroot $R /bin/bash -c "$1" > /tmp/ctl.out 2>&1; }
# what is not cached has to be read from the device, or is locked in memory
cold() { sync -f $R; echo 3 > /proc/sys/vm/drop_caches; }
# a writer on the root's own file system
chroot $R /bin/bash -c 'n=0; while echo $((n++)) > /var/log && sync -f /var/log; do :; done' &
W=$!
at_exit kill $W
locked() { ! flock -n $R/run/qmirrorctl/lock true; }
free() { ! locked; }
fresh() { local was; was=$(< $R/var/log); until_true 20 eval '[[ $(< '$R'/var/log) != "'"$was"'" ]]'; }

GROUP="root=${S[root]} data=${S[data]}"
cold
ok "create, with the root's own device" in_root "$CTL snapshot create $GROUP --force"
like "$(< /tmp/ctl.out)" 'root: snapshot armed.*consistency: filesystem' "its file system was frozen"
ok "all have their snapshot" all_armed
ok "writes to it go on" fresh
mkdir -p /tmp/view && mount -o ro $DM/root-snap /tmp/view
ok "its view is the root of that instant" cmp "/tmp/view$CTL" "$CTL"
ok "with the journal in it, as it has to be" test -s /tmp/view/run/qmirrorctl/journal
umount /tmp/view
ok "a clean file system" fsck.ext4 -fn $DM/root-snap
cold
ok "remove" in_root "$CTL snapshot remove root data"
ok "all is as before" as_before

# --- killed with the root suspended: before the last arm, and after ---
P=$(arm_point $GROUP)
for at in before after; do
	k=$((P - 3))
	[[ $at == before ]] || k=$P
	cold
	chroot $R /bin/bash -c "QMIRROR_FAULT=hang:$k exec $FAULTS snapshot create $GROUP --force" > /tmp/hung.out 2>&1 &
	H=$!
	# All are suspended before the first is armed, too: that is not yet "after".
	if [[ $at == before ]]; then
		ok "$at the arming: all are suspended" until_true 30 eval '[[ $(suspended | wc -l) == 2 ]]'
	else
		ok "$at the arming: all are suspended and armed" until_true 30 all_hung
	fi
	echo 1 > /proc/sys/vm/drop_caches
	kill -KILL $H
	wait $H 2> /dev/null
	ok "$at: the watchdog, with the same root, lets it go" until_true 30 eval '[[ ! $(suspended) ]]'
	ok "$at: the lock is free" until_true 30 free
	if [[ $at == before ]]; then
		ok "$at: all is as before" as_before
	else
		ok "$at: all have their snapshot" all_armed
	fi
	ok "$at: no journal is left" test ! -e $R/run/qmirrorctl/journal
	ok "$at: writes to it go on" fresh
done
ok "remove" in_root "$CTL snapshot remove root data"
ok "all is as before" as_before
ok "the writer found no error" kill -0 $W
kill $W
wait $W 2> /dev/null
cleanups=("${cleanups[0]}")

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# mirror complete --group and cancel --group with a writer that stamps the three
# members one after the other, so that no member may be ahead of an earlier one.
# All members end at one instant: after complete the old disks are of one, after
# cancel the targets are. Whatever step fails, all of them are mirrors still, or
# all of them are on their targets.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b c
stores a b c
for n in a b c; do
	dd if=/dev/zero of=$DM/$n bs=1M oflag=direct status=none 2> /dev/null
done
"$TOOLS/stamps" write -r "$SEED" $DM/a $DM/b $DM/c > /tmp/stamps.out 2>&1 &
W=$!
at_exit eval 'kill $W 2> /dev/null'

start_all()
{
	local n
	for n in a b c; do
		tool 0 "$1: start $n" mirror start $n "${S[$n]}" --force --copy-mode write-blocking
	done
	tool 0 "$1: all are ready" mirror wait a b c --for ready --timeout 60s
}
# how many of the three have this target
with() { dmsetup table | grep -c "^[abc]: .* $1 "; }
check() { "$TOOLS/stamps" check "$@"; }

# --- cancel: the targets are of one instant ---
start_all cancel
tool 0 "cancel --group" mirror cancel a b c --group
ok "the targets are of one instant" check "${S[a]}" "${S[b]}" "${S[c]}"
ok "all have their old tables" as_before
ok "the writer is at it" kill -0 $W
# the control: one after the other
start_all control
for n in a b c; do tool 0 "control: cancel $n" mirror cancel $n; done
ok "control: cancelled one by one they are not" eval '! check "${S[a]}" "${S[b]}" "${S[c]}"'

# --- complete: each step fails once ---
start_all complete
bad='' back=0
for ((k = 1; k < 60; k++)); do
	rc=0
	QMIRROR_FAULT=fail:$k "$FAULTS" mirror complete a b c --group > /tmp/ctl.out 2> /tmp/ctl.err || rc=$?
	m=$(with qmirror)
	((rc)) || break
	[[ $rc == 1 && ! $(suspended) && ! -e /run/qmirrorctl/journal ]] || bad+=" $k:$rc:$(< /tmp/ctl.err)"
	case $m in
	3)	((++back)) ;;
	0)	break ;;
	*)	bad+=" $k: $m of 3 are mirrors" ; break ;;
	esac
done
is "$bad" '' "complete: each of $((k - 1)) failing steps leaves three mirrors or none"
ok "$back of them left three" test "$back" -gt 5
is "$m $(with linear)" "0 3" "in the end all three are on their targets"
for n in a b c; do
	is "$(table_of $n)" "0 $LEN linear $(stat -c '%Hr:%Lr' "${S[$n]}") 0" "$n is"
done
ok "the old disks are of one instant" check "${DISK[a]}" "${DISK[b]}" "${DISK[c]}"
ok "the writer found no error" kill -0 $W
kill $W
wait $W 2> /dev/null
ok "and wrote on where the mirrors led" check $DM/a $DM/b $DM/c
newer=$(check $DM/a $DM/b $DM/c) older=$(check "${DISK[a]}" "${DISK[b]}" "${DISK[c]}")
ok "which is newer" test "$newer" -gt "$older"

done_testing

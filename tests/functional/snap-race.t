#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Another manager changes a member after our cbw is under it and before the group
# is frozen, or while a snapshot is removed: its table is not swapped in by our
# resume, nor is ours in its place; one that is live already is kept.
# vm: --turns

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b
stores a b
C=$(mk_null c $MB) || bail "no disk"
OTHER="0 $LEN linear $(stat -c '%Hr:%Lr' "$C") 0"
OLD=${TABLE[a]}
PAIR=("a=${S[a]}" "b=${S[b]}")

# create: right before the first of the two suspends of the window
n=$("$CTL" snapshot create "${PAIR[@]}" --dry-run | grep -n ': arm$' | head -1)
k=$((1 + 2 * (${n%%:*} - 3)))

stop_at $k snapshot create "${PAIR[@]}" || bail "create: stopped before the freeze: not so"
like "$(dmsetup table a)" ' cbw ' "with the cbw under a"
dmsetup load a --table "$OTHER"
go_on
is "$RC" 4 "create: a table loaded over the cbw is not swapped in (exit 4)"
like "$(cat /tmp/ctl.err)" '^qmirrorctl: a: somebody else' "and it says where"
ok "everything is as before" as_before

stop_at $k snapshot create "${PAIR[@]}" || bail "create: stopped there again: not so"
dmsetup load a --table "$OTHER" && dmsetup resume a
go_on
is "$RC" 4 "create: a table exchanged for the cbw is kept (exit 4)"
TABLE[a]=$OTHER
ok "a has the other's, b its old one, nothing of ours is left" as_before
dmsetup load a --table "$OLD" && dmsetup resume a
TABLE[a]=$OLD

# remove: when our old table has been loaded
ok "create undisturbed" "$CTL" snapshot create "${PAIR[@]}"
n=$("$CTL" snapshot remove a --dry-run | grep -n '^suspend a' | head -1)
k=$((1 + 2 * (${n%%:*} - 1)))
stop_at $k snapshot remove a || bail "remove: stopped before the suspend: not so"
is "$(dmsetup table --inactive a)" "$OLD" "with the old table loaded"
dmsetup load a --table "$OTHER"
go_on
is "$RC" 4 "remove: a table loaded over the old one is not swapped in (exit 4)"
# what has lost its view is of no use: the removal is finished all the same
is "$(dmsetup table a)" "$OLD" "a has its old table"
is "$(suspended)" '' "nothing is suspended"
ok "and the other one goes" "$CTL" snapshot remove b
ok "everything is as before" as_before

done_testing

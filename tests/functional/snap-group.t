#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A group with a member on another one: each has a snapshot of its own, and the
# upper one is suspended first. (That a group is of one instant: snap-atomic.t.)

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b c
stores a b c

# --- a member on another one: its own level, suspended first ---
mk_dm up "0 $LEN linear $DM/c 0"
TABLE[up]="0 $LEN linear $(dmsetup info -c --noheadings --separator : -o major,minor c) 0"
tool 0 "a stack" snapshot create "c=${S[c]}" "a=${S[a]}" "up=${S[b]}" --force --dry-run
is "$(grep -E '\(freeze\)' <<< "$OUT" | xargs)" "suspend up (freeze) suspend c (freeze) suspend a (freeze)" "the upper one is suspended first"
unset "TABLE[b]"
tool 0 "create" snapshot create "c=${S[c]}" "a=${S[a]}" "up=${S[b]}" --force
ok "all armed" all_armed
dd if=$DM/c of=/tmp/c.now bs=1M iflag=direct status=none
dd if=/dev/urandom of=$DM/up bs=1M count=1 oflag=direct status=none
ok "the lower view is of the instant" same /tmp/c.now $DM/c-snap
ok "and so is the upper" same /tmp/c.now $DM/up-snap
tool 0 "remove" snapshot remove up c a
ok "all is as before" as_before

dmsetup remove up

done_testing

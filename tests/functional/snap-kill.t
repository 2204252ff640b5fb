#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# SIGKILL between any two steps of snapshot create of a group of two, one store a
# file and one a disk, with the watchdog to put it right.
# vm: --turns --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"
. "$(dirname "$0")/snap-kill-lib.sh"

plan_later
MB=4
members a b
stores b
store_fs 32

die_everywhere kill 2 true remove_if_armed snapshot create a=/tmp/st/store "b=${S[b]}" --force
ok "at the end all is as before" as_before

# --- and of snapshot remove, of one ---
dmsetup remove b && unset "TABLE[b]"
create_a() { all_armed > /dev/null || "$CTL" snapshot create a=/tmp/st/store > /tmp/undo.out 2>&1; }
die_everywhere kill 2 create_a true snapshot remove a
ok "at the end all is as before" as_before
ok "and nothing is left" st_clean_soon

done_testing

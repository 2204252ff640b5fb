#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# SIGKILL between any two steps of mirror cancel,
# without a watchdog: the next run puts it right.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/ctl-kill-lib.sh"

plan_later
MB=4
disks
writer_begin
LEG_OLD=$OLD

setup() { "$CTL" mirror start data "$B" --copy-mode write-blocking --force --wait > /dev/null; }
die_everywhere nkill setup mirror cancel data
is "$(table_of data)" "$OLD" "at the end data has its old table"

kill_fio
done_testing

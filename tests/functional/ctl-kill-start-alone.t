#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# SIGKILL between any two steps of mirror start,
# without a watchdog: the next run puts it right.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/ctl-kill-lib.sh"

plan_later
MB=4
disks
writer_begin
LEG_OLD=$OLD

die_everywhere nkill true mirror start data "$B" --force
is "$(table_of data)" "$OLD" "at the end data has its old table"

kill_fio
done_testing

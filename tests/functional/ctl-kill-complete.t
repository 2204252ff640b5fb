#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# SIGKILL between any two steps of mirror complete, with the watchdog to put it right.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/ctl-kill-lib.sh"

plan_later
MB=4
disks
writer_begin
LEG_OLD=$OLD

# the disks take turns
setup()
{
	LEG_OLD=$(table_of data)
	[[ $LEG_OLD == "$OLD" ]] && TGT=$B || TGT=$A
	"$CTL" mirror start data "$TGT" --copy-mode write-blocking --force --wait > /dev/null
}
die_everywhere kill setup mirror complete data

kill_fio
done_testing

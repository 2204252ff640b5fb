#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The raced start (M-9): the mirror is slid under a device that is being
# written, without a pause; not one write between the activation and the start
# of the copy is lost. And the way back.
#
# Guards invariants 1 and 2.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((16 * 2048 + 1))
dm_make m "$(linear_line src)"

for mode in background write-blocking; do
	for ((i = 1; i <= 4; i++)); do
		fill $DM/tgt 2
		"$TOOLS/mixer" -t 2 -d 4 -w 80 ${SEED:+-r $SEED} $DM/m > /tmp/mixer 2>&1 &
		x=$!
		SYS[m]=
		mark m
		while kill -0 $x 2>/dev/null && (($(since m wio) < 20)); do :; done
		dm_load m "$(line copy_mode $mode)"
		dm_suspend m
		dm_resume m
		# stopped at once, as the test that found this in QEMU does
		if ((i % 2)); then
			msg pause
			wait_st '^(paused|standby) '
			msg resume
		fi
		t_ok "$mode, $i: the guest saw nothing" in_time 30 $x
		diag "$(tail -n 2 /tmp/mixer | xargs)"
		t_wait "$mode, $i: clean" '^ready .* 0/257 ok - 0 0 0 ' 20
		dm_suspend m
		t_equal "$mode, $i: legs equal"
		dm_load m "$(linear_line src)"
		dm_resume m
	done
done
dm_remove m

finish

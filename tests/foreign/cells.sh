# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# cells.sh - what both foreign tests share: one line of the table at the end for each
# thing that was run. Sourced after tests/lib.sh.

# cell SUITE DEVICE: what follows belongs to this line, until cell_end
cell()
{
	CELL="$1|$2"
	CELL_FAILED=$tap_failed CELL_TIME=$SECONDS
}

# cell_end [VERDICT]: "passed" or "FAILED", as the results since cell were
cell_end()
{
	local verdict=${1:-passed}
	((tap_failed == CELL_FAILED)) || verdict=FAILED
	diag "cell: $CELL|$verdict|$((SECONDS - CELL_TIME)) s"
}

# wipe DEV: whatever was there
wipe() { blkdiscard -f "$1" 2> /dev/null; }

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# blktests' block/003 (discards of all sizes), 004 (flushes by 64 processes), 008
# (processors come and go under I/O) and 012 (read-only, and back) on a mirror that
# is copying, in both modes, and on a filter that is armed. Run by tests/foreign/run.
#
# Wrong if one of them fails, if the legs differ once the mirror is READY, or if the
# view is not what it was. What is "not run" says why, and is no failure.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/cells.sh"

SUITE=${FOREIGN_BLKTESTS-}
MB=256
RES=/tmp/blktests

plan_later
[[ -x $SUITE/check ]] || bail "no blktests: run tests/foreign/run"
need_modules dm-qmirror dm-cbw
A=$(mk_null a "$MB") && B=$(mk_null b "$MB") || bail "no disks"
LEN=$(dev_size "$A")
cat > /tmp/blktests.conf <<-E2
	TEST_DEVS=(/dev/mapper/m)
	LOGGER_PROG=true
	OUTPUT=$RES
E2

# blktest NNN: one of theirs on m; VERDICT is what it came to
blktest()
{
	local result=$RES/m/block/$1 status reason
	rm -rf $RES
	(cd "$SUITE" && ./check -c /tmp/blktests.conf --quick="${FOREIGN_TIMEOUT:-30}" "block/$1") \
		> /tmp/check.out 2>&1
	status=$(awk '$1 == "status" { $1 = ""; print substr($0, 2) }' "$result")
	case $status in
	pass)
		VERDICT=passed
		pass "$CELL"
		diag "$(grep -P '^(runtime|.* iops)\t' "$result" | tr '\t' ' ' | xargs)" ;;
	'not run')
		# indented, below the line of the test
		reason=$(sed -n '/\[not run\]/,$s/^    \([a-zA-Z].*\)/\1/p' /tmp/check.out | tail -n 1)
		VERDICT="not run: $reason"
		skip "$CELL: $reason" ;;
	*)
		VERDICT=FAILED
		fail "$CELL"
		diag "$(< /tmp/check.out)"
		diag "$(cat "$result".* | tail -n 40)" ;;
	esac
}

# So slow that the copying outlasts the test, but for what is discarded.
on_mirror() # NNN COPY-MODE
{
	cell "block/$1" "mirror, $2, copying"
	fill "$A" "$((10#$1))"
	wipe "$B"
	mk_dm m "0 $LEN qmirror $A 0 $B 0 4 copy_mode $2 speed 4096"
	is "$(dm_field m state)" running "$CELL: it copies"
	blktest "$1"
	diag "then: $(dm_status m)"
	msg set speed 0
	is "$MSG" ok "$CELL: full speed"
	ok "$CELL: READY" wait_for_state m ready 120
	is "$(dm_field m source_errors) $(dm_field m target_errors)" "0 0" "$CELL: no errors"
	ok "$CELL: the legs are equal" legs_equal "$A" 0 "$B" 0 "$LEN"
	dmsetup remove m
	cell_end "$VERDICT"
}

on_filter() # NNN
{
	local sum
	cell "block/$1" "snapshot, armed"
	fill "$A" "$((10#$1))"
	wipe "$B"
	mk_dm m "0 $LEN cbw $A 0 $B 0"
	mk_dm v "0 $LEN cbw-snapshot $A 0 $B 0"
	sum=$(sum_of v)
	blktest "$1"
	diag "then: $(dm_status m)"
	like "$(dm_status m)" ' cbw armed .* - 0 ' "$CELL: it is still armed, without errors"
	is "$(sum_of v)" "$sum" "$CELL: the view is what it was"
	dmsetup remove v
	dmsetup remove m
	cell_end "$VERDICT"
}
sum_of() { dd if="$DM/$1" bs=1M iflag=direct status=none | sha256sum; }

for t in ${FOREIGN_TESTS:-003 004 008 012}; do
	on_mirror $t background
	on_mirror $t write-blocking
	on_filter $t
done
done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Groups of 1, 2, 8 (and 64) under load: the views together are, byte for byte, what
# the disk was while all were suspended, and after the removal all is as before.
# Every second store is a file. QMIRROR_SIZES: 64 takes minutes in an emulated
# machine and is left to `make soak`.
# vm: --timeout 600

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
SLICE=1024 MB=32
DISK1=$(mk_null disk "$MB") && STORE1=$(mk_null store "$MB") || bail "no disks"
store_fs 96
dd if=/dev/urandom of="$DISK1" bs=1M count=$MB oflag=direct status=none

members=() views=() args=()
for n in ${QMIRROR_SIZES:-1 2 8}; do
	for ((i = ${#members[@]}; i < n; i++)); do
		"$TOOLS/dmq" create "m$i" "0 $SLICE linear $DISK1 $((i * SLICE))" || bail "no m$i"
		members+=("m$i") views+=("$DM/m$i-snap")
		if ((i % 2)); then
			"$TOOLS/dmq" create "s$i" "0 $SLICE linear $STORE1 $((i * SLICE))" || bail "no s$i"
			args+=("m$i=s$i")
		else
			args+=("m$i=/tmp/st/s$i")
		fi
		TABLE[m$i]="0 $SLICE linear $(stat -c '%Hr:%Lr' "$DISK1") $((i * SLICE))"
	done
	tables=$(dmsetup table)
	"$TOOLS/stamps" write -l 1 -r "$SEED" "${members[@]/#/$DM/}" > /tmp/stamps.out 2>&1 &
	W=$!
	# not by ok, which runs it in a subshell
	create_hung "${args[@]}" --force && pass "$n: all are suspended, and armed" ||
		{ fail "$n: all are suspended, and armed"; diag "$WHY $(< /tmp/hung.out)"; }
	dd if="$DISK1" of=/tmp/then bs=512 count=$((n * SLICE)) iflag=direct,fullblock status=none
	hung_dies
	ok "$n: all have their snapshot" all_armed
	ok "$n: the views are what was on the disk" cmp <(cat "${views[@]}") /tmp/then
	ok "$n: their stamps are in order" "$TOOLS/stamps" check "${views[@]}"
	# the load goes on while they are taken away; with 64 that takes minutes
	((n < 64)) || kill -STOP $W
	tool 0 "$n: remove" snapshot remove "${members[@]}"
	kill -CONT $W
	ok "$n: the writers found no error" kill -0 $W
	kill $W
	wait $W 2> /dev/null
	ok "$n: the disk has changed since" eval '! cmp -s /tmp/then <(dd if="$DISK1" bs=512 count='$((n * SLICE))' iflag=direct,fullblock status=none)'
	ok "$n: all is as before" as_before
	is "$(dmsetup table)" "$tables" "$n: nothing is left"
	ok "$n: nor of the stores that are files" st_clean_soon
done

done_testing

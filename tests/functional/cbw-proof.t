#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The view equals, byte for byte, a full copy taken with the device suspended
# at the arm, while verifying, racing, discarding and zeroing writers overwrite
# every cluster several times and readers read the very clusters; for clusters
# from the smallest to one larger than a copy's largest I/O. The same trace
# against dm-snapshot gives the same bytes. And a snapshot that breaks or ends
# under all this never shows a wrong byte.
#
# Guards invariants 5 and 6; T-183, T-188, T-189.
# vm: --timeout 500

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
snap_legs $((16 * 2048 + 1))
REF=$(raw_disk nullref "$LEN") || bail "no null_blk"
HALF=$((8 * 2048))
need_modules dm-delay
dm_make bad "0 $LEN error"

# The copy that the view is compared with, made while nothing moves.
arm_and_copy()
{
	dm_suspend f && msg arm && [[ $MSG == ok ]] &&
		dd if="${RAW[src]}" of="$REF" bs=1M iflag=direct oflag=direct \
			count=$((LEN * 512)) iflag=count_bytes status=none && dm_resume f
}
# writers SECONDS [LEAVE]: a verifying one, one with a model, and two that overlap; they
# leave no cluster alone, but for those of the last LEAVE sectors
writers()
{
	fio --name=v --filename=$DM/f --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
		--bsrange=512-64k --size=$((HALF * 256)) --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--randseed="$SEED" --loops=2 > /tmp/fio.out 2>&1 & FIO=$!
	"$TOOLS/mixer" -t 2 -d "$1" -s $((HALF / 2)) -n $((HALF / 2)) -m 600 -r "$SEED" $DM/f > /tmp/mixer.out 2>&1 & MIXER=$!
	"$TOOLS/overlap" -t 3 -d "$1" -s $HALF -n $((LEN - HALF - ${2:-0})) -m 300 -r "$SEED" $DM/f > /tmp/overlap.out 2>&1 & OVERLAP=$!
}
t_writers() # DESC
{
	t_ok "$1: fio's verification" in_time 90 $FIO || diag "$(grep -i verify /tmp/fio.out | head -5)"
	t_ok "$1: the mixer's model" in_time 90 $MIXER
	diag "$(< /tmp/mixer.out)"
	t_ok "$1: overlapping writers" in_time 90 $OVERLAP
}

for cl in 8 128 2048 8192; do
	n="cluster $cl"
	fill $DM/src $cl
	filter idle cluster_size $cl on_cbw_error break-snapshot
	view
	t_ok "$n: armed, and a copy made" arm_and_copy
	writers 5
	"$TOOLS/viewcmp" -t 2 -d 5 -r "$SEED" "$REF" $DM/v > /tmp/viewcmp.out 2>&1 & V=$!
	t_ok "$n: readers see what was" in_time 120 $V
	diag "$(< /tmp/viewcmp.out)"
	t_writers "$n"
	# whatever chance has left: every cluster is overwritten, in large writes
	fill $DM/f 77
	t_is "$(field state) $(field copied)" "armed $(((LEN + cl - 1) / cl))" "$n: every cluster was copied"
	t_ok "$n: the view is equal to the copy" legs_cmp "$REF" $DM/v
	unsnap
done

# --- readers while it breaks and while it ends -----------------------------------------

for how in break disarm table; do
	fill $DM/src 3
	filter idle on_cbw_error break-snapshot
	view
	t_ok "$how: armed" arm_and_copy
	writers 4 2048
	"$TOOLS/viewcmp" -e -t 3 -d 4 -r "$SEED" "$REF" $DM/v > /tmp/viewcmp.out 2>&1 & V=$!
	t_ok "$how: readers are under way" until_true 20 grep -q seed /tmp/viewcmp.out
	sleep 1
	case $how in
	break)	# its reads are good: none fails before the snapshot breaks
		dm_swap store "0 $LEN delay ${RAW[store]} 0 0 $DM/bad 0 0" --noflush
		dio $DM/f w:$((LEN - 8)):8:g4 > /dev/null ;;
	disarm)	msg disarm ;;
	table)	dm_swap f "0 $LEN linear $DM/src 0" ;;
	esac
	t_ok "$how: no reader sees a wrong byte" in_time 120 $V
	diag "$(< /tmp/viewcmp.out)"
	t_like "$(< /tmp/viewcmp.out)" 'good=[1-9].* failed=[1-9]' "$how: some before it, and in the end they all fail"
	t_writers "$how"
	dm_swap store "0 $LEN linear ${RAW[store]} 0" --noflush
	unsnap
done

# --- the same trace against dm-snapshot ------------------------------------------------

modprobe dm-snapshot || bail "no dm-snapshot"
raw_disk nullorg "$LEN" > /dev/null
raw_disk nullcow $((2 * LEN)) > /dev/null
trace() # DEV
{
	fio --name=t --filename="$1" --direct=1 --ioengine=psync --rw=randwrite --bsrange=512-128k \
		--size=$((LEN * 512)) --io_size=24m --randseed="$SEED" --buffer_pattern=0x5a > /tmp/trace.out 2>&1
}
fill $DM/src 5
dd if="${RAW[src]}" of=/dev/nullorg bs=1M oflag=direct iflag=direct status=none
dm_make org "0 $LEN snapshot-origin /dev/nullorg"
dm_suspend org
dm_make snap "0 $LEN snapshot /dev/nullorg /dev/nullcow N 128"
dm_resume org
filter
view
t_ok "dm-snapshot: the trace" trace $DM/org
t_ok "dm-snapshot: the same here" trace $DM/f
t_equal "dm-snapshot: both devices are the same" $DM/org $DM/f
t_equal "dm-snapshot: and both snapshots" $DM/snap $DM/v
unsnap
dm_remove snap
dm_remove org
finish

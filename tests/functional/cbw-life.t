#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Create, use, remove: 50 times in every state; hundreds of refused tables; lines
# loaded and never resumed; filter and view taken down in either order; reloads and
# suspends of both under load. Afterwards the module unloads and no memory is lost.
#
# Guards invariants 7 and 9 (the destructor never waits for an orphan, and drops
# what it took).
# vm: --timeout 400

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
snap_legs $((64 * CL + 1))
REF=$(raw_disk nullref "$LEN") || bail "no null_blk"

cycle() # N
{
	local args=(cluster_size $((8 << ($1 % 8))))
	(($1 % 2)) && args+=(on_cbw_error break-snapshot)
	(($1 % 3)) || args+=(idle)
	(($1 % 4)) || args+=(cbw_timeout 50)
	filter "${args[@]}" && view && view v2 || return
	(($1 % 3)) || arm || return
	dio $DM/f w:0:8:g1 z:4096:100 d:2048:4000 > /dev/null || return
	case $(($1 % 5)) in
	0)	msg disarm; msg protect none; msg protect 8 8 ;;
	1)	msg release 0 "$LEN" ;;
	2)	dm_suspend store --noflush
		dio $DM/f w:6000:8:g1 > /dev/null & sleep 0.2; dm_resume store; wait $! ;;
	3)	dm_suspend f && dm_resume f && dm_swap f "$(cbw_line "${args[@]}")" ;;
	4)	dm_load f "$(cbw_line "${args[@]}")" && dm_suspend f --noflush && dm_resume f ;;
	esac
	dm_remove v || return
	case $(($1 % 2)) in
	0)	dm_remove f && dm_remove v2 ;;
	1)	dm_remove v2 && dm_remove f ;;
	esac
}

for ((i = 0; i < 5; i++)); do cycle $i || fail "warm-up $i"; done
rmmod dm_cbw dm_block_copy 2>/dev/null
modprobe dm-cbw
# the null_blk disks' own pages: all there, now and at the end
populate() { fill $DM/src 1; fill $DM/store 1; fill "$REF" 1; }
populate
u0=$(used) f0=$(unused)
bad=0
for ((i = 0; i < 50; i++)); do
	cycle $i && continue
	((bad++))
	diag "cycle $i failed: $("$TOOLS/dmq" status f 2>&1)"
	for d in v v2 f; do dm_remove $d 2>/dev/null; done
done
t_is $bad 0 "50 cycles of create, use, remove"
for ((i = 0; i < 100; i++)); do
	dm_make f "$(cbw_line cluster_size 8 bogus)" 2>/dev/null && bad=1
	dm_make f "$(cbw_line cluster_size 3)" 2>/dev/null && bad=1
	dm_make v "$(view_line)" 2>/dev/null && bad=1
done
t_is $bad 0 "300 refused tables"
for ((i = 0; i < 10; i++)); do
	dmsetup create f --notable && dm_load f "$(cbw_line)" && dm_remove f || bad=1
	filter && dmsetup create v --notable && dm_load v "$(view_line)" && dm_remove v && dm_remove f || bad=1
done
t_is $bad 0 "20 tables that were loaded and never resumed"

# --- reloads and suspends, with and without flush, of both, under load -------------------

fill $DM/src 1
filter idle cluster_size 16
view
dm_suspend f && msg arm
dd if="${RAW[src]}" of="$REF" bs=$((LEN * 512)) count=1 iflag=direct oflag=direct status=none
dm_resume f
"$TOOLS/mixer" -t 2 -d 8 -r "$SEED" $DM/f > /tmp/mixer.out 2>&1 & MIXER=$!
"$TOOLS/viewcmp" -t 2 -d 8 -r "$SEED" "$REF" $DM/v > /tmp/viewcmp.out 2>&1 & V=$!
J="$DM/src 0 $DM/store 0"
t_ok "200 suspends and reloads of the filter" "$TOOLS/dmcycle" -c 200 -t cbw -l "$LEN" -r "$SEED" -i 5 \
	-p "$J 2 cluster_size 16" -p "$J 6 cluster_size 16 on_cbw_error break-snapshot cbw_timeout 60000" f
t_ok "the guest's model holds" in_time 120 $MIXER
diag "$(< /tmp/mixer.out)"
t_ok "no reader saw a wrong byte" in_time 120 $V
diag "$(< /tmp/viewcmp.out)"
t_like "$(field state) $(view_st)" 'armed live -' "armed and live"
t_ok "the view is equal to the copy" legs_cmp "$REF" $DM/v
unsnap

filter
t_ok "a module in use cannot be removed" bash -c '! rmmod dm_cbw 2>/dev/null'
unsnap
populate
u1=$(used) f1=$(unused)
diag "kernel memory: $u0 KiB before, $u1 after; free and cached: $f0 before, $f1 after"
t_used "$u0" "$u1"
t_between "no pages are lost" $((f0 > f1 ? f0 - f1 : 0)) 0 8192
t_ok "dm-cbw unloads" rmmod dm_cbw
t_ok "dm-block-copy unloads" rmmod dm_block_copy
t_ok "the view's name loads the module" dmsetup create y --notable
"$TOOLS/dmq" load y "$(view_line)" 2>/dev/null
t_ok "by its alias" test -d /sys/module/dm_cbw
dm_remove y
finish

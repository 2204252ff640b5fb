#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 50 times create, run, remove in every way a job can end, 300 refused tables;
# afterwards the modules unload and no memory is lost.
#
# Guards invariant 7 (dtr never waits for an orphan, and drops what it took).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs 16384

modules() { awk '$1 ~ /^dm_(qmirror|block_copy)$/ { print $1 ":" $3 }' /proc/modules | sort | xargs; }
cycle() # N
{
	local args=()
	case $(($1 % 5)) in
	0)	args=(copy_mode write-blocking) ;;
	1)	args=(sync none granularity 8 zero_detect) ;;
	2)	args=(copy_mode write-blocking no_bounce target_is_zero) ;;
	3)	args=(sync bitmap buf_size 256) ;;
	4)	args=(speed 2048 buf_size 128) ;;
	esac
	mirror "${args[@]}" || return
	dio $DM/m w:0:8:g1 w:100:300:g1 w:8000:2048:g1 f > /dev/null || return
	case $(($1 % 5)) in
	0)	wait_st '^ready yes ' && msg complete && wait_st '^pending ' && dm_suspend m && dm_resume m ;;
	1)	wait_st '^ready ' && msg cancel && wait_st '^pending ' ;;
	2)	hang; dio $DM/m w:64:8:g1 > /dev/null & sleep 0.1; unhang; wait $! ;;
	3)	msg mark_dirty 0 4096 && msg resume && wait_st '^ready ' ;;
	4)	wait_st '^running ' && msg cancel force && wait_st '^concluded ' ;;
	esac || return
	unmirror
}

log_mark
for ((i = 0; i < 5; i++)); do cycle $i || fail "warm-up $i"; done
rmmod dm_qmirror dm_block_copy 2>/dev/null
modprobe dm-qmirror
u0=$(used) f0=$(unused)
bad=0
for ((i = 0; i < 50; i++)); do cycle $i || { ((bad++)); diag "cycle $i failed: $(dmsetup status m 2>&1)"; dm_remove m 2>/dev/null; }; done
t_is $bad 0 "50 cycles of create, run, remove"
for ((i = 0; i < 100; i++)); do
	dm_make m "$(line granularity 1 buf_size 65536 bogus)" 2>/dev/null && bad=1
	dm_make m "$(line speed x)" 2>/dev/null && bad=1
	dm_make m "0 $LEN qmirror $DM/src 0 $DM/src 0" 2>/dev/null && bad=1
done
t_is $bad 0 "300 refused tables"
# loaded, never resumed
for ((i = 0; i < 10; i++)); do
	dmsetup create m --notable && dm_load m "$(line granularity 1)" && dm_remove m || bad=1
done
t_is $bad 0 "10 tables that were loaded and never resumed"

mirror
t_ok "a module in use cannot be removed" bash -c '! rmmod dm_qmirror 2>/dev/null'
unmirror
t_is "$(modules)" "dm_block_copy:1 dm_qmirror:0" "nothing holds the modules at the end"
u1=$(used) f1=$(unused)
diag "kernel memory: $u0 KiB before, $u1 after; free and cached: $f0 before, $f1 after"
t_used "$u0" "$u1"
t_between "no pages are lost" $((f0 > f1 ? f0 - f1 : 0)) 0 8192
t_ok "dm-qmirror unloads" rmmod dm_qmirror
t_ok "dm-block-copy unloads" rmmod dm_block_copy
t_is "$(grep -cE 'dm.qmirror|dm.block.copy|qmirror' /proc/slabinfo)" 0 "no slab cache is left behind"
t_ok "and loads again" modprobe dm-qmirror
dmesg | grep -E 'Objects remaining|still has objects' && fail "slab objects left"

finish

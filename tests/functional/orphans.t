#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The target neither answers nor fails: reads go on, mirrored writes wait, and
# cancel force, suspend --noflush and target_timeout give them up. What was
# given up is counted, keeps its chunks dirty, and holds back READY, synced,
# pending and final until it has ended.
#
# Guards invariants 1 (orphans keep their chunks dirty and nothing is sent
# there) and 7 (nothing waits for an orphan; postsuspend is bounded).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs 16384 cache_size=4		# 128 chunks, with a write cache
timeout_dmsetup() { timeout -k 1 "$1" dmsetup "${@:2}"; }

# writer SECTOR COUNT GEN: a guest write in the background, pid in W; returns
# when its source leg is done, so the target leg is what it waits for
writer()
{
	local i
	dio $DM/m "w:$1:$2:g$3" > "/tmp/w.$1" 2>&1 &
	W=$!
	for ((i = 0; i < 250; i++)); do
		dio $DM/src "r:$1:$2:g$3" > /dev/null && return
		sleep 0.02
	done
	diag "the write at $1 did not reach the source"
}
waits() { sleep 0.2; kill -0 "$1" 2>/dev/null; }
ready_wb() { mirror sync none copy_mode write-blocking "$@" && wait_st '^ready yes '; }

fill $DM/src 1
fill $DM/tgt 1

# --- reads go on, writes and flushes wait
ready_wb on_target_error ignore
hang
writer 0 8 101
w1=$W
t_ok "a mirrored write waits for its target" waits $w1
t_ok "reads go on: elsewhere" timeout 5 "$TOOLS/dio" $DM/m r:8192:8:g1
t_ok "reads go on: of the sectors being written" timeout 5 "$TOOLS/dio" $DM/m r:0:8
t_is "$(field orphans)" 0 "a write that waits is no orphan"
# --- cancel force gives up
log_mark
ev=$(events)
t_ok "cancel force returns" timeout 10 dmsetup message m 0 cancel force
t_ok "the guest's write ends" in_time 5 $w1
t_like "$(< /tmp/w.0)" ' ok ' "with the result of its source"
t_wait "aborting while the orphan lives" '^aborting .* 1$' 5
t_between "the given up chunk is dirty" "$(field dirty)" 1 128
t_between "aborting raised an event" $(($(events) - ev)) 1 99
t_ok "aborting: writes are linear to the source" timeout 5 "$TOOLS/dio" $DM/m w:64:8:g3
ev=$(events)
unhang
t_wait "concluded when it has ended" '^concluded .* 0$' 5
t_between "concluded raised an event" $(($(events) - ev)) 1 99
unmirror

# --- removable while aborting; the module and the target then say in use
ready_wb
hang
writer 0 8 102
msg cancel force
in_time 5 $W
wait_st '^aborting .* 1$'
t_ok "the device can be removed while an orphan lives" timeout_dmsetup 15 remove m
t_between "the module is in use by the orphan" "$(< /sys/module/dm_qmirror/refcnt)" 1 99
t_ok "rmmod is refused" bash -c '! rmmod dm_qmirror 2>/dev/null'
if dmsetup create m2 --table "$(line)" 2>/tmp/err; then
	fail "a target range with orphans is refused at load"
	dm_remove m2
else
	pass "a target range with orphans is refused at load"
fi
t_ok "and so for a part of it" bash -c "! dmsetup create m2 --table '0 8 qmirror $DM/src 0 $DM/tgt 8' 2>/dev/null"
unhang
for ((i = 0; i < 250; i++)); do
	[[ $(< /sys/module/dm_qmirror/refcnt) == 0 ]] && break
	sleep 0.02
done
t_is "$(< /sys/module/dm_qmirror/refcnt)" 0 "no longer in use when the orphan has ended"
t_ok "then the range is free again" mirror
wait_st '^ready '
unmirror
t_equal "and the legs are equal"

# --- report: a failing target while another write hangs goes by aborting, too
# (dm-delay: the range hangs for seconds, the rest fails at once)
printf '%s\n' "0 1024 delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 3000" "1024 8 error" \
	"1032 $((LEN - 1032)) linear ${RAW[tgt]} 1032" | dmsetup create slow && dmsetup mknodes slow
dm_make m "0 $LEN qmirror $DM/src 0 $DM/slow 0 4 sync none copy_mode write-blocking"
wait_st '^ready yes '
writer 0 8 103
dio $DM/m w:1024:8:g4 > /dev/null
t_wait "report with a write under way: the job ends" '^(aborting|concluded) .* target:write:EIO:1024 ' 5
t_ok "report: the write under way ends" in_time 8 $W
t_wait "report: concluded after it" '^concluded ' 10
unmirror
dm_remove slow
mirror && wait_st '^ready '	# equal again
unmirror

# --- target_timeout
ready_wb target_timeout 500 on_target_error stop
hang
writer 256 16 104
t_ok "target_timeout: the guest's write ends" in_time 20 $W
t_between "target_timeout: after about that time" "$(cut -d' ' -f3 /tmp/w.256)" 400 2500
t_like "$(< /tmp/w.256)" ' ok ' "target_timeout: with its source's result"
t_wait "target_timeout: counts as failed with ETIMEDOUT" '^standby no .* failed target:write:ETIMEDOUT:256 .* 1$' 5
t_is "$(field dirty)" 1 "target_timeout: the chunk is dirty"
# an orphan's chunk: nothing is copied or mirrored there
t_ok "a write to the orphan's chunk does not wait" timeout 5 "$TOOLS/dio" $DM/m w:264:8:g6
t_ok "nor a full write of it" timeout 5 "$TOOLS/dio" $DM/m w:256:128:g6
t_is "$(field dirty)" 1 "and the chunk stays dirty"
t_is "$(field orphans)" 1 "and nothing more was sent there"
msg resume
t_wait "resumed: ready, but not synced while the orphan lives" '^ready no .* 1$' 5
sleep 0.3
st
t_is "${S[synced]} ${S[dirty]} ${S[orphans]}" "no 1 1" "the chunk stays dirty and nothing is copied there"
msg complete
sleep 0.3
t_is "$(field state)" ready "no pending while an orphan lives"
unhang
t_wait "orphans end: clean, and the asked complete goes on" '^pending yes .* 0$' 10
msg cancel force
wait_st '^concluded '
unmirror
t_equal "target_timeout: equal after the orphan has ended"

# a timeout before READY: no READY with an orphan
dio $DM/tgt w:0:128:g9 > /dev/null
mirror sync bitmap copy_mode write-blocking target_timeout 300 on_target_error ignore
hang
writer 512 8 105
in_time 5 $W
msg resume
sleep 0.5
t_like "$(field state)" '^running$' "no READY while an orphan lives"
unhang
t_wait "READY after it" '^ready .* 0$' 15
unmirror

# --- a flush that hangs
ready_wb target_timeout 400 on_target_error stop
hang
dio $DM/m f > /tmp/f 2>&1 &
f=$!
t_ok "a guest's flush ends" in_time 5 $f
t_like "$(< /tmp/f)" '^f ok ' "and well"
t_wait "the flush counts as failed" '^standby no .* failed target:flush:ETIMEDOUT:[0-9]+ .* 1$' 5
unhang
t_wait "and is no orphan any more when it has ended" ' 0$' 5
msg resume
t_wait "resumed: synced again" '^ready yes ' 10
unmirror
# and one that cancel force gives up
ready_wb
hang
dio $DM/m f > /tmp/f 2>&1 &
f=$!
t_ok "a guest's flush waits for the target" waits $f
timeout 5 dmsetup message m 0 cancel force
t_ok "cancel force gives it up" in_time 5 $f
t_like "$(< /tmp/f)" '^f ok ' "with the source's result"
unhang
t_wait "concluded" '^concluded .* 0$' 5
unmirror

# --- suspend --noflush
ready_wb on_target_error stop
hang
writer 0 8 106
w1=$W
t_ok "suspend --noflush does not wait for the target" \
	timeout 30 "$TOOLS/dmq" ms suspend m --noflush
t_between "and is quick" "$(< /tmp/t_ok.out)" 0 8000
dm_resume m
t_ok "the guest's write ends after resume at the latest" in_time 8 $w1
t_like "$(< /tmp/w.0)" ' ok ' "with its source's result"
t_is "$(field orphans)" 1 "one orphan"
t_between "its chunk is dirty" "$(field dirty)" 1 128
t_is "$(field synced)" no "not synced"
dm_swap m "$(line sync none copy_mode write-blocking on_target_error stop)" --noflush
t_is "$(field orphans)" 1 "an orphan is not forgotten by a reload"
t_between "nor is its chunk" "$(field dirty)" 1 128
unhang
wait_st ' 0$' 10
t_is "$(field orphans)" 0 "orphans go to 0 when the target comes back"
msg resume
t_wait "and the chunk is copied" '^ready yes .* 0$' 10
unmirror
t_equal "suspend --noflush: legs equal"

# --- a plain suspend waits, interruptibly
ready_wb
hang
writer 0 8 107
w1=$W
dmsetup suspend m 2>/dev/null &
s=$!
t_ok "a plain suspend waits" waits $s
kill -TERM $s 2>/dev/null
if in_time 3 $s; then rc=0; else rc=$?; fi
t_is $((rc != 0 && rc != 99)) 1 "and can be interrupted"
unhang
t_ok "the guest's write ends" in_time 5 $w1
t_wait "the mirror is whole" '^ready yes ' 5
unmirror
t_equal "plain suspend: legs equal"

# --- no_bounce: nothing can be given up
ready_wb no_bounce
hang
writer 0 8 108
w1=$W
timeout 5 dmsetup message m 0 cancel force
t_ok "no_bounce: the write waits on after cancel force" waits $w1
t_is "$(field orphans)" 0 "no_bounce: and is no orphan"
unhang
t_ok "no_bounce: it ends with the target" in_time 5 $w1
t_wait "no_bounce: concluded" '^concluded ' 5
unmirror

# --- background copies hang
fill $DM/tgt 9
hang
mirror buf_size 4096
wait_st '^running .* [1-9][0-9]* [0-9]+ [a-z]' 5
t_ok "reads go on while copies hang" timeout 5 "$TOOLS/dio" $DM/m r:100:8
t_ok "background writes go on while copies hang" timeout 5 "$TOOLS/dio" $DM/m w:100:8:g5 w:8000:256:g5
msg cancel force
t_wait "copies are given up, too" '^aborting .* [1-9][0-9]*$' 5
t_ok "removable" timeout_dmsetup 15 remove m
unhang
for ((i = 0; i < 250; i++)); do
	[[ $(< /sys/module/dm_qmirror/refcnt) == 0 ]] && break
	sleep 0.02
done
t_is "$(< /sys/module/dm_qmirror/refcnt)" 0 "copies ended: module free"

# --- hung target, suspend --noflush, other table, resume: the guest is freed
ready_wb
hang
writer 0 8 109
w1=$W
t_ok "rescue: load, suspend --noflush, resume" bash -c "
	dmsetup load m --table '0 $LEN linear ${RAW[src]} 0' &&
	timeout 15 dmsetup suspend --noflush m && timeout 10 dmsetup resume m"
t_ok "rescue: the write ended" in_time 5 $w1
t_ok "rescue: the device works" timeout 5 "$TOOLS/dio" $DM/m r:0:8:g109 w:8:8:g6
unhang
unmirror

finish

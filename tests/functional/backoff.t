#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A long stretch of the target fails, and the policy is to ignore it: thousands of
# chunks wait to be tried again. What is dirty elsewhere is copied meanwhile, at
# once, and when the target has healed the rest is, too.
#
# Guards: one failure is remembered once, however long it is; the copier as a whole
# only waits when more stretches fail than it can remember (QM_NR_BACKOFF).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
MIB=2048
BAD=$((200 * MIB)) CHUNKS=$((200 * 16))
legs $((202 * MIB))

dm_swap tgt "0 $MIB linear ${RAW[tgt]} 0
$MIB $BAD error
$((MIB + BAD)) $MIB linear ${RAW[tgt]} $((MIB + BAD))"
mirror sync none copy_mode write-blocking on_target_error ignore
t_wait "ready" '^ready yes '
msg mark_dirty $MIB $BAD
t_is "$MSG" ok "$CHUNKS chunks that cannot be copied"
# Each of them was tried, some more than once.
deadline=$((SECONDS + 120 * QMIRROR_SLOW))
until (($(field terr) > CHUNKS + 512)); do
	((SECONDS < deadline)) || bail "only $(field terr) errors"
	sleep 0.1
done

# Elsewhere, before and behind it: now, and not only when all of those are tried
# again, for which the longest time is 10 s.
worst=0 alone=0
for ((i = 0; i < 10; i++)); do
	at=$((i % 2 ? MIB + BAD + i * 64 : i * 64))
	errors=$(field terr) t0=$(now)
	msg mark_dirty $at 1
	wait_st " $CHUNKS/[0-9]+ ok " 30 || break
	took=$(($(now) - t0))
	((alone += $(field terr) == errors, took <= worst)) || worst=$took
	diag "$took ms, $(($(field terr) - errors)) errors meanwhile"
done
t_is $i 10 "ten chunks elsewhere are copied"
t_between "none of them waits for the others (ms)" $worst 0 $((3000 * QMIRROR_SLOW))
t_like "$(field error)" '^target:write:EIO:[0-9]+$' "the others have failed"

# Its second half is good now, and something before it becomes dirty all the time:
# each time the copier comes to the stretch it comes to its bad beginning.
dm_swap tgt "0 $MIB linear ${RAW[tgt]} 0
$MIB $((BAD / 2)) error
$((MIB + BAD / 2)) $((BAD / 2 + MIB)) linear ${RAW[tgt]} $((MIB + BAD / 2))" --noflush
deadline=$((SECONDS + 60 * QMIRROR_SLOW))
until (($(field dirty) <= CHUNKS / 2)); do
	((SECONDS < deadline)) || break
	msg mark_dirty 0 1
	sleep 1
done
t_wait "the good half is copied, the other still waits" " $((CHUNKS / 2))/[0-9]+ ok " 5
dm_swap tgt "$(linear_line tgt)" --noflush
t_wait "then all of it" '^ready [a-z]+ [^ ]+ 0/' 60
unmirror

# --- a chunk of several pieces ------------------------------------------------------
# One is bad, the others are copied each time: that makes the chunk no better.

dm_swap tgt "0 8192 linear ${RAW[tgt]} 0
8192 8 error
8200 $((LEN - 8200)) linear ${RAW[tgt]} 8200"
mirror sync bitmap granularity 8192 buf_size 8192 on_target_error ignore
msg mark_dirty 8192 1
msg resume
t_wait "a piece fails" ' ok target:write:EIO:8192 '
mark tgt
e0=$(field terr)
sleep 5
# 100, 200, 400, 800, 1600 and 3200 ms
t_between "is tried again as seldom as a small chunk" $(($(field terr) - e0)) 1 6
dm_swap tgt "$(linear_line tgt)" --noflush
t_wait "and is copied when it can be" '^ready [a-z]+ [^ ]+ 0/' 30
unmirror

# --- an orphan at the end of what waits ---------------------------------------------
# It may keep its chunk for ever; what failed before it is tried all the same.

dm_make front "0 512 error"
dm_make mid "0 128 error"
dm_swap tgt "0 $MIB linear ${RAW[tgt]} 0
$MIB 512 linear $DM/front 0
$((MIB + 512)) 128 linear $DM/mid 0
$((MIB + 640)) $((LEN - MIB - 640)) linear ${RAW[tgt]} $((MIB + 640))"
mirror sync none copy_mode write-blocking on_target_error ignore \
	target_timeout $((500 * QMIRROR_SLOW))
wait_st '^ready yes '
msg mark_dirty $MIB 640
errors() # MORE: wait for so many more
{
	local e0 deadline=$((SECONDS + 60 * QMIRROR_SLOW))
	e0=$(field terr)
	until (($(field terr) >= e0 + $1)); do
		((SECONDS < deadline)) || return
		sleep 0.2
	done
}
t_ok "all five chunks fail" errors 20
dm_suspend mid
t_ok "a write to it ends in time" timeout 30 "$TOOLS/dio" $DM/m "w:$((MIB + 512)):128:g1"
t_is "$(field orphans)" 1 "its target's half is an orphan"
t_ok "what is before it is tried again" errors 12
dm_swap front "0 512 linear ${RAW[tgt]} $MIB" --noflush
t_wait "and copied when it can be" '^ready [a-z]+ [^ ]+ 1/' 60
dm_load mid "0 128 linear ${RAW[tgt]} $((MIB + 512))"
dm_resume mid
t_wait "and the orphan's chunk when that has ended" '^ready [a-z]+ [^ ]+ 0/' 60
unmirror

finish

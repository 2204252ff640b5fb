#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A target that hangs, by a delay of minutes or because it is suspended, with all
# kinds of guest I/O in flight on it: reads are not affected; suspend --noflush,
# cancel force and removal end; what cannot be aborted is waited for in the
# background and keeps module and target in use. orphans.t has the single
# write, this the many, and the other kinds, states and ways out.
#
# Guards invariants 1 and 7, K-32.
# vm: --timeout 500

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
rig
fill $DM/src 1
fill $DM/tgt 1

# Long enough for a slow machine; what is delayed ends when the table goes.
SLOW="0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 200000"
slow() { dm swap tgt "$SLOW" || bail "no slow target: $REPLY"; }
MOD=/sys/module/dm_qmirror/refcnt
unused() { [[ $(< $MOD) == 0 ]]; }
open_count() { dmsetup info -c --noheadings -o open "$1"; }
# quick SECONDS COMMAND...: it does not hang
quick() { timeout -k 1 "$@"; }
# timed WORD...: the agent's ioctl alone: on a busy machine a dmsetup takes
# seconds to begin
timed()
{
	local t0 rc=0
	t0=$(now)
	dm "$@" || rc=$?
	MS=$(($(now) - t0))
	return $rc
}
ready_wb() { mirror sync none copy_mode write-blocking "$@" && wait_st '^ready yes '; }

# guests GEN u|d: eight guests: six writes, a flush, and a write-zeroes or a
# discard (the block layer lets one of those wait for the other); in chunks 2, 4,
# 6, 8, 10-12, 14, 15.
guests()
{
	dio -p $DM/m w:256:8:g$1 w:512:8:g$1 w:768:8:g$1 w:1024:128:g$1 \
		w:1300:300:g$1 w:1792:8:g$1 f $2:1920:128 > /tmp/guests 2>&1 &
	GUESTS=$!
}
# until the source has it all, and the target nothing
under_way()
{
	until_true 10 dio $DM/src r:256:8:g$1 r:512:8:g$1 r:768:8:g$1 \
		r:1024:128:g$1 r:1300:300:g$1 r:1792:8:g$1 > /dev/null
}
# t_reads DESC: ten reads, none of them slow
t_reads()
{
	local ops=() i
	for ((i = 0; i < 10; i++)); do
		ops+=("r:$((i * 400)):8")
	done
	if timeout 20 "$TOOLS/dio" $DM/m "${ops[@]}" r:3000:8:g1 > /tmp/reads; then
		t_between "$1: reads are not affected" \
			"$(awk '$3 > m { m = $3 } END { print m + 0 }' /tmp/reads)" 0 1000
	else
		fail "$1: reads are not affected"
	fi
}
t_guests() # DESC
{
	t_ok "$1: all guest I/O ends" in_time 10 $GUESTS
	t_is "$(cut -d' ' -f2 /tmp/guests | xargs)" "ok ok ok ok ok ok ok ok" "$1: each with its source's result"
}
t_in_use() # DESC
{
	t_between "$1: the module is in use" "$(< $MOD)" 1 99
	t_ok "$1: and cannot be unloaded" bash -c '! rmmod dm_qmirror 2>/dev/null'
	t_between "$1: the target's device is in use" "$(open_count tgt)" 1 99
	t_ok "$1: and cannot be removed" bash -c '! dmsetup remove tgt 2>/dev/null'
	t_ok "$1: a new mirror to it is refused" bash -c \
		"! dmsetup create m2 --table '0 $LEN qmirror $DM/src 0 $DM/tgt 0' 2>/dev/null"
}
t_free() # DESC
{
	t_ok "$1: nothing is in use when the target has answered" until_true 10 unused
	t_is "$(open_count tgt)" 0 "$1: the target's device neither"
}

# --- eight guests on a target that takes 30 s; suspend --noflush -----------------

ready_wb on_target_error stop
slow
guests 11 d
t_ok "delay: the guests are under way" under_way 11
sleep 0.3
t_ok "delay: and wait" kill -0 $GUESTS
t_reads "delay"
t_ok "delay: suspend --noflush ends" timed suspend m noflush
t_between "delay: soon" $MS 0 8000
t_between "delay: orphans" "$(field orphans)" 8 10
t_ok "delay: resume" quick 10 dmsetup resume m
t_guests "delay"
st
t_is "${S[synced]} ${S[error]}" "no -" "delay: not synced, and no error"
t_is "${S[dirty]}" 9 "delay: what was given up is dirty"
t_reads "delay, orphans"
t_ok "delay, orphans: new writes there do not wait" timeout 5 "$TOOLS/dio" $DM/m w:256:8:g12 w:1024:128:g12 d:1920:128
d=$(field dirty)
offset=$(field offset)
heal tgt
t_wait "delay: synced when the target has answered" '^ready yes [^ ]+ 0/32 ok - [^ ]+ [^ ]+ 0 .* 0$' 20
t_between "delay: only what was dirty is copied" $(($(field offset) - offset)) 1 $((d * 128))
unmirror
t_equal "delay: legs equal"

# --- cancel force, then remove --------------------------------------------------

ready_wb
slow
guests 13 u
t_ok "cancel force: the guests are under way" under_way 13
sleep 0.3
t_ok "cancel force: returns" timed msg m "cancel force"
t_between "cancel force: soon" $MS 0 6000
t_guests "cancel force"
t_wait "cancel force: aborting" '^aborting no ' 5
t_ok "cancel force: the guest goes on with the source" timeout 5 "$TOOLS/dio" $DM/m w:256:8:g14 r:256:8:g14 f
t_ok "cancel force: suspend and resume" quick 15 bash -c 'dmsetup suspend m && dmsetup resume m'
t_ok "cancel force: remove" timed remove m
t_between "cancel force: soon removed" $MS 0 8000
t_in_use "cancel force"
heal tgt
t_free "cancel force"
mirror && wait_st '^ready ' && unmirror
t_equal "cancel force: a new mirror makes the legs equal"

# --- the same with a suspended target -------------------------------------------

ready_wb
hang
guests 15 d
t_ok "suspended target: the guests are under way" under_way 15
sleep 0.3
t_reads "suspended target"
t_ok "suspended target: cancel force returns" quick 10 dmsetup message m 0 cancel force
t_guests "suspended target"
t_ok "suspended target: remove" quick 15 dmsetup remove m
t_between "suspended target: the module is in use" "$(< $MOD)" 1 99
t_between "suspended target: the target's device is in use" "$(open_count tgt)" 1 99
unhang
t_free "suspended target"
mirror && wait_st '^ready ' && unmirror

# --- the table is exchanged under hanging guests: the way back to the source -----

ready_wb
slow
guests 17 u
t_ok "way back: the guests are under way" under_way 17
sleep 0.3
dmsetup load m --table "0 $LEN linear ${RAW[src]} 0"
t_ok "way back: suspend --noflush, resume" quick 20 bash -c 'dmsetup suspend --noflush m && dmsetup resume m'
t_guests "way back"
t_in_use "way back"
t_ok "way back: the device works" timeout 5 "$TOOLS/dio" $DM/m w:0:8:g18 r:0:8:g18 r:512:8:g17
heal tgt
t_free "way back"
dmsetup remove m
mirror && wait_st '^ready ' && unmirror

# --- background copies hang, no guest --------------------------------------------

# a plain suspend is bounded, and the job goes on after it
fill $DM/tgt 2
slow
mirror
wait_st '^running .* [1-9][0-9]* [0-9]+ [a-z]' 10
t_ok "copies hang: a plain suspend ends" timed suspend m
t_between "copies hang: within its 5 s" $MS 0 7000
t_between "copies hang: orphans" "$(field orphans)" 1 32
t_ok "copies hang: resume" quick 10 dmsetup resume m
t_ok "copies hang: reads and writes" timeout 5 "$TOOLS/dio" $DM/m r:3000:8:g1 w:3900:8:g1
heal tgt
t_wait "copies hang: ready when the target has answered" '^ready .* 0$' 20
unmirror
t_equal "copies hang: legs equal"

# pause with copies in flight: what is in flight is waited for, not the verb
fill $DM/tgt 2
slow
mirror
wait_st '^running .* [1-9][0-9]* [0-9]+ [a-z]' 10
t_ok "copies hang: pause returns" timed msg m pause
t_between "copies hang: pause returns soon" $MS 0 6000
t_ok "copies hang: cancel force of a paused one" quick 10 dmsetup message m 0 cancel force
t_wait "copies hang: aborting" '^aborting ' 5
t_ok "copies hang: remove" quick 15 dmsetup remove m
t_in_use "copies hang"
heal tgt
t_free "copies hang"

# remove without a word
fill $DM/tgt 2
slow
mirror
wait_st '^running .* [1-9][0-9]* [0-9]+ [a-z]' 10
t_ok "copies hang: remove without cancel" timed remove m
t_between "copies hang: removed soon" $MS 0 7000
t_between "copies hang: removed, the module is in use" "$(< $MOD)" 1 99
heal tgt
t_free "copies hang: removed"

# --- the job's own flushes hang ----------------------------------------------------

bad_table slow-flush
dm swap tgt "$TABLE"
mirror sync none
sleep 0.5
t_is "$(field state)" running "flush hangs: not ready"
t_ok "flush hangs: the guest goes on" timeout 5 "$TOOLS/dio" $DM/m w:0:8:g21 r:0:8:g21 f
t_ok "flush hangs: cancel force returns" quick 10 dmsetup message m 0 cancel force
t_wait "flush hangs: ends" '^(aborting|concluded) ' 5
t_ok "flush hangs: remove" quick 15 dmsetup remove m
heal tgt
t_free "flush hangs"
mirror && wait_st '^ready ' && unmirror

# in pending: cancel force and remove
ready_wb
msg complete
wait_st '^pending yes '
slow
guests 23 u
t_ok "pending: the guests are under way" until_true 10 dio $DM/src r:256:8:g23 r:1300:300:g23 r:1792:8:g23
t_ok "pending: cancel force returns" quick 10 dmsetup message m 0 cancel force
t_guests "pending"
t_ok "pending: remove" quick 15 dmsetup remove m
heal tgt
t_free "pending"
mirror && wait_st '^ready ' && unmirror
t_equal "pending: a new mirror makes the legs equal"

rig_down
finish

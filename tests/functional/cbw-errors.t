#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Who loses when the store fails: both policies with EIO, real ENOSPC (a full
# thin pool, a file on a full file system), errors of the source, and a store
# that neither answers nor fails.
#
# Guards invariants 5, 6 and 7; C-5 ... C-9, C-29, C-37 ... C-41, K-44 ... K-47.
# vm: --timeout 500

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
need_modules dm-delay
snap_legs $((64 * CL))
dm_make bad "0 $LEN error"
modprobe dm-thin-pool || bail "no dm-thin-pool"

good_store() { dm_swap store "0 $LEN linear ${RAW[store]} 0" --noflush; }
good_src() { dm_swap src "0 $LEN linear ${RAW[src]} 0" --noflush; }

# Where the store's own writes go wrong. A thin device over a pool of one
# block, which is taken; a sparse file on a file system without room.
raw_disk nullmeta 8192 > /dev/null
raw_disk nullpool 128 > /dev/null
dm_make pool "0 128 thin-pool /dev/nullmeta /dev/nullpool 128 0 1 error_if_no_space"
dmsetup message pool 0 create_thin 0
dm_make thin "0 $LEN thin $DM/pool 0"
dio $DM/thin w:$((63 * CL)):8:g1 > /dev/null
raw_disk nullfs 8192 > /dev/null
mkfs.ext4 -q -O ^has_journal /dev/nullfs
mkdir -p /tmp/full && mount /dev/nullfs /tmp/full
truncate -s $((LEN * 512)) /tmp/full/store
# With buffered writes a loop device would say EIO.
loop=$(losetup -f --show --direct-io=on /tmp/full/store)
head -c $((LEN * 512)) /dev/zero > /tmp/full/filler 2> /dev/null
sync

declare -A BREAK ERRNO FIELD
BREAK[EIO]="0 $LEN linear $DM/bad 0"		ERRNO[EIO]=EIO
BREAK[thin]="0 $LEN linear $DM/thin 0"		ERRNO[thin]=ENOSPC
BREAK[loop]="0 $LEN linear $loop 0"		ERRNO[loop]=ENOSPC
FIELD[EIO]=write:EIO:1024 FIELD[thin]=write:ENOSPC:1024 FIELD[loop]=write:ENOSPC:1024
# reads fail, writes do not
BREAK[read]="0 $LEN delay $DM/bad 0 0 ${RAW[src]} 0 0"	ERRNO[read]=EIO FIELD[read]=read:EIO:1024

break_it()
{
	if [[ $1 == read ]]; then
		dm_swap src "${BREAK[$1]}"
	else
		dm_swap store "${BREAK[$1]}"
	fi || bail "cannot break $1"
}
heal_it() { if [[ $1 == read ]]; then good_src; else good_store; fi; }

for kind in EIO thin loop read; do
	# --- break-guest-write ---
	n="break-guest-write, $kind"
	fill $DM/src 1
	filter on_cbw_error break-guest-write
	view
	t_io "$n: before, a write" ok w:0:8:g2
	armed_told
	ev=$(events f)
	log_mark
	break_it $kind
	t_io "$n: the write has the real cause" "${ERRNO[$kind]}" w:1024:8:g3
	st
	t_is "${S[state]} ${S[copied]} ${S[error]} ${S[failed]}" "armed 1 ${FIELD[$kind]} 1" "$n: status"
	t_io "$n: again" "${ERRNO[$kind]}" w:1030:8:g3
	t_is "$(field failed) $(field error)" "2 ${FIELD[$kind]}" "$n: counted, the first error stays"
	t_io "$n: zeroes, too" "${ERRNO[$kind]}" z:1024:128
	t_io "$n: a saved cluster is written all the same" ok w:8:8:g2
	t_ok "$n: an event" until_true 5 eval '(($(events f) > ev))'
	t_is "$(log_new | grep -c 'copy before write failed')" 1 "$n: one log line"
	heal_it $kind
	t_is "$(view_st)" "live ${FIELD[$kind]}" "$n: the view is live"
	t_vio "$n: and whole" "ok ok" r:0:4096:g1 r:4096:4096:g1
	t_io "$n: nothing was overwritten" ok r:1024:128:g1
	t_io "$n: healed, the same write succeeds" ok w:1024:8:g3
	t_vio "$n: and the view is whole" "ok ok" r:0:4096:g1 r:4096:4096:g1
	unsnap

	# --- break-snapshot ---
	n="break-snapshot, $kind"
	fill $DM/src 1
	filter on_cbw_error break-snapshot
	view
	t_io "$n: before, a write" ok w:0:8:g2
	armed_told
	ev=$(events f) vev=$(events v)
	log_mark
	break_it $kind
	t_io "$n: the write passes" ok w:1024:8:g3
	heal_it $kind
	st
	t_is "${S[state]} ${S[error]} ${S[failed]}" "broken ${FIELD[$kind]} 0" "$n: status"
	t_is "$(view_st)" "broken ${FIELD[$kind]}" "$n: the view's"
	t_vio "$n: the view is gone, also what was saved" "EIO EIO EIO" r:0:8 r:1024:8 r:4096:8
	t_io "$n: the guest has what it wrote" "ok ok" r:1024:8:g3 r:0:8:g2
	mark store
	t_io "$n: later writes pass" "ok ok" w:2048:1024:g4 z:4096:128
	t_is "$(since store wsec)" 0 "$n: and copy nothing"
	t_ok "$n: one event on the filter" until_true 5 eval '(($(events f) == ev + 1))'
	t_ok "$n: one on the view" until_true 5 eval '(($(events v) == vev + 1))'
	t_is "$(log_new | grep -c 'cbw: f: ')" 1 "$n: one log line"
	dm_suspend f
	t_msg "$n: arm while broken is refused" EBUSY arm
	dm_resume f
	t_msg "$n: disarm" ok disarm
	t_is "$(view_st)" "ended -" "$n: the view has ended"
	fill $DM/f 5
	t_ok "$n: arm" arm
	t_vio "$n: an old view does not show a new snapshot" EIO r:0:8
	dm_swap v "$(view_line)"
	t_io "$n: a write" ok w:0:8:g6
	t_vio "$n: the new view does" ok r:0:4096:g5
	unsnap
done

# --- only a part of the store fails (C-7) -------------------------------------------

fill $DM/src 1
filter
view
good_store
dm_swap store "0 $((9 * CL)) linear ${RAW[store]} 0
$((9 * CL)) $CL error
$((10 * CL)) $((LEN - 10 * CL)) linear ${RAW[store]} $((10 * CL))"
t_io "C-7: a write over three clusters, the middle one fails" EIO w:$((8 * CL)):$((3 * CL)):g2
t_io "C-7: nothing is overwritten" ok r:$((8 * CL)):$((3 * CL)):g1
t_vio "C-7: the view is whole" ok r:$((7 * CL)):$((5 * CL)):g1
good_store
t_io "C-7: again, healed" ok w:$((8 * CL)):$((3 * CL)):g2
t_vio "C-7: the view is whole" ok r:$((7 * CL)):$((5 * CL)):g1
unsnap

# --- writers to one cluster (C-9) ----------------------------------------------------
# The source's reads take 3 s: both write meanwhile. The first one's copy meets a
# failing store, the second one's a good one.

fill $DM/src 1
filter
view
dm_swap src "0 $LEN delay ${RAW[src]} 0 3000 ${RAW[src]} 0 0"
dm_swap store "${BREAK[EIO]}"
dio $DM/f w:1024:8:g2 > /tmp/first 2>&1 & first=$!
t_wait "C-9: a copy is under way" '^armed 0/64 1 '
dio $DM/f w:1040:8:g3 > /tmp/second 2>&1 & second=$!
wait $first
t_like "$(< /tmp/first)" ' EIO ' "C-9: the first one's copy failed, and it with it"
t_ok "C-9: the second one is still there" kill -0 $second
good_store
wait $second
t_like "$(< /tmp/second)" ' ok ' "C-9: the second one copied for itself, and succeeds"
st
t_is "${S[copied]} ${S[failed]}" "1 1" "C-9: status"
good_src
t_io "C-9: what the guest has" "ok ok" r:1024:8:g1 r:1040:8:g3
t_vio "C-9: the view is whole" ok r:1024:128:g1

# --- readers and writers (invariant 5) ------------------------------------------------
# A read of the source that starts while a copy is under way reads after the
# guest has written: it must be read again.

dm_swap src "0 $LEN delay ${RAW[src]} 0 3000 ${RAW[src]} 0 0"
mark store
dio $DM/f w:2048:8:g4 > /tmp/write.out 2>&1 & w=$!
t_wait "race: a copy is under way" '^armed 1/64 1 '
# so much later the reader's read ends
sleep 1
dio $DM/v r:$((15 * CL)):$((3 * CL)):g1 > /tmp/read.out 2>&1 & r=$!
wait $w
t_like "$(< /tmp/write.out)" ' ok ' "race: the guest has written"
t_ok "race: while the read was in flight" kill -0 $r
wait $r
t_like "$(< /tmp/read.out)" ' ok ' "race: the reader gets what was"
t_is "$(since store rsec)" $CL "race: one cluster of it from the store"

# one that has copied nothing yet, and a discard, and zeroes. What is delayed goes
# on when the table does.
dm_swap src "0 $LEN delay ${RAW[src]} 0 600000 ${RAW[src]} 0 0"
dio $DM/v r:4096:128:g1 > /tmp/read.out 2>&1 & r=$!
sleep 0.1
msg disarm
t_io "ended while a read is in flight: writes pass" ok w:4096:8:g5
t_ok "ended: the read is still there" kill -0 $r
good_src
wait $r
t_like "$(< /tmp/read.out)" ' EIO ' "ended: it fails"
unsnap

# --- a read in flight elsewhere when the snapshot breaks (C-29) -----------------------

fill $DM/src 1
filter on_cbw_error break-snapshot
view
dm_swap src "0 1024 delay ${RAW[src]} 0 600000 ${RAW[src]} 0 0
1024 $((LEN - 1024)) linear ${RAW[src]} 1024"
dm_swap store "${BREAK[EIO]}"
dio $DM/v r:0:8:g1 > /tmp/read.out 2>&1 & r=$!
sleep 0.2
t_io "C-29: a write elsewhere breaks the snapshot" ok w:2048:8:g2
t_is "$(field state)" broken "C-29: it is broken"
t_io "C-29: a write where a read is in flight passes" ok w:0:8:g3
t_ok "C-29: the read is still there" kill -0 $r
good_src
wait $r
t_like "$(< /tmp/read.out)" ' EIO ' "C-29: and fails, and returns no new data"
good_store
unsnap

# --- a store that neither answers nor fails -------------------------------------------

hang_store() { dm_suspend store --noflush; }
heal_store() { dm_resume store; }
MOD=/sys/module/dm_cbw/refcnt

fill $DM/src 1
filter cbw_timeout 400
view
hang_store
mark src
out=$(dio $DM/f w:1024:8:g2)
t_is "$(cut -d' ' -f2 <<< "$out")" ETIMEDOUT "timeout, break-guest-write: the write fails"
# Never early; but the kernel's clock may be a tick (4 ms) late when it begins.
t_between "timeout: in time" "$(cut -d' ' -f3 <<< "$out")" 396 3000
st
t_is "${S[state]} ${S[inflight]} ${S[error]} ${S[failed]}" "armed 1 timeout:ETIMEDOUT:1024 1" "timeout: status"
t_io "timeout: tried again it waits for the same copy" ETIMEDOUT w:1032:8:g2
t_is "$(since src rsec)" $CL "timeout: and starts no other"
t_io "timeout: reads are not affected" "ok ok" r:1024:8:g1 r:0:8:g1
t_vio "timeout: nor is the view" "ok ok" r:1024:8:g1 r:0:8:g1
heal_store
t_wait "timeout: the orphan ends, and counts" '^armed 1/64 0 '
mark src
t_io "timeout: the next write needs no copy" ok w:1024:8:g2
t_is "$(since src rsec)" 0 "timeout: indeed (C-39)"
t_vio "timeout: the view is whole" ok r:0:4096:g1
unsnap

fill $DM/src 1
filter cbw_timeout 400 on_cbw_error break-snapshot
view
hang_store
out=$(dio $DM/f w:1024:8:g2)
t_is "$(cut -d' ' -f2 <<< "$out")" ok "timeout, break-snapshot: the write passes"
t_between "timeout, break-snapshot: in time" "$(cut -d' ' -f3 <<< "$out")" 396 3000
t_is "$(field state) $(field error)" "broken timeout:ETIMEDOUT:1024" "timeout, break-snapshot: status"
t_vio "timeout, break-snapshot: the view fails" EIO r:4096:8
msg disarm
arm
t_is "$MSG" EBUSY "timeout: with a copy in flight arm is refused"
t_is "$(field state) $(field inflight)" "idle 1" "timeout: status"
heal_store
t_wait "timeout: the orphan ends" '^idle 0/64 0 '
fill $DM/f 3
t_ok "timeout: then arm" arm
dm_swap v "$(view_line)"
t_io "timeout: a write" ok w:0:8:g4
t_vio "timeout: the new view is whole (C-40)" ok r:0:4096:g3
unsnap

# no time-out: suspend without flush, and removal, end all the same
fill $DM/src 1
filter
view
hang_store
dio -p $DM/f w:1024:8:g2 w:2048:300:g2 w:1040:8:g2 > /tmp/write.out 2>&1 & w=$!
t_wait "hang: copies are under way" '^armed 0/64 4 '
t_io "hang: reads are not affected" ok r:1024:8:g1
t_ok "hang: suspend without flush ends" timeout 10 dmsetup suspend --noflush f
t_ok "hang: resume" timeout 10 dmsetup resume f
t_ok "hang: the writes are still there, nothing failed" kill -0 $w
heal_store
wait $w
t_is "$(cut -d' ' -f2 /tmp/write.out | xargs)" "ok ok ok" "hang: they succeed when the store has answered"
t_vio "hang: the view is whole" ok r:0:4096:g1

hang_store
dio $DM/f w:4096:8:g2 > /tmp/write.out 2>&1 & w=$!
t_wait "hang: a copy is under way" '^armed 4/64 1 '
dm_load f "0 $LEN linear $DM/src 0"
t_ok "hang: another table" timeout 20 bash -c "dmsetup suspend --noflush f && dmsetup resume f"
wait $w
t_like "$(< /tmp/write.out)" ' ok ' "hang: the write goes there"
t_is "$(view_st)" "ended -" "hang: the view has ended"
t_ok "hang: the view can be removed" timeout 10 dmsetup remove v
t_ok "hang: and the device" timeout 10 dmsetup remove f
t_between "hang: the module is in use" "$(< $MOD)" 1 9
t_between "hang: the store is" "$(dmsetup info -c --noheadings -o open store)" 1 9
t_is "$(dmsetup info -c --noheadings -o open src)" 0 "hang: the source is not"
t_ok "hang: the store is refused to others" bash -c "! '$TOOLS/dmq' create g '$(cbw_line)' 2>/dev/null"
heal_store
t_ok "hang: all is free when it has answered" until_true 10 eval '[[ $(< $MOD) == 0 ]]'
t_is "$(dmsetup info -c --noheadings -o open store)" 0 "hang: the store, too"

losetup -d "$loop"
umount /tmp/full
dm_remove thin
dm_remove pool
finish

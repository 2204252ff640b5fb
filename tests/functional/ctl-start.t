#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qmirrorctl mirror start, status, pause, resume, set, mark-dirty, complete and
# cancel: slid under a mounted file system with fio on it, and over a plain
# device.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
disks
fs_begin

# --- slid under ---
tool 0 "start under a mounted file system" mirror start data "$B" --copy-mode write-blocking
like "$OUT" '^data: (running|ready)$' "says the state"
like "$(table_of data)" ' qmirror ' "data is the mirror"
is "$(table_of data-qsrc)" "$OLD" "data-qsrc has the old table"
like "$(dmsetup info -c --noheadings -o uuid data-qsrc)" '^QMIRROR-src-' "under a uuid of ours"
is "$(suspended)" '' "nothing is suspended"
[[ ! -e /run/qmirrorctl/journal ]] && pass "and the journal is gone" || fail "and the journal is gone"
refuses 4 "already carries a mirror" "a second start is refused" mirror start data "$B"
refuses 4 "part of another" "data-qsrc is nobody's source" mirror start data-qsrc "$B"
tool 0 "wait" mirror wait data --timeout 30
tool 0 "set" mirror set data speed=1M on-target-error=stop copy_mode=background
like "$(dm_field data args)" 'speed 2048' "speed arrived"
like "$(dm_field data args)" 'on_target_error stop' "policy arrived"
tool 0 "pause" mirror pause data
is "$(job_state data)" standby "it is standby"
refuses 5 'standby' "complete of a stopped job" mirror complete data
refuses 5 'standby' "cancel of a stopped job" mirror cancel data
tool 0 "resume by path" mirror resume $DM/data
tool 0 "set back" mirror set data speed=0 copy-mode=write-blocking
tool 0 "complete" mirror complete data --timeout 30
like "$OUT" 'same signatures' "it says that the old source still looks alike"
is "$(table_of data)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "data is on the target"
ok "data-qsrc is gone" eval '! exists data-qsrc'
is "$(suspended)" '' "nothing is suspended"
tool 0 "start again, back to the first disk" mirror start data "$A" --force --wait --timeout 30
tool 0 "cancel in ready: a point-in-time copy" mirror cancel data
is "$(table_of data)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "data has its old table"
ok "data-qsrc is gone" eval '! exists data-qsrc'
fs_end
umount /tmp/mnt
cleanups=()
ok "the file system is clean" fsck.ext4 -fn $DM/data

# --- equal legs, with nobody writing ---
tool 0 "start and wait" mirror start data "$A" --force --wait
tool 7 "background mode is never synced" mirror wait data --for synced
like "$ERR" 'type next: qmirrorctl mirror set data copy-mode=write-blocking' "and what to type next"
tool 0 "write-blocking" mirror set data copy-mode=write-blocking
tool 0 "mark-dirty from stdin" mirror mark-dirty data - <<< "0 4096"
tool 0 "and wait for it" mirror wait data --for synced --timeout 20
tool 0 "cancel" mirror cancel data
ok "the legs are equal" legs_equal "$A" 0 "$B" 0 "$LEN"

# --- cancel in every state ---
for how in running paused concluded; do
	force=''
	tool 0 "$how: start" mirror start data "$A" --force --speed 512K
	case $how in
	paused) tool 0 "paused: pause" mirror pause data; force=--force ;;
	concluded) dmsetup message data 0 cancel force ;;
	esac
	tool 0 "$how: cancel" mirror cancel data ${force:+"$force"}
	is "$(table_of data)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "$how: the old table is back"
	ok "$how: data-qsrc is gone" eval '! exists data-qsrc'
done

# --- sync modes ---
tool 0 "sync top" mirror start data "$A" --force --sync top --wait
like "$ERR" 'no layer below.*full' "says that it is full"
tool 0 "cancel" mirror cancel data
printf '%s\n' '0 65536' '1048576 131072' > /tmp/map
tool 0 "sync bitmap from a file" mirror start data "$A" --sync bitmap --bitmap /tmp/map --wait --timeout 20
is "$(dm_field data dirty)" 0 "all of the bitmap was copied"
refuses 4 'sync bitmap' "complete of it needs --force" mirror complete data
tool 0 "complete --force" mirror complete data --force
tool 0 "sync bitmap without a file" mirror start data "$B" --sync bitmap
is "$(job_state data)" paused "waits for one"
tool 0 "mark-dirty" mirror mark-dirty data /tmp/map
is "$(dm_field data dirty)" 3 "three chunks"
tool 0 "resume" mirror resume data
tool 0 "wait" mirror wait data --timeout 20
tool 0 "cancel" mirror cancel data
tool 0 "sync none" mirror start data "$B" --sync none
tool 0 "is ready at once" mirror wait data --timeout 10
tool 0 "cancel" mirror cancel data
dmsetup remove data

# --- a plain device ---
refuses 2 'give --name' "a plain device without --name" mirror start "$A" "$B"
tool 0 "a plain device with --name" mirror start "$A" "$B" --name plain --force --wait --timeout 30
ok "/dev/mapper/plain is there" test -b $DM/plain
refuses 4 'is taken' "the name is taken" mirror start "$A" "$B" --name plain
refuses 4 'carries a mirror' "remove of a live mirror" remove plain
tool 0 "complete" mirror complete plain
is "$(table_of plain)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$B") 0" "it is on the target"
exec 9< $DM/plain
refuses 4 'in use' "remove of an open device" remove plain
exec 9<&-
tool 0 "remove" remove plain
ok "it is gone" eval '! exists plain'
tool 0 "once more" mirror start "$A" "$B" --name plain --force
tool 0 "cancel" mirror cancel plain --force
is "$(table_of plain)" "0 $LEN linear $(stat -c '%Hr:%Lr' "$A") 0" "it is on the source"
tool 0 "remove" remove plain
refuses 3 'not found' "remove of nothing" remove plain
tool 0 "status of nothing" status
is "$OUT" "no mirrors, no snapshots" "says so"

done_testing

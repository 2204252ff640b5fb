#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writes that wait for several copies at once of which one never ends: a time-out
# ends the waiting also when another of them has failed, and nobody waits for a
# copy whose clusters were released, though another copy is still wanted.
#
# Guards invariant 7; C-9, C-31, C-41.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
need_modules dm-delay
snap_legs $((64 * CL))
dm_make bad "0 $LEN error"
dm_make hung "0 $LEN linear ${RAW[store]} 0"
good_store() { dm_swap store "0 $LEN linear ${RAW[store]} 0" --noflush; }

# Clusters 0 ... 9 of the store are TARGET, the others may hang.
split_store() # TARGET...
{
	dm_swap store "0 $((10 * CL)) $*
$((10 * CL)) $((LEN - 10 * CL)) linear $DM/hung $((10 * CL))" --noflush
}

# write_three: over clusters 9, 10, 11 of which the middle one is saved, which
# takes two copies
write_three() { dio $DM/f w:$((9 * CL)):$((3 * CL)):g3 > /tmp/write.out 2>&1 & w=$!; }

# --- one fails, one hangs ----------------------------------------------------------------

fill $DM/src 1
filter cbw_timeout 500
view
t_io "time-out: the middle cluster is saved" ok w:$((10 * CL)):8:g2
dm_suspend hung --noflush
split_store linear $DM/bad 0
write_three
in_time 20 $w
t_is $? 1 "time-out: the write ends, though one of its copies never does"
t_like "$(< /tmp/write.out)" ' EIO ' "time-out: with the cause that came first"
st
t_is "${S[state]} ${S[error]} ${S[failed]} ${S[inflight]}" "armed write:EIO:$((9 * CL)) 1 1" "time-out: status"
dm_resume hung
good_store
t_wait "time-out: the orphan ends" '^armed 2/64 0 '
t_io "time-out: nothing was overwritten" "ok" r:$((9 * CL)):$CL:g1
t_vio "time-out: the view is whole" ok r:0:4096:g1
unsnap

# --- one hangs and is released, one is slow ------------------------------------------------

fill $DM/src 1
filter
view
t_io "release: the middle cluster is saved" ok w:$((10 * CL)):8:g2
dm_suspend hung --noflush
split_store delay ${RAW[store]} 0 0 ${RAW[store]} 0 2000
write_three
t_wait "release: two copies are under way" '^armed 1/64 2 '
t_msg "release: of the one that hangs" ok release $((11 * CL)) $CL
t_ok "release: the write waits for the other one" kill -0 $w
t_ok "release: and then goes on" in_time 20 $w
t_like "$(< /tmp/write.out)" ' ok ' "release: and succeeds"
t_is "$(field inflight)" 1 "release: while the released copy hangs"
dm_resume hung
t_wait "release: it ends" '^armed 2/64 0 '
t_vio "release: the view is whole" "ok EIO" r:$((9 * CL)):$((2 * CL)):g1 r:$((11 * CL)):8
good_store
unsnap
finish

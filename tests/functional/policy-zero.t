#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy matrix, part 2: write-zeroes and discards of the target that fail:
# the copier's zeroes (zero_detect), a guest's, and a guest's discards. With
# real WRITE_ZEROES errors (a write protected SCSI disk) and with a target that
# has no WRITE_ZEROES and fails the data instead.
#
# Guards invariant 1 and the policy table of the contract (qemu-semantics 1.12,
# K-14, K-15, K-20, K-23, K-25).
# vm: --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
rig
rig_scsi
rig_thin

# u is WRITE_ZEROES and nothing else
rig_is scsi-protect "EREMOTEIO ok EREMOTEIO ok" u:1032:8 u:1040:8 d:1032:8 d:1040:8
rig_is thin-full "EOPNOTSUPP ENOSPC" u:1032:8 z:1032:8
rig_is flakey-write "EIO ok EOPNOTSUPP" d:1032:8 d:1040:8 u:1032:8
fill $DM/src 1
fill $DM/tgt 1

walk stock zero discard

# A discard that the target cannot do at all is no error (contract, "Guest
# rules"): no policy is asked, the chunk is dirty and copied.
dm swap tgt "$(with tgt "delay ${RAW[tgt]} $BAD 0 $DM/err $BAD 0")"
mirror sync none copy_mode write-blocking on_target_error report
wait_st '^ready yes '
t_ok "a target without discard: the guest's discard succeeds" dio $DM/m d:2048:128
t_wait "a target without discard: no error" '^ready yes [^ ]+ 0/32 ok - 0 0 0 ' 10
heal tgt
unmirror
t_equal "a target without discard: legs equal"

rig_down
finish

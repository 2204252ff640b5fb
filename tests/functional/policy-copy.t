#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy matrix, part 1: reads of the source and writes of the target that
# fail, under every policy, before and after READY, in the background and for a
# guest: the cells of policy-matrix.tsv.
#
# Guards invariant 1 (failures mark) and the policy table of the contract
# (qemu-semantics 1.12, K-20, K-21, K-23, K-25).
# vm: --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
t_ok "the data file has a row for every combination" check_matrix
rig
rig_scsi
rig_thin

# The rig itself: each means fails with its errno, in its range and direction
# only.
rig_is error-read "EIO ok ok" r:1032:8 r:1040:8 w:1032:8:g1
rig_is scsi-medium "ENODATA ok ok" r:1032:8 r:1040:8 w:1032:8:g1
rig_is flakey-write "EIO ok ok ok" w:1032:8:g1 r:1032:8 w:1024:8:g1 f
rig_is thin-full "ENOSPC ok ok ok" w:1032:8:g1 r:1032:8 w:1024:8:g1 f
rig_is scsi-protect "EREMOTEIO ok ok" w:1032:8:g1 w:1024:8:g1 f
fill $DM/src 1
fill $DM/tgt 1

walk stock read write

# After a job that ended: the next one, over healed legs.
mirror
t_wait "a new mirror after all that: ready" '^ready ' 20
unmirror
t_equal "a new mirror after all that: legs equal"

rig_down
finish

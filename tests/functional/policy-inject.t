#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy matrix, part 4: what no stock device answers. The block layer of
# 7.2 lets an operation fail on a disk, in a range, with a status by name
# (BLK_ERROR_INJECTION): ENOSPC for reads, discards and flushes, any status for
# the job's own flush, and real WRITE_ZEROES errors.
#
# Guards invariant 1 (failures mark) and the policy table of the contract
# (qemu-semantics 1.12, K-14, K-15, K-20 ... K-25, M-53).
# vm: --kernel 7.2-* --timeout 900

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
t_ok "the data file has a row for every combination" check_matrix
rig
rig_inject

# The rig itself: each means fails with its errno, in its range and for its
# operation only. u is WRITE_ZEROES and nothing else.
rig_is inject-read:ENOSPC "ENOSPC ok ok ok ok" r:1032:8 r:1040:8 w:1032:8:g1 d:1032:8 f
rig_is inject-write:ETIMEDOUT "ETIMEDOUT ok ok ok ok" w:1032:8:g1 w:1024:8:g1 r:1032:8 u:1032:8 f
rig_is inject-zero:ENOSPC "ENOSPC ok ENOSPC ok ok" u:1032:8 u:1040:8 w:1032:8:g1 d:1032:8 f
rig_is inject-discard:ENOLINK "ENOLINK ok ok ok ok" d:1032:8 d:1040:8 u:1032:8 w:1032:8:g1 f
rig_is inject-flush:ENOSPC "ok ok ok ENOSPC ok" w:1032:8:g1 d:1032:8 r:1032:8 f w:0:16:g1
rig_is inject-flush:ENOLINK "ENOLINK ok" f r:0:8
dio $DM/tgt f > /dev/null
t_is "$(dio $DM/tgt u:1032:8 d:1032:8 w:1032:8:g1 f r:1032:8:g1 | cut -d' ' -f2 | xargs)" \
	"ok ok ok ok ok" "rig: healed"
fill $DM/src 1
fill $DM/tgt 1

walk injected read write zero discard flush

# --- what is no error ----------------------------------------------------------

# A target that says it can and then cannot: a discard is forgotten, and zeroes
# are written as data, whatever the reason; no policy is asked.
no_error() # OP ERRNO GUEST-OP...
{
	local name="$1 ends with $2"
	inject tgt "$1" 0 0 "$2"
	mirror sync none copy_mode write-blocking on_target_error report
	wait_st '^ready yes '
	t_ok "$name: the guest's succeeds" dio $DM/m "${@:3}"
	t_wait "$name: no error, nothing dirty in the end" \
		'^ready yes [^ ]+ 0/32 ok - 0 0 0 ' 10
	unmirror
	t_equal "$name: legs equal"
	heal tgt
}
no_error DISCARD EOPNOTSUPP d:2048:128 d:1032:8
for errno in EOPNOTSUPP EREMOTEIO ENOSPC EIO; do
	dio $DM/src w:2048:1024:g7 > /dev/null
	dio $DM/tgt w:2048:1024:g7 > /dev/null
	no_error WRITE_ZEROES $errno u:2048:128 u:1032:8 u:3000:8
done

# The copier's zeroes, too.
for errno in EOPNOTSUPP EIO; do
	dio $DM/src u:2048:512 > /dev/null
	dio $DM/tgt w:2048:512:g7 > /dev/null
	inject tgt WRITE_ZEROES 0 0 $errno
	mirror sync bitmap zero_detect on_target_error report
	msg mark_dirty 2048 512
	msg resume
	t_wait "zero_detect, $errno: ready, no error" '^ready no [^ ]+ 0/32 ok - 0 0 0 ' 20
	unmirror
	t_equal "zero_detect, $errno: legs equal"
	heal tgt
done

# --- every status the block layer knows has its name -----------------------------

for errno in EIO ENOSPC ETIMEDOUT ENOLINK EREMOTEIO EBADE ENODATA EILSEQ ENOMEM \
	     EBUSY ENODEV ETIME EINVAL EOPNOTSUPP; do
	mirror sync none copy_mode write-blocking on_target_error stop
	wait_st '^ready yes '
	inject tgt WRITE $BAD $BADLEN $errno
	t_is "$(guest "w:$BAD:$BADLEN:g9")" ok "$errno: the guest's write succeeds"
	status=failed
	[[ $errno != ENOSPC ]] || status=nospace
	t_wait "$errno: standby, by its name" \
		"^standby no [^ ]+ 1/32 $status target:write:$errno:$BAD 0 1 0 " 10
	heal tgt
	mark tgt
	msg resume
	t_wait "$errno: synced after healing" '^ready yes [^ ]+ 0/32 ok - 0 1 0 ' 10
	t_is "$(since tgt wsec)" 128 "$errno: one chunk was copied"
	unmirror
done
t_equal "after all these: legs equal"

rig_down
finish

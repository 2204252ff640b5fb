#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything at once: a guest with a model of its data, while the target
# fails, slows down, hangs and comes back, the mode changes, the job is paused,
# stopped, resumed, reloaded and suspended with and without flush. Then all is
# healed, and the legs have to be equal.
#
# Guards invariants 1, 2, 3 and 7 together.
# vm: --timeout 400

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
need_modules dm-delay dm-flakey
legs $((16 * 2048 + 1)) cache_size=4
dm_make flk "0 $LEN flakey ${RAW[tgt]} 0 0 60 1 error_writes"

good=$(linear_line tgt)
slow="0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 30"
bad="0 $LEN delay ${RAW[tgt]} 0 0 $DM/flk 0 0 ${RAW[tgt]} 0 0"
noflush="0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 0 $DM/flk 0 0"
hung=

heal() { [[ ! $hung ]] || unhang; hung=; dm_swap tgt "$good" --noflush; }

step()
{
	rnd 16
	case $REPLY in
	0)	[[ $hung ]] || dm_swap tgt "$slow" --noflush; echo slow ;;
	1)	[[ $hung ]] || dm_swap tgt "$bad" --noflush; echo bad ;;
	2)	[[ $hung ]] || dm_swap tgt "$noflush" --noflush; echo noflush ;;
	3|4)	heal; echo heal ;;
	5)	[[ $hung ]] || hang; hung=yes; echo hang ;;
	6)	msg pause; echo pause ;;
	7|8)	msg resume; echo resume ;;
	9)	msg set copy_mode background; echo background ;;
	10)	msg set copy_mode write-blocking; echo write-blocking ;;
	11)	rnd 2; [[ $REPLY == 1 ]] && msg set on_target_error stop || msg set on_target_error ignore; echo policy ;;
	12)	rnd $((LEN - 300)); msg mark_dirty "$REPLY" 300; echo mark_dirty ;;
	13)	[[ $hung ]] && { echo -; return; }
		dm_load m "$TABLE"; timeout 20 dmsetup suspend m; dmsetup resume m; echo reload ;;
	14)	timeout 20 dmsetup suspend --noflush m; dmsetup resume m; echo noflush-suspend ;;
	15)	[[ $hung ]] && { echo -; return; }
		timeout 20 dmsetup suspend m; dmsetup resume m; echo suspend ;;
	esac
}

for args in "target_timeout 300 on_target_error ignore" \
	    "target_timeout 300 on_target_error stop copy_mode write-blocking granularity 8" \
	    "on_target_error ignore copy_mode write-blocking no_bounce"; do
	fill $DM/tgt 2
	# shellcheck disable=SC2086
	TABLE=$(line $args)
	dm_make m "$TABLE"
	"$TOOLS/mixer" -t 3 -d 15 -r $SEED $DM/m > /tmp/mixer 2>&1 &
	x=$!
	steps=
	while kill -0 $x 2>/dev/null; do
		step > /tmp/step
		steps+=" $(< /tmp/step)"
		# no_bounce can give nothing up: there a hang is a short one
		[[ $hung && $args == *no_bounce* ]] && { sleep 0.1; heal; }
	done
	diag "steps:$steps"
	heal
	t_ok "$args: the guest's model holds" wait $x
	diag "$(< /tmp/mixer)"
	t_wait "$args: orphans end" ' 0$' 10
	msg set copy_mode write-blocking
	for ((i = 0; i < 3; i++)); do msg resume; wait_st '^ready yes .* 0/[0-9]+ ok .* 0$' 12 && break; done
	t_like "$(field state) $(field synced)" 'ready yes' "$args: healed, resumed, synced" || diag "$(dmsetup status m)"
	unmirror
	t_equal "$args: legs equal"
done
finish

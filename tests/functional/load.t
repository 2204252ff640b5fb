#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verifying loads in both modes and with mode switches, with random discards
# and zeroes beside them; afterwards the legs are equal, byte by byte.
#
# Guards invariants 1 and 2.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((32 * 2048 + 1))		# a tail of one sector
SEED=${SEED:-$RANDOM}
diag "SEED=$SEED"
modes=(write-blocking background)

for what in background write-blocking "write-blocking no_bounce" switching "switching no_bounce zero_detect"; do
	fill $DM/tgt 2
	args=${what#switching}
	[[ $args == "$what" ]] && args="copy_mode $what"
	# shellcheck disable=SC2086
	mirror $args
	# fio in the first half with its own verification, the mixer in the rest
	fio --name=v --filename=$DM/m --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
		--bsrange=512-64k --size=12m --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--randseed=$SEED --loops=2 > /tmp/fio 2>&1 &
	f=$!
	"$TOOLS/mixer" -t 2 -d 6 -s $((16 * 2048)) -r $SEED $DM/m > /tmp/mixer 2>&1 &
	x=$!
	if [[ $what == switching* ]]; then
		for ((i = 0; i < 40; i++)); do
			msg set copy_mode ${modes[i % 2]} || fail "set copy_mode: $MSG"
			kill -0 $x 2>/dev/null || break
		done
		diag "$i switches"
	fi
	t_ok "$what: fio's verification" in_time 90 $f || diag "$(grep -i verify /tmp/fio | head -5)"
	t_ok "$what: the mixer's model" in_time 90 $x
	diag "$(< /tmp/mixer)"
	t_wait "$what: clean afterwards" '^ready .* 0/513 ok - 0 0 0 ' 20
	[[ $what != write* ]] || t_is "$(field synced)" yes "$what: and synced"
	unmirror
	t_equal "$what: legs equal"
done

# --- pause, resume, speed, mark_dirty at random while it runs
fill $DM/tgt 2
mirror
"$TOOLS/mixer" -t 3 -d 10 -r $SEED $DM/m > /tmp/mixer 2>&1 &
x=$!
RANDOM=$SEED
verbs=(pause resume "set copy_mode background" "set copy_mode write-blocking" "set speed 4096" "set speed 0"
       "mark_dirty 0 $LEN" "mark_dirty 4000 9000 60000 100" resume)
n=0
while kill -0 $x 2>/dev/null; do
	# shellcheck disable=SC2086
	msg ${verbs[RANDOM % ${#verbs[@]}]} || { fail "a verb: $MSG"; break; }
	((n++))
done
t_ok "random verbs: the mixer's model" wait $x
diag "$(< /tmp/mixer); $n verbs"
msg set speed 0
msg resume
t_wait "random verbs: clean afterwards" '^ready .* 0/513 ok - 0 0 0 ' 30
unmirror
t_equal "random verbs: legs equal"

finish

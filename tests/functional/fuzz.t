#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm: --timeout 900
#
# fuzz.t - table lines, messages and ioctls of all three targets, well-formed,
# mutated and rubbish, by several threads on six devices, with I/O running and
# with legs that fail, are slow, too short, or do not answer. If it fails: some
# order of things that nobody thought of crashes the kernel, leaves something
# hanging for more than 30 s, or leaves a device or module that cannot be removed.
#
#	make functional T=fuzz SEED=N QMIRROR_FUZZ_TIME=S
#	make fuzz TIME=3600 SEED=N		(on 7.2-uml)
#
# Invariants 1 to 7 of design.rst: no answer, no crash, no hang depends on order.
# That data is right under such orders is chaos.t's and cbw-proof.t's business.

. "$(dirname "$0")/../lib.sh"

plan 6
TIME=${QMIRROR_FUZZ_TIME:-20}
FUZZ=$QMIRROR_TOP/build/tools/dmfuzz

need_modules dm_qmirror dm_cbw
modprobe dm-delay && modprobe dm-flakey || bail "no slow or failing legs"
modprobe -q dm-dust; modprobe -q dm-zero

# Eight of every ten picks should be legs that work, or nothing gets far.
legs=()
for i in 0 1 2 3; do
	legs+=("$(mk_null "n$i" 8)")
done
legs+=("$(mk_null small 4)" "$(mk_null blocks4k 8 blocksize=4096)")
# hN stops answering now and then (dmfuzz)
for i in 0 1; do
	mk_dm "h$i" "0 16384 linear $(mk_null "hn$i" 8) 0"
	legs+=("/dev/mapper/h$i")
done
mk_dm slow "0 16384 delay ${legs[0]} 0 2 ${legs[1]} 0 15"
mk_dm fails "0 8192 linear ${legs[2]} 0" "8192 64 error" "8256 8128 linear ${legs[2]} 8256"
mk_dm flaky "0 16384 flakey ${legs[3]} 0 3 1"
legs+=(/dev/mapper/{slow,fails,flaky})

out=/run/fuzz.out
"$FUZZ" -t "$TIME" -r "$SEED" -w $((30 * QMIRROR_SLOW)) "${legs[@]}" > "$out" 2>&1
rc=$?
is "$rc" 0 "$TIME s of orders: all ended, all devices removed" || diag "$(tail -n 300 "$out")"
diag "$(grep -v '^  ' "$out" | tail -n 13)"

# A fuzzer that is refused everything finds nothing. How much goes through is a
# matter of the machine: on a quiet one some dozen of each.
counted() { awk -v n="$1" '$1 == "count" && $2 == n { print $4 }' "$out"; }
for what in qmirror cbw cbw-snapshot msg io; do
	n=$(counted "$what")
	ok "$what: not all refused (${n:-0})" [ "${n:-0}" -ge 1 ]
done

done_testing

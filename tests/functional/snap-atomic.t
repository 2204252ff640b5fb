#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A group is of one instant: writers stamp the first member, then the second ...
# with growing numbers, while others write all over all of them; in no group may a
# later member be ahead of an earlier one. Taken one by one they are, which shows
# that the test can tell. QMIRROR_GROUPS of QMIRROR_MEMBERS, with
# QMIRROR_WRITERS and QMIRROR_LOADERS (make soak GROUPS=3000); every fiftieth, and
# the last, is such a control. Most are removed by hand, which is five times as
# fast as the tool is: what counts is how they were made.
# vm: --timeout 7200

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
GROUPS_WANTED=${QMIRROR_GROUPS:-12}
N=${QMIRROR_MEMBERS:-3} WRITERS=${QMIRROR_WRITERS:-1} LOADERS=${QMIRROR_LOADERS:-2}
STAMPS=$TOOLS/stamps
# one disk of each, in slices
SLICE=2048 MB=$N
DISK1=$(mk_null disk "$MB") && STORE1=$(mk_null store "$MB") || bail "no disks"
all=() views=() args=()
for ((i = 0; i < N; i++)); do
	mk_dm "m$i" "0 $SLICE linear $DISK1 $((i * SLICE))"
	mk_dm "s$i" "0 $SLICE linear $STORE1 $((i * SLICE))"
	all+=("m$i") views+=("$DM/m$i-snap") args+=("m$i=s$i")
	TABLE[m$i]=$(table_of "m$i")
done
TABLES=$(dmsetup table)
# a writer that never sleeps makes each grace period long, and each group has dozens
[[ ! -w /sys/kernel/rcu_expedited ]] || echo 1 > /sys/kernel/rcu_expedited

"$STAMPS" write -w "$WRITERS" -l "$LOADERS" -p 500 -r "$SEED" "${all[@]/#/$DM/}" > /tmp/stamps.out 2>&1 &
W=$!
at_exit kill $W

# Quoted: what the tool says, on a failure.
ctl() { "$CTL" "$@" > /tmp/ctl.out 2>&1 || { bad+=" qmirrorctl ${*:1:2}: $(< /tmp/ctl.out)"; return 1; }; }
look_at() { LOOK=$("$STAMPS" check -w "$WRITERS" "${views[@]}" 2>&1); }
# by_hand: each view, the table, and what was under it; side by side, for what
# takes its time are grace periods. Writers that never sleep make them long.
by_hand()
{
	local m jobs=() rc=0
	kill -STOP $W
	for m in "${all[@]}"; do
		printf 'remove\t%s\nswap\t%s\t%s\nremove\t%s\n' "$m-snap" "$m" "${TABLE[$m]}" "$m-qsrc" |
			"$TOOLS/dmq" all - > "/tmp/hand.$m" 2>&1 &
		jobs+=($!)
	done
	for m in "${jobs[@]}"; do wait "$m" || rc=1; done
	kill -CONT $W
	((rc == 0)) || bad+=" by hand: $(cat /tmp/hand.*)"
	return $rc
}
# one_by_one: as many snapshots, each a group of its own
one_by_one()
{
	local a
	for a in "${args[@]}"; do
		ctl snapshot create "$a" --force || return
	done
}

bad='' last=0 frozen=0 worst=0 groups=0 controls=0 red=0
T0=$SECONDS
for ((i = 1; i <= GROUPS_WANTED; i++)); do
	if ((i % 50 == 0 || i == GROUPS_WANTED)); then
		one_by_one || break
		((++controls))
		look_at || { ((++red)); RED=$LOOK; }
	else
		ctl snapshot create "${args[@]}" --force || break
		[[ $(< /tmp/ctl.out) =~ frozen\ for\ ([0-9]+) ]] || { bad+=" no time: $(< /tmp/ctl.out)"; break; }
		((frozen += BASH_REMATCH[1], worst = BASH_REMATCH[1] > worst ? BASH_REMATCH[1] : worst, ++groups))
		look_at || { bad+=" group $i: $LOOK"; break; }
		((LOOK > last)) || { bad+=" group $i: no progress, $last then $LOOK"; break; }
		last=$LOOK
	fi
	if ((i % 50 == 0 || i == GROUPS_WANTED)); then
		ctl snapshot remove "${all[@]}" || break
	else
		by_hand || break
	fi
	((i % 200)) || diag "$i: $((SECONDS - T0)) s, stamp $last"
done
is "$bad" '' "in none of $groups groups of $N is a later member ahead of an earlier one, and the writers went on"
diag "$last stamps on $N members in $((SECONDS - T0)) s; frozen $((groups ? frozen / groups : 0)) µs on average, $worst at most"
ok "there were $GROUPS_WANTED in all" test "$((groups + controls))" = "$GROUPS_WANTED"
is "$red" "$controls" "taken one by one they are out of order, $controls times of $controls: the test can tell"
diag "for instance: ${RED-}"
ok "the writers found no error" kill -0 $W
kill $W
wait $W 2> /dev/null
cleanups=()
is "$(dmsetup table)" "$TABLES" "all is as before"
ok "and nothing suspended" as_before

done_testing

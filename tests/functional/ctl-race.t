#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Another manager changes the device between our look and our suspend: at each
# step up to there the tool is stopped, a table is loaded or exchanged, and it is
# let go. It must not swap, and leave what the other has made.
# vm: --turns

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=4
disks
C=$(mk_null c $MB) || bail "no disk"
OTHER="0 $LEN linear $(stat -c '%Hr:%Lr' "$C") 0"

exchange() { dmsetup load data --table "$1" && dmsetup resume data; }
load_only() { dmsetup load data --table "$1"; }
# clean: nothing of ours is left, and nothing suspended
clean()
{
	[[ ! $(suspended) && ! -e /run/qmirrorctl/journal ]] && ! exists data-qsrc
}

# what is loaded before ours is the one that ours replaces
bad='' early='' n=0
for ((k = 1; k < 40; k++)); do
	stop_at $k mirror start data "$B" --force || break
	exchange "$OTHER"
	go_on
	((++n))
	[[ $RC == 4 && $(table_of data) == "$OTHER" ]] && clean ||
		bad+=" $k:$RC:$(table_of data):$(< /tmp/ctl.err)"
	grep -q 'data: somebody else' /tmp/ctl.err || early+=" $k"
	exchange "$OLD"
done
go_on
is "$RC" 0 "start: undisturbed it succeeds"
is "$bad" '' "start: none of $n exchanged tables is slid under, each is kept (exit 4)"
is "$early" '' "and it says who"
t=$((n > 8))
is "$t" 1 "all the steps before the suspend"
ok "cancel" "$CTL" mirror cancel data --force
is "$(table_of data)" "$OLD" "the old table"

# right before the suspend: ours is loaded by then
stop_at $n mirror start data "$B" --force
like "$(dmsetup table --inactive data)" qmirror "ours is loaded"
load_only "$OTHER"
go_on
is "$RC $(table_of data)" "4 $OLD" "start: a table loaded over ours is not swapped in"
ok "nothing of ours is left" clean
ok "not loaded any more" eval '[[ ! $(dmsetup table --inactive data) ]]'

# --- complete: the mirror's table, and what was loaded for after it -----------
tool 0 "start" mirror start data "$B" --force --wait
M=$(table_of data)
bad='' n=0
for ((k = 1; k < 40; k++)); do
	stop_at $k mirror complete data || break
	if [[ ! $(dmsetup table --inactive data) ]]; then
		# ours would replace it: not to be told from one that was never there
		kill -KILL $P
		wait $P 2>/dev/null
		until_true 30 eval '[[ ! -e /run/qmirrorctl/journal ]]'
		continue
	fi
	load_only "$OTHER"
	go_on
	((++n))
	[[ $RC == 4 && $(table_of data) == "$M" && ! $(suspended) ]] ||
		bad+=" $k:$RC:$(table_of data):$(< /tmp/ctl.err)"
done
like "$n" '^[1-9]$' "complete: stopped with its table loaded"
is "$bad" '' "complete: $n tables loaded over ours are not swapped in"
go_on
is "$RC" 0 "complete: undisturbed it succeeds"

tool 0 "start again" mirror start data "$A" --force --wait
for ((k = 1; k < 40; k++)); do
	stop_at $k mirror complete data || break
	[[ ! $(dmsetup table --inactive data) ]] || break
	kill -KILL $P
	wait $P 2>/dev/null
	until_true 30 eval '[[ ! -e /run/qmirrorctl/journal ]]'
done
exchange "$OTHER"
go_on
is "$RC $(table_of data) $(suspended)" "4 $OTHER " "complete: an exchanged table is kept"

done_testing

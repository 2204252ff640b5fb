#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bad input: each malformed command line gets one clear line, status 2, and
# changes nothing. (tests/unit has the same for the parser alone.)

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=4
disks
before=$(machine)
n=0
while IFS='|' read -r want re args; do
	[[ $want ]] || continue
	args=${args//@B/$B}
	rc=0
	# shellcheck disable=SC2086
	eval "\"\$CTL\" $args" > /tmp/ctl.out 2> /tmp/ctl.err < /dev/null || rc=$?
	err=$(< /tmp/ctl.err)
	if [[ $rc == "$want" && $err =~ ^qmirrorctl:\ [^$'\n']*${re}[^$'\n']*$ ]]; then
		pass "$args"
	else
		fail "$args"
		diag "status $rc, '$err'"
	fi
	((++n))
done <<'ROWS'
2|no verb given|
2|unknown verb 'start'|start data @B
2|which verb|mirror
2|no verb 'stop'|mirror stop data
2|unknown or ambiguous option|mirror start data @B --frob
2|unknown or ambiguous option|mirror start data @B --on 1
2|unknown option|mirror start data @B -x
2|needs a value|mirror start data @B --speed
2|takes no value|mirror start data @B --wait=1
2|needs SOURCE TARGET|mirror start data
2|takes only SOURCE TARGET|mirror start data @B more
2|has no option --group|mirror start data @B --group
2|has no option --speed|mirror cancel data --speed 1M
2|none of those|mirror start data @B --sync everything
2|none of those|mirror start data @B --sync ""
2|none of those|mirror start data @B --copy-mode sync
2|none of those|mirror start data @B --on-source-error retry
2|none of those|mirror start data @B --on-target-error Stop
2|no size|mirror start data @B --speed fast
2|no size|mirror start data @B --speed -1
2|no size|mirror start data @B --speed 1.5M
2|no size|mirror start data @B --speed " 1M"
2|no size|mirror start data @B --speed 1MB
2|no size|mirror start data @B --speed 0x100
2|not a multiple|mirror start data @B --speed 1
2|too large|mirror start data @B --speed 9999999P
2|no size|mirror start data @B --buf-size ""
2|not a multiple|mirror start data @B --buf-size 1000
2|no size|mirror start data @B --buf-size 1e6
2|no size|mirror start data @B --granularity big
2|not in the range|mirror start data @B --granularity 0
2|not in the range|mirror start data @B --granularity 256
2|not in the range|mirror start data @B --granularity 128M
2|power of two|mirror start data @B --granularity 1000
2|power of two|mirror start data @B --granularity 3M
2|the value is empty|mirror start data @B --name ""
2|no device-mapper name|mirror start data @B --name a/b
2|no device-mapper name|mirror start data @B --name $'a\nb'
2|sync bitmap only|mirror start data @B --bitmap /etc/fstab
2|would never end|mirror start data @B --sync bitmap --wait
2|line 1: expected OFFSET|mirror start data @B --sync bitmap --bitmap <(echo junk)
2|line 1: not a multiple|mirror start data @B --sync bitmap --bitmap <(echo 1 512)
2|line 2: LENGTH is zero|mirror start data @B --sync bitmap --bitmap <(printf '0 512\n512 0\n')
2|line 1: past the end|mirror start data @B --sync bitmap --bitmap <(echo 0 1048576000000)
2|line 1: OFFSET and LENGTH|mirror start data @B --sync bitmap --bitmap <(echo 0 1K)
2|no time|mirror wait data --timeout soon
2|no time|mirror wait data --timeout 1h
2|too long|mirror wait data --timeout 100000000
2|none of those|mirror wait data --for completed
2|expected ARG=VALUE|mirror set data speed
2|cannot be set|mirror set data granularity=4K
2|no RATE|mirror set data speed=quick
2|none of|mirror set data copy-mode=both
2|needs NAME ARG=VALUE|mirror set data
2|takes no arguments|recover data
2|takes only NAME|remove data data
ROWS
ok "at least 40 of them" test "$n" -ge 40
is "$(machine)" "$before" "nothing has changed"
[[ ! -e /run/qmirrorctl/journal ]] && pass "no journal" || fail "no journal"
is "$(table_of data)" "$OLD" "data has its table"

done_testing

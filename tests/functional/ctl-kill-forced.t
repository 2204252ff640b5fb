#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# SIGKILL between any two steps of mirror complete --force of another manager's
# device, without a watchdog: whoever puts it right, status knows of the switch if
# there was one, and says what it said before if there was none.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
MB=4
disks
dmsetup rename data --setuuid LVM-test || bail "no uuid"

said() { "$CTL" status | grep '^data: '; }

seen='' bad=''
for ((k = 1; k < 60; k++)); do
	BEFORE=$(said)
	T=$(table_of data)
	[[ $T == "$OLD" ]] && TGT=$B || TGT=$A
	"$CTL" mirror start data "$TGT" --copy-mode write-blocking --force --wait > /dev/null 2>&1 ||
		bail "no mirror for $k"
	rc=0
	{ QMIRROR_FAULT=nkill:$k "$FAULTS" mirror complete data --force > /tmp/ctl.out 2>&1 || rc=$?; } 2> /dev/null
	((rc == 0 || rc == 137)) || bad+=" $k ended with $rc;"
	"$CTL" recover > /dev/null 2>&1
	if [[ $(table_of data) == *' qmirror '* ]]; then
		seen+=" $k:mirror"
		"$CTL" mirror cancel data --force > /dev/null 2>&1
		[[ $(table_of data) == "$T" && $(said) == "$BEFORE" ]] ||
			bad+=" $k: not forced, but status has '$(said)' after '$BEFORE';"
	else
		seen+=" $k:forced"
		[[ $(table_of data) != "$T" && $(said) == *"data: is on "*" by force, of which LVM does not know"* ]] ||
			bad+=" $k: forced, but status has '$(said)';"
	fi
	((rc)) || break
done
diag "$seen"
is "$bad" '' "killed at each of $((k - 1)) points: status knows where it is"
ok "more than five" test "$k" -gt 5
like "$seen" mirror "some ended as a mirror"
like "$seen" 'forced.*forced' "some were forced"

done_testing

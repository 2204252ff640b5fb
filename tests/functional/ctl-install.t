#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make install, and the completion from the verb table.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"

plan_later
D=/tmp/inst
ok "make install" make -s -C "$QMIRROR_TOP/userspace" install DESTDIR=$D PREFIX=/usr
for f in usr/sbin/qmirrorctl usr/share/man/man8/qmirrorctl.8 lib/udev/rules.d/56-qmirror.rules \
	 usr/share/bash-completion/completions/qmirrorctl usr/share/qmirror/qmirrorctl.schema.json; do
	ok "$f" test -s $D/$f
done
ok "the tool runs" $D/usr/sbin/qmirrorctl --version
ok "the fault build is not installed" eval '! find $D | grep -q faults'
ok "man page, completion and schema are well-formed" make -s -C "$QMIRROR_TOP/userspace" check

# completes WORDS...: what bash would offer for the last one
completes()
{
	bash -c '
	. '$D'/usr/share/bash-completion/completions/qmirrorctl
	PATH='$D'/usr/sbin:$PATH
	COMP_WORDS=(qmirrorctl "$@") COMP_CWORD=$#
	_qmirrorctl
	echo "${COMPREPLY[*]}"' - "$@"
}
is "$(completes '')" "mirror snapshot status events remove recover" "verbs and nouns"
is "$(completes mirror '')" "start pause resume set mark-dirty wait complete cancel" "verbs of mirror"
is "$(completes snapshot '')" "create release remove" "verbs of snapshot"
is "$(completes mirror co)" complete "by their beginning"
is "$(completes mirror start --sy)" --sync "options of a verb"
is "$(completes mirror cancel --sy)" '' "and of no other"
is "$(completes mirror start a b --sync '')" "full none bitmap top" "values of an option"
is "$(completes mirror wait --for p)" "paused pending" "some of them"
like "$(completes status --)" '--watch.*--json' "global options"
MB=4
disks
"$CTL" mirror start data "$B" --force > /dev/null
is "$(completes mirror pause '')" data "names of mirrors"
"$CTL" mirror cancel data --force > /dev/null
like "$(completes mirror start '')" 'data' "devices"

done_testing

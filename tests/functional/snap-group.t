#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A group is of one instant: a writer stamps A and then B with growing numbers, so
# on no group of snapshots B may be ahead of A. Taken one by one it is, which shows
# that the test can tell. Levels: a device on another one is a member like any.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ctl-lib.sh"
. "$(dirname "$0")/snap-lib.sh"

plan_later
MB=4
members a b c
stores a b c

# both are written through to the disk before the next one is
cat > /tmp/stamper.pl <<'PL'
use Fcntl;
sysopen(my $a, $ARGV[0], O_WRONLY | O_SYNC) or die;
sysopen(my $b, $ARGV[1], O_WRONLY | O_SYNC) or die;
for (my $n = 1; ; $n++) {
	for ($a, $b) {
		sysseek($_, 65536, 0);
		syswrite($_, pack("Q", $n) x 512) == 4096 or exit 1;
	}
}
PL
perl /tmp/stamper.pl $DM/a $DM/b &
W=$!
at_exit kill $W
stamp() { dd if="$DM/$1-snap" bs=4096 skip=16 count=1 iflag=direct status=none | od -An -tu8 -N8 | tr -d ' '; }
stamps() { SA=$(stamp a) SB=$(stamp b); }

bad='' last=0
for ((i = 0; i < 8; i++)); do
	"$CTL" snapshot create "a=${S[a]}" "b=${S[b]}" --force > /tmp/ctl.out 2>&1 || { bad+=" $(< /tmp/ctl.out)"; break; }
	stamps
	((SA - SB == 0 || SA - SB == 1)) || bad+=" A $SA B $SB"
	((SA > last)) || bad+=" no progress: $last, $SA"
	last=$SA
	"$CTL" snapshot remove a b > /tmp/ctl.out 2>&1 || { bad+=" $(< /tmp/ctl.out)"; break; }
done
is "$bad" '' "B is never ahead of A in $i groups, and the writer went on"
ok "the writer found no error" kill -0 $W

tool 0 "one by one: a" snapshot create "a=${S[a]}" --force
tool 0 "one by one: b" snapshot create "b=${S[b]}" --force
stamps
ok "B is ahead of A then, so the test can tell ($SA, $SB)" test "$SB" -gt "$SA"
tool 0 "remove" snapshot remove a b
kill $W
wait $W 2> /dev/null
cleanups=()

# --- a member on another one: its own level, suspended first ---
mk_dm up "0 $LEN linear $DM/c 0"
TABLE[up]="0 $LEN linear $(dmsetup info -c --noheadings --separator : -o major,minor c) 0"
tool 0 "a stack" snapshot create "c=${S[c]}" "a=${S[a]}" "up=${S[b]}" --force --dry-run
is "$(grep -E '\(freeze\)' <<< "$OUT" | xargs)" "suspend up (freeze) suspend c (freeze) suspend a (freeze)" "the upper one is suspended first"
unset "TABLE[b]"
tool 0 "create" snapshot create "c=${S[c]}" "a=${S[a]}" "up=${S[b]}" --force
ok "all armed" all_armed
dd if=$DM/c of=/tmp/c.now bs=1M iflag=direct status=none
dd if=/dev/urandom of=$DM/up bs=1M count=1 oflag=direct status=none
ok "the lower view is of the instant" same /tmp/c.now $DM/c-snap
ok "and so is the upper" same /tmp/c.now $DM/up-snap
tool 0 "remove" snapshot remove up c a
ok "all is as before" as_before

# --- many: the freeze is of one, not the sum ---
TABLE=()
args=()
for ((i = 0; i < 12; i++)); do
	mk_dm "z$i" "0 2048 linear $DM/c $((i * 512))" && args+=("z$i=/tmp/z$i.store")
	TABLE[z$i]=$(table_of "z$i")
done
tool 0 "twelve" snapshot create "${args[@]}"
diag "$(tail -1 <<< "$OUT")"
ok "all armed" all_armed
tool 0 "remove" snapshot remove "${!TABLE[@]}"
ok "all is as before" as_before
dmsetup remove up "${!TABLE[@]}"

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Who pays: the target's half of a write is charged to the cgroup of who wrote,
# like the source's, also when a worker sends it (writes that waited for one
# another). Limits in io.max would otherwise not hold, and io.stat would lie.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
CG=/sys/fs/cgroup
[[ -e $CG/cgroup.procs ]] || {
	CG=/tmp/cg
	mkdir -p $CG && mount -t cgroup2 none $CG 2>/dev/null
}
if ! grep -qw io $CG/cgroup.controllers 2>/dev/null; then
	skip "no io controller"
	finish
fi
echo +io > $CG/cgroup.subtree_control || bail "no io controller below $CG"
legs $((16 * 2048))

# written NAME LEG: the bytes that cgroup NAME has written to it
written()
{
	local dev
	dev=$(dmsetup info -c --noheadings --separator : -o major,minor "$2")
	sed -n "s/^$dev .*wbytes=\([0-9]*\).*/\1/p" "$CG/$1/io.stat"
}

i=0
for how in "" no_bounce; do
	what=${how:-private copy}
	mkdir $CG/w$i
	# shellcheck disable=SC2086
	mirror sync none copy_mode write-blocking $how
	wait_st '^ready yes '
	t_ok "$what: overlapping writes end well" \
		bash -c "echo \$\$ > $CG/w$i/cgroup.procs; exec \"\$@\"" - \
		"$TOOLS/overlap" -t 4 -d 3 -m 64 -n 512 ${SEED:+-r $SEED} $DM/m
	src=$(written w$i src) tgt=$(written w$i tgt)
	t_between "$what: the writer is charged for the source" "${src:-none}" $((1 << 20)) $((1 << 40))
	t_is "$tgt" "$src" "$what: and for the target as much"
	unmirror
	rmdir $CG/w$i
	((++i))
done
finish

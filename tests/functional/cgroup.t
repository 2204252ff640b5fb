#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Who pays: the target's half of a write is charged to the cgroup of who wrote,
# like the source's, also when a worker sends it (writes that waited for one
# another, or for a tag) and when the kernel's flusher writes what was only put
# into the page cache. Limits in io.max would otherwise not hold, and io.stat would
# lie.

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
grep -qw memory $CG/cgroup.controllers && echo +memory > $CG/cgroup.subtree_control
echo +io > $CG/cgroup.subtree_control || bail "no io controller below $CG"
# One tag: what finds none is sent to the target once more, by a worker.
legs $((16 * 2048)) submit_queues=1 hw_queue_depth=1 irqmode=2 completion_nsec=100000

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
	rmdir $CG/w$i

	# The page cache: a file's pages belong to who dirtied them.
	if grep -qw memory $CG/cgroup.subtree_control; then
		mkdir $CG/w$i /tmp/mnt
		mkfs.ext4 -qF -E nodiscard $DM/m
		mount $DM/m /tmp/mnt
		bash -c "echo \$\$ > $CG/w$i/cgroup.procs
			exec dd if=/dev/zero of=/tmp/mnt/f bs=1M count=6 status=none"
		t_is $(($(written w$i src) + $(written w$i tgt) + 0)) 0 "$what: nothing was written yet"
		sync -f /tmp/mnt
		src=$(written w$i src) tgt=$(written w$i tgt)
		t_between "$what: what the flusher writes is charged for the source" \
			"${src:-none}" $((6 << 20)) $((7 << 20))
		t_is "$tgt" "$src" "$what: and for the target as much"
		umount /tmp/mnt
		rmdir $CG/w$i /tmp/mnt
	else
		skip "no memory controller: the page cache has no cgroups"
	fi
	unmirror
	((++i))
done
finish

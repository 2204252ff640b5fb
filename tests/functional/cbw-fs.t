#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# File systems and a real consumer: views of a busy ext4 and a busy xfs mount read
# only, and a copy of each is clean after recovery; frozen by the suspend, or not
# (crash-consistent: then the recipe with a dm-snapshot over the view). And a backup
# client that reads a whole image over NBD while the writers run, releasing as it
# goes.
#
# Guards C-44, T-179, T-181, T-183, T-184; issue 4, point 5 and 6.
# vm: --timeout 400

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/snap.sh"

plan_later
modprobe dm-snapshot && modprobe ext4 && modprobe xfs || bail "modules are missing"
snap_legs $((320 * 2048))	# the least that xfs takes
COPY=$(raw_disk nullcopy "$LEN") || bail "no null_blk"
declare -A SIZE=([ext4]=$((64 * 2048)) [xfs]=$LEN)
COW=$(raw_disk nullcow $((32 * 2048))) || bail "no null_blk"
mkdir -p /tmp/mnt /tmp/view

# Like fsstress and like a database: many small files made, renamed, cut and
# removed, and one file rewritten in place and synced. One process without
# children: each would cost an emulated machine a tenth of a second.
writers()
{
	perl - /tmp/mnt "$SEED" <<-'PERL'
	use strict;
	use IO::Handle;
	my ($dir, $seed) = @ARGV;
	my ($i, $junk) = (0, join('', map { chr(rand 256) } 1 .. 65536));
	srand($seed);
	mkdir "$dir/d$_" for 0 .. 6;
	open(my $db, '+>', "$dir/db") or die "db: $!";
	print $db $junk x 64;
	until (-e "$dir/stop") {
		my ($d, $e) = map { "$dir/d" . int(rand 7) } 1, 2;
		my ($f, $g) = map { 'f' . int(rand 50) } 1, 2;
		if (open(my $o, '>', "$d/$f")) { print $o substr($junk, 0, rand 65536); }
		rename("$d/$f", "$e/$g");
		unlink("$d/$g") if rand() < 0.3;
		truncate("$e/$f", rand 30000) if -e "$e/$f";
		for (1 .. 4) { seek($db, 8192 * int(rand 512), 0); print $db substr($junk, rand 50000, 8192); }
		$db->flush;
		$db->sync unless $i % 4;
		open(my $c, '>', "$dir/count.new"); print $c ++$i, "\n"; close $c;
		rename("$dir/count.new", "$dir/count");
		select(undef, undef, undef, 0.01);
	}
	PERL
}
start_writers()
{
	writers & WRITERS=$!
	until_true 60 test -s /tmp/mnt/count
}
stop_writers()
{
	touch /tmp/mnt/stop
	wait $WRITERS
}
# more N: the writers have got beyond N
more() { local c; read -r c 2> /dev/null < /tmp/mnt/count && ((c > $1)); }

check() # FS DEV: clean?
{
	case $1 in
	ext4)	e2fsck -fn "$2" ;;
	xfs)	xfs_repair -n "$2" ;;
	esac
}
write_opts() { [[ $1 == xfs ]] && echo nouuid || echo rw; }
view_opts() { [[ $1 == xfs ]] && echo ro,norecovery,nouuid || echo ro; }

# A consumer: qemu-nbd exports the view, a client reads it all.
consumer()
{
	dm_remove v
	msg disarm
	dm_suspend f && msg arm && dm_resume f
	view
	qemu-nbd --read-only --format=raw --cache=none --persistent --fork --pid-file=/tmp/nbd.pid \
		--socket=/tmp/nbd.sock $DM/v || fail "$fs: qemu-nbd"
	local step s ok=yes n
	step=$((16 * 2048))
	for ((s = 0; s < LEN; s += step)); do
		qemu-img dd -f raw -O raw bs=1M skip=$((s / 2048)) count=$(((s + step) / 2048)) \
			if="nbd+unix:///?socket=/tmp/nbd.sock" of=/tmp/part.img > /tmp/dd.out 2>&1 || ok="$(< /tmp/dd.out)"
		dd if=/tmp/part.img of="$COPY" bs=1M seek=$((s / 2048)) oflag=direct conv=notrunc status=none
		dmsetup message f 0 release $s $step || ok="release at $s"
	done
	t_is "$ok" yes "$fs: a backup over NBD, released as it goes"
	t_is "$(dio $DM/v r:0:8 | cut -d' ' -f2)" EIO "$fs: what was released is gone"
	mark store
	n=$(< /tmp/mnt/count)
	until_true 60 more $((n + 5))
	t_is "$(since store wsec)" 0 "$fs: and writes copy no more"
	kill "$(< /tmp/nbd.pid)"
	until_true 10 bash -c '! pgrep qemu-nbd > /dev/null'
	t_ok "$fs: the backup mounts" mount "$COPY" /tmp/view
	t_ok "$fs: has its files" test -s /tmp/view/db
	umount /tmp/view
	t_ok "$fs: and is clean" check $fs "$COPY"
}

for fs in ext4 xfs; do
	LEN=${SIZE[$fs]}
	filter idle on_cbw_error break-snapshot
	case $fs in
	ext4)	mkfs.ext4 -q -F $DM/f ;;
	xfs)	mkfs.xfs -q -f $DM/f ;;
	esac
	mount $DM/f /tmp/mnt || bail "no mount"
	t_ok "$fs: writers are busy" start_writers

	# --- frozen by the suspend ---
	t_ok "$fs: suspended with the file system frozen, armed" \
		bash -c "dmsetup suspend f && dmsetup message f 0 arm && dmsetup resume f"
	n=$(< /tmp/mnt/count)
	t_ok "$fs: the view" view
	t_ok "$fs: is read-only" blockdev --setro $DM/v
	t_ok "$fs: mounts" mount -o "$(view_opts $fs)" $DM/v /tmp/view
	c=$(< /tmp/view/count)
	t_between "$fs: and shows a moment before it was resumed" "$c" 1 "$n"
	sum=$(find /tmp/view -type f -exec md5sum {} + | sort | md5sum)
	t_ok "$fs: the writers go on" until_true 60 more $((n + 50))
	t_ok "$fs: unmounted" umount /tmp/view
	# Other pages than those of the first mount
	echo 3 > /proc/sys/vm/drop_caches
	mount -o "$(view_opts $fs)" $DM/v /tmp/view
	t_is "$(find /tmp/view -type f -exec md5sum {} + | sort | md5sum)" "$sum" "$fs: later it shows the same"
	umount /tmp/view
	dd if=$DM/v of="$COPY" bs=1M iflag=direct oflag=direct status=none
	t_ok "$fs: a copy of the view mounts, with recovery" mount -o "$(write_opts $fs)" "$COPY" /tmp/view
	umount /tmp/view
	t_ok "$fs: is clean" check $fs "$COPY"
	dm_remove v
	msg disarm

	# --- crash-consistent ---
	t_ok "$fs: without freezing" bash -c "dmsetup suspend --nolockfs f && dmsetup message f 0 arm && dmsetup resume f"
	view
	# The recipe: a view cannot replay its journal, a snapshot over it can.
	dm_make w "0 $LEN snapshot $DM/v $COW N 8"
	t_ok "$fs: a dm-snapshot over the view mounts, with recovery" mount -o "$(write_opts $fs)" $DM/w /tmp/view
	t_ok "$fs: what was synced is there" test -s /tmp/view/db
	t_ok "$fs: unmounted" umount /tmp/view
	t_ok "$fs: and clean" check $fs $DM/w
	dm_remove w
	t_is "$(field state)" armed "$fs: all the while"
	n=$(< /tmp/mnt/count)
	t_ok "$fs: and the writers go on" until_true 60 more $((n + 5))

	[[ $fs != ext4 ]] || consumer
	dm_remove v
	msg disarm

	stop_writers
	umount /tmp/mnt
	t_ok "$fs: and so is the device itself" check $fs $DM/f
	unsnap
done
finish

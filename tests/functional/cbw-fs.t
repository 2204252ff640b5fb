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
snap_legs $((320 * 2048))
COPY=$(raw_disk nullcopy "$LEN") || bail "no null_blk"
COW=$(raw_disk nullcow $((32 * 2048))) || bail "no null_blk"
mkdir -p /tmp/mnt /tmp/view

# Like fsstress and like a database: many small files made, renamed, cut and
# removed, and one file rewritten in place and synced.
stress() # DIR
{
	local i=0 d=$1
	RANDOM=$((SEED % 32768))
	while [[ ! -e $d/stop ]]; do
		((i++))
		mkdir -p "$d/d$((i % 7))"
		head -c $((RANDOM * 4)) /dev/urandom > "$d/d$((i % 7))/f$((RANDOM % 50))"
		mv -f "$d/d$((i % 7))/f$((RANDOM % 50))" "$d/d$((RANDOM % 7))/" 2> /dev/null
		rm -f "$d"/d$((RANDOM % 7))/f$((RANDOM % 9))*
		truncate -s $((RANDOM)) "$d/d$((i % 7))/f$((RANDOM % 50))"
		echo $i > "$d/count.new" && mv "$d/count.new" "$d/count"
		((i % 20)) || fstrim "$d" 2> /dev/null
	done
}
database() # DIR
{
	fio --name=db --directory="$1" --filename=db --size=24m --rw=randwrite --bs=8k --fsync=8 \
		--time_based --runtime=600 --randseed="$SEED" > /dev/null 2>&1
}
start_writers()
{
	stress /tmp/mnt 2> /dev/null & STRESS=$!
	database /tmp/mnt & DB=$!
	until_true 60 test -s /tmp/mnt/count && until_true 60 test -s /tmp/mnt/db
}
stop_writers()
{
	touch /tmp/mnt/stop
	wait $STRESS
	kill $DB
	pkill fio
	wait $DB
}
count() { cat /tmp/mnt/count; }
more() { (($(cat /tmp/mnt/count 2>/dev/null || echo 0) > $1)); }

check() # FS DEV: clean?
{
	case $1 in
	ext4)	e2fsck -fn "$2" ;;
	xfs)	xfs_repair -n "$2" ;;
	esac
}
view_opts() { [[ $1 == xfs ]] && echo ro,norecovery,nouuid || echo ro; }

for fs in ext4 xfs; do
	fill $DM/src 1 2048
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
	t_between "$fs: and shows the moment" "$c" $((n - 30)) "$n"
	sum=$(find /tmp/view -type f -exec md5sum {} + | sort | md5sum)
	t_ok "$fs: the writers go on" until_true 60 more $((n + 20))
	t_ok "$fs: unmounted" umount /tmp/view
	# Other pages than those of the first mount
	echo 3 > /proc/sys/vm/drop_caches
	mount -o "$(view_opts $fs)" $DM/v /tmp/view
	t_is "$(find /tmp/view -type f -exec md5sum {} + | sort | md5sum)" "$sum" "$fs: later it shows the same"
	umount /tmp/view
	dd if=$DM/v of="$COPY" bs=1M iflag=direct oflag=direct status=none
	t_ok "$fs: a copy of the view, mounted once to recover" bash -c "mount ${COPY@Q} /tmp/view && umount /tmp/view"
	t_ok "$fs: is clean" check $fs "$COPY"
	dm_remove v
	msg disarm

	# --- crash-consistent ---
	t_ok "$fs: without freezing" bash -c "dmsetup suspend --nolockfs f && dmsetup message f 0 arm && dmsetup resume f"
	view
	# The recipe: a view cannot replay its journal, a snapshot over it can.
	dm_make w "0 $LEN snapshot $DM/v $COW N 8"
	t_ok "$fs: a dm-snapshot over the view mounts, with recovery" mount -o "$([[ $fs == xfs ]] && echo nouuid || echo rw)" $DM/w /tmp/view
	t_ok "$fs: and is there" test -s /tmp/view/count
	t_ok "$fs: unmounted" umount /tmp/view
	t_ok "$fs: and clean" check $fs $DM/w
	dm_remove w
	t_is "$(field state)" armed "$fs: all the while"
	n=$(< /tmp/mnt/count)
	t_ok "$fs: and the writers go on" until_true 60 more $((n + 5))

	# --- a consumer: qemu-nbd exports the view, a client reads it all ---
	dm_remove v
	msg disarm
	dm_suspend f && msg arm && dm_resume f
	view
	dd if="${RAW[src]}" of=/dev/null bs=512 count=1 status=none
	qemu-nbd --read-only --format=raw --cache=none --persistent --fork --pid-file=/tmp/nbd.pid \
		--socket=/tmp/nbd.sock $DM/v || fail "$fs: qemu-nbd"
	step=$((32 * 2048))
	ok=yes
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
	t_ok "$fs: the backup mounts" mount -o "$([[ $fs == xfs ]] && echo nouuid || echo rw)" "$COPY" /tmp/view
	t_ok "$fs: has its files" test -s /tmp/view/count
	umount /tmp/view
	t_ok "$fs: and is clean" check $fs "$COPY"

	stop_writers
	umount /tmp/mnt
	t_ok "$fs: and so is the device itself" check $fs $DM/f
	unsnap
done
finish

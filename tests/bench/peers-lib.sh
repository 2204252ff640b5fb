# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# peers-lib.sh - what a user might take instead of our targets, ready to be
# measured: QEMU's storage daemon with each of its exports, and LVM. Sourced, after
# lib.sh, by what runs in a guest.

# shellcheck source=tests/tools/lvm.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lvm.sh"
qmp=$(dirname "${BASH_SOURCE[0]}")/qmp
run=/run/peers
mkdir -p $run
# How the daemon reaches its disks; "threads", its default, needs more switches.
AIO=${AIO:-native}

# The daemon's name for a disk.
node() # NAME DEVICE
{
	echo "driver=host_device,node-name=$1,filename=$2,cache.direct=on,aio=$AIO"
}

# A daemon with these nodes and no export yet. Its name is longer than what
# /proc/PID/comm holds, so it writes its number down.
qsd() # BLOCKDEV...
{
	local args=() b
	for b; do args+=(--blockdev "$b"); done
	rm -f $run/{qmp,nbd,pid}
	qemu-storage-daemon --daemonize --pidfile $run/pid \
		--chardev socket,id=c,path=$run/qmp,server=on,wait=off \
		--monitor chardev=c --nbd-server addr.type=unix,addr.path=$run/nbd \
		"${args[@]}"
}
qsd_end()
{
	local pid
	pid=$(< $run/pid)
	kill "$pid"
	# What it held (disks, a mount) is free when it is gone.
	tail --pid="$pid" -s 0.01 -f /dev/null
}

# One function a way to get a node of the daemon as a device of this machine:
# $dev; and one that undoes it.
nbd_up() # NODE
{
	"$qmp" $run/qmp block-export-add \
		"{\"type\": \"nbd\", \"id\": \"e\", \"node-name\": \"$1\", \"name\": \"x\", \"writable\": true}"
	nbd-client -u $run/nbd /dev/nbd0 -N x -b 4096 > $run/log 2>&1
	dev=/dev/nbd0
}
nbd_down() { nbd-client -d /dev/nbd0 > $run/log; }

# A file, and what reads and writes that; another program would need a loop device.
fuse_up()
{
	: > $run/file
	"$qmp" $run/qmp block-export-add \
		"{\"type\": \"fuse\", \"id\": \"e\", \"node-name\": \"$1\", \"mountpoint\": \"$run/file\", \"writable\": true}"
	dev=$run/file
}
fuse_down() { :; }

# A virtio disk whose other side is the daemon, without a virtual machine.
vduse_up()
{
	"$qmp" $run/qmp block-export-add \
		"{\"type\": \"vduse-blk\", \"id\": \"e\", \"node-name\": \"$1\", \"name\": \"q\", \"writable\": true}"
	vdpa dev add name q mgmtdev vduse
	dev=/dev/$(cd /sys/block && echo vd?)
	[[ -b $dev ]]
}
vduse_down() { vdpa dev del q; }

# Those that this kernel has.
exports()
{
	modprobe -q nbd nbds_max=1 && echo nbd
	modprobe -q fuse
	if grep -q 'fuse$' /proc/filesystems; then
		[[ -c /dev/fuse ]] || mknod /dev/fuse c 10 229
		echo fuse
	fi
	if modprobe -q vduse && modprobe -q virtio_vdpa && modprobe -q virtio_blk; then
		echo vduse
	fi
}

# mirror MODE SYNC: the daemon's mirror job from node a to node b; it is over a
# when this returns, and ready.
mirror()
{
	"$qmp" $run/qmp blockdev-mirror \
		"{\"job-id\": \"m\", \"device\": \"a\", \"target\": \"b\", \"sync\": \"$2\", \"copy-mode\": \"$1\"}" \
		-e BLOCK_JOB_READY
}

# LVM on these disks alone.
lvm_on() # DISK...
{
	lvm_config $run/lvm "${@/%/$}"
	lv pvcreate "$@"
	lv vgcreate -s 1M vg "$@"
}
# An LVM command, without what it always says here.
lv() # COMMAND...
{
	lvm "$1" -qq "${@:2}" 2>&1 |
		{ grep -vE 'WARNING: (This metadata update is NOT|Logical volume .* not zeroed)' || true; }
}

# Disks that hold something: d0 and d1.
STORE_MB=${STORE_MB:-192}
stores()
{
	local d
	for d in d0 d1; do
		[[ ! -b /dev/$d ]] || continue
		null_disk $d memory_backed=1 size=$STORE_MB
		fio --name=fill --filename=/dev/$d --rw=write --bs=1M --direct=1 \
			--output=/dev/null
	done
}
wipe() { dd if=/dev/zero of="$1" bs=1M count=2 oflag=direct status=none; }

# Copies of $1 MiB from d0 to d1, from the command to the moment when both are alike.
copy_dd()
{
	dd if=/dev/d0 of=/dev/d1 bs=1M count="$1" iflag=direct oflag=direct status=none
}
copy_qemu-img()
{
	dmsetup create part --table "0 $(($1 * 2048)) linear /dev/d0 0"
	qemu-img convert -n -f raw -O raw -t none -T none -W -m 16 \
		/dev/mapper/part /dev/d1
	dmsetup remove part
}
copy_qmirror()
{
	local nr
	dmsetup create x --table "0 $(($1 * 2048)) qmirror /dev/d0 0 /dev/d1 0"
	wait_status x ' qmirror ready '
	dmsetup remove x
}
copy_dm-mirror()
{
	dmsetup create x --table \
		"0 $(($1 * 2048)) mirror core 1 1024 2 /dev/d0 0 /dev/d1 0"
	wait_status x " $(($1 * 2))/$(($1 * 2)) "
	dmsetup remove x
}
copy_qsd-mirror()
{
	dmsetup create part --table "0 $(($1 * 2048)) linear /dev/d0 0"
	# It takes no target that is larger.
	dmsetup create part1 --table "0 $(($1 * 2048)) linear /dev/d1 0"
	qsd "$(node a /dev/mapper/part)" "$(node b /dev/mapper/part1)"
	mirror background full
	qsd_end
	dmsetup remove part
	dmsetup remove part1
}
copy_pvmove()
{
	lv lvcreate -y -Wn -Zn -L "$1M" -n data vg /dev/d0
	lv pvmove -i 1 /dev/d0 /dev/d1
	lv lvremove -y vg/data
}
# No time limit: when instructions are counted the clock jumps ahead while a program
# waits for a file of the host, over any limit. The rig has one.
wait_status() # NAME PATTERN
{
	local nr
	while :; do
		nr=$(dmsetup info -c --noheadings -o events "$1")
		[[ $(dmsetup status "$1") != *"$2"* ]] || return 0
		dmsetup wait "$1" "$nr" > /dev/null
	done
}

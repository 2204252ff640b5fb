# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# machine-uml.sh - start_machine for kernels that are programs (user-mode
# Linux, see built-kernel.sh). Sourced by run, whose variables it uses; sets
# `machine` and `reader`, the processes to wait for.
#
# The same initramfs as in QEMU mounts the host's files by hostfs, read only and
# below the same overlay, and the folders that may be written once more. There
# are no virtio ports: output and status are files in a folder that is mounted,
# too, and we follow the output. (A serial line would be a terminal, and some
# programs behave differently on one.)

start_machine()
{
	local initrd
	[[ ! $icount ]] || die "only QEMU counts instructions"
	mkdir "$tmp/io"
	: > "$tmp/io/out"
	: > "$tmp/io/status"
	ln -s io/status "$tmp/status"

	initrd=$("$here/mkinitrd" "$kernel") || die "cannot make the initramfs"
	# seccomp: without it there is one processor only. uml_dir: a folder of
	# each machine, otherwise in the home. Standard output is the console.
	# When it must end it is killed: by any other signal it panics, which
	# would look like a finding. Its processes go with it.
	TMPDIR=/dev/shm setpriv --pdeathsig TERM timeout -s KILL "$timeout" \
		setpriv --pdeathsig KILL "$(kernel_headers "$kernel")/linux" seccomp=on ncpus="$smp" \
		mem="${mem}M" uml_dir="$tmp/uml/" con=null con0=null,fd:1 ssl=null \
		initrd="$initrd" $cmdline rig.io="$tmp/io" \
		< /dev/null > "$log" 2>&1 &
	machine=$!
	tail -n +1 -s 0.1 --pid="$machine" -f "$tmp/io/out" &
	reader=$!
}

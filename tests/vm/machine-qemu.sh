# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# machine-qemu.sh - start_machine for stock kernels: QEMU, emulated or KVM.
# Sourced by run, whose variables it uses; sets `machine` and `reader`, the
# processes to wait for. The guest's end of it is in guest-init.

start_machine()
{
	# erms and fsrm off: TCG does "rep movsb" byte by byte (and counts each as an
	# instruction), and with them the kernel copies and clears every page that way.
	local cpu=max,erms=off,fsrm=off accel=tcg,thread=multi more=() initrd
	if [[ $icount ]]; then
		accel=tcg,thread=single smp=1
		more+=(-icount "shift=0,sleep=off")
	elif kvm_usable; then
		accel=kvm cpu=host
	else
		# What makes starting a process dear here, and means nothing to an
		# emulated processor: retpolines, which are indirect jumps of the
		# emulator's, and addresses that are new each time, so that it finds
		# nothing of what it had translated. Not where instructions are
		# counted: those are of the kernel as it comes.
		cmdline+=" mitigations=off norandmaps"
		# One processor until the job runs (guest-init brings the others). A
		# booting kernel patches its own text a lot, and QEMU 7.2 now and
		# then leaves another processor that runs there in the breakpoint for
		# ever: one boot in a hundred or two.
		cmdline+=" maxcpus=1"
		[[ ! $turns ]] || accel=tcg,thread=single
	fi

	# The output comes through a pipe: a file chardev would truncate a file
	# that our stdout was sent to.
	mkfifo "$tmp/out"
	# We hold a writing end, so that cat ends with the machine even when that
	# never opened the pipe.
	exec 8<> "$tmp/out"
	cat "$tmp/out" 8>&- &
	reader=$!

	initrd=$("$here/mkinitrd" "$kernel") || die "cannot make the initramfs"
	# setpriv: should this script be killed hard, the machine goes, too.
	setpriv --pdeathsig TERM timeout -k 5 "$timeout" qemu-system-x86_64 \
		-accel "$accel" -cpu "$cpu" -smp "$smp" -m "$mem" "${more[@]}" \
		-machine q35 -nodefaults -no-user-config -display none -nic none \
		-no-reboot -kernel "$(kernel_dir "$kernel")/vmlinux" \
		-initrd "$initrd" \
		-append "console=ttyS0 no_timer_check nokaslr random.trust_cpu=on $cmdline" \
		-chardev "file,id=console,path=$log" -serial chardev:console \
		-device virtio-serial-pci \
		-chardev "file,id=out,path=$tmp/out" \
		-device virtserialport,chardev=out,name=rig.out \
		-chardev "file,id=status,path=$tmp/status" \
		-device virtserialport,chardev=status,name=rig.status \
		-virtfs local,path=/,mount_tag=hostroot,security_model=none,multidevs=remap \
		< /dev/null >&2 8>&- &
	machine=$!
}

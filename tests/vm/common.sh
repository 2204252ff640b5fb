# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# common.sh - what the rig's scripts share: where kernels are kept, how to
# find one, how to speak. Sourced, never run.

# Kernels are big and the same for every checkout, so they live outside it.
QMIRROR_CACHE=${QMIRROR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qmirror}

# The kernels we know how to get, and the Debian suite each one comes from.
# Those with a flavour are built here: 7.2-uml and 7.2-debug as programs
# (user-mode Linux), 7.2-kcsan for QEMU; 7.2-kmemleak is 7.2-debug, started with
# its leak detector on.
rig_kernels=(6.1 6.12 7.2 7.2-uml 7.2-debug 7.2-kmemleak 7.2-kcsan)

# Speech goes to stderr: stdout belongs to the test (TAP).
say()  { echo "rig: $*" >&2; }
die()  { echo "rig: error: $*" >&2; exit 125; }

# kernel_suite LABEL: where the kernel LABEL is published.
kernel_suite()
{
	case $1 in
	6.1)	echo bookworm ;;
	6.12)	echo bookworm-backports ;;
	7.2|7.2-uml|7.2-debug|7.2-kmemleak|7.2-kcsan)
		echo trixie-backports ;;
	*)	die "unknown kernel '$1' (known: ${rig_kernels[*]})" ;;
	esac
}

# kernel_boots LABEL: whether we use the kernel itself. Of 7.2 only the headers:
# its modpost needs a newer libc than Debian 12 has, so nothing can be linked,
# but everything can be compiled (build-modules --compile).
kernel_boots() { [[ $1 != 7.2 ]]; }

# kernel_is_built LABEL: whether we build it, from Debian's source package: see
# built-kernel.sh. kernel_is_uml: whether that is a program: machine-uml.sh.
kernel_is_built() { [[ $1 == *-* ]]; }
kernel_is_uml() { [[ $1 == *-uml || $1 == *-debug || $1 == *-kmemleak ]]; }

# kernel_slowness LABEL: how many times as long waiting for something may take
# there as elsewhere; a test does not expect less for it.
kernel_slowness()
{
	case $1 in
	*-debug)	echo 4 ;;
	*-kmemleak)	echo 8 ;;
	*-kcsan)	echo 6 ;;
	*)		echo 1 ;;
	esac
}

# kernel_irqmode LABEL: how null_blk ends requests there. At once, in whoever asks,
# is fastest; but then no code of ours ever runs in an interrupt, and lockdep takes
# a lock that an interrupt may find held for a good one. 2: from a timer.
kernel_irqmode()
{
	case $1 in
	*-debug|*-kmemleak|*-kcsan)	echo 2 ;;
	*)				echo 0 ;;
	esac
}

# kernel_cmdline LABEL: what its command line has besides everybody's. The race
# detector's own figures, one look in 300 accesses and 80 us long, are for real
# machines: here another processor does next to nothing in that time, and a counter
# that each write of the guest increments without a lock was never found.
kernel_cmdline()
{
	case $1 in
	*-debug)	echo no_debug_objects ;;
	*-kmemleak)	echo no_debug_objects kmemleak=on ;;
	*-kcsan)	echo kcsan.skip_watch=30 kcsan.udelay_task=500 \
				kcsan.udelay_interrupt=100 ;;
	esac
}

# kernel_flavour LABEL: the last word of its folder's name.
kernel_flavour() { case $1 in *-kmemleak) echo debug ;; *) echo "${1#*-}" ;; esac; }

# built_config LABEL: what such a kernel has besides what it begins with.
built_config()
{
	local dir
	dir=$(dirname "${BASH_SOURCE[0]}")
	case $1 in
	*-uml)		cat "$dir/uml.config" ;;
	*-debug|*-kmemleak)
			cat "$dir/uml.config" "$dir/uml-debug.config" ;;
	*-kcsan)	cat "$dir/kcsan.config" ;;
	esac
}

# built_edits LABEL: a file of the kernel's source and what sed does with it there.
# KASAN keeps the callers of each allocation, and to find them user-mode Linux asks
# of every word of the stack whether it is an address of code. With lockdep the
# question alone takes several system calls: look first whether it is where a
# frame has its return address. Fifteen times as many I/Os a second.
built_edits()
{
	[[ $(kernel_flavour "$1") == debug ]] || return 0
	echo 'arch/um/kernel/stacktrace.c' \
	     's/if (\(__kernel_text_address(addr)\)) {/if ((unsigned long)sp == bp + sizeof(long) \&\& \1) {/'
}

# built_dir LABEL VERSION: one kernel for each version and configuration, so that
# checkouts which differ in theirs do not get in each other's way.
built_dir()
{
	local sum
	sum=$({ built_config "$1" | grep CONFIG_; built_edits "$1"; } | cksum)
	echo "$QMIRROR_CACHE/kernels/$2-$(kernel_flavour "$1")-${sum%% *}"
}

# dm_clone_dir LABEL: sources that a stock kernel's package was made from, see setup.
dm_clone_dir() { echo "$QMIRROR_CACHE/dm-clone/$(kernel_release "$1")"; }

# kernel_dir LABEL: the unpacked packages of that kernel, or the newest one
# built from its source and finished; may not exist yet.
kernel_dir()
{
	local dir newest
	if ! kernel_is_built "$1"; then
		echo "$QMIRROR_CACHE/kernels/$1"
		return
	fi
	newest=$(built_dir "$1" "${1%%-*}")
	while read -r dir; do
		[[ ! -s $dir/release ]] || newest=$dir
	done < <(compgen -G "$(built_dir "$1" "${1%%-*}.*")" | sort -V)
	echo "$newest"
}

# kernel_release LABEL: what uname -r says there; empty when not downloaded.
kernel_release() { cat "$(kernel_dir "$1")/release" 2>/dev/null || true; }

# kernel_headers LABEL: the KDIR of that kernel.
kernel_headers()
{
	local dir
	dir=$(kernel_dir "$1")
	if kernel_is_built "$1"; then
		echo "$dir/build"
	else
		echo "$dir/usr/src/linux-headers-$(kernel_release "$1")"
	fi
}

# KVM only where the processor really has it: a /dev/kvm node without vmx or
# svm exists on some nested hosts and a stock kernel spins there at boot.
kvm_usable()
{
	grep -qwE 'vmx|svm' /proc/cpuinfo && [[ -r /dev/kvm && -w /dev/kvm ]]
}

# As root, or through sudo: only for installing packages.
as_root()
{
	if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# common.sh - what the rig's scripts share: where kernels are kept, how to
# find one, how to speak. Sourced, never run.

# Kernels are big and the same for every checkout, so they live outside it.
QMIRROR_CACHE=${QMIRROR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qmirror}

# The kernels we know how to get, and the Debian suite each one comes from.
# 7.2-uml and 7.2-debug are built here, as programs (user-mode Linux).
rig_kernels=(6.1 6.12 7.2 7.2-uml 7.2-debug)

# Speech goes to stderr: stdout belongs to the test (TAP).
say()  { echo "rig: $*" >&2; }
die()  { echo "rig: error: $*" >&2; exit 125; }

# kernel_suite LABEL: where the kernel LABEL is published.
kernel_suite()
{
	case $1 in
	6.1)	echo bookworm ;;
	6.12)	echo bookworm-backports ;;
	7.2|7.2-uml|7.2-debug)	echo trixie-backports ;;
	*)	die "unknown kernel '$1' (known: ${rig_kernels[*]})" ;;
	esac
}

# kernel_boots LABEL: whether we use the kernel itself. Of 7.2 only the headers:
# its modpost needs a newer libc than Debian 12 has, so nothing can be linked,
# but everything can be compiled (build-modules --compile).
kernel_boots() { [[ $1 != 7.2 ]]; }

# kernel_is_uml LABEL: whether the kernel is a program that we build from
# Debian's source package: see uml-kernel.sh and machine-uml.sh.
kernel_is_uml() { [[ $1 == *-uml || $1 == *-debug ]]; }

# uml_config LABEL: what such a kernel has besides its architecture's defaults.
uml_config()
{
	local dir
	dir=$(dirname "${BASH_SOURCE[0]}")
	cat "$dir/uml.config"
	[[ $1 != *-debug ]] || cat "$dir/uml-debug.config"
}

# uml_dir LABEL VERSION: one kernel for each version and configuration, so that
# checkouts which differ in theirs do not get in each other's way.
uml_dir()
{
	local sum
	sum=$(uml_config "$1" | grep CONFIG_ | cksum)
	echo "$QMIRROR_CACHE/kernels/$2-${1#*-}-${sum%% *}"
}

# kernel_dir LABEL: the unpacked packages of that kernel, or the newest one
# built from its source and finished; may not exist yet.
kernel_dir()
{
	local dir newest
	if ! kernel_is_uml "$1"; then
		echo "$QMIRROR_CACHE/kernels/$1"
		return
	fi
	newest=$(uml_dir "$1" "${1%%-*}")
	while read -r dir; do
		[[ ! -s $dir/release ]] || newest=$dir
	done < <(compgen -G "$(uml_dir "$1" "${1%%-*}.*")" | sort -V)
	echo "$newest"
}

# kernel_release LABEL: what uname -r says there; empty when not downloaded.
kernel_release() { cat "$(kernel_dir "$1")/release" 2>/dev/null || true; }

# kernel_headers LABEL: the KDIR of that kernel.
kernel_headers()
{
	local dir
	dir=$(kernel_dir "$1")
	if kernel_is_uml "$1"; then
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

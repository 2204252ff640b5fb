# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# built-kernel.sh - the kernels that are built here, from Debian's source package:
# user-mode Linux (7.2-uml, 7.2-debug) and one for QEMU (7.2-kcsan). Debian's own
# 7.2 cannot be used (its modpost needs a newer libc than Debian 12 has), lacks
# BLK_ERROR_INJECTION and does not look for races. Sourced by setup, which has
# private_apt.
#
#	$QMIRROR_CACHE/source/linux-VERSION	the source, without most of
#						Documentation/
#	$QMIRROR_CACHE/kernels/VERSION-FLAVOUR-SUM
#		build/		what make O= makes; build/linux is the kernel, or
#				build/vmlinux, which vmlinux is a link to; must
#				stay where it is, modules are built against it
#		lib/modules/	the modules
#		release		what uname -r says; written last: all is there

# What only these builds need; libelf: objtool, on x86.
BUILD_PACKAGES=(flex bison bc libelf-dev)

# kernel_source LABEL: sets built_version and built_src; downloads and unpacks when
# that version is not there. Called with the cache's lock held.
kernel_source()
{
	local series=${1%%-*} tmp deb
	private_apt "$(kernel_suite "$1")"
	apt-get "${apt_options[@]}" -q update >&2
	built_version=$(apt-cache "${apt_options[@]}" show --no-all-versions \
		"linux-source-$series" | sed -n 's/^Version: \([0-9.]*\).*/\1/p')
	[[ $built_version ]] || die "no source package of $series"
	built_src=$QMIRROR_CACHE/source/linux-$built_version
	[[ ! -d $built_src ]] || return 0

	say "downloading the source of $built_version (about 165 MB) and unpacking" \
	    "it (1.9 GB) into $built_src"
	mkdir -p "$QMIRROR_CACHE/source"
	tmp=$(mktemp -d "$QMIRROR_CACHE/source/tmp.XXXXXX")
	# shellcheck disable=SC2064 # tmp is wanted as it is now
	trap "rm -rf '$tmp'" EXIT
	(cd "$tmp" && apt-get "${apt_options[@]}" -q download \
		"linux-source-$series" >&2)
	for deb in "$tmp"/*.deb; do
		mkdir "$tmp/linux"
		dpkg --fsys-tarfile "$deb" |
			tar -xO "./usr/src/linux-source-$series.tar.xz" |
			xz -dc -T0 |
			tar -x -C "$tmp/linux" --strip-components=1 \
				--exclude="linux-source-$series/Documentation/*/*"
	done
	mv "$tmp/linux" "$built_src"
	rm -rf "$tmp"
	trap - EXIT
}

# built_arch LABEL: and what it begins with: the program with the defaults, the
# others with the least that can be.
built_arch()     { if kernel_is_uml "$1"; then echo um; else echo x86_64; fi; }
built_defaults() { if kernel_is_uml "$1"; then echo x86_64_defconfig; else echo tinyconfig; fi; }

# built_configure LABEL BUILD: the defaults, then ours; and nothing of ours may
# have been dropped for want of something else.
built_configure()
{
	local build=$2 line lost=()
	mkdir -p "$build"
	built_make "$1" "$build" -s "$(built_defaults "$1")" &&
		built_config "$1" >> "$build/.config" &&
		built_make "$1" "$build" -s olddefconfig || return
	# What was said last counts: uml-debug.config comes after uml.config.
	while read -r line; do
		case $line in
		'# '*)	! grep -q "^$(cut -d' ' -f2 <<< "$line")=" "$build/.config" ;;
		*)	grep -qxF "$line" "$build/.config" ;;
		esac || lost+=("$line")
	done < <(built_config "$1" | awk '
		/^CONFIG_/ { n = $0; sub(/=.*/, "", n); v[n] = $0 }
		/^# CONFIG_[A-Z0-9_]* is not set$/ { v[$2] = $0 }
		END { for (n in v) print v[n] }')
	((${#lost[@]} == 0)) && return
	say "this kernel cannot have: ${lost[*]} (see tests/vm/*.config)"
	return 1
}

# built_edit LABEL BUILD: the source is everybody's and stays as it is; make takes a
# file of the build folder before the one of the same name there.
built_edit()
{
	local build=$2 file script
	while read -r file script; do
		mkdir -p "$build/$(dirname "$file")" &&
			sed "$script" "$built_src/$file" > "$build/$file" || return
		if cmp -s "$built_src/$file" "$build/$file"; then
			say "$file is not as it was, see built_edits"
			return 1
		fi
	done < <(built_edits "$1")
}

# built_make LABEL BUILD ARG...: polite, for it takes all processors for minutes.
# KCSAN watches our modules only: they are what it is for, its runtime is there
# all the same, and a kernel that is watched throughout is ten times as slow.
built_make()
{
	local label=$1 build=$2
	shift 2
	[[ $label != *-kcsan ]] || set -- KCSAN_SANITIZE=n "$@"
	nice -n 10 make -C "$built_src" ARCH="$(built_arch "$label")" O="$build" \
		--no-print-directory -j"$(nproc)" "$@" >&2
}

# build_kernel LABEL: a build that was interrupted goes on where it was. With a
# lock of its own: nobody who wants another kernel has to wait for this.
build_kernel()
{
	local label=$1 dir program=linux targets=()
	dir=$(built_dir "$label" "$built_version")
	kernel_is_uml "$label" || program=vmlinux
	mkdir -p "$dir"
	exec 7> "$dir/lock"
	flock 7
	[[ ! -s $dir/release || ! -x $dir/build/$program ]] || return 0

	say "building kernel $label: some ten minutes on two processors, once" \
	    "(log: $dir/build.log)"
	rm -f "$dir/release"
	# QEMU starts vmlinux as it is: nothing has to be compressed.
	if ! kernel_is_uml "$label"; then
		targets=(vmlinux modules)
		ln -sfn build/vmlinux "$dir/vmlinux"
	fi
	{
		built_configure "$label" "$dir/build" &&
		built_edit "$label" "$dir/build" &&
		built_make "$label" "$dir/build" "${targets[@]}" &&
		built_make "$label" "$dir/build" INSTALL_MOD_PATH="$dir" modules_install
	} 2> "$dir/build.log" || {
		tail -n 20 "$dir/build.log" >&2
		die "kernel $label cannot be built: see $dir/build.log"
	}
	cp "$dir/build/include/config/kernel.release" "$dir/release"
	exec 7>&-
	say "kernel $(cat "$dir/release") is ready"
}

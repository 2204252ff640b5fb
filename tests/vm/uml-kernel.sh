# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# uml-kernel.sh - the kernels that are built here: user-mode Linux, from
# Debian's source package. Debian's own 7.2 cannot be used (its modpost needs a
# newer libc than Debian 12 has) and lacks BLK_ERROR_INJECTION. Sourced by
# setup, which has private_apt.
#
#	$QMIRROR_CACHE/source/linux-VERSION	the source, without most of
#						Documentation/
#	$QMIRROR_CACHE/kernels/VERSION-FLAVOUR-SUM
#		build/		what make O= makes; build/linux is the kernel;
#				must stay where it is, modules are built against it
#		lib/modules/	the modules
#		release		what uname -r says; written last: all is there

# What only these builds need.
UML_PACKAGES=(flex bison bc)

# uml_source LABEL: sets uml_version and uml_src; downloads and unpacks when
# that version is not there. Called with the cache's lock held.
uml_source()
{
	local series=${1%%-*} tmp deb
	private_apt "$(kernel_suite "$1")"
	apt-get "${apt_options[@]}" -q update >&2
	uml_version=$(apt-cache "${apt_options[@]}" show --no-all-versions \
		"linux-source-$series" | sed -n 's/^Version: \([0-9.]*\).*/\1/p')
	[[ $uml_version ]] || die "no source package of $series"
	uml_src=$QMIRROR_CACHE/source/linux-$uml_version
	[[ ! -d $uml_src ]] || return 0

	say "downloading the source of $uml_version (about 165 MB) and unpacking" \
	    "it (1.9 GB) into $uml_src"
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
	mv "$tmp/linux" "$uml_src"
	rm -rf "$tmp"
	trap - EXIT
}

# uml_configure LABEL BUILD: the defaults, then ours; and nothing of ours may
# have been dropped for want of something else.
uml_configure()
{
	local build=$2 line lost=()
	mkdir -p "$build"
	uml_make "$build" -s x86_64_defconfig &&
		uml_config "$1" >> "$build/.config" &&
		uml_make "$build" -s olddefconfig || return
	# What was said last counts: uml-debug.config comes after uml.config.
	while read -r line; do
		case $line in
		'# '*)	! grep -q "^$(cut -d' ' -f2 <<< "$line")=" "$build/.config" ;;
		*)	grep -qxF "$line" "$build/.config" ;;
		esac || lost+=("$line")
	done < <(uml_config "$1" | awk '
		/^CONFIG_/ { n = $0; sub(/=.*/, "", n); v[n] = $0 }
		/^# CONFIG_[A-Z0-9_]* is not set$/ { v[$2] = $0 }
		END { for (n in v) print v[n] }')
	((${#lost[@]} == 0)) && return
	say "this kernel cannot have: ${lost[*]} (see uml.config)"
	return 1
}

# uml_make BUILD ARG...: polite, for it takes all processors for minutes.
uml_make()
{
	local build=$1
	shift
	nice -n 10 make -C "$uml_src" ARCH=um O="$build" --no-print-directory \
		-j"$(nproc)" "$@" >&2
}

# build_uml LABEL: a build that was interrupted goes on where it was. With a
# lock of its own: nobody who wants another kernel has to wait for this.
build_uml()
{
	local label=$1 dir
	dir=$(uml_dir "$label" "$uml_version")
	mkdir -p "$dir"
	exec 7> "$dir/lock"
	flock 7
	[[ ! -s $dir/release || ! -x $dir/build/linux ]] || return 0

	say "building kernel $label: some ten minutes on two processors, once" \
	    "(log: $dir/build.log)"
	rm -f "$dir/release"
	{
		uml_configure "$label" "$dir/build" &&
		uml_make "$dir/build" &&
		uml_make "$dir/build" INSTALL_MOD_PATH="$dir" modules_install
	} 2> "$dir/build.log" || {
		tail -n 20 "$dir/build.log" >&2
		die "kernel $label cannot be built: see $dir/build.log"
	}
	cp "$dir/build/include/config/kernel.release" "$dir/release"
	exec 7>&-
	say "kernel $(cat "$dir/release") is ready"
}

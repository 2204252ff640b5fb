# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# lvm.sh - real lvm2 in a guest, with a configuration of its own: no udev, no
# daemon, no files of the host, no disks but null_blk ones that are named.

# lvm_config DIR REGEX...: from here on LVM sees the disks that match, and keeps
# what it has to keep in DIR.
lvm_config()
{
	local dir=$1
	shift
	mkdir -p "$dir" /run/lvm /run/lock/lvm
	cat > "$dir/lvm.conf" <<- END
		devices {
			types = [ "nullb", 16 ]
			filter = [ $(printf '"a|%s|", ' "$@")"r|.*|" ]
			use_devicesfile = 0
			obtain_device_list_from_udev = 0
			external_device_info_source = "none"
			hints = "none"
		}
		activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
		backup { backup = 0 archive = 0 }
		global { use_lvmpolld = 0 event_activation = 0 notify_dbus = 0 }
	END
	# it would complain of each descriptor that this shell has open
	export LVM_SUPPRESS_FD_WARNINGS=1
	export LVM_SYSTEM_DIR=$dir
}

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# group.sh - the third act: one application with its data on two file systems,
# snapshots of both at one instant while it runs, snapshots taken one by one for
# comparison, and a group with a broken store, which leaves everything as it was.
# `make demo` runs it in a virtual machine. Ends with 0 only if every proof holds.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

pair=''
clean_up()
{
	local rc=$?
	trap - EXIT
	set +e
	[[ ! $pair ]] || kill "$pair"
	if ((${#writers[@]})); then
		say "" "The demo ended early ($rc)."
		dmsetup status
		stop_writers
	fi
	exit "$rc"
}
trap clean_up EXIT

# The application's files as the two views have them.
pair_of_views()
{
	local rc=0
	mkdir -p "$work/view-orders" "$work/view-books"
	mount -o ro /dev/mapper/orders-snap "$work/view-orders"
	mount -o ro,norecovery,nouuid /dev/mapper/books-snap "$work/view-books"
	"$here/pair.pl" check "$work/view-orders/orders" "$work/view-books/bookings" || rc=$?
	umount "$work/view-orders" "$work/view-books"
	return "$rc"
}
xfs_clean() { xfs_repair -n "$1" > "$work/repair" 2>&1 || { cat "$work/repair"; return 1; }; }
not() { ! "$@"; }
lines() { wc -l < "$books/bookings"; }
# until_lines N: the application has done N bookings more
until_lines()
{
	local to=$(($(lines) + $1))
	until (($(lines) >= to)); do
		kill -0 "$pair" || return 1
		sleep 0.02
	done
}
groups_agree()
{
	local i
	for ((i = 1; i <= $1; i++)); do
		qmirrorctl snapshot create orders=room/orders books=room/books > /dev/null
		pair_of_views || return 1
		qmirrorctl snapshot remove orders books > /dev/null
	done
}
tables() { dmsetup table orders books; dmsetup info -c --noheadings -o name,suspended,tables_loaded; }

modprobe null_blk nr_devices=0
modprobe -a ext4 xfs dm-snapshot
BOOKS_MB=320	# the least that xfs takes
disk disk-a $MB
disk disk-b $BOOKS_MB
disk room 600
dmsetup create orders --table "0 $SIZE linear /dev/disk-a 0"
dmsetup create books --table "0 $((BOOKS_MB * 2048)) linear /dev/disk-b 0"
dmsetup create broken --table "0 $((BOOKS_MB * 2048)) error"
mkfs.ext4 -q -b 4096 /dev/mapper/orders
mkfs.xfs -q /dev/mapper/books
books=$work/books
mkdir "$books" "$work/room"
mount /dev/mapper/orders /mnt
mount /dev/mapper/books "$books"
mkfs.ext4 -q -O ^has_journal -b 4096 /dev/room
mount /dev/room "$work/room"
cd "$work"
start_writers
"$here/pair.pl" write /mnt/orders "$books/bookings" &
pair=$!
until [[ -s $books/bookings ]]; do sleep 0.02; done
until_lines 20
SECONDS=0

title "The scene"
say "An order is written to the one file system and synced, then its booking to the" \
    "other. A copy of both in which there is a booking without its order is worth" \
    "nothing. fio and the database of the other acts keep the first one busy."
run "dmsetup table orders; dmsetup table books"
run "findmnt -no SOURCE,FSTYPE /mnt; findmnt -no SOURCE,FSTYPE books"

title "One by one"
say "Two snapshots, one after the other, as with any other tool:"
run "qmirrorctl snapshot create orders=room/orders > /dev/null"
until_lines 10
run "qmirrorctl snapshot create books=room/books > /dev/null"
prove "as expected, the pair does not agree: bookings without an order" not pair_of_views
run "qmirrorctl snapshot remove orders books > /dev/null"

title "Both at one instant"
run "qmirrorctl snapshot create orders=room/orders books=room/books"
until_lines 10
prove "the pair agrees" pair_of_views
run "qmirrorctl snapshot remove orders books"
prove "so it does in five more of them, under load" groups_agree 5

title "One of the stores is broken"
say "The first one is good, so its member could have a snapshot. But all or none:"
tables > before
run "qmirrorctl snapshot create orders=room/orders books=broken && false || true"
until_lines 10
prove "nothing has changed: the same tables, none suspended, no new device" \
	bash -c "$(declare -f tables); tables | diff - before"
prove "no file and no loop device are left" \
	bash -c '[[ -z $(losetup -a) && ! -e room/orders && ! -e room/books ]]'

title "The proofs"
kill "$pair"
rc=0
wait "$pair" || rc=$?
pair=''
prove "the application ran through all of this without an error" test $rc = 0
prove "its own files agree" "$here/pair.pl" check /mnt/orders "$books/bookings"
stop_writers
prove "so did the other two writers" test $writers_failed = 0
umount /mnt "$books"
prove "the file systems are clean: ext4" fsck_clean /dev/mapper/orders
prove "and xfs" xfs_clean /dev/mapper/books
dmsetup remove orders
dmsetup remove books

say ""
if ((failed)); then
	say "NOT everything could be proved."
	exit 1
fi
say "All of this holds. It took $SECONDS seconds."

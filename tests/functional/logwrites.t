#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# logwrites.t - power failures at every flush. A dm-log-writes under one leg keeps
# what reached it, in the order in which it became durable; it is replayed on a copy,
# and at every flush, FUA and mark everything that a flush or FUA had acknowledged
# to the writer by then is there. Under the target of a write-blocking mirror (both
# ways), and under the source of a filter with an armed snapshot. On top of the
# first also ext4: at every flush the copy is clean once its journal is replayed,
# and has every file that was synced.
#
# Guards the rule "write-blocking sends flush and FUA to both legs", in their order.
# The store of a snapshot promises nothing after a crash and is not looked at.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
modprobe dm-log-writes || bail "no dm-log-writes"
legs 16384 cache_size=4
LOG=$(raw_disk nulllog 262144)
ROUNDS=$((12 * ${QMIRROR_LOG_ROUNDS:-1}))

# logged LEG: from here on LEG is logged, in a new log
logged()
{
	blkdiscard "$LOG"
	dm_swap "$1" "0 $LEN log-writes ${RAW[$1]} $LOG"
}
# replayed ARG...: the log on a copy of what LEG had; what logwrites says
replayed() { "$TOOLS/logwrites" replay "$@" "$LOG" /tmp/copy 2>&1; }

# crash_test DESC DEV LEG
crash_test()
{
	local out
	t_ok "$1: writes, flushes and FUA" "$TOOLS/logwrites" write -n "$ROUNDS" -r "$SEED" "$2" "$3" /tmp/acked
	dm_remove "${2##*/}"
	# ends the log
	dm_swap "$3" "$(linear_line "$3")"
	out=$(replayed -a /tmp/acked)
	t_like "$out" '^stops=[0-9]+ checked=[1-9][0-9]+ flushes=[1-9][0-9]* fuas=[1-9][0-9]*$' \
		"$1: all that was acknowledged is there at every flush ($out)"
}

for how in "" no_bounce; do
	logged tgt
	dd if=$DM/tgt of=/tmp/copy bs=1M iflag=direct status=none
	# shellcheck disable=SC2086
	mirror sync none copy_mode write-blocking $how
	wait_st '^ready yes '
	crash_test "target${how:+, $how}" $DM/m tgt
done

need_modules dm_cbw
store=$(raw_disk nullstore "$LEN")
logged src
dd if=$DM/src of=/tmp/copy bs=1M iflag=direct status=none
dm_make f "0 $LEN cbw $DM/src 0 $store 0"
crash_test "source of a snapshot" $DM/f src

# --- a file system ------------------------------------------------------------

logged tgt
blkdiscard $DM/src
blkdiscard -z $DM/tgt
mirror copy_mode write-blocking
wait_st '^ready yes '
mkfs.ext4 -q -F -b 1024 -J size=1 $DM/m
dmsetup message tgt 0 mark made
mkdir -p /tmp/mnt
mount $DM/m /tmp/mnt || bail "no file system"
for ((i = 1; i <= 5; i++)); do
	mkdir "/tmp/mnt/d$i"
	seq "$i" 500 > "/tmp/mnt/d$i/unsynced"
	seq "$i" 300 > "/tmp/mnt/f$i"
	sync "/tmp/mnt/f$i"
	dmsetup message tgt 0 mark "synced-$i"
done
umount /tmp/mnt
dm_remove m
dm_swap tgt "$(linear_line tgt)"

cat > /tmp/crashed <<'EOS'
#!/bin/bash
# ENTRY MARK: /tmp/copy is what a power failure here would leave
case $2 in
synced-*)	n=${2#*-} ;;
made)		n=0 ;;
*)		exit 0 ;;
esac
cp /tmp/copy /tmp/after
e2fsck -E journal_only -y /tmp/after > /tmp/fsck.out 2>&1
e2fsck -fn /tmp/after > /tmp/fsck.out 2>&1 || { cat /tmp/fsck.out; exit 1; }
for ((i = 1; i <= n; i++)); do
	seq "$i" 300 | cmp - <(debugfs -R "cat /f$i" /tmp/after 2> /dev/null) || exit 1
done
echo x >> /tmp/crashes
EOS
chmod +x /tmp/crashed
truncate -s $((LEN * 512)) /tmp/copy
: > /tmp/crashes
out=$(replayed -c /tmp/crashed)
t_like "$out" '^stops=' "ext4 is clean, with all files that were synced, after a crash at each flush"
t_between "that many crashes were looked at" "$(wc -l < /tmp/crashes)" 5 100000

done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Hostile writers: overlapping writes from several threads, and writers that
# change their O_DIRECT buffer while the write is in flight (K-16). dm-mirror's
# legs differ after a few seconds of either. With the private copy ours are
# equal after both; with no_bounce after the first.
#
# Guards invariants 2 and 3 (overlapping writes reach both legs in one order).

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
modprobe dm-delay 2>/dev/null
legs $((16 * 2048))
R=${SEED:+-r $SEED}

# The rig must be able to fail: the same scribbler on dm-mirror.
modprobe -a dm-log dm-mirror 2>/dev/null
if dm_make dmm "0 $LEN mirror core 2 1024 nosync 2 $DM/src 0 $DM/tgt 0"; then
	"$TOOLS/scribble" -t 2 -d 3 -n 2048 $R $DM/dmm > /tmp/out
	diag "$(< /tmp/out)"
	if legs_cmp > /tmp/cmp; then
		diag "dm-mirror's legs are equal this time: the scribbler met no race"
	else
		diag "dm-mirror, as expected: $(tail -n 1 /tmp/cmp)"
	fi
	dm_remove dmm
fi

for mode in write-blocking background; do
	for size in 8 64 2048; do
		mirror copy_mode $mode
		t_ok "scribble, $mode, $size sectors: writes end well" \
			"$TOOLS/scribble" -t 2 -d 3 -m $size -n 8192 $R $DM/m
		t_wait "scribble, $mode, $size sectors: clean" '^ready .* 0/256 ok - 0 0 0 ' 20
		unmirror
		t_equal "scribble, $mode, $size sectors: legs equal"
	done
done

# delayed target: the buffer changes long before the second leg is written
dm_swap tgt "0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 10"
mirror sync none copy_mode write-blocking
wait_st '^ready yes '
"$TOOLS/scribble" -t 4 -d 3 -n 2048 $R $DM/m > /tmp/out
wait_st '^ready yes .* 0/256 '
unmirror
t_equal "scribble with a slow target: legs equal"

for how in "" no_bounce; do
	for max in 16 300 2048; do
		# shellcheck disable=SC2086
		mirror copy_mode write-blocking $how
		t_ok "overlap $how, up to $max sectors: writes end well" \
			"$TOOLS/overlap" -t 4 -d 3 -m $max -n 2048 $R $DM/m
		t_wait "overlap $how, up to $max sectors: synced" '^ready yes .* 0/256 ok - 0 0 0 ' 20
		unmirror
		t_equal "overlap $how, up to $max sectors: legs equal"
	done
	# one leg slower than the other invites reordering
	[[ $how ]] || dm_swap tgt "$(linear_line tgt)"
	[[ $how ]] || dm_swap src "0 $LEN delay ${RAW[src]} 0 0 ${RAW[src]} 0 5"
done
dm_swap src "$(linear_line src)"
dm_swap tgt "$(linear_line tgt)"

# overlapping writers with the copy running and the mode changing
mirror speed 65536
"$TOOLS/overlap" -t 4 -d 10 -m 512 -n $LEN $R $DM/m > /tmp/out &
o=$!
modes=(write-blocking background)
for ((i = 0; ; i++)); do
	kill -0 $o 2>/dev/null || break
	msg set copy_mode ${modes[i % 2]} || fail "set copy_mode: $MSG"
	[[ $i != 10 ]] || msg set speed 0
done
t_ok "overlap with mode switches: writes end well" wait $o
diag "$(< /tmp/out) $i switches"
t_between "overlap with mode switches: there were some" $i 3 99999
t_wait "overlap with mode switches: clean" '^ready .* 0/256 ok - 0 0 0 ' 20
unmirror
t_equal "overlap with mode switches: legs equal"

# --- adjacent small writes in one chunk do not wait for each other; the two
# legs are written at the same time
dm_swap tgt "0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 1000"
# traced HOW LEG DIO-ARGS...: a mirror, the I/O; MOST: how many writes were under way
# on these legs at one time
traced()
{
	local how=$1 legs=$2
	shift 2
	# shellcheck disable=SC2086
	mirror sync none copy_mode write-blocking $how
	wait_st '^ready yes '
	# shellcheck disable=SC2086
	trace_on $legs
	dio "$@" > /tmp/out
	trace_off > /tmp/trace
	MOST=$(awk '$4 ~ /^W/ { n += $2 == "queue" ? 1 : -1; if (n > m) m = n }
		    END { print m + 0 }' /tmp/trace)
	SLOWEST=$(awk '$3 > m { m = $3 } END { print m + 0 }' /tmp/out)
}
for how in "" no_bounce; do
	traced "$how" tgt -p $DM/m w:0:8:g1 w:8:8:g1 w:16:8:g1 w:120:8:g1
	t_is $MOST 4 "$how: four adjacent writes in one chunk are written at one time"
	t_between "$how: and take one delay at least" $SLOWEST 950 20000
	t_ok "$how: a read does not wait for a write" timeout 5 "$TOOLS/dio" $DM/m r:0:8:g1
	unmirror
	traced "$how" tgt -p $DM/m w:256:8:g1 w:260:8:g2
	t_is $MOST 1 "$how: two that overlap are not"
	t_between "$how: and take two delays" $SLOWEST 1950 20000
	unmirror
done
dm_swap src "0 $LEN delay ${RAW[src]} 0 0 ${RAW[src]} 0 1000"
for how in "" no_bounce; do
	traced "$how" "src tgt" $DM/m w:0:8:g1
	t_is $MOST 2 "$how: both legs at the same time"
	unmirror
done
dm_swap src "$(linear_line src)"
dm_swap tgt "$(linear_line tgt)"

# --- a file system and mapped pages: the page cache writes what it likes
if command -v mkfs.ext4 > /dev/null; then
	modprobe ext4 2>/dev/null
	mirror copy_mode write-blocking
	mkfs.ext4 -q -F -E nodiscard $DM/m > /dev/null 2>&1
	mkdir -p /tmp/mnt && mount $DM/m /tmp/mnt
	t_ok "ext4 with mapped writers" timeout 60 fio --name=mm --directory=/tmp/mnt --size=4m --numjobs=2 \
		--ioengine=mmap --rw=randwrite --bs=4k --time_based --runtime=4 --fsync=64 --group_reporting
	umount /tmp/mnt
	t_wait "ext4: synced" '^ready yes .* 0/256 ok - 0 0 0 ' 10
	unmirror
	t_equal "ext4: legs equal"
	t_ok "ext4: the target is a clean file system" e2fsck -fn "${RAW[tgt]}"
fi

finish

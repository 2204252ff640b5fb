#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Discard, write-zeroes, zero_detect and target_is_zero, on legs that can and
# legs that cannot: the legs are equal or dirty (K-14, K-15).
#
# Guards invariant 1.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
R=${SEED:+-r $SEED}

# Kinds of legs: null_blk with discard, null_blk without, a sparse file by loop
# (discard; WRITE_ZEROES only with unmap on tmpfs), scsi_debug (both).
legs 16384
raw_disk nullplain 16384 discard=0 > /dev/null
dm_make plain "0 16384 linear /dev/nullplain 0"
mkdir -p /tmp/sparse && mount -t tmpfs -o size=64m tmpfs /tmp/sparse
for i in 1 2; do
	truncate -s $((16384 * 512)) /tmp/sparse/$i
	loop=$(losetup --show -f /tmp/sparse/$i)
	dm_make file$i "0 16384 linear $loop 0"
done
have_scsi=
modprobe sd_mod
if modprobe scsi_debug dev_size_mb=8 lbpu=1 lbpws=1 lbpws10=1 lbprz=1 delay=0 \
		add_host=2 per_host_store=1 2>/tmp/err; then
	until_true 5 test -b /dev/sdb
	mapfile -t sd < <(for i in /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*; do echo "/dev/${i##*/}"; done)
	if ((${#sd[@]} >= 2)) && [[ -b ${sd[0]} ]]; then
		dm_make scsi1 "0 16384 linear ${sd[0]} 0"
		dm_make scsi2 "0 16384 linear ${sd[1]} 0"
		have_scsi=yes
	fi
fi
diag "scsi_debug: ${have_scsi:-no} ${sd[*]-}"

cmp_mode() # DESC SOURCE TARGET: clean and equal
{
	t_wait "$1: clean" '^ready .* 0/128 ok - 0 0 0 ' 20
	t_equal "$1: legs equal" "$2" "$3"
}

pairs=("src tgt" "src plain" "plain tgt" "file1 file2" "src file1" "file1 plain")
[[ $have_scsi ]] && pairs+=("scsi1 scsi2" "src scsi1" "scsi1 plain")
for pair in "${pairs[@]}"; do
	read -r a b <<< "$pair"
	fill $DM/$a 1
	fill $DM/$b 2
	for mode in background write-blocking; do
		n="$a to $b, $mode"
		dm_make m "0 16384 qmirror $DM/$a 0 $DM/$b 0 2 copy_mode $mode"
		t_wait "$n: ready" '^ready ' 20
		max=$(queue m discard_max_bytes)
		srcmax=$(queue $a discard_max_bytes)
		t_is $((max > 0)) $((srcmax > 0)) "$n: discard is offered iff the source does"
		SYS[$a]=
		mark $a
		if ((max > 0)); then
			t_ok "$n: discards never fail" dio $DM/m d:1024:4096 d:0:8 d:8200:56 d:12288:4096
			t_between "$n: they reach the source" "$(since $a dsec)" 1 16384
		fi
		t_ok "$n: zeroes never fail" dio $DM/m z:256:100 z:6000:2000 z:16383:1
		dio $DM/m u:7000:16 > /dev/null	# may be unsupported
		t_ok "$n: zeroes read as zeroes" dio $DM/m r:256:100:x00 r:6000:2000:x00 r:16383:1:x00
		cmp_mode "$n" $DM/$a $DM/$b
		t_ok "$n: discards and zeroes at random" \
			"$TOOLS/mixer" -d 2 -w 30 -R 10 -D 25 -Z 25 -U 10 -F 2 $R $DM/m
		cmp_mode "$n, random" $DM/$a $DM/$b
		unmirror
	done
done

# --- while a leg is dirty: a write-zeroes of a full dirty chunk makes it clean
if [[ $have_scsi ]]; then
	fill $DM/scsi1 1
	fill $DM/scsi2 2
	dm_make m "0 16384 qmirror $DM/scsi1 0 $DM/scsi2 0 4 sync none copy_mode write-blocking"
	wait_st '^ready ' && msg pause && wait_st '^standby '
	msg mark_dirty 128 1 256 1
	SYS[scsi2]=
	mark scsi2
	dio $DM/m z:192:320 > /dev/null
	st
	t_ok "WRITE_ZEROES: the dirty head is not sent" dio $DM/scsi2 r:128:128:g2
	case ${S[dirty]} in
	1)	t_ok "WRITE_ZEROES: middle and tail are zero" dio $DM/scsi2 r:256:256:x00 ;;
	*)	t_between "WRITE_ZEROES: not sent, then dirty" "${S[dirty]}" 4 4 ;;
	esac
	msg resume
	wait_st '^ready .* 0/128 ok - 0 0 0 '
	unmirror
fi

# --- discard never cleans a chunk
fill $DM/src 1
fill $DM/tgt 2
mirror sync none copy_mode write-blocking
wait_st '^ready ' && msg pause && wait_st '^standby '
msg mark_dirty 0 1024
dio $DM/m d:0:2048 > /dev/null
t_between "a discard makes no chunk clean" "$(field dirty)" 8 16
msg resume
wait_st '^ready .* 0/128 ok - 0 0 0 '
t_ok "after a discard: equal where it was dirty or discarded" "$TOOLS/blkcmp" -n 2048 $DM/src $DM/tgt
unmirror

# --- zero_detect: zeroes become WRITE_ZEROES with unmap, space comes back
# A loop device of its own: one that was asked for zeroes it may not unmap has
# forgotten on 7.2 that it can write any.
truncate -s $((16384 * 512)) /tmp/sparse/3
dm_make file3 "0 16384 linear $(losetup --show -f /tmp/sparse/3) 0"
dm_swap src "0 16384 zero" && dm_swap src "$(linear_line src)"
zeros=(); for ((i = 0; i < 16384; i += 2048)); do zeros+=("w:$i:2048:x00"); done
for detect in "" zero_detect; do
	dio $DM/src "${zeros[@]}" > /dev/null
	dio $DM/src w:0:128:g1 w:8192:128:g1 w:12288:8:g1 > /dev/null
	fill $DM/file3 2
	sync
	dm_make m "0 16384 qmirror $DM/src 0 $DM/file3 0${detect:+ 1 $detect}"
	t_wait "zeroes ${detect:-unseen}: ready" '^ready ' 20
	unmirror
	t_equal "zeroes ${detect:-unseen}: legs equal" $DM/src $DM/file3
	blocks[${#detect}]=$(stat -c %b /tmp/sparse/3)
	diag "blocks of the file: ${blocks[${#detect}]}"
done
t_between "zero_detect: the file shrank to the data" "${blocks[11]}" 1 2048
t_between "without it the file is full" "${blocks[0]}" 16384 99999
# in the guest's write, too
fill $DM/file1 2
dm_make m "0 16384 qmirror $DM/src 0 $DM/file1 0 5 sync none copy_mode write-blocking zero_detect"
wait_st '^ready yes '
t_ok "zero_detect, guest: writes of zeroes end well" dio $DM/m "${zeros[@]}"
t_ok "zero_detect, guest: they are zeroes" dio $DM/file1 r:0:2048:x00 r:14336:2048:x00
t_equal "zero_detect, guest: legs equal" $DM/src $DM/file1
unmirror
# on a target that cannot write zeroes it is data
fill $DM/plain 2
dm_make m "0 16384 qmirror $DM/src 0 $DM/plain 0 1 zero_detect"
t_wait "zero_detect, target that cannot: ready" '^ready .* ok - 0 0 ' 20
unmirror
t_equal "zero_detect, target that cannot: legs equal" $DM/src $DM/plain

# --- target_is_zero
dio $DM/src "${zeros[@]}" > /dev/null
dio $DM/src w:0:128:g1 w:8192:1:g1 w:12280:16:g1 > /dev/null
dio $DM/tgt "${zeros[@]}" > /dev/null
mark tgt
mirror target_is_zero
t_wait "target_is_zero: ready" '^ready .* 0/128 ' 20
t_is "$(since tgt wsec)" 512 "target_is_zero: only chunks with data are written"
unmirror
t_equal "target_is_zero: legs equal"
# a chunk that something was sent to is written although it is zero again
dio $DM/tgt "${zeros[@]}" > /dev/null
for mode in background write-blocking; do
	mirror sync bitmap target_is_zero copy_mode $mode
	msg resume
	wait_st '^ready '
	dio $DM/m w:4096:8:g5 w:5120:128:g5 > /dev/null
	wait_st '^ready .* 0/128 ok - 0 0 0 '
	t_ok "target_is_zero, $mode: data arrives" dio $DM/tgt r:4096:8:g5 r:5120:128:g5
	msg pause
	msg set copy_mode background
	dio $DM/m w:4096:8:x00 w:5120:128:x00 > /dev/null
	msg resume
	wait_st '^ready .* 0/128 ok - 0 0 0 '
	t_ok "target_is_zero, $mode: zeroes over it arrive, too" dio $DM/tgt r:4096:8:x00 r:5120:128:x00
	unmirror
	dio $DM/tgt w:4096:8:x00 w:5120:128:x00 > /dev/null
done
# not forgotten over a reload
mirror sync bitmap target_is_zero
dio $DM/m w:4096:8:g5 > /dev/null
msg resume
wait_st '^ready .* 0/128 ok - 0 0 0 '
msg pause
dm_swap m "$(line sync bitmap target_is_zero)"
dio $DM/m w:4096:8:x00 > /dev/null
msg resume
wait_st '^ready .* 0/128 ok - 0 0 0 '
t_ok "target_is_zero: what was sent is not forgotten by a reload" dio $DM/tgt r:4096:8:x00
unmirror

for d in plain file1 file2; do dm_remove $d; done
losetup -D
umount /tmp/sparse
for d in scsi1 scsi2; do [[ ! $have_scsi ]] || dm_remove $d; done
rmmod scsi_debug 2>/dev/null
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Good table lines: what the constructor accepts, what dmsetup table prints is
# accepted again and prints the same, what set changed survives a reload, and
# what the device tells the layers around it.
#
# Guards the contract's conventions and "Reload".

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((8 * 2048 + 1))

modprobe dm-qmirror
t_like "$(dmsetup targets)" $'(^|\n)qmirror +v[0-9]+' "the target is registered with a version"

# roundtrip WORD...: create, print, create from what was printed, print
roundtrip()
{
	local t1 t2
	if ! mirror "$@" 2>/tmp/err; then
		fail "accepted: ${*:-no arguments}"
		diag "$(< /tmp/err)"
		return 1
	fi
	pass "accepted: ${*:-no arguments}"
	t1=$(table_m)
	# reload the printed line of the live device: it joins the job
	if dmsetup load m --table "$t1" && dmsetup suspend m && dmsetup resume m; then
		t_is "$(table_m)" "$t1" "reload of the printed line prints the same: $*"
	else
		fail "reload of the printed line: $*"
		dmsetup clear m
		dmsetup resume m
	fi
	unmirror
	if dm_make m "$t1"; then
		t2=$(table_m)
		t_is "$t2" "$t1" "a new device of the printed line prints the same: $*"
		unmirror
	else
		fail "a new device of the printed line: $t1"
	fi
	PRINTED=$t1
}

# each argument that is not the default must be in what is printed
for args in "" "sync full" "sync none" "sync bitmap" "copy_mode background" \
	    "copy_mode write-blocking" "granularity 1" "granularity 8" "granularity 128" \
	    "granularity 131072" "buf_size 0" "buf_size 1" "buf_size 128" "buf_size 65536" \
	    "speed 0" "speed 2048" "on_source_error ignore" "on_source_error stop" \
	    "on_source_error enospc" "on_source_error auto" "on_source_error report" \
	    "on_target_error report" "on_target_error ignore" "on_target_error stop" \
	    "on_target_error enospc" "on_target_error auto" target_is_zero \
	    "target_timeout 0" "target_timeout 5000" zero_detect no_bounce \
	    "no_bounce zero_detect target_is_zero" \
	    "target_timeout 7 no_bounce speed 99 sync none granularity 16"; do
	# shellcheck disable=SC2086
	roundtrip $args || continue
	case $args in
	""|"sync full"|"copy_mode background"|"granularity 128"|*" 0"|*" report"|"buf_size 1")
		continue ;;
	esac
	n=0
	# shellcheck disable=SC2086
	set -- $args
	while (($#)); do
		case $1 in
		target_is_zero|zero_detect|no_bounce)	w=" $1"; shift ;;
		*)					w=" $1 $2"; shift 2 ;;
		esac
		[[ "$PRINTED " == *"$w "* ]] || { n=1; diag "no '$w' in $PRINTED"; }
	done
	t_is $n 0 "printed with its value: $args"
done
t_like "$PRINTED" '^0 16385 qmirror [0-9]+:[0-9]+ 0 [0-9]+:[0-9]+ 0 [0-9]+ ' "the fixed words"

# the count counts words
mirror speed 77 zero_detect
read -r -a w <<< "$(table_m)"
t_is "${w[7]}" $((${#w[@]} - 8)) "the count in the table is the number of words after it"
# set and reload
msg set speed 4096
msg set copy_mode write-blocking
msg set on_source_error stop
msg set on_target_error ignore
t=$(table_m)
for a in "speed 4096" "copy_mode write-blocking" "on_source_error stop" "on_target_error ignore"; do
	t_like "$t " " $a " "the table has what set changed: $a"
	t_like " ${S[args]:-}$(field args) " " $a " "the status has what set changed: $a"
done
read -r -a w <<< "$(dmsetup status m)"
t_is $((${#w[@]} - 13 - w[12])) 2 "status: the count, its words, ending and orphans"
dm_swap m "$t"
t_is "$(table_m)" "$t" "what set changed survives a reload of the printed line"
# the other args come from the new line
dm_swap m "$(line speed 55)"
t_like "$(table_m) " ' speed 55 ' "a reload brings the new line's speed"
t_like "$(field args) " '(^| )copy_mode background ' "a reload brings the new line's copy_mode"
unmirror

# status of a fresh, paused job
mirror sync bitmap
st
t_is "${S[state]} ${S[synced]} ${S[dirty]}/${S[chunks]} ${S[io]} ${S[error]} ${S[serr]} ${S[terr]} ${S[inflight]} ${S[ending]} ${S[orphans]}" \
	"paused no 0/129 ok - 0 0 0 - 0" "status of a fresh job, field by field"
t_is "${S[rest]}" "" "nothing after the orphans"
unmirror
mirror sync bitmap granularity 1
t_is "$(field chunks)" 16385 "granularity 1: a chunk each sector"
unmirror
mirror sync bitmap granularity 131072
t_is "$(field chunks)" 1 "granularity of 64 MiB: one partial chunk"
unmirror

# Offsets, a larger target, and both legs on one device
raw=$(raw_disk nullbig $((64 * 2048)))
dm_make big "0 $((64 * 2048)) linear $raw 0"
fill $DM/src 7
dm_make m "0 8000 qmirror $DM/src 24 $DM/big 10008 2 copy_mode write-blocking"
t_wait "offsets: ready" '^ready yes' 10
t_ok "offsets: the right sectors are copied" "$TOOLS/blkcmp" -a 24 -b 10008 -n 8000 $DM/src $DM/big
dio $DM/m w:0:8:g9 w:7992:8:g9 > /dev/null
t_ok "offsets: guest writes land on the source" dio -o 24 $DM/src r:24:8:g9 r:8016:8:g9
t_ok "offsets: guest writes land on the target" dio -o 10008 $DM/big r:10008:8:g9 r:18000:8:g9
t_ok "offsets: nothing before the range" dio $DM/big r:10007:1:x00
t_ok "offsets: nothing behind the range" dio $DM/big r:18008:1:x00
t_like "$(table_m)" ' 24 [0-9:]+ 10008( |$)' "offsets are printed"
unmirror
t_ok "two ranges of one device that do not overlap" \
	dm_make m "0 8000 qmirror $DM/big 0 $DM/big 8000"
t_wait "two ranges of one device: ready" '^ready ' 10
t_ok "two ranges of one device: equal" "$TOOLS/blkcmp" -a 0 -b 8000 -n 8000 $DM/big $DM/big
unmirror

# Two mirrors may share a target where they do not overlap
mirror
t_ok "another mirror on another range of the same target" \
	dm_make m2 "0 4096 qmirror $DM/big 0 $DM/big 40000"
t_ok "and not on the same" bash -c "! dmsetup load m2 --table '0 4096 qmirror $DM/big 0 $DM/tgt 12288' 2>/dev/null"
dmsetup remove m2
unmirror
# Removing a live job is said
mirror speed 64
wait_st '^running '
log_mark
unmirror
t_like "$(log_new)" 'qmirror.* m[: ]' "removing a live job logs a line with the name"

# A read-only table: the target is written all the same
fill $DM/tgt 2
if dmsetup create -r m --table "$(line)" 2>/tmp/err && dmsetup mknodes m; then
	t_wait "read-only table: ready" '^ready ' 10
	unmirror
	t_equal "read-only table: the target was written"
else
	fail "read-only table: $(< /tmp/err)"
fi

# What the layers around see
mirror
slaves=$(ls "/sys/block/dm-$(dmsetup info -c --noheadings -o minor m)/slaves" | sort | xargs)
want=$(for l in src tgt; do echo "dm-$(dmsetup info -c --noheadings -o minor $l)"; done | sort | xargs)
t_is "$slaves" "$want" "both legs are slaves of the device"
for q in discard_granularity discard_max_bytes logical_block_size; do
	t_is "$(< "/sys/block/dm-$(dmsetup info -c --noheadings -o minor m)/queue/$q")" \
	     "$(< "/sys/block/dm-$(dmsetup info -c --noheadings -o minor src)/queue/$q")" \
	     "$q is the source's"
done
unmirror

# Reload joins: the job's progress stays
mirror speed 512 buf_size 128
wait_st '^running .* [1-9][0-9]*/[0-9]+ '
off=$(field offset)
dm_swap m "$(line speed 512 buf_size 128 sync none)"
t_is "$(field state)" running "reload with another sync: still running, sync is ignored"
t_between "reload: the offset stays" "$(field offset)" "$off" 16385
dm_swap m "$(line speed 0 sync none)"
t_wait "reload without the limit: ready" '^ready ' 20
t_equal "reload: everything was copied, sync none of the new line is ignored"
# and another line fails the load, other targets load
for l in "0 $LEN qmirror $DM/src 0 $DM/big 0" "0 $LEN qmirror $DM/src 0 $DM/tgt 0 2 granularity 8" \
	 "0 $((LEN - 1)) qmirror $DM/src 0 $DM/tgt 0" "0 $((LEN - 1)) qmirror $DM/src 1 $DM/tgt 0"; do
	log_mark
	if dmsetup load m --table "$l" 2>/dev/null; then
		fail "refused while the job lives: $l"
		dmsetup clear m
	else
		pass "refused while the job lives: $l"
	fi
done
ev=$(events)
log_mark
t_ok "another target loads" dm_swap m "0 $LEN linear ${RAW[src]} 0"
t_is "$(log_new | grep -c qmirror)" 1 "replacing a live job logs one line"
t_between "replacing a live job raises an event" $(($(events) - ev)) 1 99
unmirror
# a concluded job no longer stands in the way of another line
mirror
wait_st '^ready ' && msg cancel force && wait_st '^concluded '
t_ok "after concluded another line loads" dm_swap m "0 $LEN qmirror $DM/src 0 $DM/tgt 0 2 granularity 8"
t_wait "and is a new job" '^ready .*/2049 ' 20
unmirror

finish

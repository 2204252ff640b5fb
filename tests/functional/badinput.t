#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bad input: every malformed or refused table line and message gets a clear
# one-line error and changes nothing, neither on the device it was meant for
# nor on a live mirror next to it.
#
# Guards the contract's conventions: one short sentence naming the argument,
# the word itself quoted in one log line, EINVAL or EBUSY.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs 16384
L=16384
rs=$(raw_disk nulls2 $L)
rt=$(raw_disk nullt2 $L)
r4=$(raw_disk null4k $L blocksize=4096)
r4b=$(raw_disk null4kb $L blocksize=4096)
dm_make s2 "0 $L linear $rs 0"
dm_make t2 "0 $L linear $rt 0"
dm_make small "0 $((L - 8)) linear $rt 0"
dm_make huge "0 17179869184 zero"
dm_make huge2 "0 17179869184 zero"
dmsetup create -r rot2 --table "0 $L linear $rt 0" && dmsetup mknodes rot2
dm_make y "0 $L linear $rs 0"
zoned=$(raw_disk nullz $L zoned=1 zone_size=4 memory_backed=0 2>/dev/null) || zoned=
s=$DM/s2 t=$DM/t2

mirror copy_mode write-blocking
wait_st '^ready yes'
snapshot() { "$TOOLS/dmq" status m; "$TOOLS/dmq" table m y; "$TOOLS/dmq" events m; }
before=$(snapshot)
rows=0

# The lines of the log that are ours; device mapper's own "error adding
# target to table" says nothing new.
ours() { local l; log_new | while IFS= read -r l; do [[ $l != *qmirror* ]] || echo "$l"; done; }
lines_of() { local l; mapfile -t l <<< "$1"; [[ $1 ]] && echo ${#l[@]} || echo 0; }

# bad_line ERRNO NAMED WORD LINE: loading LINE on y fails with ERRNO (a regular
# expression), the sentence names NAMED (another one), and the log quotes WORD.
bad_line()
{
	local errno=$1 named=$2 word=$3 tl=$4 out lines sentence l now
	((rows++))
	log_mark
	if out=$(dmsetup load y --table "$tl" 2>&1); then
		fail "refused: $tl"
		dmsetup clear y
		return
	fi
	lines=$(ours)
	sentence=
	while IFS= read -r l; do
		[[ ! $l =~ device-mapper:\ table:\ .*qmirror:\  ]] || sentence+=$l$'\n'
	done <<< "$lines"
	sentence=${sentence%$'\n'}
	now=$(snapshot)
	if [[ $sentence =~ $named && $sentence == *"(-"* ]] &&
	   [[ $(lines_of "$sentence") == 1 ]] &&
	   [[ ! $word || $lines == *"$word"* ]] &&
	   (($(lines_of "$lines") <= 2)) &&
	   [[ ! $errno || $sentence =~ \(-$errno\) ]] &&
	   [[ $now == "$before" ]]; then
		pass "refused: $tl"
	else
		fail "refused: $tl"
		diag "wanted one sentence naming /$named/ with $errno, and '$word' quoted; the log:" "$lines" "dmsetup: $out"
		[[ $now == "$before" ]] || { diag "something changed: $now"; before=$now; }
	fi
}
E=EINVAL

# --- the fixed words
bad_line $E '[Aa]rg|number|expect' '' "0 $L qmirror"
bad_line $E '[Aa]rg|number|expect' '' "0 $L qmirror $s"
bad_line $E '[Aa]rg|number|expect' '' "0 $L qmirror $s 0"
bad_line $E '[Aa]rg|number|expect' '' "0 $L qmirror $s 0 $t"
bad_line '' '[Ss]ource' /dev/nosuch "0 $L qmirror /dev/nosuch 0 $t 0"
bad_line '' '[Tt]arget' /dev/nosuch "0 $L qmirror $s 0 /dev/nosuch 0"
bad_line '' '[Ss]ource' /dev/null "0 $L qmirror /dev/null 0 $t 0"
for o in x -1 1.5 0x 8s 99999999999999999999999 18446744073709551615 9223372036854775807; do
	bad_line '' '[Ss]ource|offset' "$o" "0 $L qmirror $s $o $t 0"
	bad_line '' '[Tt]arget|offset' "$o" "0 $L qmirror $s 0 $t $o"
done
# --- sizes and places
bad_line '' '[Ss]ource' '' "0 $L qmirror $s 8 $t 0"
bad_line '' '[Tt]arget' '' "0 $L qmirror $s 0 $t 8"
bad_line '' '[Tt]arget' '' "0 $L qmirror $s 0 $DM/small 0"
bad_line '' '[Oo]verlap|[Ss]ource|[Tt]arget' '' "0 $L qmirror $s 0 $s 0"
bad_line '' '[Oo]verlap|[Ss]ource|[Tt]arget' '' "0 8192 qmirror $s 0 $s 8191"
bad_line '' '[Oo]verlap|[Ss]ource|[Tt]arget' '' "0 8192 qmirror $s 8191 $s 0"
bad_line '' '.' '' "0 $L qmirror $DM/y 0 $t 0"
bad_line '' '.' '' "0 $L qmirror $t 0 $DM/y 0"
# and through a device that stands on the mirror itself
dm_make ony "0 $L linear $DM/y 0"
bad_line '' '[Tt]arget' '' "0 $L qmirror $s 0 $DM/ony 0"
bad_line '' '[Ss]ource' '' "0 $L qmirror $DM/ony 0 $t 0"
dm_remove ony
bad_line '' '[Tt]arget' '' "0 $L qmirror $s 0 $DM/tgt 0"
bad_line '' '[Tt]arget' '' "0 1024 qmirror $s 0 $DM/tgt 8192"
bad_line '' '[Bb]lock size|[Bb]lock' '' "0 $L qmirror $s 0 $r4 0"
bad_line '' '[Ll]ength|[Bb]lock' '' "0 $((L - 1)) qmirror $r4 0 $r4b 0"
bad_line '' '[Oo]ffset|[Bb]lock' '' "0 8192 qmirror $r4 1 $r4b 0"
bad_line '' '[Oo]ffset|[Bb]lock' '' "0 8192 qmirror $r4 0 $r4b 4"
bad_line '' '[Gg]ranularity' 4 "0 8192 qmirror $r4 0 $r4b 0 2 granularity 4"
bad_line '' '[Gg]ranularity|chunk' '' "0 8589934592 qmirror $DM/huge 0 $DM/huge2 0 2 granularity 1"
bad_line '' '[Tt]arget' '' "0 $L qmirror $s 0 $DM/rot2 0"
if [[ $zoned ]]; then
	bad_line '' '[Zz]oned' '' "0 $L qmirror $zoned 0 $t 0"
	bad_line '' '[Zz]oned' '' "0 $L qmirror $s 0 $zoned 0"
fi
# --- the count and the words behind it
bad_line $E '[Aa]rg|number|count' x "0 $L qmirror $s 0 $t 0 x"
bad_line $E '[Aa]rg|number|count' -1 "0 $L qmirror $s 0 $t 0 -1"
bad_line $E '[Aa]rg|number|count' '' "0 $L qmirror $s 0 $t 0 1"
bad_line $E '[Aa]rg|number|count' '' "0 $L qmirror $s 0 $t 0 3 sync full"
bad_line $E '[Aa]rg|number|count|extra' '' "0 $L qmirror $s 0 $t 0 2 sync full extra"
bad_line $E '[Aa]rg|number|count|extra' '' "0 $L qmirror $s 0 $t 0 0 sync full"
bad_line $E '[Aa]rg|number|count' 999 "0 $L qmirror $s 0 $t 0 999 sync full"
bad_line $E '[Uu]nknown|[Aa]rg' bogus "0 $L qmirror $s 0 $t 0 1 bogus"
bad_line $E '[Uu]nknown|[Aa]rg' bogus "0 $L qmirror $s 0 $t 0 2 bogus 1"
bad_line $E '[Uu]nknown|[Aa]rg' region_size "0 $L qmirror $s 0 $t 0 4 sync full region_size 8"
# args NAME VALUE...: a value is refused, and one that is missing
for spec in "sync top bogus incremental 1" \
	    "copy_mode active backgroundx write_blocking 0" \
	    "granularity 0 3 127 129 262144 -8 8x x 99999999999999999999 4294967296" \
	    "buf_size -1 x 1M 99999999999999999999" \
	    "speed -1 x 1M 0.5 99999999999999999999" \
	    "on_source_error retry stopx 0" \
	    "on_target_error retry reportx -" \
	    "target_timeout -1 x 5s 99999999999999999999"; do
	# shellcheck disable=SC2086
	set -- $spec
	name=$1
	shift
	bad_line $E "$name|[Aa]rg" "$name" "0 $L qmirror $s 0 $t 0 1 $name"
	for v; do
		bad_line $E "$name" "$v" "0 $L qmirror $s 0 $t 0 2 $name $v"
	done
done
bad_line $E '[Uu]nknown|[Aa]rg' yes "0 $L qmirror $s 0 $t 0 2 target_is_zero yes"
bad_line $E '[Uu]nknown|[Aa]rg' on "0 $L qmirror $s 0 $t 0 2 no_bounce on"
# the last of several words counts as well
bad_line $E speed x "0 $L qmirror $s 0 $t 0 6 sync none zero_detect no_bounce speed x"

# a singleton: device mapper's own words here, so only that it is refused
for tl in $'0 8192 qmirror '"$s 0 $t 0"$'\n8192 8192 linear '"$s 8192" \
	  $'0 8192 linear '"$s 0"$'\n8192 8192 qmirror '"$s 8192 $t 8192"; do
	((rows++))
	if printf '%s\n' "$tl" | dmsetup load y > /dev/null 2>&1; then
		fail "alone in its table: ${tl//$'\n'/ | }"
		dmsetup clear y
	else
		pass "alone in its table: ${tl//$'\n'/ | }"
	fi
done
t_is "$(snapshot)" "$before" "and nothing has changed"

# --- messages: a wrong number of words names the verb, a wrong word itself
bad_msg() # WORD MESSAGE...
{
	local word=$1 lines now
	shift
	((rows++))
	log_mark
	msg "$@"
	lines=$(ours)
	now=$(snapshot)
	if [[ $MSG == EINVAL && $(lines_of "$lines") == 1 && $lines == *"$word"* && $now == "$before" ]]; then
		pass "message refused: $*"
	else
		fail "message refused: $*"
		diag "result $MSG; one line with '$word' wanted, the log has:" "$lines"
		[[ $now == "$before" ]] || { diag "something changed: $now"; before=$now; }
	fi
}
bad_msg bogus bogus
bad_msg bogus bogus 1 2 3
bad_msg pause pause now
bad_msg resume resume 1
bad_msg set set
bad_msg set set speed
bad_msg x set speed x
bad_msg -1 set speed -1
bad_msg 1M set speed 1M
bad_msg 99999999999999999999 set speed 99999999999999999999
bad_msg set set speed 1 2
bad_msg set set copy_mode
bad_msg active set copy_mode active
bad_msg retry set on_source_error retry
bad_msg retry set on_target_error retry
bad_msg set set on_target_error
bad_msg bogus set bogus 1
for a in "granularity 8" "sync none" "buf_size 128" "target_timeout 5" "zero_detect 1" "no_bounce 1"; do
	# shellcheck disable=SC2086
	bad_msg "${a% *}" set $a
done
bad_msg mark_dirty mark_dirty
bad_msg mark_dirty mark_dirty 0
bad_msg mark_dirty mark_dirty 0 0
bad_msg mark_dirty mark_dirty 0 8 16
bad_msg x mark_dirty x 8
bad_msg x mark_dirty 0 x
bad_msg -1 mark_dirty -1 8
bad_msg -8 mark_dirty 0 -8
bad_msg mark_dirty mark_dirty $L 1
bad_msg mark_dirty mark_dirty 0 $((L + 1))
bad_msg mark_dirty mark_dirty 8 $L
bad_msg mark_dirty mark_dirty 18446744073709551615 2
bad_msg mark_dirty mark_dirty 1 18446744073709551615
# a good range before a bad one: nothing is marked
bad_msg mark_dirty mark_dirty 0 8 $L 8
bad_msg mark_dirty mark_dirty 0 8 128 0
bad_msg x mark_dirty 0 8 128 x
bad_msg complete complete now
bad_msg cancel cancel now
bad_msg cancel cancel force now

# and the mirror still works
dio $DM/m w:0:8:g4 > /dev/null
t_ok "the live mirror still mirrors" dio $DM/tgt r:0:8:g4
t_is "$(dmsetup table y)" "0 $L linear $(dmsetup table y | cut -d' ' -f4) 0" "the other device kept its table"
t_is "$(dmsetup info -c --noheadings -o tables_loaded y)" "Live" "and has no inactive one"
t_between "at least 60 bad inputs were tried" $rows 60 999

finish

# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# mirror.sh - what the functional tests of the qmirror target share; sourced
# after tests/lib.sh. Everything is about one mirror "m" over two legs "src"
# and "tgt", which are dm-linear devices over null_blk: their tables can be
# exchanged for failing or slow ones and their counters are theirs alone.

TOOLS=$QMIRROR_TOP/build/tools
DM=/dev/mapper
LEN=32768		# sectors of the mirror; legs LEN sets it
CH=128			# default granularity

[[ -x $TOOLS/dmpoll ]] || make -s -C "$QMIRROR_TOP/tests/tools" ||
	bail "the test programs do not build"

declare -A RAW		# leg -> the device below it
declare -A S		# the last status, by field

t_is()   { is "$1" "$2" "$3"; }
t_like() { like "$1" "$2" "$3"; }
# t_ok DESC COMMAND...: passes when COMMAND succeeds; its output is diagnosis.
# In this shell, so that COMMAND may be a wait.
t_ok()
{
	local desc=$1 rc=0
	shift
	"$@" > /tmp/t_ok.out 2>&1 || rc=$?
	if ((rc)); then
		fail "$desc"
		diag "'$*' ended with $rc: $(< /tmp/t_ok.out)"
	else
		pass "$desc"
	fi
	return $rc
}

# t_between DESC VALUE LOW HIGH
t_between()
{
	if [[ $2 =~ ^[0-9]+$ ]] && (($2 >= $3 && $2 <= $4)); then
		pass "$1"
	else
		fail "$1"
		diag "'$2' is not within $3..$4"
	fi
}

now() { local t=${EPOCHREALTIME/./}; echo $((t / 1000)); }

# raw_disk NAME SECTORS [ATTR=VALUE...]: prints the device. A null_blk with
# memory; its size is in MiB, so it is rounded up.
raw_disk()
{
	local name=$1 sectors=$2 cfg=/sys/kernel/config/nullb/$1 a
	shift 2
	[[ -d /sys/kernel/config/nullb ]] || modprobe null_blk nr_devices=0 || return
	mkdir "$cfg" || return
	for a in memory_backed=1 discard=1 irqmode="${QMIRROR_IRQMODE:-0}" \
		 queue_mode=2 submit_queues=2 "size=$(((sectors + 2047) / 2048))" "$@"; do
		echo "${a#*=}" > "$cfg/${a%%=*}" || return
	done
	echo 1 > "$cfg/power" || return
	echo "/dev/$name"
}

# legs SECTORS [ATTR=VALUE...]: raw disks and the linear devices src and tgt
legs()
{
	local n
	LEN=$1
	shift
	for n in src tgt; do
		RAW[$n]=$(raw_disk "null$n" "$LEN" "$@") || bail "no null_blk"
		dm_make "$n" "0 $LEN linear ${RAW[$n]} 0" || bail "no leg $n"
	done
}

dm_make() # NAME TABLE
{
	"$TOOLS/dmq" create "$1" "$2" || return
	[[ -b $DM/$1 ]] || bail "/dev/mapper/$1 is no block device"
}
dm_remove() { "$TOOLS/dmq" remove "$1"; }

# dm_swap NAME TABLE [--noflush]: exchange the table of a live device
dm_swap() { "$TOOLS/dmq" swap "$@"; }
dm_load() { "$TOOLS/dmq" load "$@"; }
dm_suspend() { "$TOOLS/dmq" suspend "$@"; }
dm_resume() { "$TOOLS/dmq" resume "$@"; }

linear_line() { echo "0 $LEN linear ${RAW[$1]} 0"; }

# line [WORD...]: the table line of a mirror over src and tgt
line()
{
	echo "0 $LEN qmirror $DM/src 0 $DM/tgt 0${1:+ $# $*}"
}

mirror() { dm_make m "$(line "$@")"; }
unmirror() { dm_remove m; }

# status fields: state synced offset len dirty chunks io error serr terr
# inflight args ending orphans
st()
{
	local w n nargs
	read -r -a w <<< "$("$TOOLS/dmq" status "${1:-m}" 2>&1)"
	S=([line]="${w[*]}")
	# another target, or none: every field is empty
	[[ ${w[2]-} == qmirror ]] || w=('' '' '' '' '' '' '' '' '' '' '' '' 0)
	S+=([state]=${w[3]-} [synced]=${w[4]-} [offset]=${w[5]%%/*}
	   [len]=${w[5]##*/} [dirty]=${w[6]%%/*} [chunks]=${w[6]##*/} [io]=${w[7]-}
	   [error]=${w[8]-} [serr]=${w[9]-} [terr]=${w[10]-} [inflight]=${w[11]-})
	nargs=${w[12]-0}
	[[ $nargs =~ ^[0-9]+$ ]] || nargs=0
	S[args]="${w[*]:13:nargs}"
	n=$((13 + nargs))
	S[ending]=${w[n]-}
	S[orphans]=${w[n + 1]-}
	S[rest]="${w[*]:n + 2}"
}
field() { st "${2:-m}"; echo "${S[$1]-}"; }


# wait_st REGEX [SECONDS] [NAME]: until the status (from the state on) matches. SECONDS
# are those of a machine of our own: they only guard against waiting for ever,
# so a shared one gets three times as many.
wait_st()
{
	"$TOOLS/dmpoll" -i 5 -n $((${2:-20} * 3 * QMIRROR_SLOW)) -u "$1" "${3:-m}" > /tmp/wait_st.log
}
t_wait() # DESC REGEX [SECONDS]
{
	if wait_st "$2" "${3:-20}"; then
		pass "$1"
	else
		fail "$1"
		diag "waited for: $2"
		diag "last: $(tail -n 1 /tmp/wait_st.log)"
		return 1
	fi
}

# msg WORD...: a message to m; MSG is ok or the errno name
msg() { MSG=$("$TOOLS/dmq" msg m "$@"); }

events() { "$TOOLS/dmq" events "${1:-m}"; }
table_m() { "$TOOLS/dmq" table "${1:-m}"; }

# Counters of a leg: dm devices count every bio they are given.
declare -A SYS
# count LEG: "read-ios read-sectors write-ios write-sectors discard-ios discard-sectors flush-ios"
count()
{
	local f
	[[ ${SYS[$1]-} ]] || SYS[$1]=dm-$(dmsetup info -c --noheadings -o minor "$1")
	read -r -a f < "/sys/block/${SYS[$1]}/stat"
	C=([rio]=${f[0]} [rsec]=${f[2]} [wio]=${f[4]} [wsec]=${f[6]}
	   [dio]=${f[11]} [dsec]=${f[13]} [fio]=${f[15]})
}
declare -A C
# Differences since the last mark, e.g.: mark tgt; ...; since tgt wsec
declare -A MARK
mark() { local k; count "$1"; for k in "${!C[@]}"; do MARK[$1.$k]=${C[$k]}; done; }
since() { count "$1"; echo $((C[$2] - MARK[$1.$2])); }

dio() { "$TOOLS/dio" "$@"; }
# Fill a device with a pattern of generation GEN
fill() # DEV GEN [SECTORS]
{
	local n=${3:-$LEN} s step=2048 ops=()
	for ((s = 0; s < n; s += step)); do
		ops+=("w:$s:$((n - s < step ? n - s : step)):g$2")
	done
	"$TOOLS/dio" "$1" "${ops[@]}" > /dev/null
}
legs_cmp() { "$TOOLS/blkcmp" -g "$CH" -n "$LEN" "${1:-$DM/src}" "${2:-$DM/tgt}"; }
t_equal() { t_ok "$1" legs_cmp "${2:-$DM/src}" "${3:-$DM/tgt}"; }

# The kernel's log since the last call of log_mark
log_mark() { LOGMARK="mark-$RANDOM-$EPOCHREALTIME"; echo "$LOGMARK" > /dev/kmsg; }
log_new() { "$TOOLS/dmq" log "$LOGMARK"; }

# --- when things happened: by the kernel's clock, where they happened; on a busy
# machine a process that polls sees them late ------------------------------------

TRACING=/sys/kernel/tracing

# trace_on LEG...: every bio that reaches these dm devices and every end of one,
# from here on; trace_off ends it. The events are enabled once, and what goes on
# and off is the buffer: to enable one patches the kernel's text while the other
# processor runs it, which QEMU 7.2 emulating two of them now and then does not
# survive (one processor is in the breakpoint for ever). Nor are names recorded,
# since that is a patch of the scheduler.
trace_on()
{
	local leg filter='' e
	[[ -e $TRACING/trace ]] || mount -t tracefs tracefs $TRACING ||
		bail "no tracefs"
	echo 0 > $TRACING/tracing_on
	echo 0 > $TRACING/options/record-cmd
	for leg; do
		count "$leg"
		filter+="${filter:+ || }dev == $((0x$(stat -L -c %t "$DM/$leg") << 20 |
			0x$(stat -L -c %T "$DM/$leg")))"
	done
	echo "${TRACE_CLOCK:-mono}" > $TRACING/trace_clock
	for e in block_bio_queue block_bio_complete; do
		echo "$filter" > $TRACING/events/block/$e/filter || bail "no $e"
		[[ $(< $TRACING/events/block/$e/enable) == 1* ]] ||
			echo 1 > $TRACING/events/block/$e/enable || bail "no $e"
	done
	echo > $TRACING/trace
	echo 1 > $TRACING/tracing_on
}

# one line each: LEG queue|complete TIME FLAGS SECTOR COUNT ERRNO; TIME: in
# microseconds, or what TRACE_CLOCK counts
trace_off()
{
	local leg sed=()
	echo 0 > $TRACING/tracing_on
	for leg in "${!SYS[@]}"; do
		sed+=(-e "s/^$(< "/sys/block/${SYS[$leg]}/dev") /$leg /")
	done
	sed -nE -e 's/\.([0-9]{6}: block_bio)/\1/' \
		-e 's/^.* ([0-9]+): block_bio_([a-z]+): ([0-9]+),([0-9]+) (\S+) ([0-9]+) \+ ([0-9]+) \[(.*)\]$/\3:\4 \2 \1 \5 \6 \7 \8/p' \
		$TRACING/trace | sed "${sed[@]}"
}

# log_times REGEX...: for each the time in the log, since log_mark, of the last
# line that matches, in ms
log_times()
{
	local re
	for re; do
		dmesg | sed "1,/$LOGMARK\$/d" |
			awk -v re="$re" '$0 ~ re { sub(/^\[ */, ""); t = $1 }
				END { if (t) printf "%d\n", t * 1000; else print "never" }'
	done
}
# logged REGEX: there is one
logged() { [[ $(log_times "$1") != never ]]; }

# bg COMMAND...: in the background; its pid in BG
bg() { "$@" > "/tmp/bg.out" 2>&1 & BG=$!; }

# in_time SECONDS PID: the process ends in time; its status
in_time()
{
	local end=$(($(now) + $1 * 1000 * QMIRROR_SLOW))
	while kill -0 "$2" 2>/dev/null; do
		(($(now) < end)) || return 99
		sleep 0.02
	done
	wait "$2"
}

# hang/unhang: the target neither answers nor fails
hang() { dm_suspend tgt --noflush; }
unhang() { dm_resume tgt; }

# queue DEV ATTR: a limit of a dm device's request queue
queue() { cat "/sys/block/dm-$(dmsetup info -c --noheadings -o minor "$1")/queue/$2"; }

# used: kernel memory that cannot be given back, in KiB; unused: what is free or
# could be, also what the page allocator keeps for each CPU (megabytes, which
# MemFree does not count). Freed objects still count while slabs that they share
# are kept for the next ones, and in KASAN's quarantine, a thirtieth of all memory:
# shrinking a cache ends both.
used()
{
	local s
	sync
	echo 3 > /proc/sys/vm/drop_caches
	for s in /sys/kernel/slab/*/shrink; do
		[[ ! -w $s ]] || echo 1 > "$s"
	done
	awk '/^(Slab|VmallocUsed|Percpu|PageTables|KernelStack):/ { s += $2 } END { print s }' /proc/meminfo
}
# t_used BEFORE AFTER: has it grown? The leak detector has a record of each allocation
# in there, and looks itself.
t_used()
{
	if grep -qw kmemleak=on /proc/cmdline; then
		skip "kernel memory has not grown"
	else
		t_between "kernel memory has not grown" $(($2 > $1 ? $2 - $1 : 0)) 0 1536
	fi
}
unused()
{
	awk '/^(MemFree|Buffers|Cached|SReclaimable|AnonPages):/ { s += $2 }
	     /^ +count:/ { s += $2 * 4 }
	     END { print s }' /proc/meminfo /proc/zoneinfo
}

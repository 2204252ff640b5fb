# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# lib.sh - devices that store nothing, and what one I/O on them costs; sourced
# by what runs in the guest of bench. Costs are nanoseconds of guest time, which
# under icount are instructions. psync, one I/O at a time: then costs add up and
# nothing hides them. null_blk stores nothing and completes in the submitter's
# context.

# shellcheck disable=SC2034 # N: of who sources this
N=${N:-10000}		# I/Os a measurement
MB=1024			# size of the null disks; nothing is stored
LEN=$((MB * 2048))

null_blk() # without a disk
{
	modprobe -a dm-mod null_blk nr_devices=0 2>/dev/null ||
		modprobe null_blk nr_devices=0
}

null_disk() # NAME [ATTR=VALUE...]
{
	local cfg=/sys/kernel/config/nullb/$1 a
	shift
	mkdir "$cfg"
	for a in size=$MB memory_backed=0 queue_mode=0 irqmode=0 "$@"; do
		echo "${a#*=}" > "$cfg/${a%%=*}"
	done
	echo 1 > "$cfg/power"
}

# fio_ns FIELD DEV FIO-OPTION...: nanoseconds per I/O, by fio's latency (exact,
# but without what fio does between two I/Os) or by its runtime (in ms).
fio_ns()
{
	local field=$1 dev=$2
	shift 2
	[[ -b $dev ]] || { echo "$dev is no block device" >&2; exit 1; }
	fio --name=x --filename="$dev" --ioengine=psync --direct=1 --bs=4k \
		--thread --norandommap --randrepeat=1 --output-format=json "$@" |
	/usr/bin/python3 -c '
import json, sys
text = sys.stdin.read()
job = json.loads(text[text.index("{"):])["jobs"][0]
assert job["error"] == 0, text
for d in (job["read"], job["write"]):
    if d["total_ios"]:
        print(round(d["lat_ns"]["mean"] if sys.argv[1] == "latency"
                    else d["runtime"] * 1e6 / d["total_ios"]))' "$field"
}

# What a user pays includes what the program does per I/O, and the bars were
# set that way: fio's own share, the same for all devices, measured once with
# enough I/Os for its clock of milliseconds.
own_share()
{
	local io=(/dev/a --rw=randwrite --number_ios=200000)
	echo $(($(fio_ns runtime "${io[@]}") - $(fio_ns latency "${io[@]}")))
}

# cost NAME IO DEV: after a first short run, that warms up what the first I/Os
# of a device pay for. "latency" is what the caller of one write waits;
# "latency-aio" the same for one who does not sleep in the call.
cost()
{
	# shellcheck disable=SC2154 # share: of who sources this
	local rw=rand$2 plus=$share engine=()
	[[ $2 != latency* ]] || rw=randwrite plus=0
	[[ $2 != *-aio ]] || engine=(--ioengine=libaio)
	fio_ns latency "$3" --rw="$rw" --number_ios=500 "${engine[@]}" > /dev/null
	echo "result $1 $2 $((plus + $(fio_ns latency "$3" --rw="$rw" \
		--number_ios="$N" "${engine[@]}")))"
}

# device NAME TABLE IO...: make it, measure each IO, remove it. A target whose
# module is not there is left out; one that is and refuses the table is a fault.
device()
{
	local name=$1 table=$2 io target
	shift 2
	target=$(cut -d' ' -f3 <<< "$table")
	if ! dmsetup targets | grep -q "^$target " &&
	   ! modprobe -q "dm-$target"; then
		echo "$name: no module dm-$target"
		return
	fi
	dmsetup create "$name" --table "$table"
	[[ $target != qmirror ]] || settled "$name"
	for io; do
		cost "$name" "$io" "/dev/mapper/$name"
	done
	dmsetup remove "$name"
}

# A mirror that copies nothing: READY came, or the figures mean nothing. In
# background mode it is never in sync, and each write would give the copier
# work whose cost is not the write's: paused, it stays idle.
settled()
{
	local nr status
	while :; do
		nr=$(dmsetup info -c --noheadings -o events "$1")
		status=$(dmsetup status "$1")
		case $status in
		*" qmirror ready "*"copy_mode background"*)
			dmsetup message "$1" 0 pause
			return 0 ;;
		*" qmirror ready yes "*)
			return 0 ;;
		esac
		timeout 20 dmsetup wait "$1" "$nr" > /dev/null
	done
}

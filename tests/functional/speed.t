#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The speed limit is kept within 10 % over 5 s, before and after READY, and
# never slows the guest; buf_size is never exceeded, and used.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
modprobe dm-delay 2>/dev/null
legs 262144			# 128 MiB

# measured SECONDS: sectors per second of the background copy, rather too few: when
# dmpoll is stopped between its clock and its look, the time counts.
measured()
{
	"$TOOLS/dmpoll" -a -i 10 -n "$1" m |
	awk '{ split($6, o, "/"); if (NR == 1) { t = $1; f = o[1] } e = $1; l = n; n = o[1] }
	     END { printf "%d\n", (l - f) * 1000 / (e - t) }'
}
# within DESC RATE SECONDS: never more than 10 % above. A busy host can stop this
# machine for longer than a slice, so one of three windows has to reach 90 %.
within()
{
	local got i all=
	for ((i = 0; i < 3; i++)); do
		got=$(measured "$3")
		all+=" $got"
		if ((got > $2 * 110 / 100)); then
			fail "$1: $2 wanted, and $got measured"
			return
		fi
		((got >= $2 * 90 / 100)) && break
	done
	t_between "$1: $2 wanted; measured$all" "$got" $(($2 * 90 / 100)) $(($2 * 110 / 100))
}

mirror speed 8192
sleep 0.5
within "speed 8192" 8192 5
msg set speed 4096
sleep 0.3
within "set speed 4096" 4096 5
# raising it wakes a sleeping job at once
msg set speed 1
sleep 0.2
msg set speed 0
t_wait "no limit: ready soon" '^ready ' 15
# after READY as well
msg set speed 8192
msg mark_dirty 0 $LEN
sleep 0.5
within "after READY" 8192 5
# large units are charged as they are
unmirror

mirror speed 6000 granularity 2048 buf_size 2048
sleep 0.5
within "1 MiB chunks" 6000 6
unmirror
mirror speed 3000 granularity 8 buf_size 128 copy_mode write-blocking
sleep 0.5
within "4 KiB chunks" 3000 5
# the guest is not throttled and not charged
t0=$(now)
ops=()
for ((i = 0; i < 16; i++)); do ops+=("w:$((LEN - 65536 + i * 2048)):2048:g1"); done
dio $DM/m "${ops[@]}" > /dev/null
t_between "16 MiB of guest writes at a limit of 1.5 MiB/s" $(($(now) - t0)) 0 6000
unmirror

# a limit far below a chunk a second still goes on, chunk by chunk
mirror speed 64
t_wait "below a chunk a second: something is copied" ' [1-9][0-9]*/[0-9]+ [0-9]+/[0-9]+ ' 10
t_between "below a chunk a second: but little" "$(field offset)" 1 4096
unmirror

# --- buf_size: with a target of 100 ms a write the copier fills its buffer
dm_swap tgt "0 $LEN delay ${RAW[tgt]} 0 0 ${RAW[tgt]} 0 100"
for spec in "128 128" "1024 128" "4096 128" "2048 2048" "1 128" "1000 128" "16384 1"; do
	read -r buf gran <<< "$spec"
	limit=$(((buf + gran - 1) / gran * gran))
	mirror buf_size $buf granularity $gran
	"$TOOLS/dmpoll" -a -i 1 -n 2 m > /tmp/poll
	most=$(awk '$12 > m { m = $12 } END { print m + 0 }' /tmp/poll)
	t_between "buf_size $buf, granularity $gran: in flight at most $limit" "$most" 1 $limit
	t_between "buf_size $buf, granularity $gran: and it is used" "$most" $((limit / 2)) $limit
	unmirror
done
# also with a guest that writes meanwhile
mirror buf_size 1024 copy_mode write-blocking
"$TOOLS/overlap" -d 2 -n 65536 $DM/m > /tmp/overlap &
"$TOOLS/dmpoll" -a -i 1 -n 2 m > /tmp/poll
wait $!
t_between "under load: in flight at most 1024" "$(awk '$12 > m { m = $12 } END { print m + 0 }' /tmp/poll)" 1 1024
unmirror

finish

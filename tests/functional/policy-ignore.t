#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "ignore" with a target that is dead for good: the back-off goes from 100 ms,
# doubling, to 10 s; little CPU, few lines of log, the guest goes on, and cancel
# force ends it within a second. For one chunk, for more chunks than are
# remembered one by one, and for the job's own flush.
#
# Guards K-24 (qemu-semantics), the policy table of the contract, and its rule
# about the log.
# vm: --timeout 400

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
rig
fill $DM/src 1
fill $DM/tgt 1

# Jiffies (100 a second) that all processors were busy
busy() { local c; read -r -a c < /proc/stat; echo $((c[1] + c[2] + c[3] + c[6] + c[7])); }

# t_cancel_force DESC: concludes within a second, by the log
t_cancel_force()
{
	local t
	log_mark
	dm msg m "cancel force"
	dm wait m 20 '^concluded ' || true
	t_like "$REPLY" '^concluded ' "$1: cancel force ends it"
	until_true 10 logged 'm: concluded$'
	t=$(log_times 'm: aborting$' 'm: concluded$' | xargs)
	t_between "$1: within a second" "$((${t#* } - ${t% *}))" 0 1000
}

# The clock that timers go by, 10 ms a tick: when a processor stands still for want
# of one of the host's, it stands, too, and no back-off looks early.
TRACE_CLOCK=uptime

# backoffs FLAGS BEGIN: what trace_off said: the ms from each error of a bio with
# these FLAGS on the target to the beginning of the next try, which is the next
# BEGIN (leg and flags). Within one tick the order of two processors' events is not
# known: the beginning of a try is before its error, then.
backoffs()
{
	sort -s -k3,3n -k2,2r /tmp/trace | awk -v flags="$1" -v begin="$2" '
	failed && $2 == "queue" && $1 " " $4 ~ begin {
		print ($3 - failed) * 10
		failed = 0
	}
	$1 == "tgt" && $2 == "complete" && $4 ~ flags && $7 < 0 { failed = $3 }
	'
}

# tries SECONDS FLAGS BEGIN: resume, and look for so long: TRIES, in WAITS the ms
# between them, BUSY jiffies
tries()
{
	local b
	msg pause
	wait_st '^paused '
	trace_on src tgt
	log_mark
	b=$(busy)
	msg resume
	sleep "$1"
	BUSY=$(($(busy) - b))
	trace_off > /tmp/trace
	TRIES=$(awk '$1 == "tgt" && $2 == "complete" && $7 < 0' /tmp/trace | wc -l)
	mapfile -t WAITS < <(backoffs "$2" "$3")
	diag "$TRIES tries, back-offs: ${WAITS[*]}"
}

# t_backoffs DESC SECONDS FLAGS BEGIN: tries; they double from 100 ms. Never less;
# but a busy host can stop this machine for longer than what a wait may take more,
# so it is one of three times that all have to be in time.
t_backoffs()
{
	local desc=$1 run want ms bad
	for run in 1 2 3; do
		tries "${@:2}"
		want=100 bad=''
		for ms in "${WAITS[@]}"; do
			((ms >= want * 9 / 10)) || bad=early
			((ms <= want * 3 / 2 + 300)) || bad=${bad:-late}
			want=$((want * 2 < 10000 ? want * 2 : 10000))
		done
		[[ $bad == late ]] || break
	done
	want=100
	for ms in "${WAITS[@]}"; do
		t_between "$desc: back-off $want ms" "$ms" \
			$((want * 9 / 10)) $((want * 3 / 2 + 300))
		want=$((want * 2 < 10000 ? want * 2 : 10000))
	done
}

# --- one chunk -----------------------------------------------------------------

b0=$(busy) && sleep 5
idle=$(($(busy) - b0))
diag "an idle machine: $idle jiffies of 1000"

bad_table flakey-write
dm swap tgt "$TABLE"
dio $DM/src w:1032:8:g2 > /dev/null
log_mark
mirror sync bitmap on_target_error ignore
msg mark_dirty 1032 8 3072 8
t_backoffs "one chunk" 24 W '^src R'
t_between "tries in 24 s" $TRIES 8 9
t_is ${#WAITS[@]} $((TRIES - 1)) "one back-off between each two tries"
t_between "few lines of log" "$(log_new | grep -c qmirror)" 1 5
t_between "CPU: less than a tenth of one more than an idle machine" \
	$BUSY 0 $((idle * 24 / 5 + 240))
st
t_is "${S[state]} ${S[dirty]} ${S[io]}" "running 1 ok" "the rest was copied, and it goes on"
t_cancel_force "one chunk"
heal tgt
unmirror

# --- all of it: more chunks than are remembered one by one ----------------------

for mode in background write-blocking; do
	dm swap tgt "0 $LEN error"
	log_mark
	mirror granularity 8 on_target_error ignore copy_mode $mode	# 512 chunks
	t_wait "dead target, $mode: nothing can be copied" \
		'^running no [^ ]+ 512/512 ok target:write:EIO:[0-9]+ 0 [0-9]+ 0 ' 20
	sleep 1
	mark tgt
	e0=$(field terr)
	b0=$(busy)
	sleep 10
	b1=$(busy)
	e1=$(field terr)
	# each chunk: 1.6, 3.2, 6.4 s; a try is a read, a write, and if it is one of
	# a run, one more
	t_between "dead target, $mode: tries in 10 s, after the first second" \
		$((e1 - e0)) 1 $((512 * 5))
	t_between "dead target, $mode: CPU" $((b1 - b0)) 0 $((idle * 2 + 300))
	t_between "dead target, $mode: few lines of log" "$(log_new | grep -c qmirror)" 1 5
	st
	t_is "${S[state]} ${S[dirty]} ${S[io]} ${S[serr]}" "running 512 ok 0" \
		"dead target, $mode: it goes on"
	t_ok "dead target, $mode: the guest goes on" timeout 5 "$TOOLS/dio" $DM/m \
		w:0:8:g3 w:2000:100:g3 f r:0:8:g3 d:512:64 r:2000:100:g3
	t_is "$(field state)" running "dead target, $mode: still"
	t_cancel_force "dead target, $mode"
	t_ok "dead target, $mode: the guest goes on with the source" dio $DM/m w:0:8:g4 r:0:8:g4
	heal tgt
	unmirror
done

# --- it comes back ------------------------------------------------------------

dm swap tgt "0 $LEN error"
mirror on_target_error ignore
wait_st ' 32/32 ok target:write:EIO:[0-9]+ ' 10
sleep 2
o=$(field offset)
heal tgt
mark tgt
t_wait "the target comes back: ready by itself" '^ready ' 30
t_is "$(($(field offset) - o))" $LEN "the target comes back: each chunk was copied once (offset)"
t_between "the target comes back: each chunk was copied once (writes)" "$(since tgt wsec)" 0 $LEN
unmirror
t_equal "the target comes back: legs equal"

# a resume does not wait for the back-off of before
dm swap tgt "0 $LEN error"
mirror on_target_error ignore
wait_st ' 32/32 ok target:write:EIO:[0-9]+ ' 10
sleep 7
msg pause
wait_st '^paused '
heal tgt
log_mark
msg resume
t_wait "pause and resume: tried at once" '^ready ' 20
until_true 10 logged 'm: ready$'
t=$(log_times 'm: running$' 'm: ready$' | xargs)
t_between "pause and resume: without the back-off" "$((${t#* } - ${t% *}))" 0 2500
unmirror
t_equal "pause and resume: legs equal"

# --- the job's own flush --------------------------------------------------------

bad_table flakey-flush
dm swap tgt "$TABLE"
log_mark
mirror sync bitmap on_target_error ignore
msg mark_dirty 0 8
t_backoffs "flush" 5 F '^tgt .*F'
t_between "flush: tries in 5 s" $TRIES 3 7
t_is ${#WAITS[@]} $((TRIES - 1)) "flush: one back-off between each two tries"
t_is "$(field state)" running "flush: not ready"
t_between "flush: few lines of log" "$(log_new | grep -c qmirror)" 1 5
t_cancel_force "flush"
heal tgt
unmirror

rig_down
finish

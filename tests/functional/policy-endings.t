#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# complete, cancel and cancel force in every state, with a guest at work all the
# time: a verifying load that follows the data wherever the device goes, and
# single writes that are timed. verbs.t has the same table on a quiet device.
# The device is never removed: mirrors are slid under the load and taken away
# again, complete really moves it to the other leg.
#
# Guards the states x verbs table of the contract and qemu-semantics 1.16.
# vm: --timeout 700

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"
. "$(dirname "$0")/policy-lib.sh"

plan_later
rig
HERE=src THERE=tgt			# the leg that the guest is on; the other
fill $DM/src 1
fill $DM/tgt 1
dm create m "0 $LEN linear $DM/$HERE 0" || bail "no m: $REPLY"

linear_m() { dm swap m "0 $LEN linear $DM/$HERE 0" || note "linear: $REPLY"; }
# slide_in [WORD...]: a mirror to the other leg
slide_in()
{
	dm swap m "0 $LEN qmirror $DM/$HERE 0 $DM/$THERE 0 $# $*" || note "slide in: $REPLY"
}
reach() { dm wait m "${2:-15}" "$1" || note "waits for '$1': $REPLY"; }
# say WORD...: a message; MSG is its result
say() { if dm msg m "$*"; then MSG=ok; else MSG=$REPLY; fi; }

# --- bring it to a state; MODE is copy_mode ------------------------------------

to_running() { slide_in copy_mode $MODE speed 64 buf_size 128; reach '^running '; }
to_paused() { to_running; say pause; reach '^paused '; }
to_ready() { slide_in copy_mode $MODE; reach '^ready ' 30; }
to_standby() { to_ready; say pause; reach '^standby '; }
to_error()
{
	slide_in copy_mode $MODE on_target_error stop
	reach '^ready ' 30
	dm swap $THERE "0 $LEN error"
	reach '^standby .* failed target:'
	heal $THERE
}
to_pending() { to_ready; say complete; reach '^pending ' 30; }
to_pending_cancel() { to_ready; say cancel; reach '^pending .* cancel ' 30; }
to_concluded() { to_running; say cancel force; reach '^concluded '; }

# --- and away again --------------------------------------------------------------

# away_linear: whatever it is, the guest stays where it is
away_linear() { linear_m; }
# away_switch: from pending: suspend with flush, look for final, and switch; not
# final: resume the mirror and try again. A loop over tmpfs says that it can write
# zeroes and cannot: a guest's write that fails on the source, after which it is
# not final. With the mixer one suspend in three meets one, so this goes on for
# longer than the mixer does.
away_switch()
{
	local to=$HERE
	[[ $1 != complete ]] || to=$THERE
	for _ in {1..60}; do
		dm suspend m || note "suspend: $REPLY"
		dm status m
		if [[ $REPLY =~ ^pending\ final ]]; then
			"$TOOLS/blkcmp" $DM/src $DM/tgt > /tmp/cmp ||
				note "final, and the legs differ: $(< /tmp/cmp)"
			dm load m "0 $LEN linear $DM/$to 0" || note "load: $REPLY"
			dm resume m || note "resume: $REPLY"
			[[ $to == "$HERE" ]] || THERE=$HERE HERE=$to
			return
		fi
		diag "not final: $REPLY"
		[[ $REPLY =~ ^(pending|ready)\ .*\ ok\ - ]] || note "not final: $REPLY"
		dm resume m || note "resume: $REPLY"
		reach "^pending .* $1 " 30
	done
	note "never final: $REPLY"
}

# cell STATE RESULT AFTER-REGEX AWAY VERB...
# AWAY: linear; switch: it becomes pending and the table is exchanged under
# final; resume-switch: after a resume; ended: it concludes, the legs may differ.
cell()
{
	local state=$1 want=$2 after=$3 away=$4 name="$MODE, $1: ${*:5}" mix slow worst
	shift 4
	PROBLEMS=()
	((++GEN))
	"$TOOLS/mixer" -t 2 -d 1 -n 3840 -m 64 ${SEED:+-r $((SEED + GEN))} $DM/m > /tmp/mixer 2>&1 &
	mix=$!
	"to_$state"
	dio $DM/m w:3840:8:g$GEN s:20 w:3848:8:g$GEN s:20 w:3856:8:g$GEN s:20 \
		w:3864:8:g$GEN s:20 w:3872:8:g$GEN s:20 w:3880:8:g$GEN s:20 \
		w:3888:8:g$GEN r:3840:8:g$GEN r:3872:8:g$GEN > /tmp/timed 2>&1 &
	slow=$!
	say "$*"
	is_eq "the verb" "$MSG" "$want"
	reach "$after" 30
	in_time 20 $slow || note "single writes: $(< /tmp/timed)"
	worst=$(awk '/^[wr]/ && $3 > m { m = $3 } END { print m + 0 }' /tmp/timed)
	((worst < 3000)) || note "a write took $worst ms"
	case $away in
	resume-*)
		say resume
		is_eq resume "$MSG" ok
		reach '^pending ' 30
		away_switch "$1" ;;
	switch)	away_switch "$1" ;;
	switch-complete) away_switch complete ;;
	switch-cancel) away_switch cancel ;;
	*)	away_linear ;;
	esac
	if in_time 60 $mix; then
		[[ $(< /tmp/mixer) == *ops* ]] || note "no load: $(< /tmp/mixer)"
	else
		note "the load: $(< /tmp/mixer)"
	fi
	dio $DM/$HERE r:3840:8:g$GEN > /dev/null || note "the guest's data is not on $HERE"
	((worst < 500)) || diag "$name: worst write $worst ms"
	if ((${#PROBLEMS[@]})); then
		fail "$name"
		printf '#   %s\n' "${PROBLEMS[@]}"
		linear_m
	else
		pass "$name"
	fi
}

for MODE in background write-blocking; do
	cell running EBUSY '^running ' linear complete
	cell running ok '^concluded ' linear cancel
	cell running ok '^concluded ' linear cancel force
	cell paused EBUSY '^paused ' linear complete
	cell paused EBUSY '^paused ' linear cancel
	cell paused ok '^concluded ' linear cancel force
	cell ready ok '^pending .* complete ' switch complete
	cell ready ok '^pending .* cancel ' switch cancel
	cell ready ok '^concluded ' linear cancel force
	cell standby ok '^standby .* complete ' resume-switch complete
	cell standby EBUSY '^standby .* - ' linear cancel
	cell standby ok '^concluded ' linear cancel force
	cell error ok '^standby .* complete ' resume-switch complete
	cell error EBUSY '^standby .* - ' linear cancel
	cell error ok '^concluded ' linear cancel force
	cell pending ok '^pending .* complete ' switch complete
	cell pending ok '^pending .* cancel ' switch cancel
	cell pending ok '^concluded ' linear cancel force
	cell pending_cancel EBUSY '^pending .* cancel ' switch-cancel complete
	cell pending_cancel ok '^pending .* cancel ' switch-cancel cancel
	cell pending_cancel ok '^concluded ' linear cancel force
	cell concluded EBUSY '^concluded ' linear complete
	cell concluded ok '^concluded ' linear cancel
	cell concluded ok '^concluded ' linear cancel force
done

# --- a job that fails: the guest goes on with the source, at once ----------------

MODE=write-blocking
for how in running ready pending; do
	PROBLEMS=()
	"$TOOLS/mixer" -t 2 -d 2 -n 3840 -m 64 ${SEED:+-r $SEED} $DM/m > /tmp/mixer 2>&1 &
	mix=$!
	"to_$how"
	dm swap $THERE "0 $LEN error"
	say set speed 0
	# the load may be over by now
	dio $DM/m w:3840:8:g7 > /dev/null || note "a write failed"
	reach '^concluded .* ok target:(write|flush|discard):EIO:'
	in_time 60 $mix || note "the load: $(< /tmp/mixer)"
	linear_m
	heal $THERE
	if ((${#PROBLEMS[@]})); then
		fail "fails in $how: concluded, and the guest saw nothing of it"
		printf '#   %s\n' "${PROBLEMS[@]}"
	else
		pass "fails in $how: concluded, and the guest saw nothing of it"
	fi
done

dm remove m || fail "remove: $REPLY"
rig_down
finish

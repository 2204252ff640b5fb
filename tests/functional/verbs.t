#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every message in every state: what it returns, where the job is afterwards,
# and that a refusal changes nothing and says so in one line of the log.
#
# Guards the states x verbs table of the contract (section 1, "Life").

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tools/mirror.sh"

plan_later
legs $((8 * 2048))

declare -a BGPIDS=()

# Bring a fresh mirror into a state.
to_running() { mirror speed 64 buf_size 128 copy_mode write-blocking; wait_st '^running '; }
to_paused()  { to_running && msg pause && wait_st '^paused '; }
to_ready()   { mirror sync none copy_mode write-blocking; wait_st '^ready '; }
to_standby() { to_ready && msg pause && wait_st '^standby '; }
to_pending() { to_ready && msg "${1:-complete}" && wait_st '^pending '; }
to_concluded() { to_running && msg cancel && wait_st '^concluded '; }
to_aborting()
{
	to_ready || return
	hang
	dio $DM/m w:0:8:g1 > /dev/null &
	BGPIDS+=($!)
	wait_inflight || return
	msg cancel force
	wait_st '^aborting '
}
# the write is on its way: the source has it (its leg ends at once)
wait_inflight()
{
	local i
	for ((i = 0; i < 250; i++)); do
		dio $DM/src r:0:8:g1 > /dev/null && return
		sleep 0.02
	done
	return 1
}

CURRENT=
enter() # STATE
{
	leave
	"to_$1" || fail "cannot reach $1: $(dmsetup status m 2>&1)"
	CURRENT=$1
}
leave()
{
	[[ ! $CURRENT ]] || unmirror
	CURRENT=
}

risen() { (($(events) > $1)); }
logged() { [[ $(log_new) == *qmirror*"$1"* ]]; }
# the status without what moves by itself
shape() { st; echo "${S[state]} ${S[synced]} ${S[dirty]} ${S[io]} ${S[error]} ${S[serr]} ${S[terr]} ${S[args]} ${S[ending]} ${S[orphans]}"; }

# cell STATE RESULT AFTER-REGEX MESSAGE...
# RESULT: ok, EBUSY or EINVAL. When the cell must change nothing the device
# stays for the next one.
cell()
{
	local state=$1 want=$2 after=$3 before ev line
	shift 3
	[[ $CURRENT == "$state" ]] || enter "$state"
	before=$(shape)
	ev=$(events)
	log_mark
	msg "$@"
	t_is "$MSG" "$want" "$state: $*"
	if [[ $after == same ]]; then
		if [[ $state == running ]]; then
			# the copy goes on meanwhile: only the words
			t_is "$(field state)" running "$state: $*: nothing changes"
		else
			t_is "$(shape)" "$before" \
				"$state: $*: nothing changes"
		fi
	else
		t_wait "$state: $*: goes to $after" "$after" 10
		if [[ $after =~ ^\^([a-z]+) && ${BASH_REMATCH[1]} != "$state" ]]; then
			t_ok "$state: $*: the new state raises an event" until_true 3 risen "$ev"
			t_ok "$state: $*: and has a line in the log" until_true 3 logged "${BASH_REMATCH[1]}"
		fi
		CURRENT=dirtied
	fi
	if [[ $want == EBUSY ]]; then
		line=$(log_new)
		t_is "$(wc -l <<< "$line")" 1 "$state: $*: one line in the log"
		t_like "$line" "qmirror.*$state" "$state: $*: the line names the state"
		t_like "$line" "${1//_/.}" "$state: $*: the line names the verb"
	fi
}

# --- running
cell running ok same resume
cell running EBUSY same complete
cell running ok ' copy_mode background ' set copy_mode background
cell running ok ' speed 128 ' set speed 128
cell running ok ' on_source_error stop ' set on_source_error stop
cell running ok ' on_target_error ignore ' set on_target_error ignore
cell running ok '^running ' mark_dirty 0 8
cell running ok '^paused ' pause
cell running ok '^concluded ' cancel
cell running ok '^concluded ' cancel force

# --- paused
cell paused ok same pause
cell paused EBUSY same complete
cell paused EBUSY same cancel
cell paused ok ' copy_mode background ' set copy_mode background
cell paused ok ' speed 128 ' set speed 128
cell paused ok ' on_source_error stop ' set on_source_error stop
cell paused ok ' on_target_error ignore ' set on_target_error ignore
enter paused
d=$(field dirty)
((d < LEN / CH)) || diag "nothing was copied before the pause"
cell paused ok " $((LEN / CH))/$((LEN / CH)) " mark_dirty 0 $LEN
cell paused ok '^running ' resume
cell paused ok '^concluded ' cancel force

# --- ready
cell ready ok same resume
cell ready ok ' copy_mode background ' set copy_mode background
cell ready ok ' copy_mode write-blocking ' set copy_mode write-blocking
cell ready ok ' speed 64 ' set speed 64
cell ready ok ' on_source_error stop ' set on_source_error stop
cell ready ok ' on_target_error ignore ' set on_target_error ignore
cell ready ok '^ready ' mark_dirty 0 8
cell ready ok '^standby ' pause
cell ready ok '^pending .* complete ' complete
cell ready ok '^pending .* cancel ' cancel
cell ready ok '^concluded ' cancel force

# --- standby
cell standby ok same pause
cell standby EBUSY same cancel
cell standby ok ' copy_mode background ' set copy_mode background
cell standby ok ' speed 64 ' set speed 64
cell standby ok ' on_source_error stop ' set on_source_error stop
cell standby ok ' on_target_error ignore ' set on_target_error ignore
cell standby ok "^standby no .* 2/" mark_dirty 120 16
cell standby ok '^ready ' resume
cell standby ok '^standby .* complete [0-9]+$' complete
msg resume
t_wait "standby: the asked complete is done after resume" '^pending yes .* complete ' 10
cell standby ok '^concluded ' cancel force

# --- pending
enter pending
cell pending ok same complete
cell pending EBUSY same pause
cell pending EBUSY same resume
cell pending EBUSY same set copy_mode background
cell pending ok ' speed 64 ' set speed 64
cell pending ok ' on_source_error stop ' set on_source_error stop
cell pending ok ' on_target_error ignore ' set on_target_error ignore
# slowly, so that ready can be seen before it is pending again
enter pending
msg set speed 64
ev=$(events)
cell pending ok '^ready no .* complete ' mark_dirty 0 1024
msg set speed 0
t_wait "pending: pending again when the marked chunks are copied" '^pending yes .* complete ' 10
t_between "pending: both changes raised an event" $(($(events) - ev)) 2 99
cell pending ok '^pending .* cancel ' cancel
CURRENT=pending
cell pending EBUSY same complete
t_like "$(field ending)" '^cancel$' "pending: what was asked for is still cancel"
cell pending ok '^concluded ' cancel force
leave
to_pending cancel
CURRENT=pending
cell pending EBUSY same complete
cell pending ok same cancel
leave

# --- concluded
enter concluded
for v in pause resume "set speed 1" "set copy_mode background" "set on_source_error stop" \
	 "set on_target_error stop" "mark_dirty 0 8" complete; do
	# shellcheck disable=SC2086
	cell concluded EBUSY same $v
done
cell concluded ok same cancel
cell concluded ok same cancel force
mark src
dio $DM/m w:0:8:g5 > /dev/null
t_ok "concluded: linear to the source" dio $DM/src r:0:8:g5
leave

# --- aborting
enter aborting
for v in pause resume "set speed 1" "set copy_mode background" "set on_source_error stop" \
	 "set on_target_error stop" "mark_dirty 0 8" complete; do
	# shellcheck disable=SC2086
	cell aborting EBUSY same $v
done
cell aborting ok same cancel
cell aborting ok same cancel force
unhang
t_wait "aborting: concluded when the last orphan has ended" '^concluded ' 10
wait "${BGPIDS[@]}" && pass "aborting: the guest's write ended well" || fail "aborting: the guest's write ended well"
leave

# sync bitmap starts paused and cannot be completed there
mirror sync bitmap
t_is "$(field state)" paused "sync bitmap: starts paused"
msg complete
t_is "$MSG" EBUSY "sync bitmap: complete is refused while paused"
msg resume
t_wait "sync bitmap: resume starts it" '^ready ' 10
unmirror

finish

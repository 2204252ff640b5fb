# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# snap.sh - what the functional tests of the cbw targets share; sourced after
# tests/lib.sh. Everything is about one filter "f" over a source "src" with the
# store "store", and its view "v". src and store are dm-linear devices over
# null_blk: their tables can be exchanged for failing or slow ones and their
# counters are theirs alone.

. "$(dirname "${BASH_SOURCE[0]}")/mirror.sh"

CL=128			# default cluster

# snap_legs SECTORS [ATTR=VALUE...]: raw disks and the linear devices
snap_legs()
{
	local n
	LEN=$1
	shift
	for n in src store; do
		RAW[$n]=$(raw_disk "null$n" "$LEN" "$@") || bail "no null_blk"
		dm_make "$n" "0 $LEN linear ${RAW[$n]} 0" || bail "no $n"
	done
}

# cbw_line [WORD...], view_line: the table lines
cbw_line() { echo "0 $LEN cbw $DM/src 0 $DM/store 0${1:+ $# $*}"; }
view_line() { echo "0 $LEN cbw-snapshot $DM/src 0 $DM/store 0"; }

filter() { dm_make f "$(cbw_line "$@")"; }
# its arming has been told of, which is up to 0.1 s late, and is no event or line
# of what follows
armed_told() { until_true 10 eval '(($(events f) > 0))'; }
view() { dm_make "${1:-v}" "$(view_line)"; }
unsnap() { [[ ! -b $DM/v ]] || dm_remove v; dm_remove f; }

# The status of f by field: state copied clusters inflight error failed args
st()
{
	local w
	read -r -a w <<< "$("$TOOLS/dmq" status "${1:-f}" 2>&1)"
	S=([line]="${w[*]}" [state]=${w[3]-} [copied]=${w[4]%%/*}
	   [clusters]=${w[4]##*/} [inflight]=${w[5]-} [error]=${w[6]-}
	   [failed]=${w[7]-} [nargs]=${w[8]-} [args]="${w[*]:9}")
}
field() { st "${2:-f}"; echo "${S[$1]-}"; }
view_st() { local w; read -r -a w <<< "$("$TOOLS/dmq" status "${1:-v}" 2>&1)"; echo "${w[*]:3}"; }

# msg WORD...: a message to f; MSG is ok or the errno's name
msg() { MSG=$("$TOOLS/dmq" msg f "$@"); }
t_msg() # DESC EXPECTED WORD...
{
	local d=$1 e=$2
	shift 2
	msg "$@"
	t_is "$MSG" "$e" "$d"
}
t_wait() # DESC REGEX [SECONDS] [NAME]
{
	if wait_st "$2" "${3:-20}" "${4:-f}"; then
		pass "$1"
	else
		fail "$1"
		diag "waited for: $2"
		diag "last: $(tail -n 1 /tmp/wait_st.log)"
		return 1
	fi
}

# arm: the whole of it, as a user would by hand
arm() { dm_suspend f && msg arm; local r=$MSG; dm_resume f; [[ $r == ok ]]; }

# t_io DESC EXPECTED OP...: one dio on f; the results in a row, as "ok EIO ok"
t_io()  { local d=$1 e=$2; shift 2; t_is "$(dio $DM/f "$@" | cut -d' ' -f2 | xargs)" "$e" "$d"; }
t_vio() { local d=$1 e=$2; shift 2; t_is "$(dio $DM/v "$@" | cut -d' ' -f2 | xargs)" "$e" "$d"; }

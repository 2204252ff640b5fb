# shellcheck shell=bash disable=SC1010,SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# policy-lib.sh - walks the cells of policy-matrix.tsv; sourced after lib.sh
# and mirror.sh by policy-*.t.
#
# A cell: the legs are equal and healthy; a mirror is made and brought to its
# phase; the range [1032, 1040), in chunk 8, or all flushes, of one leg begin to
# fail; something sets it off; the status must become what the row says, and the
# guest must have got what the row says. Then the leg is healed, and the mirror
# has to end as the row says, with equal legs, having copied so much and no
# more.
#
#	background	before READY: two chunks, 7 and 8, are dirtied by a guest
#			write while the job waits to be started; after READY: by
#			one in background mode. The copy of both fails, and in
#			the end only chunk 8 may be dirty.
#			Flush: the copy is good, the job's own flush fails: the
#			one before READY, or the one before pending.
#	active		a guest's write of exactly the bad sectors, chunk 8 being
#			clean; before READY the job is kept running by a speed
#			limit with two more chunks (18-20) to copy, which count.
#			Flush: the guest writes chunk 8, well, and flushes.

# QMIRROR_MATRIX: another one, to see that a wrong expectation is found
MATRIX=${QMIRROR_MATRIX:-${BASH_SOURCE[0]%/*}/policy-matrix.tsv}
BAD=1032 BADLEN=8 CHUNK=1024

# --- the agent: device-mapper without a process a call -----------------------

start_agent()
{
	coproc AGENT { exec "${BASH_SOURCE[0]%/*}/policy-agent.pl"; }
	AGENT_IN=${AGENT[1]} AGENT_OUT=${AGENT[0]}
	at_exit kill "$AGENT_PID"
}

# dm WORD...: asks the agent; REPLY is what follows "ok"
dm()
{
	local IFS=$'\t'
	printf '%s\n' "$*" >&"$AGENT_IN"
	IFS= read -r -t 90 REPLY <&"$AGENT_OUT" || bail "the agent is gone: $*"
	if [[ $REPLY == ok* ]]; then
		REPLY=${REPLY#ok}
		REPLY=${REPLY#$'\t'}
		return 0
	fi
	# a status that was waited for in vain
	REPLY=${REPLY#timeout$'\t'}
	return 1
}

# --- the rig: legs on loops over tmpfs (discard and write-zeroes, and quick),
# and everything that fails -----------------------------------------------------

rig()
{
	local n f
	LEN=4096
	modprobe -a loop dm-flakey dm-delay || bail "modules are missing"
	for n in src tgt; do
		RAW[$n]=$(mk_loop "/run/policy-$n" 2) || bail "no loop for $n"
		dm_make $n "0 $LEN linear ${RAW[$n]} 0"
	done
	start_agent
	dm_make err "0 $LEN error"
	dm_make flk "0 $LEN flakey ${RAW[tgt]} 0 0 60 1 error_writes"
}

# A SCSI disk that is write protected (writes, write-zeroes and discards end
# with EREMOTEIO) and has a bad spot (reads of it end with ENODATA).
rig_scsi()
{
	local i
	modprobe -a sd_mod && modprobe scsi_debug dev_size_mb=16 lbpu=1 \
		lbpws=1 delay=0 medium_error_start=$BAD medium_error_count=$BADLEN
	for ((i = 0; i < 100; i++)); do
		for SCSI in /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/*; do
			[[ -b /dev/${SCSI##*/} ]] && break 2
		done
		sleep 0.05
	done
	SCSI=/dev/${SCSI##*/}
	[[ -b $SCSI ]] || bail "no scsi_debug disk"
	at_exit rmmod scsi_debug
	until_true 10 dio "$SCSI" r:0:8 > /dev/null
	echo 1 > /sys/module/scsi_debug/parameters/wp
	echo 2 > /sys/bus/pseudo/drivers/scsi_debug/opts
}

# A thin device over a pool of one block, which is taken: every other write
# ends with ENOSPC.
rig_thin()
{
	local meta data
	modprobe dm-thin-pool
	meta=$(mk_loop /run/policy-meta 4)
	data=$(mk_loop /run/policy-data 1)
	dm_make pool "0 128 thin-pool $meta $data 128 0 1 error_if_no_space"
	dmsetup message pool 0 create_thin 0
	dm_make thin "0 $LEN thin $DM/pool 0"
	dio $DM/thin w:0:8:g1 > /dev/null
}

# Errors on demand by the block layer itself (7.2, BLK_ERROR_INJECTION): each
# disk has a file that takes rules of operation, range and status.
rig_inject()
{
	[[ -e $(rules src) ]] || skip_all "this kernel has no BLK_ERROR_INJECTION"
	# Where flushes go that shall fail; see bad_table. Longer, as they begin
	# at sector 8 of it.
	dm create inj "0 $LEN linear ${RAW[tgt]} 0|$LEN 8 linear ${RAW[tgt]} 0" ||
		bail "no device for flushes: $REPLY"
}

# rules DEVICE: the file of that dm device
rules() { echo "/sys/kernel/debug/block/dm-$((0x$(stat -c %T "$DM/$1")))/error_injection"; }

# blk_status ERRNO: by what name the block layer knows what ends as ERRNO
blk_status()
{
	case $1 in
	EIO)		echo IOERR ;;
	ENOSPC)		echo NOSPC ;;
	ETIMEDOUT)	echo TIMEOUT ;;
	ENOLINK)	echo TRANSPORT ;;
	EREMOTEIO)	echo TARGET ;;
	EBADE)		echo RESV_CONFLICT ;;
	ENODATA)	echo MEDIUM ;;
	EILSEQ)		echo PROTECTION ;;
	ENODEV)		echo OFFLINE ;;
	ETIME)		echo DURATION_LIMIT ;;
	EINVAL)		echo INVAL ;;
	EOPNOTSUPP)	echo NOTSUPP ;;
	ENOMEM)		echo RESOURCE ;;
	EBUSY)		echo DEV_RESOURCE ;;
	*)		bail "no block status for '$1'" ;;
	esac
}

# inject DEVICE OP START LENGTH ERRNO
inject()
{
	local file
	file=$(rules "$1")
	INJECTED+=("$file")
	echo "add,op=$2,start=$3,nr_sectors=$4,status=$(blk_status "$5")" > "$file" ||
		bail "no rule for $2 on $1"
}
uninject()
{
	local file
	for file in "${INJECTED[@]}"; do
		echo removeall > "$file"
	done
	INJECTED=()
}
INJECTED=()

# Without a dmsetup for each; the rest is teardown's.
rig_down()
{
	local d
	for d in src tgt err flk drop inj thin pool; do
		[[ ! -b $DM/$d ]] || dm remove $d || diag "$d: $REPLY"
	done
}

# with LEG SEGMENT: LEG's table with the bad range mapped so
with()
{
	echo "0 $BAD linear ${RAW[$1]} 0|$BAD $BADLEN $2|$((BAD + BADLEN)) $((LEN - BAD - BADLEN)) linear ${RAW[$1]} $((BAD + BADLEN))"
}

# bad_table MEANS: sets LEG, TABLE, and for an injected error DISK, OP and RANGE
bad_table()
{
	local t=${RAW[tgt]} s=${RAW[src]}
	LEG=tgt TABLE='' DISK=tgt OP='' RANGE="$BAD $BADLEN"
	case $1 in
	inject-read)	LEG=src DISK=src OP=READ ;;
	inject-write)	OP=WRITE ;;
	# Zeroes that fail are written as data: that must fail, too.
	inject-zero)	OP="WRITE_ZEROES WRITE" ;;
	inject-discard)	OP=DISCARD ;;
	# A flush is an empty write, of no sector in particular, and a range has to
	# begin before it; so flushes go to a device of their own, and there to
	# sector 8 or beyond.
	inject-flush)	DISK=inj OP=WRITE RANGE="0 0"
			TABLE="0 $LEN delay $t 0 0 $t 0 0 $DM/inj 8 0" ;;
	error-read)	LEG=src TABLE=$(with src "delay $DM/err $BAD 0 $s $BAD 0") ;;
	scsi-medium)	LEG=src TABLE=$(with src "delay $SCSI $BAD 0 $s $BAD 0") ;;
	flakey-write)	TABLE=$(with tgt "delay $t $BAD 0 $DM/flk $BAD 0 $t $BAD 0") ;;
	thin-full)	TABLE=$(with tgt "delay $t $BAD 0 $DM/thin $BAD 0 $t $BAD 0") ;;
	# linear, so that WRITE_ZEROES gets there; with a delay there is none, and
	# the zeroes are written as data
	scsi-protect)	TABLE=$(with tgt "linear $SCSI $BAD") ;;
	slow-write)	TABLE=$(with tgt "delay $t $BAD 0 $t $BAD 200000") ;;
	flakey-flush)	TABLE="0 $LEN delay $t 0 0 $t 0 0 $DM/flk 0 0" ;;
	slow-flush)	TABLE="0 $LEN delay $t 0 0 $t 0 0 $t 0 200000" ;;
	*)		bail "unknown means '$1'" ;;
	esac
}
# break_leg MEANS ERRNO: from here on it fails; ERRNO is the choice of inject-* only
break_leg()
{
	local op
	bad_table "$1"
	[[ ! $TABLE ]] || dm swap "$LEG" "$TABLE" || bail "cannot break $LEG ($1): $REPLY"
	for op in $OP; do
		# shellcheck disable=SC2086 # start and length
		inject $DISK $op $RANGE "$2"
	done
}
heal()
{
	uninject
	dm swap "$1" "0 $LEN linear ${RAW[$1]} 0" || bail "cannot heal $1: $REPLY"
}

# rig_is MEANS[:ERRNO] WANT OP...: the rig itself: what the leg answers when it
# is broken so
rig_is()
{
	local got
	break_leg "${1%:*}" "${1#*:}"
	got=$(dio "$DM/$LEG" "${@:3}" | cut -d' ' -f2 | xargs)
	heal "$LEG"
	t_is "$got" "$2" "rig: $1: ${*:3}"
}

# --- a cell ------------------------------------------------------------------

# note WORD...: something is not as the row says
note() { PROBLEMS+=("$*"); }

# split STATUS (without the target's name)
split()
{
	local w n
	read -r -a w <<< "$1"
	n=$((9 + ${w[8]:-0}))
	F=([state]=${w[0]-} [synced]=${w[1]-} [offset]=${w[2]%/*} [dirty]=${w[3]%/*}
	   [io_status]=${w[4]-} [error]=${w[5]-} [source_errors]=${w[6]-}
	   [target_errors]=${w[7]-} [in_flight]=${w[8]-})
	n=$((10 + ${w[9]:-0}))
	F+=([ending]=${w[n]-} [orphans]=${w[n + 1]-})
}
declare -A F

# re_of VALUE: what a column of the data file means
re_of()
{
	case $1 in
	any)	echo '[a-z]+' ;;
	*+)	echo '[1-9][0-9]*' ;;
	*-*)	[[ $1 =~ ^([0-9])-([0-9])$ ]] && echo "[$1]" || echo "$1" ;;
	*)	echo "$1" ;;
	esac
}

# guest OP...: what dio said of the last OP, only its errno
guest() { local r; r=$(dio $DM/m "$@"); r=${r##*$'\n'}; r=${r#* }; echo "${r%% *}"; }

make_mirror()
{
	local args=()
	if [[ $how == active ]]; then
		args+=(copy_mode write-blocking)
	elif [[ $op == zero ]]; then
		args+=(zero_detect)
	fi
	[[ $means != slow-* ]] || args+=(target_timeout 300)
	if [[ $op == read ]]; then
		args+=(on_source_error "$policy" on_target_error ignore)
	else
		args+=(on_target_error "$policy" on_source_error ignore)
	fi
	if [[ $phase == after ]]; then
		args+=(sync none)
	else
		args+=(sync bitmap)
		[[ $how == background ]] || args+=(speed 8)
	fi
	dm create m "0 $LEN qmirror $DM/src 0 $DM/tgt 0 ${#args[@]} ${args[*]}" ||
		{ note "cannot be made: $REPLY"; return 1; }
	if [[ $phase == after ]]; then
		dm wait m 10 '^ready '
	elif [[ $how == active ]]; then
		dm msg m "mark_dirty 2304 384" && dm msg m resume &&
			dm wait m 10 '^running no \S+ 2/32 ok - 0 0 0 '
	fi || { note "does not get to its phase: $REPLY"; return 1; }
}

# The pattern that the guest writes: new in each cell.
set_off()
{
	local pat=g$GEN
	[[ $op != zero ]] || pat=x00
	if [[ $how == active ]]; then
		case $op in
		write)	GOT=$(guest "w:$BAD:$BADLEN:$pat") ;;
		zero)	GOT=$(guest "u:$BAD:$BADLEN") ;;
		discard) GOT=$(guest "d:$BAD:$BADLEN") ;;
		flush)	GOT=$(guest "w:$BAD:$BADLEN:$pat" f) ;;
		esac
	else
		GOT=$(guest "w:$((CHUNK - 128)):256:$pat")
		if [[ $phase == before ]]; then
			dm msg m resume
		elif [[ $op == flush ]]; then
			dm wait m 10 '^ready no \S+ 0/32 ok - 0 0 0 ' ||
				note "not copied: $REPLY"
			dm msg m complete
		fi
	fi
}

check_status()
{
	local re k
	re="^$state $(re_of "$synced") \\S+ $(re_of "$dirty")/32 $io_status $error"
	re+=" $(re_of "$source_errors") $(re_of "$target_errors") 0 .* $orphans\$"
	if ! dm wait m 10 "$re"; then
		note "status: $REPLY"
		split "$REPLY"
		for k in state synced io_status error source_errors target_errors dirty orphans; do
			[[ ${F[$k]} =~ ^$(re_of "${!k}")$ ]] ||
				note "$k is '${F[$k]}', not '${!k}'"
		done
	fi
	split "$REPLY"
}

check_guest()
{
	local g
	if [[ $op == read ]]; then
		is_eq "its write" "$GOT" ok
		GOT=$(guest "r:$BAD:$BADLEN")
	fi
	is_eq guest "$GOT" "$guest"
	# and it goes on: in a chunk that is dirty, so that none is added
	g=$(dio $DM/m "w:1100:8:g$GEN" "r:1100:8:g$GEN" r:3072:8 | cut -d' ' -f2 | tr '\n' ' ')
	is_eq "the guest elsewhere" "$g" "ok ok ok "
}
is_eq() { [[ $2 == "$3" ]] || note "$1: '$2', not '$3'"; }

check_events()
{
	[[ $error != - ]] || return
	dm events m
	((REPLY > EVENTS)) || note "no dm event"
}

# After the leg was healed.
check_end()
{
	local offset=${F[offset]} wsec want=${then#*:} copied_now
	if [[ $then == ended ]]; then
		dm wait m 10 '^concluded .* 0$' || note "then: $REPLY"
		return
	fi
	mark tgt
	[[ $how == background || $phase == after ]] || dm msg m "set speed 0"
	if [[ $then == resume:* ]]; then
		dm msg m resume || note "resume: $REPLY"
		dm wait m 20 "^$want \\S+ \\S+ 0/32 ok - \\S+ \\S+ 0 .* 0\$"
	else
		dm wait m 30 "^$want \\S+ \\S+ 0/32 ok $error \\S+ \\S+ 0 .* 0\$"
	fi || note "then: $REPLY"
	wsec=$(since tgt wsec)
	split "$REPLY"
	copied_now=$((F[offset] - offset))
	if [[ $then == resume:* ]]; then
		((copied_now == copied)) || note "copied $copied_now sectors, not $copied"
		((wsec == copied)) || note "wrote $wsec sectors, not $copied"
	else
		# tried again in between, perhaps
		((copied_now <= copied)) || note "copied $copied_now sectors, not at most $copied"
		((wsec <= copied)) || note "wrote $wsec sectors, not at most $copied"
	fi
}

# run_cell: the columns are in variables named as in the data file
run_cell()
{
	local LEG TABLE DISK OP RANGE name="$op $policy $errno $phase $how"
	PROBLEMS=() GOT=''
	((++GEN))
	if make_mirror; then
		dm events m
		EVENTS=$REPLY
		break_leg "$means" "$errno"
		set_off
		check_status
		check_guest
		check_events
		dm status m
		split "$REPLY"
		heal "$LEG"
		check_end
	fi
	dm remove m || note "remove: $REPLY"
	if [[ $then == ended ]]; then
		even_out
	else
		legs_cmp > /tmp/cmp || note "legs differ: $(< /tmp/cmp)"
	fi
	if ((${#PROBLEMS[@]})); then
		fail "$name"
		diag "$means"
		printf '#   %s\n' "${PROBLEMS[@]}"
	else
		pass "$name"
	fi
}

# What a job that ended had no time to copy: equal legs for the next cell.
even_out()
{
	local op
	for op in src tgt; do
		dio $DM/$op "w:$((CHUNK - 128)):256:g$GEN" > /dev/null
	done
}

# walk stock|injected OP...: all cells of these operations whose error a stock
# device makes, or the block layer; what there is none of is skipped
GEN=100
walk()
{
	local by=$1 only=" ${*:2} " op policy class phase how errno means state synced
	local io_status error source_errors target_errors guest dirty orphans
	local then copied is cells=0 none=0 other=0
	while IFS=$'\t' read -r op policy class phase how errno means state \
			synced io_status error source_errors target_errors guest \
			dirty orphans then copied <&3; do
		[[ $op != '#'* && $only == *" $op "* ]] || continue
		# CELL=REGEX in the environment: only these, to look closer
		[[ ! ${QMIRROR_CELL-} || "$op $policy $errno $phase $how" =~ $QMIRROR_CELL ]] ||
			continue
		if [[ $errno == n/a ]]; then
			((++none))
			continue
		fi
		[[ $means == inject-* ]] && is=injected || is=stock
		if [[ $is != "$by" ]]; then
			((++other))
			continue
		fi
		((++cells))
		run_cell
	done 3< "$MATRIX"
	diag "${*:2}: $cells $by cells, $other not $by, $none that do not exist"
	((cells)) || [[ ${QMIRROR_CELL-} ]] || fail "no $by cell of ${*:2}"
}

# Every combination has a row, one that cannot exist with the reason.
check_matrix()
{
	awk -F'\t' '
	/^#/ { next }
	NF != ($6 == "n/a" ? 7 : 18) { print "line " NR ": " NF " columns"; bad = 1 }
	{ seen[$1 " " $2 " " $3 " " $4 " " $5]++ }
	END {
		n = split("read write zero discard flush", op, " ")
		split("report ignore stop enospc auto", pol, " ")
		split("EIO ENOSPC other", class, " ")
		for (i = 1; i <= n; i++) for (j = 1; j <= 5; j++)
		for (k = 1; k <= 3; k++) for (l = 0; l < 2; l++) for (m = 0; m < 2; m++) {
			c = op[i] " " pol[j] " " class[k] " " (l ? "after" : "before") \
			    " " (m ? "active" : "background")
			if (!seen[c]) { print "no row for " c; bad = 1 }
		}
		exit bad
	}' "$MATRIX"
}

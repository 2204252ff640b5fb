# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# faults.sh - memory that cannot be had, aimed at our modules; sourced after
# lib.sh by fault-*.t. The kernel's fault injection takes a range of code: only
# what was called from there, at whatever depth, can fail.
#
#	sweep DESC ...		every allocation of one process, each in a run of
#				its own (fail-nth): no path is left to chance
#	faults_on P, faults_off	all that our modules allocate, in whatever task,
#				with P per cent

FAULT=/sys/kernel/debug
FAULT_ATTRS=(failslab fail_page_alloc)

need_faults()
{
	local a
	for a in "${FAULT_ATTRS[@]}"; do
		[[ -e $FAULT/$a/require-start ]] ||
			skip_all "this kernel cannot let our allocations fail"
		echo N > "$FAULT/$a/task-filter"
		echo N > "$FAULT/$a/ignore-gfp-wait"
		# Each failure prints a line, and not its callers, at most; the
		# kernel limits how many.
		echo 1 > "$FAULT/$a/verbose"
		echo 1 > "$FAULT/$a/interval"
		echo 0 > "$FAULT/$a/space"
		echo 1000000000 > "$FAULT/$a/times"
		echo 32 > "$FAULT/$a/stacktrace-depth"
	done
	echo 0 > $FAULT/fail_page_alloc/min-order
	at_exit faults_off
}

# aim START END [require|reject]: addresses
aim()
{
	local a
	for a in "${FAULT_ATTRS[@]}"; do
		echo "$1" > "$FAULT/$a/${3:-require}-start"
		echo "$2" > "$FAULT/$a/${3:-require}-end"
	done
}

# code_of MODULE: sets START and END
code_of()
{
	local size
	START=$(< "/sys/module/$1/sections/.text")
	size=$(size -A -d "$(modinfo -n "$1")" | awk '$1 == ".text" { print $2 }')
	((size)) || bail "how big is $1?"
	END=$(printf '0x%x' $((START + size)))
}

# aim_module NAME: its code; what it calls of another of ours is called by it. So
# is a disk that needs memory for what it is given, but that is not ours: it
# would say that it is full.
aim_module()
{
	code_of null_blk
	aim "$START" "$END" reject
	code_of "$1"
	aim "$START" "$END"
}

# aim_function NAME: of the kernel, up to the next one
aim_function()
{
	local range
	read -r -a range <<< "$(sort /proc/kallsyms | awk -v f="$1" '
		at && $1 != at { print "0x" at, "0x" $1; exit }
		$3 == f && $2 ~ /[tT]/ { at = $1 }')"
	((${#range[@]} == 2)) || bail "where is $1?"
	aim "${range[@]}"
}

faults_on()
{
	local a
	for a in "${FAULT_ATTRS[@]}"; do echo "$1" > "$FAULT/$a/probability"; done
}
faults_off() { faults_on 0; }

# times_left: goes down by one with each failure, of whatever kind
times_left() { echo $(($(< $FAULT/failslab/times) + $(< $FAULT/fail_page_alloc/times))); }

# with_nth N COMMAND...: its Nth allocation there fails; no other process's does.
# FAILED says whether it had so many; the status is COMMAND's.
with_nth()
{
	local n=$1 left rc=0
	shift
	left=$(times_left)
	(
		echo "$n" > /proc/self/fail-nth
		exec "$@"
	) > /tmp/nth.out 2>&1 || rc=$?
	FAILED=$((left != $(times_left)))
	return $rc
}

# sweep DESC UNDO CLEAN COMMAND...: lets its first allocation fail, then its
# second, and so on. When it succeeds all the same, UNDO has to; when not, CLEAN
# says whether everything is as before. Of many, all the same one after the other,
# some: those at both ends, and some between.
sweep()
{
	local desc=$1 undo=$2 clean=$3 n all=1 low refused=0 bad=0 list=()
	shift 3
	while sweep_one "$all" "$@" && ((all < 1 << 20)); do ((all *= 2)); done
	# the last that fails is in [all / 2, all)
	low=$((all / 2))
	while ((all - low > 1)); do
		n=$(((low + all) / 2))
		if sweep_one "$n" "$@"; then low=$n; else all=$n; fi
	done
	for ((n = 1; n <= low; n++)); do
		if ((n <= 16 || n > low - 4)); then
			list+=("$n")
		elif ((n == 17)); then
			for _ in {1..6}; do
				rnd $((low - 4 - 16))
				list+=($((17 + REPLY)))
			done
			n=$((low - 4))
		fi
	done
	for n in "${list[@]}"; do sweep_one "$n" "$@" || :; done
	diag "$desc: $low allocations, ${#list[@]} tried, $refused refusals"
	if ((low && !bad)); then pass "$desc"; else fail "$desc"; fi
}

# sweep_one N COMMAND...: with sweep's variables
sweep_one()
{
	local n=$1
	shift
	if with_nth "$n" "$@"; then
		if ! eval "$undo" > /tmp/undo.out 2>&1; then
			((++bad))
			diag "$desc: $n: what succeeded cannot be undone: $(< /tmp/undo.out)"
		fi
	else
		((++refused))
		if ((!FAILED)); then
			((++bad))
			diag "$desc: $n: refused, and no allocation failed: $(< /tmp/nth.out)"
		fi
		if ! eval "$clean" > /tmp/clean.out 2>&1; then
			((++bad))
			diag "$desc: $n: something is left behind: $(< /tmp/clean.out)"
		fi
	fi
	((FAILED))
}

# sweep_load MODULE: its init function; what it needs is loaded already
sweep_load()
{
	aim_function do_init_module
	sweep "load $1" "rmmod $1" "[[ ! -d /sys/module/$1 ]]" \
		insmod "$(modinfo -n "$1")"
}

# no_dm NAME: and no node of it either
no_dm() { ! dmsetup info "$1" 2>/dev/null; }

# requests_fail LEG PERCENT, requests_heal LEG: every request to that dm device
requests_fail()
{
	local dir=$FAULT/fail_make_request
	[[ ${SYS[$1]-} ]] || SYS[$1]=dm-$(dmsetup info -c --noheadings -o minor "$1")
	echo N > $dir/task-filter
	echo 0 > $dir/verbose
	echo 1 > $dir/interval
	echo 0 > $dir/space
	echo 1000000000 > $dir/times
	echo "$2" > $dir/probability
	echo 1 > "/sys/block/${SYS[$1]}/make-it-fail"
}
requests_failed() { echo $((1000000000 - $(< $FAULT/fail_make_request/times))); }
requests_heal() { echo 0 > "/sys/block/${SYS[$1]}/make-it-fail"; }

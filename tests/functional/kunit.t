#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The modules' own tests (KUnit), in the kernel that they are for: with its
# atomics, its locks and its scheduler, and whatever the kernel looks for. One
# module for each file NAME_kunit.c; loading it runs it, and what came out is in
# debugfs. Each case that the source names must have been run.
#
# vm: --kernel 7.2-*

. "$(dirname "$0")/../lib.sh"

plan_later
results=/sys/kernel/debug/kunit

# suite_of FILE, cases_of FILE: what the source says
suite_of() { sed -n 's/^\t\.name = "\(.*\)",$/\1/p' "$1"; }
cases_of() { sed -n 's/^\tKUNIT_CASE\(_[A-Z]*\)\?(\([a-z_0-9]*\).*/\2/p' "$1"; }

# verdict SUITE CASE: "ok", "not ok", with "SKIP" if it was; "" if it was not run
verdict()
{
	sed -n "s/^    \(\(not \)\?ok\) [0-9]* $2\(.*# \(SKIP\).*\)\?\$/\1\4/p" \
		"$results/$1/results"
}

run_suite()
{
	local file=$1 dir suite module case run=0
	dir=$(basename "$(dirname "$file")")
	module=dm-${dir#dm-}-$(basename "$file" _kunit.c)-kunit
	suite=$(suite_of "$file")
	if ! modprobe "$module"; then
		fail "$module can be loaded"
		return
	fi
	at_exit rmmod "$module"
	if [[ ! -r $results/$suite/results ]]; then
		fail "$module: there is a suite \"$suite\""
		return
	fi
	for case in $(cases_of "$file"); do
		is "$(verdict "$suite" "$case")" ok "$suite: $case"
		((++run))
	done
	is "$(grep -cE '^    (not )?ok ' "$results/$suite/results")" "$run" \
		"$suite: all its cases, and no others: $run"
	# The suite's own line: not ok, too, when its init or exit failed.
	like "$(tail -n 1 "$results/$suite/results")" "^ok [0-9]+ $suite\$" "$suite" ||
		diag "$(<"$results/$suite/results")"
}

need_modules kunit
shopt -s nullglob
files=("$QMIRROR_TOP"/block-copy/*_kunit.c "$QMIRROR_TOP"/dm-*/*_kunit.c)
isnt "${#files[@]}" 0 "there are suites"
for file in "${files[@]}"; do
	run_suite "$file"
done
is "$(find "$results" -mindepth 1 -maxdepth 1 -type d | wc -l)" "${#files[@]}" \
	"each file's suite was there"

done_testing

# SPDX-License-Identifier: GPL-2.0
#
# report.awk - the table of bench: first file is "bars", second the results.
# With quick set: only bars of instructions, and one not measured is missed.

FNR == 1 { file++ }
/^#/ || !NF { next }
file == 1 && quick && ($4 == "-" || $2 ~ /^latency/) { next }
file == 1 {
	device[++n] = $1; io[n] = $2; reference[n] = $3; bar[n] = $4
	next
}
NF == 3 { cost[$1, $2] = $3 }

END {
	printf "%-20s %-11s %12s %8s %6s\n", "device", "4 KiB", \
		"instructions", "ratio", "bar"
	for (i = 1; i <= n; i++) {
		key = device[i] SUBSEP io[i]
		ref = reference[i] SUBSEP io[i]
		if (!(key in cost) || !(ref in cost)) {
			missing++
			printf "%-20s %-11s %12s\n", device[i], io[i], "not there"
			continue
		}
		ratio = cost[key] / cost[ref]
		verdict = ""
		if (bar[i] != "-") {
			# Two digits, as the bars have.
			verdict = (ratio < bar[i] + 0.005) ? "pass" : "FAIL"
			failed += verdict == "FAIL"
			passed += verdict == "pass"
		}
		printf "%-20s %-11s %12d %8.3f %6s  %s\n", device[i], io[i], \
			cost[key], ratio, bar[i], verdict
	}
	printf "%d bars met, %d missed, %d lines could not be measured\n", \
		passed, failed, missing
	exit failed > 0 || !passed || (quick && missing)
}

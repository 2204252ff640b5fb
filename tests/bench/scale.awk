# SPDX-License-Identifier: GPL-2.0
#
# scale.awk - the table of scale, one line an X, one block a name's first word; then
# the limits: memory, and growth. Exit status 1 when one is missed.

$1 != "result" || NF != 4 { next }
{
	group = what = $2
	sub(/-.*/, "", group)
	sub(/[^-]*-/, "", what)
	if (!((group, what) in column)) {
		column[group, what] = ++columns[group]
		name[group, columns[group]] = what
	}
	if (!(group in columns_seen)) {
		columns_seen[group] = 1
		order[++groups] = group
	}
	if (!((group, $3) in row)) {
		row[group, $3] = ++rows[group]
		x[group, rows[group]] = $3
	}
	value[group, what, $3] = $4
}

# One line of what has to hold.
function bound(text, got, limit)
{
	ok = got + 0 <= limit + 0
	missed += !ok
	printf "%-66s %12s of %12s  %s\n", text, got, limit, ok ? "ok" : "MISSED"
}
function last_x(g) { return x[g, rows[g]] }
# Is the last X of a curve as dear as another one, for each?
function flat(g, w, nr, times,	a, b)
{
	a = value[g, w, x[g, nr]]
	b = value[g, w, last_x(g)]
	bound(g " " w ": at " last_x(g) " over that at " x[g, nr], \
	      a ? sprintf("%.2f", b / a) : 999, times)
}

END {
	for (g = 1; g <= groups; g++) {
		group = order[g]
		printf "%-12s", group
		for (c = 1; c <= columns[group]; c++)
			printf " %14s", name[group, c]
		print ""
		for (r = 1; r <= rows[group]; r++) {
			printf "%-12s", x[group, r]
			for (c = 1; c <= columns[group]; c++)
				printf " %14s", value[group, name[group, c], x[group, r]]
			print ""
		}
		print ""
	}
	for (g = 1; g <= groups; g++) {
		group = order[g]
		for (r = 1; r <= rows[group]; r++)
			if ((group, "limit-kib", x[group, r]) in value)
				bound("memory, " group ", " x[group, r] " chunks, KiB",
				      value[group, "kib", x[group, r]],
				      value[group, "limit-kib", x[group, r]])
	}
	flat("size", "status", 1, 1.3)
	flat("size", "message", 1, 1.3)
	# Over 16384 times as many chunks: one look at a word for 2^18 of them.
	flat("size", "last-dirty", 1, 4)
	flat("dirty", "copy", rows["dirty"] - 1, 1.25)
	flat("dirty", "status", 1, 1.1)
	flat("waiting", "copy", 1, 1.25)
	flat("many", "kib", 1, 1.05)
	flat("many", "create", 1, 1.25)
	flat("many", "status", 1, 1.1)
	flat("many", "write", 1, 1.1)
	exit missed > 0
}

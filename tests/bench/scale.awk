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
function show(g, w, at) { return (g, w, at) in value ? value[g, w, at] : "-" }

# By X; few enough for the simplest way.
function sort_rows(g,	i, j, t)
{
	for (i = 2; i <= rows[g]; i++)
		for (j = i; j > 1 && x[g, j - 1] + 0 > x[g, j] + 0; j--) {
			t = x[g, j]
			x[g, j] = x[g, j - 1]
			x[g, j - 1] = t
		}
}

# Is the last X of a curve as dear as the nth (0: as the one before it), for each?
function flat(g, w, nth, times,	i, n, at)
{
	for (i = 1; i <= rows[g]; i++)
		if ((g, w, x[g, i]) in value)
			at[++n] = x[g, i]
	if (n < 2) {
		bound(g " " w " was not measured", 1, 0)
		return
	}
	if (!nth)
		nth = n - 1
	bound(g " " w ": at " at[n] " over that at " at[nth], \
	      sprintf("%.2f", value[g, w, at[n]] / value[g, w, at[nth]]), times)
}

END {
	for (g = 1; g <= groups; g++) {
		group = order[g]
		sort_rows(group)
		printf "%-12s", group
		for (c = 1; c <= columns[group]; c++)
			printf " %14s", name[group, c]
		print ""
		for (r = 1; r <= rows[group]; r++) {
			printf "%-12s", x[group, r]
			for (c = 1; c <= columns[group]; c++)
				printf " %14s", show(group, name[group, c], x[group, r])
			print ""
		}
		print ""
	}
	for (g = 1; g <= groups; g++) {
		group = order[g]
		for (r = 1; r <= rows[group]; r++)
			if ((group, "limit-kib", x[group, r]) in value)
				bound("memory, " group ", at " x[group, r] ", KiB",
				      value[group, "kib", x[group, r]],
				      value[group, "limit-kib", x[group, r]])
	}
	flat("size", "status", 1, 1.3)
	flat("size", "message", 1, 1.3)
	# Over 16384 times as many chunks: one look at a word for 2^18 of them.
	flat("size", "last-dirty", 1, 4)
	flat("dirty", "copy", 0, 1.25)
	flat("dirty", "status", 1, 1.1)
	flat("waiting", "copy", 1, 1.25)
	flat("many", "kib", 1, 1.05)
	flat("many", "create", 1, 1.25)
	flat("many", "status", 1, 1.1)
	flat("many", "write", 1, 1.1)
	exit missed > 0
}

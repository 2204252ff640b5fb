# SPDX-License-Identifier: GPL-2.0
#
# table.awk - "result DEVICE IO COST" lines as a table, one column an I/O; and
# what the device adds to dm-linear, in instructions.

$1 != "result" || NF != 4 { next }
{
	if (!($2 in row)) {
		row[$2] = ++rows
		device[rows] = $2
	}
	if (!($3 in column)) {
		column[$3] = ++columns
		io[columns] = $3
	}
	cost[$2, $3] = $4
}

function heading(text,	c)
{
	printf "%-20s", text
	for (c = 1; c <= columns; c++)
		printf " %14s", io[c]
	print ""
}

END {
	heading("instructions")
	for (r = 1; r <= rows; r++) {
		printf "%-20s", device[r]
		for (c = 1; c <= columns; c++)
			printf " %14d", cost[device[r], io[c]]
		print ""
	}
	if (!("linear" in row))
		exit
	print ""
	heading("over dm-linear")
	for (r = 1; r <= rows; r++) {
		printf "%-20s", device[r]
		for (c = 1; c <= columns; c++)
			printf " %+14d", cost[device[r], io[c]] - \
				cost["linear", io[c]]
		print ""
	}
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The optional words of a table line.
 */
#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/string.h>

#include "args.h"
#include "policy.h"

static const struct bc_arg *find_arg(const struct bc_arg *table,
				     unsigned int rows, const char *name,
				     unsigned long *seen)
{
	unsigned int i;

	for (i = 0; i < rows; i++)
		if (!strcmp(table[i].name, name)) {
			if (seen && __test_and_set_bit(i, seen))
				return ERR_PTR(-EEXIST);
			return &table[i];
		}
	return NULL;
}

static int bad(const char *why, const char *which, const char **error,
	       const char **word)
{
	*error = why;
	*word = which;
	return -EINVAL;
}

/**
 * bc_args_parse() - the optional arguments of a table line
 * @table: what there is
 * @rows: of @table, at most BC_MAX_ARGS
 * @argc: how many words, 0: none were given
 * @argv: the number of the others, then they
 * @args: the target's own, holding the defaults
 * @error: what is wrong, one static sentence
 * @word: and with which word
 *
 * Return: 0, or -EINVAL with @error and @word set.
 */
int bc_args_parse(const struct bc_arg *table, unsigned int rows,
		  unsigned int argc, char **argv, void *args,
		  const char **error, const char **word)
{
	unsigned long seen = 0;
	unsigned int i;
	u64 nr;

	if (!argc)
		return 0;
	if (bc_parse_u64(argv[0], &nr) || nr != argc - 1)
		return bad("Number of arguments is wrong", argv[0], error, word);

	for (i = 1; i < argc; i++) {
		const char *name = argv[i];
		const struct bc_arg *arg = find_arg(table, rows, name, &seen);

		if (!arg)
			return bad("Unknown argument", name, error, word);
		if (IS_ERR(arg))
			return bad("Argument given twice", name, error, word);
		if (arg->flag) {
			arg->parse(args, NULL);
			continue;
		}
		if (++i == argc)
			return bad(arg->invalid, name, error, word);
		if (arg->parse(args, argv[i]))
			return bad(arg->invalid, argv[i], error, word);
	}
	return 0;
}
EXPORT_SYMBOL_GPL(bc_args_parse);

/**
 * bc_args_set() - change one argument while it is in force
 * @table: what there is
 * @rows: of @table
 * @args: the target's own, a copy
 * @name: which
 * @value: to what
 *
 * Return: 0, -ENOENT for what cannot be set, -EINVAL for a bad value.
 */
int bc_args_set(const struct bc_arg *table, unsigned int rows, void *args,
		const char *name, const char *value)
{
	const struct bc_arg *arg = find_arg(table, rows, name, NULL);

	if (!arg || !arg->settable)
		return -ENOENT;
	return arg->parse(args, value) ? -EINVAL : 0;
}
EXPORT_SYMBOL_GPL(bc_args_set);

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The optional words of a table line, <#args> <arg>...: every argument is one
 * row of a table.
 */
#ifndef BLOCK_COPY_ARGS_H
#define BLOCK_COPY_ARGS_H

#include <linux/types.h>

#define BC_MAX_ARGS	32	/* rows */

/**
 * struct bc_arg - one argument
 * @name: the word
 * @flag: it has no value
 * @settable: by the message "set"
 * @invalid: what to say about a bad value
 * @parse: into the target's own structure; 0 or an error
 */
struct bc_arg {
	const char *name;
	bool flag;
	bool settable;
	const char *invalid;
	int (*parse)(void *args, const char *word);
};

int bc_args_parse(const struct bc_arg *table, unsigned int rows,
		  unsigned int argc, char **argv, void *args,
		  const char **error, const char **word);
int bc_args_set(const struct bc_arg *table, unsigned int rows, void *args,
		const char *name, const char *value);

#endif /* BLOCK_COPY_ARGS_H */

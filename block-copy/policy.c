// SPDX-License-Identifier: GPL-2.0
/*
 * Error policies and shared words; see policy.h.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "policy.h"

const char *const bc_policy_names[BC_NR_POLICIES] = {
	[BC_POLICY_REPORT] = "report",
	[BC_POLICY_IGNORE] = "ignore",
	[BC_POLICY_STOP] = "stop",
	[BC_POLICY_ENOSPC] = "enospc",
	[BC_POLICY_AUTO] = "auto",
};
EXPORT_SYMBOL_GPL(bc_policy_names);

/**
 * bc_policy_action() - what a policy makes of an error
 * @policy: the leg's policy
 * @error: errno, negative
 *
 * auto is enospc, as in QEMU's code (qemu-semantics 1.12), not as in its
 * documentation.
 *
 * Return: what the job has to do.
 */
enum bc_action bc_policy_action(enum bc_policy policy, int error)
{
	switch (policy) {
	case BC_POLICY_IGNORE:
		return BC_ACTION_IGNORE;
	case BC_POLICY_STOP:
		return BC_ACTION_STOP;
	case BC_POLICY_ENOSPC:
	case BC_POLICY_AUTO:
		return error == -ENOSPC ? BC_ACTION_STOP : BC_ACTION_REPORT;
	default:
		return BC_ACTION_REPORT;
	}
}
EXPORT_SYMBOL_GPL(bc_policy_action);

/**
 * bc_find_word() - look a word up in a table of names
 * @names: the table
 * @n: its length
 * @word: to be found, case matters
 *
 * Return: the index or -EINVAL.
 */
int bc_find_word(const char *const names[], unsigned int n, const char *word)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!strcmp(names[i], word))
			return i;
	return -EINVAL;
}
EXPORT_SYMBOL_GPL(bc_find_word);

/**
 * bc_parse_u64() - a decimal number and nothing else
 * @word: digits only: no sign, no space, no other base
 * @value: set on success only
 *
 * Return: 0, -EINVAL or -ERANGE.
 */
int bc_parse_u64(const char *word, u64 *value)
{
	u64 v = 0;

	if (!*word)
		return -EINVAL;
	for (; *word; word++) {
		unsigned int digit = *word - '0';

		if (digit > 9)
			return -EINVAL;
		if (v > U64_MAX / 10 || v * 10 > U64_MAX - digit)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*value = v;
	return 0;
}
EXPORT_SYMBOL_GPL(bc_parse_u64);

/* What the block layer can answer (blk_status_to_errno()), and our own. */
static const struct {
	int error;
	const char *name;
} errno_names[] = {
	{ -EIO, "EIO" }, { -ENOSPC, "ENOSPC" }, { -ETIMEDOUT, "ETIMEDOUT" },
	{ -EOPNOTSUPP, "EOPNOTSUPP" }, { -ENOLINK, "ENOLINK" },
	{ -EREMOTEIO, "EREMOTEIO" }, { -EBADE, "EBADE" },
	{ -ENODATA, "ENODATA" }, { -EILSEQ, "EILSEQ" }, { -ENOMEM, "ENOMEM" },
	{ -EBUSY, "EBUSY" }, { -EAGAIN, "EAGAIN" }, { -ETIME, "ETIME" },
	{ -ENODEV, "ENODEV" }, { -ENXIO, "ENXIO" }, { -EINVAL, "EINVAL" },
	{ -EREMCHG, "EREMCHG" }, { -EOVERFLOW, "EOVERFLOW" },
	{ -ETOOMANYREFS, "ETOOMANYREFS" }, { -EROFS, "EROFS" },
	{ -EPERM, "EPERM" }, { -EACCES, "EACCES" },
};

/**
 * bc_errno_name() - the name of an error
 * @error: errno, negative
 * @buf: for an error without a name in our table
 * @size: of @buf
 *
 * Return: the name, or @buf with the number.
 */
const char *bc_errno_name(int error, char *buf, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errno_names); i++)
		if (errno_names[i].error == error)
			return errno_names[i].name;
	snprintf(buf, size, "E%d", -error);
	return buf;
}
EXPORT_SYMBOL_GPL(bc_errno_name);

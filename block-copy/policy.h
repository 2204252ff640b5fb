/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The words that both targets and their users share: error policies and what
 * they make of an error, names of errors, parsing of numbers.
 *
 * No kernel types beyond the fixed-width integers: unit-tested in user space.
 */
#ifndef BLOCK_COPY_POLICY_H
#define BLOCK_COPY_POLICY_H

#include <linux/types.h>

/*
 * What to do about an error of a leg.  QAPI BlockdevOnError; qemu
 * blockjob.c:block_job_error_action.
 */
enum bc_policy {
	BC_POLICY_REPORT,
	BC_POLICY_IGNORE,
	BC_POLICY_STOP,
	BC_POLICY_ENOSPC,
	BC_POLICY_AUTO,
	BC_NR_POLICIES
};

/* What a policy comes to for one error. */
enum bc_action {
	BC_ACTION_REPORT,
	BC_ACTION_IGNORE,
	BC_ACTION_STOP,
};

extern const char *const bc_policy_names[BC_NR_POLICIES];

enum bc_action bc_policy_action(enum bc_policy policy, int error);
int bc_find_word(const char *const names[], unsigned int n, const char *word);
int bc_parse_u64(const char *word, u64 *value);
const char *bc_errno_name(int error, char *buf, unsigned int size);

#endif /* BLOCK_COPY_POLICY_H */

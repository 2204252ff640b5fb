// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of policy.c.
 */
#include <kunit/test.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "policy.h"

static void policy_actions(struct kunit *test)
{
	static const struct {
		enum bc_policy policy;
		enum bc_action eio, enospc;
	} want[] = {
		{ BC_POLICY_REPORT, BC_ACTION_REPORT, BC_ACTION_REPORT },
		{ BC_POLICY_IGNORE, BC_ACTION_IGNORE, BC_ACTION_IGNORE },
		{ BC_POLICY_STOP, BC_ACTION_STOP, BC_ACTION_STOP },
		{ BC_POLICY_ENOSPC, BC_ACTION_REPORT, BC_ACTION_STOP },
		{ BC_POLICY_AUTO, BC_ACTION_REPORT, BC_ACTION_STOP },
	};
	unsigned int i;

	KUNIT_EXPECT_EQ(test, ARRAY_SIZE(want), (size_t)BC_NR_POLICIES);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		KUNIT_EXPECT_EQ(test, bc_policy_action(want[i].policy, -EIO), want[i].eio);
		KUNIT_EXPECT_EQ(test, bc_policy_action(want[i].policy, -ENOSPC),
				want[i].enospc);
	}
}

static void policy_words(struct kunit *test)
{
	int i;

	for (i = 0; i < BC_NR_POLICIES; i++)
		KUNIT_EXPECT_EQ(test, i, bc_find_word(bc_policy_names, BC_NR_POLICIES,
						      bc_policy_names[i]));
	KUNIT_EXPECT_EQ(test, -EINVAL, bc_find_word(bc_policy_names, BC_NR_POLICIES, "Stop"));
	KUNIT_EXPECT_EQ(test, -EINVAL, bc_find_word(bc_policy_names, BC_NR_POLICIES, "sto"));
	KUNIT_EXPECT_EQ(test, -EINVAL, bc_find_word(bc_policy_names, BC_NR_POLICIES, ""));
	KUNIT_EXPECT_EQ(test, -EINVAL, bc_find_word(bc_policy_names, 2, "stop"));
}

static void policy_numbers(struct kunit *test)
{
	static const struct {
		const char *word;
		u64 value;
	} good[] = {
		{ "0", 0 }, { "7", 7 }, { "0010", 10 }, { "4294967296", BIT_ULL(32) },
		{ "18446744073709551615", U64_MAX },
	};
	static const char *const bad[] = {
		"", " 1", "1 ", "+1", "-1", "0x10", "1k", "1.0", "/", ":", "\xb2",
	};
	static const char *const large[] = {
		"18446744073709551616", "18446744073709551620", "99999999999999999999",
	};
	unsigned int i;
	u64 v;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		v = 4711;
		KUNIT_EXPECT_EQ(test, bc_parse_u64(good[i].word, &v), 0);
		KUNIT_EXPECT_EQ(test, v, good[i].value);
	}
	v = 4711;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ(test, bc_parse_u64(bad[i], &v), -EINVAL);
	for (i = 0; i < ARRAY_SIZE(large); i++)
		KUNIT_EXPECT_EQ(test, bc_parse_u64(large[i], &v), -ERANGE);
	/* only success sets it */
	KUNIT_EXPECT_EQ(test, v, (u64)4711);
}

static void policy_errno_names(struct kunit *test)
{
	char buf[16];

	KUNIT_EXPECT_STREQ(test, bc_errno_name(-EIO, buf, sizeof(buf)), "EIO");
	KUNIT_EXPECT_STREQ(test, bc_errno_name(-ENOSPC, buf, sizeof(buf)), "ENOSPC");
	KUNIT_EXPECT_STREQ(test, bc_errno_name(-EACCES, buf, sizeof(buf)), "EACCES");
	KUNIT_EXPECT_STREQ(test, bc_errno_name(-4095, buf, sizeof(buf)), "E4095");
	/* cut, never written beyond */
	memset(buf, 'x', sizeof(buf));
	KUNIT_EXPECT_STREQ(test, bc_errno_name(-4095, buf, 3), "E4");
	KUNIT_EXPECT_EQ(test, buf[3], 'x');
}

static struct kunit_case policy_cases[] = {
	KUNIT_CASE(policy_actions),
	KUNIT_CASE(policy_words),
	KUNIT_CASE(policy_numbers),
	KUNIT_CASE(policy_errno_names),
	{}
};

static struct kunit_suite policy_suite = {
	.name = "bc-policy",
	.test_cases = policy_cases,
};

kunit_test_suite(policy_suite);

MODULE_DESCRIPTION("KUnit tests of block-copy's policies and words");
MODULE_LICENSE("GPL");

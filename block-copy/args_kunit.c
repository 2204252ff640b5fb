// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of args.c.
 */
#include <kunit/test.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "args.h"
#include "policy.h"

struct demo {
	u64 size;
	bool quick;
	unsigned int calls;
};

static int parse_size(void *to, const char *word)
{
	struct demo *demo = to;

	demo->calls++;
	return bc_parse_u64(word, &demo->size);
}

static int parse_quick(void *to, const char *word)
{
	struct demo *demo = to;

	demo->calls++;
	demo->quick = !word;
	return 0;
}

static const struct bc_arg table[] = {
	{ "size", .settable = true, .invalid = "Bad size", .parse = parse_size },
	{ "quick", .flag = true, .parse = parse_quick },
	{ "depth", .invalid = "Bad depth", .parse = parse_size },
};

static const char *error, *word;

#define WORDS(...)	((char *[]){ __VA_ARGS__ })
#define PARSE(demo, ...) \
	(error = NULL, word = NULL, \
	 bc_args_parse(table, ARRAY_SIZE(table), \
		       sizeof(WORDS(__VA_ARGS__)) / sizeof(char *), \
		       WORDS(__VA_ARGS__), demo, &error, &word))

static void args_good(struct kunit *test)
{
	struct demo demo = { .size = 5 };

	KUNIT_EXPECT_EQ(test, bc_args_parse(table, ARRAY_SIZE(table), 0, NULL, &demo,
					    &error, &word), 0);
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "0"), 0);
	KUNIT_EXPECT_EQ(test, demo.size, (u64)5);
	KUNIT_EXPECT_EQ(test, demo.calls, 0U);

	KUNIT_EXPECT_EQ(test, PARSE(&demo, "3", "quick", "size", "9"), 0);
	KUNIT_EXPECT_EQ(test, demo.size, (u64)9);
	KUNIT_EXPECT_TRUE(test, demo.quick);
	KUNIT_EXPECT_EQ(test, demo.calls, 2U);
	/* a value may look like a name */
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "2", "size", "quick"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Bad size");
}

static void args_bad(struct kunit *test)
{
	struct demo demo = {};

	KUNIT_EXPECT_EQ(test, PARSE(&demo, "1"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Number of arguments is wrong");
	KUNIT_EXPECT_STREQ(test, word, "1");
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "1", "size", "9"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Number of arguments is wrong");
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "two", "size", "9"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, word, "two");
	KUNIT_EXPECT_EQ(test, demo.calls, 0U);

	KUNIT_EXPECT_EQ(test, PARSE(&demo, "1", "Size"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Unknown argument");
	KUNIT_EXPECT_STREQ(test, word, "Size");
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "2", "quick", "quick"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Argument given twice");
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "4", "depth", "1", "depth", "1"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Argument given twice");
	/* its value is missing, or bad */
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "1", "depth"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, error, "Bad depth");
	KUNIT_EXPECT_STREQ(test, word, "depth");
	KUNIT_EXPECT_EQ(test, PARSE(&demo, "2", "depth", "deep"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, word, "deep");
}

static void args_set(struct kunit *test)
{
	struct demo demo = {};
	const unsigned int rows = ARRAY_SIZE(table);

	KUNIT_EXPECT_EQ(test, bc_args_set(table, rows, &demo, "size", "8"), 0);
	KUNIT_EXPECT_EQ(test, demo.size, (u64)8);
	KUNIT_EXPECT_EQ(test, bc_args_set(table, rows, &demo, "size", "x"), -EINVAL);
	KUNIT_EXPECT_EQ(test, bc_args_set(table, rows, &demo, "depth", "8"), -ENOENT);
	KUNIT_EXPECT_EQ(test, bc_args_set(table, rows, &demo, "none", "8"), -ENOENT);
	KUNIT_EXPECT_EQ(test, demo.calls, 2U);
}

static struct kunit_case args_cases[] = {
	KUNIT_CASE(args_good),
	KUNIT_CASE(args_bad),
	KUNIT_CASE(args_set),
	{}
};

static struct kunit_suite args_suite = {
	.name = "bc-args",
	.test_cases = args_cases,
};

kunit_test_suite(args_suite);

MODULE_DESCRIPTION("KUnit tests of block-copy's optional words");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of rate.c.
 */
#include <kunit/test.h>
#include <linux/time64.h>

#include "rate.h"

#define SECOND	((u64)NSEC_PER_SEC)
#define START	(1000 * SECOND)

static void rate_none(struct kunit *test)
{
	struct bc_rate rate;

	bc_rate_set(&rate, 0, START);
	bc_rate_charge(&rate, START, BIT_ULL(31));
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START), (u64)0);
}

static void rate_pays_for_what_was_charged(struct kunit *test)
{
	struct bc_rate rate;

	bc_rate_set(&rate, 2000, START);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START), (u64)0);
	bc_rate_charge(&rate, START, 1000);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START), SECOND / 2);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START + SECOND / 2 - 1), (u64)1);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START + SECOND / 2), (u64)0);
	/* what is charged before it is paid for adds up */
	bc_rate_charge(&rate, START, 3000);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START), 2 * SECOND);
}

static void rate_saves_no_idle_time(struct kunit *test)
{
	u64 later = START + 50 * SECOND;
	struct bc_rate rate;

	bc_rate_set(&rate, 1000, START);
	bc_rate_charge(&rate, later, 1000);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, later), SECOND - BC_RATE_SLACK);
}

static void rate_makes_good_a_late_wakeup(struct kunit *test)
{
	u64 now = START, late = BC_RATE_SLACK / 2;
	struct bc_rate rate;
	int i;

	bc_rate_set(&rate, 1000, START);
	for (i = 0; i < 1000; i++) {
		now += bc_rate_delay(&rate, now) + late;
		bc_rate_charge(&rate, now, 1000);
	}
	/* a thousand seconds' worth, late only once and not each time */
	KUNIT_EXPECT_EQ(test, now + bc_rate_delay(&rate, now), START + 1000 * SECOND);
}

static void rate_forgets_the_old_limit(struct kunit *test)
{
	struct bc_rate rate;

	bc_rate_set(&rate, 1, START);
	bc_rate_charge(&rate, START, 100000);
	bc_rate_set(&rate, 1000, START);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, START), (u64)0);
}

static void rate_largest_piece(struct kunit *test)
{
	struct bc_rate rate;

	bc_rate_set(&rate, BIT_ULL(31), 0);
	bc_rate_charge(&rate, 0, BIT_ULL(31));
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, 0), SECOND);
	/* a clock that has not run for as long as the slack */
	bc_rate_set(&rate, 1, 0);
	bc_rate_charge(&rate, BC_RATE_SLACK - 1, 1);
	KUNIT_EXPECT_EQ(test, bc_rate_delay(&rate, 0), SECOND);
}

static void rate_backoff(struct kunit *test)
{
	static const unsigned int want[] = {
		100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000,
	};
	unsigned int i, ms = 0;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		ms = bc_backoff_next(ms);
		KUNIT_EXPECT_EQ(test, ms, want[i]);
	}
}

static struct kunit_case rate_cases[] = {
	KUNIT_CASE(rate_none),
	KUNIT_CASE(rate_pays_for_what_was_charged),
	KUNIT_CASE(rate_saves_no_idle_time),
	KUNIT_CASE(rate_makes_good_a_late_wakeup),
	KUNIT_CASE(rate_forgets_the_old_limit),
	KUNIT_CASE(rate_largest_piece),
	KUNIT_CASE(rate_backoff),
	{}
};

static struct kunit_suite rate_suite = {
	.name = "bc-rate",
	.test_cases = rate_cases,
};

kunit_test_suite(rate_suite);

MODULE_DESCRIPTION("KUnit tests of block-copy's rate limit");
MODULE_LICENSE("GPL");

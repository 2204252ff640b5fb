// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of bitmap.c: what it answers, against a map of bytes; and that bits are
 * neither lost nor counted twice when several set, clear and look for them at once.
 */
#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "bitmap.h"

#define GROUP	BIT(BC_BITMAP_GROUP_SHIFT)
#define NBITS	(3 * GROUP + 77)
#define SEED	20260101
#define RACERS	4
#define ROUNDS	64

static void bitmap_limits(struct kunit *test)
{
	struct bc_bitmap map = {};

	KUNIT_EXPECT_EQ(test, bc_bitmap_init(&map, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bc_bitmap_init(&map, BC_BITMAP_MAX_BITS + 1), -EINVAL);
	bc_bitmap_exit(&map);		/* zeroed is fine, too */
	KUNIT_ASSERT_EQ(test, bc_bitmap_init(&map, 1), 0);
	KUNIT_EXPECT_EQ(test, bc_bitmap_next(&map, 0, 1), 1UL);
	KUNIT_EXPECT_TRUE(test, bc_bitmap_set(&map, 0));
	KUNIT_EXPECT_EQ(test, bc_bitmap_next(&map, 0, 1), 0UL);
	bc_bitmap_exit(&map);
	bc_bitmap_exit(&map);
}

static void bitmap_single_bits(struct kunit *test)
{
	static const unsigned long bits[] = {
		0, 1, 63, 64, GROUP - 1, GROUP, 2 * GROUP + 5, NBITS - 1,
	};
	struct bc_bitmap map;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, bc_bitmap_init(&map, NBITS), 0);
	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		KUNIT_EXPECT_FALSE(test, bc_bitmap_test(&map, bits[i]));
		KUNIT_EXPECT_TRUE(test, bc_bitmap_set(&map, bits[i]));
		KUNIT_EXPECT_FALSE(test, bc_bitmap_set(&map, bits[i]));
		KUNIT_EXPECT_FALSE(test, __bc_bitmap_set(&map, bits[i]));
		KUNIT_EXPECT_EQ(test, bc_bitmap_count(&map), i + 1UL);
	}
	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		/* nothing behind the end is looked at */
		KUNIT_EXPECT_EQ(test, bc_bitmap_next(&map, bits[i], bits[i]), bits[i]);
		KUNIT_EXPECT_EQ(test, bc_bitmap_next(&map, bits[i], NBITS), bits[i]);
		KUNIT_EXPECT_TRUE(test, bc_bitmap_clear(&map, bits[i]));
		KUNIT_EXPECT_FALSE(test, bc_bitmap_clear(&map, bits[i]));
	}
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&map), 0UL);
	bc_bitmap_exit(&map);
}

/* All that the map says, against @model. */
static void compare(struct kunit *test, struct bc_bitmap *map, const u8 *model)
{
	unsigned long i, n = 0, next = bc_bitmap_next(map, 0, NBITS);

	for (i = 0; i < NBITS; i++) {
		if (!model[i])
			continue;
		n++;
		KUNIT_ASSERT_EQ(test, next, i);
		KUNIT_EXPECT_TRUE(test, bc_bitmap_test(map, i));
		next = bc_bitmap_next(map, i + 1, NBITS);
	}
	KUNIT_ASSERT_EQ(test, next, NBITS);
	KUNIT_ASSERT_EQ(test, bc_bitmap_count(map), n);
}

static unsigned long model_fill(u8 *model, unsigned long first, unsigned long last, u8 v)
{
	unsigned long changed = 0;

	for (; first <= last; first++) {
		changed += model[first] != v;
		model[first] = v;
	}
	return changed;
}

static unsigned long model_merge(u8 *to, const u8 *from)
{
	unsigned long i, fresh = 0;

	for (i = 0; i < NBITS; i++) {
		fresh += from[i] && !to[i];
		to[i] |= from[i];
	}
	return fresh;
}

static void bitmap_against_bytes(struct kunit *test)
{
	struct bc_bitmap map[2];
	struct rnd_state rnd;
	u8 *model[2];
	int i, round;

	prandom_seed_state(&rnd, SEED);
	for (i = 0; i < 2; i++) {
		model[i] = kunit_kzalloc(test, NBITS, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, model[i]);
		KUNIT_ASSERT_EQ(test, bc_bitmap_init(&map[i], NBITS), 0);
	}
	for (round = 0; round < 200; round++) {
		unsigned long a = prandom_u32_state(&rnd) % NBITS;
		unsigned long b = min(a + (prandom_u32_state(&rnd) % 5000), NBITS - 1);

		i = round & 1;
		switch (prandom_u32_state(&rnd) % 6) {
		case 0:
			KUNIT_EXPECT_EQ(test, bc_bitmap_set(&map[i], a),
					model_fill(model[i], a, a, 1) == 1);
			break;
		case 1:
			KUNIT_EXPECT_EQ(test, bc_bitmap_clear(&map[i], a),
					model_fill(model[i], a, a, 0) == 1);
			break;
		case 2:
			KUNIT_EXPECT_EQ(test, bc_bitmap_set_range(&map[i], a, b),
					model_fill(model[i], a, b, 1));
			break;
		case 3:
			bc_bitmap_clear_range(&map[i], a, b);
			model_fill(model[i], a, b, 0);
			break;
		case 4:
			KUNIT_EXPECT_EQ(test, bc_bitmap_merge(&map[i], &map[!i]),
					model_merge(model[i], model[!i]));
			break;
		default:
			if (round % 5)
				break;
			bc_bitmap_empty(&map[i]);
			model_fill(model[i], 0, NBITS - 1, 0);
		}
		compare(test, &map[i], model[i]);
	}
	for (i = 0; i < 2; i++)
		bc_bitmap_exit(&map[i]);
}

/* ---- several at once ---- */

struct race;

struct racer {
	struct work_struct work;
	struct race *race;
	unsigned int nr;
	unsigned long changes;
};

struct race {
	struct bc_bitmap map;
	struct racer racer[RACERS];
	unsigned long ready, running;
	unsigned long sets, looked;	/* episodes, see below */
};

static struct race *race_begin(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, race);
	KUNIT_ASSERT_EQ(test, bc_bitmap_init(&race->map, NBITS), 0);
	return race;
}

static struct workqueue_struct *race_start(struct kunit *test, struct race *race,
					   void (*fn)(struct work_struct *work))
{
	struct workqueue_struct *wq = alloc_workqueue("bc-kunit", WQ_UNBOUND, 0);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, wq);
	race->running = BIT(RACERS) - 1;
	for (i = 0; i < RACERS; i++) {
		race->racer[i].race = race;
		race->racer[i].nr = i;
		INIT_WORK(&race->racer[i].work, fn);
		queue_work(wq, &race->racer[i].work);
	}
	return wq;
}

static void race_join(struct race *race, struct workqueue_struct *wq)
{
	unsigned int i;

	for (i = 0; i < RACERS; i++)
		flush_work(&race->racer[i].work);
	destroy_workqueue(wq);
}

static unsigned long changes(const struct race *race)
{
	unsigned long i, n = 0;

	for (i = 0; i < RACERS; i++)
		n += race->racer[i].changes;
	return n;
}

static unsigned long weight(const struct bc_bitmap *map)
{
	unsigned long i, n = 0;

	for (i = 0; i < map->nbits; i++)
		n += bc_bitmap_test(map, i);
	return n;
}

/* Nobody begins before all are there. */
static void at_the_line(struct racer *me)
{
	set_bit(me->nr, &me->race->ready);
	while (READ_ONCE(me->race->ready) != BIT(RACERS) - 1)
		cond_resched();
}

/* Every racer has every fourth bit: in each word, all of them. */
static void set_and_clear(struct work_struct *work)
{
	struct racer *me = container_of(work, struct racer, work);
	struct bc_bitmap *map = &me->race->map;
	unsigned long bit;
	int round;

	at_the_line(me);
	for (round = 0; round < ROUNDS; round++)
		for (bit = me->nr; bit < 256; bit += RACERS) {
			if (round & 1)
				me->changes += bc_bitmap_clear(map, bit);
			else
				me->changes += bc_bitmap_set(map, bit);
		}
	for (bit = me->nr; bit < 256; bit += 2 * RACERS)
		me->changes += bc_bitmap_set(map, bit);
}

static void bitmap_race_in_a_word(struct kunit *test)
{
	struct race *race = race_begin(test);
	unsigned long i;

	race_join(race, race_start(test, race, set_and_clear));
	/* nobody touched another one's bits */
	KUNIT_EXPECT_EQ(test, changes(race), 256UL * ROUNDS + 128);
	for (i = 0; i < 256; i++)
		KUNIT_EXPECT_EQ(test, bc_bitmap_test(&race->map, i), i % 8 < RACERS);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&race->map), 128UL);
	bc_bitmap_exit(&race->map);
}

/* All set the same ranges: each bit is fresh for one of them only. */
static void set_ranges(struct work_struct *work)
{
	struct racer *me = container_of(work, struct racer, work);
	unsigned long first;

	at_the_line(me);
	for (first = 0; first + 300 < NBITS; first += 97)
		me->changes += bc_bitmap_set_range(&me->race->map, first, first + 300);
}

static void bitmap_race_of_ranges(struct kunit *test)
{
	struct race *race = race_begin(test);

	race_join(race, race_start(test, race, set_ranges));
	KUNIT_EXPECT_EQ(test, changes(race), weight(&race->map));
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&race->map), weight(&race->map));
	bc_bitmap_exit(&race->map);
}

/* All want the same eight bits. */
static void set_or_clear(struct work_struct *work)
{
	struct racer *me = container_of(work, struct racer, work);
	struct bc_bitmap *map = &me->race->map;
	struct rnd_state rnd;
	unsigned long i;

	prandom_seed_state(&rnd, SEED + me->nr);
	at_the_line(me);
	for (i = 0; i < 100000; i++) {
		u32 r = prandom_u32_state(&rnd);

		if (r & 8)
			me->changes += bc_bitmap_set(map, r & 7);
		else
			me->changes -= bc_bitmap_clear(map, r & 7);
	}
}

static void bitmap_race_for_the_same_bits(struct kunit *test)
{
	struct race *race = race_begin(test);

	race_join(race, race_start(test, race, set_or_clear));
	/* each change was one racer's only */
	KUNIT_EXPECT_EQ(test, changes(race), weight(&race->map));
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&race->map), weight(&race->map));
	bc_bitmap_exit(&race->map);
}

/* A bit at a time, far apart: the walker finds the groups empty again and again. */
static void set_one_by_one(struct work_struct *work)
{
	struct racer *me = container_of(work, struct racer, work);
	unsigned long i;

	at_the_line(me);
	for (i = 0; i < 100000; i++) {
		unsigned long bit = (i * 1031 + me->nr) % NBITS;

		me->changes += bc_bitmap_set(&me->race->map, bit);
	}
	clear_bit(me->nr, &me->race->running);
}

/* Like the copier: it takes what it finds. */
static unsigned long take_all(struct bc_bitmap *map)
{
	unsigned long bit, taken = 0;

	for (bit = bc_bitmap_next(map, 0, NBITS); bit < NBITS;
	     bit = bc_bitmap_next(map, bit + 1, NBITS))
		taken += bc_bitmap_clear(map, bit);
	return taken;
}

static void bitmap_race_with_the_walker(struct kunit *test)
{
	struct race *race = race_begin(test);
	struct workqueue_struct *wq = race_start(test, race, set_one_by_one);
	unsigned long taken = 0;

	while (READ_ONCE(race->running)) {
		taken += take_all(&race->map);
		cond_resched();
	}
	race_join(race, wq);
	/* one round finds all there is: no group is forgotten that has a bit */
	taken += take_all(&race->map);
	KUNIT_EXPECT_EQ(test, taken, changes(race));
	KUNIT_EXPECT_EQ(test, weight(&race->map), 0UL);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&race->map), 0UL);
	bc_bitmap_exit(&race->map);
}

/* A bit set meanwhile is kept or lost; what is kept is counted and found. */
static void bitmap_race_with_empty(struct kunit *test)
{
	struct race *race = race_begin(test);
	struct workqueue_struct *wq = race_start(test, race, set_one_by_one);
	unsigned long kept;

	while (READ_ONCE(race->running)) {
		bc_bitmap_empty(&race->map);
		cond_resched();
	}
	race_join(race, wq);
	kept = weight(&race->map);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&race->map), kept);
	KUNIT_EXPECT_EQ(test, take_all(&race->map), kept);
	bc_bitmap_exit(&race->map);
}

/*
 * One bit an episode, set while another looks for it, or empties the map, in the
 * instant in which the group is forgotten for being empty.  Then there is quiet: what
 * is set must be found.
 */
#define EPISODES	20000

static void set_in_episodes(struct work_struct *work)
{
	struct race *race = container_of(work, struct racer, work)->race;
	unsigned long i, wait;

	for (i = 0; i < EPISODES; i++) {
		while (READ_ONCE(race->looked) != i)
			cond_resched();
		for (wait = 0; wait < i % 128; wait++)
			READ_ONCE(race->looked);
		bc_bitmap_set(&race->map, i % GROUP);
		smp_mb();	/* the bit before the word that it is set */
		WRITE_ONCE(race->sets, i + 1);
	}
}

static void episodes(struct kunit *test, bool empty)
{
	struct workqueue_struct *wq = alloc_workqueue("bc-kunit", WQ_UNBOUND, 0);
	struct race *race = race_begin(test);
	unsigned long i, found = 0, kept = 0;

	KUNIT_ASSERT_NOT_NULL(test, wq);
	race->racer[0].race = race;
	INIT_WORK(&race->racer[0].work, set_in_episodes);
	queue_work(wq, &race->racer[0].work);
	for (i = 0; i < EPISODES; i++) {
		do {
			if (empty)
				bc_bitmap_empty(&race->map);
			else
				bc_bitmap_next(&race->map, 0, NBITS);
			cond_resched();
		} while (READ_ONCE(race->sets) <= i);
		smp_mb();	/* pairs with set_in_episodes() */
		kept += bc_bitmap_test(&race->map, i % GROUP);
		found += bc_bitmap_next(&race->map, 0, NBITS) == i % GROUP;
		bc_bitmap_clear(&race->map, i % GROUP);
		WRITE_ONCE(race->looked, i + 1);
	}
	flush_work(&race->racer[0].work);
	destroy_workqueue(wq);
	if (!empty)
		KUNIT_EXPECT_EQ(test, kept, EPISODES + 0UL);
	KUNIT_EXPECT_EQ(test, found, kept);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&race->map), 0UL);
	bc_bitmap_exit(&race->map);
}

static void bitmap_found_in_each_episode(struct kunit *test)
{
	episodes(test, false);
}

static void bitmap_kept_in_each_episode(struct kunit *test)
{
	episodes(test, true);
}

static struct kunit_case bitmap_cases[] = {
	KUNIT_CASE(bitmap_limits),
	KUNIT_CASE(bitmap_single_bits),
	KUNIT_CASE(bitmap_against_bytes),
	KUNIT_CASE(bitmap_race_in_a_word),
	KUNIT_CASE(bitmap_race_of_ranges),
	KUNIT_CASE(bitmap_race_for_the_same_bits),
	KUNIT_CASE(bitmap_race_with_the_walker),
	KUNIT_CASE(bitmap_race_with_empty),
	KUNIT_CASE(bitmap_found_in_each_episode),
	KUNIT_CASE(bitmap_kept_in_each_episode),
	{}
};

static struct kunit_suite bitmap_suite = {
	.name = "bc-bitmap",
	.test_cases = bitmap_cases,
};

kunit_test_suite(bitmap_suite);

MODULE_DESCRIPTION("KUnit tests of block-copy's bitmap");
MODULE_LICENSE("GPL");

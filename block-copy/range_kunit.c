// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of range.c: who waits for whom, against a plain list in order of
 * arrival; and that a held range is nobody else's while many want it.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "range.h"

#define SEED	20260102
#define RACERS	4
#define ALONE_TURNS	200000
/*
 * Most turns wait for another racer to go to sleep or be woken up: a millisecond or
 * two each where the kernel is a program, and a twentieth of that for a thread.
 */
#ifdef __KERNEL__
#define TURNS	1000
#else
#define TURNS	20000
#endif

/* A node and what became of it. */
struct node {
	struct bc_range range;
	unsigned int granted;
	bool there;			/* held or waiting, in the model */
};

static void granted(struct bc_range *range)
{
	container_of(range, struct node, range)->granted++;
}

static bool take(struct bc_range_lock *rl, struct node *node, sector_t start,
		 sector_t last, enum bc_range_wait wait)
{
	*node = (struct node){ .range = {
		.start = start, .last = last, .granted = granted,
		/* the rest is as some earlier use left it */
		.blockers = 99, .waited = true,
	} };
	return bc_range_acquire(rl, &node->range, wait);
}

static void nothing_left(struct kunit *test, const struct bc_range_lock *rl)
{
	unsigned int i;

	for (i = 0; i < 1U << BC_RANGE_BUCKETS_BITS; i++) {
		KUNIT_EXPECT_PTR_EQ(test, rl->buckets[i].single, (struct bc_range *)NULL);
		KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&rl->buckets[i].tree.rb_root));
		KUNIT_EXPECT_EQ(test, rl->buckets[i].waiting, 0U);
	}
}

static void range_try(struct kunit *test)
{
	struct bc_range_lock rl = {};
	struct node a, b;

	KUNIT_ASSERT_EQ(test, bc_range_lock_init(&rl), 0);
	KUNIT_EXPECT_TRUE(test, take(&rl, &a, 8, 15, BC_RANGE_TRY));
	KUNIT_EXPECT_FALSE(test, take(&rl, &b, 15, 20, BC_RANGE_TRY));
	KUNIT_EXPECT_FALSE(test, take(&rl, &b, 0, 8, BC_RANGE_TRY));
	KUNIT_EXPECT_FALSE(test, take(&rl, &b, 0, 100, BC_RANGE_TRY));
	/* exact to the sector; and the tries left nothing behind */
	KUNIT_EXPECT_TRUE(test, take(&rl, &b, 16, 20, BC_RANGE_TRY));
	bc_range_release(&rl, &b.range);
	KUNIT_EXPECT_TRUE(test, take(&rl, &b, 0, 7, BC_RANGE_TRY));
	bc_range_release(&rl, &b.range);
	/* nobody waited, so nobody is told */
	KUNIT_EXPECT_FALSE(test, a.range.waited);
	bc_range_release(&rl, &a.range);
	KUNIT_EXPECT_TRUE(test, take(&rl, &b, 8, 15, BC_RANGE_TRY));
	bc_range_release(&rl, &b.range);
	KUNIT_EXPECT_EQ(test, a.granted + b.granted, 0U);
	bc_range_lock_exit(&rl);
	bc_range_lock_exit(&rl);
}

static void range_first_come_first_served(struct kunit *test)
{
	struct bc_range_lock rl = {};
	struct node a, b, c, d;

	KUNIT_ASSERT_EQ(test, bc_range_lock_init(&rl), 0);
	KUNIT_EXPECT_TRUE(test, take(&rl, &a, 0, 7, BC_RANGE_QUEUE));
	KUNIT_EXPECT_TRUE(test, take(&rl, &b, 16, 23, BC_RANGE_QUEUE));
	/* c waits for both, d for c only: it came first */
	KUNIT_EXPECT_FALSE(test, take(&rl, &c, 4, 19, BC_RANGE_QUEUE));
	KUNIT_EXPECT_FALSE(test, take(&rl, &d, 8, 15, BC_RANGE_QUEUE));
	KUNIT_EXPECT_EQ(test, c.range.blockers, 2U);
	KUNIT_EXPECT_EQ(test, d.range.blockers, 1U);
	KUNIT_EXPECT_TRUE(test, a.range.waited && b.range.waited && c.range.waited);
	KUNIT_EXPECT_FALSE(test, d.range.waited);

	bc_range_release(&rl, &a.range);
	KUNIT_EXPECT_EQ(test, c.granted, 0U);
	bc_range_release(&rl, &b.range);
	KUNIT_EXPECT_EQ(test, c.granted, 1U);
	KUNIT_EXPECT_EQ(test, d.granted, 0U);
	bc_range_release(&rl, &c.range);
	KUNIT_EXPECT_EQ(test, d.granted, 1U);
	bc_range_release(&rl, &d.range);
	KUNIT_EXPECT_EQ(test, c.granted, 1U);
	bc_range_lock_exit(&rl);
}

static void count_held(struct bc_range *range, void *data)
{
	*(sector_t *)data += range->last - range->start + 1;
}

static void range_walk(struct kunit *test)
{
	struct bc_range_lock rl = {};
	sector_t sectors = 0;
	struct node a, b, c;

	KUNIT_ASSERT_EQ(test, bc_range_lock_init(&rl), 0);
	take(&rl, &a, 0, 7, BC_RANGE_QUEUE);
	take(&rl, &b, 900 * BC_ZONE_SECTORS, 900 * BC_ZONE_SECTORS + 99, BC_RANGE_QUEUE);
	take(&rl, &c, 0, 15, BC_RANGE_QUEUE);
	bc_range_walk(&rl, count_held, &sectors);
	/* who waits is not walked over */
	KUNIT_EXPECT_EQ(test, sectors, (sector_t)108);
	bc_range_release(&rl, &a.range);
	bc_range_release(&rl, &b.range);
	sectors = 0;
	bc_range_walk(&rl, count_held, &sectors);
	KUNIT_EXPECT_EQ(test, sectors, (sector_t)16);
	bc_range_release(&rl, &c.range);
	nothing_left(test, &rl);
	bc_range_lock_exit(&rl);
}

static void range_plain_tree(struct kunit *test)
{
	struct rb_root_cached tree = RB_ROOT_CACHED;
	struct bc_range a = { .start = 10, .last = 19 }, b = { .start = 5, .last = 30 };

	KUNIT_EXPECT_PTR_EQ(test, bc_range_tree_first(&tree, 0, 100), (struct bc_range *)NULL);
	bc_range_tree_insert(&tree, &a);
	bc_range_tree_insert(&tree, &b);
	KUNIT_EXPECT_PTR_EQ(test, bc_range_tree_first(&tree, 0, 100), &b);
	KUNIT_EXPECT_PTR_EQ(test, bc_range_tree_first(&tree, 30, 30), &b);
	KUNIT_EXPECT_PTR_EQ(test, bc_range_tree_first(&tree, 31, 99), (struct bc_range *)NULL);
	bc_range_tree_remove(&tree, &b);
	KUNIT_EXPECT_PTR_EQ(test, bc_range_tree_first(&tree, 0, 9), (struct bc_range *)NULL);
	KUNIT_EXPECT_PTR_EQ(test, bc_range_tree_first(&tree, 19, 99), &a);
	bc_range_tree_remove(&tree, &a);
}

/* ---- against a list ---- */

#define NODES	48

struct list_model {
	struct bc_range_lock rl;
	struct node node[NODES];
	unsigned int order[NODES];	/* of those there, by arrival */
	unsigned int n;
};

static bool overlap(const struct node *a, const struct node *b)
{
	return a->range.start <= b->range.last && b->range.start <= a->range.last;
}

/* How many of those before place @at of the order are in its way. */
static unsigned int in_the_way(const struct list_model *m, unsigned int at)
{
	unsigned int i, n = 0;

	for (i = 0; i < at; i++)
		n += overlap(&m->node[m->order[i]], &m->node[m->order[at]]);
	return n;
}

static void model_compare(struct kunit *test, const struct list_model *m)
{
	unsigned int i;

	for (i = 0; i < m->n; i++) {
		const struct node *node = &m->node[m->order[i]];

		KUNIT_ASSERT_EQ(test, node->range.blockers, in_the_way(m, i));
		KUNIT_EXPECT_LE(test, node->granted, 1U);
		if (node->range.blockers)
			KUNIT_EXPECT_EQ(test, node->granted, 0U);
	}
}

static void model_take(struct kunit *test, struct list_model *m, unsigned int i,
		       struct rnd_state *rnd)
{
	/* two zones, which may share no bucket */
	sector_t start = prandom_u32_state(rnd) % 2 * BC_ZONE_SECTORS +
			 prandom_u32_state(rnd) % 64;
	sector_t last = start + prandom_u32_state(rnd) % 24;
	bool held = take(&m->rl, &m->node[i], start, last, BC_RANGE_QUEUE);

	m->node[i].there = true;
	m->order[m->n++] = i;
	KUNIT_EXPECT_EQ(test, held, in_the_way(m, m->n - 1) == 0);
}

/* The oldest of those that hold theirs, or any other that does. */
static void model_release(struct list_model *m, struct rnd_state *rnd)
{
	unsigned int i, skip = prandom_u32_state(rnd) % 3;

	for (i = 0; i < m->n - 1; i++)
		if (!m->node[m->order[i]].range.blockers && !skip--)
			break;
	while (m->node[m->order[i]].range.blockers)
		i--;
	m->node[m->order[i]].there = false;
	bc_range_release(&m->rl, &m->node[m->order[i]].range);
	for (m->n--; i < m->n; i++)
		m->order[i] = m->order[i + 1];
}

static void range_against_list(struct kunit *test)
{
	struct list_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct rnd_state rnd;
	unsigned int round, i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_EQ(test, bc_range_lock_init(&m->rl), 0);
	prandom_seed_state(&rnd, SEED);
	for (round = 0; round < 5000; round++) {
		i = prandom_u32_state(&rnd) % NODES;
		if (!m->node[i].there)
			model_take(test, m, i, &rnd);
		else if (m->n)
			model_release(m, &rnd);
		model_compare(test, m);
	}
	while (m->n) {
		model_release(m, &rnd);
		model_compare(test, m);
	}
	nothing_left(test, &m->rl);
	bc_range_lock_exit(&m->rl);
}

/* ---- many at once ---- */

#define PLACES	96

struct race;

struct racer {
	struct work_struct work;
	struct race *race;
	struct bc_range range;
	struct completion granted;
	struct rnd_state rnd;
	unsigned long sectors, tries, waits;
};

struct race {
	struct bc_range_lock rl;
	struct racer racer[RACERS];
	/* changed by whoever holds the sector, without another lock or atomic */
	unsigned long count[PLACES];
	unsigned long bad_looks;	/* under the lock of the one bucket */
};

static void racer_granted(struct bc_range *range)
{
	complete(&container_of(range, struct racer, range)->granted);
}

static void look_at_held(struct bc_range *range, void *data)
{
	struct racer *racer = container_of(range, struct racer, range);

	if (range->blockers || range->start > range->last || racer->race != data)
		racer->race->bad_looks++;
}

static void one_turn(struct racer *me)
{
	enum bc_range_wait wait = prandom_u32_state(&me->rnd) % 4 ? BC_RANGE_QUEUE :
								    BC_RANGE_TRY;
	sector_t start = prandom_u32_state(&me->rnd) % PLACES, i;
	sector_t last = start + prandom_u32_state(&me->rnd) % (PLACES - start);

	me->range.start = start;
	me->range.last = last;
	me->range.granted = racer_granted;
	if (!bc_range_acquire(&me->race->rl, &me->range, wait)) {
		if (wait == BC_RANGE_TRY) {
			me->tries++;
			return;
		}
		me->waits++;
		wait_for_completion(&me->granted);
	}
	for (i = start; i <= last; i++)
		me->race->count[i]++;
	me->sectors += last - start + 1;
	bc_range_release(&me->race->rl, &me->range);
}

static void take_turns(struct work_struct *work)
{
	struct racer *me = container_of(work, struct racer, work);
	unsigned int i;

	for (i = 0; i < TURNS; i++) {
		one_turn(me);
		if (!(prandom_u32_state(&me->rnd) % 64))
			bc_range_walk(&me->race->rl, look_at_held, me->race);
	}
}

static void range_race(struct kunit *test)
{
	struct workqueue_struct *wq = alloc_workqueue("bc-kunit", WQ_UNBOUND, 0);
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	unsigned long counted = 0, held = 0, i;

	KUNIT_ASSERT_NOT_NULL(test, wq);
	KUNIT_ASSERT_NOT_NULL(test, race);
	KUNIT_ASSERT_EQ(test, bc_range_lock_init(&race->rl), 0);
	for (i = 0; i < RACERS; i++) {
		struct racer *racer = &race->racer[i];

		racer->race = race;
		init_completion(&racer->granted);
		prandom_seed_state(&racer->rnd, SEED + i);
		INIT_WORK(&racer->work, take_turns);
	}
	for (i = 0; i < RACERS; i++)
		queue_work(wq, &race->racer[i].work);
	for (i = 0; i < RACERS; i++) {
		flush_work(&race->racer[i].work);
		held += race->racer[i].sectors;
	}
	destroy_workqueue(wq);
	for (i = 0; i < PLACES; i++)
		counted += race->count[i];
	KUNIT_EXPECT_EQ(test, counted, held);
	KUNIT_EXPECT_EQ(test, race->bad_looks, 0UL);
	nothing_left(test, &race->rl);
	bc_range_lock_exit(&race->rl);
}

/*
 * The short way: racers for one sector that do not wait, so that the bucket is
 * empty most of the time; now and then each of them walks.
 */
struct alone {
	struct work_struct work;
	struct bc_range_lock *rl;
	struct bc_range range;
	atomic_long_t *holders;
	unsigned long held, shared;
};

static void count_nodes(struct bc_range *range, void *data)
{
	++*(unsigned long *)data;
}

static void try_alone(struct work_struct *work)
{
	struct alone *me = container_of(work, struct alone, work);
	unsigned long nodes = 0, i;

	for (i = 0; i < ALONE_TURNS; i++) {
		if (!(i % 1024))
			bc_range_walk(me->rl, count_nodes, &nodes);
		me->range.start = 8;
		me->range.last = 8;
		if (!bc_range_acquire(me->rl, &me->range, BC_RANGE_TRY))
			continue;
		if (atomic_long_inc_return(me->holders) != 1)
			me->shared++;
		me->held++;
		atomic_long_dec(me->holders);
		bc_range_release(me->rl, &me->range);
	}
}

static void range_race_alone(struct kunit *test)
{
	struct workqueue_struct *wq = alloc_workqueue("bc-kunit", WQ_UNBOUND, 0);
	struct alone *me = kunit_kcalloc(test, RACERS, sizeof(*me), GFP_KERNEL);
	struct bc_range_lock rl = {};
	atomic_long_t holders = ATOMIC_LONG_INIT(0);
	unsigned long held = 0;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, wq);
	KUNIT_ASSERT_NOT_NULL(test, me);
	KUNIT_ASSERT_EQ(test, bc_range_lock_init(&rl), 0);
	for (i = 0; i < RACERS; i++) {
		me[i].rl = &rl;
		me[i].holders = &holders;
		INIT_WORK(&me[i].work, try_alone);
		queue_work(wq, &me[i].work);
	}
	for (i = 0; i < RACERS; i++) {
		flush_work(&me[i].work);
		KUNIT_EXPECT_EQ(test, me[i].shared, 0UL);
		held += me[i].held;
	}
	KUNIT_EXPECT_NE(test, held, 0UL);
	destroy_workqueue(wq);
	nothing_left(test, &rl);
	bc_range_lock_exit(&rl);
}

static struct kunit_case range_cases[] = {
	KUNIT_CASE(range_try),
	KUNIT_CASE(range_first_come_first_served),
	KUNIT_CASE(range_walk),
	KUNIT_CASE(range_plain_tree),
	KUNIT_CASE(range_against_list),
	KUNIT_CASE(range_race),
	KUNIT_CASE(range_race_alone),
	{}
};

static struct kunit_suite range_suite = {
	.name = "bc-range",
	.test_cases = range_cases,
};

kunit_test_suite(range_suite);

MODULE_DESCRIPTION("KUnit tests of block-copy's range lock");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of bits.h: what the bits of a cluster say, against a byte a cluster; and
 * that no reader is content with wrong data, and no write let go too early, while a
 * guest writes and armings begin and end.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "bits.h"

#define CLUSTERS	200UL
#define SEED		20260103

static void bits_init(struct kunit *test, struct cbw_bits *b)
{
	memset(b, 0, sizeof(*b));
	KUNIT_ASSERT_EQ(test, bc_bitmap_init(&b->pass, CLUSTERS), 0);
	KUNIT_ASSERT_EQ(test, bc_bitmap_init(&b->gone, CLUSTERS), 0);
	KUNIT_ASSERT_EQ(test, bc_bitmap_init(&b->unprotected, CLUSTERS), 0);
}

static void bits_exit(struct cbw_bits *b)
{
	bc_bitmap_exit(&b->pass);
	bc_bitmap_exit(&b->gone);
	bc_bitmap_exit(&b->unprotected);
}

/* What is to become of a cluster, in one word. */
enum kind { ON_SOURCE, SAVED, GONE };

static enum kind kind(struct cbw_bits *b, unsigned long gen, unsigned long c)
{
	unsigned long next;
	bool saved;

	if (!cbw_bits_may_read(b, gen, c, c, &saved, &next))
		return GONE;
	return saved ? SAVED : ON_SOURCE;
}

static unsigned long publish(struct cbw_bits *b, unsigned long gen, unsigned long first,
			     unsigned long last, bool *any_gone)
{
	unsigned long saved;

	*any_gone = cbw_bits_publish(b, gen, first, last, &saved);
	return saved;
}

static void bits_life_of_a_cluster(struct kunit *test)
{
	struct cbw_bits b;
	bool any_gone;

	bits_init(test, &b);
	KUNIT_EXPECT_EQ(test, kind(&b, 0, 7), GONE);	/* nothing is armed */
	cbw_bits_arm(&b, 1);
	KUNIT_EXPECT_EQ(test, b.state, (int)CBW_ARMED);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 7), ON_SOURCE);
	KUNIT_EXPECT_FALSE(test, cbw_all_pass(&b, 7, 7));
	KUNIT_EXPECT_FALSE(test, cbw_bits_changed(&b, 7, 7));
	KUNIT_EXPECT_TRUE(test, cbw_bits_valid(&b, 1, 7, 7));

	KUNIT_EXPECT_EQ(test, publish(&b, 1, 7, 7, &any_gone), 1UL);
	KUNIT_EXPECT_FALSE(test, any_gone);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 7), SAVED);
	KUNIT_EXPECT_TRUE(test, cbw_all_pass(&b, 7, 7));
	KUNIT_EXPECT_TRUE(test, cbw_bits_changed(&b, 7, 7));
	KUNIT_EXPECT_TRUE(test, cbw_bits_valid(&b, 1, 7, 7));

	KUNIT_EXPECT_EQ(test, cbw_bits_release(&b, 7, 7), 1UL);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 7), GONE);
	KUNIT_EXPECT_TRUE(test, cbw_all_pass(&b, 7, 7));
	KUNIT_EXPECT_FALSE(test, cbw_bits_valid(&b, 1, 7, 7));
	/* the neighbours are none of its business */
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 6), ON_SOURCE);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 8), ON_SOURCE);
	KUNIT_EXPECT_FALSE(test, cbw_all_pass(&b, 7, 8));
	bits_exit(&b);
}

static void bits_published_once(struct kunit *test)
{
	struct cbw_bits b;
	bool any_gone;

	bits_init(test, &b);
	cbw_bits_arm(&b, 4);
	KUNIT_EXPECT_EQ(test, publish(&b, 4, 60, 69, &any_gone), 10UL);
	KUNIT_EXPECT_EQ(test, publish(&b, 4, 65, 74, &any_gone), 5UL);
	KUNIT_EXPECT_EQ(test, publish(&b, 4, 60, 74, &any_gone), 0UL);
	KUNIT_EXPECT_FALSE(test, any_gone);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&b.pass), 15UL);
	bits_exit(&b);
}

/* A copy that ends after its arming did is worth nothing to the next one. */
static void bits_late_copy(struct kunit *test)
{
	struct cbw_bits b;
	bool any_gone = true;

	bits_init(test, &b);
	cbw_bits_arm(&b, 1);
	cbw_bits_end(&b, CBW_BROKEN);
	KUNIT_EXPECT_EQ(test, publish(&b, 1, 0, 9, &any_gone), 0UL);
	KUNIT_EXPECT_FALSE(test, any_gone);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&b.pass), 0UL);
	cbw_bits_reset(&b);
	cbw_bits_arm(&b, 2);
	KUNIT_EXPECT_EQ(test, publish(&b, 1, 0, 9, &any_gone), 0UL);
	KUNIT_EXPECT_EQ(test, kind(&b, 2, 3), ON_SOURCE);
	KUNIT_EXPECT_FALSE(test, cbw_all_pass(&b, 3, 3));
	bits_exit(&b);
}

/* Released while it was copied: not readable, not counted, and its space goes back. */
static void bits_released_meanwhile(struct kunit *test)
{
	struct cbw_bits b;
	bool any_gone;

	bits_init(test, &b);
	cbw_bits_arm(&b, 1);
	KUNIT_EXPECT_EQ(test, cbw_bits_release(&b, 3, 4), 0UL);
	KUNIT_EXPECT_EQ(test, publish(&b, 1, 0, 9, &any_gone), 8UL);
	KUNIT_EXPECT_TRUE(test, any_gone);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 2), SAVED);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 3), GONE);
	/* what was saved and is lost is counted once */
	KUNIT_EXPECT_EQ(test, cbw_bits_release(&b, 0, 9), 8UL);
	KUNIT_EXPECT_EQ(test, cbw_bits_release(&b, 0, 9), 0UL);
	bits_exit(&b);
}

/* The bits stay while anybody could look at them; then they are as protect left them. */
static void bits_end_then_reset(struct kunit *test)
{
	struct cbw_bits b;
	bool any_gone;

	bits_init(test, &b);
	cbw_bits_protect(&b, 100, 149, false);
	cbw_bits_arm(&b, 1);
	publish(&b, 1, 0, 9, &any_gone);
	cbw_bits_release(&b, 5, 14);
	cbw_bits_end(&b, CBW_IDLE);
	KUNIT_EXPECT_EQ(test, b.state, (int)CBW_IDLE);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 0), GONE);
	KUNIT_EXPECT_FALSE(test, cbw_bits_valid(&b, 1, 50, 50));
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&b.pass), 65UL);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&b.gone), 60UL);

	cbw_bits_reset(&b);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&b.pass), 50UL);
	KUNIT_EXPECT_EQ(test, bc_bitmap_count(&b.gone), 50UL);
	cbw_bits_arm(&b, 2);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 0), GONE);	/* another one's */
	KUNIT_EXPECT_EQ(test, kind(&b, 2, 0), ON_SOURCE);
	KUNIT_EXPECT_EQ(test, kind(&b, 2, 99), ON_SOURCE);
	KUNIT_EXPECT_EQ(test, kind(&b, 2, 100), GONE);
	KUNIT_EXPECT_TRUE(test, cbw_all_pass(&b, 100, 149));
	bits_exit(&b);
}

static void bits_protected_again(struct kunit *test)
{
	struct cbw_bits b;

	bits_init(test, &b);
	cbw_bits_protect(&b, 0, CLUSTERS - 1, false);
	cbw_bits_protect(&b, 10, 19, true);
	cbw_bits_arm(&b, 1);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 9), GONE);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 10), ON_SOURCE);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 19), ON_SOURCE);
	KUNIT_EXPECT_EQ(test, kind(&b, 1, 20), GONE);
	/* not in the store: nothing that could be lost */
	KUNIT_EXPECT_EQ(test, cbw_bits_release(&b, 0, CLUSTERS - 1), 0UL);
	bits_exit(&b);
}

/* A read is cut where the place changes, and fails where any of it is gone. */
static void bits_cut_reads(struct kunit *test)
{
	struct cbw_bits b;
	unsigned long next = 0;
	bool any_gone, saved = false;

	bits_init(test, &b);
	cbw_bits_arm(&b, 1);
	publish(&b, 1, 62, 65, &any_gone);
	cbw_bits_release(&b, 80, 80);
	KUNIT_EXPECT_TRUE(test, cbw_bits_may_read(&b, 1, 60, 79, &saved, &next));
	KUNIT_EXPECT_FALSE(test, saved);
	KUNIT_EXPECT_EQ(test, next, 62UL);
	KUNIT_EXPECT_TRUE(test, cbw_bits_may_read(&b, 1, 62, 79, &saved, &next));
	KUNIT_EXPECT_TRUE(test, saved);
	KUNIT_EXPECT_EQ(test, next, 66UL);
	KUNIT_EXPECT_TRUE(test, cbw_bits_may_read(&b, 1, 66, 79, &saved, &next));
	KUNIT_EXPECT_FALSE(test, saved);
	KUNIT_EXPECT_EQ(test, next, 80UL);	/* all of it */
	KUNIT_EXPECT_FALSE(test, cbw_bits_may_read(&b, 1, 66, 80, &saved, &next));
	KUNIT_EXPECT_FALSE(test, cbw_bits_may_read(&b, 2, 60, 79, &saved, &next));
	KUNIT_EXPECT_TRUE(test, cbw_bits_changed(&b, 60, 62));
	KUNIT_EXPECT_FALSE(test, cbw_bits_changed(&b, 60, 61));
	KUNIT_EXPECT_FALSE(test, cbw_bits_valid(&b, 1, 66, 80));
	KUNIT_EXPECT_TRUE(test, cbw_bits_valid(&b, 1, 60, 79));
	bits_exit(&b);
}

/* One byte a cluster, and what it says of a range. */
struct model {
	u8 kind[CLUSTERS];
	u8 unprotected[CLUSTERS];
};

static void model_publish(struct kunit *test, struct cbw_bits *b, struct model *m,
			  unsigned long gen, unsigned long first, unsigned long last)
{
	unsigned long i, want = 0;
	bool want_gone = false, any_gone;

	for (i = first; i <= last; i++) {
		want += m->kind[i] == ON_SOURCE;
		want_gone |= m->kind[i] == GONE;
		if (m->kind[i] == ON_SOURCE)
			m->kind[i] = SAVED;
	}
	KUNIT_EXPECT_EQ(test, publish(b, gen, first, last, &any_gone), want);
	KUNIT_EXPECT_EQ(test, any_gone, want_gone);
}

static void model_release(struct kunit *test, struct cbw_bits *b, struct model *m,
			  unsigned long first, unsigned long last)
{
	unsigned long i, want = 0;

	for (i = first; i <= last; i++) {
		want += m->kind[i] == SAVED;
		m->kind[i] = GONE;
	}
	KUNIT_EXPECT_EQ(test, cbw_bits_release(b, first, last), want);
}

static void model_next_arming(struct cbw_bits *b, struct model *m, unsigned long gen,
			      unsigned long first, unsigned long last, bool protect)
{
	unsigned long i;

	cbw_bits_end(b, CBW_IDLE);
	cbw_bits_reset(b);
	cbw_bits_protect(b, first, last, protect);
	for (i = first; i <= last; i++)
		m->unprotected[i] = !protect;
	for (i = 0; i < CLUSTERS; i++)
		m->kind[i] = m->unprotected[i] ? GONE : ON_SOURCE;
	cbw_bits_arm(b, gen);
}

static void bits_against_bytes(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned long gen = 1, i;
	struct rnd_state rnd;
	struct cbw_bits b;
	int round;

	KUNIT_ASSERT_NOT_NULL(test, m);
	bits_init(test, &b);
	prandom_seed_state(&rnd, SEED);
	cbw_bits_arm(&b, gen);
	for (round = 0; round < 2000; round++) {
		unsigned long first = prandom_u32_state(&rnd) % CLUSTERS;
		unsigned long last = min(first + prandom_u32_state(&rnd) % 40, CLUSTERS - 1);
		u32 what = prandom_u32_state(&rnd) % 32;

		if (!what)
			model_next_arming(&b, m, ++gen, first, last,
					  prandom_u32_state(&rnd) % 2);
		else if (what < 24)
			model_publish(test, &b, m, gen, first, last);
		else
			model_release(test, &b, m, first, min(last, first + 5));
		for (i = 0; i < CLUSTERS; i++) {
			KUNIT_ASSERT_EQ(test, kind(&b, gen, i), (enum kind)m->kind[i]);
			KUNIT_ASSERT_EQ(test, cbw_all_pass(&b, i, i),
					m->kind[i] != ON_SOURCE);
		}
	}
	bits_exit(&b);
}

/* ---- several at once ---- */

#define PLACES		8UL		/* clusters that the race is about */
#define GARBAGE		~0UL
#define LIVES		50000UL		/* generations */
#define EPISODES	60000UL

struct race {
	struct work_struct work;
	struct cbw_bits bits;
	bool release;			/* what an episode ends with */
	unsigned long src[PLACES], store[PLACES];
	unsigned long begun, seen;	/* episodes */
	unsigned long cluster;		/* which is looked at: the first */
	bool there, over;		/* the reader, the guest */
};

static struct race *race_begin(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, race);
	bits_init(test, &race->bits);
	return race;
}

static struct workqueue_struct *race_start(struct kunit *test, struct race *race,
					   void (*fn)(struct work_struct *work))
{
	struct workqueue_struct *wq = alloc_workqueue("cbw-kunit", WQ_UNBOUND, 0);

	KUNIT_ASSERT_NOT_NULL(test, wq);
	INIT_WORK(&race->work, fn);
	queue_work(wq, &race->work);
	return wq;
}

static void race_join(struct race *race, struct workqueue_struct *wq)
{
	flush_work(&race->work);
	destroy_workqueue(wq);
	bits_exit(&race->bits);
}

static void linger(struct race *race, unsigned long n)
{
	while (n--)
		READ_ONCE(race->seen);
}

/*
 * The guest, its copies and its verbs.  Each generation writes each cluster twice, gen
 * and a half, so what a generation has to show is known: the last of the one before.
 */
#define FIRST_OF(gen)	((gen) * 2)
#define LAST_OF(gen)	((gen) * 2 + 1)

static void write_once(struct race *race, unsigned long gen, unsigned long c, bool release)
{
	struct cbw_bits *b = &race->bits;
	unsigned long saved;

	if (!cbw_all_pass(b, c, c)) {
		if (release) {
			cbw_bits_release(b, c, c);
		} else {
			WRITE_ONCE(race->store[c], READ_ONCE(race->src[c]));
			cbw_bits_publish(b, gen, c, c, &saved);
		}
	}
	WRITE_ONCE(race->src[c], FIRST_OF(gen));
}

static void guest_and_verbs(struct work_struct *work)
{
	struct race *race = container_of(work, struct race, work);
	unsigned long gen, i;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, SEED);
	while (!READ_ONCE(race->there))
		cond_resched();
	for (gen = 1; gen <= LIVES; gen++) {
		unsigned long from = prandom_u32_state(&rnd);

		cbw_bits_arm(&race->bits, gen);
		for (i = 0; i < PLACES; i++) {
			write_once(race, gen, (from + i) % PLACES,
				   !(prandom_u32_state(&rnd) % 4));
			/* in the midst of it: there may be one processor only */
			if (gen % 16 == 0 && i == from % PLACES)
				cond_resched();
		}
		cbw_bits_end(&race->bits, gen % 2 ? CBW_IDLE : CBW_BROKEN);
		/* the store is anybody's, and the guest's writes pass */
		for (i = 0; i < PLACES; i++) {
			WRITE_ONCE(race->store[i], GARBAGE);
			WRITE_ONCE(race->src[i], LAST_OF(gen));
		}
		cbw_bits_reset(&race->bits);
	}
	WRITE_ONCE(race->over, true);
}

/* As cbw_view_map(), cbw_view_end_io() and read_again(); true: it read something. */
static bool read_one(struct race *race, unsigned long gen, unsigned long c,
		     unsigned long *data)
{
	struct cbw_bits *b = &race->bits;
	unsigned long next;
	bool saved;

	if (!cbw_bits_may_read(b, gen, c, c, &saved, &next))
		return false;
	linger(race, c * 8);		/* a read takes its time */
	*data = READ_ONCE(*(saved ? &race->store[c] : &race->src[c]));
	if (cbw_bits_changed(b, c, c) && !saved) {
		if (!cbw_bits_valid(b, gen, c, c))
			return false;
		*data = READ_ONCE(race->store[c]);
		cbw_bits_changed(b, c, c);	/* for its barrier: end_io once more */
	}
	return cbw_bits_valid(b, gen, c, c);
}

static void bits_race_of_readers(struct kunit *test)
{
	struct race *race = race_begin(test);
	unsigned long c = 0, data, reads = 0, wrong = 0;
	struct workqueue_struct *wq;

	for (c = 0; c < PLACES; c++)
		race->src[c] = LAST_OF(0UL);
	wq = race_start(test, race, guest_and_verbs);
	WRITE_ONCE(race->there, true);
	while (!READ_ONCE(race->over)) {
		unsigned long gen = READ_ONCE(race->bits.live_gen);

		for (c = 0; gen && c < PLACES; c++)
			if (read_one(race, gen, c, &data)) {
				reads++;
				wrong += data != LAST_OF(gen - 1);
			}
		if (!gen)
			cond_resched();
	}
	race_join(race, wq);
	KUNIT_EXPECT_EQ(test, wrong, 0UL);
	KUNIT_EXPECT_NE(test, reads, 0UL);	/* they did meet */
}

/* Arms, and lets the write go in another way than by a copy. */
static void ends_in_episodes(struct work_struct *work)
{
	struct race *race = container_of(work, struct race, work);
	unsigned long i;

	for (i = 1; i <= EPISODES; i++) {
		cbw_bits_reset(&race->bits);
		cbw_bits_arm(&race->bits, i);
		WRITE_ONCE(race->begun, i);
		linger(race, i % 1024);
		if (race->release)
			cbw_bits_release(&race->bits, 0, 0);
		else
			cbw_bits_end(&race->bits, CBW_BROKEN);
		while (READ_ONCE(race->seen) != i)
			cond_resched();
		cbw_bits_end(&race->bits, CBW_IDLE);
	}
}

/*
 * The guest: in the instant in which its write may go, no reader may be content with
 * what it finds on the source.  Returns how often one would have been.
 *
 * The cluster is no constant: with one the kernel's find_bit() becomes a plain read in
 * here, which the modules' looks are not, and the race detector complains.
 */
static unsigned long let_go_too_early(struct kunit *test, bool release)
{
	struct race *race = race_begin(test);
	struct cbw_bits *b = &race->bits;
	unsigned long i, c = READ_ONCE(race->cluster), looks, early = 0;
	struct workqueue_struct *wq;

	race->release = release;
	wq = race_start(test, race, ends_in_episodes);
	for (i = 1; i <= EPISODES; i++) {
		while (READ_ONCE(race->begun) != i)
			cond_resched();
		/* Looks closely: the instant is short.  There may be one processor. */
		looks = 0;
		while (READ_ONCE(b->state) == CBW_ARMED && !cbw_all_pass(b, c, c))
			if (!(++looks % 4096))
				cond_resched();
		cbw_bits_changed(b, 0, 0);	/* for its barrier */
		early += cbw_bits_valid(b, i, 0, 0);
		WRITE_ONCE(race->seen, i);
	}
	race_join(race, wq);
	return early;
}

static void bits_race_of_the_end(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, let_go_too_early(test, false), 0UL);
}

static void bits_race_of_release(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, let_go_too_early(test, true), 0UL);
}

static struct kunit_case bits_cases[] = {
	KUNIT_CASE(bits_life_of_a_cluster),
	KUNIT_CASE(bits_published_once),
	KUNIT_CASE(bits_late_copy),
	KUNIT_CASE(bits_released_meanwhile),
	KUNIT_CASE(bits_end_then_reset),
	KUNIT_CASE(bits_protected_again),
	KUNIT_CASE(bits_cut_reads),
	KUNIT_CASE(bits_against_bytes),
	KUNIT_CASE(bits_race_of_readers),
	KUNIT_CASE(bits_race_of_the_end),
	KUNIT_CASE(bits_race_of_release),
	{}
};

static struct kunit_suite bits_suite = {
	.name = "cbw-bits",
	.test_cases = bits_cases,
};

kunit_test_suite(bits_suite);

MODULE_DESCRIPTION("KUnit tests of dm-cbw's bits and their order");
MODULE_LICENSE("GPL");

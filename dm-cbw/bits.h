/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What becomes of a cluster: the bits and the generation that the guest's writes and
 * the readers of views look at without a lock, and the order in which they change.
 * cbw.h says what they mean.  Changes are the caller's to serialise (snap->lock, or
 * verb_lock while nothing is armed).  No dm here: KUnit-tested, also in user space.
 */
#ifndef DM_CBW_BITS_H
#define DM_CBW_BITS_H

#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/types.h>

#include "bitmap.h"

enum cbw_state { CBW_IDLE, CBW_ARMED, CBW_BROKEN, CBW_NR_STATES };

/**
 * struct cbw_bits - of one snapshot
 * @state: enum cbw_state
 * @pass: a guest's write needs no copy
 * @live_gen: the generation that readers may show, 0: none
 * @gone: cannot be read from a view
 * @unprotected: what "protect" left out; changed only while nothing is armed
 */
struct cbw_bits {
	int state;
	struct bc_bitmap pass;
	unsigned long live_gen;
	struct bc_bitmap gone;
	struct bc_bitmap unprotected;
};

/* The first cluster in [@first, @last] that has its bit, or @last + 1. */
static inline unsigned long cbw_next_set(const struct bc_bitmap *map,
					 unsigned long first,
					 unsigned long last)
{
	return find_next_bit(map->bits, last + 1, first);
}

static inline unsigned long cbw_next_clear(const struct bc_bitmap *map,
					   unsigned long first,
					   unsigned long last)
{
	return find_next_zero_bit(map->bits, last + 1, first);
}

/**
 * cbw_run_end() - the run of clusters of one kind that a range begins with
 * @map: the bitmap; its bits may change meanwhile
 * @first: first cluster of the range
 * @last: last cluster
 * @set: whether the bit of @first was set
 *
 * @first is looked at once: looked at again it might be of the other kind by
 * now, and the run empty.
 *
 * Return: the first cluster of the other kind, or @last + 1.
 */
static inline unsigned long cbw_run_end(const struct bc_bitmap *map,
					unsigned long first, unsigned long last,
					bool *set)
{
	*set = bc_bitmap_test(map, first);
	return *set ? cbw_next_clear(map, first + 1, last) :
		      cbw_next_set(map, first + 1, last);
}

/* A guest's write to these clusters has nothing to wait for. */
static inline bool cbw_all_pass(const struct cbw_bits *b, unsigned long first,
				unsigned long last)
{
	return cbw_next_clear(&b->pass, first, last) > last;
}

/* An arming begins.  The bitmaps were prepared when the last one ended. */
static inline void cbw_bits_arm(struct cbw_bits *b, unsigned long gen)
{
	WRITE_ONCE(b->state, CBW_ARMED);
	/* The bitmaps before the generation; pairs with cbw_bits_may_read(). */
	smp_store_release(&b->live_gen, gen);
}

/* An arming ends; the bits stay until cbw_bits_reset(). */
static inline void cbw_bits_end(struct cbw_bits *b, enum cbw_state state)
{
	WRITE_ONCE(b->live_gen, 0);
	/*
	 * Invariant 6: readers are told before the first write passes that
	 * looks at the state.  Pairs with the barrier in cbw_bits_changed().
	 */
	smp_wmb();
	WRITE_ONCE(b->state, state);
}

/* What is saved or released is so no more.  Nothing is armed. */
static inline void cbw_bits_reset(struct cbw_bits *b)
{
	bc_bitmap_empty(&b->pass);
	bc_bitmap_empty(&b->gone);
	if (bc_bitmap_count(&b->unprotected)) {
		bc_bitmap_merge(&b->pass, &b->unprotected);
		bc_bitmap_merge(&b->gone, &b->unprotected);
	}
}

/* Clusters are to be saved by the next armings, or not.  Nothing is armed. */
static inline void cbw_bits_protect(struct cbw_bits *b, unsigned long first,
				    unsigned long last, bool protect)
{
	struct bc_bitmap *maps[] = { &b->unprotected, &b->pass, &b->gone };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(maps); i++)
		if (protect)
			bc_bitmap_clear_range(maps[i], first, last);
		else
			bc_bitmap_set_range(maps[i], first, last);
}

/**
 * cbw_bits_publish() - clusters are in the store
 * @b: the bits
 * @gen: the generation they were copied for; of another one they are worthless
 * @first: first cluster
 * @last: last cluster
 * @saved: how many can be read from the store now and could not before
 *
 * Invariant 5: before any write is let go that waits for them.
 *
 * Return: true when some of them were released meanwhile.
 */
static inline bool cbw_bits_publish(struct cbw_bits *b, unsigned long gen,
				    unsigned long first, unsigned long last,
				    unsigned long *saved)
{
	bool any_gone = false;

	*saved = 0;
	if (gen != b->live_gen)
		return false;
	for (; first <= last; first++) {
		bool gone = bc_bitmap_test(&b->gone, first);

		any_gone |= gone;
		/* A full barrier, which pairs with cbw_bits_changed(). */
		if (bc_bitmap_set(&b->pass, first) && !gone)
			++*saved;
	}
	return any_gone;
}

/**
 * cbw_bits_release() - nobody needs clusters any more
 * @b: the bits
 * @first: first cluster
 * @last: last cluster
 *
 * Return: how many of them were saved.
 */
static inline unsigned long cbw_bits_release(struct cbw_bits *b, unsigned long first,
					     unsigned long last)
{
	unsigned long c, saved = 0;

	for (c = cbw_next_set(&b->pass, first, last); c <= last;
	     c = cbw_next_set(&b->pass, c + 1, last))
		saved += !bc_bitmap_test(&b->gone, c);
	/*
	 * Invariant 6: unreadable before writes may pass; full barriers, which
	 * pair with cbw_bits_changed().
	 */
	bc_bitmap_set_range(&b->gone, first, last);
	bc_bitmap_set_range(&b->pass, first, last);
	return saved;
}

/**
 * cbw_bits_may_read() - a reader's look before its read
 * @b: the bits
 * @gen: the arming it shows
 * @first: first cluster
 * @last: last cluster
 * @saved: whether to read the store; false: the source
 * @next: the first cluster that is in the other place, or @last + 1
 *
 * Return: false: there is nothing to be read.
 */
static inline bool cbw_bits_may_read(struct cbw_bits *b, unsigned long gen,
				     unsigned long first, unsigned long last,
				     bool *saved, unsigned long *next)
{
	/* Pairs with the release in cbw_bits_arm(): its bits, not older ones. */
	if (!gen || gen != smp_load_acquire(&b->live_gen))
		return false;
	if (cbw_next_set(&b->gone, first, last) <= last)
		return false;
	*next = cbw_run_end(&b->pass, first, last, saved);
	return true;
}

/*
 * A reader's first look after its read of the source: may the guest have written to
 * these clusters meanwhile?
 */
static inline bool cbw_bits_changed(struct cbw_bits *b, unsigned long first,
				    unsigned long last)
{
	/*
	 * Invariant 5: the data before the look at what may have happened to
	 * it.  Pairs with the full barriers of the pass bit (cbw_bits_publish(),
	 * cbw_bits_release()) and with smp_wmb() in cbw_bits_end(), each of which
	 * comes before the guest's write.
	 */
	smp_rmb();
	return cbw_next_set(&b->pass, first, last) <= last;
}

/*
 * Is what was read worth anything?  To be asked after all other looks: only if
 * the generation is still live have none of these bits been cleared yet.
 */
static inline bool cbw_bits_valid(struct cbw_bits *b, unsigned long gen,
				  unsigned long first, unsigned long last)
{
	if (cbw_next_set(&b->gone, first, last) <= last)
		return false;
	/*
	 * The bits before the generation.  Pairs with the full barriers of
	 * cbw_bits_reset(), which clears after the generation has ended.
	 */
	smp_rmb();
	return gen == READ_ONCE(b->live_gen);
}

#endif /* DM_CBW_BITS_H */

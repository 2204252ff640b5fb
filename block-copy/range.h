/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Range lock: who may touch which sectors of a mirrored device.
 *
 * Every holder is a node that the caller embeds, so that taking a range never
 * allocates and never fails.  A node waits for every overlapping node that
 * came before it and for no other; that is first come, first served, exact to
 * the sector, and free of deadlock, because "came before" has no cycles.
 *
 * Nodes live in a fixed array of hashed buckets, one bucket a 1 MiB zone, so
 * a range must not cross a multiple of BC_ZONE_SECTORS.
 *
 * A node that is alone in its bucket takes it and gives it back with one cmpxchg
 * on bucket->single, without the lock:
 *
 *	NULL		the bucket is empty
 *	a node		it alone is there, and holds its range
 *	BC_RANGE_TREE	all nodes are in the tree, under the lock
 *
 * Who finds another there, or walks, takes the lock and moves it into the tree;
 * who takes the last one out of the tree leaves NULL behind.  Each change is a
 * full barrier or, under the lock, a release: what a holder did is seen by the
 * next.
 *
 * Locks: bucket->lock only, with interrupts off; every function may be called
 * from any context.  The callback of a granted node runs with no lock held.
 */
#ifndef BLOCK_COPY_RANGE_H
#define BLOCK_COPY_RANGE_H

#include <linux/atomic.h>
#include <linux/hash.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/list.h>

#define BC_ZONE_SHIFT	11		/* sectors: 1 MiB */
#define BC_ZONE_SECTORS	((sector_t)1 << BC_ZONE_SHIFT)
#define BC_RANGE_BUCKETS_BITS	8

/**
 * struct bc_range - a range of sectors, held or waited for
 * @rb: place in the bucket's interval tree
 * @start: first sector
 * @last: last sector
 * @subtree_last: of the interval tree
 * @list: of the nodes granted by one release
 * @granted: called once when a queued node gets its range; any context
 * @blockers: earlier overlapping nodes still there; 0: the range is held
 * @waited: somebody waits for this node, or has waited
 * @kind: the user's own, to tell nodes apart in bc_range_walk()
 */
struct bc_range {
	struct rb_node rb;
	sector_t start;
	sector_t last;
	sector_t subtree_last;
	struct list_head list;
	void (*granted)(struct bc_range *range);
	unsigned int blockers;
	bool waited;
	u8 kind;
};

/* The nodes of some zones. */
struct bc_range_bucket {
	struct bc_range *single;	/* see the head of this file */
	spinlock_t lock;	/* all below, and the nodes in the tree */
	unsigned int waiting;	/* nodes with blockers != 0 */
	struct rb_root_cached tree;
} ____cacheline_aligned_in_smp;

#define BC_RANGE_TREE	((struct bc_range *)-1L)

/* The lock itself: one per mirrored device. */
struct bc_range_lock {
	struct bc_range_bucket *buckets;
};

/* What to do when the range is not free. */
enum bc_range_wait {
	BC_RANGE_TRY,		/* nothing: the node is not inserted */
	BC_RANGE_QUEUE,		/* wait behind the earlier ones */
};

int bc_range_lock_init(struct bc_range_lock *rl);
void bc_range_lock_exit(struct bc_range_lock *rl);

bool bc_range_acquire_slow(struct bc_range_bucket *b, struct bc_range *range,
			   enum bc_range_wait wait);
void bc_range_release_slow(struct bc_range_bucket *b, struct bc_range *range);
void bc_range_walk(struct bc_range_lock *rl,
		   void (*fn)(struct bc_range *range, void *data), void *data);

static inline struct bc_range_bucket *
bc_range_bucket_of(struct bc_range_lock *rl, const struct bc_range *range)
{
	return &rl->buckets[hash_64(range->start >> BC_ZONE_SHIFT,
				    BC_RANGE_BUCKETS_BITS)];
}

/**
 * bc_range_acquire() - take a range, or wait for it
 * @rl: the lock
 * @range: start and last set, within one zone; with BC_RANGE_QUEUE also granted
 * @wait: what to do when an overlapping range is held or waited for
 *
 * Return: true when the range is held now.  false with BC_RANGE_TRY: it is
 * not, and @range is the caller's again.  false with BC_RANGE_QUEUE: @granted
 * will be called when it is.
 */
static inline bool bc_range_acquire(struct bc_range_lock *rl,
				    struct bc_range *range,
				    enum bc_range_wait wait)
{
	struct bc_range_bucket *b = bc_range_bucket_of(rl, range);

	range->blockers = 0;
	range->waited = false;
	if (likely(!cmpxchg(&b->single, NULL, range)))
		return true;
	return bc_range_acquire_slow(b, range, wait);
}

/**
 * bc_range_release() - give a held range back
 * @rl: the lock
 * @range: held; it is the caller's own again when this returns
 *
 * Calls @granted of the nodes that now hold theirs.
 */
static inline void bc_range_release(struct bc_range_lock *rl,
				    struct bc_range *range)
{
	struct bc_range_bucket *b = bc_range_bucket_of(rl, range);

	if (unlikely(cmpxchg(&b->single, range, NULL) != range))
		bc_range_release_slow(b, range);
}

/* The same tree without buckets or waiting, for a caller with its own lock. */
void bc_range_tree_insert(struct rb_root_cached *tree, struct bc_range *range);
void bc_range_tree_remove(struct rb_root_cached *tree, struct bc_range *range);
struct bc_range *bc_range_tree_first(struct rb_root_cached *tree,
				     sector_t start, sector_t last);

#endif /* BLOCK_COPY_RANGE_H */

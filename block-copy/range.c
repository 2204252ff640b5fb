// SPDX-License-Identifier: GPL-2.0
/*
 * Range lock.  The rules are at the head of range.h.
 */
#include <linux/export.h>
#include <linux/interval_tree_generic.h>
#include <linux/slab.h>

#include "range.h"

#define NODE_START(n) ((n)->start)
#define NODE_LAST(n) ((n)->last)

INTERVAL_TREE_DEFINE(struct bc_range, rb, sector_t, subtree_last,
		     NODE_START, NODE_LAST, static inline __maybe_unused, tree)

/**
 * bc_range_lock_init() - make the buckets of a range lock
 * @rl: the lock
 *
 * Return: 0 or -ENOMEM.  May sleep (GFP_KERNEL).
 */
int bc_range_lock_init(struct bc_range_lock *rl)
{
	unsigned int i, n = 1U << BC_RANGE_BUCKETS_BITS;

	rl->buckets = kvcalloc(n, sizeof(*rl->buckets), GFP_KERNEL);
	if (!rl->buckets)
		return -ENOMEM;

	for (i = 0; i < n; i++) {
		spin_lock_init(&rl->buckets[i].lock);
		rl->buckets[i].tree = RB_ROOT_CACHED;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(bc_range_lock_init);

/**
 * bc_range_lock_exit() - free the buckets; no node may be left
 * @rl: the lock, initialised or zeroed
 */
void bc_range_lock_exit(struct bc_range_lock *rl)
{
	kvfree(rl->buckets);
	rl->buckets = NULL;
}
EXPORT_SYMBOL_GPL(bc_range_lock_exit);

/* The nodes of the bucket are in the tree from here on. */
static void __use_tree(struct bc_range_bucket *b)
{
	struct bc_range *single;

	if (READ_ONCE(b->single) == BC_RANGE_TREE)
		return;
	/* Its holder set the node up before; it cannot go without the lock now. */
	single = xchg(&b->single, BC_RANGE_TREE);
	if (single)
		tree_insert(single, &b->tree);
}

static void __leave_tree(struct bc_range_bucket *b)
{
	if (RB_EMPTY_ROOT(&b->tree.rb_root))
		/* What was done under the ranges; pairs with the cmpxchg. */
		smp_store_release(&b->single, NULL);
}

/* Count those in the way and let them know that somebody waits. */
static unsigned int __count_blockers(struct bc_range_bucket *b,
				     struct bc_range *range)
{
	struct bc_range *n;
	unsigned int blockers = 0;

	for (n = tree_iter_first(&b->tree, range->start, range->last); n;
	     n = tree_iter_next(n, range->start, range->last)) {
		WRITE_ONCE(n->waited, true);
		blockers++;
	}
	return blockers;
}

/* What bc_range_acquire() does when the node is not alone in its bucket. */
bool bc_range_acquire_slow(struct bc_range_bucket *b, struct bc_range *range,
			   enum bc_range_wait wait)
{
	unsigned long flags;
	bool held = true;

	spin_lock_irqsave(&b->lock, flags);
	__use_tree(b);
	if (!RB_EMPTY_ROOT(&b->tree.rb_root)) {
		if (wait == BC_RANGE_TRY) {
			if (tree_iter_first(&b->tree, range->start,
					    range->last)) {
				held = false;
				goto out;
			}
		} else {
			range->blockers = __count_blockers(b, range);
			if (range->blockers) {
				b->waiting++;
				held = false;
			}
		}
	}
	tree_insert(range, &b->tree);
out:
	spin_unlock_irqrestore(&b->lock, flags);
	return held;
}
EXPORT_SYMBOL_GPL(bc_range_acquire_slow);

/*
 * Every node still there that overlaps @range came after it: an earlier one
 * would have kept @range from being held.  So each of them counted us.
 */
static void __unblock(struct bc_range_bucket *b, struct bc_range *range,
		      struct list_head *granted)
{
	struct bc_range *n;

	for (n = tree_iter_first(&b->tree, range->start, range->last); n;
	     n = tree_iter_next(n, range->start, range->last)) {
		if (--n->blockers)
			continue;
		b->waiting--;
		list_add_tail(&n->list, granted);
	}
}

/* The same for bc_range_release(). */
void bc_range_release_slow(struct bc_range_bucket *b, struct bc_range *range)
{
	struct bc_range *n, *next;
	unsigned long flags;
	LIST_HEAD(granted);

	spin_lock_irqsave(&b->lock, flags);
	tree_remove(range, &b->tree);
	__leave_tree(b);
	if (unlikely(b->waiting))
		__unblock(b, range, &granted);
	spin_unlock_irqrestore(&b->lock, flags);

	list_for_each_entry_safe(n, next, &granted, list)
		n->granted(n);
}
EXPORT_SYMBOL_GPL(bc_range_release_slow);

/**
 * bc_range_walk() - look at every node that holds its range
 * @rl: the lock
 * @fn: called under the node's bucket lock, interrupts off; must not take or
 *      release a range
 * @data: handed to @fn
 */
void bc_range_walk(struct bc_range_lock *rl,
		   void (*fn)(struct bc_range *range, void *data), void *data)
{
	unsigned int i;

	for (i = 0; i < 1U << BC_RANGE_BUCKETS_BITS; i++) {
		struct bc_range_bucket *b = &rl->buckets[i];
		struct rb_node *rb;
		unsigned long flags;

		spin_lock_irqsave(&b->lock, flags);
		__use_tree(b);
		for (rb = rb_first_cached(&b->tree); rb; rb = rb_next(rb)) {
			struct bc_range *n = rb_entry(rb, struct bc_range, rb);

			if (!n->blockers)
				fn(n, data);
		}
		__leave_tree(b);
		spin_unlock_irqrestore(&b->lock, flags);
	}
}
EXPORT_SYMBOL_GPL(bc_range_walk);

/**
 * bc_range_tree_insert() - put a range into a plain interval tree
 * @tree: the tree, under the caller's lock
 * @range: start and last set
 */
void bc_range_tree_insert(struct rb_root_cached *tree, struct bc_range *range)
{
	tree_insert(range, tree);
}
EXPORT_SYMBOL_GPL(bc_range_tree_insert);

/**
 * bc_range_tree_remove() - take a range out of a plain interval tree
 * @tree: the tree, under the caller's lock
 * @range: in it
 */
void bc_range_tree_remove(struct rb_root_cached *tree, struct bc_range *range)
{
	tree_remove(range, tree);
}
EXPORT_SYMBOL_GPL(bc_range_tree_remove);

/**
 * bc_range_tree_first() - find a range that overlaps
 * @tree: the tree, under the caller's lock
 * @start: first sector
 * @last: last sector
 *
 * Return: the overlapping range with the lowest start, or NULL.
 */
struct bc_range *bc_range_tree_first(struct rb_root_cached *tree,
				     sector_t start, sector_t last)
{
	return tree_iter_first(tree, start, last);
}
EXPORT_SYMBOL_GPL(bc_range_tree_first);

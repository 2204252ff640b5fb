// SPDX-License-Identifier: GPL-2.0
/*
 * Chunk bitmap.  The rules are at the head of bitmap.h.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "bitmap.h"

#define GROUP_BITS	BIT(BC_BITMAP_GROUP_SHIFT)
#define GROUP_WORDS	(GROUP_BITS / BITS_PER_LONG)

static unsigned long nr_groups(const struct bc_bitmap *map)
{
	return DIV_ROUND_UP(map->nbits, GROUP_BITS);
}

/**
 * bc_bitmap_init() - make an empty bitmap
 * @map: the bitmap
 * @nbits: how many chunks, 1 to BC_BITMAP_MAX_BITS
 *
 * Return: 0, -EINVAL or -ENOMEM.  May sleep (GFP_KERNEL).
 */
int bc_bitmap_init(struct bc_bitmap *map, u64 nbits)
{
	if (!nbits || nbits > BC_BITMAP_MAX_BITS)
		return -EINVAL;

	map->nbits = nbits;
	atomic_long_set(&map->count, 0);
	/* Whole groups, so that a group can be treated word by word. */
	map->bits = kvcalloc(nr_groups(map), GROUP_BITS / 8,
			     GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	map->summary = kvcalloc(BITS_TO_LONGS(nr_groups(map)), sizeof(long),
				GFP_KERNEL | __GFP_NOWARN);
	if (!map->bits || !map->summary) {
		bc_bitmap_exit(map);
		return -ENOMEM;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(bc_bitmap_init);

/**
 * bc_bitmap_exit() - free a bitmap
 * @map: the bitmap, made by bc_bitmap_init() or zeroed
 */
void bc_bitmap_exit(struct bc_bitmap *map)
{
	kvfree(map->bits);
	kvfree(map->summary);
	map->bits = NULL;
	map->summary = NULL;
}
EXPORT_SYMBOL_GPL(bc_bitmap_exit);

static void set_summary(struct bc_bitmap *map, unsigned long bit)
{
	unsigned long group = bit >> BC_BITMAP_GROUP_SHIFT;

	if (!test_bit(group, map->summary))
		set_bit(group, map->summary);
}

/* The slow half of bc_bitmap_set(): full barrier, returns true if it was clear. */
bool __bc_bitmap_set(struct bc_bitmap *map, unsigned long bit)
{
	/* Counted first: rather one too many for a moment than one too few. */
	atomic_long_inc(&map->count);
	if (test_and_set_bit(bit, map->bits)) {
		atomic_long_dec(&map->count);
		return false;
	}
	/*
	 * The bit before its summary, see (A) in bc_bitmap_next(): whoever
	 * clears the summary looks at the group again.
	 */
	smp_mb__after_atomic();
	set_summary(map, bit);
	return true;
}
EXPORT_SYMBOL_GPL(__bc_bitmap_set);

/**
 * bc_bitmap_clear() - clear a bit
 * @map: the bitmap
 * @bit: below @map->nbits
 *
 * A full barrier in either case.
 *
 * Return: true when the bit was set.
 */
bool bc_bitmap_clear(struct bc_bitmap *map, unsigned long bit)
{
	if (!test_and_clear_bit(bit, map->bits))
		return false;
	atomic_long_dec(&map->count);
	return true;
}
EXPORT_SYMBOL_GPL(bc_bitmap_clear);

/* Set the bits of @mask in one word; returns how many were clear. */
static unsigned long set_word(struct bc_bitmap *map, unsigned long word,
			      unsigned long mask)
{
	atomic_long_t *w = (atomic_long_t *)&map->bits[word];
	unsigned long fresh;

	if ((atomic_long_read(w) & mask) == mask)
		return 0;

	/* As in __bc_bitmap_set(): count more at first, correct afterwards. */
	atomic_long_add(hweight_long(mask), &map->count);
	fresh = hweight_long(mask & ~atomic_long_fetch_or(mask, w));
	if (fresh != hweight_long(mask))
		atomic_long_sub(hweight_long(mask) - fresh, &map->count);
	if (fresh) {
		smp_mb__after_atomic();	/* as in __bc_bitmap_set() */
		set_summary(map, word * BITS_PER_LONG);
	}
	return fresh;
}

/* The bits of a range in one word of it. */
static unsigned long range_mask(unsigned long word, unsigned long first,
				unsigned long last)
{
	unsigned long mask = ~0UL;

	if (word == first / BITS_PER_LONG)
		mask &= ~0UL << (first % BITS_PER_LONG);
	if (word == last / BITS_PER_LONG)
		mask &= ~0UL >> (BITS_PER_LONG - 1 - last % BITS_PER_LONG);
	return mask;
}

/**
 * bc_bitmap_set_range() - set all bits of a range
 * @map: the bitmap
 * @first: first bit
 * @last: last bit, below @map->nbits
 *
 * Return: how many were clear.
 */
unsigned long bc_bitmap_set_range(struct bc_bitmap *map, unsigned long first,
				  unsigned long last)
{
	unsigned long fresh = 0, word = first / BITS_PER_LONG;
	unsigned long end = last / BITS_PER_LONG;

	for (; word <= end; word++)
		fresh += set_word(map, word, range_mask(word, first, last));
	return fresh;
}
EXPORT_SYMBOL_GPL(bc_bitmap_set_range);

/**
 * bc_bitmap_clear_range() - clear all bits of a range
 * @map: the bitmap
 * @first: first bit
 * @last: last bit, below @map->nbits
 */
void bc_bitmap_clear_range(struct bc_bitmap *map, unsigned long first,
			   unsigned long last)
{
	unsigned long word = first / BITS_PER_LONG, end = last / BITS_PER_LONG;

	for (; word <= end; word++) {
		atomic_long_t *w = (atomic_long_t *)&map->bits[word];
		unsigned long mask = range_mask(word, first, last);

		if (atomic_long_read(w) & mask)
			atomic_long_sub(hweight_long(mask &
					atomic_long_fetch_andnot(mask, w)),
					&map->count);
	}
}
EXPORT_SYMBOL_GPL(bc_bitmap_clear_range);

/**
 * bc_bitmap_empty() - clear every bit
 * @map: the bitmap
 *
 * A bit that is set meanwhile is kept or lost, as if it had been set after or
 * before; the caller must be content with either.  Costs the groups in use.
 */
void bc_bitmap_empty(struct bc_bitmap *map)
{
	unsigned long group, i;

	for_each_set_bit(group, map->summary, nr_groups(map)) {
		unsigned long *w = map->bits + group * GROUP_WORDS;

		clear_bit(group, map->summary);
		smp_mb__after_atomic();	/* as (A) in bc_bitmap_next() */
		for (i = 0; i < GROUP_WORDS; i++)
			if (READ_ONCE(w[i]))
				atomic_long_sub(hweight_long(xchg(&w[i], 0)),
						&map->count);
	}
}
EXPORT_SYMBOL_GPL(bc_bitmap_empty);

/**
 * bc_bitmap_merge() - set in one bitmap what is set in another
 * @to: bitmap that grows
 * @from: bitmap of the same size, unchanged
 *
 * Return: how many bits of @to were clear.
 */
unsigned long bc_bitmap_merge(struct bc_bitmap *to, struct bc_bitmap *from)
{
	unsigned long group, i, fresh = 0;

	for_each_set_bit(group, from->summary, nr_groups(from)) {
		unsigned long word = group * GROUP_WORDS;

		for (i = 0; i < GROUP_WORDS; i++) {
			unsigned long w = READ_ONCE(from->bits[word + i]);

			if (w)
				fresh += set_word(to, word + i, w);
		}
	}
	return fresh;
}
EXPORT_SYMBOL_GPL(bc_bitmap_merge);

/**
 * bc_bitmap_next() - find a set bit
 * @map: the bitmap
 * @from: where to begin
 * @end: where to stop, not looked at; at most @map->nbits
 *
 * One caller at a time: it clears the summary of groups that it finds empty.
 *
 * Return: the first set bit in [@from, @end), or @end.
 */
unsigned long bc_bitmap_next(struct bc_bitmap *map, unsigned long from,
			     unsigned long end)
{
	while (from < end) {
		unsigned long group = from >> BC_BITMAP_GROUP_SHIFT;
		unsigned long stop, bit;

		group = find_next_bit(map->summary, nr_groups(map), group);
		if (group >= nr_groups(map))
			return end;

		from = max(from, group << BC_BITMAP_GROUP_SHIFT);
		stop = (group + 1) << BC_BITMAP_GROUP_SHIFT;
		bit = find_next_bit(map->bits, min(stop, end), from);
		if (bit < min(stop, end))
			return bit;

		/*
		 * (A) Empty as a whole?  Then forget it, and look again: a bit
		 * set before we cleared the summary did not set it.  Pairs with
		 * the barrier between bit and summary in __bc_bitmap_set().
		 */
		bit = find_next_bit(map->bits, stop, stop - GROUP_BITS);
		if (bit >= stop) {
			clear_bit(group, map->summary);
			smp_mb__after_atomic();	/* (A) */
			bit = find_next_bit(map->bits, stop, stop - GROUP_BITS);
			if (bit < stop)
				set_bit(group, map->summary);
		}
		from = stop;
	}
	return end;
}
EXPORT_SYMBOL_GPL(bc_bitmap_next);

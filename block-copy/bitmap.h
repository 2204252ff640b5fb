/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunk bitmap: one bit a chunk, and one summary bit for each 4096 of them, so
 * that finding the next set bit and emptying the map cost what is set and not
 * what is there.
 *
 * Setting, clearing and testing are lockless and may be done in any context.
 * A summary bit may be set while its group is empty; it is never clear while
 * its group has a set bit that was set before the caller's last full barrier.
 */
#ifndef BLOCK_COPY_BITMAP_H
#define BLOCK_COPY_BITMAP_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/types.h>

#define BC_BITMAP_GROUP_SHIFT	12
#define BC_BITMAP_MAX_BITS	BIT_ULL(31)

/**
 * struct bc_bitmap - a chunk bitmap
 * @bits: one bit a chunk
 * @summary: one bit a group of 4096 chunks
 * @nbits: how many chunks
 * @count: how many bits are set; changed only when a bit changes
 */
struct bc_bitmap {
	unsigned long *bits;
	unsigned long *summary;
	unsigned long nbits;
	atomic_long_t count;
};

int bc_bitmap_init(struct bc_bitmap *map, u64 nbits);
void bc_bitmap_exit(struct bc_bitmap *map);

unsigned long bc_bitmap_set_range(struct bc_bitmap *map, unsigned long first,
				  unsigned long last);
bool __bc_bitmap_set(struct bc_bitmap *map, unsigned long bit);
bool bc_bitmap_clear(struct bc_bitmap *map, unsigned long bit);
void bc_bitmap_clear_range(struct bc_bitmap *map, unsigned long first,
			   unsigned long last);
void bc_bitmap_empty(struct bc_bitmap *map);
unsigned long bc_bitmap_merge(struct bc_bitmap *to, struct bc_bitmap *from);
unsigned long bc_bitmap_next(struct bc_bitmap *map, unsigned long from,
			     unsigned long end);

/**
 * bc_bitmap_test() - is a bit set?
 * @map: the bitmap
 * @bit: below @map->nbits
 */
static inline bool bc_bitmap_test(const struct bc_bitmap *map,
				  unsigned long bit)
{
	return test_bit(bit, map->bits);
}

/**
 * bc_bitmap_set() - set a bit; nothing is written if it is set already
 * @map: the bitmap
 * @bit: below @map->nbits
 *
 * No barrier when the bit is set already: the caller orders what matters.
 *
 * Return: true when the bit was clear.
 */
static inline bool bc_bitmap_set(struct bc_bitmap *map, unsigned long bit)
{
	if (bc_bitmap_test(map, bit))
		return false;
	return __bc_bitmap_set(map, bit);
}

/**
 * bc_bitmap_count() - how many bits are set
 * @map: the bitmap
 */
static inline unsigned long bc_bitmap_count(const struct bc_bitmap *map)
{
	return max(atomic_long_read(&map->count), 0L);
}

#endif /* BLOCK_COPY_BITMAP_H */

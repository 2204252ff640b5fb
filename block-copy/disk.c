// SPDX-License-Identifier: GPL-2.0
/*
 * The devices below a target, and who works on them.
 */
#include <linux/export.h>
#include <linux/kernfs.h>

#include "disk.h"

/*
 * The registry of both targets: every job and snapshot there is, also those
 * that only orphans hold.  Outermost of all locks: constructors hold it while
 * they look and make.
 */
DEFINE_MUTEX(bc_claims_lock);
EXPORT_SYMBOL_GPL(bc_claims_lock);
static LIST_HEAD(claims);

/**
 * bc_leg_open() - open a device for a job, without claiming it
 * @leg: to be filled
 * @bdev: open already, by dm
 * @start: where the job begins on it, sectors
 * @mode: BC_OPEN_READ, BC_OPEN_WRITE
 *
 * Return: 0 or a negative errno.  May sleep.
 */
int bc_leg_open(struct bc_leg *leg, struct block_device *bdev, sector_t start,
		bc_mode_t mode)
{
	leg->handle = bc_bdev_open(bdev->bd_dev, mode);
	if (IS_ERR(leg->handle)) {
		int r = PTR_ERR(leg->handle);

		leg->handle = NULL;
		return r;
	}
	leg->mode = mode;
	leg->bdev = bc_handle_bdev(leg->handle);
	leg->start = start;
	return 0;
}
EXPORT_SYMBOL_GPL(bc_leg_open);

/**
 * bc_leg_close() - let a device go
 * @leg: open or not; no I/O of ours is in flight on it
 *
 * May sleep.
 */
void bc_leg_close(struct bc_leg *leg)
{
	if (leg->handle)
		bc_bdev_close(leg->handle, leg->mode);
	leg->handle = NULL;
}
EXPORT_SYMBOL_GPL(bc_leg_close);

/**
 * bc_overlap() - do two ranges share a sector of one disk?
 * @a: a disk or partition
 * @a_start: first sector on it
 * @a_len: how many
 * @b: another, or the same
 * @b_start: first sector on it
 * @b_len: how many
 */
bool bc_overlap(struct block_device *a, sector_t a_start, sector_t a_len,
		struct block_device *b, sector_t b_start, sector_t b_len)
{
	a_start += get_start_sect(a);
	b_start += get_start_sect(b);
	return a->bd_disk == b->bd_disk && a_start < b_start + b_len &&
	       b_start < a_start + a_len;
}
EXPORT_SYMBOL_GPL(bc_overlap);

/**
 * bc_stands_on() - is one disk a slave of the other, or the same?
 * @upper: a disk
 * @lower: another
 *
 * Only one level is looked at, which is as much as sysfs tells the kernel
 * cheaply; qmirrorctl looks deeper.
 */
bool bc_stands_on(struct gendisk *upper, struct gendisk *lower)
{
	struct kernfs_node *kn = NULL;

	if (upper == lower)
		return true;
	if (upper->slave_dir)
		kn = kernfs_find_and_get(upper->slave_dir->sd,
					 lower->disk_name);
	kernfs_put(kn);
	return kn;
}
EXPORT_SYMBOL_GPL(bc_stands_on);

/**
 * bc_misaligned() - is a number of sectors no multiple of the logical block?
 * @bdev: the device
 * @a: sectors
 * @b: sectors
 */
bool bc_misaligned(struct block_device *bdev, sector_t a, sector_t b)
{
	unsigned int mask = (bdev_logical_block_size(bdev) >> SECTOR_SHIFT) - 1;

	return (a | b) & mask;
}
EXPORT_SYMBOL_GPL(bc_misaligned);

/**
 * bc_claim_add() - let the others know of a job
 * @claim: filled; bc_claims_lock held
 */
void bc_claim_add(struct bc_claim *claim)
{
	lockdep_assert_held(&bc_claims_lock);
	list_add_tail(&claim->node, &claims);
}
EXPORT_SYMBOL_GPL(bc_claim_add);

/**
 * bc_claim_remove() - a job goes away
 * @claim: added; bc_claims_lock held
 */
void bc_claim_remove(struct bc_claim *claim)
{
	lockdep_assert_held(&bc_claims_lock);
	list_del(&claim->node);
}
EXPORT_SYMBOL_GPL(bc_claim_remove);

/**
 * bc_claim_line_busy() - does a device carry something that another line of it
 *			  would end unasked?
 * @owner: the mapped device
 * @but: what does not count, or NULL
 *
 * bc_claims_lock held.
 */
bool bc_claim_line_busy(const void *owner, const struct bc_claim *but)
{
	struct bc_claim *c;

	lockdep_assert_held(&bc_claims_lock);
	list_for_each_entry(c, &claims, node)
		if (c != but && c->owner == owner &&
		    c->held(c, BC_CLAIM_LINE, owner))
			return true;
	return false;
}
EXPORT_SYMBOL_GPL(bc_claim_line_busy);

/**
 * bc_claim_range_busy() - does anybody work where a new line would write?
 * @owner: the line's mapped device
 * @bdev: what it would write to
 * @start: first sector
 * @len: how many
 *
 * bc_claims_lock held.
 */
bool bc_claim_range_busy(const void *owner, struct block_device *bdev,
			 sector_t start, sector_t len)
{
	struct bc_claim *c;
	unsigned int i;

	lockdep_assert_held(&bc_claims_lock);
	list_for_each_entry(c, &claims, node) {
		if (!c->held(c, BC_CLAIM_RANGE, owner))
			continue;
		for (i = 0; i < c->nr_legs; i++)
			if (c->legs[i].handle &&
			    bc_overlap(bdev, start, len, c->legs[i].bdev,
				       c->legs[i].start, c->len))
				return true;
	}
	return false;
}
EXPORT_SYMBOL_GPL(bc_claim_range_busy);

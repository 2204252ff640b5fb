/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels we build for (6.1 to 7.2), by feature
 * macro and never by version number.
 *
 * Macros that the kernel's own headers define are tested directly.  Where a
 * kernel only changed a function, include/features.mk looks for its name in
 * the headers and passes -DHAVE_... in.
 */
#ifndef QMIRROR_COMPAT_H
#define QMIRROR_COMPAT_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/file.h>

/* 6.5: a type of its own for the mode a block device is opened with. */
#ifdef BLK_OPEN_READ
#define BC_OPEN_READ		BLK_OPEN_READ
#define BC_OPEN_WRITE		BLK_OPEN_WRITE
typedef blk_mode_t bc_mode_t;
#else
#define BC_OPEN_READ		FMODE_READ
#define BC_OPEN_WRITE		FMODE_WRITE
typedef fmode_t bc_mode_t;
#endif

/* A block device opened by number: three shapes of the same thing. */
#if defined(HAVE_BDEV_FILE_OPEN)
typedef struct file *bc_bdev_handle_t;
#define bc_handle_bdev(h)	file_bdev(h)
#elif defined(HAVE_BDEV_OPEN_HANDLE)
typedef struct bdev_handle *bc_bdev_handle_t;
#define bc_handle_bdev(h)	((h)->bdev)
#else
typedef struct block_device *bc_bdev_handle_t;
#define bc_handle_bdev(h)	(h)
#endif

/**
 * bc_bdev_open() - open a block device by number, without claiming it
 * @dev: the device
 * @mode: BC_OPEN_READ, BC_OPEN_WRITE
 *
 * Return: the handle or an ERR_PTR.  May sleep.
 */
static inline bc_bdev_handle_t bc_bdev_open(dev_t dev, bc_mode_t mode)
{
#if defined(HAVE_BDEV_FILE_OPEN)
	return bdev_file_open_by_dev(dev, mode, NULL, NULL);
#elif defined(HAVE_BDEV_OPEN_HANDLE)
	return bdev_open_by_dev(dev, mode, NULL, NULL);
#elif defined(BLK_OPEN_READ)
	return blkdev_get_by_dev(dev, mode, NULL, NULL);
#else
	return blkdev_get_by_dev(dev, mode, NULL);
#endif
}

static inline void bc_bdev_close(bc_bdev_handle_t h, bc_mode_t mode)
{
#if defined(HAVE_BDEV_FILE_OPEN)
	fput(h);
#elif defined(HAVE_BDEV_OPEN_HANDLE)
	bdev_release(h);
#elif defined(BLK_OPEN_READ)
	blkdev_put(h, NULL);
#else
	blkdev_put(h, mode);
#endif
}

/*
 * Pages of a write must not change while both legs are written from them:
 * a queue limit since 6.11, a flag of the target before.
 */
static inline void bc_want_stable_pages(struct dm_target *ti,
					struct queue_limits *limits)
{
#ifdef BLK_FEAT_STABLE_WRITES
	if (limits)
		limits->features |= BLK_FEAT_STABLE_WRITES;
#else
	ti->needs_stable_writes = true;
#endif
}

/* The numbers that rule discards; the "hw" ones are the ones that count. */
static inline void bc_take_discard_limits(struct queue_limits *limits,
					  struct block_device *bdev)
{
	const struct queue_limits *src = &bdev_get_queue(bdev)->limits;

	limits->max_discard_sectors = src->max_discard_sectors;
	limits->max_hw_discard_sectors = src->max_hw_discard_sectors;
	limits->discard_granularity = src->discard_granularity;
	limits->discard_alignment = src->discard_alignment;
}

/* 6.17: how far zeroes unmap is a limit of its own, all or nothing of the other. */
static inline void bc_limit_write_zeroes(struct queue_limits *limits,
					 unsigned int sectors)
{
	limits->max_write_zeroes_sectors =
		min(limits->max_write_zeroes_sectors, sectors);
#ifdef HAVE_WZEROES_UNMAP
	if (limits->max_hw_wzeroes_unmap_sectors)
		limits->max_hw_wzeroes_unmap_sectors =
			limits->max_write_zeroes_sectors;
#endif
}

#endif /* QMIRROR_COMPAT_H */

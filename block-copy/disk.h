/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The devices below a target: opened a second time so that they outlive the
 * table, compared with each other, and known to both targets, so that neither
 * writes where the other one works.
 */
#ifndef BLOCK_COPY_DISK_H
#define BLOCK_COPY_DISK_H

#include <linux/list.h>
#include <linux/mutex.h>

#include "compat.h"

/**
 * struct bc_leg - one device of a job
 * @bdev: the device
 * @start: where the job begins on it
 * @handle: our own reference: dm's are closed by force after the destructor,
 *          and I/O that was given up may live longer; NULL: not open
 * @mode: what @handle was opened with
 */
struct bc_leg {
	struct block_device *bdev;
	sector_t start;
	bc_bdev_handle_t handle;
	bc_mode_t mode;
};

int bc_leg_open(struct bc_leg *leg, struct block_device *bdev, sector_t start,
		bc_mode_t mode);
void bc_leg_close(struct bc_leg *leg);

bool bc_overlap(struct block_device *a, sector_t a_start, sector_t a_len,
		struct block_device *b, sector_t b_start, sector_t b_len);
bool bc_stands_on(struct gendisk *upper, struct gendisk *lower);
bool bc_misaligned(struct block_device *bdev, sector_t a, sector_t b);

/* What another device's line, or another line of the same device, must know. */
enum bc_claim_use {
	BC_CLAIM_LINE,	/* no other qmirror or cbw line for the same device */
	BC_CLAIM_RANGE,	/* nobody else may write on its legs */
};

/**
 * struct bc_claim - a job or snapshot, as the others see it
 * @node: of the list of all
 * @owner: the mapped device, for comparison only
 * @legs: its devices, those without handle do not count
 * @nr_legs: how many
 * @len: sectors on each
 * @held: is it in use in this way, asked for by a line of @owner?  Under
 *        bc_claims_lock
 */
struct bc_claim {
	struct list_head node;
	const void *owner;
	const struct bc_leg *legs;
	unsigned int nr_legs;
	sector_t len;
	bool (*held)(struct bc_claim *claim, enum bc_claim_use use,
		     const void *owner);
};

extern struct mutex bc_claims_lock;

void bc_claim_add(struct bc_claim *claim);
void bc_claim_remove(struct bc_claim *claim);
bool bc_claim_line_busy(const void *owner, const struct bc_claim *but);
bool bc_claim_range_busy(const void *owner, struct block_device *bdev,
			 sector_t start, sector_t len);

#endif /* BLOCK_COPY_DISK_H */

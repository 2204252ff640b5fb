/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both targets do to bios.
 */
#ifndef BLOCK_COPY_BIO_H
#define BLOCK_COPY_BIO_H

#include <linux/bio.h>

/**
 * bc_bio_name_segment() - tell the block layer of a bio with one segment that it
 *			   has but one
 * @bio: a read or write with data, not yet submitted, dm's clone or our own; its
 *	 pages are somebody else's
 *
 * Before it looks at a bio segment by segment for where to split it, the block
 * layer takes a short way for those within one page.  It knows them by bi_vcnt,
 * which in a clone is 0 (7.2 looks closer): the long way costs 134 instructions
 * on 6.1.  Nothing else reads the count of a clone.
 *
 * Any context, takes no lock.
 */
static inline void bc_bio_name_segment(struct bio *bio)
{
	struct bvec_iter *iter = &bio->bi_iter;
	struct bio_vec *bv = &bio->bi_io_vec[iter->bi_idx];

	if (iter->bi_bvec_done || iter->bi_size != bv->bv_len)
		return;
	bio->bi_io_vec = bv;
	iter->bi_idx = 0;
	bio->bi_vcnt = 1;
}

#endif /* BLOCK_COPY_BIO_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Guest I/O: writes, write-zeroes, discards and flushes, from map to end_io.
 *
 * What a write does depends on the mode, sampled once at its start
 * (qemu-semantics M-14):
 *
 *   ended             source only, nothing is tracked any more
 *   background        source only; its chunks become dirty when it ends
 *   write-blocking    takes its range; then, by the dirty bits
 *			part of a dirty chunk	source only, stays dirty
 *			part of a clean chunk	both legs, exactly its sectors
 *			a whole chunk		both legs, is clean afterwards
 *		     (qemu-semantics 1.8; a write to the end of the device
 *		     covers its last chunk whole).  An error of either leg makes
 *		     all its chunks dirty.
 *
 * Both legs are written in parallel and from a private copy, because the
 * guest may change its pages meanwhile (K-16); with no_bounce from the guest's
 * pages.  dm's clone waits for both through its own count of remaining bios,
 * so that end_io runs once, with both results known, and without a worker.
 *
 * A bio goes one of these ways:
 *
 *   map -> start_write -> legs -> end_io
 *   map -> queued for its range -> io_work -> start_write -> ...
 *   ... -> no memory: parked -> io_work, with the reserve -> ...
 *
 * The reserve is for what cannot get its memory at once.  A write that is larger
 * gets it in map or is cut there.
 */
#include <linux/blk-crypto.h>
#include <linux/blk-integrity.h>
#include <linux/slab.h>

#include "qmirror.h"

/* The system's last pages are not for us: we have our own. */
#define MAP_GFP		(GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC)

/* Of the guest's flags, those that mean something to the target. */
#define LEG_FLAGS	(REQ_FUA | REQ_SYNC | REQ_META | REQ_PRIO | \
			 REQ_IDLE | REQ_NOUNMAP)

static struct bio *bio_of(struct qm_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(*io));
}

static void remap_to_source(struct qm_job *job, struct qm_io *io,
			    struct bio *bio)
{
	bio_set_dev(bio, job->leg[QM_SOURCE].bdev);
	bio->bi_iter.bi_sector = job->leg[QM_SOURCE].start + io->sector;
	if (likely(bio_op(bio) == REQ_OP_WRITE && io->sectors))
		bc_bio_name_segment(bio);
}

/*
 * Wait for memory: io_work tries again, with the reserve.  Parked once more
 * by io_work itself, a bio waits until the reserve comes back, which queues
 * io_work again (qm_leg_free(), qm_give_up()).
 */
static int park(struct qm_job *job, struct qm_io *io, bool parked)
{
	unsigned long flags;

	spin_lock_irqsave(&job->park_lock, flags);
	list_add_tail(&io->parked, &job->parked);
	spin_unlock_irqrestore(&job->park_lock, flags);
	if (!parked)
		queue_work(job->io_wq, &job->io_work);
	return DM_MAPIO_SUBMITTED;
}

/*
 * A leg in io_work: plain memory, or the reserve, which is large enough (see
 * limit_size()).  *wait: neither, but the reserve will come back.  NULL without
 * *wait: not in bounded time.
 */
static struct qm_leg *get_leg(struct qm_job *job, unsigned int pages,
			      bool parked, bool *wait)
{
	struct qm_leg *leg = qm_leg_alloc(job, pages, MAP_GFP);

	*wait = false;
	if (likely(leg))
		return leg;
	*wait = true;
	if (!parked)
		return NULL;
	leg = qm_leg_take_reserve(job);
	if (!leg && READ_ONCE(job->reserve->state) == QM_LEG_GIVEN_UP &&
	    !(READ_ONCE(job->reserve->ended) & QM_LEG_TARGET_ENDED))
		*wait = false;
	return leg;
}

static void drop_spare(struct qm_io *io)
{
	if (unlikely(io->spare))
		qm_leg_free(io->spare);
	io->spare = NULL;
}

/* Which part of a write goes to the target: the table at the head. */
static void plan_target(struct qm_job *job, struct qm_io *io)
{
	sector_t start = io->sector, end = start + io->sectors;
	unsigned long first = qm_chunk(job, start);
	unsigned long last = qm_chunk(job, end - 1);

	io->target_sector = start;
	io->target_sectors = 0;

	if (unlikely(READ_ONCE(job->giving_up) || READ_ONCE(job->nr_orphans))) {
		sector_t from = qm_chunk_start(job, first);

		if (READ_ONCE(job->giving_up) ||
		    READ_ONCE(job->nr_orphans) >= QM_MAX_ORPHANS ||
		    qm_orphan_overlaps(job, from,
				       qm_chunk_end(job, last) - from)) {
			io->remark = true;
			return;
		}
	}

	io->target_sectors = io->sectors;
	if (likely(!bc_bitmap_count(&job->dirty)))
		return;

	if ((start > qm_chunk_start(job, first) ||
	     end < qm_chunk_end(job, first)) &&
	    bc_bitmap_test(&job->dirty, first))
		start = min(end, qm_chunk_end(job, first));
	if (last > first && end < qm_chunk_end(job, last) &&
	    bc_bitmap_test(&job->dirty, last))
		end = qm_chunk_start(job, last);

	io->target_sector = start;
	io->target_sectors = end > start ? end - start : 0;
}

/*
 * The chunks that the target's part covers whole are clean from here on; if
 * either leg fails they become dirty again before the range is given back.
 */
static void clean_whole_chunks(struct qm_job *job, const struct qm_io *io)
{
	sector_t end = io->target_sector + io->target_sectors;
	unsigned long chunk;

	if (likely(!bc_bitmap_count(&job->dirty)))
		return;
	chunk = qm_chunk(job, io->target_sector);
	if (io->target_sector > qm_chunk_start(job, chunk))
		chunk++;
	for (; chunk < job->nr_chunks && qm_chunk_end(job, chunk) <= end;
	     chunk++)
		if (bc_bitmap_test(&job->dirty, chunk)) {
			bc_bitmap_clear(&job->dirty, chunk);
			if (!bc_bitmap_count(&job->dirty))
				qm_kick_state(job);
		}
}

/*
 * A discard holds no range: it may have become an orphan since plan_target()
 * looked, and marked what we have just cleaned.  Then all is dirty in the end.
 */
static void check_again(struct qm_job *job, struct qm_io *io)
{
	/*
	 * Orders our clearing before the look; pairs with the order of orphan
	 * and mark in give_up_leg().
	 */
	smp_mb();
	if (unlikely(READ_ONCE(job->nr_orphans)) &&
	    qm_orphan_overlaps(job, io->target_sector, io->target_sectors))
		io->remark = true;
}

/* Before anything is sent: a chunk of zeroes is no longer one for sure. */
static void note_sent(struct qm_job *job, sector_t sector, sector_t sectors)
{
	if (unlikely(job->track_sent))
		bc_bitmap_set_range(&job->sent, qm_chunk(job, sector),
				    qm_chunk(job, sector + sectors - 1));
}

static bool all_zero(const struct qm_leg *leg, unsigned int bytes)
{
	unsigned int i, n;

	for (i = 0; bytes; i++, bytes -= n) {
		n = min_t(unsigned int, bytes, PAGE_SIZE);
		if (memchr_inv(page_address(leg->bvecs[i].bv_page), 0, n))
			return false;
	}
	return true;
}

/* A bio for the target; who pays for it is still to be said. */
static void init_target_bio(struct qm_job *job, struct bio *bio,
			    struct bio_vec *bvecs, unsigned short pages,
			    blk_opf_t opf)
{
	bio_init(bio, NULL, bvecs, pages, opf);
	bio->bi_bdev = job->leg[QM_TARGET].bdev;
}

/* Make the private copy and let the source be written from it, too. */
static void fill_leg(struct qm_job *job, struct qm_io *io, struct qm_leg *leg,
		     struct bio *bio)
{
	unsigned int bytes = bio->bi_iter.bi_size;
	unsigned int pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	blk_opf_t flags = bio->bi_opf & LEG_FLAGS;
	struct bio_vec bv;

	init_target_bio(job, &leg->bio, leg->bvecs, pages, REQ_OP_WRITE | flags);
	leg->bio.bi_vcnt = pages;
	leg->bvecs[pages - 1].bv_len = bytes - (pages - 1) * PAGE_SIZE;
	leg->bio.bi_iter.bi_size = bytes;
	bv = bio_iovec(bio);
	if (pages == 1 && bv.bv_len == bytes)
		memcpy_from_bvec(page_address(leg->bvecs[0].bv_page), &bv);
	else
		bio_copy_data(&leg->bio, bio);

	bio->bi_io_vec = leg->bvecs;
	bio->bi_vcnt = pages;
	bio->bi_iter.bi_idx = 0;
	bio->bi_iter.bi_bvec_done = 0;

	/* Not for FUA: drivers know no such write-zeroes and lose the flag. */
	if (unlikely(READ_ONCE(job->args.zero_detect)) && !(flags & REQ_FUA) &&
	    bdev_write_zeroes_sectors(job->leg[QM_TARGET].bdev) &&
	    all_zero(leg, bytes)) {
		/* Without REQ_NOUNMAP: the target may free the space. */
		leg->bio.bi_opf = REQ_OP_WRITE_ZEROES | (flags & ~REQ_NOUNMAP);
		leg->bio.bi_io_vec = NULL;
		leg->bio.bi_vcnt = 0;
	} else if (io->target_sector > io->sector) {
		bio_advance(&leg->bio, (io->target_sector - io->sector) <<
			    SECTOR_SHIFT);
	}
}

/*
 * Both halves, and who pays: the cgroup of who wrote.  dm alone knows it, for a
 * write from the page cache it is not the current task's, and says it in
 * dm_submit_bio_remap(): to the bio it sends and to the guest's own.
 *
 * In map the target's half goes first: it does not wait (qm_leg_never_waits()), and
 * its time does not run while the source has no free tags.  What a worker sends
 * goes after the source's half has heard from dm, and its time begins then.
 */
static void send_both(struct qm_leg *leg, struct bio *bio, bool in_map)
{
	bio_inc_remaining(bio);
	if (likely(in_map && qm_leg_never_waits(leg))) {
		/* Before 2026 dm said nothing: then it is the task's. */
		bio_clone_blkg_association(&leg->bio, bio);
		qm_leg_arm(leg);
		qm_leg_submit(leg, true);
		dm_submit_bio_remap(bio, NULL);
	} else {
		dm_submit_bio_remap(bio, NULL);
		qm_pay_alike(&leg->bio, bio);
		qm_leg_arm(leg);
		qm_leg_submit(leg, false);
	}
}

/* Submit both halves, the target's visible to qm_give_up(). */
static void send_leg(struct qm_job *job, struct qm_io *io, struct qm_leg *leg,
		     struct bio *bio, bool in_map)
{
	leg->bio.bi_iter.bi_size = io->target_sectors << SECTOR_SHIFT;
	leg->bio.bi_ioprio = bio->bi_ioprio;
	leg->guest = bio;
	leg->range.start = io->target_sector;
	leg->range.last = io->target_sector + io->target_sectors - 1;
	this_cpu_add(job->stats->active_started, io->target_sectors);
	/* Pairs with take_leg_of_range(). */
	smp_store_release(&io->leg, leg);
	send_both(leg, bio, in_map);
}

static void send_bare_later(struct qm_io *io)
{
	struct qm_job *job = io->job;

	llist_add(&io->granted, &job->send_bare);
	queue_work(job->send_wq, &job->send_work);
}

/* The target has it. */
static void note_mirrored(struct qm_io *io)
{
	struct qm_job *job = io->job;

	this_cpu_add(job->stats->active_mirrored, io->target_sectors);
	qm_since_set(job, io->target_sector, io->target_sectors);
}

/* no_bounce: the target's answer; AGAIN to NOWAIT: once more, by send_work. */
static void bare_end_io(struct bio *tbio)
{
	struct qm_io *io = container_of(tbio, struct qm_io, bio);

	if (unlikely(tbio->bi_status && qm_refused_nowait(tbio))) {
		qm_bio_again(io->job, tbio, bio_of(io), bio_of(io)->bi_io_vec,
			     tbio->bi_opf & ~REQ_NOWAIT);
		bio_set_flag(tbio, BIO_CLONED);
		tbio->bi_iter = io->iter;
		/* Sent and ended at once it would hold the job no more. */
		rcu_read_lock();
		send_bare_later(io);
		rcu_read_unlock();
		return;
	}
	io->status = tbio->bi_status;
	if (likely(!io->status))
		note_mirrored(io);
	bio_uninit(tbio);
	bio_endio(bio_of(io));
}

/* Both legs from the guest's pages: no allocation, and no giving up. */
static void send_bare(struct qm_job *job, struct qm_io *io, struct bio *bio,
		      bool in_map)
{
	struct bio *tbio = &io->bio;

	/* We offer neither, but a clone that has one would need more care. */
	if (unlikely(bio_integrity(bio) || bio_has_crypt_ctx(bio))) {
		io->target_sectors = 0;
		io->remark = true;
		dm_submit_bio_remap(bio, NULL);
		return;
	}
	/* As bio_init_clone() does it, without its price. */
	init_target_bio(job, tbio, bio->bi_io_vec, 0,
			REQ_OP_WRITE | (bio->bi_opf & LEG_FLAGS));
	bio_set_flag(tbio, BIO_CLONED);
	tbio->bi_ioprio = bio->bi_ioprio;
	tbio->bi_end_io = bare_end_io;
	tbio->bi_iter = bio->bi_iter;
	if (likely(io->target_sectors == io->sectors))
		tbio->bi_vcnt = bio->bi_vcnt;
	else if (io->target_sector > io->sector)
		bio_advance(tbio, (io->target_sector - io->sector) <<
			    SECTOR_SHIFT);
	tbio->bi_iter.bi_size = io->target_sectors << SECTOR_SHIFT;
	tbio->bi_iter.bi_sector = job->leg[QM_TARGET].start + io->target_sector;
	io->iter = tbio->bi_iter;
	io->bare = true;
	this_cpu_add(job->stats->active_started, io->target_sectors);
	bio_inc_remaining(bio);
	dm_submit_bio_remap(bio, NULL);	/* first, see send_both() */
	qm_pay_alike(tbio, bio);
	if (likely(in_map && qm_may_nowait(tbio))) {
		tbio->bi_opf |= REQ_NOWAIT;
		submit_bio_noacct(tbio);
	} else if (in_map && !bdev_nowait(tbio->bi_bdev)) {
		submit_bio_noacct(tbio);
	} else {
		send_bare_later(io);
	}
}

/*
 * A write that holds its range.  Returns what map returns; DM_MAPIO_REMAPPED:
 * the caller submits @bio, whose sector is already the source's, and nothing
 * goes to the target.
 */
static int start_write(struct qm_job *job, struct qm_io *io, struct bio *bio,
		       bool in_map, bool parked)
{
	bool zeroes = bio_op(bio) == REQ_OP_WRITE_ZEROES;
	struct qm_leg *leg;
	bool wait;

	plan_target(job, io);
	if (!io->target_sectors) {
		drop_spare(io);
		return DM_MAPIO_REMAPPED;
	}

	if (!zeroes && READ_ONCE(job->args.no_bounce)) {
		clean_whole_chunks(job, io);
		check_again(job, io);
		note_sent(job, io->target_sector, io->target_sectors);
		send_bare(job, io, bio, in_map);
		return DM_MAPIO_SUBMITTED;
	}

	leg = io->spare;
	io->spare = NULL;
	if (likely(!leg))
		leg = get_leg(job, zeroes ? 0 :
			      DIV_ROUND_UP(bio->bi_iter.bi_size, PAGE_SIZE),
			      parked, &wait);
	if (unlikely(!leg)) {
		if (wait)
			return park(job, io, parked);
		/* No memory, and the reserve hangs in the target. */
		io->target_sectors = 0;
		io->remark = true;
		qm_mark(job, io->sector, io->sectors);
		qm_job_error(job, QM_TARGET, QM_WRITE, -ENOMEM, io->sector);
		return DM_MAPIO_REMAPPED;
	}

	if (zeroes)
		init_target_bio(job, &leg->bio, NULL, 0,
				REQ_OP_WRITE_ZEROES | (bio->bi_opf & LEG_FLAGS));
	else
		fill_leg(job, io, leg, bio);
	clean_whole_chunks(job, io);
	check_again(job, io);
	note_sent(job, io->target_sector, io->target_sectors);
	send_leg(job, io, leg, bio, in_map);
	return DM_MAPIO_SUBMITTED;
}

/* bc_range_release() of somebody else: any context, so leave it to io_work. */
static void write_granted(struct bc_range *range)
{
	struct qm_io *io = container_of(range, struct qm_io, range);
	struct qm_job *job = io->job;

	llist_add(&io->granted, &job->granted);
	queue_work(job->io_wq, &job->io_work);
}

static int map_mirrored(struct qm_job *job, struct qm_io *io, struct bio *bio,
			bool nowait)
{
	io->range.start = io->sector;
	io->range.last = io->sector + io->sectors - 1;
	io->range.kind = QM_RANGE_IO;
	io->range.granted = write_granted;
	io->job = job;
	io->leg = NULL;
	io->bare = false;
	io->remark = false;

	if (likely(bc_range_acquire(&job->ranges, &io->range,
				    nowait ? BC_RANGE_TRY : BC_RANGE_QUEUE))) {
		io->kind = QM_IO_MIRRORED;
		return start_write(job, io, bio, true, false);
	}
	if (nowait) {
		/* Before a leg is touched: kind is still QM_IO_PASS. */
		drop_spare(io);
		bio_wouldblock_error(bio);
		return DM_MAPIO_SUBMITTED;
	}
	return DM_MAPIO_SUBMITTED;
}

/*
 * Advisory on the target, and never an error of the guest's: without memory,
 * without discard or with an orphan in the way the target is left alone.
 */
static int discard_target(struct qm_job *job, struct qm_io *io,
			  struct bio *bio)
{
	struct block_device *target = job->leg[QM_TARGET].bdev;
	sector_t from = qm_chunk_start(job, qm_chunk(job, io->sector));
	sector_t end = qm_chunk_end(job, qm_chunk(job, io->sector +
						  io->sectors - 1));
	struct qm_leg *leg;

	if (!bdev_max_discard_sectors(target) || READ_ONCE(job->giving_up) ||
	    READ_ONCE(job->nr_orphans) >= QM_MAX_ORPHANS ||
	    qm_orphan_overlaps(job, from, end - from))
		return DM_MAPIO_REMAPPED;
	leg = qm_leg_alloc(job, 0, MAP_GFP);
	if (!leg)
		return DM_MAPIO_REMAPPED;

	note_sent(job, io->sector, io->sectors);
	init_target_bio(job, &leg->bio, NULL, 0,
			REQ_OP_DISCARD | (bio->bi_opf & REQ_SYNC));
	leg->bio.bi_iter.bi_size = io->sectors << SECTOR_SHIFT;
	leg->guest = bio;
	leg->range.start = io->sector;
	leg->range.last = io->sector + io->sectors - 1;
	io->leg = leg;
	qm_leg_track(leg);
	send_both(leg, bio, true);
	return DM_MAPIO_SUBMITTED;
}

static int map_discard(struct qm_job *job, struct qm_io *io, struct bio *bio)
{
	io->leg = NULL;
	atomic_inc(&job->discards);
	/* (C) The count before the look at the request; pairs with (C) in job.c. */
	smp_mb__after_atomic();
	if (READ_ONCE(job->ending)) {
		if (atomic_dec_and_test(&job->discards))
			qm_kick_state(job);
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}
	io->kind = QM_IO_DISCARD;
	return discard_target(job, io, bio);
}

static int start_flush(struct qm_job *job, struct qm_io *io, struct bio *bio,
		       bool in_map, bool parked)
{
	struct qm_leg *leg;
	bool wait;

	if (READ_ONCE(job->giving_up) ||
	    READ_ONCE(job->nr_orphans) >= QM_MAX_ORPHANS)
		return DM_MAPIO_REMAPPED;

	leg = get_leg(job, 0, parked, &wait);
	if (unlikely(!leg)) {
		if (wait)
			return park(job, io, parked);
		return DM_MAPIO_REMAPPED;	/* still unflushed, as before */
	}
	qm_flush_prepare(job, leg);
	leg->guest = bio;
	io->leg = leg;
	send_both(leg, bio, in_map);
	return DM_MAPIO_SUBMITTED;
}

/*
 * Cut a bio at the next zone, so that its range fits into one bucket.  What the
 * reserve is too small for gets the memory for its copy here, or is cut so that
 * the reserve will do: later it cannot be cut.  Returns false if it had to be cut
 * and may not be: the rest of it could end with AGAIN.
 */
static bool limit_size(struct qm_job *job, struct qm_io *io, struct bio *bio,
		       bool nowait)
{
	unsigned int room = BC_ZONE_SECTORS -
			    (io->sector & (BC_ZONE_SECTORS - 1));
	unsigned int sectors = min(io->sectors, room);

	io->spare = NULL;
	if (unlikely(sectors > QM_RESERVE_SECTORS) &&
	    bio_op(bio) == REQ_OP_WRITE && !READ_ONCE(job->args.no_bounce)) {
		io->spare = qm_leg_alloc(job, DIV_ROUND_UP(sectors << SECTOR_SHIFT,
							   PAGE_SIZE), MAP_GFP);
		if (!io->spare)
			sectors = QM_RESERVE_SECTORS -
				  (io->sector & (QM_RESERVE_SECTORS - 1));
	}
	if (likely(sectors == io->sectors))
		return true;
	if (nowait) {
		drop_spare(io);
		return false;
	}
	dm_accept_partial_bio(bio, sectors);
	io->sectors = sectors;
	return true;
}

static int map_write(struct qm_job *job, struct bio *bio, sector_t sector)
{
	struct qm_io *io = dm_per_bio_data(bio, sizeof(*io));
	bool nowait = bio->bi_opf & REQ_NOWAIT;

	io->kind = QM_IO_PASS;
	io->sector = sector;
	io->sectors = bio_sectors(bio);
	remap_to_source(job, io, bio);
	/*
	 * A leg may not answer AGAIN once the other, or a part of it, was
	 * written; and nobody would poll the target's half.
	 */
	bio->bi_opf &= ~REQ_NOWAIT;
	bio_clear_polled(bio);

	if (unlikely(qm_ended(job)))
		return DM_MAPIO_REMAPPED;
	if (unlikely(bio_op(bio) == REQ_OP_DISCARD &&
		     READ_ONCE(job->ending))) {
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}

	/* A first look, as a hint: it spares write-blocking writes the second's price. */
	if (!data_race(percpu_ref_is_dying(&job->background)) &&
	    percpu_ref_tryget_live(&job->background)) {
		if (unlikely(!io->sectors))	/* flush: the source only, M-50 */
			percpu_ref_put(&job->background);
		else
			io->kind = QM_IO_BACKGROUND;
		return DM_MAPIO_REMAPPED;
	}

	if (unlikely(!io->sectors)) {
		io->kind = QM_IO_FLUSH;
		io->leg = NULL;
		return start_flush(job, io, bio, true, false);
	}
	if (unlikely(bio_op(bio) == REQ_OP_DISCARD))
		return map_discard(job, io, bio);

	if (unlikely(!limit_size(job, io, bio, nowait))) {
		bio_wouldblock_error(bio);
		return DM_MAPIO_SUBMITTED;
	}
	return map_mirrored(job, io, bio, nowait);
}

/**
 * qm_map() - dm's map: reads go to the source, writes where they must
 * @ti: the target
 * @bio: dm's clone
 *
 * Return: DM_MAPIO_*.
 */
int qm_map(struct dm_target *ti, struct bio *bio)
{
	struct qm_job *job = ((struct qm_target *)ti->private)->job;

	if (bio_op(bio) == REQ_OP_READ) {
		bio_set_dev(bio, job->leg[QM_SOURCE].bdev);
		bio->bi_iter.bi_sector += job->leg[QM_SOURCE].start;
		bc_bio_name_segment(bio);
		return DM_MAPIO_REMAPPED;
	}
	return map_write(job, bio, bio->bi_iter.bi_sector);
}

/*
 * The other end
 */

static void end_background(struct qm_job *job, struct qm_io *io)
{
	/* After the source's write, before the guest hears of it; invariant 2. */
	qm_mark(job, io->sector, io->sectors);
	percpu_ref_put(&job->background);
}

static void end_mirrored(struct qm_job *job, struct qm_io *io,
			 blk_status_t source)
{
	blk_status_t target = BLK_STS_OK;
	bool bad = source || io->remark;

	if (io->bare) {
		target = io->status;
	} else if (io->target_sectors) {
		if (likely(READ_ONCE(io->leg->state) == QM_LEG_DONE))
			target = io->leg->status;
		else
			target = QM_STS_NOT_SENT;	/* given up */
		if (likely(!target))
			note_mirrored(io);
	}
	if (unlikely(target))
		this_cpu_add(job->stats->active_failed, io->target_sectors);

	if (unlikely(bad || target)) {
		qm_mark(job, io->sector, io->sectors);
		if (target && target != QM_STS_NOT_SENT)
			qm_job_error(job, QM_TARGET, QM_WRITE,
				     blk_status_to_errno(target), io->sector);
	}
	bc_range_release(&job->ranges, &io->range);
	/* Only now: qm_give_up() finds the leg through the range. */
	if (io->target_sectors && !io->bare)
		qm_leg_end(io->leg);
}

static void end_discard(struct qm_job *job, struct qm_io *io)
{
	blk_status_t target = io->leg ? qm_leg_end(io->leg) : BLK_STS_OK;
	bool bad = target && target != BLK_STS_NOTSUPP &&
		   target != QM_STS_NOT_SENT;

	if (unlikely(bad))
		qm_judge_begin(job);
	qm_mark(job, io->sector, io->sectors);
	if (unlikely(bad)) {
		qm_job_error(job, QM_TARGET, QM_DISCARD,
			     blk_status_to_errno(target), io->sector);
		qm_judge_end(job);
	}
	if (atomic_dec_and_test(&job->discards))
		qm_kick_state(job);
}

/**
 * qm_end_io() - dm's end_io: both legs of a write have ended or were given up
 * @ti: the target
 * @bio: dm's clone
 * @error: the source's answer, which is the guest's, whatever the target said
 *
 * Return: DM_ENDIO_*.
 */
int qm_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct qm_job *job;
	struct qm_io *io;

	if (bio_op(bio) == REQ_OP_READ)
		return DM_ENDIO_DONE;

	job = ((struct qm_target *)ti->private)->job;
	io = dm_per_bio_data(bio, sizeof(*io));
	switch (io->kind) {
	case QM_IO_BACKGROUND:
		end_background(job, io);
		break;
	case QM_IO_MIRRORED:
		end_mirrored(job, io, *error);
		break;
	case QM_IO_DISCARD:
		end_discard(job, io);
		break;
	case QM_IO_FLUSH:
		if (io->leg)
			qm_leg_end(io->leg);
		break;
	}
	return DM_ENDIO_DONE;
}

/* A bio that waited: for its range or for memory. */
static void resume_io(struct qm_job *job, struct qm_io *io, bool parked)
{
	struct bio *bio = bio_of(io);
	int r;

	if (io->kind == QM_IO_FLUSH)
		r = start_flush(job, io, bio, false, parked);
	else
		r = start_write(job, io, bio, false, parked);
	if (r == DM_MAPIO_REMAPPED)
		dm_submit_bio_remap(bio, NULL);
}

static void parked_work(struct qm_job *job)
{
	struct qm_io *io, *next;
	LIST_HEAD(parked);

	spin_lock_irq(&job->park_lock);
	list_splice_init(&job->parked, &parked);
	spin_unlock_irq(&job->park_lock);

	list_for_each_entry_safe(io, next, &parked, parked)
		resume_io(job, io, true);
}

/* Everything about guest I/O that map and end_io must not do themselves. */
void qm_io_work(struct work_struct *work)
{
	struct qm_job *job = container_of(work, struct qm_job, io_work);
	struct qm_io *io, *next;
	struct llist_node *list;

	qm_legs_work(job);

	list = llist_reverse_order(llist_del_all(&job->granted));
	llist_for_each_entry_safe(io, next, list, granted) {
		io->kind = QM_IO_MIRRORED;
		resume_io(job, io, false);
	}

	parked_work(job);
}

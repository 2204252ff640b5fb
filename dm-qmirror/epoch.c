// SPDX-License-Identifier: GPL-2.0
/*
 * Flush epochs: what a flush of the target that fails takes back.
 *
 * since[epoch] collects the chunks written on the target.  A flush closes the
 * epoch and opens the other one; when it is good the closed one is forgotten,
 * when it fails both become dirty, and so do the ranges of all writes in flight
 * (qemu-semantics M-53: QEMU forgets).  A second flush while an epoch is closed
 * owns nothing and forgets nothing.
 */
#include "qmirror.h"

/**
 * qm_since_set() - something was written on the target
 * @job: the job
 * @sector: first sector of the mirror
 * @sectors: how many
 *
 * Called after the target has ended the write and before its range is given
 * back: a failing flush finds it in one place or the other.
 */
void qm_since_set(struct qm_job *job, sector_t sector, sector_t sectors)
{
	struct bc_bitmap *since = &job->since[READ_ONCE(job->epoch)];
	unsigned long chunk = qm_chunk(job, sector);
	unsigned long last = qm_chunk(job, sector + sectors - 1);

	for (; chunk <= last; chunk++)
		bc_bitmap_set(since, chunk);
}

/**
 * qm_flush_prepare() - a leg that flushes the target
 * @job: the job
 * @leg: from qm_leg_alloc() or the reserve
 *
 * Closes the epoch if it can; to be submitted.
 */
void qm_flush_prepare(struct qm_job *job, struct qm_leg *leg)
{
	unsigned long flags;

	bio_init(&leg->bio, job->leg[QM_TARGET].bdev, NULL, 0,
		 REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC);
	leg->flush = true;
	/* A place in the tree of orphans, of no sector that a write can have. */
	leg->range.start = job->len;
	leg->range.last = job->len;

	spin_lock_irqsave(&job->since_lock, flags);
	if (!job->epoch_closed) {
		job->epoch_closed = true;
		leg->owns_epoch = true;
		WRITE_ONCE(job->epoch, !job->epoch);
	}
	spin_unlock_irqrestore(&job->since_lock, flags);
	qm_leg_track(leg);
}

/* Forget the closed epoch and allow the next one to be closed. */
static void reopen_epoch(struct qm_job *job)
{
	bc_bitmap_empty(&job->since[!job->epoch]);
	spin_lock_irq(&job->since_lock);
	job->epoch_closed = false;
	spin_unlock_irq(&job->since_lock);
}

struct range_to {
	struct qm_job *job;
	struct bc_bitmap *map;
};

/* bc_range_walk(): in flight while a flush failed or was given up. */
static void set_range(struct bc_range *range, void *data)
{
	struct range_to *to = data;

	bc_bitmap_set_range(to->map, qm_chunk(to->job, range->start),
			    qm_chunk(to->job, range->last));
}

/*
 * A flush was given up: nobody knows.  What it covered is still unflushed, and
 * so is what looked at the epoch before it was closed and sets its bit now.
 */
void qm_flush_unknown(struct qm_job *job)
{
	struct range_to to = { job, &job->since[job->epoch] };

	bc_range_walk(&job->ranges, set_range, &to);
	bc_bitmap_merge(to.map, &job->since[!job->epoch]);
	reopen_epoch(job);
}

/**
 * qm_flush_failed() - make dirty what was written since the last good flush
 * @job: the job
 * @owns_epoch: the flush had closed the epoch
 *
 * Those in flight first: a write that has given its range back by then has set
 * its bit before.  May sleep.
 */
void qm_flush_failed(struct qm_job *job, bool owns_epoch)
{
	struct range_to to = { job, &job->dirty };

	bc_range_walk(&job->ranges, set_range, &to);
	bc_bitmap_merge(&job->dirty, &job->since[0]);
	bc_bitmap_merge(&job->dirty, &job->since[1]);
	if (owns_epoch)
		reopen_epoch(job);
	qm_marked(job);
}

/**
 * qm_flush_end() - the target has ended a flush: what it means
 * @leg: from qm_flush_prepare()
 *
 * Ends the guest's flush, or tells whoever of us had sent it.  From io_work: may
 * sleep.
 */
void qm_flush_end(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;

	if (leg->status == QM_STS_NOT_SENT) {
		if (leg->owns_epoch)
			qm_flush_unknown(job);
	} else if (leg->status) {
		qm_judge_begin(job);
		qm_flush_failed(job, leg->owns_epoch);
		qm_job_error(job, QM_TARGET, QM_FLUSH,
			     blk_status_to_errno(leg->status), 0);
		qm_judge_end(job);
	} else if (leg->owns_epoch) {
		reopen_epoch(job);
	}

	if (leg->done)
		leg->done(leg);
	else
		bio_endio(leg->guest);
}

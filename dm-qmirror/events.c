// SPDX-License-Identifier: GPL-2.0
/*
 * What the outside hears: dm events, log lines; and errors, with what the
 * policies make of them.
 *
 * Everything here may be called from completions, so events are queued under
 * job->lock and delivered by a work item.  A dm event carries no data; the
 * status has it all.  When the queue is full the oldest entry is dropped: its
 * line in the log is lost, the event is not.
 */
#include "qmirror.h"

const char *const qm_state_names[QM_NR_STATES] = {
	[QM_RUNNING] = "running",
	[QM_PAUSED] = "paused",
	[QM_READY] = "ready",
	[QM_STANDBY] = "standby",
	[QM_PENDING] = "pending",
	[QM_ABORTING] = "aborting",
	[QM_CONCLUDED] = "concluded",
};

const char *const qm_side_names[QM_NR_SIDES] = {
	[QM_SOURCE] = "source",
	[QM_TARGET] = "target",
};

const char *const qm_op_names[QM_NR_OPS] = {
	[QM_READ] = "read",
	[QM_WRITE] = "write",
	[QM_FLUSH] = "flush",
	[QM_DISCARD] = "discard",
};

const char *const qm_io_status_names[QM_NR_IO_STATUS] = {
	[QM_IO_OK] = "ok",
	[QM_IO_FAILED] = "failed",
	[QM_IO_NOSPACE] = "nospace",
};

/**
 * __qm_event() - queue an event
 * @job: the job, job->lock held
 * @what: QM_EV_…
 */
void __qm_event(struct qm_job *job, int what)
{
	struct qm_event *e;

	lockdep_assert_held(&job->lock);
	if (job->nr_events == QM_NR_EVENTS) {
		memmove(job->events, job->events + 1,
			(QM_NR_EVENTS - 1) * sizeof(*e));
		job->nr_events--;
	}
	e = &job->events[job->nr_events++];
	e->what = what;
	e->state = job->state;
	e->error = job->error;
	queue_work(qm_wq, &job->event_work);
}

static void log_event(struct qm_job *job, const struct qm_event *e)
{
	char buf[16];

	switch (e->what) {
	case QM_EV_STATE:
		DMINFO("%s: %s", job->name, qm_state_names[e->state]);
		break;
	case QM_EV_SYNCED:
		/* Comes and goes at the guest's pace when the target is flaky. */
		if (__ratelimit(&job->synced_log))
			DMINFO("%s: synced", job->name);
		break;
	case QM_EV_FINAL:
		DMINFO("%s: final", job->name);
		break;
	case QM_EV_ERROR:
		DMERR("%s: %s %s error %s at sector %llu", job->name,
		      qm_side_names[e->error.side], qm_op_names[e->error.op],
		      bc_errno_name(e->error.error, buf, sizeof(buf)),
		      (unsigned long long)e->error.sector);
		break;
	}
}

/* The table, and with it the device, stays while we hold live_lock. */
static void raise_event(struct qm_job *job, const struct qm_event *e)
{
	mutex_lock(&job->live_lock);
	if (job->live)
		qm_job_learn_name(job);
	log_event(job, e);
	if (job->live)
		dm_table_event(job->live->ti->table);
	mutex_unlock(&job->live_lock);
}

/* Deliver what was queued. */
void qm_event_work(struct work_struct *work)
{
	struct qm_job *job = container_of(work, struct qm_job, event_work);
	struct qm_event events[QM_NR_EVENTS];
	unsigned int i, n;

	spin_lock_irq(&job->lock);
	n = job->nr_events;
	memcpy(events, job->events, n * sizeof(*events));
	job->nr_events = 0;
	spin_unlock_irq(&job->lock);

	for (i = 0; i < n; i++)
		raise_event(job, &events[i]);
}

/*
 * Dirt
 */

/**
 * qm_marked() - something may have become dirty: act on it
 * @job: the job
 *
 * Takes back `final` and pending, wakes the copier.  Any context.
 */
void qm_marked(struct qm_job *job)
{
	unsigned long flags;

	atomic_inc(&job->marks);
	/* (D) The bit before the look at the flags; pairs with (D) in job.c. */
	smp_mb__after_atomic();
	if (READ_ONCE(job->synced) || READ_ONCE(job->final) ||
	    READ_ONCE(job->state) == QM_PENDING) {
		spin_lock_irqsave(&job->lock, flags);
		job->synced = false;
		job->final = false;
		if (job->state == QM_PENDING)
			__qm_set_state(job, QM_READY);
		spin_unlock_irqrestore(&job->lock, flags);
	}
	qm_copy_new_dirt(job);
}

/**
 * qm_mark() - chunks become dirty
 * @job: the job
 * @sector: first sector of the mirror
 * @sectors: how many, not 0; rounded outwards to chunks
 *
 * Any context.
 */
void qm_mark(struct qm_job *job, sector_t sector, sector_t sectors)
{
	unsigned long first = qm_chunk(job, sector);
	unsigned long last = qm_chunk(job, sector + sectors - 1);

	/*
	 * The write before the look at the bit: if the copier has not cleared
	 * it by then it will read what was written (invariant 2; pairs with
	 * the full barrier in bc_bitmap_clear()).
	 */
	smp_mb();
	if (likely(first == last) ? bc_bitmap_set(&job->dirty, first) :
	    bc_bitmap_set_range(&job->dirty, first, last))
		qm_marked(job);
}

/*
 * Errors
 */

/**
 * qm_judge_begin() - what is marked from here on is not copied again before
 *		      the policy has acted
 * @job: the job
 *
 * Dirt comes before the policy (invariant 1), and the copier would take it in
 * between: the job would stop or end with chunks that nobody knows to be bad.
 * Only for chunks that nothing else keeps from the copier: a write holds its
 * range until after qm_job_error().  An orphan keeps its chunks only until it
 * ends, which may be at once.  Any context.
 */
void qm_judge_begin(struct qm_job *job)
{
	atomic_inc(&job->judging);
	/* (F) The count before the bits; pairs with claim_run(). */
	smp_mb__after_atomic();
}

/**
 * qm_judge_end() - qm_job_error() was called, if there was an error
 * @job: the job
 *
 * Any context.
 */
void qm_judge_end(struct qm_job *job)
{
	/* (F) Full barrier: the state before the count; qm_copy_allowed(). */
	if (atomic_dec_and_test(&job->judging))
		qm_copy_kick(job, 0);
}

static void __stop(struct qm_job *job, int error)
{
	if (job->io_status == QM_IO_OK)
		job->io_status = error == -ENOSPC ? QM_IO_NOSPACE :
						    QM_IO_FAILED;
	if (job->state == QM_RUNNING)
		__qm_set_state(job, QM_PAUSED);
	else if (job->state == QM_READY || job->state == QM_PENDING)
		__qm_set_state(job, QM_STANDBY);
}

/**
 * qm_job_error() - an error of a leg: count it, remember the first, apply the
 *		    policy (qemu-semantics 1.12)
 * @job: the job
 * @side: whose
 * @op: what failed; zeroes are writes
 * @error: errno, negative
 * @sector: first sector of the chunk or write, of the mirror
 *
 * What failed is dirty by now: the policy must not act before; nor may the
 * copier, see qm_judge_begin().  Any context.
 */
void qm_job_error(struct qm_job *job, enum qm_side side, enum qm_op op,
		  int error, sector_t sector)
{
	unsigned long flags;

	spin_lock_irqsave(&job->lock, flags);
	if (job->state >= QM_ABORTING)
		goto out;

	job->errors[side]++;
	job->flush_void = true;
	job->synced = false;
	job->final = false;
	if (!job->error.error) {
		job->error.error = error;
		job->error.side = side;
		job->error.op = op;
		job->error.sector = sector;
		__qm_event(job, QM_EV_ERROR);
	}

	switch (bc_policy_action(job->args.on_error[side], error)) {
	case BC_ACTION_REPORT:
		__qm_set_state(job, QM_ABORTING);
		break;
	case BC_ACTION_STOP:
		__stop(job, error);
		break;
	case BC_ACTION_IGNORE:
		if (job->state == QM_PENDING)
			__qm_set_state(job, QM_READY);
		break;
	}
out:
	spin_unlock_irqrestore(&job->lock, flags);
}

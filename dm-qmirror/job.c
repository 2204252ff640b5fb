// SPDX-License-Identifier: GPL-2.0
/*
 * The job's states: what goes forward when, suspend and `final`.
 *
 *   running --clean, flushed--> ready --asked, clean, flushed--> pending
 *      |  ^                      |  ^ ^                             |
 *      v  |                      v  |  `---- something dirty -------'
 *     paused                   standby
 *
 *   any --report, cancel--> aborting --no orphan left--> concluded
 *
 * Transitions forward (ready, synced, pending, concluded) are made by
 * state_work, which looks at everything again each time it is kicked; those
 * that an event forces (pause, stop, dirt, failure) are made where it happens,
 * under job->lock.
 */
#include "qmirror.h"

const char *const qm_ending_names[QM_NR_ENDINGS] = {
	[QM_END_NONE] = "-",
	[QM_END_COMPLETE] = "complete",
	[QM_END_CANCEL] = "cancel",
};

/*
 * States
 */

/**
 * __qm_set_state() - change the state
 * @job: the job, job->lock held
 * @state: another one
 *
 * Whoever is to be told is told, whatever has to follow is kicked.
 */
void __qm_set_state(struct qm_job *job, enum qm_state state)
{
	lockdep_assert_held(&job->lock);
	WRITE_ONCE(job->state, state);
	if (state >= QM_ABORTING) {
		job->synced = false;
		job->final = false;
		set_bit(QM_GIVE_UP_ENDED, &job->giving_up);
	}
	__qm_event(job, QM_EV_STATE);
	wake_up(&job->wait);
	qm_kick_state(job);
	qm_copy_kick(job, 0);
}

/* Look at the state again.  Any context. */
void qm_kick_state(struct qm_job *job)
{
	mod_delayed_work(qm_wq, &job->state_work, 0);
}

/**
 * qm_job_clean() - is, or was at one instant, nothing dirty and nothing being
 *		    copied?
 * @job: the job
 *
 * A chunk goes from dirty to busy and back; seq changes with each step, so
 * that it cannot slip through between our looks (M-95).
 *
 * Return: true if so.
 */
bool qm_job_clean(struct qm_job *job)
{
	int seq = atomic_read(&job->copy.seq);

	smp_rmb();	/* seq before dirty */
	if (bc_bitmap_count(&job->dirty))
		return false;
	/* Pairs with account_begin(), which is busy before it clears. */
	smp_rmb();
	if (atomic_read(&job->copy.busy) || READ_ONCE(job->copy.big_left) ||
	    READ_ONCE(job->nr_orphans))
		return false;
	smp_rmb();	/* busy before seq */
	return seq == atomic_read(&job->copy.seq);
}

/* percpu_ref: the last background-mode write has ended. */
void qm_background_drained(struct percpu_ref *ref)
{
	qm_kick_state(container_of(ref, struct qm_job, background));
}

/**
 * qm_job_update_mode() - let new writes be what copy_mode and ending ask for
 * @job: the job, verb_lock held
 *
 * Writes already under way end in the mode they began in (M-14).
 */
void qm_job_update_mode(struct qm_job *job)
{
	bool background = job->args.copy_mode == QM_BACKGROUND &&
			  !job->ending;

	if (background == job->in_background)
		return;
	WRITE_ONCE(job->in_background, background);
	if (background) {
		spin_lock_irq(&job->lock);
		job->synced = false;
		spin_unlock_irq(&job->lock);
		percpu_ref_resurrect(&job->background);
	} else {
		job->was_killed = true;
		percpu_ref_kill(&job->background);
	}
	qm_kick_state(job);
}

/*
 * In sync: what is written from now on reaches both legs, and nothing else is
 * left (qemu-semantics 1.11).
 */
static bool in_sync(struct qm_job *job)
{
	return !READ_ONCE(job->in_background) &&
	       percpu_ref_is_zero(&job->background) &&
	       !atomic_read(&job->discards) && qm_job_clean(job);
}

/* The job's own flush of the target */

static void own_flush_done(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;
	blk_status_t status = qm_leg_end(leg);
	bool late;

	spin_lock_irq(&job->lock);
	job->flushing = false;
	job->flush_ok = !status && !job->flush_void;
	if (status) {
		job->flush_backoff_ms = bc_backoff_next(job->flush_backoff_ms);
		job->flush_after = jiffies +
				   msecs_to_jiffies(job->flush_backoff_ms);
	} else {
		job->flush_backoff_ms = 0;
	}
	late = job->quiet;
	wake_up(&job->wait);
	spin_unlock_irq(&job->lock);

	if (late)
		qm_job_try_final(job);
	qm_kick_state(job);
}

/* Returns false if there is one under way, or no memory for one. */
static bool start_own_flush(struct qm_job *job)
{
	struct qm_leg *leg = qm_leg_alloc(job, 0, GFP_NOIO);
	bool busy;

	if (!leg)
		return false;

	spin_lock_irq(&job->lock);
	busy = job->flushing;
	if (!busy) {
		job->flushing = true;
		job->flush_ok = false;
		job->flush_void = false;
		job->flush_rest = job->quiet ? job->rest : 0;
		job->flush_marks = atomic_read(&job->marks);
		job->flush_seq = atomic_read(&job->copy.seq);
	}
	spin_unlock_irq(&job->lock);
	if (busy) {
		qm_leg_free(leg);
		return false;
	}
	leg->done = own_flush_done;
	qm_flush_prepare(job, leg);
	qm_leg_arm(leg);
	qm_leg_submit(leg, false);
	return true;
}

/* Nothing became dirty and nothing was copied since the good flush began. */
static bool __flushed_since(struct qm_job *job)
{
	return job->flush_ok &&
	       job->flush_marks == atomic_read(&job->marks) &&
	       job->flush_seq == atomic_read(&job->copy.seq);
}

/* Flush unless it is too early after a failure; then look again in time. */
static void flush_when_due(struct qm_job *job)
{
	if (job->flush_backoff_ms && time_before(jiffies, job->flush_after))
		queue_delayed_work(qm_wq, &job->state_work,
				   job->flush_after - jiffies);
	else if (!start_own_flush(job) && !READ_ONCE(job->flushing))
		queue_delayed_work(qm_wq, &job->state_work,
				   msecs_to_jiffies(BC_BACKOFF_FIRST));
}

/*
 * READY: at one instant nothing was dirty and nothing in flight, and the flush
 * that began then was good (M-51, M-95).  In background mode, writes that came
 * during the flush do not count against it: it might never get there.
 */
static bool __flushed_for_ready(struct qm_job *job)
{
	if (!job->flush_ok || READ_ONCE(job->nr_orphans))
		return false;
	return job->in_background || qm_job_clean(job);
}

static void look_running(struct qm_job *job)
{
	bool flush = false;

	spin_lock_irq(&job->lock);
	if (job->state == QM_RUNNING && !job->quiescing && !job->flushing) {
		if (__flushed_for_ready(job))
			__qm_set_state(job, QM_READY);
		else
			flush = qm_job_clean(job);
		job->flush_ok = false;
	}
	spin_unlock_irq(&job->lock);
	if (flush)
		flush_when_due(job);
}

static void look_ready(struct qm_job *job)
{
	bool flush = false;

	spin_lock_irq(&job->lock);
	if (job->state != QM_READY || !in_sync(job))
		goto out;
	if (!job->synced) {
		job->synced = true;
		/* (D) The flag before the second look; see qm_marked(). */
		smp_mb();
		if (!in_sync(job)) {
			job->synced = false;
			goto out;
		}
		__qm_event(job, QM_EV_SYNCED);
	}
	/* (C) The request, seen under the lock, before the discards. */
	if (!job->ending || job->quiescing || job->flushing)
		goto out;
	if (!__flushed_since(job)) {
		flush = true;
		goto out;
	}
	__qm_set_state(job, QM_PENDING);
	/* (D) as above. */
	smp_mb();
	if (!in_sync(job))
		__qm_set_state(job, QM_READY);
out:
	spin_unlock_irq(&job->lock);
	if (flush)
		flush_when_due(job);
}

static void look_aborting(struct qm_job *job)
{
	qm_give_up(job, 0);
	qm_units_give_up(job, 0);

	/* Under no_bounce nothing is given up: wait for it. */
	if (qm_writes_left(job)) {
		queue_delayed_work(qm_wq, &job->state_work,
				   msecs_to_jiffies(BC_BACKOFF_FIRST));
		return;
	}

	spin_lock_irq(&job->lock);
	if (job->state == QM_ABORTING && !READ_ONCE(job->nr_orphans) &&
	    !atomic_read(&job->copy.busy) && !job->flushing &&
	    !test_bit(QM_GIVE_UP_GONE, &job->giving_up))
		__qm_set_state(job, QM_CONCLUDED);
	spin_unlock_irq(&job->lock);
}

/* The flush that `final` needs, begun when the last write has ended. */
static void look_pending(struct qm_job *job)
{
	if (!READ_ONCE(job->flush_wanted) || READ_ONCE(job->flushing))
		return;
	if (start_own_flush(job)) {
		WRITE_ONCE(job->flush_wanted, false);
		wake_up(&job->wait);
	} else {
		queue_delayed_work(qm_wq, &job->state_work,
				   msecs_to_jiffies(BC_BACKOFF_FIRST));
	}
}

/* What can go forward goes forward. */
void qm_state_work(struct work_struct *work)
{
	struct qm_job *job = container_of(to_delayed_work(work), struct qm_job,
					  state_work);

	switch (READ_ONCE(job->state)) {
	case QM_RUNNING:
		look_running(job);
		break;
	case QM_READY:
		look_ready(job);
		break;
	case QM_PENDING:
		look_pending(job);
		break;
	case QM_ABORTING:
		look_aborting(job);
		break;
	default:
		break;
	}
}

/*
 * Suspend
 */

/**
 * qm_job_try_final() - say `final` if it is true
 * @job: the job
 *
 * Invariants 4 and 9: pending, the device quiet, the target flushed by a flush
 * that began in this rest of the device, nothing dirty, no orphan.
 */
void qm_job_try_final(struct qm_job *job)
{
	spin_lock_irq(&job->lock);
	if (job->quiet && !job->noflush && job->state == QM_PENDING &&
	    job->flush_rest == job->rest && __flushed_since(job) &&
	    in_sync(job) && !job->final) {
		job->final = true;
		/* (D) see qm_marked(). */
		smp_mb();
		if (!in_sync(job))
			job->final = false;
		else
			__qm_event(job, QM_EV_FINAL);
	}
	spin_unlock_irq(&job->lock);
}

/**
 * qm_job_quiesce() - from postsuspend: no guest I/O is left
 * @job: the job
 *
 * Waits for the copier, and in pending for a flush of the target, together for
 * at most QM_QUIESCE_MS; a flush that takes longer may make the device `final`
 * later.
 */
void qm_job_quiesce(struct qm_job *job)
{
	unsigned long end = jiffies + msecs_to_jiffies(QM_QUIESCE_MS);

	wait_event_timeout(job->wait, !atomic_read(&job->copy.busy),
			   msecs_to_jiffies(QM_QUIESCE_MS));
	if (atomic_read(&job->copy.busy)) {
		set_bit(QM_GIVE_UP_SUSPEND, &job->giving_up);
		qm_units_give_up(job, 0);
	}

	spin_lock_irq(&job->lock);
	job->quiet = true;
	job->rest++;
	job->flush_wanted = job->state == QM_PENDING && !job->noflush;
	spin_unlock_irq(&job->lock);

	/* Flushed by state_work: submitting a bio may take its time. */
	if (READ_ONCE(job->flush_wanted)) {
		long left = end - jiffies;

		qm_kick_state(job);
		wait_event_timeout(job->wait,
				   READ_ONCE(job->state) != QM_PENDING ||
				   (!READ_ONCE(job->flush_wanted) &&
				    !READ_ONCE(job->flushing)),
				   max(left, 0L));
	}
	qm_job_try_final(job);
}

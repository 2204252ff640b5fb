// SPDX-License-Identifier: GPL-2.0
/*
 * The job: its registry, its states and its ends.
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
#include <linux/module.h>
#include <linux/slab.h>

#include "qmirror.h"

DEFINE_MUTEX(qm_jobs_lock);
LIST_HEAD(qm_jobs);

const char *const qm_ending_names[QM_NR_ENDINGS] = {
	[QM_END_NONE] = "-",
	[QM_END_COMPLETE] = "complete",
	[QM_END_CANCEL] = "cancel",
};

/*
 * Making and letting go
 */

static int open_leg(struct qm_leg_dev *leg, struct block_device *bdev,
		    sector_t start, bc_mode_t mode)
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

static void close_leg(struct qm_leg_dev *leg)
{
	if (leg->handle)
		bc_bdev_close(leg->handle, leg->mode);
}

/* Tolerates a job that was made in part; nobody else sees it any more. */
static void free_job(struct qm_job *job)
{
	qm_pool_destroy(job->copy.pool);
	qm_legs_exit(job);
	if (job->io_wq)
		destroy_workqueue(job->io_wq);
	if (job->copy_wq)
		destroy_workqueue(job->copy_wq);
	if (job->send_wq)
		destroy_workqueue(job->send_wq);
	bc_bitmap_exit(&job->dirty);
	bc_bitmap_exit(&job->since[0]);
	bc_bitmap_exit(&job->since[1]);
	bc_bitmap_exit(&job->sent);
	bc_range_lock_exit(&job->ranges);
	if (job->background.data)
		percpu_ref_exit(&job->background);
	free_percpu(job->stats);
	close_leg(&job->leg[QM_SOURCE]);
	close_leg(&job->leg[QM_TARGET]);
	kfree(job);
}

static int make_bitmaps(struct qm_job *job)
{
	int r;

	r = bc_bitmap_init(&job->dirty, job->nr_chunks);
	if (!r)
		r = bc_bitmap_init(&job->since[0], job->nr_chunks);
	if (!r)
		r = bc_bitmap_init(&job->since[1], job->nr_chunks);
	if (!r && job->args.target_is_zero) {
		job->track_sent = true;
		r = bc_bitmap_init(&job->sent, job->nr_chunks);
	}
	if (!r && job->args.sync == QM_SYNC_FULL)
		bc_bitmap_set_range(&job->dirty, 0, job->nr_chunks - 1);
	return r;
}

/* The background reference lives while writes are background writes. */
static int make_background(struct qm_job *job)
{
	job->in_background = job->args.copy_mode == QM_BACKGROUND;
	return percpu_ref_init(&job->background, qm_background_drained,
			       job->in_background ? PERCPU_REF_ALLOW_REINIT :
						    PERCPU_REF_INIT_DEAD,
			       GFP_KERNEL);
}

static int make_queues(struct qm_job *job)
{
	const char *dev = dm_device_name(job->md);

	job->io_wq = alloc_workqueue("kqmirror_io/%s",
				     WQ_MEM_RECLAIM | WQ_UNBOUND, 0, dev);
	job->copy_wq = alloc_workqueue("kqmirror_copy/%s",
				       WQ_MEM_RECLAIM | WQ_UNBOUND, 0, dev);
	job->send_wq = alloc_workqueue("kqmirror_send/%s",
				       WQ_MEM_RECLAIM | WQ_UNBOUND, 0, dev);
	return job->io_wq && job->copy_wq && job->send_wq ? 0 : -ENOMEM;
}

static void init_job(struct qm_job *job)
{
	kref_init(&job->ref);
	INIT_LIST_HEAD(&job->node);
	mutex_init(&job->verb_lock);
	mutex_init(&job->live_lock);
	spin_lock_init(&job->lock);
	spin_lock_init(&job->orphan_lock);
	spin_lock_init(&job->since_lock);
	spin_lock_init(&job->misc_lock);
	spin_lock_init(&job->park_lock);
	INIT_LIST_HEAD(&job->misc_legs);
	INIT_LIST_HEAD(&job->parked);
	init_llist_head(&job->granted);
	init_llist_head(&job->leg_done);
	init_llist_head(&job->send_legs);
	init_llist_head(&job->send_bare);
	init_llist_head(&job->send_units);
	init_waitqueue_head(&job->wait);
	job->orphans = RB_ROOT_CACHED;
	INIT_WORK(&job->io_work, qm_io_work);
	INIT_WORK(&job->send_work, qm_send_work);
	INIT_WORK(&job->event_work, qm_event_work);
	INIT_WORK(&job->orphan_work, qm_orphan_work);
	INIT_WORK(&job->release_work, qm_release_work);
	INIT_DELAYED_WORK(&job->state_work, qm_state_work);
	INIT_DELAYED_WORK(&job->timeout_work, qm_timeout_work);
}

/* The name for the log; dm may rename the device at any time. */
void qm_job_learn_name(struct qm_job *job)
{
	char name[DM_NAME_LEN];

	if (!dm_copy_name_and_uuid(job->md, name, NULL))
		strscpy(job->name, name, sizeof(job->name));
}

static struct qm_job *make_job(struct qm_target *t)
{
	struct qm_job *job = kzalloc(sizeof(*job), GFP_KERNEL);
	bc_mode_t source_mode = BC_OPEN_READ;
	int r;

	if (!job)
		return ERR_PTR(-ENOMEM);

	init_job(job);
	job->md = dm_table_get_md(t->ti->table);
	strscpy(job->name, dm_device_name(job->md), sizeof(job->name));
	qm_job_learn_name(job);
	job->args = t->args;
	job->len = t->ti->len;
	job->chunk_shift = ilog2(t->args.granularity);
	job->nr_chunks = qm_chunk(job, job->len - 1) + 1;
	job->state = t->args.sync == QM_SYNC_BITMAP ? QM_PAUSED : QM_RUNNING;
	job->quiet = true;
	job->quiescing = true;

	if (dm_table_get_mode(t->ti->table) & BC_OPEN_WRITE)
		source_mode |= BC_OPEN_WRITE;
	r = open_leg(&job->leg[QM_SOURCE], t->dev[QM_SOURCE]->bdev,
		     t->start[QM_SOURCE], source_mode);
	if (!r)
		r = open_leg(&job->leg[QM_TARGET], t->dev[QM_TARGET]->bdev,
			     t->start[QM_TARGET], BC_OPEN_READ | BC_OPEN_WRITE);
	if (!r)
		r = bc_range_lock_init(&job->ranges);
	if (!r)
		r = make_bitmaps(job);
	if (!r)
		r = make_background(job);
	if (!r)
		r = make_queues(job);
	if (!r)
		r = qm_legs_init(job);
	if (!r)
		r = qm_copy_init(job);
	if (!r) {
		job->stats = alloc_percpu(struct qm_stats);
		r = job->stats ? 0 : -ENOMEM;
	}
	if (r) {
		free_job(job);
		return ERR_PTR(r);
	}
	return job;
}

static void cancel_works(struct qm_job *job)
{
	cancel_work_sync(&job->orphan_work);
	cancel_delayed_work_sync(&job->timeout_work);
	cancel_delayed_work_sync(&job->state_work);
	/* These may have something in their hands: let them end it. */
	flush_work(&job->send_work);
	flush_work(&job->io_work);
	cancel_delayed_work_sync(&job->copy.work);
}

/*
 * Nobody refers to the job any more.  Completions that let the last orphan or
 * unit end may still be on their way out: they are RCU readers.
 */
static void release_job(struct qm_job *job)
{
	mutex_lock(&qm_jobs_lock);
	list_del(&job->node);
	mutex_unlock(&qm_jobs_lock);

	synchronize_rcu();
	cancel_works(job);
	if (job->was_killed) {
		/* The callbacks that percpu_ref_kill() left behind. */
		percpu_ref_switch_to_atomic_sync(&job->background);
		rcu_barrier();
	}
	/* One may have queued another that was cancelled before. */
	cancel_works(job);
	cancel_work_sync(&job->event_work);
	free_job(job);
}

/* After the last orphan: on its own, because it cancels qm_orphan_work(). */
void qm_release_work(struct work_struct *work)
{
	struct qm_job *job = container_of(work, struct qm_job, release_work);

	release_job(job);
	/*
	 * The queue this runs on is destroyed, and so waited for, before our
	 * text goes away.
	 */
	module_put(THIS_MODULE);
}

static void release_sync(struct kref *ref)
{
	release_job(container_of(ref, struct qm_job, ref));
}

static void release_later(struct kref *ref)
{
	struct qm_job *job = container_of(ref, struct qm_job, ref);

	queue_work(qm_wq, &job->release_work);
}

/* Drop a table's reference.  May sleep. */
void qm_job_put(struct qm_job *job)
{
	kref_put(&job->ref, release_sync);
}

/* Drop the reference of the orphans, and of the module that they held. */
void qm_job_put_orphans(struct qm_job *job)
{
	if (!kref_put(&job->ref, release_later))
		module_put(THIS_MODULE);
}

/*
 * The registry
 */

static bool overlap(struct block_device *a, sector_t a_start,
		    struct block_device *b, sector_t b_start, sector_t a_len,
		    sector_t b_len)
{
	if (a->bd_disk != b->bd_disk)
		return false;
	a_start += get_start_sect(a);
	b_start += get_start_sect(b);
	return a_start < b_start + b_len && b_start < a_start + a_len;
}

/* Does anything that is not this device's own use the target's range? */
static bool target_is_used(struct qm_target *t, struct mapped_device *md)
{
	struct block_device *bdev = t->dev[QM_TARGET]->bdev;
	struct qm_job *job;
	int side;

	list_for_each_entry(job, &qm_jobs, node) {
		bool orphans = READ_ONCE(job->nr_orphans);

		if (!orphans && (job->md == md ||
				 READ_ONCE(job->state) == QM_CONCLUDED ||
				 test_bit(QM_GIVE_UP_GONE, &job->giving_up)))
			continue;
		if (orphans && job->md == md && job->live)
			continue;	/* joins, or is refused as another line */
		for (side = 0; side < QM_NR_SIDES; side++)
			if (job->leg[side].handle &&
			    overlap(bdev, t->start[QM_TARGET],
				    job->leg[side].bdev, job->leg[side].start,
				    t->ti->len, job->len))
				return true;
	}
	return false;
}

static struct qm_job *job_of_device(struct mapped_device *md)
{
	struct qm_job *job;

	list_for_each_entry(job, &qm_jobs, node)
		if (job->md == md && job->started && job->live)
			return job;
	return NULL;
}

static bool same_line(struct qm_target *t, struct qm_job *job)
{
	int side;

	for (side = 0; side < QM_NR_SIDES; side++)
		if (t->dev[side]->bdev->bd_dev != job->leg[side].bdev->bd_dev ||
		    t->start[side] != job->leg[side].start)
			return false;
	return t->ti->len == job->len &&
	       t->args.granularity == job->args.granularity;
}

/* A line that repeats a job's: what it may not change stays. */
static int join(struct qm_target *t, struct qm_job *job)
{
	t->args.sync = job->args.sync;
	t->args.target_is_zero = job->args.target_is_zero;
	if (t->args.buf_size != job->args.buf_size) {
		t->pool = qm_pool_create(&t->args, job->len);
		if (IS_ERR(t->pool)) {
			int r = PTR_ERR(t->pool);

			t->pool = NULL;
			t->ti->error = "Cannot allocate buf_size";
			return r;
		}
	}
	kref_get(&job->ref);
	t->job = job;
	t->joins = true;
	return 0;
}

/**
 * qm_job_get() - find the job of a new table line, or make one
 * @t: line parsed, devices open
 *
 * Return: 0, or a negative errno and ti->error.  Changes nothing that is live.
 * May sleep.
 */
int qm_job_get(struct qm_target *t)
{
	struct mapped_device *md = dm_table_get_md(t->ti->table);
	struct qm_job *job;
	int r = 0;

	mutex_lock(&qm_jobs_lock);
	job = job_of_device(md);
	if (job && same_line(t, job)) {
		r = join(t, job);
		goto out;
	}
	if (job && READ_ONCE(job->state) != QM_CONCLUDED) {
		t->ti->error = "Another job of this device is not concluded";
		r = -EBUSY;
		goto out;
	}
	if (target_is_used(t, md)) {
		t->ti->error = "Target range is in use by another mirror";
		r = -EBUSY;
		goto out;
	}
	job = make_job(t);
	if (IS_ERR(job)) {
		r = PTR_ERR(job);
		t->ti->error = r == -ENOMEM ? "Cannot allocate memory" :
					      "Cannot open a leg";
		goto out;
	}
	list_add_tail(&job->node, &qm_jobs);
	t->job = job;
out:
	mutex_unlock(&qm_jobs_lock);
	return r;
}

/*
 * Tables come and go
 */

static void take_args(struct qm_job *job, struct qm_target *t)
{
	u64 buf_size = job->args.buf_size;

	if (t->pool && qm_copy_set_pool(job, t->pool)) {
		t->pool = NULL;
		buf_size = t->args.buf_size;
	}
	job->args = t->args;
	job->args.buf_size = buf_size;
}

/**
 * qm_job_adopt() - a table of the job is live, or live again
 * @t: the table line
 *
 * From dm's resume: no I/O flows yet.  Cannot fail.  May sleep.
 */
void qm_job_adopt(struct qm_target *t)
{
	struct qm_job *job = t->job;
	bool first;

	mutex_lock(&job->verb_lock);
	if (t->joins && job->live != t)
		take_args(job, t);
	mutex_lock(&job->live_lock);
	job->live = t;
	mutex_unlock(&job->live_lock);
	qm_job_learn_name(job);

	spin_lock_irq(&job->lock);
	first = !job->started;
	job->started = true;
	job->quiet = false;
	job->final = false;
	job->flush_wanted = false;
	job->quiescing = false;
	clear_bit(QM_GIVE_UP_SUSPEND, &job->giving_up);
	if (first)
		__qm_event(job, QM_EV_STATE);
	spin_unlock_irq(&job->lock);

	qm_job_update_mode(job);
	qm_copy_set_speed(job);
	qm_copy_kick(job, 0);
	qm_kick_state(job);
	mod_delayed_work(qm_wq, &job->timeout_work, 0);
	mutex_unlock(&job->verb_lock);
}

/**
 * qm_job_detach() - a table goes away
 * @t: the table line
 *
 * If it was the live one the job ends here, whatever it did: the device has
 * another table now, or none.  Waits for nothing that the target owes us.
 */
void qm_job_detach(struct qm_target *t)
{
	struct qm_job *job = t->job;
	bool ended = false;

	mutex_lock(&qm_jobs_lock);
	mutex_lock(&job->live_lock);
	if (job->live == t) {
		job->live = NULL;
		ended = true;
	}
	mutex_unlock(&job->live_lock);
	mutex_unlock(&qm_jobs_lock);

	if (ended) {
		if (!qm_ended(job)) {
			DMINFO("%s: table replaced or removed in state %s%s",
			       job->name, qm_state_names[job->state],
			       job->final ? ", final" : "");
			dm_table_event(t->ti->table);
		}
		spin_lock_irq(&job->lock);
		if (job->state < QM_ABORTING)
			WRITE_ONCE(job->state, QM_ABORTING);
		spin_unlock_irq(&job->lock);
		set_bit(QM_GIVE_UP_GONE, &job->giving_up);
		qm_give_up(job, 0);
		qm_units_give_up(job, 0);
		/* Orphans on the target are no reason to hold the source. */
		mutex_lock(&qm_jobs_lock);
		if (!qm_units_read(job)) {
			close_leg(&job->leg[QM_SOURCE]);
			job->leg[QM_SOURCE].handle = NULL;
		}
		mutex_unlock(&qm_jobs_lock);
	}
	qm_job_put(job);
}

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
 */
bool qm_job_clean(struct qm_job *job)
{
	int seq = atomic_read(&job->copy.seq);

	smp_rmb();
	if (bc_bitmap_count(&job->dirty))
		return false;
	/* Pairs with account_begin(), which is busy before it clears. */
	smp_rmb();
	if (atomic_read(&job->copy.busy) || READ_ONCE(job->copy.big_left) ||
	    READ_ONCE(job->nr_orphans))
		return false;
	smp_rmb();
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
	smp_mb();	/* (D) as above */
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
		smp_mb();	/* (D) see qm_marked() */
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
		qm_kick_state(job);
		if (time_before(jiffies, end))
			wait_event_timeout(job->wait,
					   READ_ONCE(job->state) !=
					   QM_PENDING ||
					   (!READ_ONCE(job->flush_wanted) &&
					    !READ_ONCE(job->flushing)),
					   end - jiffies);
	}
	qm_job_try_final(job);
}

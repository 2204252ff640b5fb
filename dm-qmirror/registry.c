// SPDX-License-Identifier: GPL-2.0
/*
 * Jobs: made by a constructor, found again by the next table of the device,
 * let go with the last table or the last orphan.
 *
 * A job belongs to the dm device, not to the table.  Every table line holds a
 * reference, and so do all orphans together; the live one is job->live.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "qmirror.h"

/* Every job there is, also those that only orphans hold; bc_claims_lock. */
static LIST_HEAD(qm_jobs);

/*
 * Making and letting go
 */

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
	bc_leg_close(&job->leg[QM_SOURCE]);
	bc_leg_close(&job->leg[QM_TARGET]);
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

static void release_work(struct work_struct *work);

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
	seqcount_init(&job->copy.moves);
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
	ratelimit_default_init(&job->synced_log);
	/* What was left out is told by nobody: it says nothing that counts. */
	ratelimit_set_flags(&job->synced_log, RATELIMIT_MSG_ON_RELEASE);
	INIT_WORK(&job->orphan_work, qm_orphan_work);
	INIT_WORK(&job->release_work, release_work);
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

/*
 * For other lines: a job counts until it has concluded or lost its table, and
 * as long as it has orphans.  Its own device's next line may take its range,
 * but not from orphans that no live table answers for.
 */
static bool claim_held(struct bc_claim *claim, enum bc_claim_use use,
		       const void *owner)
{
	struct qm_job *job = container_of(claim, struct qm_job, claim);
	bool orphans = READ_ONCE(job->nr_orphans);

	if (use == BC_CLAIM_LINE)
		return job->started && job->live &&
		       READ_ONCE(job->state) != QM_CONCLUDED;
	if (job->md == owner)
		return orphans && !job->live;
	return orphans || (READ_ONCE(job->state) != QM_CONCLUDED &&
			   !test_bit(QM_GIVE_UP_GONE, &job->giving_up));
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
	job->claim.owner = job->md;
	job->claim.legs = job->leg;
	job->claim.nr_legs = QM_NR_SIDES;
	job->claim.len = t->ti->len;
	job->claim.held = claim_held;
	job->args = t->args;
	job->len = t->ti->len;
	job->chunk_shift = ilog2(t->args.granularity);
	job->nr_chunks = qm_chunk(job, job->len - 1) + 1;
	job->state = t->args.sync == QM_SYNC_BITMAP ? QM_PAUSED : QM_RUNNING;
	job->quiet = true;
	job->quiescing = true;

	if (dm_table_get_mode(t->ti->table) & BC_OPEN_WRITE)
		source_mode |= BC_OPEN_WRITE;
	r = bc_leg_open(&job->leg[QM_SOURCE], t->dev[QM_SOURCE]->bdev,
			t->start[QM_SOURCE], source_mode);
	if (!r)
		r = bc_leg_open(&job->leg[QM_TARGET], t->dev[QM_TARGET]->bdev,
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
	mutex_lock(&bc_claims_lock);
	list_del(&job->node);
	bc_claim_remove(&job->claim);
	mutex_unlock(&bc_claims_lock);

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
static void release_work(struct work_struct *work)
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

/* Drop the reference of the orphans, and of the module that they held. */
void qm_job_put_orphans(struct qm_job *job)
{
	if (!kref_put(&job->ref, release_later))
		module_put(THIS_MODULE);
}

/*
 * The registry
 */

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

	mutex_lock(&bc_claims_lock);
	job = job_of_device(md);
	if (job && same_line(t, job)) {
		r = join(t, job);
		goto out;
	}
	if (bc_claim_line_busy(md, NULL)) {
		t->ti->error = "Another job or snapshot of this device is not over";
		r = -EBUSY;
		goto out;
	}
	if (bc_claim_range_busy(md, t->dev[QM_TARGET]->bdev,
				t->start[QM_TARGET], t->ti->len)) {
		t->ti->error = "Target range is in use by another mirror or snapshot";
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
	bc_claim_add(&job->claim);
	t->job = job;
out:
	mutex_unlock(&bc_claims_lock);
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
	if (job->args.speed != READ_ONCE(job->copy.new_speed))
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
	static const char lost[] = ": the mirror is lost, the source has everything";
	struct qm_job *job = t->job;
	bool ended = false;

	mutex_lock(&bc_claims_lock);
	mutex_lock(&job->live_lock);
	if (job->live == t) {
		job->live = NULL;
		ended = true;
	}
	mutex_unlock(&job->live_lock);
	mutex_unlock(&bc_claims_lock);

	if (ended) {
		if (!qm_ended(job)) {
			/* After final it is how a job ends that was asked to. */
			if (job->final)
				DMINFO("%s: table replaced or removed in state %s, final",
				       job->name, qm_state_names[job->state]);
			else
				DMWARN("%s: table replaced or removed in state %s%s",
				       job->name, qm_state_names[job->state],
				       lost);
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
		flush_delayed_work(&job->copy.work);
		mutex_lock(&bc_claims_lock);
		if (!qm_units_read(job))
			bc_leg_close(&job->leg[QM_SOURCE]);
		mutex_unlock(&bc_claims_lock);
	}
	kref_put(&job->ref, release_sync);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshots: made by a filter's constructor, found again by the next table of
 * the device and by views, let go with the last table or the last orphan; and
 * what begins and ends an arming.
 */
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "cbw.h"

/* Every snapshot there is, also those that only views or orphans hold;
 * bc_claims_lock.
 */
static LIST_HEAD(snaps);

/*
 * Making and letting go
 */

/* Tolerates one that was made in part; nobody else sees it any more. */
static void free_snap(struct cbw_snap *snap)
{
	if (snap->io_wq)
		destroy_workqueue(snap->io_wq);
	if (snap->store_wq)
		destroy_workqueue(snap->store_wq);
	cbw_copies_exit(snap);
	bc_bitmap_exit(&snap->bits.pass);
	bc_bitmap_exit(&snap->bits.gone);
	bc_bitmap_exit(&snap->bits.unprotected);
	bc_leg_close(&snap->leg[CBW_SOURCE]);
	bc_leg_close(&snap->leg[CBW_STORE]);
	kfree(snap);
}

/*
 * Nobody refers to the snapshot any more.  Completions of the last copies may
 * still be on their way out: they are RCU readers.
 */
static void release_snap(struct cbw_snap *snap)
{
	mutex_lock(&bc_claims_lock);
	list_del(&snap->node);
	bc_claim_remove(&snap->claim);
	mutex_unlock(&bc_claims_lock);

	synchronize_rcu();
	cancel_delayed_work_sync(&snap->timeout_work);
	flush_work(&snap->store_work);
	flush_work(&snap->discard_work);
	flush_work(&snap->io_work);
	cancel_delayed_work_sync(&snap->event_work);
	free_snap(snap);
}

/* After the last orphan: on its own, because it ends the queues. */
static void release_work(struct work_struct *work)
{
	struct cbw_snap *snap = container_of(work, struct cbw_snap, release_work);

	release_snap(snap);
	/* cbw_wq is destroyed, and so waited for, before our text goes away. */
	module_put(THIS_MODULE);
}

static void release_sync(struct kref *ref)
{
	release_snap(container_of(ref, struct cbw_snap, ref));
}

static void release_later(struct kref *ref)
{
	struct cbw_snap *snap = container_of(ref, struct cbw_snap, ref);

	queue_work(cbw_wq, &snap->release_work);
}

/**
 * cbw_put_orphans() - drop what copies without a table held: snapshot, module
 * @snap: the snapshot; not to be touched any more
 *
 * Any context.
 */
void cbw_put_orphans(struct cbw_snap *snap)
{
	if (!kref_put(&snap->ref, release_later))
		module_put(THIS_MODULE);
}

/*
 * For other lines: a snapshot counts as long as a table answers for it or
 * something of it is in flight.  Its own device may load another line when it
 * is idle and nothing is in flight.
 */
static bool claim_held(struct bc_claim *claim, enum bc_claim_use use,
		       const void *owner)
{
	struct cbw_snap *snap = container_of(claim, struct cbw_snap, claim);

	if (use == BC_CLAIM_LINE)
		return snap->live && READ_ONCE(snap->bits.state) != CBW_IDLE;
	return READ_ONCE(snap->nr_busy) ||
	       (snap->md != owner && !READ_ONCE(snap->gone_table));
}

/* The name for the log; dm may rename the device at any time. */
void cbw_learn_name(struct cbw_snap *snap)
{
	char name[DM_NAME_LEN];

	if (!dm_copy_name_and_uuid(snap->md, name, NULL))
		strscpy(snap->name, name, sizeof(snap->name));
}

static int make_queues(struct cbw_snap *snap)
{
	const char *dev = dm_device_name(snap->md);

	snap->io_wq = alloc_workqueue("kcbw_io/%s",
				      WQ_MEM_RECLAIM | WQ_UNBOUND, 0, dev);
	snap->store_wq = alloc_workqueue("kcbw_store/%s",
					 WQ_MEM_RECLAIM | WQ_UNBOUND, 0, dev);
	return snap->io_wq && snap->store_wq ? 0 : -ENOMEM;
}

static int make_bitmaps(struct cbw_snap *snap)
{
	int r;

	r = bc_bitmap_init(&snap->bits.pass, snap->nr_clusters);
	if (!r)
		r = bc_bitmap_init(&snap->bits.gone, snap->nr_clusters);
	if (!r)
		r = bc_bitmap_init(&snap->bits.unprotected, snap->nr_clusters);
	return r;
}

static void init_snap(struct cbw_snap *snap)
{
	kref_init(&snap->ref);
	mutex_init(&snap->verb_lock);
	mutex_init(&snap->live_lock);
	spin_lock_init(&snap->lock);
	INIT_LIST_HEAD(&snap->node);
	INIT_LIST_HEAD(&snap->views);
	INIT_LIST_HEAD(&snap->slow);
	INIT_LIST_HEAD(&snap->ready);
	INIT_LIST_HEAD(&snap->starved);
	INIT_LIST_HEAD(&snap->free);
	INIT_LIST_HEAD(&snap->busy);
	INIT_LIST_HEAD(&snap->discards);
	init_llist_head(&snap->ended);
	init_llist_head(&snap->to_store);
	snap->copies = RB_ROOT_CACHED;
	INIT_WORK(&snap->io_work, cbw_io_work);
	INIT_WORK(&snap->store_work, cbw_store_work);
	INIT_WORK(&snap->discard_work, cbw_discard_work);
	INIT_DELAYED_WORK(&snap->event_work, cbw_event_work);
	INIT_WORK(&snap->release_work, release_work);
	INIT_DELAYED_WORK(&snap->timeout_work, cbw_timeout_work);
}

static void init_claim(struct cbw_snap *snap)
{
	snap->claim.owner = snap->md;
	snap->claim.legs = snap->leg;
	snap->claim.nr_legs = CBW_NR_SIDES;
	snap->claim.len = snap->len;
	snap->claim.held = claim_held;
}

static struct cbw_snap *make_snap(struct cbw_target *t)
{
	struct cbw_snap *snap = kzalloc(sizeof(*snap), GFP_KERNEL);
	int r;

	if (!snap)
		return ERR_PTR(-ENOMEM);

	init_snap(snap);
	snap->md = dm_table_get_md(t->ti->table);
	strscpy(snap->name, dm_device_name(snap->md), sizeof(snap->name));
	cbw_learn_name(snap);
	snap->args = t->args;
	snap->len = t->ti->len;
	snap->cluster_shift = ilog2(t->args.cluster_size);
	snap->nr_clusters = cbw_cluster(snap, snap->len - 1) + 1;
	snap->quiet = true;
	init_claim(snap);

	r = bc_leg_open(&snap->leg[CBW_SOURCE], t->dev[CBW_SOURCE]->bdev,
			t->start, BC_OPEN_READ);
	if (!r)
		r = bc_leg_open(&snap->leg[CBW_STORE], t->dev[CBW_STORE]->bdev,
				t->store_start, BC_OPEN_READ | BC_OPEN_WRITE);
	if (!r)
		r = make_bitmaps(snap);
	if (!r)
		r = cbw_copies_init(snap);
	if (!r)
		r = make_queues(snap);
	if (r) {
		free_snap(snap);
		return ERR_PTR(r);
	}
	return snap;
}

/*
 * The registry
 */

static struct cbw_snap *snap_of_device(struct mapped_device *md)
{
	struct cbw_snap *snap;

	list_for_each_entry(snap, &snaps, node)
		if (snap->md == md && snap->live)
			return snap;
	return NULL;
}

static bool same_legs(struct cbw_snap *snap, struct dm_dev **dev,
		      const sector_t *start, sector_t len)
{
	int side;

	for (side = 0; side < CBW_NR_SIDES; side++)
		if (!snap->leg[side].bdev ||
		    dev[side]->bdev->bd_dev != snap->leg[side].bdev->bd_dev ||
		    start[side] != snap->leg[side].start)
			return false;
	return len == snap->len;
}

static bool same_line(struct cbw_target *t, struct cbw_snap *snap)
{
	const sector_t start[] = { t->start, t->store_start };

	return same_legs(snap, t->dev, start, t->ti->len) &&
	       t->args.cluster_size == snap->args.cluster_size;
}

/**
 * cbw_snap_get() - find the snapshot of a new line, or make one
 * @t: line parsed, devices open
 *
 * Return: 0, or a negative errno and ti->error.  Changes nothing that is live.
 * May sleep.
 */
int cbw_snap_get(struct cbw_target *t)
{
	struct mapped_device *md = dm_table_get_md(t->ti->table);
	struct cbw_snap *snap;
	int r = 0;

	mutex_lock(&bc_claims_lock);
	snap = snap_of_device(md);
	if (snap && same_line(t, snap)) {
		kref_get(&snap->ref);
		t->snap = snap;
		t->joins = true;
		goto out;
	}
	if (bc_claim_line_busy(md, NULL)) {
		t->ti->error = "Another job or snapshot of this device is not over";
		r = -EBUSY;
		goto out;
	}
	if (bc_claim_range_busy(md, t->dev[CBW_STORE]->bdev, t->store_start,
				t->ti->len)) {
		t->ti->error = "Store range is in use by another mirror or snapshot";
		r = -EBUSY;
		goto out;
	}
	snap = make_snap(t);
	if (IS_ERR(snap)) {
		r = PTR_ERR(snap);
		t->ti->error = r == -ENOMEM ? "Cannot allocate memory" :
					      "Cannot open source or store";
		goto out;
	}
	list_add_tail(&snap->node, &snaps);
	bc_claim_add(&snap->claim);
	t->snap = snap;
out:
	mutex_unlock(&bc_claims_lock);
	return r;
}

/*
 * Armings
 */

static int refuse_arm(struct cbw_snap *snap, const char *why)
{
	DMWARN("%s: arm refused: %s", snap->name, why);
	return -EBUSY;
}

/* Views that were resumed before show this arming. */
static void bind_views(struct cbw_snap *snap)
{
	struct cbw_view *v;

	mutex_lock(&snap->live_lock);
	list_for_each_entry(v, &snap->views, list)
		if (!v->gen)
			WRITE_ONCE(v->gen, snap->bits.live_gen);
	mutex_unlock(&snap->live_lock);
}

/**
 * cbw_arm() - the snapshot is of this moment
 * @snap: the snapshot, verb_lock held
 *
 * Return: 0, -EBUSY with a log line.  Nothing to wait for and nothing to
 * allocate: the bitmaps were prepared when the last arming ended.
 */
int cbw_arm(struct cbw_snap *snap)
{
	lockdep_assert_held(&snap->verb_lock);
	if (!snap->quiet)
		return refuse_arm(snap, "the device is not suspended");

	spin_lock_irq(&snap->lock);
	if (snap->bits.state != CBW_IDLE || snap->nr_busy) {
		bool idle = snap->bits.state == CBW_IDLE;

		spin_unlock_irq(&snap->lock);
		return refuse_arm(snap, idle ?
				  "I/O of an earlier snapshot is in flight" :
				  "there is a snapshot already, disarm it first");
	}
	if (!++snap->last_gen)
		snap->last_gen++;
	snap->broken_gen = 0;
	cbw_bits_arm(&snap->bits, snap->last_gen);
	__cbw_event(snap, CBW_EV_ARMED);
	spin_unlock_irq(&snap->lock);

	bind_views(snap);
	return 0;
}

/**
 * __cbw_end_arming() - the snapshot is over
 * @snap: the snapshot, snap->lock held
 * @state: CBW_IDLE or CBW_BROKEN
 *
 * Everything that waits is let go; copies in flight become orphans.
 */
void __cbw_end_arming(struct cbw_snap *snap, enum cbw_state state)
{
	lockdep_assert_held(&snap->lock);
	if (state == CBW_BROKEN)
		snap->broken_gen = snap->bits.live_gen;
	cbw_bits_end(&snap->bits, state);
	__cbw_let_go(snap);
}

/**
 * cbw_disarm() - drop the snapshot
 * @snap: the snapshot, verb_lock held
 *
 * Return: 0, also when there was none.  Costs what was copied.
 */
int cbw_disarm(struct cbw_snap *snap)
{
	bool idle;

	lockdep_assert_held(&snap->verb_lock);
	spin_lock_irq(&snap->lock);
	idle = snap->bits.state == CBW_IDLE;
	if (!idle) {
		__cbw_end_arming(snap, CBW_IDLE);
		snap->error.error = 0;
		snap->failed_writes = 0;
		snap->copied = 0;
		__cbw_event(snap, CBW_EV_DISARMED);
	}
	spin_unlock_irq(&snap->lock);
	if (!idle)
		cbw_bits_reset(&snap->bits);
	return 0;
}

/*
 * Tables come and go
 */

/**
 * cbw_snap_adopt() - a table of the filter is live, or live again
 * @t: the table line
 *
 * From dm's resume: no I/O flows yet.  Cannot fail.  May sleep.
 */
void cbw_snap_adopt(struct cbw_target *t)
{
	struct cbw_snap *snap = t->snap;
	bool first;

	mutex_lock(&snap->verb_lock);
	if (t->joins && snap->live != t) {
		spin_lock_irq(&snap->lock);
		snap->args.on_cbw_error = t->args.on_cbw_error;
		WRITE_ONCE(snap->args.cbw_timeout, t->args.cbw_timeout);
		spin_unlock_irq(&snap->lock);
	}
	mutex_lock(&snap->live_lock);
	snap->live = t;
	mutex_unlock(&snap->live_lock);
	cbw_learn_name(snap);

	first = !snap->started;
	snap->started = true;
	/* A new snapshot: nothing that could refuse it. */
	if (first && !t->args.idle)
		cbw_arm(snap);
	WRITE_ONCE(snap->quiet, false);
	mutex_unlock(&snap->verb_lock);
	mod_delayed_work(cbw_wq, &snap->timeout_work, 0);
}

/*
 * Readers are told, first of all: the guest's writes may bypass us already.
 * Returns whether the snapshot has lost its table.
 */
static bool end_arming_of(struct cbw_target *t, enum cbw_state *state)
{
	struct cbw_snap *snap = t->snap;
	bool ended;

	mutex_lock(&snap->live_lock);
	/* One that never was live has nobody else. */
	ended = snap->live == t || !snap->started;
	mutex_unlock(&snap->live_lock);

	spin_lock_irq(&snap->lock);
	*state = snap->bits.state;
	if (ended)
		__cbw_end_arming(snap, CBW_IDLE);
	spin_unlock_irq(&snap->lock);
	return ended;
}

/* Copies in flight live on without a table. */
static void end_table(struct cbw_snap *snap, bool *reading)
{
	struct cbw_copy *copy;

	spin_lock_irq(&snap->lock);
	WRITE_ONCE(snap->gone_table, true);
	if (snap->nr_busy) {
		snap->orphan_ref = true;
		kref_get(&snap->ref);
		__module_get(THIS_MODULE);
	}
	*reading = false;
	list_for_each_entry(copy, &snap->busy, list)
		if (copy->reading)
			*reading = true;
	spin_unlock_irq(&snap->lock);
}

static void tell_views(struct cbw_snap *snap)
{
	struct cbw_view *v;

	mutex_lock(&snap->live_lock);
	list_for_each_entry(v, &snap->views, list)
		dm_table_event(v->ti->table);
	mutex_unlock(&snap->live_lock);
}

/**
 * cbw_snap_detach() - a table of the filter goes away
 * @t: the table line
 *
 * If it was the live one the snapshot ends here: the device has another table
 * now, or none.  Waits for nothing that the store owes us.
 */
void cbw_snap_detach(struct cbw_target *t)
{
	struct cbw_snap *snap = t->snap;
	enum cbw_state state;
	bool ended, reading;

	/* The registry may be busy for as long as a constructor takes. */
	ended = end_arming_of(t, &state);
	/* The news of an arming may still be late: before that of its end. */
	if (ended)
		flush_delayed_work(&snap->event_work);
	mutex_lock(&bc_claims_lock);
	if (ended) {
		mutex_lock(&snap->live_lock);
		snap->live = NULL;
		mutex_unlock(&snap->live_lock);
		end_table(snap, &reading);
		/* Orphans on the store are no reason to hold the source. */
		if (!reading)
			bc_leg_close(&snap->leg[CBW_SOURCE]);
	}
	mutex_unlock(&bc_claims_lock);

	if (ended && state != CBW_IDLE) {
		if (state == CBW_ARMED)
			DMWARN("%s: table replaced or removed while armed: the snapshot is lost",
			       snap->name);
		else
			DMINFO("%s: table replaced or removed while %s",
			       snap->name, cbw_state_names[state]);
		dm_table_event(t->ti->table);
		tell_views(snap);
	}
	kref_put(&snap->ref, release_sync);
}

/**
 * cbw_bypassed() - may the guest write without the filter's knowing?
 * @snap: the snapshot
 *
 * So it is when another table was resumed in place of ours, which is not told
 * before its destructor runs.  dm says suspended until after the first I/O of
 * the new table may have begun: what is left of the gap is the thawing of a file
 * system.  May sleep.
 */
bool cbw_bypassed(struct cbw_snap *snap)
{
	bool bypassed;

	mutex_lock(&snap->live_lock);
	bypassed = READ_ONCE(snap->quiet) &&
		   !(snap->live && dm_suspended(snap->live->ti));
	mutex_unlock(&snap->live_lock);
	return bypassed;
}

/**
 * cbw_snap_find() - the snapshot that a view's line names by its store
 * @v: devices open
 *
 * Return: 0, or a negative errno and ti->error.  May sleep.
 */
int cbw_snap_find(struct cbw_view *v)
{
	struct cbw_snap *snap, *found = NULL;
	bool store = false;

	mutex_lock(&bc_claims_lock);
	list_for_each_entry(snap, &snaps, node) {
		if (snap->gone_table)
			continue;
		store |= snap->leg[CBW_STORE].bdev->bd_dev ==
			 v->dev[CBW_STORE]->bdev->bd_dev;
		if (same_legs(snap, v->dev, v->start, v->ti->len) &&
		    (snap->live || !found || !found->live))
			found = snap;
	}
	if (found) {
		kref_get(&found->ref);
		v->snap = found;
	}
	mutex_unlock(&bc_claims_lock);

	if (found)
		return 0;
	return cbw_ctr_error(v->ti, store ?
			     "The cbw of this store has another source, offset or length" :
			     "No cbw has this store, load it first",
			     v->dev[CBW_STORE]->name, -ENODEV);
}

/**
 * cbw_view_bind() - a view's table is resumed for the first time
 * @v: the view
 *
 * It shows the arming that is live, else the next.  May sleep.
 */
void cbw_view_bind(struct cbw_view *v)
{
	mutex_lock(&v->snap->live_lock);
	WRITE_ONCE(v->gen, READ_ONCE(v->snap->bits.live_gen));
	list_add_tail(&v->list, &v->snap->views);
	mutex_unlock(&v->snap->live_lock);
}

/**
 * cbw_view_detach() - a view's table goes away
 * @v: the view
 */
void cbw_view_detach(struct cbw_view *v)
{
	mutex_lock(&v->snap->live_lock);
	list_del(&v->list);
	mutex_unlock(&v->snap->live_lock);
	kref_put(&v->snap->ref, release_sync);
}

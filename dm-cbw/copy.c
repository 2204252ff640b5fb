// SPDX-License-Identifier: GPL-2.0
/*
 * Guest writes that have to wait, and the copies they wait for.
 *
 *   map --some cluster not passed--> slow: wait for
 *	own copies	one is started for each run of clusters that is neither
 *			passed nor being copied
 *	a foreign copy	that is under way on one of the clusters; when it ends,
 *			well or not, the write looks again (C-9: it fails only
 *			because of its own I/O).  An orphan is a foreign copy
 *			for everybody, so a write that is tried again after a
 *			time-out waits for it and starts no second one.
 *	starved		for a free copy or pages, first come, first served
 *
 *   then	all passed	-> to the source
 *		own copy failed	-> break-guest-write: ends with its error
 *				   break-snapshot: the snapshot breaks, and with
 *				   it all waiting is over
 *		too slow	-> the same with ETIMEDOUT
 *
 * All of it is decided under snap->lock, which nobody takes whose clusters are
 * saved.  What is decided is done outside, in io_work or map.
 *
 * A copy goes through its run in pieces of at most 1 MiB (one, unless the
 * cluster is larger): read from the source, write to the store.  Completions
 * only push it on a list; io_work goes on with the source, store_work with the
 * store, where it may have to wait for a free tag: nothing of the guest's stands
 * behind it there.
 *
 * No deadlock: a write that holds nothing waits for copies, and a copy in
 * flight has all it needs.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "cbw.h"

enum verdict { PASS, WAIT, FAIL };

static struct bio *bio_of(struct cbw_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(*io));
}

/*
 * Memory
 */

static unsigned int pages_of(sector_t sectors)
{
	return DIV_ROUND_UP(min_t(sector_t, sectors, CBW_COPY_SECTORS),
			    PAGE_SIZE >> SECTOR_SHIFT);
}

/* What it takes to copy one cluster, or a piece of it. */
static unsigned int cluster_pages(const struct cbw_snap *snap)
{
	return pages_of(cbw_cluster_start(snap, 1));
}

static bool __can_copy(struct cbw_snap *snap)
{
	return !list_empty(&snap->free) && snap->nr_stock >= cluster_pages(snap);
}

/**
 * cbw_copies_init() - all the memory that copies will ever use
 * @snap: the snapshot
 *
 * Return: 0 or -ENOMEM; then cbw_copies_exit() undoes what was done.  May sleep
 * (GFP_KERNEL).
 */
int cbw_copies_init(struct cbw_snap *snap)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;
	struct cbw_copy *copy;
	unsigned int i;

	snap->stock = kvcalloc(CBW_NR_PAGES, sizeof(*snap->stock), gfp);
	if (!snap->stock)
		return -ENOMEM;
	for (i = 0; i < CBW_NR_PAGES; i++) {
		snap->stock[i] = alloc_page(gfp);
		if (!snap->stock[i])
			return -ENOMEM;
		snap->nr_stock++;
	}
	for (i = 0; i < CBW_NR_COPIES; i++) {
		copy = kvzalloc(struct_size(copy, bvecs, CBW_COPY_PAGES), gfp);
		if (!copy)
			return -ENOMEM;
		copy->snap = snap;
		INIT_LIST_HEAD(&copy->waiters);
		list_add(&copy->list, &snap->free);
	}
	return 0;
}

/**
 * cbw_copies_exit() - undo cbw_copies_init(); nothing is in flight
 * @snap: the snapshot
 */
void cbw_copies_exit(struct cbw_snap *snap)
{
	struct cbw_copy *copy, *next;

	list_for_each_entry_safe(copy, next, &snap->free, list)
		kvfree(copy);
	while (snap->nr_stock)
		__free_page(snap->stock[--snap->nr_stock]);
	kvfree(snap->stock);
}

/*
 * Copies
 */

static void copy_end_io(struct bio *bio);

/* Its bio is initialised for the piece at copy->pos. */
static void prepare(struct cbw_copy *copy, enum cbw_side side)
{
	struct cbw_snap *snap = copy->snap;
	struct bio *bio = &copy->bio;

	bio_init(bio, snap->leg[side].bdev, copy->bvecs, copy->nr_pages,
		 (side == CBW_SOURCE ? REQ_OP_READ : REQ_OP_WRITE) | REQ_SYNC);
	bio->bi_vcnt = DIV_ROUND_UP(copy->sectors, PAGE_SIZE >> SECTOR_SHIFT);
	bio->bi_iter.bi_size = copy->sectors << SECTOR_SHIFT;
	bio->bi_iter.bi_sector = snap->leg[side].start + copy->pos;
	bio->bi_end_io = copy_end_io;
}

/* Under lock: before the bio is sent to the source. */
static void __begin_piece(struct cbw_copy *copy, sector_t pos)
{
	sector_t end = cbw_cluster_end(copy->snap, copy->range.last);

	copy->pos = pos;
	copy->sectors = min_t(sector_t, end - pos, CBW_COPY_SECTORS);
	copy->reading = true;
	copy->writing = false;
}

/*
 * A copy of clusters [first, last], shorter if there are not pages for all;
 * NULL: none at all.
 */
static struct cbw_copy *__take_copy(struct cbw_snap *snap, unsigned long first,
				    unsigned long last)
{
	unsigned long most;
	struct cbw_copy *copy;
	unsigned int i;

	if (!__can_copy(snap))
		return NULL;
	/* The largest I/O, and what is in stock; a large cluster is one copy. */
	most = max(1UL, (unsigned long)CBW_COPY_SECTORS >> snap->cluster_shift);
	most = min_t(unsigned long, most, snap->nr_stock / cluster_pages(snap));
	last = min(last, first + most - 1);

	copy = list_first_entry(&snap->free, struct cbw_copy, list);
	list_move_tail(&copy->list, &snap->busy);
	copy->range.start = first;
	copy->range.last = last;
	bc_range_tree_insert(&snap->copies, &copy->range);
	copy->gen = snap->bits.live_gen;
	copy->nr_pages = pages_of(cbw_cluster_start(snap, last - first + 1));
	for (i = 0; i < copy->nr_pages; i++) {
		copy->bvecs[i].bv_page = snap->stock[--snap->nr_stock];
		copy->bvecs[i].bv_len = PAGE_SIZE;
		copy->bvecs[i].bv_offset = 0;
	}
	snap->copying += last - first + 1;
	WRITE_ONCE(snap->nr_busy, snap->nr_busy + 1);
	__begin_piece(copy, cbw_cluster_start(snap, first));
	return copy;
}

/* To the lists, from any context: the work items take it from there. */
static void copy_end_io(struct bio *bio)
{
	struct cbw_copy *copy = container_of(bio, struct cbw_copy, bio);
	struct cbw_snap *snap = copy->snap;

	/* The snapshot must not go away under our feet, see release_snap(). */
	rcu_read_lock();
	copy->status = bio->bi_status;
	if (copy->reading && !copy->status) {
		llist_add(&copy->node, &snap->to_store);
		queue_work(snap->store_wq, &snap->store_work);
	} else {
		llist_add(&copy->node, &snap->ended);
		queue_work(snap->io_wq, &snap->io_work);
	}
	rcu_read_unlock();
}

static void submit_reads(struct list_head *start)
{
	struct cbw_copy *copy;

	while ((copy = list_first_entry_or_null(start, struct cbw_copy, start))) {
		list_del(&copy->start);
		prepare(copy, CBW_SOURCE);
		submit_bio_noacct(&copy->bio);
	}
}

/* What has been read goes to the store, unless nobody wants it any more. */
void cbw_store_work(struct work_struct *work)
{
	struct cbw_snap *snap = container_of(work, struct cbw_snap, store_work);
	struct cbw_copy *copy, *next;
	struct llist_node *list;
	bool wanted;

	list = llist_reverse_order(llist_del_all(&snap->to_store));
	llist_for_each_entry_safe(copy, next, list, node) {
		bio_uninit(&copy->bio);
		/* Invariant 6: the store may be another snapshot's by now. */
		spin_lock_irq(&snap->lock);
		copy->reading = false;
		copy->writing = true;
		wanted = copy->gen == snap->bits.live_gen;
		spin_unlock_irq(&snap->lock);
		prepare(copy, CBW_STORE);
		if (wanted)
			submit_bio_noacct(&copy->bio);
		else
			bio_endio(&copy->bio);
	}
}

/* Copies and discards in flight are counted; without a table they hold us. */
void __cbw_not_busy(struct cbw_snap *snap)
{
	lockdep_assert_held(&snap->lock);
	WRITE_ONCE(snap->nr_busy, snap->nr_busy - 1);
	if (!snap->nr_busy && snap->orphan_ref) {
		snap->orphan_ref = false;
		cbw_put_orphans(snap);
	}
}

static void __add_ready(struct cbw_snap *snap, struct cbw_io *io)
{
	list_move_tail(&io->wait, &snap->ready);
}

/* The clusters are in the store: invariant 5, before any write is let go. */
static void __publish(struct cbw_snap *snap, struct cbw_copy *copy)
{
	unsigned long first = copy->range.start, last = copy->range.last, saved;

	/* Released while we wrote: the space is wanted back. */
	if (unlikely(cbw_bits_publish(&snap->bits, copy->gen, first, last, &saved)))
		__cbw_discard_gone(snap, first, last);
	snap->copied += saved;
}

static void __finish_owner(struct cbw_snap *snap, struct cbw_copy *copy,
			   bool failed)
{
	struct cbw_io *io = copy->owner;

	copy->owner = NULL;
	if (failed && !io->status) {
		io->status = copy->status;
		io->op = copy->writing ? CBW_WRITE : CBW_READ;
		io->sector = copy->pos;
	}
	if (!--io->copies)
		__add_ready(snap, io);
}

/* A copy is over, well or not. */
static void __finish_copy(struct cbw_snap *snap, struct cbw_copy *copy)
{
	unsigned long first = copy->range.start, last = copy->range.last;
	bool failed = copy->status;

	if (!failed)
		__publish(snap, copy);
	/* Released meanwhile: nobody loses anything. */
	if (failed && cbw_all_pass(&snap->bits, first, last))
		failed = false;

	bc_range_tree_remove(&snap->copies, &copy->range);
	snap->copying -= last - first + 1;
	while (copy->nr_pages) {
		struct bio_vec *bv = &copy->bvecs[--copy->nr_pages];

		snap->stock[snap->nr_stock++] = bv->bv_page;
	}
	list_move(&copy->list, &snap->free);
	list_splice_tail_init(&copy->waiters, &snap->ready);
	if (copy->owner)
		__finish_owner(snap, copy, failed);
	__cbw_not_busy(snap);
}

/*
 * Writes
 */

/* The write waits for nothing any more. */
static void __detach(struct cbw_snap *snap, struct cbw_io *io)
{
	struct cbw_copy *copy;

	if (io->copies)
		list_for_each_entry(copy, &snap->busy, list)
			if (copy->owner == io)
				copy->owner = NULL;
	io->copies = 0;
	__add_ready(snap, io);
}

static bool __all_pass(struct cbw_snap *snap, struct cbw_io *io)
{
	return cbw_all_pass(&snap->bits, io->first, io->last);
}

/*
 * Nobody needs to wait for the end of a copy any more whose clusters all pass,
 * and who waits for one of them may have to wait for another one now.
 */
static void __leave_copy(struct cbw_snap *snap, struct cbw_copy *copy)
{
	struct cbw_io *io = copy->owner;

	list_splice_tail_init(&copy->waiters, &snap->ready);
	if (!io || !cbw_all_pass(&snap->bits, copy->range.start, copy->range.last))
		return;
	copy->owner = NULL;
	if (!--io->copies)
		__add_ready(snap, io);
}

/**
 * cbw_look_again() - clusters were released: who waited for them goes on
 * @snap: the snapshot
 *
 * Also who waited for an orphan.  Any context that may take snap->lock.
 */
void cbw_look_again(struct cbw_snap *snap)
{
	struct cbw_copy *copy;
	struct cbw_io *io;

	spin_lock_irq(&snap->lock);
	list_for_each_entry(copy, &snap->busy, list)
		__leave_copy(snap, copy);
	list_for_each_entry(io, &snap->slow, slow)
		if (!io->status && __all_pass(snap, io))
			__detach(snap, io);
	spin_unlock_irq(&snap->lock);
	queue_work(snap->io_wq, &snap->io_work);
}

/**
 * __cbw_let_go() - nothing is armed any more: writes wait no longer
 * @snap: the snapshot, snap->lock held
 */
void __cbw_let_go(struct cbw_snap *snap)
{
	struct cbw_io *io;

	lockdep_assert_held(&snap->lock);
	list_for_each_entry(io, &snap->slow, slow)
		__detach(snap, io);
	queue_work(snap->io_wq, &snap->io_work);
}

/**
 * cbw_hand_back() - suspended without flush: give what waits back to dm
 * @snap: the snapshot
 *
 * All of it has gone when this returns: dm takes it only while it is being
 * suspended, and that a signal may end at any time.
 */
void cbw_hand_back(struct cbw_snap *snap)
{
	struct cbw_io *io, *next;
	LIST_HEAD(back);

	spin_lock_irq(&snap->lock);
	WRITE_ONCE(snap->hand_back, true);
	list_for_each_entry(io, &snap->slow, slow) {
		__detach(snap, io);
		list_del(&io->wait);
	}
	list_splice_init(&snap->slow, &back);
	spin_unlock_irq(&snap->lock);

	list_for_each_entry_safe(io, next, &back, slow) {
		struct bio *bio = bio_of(io);

		bio->bi_status = BLK_STS_DM_REQUEUE;
		bio_endio(bio);
	}
}

/*
 * Start what can be started for a write, and find out what it waits for.
 * @fresh: it is no turn of those who starve.  Copies to be submitted are moved
 * to @start.
 */
static enum verdict __look(struct cbw_snap *snap, struct cbw_io *io, bool fresh,
			   struct list_head *start)
{
	struct cbw_copy *foreign = NULL, *copy;
	unsigned long c = io->first, end;
	bool starved = false;

	if (snap->bits.state != CBW_ARMED)
		return PASS;
	while ((c = cbw_next_clear(&snap->bits.pass, c, io->last)) <= io->last) {
		struct bc_range *r;

		end = cbw_next_set(&snap->bits.pass, c, io->last) - 1;
		r = bc_range_tree_first(&snap->copies, c, end);
		if (r && r->start <= c) {
			if (!foreign)
				foreign = container_of(r, struct cbw_copy, range);
			c = r->last + 1;
			continue;
		}
		if (r)
			end = r->start - 1;
		copy = fresh && !list_empty(&snap->starved) ? NULL :
		       __take_copy(snap, c, end);
		if (!copy) {
			starved = true;
			break;
		}
		copy->owner = io;
		io->copies++;
		c = copy->range.last + 1;
		list_add_tail(&copy->start, start);
	}

	if (io->copies)
		return WAIT;
	if (foreign)
		list_add_tail(&io->wait, &foreign->waiters);
	else if (starved)
		list_add_tail(&io->wait, &snap->starved);
	return foreign || starved ? WAIT : PASS;
}

/* A write's own copy failed, or it took too long: who loses? */
static enum verdict __fail(struct cbw_snap *snap, struct cbw_io *io)
{
	bool first;

	if (snap->bits.state != CBW_ARMED)
		return PASS;
	first = __cbw_note_error(snap, blk_status_to_errno(io->status), io->op,
				 io->sector);
	if (snap->args.on_cbw_error == CBW_BREAK_SNAPSHOT) {
		list_del_init(&io->slow);
		__cbw_end_arming(snap, CBW_BROKEN);
		__cbw_event(snap, CBW_EV_BROKEN);
		return PASS;
	}
	snap->failed_writes++;
	if (first)
		__cbw_event(snap, CBW_EV_ERROR);
	return FAIL;
}

/* The next write that has something to do; a starved one if it can be fed. */
static struct cbw_io *__next_io(struct cbw_snap *snap)
{
	struct cbw_io *io;

	io = list_first_entry_or_null(&snap->ready, struct cbw_io, wait);
	if (!io && __can_copy(snap))
		io = list_first_entry_or_null(&snap->starved, struct cbw_io,
					      wait);
	if (io)
		list_del_init(&io->wait);
	return io;
}

static void end_io_wait(struct bio *bio, enum verdict v, blk_status_t status)
{
	switch (v) {
	case WAIT:
		break;
	case PASS:
		dm_submit_bio_remap(bio, NULL);
		break;
	case FAIL:
		bio->bi_status = status;
		bio_endio(bio);
		break;
	}
}

static void ready_work(struct cbw_snap *snap)
{
	LIST_HEAD(start);

	for (;;) {
		blk_status_t status = BLK_STS_OK;
		enum verdict v = WAIT;
		struct cbw_io *io;

		spin_lock_irq(&snap->lock);
		io = __next_io(snap);
		if (io) {
			status = io->status;
			v = status ? __fail(snap, io) :
				     __look(snap, io, false, &start);
			if (v != WAIT)
				list_del_init(&io->slow);
		}
		spin_unlock_irq(&snap->lock);
		if (!io)
			return;
		submit_reads(&start);
		end_io_wait(bio_of(io), v, status);
	}
}

/* The next piece of a large cluster, or the end of a copy. */
static void ended_work(struct cbw_snap *snap)
{
	struct cbw_copy *copy, *next;
	struct llist_node *list;
	LIST_HEAD(start);

	list = llist_reverse_order(llist_del_all(&snap->ended));
	llist_for_each_entry_safe(copy, next, list, node) {
		sector_t end = cbw_cluster_end(snap, copy->range.last);
		sector_t pos = copy->pos + copy->sectors;

		bio_uninit(&copy->bio);
		spin_lock_irq(&snap->lock);
		copy->reading = false;
		if (!copy->status && pos < end && copy->gen == snap->bits.live_gen) {
			__begin_piece(copy, pos);
			list_add_tail(&copy->start, &start);
		} else {
			__finish_copy(snap, copy);
		}
		spin_unlock_irq(&snap->lock);
	}
	submit_reads(&start);
}

/* Everything about writes that map must not do itself. */
void cbw_io_work(struct work_struct *work)
{
	struct cbw_snap *snap = container_of(work, struct cbw_snap, io_work);

	ended_work(snap);
	ready_work(snap);
}

/* Look a few times within the time, as long as anybody waits. */
static void __kick_timeout(struct cbw_snap *snap)
{
	unsigned int ms = READ_ONCE(snap->args.cbw_timeout);

	if (ms && !list_empty(&snap->slow))
		queue_delayed_work(cbw_wq, &snap->timeout_work,
				   msecs_to_jiffies(clamp(ms / 8, 1U, 1000U)));
}

/* Its time is over, unless it was about to go on anyway. */
static void __time_out(struct cbw_snap *snap, struct cbw_io *io)
{
	bool done = __all_pass(snap, io) || io->status;

	__detach(snap, io);
	/* The first of its copies that failed is the cause, if any did. */
	if (done)
		return;
	io->status = BLK_STS_TIMEOUT;
	io->op = CBW_TIMEOUT;
	io->sector = cbw_cluster_start(snap, io->first);
}

/* cbw_timeout: the clock covers all the waiting of a write (C-41). */
void cbw_timeout_work(struct work_struct *work)
{
	struct cbw_snap *snap = container_of(to_delayed_work(work),
					     struct cbw_snap, timeout_work);
	unsigned long limit;
	struct cbw_io *io;

	spin_lock_irq(&snap->lock);
	limit = msecs_to_jiffies(snap->args.cbw_timeout);
	list_for_each_entry(io, &snap->slow, slow)
		/* The tick it began in had begun before: not that one. */
		if (limit && time_after(jiffies, io->started + limit))
			__time_out(snap, io);
	__kick_timeout(snap);
	spin_unlock_irq(&snap->lock);
	queue_work(snap->io_wq, &snap->io_work);
}

/**
 * cbw_map_slow() - a write to clusters that are not all saved
 * @snap: the snapshot
 * @ti: the filter's line
 * @bio: dm's clone, remapped to the source
 * @first: first cluster
 * @last: last cluster
 *
 * Return: what map returns.
 */
int cbw_map_slow(struct cbw_snap *snap, struct dm_target *ti, struct bio *bio,
		 unsigned long first, unsigned long last)
{
	struct cbw_io *io = dm_per_bio_data(bio, sizeof(*io));
	unsigned long flags;
	enum verdict v;
	LIST_HEAD(start);

	/* Before anything is touched. */
	if (bio->bi_opf & REQ_NOWAIT) {
		bio_wouldblock_error(bio);
		return DM_MAPIO_SUBMITTED;
	}
	/* Nobody could poll for what waits here. */
	bio_clear_polled(bio);

	INIT_LIST_HEAD(&io->wait);
	io->first = first;
	io->last = last;
	io->started = jiffies;
	io->copies = 0;
	io->status = BLK_STS_OK;

	spin_lock_irqsave(&snap->lock, flags);
	/*
	 * A suspend that was interrupted lets I/O flow before presuspend_undo:
	 * then dm would take nothing back.
	 */
	if (unlikely(snap->hand_back) && dm_noflush_suspending(ti)) {
		spin_unlock_irqrestore(&snap->lock, flags);
		return DM_MAPIO_REQUEUE;
	}
	v = __look(snap, io, true, &start);
	if (v == WAIT) {
		list_add_tail(&io->slow, &snap->slow);
		__kick_timeout(snap);
	}
	spin_unlock_irqrestore(&snap->lock, flags);

	submit_reads(&start);
	return v == PASS ? DM_MAPIO_REMAPPED : DM_MAPIO_SUBMITTED;
}

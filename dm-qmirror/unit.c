// SPDX-License-Identifier: GPL-2.0
/*
 * Copy units: one piece of background copy from the dirty bits to the target.
 *
 * All memory of the background copy is here: a unit owns its pages, so that
 * buf_size is a hard bound and copying allocates nothing.
 *
 *   planned --range--> claim: clear the bits --> read source --> write target
 *      |                                            |                |
 *      `-> refused, queued (copy.c)                 v                v
 *                                           fail: mark dirty    ... next part
 *
 * A unit works on a window of its sectors: at first on all of them.  When that
 * fails and it has more than one chunk, it goes through them again chunk by
 * chunk, so that in the end only the chunks that really fail stay dirty.
 *
 * Steps run in the copier's work item.  Completions only push the unit on
 * copy.done.  Giving up is like that of legs (leg.c): one cmpxchg on
 * unit->state decides; an orphaned unit goes back to the pool when its I/O has
 * ended.
 */
#include <linux/slab.h>

#include "qmirror.h"
#include "unit.h"

static void free_unit(struct qm_unit *unit)
{
	while (unit->nr_pages)
		__free_page(unit->bvecs[--unit->nr_pages].bv_page);
	kvfree(unit->bvecs);
	kfree(unit);
}

static struct qm_unit *alloc_unit(unsigned int sectors)
{
	unsigned int i, pages = DIV_ROUND_UP(sectors << SECTOR_SHIFT, PAGE_SIZE);
	const gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
	struct qm_unit *unit;

	unit = kzalloc(sizeof(*unit), gfp);
	if (!unit)
		return NULL;

	INIT_LIST_HEAD(&unit->list);
	unit->bvecs = kvcalloc(pages, sizeof(*unit->bvecs), gfp);
	for (i = 0; unit->bvecs && i < pages; i++) {
		unit->bvecs[i].bv_page = alloc_page(gfp);
		if (!unit->bvecs[i].bv_page)
			break;
		unit->bvecs[i].bv_len = PAGE_SIZE;
		unit->nr_pages++;
	}
	if (unit->nr_pages == pages)
		return unit;

	free_unit(unit);
	return NULL;
}

/**
 * qm_pool_destroy() - free the units; none is in use
 * @pool: made by qm_pool_create(), or NULL
 */
void qm_pool_destroy(struct qm_pool *pool)
{
	unsigned int i;

	if (!pool)
		return;
	for (i = 0; i < pool->nr && pool->units[i]; i++)
		free_unit(pool->units[i]);
	kvfree(pool);
}

/**
 * qm_pool_create() - the units for a line's buf_size
 * @args: buf_size, granularity
 * @len: of the mirror, sectors: more than that is of no use
 *
 * Return: the pool or ERR_PTR(-ENOMEM).  May sleep.
 */
struct qm_pool *qm_pool_create(const struct qm_args *args, sector_t len)
{
	u64 total = min_t(u64, args->buf_size,
			  round_up(len, max_t(u64, args->granularity, 8)));
	unsigned int unit_sectors = min_t(u64, total, QM_UNIT_SECTORS);
	u64 nr = div_u64(total, unit_sectors);
	struct qm_pool *pool;
	unsigned int i;

	/* Rather refuse than have others killed for want of memory. */
	if (total >> (PAGE_SHIFT - SECTOR_SHIFT) > totalram_pages() / 2)
		return ERR_PTR(-ENOMEM);

	pool = kvzalloc(struct_size(pool, units, nr), GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	pool->nr = nr;
	pool->unit_sectors = unit_sectors;
	for (i = 0; i < nr; i++) {
		pool->units[i] = alloc_unit(unit_sectors);
		if (!pool->units[i]) {
			qm_pool_destroy(pool);
			return ERR_PTR(-ENOMEM);
		}
		cond_resched();
	}
	return pool;
}

static unsigned long first_chunk(const struct qm_unit *unit)
{
	return qm_chunk(unit->job, unit->sector);
}

static unsigned long last_chunk(const struct qm_unit *unit)
{
	return qm_chunk(unit->job, unit->sector + unit->sectors - 1);
}

/*
 * Completion and giving up
 */

static int state_of(const struct qm_unit *unit)
{
	return READ_ONCE(unit->state) & QM_UNIT_STATE_MASK;
}

/* Out of flight, where only the copier changes it. */
static void set_state(struct qm_unit *unit, int state)
{
	WRITE_ONCE(unit->state, (unit->state & ~QM_UNIT_STATE_MASK) | state);
}

/* From in flight, as it was when looked at, to another state; one wins. */
static bool leave_flight(struct qm_unit *unit, int seen, int state)
{
	return (seen & QM_UNIT_STATE_MASK) == QM_UNIT_IN_FLIGHT &&
	       cmpxchg(&unit->state, seen,
		       (seen & ~QM_UNIT_STATE_MASK) | state) == seen;
}

static void push_done(struct qm_unit *unit)
{
	llist_add(&unit->node, &unit->job->copy.done);
	qm_copy_kick(unit->job, 0);
}

static void unit_end_io(struct bio *bio)
{
	struct qm_unit *unit = container_of(bio, struct qm_unit, bio);
	struct qm_job *job = unit->job;
	unsigned long flags;

	/* The job must not go away under our feet, see release_job(). */
	rcu_read_lock();
	unit->status = bio->bi_status;
	if (likely(leave_flight(unit, READ_ONCE(unit->state), QM_UNIT_ENDED))) {
		push_done(unit);
	} else {
		/* An orphan: the lock keeps the job until we are through. */
		spin_lock_irqsave(&job->orphan_lock, flags);
		push_done(unit);
		spin_unlock_irqrestore(&job->orphan_lock, flags);
	}
	rcu_read_unlock();
}

/*
 * From here to account_end() the unit's chunks are neither clean nor, perhaps,
 * dirty.  A run begins when it is claimed, a piece when it is planned: the bit
 * of its chunk is clear already.
 */
static void account_begin(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;

	atomic_inc(&job->copy.busy);
	atomic_inc(&job->copy.seq);
	unit->counted = unit->sectors;
	atomic64_add(unit->counted, &job->copy.in_flight);
	smp_mb__after_atomic();	/* busy before clean, see qm_job_clean() */
}

/*
 * Take the run: its bits go, and are counted as in flight, in one step for who
 * reads the progress, or len would have them twice and shrink again (M-64).
 */
static void take_bits(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	unsigned long chunk;

	qm_moves_begin(&job->copy);
	account_begin(unit);
	for (chunk = first_chunk(unit); chunk <= last_chunk(unit); chunk++)
		bc_bitmap_clear(&job->dirty, chunk);
	qm_moves_end(&job->copy);
}

/* The window is on the target: the same for what was in flight. */
static void account_copied(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	unsigned int sectors = unit->window_end - unit->window;

	qm_moves_begin(&job->copy);
	atomic64_add(sectors, &job->copy.copied);
	atomic64_sub(sectors, &job->copy.in_flight);
	unit->counted -= sectors;
	qm_moves_end(&job->copy);
}

/* The unit has nothing in its hands any more; its chunks are as they are. */
static void account_end(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;

	atomic64_sub(unit->counted, &job->copy.in_flight);
	/* The bits before seq and busy, see qm_job_clean(). */
	smp_mb__before_atomic();
	atomic_inc(&job->copy.seq);
	if (atomic_dec_and_test(&job->copy.busy))
		wake_up(&job->wait);
}

/* Under orphan_lock.  The same order as for legs: orphan, dirty, let go. */
static void give_up_unit(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;

	unit->orphan.start = unit->sector;
	unit->orphan.last = unit->sector + unit->sectors - 1;
	__qm_orphan_add(job, &unit->orphan);
	bc_bitmap_set_range(&job->dirty, first_chunk(unit), last_chunk(unit));
	account_end(unit);
	bc_range_release(&job->ranges, &unit->range);
}

/* A guest write waits for it, and it has been writing for too long. */
static bool too_slow(const struct qm_unit *unit, int seen, unsigned long older)
{
	return (seen & QM_UNIT_STATE_MASK) == QM_UNIT_IN_FLIGHT &&
	       READ_ONCE(unit->range.waited) && unit->writing &&
	       time_after(jiffies, unit->started + older);
}

/**
 * qm_units_give_up() - stop waiting for copies
 * @job: the job
 * @older_than_ms: only those that a guest write waits for and that have been
 *		   writing for that long, as an error; 0: all
 *
 * May sleep.
 */
void qm_units_give_up(struct qm_job *job, unsigned int older_than_ms)
{
	struct qm_pool *pool = job->copy.pool;
	unsigned long older = msecs_to_jiffies(older_than_ms);
	unsigned int i, n = 0;
	bool judging = false;
	sector_t sector = 0;

	smp_mb();	/* (B) the flag before the look, as in qm_give_up() */
	for (i = 0; i < pool->nr; i++) {
		struct qm_unit *unit = pool->units[i];
		bool slow;
		int seen;

		spin_lock_irq(&job->orphan_lock);
		/* The state, with its generation, before what it is about. */
		seen = smp_load_acquire(&unit->state);
		slow = older_than_ms && too_slow(unit, seen, older);
		/* It may end, an orphan, before the policy has acted. */
		if (slow && !judging) {
			qm_judge_begin(job);
			judging = true;
		}
		if ((!older_than_ms || slow) &&
		    leave_flight(unit, seen, QM_UNIT_GIVEN_UP)) {
			sector = unit->sector;
			give_up_unit(unit);
			n++;
		}
		spin_unlock_irq(&job->orphan_lock);
	}
	if (n) {
		qm_marked(job);
		if (older_than_ms)
			qm_job_error(job, QM_TARGET, QM_WRITE, -ETIMEDOUT,
				     sector);
		qm_kick_state(job);
	}
	if (judging)
		qm_judge_end(job);
}

/*
 * I/O
 */

/* Read or write a part of the window; the step goes on when it has ended. */
static void unit_io(struct qm_unit *unit, enum req_op op, sector_t sector,
		    unsigned int sectors)
{
	struct qm_job *job = unit->job;
	enum qm_side side = op == REQ_OP_READ ? QM_SOURCE : QM_TARGET;
	struct bio *bio = &unit->bio;

	unit->io_sector = sector;
	unit->io_sectors = sectors;
	unit->op = op;
	if (op == REQ_OP_WRITE_ZEROES) {
		bio_init(bio, job->leg[side].bdev, NULL, 0, op);
	} else {
		bio_init(bio, job->leg[side].bdev, unit->bvecs, unit->nr_pages,
			 op);
		bio->bi_vcnt = unit->nr_pages;
		bio->bi_iter.bi_size = unit->nr_pages * PAGE_SIZE;
		if (sector > unit->sector)
			bio_advance(bio, (sector - unit->sector) <<
				    SECTOR_SHIFT);
	}
	bio->bi_iter.bi_size = sectors << SECTOR_SHIFT;
	bio->bi_iter.bi_sector = job->leg[side].start + sector;
	bio->bi_end_io = unit_end_io;
	unit->started = jiffies;
	unit->writing = side == QM_TARGET;

	/* A new generation, see qm_units_give_up(); release: after its fields. */
	smp_store_release(&unit->state, QM_UNIT_IN_FLIGHT |
			  ((unit->state & ~QM_UNIT_STATE_MASK) +
			   QM_UNIT_GENERATION));
	smp_mb();	/* (B) see qm_leg_submit() */
	if (unlikely(READ_ONCE(job->giving_up))) {
		bio->bi_status = QM_STS_NOT_SENT;
		unit_end_io(bio);
		return;
	}
	if (side == QM_SOURCE) {
		submit_bio_noacct(bio);
		return;
	}
	/* The target may have no tags left: not from the copier. */
	llist_add(&unit->node, &job->send_units);
	queue_work(job->send_wq, &job->send_work);
}

/* From send_work: what unit_io() left to it. */
void qm_units_send(struct qm_job *job)
{
	struct llist_node *list = llist_del_all(&job->send_units);
	struct qm_unit *unit, *next;

	llist_for_each_entry_safe(unit, next, llist_reverse_order(list), node) {
		if (state_of(unit) == QM_UNIT_GIVEN_UP) {
			unit->bio.bi_status = QM_STS_NOT_SENT;
			unit_end_io(&unit->bio);
		} else {
			submit_bio_noacct(&unit->bio);
		}
	}
}

/**
 * qm_units_read() - does a unit that was given up still read the source?
 * @job: the job
 *
 * Return: true if one does.
 */
bool qm_units_read(struct qm_job *job)
{
	struct qm_pool *pool = job->copy.pool;
	unsigned int i;

	for (i = 0; i < pool->nr; i++)
		if (state_of(pool->units[i]) == QM_UNIT_GIVEN_UP &&
		    !pool->units[i]->writing)
			return true;
	return false;
}

static bool is_zero(struct qm_unit *unit, sector_t sector, unsigned int sectors)
{
	size_t offset = (sector - unit->sector) << SECTOR_SHIFT;
	size_t bytes = (size_t)sectors << SECTOR_SHIFT;

	while (bytes) {
		size_t in_page = offset & ~PAGE_MASK;
		size_t n = min(bytes, (size_t)PAGE_SIZE - in_page);
		struct page *page = unit->bvecs[offset >> PAGE_SHIFT].bv_page;

		if (memchr_inv(page_address(page) + in_page, 0, n))
			return false;
		offset += n;
		bytes -= n;
	}
	return true;
}

enum part { PART_DATA, PART_ZEROES, PART_NOTHING };

/* How the sectors of one chunk get to the target. */
static enum part kind_of_part(struct qm_unit *unit, sector_t sector,
			      unsigned int sectors)
{
	struct qm_job *job = unit->job;
	bool detect = READ_ONCE(job->args.zero_detect) &&
		      bdev_write_zeroes_sectors(job->leg[QM_TARGET].bdev);
	bool skip = job->track_sent &&
		    !bc_bitmap_test(&job->sent, qm_chunk(job, sector));

	if ((!detect && !skip) || !is_zero(unit, sector, sectors))
		return PART_DATA;
	return skip ? PART_NOTHING : PART_ZEROES;
}

/* The longest run of one kind at unit->pos, within the window. */
static enum part next_part(struct qm_unit *unit, unsigned int *sectors)
{
	struct qm_job *job = unit->job;
	sector_t at = unit->pos;
	enum part kind = PART_DATA;

	if (!job->track_sent && !READ_ONCE(job->args.zero_detect)) {
		*sectors = unit->window_end - at;
		return PART_DATA;
	}
	while (at < unit->window_end) {
		sector_t end = min(qm_chunk_end(job, qm_chunk(job, at)),
				   unit->window_end);
		enum part k = kind_of_part(unit, at, end - at);

		if (at == unit->pos)
			kind = k;
		else if (k != kind)
			break;
		at = end;
	}
	*sectors = at - unit->pos;
	return kind;
}

static void finish(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;

	if (unit->wrote)
		qm_since_set(job, unit->sector, unit->sectors);
	account_end(unit);
	bc_range_release(&job->ranges, &unit->range);
	set_state(unit, QM_UNIT_IDLE);
	list_add(&unit->list, &job->copy.free);
}

static void start_window(struct qm_unit *unit, sector_t end)
{
	unit->pos = unit->window;
	unit->window_end = end;
	unit_io(unit, REQ_OP_READ, unit->window, end - unit->window);
}

/* The window is done; on with the next, if there is one and it may be. */
static void next_window(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	sector_t end = unit->sector + unit->sectors;

	unit->window = unit->window_end;
	if (unit->window >= end) {
		finish(unit);
		return;
	}
	if (!qm_copy_allowed(job)) {
		qm_mark(job, unit->window, end - unit->window);
		finish(unit);
		return;
	}
	start_window(unit, qm_chunk_end(job, qm_chunk(job, unit->window)));
}

/* Write what the window needs, part by part. */
static void write_on(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	unsigned int sectors;
	enum part kind;

	while (unit->pos < unit->window_end) {
		kind = next_part(unit, &sectors);
		if (kind == PART_NOTHING) {
			unit->pos += sectors;
			continue;
		}
		if (job->track_sent)
			bc_bitmap_set_range(&job->sent,
					    qm_chunk(job, unit->pos),
					    qm_chunk(job, unit->pos +
						     sectors - 1));
		unit->wrote = true;
		unit_io(unit, kind == PART_ZEROES ? REQ_OP_WRITE_ZEROES :
						    REQ_OP_WRITE,
			unit->pos, sectors);
		return;
	}
	account_copied(unit);
	/* A piece says nothing about the rest of its chunk. */
	if (!unit->piece)
		qm_copy_note_success(job, qm_chunk(job, unit->window),
				     qm_chunk(job, unit->window_end - 1));
	next_window(unit);
}

/*
 * The window failed.  More than one chunk: each for itself now.  One chunk:
 * it is dirty again, then the policy (invariant 1).
 */
static void fail_window(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	unsigned long chunk = qm_chunk(job, unit->window);
	enum qm_side side = unit->writing ? QM_TARGET : QM_SOURCE;
	sector_t sector = qm_chunk_start(job, chunk);

	if (unit->status == QM_STS_NOT_SENT || READ_ONCE(job->giving_up)) {
		/* Not sent, see unit_io(), or too late: nobody's error. */
		qm_mark(job, unit->window,
			unit->sector + unit->sectors - unit->window);
		qm_unit_drop_piece(unit);
		finish(unit);
		return;
	}
	if (qm_chunk(job, unit->window_end - 1) > chunk) {
		start_window(unit, qm_chunk_end(job, chunk));
		return;
	}

	qm_copy_note_failure(job, chunk);
	qm_mark(job, unit->window, unit->window_end - unit->window);
	qm_unit_drop_piece(unit);
	qm_job_error(job, side, side == QM_SOURCE ? QM_READ : QM_WRITE,
		     blk_status_to_errno(unit->status), sector);
	next_window(unit);
}

/* The I/O of a unit has ended. */
static void step(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;

	bio_uninit(&unit->bio);
	if (state_of(unit) == QM_UNIT_GIVEN_UP) {
		qm_unit_drop_piece(unit);
		spin_lock_irq(&job->orphan_lock);
		set_state(unit, QM_UNIT_IDLE);
		list_add(&unit->list, &job->copy.free);
		__qm_orphan_remove(job, &unit->orphan);
		spin_unlock_irq(&job->orphan_lock);
		return;
	}

	if (unlikely(unit->status)) {
		if (unit->op == REQ_OP_WRITE_ZEROES &&
		    unit->status != QM_STS_NOT_SENT)
			unit_io(unit, REQ_OP_WRITE, unit->io_sector,
				unit->io_sectors);
		else
			fail_window(unit);
		return;
	}
	if (unit->op != REQ_OP_READ)
		unit->pos = unit->io_sector + unit->io_sectors;
	write_on(unit);
}

/* All units whose I/O has ended; from the copier's work item. */
void qm_units_step(struct qm_job *job)
{
	struct llist_node *list = llist_del_all(&job->copy.done);
	struct qm_unit *unit, *next;

	llist_for_each_entry_safe(unit, next, llist_reverse_order(list), node)
		step(unit);
}

/*
 * Getting the range
 */

/**
 * qm_unit_put_back() - no work after all: back to the pool
 * @unit: planned, off any list, its range not held
 *
 * A piece leaves its chunk dirty.
 */
void qm_unit_put_back(struct qm_unit *unit)
{
	if (unit->piece) {
		qm_mark(unit->job, unit->sector, unit->sectors);
		qm_unit_drop_piece(unit);
		account_end(unit);
	}
	set_state(unit, QM_UNIT_IDLE);
	list_add(&unit->list, &unit->job->copy.free);
}

/* The first run of dirty chunks in what was planned; false: none is left. */
static bool shrink_to_dirty(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	unsigned long chunk = first_chunk(unit), last = last_chunk(unit);
	unsigned long end;

	while (chunk <= last && !bc_bitmap_test(&job->dirty, chunk))
		chunk++;
	if (chunk > last)
		return false;
	for (end = chunk + 1; end <= last; end++)
		if (!bc_bitmap_test(&job->dirty, end))
			break;
	unit->sector = qm_chunk_start(job, chunk);
	unit->sectors = qm_chunk_end(job, end - 1) - unit->sector;
	return true;
}

/* No orphan in the chunks. */
static bool may_copy_there(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	sector_t from = qm_chunk_start(job, first_chunk(unit));

	return !qm_orphan_overlaps(job, from,
				   qm_chunk_end(job, last_chunk(unit)) - from);
}

/* Something is left to be copied, and may be. */
static bool may_claim(struct qm_unit *unit)
{
	return qm_copy_allowed(unit->job) &&
	       (unit->piece || shrink_to_dirty(unit)) && may_copy_there(unit);
}

/*
 * The unit holds its range: from here on no write-blocking write touches it.
 * Clear the bits, then read (invariant 2: bc_bitmap_clear() is a full barrier).
 */
static void claim_run(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;

	if (!may_claim(unit)) {
		bc_range_release(&job->ranges, &unit->range);
		qm_unit_put_back(unit);
		return;
	}

	if (!unit->piece)
		take_bits(unit);
	/*
	 * A discard holds no range: it may have become an orphan, and marked
	 * what we have just cleared, since may_claim() looked.  And (F) what
	 * we have just cleared may have been marked by an error whose policy
	 * forbids to copy it, or has not acted yet: see qm_judge_begin().
	 */
	if (unlikely(!qm_copy_allowed(job) ||
		     (READ_ONCE(job->nr_orphans) && !may_copy_there(unit)))) {
		if (!unit->piece) {
			qm_mark(job, unit->sector, unit->sectors);
			account_end(unit);
		}
		bc_range_release(&job->ranges, &unit->range);
		qm_unit_put_back(unit);
		return;
	}

	bc_rate_charge(&job->copy.rate, ktime_get_ns(), unit->sectors);
	unit->wrote = false;
	unit->window = unit->sector;
	start_window(unit, unit->sector + unit->sectors);
}

/* bc_range_release() of a guest write: any context. */
static void unit_granted(struct bc_range *range)
{
	struct qm_unit *unit = container_of(range, struct qm_unit, range);

	llist_add(&unit->node, &unit->job->copy.granted);
	qm_copy_kick(unit->job, 0);
}

/* Those that had queued and now hold their range. */
void qm_units_granted(struct qm_job *job)
{
	struct llist_node *list = llist_del_all(&job->copy.granted);
	struct qm_unit *unit, *next;

	llist_for_each_entry_safe(unit, next, llist_reverse_order(list), node) {
		list_del_init(&unit->list);
		claim_run(unit);
	}
}

/**
 * qm_unit_plan() - what a free unit is to copy
 * @unit: the unit, off any list
 * @job: its job
 * @sector: first sector of the mirror
 * @sectors: how many, within one zone
 * @piece: part of a chunk larger than a unit, whose bit is clear already
 */
void qm_unit_plan(struct qm_unit *unit, struct qm_job *job, sector_t sector,
		  unsigned int sectors, bool piece)
{
	unit->job = job;
	unit->sector = sector;
	unit->sectors = sectors;
	unit->piece = piece;
	unit->refusals = 0;
	unit->writing = false;
	unit->range.start = sector;
	unit->range.last = sector + sectors - 1;
	unit->range.kind = QM_RANGE_UNIT;
	unit->range.granted = unit_granted;
	if (piece)
		account_begin(unit);
}

/**
 * qm_unit_try() - take the range and go, or be refused, or queue
 * @unit: planned, off any list
 *
 * Refused QM_REFUSALS times a unit queues like a write: running writes of its
 * range end, later ones wait behind it (invariant 3; convergence).
 */
void qm_unit_try(struct qm_unit *unit)
{
	struct qm_job *job = unit->job;
	bool queue = unit->refusals >= QM_REFUSALS;

	/*
	 * Before it can be granted: unit_granted() may run at once, but what
	 * it kicks is the work item that we are in.
	 */
	set_state(unit, queue ? QM_UNIT_QUEUED : QM_UNIT_REFUSED);
	list_add_tail(&unit->list, &job->copy.refused);
	if (!bc_range_acquire(&job->ranges, &unit->range,
			      queue ? BC_RANGE_QUEUE : BC_RANGE_TRY)) {
		unit->refusals++;
		return;
	}
	list_del_init(&unit->list);
	claim_run(unit);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The copier: which dirty chunks are copied when.
 *
 * One work item per job does it all, so that nothing here needs a lock but
 * what unit.c and the bitmaps bring along.  A pass: finish what has ended,
 * start what got its range, try again what was refused, then pick new work
 * while there are free units and the speed limit allows.
 *
 * The sweep is circular (qemu-semantics M-17).  It begins behind the first MiB
 * and takes that last, when nothing else is in flight, so that an unfinished
 * target does not look like a file system.
 *
 * A chunk larger than a unit is cut into pieces.  Its bit is cleared before
 * the first piece is read; copy.big_left counts the pieces not yet issued, and
 * whatever goes wrong with one marks the chunk again.
 */
#include "unit.h"

/* A refused copy tries again so soon. */
#define RETRY_MS	2U
/* The first MiB waits for so many sweeps. */
#define MAX_WRAPS	4U

/* Run the copier, at the latest after @delay_ms.  Any context. */
void qm_copy_kick(struct qm_job *job, unsigned int delay_ms)
{
	if (delay_ms) {
		queue_delayed_work(job->copy_wq, &job->copy.work,
				   msecs_to_jiffies(delay_ms));
	} else {
		/* New dirt must not put this off, see qm_copy_new_dirt(). */
		WRITE_ONCE(job->copy.idle, 0);
		mod_delayed_work(job->copy_wq, &job->copy.work, 0);
	}
}

/* In background mode after READY writes gather for a moment (M-76). */
static unsigned int lag_ms(struct qm_job *job)
{
	return READ_ONCE(job->in_background) &&
	       READ_ONCE(job->state) == QM_READY ? QM_LAG_MS : 0;
}

/**
 * qm_copy_new_dirt() - wake the copier if it has nothing to do
 * @job: the job
 *
 * Any context.
 */
void qm_copy_new_dirt(struct qm_job *job)
{
	/* (E) The bit before the look at idle; pairs with (E) in go_idle(). */
	smp_mb();
	if (READ_ONCE(job->copy.idle) && xchg(&job->copy.idle, 0))
		mod_delayed_work(job->copy_wq, &job->copy.work,
				 msecs_to_jiffies(lag_ms(job)));
}

/* May anything be copied? */
bool qm_copy_allowed(struct qm_job *job)
{
	enum qm_state state;

	if (atomic_read(&job->judging))
		return false;
	/* (F) Over?  Then its verdict is seen, too; see qm_judge_end(). */
	smp_rmb();
	state = READ_ONCE(job->state);
	return (state == QM_RUNNING || state == QM_READY) &&
	       !READ_ONCE(job->quiescing) && !READ_ONCE(job->giving_up);
}

/* The limit of "speed", from the next pass on.  Under verb_lock. */
void qm_copy_set_speed(struct qm_job *job)
{
	WRITE_ONCE(job->copy.new_speed, job->args.speed);
	/* The value before the flag; pairs with the xchg() in apply_speed(). */
	smp_store_release(&job->copy.speed_changed, 1);
}

static void apply_speed(struct qm_copy *copy)
{
	if (xchg(&copy->speed_changed, 0))
		bc_rate_set(&copy->rate, READ_ONCE(copy->new_speed),
			    ktime_get_ns());
}

/*
 * Back-off of chunks that failed under "ignore"
 */

static struct qm_backoff *find_backoff(struct qm_copy *copy,
				       unsigned long chunk)
{
	unsigned int i, seen = 0;

	for (i = 0; seen < copy->nr_backoff && i < QM_NR_BACKOFF; i++) {
		struct qm_backoff *b = &copy->backoff[i];

		if (!b->ms)
			continue;
		if (chunk >= b->first && chunk <= b->last)
			return b;
		seen++;
	}
	return NULL;
}

static void free_backoff(struct qm_copy *copy, struct qm_backoff *b)
{
	b->ms = 0;
	copy->nr_backoff--;
	copy->backoff_all_ms = 0;
}

/* Two runs between which there is nothing any more are one. */
static void join_backoff(struct qm_copy *copy, struct qm_backoff *b,
			 struct qm_backoff *next)
{
	b->last = next->last;
	b->ms = max(b->ms, next->ms);
	b->open = max(b->open, next->open);
	/* Nothing waits longer than it was to: better too early. */
	if (time_before(next->until, b->until))
		b->until = next->until;
	free_backoff(copy, next);
}

/* A free entry for the chunk, which has none, or that of the run it continues. */
static struct qm_backoff *new_backoff(struct qm_copy *copy,
				      unsigned long chunk)
{
	struct qm_backoff *b = chunk ? find_backoff(copy, chunk - 1) : NULL;
	struct qm_backoff *next = find_backoff(copy, chunk + 1);
	unsigned int i;

	if (b) {
		b->last = chunk;
		if (next)
			join_backoff(copy, b, next);
		return b;
	}
	if (next) {
		next->first = chunk;
		return next;
	}
	for (i = 0; i < QM_NR_BACKOFF; i++) {
		b = &copy->backoff[i];
		if (!b->ms) {
			copy->nr_backoff++;
			b->first = chunk;
			b->last = chunk;
			return b;
		}
	}
	return NULL;
}

/**
 * qm_copy_note_failure() - a chunk could not be copied: not again for a while
 * @job: the job
 * @chunk: which
 *
 * From the copier only.  Failures cluster, so what is remembered is runs of
 * chunks, each with one time to wait, which grows once each time it is over.
 * When there are more than we remember, the whole copier waits.
 *
 * The first failure after a wait begins the next one, for the part of the run
 * that has been tried; the rest may be tried for a little while longer (see
 * may_try()), and what is left then is the first to be tried next time.
 */
void qm_copy_note_failure(struct qm_job *job, unsigned long chunk)
{
	struct qm_copy *copy = &job->copy;
	struct qm_backoff *b = find_backoff(copy, chunk);

	if (!b)
		b = new_backoff(copy, chunk);
	if (!b) {
		copy->backoff_all_ms = bc_backoff_next(copy->backoff_all_ms);
		copy->backoff_all = jiffies +
				    msecs_to_jiffies(copy->backoff_all_ms);
		return;
	}
	if (b->ms && time_before(jiffies, b->until)) {
		b->open = max(b->open, chunk + 1);
		return;
	}
	b->ms = bc_backoff_next(b->ms);
	b->until = jiffies + msecs_to_jiffies(b->ms);
	b->open = chunk + 1;
}

/* Of what was not reached, is there any that no orphan keeps, perhaps for ever? */
static bool not_reached(struct qm_job *job, const struct qm_backoff *b)
{
	unsigned long chunk = b->open;
	sector_t start, end;

	for (;;) {
		chunk = bc_bitmap_next(&job->dirty, chunk, b->last + 1);
		if (chunk > b->last)
			return false;
		start = qm_chunk_start(job, chunk);
		end = qm_orphan_end(job, start, qm_chunk_end(job, chunk) - start);
		if (!end)
			return true;
		chunk = qm_chunk(job, end - 1) + 1;
	}
}

/*
 * May this chunk of the run be tried?  While the run waits, only what was not
 * tried yet, and only in the first eighth of the time: a long stretch that is
 * dead must cost little.  When the time is over, first what was not reached
 * then, or a long run would never be tried but at its beginning.
 *
 * Returns @chunk if so, else the first chunk behind it that may be or is of no
 * concern to the run.
 */
static unsigned long may_try(struct qm_job *job, struct qm_backoff *b,
			     unsigned long chunk)
{
	unsigned long left = b->until - jiffies;
	unsigned int ms = b->ms;

	if (chunk >= b->open)
		return time_after_eq(jiffies, b->until) ||
		       left > msecs_to_jiffies(ms - ms / 8) ?
		       chunk : b->last + 1;
	if (time_before(jiffies, b->until))
		return min(b->open, b->last + 1);
	/* Its time is over. */
	if (not_reached(job, b))
		return b->open;
	b->open = b->first;
	return chunk;
}

/* One chunk less to wait; in the middle of a run the run is forgotten. */
static void shrink_backoff(struct qm_copy *copy, struct qm_backoff *b,
			   unsigned long chunk)
{
	if (b->first < b->last && chunk == b->first)
		b->first++;
	else if (b->first < b->last && chunk == b->last)
		b->last--;
	else
		free_backoff(copy, b);
}

/**
 * qm_copy_note_success() - chunks were copied: they need not wait any more
 * @job: the job
 * @first: first chunk
 * @last: last chunk
 *
 * From the copier only.
 */
void qm_copy_note_success(struct qm_job *job, unsigned long first,
			  unsigned long last)
{
	struct qm_copy *copy = &job->copy;
	struct qm_backoff *b;

	for (; copy->nr_backoff && first <= last; first++) {
		b = find_backoff(copy, first);
		if (b)
			shrink_backoff(copy, b, first);
	}
}

/*
 * Forget all after a resume, else the runs that somebody else made clean: a
 * chunk that is being tried again is clean, too, but not for that long.
 */
static void prune_backoff(struct qm_job *job)
{
	unsigned long old = jiffies - msecs_to_jiffies(2 * BC_BACKOFF_LAST);
	struct qm_copy *copy = &job->copy;
	bool all = xchg(&copy->forget_backoff, 0);
	unsigned int i;

	if (all)
		copy->backoff_all_ms = 0;
	for (i = 0; copy->nr_backoff && i < QM_NR_BACKOFF; i++) {
		struct qm_backoff *b = &copy->backoff[i];

		if (b->ms && (all || (time_before(b->until, old) &&
				      bc_bitmap_next(&job->dirty, b->first,
						     b->last + 1) > b->last)))
			free_backoff(copy, b);
	}
}

/*
 * The chunk itself, or, if it is not to be picked (it waits, has an orphan, or a
 * unit is after it already), the first behind all that has the same reason: one
 * that is copied must not cost a look at each of those that cannot be.
 */
static unsigned long skip_from(struct qm_job *job, unsigned long chunk)
{
	struct qm_copy *copy = &job->copy;
	sector_t start = qm_chunk_start(job, chunk);
	struct qm_backoff *b;
	struct qm_unit *unit;
	unsigned long next;
	sector_t end;

	if (copy->nr_backoff) {
		b = find_backoff(copy, chunk);
		next = b ? may_try(job, b, chunk) : chunk;
		if (next != chunk)
			return next;
	}
	list_for_each_entry(unit, &copy->refused, list) {
		end = unit->sector + unit->sectors;
		if (!unit->piece && start >= unit->sector && start < end)
			return qm_chunk(job, end - 1) + 1;
	}
	end = qm_orphan_end(job, start, qm_chunk_end(job, chunk) - start);
	return end ? qm_chunk(job, end - 1) + 1 : chunk;
}

/*
 * Picking
 */

static unsigned long next_in(struct qm_job *job, unsigned long from,
			     unsigned long end)
{
	unsigned long chunk = from, next;

	/* Counted before it is set: no need to look for what is not there. */
	if (!bc_bitmap_count(&job->dirty))
		return end;
	for (;;) {
		chunk = bc_bitmap_next(&job->dirty, chunk, end);
		if (chunk >= end)
			return chunk;
		next = skip_from(job, chunk);
		if (next == chunk)
			return chunk;
		chunk = next;
	}
}

/* The next chunk of the sweep, or nr_chunks: none, or none yet. */
static unsigned long next_chunk(struct qm_job *job)
{
	struct qm_copy *copy = &job->copy;
	unsigned long head = max(1UL, (unsigned long)(BC_ZONE_SECTORS >>
						      job->chunk_shift));
	unsigned long none = job->nr_chunks, chunk;

	head = min(head, none);
	if (copy->swept)
		head = 0;

	copy->next = max(copy->next, head);
	chunk = next_in(job, copy->next, none);
	if (chunk < none)
		return chunk;
	chunk = next_in(job, head, min(copy->next, none));
	if (chunk < min(copy->next, none))
		goto wrapped;
	if (copy->swept || next_in(job, 0, head) >= head)
		return none;

	/*
	 * Only the first MiB is left: when the others have ended.  Chunks that
	 * wait for their back-off or an orphan are not waited for.
	 */
	if (atomic_read(&copy->busy) || !list_empty(&copy->refused))
		return none;
	copy->swept = true;
	/* A guest's write may have cleaned it since we looked. */
	chunk = next_in(job, 0, head);
	return chunk < head ? chunk : none;

wrapped:
	/* Somebody dirties faster than we sweep: it has waited long enough. */
	if (++copy->wraps > MAX_WRAPS)
		copy->swept = true;
	return chunk;
}

/* How much one unit may take at most: about 100 ms worth of the limit. */
static unsigned int max_run(struct qm_job *job)
{
	u64 max = job->copy.pool->unit_sectors;

	if (job->copy.rate.speed)
		max = min(max, div_u64(job->copy.rate.speed, 10));
	return max;
}

/* From one dirty chunk to a run of them, within a zone. */
static void plan_run(struct qm_job *job, struct qm_unit *unit,
		     unsigned long chunk)
{
	sector_t start = qm_chunk_start(job, chunk);
	sector_t stop = min(round_down(start, BC_ZONE_SECTORS) +
			    BC_ZONE_SECTORS, start + max_run(job));
	unsigned long end = chunk + 1;

	while (end < job->nr_chunks && qm_chunk_start(job, end + 1) <= stop &&
	       bc_bitmap_test(&job->dirty, end) && skip_from(job, end) == end)
		end++;
	job->copy.next = end;
	qm_unit_plan(unit, job, start, qm_chunk_end(job, end - 1) - start,
		     false);
}

/*
 * A chunk larger than a unit
 */

static unsigned int nr_pieces(struct qm_job *job, unsigned long chunk)
{
	unsigned int sectors = qm_chunk_end(job, chunk) -
			       qm_chunk_start(job, chunk);

	return DIV_ROUND_UP(sectors, job->copy.pool->unit_sectors);
}

static void begin_big(struct qm_job *job, unsigned long chunk)
{
	struct qm_copy *copy = &job->copy;

	copy->big_chunk = chunk;
	qm_moves_begin(copy);
	atomic_inc(&copy->seq);
	WRITE_ONCE(copy->big_left, nr_pieces(job, chunk));
	copy->big_rest = qm_chunk_end(job, chunk) - qm_chunk_start(job, chunk);
	smp_mb();	/* left before clean, see qm_job_clean() */
	bc_bitmap_clear(&job->dirty, chunk);
	qm_moves_end(copy);
	/* plan_piece() looks for orphans after this: see check_again(). */
	copy->next = chunk + 1;
}

static void __forget_big(struct qm_copy *copy)
{
	atomic_inc(&copy->seq);
	smp_mb__after_atomic();	/* seq before left, see qm_job_clean() */
	WRITE_ONCE(copy->big_left, 0);
	copy->big_rest = 0;
}

/* The chunk is dirty again. */
static void forget_big(struct qm_copy *copy)
{
	qm_moves_begin(copy);
	__forget_big(copy);
	qm_moves_end(copy);
}

/* A piece failed or may not be copied; its chunk is dirty: forget the rest. */
void qm_unit_drop_piece(struct qm_unit *unit)
{
	struct qm_copy *copy = &unit->job->copy;

	if (unit->piece && qm_chunk(unit->job, unit->sector) == copy->big_chunk)
		forget_big(copy);
}

/* Pause: a chunk begun is a dirty chunk again, in one step (M-64). */
static void drop_big(struct qm_job *job)
{
	struct qm_copy *copy = &job->copy;
	bool fresh;

	if (!copy->big_left)
		return;
	qm_moves_begin(copy);
	fresh = bc_bitmap_set(&job->dirty, copy->big_chunk);
	__forget_big(copy);
	qm_moves_end(copy);
	if (fresh)
		qm_marked(job);
}

/* The next piece, the first of the first chunk last; false: not now. */
static bool plan_piece(struct qm_job *job, struct qm_unit *unit)
{
	struct qm_copy *copy = &job->copy;
	unsigned int n = nr_pieces(job, copy->big_chunk);
	unsigned int i = n - copy->big_left;
	unsigned int size = copy->pool->unit_sectors;
	sector_t start = qm_chunk_start(job, copy->big_chunk);
	sector_t end = qm_chunk_end(job, copy->big_chunk);

	if (qm_orphan_overlaps(job, start, end - start)) {
		drop_big(job);
		return false;
	}
	if (copy->big_chunk == 0) {
		if (copy->big_left == 1 && n > 1 && atomic_read(&copy->busy))
			return false;
		i = (i + 1) % n;
	}
	start += (sector_t)i * size;
	qm_moves_begin(copy);
	qm_unit_plan(unit, job, start, min_t(sector_t, size, end - start),
		     true);
	/* The piece counts by itself now, see qm_job_clean(). */
	WRITE_ONCE(copy->big_left, copy->big_left - 1);
	copy->big_rest -= unit->sectors;
	qm_moves_end(copy);
	return true;
}

/*
 * The pass
 */

/* What the next unit is to do; false: nothing now. */
static bool pick(struct qm_job *job, struct qm_unit *unit)
{
	struct qm_copy *copy = &job->copy;
	unsigned long chunk;

	if (!copy->big_left) {
		if (copy->backoff_all_ms &&
		    time_before(jiffies, copy->backoff_all))
			return false;
		chunk = next_chunk(job);
		if (chunk >= job->nr_chunks)
			return false;
		if (job->args.granularity <= copy->pool->unit_sectors) {
			plan_run(job, unit, chunk);
			return true;
		}
		begin_big(job, chunk);
	}
	return plan_piece(job, unit);
}

static struct qm_unit *take_free(struct qm_copy *copy)
{
	struct qm_unit *unit = list_first_entry_or_null(&copy->free,
							struct qm_unit, list);

	if (unit)
		list_del_init(&unit->list);
	return unit;
}

/* Returns how long to wait for the speed limit, ns; 0: not because of it. */
static u64 pick_work(struct qm_job *job)
{
	struct qm_copy *copy = &job->copy;
	struct qm_unit *unit;
	u64 delay;

	while (qm_copy_allowed(job)) {
		delay = bc_rate_delay(&copy->rate, ktime_get_ns());
		if (delay)
			return delay;
		unit = take_free(copy);
		if (!unit)
			return 0;
		if (!pick(job, unit)) {
			list_add(&unit->list, &copy->free);
			return 0;
		}
		qm_unit_try(unit);
	}
	return 0;
}

/* Those refused before; what may not be copied any more goes back. */
static void try_refused(struct qm_job *job)
{
	struct qm_copy *copy = &job->copy;
	struct qm_unit *unit, *next;
	LIST_HEAD(again);

	list_for_each_entry_safe(unit, next, &copy->refused, list)
		if (qm_unit_is(unit, QM_UNIT_REFUSED))
			list_move_tail(&unit->list, &again);

	list_for_each_entry_safe(unit, next, &again, list) {
		list_del_init(&unit->list);
		if (qm_copy_allowed(job)) {
			qm_unit_try(unit);
			continue;
		}
		qm_unit_put_back(unit);
	}
}

static bool any_refused(struct qm_copy *copy)
{
	struct qm_unit *unit;

	list_for_each_entry(unit, &copy->refused, list)
		if (qm_unit_is(unit, QM_UNIT_REFUSED))
			return true;
	return false;
}

/* When the first chunk may be tried again, ms; 0: none waits. */
static unsigned int backoff_left(struct qm_job *job)
{
	struct qm_copy *copy = &job->copy;
	unsigned long now = jiffies, first = now;
	unsigned int i;

	if (copy->backoff_all_ms && time_after(copy->backoff_all, now))
		first = copy->backoff_all;
	/*
	 * Those whose time is over and that were not picked all the same have
	 * an orphan or a unit: its end kicks us.
	 */
	for (i = 0; copy->nr_backoff && i < QM_NR_BACKOFF; i++)
		if (copy->backoff[i].ms &&
		    time_after(copy->backoff[i].until, now) &&
		    (first == now || time_before(copy->backoff[i].until, first)))
			first = copy->backoff[i].until;
	return first == now ? 0 : jiffies_to_msecs(first - now) + 1;
}

/*
 * Nothing to do, or nothing that may be done now: sleep until new dirt, or
 * until what waits for its time.
 */
static void go_idle(struct qm_job *job, u64 delay_ns, int marks)
{
	struct qm_copy *copy = &job->copy;
	unsigned int ms = 0;

	/* Whoever allows it again kicks us: no need to be woken by dirt. */
	if (!qm_copy_allowed(job))
		return;
	WRITE_ONCE(copy->idle, 1);
	/* (E) idle before the look for new dirt, see qm_copy_new_dirt(). */
	smp_mb();
	if (atomic_read(&job->marks) != marks) {
		/* Dirt came during this pass, perhaps behind our back. */
		qm_copy_kick(job, max(lag_ms(job), RETRY_MS));
		return;
	}

	if (delay_ns)
		ms = div_u64(delay_ns, NSEC_PER_MSEC) + 1;
	else if (any_refused(copy))
		ms = RETRY_MS;
	else
		ms = backoff_left(job);
	if (ms)
		qm_copy_kick(job, ms);
}

/* One pass. */
void qm_copy_work(struct work_struct *work)
{
	struct qm_job *job = container_of(to_delayed_work(work), struct qm_job,
					  copy.work);
	int marks = atomic_read(&job->marks);
	enum qm_state state;
	u64 delay;

	WRITE_ONCE(job->copy.idle, 0);
	smp_mb();	/* the count before the sweep; see go_idle() */
	apply_speed(&job->copy);
	qm_units_step(job);
	qm_units_granted(job);
	prune_backoff(job);
	try_refused(job);
	delay = pick_work(job);

	state = READ_ONCE(job->state);
	if (state == QM_PAUSED || state == QM_STANDBY || state >= QM_ABORTING)
		drop_big(job);
	go_idle(job, delay, marks);

	if (qm_job_clean(job) || state == QM_ABORTING)
		qm_kick_state(job);
}

/*
 * Making
 */

/* Put the units of a pool to work. */
static void use_pool(struct qm_job *job, struct qm_pool *pool)
{
	unsigned int i;

	job->copy.pool = pool;
	for (i = 0; i < pool->nr; i++)
		list_add_tail(&pool->units[i]->list, &job->copy.free);
}

/**
 * qm_copy_init() - the copier of a new job
 * @job: the job; args, len and chunks are known
 *
 * Return: 0 or -ENOMEM.  May sleep.
 */
int qm_copy_init(struct qm_job *job)
{
	struct qm_copy *copy = &job->copy;
	struct qm_pool *pool;

	INIT_DELAYED_WORK(&copy->work, qm_copy_work);
	init_llist_head(&copy->done);
	init_llist_head(&copy->granted);
	INIT_LIST_HEAD(&copy->free);
	INIT_LIST_HEAD(&copy->refused);

	pool = qm_pool_create(&job->args, job->len);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	use_pool(job, pool);
	return 0;
}

/**
 * qm_copy_set_pool() - another buf_size, from a reloaded line
 * @job: the job, quiet, verb_lock held
 * @pool: made for it; the job's if this succeeds
 *
 * Return: false when units are still out as orphans: then nothing changes.
 */
bool qm_copy_set_pool(struct qm_job *job, struct qm_pool *pool)
{
	struct qm_copy *copy = &job->copy;
	struct qm_pool *old = copy->pool;
	unsigned int i;

	if (READ_ONCE(job->nr_orphans))
		return false;
	/* Those who look through the units to give them up; kicked again. */
	cancel_delayed_work_sync(&job->timeout_work);
	cancel_delayed_work_sync(&job->state_work);
	/* Units that ended or were refused find their way back to the pool. */
	qm_copy_kick(job, 0);
	flush_delayed_work(&copy->work);
	cancel_delayed_work_sync(&copy->work);
	for (i = 0; i < old->nr; i++)
		if (!qm_unit_is(old->units[i], QM_UNIT_IDLE))
			return false;

	INIT_LIST_HEAD(&copy->free);
	use_pool(job, pool);
	/* Who was kicked meanwhile may still look at the old one. */
	cancel_delayed_work_sync(&job->state_work);
	qm_pool_destroy(old);
	return true;
}

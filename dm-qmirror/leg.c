// SPDX-License-Identifier: GPL-2.0
/*
 * Legs: what goes to the target on behalf of the guest, and how it is given
 * up when the target neither answers nor fails.
 *
 * The life of a leg that can be given up.  One cmpxchg on leg->state decides
 * who ends it, the target's completion or the giver:
 *
 *   IN_FLIGHT --target ends--> DONE -------> dm's clone ends, leg is freed
 *       \
 *        `-----giver---------> GIVEN_UP ---> dm's clone ends without us;
 *                                            the leg is an orphan until the
 *                                            target ends it, and is freed by
 *                                            the later of the two
 *
 * While orphans exist the job holds itself and its module (orphan_ref); the
 * work item that runs when the last one has ended drops both.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "qmirror.h"

/* What a write of zeroes is made of when the target has no WRITE_ZEROES. */
static struct bio_vec zero_bvecs[QM_UNIT_SECTORS >> (PAGE_SHIFT - SECTOR_SHIFT)];

/*
 * Legs of one page, the usual size of a write, are kept for the next one: the
 * page allocator would clear the page each time (init_on_alloc), only for us to
 * overwrite it.
 */
struct qm_leg_cache {
	struct qm_leg *first;
	unsigned int nr;
};

/* All CPUs together; 64 legs are 300 KiB. */
static unsigned int cache_limit(void)
{
	return clamp(64U / num_possible_cpus(), 1U, 16U);
}

static struct qm_leg *take_cached(struct qm_job *job)
{
	struct qm_leg_cache *cache;
	struct qm_leg *leg;
	unsigned long flags;

	local_irq_save(flags);
	cache = this_cpu_ptr(job->leg_cache);
	leg = cache->first;
	if (likely(leg)) {
		cache->first = leg->next;
		cache->nr--;
	}
	local_irq_restore(flags);
	return leg;
}

static bool put_cached(struct qm_job *job, struct qm_leg *leg)
{
	struct qm_leg_cache *cache;
	unsigned long flags;
	bool keep;

	local_irq_save(flags);
	cache = this_cpu_ptr(job->leg_cache);
	keep = cache->nr < job->leg_cache_limit;
	if (likely(keep)) {
		leg->next = cache->first;
		cache->first = leg;
		cache->nr++;
	}
	local_irq_restore(flags);
	return keep;
}

static void destroy_leg(struct qm_leg *leg)
{
	unsigned int i;

	for (i = 0; i < leg->nr_pages; i++)
		__free_page(leg->bvecs[i].bv_page);
	kfree(leg);
}

static void init_leg(struct qm_leg *leg)
{
	leg->guest = NULL;
	leg->done = NULL;
	leg->state = QM_LEG_IDLE;
	leg->ended = 0;
	leg->status = BLK_STS_OK;
	leg->owns_epoch = false;
	leg->flush = false;
	leg->bio.bi_bdev = NULL;
}

static struct qm_leg *create_leg(struct qm_job *job, unsigned int pages,
				 gfp_t gfp)
{
	struct qm_leg *leg = kmalloc(struct_size(leg, bvecs, pages),
				     gfp | __GFP_NOWARN);

	if (!leg)
		return NULL;

	leg->job = job;
	leg->reserve = false;
	INIT_LIST_HEAD(&leg->list);
	for (leg->nr_pages = 0; leg->nr_pages < pages; leg->nr_pages++) {
		struct bio_vec *bv = &leg->bvecs[leg->nr_pages];

		bv->bv_page = alloc_page(gfp | __GFP_NOWARN);
		if (!bv->bv_page) {
			destroy_leg(leg);
			return NULL;
		}
		bv->bv_len = PAGE_SIZE;
		bv->bv_offset = 0;
	}
	return leg;
}

/**
 * qm_leg_alloc() - a leg with room for a private copy
 * @job: the job
 * @pages: how many pages, 0 to those of QM_UNIT_SECTORS
 * @gfp: GFP_NOWAIT in map
 *
 * The length of the pages in bvecs[] is undefined.
 *
 * Return: the leg, its bio not initialised, or NULL.
 */
struct qm_leg *qm_leg_alloc(struct qm_job *job, unsigned int pages, gfp_t gfp)
{
	struct qm_leg *leg = pages == 1 ? take_cached(job) : NULL;

	if (!leg)
		leg = create_leg(job, pages, gfp);
	if (likely(leg))
		init_leg(leg);
	return leg;
}

/**
 * qm_leg_take_reserve() - the leg that is kept for want of memory
 * @job: the job
 *
 * Return: the reserve, large enough for QM_RESERVE_SECTORS, or NULL: it is in
 * use and io_work will run when it comes back.
 */
struct qm_leg *qm_leg_take_reserve(struct qm_job *job)
{
	struct qm_leg *leg = job->reserve;
	unsigned int i;

	if (test_and_set_bit(0, &job->reserve_busy))
		return NULL;

	init_leg(leg);
	for (i = 0; i < leg->nr_pages; i++)
		leg->bvecs[i].bv_len = PAGE_SIZE;
	return leg;
}

/**
 * qm_leg_free() - free a leg, or put the reserve back
 * @leg: neither side looks at it any more
 */
void qm_leg_free(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;

	if (leg->bio.bi_bdev)
		bio_uninit(&leg->bio);

	if (likely(!leg->reserve)) {
		if (leg->nr_pages != 1 || !put_cached(job, leg))
			destroy_leg(leg);
		return;
	}
	clear_bit_unlock(0, &job->reserve_busy);
	queue_work(job->io_wq, &job->io_work);
}

/*
 * The last word of the target about a leg that was given up.  Everything that
 * touches the job is done under the lock: qm_orphan_work() takes it before it
 * lets the job go, and release_job() waits for a grace period.
 */
static void orphan_ended(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;
	unsigned long flags;

	spin_lock_irqsave(&job->orphan_lock, flags);
	leg->ended |= QM_LEG_TARGET_ENDED;
	if (leg->ended & QM_LEG_IS_ORPHAN)
		__qm_orphan_remove(job, &leg->range);
	if (leg->ended & QM_LEG_GUEST_ENDED)
		qm_leg_free(leg);
	spin_unlock_irqrestore(&job->orphan_lock, flags);
}

/* Leave the rest to io_work, which may sleep, and may free the leg at once. */
static void defer_leg(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;

	llist_add(&leg->work, &job->leg_done);
	queue_work(job->io_wq, &job->io_work);
}

/* Nothing more is sent to the target; is anything left that was? */
static void count_undecided(struct bc_range *range, void *data)
{
	struct qm_io *io = container_of(range, struct qm_io, range);

	/* Pairs with the release where the leg is set. */
	if (range->kind == QM_RANGE_IO && !smp_load_acquire(&io->leg))
		++*(unsigned int *)data;
}

/**
 * qm_writes_left() - is there a guest write that may still reach the target?
 * @job: the job, giving_up set
 *
 * Those without a leg: they share the guest's pages and cannot be given up, or
 * have not looked at giving_up yet.
 *
 * Return: true if there is one.
 */
bool qm_writes_left(struct qm_job *job)
{
	unsigned int n = 0;

	bc_range_walk(&job->ranges, count_undecided, &n);
	return n;
}

/* The source's half may have ended: once on the list the leg may end, too. */
static void send_leg_later(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;

	llist_add(&leg->work, &job->send_legs);
	queue_work(job->send_wq, &job->send_work);
}

static void target_ended(struct qm_leg *leg, blk_status_t status)
{
	leg->status = status;
	/* Full barrier: the status before the state. */
	if (unlikely(cmpxchg(&leg->state, QM_LEG_IN_FLIGHT, QM_LEG_DONE) !=
		     QM_LEG_IN_FLIGHT)) {
		orphan_ended(leg);
		return;
	}
	if (unlikely(leg->done || (leg->flush && (status || leg->owns_epoch))))
		defer_leg(leg);
	else
		bio_endio(leg->guest);
}

static void leg_end_io(struct bio *bio)
{
	struct qm_leg *leg = container_of(bio, struct qm_leg, bio);

	/* The job must not go away under our feet, see release_job(). */
	rcu_read_lock();
	/*
	 * No free tags: again, without hurry.  Or no zeroes, whatever the
	 * reason: if data cannot be written it will say so.
	 */
	if (unlikely(bio->bi_status && (qm_refused_nowait(bio) ||
					bio_op(bio) == REQ_OP_WRITE_ZEROES)))
		defer_leg(leg);
	else
		target_ended(leg, bio->bi_status);
	rcu_read_unlock();
}

/**
 * qm_leg_arm() - a leg is about to be sent: it can be given up from here on
 * @leg: bio initialised, @range, and @guest or @done set; @guest waits for it
 */
void qm_leg_arm(struct qm_leg *leg)
{
	leg->bio.bi_end_io = leg_end_io;
	leg->bio.bi_iter.bi_sector = leg->job->leg[QM_TARGET].start +
				     leg->range.start;
	leg->opf = leg->bio.bi_opf;
	leg->iter = leg->bio.bi_iter;
	leg->started = jiffies;
	/* What it is about before the state; pairs with take_leg(). */
	smp_store_release(&leg->state, QM_LEG_IN_FLIGHT);
}

/**
 * qm_leg_never_waits() - can a leg be sent from dm's map?
 * @leg: bio initialised
 *
 * Nobody waits there for a target that has no free tags: neither the guest's
 * task, which may be dm's own worker, nor the source's half, which is behind
 * ours on current->bio_list.  So writes go with REQ_NOWAIT, and what cannot go at
 * once is left to send_work.
 *
 * Return: true if qm_leg_submit() may be told so.
 */
bool qm_leg_never_waits(const struct qm_leg *leg)
{
	if (unlikely(leg->flush || bio_op(&leg->bio) == REQ_OP_DISCARD))
		return false;
	return likely(qm_may_nowait(&leg->bio)) ||
	       (!bdev_nowait(leg->bio.bi_bdev) &&
		!READ_ONCE(leg->job->nr_orphans));
}

/**
 * qm_leg_submit() - send an armed leg to the target
 * @leg: armed; its bio knows who pays for it
 * @in_map: from dm's map, before @guest itself; qm_leg_never_waits()
 */
void qm_leg_submit(struct qm_leg *leg, bool in_map)
{
	struct qm_job *job = leg->job;

	/*
	 * (B) The state before the look at giving_up: either we see the flag
	 * or qm_give_up() sees the leg.  Pairs with (B) there.
	 */
	smp_mb();
	if (unlikely(READ_ONCE(job->giving_up))) {
		target_ended(leg, QM_STS_NOT_SENT);
		return;
	}
	if (unlikely(!in_map)) {
		send_leg_later(leg);
		return;
	}
	if (likely(bdev_nowait(leg->bio.bi_bdev)))
		leg->bio.bi_opf |= REQ_NOWAIT;
	dm_submit_bio_remap(leg->guest, &leg->bio);
}

/* What workers send to the target; the only one that may wait for it. */
void qm_send_work(struct work_struct *work)
{
	struct qm_job *job = container_of(work, struct qm_job, send_work);
	struct qm_leg *leg, *next;
	struct qm_io *io, *next_io;
	struct llist_node *list;

	list = llist_reverse_order(llist_del_all(&job->send_legs));
	llist_for_each_entry_safe(leg, next, list, work) {
		if (READ_ONCE(leg->state) == QM_LEG_GIVEN_UP)
			target_ended(leg, QM_STS_NOT_SENT);
		else
			submit_bio_noacct(&leg->bio);
	}
	list = llist_reverse_order(llist_del_all(&job->send_bare));
	llist_for_each_entry_safe(io, next_io, list, granted)
		submit_bio_noacct(&io->bio);

	qm_units_send(job);
}

/**
 * qm_leg_track() - let qm_give_up() find a leg that holds no range
 * @leg: a flush or a discard, before it is submitted
 */
void qm_leg_track(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;
	unsigned long flags;

	spin_lock_irqsave(&job->misc_lock, flags);
	list_add_tail(&leg->list, &job->misc_legs);
	spin_unlock_irqrestore(&job->misc_lock, flags);
}

static void untrack_leg(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;
	unsigned long flags;

	if (list_empty_careful(&leg->list))
		return;
	spin_lock_irqsave(&job->misc_lock, flags);
	list_del_init(&leg->list);
	spin_unlock_irqrestore(&job->misc_lock, flags);
}

/**
 * qm_leg_end() - our side is done with a leg
 * @leg: ended or given up; not to be touched any more
 *
 * Return: the target's answer.  QM_STS_NOT_SENT: it was given up or never sent,
 * which is no error of the target; whoever gave it up has said so.
 */
blk_status_t qm_leg_end(struct qm_leg *leg)
{
	struct qm_job *job = leg->job;
	blk_status_t status = leg->status;
	unsigned long flags;

	if (likely(READ_ONCE(leg->state) != QM_LEG_GIVEN_UP)) {
		untrack_leg(leg);
		qm_leg_free(leg);
		return status;
	}

	spin_lock_irqsave(&job->orphan_lock, flags);
	leg->ended |= QM_LEG_GUEST_ENDED;
	if (leg->ended & QM_LEG_TARGET_ENDED)
		qm_leg_free(leg);
	spin_unlock_irqrestore(&job->orphan_lock, flags);
	return QM_STS_NOT_SENT;
}

/*
 * Orphans
 */

/* Under orphan_lock. */
void __qm_orphan_add(struct qm_job *job, struct bc_range *range)
{
	bc_range_tree_insert(&job->orphans, range);
	WRITE_ONCE(job->nr_orphans, job->nr_orphans + 1);
	if (!job->orphan_ref) {
		job->orphan_ref = true;
		kref_get(&job->ref);
		__module_get(THIS_MODULE);
	}
}

/* Under orphan_lock. */
void __qm_orphan_remove(struct qm_job *job, struct bc_range *range)
{
	bc_range_tree_remove(&job->orphans, range);
	WRITE_ONCE(job->nr_orphans, job->nr_orphans - 1);
	qm_copy_kick(job, 0);
	if (!job->nr_orphans) {
		qm_kick_state(job);
		queue_work(qm_wq, &job->orphan_work);
	}
}

/* The last orphan has ended, unless there is a new one: let go. */
void qm_orphan_work(struct work_struct *work)
{
	struct qm_job *job = container_of(work, struct qm_job, orphan_work);
	bool put = false;

	spin_lock_irq(&job->orphan_lock);
	if (!job->nr_orphans && job->orphan_ref) {
		job->orphan_ref = false;
		put = true;
	}
	spin_unlock_irq(&job->orphan_lock);
	if (put)
		qm_job_put_orphans(job);
}

/**
 * qm_orphan_end() - does an orphan touch these sectors?
 * @job: the job
 * @sector: first sector of the mirror
 * @sectors: how many, not 0
 *
 * Return: the sector behind the first orphan that does, or 0.
 */
sector_t qm_orphan_end(struct qm_job *job, sector_t sector, sector_t sectors)
{
	struct bc_range *orphan;
	unsigned long flags;
	sector_t end;

	if (likely(!READ_ONCE(job->nr_orphans)))
		return 0;

	spin_lock_irqsave(&job->orphan_lock, flags);
	orphan = bc_range_tree_first(&job->orphans, sector,
				     sector + sectors - 1);
	end = orphan ? orphan->last + 1 : 0;
	spin_unlock_irqrestore(&job->orphan_lock, flags);
	return end;
}

/*
 * Giving up
 */

struct give_up {
	unsigned long older;	/* jiffies; 0 with !timeout */
	bool timeout;
	struct list_head legs;
};

/* One wins: us or target_ended(). */
static bool take_leg(struct qm_leg *leg, struct give_up *g)
{
	/* Pairs with qm_leg_arm(): the state before @started. */
	if (smp_load_acquire(&leg->state) != QM_LEG_IN_FLIGHT)
		return false;
	/* The tick it began in had begun before: not that one. */
	if (g->timeout && !time_after(jiffies, leg->started + g->older))
		return false;
	return cmpxchg(&leg->state, QM_LEG_IN_FLIGHT, QM_LEG_GIVEN_UP) ==
	       QM_LEG_IN_FLIGHT;
}

/* bc_range_walk(): under the bucket lock, so the qm_io is still there. */
static void take_leg_of_range(struct bc_range *range, void *data)
{
	struct qm_io *io = container_of(range, struct qm_io, range);
	struct give_up *g = data;
	struct qm_leg *leg;

	if (range->kind != QM_RANGE_IO)
		return;
	leg = smp_load_acquire(&io->leg);	/* pairs with send_leg() */
	if (leg && take_leg(leg, g))
		list_add_tail(&leg->list, &g->legs);
}

static void give_up_leg(struct qm_leg *leg, struct give_up *g)
{
	struct qm_job *job = leg->job;
	bool flush = leg->flush;
	sector_t start = leg->range.start;
	sector_t sectors = leg->range.last - start + 1;
	enum qm_op op = flush ? QM_FLUSH :
			bio_op(&leg->bio) == REQ_OP_DISCARD ? QM_DISCARD :
			QM_WRITE;

	if (g->timeout)
		qm_judge_begin(job);
	/* Orphan first, then dirty: nobody may clean the chunk in between. */
	spin_lock_irq(&job->orphan_lock);
	if (!(leg->ended & QM_LEG_TARGET_ENDED)) {
		leg->ended |= QM_LEG_IS_ORPHAN;
		__qm_orphan_add(job, &leg->range);
	}
	spin_unlock_irq(&job->orphan_lock);

	if (!flush)
		qm_mark(job, start, sectors);
	else if (g->timeout)
		qm_flush_failed(job, leg->owns_epoch);
	else if (leg->owns_epoch)
		qm_flush_unknown(job);
	/* A flush dirties nothing, but there is an orphan now. */
	qm_marked(job);
	/* A discard is advisory: a slow one is given up, but is no error. */
	if (g->timeout && op != QM_DISCARD)
		qm_job_error(job, QM_TARGET, op, -ETIMEDOUT, flush ? 0 : start);
	if (g->timeout)
		qm_judge_end(job);

	if (leg->done)
		leg->done(leg);
	else
		bio_endio(leg->guest);
}

/**
 * qm_give_up() - stop waiting for the target
 * @job: the job
 * @older_than_ms: only what is in flight for that long, and as an error
 *		   (ETIMEDOUT); 0: everything, and not as an error.  Then a bit
 *		   of job->giving_up is set, and what comes later is not sent.
 *
 * Guests get the result of their source I/O, their chunks are dirty.  Not
 * under no_bounce, where the pages are the guest's.  May sleep.
 */
void qm_give_up(struct qm_job *job, unsigned int older_than_ms)
{
	struct give_up g = {
		.older = msecs_to_jiffies(older_than_ms),
		.timeout = older_than_ms,
		.legs = LIST_HEAD_INIT(g.legs),
	};
	struct qm_leg *leg, *next;

	smp_mb();	/* (B) the flag before the look, see qm_leg_submit() */
	bc_range_walk(&job->ranges, take_leg_of_range, &g);

	spin_lock_irq(&job->misc_lock);
	list_for_each_entry_safe(leg, next, &job->misc_legs, list) {
		/* The time-out is about what a guest waits for. */
		if (g.timeout && leg->done)
			continue;
		if (take_leg(leg, &g))
			list_move_tail(&leg->list, &g.legs);
	}
	spin_unlock_irq(&job->misc_lock);

	list_for_each_entry_safe(leg, next, &g.legs, list) {
		list_del_init(&leg->list);
		give_up_leg(leg, &g);
	}
	/* Whoever waits for the reserve may wait in vain now. */
	queue_work(job->io_wq, &job->io_work);
}

/* target_timeout: looks a few times within the time. */
void qm_timeout_work(struct work_struct *work)
{
	struct qm_job *job = container_of(to_delayed_work(work), struct qm_job,
					  timeout_work);
	unsigned int ms = READ_ONCE(job->args.target_timeout);

	if (!ms || qm_ended(job) || READ_ONCE(job->quiet))
		return;
	qm_give_up(job, ms);
	qm_units_give_up(job, ms);
	queue_delayed_work(qm_wq, &job->timeout_work,
			   msecs_to_jiffies(clamp(ms / 8, 5U, 1000U)));
}

/**
 * qm_bio_again() - prepare a bio that has ended to be sent to the target again
 * @job: the job
 * @bio: the bio; bi_iter and, of a clone, the flag are still to be set
 * @guest: on whose behalf; waits for @bio
 * @bvecs: what it consists of
 * @opf: operation and flags
 *
 * Any context.
 */
void qm_bio_again(struct qm_job *job, struct bio *bio, struct bio *guest,
		  struct bio_vec *bvecs, blk_opf_t opf)
{
	bio_end_io_t *end_io = bio->bi_end_io;
	unsigned short prio = bio->bi_ioprio;
	bool counted = bio_flagged(bio, BIO_CGROUP_ACCT);

	bio_uninit(bio);
	bio_init(bio, NULL, bvecs, 0, opf);
	bio->bi_bdev = job->leg[QM_TARGET].bdev;
	qm_pay_alike(bio, guest);
	if (counted)
		bio_set_flag(bio, BIO_CGROUP_ACCT);
	bio->bi_ioprio = prio;
	bio->bi_end_io = end_io;
}

/*
 * Once more, from send_work: as it was if it was refused for want of tags;
 * zeroes as data if the target could not write them otherwise.  Meanwhile the leg
 * cannot be given up, so that its guest stays.
 */
static void redo_leg(struct qm_leg *leg)
{
	struct bio *bio = &leg->bio;
	struct bio_vec *bvecs = leg->bvecs;

	if (cmpxchg(&leg->state, QM_LEG_IN_FLIGHT, QM_LEG_IDLE) !=
	    QM_LEG_IN_FLIGHT) {
		orphan_ended(leg);
		return;
	}
	if ((leg->opf & REQ_OP_MASK) == REQ_OP_WRITE_ZEROES) {
		bvecs = NULL;
		if (!qm_refused_nowait(bio)) {
			bvecs = zero_bvecs;
			leg->opf = REQ_OP_WRITE |
				   (leg->opf & (REQ_FUA | REQ_SYNC));
		}
	}
	qm_bio_again(leg->job, bio, leg->guest, bvecs, leg->opf);
	bio->bi_iter = leg->iter;
	/*
	 * From the first page on, not from where the target's part begins: one
	 * page that is none is what the block layer takes for one segment.
	 */
	if (bvecs)
		bio->bi_vcnt = DIV_ROUND_UP((leg->iter.bi_idx << PAGE_SHIFT) +
					    leg->iter.bi_bvec_done +
					    leg->iter.bi_size, PAGE_SIZE);
	smp_store_release(&leg->state, QM_LEG_IN_FLIGHT);	/* as qm_leg_arm() */
	qm_leg_submit(leg, false);
}

/* The part of io_work that is about legs. */
void qm_legs_work(struct qm_job *job)
{
	struct qm_leg *leg, *next;
	struct llist_node *list;

	list = llist_reverse_order(llist_del_all(&job->leg_done));
	llist_for_each_entry_safe(leg, next, list, work) {
		if (leg->flush)
			qm_flush_end(leg);
		else
			redo_leg(leg);
	}
}

/**
 * qm_legs_init() - the reserve, and where legs are kept
 * @job: the job
 *
 * Return: 0 or -ENOMEM.  May sleep (GFP_KERNEL).
 */
int qm_legs_init(struct qm_job *job)
{
	job->leg_cache = alloc_percpu(struct qm_leg_cache);
	if (!job->leg_cache)
		return -ENOMEM;
	job->leg_cache_limit = cache_limit();
	job->reserve = create_leg(job, DIV_ROUND_UP(QM_RESERVE_SECTORS <<
						    SECTOR_SHIFT, PAGE_SIZE),
				  GFP_KERNEL);
	if (!job->reserve)
		return -ENOMEM;
	init_leg(job->reserve);
	job->reserve->reserve = true;
	return 0;
}

/* Undoes qm_legs_init(), also when it got only half way. */
void qm_legs_exit(struct qm_job *job)
{
	struct qm_leg *leg;
	int cpu;

	if (!job->leg_cache)
		return;
	for_each_possible_cpu(cpu) {
		struct qm_leg_cache *cache = per_cpu_ptr(job->leg_cache, cpu);

		while ((leg = cache->first)) {
			cache->first = leg->next;
			destroy_leg(leg);
		}
	}
	free_percpu(job->leg_cache);
	if (job->reserve)
		destroy_leg(job->reserve);
}

void __init qm_legs_module_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(zero_bvecs); i++) {
		zero_bvecs[i].bv_page = ZERO_PAGE(0);
		zero_bvecs[i].bv_len = PAGE_SIZE;
	}
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dm-qmirror: a device that mirrors itself to a target while in use.
 *
 * Words: a leg is one of the two devices, source and target.  A chunk is what
 * one bit of the dirty bitmap stands for (granularity).  The guest is whoever
 * does I/O on the mirror.  A copy unit is one piece of background copy.  An
 * orphan is I/O on the target that was given up and has not ended yet.
 *
 * Files:	target.c  dm glue: constructor, suspend, status, limits
 *		args.c    words of the table line, in and out
 *		registry.c  jobs: made, found, adopted by a table, let go
 *		job.c     the job's states: READY, pending, final, concluded
 *		verbs.c   messages: the table of verbs and states
 *		events.c  dm events, log lines, errors and what policies make
 *			  of them
 *		write.c   guest writes, flushes and discards
 *		leg.c     what is sent to the target for the guest: legs, their
 *			  giving up, orphans
 *		epoch.c   what a failed flush of the target takes back
 *		copy.c    background copy: what is copied when
 *		unit.c    background copy: one unit from read to write
 *
 * Invariants (the numbers are those of the design; who keeps them):
 *
 * 1. Every chunk whose legs may differ is dirty, or covered by a copy in
 *    flight that marks it again when it fails, or by a guest write in flight
 *    that marks it before it completes.  While an orphan is in flight its
 *    chunks stay dirty and nothing is sent there.
 *    (write.c: qm_end_io; unit.c: fail_window; leg.c: __qm_orphan_add)
 * 2. The copier clears a bit before it reads the source; a background-mode
 *    writer sets it after its source write and before the guest's completion.
 *    A write-blocking write takes its range before it looks at the dirty bits
 *    and keeps it until its last leg ends, also when it goes to the source
 *    only.  (unit.c: claim_run; write.c: end_background, start_write)
 * 3. Two overlapping write-blocking writes reach both legs in one order; a
 *    copy never runs over a range with an active write in flight; a copy that
 *    was refused three times queues.  (range.c; unit.c: qm_unit_try)
 * 4. `final` implies equal legs and a flushed target, with the device quiet.
 *    (job.c: qm_job_quiesce, qm_job_try_final)
 * 7. Nothing waits in map, allocates without reserve in map or needs the I/O
 *    it is blocking.  postsuspend waits at most QM_QUIESCE_MS.
 * 9. `final` looks at our own @quiet flag, set in postsuspend when nothing is
 *    in flight and cleared in resume before I/O flows, not at dm_suspended().
 *
 * Discards are not in the range lock.  They change what the source reads in
 * no defined way, so they mark their chunks when the last of their legs has
 * ended, as a background-mode write does; whoever overlapped them in the
 * meantime is copied again.
 *
 * A chunk larger than a copy unit is cleared as a whole before its first piece
 * is read.  From then on write-blocking writes see it clean and are mirrored,
 * which is right for the pieces already copied and harmless for the others.
 *
 * Lock order, outermost first:
 *
 *	bc_claims_lock		mutex, the registry; constructor, destructor
 *	job->verb_lock		mutex, one message or table change at a time
 *	job->live_lock		mutex, job->live against the destructor
 *	job->lock		spinlock, state, error, events
 *	job->orphan_lock	spinlock, orphans
 *	bucket lock		spinlock, see range.h
 *	job->since_lock, job->misc_lock, job->park_lock	leaves
 *
 * job->lock and job->orphan_lock are never held together.
 */
#ifndef DM_QMIRROR_H
#define DM_QMIRROR_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/dm-ioctl.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/percpu-refcount.h>
#include <linux/ratelimit.h>
#include <linux/seqlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "bio.h"
#include "bitmap.h"
#include "disk.h"
#include "policy.h"
#include "range.h"
#include "rate.h"

#define DM_MSG_PREFIX		"qmirror"

#define QM_UNIT_SECTORS		BC_ZONE_SECTORS	/* largest copy, largest write */
#define QM_RESERVE_SECTORS	512U	/* largest write for want of memory */
#define QM_MAX_GRANULARITY	131072ULL
#define QM_DEFAULT_GRANULARITY	128U
#define QM_DEFAULT_BUF_SIZE	32768U
#define QM_QUIESCE_MS		5000U	/* a suspend waits no longer for the target */
#define QM_VERB_WAIT_MS		1000U	/* nor a message for its effect */
#define QM_LAG_MS		100U	/* background mode: collect writes, M-76 */
#define QM_REFUSALS		3U	/* then a copy queues, invariant 3 */
#define QM_MAX_ORPHANS		1024U	/* then nothing more is sent to the target */
#define QM_NR_BACKOFF		128U	/* runs of chunks that wait for themselves */

enum qm_sync { QM_SYNC_FULL, QM_SYNC_NONE, QM_SYNC_BITMAP, QM_NR_SYNC };
enum qm_copy_mode { QM_BACKGROUND, QM_WRITE_BLOCKING, QM_NR_COPY_MODES };
enum qm_ending { QM_END_NONE, QM_END_COMPLETE, QM_END_CANCEL, QM_NR_ENDINGS };
enum qm_side { QM_SOURCE, QM_TARGET, QM_NR_SIDES };
enum qm_op { QM_READ, QM_WRITE, QM_FLUSH, QM_DISCARD, QM_NR_OPS };
enum qm_io_status { QM_IO_OK, QM_IO_FAILED, QM_IO_NOSPACE, QM_NR_IO_STATUS };

/* QEMU's JobStatus, as far as a device can have it (qemu-semantics 1.3). */
enum qm_state {
	QM_RUNNING,
	QM_PAUSED,
	QM_READY,
	QM_STANDBY,
	QM_PENDING,
	QM_ABORTING,
	QM_CONCLUDED,
	QM_NR_STATES
};

/* Why nothing may be sent to the target; bits of job->giving_up. */
enum {
	QM_GIVE_UP_SUSPEND,	/* suspended without flush */
	QM_GIVE_UP_ENDED,	/* aborting or concluded */
	QM_GIVE_UP_GONE,	/* no table refers to the job any more */
};

/*
 * Our own answer for target I/O that was given up or never sent: no error of
 * the target's.  A status that no device gives.
 */
#define QM_STS_NOT_SENT		BLK_STS_DM_REQUEUE

extern const char *const qm_sync_names[QM_NR_SYNC];
extern const char *const qm_copy_mode_names[QM_NR_COPY_MODES];
extern const char *const qm_ending_names[QM_NR_ENDINGS];
extern const char *const qm_side_names[QM_NR_SIDES];
extern const char *const qm_op_names[QM_NR_OPS];
extern const char *const qm_io_status_names[QM_NR_IO_STATUS];
extern const char *const qm_state_names[QM_NR_STATES];

/**
 * struct qm_args - the optional words of a table line
 *
 * Sectors, except @target_timeout (milliseconds).
 */
struct qm_args {
	enum qm_sync sync;
	enum qm_copy_mode copy_mode;
	enum bc_policy on_error[QM_NR_SIDES];
	u64 granularity;
	u64 buf_size;
	u64 speed;
	unsigned int target_timeout;
	bool target_is_zero;
	bool zero_detect;
	bool no_bounce;
};

struct qm_job;
struct qm_unit;
struct qm_leg_cache;

/* Where a leg is: changed by cmpxchg, so that exactly one ends it. */
enum qm_leg_state {
	QM_LEG_IDLE,		/* not sent yet, or being prepared once more */
	QM_LEG_IN_FLIGHT,
	QM_LEG_DONE,		/* ended, @status is valid */
	QM_LEG_GIVEN_UP,	/* the guest was let go: an orphan until it ends */
};

/* leg->ended, under job->orphan_lock, once a leg was given up */
enum {
	QM_LEG_GUEST_ENDED = 1,	/* nobody on our side looks at it any more */
	QM_LEG_TARGET_ENDED = 2,
	QM_LEG_IS_ORPHAN = 4,	/* in job->orphans */
};

/**
 * struct qm_leg - I/O on the target that can be given up
 * @job: the job; referenced by the table, or by the orphans
 * @guest: dm's clone that waits for us, NULL for the job's own flush
 * @next: the next of those kept for later
 * @done: instead of @guest: called when the leg ends or is given up
 * @state: enum qm_leg_state
 * @ended: who is done with a leg that was given up
 * @status: of the target, valid in QM_LEG_DONE
 * @started: jiffies
 * @flush: it is a flush; the block layer takes the flag out of @bio
 * @opf: of @bio as it was sent, for sending it once more
 * @iter: likewise
 * @owns_epoch: this flush may forget the closed epoch, see epoch.c
 * @reserve: job->reserve: goes back there
 * @range: what the target is written to, in sectors of the mirror
 * @list: of job->misc_legs, or of those just given up
 * @work: of job->leg_work
 * @bio: the target's
 * @bvecs: the private copy's pages, for both legs
 *
 * Nothing that dm or the guest owns can be reached from @bio.
 */
struct qm_leg {
	struct qm_job *job;
	union {
		struct bio *guest;
		struct qm_leg *next;
	};
	void (*done)(struct qm_leg *leg);
	int state;
	unsigned int ended;
	blk_status_t status;
	bool flush;
	bool owns_epoch;
	bool reserve;
	unsigned short nr_pages;
	unsigned long started;
	blk_opf_t opf;
	struct bvec_iter iter;
	struct bc_range range;
	struct list_head list;
	struct llist_node work;
	struct bio bio;
	struct bio_vec bvecs[];
};

enum qm_io_kind {
	QM_IO_PASS,		/* nothing to do at the end */
	QM_IO_BACKGROUND,	/* marks at the end */
	QM_IO_MIRRORED,		/* holds a range */
	QM_IO_DISCARD,
	QM_IO_FLUSH,
};

/**
 * struct qm_io - dm's per-bio data of a guest write; not touched for reads
 * @range: of a write-blocking write
 * @job: of a write-blocking write, for those that find it by its range
 * @sector: first sector of the mirror
 * @sectors: how many
 * @target_sector: what went, or goes, to the target
 * @target_sectors: 0: nothing
 * @leg: the target's part, unless no_bounce
 * @spare: a leg that the reserve could not stand in for, allocated in map
 * @granted: of job->granted
 * @parked: of job->parked
 * @status: no_bounce: the target's answer
 * @kind: enum qm_io_kind
 * @remark: the chunks become dirty whatever the legs answer
 * @bare: the target's part is @bio
 * @iter: of @bio as it was sent, for sending it once more
 * @bio: no_bounce only: the target's; shares the guest's pages
 */
struct qm_io {
	struct bc_range range;
	struct qm_job *job;
	sector_t sector;
	sector_t target_sector;
	unsigned int sectors;
	unsigned int target_sectors;
	struct qm_leg *leg;
	struct qm_leg *spare;
	struct llist_node granted;
	struct list_head parked;
	blk_status_t status;
	u8 kind;
	bool remark;
	bool bare;
	struct bvec_iter iter;
	struct bio bio;
};

/* Nodes of job->ranges, bc_range.kind. */
enum { QM_RANGE_IO, QM_RANGE_UNIT };

/**
 * struct qm_error - the first error since start or resume
 */
struct qm_error {
	int error;		/* errno, negative; 0: none */
	enum qm_side side;
	enum qm_op op;
	sector_t sector;	/* of the mirror */
};

/* Per-CPU sums of write-blocking writes, in sectors on the target. */
struct qm_stats {
	u64 active_started;
	u64 active_mirrored;
	u64 active_failed;
};

/* A line of log and one dm event. */
struct qm_event {
	enum { QM_EV_STATE, QM_EV_SYNCED, QM_EV_FINAL, QM_EV_ERROR } what;
	enum qm_state state;
	struct qm_error error;
};

#define QM_NR_EVENTS	16

/*
 * A run of chunks whose copies failed under "ignore": from @open on they were not
 * tried since @until was set.
 */
struct qm_backoff {
	unsigned long first;
	unsigned long last;
	unsigned long open;
	unsigned long until;	/* jiffies */
	unsigned int ms;	/* 0: free */
};

/**
 * struct qm_pool - copy units, all memory of the background copy
 * @nr: how many
 * @unit_sectors: largest copy of each; nr × unit_sectors ≤ buf_size
 * @units: the units
 */
struct qm_pool {
	unsigned int nr;
	unsigned int unit_sectors;
	struct qm_unit *units[];
};

/**
 * struct qm_copy - the copier's own; touched by its worker only, but for what
 * is marked
 * @pool: the units (unit.c: also by who gives up)
 * @work: the worker
 * @done: units whose I/O ended, from any context
 * @granted: units that got their range, from any context
 * @free: units with nothing to do
 * @refused: units that did not get their range
 * @next: where the sweep goes on
 * @swept: the first sweep is over, the first MiB is nothing special any more
 * @wraps: of the first sweep, by chunks that became dirty behind it
 * @big_chunk: a chunk larger than a unit, cut into pieces
 * @big_left: pieces of it not yet issued (also read by others), 0: none
 * @big_rest: their sectors; others read it under @moves
 * @rate: the speed limit
 * @new_speed: to be set in @rate by the copier, any context
 * @speed_changed: it is
 * @backoff: chunks that failed under "ignore"
 * @backoff_all: jiffies before which nothing is copied, if @backoff is full
 * @forget_backoff: resume: try everything at once, any context
 * @busy: units that hold cleared bits or I/O, atomic, any context
 * @in_flight: their sectors not yet in @copied, atomic, any context
 * @moves: sectors go from dirty (of a large chunk, by @big_rest) to @in_flight
 *	   and on to @copied in one step for who reads under it; written by the
 *	   copier only, between qm_moves_begin() and qm_moves_end()
 * @seq: changes with every claim and finish, see qm_job_clean()
 * @idle: the worker has nothing to do: wake it for new dirt; any context
 */
struct qm_copy {
	struct qm_pool *pool;
	struct delayed_work work;
	struct llist_head done;
	struct llist_head granted;
	struct list_head free;
	struct list_head refused;
	unsigned long next;
	bool swept;
	unsigned int wraps;
	unsigned long big_chunk;
	unsigned int big_left;
	unsigned int big_rest;
	struct bc_rate rate;
	u64 new_speed;
	int speed_changed;
	struct qm_backoff backoff[QM_NR_BACKOFF];
	unsigned int nr_backoff;
	unsigned int backoff_all_ms;
	unsigned long backoff_all;
	int forget_backoff;
	atomic_t busy;
	atomic64_t in_flight;
	seqcount_t moves;
	atomic_t seq;
	int idle;
	atomic64_t copied;
};

/**
 * struct qm_job - what the device does, across tables
 *
 * Created by a constructor, belongs to the dm device from its first resume,
 * dropped with its last table or its last orphan, whichever is later.
 */
struct qm_job {
	struct kref ref;		/* tables, orphans as one */
	struct list_head node;		/* of the registry */
	struct mapped_device *md;	/* not referenced; for comparison only */
	char name[DM_NAME_LEN];
	bool started;			/* was resumed once */

	struct bc_leg leg[QM_NR_SIDES];
	struct bc_claim claim;
	sector_t len;
	unsigned int chunk_shift;	/* sectors */
	unsigned long nr_chunks;
	struct qm_args args;		/* in force */

	/* fast path */
	struct bc_range_lock ranges;
	struct bc_bitmap dirty;
	struct bc_bitmap since[2];	/* written since a flush: epoch.c */
	struct bc_bitmap sent;		/* target_is_zero only */
	unsigned int epoch;		/* which of since[] is open */
	unsigned long giving_up;	/* QM_GIVE_UP_… bits */
	unsigned int nr_orphans;	/* under orphan_lock, read anywhere */
	bool track_sent;
	struct percpu_ref background;	/* live: background mode */
	struct qm_stats __percpu *stats;

	/* state */
	struct mutex verb_lock;		/* one message or table change at a time */
	spinlock_t lock;		/* what follows, unless it says otherwise */
	enum qm_state state;
	enum qm_ending ending;
	enum qm_io_status io_status;
	bool synced;
	bool final;
	bool quiet;
	bool quiescing;			/* suspend: nothing new is copied */
	bool noflush;
	struct qm_error error;
	u64 errors[QM_NR_SIDES];
	bool in_background;		/* under verb_lock: @background is live */
	bool was_killed;		/* @background was, once */
	atomic_t discards;		/* write-blocking discards in flight */
	atomic_t marks;			/* changes when something becomes dirty */
	atomic_t judging;		/* errors marked, the policy has not acted */
	wait_queue_head_t wait;		/* state, busy, flush */

	/* the job's own flush, under lock */
	bool flushing;
	bool flush_ok;			/* the last one was good … */
	int flush_marks;		/* … and @marks was this when it began */
	int flush_seq;			/* … and copy.seq this */
	bool flush_void;		/* … unless an error or orphan came */
	unsigned int flush_rest;	/* … and @rest this, 0: not quiet */
	unsigned int rest;		/* counts the suspends */
	bool flush_wanted;		/* by qm_job_quiesce() */
	unsigned int flush_backoff_ms;
	unsigned long flush_after;	/* jiffies */

	/* events, under lock */
	struct qm_event events[QM_NR_EVENTS];
	unsigned int nr_events;
	struct ratelimit_state synced_log;	/* no lock: the work only */
	struct mutex live_lock;		/* against destructors */
	struct qm_target *live;		/* under live_lock */

	/* legs */
	spinlock_t orphan_lock;
	struct rb_root_cached orphans;
	bool orphan_ref;		/* under orphan_lock: job and module held */
	spinlock_t since_lock;
	bool epoch_closed;		/* since[!epoch] waits for its flush */
	spinlock_t misc_lock;
	struct list_head misc_legs;	/* flushes and discards in flight */
	spinlock_t park_lock;
	struct list_head parked;	/* writes without memory */
	struct llist_head granted;	/* writes that got their range */
	struct llist_head leg_done;	/* legs that need a worker */
	struct llist_head send_legs;	/* what workers send to the target */
	struct llist_head send_bare;
	struct llist_head send_units;
	struct qm_leg *reserve;
	unsigned long reserve_busy;
	struct qm_leg_cache __percpu *leg_cache;
	unsigned int leg_cache_limit;

	struct qm_copy copy;

	/*
	 * One queue a level: guest I/O, copies, everything else; and what may
	 * sleep until the target has a free tag, which nobody waits for.
	 */
	struct workqueue_struct *io_wq;
	struct workqueue_struct *copy_wq;
	struct workqueue_struct *send_wq;
	struct work_struct io_work;
	struct work_struct send_work;
	struct delayed_work state_work;
	struct work_struct event_work;
	struct delayed_work timeout_work;
	struct work_struct orphan_work;
	struct work_struct release_work;
};

/**
 * struct qm_target - one table line
 * @ti: the dm target
 * @job: the job it makes or joins
 * @dev: dm's references
 * @args: of this line; in force from its resume on
 * @pool: units of the right size for @args, handed to the job at resume
 * @joins: the line repeats that of a job already there
 */
struct qm_target {
	struct dm_target *ti;
	struct qm_job *job;
	struct dm_dev *dev[QM_NR_SIDES];
	sector_t start[QM_NR_SIDES];
	struct qm_args args;
	struct qm_pool *pool;
	bool joins;
};

extern struct workqueue_struct *qm_wq;	/* states, events, orphans */

/* args.c */
int qm_args_parse(struct dm_target *ti, struct dm_arg_set *as,
		  struct qm_args *args);
unsigned int qm_args_emit(const struct qm_args *args, char *result,
			  unsigned int size);
unsigned int qm_args_emit_settings(const struct qm_args *args, char *result,
				   unsigned int size);
int qm_args_set(struct qm_args *args, const char *name, const char *value);

/* registry.c */
int qm_job_get(struct qm_target *t);
void qm_job_put_orphans(struct qm_job *job);
void qm_job_adopt(struct qm_target *t);
void qm_job_detach(struct qm_target *t);
void qm_job_learn_name(struct qm_job *job);

/* job.c */
void qm_job_quiesce(struct qm_job *job);
void qm_job_try_final(struct qm_job *job);
void qm_job_update_mode(struct qm_job *job);
bool qm_job_clean(struct qm_job *job);
void __qm_set_state(struct qm_job *job, enum qm_state state);
void qm_kick_state(struct qm_job *job);
void qm_state_work(struct work_struct *work);
void qm_background_drained(struct percpu_ref *ref);

/* verbs.c */
int qm_message(struct qm_job *job, unsigned int argc, char **argv);

/* events.c */
void __qm_event(struct qm_job *job, int what);
void qm_event_work(struct work_struct *work);
void qm_judge_begin(struct qm_job *job);
void qm_judge_end(struct qm_job *job);
void qm_job_error(struct qm_job *job, enum qm_side side, enum qm_op op,
		  int error, sector_t sector);
void qm_mark(struct qm_job *job, sector_t sector, sector_t sectors);
void qm_marked(struct qm_job *job);

/* write.c */
int qm_map(struct dm_target *ti, struct bio *bio);
int qm_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);
void qm_io_work(struct work_struct *work);

/* leg.c */
int qm_legs_init(struct qm_job *job);
void qm_legs_exit(struct qm_job *job);
void qm_legs_module_init(void);
struct qm_leg *qm_leg_alloc(struct qm_job *job, unsigned int pages, gfp_t gfp);
struct qm_leg *qm_leg_take_reserve(struct qm_job *job);
void qm_leg_free(struct qm_leg *leg);
void qm_leg_arm(struct qm_leg *leg);
bool qm_leg_never_waits(const struct qm_leg *leg);
void qm_leg_submit(struct qm_leg *leg, bool in_map);
void qm_bio_again(struct qm_job *job, struct bio *bio, struct bio *guest,
		  struct bio_vec *bvecs, blk_opf_t opf);
void qm_send_work(struct work_struct *work);
void qm_leg_track(struct qm_leg *leg);
blk_status_t qm_leg_end(struct qm_leg *leg);
void qm_legs_work(struct qm_job *job);
void qm_give_up(struct qm_job *job, unsigned int older_than_ms);
void qm_timeout_work(struct work_struct *work);
void qm_orphan_work(struct work_struct *work);
void __qm_orphan_add(struct qm_job *job, struct bc_range *range);
void __qm_orphan_remove(struct qm_job *job, struct bc_range *range);
sector_t qm_orphan_end(struct qm_job *job, sector_t sector, sector_t sectors);

/* epoch.c */
void qm_since_set(struct qm_job *job, sector_t sector, sector_t sectors);
void qm_flush_prepare(struct qm_job *job, struct qm_leg *leg);
void qm_flush_failed(struct qm_job *job, bool owns_epoch);
void qm_flush_unknown(struct qm_job *job);
void qm_flush_end(struct qm_leg *leg);

/* copy.c */
int qm_copy_init(struct qm_job *job);
void qm_copy_kick(struct qm_job *job, unsigned int delay_ms);
void qm_copy_new_dirt(struct qm_job *job);
bool qm_copy_allowed(struct qm_job *job);
void qm_copy_work(struct work_struct *work);
void qm_copy_note_failure(struct qm_job *job, unsigned long chunk);
bool qm_copy_set_pool(struct qm_job *job, struct qm_pool *pool);
void qm_copy_set_speed(struct qm_job *job);

/* unit.c; the rest of it is in unit.h */
struct qm_pool *qm_pool_create(const struct qm_args *args, sector_t len);
void qm_pool_destroy(struct qm_pool *pool);
void qm_units_give_up(struct qm_job *job, unsigned int older_than_ms);
void qm_units_send(struct qm_job *job);
bool qm_units_read(struct qm_job *job);
bool qm_writes_left(struct qm_job *job);

static inline unsigned long qm_chunk(const struct qm_job *job, sector_t sector)
{
	return sector >> job->chunk_shift;
}

static inline sector_t qm_chunk_start(const struct qm_job *job,
				      unsigned long chunk)
{
	return (sector_t)chunk << job->chunk_shift;
}

/* First sector behind a chunk; the last chunk may be partial. */
static inline sector_t qm_chunk_end(const struct qm_job *job,
				    unsigned long chunk)
{
	return min(qm_chunk_start(job, chunk + 1), job->len);
}

/* What is between these two happens at one instant for qm_copy.moves' readers. */
static inline void qm_moves_begin(struct qm_copy *copy)
{
	preempt_disable();
	write_seqcount_begin(&copy->moves);
}

static inline void qm_moves_end(struct qm_copy *copy)
{
	write_seqcount_end(&copy->moves);
	preempt_enable();
}

/*
 * Can this go to the target with REQ_NOWAIT?  The block layer does not split
 * such a bio, it ends it with AGAIN.
 */
static inline bool qm_may_nowait(const struct bio *bio)
{
	return bdev_nowait(bio->bi_bdev) && bio_sectors(bio) <=
	       queue_max_sectors(bdev_get_queue(bio->bi_bdev));
}

/*
 * Who wrote @guest pays for @bio, too.  @guest was sent to the source: what is
 * below us may change its device, and with it its cgroup, while we look.
 */
static inline void qm_pay_alike(struct bio *bio, struct bio *guest)
{
	rcu_read_lock();
	bio_clone_blkg_association(bio, guest);
	rcu_read_unlock();
}

/* Ended because it could not go at once: to be sent again without NOWAIT. */
static inline bool qm_refused_nowait(const struct bio *bio)
{
	return (bio->bi_opf & REQ_NOWAIT) &&
	       (bio->bi_status == BLK_STS_AGAIN ||
		bio->bi_status == BLK_STS_NOTSUPP);
}

/* See qm_orphan_end(). */
static inline bool qm_orphan_overlaps(struct qm_job *job, sector_t sector,
				      sector_t sectors)
{
	return qm_orphan_end(job, sector, sectors);
}

static inline bool qm_ended(const struct qm_job *job)
{
	return READ_ONCE(job->state) >= QM_ABORTING;
}

#endif /* DM_QMIRROR_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dm-cbw: copy-before-write.  A filter over a live device saves the old content
 * of a cluster to a store before the first write to it; views show the device
 * as it was when the snapshot was armed.
 *
 * Words: the guest is whoever does I/O on the filter.  A cluster is what one
 * bit stands for; cluster i has the same place on source and store.  A copy is
 * one run of clusters on its way from the source to the store.  An arming is
 * the life of one snapshot, from arm to disarm, break or the end of the table;
 * its generation is a number that is never used again.  A reader is who reads
 * a view.  A copy nobody waits for any more is an orphan.
 *
 * Files:	filter.c  target "cbw": constructor, map, suspend, status, limits
 *		view.c    target "cbw-snapshot": the same, and the reading
 *		snap.c    the snapshot: made, found, adopted by a table, let go;
 *			  arm, disarm, break
 *		copy.c    guest writes that have to wait, copies, time-outs
 *		verbs.c   messages; release and protect
 *		events.c  dm events and log lines
 *		bits.h    states of a cluster, and the order of their changes
 *		args.c    words of the table line, in and out
 *
 * Three bitmaps, one bit a cluster:
 *
 *	pass	     a guest's write needs no copy: saved, released, unprotected
 *	gone	     cannot be read from a view: unprotected or released
 *	unprotected  what "protect" left out; kept over disarm
 *
 * so that a cluster of an armed snapshot is, by pass and gone,
 *
 *	0 0	on the source only: readers read the source, a write copies first
 *	1 0	saved: readers read the store, writes pass
 *	1 1	nobody's: reads fail, writes pass
 *
 * While no snapshot is armed pass and gone both equal unprotected: arming has
 * nothing to prepare and cannot fail.
 *
 * Invariants (the numbers are those of the design; who keeps them):
 *
 * 5. Copy complete -> pass bit -> guest write issued.  A reader takes the
 *    generation in map; after its read it looks, behind a read barrier, at pass
 *    and gone, and behind another one at the generation, whose bits are cleared
 *    when it has ended: another generation or gone is EIO, runs whose pass bit
 *    is now set are read again from the store.
 *    (copy.c: __finish_copy; view.c: cbw_view_end_io; bits.h)
 * 6. Bits are never cleared while a snapshot lives.  broken, released, a new
 *    generation are set before the write that follows from them is let go; no
 *    copy of an old snapshot writes into the store of a new one.
 *    (snap.c: __cbw_end_arming, cbw_arm; verbs.c: do_release; bits.h)
 * 7. Nothing waits in map, allocates in map or needs the I/O it is blocking.
 *    All memory of copies is there from the constructor on.  The destructor
 *    never waits for an orphan.
 * 9. arm looks at our own @quiet flag, set in postsuspend and cleared in resume
 *    before I/O flows, not at dm_suspended().
 *
 * Why a reader needs no lock.  A read of the source that returned a byte of a
 * guest's write ended after the device had begun that write, which was issued
 * after the pass bit was set (or the arming ended, or the cluster was gone).
 * So whoever looks at the bits after the end of the read, behind a read
 * barrier, sees it.  And the guest never waits for a reader.
 *
 * Lock order, outermost first:
 *
 *	bc_claims_lock		mutex, the registry; constructor, destructor
 *	snap->verb_lock		mutex, one message or table change at a time
 *	snap->live_lock		mutex, snap->live and snap->views against
 *				destructors
 *	snap->lock		spinlock: state, error, events, everything about
 *				writes that wait and copies
 */
#ifndef DM_CBW_H
#define DM_CBW_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/dm-ioctl.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "bio.h"
#include "args.h"
#include "bits.h"
#include "disk.h"
#include "policy.h"
#include "range.h"

#define DM_MSG_PREFIX		"cbw"

#define CBW_MIN_CLUSTER		8U		/* sectors */
#define CBW_MAX_CLUSTER		131072U
#define CBW_DEFAULT_CLUSTER	128U
#define CBW_COPY_SECTORS	2048U		/* largest I/O of a copy: 1 MiB */
#define CBW_COPY_PAGES		(CBW_COPY_SECTORS >> (PAGE_SHIFT - SECTOR_SHIFT))
#define CBW_NR_COPIES		64U		/* in flight (C-15) ... */
#define CBW_NR_PAGES		(4U * CBW_COPY_PAGES)	/* ... in 4 MiB */

enum cbw_side { CBW_SOURCE, CBW_STORE, CBW_NR_SIDES };
/* QAPI OnCbwError */
enum cbw_policy { CBW_BREAK_GUEST_WRITE, CBW_BREAK_SNAPSHOT, CBW_NR_POLICIES };
enum cbw_op { CBW_READ, CBW_WRITE, CBW_TIMEOUT, CBW_NR_OPS };

extern const char *const cbw_state_names[CBW_NR_STATES];
extern const char *const cbw_policy_names[CBW_NR_POLICIES];
extern const char *const cbw_op_names[CBW_NR_OPS];

/**
 * struct cbw_args - the optional words of a filter's table line
 * @cluster_size: sectors
 * @on_cbw_error: who loses when a copy fails
 * @cbw_timeout: milliseconds, 0: none
 * @idle: the first resume arms nothing
 */
struct cbw_args {
	u64 cluster_size;
	enum cbw_policy on_cbw_error;
	unsigned int cbw_timeout;
	bool idle;
};

/* The first error of an arming. */
struct cbw_error {
	int error;		/* errno, negative; 0: none */
	enum cbw_op op;
	sector_t sector;	/* of the device */
};

/* A line of log and dm events on the filter and its views. */
struct cbw_event {
	enum { CBW_EV_ARMED, CBW_EV_DISARMED, CBW_EV_BROKEN, CBW_EV_ERROR } what;
	struct cbw_error error;
};

#define CBW_NR_EVENTS	8

struct cbw_snap;
struct cbw_copy;
struct cbw_target;
struct cbw_view;

/**
 * struct cbw_io - dm's per-bio data of a guest's write; touched only when it
 *		   has to wait.  All under snap->lock
 * @slow: of snap->slow: all that wait
 * @wait: of snap->ready, snap->starved or a copy's waiters; empty: for its own
 *        copies
 * @first: first cluster it touches
 * @last: last cluster
 * @started: jiffies, for cbw_timeout: the clock covers all the waiting (C-41)
 * @copies: its own copies in flight
 * @op: what failed, of its own copies
 * @status: the first of these failures
 * @sector: where that was
 */
struct cbw_io {
	struct list_head slow;
	struct list_head wait;
	unsigned long first;
	unsigned long last;
	unsigned long started;
	unsigned short copies;
	u8 op;
	blk_status_t status;
	sector_t sector;
};

/**
 * struct cbw_copy - one run of clusters on its way to the store
 * @range: which clusters; in snap->copies while in flight
 * @list: of snap->free or snap->busy
 * @start: of those to be sent to the source
 * @node: of snap->ended or snap->to_store
 * @waiters: writes that wait for it without owning it
 * @snap: the snapshot, referenced by its table or as an orphan
 * @owner: the write it was started for; NULL: nobody waits
 * @gen: of which arming; later it is worth nothing
 * @pos: first sector of the piece that is under way
 * @sectors: of this piece
 * @reading: the piece is on its way from the source
 * @writing: or to the store
 * @status: of the last I/O
 * @nr_pages: taken from the stock
 * @bio: the I/O
 * @bvecs: its pages
 *
 * Nothing that dm or the guest owns can be reached from @bio.
 */
struct cbw_copy {
	struct bc_range range;
	struct list_head list;
	struct list_head start;
	struct llist_node node;
	struct list_head waiters;
	struct cbw_snap *snap;
	struct cbw_io *owner;
	unsigned long gen;
	sector_t pos;
	unsigned int sectors;
	bool reading;
	bool writing;
	blk_status_t status;
	unsigned int nr_pages;
	struct bio bio;
	struct bio_vec bvecs[];
};

/**
 * struct cbw_discard - released clusters whose space in the store is given back
 * @list: of snap->discards
 * @gen: of which arming
 * @start: first sector
 * @sectors: how many
 */
struct cbw_discard {
	struct list_head list;
	unsigned long gen;
	sector_t start;
	sector_t sectors;
};

/**
 * struct cbw_snap - what filter and views share, across tables
 *
 * Made by the filter's constructor, belongs to its dm device from the first
 * resume on; views find it by its store.  Let go with the last table of either
 * kind or the last orphan, whichever is later.
 */
struct cbw_snap {
	/* fast path, read-mostly */
	unsigned int cluster_shift;
	struct cbw_bits bits;		/* unprotected: under verb_lock */

	struct kref ref;		/* tables, orphans as one */
	struct bc_claim claim;
	struct list_head node;		/* of the registry */
	struct mapped_device *md;	/* not referenced; for comparison only */
	char name[DM_NAME_LEN];
	bool started;			/* was resumed once */
	struct bc_leg leg[CBW_NR_SIDES];
	sector_t len;
	unsigned long nr_clusters;
	struct cbw_args args;		/* in force */

	struct mutex verb_lock;		/* one message or table change at a time */
	bool quiet;			/* under verb_lock, read anywhere */
	struct mutex live_lock;
	struct cbw_target *live;	/* under live_lock */
	struct list_head views;		/* under live_lock */

	spinlock_t lock;		/* all below */
	bool hand_back;			/* noflush suspend: nothing waits here */
	bool gone_table;		/* no table answers for it any more */
	unsigned long last_gen;
	unsigned long broken_gen;	/* the arming that broke, 0: none */
	struct cbw_error error;
	u64 failed_writes;
	unsigned long copied;		/* clusters in the store, and readable */
	struct cbw_event events[CBW_NR_EVENTS];
	unsigned int nr_events;

	/* writes that wait, and copies */
	struct list_head slow;
	struct list_head ready;		/* to be looked at by io_work */
	struct list_head starved;	/* for want of a free copy or pages */
	struct list_head free;
	struct list_head busy;
	struct rb_root_cached copies;
	unsigned long copying;		/* clusters in flight */
	struct list_head discards;
	unsigned int nr_busy;		/* copies and discards in flight */
	bool orphan_ref;		/* they hold the snapshot and the module */
	struct page **stock;
	unsigned int nr_stock;
	struct llist_head ended;
	struct llist_head to_store;

	/*
	 * One queue a level: the guest's writes and the source; and the store,
	 * where a worker may sleep until there is a free tag.
	 */
	struct workqueue_struct *io_wq;
	struct workqueue_struct *store_wq;
	struct work_struct io_work;
	struct work_struct store_work;
	struct work_struct discard_work;
	struct delayed_work event_work;
	struct delayed_work timeout_work;
	struct work_struct release_work;
};

/**
 * struct cbw_target - one table line of a filter
 * @snap: first, for the fast path
 * @source: likewise
 * @start: likewise: of @source
 * @ti: the dm target
 * @dev: dm's references
 * @store_start: of the store
 * @args: of this line; in force from its resume on
 * @joins: the line repeats that of a snapshot already there
 */
struct cbw_target {
	struct cbw_snap *snap;
	struct block_device *source;
	sector_t start;
	struct dm_target *ti;
	struct dm_dev *dev[CBW_NR_SIDES];
	sector_t store_start;
	struct cbw_args args;
	bool joins;
};

/**
 * struct cbw_view - one table line of a view
 * @ti: the dm target
 * @snap: the snapshot
 * @dev: dm's references
 * @start: of each
 * @list: of snap->views, from the first resume on
 * @gen: the arming it shows; 0: the next one
 * @resumed: it was bound, or waits to be
 * @bs: bios for reading again
 * @again: reads that have to
 * @again_wq: where
 * @again_work: of @again_wq
 */
struct cbw_view {
	struct dm_target *ti;
	struct cbw_snap *snap;
	struct dm_dev *dev[CBW_NR_SIDES];
	sector_t start[CBW_NR_SIDES];
	struct list_head list;
	unsigned long gen;
	bool resumed;
	struct bio_set bs;
	struct llist_head again;
	struct workqueue_struct *again_wq;
	struct work_struct again_work;
};

extern struct workqueue_struct *cbw_wq;	/* events, time-outs, releases */
extern struct target_type cbw_view_target;

/* args.c */
int cbw_args_parse(struct dm_target *ti, struct dm_arg_set *as,
		   struct cbw_args *args);
unsigned int cbw_args_emit(const struct cbw_args *args, bool idle, char *result,
			   unsigned int size);
int cbw_ctr_error(struct dm_target *ti, const char *error, const char *word,
		  int r);
int cbw_get_legs(struct dm_target *ti, char **argv, struct dm_dev **dev,
		 sector_t *start, bool write);

/* snap.c */
int cbw_snap_get(struct cbw_target *t);
void cbw_snap_adopt(struct cbw_target *t);
void cbw_snap_detach(struct cbw_target *t);
int cbw_snap_find(struct cbw_view *v);
bool cbw_bypassed(struct cbw_snap *snap);
void cbw_view_bind(struct cbw_view *v);
void cbw_view_detach(struct cbw_view *v);
void cbw_put_orphans(struct cbw_snap *snap);
int cbw_arm(struct cbw_snap *snap);
int cbw_disarm(struct cbw_snap *snap);
void __cbw_end_arming(struct cbw_snap *snap, enum cbw_state state);
void cbw_learn_name(struct cbw_snap *snap);

/* copy.c */
int cbw_copies_init(struct cbw_snap *snap);
void cbw_copies_exit(struct cbw_snap *snap);
int cbw_map_slow(struct cbw_snap *snap, struct dm_target *ti, struct bio *bio,
		 unsigned long first, unsigned long last);
void cbw_hand_back(struct cbw_snap *snap);
void cbw_look_again(struct cbw_snap *snap);
void __cbw_let_go(struct cbw_snap *snap);
void __cbw_not_busy(struct cbw_snap *snap);
void cbw_io_work(struct work_struct *work);
void cbw_store_work(struct work_struct *work);
void cbw_timeout_work(struct work_struct *work);

/* verbs.c */
int cbw_message(struct cbw_snap *snap, unsigned int argc, char **argv);
void __cbw_discard_gone(struct cbw_snap *snap, unsigned long first,
			unsigned long last);
void cbw_discard_work(struct work_struct *work);

/* events.c */
void __cbw_event(struct cbw_snap *snap, int what);
bool __cbw_note_error(struct cbw_snap *snap, int error, enum cbw_op op,
		      sector_t sector);
void cbw_event_work(struct work_struct *work);
unsigned int cbw_error_emit(const struct cbw_error *error, char *result,
			    unsigned int size);

static inline unsigned long cbw_cluster(const struct cbw_snap *snap,
					sector_t sector)
{
	return sector >> snap->cluster_shift;
}

static inline sector_t cbw_cluster_start(const struct cbw_snap *snap,
					 unsigned long cluster)
{
	return (sector_t)cluster << snap->cluster_shift;
}

/* First sector behind a cluster; the last one may be partial. */
static inline sector_t cbw_cluster_end(const struct cbw_snap *snap,
				       unsigned long cluster)
{
	return min(cbw_cluster_start(snap, cluster + 1), snap->len);
}

#endif /* DM_CBW_H */

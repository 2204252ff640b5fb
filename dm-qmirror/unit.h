/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copy units, between copy.c (what is copied when) and unit.c (how).
 */
#ifndef DM_QMIRROR_UNIT_H
#define DM_QMIRROR_UNIT_H

#include "qmirror.h"

/* unit->state is one of these, and above them a count of the I/Os. */
#define QM_UNIT_STATE_MASK	0xff
#define QM_UNIT_GENERATION	0x100

enum qm_unit_state {
	QM_UNIT_IDLE,		/* in copy.free */
	QM_UNIT_REFUSED,	/* in copy.refused: to be tried again */
	QM_UNIT_QUEUED,		/* in copy.refused: waits for its range */
	QM_UNIT_IN_FLIGHT,	/* its bio is out */
	QM_UNIT_ENDED,		/* its bio has ended */
	QM_UNIT_GIVEN_UP,	/* its bio is an orphan */
};

/**
 * struct qm_unit - one piece of background copy
 * @range: its place in the range lock, as planned
 * @orphan: its place among the orphans
 * @list: of copy.free or copy.refused
 * @node: of copy.done or copy.granted
 * @job: whose
 * @state: enum qm_unit_state; leaves IN_FLIGHT by cmpxchg only
 * @status: of the last I/O
 * @op: the last I/O
 * @piece: part of a chunk that is larger than a unit
 * @writing: the last I/O was on the target
 * @wrote: something was written on the target
 * @refusals: how often the range was not free
 * @started: jiffies of the last I/O
 * @sector: what is copied, first sector of the mirror
 * @sectors: and how many; within @range
 * @counted: how many of them are in copy.in_flight
 * @window: the part of it that is being worked on
 * @window_end: behind it
 * @pos: written up to here
 * @io_sector: of the last I/O
 * @io_sectors: of the last I/O
 * @bio: of the last I/O
 * @bvecs: its pages; apart, because together they are a little more than a page
 */
struct qm_unit {
	struct bc_range range;
	struct bc_range orphan;
	struct list_head list;
	struct llist_node node;
	struct qm_job *job;
	int state;
	blk_status_t status;
	enum req_op op;
	bool piece;
	bool writing;
	bool wrote;
	unsigned int refusals;
	unsigned int nr_pages;
	unsigned long started;
	sector_t sector;
	unsigned int sectors;
	unsigned int counted;
	sector_t window;
	sector_t window_end;
	sector_t pos;
	sector_t io_sector;
	unsigned int io_sectors;
	struct bio bio;
	struct bio_vec *bvecs;
};

static inline bool qm_unit_is(const struct qm_unit *unit, int state)
{
	return (READ_ONCE(unit->state) & QM_UNIT_STATE_MASK) == state;
}

/* unit.c */
void qm_units_step(struct qm_job *job);
void qm_units_granted(struct qm_job *job);
void qm_unit_plan(struct qm_unit *unit, struct qm_job *job, sector_t sector,
		  unsigned int sectors, bool piece);
void qm_unit_try(struct qm_unit *unit);
void qm_unit_put_back(struct qm_unit *unit);

/* copy.c */
void qm_copy_note_success(struct qm_job *job, unsigned long first,
			  unsigned long last);
void qm_unit_drop_piece(struct qm_unit *unit);

#endif /* DM_QMIRROR_UNIT_H */

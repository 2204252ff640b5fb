// SPDX-License-Identifier: GPL-2.0
/*
 * Messages: arm, disarm, release, protect.
 *
 * A message is handled inside dm's SRCU section: a suspend or a table change
 * waits for it.  So nothing here waits for I/O; release leaves the discards of
 * the store to a work item.  Words are checked before anything is changed.
 */
#include <linux/slab.h>

#include "cbw.h"

/* Clusters under one spell of snap->lock. */
#define SPELL	4096UL

enum verb { VERB_ARM, VERB_DISARM, VERB_RELEASE, VERB_PROTECT, NR_VERBS };

static const char *const verb_names[NR_VERBS] = {
	[VERB_ARM] = "arm",
	[VERB_DISARM] = "disarm",
	[VERB_RELEASE] = "release",
	[VERB_PROTECT] = "protect",
};

static int invalid(struct cbw_snap *snap, const char *verb, const char *what,
		   const char *word)
{
	DMERR("%s: %s: %s: \"%s\"", snap->name, verb, what, word);
	return -EINVAL;
}

/* One pair of start and count. */
static int parse_range(struct cbw_snap *snap, char **argv, int verb, u64 *start,
		       u64 *count)
{
	const char *name = verb_names[verb];

	if (bc_parse_u64(argv[0], start))
		return invalid(snap, name, "invalid start", argv[0]);
	if (bc_parse_u64(argv[1], count) || !*count)
		return invalid(snap, name, "invalid count", argv[1]);
	if (*start >= snap->len || *count > snap->len - *start)
		return invalid(snap, name, "range past the end", argv[0]);
	return 0;
}

static int check_ranges(struct cbw_snap *snap, unsigned int argc, char **argv,
			int verb)
{
	u64 start, count;
	unsigned int i;
	int r = 0;

	if (argc < 3)
		return invalid(snap, verb_names[verb], "a range is required",
			       argv[argc - 1]);
	if (!(argc % 2))
		return invalid(snap, verb_names[verb], "start without count",
			       argv[argc - 1]);
	for (i = 1; i < argc && !r; i += 2)
		r = parse_range(snap, argv + i, verb, &start, &count);
	return r;
}

/*
 * The store's space
 */

/* Under lock.  Advisory: without memory it is left as it is. */
static void __queue_discard(struct cbw_snap *snap, unsigned long first,
			    unsigned long last)
{
	struct cbw_discard *d;

	if (!bdev_max_discard_sectors(snap->leg[CBW_STORE].bdev))
		return;
	d = kmalloc(sizeof(*d), GFP_NOWAIT | __GFP_NOWARN);
	if (!d)
		return;
	d->gen = snap->last_gen;
	d->start = cbw_cluster_start(snap, first);
	d->sectors = cbw_cluster_end(snap, last) - d->start;
	list_add_tail(&d->list, &snap->discards);
	WRITE_ONCE(snap->nr_busy, snap->nr_busy + 1);
	queue_work(snap->store_wq, &snap->discard_work);
}

/**
 * __cbw_discard_gone() - a copy has ended on clusters that were released
 * @snap: the snapshot, snap->lock held
 * @first: first cluster of the copy
 * @last: last cluster
 */
void __cbw_discard_gone(struct cbw_snap *snap, unsigned long first,
			unsigned long last)
{
	unsigned long end;

	lockdep_assert_held(&snap->lock);
	for (; (first = cbw_next_set(&snap->bits.gone, first, last)) <= last;
	     first = end) {
		end = cbw_next_clear(&snap->bits.gone, first, last);
		__queue_discard(snap, first, end - 1);
	}
}

/* Ends with the range or with the arming; an error is nobody's business. */
static void discard(struct cbw_snap *snap, struct cbw_discard *d)
{
	const sector_t most = 1U << 21;	/* 1 GiB: bi_size is 32 bits wide */
	struct bio bio;

	while (d->sectors && d->gen == READ_ONCE(snap->last_gen) &&
	       READ_ONCE(snap->bits.state) != CBW_IDLE) {
		sector_t n = min(d->sectors, most);

		bio_init(&bio, snap->leg[CBW_STORE].bdev, NULL, 0,
			 REQ_OP_DISCARD);
		bio.bi_iter.bi_sector = snap->leg[CBW_STORE].start + d->start;
		bio.bi_iter.bi_size = n << SECTOR_SHIFT;
		submit_bio_wait(&bio);
		bio_uninit(&bio);
		d->start += n;
		d->sectors -= n;
	}
}

/* May wait for the store as long as that takes; nobody waits for us. */
void cbw_discard_work(struct work_struct *work)
{
	struct cbw_snap *snap = container_of(work, struct cbw_snap,
					     discard_work);
	struct cbw_discard *d;

	for (;;) {
		spin_lock_irq(&snap->lock);
		d = list_first_entry_or_null(&snap->discards,
					     struct cbw_discard, list);
		if (d)
			list_del(&d->list);
		spin_unlock_irq(&snap->lock);
		if (!d)
			return;
		discard(snap, d);
		kfree(d);
		spin_lock_irq(&snap->lock);
		__cbw_not_busy(snap);
		spin_unlock_irq(&snap->lock);
	}
}

/*
 * release
 */

/* Returns true when something of it was in the store. */
static bool __release_run(struct cbw_snap *snap, unsigned long first,
			  unsigned long last)
{
	unsigned long saved = cbw_bits_release(&snap->bits, first, last);

	snap->copied -= saved;
	return saved;
}

/* Whole clusters only; the last, partial one when covered to its end. */
static void release(struct cbw_snap *snap, u64 start, u64 count)
{
	unsigned long first = cbw_cluster(snap, start +
					  cbw_cluster_start(snap, 1) - 1);
	unsigned long end = start + count == snap->len ? snap->nr_clusters :
			    cbw_cluster(snap, start + count);
	unsigned long c, last;
	bool saved = false, armed = true;

	for (c = first; c < end && armed; c = last + 1) {
		last = min(end, c + SPELL) - 1;
		spin_lock_irq(&snap->lock);
		armed = snap->bits.state != CBW_IDLE;
		if (armed)
			saved |= __release_run(snap, c, last);
		if (armed && last + 1 == end && saved)
			__queue_discard(snap, first, last);
		spin_unlock_irq(&snap->lock);
		cond_resched();
	}
}

static int do_release(struct cbw_snap *snap, unsigned int argc, char **argv)
{
	u64 start, count;
	unsigned int i;
	int r = check_ranges(snap, argc, argv, VERB_RELEASE);

	if (r)
		return r;
	for (i = 1; i < argc; i += 2) {
		parse_range(snap, argv + i, VERB_RELEASE, &start, &count);
		release(snap, start, count);
	}
	cbw_look_again(snap);
	return 0;
}

/*
 * protect
 */

static int do_protect(struct cbw_snap *snap, unsigned int argc, char **argv)
{
	bool all = argc == 2 && !strcmp(argv[1], "all");
	bool none = argc == 2 && !strcmp(argv[1], "none");
	unsigned int i;
	u64 start, count;
	int r = all || none ? 0 : check_ranges(snap, argc, argv, VERB_PROTECT);

	if (r)
		return r;
	if (READ_ONCE(snap->bits.state) != CBW_IDLE) {
		DMWARN("%s: protect refused while %s", snap->name,
		       cbw_state_names[READ_ONCE(snap->bits.state)]);
		return -EBUSY;
	}
	if (all || none) {
		cbw_bits_protect(&snap->bits, 0, snap->nr_clusters - 1, all);
		return 0;
	}
	for (i = 1; i < argc; i += 2) {
		parse_range(snap, argv + i, VERB_PROTECT, &start, &count);
		cbw_bits_protect(&snap->bits, cbw_cluster(snap, start),
				 cbw_cluster(snap, start + count - 1), true);
	}
	return 0;
}

static int do_verb(struct cbw_snap *snap, int verb, unsigned int argc,
		   char **argv)
{
	switch (verb) {
	case VERB_ARM:
	case VERB_DISARM:
		if (argc != 1)
			return invalid(snap, argv[0], "takes no argument",
				       argv[1]);
		return verb == VERB_ARM ? cbw_arm(snap) : cbw_disarm(snap);
	case VERB_RELEASE:
		return do_release(snap, argc, argv);
	default:
		return do_protect(snap, argc, argv);
	}
}

/**
 * cbw_message() - a message from user space
 * @snap: the snapshot
 * @argc: words
 * @argv: the words
 *
 * Return: 0, -EINVAL for what is no message, -EBUSY for what is refused now.
 * May sleep, but never for I/O.
 */
int cbw_message(struct cbw_snap *snap, unsigned int argc, char **argv)
{
	int verb = bc_find_word(verb_names, NR_VERBS, argv[0]);
	int r;

	if (verb < 0)
		return invalid(snap, "message", "unknown", argv[0]);
	mutex_lock(&snap->verb_lock);
	r = do_verb(snap, verb, argc, argv);
	mutex_unlock(&snap->verb_lock);
	return r;
}

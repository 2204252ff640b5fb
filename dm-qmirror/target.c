// SPDX-License-Identifier: GPL-2.0
/*
 * dm glue of the qmirror target: constructor, suspend and resume, status,
 * limits.  No data is copied here and no state is changed but by calls into
 * job.c.
 *
 * A constructor may run while an old table of the same device is live: it
 * looks and allocates, it changes nothing.  Nothing that can fail is left for
 * preresume and resume.
 */
#include <linux/init.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/string_helpers.h>

#include "qmirror.h"

struct workqueue_struct *qm_wq;

static int ctr_error(struct dm_target *ti, const char *error, const char *word,
		     int r)
{
	DMERR("%s: \"%s\"", error, word);
	ti->error = (char *)error;
	return r;
}

/* One device and its offset. */
static int get_leg_arg(struct qm_target *t, enum qm_side side, char **argv)
{
	static const char *const no_device[] = {
		"Cannot open the source", "Cannot open the target",
	};
	static const char *const no_offset[] = {
		"Invalid source offset", "Invalid target offset",
	};
	bc_mode_t mode = dm_table_get_mode(t->ti->table);
	u64 start;
	int r;

	if (bc_parse_u64(argv[1], &start) ||
	    start > (u64)LLONG_MAX >> SECTOR_SHIFT)
		return ctr_error(t->ti, no_offset[side], argv[1], -EINVAL);
	t->start[side] = start;

	/* The target is written whatever the guest may do. */
	if (side == QM_TARGET)
		mode |= BC_OPEN_WRITE;
	r = dm_get_device(t->ti, argv[0], mode, &t->dev[side]);
	if (r)
		return ctr_error(t->ti, no_device[side], argv[0], r);
	return 0;
}

static int check_sizes(struct qm_target *t)
{
	struct dm_target *ti = t->ti;
	struct block_device *source = t->dev[QM_SOURCE]->bdev;
	struct block_device *target = t->dev[QM_TARGET]->bdev;
	static const char *const too_small[] = {
		"Source is smaller than offset and length",
		"Target is smaller than offset and length",
	};
	int side;

	for (side = 0; side < QM_NR_SIDES; side++) {
		struct dm_dev *dev = t->dev[side];
		sector_t size = bdev_nr_sectors(dev->bdev);

		if (t->start[side] > size || ti->len > size - t->start[side])
			return ctr_error(ti, too_small[side], dev->name,
					 -EINVAL);
	}
	if (bdev_logical_block_size(target) > bdev_logical_block_size(source))
		return ctr_error(ti, "Target has larger logical blocks than the source",
				 t->dev[QM_TARGET]->name, -EINVAL);
	if (bc_misaligned(source, ti->len, t->start[QM_SOURCE]))
		return ctr_error(ti, "Length or source offset is not a multiple of the logical block size",
				 t->dev[QM_SOURCE]->name, -EINVAL);
	if (bc_misaligned(target, ti->len, t->start[QM_TARGET]))
		return ctr_error(ti, "Length or target offset is not a multiple of the logical block size",
				 t->dev[QM_TARGET]->name, -EINVAL);
	return 0;
}

static int check_granularity(struct qm_target *t)
{
	struct block_device *source = t->dev[QM_SOURCE]->bdev;
	unsigned int shift = ilog2(t->args.granularity);
	char word[24];

	snprintf(word, sizeof(word), "%llu", t->args.granularity);
	if (t->args.granularity < bdev_logical_block_size(source) >> SECTOR_SHIFT)
		return ctr_error(t->ti, "granularity is smaller than a logical block",
				 word, -EINVAL);
	if ((t->ti->len - 1) >> shift >= BC_BITMAP_MAX_BITS)
		return ctr_error(t->ti, "granularity makes more than 2^31 chunks",
				 word, -EINVAL);
	return 0;
}

static int check_devices(struct qm_target *t)
{
	struct dm_target *ti = t->ti;
	struct gendisk *self = dm_disk(dm_table_get_md(ti->table));
	struct block_device *source = t->dev[QM_SOURCE]->bdev;
	struct block_device *target = t->dev[QM_TARGET]->bdev;
	const char *name = t->dev[QM_TARGET]->name;

	if (bc_stands_on(source->bd_disk, self))
		return ctr_error(ti, "Source is or stands on the mirror itself",
				 t->dev[QM_SOURCE]->name, -EINVAL);
	if (bc_stands_on(target->bd_disk, self))
		return ctr_error(ti, "Target is or stands on the mirror itself", name,
				 -EINVAL);
	if (bdev_is_zoned(source) || bdev_is_zoned(target))
		return ctr_error(ti, "Zoned devices are not supported", name,
				 -EINVAL);
	if (bdev_read_only(target))
		return ctr_error(ti, "Target is read-only", name, -EACCES);
	if (bc_overlap(source, t->start[QM_SOURCE], ti->len, target,
		       t->start[QM_TARGET], ti->len))
		return ctr_error(ti, "Target and source overlap", name,
				 -EINVAL);
	return 0;
}

/* Undoes a constructor that got anywhere. */
static void qm_dtr(struct dm_target *ti)
{
	struct qm_target *t = ti->private;
	int side;

	if (t->job)
		qm_job_detach(t);
	qm_pool_destroy(t->pool);
	for (side = 0; side < QM_NR_SIDES; side++)
		if (t->dev[side])
			dm_put_device(ti, t->dev[side]);
	kfree(t);
}

/*
 * <source> <source offset> <target> <target offset> [<#args> <arg>...]
 */
static int parse_line(struct qm_target *t, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	int r;

	if (argc < 4) {
		t->ti->error = "Source, source offset, target and target offset are required";
		return -EINVAL;
	}
	dm_consume_args(&as, 4);
	r = qm_args_parse(t->ti, &as, &t->args);
	if (!r)
		r = get_leg_arg(t, QM_SOURCE, argv);
	if (!r)
		r = get_leg_arg(t, QM_TARGET, argv + 2);
	return r;
}

static void set_features(struct qm_target *t)
{
	struct dm_target *ti = t->ti;

	ti->per_io_data_size = sizeof(struct qm_io);
	/* We submit dm's clones ourselves, see send_both(). */
	ti->accounts_remapped_io = true;
	ti->num_flush_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->num_discard_bios = 1;
	if (t->args.no_bounce)
		bc_want_stable_pages(ti, NULL);
}

static int qm_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct qm_target *t = kzalloc(sizeof(*t), GFP_KERNEL);
	int r;

	if (!t) {
		ti->error = "Cannot allocate memory";
		return -ENOMEM;
	}
	t->ti = ti;
	ti->private = t;

	r = parse_line(t, argc, argv);
	if (!r)
		r = check_devices(t);
	if (!r)
		r = check_sizes(t);
	if (!r)
		r = check_granularity(t);
	if (!r)
		r = qm_job_get(t);
	if (r) {
		qm_dtr(ti);
		return r;
	}
	set_features(t);
	return 0;
}

/*
 * The device is about to be suspended: copy nothing new.  Guest writes go on,
 * among them those of a file system that is being frozen.
 */
static void qm_presuspend(struct dm_target *ti)
{
	struct qm_job *job = ((struct qm_target *)ti->private)->job;

	spin_lock_irq(&job->lock);
	job->quiescing = true;
	/* Latched: dm_noflush_suspending() may be over in postsuspend. */
	job->noflush = dm_noflush_suspending(ti);
	spin_unlock_irq(&job->lock);

	if (job->noflush) {
		set_bit(QM_GIVE_UP_SUSPEND, &job->giving_up);
		qm_give_up(job, 0);
		qm_units_give_up(job, 0);
	}
	/* Units that were refused go back now. */
	qm_copy_kick(job, 0);
}

static void qm_presuspend_undo(struct dm_target *ti)
{
	struct qm_job *job = ((struct qm_target *)ti->private)->job;

	spin_lock_irq(&job->lock);
	job->quiescing = false;
	clear_bit(QM_GIVE_UP_SUSPEND, &job->giving_up);
	spin_unlock_irq(&job->lock);
	qm_copy_kick(job, 0);
	qm_kick_state(job);
}

static void qm_postsuspend(struct dm_target *ti)
{
	qm_job_quiesce(((struct qm_target *)ti->private)->job);
}

static void qm_resume(struct dm_target *ti)
{
	qm_job_adopt(ti->private);
}

static u64 sum_stats(struct qm_job *job, u64 *in_flight)
{
	u64 started = 0, mirrored = 0, ended = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct qm_stats *s = per_cpu_ptr(job->stats, cpu);

		mirrored += READ_ONCE(s->active_mirrored);
		ended += READ_ONCE(s->active_failed);
	}
	ended += mirrored;
	smp_rmb();	/* what has ended had started */
	for_each_possible_cpu(cpu)
		started += READ_ONCE(per_cpu_ptr(job->stats, cpu)->active_started);
	*in_flight = started > ended ? started - ended : 0;
	return mirrored;
}

/* offset, and what is left to do; the copier's share as it was at one instant. */
static u64 progress(struct qm_job *job, u64 *dirty, u64 *copying, u64 *left)
{
	unsigned int seq, rest;
	u64 offset, active;
	bool cut;

	do {
		seq = read_seqcount_begin(&job->copy.moves);
		*copying = atomic64_read(&job->copy.in_flight);
		rest = job->copy.big_rest;
		cut = rest && !bc_bitmap_test(&job->dirty,
					      job->copy.big_chunk);
		smp_rmb();	/* the bit before the count: never one too few */
		*dirty = bc_bitmap_count(&job->dirty);
		offset = atomic64_read(&job->copy.copied);
	} while (read_seqcount_retry(&job->copy.moves, seq));

	offset += sum_stats(job, &active);
	*left = (*dirty << job->chunk_shift) + rest + *copying + active;
	/* A chunk that is being cut into pieces counts until the last is out. */
	if (cut)
		*dirty = min_t(u64, *dirty + 1, job->nr_chunks);
	return offset;
}

static void status_info(struct qm_job *job, char *result, unsigned int maxlen)
{
	u64 offset, left, dirty, copying, errors[QM_NR_SIDES];
	struct qm_error error;
	enum qm_io_status io_status;
	enum qm_ending ending;
	enum qm_state state;
	const char *synced;
	unsigned int sz = 0;
	char buf[16];

	spin_lock_irq(&job->lock);
	state = job->state;
	synced = job->final ? "final" : str_yes_no(job->synced);
	io_status = job->io_status;
	error = job->error;
	errors[QM_SOURCE] = job->errors[QM_SOURCE];
	errors[QM_TARGET] = job->errors[QM_TARGET];
	ending = job->ending;
	spin_unlock_irq(&job->lock);

	offset = progress(job, &dirty, &copying, &left);
	DMEMIT("%s %s %llu/%llu %llu/%lu %s ", qm_state_names[state], synced,
	       offset, offset + left, dirty, job->nr_chunks,
	       qm_io_status_names[io_status]);
	if (error.error)
		DMEMIT("%s:%s:%s:%llu", qm_side_names[error.side],
		       qm_op_names[error.op],
		       bc_errno_name(error.error, buf, sizeof(buf)),
		       (unsigned long long)error.sector);
	else
		DMEMIT("-");
	DMEMIT(" %llu %llu %llu ", errors[QM_SOURCE], errors[QM_TARGET],
	       copying);
	sz += qm_args_emit_settings(&job->args, result + sz, maxlen - sz);
	DMEMIT(" %s %u", qm_ending_names[ending], READ_ONCE(job->nr_orphans));
}

static void qm_status(struct dm_target *ti, status_type_t type,
		      unsigned int status_flags, char *result,
		      unsigned int maxlen)
{
	struct qm_target *t = ti->private;
	struct qm_job *job = t->job;
	/* An inactive line shows itself, the live one what is in force. */
	const struct qm_args *args = READ_ONCE(job->live) == t ? &job->args :
								 &t->args;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		status_info(job, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %llu %s %llu ", t->dev[QM_SOURCE]->name,
		       (unsigned long long)t->start[QM_SOURCE],
		       t->dev[QM_TARGET]->name,
		       (unsigned long long)t->start[QM_TARGET]);
		qm_args_emit(args, result + sz, maxlen - sz);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",source=%s,source_offset=%llu,target=%s,target_offset=%llu;",
		       t->dev[QM_SOURCE]->name,
		       (unsigned long long)t->start[QM_SOURCE],
		       t->dev[QM_TARGET]->name,
		       (unsigned long long)t->start[QM_TARGET]);
		break;
	}
}

static int qm_target_message(struct dm_target *ti, unsigned int argc,
			     char **argv, char *result, unsigned int maxlen)
{
	return qm_message(((struct qm_target *)ti->private)->job, argc, argv);
}

/* Both legs, so that a later table on either alone finds limits that fit. */
static int qm_iterate_devices(struct dm_target *ti,
			      iterate_devices_callout_fn fn, void *data)
{
	struct qm_target *t = ti->private;
	int side, r = 0;

	for (side = 0; side < QM_NR_SIDES && !r; side++)
		r = fn(ti, t->dev[side], t->start[side], ti->len, data);
	return r;
}

static void qm_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct qm_target *t = ti->private;
	struct block_device *source = t->dev[QM_SOURCE]->bdev;

	/*
	 * Discards are the source's, whatever the target can (K-14).  dm asks
	 * for discards_supported after us, each time a table goes live: the
	 * source may have got its own table only now, as when the mirror is
	 * slid under.
	 */
	ti->discards_supported = bdev_max_discard_sectors(source);
	bc_take_discard_limits(limits, source);
	if (t->args.no_bounce)
		bc_want_stable_pages(ti, limits);
}

static struct target_type qmirror_target = {
	.name = "qmirror",
	.version = {1, 0, 0},
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = qm_ctr,
	.dtr = qm_dtr,
	.map = qm_map,
	.end_io = qm_end_io,
	.presuspend = qm_presuspend,
	.presuspend_undo = qm_presuspend_undo,
	.postsuspend = qm_postsuspend,
	.resume = qm_resume,
	.status = qm_status,
	.message = qm_target_message,
	.iterate_devices = qm_iterate_devices,
	.io_hints = qm_io_hints,
};

static int __init qm_init(void)
{
	int r;

	qm_wq = alloc_workqueue("kqmirror", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!qm_wq)
		return -ENOMEM;
	qm_legs_module_init();

	r = dm_register_target(&qmirror_target);
	if (r)
		destroy_workqueue(qm_wq);
	return r;
}

static void __exit qm_exit(void)
{
	dm_unregister_target(&qmirror_target);
	/* Also waits for the work item that put our last module reference. */
	destroy_workqueue(qm_wq);
}

module_init(qm_init);
module_exit(qm_exit);

MODULE_DESCRIPTION("device-mapper live mirror target");
MODULE_AUTHOR("The qmirror developers");
MODULE_LICENSE("GPL");

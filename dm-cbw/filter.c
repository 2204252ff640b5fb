// SPDX-License-Identifier: GPL-2.0
/*
 * Target "cbw", the filter that the guest uses: constructor, map, suspend and
 * resume, status, limits; and the module's init.
 *
 * A constructor may run while an old table of the same device is live: it
 * looks and allocates, it changes nothing.  Nothing that can fail is left for
 * preresume and resume.
 */
#include <linux/init.h>
#include <linux/log2.h>
#include <linux/module.h>

#include "cbw.h"

struct workqueue_struct *cbw_wq;

static int check_devices(struct cbw_target *t)
{
	struct dm_target *ti = t->ti;
	struct gendisk *self = dm_disk(dm_table_get_md(ti->table));
	struct block_device *source = t->dev[CBW_SOURCE]->bdev;
	struct block_device *store = t->dev[CBW_STORE]->bdev;
	const char *name = t->dev[CBW_STORE]->name;

	if (bc_stands_on(source->bd_disk, self))
		return cbw_ctr_error(ti, "Source is or stands on the device itself",
				     t->dev[CBW_SOURCE]->name, -EINVAL);
	if (bc_stands_on(store->bd_disk, self))
		return cbw_ctr_error(ti, "Store is or stands on the device itself",
				     name, -EINVAL);
	if (bdev_is_zoned(source) || bdev_is_zoned(store))
		return cbw_ctr_error(ti, "Zoned devices are not supported", name,
				     -EINVAL);
	if (bdev_read_only(store))
		return cbw_ctr_error(ti, "Store is read-only", name, -EACCES);
	if (bdev_logical_block_size(store) > bdev_logical_block_size(source))
		return cbw_ctr_error(ti, "Store has larger logical blocks than the source",
				     name, -EINVAL);
	if (bc_overlap(source, t->start, ti->len, store, t->store_start,
		       ti->len))
		return cbw_ctr_error(ti, "Store and source overlap", name,
				     -EINVAL);
	return 0;
}

static int check_cluster_size(struct cbw_target *t)
{
	struct block_device *source = t->dev[CBW_SOURCE]->bdev;
	unsigned int shift = ilog2(t->args.cluster_size);
	char word[24];

	snprintf(word, sizeof(word), "%llu", t->args.cluster_size);
	if (t->args.cluster_size < bdev_logical_block_size(source) >> SECTOR_SHIFT)
		return cbw_ctr_error(t->ti, "cluster_size is smaller than a logical block",
				     word, -EINVAL);
	if ((t->ti->len - 1) >> shift >= BC_BITMAP_MAX_BITS)
		return cbw_ctr_error(t->ti, "cluster_size makes more than 2^31 clusters",
				     word, -EINVAL);
	return 0;
}

/* Undoes a constructor that got anywhere. */
static void cbw_dtr(struct dm_target *ti)
{
	struct cbw_target *t = ti->private;
	int side;

	if (t->snap)
		cbw_snap_detach(t);
	for (side = 0; side < CBW_NR_SIDES; side++)
		if (t->dev[side])
			dm_put_device(ti, t->dev[side]);
	kfree(t);
}

/*
 * <source> <source offset> <store> <store offset> [<#args> <arg>...]
 */
static int parse_line(struct cbw_target *t, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	sector_t start[CBW_NR_SIDES];
	int r;

	if (argc < 4) {
		t->ti->error = "Source, source offset, store and store offset are required";
		return -EINVAL;
	}
	dm_consume_args(&as, 4);
	r = cbw_args_parse(t->ti, &as, &t->args);
	if (!r)
		r = cbw_get_legs(t->ti, argv, t->dev, start, true);
	if (r)
		return r;
	t->start = start[CBW_SOURCE];
	t->store_start = start[CBW_STORE];
	return 0;
}

static int cbw_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct cbw_target *t = kzalloc(sizeof(*t), GFP_KERNEL);
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
		r = check_cluster_size(t);
	if (!r)
		r = cbw_snap_get(t);
	if (r) {
		cbw_dtr(ti);
		return r;
	}

	t->source = t->dev[CBW_SOURCE]->bdev;
	ti->per_io_data_size = sizeof(struct cbw_io);
	/* Writes that had to wait are submitted by us, see end_io_wait(). */
	ti->accounts_remapped_io = true;
	ti->num_flush_bios = 1;		/* the source's only, C-42 */
	ti->num_write_zeroes_bios = 1;
	ti->num_discard_bios = 1;
	return 0;
}

/*
 * A discard is advisory: it passes where nothing is lost by it and is skipped
 * where it would have to copy.  Cut at the next cluster of the other kind; each
 * part is a bio of its own.
 */
static int map_discard(struct cbw_snap *snap, struct bio *bio, sector_t sector,
		       unsigned long first, unsigned long last)
{
	bool pass;
	unsigned long next = cbw_run_end(&snap->bits.pass, first, last, &pass);

	if (next <= last)
		dm_accept_partial_bio(bio, cbw_cluster_start(snap, next) - sector);
	if (pass)
		return DM_MAPIO_REMAPPED;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/*
 * Everything goes to the source.  What a write costs when all is copied is one
 * look at the state and one or two words of the bitmap.
 */
static int cbw_map(struct dm_target *ti, struct bio *bio)
{
	struct cbw_target *t = ti->private;
	struct cbw_snap *snap = t->snap;
	sector_t sector = bio->bi_iter.bi_sector;
	unsigned int sectors = bio_sectors(bio);
	unsigned long first, last;

	bio_set_dev(bio, t->source);
	bio->bi_iter.bi_sector = t->start + sector;
	if (bio_op(bio) == REQ_OP_READ) {
		bc_bio_name_segment(bio);
		return DM_MAPIO_REMAPPED;
	}
	if (unlikely(!sectors))
		return DM_MAPIO_REMAPPED;
	if (likely(bio_op(bio) == REQ_OP_WRITE))
		bc_bio_name_segment(bio);
	if (READ_ONCE(snap->bits.state) != CBW_ARMED)
		return DM_MAPIO_REMAPPED;

	first = cbw_cluster(snap, sector);
	last = cbw_cluster(snap, sector + sectors - 1);
	/*
	 * Invariant 5: the bit was set when the copy was complete; what we
	 * submit depends on it.
	 */
	if (likely(first == last ? bc_bitmap_test(&snap->bits.pass, first) :
		   cbw_all_pass(&snap->bits, first, last)))
		return DM_MAPIO_REMAPPED;

	if (bio_op(bio) == REQ_OP_DISCARD)
		return map_discard(snap, bio, sector, first, last);
	return cbw_map_slow(snap, ti, bio, first, last);
}

/*
 * The device is about to be suspended.  Copying goes on, also for a file system
 * that is being frozen.  Without flush nothing may wait here for a store that
 * may never answer: it goes back to dm, which sends it again after resume.
 */
static void cbw_presuspend(struct dm_target *ti)
{
	if (dm_noflush_suspending(ti))
		cbw_hand_back(((struct cbw_target *)ti->private)->snap);
}

static void stop_handing_back(struct cbw_snap *snap)
{
	spin_lock_irq(&snap->lock);
	WRITE_ONCE(snap->hand_back, false);
	spin_unlock_irq(&snap->lock);
}

static void cbw_presuspend_undo(struct dm_target *ti)
{
	stop_handing_back(((struct cbw_target *)ti->private)->snap);
}

/* Nothing of the guest's is in flight: this is what arm asks for. */
static void cbw_postsuspend(struct dm_target *ti)
{
	struct cbw_target *t = ti->private;

	mutex_lock(&t->snap->verb_lock);
	WRITE_ONCE(t->snap->quiet, true);
	mutex_unlock(&t->snap->verb_lock);
}

static void cbw_resume(struct dm_target *ti)
{
	struct cbw_target *t = ti->private;

	stop_handing_back(t->snap);
	cbw_snap_adopt(t);
}

static void status_info(struct cbw_snap *snap, char *result,
			unsigned int maxlen)
{
	unsigned long copied, copying;
	struct cbw_error error;
	struct cbw_args args;
	unsigned int sz = 0;
	u64 failed;
	int state;

	spin_lock_irq(&snap->lock);
	state = snap->bits.state;
	copied = snap->copied;
	copying = snap->copying;
	error = snap->error;
	failed = snap->failed_writes;
	args = snap->args;
	spin_unlock_irq(&snap->lock);

	DMEMIT("%s %lu/%lu %lu ", cbw_state_names[state], copied,
	       snap->nr_clusters, copying);
	sz += cbw_error_emit(&error, result + sz, maxlen - sz);
	DMEMIT(" %llu ", failed);
	cbw_args_emit(&args, false, result + sz, maxlen - sz);
}

static void cbw_status(struct dm_target *ti, status_type_t type,
		       unsigned int status_flags, char *result,
		       unsigned int maxlen)
{
	struct cbw_target *t = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		status_info(t->snap, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %llu %s %llu ", t->dev[CBW_SOURCE]->name,
		       (unsigned long long)t->start, t->dev[CBW_STORE]->name,
		       (unsigned long long)t->store_start);
		cbw_args_emit(&t->args, t->args.idle, result + sz, maxlen - sz);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",source=%s,source_offset=%llu,store=%s,store_offset=%llu;",
		       t->dev[CBW_SOURCE]->name, (unsigned long long)t->start,
		       t->dev[CBW_STORE]->name,
		       (unsigned long long)t->store_start);
		break;
	}
}

static int cbw_target_message(struct dm_target *ti, unsigned int argc,
			      char **argv, char *result, unsigned int maxlen)
{
	return cbw_message(((struct cbw_target *)ti->private)->snap, argc, argv);
}

/* Only what the guest's I/O reaches: the store's limits are not its business. */
static int cbw_iterate_devices(struct dm_target *ti,
			       iterate_devices_callout_fn fn, void *data)
{
	struct cbw_target *t = ti->private;

	return fn(ti, t->dev[CBW_SOURCE], t->start, ti->len, data);
}

static void cbw_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct cbw_target *t = ti->private;

	ti->discards_supported = bdev_max_discard_sectors(t->source);
	bc_take_discard_limits(limits, t->source);
	/* They copy first, and nobody shall wait for more than this. */
	bc_limit_write_zeroes(limits, CBW_COPY_SECTORS);
}

static struct target_type cbw_target = {
	.name = "cbw",
	.version = {1, 0, 0},
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = cbw_ctr,
	.dtr = cbw_dtr,
	.map = cbw_map,
	.presuspend = cbw_presuspend,
	.presuspend_undo = cbw_presuspend_undo,
	.postsuspend = cbw_postsuspend,
	.resume = cbw_resume,
	.status = cbw_status,
	.message = cbw_target_message,
	.iterate_devices = cbw_iterate_devices,
	.io_hints = cbw_io_hints,
};

static int __init cbw_init(void)
{
	int r;

	cbw_wq = alloc_workqueue("kcbw", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!cbw_wq)
		return -ENOMEM;

	r = dm_register_target(&cbw_target);
	if (r)
		goto bad_wq;
	r = dm_register_target(&cbw_view_target);
	if (r)
		goto bad_target;
	return 0;

bad_target:
	dm_unregister_target(&cbw_target);
bad_wq:
	destroy_workqueue(cbw_wq);
	return r;
}

static void __exit cbw_exit(void)
{
	dm_unregister_target(&cbw_view_target);
	dm_unregister_target(&cbw_target);
	/* Also waits for the work item that put our last module reference. */
	destroy_workqueue(cbw_wq);
}

module_init(cbw_init);
module_exit(cbw_exit);

MODULE_DESCRIPTION("device-mapper copy-before-write targets");
MODULE_AUTHOR("The qmirror developers");
MODULE_LICENSE("GPL");
MODULE_ALIAS("dm-cbw-snapshot");

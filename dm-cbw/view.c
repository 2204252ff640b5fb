// SPDX-License-Identifier: GPL-2.0
/*
 * Target "cbw-snapshot": the device as it was when the snapshot was armed.
 *
 * A read is cut into runs of clusters that are in the same place.  What is read
 * from the source is looked at once more afterwards: clusters that were saved
 * meanwhile are read again from the store, so no reader needs a lock and the
 * guest never waits for one.  The reader's buffer may hold newer data for a
 * moment, as with any read that fails and is repeated.
 *
 * When another table has taken the filter's place the guest's writes bypass us
 * before our destructor can say so.  The device was suspended for that, so a
 * read of the source that ends while it is, or seems to be, is looked at by a
 * worker, which may ask dm.
 *
 * A read whose snapshot ended or broke, or whose clusters were released, while
 * it was in flight fails, wherever it read from: the store may be somebody
 * else's by then.
 */
#include <linux/slab.h>

#include "cbw.h"

#define NR_BIOS		16	/* reserve for reading again */

/**
 * struct cbw_read - dm's per-bio data of a read
 * @gen: the arming it belongs to
 * @sector: first sector of the device
 * @sectors: how many
 * @node: of view->again
 * @iter: of dm's clone before it was submitted
 * @pending: bios in flight that read again
 * @status: of them, and of the source for what is still there
 * @from_source: it went to the source; false: to the store
 */
struct cbw_read {
	unsigned long gen;
	sector_t sector;
	unsigned int sectors;
	struct llist_node node;
	struct bvec_iter iter;
	atomic_t pending;
	blk_status_t status;
	bool from_source;
};

static struct bio *bio_of(struct cbw_read *rd)
{
	return dm_bio_from_per_bio_data(rd, sizeof(*rd));
}

static int cbw_view_map(struct dm_target *ti, struct bio *bio)
{
	struct cbw_view *v = ti->private;
	struct cbw_snap *snap = v->snap;
	unsigned long first, last, next, gen = READ_ONCE(v->gen);
	sector_t sector = bio->bi_iter.bi_sector;
	enum cbw_side side;
	struct cbw_read *rd;
	bool saved;

	if (bio_op(bio) != REQ_OP_READ)
		return DM_MAPIO_KILL;

	first = cbw_cluster(snap, sector);
	last = cbw_cluster(snap, sector + bio_sectors(bio) - 1);
	if (!cbw_bits_may_read(&snap->bits, gen, first, last, &saved, &next))
		return DM_MAPIO_KILL;

	side = saved ? CBW_STORE : CBW_SOURCE;
	if (next <= last)
		dm_accept_partial_bio(bio, cbw_cluster_start(snap, next) - sector);

	/* Nobody would poll for the bios that read again. */
	bio_clear_polled(bio);
	bio_set_dev(bio, v->dev[side]->bdev);
	bio->bi_iter.bi_sector = v->start[side] + sector;
	bc_bio_name_segment(bio);

	rd = dm_per_bio_data(bio, sizeof(*rd));
	rd->gen = gen;
	rd->sector = sector;
	rd->sectors = bio_sectors(bio);
	rd->iter = bio->bi_iter;
	rd->from_source = side == CBW_SOURCE;
	return DM_MAPIO_REMAPPED;
}

static void end_again(struct cbw_read *rd)
{
	if (atomic_dec_and_test(&rd->pending)) {
		struct bio *bio = bio_of(rd);

		bio->bi_status = rd->status;
		bio_endio(bio);
	}
}

static void again_end_io(struct bio *part)
{
	struct cbw_read *rd = part->bi_private;

	if (part->bi_status)
		rd->status = part->bi_status;
	bio_put(part);
	end_again(rd);
}

/* Sectors [start, end) of the device, once more, from the store. */
static void read_part(struct cbw_view *v, struct cbw_read *rd, sector_t start,
		      sector_t end)
{
	/* With the reserve this waits at worst for an earlier one to end. */
	struct bio *part = bio_alloc_clone(v->dev[CBW_STORE]->bdev, bio_of(rd),
					   GFP_NOIO, &v->bs);

	part->bi_iter = rd->iter;
	bio_advance(part, (start - rd->sector) << SECTOR_SHIFT);
	part->bi_iter.bi_size = (end - start) << SECTOR_SHIFT;
	part->bi_iter.bi_sector = v->start[CBW_STORE] + start;
	part->bi_private = rd;
	part->bi_end_io = again_end_io;
	atomic_inc(&rd->pending);
	submit_bio_noacct(part);
}

static void read_again(struct cbw_view *v, struct cbw_read *rd)
{
	struct cbw_snap *snap = v->snap;
	sector_t end = rd->sector + rd->sectors;
	unsigned long last = cbw_cluster(snap, end - 1);
	unsigned long next = cbw_cluster(snap, rd->sector), first;

	atomic_set(&rd->pending, 1);
	if (cbw_bypassed(snap))
		rd->status = BLK_STS_IOERR;
	while ((first = cbw_next_set(&snap->bits.pass, next, last)) <= last) {
		/* Disarmed meanwhile it may be clear again: it was set. */
		next = cbw_next_clear(&snap->bits.pass, first + 1, last);
		read_part(v, rd, max(rd->sector, cbw_cluster_start(snap, first)),
			  min(end, cbw_cluster_start(snap, next)));
	}
	end_again(rd);
}

static void again_work(struct work_struct *work)
{
	struct cbw_view *v = container_of(work, struct cbw_view, again_work);
	struct cbw_read *rd, *next;
	struct llist_node *list;

	list = llist_reverse_order(llist_del_all(&v->again));
	llist_for_each_entry_safe(rd, next, list, node)
		read_again(v, rd);
}

static int cbw_view_end_io(struct dm_target *ti, struct bio *bio,
			   blk_status_t *error)
{
	struct cbw_view *v = ti->private;
	struct cbw_read *rd = dm_per_bio_data(bio, sizeof(*rd));
	unsigned long first = cbw_cluster(v->snap, rd->sector);
	unsigned long last = cbw_cluster(v->snap, rd->sector + rd->sectors - 1);
	bool changed;

	/* Quiet: the filter may have another table by now, see cbw_bypassed(). */
	changed = cbw_bits_changed(&v->snap->bits, first, last) ||
		  READ_ONCE(v->snap->quiet);
	if (!cbw_bits_valid(&v->snap->bits, rd->gen, first, last)) {
		*error = BLK_STS_IOERR;
		return DM_ENDIO_DONE;
	}
	if (likely(!changed || !rd->from_source))
		return DM_ENDIO_DONE;

	/* An error of the source counts for what is only there. */
	rd->status = cbw_all_pass(&v->snap->bits, first, last) ? BLK_STS_OK : *error;
	rd->from_source = false;
	llist_add(&rd->node, &v->again);
	queue_work(v->again_wq, &v->again_work);
	return DM_ENDIO_INCOMPLETE;
}

/* Undoes a constructor that got anywhere. */
static void cbw_view_dtr(struct dm_target *ti)
{
	struct cbw_view *v = ti->private;
	int side;

	if (v->again_wq)
		destroy_workqueue(v->again_wq);
	bioset_exit(&v->bs);
	if (v->snap)
		cbw_view_detach(v);
	for (side = 0; side < CBW_NR_SIDES; side++)
		if (v->dev[side])
			dm_put_device(ti, v->dev[side]);
	kfree(v);
}

static int make_view(struct cbw_view *v)
{
	int r = bioset_init(&v->bs, NR_BIOS, 0, 0);

	if (r)
		return r;
	v->again_wq = alloc_workqueue("kcbw_view/%s",
				      WQ_MEM_RECLAIM | WQ_UNBOUND, 0,
				      dm_device_name(dm_table_get_md(v->ti->table)));
	return v->again_wq ? 0 : -ENOMEM;
}

static int check_self(struct cbw_view *v)
{
	struct gendisk *self = dm_disk(dm_table_get_md(v->ti->table));
	int side;

	for (side = 0; side < CBW_NR_SIDES; side++)
		if (bc_stands_on(v->dev[side]->bdev->bd_disk, self))
			return cbw_ctr_error(v->ti, side == CBW_SOURCE ?
				"Source is or stands on the device itself" :
				"Store is or stands on the device itself",
				v->dev[side]->name, -EINVAL);
	return 0;
}

/*
 * <source> <source offset> <store> <store offset>
 */
static int cbw_view_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct cbw_view *v;
	int r;

	if (argc != 4) {
		ti->error =
			"Source, source offset, store and store offset are required, and no more";
		return -EINVAL;
	}
	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v) {
		ti->error = "Cannot allocate memory";
		return -ENOMEM;
	}
	v->ti = ti;
	ti->private = v;
	INIT_LIST_HEAD(&v->list);
	INIT_WORK(&v->again_work, again_work);
	init_llist_head(&v->again);

	r = cbw_get_legs(ti, argv, v->dev, v->start, false);
	if (!r)
		r = check_self(v);
	if (!r)
		r = cbw_snap_find(v);
	if (!r) {
		r = make_view(v);
		if (r)
			ti->error = "Cannot allocate memory";
	}
	if (r) {
		cbw_view_dtr(ti);
		return r;
	}
	ti->per_io_data_size = sizeof(struct cbw_read);
	return 0;
}

static void cbw_view_resume(struct dm_target *ti)
{
	struct cbw_view *v = ti->private;

	/* Resumed once more it shows what it showed. */
	if (!v->resumed)
		cbw_view_bind(v);
	v->resumed = true;
}

static void cbw_view_status(struct dm_target *ti, status_type_t type,
			    unsigned int status_flags, char *result,
			    unsigned int maxlen)
{
	struct cbw_view *v = ti->private;
	struct cbw_error error = { 0 };
	unsigned int sz = 0;
	bool live, broken;

	switch (type) {
	case STATUSTYPE_INFO:
		spin_lock_irq(&v->snap->lock);
		live = v->gen && v->gen == v->snap->bits.live_gen;
		broken = v->gen && v->gen == v->snap->broken_gen &&
			 v->snap->bits.state == CBW_BROKEN;
		if (live || broken)
			error = v->snap->error;
		spin_unlock_irq(&v->snap->lock);
		DMEMIT("%s ", live ? "live" : broken ? "broken" : "ended");
		cbw_error_emit(&error, result + sz, maxlen - sz);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %llu %s %llu", v->dev[CBW_SOURCE]->name,
		       (unsigned long long)v->start[CBW_SOURCE],
		       v->dev[CBW_STORE]->name,
		       (unsigned long long)v->start[CBW_STORE]);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",source=%s,store=%s;", v->dev[CBW_SOURCE]->name,
		       v->dev[CBW_STORE]->name);
		break;
	}
}

/* Readers reach both. */
static int cbw_view_iterate_devices(struct dm_target *ti,
				    iterate_devices_callout_fn fn, void *data)
{
	struct cbw_view *v = ti->private;
	int side, r = 0;

	for (side = 0; side < CBW_NR_SIDES && !r; side++)
		r = fn(ti, v->dev[side], v->start[side], ti->len, data);
	return r;
}

struct target_type cbw_view_target = {
	.name = "cbw-snapshot",
	.version = {1, 0, 0},
	.features = DM_TARGET_SINGLETON,
	.module = THIS_MODULE,
	.ctr = cbw_view_ctr,
	.dtr = cbw_view_dtr,
	.map = cbw_view_map,
	.end_io = cbw_view_end_io,
	.resume = cbw_view_resume,
	.status = cbw_view_status,
	.iterate_devices = cbw_view_iterate_devices,
};

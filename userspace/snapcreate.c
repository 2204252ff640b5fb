// SPDX-License-Identifier: GPL-2.0
/*
 * snapshot create: any number of dm devices frozen at one instant; one device
 * is a group of one.
 *
 * All that can fail comes first, member by member in the order given: the store
 * is made, an idle cbw is slid under the device (see slide.c), its view is made
 * while it is still idle, and so will show the arming to come. Then the window:
 * suspend all, the topmost first, arm all, resume all. Nothing in it opens,
 * allocates or can lack anything.
 *
 * Whatever fails or dies before the last one is armed, everything goes back,
 * for every member: snapremove.c does that from the journal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define MIN_CLUSTER	4096u
#define MAX_CLUSTER	(64u << 20)

struct member {
	char *dev_word, *store_word;
	struct slide sl;
	struct store store;
	char view[NAME_LEN], view_uuid[UUID_LEN];
	unsigned int height;	/* 1: stands on no other member */
	bool mounted;		/* a file system that the suspend freezes */
	bool some;		/* only these ranges are protected */
	struct ranges protect;
	uint64_t protect_sectors;	/* DEV's size when they were read */
};

struct create {
	struct member *m;
	size_t n;
};

/* ---- words ---- */

static enum xit check_format_word(void)
{
	if (!opt.format || strcmp(opt.format, "raw") == 0)
		return XIT_OK;
	err_set(XIT_FAIL, ST_CHECK, EINVAL, NULL,
		"unknown format '%.100s': a store is raw", opt.format);
	return err_store(EC_FORMAT, "", "");
}

/* What can be told from the words alone. */
static enum xit check_words(void)
{
	uint64_t c = (uint64_t)opt.cluster_size;

	if (opt.cluster_size >= 0 && (c < MIN_CLUSTER || c > MAX_CLUSTER))
		return err_set(XIT_USAGE, ST_NONE, ERANGE, NULL,
			       "--cluster-size: %llu is not in the range 4K to 64M",
			       (unsigned long long)c);
	if (opt.cluster_size >= 0 && (c & (c - 1)))
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "--cluster-size: %llu is not a power of two",
			       (unsigned long long)c);
	return check_format_word();
}

static enum xit split(char *word, char **dev, char **rest, const char *form)
{
	char *eq = strchr(word, '=');

	*dev = xstrdup(word);
	if (!eq || eq == word || !eq[1])
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "'%.200s': expected %s", word, form);
	(*dev)[eq - word] = '\0';
	*rest = eq + 1;
	return XIT_OK;
}

static enum xit split_all(int argc, char **argv, struct create *c)
{
	enum xit x = XIT_OK;
	size_t i;

	c->n = (size_t)argc;
	c->m = xcalloc(c->n, sizeof(*c->m));
	for (i = 0; i < c->n; i++)
		c->m[i].store.loop_fd = -1;
	for (i = 0; i < c->n && x == XIT_OK; i++)
		x = split(argv[i], &c->m[i].dev_word, &c->m[i].store_word,
			  "DEV=STORE");
	return x;
}

static void create_free(struct create *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		store_close(&c->m[i].store);
		dmtable_free(&c->m[i].sl.old);
		free(c->m[i].protect.r);
		free(c->m[i].dev_word);
	}
	free(c->m);
	free(opt.protect);
	opt.protect = NULL;
	opt.protect_n = 0;
}

/* ---- --protect ---- */

static struct member *member_of(const struct create *c, unsigned int maj,
				unsigned int min)
{
	struct blk b;
	size_t i;

	for (i = 0; i < c->n; i++) {
		/* what is wrong with a member itself is told in its turn */
		if (blk_find(c->m[i].dev_word, "DEV", &b) != XIT_OK)
			err_clear();
		else if (b.major == maj && b.minor == min)
			return &c->m[i];
	}
	return NULL;
}

static enum xit read_protect(const struct create *c, const char *word)
{
	char *copy = xstrdup(word), *dev = NULL, *file = NULL;
	enum xit x = split(copy, &dev, &file, "--protect DEV=FILE");
	struct member *m = NULL;
	struct blk b;

	if (x == XIT_OK)
		x = blk_find(dev, "--protect", &b);
	if (x == XIT_OK) {
		m = member_of(c, b.major, b.minor);
		if (!m || m->some)
			x = err_set(XIT_USAGE, ST_CHECK, EINVAL, dev,
				    m ? "--protect: %s is named twice" :
				    "--protect: %s is none of the devices to be snapshotted",
				    dev);
	}
	if (x == XIT_OK) {
		m->some = true;
		m->protect_sectors = b.sectors;
		x = bitmap_load(file, b.sectors, &m->protect);
	}
	free(dev);
	free(copy);
	return x;
}

/* Standard input may take its time: read before the lock, and the checks. */
static enum xit read_protects(const struct create *c)
{
	enum xit x = XIT_OK;
	size_t i;

	for (i = 0; i < opt.protect_n && x == XIT_OK; i++)
		x = read_protect(c, opt.protect[i]);
	return x;
}

/* ---- checks ---- */

static enum xit check_device(struct member *m)
{
	const struct blk *b = &m->sl.dev;
	struct dmdev d;
	enum xit x;

	if (!b->is_dm)
		return err_set(XIT_BUSY, ST_CHECK, EOPNOTSUPP, b->label,
			       "DEV %s is a plain block device, which a snapshot cannot be slid under: make a linear device over it and use that one from then on",
			       b->label);
	x = slide_check(&m->sl, "snapshot");
	if (x != XIT_OK)
		return x;
	snprintf(m->view, sizeof(m->view), "%.120s%s", m->sl.name, SNAP_SUFFIX);
	if (dm_get(m->view, &d) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EEXIST, m->sl.name,
			       "%s is there already: `qmirrorctl status` says whether it is a leftover, `qmirrorctl remove %s` removes it",
			       m->view, m->view);
	if (opt.cluster_size >= 0 && (uint64_t)opt.cluster_size < b->block_size)
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, b->label,
			       "--cluster-size: %lld is less than a logical block of %s (%u bytes)",
			       (long long)opt.cluster_size, b->label,
			       b->block_size);
	if (m->some && b->sectors < m->protect_sectors)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, b->label,
			       "%s has become smaller since the bitmap was read; nothing was changed",
			       b->label);
	return XIT_OK;
}

/* The i-th member with those before it: nobody twice, no store on anybody. */
static enum xit check_apart(const struct create *c, size_t i)
{
	const struct member *m = &c->m[i];
	const char *dev = m->sl.dev.label;
	enum xit x = XIT_OK;
	size_t k;

	for (k = 0; k <= i && x == XIT_OK; k++)
		x = store_apart_from_device(&m->store, dev, &c->m[k].sl.dev);
	for (k = 0; k < i && x == XIT_OK; k++)
		x = store_apart_from_device(&c->m[k].store, dev, &m->sl.dev);
	for (k = 0; k < i && x == XIT_OK; k++)
		x = stores_apart(&m->store, dev, &c->m[k].store);
	return x;
}

static enum xit check_once(const struct create *c, size_t i)
{
	const struct blk *b = &c->m[i].sl.dev;
	size_t k;

	for (k = 0; k < i; k++)
		if (c->m[k].sl.dev.major == b->major &&
		    c->m[k].sl.dev.minor == b->minor)
			return err_set(XIT_BUSY, ST_CHECK, EBUSY, b->label,
				       "%s is named twice; nothing was changed",
				       b->label);
	return XIT_OK;
}

/* Of a file system that has this very number: that is what a suspend freezes. */
static bool freezes(const struct blk *b)
{
	char where[512];
	struct stat st;

	return !opt.no_freeze &&
	       mount_of(b->major, b->minor, where, sizeof(where)) == 0 &&
	       stat(where, &st) == 0 &&
	       st.st_dev == makedev(b->major, b->minor);
}

static enum xit check_member(struct create *c, size_t i)
{
	struct member *m = &c->m[i];
	enum xit x = blk_find(m->dev_word, "DEV", &m->sl.dev);

	if (x == XIT_OK)
		x = check_once(c, i);
	if (x == XIT_OK)
		x = check_device(m);
	if (x == XIT_OK)
		x = store_find(m->store_word, &m->sl.dev, &m->store);
	if (x == XIT_OK)
		x = check_apart(c, i);
	if (x == XIT_OK)
		x = store_check(&m->store, &m->sl.dev);
	if (x == XIT_OK)
		m->mounted = freezes(&m->sl.dev);
	return x;
}

/* One above the highest member that it stands on. */
static unsigned int height_of(struct create *c, size_t i, size_t depth)
{
	struct member *m = &c->m[i];
	unsigned int h = 1;
	size_t k;

	for (k = 0; k < c->n && depth < c->n; k++)
		if (k != i && blk_is_on(m->sl.dev.major, m->sl.dev.minor,
					c->m[k].sl.dev.major,
					c->m[k].sl.dev.minor)) {
			unsigned int below = c->m[k].height ? c->m[k].height :
					     height_of(c, k, depth + 1);

			h = below + 1 > h ? below + 1 : h;
		}
	m->height = h;
	return h;
}

static enum xit check_all(struct create *c)
{
	enum xit x = XIT_OK;
	size_t i;

	for (i = 0; i < c->n && x == XIT_OK; i++)
		x = check_member(c, i);
	for (i = 0; i < c->n && x == XIT_OK; i++)
		height_of(c, i, 0);
	return x;
}

/* The checks took their time: is all still as it was? */
static enum xit check_same(const struct create *c)
{
	enum xit x = XIT_OK;
	size_t i;

	for (i = 0; i < c->n && x == XIT_OK; i++)
		x = slide_check_same(&c->m[i].sl);
	return x;
}

/* ---- tables ---- */

static char *cbw_params(const struct member *m)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int n = 1;

	if (!f)
		abort();
	n += 2 * (opt.cluster_size >= 0) + 2 * !!opt.on_cbw_error +
	     2 * (opt.cbw_timeout >= 0);
	fprintf(f, "%c%s%c 0 %cs%c 0 %d", TABLE_DEV, m->sl.qsrc, TABLE_DEV,
		TABLE_STORE, TABLE_STORE, n);
	if (opt.cluster_size >= 0)
		fprintf(f, " cluster_size %lld",
			(long long)opt.cluster_size >> SECTOR_SHIFT);
	if (opt.on_cbw_error)
		fprintf(f, " on_cbw_error %s", opt.on_cbw_error);
	if (opt.cbw_timeout >= 0)
		fprintf(f, " cbw_timeout %ld", opt.cbw_timeout);
	fputs(" idle", f);
	if (fclose(f))
		abort();
	return text;
}

static void cbw_line(const struct member *m, struct dmtable *t)
{
	char *params = cbw_params(m);

	dmtable_add(t, 0, m->sl.dev.sectors, "cbw", params);
	free(params);
}

static void view_line(const struct member *m, struct dmtable *t)
{
	char *params = xasprintf("%c%s%c 0 %cs%c 0", TABLE_DEV, m->sl.qsrc,
				 TABLE_DEV, TABLE_STORE, TABLE_STORE);

	dmtable_add(t, 0, m->sl.dev.sectors, "cbw-snapshot", params);
	free(params);
}

/* ---- the plan ---- */

static void plan_store(struct member *m, struct plan *p)
{
	char *how;

	if (!m->store.file)
		return;
	how = xasprintf("sparse, %llu bytes, unlinked, as a loop device",
			(unsigned long long)m->store.sectors << SECTOR_SHIFT);
	plan_add(p, OP_STORE, m->store.path, how)->stage = ST_CREATE_STORE;
	free(how);
}

static void plan_view(struct member *m, struct plan *p)
{
	struct dmtable t = { 0 };
	size_t i, from = p->n;

	plan_add(p, OP_CREATE, m->view, m->view_uuid);
	view_line(m, &t);
	plan_load(p, m->view, &t, true);
	dmtable_free(&t);
	plan_add(p, OP_ACTIVATE_HIDDEN, m->view, NULL);
	for (i = from; i < p->n; i++)
		p->op[i].stage = ST_VIEW;
}

static void plan_member(struct member *m, struct plan *p)
{
	struct dmtable t = { 0 };
	size_t i, from = p->n;

	make_uuid(m->sl.uuid, UUID_SRC);
	make_uuid(m->view_uuid, UUID_SNAP);
	plan_store(m, p);
	cbw_line(m, &t);
	plan_slide(&m->sl, &t, p);
	dmtable_free(&t);
	if (m->some) {
		plan_add(p, OP_MESSAGE, m->sl.name, "protect none");
		plan_ranges(p, m->sl.name, "protect", &m->protect);
	}
	plan_view(m, p);
	for (i = from; i < p->n; i++) {
		p->op[i].store = &m->store;
		strcpy(p->op[i].owner, m->sl.name);
	}
}

/* The members' numbers, the lowest devices first; equals in the order given. */
static size_t *lowest_first(const struct create *c)
{
	size_t *order = xcalloc(c->n, sizeof(*order)), i, n = 0;
	unsigned int h;

	for (h = 1; n < c->n; h++)
		for (i = 0; i < c->n; i++)
			if (c->m[i].height == h)
				order[n++] = i;
	return order;
}

static void plan_freeze(const struct member *m, struct plan *p)
{
	struct op *op = plan_add(p, opt.no_freeze ? OP_SUSPEND :
				 OP_SUSPEND_FREEZE, m->sl.name, NULL);

	op->level = m->height;
	slid_line(&op->live, m->sl.dev.sectors);
}

static void plan_suspends(const struct create *c, struct plan *p)
{
	unsigned int h = 0;
	size_t i;

	for (i = 0; i < c->n; i++)
		h = c->m[i].height > h ? c->m[i].height : h;
	for (; h > 0; h--)
		for (i = 0; i < c->n; i++)
			if (c->m[i].height == h)
				plan_freeze(&c->m[i], p);
}

static void plan_window(const struct create *c, const size_t *order,
			struct plan *p)
{
	size_t i;

	plan_suspends(c, p);
	for (i = 0; i < c->n; i++)
		plan_add(p, OP_ARM, c->m[i].sl.name, NULL);
	for (i = 0; i < c->n; i++)
		plan_add(p, OP_RESUME, c->m[order[i]].sl.name, NULL);
}

static void plan_journal(const struct create *c, const size_t *order,
			 struct journal *j)
{
	size_t i;

	j->verb = JV_SNAPSHOT;
	strcpy(j->what, "snapshot create");
	j->pid = (int)getpid();
	j->n = c->n;
	j->m = xcalloc(c->n, sizeof(*j->m));
	for (i = 0; i < c->n; i++) {
		const struct member *m = &c->m[order[i]];

		slide_journal(&m->sl, &j->m[i]);
		strcpy(j->m[i].view, m->view);
		strcpy(j->m[i].view_uuid, m->view_uuid);
		if (m->store.file)
			strcpy(j->m[i].store, m->store.path);
	}
}

static void make_plan(struct create *c, struct plan *p)
{
	size_t *order = lowest_first(c);
	size_t i;

	p->suspend_ms = SNAPSHOT_MS;
	for (i = 0; i < c->n; i++)
		plan_member(&c->m[i], p);
	if (opt.sync_first)
		for (i = 0; i < c->n; i++)
			plan_add(p, OP_SYNC, c->m[i].sl.name, NULL);
	plan_window(c, order, p);
	plan_journal(c, order, &p->j);
	free(order);
}

/* ---- the verb ---- */

static enum xit report(const struct create *c, const struct window *w)
{
	char **names = xcalloc(c->n, sizeof(*names));
	struct created how = { .window = *w };
	enum xit x;
	size_t i;

	how.consistency = xcalloc(c->n, sizeof(*how.consistency));
	for (i = 0; i < c->n; i++) {
		names[i] = c->m[i].sl.name;
		how.consistency[i] = c->m[i].mounted ? "filesystem" : "crash";
	}
	x = report_snapshots(names, (int)c->n, &how);
	free(how.consistency);
	free(names);
	return x;
}

static enum xit run(struct create *c)
{
	struct plan p = { 0 };
	struct window w;
	enum xit x = XIT_OK;
	size_t i;

	make_plan(c, &p);
	if (opt.dry_run) {
		plan_print(&p);
	} else {
		for (i = 0; i < c->n; i++)
			store_warn(&c->m[i].store, &c->m[i].sl.dev);
		x = plan_run(&p);
	}
	w = p.window;
	plan_free(&p);
	lock_release();
	for (i = 0; i < c->n && x == XIT_OK && !opt.dry_run; i++)
		note_manager(c->m[i].sl.name, c->m[i].sl.dev.dm.uuid,
			     "snapshot");
	if (x == XIT_OK && !opt.dry_run)
		x = report(c, &w);
	return x;
}

enum xit cmd_snapshot_create(int argc, char **argv)
{
	struct create c = { 0 };
	enum xit x = check_words();

	if (x == XIT_OK)
		x = split_all(argc, argv, &c);
	if (x == XIT_OK)
		x = read_protects(&c);
	if (x == XIT_OK && !opt.dry_run)
		x = lock_take("snapshot create", true);
	if (x == XIT_OK)
		x = check_all(&c);
	if (x == XIT_OK && !opt.dry_run)
		x = need_target("cbw", "dm-cbw");
	if (x == XIT_OK)
		x = check_same(&c);
	if (x == XIT_OK)
		x = run(&c);
	lock_release();
	create_free(&c);
	return x;
}

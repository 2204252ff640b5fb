// SPDX-License-Identifier: GPL-2.0
/*
 * Sliding a target under a dm device in use: the checks and the steps, for
 * mirrors and snapshots alike.
 *
 * Sliding under NAME. The old table moves to a new device NAME-qsrc and NAME
 * gets ours (qmirror or cbw), with NAME-qsrc as its source. The two must
 * never both be active on the same data, and our constructor has to open
 * NAME-qsrc and find it large enough, before anything is suspended (loading a table
 * allocates, and reclaim may need the device that is suspended). A device
 * that only has an inactive table has no size. So NAME-qsrc is made with a
 * placeholder table first, as long as NAME and good for errors only; the old
 * table is loaded behind it, our table into NAME, and then:
 *
 *	suspend NAME-qsrc, suspend NAME, resume NAME-qsrc (placeholder -> old
 *	table), resume NAME (old table -> ours)
 *
 * NAME-qsrc is suspended beforehand so that its resume has nothing to wait
 * for; its number stays, so our table stays good.
 *
 * The placeholder is `error`. That target has 512-byte logical blocks, and
 * the constructor compares logical block sizes of source and target: a target
 * of 4096-byte blocks for a source of 4096-byte blocks would be refused. So
 * for those the first block of the placeholder is a flakey line over one of
 * NAME's own legs, with an up time of 0 s: it lets no I/O through, ever, but
 * dm takes the leg's block size for the whole device. At the resume of NAME
 * dm computes all limits anew, from the real table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "qmirrorctl.h"

/* tables of these lines can stand under another device: nothing of their
 * state is tied to the dm device they are on
 */
#define SLIDABLE	"linear|striped|thin|delay|flakey|error|zero"

/* ---- checks ---- */

static bool is_job(const char *type)
{
	return strcmp(type, "qmirror") == 0 || strncmp(type, "cbw", 3) == 0;
}

/* What to do where sliding under does not work. */
static const char *advice(const char *what)
{
	return strcmp(what, "mirror") == 0 ?
		"stack it above (--name N) and use that device instead" :
		"stack it above: make a linear device over it, use that one from then on, and name it here";
}

static enum xit check_lines(const struct slide *s, const char *what)
{
	const char *name = s->dev.label;
	size_t i;

	for (i = 0; i < s->old.n; i++) {
		const char *type = s->old.line[i].type;

		if (is_job(type))
			return err_set(XIT_BUSY, ST_CHECK, EBUSY, name,
				       "%s already carries a %s; end that first",
				       name, strcmp(type, "qmirror") == 0 ?
				       "mirror" : "snapshot");
		if (!word_in(type, SLIDABLE))
			return err_set(XIT_BUSY, ST_CHECK, EOPNOTSUPP, name,
				       "%s has a %s table, which a %s cannot be slid under: %s",
				       name, type, what, advice(what));
	}
	if (s->dev.dax)
		return err_set(XIT_BUSY, ST_CHECK, EOPNOTSUPP, name,
			       "%s is a DAX device, which a %s cannot be slid under: %s",
			       name, what, advice(what));
	return XIT_OK;
}

/* A dm device that we will suspend and give another table. */
enum xit slide_check_dm(const struct dmdev *d)
{
	if (strncmp(d->uuid, UUID_HIDDEN, strlen(UUID_HIDDEN)) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s is a part of another mirror or snapshot",
			       d->name);
	if (!d->live && !d->inactive)
		return err_set(XIT_FAIL, ST_CHECK, ENODATA, d->name,
			       "%s has no table", d->name);
	if (d->suspended)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s is suspended; resume it first (dmsetup resume %s)",
			       d->name, d->name);
	if (d->inactive)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s has an inactive table: somebody is about to change it (dmsetup clear %s drops it)",
			       d->name, d->name);
	return XIT_OK;
}

/* May DEV, found already, get our table? Reads its old one. */
enum xit slide_check(struct slide *s, const char *what)
{
	struct dmdev d;
	enum xit x;
	int r;

	x = slide_check_dm(&s->dev.dm);
	if (x != XIT_OK)
		return x;
	r = dm_table(s->dev.dm.name, false, &s->old);
	if (r)
		return err_set(XIT_FAIL, ST_LOOKUP, r, s->dev.label,
			       "%s: its table cannot be read: %s",
			       s->dev.label, strerror(-r));
	x = check_lines(s, what);
	if (x != XIT_OK)
		return x;
	if (!dm_name_ok(s->dev.dm.name) ||
	    strlen(s->dev.dm.name) + strlen(SRC_SUFFIX) >= NAME_LEN)
		return err_set(XIT_FAIL, ST_CHECK, ENAMETOOLONG, s->dev.label,
			       "%s: the name leaves no room for %s", s->dev.label,
			       SRC_SUFFIX);
	strcpy(s->name, s->dev.dm.name);
	snprintf(s->qsrc, sizeof(s->qsrc), "%.120s%s", s->name, SRC_SUFFIX);
	r = dm_get(s->qsrc, &d);
	if (!r)
		return err_set(XIT_BUSY, ST_CHECK, EEXIST, s->qsrc,
			       "%s is there already: `qmirrorctl status` says whether it is a leftover, `qmirrorctl remove %s` removes it",
			       s->qsrc, s->qsrc);
	if (r != -ENXIO)
		return err_set(XIT_FAIL, ST_LOOKUP, -r, s->qsrc,
			       "%s: it cannot be told whether it is there: %s",
			       s->qsrc, strerror(-r));
	return XIT_OK;
}

/*
 * The checks above may take long. A table that was changed meanwhile must not
 * be slid under: its sectors may be somebody else's now.
 */
enum xit slide_check_same(const struct slide *s)
{
	struct dmtable now;
	struct dmdev d;
	bool same;

	if (dm_table(s->name, false, &now))
		same = false;
	else {
		same = dmtable_equal(&now, &s->old) &&
		       dm_get(s->name, &d) == 0 && !d.inactive &&
		       !d.suspended && d.major == s->dev.major &&
		       d.minor == s->dev.minor;
		dmtable_free(&now);
	}
	if (same)
		return XIT_OK;
	return err_set(XIT_BUSY, ST_CHECK, EBUSY, s->name,
		       "%s was changed by somebody else meanwhile; nothing was changed by us, try again",
		       s->name);
}

/* ---- the steps ---- */

struct leg_query {
	unsigned int block_size, major, minor;
};

static int leg_like(unsigned int maj, unsigned int min, void *arg_)
{
	struct leg_query *q = arg_;

	if (blk_block_size(maj, min) != q->block_size)
		return 0;
	q->major = maj;
	q->minor = min;
	return 1;
}

/* See the head of this file. */
static void placeholder(const struct slide *s, struct dmtable *t)
{
	struct leg_query q = { .block_size = s->dev.block_size };
	uint64_t block = s->dev.block_size >> SECTOR_SHIFT;
	char *params;

	if (s->dev.block_size > SECTOR_SIZE &&
	    sysfs_each(s->dev.major, s->dev.minor, "slaves", leg_like, &q)) {
		params = xasprintf("%u:%u 0 0 1", q.major, q.minor);
		dmtable_add(t, 0, block, "flakey", params);
		free(params);
	}
	if (dmtable_len(t) < s->dev.sectors)
		dmtable_add(t, dmtable_len(t),
			    s->dev.sectors - dmtable_len(t), "error", "");
}

/* A dm uuid of ours, never the same twice. */
void make_uuid(char *uuid, const char *prefix)
{
	unsigned char rnd[16];
	char hex[33] = "<random>";
	size_t i;

	if (!opt.dry_run) {
		if (getrandom(rnd, sizeof(rnd), 0) != sizeof(rnd))
			abort();
		for (i = 0; i < sizeof(rnd); i++)
			snprintf(hex + 2 * i, 3, "%02x", rnd[i]);
	}
	snprintf(uuid, UUID_LEN, "%s%s", prefix, hex);
}

/*
 * The steps that give NAME the table `ours`, the last four of them with NAME
 * suspended. ours names NAME-qsrc as TABLE_DEV.
 */
void plan_slide(const struct slide *s, const struct dmtable *ours,
		struct plan *p)
{
	bool ro = s->dev.dm.read_only;
	struct dmtable t = { 0 };

	plan_add(p, OP_CREATE, s->qsrc, s->uuid);
	placeholder(s, &t);
	plan_load(p, s->qsrc, &t, false);
	dmtable_free(&t);
	plan_add(p, OP_ACTIVATE_HIDDEN, s->qsrc, NULL);
	plan_load(p, s->qsrc, &s->old, ro);
	plan_load(p, s->name, ours, ro);
	plan_add(p, OP_SUSPEND_NOFLUSH, s->qsrc, NULL);
	plan_suspend(p, s->name, &s->old, ours);
	plan_add(p, OP_RESUME, s->qsrc, NULL);
	plan_add(p, OP_RESUME, s->name, NULL);
}

/* What has to be known to put the old table back. */
void slide_journal(const struct slide *s, struct jmember *m)
{
	strcpy(m->name, s->name);
	strcpy(m->src, s->qsrc);
	strcpy(m->src_uuid, s->uuid);
	m->major = s->dev.major;
	m->minor = s->dev.minor;
	m->read_only = s->dev.dm.read_only;
	dmtable_copy(&m->old, &s->old);
}

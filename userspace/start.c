// SPDX-License-Identifier: GPL-2.0
/*
 * mirror start: slide the mirror under a dm device in use, or create one over
 * a plain block device.
 *
 * What sliding under means stands at the head of slide.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define MAX_GRANULARITY	(64u << 20)

struct start {
	struct slide sl;	/* sl.dev is SOURCE, also a plain one */
	struct blk tgt;
	bool slide;
	struct blk top;		/* --replaces */
	struct ranges dirty;
};

/* ---- checks ---- */

static enum xit check_plain(struct start *s)
{
	const char *name = opt.name ? opt.name : "N";
	struct dmdev d;
	enum xit x;

	if (opt.name && dm_get(name, &d) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EEXIST, name,
			       "the name %s is taken by another device-mapper device",
			       name);
	x = blk_unused(&s->sl.dev, "SOURCE");
	if (x == XIT_BUSY)
		/* the reason has been given; say why it is one */
		snprintf(the_err.desc + strlen(the_err.desc),
			 sizeof(the_err.desc) - strlen(the_err.desc),
			 " (only I/O through /dev/mapper/%s would be mirrored)",
			 name);
	if (x != XIT_OK)
		return x;
	if (!opt.name)
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, s->sl.dev.label,
			       "SOURCE %s is a plain block device: give --name N, and use /dev/mapper/N instead of it from then on",
			       s->sl.dev.label);
	strcpy(s->sl.name, name);
	return XIT_OK;
}

/* DEV lies over all of SOURCE with one linear line, and nobody else does. */
static enum xit check_replaces(struct start *s)
{
	struct dmtable t;
	unsigned int a = 0, b = 0;
	unsigned long long off = 1;
	enum xit x;
	bool over;

	if (!s->slide)
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, s->sl.dev.label,
			       "--replaces needs a SOURCE that the mirror is slid under");
	x = blk_find(opt.replaces, "--replaces", &s->top);
	if (x != XIT_OK)
		return x;
	if (!s->top.is_dm)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, s->top.label,
			       "--replaces %s is no device-mapper device",
			       s->top.label);
	x = slide_check_dm(&s->top.dm);
	if (x != XIT_OK)
		return x;
	if (dm_table(s->top.dm.name, false, &t))
		return err_set(XIT_FAIL, ST_LOOKUP, EIO, s->top.label,
			       "%s: its table cannot be read", s->top.label);
	over = t.n == 1 && strcmp(t.line[0].type, "linear") == 0 &&
	       sscanf(t.line[0].params, "%u:%u %llu", &a, &b, &off) == 3 &&
	       a == s->sl.dev.major && b == s->sl.dev.minor && off == 0 &&
	       t.line[0].len == s->sl.dev.sectors;
	dmtable_free(&t);
	if (!over)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, s->top.label,
			       "%s cannot be replaced: its table is not one linear line over all of %s",
			       s->top.label, s->sl.dev.label);
	if (s->sl.dev.dm.open_count != 1)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, s->sl.dev.label,
			       "%s cannot be replaced: %s has other users than it",
			       s->top.label, s->sl.dev.label);
	return XIT_OK;
}

static enum xit check_options(const struct start *s)
{
	uint64_t g = (uint64_t)opt.granularity;

	if (opt.granularity >= 0 && g < s->sl.dev.block_size)
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, s->sl.dev.label,
			       "--granularity: %llu is less than a logical block of %s (%u bytes)",
			       (unsigned long long)g, s->sl.dev.label,
			       s->sl.dev.block_size);
	if (blk_is_on(s->top.major, s->top.minor, s->tgt.major, s->tgt.minor) &&
	    s->top.major)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, s->tgt.label,
			       "%s is stacked on TARGET %s", s->top.label,
			       s->tgt.label);
	return XIT_OK;
}

/* What can be told from the words alone. */
static enum xit check_words(void)
{
	uint64_t g = (uint64_t)opt.granularity;
	bool bitmap = opt.sync && strcmp(opt.sync, "bitmap") == 0;

	if (opt.bitmap && !bitmap)
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "--bitmap goes with --sync bitmap only");
	if (bitmap && !opt.bitmap && opt.wait)
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "--wait would never end: without --bitmap FILE the job stays paused until `mirror mark-dirty` and `mirror resume`");
	if (opt.granularity >= 0 && (g < SECTOR_SIZE || g > MAX_GRANULARITY))
		return err_set(XIT_USAGE, ST_NONE, ERANGE, NULL,
			       "--granularity: %llu is not in the range 512 to 64M",
			       (unsigned long long)g);
	if (opt.granularity >= 0 && (g & (g - 1)))
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "--granularity: %llu is not a power of two",
			       (unsigned long long)g);
	if (opt.name && !dm_name_ok(opt.name))
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "--name: '%.130s' is no device-mapper name (1 to 127 bytes, no slash, no control characters)",
			       opt.name);
	return XIT_OK;
}

static bool sync_full(void)
{
	return !opt.sync || strcmp(opt.sync, "full") == 0 ||
	       strcmp(opt.sync, "top") == 0;
}

static enum xit check_all(const char *source, const char *target,
			  struct start *s)
{
	enum xit x = blk_find(source, "SOURCE", &s->sl.dev);

	if (x == XIT_OK)
		x = blk_find(target, "TARGET", &s->tgt);
	if (x != XIT_OK)
		return x;
	s->slide = s->sl.dev.is_dm && !opt.name;
	x = s->slide ? slide_check(&s->sl, "mirror") : check_plain(s);
	if (x == XIT_OK && opt.replaces)
		x = check_replaces(s);
	if (x == XIT_OK)
		x = check_options(s);
	if (x == XIT_OK)
		x = leg_check_target(&s->sl.dev, &s->tgt,
				     sync_full() && !opt.force);
	return x;
}

/* Standard input may take its time: read before the lock, and the checks. */
static enum xit read_bitmap(const char *source, struct start *s,
			    uint64_t *sectors)
{
	struct blk b;
	enum xit x = blk_find(source, "SOURCE", &b);

	if (x != XIT_OK)
		return x;
	*sectors = b.sectors;
	return bitmap_load(opt.bitmap, b.sectors, &s->dirty);
}

static enum xit check_same(const struct start *s, uint64_t bitmap_sectors)
{
	if (opt.bitmap && s->sl.dev.sectors < bitmap_sectors)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, s->sl.dev.label,
			       "%s has become smaller since the bitmap was read; nothing was changed",
			       s->sl.dev.label);
	return s->slide ? slide_check_same(&s->sl) : XIT_OK;
}

/* ---- tables ---- */

static void arg(FILE *f, int *n, const char *name, const char *value)
{
	if (!value)
		return;
	fprintf(f, " %s %s", name, value);
	*n += 2;
}

static void arg_sectors(FILE *f, int *n, const char *name, int64_t bytes)
{
	if (bytes < 0)
		return;
	fprintf(f, " %s %lld", name, (long long)bytes >> SECTOR_SHIFT);
	*n += 2;
}

static void flag(FILE *f, int *n, const char *name, bool on)
{
	if (!on)
		return;
	fprintf(f, " %s", name);
	*n += 1;
}

/* " <#args> <arg>...", or nothing when all is default */
static char *mirror_args(void)
{
	char *text = NULL, *all;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int n = 0;

	if (!f)
		abort();
	if (!sync_full())
		arg(f, &n, "sync", opt.sync);
	arg(f, &n, "copy_mode", opt.copy_mode);
	arg_sectors(f, &n, "granularity", opt.granularity);
	arg_sectors(f, &n, "buf_size", opt.buf_size);
	arg_sectors(f, &n, "speed", opt.speed);
	arg(f, &n, "on_source_error", opt.on_source_error);
	arg(f, &n, "on_target_error", opt.on_target_error);
	flag(f, &n, "target_is_zero", opt.target_is_zero);
	flag(f, &n, "zero_detect", opt.zero_detect);
	flag(f, &n, "no_bounce", opt.no_bounce);
	if (fclose(f))
		abort();
	all = n ? xasprintf(" %d%s", n, text) : xstrdup("");
	free(text);
	return all;
}

static void mirror_line(const struct start *s, struct dmtable *t)
{
	char *args = mirror_args(), *params;

	if (s->slide)
		params = xasprintf("%c%s%c 0 %u:%u 0%s", TABLE_DEV, s->sl.qsrc,
				   TABLE_DEV, s->tgt.major, s->tgt.minor, args);
	else
		params = xasprintf("%u:%u 0 %u:%u 0%s", s->sl.dev.major,
				   s->sl.dev.minor, s->tgt.major, s->tgt.minor,
				   args);
	dmtable_add(t, 0, s->sl.dev.sectors, "qmirror", params);
	free(params);
	free(args);
}

/* ---- the plan ---- */

static void plan_plain(const struct start *s, struct plan *p)
{
	struct dmtable t = { 0 };

	plan_add(p, OP_CREATE, s->sl.name, s->sl.uuid);
	mirror_line(s, &t);
	plan_load(p, s->sl.name, &t, s->sl.dev.read_only);
	dmtable_free(&t);
	plan_add(p, OP_ACTIVATE, s->sl.name, NULL);
}

static void plan_journal(const struct start *s, struct journal *j)
{
	struct jmember *m = xcalloc(1, sizeof(*m));

	j->verb = s->slide ? JV_START_SLIDE : JV_START_PLAIN;
	strcpy(j->what, "mirror start");
	j->pid = (int)getpid();
	j->n = 1;
	j->m = m;
	if (s->slide) {
		slide_journal(&s->sl, m);
	} else {
		strcpy(m->name, s->sl.name);
		strcpy(m->uuid, s->sl.uuid);
	}
	m->start_bitmap = opt.bitmap;
	m->dirty.n = s->dirty.n;
	m->dirty.r = xcalloc(s->dirty.n, sizeof(*m->dirty.r));
	if (s->dirty.n)
		memcpy(m->dirty.r, s->dirty.r,
		       s->dirty.n * sizeof(*m->dirty.r));
}

static void make_plan(struct start *s, struct plan *p)
{
	struct dmtable t = { 0 };

	make_uuid(s->sl.uuid, s->slide ? UUID_SRC : UUID_PLAIN);
	if (s->slide) {
		mirror_line(s, &t);
		plan_slide(&s->sl, &t, p);
		dmtable_free(&t);
	} else {
		plan_plain(s, p);
	}
	if (opt.bitmap) {
		plan_ranges(p, s->sl.name, "mark_dirty", &s->dirty);
		plan_add(p, OP_MESSAGE, s->sl.name, "resume");
	}
	plan_journal(s, &p->j);
}

static enum xit remember(const struct start *s)
{
	struct job_file f;

	if (!opt.replaces)
		return XIT_OK;
	strcpy(f.uuid, s->sl.uuid);
	strcpy(f.replaces, s->top.dm.name);
	return job_file_write(s->sl.uuid, &f);
}

static enum xit run(struct start *s)
{
	struct plan p = { 0 };
	struct dmdev d;
	enum xit x;

	make_plan(s, &p);
	if (opt.dry_run) {
		plan_print(&p);
		x = XIT_OK;
	} else {
		x = remember(s);
		/* should it fail, the undo drops the file; a mirror keeps it */
		if (x == XIT_OK)
			x = plan_run(&p);
		if (x != XIT_OK && s->slide && dm_get(s->sl.qsrc, &d) == -ENXIO)
			job_file_drop(s->sl.uuid);
	}
	plan_free(&p);
	return x;
}

/*
 * The mirror is there, but not what it was to be: a message of the bitmap's was
 * refused. A start that failed leaves nothing, so it is taken away again.
 */
static enum xit take_back(const struct start *s)
{
	struct err first = the_err;
	struct mirror m;
	enum xit x;

	if (mirror_read(s->sl.name, &m))
		return first.xit;	/* it never was, or is undone */
	err_clear();
	lock_release();
	x = ending_undo(s->sl.name, !s->slide);
	if (x != XIT_OK)
		err_set(first.xit, first.stage, first.eno, first.device,
			"%.400s; and the mirror could not be taken away again (%.400s): it is there and paused, type next: qmirrorctl mirror cancel %s --force",
			first.desc, the_err.desc, s->sl.name);
	else
		err_set(first.xit, first.stage, first.eno, first.device,
			"%.800s; the mirror was taken away again, everything is as it was",
			first.desc);
	return first.xit;
}

static enum xit started(const struct start *s)
{
	char *name = (char *)s->sl.name;
	struct mirror m;
	enum xit x;

	if (opt.sync && strcmp(opt.sync, "top") == 0)
		note("%s: there is no layer below, so --sync top is full",
		     s->sl.name);
	if (s->slide)
		note_manager(s->sl.name, s->sl.dev.dm.uuid, "mirror");
	if (opt.wait) {
		x = mirror_find(s->sl.name, &m);
		if (x == XIT_OK)
			x = wait_for(&m, 1, GOAL_READY, true);
		if (x != XIT_OK)
			return x;
	}
	return report_done(&name, 1);
}

enum xit cmd_mirror_start(int argc __unused_arg, char **argv)
{
	struct start s = { 0 };
	uint64_t sectors = 0;
	enum xit x = check_words();

	if (x == XIT_OK && opt.bitmap)
		x = read_bitmap(argv[0], &s, &sectors);
	if (x == XIT_OK && !opt.dry_run)
		x = lock_take("mirror start", true);
	if (x == XIT_OK)
		x = check_all(argv[0], argv[1], &s);
	if (x == XIT_OK && !opt.dry_run)
		x = need_target("qmirror", "dm-qmirror");
	if (x == XIT_OK)
		x = check_same(&s, sectors);
	if (x == XIT_OK) {
		x = run(&s);
		if (x != XIT_OK && opt.bitmap && !opt.dry_run)
			x = take_back(&s);
	}
	lock_release();
	if (x == XIT_OK && !opt.dry_run)
		x = started(&s);
	dmtable_free(&s.sl.old);
	free(s.dirty.r);
	return x;
}

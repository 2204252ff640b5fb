// SPDX-License-Identifier: GPL-2.0
/*
 * mirror start: slide the mirror under a dm device in use, or create one over
 * a plain block device.
 *
 * Sliding under NAME. The old table moves to a new device NAME-qsrc and NAME
 * gets the mirror, with NAME-qsrc as its source. The two must never both be
 * active on the same data, and the mirror's constructor has to open NAME-qsrc
 * and find it large enough, before anything is suspended (loading a table
 * allocates, and reclaim may need the device that is suspended). A device
 * that only has an inactive table has no size. So NAME-qsrc is made with a
 * placeholder table first, as long as NAME and good for errors only; the old
 * table is loaded behind it, our table into NAME, and then:
 *
 *	suspend NAME-qsrc, suspend NAME, resume NAME-qsrc (placeholder -> old
 *	table), resume NAME (old table -> mirror)
 *
 * NAME-qsrc is suspended beforehand so that its resume has nothing to wait
 * for; its number stays, so the mirror's table stays good.
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
#include <fcntl.h>
#include <linux/module.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* tables of these lines can stand under another device: nothing of their
 * state is tied to the dm device they are on
 */
#define SLIDABLE	"linear|striped|thin|delay|flakey|error|zero"
#define MAX_GRANULARITY	(64u << 20)

struct start {
	struct blk src, tgt;
	bool slide;
	char name[NAME_LEN], qsrc[NAME_LEN], uuid[UUID_LEN];
	struct dmtable old;
	struct blk top;		/* --replaces */
	struct ranges dirty;
};

/* ---- is the target there? ---- */

/* Path of the module by modules.dep; "" when it is not installed. */
static void module_path(const char *release, char *buf, size_t size)
{
	char *dep = xasprintf("/lib/modules/%s/modules.dep", release);
	FILE *f = fopen(dep, "re");
	char *line = NULL;
	size_t n = 0;

	buf[0] = '\0';
	free(dep);
	if (!f)
		return;
	while (getline(&line, &n, f) >= 0) {
		line[strcspn(line, ":\n")] = '\0';
		if (strstr(line, "/dm-qmirror.ko")) {
			snprintf(buf, size, "/lib/modules/%s/%s", release, line);
			break;
		}
	}
	free(line);
	fclose(f);
}

/*
 * Ask the kernel what it holds against the module. It checks the signature
 * before everything else, so what it says later does not matter.
 */
static int module_verdict(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int flags = strstr(path, ".ko.") ? MODULE_INIT_COMPRESSED_FILE : 0;
	int r;

	if (fd < 0)
		return errno;
	r = syscall(SYS_finit_module, fd, "", flags) ? errno : 0;
	close(fd);
	return r;
}

static enum xit need_target(void)
{
	struct utsname u;
	char path[512];
	int eno;

	if (dm_target_version("qmirror") == 0)
		return XIT_OK;
	uname(&u);
	module_path(u.release, path, sizeof(path));
	if (!path[0])
		return err_set(XIT_FAIL, ST_CHECK, ENOENT, NULL,
			       "the kernel has no qmirror target: dm-qmirror is not built for this kernel (%s)",
			       u.release);
	eno = module_verdict(path);
	if (eno == EKEYREJECTED || eno == ENOKEY || eno == EPERM ||
	    eno == EBADMSG)
		return err_set(XIT_FAIL, ST_CHECK, eno, NULL,
			       "the kernel has no qmirror target: it rejected dm-qmirror for its signature (Secure Boot): sign it with an enrolled key (mokutil)");
	if (eno == 0 && dm_target_version("qmirror") == 0)
		return XIT_OK;
	return err_set(XIT_FAIL, ST_CHECK, eno, NULL,
		       "the kernel has no qmirror target and dm-qmirror cannot be loaded: try `modprobe dm-qmirror` and look at dmesg");
}

/* ---- checks ---- */

static bool is_job(const char *type)
{
	return strcmp(type, "qmirror") == 0 || strncmp(type, "cbw", 3) == 0;
}

static enum xit check_lines(const struct start *s)
{
	const char *name = s->src.label;
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
				       "%s has a %s table, which a mirror cannot be slid under: stack it above (--name N) and use that device instead",
				       name, type);
	}
	if (s->src.dax)
		return err_set(XIT_BUSY, ST_CHECK, EOPNOTSUPP, name,
			       "%s is a DAX device, which a mirror cannot be slid under: stack it above (--name N) and use that device instead",
			       name);
	return XIT_OK;
}

/* A dm device that we will suspend and give another table. */
static enum xit check_dm(const struct dmdev *d)
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

static enum xit check_slide(struct start *s)
{
	struct dmdev d;
	enum xit x;
	int r;

	x = check_dm(&s->src.dm);
	if (x != XIT_OK)
		return x;
	r = dm_table(s->src.dm.name, false, &s->old);
	if (r)
		return err_set(XIT_FAIL, ST_LOOKUP, r, s->src.label,
			       "%s: its table cannot be read: %s",
			       s->src.label, strerror(-r));
	x = check_lines(s);
	if (x != XIT_OK)
		return x;
	if (!dm_name_ok(s->src.dm.name) ||
	    strlen(s->src.dm.name) + strlen(SRC_SUFFIX) >= NAME_LEN)
		return err_set(XIT_FAIL, ST_CHECK, ENAMETOOLONG, s->src.label,
			       "%s: the name leaves no room for %s", s->src.label,
			       SRC_SUFFIX);
	strcpy(s->name, s->src.dm.name);
	snprintf(s->qsrc, sizeof(s->qsrc), "%.120s%s", s->name, SRC_SUFFIX);
	if (dm_get(s->qsrc, &d) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EEXIST, s->qsrc,
			       "%s is there already: `qmirrorctl status` says whether it is a leftover, `qmirrorctl remove %s` removes it",
			       s->qsrc, s->qsrc);
	return XIT_OK;
}

static enum xit check_plain(struct start *s)
{
	const char *name = opt.name ? opt.name : "N";
	struct dmdev d;
	enum xit x;

	if (opt.name && dm_get(name, &d) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EEXIST, name,
			       "the name %s is taken by another device-mapper device",
			       name);
	x = blk_unused(&s->src, "SOURCE");
	if (x == XIT_BUSY)
		/* the reason has been given; say why it is one */
		snprintf(the_err.desc + strlen(the_err.desc),
			 sizeof(the_err.desc) - strlen(the_err.desc),
			 " (only I/O through /dev/mapper/%s would be mirrored)",
			 name);
	if (x != XIT_OK)
		return x;
	if (!opt.name)
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, s->src.label,
			       "SOURCE %s is a plain block device: give --name N, and use /dev/mapper/N instead of it from then on",
			       s->src.label);
	strcpy(s->name, name);
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
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, s->src.label,
			       "--replaces needs a SOURCE that the mirror is slid under");
	x = blk_find(opt.replaces, "--replaces", &s->top);
	if (x != XIT_OK)
		return x;
	if (!s->top.is_dm)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, s->top.label,
			       "--replaces %s is no device-mapper device",
			       s->top.label);
	x = check_dm(&s->top.dm);
	if (x != XIT_OK)
		return x;
	if (dm_table(s->top.dm.name, false, &t))
		return err_set(XIT_FAIL, ST_LOOKUP, EIO, s->top.label,
			       "%s: its table cannot be read", s->top.label);
	over = t.n == 1 && strcmp(t.line[0].type, "linear") == 0 &&
	       sscanf(t.line[0].params, "%u:%u %llu", &a, &b, &off) == 3 &&
	       a == s->src.major && b == s->src.minor && off == 0 &&
	       t.line[0].len == s->src.sectors;
	dmtable_free(&t);
	if (!over)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, s->top.label,
			       "%s cannot be replaced: its table is not one linear line over all of %s",
			       s->top.label, s->src.label);
	if (s->src.dm.open_count != 1)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, s->src.label,
			       "%s cannot be replaced: %s has other users than it",
			       s->top.label, s->src.label);
	return XIT_OK;
}

static enum xit check_options(const struct start *s)
{
	uint64_t g = (uint64_t)opt.granularity;

	if (opt.granularity >= 0 && g < s->src.block_size)
		return err_set(XIT_USAGE, ST_CHECK, EINVAL, s->src.label,
			       "--granularity: %llu is less than a logical block of %s (%u bytes)",
			       (unsigned long long)g, s->src.label,
			       s->src.block_size);
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
	enum xit x = blk_find(source, "SOURCE", &s->src);

	if (x == XIT_OK)
		x = blk_find(target, "TARGET", &s->tgt);
	if (x != XIT_OK)
		return x;
	s->slide = s->src.is_dm && !opt.name;
	x = s->slide ? check_slide(s) : check_plain(s);
	if (x == XIT_OK && opt.replaces)
		x = check_replaces(s);
	if (x == XIT_OK)
		x = check_options(s);
	if (x == XIT_OK)
		x = leg_check_target(&s->src, &s->tgt,
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

/*
 * The checks above may take long. A table that was changed meanwhile must not
 * be slid under: its sectors may be somebody else's now.
 */
static enum xit check_same(const struct start *s, uint64_t bitmap_sectors)
{
	struct dmtable now;
	struct dmdev d;
	bool same;

	if (opt.bitmap && s->src.sectors < bitmap_sectors)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, s->src.label,
			       "%s has become smaller since the bitmap was read; nothing was changed",
			       s->src.label);
	if (!s->slide)
		return XIT_OK;
	if (dm_table(s->name, false, &now))
		same = false;
	else {
		same = dmtable_equal(&now, &s->old) &&
		       dm_get(s->name, &d) == 0 && !d.inactive &&
		       !d.suspended && d.major == s->src.major &&
		       d.minor == s->src.minor;
		dmtable_free(&now);
	}
	if (same)
		return XIT_OK;
	return err_set(XIT_BUSY, ST_CHECK, EBUSY, s->name,
		       "%s was changed by somebody else meanwhile; nothing was changed by us, try again",
		       s->name);
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
		params = xasprintf("%c%s%c 0 %u:%u 0%s", TABLE_DEV, s->qsrc,
				   TABLE_DEV, s->tgt.major, s->tgt.minor, args);
	else
		params = xasprintf("%u:%u 0 %u:%u 0%s", s->src.major,
				   s->src.minor, s->tgt.major, s->tgt.minor,
				   args);
	dmtable_add(t, 0, s->src.sectors, "qmirror", params);
	free(params);
	free(args);
}

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
static void placeholder(const struct start *s, struct dmtable *t)
{
	struct leg_query q = { .block_size = s->src.block_size };
	uint64_t block = s->src.block_size >> SECTOR_SHIFT;
	char *params;

	if (s->src.block_size > SECTOR_SIZE &&
	    sysfs_each(s->src.major, s->src.minor, "slaves", leg_like, &q)) {
		params = xasprintf("%u:%u 0 0 1", q.major, q.minor);
		dmtable_add(t, 0, block, "flakey", params);
		free(params);
	}
	if (dmtable_len(t) < s->src.sectors)
		dmtable_add(t, dmtable_len(t),
			    s->src.sectors - dmtable_len(t), "error", "");
}

/* ---- the plan ---- */

static void make_uuid(struct start *s)
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
	snprintf(s->uuid, sizeof(s->uuid), "%s%s",
		 s->slide ? UUID_SRC : UUID_PLAIN, hex);
}

static void plan_slide(const struct start *s, struct plan *p)
{
	bool ro = s->src.dm.read_only;
	struct dmtable t = { 0 };

	plan_add(p, OP_CREATE, s->qsrc, s->uuid);
	placeholder(s, &t);
	plan_load(p, s->qsrc, &t, false);
	dmtable_free(&t);
	plan_add(p, OP_ACTIVATE_HIDDEN, s->qsrc, NULL);
	plan_load(p, s->qsrc, &s->old, ro);
	mirror_line(s, &t);
	plan_load(p, s->name, &t, ro);
	dmtable_free(&t);
	plan_add(p, OP_SUSPEND_NOFLUSH, s->qsrc, NULL);
	plan_add(p, OP_SUSPEND, s->name, NULL);
	plan_add(p, OP_RESUME, s->qsrc, NULL);
	plan_add(p, OP_RESUME, s->name, NULL);
}

static void plan_plain(const struct start *s, struct plan *p)
{
	struct dmtable t = { 0 };

	plan_add(p, OP_CREATE, s->name, s->uuid);
	mirror_line(s, &t);
	plan_load(p, s->name, &t, s->src.read_only);
	dmtable_free(&t);
	plan_add(p, OP_ACTIVATE, s->name, NULL);
}

static void plan_journal(const struct start *s, struct journal *j)
{
	struct jmember *m = xcalloc(1, sizeof(*m));

	j->verb = s->slide ? JV_START_SLIDE : JV_START_PLAIN;
	strcpy(j->what, "mirror start");
	j->pid = (int)getpid();
	j->n = 1;
	j->m = m;
	strcpy(m->name, s->name);
	if (s->slide) {
		strcpy(m->src, s->qsrc);
		strcpy(m->src_uuid, s->uuid);
		m->major = s->src.major;
		m->minor = s->src.minor;
		m->read_only = s->src.dm.read_only;
	} else {
		strcpy(m->uuid, s->uuid);
	}
	dmtable_copy(&m->old, &s->old);
	m->start_bitmap = opt.bitmap;
	m->dirty.n = s->dirty.n;
	m->dirty.r = xcalloc(s->dirty.n, sizeof(*m->dirty.r));
	if (s->dirty.n)
		memcpy(m->dirty.r, s->dirty.r,
		       s->dirty.n * sizeof(*m->dirty.r));
}

static void make_plan(struct start *s, struct plan *p)
{
	make_uuid(s);
	if (s->slide)
		plan_slide(s, p);
	else
		plan_plain(s, p);
	if (opt.bitmap) {
		plan_bitmap(p, s->name, &s->dirty);
		plan_add(p, OP_MESSAGE, s->name, "resume");
	}
	plan_journal(s, &p->j);
}

static enum xit remember(const struct start *s)
{
	struct job_file f;

	if (!opt.replaces)
		return XIT_OK;
	strcpy(f.uuid, s->uuid);
	strcpy(f.replaces, s->top.dm.name);
	return job_file_write(s->uuid, &f);
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
		if (x != XIT_OK && s->slide && dm_get(s->qsrc, &d) == -ENXIO)
			job_file_drop(s->uuid);
	}
	plan_free(&p);
	return x;
}

static enum xit started(const struct start *s)
{
	char *name = (char *)s->name;
	struct mirror m;
	enum xit x;

	if (opt.sync && strcmp(opt.sync, "top") == 0)
		note("%s: there is no layer below, so --sync top is full",
		     s->name);
	if (opt.wait) {
		x = mirror_find(s->name, &m);
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
		x = need_target();
	if (x == XIT_OK)
		x = check_same(&s, sectors);
	if (x == XIT_OK)
		x = run(&s);
	lock_release();
	if (x == XIT_OK && !opt.dry_run)
		x = started(&s);
	dmtable_free(&s.old);
	free(s.dirty.r);
	return x;
}

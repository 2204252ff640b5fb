// SPDX-License-Identifier: GPL-2.0
/*
 * A snapshot as the tool sees it: the cbw on the device, its view and its
 * store; and the verb that is one message to it: release.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* ---- reading ---- */

/* Is that device the view of snapshots in this store? Its live table says so. */
static bool is_view_of(const char *name, const char *store, char *source,
		       size_t size)
{
	struct cbw_table v;
	struct dmtable t;
	bool ok;

	if (dm_table(name, false, &t))
		return false;
	/* the line of a view is the beginning of a cbw's */
	ok = t.n == 1 && strcmp(t.line[0].type, "cbw-snapshot") == 0 &&
	     parse_cbw_table(t.line[0].params, &v) == 0 &&
	     (!store || strcmp(v.store, store) == 0);
	dmtable_free(&t);
	if (ok && source)
		snprintf(source, size, "%s", v.source);
	return ok;
}

static bool ours_of(const struct dmdev *d, const char *store)
{
	return strncmp(d->uuid, UUID_SNAP, strlen(UUID_SNAP)) == 0 &&
	       is_view_of(d->name, store, NULL, 0);
}

/* NAME-snap; or, should somebody have renamed one of the two, any of ours. */
static bool find_view(const char *name, const char *store, struct dmdev *view)
{
	char *snap = xasprintf("%s" SNAP_SUFFIX, name);
	struct dmdev *dev;
	bool found = strlen(snap) < NAME_LEN && dm_get(snap, view) == 0 &&
		     ours_of(view, store);
	size_t i, n;

	free(snap);
	if (found || dm_list(&dev, &n))
		return found;
	for (i = 0; i < n && !found; i++) {
		found = ours_of(&dev[i], store);
		if (found)
			*view = dev[i];
	}
	free(dev);
	return found;
}

static void read_view(struct snapshot *s)
{
	struct dmtable t;

	s->has_view = find_view(s->dev.name, s->table.store, &s->view);
	if (!s->has_view || dm_status(s->view.name, &t))
		return;
	if (t.n != 1 || strcmp(t.line[0].type, "cbw-snapshot") != 0 ||
	    parse_view_status(t.line[0].params, &s->view_state, s->view_error,
			      sizeof(s->view_error)))
		s->view_state = VS_UNKNOWN;
	dmtable_free(&t);
}

static int read_status(struct snapshot *s)
{
	struct dmtable t;
	int r = dm_status(s->dev.name, &t);

	if (r)
		return r;
	/* it may have been swapped between the two questions */
	if (t.n != 1 || strcmp(t.line[0].type, "cbw") != 0)
		r = -ENODATA;
	else if (parse_cbw_status(t.line[0].params, &s->st))
		r = -EPROTO;
	dmtable_free(&t);
	return r;
}

/* 0; -ENXIO: no device; -ENODATA: no snapshot on it; -EPROTO: a line unknown */
int snapshot_read(const char *name, struct snapshot *s)
{
	struct dmtable t;
	int r;

	memset(s, 0, sizeof(*s));
	s->store_room = -1;
	r = dm_get(name, &s->dev);
	if (!r)
		r = dm_table(name, false, &t);
	if (r)
		return r;
	if (t.n != 1 || strcmp(t.line[0].type, "cbw") != 0)
		r = -ENODATA;
	else if (parse_cbw_table(t.line[0].params, &s->table))
		r = -EPROTO;
	else
		s->sectors = t.line[0].len;
	dmtable_free(&t);
	if (!r)
		r = read_status(s);
	if (r)
		return r;
	store_show(s->table.store, s->store, sizeof(s->store), &s->store_room);
	read_view(s);
	return 0;
}

static enum xit read_error(const char *name, int r)
{
	switch (r) {
	case 0:
		return XIT_OK;
	case -ENXIO:
		return err_set(XIT_NODEV, ST_LOOKUP, ENODEV, name,
			       "%s: no such device-mapper device", name);
	case -ENODATA:
		return err_set(XIT_STATE, ST_LOOKUP, ENODATA, name,
			       "%s carries no snapshot; `qmirrorctl status` lists those there are",
			       name);
	case -EPROTO:
		return err_set(XIT_FAIL, ST_LOOKUP, EPROTO, name,
			       "%s: the status line of the cbw target is not understood: do module and qmirrorctl belong together?",
			       name);
	default:
		return err_set(XIT_FAIL, ST_LOOKUP, r, name, "%s: %s", name,
			       strerror(-r));
	}
}

enum xit snapshot_find(const char *word, struct snapshot *s)
{
	struct blk b;
	enum xit x = blk_find(word, "NAME", &b);

	if (x != XIT_OK)
		return x;
	if (!b.is_dm)
		return err_set(XIT_STATE, ST_LOOKUP, ENODATA, word,
			       "%s is no device-mapper device and carries no snapshot",
			       word);
	return read_error(b.dm.name, snapshot_read(b.dm.name, s));
}

/* NAME-qsrc below a cbw that was slid under. */
bool snapshot_src(const struct snapshot *s, struct dmdev *src)
{
	unsigned int maj, min;

	return sscanf(s->table.source, "%u:%u", &maj, &min) == 2 &&
	       dm_get_by_devno(maj, min, src) == 0 &&
	       strncmp(src->uuid, UUID_SRC, strlen(UUID_SRC)) == 0;
}

int snapshot_list(struct snapshot **list, size_t *n)
{
	struct dmdev *dev;
	size_t i, nd;
	int r = dm_list(&dev, &nd);

	*list = NULL;
	*n = 0;
	if (r)
		return r;
	*list = xcalloc(nd, sizeof(**list));
	for (i = 0; i < nd; i++)
		if (snapshot_read(dev[i].name, *list + *n) == 0)
			(*n)++;
	free(dev);
	return 0;
}

/* The device whose snapshot this view shows; false: it is gone. */
bool view_cbw(const struct dmdev *view, char *name, size_t size)
{
	struct snapshot *s;
	bool found = false;
	size_t i, n;

	if (strncmp(view->uuid, UUID_SNAP, strlen(UUID_SNAP)) != 0 ||
	    snapshot_list(&s, &n))
		return false;
	for (i = 0; i < n && !found; i++) {
		found = is_view_of(view->name, s[i].table.store, NULL, 0);
		if (found)
			snprintf(name, size, "%s", s[i].dev.name);
	}
	free(s);
	return found;
}

/* ---- writing out before a freeze ---- */

/* All that is dirty goes to the device: what the freeze has to write is less. */
int sync_device(const char *name)
{
	char where[512], node[NAME_LEN + 8];
	struct dmdev d;
	struct stat st;
	int fd, r = dm_get(name, &d);

	if (r)
		return r;
	if (mount_of(d.major, d.minor, where, sizeof(where)) == 0 &&
	    (fd = open(where, O_RDONLY | O_CLOEXEC)) >= 0) {
		r = fstat(fd, &st) == 0 &&
		    st.st_dev == makedev(d.major, d.minor) && syncfs(fd) ?
		    -errno : 0;
		close(fd);
		if (r)
			return r;
	}
	blk_node(d.major, d.minor, node, sizeof(node));
	fd = open(node, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) ? -errno : 0;
	close(fd);
	return r;
}

/* ---- release ---- */

static enum xit bad_range(const char *a, const char *b, const char *why)
{
	return err_set(XIT_USAGE, ST_CHECK, EINVAL, NULL,
		       "%.60s %.60s: %s; nothing was changed", a, b, why);
}

/* What can be told from the words alone. */
static enum xit parse_range(const char *a, const char *b, struct range *r)
{
	uint64_t off, len;

	if (parse_size(a, &off) || parse_size(b, &len))
		return bad_range(a, b, "OFFSET and LENGTH are bytes, or with K to P");
	if (off % SECTOR_SIZE || len % SECTOR_SIZE)
		return bad_range(a, b, "not a multiple of 512 bytes");
	if (!len)
		return bad_range(a, b, "LENGTH is zero");
	r->start = off >> SECTOR_SHIFT;
	r->count = len >> SECTOR_SHIFT;
	return XIT_OK;
}

static enum xit parse_ranges(int argc, char **argv, struct ranges *r)
{
	enum xit x = XIT_OK;
	int i;

	if (argc % 2 == 0)
		return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			       "snapshot release: each OFFSET needs a LENGTH (see qmirrorctl --help)");
	r->r = xcalloc((size_t)argc / 2, sizeof(*r->r));
	for (i = 1; i < argc && x == XIT_OK; i += 2)
		x = parse_range(argv[i], argv[i + 1], &r->r[r->n++]);
	return x;
}

/* The words of each range are at 1 and 2, 3 and 4, ... */
static enum xit check_ranges(char **argv, const struct ranges *r,
			     uint64_t sectors)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->r[i].start >= sectors ||
		    r->r[i].count > sectors - r->r[i].start)
			return bad_range(argv[2 * i + 1], argv[2 * i + 2],
					 "past the end of the device");
	return XIT_OK;
}

static enum xit send_release(const char *name, const struct ranges *r)
{
	enum xit x = opt.dry_run ? XIT_OK : lock_take("snapshot release", true);
	struct plan p = { 0 };
	size_t i;
	int rc;

	plan_ranges(&p, name, "release", r);
	if (opt.dry_run)
		plan_print(&p);
	for (i = 0; i < p.n && x == XIT_OK && !opt.dry_run; i++) {
		rc = dm_message(name, p.op[i].text, NULL, 0);
		if (rc)
			x = err_set(rc == -EBUSY ? XIT_STATE : XIT_FAIL,
				    ST_NONE, rc, name,
				    "%s: message `%.60s`: %s", name,
				    p.op[i].text, strerror(-rc));
	}
	lock_release();
	plan_free(&p);
	return x;
}

enum xit cmd_snapshot_release(int argc, char **argv)
{
	struct snapshot s = { 0 };
	struct ranges r = { 0 };
	enum xit x = parse_ranges(argc, argv, &r);

	if (x == XIT_OK)
		x = snapshot_find(argv[0], &s);
	if (x == XIT_OK && s.st.state == SS_IDLE)
		x = err_set(XIT_STATE, ST_CHECK, ENODATA, s.dev.name,
			    "%s is idle: it has no snapshot to release anything of",
			    s.dev.name);
	if (x == XIT_OK)
		x = check_ranges(argv, &r, s.sectors);
	if (x == XIT_OK) {
		ranges_merge(&r);
		x = send_release(s.dev.name, &r);
	}
	free(r.r);
	if (x != XIT_OK || opt.dry_run)
		return x;
	return report_snapshots(argv, 1, NULL);
}

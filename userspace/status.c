// SPDX-License-Identifier: GPL-2.0
/*
 * status: what there is, and what a dead run left. It only reads: no lock, and
 * nothing is recovered.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define TICK_MS	1000

/* ---- leftovers ---- */

/* While a run is at work, what it has not finished is no leftover. */
static bool run_at_work(void)
{
	int fd = lock_look();

	if (fd >= 0)
		close(fd);
	return fd == -EBUSY;
}

/* Is a run, or what puts a dead one right, changing that device? */
static bool in_journal(const char *name)
{
	bool found = false;
	struct journal j;
	size_t i;

	if (journal_read(&j))
		return false;
	for (i = 0; i < j.n; i++)
		found |= strcmp(j.m[i].name, name) == 0;
	journal_free(&j);
	return found;
}

/* Does a mirror or a snapshot stand on that device, by whatever name? */
static bool has_job(const char *source)
{
	struct snapshot *s;
	struct mirror *m;
	bool used = false;
	size_t i, n;

	if (mirror_list(&m, &n))
		return true;
	for (i = 0; i < n; i++)
		used |= strcmp(m[i].table.source, source) == 0;
	free(m);
	if (snapshot_list(&s, &n))
		return true;
	for (i = 0; i < n; i++)
		used |= strcmp(s[i].table.source, source) == 0;
	free(s);
	return used;
}

/*
 * A job that is gone while NAME-qsrc, which was its source, is left: somebody
 * else has replaced or removed its table. Ours have NAME in the journal until
 * the source is removed; that they are at work on others says nothing. A job of
 * either kind on the source is one that was renamed, or the source is another's
 * that has got the number since.
 */
bool job_taken(const char *name, const char *source)
{
	unsigned int maj, min;
	struct dmdev src;

	return !in_journal(name) && sscanf(source, "%u:%u", &maj, &min) == 2 &&
	       dm_get_by_devno(maj, min, &src) == 0 &&
	       strncmp(src.uuid, UUID_SRC, strlen(UUID_SRC)) == 0 &&
	       !has_job(source);
}

static void orphan_add(struct orphan **list, size_t *n, const char *dev,
		       const char *what)
{
	struct orphan *o = reallocarray(*list, *n + 1, sizeof(*o));

	if (!o)
		abort();
	*list = o;
	o += (*n)++;
	o->forced = false;
	snprintf(o->device, sizeof(o->device), "%s", dev);
	snprintf(o->what, sizeof(o->what), "%s", what);
}

static void journal_orphans(struct orphan **list, size_t *n)
{
	struct journal j;
	char what[128];
	size_t i;

	if (journal_read(&j))
		return;
	snprintf(what, sizeof(what),
		 "%s (pid %d) died half-way; qmirrorctl recover puts it right",
		 j.what, j.pid);
	for (i = 0; i < j.n; i++)
		orphan_add(list, n, j.m[i].name, what);
	journal_free(&j);
}

/* What ending.c noted of a forced switch, as long as the device is there. */
static void forced_add(struct orphan **list, size_t *n, const struct dmdev *d)
{
	const char *who = other_manager(d->uuid);
	char what[256], path[NAME_LEN + 16];
	const struct dmline *l;
	struct job_file f;
	struct dmtable t;
	size_t len;

	if (!who || job_file_read(d->uuid, &f) || dm_table(d->name, false, &t))
		return;
	devno_path(f.replaces, path, sizeof(path));
	len = strlen(f.replaces);
	l = t.line;
	if (t.n == 1 && strcmp(l->type, "linear") == 0 &&
	    strncmp(l->params, f.replaces, len) == 0 && l->params[len] == ' ')
		snprintf(what, sizeof(what),
			 "is on %s by force, of which %s does not know; see lvm.rst",
			 path, who);
	else
		snprintf(what, sizeof(what),
			 "was put on %s by force, and has another table since: what was written in between is on %s only; see lvm.rst",
			 path, path);
	/* a job says itself where it is */
	if (t.n && strcmp(l->type, "qmirror") != 0 && strcmp(l->type, "cbw") != 0) {
		orphan_add(list, n, d->name, what);
		(*list)[*n - 1].forced = true;
	}
	dmtable_free(&t);
}

int orphan_list(struct orphan **list, size_t *n)
{
	struct dmdev *dev;
	size_t i, nd;
	int r;

	*list = NULL;
	*n = 0;
	if (run_at_work())
		return 0;
	journal_orphans(list, n);
	r = dm_list(&dev, &nd);
	if (r)
		return r;
	for (i = 0; i < nd; i++) {
		char cbw[NAME_LEN];

		forced_add(list, n, &dev[i]);
		if (strncmp(dev[i].uuid, UUID_SRC, strlen(UUID_SRC)) == 0 &&
		    dev[i].open_count == 0)
			orphan_add(list, n, dev[i].name,
				   "the source of a job that is gone; qmirrorctl remove takes it away");
		if (strncmp(dev[i].uuid, UUID_SNAP, strlen(UUID_SNAP)) == 0 &&
		    !view_cbw(&dev[i], cbw, sizeof(cbw)))
			orphan_add(list, n, dev[i].name,
				   "the view of a snapshot that is gone; qmirrorctl remove takes it away");
	}
	free(dev);
	return 0;
}

/* ---- text ---- */

static void print_mirror(const struct mirror *m)
{
	const struct mirror_status *st = &m->st;
	char a[32], b[32], c[32];

	printf("%s: %s%s%s, %s of %s copied, %s dirty, %s%s%s%s\n",
	       m->dev.name, mstate_name(st->state),
	       st->synced == SYNCED_YES ? ", synced" :
	       st->synced == SYNCED_FINAL ? ", final" : "",
	       m->dev.suspended ? ", suspended" : "",
	       human_size(st->offset << SECTOR_SHIFT, a, sizeof(a)),
	       human_size(st->len << SECTOR_SHIFT, b, sizeof(b)),
	       human_size((st->dirty * m->table.granularity) << SECTOR_SHIFT, c,
			  sizeof(c)),
	       st->copy_mode[0] ? st->copy_mode : m->table.copy_mode,
	       st->ending == END_NONE ? "" : ", asked to ",
	       st->ending == END_NONE ? "" :
	       st->ending == END_COMPLETE ? "complete" : "cancel",
	       st->speed ? ", speed limited" : "");
	printf("  source %s (%llu errors), target %s (%llu errors)\n",
	       m->source, (unsigned long long)st->source_errors, m->target,
	       (unsigned long long)st->target_errors);
	if (strcmp(st->error, "-") != 0)
		printf("  first error %s, io-status %s\n", st->error,
		       st->io_status);
	if (st->orphans)
		printf("  %llu target I/Os were given up and have not ended\n",
		       (unsigned long long)st->orphans);
	if (m->rate >= 0)
		printf("  %s/s%s", human_size((uint64_t)m->rate, a, sizeof(a)),
		       m->eta < 0 ? "\n" : "");
	if (m->rate >= 0 && m->eta >= 0)
		printf(", %.0f s to go\n", m->eta);
}

static void print_snapshot(const struct snapshot *s)
{
	const struct cbw_status *st = &s->st;
	uint64_t size = s->table.cluster_size << SECTOR_SHIFT;
	char a[32], b[32], room[64] = "";

	printf("%s: snapshot %s%s, %llu of %llu clusters copied (%s of %s), %s",
	       s->dev.name, sstate_name(st->state),
	       s->dev.suspended ? ", suspended" : "",
	       (unsigned long long)st->copied, (unsigned long long)st->clusters,
	       human_size(st->copied * size, a, sizeof(a)),
	       human_size(s->sectors << SECTOR_SHIFT, b, sizeof(b)),
	       s->table.on_cbw_error);
	if (s->table.cbw_timeout)
		printf(", a copy may take %llu ms",
		       (unsigned long long)s->table.cbw_timeout);
	if (s->store_room >= 0)
		snprintf(room, sizeof(room), " (%s free)",
			 human_size((uint64_t)s->store_room, a, sizeof(a)));
	printf("\n  view %s%s%s%s, store %s%s\n", s->has_view ?
	       "/dev/mapper/" : "none", s->has_view ? s->view.name : "",
	       s->has_view ? " " : "", s->has_view ?
	       vstate_name(s->view_state) : "", s->store, room);
	if (strcmp(st->error, "-") != 0)
		printf("  first error %s, %llu guest writes failed\n", st->error,
		       (unsigned long long)st->failed_writes);
}

static void print_all(const struct listing *l)
{
	size_t i;

	if (opt.json) {
		json_status(l, opt.watch);
		return;
	}
	for (i = 0; i < l->n; i++)
		print_mirror(&l->m[i]);
	for (i = 0; i < l->sn; i++)
		print_snapshot(&l->s[i]);
	for (i = 0; i < l->on; i++)
		printf("%s: %s%s\n", l->o[i].device,
		       l->o[i].forced ? "" : "orphan: ", l->o[i].what);
	if (!l->n && !l->sn && !l->on && !opt.quiet)
		puts("no mirrors, no snapshots");
	fflush(stdout);
}

static void listing_free(struct listing *l)
{
	free(l->m);
	free(l->s);
	free(l->o);
	memset(l, 0, sizeof(*l));
}

/* What a verb that worked says: the state its mirrors are in now. */
enum xit report_done(char **names, int n)
{
	struct listing l = { .m = xcalloc((size_t)n, sizeof(*l.m)) };
	enum xit x = XIT_OK;
	int i;

	for (i = 0; i < n && x == XIT_OK && (opt.json || !opt.quiet); i++) {
		x = mirror_find(names[i], &l.m[l.n]);
		/* somebody ended it since: nothing to show, nothing wrong */
		if (x == XIT_STATE || x == XIT_NODEV) {
			err_clear();
			x = XIT_OK;
			continue;
		}
		if (x == XIT_OK && !opt.json)
			printf("%s: %s\n", l.m[l.n].dev.name,
			       mstate_name(l.m[l.n].st.state));
		l.n++;
	}
	if (x == XIT_OK && opt.json)
		json_status(&l, false);
	listing_free(&l);
	return x;
}

/* 2026-11-26T21:30:00.123456Z */
void instant_text(int64_t us, char *buf, size_t size)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, size - n, ".%06dZ", (int)(us % 1000000));
}

static void print_created(const struct listing *l)
{
	const struct created *how = l->created;
	char at[64];
	size_t i;

	for (i = 0; i < l->sn; i++) {
		const struct snapshot *s = &l->s[i];

		printf("%s: snapshot %s, view /dev/mapper/%s, store %s, on-cbw-error: %s, consistency: %s\n",
		       s->dev.name, sstate_name(s->st.state), s->view.name,
		       s->store, s->table.on_cbw_error, s->consistency);
	}
	instant_text(how->window.instant_us, at, sizeof(at));
	printf("group: %zu %s, instant %s, frozen for %lld µs\n", l->sn,
	       l->sn == 1 ? "device" : "devices", at,
	       (long long)how->window.frozen_us);
}

/* The snapshots a verb worked on; after create (how) with all it can tell. */
enum xit report_snapshots(char **names, int n, const struct created *how)
{
	struct listing l = { .s = xcalloc((size_t)n, sizeof(*l.s)),
			     .created = how };
	enum xit x = XIT_OK;
	int i;

	for (i = 0; i < n && x == XIT_OK && (opt.json || !opt.quiet); i++) {
		x = snapshot_find(names[i], &l.s[l.sn]);
		/* as above */
		if (x == XIT_STATE || x == XIT_NODEV) {
			err_clear();
			x = XIT_OK;
			continue;
		}
		if (x == XIT_OK && how)
			l.s[l.sn].consistency = how->consistency[i];
		l.sn++;
	}
	if (x == XIT_OK && opt.json)
		json_status(&l, false);
	else if (x == XIT_OK && !opt.quiet && how)
		print_created(&l);
	else if (x == XIT_OK && !opt.quiet)
		print_all(&l);
	listing_free(&l);
	return x;
}

/* ---- the verb ---- */

/* A name is a mirror's or a snapshot's. */
static enum xit gather_one(const char *word, struct listing *l)
{
	struct blk b;
	enum xit x = blk_find(word, "NAME", &b);

	if (x != XIT_OK)
		return x;
	if (b.is_dm && snapshot_read(b.dm.name, &l->s[l->sn]) == 0) {
		l->sn++;
		return XIT_OK;
	}
	x = mirror_find(word, &l->m[l->n]);
	if (x == XIT_OK)
		l->n++;
	else if (x == XIT_STATE)
		snprintf(the_err.desc, sizeof(the_err.desc),
			 "%.200s carries no mirror and no snapshot; `qmirrorctl status` lists those there are",
			 word);
	return x;
}

static enum xit gather(int argc, char **argv, struct listing *l)
{
	enum xit x = XIT_OK;
	int i, r;

	memset(l, 0, sizeof(*l));
	if (argc == 0) {
		r = mirror_list(&l->m, &l->n);
		if (!r)
			r = snapshot_list(&l->s, &l->sn);
		if (!r)
			r = orphan_list(&l->o, &l->on);
		if (r)
			return err_set(XIT_FAIL, ST_LOOKUP, r, NULL,
				       "device-mapper: %s", strerror(-r));
		return XIT_OK;
	}
	l->m = xcalloc((size_t)argc, sizeof(*l->m));
	l->s = xcalloc((size_t)argc, sizeof(*l->s));
	for (i = 0; i < argc && x == XIT_OK; i++)
		x = gather_one(argv[i], l);
	return x;
}

/* A job that is gone has no rate to leave to the next one of its name. */
static void forget_gone(const struct mirror *m, size_t n, struct progress *p,
			size_t pn, char (*names)[NAME_LEN])
{
	size_t i, k;

	for (k = 0; k < pn; k++) {
		for (i = 0; i < n; i++)
			if (strcmp(names[k], m[i].dev.name) == 0)
				break;
		if (i == n)
			p[k] = (struct progress){ .rate = -1 };
	}
}

static void rates(struct mirror *m, size_t n, struct progress **p, size_t *pn,
		  char (**names)[NAME_LEN])
{
	size_t i, k;

	forget_gone(m, n, *p, *pn, *names);
	for (i = 0; i < n; i++) {
		for (k = 0; k < *pn; k++)
			if (strcmp((*names)[k], m[i].dev.name) == 0)
				break;
		if (k == *pn) {
			*p = reallocarray(*p, k + 1, sizeof(**p));
			*names = reallocarray(*names, k + 1, NAME_LEN);
			if (!*p || !*names)
				abort();
			memset(*p + k, 0, sizeof(**p));
			(*p)[k].rate = -1;
			strcpy((*names)[k], m[i].dev.name);
			(*pn)++;
		}
		rate_update(*p + k, &m[i]);
	}
}

static enum xit watch(int argc, char **argv)
{
	int64_t until = deadline_ms(opt.timeout_ms);
	struct progress *p = NULL;
	char (*names)[NAME_LEN] = NULL;
	size_t pn = 0, some;
	int fd = dmpoll_open();
	enum xit x = XIT_OK;
	struct listing l;

	if (fd < 0)
		return err_set(XIT_FAIL, ST_NONE, fd, NULL,
			       "/dev/mapper/control: %s", strerror(-fd));
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };

		if (dmpoll_arm(fd))
			break;
		x = gather(argc, argv, &l);
		if (x == XIT_OK) {
			rates(l.m, l.n, &p, &pn, &names);
			print_all(&l);
		}
		some = l.n + l.sn;
		listing_free(&l);
		if (x != XIT_OK || now_ms() >= until || ferror(stdout))
			break;
		/* something to see each second only while something runs */
		poll(&pfd, 1, some || until != INT64_MAX ? TICK_MS : -1);
	}
	free(p);
	free(names);
	close(fd);
	return x;
}

enum xit cmd_status(int argc, char **argv)
{
	struct listing l;
	enum xit x;

	if (opt.watch)
		return watch(argc, argv);
	x = gather(argc, argv, &l);
	if (x == XIT_OK)
		print_all(&l);
	listing_free(&l);
	return x;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * status: what there is, and what a dead run left. It only reads: no lock, and
 * nothing is recovered.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define TICK_MS	1000

/* ---- leftovers ---- */

/* While a run is at work, what it has not finished is no leftover. */
static bool run_at_work(void)
{
	char *path = xasprintf("%s/lock", run_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool busy;

	free(path);
	if (fd < 0)
		return false;
	busy = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return busy;
}

static void orphan_add(struct orphan **list, size_t *n, const char *dev,
		       const char *what)
{
	struct orphan *o = reallocarray(*list, *n + 1, sizeof(*o));

	if (!o)
		abort();
	*list = o;
	o += (*n)++;
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
	for (i = 0; i < nd; i++)
		if (strncmp(dev[i].uuid, UUID_SRC, strlen(UUID_SRC)) == 0 &&
		    dev[i].open_count == 0)
			orphan_add(list, n, dev[i].name,
				   "the source of a mirror that is gone; qmirrorctl remove takes it away");
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

static void print_all(const struct mirror *m, size_t n, const struct orphan *o,
		      size_t on)
{
	size_t i;

	if (opt.json) {
		json_status(m, n, o, on, opt.watch);
		return;
	}
	for (i = 0; i < n; i++)
		print_mirror(&m[i]);
	for (i = 0; i < on; i++)
		printf("%s: orphan: %s\n", o[i].device, o[i].what);
	if (!n && !on && !opt.quiet)
		puts("no mirrors");
	fflush(stdout);
}

/* What a verb that worked says: the state its mirrors are in now. */
enum xit report_done(char **names, int n)
{
	struct mirror *m = xcalloc((size_t)n, sizeof(*m));
	enum xit x = XIT_OK;
	size_t got = 0;
	int i;

	for (i = 0; i < n && x == XIT_OK && (opt.json || !opt.quiet); i++) {
		x = mirror_find(names[i], &m[got]);
		/* somebody ended it since: nothing to show, nothing wrong */
		if (x == XIT_STATE || x == XIT_NODEV) {
			err_clear();
			x = XIT_OK;
			continue;
		}
		if (x == XIT_OK && !opt.json)
			printf("%s: %s\n", m[got].dev.name,
			       mstate_name(m[got].st.state));
		got++;
	}
	if (x == XIT_OK && opt.json)
		json_status(m, got, NULL, 0, false);
	free(m);
	return x;
}

/* ---- the verb ---- */

static enum xit gather(int argc, char **argv, struct mirror **m, size_t *n,
		       struct orphan **o, size_t *on)
{
	enum xit x = XIT_OK;
	int i, r;

	*o = NULL;
	*on = 0;
	if (argc == 0) {
		r = mirror_list(m, n);
		if (!r)
			r = orphan_list(o, on);
		if (r)
			return err_set(XIT_FAIL, ST_LOOKUP, r, NULL,
				       "device-mapper: %s", strerror(-r));
		return XIT_OK;
	}
	*m = xcalloc((size_t)argc, sizeof(**m));
	*n = 0;
	for (i = 0; i < argc && x == XIT_OK; i++) {
		x = mirror_find(argv[i], *m + *n);
		(*n)++;
	}
	return x;
}

static void rates(struct mirror *m, size_t n, struct progress **p, size_t *pn,
		  char (**names)[NAME_LEN])
{
	size_t i, k;

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
	size_t pn = 0, n, on;
	int fd = dmpoll_open();
	enum xit x = XIT_OK;
	struct orphan *o;
	struct mirror *m;

	if (fd < 0)
		return err_set(XIT_FAIL, ST_NONE, fd, NULL,
			       "/dev/mapper/control: %s", strerror(-fd));
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };

		if (dmpoll_arm(fd))
			break;
		x = gather(argc, argv, &m, &n, &o, &on);
		if (x == XIT_OK) {
			rates(m, n, &p, &pn, &names);
			print_all(m, n, o, on);
		}
		free(m);
		free(o);
		if (x != XIT_OK || now_ms() >= until || ferror(stdout))
			break;
		/* something to see each second only while something runs */
		poll(&pfd, 1, n || until != INT64_MAX ? TICK_MS : -1);
	}
	free(p);
	free(names);
	close(fd);
	return x;
}

enum xit cmd_status(int argc, char **argv)
{
	struct mirror *m = NULL;
	struct orphan *o = NULL;
	size_t n, on;
	enum xit x;

	if (opt.watch)
		return watch(argc, argv);
	x = gather(argc, argv, &m, &n, &o, &on);
	if (x == XIT_OK)
		print_all(m, n, o, on);
	free(m);
	free(o);
	return x;
}

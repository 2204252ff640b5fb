// SPDX-License-Identifier: GPL-2.0
/*
 * snapshot remove, and with the same steps the way back of a snapshot create
 * that did not get through: the view goes, the snapshot is dropped, NAME gets
 * its old table back, NAME-qsrc goes. A store that is a file goes with its last
 * user; of a disk only the signatures that were copied to it are wiped.
 *
 * The removal of the view is the point of no return. It fails when somebody
 * has it open, and then nothing has been changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* The cbw that a slid device has, on whatever it stands. */
void slid_line(struct dmtable *t, uint64_t sectors)
{
	char any[] = { TABLE_DEV, ' ', TABLE_DEV, ' ', TABLE_STORE, ' ',
		       TABLE_STORE, '\0' };

	dmtable_add(t, 0, sectors, "cbw", any);
}

/* From a cbw to the old table, with NAME suspended for the swap. */
static void plan_back(struct plan *p, const struct jmember *m)
{
	struct dmtable ours = { 0 };

	plan_add(p, OP_MESSAGE, m->name, "disarm");
	plan_load(p, m->name, &m->old, m->read_only);
	slid_line(&ours, dmtable_len(&m->old));
	plan_suspend(p, m->name, &ours, &m->old);
	dmtable_free(&ours);
	plan_add(p, OP_RESUME, m->name, NULL);
	if (m->src[0])
		plan_add(p, OP_REMOVE, m->src, NULL);
}

static void jmember_copy(struct jmember *to, const struct jmember *from)
{
	*to = *from;
	dmtable_copy(&to->old, &from->old);
	memset(&to->dirty, 0, sizeof(to->dirty));
}

static void plan_journal(struct plan *p, const struct jmember *m)
{
	p->suspend_ms = SNAPSHOT_MS;
	p->j.verb = JV_UNSNAPSHOT;
	strcpy(p->j.what, "snapshot remove");
	p->j.pid = (int)getpid();
	p->j.n = 1;
	p->j.m = xcalloc(1, sizeof(*p->j.m));
	jmember_copy(p->j.m, m);
}

static bool is_ours(const char *name, const char *uuid, struct dmdev *d)
{
	return name[0] && dm_get(name, d) == 0 && strcmp(d->uuid, uuid) == 0;
}

/* NAME is the device of the journal, and its cbw stands on our NAME-qsrc. */
static bool still_slid(const struct jmember *m)
{
	struct snapshot s;
	struct dmdev src;

	return snapshot_read(m->name, &s) == 0 && s.dev.major == m->major &&
	       s.dev.minor == m->minor &&
	       (!m->src[0] || (snapshot_src(&s, &src) &&
			       strcmp(src.uuid, m->src_uuid) == 0));
}

/*
 * Takes a member back from wherever it is: for a journal, whose run has been
 * seen to by group_rescue(). Done twice it does nothing.
 */
enum xit unsnapshot(const struct jmember *m)
{
	struct plan p = { 0 };
	struct dmdev d;
	enum xit x;

	if (is_ours(m->view, m->view_uuid, &d))
		plan_add(&p, OP_REMOVE, m->view, NULL);
	if (still_slid(m))
		plan_back(&p, m);
	else if (is_ours(m->src, m->src_uuid, &d))
		plan_add(&p, OP_REMOVE, m->src, NULL);
	plan_journal(&p, m);
	x = plan_steps(&p, WATCHDOG_NONE);
	plan_free(&p);
	return x;
}

/*
 * Had the dead `snapshot remove` begun? Then it is finished: without its view
 * a snapshot is of no use.
 */
bool unsnapshot_begun(const struct jmember *m)
{
	struct snapshot s;
	struct dmdev d;

	if (m->view[0])
		return !is_ours(m->view, m->view_uuid, &d);
	return snapshot_read(m->name, &s) != 0 || s.st.state == SS_IDLE;
}

/* ---- the verb ---- */

static enum xit find_old(const struct snapshot *s, struct jmember *m)
{
	struct dmdev src;
	char *params;
	int r;

	if (!snapshot_src(s, &src)) {
		/* made by hand over something: that is what NAME goes back to */
		params = xasprintf("%s %llu", s->table.source,
				   (unsigned long long)s->table.source_offset);
		dmtable_add(&m->old, 0, s->sectors, "linear", params);
		free(params);
		return XIT_OK;
	}
	strcpy(m->src, src.name);
	strcpy(m->src_uuid, src.uuid);
	r = dm_table(src.name, false, &m->old);
	if (r)
		return err_set(XIT_FAIL, ST_LOOKUP, r, src.name,
			       "%s: its table cannot be read: %s", src.name,
			       strerror(-r));
	return XIT_OK;
}

static enum xit check_remove(const struct snapshot *s)
{
	const struct dmdev *d = &s->dev;

	if (d->suspended)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s is suspended; resume it first (dmsetup resume %s)",
			       d->name, d->name);
	if (d->inactive)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s has an inactive table: somebody is about to change it (dmsetup clear %s drops it)",
			       d->name, d->name);
	if (s->has_view && s->view.open_count > 0)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s is in use (%s): close or unmount it first; nothing was changed",
			       s->view.name, d->name);
	return XIT_OK;
}

static enum xit find_it(const char *word, struct jmember *m, char *store)
{
	struct snapshot s;
	enum xit x = snapshot_find(word, &s);

	if (x == XIT_OK)
		x = check_remove(&s);
	if (x != XIT_OK)
		return x;
	strcpy(store, s.table.store);
	strcpy(m->name, s.dev.name);
	m->major = s.dev.major;
	m->minor = s.dev.minor;
	m->read_only = s.dev.read_only;
	if (s.has_view) {
		strcpy(m->view, s.view.name);
		strcpy(m->view_uuid, s.view.uuid);
	}
	return find_old(&s, m);
}

static enum xit remove_one(const char *word)
{
	enum xit x = opt.dry_run ? XIT_OK : lock_take("snapshot remove", true);
	char store[sizeof(((struct cbw_table *)0)->store)];
	struct jmember m = { 0 };
	struct plan p = { 0 };
	bool wipe = false;

	if (x == XIT_OK)
		x = find_it(word, &m, store);
	if (x == XIT_OK) {
		/* one that was made by hand is its maker's */
		wipe = m.src[0] && !store_goes(store);
		plan_journal(&p, &m);
		if (m.view[0])
			plan_add(&p, OP_REMOVE_UNUSED, m.view, NULL);
		plan_back(&p, &m);
		if (opt.dry_run)
			plan_print(&p);
		else
			x = plan_run(&p);
		if (x == XIT_OK && !opt.dry_run && wipe)
			store_wipe(store);
	}
	lock_release();
	if (x == XIT_OK && !opt.dry_run && !opt.json && !opt.quiet)
		printf("%s: snapshot removed, back on its old table\n", m.name);
	plan_free(&p);
	dmtable_free(&m.old);
	return x;
}

/* All names first: a typo, or a view that is open, changes nothing. */
static enum xit look_up(int argc, char **argv)
{
	char store[sizeof(((struct cbw_table *)0)->store)];
	struct jmember *m = xcalloc((size_t)argc, sizeof(*m));
	enum xit x = XIT_OK;
	int i, k;

	for (i = 0; i < argc && x == XIT_OK; i++) {
		x = find_it(argv[i], &m[i], store);
		for (k = 0; k < i && x == XIT_OK; k++)
			if (strcmp(m[k].name, m[i].name) == 0)
				x = err_set(XIT_BUSY, ST_CHECK, EBUSY, argv[i],
					    "%s is named twice", argv[i]);
	}
	for (i = 0; i < argc; i++)
		dmtable_free(&m[i].old);
	free(m);
	return x;
}

enum xit cmd_snapshot_remove(int argc, char **argv)
{
	enum xit x = look_up(argc, argv);
	int i;

	for (i = 0; i < argc && x == XIT_OK; i++)
		x = remove_one(argv[i]);
	if (x != XIT_OK || opt.dry_run)
		return x;
	return opt.json ? report_done(NULL, 0) : XIT_OK;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * mirror complete and mirror cancel: ask the target to end, wait until it is
 * pending, load what comes next, and swap with everything suspended if, and
 * only if, the target says `final`. All of it for N devices at once, though
 * without --group N is 1 each time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qmirrorctl.h"

struct end {
	struct mirror m;
	bool has_src;
	struct dmdev src;
	struct dmtable old;		/* what was there before the mirror */
	char top[NAME_LEN];		/* --replaces, "": none */
	struct dmdev top_dev;
	bool need_final;
	char old_source[256];		/* for the closing words */
};

struct ending_verb {
	bool complete;
	const char *what;
};

static const struct ending_verb completing = { true, "mirror complete" };
static const struct ending_verb cancelling = { false, "mirror cancel" };

/* ---- what is there ---- */

static int name_leg(unsigned int maj, unsigned int min, void *arg)
{
	char *buf = arg, label[NAME_LEN];
	size_t n = strlen(buf);

	blk_label(maj, min, label, sizeof(label));
	snprintf(buf + n, 256 - n, "%s%s", n ? ", " : "", label);
	return 0;
}

static enum xit find_old(struct end *e)
{
	char *params;
	int r;

	e->has_src = mirror_src(&e->m, &e->src);
	if (!e->has_src) {
		params = xasprintf("%s %llu", e->m.table.source,
				   (unsigned long long)e->m.table.source_offset);
		dmtable_add(&e->old, 0, e->m.sectors, "linear", params);
		free(params);
		snprintf(e->old_source, sizeof(e->old_source), "%s",
			 e->m.source);
		return XIT_OK;
	}
	sysfs_each(e->src.major, e->src.minor, "slaves", name_leg,
		   e->old_source);
	r = dm_table(e->src.name, false, &e->old);
	if (r)
		return err_set(XIT_FAIL, ST_LOOKUP, r, e->src.name,
			       "%s: its table cannot be read: %s",
			       e->src.name, strerror(-r));
	return XIT_OK;
}

/*
 * Whether there was a --replaces must be known: to forget one would move NAME
 * itself. The file goes by NAME-qsrc's uuid, which survives a renaming.
 */
static enum xit find_top(struct end *e)
{
	struct job_file f;
	int r;

	if (!e->has_src)
		return XIT_OK;
	r = job_file_read(e->src.uuid, &f);
	if (r == -ENOENT)
		return XIT_OK;
	if (r)
		return err_set(XIT_FAIL, ST_LOOKUP, r, e->m.dev.name,
			       "%s: %s/job.%s, which says what it replaces, cannot be read: %s; nothing was changed",
			       e->m.dev.name, run_dir, e->src.uuid,
			       strerror(-r));
	strcpy(e->top, f.replaces);
	return XIT_OK;
}

static enum xit find_end(const char *word, struct end *e)
{
	enum xit x = mirror_find(word, &e->m);

	if (x == XIT_OK)
		x = find_old(e);
	if (x == XIT_OK)
		x = find_top(e);
	return x;
}

static void end_free(struct end *e, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		dmtable_free(&e[i].old);
	free(e);
}

/* ---- may it end? ---- */

static enum xit check_manager(const char *name, const char *uuid)
{
	const char *who = other_manager(uuid);

	if (!who || opt.force)
		return XIT_OK;
	return err_set(XIT_BUSY, ST_CHECK, EPERM, name,
		       "%s belongs to %s, whose metadata still names the old disk; the next %s command or reboot would bring the old data back. Use --replaces, or cancel and exchange the volumes (lvm.rst), or --force",
		       name, who, who);
}

static bool top_is_over(const struct end *e)
{
	unsigned int a, b;
	unsigned long long off;
	struct dmtable t;
	bool over;

	if (dm_table(e->top, false, &t))
		return false;
	over = t.n == 1 && strcmp(t.line[0].type, "linear") == 0 &&
	       sscanf(t.line[0].params, "%u:%u %llu", &a, &b, &off) == 3 &&
	       a == e->m.dev.major && b == e->m.dev.minor && off == 0 &&
	       t.line[0].len == e->m.sectors;
	dmtable_free(&t);
	return over;
}

/*
 * Asked when the job is pending and DEV has not been given a table yet; the
 * same is asked once more with both suspended.
 */
static enum xit check_top_alone(const struct end *e)
{
	if (!top_is_over(e))
		return err_set(XIT_BUSY, ST_CHECK, EPERM, e->top,
			       "%s can no longer be replaced: its table is not one linear line over all of %s; nothing was swapped and the job stays pending",
			       e->top, e->m.dev.name);
	if (e->m.dev.open_count != 1)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, e->m.dev.name,
			       "%s: can no longer be replaced: %s is no longer its only user; nothing was swapped and the job stays pending",
			       e->m.dev.name, e->top);
	return XIT_OK;
}

static enum xit check_top(struct end *e)
{
	struct dmdev *d = &e->top_dev;
	int r = dm_get(e->top, d);

	if (r == -ENXIO)
		return err_set(XIT_NODEV, ST_LOOKUP, ENODEV, e->top,
			       "%s, which is to be replaced, is gone", e->top);
	if (r)
		return err_set(XIT_FAIL, ST_LOOKUP, -r, e->top,
			       "%s, which is to be replaced, cannot be looked up: %s",
			       e->top, strerror(-r));
	if (d->suspended || d->inactive)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, e->top,
			       "%s, which is to be replaced, is suspended or has an inactive table",
			       e->top);
	return check_manager(e->top, d->uuid);
}

static enum xit check_quiet(const struct dmdev *d)
{
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

static enum xit job_ended(const struct end *e)
{
	bool err = strcmp(e->m.st.error, "-") != 0;

	return err_set(err ? XIT_JOB : XIT_STATE, ST_CHECK, err ? EIO : EBUSY,
		       e->m.dev.name,
		       "%s: the job ended (%s); type next: qmirrorctl mirror cancel %s",
		       e->m.dev.name, err ? e->m.st.error : "cancelled",
		       e->m.dev.name);
}

/*
 * An advice that ends in a blank is a command for e. Why it is in that state
 * is only known to be the error where it has stopped.
 */
static enum xit state_error(const struct end *e, const char *advice)
{
	const struct mirror_status *st = &e->m.st;
	bool command = advice[strlen(advice) - 1] == ' ';
	bool err = (st->state == MS_PAUSED || st->state == MS_STANDBY) &&
		   strcmp(st->error, "-") != 0;

	return err_set(XIT_STATE, ST_CHECK, EBUSY, e->m.dev.name,
		       "%s is %s%s%s%s%s; %s%s", e->m.dev.name,
		       mstate_name(st->state),
		       st->ending == END_CANCEL ? ", being cancelled" : "",
		       err ? " (" : "", err ? st->error : "", err ? ")" : "",
		       advice, command ? e->m.dev.name : "");
}

static enum xit check_complete_state(const struct end *e)
{
	switch (e->m.st.state) {
	case MS_READY:
	case MS_PENDING:
		return e->m.st.ending == END_CANCEL ?
			state_error(e, "finish that with `mirror cancel`") :
			XIT_OK;
	case MS_RUNNING:
		return opt.wait ? XIT_OK :
			state_error(e, "not ready yet: wait for it, or use --wait");
	case MS_PAUSED:
	case MS_STANDBY:
		return state_error(e, "type next: qmirrorctl mirror resume ");
	default:
		return job_ended(e);
	}
}

static enum xit check_complete(struct end *e)
{
	enum xit x = check_quiet(&e->m.dev);

	if (x == XIT_OK)
		x = e->top[0] ? check_top(e) :
		    check_manager(e->m.dev.name, e->m.dev.uuid);
	if (x != XIT_OK)
		return x;
	if (!opt.force && strcmp(e->m.table.sync, "full") != 0)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, e->m.dev.name,
			       "%s was started with sync %s: the target has only what that copied; --force completes onto it all the same",
			       e->m.dev.name, e->m.table.sync);
	return check_complete_state(e);
}

static enum xit check_cancel(struct end *e)
{
	enum xit x = check_quiet(&e->m.dev);

	if (x != XIT_OK || opt.force)
		return x;
	if (e->m.st.state == MS_PAUSED || e->m.st.state == MS_STANDBY)
		return state_error(e, "resume it first, or use --force");
	return XIT_OK;
}

/*
 * A member that stands on another could not be flushed with that one suspended:
 * all of them would be frozen until the suspend is given up.
 */
static enum xit check_apart(const struct end *up, const struct end *low)
{
	const struct dmdev *l = &low->m.dev;
	unsigned int maj = 0, min = 0;
	bool on;

	if (strcmp(up->m.dev.name, l->name) == 0)
		return XIT_OK;	/* "named twice" says it better */
	on = blk_is_on(up->m.dev.major, up->m.dev.minor, l->major, l->minor);
	if (!on && sscanf(up->m.table.target, "%u:%u", &maj, &min) == 2)
		on = blk_is_on(maj, min, l->major, l->minor);
	if (!on && up->top[0])
		on = blk_is_on(up->top_dev.major, up->top_dev.minor, l->major,
			       l->minor);
	if (!on)
		return XIT_OK;
	return err_set(XIT_BUSY, ST_CHECK, EBUSY, up->m.dev.name,
		       "%s is stacked on %s: they cannot be one group; nothing was changed",
		       up->m.dev.name, l->name);
}

/* The i-th of them: may it end, and is it named once? */
static enum xit find_one(char **argv, struct end *e, int i,
			 const struct ending_verb *v)
{
	enum xit x = find_end(argv[i], &e[i]);
	int k;

	for (k = 0; k < i && x == XIT_OK; k++)
		if (strcmp(e[k].m.dev.name, e[i].m.dev.name) == 0)
			x = err_set(XIT_BUSY, ST_CHECK, EBUSY, argv[i],
				    "%s is named twice", argv[i]);
	if (x == XIT_OK)
		x = v->complete ? check_complete(&e[i]) : check_cancel(&e[i]);
	return x;
}

static enum xit find_all(int argc, char **argv, struct end *e,
			 const struct ending_verb *v)
{
	enum xit x = XIT_OK;
	int i, k;

	for (i = 0; i < argc && x == XIT_OK; i++) {
		x = find_one(argv, e, i, v);
		for (k = 0; k < i && x == XIT_OK; k++) {
			x = check_apart(&e[i], &e[k]);
			if (x == XIT_OK)
				x = check_apart(&e[k], &e[i]);
		}
	}
	return x;
}

/* ---- asking ---- */

/* The message that asks for the end in this state; NULL: nothing to ask. */
static const char *request(const struct end *e, const struct ending_verb *v)
{
	const struct mirror_status *st = &e->m.st;

	if (st->state == MS_CONCLUDED || st->state == MS_ABORTING)
		return NULL;
	if (v->complete)
		return st->ending == END_COMPLETE ? NULL : "complete";
	if (opt.force)
		return "cancel force";
	return st->ending == END_CANCEL ? NULL : "cancel";
}

static enum xit ask(struct end *e, size_t n, const struct ending_verb *v)
{
	enum xit x = XIT_OK;
	const char *msg;
	size_t i;

	for (i = 0; i < n && x == XIT_OK; i++) {
		msg = request(&e[i], v);
		if (msg)
			x = mirror_message(&e[i].m, msg);
		if (x == XIT_OK)
			x = mirror_refresh(&e[i].m);
	}
	return x;
}

/*
 * A job that ended at once (cancel before ready, cancel force) promises
 * nothing about the target and needs no `final`. All others must get there.
 */
static enum xit wait_pending(struct end *e, size_t n)
{
	enum xit x = XIT_OK;
	size_t i;

	for (i = 0; i < n && x == XIT_OK; i++) {
		enum mstate s = e[i].m.st.state;

		e[i].need_final = s != MS_CONCLUDED && s != MS_ABORTING;
		if (!e[i].need_final)
			continue;
		x = wait_for(&e[i].m, 1, GOAL_PENDING, true);
	}
	return x;
}

/* ---- the plan ---- */

static void target_line(const struct end *e, struct dmtable *t)
{
	char *params = xasprintf("%s %llu", e->m.table.target,
				 (unsigned long long)e->m.table.target_offset);

	dmtable_add(t, 0, e->m.sectors, "linear", params);
	free(params);
}

/* What NAME has now, as far as it may not change. */
static void live_line(const struct end *e, struct dmtable *t)
{
	char *params = xasprintf("%s %llu %s %llu", e->m.table.source,
				 (unsigned long long)e->m.table.source_offset,
				 e->m.table.target,
				 (unsigned long long)e->m.table.target_offset);

	dmtable_add(t, 0, e->m.sectors, "qmirror", params);
	free(params);
}

/* Both have to be what they were, and to get what plan_loads() gave them. */
static void plan_suspends(const struct end *e, const struct ending_verb *v,
			  struct plan *p)
{
	struct dmtable target = { 0 }, mirror = { 0 }, over = { 0 };
	char *params;

	target_line(e, &target);
	live_line(e, &mirror);
	if (v->complete && e->top[0]) {
		params = xasprintf("%u:%u 0", e->m.dev.major, e->m.dev.minor);
		dmtable_add(&over, 0, e->m.sectors, "linear", params);
		free(params);
		plan_suspend(p, e->top, &over, &target);
	}
	plan_suspend(p, e->m.dev.name, &mirror,
		     v->complete && !e->top[0] ? &target : &e->old);
	dmtable_free(&target);
	dmtable_free(&mirror);
	dmtable_free(&over);
}

static void plan_loads(const struct end *e, const struct ending_verb *v,
		       struct plan *p)
{
	struct dmtable t = { 0 };

	target_line(e, &t);
	if (!v->complete)
		plan_load(p, e->m.dev.name, &e->old, e->m.dev.read_only);
	else if (!e->top[0])
		plan_load(p, e->m.dev.name, &t, e->m.dev.read_only);
	else {
		plan_load(p, e->top, &t, e->top_dev.read_only);
		plan_load(p, e->m.dev.name, &e->old, e->m.dev.read_only);
	}
	dmtable_free(&t);
}

/* Upper devices are suspended first and resumed last but for the swap: what
 * is swapped first is the point of no return.
 */
static void plan_swap(const struct end *e, size_t n,
		      const struct ending_verb *v, struct plan *p)
{
	size_t i;

	for (i = 0; i < n; i++)
		plan_suspends(&e[i], v, p);
	for (i = 0; i < n; i++) {
		if (e[i].need_final)
			plan_add(p, OP_CHECK_FINAL, e[i].m.dev.name, NULL);
		if (v->complete && e[i].top[0])
			plan_add(p, OP_CHECK_ALONE, e[i].m.dev.name,
				 e[i].top);
	}
	for (i = 0; i < n; i++) {
		if (v->complete && e[i].top[0])
			plan_add(p, OP_RESUME, e[i].top, NULL);
		plan_add(p, OP_RESUME, e[i].m.dev.name, NULL);
	}
	for (i = 0; i < n; i++)
		if (e[i].has_src)
			plan_add(p, OP_REMOVE, e[i].src.name, NULL);
}

/* What tells DEV swapped from DEV changed by somebody else, and NAME's way on. */
static void journal_top(const struct end *e, struct jmember *m)
{
	strcpy(m->top, e->top);
	m->top_major = e->top_dev.major;
	m->top_minor = e->top_dev.minor;
	snprintf(m->top_to, sizeof(m->top_to), "%s %llu", e->m.table.target,
		 (unsigned long long)e->m.table.target_offset);
	dmtable_copy(&m->old, &e->old);
	m->read_only = e->m.dev.read_only;
}

static void plan_journal(const struct end *e, size_t n,
			 const struct ending_verb *v, struct journal *j)
{
	size_t i;

	j->verb = JV_END;
	strcpy(j->what, v->what);
	j->pid = (int)getpid();
	j->n = n;
	j->m = xcalloc(n, sizeof(*j->m));
	for (i = 0; i < n; i++) {
		struct jmember *m = &j->m[i];

		strcpy(m->name, e[i].m.dev.name);
		m->major = e[i].m.dev.major;
		m->minor = e[i].m.dev.minor;
		m->need_final = e[i].need_final;
		m->length = e[i].m.sectors;
		if (e[i].has_src) {
			strcpy(m->src, e[i].src.name);
			strcpy(m->src_uuid, e[i].src.uuid);
		}
		if (v->complete && e[i].top[0])
			journal_top(&e[i], m);
	}
}

static void make_plan(const struct end *e, size_t n,
		      const struct ending_verb *v, struct plan *p)
{
	size_t i;

	for (i = 0; i < n; i++)
		plan_loads(&e[i], v, p);
	plan_swap(e, n, v, p);
	plan_journal(e, n, v, &p->j);
}

static enum xit print_plan(struct end *e, size_t n,
			   const struct ending_verb *v)
{
	struct plan p = { 0 };
	size_t i;

	for (i = 0; i < n; i++) {
		const char *msg = request(&e[i], v);
		enum mstate s = e[i].m.st.state;

		if (v->complete && s == MS_RUNNING)
			plan_add(&p, OP_WAIT, e[i].m.dev.name, "ready");
		if (msg)
			plan_add(&p, OP_MESSAGE, e[i].m.dev.name, msg);
		e[i].need_final = v->complete ||
				  (!opt.force && (s == MS_READY ||
						  s == MS_PENDING));
		if (e[i].need_final)
			plan_add(&p, OP_WAIT, e[i].m.dev.name, "pending");
	}
	make_plan(e, n, v, &p);
	plan_print(&p);
	plan_free(&p);
	return XIT_OK;
}

/* ---- doing it ---- */

/*
 * Everything was looked up before waits that may last for hours, without the
 * lock. All of it is looked up again, and must be the same job.
 */
static enum xit same_job(struct end *e, const struct ending_verb *v)
{
	struct end now = { .need_final = e->need_final };
	enum xit x = find_end(e->m.dev.name, &now);
	bool same;

	if (x == XIT_OK)
		x = check_quiet(&now.m.dev);
	if (x != XIT_OK) {
		dmtable_free(&now.old);
		return x;
	}
	same = now.m.dev.major == e->m.dev.major &&
	       now.m.dev.minor == e->m.dev.minor &&
	       strcmp(now.m.dev.uuid, e->m.dev.uuid) == 0 &&
	       now.has_src == e->has_src &&
	       strcmp(now.src.uuid, e->src.uuid) == 0 &&
	       strcmp(now.m.table.source, e->m.table.source) == 0 &&
	       strcmp(now.m.table.target, e->m.table.target) == 0 &&
	       now.m.table.source_offset == e->m.table.source_offset &&
	       now.m.table.target_offset == e->m.table.target_offset &&
	       strcmp(now.m.table.sync, e->m.table.sync) == 0 &&
	       strcmp(now.top, e->top) == 0 && now.m.sectors == e->m.sectors;
	dmtable_free(&e->old);
	*e = now;
	if (!same)
		return state_error(e, "another job than the one that was to end; nothing was swapped");
	if (!v->complete)
		return XIT_OK;
	x = e->top[0] ? check_top(e) :
			check_manager(e->m.dev.name, e->m.dev.uuid);
	return x == XIT_OK && e->top[0] ? check_top_alone(e) : x;
}

static enum xit still_ours(struct end *e, size_t n, const struct ending_verb *v)
{
	enum ending want = v->complete ? END_COMPLETE : END_CANCEL;
	enum xit x = XIT_OK;
	size_t i;
	bool right;

	for (i = 0; i < n && x == XIT_OK; i++) {
		const struct mirror_status *st = &e[i].m.st;

		x = same_job(&e[i], v);
		if (x != XIT_OK)
			break;
		right = e[i].need_final ?
			st->state == MS_PENDING && st->ending == want :
			st->state == MS_CONCLUDED || st->state == MS_ABORTING;
		if (!right)
			x = state_error(&e[i], "it has been changed meanwhile; try again");
	}
	return x;
}

/* The device that is put on the target. */
static const char *moved_uuid(const struct end *e)
{
	return e->top[0] ? e->top_dev.uuid : e->m.dev.uuid;
}

/* Status tells of it as long as another manager's device is not where that thinks. */
static void note_forced(const struct end *e)
{
	const char *uuid = moved_uuid(e);

	if (!other_manager(uuid) ||
	    forced_note(uuid, e->m.table.target) == XIT_OK)
		return;
	note("%s: status will not know of the switch: %s cannot be written to: %s",
	     e->m.dev.name, run_dir, strerror(the_err.eno));
	err_clear();
}

static void settle_forced(const struct end *e, bool swapped)
{
	struct mirror now;

	/* neither swapped nor a mirror: who recovers it will know */
	if (other_manager(moved_uuid(e)) &&
	    (swapped || mirror_read(e->m.dev.name, &now) == 0))
		forced_settle(moved_uuid(e), swapped);
}

static enum xit swap(struct end *e, size_t n, const struct ending_verb *v)
{
	struct plan p = { 0 };
	enum xit x;
	size_t i;

	make_plan(e, n, v, &p);
	for (i = 0; i < n && v->complete; i++)
		note_forced(&e[i]);
	x = plan_run(&p);
	plan_free(&p);
	for (i = 0; i < n && x == XIT_OK; i++)
		if (e[i].has_src)
			job_file_drop(e[i].src.uuid);
	for (i = 0; i < n && v->complete; i++)
		settle_forced(&e[i], x == XIT_OK);
	return x;
}

/* --force has moved another manager's device: the user has to keep it there. */
static void tell_forced(const struct end *e, const char *name)
{
	const char *who = other_manager(moved_uuid(e));

	if (who)
		note("%s was moved by force: %s's metadata still names the old disk, and what makes %s load the table brings back the data of this moment, also under a mounted file system; see lvm.rst",
		     name, who, who);
}

static void closing_words(const struct end *e, size_t n,
			  const struct ending_verb *v)
{
	size_t i;

	for (i = 0; i < n && v->complete; i++)
		tell_forced(&e[i], e[i].top[0] ? e[i].top : e[i].m.dev.name);
	if (opt.json || opt.quiet)
		return;
	for (i = 0; i < n; i++) {
		const char *name = e[i].top[0] && v->complete ? e[i].top :
				   e[i].m.dev.name;

		if (!v->complete)
			printf("%s: cancelled, back on its old table\n", name);
		else
			printf("%s: completed, now on %s; the old source (%s) still carries the same signatures: wipe or detach it before anything scans it\n",
			       name, e[i].m.target, e[i].old_source);
	}
}

/*
 * A wish to complete with everything suspended found the device used by
 * others: the request stands, and may be tried again.
 */
static enum xit end_these(struct end *e, size_t n, const struct ending_verb *v)
{
	enum xit x = ask(e, n, v);

	lock_release();
	if (x == XIT_OK)
		x = wait_pending(e, n);
	if (x == XIT_OK)
		x = lock_take(v->what, true);
	if (x == XIT_OK)
		x = still_ours(e, n, v);
	if (x == XIT_OK)
		x = swap(e, n, v);
	if (x == XIT_OK)
		closing_words(e, n, v);
	return x;
}

static enum xit wait_ready(struct end *e, size_t n)
{
	enum xit x = XIT_OK;
	size_t i;

	for (i = 0; i < n && x == XIT_OK; i++)
		if (e[i].m.st.state == MS_RUNNING)
			x = wait_for(&e[i].m, 1, GOAL_READY, true);
	return x;
}

/* One device, or all of a group. */
static enum xit end_group(int argc, char **argv, const struct ending_verb *v)
{
	struct end *e = xcalloc((size_t)argc, sizeof(*e));
	size_t n = (size_t)argc;
	enum xit x = XIT_OK;

	if (!opt.dry_run)
		x = lock_take(v->what, true);
	if (x == XIT_OK)
		x = find_all(argc, argv, e, v);
	if (x == XIT_OK && opt.dry_run) {
		x = print_plan(e, n, v);
		end_free(e, n);
		return x;
	}
	if (x == XIT_OK && v->complete && opt.wait) {
		lock_release();
		x = wait_ready(e, n);
		if (x == XIT_OK)
			x = lock_take(v->what, true);
	}
	if (x == XIT_OK)
		x = end_these(e, n, v);
	lock_release();
	end_free(e, n);
	return x;
}

/*
 * Without --group each ends for itself, but a name that is wrong, or a job that
 * cannot end now, is told before the first one does.
 */
static enum xit check_each(int argc, char **argv, const struct ending_verb *v)
{
	struct end *e = xcalloc((size_t)argc, sizeof(*e));
	enum xit x = opt.dry_run ? XIT_OK : lock_take(v->what, true);
	int i;

	for (i = 0; i < argc && x == XIT_OK; i++)
		x = find_one(argv, e, i, v);
	lock_release();
	end_free(e, (size_t)argc);
	return x;
}

static enum xit end_all(int argc, char **argv, const struct ending_verb *v)
{
	int i, step = opt.group ? argc : 1;
	enum xit x = argc > step ? check_each(argc, argv, v) : XIT_OK;

	for (i = 0; i < argc && x == XIT_OK; i += step)
		x = end_group(step, argv + i, v);
	if (x != XIT_OK || opt.dry_run)
		return x;
	return opt.json ? report_done(NULL, 0) : XIT_OK;
}

/* For mirror start: as if it had never been; plain: NAME goes, too. */
enum xit ending_undo(const char *name, bool plain)
{
	const struct options before = opt;
	char *argv[] = { (char *)name };
	enum xit x;
	int r;

	opt.force = opt.quiet = true;
	opt.group = opt.wait = false;
	x = end_group(1, argv, &cancelling);
	opt = before;
	if (x != XIT_OK || !plain)
		return x;
	r = dm_remove(name, false);
	if (r)
		return err_set(XIT_FAIL, ST_NONE, r, name,
			       "%s cannot be removed: %s", name, strerror(-r));
	dm_settle();
	return XIT_OK;
}

enum xit cmd_mirror_complete(int argc, char **argv)
{
	return end_all(argc, argv, &completing);
}

enum xit cmd_mirror_cancel(int argc, char **argv)
{
	return end_all(argc, argv, &cancelling);
}

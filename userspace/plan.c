// SPDX-License-Identifier: GPL-2.0
/*
 * A changing command is a list of steps. --dry-run prints the list and a run
 * walks it, so the two cannot tell different stories. Steps come in three
 * parts: before (libdevmapper; nothing is suspended), the critical section
 * (group.c) and after. Whatever fails or dies on the way, recover.c puts right
 * from the journal and from what the devices themselves say.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* a suspend that takes longer is given up, and everything undone */
#define SUSPEND_MS	30000
/* and no --timeout makes it shorter than this: an idle device needs some ms */
#define SUSPEND_MIN_MS	1000
/*
 * What the watchdog grants on top: each suspend may spend 5 s in the target's
 * flush after the wait that we bound; then the wait for `final`, and resumes.
 */
#define GRACE_EACH_MS	6000
#define GRACE_MS	20000
/* Snapshots have no such flush: what follows the wait is some grace periods. */
#define SNAP_EACH_MS	100
#define SNAP_GRACE_MS	5000

struct op *plan_add(struct plan *p, enum op_kind kind, const char *dev,
		    const char *text)
{
	struct op *op;

	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->op = reallocarray(p->op, p->cap, sizeof(*p->op));
		if (!p->op)
			abort();
	}
	op = &p->op[p->n];
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	snprintf(op->dev, sizeof(op->dev), "%s", dev);
	if (text)
		op->text = xstrdup(text);
	p->n++;
	return op;
}

void plan_load(struct plan *p, const char *dev, const struct dmtable *t,
	       bool read_only)
{
	struct op *op = plan_add(p, OP_LOAD, dev, NULL);

	dmtable_copy(&op->table, t);
	op->read_only = read_only;
}

/*
 * Suspends dev; once all are suspended it must have this live table, and this
 * one loaded, else all is undone: what was looked up before is only a memory.
 */
void plan_suspend(struct plan *p, const char *dev, const struct dmtable *live,
		  const struct dmtable *next)
{
	struct op *op = plan_add(p, OP_SUSPEND, dev, NULL);

	dmtable_copy(&op->live, live);
	dmtable_copy(&op->next, next);
}

void plan_free(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->op[i].text);
		dmtable_free(&p->op[i].table);
		dmtable_free(&p->op[i].live);
		dmtable_free(&p->op[i].next);
	}
	free(p->op);
	journal_free(&p->j);
	memset(p, 0, sizeof(*p));
}

bool op_is_critical(enum op_kind k)
{
	return k >= OP_SUSPEND;
}

bool op_suspends(enum op_kind k)
{
	return k == OP_SUSPEND || k == OP_SUSPEND_NOFLUSH ||
	       k == OP_SUSPEND_FREEZE;
}

/* ---- printing ---- */

/* What one name in the params stands for, NULL when it is not there. */
static char *expand_one(const struct op *op, char mark, const char *name,
			bool real)
{
	struct dmdev d;

	if (mark == TABLE_STORE)
		return store_text(op->store, real);
	if (!real)
		return xasprintf("/dev/mapper/%s", name);
	if (dm_get(name, &d))
		return NULL;
	return xasprintf("%u:%u", d.major, d.minor);
}

/*
 * Writes params with each TABLE_DEV name and the TABLE_STORE as paths, or as
 * M:m once they exist.
 */
static char *expand(const struct op *op, const char *params, bool real)
{
	const char marks[] = { TABLE_DEV, TABLE_STORE, '\0' };
	char *text = xstrdup(params);

	for (;;) {
		char *from = strpbrk(text, marks), *to, *one, *all;
		char mark;

		if (!from)
			return text;
		mark = *from;
		to = strchr(from + 1, mark);
		if (!to)
			abort();	/* we wrote it */
		*from = *to = '\0';
		one = expand_one(op, mark, from + 1, real);
		all = one ? xasprintf("%s%s%s", text, one, to + 1) : NULL;
		free(text);
		free(one);
		if (!all)
			return NULL;
		text = all;
	}
}

/* The table as it would be typed, lines joined by "; ". */
char *op_table_text(const struct op *op)
{
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort();
	for (i = 0; i < op->table.n; i++) {
		const struct dmline *l = &op->table.line[i];
		char *params = expand(op, l->params, false);

		fprintf(f, "%s%llu %llu %s%s%s", i ? "; " : "",
			(unsigned long long)l->start,
			(unsigned long long)l->len, l->type,
			*params ? " " : "", params);
		free(params);
	}
	if (fclose(f))
		abort();
	return text;
}

static void print_load(const struct op *op)
{
	char *text = op_table_text(op);

	printf("load %s%s: %s\n", op->dev,
	       op->read_only ? " (read-only)" : "", text);
	free(text);
}

static void print_op(const struct op *op)
{
	switch (op->kind) {
	case OP_CREATE:
		printf("create %s (uuid %s)\n", op->dev, op->text);
		break;
	case OP_LOAD:
		print_load(op);
		break;
	case OP_ACTIVATE:
	case OP_ACTIVATE_HIDDEN:
	case OP_RESUME:
		printf("resume %s\n", op->dev);
		break;
	case OP_MESSAGE:
		printf("message %s: %s\n", op->dev, op->text);
		break;
	case OP_WAIT:
		printf("wait %s: until %s\n", op->dev, op->text);
		break;
	case OP_REMOVE:
	case OP_REMOVE_UNUSED:
		printf("remove %s\n", op->dev);
		break;
	case OP_STORE:
		printf("create %s (%s)\n", op->dev, op->text);
		break;
	case OP_SYNC:
		printf("sync %s\n", op->dev);
		break;
	case OP_SUSPEND:
		printf("suspend %s\n", op->dev);
		break;
	case OP_SUSPEND_NOFLUSH:
		printf("suspend %s (noflush)\n", op->dev);
		break;
	case OP_SUSPEND_FREEZE:
		printf("suspend %s (freeze)\n", op->dev);
		break;
	case OP_ARM:
		printf("message %s: arm\n", op->dev);
		break;
	case OP_CHECK_FINAL:
		printf("check %s: status says final, else clear and resume\n",
		       op->dev);
		break;
	case OP_CHECK_ALONE:
		printf("check %s: opened by %s alone, else clear and resume\n",
		       op->dev, op->text);
		break;
	}
}

void plan_print(const struct plan *p)
{
	size_t i;

	if (opt.json) {
		json_plan(p);
		return;
	}
	for (i = 0; i < p->n; i++)
		print_op(&p->op[i]);
}

/* ---- running ---- */

#ifdef QMIRROR_FAULTS
/*
 * The test build: QMIRROR_FAULT=kill:K dies at the K-th point (there is one
 * before and one after every step), fail:K lets the K-th step fail,
 * hang:K stops there until somebody kills us, and stop:K until SIGCONT. An `n` in front (nkill:K) also
 * does without a watchdog, so that the next run has to clean up.
 */
static unsigned long fault_at(const char *verb)
{
	const char *f = getenv("QMIRROR_FAULT");

	if (!f)
		return 0;
	if (*f == 'n')
		f++;
	if (strncmp(f, verb, 4) != 0 || f[4] != ':')
		return 0;
	return strtoul(f + 5, NULL, 10);
}

bool fault_on(void)
{
	return getenv("QMIRROR_FAULT");
}

void fault_point(void)
{
	static unsigned long points;

	points++;
	if (points == fault_at("kill"))
		kill(getpid(), SIGKILL);
	if (points == fault_at("stop"))
		kill(getpid(), SIGSTOP);
	while (points == fault_at("hang"))
		pause();
}

bool fault_fails(void)
{
	static unsigned long steps;

	return ++steps == fault_at("fail");
}
#else
bool fault_on(void)
{
	return false;
}

void fault_point(void)
{
}

bool fault_fails(void)
{
	return false;
}
#endif

static enum stage op_stage(const struct op *op, enum stage st)
{
	return op->stage ? op->stage : st;
}

/* The device the user named. */
static const char *op_owner(const struct op *op)
{
	return op->owner[0] ? op->owner : op->dev;
}

static enum xit load_failed(const struct op *op, int r)
{
	const char *type = op->table.n ? op->table.line[0].type : "?";

	/* what the target objects to stands in the kernel log (ti->error) */
	return err_set(XIT_FAIL, op_stage(op, ST_LOAD), r, op_owner(op),
		       "%s: the kernel refused the %s table: %s; the reason is the last device-mapper line of dmesg; everything is as it was",
		       op->dev, type, strerror(-r));
}

static int do_load(const struct op *op)
{
	struct dmtable t = { 0 };
	int r = 0;
	size_t i;

	for (i = 0; i < op->table.n; i++) {
		const struct dmline *l = &op->table.line[i];
		char *params = expand(op, l->params, true);

		if (!params) {
			r = -ENODEV;
			break;
		}
		dmtable_add(&t, l->start, l->len, l->type, params);
		free(params);
	}
	if (!r)
		r = dm_load(op->dev, &t, op->read_only);
	dmtable_free(&t);
	return r;
}

/*
 * An orphan of the kernel's (target I/O given up and not yet ended) may still
 * hold what we remove: then it goes away with its last user.
 */
static int do_remove(const struct op *op)
{
	int r = dm_remove(op->dev, false);

	if (r == -EBUSY && op->kind != OP_REMOVE_UNUSED) {
		r = dm_remove(op->dev, true);
		if (!r)
			note("%s is still in use and goes away when its last user does",
			     op->dev);
	}
	return r == -ENXIO ? 0 : r;
}

static enum xit op_failed(const struct op *op, int r)
{
	static const char *const acts[] = {
		[OP_CREATE] = "create",
		[OP_ACTIVATE] = "resume",
		[OP_ACTIVATE_HIDDEN] = "resume",
		[OP_REMOVE] = "remove",
		[OP_REMOVE_UNUSED] = "remove",
		[OP_SYNC] = "write out",
	};
	bool resume = op->kind == OP_ACTIVATE || op->kind == OP_ACTIVATE_HIDDEN;

	if (op->kind == OP_REMOVE_UNUSED && r == -EBUSY)
		return err_set(XIT_BUSY, ST_CHECK, r, op_owner(op),
			       "%s is in use; nothing was changed", op->dev);
	return err_set(XIT_FAIL, op_stage(op, resume ? ST_RESUME : ST_LOAD), r,
		       op_owner(op), "%s: cannot %s: %s", op->dev,
		       op->kind == OP_MESSAGE ? op->text : acts[op->kind],
		       strerror(-r));
}

static enum xit run_op(const struct op *op)
{
	int r = 0;

	switch (op->kind) {
	case OP_CREATE:
		r = dm_create(op->dev, op->text);
		break;
	case OP_LOAD:
		r = do_load(op);
		return r ? load_failed(op, r) : XIT_OK;
	case OP_ACTIVATE:
	case OP_ACTIVATE_HIDDEN:
		r = dm_resume(op->dev, op->kind == OP_ACTIVATE_HIDDEN);
		break;
	case OP_MESSAGE:
		r = dm_message(op->dev, op->text, NULL, 0);
		break;
	case OP_REMOVE:
	case OP_REMOVE_UNUSED:
		r = do_remove(op);
		break;
	case OP_STORE:
		return store_make(op->store, op_owner(op));
	case OP_SYNC:
		r = sync_device(op->dev);
		break;
	default:
		break;
	}
	return r ? op_failed(op, r) : XIT_OK;
}

static enum xit run_ops(const struct plan *p, size_t from, size_t to)
{
	enum xit x = XIT_OK;
	size_t i;

	for (i = from; i < to && x == XIT_OK; i++) {
		fault_point();
		if (fault_fails())
			x = err_set(XIT_FAIL, op_stage(&p->op[i], ST_LOAD), EIO,
				    op_owner(&p->op[i]), "%s: injected failure",
				    p->op[i].dev);
		else
			x = run_op(&p->op[i]);
		fault_point();
	}
	return x;
}

/* An ending, and the end of a snapshot, have begun before the suspends. */
static const char *untouched(enum jverb verb)
{
	switch (verb) {
	case JV_END:
		return "nothing was swapped; try again";
	case JV_UNSNAPSHOT:
		return "the snapshot has ended, its old table is not back; try again";
	default:
		return "nothing was changed";
	}
}

static enum xit critical_failed(enum jverb verb, const struct op *op, int r)
{
	if (r == -ESTALE)
		return err_set(XIT_BUSY, ST_SUSPEND, EBUSY, op->dev,
			       "%s: somebody else gave it or loaded another table meanwhile; nothing was swapped by us: see `dmsetup table %s`, then try again",
			       op->dev, op->dev);
	switch (op->kind) {
	case OP_CHECK_FINAL:
		if (r == -ECANCELED)
			return err_set(XIT_JOB, ST_SUSPEND, EIO, op->dev,
				       "%s: the job ended with an error before it was final; type next: qmirrorctl mirror cancel %s",
				       op->dev, op->dev);
		if (r == -EINTR)
			return err_set(XIT_FAIL, ST_SUSPEND, r, op->dev,
				       "%s: interrupted; nothing was swapped, the mirror goes on as before",
				       op->dev);
		return err_set(r == -ETIMEDOUT ? XIT_TIMEOUT : XIT_FAIL,
			       ST_SUSPEND, r, op->dev,
			       "%s: the mirror did not become final while suspended; it goes on as before: look at `qmirrorctl status %s` and try again",
			       op->dev, op->dev);
	case OP_CHECK_ALONE:
		return err_set(XIT_BUSY, ST_SUSPEND, EPERM, op->dev,
			       "%s: can no longer be replaced: %s is no longer its only user; nothing was swapped and the job stays pending",
			       op->dev, op->text);
	case OP_RESUME:
		return err_set(XIT_FAIL, ST_RESUME, r, op_owner(op),
			       "%s: cannot resume: %s", op->dev, strerror(-r));
	case OP_ARM:
		return err_set(XIT_FAIL, ST_ARM, r, op_owner(op),
			       "%s: the snapshot cannot be armed: %s; nothing was changed",
			       op->dev, strerror(-r));
	default:
		if (r == -ETIMEDOUT)
			return err_set(XIT_TIMEOUT, ST_SUSPEND, r, op_owner(op),
				       "%s: I/O in flight did not end in time, so it could not be suspended; %s",
				       op->dev, untouched(verb));
		if (r == -EINTR)
			return err_set(XIT_FAIL, ST_SUSPEND, r, op_owner(op),
				       "%s: interrupted; %s",
				       op->dev, untouched(verb));
		return err_set(XIT_FAIL, ST_SUSPEND, r, op_owner(op),
			       "%s: cannot suspend: %s", op->dev, strerror(-r));
	}
}

/*
 * The last opener of NAME goes when DEV's old table is destroyed, and that
 * writes out what is in NAME's page cache: not while NAME is suspended.
 */
static void write_out(const struct journal *j)
{
	char node[NAME_LEN + 8];
	size_t i;
	int fd;

	for (i = 0; i < j->n; i++) {
		if (!j->m[i].top[0])
			continue;
		blk_node(j->m[i].major, j->m[i].minor, node, sizeof(node));
		fd = open(node, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fsync(fd))
			verbose("%s: %s", node, strerror(errno));
		close(fd);
	}
}

static long grace(const struct journal *j)
{
	if (j->verb == JV_SNAPSHOT || j->verb == JV_UNSNAPSHOT)
		return SNAP_GRACE_MS + (long)j->n * SNAP_EACH_MS;
	return GRACE_MS + (long)j->n * GRACE_EACH_MS;
}

static enum xit run_critical(struct plan *p, size_t from, size_t n, int dog)
{
	long ms = p->suspend_ms ? p->suspend_ms : SUSPEND_MS;
	struct rescue res = { 0 };
	struct group *g;
	size_t at = 0;
	int r;

	if (opt.timeout_ms >= 0 && opt.timeout_ms < ms)
		ms = opt.timeout_ms > SUSPEND_MIN_MS ? opt.timeout_ms :
						       SUSPEND_MIN_MS;
	g = group_prepare(p->op + from, n, &p->j);
	write_out(&p->j);
	watchdog_arm(dog, ms + grace(&p->j));
	group_enter();
	r = group_run(g, ms, &at);
	/* nothing may be looked up or said before this is done */
	if (r)
		group_rescue(g, &res);
	group_leave();
	watchdog_disarm(dog);
	p->window = group_window(g);
	group_free(g);
	/* a resume that took a second try: all members have their snapshot */
	if (r && p->j.verb == JV_SNAPSHOT && res.side == RESCUE_FORWARD &&
	    !res.eno)
		return XIT_OK;
	return r ? critical_failed(p->j.verb, &p->op[from + at], r) : XIT_OK;
}

/* The same way back for a failing step as for a dead run. */
static enum xit undo(struct plan *p)
{
	struct err first = the_err;
	struct rescue r;
	enum xit x;

	err_clear();
	x = recover_journal(&p->j, &r);
	if (x == XIT_OK)
		recover_after(&p->j, &r);
	if (x == XIT_OK || first.xit == XIT_OK) {
		the_err = first;
		return x;
	}
	/* "nothing was changed" would be a lie now */
	err_clear();
	err_set(first.xit, first.stage, first.eno, first.device,
		"%.400s failed, and %s could not be put right after it (%s): it may be suspended; the watchdog goes on trying, and `qmirrorctl recover` tries again",
		p->j.what, r.device[0] ? r.device : "device-mapper",
		strerror(r.eno));
	return x;
}

static enum xit no_watchdog(void)
{
	journal_drop();
	return err_set(XIT_FAIL, ST_CHECK, ECHILD, NULL,
		       "the watchdog, which puts things right should this run die, cannot be started; nothing was changed");
}

/* Where the run of steps that begins at i ends: critical ones, or others. */
static size_t run_end(const struct plan *p, size_t i)
{
	bool critical = op_is_critical(p->op[i].kind);

	while (i < p->n && op_is_critical(p->op[i].kind) == critical)
		i++;
	return i;
}

/* From here on a failure is not undone: the last section did what was wanted. */
static size_t last_section_end(const struct plan *p)
{
	size_t i = p->n;

	while (i > 0 && !op_is_critical(p->op[i - 1].kind))
		i--;
	return i ? i : p->n;
}

static enum xit steps(struct plan *p, size_t from, size_t to, int dog)
{
	enum xit x = XIT_OK;
	size_t i, end;

	for (i = from; i < to && x == XIT_OK; i = end) {
		end = run_end(p, i);
		if (op_is_critical(p->op[i].kind))
			x = run_critical(p, i, end - i, dog);
		else
			x = run_ops(p, i, end);
	}
	return x;
}

/* The steps and nothing else, for who has a journal and a watchdog already. */
enum xit plan_steps(struct plan *p, int dog)
{
	return steps(p, 0, p->n, dog);
}

enum xit plan_run(struct plan *p)
{
	size_t done = last_section_end(p);
	enum xit x;
	int dog;

	x = journal_write(&p->j);
	if (x != XIT_OK)
		return x;
	fault_point();
	dog = watchdog_start();
	if (dog == WATCHDOG_FAILED)
		return no_watchdog();
	x = steps(p, 0, done, dog);
	if (x == XIT_OK) {
		x = steps(p, done, p->n, dog);
	} else if (undo(p) != XIT_OK) {
		/* the journal stays, and the watchdog takes over */
		watchdog_leave(dog);
		return x;
	}
	dm_settle();
	fault_point();
	journal_drop();
	watchdog_stop(dog);
	return x;
}

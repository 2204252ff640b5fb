// SPDX-License-Identifier: GPL-2.0
/*
 * Sleeping until a mirror is where somebody wants it, on dm events. A status
 * is read after each arming of the poll, so no event is lost between reading
 * and sleeping; the only timers are the user's time-out and, on a terminal,
 * the redrawing of the progress bar.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define REDRAW_MS	500

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t deadline_ms(long timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

static const char *const goal_names[] = {
	[GOAL_READY] = "ready",
	[GOAL_SYNCED] = "synced",
	[GOAL_PAUSED] = "paused",
	[GOAL_PENDING] = "pending",
	[GOAL_CONCLUDED] = "concluded",
};

int goal_parse(const char *word, enum goal *goal)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(goal_names); i++)
		if (strcmp(word, goal_names[i]) == 0) {
			*goal = (enum goal)i;
			return 0;
		}
	return -EINVAL;
}

static bool stopped(const struct mirror_status *st)
{
	return st->state == MS_PAUSED || st->state == MS_STANDBY;
}

static bool ended(const struct mirror_status *st)
{
	return st->state == MS_ABORTING || st->state == MS_CONCLUDED;
}

static bool reached(enum goal goal, const struct mirror_status *st)
{
	switch (goal) {
	case GOAL_READY:
		/* READY is never withdrawn */
		return st->state == MS_READY || st->state == MS_STANDBY ||
		       st->state == MS_PENDING;
	case GOAL_SYNCED:
		return st->synced != SYNCED_NO && !ended(st);
	case GOAL_PAUSED:
		return stopped(st);
	case GOAL_PENDING:
		return st->state == MS_PENDING;
	case GOAL_CONCLUDED:
		return st->state == MS_CONCLUDED;
	}
	return false;
}

static bool never_synced(const struct mirror_status *st)
{
	return strcmp(st->copy_mode, "background") == 0 &&
	       st->ending == END_NONE;
}

/*
 * V_NEVER: the goal cannot come by itself. Paused, pending and concluded are
 * other people's acts and may be waited for from any state that allows them;
 * ready and synced are the job's own, and a stopped job does not get there.
 */
enum verdict goal_verdict(enum goal goal, bool gone,
			  const struct mirror_status *st)
{
	if (gone)
		return goal == GOAL_CONCLUDED ? V_DONE : V_NEVER;
	if (reached(goal, st))
		return V_DONE;
	if (ended(st))
		return goal == GOAL_CONCLUDED ? V_WAIT : V_NEVER;
	/* an ending that was asked for does not come about while stopped */
	if (stopped(st) && (goal == GOAL_READY || goal == GOAL_SYNCED ||
			    goal == GOAL_PENDING))
		return V_NEVER;
	/* in background mode no write is mirrored: never synced */
	if (goal == GOAL_SYNCED && never_synced(st))
		return V_NEVER;
	return V_WAIT;
}

static enum xit never(const struct mirror *m, enum goal goal, bool gone)
{
	const char *name = m->dev.name;
	bool err = strcmp(m->st.error, "-") != 0;

	if (gone)
		return err_set(XIT_JOB, ST_NONE, ENODEV, name,
			       "%s: the mirror is gone (%s%s when last seen), so %s cannot come any more; see: qmirrorctl status",
			       name, mstate_name(m->st.state),
			       err ? m->st.error : "", goal_names[goal]);
	if (ended(&m->st))
		return err_set(XIT_JOB, ST_NONE, EIO, name,
			       "%s: the job ended (%s), so %s cannot come any more; type next: qmirrorctl mirror cancel %s",
			       name, err ? m->st.error : "cancelled",
			       goal_names[goal], name);
	if (!stopped(&m->st))
		return err_set(XIT_JOB, ST_NONE, 0, name,
			       "%s: a mirror in background mode is never synced; type next: qmirrorctl mirror set %s copy-mode=write-blocking",
			       name, name);
	return err_set(XIT_JOB, ST_NONE, err ? EIO : 0, name,
		       "%s: the job is %s (%s), so %s cannot come by itself; type next: qmirrorctl mirror resume %s",
		       name, mstate_name(m->st.state),
		       err ? m->st.error : "by request", goal_names[goal], name);
}

/* Gone, and neither completed nor cancelled. */
static enum xit taken(const struct mirror *m)
{
	return err_set(XIT_JOB, ST_NONE, ENODEV, m->dev.name,
		       "%s: the mirror is lost (%s when last seen): somebody else has replaced or removed its table; the source has everything; see: qmirrorctl status",
		       m->dev.name, mstate_name(m->st.state));
}

/* A goal that came all the same may have come with an error. */
static enum xit done(const struct mirror *m, enum goal goal)
{
	if (goal != GOAL_CONCLUDED || strcmp(m->st.error, "-") == 0)
		return XIT_OK;
	return err_set(XIT_JOB, ST_NONE, EIO, m->dev.name,
		       "%s: the job ended with an error (%s); type next: qmirrorctl mirror cancel %s",
		       m->dev.name, m->st.error, m->dev.name);
}

/* ---- the loop ---- */

static volatile sig_atomic_t interrupted;

static void on_int(int sig)
{
	interrupted = sig;
}

struct waiter {
	struct mirror *m;
	size_t n;
	enum goal goal;
	bool *is_done;
	struct progress bar;
	int64_t until;
	int fd;
	sigset_t mask;
	struct sigaction old_int, old_term;
};

/* A device that was renamed is the same mirror. */
static int read_now(const struct mirror *was, struct mirror *now)
{
	int r = mirror_read(was->dev.name, now);
	struct dmdev d;

	if (r == -ENXIO &&
	    dm_get_by_devno(was->dev.major, was->dev.minor, &d) == 0 &&
	    strcmp(d.uuid, was->dev.uuid) == 0)
		r = mirror_read(d.name, now);
	return r;
}

/* XIT_OK with *left = 0: all there. */
static enum xit look(struct waiter *w, size_t *left)
{
	struct mirror now;
	enum xit x;
	size_t i;

	*left = 0;
	for (i = 0; i < w->n; i++) {
		int r;

		if (w->is_done[i])
			continue;
		r = read_now(&w->m[i], &now);
		if (r && r != -ENXIO && r != -ENODATA)
			return err_set(XIT_FAIL, ST_LOOKUP, r,
				       w->m[i].dev.name, "%s: %s",
				       w->m[i].dev.name, strerror(-r));
		if (!r)
			w->m[i] = now;
		if (r && mirror_taken(&w->m[i]))
			return taken(&w->m[i]);
		switch (goal_verdict(w->goal, r, &w->m[i].st)) {
		case V_NEVER:
			return never(&w->m[i], w->goal, r);
		case V_DONE:
			x = done(&w->m[i], w->goal);
			if (x != XIT_OK)
				return x;
			w->is_done[i] = true;
			break;
		case V_WAIT:
			(*left)++;
			progress_show(&w->bar, &w->m[i]);
			break;
		}
	}
	return XIT_OK;
}

static enum xit sleep_on(struct waiter *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	int64_t left = w->until - now_ms();
	struct timespec ts, *tp = NULL;

	if (left <= 0)
		return err_set(XIT_TIMEOUT, ST_NONE, ETIMEDOUT, w->m[0].dev.name,
			       "%s: not %s in time; the job goes on",
			       w->m[0].dev.name, goal_names[w->goal]);
	if (w->bar.on && left > REDRAW_MS)
		left = REDRAW_MS;
	if (w->bar.on || w->until != INT64_MAX) {
		ts.tv_sec = left / 1000;
		ts.tv_nsec = (left % 1000) * 1000000;
		tp = &ts;
	}
	/* signals are let in here only, so none is missed before sleeping */
	if (ppoll(&p, 1, tp, &w->mask) < 0 && errno != EINTR)
		return err_set(XIT_FAIL, ST_NONE, errno, NULL, "poll: %s",
			       strerror(errno));
	return XIT_OK;
}

static int wait_begin(struct waiter *w)
{
	struct sigaction sa = { .sa_handler = on_int };
	sigset_t block;

	w->fd = dmpoll_open();
	if (w->fd < 0)
		return w->fd;
	interrupted = 0;
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &w->mask);
	sigaction(SIGINT, &sa, &w->old_int);
	sigaction(SIGTERM, &sa, &w->old_term);
	return 0;
}

static void wait_end(struct waiter *w)
{
	progress_end(&w->bar);
	close(w->fd);
	sigaction(SIGINT, &w->old_int, NULL);
	sigaction(SIGTERM, &w->old_term, NULL);
	if (interrupted)
		fprintf(stderr,
			"qmirrorctl: interrupted; the job on %s goes on: `qmirrorctl mirror wait %s` waits again, `qmirrorctl mirror cancel %s` ends it\n",
			w->m[0].dev.name, w->m[0].dev.name, w->m[0].dev.name);
	/* die of it, so that a shell's loop ends too */
	if (interrupted) {
		signal((int)interrupted, SIG_DFL);
		raise((int)interrupted);
	}
	sigprocmask(SIG_SETMASK, &w->mask, NULL);
}

enum xit wait_for(struct mirror *m, size_t n, enum goal goal, bool progress)
{
	struct waiter w = { .m = m, .n = n, .goal = goal };
	enum xit x = XIT_OK;
	size_t left = n;
	int r = wait_begin(&w);

	if (r)
		return err_set(XIT_FAIL, ST_NONE, r, NULL,
			       "/dev/mapper/control: %s", strerror(-r));
	w.is_done = xcalloc(n, sizeof(*w.is_done));
	w.until = deadline_ms(opt.timeout_ms);
	if (progress && n == 1)
		progress_begin(&w.bar);
	while (!interrupted) {
		r = dmpoll_arm(w.fd);
		if (r) {
			x = err_set(XIT_FAIL, ST_NONE, r, NULL,
				    "cannot wait for device-mapper events: %s",
				    strerror(-r));
			break;
		}
		x = look(&w, &left);
		if (x != XIT_OK || !left)
			break;
		x = sleep_on(&w);
		if (x != XIT_OK)
			break;
	}
	free(w.is_done);
	wait_end(&w);
	return x;
}

enum xit cmd_mirror_wait(int argc, char **argv)
{
	struct mirror *m = xcalloc((size_t)argc, sizeof(*m));
	enum goal goal = GOAL_READY;
	enum xit x = XIT_OK;
	int i;

	if (opt.goal)
		goal_parse(opt.goal, &goal);
	for (i = 0; i < argc && x == XIT_OK; i++)
		x = mirror_find(argv[i], &m[i]);
	if (x == XIT_OK && !opt.dry_run)
		x = wait_for(m, (size_t)argc, goal, true);
	free(m);
	if (x != XIT_OK)
		return x;
	/* concluded may mean gone, which is no error any more */
	return goal == GOAL_CONCLUDED ? report_done(NULL, 0) :
					report_done(argv, argc);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The second half of the critical section (see group.c, whose rule holds here
 * too): what only snapshots do in it. All members are suspended, those of one
 * level at the same time; then every snapshot is armed, which makes them of one
 * instant; then all are resumed. The time that takes is measured.
 *
 * One suspend waits for a few grace periods and for the file system that it
 * freezes, so 64 in a row would freeze the first one 64 times as long. Threads
 * share the work. They are started, and have their stacks and buffers, before
 * the first suspend.
 *
 * The way out: the snapshot exists when the last member has been armed. Before
 * that, who was armed is disarmed while nothing runs yet, and all are resumed;
 * after it they are only resumed. Which of the two it is the devices say.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "group.h"

/* more would not be faster: the waiting is over long before */
#define MAX_THREADS	128
#define THREAD_STACK	(64UL * 1024)
/* how often a thread that should give up is told so */
#define NUDGE_MS	20L

struct worker {
	pthread_t thread;
	struct pool *pool;
	sem_t go;
	struct dm_ioctl io;
	bool quit, done;
	int rc;
};

struct pool {
	int fd;
	size_t n;
	sem_t finished;
	struct worker w[];
};

bool is_snapshot_verb(enum jverb v)
{
	return v == JV_SNAPSHOT || v == JV_UNSNAPSHOT;
}

/* ---- ahead of the others, and not to be shot ---- */

static int old_nice, oom_fd = -1;
static char old_oom[16];

/* What is not allowed to us is done without. */
void priority_raise(void)
{
	ssize_t n = 0;

	old_nice = getpriority(PRIO_PROCESS, 0);
	setpriority(PRIO_PROCESS, 0, -20);
	oom_fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (oom_fd >= 0)
		n = pread(oom_fd, old_oom, sizeof(old_oom) - 1, 0);
	if (n > 0)
		old_oom[n] = '\0';
	if (n > 0 && pwrite(oom_fd, "-1000", 5, 0) == 5)
		return;
	if (oom_fd >= 0)
		close(oom_fd);
	oom_fd = -1;
}

void priority_restore(void)
{
	setpriority(PRIO_PROCESS, 0, old_nice);
	if (oom_fd < 0)
		return;
	if (pwrite(oom_fd, old_oom, strlen(old_oom), 0) < 0)
		verbose("oom_score_adj: %s", strerror(errno));
	close(oom_fd);
	oom_fd = -1;
}

/* ---- time ---- */

static int64_t clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void window_mark(struct group *g, const struct op *op)
{
	if (!g->first_us)
		g->first_us = clock_us(CLOCK_MONOTONIC);
	if (op->kind == OP_ARM && !g->window.instant_us)
		g->window.instant_us = clock_us(CLOCK_REALTIME);
}

void window_end(struct group *g)
{
	if (g->first_us)
		g->window.frozen_us = clock_us(CLOCK_MONOTONIC) - g->first_us;
}

struct window group_window(const struct group *g)
{
	return g->window;
}

/* ---- messages ---- */

static int g_message(struct group *g, const char *name, const char *msg)
{
	size_t n = strlen(msg) + 1;
	struct dm_target_msg *t = (struct dm_target_msg *)(g->io + 1);

	header(g->io, sizeof(*g->io) + sizeof(*t) + n, name, 0);
	t->sector = 0;
	memcpy(t->message, msg, n);
	return ioctl(g->fd, DM_TARGET_MSG, g->io) ? -errno : 0;
}

int arm_step(struct group *g, const char *name)
{
	return g_message(g, name, "arm");
}

/* ---- suspending many at once ---- */

static void alarm_mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(how, &set, NULL);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	/* a nice value is a thread's own; not being allowed to is no failure */
	setpriority(PRIO_PROCESS, 0, -20);
	for (;;) {
		while (sem_wait(&w->go))
			;
		if (w->quit)
			return NULL;
		/* only here: an alarm gives the suspend up */
		alarm_mask(SIG_UNBLOCK);
		w->rc = ioctl(w->pool->fd, DM_DEV_SUSPEND, &w->io) ? -errno : 0;
		alarm_mask(SIG_BLOCK);
		__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
		sem_post(&w->pool->finished);
	}
}

static bool same_batch(const struct op *a, const struct op *b)
{
	return a->level && a->level == b->level && a->kind == b->kind &&
	       (a->kind == OP_SUSPEND || a->kind == OP_SUSPEND_FREEZE);
}

static size_t run_of_level(const struct op *op, size_t n, size_t i)
{
	size_t k = i + 1;

	while (k < n && k - i < MAX_THREADS && same_batch(&op[i], &op[k]))
		k++;
	return k - i;
}

/* How many ops from i on are one batch; fewer when there are fewer threads. */
size_t batch_size(const struct group *g, size_t i)
{
	size_t n = run_of_level(g->op, g->nops, i);
	size_t have = g->pool ? g->pool->n : 1;

	/* to die or fail at the K-th step, there must be one */
	if (fault_on())
		return 1;
	return n < have ? n : have;
}

static void start_worker(struct pool *p, struct worker *w,
			 const pthread_attr_t *attr)
{
	w->pool = p;
	sem_init(&w->go, 0, 0);
	if (pthread_create(&w->thread, attr, work, w) == 0)
		p->n++;
	else
		sem_destroy(&w->go);
}

/* As many threads as the widest level has members; NULL when one is enough. */
struct pool *pool_start(int fd, const struct op *op, size_t n)
{
	size_t i, most = 0;
	pthread_attr_t attr;
	sigset_t all, old;
	struct pool *p;

	for (i = 0; i < n; i++) {
		size_t k = run_of_level(op, n, i);

		most = k > most ? k : most;
	}
	if (most < 2)
		return NULL;
	p = xcalloc(1, sizeof(*p) + most * sizeof(p->w[0]));
	p->fd = fd;
	sem_init(&p->finished, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	/* they inherit a mask that lets nothing in */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < most && p->n == i; i++)
		start_worker(p, &p->w[i], &attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return p;
}

void pool_stop(struct pool *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < p->n; i++) {
		p->w[i].quit = true;
		sem_post(&p->w[i].go);
	}
	for (i = 0; i < p->n; i++) {
		pthread_join(p->w[i].thread, NULL);
		sem_destroy(&p->w[i].go);
	}
	sem_destroy(&p->finished);
	free(p);
}

static bool is_done(const struct worker *w)
{
	return __atomic_load_n(&w->done, __ATOMIC_ACQUIRE);
}

/* Waits a little; true when one more has ended. */
static bool one_more(struct pool *p)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += NUDGE_MS * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return sem_clockwait(&p->finished, CLOCK_MONOTONIC, &t) == 0;
}

static bool any_failed(const struct pool *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (is_done(&p->w[i]) && p->w[i].rc)
			return true;
	return false;
}

/* An alarm may come right before the ioctl it should end: hence again. */
static void nudge(struct pool *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!is_done(&p->w[i]))
			pthread_kill(p->w[i].thread, SIGALRM);
}

/* The first that failed by itself, before those that were told to give up. */
static int batch_result(const struct pool *p, size_t n, size_t *which)
{
	size_t i, k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < n; i++) {
			int rc = p->w[i].rc;

			if (!rc || (k == 0 && rc == -EINTR))
				continue;
			*which = i;
			if (rc != -EINTR)
				return rc;
			return got_signal ? -EINTR : -ETIMEDOUT;
		}
	return 0;
}

int suspend_batch(struct group *g, size_t from, size_t n, int64_t until,
		  size_t *failed_at)
{
	struct pool *p = g->pool;
	size_t i, left = n, which = 0;
	int r;

	got_alarm = 0;
	for (i = 0; i < n; i++) {
		const struct op *op = &g->op[from + i];

		header(&p->w[i].io, sizeof(p->w[i].io), op->dev,
		       suspend_flags(op->kind));
		p->w[i].done = false;
		p->w[i].rc = 0;
	}
	signals(true);
	for (i = 0; i < n; i++)
		sem_post(&p->w[i].go);
	while (left) {
		if (one_more(p))
			left--;
		else if (got_signal || clock_ms() >= until || any_failed(p, n))
			nudge(p, n);
	}
	timer_stop();
	r = batch_result(p, n, &which);
	*failed_at = from + which;
	return r;
}

/* ---- the way out ---- */

void probe_armed(struct group *g, struct gmember *m, struct rescue *r)
{
	const char *params;
	int rc = dmctl(g, DM_TABLE_STATUS, m->jm->name, DM_NOFLUSH_FLAG);

	m->armed = false;
	tried(r, rc, m->jm->name);
	if (rc)
		return;
	params = first_line(g, NULL);
	/* broken: it was armed, and then its store gave way */
	m->armed = params && sstate_of(params) > SS_IDLE;
}

static void let_go(struct group *g, struct gmember *m, struct rescue *r)
{
	if (!m->there)
		return;
	if (!m->swapped && g->verb == JV_SNAPSHOT) {
		go_back(g, m, r);
		return;
	}
	if (m->swapped && m->src_there && (m->src_suspended || m->src_inactive))
		tried(r, g_resume(g, m->jm->src), m->jm->src);
	if (m->suspended && g_resume(g, m->jm->name))
		force_back(g, m, r);
}

/*
 * Members are in the journal with the lower ones first: resumed in that order
 * each finds what it stands on running.
 */
void snapshot_rescue(struct group *g, struct rescue *r)
{
	bool all = g->verb == JV_SNAPSHOT;
	size_t i;

	for (i = 0; i < g->n; i++)
		all = all && g->m[i].there && g->m[i].swapped && g->m[i].armed;
	r->side = all ? RESCUE_FORWARD : RESCUE_BACK;
	for (i = 0; i < g->n && !all && g->verb == JV_SNAPSHOT; i++)
		if (g->m[i].armed)
			tried(r, g_message(g, g->m[i].jm->name, "disarm"),
			      g->m[i].jm->name);
	clear_all(g, r);
	for (i = 0; i < g->n; i++)
		let_go(g, &g->m[i], r);
	window_end(g);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The critical section: what happens between the first suspend and the last
 * resume of a group of devices, and nothing else.
 *
 * The rule: in here nothing is opened, allocated, logged, forked or looked up,
 * for the disk that answers may be one of those suspended. Hence raw ioctls
 * (libdevmapper allocates and logs) from buffers that group_prepare() has
 * built and touched, on a control fd it has opened, with all memory locked
 * and signals blocked but where a suspend has to be interruptible.
 *
 * group_rescue() is the way out for everybody: for a step that failed, for the
 * watchdog of a dead run and for the next run. It keeps no account of the
 * steps done: a RESUME swaps the tables atomically, so the live table of
 * each device says on which side it is. If none has been swapped, everything
 * goes back: CLEAR on *every* device first, since RESUME would swap a loaded
 * table in, then RESUME. If one has been swapped, the rest follows.
 *
 * All raw device-mapper ioctls of the tool are in this file, in window.c, which
 * has what only snapshots do, and in same.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "group.h"

#define CONTROL		"/dev/mapper/control"
#define STATUS_BYTES	(64UL * 1024)
/* enough for one line; the kernel has to find room for what we ask for */
#define LINE_BYTES	(8UL * 1024)
#define PROBE_TRIES	20
/* the target's flush at suspend is bounded by 5 s; `final` follows it */
#define FINAL_MS	7000
#define STACK_BYTES	(64 * 1024)

/* ---- one ioctl ---- */

void header(struct dm_ioctl *io, size_t size, const char *name,
		   uint32_t flags)
{
	memset(io, 0, sizeof(*io));
	io->version[0] = DM_VERSION_MAJOR;
	/* 4.0.0 is understood by every kernel; nothing newer is needed */
	io->data_size = (uint32_t)size;
	io->data_start = sizeof(*io);
	io->flags = flags;
	memcpy(io->name, name, strlen(name));
}

int dmctl(struct group *g, unsigned long cmd, const char *name,
		 uint32_t flags)
{
	header(g->io, LINE_BYTES, name, flags);
	return ioctl(g->fd, cmd, g->io) ? -errno : 0;
}

/*
 * Without lockfs when the bytes under the file system stay the same, or when
 * nobody wants it frozen.
 */
uint32_t suspend_flags(enum op_kind kind)
{
	return DM_SUSPEND_FLAG |
	       (kind == OP_SUSPEND_FREEZE ? 0 : DM_SKIP_LOCKFS_FLAG) |
	       (kind == OP_SUSPEND_NOFLUSH ? DM_NOFLUSH_FLAG : 0);
}

static int g_suspend(struct group *g, const char *name, enum op_kind kind)
{
	return dmctl(g, DM_DEV_SUSPEND, name, suspend_flags(kind));
}

int g_resume(struct group *g, const char *name)
{
	return dmctl(g, DM_DEV_SUSPEND, name, DM_SKIP_LOCKFS_FLAG);
}

static int g_clear(struct group *g, const char *name)
{
	return dmctl(g, DM_TABLE_CLEAR, name, 0);
}

/* The first line of the answer to TABLE_STATUS, NULL when there is no table. */
const char *first_line(struct group *g, struct dm_target_spec **spec)
{
	struct dm_target_spec *s;

	if (!g->io->target_count)
		return NULL;
	s = (struct dm_target_spec *)((char *)g->io + g->io->data_start);
	if (spec)
		*spec = s;
	((char *)g->io)[LINE_BYTES - 1] = '\0';
	return (const char *)(s + 1);
}

static int g_table(struct group *g, const char *name)
{
	return dmctl(g, DM_TABLE_STATUS, name,
		     DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG);
}

unsigned int io_major(const struct dm_ioctl *io)
{
	return (unsigned int)((io->dev & 0xfff00) >> 8);
}

unsigned int io_minor(const struct dm_ioctl *io)
{
	return (unsigned int)((io->dev & 0xff) | ((io->dev >> 12) & 0xfff00));
}

/* ---- entering and leaving ---- */

static sigset_t old_mask;
volatile sig_atomic_t got_alarm, got_signal;
static struct sigaction old_action[4];
static const int watched[4] = { SIGALRM, SIGINT, SIGTERM, SIGHUP };

static void timer_set(long ms, long again_ms)
{
	struct itimerval t = {
		.it_value = { ms / 1000, (ms % 1000) * 1000 },
		.it_interval = { again_ms / 1000, (again_ms % 1000) * 1000 },
	};

	setitimer(ITIMER_REAL, &t, NULL);
}

/*
 * A signal may come right before the ioctl that it should interrupt. So the
 * timer keeps ringing until somebody looks.
 */
static void on_signal(int sig)
{
	if (sig == SIGALRM)
		got_alarm = 1;
	else
		got_signal = sig;
	timer_set(20, 20);
}

static void touch_stack(void)
{
	volatile char room[STACK_BYTES];
	size_t i;

	for (i = 0; i < sizeof(room); i += 512)
		room[i] = 0;
}

/* A ring that is still pending would kill us once the handler is gone. */
static void drop_alarm(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGALRM, &ign, NULL);
	sigaction(SIGALRM, &sa, NULL);
}

void group_enter(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t all;
	size_t i;

	got_alarm = got_signal = 0;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old_mask);
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		sigaction(watched[i], &sa, &old_action[i]);
		/* `qmirrorctl ... &` in a script: what was ignored stays so */
		if (watched[i] != SIGALRM &&
		    old_action[i].sa_handler == SIG_IGN)
			sigaction(watched[i], &old_action[i], NULL);
	}
	/* not fatal: it only fails where little memory may be locked */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		verbose("cannot lock memory: %s", strerror(errno));
	touch_stack();
	priority_raise();
}

void group_leave(void)
{
	size_t i;
	int sig = (int)got_signal;

	timer_set(0, 0);
	drop_alarm();
	priority_restore();
	munlockall();
	for (i = 0; i < ARRAY_SIZE(watched); i++)
		sigaction(watched[i], &old_action[i], NULL);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	/* what we swallowed to undo in peace takes effect at the next wait */
	if (sig)
		verbose("signal %d arrived while devices were suspended", sig);
}

/* Only a blocking step lets signals in: they undo it in the kernel. */
void signals(bool let_in)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(watched); i++)
		sigaddset(&set, watched[i]);
	sigprocmask(let_in ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* In this order: the handler sets the timer again, until it is blocked. */
void timer_stop(void)
{
	signals(false);
	timer_set(0, 0);
	drop_alarm();
}

/* ---- preparing ---- */

static size_t load_bytes(const struct dmtable *t)
{
	size_t i, n = sizeof(struct dm_ioctl);

	for (i = 0; i < t->n; i++)
		n += sizeof(struct dm_target_spec) +
		     strlen(t->line[i].params) + 1 + 8;
	return n;
}

static void build_load(struct gmember *m)
{
	const struct dmtable *t = &m->jm->old;
	struct dm_target_spec *s;
	char *p;
	size_t i;

	if (!t->n)
		return;
	m->load_size = load_bytes(t);
	m->load = xcalloc(1, m->load_size);
	header(m->load, m->load_size, m->jm->name,
	       m->jm->read_only ? DM_READONLY_FLAG : 0);
	m->load->target_count = (uint32_t)t->n;
	p = (char *)(m->load + 1);
	for (i = 0; i < t->n; i++) {
		size_t len = strlen(t->line[i].params) + 1;

		s = (struct dm_target_spec *)p;
		s->sector_start = t->line[i].start;
		s->length = t->line[i].len;
		snprintf(s->target_type, sizeof(s->target_type), "%s",
			 t->line[i].type);
		memcpy(s + 1, t->line[i].params, len);
		s->next = (uint32_t)((sizeof(*s) + len + 7) & ~7ul);
		p += s->next;
	}
}

struct group *group_prepare(const struct op *op, size_t n,
			    const struct journal *j)
{
	struct group *g = xcalloc(1, sizeof(*g));
	size_t i;

	g->fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	g->pool = pool_start(g->fd, op, n);
	g->verb = j->verb;
	g->op = op;
	g->nops = n;
	g->n = j->n;
	g->m = xcalloc(g->n, sizeof(*g->m));
	/* twice, so that what the kernel wrote is never past what we own */
	g->table_bytes = same_bytes(op, n);
	g->io = xcalloc(2, g->table_bytes);
	memset(g->io, 1, 2 * g->table_bytes);
	for (i = 0; i < g->n; i++) {
		g->m[i].jm = &j->m[i];
		build_load(&g->m[i]);
	}
	return g;
}

void group_free(struct group *g)
{
	size_t i;

	pool_stop(g->pool);
	for (i = 0; i < g->n; i++)
		free(g->m[i].load);
	free(g->m);
	free(g->io);
	if (g->fd >= 0)
		close(g->fd);
	free(g);
}

/* ---- the steps ---- */

int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int read_status(struct group *g, struct mirror_status *st)
{
	struct dm_target_spec *spec;
	const char *params = first_line(g, &spec);

	if (!params || strcmp(spec->target_type, "qmirror") != 0)
		return -ENODEV;
	return parse_mirror_status(params, st);
}

/* 0: final; -EAGAIN: not yet; else it will not be. */
static int final_now(struct group *g, const char *name)
{
	struct mirror_status st;
	int r = dmctl(g, DM_TABLE_STATUS, name, DM_NOFLUSH_FLAG);

	if (!r)
		r = read_status(g, &st);
	if (r)
		return r;
	if (st.synced == SYNCED_FINAL)
		return 0;
	if (st.state == MS_PENDING)
		return -EAGAIN;
	return (st.state == MS_CONCLUDED || st.state == MS_ABORTING) &&
	       strcmp(st.error, "-") != 0 ? -ECANCELED : -EBUSY;
}

/*
 * Under the suspended mirror: is it final? The answer may follow within some
 * 5 s, with an event; asking and waiting use the same event number, so none is
 * lost in between.
 */
static int check_final(struct group *g, const char *name, int64_t until)
{
	uint32_t event;
	int r;

	for (;;) {
		r = final_now(g, name);
		if (r != -EAGAIN)
			return r;
		event = g->io->event_nr;
		if (clock_ms() >= until)
			return -ETIMEDOUT;
		got_alarm = 0;
		timer_set((long)(until - clock_ms()) + 1, 20);
		signals(true);
		header(g->io, STATUS_BYTES, name, DM_NOFLUSH_FLAG);
		g->io->event_nr = event;
		r = ioctl(g->fd, DM_DEV_WAIT, g->io) ? -errno : 0;
		timer_stop();
		if (got_signal)
			return -EINTR;
		if (r && r != -EINTR)
			return r;
	}
}

/* Params of the one linear line of that length the answer has; else NULL. */
static const char *one_linear(struct group *g, uint64_t len)
{
	struct dm_target_spec *spec;
	const char *params = first_line(g, &spec);

	return params && g->io->target_count == 1 &&
	       strcmp(spec->target_type, "linear") == 0 &&
	       spec->sector_start == 0 && spec->length == len ? params : NULL;
}

/* DEV's table is one linear line over all of NAME, and DEV is that device. */
static bool is_over(struct group *g, const struct jmember *jm)
{
	const char *params = one_linear(g, jm->length);
	unsigned int a, b;
	unsigned long long off;

	return params && io_major(g->io) == jm->top_major &&
	       io_minor(g->io) == jm->top_minor &&
	       sscanf(params, "%u:%u %llu", &a, &b, &off) == 3 &&
	       a == jm->major && b == jm->minor && off == 0;
}

const struct jmember *member_of(struct group *g, const char *name)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (strcmp(g->m[i].jm->name, name) == 0)
			return g->m[i].jm;
	return NULL;
}

/*
 * With both suspended: has NAME no opener but DEV, and is DEV still nothing
 * but NAME? Else the data of a third one would change abruptly.
 */
static int check_alone(struct group *g, const char *name, const char *top)
{
	const struct jmember *jm = member_of(g, name);
	int r = dmctl(g, DM_DEV_STATUS, name, 0);

	if (r)
		return r;
	if (!jm || g->io->open_count != 1)
		return -EPERM;
	r = g_table(g, top);
	if (r)
		return r;
	return is_over(g, jm) ? 0 : -EPERM;
}

static int suspend_step(struct group *g, const struct op *op, int64_t until)
{
	int64_t left = until - clock_ms();
	int r;

	got_alarm = 0;
	timer_set(left > 0 ? (long)left : 1, 20);
	signals(true);
	r = g_suspend(g, op->dev, op->kind);
	timer_stop();
	if (r == -EINTR)
		return got_signal ? -EINTR : -ETIMEDOUT;
	return r;
}

static int64_t min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * While others were waited for, a message may have withdrawn a `final`: all are
 * asked once more, right before the first swap.
 */
static int finals_again(struct group *g, size_t n, size_t *failed_at)
{
	size_t i;
	int r;

	for (i = 0; i < n; i++) {
		if (g->op[i].kind != OP_CHECK_FINAL)
			continue;
		r = final_now(g, g->op[i].dev);
		if (r) {
			*failed_at = i;
			return r;
		}
	}
	return 0;
}

static int step(struct group *g, const struct op *op, int64_t until)
{
	if (fault_fails())
		return -EIO;
	switch (op->kind) {
	case OP_SUSPEND:
	case OP_SUSPEND_NOFLUSH:
	case OP_SUSPEND_FREEZE:
		return suspend_step(g, op, until);
	case OP_CHECK_FINAL:
		/* one time for all of a group, and never past --timeout */
		if (!g->final_until)
			g->final_until = min_ms(clock_ms() + FINAL_MS, until);
		return check_final(g, op->dev, g->final_until);
	case OP_CHECK_ALONE:
		return check_alone(g, op->dev, op->text);
	case OP_ARM:
		return arm_step(g, op->dev);
	case OP_RESUME:
		return g_resume(g, op->dev);
	default:
		return -EINVAL;
	}
}

/* deadline_ms bounds all suspends and the wait for `final` together. */
int group_run(struct group *g, long deadline, size_t *failed_at)
{
	int64_t until = clock_ms() + deadline;
	bool looked = false;
	size_t i, n;
	int r;

	if (g->fd < 0)
		return -ENODEV;
	g->none_swapped = true;
	for (i = 0; i < g->nops; i += n) {
		if (!looked && !op_suspends(g->op[i].kind)) {
			looked = true;
			r = same_tables(g, i, failed_at);
			if (r)
				return r;
		}
		if (g->op[i].kind == OP_RESUME && g->none_swapped) {
			r = finals_again(g, i, failed_at);
			if (r)
				return r;
			g->none_swapped = false;
		}
		*failed_at = i;
		fault_point();
		window_mark(g, &g->op[i]);
		n = batch_size(g, i);
		r = n > 1 ? suspend_batch(g, i, n, until, failed_at) :
			    step(g, &g->op[i], until);
		fault_point();
		if (r)
			return r;
	}
	window_end(g);
	return 0;
}

/* ---- the way out ---- */

void tried(struct rescue *r, int rc, const char *device)
{
	if (!rc || rc == -ENXIO || r->eno)
		return;
	r->eno = -rc;
	memcpy(r->device, device, strlen(device) + 1);
}

/*
 * Only ENXIO says that a device is not there. Anything else (no memory for the
 * answer) is asked again for a while, then it is an error of the rescue: to
 * take a device for gone would leave it suspended.
 */
static bool probe(struct group *g, const char *name, struct rescue *r)
{
	const struct timespec pause = { 0, 50 * 1000000L };
	int i, rc = 0;

	for (i = 0; i < PROBE_TRIES; i++) {
		rc = g_table(g, name);
		if (!rc || rc == -ENXIO)
			return !rc;
		nanosleep(&pause, NULL);
	}
	tried(r, rc, name);
	return false;
}

static void probe_main(struct group *g, struct gmember *m, struct rescue *r)
{
	struct dm_target_spec *spec;
	bool qmirror = false, cbw = false;

	/* a device of the same name that is not ours is left alone */
	m->there = probe(g, m->jm->name, r) &&
		   (g->verb == JV_START_PLAIN ?
		    strcmp(g->io->uuid, m->jm->uuid) == 0 :
		    io_major(g->io) == m->jm->major &&
		    io_minor(g->io) == m->jm->minor);
	if (!m->there)
		return;
	m->suspended = g->io->flags & DM_SUSPEND_FLAG;
	m->inactive = g->io->flags & DM_INACTIVE_PRESENT_FLAG;
	if (first_line(g, &spec)) {
		qmirror = strcmp(spec->target_type, "qmirror") == 0;
		cbw = strcmp(spec->target_type, "cbw") == 0;
	}
	m->swapped = g->verb == JV_END ? !qmirror : qmirror;
	if (is_snapshot_verb(g->verb)) {
		m->swapped = cbw;
		if (cbw)
			probe_armed(g, m, r);
	}
}

static void probe_src(struct group *g, struct gmember *m, struct rescue *r)
{
	m->src_there = m->jm->src[0] && probe(g, m->jm->src, r) &&
		       strcmp(g->io->uuid, m->jm->src_uuid) == 0;
	if (!m->src_there)
		return;
	m->src_live = g->io->flags & DM_ACTIVE_PRESENT_FLAG;
	m->src_suspended = g->io->flags & DM_SUSPEND_FLAG;
	m->src_inactive = g->io->flags & DM_INACTIVE_PRESENT_FLAG;
}

/*
 * DEV has been swapped only if it has the very line we gave it. Any other
 * table that is not the old one is somebody else's doing, and going forward
 * on its account would put a stranger onto TARGET.
 */
static void probe_top(struct group *g, struct gmember *m, struct rescue *r)
{
	const char *params;

	m->top_there = m->jm->top[0] && probe(g, m->jm->top, r) &&
		       io_major(g->io) == m->jm->top_major &&
		       io_minor(g->io) == m->jm->top_minor;
	if (!m->top_there)
		return;
	m->top_suspended = g->io->flags & DM_SUSPEND_FLAG;
	m->top_inactive = g->io->flags & DM_INACTIVE_PRESENT_FLAG;
	params = one_linear(g, m->jm->length);
	m->top_swapped = params && strcmp(params, m->jm->top_to) == 0;
}

static int load_old(struct group *g, struct gmember *m)
{
	if (!m->load)
		return -ENODATA;
	header(m->load, m->load_size, m->jm->name,
	       m->jm->read_only ? DM_READONLY_FLAG : 0);
	m->load->target_count = (uint32_t)m->jm->old.n;
	return ioctl(g->fd, DM_TABLE_LOAD, m->load) ? -errno : 0;
}

/* The new table cannot be resumed: the last resort is the old one. */
void force_back(struct group *g, struct gmember *m, struct rescue *r)
{
	int rc = load_old(g, m);

	if (!rc && m->src_there && g->verb != JV_END)
		rc = g_suspend(g, m->jm->src, OP_SUSPEND_NOFLUSH);
	tried(r, rc, m->jm->name);
	tried(r, g_resume(g, m->jm->name), m->jm->name);
}

static void start_forward(struct group *g, struct gmember *m, struct rescue *r)
{
	if (m->src_there && (m->src_suspended || m->src_inactive))
		tried(r, g_resume(g, m->jm->src), m->jm->src);
	if (!m->suspended && m->swapped)
		return;
	if (g_resume(g, m->jm->name))
		force_back(g, m, r);
}

static bool may_swap(struct group *g, struct gmember *m)
{
	struct mirror_status st;

	if (!m->jm->need_final)
		return m->suspended;
	return m->suspended &&
	       dmctl(g, DM_TABLE_STATUS, m->jm->name, DM_NOFLUSH_FLAG) == 0 &&
	       read_status(g, &st) == 0 && st.synced == SYNCED_FINAL;
}

/* This one goes on as a mirror, whatever the others are. */
static void stay_mirror(struct group *g, struct gmember *m, struct rescue *r)
{
	r->not_final = true;
	if (m->inactive)
		tried(r, g_clear(g, m->jm->name), m->jm->name);
	if (m->top_there && m->top_inactive)
		tried(r, g_clear(g, m->jm->top), m->jm->top);
	if (m->suspended)
		tried(r, g_resume(g, m->jm->name), m->jm->name);
	if (m->top_there && m->top_suspended)
		tried(r, g_resume(g, m->jm->top), m->jm->top);
}

/*
 * Once DEV is on TARGET, NAME must not go on as a mirror onto that disk: a
 * failed swap has destroyed NAME's next table, so it is loaded once more.
 */
static void top_forward(struct group *g, struct gmember *m, struct rescue *r)
{
	if (m->top_there && (m->top_suspended || !m->top_swapped))
		tried(r, g_resume(g, m->jm->top), m->jm->top);
	if (r->eno || !m->there || (m->swapped && !m->suspended))
		return;
	if (!m->swapped && !m->inactive)
		tried(r, load_old(g, m), m->jm->name);
	if (r->eno)
		return;
	if (g_resume(g, m->jm->name))
		force_back(g, m, r);
}

static void end_forward(struct group *g, struct gmember *m, struct rescue *r)
{
	bool done = m->swapped || m->top_swapped;

	if (!done && m->there &&
	    (!may_swap(g, m) || (m->jm->top[0] && !m->top_inactive))) {
		stay_mirror(g, m, r);
		return;
	}
	if (m->jm->top[0]) {
		top_forward(g, m, r);
		return;
	}
	if (!m->there || (m->swapped && !m->suspended))
		return;
	tried(r, g_resume(g, m->jm->name), m->jm->name);
}

void clear_all(struct group *g, struct rescue *r)
{
	size_t i;

	for (i = 0; i < g->n; i++) {
		struct gmember *m = &g->m[i];

		if (m->there && m->inactive)
			tried(r, g_clear(g, m->jm->name), m->jm->name);
		if (m->top_there && m->top_inactive)
			tried(r, g_clear(g, m->jm->top), m->jm->top);
	}
}

/* Lower devices first; NAME-qsrc out of the way before NAME is let go. */
void go_back(struct group *g, struct gmember *m, struct rescue *r)
{
	if (g->verb != JV_END && m->src_there && m->src_live &&
	    !m->src_suspended)
		tried(r, g_suspend(g, m->jm->src, OP_SUSPEND_NOFLUSH), m->jm->src);
	if (m->there && m->suspended)
		tried(r, g_resume(g, m->jm->name), m->jm->name);
	if (m->top_there && m->top_suspended)
		tried(r, g_resume(g, m->jm->top), m->jm->top);
}

void group_rescue(struct group *g, struct rescue *r)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	if (g->fd < 0) {
		r->eno = ENODEV;
		return;
	}
	for (i = 0; i < g->n; i++) {
		struct gmember *m = &g->m[i];

		probe_main(g, m, r);
		probe_src(g, m, r);
		probe_top(g, m, r);
		/* what we have not swapped yet is somebody else's doing */
		if (!g->none_swapped && ((m->there && m->swapped) ||
					 (m->top_there && m->top_swapped)))
			r->side = RESCUE_FORWARD;
	}
	/* the side is not known then, and the wrong one cannot be undone */
	if (r->eno)
		return;
	if (is_snapshot_verb(g->verb)) {
		snapshot_rescue(g, r);
		return;
	}
	if (r->side != RESCUE_FORWARD) {
		r->side = RESCUE_BACK;
		if (g->verb == JV_START_PLAIN)
			return;
		clear_all(g, r);
	}
	for (i = 0; i < g->n; i++) {
		if (r->side == RESCUE_BACK)
			go_back(g, &g->m[i], r);
		else if (g->verb == JV_END)
			end_forward(g, &g->m[i], r);
		else if (g->m[i].there)
			start_forward(g, &g->m[i], r);
	}
}

/* ---- sleeping on events ---- */

int dmpoll_open(void)
{
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* After this, poll() wakes for the next event of any dm device. */
int dmpoll_arm(int fd)
{
	struct dm_ioctl io;

	header(&io, sizeof(io), "", 0);
	io.version[1] = 37;	/* since when there is DM_DEV_ARM_POLL */
	return ioctl(fd, DM_DEV_ARM_POLL, &io) ? -errno : 0;
}

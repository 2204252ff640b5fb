// SPDX-License-Identifier: GPL-2.0
/*
 * The critical section against a model of device-mapper: for every number of
 * steps done before a death, and for every step that fails, group_rescue()
 * leaves nothing suspended, no table waiting, and each group wholly old or
 * wholly new. The model also watches that NAME and NAME-qsrc are never both
 * active on the old table.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "unit.h"

struct mdev {
	char name[NAME_LEN];
	char uuid[UUID_LEN];
	unsigned int minor;
	const char *live, *inactive;	/* "type params" */
	bool suspended, armed;
	int opens;
	uint64_t len;
};

static struct mdev devs[16];
static size_t ndevs;
static int fail_ioctl;		/* the n-th changing ioctl fails */
static int ioctls;
static const char *fail_table;	/* asking this one for its table fails... */
static int fail_times;		/* ...so many times */
static const char *final_word = "final", *state_word = "pending";

static struct mdev *find(const char *name)
{
	size_t i;

	for (i = 0; i < ndevs; i++)
		if (strcmp(devs[i].name, name) == 0)
			return &devs[i];
	return NULL;
}

static struct mdev *add(const char *name, const char *uuid, unsigned int minor,
			const char *live, const char *inactive)
{
	struct mdev *d = &devs[ndevs++];

	memset(d, 0, sizeof(*d));
	strcpy(d->name, name);
	strcpy(d->uuid, uuid);
	d->minor = minor;
	d->live = live;
	d->inactive = inactive;
	d->opens = 1;
	d->len = 2048;
	return d;
}

static void never_both(void)
{
	size_t i, k;

	for (i = 0; i < ndevs; i++)
		for (k = i + 1; k < ndevs; k++)
			if (devs[i].live && devs[k].live &&
			    strncmp(devs[i].live, "linear 8:", 9) == 0 &&
			    strcmp(devs[i].live, devs[k].live) == 0 &&
			    !devs[i].suspended && !devs[k].suspended)
				fail_msg("%s and %s are both active",
					 devs[i].name, devs[k].name);
}

static void all_suspended(void)
{
	size_t i;

	for (i = 0; i < ndevs; i++)
		if (devs[i].live && strncmp(devs[i].live, "cbw ", 4) == 0 &&
		    !devs[i].suspended)
			fail_msg("armed while %s runs", devs[i].name);
}

static int answer_table(struct dm_ioctl *io, const struct mdev *d, bool table)
{
	struct dm_target_spec *s;
	const char *blank;
	char *to;

	io->target_count = d->live ? 1 : 0;
	io->data_start = sizeof(*io);
	if (!d->live)
		return 0;
	s = (struct dm_target_spec *)(io + 1);
	memset(s, 0, sizeof(*s));
	s->length = d->len;
	blank = strchr(d->live, ' ');
	snprintf(s->target_type, sizeof(s->target_type), "%.*s",
		 (int)(blank - d->live), d->live);
	to = (char *)(s + 1);
	if (table)
		strcpy(to, blank + 1);
	else if (strncmp(d->live, "cbw ", 4) == 0)
		strcpy(to, d->armed ? "armed 1/8 0 - 0" : "idle 0/8 0 - 0");
	else
		sprintf(to, "%s %s 8/8 0/1 ok - 0 0 0 0 complete 0",
			state_word, final_word);
	return 0;
}

/* As the contract has it: arm only while suspended and not armed yet. */
static int message(struct mdev *d, const struct dm_ioctl *io)
{
	const struct dm_target_msg *t = (const struct dm_target_msg *)(io + 1);

	if (!d->live || strncmp(d->live, "cbw ", 4) != 0)
		return EINVAL;
	if (strcmp(t->message, "disarm") == 0) {
		d->armed = false;
		return 0;
	}
	if (strcmp(t->message, "arm") != 0)
		return EINVAL;
	if (!d->suspended || d->armed)
		return EBUSY;
	/* the instant must be the same for all: nobody may run any more */
	all_suspended();
	d->armed = true;
	return 0;
}

static int model(unsigned long req, struct dm_ioctl *io)
{
	struct mdev *d = find(io->name);
	uint32_t flags = io->flags;

	if (!d)
		return ENXIO;
	if (req == DM_TABLE_STATUS && fail_table &&
	    strcmp(fail_table, d->name) == 0 && fail_times-- > 0)
		return ENOMEM;
	if (req != DM_TABLE_STATUS && req != DM_DEV_STATUS &&
	    ++ioctls == fail_ioctl)
		return EIO;
	if (req == DM_TABLE_CLEAR) {
		d->inactive = NULL;
	} else if (req == DM_TABLE_LOAD) {
		struct dm_target_spec *s = (struct dm_target_spec *)(io + 1);
		static char text[512];

		snprintf(text, sizeof(text), "%s %s", s->target_type,
			 (char *)(s + 1));
		d->inactive = text;
	} else if (req == DM_DEV_SUSPEND && (flags & DM_SUSPEND_FLAG)) {
		d->suspended = true;
	} else if (req == DM_DEV_SUSPEND) {
		if (d->inactive)
			d->live = d->inactive;
		d->inactive = NULL;
		d->suspended = false;
		never_both();
	} else if (req == DM_TARGET_MSG) {
		int e = message(d, io);

		if (e)
			return e;
	}
	strcpy(io->uuid, d->uuid);
	io->dev = (253u << 8) | d->minor;
	io->open_count = d->opens;
	io->flags = (d->suspended ? DM_SUSPEND_FLAG : 0) |
		    (d->live ? DM_ACTIVE_PRESENT_FLAG : 0) |
		    (d->inactive ? DM_INACTIVE_PRESENT_FLAG : 0);
	if (req == DM_TABLE_STATUS)
		return answer_table(io, d, flags & DM_STATUS_TABLE_FLAG);
	return 0;
}

int __wrap_ioctl(int fd, unsigned long req, void *arg);
static const char *stuck;	/* suspending it waits for a signal */

int __wrap_ioctl(int fd __unused_arg, unsigned long req, void *arg)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	int e;

	if (stuck && req == DM_DEV_SUSPEND &&
	    (((struct dm_ioctl *)arg)->flags & DM_SUSPEND_FLAG) &&
	    strcmp(((struct dm_ioctl *)arg)->name, stuck) == 0) {
		pause();
		errno = EINTR;
		return -1;
	}
	/* suspends come from several threads */
	pthread_mutex_lock(&one);
	e = model(req, arg);
	pthread_mutex_unlock(&one);
	if (!e)
		return 0;
	errno = e;
	return -1;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode)
{
	if (strcmp(path, "/dev/mapper/control") == 0)
		path = "/dev/null";
	return __real_open(path, flags, mode);
}

/* ---- groups of n ---- */

#define MAX	3

static const char *const olds[MAX] = {
	"linear 8:0 0", "linear 8:16 0", "linear 8:32 0"
};
static const char *const mirrors[MAX] = {
	"qmirror 253:10 0 8:1 0", "qmirror 253:11 0 8:17 0",
	"qmirror 253:12 0 8:33 0"
};

struct rig {
	struct plan p;
	size_t n;
	bool top;
};

static void begin(struct rig *r, enum jverb verb, size_t n)
{
	memset(r, 0, sizeof(*r));
	memset(devs, 0, sizeof(devs));
	ndevs = 0;
	fail_ioctl = ioctls = 0;
	r->n = n;
	r->p.j.verb = verb;
	r->p.j.n = n;
	r->p.j.m = xcalloc(n, sizeof(*r->p.j.m));
}

static void member(struct rig *r, size_t i, const char *live, const char *next,
		   const char *src_live, const char *src_next)
{
	struct jmember *m = &r->p.j.m[i];

	sprintf(m->name, "d%zu", i);
	sprintf(m->src, "d%zu-qsrc", i);
	sprintf(m->src_uuid, UUID_SRC "%zu", i);
	m->major = 253;
	m->minor = (unsigned int)i;
	m->length = 2048;
	dmtable_add(&m->old, 0, 2048, "linear", olds[i] + 7);
	add(m->name, "", (unsigned int)i, live, next);
	add(m->src, m->src_uuid, (unsigned int)(10 + i), src_live, src_next);
}

static void rig_start(struct rig *r, size_t n)
{
	size_t i;

	begin(r, JV_START_SLIDE, n);
	for (i = 0; i < n; i++) {
		member(r, i, olds[i], mirrors[i], "error ", olds[i]);
		plan_add(&r->p, OP_SUSPEND_NOFLUSH, r->p.j.m[i].src, NULL);
	}
	for (i = 0; i < n; i++)
		plan_add(&r->p, OP_SUSPEND, r->p.j.m[i].name, NULL);
	for (i = 0; i < n; i++) {
		plan_add(&r->p, OP_RESUME, r->p.j.m[i].src, NULL);
		plan_add(&r->p, OP_RESUME, r->p.j.m[i].name, NULL);
	}
}

/* complete: on to the target; with top, DEV moves and NAME goes back */
static void rig_end(struct rig *r, size_t n, bool top)
{
	size_t i;

	begin(r, JV_END, n);
	r->top = top;
	for (i = 0; i < n; i++) {
		member(r, i, mirrors[i], top ? "linear 7:0 0" : "linear 7:1 0",
		       olds[i], NULL);
		r->p.j.m[i].need_final = true;
		if (top) {
			static const char *const over[] = {
				"linear 253:0 0", "linear 253:1 0",
				"linear 253:2 0"
			};
			char name[32];

			sprintf(name, "top%zu", i);
			add(name, "", (unsigned int)(20 + i), over[i],
			    "linear 7:9 0");
			strcpy(r->p.j.m[i].top, name);
			r->p.j.m[i].top_major = 253;
			r->p.j.m[i].top_minor = (unsigned int)(20 + i);
			strcpy(r->p.j.m[i].top_to, "7:9 0");
			plan_add(&r->p, OP_SUSPEND, name, NULL);
		}
		plan_add(&r->p, OP_SUSPEND, r->p.j.m[i].name, NULL);
	}
	for (i = 0; i < n; i++) {
		plan_add(&r->p, OP_CHECK_FINAL, r->p.j.m[i].name, NULL);
		if (top)
			plan_add(&r->p, OP_CHECK_ALONE, r->p.j.m[i].name,
				 r->p.j.m[i].top);
	}
	for (i = 0; i < n; i++) {
		if (top)
			plan_add(&r->p, OP_RESUME, r->p.j.m[i].top, NULL);
		plan_add(&r->p, OP_RESUME, r->p.j.m[i].name, NULL);
	}
}

static const char *const cbws[MAX] = {
	"cbw 253:10 0 8:1 0", "cbw 253:11 0 8:17 0", "cbw 253:12 0 8:33 0"
};

/* the window of snapshot create: all slid under, then suspend, arm, resume */
static void rig_window(struct rig *r, size_t n, bool stacked)
{
	size_t i;

	begin(r, JV_SNAPSHOT, n);
	for (i = 0; i < n; i++)
		member(r, i, cbws[i], NULL, olds[i], NULL);
	for (i = 0; i < n; i++)
		plan_add(&r->p, OP_SUSPEND_FREEZE, r->p.j.m[n - 1 - i].name,
			 NULL)->level = stacked ? (unsigned int)(n - i) : 1;
	for (i = 0; i < n; i++)
		plan_add(&r->p, OP_ARM, r->p.j.m[i].name, NULL);
	for (i = 0; i < n; i++)
		plan_add(&r->p, OP_RESUME, r->p.j.m[i].name, NULL);
}

/* the swap before it: the last member's turn, the others are idle cbws */
static void rig_slide(struct rig *r, size_t n)
{
	const struct jmember *m;
	size_t i;

	begin(r, JV_SNAPSHOT, n);
	for (i = 0; i + 1 < n; i++)
		member(r, i, cbws[i], NULL, olds[i], NULL);
	member(r, i, olds[i], cbws[i], "error ", olds[i]);
	m = &r->p.j.m[i];
	plan_add(&r->p, OP_SUSPEND_NOFLUSH, m->src, NULL);
	plan_add(&r->p, OP_SUSPEND, m->name, NULL);
	plan_add(&r->p, OP_RESUME, m->src, NULL);
	plan_add(&r->p, OP_RESUME, m->name, NULL);
}

static void run(struct rig *r, size_t steps)
{
	struct group *g = group_prepare(r->p.op, steps, &r->p.j);
	size_t at;

	group_enter();
	group_run(g, 1000, &at);
	group_leave();
	group_free(g);
}

static enum rescue_side rescue(struct rig *r, int *eno)
{
	struct group *g = group_prepare(NULL, 0, &r->p.j);
	struct rescue res;

	group_enter();
	group_rescue(g, &res);
	group_leave();
	group_free(g);
	if (eno)
		*eno = res.eno;
	return res.side;
}

/* Whole, free of waiting tables, nothing suspended. Returns how many new. */
static size_t settled(const struct rig *r)
{
	size_t i, new = 0;

	for (i = 0; i < r->n; i++) {
		const struct jmember *m = &r->p.j.m[i];
		struct mdev *d = find(m->name), *s = find(m->src);
		bool mirror = strncmp(d->live, "qmirror", 7) == 0;

		if (d->suspended || d->inactive)
			fail_msg("%s: suspended %d inactive %s", d->name,
				 d->suspended, d->inactive);
		if (mirror) {
			/* a live mirror needs its source */
			assert_false(s->suspended);
			assert_string_equal(s->live, olds[i]);
		}
		if (r->top) {
			struct mdev *t = find(m->top);

			assert_false(t->suspended);
			assert_null(t->inactive);
			assert_true(mirror == (strcmp(t->live,
						      "linear 7:9 0") != 0));
		}
		new += r->p.j.verb == JV_END ? !mirror : mirror;
	}
	return new;
}

static void finish(struct rig *r)
{
	plan_free(&r->p);
}

static void each_death(void (*make)(struct rig *r, size_t n, bool top),
		       bool top)
{
	size_t n, k, total, new;
	struct rig r;

	for (n = 1; n <= MAX; n++) {
		make(&r, n, top);
		total = r.p.n;
		finish(&r);
		for (k = 0; k <= total; k++) {
			enum rescue_side side;

			make(&r, n, top);
			run(&r, k);
			side = rescue(&r, NULL);
			new = settled(&r);
			assert_true(new == 0 || new == n);
			assert_true((side == RESCUE_FORWARD) == (new == n));
			if (k == total)
				assert_int_equal(new, n);
			/* and once more changes nothing */
			rescue(&r, NULL);
			assert_int_equal(settled(&r), new);
			finish(&r);
		}
	}
}

static void make_start(struct rig *r, size_t n, bool top __unused_arg)
{
	rig_start(r, n);
}

static void death_in_start(void **state __unused_arg)
{
	each_death(make_start, false);
}

static void death_in_end(void **state __unused_arg)
{
	each_death(rig_end, false);
}

static void death_in_replace(void **state __unused_arg)
{
	each_death(rig_end, true);
}

/* Every ioctl of run and rescue fails once: the next rescue puts it right. */
static void each_failure(void (*make)(struct rig *r, size_t n, bool top),
			 bool top)
{
	size_t n, new;
	struct rig r;
	int k;

	for (n = 1; n <= MAX; n++)
		for (k = 1; k < 60; k++) {
			make(&r, n, top);
			fail_ioctl = k;
			run(&r, r.p.n);
			rescue(&r, NULL);
			fail_ioctl = 0;
			rescue(&r, NULL);
			new = settled(&r);
			assert_true(new == 0 || new == n);
			finish(&r);
		}
}

static void failures(void **state __unused_arg)
{
	each_failure(make_start, false);
	each_failure(rig_end, false);
	each_failure(rig_end, true);
}

static void not_final(void **state __unused_arg)
{
	struct rig r;

	final_word = "no";
	state_word = "standby";
	rig_end(&r, 2, false);
	run(&r, r.p.n);
	assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
	assert_int_equal(settled(&r), 0);
	finish(&r);
	final_word = "final";
	state_word = "pending";
}

/*
 * Forward, but a member is not final any more (somebody resumed it): that one
 * goes on as a mirror, whatever the others are.
 */
static void not_final_any_more(void **state __unused_arg)
{
	struct rescue res;
	struct group *g;
	struct rig r;

	rig_end(&r, 2, false);
	run(&r, 5);	/* two suspends, two checks, the first resume */
	assert_string_equal(find("d0")->live, "linear 7:1 0");
	final_word = "no";
	g = group_prepare(NULL, 0, &r.p.j);
	group_enter();
	group_rescue(g, &res);
	group_leave();
	group_free(g);
	assert_int_equal(res.side, RESCUE_FORWARD);
	assert_true(res.not_final);
	assert_int_equal(settled(&r), 1);
	assert_string_equal(find("d1")->live, mirrors[1]);
	finish(&r);
	final_word = "final";
}

static void another_opener(void **state __unused_arg)
{
	struct rig r;
	size_t at = 0;
	struct group *g;

	rig_end(&r, 1, true);
	find("d0")->opens = 2;
	g = group_prepare(r.p.op, r.p.n, &r.p.j);
	group_enter();
	assert_int_equal(group_run(g, 1000, &at), -EPERM);
	group_leave();
	assert_int_equal(r.p.op[at].kind, OP_CHECK_ALONE);
	group_free(g);
	assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
	assert_int_equal(settled(&r), 0);
	finish(&r);
}

/*
 * DEV has been given another table, is shorter, or is another device of that
 * name: nothing is swapped, neither by the run nor by the rescue after any
 * number of its steps.
 */
static void top_is_not_ours(const char *live, unsigned int minor, uint64_t len)
{
	struct rig r;
	size_t at = 0, k;
	struct group *g;

	for (k = 0; k <= 4; k++) {
		rig_end(&r, 1, true);
		find("top0")->live = live;
		find("top0")->minor = minor;
		find("top0")->len = len;
		g = group_prepare(r.p.op, k < 4 ? k : r.p.n, &r.p.j);
		group_enter();
		assert_int_equal(group_run(g, 1000, &at), k < 4 ? 0 : -EPERM);
		group_leave();
		group_free(g);
		assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
		assert_string_equal(find("top0")->live, live);
		assert_string_equal(find("d0")->live, mirrors[0]);
		assert_false(find("d0")->suspended);
		assert_null(find("d0")->inactive);
		finish(&r);
		if (k == 2)	/* the next step is the check that says no */
			k++;
	}
}

static void top_moved_away(void **state __unused_arg)
{
	top_is_not_ours("linear 253:0 8", 20, 2048);
	top_is_not_ours("linear 8:99 0", 20, 2048);
	top_is_not_ours("linear 253:0 0", 20, 1024);
}

static void top_of_that_name(void **state __unused_arg)
{
	struct rig r;

	rig_end(&r, 1, true);
	find("top0")->minor = 21;
	run(&r, 2);
	assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
	assert_string_equal(find("d0")->live, mirrors[0]);
	/* a stranger's: suspended by name, but not ours to give a table to */
	assert_string_equal(find("top0")->live, "linear 253:0 0");
	finish(&r);
}

/* DEV has moved, and the failed swap of NAME has thrown its table away. */
static void top_swapped_main_lost(void **state __unused_arg)
{
	struct rig r;

	rig_end(&r, 1, true);
	dmtable_free(&r.p.j.m[0].old);
	dmtable_add(&r.p.j.m[0].old, 0, 2048, "linear", "7:0 0");
	run(&r, 5);	/* two suspends, two checks, DEV's resume */
	assert_string_equal(find("top0")->live, "linear 7:9 0");
	find("d0")->inactive = NULL;
	assert_int_equal(rescue(&r, NULL), RESCUE_FORWARD);
	assert_string_equal(find("d0")->live, "linear 7:0 0");
	assert_false(find("d0")->suspended);
	finish(&r);
}

/* No memory for an answer: the device is not gone, and nothing is changed. */
static void probe_fails(void **state __unused_arg)
{
	struct rig r;
	int eno;

	rig_start(&r, 1);
	run(&r, 2);
	fail_table = "d0";
	fail_times = 1000;
	rescue(&r, &eno);
	assert_int_equal(eno, ENOMEM);
	assert_true(find("d0")->suspended);
	fail_times = 1;
	rescue(&r, &eno);
	assert_int_equal(eno, 0);
	assert_int_equal(settled(&r), 0);
	fail_table = NULL;
	finish(&r);
}

/* Nobody suspended, no table waiting, and how many are armed. */
static size_t armed(const struct rig *r)
{
	size_t i, n = 0;

	for (i = 0; i < r->n; i++) {
		struct mdev *d = find(r->p.j.m[i].name);
		struct mdev *s = find(r->p.j.m[i].src);

		assert_false(d->suspended);
		assert_null(d->inactive);
		if (strncmp(d->live, "cbw ", 4) == 0) {
			assert_false(s->suspended);
			assert_string_equal(s->live, olds[i]);
		} else {
			assert_string_equal(d->live, olds[i]);
		}
		n += d->armed;
	}
	return n;
}

/* Dead after any step of the window: all have a snapshot, or nobody. */
static void death_in_window(void **state __unused_arg)
{
	size_t n, k, stacked;
	struct rig r;

	for (stacked = 0; stacked < 2; stacked++)
		for (n = 1; n <= MAX; n++)
			for (k = 0; k <= 3 * n; k++) {
				enum rescue_side side;

				rig_window(&r, n, stacked);
				run(&r, k);
				side = rescue(&r, NULL);
				assert_int_equal(armed(&r), k >= 2 * n ? n : 0);
				assert_true((side == RESCUE_FORWARD) ==
					    (k >= 2 * n));
				rescue(&r, NULL);
				assert_int_equal(armed(&r), k >= 2 * n ? n : 0);
				finish(&r);
			}
}

static void death_in_slide(void **state __unused_arg)
{
	size_t n, k;
	struct rig r;

	for (n = 1; n <= MAX; n++)
		for (k = 0; k <= 4; k++) {
			rig_slide(&r, n);
			run(&r, k);
			assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
			assert_int_equal(armed(&r), 0);
			finish(&r);
		}
}

/* Every ioctl of the window and of its rescue fails once. */
static void failures_in_window(void **state __unused_arg)
{
	size_t n, what;
	struct rig r;
	int k;

	for (what = 0; what < 2; what++)
		for (n = 1; n <= MAX; n++)
			for (k = 1; k < 40; k++) {
				if (what)
					rig_slide(&r, n);
				else
					rig_window(&r, n, false);
				fail_ioctl = k;
				run(&r, r.p.n);
				rescue(&r, NULL);
				fail_ioctl = 0;
				rescue(&r, NULL);
				assert_true(armed(&r) == 0 || armed(&r) == n);
				finish(&r);
			}
}

/* One of a level cannot be suspended: given up in time, and that one named. */
static void stuck_in_batch(void **state __unused_arg)
{
	struct rig r;
	size_t at = 99;
	struct group *g;

	rig_window(&r, 3, false);
	stuck = "d1";
	g = group_prepare(r.p.op, r.p.n, &r.p.j);
	group_enter();
	assert_int_equal(group_run(g, 200, &at), -ETIMEDOUT);
	group_leave();
	stuck = NULL;
	group_free(g);
	assert_string_equal(r.p.op[at].dev, "d1");
	assert_true(find("d0")->suspended && find("d2")->suspended);
	assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
	assert_int_equal(armed(&r), 0);
	finish(&r);
}

/* A resume fails once: all have their snapshot, and none stays suspended. */
static void resume_fails(void **state __unused_arg)
{
	struct rescue res;
	struct rig r;
	size_t at;
	struct group *g;

	rig_window(&r, 2, false);
	fail_ioctl = 5;		/* two suspends, two arms, a resume */
	g = group_prepare(r.p.op, r.p.n, &r.p.j);
	group_enter();
	assert_int_equal(group_run(g, 5000, &at), -EIO);
	assert_int_equal(r.p.op[at].kind, OP_RESUME);
	group_rescue(g, &res);
	group_leave();
	assert_int_equal(res.side, RESCUE_FORWARD);
	assert_int_equal(res.eno, 0);
	assert_true(group_window(g).frozen_us > 0);
	group_free(g);
	assert_int_equal(armed(&r), 2);
	finish(&r);
}

/* The member that failed is named, though all of its level went at once. */
static void first_of_batch(void **state __unused_arg)
{
	struct rig r;
	size_t at = 99;
	struct group *g;

	rig_window(&r, 3, false);
	memset(find("d1"), 0, sizeof(find("d1")->name));
	g = group_prepare(r.p.op, r.p.n, &r.p.j);
	group_enter();
	assert_int_equal(group_run(g, 5000, &at), -ENXIO);
	group_leave();
	assert_string_equal(r.p.op[at].dev, "d1");
	assert_int_equal(group_window(g).instant_us, 0);
	group_free(g);
	assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
	assert_false(find("d0")->suspended || find("d2")->suspended);
	finish(&r);
}

static void window_is_measured(void **state __unused_arg)
{
	struct window w;
	struct rig r;
	size_t at;
	struct group *g;

	rig_window(&r, 2, false);
	g = group_prepare(r.p.op, r.p.n, &r.p.j);
	group_enter();
	assert_int_equal(group_run(g, 5000, &at), 0);
	group_leave();
	w = group_window(g);
	group_free(g);
	assert_true(w.instant_us > 1700000000000000);
	assert_true(w.frozen_us > 0 && w.frozen_us < 5000000);
	finish(&r);
}

/* A dead `snapshot remove` is only let go here; the rest is done after. */
static void death_in_unsnapshot(void **state __unused_arg)
{
	struct rig r;
	size_t k;

	for (k = 0; k <= 2; k++) {
		begin(&r, JV_UNSNAPSHOT, 1);
		member(&r, 0, cbws[0], olds[0], olds[0], NULL);
		plan_add(&r.p, OP_SUSPEND, "d0", NULL);
		plan_add(&r.p, OP_RESUME, "d0", NULL);
		find("d0")->armed = k == 0;
		/* the never-both rule is for NAME-qsrc in use; here nobody is */
		find("d0-qsrc")->suspended = true;
		run(&r, k);
		find("d0-qsrc")->suspended = false;
		assert_int_equal(rescue(&r, NULL), RESCUE_BACK);
		assert_false(find("d0")->suspended);
		assert_null(find("d0")->inactive);
		/* no disarm: whether it had begun is not decided here */
		assert_int_equal(find("d0")->armed, k == 0);
		assert_string_equal(find("d0")->live, k == 2 ? olds[0] : cbws[0]);
		finish(&r);
	}
}

/* A device of the same name but another number or uuid is nobody's to touch. */
static void strangers(void **state __unused_arg)
{
	struct rig r;

	rig_start(&r, 1);
	find("d0")->minor = 77;
	find("d0")->suspended = true;
	strcpy(find("d0-qsrc")->uuid, "LVM-x");
	find("d0-qsrc")->suspended = true;
	rescue(&r, NULL);
	assert_true(find("d0")->suspended);
	assert_true(find("d0-qsrc")->suspended);
	assert_non_null(find("d0")->inactive);
	finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_in_start), cmocka_unit_test(death_in_end),
		cmocka_unit_test(death_in_replace), cmocka_unit_test(failures),
		cmocka_unit_test(not_final),
		cmocka_unit_test(not_final_any_more), cmocka_unit_test(another_opener),
		cmocka_unit_test(top_moved_away),
		cmocka_unit_test(top_of_that_name),
		cmocka_unit_test(top_swapped_main_lost),
		cmocka_unit_test(probe_fails), cmocka_unit_test(strangers),
		cmocka_unit_test(death_in_window),
		cmocka_unit_test(death_in_slide),
		cmocka_unit_test(failures_in_window),
		cmocka_unit_test(first_of_batch), cmocka_unit_test(resume_fails),
		cmocka_unit_test(stuck_in_batch),
		cmocka_unit_test(window_is_measured),
		cmocka_unit_test(death_in_unsnapshot),
	};

	return cmocka_run_group_tests_name("rescue", tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * events: what changed, as QEMU would say it. A dm event carries no data, so
 * each one makes us read every mirror and snapshot and compare with what was
 * there before: a reader that is late sees fewer steps, but never a wrong end.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qmirrorctl.h"

struct snap_seen {
	struct snapshot s;
	bool now;		/* there in this round */
};

struct seen {
	struct mirror m;
	bool now;		/* there in this round */
	bool closed;		/* COMPLETED or CANCELLED has been said */
};

static struct json_object *timestamp(void)
{
	struct json_object *o = json_object_new_object();
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	json_object_object_add(o, "seconds", json_object_new_int64(t.tv_sec));
	json_object_object_add(o, "microseconds",
			       json_object_new_int64(t.tv_nsec / 1000));
	return o;
}

/* data is ours to give away */
static void emit(const char *event, const char *dev, struct json_object *data,
		 const char *text)
{
	struct json_object *o;

	if (!opt.json) {
		printf("%s %s%s%s\n", event, dev, text ? " " : "",
		       text ? text : "");
		fflush(stdout);
		json_object_put(data);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "version", json_object_new_int(1));
	json_object_object_add(o, "timestamp", timestamp());
	json_object_object_add(o, "event", json_object_new_string(event));
	json_object_object_add(o, "data", data);
	json_line(o);
}

/* What a job that somebody else ended ended with. */
#define TAKEN	"table replaced or removed by somebody else"

static void emit_status(const char *name, const char *status,
			const char *error)
{
	struct json_object *d = json_object_new_object();
	char text[96];

	json_object_object_add(d, "id", json_object_new_string(name));
	json_object_object_add(d, "status", json_object_new_string(status));
	if (error)
		json_object_object_add(d, "error",
				       json_object_new_string(error));
	snprintf(text, sizeof(text), "%s%s%s", status, error ? ": " : "",
		 error ? error : "");
	emit("JOB_STATUS_CHANGE", name, d, text);
}

/* READY, COMPLETED, CANCELLED: the job's figures, and an error if there is one */
static void emit_job(const char *event, const struct mirror *m,
		     const char *error)
{
	struct json_object *d = json_object_new_object();
	const struct mirror_status *st = &m->st;

	json_object_object_add(d, "type", json_object_new_string("mirror"));
	json_object_object_add(d, "device",
			       json_object_new_string(m->dev.name));
	json_object_object_add(d, "len", json_object_new_int64((int64_t)
			       (st->len << SECTOR_SHIFT)));
	json_object_object_add(d, "offset", json_object_new_int64((int64_t)
			       (st->offset << SECTOR_SHIFT)));
	json_object_object_add(d, "speed", json_object_new_int64((int64_t)
			       (st->speed << SECTOR_SHIFT)));
	if (error)
		json_object_object_add(d, "error",
				       json_object_new_string(error));
	emit(event, m->dev.name, d, error);
}

/* "target:write:EIO:2048" with the policy that was applied */
static void emit_error(const struct mirror *m)
{
	struct json_object *d = json_object_new_object();
	const struct mirror_status *st = &m->st;
	bool target = strncmp(st->error, "target", 6) == 0;
	bool reading = strstr(st->error, ":read:");
	const char *action = st->state == MS_PAUSED ||
			     st->state == MS_STANDBY ? "stop" :
			     st->state == MS_ABORTING ||
			     st->state == MS_CONCLUDED ? "report" : "ignore";

	json_object_object_add(d, "device",
			       json_object_new_string(m->dev.name));
	json_object_object_add(d, "operation", json_object_new_string(
			       reading ? "read" : "write"));
	json_object_object_add(d, "action", json_object_new_string(action));
	json_object_object_add(d, "leg", json_object_new_string(
			       target ? "target" : "source"));
	json_object_object_add(d, "error", json_object_new_string(st->error));
	emit("BLOCK_JOB_ERROR", m->dev.name, d, st->error);
}

static bool is_ready(const struct mirror_status *st)
{
	return st->state == MS_READY || st->state == MS_STANDBY ||
	       st->state == MS_PENDING;
}

static void say_end(struct seen *s)
{
	const char *error = strcmp(s->m.st.error, "-") ? s->m.st.error : NULL;

	if (s->closed)
		return;
	s->closed = true;
	/*
	 * No error and nobody asked for a graceful end, or asked and then cut
	 * it short (a graceful end goes from pending to nothing): cancelled.
	 */
	if (!error && (s->m.st.ending == END_NONE ||
		       s->m.st.state == MS_ABORTING ||
		       s->m.st.state == MS_CONCLUDED))
		emit_job("BLOCK_JOB_CANCELLED", &s->m, NULL);
	else
		emit_job("BLOCK_JOB_COMPLETED", &s->m, error);
}

/* QEMU's order: the error, then the status, then READY or the end. */
static void compare(struct seen *s, const struct mirror *now, bool fresh)
{
	struct mirror_status was = s->m.st;

	s->m = *now;
	if (strcmp(now->st.error, "-") != 0 &&
	    (fresh || strcmp(was.error, now->st.error) != 0))
		emit_error(now);
	if (fresh || was.state != now->st.state)
		emit_status(now->dev.name, mstate_name(now->st.state), NULL);
	if (is_ready(&now->st) && (fresh || !is_ready(&was)))
		emit_job("BLOCK_JOB_READY", now, NULL);
	/* QEMU has no event for what it calls actively-synced; it comes and goes */
	if (now->st.synced != SYNCED_NO && (fresh || was.synced == SYNCED_NO))
		emit_job("BLOCK_JOB_SYNCED", now, NULL);
	if (now->st.state == MS_CONCLUDED)
		say_end(s);
	else
		s->closed = false;
}

static void gone(struct seen *s)
{
	bool taken = mirror_taken(&s->m);

	/* what is pending goes by being completed or cancelled: no error */
	if (!taken || s->closed)
		say_end(s);
	else
		emit_job("BLOCK_JOB_COMPLETED", &s->m, TAKEN);
	emit_status(s->m.dev.name, "null", taken ? TAKEN : NULL);
}

/* ---- snapshots: no jobs to QEMU, so what they do goes by the nearest name ---- */

/* "write:ENOSPC:2048": report, the guest was told; stop, the snapshot is over */
static void emit_snap_error(const struct snapshot *s)
{
	struct json_object *d = json_object_new_object();
	bool reading = strncmp(s->st.error, "read", 4) == 0;

	json_object_object_add(d, "device",
			       json_object_new_string(s->dev.name));
	json_object_object_add(d, "operation", json_object_new_string(
			       reading ? "read" : "write"));
	json_object_object_add(d, "action", json_object_new_string(
			       s->st.state == SS_BROKEN ? "stop" : "report"));
	json_object_object_add(d, "leg", json_object_new_string(
			       reading ? "source" : "store"));
	json_object_object_add(d, "error", json_object_new_string(s->st.error));
	emit("BLOCK_JOB_ERROR", s->dev.name, d, s->st.error);
}

/*
 * News of an arming may come a tenth of a second late, and a store may fail sooner
 * than that: what is broken was armed, and is said to have been. Not of what we found
 * so when we came.
 */
static void compare_snap(struct snap_seen *seen, const struct snapshot *now,
			 bool fresh, bool found)
{
	struct cbw_status was = seen->s.st;

	seen->s = *now;
	if (now->st.state == SS_BROKEN &&
	    (fresh ? !found : was.state == SS_IDLE))
		emit_status(now->dev.name, sstate_name(SS_ARMED), NULL);
	if (strcmp(now->st.error, "-") != 0 &&
	    (fresh || strcmp(was.error, now->st.error) != 0))
		emit_snap_error(now);
	if (fresh || was.state != now->st.state)
		emit_status(now->dev.name, sstate_name(now->st.state), NULL);
}

struct watch {
	struct seen *s;
	size_t n;
	struct snap_seen *snap;
	size_t snap_n;
	bool looked;		/* the first look is over */
	int argc;
	char **names;
};

static bool wanted(const struct watch *w, const char *name)
{
	int i;

	for (i = 0; i < w->argc; i++)
		if (strcmp(w->names[i], name) == 0)
			return true;
	return w->argc == 0;
}

static void round_of(struct watch *w, const struct mirror *m, size_t n)
{
	size_t i, k;

	for (k = 0; k < w->n; k++)
		w->s[k].now = false;
	for (i = 0; i < n; i++) {
		bool fresh;

		if (!wanted(w, m[i].dev.name))
			continue;
		for (k = 0; k < w->n; k++)
			if (strcmp(w->s[k].m.dev.name, m[i].dev.name) == 0)
				break;
		fresh = k == w->n;
		if (fresh) {
			w->s = reallocarray(w->s, ++w->n, sizeof(*w->s));
			if (!w->s)
				abort();
			memset(&w->s[k], 0, sizeof(w->s[k]));
		}
		w->s[k].now = true;
		compare(&w->s[k], &m[i], fresh);
	}
	for (k = 0; k < w->n; k++)
		if (!w->s[k].now) {
			gone(&w->s[k]);
			w->s[k--] = w->s[--w->n];
		}
}

static struct snap_seen *snap_of(struct watch *w, const char *name)
{
	size_t k;

	for (k = 0; k < w->snap_n; k++)
		if (strcmp(w->snap[k].s.dev.name, name) == 0)
			return &w->snap[k];
	return NULL;
}

static void round_of_snaps(struct watch *w, const struct snapshot *s, size_t n)
{
	size_t i, k;

	for (k = 0; k < w->snap_n; k++)
		w->snap[k].now = false;
	for (i = 0; i < n; i++) {
		struct snap_seen *seen = snap_of(w, s[i].dev.name);
		bool fresh = !seen;

		if (!wanted(w, s[i].dev.name))
			continue;
		if (fresh) {
			w->snap = reallocarray(w->snap, w->snap_n + 1,
					       sizeof(*w->snap));
			if (!w->snap)
				abort();
			seen = &w->snap[w->snap_n++];
			memset(seen, 0, sizeof(*seen));
		}
		seen->now = true;
		compare_snap(seen, &s[i], fresh, !w->looked);
	}
	for (k = 0; k < w->snap_n; k++)
		if (!w->snap[k].now) {
			const struct snapshot *was = &w->snap[k].s;

			emit_status(was->dev.name, "null",
				    job_taken(was->dev.name,
					      was->table.source) ? TAKEN : NULL);
			w->snap[k--] = w->snap[--w->snap_n];
		}
}

static int look(struct watch *w)
{
	struct snapshot *s;
	struct mirror *m;
	size_t n;
	int r = mirror_list(&m, &n);

	if (r)
		return r;
	round_of(w, m, n);
	free(m);
	r = snapshot_list(&s, &n);
	if (r)
		return r;
	round_of_snaps(w, s, n);
	free(s);
	w->looked = true;
	return 0;
}

static enum xit loop(struct watch *w)
{
	int64_t until = deadline_ms(opt.timeout_ms);
	int fd = dmpoll_open(), r = fd;

	while (r >= 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left;

		r = dmpoll_arm(fd);
		if (!r)
			r = look(w);
		if (r)
			break;
		/* the named ones are all gone: nothing more can happen */
		if (w->argc && !w->n && !w->snap_n)
			break;
		if (ferror(stdout))
			break;
		left = until - now_ms();
		if (left <= 0)
			break;
		poll(&p, 1, until == INT64_MAX ? -1 : (int)left);
	}
	if (fd >= 0)
		close(fd);
	return r < 0 ? err_set(XIT_FAIL, ST_NONE, r, NULL,
			       "cannot follow device-mapper events: %s",
			       strerror(-r)) : XIT_OK;
}

/* The name events go by, of a mirror or a snapshot. */
static enum xit name_of(const char *word, char **name)
{
	struct snapshot s;
	struct mirror m;
	struct blk b;
	enum xit x = blk_find(word, "NAME", &b);

	if (x == XIT_OK && b.is_dm && snapshot_read(b.dm.name, &s) == 0) {
		*name = xstrdup(s.dev.name);
		return XIT_OK;
	}
	if (x == XIT_OK)
		x = mirror_find(word, &m);
	*name = xstrdup(x == XIT_OK ? m.dev.name : word);
	return x;
}

enum xit cmd_events(int argc, char **argv)
{
	struct watch w = { .argc = argc };
	enum xit x = XIT_OK;
	int i;

	opt.watch = true;	/* an error is one line of JSON too */
	w.names = xcalloc((size_t)argc, sizeof(*w.names));
	for (i = 0; i < argc && x == XIT_OK; i++)
		x = name_of(argv[i], &w.names[i]);
	if (x == XIT_OK)
		x = loop(&w);
	for (i = 0; i < argc; i++)
		free(w.names[i]);
	free(w.names);
	free(w.s);
	free(w.snap);
	return x;
}

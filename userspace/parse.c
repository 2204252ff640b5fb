// SPDX-License-Identifier: GPL-2.0
/*
 * Words and numbers: what users type, what the target prints. No device is
 * touched here. Numbers are strict on purpose: no sign, no blanks, no
 * fraction, no rounding; what does not fit is an error, never a guess.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qmirrorctl.h"

/* Leading digits into *v; returns what follows them, or NULL. */
static const char *digits(const char *s, uint64_t *v)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)*s))
		return NULL;
	for (; isdigit((unsigned char)*s); s++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return NULL;
	}
	*v = n;
	return s;
}

int parse_u64(const char *s, uint64_t *v)
{
	uint64_t n;
	const char *end = digits(s, &n);

	if (!end || *end)
		return -EINVAL;
	*v = n;
	return 0;
}

/* SIZE: bytes, or with K M G T P, either case, and an optional iB. */
int parse_size(const char *s, uint64_t *bytes)
{
	static const char units[] = "kmgtp";
	uint64_t n;
	const char *end = digits(s, &n);
	const char *unit;

	if (!end)
		return -EINVAL;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit)
			return -EINVAL;
		end++;
		if (*end && strcasecmp(end, "ib") != 0)
			return -EINVAL;
		if (__builtin_mul_overflow(n,
				UINT64_C(1) << (10 * (unit - units + 1)), &n))
			return -ERANGE;
	}
	if (n > INT64_MAX)
		return -ERANGE;
	*bytes = n;
	return 0;
}

/* A SIZE that must be whole sectors. */
int parse_aligned(const char *s, uint64_t *bytes)
{
	uint64_t n;
	int r = parse_size(s, &n);

	if (r)
		return r;
	if (n % SECTOR_SIZE)
		return -EDOM;
	*bytes = n;
	return 0;
}

/* TIME: seconds, or with ms, s, m. At most some 24 days, so that it fits. */
int parse_time(const char *s, long *ms)
{
	uint64_t n, scale;
	const char *end = digits(s, &n);

	if (!end)
		return -EINVAL;
	if (!*end || strcmp(end, "s") == 0)
		scale = 1000;
	else if (strcmp(end, "ms") == 0)
		scale = 1;
	else if (strcmp(end, "m") == 0)
		scale = 60000;
	else
		return -EINVAL;
	if (__builtin_mul_overflow(n, scale, &n) || n > INT32_MAX)
		return -ERANGE;
	*ms = (long)n;
	return 0;
}

static enum xit bitmap_error(const char *what, size_t line, const char *why)
{
	enum xit x = err_set(XIT_USAGE, ST_CHECK, EINVAL, NULL,
			     "%s: line %zu: %s; nothing was changed",
			     what, line, why);

	err_file(what);
	return x;
}

static const char *bitmap_line(char *line, uint64_t dev_sectors,
			       struct range *r)
{
	char *save = NULL;
	char *a = strtok_r(line, " \t\n", &save);
	char *b = strtok_r(NULL, " \t\n", &save);
	uint64_t off, len;

	if (!b || strtok_r(NULL, " \t\n", &save))
		return "expected OFFSET LENGTH";
	if (parse_u64(a, &off) || parse_u64(b, &len))
		return "OFFSET and LENGTH are plain byte counts";
	if (off % SECTOR_SIZE || len % SECTOR_SIZE)
		return "not a multiple of 512 bytes";
	if (!len)
		return "LENGTH is zero";
	off >>= SECTOR_SHIFT;
	len >>= SECTOR_SHIFT;
	if (off >= dev_sectors || len > dev_sectors - off)
		return "past the end of the device";
	r->start = off;
	r->count = len;
	return NULL;
}

/* The whole file is read and checked before anything is done with it. */
enum xit parse_bitmap(FILE *in, const char *what, uint64_t dev_sectors,
		      struct ranges *out)
{
	size_t cap = 0, size = 0, lineno = 0;
	char *line = NULL;
	enum xit x = XIT_OK;
	ssize_t got;

	memset(out, 0, sizeof(*out));
	while ((got = getline(&line, &size, in)) >= 0) {
		const char *why;

		lineno++;
		if (strlen(line) != (size_t)got) {
			x = bitmap_error(what, lineno, "not text");
			break;
		}
		if (line[strspn(line, " \t\n")] == '\0')
			continue;
		if (out->n == cap) {
			cap = cap ? cap * 2 : 64;
			out->r = reallocarray(out->r, cap, sizeof(*out->r));
			if (!out->r)
				abort();
		}
		why = bitmap_line(line, dev_sectors, &out->r[out->n]);
		if (why) {
			x = bitmap_error(what, lineno, why);
			break;
		}
		out->n++;
	}
	if (x == XIT_OK && ferror(in)) {
		x = err_set(XIT_FAIL, ST_CHECK, EIO, NULL, "%s: cannot be read",
			    what);
		err_file(what);
	}
	free(line);
	if (x != XIT_OK) {
		free(out->r);
		memset(out, 0, sizeof(*out));
	}
	return x;
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Sorted, and what touches or overlaps made one: each range is a line of the
 * journal and locked memory of the watchdog, and neighbours come by the million.
 */
void ranges_merge(struct ranges *r)
{
	size_t i, n = 0;

	if (!r->n)
		return;
	qsort(r->r, r->n, sizeof(*r->r), by_start);
	for (i = 1; i < r->n; i++) {
		struct range *last = &r->r[n];
		uint64_t end = r->r[i].start + r->r[i].count;

		if (r->r[i].start > last->start + last->count)
			r->r[++n] = r->r[i];
		else if (end > last->start + last->count)
			last->count = end - last->start;
	}
	r->n = n + 1;
}

/* dm takes any byte but '/'; we also want one-line messages and journals. */
bool dm_name_ok(const char *name)
{
	size_t i;

	if (!*name || strlen(name) >= NAME_LEN || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	for (i = 0; name[i]; i++)
		if (name[i] == '/' || iscntrl((unsigned char)name[i]))
			return false;
	return true;
}

/* Is word one of "a|b|c"? */
bool word_in(const char *word, const char *list)
{
	size_t n = strlen(word);
	const char *p = list;

	if (!n || strchr(word, '|'))
		return false;
	while ((p = strstr(p, word))) {
		if ((p == list || p[-1] == '|') &&
		    (p[n] == '|' || p[n] == '\0'))
			return true;
		p += n;
	}
	return false;
}

static const char *const mstate_names[] = {
	[MS_RUNNING] = "running",
	[MS_PAUSED] = "paused",
	[MS_READY] = "ready",
	[MS_STANDBY] = "standby",
	[MS_PENDING] = "pending",
	[MS_ABORTING] = "aborting",
	[MS_CONCLUDED] = "concluded",
};

static const char *const synced_names[] = { "no", "yes", "final" };
static const char *const ending_names[] = { "-", "complete", "cancel" };

const char *mstate_name(enum mstate s)
{
	return mstate_names[s];
}

/*
 * A line of the target, word by word. It is cut in place: no allocation, so
 * the critical section may parse a status too.
 */
struct words {
	char *next;
	int bad;
};

static char *word(struct words *w)
{
	char *start = w->next + strspn(w->next, " ");

	if (!*start) {
		w->bad = 1;
		return start;
	}
	w->next = start + strcspn(start, " ");
	if (*w->next)
		*w->next++ = '\0';
	return start;
}

static uint64_t word_u64(struct words *w)
{
	uint64_t v = 0;

	if (parse_u64(word(w), &v))
		w->bad = 1;
	return v;
}

static void word_pair(struct words *w, uint64_t *a, uint64_t *b)
{
	char *s = word(w);
	char *slash = strchr(s, '/');

	if (!slash) {
		w->bad = 1;
		return;
	}
	*slash = '\0';
	if (parse_u64(s, a) || parse_u64(slash + 1, b) || *a > *b)
		w->bad = 1;
}

static int word_enum(struct words *w, const char *const *names, size_t n)
{
	const char *s = word(w);
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(s, names[i]) == 0)
			return (int)i;
	w->bad = 1;
	return 0;
}

static void word_str(struct words *w, char *buf, size_t size)
{
	const char *s = word(w);

	if (strlen(s) >= size) {
		w->bad = 1;
		return;
	}
	memcpy(buf, s, strlen(s) + 1);
}

int parse_mirror_status(const char *params, struct mirror_status *st)
{
	char buf[1024];
	struct words w = { buf, 0 };
	uint64_t nargs;

	if (strlen(params) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, params);
	memset(st, 0, sizeof(*st));
	st->state = word_enum(&w, mstate_names, ARRAY_SIZE(mstate_names));
	st->synced = word_enum(&w, synced_names, ARRAY_SIZE(synced_names));
	word_pair(&w, &st->offset, &st->len);
	word_pair(&w, &st->dirty, &st->chunks);
	word_str(&w, st->io_status, sizeof(st->io_status));
	word_str(&w, st->error, sizeof(st->error));
	st->source_errors = word_u64(&w);
	st->target_errors = word_u64(&w);
	st->in_flight = word_u64(&w);
	nargs = word_u64(&w);
	if (nargs % 2 || nargs > 64)
		return -EINVAL;
	for (; nargs && !w.bad; nargs -= 2) {
		const char *arg = word(&w);

		if (strcmp(arg, "speed") == 0)
			st->speed = word_u64(&w);
		else if (strcmp(arg, "copy_mode") == 0)
			word_str(&w, st->copy_mode, sizeof(st->copy_mode));
		else if (strcmp(arg, "on_source_error") == 0)
			word_str(&w, st->on_source_error,
				 sizeof(st->on_source_error));
		else if (strcmp(arg, "on_target_error") == 0)
			word_str(&w, st->on_target_error,
				 sizeof(st->on_target_error));
		else
			word(&w);	/* a newer target: new settings */
	}
	st->ending = word_enum(&w, ending_names, ARRAY_SIZE(ending_names));
	st->orphans = word_u64(&w);
	/* new fields may follow: they are added at the end */
	return w.bad ? -EINVAL : 0;
}

static void table_arg(struct words *w, const char *arg, struct mirror_table *t)
{
	if (strcmp(arg, "sync") == 0)
		word_str(w, t->sync, sizeof(t->sync));
	else if (strcmp(arg, "copy_mode") == 0)
		word_str(w, t->copy_mode, sizeof(t->copy_mode));
	else if (strcmp(arg, "on_source_error") == 0)
		word_str(w, t->on_source_error, sizeof(t->on_source_error));
	else if (strcmp(arg, "on_target_error") == 0)
		word_str(w, t->on_target_error, sizeof(t->on_target_error));
	else if (strcmp(arg, "granularity") == 0)
		t->granularity = word_u64(w);
	else if (strcmp(arg, "speed") == 0)
		t->speed = word_u64(w);
	/* anything else: a flag, or a value nobody here needs */
}

int parse_mirror_table(const char *params, struct mirror_table *t)
{
	char buf[1024];
	struct words w = { buf, 0 };
	char *stop;
	uint64_t nargs = 0;

	if (strlen(params) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, params);
	memset(t, 0, sizeof(*t));
	strcpy(t->sync, "full");
	strcpy(t->copy_mode, "background");
	strcpy(t->on_source_error, "report");
	strcpy(t->on_target_error, "report");
	t->granularity = 128;
	word_str(&w, t->source, sizeof(t->source));
	t->source_offset = word_u64(&w);
	word_str(&w, t->target, sizeof(t->target));
	t->target_offset = word_u64(&w);
	if (w.bad)
		return -EINVAL;
	stop = w.next + strspn(w.next, " ");
	if (!*stop)
		return 0;
	nargs = word_u64(&w);
	if (w.bad || nargs > 64)
		return -EINVAL;
	while (w.next[strspn(w.next, " ")] && !w.bad)
		table_arg(&w, word(&w), t);
	return w.bad ? -EINVAL : 0;
}

/* ---- what the targets of dm-cbw print ---- */

static const char *const sstate_names[] = {
	[SS_IDLE] = "idle",
	[SS_ARMED] = "armed",
	[SS_BROKEN] = "broken",
};

static const char *const vstate_names[] = {
	[VS_UNKNOWN] = "unknown",
	[VS_LIVE] = "live",
	[VS_BROKEN] = "broken",
	[VS_ENDED] = "ended",
};

const char *sstate_name(enum sstate s)
{
	return sstate_names[s];
}

const char *vstate_name(enum vstate s)
{
	return vstate_names[s];
}

/* The state at the head of a status line, < 0: none. For the critical section. */
int sstate_of(const char *params)
{
	size_t i, n = strcspn(params, " ");

	for (i = 0; i < ARRAY_SIZE(sstate_names); i++)
		if (strlen(sstate_names[i]) == n &&
		    strncmp(params, sstate_names[i], n) == 0)
			return (int)i;
	return -EINVAL;
}

int parse_cbw_status(const char *params, struct cbw_status *st)
{
	char buf[1024];
	struct words w = { buf, 0 };

	if (strlen(params) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, params);
	memset(st, 0, sizeof(*st));
	st->state = word_enum(&w, sstate_names, ARRAY_SIZE(sstate_names));
	word_pair(&w, &st->copied, &st->clusters);
	st->in_flight = word_u64(&w);
	word_str(&w, st->error, sizeof(st->error));
	st->failed_writes = word_u64(&w);
	/* the settings follow; the table has them too */
	return w.bad ? -EINVAL : 0;
}

static void cbw_arg(struct words *w, const char *arg, struct cbw_table *t)
{
	if (strcmp(arg, "cluster_size") == 0)
		t->cluster_size = word_u64(w);
	else if (strcmp(arg, "on_cbw_error") == 0)
		word_str(w, t->on_cbw_error, sizeof(t->on_cbw_error));
	else if (strcmp(arg, "cbw_timeout") == 0)
		t->cbw_timeout = word_u64(w);
	/* anything else: a flag, or a value nobody here needs */
}

int parse_cbw_table(const char *params, struct cbw_table *t)
{
	char buf[1024];
	struct words w = { buf, 0 };

	if (strlen(params) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, params);
	memset(t, 0, sizeof(*t));
	strcpy(t->on_cbw_error, "break-guest-write");
	t->cluster_size = 128;
	word_str(&w, t->source, sizeof(t->source));
	t->source_offset = word_u64(&w);
	word_str(&w, t->store, sizeof(t->store));
	t->store_offset = word_u64(&w);
	if (w.bad)
		return -EINVAL;
	if (!w.next[strspn(w.next, " ")])
		return 0;
	if (word_u64(&w) > 64 || w.bad)
		return -EINVAL;
	while (w.next[strspn(w.next, " ")] && !w.bad)
		cbw_arg(&w, word(&w), t);
	return w.bad || !t->cluster_size ? -EINVAL : 0;
}

int parse_view_status(const char *params, enum vstate *state, char *error,
		      size_t size)
{
	char buf[256];
	struct words w = { buf, 0 };

	if (strlen(params) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, params);
	*state = (enum vstate)word_enum(&w, vstate_names,
					ARRAY_SIZE(vstate_names));
	word_str(&w, error, size);
	return w.bad || *state == VS_UNKNOWN ? -EINVAL : 0;
}

const char *human_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const unit[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
	};
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1024 && i + 1 < ARRAY_SIZE(unit)) {
		v /= 1024;
		i++;
	}
	snprintf(buf, size, i ? "%.1f %s" : "%.0f %s", v, unit[i]);
	return buf;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A mirror as the tool sees it, and the verbs that are one message to it:
 * pause, resume, set, mark-dirty.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qmirrorctl.h"

/* ranges in one mark_dirty message: some 2 KiB of text */
#define RANGES_A_MESSAGE	64

/* ---- reading ---- */

/* "253:3" as people say it */
void devno_path(const char *devno, char *buf, size_t size)
{
	char label[NAME_LEN];
	unsigned int maj, min;
	int end = 0;

	if (sscanf(devno, "%u:%u%n", &maj, &min, &end) != 2 || devno[end])
		snprintf(buf, size, "%s", devno);
	else if (sysfs_str(maj, min, "dm/name", label, sizeof(label)) == 0)
		snprintf(buf, size, "/dev/mapper/%s", label);
	else
		blk_node(maj, min, buf, size);
}

/* 0; -ENXIO: no device; -ENODATA: no mirror on it; -EPROTO: a line unknown */
int mirror_read(const char *name, struct mirror *m)
{
	struct dmtable t;
	int r;

	memset(m, 0, sizeof(*m));
	m->rate = m->eta = -1;
	r = dm_get(name, &m->dev);
	if (r)
		return r;
	r = dm_table(name, false, &t);
	if (r)
		return r;
	if (t.n != 1 || strcmp(t.line[0].type, "qmirror") != 0)
		r = -ENODATA;
	else if (parse_mirror_table(t.line[0].params, &m->table))
		r = -EPROTO;
	else
		m->sectors = t.line[0].len;
	dmtable_free(&t);
	if (r)
		return r;
	r = dm_status(name, &t);
	if (r)
		return r;
	/* it may have been swapped between the two questions */
	if (t.n != 1 || strcmp(t.line[0].type, "qmirror") != 0)
		r = -ENODATA;
	else if (parse_mirror_status(t.line[0].params, &m->st))
		r = -EPROTO;
	dmtable_free(&t);
	devno_path(m->table.source, m->source, sizeof(m->source));
	devno_path(m->table.target, m->target, sizeof(m->target));
	return r;
}

static enum xit read_error(const char *name, int r)
{
	switch (r) {
	case 0:
		return XIT_OK;
	case -ENXIO:
		return err_set(XIT_NODEV, ST_LOOKUP, ENODEV, name,
			       "%s: no such device-mapper device", name);
	case -ENODATA:
		return err_set(XIT_STATE, ST_LOOKUP, ENODATA, name,
			       "%s carries no mirror; `qmirrorctl status` lists those there are",
			       name);
	case -EPROTO:
		return err_set(XIT_FAIL, ST_LOOKUP, EPROTO, name,
			       "%s: the status line of the qmirror target is not understood: do module and qmirrorctl belong together?",
			       name);
	default:
		return err_set(XIT_FAIL, ST_LOOKUP, r, name, "%s: %s", name,
			       strerror(-r));
	}
}

enum xit mirror_find(const char *word, struct mirror *m)
{
	struct blk b;
	enum xit x = blk_find(word, "NAME", &b);

	if (x != XIT_OK)
		return x;
	if (!b.is_dm)
		return err_set(XIT_STATE, ST_LOOKUP, ENODATA, word,
			       "%s is no device-mapper device and carries no mirror",
			       word);
	return read_error(b.dm.name, mirror_read(b.dm.name, m));
}

enum xit mirror_refresh(struct mirror *m)
{
	struct mirror now;
	int r = mirror_read(m->dev.name, &now);

	if (r)
		return read_error(m->dev.name, r);
	now.rate = m->rate;
	now.eta = m->eta;
	*m = now;
	return XIT_OK;
}

/* NAME-qsrc below a mirror that was slid under; false for a plain one. */
bool mirror_src(const struct mirror *m, struct dmdev *src)
{
	unsigned int maj, min;

	return sscanf(m->table.source, "%u:%u", &maj, &min) == 2 &&
	       dm_get_by_devno(maj, min, src) == 0 &&
	       strncmp(src->uuid, UUID_SRC, strlen(UUID_SRC)) == 0;
}

/* What was `final` was not taken: that is when a mirror is ended by hand. */
bool mirror_taken(const struct mirror *m)
{
	return m->st.synced != SYNCED_FINAL &&
	       job_taken(m->dev.name, m->table.source);
}

int mirror_list(struct mirror **list, size_t *n)
{
	struct dmdev *dev;
	size_t i, nd;
	int r = dm_list(&dev, &nd);

	*list = NULL;
	*n = 0;
	if (r)
		return r;
	*list = xcalloc(nd, sizeof(**list));
	for (i = 0; i < nd; i++)
		if (mirror_read(dev[i].name, *list + *n) == 0)
			(*n)++;
	free(dev);
	return 0;
}

/* ---- messages ---- */

static enum xit message_error(const char *name, const char *msg, int r)
{
	struct mirror m;

	if (r == -EBUSY && mirror_read(name, &m) == 0)
		return err_set(XIT_STATE, ST_NONE, r, name,
			       "%s is %s, which does not take `%s`%s", name,
			       mstate_name(m.st.state), msg,
			       m.st.state == MS_PAUSED ||
			       m.st.state == MS_STANDBY ?
			       "; resume it first" : "");
	return err_set(XIT_FAIL, ST_NONE, r, name, "%s: message `%.60s`: %s",
		       name, msg, strerror(-r));
}

enum xit mirror_message(struct mirror *m, const char *msg)
{
	int r = dm_message(m->dev.name, msg, NULL, 0);

	return r ? message_error(m->dev.name, msg, r) : XIT_OK;
}

/* A plan of messages and nothing else: printed, or sent in order. */
enum xit messages_run(struct plan *p)
{
	enum xit x = XIT_OK;
	size_t i;
	int r;

	if (opt.dry_run) {
		plan_print(p);
		return XIT_OK;
	}
	for (i = 0; i < p->n && x == XIT_OK; i++) {
		r = dm_message(p->op[i].dev, p->op[i].text, NULL, 0);
		if (r)
			x = message_error(p->op[i].dev, p->op[i].text, r);
	}
	return x;
}

/* A message with ranges, cut into as many as it takes. */
void plan_ranges(struct plan *p, const char *name, const char *verb,
		 const struct ranges *r)
{
	size_t i, j, size;
	char *text;
	FILE *f;

	for (i = 0; i < r->n; i += RANGES_A_MESSAGE) {
		f = open_memstream(&text, &size);
		if (!f)
			abort();
		fputs(verb, f);
		for (j = i; j < r->n && j < i + RANGES_A_MESSAGE; j++)
			fprintf(f, " %llu %llu",
				(unsigned long long)r->r[j].start,
				(unsigned long long)r->r[j].count);
		if (fclose(f))
			abort();
		plan_add(p, OP_MESSAGE, name, text);
		free(text);
	}
}

enum xit mirror_mark_dirty(const char *name, const struct ranges *r)
{
	struct plan p = { 0 };
	enum xit x;

	plan_ranges(&p, name, "mark_dirty", r);
	x = messages_run(&p);
	plan_free(&p);
	return x;
}

enum xit bitmap_load(const char *file, uint64_t dev_sectors,
		     struct ranges *out)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	enum xit x;

	if (!f) {
		x = err_set(XIT_FAIL, ST_CHECK, errno, NULL,
			    "%s cannot be opened: %s", file, strerror(errno));
		err_file(file);
		return x;
	}
	x = parse_bitmap(f, file, dev_sectors, out);
	if (x == XIT_OK)
		ranges_merge(out);
	if (f != stdin)
		fclose(f);
	return x;
}

/* ---- verbs ---- */

/*
 * Looks all names up before the first message: a typo, or one that does not take
 * pause or resume any more, changes nothing.
 */
static enum xit find_all(int argc, char **argv, const char *msg,
			 struct mirror *m)
{
	enum xit x = XIT_OK;
	int i;

	for (i = 0; i < argc && x == XIT_OK; i++) {
		x = mirror_find(argv[i], &m[i]);
		if (x == XIT_OK && m[i].st.state >= MS_PENDING)
			x = err_set(XIT_STATE, ST_CHECK, EBUSY, m[i].dev.name,
				    "%s is %s, which does not take `%s`%s",
				    m[i].dev.name, mstate_name(m[i].st.state),
				    msg, argc > 1 ? "; nothing was changed" : "");
	}
	return x;
}

static enum xit locked_messages(struct plan *p, const char *what, char **names,
				int n)
{
	enum xit x = opt.dry_run ? XIT_OK : lock_take(what, true);

	if (x == XIT_OK)
		x = messages_run(p);
	lock_release();
	plan_free(p);
	if (x != XIT_OK || opt.dry_run)
		return x;
	return report_done(names, n);
}

static enum xit message_to_all(int argc, char **argv, const char *msg)
{
	struct mirror *m = xcalloc((size_t)argc, sizeof(*m));
	enum xit x = find_all(argc, argv, msg, m);
	struct plan p = { 0 };
	char *what;
	int i;

	for (i = 0; i < argc && x == XIT_OK; i++)
		plan_add(&p, OP_MESSAGE, m[i].dev.name, msg);
	free(m);
	if (x != XIT_OK) {
		plan_free(&p);
		return x;
	}
	what = xasprintf("mirror %s", msg);
	x = locked_messages(&p, what, argv, argc);
	free(what);
	return x;
}

enum xit cmd_mirror_pause(int argc, char **argv)
{
	return message_to_all(argc, argv, "pause");
}

enum xit cmd_mirror_resume(int argc, char **argv)
{
	return message_to_all(argc, argv, "resume");
}

#define POLICIES	"report|ignore|stop|enospc|auto"

static const struct {
	const char *arg, *msg, *values;
} settings[] = {
	{ "speed", "speed", NULL },
	{ "copy-mode", "copy_mode", "background|write-blocking" },
	{ "on-source-error", "on_source_error", POLICIES },
	{ "on-target-error", "on_target_error", POLICIES },
};

/* ARG=VALUE into the message that sets it. */
static char *setting(const char *word)
{
	const char *eq = strchr(word, '=');
	uint64_t bytes;
	char arg[32];
	size_t i, k;

	if (!eq || eq == word || (size_t)(eq - word) >= sizeof(arg)) {
		err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			"'%s': expected ARG=VALUE, ARG one of speed, copy-mode, on-source-error, on-target-error",
			word);
		return NULL;
	}
	for (k = 0; word + k < eq; k++)
		arg[k] = (char)(word[k] == '_' ? '-' : word[k]);
	arg[k] = '\0';
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (strcmp(arg, settings[i].arg) == 0)
			break;
	if (i == ARRAY_SIZE(settings)) {
		err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			"'%s' cannot be set: take speed, copy-mode, on-source-error or on-target-error",
			arg);
		return NULL;
	}
	if (settings[i].values) {
		if (word_in(eq + 1, settings[i].values))
			return xasprintf("set %s %s", settings[i].msg, eq + 1);
		err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			"%s: '%s' is none of %s", arg, eq + 1,
			settings[i].values);
		return NULL;
	}
	if (parse_aligned(eq + 1, &bytes)) {
		err_set(XIT_USAGE, ST_NONE, EINVAL, NULL,
			"%s: '%s' is no RATE in whole sectors (bytes a second, or with K to P)",
			arg, eq + 1);
		return NULL;
	}
	return xasprintf("set speed %llu",
			 (unsigned long long)bytes >> SECTOR_SHIFT);
}

enum xit cmd_mirror_set(int argc, char **argv)
{
	struct plan p = { 0 };
	struct mirror m;
	char **msg = xcalloc((size_t)argc, sizeof(*msg));
	enum xit x = XIT_OK;
	int i;

	for (i = 1; i < argc && x == XIT_OK; i++) {
		msg[i] = setting(argv[i]);
		if (!msg[i])
			x = XIT_USAGE;
	}
	if (x == XIT_OK)
		x = mirror_find(argv[0], &m);
	for (i = 1; i < argc && x == XIT_OK; i++)
		plan_add(&p, OP_MESSAGE, m.dev.name, msg[i]);
	for (i = 1; i < argc; i++)
		free(msg[i]);
	free(msg);
	if (x != XIT_OK) {
		plan_free(&p);
		return x;
	}
	return locked_messages(&p, "mirror set", argv, 1);
}

enum xit cmd_mirror_mark_dirty(int argc __unused_arg, char **argv)
{
	struct plan p = { 0 };
	struct ranges r = { 0 };
	struct mirror m = { 0 };
	enum xit x = mirror_find(argv[0], &m);

	if (x == XIT_OK)
		x = bitmap_load(argv[1], m.sectors, &r);
	if (x != XIT_OK)
		return x;
	plan_ranges(&p, m.dev.name, "mark_dirty", &r);
	free(r.r);
	return locked_messages(&p, "mirror mark-dirty", argv, 1);
}

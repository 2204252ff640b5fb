// SPDX-License-Identifier: GPL-2.0
/*
 * All of libdevmapper. Functions return 0 or -errno; what the kernel or the
 * library said about it is in dm_said(). Nothing here may be called while a
 * device of ours is suspended: dm_task_run() allocates, logs and touches /dev
 * (that is group.c's business, with raw ioctls from prepared buffers).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <libdevmapper.h>

#include "qmirrorctl.h"

static char said[256];

const char *dm_said(void)
{
	return said;
}

static void log_line(int level, const char *file __unused_arg,
		      int line __unused_arg, int dm_errno __unused_arg,
		      const char *fmt, ...) __printf(5, 6);

static void log_line(int level, const char *file __unused_arg,
		      int line __unused_arg, int dm_errno __unused_arg,
		      const char *fmt, ...)
{
	va_list ap;

	level &= 7;
	if (level > 3 && !(opt.verbose && level <= 4))
		return;
	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	verbose("libdevmapper: %s", said);
}

void dm_begin(void)
{
	dm_log_with_errno_init(log_line);
	/* names are taken and shown as the kernel has them */
	dm_set_name_mangling_mode(DM_STRING_MANGLING_NONE);
}

void dm_end(void)
{
	dm_lib_release();
}

/* Wait for udev, or without it make and remove the nodes ourselves. */
void dm_settle(void)
{
	dm_task_update_nodes();
}

static struct dm_task *task(int type, const char *name)
{
	struct dm_task *t = dm_task_create(type);

	said[0] = '\0';
	if (t && name && !dm_task_set_name(t, name)) {
		dm_task_destroy(t);
		t = NULL;
	}
	return t;
}

/* Runs, destroys, and turns the outcome into 0 or -errno. */
static int finish(struct dm_task *t)
{
	int r = 0;

	if (!t)
		return -ENOMEM;
	if (!dm_task_run(t)) {
		r = dm_task_get_errno(t);
		r = r ? -r : -EIO;
	}
	dm_task_destroy(t);
	return r;
}

/* The same with a udev cookie: the nodes are right when it returns. */
static int finish_udev(struct dm_task *t, bool hidden)
{
	uint32_t cookie = 0;
	uint16_t udev_flags = 0;
	int r;

	if (!t)
		return -ENOMEM;
	if (hidden)
		udev_flags = DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
			     DM_UDEV_DISABLE_DISK_RULES_FLAG |
			     DM_UDEV_DISABLE_OTHER_RULES_FLAG;
	if (!dm_task_set_cookie(t, &cookie, udev_flags)) {
		dm_task_destroy(t);
		return -EIO;
	}
	r = finish(t);
	dm_udev_wait(cookie);
	return r;
}

static void fill(struct dm_task *t, const struct dm_info *info,
		 struct dmdev *d)
{
	const char *name = dm_task_get_name(t);
	const char *uuid = dm_task_get_uuid(t);

	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name ? name : "");
	snprintf(d->uuid, sizeof(d->uuid), "%s", uuid ? uuid : "");
	d->major = info->major;
	d->minor = info->minor;
	d->exists = true;
	d->suspended = info->suspended;
	d->live = info->live_table;
	d->inactive = info->inactive_table;
	d->read_only = info->read_only;
	d->open_count = info->open_count;
	d->event_nr = info->event_nr;
}

static int get(struct dm_task *t, struct dmdev *d)
{
	struct dm_info info;
	int r = -EIO;

	if (!t)
		return -ENOMEM;
	if (!dm_task_run(t)) {
		r = dm_task_get_errno(t);
		r = r ? -r : -EIO;
	} else if (dm_task_get_info(t, &info)) {
		r = info.exists ? 0 : -ENXIO;
		if (!r)
			fill(t, &info, d);
	}
	dm_task_destroy(t);
	return r;
}

int dm_get(const char *name, struct dmdev *d)
{
	return get(task(DM_DEVICE_INFO, name), d);
}

int dm_get_by_devno(unsigned int major, unsigned int minor, struct dmdev *d)
{
	struct dm_task *t = task(DM_DEVICE_INFO, NULL);

	if (t && (!dm_task_set_major(t, (int)major) ||
		  !dm_task_set_minor(t, (int)minor))) {
		dm_task_destroy(t);
		t = NULL;
	}
	return get(t, d);
}

/* ---- tables ---- */

void dmtable_add(struct dmtable *t, uint64_t start, uint64_t len,
		 const char *type, const char *params)
{
	struct dmline *line = reallocarray(t->line, t->n + 1, sizeof(*line));

	if (!line)
		abort();	/* outside every critical section */
	t->line = line;
	line += t->n++;
	line->start = start;
	line->len = len;
	line->type = xstrdup(type);
	line->params = xstrdup(params);
}

void dmtable_copy(struct dmtable *to, const struct dmtable *from)
{
	size_t i;

	memset(to, 0, sizeof(*to));
	for (i = 0; i < from->n; i++)
		dmtable_add(to, from->line[i].start, from->line[i].len,
			    from->line[i].type, from->line[i].params);
}

void dmtable_free(struct dmtable *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		free(t->line[i].type);
		free(t->line[i].params);
	}
	free(t->line);
	memset(t, 0, sizeof(*t));
}

bool dmtable_equal(const struct dmtable *a, const struct dmtable *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (a->line[i].start != b->line[i].start ||
		    a->line[i].len != b->line[i].len ||
		    strcmp(a->line[i].type, b->line[i].type) != 0 ||
		    strcmp(a->line[i].params, b->line[i].params) != 0)
			return false;
	return true;
}

uint64_t dmtable_len(const struct dmtable *t)
{
	return t->n ? t->line[t->n - 1].start + t->line[t->n - 1].len : 0;
}

static int read_lines(struct dm_task *t, struct dmtable *out)
{
	struct dm_info info;
	void *next = NULL;
	uint64_t start, len;
	char *type, *params;
	int r;

	memset(out, 0, sizeof(*out));
	if (!t)
		return -ENOMEM;
	/* asking must not make thin pools commit, nor wait for anything */
	if (!dm_task_no_flush(t) || !dm_task_no_open_count(t) ||
	    !dm_task_run(t)) {
		r = dm_task_get_errno(t);
		dm_task_destroy(t);
		return r ? -r : -EIO;
	}
	if (!dm_task_get_info(t, &info) || !info.exists) {
		dm_task_destroy(t);
		return -ENXIO;
	}
	do {
		next = dm_get_next_target(t, next, &start, &len, &type,
					  &params);
		if (type)
			dmtable_add(out, start, len, type,
				    params ? params : "");
	} while (next);
	dm_task_destroy(t);
	return 0;
}

int dm_table(const char *name, bool inactive, struct dmtable *out)
{
	struct dm_task *t = task(DM_DEVICE_TABLE, name);

	if (t && inactive && !dm_task_query_inactive_table(t)) {
		dm_task_destroy(t);
		t = NULL;
	}
	return read_lines(t, out);
}

int dm_status(const char *name, struct dmtable *out)
{
	return read_lines(task(DM_DEVICE_STATUS, name), out);
}

/* ---- what there is ---- */

int dm_list(struct dmdev **list, size_t *n)
{
	struct dm_task *t = task(DM_DEVICE_LIST, NULL);
	struct dmdev *out = NULL;
	struct dm_names *names;
	size_t cap = 0;
	int r;

	*list = NULL;
	*n = 0;
	if (!t)
		return -ENOMEM;
	if (!dm_task_run(t)) {
		r = dm_task_get_errno(t);
		dm_task_destroy(t);
		return r ? -r : -EIO;
	}
	names = dm_task_get_names(t);
	while (names && names->dev) {
		if (*n == cap) {
			cap = cap ? cap * 2 : 32;
			out = reallocarray(out, cap, sizeof(*out));
			if (!out)
				abort();
		}
		/* a device may vanish while we look */
		r = dm_get(names->name, &out[*n]);
		if (!r)
			(*n)++;
		if (r && r != -ENXIO) {
			free(out);
			dm_task_destroy(t);
			*n = 0;
			return r;
		}
		if (!names->next)
			break;
		names = (struct dm_names *)((char *)names + names->next);
	}
	dm_task_destroy(t);
	*list = out;
	return 0;
}

/* 0 when the kernel knows the target; asking loads its module. */
int dm_target_version(const char *target)
{
	struct dm_task *t = task(DM_DEVICE_GET_TARGET_VERSION, NULL);

	if (t && !dm_task_set_name(t, target)) {
		dm_task_destroy(t);
		t = NULL;
	}
	return finish(t);
}

/* ---- changes ---- */

/*
 * Only the device, without a table. No cookie: the kernel announces a device
 * to udev when it is resumed, and we would wait for ever.
 */
int dm_create(const char *name, const char *uuid)
{
	struct dm_task *t = task(DM_DEVICE_CREATE, name);

	if (t && !dm_task_set_uuid(t, uuid)) {
		dm_task_destroy(t);
		t = NULL;
	}
	return finish(t);
}

int dm_load(const char *name, const struct dmtable *table, bool read_only)
{
	struct dm_task *t = task(DM_DEVICE_RELOAD, name);
	size_t i;
	bool ok = t;

	if (ok && read_only)
		ok = dm_task_set_ro(t);
	for (i = 0; ok && i < table->n; i++)
		ok = dm_task_add_target(t, table->line[i].start,
					table->line[i].len,
					table->line[i].type,
					table->line[i].params);
	/* a table equal to the live one is loaded all the same */
	if (!ok) {
		if (t)
			dm_task_destroy(t);
		return -ENOMEM;
	}
	return finish(t);
}

/* hidden: udev keeps its scanners off */
int dm_resume(const char *name, bool hidden)
{
	return finish_udev(task(DM_DEVICE_RESUME, name), hidden);
}

int dm_clear(const char *name)
{
	return finish(task(DM_DEVICE_CLEAR, name));
}

int dm_remove(const char *name, bool deferred)
{
	struct dm_task *t = task(DM_DEVICE_REMOVE, name);

	/* something may look at a device for a moment (udev): try again */
	if (t && !(deferred ? dm_task_deferred_remove(t) :
			      dm_task_retry_remove(t))) {
		dm_task_destroy(t);
		t = NULL;
	}
	return finish_udev(t, false);
}

int dm_message(const char *name, const char *msg, char *answer, size_t size)
{
	struct dm_task *t = task(DM_DEVICE_TARGET_MSG, name);
	const char *resp;
	int r;

	if (size)
		answer[0] = '\0';
	if (!t || !dm_task_set_sector(t, 0) || !dm_task_set_message(t, msg)) {
		if (t)
			dm_task_destroy(t);
		return -ENOMEM;
	}
	if (!dm_task_run(t)) {
		r = dm_task_get_errno(t);
		dm_task_destroy(t);
		return r ? -r : -EIO;
	}
	resp = dm_task_get_message_response(t);
	if (resp && size)
		snprintf(answer, size, "%s", resp);
	dm_task_destroy(t);
	return 0;
}

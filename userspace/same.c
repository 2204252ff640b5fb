// SPDX-License-Identifier: GPL-2.0
/*
 * Inside the critical section: are the suspended devices still the ones that
 * the plan was made for? What was looked up before is only a memory. Whoever
 * has loaded a table since would have it swapped in by our resume, or has given
 * NAME another one already, and then NAME-qsrc and NAME would both be active
 * on the same sectors.
 *
 * Between this look and the swap nothing keeps others away either, but that is
 * the time of an ioctl and not that of checks, loads and flushes.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "group.h"

/* as group.c */
#define LEAST_BYTES	(64UL * 1024)

static size_t table_bytes(const struct dmtable *t)
{
	size_t i, n = sizeof(struct dm_ioctl);

	for (i = 0; i < t->n; i++)
		n += sizeof(struct dm_target_spec) +
		     strlen(t->line[i].params) + 1 + 8;
	return n;
}

/* What the longest table that will be compared takes; with room for growth. */
size_t same_bytes(const struct op *op, size_t n)
{
	size_t i, most = LEAST_BYTES;

	for (i = 0; i < n; i++) {
		size_t a = table_bytes(&op[i].live);
		size_t b = table_bytes(&op[i].next);

		most = 2 * a > most ? 2 * a : most;
		most = 2 * b > most ? 2 * b : most;
	}
	return most;
}

/*
 * Is a line of the kernel's the one that we know? A mirror's settings may have
 * been changed, only what it is made of counts; NAME-qsrc and a store have no
 * number yet when the plan is made. Other targets than linear may print what
 * they were given in other words, so of what was loaded only place and type
 * count.
 */
static bool same_params(const struct dmline *l, const char *params, bool live)
{
	char want[4][80], got[4][80];
	int i;

	if (strcmp(l->type, "qmirror") != 0 && strcmp(l->type, "cbw") != 0)
		return strcmp(l->params, params) == 0 ||
		       (!live && strcmp(l->type, "linear") != 0);
	if (sscanf(l->params, "%79s %79s %79s %79s", want[0], want[1], want[2],
		   want[3]) != 4 ||
	    sscanf(params, "%79s %79s %79s %79s", got[0], got[1], got[2],
		   got[3]) != 4)
		return false;
	for (i = 0; i < 4; i++)
		if (want[i][0] != TABLE_DEV && want[i][0] != TABLE_STORE &&
		    strcmp(want[i], got[i]) != 0)
			return false;
	return true;
}

/*
 * 0, -ESTALE when dev has not that table, or another error. Where we have loaded
 * nothing, nothing may be loaded.
 */
static int check_table(struct group *g, const struct op *op, bool live)
{
	const struct dmtable *t = live ? &op->live : &op->next;
	const struct jmember *jm = member_of(g, op->dev);
	const char *data, *p;
	size_t i;

	if (!t->n)
		return 0;
	header(g->io, g->table_bytes, op->dev, DM_STATUS_TABLE_FLAG |
	       DM_NOFLUSH_FLAG | (live ? 0 : DM_QUERY_INACTIVE_TABLE_FLAG));
	if (ioctl(g->fd, DM_TABLE_STATUS, g->io))
		return errno == ENXIO ? -ESTALE : -errno;
	if (jm && (io_major(g->io) != jm->major || io_minor(g->io) != jm->minor))
		return -ESTALE;
	if (live && !op->next.n && g->io->flags & DM_INACTIVE_PRESENT_FLAG)
		return -ESTALE;
	if (g->io->flags & DM_BUFFER_FULL_FLAG || g->io->target_count != t->n)
		return -ESTALE;
	data = (const char *)g->io + g->io->data_start;
	for (i = 0, p = data; i < t->n; i++) {
		const struct dm_target_spec *s = (const void *)p;
		const struct dmline *l = &t->line[i];

		if (s->sector_start != l->start || s->length != l->len ||
		    strcmp(s->target_type, l->type) != 0 ||
		    !same_params(l, (const char *)(s + 1), live))
			return -ESTALE;
		p = data + s->next;
	}
	return 0;
}

/* The first n ops are suspends, and done. */
int same_tables(struct group *g, size_t n, size_t *failed_at)
{
	size_t i;
	int r;

	for (i = 0; i < n; i++) {
		*failed_at = i;
		r = check_table(g, &g->op[i], true);
		if (!r)
			r = check_table(g, &g->op[i], false);
		if (r)
			return r;
	}
	return 0;
}

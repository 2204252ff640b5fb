// SPDX-License-Identifier: GPL-2.0
/*
 * Putting a dead or failed run right. First what cannot wait: group_rescue()
 * lets every device go, on the side it finds them. Then, with nothing
 * suspended any more, what is left lying about: NAME-qsrc, or the rest of the
 * steps when the run was past the point of no return.
 *
 * Everything here may be done twice, and may itself be killed half-way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qmirrorctl.h"

enum xit recover_journal(struct journal *j, struct rescue *r)
{
	struct group *g = group_prepare(NULL, 0, j);

	group_enter();
	group_rescue(g, r);
	group_leave();
	group_free(g);
	if (r->eno)
		return err_set(XIT_FAIL, ST_RESUME, r->eno, r->device,
			       "%s: could not be put right: %s; try `qmirrorctl recover` again",
			       r->device, strerror(r->eno));
	return XIT_OK;
}

static bool is_ours(const char *name, const char *uuid)
{
	struct dmdev d;

	return name[0] && dm_get(name, &d) == 0 && strcmp(d.uuid, uuid) == 0;
}

/* The steps after the swap that `mirror start --sync bitmap` still owes. */
static void send_bitmap(const struct jmember *m)
{
	struct mirror mir;

	if (!m->start_bitmap || mirror_read(m->name, &mir))
		return;
	if (mirror_mark_dirty(m->name, &m->dirty) == XIT_OK &&
	    mir.st.state == MS_PAUSED)
		dm_message(m->name, "resume", NULL, 0);
	else if (the_err.xit != XIT_OK) {
		/* told, but not the error of the command that recovers */
		note("%s", the_err.desc);
		err_clear();
	}
}

static void drop_src(const struct jmember *m)
{
	if (!is_ours(m->src, m->src_uuid))
		return;
	if (dm_remove(m->src, false) == -EBUSY)
		dm_remove(m->src, true);
}

static void after_start(const struct jmember *m, bool forward)
{
	if (forward) {
		send_bitmap(m);
		return;
	}
	drop_src(m);
	job_file_drop(m->src_uuid);
}

static void after_create(const struct jmember *m)
{
	struct dmdev d;

	if (!is_ours(m->name, m->uuid) || dm_get(m->name, &d))
		return;
	if (d.live) {
		send_bitmap(m);
		return;
	}
	dm_remove(m->name, false);
}

/* What `mirror complete --force` had noted: has it come true? */
static void settle_forced(const struct jmember *m, bool swapped)
{
	struct dmdev d;

	if (dm_get(m->top[0] ? m->top : m->name, &d) == 0 &&
	    other_manager(d.uuid))
		forced_settle(d.uuid, swapped);
}

static void after_end(const struct jmember *m, bool forward)
{
	struct mirror mir;

	/* a member that was not final any more is a mirror still */
	if (mirror_read(m->name, &mir) == 0) {
		settle_forced(m, false);
		return;
	}
	if (!forward)
		return;
	settle_forced(m, true);
	drop_src(m);
	job_file_drop(m->src_uuid);
}

/* Told, but not the error of the command that recovers. */
static void tell(const struct jmember *m)
{
	note("%s: its old table could not be put back (%s): `qmirrorctl snapshot remove %s` tries again",
	     m->name, the_err.desc, m->name);
	err_clear();
}

/* The last one first. */
static void after_snapshot(const struct journal *j)
{
	size_t i;

	for (i = j->n; i-- > 0;) {
		if (unsnapshot(&j->m[i]) != XIT_OK)
			tell(&j->m[i]);
		/* a run that lives has seen to its files itself */
		if (j->pid != (int)getpid())
			store_forget(j->m[i].store);
	}
}

static void after_unsnapshot(const struct jmember *m, struct rescue *r)
{
	if (!unsnapshot_begun(m))
		return;
	r->side = RESCUE_FORWARD;
	if (unsnapshot(m) != XIT_OK)
		tell(m);
}

enum xit recover_after(struct journal *j, struct rescue *r)
{
	size_t i;

	if (j->verb == JV_SNAPSHOT && r->side == RESCUE_BACK)
		after_snapshot(j);
	for (i = 0; i < j->n; i++) {
		switch (j->verb) {
		case JV_START_SLIDE:
			after_start(&j->m[i], r->side == RESCUE_FORWARD);
			break;
		case JV_START_PLAIN:
			after_create(&j->m[i]);
			break;
		case JV_END:
			after_end(&j->m[i], r->side == RESCUE_FORWARD);
			break;
		case JV_SNAPSHOT:
			break;
		case JV_UNSNAPSHOT:
			after_unsnapshot(&j->m[i], r);
			break;
		}
	}
	dm_settle();
	return XIT_OK;
}

static void names_of(const struct journal *j, char *buf, size_t size)
{
	size_t i, n = 0;

	buf[0] = '\0';
	for (i = 0; i < j->n && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
				      j->m[i].name);
}

/* The lock is held: whoever wrote the journal is dead. */
enum xit recover_if_needed(void)
{
	struct journal j;
	struct rescue r;
	char names[512];
	enum xit x;
	int rc = journal_read(&j);

	notice_tell();
	if (rc == -ENOENT)
		return XIT_OK;
	if (rc)
		return err_set(XIT_FAIL, ST_CHECK, rc, NULL,
			       "%s/journal cannot be understood (%s): look at `dmsetup info` for suspended devices, resume them, then remove the file",
			       run_dir, strerror(-rc));
	x = recover_journal(&j, &r);
	if (x == XIT_OK)
		x = recover_after(&j, &r);
	if (x == XIT_OK) {
		journal_drop();
		names_of(&j, names, sizeof(names));
		note("%s of %s had died half-way: %s", j.what, names,
		     r.side == RESCUE_FORWARD ? "finished" : "undone");
		if (r.not_final)
			note("but not all were final any more: those go on as mirrors, see `qmirrorctl status`");
	}
	journal_free(&j);
	return x;
}

/* A run that is at work, or its watchdog, leaves nothing to recover. */
static void would_recover(void)
{
	int fd = lock_look();
	struct journal j;

	if (fd == -EBUSY) {
		note("another qmirrorctl is at work: there is nothing to recover of it");
		return;
	}
	/* with the lock, for a run that begins now would write one, too */
	if (journal_read(&j) == 0) {
		if (!opt.json)
			printf("recover: %s of pid %d\n", j.what, j.pid);
		journal_free(&j);
	}
	if (fd >= 0)
		close(fd);
}

enum xit cmd_recover(int argc __unused_arg, char **argv __unused_arg)
{
	enum xit x;

	if (opt.dry_run) {
		would_recover();
		return report_done(NULL, 0);
	}
	x = lock_take("recover", true);
	lock_release();
	if (x != XIT_OK)
		return x;
	return report_done(NULL, 0);
}

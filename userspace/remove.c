// SPDX-License-Identifier: GPL-2.0
/*
 * remove: a device of ours that nothing needs any more. What still carries a
 * mirror or a snapshot has a verb of its own that puts the old table back.
 */
#include <errno.h>
#include <string.h>

#include "qmirrorctl.h"

static enum xit may_remove(const struct dmdev *d)
{
	bool ours = strncmp(d->uuid, "QMIRROR", 7) == 0;
	struct snapshot snap;
	char cbw[NAME_LEN];
	struct mirror m;
	int r = mirror_read(d->name, &m);

	if (r == 0) {
		struct dmdev src;

		if (m.st.state != MS_CONCLUDED)
			return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
				       "%s carries a mirror that is %s; end it first (mirror cancel, mirror complete)",
				       d->name, mstate_name(m.st.state));
		if (mirror_src(&m, &src))
			return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
				       "%s was there before its mirror; `mirror cancel %s` puts its old table back",
				       d->name, d->name);
		ours = true;
	}
	if (snapshot_read(d->name, &snap) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s carries a snapshot; `snapshot remove %s` puts its old table back",
			       d->name, d->name);
	if (view_cbw(d, cbw, sizeof(cbw)))
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s is the view of a snapshot; `snapshot remove %s` ends that",
			       d->name, cbw);
	if (!ours)
		return err_set(XIT_BUSY, ST_CHECK, EPERM, d->name,
			       "%s is no device of qmirrorctl's; nothing was changed",
			       d->name);
	if (d->open_count > 0)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, d->name,
			       "%s is in use; nothing was changed", d->name);
	return XIT_OK;
}

static enum xit remove_it(const struct dmdev *d)
{
	int r = dm_remove(d->name, false);

	if (r)
		return err_set(r == -EBUSY ? XIT_BUSY : XIT_FAIL, ST_NONE, r,
			       d->name, "%s cannot be removed: %s", d->name,
			       strerror(-r));
	job_file_drop(d->uuid);
	dm_settle();
	return opt.json ? report_done(NULL, 0) : XIT_OK;
}

enum xit cmd_remove(int argc __unused_arg, char **argv)
{
	struct blk b;
	enum xit x = opt.dry_run ? XIT_OK : lock_take("remove", true);

	if (x == XIT_OK)
		x = blk_find(argv[0], "NAME", &b);
	if (x == XIT_OK && !b.is_dm)
		x = err_set(XIT_BUSY, ST_CHECK, EPERM, b.label,
			    "%s is no device of qmirrorctl's; nothing was changed",
			    b.label);
	if (x == XIT_OK)
		x = may_remove(&b.dm);
	if (x == XIT_OK && opt.dry_run) {
		struct plan p = { 0 };

		plan_add(&p, OP_REMOVE, b.dm.name, NULL);
		plan_print(&p);
		plan_free(&p);
	} else if (x == XIT_OK) {
		x = remove_it(&b.dm);
	}
	lock_release();
	return x;
}

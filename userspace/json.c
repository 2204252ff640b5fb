// SPDX-License-Identifier: GPL-2.0
/*
 * JSON: one document on stdout, or one a line. QAPI's names, bytes as real
 * numbers, null for unknown, [] for none. qmirrorctl.schema.json says it all,
 * and the tests hold the output against it.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "qmirrorctl.h"

static void add(struct json_object *o, const char *key, struct json_object *v)
{
	json_object_object_add(o, key, v);
}

static struct json_object *str(const char *s)
{
	return s && *s ? json_object_new_string(s) : NULL;
}

static struct json_object *num(uint64_t v)
{
	return json_object_new_int64((int64_t)v);
}

static struct json_object *sectors(uint64_t v)
{
	return num(v << SECTOR_SHIFT);
}

static struct json_object *known(double v)
{
	return v < 0 ? NULL : json_object_new_int64((int64_t)(v + 0.5));
}

static struct json_object *envelope(void)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		abort();
	add(o, "version", json_object_new_int(1));
	return o;
}

static void print(struct json_object *o, bool line)
{
	puts(json_object_to_json_string_ext(o, line ?
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE :
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE |
		JSON_C_TO_STRING_SPACED));
	fflush(stdout);
	json_object_put(o);
}

void json_line(struct json_object *o)
{
	print(o, true);
}

/* The dirty chunks in bytes; the last chunk may be a partial one. */
static uint64_t dirty_bytes(const struct mirror *m)
{
	uint64_t n = m->st.dirty * m->table.granularity;

	return n < m->sectors ? n : m->sectors;
}

struct json_object *json_mirror(const struct mirror *m)
{
	static const char *const endings[] = { NULL, "complete", "cancel" };
	const struct mirror_status *st = &m->st;
	struct json_object *o = json_object_new_object();
	bool stopped = st->state == MS_PAUSED || st->state == MS_STANDBY;

	if (!o)
		abort();
	add(o, "type", str("mirror"));
	add(o, "device", str(m->dev.name));
	add(o, "len", sectors(st->len));
	add(o, "offset", sectors(st->offset));
	add(o, "speed", sectors(st->speed));
	add(o, "paused", json_object_new_boolean(stopped));
	add(o, "ready", json_object_new_boolean(st->state == MS_READY ||
						st->state == MS_STANDBY ||
						st->state == MS_PENDING));
	add(o, "status", str(mstate_name(st->state)));
	add(o, "io-status", str(st->io_status));
	add(o, "error", strcmp(st->error, "-") ? str(st->error) : NULL);
	add(o, "actively-synced",
	    json_object_new_boolean(st->synced != SYNCED_NO));
	add(o, "source", str(m->source));
	add(o, "target", str(m->target));
	add(o, "dirty", sectors(dirty_bytes(m)));
	add(o, "in-flight", sectors(st->in_flight));
	add(o, "granularity", sectors(m->table.granularity));
	add(o, "copy-mode", str(st->copy_mode[0] ? st->copy_mode :
						   m->table.copy_mode));
	add(o, "on-source-error", str(st->on_source_error[0] ?
		st->on_source_error : m->table.on_source_error));
	add(o, "on-target-error", str(st->on_target_error[0] ?
		st->on_target_error : m->table.on_target_error));
	add(o, "source-errors", num(st->source_errors));
	add(o, "target-errors", num(st->target_errors));
	add(o, "ending", str(endings[st->ending]));
	add(o, "final", json_object_new_boolean(st->synced == SYNCED_FINAL));
	add(o, "rate", known(m->rate));
	add(o, "eta", known(m->eta));
	add(o, "sync", str(m->table.sync));
	add(o, "orphans", num(st->orphans));
	add(o, "suspended", json_object_new_boolean(m->dev.suspended));
	return o;
}

struct json_object *json_snapshot(const struct snapshot *s)
{
	const struct cbw_status *st = &s->st;
	struct json_object *o = json_object_new_object();
	char *view = s->has_view ? xasprintf("/dev/mapper/%s", s->view.name) :
				   NULL;

	if (!o)
		abort();
	add(o, "device", str(s->dev.name));
	add(o, "view", str(view));
	add(o, "store", str(s->store));
	add(o, "state", str(sstate_name(st->state)));
	add(o, "clusters", num(st->clusters));
	add(o, "copied", num(st->copied));
	add(o, "cluster-size", sectors(s->table.cluster_size));
	add(o, "on-cbw-error", str(s->table.on_cbw_error));
	add(o, "cbw-timeout", num(s->table.cbw_timeout));
	add(o, "failed-writes", num(st->failed_writes));
	add(o, "error", strcmp(st->error, "-") ? str(st->error) : NULL);
	add(o, "len", sectors(s->sectors));
	add(o, "in-flight", num(st->in_flight));
	add(o, "view-state", s->view_state == VS_UNKNOWN ? NULL :
	    str(vstate_name(s->view_state)));
	add(o, "store-free", s->store_room < 0 ? NULL :
	    json_object_new_int64(s->store_room));
	add(o, "consistency", str(s->consistency));
	add(o, "suspended", json_object_new_boolean(s->dev.suspended));
	free(view);
	return o;
}

static struct json_object *json_created(const struct created *how)
{
	struct json_object *o = json_object_new_object();
	char at[64];

	instant_text(how->window.instant_us, at, sizeof(at));
	add(o, "instant", str(at));
	add(o, "frozen-us", json_object_new_int64(how->window.frozen_us));
	return o;
}

void json_status(const struct listing *l, bool line)
{
	struct json_object *o = envelope();
	struct json_object *a = json_object_new_array();
	size_t i;

	for (i = 0; i < l->n; i++)
		json_object_array_add(a, json_mirror(&l->m[i]));
	add(o, "mirrors", a);
	a = json_object_new_array();
	for (i = 0; i < l->sn; i++)
		json_object_array_add(a, json_snapshot(&l->s[i]));
	add(o, "snapshots", a);
	a = json_object_new_array();
	for (i = 0; i < l->on; i++) {
		struct json_object *e = json_object_new_object();

		add(e, "device", str(l->o[i].device));
		add(e, "desc", str(l->o[i].what));
		json_object_array_add(a, e);
	}
	add(o, "orphans", a);
	if (l->created)
		add(o, "group", json_created(l->created));
	print(o, line);
}

void json_error(const struct err *e)
{
	struct json_object *o = envelope(), *in = json_object_new_object();

	add(in, "class", str(err_class(e)));
	add(in, "desc", str(e->desc));
	add(in, "device", str(e->device));
	add(in, "file", str(e->file));
	add(in, "stage", str(stage_name(e->stage)));
	add(in, "errno", str(errno_name(e->eno)));
	add(o, "error", in);
	print(o, opt.watch);
}

/* ---- --dry-run ---- */

static const char *const op_names[] = {
	[OP_CREATE] = "create",
	[OP_LOAD] = "load",
	[OP_ACTIVATE] = "resume",
	[OP_ACTIVATE_HIDDEN] = "resume",
	[OP_MESSAGE] = "message",
	[OP_WAIT] = "wait",
	[OP_REMOVE] = "remove",
	[OP_REMOVE_UNUSED] = "remove",
	[OP_STORE] = "create-store",
	[OP_SYNC] = "sync",
	[OP_SUSPEND] = "suspend",
	[OP_SUSPEND_NOFLUSH] = "suspend",
	[OP_SUSPEND_FREEZE] = "suspend",
	[OP_ARM] = "message",
	[OP_CHECK_FINAL] = "check-final",
	[OP_CHECK_ALONE] = "check-alone",
	[OP_RESUME] = "resume",
};

/* What stands in brackets in the text. */
static void json_how(struct json_object *o, const struct op *op)
{
	if (op->kind == OP_LOAD)
		add(o, "read-only", json_object_new_boolean(op->read_only));
	if (op->kind == OP_STORE)
		add(o, "size", sectors(op->store->sectors));
	if (!op_suspends(op->kind))
		return;
	add(o, "noflush",
	    json_object_new_boolean(op->kind == OP_SUSPEND_NOFLUSH));
	add(o, "freeze",
	    json_object_new_boolean(op->kind == OP_SUSPEND_FREEZE));
}

static struct json_object *json_op(const struct op *op)
{
	struct json_object *o = json_object_new_object();
	char *table;

	add(o, "op", str(op_names[op->kind]));
	add(o, "device", str(op->dev));
	if (op->kind == OP_ARM)
		add(o, "message", str("arm"));
	/* a store is no device yet */
	if (op->text && op->kind != OP_STORE)
		add(o, op->kind == OP_MESSAGE ? "message" :
		    op->kind == OP_WAIT ? "until" :
		    op->kind == OP_CHECK_ALONE ? "opener" : "uuid",
		    str(op->text));
	if (op->kind == OP_LOAD) {
		table = op_table_text(op);
		add(o, "table", str(table));
		free(table);
	}
	json_how(o, op);
	return o;
}

/* what was planned so far; a command's devices may each have a plan */
static struct json_object *planned;

void json_plan(const struct plan *p)
{
	size_t i;

	if (!planned)
		planned = json_object_new_array();
	for (i = 0; i < p->n; i++)
		json_object_array_add(planned, json_op(&p->op[i]));
}

/* One document for all of them, or, after a failure, none. */
void json_plans(enum xit x)
{
	struct json_object *o;

	if (planned && x == XIT_OK) {
		o = envelope();
		add(o, "dry-run", planned);
		print(o, false);
	} else {
		json_object_put(planned);
	}
	planned = NULL;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What the outside hears: dm events and log lines.
 *
 * Events are queued under snap->lock, from any context, and delivered by a work
 * item.  A dm event carries no data; the status has it all.  When the queue is
 * full the oldest entry is dropped: its line in the log is lost, the event is
 * not.
 */
#include "cbw.h"

/* by how much the news of an arming may be late */
#define CBW_ARMED_EVENT_MS	100

const char *const cbw_state_names[CBW_NR_STATES] = {
	[CBW_IDLE] = "idle",
	[CBW_ARMED] = "armed",
	[CBW_BROKEN] = "broken",
};

const char *const cbw_op_names[CBW_NR_OPS] = {
	[CBW_READ] = "read",
	[CBW_WRITE] = "write",
	[CBW_TIMEOUT] = "timeout",
};

/**
 * cbw_error_emit() - an error as status and log show it
 * @error: the error
 * @result: where to
 * @size: of @result
 *
 * Return: how many characters.
 */
unsigned int cbw_error_emit(const struct cbw_error *error, char *result,
			    unsigned int size)
{
	char buf[16];

	if (!error->error)
		return scnprintf(result, size, "-");
	return scnprintf(result, size, "%s:%s:%llu", cbw_op_names[error->op],
			 bc_errno_name(error->error, buf, sizeof(buf)),
			 (unsigned long long)error->sector);
}

/**
 * __cbw_event() - queue an event
 * @snap: the snapshot, snap->lock held
 * @what: CBW_EV_…
 */
void __cbw_event(struct cbw_snap *snap, int what)
{
	struct cbw_event *e;

	lockdep_assert_held(&snap->lock);
	if (snap->nr_events == CBW_NR_EVENTS) {
		memmove(snap->events, snap->events + 1,
			(CBW_NR_EVENTS - 1) * sizeof(*e));
		snap->nr_events--;
	}
	e = &snap->events[snap->nr_events++];
	e->what = what;
	e->error = snap->error;
	/*
	 * Who arms has devices suspended, perhaps a whole group, and a console
	 * may take milliseconds a line: that is not to prolong their freeze.
	 */
	if (what == CBW_EV_ARMED)
		queue_delayed_work(cbw_wq, &snap->event_work,
				   msecs_to_jiffies(CBW_ARMED_EVENT_MS));
	else
		mod_delayed_work(cbw_wq, &snap->event_work, 0);
}

/**
 * __cbw_note_error() - a copy failed: remember the first error of the arming
 * @snap: the snapshot, snap->lock held
 * @error: errno, negative
 * @op: what failed
 * @sector: where, of the device
 *
 * Return: true when it is the first.
 */
bool __cbw_note_error(struct cbw_snap *snap, int error, enum cbw_op op,
		      sector_t sector)
{
	lockdep_assert_held(&snap->lock);
	if (snap->error.error)
		return false;
	snap->error.error = error;
	snap->error.op = op;
	snap->error.sector = sector;
	return true;
}

static void log_event(struct cbw_snap *snap, const struct cbw_event *e)
{
	char error[64];

	cbw_error_emit(&e->error, error, sizeof(error));
	switch (e->what) {
	case CBW_EV_ARMED:
		DMINFO("%s: armed", snap->name);
		break;
	case CBW_EV_DISARMED:
		DMINFO("%s: disarmed", snap->name);
		break;
	case CBW_EV_BROKEN:
		DMERR("%s: broken by %s, the snapshot is lost", snap->name,
		      error);
		break;
	case CBW_EV_ERROR:
		DMERR("%s: copy before write failed: %s", snap->name, error);
		break;
	}
}

/* The tables, and with them the devices, stay while we hold live_lock. */
static void raise_event(struct cbw_snap *snap, const struct cbw_event *e)
{
	struct cbw_view *v;

	mutex_lock(&snap->live_lock);
	if (snap->live)
		cbw_learn_name(snap);
	log_event(snap, e);
	if (snap->live)
		dm_table_event(snap->live->ti->table);
	if (e->what != CBW_EV_ERROR)
		list_for_each_entry(v, &snap->views, list)
			dm_table_event(v->ti->table);
	mutex_unlock(&snap->live_lock);
}

/* Deliver what was queued. */
void cbw_event_work(struct work_struct *work)
{
	struct cbw_snap *snap = container_of(to_delayed_work(work),
					     struct cbw_snap, event_work);
	struct cbw_event events[CBW_NR_EVENTS];
	unsigned int i, n;

	spin_lock_irq(&snap->lock);
	n = snap->nr_events;
	memcpy(events, snap->events, n * sizeof(*events));
	snap->nr_events = 0;
	spin_unlock_irq(&snap->lock);

	for (i = 0; i < n; i++)
		raise_event(snap, &events[i]);
}

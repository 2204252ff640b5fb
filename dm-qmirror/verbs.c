// SPDX-License-Identifier: GPL-2.0
/*
 * Messages: what each verb does in each state.
 *
 * A message is handled inside dm's SRCU section: a suspend or a table change
 * waits for it.  So nothing here waits without a bound or for anything that
 * needs the mirror's own I/O.
 */
#include "qmirror.h"

enum verb {
	VERB_PAUSE,
	VERB_RESUME,
	VERB_SET,
	VERB_MARK_DIRTY,
	VERB_COMPLETE,
	VERB_CANCEL,
	VERB_CANCEL_FORCE,
	NR_VERBS
};

static const char *const verb_names[NR_VERBS] = {
	[VERB_PAUSE] = "pause",
	[VERB_RESUME] = "resume",
	[VERB_SET] = "set",
	[VERB_MARK_DIRTY] = "mark_dirty",
	[VERB_COMPLETE] = "complete",
	[VERB_CANCEL] = "cancel",
	[VERB_CANCEL_FORCE] = "cancel force",
};

/* ok acts, done succeeds with nothing to do, busy refuses with EBUSY. */
enum { busy, done, ok };

/* Columns: running paused ready standby pending aborting concluded */
static const u8 verdicts[NR_VERBS][QM_NR_STATES] = {
	[VERB_PAUSE]	    = { ok,   done, ok,   done, busy, busy, busy },
	[VERB_RESUME]	    = { done, ok,   done, ok,   busy, busy, busy },
	[VERB_SET]	    = { ok,   ok,   ok,   ok,   ok,   busy, busy },
	[VERB_MARK_DIRTY]   = { ok,   ok,   ok,   ok,   ok,   busy, busy },
	[VERB_COMPLETE]	    = { busy, busy, ok,   ok,   ok,   busy, busy },
	[VERB_CANCEL]	    = { ok,   busy, ok,   busy, ok,   done, done },
	[VERB_CANCEL_FORCE] = { ok,   ok,   ok,   ok,   ok,   done, done },
};

static int refuse(struct qm_job *job, enum verb verb)
{
	DMWARN("%s: %s refused in state %s", job->name, verb_names[verb],
	       qm_state_names[READ_ONCE(job->state)]);
	return -EBUSY;
}

static int invalid(struct qm_job *job, const char *what, const char *word)
{
	DMERR("%s: %s: \"%s\"", job->name, what, word);
	return -EINVAL;
}

/* QM_RUNNING for paused, QM_READY for standby. */
static void do_pause(struct qm_job *job)
{
	spin_lock_irq(&job->lock);
	if (job->state == QM_RUNNING)
		__qm_set_state(job, QM_PAUSED);
	else if (job->state == QM_READY)
		__qm_set_state(job, QM_STANDBY);
	spin_unlock_irq(&job->lock);
}

static void do_resume(struct qm_job *job)
{
	WRITE_ONCE(job->copy.forget_backoff, 1);
	spin_lock_irq(&job->lock);
	job->io_status = QM_IO_OK;
	job->error.error = 0;
	job->flush_ok = false;
	job->flush_void = true;
	job->flush_backoff_ms = 0;
	if (job->state == QM_PAUSED)
		__qm_set_state(job, QM_RUNNING);
	else if (job->state == QM_STANDBY)
		__qm_set_state(job, QM_READY);
	spin_unlock_irq(&job->lock);
}

/* Write-blocking from here on, whatever copy_mode says. */
static void ask_for(struct qm_job *job, enum qm_ending ending)
{
	spin_lock_irq(&job->lock);
	WRITE_ONCE(job->ending, ending);
	/* (C) The request before the look at the discards, see map_discard(). */
	smp_mb();
	spin_unlock_irq(&job->lock);
	qm_job_update_mode(job);
	qm_kick_state(job);
}

static int do_complete(struct qm_job *job)
{
	switch (job->ending) {
	case QM_END_NONE:
		if (READ_ONCE(job->state) == QM_PENDING)
			return refuse(job, VERB_COMPLETE);
		ask_for(job, QM_END_COMPLETE);
		return 0;
	case QM_END_COMPLETE:
		return 0;
	default:	/* M-82: complete after cancel */
		return refuse(job, VERB_COMPLETE);
	}
}

/* The state decides, and may have changed since the table was looked at. */
static int do_cancel(struct qm_job *job)
{
	enum qm_state state;

	spin_lock_irq(&job->lock);
	state = job->state;
	if (state == QM_RUNNING)
		__qm_set_state(job, QM_ABORTING);
	spin_unlock_irq(&job->lock);

	if (state == QM_READY || state == QM_PENDING)
		ask_for(job, QM_END_CANCEL);
	else if (state == QM_PAUSED || state == QM_STANDBY)
		return refuse(job, VERB_CANCEL);
	return 0;
}

static void end_now(struct qm_job *job)
{
	spin_lock_irq(&job->lock);
	if (job->state < QM_ABORTING)
		__qm_set_state(job, QM_ABORTING);
	spin_unlock_irq(&job->lock);
}

static int do_set(struct qm_job *job, char **argv)
{
	struct qm_args args = job->args;

	qm_args_set(&args, argv[1], argv[2]);
	if (READ_ONCE(job->state) == QM_PENDING && !strcmp(argv[1], "copy_mode"))
		return refuse(job, VERB_SET);

	spin_lock_irq(&job->lock);	/* qm_job_error() reads the policies */
	job->args = args;
	spin_unlock_irq(&job->lock);
	qm_job_update_mode(job);
	if (!strcmp(argv[1], "speed")) {
		qm_copy_set_speed(job);
		qm_copy_kick(job, 0);
	}
	return 0;
}

/* One pair of start and count; checked before anything is marked. */
static int parse_range(struct qm_job *job, char **argv, u64 *start, u64 *count)
{
	if (bc_parse_u64(argv[0], start))
		return invalid(job, "mark_dirty: invalid start", argv[0]);
	if (bc_parse_u64(argv[1], count) || !*count)
		return invalid(job, "mark_dirty: invalid count", argv[1]);
	if (*start >= job->len || *count > job->len - *start)
		return invalid(job, "mark_dirty: range past the end", argv[0]);
	return 0;
}

static int do_mark_dirty(struct qm_job *job, unsigned int argc, char **argv)
{
	u64 start, count;
	unsigned int i;

	for (i = 1; i < argc; i += 2) {
		parse_range(job, argv + i, &start, &count);
		qm_mark(job, start, count);
	}
	/* Also takes pending and `final` back if all was dirty already. */
	qm_marked(job);
	return 0;
}

/* The verb, or -EINVAL: unknown, or with too few or too many words. */
static int find_verb(struct qm_job *job, unsigned int argc, char **argv)
{
	int verb = bc_find_word(verb_names, NR_VERBS, argv[0]);
	bool good;

	if (verb < 0)
		return invalid(job, "unknown message", argv[0]);

	switch (verb) {
	case VERB_SET:
		good = argc == 3;
		break;
	case VERB_MARK_DIRTY:
		good = argc >= 3 && argc % 2 == 1;
		break;
	case VERB_CANCEL:
		good = argc == 1 || (argc == 2 && !strcmp(argv[1], "force"));
		if (argc == 2)
			verb = VERB_CANCEL_FORCE;
		break;
	case VERB_CANCEL_FORCE:		/* "cancel force" as one word */
		good = false;
		break;
	default:
		good = argc == 1;
	}
	if (good)
		return verb;
	DMERR("%s: malformed message: \"%s\" with %u words", job->name,
	      argv[0], argc - 1);
	return -EINVAL;
}

/* All that can be wrong whatever the state is. */
static int check_words(struct qm_job *job, enum verb verb, unsigned int argc,
		       char **argv)
{
	struct qm_args args = job->args;
	u64 start, count;
	unsigned int i;
	int r = 0;

	if (verb == VERB_SET) {
		r = qm_args_set(&args, argv[1], argv[2]);
		if (r == -ENOENT)
			return invalid(job, "set: no such argument", argv[1]);
		if (r)
			return invalid(job, "set: invalid value", argv[2]);
	}
	if (verb == VERB_MARK_DIRTY)
		for (i = 1; i < argc && !r; i += 2)
			r = parse_range(job, argv + i, &start, &count);
	return r;
}

static int do_verb(struct qm_job *job, enum verb verb, unsigned int argc,
		   char **argv)
{
	switch (verb) {
	case VERB_PAUSE:
		do_pause(job);
		return 0;
	case VERB_RESUME:
		do_resume(job);
		return 0;
	case VERB_SET:
		return do_set(job, argv);
	case VERB_MARK_DIRTY:
		return do_mark_dirty(job, argc, argv);
	case VERB_COMPLETE:
		return do_complete(job);
	case VERB_CANCEL:
		return do_cancel(job);
	default:
		end_now(job);
		return 0;
	}
}

/*
 * Most effects take only as long as a copy under way: who asked then sees it
 * in the next status.  A target that hangs takes longer than we wait.
 */
static void wait_for_effect(struct qm_job *job, enum verb verb)
{
	unsigned long timeout = msecs_to_jiffies(QM_VERB_WAIT_MS);

	if (verb == VERB_PAUSE)
		wait_event_timeout(job->wait, !atomic_read(&job->copy.busy),
				   timeout);
	else if (verb >= VERB_CANCEL && qm_ended(job))
		wait_event_timeout(job->wait, READ_ONCE(job->state) ==
				   QM_CONCLUDED, timeout);
}

/**
 * qm_message() - handle a message
 * @job: the live table's job
 * @argc: words, at least one
 * @argv: the words
 *
 * Return: 0, -EINVAL for what is no message, -EBUSY for what the state
 * forbids; either with one line in the log.  May sleep, QM_VERB_WAIT_MS at
 * most.
 */
int qm_message(struct qm_job *job, unsigned int argc, char **argv)
{
	int r, verb = find_verb(job, argc, argv);

	if (verb < 0)
		return verb;

	/* Malformed beats busy: a bad word is never excused by the state. */
	r = check_words(job, verb, argc, argv);
	if (r)
		return r;

	mutex_lock(&job->verb_lock);
	switch (verdicts[verb][READ_ONCE(job->state)]) {
	case ok:
		r = do_verb(job, verb, argc, argv);
		break;
	case done:
		r = 0;
		break;
	default:
		r = refuse(job, verb);
	}
	mutex_unlock(&job->verb_lock);

	if (!r)
		wait_for_effect(job, verb);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * qmirror.pml - guest's writes x copier x mode switch x completion x errors
 *
 * The protocol of dm-qmirror: write.c, leg.c, copy.c, unit.c, job.c, verbs.c,
 * with the names of the code; the range lock is that of range.c, counters and
 * all. One chunk of SECTORS sectors (with two there are writes of a part), one
 * copy unit. Data are numbers: each write has one of its own. The target has a
 * volatile cache: what no good flush covered is lost when a flush fails.
 *
 * What is atomic: whatever the code does under one lock and nobody looks at
 * without it, and atomic operations on one word. Sectors reach a device one by
 * one, on both legs in any order. Where the code has a barrier with a letter the
 * model has an order; the mutation that drops it lets the two accesses change
 * places. M_... are the mutations, see `run`.
 */
#include "model.h"

#ifndef SECTORS
#define SECTORS		2
#endif
#ifndef GUESTS
#define GUESTS		1	/* processes that write */
#endif
#ifndef WRITES
#define WRITES		1	/* of each */
#endif
#ifndef VERBS
#define VERBS		0	/* messages */
#endif
#ifndef SUSPENDS
#define SUSPENDS	0
#endif
#ifndef ERRORS
#define ERRORS		0	/* I/O that fails, of either leg */
#endif
#ifndef FLUSHES
#define FLUSHES		0	/* of the guest */
#endif
#ifndef GIVE_UPS
#define GIVE_UPS	0	/* looks of timeout_work */
#endif
#ifndef STATES
#define STATES		0	/* looks of state_work */
#endif
#ifndef START
#define START		RUNNING	/* all dirty; READY: in sync */
#endif
#ifndef BACKGROUND
#define BACKGROUND	0	/* the mode at the beginning; 2: either */
#endif

/* enum qm_state, paused and standby being one for all that matters here */
#define RUNNING		0
#define READY		1
#define PENDING		2
#define PAUSED		3
#define STANDBY		4
#define ABORTING	5

/* enum qm_leg_state */
#define FREE		0
#define FLIGHT		1
#define DONE		2
#define GIVEN_UP	3

/* status */
#define OK		0
#define ERROR		1
#define NOT_SENT	2

/* on_target_error */
#define IGNORE		0
#define STOP		1
#define REPORT		2

#define UNIT		GUESTS	/* the copy unit's place in the range lock */

/* Devices; durable: the target's medium behind its cache. */
byte src[SECTORS], tgt[SECTORS], durable[SECTORS];
byte cache_lost;		/* flushes that failed, and nobody knows yet */

/* struct qm_job */
bit dirty = 1;
bit since[2], epoch, epoch_closed;
bit in_background, bg_live;	/* percpu_ref background, and ... */
byte bg_count;			/* ... its count */
byte state;
bit synced, final, quiet, quiescing, noflush, ending;
bit gu_suspend, gu_ended;	/* giving_up */
byte data_orphans, flush_orphans;	/* nr_orphans; the first on our chunk */
byte judging;
bit lock, verb_lock;
byte policy;

/* copy.seq and marks are only compared with what they were: did they move? */
bit seq_moved, flush_seq_moved, flush_marks_moved;
bit busy;
byte unit_state;
bit unit_writes, unit_orphan;
/* For MUST() only: give_up_leg() is under way; marked, and no policy has acted */
bit giving;
byte unjudged;
bit gave_up;			/* all that could be seen has been */

/* the job's own flush */
bit flushing, flush_ok, flush_void, flush_of_rest, flush_wanted;

/* dm */
bit suspended;
byte inflight;

/* bc_range_lock: guests and the unit */
bit in_tree[GUESTS + 1];
byte blockers[GUESTS + 1];

/* struct qm_io and struct qm_leg */
typedef Io {
	byte first, last, value;
	bit writing;			/* writes, and will mark: for the invariants */
	bit has_leg;		/* io->leg is set: can be given up */
	byte leg;		/* leg->state */
	byte status;		/* leg->status */
	bit sent, ended;	/* to the target; the guest need not wait */
	bit orphan, target_ended, guest_ended
};
Io io[GUESTS];

byte errors_left = ERRORS;

hidden byte i_, j_, t_;

#define GIVING_UP	(gu_suspend || gu_ended)
#define NR_ORPHANS	(data_orphans + flush_orphans)
#define HELD(n)		(in_tree[n] && !blockers[n])
#define FIRST(n)	(n == UNIT -> 0 : io[n].first)
#define LAST(n)		(n == UNIT -> SECTORS - 1 : io[n].last)
#define COPY_ALLOWED	(!judging && (state == RUNNING || state == READY) && \
			 !quiescing && !GIVING_UP)
#define COVERS(g, s)	(io[g].writing && io[g].first <= s && s <= io[g].last)
#define SOMEBODY(s)	(COVERS(0, s) || COVERS(GUESTS - 1, s))
#define DIFFERS(s)	(src[s] != tgt[s] && !dirty && !busy && !cache_lost && \
			 !SOMEBODY(s))

/*
 * The range lock
 */

/* t_ := what overlaps n and is held or waited for */
inline count_blockers(n) {
	t_ = 0;
	EACH(i_, 0, UNIT)
		if
		:: i_ != n && FIRST(i_) <= LAST(n) && FIRST(n) <= LAST(i_) ->
			t_ = t_ + in_tree[i_]
		:: else
		fi;
	NEXT(i_)
}

/* BC_RANGE_TRY of the unit, which overlaps all */
#define RANGE_IS_FREE	(!in_tree[0] && !in_tree[GUESTS - 1])

inline range_queue(n) {
	d_step {
		count_blockers(n);
		blockers[n] = t_;
		in_tree[n] = 1;
		t_ = 0
	}
}

inline range_release(n) {
	d_step {
		in_tree[n] = 0;
		EACH(i_, 0, UNIT)
			if
			:: in_tree[i_] && blockers[i_] && FIRST(i_) <= LAST(n) &&
			   FIRST(n) <= LAST(i_) ->
				blockers[i_]--
			:: else
			fi;
		NEXT(i_)
	}
}

/* It is let go: nobody else may be there. */
inline check_alone(n) {
	d_step {
		EACH(i_, 0, UNIT)
			MUST(3, i_ == n || !HELD(i_) || (i_ == UNIT && !busy) ||
			     FIRST(i_) > LAST(n) || FIRST(n) > LAST(i_));
		NEXT(i_)
	}
}

/*
 * Dirt, errors
 */

/* qm_marked() */
inline marked() {
	flush_marks_moved = 1;
	/* (D) */
	if
	:: synced || final || state == PENDING -> atomic {
		!lock;
		synced = 0;
		final = 0;
		state = (state == PENDING -> READY : state)
	   }
	:: else
	fi
}

/* qm_mark() */
inline mark() {
	if
	:: dirty
	:: atomic { !dirty -> dirty = 1 } marked()
	fi
}

/* qm_job_error() */
inline job_error() {
	atomic {
		!lock;
		d_step {
		if
		:: state < ABORTING ->
			flush_void = 1;
			synced = 0;
			final = 0;
			if
			:: policy == REPORT -> state = ABORTING; gu_ended = 1
			:: policy == STOP ->
				state = (state == RUNNING -> PAUSED :
					 (state <= PENDING -> STANDBY : state))
			:: policy == IGNORE && state == PENDING -> state = READY
			:: else
			fi
		:: else
		fi
		}
	}
}

/*
 * Guest's writes
 */

/* The end of a write: what it wrote is on both legs, or dirty, or being copied. */
inline complete(g) {
	d_step {
		EACH(i_, io[g].first, io[g].last)
			io[g].writing = 0;
			MUST(2, state >= ABORTING || !DIFFERS(i_));
		NEXT(i_);
		inflight--
	}
}

inline free_leg(g) {
	io[g].leg = FREE;
	io[g].status = OK;
	io[g].guest_ended = 0;
	io[g].target_ended = 0
}

/* target_ended() and, under orphan_lock, orphan_ended() */
inline end_target(g, s) {
	if
	:: io[g].leg == FLIGHT ->
		io[g].leg = DONE;
		io[g].status = s;
		io[g].ended = 1
	:: else ->
		io[g].target_ended = 1;
		data_orphans = data_orphans - io[g].orphan;
		io[g].orphan = 0;
		if
		:: io[g].guest_ended -> free_leg(g)
		:: else
		fi
	fi
}

/* bad := its answer */
inline write_source(g) {
	if
	:: STEPS(c, first, last, src[c] = io[g].value)
	:: atomic { errors_left -> errors_left--; bad = 1 }
	fi
}

/* plan_target(), clean_whole_chunks(), check_again(); to := goes to the target */
inline start_write(g) {
	to = 0;
	if
	:: GIVING_UP || data_orphans -> bad = 1
	:: else ->
		if
		:: last - first == SECTORS - 1 ->
			to = 1;
			dirty = 0;
			bad = (data_orphans != 0)
		:: else -> to = !dirty
		fi
	fi
}

proctype Guest(byte g)
{
	byte n, c, first, last;
	bit bad, to, was;

	do
	:: n == WRITES -> break
	:: n < WRITES ->
		n++;
		if
		:: first = 0; last = 0
		:: first = 0; last = SECTORS - 1
#if SECTORS > 1 && GUESTS > 1
		:: first = SECTORS - 1; last = SECTORS - 1
#endif
		fi;
		/* no memory for another leg before the last one has ended */
		io[g].leg == FREE;
		atomic {
			!suspended;
			d_step {
				inflight++;
				io[g].first = first;
				io[g].last = last;
				io[g].value = 1 + g * WRITES + n
			}
		}
		if
		:: state >= ABORTING -> write_source(g); goto end_io
		:: else
		fi;
		if
		:: atomic { bg_live -> bg_count++; io[g].writing = 1 }
			/* background: end_background() */
#if defined(M_MARK_FIRST)
			mark();
			write_source(g);
#elif defined(M_MARK_NO_MB)
			was = dirty;
			write_source(g);
			if
			:: was
			:: else -> mark()
			fi;
#elif defined(M_MARK_LATE)
			write_source(g);
			complete(g);
			mark();
			bg_count--;
			goto next;
#else
			write_source(g);
			mark();
#endif
			bg_count--
		:: else ->
			/* write-blocking */
#ifdef M_RANGE_LATE
			start_write(g);
			range_queue(g);
			atomic { HELD(g) -> io[g].writing = 1 }
			check_alone(g);
#else
			range_queue(g);
			atomic { HELD(g) -> io[g].writing = 1 }
			check_alone(g);
			start_write(g);
#endif
			if
			:: to ->
				/* send_leg(), qm_leg_arm(), qm_leg_submit() */
#ifdef M_NO_B
				was = GIVING_UP;
				d_step { io[g].leg = FLIGHT; io[g].has_leg = 1 }
#else
				d_step { io[g].leg = FLIGHT; io[g].has_leg = 1 }
				/* (B) */
				was = GIVING_UP;
#endif
				if
				:: was -> d_step { end_target(g, NOT_SENT) }
				:: else -> atomic {
					/* who gave up has seen it, or it saw that */
					MUST(7, !gave_up || io[g].leg == GIVEN_UP);
					io[g].sent = 1
				   }
				fi;
				write_source(g);
#ifdef M_RELEASE_EARLY
				range_release(g);
#endif
				io[g].ended;
				/* end_mirrored() */
#ifdef M_SINCE_LATE
				range_release(g);
#endif
				if
				:: io[g].leg == DONE && io[g].status == OK ->
					since[epoch] = 1
				:: else -> bad = 1
				fi
			:: else -> write_source(g)
			fi;
#ifndef M_NO_REMARK
			if
			:: bad -> mark()
			:: else
			fi;
#endif
			if
			:: to && io[g].leg == DONE && io[g].status == ERROR ->
				job_error()
			:: else
			fi;
#if !defined(M_RELEASE_EARLY) && !defined(M_SINCE_LATE)
			range_release(g);
#else
			if
			:: in_tree[g] -> range_release(g)
			:: else
			fi;
#endif
			d_step {
				/* qm_leg_end() */
				io[g].has_leg = 0;
				io[g].ended = 0;
				if
				:: !to -> skip
				:: else ->
					if
					:: io[g].leg == DONE -> free_leg(g)
					:: else ->
						io[g].guest_ended = 1;
						if
						:: io[g].target_ended ->
							free_leg(g)
						:: else
						fi
					fi
				fi
			}
		fi;
end_io:
		complete(g);
next:
		bad = 0;
		to = 0;
		was = 0
	od
}

/* While an orphan is in flight nothing else is sent there. */
inline land(n, c, v) {
	d_step {
		EACH(j_, 0, GUESTS - 1)
			MUST(1, j_ == n || !io[j_].orphan || io[j_].first > c ||
			     io[j_].last < c);
		NEXT(j_);
		MUST(1, n == UNIT || !unit_orphan);
		tgt[c] = v
	}
}

/* The target's half of a guest's write; it may outlive the guest's. */
proctype Leg(byte g)
{
	byte c, first, last, value, st;

end:	do
	:: atomic {
		io[g].sent ->
		d_step {
			io[g].sent = 0;
			first = io[g].first;
			last = io[g].last;
			value = io[g].value
		}
	   }
		if
		:: io[g].leg == GIVEN_UP -> st = NOT_SENT	/* send_work */
		:: STEPS(c, first, last, land(g, c, value))
		:: atomic { errors_left -> errors_left--; st = ERROR }
		fi;
		d_step {
			end_target(g, st);
			first = 0;
			last = 0;
			value = 0;
			st = OK
		}
	od
}

/*
 * Background copy: the copier and its one unit.
 */

inline account_end() {
	d_step { busy = 0; seq_moved = 1; flush_seq_moved = 1 }
}

/* unit_io() up to its end. st := its answer, GIVEN_UP: it was an orphan */
inline unit_access(is_write, c) {
	if
	:: is_write -> land(UNIT, c, buf[c])
#ifndef M_READ_FIRST
	:: else -> buf[c] = src[c]
#else
	:: else
#endif
	fi
}

inline unit_io(is_write) {
	d_step { unit_state = FLIGHT; unit_writes = is_write }
	/* (B) */
	if
	:: GIVING_UP -> st = NOT_SENT
	:: else ->
		if
		:: STEPS(c, 0, SECTORS - 1, unit_access(is_write, c))
		:: atomic { errors_left -> errors_left--; st = ERROR }
		fi
	fi;
	d_step {
		if
		:: unit_state == FLIGHT -> unit_state = DONE
		:: else ->
			/* step() of one that was given up */
			unit_state = FREE;
			unit_orphan = 0;
			data_orphans--;
			st = GIVEN_UP
		fi
	}
}

proctype Copier()
{
	byte c, st;
	byte buf[SECTORS];

end:	do
	:: dirty && COPY_ALLOWED && !data_orphans && in_tree[UNIT] == 0 ->
		/* qm_unit_try(); refused three times it queues */
#ifndef M_NO_UNIT_RANGE
		if
		:: atomic { RANGE_IS_FREE -> in_tree[UNIT] = 1 }
		:: range_queue(UNIT)
		fi;
		HELD(UNIT);
#endif
		/* claim_run() */
		if
		:: COPY_ALLOWED && dirty && !data_orphans
		:: else -> goto put_back
		fi;
		d_step { busy = 1; seq_moved = 1; flush_seq_moved = 1 }
		check_alone(UNIT);
#ifdef M_READ_FIRST
		STEPS(c, 0, SECTORS - 1, buf[c] = src[c]);
		dirty = 0;
#else
		dirty = 0;
#endif
		/* (F) */
		if
		:: atomic { COPY_ALLOWED && !data_orphans ->
			/* not before the policy has seen why it is dirty */
			MUST(1, !unjudged)
		   }
		:: else ->
			mark();
			account_end();
			goto put_back
		fi;
		unit_io(0);
		if
		:: st == OK ->
			unit_io(1);
			if
			:: st == OK -> since[epoch] = 1
			:: else
			fi
		:: else
		fi;
		if
		:: st == OK || st == GIVEN_UP
		:: st == NOT_SENT -> mark()
		:: st == ERROR ->
#ifndef M_NO_REMARK_COPY
			mark();
#endif
			job_error()
		fi;
		if
		:: st == GIVEN_UP
		:: else ->
			/* finish() */
			account_end();
put_back:		skip;
			range_release(UNIT)
		fi;
		d_step {
			unit_state = FREE;
			unit_writes = 0;
			st = OK;
			EACH(i_, 0, SECTORS - 1)
				buf[i_] = 0;
			NEXT(i_)
		}
	od
}

/*
 * Giving up
 */

inline add_orphan(g) {
	d_step {
		if
		:: io[g].target_ended
		:: else ->
#ifndef M_NO_ORPHAN
			io[g].orphan = 1;
			data_orphans++
#endif
		fi
	}
}

/* give_up_leg(): orphan, dirty, let go */
inline give_up_leg(g, late) {
	giving = 1;
	if
	:: late -> judging++; unjudged++
	:: else
	fi;
	add_orphan(g);
	mark();
	marked();
	if
	:: late ->
		job_error();
		unjudged--;
		judging--
	:: else
	fi;
	giving = 0;
	io[g].ended = 1
}

/* qm_give_up() and qm_units_give_up() */
inline give_up(late) {
	EACH(g, 0, GUESTS - 1)
		if
		:: atomic { HELD(g) && io[g].has_leg && io[g].leg == FLIGHT ->
				io[g].leg = GIVEN_UP }
			give_up_leg(g, late)
		:: else
		fi;
	NEXT(g);
	g = 0;
	if
	:: atomic { unit_state == FLIGHT && (!late || unit_writes) ->
		d_step {
			unit_state = GIVEN_UP;
			unjudged = unjudged + late;
#ifndef M_UNIT_NOT_JUDGED
			judging = judging + late;
#endif
			unit_orphan = 1;
			data_orphans++;
#ifndef M_NO_REMARK_UNIT
			dirty = 1;
#endif
			busy = 0;
			seq_moved = 1;
			flush_seq_moved = 1
		}
		range_release(UNIT)
	   }
		marked();
		if
		:: late ->
			job_error();
			unjudged--;
#ifndef M_UNIT_NOT_JUDGED
			judging--
#endif
		:: else
		fi
	:: else
	fi
}

#if GIVE_UPS
/* timeout_work: the time of everything that it sees is over */
proctype Timeouts()
{
	byte n, g;

	do
	:: n == GIVE_UPS -> break
	:: n < GIVE_UPS && !quiet && state < ABORTING ->
		n++;
		give_up(1)
	:: state >= ABORTING -> break
	od
}
#endif

/*
 * Flushes
 */

#define A_RANGE_IS_HELD	(HELD(0) || HELD(GUESTS - 1) || HELD(UNIT))

inline reopen_epoch() {
	if
	:: owns ->
		since[1 - epoch] = 0;
		epoch_closed = 0
	:: else
	fi
}

/* What is in flight first: what has ended by then has set its bit before. */
inline flush_failed() {
#ifdef M_SINCE_FIRST
	INORDER(dirty = dirty || since[0] || since[1],
		dirty = dirty || A_RANGE_IS_HELD);
#else
#ifdef M_FLUSH_FORGETS
	skip;
#else
#ifdef M_NOT_IN_FLIGHT
	skip;
#else
	dirty = dirty || A_RANGE_IS_HELD;
#endif
	dirty = dirty || since[0];
	dirty = dirty || since[1];
#endif
#endif
	reopen_epoch();
	marked()
}

/* From qm_flush_prepare() to end_flush(). err := the target's answer */
inline flush_target() {
	d_step {
		owns = !epoch_closed;
		epoch = (owns -> 1 - epoch : epoch);
		epoch_closed = 1
	}
	if
	:: GIVING_UP -> err = NOT_SENT
	:: else ->
		if
		:: d_step {
			EACH(i_, 0, SECTORS - 1)
				durable[i_] = tgt[i_];
			NEXT(i_)
		   }
		:: atomic { errors_left -> errors_left-- ; err = ERROR;
			cache_lost++;
			d_step {
				EACH(i_, 0, SECTORS - 1)
					tgt[i_] = durable[i_];
				NEXT(i_)
			}
		   }
		fi
	fi;
	if
	:: err == OK -> reopen_epoch()
	:: err == NOT_SENT ->
		/* qm_flush_unknown() */
		if
		:: owns ->
			since[epoch] = since[epoch] || since[1 - epoch] ||
				A_RANGE_IS_HELD;
			reopen_epoch()
		:: else
		fi
	:: err == ERROR ->
#ifndef M_NO_JUDGING
		judging++;
#endif
		unjudged++;
		flush_failed();
		cache_lost--;
		job_error();
		unjudged--;
#ifndef M_NO_JUDGING
		judging--
#endif
	fi
}

/*
 * States
 */

/* clean := qm_job_clean() */
inline job_clean() {
	seq_moved = 0;
	clean = !dirty;
	if
	:: !clean
	:: else ->
		clean = (!busy && !NR_ORPHANS);
		clean = clean && !seq_moved
	fi
}

inline in_sync() {
	clean = !in_background;
	clean = clean && !bg_live && !bg_count;
	if
	:: clean -> job_clean()
	:: else
	fi
}

/* start_own_flush(), under the lock */
inline begin_flush() {
	d_step {
		flushing = 1;
		flush_ok = 0;
		flush_void = 0;
		flush_of_rest = quiet;
		flush_marks_moved = 0;
		flush_seq_moved = 0
	}
}

#define FLUSHED_SINCE	(flush_ok && !flush_marks_moved && !flush_seq_moved)

/* qm_job_try_final() */
inline try_final() {
	LOCK;
	if
	:: quiet && !noflush && state == PENDING &&
#ifndef M_ANY_REST
	   flush_of_rest &&
#endif
	   FLUSHED_SINCE && !final ->
		in_sync();
		if
		:: clean ->
			final = 1;
			/* (D) */
			in_sync();
			final = final && clean
		:: else
		fi
	:: else
	fi;
	MUST(9, !final || !inflight);
	UNLOCK
}

#if STATES
/* The job's own flush; own_flush_done() */
proctype OwnFlush()
{
	byte err;
	bit owns, clean;

end:	do
	:: flushing ->
		flush_target();
		atomic {
			!lock;
			flushing = 0;
			flush_ok = (err == OK && !flush_void)
		}
		if
		:: quiet -> try_final()
		:: else
		fi;
		d_step { err = OK; owns = 0; clean = 0 }
	od
}
#endif

#if FLUSHES
/* Those of the guest. */
proctype Flusher()
{
	byte n, err;
	bit owns;

	do
	:: n == FLUSHES -> break
	:: n < FLUSHES ->
		n++;
		atomic { !suspended -> inflight++ }
		if
		:: state >= ABORTING || bg_live || GIVING_UP
		:: else -> flush_target()
		fi;
		d_step { err = OK; owns = 0; inflight-- }
	od
}
#endif

#if STATES
/* state_work */
proctype State()
{
	byte n;
	bit clean;

	do
	:: n == STATES -> break
	:: n < STATES && !flushing ->
		n++;
		LOCK;
		if
		:: state == RUNNING && !quiescing && !flushing ->
			/* look_running() */
			job_clean();
			if
			:: flush_ok && !NR_ORPHANS && (in_background || clean) ->
				state = READY
			:: else ->
				if
				:: clean -> begin_flush()
				:: else
				fi
			fi
		:: state == READY ->
			/* look_ready() */
			in_sync();
			if
			:: clean ->
				if
				:: !synced ->
					synced = 1;
					/* (D) */
#ifndef M_NO_D
					in_sync();
					synced = clean
#endif
				:: else
				fi
			:: else
			fi;
			if
			:: !clean || !ending || quiescing || flushing
			:: else ->
				if
				:: !FLUSHED_SINCE -> begin_flush()
				:: else ->
					state = PENDING;
					/* (D) */
					in_sync();
					state = (clean -> PENDING : READY)
				fi
			fi
		:: state == PENDING && flush_wanted && !flushing ->
			/* look_pending() */
			begin_flush();
			flush_wanted = 0
		:: else
		fi;
		clean = 0;
		UNLOCK
	od
}
#endif

#if VERBS
/* Messages. Invalid ones and those without an effect are left out. */
proctype Verbs()
{
	byte n;

	do
	:: n == VERBS -> break
	:: n < VERBS ->
		n++;
		atomic { !verb_lock -> verb_lock = 1 }
		if
		:: state < ABORTING ->
			mark();
			marked();
			MUST(4, !final);
#if STATES && GUESTS == 1 && !ERRORS
			/* nobody else makes it dirty */
			atomic { !lock -> MUST(4, !synced || !dirty) }
#endif
		:: !ending && !in_background && state != PENDING ->
			/* set copy_mode background */
			in_background = 1;
			atomic { !lock -> synced = 0 }
			bg_live = 1
		:: !ending && in_background ->
			in_background = 0;
			bg_live = 0
		:: !ending && (state == READY || state == STANDBY) ->
			/* complete */
			ending = 1;
			in_background = 0;
			bg_live = 0
		:: atomic { !lock && (state == RUNNING || state == READY) ->
				state = (state == RUNNING -> PAUSED : STANDBY) }
		:: atomic { !lock && (state == PAUSED || state == STANDBY) ->
				flush_ok = 0;
				flush_void = 1;
				state = (state == PAUSED -> RUNNING : READY) }
		:: skip
		fi;
		verb_lock = 0
	od
}
#endif

#if SUSPENDS
/*
 * dm: suspend, with or without flush, and resume
 */
proctype Dm()
{
	byte n, g;
	bit clean;

	do
	:: n == SUSPENDS -> break
	:: n < SUSPENDS ->
		n++;
#ifdef M_QUIET_EARLY
		d_step { quiet = 1; flush_of_rest = 0 }
#endif
		atomic { !lock -> quiescing = 1 }
#if GIVE_UPS
		if
		:: noflush = 1;
			gu_suspend = 1;
			/* (B) */
			give_up(0);
			gave_up = 1
		:: skip
		fi;
#endif
		suspended = 1;
#ifndef M_QUIET_EARLY
		!inflight;
#endif
		/* qm_job_quiesce() */
		if
		:: !busy
#if GIVE_UPS
		:: busy ->
			gu_suspend = 1;
			give_up(0)
#endif
		fi;
		atomic {
			!lock;
			d_step {
				quiet = 1;
				flush_of_rest = 0;
				flush_wanted = (state == PENDING && !noflush)
			}
		}
		if
		:: !flush_wanted && !flushing
		:: flush_wanted || flushing	/* five seconds are over */
		fi;
		try_final();
		/* qm_job_adopt() */
#ifdef M_QUIET_LATE
		suspended = 0;
#endif
		atomic {
			!verb_lock && !lock;
			d_step {
				quiet = 0;
				final = 0;
				flush_wanted = 0;
				quiescing = 0;
				gu_suspend = 0;
				gave_up = 0;
				noflush = 0
			}
		}
		d_step { clean = 0; suspended = 0 }
	od
}
#endif

/*
 * What holds at any moment. It moves only when it is broken.
 */
proctype Invariants()
{
end:	do
	:: state < ABORTING && (DIFFERS(0) || DIFFERS(SECTORS - 1)) ->
		assert(!invariant_1)
	:: state < ABORTING && data_orphans && !dirty && !busy && !giving &&
	   !SOMEBODY(0) && !SOMEBODY(SECTORS - 1) ->
		assert(!invariant_1)
	:: final && !lock && (src[0] != tgt[0] || src[0] != durable[0] ||
		src[SECTORS - 1] != tgt[SECTORS - 1] ||
		src[SECTORS - 1] != durable[SECTORS - 1]) ->
		assert(!invariant_4)
	:: final && !lock && inflight ->
		assert(!invariant_9)
	od
}

init {
	byte i;

	atomic {
		state = START;
		if
		:: START == RUNNING ->
			EACH(i, 0, SECTORS - 1)
				tgt[i] = 255;
				durable[i] = 255;
			NEXT(i)
		:: else -> dirty = 0
		fi;
#ifdef ENDING
		ending = 1;
#endif
		if
#if BACKGROUND != 1
		:: skip
#endif
#if BACKGROUND
		:: in_background = 1; bg_live = 1
#endif
		fi;
		if
		:: policy = IGNORE
#if ERRORS || GIVE_UPS
		:: policy = STOP
		:: policy = REPORT
#endif
		fi;
		EACH(i, 0, GUESTS - 1)
			run Guest(i);
			run Leg(i);
		NEXT(i);
		run Copier();
		run Invariants();
#if STATES
		run OwnFlush();
		run State();
#endif
#if FLUSHES
		run Flusher();
#endif
#if GIVE_UPS
		run Timeouts();
#endif
#if VERBS
		run Verbs();
#endif
#if SUSPENDS
		run Dm();
#endif
	}
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cbw.pml - guest's writes x readers x copies x break x disarm, release, arm
 *
 * The protocol of dm-cbw: bits.h, copy.c, snap.c, view.c, verbs.c, with the
 * names of the code. Data are numbers: each write of the guest writes one of its
 * own, an arming remembers what the source held, and a read that ends well must
 * return that.
 *
 * What is atomic: whatever the code does under snap->lock and nobody looks at
 * without it. What is looked at without it (state, live_gen, pass, gone) changes
 * in steps of its own, the lock being held meanwhile. Two clusters of one I/O
 * reach the device one by one.
 *
 * Weak memory: plain loads without a barrier between them happen in any order,
 * likewise the two stores that end an arming; where the code has a barrier the
 * model has an order. Locks and atomic bit operations are what they are in the
 * kernel. M_... are the mutations, see `run`.
 */
#include "model.h"

#ifndef GUESTS
#define GUESTS		1	/* processes that write */
#endif
#ifndef WRITES
#define WRITES		1	/* of each */
#endif
#ifndef READS
#define READS		1	/* of the view */
#endif
#ifndef COPIES
#define COPIES		2	/* objects: with one, others starve */
#endif
#ifndef VERBS
#define VERBS		2	/* messages */
#endif
#ifndef SUSPENDS
#define SUSPENDS	1
#endif
#ifndef ERRORS
#define ERRORS		1	/* copies that fail */
#endif
#ifndef HANGS
#define HANGS		0	/* writes to the store that take for ever */
#endif
#ifndef TIMEOUTS
#define TIMEOUTS	0
#endif
#ifndef CLUSTERS
#define CLUSTERS	2
#endif

#define ARMINGS		2	/* the first is there at the beginning */
#define GARBAGE		255	/* what the store holds for anybody else */

#define IDLE		0
#define ARMED		1
#define BROKEN		2

/* What becomes of a write. ENDED: passes, for nothing is armed. */
#define PASS		0
#define WAIT		1
#define FAIL		2
#define ENDED		3
#define BREAKS		4

/* Devices. */
byte src[CLUSTERS], store[CLUSTERS];
/* What the source held at each arming. */
byte moment[3 * CLUSTERS];

/* struct cbw_snap */
byte state = ARMED;
byte live_gen = 1, last_gen = 1;
bit pass[CLUSTERS], gone[CLUSTERS];
bit lock, verb_lock;
bit quiet, hand_back;
bit break_snapshot;		/* policy */
byte nr_busy;			/* copies and discards */

/* dm's: is I/O let in, how many writes are in. */
bit suspended;
byte inflight;

/* struct cbw_io */
typedef Io {
	byte first, last, copies;
	byte waits;		/* for a foreign copy, plus 1 */
	bit slow, ready, starved, failed, requeue
};
Io io[GUESTS];

/* struct cbw_copy */
typedef Copy {
	byte first, last, gen;
	byte owner;		/* plus 1 */
	bit used, failed, hangs
};
Copy copy[COPIES];

/* struct cbw_discard; only cluster 0 is ever released here */
byte discards, discard_gen;

byte errors_left = ERRORS, hangs_left = HANGS, timeouts_left = TIMEOUTS;
bit released;			/* cluster 0 is, or is about to; for MUST() only */

/* Scratch, of d_step only. */
hidden byte c_, e_, k_, j_, v_, foreign_;
hidden byte starved_, all_;

#define A_COPY_IS_FREE	(!copy[0].used || !copy[COPIES - 1].used)

inline all_pass(g) {
	all_ = 1;
	EACH(c_, io[g].first, io[g].last)
		all_ = all_ && pass[c_];
	NEXT(c_)
}

/* k_ := the copy on cluster c, or COPIES */
inline copy_on(c) {
	k_ = 0;
	do
	:: k_ < COPIES ->
		if
		:: copy[k_].used && copy[k_].first <= c && c <= copy[k_].last ->
			break
		:: else -> k_++
		fi
	:: else -> break
	od
}

inline free_copy() {
	k_ = 0;
	do
	:: k_ < COPIES && copy[k_].used -> k_++
	:: else -> break
	od
}

/* __look(): v_ := PASS, WAIT or ENDED */
inline look(g, fresh) {
	v_ = (state == ARMED -> PASS : ENDED);
	foreign_ = 0;
	starved_ = 0;
	c_ = io[g].first;
	do
	:: state != ARMED || c_ > io[g].last -> break
	:: else ->
		copy_on(c_);
		if
		:: pass[c_] -> c_++
		:: !pass[c_] && k_ < COPIES ->
			foreign_ = (foreign_ -> foreign_ : k_ + 1);
			c_ = copy[k_].last + 1
		:: else ->
			/* a run of its own */
			e_ = c_;
			do
			:: e_ < io[g].last && !pass[e_ + 1] ->
				copy_on(e_ + 1);
				if
				:: k_ < COPIES -> break
				:: else -> e_++
				fi
			:: else -> break
			od;
			EACH(j_, 0, GUESTS - 1)
				starved_ = starved_ || (fresh && io[j_].starved);
			NEXT(j_);
			free_copy();
			if
			:: starved_ || k_ == COPIES ->
				starved_ = 1;
				break
			:: else ->
				copy[k_].used = 1;
				copy[k_].failed = 0;
				copy[k_].first = c_;
				copy[k_].last = e_;
				copy[k_].gen = live_gen;
				copy[k_].owner = g + 1;
				nr_busy++;
				io[g].copies++;
				c_ = e_ + 1
			fi
		fi
	od;
	io[g].waits = 0;
	io[g].starved = 0;
	io[g].ready = 0;
	if
	:: io[g].copies -> v_ = WAIT
	:: !io[g].copies && foreign_ -> v_ = WAIT; io[g].waits = foreign_
	:: !io[g].copies && !foreign_ && starved_ -> v_ = WAIT; io[g].starved = 1
	:: else
	fi
}

/* __detach(): it waits for nothing any more */
inline detach(g) {
	EACH(k_, 0, COPIES - 1)
		if
		:: copy[k_].used && copy[k_].owner == g + 1 -> copy[k_].owner = 0
		:: else
		fi;
	NEXT(k_);
	io[g].copies = 0;
	io[g].waits = 0;
	io[g].starved = 0;
	io[g].ready = 1
}

/* Who waits for copy k without owning it looks again. */
inline wake_waiters(k) {
	EACH(j_, 0, GUESTS - 1)
		if
		:: io[j_].slow && io[j_].waits == k + 1 ->
			io[j_].waits = 0;
			io[j_].ready = 1
		:: else
		fi;
	NEXT(j_)
}

inline owner_done(k, bad) {
	j_ = copy[k].owner - 1;
	copy[k].owner = 0;
	io[j_].failed = io[j_].failed || bad;
	io[j_].copies--;
	io[j_].ready = (io[j_].copies == 0)
}

/*
 * __cbw_end_arming(), lock held. From here on the store is anybody's.
 */
inline end_arming(new_state) {
#ifdef M_NO_WMB
	EITHER(live_gen = 0, state = new_state);
#else
	INORDER(live_gen = 0, state = new_state);
#endif
	d_step {
		EACH(c_, 0, CLUSTERS - 1)
			store[c_] = GARBAGE;
		NEXT(c_);
#ifndef M_NO_LET_GO
		EACH(e_, 0, GUESTS - 1)
			if
			:: io[e_].slow -> detach(e_)
			:: else
			fi;
		NEXT(e_)
#endif
	}
}

/*
 * A write is on its way to the source, or arrives there: what it overwrites is
 * saved, or nobody can want it.
 */
inline check_write(c, st) {
	if
	:: live_gen == 0 || gone[c] || (pass[c] &&
			store[c] == moment[live_gen * CLUSTERS + c]) -> skip
	:: else ->
		/* 6: let go before readers were told */
		MUST(6, st != ENDED && !(c == 0 && released));
		MUST(5, st == ENDED || (c == 0 && released))
	fi
}

inline land(c, st, value) {
	d_step {
		check_write(c, st);
		src[c] = value
	}
}

/* Who writes to the filter, from map to end. */
proctype Guest(byte g)
{
	byte n, st, c, first, last;
	bit ok;

	do
	:: n == WRITES -> break
	:: n < WRITES ->
		n++;
		if
		:: first = 0; last = 0
		:: first = 0; last = CLUSTERS - 1
		:: first = CLUSTERS - 1; last = CLUSTERS - 1
		fi;
		d_step {
			io[g].first = first;
			io[g].last = last
		}
map:
		atomic { !suspended && !hand_back -> inflight++ }
		/* cbw_map(): two looks, no barrier, and none needed */
		EITHER(st = state, d_step { all_pass(g); ok = all_ });
		if
		:: st != ARMED -> st = ENDED
		:: st == ARMED && ok -> st = PASS
		:: else ->
			/* cbw_map_slow() */
			atomic {
				!lock;
				if
				:: hand_back -> inflight--; goto map
				:: else
				fi;
				d_step {
					io[g].copies = 0;
					io[g].failed = 0;
					look(g, 1);
					st = v_;
					io[g].slow = (v_ == WAIT)
				}
			}
		fi;
		ok = 0;
		do
		:: st == WAIT -> atomic {
			/* ready_work() */
			!lock && (io[g].requeue || io[g].ready ||
				  (io[g].starved && A_COPY_IS_FREE));
			if
			:: io[g].requeue ->
				io[g].requeue = 0;
				inflight--;
				goto map
			:: !io[g].requeue && io[g].failed && state == ARMED ->
				/* __fail() */
				io[g].slow = 0;
				io[g].ready = 0;
				if
				:: break_snapshot -> lock = 1; st = BREAKS
				:: else -> st = FAIL
				fi
			:: else -> d_step {
#ifdef M_NO_SECOND_LOOK
				v_ = PASS;
				io[g].ready = 0;
				io[g].starved = 0;
#else
				look(g, 0);
#endif
				st = v_;
				io[g].slow = (v_ == WAIT)
			}
			fi
		}
		:: st == BREAKS ->
			end_arming(BROKEN);
			UNLOCK;
			st = ENDED
		:: else -> break
		od;
		if
		:: st == FAIL -> skip
		:: else ->
			d_step {
				EACH(e_, io[g].first, io[g].last)
					check_write(e_, st);
				NEXT(e_)
			}
			STEPS(c, first, last, land(c, st, 1 + g * WRITES + n))
		fi;
		d_step { c = 0; st = 0; inflight-- }
	od
}

/* cbw_bits_publish(): each bit by itself, seen at once by all */
inline publish(k) {
	STEPS(c, first, last, pass[c] = 1)
}

inline save(k, c) {
	d_step {
		/* no copy of an old snapshot in the store of a new one */
		MUST(6, copy[k].gen == live_gen || !live_gen);
		store[c] = buf[c]
	}
}

/* A copy: submit_reads(), store_work and ended_work of one cbw_copy. */
proctype Copier(byte k)
{
	byte c, first, last;
	byte buf[CLUSTERS];
	bit wanted;

end:	do
	:: d_step { copy[k].used ->
			first = copy[k].first;
			last = copy[k].last
	   }
		if
		:: STEPS(c, first, last, buf[c] = src[c])
		:: atomic { errors_left -> errors_left--; copy[k].failed = 1 }
		fi;
		/* cbw_store_work() */
		atomic {
			!lock;
			wanted = (!copy[k].failed && copy[k].gen == live_gen);
#ifdef M_PUBLISH_EARLY
			lock = wanted
#endif
		}
#ifdef M_PUBLISH_EARLY
		if
		:: wanted -> publish(k); UNLOCK
		:: else
		fi;
#endif
		if
		:: wanted && hangs_left -> atomic {
			hangs_left--;
			copy[k].hangs = 1
		   }
		:: skip
		fi;
		!copy[k].hangs;
		if
		:: wanted ->
			STEPS(c, first, last, save(k, c))
		:: atomic { wanted && errors_left -> errors_left--; copy[k].failed = 1 }
		:: !wanted
		fi;

		/* __finish_copy() */
		LOCK;
		if
#ifdef M_FINISH_ANY_GEN
		:: !copy[k].failed ->
#else
		:: !copy[k].failed && copy[k].gen == live_gen ->
#endif
			publish(k);
			atomic {
			if
			:: copy[k].first == 0 && gone[0] ->
				discards++;
				discard_gen = last_gen;
				nr_busy++
			:: else
			fi
			}
		:: else
		fi;
		d_step {
			all_ = 1;
			EACH(c_, copy[k].first, copy[k].last)
				all_ = all_ && pass[c_];
			NEXT(c_);
			copy[k].used = 0;
			wake_waiters(k);
			if
			:: copy[k].owner -> owner_done(k, copy[k].failed && !all_)
			:: else
			fi;
			nr_busy--;
			first = 0;
			last = 0;
			wanted = 0;
			EACH(c_, 0, CLUSTERS - 1)
				buf[c_] = 0;
			NEXT(c_);
			lock = 0
		}
	od
}

/*
 * cbw_bits_valid(): gone, and behind one more read barrier the generation: who
 * ends the arming clears the bits next.
 */
inline look_valid() {
	valid = 1;
#ifdef M_GEN_BEFORE_GONE
	INORDER(valid = valid && gen == live_gen,
		valid = valid && !gone[first] && !gone[last])
#else
	INORDER(valid = valid && !gone[first] && !gone[last],
		valid = valid && gen == live_gen)
#endif
}

inline look_pass() {
	d_step { p[0] = pass[0]; p[CLUSTERS - 1] = pass[CLUSTERS - 1] }
}

inline read_source() {
	STEPS(c, first, last, data[c] = src[c])
}

inline read_store() {
	STEPS(c, first, last, data[c] = store[c])
}

/* cbw_view_bind() and bind_views(): now and then; and the view's own look. */
inline take_generation() {
	if
	:: gen = live_gen
	:: skip
	fi;
	valid = (gen && gen == live_gen)
}

#if READS
/* A view, bound when its table was resumed; loaded anew it is bound anew. */
proctype Reader()
{
	byte n, gen, first, last, c;
	byte data[CLUSTERS];
	bit p[CLUSTERS];
	bit valid, saved;

	do
	:: n == READS -> break
	:: n < READS ->
		n++;
		if
		:: first = 0; last = 0
		:: first = 0; last = CLUSTERS - 1
		fi;

		/*
		 * cbw_view_map(). The acquire: the generation before the bits.
		 * What it could see without is what the bits were before.
		 */
#ifdef M_NO_ACQUIRE
		EITHER(take_generation(), look_pass());
#else
		INORDER(take_generation(), look_pass());
#endif
		valid = valid && !gone[first] && !gone[last];
		if
		:: !valid -> goto done
		:: else
		fi;
		d_step {
			saved = p[first];
			last = (p[first] == p[last] -> last : first)
		}

		if
		:: saved -> read_store()
#ifdef M_NO_RMB
		:: !saved -> EITHER(read_source(), look_pass())
#else
		:: !saved -> INORDER(read_source(), look_pass())
#endif
		fi;
		/* cbw_view_end_io() */
#ifdef M_NO_VALID
		valid = 1;
#else
		look_valid();
#endif
#ifdef M_PASS_LAST
		if
		:: !saved -> look_pass()
		:: else
		fi;
#endif
#ifdef M_NO_AGAIN
		p[first] = 0;
		p[last] = 0;
#endif
		if
		:: valid && !saved && (p[first] || p[last]) ->
			/* read_again(), and end_io once more */
			look_pass();
			STEPS(c, first, last, data[c] = (p[c] -> store[c] : data[c]));
			look_valid()
		:: else
		fi;
		d_step {
			EACH(c_, first, last)
				MUST(5, !valid || data[c_] == moment[gen * CLUSTERS + c_]);
			NEXT(c_)
		}
done:		skip;
		d_step {
			EACH(c_, 0, CLUSTERS - 1)
				data[c_] = 0;
				p[c_] = 0;
			NEXT(c_);
			c = 0; first = 0; last = 0; valid = 0; saved = 0
		}
	od
}
#endif

inline clear(bitmap_bit) {
	d_step {
		/* never while a snapshot lives */
		MUST(6, !live_gen);
		bitmap_bit = 0
	}
}

/* cbw_bits_reset(), verb_lock held, nothing armed */
inline reset_bitmaps() {
	STEPS(c, 0, CLUSTERS - 1, clear(pass[c]));
	STEPS(c, 0, CLUSTERS - 1, clear(gone[c]));
	released = 0
}

inline arm() {
	if
#ifdef M_ARM_RUNNING
	:: atomic { !lock && state == IDLE && !nr_busy && last_gen < ARMINGS -> lock = 1 }
#else
#ifdef M_ARM_BUSY
	:: atomic { quiet && !lock && state == IDLE && last_gen < ARMINGS -> lock = 1 }
#else
	:: atomic { quiet && !lock && state == IDLE && !nr_busy && last_gen < ARMINGS -> lock = 1 }
#endif
#endif
		d_step {
			MUST(9, !inflight);
			last_gen++;
			state = ARMED;
			EACH(c_, 0, CLUSTERS - 1)
				moment[last_gen * CLUSTERS + c_] = src[c_];
			NEXT(c_)
		}
		live_gen = last_gen;
		d_step {
#ifndef M_RESET_LATE
			MUST(6, !pass[0] && !pass[CLUSTERS - 1] && !gone[0]);
#endif
			lock = 0
		}
#ifdef M_RESET_LATE
		reset_bitmaps()
#endif
	:: skip		/* refused, or not sent */
	fi
}

inline disarm() {
	LOCK;
	if
	:: state != IDLE ->
#ifdef M_RESET_EARLY
		reset_bitmaps();
#endif
		end_arming(IDLE);
		UNLOCK;
#if !defined(M_RESET_EARLY) && !defined(M_RESET_LATE)
		reset_bitmaps()
#endif
	:: else -> UNLOCK
	fi
}

/* release of cluster 0, and cbw_look_again() */
inline release() {
	LOCK;
	if
	:: state != IDLE ->
		d_step { released = 1; saved = pass[0] && !gone[0] }
#ifdef M_PASS_FIRST
		INORDER(pass[0] = 1, gone[0] = 1);
#else
		INORDER(gone[0] = 1, pass[0] = 1);
#endif
		d_step {
			if
			:: saved ->
				discards++;
				discard_gen = last_gen;
#ifndef M_DISCARD_UNCOUNTED
				nr_busy++
#endif
			:: else
			fi;
			saved = 0
		}
	:: else
	fi;
	UNLOCK;
#ifndef M_NO_LOOK_AGAIN
	atomic {
		!lock;
		d_step {
			EACH(k_, 0, COPIES - 1)
				if
				:: copy[k_].used ->
					wake_waiters(k_);
					all_ = 1;
					EACH(c_, copy[k_].first, copy[k_].last)
						all_ = all_ && pass[c_];
					NEXT(c_);
					if
					:: all_ && copy[k_].owner ->
						owner_done(k_, 0)
					:: else
					fi
				:: else
				fi;
			NEXT(k_);
			EACH(e_, 0, GUESTS - 1)
				all_pass(e_);
				if
				:: io[e_].slow && !io[e_].failed && all_ -> detach(e_)
				:: else
				fi;
			NEXT(e_)
		}
	}
#endif
}

#if VERBS
/* One message at a time. */
proctype Verbs()
{
	byte n, c;
	bit saved;

	do
	:: n == VERBS -> break
	:: n < VERBS ->
		n++;
		atomic { !verb_lock -> verb_lock = 1 }
		if
		:: arm()
		:: disarm()
#ifndef NO_RELEASE
		:: release()
#endif
		fi;
		d_step { c = 0; verb_lock = 0 }
	od
}
#endif

#if SUSPENDS
/* dm suspends and resumes the filter. */
proctype Dm()
{
	byte n;

	do
	:: n == SUSPENDS -> break
	:: n < SUSPENDS ->
		n++;
#ifdef M_CBW_QUIET_EARLY
		quiet = 1;
#endif
		/* presuspend: without flush what waits is handed back */
		if
		:: atomic {
			!lock;
			hand_back = 1;
			d_step {
				EACH(e_, 0, GUESTS - 1)
					if
					:: io[e_].slow ->
						detach(e_);
						io[e_].slow = 0;
						io[e_].ready = 0;
						io[e_].requeue = 1
					:: else
					fi;
				NEXT(e_)
			}
		   }
		:: skip
		fi;
		suspended = 1;
		!inflight;
		/* postsuspend, and some day resume */
		atomic { !verb_lock -> quiet = 1 }
		atomic { !lock -> hand_back = 0 }
#ifdef M_CBW_QUIET_LATE
		suspended = 0;
#endif
		atomic { !verb_lock -> quiet = 0 }
		suspended = 0
	od
}
#endif

#if !defined(NO_RELEASE)
proctype Discards()
{
	byte gen;

end:	do
	:: discards ->
		atomic { !lock; discards--; gen = discard_gen }
		if
		:: gen == last_gen && state != IDLE ->
			d_step {
				MUST(6, gen == live_gen || !live_gen);
				store[0] = GARBAGE
			}
		:: else
		fi;
		atomic { !lock; gen = 0;
#ifdef M_DISCARD_UNCOUNTED
			skip
#else
			nr_busy--
#endif
		}
	od
}
#endif

#if TIMEOUTS
proctype Timeouts()
{
	byte g;

	do
	:: !timeouts_left -> break
	:: timeouts_left -> atomic {
		!lock;
		g = 0;
		do
		:: g < GUESTS - 1 -> g++
		:: break
		od;
		timeouts_left--;
		d_step {
			if
			:: io[g].slow ->
				/* __time_out() */
				all_pass(g);
				detach(g);
				io[g].failed = io[g].failed || !all_
			:: else
			fi
		}
		g = 0
	}
	od
}
#endif

#if HANGS
/*
 * Nobody moves any more: a copy hangs in the store, or all is over. Who still
 * waits does so for a snapshot that lives. Then the store answers.
 */
proctype Monitor()
{
	byte g, k;

end:	do
	:: atomic { timeout ->
		d_step {
			EACH(g, 0, GUESTS - 1)
				all_pass(g);
				MUST(7, !io[g].slow || (state == ARMED && !all_));
			NEXT(g);
			g = 0;
			foreign_ = 0;
			EACH(k, 0, COPIES - 1)
				foreign_ = foreign_ || copy[k].hangs;
				copy[k].hangs = 0;
			NEXT(k);
			k = 0
		}
		if
		:: foreign_ -> skip
		:: else -> break
		fi
	   }
	od
}
#endif

init {
	byte i;

	atomic {
		if
		:: break_snapshot = 0
#if ERRORS || TIMEOUTS
		:: break_snapshot = 1
#endif
		fi;
		EACH(i, 0, GUESTS - 1)
			run Guest(i);
		NEXT(i);
		EACH(i, 0, COPIES - 1)
			run Copier(i);
		NEXT(i);
		EACH(i, 0, CLUSTERS - 1)
			store[i] = GARBAGE;
		NEXT(i);
#if READS
		run Reader();
#endif
#if VERBS
		run Verbs();
#endif
#if SUSPENDS
		run Dm();
#endif
#ifndef NO_RELEASE
		run Discards();
#endif
#if TIMEOUTS
		run Timeouts();
#endif
#if HANGS
		run Monitor();
#endif
	}
}

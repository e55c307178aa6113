/* The ladder on which an app server is ended: is anything left, does it come to an end, is a reaped pid ever signalled?
 *
 * Four processes of the system: we, the guardian, the app server (the child) and what that started (the grandchild, in a
 * session of its own, begun at any moment). The child dies at any moment it likes, or at none: one that
 * leaves at the end of its stdin or at SIGTERM does nothing that the first may not do, and the second ignores both. It may
 * close its stdout and live on. One more thing may happen at any moment: nothing, the guardian is
 * stopped, the guardian is killed, or we are. A timer may go off as soon as it is set: no length of a grace is relied upon.
 *
 * Followed: ChildProcess._climb, kill, aclose, _read_stdout, _read_control, _on_exit, _reap, _sweep, _finish (_io/process.py),
 * Guardian.run, _on_order, _on_parent_gone, _bury, _sweep, _leave (_io/guardian.py), signal_group (_io/spawn.py),
 * kill_marked (_io/survivors.py), PidfdWatch (_io/exit_watch.py). A callback of the event loop is one atomic step.
 *
 *   (nothing)                     ours, under a guardian                                             must hold
 *   TIMED                         the same with the time that the rungs take; nothing else happens   must hold
 *   STUCK                         the child sits in the kernel and cannot die: we end all the same   must hold
 *   UNGUARDED                     no guardian: the group, and the sweep by mark                      must hold
 *   UNGUARDED+FOREIGN             another part of the program reaps our child before we do           must be refuted: a known limit
 *   UNGUARDED+WE_DIE              nobody is left to end it: what the guardian is for                 must be refuted: a known limit
 *   TWO_FAULTS                    we kill a guardian that hangs, and die before the sweep            must be refuted: a known limit
 *   BROKEN_NO_SWEEP               the guardian leaves when the child is dead                         must be refuted
 *   BROKEN_EOF_DECIDES            the end of stdout is taken for the end                             must be refuted
 *   BROKEN_NO_CUT                 nothing comes after KILL                                           must be refuted
 *   BROKEN_CANCEL                 cancelling aclose() stops the ladder                               must be refuted
 *   BROKEN_NO_WATCH               the guardian does not look whether we live                         must be refuted
 *   TIMED+BROKEN_CLIMB_AGAIN      a second aclose() begins the ladder anew                           must be refuted
 *   UNGUARDED+BROKEN_REAP_FIRST   the group is signalled after its leader was reaped                 must be refuted
 */
mtype = { unborn, alive, zombie, reaped };
mtype = { order_term, order_kill, word_status, word_swept };

#define UNTOUCHED 0
#define HANG_UP 1
#define TERMINATE 2
#define KILL 3
#define CUT 4
#define GONE 5

/* What each rung may take, Graces() in quarters of a second, and the last one (_LAST_GRACE). */
#define GRACE(rung) (rung == HANG_UP -> 2 : (rung == TERMINATE -> 3 : (rung == KILL -> 4 : 1)))
#define BOUND 10
#ifdef TIMED
#define FORKS 0
#else
#define FORKS 1 /* how often the child starts something, at any moment of its life */
#endif

/* --- the system --- */
mtype child = alive;
mtype guardian = alive;
bool grandchild = false;
byte births = 0;
bool is_stopped = false; /* the guardian, by SIGSTOP */
bool stdout_closed = false; /* by a child that lives on */
chan orders = [4] of { mtype }; /* the control socket, down */
chan words = [4] of { mtype }; /* and up */

/* --- we --- */
bool we_live = true;
byte rung = UNTOUCHED;
bool timer = false;
bool at_end = false; /* of stdout */
bool swept = false; /* so the guardian says */
bool watching = true;
bool sweeping = false;
bool ended = false; /* ChildProcess._ended has its result */
#ifdef TIMED
byte spent = 0; /* the longest time that the ladder can have taken so far */
#endif

#ifdef UNGUARDED
#define LEADER child
#else
#define LEADER guardian
#endif

#define STDOUT_AT_END ((stdout_closed || child != alive) && !grandchild)

inline die(who) {
	if
	:: who == alive -> who = zombie
	:: else -> skip
	fi
}

inline kill_child() {
#ifndef STUCK
	die(child)
#else
	skip
#endif
}

/* SIGKILL for the guardian: PDEATHSIG takes the child along, what that started belongs to nobody. */
inline kill_guardian() {
	if
	:: guardian == alive -> guardian = zombie; kill_child()
	:: else -> skip
	fi
}

/* signal_group(self._process.pid): the leader must not have been reaped, or the number may be another's by now. */
inline signal_leader_group(is_kill) {
	assert(LEADER != reaped);
#ifdef UNGUARDED
	if
	:: is_kill -> kill_child() /* the grandchild has a group of its own */
	:: else -> skip /* whether it leaves is its own affair */
	fi
#else
	kill_guardian()
#endif
}

inline order(word, is_kill) {
#ifdef UNGUARDED
	signal_leader_group(is_kill)
#else
	if
	:: guardian == alive && len(orders) < 4 -> orders!word
	:: else -> skip
	fi
#endif
}

/* ChildProcess._climb: upwards only, and each rung sets the timer of the next. */
inline climb(to) {
	if
#ifdef BROKEN_CLIMB_AGAIN
	:: to > rung || to == HANG_UP && rung < GONE ->
#else
	:: to > rung ->
#endif
		rung = to;
		timer = false;
		if
		:: to == HANG_UP -> timer = true
		:: to == TERMINATE -> order(order_term, false); timer = true
		:: to == KILL -> order(order_kill, true);
#ifndef BROKEN_NO_CUT
			timer = true
#endif
		:: to == CUT -> signal_leader_group(true); timer = true
		:: to == GONE -> watching = false; sweeping = true /* so stuck that nobody can wait for it */
		fi
	:: else -> skip
	fi
}

inline reap() {
	if
	:: LEADER == zombie -> LEADER = reaped
	:: else -> skip /* somebody else has taken it */
	fi
}

/* ChildProcess._on_exit: the process that we started is a zombie. */
inline on_exit() {
	rung = GONE;
	timer = false;
	watching = false;
#ifdef BROKEN_REAP_FIRST
	reap();
#endif
#ifdef UNGUARDED
	signal_leader_group(true);
#else
	do /* _read_control */
	:: words?word_status
	:: words?word_swept -> swept = true
	:: len(words) == 0 -> break
	od;
#endif
	reap();
	if
	:: swept -> ended = true
	:: else -> sweeping = true
	fi
}

active proctype Us() {
	byte next;

	do
	:: atomic { we_live && timer ->
#ifdef TIMED
			spent = spent + GRACE(rung);
			assert(spent <= BOUND); /* I13 */
#endif
			next = rung + 1;
			climb(next);
			next = 0
		}
	:: atomic { we_live && !at_end && !ended && STDOUT_AT_END ->
			at_end = true;
#ifdef BROKEN_EOF_DECIDES
			ended = true
#else
			climb(HANG_UP)
#endif
		}
	:: atomic { we_live && watching && words?[word_status] -> words?word_status; climb(KILL) }
	:: atomic { we_live && watching && words?[word_swept] -> words?word_swept; swept = true }
	:: atomic { we_live && watching && (LEADER == zombie || LEADER == reaped) -> on_exit() }
	/* _sweep: a look at the process table, again until one finds nobody. */
	:: atomic { we_live && sweeping && grandchild -> grandchild = false }
	:: atomic { we_live && sweeping && !grandchild -> sweeping = false; kill_child(); ended = true }
	:: !we_live || ended -> break
	od
}

/* Somebody awaits aclose(), and may be cancelled while he does. The wait is shielded: the ladder goes on by itself. The other
 * one may as well be the watchdog, or a greeting that failed: Link.kill. */
proctype Closer(bool may_be_cancelled) {
	atomic {
		if
		:: we_live && !ended -> climb(HANG_UP)
		:: we_live && !ended && !may_be_cancelled -> climb(KILL)
		:: else -> skip
		fi
	};
	if
	:: ended || !we_live -> skip
	:: atomic { may_be_cancelled && rung < KILL && !ended ->
#ifdef BROKEN_CANCEL
			timer = false
#else
			skip
#endif
		}
	fi
}

active proctype Child() {
	bool is_mortal;

	if
	:: is_mortal = true
	:: skip
	fi;
	do
	:: atomic { child == alive && births < FORKS -> births++; grandchild = true }
	:: atomic { child == alive && !stdout_closed -> stdout_closed = true }
#ifndef STUCK
	:: atomic { child == alive && is_mortal -> die(child) }
#endif
#ifdef STUCK
	:: ended -> break
#endif
	:: child != alive -> break
	od
}

#ifndef UNGUARDED
active proctype Guardian() {
	bool has_status = false;
	bool told = false;

	/* run: wait for the first reason to end */
	do
	:: atomic { guardian == alive && !is_stopped && child == zombie -> child = reaped; has_status = true; break } /* _bury */
	:: atomic { guardian == alive && !is_stopped && orders?[order_term] ->
			orders?order_term;
			assert(child != reaped) /* kill(child, SIGTERM): its pid is its own until we have waited for it */
		}
	:: atomic { guardian == alive && !is_stopped && orders?[order_kill] -> orders?order_kill; break }
#ifndef BROKEN_NO_WATCH
	:: atomic { guardian == alive && !is_stopped && !we_live -> break } /* _on_parent_gone, the end of the control socket */
#endif
	:: guardian != alive -> goto out
#ifdef STUCK
	:: ended -> goto out
#endif
	od;
	atomic {
		if
		:: guardian == alive && has_status && len(words) < 4 -> words!word_status; told = true
		:: else -> skip
		fi
	};
#ifndef BROKEN_NO_SWEEP
	do /* _sweep: kill from the top down until there is no child left to wait for */
	:: atomic { guardian == alive && !is_stopped && child == alive -> kill_child() }
	:: atomic { guardian == alive && !is_stopped && child == zombie -> child = reaped; has_status = true }
	:: atomic { guardian == alive && !is_stopped && grandchild -> grandchild = false }
	:: atomic { guardian == alive && !is_stopped && child == reaped && !grandchild -> break }
	:: guardian != alive -> goto out
#ifdef STUCK
	:: ended -> goto out
#endif
	od;
#else
	(guardian != alive || !is_stopped);
	if
	:: child == reaped -> skip
	:: else -> child = reaped
	fi;
#endif
	atomic { /* _leave */
		if
		:: guardian == alive ->
			if
			:: !told -> words!word_status
			:: else -> skip
			fi;
			words!word_swept;
			guardian = zombie
		:: else -> skip
		fi
	};
out:
	/* Killed in mid-work: what it would have waited for is init's now. */
	atomic {
		if
		:: child == zombie -> child = reaped
		:: else -> skip
		fi
	}
}
#endif

/* One thing more may happen, at any moment. */
active proctype Fate() {
	if
	:: skip
#if !defined(UNGUARDED) && !defined(TIMED)
	:: atomic { guardian == alive -> is_stopped = true }
	:: atomic { kill_guardian() }
#ifdef TWO_FAULTS
	:: atomic { !ended -> we_live = false }
#else
	:: atomic { !ended && rung < CUT && guardian == alive -> we_live = false }
#endif
#endif
#if defined(UNGUARDED) && defined(WE_DIE)
	:: atomic { !ended -> we_live = false }
#endif
#if defined(UNGUARDED) && defined(FOREIGN)
	:: atomic { child == zombie -> child = reaped }
#endif
	fi
}

init {
	atomic {
#ifdef UNGUARDED
		guardian = reaped;
#endif
		run Closer(false);
		run Closer(true)
	};
	timeout; /* nothing moves any more */
	assert(!we_live || ended); /* I13: whoever waits for the end is told, also if another was cancelled */
#ifndef STUCK
	assert(child != alive); /* I9: nothing is left */
	assert(!grandchild);
	assert(guardian != alive);
	assert(!we_live || LEADER == reaped || rung == GONE)
#endif
}

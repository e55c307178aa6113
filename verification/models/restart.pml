/* The restart law: never two servers at a time, never more than the budget in a window, and whoever waits is told.
 *
 * Time goes in ticks, and ages stop growing where nobody asks any more. A start takes no tick or one and may fail; a server
 * dies at any moment or never; somebody closes the runtime at any moment or never; the random part of the back-off is a tick
 * more or none. Servers that are replaced in good order (Link.retire) cost no budget and are left out.
 *
 * Followed: Supervisor._supervise, _start, _decide (runtime/_supervisor.py), decide (_sansio/restart.py), Life.ready, lost,
 * dead, _close, wait_ready (runtime/_life.py), Calls._start, pump, fail, close (runtime/_calls.py).
 *
 *   (nothing)                     ours                                                         must hold
 *   (nothing), "told"             whoever waits in line is told                                must hold
 *   SLOW_STARTS                   starts fail so slowly that the budget never runs out         must hold
 *   SLOW_STARTS, "told"           ... and wait_ready() waits as long as that goes on           must be refuted: a known limit
 *   BROKEN_DECISION_TIME          the history has the time of the decision, not of the start   must be refuted
 *   BROKEN_STABLE_FORGETS         a stable life also clears the history                        must be refuted
 *   BROKEN_FAILED_START_FREE      a start that fails costs no budget                           must be refuted
 *   BROKEN_NO_ACLOSE              the next server starts before the last one is known dead     must be refuted
 *   BROKEN_CLOSE_IN_PAUSE         closing does not end the pause before the next start         must be refuted
 *   BROKEN_DEAD_SILENT, "told"    giving up does not fail the calls in line                    must be refuted
 *   BROKEN_NO_PUMP, "told"        a new server is not given the calls in line                  must be refuted
 */
#define BUDGET 2
#ifdef SLOW_STARTS
#define WINDOW 6
#else
#define WINDOW 8 /* more than BUDGET starts that fail, with the longest pauses, take */
#endif
#define STABLE 2
#define MAX_BACKOFF 4

mtype = { starting, running, restarting, dead, closing, closed }; /* Connection.phase */
mtype = { elsewhere, in_line, in_flight, settled }; /* a call, or somebody in wait_ready */

mtype phase = starting;
mtype call = elsewhere;
byte alive = 0; /* processes */
bool server_is_up = false; /* Link.alive */
bool cancelled = false; /* the supervision, by Life._close */
bool supervision_is_over = false;
byte left = 0; /* ticks until what the supervisor waits for */
byte uptime = 0;
byte streak = 0;
byte ages[2 * BUDGET] = WINDOW; /* of restarts, the youngest first; WINDOW stands for "older, or none" */
#define HISTORY 0 /* here begins RestartHistory.restarts */
#define SEEN BUDGET /* and here the same, as somebody knows it who only watches the starts */
#define OLDEST (BUDGET - 1)

inline grow_older() {
	k = 0;
	do
	:: k < 2 * BUDGET -> if :: ages[k] < WINDOW -> ages[k]++ :: else -> skip fi; k++
	:: else -> break
	od;
	k = 0
}

inline enter(first) {
	k = BUDGET - 1;
	do
	:: k > 0 -> ages[first + k] = ages[first + k - 1]; k--
	:: else -> break
	od;
	ages[first] = 0
}

inline settle() {
	if
	:: call == in_line || call == in_flight -> call = settled
	:: else -> skip
	fi
}

/* Life.lost: Calls.fail with what was in flight. */
inline lost() {
	server_is_up = false;
	if
	:: call == in_flight -> call = settled
	:: else -> skip
	fi
}

/* A tick comes only when nobody has anything to do at once: an iteration of the loop is much shorter. */
active proctype Time() {
	byte k;

end_of_time:
	do
	:: atomic { (left > 0 || server_is_up && phase == running) && !cancelled ->
			if
			:: left > 0 -> left--
			:: else -> if :: uptime < STABLE -> uptime++ :: else -> skip fi
			fi;
			grow_older()
		}
	:: supervision_is_over -> break
	od
}

active proctype Supervisor() {
	byte k;
	byte delay;
	bool is_first = true;

	do
	:: /* _start */
		atomic {
			if
			:: cancelled -> goto over
			:: else -> skip
			fi;
			assert(phase != dead && phase != closed); /* Dead is the end, and so is a close */
			if
			:: !is_first ->
				assert(ages[SEEN + OLDEST] >= WINDOW); /* I10: one more now is within the budget of any window */
				enter(SEEN)
			:: else -> is_first = false
			fi;
			alive++;
			assert(alive == 1); /* I11 */
			server_is_up = true;
			uptime = 0;
			if
			:: left = 0
			:: left = 1
			fi
		};
		(left == 0 || cancelled);
		if
		:: atomic { !cancelled && server_is_up -> /* Life.ready */
				phase = running;
#ifndef BROKEN_NO_PUMP
				if
				:: call == in_line -> call = in_flight
				:: else -> skip
				fi
#endif
			};
			(!server_is_up || cancelled) /* link.over() */
		:: atomic { !cancelled -> k = 1 } /* the greeting failed, or it died before: StartError */
		:: cancelled -> skip
		fi;
		atomic { /* finally: await link.aclose() */
			lost();
#ifdef BROKEN_NO_ACLOSE
			if
			:: alive == 1 && k == 1 -> skip /* a server whose greeting failed lives on */
			:: else -> alive--
			fi
#else
			alive--
#endif
		};
		atomic { /* decide */
			if
			:: cancelled -> goto over
			:: else -> skip
			fi;
			if
#ifdef BROKEN_FAILED_START_FREE
			:: ages[HISTORY + OLDEST] < WINDOW && k == 0 ->
#else
			:: ages[HISTORY + OLDEST] < WINDOW -> /* so all of them are in the window: GiveUp, and Life.dead */
#endif
				phase = dead;
#ifndef BROKEN_DEAD_SILENT
				settle();
#endif
				goto over
			:: else -> skip
			fi;
			if
			:: uptime >= STABLE ->
				streak = 0
#ifdef BROKEN_STABLE_FORGETS
				; k = 0;
				do
				:: k < BUDGET -> ages[HISTORY + k] = WINDOW; k++
				:: else -> break
				od
#endif
			:: else -> skip
			fi;
			delay = (1 << streak);
			if
			:: delay > MAX_BACKOFF -> delay = MAX_BACKOFF
			:: else -> streak++
			fi;
			if
			:: left = delay
			:: left = delay + 1 /* jitter */
			fi;
			delay = 0;
			phase = restarting; /* Life.restarting */
#ifdef BROKEN_DECISION_TIME
			enter(HISTORY);
#endif
			k = 0
		};
#ifdef BROKEN_CLOSE_IN_PAUSE
		left == 0;
		cancelled = false;
#else
		(left == 0 || cancelled); /* Clock.sleep_until */
#endif
		atomic {
			k = 0;
#ifndef BROKEN_DECISION_TIME
			enter(HISTORY)
#endif
		}
	od;
over:
	supervision_is_over = true
}

/* A server that was up dies, at any moment or never. */
active proctype Death() {
end_never:
	do
	:: atomic { server_is_up && phase == running -> lost() }
	:: supervision_is_over -> break
	od
}

/* Somebody asks for something, at any moment; an answer comes at some time, if the server lives. */
active proctype Caller() {
	atomic {
		if
		:: phase == dead || phase == closing || phase == closed -> call = settled /* Calls._closed: refused at once */
		:: phase == running && server_is_up -> call = in_flight
		:: else -> call = in_line
		fi
	};
	do
	:: call == settled -> break
	:: atomic { call == in_flight -> call = settled } /* Calls.settle */
	od
}

/* Life._close, at any moment or never. */
active proctype Closer() {
	if
	:: atomic { phase != dead ->
			phase = closing;
			settle(); /* Calls.close */
			cancelled = true
		};
		supervision_is_over;
		assert(alive == 0); /* I9 */
		phase = closed
	:: skip
	fi
}

ltl told { [] ((call == in_line || call == in_flight) -> <> (call == settled)) }

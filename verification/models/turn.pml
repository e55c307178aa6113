/* Who ends a turn whose server dies: exactly one end, told to whoever waits, and none that the server did not call one.
 *
 * A turn has begun. Servers die, come back and die again before they are ready for everyone; the next one knows the turn as
 * ended, as going on, or not at all; a session asks it and may be too late; somebody leaves the block at any moment, or closes
 * the runtime. What runs on the event loop without an await is one atomic step.
 *
 * Followed: Turn.lost, ready, search, found, lose, _end (client/_turn.py), TurnState.lose, give_up, recover, push
 * (client/_turn_state.py), Session._reattach, _resume (client/_session.py), Interruption.stop (client/_turn_interruption.py),
 * TurnReducer.end, recover, apply (_sansio/turn.py), judge (_sansio/turn_record.py), Life.lost, ready, dead, _close
 * (runtime/_life.py), Reattachments.run (runtime/_reattach.py).
 *
 *   (nothing)                   ours                                                          must hold
 *   (nothing), "ends"           every turn has its end, however often its server dies         must hold
 *   BROKEN_NO_SEARCH, "ends"    Session._reattach does not call Turn.search                   must be refuted
 *   BROKEN_NO_READY, "ends"     Turn.ready does not lose what was not found in time           must be refuted
 *   BROKEN_DEAD_SILENT, "ends"  Life.dead does not tell who follows a thread                  must be refuted
 *   BROKEN_SECOND_END           TurnReducer.end does not ask whether there is a result        must be refuted
 *   BROKEN_HOPE                 a record without the time of its end is taken for a success   must be refuted
 */
#define SERVERS 3

mtype = { runs, over_there, broken_off }; /* what the server's record says of the turn */
mtype = { starting, running, dead, closed };

mtype record = runs;
mtype phase = running;
byte server = 0; /* the generation */
bool lives = true; /* the server */
bool noticed = true; /* Life.lost was called for the one before */

bool is_away = false; /* TurnState.is_away */
byte ends = 0; /* TurnCompleted events */
bool was_success = false; /* the server has called its end a success */
bool interrupted = false; /* the server was asked to */

#define IS_OVER (ends > 0)

inline end_turn(is_success) {
	assert(ends == 0); /* I5 */
	ends++;
	assert(!is_success || was_success); /* nothing is taken for a success that the server does not call one */
	is_away = false
}

/* Turn.lost, from Dispatch.lost: only if the server had been ready for everyone, or no other one will come. */
inline tell_lost(is_final) {
	if
#ifdef BROKEN_SECOND_END
	:: is_final -> end_turn(false)
#else
	:: !IS_OVER && is_final -> end_turn(false)
#endif
	:: !IS_OVER && !is_final -> is_away = true
	:: else -> skip
	fi
}

/* The server: goes on with the turn and ends it, or dies. Its messages reach the turn if it is heard. */
active proctype Server() {
end_server:
	do
	:: atomic { lives && record == runs && (phase == running || phase == starting && !is_away) ->
			/* turn/completed, folded by TurnReducer.apply */
			record = over_there;
			was_success = !interrupted;
			if
			:: !IS_OVER -> end_turn(was_success)
			:: else -> skip
			fi
		}
	:: atomic { lives && record == runs && phase == starting && is_away -> record = over_there; was_success = true }
	:: atomic { lives && server < SERVERS - 1 -> lives = false; noticed = false;
			if
			:: record == runs -> record = broken_off /* killed in the middle */
			:: record == runs /* a server on a socket runs it on */
			:: record != runs -> skip
			fi
		}
	:: phase == dead || phase == closed -> break
	od
}

/* Supervisor, Life, and the reattachment of the session of the turn. */
active proctype Runtime() {
	bool was_ready = true;

end_healthy:
	do
	:: atomic { !lives && !noticed ->
			noticed = true;
			if
			:: was_ready -> tell_lost(false)
			:: else -> skip /* who follows a thread lost nothing by a server that nobody could use yet */
			fi;
			was_ready = false;
			phase = starting
		}
		if
		:: atomic { phase != closed ->
				phase = dead; /* the budget is spent: Life.dead */
#ifndef BROKEN_DEAD_SILENT
				tell_lost(true)
#endif
			};
			break
		:: atomic { phase != closed -> server++; lives = true };
#ifndef BROKEN_NO_SEARCH
			atomic { if :: !IS_OVER -> is_away = true :: else -> skip fi } /* Session._reattach: Turn.search */
#endif
			if
			:: atomic { lives && phase == starting -> /* the answer to thread/resume: Turn.found, judge */
					if
					:: is_away && record == runs -> is_away = false /* GoesOn */
					:: is_away && record == over_there -> end_turn(was_success) /* Ended */
					:: is_away && record == broken_off ->
#ifdef BROKEN_HOPE
						end_turn(true)
#else
						end_turn(false) /* Lost */
#endif
					:: else -> skip
					fi
				}
			:: lives && phase == starting -> skip /* too late for Reattachments: the task is cancelled, and says nothing */
			:: !lives -> skip
			:: phase == closed -> skip
			fi;
			if
			:: atomic { lives && phase == starting ->
					phase = running; /* Life.ready, Dispatch.ready, Turn.ready */
					was_ready = true;
#ifndef BROKEN_NO_READY
					if
					:: is_away -> end_turn(false)
					:: else -> skip
					fi
#endif
				}
			:: !lives -> skip
			:: phase == closed -> break
			fi
		:: phase == closed -> break
		fi
	:: phase == closed -> break
	od
}

/* Whoever is in `async with session.stream(...)` leaves it, at any moment or never: Turn._end, Interruption.stop. */
active proctype Leaver() {
	if
	:: skip
	:: if
		:: atomic { lives && phase == running && !IS_OVER && !is_away -> interrupted = true } /* the server is asked */
		:: true -> skip /* there is none, and the grace is for waiting for one */
		fi;
		/* The grace is over, or the end was told: TurnState.give_up. */
		atomic { if :: !IS_OVER -> end_turn(false) :: else -> skip fi }
	fi
}

/* Life._close, at any moment or never. */
active proctype Closer() {
	if
	:: skip
	:: atomic { phase != dead -> phase = closed; tell_lost(true) }
	fi
}

ltl ends { <> (ends > 0) }

/* An approval that is answered late: can a yes reach something that nobody said yes to?
 *
 * The server numbers its requests from 0 in each generation, so "request 0" means another question after each restart. A person
 * takes any time to answer, the server dies at any moment, and the news of its death takes a while to arrive.
 *
 * Followed: Desk.open, Desk.closed, Desk._expire, Desk.end_if_late, Desk.withdraw_all (runtime/_server_requests.py),
 * Ticket._answer, Ticket.wait (runtime/_ticket.py), Life.lost (runtime/_life.py), Supervisor._supervise
 * (runtime/_supervisor.py). What runs on the event loop without an await is one atomic step here.
 *
 *   (nothing)            ours: a ticket holds the link that asked                           must hold
 *   NO_FENCE             an answer names a request id, and goes to whoever listens now      must be refuted
 *   CHECK_THEN_WRITE     the generation is compared, then the present pipe is written to    must be refuted
 *   BROKEN_TWICE         Ticket._answer does not ask whether there is an outcome            must be refuted
 *   BROKEN_LATE_YES      Ticket._answer does not call Desk.end_if_late                      must be refuted
 *   BROKEN_NO_WITHDRAW   Life.lost does not call Desk.withdraw_all                          must be refuted
 */
#define GENERATIONS 3
#define ASKS 2 /* requests of each generation, with the ids 0 and 1 */
#define TICKETS (GENERATIONS * ASKS)
#define TICKET(g, id) ((g) * ASKS + (id))

mtype = { yes, no };

/* One pipe for each generation: whoever writes to a dead one reaches nobody. */
chan pipe_0 = [4] of { byte, mtype };
chan pipe_1 = [4] of { byte, mtype };
chan pipe_2 = [4] of { byte, mtype };

byte current = 0; /* the generation of Calls.link */
bool dead[GENERATIONS]; /* the process is gone */
bool lost[GENERATIONS]; /* and we know: Life.lost was called */
byte asked[GENERATIONS]; /* how many requests were opened as tickets */

bool open_[TICKETS]; /* Desk.waiting */
bool settled[TICKETS]; /* Ticket.outcome is not None */
bool late[TICKETS]; /* Ticket.deadline has passed */
byte written[TICKETS]; /* answers that were written for it */
bool approved[TICKETS]; /* somebody who saw this question said yes to it */

inline write(g, id, word) {
	if
	:: g == 0 -> if :: nfull(pipe_0) -> pipe_0!id, word :: full(pipe_0) -> skip fi
	:: g == 1 -> if :: nfull(pipe_1) -> pipe_1!id, word :: full(pipe_1) -> skip fi
	:: g == 2 -> if :: nfull(pipe_2) -> pipe_2!id, word :: full(pipe_2) -> skip fi
	fi
}

/* Ticket._answer: outcome, deadline, Desk.send, Ticket._close, without an await in between. */
inline answer(t, word) {
	if
#ifndef BROKEN_LATE_YES
	:: word == yes && late[t] && !settled[t] -> settle(t, no)
	:: !(word == yes && late[t]) && !settled[t] ->
#else
	:: !settled[t] ->
#endif
		settle(t, word)
#ifdef BROKEN_TWICE
	:: settled[t] && !lost[(t) / ASKS] -> written[t]++; write((t) / ASKS, (t) % ASKS, word)
#endif
	:: else -> skip /* AlreadySettledError */
	fi
}

inline settle(t, word) {
	assert(!(word == yes && late[t])); /* a yes that comes too late is none */
	written[t]++;
	write((t) / ASKS, (t) % ASKS, word);
	settled[t] = true;
	open_[t] = false
}

/* The app server of one generation: asks, does what it is allowed to, dies at any moment. */
proctype Server(byte me; chan stdin) {
	byte id;
	mtype word;
	byte done = 0;

	do
	:: atomic { !dead[me] && asked[me] < ASKS && !lost[me] ->
			/* Dispatch._accept, Desk.open: a ticket that holds this link */
			open_[TICKET(me, asked[me])] = true;
			asked[me]++
		}
	:: atomic { !dead[me] && stdin?[id, word] ->
			stdin?id, word;
			if
			:: word == yes && id < asked[me] -> assert(approved[TICKET(me, id)]) /* I6: nothing runs unapproved */
			:: else -> skip
			fi
		}
	:: atomic { !dead[me] -> dead[me] = true; break }
	od
}

/* Supervisor._supervise: learn of the end, tell everybody, start the next one. */
active proctype Supervisor() {
	byte g = 0;
	byte t;

	run Server(0, pipe_0);
	do
	:: atomic { dead[g] ->
			lost[g] = true;
			t = TICKET(g, 0);
			do
			:: t < TICKET(g, 0) + ASKS ->
#ifndef BROKEN_NO_WITHDRAW
				if
				:: open_[t] -> open_[t] = false; settled[t] = true /* Desk.withdraw_all */
				:: else -> skip
				fi;
#endif
				t++
			:: else -> break
			od;
			t = 0
		}
		if
		:: g + 1 < GENERATIONS ->
			atomic {
				g++;
				current = g;
				if
				:: g == 1 -> run Server(1, pipe_1)
				:: g == 2 -> run Server(2, pipe_2)
				fi
			}
		:: else -> break
		fi
	od
}

/* Somebody who looks at a ticket, thinks, and says yes, at any time after. Two of them may look at the same one. */
proctype Person() {
	byte t = 0;
	byte g, id;

	do /* any ticket that is open now */
	:: atomic { open_[t] -> approved[t] = true; g = t / ASKS; id = t % ASKS; break }
	:: t + 1 < TICKETS -> t++
	:: true -> goto out
	od;
#if defined(NO_FENCE)
	atomic { write(current, id, yes) }
#elif defined(CHECK_THEN_WRITE)
	if
	:: g == current -> skip
	:: g != current -> goto out
	fi;
	/* an await, a lock, another thread: whatever lies between the look and the blow */
	atomic { write(current, id, yes) }
#else
	atomic { answer(t, yes) }
#endif
out:
	skip
}

/* Desk._expire: the deadline passes at some moment, and the loop comes round to it at another, later one. */
proctype Deadline(byte t) {
end_unasked:
	atomic { asked[t / ASKS] > t % ASKS -> late[t] = true };
	atomic { answer(t, no) }
}

/* Whoever awaits Ticket.wait() is told, however it ends: with the server, by the deadline, by a person. If not, it is left
 * where no process may end, and Spin says so. */
proctype Waiter(byte t) {
end_unasked:
	asked[t / ASKS] > t % ASKS;
	settled[t]
}

init {
	atomic {
		run Person();
		run Person();
#if !defined(NO_FENCE) && !defined(CHECK_THEN_WRITE)
		run Deadline(0);
		run Waiter(TICKET(1, 0))
#endif
	}
	timeout;
	byte t = 0;
	do
	:: t < TICKETS ->
		assert(written[t] <= 1); /* I7: one answer at most */
		assert(!(open_[t] && lost[t / ASKS])); /* nobody is asked about what nobody can answer */
		t++
	:: else -> break
	od
}

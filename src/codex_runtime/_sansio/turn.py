"""Fold the messages of one turn into events and, at the end, into a result.

Feed :class:`TurnReducer` every message of the thread, in wire order; it says what each one means for its turn and
ignores the rest. It never waits, never reads a clock and never raises because of what the server wrote. Its result does
not depend on how fast anyone reads the events.

The one idea: exactly one terminal event. It comes from the server (``turn/completed``) or from the caller
(:meth:`TurnReducer.end`), whichever is first; what comes later is at most counted. After a broken connection, the server's
record stands in for what was missed (:meth:`TurnReducer.recover`).
"""

from __future__ import annotations

import re
from collections import deque

from msgspec import UNSET

from codex_runtime._sansio.envelope import NO_STAMP, Envelope, Fault, Stamp, params_of
from codex_runtime._sansio.turn_events import Reconnected, TurnCompleted, TurnEvent, TurnStarted
from codex_runtime._sansio.turn_fold import NOTHING, Events, TurnFold, other
from codex_runtime._sansio.turn_items import mapping, number, seconds, text, turn_fault
from codex_runtime._sansio.turn_record import Ended, Finding, GoesOn, Lost
from codex_runtime._sansio.turn_result import TokenCounts, TurnFault, TurnResult, TurnStatus
from codex_runtime.errors import LocalProtocolError

__all__ = ["TO_ALL", "TurnEvent", "TurnFault", "TurnReducer", "TurnResult", "TurnStatus"]

# Messages that may come between asking for a turn and learning its id. A handful is normal; all events of a running turn
# come here when the request steers that turn instead of starting one.
EARLY_LIMIT = 1024

# How a turn ended, by the word in turn/completed. No other message ends one.
_STATUSES: dict[str, TurnStatus] = {
    "completed": "completed",
    "failed": "failed",
    "interrupted": "interrupted",
    "cancelled": "interrupted",
}

ANSWER = re.compile(rb'\s*\{\s*"(?:id|result|error)"')

# What is said to everybody names no thread.
TO_ALL = frozenset({"warning", "configWarning", "deprecationNotice"})


class TurnReducer:
    """The state of one turn.

    Create it before ``turn/start`` is sent, feed it from then on, and call :meth:`begin` with the id in the reply: what
    came earlier is kept and replayed.

    ``used_before`` is what the thread had used before this turn, if that is known. Otherwise it is told from the first
    count of the turn; a server that begins a turn by repeating the count before (after compaction) then counts twice.

    ``interrupted_as`` is the status for a turn that the server reports as interrupted; set it to ``"timed_out"`` before
    interrupting a turn for its deadline. ``late_items`` counts items that completed after the turn had ended (a command
    left in the background does); they change nothing. ``early_dropped`` counts messages that came before :meth:`begin`
    and found no room.
    """

    def __init__(self, thread_id: str, *, used_before: TokenCounts | None = None) -> None:
        self.thread_id = thread_id
        self.interrupted_as: TurnStatus = "interrupted"
        self.late_items = 0
        self.early_dropped = 0
        self._turn_id: str | None = None
        self._early: deque[Envelope] = deque()
        self._is_started = False
        self._fold = TurnFold(used_before)
        self._result: TurnResult | None = None
        self._started_at: float | None = None
        self._first = self._last = NO_STAMP

    @property
    def turn_id(self) -> str | None:
        """The id of the turn, once :meth:`begin` was called."""
        return self._turn_id

    @property
    def is_started(self) -> bool:
        """True once the server runs the turn; before that it refuses to interrupt it."""
        return self._is_started

    @property
    def is_over(self) -> bool:
        """True once there is a result."""
        return self._result is not None

    @property
    def result(self) -> TurnResult | None:
        """What the turn came to; ``None`` while it runs."""
        return self._result

    def begin(self, turn_id: str) -> list[TurnEvent]:
        """Learn the turn's id from the reply to ``turn/start``, and return the events of what had come before it.

        Raises :class:`~codex_runtime.errors.LocalProtocolError` if the turn already has another id.
        """
        if self._turn_id == turn_id or self._result is not None:
            return []
        if self._turn_id is not None:
            raise LocalProtocolError("the turn has begun under another id")
        self._turn_id = turn_id
        early, self._early = self._early, deque()
        return [event for envelope in early for event in self.apply(envelope)]

    def apply(self, envelope: Envelope) -> Events:
        """Return what a message means for this turn: mostly one event, or none."""
        params, method = envelope.shallow, envelope.method
        if method is None or envelope.rpc_id is not UNSET:
            return NOTHING if envelope.fault is None else self._unread(envelope, envelope.fault)
        if params.thread_id != self.thread_id and (params.thread_id is not None or method not in TO_ALL):
            return NOTHING
        if self._turn_id is None or self._result is not None:
            return self._set_aside(envelope)
        turn_id = params.turn_id
        if turn_id is None and params.turn is not None:
            turn_id = params.turn.id
        if turn_id == self._turn_id or (method == "turn/started" and self._is_root_of(envelope)):
            self._last = envelope.stamp
            handler = TurnFold.OF_TURN.get(method)
            events = self._turn_message(envelope) if handler is None else handler(self._fold, envelope)
            return events if self._is_started else self._start(envelope, events)
        handler = TurnFold.OF_THREAD.get(method) if turn_id is None else None
        return NOTHING if handler is None else handler(self._fold, envelope)

    def end(
        self, status: TurnStatus, error: TurnFault | None = None, *, duration: float | None = None
    ) -> list[TurnEvent]:
        """End the turn from our side: the server is lost, or too slow, or we no longer care.

        Everything that has arrived is kept; open items become "closed". ``duration`` is in seconds; by default it is
        the time between the turn's first and last message. Returns the terminal event, or nothing if the turn is over.
        """
        return [] if self._result is not None else [self._finish(status, error, duration)]

    def recover(self, finding: Finding, stamp: Stamp, *, lost: TurnFault) -> list[TurnEvent]:
        """Take over what the server's record says of the turn after the connection broke. ``stamp`` is that of the record.

        The turn ends if the record says so, with ``lost`` as its error if it is lost, and goes on otherwise.
        """
        if self._result is not None or self._turn_id is None:
            return []
        self._last = stamp
        events: list[TurnEvent] = []
        if not self._is_started:
            self._is_started, self._first = True, stamp
            events.append(TurnStarted(self._turn_id))
        match finding:
            case GoesOn(items):
                # What completes now was missed but for its end; what is left has a gap.
                filled = self._fold.fill(items)
                return [*events, Reconnected(self._fold.miss(), stamp.generation), *filled]
            case Ended(status, items, error, started_at, duration):
                filled = self._fold.fill(items)
                if self._started_at is None:
                    self._started_at = started_at
                ending = self._finish(*self._judged(status, error), duration)
                return [*events, Reconnected((), stamp.generation), *filled, ending]
            case Lost(_, items):
                return [*events, *self._fold.fill(items), self._finish("lost", lost, None)]

    def partial(self) -> TurnResult:
        """What the turn has come to so far, with the status "running"; the result itself, once there is one."""
        return self._result or self._result_as("running")

    # --- Where a message belongs ------------------------------------------------------------------------------------

    def _set_aside(self, envelope: Envelope) -> Events:
        """Keep what came before the turn's id is known; count what came after its end."""
        if self._result is None:
            if len(self._early) == EARLY_LIMIT:
                self._early.popleft()
                self.early_dropped += 1
            self._early.append(envelope)
        elif envelope.method == "item/completed" and envelope.shallow.turn_id == self._turn_id is not None:
            self.late_items += 1
        return NOTHING

    def _unread(self, envelope: Envelope, fault: Fault) -> Events:
        """Tell of a message of this thread of which only the head is left. An answer is told to whoever asked."""
        if fault.reason != "too_long" or self.thread_id.encode() not in envelope.raw or ANSWER.match(envelope.raw):
            return NOTHING
        if self._turn_id is None or self._result is not None:
            return self._set_aside(envelope)
        return self._fold.warn(f"a message of {fault.size} bytes is longer than the line limit and was left out")

    def _is_root_of(self, envelope: Envelope) -> bool:
        """A review starts under another id, but names ours as its root."""
        return mapping(params_of(envelope).get("turn")).get("rootTurnId") == self._turn_id

    def _start(self, envelope: Envelope, events: Events) -> Events:
        """Let no event come before TurnStarted: of a turn that we steered, the server does not repeat the start."""
        self._is_started = True
        self._first = envelope.stamp
        if self._started_at is None and self._first is not NO_STAMP:
            self._started_at = self._first.at
        return (TurnStarted(self._turn_id or ""), *events)

    # --- The turn itself --------------------------------------------------------------------------------------------

    def _turn_message(self, envelope: Envelope) -> Events:
        if envelope.method == "turn/completed":
            return self._complete(envelope)
        if envelope.method != "turn/started":
            return other(envelope)
        if self._started_at is None:
            self._started_at = number(mapping(params_of(envelope).get("turn")).get("startedAt"))
        return NOTHING

    def _complete(self, envelope: Envelope) -> Events:
        params = params_of(envelope)
        turn = mapping(params.get("turn"))
        error = turn_fault(turn.get("error")) or turn_fault(params.get("error"))
        word = turn.get("status")
        if word is None:
            word = "failed" if error else "completed"
        # A word that we do not know, or a message that we cannot read, is no success.
        status = _STATUSES.get(text(word), "failed") if params else "failed"
        ending = self._judged(status, error)
        return [*self._fold.summarised(turn.get("items")), self._finish(*ending, seconds(turn.get("durationMs")))]

    def _judged(self, status: TurnStatus, error: TurnFault | None) -> tuple[TurnStatus, TurnFault | None]:
        if status == "failed" and error is None:
            error = self._fold.last_error or TurnFault("the turn failed and the server did not say why")
        return (self.interrupted_as if status == "interrupted" else status), error

    def _finish(self, status: TurnStatus, error: TurnFault | None, duration: float | None) -> TurnCompleted:
        self._result = self._result_as(status, error, duration)
        self._fold = TurnFold()  # a finished turn holds nothing but its result
        self._early.clear()
        return TurnCompleted(self._result)

    def _result_as(
        self, status: TurnStatus, error: TurnFault | None = None, duration: float | None = None
    ) -> TurnResult:
        if duration is None and self._is_started:
            duration = max(0.0, self._last.monotonic - self._first.monotonic)
        return self._fold.result(
            self.thread_id,
            self._turn_id,
            status,
            error=error,
            started_at=self._started_at,
            duration=duration,
        )

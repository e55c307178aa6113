"""Look at what happened: fold a log into the state and the turns that the runtime had then.

The same folds as in a live runtime, fed from a file. Nothing is started, nothing is sent, and damage in the log is
counted, not raised.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import UNSET, Struct
from msgspec.structs import replace

from codex_runtime._sansio.envelope import Envelope, JsonValue
from codex_runtime._sansio.projection import TELLING, Projection, RuntimeState
from codex_runtime._sansio.state_answers import result_of
from codex_runtime._sansio.turn import TurnEvent, TurnFault, TurnReducer, TurnResult
from codex_runtime._sansio.turn_record import Lost, judge
from codex_runtime.journal._entry import Entry
from codex_runtime.runtime import Damage, Gap, StateLimits

__all__ = ["Record", "Replay", "Replayer", "replay"]

RESUME = "thread/resume"

Record: TypeAlias = Entry | Envelope | Gap | Damage


class Replay(Struct, frozen=True, kw_only=True):
    """What a log came to.

    ``state`` is the last state; ``turns`` are the results of all turns in the order of their starts, ``"lost"`` if the
    server went away in mid-turn and the record of the next one does not know better, and ``"running"`` if the log ends
    first. ``messages`` were read, ``missing`` were known
    to be missing, ``damaged`` stretches could not be read. ``runs`` counts the runtimes that wrote the log.
    """

    state: RuntimeState
    turns: tuple[TurnResult, ...]
    messages: int
    missing: int
    damaged: int
    runs: int


def replay(records: Iterable[Record], *, limits: StateLimits | None = None) -> Replay:
    """Fold the entries of a journal, or what :func:`~codex_runtime.runtime.read_jsonl` yields, in their order.

    ``limits`` bound the state as they do in a runtime; turns are kept whole.
    """
    replayer = Replayer(limits=limits)
    for record in records:
        replayer.feed(record)
    return replayer.outcome()


class Replayer:
    """The fold, one record at a time. :meth:`feed` returns the turn events that the record brought."""

    def __init__(self, *, limits: StateLimits | None = None) -> None:
        self._projection = Projection(limits)
        self._turns: dict[tuple[str, str], TurnReducer] = {}
        self._running: dict[str, dict[str, TurnReducer]] = {}
        self._away: dict[str, dict[str, TurnReducer]] = {}  # their server is gone; the next one may know of them
        self._asked: dict[
            object, tuple[str, JsonValue]
        ] = {}  # what the server still has to answer, if it tells something
        self._messages = self._missing = self._damaged = self._runs = 0
        self._place: tuple[int | None, int, int] | None = None  # run, generation, seq

    def feed(self, record: Record) -> list[tuple[TurnReducer, TurnEvent]]:
        """Take the next record."""
        run, item = (record.run, record.envelope or record.gap) if isinstance(record, Entry) else (None, record)
        match item:
            case Gap(count=count):
                self._missing += count
            case Damage():
                self._damaged += 1
            case Envelope() as envelope:
                return self._message(envelope, run)
            case _:
                pass
        return []

    def outcome(self) -> Replay:
        """Return what it has come to so far."""
        return Replay(
            state=self._projection.snapshot(),
            turns=tuple(self._result(reducer) for reducer in self._turns.values()),
            messages=self._messages,
            missing=self._missing,
            damaged=self._damaged,
            runs=self._runs,
        )

    def _message(self, envelope: Envelope, run: int | None) -> list[tuple[TurnReducer, TurnEvent]]:
        events = self._moved_on(envelope, run)
        self._messages += 1
        if envelope.direction == "outbound":
            if envelope.kind == "request" and envelope.method in TELLING:
                self._asked[envelope.rpc_id] = envelope.method or "", envelope.params
            return events
        if envelope.method is None and (asked := self._asked.pop(envelope.rpc_id, None)) is not None:
            self._projection.fold_with_answers([envelope], [(*asked, envelope)])
            if asked[0] == RESUME:
                events += self._found(asked[1], envelope)
        else:
            self._projection.fold([envelope])
        thread_id = envelope.shallow.thread_id
        if envelope.method is None or envelope.rpc_id is not UNSET:
            return events
        if self._begin(envelope, thread_id) and thread_id is not None:
            events += _lost(self._away.pop(thread_id, {}))  # its thread goes on without it
        threads = list(self._running.values()) if thread_id is None else [self._running.get(thread_id, {})]
        for reducer in [reducer for running in threads for reducer in running.values()]:
            events += [(reducer, event) for event in reducer.apply(envelope)]
            if reducer.is_over:
                self._running[reducer.thread_id].pop(reducer.turn_id or "", None)
        return events

    def _moved_on(self, envelope: Envelope, run: int | None) -> list[tuple[TurnReducer, TurnEvent]]:
        """Notice that another server, or another runtime, goes on here: what ran before is lost."""
        before, self._place = self._place, (run, envelope.generation, envelope.seq)
        is_other_run = before is None or before[0] != run or (run is None and envelope.seq <= before[2])
        self._runs += is_other_run
        if before is None or not (is_other_run or before[1] != envelope.generation):
            return []
        self._projection.end_generation()
        self._asked.clear()
        for thread_id, running in self._running.items():
            self._away.setdefault(thread_id, {}).update(running)
        self._running.clear()
        if not is_other_run:
            return []
        away, self._away = self._away, {}
        return [event for turns in away.values() for event in _lost(turns)]

    def _found(self, asked: JsonValue, answer: Envelope) -> list[tuple[TurnReducer, TurnEvent]]:
        """Learn from the record of a thread what became of its turns, as a session does that finds its thread again."""
        thread_id = asked.get("threadId") if isinstance(asked, dict) else None
        result = result_of(answer)
        if not isinstance(thread_id, str) or result is None:
            return []
        events: list[tuple[TurnReducer, TurnEvent]] = []
        for turn_id, reducer in self._away.pop(thread_id, {}).items():
            finding = judge(turn_id, result)
            fault = TurnFault(finding.reason if isinstance(finding, Lost) else "", kind="connectionLost")
            events += [(reducer, event) for event in reducer.recover(finding, answer.stamp, lost=fault)]
            if not reducer.is_over:
                self._running.setdefault(thread_id, {})[turn_id] = reducer
        return events

    def _result(self, reducer: TurnReducer) -> TurnResult:
        is_away = reducer.turn_id in self._away.get(reducer.thread_id, {})
        return replace(reducer.partial(), status="lost") if is_away else reducer.partial()

    def _begin(self, envelope: Envelope, thread_id: str | None) -> bool:
        """Follow a turn from the first message that names it. Tell whether this is it."""
        shallow = envelope.shallow
        turn_id = shallow.turn_id or (shallow.turn.id if shallow.turn is not None else None)
        if not thread_id or not turn_id or (thread_id, turn_id) in self._turns:
            return False
        if envelope.method == "turn/started" and self._is_part_of_another(envelope, thread_id):
            return False
        reducer = TurnReducer(thread_id)
        reducer.begin(turn_id)
        self._turns[thread_id, turn_id] = reducer
        self._running.setdefault(thread_id, {})[turn_id] = reducer
        return True

    def _is_part_of_another(self, envelope: Envelope, thread_id: str) -> bool:
        params = envelope.params
        turn = params.get("turn") if isinstance(params, dict) else None
        root = turn.get("rootTurnId") if isinstance(turn, dict) else None
        return root in self._running.get(thread_id, {})


def _lost(turns: dict[str, TurnReducer]) -> list[tuple[TurnReducer, TurnEvent]]:
    return [(reducer, event) for reducer in turns.values() for event in reducer.end("lost")]

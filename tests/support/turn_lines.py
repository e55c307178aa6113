"""Messages about a turn, as the server writes them, short enough to read in a test."""

from __future__ import annotations

import json
from typing import Any

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines
from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_events import TurnEvent
from codex_runtime._sansio.turn_result import TurnResult

THREAD = "thread-1"
TURN = "turn-1"


def envelope(message: dict[str, Any], at: float = 100.0) -> Envelope:
    """One message as it comes out of the pipe, read ``at`` seconds (Unix time is a thousand ahead)."""
    [result], _ = decode_lines([json.dumps(message).encode()], 0, Stamp(0, 1000.0 + at, at))
    return result


def note(method: str, *, at: float = 100.0, thread: str = THREAD, turn: str = TURN, **params: Any) -> Envelope:
    """A notification of the turn."""
    return envelope({"method": method, "params": {"threadId": thread, "turnId": turn, **params}}, at)


def of_thread(method: str, **params: Any) -> Envelope:
    """A notification that names the thread but no turn."""
    return envelope({"method": method, "params": {"threadId": THREAD, **params}})


def delta(item: str, text: str, kind: str = "agentMessage/delta", **where: Any) -> Envelope:
    """The next piece of an item's text."""
    return note(f"item/{kind}", itemId=item, delta=text, **where)


def item_started(kind: str, item: str, **fields: Any) -> Envelope:
    """An item begins."""
    return note("item/started", item={"type": kind, "id": item, **fields})


def item_completed(kind: str, item: str, **fields: Any) -> Envelope:
    """An item is complete."""
    return note("item/completed", item={"type": kind, "id": item, **fields})


def said(item: str, text: str, phase: str | None = None) -> Envelope:
    """A message of the agent is complete."""
    return item_completed("agentMessage", item, text=text, phase=phase)


def turn_started(turn: str = TURN, *, at: float = 100.0, thread: str = THREAD, **fields: Any) -> Envelope:
    """The turn begins."""
    body = {"id": turn, "rootTurnId": turn, "status": "inProgress", "items": [], "startedAt": 1099, **fields}
    return envelope({"method": "turn/started", "params": {"threadId": thread, "turn": body}}, at)


def turn_completed(
    status: Any = "completed", turn: str = TURN, *, at: float = 100.0, thread: str = THREAD, **fields: Any
) -> Envelope:
    """The turn ends."""
    body = {"id": turn, "status": status, "items": [], "error": None, "durationMs": 139, **fields}
    return envelope({"method": "turn/completed", "params": {"threadId": thread, "turn": body}}, at)


def reducer() -> TurnReducer:
    """A reducer that knows its turn."""
    begun = TurnReducer(THREAD)
    begun.begin(TURN)
    return begun


def fold(*lines: Envelope) -> tuple[list[TurnEvent], TurnResult]:
    """All events of a turn, and what it has come to."""
    turn = reducer()
    events = [event for line in lines for event in turn.apply(line)]
    return events, turn.partial()

"""What the server's own record says of a turn whose connection broke: it ended, it goes on, or it is lost.

The record is the answer to ``thread/resume`` (or ``thread/read``), which every session asks for after a restart anyway. This
file only decides; what the record adds to a turn is put there by :mod:`codex_runtime._sansio.turn_fill`.

The one idea: only a plain word counts. A turn that the server was killed in is written down as interrupted, but without the
time of its end; so that time is what tells an interruption that somebody wanted from one that happened. Whatever else is
missing, unknown or unreadable means *lost*: nothing is taken for a success that the server does not call one.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.turn_items import mapping, number, seconds, text, turn_fault
from codex_runtime._sansio.turn_result import TurnFault

__all__ = ["PAGE", "Ended", "Finding", "GoesOn", "Lost", "judge"]

PAGE: JsonValue = {"limit": 3, "itemsView": "full", "sortDirection": "desc"}
"""What to ask for with ``thread/resume`` as ``initialTurnsPage``: our turn is the last, unless somebody else began another."""

Items: TypeAlias = tuple[dict[str, JsonValue], ...]


class Ended(Struct, frozen=True):
    """The turn ended while nobody heard it. ``duration`` is in seconds; ``items`` are all that it has."""

    status: Literal["completed", "failed", "interrupted"]
    items: Items = ()
    error: TurnFault | None = None
    started_at: float | None = None
    duration: float | None = None


class GoesOn(Struct, frozen=True):
    """The turn still runs, and its next messages come by this connection. ``items`` are those that it has by now."""

    items: Items = ()


class Lost(Struct, frozen=True):
    """The turn has no end that anybody could tell. ``items`` are those that were finished."""

    reason: str
    items: Items = ()


Finding: TypeAlias = Ended | GoesOn | Lost


def judge(turn_id: str, reply: JsonValue) -> Finding:
    """Tell what became of a turn, from the result of ``thread/resume`` or ``thread/read`` with turns."""
    thread = mapping(mapping(reply).get("thread"))
    turn = _turn(turn_id, mapping(reply), thread)
    if turn is None:
        return Lost("the server has no record of it")
    items = _items(turn)
    match turn.get("status"):
        case "completed":
            return _ended("completed", turn, items)
        case "failed":
            return _ended("failed", turn, items)
        case "interrupted" if turn.get("completedAt") is not None:
            return _ended("interrupted", turn, items)
        case "interrupted":
            return Lost("its record does not say how the turn ended", items)
        case "inProgress" if mapping(thread.get("status")).get("type") == "active":
            return GoesOn(items)
        case "inProgress":
            return Lost("no server runs it any more", items)
        case _:
            return Lost("the server's record of it has no status that we know", items)


def _turn(turn_id: str, reply: dict[str, JsonValue], thread: dict[str, JsonValue]) -> dict[str, JsonValue] | None:
    for turns in (mapping(reply.get("initialTurnsPage")).get("data"), thread.get("turns")):
        for turn in turns if isinstance(turns, list) else ():
            # A review runs under an id of its own, but names ours as its root.
            if isinstance(turn, dict) and turn_id in (turn.get("id"), turn.get("rootTurnId")):
                return turn
    return None


def _items(turn: dict[str, JsonValue]) -> Items:
    items = turn.get("items")
    if not isinstance(items, list):
        return ()
    return tuple(item for item in items if isinstance(item, dict) and text(item.get("id")) and text(item.get("type")))


def _ended(status: Literal["completed", "failed", "interrupted"], turn: dict[str, JsonValue], items: Items) -> Ended:
    error = turn_fault(turn.get("error")) if status == "failed" else None
    return Ended(status, items, error, number(turn.get("startedAt")), seconds(turn.get("durationMs")))

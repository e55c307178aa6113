"""The events: they read well in a match statement, and none is left out of the union."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from codex_runtime._sansio import turn_events
from codex_runtime._sansio.turn_events import (
    ApprovalRequested,
    CommandStarted,
    TextDelta,
    TurnCompleted,
    TurnEvent,
    TurnStarted,
)
from codex_runtime._sansio.turn_result import TurnResult


def told(event: TurnEvent | ApprovalRequested[str]) -> str:
    """What a user would write."""
    match event:
        case TextDelta(text):
            return text
        case CommandStarted(command):
            return f"$ {command}"
        case ApprovalRequested(ticket):
            return ticket
        case TurnCompleted(result):
            return result.status
        case _:
            return "-"


def test_events_are_matched_by_their_first_field() -> None:
    """Our promise: the first field is the one that a reader wants."""
    result = TurnResult(thread_id="t", turn_id="u", status="completed")
    assert told(TextDelta("hi", "m")) == "hi"
    assert told(CommandStarted("ls", "/w", "c", "bash -c ls")) == "$ ls"
    assert told(ApprovalRequested("ticket")) == "ticket"
    assert told(TurnCompleted(result)) == "completed"
    assert told(TurnStarted("u")) == "-"


def test_every_event_is_in_the_union() -> None:
    """Our promise: a type checker knows all of them; approvals are added by the layer that makes them."""
    named = {getattr(turn_events, name) for name in turn_events.__all__} - {TurnEvent}
    assert named == {*get_args(TurnEvent), ApprovalRequested}


def test_events_are_frozen() -> None:
    """Our promise: all readers of a turn share its events."""
    assert issubclass(TextDelta, msgspec.Struct)
    event = TextDelta("hi", "m")
    with pytest.raises(AttributeError):
        setattr(event, "text", "ho")  # noqa: B010  # the type checker must not see it

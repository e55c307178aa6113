"""What the record says of a turn: only a plain word ends it well, and all that is unclear is a loss."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.turn_record import Ended, GoesOn, Lost, judge

TURN = "turn-1"
ITEM = {"id": "m", "type": "agentMessage", "text": "hello"}


def record(status: object, *, thread: str = "idle", page: bool = True, **turn: Any) -> Any:
    """The answer to `thread/resume`, with a turn in it."""
    turns = [{"id": TURN, "rootTurnId": TURN, "status": status, "items": [ITEM], "startedAt": 7, **turn}]
    if page:
        return {"thread": {"status": {"type": thread}, "turns": []}, "initialTurnsPage": {"data": turns}}
    return {"thread": {"status": {"type": thread}, "turns": turns}}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (record("completed", completedAt=8, durationMs=1500), Ended("completed", (ITEM,), None, 7, 1.5)),
        (record("completed", page=False), Ended("completed", (ITEM,), None, 7)),
        (record("interrupted", completedAt=8, durationMs=10), Ended("interrupted", (ITEM,), None, 7, 0.01)),
        (record("interrupted", completedAt=None), Lost("its record does not say how the turn ended", (ITEM,))),
        (record("interrupted"), Lost("its record does not say how the turn ended", (ITEM,))),
        (record("inProgress", thread="active"), GoesOn((ITEM,))),
        (record("inProgress", thread="idle"), Lost("no server runs it any more", (ITEM,))),
        (record("inProgress", thread="notLoaded"), Lost("no server runs it any more", (ITEM,))),
        (record("sublimated"), Lost("the server's record of it has no status that we know", (ITEM,))),
        (record(None), Lost("the server's record of it has no status that we know", (ITEM,))),
        (record("completed", id="other", rootTurnId=TURN), Ended("completed", (ITEM,), None, 7)),
        (record("completed", id="other", rootTurnId="other"), Lost("the server has no record of it")),
        ({"thread": {"turns": []}}, Lost("the server has no record of it")),
        ({"thread": None}, Lost("the server has no record of it")),
        ([], Lost("the server has no record of it")),
        (None, Lost("the server has no record of it")),
    ],
)
def test_what_became_of_a_turn(reply: Any, expected: object) -> None:
    """By status, by the time of its end, and by whether its thread is at work."""
    assert judge(TURN, reply) == expected


def test_a_failure_is_told_in_the_servers_words() -> None:
    """Its kind included, which callers tell cases apart by."""
    error = {"message": "too long", "codexErrorInfo": "contextWindowExceeded"}
    verdict = judge(TURN, record("failed", error=error))
    assert isinstance(verdict, Ended)
    assert verdict.error is not None
    assert (verdict.status, verdict.error.message, verdict.error.kind) == (
        "failed",
        "too long",
        "contextWindowExceeded",
    )


def test_only_the_turn_itself_is_looked_at() -> None:
    """Another client may have begun one since."""
    reply = record("inProgress", thread="active")
    other = {"id": "turn-2", "rootTurnId": "turn-2", "status": "completed", "items": []}
    reply["initialTurnsPage"]["data"].insert(0, other)
    assert judge(TURN, reply) == GoesOn((ITEM,))


def test_an_error_does_not_make_a_completed_turn_fail() -> None:
    """The word decides, as it does in `turn/completed`."""
    assert judge(TURN, record("completed", error={"message": "x"})) == Ended("completed", (ITEM,), None, 7)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["thread", "turns", "status", "type", "id", "items", "initialTurnsPage", "data", "error"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_json_is_taken_for_an_end_or_raises(reply: Any) -> None:
    """Our promise: what the server does not plainly say, we do not claim."""
    verdict = judge(TURN, reply)
    assert isinstance(verdict, Lost)


@given(st.sampled_from(["completed", "failed", "interrupted", "inProgress", "x", 3, None]), JSON, JSON, JSON, JSON)
def test_a_record_with_odd_fields_is_still_judged_by_its_word(
    status: Any, items: Any, error: Any, ended: Any, thread: Any
) -> None:
    """Our promise: a field that cannot be read costs that field only."""
    reply = record(status, items=items, error=error, completedAt=ended, durationMs=ended, startedAt=ended)
    reply["thread"]["status"] = thread
    verdict = judge(TURN, reply)
    assert (status in ("completed", "failed")) <= isinstance(verdict, Ended)
    assert isinstance(verdict, GoesOn) <= (status == "inProgress")
    assert all(isinstance(item["id"], str) and isinstance(item["type"], str) for item in verdict.items)

"""A turn whose server died under it: a replay of the log says of it what the program was told then, from the server's record."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.errors import TurnLostError
from codex_runtime.journal import Journal, JournalSink, Replay, Replayer, replay
from codex_runtime.runtime import JsonlSink, read_jsonl
from codex_runtime.testing import Die, FakeAppServer, Gate, Hold, Say, Script
from tests.client.desk import in_a_session
from tests.journal.test_replay import note, told
from tests.runtime.rig import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from codex_runtime import Session


@asynccontextmanager
async def logged(tmp_path: Path, fake: FakeAppServer) -> AsyncIterator[Session]:
    """Open a session whose runtime keeps both logs."""
    sinks = (JournalSink(Journal(tmp_path / "j")), JsonlSink(tmp_path / "log"))
    async with in_a_session(fake, sinks=sinks) as session:
        yield session


def both(tmp_path: Path) -> list[Replay]:
    """Replay both logs."""
    with Journal(tmp_path / "j") as journal:
        return [replay(journal.read(limit=100_000)), replay(read_jsonl(tmp_path / "log"))]


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_a_turn_that_the_record_completed_is_completed(tmp_path: Path, moment: Any) -> None:
    """The log has the record: it is in the answer with which the session found its thread again."""
    fake = FakeAppServer("one two", "three")
    fake.die_at("turn/completed", moment)
    async with logged(tmp_path, fake) as session:
        results = [await session.run("go"), await session.run("again")]
    assert [result.status for result in results] == ["completed", "completed"]
    for outcome in both(tmp_path):
        assert [told(one) for one in outcome.turns] == [told(one) for one in results]


async def test_a_turn_that_the_record_does_not_know_the_end_of_is_lost(tmp_path: Path) -> None:
    """With all that had come."""
    fake = FakeAppServer(Script(Say("half"), Die()), "whole")
    async with logged(tmp_path, fake) as session:
        with pytest.raises(TurnLostError) as caught:
            await session.run("go")
        second = await session.run("again")
    for outcome in both(tmp_path):
        assert [told(one) for one in outcome.turns] == [told(caught.value.result), told(second)]


async def test_a_turn_that_went_on_goes_on(tmp_path: Path) -> None:
    """Over a broken connection: what was missed is in the record, and the rest in the messages that follow."""
    gate = Gate()
    fake = FakeAppServer(Script(Say("one "), Hold(gate), Say("two")))
    async with logged(tmp_path, fake) as session, session.stream("go") as turn:
        await gate.reached()
        fake.disconnect()
        await until(lambda: session.runtime.generation == 1 and session.runtime.connection.phase == "running")
        gate.open()
        result = await turn.finish()
    for outcome in both(tmp_path):
        assert [told(one) for one in outcome.turns] == [told(result)]


def test_a_turn_that_nobody_found_again_is_lost() -> None:
    """At once for who looks at the outcome, and as an event when its thread goes on without it, or its runtime ends."""
    for then in (note("turn/started", 2, turn="v", generation=1), note("warning", 0, turn="", threadId=None)):
        replayer = Replayer()
        replayer.feed(note("turn/started", 0))
        assert replayer.feed(note("warning", 1, turn="", generation=1, threadId=None)) == []
        assert [(one.turn_id, one.status) for one in replayer.outcome().turns] == [("u", "lost")]
        [(reducer, event), *_] = replayer.feed(then)
        assert (reducer.turn_id, type(event).__name__) == ("u", "TurnCompleted")
        assert replayer.outcome().turns[0].status == "lost"

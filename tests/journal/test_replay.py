"""Replaying: the same state and the same results as the runtime had that wrote the log."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio.envelope import Envelope, Stamp, decode_lines
from codex_runtime.client import Client, TurnResult
from codex_runtime.errors import TurnLostError
from codex_runtime.journal import Journal, JournalSink, Replayer, replay
from codex_runtime.runtime import Damage, Gap, JsonlSink, Runtime, RuntimeState, read_jsonl
from codex_runtime.testing import Command, Die, FakeAppServer, ManualClock, Script
from codex_runtime.testing._reply import Say
from tests.runtime.rig import Wire, config, task, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def logged(tmp_path: Path, fake: FakeAppServer, **options: Any) -> AsyncIterator[Client]:
    """Run a client whose runtime keeps both logs."""
    sinks = (JournalSink(Journal(tmp_path / "j")), JsonlSink(tmp_path / "log"))
    async with Client(config(fake, sinks=sinks, **options)) as client:
        yield client


def both(tmp_path: Path) -> list[Any]:
    """Replay both logs."""
    with Journal(tmp_path / "j") as journal:
        return [replay(journal.read(limit=100_000)), replay(read_jsonl(tmp_path / "log"))]


def told(result: TurnResult) -> tuple[object, ...]:
    """Say what a result holds, but for its times and the exact bytes of its items."""
    items = [(item.id, item.kind, item.state, item.data) for item in result.items]
    return (result.thread_id, result.turn_id, result.status, result.text, result.commands, items, result.usage)


def threads(state: RuntimeState) -> dict[str, Any]:
    """Say what a state knows of its threads, but for the exact bytes of its lines."""
    return {
        thread.id: (
            thread.status,
            thread.active_turn,
            {
                turn.id: (turn.status, [(i.id, i.status, i.text, i.output) for i in turn.items.values()])
                for turn in thread.turns.values()
            },
        )
        for thread in state.threads.values()
    }


async def test_a_replay_gives_the_results_and_the_state_of_then(tmp_path: Path) -> None:
    """From either kind of log."""
    fake = FakeAppServer(Script(Command("ls", output="a\n"), Say("One file.")), "And again.")
    async with logged(tmp_path, fake) as client:
        async with await client.start_session(cwd=tmp_path) as session:
            results = [await session.run("first"), await session.run("second")]
        state = client.runtime.state
    for outcome in both(tmp_path):
        assert [told(result) for result in outcome.turns] == [told(result) for result in results]
        assert threads(outcome.state) == threads(state)
        assert (outcome.missing, outcome.damaged, outcome.runs) == (0, 0, 1)
        assert outcome.messages == len(list(read_jsonl(tmp_path / "log")))


async def test_what_only_answers_told_is_in_the_replay_too(tmp_path: Path) -> None:
    """The log holds the questions, so it knows what they answer; another server's answers are not taken for them."""
    wire = Wire()
    sinks = (JournalSink(Journal(tmp_path / "j")), JsonlSink(tmp_path / "log"))
    async with Runtime(config(wire, sinks=sinks)) as runtime:
        async with task(runtime.request("thread/queue/list", {"threadId": "t"})) as request:
            await until(lambda: wire.ids("thread/queue/list"))
            (number,) = wire.ids("thread/queue/list")
            wire.say({"id": number, "result": {"data": [{"id": "a"}], "nextCursor": None}})
            await request
        wire.say({"id": number, "result": {"data": [], "nextCursor": None}})
        assert runtime.state.threads["t"].queue == [{"id": "a"}]
    for outcome in both(tmp_path):
        assert outcome.state.threads["t"].queue == [{"id": "a"}]


async def test_a_turn_whose_server_died_is_lost_in_the_replay_too(tmp_path: Path) -> None:
    """The next generation says so."""
    fake, clock = FakeAppServer(Script(Say("Half"), Die()), "Whole."), ManualClock()
    async with logged(tmp_path, fake, clock=clock) as client, await client.start_session(cwd=tmp_path) as session:
        with pytest.raises(TurnLostError) as caught:
            await session.run("first", on_crash="lose")
        await clock.advance(1.0)
        second = await session.run("second")
    for outcome in both(tmp_path):
        assert [told(one) for one in outcome.turns] == [told(caught.value.result), told(second)]


def note(method: str, seq: int, *, generation: int = 0, turn: str = "u", **more: Any) -> Envelope:
    """Make a message about a turn."""
    params = {"threadId": "t", "turn": {"id": turn, "status": "completed"}, **more}
    line = json.dumps({"method": method, "params": params}).encode()
    return decode_lines([line], seq, Stamp(generation, float(seq), float(seq)))[0][0]


def test_a_log_that_ends_in_mid_turn_has_a_running_turn() -> None:
    """Nobody knows what became of it."""
    outcome = replay([note("turn/started", 0)])
    assert [(one.turn_id, one.status) for one in outcome.turns] == [("u", "running")]
    assert outcome.state.threads["t"].active_turn == "u"


def test_another_generation_ends_what_ran_in_the_one_before() -> None:
    """In the state as in the results."""
    outcome = replay([note("turn/started", 0), note("turn/started", 1, turn="v", generation=1)])
    assert [(one.turn_id, one.status) for one in outcome.turns] == [("u", "lost"), ("v", "running")]
    assert {turn.id: turn.status for turn in outcome.state.threads["t"].turns.values()}["u"] == "lost"
    assert outcome.runs == 1


def test_numbers_that_begin_anew_are_another_run() -> None:
    """What ran before is lost, as its runtime is gone."""
    outcome = replay([note("turn/started", 5), note("turn/started", 0, turn="v"), note("turn/completed", 1, turn="v")])
    assert [(one.turn_id, one.status) for one in outcome.turns] == [("u", "lost"), ("v", "completed")]
    assert outcome.runs == 2


def test_what_is_missing_and_what_is_damaged_is_counted() -> None:
    """And nothing is made of it."""
    outcome = replay([Gap(0, 9, 10), note("turn/started", 10), Damage(5, 5), Gap(11, 11, 1)])
    assert (outcome.missing, outcome.damaged, outcome.messages) == (11, 1, 1)


def test_a_turn_is_known_from_the_first_message_that_names_it() -> None:
    """Its start may be missing."""
    outcome = replay(
        [
            note("turn/completed", 1, turn="v"),
            note("turn/started", 2),
        ]
    )
    assert [(one.turn_id, one.status) for one in outcome.turns] == [("v", "completed"), ("u", "running")]


def test_a_part_of_a_turn_is_not_another_turn() -> None:
    """A review starts under an id of its own, and names the turn that it is part of."""
    child = decode_lines(
        [b'{"method":"turn/started","params":{"threadId":"t","turn":{"id":"child","rootTurnId":"u"}}}'],
        1,
        Stamp(0, 1.0, 1.0),
    )[0][0]
    outcome = replay([note("turn/started", 0), child, note("turn/completed", 2)])
    assert [(one.turn_id, one.status) for one in outcome.turns] == [("u", "completed")]


def test_events_are_told_as_they_come() -> None:
    """For whoever wants to show the turn rather than its end."""
    replayer = Replayer()
    events = [
        type(event).__name__
        for one in (note("turn/started", 0), note("turn/completed", 1))
        for _, event in replayer.feed(one)
    ]
    assert events == ["TurnStarted", "TurnCompleted"]

"""The three deadlines of a turn: which of them ends it, what counts as life, and what an approval does to the time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from codex_runtime import ApprovalRequested, TurnTimeoutError
from codex_runtime.testing import (
    Command,
    FakeAppServer,
    Gate,
    Hold,
    ManualClock,
    Notify,
    Pause,
    Retrying,
    Say,
    Script,
    Stall,
)
from tests.client.desk import in_a_session

if TYPE_CHECKING:
    from codex_runtime.client import TurnOptions

NONE: TurnOptions = {"deadline": None}


@pytest.mark.parametrize(
    ("options", "seconds", "message"),
    [
        ({"deadline": 4.0, "idle_deadline": 5.0}, 4.0, "the turn did not end within 4 s"),
        ({"idle_deadline": 3.0}, 3.0, "the turn was silent for 3 s (idle_deadline)"),
        ({"first_event_deadline": 2.0}, 2.0, "nothing came of the turn within 2 s (first_event_deadline)"),
        ({"first_event_deadline": 2.0, "idle_deadline": 3.0}, 2.0, "nothing came of the turn within 2 s"),
    ],
)
async def test_the_error_says_which_deadline_it_was(options: TurnOptions, seconds: float, message: str) -> None:
    """The first to pass interrupts the turn, which then has timed out."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Stall()), clock=clock)
    async with in_a_session(fake, clock=clock) as session:
        async with session.stream("go", **{**NONE, **options}) as turn:
            ending = asyncio.create_task(turn.finish())
            await clock.advance(seconds - 0.1)
            assert not ending.done()
            await clock.advance(0.1)
            with pytest.raises(TurnTimeoutError) as caught:
                await ending
        assert str(caught.value).startswith(message)
        assert turn.result.status == "timed_out"
        assert len(fake.requests("turn/interrupt")) == 1
        assert {name: each.count for name, each in session.runtime.metrics.turns.items()} == {"timed_out": 1}


async def test_a_turn_at_work_is_not_idle() -> None:
    """Each piece of its work begins the silence anew; the first one ends the wait for a first one."""
    clock = ManualClock()
    pieces = [step for number in range(10) for step in (Pause(2.0), Say(f"{number}"))]
    fake = FakeAppServer(Script(*pieces), clock=clock)
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go", deadline=None, idle_deadline=2.5, first_event_deadline=2.5))
        await clock.advance(21)
        assert (await running).status == "completed"


async def test_neither_retries_nor_warnings_are_life() -> None:
    """A server that cannot reach its model says so again and again, and nothing comes of it."""
    clock = ManualClock()
    steps = [step for _ in range(10) for step in (Retrying("waiting for network"), Pause(1.0))]
    fake = FakeAppServer(Script(*steps, Stall()), clock=clock)
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go", deadline=None, first_event_deadline=5.0))
        await fake.wait_for("turn/start")
        fake.play(Notify("warning", {"message": "beware", "threadId": session.thread_id}))
        await clock.advance(5)
        with pytest.raises(TurnTimeoutError, match="first_event_deadline") as caught:
            await running
        assert caught.value.result.retries > 0


async def test_no_time_passes_while_somebody_is_asked() -> None:
    """An approval has a deadline of its own; after the answer the silence begins anew."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(Script(Command("ls", approval=True), Hold(gate), Say("done")), clock=clock)
    options: TurnOptions = {"deadline": None, "idle_deadline": 3.0, "approvals": "stream"}
    async with (
        in_a_session(fake, clock=clock, server_request_deadline=100.0) as session,
        session.stream("go", **options) as turn,
    ):
        async for event in turn:
            if isinstance(event, ApprovalRequested):
                break
        await clock.advance(50)
        assert not turn.is_over
        event.ticket.accept()
        await gate.reached()
        await clock.advance(2.9)
        assert not turn.is_over
        await clock.advance(0.2)
        with pytest.raises(TurnTimeoutError, match="idle_deadline"):
            await turn.finish()

"""Ending a turn early: by interruption and by its deadline, whatever the server makes of it."""

from __future__ import annotations

import asyncio

import pytest

from codex_runtime import (
    RestartPolicy,
    TurnInterruptedError,
    TurnTimeoutError,
)
from codex_runtime.errors import (
    SessionBusyError,
)
from codex_runtime.testing import (
    FakeAppServer,
    Gate,
    Hold,
    ManualClock,
    Say,
    Script,
    Stall,
)
from tests.client.desk import at_the_desk, in_a_session, until

GRACE = 5.0


# -- interruption ------------------------------------------------------------------------------------------------------


async def test_interrupting_ends_the_turn_on_the_server() -> None:
    """Whoever waits for the end gets it as an error with the partial text; the interrupter gets the result."""
    gate = Gate()
    fake = FakeAppServer(Script(Say("half"), Hold(gate)))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await gate.reached()
        result = await turn.interrupt()
        assert (result.status, result.text, turn.may_run_on) == ("interrupted", "half", False)
        with pytest.raises(TurnInterruptedError):
            await turn.finish()
        assert await turn.interrupt() is result
        assert len(fake.requests("turn/interrupt")) == 1


async def test_a_turn_that_was_accepted_but_not_started_is_interrupted_all_the_same() -> None:
    """The server refuses at first; a little patience gets the interruption through."""
    gate = Gate()
    fake = FakeAppServer(Script(Stall(), starts=gate))
    async with in_a_session(fake) as session:
        turn = session.stream("go")
        async with turn:
            leaving = asyncio.create_task(turn.interrupt())
            await fake.wait_for("turn/interrupt", 2)
            gate.open()
            assert (await leaving).status == "interrupted"
        assert not turn.may_run_on


async def test_leaving_the_block_interrupts_the_turn() -> None:
    """By whatever way it is left."""
    fake = FakeAppServer(Script(Say("half"), Stall()), Script(Say("half"), Stall()))
    async with in_a_session(fake) as session:
        async with session.stream("go") as turn:
            await anext(turn)
        assert turn.result.status == "interrupted"
        with pytest.raises(ZeroDivisionError):
            async with session.stream("go"):
                raise ZeroDivisionError
        assert len(fake.requests("turn/interrupt")) == 2
        assert (await session.run("again")).text == "Hello!"


async def test_a_server_that_ignores_interruptions_is_waited_for_within_the_grace() -> None:
    """Then the turn ends on our side. Its like is not taken for the next one: that one is refused, not misread."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("old"), Stall()), clock=clock)
    async with in_a_session(fake, clock=clock) as session:
        async with session.stream("go") as turn:
            fake.never_answer("turn/interrupt")
            ending = asyncio.create_task(turn.interrupt())
            await fake.wait_for("turn/interrupt")
            await clock.advance(GRACE - 0.1)
            assert not ending.done()
            await clock.advance(0.2)
            assert (await ending).status == "interrupted"
            assert turn.may_run_on
        with pytest.raises(SessionBusyError, match="ignored"):
            await session.run("next")
        assert fake.requests("turn/interrupt")[-1].params["turnId"] == turn.turn_id
        assert (await session.run("after that")).text == "Hello!"


async def test_an_interruption_ends_with_the_turn_even_if_it_is_never_answered() -> None:
    """The real server does not answer for a turn that was interrupted just before."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        fake.never_answer("turn/interrupt")
        ending = asyncio.create_task(turn.interrupt())
        await fake.wait_for("turn/interrupt")
        await session.runtime.request("turn/interrupt", {"threadId": turn.thread_id, "turnId": turn.turn_id})
        async with asyncio.timeout(1):
            assert (await ending).status == "interrupted"


async def test_a_crash_ends_an_interruption() -> None:
    """The turn is lost with its server, at once, and nothing is asked of the next one."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        fake.die_at("turn/interrupt", "before")
        async with asyncio.timeout(1):
            assert (await turn.interrupt()).status == "lost"
        await session.runtime.wait_ready()
        assert len(fake.requests("turn/interrupt")) == 1


async def test_an_interrupter_that_goes_away_leaves_nobody_waiting() -> None:
    """The start that it stopped is over, whether or not the interrupter saw it through."""
    fake = FakeAppServer()
    fake.never_answer("turn/start")
    fake.never_answer("turn/interrupt")
    clock = ManualClock()
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go"))
        await fake.wait_for("turn/start")
        interrupter = asyncio.create_task(session.interrupt())
        await clock.advance(GRACE + 0.1)
        await fake.wait_for("turn/interrupt")
        interrupter.cancel()
        with pytest.raises(TurnInterruptedError):
            await running


# -- deadlines ---------------------------------------------------------------------------------------------------------


async def test_the_deadline_interrupts_the_turn_on_the_server() -> None:
    """The error has the partial text, and the session goes on."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("half"), Stall()), clock=clock)
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go", deadline=10.0))
        await until(lambda: session.turn is not None and session.turn.turn_id)
        await clock.advance(9.9)
        assert not running.done()
        await clock.advance(0.2)
        with pytest.raises(TurnTimeoutError, match="within 10 s") as caught:
            await running
        assert isinstance(caught.value, TimeoutError)
        assert (caught.value.result.status, caught.value.result.text) == ("timed_out", "half")
        assert len(fake.requests("turn/interrupt")) == 1
        assert (await session.run("again")).text == "Hello!"


async def test_the_deadline_holds_against_a_server_that_ignores_interruptions() -> None:
    """The grace is the most that is waited on top."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("half"), Stall()), clock=clock)
    fake.never_answer("turn/interrupt", times=None)
    async with at_the_desk(fake, clock=clock) as client:
        session = await client.start_session()
        running = asyncio.create_task(session.run("go", deadline=1.0))
        await until(lambda: session.turn is not None and session.turn.turn_id)
        await clock.advance(1.0 + GRACE + 0.1)
        with pytest.raises(TurnTimeoutError):
            await running


async def test_the_deadline_holds_while_no_server_is_ready() -> None:
    """Nothing was asked of anybody, so there is nothing to wait for, and nothing is asked later."""
    clock = ManualClock()
    fake = FakeAppServer(clock=clock)
    slow = RestartPolicy(backoff=20.0, jitter=0.0)
    async with in_a_session(fake, clock=clock, restart=slow) as session:
        await session.run("first")
        fake.die()
        await until(lambda: session.runtime.connection.phase == "restarting")
        running = asyncio.create_task(session.run("go", deadline=1.0))
        await clock.advance(1.1)
        with pytest.raises(TurnTimeoutError) as caught:
            await running
        assert caught.value.result.turn_id is None
        await clock.advance(30)
        assert session.runtime.generation == 1
        assert len(fake.requests("turn/start")) == 1


async def test_the_deadline_holds_while_the_start_is_not_answered() -> None:
    """Within the grace the server is told to stop whatever may have begun, whether or not it answers that."""
    clock = ManualClock()
    fake = FakeAppServer(clock=clock)
    fake.never_answer("turn/start")
    fake.never_answer("turn/interrupt")
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go", deadline=1.0))
        await fake.wait_for("turn/start")
        await clock.advance(1.0)
        await clock.advance(GRACE / 2)
        await fake.wait_for("turn/interrupt")
        assert not running.done()
        await clock.advance(GRACE / 2)
        with pytest.raises(TurnTimeoutError):
            await asyncio.wait_for(running, 1)
        assert fake.requests("turn/interrupt")[0].params == {"threadId": session.thread_id, "turnId": ""}


async def test_a_turn_that_begins_after_its_deadline_is_interrupted() -> None:
    """An answer within the grace names the turn to stop."""
    clock = ManualClock()
    gate = Gate()
    fake = FakeAppServer(Script(Say("half"), Stall()), clock=clock)
    fake.hold_answer("turn/start", gate)
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go", deadline=1.0))
        await gate.reached()
        await clock.advance(1.0)
        gate.open()
        with pytest.raises(TurnTimeoutError) as caught:
            await running
        assert caught.value.result.text == "half"
        assert fake.requests("turn/interrupt")[0].params["turnId"] == caught.value.result.turn_id

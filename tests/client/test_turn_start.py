"""The start of a turn: what the server makes of it, and who stops waiting for it."""

from __future__ import annotations

import asyncio

import pytest

from codex_runtime import (
    ConnectionLostError,
    RequestFailedError,
    TurnLostError,
)
from codex_runtime.errors import (
    RemoteProtocolError,
    RequestTimeoutError,
    RuntimeClosedError,
)
from codex_runtime.testing import (
    FakeAppServer,
    Gate,
    ManualClock,
    Say,
    Script,
    Stall,
)
from codex_runtime.testing._fake_orders import Refusal
from tests.client.desk import at_the_desk, in_a_session, until


async def test_a_refused_start_is_raised_and_frees_the_session() -> None:
    """Nothing runs, so nothing is interrupted."""
    fake = FakeAppServer()
    fake.on_request("turn/start", Refusal(-32600, "not today"))
    async with in_a_session(fake) as session:
        with pytest.raises(RequestFailedError, match="not today"):
            await session.run("go")
        assert (session.turn, fake.requests("turn/interrupt")) == (None, [])


async def test_a_start_that_is_never_answered_times_out() -> None:
    """It is not known whether the turn runs, so the server is told to stop whichever does."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("unseen"), Stall()), clock=clock)
    fake.never_answer("turn/start", handled=True)
    async with in_a_session(fake, clock=clock, request_deadline=3.0) as session:
        running = asyncio.create_task(session.run("go"))
        await fake.wait_for("turn/start")
        await clock.advance(3.1)
        with pytest.raises(RequestTimeoutError, match="turn/start"):
            await running
        assert fake.requests("turn/interrupt")[0].params["turnId"] == ""
        assert (await session.run("again")).text == "Hello!"


@pytest.mark.parametrize("moment", ["before", "during"])
async def test_a_server_that_dies_of_the_start_loses_the_turn(moment: str) -> None:
    """Whether the turn began is not known; the session goes on with the next server."""
    fake = FakeAppServer()
    fake.die_at("turn/start", moment)  # type: ignore[arg-type]
    async with in_a_session(fake) as session:
        with pytest.raises(TurnLostError) as caught:
            await session.run("go")
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        assert (caught.value.result.status, caught.value.result.turn_id) == ("lost", None)
        assert (await session.run("again")).text == "Hello!"


async def test_a_start_without_an_id_is_the_servers_fault() -> None:
    """It is named as such, and nothing hangs."""
    fake = FakeAppServer()
    fake.on_request("turn/start", {"turn": {}})
    async with in_a_session(fake) as session:
        with pytest.raises(RemoteProtocolError):
            await session.run("go")
        assert session.turn is None


async def test_a_closed_runtime_refuses_the_start() -> None:
    """With the runtime's own error: nothing was lost."""
    async with at_the_desk(FakeAppServer()) as client:
        session = await client.start_session()
        await client.aclose()
        with pytest.raises(RuntimeClosedError):
            await session.run("go")


async def test_a_turn_in_line_is_not_lost_with_a_server_that_never_heard_of_it() -> None:
    """It waits for the next server, whose answer tells how it went."""
    fake = FakeAppServer("first")
    async with in_a_session(fake, max_in_flight=1) as session:
        await session.run("a")
        fake.never_answer("model/list")
        blocking = asyncio.create_task(session.runtime.request("model/list", {}))
        await fake.wait_for("model/list")
        running = asyncio.create_task(session.run("b"))
        await until(lambda: session.runtime.metrics.queued == 1)
        fake.die()
        assert (await running).text == "Hello!"
        with pytest.raises(ConnectionLostError):
            await blocking
        assert [entry.generation for entry in fake.requests("turn/start")] == [0, 1]


async def test_a_cancelled_start_is_interrupted_when_it_is_answered() -> None:
    """The answer names the turn; the caller who went away waits for that within the grace."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    gate = Gate()
    fake.hold_answer("turn/start", gate)
    async with in_a_session(fake) as session:
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        running.cancel()
        await asyncio.sleep(0)
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(fake.requests("turn/interrupt")) == 1
        assert (await session.run("again")).text == "Hello!"


async def test_a_start_that_is_cancelled_twice_lets_go_at_once() -> None:
    """The second time nothing is waited for any more."""
    fake = FakeAppServer()
    fake.never_answer("turn/start")
    async with in_a_session(fake) as session:
        running = asyncio.create_task(session.run("go"))
        await fake.wait_for("turn/start")
        for _ in range(2):
            running.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await running
        assert session.turn is None

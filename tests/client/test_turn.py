"""One turn: what it tells, how it is cancelled, and how crashes end it."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from codex_runtime import (
    RequestFailedError,
    TextDelta,
    TurnCompleted,
    TurnFailedError,
    TurnLostError,
    TurnResult,
    TurnStarted,
)
from codex_runtime.errors import (
    LocalProtocolError,
    RuntimeClosedError,
)
from codex_runtime.testing import (
    Die,
    FailTurn,
    FakeAppServer,
    Gate,
    Hold,
    Pause,
    Say,
    Script,
    Stall,
)
from tests.client.desk import CancelledAt, at_the_desk, in_a_session

# -- what a turn tells -------------------------------------------------------------------------------------------------


async def test_the_events_come_in_order_and_end_with_the_result() -> None:
    """A reader sees the start first, each piece of text, and `TurnCompleted` last, whose result is that of `finish`."""
    async with in_a_session(FakeAppServer("one two")) as session, session.stream("go") as turn:
        events = [event async for event in turn]
        assert isinstance(events[0], TurnStarted)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two"
        assert isinstance(events[-1], TurnCompleted)
        assert events[-1].result is turn.result
        assert await turn.finish() is turn.result
        assert (turn.thread_id, turn.turn_id) == (session.thread_id, turn.result.turn_id)
        assert (turn.result.status, turn.result.text, turn.is_over, turn.may_run_on) == (
            "completed",
            "one two",
            True,
            False,
        )


async def test_a_failed_turn_raises_with_what_had_come() -> None:
    """The error has the server's words, its kind and the partial result."""
    fake = FakeAppServer(Script(Say("half"), FailTurn("too much", info="usageLimitExceeded")))
    async with in_a_session(fake) as session:
        with pytest.raises(TurnFailedError, match="too much") as caught:
            await session.run("go")
        assert caught.value.result.error is not None
        assert (caught.value.result.text, caught.value.result.error.kind) == ("half", "usageLimitExceeded")
        assert (await session.run("again")).text == "Hello!"


async def test_a_turn_is_used_as_a_block_and_only_once() -> None:
    """Anything else is told at once, and sends nothing."""
    fake = FakeAppServer()
    async with in_a_session(fake) as session:
        turn = session.stream("go")
        for use in (turn.finish, turn.interrupt, lambda: turn.steer("x"), lambda: anext(turn)):
            with pytest.raises(LocalProtocolError, match="async with"):
                await use()
        async with turn:
            await turn.finish()
        with pytest.raises(LocalProtocolError, match="only once"):
            async with turn:
                pass
        assert len(fake.requests("turn/start")) == 1


async def test_steering_says_something_more_to_the_running_turn() -> None:
    """The remark goes to this turn and no other; after its end the server refuses it."""
    gate = Gate()
    fake = FakeAppServer(Script(Say("one"), Hold(gate), Say("two")))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await gate.reached()
        await turn.steer("also this")
        gate.open()
        await turn.finish()
        sent = fake.requests("turn/steer")[0].params
        assert sent["input"] == [{"type": "text", "text": "also this"}]
        assert (sent["threadId"], sent["expectedTurnId"]) == (turn.thread_id, turn.turn_id)
        with pytest.raises(RequestFailedError, match="no active turn"):
            await turn.steer("too late")


async def test_a_turn_that_has_not_begun_cannot_be_steered() -> None:
    """There is no id to steer by."""
    fake = FakeAppServer()
    gate = Gate()
    fake.hold_answer("turn/start", gate)
    async with in_a_session(fake) as session:
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        assert session.turn is not None
        with pytest.raises(LocalProtocolError, match="not begun"):
            await session.turn.steer("x")
        gate.open()
        await running


# -- crashes -----------------------------------------------------------------------------------------------------------


async def test_a_crash_ends_the_turn_as_lost_with_what_had_come() -> None:
    """Readers see the end too, and the thread is resumed for the next turn."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        events = [event async for event in turn]
        assert isinstance(events[-1], TurnCompleted)
        with pytest.raises(TurnLostError, match="SIGKILL") as caught:
            await turn.finish()
        assert (caught.value.result.status, caught.value.result.text) == ("lost", "half")
        thread = session.thread_id
        await session.runtime.wait_ready()
        assert session.thread_id == thread
        assert [entry.generation for entry in fake.requests("thread/resume")] == [1]


async def test_closing_the_client_ends_the_turn() -> None:
    """Whoever waits is told at once."""
    gate = Gate()
    async with at_the_desk(FakeAppServer(Script(Say("half"), Hold(gate)))) as client:
        session = await client.start_session()
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        await client.aclose()
        with pytest.raises(TurnLostError) as caught:
            await running
        assert isinstance(caught.value.__cause__, RuntimeClosedError)


# -- being cancelled ---------------------------------------------------------------------------------------------------


async def test_a_run_may_be_cancelled_at_any_wait() -> None:
    """Whatever had begun on the server is interrupted there, and the next run is a turn of its own."""
    fake = FakeAppServer()

    async def two_runs(prompt: str) -> TurnResult:
        await session.run(prompt)
        return await session.run(prompt)

    async with in_a_session(fake) as session:
        for at in range(1, 50):
            started = len(fake.requests("turn/start"))
            for text in ("two", "three"):
                fake.on_turn(Script(Say("one "), Pause(0.05), Say(text)), match=f"<{at}>")
            work = CancelledAt(two_runs(f"<{at}>"), at)
            try:
                result = await work
            except asyncio.CancelledError:
                assert work.was_cancelled
                _no_longer_cancelled()
            else:
                assert not work.was_cancelled
                assert result.text == "three"
                break
            began = len(fake.requests("turn/start")) - started
            interrupted = [entry.params["turnId"] for entry in fake.requests("turn/interrupt")]
            assert len(interrupted) == len(set(interrupted))
            if began:
                assert interrupted
            assert session.turn is None
            assert (await session.run("again")).text == "Hello!"
            assert session.runtime.metrics.in_flight == 0
        else:
            pytest.fail("the run has more waits than that")
        assert at > 3


async def test_a_stream_may_be_cancelled_at_any_wait() -> None:
    """The same for a block that reads."""
    fake = FakeAppServer()

    async def read(prompt: str) -> str:
        texts: list[str] = []
        for _ in range(2):
            async with session.stream(prompt) as turn:
                texts += [event.text async for event in turn if isinstance(event, TextDelta)]
        return "".join(texts)

    async with in_a_session(fake) as session:
        for at in range(1, 50):
            for text in ("two ", "three"):
                fake.on_turn(Script(Say("one "), Pause(0.02), Say(text)), match=f"<{at}>")
            work = CancelledAt(read(f"<{at}>"), at)
            try:
                assert await work == "one two one three"
            except asyncio.CancelledError:
                _no_longer_cancelled()
            else:
                break
            assert (await session.run("again")).text == "Hello!"
        assert at > 3


def _no_longer_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


# -- what is left of a turn --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["all of it", Script(Say("half"), FailTurn()), Script(Say("half"), Stall())])
async def test_a_turn_that_is_over_is_freed_at_once(script: Script | str) -> None:
    """It holds all that came of it, which may be megabytes: in a circle they would wait for the garbage collector."""
    async with in_a_session(FakeAppServer(script)) as session:
        gc.collect()
        gc.disable()
        try:
            async with session.stream("go") as turn:
                async for event in turn:
                    if isinstance(event, TextDelta):
                        break
            trace, text = weakref.ref(turn), turn.result.text
            del turn, event
            await asyncio.sleep(0)
            assert trace() is None
        finally:
            gc.enable()
        assert text

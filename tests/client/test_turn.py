"""One turn: what it tells, how it is cancelled, and how crashes end it."""

from __future__ import annotations

import asyncio

import pytest

from codex_runtime import (
    ConnectionLostError,
    RequestFailedError,
    TextDelta,
    TurnCompleted,
    TurnFailedError,
    TurnLostError,
    TurnStarted,
)
from codex_runtime.client import TextCompleted
from codex_runtime.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    RequestTimeoutError,
    RuntimeClosedError,
)
from codex_runtime.testing import (
    Die,
    FailTurn,
    FakeAppServer,
    Gate,
    Hold,
    ManualClock,
    Notify,
    Pause,
    Say,
    Script,
    Stall,
)
from codex_runtime.testing._fake_orders import Refusal
from tests.client.desk import CancelledAt, at_the_desk, in_a_session, until

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


async def test_a_turn_that_nobody_reads_still_has_its_result() -> None:
    """The turn is folded as it comes in, not as it is read; what waits can still be read after the end."""
    text = "word " * 5000
    async with in_a_session(FakeAppServer(text)) as session:
        async with session.stream("go") as turn:
            assert (await turn.finish()).text == text
        assert "".join([event.text async for event in turn if isinstance(event, TextDelta)]) == text


async def test_a_slow_reader_loses_no_text() -> None:
    """Pieces that wait for long are joined, never cut."""
    pieces = [f"{number} " for number in range(4000)]
    gate = Gate()
    fake = FakeAppServer(Script(Say("".join(pieces), chunks=pieces), Hold(gate)))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        first = await anext(turn)
        await gate.reached()
        gate.open()
        await turn.finish()
        events = [first, *await turn.take()]
        assert len(events) < 1200
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "".join(pieces)
        assert await turn.take() == []


async def test_take_waits_for_the_first_event_only() -> None:
    """All that waits comes at once, and the rest with the next call."""
    gate = Gate()
    async with (
        in_a_session(FakeAppServer(Script(Say("one"), Hold(gate), Say("two")))) as session,
        session.stream("go") as turn,
    ):
        await gate.reached()
        texts = [event.text for event in await turn.take() if isinstance(event, TextCompleted)]
        gate.open()
        texts += [event.text for event in await turn.take() if isinstance(event, TextCompleted)]
        assert texts == ["one", "two"]


async def test_late_items_of_the_turn_before_do_not_get_into_the_next() -> None:
    """A command left in the background completes after its turn; the next turn is not told of it."""
    late = {"type": "agentMessage", "id": "late", "text": "from before"}
    message = {"threadId": "$thread", "turnId": "turn-1", "item": late, "completedAtMs": 1}
    fake = FakeAppServer("first", Script(Notify("item/completed", message), Say("second")))
    async with in_a_session(fake) as session:
        assert (await session.run("a")).text == "first"
        result = await session.run("b")
        assert (result.text, [message.text for message in result.messages]) == ("second", ["second"])


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


# -- a start that goes wrong -------------------------------------------------------------------------------------------


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


# -- being cancelled ---------------------------------------------------------------------------------------------------


async def test_a_run_may_be_cancelled_at_any_wait() -> None:
    """Whatever had begun on the server is interrupted there, and the next run is a turn of its own."""
    fake = FakeAppServer()
    async with in_a_session(fake) as session:
        for at in range(1, 50):
            started = len(fake.requests("turn/start"))
            fake.on_turn(Script(Say("one "), Pause(0.05), Say("two")), match=f"<{at}>")
            work = CancelledAt(session.run(f"<{at}>"), at)
            try:
                result = await work
            except asyncio.CancelledError:
                assert work.was_cancelled
                _no_longer_cancelled()
            else:
                assert not work.was_cancelled
                assert result.text == "two"
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
        async with session.stream(prompt) as turn:
            return "".join([event.text async for event in turn if isinstance(event, TextDelta)])

    async with in_a_session(fake) as session:
        for at in range(1, 50):
            fake.on_turn(Script(Say("one "), Pause(0.02), Say("two")), match=f"<{at}>")
            work = CancelledAt(read(f"<{at}>"), at)
            try:
                assert await work == "one two"
            except asyncio.CancelledError:
                _no_longer_cancelled()
            else:
                break
            assert (await session.run("again")).text == "Hello!"
        assert at > 3


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


def _no_longer_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()

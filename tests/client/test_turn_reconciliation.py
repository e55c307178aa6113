"""A turn whose app server dies, or whose connection breaks: it ended, goes on, or is lost, and is told so once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import (
    ApprovalRequested,
    Client,
    RestartPolicy,
    RuntimeConfig,
    TextDelta,
    TurnCompleted,
    TurnFailedError,
    TurnLostError,
)
from codex_runtime.client import Reconnected, TextCompleted
from codex_runtime.errors import (
    RemoteProtocolError,
    RequestFailedError,
    RuntimeClosedError,
    RuntimeDeadError,
    SessionClosedError,
    TurnTimeoutError,
)
from codex_runtime.hooks import Hook, HookContext, HookMatcher
from codex_runtime.testing import (
    Command,
    Die,
    FakeAppServer,
    Gate,
    Hold,
    ManualClock,
    Refusal,
    Say,
    Script,
    Stall,
)
from tests.client.desk import AT_ONCE, CancelledAt, at_the_desk, in_a_session, until

if TYPE_CHECKING:
    from codex_runtime import Runtime, Ticket

LATER = RestartPolicy(backoff=10.0, max_backoff=10.0, jitter=0.0)
"""Leave time between two servers."""


def halfway(gate: Gate) -> Script:
    """A turn that waits in the middle of a message, as far as a script can."""
    return Script(Say("one "), Hold(gate), Say("two"))


async def gone(runtime: Runtime) -> None:
    """Wait until the loss has been noticed."""
    await until(lambda: runtime.connection.phase == "restarting")


# -- the server dies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_a_server_that_dies_at_the_end_of_a_turn_does_not_take_it_along(moment: Any) -> None:
    """It had written the end down: whether the line reached us does not matter."""
    fake = FakeAppServer("one two")
    fake.die_at("turn/completed", moment)
    async with in_a_session(fake) as session:
        result = await session.run("go")
        assert (result.status, result.text, [item.kind for item in result.items]) == (
            "completed",
            "one two",
            ["userMessage", "agentMessage"],
        )
        assert session.runtime.metrics.turns["completed"].count == 1
        assert (await session.run("again")).text == "Hello!"


async def test_a_server_that_dies_in_mid_turn_loses_it_as_soon_as_the_next_one_is_there() -> None:
    """The record says that it was broken off; what had come is in the partial result, and the reader sees no reconnect."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        events = [event async for event in turn]
        assert not any(isinstance(event, Reconnected) for event in events)
        with pytest.raises(TurnLostError, match="SIGKILL; its record does not say how the turn ended") as caught:
            await turn.finish()
        assert (caught.value.result.status, caught.value.result.text) == ("lost", "half")
        assert (turn.may_run_on, session.runtime.generation) == (False, 1)
        [resumed] = fake.requests("thread/resume")
        assert (resumed.params["excludeTurns"], resumed.params["initialTurnsPage"]["limit"]) == (True, 3)


async def test_a_failure_that_was_written_down_is_the_end() -> None:
    """With the server's own words."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    error = {"message": "too much", "codexErrorInfo": "usageLimitExceeded", "additionalDetails": None}
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await until(lambda: turn.result.text == "half")
        failed = {"id": turn.turn_id, "status": "failed", "error": error, "items": [], "completedAt": 2}
        fake.on_request("thread/resume", {"thread": {"id": turn.thread_id, "turns": [failed]}})
        fake.die()
        with pytest.raises(TurnFailedError, match="too much") as caught:
            await turn.finish()
        assert caught.value.result.error is not None
        assert (caught.value.result.error.kind, caught.value.result.text) == ("usageLimitExceeded", "half")


async def test_a_server_that_refuses_its_experiments_gives_all_turns() -> None:
    """The page of the last ones is one of them; the record is as good without."""
    fake = FakeAppServer("one")
    fake.die_at("turn/completed", "before")
    async with in_a_session(fake, experimental_api=False) as session:
        assert (await session.run("go")).text == "one"
        assert [entry.params["excludeTurns"] for entry in fake.requests("thread/resume")] == [False]


async def test_who_does_not_want_to_wait_loses_the_turn_at_once() -> None:
    """`on_crash="lose"`: before there is another server."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("half"), Stall()), clock=clock)
    async with (
        in_a_session(fake, clock=clock, restart=LATER) as session,
        session.stream("go", on_crash="lose") as turn,
    ):
        await until(lambda: turn.result.text == "half")
        fake.die()
        with pytest.raises(TurnLostError, match=r"SIGKILL$"):
            await turn.finish()
        assert fake.launches == 1


async def test_where_nothing_is_restarted_the_turn_is_lost_at_once() -> None:
    """The cause is that no server will come."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    async with in_a_session(fake, restart=RestartPolicy(when="never")) as session:
        with pytest.raises(TurnLostError) as caught:
            await session.run("go")
        assert isinstance(caught.value.__cause__, RuntimeDeadError)


async def test_a_restart_that_fails_for_good_loses_the_turn() -> None:
    """As soon as the budget is spent."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    async with in_a_session(fake, restart=RestartPolicy(budget=2, backoff=0.0, max_backoff=0.0)) as session:
        fake.die_at("initialize", "before", times=5)
        with pytest.raises(TurnLostError, match="used up") as caught:
            await session.run("go")
        assert isinstance(caught.value.__cause__, RuntimeDeadError)


async def test_a_second_death_during_the_search_is_outlived() -> None:
    """The record is asked for again, and says the same."""
    fake = FakeAppServer("one")
    fake.die_at("turn/completed", "before")
    fake.die_at("thread/resume", "before", times=2)
    async with in_a_session(fake) as session:
        assert (await session.run("go")).text == "one"
        assert [entry.generation for entry in fake.requests("thread/resume")] == [1, 2, 3]


async def test_the_deadline_of_the_turn_goes_on() -> None:
    """When it passes while there is no server, the turn is lost, and both reasons are told."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("half"), Stall()), clock=clock)
    async with in_a_session(fake, clock=clock, restart=LATER) as session:
        running = asyncio.create_task(session.run("go", deadline=4.0))
        await until(lambda: session.turn and session.turn.result.text == "half")
        fake.die()
        await gone(session.runtime)
        await clock.advance(5.0)
        with pytest.raises(TurnLostError, match="SIGKILL; the turn did not end within 4 s"):
            await running
        assert fake.launches == 1
        await clock.advance(10.0)


async def test_a_silence_without_a_server_is_not_the_agents() -> None:
    """`idle_deadline` counts from when there is one again."""
    clock = ManualClock()
    gate = Gate()
    fake = FakeAppServer(halfway(gate), clock=clock)
    async with in_a_session(fake, clock=clock, restart=LATER) as session:
        running = asyncio.create_task(session.run("go", idle_deadline=4.0))
        await gate.reached()
        fake.disconnect()
        await gone(session.runtime)
        await clock.advance(10.0)
        await session.runtime.wait_ready()
        await clock.advance(3.9)
        assert fake.requests("turn/interrupt") == []
        await clock.advance(0.2)
        with pytest.raises(TurnTimeoutError, match="silent for 4 s"):
            await running


async def test_a_reconnect_is_no_first_sign_of_the_agent() -> None:
    """`first_event_deadline` goes on, as the deadline of the whole turn does."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(Script(Hold(gate), Say("one")), clock=clock)
    async with in_a_session(fake, clock=clock, restart=LATER) as session:
        running = asyncio.create_task(session.run("go", first_event_deadline=12.0))
        await gate.reached()
        fake.disconnect()
        await gone(session.runtime)
        await clock.advance(10.0)
        await session.runtime.wait_ready()
        await clock.advance(2.1)
        with pytest.raises(TurnTimeoutError, match="nothing came of the turn"):
            await running


# -- the thread cannot be read -----------------------------------------------------------------------------------------


async def test_a_thread_that_is_not_resumed_loses_its_turn() -> None:
    """And the session with it; the server's refusal is the cause of the cause."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    fake.on_request("thread/resume", Refusal(-32600, "already has an active writer"))
    async with in_a_session(fake, guest_errors=1) as session:
        with pytest.raises(TurnLostError, match="could not be resumed") as caught:
            await session.run("go")
        assert caught.value.__cause__ is not None
        assert isinstance(caught.value.__cause__.__cause__, RequestFailedError)
        with pytest.raises(SessionClosedError):
            await session.run("again")


async def test_a_record_that_is_too_long_loses_the_turn_and_not_the_session() -> None:
    """The thread is resumed without it."""
    fake = FakeAppServer(Script(Say("half"), Die()))

    def resume(params: dict[str, Any]) -> dict[str, Any]:
        return {"thread": {"id": "x", "filling": "x" * 100_000 if "initialTurnsPage" in params else ""}}

    async with in_a_session(fake, line_limit=50_000) as session:
        fake.on_request("thread/resume", resume)
        with pytest.raises(TurnLostError, match="cannot be read") as caught:
            await session.run("go")
        assert caught.value.__cause__ is not None
        assert isinstance(caught.value.__cause__.__cause__, RemoteProtocolError)
        assert not session.is_closed
        assert len(fake.requests("thread/resume")) == 2


async def test_a_thread_that_is_not_found_in_time_loses_its_turn() -> None:
    """When everybody else may use the server."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("half"), Stall()), clock=clock)
    async with in_a_session(fake, clock=clock, guest_errors=1, start_deadline=3.0) as session:
        running = asyncio.create_task(session.run("go"))
        await until(lambda: session.turn and session.turn.result.text == "half")
        fake.never_answer("thread/resume")
        fake.die()
        await gone(session.runtime)
        await clock.advance(0.0)
        await fake.wait_for("thread/resume")
        await clock.advance(3.1)
        with pytest.raises(TurnLostError, match="not found again in time"):
            await running


async def test_a_thread_that_was_never_written_down_has_no_record() -> None:
    """The session goes on with a new one."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    async with at_the_desk(fake) as client:
        session = await client.start_session(ephemeral=True)
        thread = session.thread_id
        with pytest.raises(TurnLostError, match="no record of its thread"):
            await session.run("go")
        assert session.thread_id != thread
        assert (await session.run("again")).text == "Hello!"


# -- the server lives on -----------------------------------------------------------------------------------------------


async def test_a_turn_goes_on_after_a_reconnect() -> None:
    """The same turn, the same stream: the reader is told where the connection broke, and the result is exact."""
    gate = Gate()
    fake = FakeAppServer(halfway(gate))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await gate.reached()
        fake.disconnect()
        await gone(session.runtime)
        await session.runtime.wait_ready()
        assert not turn.is_over
        gate.open()
        events = [event async for event in turn]
        [again] = [event for event in events if isinstance(event, Reconnected)]
        assert (again.unfinished, again.generation) == ((), 1)
        assert [event.text for event in events if isinstance(event, TextCompleted)] == ["one ", "two"]
        result = await turn.finish()
        assert (result.text, [each.text for each in result.messages]) == ("two", ["one ", "two"])
        assert session.runtime.metrics.turns["completed"].count == 1
        assert len(fake.requests("turn/start")) == 1


async def test_what_was_missed_comes_from_the_record() -> None:
    """As a piece and a completion, in the order in which it was said; then the turn goes on."""
    clock = ManualClock()
    first, second, third = Gate(), Gate(), Gate()
    script = Script(
        Say("one"), Hold(first), Say("two"), Command("ls", output="a\n"), Hold(second), Say("three"), Hold(third)
    )
    fake = FakeAppServer(script, clock=clock)
    async with in_a_session(fake, clock=clock, restart=LATER) as session, session.stream("go") as turn:
        await first.reached()
        fake.disconnect()
        await gone(session.runtime)
        first.open()
        await second.reached()
        await clock.advance(10.0)
        await session.runtime.wait_ready()
        second.open()
        await third.reached()
        third.open()
        result = await turn.finish()
        events = [event async for event in turn]
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["one", "two", "three"]
        assert [event.text for event in events if isinstance(event, TextCompleted)] == ["one", "two", "three"]
        assert [each.text for each in result.messages] == ["one", "two", "three"]
        assert [run.output for run in result.commands] == ["a\n"]
        assert [item.kind for item in result.items].count("userMessage") == 1


async def test_a_turn_that_ended_meanwhile_ends_with_the_reconnect() -> None:
    """`TurnCompleted` is the last event, and comes once."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(halfway(gate), clock=clock)
    async with in_a_session(fake, clock=clock, restart=LATER) as session:
        async with session.stream("go") as turn:
            await gate.reached()
            fake.disconnect()
            await gone(session.runtime)
            gate.open()
            await clock.advance(10.0)
            result = await turn.finish()
            assert (result.status, result.text) == ("completed", "two")
            events = [event async for event in turn]
            assert [type(event) for event in events].count(TurnCompleted) == 1
            assert isinstance(events[-1], TurnCompleted)
        assert (await session.run("again")).text == "Hello!"


async def test_one_break_after_the_other_is_outlived() -> None:
    """The reader is told of each."""
    gate = Gate()
    fake = FakeAppServer(halfway(gate))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await gate.reached()
        for generation in range(1, 4):
            fake.disconnect()
            await until(lambda: session.runtime.generation == generation)  # noqa: B023
            await session.runtime.wait_ready()
        gate.open()
        assert (await turn.finish()).text == "two"
        events = [event async for event in turn]
        assert [event.generation for event in events if isinstance(event, Reconnected)] == [1, 2, 3]


@pytest.mark.parametrize("ends_meanwhile", [False, True])
async def test_a_connection_that_breaks_while_it_is_made_is_outlived(ends_meanwhile: bool) -> None:  # noqa: FBT001
    """The turn was found on it already; what was said since, and its end, come from the record of the next one."""
    first, second = Gate(), Gate()
    fake = FakeAppServer(Script(Say("one"), Hold(first), Say("two"), Hold(second), Say("three")))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await first.reached()
        fake.disconnect()
        async for event in turn:
            if isinstance(event, Reconnected):
                break
        assert session.runtime.connection.phase == "handshaking"
        fake.disconnect()
        first.open()
        if ends_meanwhile:
            second.open()
        await second.reached()
        await session.runtime.wait_ready()
        second.open()
        result = await turn.finish()
    assert [item.data["text"] for item in result.items if item.kind == "agentMessage"] == ["one", "two", "three"]


async def test_a_server_that_dies_after_a_reconnect_loses_the_turn() -> None:
    """A turn that went on is not safe for good."""
    gate = Gate()
    fake = FakeAppServer(halfway(gate))
    async with in_a_session(fake) as session:
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        fake.disconnect()
        await until(lambda: session.runtime.generation == 1 and session.runtime.connection.phase == "running")
        fake.die()
        with pytest.raises(TurnLostError, match="SIGKILL; its record does not say"):
            await running


async def test_an_open_approval_is_asked_for_again_in_the_same_turn() -> None:
    """The first ticket is withdrawn; the turn's own handler gets the second, and the turn completes."""
    asked: list[Ticket] = []

    async def handler(ticket: Ticket) -> None:
        asked.append(ticket)
        if len(asked) == 1:
            await ticket.wait()
        ticket.accept()

    fake = FakeAppServer(Script(Command("ls", output="a\n", approval=True), Say("done")))
    async with in_a_session(fake) as session:
        running = asyncio.create_task(session.run("go", approvals=handler))
        await until(lambda: asked)
        fake.disconnect()
        result = await running
        assert (result.text, result.commands[0].output) == ("done", "a\n")
        first, second = asked
        assert (first.outcome, first.generation, second.outcome, second.generation) == ("withdrawn", 0, "accepted", 1)
        assert (second.turn_id, second.item_id) == (result.turn_id, first.item_id)


async def test_a_reader_that_answers_is_asked_again() -> None:
    """The event of the first ticket is followed by the reconnect and the event of the second."""
    fake = FakeAppServer(Script(Command("ls", approval=True), Say("done")))
    async with in_a_session(fake) as session, session.stream("go", approvals="stream") as turn:
        seen: list[type] = []
        async for event in turn:
            if isinstance(event, ApprovalRequested):
                seen.append(type(event))
                if event.ticket.generation == 0:
                    fake.disconnect()
                else:
                    event.ticket.accept()
            elif isinstance(event, Reconnected):
                seen.append(type(event))
        assert seen == [ApprovalRequested, Reconnected, ApprovalRequested]
        assert turn.result.status == "completed"


# -- nobody wants it any more ------------------------------------------------------------------------------------------


async def test_leaving_while_the_server_is_away_interrupts_the_turn_when_it_is_back() -> None:
    """It would run on for nobody else."""
    gate = Gate()
    fake = FakeAppServer(halfway(gate))
    async with in_a_session(fake) as session:
        async with session.stream("go") as turn:
            await gate.reached()
            fake.disconnect()
        assert turn.result.status == "interrupted"
        assert [entry.params["turnId"] for entry in fake.requests("turn/interrupt")] == [turn.turn_id]
        assert (await session.run("again")).text == "Hello!"


async def test_leaving_a_turn_whose_server_died_tells_what_became_of_it() -> None:
    """With the next server; nothing is interrupted there."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    async with in_a_session(fake) as session:
        async with session.stream("go") as turn:
            await until(lambda: turn.result.text == "half")
            fake.die()
            await gone(session.runtime)
        assert (turn.result.status, fake.requests("turn/interrupt")) == ("lost", [])


async def test_leaving_does_not_wait_for_ever() -> None:
    """After the grace the turn is lost: nobody can tell whether it runs on."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(halfway(gate), clock=clock)
    async with in_a_session(fake, clock=clock, restart=LATER) as session:
        turn = session.stream("go")
        await turn.__aenter__()
        await gate.reached()
        fake.disconnect()
        await gone(session.runtime)
        leaving = asyncio.create_task(turn.__aexit__(None, None, None))
        await clock.advance(5.1)
        await leaving
        assert (turn.result.status, turn.may_run_on) == ("lost", False)
        await clock.advance(10.0)


async def test_an_interruption_is_repeated_on_the_next_connection() -> None:
    """The first went to a connection that broke before it was heard."""
    gate = Gate()
    fake = FakeAppServer(halfway(gate))
    async with in_a_session(fake) as session, session.stream("go") as turn:
        await gate.reached()
        fake.never_answer("turn/interrupt")
        interrupting = asyncio.create_task(turn.interrupt())
        await fake.wait_for("turn/interrupt")
        fake.disconnect()
        assert (await interrupting).status == "interrupted"
        assert len(fake.requests("turn/interrupt")) == 2


async def test_closing_the_session_while_the_server_is_away_interrupts_the_turn() -> None:
    """The thread is found again for that, and let go of then."""
    gate = Gate()
    fake = FakeAppServer(halfway(gate))
    async with at_the_desk(fake) as client:
        session = await client.start_session()
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        fake.disconnect()
        await gone(client.runtime)
        await session.aclose()
        assert (await asyncio.gather(running, return_exceptions=True))[0].result.status == "interrupted"
        assert len(fake.requests("thread/unsubscribe")) == 1
        with pytest.raises(SessionClosedError):
            session.stream("more")


async def test_closing_the_client_while_the_server_is_away_ends_the_turn_at_once() -> None:
    """Nothing is waited for."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(halfway(gate), clock=clock)
    async with at_the_desk(fake, clock=clock, restart=LATER) as client:
        session = await client.start_session()
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        fake.disconnect()
        await gone(client.runtime)
        await client.aclose()
        with pytest.raises(TurnLostError) as caught:
            await running
        assert isinstance(caught.value.__cause__, RuntimeClosedError)


@pytest.mark.parametrize("lives_on", [False, True])
async def test_a_run_may_be_cancelled_at_any_wait_of_the_search(lives_on: bool) -> None:  # noqa: FBT001
    """Nothing of it is left, and the next run is a turn of its own."""
    fake = FakeAppServer()
    async with in_a_session(fake, restart=RestartPolicy(backoff=0.0, max_backoff=0.0, budget=1000)) as session:
        for at in range(1, 60):
            gate = Gate()
            fake.on_turn(Script(Say("one "), Hold(gate), Say("two")) if lives_on else Script(Say("one "), Hold(gate)))
            work = CancelledAt(session.run("go"), at)

            async def spoil(gate: Gate = gate) -> None:
                await gate.reached()
                fake.disconnect() if lives_on else fake.die()
                gate.open()

            spoiling = asyncio.create_task(spoil())
            try:
                assert (await work).text == "two"
            except asyncio.CancelledError:
                assert work.was_cancelled
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
            except TurnLostError:
                assert not lives_on
            spoiling.cancel()
            await asyncio.wait([spoiling])
            fake._orders.scripts.clear()
            assert session.turn is None
            await session.runtime.wait_ready()
            assert (await session.run("again")).text == "Hello!"
            if not work.was_cancelled:
                break
        else:
            raise AssertionError("the search has no end")


async def test_hooks_after_the_turn_are_told_how_it_ended() -> None:
    """Once, and after it was found again."""
    told: list[tuple[str | None, int]] = []
    fake = FakeAppServer("one")
    fake.die_at("turn/completed", "before")
    after = Hook("after", lambda c: told.append((c.status, fake.launches)), when=HookMatcher(phases=("post_turn",)))
    async with (
        fake,
        Client(RuntimeConfig(launcher=fake, restart=AT_ONCE), hooks=[after]) as client,
        await client.start_session() as session,
    ):
        assert (await session.run("go")).text == "one"
    assert told == [("completed", 2)]


async def test_hooks_judge_what_is_asked_again() -> None:
    """Those of the turn, as they did the first time."""
    judged: list[HookContext] = []
    may_say = asyncio.Event()

    async def judge(context: HookContext) -> None:
        judged.append(context)
        if len(judged) == 1:
            await may_say.wait()

    fake = FakeAppServer(Script(Command("ls", output="a\n", approval=True), Say("done")))
    hook = Hook("judge", judge, when=HookMatcher(phases=("pre_tool_use",)))
    async with (
        fake,
        Client(RuntimeConfig(launcher=fake, restart=AT_ONCE), hooks=[hook]) as client,
        await client.start_session(approvals="accept") as session,
    ):
        running = asyncio.create_task(session.run("go"))
        await until(lambda: judged)
        fake.disconnect()
        assert (await running).commands[0].output == "a\n"
        assert len(judged) == 2

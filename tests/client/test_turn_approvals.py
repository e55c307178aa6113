"""What a turn asks, and who answers."""

from __future__ import annotations

import asyncio

import pytest

from codex_runtime import (
    ApprovalRequested,
    TurnCompleted,
    TurnStarted,
)
from codex_runtime.errors import (
    AlreadySettledError,
)
from codex_runtime.testing import (
    Ask,
    Bytes,
    Command,
    FakeAppServer,
    Gate,
    ManualClock,
    Say,
    Script,
    Stall,
)
from tests.client.desk import in_a_session, until

COMMAND = "item/commandExecution/requestApproval"


# -- approvals ---------------------------------------------------------------------------------------------------------

TOUCH = Script(Command("touch a", output="done\n", approval=True), Say("so be it"))


async def test_by_default_approvals_are_declined_at_once() -> None:
    """The turn goes on without; a reader sees what was asked, and that it is settled."""
    fake = FakeAppServer(TOUCH)
    async with in_a_session(fake) as session, session.stream("go") as turn:
        asked = [event.ticket async for event in turn if isinstance(event, ApprovalRequested)]
        assert [ticket.outcome for ticket in asked] == ["declined"]
        assert [answer.decision for answer in fake.answers] == ["decline"]
        assert (await turn.finish()).text == "so be it"


async def test_accept_says_yes_to_approvals_and_to_nothing_else() -> None:
    """A question to the user cannot be answered by consent."""
    fake = FakeAppServer(
        Script(Command("touch a", output="done\n", approval=True), Ask("currentTime/read", {"threadId": "$thread"}))
    )
    async with in_a_session(fake) as session:
        result = await session.run("go", approvals="accept")
        assert [command.output for command in result.commands] == ["done\n"]
        assert fake.answers[0].decision == "accept"
        assert fake.answers[1].error is not None


async def test_a_reader_may_answer() -> None:
    """With `stream` the ticket waits for whoever reads; it takes one answer."""
    fake = FakeAppServer(TOUCH)
    async with in_a_session(fake) as session, session.stream("go", approvals="stream") as turn:
        async for event in turn:
            if isinstance(event, ApprovalRequested):
                event.ticket.accept(for_session=True)
                with pytest.raises(AlreadySettledError):
                    event.ticket.decline()
        assert (await turn.finish()).commands[0].status == "completed"
        assert [answer.decision for answer in fake.answers] == ["acceptForSession"]


async def test_asking_for_a_stream_that_nobody_reads_declines_at_once() -> None:
    """`run` has no reader."""
    fake = FakeAppServer(TOUCH)
    async with in_a_session(fake) as session:
        assert (await session.run("go", approvals="stream")).commands[0].status == "declined"


async def test_the_start_is_told_before_what_the_turn_asks() -> None:
    """A fast server says all of it in one breath."""
    fake = FakeAppServer(TOUCH)
    async with in_a_session(fake) as session, session.stream("go", approvals="accept") as turn:
        events = [event async for event in turn]
        assert isinstance(events[0], TurnStarted)
        assert sum(isinstance(event, ApprovalRequested) for event in events) == 1


async def test_a_handler_answers_in_a_task_of_its_own() -> None:
    """The turn's events go on while it thinks."""
    gate = Gate()
    fake = FakeAppServer(TOUCH)

    async def ask_somebody(ticket: object) -> None:
        await gate.wait()
        ticket.accept()  # type: ignore[attr-defined]

    async with in_a_session(fake) as session, session.stream("go", approvals=ask_somebody) as turn:
        await gate.reached()
        assert isinstance(await anext(turn), TurnStarted)
        gate.open()
        assert (await turn.finish()).commands[0].status == "completed"


async def test_a_handler_that_fails_means_no() -> None:
    """The turn goes on, and the failure is counted."""
    fake = FakeAppServer(TOUCH)

    async def fail(_: object) -> None:
        raise ZeroDivisionError

    async with in_a_session(fake, guest_errors=1) as session:
        result = await session.run("go", approvals=fail)
        assert (result.text, result.commands[0].status) == ("so be it", "declined")


async def test_a_handler_that_hangs_means_no_at_the_deadline() -> None:
    """It is cancelled, so nothing of it is left."""
    clock = ManualClock()
    fake = FakeAppServer(TOUCH, clock=clock)
    gate = Gate()

    async def hang(_: object) -> None:
        await gate.wait()

    async with in_a_session(fake, clock=clock, server_request_deadline=7.0) as session:
        running = asyncio.create_task(session.run("go", approvals=hang))
        await gate.reached()
        await clock.advance(7.1)
        assert (await running).commands[0].status == "declined"


async def test_what_another_turn_asks_is_not_ours_to_accept() -> None:
    """Consent was given for this turn."""
    foreign = {"threadId": "$thread", "turnId": "turn-99", "itemId": "x", "command": "rm", "cwd": "/fake/workspace"}
    fake = FakeAppServer(Script(Say("a"), Ask(COMMAND, foreign), Say("b")))
    async with in_a_session(fake) as session, session.stream("go", approvals="accept") as turn:
        assert not [event async for event in turn if isinstance(event, ApprovalRequested)]
        assert [answer.decision for answer in fake.answers] == ["decline"]


async def test_nothing_comes_after_the_end_of_a_turn() -> None:
    """Not even a request that was read together with the end."""
    late = (
        b'{"method":"turn/completed","params":{"threadId":"thread-1","turn":{"id":"turn-1","status":"interrupted"}}}\n'
        b'{"method":"%s","id":77,"params":{"threadId":"thread-1","turnId":"turn-1","itemId":"x","command":"rm"}}\n'
    ) % COMMAND.encode()
    fake = FakeAppServer(Script(Say("half"), Bytes(late), Stall()))
    async with in_a_session(fake) as session, session.stream("go", approvals="stream") as turn:
        assert isinstance([event async for event in turn][-1], TurnCompleted)
        await until(lambda: fake.answers)
        assert fake.answers[0].decision == "decline"

"""Sessions and turns for ordinary threads."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from codex_runtime import (
    ApprovalRequested,
    RuntimeConfig,
    TextDelta,
    TurnCompleted,
    TurnFailedError,
    TurnInterruptedError,
    TurnStarted,
)
from codex_runtime.errors import LocalProtocolError, SessionClosedError
from codex_runtime.sync import Client, Session, Ticket
from codex_runtime.testing import Command, FailTurn, FakeAppServer, Say, Script, Stall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

TOUCH = Script(Command("touch a", output="done\n", approval=True), Say("so be it"))


@pytest.fixture
def fake() -> FakeAppServer:
    """One that says what the test lines up."""
    return FakeAppServer()


@pytest.fixture
def session(fake: FakeAppServer) -> Iterator[Session]:
    """A session on it."""
    client: AbstractContextManager[Client] = Client(RuntimeConfig(launcher=fake))
    with client as opened, opened.start_session() as session:
        yield session


def test_a_turn_is_a_block_to_iterate_over(fake: FakeAppServer, session: Session) -> None:
    """The events in order, the result at the end."""
    fake.on_turn("one two")
    with session.stream("go") as turn:
        events = list(turn)
        assert isinstance(events[0], TurnStarted)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two"
        assert isinstance(events[-1], TurnCompleted)
        assert turn.finish().text == turn.result.text == "one two"
        assert (turn.is_over, turn.thread_id, turn.turn_id) == (True, session.thread_id, turn.result.turn_id)
        assert turn.take() == []
    assert session.turn is None


def test_take_gives_all_that_waits(fake: FakeAppServer, session: Session) -> None:
    """And nothing twice."""
    fake.on_turn("one two three")
    with session.stream("go") as turn:
        turn.finish()
        first = next(turn)
        assert [type(event) for event in [first, *turn.take()]].count(TurnStarted) == 1


def test_a_failed_turn_raises(fake: FakeAppServer, session: Session) -> None:
    """From `run` and from `finish`; the session goes on."""
    fake.on_turn(Script(FailTurn("no")), Script(FailTurn("no")))
    with pytest.raises(TurnFailedError, match="no"):
        session.run("go")
    with session.stream("go") as turn, pytest.raises(TurnFailedError, match="no"):
        turn.finish()
    assert session.run("go").text == "Hello!"


def test_another_thread_may_steer_and_interrupt(fake: FakeAppServer, session: Session) -> None:
    """The turn that runs is at hand there."""
    fake.on_turn(Script(Say("half"), Stall()))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            session.run("go")
        except TurnInterruptedError as error:
            errors.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    while (turn := session.turn) is None or turn.turn_id is None:
        pass
    turn.steer("also this")
    session.interrupt()
    runner.join(5)
    assert [error.result.text for error in errors if isinstance(error, TurnInterruptedError)] == ["half"]
    assert fake.requests("turn/steer")[0].params["input"][0]["text"] == "also this"


def test_leaving_the_block_interrupts(fake: FakeAppServer, session: Session) -> None:
    """So does `interrupt`, which gives what had come."""
    fake.on_turn(Script(Say("half"), Stall()), Script(Say("half"), Stall()))
    with session.stream("go"):
        pass
    with session.stream("go") as turn:
        assert turn.interrupt().status == "interrupted"
    assert len(fake.requests("turn/interrupt")) == 2


def test_ctrl_c_interrupts_the_turn_before_it_goes_on(fake: FakeAppServer, session: Session) -> None:
    """Nothing runs on unattended."""
    fake.on_turn(TOUCH)

    def press(_: Ticket) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.5)

    with pytest.raises(KeyboardInterrupt):
        session.run("go", approvals=press)
    assert len(fake.requests("turn/interrupt")) == 1
    assert session.run("again").text == "Hello!"


@pytest.mark.parametrize(("word", "status"), [("accept", "completed"), ("decline", "declined")])
def test_a_reader_answers(fake: FakeAppServer, session: Session, word: str, status: str) -> None:
    """With tickets that may be settled from any thread."""
    fake.on_turn(TOUCH)
    with session.stream("go", approvals="stream") as turn:
        for event in turn:
            if isinstance(event, ApprovalRequested):
                assert isinstance(event.ticket, Ticket)
                getattr(event.ticket, word)()
    assert turn.result.commands[0].status == status


def test_a_handler_is_a_plain_function(fake: FakeAppServer, session: Session) -> None:
    """It may block; if it fails the answer is no."""
    fake.on_turn(TOUCH, TOUCH)
    assert session.run("go", approvals=lambda ticket: ticket.accept()).commands[0].status == "completed"
    assert session.run("go", approvals=lambda _: 1 / 0).commands[0].status == "declined"


def test_a_closed_session_says_so(fake: FakeAppServer, session: Session) -> None:
    """And a turn that is no block does too."""
    with pytest.raises(LocalProtocolError, match="with session"):
        session.stream("go").finish()
    assert (session.is_closed, session.cwd, session.profile.sandbox) == (False, os.getcwd(), "read-only")  # noqa: PTH109
    session.close(archive=True)
    assert session.is_closed
    with pytest.raises(SessionClosedError):
        session.run("go")
    assert len(fake.requests("thread/archive")) == 1

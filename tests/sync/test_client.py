"""The client for ordinary threads: it opens, runs and closes as the asynchronous one does."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from codex_runtime import RunProfile, RuntimeConfig, TurnTimeoutError
from codex_runtime.errors import BinaryNotFoundError, LocalProtocolError, RuntimeClosedError
from codex_runtime.sync import Client, quick_run
from codex_runtime.testing import Command, FakeAppServer, Say, Script, Stall

if TYPE_CHECKING:
    from pathlib import Path

    from codex_runtime.client import Ticket as AsyncTicket
    from codex_runtime.sync import Ticket


def test_sessions_turns_and_single_runs(workspace: Path) -> None:
    """The three ways to a result."""
    fake = FakeAppServer("one", "two", "three")
    with Client(RuntimeConfig(launcher=fake), profile=RunProfile(model="m")) as client:
        with client.start_session(cwd=workspace) as session:
            assert session.run("a").text == "one"
        with client.resume_session(session.thread_id, cwd=workspace) as again:
            assert again.run("b").text == "two"
        assert client.run("c", cwd=workspace).text == "three"
        assert client.profile.model == "m"
        assert client.metrics.requests > 5
        assert client.state.connection.phase == "running"
        assert client.request("account/read", {})["account"] is None
    assert [entry.params["model"] for entry in fake.requests("turn/start")] == ["m", "m", "m"]


def test_quick_run_needs_nothing_else(workspace: Path) -> None:
    """One call, and nothing is left."""
    assert quick_run("go", cwd=workspace, config=RuntimeConfig(launcher=FakeAppServer("done"))).text == "done"


def test_a_client_that_cannot_open_leaves_no_thread() -> None:
    """The error is that of the asynchronous one."""
    before = threading.active_count()
    with pytest.raises(BinaryNotFoundError), Client(RuntimeConfig(binary="no/such/binary")):
        pass
    assert threading.active_count() == before


def test_a_closed_client_says_so_and_may_be_closed_again() -> None:
    """The same before it is open."""
    client = Client(RuntimeConfig(launcher=FakeAppServer()))
    with pytest.raises(LocalProtocolError, match="not open"):
        client.start_session()
    with client:
        session = client.start_session()
    client.close()
    with pytest.raises(LocalProtocolError, match="not open"):
        session.run("go")


def test_closing_ends_whoever_waits_on_another_thread() -> None:
    """With the error of a lost turn or of the runtime."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    client = Client(RuntimeConfig(launcher=fake))
    client.open()
    session = client.start_session()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            session.run("go")
        except Exception as error:  # noqa: BLE001  it is looked at below
            errors.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    while session.turn is None or session.turn.turn_id is None:
        pass
    client.close()
    runner.join(5)
    assert [type(error).__name__ for error in errors] == ["TurnLostError"]
    assert isinstance(errors[0].__cause__, RuntimeClosedError)


def test_options_reach_the_same_place(workspace: Path) -> None:
    """A deadline is one of them."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    with Client(RuntimeConfig(launcher=fake)) as client, pytest.raises(TurnTimeoutError):
        client.run("go", cwd=workspace, deadline=0.1)


def test_a_handler_in_a_profile_is_a_plain_function_too() -> None:
    """It runs on a thread of its own, where it may block; one that is a coroutine function runs on the loop."""
    seen: list[str] = []

    def plain(ticket: Ticket) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen.append("plain")
        ticket.accept()

    async def on_the_loop(ticket: AsyncTicket) -> None:
        asyncio.get_running_loop()
        seen.append("coroutine")
        ticket.accept()

    for handler in (plain, on_the_loop):
        fake = FakeAppServer(default=Script(Command("touch a", approval=True)))
        profile = RunProfile(approvals=handler)  # type: ignore[arg-type]
        with Client(RuntimeConfig(launcher=fake), profile=profile) as client:
            assert client.run("go").commands[0].status == "completed"
            with client.start_session(profile=profile) as session:
                assert session.run("go").commands[0].status == "completed"
    assert seen == ["plain", "plain", "coroutine", "coroutine"]

"""Connecting, and what starting and resuming a session sends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import Client, ConfigError, File, RequestFailedError, RunProfile, RuntimeConfig, TurnFailedError
from codex_runtime.errors import (
    IncompatibleServerError,
    LocalProtocolError,
    PermissionDeniedError,
    RemoteProtocolError,
)
from codex_runtime.testing import FailTurn, FakeAppServer, Script
from tests.client.desk import CancelledAt, at_the_desk

if TYPE_CHECKING:
    from pathlib import Path


async def test_starting_a_session_sends_the_merged_options(workspace: Path) -> None:
    """Client, session, turn: each replaces single options of the one before, and leaves it as it was."""
    fake = FakeAppServer()
    profile = RunProfile(model="of the client", effort="low", sandbox="workspace-write")
    async with at_the_desk(fake, profile=profile) as client:
        async with await client.start_session(cwd=workspace, model="of the session", ephemeral=True) as session:
            await session.run("a", model="of the turn")
            await session.run("b")
        assert fake.requests("thread/start")[0].params == {
            "cwd": str(workspace),
            "sandbox": "read-only",
            "approvalPolicy": "never",
            "model": "of the session",
            "ephemeral": True,
        }
        turns = [entry.params for entry in fake.requests("turn/start")]
        assert [turn["sandboxPolicy"]["type"] for turn in turns] == ["workspaceWrite"] * 2
        assert [(turn["model"], turn["effort"]) for turn in turns] == [
            ("of the turn", "low"),
            ("of the session", "low"),
        ]
        assert turns[0]["threadId"] == session.thread_id
        assert (session.cwd, session.profile.model, client.profile) == (str(workspace), "of the session", profile)


async def test_a_profile_given_to_a_session_replaces_the_clients() -> None:
    """As a whole."""
    fake = FakeAppServer()
    async with at_the_desk(fake, profile=RunProfile(model="of the client")) as client:
        session = await client.start_session(profile=RunProfile(effort="high"), summary="auto")
        assert session.profile == RunProfile(effort="high", summary="auto")


async def test_resuming_sends_flat_fields_and_says_the_sandbox_again(workspace: Path) -> None:
    """The server forgets the sandbox of a thread; the history is not asked for."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        first = await client.start_session()
        await first.run("go")
        async with await client.resume_session(first.thread_id, cwd=workspace, sandbox="workspace-write") as session:
            assert session.thread_id == first.thread_id
        assert fake.requests("thread/resume")[0].params == {
            "threadId": first.thread_id,
            "excludeTurns": True,
            "cwd": str(workspace),
            "sandbox": "workspace-write",
            "approvalPolicy": "never",
        }
        with pytest.raises(RequestFailedError, match="no rollout found"):
            await client.resume_session("thread-99")


async def test_a_resumed_thread_stays_in_its_folder(workspace: Path) -> None:
    """Unless another one is said: ours has nothing to do with it."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        first = await client.start_session(cwd=workspace)
        await first.run("go")
        (workspace / "here").touch()
        async with await client.resume_session(first.thread_id) as session:
            assert session.cwd == str(workspace)
            await session.run([File("here")])
        assert "cwd" not in fake.requests("thread/resume")[0].params


async def test_an_answer_without_a_folder_is_the_servers_fault() -> None:
    """There is nothing to fall back on."""
    fake = FakeAppServer()
    fake.on_request("thread/resume", {"thread": {"id": "thread-1"}})
    async with at_the_desk(fake) as client:
        with pytest.raises(RemoteProtocolError, match="where the thread works"):
            await client.resume_session("thread-1")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cwd": "no/such/folder"}, ConfigError),
        ({"sandbox": "wrong"}, ConfigError),
        ({"mood": "good"}, ConfigError),
        ({"sandbox": "danger-full-access"}, PermissionDeniedError),
    ],
)
async def test_what_is_wrong_is_found_before_anything_is_sent(options: dict[str, Any], error: type[Exception]) -> None:
    """By each of the three doors."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        before = len(fake.received)
        for door in (
            lambda: client.start_session(**options),
            lambda: client.resume_session("thread-1", **options),
            lambda: client.run("go", **options),
        ):
            with pytest.raises(error):
                await door()
        assert len(fake.received) == before


@pytest.mark.parametrize("answer", [{}, {"thread": None}, {"thread": {"id": 7}}])
async def test_an_answer_without_a_thread_is_the_servers_fault(answer: dict[str, Any]) -> None:
    """It is named as such."""
    fake = FakeAppServer()
    fake.on_request("thread/start", answer)
    async with at_the_desk(fake) as client:
        with pytest.raises(RemoteProtocolError, match="thread/start"):
            await client.start_session()


async def test_an_answer_with_another_thread_is_the_servers_fault() -> None:
    """Nobody works in a thread that he did not ask for."""
    fake = FakeAppServer()
    fake.on_request("thread/resume", {"thread": {"id": "another"}})
    async with at_the_desk(fake) as client:
        with pytest.raises(RemoteProtocolError, match="another thread"):
            await client.resume_session("thread-1")


async def test_a_client_runs_a_single_turn(workspace: Path) -> None:
    """In a thread that is let go of at the end, also after a failure."""
    fake = FakeAppServer("done", Script(FailTurn("no")))
    async with at_the_desk(fake) as client:
        assert (await client.run("go", cwd=workspace, model="m")).text == "done"
        with pytest.raises(TurnFailedError):
            await client.run("go")
        assert len(fake.requests("thread/unsubscribe")) == 2


async def test_a_server_that_is_too_old_is_ended_again() -> None:
    """Nothing is left of it."""
    fake = FakeAppServer()
    client = Client(RuntimeConfig(launcher=fake), minimum_version="99.0.0")
    with pytest.raises(IncompatibleServerError, match=r"99\.0\.0"):
        await client.open()
    assert client.runtime.connection.phase == "closed"
    assert fake.requests("thread/start") == []


def test_a_minimum_that_is_no_version_is_found_before_anything_is_started() -> None:
    """It is a setting like the others."""
    with pytest.raises(ConfigError, match="minimum_version"):
        Client(minimum_version="new")


async def test_a_client_that_is_not_open_says_so() -> None:
    """No session without a block around it."""
    client = Client(RuntimeConfig(launcher=FakeAppServer()))
    with pytest.raises(LocalProtocolError, match="not open"):
        await client.start_session()
    await client.aclose()


async def test_the_typed_methods_are_at_hand() -> None:
    """On the same runtime."""
    async with at_the_desk(FakeAppServer()) as client:
        assert (await client.app_server.model_list()).data[0].model == "fake-model"


async def test_opening_may_be_cancelled_at_any_wait() -> None:
    """Nothing is left of the server, whichever wait it is."""
    for at in range(1, 50):
        fake = FakeAppServer()
        client = Client(RuntimeConfig(launcher=fake))
        work = CancelledAt(client.open(), at)
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            assert client.runtime.connection.phase == "closed"
        else:
            await client.aclose()
            break
    assert at > 1


async def test_starting_a_session_may_be_cancelled_at_any_wait() -> None:
    """The client goes on."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        for at in range(1, 50):
            work = CancelledAt(client.start_session(), at)
            try:
                await work
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
            else:
                break
            assert (await client.run("go")).text == "Hello!"
        assert at > 1

"""One contract for sessions and turns: the fakes may only be trusted as far as the real server passes the same tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import (
    ApprovalRequested,
    CommandCompleted,
    CommandStarted,
    ConfigError,
    RequestFailedError,
    TextCompleted,
    TextDelta,
    TurnCompleted,
    TurnFailedError,
    TurnInterruptedError,
    TurnLostError,
    TurnStarted,
    TurnTimeoutError,
)
from codex_runtime.client import TurnWarning
from codex_runtime.testing import Gate
from tests.contract.servers import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.servers import Server

STORY = (TurnStarted, TextDelta, TextCompleted, CommandStarted, ApprovalRequested, CommandCompleted, TurnCompleted)


def story(events: list[object]) -> list[str]:
    """What a reader is told, without what servers may add, and with pieces of text counted once."""
    names = [type(event).__name__ for event in events if isinstance(event, STORY)]
    return [name for index, name in enumerate(names) if index == 0 or name != names[index - 1]]


async def test_a_session_starts_and_runs_turns(server: Server, workspace: Path) -> None:
    """One thread, an id for each turn, and a result with the text."""
    server.says("one two")
    server.says("three")
    async with await server.client.start_session(cwd=workspace) as session:
        first = await session.run("a")
        second = await session.run("b")
    assert (first.text, second.text, first.status) == ("one two", "three", "completed")
    assert first.thread_id == second.thread_id == session.thread_id
    assert first.turn_id != second.turn_id
    assert first.usage is not None
    assert (first.started_at or 0) > 0


async def test_the_events_of_a_turn_come_in_order(server: Server, workspace: Path) -> None:
    """Start, text in pieces, the whole text, the end."""
    server.says("one two three")
    async with await server.client.start_session(cwd=workspace) as session, session.stream("a") as turn:
        events = [event async for event in turn if not isinstance(event, TurnWarning)]
    assert story(events) == ["TurnStarted", "TextDelta", "TextCompleted", "TurnCompleted"]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two three"


async def test_a_turn_is_interrupted(server: Server, workspace: Path) -> None:
    """With what had come; the next one runs."""
    gate = Gate()
    server.says_around("half", gate, "whole")
    async with await server.client.start_session(cwd=workspace) as session:
        async with session.stream("a") as turn:
            await gate.reached()
            assert (await turn.interrupt()).status == "interrupted"
            with pytest.raises(TurnInterruptedError):
                await turn.finish()
        server.says("next")
        assert (await session.run("b")).text == "next"


async def test_a_turn_has_a_deadline(server: Server, workspace: Path) -> None:
    """After which it is interrupted on the server."""
    server.hangs_after("half")
    async with await server.client.start_session(cwd=workspace) as session:
        with pytest.raises(TurnTimeoutError):
            await session.run("a", deadline=0.3)
        server.says("next")
        assert (await session.run("b")).text == "next"


@pytest.mark.parametrize(("answer", "status"), [("accept", "completed"), ("decline", "declined")])
async def test_a_command_is_approved_or_not(server: Server, workspace: Path, answer: str, status: str) -> None:
    """The events tell it in order, and the turn goes on either way."""
    server.runs_a_command("after")
    options: dict[str, Any] = {"approval_policy": "untrusted", "sandbox": "workspace-write", "approvals": "stream"}
    async with await server.client.start_session(cwd=workspace, **options) as session:
        events = []
        async with session.stream("a") as turn:
            async for event in turn:
                events.append(event)
                if isinstance(event, ApprovalRequested):
                    getattr(event.ticket, answer)()
        assert story(events) == [
            "TurnStarted",
            "CommandStarted",
            "ApprovalRequested",
            "CommandCompleted",
            "TextDelta",
            "TextCompleted",
            "TurnCompleted",
        ]
        (command,) = turn.result.commands
        assert (command.command, command.status, turn.result.text) == (COMMAND, status, "after")


async def test_cancelling_an_approval_ends_the_turn(server: Server, workspace: Path) -> None:
    """As interrupted."""
    server.runs_a_command("never")
    async with await server.client.start_session(cwd=workspace, approval_policy="untrusted") as session:
        async with session.stream("a", approvals="stream") as turn:
            async for event in turn:
                if isinstance(event, ApprovalRequested):
                    event.ticket.cancel()
            with pytest.raises(TurnInterruptedError) as caught:
                await turn.finish()
        assert [command.status for command in caught.value.result.commands] == ["declined"]


async def test_a_turn_fails(server: Server, workspace: Path) -> None:
    """With the server's word for why; the next one runs."""
    server.fails()
    server.says("next")
    async with await server.client.start_session(cwd=workspace) as session:
        with pytest.raises(TurnFailedError) as caught:
            await session.run("a")
        assert caught.value.result.error is not None
        assert caught.value.result.error.kind == "usageLimitExceeded"
        assert (await session.run("b")).text == "next"


async def test_a_turn_is_lost_and_the_thread_goes_on(server: Server, workspace: Path) -> None:
    """On the next server."""
    gate = Gate()
    server.says("first")
    server.says_around("half", gate, "whole")
    async with await server.client.start_session(cwd=workspace) as session:
        await session.run("a")
        thread = session.thread_id
        async with session.stream("b") as turn:
            await gate.reached()
            server.dies()
            with pytest.raises(TurnLostError):
                await turn.finish()
        server.says("next")
        result = await session.run("c")
        assert (result.text, result.thread_id, server.client.runtime.generation) == ("next", thread, 1)


async def test_a_thread_is_resumed(server: Server, workspace: Path) -> None:
    """By its id; one that never ran cannot be."""
    server.says("first")
    async with await server.client.start_session(cwd=workspace) as session:
        await session.run("a")
    server.says("second")
    async with await server.client.resume_session(session.thread_id, cwd=workspace) as again:
        assert (await again.run("b")).text == "second"
    async with await server.client.start_session(cwd=workspace) as empty:
        with pytest.raises(RequestFailedError, match="no rollout found"):
            await server.client.resume_session(empty.thread_id, cwd=workspace)


async def test_a_turn_is_steered(server: Server, workspace: Path) -> None:
    """While it runs, and only then."""
    gate = Gate()
    server.says_around("one", gate, "two")
    server.says("and the answer to the remark")  # the real server asks its model again
    async with await server.client.start_session(cwd=workspace) as session, session.stream("a") as turn:
        await gate.reached()
        await turn.steer("and also")
        gate.open()
        await turn.finish()
        users = [item for item in turn.result.items if item.kind == "userMessage"]
        assert [item.data["content"][0]["text"] for item in users] == ["a", "and also"]
        with pytest.raises(RequestFailedError, match="no active turn to steer"):
            await turn.steer("too late")


@pytest.mark.parametrize("prompt", ["", " \n ", "x" * (1024 * 1024 + 1)])
async def test_an_impossible_prompt_is_not_sent(server: Server, workspace: Path, prompt: str) -> None:
    """It is told before a turn begins."""
    async with await server.client.start_session(cwd=workspace) as session:
        with pytest.raises(ConfigError, match="prompt"):
            await session.run(prompt)
        # What the server says to the same is why.
        if len(prompt) > 10:
            params = {"threadId": session.thread_id, "input": [{"type": "text", "text": prompt}]}
            with pytest.raises(RequestFailedError) as caught:
                await session.runtime.request("turn/start", params)
            assert caught.value.data["input_error_code"] == "input_too_large"  # type: ignore[index]


async def test_cancelling_the_caller_interrupts_the_turn(server: Server, workspace: Path) -> None:
    """Nothing runs on unattended."""
    gate = Gate()
    server.says_around("half", gate, "whole")
    async with await server.client.start_session(cwd=workspace) as session:
        running = asyncio.create_task(session.run("a"))
        await gate.reached()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        server.says("next")
        assert (await session.run("b")).text == "next"

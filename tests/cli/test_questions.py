"""What is asked is put so that a person sees all of it; and what cannot be asked is a no."""

from __future__ import annotations

import asyncio
import os
import pty
from typing import TYPE_CHECKING

import pytest

from codex_runtime.cli._questions import Keyboard, keyboard
from codex_runtime.testing import Call, Reply, Say, mcp_stub, write_codex_home
from tests.cli.command_line import Terminal, piped
from tests.cli.pictures import Picture

if TYPE_CHECKING:
    from pathlib import Path

    from codex_runtime.testing import MockModel

ASK_USER = Call(
    "request_user_input",
    {
        "questions": [
            {
                "id": "colour",
                "header": "Colour",
                "question": "Which colour?",
                "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
            }
        ]
    },
    call_id="q",
)


@pytest.fixture
def asking_home(codex_home: Path, model: MockModel) -> str:
    """A CODEX_HOME in which the model may ask its user, and has an MCP server."""
    features = {"default_mode_request_user_input": True}
    servers = {"stub": mcp_stub()}
    return str(write_codex_home(codex_home, model.base_url, model="gpt-5.5", features=features, mcp_servers=servers))


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("keys", "answer"), [("2\n", "Blue"), ("green\n", "green"), ("9\n", "9")])
async def test_a_tool_can_ask_its_user(
    model: MockModel, asking_home: str, workspace: Path, keys: str, answer: str
) -> None:
    """By the number of an option, or in words; the model is told."""
    model.enqueue(Reply(ASK_USER), Reply(Say("I see.")))
    async with Terminal("run", "do it", "--codex-home", asking_home, "--cwd", str(workspace)) as terminal:
        await terminal.see("Which colour?", "1 Red  warm", "2 Blue  cold", "number or text:")
        terminal.type(keys)
        await terminal.see("answered", "I see.")
        assert await terminal.end() == 0
    assert f'"{answer}"' in model.requests[1].outputs()["q"]


@pytest.mark.timeout(90)
async def test_a_tool_gets_no_answer_where_nobody_is(model: MockModel, asking_home: str, workspace: Path) -> None:
    """The turn goes on."""
    model.enqueue(Reply(ASK_USER), Reply(Say("I see.")))
    ended = await piped("run", "do it", "--codex-home", asking_home, "--cwd", str(workspace), "--approve", "all")
    assert (ended.code, ended.out) == (0, "I see.\n")
    assert "declined" in ended.err


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("keys", "outcome"), [("y\n", "accepted"), ("n\n", "declined")])
async def test_a_tool_of_a_server_needs_leave(
    model: MockModel, asking_home: str, workspace: Path, keys: str, outcome: str
) -> None:
    """The consent is asked; a form that the server then sends cannot be filled in here and is declined."""
    model.enqueue(Reply(Call("ask", {}, namespace="mcp__stub", call_id="t")), Reply(Say("I see.")))
    async with Terminal("run", "do it", "--codex-home", asking_home, "--cwd", str(workspace)) as terminal:
        await terminal.see("let a tool of the MCP server stub run?", "tool: stub/ask", "[a]lways in this session")
        terminal.type(keys)
        await terminal.see(outcome, "I see.")
        assert await terminal.end() == 0
        assert ("this cannot be answered in a terminal" in terminal.text) is (outcome == "accepted")


async def test_what_was_typed_too_early_is_no_answer() -> None:
    """Before a question was seen, nothing can be meant for it."""
    ours, theirs = pty.openpty()
    try:
        keys = Keyboard(theirs)
        os.write(ours, b"y\n")
        reading = asyncio.create_task(keys.read_line())
        assert await reading == "y\n"
        os.write(ours, b"y\n")
        keys.forget()
        os.write(ours, b"n\n")
        assert await keys.read_line() == "n\n"
    finally:
        os.close(theirs)
        os.close(ours)


def test_a_screen_in_a_file_has_no_keyboard() -> None:
    """Nobody sees the question there."""
    with keyboard(Picture(terminal=False).screen) as keys:
        assert keys is None
    with keyboard(None) as keys:
        assert keys is None

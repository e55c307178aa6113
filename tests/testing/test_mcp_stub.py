"""The MCP server to test with: alone on its pipes, and behind the real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.testing import _mcp_stub
from codex_runtime.testing._codex_home import mcp_stub, write_codex_home
from codex_runtime.testing._mock_model import MockModel
from codex_runtime.testing._reply import Call, Reply
from tests.testing.appserver_driver import AppServerDriver

if TYPE_CHECKING:
    from collections.abc import Sequence

ELICITATION = "mcpServer/elicitation/request"


def call(tool: str, arguments: object = None, **meta: object) -> dict[str, object]:
    """A call of a tool, as a client would make it."""
    return {"id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments, "_meta": meta}}


def talk(messages: Sequence[object]) -> list[dict[str, Any]]:
    """All that the program says when it hears these messages and then the end of its input."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(_mcp_stub.__file__))],
        input="".join(json.dumps(message) + "\n" for message in messages).encode(),
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_introduces_itself_and_its_tools() -> None:
    """Notifications are not answered, and what it does not know is refused."""
    hello, tools, pong, unknown = talk(
        [
            {"id": 1, "method": "initialize", "params": {"protocolVersion": "2099-01-01"}},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/list"},
            {"id": 3, "method": "ping"},
            {"id": 4, "method": "resources/list"},
        ]
    )
    assert hello["result"]["protocolVersion"] == "2099-01-01"
    assert [tool["name"] for tool in tools["result"]["tools"]] == ["echo", "ask", "ask_url", "slow", "look"]
    assert [tool["name"] for tool in tools["result"]["tools"] if "annotations" in tool] == ["look"]
    assert pong == {"jsonrpc": "2.0", "id": 3, "result": {}}
    assert unknown["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("tool", "arguments", "text", "is_error"),
    [
        ("echo", {"text": "é"}, "é", False),
        ("look", None, "nothing was changed", False),
        ("slow", {"seconds": 0}, "took 0 s", False),
        ("slow", {"seconds": "long"}, "could not convert", True),
        ("dance", None, "no such tool: dance", True),
    ],
)
def test_a_tool_gives_back_text(tool: str, arguments: object, text: str, *, is_error: bool) -> None:
    """Also when it fails, which does not end the program."""
    answer, again = talk([call(tool, arguments), call("echo", {"text": "still here"})])
    assert text in answer["result"]["content"][0]["text"]
    assert answer["result"]["isError"] is is_error
    assert again["result"]["content"][0]["text"] == "still here"


def test_progress_is_told_to_who_wants_it() -> None:
    """Four steps, under the token that the client chose."""
    *steps, answer = talk([call("slow", {"seconds": 0}, progressToken="p")])
    assert [(step["method"], step["params"]["progressToken"]) for step in steps] == [
        ("notifications/progress", "p")
    ] * 4
    assert [step["params"]["progress"] for step in steps] == [1, 2, 3, 4]
    assert "result" in answer


@pytest.mark.parametrize(("tool", "sign"), [("ask", "requestedSchema"), ("ask_url", "url")])
def test_a_question_is_asked_before_the_answer(tool: str, sign: str) -> None:
    """What the user said is the text of the tool."""
    question, answer = talk([call(tool), {"id": "stub-question", "result": {"action": "decline"}}])
    assert question["method"] == "elicitation/create"
    assert sign in question["params"]
    assert json.loads(answer["result"]["content"][0]["text"]) == {"action": "decline"}


def test_it_ends_when_nobody_is_left_to_answer() -> None:
    """The question stays without an answer, and the program ends well."""
    (question,) = talk([call("ask")])
    assert question["method"] == "elicitation/create"


async def test_the_real_server_uses_its_tools(tmp_path: Path) -> None:
    """A form, a page and progress go through approval; a tool that only reads does not."""
    async with MockModel() as model:
        home = write_codex_home(
            tmp_path / "home", model.base_url, approval_policy="on-request", mcp_servers={"stub": mcp_stub()}
        )
        answer = {"action": "accept", "content": {"name": "Ann"}}
        async with AppServerDriver(home, tmp_path, answers={ELICITATION: answer}) as server:
            model.enqueue(
                Reply(
                    Call("look", namespace="mcp__stub", call_id="look"),
                    Call("ask", namespace="mcp__stub", call_id="ask"),
                ),
                Reply(
                    Call("ask_url", namespace="mcp__stub", call_id="page"),
                    Call("slow", {"seconds": 0.1}, namespace="mcp__stub", call_id="slow"),
                ),
                "Done.",
            )
            turn = await server.run_turn(await server.start_thread())
    assert turn["status"] == "completed"
    outputs = model.requests[-1].outputs()
    assert "nothing was changed" in outputs["look"]
    assert '"name": "Ann"' in outputs["ask"]
    assert '"accept"' in outputs["page"]
    assert "took 0.1 s" in outputs["slow"]
    asked = [(params["mode"], params["message"].partition(" ")[0]) for params in server.told(ELICITATION)]
    assert sorted(asked) == [("form", "Allow")] * 3 + [("form", "Who"), ("url", "Please")]
    assert "mcp__stub.echo" in model.requests[0].tools

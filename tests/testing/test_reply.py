"""Replies as values, and what the real server makes of each part."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.testing._codex_home import write_codex_home
from codex_runtime.testing._gate import Gate
from codex_runtime.testing._mock_model import MockModel
from codex_runtime.testing._reply import (
    Call,
    Custom,
    Cut,
    Exec,
    Fail,
    Hold,
    Incomplete,
    Patch,
    Pause,
    RateLimits,
    Raw,
    Reply,
    Say,
    Stall,
    Think,
    Tokens,
)
from tests.testing.appserver_driver import AppServerDriver
from tests.testing.wire_client import all_ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_reply_is_a_value() -> None:
    """Equal parts make equal replies, and none can be changed."""
    reply = Reply(Think("hm"), Say("x"))
    assert reply == Reply(Think("hm"), Say("x"))
    assert reply != Reply(Say("x"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        reply.parts = ()  # type: ignore[misc]


def test_a_string_stands_for_a_reply_that_says_it() -> None:
    """And a reply stands for itself."""
    assert Reply.of("x") == Reply(Say("x"))
    reply = Reply(Exec("ls"))
    assert Reply.of(reply) is reply


@pytest.mark.parametrize("end", [Stall(), Cut(), Fail("x"), Incomplete()], ids=repr)
def test_nothing_follows_the_end_of_a_reply(end: Stall | Cut | Fail | Incomplete) -> None:
    """A part that would never be played is a mistake in the script."""
    Reply(Say("x"), end)
    with pytest.raises(ValueError, match="nothing can follow"):
        Reply(end, Say("x"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reply(Tokens(), Tokens()),
        lambda: Reply(*Reply.http_error(500).parts, Say("x")),
        lambda: Reply.http_error(200),
        lambda: Reply.http_error(500, headers={"a": "b\r\nc: d"}),
        lambda: Raw({"no": "type"}),
        lambda: Pause(-1),
        lambda: Say("x", pace=float("inf")),
        lambda: Think("x", pace=float("nan")),
        lambda: Say("x", chunks=-1),
        lambda: Say("x", chunks="x"),
        lambda: Say("x", chunks=["y"]),
    ],
)
def test_a_mistake_in_a_script_is_found_where_it_is_made(make: Callable[[], object]) -> None:
    """Not when the reply is played."""
    with pytest.raises(ValueError, match=r"\w"):
        make()


def test_only_parts_make_a_reply() -> None:
    """A string among parts could mean anything, so it is refused."""
    with pytest.raises(TypeError, match="not a part of a reply: 'x'"):
        Reply("x")  # type: ignore[arg-type]


# --- against the real server ------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(
    tmp_path: Path, *, answers: Mapping[str, object] | None = None, **settings: Any
) -> AsyncIterator[tuple[MockModel, AppServerDriver]]:
    """A mock model and a real server that uses it, in an empty working directory."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    async with MockModel() as model:
        home = write_codex_home(tmp_path / "home", model.base_url, **settings)
        async with AppServerDriver(home, workspace, answers=answers) as server:
            yield model, server


async def test_the_server_hears_reasoning_text_tokens_and_limits(tmp_path: Path) -> None:
    """Everything in a plain answer reaches the client of the server."""
    async with running(tmp_path) as (model, server):
        model.enqueue(
            Reply(
                Think("Short look.", raw="Very long look."),
                Say("Hello there, world!", phase="final_answer"),
                Tokens(input=100, output=20, cached=90, reasoning=5),
                RateLimits(primary_used=87, primary_resets_at=1_900_000_000, secondary_used=12),
            )
        )
        thread = await server.start_thread()
        turn = await server.run_turn(thread, "Greet me.")
    assert turn["status"] == "completed"
    assert turn["items"][-1]["text"] == "Hello there, world!"
    assert turn["items"][-1]["phase"] == "final_answer"
    assert [told["delta"] for told in server.told("item/agentMessage/delta")] == ["Hello ", "there, ", "world!"]
    assert [told["delta"] for told in server.told("item/reasoning/summaryTextDelta")] == ["Short ", "look."]
    assert "".join(told["delta"] for told in server.told("item/reasoning/textDelta")) == "Very long look."
    used = server.told("thread/tokenUsage/updated")[-1]["tokenUsage"]["last"]
    assert (used["inputTokens"], used["outputTokens"]) == (100, 20)
    assert (used["cachedInputTokens"], used["reasoningOutputTokens"]) == (90, 5)
    limits = server.told("account/rateLimits/updated")[-1]["rateLimits"]
    assert limits["primary"] == {"usedPercent": 87, "windowDurationMins": 300, "resetsAt": 1_900_000_000}
    assert limits["secondary"]["usedPercent"] == 12
    (request,) = model.requests
    assert (request.thread_id, request.model, request.prompt) == (thread, "mock-model", "Greet me.")
    assert "exec_command" in request.tools


async def test_the_server_streams_as_many_pieces_as_were_asked_for(tmp_path: Path) -> None:
    """Each piece is one notification; with none there is only the finished message."""
    async with running(tmp_path) as (model, server):
        model.enqueue(Reply(Say("x" * 500, chunks=250)))
        thread = await server.start_thread()
        await server.run_turn(thread)
        assert len(server.told("item/agentMessage/delta")) == 250
        model.enqueue(Reply(Say("whole", chunks=0)))
        assert (await server.run_turn(thread))["items"][-1]["text"] == "whole"
        assert len(server.told("item/agentMessage/delta")) == 250


async def test_the_server_runs_a_command(tmp_path: Path) -> None:
    """The command's output comes back to the model under the chosen call id."""
    async with running(tmp_path, approval_policy="never", sandbox="danger-full-access") as (model, server):
        model.enqueue(Reply(Say("Running."), Exec("echo $((6 * 7))", call_id="sum")), "Done.")
        turn = await server.run_turn(await server.start_thread())
    assert turn["items"][-1]["text"] == "Done."
    (command,) = server.items("commandExecution")
    assert (command["id"], command["exitCode"], command["aggregatedOutput"]) == ("sum", 0, "42\n")
    assert "42" in model.requests[1].outputs()["sum"]


async def test_the_server_asks_before_a_command_leaves_the_sandbox(tmp_path: Path) -> None:
    """The justification is the question that the user sees; a refusal is told to the model."""
    method = "item/commandExecution/requestApproval"
    async with running(
        tmp_path, answers={method: {"decision": "decline"}}, approval_policy="on-request", sandbox="read-only"
    ) as (model, server):
        model.enqueue(Reply(Exec("touch here", escalate=True, justification="May I?", call_id="c")), "Then not.")
        turn = await server.run_turn(await server.start_thread())
    assert turn["status"] == "completed"
    assert [params["reason"] for params in server.told(method)] == ["May I?"]
    assert "reject" in model.requests[1].outputs()["c"]
    assert not (tmp_path / "workspace" / "here").exists()


async def test_the_server_applies_a_patch(tmp_path: Path) -> None:
    """With a model that has the tool."""
    async with running(tmp_path, model="gpt-5.5", approval_policy="never", sandbox="danger-full-access") as (
        model,
        server,
    ):
        model.enqueue(
            Reply(Patch("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch\n", call_id="p")), "Done."
        )
        turn = await server.run_turn(await server.start_thread())
    assert turn["status"] == "completed"
    assert (tmp_path / "workspace" / "a.txt").read_text() == "hello\n"
    assert [change["id"] for change in server.items("fileChange")] == ["p"]
    assert "apply_patch" in model.requests[0].tools


async def test_the_server_runs_code_of_a_model_in_code_mode(tmp_path: Path) -> None:
    """A command inside the code is an item of its own, and the code's text goes to the model."""
    async with running(tmp_path, model="gpt-6.1-sol", sandbox="danger-full-access") as (model, server):
        code = 'const ran = await tools.exec_command({cmd: "echo from-code"}); text("It said " + ran.output)'
        model.enqueue(Reply(Custom("exec", code, call_id="js")), "Done.")
        turn = await server.run_turn(await server.start_thread())
    assert turn["items"][-1]["text"] == "Done."
    assert [command["aggregatedOutput"] for command in server.items("commandExecution")] == ["from-code\n"]
    assert "It said from-code" in model.requests[1].outputs()["js"]
    assert "functions.exec" in model.requests[0].tools


async def test_the_server_tells_the_model_about_calls_that_make_no_sense(tmp_path: Path) -> None:
    """A tool that does not exist, and arguments that are not JSON; both in one reply."""
    async with running(tmp_path) as (model, server):
        model.enqueue(Reply(Call("no_such_tool", call_id="a"), Call("exec_command", "{bad", call_id="b")), "Sorry.")
        turn = await server.run_turn(await server.start_thread())
    assert turn["status"] == "completed"
    outputs = model.requests[1].outputs()
    assert outputs["a"] == "unsupported call: no_such_tool"
    assert "failed to parse function arguments" in outputs["b"]


async def test_a_gate_holds_a_turn_in_the_middle_of_a_sentence(tmp_path: Path) -> None:
    """What was said before has reached the client, and the rest follows when the gate is open."""
    gate = Gate()
    async with running(tmp_path) as (model, server):
        model.enqueue(Reply(Say("one "), Hold(gate), Say("two")))
        turn = await server.start_turn(await server.start_thread())
        await gate.reached()
        await server.read_until(lambda message: message.get("params", {}).get("delta") == "one ")
        assert not server.told("turn/completed")
        gate.open()
        assert (await server.finish_turn(turn))["status"] == "completed"
        assert [item["text"] for item in server.items("agentMessage")] == ["one ", "two"]


@pytest.mark.parametrize("wait", [Stall(), Hold(Gate()), Pause(1000)], ids=["stall", "hold", "pause"])
async def test_an_interrupted_turn_ends_its_stream(tmp_path: Path, wait: Stall | Hold | Pause) -> None:
    """The server hangs up, and nothing of the stream is left in the mock model."""
    async with running(tmp_path) as (model, server):
        model.enqueue(Reply(Say("I am"), wait))
        before = asyncio.all_tasks()
        thread = await server.start_thread()
        turn = await server.start_turn(thread)
        await server.read_until(lambda message: message.get("method") == "item/agentMessage/delta")
        await server.call("turn/interrupt", {"threadId": thread, "turnId": turn})
        assert (await server.finish_turn(turn))["status"] == "interrupted"
        await all_ended(before)


FAILURES = [
    (Reply(Say("I was about"), Cut()), "other", "stream disconnected before completion"),
    (Reply(Say("I was about"), Cut(clean=True)), "other", "stream closed before response.completed"),
    (Reply(Fail("context_length_exceeded")), "contextWindowExceeded", "ran out of room"),
    (Reply(Fail("rate_limit_exceeded", "Not so fast.")), "rateLimitExceeded", "Not so fast."),
    (Reply(Say("a"), Incomplete()), "other", "max_output_tokens"),
    (Reply.http_error(400, "no such thing"), "other", "no such thing"),
    (
        Reply.http_error(401),
        {"httpConnectionFailed": {"httpStatusCode": 401}},
        "The mock model was told to answer 401.",
    ),
    (Reply.http_error(429), {"responseTooManyFailedAttempts": {"httpStatusCode": 429}}, "429"),
    (Reply.http_error(500), "internalServerError", "high demand"),
    (Reply.http_error(503, {"error": {"code": "server_is_overloaded"}}), "serverOverloaded", "at capacity"),
    (Reply.usage_limit(limits=RateLimits(primary_used=100)), "usageLimitExceeded", "usage limit"),
]


async def test_the_server_tells_the_ways_to_fail_apart(tmp_path: Path) -> None:
    """Each scripted failure ends its turn, with the error that the server has for it."""
    async with running(tmp_path) as (model, server):
        for reply, info, text in FAILURES:
            model.enqueue(reply)
            turn = await server.run_turn(await server.start_thread())
            assert (turn["status"], turn["error"]["codexErrorInfo"]) == ("failed", info), reply
            assert text in turn["error"]["message"], reply
        limits = [told["rateLimits"]["primary"] for told in server.told("account/rateLimits/updated")]
    assert 100 in [limit["usedPercent"] for limit in limits if limit]
    assert len(model.requests) == len(FAILURES)


async def test_the_server_steps_over_garbage_in_the_stream(tmp_path: Path) -> None:
    """A raw part that means nothing does no harm, and a raw event is heard like any other."""
    item = {"type": "message", "role": "assistant", "id": "mine", "content": [{"type": "output_text", "text": "raw"}]}
    async with running(tmp_path) as (model, server):
        model.enqueue(Reply(Raw("data: nonsense\n\n"), Raw({"type": "response.output_item.done", "item": item})))
        turn = await server.run_turn(await server.start_thread())
    assert turn["status"] == "completed"
    assert [(item["id"], item["text"]) for item in turn["items"]] == [("mine", "raw")]

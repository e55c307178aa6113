"""S1, S2, S4, S19 on the real server: what nobody allowed does not happen, whatever the model tries."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.errors import PermissionDeniedError
from codex_runtime.hooks import Hook, HookMatcher
from codex_runtime.runtime import Decision
from codex_runtime.testing import Call, Exec, Patch, Reply, mcp_stub
from tests.real.rig import Place, next_ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from codex_runtime import Client

PATCH = "*** Begin Patch\n*** Add File: pwned\n+x\n*** End Patch\n"
QUESTION = {"id": "q", "header": "Q", "question": "Sure?", "options": [{"label": "Yes", "description": "y"}]}
RIGHTS = {"permissions": {"network": {"enabled": True}, "file_system": {"write": ["/"]}}, "reason": "trust me"}


@pytest.fixture
def place(codex_binary: Path, codex_home: Path, workspace: Path) -> Place:
    """A binary, an empty home and an empty folder to work in."""
    return Place(codex_binary, codex_home, workspace)


async def broken(_: object) -> None:
    """Fail."""
    raise ZeroDivisionError


def tries(place: Place) -> list[Reply | str]:
    """All that a model can try which makes the server ask, one after the other in one turn."""
    outside = place.workspace.parent / "pwned"
    return [
        Reply(Exec(f"touch {outside}", escalate=True, justification="trust me")),
        Reply(Exec("touch pwned")),
        Reply(Patch(PATCH)),
        Reply(Call("request_permissions", RIGHTS)),
        Reply(Call("request_user_input", {"questions": [QUESTION]})),
        Reply(Call("ask", {}, namespace="mcp__stub")),
        "done",
    ]


FEATURES = {"default_mode_request_user_input": True, "request_permissions_tool": True}


@pytest.mark.parametrize("who", ["nobody", "a broken handler", "a broken hook before a yes to everything"])
async def test_a_model_gets_nothing_from_those_who_do_not_answer(place: Place, who: str) -> None:
    """Commands, patches, rights, questions and tools of others: each is asked for, and none is given."""
    kept: list[Decision] = []
    options: dict[str, Any] = {"approvals": {"nobody": "decline", "a broken handler": broken}.get(who, "accept")}
    if options["approvals"] == "accept":
        every = HookMatcher(phases=("pre_tool_use", "user_input", "server_request"))
        options["hooks"] = [Hook("broken", broken, when=every)]
    else:
        options["approval_policy"] = "untrusted"
    home = {"features": FEATURES, "mcp_servers": {"stub": mcp_stub()}, "model": "gpt-5.5"}
    async with place.client(*tries(place), config={"on_decision": kept.append}, **home) as (client, model):
        result = await client.run("do it", cwd=place.workspace, sandbox="workspace-write", **options)
        assert len(model.requests) == len(tries(place))
    assert result.text == "done"
    assert {decision.outcome for decision in kept} == {"declined"}
    asked = {decision.what for decision in kept}
    assert {"item/commandExecution/requestApproval", "item/fileChange/requestApproval"} <= asked
    assert len(asked) >= 4, asked
    assert not (place.workspace / "pwned").exists()
    assert not (place.workspace.parent / "pwned").exists()


async def test_a_death_over_an_open_question_is_no_yes(place: Place) -> None:
    """What was asked is not done by the next server either, which is told nothing."""
    async with (
        place.client(Reply(Exec("touch pwned")), "done") as (client, _),
        await client.start_session(cwd=place.workspace, sandbox="workspace-write") as session,
    ):
        async with session.stream("x", approvals="stream", approval_policy="untrusted", on_crash="lose") as turn:
            ticket = await next_ticket(turn)
            assert client.runtime.pid is not None
            os.kill(client.runtime.pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                while not ticket.is_settled:
                    await asyncio.sleep(0)
            assert ticket.outcome == "withdrawn"
            await client.runtime.wait_ready()
        assert client.runtime.tickets == ()
    assert not (place.workspace / "pwned").exists()


# -- S4: the gate stands where the server would let out -----------------------------------------------------------------

WAYS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"runtimeWorkspaceRoots": ["OUT"]}),
    ({}, {"environments": [{"environmentId": "local", "cwd": "WS", "runtimeWorkspaceRoots": ["OUT"]}]}),
    ({}, {"sandboxPolicy": {"type": "workspaceWrite", "writableRoots": ["OUT"]}}),
    ({"config": {"sandbox_workspace_write": {"writable_roots": ["OUT"]}}}, {}),
]


@pytest.fixture
async def client(place: Place) -> AsyncIterator[Client]:
    """A client of a real server whose model touches a file outside of the workspace in each turn."""
    outside = place.workspace.parent / "outside"
    outside.mkdir()
    replies: list[Reply | str] = []
    for _ in WAYS:
        replies += [Reply(Exec(f"touch {outside}/pwned")), "done"]
    async with place.client(*replies) as (client, _):
        yield client


def filled(place: Place, params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the places in them."""
    told = json.dumps(params).replace("OUT", str(place.workspace.parent / "outside"))
    filled: dict[str, Any] = json.loads(told.replace("WS", str(place.workspace)))
    return filled


@pytest.mark.timeout(90)
async def test_each_way_to_write_elsewhere_takes_the_second_word_and_works_with_it(
    place: Place, client: Client
) -> None:
    """The temporary folder may be written in any case, so it is taken out of the sandbox first."""
    runtime, pwned = client.runtime, place.workspace.parent / "outside" / "pwned"
    narrow = {"sandbox_workspace_write.exclude_slash_tmp": True, "sandbox_workspace_write.exclude_tmpdir_env_var": True}
    word = {"allow_full_access": True}
    for start, turn in WAYS:
        more = filled(place, start)
        settings = {**narrow, **more.pop("config", {})}
        begin = {"cwd": str(place.workspace), "sandbox": "workspace-write", "approvalPolicy": "never", **more}
        begin["config"] = settings
        if start:
            with pytest.raises(PermissionDeniedError, match="thread/start"):
                await runtime.request("thread/start", begin)
        thread = (await runtime.request("thread/start", begin, **word))["thread"]["id"]
        go = {"threadId": thread, "input": [{"type": "text", "text": "go"}], **filled(place, turn)}
        if turn:
            with pytest.raises(PermissionDeniedError, match="turn/start"):
                await runtime.request("turn/start", go)
        with runtime.subscribe(thread=thread, methods=["turn/completed"]) as ends:
            await runtime.request("turn/start", go, **word)
            await anext(aiter(ends))
        assert pwned.exists(), (start, turn)
        pwned.unlink()


# -- S19 ---------------------------------------------------------------------------------------------------------------


async def test_a_command_of_the_agent_sees_what_was_named_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hands its environment on to every command, whose output goes to the model."""
    for name in ("DATABASE_URL", "MY_SERVICE_PASSWORD", "DEPLOY_KEY"):
        monkeypatch.setenv(name, "canary")
    config = {"inherit_env": ("DEPLOY_KEY",)}
    async with place.client(Reply(Exec("env")), "done", config=config) as (client, model):
        result = await client.run("do it", cwd=place.workspace)
        (command,) = result.commands
        assert [line for line in command.output.splitlines() if "canary" in line] == ["DEPLOY_KEY=canary"]
        assert "PATH=" in command.output
        assert "DATABASE_URL" not in str([request.json for request in model.requests])

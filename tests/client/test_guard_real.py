"""Hooks against the real `codex app-server`: it asks when it should, and does what hooks say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import ApprovalRequested, Client, RuntimeConfig
from codex_runtime.hooks import Ask, Deny, Hook, HookContext, HookMatcher, Policy, Rule
from codex_runtime.runtime import Decision
from codex_runtime.testing import Exec, MockModel, Reply, write_codex_home
from codex_runtime.testing import Patch as Edit

if TYPE_CHECKING:
    from pathlib import Path

POLICY = Policy(
    allow=(Rule(command=("touch",)), Rule(path="**")), deny=(Rule(command=("touch", "secret")),), default="deny"
)


def add(path: str) -> Edit:
    """A patch that adds one file."""
    return Edit(f"*** Begin Patch\n*** Add File: {path}\n+hello\n*** End Patch\n")


def files_in(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.timeout(60)
async def test_the_real_server_does_what_a_policy_says(codex_binary: Path, codex_home: Path, workspace: Path) -> None:
    """Two commands and two edits: what is allowed is done, what is denied is not, and each is on record."""
    kept: list[Decision] = []
    ended: list[tuple[Any, Any]] = []
    watch = Hook("watch", lambda c: ended.append((c.tool.name, c.status)), when=HookMatcher(phases=("post_tool_use",)))
    steps = [Exec("touch fine"), Exec("touch secret"), Exec("ls; touch list"), add("inside.txt"), add("../outside.txt")]
    async with MockModel(*(Reply(step) for step in steps), "done") as model, asyncio.timeout(50):
        home = write_codex_home(codex_home, model.base_url, model="gpt-5.5")
        settings = RuntimeConfig(binary=codex_binary, codex_home=home, on_decision=kept.append)
        async with Client(settings, hooks=(POLICY, watch)) as client:
            result = await client.run("go", cwd=workspace, sandbox="workspace-write")
    assert result.text == "done"
    assert files_in(workspace) == ["fine", "inside.txt"]
    assert not (workspace.parent / "outside.txt").exists()
    assert [(each.by, each.outcome) for each in kept] == [
        ("policy", "accepted"),
        ("policy", "declined"),
        ("policy", "declined"),
        ("policy", "accepted"),
        ("policy", "declined"),
    ]
    assert ended == [
        ("shell", "completed"),
        ("shell", "declined"),
        ("shell", "declined"),
        ("apply_patch", "completed"),
        ("apply_patch", "declined"),
    ]


@pytest.mark.timeout(60)
async def test_a_hook_of_a_single_run_makes_the_real_server_ask(
    codex_binary: Path, codex_home: Path, workspace: Path
) -> None:
    """The thread was told to ask nobody; the turn with the hook asks, the next one does not."""
    told: list[HookContext] = []

    def deny(context: HookContext) -> Deny:
        told.append(context)
        return Deny("no")

    hook = Hook("no", deny, when=HookMatcher(phases=("pre_tool_use",)))
    replies = (Reply(Exec("touch one")), "done", Reply(Exec("touch two")), "done")
    async with MockModel(*replies) as model, asyncio.timeout(50):
        home = write_codex_home(codex_home, model.base_url, model="gpt-5.5")
        async with (
            Client(RuntimeConfig(binary=codex_binary, codex_home=home)) as client,
            await client.start_session(cwd=workspace, sandbox="workspace-write") as session,
        ):
            await session.run("first", hooks=(hook,))
            await session.run("second")
    assert files_in(workspace) == ["two"]
    assert [context.tool and context.tool.argv for context in told] == [("touch", "one")]
    assert told[0].tool is not None
    assert told[0].tool.cwd == str(workspace)


@pytest.mark.timeout(60)
async def test_the_real_server_does_not_say_that_a_command_will_leave_the_sandbox(
    codex_binary: Path, codex_home: Path, workspace: Path
) -> None:
    """Why a policy must only allow what may run outside of it: without a question of the model, nothing tells."""
    told: list[HookContext] = []
    watch = Hook("watch", told.append, when=HookMatcher(phases=("pre_tool_use",)))
    escape = Reply(Exec("touch ../escaped", escalate=True))
    question = Reply(Exec("touch ../asked", escalate=True, justification="May I?"))
    async with MockModel(escape, question, "done") as model, asyncio.timeout(50):
        home = write_codex_home(codex_home, model.base_url, model="gpt-5.5")
        async with Client(RuntimeConfig(binary=codex_binary, codex_home=home), hooks=(watch, POLICY)) as client:
            await client.run("go", cwd=workspace, sandbox="read-only")
    assert [context.tool and context.tool.is_escalated for context in told] == [False, True]
    assert (workspace.parent / "escaped").exists()
    assert not (workspace.parent / "asked").exists()


@pytest.mark.timeout(60)
async def test_what_a_hook_leaves_open_goes_to_a_reader_or_to_whoever_iterates(
    codex_binary: Path, codex_home: Path, workspace: Path
) -> None:
    """A hook that says *ask* takes nothing away from those who are asked next."""
    kept: list[Decision] = []
    asks = Hook("asks", lambda _: Ask("somebody else"), when=HookMatcher(phases=("pre_tool_use",)))
    turns = Reply(Exec("touch one")), "done", Reply(Exec("touch two")), "done"
    async with MockModel(*turns) as model, asyncio.timeout(50):
        home = write_codex_home(codex_home, model.base_url)
        settings = RuntimeConfig(binary=codex_binary, codex_home=home, on_decision=kept.append)
        async with (
            Client(settings, hooks=(asks,)) as client,
            await client.start_session(cwd=workspace, sandbox="workspace-write") as session,
        ):
            async with session.stream("go", approvals="stream") as turn:
                async for event in turn:
                    if isinstance(event, ApprovalRequested):
                        event.ticket.accept()
            assert files_in(workspace) == ["one"]

            async def answer() -> None:
                async for ticket in client.runtime.server_requests():
                    ticket.accept()

            answering = asyncio.create_task(answer())
            await session.run("and again")
            answering.cancel()
            await asyncio.wait([answering])
    assert files_in(workspace) == ["one", "two"]
    assert [(each.decider, each.outcome) for each in kept] == [("reader", "accepted"), ("reader", "accepted")]

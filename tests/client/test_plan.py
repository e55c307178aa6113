"""Hooks before and after sessions, runs and turns: their order, what they change, and what they deny."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import ConfigError, File, RequestFailedError
from codex_runtime.errors import HookBlockedError
from codex_runtime.hooks import (
    Deny,
    Hook,
    HookContext,
    HookMatcher,
    Patch,
    Phase,
)
from codex_runtime.testing import (
    FakeAppServer,
    Refusal,
)
from tests.client.hooked import gate, guarded

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_phases_of_a_session_and_its_runs_come_in_order() -> None:
    """Before and after a session starts, a run, and a turn in it; a stream is no run."""
    told: list[HookContext] = []
    fake = FakeAppServer("one", "two")
    async with guarded(fake, Hook("watch", told.append)) as client, await client.start_session(model="m") as session:
        await session.run("first")
        async with session.stream("second") as turn:
            await turn.finish()
    assert [context.phase for context in told] == [
        *("pre_session_start", "post_session_start"),
        *("pre_run", "pre_turn", "post_turn", "post_run"),
        *("pre_turn", "post_turn"),
    ]
    start, run = told[1], told[5]
    assert (start.thread_id, start.status, start.model) == (session.thread_id, "completed", "m")
    assert (run.thread_id, run.status, run.text, run.prompt) == (session.thread_id, "completed", "one", "first")
    assert told[2].turn_id is None
    assert run.turn_id is not None
    ids = [context.correlation_id for context in told]
    assert (len({*ids[:2]}), len({*ids[2:6]}), len({*ids})) == (1, 1, 3)
    assert all(context.cwd == session.cwd for context in told)


async def test_a_run_of_the_client_begins_before_its_session() -> None:
    """A model that a hook gives it reaches the thread and the turn."""
    told: list[str] = []
    fake = FakeAppServer("one")
    watch = Hook("watch", lambda context: told.append(context.phase))
    async with guarded(fake, watch, gate("model", Patch(model="m2", prompt="better"), "pre_run")) as client:
        await client.run("go")
    assert told == ["pre_run", "pre_session_start", "post_session_start", "pre_turn", "post_turn", "post_run"]
    assert fake.requests("thread/start")[0].params["model"] == "m2"
    turn = fake.requests("turn/start")[0].params
    assert (turn["model"], turn["input"]) == ("m2", [{"type": "text", "text": "better"}])


async def test_a_resumed_session_is_a_start_too() -> None:
    """Hooks are told of the thread before it is resumed."""
    told: list[HookContext] = []
    fake = FakeAppServer("one")
    watch = Hook("watch", told.append, when=HookMatcher(phases=("pre_session_start", "post_session_start")))
    async with guarded(fake) as client, await client.start_session() as session:
        await session.run("go")
        async with await client.resume_session(session.thread_id, hooks=(watch,)):
            pass
    assert [context.thread_id for context in told] == [session.thread_id] * 2


async def test_what_failed_is_told_as_an_error() -> None:
    """Hooks after something are called whatever came of it."""
    told: list[tuple[str, str | None]] = []
    fake = FakeAppServer()
    fake.on_request("turn/start", Refusal(-32600, "no"))
    watch = Hook("watch", lambda context: told.append((context.phase, context.status)))
    async with guarded(fake) as client, await client.start_session(hooks=(watch,)) as session:
        with pytest.raises(RequestFailedError):
            await session.run("go")
        fake.on_request("thread/start", Refusal(-32600, "no"))
        with pytest.raises(RequestFailedError):
            await client.start_session(hooks=(watch,))
    assert told[-6:] == [
        ("pre_run", None),
        ("pre_turn", None),
        ("post_turn", "error"),
        ("post_run", "error"),
        ("pre_session_start", None),
        ("post_session_start", "error"),
    ]


async def test_changes_reach_the_server(tmp_path: Path) -> None:
    """The text, the model and attachments; the session's come before those of the run, whose word is the last."""
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    fake = FakeAppServer("one")
    outer = gate("outer", Patch(prompt="outer", model="m1", add_attachments=(File("b.txt"),)), "pre_turn")
    inner = gate("inner", Patch(prompt="inner", metadata={"k": 1}), "pre_turn")
    after: list[HookContext] = []
    watch = Hook("watch", after.append, when=HookMatcher(phases=("post_turn",)))
    async with guarded(fake) as client, await client.start_session(cwd=tmp_path, hooks=(outer,)) as session:
        await session.run(["original", File("a.txt")], hooks=(inner, watch))
    turn = fake.requests("turn/start")[0].params
    assert (turn["model"], turn["input"][0]["text"]) == ("m1", "inner\n@a.txt\n@b.txt")
    assert (after[0].metadata, after[0].prompt, after[0].model) == ({"k": 1}, "inner", "m1")


async def test_an_attachment_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    """The run goes on; the report tells of each. Those of a program come as JSON."""
    (tmp_path / "here").touch()
    wrong = (File("nowhere"), {"type": "file"}, 7)
    right = (
        {"type": "file", "path": "here"},
        {"type": "image", "url": "data:,"},
        {"type": "local_image", "path": "here"},
        {"type": "skill", "name": "s", "path": "here"},
    )
    fake = FakeAppServer("one")
    hook = gate("add", Patch(add_attachments=(*wrong, *right)), "pre_turn")
    async with guarded(fake) as client, await client.start_session(cwd=tmp_path, hooks=(hook,)) as session:
        await session.run("go")
        report = session.hook_report
        assert report is not None
        assert [issue.kind for issue in report.issues] == ["validation"] * 3
    text, *others = fake.requests("turn/start")[0].params["input"]
    assert text["text"] == "go\n@here"
    assert [other["type"] for other in others] == ["image", "localImage", "skill"]


async def test_a_changed_prompt_is_checked_like_any_other() -> None:
    """A hook that leaves nothing of it is not overruled with the original."""
    fake = FakeAppServer()
    empty = gate("empty", Patch(prompt=""), "pre_turn")
    async with guarded(fake, empty) as client, await client.start_session() as session:
        with pytest.raises(ConfigError, match="must not be empty"):
            await session.run("secret")
    assert fake.requests("turn/start") == []


async def test_before_a_session_starts_only_the_model_can_be_changed() -> None:
    """The rest is two issues, and the model stays that of the session."""
    fake = FakeAppServer("one")
    hook = gate("start", Patch(model="m", prompt="p", add_attachments=(File("x"),)), "pre_session_start")
    async with guarded(fake, hook) as client, await client.start_session(model="other") as session:
        report = session.hook_report
        assert report is not None
        assert [issue.kind for issue in report.issues] == ["validation", "validation"]
        await session.run("go")
    assert fake.requests("thread/start")[0].params["model"] == "m"
    assert fake.requests("turn/start")[0].params["model"] == "m"


async def test_a_session_outlives_a_crash_while_hooks_after_its_start_run() -> None:
    """It is started afresh like any other."""
    fake = FakeAppServer("one")
    going, may_go = asyncio.Event(), asyncio.Event()

    async def wait(context: HookContext) -> None:
        going.set()
        await may_go.wait()

    hook = Hook("wait", wait, when=HookMatcher(phases=("post_session_start",)))
    async with guarded(fake, hook) as client:
        starting = asyncio.create_task(client.start_session())
        await going.wait()
        fake.die()
        await fake.wait_for("thread/start", 2)
        await client.runtime.wait_ready()
        may_go.set()
        async with await starting as session:
            assert (await session.run("go")).text == "one"


@pytest.mark.parametrize("door", ["start", "resume"])
async def test_a_session_is_closed_if_its_caller_goes_while_hooks_after_its_start_run(door: str) -> None:
    """Nobody else could do it."""
    fake = FakeAppServer("one")
    going = asyncio.Event()

    async def wait(context: HookContext) -> None:
        going.set()
        await asyncio.Event().wait()

    hook = Hook("wait", wait, when=HookMatcher(phases=("post_session_start",)))
    async with guarded(fake) as client, await client.start_session() as first:
        await first.run("go")
        start = client.start_session(hooks=[hook])
        resume = client.resume_session(first.thread_id, hooks=[hook])
        chosen, other = (start, resume) if door == "start" else (resume, start)
        other.close()
        starting = asyncio.create_task(chosen)
        await going.wait()
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        assert len(fake.requests("thread/unsubscribe")) == 1


async def test_a_denied_session_is_not_started() -> None:
    """Nothing is sent, nothing comes after, and the record has it."""
    fake, told, kept = FakeAppServer(), [], []
    watch = Hook("watch", lambda context: told.append(context.phase))
    async with guarded(fake, watch, on_decision=kept.append) as client:
        with pytest.raises(HookBlockedError, match="'no' denied it at pre_session_start: today"):
            await client.start_session(hooks=(gate("no", Deny("today"), "pre_session_start"),))
    assert fake.requests("thread/start") == []
    assert told == ["pre_session_start"]
    assert [(each.what, each.outcome, each.by) for each in kept] == [("pre_session_start", "blocked", "no")]


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("pre_run", [("pre_run", None)]),
        ("pre_turn", [("pre_run", None), ("pre_turn", None), ("post_run", "blocked")]),
    ],
)
async def test_a_denied_run_sends_nothing_and_spoils_nothing(phase: Phase, expected: list[Any]) -> None:
    """What had begun before is ended; the next run of the session is not concerned."""
    fake = FakeAppServer("one")
    told: list[tuple[str, str | None]] = []
    watch = Hook("watch", lambda context: told.append((context.phase, context.status)))
    async with guarded(fake, watch) as client, await client.start_session() as session:
        told.clear()
        with pytest.raises(HookBlockedError, match=f"'no' denied it at {phase}: today"):
            await session.run("go", hooks=(gate("no", Deny("today"), phase),))
        assert told == expected
        assert fake.requests("turn/start") == []
        assert session.turn is None
        assert (await session.run("again")).text == "one"

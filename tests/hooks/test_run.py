"""Hooks as they are called: on a thread or on the loop, in time, and at nobody's cost but their own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._io.clock import LoopClock
from codex_runtime.errors import ConfigError, HookBlockedError
from codex_runtime.hooks import (
    Allow,
    Ask,
    Deny,
    Hook,
    HookContext,
    HookIssue,
    HookMatcher,
    Patch,
    Phase,
    Policy,
    Rule,
    ToolUse,
)
from codex_runtime.hooks._run import Operation
from codex_runtime.runtime import Decision
from codex_runtime.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codex_runtime.hooks import AnyHook

GATES: tuple[Phase, ...] = ("pre_tool_use", "user_input", "server_request")


def operation(
    *hooks: AnyHook, clock: Any = None, tell: Callable[[Decision], object] | None = None, **known: object
) -> Operation:
    """An operation that these hooks watch."""
    return Operation(hooks, known, clock=clock or LoopClock(), tell=tell)


def saying(name: str, answer: Any, **when: Any) -> Hook:
    """A hook with one answer."""
    return Hook(name, lambda _: answer, when=HookMatcher(**when))


def at(phase: Phase, **known: Any) -> HookContext:
    """What is told at a phase."""
    return HookContext(phase=phase, **known)


def kinds(watched: Operation) -> list[tuple[str, str]]:
    """The issues of a report, in short."""
    return [(issue.hook, issue.kind) for issue in watched.report.issues]


# -- who is called, where and in which order ---------------------------------------------------------------------------


async def test_hooks_are_called_in_order_and_only_where_they_match() -> None:
    """One after the other; the outer ones first."""
    called: list[str] = []
    hooks = [Hook(name, lambda _, name=name: called.append(name)) for name in ("a", "b")]
    elsewhere = Hook("c", lambda _: called.append("c"), when=HookMatcher(phases=("pre_run",)))
    await operation(*hooks, elsewhere).after("post_turn")
    assert called == ["a", "b"]


async def test_a_plain_function_runs_on_a_thread_and_a_coroutine_function_on_the_loop() -> None:
    """A function may block; a coroutine function may use what belongs to the loop."""
    seen: dict[str, threading.Thread] = {}

    class Callable:
        async def __call__(self, context: HookContext) -> None:
            seen[context.phase + " object"] = threading.current_thread()

    async def on_the_loop(_: HookContext) -> None:
        seen["coroutine"] = threading.current_thread()

    def returning_one(_: HookContext) -> Any:
        seen["function"] = threading.current_thread()
        return on_the_loop(_)

    await operation(Hook("f", returning_one), Hook("o", Callable())).after("post_turn")
    here = threading.current_thread()
    assert seen["coroutine"] is seen["post_turn object"] is here
    assert seen["function"] is not here


async def test_the_same_hook_in_two_scopes_is_called_once() -> None:
    """And two hooks of one name are refused before anything happens."""
    called: list[str] = []
    hook = Hook("a", lambda _: called.append("a"))
    await operation(hook, hook).after("post_turn")
    assert called == ["a"]
    with pytest.raises(ConfigError, match="two different hooks"):
        operation(hook, saying("a", None))


async def test_what_a_hook_is_told_belongs_to_it() -> None:
    """It can change nothing for the next one; what is meant for the next one is metadata."""

    def spoil(context: HookContext) -> Patch:
        context.metadata["spoilt"] = True  # type: ignore[index]
        return Patch(metadata={"left": 1})

    told: list[HookContext] = []
    watched = operation(Hook("a", spoil), Hook("b", told.append), cwd="/w")
    await watched.before("pre_run")
    await watched.before("pre_turn")
    assert [dict(context.metadata) for context in told] == [{}, {"left": 1}]
    assert [context.phase for context in told] == ["pre_run", "pre_turn"]
    assert told[0].correlation_id == told[1].correlation_id != operation().base.correlation_id


# -- before something --------------------------------------------------------------------------------------------------


async def test_the_first_denial_stops_what_was_about_to_begin() -> None:
    """The error says who, when and why; hooks behind it are not called, and the record is told."""
    called: list[str] = []
    decisions: list[Decision] = []
    watched = operation(saying("no", Deny("not today")), Hook("b", lambda _: called.append("b")), tell=decisions.append)
    with pytest.raises(HookBlockedError, match="'no' denied it at pre_turn: not today") as caught:
        await watched.before("pre_turn")
    assert (caught.value.hook, caught.value.phase, caught.value.reason) == ("no", "pre_turn", "not today")
    assert called == []
    assert [(each.what, each.outcome, each.decider, each.by, each.reason) for each in decisions] == [
        ("pre_turn", "blocked", "hook", "no", "not today")
    ]


async def test_changes_of_several_hooks_are_one_change() -> None:
    """Later hooks win."""
    watched = operation(saying("a", Patch(prompt="a", model="m")), saying("b", Allow()), saying("c", Patch(prompt="c")))
    assert await watched.before("pre_run") == Patch(prompt="c", model="m")
    assert watched.report.is_clean


@pytest.mark.parametrize(
    "phase", ["pre_run", "pre_turn", "pre_session_start", "post_run", "post_turn", "post_tool_use"]
)
async def test_where_nobody_waits_a_failure_is_an_issue(phase: Phase) -> None:
    """The operation goes on; the report has the hook, the phase and what it said."""

    def fail(_: HookContext) -> None:
        raise OSError("broken")

    watched = operation(Hook("bad", fail), saying("odd", 7), saying("good", None))
    if phase.startswith("pre"):
        assert await watched.before(phase) == Patch()
    else:
        await watched.after(phase)
    assert watched.report.issues == (
        HookIssue("bad", phase, "execution", "broken"),
        HookIssue("odd", phase, "validation", "int is no answer of a hook"),
    )


# -- at a gate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "verdict", "hook"),
    [
        ([], None, None),
        ([None, None], None, None),
        ([None, Allow()], Allow(), "h1"),
        ([Allow("a"), Allow("b")], Allow("a"), "h0"),
        ([Allow(), Ask(), Allow()], Ask(), "h1"),
        ([Allow(), Deny("x"), Deny("y")], Deny("x"), "h1"),
        ([Ask(), Deny("x")], Deny("x"), "h1"),
    ],
)
async def test_the_strictest_answer_counts(answers: list[Any], verdict: Any, hook: str | None) -> None:
    """And the hook that gave it is named."""
    hooks = [saying(f"h{number}", answer) for number, answer in enumerate(answers)]
    said = await operation(*hooks).judge(at("pre_tool_use"))
    assert (said.verdict, said.hook) == (verdict, hook)


@pytest.mark.parametrize("phase", GATES)
async def test_a_hook_that_fails_at_a_gate_is_a_no(phase: Phase) -> None:
    """It raised, it answered nonsense, it cancelled itself: nobody gets a yes out of it, not even one before it."""

    def fail(_: HookContext) -> None:
        raise RuntimeError("broken")

    def stop(_: HookContext) -> None:
        raise StopIteration

    async def cancel(_: HookContext) -> None:
        raise asyncio.CancelledError

    for hook in (
        Hook("bad", fail),
        saying("bad", True),
        saying("bad", Patch()),
        Hook("bad", stop),
        Hook("bad", cancel),
    ):
        watched = operation(saying("yes", Allow()), hook)
        said = await watched.judge(at(phase))
        assert isinstance(said.verdict, Deny)
        assert "'bad' failed" in said.verdict.reason
        assert [issue.hook for issue in watched.report.issues] == ["bad"]


async def test_paths_are_resolved_before_hooks_look(tmp_path: Path) -> None:
    """Links and dots are followed, from the folder in which the tool works."""
    (tmp_path / "w").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "w" / "link").symlink_to(tmp_path / "outside")
    told: list[HookContext] = []
    use = ToolUse(kind="file_change", name="apply_patch", cwd=str(tmp_path / "w"), paths=("link/a", "sub/../../b", "c"))
    await operation(Hook("look", told.append)).judge(at("pre_tool_use", cwd=str(tmp_path / "w"), tool=use))
    assert told[0].tool is not None
    assert told[0].tool.paths == (f"{tmp_path}/outside/a", f"{tmp_path}/b", f"{tmp_path}/w/c")


async def test_a_policy_sees_through_links_and_dots(tmp_path: Path) -> None:
    """What looks as if it were inside of the workspace is judged by where it is."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "link").symlink_to(tmp_path)
    policy = Policy(allow=(Rule(path="**"),), default="deny")
    for path, verdict in (("a", Allow), ("sub/a", Allow), ("link/a", Deny), ("../a", Deny), ("link/w/a", Allow)):
        use = ToolUse(kind="file_change", name="apply_patch", paths=(str(tmp_path / "w" / path),))
        said = await operation(policy).judge(at("pre_tool_use", cwd=str(tmp_path / "w"), tool=use))
        assert isinstance(said.verdict, verdict), path


async def test_paths_that_cannot_be_resolved_are_a_no() -> None:
    """Nobody can judge what nobody can look at."""
    use = ToolUse(kind="file_change", name="apply_patch", paths=("/a\0b",))
    watched = operation(saying("yes", Allow()), cwd="/")
    assert isinstance((await watched.judge(at("pre_tool_use", tool=use))).verdict, Deny)
    assert kinds(watched) == [("", "internal")]


async def test_a_matcher_may_name_a_folder_by_a_link(tmp_path: Path) -> None:
    """Its author wrote what is seen; the tool is told where that is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    guard = saying("guard", Deny(), cwd=str(tmp_path / "link"))
    assert isinstance((await operation(guard).judge(at("pre_tool_use", cwd=str(tmp_path / "link")))).verdict, Deny)
    assert (await operation(guard).judge(at("pre_tool_use", cwd=str(tmp_path)))).verdict is None


# -- time --------------------------------------------------------------------------------------------------------------


async def test_a_hook_that_is_late_is_stopped_and_is_a_no() -> None:
    """A coroutine is cancelled at its own limit, to the second."""
    clock = ManualClock()
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: HookContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    watched = operation(Hook("slow", hang, timeout=3.0), clock=clock)
    judging = asyncio.get_running_loop().create_task(watched.judge(at("user_input")))
    async with asyncio.timeout(5):
        await started.wait()
        await clock.advance(2.9)
        assert not judging.done()
        await clock.advance(0.2)
        said = await judging
    assert said.verdict == Deny("the hook 'slow' failed: no answer within 3 s")
    assert kinds(watched) == [("slow", "timeout")]
    assert ended.is_set()


async def test_a_hook_that_fails_while_it_is_stopped_is_heard_no_more() -> None:
    """Its time was over before."""

    async def fail(_: HookContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("too late")

    watched = operation(Hook("slow", fail, timeout=0.01))
    assert isinstance((await watched.judge(at("pre_tool_use"))).verdict, Deny)
    assert kinds(watched) == [("slow", "timeout")]


async def test_a_function_that_is_late_is_left_behind() -> None:
    """A thread cannot be stopped; its answer, when it comes, is nobody's."""
    go = threading.Event()
    watched = operation(Hook("slow", lambda _: go.wait(5) and Allow(), timeout=0.05))
    said = await watched.judge(at("pre_tool_use"))
    assert isinstance(said.verdict, Deny)
    assert kinds(watched) == [("slow", "timeout")]
    go.set()


async def test_when_too_many_threads_hang_no_more_are_started() -> None:
    """Then hooks on threads fail at once, which at a gate is a no; those on the loop still run."""
    go = threading.Event()
    stuck = [Hook(f"stuck {number}", lambda _: go.wait(30), timeout=0.001) for number in range(80)]
    watched = operation(*stuck)
    await watched.after("post_turn")
    try:
        assert {kind for _, kind in kinds(watched)} == {"timeout", "internal"}
    finally:
        go.set()
    async with asyncio.timeout(5):
        while not isinstance((await operation(saying("yes", Allow())).judge(at("user_input"))).verdict, Allow):
            await asyncio.sleep(0)


async def test_whoever_is_cancelled_leaves_no_hook_running() -> None:
    """The hook in flight is cancelled with its caller."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: HookContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    judging = asyncio.get_running_loop().create_task(operation(Hook("slow", hang)).judge(at("pre_tool_use")))
    await started.wait()
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    assert ended.is_set()


# -- the record --------------------------------------------------------------------------------------------------------


async def test_a_record_keeper_that_fails_is_an_issue() -> None:
    """What it raises stops nothing."""

    def fail(_: Decision) -> None:
        raise OSError("disk full")

    watched = operation(saying("no", Deny()), tell=fail)
    with pytest.raises(HookBlockedError):
        await watched.before("pre_run")
    assert [issue.hook for issue in watched.report.issues] == ["on_decision"]


async def test_a_report_is_bounded() -> None:
    """A hook that always fails fills no memory."""
    watched = operation()
    for _ in range(1000):
        watched.issue("x", "pre_run", "execution", "again")
    assert len(watched.report.issues) == 256

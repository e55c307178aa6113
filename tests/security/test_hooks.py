"""S2, S28: a hook that fails is a no, whatever way it fails; and no text of a model gets anywhere near a shell by way of one."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime.hooks import Allow, Ask, Deny, Hook, HookContext, HookMatcher, Patch, ShellHook, ToolUse
from codex_runtime.testing import FakeAppServer, ManualClock
from tests.client.hooked import decisions, guarded, script
from tests.hooks.test_run import operation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BEFORE_TOOLS = HookMatcher(phases=("pre_tool_use",))
IDLE = HookContext(phase="pre_tool_use", tool=ToolUse(kind="command", name="shell", command="ls"))


class MyAllow(Allow):
    """A verdict of somebody's own making."""


class MyDeny(Deny):
    """Likewise."""


def dive(context: HookContext) -> Any:
    """Never come back up."""
    return dive(context)


async def dive_deeper(context: HookContext) -> Any:
    """Nor here."""
    return await dive_deeper(context)


def fail(_: HookContext) -> Any:
    """Raise."""
    raise ZeroDivisionError


def fail_later(_: HookContext) -> Any:
    """Return something that raises when it is awaited."""

    async def later() -> None:
        raise ZeroDivisionError

    return later()


def stop(_: HookContext) -> Any:
    """Raise what ends a generator."""
    raise StopIteration(Allow())


async def cancel(_: HookContext) -> Any:
    """Cancel itself."""
    raise asyncio.CancelledError


def exit_now(_: HookContext) -> Any:
    """End its own thread, and say nothing."""
    raise SystemExit(0)


async def hang(_: HookContext) -> Any:
    """Wait for ever, and after that say yes."""
    try:
        await asyncio.Event().wait()
    finally:
        return Allow()  # noqa: B012  # to be as bad as can be


async def a_generator(_: HookContext) -> Any:
    """Yield a yes."""
    yield Allow()


async def allow(_: HookContext) -> Allow:
    """Say yes to all."""
    return Allow()


def says(answer: Any) -> Callable[[HookContext], Any]:
    """Say this."""
    return lambda _: answer


BAD: dict[str, Any] = {
    **{name: function for name, function in list(globals().items()) if name in {"dive", "dive_deeper", "fail"}},
    "fail_later": fail_later,
    "stop": stop,
    "cancel": cancel,
    "a_generator": a_generator,
    "exit_now": exit_now,
    "hang": hang,
    **{
        f"says {answer!r:.30}": says(answer)
        for answer in (True, 1, "allow", "accept", {"decision": "allow"}, [Allow()])
    },
    "says the class": says(Allow),
    "says a patch": says(Patch(prompt="x")),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_hook_that_does_not_work_is_a_no_though_all_others_say_yes(name: str) -> None:
    """Before and behind it stand hooks that allow, and a profile that accepts everything."""
    fake, clock = FakeAppServer(script("ls")), ManualClock()
    hooks = [Hook("first", allow), Hook("bad", BAD[name], when=BEFORE_TOOLS), Hook("last", allow)]
    async with guarded(fake, *hooks, clock=clock) as client, await client.start_session() as session:
        async with session.stream("x", approvals="accept") as turn:
            finish = asyncio.ensure_future(turn.finish())
            while not fake.answers:
                await asyncio.sleep(0)
                if name == "hang" and any(work.get_name() == "hook bad" for work in asyncio.all_tasks()):
                    await clock.advance(1.0)
            await finish
        assert turn.hook_report is not None
        assert {issue.hook for issue in turn.hook_report.issues} == {"bad"}
    assert decisions(fake) == ["decline"]


async def test_a_yes_of_ones_own_making_is_none_stronger_than_a_no() -> None:
    """Verdicts may be subclassed; what they are is what counts, and the strictest wins."""
    for answers, expected in (
        ([MyAllow(), MyDeny("no")], MyDeny("no")),
        ([MyDeny("no"), Allow()], MyDeny("no")),
        ([MyAllow(), Ask()], Ask()),
        ([None, MyAllow()], MyAllow()),
    ):
        hooks = [Hook(f"h{number}", says(answer)) for number, answer in enumerate(answers)]
        assert (await operation(*hooks).judge(IDLE)).verdict == expected


async def test_a_hook_that_holds_the_loop_up_gains_nothing_by_it() -> None:
    """The yes that it gives in the end comes after the deadline of the request, and is none."""
    fake, clock = FakeAppServer(script("ls")), ManualClock()

    async def block(_: HookContext) -> Allow:
        clock.hold_up(120.0)  # as if it had computed for so long
        return Allow()

    options: dict[str, Any] = {"clock": clock, "server_request_deadline": 60.0}
    hook = Hook("slow", block, when=BEFORE_TOOLS)
    async with guarded(fake, hook, **options) as client, await client.start_session() as session:
        await session.run("x", approvals="accept", deadline=None)
    assert decisions(fake) == ["decline"]


async def test_a_hook_that_calls_back_is_a_no_and_not_a_knot() -> None:
    """The session is busy with the very turn that it is asked about."""
    fake = FakeAppServer(script("ls"))
    sessions: list[Any] = []

    async def again(_: HookContext) -> Any:
        await sessions[0].run("me too")
        return Allow()

    hook = Hook("again", again, when=BEFORE_TOOLS)
    async with guarded(fake, hook) as client, await client.start_session() as session:
        sessions.append(session)
        await session.run("x", approvals="accept")
    assert decisions(fake) == ["decline"]


async def test_what_a_hook_does_to_what_it_is_told_changes_nothing() -> None:
    """The next hook, and the answer, know the request as it came."""
    seen: list[Any] = []

    def bend(context: HookContext) -> None:
        context.params["command"] = "ls"
        context.metadata["x"] = 1  # type: ignore[index]

    def look(context: HookContext) -> Deny:
        seen.append((context.params["command"], dict(context.metadata)))
        return Deny("no")

    fake = FakeAppServer(script("rm -rf /"))
    hooks = Hook("bend", bend, when=BEFORE_TOOLS), Hook("look", look, when=BEFORE_TOOLS)
    async with guarded(fake, *hooks) as client, await client.start_session() as session:
        await session.run("x")
    assert [("rm -rf /" in command, metadata) for command, metadata in seen[-1:]] == [(True, {})]


# -- S28: programs -----------------------------------------------------------------------------------------------------

NASTY = (
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "&& touch pwned #",
    "| touch pwned",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "\n touch pwned\n",
    "\\'; touch pwned",
    "${IFS}touch${IFS}pwned",
    "<(touch pwned)",
    "> pwned",
    "--help; touch pwned",
    "\x1b]52;c;dG91Y2g=\x07",
    "%s%n {0} $1 !! ~ * ?",
    "\u2028touch pwned",
)


@pytest.mark.parametrize("text", [pytest.param(text, id=f"text {number}") for number, text in enumerate(NASTY)])
async def test_what_a_model_says_is_data_to_a_program_and_never_a_command(tmp_path: Path, text: str) -> None:
    """It comes as JSON on standard input: not in the words of the command line, not in a variable."""
    tool = ToolUse(kind="command", name=text, command=text, cwd=text, reason=text, arguments={text: text})
    context = HookContext(phase="pre_tool_use", tool=tool, prompt=text, item_id=text, metadata={"k": text})
    command = "cat > told.json; tr '\\0' '\\n' < /proc/self/environ > env; tr '\\0' '\\n' < /proc/$$/cmdline > words"
    assert await ShellHook("guard", command, cwd=str(tmp_path)).call(context) is None
    assert {entry.name for entry in os.scandir(tmp_path)} == {"env", "told.json", "words"}
    told = json.loads((tmp_path / "told.json").read_bytes())
    assert (told["tool"]["command"], told["prompt"], told["tool"]["arguments"]) == (text, text, {text: text})
    assert text not in (tmp_path / "env").read_text(errors="replace")
    assert text not in (tmp_path / "words").read_text(errors="replace")


async def test_a_program_that_talks_too_much_or_too_long_is_a_no(tmp_path: Path) -> None:
    """What it says without end is not kept without end, and nothing that it started is left."""
    for command, kind in (
        ("exec yes", "execution"),
        ('echo \'{"decision": "allow"}\'; yes | head -c 2000000', "execution"),
    ):
        watched = operation(Hook("yes", says(Allow())), ShellHook("guard", command, cwd=str(tmp_path)))
        said = await watched.judge(IDLE)
        assert isinstance(said.verdict, Deny)
        assert [(issue.hook, issue.kind) for issue in watched.report.issues] == [("guard", kind)]
    clock = ManualClock()
    watched = operation(ShellHook("guard", "read x; sleep 1000 & wait", cwd=str(tmp_path)), clock=clock)
    judging = asyncio.ensure_future(watched.judge(IDLE))
    while not judging.done():
        await asyncio.sleep(0)
        await clock.advance(1.0)
    assert isinstance(judging.result().verdict, Deny)

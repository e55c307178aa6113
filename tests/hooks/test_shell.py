"""A hook that is a program: what its status and its words mean, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from codex_runtime._io.clock import LoopClock
from codex_runtime.hooks import Allow, Ask, Deny, HookContext, Patch, ShellHook, ToolUse
from codex_runtime.hooks._run import Operation
from tests.support.children import gone
from tests.support.leaks import Footprint

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = HookContext(phase="pre_tool_use", tool=ToolUse(kind="command", name="shell", command="ls", argv=("ls",)))


async def outcome(command: str, context: HookContext = CONTEXT, **options: Any) -> object:
    """Run a program as a hook."""
    return await ShellHook("guard", command, **options).call(context)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("true", None),
        ("echo", None),
        ("echo '{}'", None),
        ("""echo '{"decision": "allow"}'""", Allow()),
        ("""echo '{"decision": "allow", "reason": "fine"}'""", Allow("fine")),
        ("""echo '{"decision": "ask", "reason": "look"}'""", Ask("look")),
        ("""echo '{"decision": "deny", "reason": "no"}'""", Deny("no")),
        ("""echo '{"decision": "deny"}'""", Deny("denied by guard")),
        ("exit 2", Deny("denied by guard")),
        ("echo ' not today '; exit 2", Deny("not today")),
        ("""echo '{"reason": "no"}'; exit 2""", Deny("no")),
        ("""echo '{"decision": "allow"}'; exit 2""", Deny('{"decision": "allow"}')),
        ("""echo '{"prompt": "p", "model": "m"}'""", Patch(prompt="p", model="m")),
        (
            """echo '{"attachments": [{"type": "file", "path": "a"}], "metadata": {"k": 1}}'""",
            Patch(add_attachments=({"type": "file", "path": "a"},), metadata={"k": 1}),
        ),
    ],
)
async def test_what_a_program_says(command: str, expected: object) -> None:
    """Its status first, then one JSON object."""
    assert await outcome(command) == expected


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("exit 1", "status 1"),
        ("kill -9 $$", "status -9"),
        ("no-such-program", "status 127"),
        ("echo allow", "no JSON object"),
        ("echo '[]'", "no JSON object"),
        ("printf '\\377'", "no JSON object"),
        ("""echo '{"decision": "accept"}'""", "must be allow, ask or deny"),
        ("""echo '{"decision": true}'""", "must be allow, ask or deny"),
        ("""echo '{"decision": {}}'""", "must be allow, ask or deny"),
        ("""echo '{"decision": "allow", "reason": 1}'""", "must be text"),
        ("""echo '{"decision": "allow", "model": "m"}'""", "at once: model"),
        ("""echo '{"prompt": 1}'""", "'prompt' must be"),
        ("""echo '{"metadata": []}'""", "'metadata' must be"),
        ("yes", "more than"),
    ],
)
async def test_a_program_that_makes_no_sense_fails(command: str, problem: str) -> None:
    """It is the runner's business what a failure means; where the server waits, it is a no."""
    with pytest.raises((OSError, ValueError), match=problem):
        await outcome(command)


async def test_the_context_comes_as_json(tmp_path: Path) -> None:
    """All of it, with the request, on standard input."""
    params = msgspec.Raw(b'{"a":1}')
    context = msgspec.structs.replace(CONTEXT, cwd=str(tmp_path), metadata={"k": [1]}, params_json=params)
    assert await outcome("cat > seen", context) is None
    seen = json.loads((tmp_path / "seen").read_text())
    assert (seen["phase"], seen["tool"]["argv"], seen["params"]) == ("pre_tool_use", ["ls"], {"a": 1})
    assert (seen["metadata"], seen["cwd"]) == ({"k": [1]}, str(tmp_path))


async def test_where_and_with_what_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the session's folder, or where it was told; with our environment, changed as it was told."""
    monkeypatch.setenv("HOOK_TEST_GONE", "x")
    context = msgspec.structs.replace(CONTEXT, cwd=str(tmp_path))
    env = {"HOOK_TEST": "y", "HOOK_TEST_GONE": None}
    told = """printf '{"decision":"deny","reason":"%s %s %s"}' "$PWD" "$HOOK_TEST" "$HOOK_TEST_GONE" """
    assert await outcome(told, context, env=env) == Deny(f"{tmp_path} y ")
    assert await outcome("pwd; exit 2", context, cwd="/") == Deny("/")
    with pytest.raises(FileNotFoundError):
        await outcome("true", context, cwd=str(tmp_path / "nowhere"))


async def test_a_great_context_and_a_great_answer_do_not_wait_for_each_other() -> None:
    """Both are more than a pipe holds; one that does not read its input is no fault."""
    context = msgspec.structs.replace(CONTEXT, prompt="x" * 500_000)
    answer = await outcome(
        """head -c 300000 /dev/zero | tr '\\0' ' '; cat >/dev/null; echo '{"decision":"allow"}'""", context
    )
    assert answer == Allow()
    assert await outcome("exec <&-; true", context) is None


async def test_the_end_of_the_program_is_the_end_of_the_call(tmp_path: Path) -> None:
    """Who else holds its output open is not waited for, and not left alive."""
    pid_file = tmp_path / "pid"
    answer = await outcome(f"""sleep 600 & echo $! > {pid_file}; echo '{{"decision":"ask"}}'""")
    assert answer == Ask()
    await gone(int(pid_file.read_text()))


async def test_a_program_that_is_late_is_killed_with_all_its_group(tmp_path: Path) -> None:
    """The time limit ends the shell, what it waits for, and what ignores polite signals; at a gate it is a no."""
    pid_file = tmp_path / "pid"
    hook = ShellHook("slow", f"trap '' TERM; sleep 600 & echo $! > {pid_file}; wait", timeout=0.3)
    operation = Operation([hook], {}, clock=LoopClock())
    said = await operation.judge(CONTEXT)
    assert isinstance(said.verdict, Deny)
    assert [issue.kind for issue in operation.report.issues] == ["timeout"]
    await gone(int(pid_file.read_text()))


async def test_a_cancelled_call_leaves_nothing(tmp_path: Path) -> None:
    """Whoever no longer wants the answer has no program left."""
    pid_file = tmp_path / "pid"
    call = asyncio.get_running_loop().create_task(outcome(f"sleep 600 & echo $! > {pid_file}; wait"))
    async with asyncio.timeout(5):
        while not (pid_file.exists() and pid_file.read_text().strip()):
            await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gone(int(pid_file.read_text()))


async def test_a_call_that_is_cancelled_again_while_it_ends_leaves_nothing(tmp_path: Path) -> None:
    """I9, I16: the second time there is nobody to wait for the end of the program; its status is taken all the same."""
    for turns in range(1, 4):
        before = Footprint.now()
        call = asyncio.get_running_loop().create_task(outcome("cat; sleep 600"))
        await asyncio.sleep(0)
        for _ in range(2):
            call.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            while Footprint.now() - before:
                await asyncio.sleep(0)

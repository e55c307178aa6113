"""S22, S24: whatever a server, a command or a model sends, it costs a bounded amount, and twice the text twice the work.

Work is counted and not timed where the code lets itself be counted: in calls and lines of Python. Where it is C that works (a
regular expression), processor time is compared with itself at four times the length, with room to spare.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import RuntimeConfig
from codex_runtime._io.stderr_tail import StderrTail
from codex_runtime._sansio.discreet import without_secrets
from codex_runtime._sansio.display import evident, one_line, visible, visible_json
from codex_runtime._sansio.envelope import Fault
from codex_runtime._sansio.framing import LineFramer
from codex_runtime._sansio.policy import Policy, Rule
from codex_runtime._sansio.shell_words import might_run, possible_commands, simple_words
from codex_runtime._sansio.tool_use import ToolUse
from codex_runtime._sansio.wording import question_of
from codex_runtime.cli._wrap import Wrapper
from codex_runtime.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from codex_runtime.runtime import Gap, JsonlSink
from codex_runtime.testing import FakeAppServer, ManualClock, Notify, Stderr
from tests.runtime.rig import Wire, failure, running, task, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = "item/commandExecution/requestApproval"


# -- S22: bounds -------------------------------------------------------------------------------------------------------


async def test_a_line_over_the_limit_costs_no_more_than_the_limit_and_fails_its_call() -> None:
    """The call learns at once that it gets no answer; the next one gets its own."""
    wire = Wire()
    async with running(wire, line_limit=1024) as runtime:
        async with task(failure(runtime.request("ask"))) as call:
            await until(lambda: wire.ids("ask"))
            wire.say({"id": wire.ids("ask")[0], "result": {"x": "y" * 100_000}})
            error = await call
        assert isinstance(error, RemoteProtocolError)
        assert "longer than the line limit" in str(error)
        assert runtime.metrics.too_long == 1
        async with task(runtime.request("next")) as call:
            await until(lambda: wire.ids("next"))
            wire.say({"id": wire.ids("next")[0], "result": 1})
            assert await call == 1


async def test_so_many_calls_wait_and_one_more_is_told() -> None:
    """While nobody answers; who waits already keeps the place, and a place that is free again can be had."""
    fake = FakeAppServer()
    fake.never_answer("ask")
    async with running(fake, max_in_flight=1, max_waiting=3) as runtime:
        calls = [asyncio.ensure_future(runtime.request("ask")) for _ in range(4)]
        await turns()
        assert runtime.metrics.queued == 3
        for more in (runtime.request("ask"), runtime.notify("ask")):
            error = await failure(more)
            assert isinstance(error, LocalProtocolError)
            assert "3 calls wait in line already" in str(error)
        calls[3].cancel()
        await asyncio.wait([calls[3]])
        calls[3] = asyncio.ensure_future(runtime.request("ask"))
        await turns()
        assert runtime.metrics.queued == 3
        # What makes room is not kept out for want of it.
        calls.append(asyncio.ensure_future(runtime.request("turn/interrupt", {"threadId": "t", "turnId": "u"})))
        await turns()
        assert runtime.metrics.queued == 4
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    with pytest.raises(ConfigError):
        RuntimeConfig(max_waiting=0)


async def test_a_flood_of_questions_is_answered_with_no() -> None:
    """As many as may be open wait for a person; ten times as many cost an answer each."""
    wire = Wire()
    async with running(wire, on_server_request=lambda _: None, max_open_server_requests=8) as runtime:
        for number in range(80):
            wire.say({"id": number, "method": COMMAND, "params": {"threadId": "t", "command": "ls"}})
        await turns()
        assert len(runtime.tickets) == 8
        told = [line["result"] for line in wire.sent if "method" not in line]
        assert told == [{"decision": "decline"}] * 72
        assert runtime.metrics.settled["declined"] == 72


async def test_a_reader_that_does_not_read_holds_a_window_and_is_told() -> None:
    """The oldest go, and what is missing is named: first, last and how many."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        with runtime.subscribe(capacity=10) as events:
            before = runtime.metrics.messages
            fake.play(*(Notify("x", {"n": number}) for number in range(500)))
            await until(lambda: runtime.metrics.messages == before + 500)
            first: Any = await anext(aiter(events))
            assert isinstance(first, Gap)
            assert first.count == first.last_seq - first.first_seq + 1 == 490


def test_a_flood_on_stderr_leaves_its_end() -> None:
    """A gigabyte would be no different from these 16 MB: twice the limit is never passed."""
    tail = StderrTail(16 * 1024)
    most = 0
    for _ in range(256):
        tail.feed(b"\xff\x1b[31m!" * 8_192)
        most = max(most, len(tail._kept))
    assert most <= 2 * 16 * 1024 + 8 * 8_192
    assert len(tail.text()) <= 16 * 1024


async def test_a_server_that_complains_without_end_is_still_answered(tmp_path: Path) -> None:
    """And its last words are bounded where they are shown."""
    fake = FakeAppServer()
    async with running(fake, sinks=(JsonlSink(tmp_path / "log"),)) as runtime:
        for _ in range(50):
            fake.play(Stderr("no\n" * 1_000))
        assert await runtime.request("model/list") is not None
        assert 0 < len(runtime.stderr_tail) <= 16 * 1024
    assert "no\\nno" not in (tmp_path / "log").read_text()


# -- S24: cost ---------------------------------------------------------------------------------------------------------

HOSTILE = (
    "a",
    " ",
    "\t",
    "\n",
    " \n",
    '"',
    "'",
    "\\",
    "$(",
    "`",
    "<(",
    "\x1b[",
    "\x1b]0;",
    "\u202e",
    "{",
    "sudo ",
    "; ",
    "\r",
)
POLICY = Policy(
    deny=(Rule(command=("rm", "-rf")), Rule(path="/etc/**")),
    ask=(Rule(path="/**/*.py"),),
    allow=(Rule(command=("git", "status")), Rule(path="**")),
)


def judged(text: str) -> object:
    """Have a policy look at a command, and at a path."""
    use = ToolUse(kind="command", name="shell", command=text, argv=simple_words(text), cwd="/ws")
    change = ToolUse(kind="file_change", name="apply_patch", paths=(f"/ws/{text}",), cwd="/ws")
    return POLICY.judge(use, workspace="/ws"), POLICY.judge(change, workspace="/ws")


def wrapped(text: str) -> object:
    """Have a text flow in, three letters at a time."""
    wrapper = Wrapper(80)
    return [wrapper.feed(text[start : start + 3]) for start in range(0, len(text), 3)], wrapper.flush()


def framed(text: str) -> object:
    """Have it come as bytes, in small pieces."""
    framer, data = LineFramer(1024 * 1024), text.encode()
    return [framer.feed(data[start : start + 64]) for start in range(0, len(data), 64)], framer.finish()


def logged(text: str) -> object:
    """Have it put on record."""
    return without_secrets(json.dumps({"params": {"config": {text: {"token": text}}}}).encode())


WORK: dict[str, Callable[[str], object]] = {
    "visible": visible,
    "evident": evident,
    "one line": one_line,
    "visible json": visible_json,
    "simple words": simple_words,
    "possible commands": lambda text: list(possible_commands(text)),
    "might run": lambda text: might_run(("rm", "-rf"), text, None),
    "policy": judged,
    "question": lambda text: str(question_of(COMMAND, {"command": text, "cwd": text[:99], "reason": text})),
    "wrapping": wrapped,
    "framing": framed,
    "redaction": logged,
}


def steps(work: Callable[[str], object], text: str) -> int:
    """How many lines of Python it takes."""
    count = 0

    def trace(*_: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work(text)
    finally:
        sys.settrace(before)
    return count


def seconds(work: Callable[[str], object], text: str) -> float:
    """The least processor time that it took, of two attempts."""

    def once() -> float:
        begun = time.process_time()
        work(text)
        return time.process_time() - begun

    return min(once(), once())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", WORK)
def test_four_times_the_text_is_about_four_times_the_work(name: str) -> None:
    """In steps of Python exactly, and in time roughly: what is quadratic takes sixteen times as much."""
    work = WORK[name]
    for unit in HOSTILE:
        one, two, four = (unit * (size // len(unit)) for size in (250, 500, 1_000))
        small, double, large = (steps(work, text) for text in (one, two, four))
        assert double <= 2.5 * small + 500, (unit, small, double, large)
        assert large <= 2.5 * double + 500, (unit, small, double, large)
        # In C there are no steps to count. A linear one does these in a moment; a quadratic one in some seconds.
        long = unit * (10_000 // len(unit))
        assert seconds(work, long) < 40 * max(seconds(work, long[:1_000]), 0.001), unit


def test_a_line_that_never_ends_is_held_at_the_limit() -> None:
    """However long it goes on, and in however small pieces."""
    framer = LineFramer(1_000)
    for _ in range(10_000):
        assert framer.feed(b"x" * 10) == []
        assert sum(map(len, framer._tail)) <= 4_096
    (fault,) = framer.feed(b"\n")
    assert isinstance(fault, Fault)
    assert fault.size == 100_001


async def test_what_is_due_at_once_costs_one_look() -> None:
    """S22: many questions that end together are not looked through once for each."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock, on_server_request=lambda _: None) as runtime:
        for number in range(200):
            wire.say({"id": number, "method": COMMAND, "params": {}})
        await turns()
        assert len(runtime.tickets) == 200
        await clock.advance(60.0)
        assert [line["id"] for line in wire.sent if "method" not in line] == list(range(200))

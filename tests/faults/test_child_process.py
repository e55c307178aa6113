"""Faults of the server's process and of the machine that no client-neutral scenario can express: figures, and means of our own."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_runtime import Client, RestartPolicy, RuntimeConfig, TurnLostError
from codex_runtime._io.link import Link
from codex_runtime.errors import ConnectionLostError, RequestTimeoutError, RuntimeDeadError
from codex_runtime.runtime import Runtime
from codex_runtime.testing import (
    Ask,
    Die,
    FakeAppServer,
    Grandchild,
    ManualClock,
    Notify,
    Say,
    Script,
    Stderr,
    StopReading,
)
from tests.runtime.rig import STEADY, config, failure, running, task, turns, until
from tests.support.children import python

if TYPE_CHECKING:
    from collections.abc import Callable

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

AT_ONCE = RestartPolicy(backoff=0.0, max_backoff=0.0, jitter=0.0, budget=10_000)
NEVER = RestartPolicy(when="never")
MIB = 1 << 20


# -- P2: it cannot be started ----------------------------------------------------------------------------------------


@LINUX
async def test_a_binary_that_is_gone_for_a_while_is_looked_for_again(tmp_path: Path) -> None:
    """P2: an upgrade replaces the program under a running one; the restart waits for it, within the budget."""
    clock = ManualClock()
    async with FakeAppServer(process=True) as fake:
        program, away = fake.install(tmp_path / "codex"), tmp_path / "away"
        async with Client(RuntimeConfig(binary=program, clock=clock, restart=STEADY)) as client:
            program.rename(away)
            fake.die()
            for _ in range(2):
                await _until(lambda: client.runtime.connection.phase == "restarting")
                await clock.advance(1.0)
            await _until(lambda: "No such file" in str(client.runtime.connection.cause))
            away.rename(program)
            await clock.advance(1.0)
            await client.runtime.wait_ready()
            assert (await client.run("go")).status == "completed"
            assert fake.launches == 2


# -- P8, P9, P10: it lives, in a way ---------------------------------------------------------------------------------


@LINUX
async def test_the_death_is_told_at_once_although_the_pipe_stays_open() -> None:
    """P8: a child of the server holds its stdout for a minute; who waits for an answer learns of the death now."""
    async with FakeAppServer(process=True) as fake:
        fake.never_answer("a", times=None)
        async with running(fake, restart=NEVER) as runtime, task(runtime.request("a", deadline=30)) as waiting:
            await fake.wait_for("a")
            fake.play(Grandchild(detached=True))
            await fake.until(lambda: bool(fake.grandchildren))
            before = time.monotonic()
            fake.play(Die(code=3))
            error = await failure(waiting)
            assert time.monotonic() - before < 2.0
            assert isinstance(error, ConnectionLostError)
            assert error.exit is not None
            assert error.exit.code == 3
            with pytest.raises(ProcessLookupError):
                os.kill(fake.grandchildren[0], 0)


DEAF_AND_TALKING = python("""
    import json
    def answer():
        message = json.loads(sys.stdin.readline())
        if "id" in message:
            say(json.dumps({"id": message["id"], "result": {"userAgent": "deaf/0.163.0"}}))
    answer()
    answer()
    answer()
    os.close(0)
    for number in range(3):
        say(json.dumps({"method": "warning", "params": {"message": str(number)}}))
    signal.pause()
""")


@LINUX
async def test_a_server_that_has_closed_its_stdin_is_heard_and_calls_end_in_time() -> None:
    """P9: a write that fails says nothing; what it says still counts, and each call has its deadline."""
    async with Runtime(RuntimeConfig(command=DEAF_AND_TALKING)) as runtime, asyncio.timeout(10):
        with runtime.subscribe(methods=["warning"]) as said:
            await runtime.request("now")
            assert [(await anext(said)).message["params"]["message"] for _ in range(3)] == ["0", "1", "2"]
            for _ in range(3):
                assert isinstance(await failure(runtime.request("a", deadline=0.05)), RequestTimeoutError)
        assert runtime.generation == 0


@LINUX
async def test_64_mb_that_nobody_reads_are_not_kept_and_hold_up_nobody() -> None:
    """P10: what does not fit the pipe waits unwritten, calls end at their deadlines, and the loop turns all the while."""
    calls, longest, last = 64, 0.0, time.thread_time()

    async def turn_on() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    async with FakeAppServer(process=True) as fake, running(fake, restart=NEVER, max_in_flight=calls) as runtime:
        fake.play(StopReading())
        text = "x" * MIB
        before = _resident()
        async with task(turn_on()):
            waiting = [runtime.request("a", {"text": text}, deadline=0.5) for _ in range(calls)]
            errors = await asyncio.gather(*map(failure, waiting))
        assert {type(error) for error in errors} == {RequestTimeoutError}
        assert _resident() - before < 16 * MIB
        assert (
            longest < 0.25
        )  # of this thread's own time, for 64 calls that are made at once: nothing waits on the pipe
        began = time.monotonic()
        await runtime.aclose()
        assert time.monotonic() - began < 3.0


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- P18: again and again --------------------------------------------------------------------------------------------


async def test_two_hundred_deaths_leave_nothing() -> None:
    """P18: not a task, not a descriptor, and of all those links only the one that lives."""
    fake = FakeAppServer(default=Script(Say("one "), Die()))
    async with Client(config(fake, restart=AT_ONCE)) as client, await client.start_session() as session:

        async def die() -> None:
            with pytest.raises(TurnLostError):
                await session.run("go")

        def footprint() -> tuple[object, ...]:
            gc.collect()
            links = sum(isinstance(found, Link) for found in gc.get_objects())
            return links, len(asyncio.all_tasks()), threading.active_count(), _descriptors()

        await die()
        before = footprint()
        for _ in range(200):
            await die()
        await client.runtime.wait_ready()
        assert footprint() == before
        assert fake.launches >= 201
        assert fake.most_alive == 1


def _descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208


# -- P19: what it died of --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [False, pytest.param(True, marks=LINUX)], ids=["in memory", "as a process"])
async def test_a_server_that_runs_out_of_memory_is_told_with_what_it_said(*, process: bool) -> None:
    """P19: nobody says "out of memory" to us; the signal and the last words are all there is, and both are told."""
    words = "memory allocation of 1073741824 bytes failed\n"
    async with FakeAppServer(Script(Stderr(words), Die()), process=process) as fake:
        dead: list[RuntimeDeadError] = []
        async with Client(config(fake, restart=NEVER, on_dead=dead.append)) as client:
            with pytest.raises(TurnLostError):
                await client.run("go")
            with pytest.raises(RuntimeDeadError, match="killed by SIGKILL"):
                await client.runtime.wait_ready()
        assert dead[0].exit is not None
        assert (dead[0].exit.signal, dead[0].exit.stderr_tail) == (9, words)


# -- E5 and E8: the machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, -1])
async def test_steps_of_the_wall_clock_change_no_deadline(days: int) -> None:
    """E5: neither of calls, nor of answers, nor the pause before a restart."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("a", times=None)
    told: list[object] = []
    options: dict[str, object] = {"server_request_deadline": 10.0, "on_decision": told.append}

    async def steps_and(seconds: float) -> None:
        clock.step_wall(days * 86_400)
        await clock.advance(seconds)
        await turns()

    async with running(fake, clock, on_server_request=lambda _: None, **options) as runtime:
        async with task(runtime.request("a", deadline=10.0)) as waiting:
            await fake.wait_for("a")
            fake.play(Ask("item/tool/requestUserInput", {"threadId": "t", "turnId": "u", "itemId": "i"}))
            await turns()
            await steps_and(9.9)
            assert not waiting.done()
            assert told == []
            await steps_and(0.2)
            assert isinstance(await failure(waiting), RequestTimeoutError)
            assert len(told) == 1
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        await steps_and(0.9)
        assert fake.launches == 1
        await steps_and(0.2)
        assert fake.launches == 2


@LINUX
async def test_without_descriptors_a_restart_fails_and_is_tried_again() -> None:
    """E8: within the budget, while nobody who listens loses anything; then it goes on."""
    clock = ManualClock()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with FakeAppServer(process=True) as fake, running(fake, clock) as runtime:
        with runtime.subscribe(methods=["warning"]) as listening:
            fake.play(Notify("warning", {"message": "before"}))
            assert (await anext(listening)).message["params"]["message"] == "before"
            fake.die()
            await _until(lambda: runtime.connection.phase == "restarting")
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
                for _ in range(2):
                    await clock.advance(1.0)
                    await _until(lambda: runtime.connection.phase == "restarting")
                    assert "Too many open files" in str(runtime.connection.cause)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert fake.launches == 1
            await clock.advance(1.0)
            await _until(lambda: runtime.connection.phase == "running")
            fake.play(Notify("warning", {"message": "after"}))
            assert (await anext(listening)).message["params"]["message"] == "after"
        assert runtime.generation == 3


async def _until(condition: Callable[[], object]) -> None:
    """Let others run until it holds; processes take their time."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)

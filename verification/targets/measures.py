"""How soon trouble is over: each function lives through it often enough and returns all the figures that it saw.

Times are seconds, sizes are multiples of the line that caused them. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import codex_cli_bin

from codex_runtime import ConnectionLostError, Runtime, RuntimeConfig
from codex_runtime._sansio.envelope import Stamp, decode_lines
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.testing import FakeAppServer, Grandchild, IgnoreTerm, MockModel, write_codex_home
from verification.targets.huge import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from codex_runtime.runtime import Envelope

__all__ = [
    "commit_of_a_decision",
    "end_of_a_healthy_server",
    "end_of_a_hostile_server",
    "long_lines",
    "loss_told",
    "quantile",
    "ready_again",
    "throughput_of_the_journal",
]

HELD = "test/never"
"""A request that the fake is told never to answer."""


async def loss_told(rounds: int, *, grandchild: bool) -> list[float]:
    """From the death of the server until a call that waits has its error; ``grandchild``: while one holds its stdout."""
    times: list[float] = []
    for _ in range(rounds):
        async with FakeAppServer(process=True) as fake, Runtime(RuntimeConfig(launcher=fake)) as runtime:
            fake.never_answer(HELD)
            call = asyncio.ensure_future(runtime.request(HELD))
            await fake.wait_for(HELD)
            if grandchild:
                fake.play(Grandchild(holds_stdout=True))
                await fake.until(lambda: bool(fake.grandchildren))  # awaited here
            killed = time.perf_counter()
            os.kill(runtime.pid or 0, signal.SIGKILL)
            try:
                await call
            except ConnectionLostError:
                times.append(time.perf_counter() - killed)
    return times


async def end_of_a_hostile_server(rounds: int) -> list[float]:
    """How long closing takes when the server ignores SIGTERM and the end of stdin, and a detached child holds its stdout."""
    times: list[float] = []
    for _ in range(rounds):
        async with FakeAppServer(process=True) as fake:
            runtime = Runtime(RuntimeConfig(launcher=fake))
            await runtime.open()
            fake.play(IgnoreTerm(), Grandchild(detached=True, holds_stdout=True))
            await fake.until(lambda: bool(fake.grandchildren))  # awaited here
            began = time.perf_counter()
            await runtime.aclose()
            times.append(time.perf_counter() - began)
    return times


async def ready_again(rounds: int) -> list[float]:
    """From the death of the real server until the next one is ready, with the pause that is the default."""

    async def crash(runtime: Runtime) -> float:
        killed = time.perf_counter()
        os.kill(runtime.pid or 0, signal.SIGKILL)
        while runtime.connection.phase == "running":  # noqa: ASYNC110  # a call would be told as early
            await asyncio.sleep(0.001)
        await runtime.wait_ready()
        return time.perf_counter() - killed

    return await _with_real(rounds, crash)


async def end_of_a_healthy_server(rounds: int) -> list[float]:
    """How long closing takes with the real server."""

    async def close(runtime: Runtime) -> float:
        began = time.perf_counter()
        await runtime.aclose()
        return time.perf_counter() - began

    return await _with_real(rounds, close)


async def _with_real(rounds: int, do: Callable[[Runtime], Coroutine[object, object, float]]) -> list[float]:
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with MockModel() as model:
            home = write_codex_home(Path(folder, "home"), model.base_url)
            config = RuntimeConfig(binary=codex_cli_bin.bundled_codex_path(), codex_home=home)
            for _ in range(rounds):
                async with Runtime(config) as runtime:
                    times.append(await do(runtime))
    return times


# -- long lines ------------------------------------------------------------------------------------------------------


async def long_lines(size: int, rounds: int) -> tuple[float, float]:
    """The longest that the event loop was held up by a line of so many bytes, and the memory that it took, in lines."""
    command = (sys.executable, "-I", "-S", "-c", SERVER, str(size))
    held, grown = 0.0, 0.0
    async with Runtime(RuntimeConfig(command=command)) as runtime:
        for _ in range(rounds):
            before = _reset_peak()
            watch = asyncio.ensure_future(_longest_pause())
            await runtime.request("test/huge")
            watch.cancel()
            held = max(held, await watch)
            grown = max(grown, (_status("VmHWM") - before) / size)
    return held, grown


async def _longest_pause() -> float:
    """Look at the clock in each turn of the loop, until cancelled; return the longest time between two looks."""
    worst, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now
    except asyncio.CancelledError:  # which is how it is told to come to an end
        return worst


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


# -- the journal -----------------------------------------------------------------------------------------------------

ENDED = b'{"method":"turn/completed","params":{"threadId":"t","turn":{"id":"u","status":"completed","items":[]}}}\n'
SAID = b'{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"%s"}}\n' % (
    b"x" * 150
)


async def commit_of_a_decision(rounds: int) -> list[float]:
    """How long the end of a turn takes until it is safe from a loss of power."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        sink = JournalSink(Journal(Path(folder, "journal.db")))
        await sink.open()
        for number in range(rounds):
            batch = _envelopes([ENDED], number)
            began = time.perf_counter()
            await sink.write(batch)
            times.append(time.perf_counter() - began)
        await sink.aclose()
    return times


async def throughput_of_the_journal(batches: int, size: int) -> float:
    """Messages a second that go into a journal, in batches of that size, until the last is in the file."""
    with tempfile.TemporaryDirectory() as folder:
        sink = JournalSink(Journal(Path(folder, "journal.db")))
        await sink.open()
        made = [_envelopes([SAID] * size, number * size) for number in range(batches)]
        began = time.perf_counter()
        for batch in made:
            await sink.write(batch)
        took = time.perf_counter() - began
        await sink.aclose()
    return batches * size / took


def _envelopes(lines: list[bytes], first: int) -> list[Envelope]:
    return decode_lines(lines, first, Stamp(0, time.time(), time.monotonic()))[0]


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of all is."""
    return median(values) if share == 0.5 else sorted(values)[min(len(values) - 1, int(share * len(values)))]

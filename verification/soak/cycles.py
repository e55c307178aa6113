"""Spawn and crash, over and over: what does one life of an app server leave behind?

In memory a life takes a fraction of a millisecond, so ten thousand are soon over; with real processes as many are lived as the
time allows. Every life answers the greeting, gets a request, and dies with it. Nothing is scripted and nothing recorded, so
whatever grows is the runtime's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
import time
from array import array
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from benchmarks import firehose
from codex_runtime import CodexError, RestartPolicy, RuntimeConfig
from codex_runtime._sansio.restart import Exit
from codex_runtime.runtime import Runtime
from codex_runtime.testing._memory_link import MemoryLink
from verification.soak.figures import allocated, children, descriptors, rss, state_of

if TYPE_CHECKING:
    from codex_runtime.runtime import Receiver, Transport

__all__ = ["Lives", "in_memory", "with_processes"]

POINTS = 200  # that are looked at
ROWS = ("lives", "rss", "blocks", "descriptors", "tasks", "threads", "zombies")
AT_ONCE = RestartPolicy(when="always", backoff=0.0, max_backoff=0.0, jitter=0.0, budget=1_000_000_000, window=0.001)


@dataclass(slots=True, kw_only=True)
class Lives:
    """The figures of a row of lives, one entry for each look, and what was left when the runtime had been closed."""

    name: str
    seconds: float = 0.0
    rows: dict[str, array[int]] = field(default_factory=lambda: {name: array("q") for name in ROWS})
    left: list[str] = field(default_factory=list)

    def look(self, life: int) -> None:
        """Take down how things stand, without what the interpreter keeps for later: its lists of free tuples and the like."""
        gc.collect()
        looks = (
            life,
            rss(),
            allocated(),
            descriptors(),
            len(asyncio.all_tasks()),
            threading.active_count(),
            sum(state_of(pid) == "Z" for pid in children()),
        )
        for row, value in zip(self.rows.values(), looks, strict=True):
            row.append(value)


@final
class Cradle:
    """A launcher of servers that die of the first request."""

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Start one."""
        link = MemoryLink(receiver)
        link.serve(_Newborn(link))
        return link


@final
class _Newborn:
    """One server: it greets, and dies."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link

    def feed(self, data: bytes) -> None:
        """Answer the greeting, or die."""
        for message in map(json.loads, data.splitlines()):
            if message.get("method") == "initialize":
                told = {"userAgent": "soak/0.163.0", "codexHome": "/", "platformFamily": "unix", "platformOs": "linux"}
                self._link.send(json.dumps({"id": message["id"], "result": told}).encode() + b"\n")
            elif "id" in message:
                self._link.end(Exit(signal=signal.SIGKILL))
                return

    def close(self) -> None:
        """Be dead."""


async def in_memory(count: int) -> Lives:
    """Live so many lives in memory."""
    config = RuntimeConfig(launcher=Cradle(), restart=AT_ONCE, watchdog=None)

    async def live(runtime: Runtime) -> None:
        with suppress(CodexError):
            await runtime.request("soak/die")

    return await _lives("in memory", config, live, count, None)


async def with_processes(count: int, *, seconds: float) -> Lives:
    """Live so many lives as processes, or as many as there is time for."""
    config = RuntimeConfig(command=firehose.command(), restart=AT_ONCE, watchdog=None)

    async def live(runtime: Runtime) -> None:
        generation = runtime.generation
        with suppress(ProcessLookupError):
            os.kill(runtime.pid or 0, signal.SIGKILL)
        with suppress(CodexError):
            await runtime.request("bench/ping", {})
        while runtime.generation == generation:
            await asyncio.sleep(0.001)
            await runtime.wait_ready()

    return await _lives("processes", config, live, count, seconds)


async def _lives(
    name: str,
    config: RuntimeConfig,
    live: Callable[[Runtime], Awaitable[None]],
    count: int,
    seconds: float | None,
) -> Lives:
    lives = Lives(name=name)
    before, began = (descriptors(), threading.active_count(), len(asyncio.all_tasks())), time.monotonic()
    every, looked = max(1, count // POINTS), 0.0
    async with Runtime(config) as runtime:
        for life in range(count + 1):
            now = time.monotonic()
            is_due = life % every == 0 if seconds is None else now - looked > seconds / POINTS
            if is_due or life == count:
                lives.look(life)
                looked = now
            if life == count or (seconds is not None and now - began > seconds):
                break
            await live(runtime)
        assert runtime.generation >= life - 1  # the next may not have begun
    lives.seconds = time.monotonic() - began
    for what, now_, then in zip(
        ("descriptors", "threads", "tasks"),
        (descriptors(), threading.active_count(), len(asyncio.all_tasks())),
        before,
        strict=True,
    ):
        if now_ > then:
            lives.left.append(f"{now_ - then} {what}")
    lives.left += [f"child {pid}" for pid in children()]
    return lives

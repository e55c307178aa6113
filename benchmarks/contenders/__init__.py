"""Who is measured. Each module holds one or more classes with the same small interface.

A contender is driven by plain calls, whatever it is inside; asyncio ones run their own loop. It lives in a process of its
own, under an interpreter that has what it needs: ours, or the second one that `make bench` sets up beside it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import resource
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CONTENDERS",
    "Calls",
    "Contender",
    "Entry",
    "Growth",
    "Many",
    "Stalled",
    "Streams",
    "Turn",
    "available",
    "cpu_seconds",
    "interpreter",
    "load",
    "rss",
    "threads",
]

PING: dict[str, Any] = {"name": "ping", "payload": "0123456789abcdef", "numbers": [1, 2, 3]}
APPROVAL = "requestApproval"
DELTA = "item/agentMessage/delta"
TURN_ENDED = "turn/completed"

BESIDE = Path(sys.prefix) / "beside" / "bin" / "python"  # made by `make bench` if ours is too old for a contender


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was read to its end: all messages that were seen, and what it cost."""

    events: int
    seconds: float
    cpu: float
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests that were answered, with the latency of each in seconds."""

    latencies: list[float]
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Stalled:
    """A turn whose reader slept: memory that grew meanwhile, then what the reader still got and what was lost."""

    growth: int
    events: int
    lost: int


@dataclass(frozen=True, slots=True)
class Streams:
    """Calls made while many turns stream, and the messages of these turns."""

    latencies: list[float]
    events: int


@dataclass(frozen=True, slots=True)
class Many:
    """Several clients at once: bytes and threads of this process that they took, and one turn of each at the same time."""

    idle: int
    threads: int
    turn: Turn


class Contender(ABC):
    """What a contender can do. All open and close; of the rest, what one cannot do it leaves out, and nobody asks for it."""

    @abstractmethod
    def open(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""

    @abstractmethod
    def close(self) -> None:
        """End the server. May be opened again."""

    def turn(self, directive: str) -> Turn:
        """Run one turn and read all of it."""
        raise NotImplementedError

    def latencies(self, directive: str) -> list[float]:
        """Run one turn whose deltas are stamped; return the seconds from the writing of each to its reading."""
        raise NotImplementedError

    def calls(self, count: int, in_flight: int) -> Calls:
        """Make so many requests, so many at a time."""
        raise NotImplementedError

    def stalled(self, directive: str, seconds: float) -> Stalled:
        """Run one turn whose reader first sleeps, at least so long and until memory grows no more."""
        raise NotImplementedError

    def streams(self, count: int, directive: str) -> Streams:
        """Run so many turns at once and make calls, one after the other, until they end."""
        raise NotImplementedError

    def many(self, command: Sequence[str], count: int, directive: str) -> Many:
        """Open so many clients, each with a server of its own, and run one turn on each at the same time."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a contender is found, what the tables call it, and the module that it needs installed."""

    module: str
    kind: str
    label: str
    needs: str | None = None


CONTENDERS = {
    "ours": Entry(module="ours", kind="Ours", label="codex-runtime"),
    "ours-batches": Entry(module="ours", kind="OursInBatches", label="codex-runtime, by batches"),
    "ours-typed": Entry(module="ours", kind="OursTyped", label="codex-runtime, every event typed"),
    "ours-stateless": Entry(module="ours", kind="OursStateless", label="codex-runtime, state=False"),
    "ours-blocking": Entry(module="ours", kind="OursBlocking", label="codex-runtime, overflow=block"),
    "ours-4": Entry(module="ours", kind="OursForFour", label="codex-runtime, 4 subscribers"),
    "ours-jsonl": Entry(module="ours", kind="OursToJsonl", label="codex-runtime + JSONL sink"),
    "ours-journal": Entry(module="ours", kind="OursToJournal", label="codex-runtime + journal"),
    "naive": Entry(module="naive", kind="Naive", label="asyncio streams + json"),
    "sdk": Entry(module="sdk", kind="Sdk", label="openai-codex", needs="openai_codex"),
    "sdk-async": Entry(module="sdk", kind="AsyncSdk", label="openai-codex, async", needs="openai_codex"),
    "cas": Entry(module="cas", kind="AppServerSdk", label="codex-app-server-sdk", needs="codex_app_server_sdk"),
    "pipe": Entry(module="limits", kind="PipeOnly", label="limit: read the pipe, no more"),
    "decode": Entry(module="limits", kind="DecodeOnly", label="limit: split and decode, no pipe"),
    "loop": Entry(module="limits", kind="LoopOnly", label="limit: a future on a bare loop"),
}


@functools.cache
def interpreter(name: str) -> str | None:
    """Return the Python to run a contender with, nothing if what it needs is not installed."""
    needs = CONTENDERS[name].needs
    if needs is None or importlib.util.find_spec(needs) is not None:
        return sys.executable
    if BESIDE.exists() and not subprocess.run([BESIDE, "-c", f"import {needs}"], check=False).returncode:
        return str(BESIDE)
    return None


def available(name: str) -> bool:
    """Tell whether what a contender needs is installed."""
    return interpreter(name) is not None


def load(name: str) -> Contender:
    """Make a contender; this is what pays for its imports."""
    entry = CONTENDERS[name]
    contender: Contender = getattr(importlib.import_module(f"benchmarks.contenders.{entry.module}"), entry.kind)()
    return contender


def cpu_seconds() -> float:
    """Return the processor time of this process, all threads, without its children."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss() -> int:
    """Return the resident memory of this process in bytes (the highest so far where the current one is not told)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def threads() -> int:
    """Return how many threads this process has (those of Python where the system does not tell)."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return threading.active_count()


class Growth:
    """How much the memory of this process grows from now on, while a reader sleeps: at least so long, and until it ends."""

    STEP, LIMIT = 0.25, 20.0

    def __init__(self, seconds: float) -> None:
        self._at_least = seconds
        self._start = time.perf_counter()
        self._before = self._last = rss()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._last - self._before

    def goes_on(self) -> bool:
        """Look again; false when it is over."""
        now, waited = rss(), time.perf_counter() - self._start
        grew, self._last = now - self._last > 64 * 1024, now
        return waited < self._at_least or (grew and waited < self.LIMIT)


def age(stamp: str) -> float:
    """Return the seconds since the server stamped a delta."""
    return (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - int(stamp)) / 1e9


def turn_params(thread_id: str, directive: str) -> dict[str, object]:
    """Return the params of ``turn/start``."""
    return {"threadId": thread_id, "input": [{"type": "text", "text": directive}]}


class Meter:
    """Measures wall and processor time from its making to :attr:`turn`."""

    def __init__(self) -> None:
        self.cpu = cpu_seconds()
        self.start = time.perf_counter()

    def turn(self, events: int, lost: int = 0) -> Turn:
        """Return what the turn cost until now."""
        seconds = time.perf_counter() - self.start
        return Turn(events, seconds, cpu_seconds() - self.cpu, lost)

    def calls(self, latencies: list[float]) -> Calls:
        """Return what the calls cost until now."""
        seconds = time.perf_counter() - self.start
        return Calls(latencies, seconds, cpu_seconds() - self.cpu)

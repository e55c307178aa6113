"""Who is measured. Each module holds one or more classes with the same small interface.

A contender is driven by plain calls, whatever it is inside; asyncio ones run their own loop. What a contender cannot do
it leaves out, and its row stays empty.
"""

from __future__ import annotations

import importlib
import importlib.util
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["CONTENDERS", "Calls", "Contender", "Stalled", "Streams", "Turn", "available", "cpu_seconds", "load", "rss"]

PING = {"name": "ping", "payload": "0123456789abcdef", "numbers": [1, 2, 3]}
APPROVAL = "requestApproval"


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
    """Calls made while many turns stream. ``finished`` is false if the calls did not get through before they ended."""

    latencies: list[float]
    events: int


class Contender(Protocol):
    """What every contender can do."""

    def open(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""

    def turn(self, directive: str) -> Turn:
        """Run one turn and read all of it."""

    def calls(self, count: int, in_flight: int) -> Calls:
        """Make so many requests, so many at a time."""

    def stalled(self, directive: str, seconds: float) -> Stalled:
        """Run one turn whose reader first sleeps."""

    def streams(self, count: int, directive: str) -> Streams:
        """Run so many turns at once and make calls, one after the other, until they end."""

    def close(self) -> None:
        """End the server."""


# name → module, class, what must be installed, what the table says
CONTENDERS: dict[str, tuple[str, str, str | None, str]] = {
    "ours": ("ours", "Ours", None, "codex-runtime"),
    "ours-batches": ("ours", "OursInBatches", None, "codex-runtime, by batches"),
    "ours-typed": ("ours", "OursTyped", None, "codex-runtime, every event typed"),
    "ours-stateless": ("ours", "OursStateless", None, "codex-runtime, state=False"),
    "ours-blocking": ("ours", "OursBlocking", None, "codex-runtime, overflow=block"),
    "sdk": ("sdk", "Sdk", "openai_codex", "openai-codex"),
    "sdk-async": ("sdk", "AsyncSdk", "openai_codex", "openai-codex, async"),
    "naive": ("naive", "Naive", None, "asyncio streams + json"),
    "pipe": ("limits", "PipeOnly", None, "limit: read the pipe, no more"),
    "decode": ("limits", "DecodeOnly", None, "limit: split and decode, no pipe"),
}


def available(name: str) -> bool:
    """Tell whether what a contender needs is installed."""
    needs = CONTENDERS[name][2]
    return needs is None or importlib.util.find_spec(needs) is not None


def load(name: str) -> Contender:
    """Make a contender; this is what pays for its imports."""
    module, kind, _, _ = CONTENDERS[name]
    contender: Contender = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), kind)()
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

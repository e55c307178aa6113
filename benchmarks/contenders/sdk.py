"""The official Python SDK, `openai-codex`: its threads and turns as documented, its own request method for calls."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from openai_codex import AsyncCodex, Codex, CodexConfig
from pydantic import BaseModel

from benchmarks.contenders import (
    DELTA,
    PING,
    Calls,
    Contender,
    Growth,
    Many,
    Meter,
    Stalled,
    Streams,
    Turn,
    age,
    rss,
    threads,
)
from benchmarks.contenders.asynchronous import AsyncContender

__all__ = ["AsyncSdk", "Sdk"]


class Pong(BaseModel):
    """The smallest model that the answer to a ping fits into."""

    name: str


class Sdk(Contender):
    """The synchronous client. It accepts approvals by default, in its reader thread."""

    codex: Codex

    def open(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        self.codex = Codex(CodexConfig(launch_args_override=tuple(command)))

    def close(self) -> None:
        """End the server."""
        self.codex.close()

    def turn(self, directive: str) -> Turn:
        """Run one turn and read all of it."""
        thread = self.codex.thread_start()
        meter = Meter()
        return meter.turn(sum(1 for _ in thread.turn(directive).stream()))

    def latencies(self, directive: str) -> list[float]:
        """Run one turn whose deltas are stamped; return the age of each when it is read."""
        stream: Any = self.codex.thread_start().turn(directive).stream()
        return [age(event.payload.delta) for event in stream if event.method == DELTA]

    def call(self) -> object:
        """Make one request; the public methods go through the same one."""
        return self.codex._client.request("bench/ping", PING, response_model=Pong)  # noqa: SLF001

    def calls(self, count: int, in_flight: int) -> Calls:
        """Make so many requests, so many at a time: a thread for each of these."""
        latencies: list[float] = []
        clock = time.perf_counter

        def caller() -> None:
            before = clock()
            for _ in range(count // in_flight):
                self.call()
                after = clock()
                latencies.append(after - before)
                before = after

        meter = Meter()
        _together([caller] * in_flight)
        return meter.calls(latencies)

    def stalled(self, directive: str, seconds: float) -> Stalled:
        """Run one turn whose reader first sleeps."""
        thread = self.codex.thread_start()
        growth = Growth(seconds)
        turn = thread.turn(directive)
        while growth.goes_on():
            time.sleep(growth.STEP)
        return Stalled(growth.size, sum(1 for _ in turn.stream()), 0)

    def streams(self, count: int, directive: str) -> Streams:
        """Run so many turns at once, each read by a thread, and make calls until they end."""
        turns = [self.codex.thread_start().turn(directive) for _ in range(count)]
        events: list[int] = []
        readers = [
            threading.Thread(target=lambda turn=turn: events.append(sum(1 for _ in turn.stream()))) for turn in turns
        ]
        for reader in readers:
            reader.start()
        latencies: list[float] = []
        while any(reader.is_alive() for reader in readers):
            before = time.perf_counter()
            self.call()
            latencies.append(time.perf_counter() - before)
            time.sleep(0.005)
        return Streams(latencies, sum(events))

    def many(self, command: Sequence[str], count: int, directive: str) -> Many:
        """Open so many clients and run one turn on each, each read by a thread."""
        before = rss()
        clients = [type(self)() for _ in range(count)]
        for client in clients:
            client.open(command)
        idle = rss() - before
        events: list[int] = []
        used: list[int] = []

        def reader(client: Sdk) -> None:
            events.append(client.turn(directive).events)
            used.append(threads())

        meter = Meter()
        _together([partial(reader, client) for client in clients])
        turn = meter.turn(sum(events))
        for client in clients:
            client.close()
        return Many(idle, max(used), turn)


class AsyncSdk(AsyncContender[Any]):
    """The asynchronous client: the synchronous one behind a pool of threads."""

    codex: AsyncCodex

    async def connect(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        self.codex = AsyncCodex(CodexConfig(launch_args_override=tuple(command)))
        await self.codex.__aenter__()

    async def disconnect(self) -> None:
        """End the server."""
        await self.codex.close()

    async def new_thread(self) -> Any:
        """Start a thread."""
        return await self.codex.thread_start()

    async def call(self) -> object:
        """Make one request; the public methods go through the same one."""
        return await self.codex._client.request("bench/ping", PING, response_model=Pong)  # noqa: SLF001

    async def start(self, thread_id: Any, directive: str, *, narrow: bool) -> Any:  # noqa: ARG002
        """Start the turn."""
        return await thread_id.turn(directive)

    async def read(self, stream: Any) -> tuple[int, int]:
        """Read one event at a time."""
        events = 0
        async for _ in stream.stream():
            events += 1
        return events, 0

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        """Read one event at a time and take the text of deltas."""
        async for event in stream.stream():
            if event.method == DELTA:
                yield event.payload.delta


def _together(targets: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

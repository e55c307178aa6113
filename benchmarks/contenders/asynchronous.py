"""What asyncio contenders share: a loop of their own, and the workloads written once for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from benchmarks.contenders import Calls, Meter, Stalled, Streams, Turn, rss

__all__ = ["AsyncContender"]


S = TypeVar("S")


class AsyncContender(Generic[S]):
    """A contender with coroutines inside. ``S`` is what it reads a turn from."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    async def connect(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """End the server."""
        raise NotImplementedError

    async def new_thread(self) -> str:
        """Start a thread and return its id."""
        raise NotImplementedError

    async def call(self) -> object:
        """Make one small request."""
        raise NotImplementedError

    async def start(self, thread_id: str, directive: str, *, narrow: bool) -> S:
        """Start a turn. ``narrow``: other turns run as well, and the reader wants this one only."""
        raise NotImplementedError

    async def read(self, stream: S) -> tuple[int, int]:
        """Read a turn to its end: messages seen, messages lost."""
        raise NotImplementedError

    # -- the interface ---------------------------------------------------------------------------------------------

    def open(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        self._runner.run(self.connect(command))

    def close(self) -> None:
        """End the server. May be opened again."""
        self._runner.run(self.disconnect())

    def turn(self, directive: str) -> Turn:
        """Run one turn and read all of it."""
        return self._runner.run(self._turn(directive))

    async def _turn(self, directive: str) -> Turn:
        thread_id = await self.new_thread()
        meter = Meter()
        return meter.turn(*await self.read(await self.start(thread_id, directive, narrow=False)))

    def calls(self, count: int, in_flight: int) -> Calls:
        """Make so many requests, so many at a time."""
        return self._runner.run(self._calls(count, in_flight))

    async def _calls(self, count: int, in_flight: int) -> Calls:
        latencies: list[float] = []
        clock = time.perf_counter

        async def caller() -> None:
            before = clock()
            for _ in range(count // in_flight):
                await self.call()
                after = clock()
                latencies.append(after - before)
                before = after

        meter = Meter()
        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return meter.calls(latencies)

    def stalled(self, directive: str, seconds: float) -> Stalled:
        """Run one turn whose reader first sleeps."""
        return self._runner.run(self._stalled(directive, seconds))

    async def _stalled(self, directive: str, seconds: float) -> Stalled:
        thread_id = await self.new_thread()
        before = rss()
        stream = await self.start(thread_id, directive, narrow=False)
        await asyncio.sleep(seconds)
        growth = rss() - before
        events, lost = await self.read(stream)
        return Stalled(growth, events, lost)

    def streams(self, count: int, directive: str) -> Streams:
        """Run so many turns at once and make calls, one after the other, until they end."""
        return self._runner.run(self._streams(count, directive))

    async def _streams(self, count: int, directive: str) -> Streams:
        threads = [await self.new_thread() for _ in range(count)]
        started = [await self.start(thread_id, directive, narrow=True) for thread_id in threads]
        readers = asyncio.gather(*(self.read(stream) for stream in started))
        latencies: list[float] = []
        clock = time.perf_counter
        while not readers.done():
            before = clock()
            await self.call()
            latencies.append(clock() - before)
            await asyncio.sleep(0.005)
        return Streams(latencies, sum(events for events, _ in await readers))

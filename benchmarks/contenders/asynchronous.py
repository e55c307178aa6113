"""What asyncio contenders share: a loop, and the workloads written once for all of them."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Generic, TypeVar

from benchmarks.contenders import Calls, Contender, Growth, Many, Meter, Stalled, Streams, Turn, age, rss, threads

__all__ = ["AsyncContender"]


S = TypeVar("S")
T = TypeVar("T")


class AsyncContender(Contender, Generic[S]):
    """A contender with coroutines inside. ``S`` is what it reads a turn from. Several may share one loop."""

    def __init__(self, runner: asyncio.Runner | None = None) -> None:
        self._runner = runner or asyncio.Runner()

    @abstractmethod
    async def connect(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""

    @abstractmethod
    async def disconnect(self) -> None:
        """End the server."""

    async def new_thread(self) -> str:
        """Start a thread and return its id."""
        raise NotImplementedError

    @abstractmethod
    async def call(self) -> object:
        """Make one small request."""

    async def start(self, thread_id: str, directive: str, *, narrow: bool) -> S:
        """Start a turn. ``narrow``: other turns run as well, and the reader wants this one only."""
        raise NotImplementedError

    async def read(self, stream: S) -> tuple[int, int]:
        """Read a turn to its end: messages seen, messages lost."""
        raise NotImplementedError

    def texts(self, stream: S) -> AsyncIterator[str]:
        """Read a turn to its end: the text of each delta."""
        raise NotImplementedError

    def _run(self, work: Coroutine[None, None, T]) -> T:
        """Run it on the loop. Its result takes another way: the runner puts what its task returned into words."""
        results: list[T] = []

        async def keep() -> None:
            results.append(await work)

        self._runner.run(keep())
        return results[0]

    # -- the interface ---------------------------------------------------------------------------------------------

    def open(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        self._run(self.connect(command))

    def close(self) -> None:
        """End the server. May be opened again."""
        self._run(self.disconnect())

    def turn(self, directive: str) -> Turn:
        """Run one turn and read all of it."""
        return self._run(self._turn(directive))

    async def _turn(self, directive: str) -> Turn:
        thread_id = await self.new_thread()
        meter = Meter()
        return meter.turn(*await self.read(await self.start(thread_id, directive, narrow=False)))

    def latencies(self, directive: str) -> list[float]:
        """Run one turn whose deltas are stamped; return the age of each when it is read."""
        return self._run(self._latencies(directive))

    async def _latencies(self, directive: str) -> list[float]:
        stream = await self.start(await self.new_thread(), directive, narrow=False)
        return [age(text) async for text in self.texts(stream)]

    def calls(self, count: int, in_flight: int) -> Calls:
        """Make so many requests, so many at a time."""
        return self._run(self._calls(count, in_flight))

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
        return self._run(self._stalled(directive, seconds))

    async def _stalled(self, directive: str, seconds: float) -> Stalled:
        thread_id = await self.new_thread()
        growth = Growth(seconds)
        stream = await self.start(thread_id, directive, narrow=False)
        while growth.goes_on():  # noqa: ASYNC110  memory tells nobody that it has grown
            await asyncio.sleep(growth.STEP)
        events, lost = await self.read(stream)
        return Stalled(growth.size, events, lost)

    def streams(self, count: int, directive: str) -> Streams:
        """Run so many turns at once and make calls, one after the other, until they end."""
        return self._run(self._streams(count, directive))

    async def _streams(self, count: int, directive: str) -> Streams:
        threads_of = [await self.new_thread() for _ in range(count)]
        started = [await self.start(thread_id, directive, narrow=True) for thread_id in threads_of]
        readers = asyncio.gather(*(self.read(stream) for stream in started))
        latencies: list[float] = []
        clock = time.perf_counter
        while not readers.done():
            before = clock()
            await self.call()
            latencies.append(clock() - before)
            await asyncio.sleep(0.005)
        return Streams(latencies, sum(events for events, _ in await readers))

    def many(self, command: Sequence[str], count: int, directive: str) -> Many:
        """Open so many clients on one loop and run one turn on each at the same time."""
        return self._run(self._many(command, count, directive))

    async def _many(self, command: Sequence[str], count: int, directive: str) -> Many:
        before = rss()
        clients = [type(self)(self._runner) for _ in range(count)]
        await asyncio.gather(*(client.connect(command) for client in clients))
        idle = rss() - before
        meter = Meter()
        turns = await asyncio.gather(*(client._turn(directive) for client in clients))  # noqa: SLF001  siblings
        turn = meter.turn(sum(turn.events for turn in turns), sum(turn.lost for turn in turns))
        used = threads()
        await asyncio.gather(*(client.disconnect() for client in clients))
        return Many(idle, used, turn)

"""Places to meet: a test and a stream that run side by side wait for each other here.

This file knows nothing of replies or sockets. The one idea: nobody sleeps and
looks again; whoever waits is woken by the count that moves or the gate that opens.
"""

from __future__ import annotations

import asyncio

__all__ = ["Gate", "Tally"]


class Gate:
    """A place in a stream where the reply waits until the test says go.

    An open gate stays open. One gate may hold many streams. It belongs to one event
    loop, but may be made before that loop runs.

    Example::

        gate = Gate()
        model.enqueue(Reply(Say("one "), Hold(gate), Say("two")))
        ...
        await gate.reached()   # the model has said "one "
        gate.open()
    """

    __slots__ = ("_arrivals", "_open")

    def __init__(self) -> None:
        self._arrivals = Tally()
        self._open = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether streams pass."""
        return self._open.is_set()

    def open(self) -> None:
        """Let every stream pass, those that wait and those still to come."""
        self._open.set()

    async def reached(self, streams: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until that many streams have come to the gate; raise ``TimeoutError`` after ``timeout`` seconds."""
        await self._arrivals.wait_for(streams, timeout=timeout, what="streams at the gate")

    async def wait(self) -> None:
        """Come to the gate as a stream does: count the arrival, then wait until it is open."""
        self._arrivals.add_one()
        await self._open.wait()


class Tally:
    """A count that only grows, and that tasks may wait for."""

    __slots__ = ("_changed", "count")

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def add_one(self) -> None:
        """Count one more and wake whoever waits."""
        self.count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, count: int, *, timeout: float, what: str) -> None:
        """Wait until the count is reached; raise ``TimeoutError``, with both numbers, after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self.count < count:
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{self.count} of {count} {what} after {timeout:g} s") from None

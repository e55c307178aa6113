"""The time that the runtime lives by: one small protocol, and the running loop's own clock behind it.

Whoever waits for a deadline, a back-off or a quiet period asks a :class:`Clock`, never ``asyncio`` or ``time``, so a
test can hand in a clock that it turns by hand. Two times, never mixed: ``monotonic`` decides when things happen,
``wall`` only dates them, and no step of the wall clock moves a deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVarTuple, final

__all__ = ["Cancellable", "Clock", "LoopClock", "time_limit"]

Ts = TypeVarTuple("Ts")


class Cancellable(Protocol):
    """Something that was planned and can be called off; calling it off twice, or too late, does nothing."""

    def cancel(self) -> None:
        """Call it off."""
        ...


class Clock(Protocol):
    """What time it is, and a way to be called later. All times are seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment. Never goes back."""
        ...

    def wall(self) -> float:
        """Unix time. May jump either way, so it is for dates only."""
        ...

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> Cancellable:
        """Call ``callback(*args)`` once, when :meth:`monotonic` reaches ``when``; soon, if it already has."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return when :meth:`monotonic` has reached ``when``; other tasks run in between, also if it already has."""
        ...


@final
class LoopClock:
    """The clock of the running event loop. Holds nothing, so one may serve any number of loops."""

    __slots__ = ()

    def monotonic(self) -> float:
        """The loop's own time."""
        return asyncio.get_running_loop().time()

    wall = staticmethod(time.time)

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> Cancellable:
        """Plan a call on the loop; an exception in it goes to the loop's exception handler."""
        return asyncio.get_running_loop().call_at(when, callback, *args)

    async def sleep_until(self, when: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))


@asynccontextmanager
async def time_limit(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """As ``asyncio.timeout``, on a clock of choice."""
    async with asyncio.timeout(None) as limit:
        timer = clock.call_at(clock.monotonic() + seconds, limit.reschedule, 0.0)
        try:
            yield
        finally:
            timer.cancel()

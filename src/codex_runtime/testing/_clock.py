"""A clock that stands still until a test moves it: deadlines, back-offs and schedules without waiting.

It never looks at the real time. The one idea: :meth:`ManualClock.advance` goes from one due call to the next, and
after each lets everything run that became ready, so what a call plans for a later moment *within* the same advance
still happens in its place.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from typing import TypeVarTuple, final

__all__ = ["ManualClock"]

Ts = TypeVarTuple("Ts")

# How often ready tasks get the loop after each step, at most. One exchange with a fake in memory is about five turns of
# the loop, and a restart with a few threads a dozen exchanges: a clock that went on before that was over would make
# deadlines pass that nobody missed.
_TURNS = 250
_IDLE_TURNS = 3


@final
class ManualClock:
    """A :class:`~codex_runtime.runtime.Clock` for tests: time passes in :meth:`advance` and nowhere else.

    ``monotonic`` and ``wall`` are the times to begin with, in seconds; the wall clock starts on a fixed day, so that
    dates in results are the same in every run. It belongs to one event loop.

    Example::

        clock = ManualClock()
        async with Runtime(RuntimeConfig(launcher=fake, clock=clock)) as runtime:
            fake.die()
            await clock.advance(0.5)  # the back-off is over, the next app server runs
    """

    __slots__ = ("_heap", "_monotonic", "_order", "_wall")

    def __init__(self, *, monotonic: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._heap: list[tuple[float, int, _Planned]] = []
        self._order = itertools.count()

    def __repr__(self) -> str:
        """Show the time and how much is planned."""
        return f"<ManualClock {self._monotonic:g} planned={self.planned}>"

    @property
    def planned(self) -> int:
        """How many calls and sleepers wait for their time."""
        return sum(not planned.is_over for _, _, planned in self._heap)

    @property
    def upcoming(self) -> tuple[float, ...]:
        """In how many seconds each of them is due, the next one first."""
        return tuple(sorted(when - self._monotonic for when, _, planned in self._heap if not planned.is_over))

    @property
    def next_due(self) -> float | None:
        """When the next of them is due, on :meth:`monotonic`; ``None`` if nothing is planned."""
        self._forget_cancelled()
        return self._heap[0][0] if self._heap else None

    # -- what the code under test sees -------------------------------------------------------------------------------

    def monotonic(self) -> float:
        """Seconds since some fixed moment; only :meth:`advance` moves it."""
        return self._monotonic

    def wall(self) -> float:
        """Unix time; moved by :meth:`advance` and :meth:`step_wall`."""
        return self._wall

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> _Planned:
        """Plan a call. Nothing is called before the next :meth:`advance`, not even what is due already."""
        planned = _Planned(lambda: callback(*args))
        heapq.heappush(self._heap, (when, next(self._order), planned))
        return planned

    async def sleep_until(self, when: float) -> None:
        """Wait until an :meth:`advance` reaches ``when``; return after one turn of the loop if it already has."""
        if when <= self._monotonic:
            await asyncio.sleep(0)
            return
        awake = asyncio.get_running_loop().create_future()
        planned = self.call_at(when, _wake, awake)
        try:
            await awake
        finally:
            planned.cancel()

    # -- what the test does ------------------------------------------------------------------------------------------

    async def advance(self, seconds: float) -> None:
        """Let that much time pass: make the calls that fall due, in order, and let ready tasks run after each.

        ``advance(0)`` makes the calls that are due now. An exception of a call comes out here, with the clock standing
        at that moment. Raises ``ValueError`` for a negative or endless time.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError("time passes by a finite number of seconds, 0 or more")
        target = self._monotonic + seconds
        await _settle()
        while (due := self.next_due) is not None and due <= target:
            self._move_to(max(due, self._monotonic))
            _, _, planned = heapq.heappop(self._heap)
            planned.run()
            await _settle()
        self._move_to(target)

    def hold_up(self, seconds: float) -> None:
        """Let that much time pass in which nothing is called: what code does that blocks the event loop."""
        self._move_to(self._monotonic + seconds)

    def step_wall(self, seconds: float) -> None:
        """Put the wall clock forward, or back, without any time passing: what a correction of the system clock does."""
        self._wall += seconds

    def _move_to(self, when: float) -> None:
        self._wall += when - self._monotonic
        self._monotonic = when

    def _forget_cancelled(self) -> None:
        while self._heap and self._heap[0][2].is_over:
            heapq.heappop(self._heap)


@final
class _Planned:
    """One call that waits for its time."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], object]) -> None:
        self._call: Callable[[], object] | None = call

    @property
    def is_over(self) -> bool:
        return self._call is None

    def cancel(self) -> None:
        self._call = None

    def run(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


async def _settle() -> None:
    # asyncio cannot be asked whether anything is ready to run. Its own loops can be looked at; with others all the turns
    # are taken, which only costs time.
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    idle = 0
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        idle = idle + 1 if ready is not None and not ready else 0
        if idle == _IDLE_TURNS:
            return

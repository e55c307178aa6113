"""Many waits and one timer, for waits that nearly always end before their time.

A timer of the event loop for each costs more than the rest of a short call, and a heap of them half of that. Here whoever
owns the waits keeps them anyway, each with its moment; the alarm only knows the earliest, and when it rings the owner
looks through them once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable, Clock

__all__ = ["Alarm"]


@final
class Alarm:
    """Rings at the earliest moment that was asked for.

    ``ring(now)`` ends all waits that are over by ``now`` and returns the earliest moment of the others, infinity if there
    are none. ``at`` is when it rings next: compare with it, and call :meth:`by` only for what is earlier.
    """

    __slots__ = ("_clock", "_ring", "_timer", "at")

    def __init__(self, clock: Clock, ring: Callable[[float], float]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: Cancellable | None = None
        self.at = math.inf

    def by(self, when: float) -> None:
        """Ring at ``when``, on the clock, if not earlier. It may then find that the wait is long over."""
        if when < self.at:
            self._arm(when)

    def close(self) -> None:
        """Do not ring any more."""
        self._arm(math.inf)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.at = when
        self._timer = None if when == math.inf else self._clock.call_at(when, self._rang)

    def _rang(self) -> None:
        # A loop may be early by less than its clock can tell.
        now = max(self.at, self._clock.monotonic())
        self._timer, self.at = None, math.inf
        self.by(self._ring(now))

"""Many deadlines and one timer, for waits that nearly always end before their time.

A timer of the event loop costs more than the rest of a short call. Here a deadline is an entry in a heap; calling it off
only empties the entry, and the one timer that is armed for the earliest may find nothing to do when it rings. Emptied
entries are swept out before they are more than half of the heap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, final

from msgspec import Struct

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable, Clock

__all__ = ["Deadline", "Deadlines"]

T = TypeVar("T")

_FEW = 64  # not worth a sweep


class Deadline(Struct, eq=False):  # a struct, because it is made in no time
    """One of them. It holds what it will call, and nothing once it was called or called off."""

    callback: Callable[[Any], object] | None
    value: object

    @property
    def is_over(self) -> bool:
        """True once it was called or called off."""
        return self.callback is None

    def cancel(self) -> None:
        """Call it off. Doing that twice, or too late, does nothing."""
        self.callback = self.value = None

    def pass_by(self) -> None:
        """Call what it holds, unless it is over."""
        callback, value = self.callback, self.value
        self.callback = self.value = None
        if callback is not None:
            callback(value)


@final
class Deadlines:
    """All deadlines of one owner, who closes it in the end."""

    __slots__ = ("_armed_for", "_clock", "_enough", "_heap", "_order", "_timer")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = count()
        self._enough = _FEW
        self._timer: Cancellable | None = None
        self._armed_for = math.inf

    def __len__(self) -> int:
        """How many are neither past nor called off."""
        return sum(not deadline.is_over for _, _, deadline in self._heap)

    def add(self, when: float, callback: Callable[[T], object], value: T) -> Deadline:
        """Have ``callback(value)`` called at ``when``, on the clock; those of the same moment in the order of their adding."""
        deadline = Deadline(callback, value)
        heappush(self._heap, (when, next(self._order), deadline))
        if when < self._armed_for:
            self._arm(when)
        if len(self._heap) > self._enough:
            self._sweep()
        return deadline

    def close(self) -> None:
        """Call all of them off."""
        self._heap.clear()
        self._arm(math.inf)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = when
        self._timer = None if when == math.inf else self._clock.call_at(when, self._ring)

    def _ring(self) -> None:
        # A loop may be early by less than its clock can tell.
        now = max(self._armed_for, self._clock.monotonic())
        self._timer, self._armed_for = None, math.inf
        try:
            while self._heap and self._heap[0][0] <= now:
                heappop(self._heap)[2].pass_by()
        finally:
            while self._heap and self._heap[0][2].is_over:
                heappop(self._heap)
            self._arm(self._heap[0][0] if self._heap else math.inf)

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if not entry[2].is_over]
        heapify(self._heap)
        self._enough = max(_FEW, 2 * len(self._heap))

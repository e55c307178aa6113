"""The deadlines of one turn: for all of it, for its first sign of life, and for each silence in it.

The one idea: only the agent's own work counts as life. That the server took the prompt, warns, or tries once more to reach
its model, says nothing of that; and while somebody is asked for leave, the silence is not the agent's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from codex_runtime._sansio.turn_events import (
    ErrorReported,
    ItemCompleted,
    ItemStarted,
    OtherNotification,
    Reconnected,
    RetryNotice,
    TurnStarted,
    TurnWarning,
)

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable, Clock

__all__ = ["Limits"]

_NO_LIFE: frozenset[type[object]] = frozenset(
    {TurnStarted, RetryNotice, ErrorReported, TurnWarning, Reconnected, OtherNotification}
)
_ECHO = "userMessage"


class Limits:
    """Watches the time of a turn, and calls ``expire`` once, when the first deadline has passed.

    ``passed`` then says which deadline it was, and is empty before. ``is_asking`` tells whether somebody is asked for
    leave just now, or the silence has another reason that is not the agent's.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        whole: float | None,
        first_event: float | None,
        idle: float | None,
        is_asking: Callable[[], bool],
        expire: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._whole = whole
        self._first_event = first_event
        self._idle = idle
        self._is_asking = is_asking
        self._expire = expire
        self._timers: dict[str, Cancellable] = {}
        self._last = 0.0
        self.needs_events = first_event is not None or idle is not None
        self.passed = ""

    def start(self) -> None:
        """Let the time run."""
        self._last = now = self._clock.monotonic()
        call_at = self._clock.call_at
        if self._whole is not None:
            self._timers["whole"] = call_at(
                now + self._whole, self._pass, f"the turn did not end within {self._whole:g} s"
            )
        if self._first_event is not None:
            why = f"nothing came of the turn within {self._first_event:g} s (first_event_deadline)"
            self._timers["first"] = call_at(now + self._first_event, self._pass, why)
        if self._idle is not None:
            self._timers["idle"] = call_at(now + self._idle, self._look, self._idle)

    def note(self, events: Iterable[object]) -> None:
        """Take note of events of the turn."""
        if any(map(_is_life, events)):
            self._last = self._clock.monotonic()
            if (first := self._timers.pop("first", None)) is not None:
                first.cancel()

    def excuse(self) -> None:
        """Let the silence count from now on: so far it was not the agent's."""
        self._last = self._clock.monotonic()

    def stop(self) -> None:
        """Stop the time, for good."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        # Both are of the turn, which holds this: a circle would keep all that came of it until the collector comes.
        self._is_asking, self._expire = _nobody_asks, _nothing_expires

    def _look(self, idle: float) -> None:
        now = self._clock.monotonic()
        if self._is_asking():
            self._last = now
        if now - self._last >= idle:
            self._pass(f"the turn was silent for {idle:g} s (idle_deadline)")
        else:
            # Events only leave their time behind, which is cheaper than to plan anew with each.
            self._timers["idle"] = self._clock.call_at(self._last + idle, self._look, idle)

    def _pass(self, why: str) -> None:
        if not self.passed:
            self.passed = why
            expire = self._expire
            self.stop()
            expire()


def _nobody_asks() -> bool:
    return False


def _nothing_expires() -> None:
    return


def _is_life(event: object) -> bool:
    if isinstance(event, ItemStarted | ItemCompleted):
        return event.kind != _ECHO
    return type(event) not in _NO_LIFE

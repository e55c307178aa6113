"""Our requests, from the caller's ``await`` to their one outcome.

A call is one future. It waits in line while no server is ready, while too many requests are in flight, or while the
server does not read; then it is written; then it waits for the answer. The same deadline covers all three, and whoever
comes first settles it: the answer, the deadline, the loss of the server, or the caller who goes away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

from codex_runtime._sansio.peer import refusal_of
from codex_runtime.errors import (
    CodexError,
    OverloadedError,
    RemoteProtocolError,
    RequestFailedError,
    RequestTimeoutError,
)

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable, Clock
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.envelope import Envelope
    from codex_runtime.runtime.metrics import Counters

__all__ = ["Call", "Calls", "outcome_of"]

# The code of the real server for "no room", which it sends without doing anything.
OVERLOADED = -32001
# Above this many unread bytes in our own buffer a call waits in line rather than grow it.
MAX_UNSENT = 1024 * 1024

CallKind: TypeAlias = Literal["greeting", "request", "notification"]


class Call:
    """One request or notification on its way. ``future`` gets the response, or ``None`` once a notification is out.

    ``at_once`` gets the response too, inside the dispatch, before anything that follows it is looked at.
    """

    __slots__ = ("at_once", "future", "kind", "link", "method", "params", "request_id", "timer")

    def __init__(self, kind: CallKind, method: str, params: object, future: asyncio.Future[Envelope | None]) -> None:
        self.kind = kind
        self.method = method
        self.params = params
        self.future = future
        self.link: Link[Call] | None = None
        self.request_id = 0
        self.timer: Cancellable | None = None
        self.at_once: Callable[[Envelope], None] | None = None


class Calls:
    """The line of calls of one runtime.

    ``link`` is the ready link, or ``None`` while there is none; calls then wait in line. ``pump`` looks whether the
    first in line can go.
    """

    def __init__(
        self, *, clock: Clock, counters: Counters, max_in_flight: int, write: Callable[[Link[Call], bytes], None]
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._max_in_flight = max_in_flight
        self._write = write
        self._line: deque[Call] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closed: Callable[[], CodexError] | None = None
        self.link: Link[Call] | None = None
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """How many wait in line."""
        return len(self._line)

    async def run(
        self,
        kind: CallKind,
        method: str,
        params: object,
        seconds: float,
        *,
        on: Link[Call] | None = None,
        at_once: Callable[[Envelope], None] | None = None,
    ) -> Envelope | None:
        """Carry one call through. ``on`` names a link that is not ready for everyone yet, and skips the line.

        Raises :class:`RequestTimeoutError`, :class:`~codex_runtime.errors.ConnectionLostError` or :class:`LocalProtocolError`.
        """
        if self._closed is not None:
            raise self._closed()
        call = Call(kind, method, params, asyncio.get_running_loop().create_future())
        call.at_once = at_once
        call.timer = self._clock.call_at(self._clock.monotonic() + seconds, self._expire, call, seconds)
        try:
            if on is not None:
                self._send(call, on)
            else:
                self._line.append(call)
                self.pump()
            return await call.future
        finally:
            call.timer.cancel()
            self._forget(call)

    def pump(self) -> None:
        """Send what can be sent, in order."""
        line = self._line
        while line and (link := self.link) is not None and self.in_flight < self._max_in_flight:
            if link.unsent > MAX_UNSENT:
                self._wait_for_room(link)
                return
            call = line.popleft()
            if not call.future.done():
                try:
                    self._send(call, link)
                except Exception as error:  # noqa: BLE001  # it goes to the one whose call it is, not to who made room
                    call.future.set_exception(error)

    def settle(self, answered: list[tuple[Call, Envelope]]) -> None:
        """Give calls their responses."""
        for call, envelope in answered:
            if not call.future.done():
                call.future.set_result(envelope)

    def fail(self, orphans: Iterable[Call], error: Callable[[], CodexError]) -> None:
        """Fail the calls that a lost link leaves behind, each with an error of its own."""
        for call in orphans:
            if not call.future.done():
                self._counters.requests_lost += 1
                call.future.set_exception(error())

    def close(self, error: Callable[[], CodexError]) -> None:
        """Fail everything in line and all that would still come."""
        self._closed = error
        self.link = None
        line, self._line = self._line, deque()
        self.fail(line, error)
        if self._drain is not None:
            self._drain.cancel()

    def _send(self, call: Call, link: Link[Call]) -> None:
        if call.kind == "notification":
            self._write(link, link.peer.notify(call.method, call.params))
            call.future.set_result(None)
            return
        if call.kind == "greeting":
            call.request_id, data = link.peer.greet(call.params, call)
        else:
            call.request_id, data = link.peer.request(call.method, call.params, call)
        call.link = link
        self.in_flight += 1
        self._counters.requests += 1
        self._write(link, data)

    def _expire(self, call: Call, seconds: float) -> None:
        if not call.future.done():
            self._counters.requests_timed_out += 1
            call.future.set_exception(RequestTimeoutError(call.method, seconds))

    def _forget(self, call: Call) -> None:
        if call.link is not None:
            call.link.peer.abandon(call.request_id)
            self.in_flight -= 1
            if self._line:
                self.pump()
        elif call in self._line:
            self._line.remove(call)

    def _wait_for_room(self, link: Link[Call]) -> None:
        if self._drain is None or self._drain.done():
            self._drain = asyncio.get_running_loop().create_task(self._drained(link), name="wait for the pipe")

    async def _drained(self, link: Link[Call]) -> None:
        await link.transport.drain()
        self._drain = None
        self.pump()

    async def aclose(self) -> None:
        """Wait for what :meth:`close` cancelled."""
        if self._drain is not None:
            await asyncio.wait([self._drain])


def outcome_of(method: str, envelope: Envelope) -> Envelope:
    """Return a response that holds a result, or raise what it holds instead."""
    if envelope.fault is not None:
        problem = "is longer than the line limit" if envelope.fault.reason == "too_long" else "is not JSON"
        raise RemoteProtocolError(f"{method}: the answer {problem} ({envelope.fault.size} bytes)")
    if not envelope.refused:
        return envelope
    code, message, data = refusal_of(envelope)
    kind = OverloadedError if code == OVERLOADED else RequestFailedError
    raise kind(method, code, message, data)

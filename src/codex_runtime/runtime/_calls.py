"""Our requests, from the caller's ``await`` to their one outcome.

A call is one future. It waits in line while no server is ready, while too many requests are in flight, or while the
server does not read; then it is written; then it waits for the answer. The same deadline covers all three, and whoever
comes first settles it: the answer, the deadline, the loss of the server, or the caller who goes away.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from codex_runtime._io.alarm import Alarm
from codex_runtime._sansio.envelope import ABSENT, DECODE_ERRORS, JsonValue, loads
from codex_runtime._sansio.peer import refusal_of
from codex_runtime._sansio.permissions import GATED, gate
from codex_runtime.errors import (
    CodexError,
    ConfigError,
    LocalProtocolError,
    OverloadedError,
    RemoteProtocolError,
    RequestFailedError,
    RequestTimeoutError,
)

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.envelope import Envelope
    from codex_runtime.runtime.metrics import Counters

__all__ = ["NOT_OPEN", "Call", "Calls", "outcome_of"]

NOT_OPEN = "the runtime is not open: use it as `async with Runtime(...)`"
# The code of the real server for "no room", which it sends without doing anything.
OVERLOADED = -32001
# Waits in any line: what makes room is not kept out for want of it.
INTERRUPT = "turn/interrupt"
# Above this many unread bytes in our own buffer a call waits in line rather than grow it.
MAX_UNSENT = 1024 * 1024
# The first pause before an overloaded request is tried again, in seconds; it doubles each time.
OVERLOAD_PAUSE = 0.05

CallKind: TypeAlias = Literal["greeting", "request", "notification"]


class Call(Struct, eq=False):
    """One request or notification on its way. ``future`` gets the response, or ``None`` once a notification is out.

    ``seconds`` is the time that it was given, which is over at ``due``. ``at_once`` gets the response too, inside the
    dispatch, before whoever follows a thread hears what came after it. ``link`` is where it is in flight, if it is.
    """

    kind: CallKind
    method: str
    params: object
    future: asyncio.Future[Envelope | None]
    seconds: float
    due: float
    at_once: Callable[[Envelope], None] | None = None
    link: Link[Call] | None = None
    request_id: int = 0


class Calls:
    """The calls of one runtime.

    ``link`` is the ready link, or ``None`` while there is none; calls then wait in line. ``pump`` looks whether the
    first in line can go.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        counters: Counters,
        deadline: float,
        max_in_flight: int,
        max_waiting: int,
        overload_retries: int,
        allow_full_access: bool,
        write: Callable[[Link[Call], bytes], None],
    ) -> None:
        self._clock = clock
        self._alarm = Alarm(clock, self._expire)
        self._counters = counters
        self._deadline = deadline
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._overload_retries = overload_retries
        self._allow_full_access = allow_full_access
        self._write = write
        self._open: dict[Call, None] = {}  # all that have no outcome yet, oldest first
        self._line: deque[Call] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closed: Callable[[], CodexError] | None = lambda: LocalProtocolError(NOT_OPEN)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.link: Link[Call] | None = None
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """How many wait in line."""
        return len(self._line)

    def open(self) -> None:
        """Take calls from now on, on this event loop."""
        self._closed = None
        self._loop = asyncio.get_running_loop()

    async def request(
        self,
        method: str,
        params: object,
        *,
        deadline: float | None = None,
        on: Link[Call] | None = None,
        at_once: Callable[[Envelope], None] | None = None,
        allow_full_access: bool = False,
    ) -> Envelope:
        """Carry a request through, again and again if the server is overloaded. Returns a response that holds a result.

        Raises :class:`RequestFailedError`, :class:`RemoteProtocolError` and what :meth:`run` raises.
        """
        total = seconds = self._deadline if deadline is None else _checked(deadline)
        now = began = self._clock.monotonic()
        for attempt in range(self._overload_retries + 1):
            try:
                call = self._start("request", method, params, seconds, now, on, allow_full_access=allow_full_access)
                call.at_once = at_once
                try:
                    response = await call.future
                finally:
                    if call in self._open:
                        self._forget(call)
                    del call  # it holds its error, which knows this frame: a circle would wait for the collector
                if response is not None:
                    self._counters.request_times.add(method, response.stamp.monotonic - began)
                return outcome_of(method, response)
            except RequestTimeoutError:
                self._counters.requests_failed += 1
                raise RequestTimeoutError(method, total) from None
            except OverloadedError:
                pause = OVERLOAD_PAUSE * 2**attempt * (0.5 + random.random())  # noqa: S311  # spreads retries; not a secret
                again = self._clock.monotonic() + pause
                seconds = began + total - again
                if attempt == self._overload_retries or seconds <= 0:
                    self._counters.requests_failed += 1
                    raise
                self._counters.overload_retries += 1
                await self._clock.sleep_until(again)
                now = self._clock.monotonic()
            except CodexError:
                self._counters.requests_failed += 1
                raise
        raise AssertionError("unreachable")  # pragma: no cover

    async def request_and_note(
        self,
        method: str,
        params: object,
        note: Callable[[JsonValue], None],
        *,
        deadline: float | None = None,
        on: Link[Call] | None = None,
        allow_full_access: bool = False,
    ) -> JsonValue:
        """Carry a request through as :meth:`request` does, and return its result as JSON values.

        ``note`` gets the same values, inside the dispatch, before whoever follows a thread hears what came after them.
        """
        result: list[JsonValue] = []

        def at_once(envelope: Envelope) -> None:
            if envelope.fault is None and not envelope.refused and envelope.result is not ABSENT:
                result.append(self.decoded(method, envelope))
                note(result[0])

        response = await self.request(
            method, params, deadline=deadline, on=on, at_once=at_once, allow_full_access=allow_full_access
        )
        return result[0] if result else self.decoded(method, response)

    async def notify(self, method: str, params: object, *, deadline: float | None = None) -> None:
        """Carry a notification to where it is on its way."""
        await self.run("notification", method, params, self._deadline if deadline is None else _checked(deadline))

    def decoded(self, method: str, envelope: Envelope) -> JsonValue:
        """Return the result that a response holds. Raises :class:`RemoteProtocolError`."""
        if envelope.result is ABSENT:
            return None
        try:
            return loads(envelope.result)
        except DECODE_ERRORS:
            self._counters.requests_failed += 1
            raise RemoteProtocolError(f"{method}: the result cannot be decoded") from None

    async def run(
        self,
        kind: CallKind,
        method: str,
        params: object,
        seconds: float,
        *,
        on: Link[Call] | None = None,
    ) -> Envelope | None:
        """Carry one call through. A notification has no response.

        ``on`` names a link that is not ready for everyone yet, and skips the line.

        Raises :class:`RequestTimeoutError`, :class:`~codex_runtime.errors.ConnectionLostError` or :class:`LocalProtocolError`.
        """
        call = self._start(kind, method, params, seconds, self._clock.monotonic(), on)
        try:
            return await call.future
        finally:
            if call in self._open:
                self._forget(call)
            del call  # as above

    def _start(
        self,
        kind: CallKind,
        method: str,
        params: object,
        seconds: float,
        now: float,
        on: Link[Call] | None,
        *,
        allow_full_access: bool = False,
    ) -> Call:
        """Send a call or put it in line. Whoever waits for its future forgets it, unless it was settled."""
        if self._closed is not None:
            raise self._closed()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            require_loop(self._loop)
        if method in GATED and not (allow_full_access or self._allow_full_access):
            params = gate(method, params)
        if len(self._line) >= self._max_waiting and on is None and method != INTERRUPT:
            raise LocalProtocolError(f"{method}: {len(self._line)} calls wait in line already (max_waiting)")
        call = Call(kind, method, params, asyncio.Future(loop=loop), seconds, due := now + seconds)
        self._open[call] = None
        if due < self._alarm.at:
            self._alarm.by(due)
        if on is None:
            on = self.link
            if self._line or on is None or self.in_flight >= self._max_in_flight or on.unsent > MAX_UNSENT:
                self._line.append(call)
                self.pump()
                return call
        try:
            self._send(call, on)
        except BaseException:
            self._forget(call)
            raise
        return call

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

    def settle(self, answered: Iterable[tuple[Call, Envelope]]) -> None:
        """Give calls their responses."""
        for call, envelope in answered:
            if not call.future.done():
                call.future.set_result(envelope)
            self._land(call)
        if self._line:
            self.pump()

    def fail(self, orphans: Iterable[Call], error: Callable[[], CodexError]) -> None:
        """Fail the calls that a lost link leaves behind, each with an error of its own."""
        for call in orphans:
            if not call.future.done():
                self._counters.requests_lost += 1
                call.future.set_exception(error())
            self._land(call)

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

    def _expire(self, now: float) -> float:
        """Fail the calls whose time is over, and return when the next one's is."""
        for call in sorted([call for call in self._open if call.due <= now], key=lambda call: call.due):
            if not call.future.done():
                self._counters.requests_timed_out += 1
                call.future.set_exception(RequestTimeoutError(call.method, call.seconds))
        return min((call.due for call in self._open if not call.future.done()), default=math.inf)

    def _land(self, call: Call) -> None:
        """Take note that a call is neither in flight nor in line any more."""
        self._open.pop(call, None)
        if call.link is not None:
            call.link = None
            self.in_flight -= 1

    def _forget(self, call: Call) -> None:
        """Let go of a call that nobody answered, or nobody waits for."""
        if (link := call.link) is not None:
            link.peer.abandon(call.request_id)
        elif call in self._line:
            self._line.remove(call)
        self._land(call)
        if self._line:
            self.pump()

    def _wait_for_room(self, link: Link[Call]) -> None:
        if self._drain is None or self._drain.done():
            self._drain = asyncio.get_running_loop().create_task(self._drained(link), name="wait for the pipe")

    async def _drained(self, link: Link[Call]) -> None:
        await link.transport.drain()
        self._drain = None
        self.pump()

    async def aclose(self) -> None:
        """Wait for what :meth:`close` cancelled."""
        self._alarm.close()
        if self._drain is not None:
            await asyncio.wait([self._drain])


def _checked(deadline: float) -> float:
    if not deadline > 0:
        raise ConfigError("deadline", "must be a number of seconds above 0")
    return deadline


def require_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Refuse a caller on another event loop: it would wait for ever."""
    if loop is not None and loop is not asyncio.get_running_loop():
        raise LocalProtocolError("the runtime belongs to the event loop on which it was opened; this is another one")


def outcome_of(method: str, envelope: Envelope | None) -> Envelope:
    """Return a response that holds a result, or raise what it holds instead."""
    if envelope is None:
        raise AssertionError("a request always has a response")
    if envelope.error is ABSENT and envelope.fault is None and envelope.result is not ABSENT:
        return envelope  # nearly always
    if envelope.fault is not None:
        problem = "is longer than the line limit" if envelope.fault.reason == "too_long" else "is not JSON"
        raise RemoteProtocolError(f"{method}: the answer {problem} ({envelope.fault.size} bytes)")
    if not envelope.refused:
        if envelope.result is ABSENT:
            raise RemoteProtocolError(f"{method}: the answer holds neither a result nor an error")
        return envelope
    code, message, data = refusal_of(envelope)
    kind = OverloadedError if code == OVERLOADED else RequestFailedError
    raise kind(method, code, message, data)

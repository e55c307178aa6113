"""One turn, as its caller sees it: events while it runs, a result at the end, and a way to stop it.

The turn is folded inside the dispatch, message by message, so the result does not depend on how fast anybody reads. What
waits to be read is bounded by merging deltas; no text is ever cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_buffer import TurnBuffer
from codex_runtime._sansio.turn_events import ApprovalRequested, TurnCompleted, TurnEvent
from codex_runtime._sansio.turn_result import TurnFault, TurnResult
from codex_runtime.errors import (
    CodexError,
    ConnectionLostError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestFailedError,
    TurnFailedError,
    TurnInterruptedError,
    TurnLostError,
    TurnTimeoutError,
)
from codex_runtime.runtime import Ticket

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import Envelope, JsonValue
    from codex_runtime.client._prompt import Approvals
    from codex_runtime.client._session import Session

__all__ = ["Event", "Turn"]

Event: TypeAlias = TurnEvent | ApprovalRequested[Ticket]

# How long an interrupted turn gets to end, in seconds. The real server needs some 15 ms.
GRACE = 5.0
# The server refuses to interrupt a turn that it has accepted but not yet started; ask again after this pause.
RACE_PAUSE = 0.02


class Turn:
    """A running turn. Get it from ``session.stream(...)`` and use it as ``async with ... as turn``.

    Iterate it for the events; the last one is :class:`TurnCompleted`. :meth:`finish` waits for the end and returns the
    result, whether or not anybody iterates. Leaving the block before the end, or being cancelled in it, interrupts the
    turn on the server and waits for its end within a grace.
    """

    def __init__(
        self,
        session: Session,
        params: Callable[[], dict[str, JsonValue]],
        *,
        approvals: Approvals,
        deadline: float | None,
        keep_events: bool = True,
    ) -> None:
        self._session = session
        self._runtime = session.runtime
        self._clock = session.runtime.clock
        self._params = params
        self._approvals = approvals
        self._deadline = deadline
        self._keep_events = keep_events
        self._reducer = TurnReducer(session.thread_id)
        self._buffer: TurnBuffer[Event] = TurnBuffer()
        self._waiters: list[asyncio.Future[None]] = []
        self._over = asyncio.Event()
        self._lost: ConnectionLostError | None = None
        self._timed_out = False
        self._timeout: asyncio.Task[None] | None = None
        self._entered = False

    @property
    def thread_id(self) -> str:
        """The thread that the turn belongs to."""
        return self._reducer.thread_id

    @property
    def turn_id(self) -> str | None:
        """The server's id of the turn, once it has started."""
        return self._reducer.turn_id

    @property
    def is_over(self) -> bool:
        """True once the turn has its result."""
        return self._reducer.is_over

    @property
    def result(self) -> TurnResult:
        """What has come of the turn so far; exact and final once it is over."""
        return self._reducer.partial()

    async def __aenter__(self) -> Self:
        """Start the turn."""
        if self._entered:
            raise LocalProtocolError("a turn runs only once; call session.stream() again")
        self._entered = True
        self._session.begin(self)
        stop_listening = self._runtime.listen(self.thread_id, self)
        self._stop = stop_listening
        timer = None
        if self._deadline is not None:
            timer = self._clock.call_at(self._clock.monotonic() + self._deadline, self._expire)
        self._timer = timer
        try:
            await self._start()
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the turn, if it still runs."""
        try:
            if not self.is_over:
                await self._interrupt()
        finally:
            if not self.is_over:
                self._push(self._reducer.end("interrupted"))
            self._release()
            if self._timeout is not None and self._timeout is not asyncio.current_task():
                self._timeout.cancel()
                await asyncio.wait([self._timeout])

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Ends after :class:`TurnCompleted`; does not raise for turns that failed."""
        self._require_entered()
        while (event := self._buffer.pop()) is None:
            if self.is_over:
                raise StopAsyncIteration
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return event

    async def take(self) -> list[Event]:
        """Wait for events and return all that wait to be read; an empty list after the last one."""
        try:
            events = [await anext(self)]
        except StopAsyncIteration:
            return []
        while (event := self._buffer.pop()) is not None:
            events.append(event)
        return events

    async def finish(self) -> TurnResult:
        """Wait for the end and return the result.

        Raises :class:`TurnFailedError`, :class:`TurnInterruptedError`, :class:`TurnTimeoutError` or
        :class:`TurnLostError`, each with the partial result. Events that nobody read are kept for whoever still iterates.
        """
        self._require_entered()
        await self._over.wait()
        return self._outcome(self._reducer.partial())

    async def interrupt(self) -> TurnResult:
        """Stop the turn on the server and wait for its end, within a grace. Returns what had come of it."""
        self._require_entered()
        if not self.is_over:
            await self._interrupt()
            if not self.is_over:
                self._push(self._reducer.end("interrupted"))
        return self._reducer.partial()

    async def steer(self, text: str) -> None:
        """Say something more to the running turn. Raises :class:`RequestFailedError` if it is already over."""
        self._require_entered()
        message = [{"type": "text", "text": text}]
        params = {"threadId": self.thread_id, "input": message, "expectedTurnId": self.turn_id}
        await self._runtime.request("turn/steer", params)

    # -- inside the dispatch ---------------------------------------------------------------------------------------

    def envelope(self, envelope: Envelope) -> None:
        """Fold a message of the thread."""
        if events := self._reducer.apply(envelope):
            self._push(events)

    def ticket(self, ticket: Ticket) -> bool:
        """Show a server request of this turn to the reader, and have it answered as the caller wished."""
        if ticket.turn_id is not None and self.turn_id is not None and ticket.turn_id != self.turn_id:
            return False
        self._push([ApprovalRequested(ticket)])
        match self._approvals:
            case "stream":
                if not self._keep_events:
                    return False
            case "decline":
                return False
            case "accept":
                if not ticket.is_approval:
                    return False
                ticket.accept()
            case handler:
                self._runtime.answer_with(ticket, handler)
        return True

    def lost(self, error: ConnectionLostError) -> None:
        """End the turn: its server is gone."""
        self._lost = error
        self._push(self._reducer.end("lost", TurnFault(str(error), kind="connectionLost")))

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        # A task of its own, so that a cancelled caller can still learn which turn it has to interrupt.
        request = asyncio.get_running_loop().create_task(self._runtime.request("turn/start", self._params()))
        try:
            reply = await asyncio.shield(request)
        except asyncio.CancelledError:
            await self._abandon(request)
            raise
        self._begin(reply)

    async def _abandon(self, request: asyncio.Task[JsonValue]) -> None:
        await asyncio.wait([request], timeout=GRACE)
        if not request.done():
            request.cancel()
        elif not request.cancelled() and request.exception() is None:
            self._begin(request.result())
            if not self.is_over:
                await self._interrupt()

    def _begin(self, reply: JsonValue) -> None:
        turn = reply.get("turn") if isinstance(reply, dict) else None
        turn_id = turn.get("id") if isinstance(turn, dict) else None
        if not isinstance(turn_id, str):
            raise RemoteProtocolError("turn/start: the result has no turn id")
        self._push(self._reducer.begin(turn_id))

    async def _interrupt(self) -> None:
        """Ask the server to stop the turn until it does, or the grace is over."""
        until = self._clock.monotonic() + GRACE
        params = {"threadId": self.thread_id, "turnId": self.turn_id}
        while not self.is_over and (left := until - self._clock.monotonic()) > 0:
            try:
                await self._runtime.request("turn/interrupt", params, deadline=left)
                break
            except RequestFailedError:
                # Accepted but not started yet, or just over: only a little patience tells which.
                await self._wait_over(RACE_PAUSE)
            except CodexError:
                # No answer, or no server. The end of the turn is told by its own message, if at all.
                break
        await self._wait_over(until - self._clock.monotonic())

    async def _wait_over(self, seconds: float) -> None:
        if seconds > 0 and not self.is_over:
            over = asyncio.get_running_loop().create_task(self._over.wait())
            await asyncio.wait([over], timeout=seconds)
            over.cancel()

    def _expire(self) -> None:
        if not self.is_over:
            self._timed_out = True
            self._reducer.interrupted_as = "timed_out"
            self._timeout = asyncio.get_running_loop().create_task(self._time_out(), name="interrupt a late turn")

    async def _time_out(self) -> None:
        if self.turn_id is not None:
            await self._interrupt()
        if not self.is_over:
            self._push(self._reducer.end("timed_out"))

    def _push(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._keep_events:
                self._buffer.push(event)
            if event.__class__ is TurnCompleted:
                self._over.set()
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _release(self) -> None:
        self._stop()
        if self._timer is not None:
            self._timer.cancel()
        self._session.end(self)

    def _require_entered(self) -> None:
        if not self._entered:
            raise LocalProtocolError("the turn is not running: use it as `async with session.stream(...) as turn`")

    def _outcome(self, result: TurnResult) -> TurnResult:
        match result.status:
            case "completed":
                return result
            case "failed":
                raise TurnFailedError(str(result.error or "the turn failed"), result)
            case "timed_out":
                raise TurnTimeoutError(f"the turn did not end within {self._deadline:g} s", result)
            case "lost":
                raise TurnLostError(f"the turn was lost: {self._lost}", result) from self._lost
            case _:
                raise TurnInterruptedError("the turn was interrupted", result)

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
from codex_runtime._sansio.turn_result import Item, TurnFault, TurnResult
from codex_runtime.client._approvals import answer
from codex_runtime.client._limits import Limits
from codex_runtime.errors import (
    CodexError,
    ConnectionLostError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestFailedError,
    RequestTimeoutError,
    SessionBusyError,
    TurnFailedError,
    TurnInterruptedError,
    TurnLostError,
    TurnTimeoutError,
)
from codex_runtime.runtime import Ticket

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import Envelope, JsonValue
    from codex_runtime._sansio.hooks import HookReport
    from codex_runtime.client._guard import TurnGuard
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
        idle_deadline: float | None = None,
        first_event_deadline: float | None = None,
        keep_events: bool = True,
        guard: TurnGuard | None = None,
        allow_full_access: bool = False,
    ) -> None:
        self._session = session
        self._runtime = session.runtime
        self._clock = session.runtime.clock
        self._params = params
        self.approvals = approvals
        self._limits = Limits(
            self._clock,
            whole=deadline,
            first_event=first_event_deadline,
            idle=idle_deadline,
            is_asking=self._is_asking,
            expire=self._expire,
        )
        self._keep_events = keep_events
        self._reducer = TurnReducer(session.thread_id)
        self._buffer: TurnBuffer[Event] = TurnBuffer()
        self._waiters: list[asyncio.Future[None]] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost: ConnectionLostError | None = None
        self._asking: asyncio.Task[None] | None = None
        self._timeout: asyncio.Task[None] | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._is_taken_for_remark = False
        self._given_up = False
        self._guard = guard
        self._allow_full_access = allow_full_access

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

    @property
    def hook_report(self) -> HookReport | None:
        """What went wrong with hooks so far; ``None`` without hooks."""
        return None if self._guard is None else self._guard.report

    @property
    def may_run_on(self) -> bool:
        """True if we gave the turn up before the server told its end."""
        return self._given_up

    async def __aenter__(self) -> Self:
        """Start the turn.

        Raises :class:`SessionBusyError` if another turn runs, and :class:`RequestFailedError` if the server refuses this
        one, :class:`HookBlockedError` if a hook does. If its deadline passes or the server dies before the turn has begun,
        it is over at once, with that result.
        """
        if self._asking is not None:
            raise LocalProtocolError("a turn runs only once; call session.stream() again")
        if self._guard is None:
            return await self._enter()
        await self._guard.begin()
        try:
            return await self._enter()
        except BaseException as error:
            await self._guard.end(self.result, error)
            raise

    async def _enter(self) -> Self:
        self._session.begin(self)
        self._limits.start()
        # A task of its own, so that a cancelled caller can still learn which turn it has to interrupt.
        self._asking = asyncio.get_running_loop().create_task(self._ask(), name="start a turn")
        try:
            await asyncio.wait([self._asking, self._over], return_when=asyncio.FIRST_COMPLETED)
            if self._asking.cancelled():
                await asyncio.wait([self._over])  # whoever stopped it is about to tell the end
            elif not self.is_over:
                self._asking.result()
        except asyncio.CancelledError:
            await self._end()
            raise
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the turn, if it still runs."""
        try:
            await self._end()
        finally:
            if self._guard is not None:
                await self._guard.end(self.result)

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
        await asyncio.wait([self._over])
        return self._outcome(self._reducer.partial())

    async def interrupt(self) -> TurnResult:
        """Stop the turn on the server and wait for its end, within a grace. Returns what had come of it."""
        self._require_entered()
        if not self.is_over:
            await self._stop()
        return self._reducer.partial()

    async def steer(self, text: str) -> None:
        """Say something more to the running turn. Raises :class:`RequestFailedError` if it is already over."""
        self._require_entered()
        if self.turn_id is None:
            raise LocalProtocolError("the turn has not begun")
        message = [{"type": "text", "text": text}]
        params = {"threadId": self.thread_id, "input": message, "expectedTurnId": self.turn_id}
        await self._runtime.request("turn/steer", params)

    # -- inside the dispatch ---------------------------------------------------------------------------------------

    def envelope(self, envelope: Envelope) -> None:
        """Fold a message of the thread."""
        if events := self._reducer.apply(envelope):
            self._push(events)
            if self._limits.needs_events:
                self._limits.note(events)
            if self._guard is not None:
                self._guard.note(events, self.turn_id)

    def ticket(self, ticket: Ticket) -> bool:
        """Show a server request of this turn to the reader, and have it answered as the caller wished."""
        if self.is_over or self.turn_id is None or ticket.turn_id not in (None, self.turn_id):
            return False
        if self._guard is not None and self._guard.takes(ticket, self.result, self._show):
            return True
        self._show(ticket)
        return self._keep_events if self.approvals == "stream" else answer(self._runtime, ticket, self.approvals)

    def _show(self, ticket: Ticket) -> None:
        self._push([ApprovalRequested(ticket)])

    def known_items(self, turn_id: str) -> Sequence[Item]:
        """The items of this turn so far, if it is meant."""
        return self.result.items if turn_id == self.turn_id else ()

    def lost(self, error: ConnectionLostError) -> None:
        """End the turn: its server is gone."""
        self._lost = error
        # One that has not begun is told by the answer to turn/start, which may yet go to the next server.
        if self.turn_id is not None:
            self._end_as_lost(error)

    # -- the start -------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        """Have the server begin the turn."""
        until = self._clock.monotonic() + self._runtime.config.request_deadline
        try:
            while not await self._ask_once(until):
                # While it waited in line, the server was restarted and the thread began afresh under another id.
                continue
        except RequestTimeoutError:
            if self._runtime.connection.phase == "running":
                await self._interrupt_once("", GRACE)
            raise
        if self._is_taken_for_remark:
            await self._interrupt_once(self._session.loose_turn or "", GRACE)
            raise SessionBusyError(
                "the server still ran the turn before, which was lost or had ignored its interruption; try again"
            )
        if self.turn_id is None and not self.is_over:
            raise RemoteProtocolError("turn/start: the result has no turn id")

    async def _ask_once(self, until: float) -> bool:
        """Ask for the turn. False: the thread has another id by now."""
        await self._wait_ready(until)
        thread_id = self._session.require_thread()
        if (left := until - self._clock.monotonic()) <= 0:
            raise RequestTimeoutError("turn/start", self._runtime.config.request_deadline)
        self._listen(thread_id)
        word = self._allow_full_access
        try:
            await self._runtime.request_and_note(
                "turn/start", self._params(), self._begin, deadline=left, allow_full_access=word
            )
        except RequestFailedError:
            if thread_id == self._session.thread_id:
                raise
            return False
        except ConnectionLostError as error:
            if self._lost is None:
                raise
            self._end_as_lost(error)
        return True

    async def _wait_ready(self, until: float) -> None:
        if self._runtime.connection.phase != "running":
            ready = asyncio.get_running_loop().create_task(self._runtime.wait_ready())
            try:
                await self._first(ready, until=until)
                if ready.done():
                    ready.result()
            finally:
                ready.cancel()

    def _listen(self, thread_id: str) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
        if thread_id != self._reducer.thread_id:
            ends_as, self._reducer = self._reducer.interrupted_as, TurnReducer(thread_id)
            self._reducer.interrupted_as = ends_as
        self._stop_listening = self._runtime.listen(thread_id, self)

    def _begin(self, reply: JsonValue) -> None:
        """Learn the turn's id, before any message of the turn comes."""
        turn = reply.get("turn") if isinstance(reply, dict) else None
        turn_id = turn.get("id") if isinstance(turn, dict) else None
        if isinstance(turn_id, str):
            # A busy thread does not refuse a turn, it takes it for a remark on the one that runs.
            self._is_taken_for_remark = turn_id == self._session.loose_turn
            if not self._is_taken_for_remark:
                self._push(self._reducer.begin(turn_id))

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        try:
            if not self.is_over:
                await self._stop()
        finally:
            await self._close()

    async def _stop(self) -> None:
        """Have the server stop the turn, and end it on our side if that does not happen within the grace."""
        until = self._clock.monotonic() + GRACE
        asking = self._asking
        if asking is not None and not asking.done():
            # With no server to talk to, nothing was asked yet. Else half of the grace is for the start to be answered, which
            # names the turn, and the rest for the interruption.
            if is_asked := self._runtime.connection.phase == "running":
                await self._first(asking, self._over, until=until - GRACE / 2)
            if not asking.done():
                asking.cancel()
                try:
                    await asyncio.wait([asking])
                    if is_asked and self.turn_id is None:
                        # It may begin all the same. Without an id, the server takes whichever turn there is.
                        await self._interrupt_once("", until - self._clock.monotonic())
                finally:
                    if self.turn_id is None:
                        self._give_up()
        if self.turn_id is not None:
            await self._interrupt(self.turn_id, until)
        self._give_up()

    async def _interrupt(self, turn_id: str, until: float) -> None:
        """Ask the server to stop the turn until it does, or the time is over."""
        while not self.is_over and (left := until - self._clock.monotonic()) > 0:
            if await self._interrupt_once(turn_id, left):
                break
            # Accepted but not started yet, or just over: only a little patience tells which.
            await self._first(self._over, until=min(until, self._clock.monotonic() + RACE_PAUSE))
        await self._first(self._over, until=until)

    async def _interrupt_once(self, turn_id: str, seconds: float) -> bool:
        """Ask the server to stop the turn. False: it says that there is none."""
        params = {"threadId": self.thread_id, "turnId": turn_id}
        asking = self._runtime.request("turn/interrupt", params, deadline=seconds)
        request = asyncio.get_running_loop().create_task(asking, name="interrupt a turn")
        try:
            # A turn that just ended was interrupted by somebody else: the server may then never answer.
            await asyncio.wait([request, self._over], return_when=asyncio.FIRST_COMPLETED)
            if request.done():
                request.result()
        except RequestFailedError:
            return False
        except CodexError:
            # No answer, or no server. The end of the turn is told by its own message, if at all.
            return True
        finally:
            request.cancel()
        return True

    def _is_asking(self) -> bool:
        return any(ticket.thread_id == self.thread_id for ticket in self._runtime.tickets)

    def _expire(self) -> None:
        if not self.is_over:
            self._reducer.interrupted_as = "timed_out"
            self._timeout = asyncio.get_running_loop().create_task(self._stop(), name="interrupt a late turn")

    def _give_up(self) -> None:
        if not self.is_over:
            self._given_up = True
            self._push(self._reducer.end(self._reducer.interrupted_as))

    def _end_as_lost(self, error: ConnectionLostError) -> None:
        self._push(self._reducer.end("lost", TurnFault(str(error), kind="connectionLost")))

    async def _close(self) -> None:
        """Let go of everything."""
        self._give_up()
        self._limits.stop()
        if self._stop_listening is not None:
            self._stop_listening()
        self._session.end(self)
        tasks = [task for task in (self._asking, self._timeout) if task is not None]
        for task in tasks:
            task.cancel()
        # What came of them was told by the result, or is of no more use to anybody.
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _first(self, *waits: asyncio.Future[None], until: float) -> None:
        """Wait until one of these is done, or the time has come."""
        late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(until, _wake, late)
        try:
            await asyncio.wait([*waits, late], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    def _push(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._keep_events:
                self._buffer.push(event)
            if isinstance(event, TurnCompleted):
                self._runtime.note_turn(event.result.status, event.result.duration or 0.0)
                _wake(self._over)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _wake(waiter)

    def _require_entered(self) -> None:
        if self._asking is None:
            raise LocalProtocolError("the turn is not running: use it as `async with session.stream(...) as turn`")

    def _outcome(self, result: TurnResult) -> TurnResult:
        match result.status:
            case "completed":
                return result
            case "failed":
                raise TurnFailedError(str(result.error or "the turn failed"), result)
            case "timed_out":
                raise TurnTimeoutError(self._limits.passed, result)
            case "lost":
                raise TurnLostError(f"the turn was lost: {self._lost}", result) from self._lost
            case _:
                raise TurnInterruptedError("the turn was interrupted", result)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

"""One turn, as its caller sees it: events while it runs, a result at the end, and a way to stop it.

How it begins is in ``_turn_start``, how it is stopped in ``_turn_interruption``, and all that is known of it in
``_turn_state``. This file is the door for its caller on one side and for the dispatch on the other.

The one idea: a turn that has begun outlives its connection, as far as the server's record carries. While there is no server
it waits, within its own deadlines; then the record tells whether it ended, goes on, or is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from codex_runtime._sansio.turn_events import ApprovalRequested
from codex_runtime._sansio.turn_record import Lost, judge
from codex_runtime.client._approvals import answer
from codex_runtime.client._limits import Limits
from codex_runtime.client._turn_interruption import Interruption
from codex_runtime.client._turn_start import TurnStart
from codex_runtime.client._turn_state import Event, TurnState
from codex_runtime.errors import (
    CodexError,
    ConnectionLostError,
    LocalProtocolError,
    RuntimeClosedError,
    RuntimeDeadError,
    TurnFailedError,
    TurnInterruptedError,
    TurnLostError,
    TurnTimeoutError,
)

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import Envelope, JsonValue
    from codex_runtime._sansio.hooks import HookReport
    from codex_runtime._sansio.turn_result import Item, TurnResult
    from codex_runtime.client._guard import TurnGuard
    from codex_runtime.client._prompt import Approvals, OnCrash
    from codex_runtime.client._session import Session
    from codex_runtime.runtime import Ticket

__all__ = ["Event", "Turn"]


class Turn:
    """A running turn. Get it from ``session.stream(...)`` and use it as ``async with ... as turn``.

    Iterate it for the events; the last one is :class:`TurnCompleted`. :meth:`finish` waits for the end and returns the
    result, whether or not anybody iterates. Leaving the block before the end, or being cancelled in it, interrupts the
    turn on the server and waits for its end within a grace.

    If the app server dies or the connection breaks in mid-turn, the turn waits for the next one, within its deadline, and
    asks for the server's record: it may have ended meanwhile, or go on (:class:`Reconnected`), or be lost.
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
        on_crash: OnCrash = "reconcile",
        keep_events: bool = True,
        guard: TurnGuard | None = None,
        allow_full_access: bool = False,
    ) -> None:
        self._session = session
        self._runtime = session.runtime
        self.approvals = approvals
        self._limits = Limits(
            session.runtime.clock,
            whole=deadline,
            first_event=first_event_deadline,
            idle=idle_deadline,
            is_asking=self._is_asking,
            expire=self._expire,
        )
        self._on_crash = on_crash
        self._keep_events = keep_events
        self._state = TurnState(session.runtime, session.thread_id, keep_events=keep_events)
        self._interruption = Interruption(self._state)
        self._start = TurnStart(
            self._state, session, params, self, self._interruption, allow_full_access=allow_full_access
        )
        self._asking: asyncio.Task[None] | None = None
        self._timeout: asyncio.Task[None] | None = None
        self._guard = guard

    @property
    def thread_id(self) -> str:
        """The thread that the turn belongs to."""
        return self._state.thread_id

    @property
    def turn_id(self) -> str | None:
        """The server's id of the turn, once it has started."""
        return self._state.turn_id

    @property
    def is_over(self) -> bool:
        """True once the turn has its result."""
        return self._state.is_over

    @property
    def result(self) -> TurnResult:
        """What has come of the turn so far; exact and final once it is over."""
        return self._state.reducer.partial()

    @property
    def hook_report(self) -> HookReport | None:
        """What went wrong with hooks so far; ``None`` without hooks."""
        return None if self._guard is None else self._guard.report

    @property
    def may_run_on(self) -> bool:
        """True if we gave the turn up before the server told its end."""
        return self._state.was_given_up

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
        self._asking = asyncio.get_running_loop().create_task(self._start.ask(), name="start a turn")
        over = self._state.over
        try:
            await asyncio.wait([self._asking, over], return_when=asyncio.FIRST_COMPLETED)
            if self._asking.cancelled():
                await asyncio.wait([over])  # whoever stopped it is about to tell the end
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
        while (event := self._state.pop()) is None:
            if self.is_over:
                raise StopAsyncIteration
            await self._state.wait()
        return event

    async def take(self) -> list[Event]:
        """Wait for events and return all that wait to be read; an empty list after the last one."""
        try:
            events = [await anext(self)]
        except StopAsyncIteration:
            return []
        while (event := self._state.pop()) is not None:
            events.append(event)
        return events

    async def finish(self) -> TurnResult:
        """Wait for the end and return the result.

        Raises :class:`TurnFailedError`, :class:`TurnInterruptedError`, :class:`TurnTimeoutError` or
        :class:`TurnLostError`, each with the partial result. Events that nobody read are kept for whoever still iterates.
        """
        self._require_entered()
        await asyncio.wait([self._state.over])
        return self._outcome(self.result)

    async def interrupt(self) -> TurnResult:
        """Stop the turn on the server and wait for its end, within a grace. Returns what had come of it."""
        self._require_entered()
        if not self.is_over:
            await self._interruption.stop(self._asking)
        return self.result

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
        if events := self._state.reducer.apply(envelope):
            self._state.push(events)
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

    def known_items(self, turn_id: str) -> Sequence[Item]:
        """The items of this turn so far, if it is meant."""
        return self.result.items if turn_id == self.turn_id else ()

    def lost(self, error: ConnectionLostError) -> None:
        """Wait for the next server, or end the turn if there will be none."""
        if self.is_over:
            return
        self._state.cause = error
        # One that has not begun is told by the answer to turn/start, which may yet go to the next server.
        if self.turn_id is not None:
            if self._on_crash == "lose" or isinstance(error, RuntimeDeadError | RuntimeClosedError):
                self._state.lose()
            else:
                self._state.is_away = True

    def ready(self) -> None:
        """End the turn if the next server is there and the turn was not found again on it."""
        if self._state.is_away:
            self.lose("its thread was not found again in time")

    # -- for the session -------------------------------------------------------------------------------------------

    @property
    def is_away(self) -> bool:
        """True while there is no connection that could tell whether the turn still runs."""
        return self._state.is_away

    def search(self) -> None:
        """Wait to be found on another server: also if the last one had the turn, and went before it was ready for others."""
        if self.turn_id is not None and not self.is_over:
            self._state.is_away = True

    def found(self, reply: JsonValue) -> None:
        """Learn from the answer to ``thread/resume`` what became of the turn. Called inside the dispatch."""
        if self._state.is_away and self.turn_id is not None:
            verdict = judge(self.turn_id, reply)
            if isinstance(verdict, Lost):
                self._blame(verdict.reason)
            self._limits.excuse()
            events = self._state.recover(verdict)
            self._limits.note(events)
            if self._guard is not None:
                self._guard.note(events, self.turn_id)

    def lose(self, why: str, error: CodexError | None = None) -> None:
        """End the turn, if it waits to be found: it will not be."""
        if self._state.is_away:
            self._blame(why, error)
            self._state.lose()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _show(self, ticket: Ticket) -> None:
        self._state.push([ApprovalRequested(ticket)])

    def _is_asking(self) -> bool:
        """Tell whether a silence is not the agent's."""
        return self.is_away or any(ticket.thread_id == self.thread_id for ticket in self._runtime.tickets)

    def _expire(self) -> None:
        if self.is_away:
            self.lose(self._limits.passed)
        elif not self.is_over:
            self._state.reducer.interrupted_as = "timed_out"
            stopping = self._interruption.stop(self._asking)
            self._timeout = asyncio.get_running_loop().create_task(stopping, name="interrupt a late turn")

    def _blame(self, why: str, error: CodexError | None = None) -> None:
        """Add to the cause why the turn could not be found again."""
        if (first := self._state.cause) is not None:
            cause = ConnectionLostError(f"{first}; {why}", generation=first.generation, exit=first.exit)
            cause.__cause__ = error
            self._state.cause = cause

    async def _end(self) -> None:
        try:
            if not self.is_over:
                await self._interruption.stop(self._asking)
        finally:
            await self._close()

    async def _close(self) -> None:
        """Let go of everything."""
        self._state.give_up()
        self._limits.stop()
        self._start.let_go()
        self._session.end(self)
        tasks = [task for task in (self._asking, self._timeout) if task is not None]
        for task in tasks:
            task.cancel()
        # What came of them was told by the result, or is of no more use to anybody.
        await asyncio.gather(*tasks, return_exceptions=True)

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
                cause = self._state.cause
                raise TurnLostError(f"the turn was lost: {cause}", result) from cause
            case _:
                raise TurnInterruptedError("the turn was interrupted", result)

"""What is known of one turn on our side: what it has come to, what of it nobody has read, and how it ended.

The turn is folded as it comes in, so the result does not depend on how fast anybody reads; what waits to be read is bounded
by merging. Nothing here talks to the server.

The one idea: whoever has something to say of the turn says it here, and the end is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from codex_runtime._sansio.envelope import Stamp
from codex_runtime._sansio.turn import TurnReducer
from codex_runtime._sansio.turn_buffer import TurnBuffer
from codex_runtime._sansio.turn_events import ApprovalRequested, TurnCompleted, TurnEvent
from codex_runtime._sansio.turn_result import TurnFault
from codex_runtime.runtime import Ticket

if TYPE_CHECKING:
    from codex_runtime._sansio.turn_record import Finding
    from codex_runtime.errors import ConnectionLostError
    from codex_runtime.runtime import Runtime

__all__ = ["Event", "TurnState", "wake"]

Event: TypeAlias = TurnEvent | ApprovalRequested[Ticket]


class TurnState:
    """One turn as it stands. ``over`` is done at its end; ``cause`` is what took its server away, if anything did.

    While ``is_away``, nobody can tell whether the turn still runs. ``was_given_up`` says that we ended it before the server
    told its end.
    """

    def __init__(self, runtime: Runtime, thread_id: str, *, keep_events: bool) -> None:
        self.runtime = runtime
        self.clock = runtime.clock
        self.reducer = TurnReducer(thread_id)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cause: ConnectionLostError | None = None
        self.is_away = False
        self.was_given_up = False
        self._keep_events = keep_events
        self._buffer: TurnBuffer[Event] = TurnBuffer()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def thread_id(self) -> str:
        """The thread that the turn belongs to."""
        return self.reducer.thread_id

    @property
    def turn_id(self) -> str | None:
        """The server's id of the turn, once it has begun."""
        return self.reducer.turn_id

    @property
    def is_over(self) -> bool:
        """True once the turn has its result."""
        return self.reducer.is_over

    # -- what happens to it ----------------------------------------------------------------------------------------

    def follow(self, thread_id: str) -> None:
        """Belong to this thread, as long as it has not begun."""
        if thread_id != self.thread_id:
            ends_as, self.reducer = self.reducer.interrupted_as, TurnReducer(thread_id)
            self.reducer.interrupted_as = ends_as

    def recover(self, finding: Finding) -> Sequence[TurnEvent]:
        """Take over what the server's record says, now that there is a server again."""
        self.is_away = False
        clock = self.clock
        stamp = Stamp(self.runtime.generation, clock.wall(), clock.monotonic())
        events = self.reducer.recover(finding, stamp, lost=self._fault())
        self.push(events)
        return events

    def lose(self, cause: ConnectionLostError | None = None) -> None:
        """End it: its server is gone, or does not know it any more."""
        self.is_away = False
        self.cause = cause or self.cause
        self.push(self.reducer.end("lost", self._fault()))

    def give_up(self) -> None:
        """End it: it was interrupted, and the server has not told its end."""
        if self.is_away:
            self.lose()
        elif not self.is_over:
            self.was_given_up = True
            self.push(self.reducer.end(self.reducer.interrupted_as))

    def push(self, events: Sequence[Event]) -> None:
        """Show events to whoever reads."""
        for event in events:
            if self._keep_events:
                self._buffer.push(event)
            if isinstance(event, TurnCompleted):
                self.runtime.note_turn(event.result.status, event.result.duration or 0.0)
                wake(self.over)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wake(waiter)

    def _fault(self) -> TurnFault:
        return TurnFault(str(self.cause), kind="connectionLost")

    # -- waiting for it --------------------------------------------------------------------------------------------

    def pop(self) -> Event | None:
        """Take the oldest event that waits; ``None`` if there is none."""
        return self._buffer.pop()

    async def wait(self) -> None:
        """Wait until something was pushed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def first(self, *waits: asyncio.Future[None], until: float) -> None:
        """Wait until one of these is done, or the time has come."""
        late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.clock.call_at(until, wake, late)
        try:
            await asyncio.wait([*waits, late], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()


def wake(waiter: asyncio.Future[None]) -> None:
    """Let a waiter go on, if it has not yet."""
    if not waiter.done():
        waiter.set_result(None)

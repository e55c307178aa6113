"""Sessions and turns for callers on ordinary threads."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, Unpack, cast

from codex_runtime._sansio.turn_events import ApprovalRequested, TurnEvent
from codex_runtime.client._prompt import TurnOptions
from codex_runtime.sync._portal import on_a_thread
from codex_runtime.sync._ticket import Ticket

if TYPE_CHECKING:
    from codex_runtime import client as desk
    from codex_runtime.client import Prompt, RunProfile, TurnResult
    from codex_runtime.hooks import HookReport
    from codex_runtime.sync._portal import Portal

__all__ = ["Approvals", "Event", "Session", "Turn", "on_the_loop", "profile_on_the_loop"]

Approvals: TypeAlias = "Literal['decline', 'accept', 'stream'] | Callable[[Ticket], object]"
Event: TypeAlias = TurnEvent | ApprovalRequested[Ticket]


class SyncTurnOptions(TurnOptions, total=False):
    """As :class:`codex_runtime.client.TurnOptions`; a handler of approvals is a plain function."""

    approvals: Approvals  # type: ignore[misc]  # narrower on purpose: see on_the_loop


class Turn:
    """As :class:`codex_runtime.Turn`: a ``with`` block to iterate over."""

    def __init__(self, turn: desk.Turn, portal: Portal) -> None:
        self._turn = turn
        self._portal = portal
        self._taken: deque[desk.Event] = deque()

    def __enter__(self) -> Self:
        """Start the turn."""
        self._portal.run(self._turn.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the turn, if it still runs."""
        self._portal.run(self._turn.__aexit__, kind, error, trace)

    def __iter__(self) -> Self:
        """Iterate over the events."""
        return self

    def __next__(self) -> Event:
        """Return the next event."""
        # A change of threads costs more than an event does, so take all that there are.
        if not self._taken:
            self._taken.extend(self._portal.run(self._turn.take))
            if not self._taken:
                raise StopIteration
        event = self._taken.popleft()
        return ApprovalRequested(Ticket(event.ticket, self._portal)) if isinstance(event, ApprovalRequested) else event

    @property
    def thread_id(self) -> str:
        """The thread that the turn belongs to."""
        return self._turn.thread_id

    @property
    def turn_id(self) -> str | None:
        """The server's id of the turn, once it has started."""
        return self._turn.turn_id

    @property
    def is_over(self) -> bool:
        """True once the turn has its result."""
        return self._turn.is_over

    @property
    def hook_report(self) -> HookReport | None:
        """What went wrong with hooks so far; ``None`` without hooks."""
        return self._turn.hook_report

    @property
    def result(self) -> TurnResult:
        """What has come of the turn so far; exact and final once it is over."""
        return self._portal.call(lambda: self._turn.result)

    def take(self) -> list[Event]:
        """Wait for events and return all that wait to be read; an empty list after the last one."""
        events = []
        for event in self:
            events.append(event)
            if not self._taken:
                break
        return events

    def finish(self) -> TurnResult:
        """Wait for the end and return the result, or raise a :class:`TurnError`."""
        return self._portal.run(self._turn.finish)

    def interrupt(self) -> TurnResult:
        """Stop the turn on the server. Returns what had come of it."""
        return self._portal.run(self._turn.interrupt)

    def steer(self, text: str) -> None:
        """Say something more to the running turn."""
        self._portal.run(self._turn.steer, text)


class Session:
    """As :class:`codex_runtime.Session`: one thread with a profile."""

    def __init__(self, session: desk.Session, portal: Portal) -> None:
        self._session = session
        self._portal = portal

    def __enter__(self) -> Self:
        """Use it as a block that closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def thread_id(self) -> str:
        """The thread's id."""
        return self._session.thread_id

    @property
    def cwd(self) -> str:
        """The folder that it works in."""
        return self._session.cwd

    @property
    def profile(self) -> RunProfile:
        """Its options."""
        return self._session.profile

    @property
    def is_closed(self) -> bool:
        """True once it was closed, or its thread could not be brought back after a restart."""
        return self._session.is_closed

    @property
    def turn(self) -> Turn | None:
        """The turn that runs now, if one does: for another thread to interrupt or steer."""
        turn = self._session.turn
        return None if turn is None else Turn(turn, self._portal)

    @property
    def hook_report(self) -> HookReport | None:
        """What went wrong with hooks in the last turn, or before it in the start of the session; ``None`` without."""
        return self._session.hook_report

    def stream(self, prompt: Prompt, **options: Unpack[SyncTurnOptions]) -> Turn:
        """Prepare a turn, to be used as ``with session.stream(...) as turn``."""
        return Turn(self._portal.call(self._session.stream, prompt, **on_the_loop(options, self._portal)), self._portal)

    def run(self, prompt: Prompt, **options: Unpack[SyncTurnOptions]) -> TurnResult:
        """Run one turn to its end and return the result, or raise a :class:`TurnError`."""
        return self._portal.run(self._session.run, prompt, **on_the_loop(options, self._portal))

    def interrupt(self) -> None:
        """Interrupt the running turn, if there is one, and wait for its end."""
        self._portal.run(self._session.interrupt)

    def close(self, *, archive: bool = False) -> None:
        """Stop following the thread. ``archive`` also puts the thread away."""
        self._portal.run(self._session.aclose, archive=archive)


def on_the_loop(options: SyncTurnOptions, portal: Portal) -> TurnOptions:
    """Return the options with a handler of approvals that runs on a thread, where it may block."""
    handler = options.get("approvals")
    if handler is None or isinstance(handler, str):
        return cast("TurnOptions", options)
    return {**options, "approvals": _answering(handler, portal)}


def profile_on_the_loop(profile: RunProfile | None, portal: Portal) -> RunProfile | None:
    """Return the profile with a handler of approvals that runs on a thread; a coroutine function stays on the loop."""
    if profile is None or isinstance(profile.approvals, str):
        return profile
    return profile.changed(approvals=_answering(cast("Callable[[Ticket], object]", profile.approvals), portal))


def _answering(handler: Callable[[Ticket], object], portal: Portal) -> Callable[[desk.Ticket], Awaitable[None]]:
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        # It was written for the loop, and takes the loop's own tickets.
        return cast("Callable[[desk.Ticket], Awaitable[None]]", handler)

    async def answer(ticket: desk.Ticket) -> None:
        await on_a_thread(handler, Ticket(ticket, portal))

    return answer

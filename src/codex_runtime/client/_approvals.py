"""What a profile's ``approvals`` means for a server request, and who answers when no turn of ours is there to do it.

A turn may outlive the connection on which it was begun: the app server that listens on a socket goes on with it. After a
reconnect, or when another program takes the thread over, the server asks once more what it still waits for. The answers
come from the :class:`StandIn` of the session.

The one idea: an answer is never more generous than the turn that it is for. A lost turn keeps its own ``approvals``; one
that was given up gets nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from codex_runtime.errors import InvalidAnswerError

if TYPE_CHECKING:
    from codex_runtime.client._prompt import Approvals
    from codex_runtime.runtime import Runtime, Ticket

__all__ = ["StandIn", "accepted", "answer"]


def answer(runtime: Runtime, ticket: Ticket, approvals: Approvals) -> bool:
    """Have a ticket answered as the caller wished, now or in a task. False: nobody here will do it."""
    match approvals:
        case "accept":
            return accepted(ticket)
        case "decline" | "stream":
            return False
        case handler:
            runtime.answer_with(ticket, handler)
            return True


def accepted(ticket: Ticket) -> bool:
    """Say yes in the name of a profile, where that is an answer: not to what wants content, such as a form to be filled in."""
    if not ticket.is_approval:
        return False
    holder, ticket.holder = ticket.holder, "profile"
    try:
        ticket.accept()
    except InvalidAnswerError:
        ticket.holder = holder
        return False
    return True


class StandIn:
    """Answers server requests of a session's thread that belong to no turn which the session runs."""

    def __init__(self, runtime: Runtime, approvals: Approvals) -> None:
        self._runtime = runtime
        self._approvals = approvals
        self._before: tuple[str | None, Approvals] | None = None
        self._is_idle = True
        self._stop: Callable[[], None] | None = None

    def follow(self, thread_id: str) -> None:
        """Answer for this thread, and for no other from now on."""
        self.stop()
        self._stop = self._runtime.take(thread_id, self._take)

    def stop(self) -> None:
        """Answer no more."""
        if self._stop is not None:
            self._stop()
            self._stop = None  # it names us

    def begin(self) -> None:
        """Take note that the session runs a turn."""
        self._is_idle = False

    def end(self, turn_id: str | None, approvals: Approvals) -> None:
        """Take note that it is over, and how to answer for it from now on. Without an id it may be any."""
        self._is_idle = True
        self._before = (turn_id, approvals)

    def _take(self, ticket: Ticket) -> bool:
        turn_id, approvals = self._before or ("", self._approvals)
        # One without an id may be any turn but the one that runs now, and while one runs nobody can tell which it is.
        if self._is_idle if turn_id is None else ticket.turn_id == turn_id:
            return answer(self._runtime, ticket, approvals)
        return self._is_idle and answer(self._runtime, ticket, self._approvals)

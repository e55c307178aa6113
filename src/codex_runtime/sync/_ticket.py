"""A server request, to be settled from any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codex_runtime import client as desk
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime.runtime import Outcome
    from codex_runtime.sync._portal import Portal

__all__ = ["Ticket"]


class Ticket:
    """As :class:`codex_runtime.Ticket`, for threads: it may be settled from any of them."""

    def __init__(self, ticket: desk.Ticket, portal: Portal) -> None:
        self._ticket = ticket
        self._portal = portal
        self.id = ticket.id
        self.method = ticket.method
        self.generation = ticket.generation
        self.deadline = ticket.deadline

    @property
    def params(self) -> JsonValue:
        """What the server sent."""
        return self._ticket.params

    @property
    def thread_id(self) -> str | None:
        """The thread that it belongs to, if it names one."""
        return self._ticket.thread_id

    @property
    def turn_id(self) -> str | None:
        """The turn that it belongs to, if it names one."""
        return self._ticket.turn_id

    @property
    def item_id(self) -> str | None:
        """The item that it belongs to, if it names one."""
        return self._ticket.item_id

    @property
    def outcome(self) -> Outcome | None:
        """How it was settled, once it is."""
        return self._ticket.outcome

    @property
    def reason(self) -> str | None:
        """Why, where somebody said so."""
        return self._ticket.reason

    @property
    def is_settled(self) -> bool:
        """True once it has its outcome."""
        return self._ticket.is_settled

    @property
    def is_approval(self) -> bool:
        """True if it asks for leave to do something, rather than for something to be done."""
        return self._ticket.is_approval

    def accept(self, *, for_session: bool = False) -> None:
        """Allow exactly what was asked."""
        self._portal.call(self._ticket.accept, for_session=for_session)

    def decline(self, reason: str | None = None) -> None:
        """Refuse it; the turn goes on."""
        self._portal.call(self._ticket.decline, reason)

    def cancel(self) -> None:
        """Refuse it and end the turn, where the method has a word for that."""
        self._portal.call(self._ticket.cancel)

    def reply(self, result: JsonValue) -> None:
        """Answer with a result in the method's own form."""
        self._portal.call(self._ticket.reply, result)

    def refuse(self, message: str, *, code: int = -32000, data: JsonValue = None) -> None:
        """Answer with an error."""
        self._portal.call(self._ticket.refuse, message, code=code, data=data)

    def wait(self) -> Outcome:
        """Wait until it is settled, by whomever."""
        return self._portal.run(self._ticket.wait)

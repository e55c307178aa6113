"""A server request, to be settled from any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_runtime.runtime._answering import Answering

if TYPE_CHECKING:
    from codex_runtime import client as desk
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime._sansio.server_requests import Answer
    from codex_runtime.runtime import Outcome, Question
    from codex_runtime.sync._portal import Portal

__all__ = ["Ticket"]


class Ticket(Answering):
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
    def question(self) -> Question:
        """What is asked, in words for people, with the diffs of a file change; ``str`` of it is safe to be printed."""
        return self._portal.call(lambda: self._ticket.question)

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

    def wait(self) -> Outcome:
        """Wait until it is settled, by whomever."""
        return self._portal.run(self._ticket.wait)

    def _told(self) -> JsonValue:
        return self._ticket.envelope.params

    def _now(self) -> float:
        return self._ticket._now()  # noqa: SLF001  # one ticket, in two worlds

    def _answer(self, answer: Answer, reason: str | None, by: str | None) -> None:
        self._portal.call(self._ticket._answer, answer, reason, by)  # noqa: SLF001  # one ticket, in two worlds

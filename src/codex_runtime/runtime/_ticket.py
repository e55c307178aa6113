"""One request of the server, from its arrival to its one outcome.

A ticket holds the link of the generation that asked and can write to no other, so an answer can never reach a later server
that happens to use the same request id. What it must show to people is looked up when somebody asks for it, never before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol, final

from msgspec import UNSET

from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.discreet import is_secret
from codex_runtime._sansio.server_requests import Outcome
from codex_runtime.errors import AlreadySettledError
from codex_runtime.runtime._answering import Answering

if TYPE_CHECKING:
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.decisions import Decider
    from codex_runtime._sansio.envelope import Envelope, JsonValue, RpcId
    from codex_runtime._sansio.questions import Question
    from codex_runtime.runtime._calls import Call

__all__ = ["Outcome", "Ticket", "TicketDesk"]


_YES = ("accepted", "answered")


class TicketDesk(Protocol):
    """The desk, as far as its tickets know it."""

    def send(self, link: Link[Call], rpc_id: RpcId, answer: rules.Answer, *, is_secret: bool) -> None:
        """Write an answer to the link that asked. ``is_secret``: what it says is for the server alone."""

    def require_loop(self) -> None:
        """Refuse a caller on a thread or on another loop: :class:`LocalProtocolError`."""

    def end_if_late(self, ticket: Ticket) -> None:
        """Do what is to be done at its deadline, if that has passed."""

    def closed(self, ticket: Ticket, answer: rules.Answer | None, by: str | None) -> None:
        """Forget a ticket that has its outcome; no answer was written if there is none. ``by`` is who settled it."""

    def items(self, ticket: Ticket) -> Sequence[JsonValue]:
        """Find the items that a ticket may be about."""

    def wall(self) -> float:
        """Return the Unix time in seconds."""


@final
class Ticket(Answering):
    """One server request that waits for its answer.

    ``id`` is unique for ever, unlike the server's own request ids. ``question`` says what is asked, in words for people;
    ``params`` is what the server sent. ``deadline`` is the moment, on the loop's clock, at which it is declined, cancelled or
    refused, as ``RuntimeConfig.server_request_deadline_action`` says. Settle it with one of the methods below, from anywhere
    on the loop; the second attempt raises :class:`AlreadySettledError`.

    - *yes and no*: :meth:`accept`, :meth:`decline`, :meth:`cancel`
    - *content*: :meth:`give_answers`, :meth:`give_form`, :meth:`give_result`, :meth:`give_tokens`,
      :meth:`give_attestation`, :meth:`give_time`
    - *a part, or more*: :meth:`grant`, :meth:`amend_commands`, :meth:`amend_network`, :meth:`amend_tool`
    - *anything else*: :meth:`reply`, :meth:`refuse`

    ``holder`` says in whose hands it is (see :class:`Decision`), for the record.
    """

    __slots__ = (
        "_desk",
        "_done",
        "_link",
        "_params",
        "_question",
        "_rpc_id",
        "_worker",
        "deadline",
        "envelope",
        "generation",
        "holder",
        "id",
        "method",
        "outcome",
        "reason",
    )

    def __init__(self, desk: TicketDesk, link: Link[Call], envelope: Envelope, ticket_id: str, deadline: float) -> None:
        self.id = ticket_id
        self.method = envelope.method or ""
        self.envelope = envelope
        self.generation = link.generation
        self.deadline = deadline
        self.outcome: Outcome | None = None
        self.reason: str | None = None
        self.holder: Decider = "reader"
        self._rpc_id: RpcId = envelope.rpc_id  # type: ignore[assignment]  # a server request has one
        self._link = link
        self._desk = desk
        self._worker: asyncio.Task[None] | None = None
        self._done: asyncio.Future[Outcome] | None = None
        self._params: JsonValue = UNSET
        self._question: Question | None = None

    @property
    def params(self) -> JsonValue:
        """What the server sent."""
        if self._params is UNSET:
            self._params = self.envelope.params
        return self._params

    @property
    def question(self) -> Question:
        """What is asked, in words for people, with the diffs of a file change; ``str`` of it is safe to be printed."""
        if self._question is None:
            from codex_runtime._sansio.wording import question_of  # for those who show it to somebody

            self._question = question_of(self.method, self._told(), self._desk.items(self))
        return self._question

    @property
    def thread_id(self) -> str | None:
        """The thread that asks, if the request names one."""
        return self.envelope.thread_id

    @property
    def turn_id(self) -> str | None:
        """The turn that asks, if the request names one."""
        return self.envelope.turn_id

    @property
    def item_id(self) -> str | None:
        """The item that it is about, if the request names one."""
        return self.envelope.item_id

    @property
    def is_settled(self) -> bool:
        """True once it has its outcome."""
        return self.outcome is not None

    def withdraw(self, reason: str) -> None:
        """Close it without an answer. The runtime does this when the server no longer wants one."""
        if self.outcome is None:
            self.holder = "server"
            self._close("withdrawn", None, reason, None)

    async def wait(self) -> Outcome:
        """Wait until it is settled, by whomever."""
        if self.outcome is not None:
            return self.outcome
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._done)

    @property
    def _is_secret(self) -> bool:
        return is_secret(self.method, self.envelope.params if self.method == rules.USER_INPUT else None)

    def _told(self) -> JsonValue:
        return self.envelope.params

    def _now(self) -> float:
        return self._desk.wall()

    def _answer(self, answer: rules.Answer, reason: str | None, by: str | None) -> None:
        self._desk.require_loop()
        outcome = rules.outcome(answer)
        if self.outcome is None and outcome in _YES:
            self._desk.end_if_late(self)  # a yes that comes too late is none, also where the loop was held up
        if self.outcome is not None:
            raise AlreadySettledError(f"this {self.method} is already {self.outcome}")
        self._desk.send(self._link, self._rpc_id, answer, is_secret=self._is_secret)
        self._close(outcome, answer, reason, by)

    def _close(self, outcome: Outcome, answer: rules.Answer | None, reason: str | None, by: str | None) -> None:
        self.outcome = outcome
        self.reason = reason
        if self._done is not None:
            self._done.set_result(outcome)
        self._desk.closed(self, answer, by)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied: a copy could be settled once more."""
        raise TypeError("a ticket cannot be copied; hand on its id, and find it by Runtime.ticket(id)")

    def __repr__(self) -> str:
        """Name the method and how it stands, never the payload."""
        return f"<Ticket {self.id[:8]} {self.method} {self.outcome or 'open'}>"

"""Requests of the server, from their arrival to their one answer.

Each becomes a :class:`Ticket`. A ticket holds the link of the generation that asked and can write to no other, so an
answer can never reach a later server that happens to use the same request id. It is settled exactly once: by somebody,
by its deadline, by the server itself (``serverRequest/resolved``), or by the end of its generation.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from codex_runtime._sansio import server_requests as rules
from codex_runtime.errors import AlreadySettledError, CodexError, LocalProtocolError, ServerRequestNotFoundError

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.deadlines import Deadline, Deadlines
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.envelope import Envelope, JsonValue, RpcId
    from codex_runtime.runtime._calls import Call
    from codex_runtime.runtime.metrics import Counters

__all__ = ["Desk", "Outcome", "Ticket"]

Outcome: TypeAlias = Literal["accepted", "declined", "cancelled", "answered", "refused", "withdrawn"]
Taker: TypeAlias = "Callable[[Ticket], bool]"


class Ticket:
    """One server request that waits for its answer.

    ``id`` is unique for ever, unlike the server's own request ids. ``params`` is what the server sent. ``deadline`` is
    the moment, on the loop's clock, at which it is declined. Settle it with one of the methods below, from anywhere on
    the loop; the second attempt raises :class:`AlreadySettledError`.
    """

    def __init__(self, desk: Desk, link: Link[Call], envelope: Envelope, ticket_id: str, deadline: float) -> None:
        self.id = ticket_id
        self.method: str = envelope.method or ""
        self.envelope = envelope
        self.generation = link.generation
        self.deadline = deadline
        self.outcome: Outcome | None = None
        self.reason: str | None = None
        self._rpc_id: RpcId = envelope.rpc_id  # type: ignore[assignment]  # a server request has one
        self._link = link
        self._desk = desk
        self._due: Deadline | None = None
        self._worker: asyncio.Task[None] | None = None
        self._done: asyncio.Future[Outcome] | None = None

    @cached_property
    def params(self) -> JsonValue:
        """What the server sent."""
        return self.envelope.params

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

    @property
    def is_approval(self) -> bool:
        """True if it asks for leave to do something, rather than for something to be done."""
        return self.method in rules.APPROVALS

    def accept(self, *, for_session: bool = False) -> None:
        """Allow exactly what was asked, once; ``for_session`` allows it again without asking, where the method can.

        Raises :class:`InvalidAnswerError` if the method wants content rather than consent.
        """
        params = self.params if self.method == rules.PERMISSIONS else None  # no other method looks at them
        self._settle(rules.accept(self.method, params, for_session=for_session))

    def decline(self, reason: str | None = None) -> None:
        """Refuse it; the turn goes on. ``reason`` is kept on our side."""
        self._settle(rules.decline(self.method), reason)

    def cancel(self) -> None:
        """Refuse it and end the turn, where the method has a word for that; otherwise decline."""
        self._settle(rules.cancel(self.method))

    def reply(self, result: JsonValue) -> None:
        """Answer with a result in the method's own form. Raises :class:`InvalidAnswerError` if it is not."""
        rules.check(self.method, result)
        self._settle(rules.Reply(result))

    def refuse(self, message: str, *, code: int = rules.REFUSED, data: JsonValue = None) -> None:
        """Answer with an error, which the server treats as a failed action."""
        self._settle(rules.Refusal(code, message, data))

    def withdraw(self, reason: str) -> None:
        """Close it without an answer. The runtime does this when the server no longer wants one."""
        if self.outcome is None:
            self._close("withdrawn", reason)

    async def wait(self) -> Outcome:
        """Wait until it is settled, by whomever."""
        if self.outcome is not None:
            return self.outcome
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._done)

    def _settle(self, answer: rules.Answer, reason: str | None = None) -> None:
        if self.outcome is not None:
            raise AlreadySettledError(f"this {self.method} is already {self.outcome}")
        self._desk.send(self._link, self._rpc_id, answer)
        self._close(rules.verdict(answer), reason)

    def _close(self, outcome: Outcome, reason: str | None = None) -> None:
        self.outcome = outcome
        self.reason = reason
        if self._done is not None:
            self._done.set_result(outcome)
        self._desk.closed(self, self._due, self._worker)

    def __repr__(self) -> str:
        """Name the method and how it stands, never the payload."""
        return f"<Ticket {self.id[:8]} {self.method} {self.outcome or 'open'}>"


class Board(Protocol):
    """Where open tickets are shown: the projection."""

    def opened(self, ticket: Ticket) -> None:
        """Show it."""

    def closed(self, ticket: Ticket) -> None:
        """Take it down."""


class Desk:
    """All open server requests of one runtime, and the rule for who gets to answer them."""

    def __init__(
        self,
        *,
        clock: Clock,
        due: Deadlines,
        counters: Counters,
        board: Board | None,
        write: Callable[[Link[Call], bytes], None],
        handler: Callable[[Ticket], Awaitable[None]] | None,
        deadline: float,
        deadlines: Mapping[str, float],
        capacity: int,
    ) -> None:
        self._clock = clock
        self._due = due
        self._counters = counters
        self._board = board
        self._write = write
        self._handler = handler
        self._deadline = deadline
        self._deadlines = deadlines
        self._capacity = capacity
        self._ids = map(("{:08x}" + os.urandom(12).hex()).format, count())
        self.waiting: dict[str, Ticket] = {}
        self._asked: dict[tuple[int, object], list[Ticket]] = {}  # the same, by generation and the server's own id
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: list[_Queue] = []
        self._over = False
        self._error: Callable[[], CodexError] | None = None

    def __len__(self) -> int:
        """How many wait for an answer."""
        return len(self.waiting)

    def tickets(self) -> tuple[Ticket, ...]:
        """Those that wait, oldest first."""
        return tuple(self.waiting.values())

    def ticket(self, ticket_id: str) -> Ticket:
        """Find an open ticket by its id. Raises :class:`ServerRequestNotFoundError`."""
        try:
            return self.waiting[ticket_id]
        except KeyError:
            raise ServerRequestNotFoundError(f"no open server request has the id {ticket_id!r}") from None

    def open(self, link: Link[Call], envelope: Envelope, takers: tuple[Taker, ...]) -> None:
        """Take in a request and find somebody to answer it; nobody means no. Never waits, never raises."""
        if not _can_answer(link, envelope):
            self._counters.malformed += 1
            return
        self._counters.server_requests += 1
        method = envelope.method or ""
        deadline = envelope.stamp.monotonic + self._deadlines.get(method, self._deadline)
        ticket = Ticket(self, link, envelope, next(self._ids), deadline)
        ticket._due = self._due.add(deadline, self._expire, ticket)  # noqa: SLF001  # one unit: ticket and desk
        self.waiting[ticket.id] = ticket
        self._asked.setdefault((link.generation, envelope.rpc_id), []).append(ticket)
        if self._board is not None:
            self._board.opened(ticket)
        if method not in rules.KNOWN:
            ticket.decline("unknown to this version")
        elif len(self.waiting) > self._capacity:
            ticket.decline("too many server requests are open")
        elif not self._offer(ticket, takers):
            ticket.decline("nobody is there to answer")

    def send(self, link: Link[Call], rpc_id: RpcId, answer: rules.Answer) -> None:
        """Write an answer to the link that asked."""
        if isinstance(answer, rules.Reply):
            line = link.peer.answer(rpc_id, answer.result)
        else:
            line = link.peer.refuse(rpc_id, answer.code, answer.message, answer.data)
        self._write(link, line)

    def closed(self, ticket: Ticket, due: Deadline | None, worker: asyncio.Task[None] | None) -> None:
        """Forget a settled ticket and stop whoever still works on it."""
        outcome = ticket.outcome or "withdrawn"
        self._counters.settled[outcome] += 1
        self._counters.settle_times.add(outcome, max(0.0, self._clock.monotonic() - ticket.envelope.stamp.monotonic))
        del self.waiting[ticket.id]
        key = (ticket.generation, ticket.envelope.rpc_id)
        if len(same := self._asked[key]) == 1:
            del self._asked[key]
        else:
            same.remove(ticket)
        if due is not None:
            due.cancel()
        if worker is not None and worker is not asyncio.current_task():
            worker.cancel()
        for queue in self._queues:
            queue.discard(ticket)
        if self._board is not None:
            self._board.closed(ticket)

    def observe(self, envelopes: list[Envelope]) -> None:
        """Withdraw what the server says is no longer needed. Called with each read while tickets are open."""
        for envelope in envelopes:
            if envelope.method == "serverRequest/resolved":
                params = envelope.params
                rpc_id = params.get("requestId") if isinstance(params, dict) else None
                if isinstance(rpc_id, (int, str)):
                    self._withdraw(list(self._asked.get((envelope.generation, rpc_id), ())))
            elif envelope.method == "turn/completed" and (turn_id := envelope.turn_id):
                self._withdraw([t for t in self.tickets() if t.turn_id == turn_id])

    def withdraw_all(self, reason: str) -> None:
        """Close everything without an answer: there is nobody left to tell."""
        self._withdraw(list(self.tickets()), reason)

    async def server_requests(self) -> AsyncIterator[Ticket]:
        """Iterate over requests that nobody else takes. While somebody iterates, they are queued, not declined."""
        queue = _Queue()
        if not self._over:
            self._queues.append(queue)
        try:
            while not self._over:
                if (ticket := await queue.get()) is not None:
                    yield ticket
            if self._error is not None:
                raise self._error()
        finally:
            if queue in self._queues:
                self._queues.remove(queue)
            for ticket in queue.rest():
                if not self.queue(ticket):
                    ticket.decline("nobody is there to answer")

    def end(self, error: Callable[[], CodexError] | None, reason: str) -> None:
        """Withdraw what is open and end the iterations, with ``error`` if there is one. The first call counts."""
        self.withdraw_all(reason)
        if not self._over:
            self._over, self._error = True, error
            for queue in self._queues:
                queue.wake()

    def close(self) -> set[asyncio.Task[None]]:
        """End everything. Returns the handler tasks, now cancelled, to wait for."""
        self.end(None, "the runtime was closed")
        for task in self._tasks:
            task.cancel()
        return set(self._tasks)

    def _offer(self, ticket: Ticket, takers: tuple[Taker, ...]) -> bool:
        for taker in takers:
            try:
                taken = taker(ticket)
            except Exception:  # noqa: BLE001  # a guest's fault stays the guest's
                self._counters.guest_errors += 1
                taken = False
            if taken or ticket.is_settled:
                return True
        if self._handler is not None:
            self.run(ticket, self._handler)
            return True
        return self.queue(ticket)

    def queue(self, ticket: Ticket) -> bool:
        """Hand a ticket to whoever iterates. False: nobody does."""
        if self._queues:
            self._queues[0].put(ticket)
        return bool(self._queues)

    def run(self, ticket: Ticket, handler: Callable[[Ticket], Awaitable[None]]) -> None:
        """Let a handler answer a ticket. If it fails or ends without an answer, the answer is no."""
        if ticket.is_settled:
            return
        task = asyncio.get_running_loop().create_task(self._handle(ticket, handler), name=f"answer {ticket.method}")
        ticket._worker = task  # noqa: SLF001  # one unit: ticket and desk
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, ticket: Ticket, handler: Callable[[Ticket], Awaitable[None]]) -> None:
        reason = "the handler gave no answer"
        try:
            await handler(ticket)
        except Exception:  # noqa: BLE001  # a guest's fault stays the guest's
            self._counters.guest_errors += 1
            reason = "the handler failed"
        finally:
            if not ticket.is_settled:
                ticket.decline(reason)

    def _expire(self, ticket: Ticket) -> None:
        if not ticket.is_settled:
            ticket.decline("nobody answered in time")

    def _withdraw(self, tickets: list[Ticket], reason: str = "the server no longer needs it") -> None:
        for ticket in tickets:
            ticket.withdraw(reason)


class _Queue:
    """A hand-over of tickets. It holds open ones only, so the desk's capacity bounds it."""

    def __init__(self) -> None:
        self._items: deque[Ticket] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, ticket: Ticket) -> None:
        self._items.append(ticket)
        self.wake()

    def discard(self, ticket: Ticket) -> None:
        if ticket in self._items:
            self._items.remove(ticket)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Ticket | None:
        """Return the next one; ``None`` after being woken for nothing."""
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft() if self._items else None

    def rest(self) -> list[Ticket]:
        items = list(self._items)
        self._items.clear()
        return items


def _can_answer(link: Link[Call], envelope: Envelope) -> bool:
    """Tell whether the request's id can be written at all: an answer under another id would reach nobody."""
    if isinstance(envelope.rpc_id, int):
        return True
    try:
        link.peer.answer(cast("RpcId", envelope.rpc_id), None)
    except LocalProtocolError:
        return False
    return True

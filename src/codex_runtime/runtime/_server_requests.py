"""All open requests of the server, and who gets to answer them.

Each becomes a :class:`Ticket`, which is settled exactly once: by somebody, by its deadline, by the server itself
(``serverRequest/resolved``), or by the end of its generation. Whoever stays silent, fails or is not there means no.

The one idea: what ends a ticket, whatever it is, ends in :meth:`Desk.closed`. There it is counted, taken off every list and,
if somebody keeps a record, written down.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from codex_runtime._io.alarm import Alarm
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.decisions import Decision
from codex_runtime._sansio.state import PendingRequest
from codex_runtime.errors import CodexError, LocalProtocolError, ServerRequestNotFoundError
from codex_runtime.runtime._dispatch import contain
from codex_runtime.runtime._ticket import Ticket

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.decisions import Decider
    from codex_runtime._sansio.envelope import Envelope, JsonValue, RpcId
    from codex_runtime.runtime._calls import Call
    from codex_runtime.runtime.config import RuntimeConfig, ServerRequestHandler
    from codex_runtime.runtime.metrics import Counters

__all__ = ["Desk"]

Taker: TypeAlias = "Callable[[Ticket], bool]"


class Write(Protocol):
    """Puts a line on the link that it is for."""

    def __call__(self, link: Link[Call], line: bytes, /, *, is_secret: bool = False) -> None:
        """``is_secret``: who follows both directions shall not see what it says."""


# A server that asks for more when it has left so many bytes unread will never read its answers.
MAX_UNREAD = 16 * 1024 * 1024
# Ids that were used for two things at once, and so for nothing any more. To a server with so many, nothing is allowed.
MAX_SPOILT = 1024
TWICE = "the server asks two things under one id"


class Desk:
    """All open server requests of one runtime, and the rule for who gets to answer them."""

    def __init__(
        self,
        *,
        clock: Clock,
        counters: Counters,
        on_change: Callable[[], None] | None,
        write: Write,
        items: Callable[[Ticket], Sequence[JsonValue]],
        config: RuntimeConfig,
    ) -> None:
        self._clock = clock
        self._alarm = Alarm(clock, self._expire)
        self._counters = counters
        self._on_change = on_change
        self._write = write
        self.items = items
        self.wall = clock.wall
        self._config = config
        self._on_decision = config.on_decision
        handlers = config.on_server_request
        self._handler = None if isinstance(handlers, Mapping) else handlers
        self._handlers: Mapping[str, ServerRequestHandler] = handlers if isinstance(handlers, Mapping) else {}
        self._deadline = config.server_request_deadline
        self._deadlines = config.server_request_deadlines
        self._capacity = config.max_open_server_requests
        self.waiting: dict[str, Ticket] = {}
        self._asked: dict[tuple[int, object], Ticket] = {}  # the same, by generation and the server's own id
        self._spoilt: set[object] = set()  # ids of this generation
        self._unread = 0  # bytes of answers since its link was last empty
        self._pending: dict[str, PendingRequest] = {}  # as the state showed them last
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: list[_Queue] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = False
        self._error: Callable[[], CodexError] | None = None

    def __len__(self) -> int:
        """How many wait for an answer."""
        return len(self.waiting)

    def pending(self) -> Mapping[str, PendingRequest]:
        """Those that wait, as the state shows them."""
        before = self._pending
        now = {ticket.id: before.get(ticket.id) or _pending_of(ticket) for ticket in self.waiting.values()}
        self._pending = now
        return MappingProxyType(now)

    def tickets(self) -> tuple[Ticket, ...]:
        """Those that wait, oldest first."""
        return tuple(self.waiting.values())

    def ticket(self, ticket_id: str) -> Ticket:
        """Find an open ticket by its id. Raises :class:`ServerRequestNotFoundError`."""
        try:
            return self.waiting[ticket_id]
        except KeyError:
            raise ServerRequestNotFoundError(f"no open server request has the id {ticket_id!r}") from None

    def take_in(
        self, link: Link[Call], asked: Sequence[Envelope], takers_of: Callable[[Envelope], tuple[Taker, ...]]
    ) -> None:
        """Take in all that one read asks. Never waits, never raises."""
        if len(asked) > 1:
            # Looked at before any of it is opened: a plain handler answers at once, and knows no twin.
            first: dict[object, Envelope] = {}
            for envelope in asked:
                if not _is_same(first.setdefault(envelope.rpc_id, envelope), envelope):
                    self._spoil(envelope.rpc_id)
        for envelope in asked:
            self.open(link, envelope, takers_of(envelope))

    def open(self, link: Link[Call], envelope: Envelope, takers: tuple[Taker, ...]) -> None:
        """Take in a request and find somebody to answer it; nobody means no. Never waits, never raises."""
        if self._cannot_be_answered(link, envelope):
            return
        method, asked = envelope.method or "", (link.generation, envelope.rpc_id)
        twin = self._asked.get(asked)
        if twin is not None and _is_same(twin.envelope, envelope):
            # Once more: whoever answers the first answers both. It may be asked again for who is here by now.
            if twin._worker is None:  # noqa: SLF001  # one unit: ticket and desk
                self._offer(twin, takers)
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._counters.server_requests += 1
        if twin is not None:
            twin.withdraw(TWICE)
        deadline = envelope.stamp.monotonic + self._deadlines.get(method, self._deadline)
        # Whoever knows one id, or many, knows no other: it may be all that somebody has to show for the right to answer.
        ticket = Ticket(self, link, envelope, os.urandom(16).hex(), deadline)
        if deadline < self._alarm.at:
            self._alarm.by(deadline)
        self.waiting[ticket.id] = ticket
        self._asked[asked] = ticket
        if self._on_change is not None:
            self._on_change()
        if (objection := self._objection(ticket, twin)) is not None:
            _decline(ticket, "nobody", objection)
        elif not self._offer(ticket, takers):
            _decline(ticket, "nobody", rules.NOBODY)

    def _spoil(self, rpc_id: object) -> None:
        if len(self._spoilt) < MAX_SPOILT:
            self._spoilt.add(rpc_id)

    def _cannot_be_answered(self, link: Link[Call], envelope: Envelope) -> bool:
        if not _can_answer(link, envelope):
            self._counters.malformed += 1
            return True
        if not link.unsent:
            self._unread = 0
        elif self._unread > MAX_UNREAD:
            link.kill("it asks and reads no answers")
            return True
        return False

    def _objection(self, ticket: Ticket, twin: Ticket | None) -> str | None:
        """Return why this is nobody's to allow, if it is not."""
        rpc_id, spoilt = ticket.envelope.rpc_id, self._spoilt
        if twin is not None:
            self._spoil(rpc_id)
        if twin is not None or rpc_id in spoilt or len(spoilt) >= MAX_SPOILT:
            return TWICE  # what is written under this id may be taken for the answer to either, so it can only be a no
        if ticket.method not in rules.KNOWN:
            return "unknown to this version"
        return "too many server requests are open" if len(self.waiting) > self._capacity else None

    def send(self, link: Link[Call], rpc_id: RpcId, answer: rules.Answer, *, is_secret: bool) -> None:
        """Write an answer to the link that asked. ``is_secret``: what it says is for the server alone."""
        if isinstance(answer, rules.Reply):
            line = link.peer.answer(rpc_id, answer.result)
        else:
            line = link.peer.refuse(rpc_id, answer.code, answer.message, answer.data)
        self._unread += len(line)
        self._write(link, line, is_secret=is_secret and isinstance(answer, rules.Reply))

    def closed(self, ticket: Ticket, answer: rules.Answer | None, by: str | None) -> None:
        """Forget a settled ticket, stop whoever still works on it, and put it on record."""
        outcome = ticket.outcome or "withdrawn"
        wait = max(0.0, self._clock.monotonic() - ticket.envelope.stamp.monotonic)
        self._counters.settle_times.add(outcome, wait)
        if ticket.is_approval:
            self._counters.approvals.add(outcome, wait)
        del self.waiting[ticket.id]
        del self._asked[ticket.generation, ticket.envelope.rpc_id]
        worker = ticket._worker  # noqa: SLF001  # one unit: ticket and desk
        if worker is not None and worker is not asyncio.current_task():
            worker.cancel()
        for queue in self._queues:
            queue.discard(ticket)
        if self._on_change is not None:
            self._on_change()
        if self._on_decision is not None:
            self._record(self._on_decision, ticket, answer, wait, by)

    def observe(self, envelopes: list[Envelope]) -> None:
        """Withdraw what the server says is no longer needed. Called with each read while tickets are open."""
        for envelope in envelopes:
            if envelope.method == "serverRequest/resolved":
                rpc_id = rules.resolved_id(envelope.raw)
                if rpc_id is not None and (ticket := self._asked.get((envelope.generation, rpc_id))) is not None:
                    self._withdraw([ticket])
            elif envelope.method == "turn/completed" and (turn_id := envelope.turn_id):
                self._withdraw([t for t in self.tickets() if t.turn_id == turn_id])

    def withdraw_all(self, reason: str) -> None:
        """Close everything without an answer: there is nobody left to tell, and whoever comes next begins anew."""
        self._withdraw(list(self.tickets()), reason)
        self._spoilt.clear()
        self._unread = 0

    async def server_requests(self, thread: str | None, methods: Collection[str] | None) -> AsyncIterator[Ticket]:
        """Iterate over requests that nobody else takes. While somebody iterates, they are queued, not declined."""
        queue = _Queue(thread, methods)
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
                if not self._queue(ticket):
                    _decline(ticket, "nobody", rules.NOBODY)

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
        self._alarm.close()
        for task in self._tasks:
            task.cancel()
        return set(self._tasks)

    def _offer(self, ticket: Ticket, takers: tuple[Taker, ...]) -> bool:
        for taker in takers:
            try:
                taken = taker(ticket)
            except BaseException as error:  # noqa: BLE001  # a guest's fault stays the guest's
                contain(error, self._counters)
                taken = False
            if taken or ticket.is_settled:
                return True
        return self.pass_on(ticket)

    def pass_on(self, ticket: Ticket) -> bool:
        """Give a ticket to the handler for its method, or else to whoever iterates. False: there is nobody."""
        handler = self._handlers.get(ticket.method, self._handler)
        if handler is not None:
            self.run(ticket, handler)
            return True
        return self._queue(ticket)

    def _queue(self, ticket: Ticket) -> bool:
        for queue in self._queues:
            if queue.wants(ticket):
                ticket.holder = "reader"
                queue.put(ticket)
                return True
        return False

    def run(self, ticket: Ticket, handler: ServerRequestHandler) -> None:
        """Let a handler answer a ticket: a plain function now, a coroutine in a task.

        If it fails, or a coroutine ends without an answer, the answer is no. A plain function may keep the ticket.
        """
        if ticket.is_settled:
            return
        ticket.holder = "handler"
        try:
            work = handler(ticket)
        except BaseException as error:  # noqa: BLE001  # a guest's fault stays the guest's
            contain(error, self._counters)
            _decline(ticket, "handler", "the handler failed")
            return
        if work is not None and isinstance(work, Awaitable):
            coroutine = work if isinstance(work, Coroutine) else _awaited(work)
            task = asyncio.get_running_loop().create_task(coroutine, name=f"answer {ticket.method}")
            ticket._worker = task  # noqa: SLF001  # one unit: ticket and desk
            self._tasks.add(task)
            task.add_done_callback(partial(self._handled, ticket))
        elif not ticket.is_settled:
            ticket.holder = "reader"

    def _handled(self, ticket: Ticket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        reason = "the handler gave no answer"
        if not task.cancelled() and task.exception() is not None:
            self._counters.guest_errors += 1
            reason = "the handler failed"
        _decline(ticket, "handler", reason)

    def _expire(self, now: float) -> float:
        """Do what is to be done at their deadline with those that have reached it, and return the next one."""
        late = [ticket for ticket in self.waiting.values() if ticket.deadline <= now]
        for ticket in sorted(late, key=lambda ticket: ticket.deadline):
            self._end_late(ticket)
        return min((ticket.deadline for ticket in self.waiting.values() if ticket.deadline > now), default=math.inf)

    def end_if_late(self, ticket: Ticket) -> None:
        """Do what is to be done at its deadline, if that has passed."""
        if ticket.deadline <= self._clock.monotonic():
            self._end_late(ticket)

    def require_loop(self) -> None:
        """Refuse a caller on a thread or on another loop: :class:`LocalProtocolError`."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # this is a thread
            is_here = False
        if not is_here:
            raise LocalProtocolError(
                "a server request is settled on the event loop of its runtime; from a thread, hand it over: "
                "loop.call_soon_threadsafe(ticket.accept)"
            )

    def _end_late(self, ticket: Ticket) -> None:
        if not ticket.is_settled:
            actions, otherwise = (
                self._config.server_request_deadline_actions,
                self._config.server_request_deadline_action,
            )
            ticket.holder = "deadline"
            answer = rules.at_deadline(ticket.method, actions.get(ticket.method, otherwise))
            ticket._answer(answer, rules.LATE, None)  # noqa: SLF001  # one unit: ticket and desk

    def _record(
        self,
        tell: Callable[[Decision], object],
        ticket: Ticket,
        answer: rules.Answer | None,
        wait: float,
        by: str | None,
    ) -> None:
        try:
            decision = Decision(
                what=ticket.method,
                outcome=ticket.outcome or "withdrawn",
                scope=None if answer is None else rules.scope(answer),
                by=by,
                decider=ticket.holder,
                reason=ticket.reason,
                digest=ticket.question.digest,
                opened_at=ticket.envelope.at,
                at=self._clock.wall(),
                wait=wait,
                seq=ticket.envelope.seq,
                generation=ticket.generation,
                thread_id=ticket.thread_id,
                turn_id=ticket.turn_id,
                item_id=ticket.item_id,
                ticket_id=ticket.id,
            )
            tell(decision)
        except BaseException as error:  # noqa: BLE001  # a guest's fault stays the guest's
            contain(error, self._counters)

    def _withdraw(self, tickets: list[Ticket], reason: str = "the server no longer needs it") -> None:
        for ticket in tickets:
            ticket.withdraw(reason)


class _Queue:
    """A hand-over of tickets. It holds open ones only, so the desk's capacity bounds it."""

    def __init__(self, thread: str | None, methods: Collection[str] | None) -> None:
        self._thread = thread
        self._methods = methods
        self._items: deque[Ticket] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def wants(self, ticket: Ticket) -> bool:
        return (self._thread is None or ticket.thread_id == self._thread) and (
            self._methods is None or ticket.method in self._methods
        )

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
        return list(self._items)


def _pending_of(ticket: Ticket) -> PendingRequest:
    return PendingRequest(
        ticket_id=ticket.id,
        method=ticket.method,
        thread_id=ticket.thread_id,
        turn_id=ticket.turn_id,
        item_id=ticket.item_id,
        opened_at=ticket.envelope.at,
        deadline=ticket.deadline,
        generation=ticket.generation,
    )


def _decline(ticket: Ticket, holder: Decider, reason: str) -> None:
    if not ticket.is_settled:
        ticket.holder = holder
        ticket.decline(reason)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _is_same(one: Envelope, other: Envelope) -> bool:
    return one is other or (one.method, one.params) == (other.method, other.params)


def _can_answer(link: Link[Call], envelope: Envelope) -> bool:
    """Tell whether the request's id can be written at all: an answer under another id would reach nobody."""
    if isinstance(envelope.rpc_id, int):
        return True
    try:
        link.peer.answer(cast("RpcId", envelope.rpc_id), None)
    except LocalProtocolError:
        return False
    return True

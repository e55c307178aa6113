"""The one road in: what happens to each chunk that an app server writes.

There is no ``await`` between the pipe and the subscribers, so wire order is number order, state order and delivery
order. The work is done per read, not per event::

    stamp  →  state  →  publish  →  turns  →  tickets  →  settle

Settling comes last: when ``await request()`` returns, state and subscribers already hold all that came before. Turns come
after publishing because they may write, and what they write has a later number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from msgspec import Raw, to_builtins

from codex_runtime._sansio.discreet import TELLING_SECRETS, without_secrets
from codex_runtime._sansio.envelope import Envelope, JsonValue, Stamp, loads, stamp_outbound
from codex_runtime._sansio.projection import TELLING
from codex_runtime._sansio.turn import TO_ALL

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.fanout import Fanout
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.peer import Received
    from codex_runtime._sansio.projection import Projection
    from codex_runtime._sansio.turn_result import Item
    from codex_runtime.errors import ConnectionLostError
    from codex_runtime.runtime._calls import Call
    from codex_runtime.runtime._server_requests import Desk
    from codex_runtime.runtime._ticket import Ticket
    from codex_runtime.runtime.metrics import Counters

__all__ = ["Dispatch", "ThreadListener", "contain"]

K = TypeVar("K")
T = TypeVar("T")
Taker: TypeAlias = "Callable[[Ticket], bool]"


class ThreadListener(Protocol):
    """Somebody who follows one thread from inside the dispatch, and so misses nothing. Must be quick."""

    def envelope(self, envelope: Envelope) -> None:
        """Take a message that belongs to the thread."""

    def ticket(self, ticket: Ticket) -> bool:
        """Take a server request of the thread. True: somebody here will settle it."""

    def known_items(self, turn_id: str) -> Sequence[Item]:
        """The items of this turn so far; none if this listener does not keep them, or keeps those of another turn."""

    def lost(self, error: ConnectionLostError) -> None:
        """The app server died, and nothing more comes from this generation; or it is certain that no other one will come."""

    def ready(self) -> None:
        """The next app server is ready, and whoever could find a thread again on it has."""


class Dispatch:
    """Stamps, counts, folds, publishes and settles what links receive."""

    def __init__(
        self,
        *,
        clock: Clock,
        counters: Counters,
        fanout: Fanout,
        projection: Projection | None,
    ) -> None:
        self._monotonic = clock.monotonic
        self._wall = clock.wall
        self._counters = counters
        self._fanout = fanout
        self._projection = projection
        self._desk: Desk
        self._settle: Callable[[Sequence[tuple[Call, Envelope]]], None]
        self._listeners: dict[str, tuple[ThreadListener, ...]] = {}
        self._takers: dict[str | None, tuple[Taker, ...]] = {}
        self._next_seq = 0
        self._unpublished = 0  # bytes of the lines that are still to be completed, roughly

    def serve(self, desk: Desk, settle: Callable[[Sequence[tuple[Call, Envelope]]], None]) -> None:
        """Name those who answer to server requests and to responses. They write through here, so they come second."""
        self._desk = desk
        self._settle = settle

    def listen(self, thread_id: str, listener: ThreadListener) -> Callable[[], None]:
        """Follow a thread. Returns the function that ends it."""
        return _enter(self._listeners, thread_id, listener)

    @property
    def is_followed(self) -> bool:
        """True while somebody follows a thread."""
        return bool(self._listeners)

    def take(self, thread_id: str | None, taker: Taker) -> Callable[[], None]:
        """Be offered server requests of a thread, or of all, that no listener takes. Returns the function that ends it."""
        return _enter(self._takers, thread_id, taker)

    def items(self, thread_id: str, turn_id: str) -> Sequence[Item]:
        """Ask those who follow a thread for the items of a turn."""
        return [item for each in self._listeners.get(thread_id, ()) for item in each.known_items(turn_id)]

    def data(self, link: Link[Call], data: bytes) -> None:
        """Take a chunk from a link."""
        stamp = Stamp(link.generation, self._wall(), self._monotonic())
        self._counters.bytes_in += len(data)
        self._accept(link, link.peer.receive(data, self._next_seq, stamp), len(data))

    def end_of_data(self, link: Link[Call]) -> None:
        """Take the end of a link's stream: a last line without newline still counts."""
        stamp = Stamp(link.generation, self._wall(), self._monotonic())
        self._accept(link, link.peer.finish(self._next_seq, stamp), 0)

    def write(self, link: Link[Call], line: bytes, *, is_secret: bool = False) -> None:
        """Write a line to a link, and take note of it for those who want to see both directions.

        They see no credentials: neither those in some requests, nor an answer that ``is_secret``.
        """
        link.write(line)
        self._counters.bytes_out += len(line)
        if self._fanout.wants_outbound:
            stamp = Stamp(link.generation, self._wall(), self._monotonic(), "outbound")
            envelope = stamp_outbound(line, self._next_seq, stamp)
            if is_secret or envelope.method in TELLING_SECRETS:
                envelope = stamp_outbound(without_secrets(line, is_secret=is_secret), self._next_seq, stamp)
            self._fanout.publish_outbound(envelope)
            self._next_seq += 1

    def lost(self, error: ConnectionLostError) -> None:
        """Tell everyone who follows a thread that the generation is over."""
        for listeners in list(self._listeners.values()):
            for listener in listeners:
                self._guarded(listener.lost, error)

    def ready(self) -> None:
        """Tell everyone who follows a thread that there is another generation."""
        for listeners in list(self._listeners.values()):
            for listener in listeners:
                self._guarded(listener.ready)

    def _accept(self, link: Link[Call], received: Received[Call], size: int) -> None:
        envelopes = received.envelopes
        counters = self._counters
        self._unpublished += size
        if envelopes:
            self._next_seq += len(envelopes)
            counters.messages += len(envelopes)
            if self._projection is not None:
                _fold(self._projection, received)
            # Of an over-long line only the head is kept, so there the bytes that were read say nothing.
            weight = sum([len(envelope.raw) for envelope in envelopes]) if received.too_long else self._unpublished
            self._unpublished = 0
            self._fanout.publish(envelopes, weight)
            for call, envelope in received.answered:
                if call.at_once is not None and not call.future.done():
                    self._guarded(call.at_once, envelope)
            if self._listeners:
                self._tell_listeners(envelopes)
        if received.malformed or received.too_long or received.late:
            counters.malformed += received.malformed
            counters.too_long += received.too_long
            counters.late_answers += received.late
        if received.asked:
            self._desk.take_in(link, received.asked, self._takers_of)
        if envelopes and self._desk.waiting:
            self._desk.observe(envelopes)
        if received.answered:
            self._settle(received.answered)

    def _takers_of(self, asked: Envelope) -> tuple[Taker, ...]:
        if not (self._listeners or self._takers):
            return ()
        thread_id, takers = asked.thread_id or "", self._takers
        listeners = [listener.ticket for listener in self._listeners.get(thread_id, ())]
        return (*listeners, *takers.get(thread_id, ()), *takers.get(None, ()))

    def _tell_listeners(self, envelopes: list[Envelope]) -> None:
        get = self._listeners.get
        for envelope in envelopes:
            thread_id = envelope.shallow.thread_id
            if thread_id is not None:
                if (listeners := get(thread_id)) is None:
                    continue
            elif envelope.method in TO_ALL:
                listeners = tuple(listener for others in self._listeners.values() for listener in others)
            elif envelope.fault is not None and envelope.fault.reason == "too_long":
                listeners = self._listeners_in(envelope.raw)
            else:
                continue
            for listener in listeners:
                try:
                    listener.envelope(envelope)
                except BaseException as error:  # noqa: BLE001  # a guest's fault stays the guest's
                    contain(error, self._counters)

    def _listeners_in(self, head: bytes) -> tuple[ThreadListener, ...]:
        """Find whom a message may concern of which only the head is left."""
        return tuple(
            each for thread_id, those in self._listeners.items() if thread_id.encode() in head for each in those
        )

    def _guarded(self, call: Callable[..., None], *values: object) -> None:
        try:
            call(*values)
        except BaseException as error:  # noqa: BLE001  # a guest's fault stays the guest's
            contain(error, self._counters)


def contain(error: BaseException, counters: Counters) -> None:
    """Count what a guest raised, whatever it is: what we were about to do is done all the same.

    Only whoever wants the program to end is heard, by the one who runs the loop, as soon as that is done.
    """
    counters.guest_errors += 1
    if isinstance(error, KeyboardInterrupt | SystemExit):
        asyncio.get_running_loop().call_soon(_raise, error)


def _raise(error: BaseException) -> None:
    raise error


def _fold(projection: Projection, received: Received[Call]) -> None:
    """Take a read into the state. Most reads hold no answer, and most answers tell nothing that is not told otherwise."""
    for call, _ in received.answered:
        if call.method in TELLING:
            answers = [(c.method, _plain(c.params), e) for c, e in received.answered if c.method in TELLING]
            projection.fold_with_answers(received.envelopes, answers)
            return
    if len(received.answered) < len(received.envelopes):
        projection.fold(received.envelopes)


def _plain(params: object) -> JsonValue:
    try:
        return loads(params) if isinstance(params, Raw) else to_builtins(params)
    except Exception:  # noqa: BLE001  # they could be sent, but their owner may have changed them since
        return None


def _enter(table: dict[K, tuple[T, ...]], key: K, value: T) -> Callable[[], None]:
    table[key] = (*table.get(key, ()), value)

    def leave() -> None:
        if rest := tuple(other for other in table.get(key, ()) if other is not value):
            table[key] = rest
        else:
            table.pop(key, None)

    return leave

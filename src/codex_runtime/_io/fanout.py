"""From one road to many readers: bounded windows on the stream of envelopes.

Publishing never waits. Each subscription keeps a bounded number of events and bytes; when a reader lags, the oldest
fall out, are counted, and the reader gets one :class:`Gap` at exactly that place. A subscription with
``overflow="block"`` loses nothing instead: it asks for the pipe to be left unread until it has caught up, but never
for longer than its patience, since a reader that waits for an answer would otherwise wait for itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Literal, Self, TypeAlias
from weakref import ReferenceType, ref

from msgspec import Struct

from codex_runtime._sansio.envelope import Envelope

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable, Clock

__all__ = ["DEFAULT_CAPACITY", "DEFAULT_MAX_BYTES", "Fanout", "Gap", "Overflow", "Select", "Sort", "Subscription"]

Overflow: TypeAlias = Literal["drop", "block"]
Select: TypeAlias = Callable[[Envelope], bool]
# Cuts a batch into what belongs to each topic; what belongs to none is left out.
Sort: TypeAlias = Callable[[list[Envelope]], Mapping[str, list[Envelope]]]

# A decoded delta weighs about 800 bytes, so this is at most some 7 MB a reader.
DEFAULT_CAPACITY = 8192
DEFAULT_MAX_BYTES = 8 * 1024 * 1024


class Gap(Struct, frozen=True):
    """What a lagging reader has missed here: ``count`` envelopes, the first and last of them by number."""

    first_seq: int
    last_seq: int
    count: int


class Subscription:
    """One reader's bounded window on the stream. Iterate it, or take :meth:`batches`.

    Yields :class:`Envelope` in order and :class:`Gap` where something was lost. Iteration ends when the subscription or
    its runtime is closed; it raises if the runtime died. Close it (or leave its ``with`` block) when done; one that nobody
    has any more and nobody waits for is closed by itself.
    """

    def __init__(
        self,
        fanout: Fanout,
        *,
        name: str | None,
        topic: str | None,
        select: Select | None,
        outbound: bool,
        capacity: int,
        max_bytes: int,
        overflow: Overflow,
    ) -> None:
        self._fanout = fanout
        self._reference: ReferenceType[Subscription] | None = None  # by which the fan-out knows it
        self.name = name
        self._topic = topic
        self._select = select
        self._outbound = outbound
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._buffer: deque[tuple[list[Envelope], int]] = deque()
        self._events = 0
        self._bytes = 0
        self._gap: Gap | None = None
        self._ready: Iterator[Envelope | Gap] = iter(())
        self._waiters: list[asyncio.Future[None]] = []
        self._closed = False
        self._error: Callable[[], Exception] | None = None
        self._blocking = False
        self._gave_way = False
        self.dropped = 0
        self.gaps = 0

    @property
    def pending(self) -> int:
        """How many envelopes wait to be read."""
        return self._events + length_hint(self._ready)

    @property
    def thread(self) -> str | None:
        """The only thread that it follows; ``None`` for all."""
        return self._topic

    @property
    def is_blocking(self) -> bool:
        """True while it is full and holds up the pipe."""
        return self._blocking

    def __enter__(self) -> Self:
        """Use it as a block that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop receiving. What is already buffered can still be read. Idempotent."""
        self._fanout.remove(self)
        self._end(None)

    async def __aiter__(self) -> AsyncIterator[Envelope | Gap]:
        """Iterate over the envelopes. A loop that was left can be taken up again, or by another task."""
        # A generator costs a third less per event than __anext__ does. The place is kept in the list iterator, not in the
        # generator, so whoever goes on later misses nothing.
        while True:
            for item in self._ready:
                yield item
            if (batch := self._take()) is not None:
                self._ready = iter(batch)
            elif not await self._more():
                return

    async def __anext__(self) -> Envelope | Gap:
        """Return the next envelope, or the gap that lies before it."""
        while True:
            for item in self._ready:
                return item
            if (batch := self._take()) is not None:
                self._ready = iter(batch)
            elif not await self._more():
                raise StopAsyncIteration

    async def batches(self) -> AsyncIterator[Sequence[Envelope | Gap]]:
        """Iterate over what was read together: same items, same order, less work for each."""
        while True:
            if rest := list(self._ready):
                yield rest
            elif (batch := self._take()) is not None:
                yield batch
            elif not await self._more():
                return

    # -- for the fan-out -------------------------------------------------------------------------------------------

    def push(self, envelopes: list[Envelope], size: int) -> None:
        """Take what was just published, if it is wanted. Never waits, never raises."""
        if self._select is not None:
            select = self._select
            envelopes = [envelope for envelope in envelopes if select(envelope)]
            if not envelopes:
                return
            size = sum([len(envelope.raw) for envelope in envelopes])
        self._buffer.append((envelopes, size))
        self._events += len(envelopes)
        self._bytes += size
        if self._events > self._capacity or (self._bytes > self._max_bytes and len(self._buffer) > 1):
            self._overflowing()
        if self._waiters:
            self._wake()

    def give_way(self) -> None:
        """Stop blocking: lose the oldest instead, until the reader has caught up."""
        self._gave_way = True
        self._trim()
        self._unblock()

    def _overflowing(self) -> None:
        if self._overflow == "drop" or self._gave_way:
            self._trim()
        elif not self._blocking:
            self._blocking = True
            self._fanout.block(self)

    def _unblock(self) -> None:
        if self._blocking:
            self._blocking = False
            self._fanout.unblock(self)

    def _trim(self) -> None:
        """Drop the oldest until the window fits. The newest batch survives a byte limit, whatever its size."""
        while self._events > self._capacity:
            envelopes, size = self._buffer[0]
            excess = self._events - self._capacity
            if excess >= len(envelopes):
                self._buffer.popleft()
                self._lost(envelopes, size)
            else:
                kept = envelopes[excess:]
                kept_size = sum([len(envelope.raw) for envelope in kept])
                self._buffer[0] = (kept, kept_size)
                self._lost(envelopes[:excess], size - kept_size)
        while self._bytes > self._max_bytes and len(self._buffer) > 1:
            self._lost(*self._buffer.popleft())

    def _lost(self, envelopes: list[Envelope], size: int) -> None:
        count = len(envelopes)
        self._events -= count
        self._bytes -= size
        self.dropped += count
        self._fanout.dropped += count
        gap = self._gap
        first, before = (envelopes[0].seq, 0) if gap is None else (gap.first_seq, gap.count)
        self._gap = Gap(first, envelopes[-1].seq, before + count)

    def _take(self) -> Sequence[Envelope | Gap] | None:
        """Take what comes next out of the window, if anything waits."""
        if (gap := self._gap) is not None:
            self._gap = None
            self.gaps += 1
            self._fanout.gaps += 1
            return (gap,)
        if not self._buffer:
            return None
        envelopes, size = self._buffer.popleft()
        self._events -= len(envelopes)
        self._bytes -= size
        if self._events * 2 <= self._capacity and self._bytes * 2 <= self._max_bytes:
            self._gave_way = False
            self._unblock()
        return envelopes

    async def _more(self) -> bool:
        """Wait until something may be there to take, which another reader may take first. False: it is the end."""
        if self._closed:
            if self._error is not None:
                raise self._error()
            return False
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._fanout.waiting.add(self)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if not self._waiters:
                self._fanout.waiting.discard(self)
        return True

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, error: Callable[[], Exception] | None) -> None:
        if not self._closed:
            self._closed = True
            self._error = error
            self._unblock()
            self._wake()


class Fanout:
    """All subscriptions of one runtime.

    ``sort`` tells the topics of a batch, once for all subscriptions that want a single one. ``on_block`` is called with
    True when the first subscription wants the pipe left alone, with False when the last one has caught up;
    ``patience`` bounds how long one of them may ask for that, in seconds of ``clock``.
    """

    def __init__(
        self, *, clock: Clock, on_block: Callable[[bool], None], patience: float, sort: Sort | None = None
    ) -> None:
        self._clock = clock
        self._sort = sort
        self._on_block = on_block
        self._patience = patience
        # Nobody is held by these: a subscription that its reader has forgotten is found to be gone, and forgotten too.
        self._all: list[ReferenceType[Subscription]] = []
        self._wide: list[ReferenceType[Subscription]] = []  # those of all without a topic
        self._narrow: dict[str, list[ReferenceType[Subscription]]] = {}  # the others, by topic
        self._gone: list[ReferenceType[Subscription]] = []
        # Who waits is held: asyncio holds no task that waits for something which nobody holds.
        self.waiting: set[Subscription] = set()
        self._blocking: dict[Subscription, Cancellable] = {}
        self._closed = False
        self._error: Callable[[], Exception] | None = None
        self.wants_outbound = False
        self.dropped = 0
        self.gaps = 0
        self.opened = 0

    def __len__(self) -> int:
        """How many subscriptions are open."""
        return len(self.subscriptions)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Those that are open, the oldest first."""
        return tuple(found for reference in self._all if (found := reference()) is not None)

    def subscribe(
        self,
        *,
        name: str | None = None,
        topic: str | None = None,
        select: Select | None = None,
        outbound: bool = False,
        capacity: int = DEFAULT_CAPACITY,
        max_bytes: int = DEFAULT_MAX_BYTES,
        overflow: Overflow = "drop",
    ) -> Subscription:
        """Open a window on everything that is published from now on. After :meth:`close` it is one that has ended."""
        subscription = Subscription(
            self,
            name=name,
            topic=topic,
            select=select,
            outbound=outbound,
            capacity=capacity,
            max_bytes=max_bytes,
            overflow=overflow,
        )
        if self._closed:
            subscription._end(self._error)  # noqa: SLF001
            return subscription
        self.opened += 1
        if self._gone:
            self._forget_the_gone()
        reference = subscription._reference = ref(subscription, self._gone.append)  # noqa: SLF001
        self._all.append(reference)
        (self._wide if topic is None else self._narrow.setdefault(topic, [])).append(reference)
        self.wants_outbound = self.wants_outbound or outbound
        return subscription

    def publish(self, envelopes: list[Envelope], size: int) -> None:
        """Hand what was read to everyone."""
        if self._gone:
            self._forget_the_gone()
        for reference in self._wide:
            if (subscription := reference()) is not None:
                subscription.push(envelopes, size)
        if self._narrow and self._sort is not None:
            for topic, part in self._sort(envelopes).items():
                if (wanted := self._narrow.get(topic)) is not None:
                    part_size = sum([len(envelope.raw) for envelope in part])
                    for reference in wanted:
                        if (subscription := reference()) is not None:
                            subscription.push(part, part_size)

    def publish_outbound(self, envelope: Envelope) -> None:
        """Hand what was written to those who asked for that too."""
        if self._gone:
            self._forget_the_gone()
        part, size = [envelope], len(envelope.raw)
        topics = self._sort(part) if self._narrow and self._sort is not None else {}
        for subscription in self.subscriptions:
            topic = subscription._topic  # noqa: SLF001  # one unit: the two classes of this file
            if subscription._outbound and (topic is None or topic in topics):  # noqa: SLF001
                subscription.push(part, size)

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        reference, topic = subscription._reference, subscription._topic  # noqa: SLF001
        if reference is None or reference not in self._all:
            return
        self._all.remove(reference)
        if topic is None:
            self._wide.remove(reference)
        elif len(same := self._narrow[topic]) > 1:
            same.remove(reference)
        else:
            del self._narrow[topic]
        if subscription._outbound:  # noqa: SLF001
            self._look_for_outbound()

    def close(self, error: Callable[[], Exception] | None = None) -> None:
        """End every subscription; readers get what is buffered, then the end or an ``error`` of their own. Idempotent."""
        if self._closed:
            return
        self._closed, self._error = True, error
        everyone = self.subscriptions
        self._all, self._wide, self._narrow, self.wants_outbound = [], [], {}, False
        for subscription in everyone:
            subscription._end(error)  # noqa: SLF001

    def _forget_the_gone(self) -> None:
        self._gone.clear()
        self._all, self._wide = _alive(self._all), _alive(self._wide)
        self._narrow = {topic: left for topic, some in self._narrow.items() if (left := _alive(some))}
        self._look_for_outbound()

    def _look_for_outbound(self) -> None:
        self.wants_outbound = any(subscription._outbound for subscription in self.subscriptions)  # noqa: SLF001

    def block(self, subscription: Subscription) -> None:
        """Note that a subscription is full and wants nothing lost."""
        until = self._clock.monotonic() + self._patience
        self._blocking[subscription] = self._clock.call_at(until, subscription.give_way)
        if len(self._blocking) == 1:
            self._on_block(True)

    def unblock(self, subscription: Subscription) -> None:
        """Note that it has caught up or given way."""
        self._blocking.pop(subscription).cancel()
        if not self._blocking:
            self._on_block(False)


def _alive(references: Sequence[ReferenceType[Subscription]]) -> list[ReferenceType[Subscription]]:
    return [reference for reference in references if reference() is not None]

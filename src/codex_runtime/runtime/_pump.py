"""Brings every message to every sink, in tasks of their own.

A pump is an ordinary subscriber in front of one sink, so the road in knows nothing of sinks. What a sink does wrong costs
that sink its batch and nobody else anything: it may raise, hang, or never end.

The one idea: nothing is lost in silence. Whatever a sink did not get is counted, and the next batch that it takes begins
with the :class:`Gap`; so *written + lost + pending* is what was published.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, cast

from codex_runtime._io.clock import time_limit
from codex_runtime._io.fanout import Fanout, Gap, Subscription
from codex_runtime._sansio.envelope import Envelope
from codex_runtime.errors import CodexError, ConnectionLostError, StoreError
from codex_runtime.runtime.metrics import SinkMetrics, quantile

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime.runtime.sinks import EventSink

__all__ = ["Pump", "Pumps"]

# Seconds that one write may take.
WRITE_DEADLINE = 30.0
# A sink that fails this often in a row is left alone for REST seconds.
MAX_ERRORS = 5
REST = 30.0
# How many messages are gathered for one write: enough for the way to another thread and back to cost each of them little.
ENOUGH = 1024
# Seconds that a sink has to close when its time to drain is over.
CLOSE_GRACE = 1.0
# Upper bounds of the buckets in which the time of writes is counted, in seconds; the last one has none.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01)


class Pump:
    """One sink and the task that feeds it."""

    def __init__(
        self, sink: EventSink, *, subscription: Subscription, clock: Clock, tell: Callable[[SinkMetrics], None]
    ) -> None:
        self.sink = sink
        self._subscription = subscription
        self._clock = clock
        self._tell = tell
        self._gap: Gap | None = None  # what is still to be told to the sink
        self._rests_until: float | None = None
        self._in_a_row = 0
        self._written = 0
        self._failed_to_write = 0
        self._has_ended = False
        self._errors = 0
        self._last_error: str | None = None
        self._times = [0] * (len(BUCKETS) + 1)
        self._busy = 0.0
        self._slowest = 0.0
        self._in_hand = 0

    @property
    def metrics(self) -> SinkMetrics:
        """The figures as they are now."""
        writes = sum(self._times)
        return SinkMetrics(
            name=_name_of(self.sink),
            written=self._written,
            lost=self._subscription.dropped + self._failed_to_write,
            pending=0 if self._has_ended else self._subscription.pending + self._in_hand,
            writes=writes,
            errors=self._errors,
            set_aside=self._rests_until is not None,
            last_error=self._last_error,
            average=self._busy / writes if writes else 0.0,
            p95=quantile(0.95, BUCKETS, self._times, self._slowest),
            slowest=self._slowest,
        )

    async def run(self) -> None:
        """Feed the sink until there is nothing more, then close it."""
        try:
            await self._feed()
        finally:
            self._subscription.close()
            rest = self._subscription.pending + self._in_hand
            self._failed_to_write += rest
            self._has_ended = True
            in_order = not rest and self._gap is None
            try:
                await self.sink.aclose()
            except BaseException as error:  # a guest's fault stays the guest's
                if _is_not_the_guests(error):
                    raise
                self._note(repr(error))
                in_order = False
            finally:
                if not in_order:
                    self._tell(self.metrics)

    async def _feed(self) -> None:
        reader = cast("AsyncGenerator[Sequence[Envelope | Gap]]", self._subscription.batches())
        try:
            async for first in reader:
                await self._offer(await self._gather(first, reader))
        except ConnectionLostError:
            pass  # the runtime died: that is the end of the stream, after its last message
        finally:
            await reader.aclose()
        if self._gap is not None:
            self._rests_until = None
            await self._offer(())

    async def _gather(
        self, first: Sequence[Envelope | Gap], reader: AsyncGenerator[Sequence[Envelope | Gap]]
    ) -> Sequence[Envelope | Gap]:
        """Take along what already waits, up to :data:`ENOUGH` messages, for one write; never wait for more."""
        subscription = self._subscription
        self._in_hand = _count(first)
        if not subscription.pending:
            return first
        merged = list(first)
        while subscription.pending and len(merged) < ENOUGH:  # what waits comes without waiting
            more = await anext(reader)
            self._in_hand += _count(more)
            merged += more
        return merged

    async def _offer(self, batch: Sequence[Envelope | Gap]) -> None:
        count = self._in_hand
        begun = self._clock.monotonic()
        if self._rests_until is not None and begun < self._rests_until:
            self._in_hand = 0
            self._lose(batch, count)
            return
        if self._gap is not None:
            batch = (self._gap, *batch)
        try:
            async with time_limit(self._clock, WRITE_DEADLINE):
                await self.sink.write(batch)
        except BaseException as error:  # a guest's fault stays the guest's
            if _is_not_the_guests(error):
                raise
            self._in_hand = 0
            self._gap = None
            self._lose(batch, count)
            self._failed(error, self._clock.monotonic() - begun)
        else:
            self._in_hand = 0
            self._written += count
            self._gap = self._rests_until = None
            self._in_a_row = 0
        self._measure(self._clock.monotonic() - begun)

    def _lose(self, batch: Sequence[Envelope | Gap], count: int) -> None:
        self._failed_to_write += count
        parts = [_as_gap(item) for item in ((self._gap, *batch) if self._gap is not None else batch)]
        self._gap = Gap(parts[0].first_seq, parts[-1].last_seq, sum([part.count for part in parts])) if parts else None

    def _failed(self, error: BaseException, seconds: float) -> None:
        self._note(f"no end within {WRITE_DEADLINE:g} s" if seconds >= WRITE_DEADLINE else repr(error))
        self._in_a_row += 1
        if self._in_a_row >= MAX_ERRORS:
            self._rests_until = self._clock.monotonic() + REST
            self._tell(self.metrics)

    def _note(self, error: str) -> None:
        self._errors += 1
        self._last_error = error

    def _measure(self, seconds: float) -> None:
        self._times[bisect_left(BUCKETS, seconds)] += 1
        self._busy += seconds
        self._slowest = max(self._slowest, seconds)


class Pumps:
    """The sinks of one runtime. ``on_trouble`` is told when one is set aside, and when one had losses at its end."""

    def __init__(
        self,
        sinks: Sequence[EventSink],
        *,
        fanout: Fanout,
        clock: Clock,
        on_trouble: Callable[[SinkMetrics], None],
    ) -> None:
        self._sinks = sinks
        self._fanout = fanout
        self._clock = clock
        self._on_trouble = on_trouble
        self._pumps: list[Pump] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def metrics(self) -> tuple[SinkMetrics, ...]:
        """The figures of each, in the order of the configuration."""
        return tuple(pump.metrics for pump in self._pumps)

    async def open(self) -> None:
        """Open every sink and begin to feed it. Raises a :class:`CodexError` if one cannot be opened."""
        loop = asyncio.get_running_loop()
        for sink in self._sinks:
            try:
                await sink.open()
            except CodexError:
                raise
            except Exception as error:
                raise StoreError(f"the sink {_name_of(sink)} cannot be opened: {error!r}") from error
            subscription = self._fanout.subscribe(name=_name_of(sink), outbound=True, overflow=sink.overflow)
            pump = Pump(sink, subscription=subscription, clock=self._clock, tell=self._on_trouble)
            self._pumps.append(pump)
            self._tasks.add(loop.create_task(pump.run(), name=f"codex-runtime sink {_name_of(sink)}"))

    async def aclose(self, grace: float) -> None:
        """Wait for the sinks to drain and close, once the fan-out is closed; what takes longer is cut off and counted."""
        for seconds in (grace, CLOSE_GRACE, CLOSE_GRACE):
            if not await self._all_done(seconds):
                for task in self._tasks:
                    task.cancel()

    async def _all_done(self, seconds: float) -> bool:
        if all(task.done() for task in self._tasks):
            return True
        over = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(self._clock.monotonic() + seconds, _finish, over)
        everyone = asyncio.gather(*self._tasks, return_exceptions=True)
        everyone.add_done_callback(lambda _: _finish(over))
        try:
            await over
        finally:
            timer.cancel()
        return all(task.done() for task in self._tasks)


def _is_not_the_guests(error: BaseException) -> bool:
    """Tell whether we are being stopped ourselves: a cancellation that nobody asked of us is only what a guest raised."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _count(batch: Sequence[Envelope | Gap]) -> int:
    """Return how many envelopes are in what a subscription has given: these, or one gap."""
    return 0 if isinstance(batch[0], Gap) else len(batch)


def _as_gap(item: Envelope | Gap) -> Gap:
    return item if isinstance(item, Gap) else Gap(item.seq, item.seq, 1)


def _name_of(sink: object) -> str:
    return type(sink).__name__ if type(sink).__repr__ is object.__repr__ else repr(sink)

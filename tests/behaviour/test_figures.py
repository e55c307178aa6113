"""Numbers that people build alarms on, pinned by an example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_runtime.runtime import EventSink
from codex_runtime.testing import FakeAppServer, Gate, ManualClock
from tests.runtime.rig import Wire, running, task, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_runtime.runtime import Envelope, Gap


class Slow(EventSink):
    """Takes as long for each batch as it is told, on a clock that is turned by hand."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.takes = 0.0

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Let the time pass."""
        await self.clock.advance(self.takes)


async def test_the_slowest_twentieth_does_not_show_in_the_ninety_fifth_percentile() -> None:
    """19 writes of 80 µs and one of 8 ms: the bound of the first bucket, and the slowest is told apart."""
    clock, wire = ManualClock(), Wire()
    sink = Slow(clock)
    async with running(wire, clock, sinks=(sink,)) as runtime:
        await until(lambda: not runtime.metrics.sinks[0].pending)
        greeting = runtime.metrics.sinks[0].writes
        for count, takes in ((19 - greeting, 80e-6), (1, 8e-3)):
            sink.takes = takes
            for _ in range(count):
                wire.say({"method": "note"})
                await until(lambda: not runtime.metrics.sinks[0].pending)
        figures = runtime.metrics.sinks[0]
        assert (figures.writes, figures.errors) == (20, 0)
        assert figures.p95 == 0.0001
        assert round(figures.slowest, 6) == 0.008
        assert round(figures.average, 6) == round(((19 - greeting) * 80e-6 + 8e-3) / 20, 6)


async def test_how_long_a_request_took_is_told_by_its_method() -> None:
    """Answers and refusals alike, from the call to the answer."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(clock=clock)
    fake.on_request("slow", {})
    fake.hold_answer("slow", gate)
    async with running(fake, clock) as runtime:
        async with task(runtime.request("slow")) as call:
            await gate.reached()
            await clock.advance(0.25)
            gate.open()
            await call
        await runtime.request("slow")
        times = runtime.metrics.request_times["slow"]
        assert (times.count, times.sum, times.max, sum(times.buckets)) == (2, 0.25, 0.25, 2)

"""Feeding sinks: everything in order, every loss told, and no sink that can hurt anybody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import ConfigError, RequestFailedError, StoreError
from codex_runtime.runtime import Envelope, EventSink, Gap, RestartPolicy, Runtime, SinkMetrics, Ticket
from codex_runtime.runtime._pump import CLOSE_GRACE, MAX_ERRORS, REST, WRITE_DEADLINE
from codex_runtime.testing import Ask, Die, FakeAppServer, ManualClock, Script
from tests.runtime.rig import Wire, config, restart, running, task, turns, until

if TYPE_CHECKING:
    from collections.abc import Sequence


class Keeper(EventSink):
    """Keeps what it gets, and misbehaves as told."""

    def __init__(self) -> None:
        self.items: list[Envelope | Gap] = []
        self.batches = 0
        self.errors: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.opened = self.closed = 0
        self.close_error: Exception | None = None

    async def open(self) -> None:
        """Count."""
        self.opened += 1

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Wait, raise or keep."""
        self.batches += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.items += batch

    async def aclose(self) -> None:
        """Count, and raise."""
        self.closed += 1
        if self.close_error is not None:
            raise self.close_error

    @property
    def seqs(self) -> list[int | Gap]:
        """The numbers of what it got, and the gaps as they are."""
        return [item if isinstance(item, Gap) else item.seq for item in self.items]


class Stubborn(Keeper):
    """Does not let itself be cancelled until it is let go."""

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Hang."""
        while self.gate is not None:
            try:
                await self.gate.wait()
                self.gate = None
            except asyncio.CancelledError:
                continue


def figures(runtime: Runtime) -> SinkMetrics:
    """The figures of the only sink."""
    [metrics] = runtime.metrics.sinks
    return metrics


def say(wire: Wire, count: int) -> None:
    """Have the server say this many things, each in a read of its own."""
    for number in range(count):
        wire.say({"method": "note", "params": {"n": number}})


async def test_a_sink_gets_everything_in_both_directions() -> None:
    """From the greeting to the last word of the server, in order, with what we answered to it."""

    async def accept(ticket: Ticket) -> None:
        ticket.accept()

    sink, fake = Keeper(), FakeAppServer(Script(Ask("item/commandExecution/requestApproval", {"command": "ls"})))
    async with running(fake, sinks=(sink,), on_server_request=accept) as runtime:
        thread = await runtime.request("thread/start", {})
        turn = {"threadId": thread["thread"]["id"], "input": [{"type": "text", "text": "go"}]}
        await runtime.request("turn/start", turn)
        await fake.until(lambda: bool(fake.answers))
        await until(lambda: any(getattr(item, "method", "") == "turn/completed" for item in sink.items))
        assert figures(runtime).written + figures(runtime).pending == figures(runtime).written
    assert sink.seqs == list(range(len(sink.items)))
    messages = [item for item in sink.items if isinstance(item, Envelope)]
    assert [one.message for one in messages if one.direction == "outbound"] == [
        received.message for received in fake.received
    ]
    assert len([one for one in messages if one.direction == "inbound"]) == fake.lines_sent
    [answer] = [one.message for one in messages if one.kind == "answer"]
    assert answer["result"] == {"decision": "accept"}
    assert (sink.opened, sink.closed) == (1, 1)


async def test_a_sink_sees_one_generation_after_the_other() -> None:
    """Numbers go on across a restart, and the sink is not opened again."""
    sink, fake, clock = Keeper(), FakeAppServer(), ManualClock()
    async with running(fake, clock, sinks=(sink,)) as runtime:
        await restart(fake, runtime, clock)
        await runtime.request("thread/start", {})
    assert sink.seqs == list(range(len(sink.items)))
    generations = [item.generation for item in sink.items if isinstance(item, Envelope)]
    assert (generations == sorted(generations), set(generations)) == (True, {0, 1})
    assert (sink.opened, sink.closed) == (1, 1)


async def test_closing_drains_what_a_slow_sink_has_not_yet_got() -> None:
    """Also what came while it was busy with something else."""
    sink, wire = Keeper(), Wire()
    sink.gate = asyncio.Event()
    async with running(wire, sinks=(sink,)) as runtime:
        say(wire, 100)
        assert figures(runtime).pending == 103
        asyncio.get_running_loop().call_soon(sink.gate.set)
    assert sink.seqs == list(range(103))
    assert figures(runtime).written == 103
    assert (figures(runtime).pending, figures(runtime).lost) == (0, 0)


async def test_what_waits_is_written_together() -> None:
    """In order, up to a size, with nothing unaccounted for at any moment; and a quiet server is written down at once."""
    sink, wire = Keeper(), Wire()
    async with running(wire, sinks=(sink,)) as runtime:
        await until(lambda: len(sink.items) == 3)
        before = sink.batches
        for count in range(1, 31):
            wire.say(*[{"method": "note"}] * 100)
            assert figures(runtime).written + figures(runtime).pending == 3 + 100 * count
        await until(lambda: len(sink.items) == 3003)
        assert sink.batches - before == 3
        say(wire, 1)
        await until(lambda: len(sink.items) == 3004)
    assert sink.seqs == list(range(3004))


async def test_a_sink_that_raises_costs_itself_its_batch() -> None:
    """The next batch begins with the gap; the runtime, and the other sink, notice nothing."""
    bad, good, wire = Keeper(), Keeper(), Wire()
    async with running(wire, sinks=(bad, good)) as runtime:
        await until(lambda: len(good.items) == 3 and len(bad.items) == 3)
        bad.errors = [ZeroDivisionError("first"), OSError("second")]
        for _ in range(3):
            batches = bad.batches
            say(wire, 2)
            await until(lambda batches=batches: bad.batches > batches)  # type: ignore[misc]
            await turns()
        assert bad.seqs == [0, 1, 2, Gap(3, 6, 4), 7, 8]
        metrics = runtime.metrics.sinks[0]
        assert (metrics.written, metrics.lost, metrics.errors, metrics.writes) == (5, 4, 2, bad.batches)
        assert metrics.last_error == "OSError('second')"
        assert not metrics.set_aside
    assert good.seqs == list(range(9))


async def test_a_loss_at_the_very_end_is_told_too() -> None:
    """There is no next batch that could begin with it."""
    sink, wire, told = Keeper(), Wire(), list[SinkMetrics]()
    async with running(wire, sinks=(sink,), on_sink_trouble=told.append):
        await until(lambda: len(sink.items) == 3)
        sink.errors = [ZeroDivisionError()]
        say(wire, 1)
        await until(lambda: not sink.errors)
    assert sink.seqs == [0, 1, 2, Gap(3, 3, 1)]
    assert told == []


async def test_a_sink_that_keeps_failing_is_set_aside_for_a_while() -> None:
    """It is told, then left alone; later it is tried again, and what it missed is one gap."""
    sink, wire, clock, told = Keeper(), Wire(), ManualClock(), list[SinkMetrics]()
    async with running(wire, clock, sinks=(sink,), on_sink_trouble=told.append) as runtime:
        await until(lambda: len(sink.items) == 3)
        sink.errors = [ZeroDivisionError() for _ in range(MAX_ERRORS + 1)]
        for _ in range(MAX_ERRORS + 3):
            say(wire, 1)
            await turns()
        assert len(sink.errors) == 1
        assert [one.set_aside for one in told] == [True]
        assert figures(runtime).lost == MAX_ERRORS + 3
        await clock.advance(REST)
        say(wire, 1)
        await turns()
        assert sink.errors == []
        say(wire, 1)
        await turns()
        assert len(sink.items) == 3  # it failed once more, and so it rests again
        await clock.advance(REST)
        say(wire, 1)
        await until(lambda: len(sink.items) == 5)
        assert sink.seqs[3:] == [Gap(3, MAX_ERRORS + 7, MAX_ERRORS + 5), MAX_ERRORS + 8]
        assert not figures(runtime).set_aside


async def test_a_write_that_hangs_is_cut_off() -> None:
    """The runtime goes on meanwhile; the batch is lost, and that is told."""
    sink, wire, clock = Keeper(), Wire(), ManualClock()
    async with running(wire, clock, sinks=(sink,)) as runtime:
        await until(lambda: len(sink.items) == 3)
        sink.gate = asyncio.Event()
        say(wire, 2)
        await until(lambda: sink.batches == 2 or figures(runtime).pending == 2)
        await turns()
        await clock.advance(WRITE_DEADLINE)
        await until(lambda: figures(runtime).errors == 1)
        assert figures(runtime).last_error == "no end within 30 s"
        sink.gate = None
        say(wire, 1)
        await until(lambda: len(sink.items) == 5)
    assert sink.seqs == [0, 1, 2, Gap(3, 4, 2), 5]


async def test_a_hanging_sink_cannot_hold_up_the_end() -> None:
    """After the grace it is cut off, counted and told; it is still closed."""
    sink, wire, clock, told = Keeper(), Wire(), ManualClock(), list[SinkMetrics]()
    async with running(wire, clock, sinks=(sink,), sink_grace=2.0, on_sink_trouble=told.append) as runtime:
        await until(lambda: len(sink.items) == 3)
        sink.gate = asyncio.Event()
        say(wire, 4)
        async with task(runtime.aclose()) as closing:
            await turns()
            assert not closing.done()
            await clock.advance(2.0)
            await until(closing.done)
    assert [(one.written, one.lost, one.pending) for one in told] == [(3, 4, 0)]
    assert sink.closed == 1


async def test_a_sink_that_will_not_be_cancelled_is_left_behind() -> None:
    """The end of the runtime has a bound, whatever a guest does."""
    sink, wire, clock = Stubborn(), Wire(), ManualClock()
    sink.gate = gate = asyncio.Event()
    async with running(wire, clock, sinks=(sink,), sink_grace=2.0) as runtime, task(runtime.aclose()) as closing:
        for seconds in (2.0, CLOSE_GRACE, CLOSE_GRACE):
            await turns()
            assert not closing.done()
            await clock.advance(seconds)
        await until(closing.done)
    assert not sink.closed
    gate.set()
    await until(lambda: sink.closed)


async def test_a_lagging_sink_holds_up_the_pipe_for_a_while_and_then_loses_the_oldest() -> None:
    """Both ends of the loss are told: where it was, and how much."""
    sink, wire, clock = Keeper(), Wire(), ManualClock()
    async with running(wire, clock, sinks=(sink,), block_patience=3.0) as runtime:
        await until(lambda: len(sink.items) == 3)
        sink.gate = asyncio.Event()
        say(wire, 1)
        await turns()
        say(wire, 9000)
        assert wire.paused == [True]
        await clock.advance(3.0)
        assert wire.paused == [True, False]
        lost = figures(runtime).lost
        assert lost > 0
        sink.gate.set()
        await until(lambda: figures(runtime).pending == 0)
    assert sink.seqs == [0, 1, 2, 3, Gap(4, 3 + lost, lost), *range(4 + lost, 9004)]
    assert figures(runtime).written + lost == 9004


async def test_a_sink_may_ask_to_hold_up_nothing() -> None:
    """It loses the oldest at once."""
    sink, wire = Keeper(), Wire()
    sink.overflow = "drop"
    async with running(wire, sinks=(sink,)) as runtime:
        await until(lambda: len(sink.items) == 3)
        sink.gate = asyncio.Event()
        say(wire, 1)
        await turns()
        say(wire, 9000)
        assert wire.paused == []
        assert figures(runtime).lost == 9000 - 8192
        sink.gate.set()


async def test_a_dead_runtime_leaves_its_sinks_complete() -> None:
    """They get all that came before the end, and are closed then, not when somebody closes the runtime."""
    sink, fake = Keeper(), FakeAppServer()
    async with running(fake, sinks=(sink,), restart=RestartPolicy(when="never")) as runtime:
        fake.play(Die(code=3))
        await until(lambda: sink.closed)
        assert runtime.connection.phase == "dead"
        assert sink.seqs == list(range(len(sink.items)))


async def test_a_sink_that_cannot_open_fails_the_opening() -> None:
    """Before any server is started, and those that were opened are closed."""

    class Closed(Keeper):
        async def open(self) -> None:
            raise PermissionError("no")

    first, wire = Keeper(), Wire()
    runtime = Runtime(config(wire, sinks=(first, Closed())))
    with pytest.raises(StoreError, match=r"the sink Closed cannot be opened: PermissionError"):
        await runtime.open()
    assert (wire.launches, first.opened, first.closed) == (0, 1, 1)


async def test_an_error_in_closing_is_counted_and_told() -> None:
    """And goes no further."""
    sink, told = Keeper(), list[SinkMetrics]()
    sink.close_error = OSError("late")
    async with running(Wire(), sinks=(sink,), on_sink_trouble=told.append):
        pass
    assert [(one.errors, one.last_error, one.lost) for one in told] == [(1, "OSError('late')", 0)]


async def test_a_sink_does_not_mind_a_refused_request() -> None:
    """Refusals are messages like any other."""
    sink = Keeper()
    async with running(FakeAppServer(), sinks=(sink,)) as runtime:
        with pytest.raises(RequestFailedError):
            await runtime.request("no/such/method")
    assert [item.kind for item in sink.items if isinstance(item, Envelope)][-2:] == ["request", "response"]


def test_what_is_no_sink_is_refused_at_once() -> None:
    """With what it lacks, and the way out."""
    with pytest.raises(ConfigError, match=r"sinks: str has no open; subclass EventSink"):
        config(None, sinks=("path",))


def test_the_grace_of_sinks_is_checked() -> None:
    """Like every other wait."""
    with pytest.raises(ConfigError, match="sink_grace"):
        config(None, sink_grace=0)

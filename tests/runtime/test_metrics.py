"""The counters: a picture of one moment, which nobody can change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import RequestFailedError, RequestTimeoutError
from codex_runtime.runtime.metrics import BOUNDS, MAX_NAMES, REST, Counters, Metrics, Times, frozen
from codex_runtime.testing import Command, Say, Script
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import restart, running, task, until

if TYPE_CHECKING:
    from codex_runtime.runtime import Ticket


def test_a_frozen_counter_is_a_copy() -> None:
    """It neither follows nor can be written."""
    counter = Counter({"a": 1})
    picture = frozen(counter)
    counter["a"] += 1
    assert dict(picture) == {"a": 1}
    with pytest.raises(TypeError):
        picture["a"] = 5  # type: ignore[index]


def test_two_runtimes_do_not_count_together() -> None:
    """Each has counters of its own."""
    one, two = Counters(), Counters()
    one.settled["declined"] += 1
    assert two.settled == {}


async def test_a_picture_does_not_change() -> None:
    """A later one tells the later story."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        before = runtime.metrics
        await runtime.request("account/read")
        await restart(fake, runtime, clock)
        after = runtime.metrics
        assert (before.requests, after.requests) == (1, 3)
        assert (before.generation, after.generation) == (0, 1)
        assert (dict(before.restarts), dict(after.restarts)) == ({}, {"killed by SIGKILL": 1})
        assert (before.uptime, after.uptime) == (0.0, 1.0)
        with pytest.raises(AttributeError):
            after.requests = 0  # type: ignore[misc]


async def test_gauges_go_back_to_nothing() -> None:
    """After the end nothing is in flight, in line, open, subscribed or unsent."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        runtime.subscribe()
        assert runtime.metrics.subscriptions == 1
    metrics = runtime.metrics
    gauges = ("in_flight", "queued", "open_server_requests", "subscriptions", "unsent")
    assert [getattr(metrics, name) for name in gauges] == [0] * 5


def test_every_counter_is_shown() -> None:
    """A number that nobody can read would not be worth counting."""
    assert set(Counters.__struct_fields__) <= set(Metrics.__struct_fields__)


def test_durations_fall_into_buckets() -> None:
    """A bound belongs to its bucket; what is longer than the last bound has a bucket of its own."""
    times = Times()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1], BOUNDS[-1] + 1):
        times.add("a", seconds)
    told = times.snapshot()["a"]
    assert (told.count, told.max, sum(told.buckets)) == (5, BOUNDS[-1] + 1, 5)
    assert told.sum == pytest.approx(2 * BOUNDS[0] + 2 * BOUNDS[-1] + 1)
    assert (told.buckets[0], told.buckets[1], told.buckets[-2], told.buckets[-1]) == (2, 1, 1, 1)
    assert len(told.buckets) == len(BOUNDS) + 1


def test_no_more_names_are_counted_apart_than_there_is_room_for() -> None:
    """Callers choose the names, so there is no end to them."""
    times = Times()
    for number in range(MAX_NAMES + 10):
        times.add(f"method/{number}", 1.0)
    times.add("method/0", 1.0)
    told = times.snapshot()
    assert (len(told), told[REST].count, told["method/0"].count) == (MAX_NAMES + 1, 10, 2)


async def test_the_time_of_requests_is_told_by_method() -> None:
    """Refusals and the wait for a restart included; what was never answered is not."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request("skills/list", Refusal(-32600, "no"))
    async with running(fake, clock) as runtime:
        with pytest.raises(RequestFailedError):
            await runtime.request("skills/list")
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        async with task(runtime.request("account/read")) as asking:
            await clock.advance(1.0)
            await asking
        fake.never_answer("config/read")
        async with task(runtime.request("config/read", deadline=2.0)) as asking:
            await clock.advance(2.0)
            with pytest.raises(RequestTimeoutError):
                await asking
        told = runtime.metrics.request_times
        assert {name: (each.count, each.sum) for name, each in told.items()} == {
            "skills/list": (1, 0.0),
            "account/read": (1, 1.0),
        }
        assert runtime.metrics.generation_uptime == 2.0


async def test_turns_and_the_time_of_answers_are_told_by_outcome() -> None:
    """How long each took, in seconds."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Command("ls", approval=True), Say("done")), clock=clock)

    async def slowly(ticket: Ticket) -> None:
        await clock.sleep_until(clock.monotonic() + 3.0)
        ticket.accept()

    async with running(fake, clock, on_server_request=slowly) as runtime:
        thread = await runtime.request("thread/start", {})
        await runtime.request(
            "turn/start", {"threadId": thread["thread"]["id"], "input": [{"type": "text", "text": "go"}]}
        )
        await fake.until(lambda: fake.asked)
        await clock.advance(3.0)
        runtime.note_turn("completed", 3.0)
        metrics = runtime.metrics
        assert (dict(metrics.settled), metrics.settle_times["accepted"].sum) == ({"accepted": 1}, 3.0)
        assert (metrics.turns["completed"].count, metrics.turns["completed"].max) == (1, 3.0)

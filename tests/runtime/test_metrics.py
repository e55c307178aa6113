"""The counters: a picture of one moment, which nobody can change."""

from __future__ import annotations

from collections import Counter

import pytest

from codex_runtime.runtime.metrics import Counters, Metrics, frozen
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import restart, running


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

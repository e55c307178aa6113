"""The figures of a runtime: what each of its parts has counted, told at one moment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import RequestFailedError, RequestTimeoutError
from codex_runtime.runtime import Gap
from codex_runtime.runtime.metrics import Metrics
from codex_runtime.testing import CallTool, Command, Say, Script
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import Wire, restart, running, task, until

if TYPE_CHECKING:
    from codex_runtime.runtime import Ticket


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
        subscription = runtime.subscribe()
        assert runtime.metrics.subscriptions == 1
        assert subscription.pending == 0
    metrics = runtime.metrics
    gauges = ("in_flight", "queued", "open_server_requests", "subscriptions", "unsent")
    assert [getattr(metrics, name) for name in gauges] == [0] * 5


async def test_each_subscription_is_told_by_its_name() -> None:
    """Who lags shows; what the closed ones lost stays in the totals, also a gap that is read after the closing."""
    fake = Wire()
    async with running(fake) as runtime:
        slow = runtime.subscribe(name="slow", methods=["note"], capacity=2)
        other = runtime.subscribe(name="one thread", thread="t")
        for _ in range(5):
            fake.say({"method": "note"})
        await until(lambda: slow.dropped)
        await until(lambda: runtime.metrics.messages == 6)
        first, second = runtime.metrics.open_subscriptions
        assert (first.name, first.thread, first.pending, first.dropped, first.gaps) == ("slow", None, 2, 3, 0)
        assert (second.name, second.thread, second.dropped, second.is_blocking) == ("one thread", "t", 0, False)
        slow.close()
        assert isinstance(await anext(slow), Gap)
        metrics = runtime.metrics
        assert [each.name for each in metrics.open_subscriptions] == [other.name]
        closed = metrics.closed_subscriptions
        assert (closed.count, closed.dropped, closed.gaps) == (1, 3, 1) == (1, metrics.dropped, metrics.gaps)


async def test_who_holds_the_server_up_is_told() -> None:
    """As long as it does."""
    fake = Wire()
    async with running(fake) as runtime:
        reader = runtime.subscribe(name="thorough", overflow="block", capacity=1)
        fake.say({"method": "one"})
        fake.say({"method": "two"})
        await until(lambda: runtime.metrics.open_subscriptions[0].is_blocking)
        await anext(reader)
        await anext(reader)
        assert not runtime.metrics.open_subscriptions[0].is_blocking


async def test_approvals_are_told_apart_from_other_server_requests() -> None:
    """A tool that answers in no time would make people look quick."""
    clock = ManualClock()
    fake = FakeAppServer(Script(CallTool("clock", {}), Command("ls", approval=True), Say("done")), clock=clock)

    async def answer(ticket: Ticket) -> None:
        if ticket.is_approval:
            await clock.sleep_until(clock.monotonic() + 3.0)
            ticket.accept()
        else:
            ticket.reply({"contentItems": [], "success": True})

    async with running(fake, clock, on_server_request=answer) as runtime:
        thread = await runtime.request("thread/start", {})
        params = {"threadId": thread["thread"]["id"], "input": [{"type": "text", "text": "go"}]}
        await runtime.request("turn/start", params)
        await until(lambda: runtime.metrics.server_requests == 2)
        await clock.advance(3.0)
        metrics = runtime.metrics
        assert dict(metrics.settled) == {"answered": 1, "accepted": 1}
        assert {name: each.sum for name, each in metrics.approvals.items()} == {"accepted": 3.0}


async def test_the_figures_can_be_written_as_json() -> None:
    """Read-only mappings included, which no JSON writer takes."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        await runtime.request("account/read")
        subscription = runtime.subscribe(name="a")
        plain = json.loads(json.dumps(runtime.metrics.as_dict()))
        assert plain["request_times"]["account/read"]["count"] == 1
        assert plain["open_subscriptions"][0]["name"] == subscription.name
        assert set(plain) == set(Metrics.__struct_fields__)


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

"""The watchdog on a runtime: a stuck server is replaced, a big one between turns, and a runtime at rest is left alone."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from codex_runtime.errors import ConfigError, ConnectionLostError
from codex_runtime.runtime import RestartPolicy, Runtime, RuntimeConfig, WatchdogPolicy
from codex_runtime.runtime._watchdog import resident_bytes
from codex_runtime.runtime.config import Restarted
from codex_runtime.testing import FakeAppServer, ManualClock, StopReading
from codex_runtime.testing._fake_orders import Refusal
from tests.runtime.rig import Leaps, Wire, running, task, turns, until

if TYPE_CHECKING:
    from codex_runtime.runtime import Envelope, Ticket

PROBE = "server/diagnostics"
CAUSE = "killed: it stopped answering"
LIMIT = 500_000_000


class Follower:
    """Somebody who follows a thread."""

    def __init__(self) -> None:
        self.losses: list[ConnectionLostError] = []

    def envelope(self, envelope: Envelope) -> None:
        """Not of interest."""

    def ticket(self, ticket: Ticket) -> bool:
        """Not ours."""
        return False

    def known_items(self, turn_id: str) -> tuple[()]:
        """None."""
        return ()

    def lost(self, error: ConnectionLostError) -> None:
        """Take note."""
        self.losses.append(error)

    def ready(self) -> None:
        """Not of interest."""


def memory(size: int | None) -> dict[str, object]:
    """An answer to the probe."""
    return {"process": {"id": 1, "residentMemoryBytes": size}, "gauges": []}


async def test_a_server_that_stops_answering_is_killed_and_replaced() -> None:
    """After 25 s of silence in a turn; everyone is told why."""
    fake, clock, follower = FakeAppServer(), ManualClock(), Follower()
    told: list[Restarted] = []
    async with running(fake, clock, on_restart=told.append) as runtime:
        runtime.listen("t", follower)
        fake.play(StopReading())
        async with task(runtime.request("account/read")) as asking:
            await clock.advance(24.9)
            assert (runtime.generation, runtime.connection.phase, follower.losses) == (0, "running", [])
            await clock.advance(1.0)
            assert (runtime.connection.phase, runtime.connection.cause) == ("restarting", CAUSE)
            with pytest.raises(ConnectionLostError, match=CAUSE):
                await asking
        await clock.advance(1.0)
        await runtime.wait_ready()
        assert dict(runtime.metrics.restarts) == {CAUSE: 1}
        assert [CAUSE in str(error) for error in follower.losses] == [True]
        assert [(each.generation, each.exit.reason, each.exit.signal) for each in told] == [(1, CAUSE, 9)]
        assert (await runtime.request("account/read")) is not None


async def test_a_server_that_answers_is_asked_every_ten_seconds_and_left_alone() -> None:
    """For as long as the turn is silent."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        leave = runtime.listen("t", Follower())
        await clock.advance(61)
        assert (len(fake.requests(PROBE)), runtime.generation) == (5, 0)
        leave()
        await clock.advance(600)
        assert len(fake.requests(PROBE)) == 5
        assert clock.planned == 0


async def test_a_refusal_is_a_sign_of_life() -> None:
    """A server that does not know the question lives all the same."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request(PROBE, Refusal(-32600, "server/diagnostics requires experimentalApi capability"))
    async with running(fake, clock, watchdog=WatchdogPolicy(rss_limit=1)) as runtime:
        runtime.listen("t", Follower())
        await clock.advance(100)
        assert (runtime.generation, runtime.connection.phase) == (0, "running")


@pytest.mark.parametrize("answer", [{}, {"process": 5}, {"process": {"residentMemoryBytes": "much"}}])
async def test_an_answer_that_makes_no_sense_is_one_as_well(answer: dict[str, object]) -> None:
    """Nothing is known of its memory then."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request(PROBE, answer)
    async with running(fake, clock, watchdog=WatchdogPolicy(rss_limit=1)) as runtime:
        runtime.listen("t", Follower())
        await clock.advance(100)
        assert (runtime.generation, runtime.metrics.guest_errors, runtime.metrics.child_rss) == (0, 0, None)


async def test_other_messages_save_a_server_that_never_answers_the_probe() -> None:
    """What it says is no answer to us, and still a sign of life."""
    clock, wire = ManualClock(), Wire()
    async with running(wire, clock) as runtime:
        runtime.listen("t", Follower())
        for _ in range(10):
            await clock.advance(19)
            wire.say({"method": "thread/status/changed", "params": {}})
        assert (wire.launches, len(wire.ids(PROBE))) == (1, 20)


async def test_nothing_runs_for_a_runtime_at_rest() -> None:
    """No timer, no task, no probe, however long it takes; nor with the watchdog off."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        await clock.advance(3600)
        assert (clock.planned, fake.requests(PROBE)) == (0, [])
        assert runtime.generation == 0
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, watchdog=None) as runtime:
        runtime.listen("t", Follower())
        fake.play(StopReading())
        await clock.advance(3600)
        assert (clock.planned, runtime.generation, runtime.connection.phase) == (0, 0, "running")


async def test_our_own_standstill_is_no_silence_of_the_server() -> None:
    """An hour passes between two looks, again and again: each counts for a second."""
    clock, wire = Leaps(), Wire()
    async with Runtime(RuntimeConfig(launcher=wire, clock=clock)) as runtime:
        runtime.listen("t", Follower())
        for _ in range(24):
            await clock.leap(3600)
        assert (wire.launches, runtime.connection.phase) == (1, "running")
        await clock.leap(3600)
        assert (wire.launches, runtime.connection.cause) == (1, CAUSE)


async def test_a_server_that_we_do_not_read_is_not_silent() -> None:
    """A subscriber holds up the pipe for longer than the watchdog has patience."""
    clock, wire = ManualClock(), Wire()
    async with running(wire, clock, block_patience=1000.0) as runtime:
        runtime.listen("t", Follower())
        with runtime.subscribe(overflow="block", capacity=1) as slow:
            wire.say({"method": "a", "params": {}}, {"method": "b", "params": {}})
            await turns()
            assert wire.paused[-1:] == [True]
            await clock.advance(100)
            assert wire.launches == 1
            assert slow.pending


async def test_memory_above_the_limit_is_freed_between_turns() -> None:
    """The server ends in good order when the turn is over and nothing is in flight; that is no restart."""
    fake, clock, follower = FakeAppServer(), ManualClock(), Follower()
    fake.on_request(PROBE, memory(LIMIT + 1))
    told: list[Restarted] = []
    options = {
        "watchdog": WatchdogPolicy(rss_limit=LIMIT),
        "restart": RestartPolicy(budget=0),
        "on_restart": told.append,
    }
    async with running(fake, clock, **options) as runtime:
        found: list[int] = []

        async def again(request: object) -> None:
            found.append(runtime.generation)

        runtime.on_restart("key", again)
        leave = runtime.listen("t", follower)
        await clock.advance(1)
        assert runtime.metrics.child_rss == LIMIT + 1
        await clock.advance(100)
        assert runtime.generation == 0
        fake.never_answer("account/read", times=1)
        async with task(runtime.request("account/read")):
            leave()
            await clock.advance(5)
            assert runtime.generation == 0
        fake.on_request(PROBE, memory(LIMIT))
        await clock.advance(1)
        await runtime.wait_ready()
        assert (runtime.generation, fake.most_alive, found) == (1, 1, [1])
        metrics = runtime.metrics
        assert (metrics.recycles, dict(metrics.restarts), metrics.requests_lost, metrics.child_rss) == (1, {}, 0, None)
        assert follower.losses == []
        assert [(each.exit.code, each.exit.reason) for each in told] == [
            (0, "recycled: its memory was above the limit")
        ]
        assert await runtime.request("account/read") is not None


async def test_the_moment_between_two_turns_is_enough() -> None:
    """Nobody waits for a look: the next turn's request goes to the next server."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request(PROBE, memory(LIMIT + 1))
    async with running(fake, clock, watchdog=WatchdogPolicy(rss_limit=LIMIT)) as runtime:
        leave = runtime.listen("t", Follower())
        await clock.advance(1)
        leave()
        runtime.listen("t", Follower())
        assert (runtime.connection.phase, runtime.metrics.generation_uptime) == ("restarting", 0.0)
        async with task(runtime.request("account/read")) as asking:
            await clock.advance(0)
            await asking
        assert runtime.generation == 1
        assert [each.generation for each in fake.requests("account/read")] == [1]


async def test_what_would_not_outlive_its_server_keeps_it() -> None:
    """A thread that is kept in memory only is worth more than the memory."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request(PROBE, memory(LIMIT + 1))

    async def again(request: object) -> None:
        raise AssertionError("nothing is to be found again")

    async with running(fake, clock, watchdog=WatchdogPolicy(rss_limit=LIMIT)) as runtime:
        runtime.on_restart("key", again, is_frail=True)
        leave = runtime.listen("t", Follower())
        await clock.advance(1)
        leave()
        await clock.advance(30)
        assert runtime.generation == 0
        runtime.on_restart("key", None)
        await clock.advance(1)
        await runtime.wait_ready()
        assert (runtime.generation, runtime.metrics.recycles) == (1, 1)


async def test_a_turn_that_was_begun_by_hand_keeps_its_server() -> None:
    """Nobody follows it, but the state knows of it."""
    clock, wire = ManualClock(), Wire()
    async with running(wire, clock, watchdog=WatchdogPolicy(rss_limit=1)) as runtime:
        leave = runtime.listen("other", Follower())
        wire.say({"method": "turn/started", "params": {"threadId": "t", "turn": {"id": "u", "status": "inProgress"}}})
        await clock.advance(1)
        wire.say({"id": wire.ids(PROBE)[0], "result": memory(2)})
        await turns()
        leave()
        await clock.advance(3)
        assert wire.launches == 1
        done = {"threadId": "t", "turn": {"id": "u", "status": "completed"}}
        wire.say({"method": "turn/completed", "params": done})
        await clock.advance(1)
        await until(lambda: wire.launches == 2)


async def test_a_second_turn_begins_with_no_silence_behind_it() -> None:
    """The quiet time between two turns is nobody's fault."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        leave = runtime.listen("t", Follower())
        leave()
        await clock.advance(100.5)
        runtime.listen("t", Follower())
        fake.play(StopReading())
        await clock.advance(24.9)
        assert runtime.connection.phase == "running"
        await clock.advance(0.1)
        assert runtime.connection.phase == "restarting"


async def test_an_answer_after_the_last_turn_still_counts() -> None:
    """The probe was asked in the turn, so what it says of the memory is heeded."""
    clock, wire = ManualClock(), Wire()
    async with running(wire, clock, watchdog=WatchdogPolicy(rss_limit=1)) as runtime:
        leave = runtime.listen("t", Follower())
        await clock.advance(1)
        leave()
        await clock.advance(2)
        wire.say({"id": wire.ids(PROBE)[0], "result": memory(2)})
        await until(lambda: wire.launches == 2)


async def test_a_probe_does_not_wait_in_line() -> None:
    """A server with as many requests as it may have is asked all the same."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("account/read")
    async with running(fake, clock, max_in_flight=1, request_deadline=1000.0) as runtime:
        runtime.listen("t", Follower())
        async with task(runtime.request("account/read")), task(runtime.request("config/read")):
            await clock.advance(60)
            assert (len(fake.requests(PROBE)), runtime.generation, runtime.metrics.queued) == (5, 0, 1)


async def test_closing_ends_a_probe_that_is_open() -> None:
    """Nothing of the watchdog outlives its runtime."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        runtime.listen("t", Follower())
        fake.play(StopReading())
        await clock.advance(11)
        assert runtime.metrics.in_flight == 1
    assert clock.planned == 0
    assert [each for each in asyncio.all_tasks() if each.get_name() == "probe the app server"] == []


def test_a_limit_for_a_server_that_is_not_ours_is_refused() -> None:
    """Closing a connection frees no memory."""
    with pytest.raises(ConfigError, match="rss_limit"):
        RuntimeConfig(address="ws://127.0.0.1:1", allow_unauthenticated=True, watchdog=WatchdogPolicy(rss_limit=1))


def test_the_memory_of_a_process_is_told_in_bytes() -> None:
    """Where there is a /proc; of a process that is gone, nowhere."""
    ours = resident_bytes(os.getpid())
    assert ours is None or 1 << 20 < ours < 1 << 36
    assert resident_bytes(None) is None
    assert resident_bytes(1 << 30) is None

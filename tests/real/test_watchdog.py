"""The watchdog and the real server: one that is stopped is replaced, one that is busy is not, a big one is recycled."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from codex_runtime import TurnLostError
from codex_runtime.runtime import WatchdogPolicy
from codex_runtime.testing import Gate, Hold, Reply, Say

if TYPE_CHECKING:
    from tests.real.rig import Place

CAUSE = "killed: it stopped answering"
# Short, and still far above the milliseconds that the server needs, on a machine with much else to do.
SHORT = WatchdogPolicy(probe_every=0.5, probe_deadline=1.0, misses=2)


async def test_a_stopped_server_is_killed_and_replaced(place: Place) -> None:
    """Its turn is lost, with the cause; the thread goes on with the next server."""
    gate = Gate()
    replies = (Reply(Say("half"), Hold(gate)), "whole")
    async with (
        place.client(*replies, config={"watchdog": SHORT}) as (client, _),
        await client.start_session(cwd=place.workspace) as session,
    ):
        pid = client.runtime.pid
        assert pid is not None
        async with session.stream("go") as turn:
            await gate.reached()
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(TurnLostError, match=CAUSE):
                await turn.finish()
        gate.open()
        assert (await session.run("again")).text == "whole"
        assert dict(client.runtime.metrics.restarts) == {CAUSE: 1}
        assert client.runtime.pid != pid


async def test_a_server_that_waits_for_its_model_is_left_alone(place: Place) -> None:
    """It answers the probes, so a silent turn is no reason to end it."""
    gate = Gate()
    async with (
        place.client(Reply(Hold(gate), Say("whole")), config={"watchdog": SHORT}) as (client, _),
        await client.start_session(cwd=place.workspace) as session,
    ):
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        before = client.runtime.metrics.requests
        async with asyncio.timeout(20):
            while client.runtime.metrics.requests < before + 5:
                await asyncio.sleep(0)
        gate.open()
        assert (await running).text == "whole"
        assert (client.runtime.generation, client.runtime.metrics.requests_timed_out) == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_server_above_the_limit_is_followed_by_the_next_one(place: Place) -> None:
    """Between two turns, and the thread remembers the first one."""
    gate = Gate()
    policy = WatchdogPolicy(probe_every=0.5, rss_limit=1)
    async with (
        place.client(Reply(Hold(gate), Say("one")), "two", config={"watchdog": policy}) as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        runtime = client.runtime
        running = asyncio.create_task(session.run("remember this"))
        await gate.reached()
        async with asyncio.timeout(10):
            before = runtime.metrics.requests
            while runtime.metrics.requests == before or runtime.metrics.in_flight:
                await asyncio.sleep(0)
        assert (runtime.metrics.child_rss or 0) > 50_000_000
        gate.open()
        assert (await running).text == "one"
        assert (await session.run("what was it?")).text == "two"
        assert (runtime.metrics.recycles >= 1, dict(runtime.metrics.restarts)) == (True, {})
        assert "remember this" in str(model.requests[-1].json)

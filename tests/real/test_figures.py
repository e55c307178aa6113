"""The figures of a runtime over the real server: what they say of a turn, an approval, a slow reader and a crash."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from codex_runtime.journal import Journal, JournalSink
from codex_runtime.testing import Exec, Reply

if TYPE_CHECKING:
    from codex_runtime import Ticket
    from tests.real.rig import Place


async def accept(ticket: Ticket) -> None:
    """Say yes."""
    ticket.accept()


async def test_what_happened_can_be_read_off_the_figures(place: Place) -> None:
    """Nobody is asked but the metrics: each thing that was done shows in its own place, once."""
    sink = JournalSink(Journal(place.home / "codex.journal"))
    asks = {"sandbox": "workspace-write", "approval_policy": "untrusted", "approvals": accept}
    restarted = asyncio.Event()
    config = {"sinks": (sink,), "on_restart": lambda _: restarted.set()}
    async with place.client(Reply(Exec("touch made-it")), "done", "again", config=config) as (client, _):
        runtime = client.runtime
        never_read = runtime.subscribe(name="never reads", capacity=10)
        async with await client.start_session(cwd=place.workspace, **asks) as session:
            await session.run("go")
            assert runtime.pid is not None
            os.kill(runtime.pid, signal.SIGKILL)
            await restarted.wait()
            await session.run("once more")
        metrics = runtime.metrics
        lazy, log = metrics.open_subscriptions[1], metrics.open_subscriptions[0]
        assert (dict(metrics.restarts), metrics.generation) == ({"killed by SIGKILL": 1}, 1)
        assert 0 < metrics.generation_uptime < metrics.uptime
        assert metrics.turns["completed"].count == 2
        assert 0 < metrics.turns["completed"].quantile(0.5) <= metrics.turns["completed"].max
        assert metrics.request_times["turn/start"].count == 2
        assert (dict(metrics.settled), metrics.approvals["accepted"].count) == ({"accepted": 1}, 1)
        assert (metrics.malformed, metrics.too_long, metrics.late_answers, metrics.guest_errors) == (0, 0, 0, 0)
        assert (lazy.name, lazy.pending, lazy.dropped) == ("never reads", 10, metrics.dropped)
        assert never_read.pending == 10
        assert lazy.dropped + lazy.pending > 20
        assert (log.name, log.dropped) == (repr(sink), 0)
        assert (metrics.sinks[0].lost, metrics.sinks[0].errors) == (0, 0)
        assert sys.platform != "linux" or (metrics.child_rss or 0) > 50_000_000
        assert json.dumps(metrics.as_dict())

"""The time limit of a turn is a moment, not a pause that has to be long enough."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from codex_runtime import Runtime, TurnTimeoutError
from codex_runtime.appserver import AppServer
from codex_runtime.protocol import registry
from codex_runtime.testing import FakeAppServer, ManualClock, Say, Script
from tests.client.desk import in_a_session, until
from tools.codegen.model import snake


async def test_a_turn_that_never_stops_talking_ends_at_its_deadline() -> None:
    """A word each second for ten minutes does not put it off."""
    clock = ManualClock()
    fake = FakeAppServer(Script(Say("word " * 600, pace=1.0)), clock=clock)
    async with in_a_session(fake, clock=clock) as session:
        running = asyncio.create_task(session.run("go", deadline=10.0))
        await until(lambda: session.turn is not None and session.turn.turn_id)
        begun = clock.monotonic()
        while not running.done():
            await clock.advance(0.5)
            assert clock.monotonic() - begun < 12
        with pytest.raises(TurnTimeoutError) as caught:
            await running
        assert 5 < caught.value.result.text.count("word") < 12


def test_every_door_takes_a_deadline() -> None:
    """Each typed call, each raw one, and a notification."""
    typed = [getattr(AppServer, snake(method.name.replace("/", "_"))) for method in registry.of("client_request")]
    doors = [*typed, AppServer.request, Runtime.request, Runtime.request_raw, Runtime.notify]
    without = [door.__qualname__ for door in doors if "deadline" not in inspect.signature(door).parameters]
    assert len(doors) > 170
    assert without == []

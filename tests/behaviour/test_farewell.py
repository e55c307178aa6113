"""Ends: a server in good health is asked to leave and does, however busy its clients are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from codex_runtime._io.process import Graces, ProcessLauncher, ProcessSpec
from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import RuntimeClosedError
from codex_runtime.runtime import Runtime, RuntimeConfig
from codex_runtime.testing import FakeAppServer, Gate, ManualClock
from tests.runtime.rig import STEADY, config, until

if TYPE_CHECKING:
    from codex_runtime._io.transport import Receiver, Transport


class Witness:
    """Launches a real process, and notes how it ended."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        patient = Graces(stdin_close=30.0, terminate=30.0, kill=30.0)
        self._launcher = ProcessLauncher(ProcessSpec(argv=argv, graces=patient))
        self.ends: list[Exit] = []

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Start it, between the two."""
        return await self._launcher.launch(_Between(receiver, self.ends))


class _Between:
    def __init__(self, receiver: Receiver, ends: list[Exit]) -> None:
        self.data_received = receiver.data_received
        self._receiver = receiver
        self._ends = ends

    def connection_lost(self, exit: Exit, /) -> None:  # noqa: A002
        self._ends.append(exit)
        self._receiver.connection_lost(exit)


async def test_a_server_that_still_owes_an_answer_leaves_by_itself() -> None:
    """Its graces are half a minute, so it would show if anybody had to be killed."""
    async with FakeAppServer(process=True) as fake, asyncio.timeout(10):
        witness, gate = Witness(fake.argv), Gate()
        fake.on_request("slow", {})
        fake.hold_answer("slow", gate)
        async with Runtime(RuntimeConfig(launcher=witness, restart=STEADY)) as runtime:
            call = asyncio.create_task(runtime.request("slow"))
            await gate.reached()
        with pytest.raises(RuntimeClosedError):
            await call
        assert [(end.code, end.signal) for end in witness.ends] == [(0, None)]
        gate.open()


async def test_a_runtime_that_pauses_before_a_restart_closes_without_waiting_for_it() -> None:
    """The clock does not move at all meanwhile."""
    fake, clock = FakeAppServer(), ManualClock()
    runtime = Runtime(config(fake, clock))
    await runtime.open()
    fake.die()
    await until(lambda: runtime.connection.phase == "restarting")
    before = clock.monotonic()
    await runtime.aclose()
    assert (runtime.connection.phase, clock.monotonic(), fake.launches, clock.planned) == ("closed", before, 1, 0)

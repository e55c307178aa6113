"""Programs that end without closing what they opened: soon, without leftovers, and without more than a word about it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from codex_runtime.testing import Command, FakeAppServer, Say, Script, Stall
from tests.faults.ending import GUESTS, WAYS
from tests.support.children import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMIT = 4.0
"""Seconds that an end may take: twice as many as are promised, for the machine is not ours alone. A hang takes longer."""

COMPLAINTS = (
    "ResourceWarning",
    "never retrieved",
    "Exception ignored",
    "destroyed but it is pending",
    "RuntimeWarning",
)


class Ended:
    """How a program ended."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.seconds = 0.0
        self.said: list[str] = []
        self.complaints: list[str] = []


async def ended(how: str) -> AsyncIterator[tuple[Ended, FakeAppServer]]:
    """Run a program to its end, which has to come in time."""
    turn = Script(Say("one two three "), Stall())
    ask = Script(Command("rm -rf build", approval=True), Stall())
    async with FakeAppServer(default=turn, process=True) as fake:
        fake.on_turn(ask, match="ask")
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "default", "-m", "tests.faults.ending", how, *fake.argv),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert program.stdout is not None
        assert program.stderr is not None
        end, begun = Ended(), 0.0
        errors = asyncio.get_running_loop().create_task(program.stderr.read())
        try:
            async with asyncio.timeout(40):
                async for line in program.stdout:
                    end.said.append(line.decode().strip())
                    if not begun and end.said[-1] == "ending":
                        begun = time.monotonic()
                end.code = await program.wait()
            end.seconds = time.monotonic() - begun
            text = (await errors).decode()
            end.complaints = [line for line in text.splitlines() if any(word in line for word in COMPLAINTS)]
            yield end, fake
        finally:
            with suppress(ProcessLookupError):
                program.kill()
            await program.wait()
            await errors


async def _are_gone(fake: FakeAppServer) -> bool:
    """Whether no server is left, within the patience for what is bound to happen. The guardian is the leak check's affair."""
    with suppress(TimeoutError):
        await fake.until(lambda: not fake._live, timeout=PATIENCE)
    return not fake._live


@pytest.mark.parametrize("how", WAYS)
async def test_a_program_that_ends_leaves_no_server_and_hangs_at_nothing(how: str) -> None:
    """Whatever it forgot. Python may say what was left open or pending; we add no error of ours to that."""
    async for end, fake in ended(how):
        assert end.said == ["ending"]
        assert end.seconds < LIMIT
        assert fake.launches == 1
        assert await _are_gone(fake)
        assert [line for line in end.complaints if "ignored" in line or "RuntimeWarning" in line] == []


@pytest.mark.parametrize("how", GUESTS)
async def test_a_guest_that_wants_the_program_to_end_is_heard_when_all_is_closed(how: str) -> None:
    """It comes out where the loop was run, after the block of the client was left: nothing is accepted, nothing is left."""
    async for end, fake in ended(how):
        assert end.said[-1] == "closed"
        assert end.code == (5 if how.endswith("exit") else -2)
        assert end.seconds < LIMIT
        assert await _are_gone(fake)
        assert end.complaints == []
        assert "accept" not in [answer.decision for answer in fake.answers]

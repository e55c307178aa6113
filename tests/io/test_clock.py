"""The clock of the running loop."""

from __future__ import annotations

import asyncio
import time

from codex_runtime._io.clock import Cancellable, Clock, LoopClock
from codex_runtime.testing._clock import ManualClock


def test_both_clocks_keep_the_protocol() -> None:
    """The one of the loop and the one of the tests; the type checker reads this, too."""
    clocks: list[Clock] = [LoopClock(), ManualClock()]
    assert [type(clock).__name__ for clock in clocks] == ["LoopClock", "ManualClock"]


async def test_its_time_is_the_loop_s() -> None:
    """And its date the machine's."""
    clock = LoopClock()
    before = asyncio.get_running_loop().time()
    assert before <= clock.monotonic() <= asyncio.get_running_loop().time()
    assert abs(clock.wall() - time.time()) < 5


async def test_a_planned_call_is_made_with_its_arguments() -> None:
    """Not before its time."""
    clock = LoopClock()
    done = asyncio.get_running_loop().create_future()
    when = clock.monotonic() + 0.01
    planned: Cancellable = clock.call_at(when, done.set_result, "argument")
    assert await done == "argument"
    assert clock.monotonic() >= when - 0.001
    planned.cancel()


async def test_a_call_that_is_called_off_is_not_made() -> None:
    """Twice is fine."""
    clock = LoopClock()
    calls: list[int] = []
    planned = clock.call_at(clock.monotonic(), calls.append, 1)
    planned.cancel()
    planned.cancel()
    await clock.sleep_until(clock.monotonic() + 0.01)
    assert calls == []


async def test_sleeping_until_the_past_lets_others_run() -> None:
    """One turn of the loop."""
    clock = LoopClock()
    others: list[int] = []
    asyncio.get_running_loop().call_soon(others.append, 1)
    await clock.sleep_until(clock.monotonic() - 10)
    assert others == [1]

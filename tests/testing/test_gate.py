"""Gates and tallies: who waits, who is woken, and what a wait in vain says."""

from __future__ import annotations

import asyncio

import pytest

from codex_runtime.testing._gate import Gate, Tally


async def test_a_stream_waits_until_the_gate_is_open() -> None:
    """The test learns that the stream is there, and the stream goes on when told."""
    gate = Gate()
    stream = asyncio.create_task(gate.wait())
    await gate.reached()
    assert not stream.done()
    assert not gate.is_open
    gate.open()
    await stream
    assert gate.is_open


async def test_an_open_gate_lets_everyone_pass() -> None:
    """Late streams are counted and not held."""
    gate = Gate()
    gate.open()
    await gate.wait()
    await gate.wait()
    await gate.reached(2)


async def test_a_gate_nobody_comes_to_says_so() -> None:
    """The wait has a bound, and its error has both numbers."""
    gate = Gate()
    gate.open()
    await gate.wait()
    with pytest.raises(TimeoutError, match=r"^1 of 3 streams at the gate after 0\.01 s$"):
        await gate.reached(3, timeout=0.01)


def test_a_gate_may_be_made_before_any_loop_runs() -> None:
    """Scripts are often written at module level."""
    gate = Gate()

    async def pass_through() -> None:
        gate.open()
        await gate.wait()
        await gate.reached()

    asyncio.run(pass_through())


async def test_everyone_who_waits_for_a_count_is_woken_by_it() -> None:
    """Waiters for different counts share one tally."""
    tally = Tally()
    waiters = [asyncio.create_task(tally.wait_for(count, timeout=5, what="things")) for count in (1, 2, 2)]
    await asyncio.sleep(0)
    tally.add_one()
    await waiters[0]
    assert not waiters[1].done()
    assert not waiters[2].done()
    tally.add_one()
    await asyncio.gather(*waiters)

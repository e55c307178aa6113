"""The clock that a test turns by hand."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_runtime.testing._clock import ManualClock


async def test_time_stands_still() -> None:
    """However long it takes."""
    clock = ManualClock(monotonic=10.0, wall=20.0)
    await asyncio.sleep(0)
    assert (clock.monotonic(), clock.wall()) == (10.0, 20.0)


async def test_both_times_advance_together_and_the_wall_can_be_stepped() -> None:
    """A correction of the system clock moves no deadline."""
    clock = ManualClock(monotonic=10.0, wall=20.0)
    calls: list[float] = []
    clock.call_at(15.0, lambda: calls.append(clock.wall()))
    clock.step_wall(-86_400)
    await clock.advance(4.9)
    assert calls == []
    await clock.advance(0.1)
    assert calls == [25.0 - 86_400]
    assert clock.monotonic() == 15.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), max_size=8), st.lists(st.floats(0, 30), max_size=4))
async def test_calls_are_made_in_the_order_of_their_times(plans: list[float], steps: list[float]) -> None:
    """Each once, at its time, and those of the same time in the order in which they were planned."""
    clock = ManualClock(monotonic=0.0)
    calls: list[tuple[float, int, float]] = []
    for place, when in enumerate(plans):
        clock.call_at(when, lambda when, place: calls.append((when, place, clock.monotonic())), when, place)
    for step in steps:
        await clock.advance(step)
    due = [(when, place) for place, when in enumerate(plans) if steps and when <= clock.monotonic()]
    assert [(when, place) for when, place, _ in calls] == sorted(due)
    assert all(now == when for when, _, now in calls)
    assert clock.planned == len(plans) - len(due)


async def test_it_tells_when_what_is_planned_is_due() -> None:
    """In seconds from now, the next one first; what was cancelled is not told."""
    clock = ManualClock(monotonic=10.0)
    for when in (14.0, 12.0, 13.0):
        planned = clock.call_at(when, int)
    planned.cancel()
    assert clock.upcoming == (2.0, 4.0)
    await clock.advance(2.0)
    assert clock.upcoming == (2.0,)


async def test_what_a_call_plans_within_the_same_advance_is_made_too() -> None:
    """In its place, between the others."""
    clock = ManualClock(monotonic=0.0)
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        clock.call_at(2.0, seen.append, "planned by the first")

    clock.call_at(1.0, first)
    clock.call_at(3.0, seen.append, "last")
    await clock.advance(5)
    assert seen == ["first", "planned by the first", "last"]


async def test_tasks_that_become_ready_run_before_the_next_call() -> None:
    """Also through a chain of wake-ups."""
    clock = ManualClock(monotonic=0.0)
    seen: list[str] = []

    async def sleeper() -> None:
        await clock.sleep_until(1.0)
        for _ in range(100):
            await asyncio.sleep(0)
        seen.append(f"task at {clock.monotonic():g}")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper())
        await asyncio.sleep(0)
        clock.call_at(2.0, seen.append, "call")
        await clock.advance(2)
    assert seen == ["task at 1", "call"]


async def test_a_sleeper_that_is_cancelled_leaves_nothing_planned() -> None:
    """Nor does a call that was called off."""
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep_until(clock.monotonic() + 5))
    planned = clock.call_at(clock.monotonic() + 9, sleeper.cancel)
    await asyncio.sleep(0)
    assert clock.planned == 2
    sleeper.cancel()
    planned.cancel()
    planned.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    assert (clock.planned, clock.next_due) == (0, None)
    assert "planned=0" in repr(clock)


async def test_sleeping_until_the_past_returns_after_one_turn() -> None:
    """Nobody has to advance."""
    clock = ManualClock()
    async with asyncio.timeout(5):
        await clock.sleep_until(clock.monotonic())


async def test_what_is_due_already_waits_for_the_next_advance() -> None:
    """And is made at the time that it is, not in the past."""
    clock = ManualClock(monotonic=10.0)
    calls: list[float] = []
    clock.call_at(3.0, lambda: calls.append(clock.monotonic()))
    assert calls == []
    await clock.advance(0)
    assert calls == [10.0]


async def test_an_exception_of_a_call_comes_out_where_it_happened() -> None:
    """The rest can be advanced to afterwards."""
    clock = ManualClock(monotonic=0.0)
    calls: list[int] = []
    clock.call_at(1.0, [].pop)
    clock.call_at(2.0, calls.append, 1)
    with pytest.raises(IndexError):
        await clock.advance(5)
    assert clock.monotonic() == 1.0
    await clock.advance(4)
    assert (calls, clock.monotonic()) == ([1], 5.0)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
async def test_time_passes_forwards_and_ends(seconds: float) -> None:
    """Anything else is a mistake of the test."""
    with pytest.raises(ValueError, match="finite"):
        await ManualClock().advance(seconds)


async def test_a_loop_that_is_held_up_calls_nothing() -> None:
    """What fell due meanwhile is called with the next advance, late."""
    clock, called = ManualClock(), list[float]()
    clock.call_at(clock.monotonic() + 1.0, lambda: called.append(clock.monotonic()))
    clock.hold_up(3.0)
    assert called == []
    await clock.advance(0.0)
    assert called == [clock.monotonic()] == [1003.0]
